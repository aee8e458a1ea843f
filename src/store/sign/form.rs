//! Forms: a signed policy that a browser posts together with the file. A policy can bound a
//! length instead of fixing it, which a presigned URL cannot.
//! See "Browser-based uploads using POST" in the S3 API reference.

use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{DayKey, Signer, amz_date};
use crate::domain::time::{Seconds, Timestamp};
use crate::store::StoreError;

/// What is posted to the store, before the file and in this order; the file's part comes last
/// and is called `file`. Whoever holds it may send it until it expires, so it is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Form {
    /// Where to post it: the bucket.
    pub url: String,
    /// The fields, by name.
    pub fields: Vec<(&'static str, String)>,
    /// How long it works, in seconds: what was asked for, or what the credentials have left.
    pub expires_in: u32,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// The form for one key of a bucket and a file of so many bytes. It has no content type,
    /// since the final one comes from the bytes; a condition for one, even for any, would make
    /// stores (Garage is one) ask for a field that Uppy does not send.
    pub(super) fn form(
        &self,
        bucket: &str,
        key: &str,
        sizes: RangeInclusive<u64>,
        expires: Seconds,
        now: Timestamp,
    ) -> Result<Form, StoreError> {
        let day = self.day_key(now);
        let expires_in = day.life(expires, now)?;
        let mut fields = fields(&day, key, &amz_date(now));
        let policy = policy(bucket, &fields, sizes, now.plus(Seconds(expires_in)));
        let policy = STANDARD.encode(policy.to_string());
        let signature = day.sign(&policy);
        fields.push(("policy", policy));
        fields.push(("x-amz-signature", signature));
        Ok(Form {
            url: format!("{}://{}{}", self.scheme, self.host, self.prefix),
            fields,
            expires_in,
        })
    }
}

/// Every field but the policy and its signature. Each is a condition of the policy.
fn fields(day: &DayKey, key: &str, moment: &str) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("key", key.to_owned()),
        ("success_action_status", "201".to_owned()),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("x-amz-credential", day.credential.clone()),
        ("x-amz-date", moment.to_owned()),
    ];
    let token = day.pair.session_token.as_ref();
    if let Some(token) = token.and_then(|token| token.expose_str()) {
        fields.push(("x-amz-security-token", token.to_owned()));
    }
    fields
}

fn policy(
    bucket: &str,
    fields: &[(&'static str, String)],
    sizes: RangeInclusive<u64>,
    expires: Timestamp,
) -> Value {
    let equal = |name: &str, value: &str| json!(["eq", format!("${name}"), value]);
    let mut conditions = vec![
        equal("bucket", bucket),
        json!(["content-length-range", sizes.start(), sizes.end()]),
    ];
    conditions.extend(fields.iter().map(|(name, value)| equal(name, value)));
    json!({"expiration": iso_date(expires), "conditions": conditions})
}

/// `2013-05-24T00:15:00.000Z`
fn iso_date(at: Timestamp) -> String {
    let at = at.calendar();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.000Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

#[cfg(test)]
mod tests {
    use super::super::UploadSigner;
    use super::super::tests::{KEY, NOW, TTL, keys};
    use super::*;
    use crate::store::sign::Endpoint;

    fn form(path_style: bool, token: Option<&str>) -> Form {
        let endpoint = Endpoint::parse("https://s3.example").unwrap();
        let signer = UploadSigner::new(
            &endpoint,
            "staging",
            path_style,
            "us-east-1",
            keys(token, None),
        );
        signer.post(KEY, 1..=5_000_000, TTL, NOW).unwrap()
    }

    fn field<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
        let found = form.fields.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    #[test]
    fn the_published_policy_has_the_published_signature() {
        // "Examples: Browser-Based Upload using HTTP POST", S3 API reference: the policy there,
        // with its line breaks, in base64.
        let text = "{ \"expiration\": \"2015-12-30T12:00:00.000Z\",\r\n  \"conditions\": [\r\n    {\"bucket\": \"sigv4examplebucket\"},\r\n    [\"starts-with\", \"$key\", \"user/user1/\"],\r\n    {\"acl\": \"public-read\"},\r\n    {\"success_action_redirect\": \"http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html\"},\r\n    [\"starts-with\", \"$Content-Type\", \"image/\"],\r\n    {\"x-amz-meta-uuid\": \"14365123651274\"},\r\n    {\"x-amz-server-side-encryption\": \"AES256\"},\r\n    [\"starts-with\", \"$x-amz-meta-tag\", \"\"],\r\n\r\n    {\"x-amz-credential\": \"AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request\"},\r\n    {\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"},\r\n    {\"x-amz-date\": \"20151229T000000Z\" }\r\n  ]\r\n}";
        let endpoint = Endpoint::parse("https://s3.amazonaws.com").unwrap();
        let signer = Signer::new(
            &endpoint,
            "sigv4examplebucket",
            false,
            "us-east-1",
            keys(None, None),
        );
        let day = signer.day_key(Timestamp::from_millis(1_451_347_200_000));
        assert_eq!(
            day.sign(&STANDARD.encode(text)),
            "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
        );
    }

    #[test]
    fn every_field_is_a_condition_and_the_length_is_bounded() {
        for (token, more) in [
            (None, None),
            (Some("to/ken=="), Some("x-amz-security-token")),
        ] {
            let form = form(true, token);
            assert_eq!(
                (form.url.as_str(), form.expires_in),
                ("https://s3.example/staging", TTL.0)
            );
            let names: Vec<_> = form.fields.iter().map(|(name, _)| *name).collect();
            let first = [
                "key",
                "success_action_status",
                "x-amz-algorithm",
                "x-amz-credential",
                "x-amz-date",
            ];
            let expected: Vec<_> = first
                .into_iter()
                .chain(more)
                .chain(["policy", "x-amz-signature"])
                .collect();
            assert_eq!(names, expected);
            let policy = STANDARD.decode(field(&form, "policy").unwrap()).unwrap();
            let policy: Value = serde_json::from_slice(&policy).unwrap();
            assert_eq!(policy["expiration"], "2013-05-24T00:15:00.000Z");
            let mut conditions = vec![
                json!(["eq", "$bucket", "staging"]),
                json!(["content-length-range", 1, 5_000_000]),
                json!(["eq", "$key", KEY]),
                json!(["eq", "$success_action_status", "201"]),
                json!(["eq", "$x-amz-algorithm", "AWS4-HMAC-SHA256"]),
                json!([
                    "eq",
                    "$x-amz-credential",
                    "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
                ]),
                json!(["eq", "$x-amz-date", "20130524T000000Z"]),
            ];
            conditions.extend(token.map(|token| json!(["eq", "$x-amz-security-token", token])));
            assert_eq!(policy["conditions"], json!(conditions));
        }
        assert_eq!(form(false, None).url, "https://staging.s3.example");
    }

    #[test]
    fn a_form_does_not_print() {
        let form = form(true, Some("token"));
        let shown = format!("{form:?}");
        for (name, value) in &form.fields {
            assert!(!shown.contains(value), "{name}: {shown}");
        }
    }
}
