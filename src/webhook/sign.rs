//! The signature of Standard Webhooks 1.0: `v1,` and the Base64 of HMAC-SHA256 over
//! `id.timestamp.body`, once per secret, separated by spaces.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::secret::Secret;

/// The value of `webhook-signature`.
pub(super) fn signature(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signed: Vec<String> = secrets
        .iter()
        .filter_map(|secret| {
            // HMAC takes keys of any length, so none is left out.
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose()).ok()?;
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            let code = STANDARD.encode(mac.finalize().into_bytes());
            Some(format!("v1,{code}"))
        })
        .collect();
    signed.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the libraries of Standard Webhooks test themselves with.
    const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_example_of_the_standard_is_signed_as_it_says() {
        let secret = Secret::new(STANDARD.decode(KEY).unwrap());
        assert_eq!(signature(&[secret], ID, 1_614_265_330, BODY), SIGNED);
    }

    #[test]
    fn every_secret_signs() {
        let secrets = [
            Secret::new(
                "another secret, of any length at all, even a very long one, longer than a block of the hash",
            ),
            Secret::new(STANDARD.decode(KEY).unwrap()),
        ];
        let both = signature(&secrets, ID, 1_614_265_330, BODY);
        let each: Vec<&str> = both.split(' ').collect();
        assert_eq!((each.len(), each[1]), (2, SIGNED));
        assert_ne!(each[0], SIGNED);
    }
}
