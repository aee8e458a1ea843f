//! The laws of the design, each attacked.

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
