//! The only S3 client code: sign, the judge's reads, promote, list.
//!
//! Two buckets: *staging*, where browsers write through URLs signed here, and *files*, where
//! only [`Store::promote`] and its multipart sibling write. No function of this room signs a
//! write for the files bucket.
//!
//! Every call has a time limit, and says in a [`StoreError`] whether the object is not so
//! (`Missing`, `Changed`) or the store could not tell. Reads, lists and deletes are tried three
//! times; whatever could take effect twice is sent once.

mod error;
mod examine;
mod keys;
mod list;
mod meter;
mod multipart;
pub mod policy;
mod probe;
mod promote;
mod read;
mod relay;
mod setup;
mod sign;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, IdentityCache, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls;

use crate::domain::secret::Secret;
use crate::domain::time::{Seconds, Timestamp};
use keys::Renewal;
use sign::{DownloadSigner, Endpoint, UploadSigner};

pub use error::StoreError;
pub use examine::{BucketLook, Deed, EndRule};
pub use list::{Object, Page};
pub use multipart::Part;
pub use promote::{Copying, Promotion};
pub use read::Peek;
pub use setup::{CORS_MAX_AGE, LIFECYCLE_RULE, Outcome};
pub use sign::{Form, Presigned};

/// Where the store is and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http[s]://host[:port]` as this server reaches the store; `None`: AWS in `region`.
    pub endpoint: Option<String>,
    /// The same as browsers reach it, for uploads; `None`: `endpoint`.
    pub public_endpoint: Option<String>,
    /// The same for downloads; `None`: `public_endpoint`.
    pub download_endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// Whether the bucket goes into the path rather than the host name.
    pub path_style: bool,
    /// The bucket browsers write to.
    pub staging_bucket: String,
    /// The bucket of committed files.
    pub files_bucket: String,
    /// The server's own key.
    pub server_key: Key,
    /// The write-only key that browser URLs are signed with; `None`: the server's, which is
    /// safe only where [`Store::probe_copy_source`] says so.
    pub upload_key: Option<Key>,
}

/// Where credentials come from.
#[derive(Clone, Debug)]
pub enum Key {
    /// A pair that does not change.
    Static {
        /// The access key, which is no secret.
        access_key: String,
        /// Its secret.
        secret_key: Secret,
    },
    /// Environment, profile, web identity, container or instance, as every AWS tool does.
    AwsChain,
}

/// One of the two buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Where browsers may write; served to nobody.
    Staging,
    /// Where committed files are.
    Files,
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Staging => "staging bucket",
            Self::Files => "files bucket",
        })
    }
}

/// How long the store is waited for.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For a connection.
    connect: Duration,
    /// For one attempt of an ordinary call, up to the answer's head.
    attempt: Duration,
    /// For one read of the judge, with its attempts and its body.
    judge_read: Duration,
    /// For one copy or one completion of a multipart upload.
    copy: Duration,
}

const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(3),
    attempt: Duration::from_secs(10),
    judge_read: Duration::from_secs(10),
    copy: Duration::from_mins(5),
};

/// A connection to the store; cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>, Copying);

struct Inner {
    /// For calls that may be repeated.
    client: Client,
    /// For calls whose effect must not happen twice: one attempt.
    once: Client,
    /// For copies and completions: one attempt, and a long one.
    slow: Client,
    /// Speaks with the key that browser URLs are signed with, to see how little it may do.
    uploader: Client,
    staging_bucket: String,
    files_bucket: String,
    region: String,
    is_aws: bool,
    uploads: UploadSigner,
    downloads: DownloadSigner,
    /// The server's own keys.
    server: keys::Opened,
    /// Those that browser URLs are signed with; `None`: the server's.
    upload: Option<keys::Opened>,
    /// Signs as `uploads` does, for the endpoint that this server reaches.
    probes: UploadSigner,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("staging_bucket", &self.0.staging_bucket)
            .field("files_bucket", &self.0.files_bucket)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Checks the settings and fetches credentials; it sends nothing to the store.
    pub async fn connect(settings: Settings) -> Result<Self, StoreError> {
        let aws = || Ok(Endpoint::aws(&settings.region));
        let endpoint = settings
            .endpoint
            .as_deref()
            .map_or_else(aws, Endpoint::parse)?;
        let or = |given: &Option<String>, other: &Endpoint| match given {
            Some(text) => Endpoint::parse(text),
            None => Ok(other.clone()),
        };
        let public = or(&settings.public_endpoint, &endpoint)?;
        let download = or(&settings.download_endpoint, &public)?;

        let server = keys::open(&settings.server_key, &settings.region).await?;
        let upload = match &settings.upload_key {
            Some(key) => Some(keys::open(key, &settings.region).await?),
            None => None,
        };
        let uploading = upload.as_ref().unwrap_or(&server);

        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(
                tls::rustls_provider::CryptoMode::AwsLc,
            ))
            .build_https();
        let base = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .credentials_provider(server.provider.clone())
            .region(Region::new(settings.region.clone()))
            .endpoint_url(endpoint.url())
            .force_path_style(settings.path_style)
            // Newer checksum defaults break several stores, and all of our own bodies are tiny.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // Every body here is read under a limit of our own.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(timeouts(PATIENCE.attempt))
            .interceptor(meter::Meter)
            .build();
        // Written keys are at hand, and may be exchanged at any time.
        let base = if server.is_static {
            base.to_builder()
                .identity_cache(IdentityCache::no_cache())
                .build()
        } else {
            base
        };
        let once = base.to_builder().retry_config(RetryConfig::disabled());
        let slow = once.clone().timeout_config(timeouts(PATIENCE.copy));
        let uploader = once
            .clone()
            .credentials_provider(uploading.provider.clone());

