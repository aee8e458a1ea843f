//! Promote: a server-side copy from staging to the final key, pinned to the judged `ETag`.
//!
//! Nothing here is tried twice: an attempt whose answer was lost is over, and the next one
//! takes a new final key, so a copy that arrives late is only debris.

use aws_sdk_s3::types::{MetadataDirective, TaggingDirective};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::error::from_sdk;
use super::multipart::{Part, complete};
use super::{Store, StoreError, bare, quoted};
use crate::domain::slot::MAX_PARTS;

/// What is promoted by one copy call, and what by parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copying {
    /// The largest object, in bytes, that one call copies; larger ones go by parts, so that no
    /// call takes longer than the store is waited for.
    pub single_max: u64,
    /// The bytes of such a part.
    pub part: u64,
}

impl Default for Copying {
    fn default() -> Self {
        Self {
            single_max: 1024 * 1024 * 1024,
            part: 256 * 1024 * 1024,
        }
    }
}

const COPIES_AT_ONCE: usize = 4;

/// What is promoted, from where to where, and as what. Everything else that the uploader may
/// have sent along (tags, cache headers, encodings) is left behind.
#[derive(Clone, Copy, Debug)]
pub struct Promotion<'a> {
    /// The object in staging.
    pub staging_key: &'a str,
    /// The `ETag` that was judged, without quotes.
    pub etag: &'a str,
    /// Its size in bytes.
    pub size: u64,
    /// The key in the files bucket; written at most once.
    pub final_key: &'a str,
    /// The detected type.
    pub content_type: &'a str,
    /// The safe `Content-Disposition`.
    pub content_disposition: &'a str,
}

impl Store {
    /// The same store with other bounds: those who try what befalls a promotion by parts
    /// need no gigabytes.
    #[must_use]
    pub fn copying(self, copying: Copying) -> Self {
        Self(self.0, copying)
    }

    /// Whether [`promote`](Self::promote) is for an object of so many bytes; larger ones go by
    /// [`create_copy`](Self::create_copy) and [`copy_parts`](Self::copy_parts).
    pub fn copies_at_once(&self, size: u64) -> bool {
        size <= self.1.single_max
    }

    /// Copies an object to its final key in one call, if it is not too large for that
    /// ([`copies_at_once`](Self::copies_at_once)).
    /// [`StoreError::Changed`]: staging no longer holds what was judged.
    pub async fn promote(&self, promotion: &Promotion<'_>) -> Result<(), StoreError> {
        let answer = self
            .0
            .slow
            .copy_object()
            .bucket(&self.0.files_bucket)
            .key(promotion.final_key)
            .copy_source(self.copy_source(promotion.staging_key))
            .copy_source_if_match(quoted(promotion.etag))
            .metadata_directive(MetadataDirective::Replace)
            .tagging_directive(TaggingDirective::Replace)
            .content_type(promotion.content_type)
            .content_disposition(promotion.content_disposition)
            .send()
            .await
            .map_err(|error| from_sdk("CopyObject", &error))?;
        match answer
            .copy_object_result()
            .and_then(|result| result.e_tag())
        {
            Some(_) => Ok(()),
            None => Err(StoreError::Unavailable(
                "CopyObject: 200 without a result".into(),
            )),
        }
    }

    /// Begins the promotion of a larger object; answers the upload id, which the caller keeps
    /// before the first part.
    pub async fn create_copy(&self, promotion: &Promotion<'_>) -> Result<String, StoreError> {
        let call = self.0.once.create_multipart_upload();
        call.bucket(&self.0.files_bucket)
            .key(promotion.final_key)
            .content_type(promotion.content_type)
            .content_disposition(promotion.content_disposition)
            .send()
            .await
            .map_err(|error| from_sdk("CreateMultipartUpload", &error))?
            .upload_id
            .ok_or_else(|| StoreError::Unavailable("CreateMultipartUpload: no upload id".into()))
    }

    /// Copies all parts, four at a time, and puts them together. `keep_going` is asked before
    /// each call; after its first `false` nothing more is sent ([`StoreError::Stopped`]).
    /// On any error the upload remains, for [`abort_multipart`](Self::abort_multipart).
    pub async fn copy_parts(
        &self,
        promotion: &Promotion<'_>,
        upload_id: &str,
        keep_going: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        let go_on = || {
            if keep_going() {
                Ok(())
            } else {
                Err(StoreError::Stopped)
            }
        };
        let copies = ranges(promotion.size, self.1.part)
            .into_iter()
            .map(|range| async move {
                go_on()?;
                self.copy_part(promotion, upload_id, range).await
            });
        let mut parts: Vec<Part> = stream::iter(copies)
            .buffer_unordered(COPIES_AT_ONCE)
            .try_collect()
            .await?;
        parts.sort_by_key(|part| part.number);
        go_on()?;
        complete(
            &self.0.slow,
            &self.0.files_bucket,
            promotion.final_key,
            upload_id,
            &parts,
        )
        .await
    }

    async fn copy_part(
        &self,
        promotion: &Promotion<'_>,
        upload_id: &str,
        (number, first, last): (u32, u64, u64),
    ) -> Result<Part, StoreError> {
        let answer = self
            .0
            .slow
            .upload_part_copy()
            .bucket(&self.0.files_bucket)
            .key(promotion.final_key)
            .upload_id(upload_id)
            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
            .copy_source(self.copy_source(promotion.staging_key))
            .copy_source_range(format!("bytes={first}-{last}"))
            .copy_source_if_match(quoted(promotion.etag))
            .send()
            .await
            .map_err(|error| from_sdk("UploadPartCopy", &error))?;
        match answer.copy_part_result().and_then(|result| result.e_tag()) {
            Some(etag) => Ok(Part {
                number,
                size: last - first + 1,
                etag: bare(Some(etag)),
            }),
            None => Err(StoreError::Unavailable(
                "UploadPartCopy: 200 without a result".into(),
            )),
        }
    }
}

/// Number, first and last byte of each part: equal parts of `part` bytes, or larger where
/// there would be too many of them.
fn ranges(size: u64, part: u64) -> Vec<(u32, u64, u64)> {
    let part = part.max(size.div_ceil(MAX_PARTS));
    (1..)
        .zip((0..size).step_by(usize::try_from(part).unwrap_or(usize::MAX)))
        .map(|(number, first)| (number, first, (first + part).min(size) - 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::slot::{MAX_OBJECT_SIZE, MAX_PUT_SIZE, MIN_PART_SIZE};

    #[test]
    fn the_parts_of_a_copy_cover_every_byte_once_and_fit_s3() {
        let Copying { single_max, part } = Copying::default();
        for size in [
            1,
            single_max + 1,
            2 * single_max,
            10_000_000_000,
            MAX_OBJECT_SIZE,
        ] {
            let ranges = ranges(size, part);
            assert!(
                ranges.len() as u64 <= MAX_PARTS,
                "{size}: {} parts",
                ranges.len()
            );
            let mut next = 0;
            for (i, &(number, first, last)) in ranges.iter().enumerate() {
                assert_eq!((number as usize, first), (i + 1, next), "{size}");
                let length = last - first + 1;
                assert!(
                    length <= MAX_PUT_SIZE && (last + 1 == size || length >= MIN_PART_SIZE),
                    "{size}"
                );
                next = last + 1;
            }
            assert_eq!(next, size);
        }
    }
}
