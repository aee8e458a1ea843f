//! Whether a store lets an uploader turn a presigned PUT into a copy.
//!
//! Several stores take an *unsigned* `x-amz-copy-source` on a presigned PUT or part, and then
//! copy whatever the signing key may read. Where browser URLs are signed with the server's own
//! key, that is every object; so it is tried out, not looked up in a list of vendors.

use std::sync::{Arc, Mutex};

use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::ByteStream;

use super::{Bucket, Presigned, Store, StoreError};
use crate::clock::Clock;
use crate::domain::time::{Seconds, Timestamp};

const SOURCE: &[u8] = b"putgate probe: this must not be copied";
const BODY: &[u8] = b"putgate probe: an ordinary body";
const TTL: Seconds = Seconds(60);

impl Store {
    /// Tries, with the key that browser URLs are signed with, a presigned PUT and a presigned
    /// part that carry an unsigned `x-amz-copy-source`. `true`: the store refused both and
    /// copied nothing. Ordinary ones are sent first: a store that refuses those proves nothing,
    /// and is an error. Writes only to staging, and cleans up.
    pub async fn probe_copy_source(&self) -> Result<bool, StoreError> {
        let now = Clock::System.now();
        let name = format!("putgate-probe-{}-{}", now.millis(), std::process::id());
        let (source, target) = (format!("{name}-source"), format!("{name}-target"));
        let upload_id = self.create_multipart(&target).await?;
        let answer = self.try_copies(&source, &target, &upload_id, now).await;
        let aborted = self
            .abort_multipart(Bucket::Staging, &target, &upload_id)
            .await;
        let removed = (
            self.delete(Bucket::Staging, &source).await,
            self.delete(Bucket::Staging, &target).await,
        );
        let safe = answer?;
        aborted.and(removed.0).and(removed.1)?;
        Ok(safe)
    }

    /// Whether an object that is written to staging now can be read back. `true` is the proof
    /// that a refusal to read another one is about that one: keys, policies and encryption
    /// let this server read. It is deleted again, if the store lets it.
    pub async fn reads_back(&self, key: &str) -> Result<bool, StoreError> {
        let put = self.0.once.put_object();
        let put = put.bucket(&self.0.staging_bucket).key(key);
        let written = put.body(ByteStream::from_static(BODY)).send().await;
        let read = match written {
            Ok(_) => {
                let all = BODY.len() as u64;
                self.head_bytes(Bucket::Staging, key, all, None).await
            }
            Err(error) => Err(super::error::from_sdk("PutObject", &error)),
        };
        self.delete(Bucket::Staging, key).await?;
        read.map(|peek| peek.bytes == BODY)
    }

    pub(super) async fn try_copies(
        &self,
        source: &str,
        target: &str,
        upload_id: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let put = |key, body: &[u8]| self.0.probes.put(key, body.len() as u64, None, TTL, now);
        let part = |number| {
            let length = BODY.len() as u64;
            self.0
                .probes
                .part(target, upload_id, number, Some(length), TTL, now)
        };
        let copy_source = self.copy_source(source);

        let controls = [(put(source, SOURCE)?, SOURCE), (part(1)?, BODY)];
        for (request, body) in controls {
            let status = self.send_raw(&request, body, None).await?;
            if !(200..300).contains(&status) {
                let words = format!("an ordinary presigned PUT was answered with {status}");
                return Err(StoreError::Refused(words));
            }
        }
        let mut refused = true;
        for request in [put(target, BODY)?, part(2)?] {
            match self.send_raw(&request, BODY, Some(&copy_source)).await? {
                400..=499 => {}
                200..=299 => refused = false,
                status => {
                    let words = format!("a PUT with a copy source was answered with {status}");
                    return Err(StoreError::Unavailable(words));
                }
            }
        }
        let untouched = self.head(Bucket::Staging, target).await?.is_none();
        let parts = self.list_parts(target, upload_id).await?;
        Ok(refused && untouched && parts.iter().all(|part| part.number == 1))
    }

    /// Sends a presigned PUT as a browser would, through the SDK's connections; answers the
    /// status. Whatever the SDK itself would sign or add is taken off again.
    async fn send_raw(
        &self,
        request: &Presigned,
        body: &'static [u8],
        copy_source: Option<&str>,
    ) -> Result<u16, StoreError> {
        let status = Arc::new(Mutex::new(None));
        let raw = Raw {
            url: request.url.expose().to_owned(),
            copy_source: copy_source.map(str::to_owned),
            status: status.clone(),
        };
        let call = self
            .0
            .once
            .put_object()
            .bucket(&self.0.staging_bucket)
            .key("probe");
        let answer = call
            .body(ByteStream::from_static(body))
            .customize()
            .interceptor(raw)
            .send()
            .await;
        let status = *status
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match (status, answer) {
            (Some(status), _) => Ok(status),
            (None, Err(error)) => Err(super::error::from_sdk("PutObject", &error)),
            (None, Ok(_)) => Err(StoreError::Unavailable("PutObject: no status".into())),
        }
    }
}

/// Puts a presigned request in the place of the SDK's own, just before it leaves.
struct Raw {
    url: String,
    copy_source: Option<String>,
    status: Arc<Mutex<Option<u16>>>,
}

// Not derived: the URL is a password.
impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Raw(…)")
    }
}

impl Intercept for Raw {
    fn name(&self) -> &'static str {
        "Raw"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        request.set_uri(self.url.as_str())?;
        let headers = request.headers_mut();
        let names: Vec<String> = headers.iter().map(|(name, _)| name.to_owned()).collect();
        for name in names.iter().filter(|name| *name != "content-length") {
            headers.remove(name);
        }
        if let Some(source) = &self.copy_source {
            headers.insert("x-amz-copy-source", source.clone());
        }
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut status = self
            .status
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *status = Some(context.response().status().as_u16());
        Ok(())
    }
}