        let (path_style, region) = (settings.path_style, &settings.region);
        let staging = &settings.staging_bucket;
        let files = &settings.files_bucket;
        let inner = Inner {
            uploads: UploadSigner::new(
                &public,
                staging,
                path_style,
                region,
                uploading.keys.clone(),
            ),
            probes: UploadSigner::new(
                &endpoint,
                staging,
                path_style,
                region,
                uploading.keys.clone(),
            ),
            downloads: DownloadSigner::new(
                &download,
                files,
                path_style,
                region,
                server.keys.clone(),
            ),
            client: Client::from_conf(base),
            once: Client::from_conf(once.build()),
            slow: Client::from_conf(slow.build()),
            uploader: Client::from_conf(uploader.build()),
            staging_bucket: settings.staging_bucket,
            files_bucket: settings.files_bucket,
            is_aws: settings.endpoint.is_none(),
            region: settings.region,
            server,
            upload,
        };
        Ok(Self(Arc::new(inner), Copying::default()))
    }

    /// Goes on with the keys of a new configuration, for its own calls and for the next URL it
    /// signs: with both or, on an error too, with none. False when it takes a restart to go
    /// from one kind of key to another.
    pub fn renew(&self, server: &Key, upload: Option<&Key>) -> Result<bool, StoreError> {
        let server = self.0.server.renewal(server)?;
        let upload = match (&self.0.upload, upload) {
            (Some(opened), Some(key)) => opened.renewal(key)?,
            (None, None) => Renewal::Stay,
            _ => Renewal::Restart,
        };
        if matches!(server, Renewal::Restart) || matches!(upload, Renewal::Restart) {
            return Ok(false);
        }
        self.0.server.renew(server);
        if let Some(opened) = &self.0.upload {
            opened.renew(upload);
        }
        Ok(true)
    }

    /// Signs one PUT of exactly `size` bytes to staging, and with `sha256` (base64 of 32 bytes)
    /// of exactly these bytes. No network. Fails only when the credentials have expired.
    pub fn presign_put(
        &self,
        staging_key: &str,
        size: u64,
        sha256: Option<&str>,
        ttl: Seconds,
        now: Timestamp,
    ) -> Result<Presigned, StoreError> {
        self.0.uploads.put(staging_key, size, sha256, ttl, now)
    }

    /// Signs one form whose file of so many bytes goes to staging. No network. Fails only when
    /// the credentials have expired.
    pub fn presign_post(
        &self,
        staging_key: &str,
        sizes: RangeInclusive<u64>,
        ttl: Seconds,
        now: Timestamp,
    ) -> Result<Form, StoreError> {
        self.0.uploads.post(staging_key, sizes, ttl, now)
    }

    /// Signs one part of a multipart upload to staging, of exactly `size` bytes where that is
    /// known. No network.
    pub fn presign_part(
        &self,
        staging_key: &str,
        upload_id: &str,
        number: u32,
        size: Option<u64>,
        ttl: Seconds,
        now: Timestamp,
    ) -> Result<Presigned, StoreError> {
        self.0
            .uploads
            .part(staging_key, upload_id, number, size, ttl, now)
    }

    /// Whether the store takes forms. Cloudflare R2 is the one that does not, and it has no other
    /// address than its own.
    pub fn takes_forms(&self) -> bool {
        !self.0.uploads.is_at("r2.cloudflarestorage.com")
    }

    /// Signs one GET of a file, answered with this `Content-Disposition` and `Content-Type`.
    /// No network.
    pub fn presign_get(
        &self,
        final_key: &str,
        content_disposition: &str,
        content_type: &str,
        ttl: Seconds,
        now: Timestamp,
    ) -> Result<Presigned, StoreError> {
        self.0
            .downloads
            .get(final_key, content_disposition, content_type, ttl, now)
    }

    /// A bucket's name at the store.
    pub fn name(&self, bucket: Bucket) -> &str {
        match bucket {
            Bucket::Staging => &self.0.staging_bucket,
            Bucket::Files => &self.0.files_bucket,
        }
    }

    /// `x-amz-copy-source` of a staging object. Staging keys need no encoding.
    fn copy_source(&self, staging_key: &str) -> String {
        format!("{}/{staging_key}", self.0.staging_bucket)
    }
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(PATIENCE.connect)
        .operation_attempt_timeout(attempt)
        .build()
}

