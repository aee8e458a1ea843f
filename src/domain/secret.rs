//! Values that must never be printed.

use std::fmt;

use serde::Serialize;
use subtle::ConstantTimeEq;

/// A key, password or token. Its `Debug` says nothing, it has no `Display`, and it
/// compares in constant time.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps the secret's bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the one call that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The text, for the one call that needs it; `None` when it is not UTF-8.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether `other` is the same secret, in time that depends on the length alone.
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A presigned URL: whoever holds it may use it, so it is a password. It serializes
/// (the API has to hand it out) and refuses to be printed.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SignedUrl(String);

impl SignedUrl {
    /// Wraps a URL that carries a signature.
    pub fn new(url: String) -> Self {
        Self(url)
    }

    /// The URL, for the answer that hands it to its user.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.find('?').unwrap_or(self.0.len());
        write!(f, "SignedUrl({}?…)", &self.0[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_signed_urls_do_not_print() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(secret.matches(b"hunter2") && !secret.matches(b"hunter3"));
        let url = SignedUrl::new("http://s/b/k?X-Amz-Signature=abc".into());
        assert_eq!(format!("{url:?}"), "SignedUrl(http://s/b/k?…)");
    }
}
