//! What `putgate setup` does at a store: buckets, and the rules of the staging bucket.
//!
//! Every call says the same thing when it is repeated. A store that lacks one answers
//! [`Outcome::Unsupported`]; what to set there instead is the caller's to say.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    CorsConfiguration, CorsRule, CreateBucketConfiguration, Event, ExpirationStatus,
    LifecycleExpiration, LifecycleRule, LifecycleRuleFilter, NotificationConfiguration,
    QueueConfiguration,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::error::from_sdk;
use super::{Bucket, Store, StoreError};

/// How long a browser may remember a CORS answer, in seconds.
pub const CORS_MAX_AGE: i32 = 3600;
/// The name of the staging bucket's one lifecycle rule.
pub const LIFECYCLE_RULE: &str = "putgate-staging";
/// The name of the staging bucket's one notification.
pub const NOTIFICATION: &str = "putgate";

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was so already.
    Kept,
    /// It is so now.
    Done,
    /// The store took the rule and dropped its part about unfinished multipart uploads.
    WithoutAborts,
    /// The store has no such call.
    Unsupported,
}

impl Store {
    /// Makes a bucket, unless it is there. [`StoreError::Refused`]: somebody else has that
    /// name, or the server's key may not.
    pub async fn ensure_bucket(&self, bucket: Bucket) -> Result<Outcome, StoreError> {
        let name = self.name(bucket);
        match self.0.client.head_bucket().bucket(name).send().await {
            Ok(_) => return Ok(Outcome::Kept),
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(from_sdk("HeadBucket", &error)),
        }
        let mut call = self.0.client.create_bucket().bucket(name);
        if self.0.is_aws && self.0.region != "us-east-1" {
            let place = BucketLocationConstraint::from(self.0.region.as_str());
            let place = CreateBucketConfiguration::builder().location_constraint(place);
            call = call.create_bucket_configuration(place.build());
        }
        match call.send().await {
            Ok(_) => Ok(Outcome::Done),
            // Another setup was faster.
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(Outcome::Kept),
            Err(error) => Err(from_sdk("CreateBucket", &error)),
        }
    }

    /// Lets pages of these origins, and of no others, PUT and POST to staging.
    pub async fn ensure_cors(&self, origins: &[String]) -> Result<Outcome, StoreError> {
        let rule = CorsRule::builder()
            .set_allowed_origins(Some(origins.to_vec()))
            .allowed_methods("PUT")
            .allowed_methods("POST")
            .allowed_headers("*")
            .expose_headers("ETag")
            .expose_headers("Location")
            .max_age_seconds(CORS_MAX_AGE)
            .build()
            .map_err(|error| StoreError::Settings(error.to_string()))?;
        let rules = CorsConfiguration::builder()
            .cors_rules(rule)
            .build()
            .map_err(|error| StoreError::Settings(error.to_string()))?;
        let call = self
            .0
            .client
            .put_bucket_cors()
            .bucket(&self.0.staging_bucket)
            .cors_configuration(rules);
        outcome("PutBucketCors", call.send().await)
    }

    /// Lets whatever is older than `days` end in staging, unfinished multipart uploads
    /// included. It reads the rule back, since a store may take one that it does not keep.
    pub async fn ensure_lifecycle(&self, days: i32) -> Result<Outcome, StoreError> {
        let wrong = |error: aws_sdk_s3::error::BuildError| StoreError::Settings(error.to_string());
        let aborts = AbortIncompleteMultipartUpload::builder().days_after_initiation(days);
        let rule = LifecycleRule::builder()
            .id(LIFECYCLE_RULE)
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .expiration(LifecycleExpiration::builder().days(days).build())
            .abort_incomplete_multipart_upload(aborts.build())
            .build()
            .map_err(wrong)?;
        let rules = BucketLifecycleConfiguration::builder().rules(rule).build();
        let call = self
            .0
            .client
            .put_bucket_lifecycle_configuration()
            .bucket(&self.0.staging_bucket)
            .lifecycle_configuration(rules.map_err(wrong)?);
        let put = outcome("PutBucketLifecycleConfiguration", call.send().await)?;
        if put != Outcome::Done {
            return Ok(put);
        }
        let kept = self
            .0
            .client
            .get_bucket_lifecycle_configuration()
            .bucket(&self.0.staging_bucket)
            .send()
            .await
            .map_err(|error| from_sdk("GetBucketLifecycleConfiguration", &error))?;
        let Some(kept) = kept.rules().iter().find(|rule| {
            let after = rule.expiration().and_then(LifecycleExpiration::days);
            after == Some(days)
        }) else {
            let words = "PutBucketLifecycleConfiguration: the rule was taken and is not there";
            return Err(StoreError::Refused(words.into()));
        };
        Ok(match kept.abort_incomplete_multipart_upload() {
            Some(_) => Outcome::Done,
            None => Outcome::WithoutAborts,
        })
    }

    /// Sends word of every object that is made in staging to `target`, the ARN of a queue.
    pub async fn ensure_notification(&self, target: &str) -> Result<Outcome, StoreError> {
        let queue = QueueConfiguration::builder()
            .id(NOTIFICATION)
            .queue_arn(target)
            .events(Event::S3ObjectCreated)
            .build()
            .map_err(|error| StoreError::Settings(error.to_string()))?;
        let call = self
            .0
            .client
            .put_bucket_notification_configuration()
            .bucket(&self.0.staging_bucket)
            .notification_configuration(
                NotificationConfiguration::builder()
                    .queue_configurations(queue)
                    .build(),
            );
        outcome("PutBucketNotificationConfiguration", call.send().await)
    }
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

/// A step's answer; that of a store which does not know the call is no error.
fn outcome<T, E>(
    call: &str,
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> Result<Outcome, StoreError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match answer {
        Ok(_) => Ok(Outcome::Done),
        Err(error) if status(&error) == Some(501) || error.code() == Some("NotImplemented") => {
            Ok(Outcome::Unsupported)
        }
        Err(error) => Err(from_sdk(call, &error)),
    }
}