/// An `ETag` without quotes. Some stores leave them out, so both forms mean the same.
fn bare(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

/// An `ETag` as conditions want it.
fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(access: &str, secret: &str) -> Key {
        Key::Static {
            access_key: access.into(),
            secret_key: Secret::new(secret),
        }
    }

    fn settings(endpoint: &str) -> Settings {
        Settings {
            endpoint: Some(endpoint.into()),
            public_endpoint: Some("https://uploads.example".into()),
            download_endpoint: Some("https://files.example".into()),
            region: "us-east-1".into(),
            path_style: true,
            staging_bucket: "staging".into(),
            files_bucket: "files".into(),
            server_key: key("SERVERKEY", "server-secret"),
            upload_key: Some(key("UPLOADKEY", "upload-secret")),
        }
    }

    const NOW: Timestamp = Timestamp::from_millis(1_369_353_600_000);

    #[tokio::test]
    async fn writes_are_signed_for_staging_by_the_upload_key_and_reads_for_files_by_the_servers() {
        let store = Store::connect(settings("http://store:9000")).await.unwrap();
        let put = store.presign_put("k", 1, None, Seconds(60), NOW).unwrap();
        let part = store
            .presign_part("k", "u", 1, Some(1), Seconds(60), NOW)
            .unwrap();
        for write in [put, part] {
            let url = write.url.expose();
            assert!(
                url.starts_with("https://uploads.example/staging/k?"),
                "{url}"
            );
            assert!(url.contains("X-Amz-Credential=UPLOADKEY%2F"), "{url}");
        }
        let get = store
            .presign_get("k", "inline", "image/png", Seconds(60), NOW)
            .unwrap();
        let url = get.url.expose();
        assert!(url.starts_with("https://files.example/files/k?"), "{url}");
        assert!(url.contains("X-Amz-Credential=SERVERKEY%2F"), "{url}");
    }

    #[tokio::test]
    async fn both_keys_are_exchanged_or_none() {
        let store = Store::connect(settings("http://store:9000")).await.unwrap();
        let signed_by = || {
            let put = store.presign_put("k", 1, None, Seconds(60), NOW).unwrap();
            let get = store.presign_get("k", "inline", "image/png", Seconds(60), NOW);
            [put, get.unwrap()].map(|signed| {
                let (_, credential) = signed.url.expose().split_once("X-Amz-Credential=").unwrap();
                credential.split_once("%2F").unwrap().0.to_owned()
            })
        };
        let unreadable = || Key::Static {
            access_key: "X".into(),
            secret_key: Secret::new([0xff]),
        };
        let (server, upload) = (|| key("SERVER2", "s2"), || Some(key("UPLOAD2", "u2")));
        let old = ["UPLOADKEY", "SERVERKEY"];
        for (server, upload, renewed, signers) in [
            (unreadable(), upload(), None, old),
            (server(), Some(unreadable()), None, old),
            (Key::AwsChain, upload(), Some(false), old),
            (server(), Some(Key::AwsChain), Some(false), old),
            (server(), None, Some(false), old),
            (server(), upload(), Some(true), ["UPLOAD2", "SERVER2"]),
        ] {
            let said = store.renew(&server, upload.as_ref()).ok();
            assert_eq!((said, signed_by()), (renewed, signers.map(str::to_owned)));
        }
    }

    /// A port that nobody listens on.
    fn dead_endpoint() -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    #[tokio::test]
    async fn errors_of_an_unreachable_store_say_unavailable_and_no_secret() {
        let store = Store::connect(settings(&dead_endpoint())).await.unwrap();
        let promotion = Promotion {
            staging_key: "k",
            etag: "e",
            size: 1,
            final_key: "f",
            content_type: "image/png",
            content_disposition: "attachment",
        };
        let (head_bytes, head, list, delete, promote, create, presigned) = tokio::join!(
            store.head_bytes(Bucket::Staging, "k", 10, None),
            store.head(Bucket::Files, "k"),
            store.list(Bucket::Files, "", None, 10),
            store.delete(Bucket::Staging, "k"),
            store.promote(&promotion),
            store.create_multipart("k"),
            store.try_copies("source", "target", "upload", NOW),
        );
        let errors = [
            head_bytes.unwrap_err(),
            head.unwrap_err(),
            list.unwrap_err(),
            delete.unwrap_err(),
            promote.unwrap_err(),
            create.unwrap_err(),
            presigned.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            let text = format!("{error} {error:?} {store:?}");
            assert!(text.contains("refused"), "names the cause: {text}");
            for secret in [
                "X-Amz",
                "Signature",
                "SERVERKEY",
                "UPLOADKEY",
                "secret",
                "?",
            ] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
}
