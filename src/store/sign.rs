//! Presigned URLs: AWS Signature Version 4 in the query string, as pure computation.
//!
//! The parameters and signed headers are exactly what the tests below list. A store refuses a
//! URL that is one byte off, and an SDK's presigner has more than once begun to add parameters;
//! this one changes when its tests change.
//! See "Authenticating Requests: Using Query Parameters" in the S3 API reference.

mod form;

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

pub use self::form::Form;
use super::StoreError;
use super::keys::{KeyPair, Keys};
use crate::domain::secret::SignedUrl;
use crate::domain::slot::SEVEN_DAYS;
use crate::domain::time::{Seconds, Timestamp};

/// Everything but RFC 3986's unreserved characters, as `SigV4` demands.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same for paths, which keep their slashes.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// A request that its holder may send once or many times until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presigned {
    /// Where to send it.
    pub url: SignedUrl,
    /// Signed headers that the client must add itself. `content-length` is signed too, but a
    /// browser sets it from the body and lets no script do so; it is not listed.
    pub headers: Vec<(String, String)>,
    /// How long it works, in seconds: what was asked for, or what the credentials have left.
    pub expires_in: u32,
}

/// Scheme and authority of a store, as its clients address it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    scheme: &'static str,
    /// Host, with the port unless it is the scheme's own: what goes into the `Host` header.
    host: String,
}

impl Endpoint {
    /// Reads `http[s]://host[:port]`; anything more is refused, since the path is signed and a
    /// proxy that strips a prefix would break every URL.
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        if text.contains('@') {
            return Err(StoreError::Settings(
                "an endpoint must not hold a user or password".into(),
            ));
        }
        let refuse = |why: &str| StoreError::Settings(format!("endpoint `{text}` {why}"));
        let uri: http::Uri = text.parse().map_err(|_| refuse("is not a URL"))?;
        let (scheme, own_port) = match uri.scheme_str() {
            Some("http") => ("http", 80),
            Some("https") => ("https", 443),
            _ => return Err(refuse("must begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| refuse("has no host"))?;
        if uri.path() != "/" || uri.query().is_some() {
            return Err(refuse("must be scheme and host only, without a path"));
        }
        let name = authority.host().to_ascii_lowercase();
        let host = match authority.port_u16() {
            Some(port) if port != own_port => format!("{name}:{port}"),
            _ => name,
        };
        Ok(Self { scheme, host })
    }

    /// The endpoint of AWS in a region.
    pub(super) fn aws(region: &str) -> Self {
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        Self {
            scheme: "https",
            host: format!("s3.{region}.amazonaws.com{suffix}"),
        }
    }

    /// As the SDK takes it.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// Host and path prefix of a bucket. As in the SDK, a bucket goes into the host name only
    /// where that can work: not before an IP address, and not with a dot under https, since no
    /// wildcard certificate covers two labels.
    fn of_bucket(&self, bucket: &str, path_style: bool) -> (String, String) {
        let name = self
            .host
            .rsplit_once(':')
            .map_or(self.host.as_str(), |(name, _)| name);
        let is_ip = name.parse::<IpAddr>().is_ok() || self.host.starts_with('[');
        if path_style || is_ip || (self.scheme == "https" && bucket.contains('.')) {
            (
                self.host.clone(),
                format!("/{}", utf8_percent_encode(bucket, PATH)),
            )
        } else {
            (format!("{bucket}.{}", self.host), String::new())
        }
    }
}

/// Signs requests for one bucket at one endpoint with one key.
struct Signer {
    scheme: &'static str,
    host: String,
    prefix: String,
    region: String,
    keys: Arc<Keys>,
    day: ArcSwapOption<DayKey>,
}

/// What stays the same for a day: four of the five HMACs of a signature.
struct DayKey {
    day: i64,
    pair: Arc<KeyPair>,
    /// `20130524/us-east-1/s3/aws4_request`
    scope: String,
    /// Access key and scope.
    credential: String,
    /// `X-Amz-Credential`: the same, encoded.
    credential_encoded: String,
    /// `X-Amz-Security-Token`, encoded.
    session_token: Option<String>,
    mac: Hmac<Sha256>,
}

impl DayKey {
    /// How many seconds of `asked` the credentials have left.
    fn life(&self, asked: Seconds, now: Timestamp) -> Result<u32, StoreError> {
        let ends = self.pair.expires_at;
        let left = ends.map_or(i64::MAX, |at| now.seconds_until(at));
        if left < 1 {
            return Err(StoreError::Unavailable(
                "the storage credentials have expired".into(),
            ));
        }
        let asked = asked.0.clamp(1, SEVEN_DAYS.0);
        Ok(u32::try_from(left).map_or(asked, |left| left.min(asked)))
    }

    /// The signature of a text, in hexadecimal.
    fn sign(&self, text: &str) -> String {
        let signature = self.mac.clone().chain_update(text).finalize();
        hex::encode(signature.into_bytes())
    }
}

/// What a signature covers, besides method-independent parameters and `host`.
struct Request<'a> {
    method: &'a str,
    key: &'a str,
    /// In order, and each name after `X-Amz-…`.
    query: &'a [(&'a str, &'a str)],
    content_length: Option<u64>,
    sha256: Option<&'a str>,
}

impl Signer {
    fn new(
        endpoint: &Endpoint,
        bucket: &str,
        path_style: bool,
        region: &str,
        keys: Arc<Keys>,
    ) -> Self {
        let (host, prefix) = endpoint.of_bucket(bucket, path_style);
        Self {
            scheme: endpoint.scheme,
            host,
            prefix,
            region: region.to_owned(),
            keys,
            day: ArcSwapOption::empty(),
        }
    }

