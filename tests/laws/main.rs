//! The laws of the design, each attacked.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
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
mod worker;
