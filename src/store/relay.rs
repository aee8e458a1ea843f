//! The relay's writes: bytes that a client posted to this server, put into staging under the
//! server's own key.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::error::from_sdk;
use super::{Store, StoreError, bare, multipart::Part};

/// How long one write of a part's size may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often a write is tried. The same bytes under the same name mean the same however often
/// they arrive, so a lost answer does no harm.
const TRIES: usize = 3;

impl Store {
    /// Puts an object into staging.
    pub async fn put(&self, staging_key: &str, bytes: Bytes) -> Result<(), StoreError> {
        persistently("PutObject", || async {
            self.0
                .slow
                .put_object()
                .bucket(&self.0.staging_bucket)
                .key(staging_key)
                .body(ByteStream::from(bytes.clone()))
                .send()
                .await
                .map(drop)
                .map_err(|error| from_sdk("PutObject", &error))
        })
        .await
    }

    /// Puts one part of a multipart upload into staging: at least 5 MiB, unless it is the last.
    pub async fn put_part(
        &self,
        staging_key: &str,
        upload_id: &str,
        number: u32,
        bytes: Bytes,
    ) -> Result<Part, StoreError> {
        persistently("UploadPart", || async {
            let answer = self
                .0
                .slow
                .upload_part()
                .bucket(&self.0.staging_bucket)
                .key(staging_key)
                .upload_id(upload_id)
                .part_number(i32::try_from(number).unwrap_or(i32::MAX))
                .body(ByteStream::from(bytes.clone()))
                .send()
                .await
                .map_err(|error| from_sdk("UploadPart", &error))?;
            Ok(Part {
                number,
                size: bytes.len() as u64,
                etag: bare(answer.e_tag()),
            })
        })
        .await
    }
}

/// Tries a write until it is done or the store has said why not.
async fn persistently<T, W>(call: &str, write: impl Fn() -> W) -> Result<T, StoreError>
where
    W: Future<Output = Result<T, StoreError>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        let late = || Err(StoreError::Unavailable(format!("{call}: timed out")));
        let done = tokio::time::timeout(PATIENCE, Box::pin(write())).await;
        match done.unwrap_or_else(|_| late()) {
            Err(StoreError::Unavailable(_)) if tries < TRIES => {}
            done => return done,
        }
    }
}