    /// The signing key of the day and pair; made anew when either has changed.
    fn day_key(&self, now: Timestamp) -> Arc<DayKey> {
        let day = now.seconds().div_euclid(86_400);
        let pair = self.keys.current();
        let cached = self.day.load_full();
        if let Some(cached) = cached.filter(|c| c.day == day && Arc::ptr_eq(&c.pair, &pair)) {
            return cached;
        }
        let date = &amz_date(now)[..8];
        let scope = format!("{date}/{}/s3/aws4_request", self.region);
        let mut secret = b"AWS4".to_vec();
        secret.extend_from_slice(pair.secret_key.expose());
        let key = [date, &self.region, "s3", "aws4_request"]
            .iter()
            .fold(secret, |key, step| {
                mac(&key)
                    .chain_update(step)
                    .finalize()
                    .into_bytes()
                    .to_vec()
            });
        let credential = format!("{}/{scope}", pair.access_key);
        let made = Arc::new(DayKey {
            day,
            scope,
            credential_encoded: utf8_percent_encode(&credential, QUERY).to_string(),
            credential,
            session_token: pair
                .session_token
                .as_ref()
                .and_then(|token| token.expose_str())
                .map(|token| utf8_percent_encode(token, QUERY).to_string()),
            mac: mac(&key),
            pair,
        });
        self.day.store(Some(made.clone()));
        made
    }

