//! The broker's rules as they stand in its source, built alone: no server around them.

#[path = "../../../../src/domain/mod.rs"]
pub mod domain;
#[path = "../../../../src/sniff/mod.rs"]
pub mod sniff;
