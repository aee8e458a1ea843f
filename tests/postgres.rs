//! What only PostgreSQL has. Without PUTGATE_TEST_DATABASE there is nothing to see.

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]
