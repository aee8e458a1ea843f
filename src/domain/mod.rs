//! The nouns and the rules. Nothing here waits, reads a clock, or talks to anybody:
//! no async, no I/O, and `now` is always an argument.

pub mod books;
pub mod caller;
pub mod chunks;
pub mod dialect;
pub mod disposition;
pub mod event;
pub mod file;
pub mod key;
pub mod ledger;
pub mod media;
pub mod name;
pub mod outbox;
pub mod problem;
pub mod secret;
pub mod slot;
pub mod ticket;
pub mod time;
pub mod verdict;
pub mod view;
