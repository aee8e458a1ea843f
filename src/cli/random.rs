//! The one place that asks the operating system for randomness.

use super::Failure;

/// A secret that nobody can guess: 32 random bytes, in hex.
pub(super) fn secret() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    #[expect(clippy::disallowed_methods, reason = "this is the room for it")]
    getrandom::fill(&mut bytes)
        .map_err(|e| Failure::broken(format!("the system gives no random bytes: {e}")))?;
    Ok(hex::encode(bytes))
}
