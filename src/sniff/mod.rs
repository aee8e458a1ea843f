//! Bytes to what they are. Pure functions; nothing here trusts a length it read.
