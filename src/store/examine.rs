//! What `putgate doctor` asks of a store and the server itself never needs.
//!
//! Nothing here signs a URL: what the upload key may do besides uploading is tried by calls
//! of this process, so no URL that could write to the files bucket ever exists.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ExpirationStatus, LifecycleRule, LifecycleRuleAndOperator, LifecycleRuleFilter,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::error::from_sdk;
use super::{Bucket, Store, StoreError};
use crate::domain::time::Timestamp;

/// What the holder of the upload key could try beyond uploading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Read an object.
    Read(Bucket),
    /// List a bucket.
    List(Bucket),
    /// Write an object to staging, which it has to be able to do.
    WriteStaging,
    /// Write an object to the files bucket.
    WriteFiles,
}

/// What a listing by the server's key tells of a bucket and of its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketLook {
    /// Whether it can be listed, or why not.
    pub listed: Result<(), StoreError>,
    /// The S3 error code, when the store refused with one.
    pub code: Option<String>,
    /// The region that the store names, when it names one.
    pub region: Option<String>,
    /// The `Date` of the answer, as it was sent.
    pub date: Option<String>,
}

/// A bucket's lifecycle rule, as far as it ends something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndRule {
    /// Whether it is in force.
    pub is_on: bool,
    /// How the keys begin that it is about; empty: all.
    pub prefix: String,
    /// Whether it is about some of those only, by size or tag.
    pub is_narrow: bool,
    /// After how many days objects end, at least 1; 0: from a date on.
    pub objects: Option<u32>,
    /// After how many days unfinished multipart uploads end.
    pub uploads: Option<u32>,
}

impl Store {
    /// Tries `deed` with the key that browser URLs are signed with, on `key`, which has to be
    /// there for reading. `true`: the store let it happen; what it wrote is for the caller to
    /// delete.
    pub async fn uploader_may(&self, deed: Deed, key: &str) -> Result<bool, StoreError> {
        let client = &self.0.uploader;
        let refused = match deed {
            Deed::Read(bucket) => {
                let call = client.get_object().bucket(self.name(bucket)).key(key);
                match call.send().await {
                    Ok(_) => return Ok(true),
                    Err(error) => from_sdk("GetObject", &error),
                }
            }
            Deed::List(bucket) => {
                let call = client.list_objects_v2().bucket(self.name(bucket));
                match call.max_keys(1).send().await {
                    Ok(_) => return Ok(true),
                    Err(error) => from_sdk("ListObjectsV2", &error),
                }
            }
            Deed::WriteStaging | Deed::WriteFiles => {
                let bucket = match deed {
                    Deed::WriteStaging => Bucket::Staging,
                    _ => Bucket::Files,
                };
                let call = client.put_object().bucket(self.name(bucket));
                let body = ByteStream::from_static(b"putgate doctor: by the upload key");
                match call.key(key).body(body).send().await {
                    Ok(_) => return Ok(true),
                    Err(error) => from_sdk("PutObject", &error),
                }
            }
        };
        match refused {
            StoreError::Refused(_) => Ok(false),
            other => Err(other),
        }
    }

