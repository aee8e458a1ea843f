//! Names and ids. A value that exists is valid.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id of a ticket, and of the file it becomes: a `UUIDv7`.
pub type Id = Uuid;

/// Why a name was refused; it reads as the end of "`slot` …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Tenant and slot names.
    #[error("must match [A-Za-z0-9][A-Za-z0-9_.-]{{0,62}}")]
    Pattern,
    /// Owners and refs.
    #[error("must be 1 to {0} bytes of text without control characters")]
    Text(usize),
}

fn is_plain_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $valid:expr, $error:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text and keeps it.
            pub fn parse(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err($error) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_type!(
    /// A slot's name: `[A-Za-z0-9][A-Za-z0-9_.-]{0,62}`.
    SlotName,
    is_plain_name,
    NameError::Pattern
);
text_type!(
    /// A tenant's name: `[A-Za-z0-9][A-Za-z0-9_.-]{0,62}`.
    Tenant,
    is_plain_name,
    NameError::Pattern
);
text_type!(
    /// Who uploads: the JWT's `sub`, 1 to 255 bytes.
    Owner,
    |text| (1..=255).contains(&text.len()) && !text.chars().any(char::is_control),
    NameError::Text(255)
);
text_type!(
    /// What uploads belong to in the app (`post:42`), 1 to 255 bytes.
    Ref,
    |text| (1..=255).contains(&text.len()) && !text.chars().any(char::is_control),
    NameError::Text(255)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_escape_a_key_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "-a",
            "a/b",
            "a b",
            "é",
            &"x".repeat(64),
            "a\0",
        ] {
            assert!(SlotName::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "A.b-c_9", &"x".repeat(63)] {
            assert!(Tenant::parse(good).is_ok(), "{good:?}");
        }
        assert!(Owner::parse("auth0|x y/é").is_ok());
        assert!(Owner::parse("a\nb").is_err());
    }
}
