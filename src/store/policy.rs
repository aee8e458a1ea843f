//! The least that the two keys need, in the words of each kind of store, and the staging
//! bucket's rules for those who would rather set them themselves. Text only: no call is made.

use serde_json::{Value, json};

use super::setup::{CORS_MAX_AGE, LIFECYCLE_RULE};

/// A kind of store, by the language in which it is told who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Amazon S3.
    Aws,
    /// MinIO.
    Minio,
    /// Cloudflare R2.
    R2,
    /// Garage.
    Garage,
    /// SeaweedFS.
    SeaweedFs,
}

/// What the texts are about.
#[derive(Clone, Debug)]
pub struct Buckets<'a> {
    /// The bucket browsers write to.
    pub staging: &'a str,
    /// The bucket of committed files.
    pub files: &'a str,
}

/// Policies for the server's key and for the upload key, which may put objects into staging
/// and do nothing else.
pub fn iam(provider: Provider, buckets: &Buckets<'_>) -> String {
    let Buckets { staging, files } = buckets;
    match provider {
        Provider::Aws | Provider::Minio => pretty(&json!({
            "server": server_policy(buckets),
            "upload": upload_policy(staging),
        })),
        Provider::SeaweedFs => {
            let mut server = Vec::new();
            for bucket in [staging, files] {
                for action in ["Admin", "Read", "Write", "List"] {
                    server.push(format!("{action}:{bucket}"));
                }
            }
            let key = json!([{"accessKey": "", "secretKey": ""}]);
            pretty(&json!({"identities": [
                {"name": "putgate-server", "credentials": key, "actions": server},
                {"name": "putgate-upload", "credentials": key,
                 "actions": [format!("Write:{staging}")]},
            ]}))
        }
        Provider::Garage => format!(
            "garage key create putgate-server\n\
             garage key create putgate-upload\n\
             garage bucket create {staging}\n\
             garage bucket create {files}\n\
             garage bucket allow --read --write --owner {staging} --key putgate-server\n\
             garage bucket allow --read --write --owner {files} --key putgate-server\n\
             garage bucket allow --write {staging} --key putgate-upload"
        ),
        Provider::R2 => format!(
            "R2 has no policies, only API tokens, each for named buckets:\n\
             setup: \"Admin Read & Write\", for one run of `putgate setup`; or make both buckets by\n\
             hand and set what `--print cors` and `--print lifecycle` say.\n\
             server: \"Object Read & Write\" on {staging} and {files}.\n\
             upload: \"Object Read & Write\" on {staging} alone. R2 has no token that can only\n\
             write, so this one can read staging; it must never be given {files}."
        ),
    }
}

/// The CORS rule of the staging bucket, for pages of these origins.
pub fn cors(provider: Provider, origins: &[String]) -> String {
    match provider {
        Provider::Minio => format!("MINIO_API_CORS_ALLOW_ORIGIN={}", origins.join(",")),
        Provider::Aws | Provider::R2 | Provider::Garage | Provider::SeaweedFs => {
            pretty(&json!({"CORSRules": [{
                "AllowedOrigins": origins,
                "AllowedMethods": ["PUT", "POST"],
                "AllowedHeaders": ["*"],
                "ExposeHeaders": ["ETag", "Location"],
                "MaxAgeSeconds": CORS_MAX_AGE,
            }]}))
        }
    }
}

/// The lifecycle rule of the staging bucket.
pub fn lifecycle(provider: Provider, buckets: &Buckets<'_>, days: i32) -> String {
    match provider {
        Provider::Minio => format!(
            "mc ilm rule add --expire-days {days} ALIAS/{}\n{}",
            buckets.staging,
            minio_stale_uploads(days)
        ),
        Provider::Aws | Provider::R2 | Provider::Garage | Provider::SeaweedFs => {
            pretty(&json!({"Rules": [{
                "ID": LIFECYCLE_RULE,
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "Expiration": {"Days": days},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
            }]}))
        }
    }
}

/// MinIO removes unfinished multipart uploads after a day by itself, which is less than a
/// ticket may live.
pub fn minio_stale_uploads(days: i32) -> String {
    format!("MINIO_API_STALE_UPLOADS_EXPIRY={}h", days * 24)
}

/// What `serve` needs, and in a statement of its own what `setup` needs besides.
fn server_policy(buckets: &Buckets<'_>) -> Value {
    let arns: Vec<String> = [buckets.staging, buckets.files].map(arn).into();
    let objects: Vec<String> = arns.iter().map(|arn| format!("{arn}/*")).collect();
    json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "Objects", "Effect": "Allow", "Resource": objects, "Action": [
            "s3:GetObject", "s3:PutObject", "s3:DeleteObject",
            "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
        ]},
        {"Sid": "Listings", "Effect": "Allow", "Resource": arns,
         "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads"]},
        // MinIO wants `Cors` spelled so, and AWS takes any spelling.
        {"Sid": "Setup", "Effect": "Allow", "Resource": arns, "Action": [
            "s3:CreateBucket", "s3:PutBucketCors", "s3:GetLifecycleConfiguration",
            "s3:PutLifecycleConfiguration", "s3:PutBucketNotification",
        ]},
    ]})
}

fn upload_policy(staging: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{
        "Sid": "WriteStaging", "Effect": "Allow", "Action": ["s3:PutObject"],
        "Resource": [format!("{}/*", arn(staging))],
    }]})
}

fn arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
