//! Listing and deleting: what sweep and audit need.

use aws_sdk_s3::types::EncodingType;
use percent_encoding::percent_decode_str;

use super::error::from_sdk;
use super::{Bucket, Store, StoreError, bare};
use crate::domain::time::Timestamp;

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written, by the store's clock.
    pub last_modified: Timestamp,
    /// Its `ETag`, without quotes.
    pub etag: String,
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The objects, in the store's order.
    pub objects: Vec<Object>,
    /// What to pass as `after` for the next page; `None`: this was the last.
    pub next: Option<String>,
}

impl Store {
    /// Up to `max` (at most 1000) objects whose keys begin with `prefix` and come after `after`.
    pub async fn list(
        &self,
        bucket: Bucket,
        prefix: &str,
        after: Option<&str>,
        max: u32,
    ) -> Result<Page, StoreError> {
        let answer = self
            .0
            .client
            .list_objects_v2()
            .bucket(self.name(bucket))
            .prefix(prefix)
            .set_start_after(after.map(str::to_owned))
            .max_keys(i32::try_from(max.clamp(1, 1000)).unwrap_or(1000))
            // A key may hold characters that XML cannot.
            .encoding_type(EncodingType::Url)
            .send()
            .await
            .map_err(|error| from_sdk("ListObjectsV2", &error))?;
        let encoded = answer.encoding_type() == Some(&EncodingType::Url);
        let objects: Vec<Object> = answer
            .contents()
            .iter()
            .map(|object| Object {
                key: decode(object.key().unwrap_or_default(), encoded),
                size: object
                    .size()
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or(0),
                last_modified: object
                    .last_modified()
                    .and_then(|at| at.to_millis().ok())
                    .map(Timestamp::from_millis)
                    .unwrap_or_default(),
                etag: bare(object.e_tag()),
            })
            .collect();
        let more = answer.is_truncated() == Some(true);
        if more && objects.is_empty() {
            let words = "ListObjectsV2: an empty page that is not the last";
            return Err(StoreError::Unavailable(words.into()));
        }
        let next = objects.last().filter(|_| more).map(|last| last.key.clone());
        Ok(Page { objects, next })
    }

    /// Deletes an object; one that is not there is fine.
    pub async fn delete(&self, bucket: Bucket, key: &str) -> Result<(), StoreError> {
        let call = self
            .0
            .client
            .delete_object()
            .bucket(self.name(bucket))
            .key(key);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => match from_sdk("DeleteObject", &error) {
                StoreError::Missing => Ok(()),
                error => Err(error),
            },
        }
    }
}

/// The key behind `encoding-type=url`, which writes a space as `+`.
fn decode(key: &str, encoded: bool) -> String {
    if encoded {
        percent_decode_str(&key.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    } else {
        key.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_keys_are_decoded_only_when_the_store_encoded_them() {
        assert_eq!(decode("a+b%2Bc%C3%BC/d", true), "a b+cü/d");
        assert_eq!(decode("a+b%2Bc", false), "a+b%2Bc");
    }
}
