//! What can go wrong at a store, in the few classes that callers tell apart.
//!
//! The words hold the operation, the status and the S3 error code, never the store's own
//! message or the request: those may carry a signed URL, an access key or another user's key.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

/// Why a call to the store did not do what was asked.
///
/// Only [`Missing`](Self::Missing), [`NoSuchUpload`](Self::NoSuchUpload) and
/// [`Changed`](Self::Changed) are facts about an object. All others say that the store could
/// not answer, so nothing may be concluded from them about an upload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store says that the object does not exist (`NoSuchKey`). A missing bucket, or a 404
    /// without an S3 error code, is not this.
    #[error("the object does not exist")]
    Missing,
    /// The object is not, or no longer, the one with the given `ETag`.
    #[error("the object has changed")]
    Changed,
    /// The multipart upload is not known: completed, aborted, or never there.
    #[error("the multipart upload does not exist")]
    NoSuchUpload,
    /// The caller's `keep_going` said stop, so no further call was made.
    #[error("stopped before the next call")]
    Stopped,
    /// The store has no room, or a quota is used up.
    #[error("the store is full: {0}")]
    Full(String),
    /// The store understood and refused: permissions, a missing bucket, a bad argument.
    /// Trying again will not help before a human has looked.
    #[error("the store refused: {0}")]
    Refused(String),
    /// No usable answer: connection, timeout, 5xx, throttling, a cut or senseless body.
    /// Trying again may help. A write may have happened.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The settings cannot be used with any store.
    #[error("storage settings: {0}")]
    Settings(String),
}

const NO_CODE: &str = "no S3 error code";

/// The class of a store's answer that is an error, from its status and S3 error code.
/// The code goes first: `CopyObject` and `CompleteMultipartUpload` put errors into a 200.
fn classify(call: &str, status: u16, code: Option<&str>) -> StoreError {
    // The code is the store's text; keep it printable and short.
    let code: String = code
        .unwrap_or(NO_CODE)
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_'))
        .take(64)
        .collect();
    let words = format!("{call}: {status} {code}");
    match (code.as_str(), status) {
        ("NoSuchKey", _) => StoreError::Missing,
        ("NoSuchUpload", _) => StoreError::NoSuchUpload,
        ("PreconditionFailed", _) | (_, 412) => StoreError::Changed,
        (
            "XMinioStorageFull"
            | "XMinioAdminBucketQuotaExceeded"
            | "QuotaExceeded"
            | "StorageFull"
            | "InsufficientStorage"
            | "EntityTooLarge",
            _,
        )
        | (_, 507) => StoreError::Full(words),
        // A 404 that is not S3's own may come from a proxy in front of a store that is away.
        ("SlowDown" | "InternalError" | "ServiceUnavailable" | "RequestTimeout", _)
        | (NO_CODE, 404)
        | (_, 0..=399 | 408 | 425 | 429 | 500..) => StoreError::Unavailable(words),
        _ => StoreError::Refused(words),
    }
}

/// The class of an SDK error; `call` is the S3 operation's name.
pub(super) fn from_sdk<E>(call: &str, error: &SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            classify(call, service.raw().status().as_u16(), service.err().code())
        }
        SdkError::TimeoutError(_) => StoreError::Unavailable(format!("{call}: timed out")),
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            StoreError::Unavailable(format!("{call}: {status} with an unreadable body"))
        }
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => {
            StoreError::Unavailable(format!("{call}: {}", innermost(error)))
        }
        _ => StoreError::Unavailable(format!("{call}: failed")),
    }
}

/// The innermost cause (`Connection refused`, `invalid peer certificate`), cut before anything
/// that could be a URL's query.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    text.split('?')
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infrastructure_failure_is_never_missing() {
        for (status, code) in [
            (404, None),
            (404, Some("NoSuchBucket")),
            (404, Some("NotFound")),
            (403, Some("AccessDenied")),
            (500, Some("InternalError")),
            (503, Some("SlowDown")),
            (200, Some("InternalError")),
            (301, Some("PermanentRedirect")),
        ] {
            let error = classify("GetObject", status, code);
            assert!(
                matches!(error, StoreError::Unavailable(_) | StoreError::Refused(_)),
                "{status} {code:?} became {error:?}"
            );
        }
    }

    #[test]
    fn each_answer_has_its_class() {
        let class = |status, code| classify("PutObject", status, Some(code));
        assert_eq!(class(404, "NoSuchKey"), StoreError::Missing);
        assert_eq!(class(404, "NoSuchUpload"), StoreError::NoSuchUpload);
        assert_eq!(class(412, "PreconditionFailed"), StoreError::Changed);
        assert_eq!(class(200, "PreconditionFailed"), StoreError::Changed);
        assert!(matches!(
            class(507, "XMinioStorageFull"),
            StoreError::Full(_)
        ));
        assert!(matches!(class(400, "EntityTooLarge"), StoreError::Full(_)));
        assert!(matches!(class(403, "AccessDenied"), StoreError::Refused(_)));
        assert!(matches!(class(429, "TooMany"), StoreError::Unavailable(_)));
        assert!(matches!(
            class(400, "RequestTimeout"),
            StoreError::Unavailable(_)
        ));
    }

    #[test]
    fn a_code_from_a_store_cannot_carry_a_url() {
        let error = classify(
            "GetObject",
            400,
            Some("http://s/?X-Amz-Signature=ab\n\u{202e}"),
        );
        assert!(
            !error
                .to_string()
                .contains(['?', '=', '/', '\n', '\u{202e}']),
            "{error}"
        );
    }
}
