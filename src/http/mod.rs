//! The API: parse, call a flow, answer.

pub mod auth;
pub mod layers;
pub mod problem;
pub mod server;
