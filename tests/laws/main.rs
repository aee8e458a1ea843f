//! The laws of the design, each attacked.

#![expect(
    clippy::unwrap_used,
    clippy::similar_names,
    reason = "a test that falls over has failed"
)]

#[path = "../common/mod.rs"]
mod common;

mod bounds;
mod multipart;
mod races;
mod secrets;
mod signing;
mod stage;
mod sweeping;
mod trouble;
mod verdicts;
