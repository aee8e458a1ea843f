//! Multipart uploads of browsers, in staging: begin, look, finish, give up.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::error::from_sdk;
use super::{Bucket, Store, StoreError, bare, quoted};
use crate::domain::slot::MAX_PARTS;

/// A part that the store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1.
    pub number: u32,
    /// Its size in bytes.
    pub size: u64,
    /// Its `ETag`, without quotes.
    pub etag: String,
}

impl Store {
    /// Begins a multipart upload in staging; answers its id. Sent once: a lost answer leaves an
    /// upload that [`list_uploads`](Self::list_uploads) finds.
    pub async fn create_multipart(&self, staging_key: &str) -> Result<String, StoreError> {
        let call = self.0.once.create_multipart_upload();
        let answer = call
            .bucket(&self.0.staging_bucket)
            .key(staging_key)
            .send()
            .await;
        answer
            .map_err(|error| from_sdk("CreateMultipartUpload", &error))?
            .upload_id
            .ok_or_else(|| StoreError::Unavailable("CreateMultipartUpload: no upload id".into()))
    }

    /// All parts of an upload in staging, by number.
    pub async fn list_parts(
        &self,
        staging_key: &str,
        upload_id: &str,
    ) -> Result<Vec<Part>, StoreError> {
        let mut parts: Vec<Part> = Vec::new();
        let mut marker = None;
        loop {
            let page = self
                .0
                .client
                .list_parts()
                .bucket(&self.0.staging_bucket)
                .key(staging_key)
                .upload_id(upload_id)
                .set_part_number_marker(marker.take())
                .send()
                .await
                .map_err(|error| from_sdk("ListParts", &error))?;
            let before = parts.len();
            parts.extend(page.parts().iter().filter_map(|part| {
                Some(Part {
                    number: u32::try_from(part.part_number()?).ok()?,
                    size: u64::try_from(part.size()?).ok()?,
                    etag: bare(part.e_tag()),
                })
            }));
            if page.is_truncated() != Some(true) {
                break;
            }
            // A store that promises more and gives nothing would be asked for ever.
            if parts.len() == before || parts.len() as u64 > MAX_PARTS {
                return Err(StoreError::Unavailable(
                    "ListParts: pages without an end".into(),
                ));
            }
            marker = page.next_part_number_marker;
        }
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }

    /// Puts the parts of an upload in staging together. Sent once, since it may take long and
    /// cannot be repeated: after [`Unavailable`](StoreError::Unavailable) or
    /// [`NoSuchUpload`](StoreError::NoSuchUpload) the object itself says what happened.
    pub async fn complete_multipart(
        &self,
        staging_key: &str,
        upload_id: &str,
        parts: &[Part],
    ) -> Result<(), StoreError> {
        complete(
            &self.0.slow,
            &self.0.staging_bucket,
            staging_key,
            upload_id,
            parts,
        )
        .await
    }

    /// Gives an upload up and frees its parts; one that is not there is fine.
    pub async fn abort_multipart(
        &self,
        bucket: Bucket,
        key: &str,
        upload_id: &str,
    ) -> Result<(), StoreError> {
        let call = self.0.client.abort_multipart_upload();
        match call
            .bucket(self.name(bucket))
            .key(key)
            .upload_id(upload_id)
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => match from_sdk("AbortMultipartUpload", &error) {
                StoreError::NoSuchUpload => Ok(()),
                error => Err(error),
            },
        }
    }

    /// The ids of unfinished uploads to exactly this key. No other listing of uploads is
    /// answered alike by all stores.
    pub async fn list_uploads(&self, bucket: Bucket, key: &str) -> Result<Vec<String>, StoreError> {
        let mut ids: Vec<String> = Vec::new();
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let asked = id_marker.clone();
            let page = self
                .0
                .client
                .list_multipart_uploads()
                .bucket(self.name(bucket))
                .prefix(key)
                .set_key_marker(key_marker.take())
                .set_upload_id_marker(id_marker.take())
                .send()
                .await
                .map_err(|error| from_sdk("ListMultipartUploads", &error))?;
            let mine = page
                .uploads()
                .iter()
                .filter(|upload| upload.key() == Some(key));
            ids.extend(mine.filter_map(|upload| upload.upload_id().map(str::to_owned)));
            // Longer keys with this prefix sort after it.
            let past = page
                .uploads()
                .iter()
                .any(|upload| upload.key() != Some(key));
            if page.is_truncated() != Some(true) || past {
                return Ok(ids);
            }
            // A store that promises more and does not move would be asked for ever.
            let moved = page.next_upload_id_marker.is_some() && page.next_upload_id_marker != asked;
            if page.uploads().is_empty() || !moved {
                return Err(StoreError::Unavailable(
                    "ListMultipartUploads: pages without an end".into(),
                ));
            }
            (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
        }
    }
}

/// Completes an upload in either bucket.
pub(super) async fn complete(
    client: &Client,
    bucket: &str,
    key: &str,
    upload_id: &str,
    parts: &[Part],
) -> Result<(), StoreError> {
    let parts = parts
        .iter()
        .map(|part| {
            CompletedPart::builder()
                .part_number(i32::try_from(part.number).unwrap_or(i32::MAX))
                .e_tag(quoted(&part.etag))
                .build()
        })
        .collect();
    let call = client
        .complete_multipart_upload()
        .bucket(bucket)
        .key(key)
        .upload_id(upload_id);
    let list = CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    let answer = call.multipart_upload(list).send().await;
    let done = answer.map_err(|error| from_sdk("CompleteMultipartUpload", &error))?;
    match done.e_tag() {
        Some(_) => Ok(()),
        None => Err(StoreError::Unavailable(
            "CompleteMultipartUpload: 200 without a result".into(),
        )),
    }
}
