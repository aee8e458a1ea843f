//! Presigned URLs: AWS Signature Version 4 in the query string, as pure computation.
//!
//! The parameters and signed headers are exactly what the tests below list. A store refuses a
//! URL that is one byte off, and an SDK's presigner has more than once begun to add parameters;
//! this one changes when its tests change.
//! See "Authenticating Requests: Using Query Parameters" in the S3 API reference.

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

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
    /// `X-Amz-Credential`, encoded.
    credential: String,
    /// `X-Amz-Security-Token`, encoded.
    session_token: Option<String>,
    mac: Hmac<Sha256>,
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
            credential: utf8_percent_encode(&credential, QUERY).to_string(),
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
        let left = key
            .pair
            .expires_at
            .map_or(i64::MAX, |at| now.seconds_until(at));
        if left < 1 {
            return Err(StoreError::Unavailable(
                "the storage credentials have expired".into(),
            ));
        }
        let asked = expires.0.clamp(1, SEVEN_DAYS.0);
        let expires_in = u32::try_from(left).map_or(asked, |left| left.min(asked));

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
        let signature = key
            .mac
            .clone()
            .chain_update("AWS4-HMAC-SHA256\n")
            .chain_update(&moment)
            .chain_update("\n")
            .chain_update(&key.scope)
            .chain_update("\n")
            .chain_update(&digest)
            .finalize();
        let signature = hex::encode(signature.into_bytes());
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
        key.credential
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
pub(super) struct UploadSigner(Signer);

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
        Self(Signer::new(
            endpoint,
            staging_bucket,
            path_style,
            region,
            keys,
        ))
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

    /// One part of a multipart upload, of exactly `content_length` bytes.
    pub(super) fn part(
        &self,
        key: &str,
        upload_id: &str,
        part_number: u32,
        content_length: u64,
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
            content_length: Some(content_length),
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
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, SystemTime};

    use aws_sdk_s3::Client;
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
    use aws_sdk_s3::presigning::PresigningConfig;

    use super::*;
    use crate::domain::secret::Secret;

    const TTL: Seconds = Seconds(900);
    /// 2013-05-24T00:00:00Z, the moment of AWS's examples.
    const NOW: Timestamp = Timestamp::from_millis(1_369_353_600_000);
    const KEY: &str = "018fae1c-7d3a-7cc1-9d5e-0123456789ab";
    const SUM: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn keys(session_token: Option<&str>, expires_at: Option<Timestamp>) -> Arc<Keys> {
        Keys::fixed(KeyPair {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            session_token: session_token.map(Secret::new),
            expires_at,
        })
    }

    fn signer(endpoint: &str, bucket: &str, path_style: bool, token: Option<&str>) -> Signer {
        let endpoint = Endpoint::parse(endpoint).unwrap();
        Signer::new(
            &endpoint,
            bucket,
            path_style,
            "us-east-1",
            keys(token, None),
        )
    }

    /// A URL's query parameters, still encoded.
    fn query(url: &str) -> BTreeMap<String, String> {
        url.split_once('?')
            .unwrap()
            .1
            .split('&')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn the_published_example_has_the_published_signature() {
        // "Authenticating Requests: Using Query Parameters", S3 API reference.
        let request = Request {
            method: "GET",
            key: "test.txt",
            query: &[],
            content_length: None,
            sha256: None,
        };
        let signer = signer("https://s3.amazonaws.com", "examplebucket", false, None);
        let get = signer.sign(&request, Seconds(86_400), NOW).unwrap();
        assert_eq!(
            get.url.expose(),
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    #[test]
    fn no_parameter_or_signed_header_is_added_by_accident() {
        let endpoint = Endpoint::parse("https://s3.example").unwrap();
        let common = [
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-Signature",
            "X-Amz-SignedHeaders",
        ];
        let check = |signed: &Presigned, more: &[&str], signed_headers: &str, headers: &[&str]| {
            let query = query(signed.url.expose());
            let mut expected: Vec<&str> = common.iter().chain(more).copied().collect();
            expected.sort_unstable();
            assert_eq!(query.keys().collect::<Vec<_>>(), expected);
            assert_eq!(query["X-Amz-SignedHeaders"], signed_headers);
            let names: Vec<&str> = signed
                .headers
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(names, headers);
        };
        for (token, session) in [
            (None, None),
            (Some("to/ken=="), Some("X-Amz-Security-Token")),
        ] {
            let uploads = UploadSigner::new(&endpoint, "staging", true, "r", keys(token, None));
            let downloads = DownloadSigner::new(&endpoint, "files", true, "r", keys(token, None));
            let with = |more: &[&'static str]| -> Vec<&'static str> {
                more.iter().copied().chain(session).collect()
            };
            let put = uploads.put(KEY, 5, None, TTL, NOW).unwrap();
            check(&put, &with(&[]), "content-length%3Bhost", &[]);
            let put = uploads.put(KEY, 5, Some(SUM), TTL, NOW).unwrap();
            let signed = "content-length%3Bhost%3Bx-amz-checksum-sha256";
            check(&put, &with(&[]), signed, &["x-amz-checksum-sha256"]);
            let part = uploads.part(KEY, "u/1", 7, 5, TTL, NOW).unwrap();
            check(
                &part,
                &with(&["partNumber", "uploadId"]),
                "content-length%3Bhost",
                &[],
            );
            let get = downloads
                .get(KEY, "attachment", "image/png", TTL, NOW)
                .unwrap();
            let more = ["response-content-disposition", "response-content-type"];
            check(&get, &with(&more), "host", &[]);
        }
    }

    /// The SDK's own presigner, for the same key and moment.
    fn sdk(endpoint: &str, path_style: bool, token: Option<&str>) -> (Client, PresigningConfig) {
        let credentials = Credentials::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            token.map(str::to_owned),
            None,
            "test",
        );
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .credentials_provider(credentials)
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .force_path_style(path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .build();
        let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(NOW.millis().unsigned_abs());
        let config_for_url = PresigningConfig::builder()
            .start_time(moment)
            .expires_in(TTL.duration())
            .build()
            .unwrap();
        (Client::from_conf(config), config_for_url)
    }

    /// Same place, same parameters, same signature. Only the order of parameters may differ:
    /// the SDK puts its own (`x-id`) first, we keep the canonical one.
    #[track_caller]
    fn assert_same_url(ours: &Presigned, sdk: &str) {
        let ours = ours.url.expose();
        assert_eq!(
            ours.split_once('?').unwrap().0,
            sdk.split_once('?').unwrap().0
        );
        assert_eq!(query(ours), query(sdk));
    }

    #[tokio::test]
    async fn our_urls_are_the_sdks_byte_for_byte() {
        for (endpoint, path_style, token) in [
            ("http://127.0.0.1:9000", true, None),
            ("http://127.0.0.1:9000", false, None),
            ("https://s3.us-east-1.amazonaws.com", false, None),
            (
                "https://uploads.example.com:8443",
                false,
                Some("FwoG+/Zz=="),
            ),
            ("https://uploads.example.com", true, Some("FwoG+/Zz==")),
        ] {
            for bucket in ["staging", "my.staging"] {
                let ours = signer(endpoint, bucket, path_style, token);
                let (client, config) = sdk(endpoint, path_style, token);
                for key in [KEY, "acme/photos/a b+ü~'(1)*&=%.png"] {
                    // The SDK names the operation in `x-id`; so do we, here only.
                    for sha256 in [None, Some(SUM)] {
                        let theirs = client
                            .put_object()
                            .bucket(bucket)
                            .key(key)
                            .content_length(12_345);
                        let theirs = theirs.set_checksum_sha256(sha256.map(str::to_owned));
                        let theirs = theirs.presigned(config.clone()).await.unwrap();
                        let request = Request {
                            method: "PUT",
                            key,
                            query: &[("x-id", "PutObject")],
                            content_length: Some(12_345),
                            sha256,
                        };
                        assert_same_url(&ours.sign(&request, TTL, NOW).unwrap(), theirs.uri());
                    }

                    let theirs = client
                        .upload_part()
                        .bucket(bucket)
                        .key(key)
                        .content_length(12_345);
                    let theirs = theirs
                        .part_number(3)
                        .upload_id("id/+ 1~")
                        .presigned(config.clone());
                    let request = Request {
                        method: "PUT",
                        key,
                        query: &[
                            ("partNumber", "3"),
                            ("uploadId", "id/+ 1~"),
                            ("x-id", "UploadPart"),
                        ],
                        content_length: Some(12_345),
                        sha256: None,
                    };
                    let signed = ours.sign(&request, TTL, NOW).unwrap();
                    assert_same_url(&signed, theirs.await.unwrap().uri());

                    let disposition = "attachment; filename=\"_.png\"; filename*=UTF-8''%C3%A9.png";
                    let theirs = client.get_object().bucket(bucket).key(key);
                    let theirs = theirs
                        .response_content_disposition(disposition)
                        .response_content_type("image/png")
                        .presigned(config.clone());
                    let request = Request {
                        method: "GET",
                        key,
                        query: &[
                            ("response-content-disposition", disposition),
                            ("response-content-type", "image/png"),
                            ("x-id", "GetObject"),
                        ],
                        content_length: None,
                        sha256: None,
                    };
                    let signed = ours.sign(&request, TTL, NOW).unwrap();
                    assert_same_url(&signed, theirs.await.unwrap().uri());
                }
            }
        }
    }

    #[test]
    fn no_url_outlives_its_credentials() {
        let endpoint = Endpoint::parse("http://s").unwrap();
        let put = |left: i64| {
            let at = Timestamp::from_millis(NOW.millis() + left * 1000);
            let signer = UploadSigner::new(&endpoint, "b", true, "r", keys(Some("t"), Some(at)));
            signer.put(KEY, 1, None, TTL, NOW)
        };
        let signed = put(60).unwrap();
        assert_eq!(signed.expires_in, 60);
        assert_eq!(query(signed.url.expose())["X-Amz-Expires"], "60");
        assert_eq!(put(10_000).unwrap().expires_in, 900);
        for gone in [0, -1] {
            assert!(
                matches!(put(gone), Err(StoreError::Unavailable(_))),
                "{gone} s left"
            );
        }
    }

    #[test]
    fn no_url_lives_longer_than_a_week() {
        let signer = UploadSigner::new(&Endpoint::aws("r"), "b", true, "r", keys(None, None));
        let expires = |asked| {
            signer
                .put(KEY, 1, None, Seconds(asked), NOW)
                .unwrap()
                .expires_in
        };
        assert_eq!(
            (expires(0), expires(604_800), expires(604_801)),
            (1, 604_800, 604_800)
        );
    }

    #[test]
    fn the_cached_key_follows_the_day() {
        let used = UploadSigner::new(&Endpoint::aws("r"), "b", true, "r", keys(None, None));
        for day in [0, 1, 0, 365] {
            let now = NOW.plus(Seconds(day * 86_400));
            let fresh = UploadSigner::new(&Endpoint::aws("r"), "b", true, "r", keys(None, None));
            assert_eq!(
                used.put(KEY, 1, None, TTL, now),
                fresh.put(KEY, 1, None, TTL, now),
                "day {day}"
            );
        }
    }

    #[test]
    fn an_endpoint_is_scheme_and_host_and_nothing_else() {
        for (text, url) in [
            ("http://Store.Example:80", "http://store.example"),
            ("https://s3.example:443/", "https://s3.example"),
            ("https://s3.example:8443", "https://s3.example:8443"),
            ("http://[::1]:9000", "http://[::1]:9000"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().url(), url);
        }
        for bad in [
            "",
            "s3.example",
            "ftp://s",
            "http://s/path",
            "http://s/?x=1",
            "http://u:pass@s",
        ] {
            let error = Endpoint::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("pass@"), "{error}");
        }
        assert_eq!(
            Endpoint::aws("cn-north-1").url(),
            "https://s3.cn-north-1.amazonaws.com.cn"
        );
    }
}
