//! The verdict: a pure function of the ticket's policy, store facts and fetched bytes.

use serde::{Deserialize, Serialize};

/// Why content was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No bytes.
    Empty,
    /// Not the size that was declared and signed.
    SizeMismatch,
    /// Not the SHA-256 that was declared.
    ChecksumMismatch,
    /// The bytes are of no known type and the slot does not take any bytes.
    TypeUnknown,
    /// Extension, declared type and bytes disagree in a strict slot.
    TypeMismatch,
    /// The detected type is not one the slot accepts.
    TypeNotAccepted,
    /// Wider, higher or more pixels than the slot allows.
    ImageTooLarge,
    /// A browser would execute it.
    ActiveContent,
    /// It begins like its type and then is not.
    Malformed,
}
