//! The nouns and the rules. Nothing here waits, reads a clock, or talks to anybody:
//! no async, no I/O, and `now` is always an argument.

pub mod disposition;
pub mod media;
pub mod name;
pub mod problem;
pub mod secret;
pub mod slot;
pub mod time;
pub mod verdict;
