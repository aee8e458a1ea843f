//! Putgate: a presigned, direct-to-object-storage upload broker.
//!
//! The floor plan, in reading order. Arrows point down only: a room may use the
//! rooms listed after it, never those before (`tests/house.rs` enforces it).
//!
//! | room | holds |
//! |---|---|
//! | [`http`] | the API: parse, call a flow, answer |
//! | [`worker`] | the loop that verifies, expires and sweeps without being asked |
//! | [`doctor`] | what `putgate doctor` tries on database, store and receiver |
//! | [`flow`] | one file per verb: the order in which things happen, no rules |
//! | [`store`] | the only S3 client code: sign, the judge's reads, promote, list |
//! | [`webhook`] | the receiver: the only code that sends events |
//! | [`devstore`] | an in-process S3 server for `dev` and the tests |
//! | [`db`] | the only SQL |
//! | [`config`] | one `Config`: parse, merge, validate |
//! | [`traces`] | what a collector of traces may hear |
//! | [`sniff`] | bytes to what they are |
//! | [`domain`] | the nouns and the rules: pure, `now` is an argument |
//! | [`clock`] | the one place that reads the wall clock |
//! | [`logging`] | where log lines go |
//! | [`metrics`] | what is counted |

#![forbid(unsafe_code)]

pub mod clock;
pub mod config;
pub mod db;
pub mod devstore;
pub mod doctor;
pub mod domain;
pub mod flow;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod sniff;
pub mod store;
pub mod traces;
pub mod webhook;
pub mod worker;