    /// Writes an object with the server's key.
    pub async fn leave(
        &self,
        bucket: Bucket,
        key: &str,
        bytes: &'static [u8],
    ) -> Result<(), StoreError> {
        let call = self.0.once.put_object().bucket(self.name(bucket)).key(key);
        match call.body(ByteStream::from_static(bytes)).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(from_sdk("PutObject", &error)),
        }
    }

    /// Lists one object of a bucket, and keeps what the answer says besides.
    pub async fn look_at(&self, bucket: Bucket) -> BucketLook {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let call = self.0.client.list_objects_v2().bucket(self.name(bucket));
        let answer = call
            .max_keys(1)
            .customize()
            .interceptor(Listen(Arc::clone(&heard)))
            .send()
            .await;
        let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        let (listed, code) = match &answer {
            Ok(_) => (Ok(()), None),
            Err(error) => (Err(from_sdk("ListObjectsV2", error)), heard.code),
        };
        BucketLook {
            listed,
            code,
            region: heard.region,
            date: heard.date,
        }
    }

    /// The lifecycle rules of a bucket; `None`: the store has no such rules.
    pub async fn lifecycle(&self, bucket: Bucket) -> Result<Option<Vec<EndRule>>, StoreError> {
        let call = self.0.client.get_bucket_lifecycle_configuration();
        match call.bucket(self.name(bucket)).send().await {
            Ok(rules) => Ok(Some(rules.rules().iter().map(end_rule).collect())),
            Err(error) => match status(&error) {
                Some(404) => Ok(Some(Vec::new())),
                Some(501) => Ok(None),
                _ => Err(from_sdk("GetBucketLifecycleConfiguration", &error)),
            },
        }
    }

    /// Whether a GET of the first `n` bytes of a larger object is answered with those alone.
    pub async fn answers_ranges(
        &self,
        bucket: Bucket,
        key: &str,
        n: u64,
    ) -> Result<bool, StoreError> {
        let call = self.0.client.get_object().bucket(self.name(bucket));
        let answer = call
            .key(key)
            .range(format!("bytes=0-{}", n.saturating_sub(1)))
            .send()
            .await
            .map_err(|error| from_sdk("GetObject", &error))?;
        let length = answer.content_length().and_then(|n| u64::try_from(n).ok());
        Ok(answer.content_range().is_some() && length == Some(n))
    }

    /// The names of an object's user metadata (`x-amz-meta-…`), which no file has.
    pub async fn metadata_names(
        &self,
        bucket: Bucket,
        key: &str,
    ) -> Result<Vec<String>, StoreError> {
        let call = self.0.client.head_object().bucket(self.name(bucket));
        let head = call
            .key(key)
            .send()
            .await
            .map_err(|error| from_sdk("HeadObject", &error))?;
        let mut names: Vec<String> = head
            .metadata()
            .map(|all| all.keys().cloned().collect())
            .unwrap_or_default();
        names.sort();
        Ok(names)
    }

    /// When the keys in use end: the server's, and the one that browser URLs are signed with.
    pub fn keys_end(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.0.downloads.keys_end(), self.0.uploads.keys_end())
    }
}

fn end_rule(rule: &LifecycleRule) -> EndRule {
    #[expect(deprecated, reason = "old rules have their prefix there still")]
    let own = rule.prefix();
    let filter = rule.filter();
    let both = filter.and_then(LifecycleRuleFilter::and);
    let inner = filter.and_then(LifecycleRuleFilter::prefix);
    let prefix = both.and_then(LifecycleRuleAndOperator::prefix).or(inner);
    let by_size = filter.is_some_and(|filter| {
        filter.object_size_greater_than().is_some() || filter.object_size_less_than().is_some()
    });
    let days = |days: Option<i32>| days.and_then(|days| u32::try_from(days).ok());
    let objects = rule.expiration().and_then(|ends| {
        let from_a_date = ends.date().map(|_| 0);
        days(ends.days()).filter(|days| *days > 0).or(from_a_date)
    });
    let uploads = rule.abort_incomplete_multipart_upload();
    EndRule {
        is_on: *rule.status() == ExpirationStatus::Enabled,
        prefix: prefix.or(own).unwrap_or_default().to_owned(),
        is_narrow: both.is_some() || by_size || filter.and_then(LifecycleRuleFilter::tag).is_some(),
        objects,
        uploads: uploads.and_then(|ends| days(ends.days_after_initiation())),
    }
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

/// What an answer says beside what the SDK makes of it.
#[derive(Debug, Default)]
struct Heard {
    date: Option<String>,
    region: Option<String>,
    code: Option<String>,
}

/// Reads the last answer's head, and of an error's body the code and the region: stores say
/// there which region they would have liked.
#[derive(Debug)]
struct Listen(Arc<Mutex<Heard>>);

impl Intercept for Listen {
    fn name(&self) -> &'static str {
        "Listen"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response();
        let header = |name: &str| answer.headers().get(name).map(str::to_owned);
        let body = answer.body().bytes().unwrap_or_default();
        let body = String::from_utf8_lossy(&body[..body.len().min(4096)]);
        let region = header("x-amz-bucket-region").or_else(|| element(&body, "Region"));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Heard {
            date: header("date"),
            region: region.filter(|name| is_region(name)),
            code: element(&body, "Code").filter(|code| is_region(code)),
        };
        Ok(())
    }
}

/// A store's words are printed only when they look like a region or a code.
fn is_region(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

/// The text of the first XML element of this name.
fn element(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_region_or_a_code_is_repeated() {
        let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>garage</Region>\
                    <Message>http://s/?X-Amz-Signature=a</Message></Error>";
        assert_eq!(element(body, "Region").as_deref(), Some("garage"));
        assert_eq!(element(body, "Nothing"), None);
        assert!(is_region("eu-central-1") && is_region("NoSuchBucket"));
        assert!(!is_region("") && !is_region("a b") && !is_region("?X-Amz-Signature=a"));
    }
}
