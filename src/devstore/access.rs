//! Whose keys are known, and who may do what: a server's key everything, an upload key only
//! upload.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

use super::faults::{Faults, Lax};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Server,
    /// `PutObject`, `UploadPart` and forms, in one bucket.
    Upload,
}

/// The keys by their ids. Clones are the same ring.
#[derive(Clone, Default)]
pub(super) struct Ring(Arc<RwLock<BTreeMap<String, (Role, SecretKey)>>>);

impl Ring {
    /// Knows a key from now on; false when its id is known already.
    pub(super) fn add(&self, role: Role, id: &str, secret: &str) -> bool {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = !keys.contains_key(id);
        if is_new {
            keys.insert(id.to_owned(), (role, secret.into()));
        }
        is_new
    }

    /// Forgets a key; whether it was known.
    pub(super) fn remove(&self, id: &str) -> bool {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.remove(id).is_some()
    }

    fn get(&self, id: &str) -> Option<(Role, SecretKey)> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(id).cloned()
    }
}

#[async_trait::async_trait]
impl S3Auth for Ring {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.get(access_key) {
            Some((_, secret)) => Ok(secret),
            None => Err(s3_error!(
                InvalidAccessKeyId,
                "The access key id is not known here."
            )),
        }
    }
}

/// The keys, and the one bucket those for uploads may write to.
pub(super) struct Keys {
    pub(super) ring: Ring,
    pub(super) upload_bucket: String,
    pub(super) faults: Faults,
}

impl Keys {
    /// Whether the holder of this key may do this operation (by S3's name) on this bucket.
    fn allow(&self, key: Option<&str>, operation: &str, bucket: Option<&str>) -> bool {
        let may = |rule| self.faults.neglects(rule);
        match (key.and_then(|key| self.ring.get(key)), operation) {
            (Some((Role::Server, _)), _) => true,
            (Some((Role::Upload, _)), "PutObject" | "UploadPart" | "PostObject") => {
                bucket == Some(self.upload_bucket.as_str()) || may(Lax::UploadKeyWrites)
            }
            (Some((Role::Upload, _)), "GetObject" | "CopyObject" | "UploadPartCopy") => {
                may(Lax::UploadKeyReads)
            }
            (Some((Role::Upload, _)), "ListObjectsV2") => may(Lax::UploadKeyLists),
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
        let ring = Ring::default();
        assert!(ring.add(Role::Server, "S", "s") && ring.add(Role::Upload, "U", "u"));
        assert!(!ring.add(Role::Server, "U", "u"), "an id is known once");
        let keys = Keys {
            ring: ring.clone(),
            upload_bucket: "staging".into(),
            faults: Faults::default(),
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
        assert!(ring.remove("U") && !ring.remove("U"));
        assert!(!keys.allow(Some("U"), "PutObject", Some("staging")));
    }
}