    fn sign(
        &self,
        request: &Request,
        expires: Seconds,
        now: Timestamp,
    ) -> Result<Presigned, StoreError> {
        let key = self.day_key(now);
        let expires_in = key.life(expires, now)?;
        let moment = amz_date(now);
        let signed_headers = match (request.content_length, request.sha256) {
            (None, None) => "host",
            (Some(_), None) => "content-length;host",
            (None, Some(_)) => "host;x-amz-checksum-sha256",
            (Some(_), Some(_)) => "content-length;host;x-amz-checksum-sha256",
        };
        let mut query = String::with_capacity(512);
        let mut canonical = String::with_capacity(768);
        let path = format!("{}/{}", self.prefix, utf8_percent_encode(request.key, PATH));
        // Writing to a String cannot fail.
        let _ = write_query(
            &mut query,
            &key,
            request,
            &moment,
            expires_in,
            signed_headers,
        );
        let _ = self.write_canonical(&mut canonical, request, &path, &query, signed_headers);
        let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
        let scope = &key.scope;
        let signature = key.sign(&format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"));
        let (scheme, host) = (self.scheme, &self.host);
        Ok(Presigned {
            url: SignedUrl::new(format!(
                "{scheme}://{host}{path}?{query}&X-Amz-Signature={signature}"
            )),
            headers: request
                .sha256
                .map(|sum| ("x-amz-checksum-sha256".to_owned(), sum.to_owned()))
                .into_iter()
                .collect(),
            expires_in,
        })
    }

    fn write_canonical(
        &self,
        out: &mut String,
        request: &Request,
        path: &str,
        query: &str,
        signed_headers: &str,
    ) -> fmt::Result {
        write!(out, "{}\n{path}\n{query}\n", request.method)?;
        if let Some(length) = request.content_length {
            writeln!(out, "content-length:{length}")?;
        }
        writeln!(out, "host:{}", self.host)?;
        if let Some(sum) = request.sha256 {
            writeln!(out, "x-amz-checksum-sha256:{sum}")?;
        }
        write!(out, "\n{signed_headers}\nUNSIGNED-PAYLOAD")
    }
}

fn write_query(
    out: &mut String,
    key: &DayKey,
    request: &Request,
    moment: &str,
    expires_in: u32,
    signed_headers: &str,
) -> fmt::Result {
    write!(
        out,
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={moment}&X-Amz-Expires={expires_in}",
        key.credential_encoded
    )?;
    if let Some(token) = &key.session_token {
        write!(out, "&X-Amz-Security-Token={token}")?;
    }
    write!(
        out,
        "&X-Amz-SignedHeaders={}",
        utf8_percent_encode(signed_headers, QUERY)
    )?;
    for (name, value) in request.query {
        write!(out, "&{name}={}", utf8_percent_encode(value, QUERY))?;
    }
    Ok(())
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// `20130524T000000Z`
fn amz_date(now: Timestamp) -> String {
    let at = now.calendar();
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// Signs writes, for the staging bucket alone: what browsers get.
pub(super) struct UploadSigner(Signer, String);

/// Signs reads of the files bucket.
pub(super) struct DownloadSigner(Signer);

impl UploadSigner {
    /// `endpoint` is the one browsers reach: URLs are signed for it and never rewritten.
    pub(super) fn new(
        endpoint: &Endpoint,
        staging_bucket: &str,
        path_style: bool,
        region: &str,
        keys: Arc<Keys>,
    ) -> Self {
        let signer = Signer::new(endpoint, staging_bucket, path_style, region, keys);
        Self(signer, staging_bucket.to_owned())
    }

    /// One PUT of exactly `content_length` bytes; with `sha256` (base64), of exactly these bytes.
    pub(super) fn put(
        &self,
        key: &str,
        content_length: u64,
        sha256: Option<&str>,
        expires: Seconds,
        now: Timestamp,
    ) -> Result<Presigned, StoreError> {
        let request = Request {
            method: "PUT",
            key,
            query: &[],
            content_length: Some(content_length),
            sha256,
        };
        self.0.sign(&request, expires, now)
    }

    /// One form whose file has so many bytes.
    pub(super) fn post(
        &self,
        key: &str,
        sizes: RangeInclusive<u64>,
        expires: Seconds,
        now: Timestamp,
    ) -> Result<Form, StoreError> {
        self.0.form(&self.1, key, sizes, expires, now)
    }

    /// Whether the store is at a host of this domain.
    pub(super) fn is_at(&self, domain: &str) -> bool {
        let host = self
            .0
            .host
            .rsplit_once(':')
            .map_or(&*self.0.host, |(name, _)| name);
        host.strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.'))
    }

    /// One part of a multipart upload, of exactly `content_length` bytes where that is known.
    pub(super) fn part(
        &self,
        key: &str,
        upload_id: &str,
        part_number: u32,
        content_length: Option<u64>,
        expires: Seconds,
        now: Timestamp,
    ) -> Result<Presigned, StoreError> {
        let request = Request {
            method: "PUT",
            key,
            query: &[
                ("partNumber", &part_number.to_string()),
                ("uploadId", upload_id),
            ],
            content_length,
            sha256: None,
        };
        self.0.sign(&request, expires, now)
    }
}

impl DownloadSigner {
    /// `endpoint` is the one that serves downloads.
    pub(super) fn new(
        endpoint: &Endpoint,
        files_bucket: &str,
        path_style: bool,
        region: &str,
        keys: Arc<Keys>,
    ) -> Self {
        Self(Signer::new(
            endpoint,
            files_bucket,
            path_style,
            region,
            keys,
        ))
    }

    /// One GET, answered with these two headers.
    pub(super) fn get(
        &self,
        key: &str,
        content_disposition: &str,
        content_type: &str,
        expires: Seconds,
        now: Timestamp,
    ) -> Result<Presigned, StoreError> {
        let request = Request {
            method: "GET",
            key,
            query: &[
                ("response-content-disposition", content_disposition),
                ("response-content-type", content_type),
            ],
            content_length: None,
            sha256: None,
        };
        self.0.sign(&request, expires, now)
    }
}

#[cfg(test)]
mod tests;
