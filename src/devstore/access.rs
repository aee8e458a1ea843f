//! Who may do what: the server's key everything, the upload key only upload.

use s3s::S3Result;
use s3s::access::{S3Access, S3AccessContext};
use s3s::s3_error;

/// The ids of the two keys, and the one bucket the second may upload to.
pub(super) struct Keys {
    pub(super) server: String,
    pub(super) upload: String,
    pub(super) upload_bucket: String,
}

impl Keys {
    /// Whether the holder of this key may do this operation (by S3's name) on this bucket.
    fn allow(&self, key: Option<&str>, operation: &str, bucket: Option<&str>) -> bool {
        match key {
            Some(key) if key == self.server => true,
            Some(key) if key == self.upload => {
                let uploads = matches!(operation, "PutObject" | "UploadPart" | "PostObject");
                uploads && bucket == Some(self.upload_bucket.as_str())
            }
            _ => false,
        }
    }
}

#[async_trait::async_trait]
impl S3Access for Keys {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let key = cx
            .credentials()
            .map(|credentials| credentials.access_key.as_str());
        let (operation, bucket) = (cx.s3_op().name(), cx.s3_path().get_bucket_name());
        if self.allow(key, operation, bucket) {
            Ok(())
        } else {
            Err(s3_error!(
                AccessDenied,
                "This key may not do {operation} here."
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upload_key_only_writes_and_only_to_its_bucket() {
        let keys = Keys {
            server: "S".into(),
            upload: "U".into(),
            upload_bucket: "staging".into(),
        };
        let cases = [
            (Some("S"), "GetObject", Some("final"), true),
            (Some("U"), "PutObject", Some("staging"), true),
            (Some("U"), "UploadPart", Some("staging"), true),
            (Some("U"), "PostObject", Some("staging"), true),
            (Some("U"), "PutObject", Some("final"), false),
            (Some("U"), "GetObject", Some("staging"), false),
            (Some("U"), "CopyObject", Some("staging"), false),
            (Some("U"), "UploadPartCopy", Some("staging"), false),
            (Some("U"), "CreateMultipartUpload", Some("staging"), false),
            (Some("U"), "ListObjectsV2", Some("staging"), false),
            (Some("U"), "DeleteObject", Some("staging"), false),
            (Some("U"), "ListBuckets", None, false),
            (Some("X"), "PutObject", Some("staging"), false),
            (None, "PutObject", Some("staging"), false),
        ];
        for (key, operation, bucket, expected) in cases {
            let allowed = keys.allow(key, operation, bucket);
            assert_eq!(allowed, expected, "{key:?} {operation} {bucket:?}");
        }
    }
}
