use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::presigning::PresigningConfig;

use super::*;
use crate::domain::secret::Secret;

pub(super) const TTL: Seconds = Seconds(900);
/// 2013-05-24T00:00:00Z, the moment of AWS's examples.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_369_353_600_000);
pub(super) const KEY: &str = "018fae1c-7d3a-7cc1-9d5e-0123456789ab";
const SUM: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

pub(super) fn keys(session_token: Option<&str>, expires_at: Option<Timestamp>) -> Arc<Keys> {
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
        let part = uploads.part(KEY, "u/1", 7, Some(5), TTL, NOW).unwrap();
        let of_parts = with(&["partNumber", "uploadId"]);
        check(&part, &of_parts, "content-length%3Bhost", &[]);
        let part = uploads.part(KEY, "u/1", 7, None, TTL, NOW).unwrap();
        check(&part, &of_parts, "host", &[]);
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
    let moment = UNIX_EPOCH + Duration::from_millis(NOW.millis().unsigned_abs());
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
