//! What the judge reads: a head, a tail, and what the store knows about an object.

use std::future::Future;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use bytes::{Bytes, BytesMut};

use super::error::from_sdk;
use super::{Bucket, PATIENCE, Store, StoreError, bare, quoted};

/// The beginning of an object, with its size and identity from the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The size of the whole object, in bytes.
    pub size: u64,
    /// Its `ETag`, without quotes.
    pub etag: String,
    /// Its first bytes: as many as were asked for, or all there are.
    pub bytes: Bytes,
}

/// What one ranged GET brought.
struct Span {
    etag: String,
    /// First and last byte and size of the whole, when the store sent a range.
    range: Option<(u64, u64, u64)>,
    length: Option<u64>,
    body: ByteStream,
}

enum Got {
    Span(Span),
    /// The store knows the object and has no byte of that range.
    OutOfRange,
}

impl Store {
    /// The first `n` bytes (at least one). With `if_match` the object must have that `ETag`,
    /// else [`StoreError::Changed`]. Reads at most `n` bytes, whatever the store sends.
    pub async fn head_bytes(
        &self,
        bucket: Bucket,
        key: &str,
        n: u64,
        if_match: Option<&str>,
    ) -> Result<Peek, StoreError> {
        within_limit(Box::pin(self.read_head(bucket, key, n.max(1), if_match))).await
    }

    /// The last `n` bytes of an object of `size` bytes; all of it when it is shorter.
    /// The object must have this `ETag`, else [`StoreError::Changed`].
    pub async fn tail_bytes(
        &self,
        bucket: Bucket,
        key: &str,
        size: u64,
        n: u64,
        etag: &str,
    ) -> Result<Bytes, StoreError> {
        if size == 0 || n == 0 {
            return Ok(Bytes::new());
        }
        let first = size.saturating_sub(n);
        within_limit(Box::pin(async {
            let span = match self
                .get_range(bucket, key, first, size - 1, Some(etag))
                .await?
            {
                Got::Span(span) => span,
                // Same ETag, and yet other bytes than the judge's head said.
                Got::OutOfRange => return Err(StoreError::Changed),
            };
            match (span.range, span.length) {
                (Some(range), _) if range == (first, size - 1, size) => {}
                (None, Some(length)) if first == 0 && length == size => {}
                (Some((.., total)), _) if total != size => return Err(StoreError::Changed),
                _ => return Err(senseless("another range than asked for")),
            }
            read_exactly(span.body, size - first).await
        }))
        .await
    }

    /// Size and bare `ETag`; `None` when there is no such object.
    pub async fn head(
        &self,
        bucket: Bucket,
        key: &str,
    ) -> Result<Option<(u64, String)>, StoreError> {
        match self.size_and_etag(bucket, key).await {
            Ok(facts) => Ok(Some(facts)),
            Err(StoreError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The SHA-256 (base64) that the store computed or verified over the whole object, if it
    /// tells. A checksum of checksums, as multipart uploads have it, is no answer.
    pub async fn stored_sha256(
        &self,
        bucket: Bucket,
        key: &str,
    ) -> Result<Option<String>, StoreError> {
        let answer = self
            .0
            .client
            .head_object()
            .bucket(self.name(bucket))
            .key(key)
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        match answer {
            Ok(head) => Ok(head
                .checksum_sha256()
                .filter(|sum| {
                    !sum.contains('-') && head.checksum_type() != Some(&ChecksumType::Composite)
                })
                .map(str::to_owned)),
            Err(error) if is_404(&error) => Err(self.why_404(bucket, key).await),
            Err(error) => Err(from_sdk("HeadObject", &error)),
        }
    }

    async fn read_head(
        &self,
        bucket: Bucket,
        key: &str,
        n: u64,
        if_match: Option<&str>,
    ) -> Result<Peek, StoreError> {
        let span = match self.get_range(bucket, key, 0, n - 1, if_match).await? {
            Got::Span(span) => span,
            Got::OutOfRange => {
                return match self.size_and_etag(bucket, key).await? {
                    (_, etag) if if_match.is_some_and(|wanted| wanted != etag) => {
                        Err(StoreError::Changed)
                    }
                    (0, etag) => Ok(Peek {
                        size: 0,
                        etag,
                        bytes: Bytes::new(),
                    }),
                    _ => Err(senseless("416 for an object that is not empty")),
                };
            }
        };
        let size = match (span.range, span.length) {
            (Some((0, last, size)), _) if size > 0 && last == n.min(size) - 1 => size,
            (Some(_), _) => return Err(senseless("another range than asked for")),
            // The store ignored the range, or left out what it sent of it.
            (None, Some(length)) => match self.size_and_etag(bucket, key).await? {
                (_, etag) if etag != span.etag => return Err(StoreError::Changed),
                (size, _) if size == length => size,
                _ => return Err(senseless("part of an object as if it were the whole")),
            },
            (None, None) => return Err(senseless("a body of unknown length")),
        };
        let bytes = read_exactly(span.body, n.min(size)).await?;
        Ok(Peek {
            size,
            etag: span.etag,
            bytes,
        })
    }

    async fn get_range(
        &self,
        bucket: Bucket,
        key: &str,
        first: u64,
        last: u64,
        if_match: Option<&str>,
    ) -> Result<Got, StoreError> {
        let answer = self
            .0
            .client
            .get_object()
            .bucket(self.name(bucket))
            .key(key)
            .range(format!("bytes={first}-{last}"))
            .set_if_match(if_match.map(quoted))
            .send()
            .await;
        let object = match answer {
            Ok(object) => object,
            Err(error)
                if error
                    .raw_response()
                    .is_some_and(|r| r.status().as_u16() == 416) =>
            {
                return Ok(Got::OutOfRange);
            }
            Err(error) => return Err(from_sdk("GetObject", &error)),
        };
        let etag = identity(object.e_tag())?;
        // Some stores ignore If-Match on GET.
        if if_match.is_some_and(|wanted| wanted != etag) {
            return Err(StoreError::Changed);
        }
        let range = match object.content_range() {
            Some(text) => {
                Some(parse_range(text).ok_or_else(|| senseless("an unreadable Content-Range"))?)
            }
            None => None,
        };
        Ok(Got::Span(Span {
            etag,
            range,
            length: object
                .content_length()
                .and_then(|length| u64::try_from(length).ok()),
            body: object.body,
        }))
    }

    async fn size_and_etag(&self, bucket: Bucket, key: &str) -> Result<(u64, String), StoreError> {
        let call = self
            .0
            .client
            .head_object()
            .bucket(self.name(bucket))
            .key(key);
        match call.send().await {
            Ok(head) => {
                let size = head
                    .content_length()
                    .and_then(|length| u64::try_from(length).ok());
                let size = size.ok_or_else(|| senseless("a HEAD without a length"))?;
                Ok((size, identity(head.e_tag())?))
            }
            Err(error) if is_404(&error) => Err(self.why_404(bucket, key).await),
            Err(error) => Err(from_sdk("HeadObject", &error)),
        }
    }

    /// A 404 to a HEAD has no body, so it does not say whether the object is missing or the
    /// bucket. A GET does.
    async fn why_404(&self, bucket: Bucket, key: &str) -> StoreError {
        match self.get_range(bucket, key, 0, 0, None).await {
            Err(error) => error,
            Ok(_) => StoreError::Unavailable("HeadObject: 404 for an object that is there".into()),
        }
    }
}

fn is_404<E>(
    error: &aws_sdk_s3::error::SdkError<
        E,
        aws_smithy_runtime_api::client::orchestrator::HttpResponse,
    >,
) -> bool {
    error
        .raw_response()
        .is_some_and(|response| response.status().as_u16() == 404)
}

/// The bare `ETag`. Every store sends one; a proxy's own page, with a 200 for whatever was
/// asked, has none, and is not the object.
fn identity(etag: Option<&str>) -> Result<String, StoreError> {
    Some(bare(etag))
        .filter(|etag| !etag.is_empty())
        .ok_or_else(|| senseless("no ETag"))
}

fn senseless(what: &str) -> StoreError {
    StoreError::Unavailable(format!("the store answered with {what}"))
}

/// One read of the judge, attempts and body together, under its limit.
async fn within_limit<T>(
    read: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(PATIENCE.judge_read, read)
        .await
        .unwrap_or_else(|_| Err(StoreError::Unavailable("GetObject: timed out".into())))
}

/// `bytes 0-99/12345` as (0, 99, 12345).
fn parse_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total) = (first.parse().ok()?, last.parse().ok()?, total.parse().ok()?);
    (first <= last && last < total).then_some((first, last, total))
}

/// Exactly `length` bytes of a body; the rest is not read. A body that ends early is an error,
/// never a shorter answer.
async fn read_exactly(mut body: ByteStream, length: u64) -> Result<Bytes, StoreError> {
    let length = usize::try_from(length).map_err(|_| senseless("more than memory holds"))?;
    let mut bytes = BytesMut::with_capacity(length.min(64 * 1024));
    while bytes.len() < length {
        match body.next().await {
            Some(Ok(chunk)) => {
                bytes.extend_from_slice(&chunk[..chunk.len().min(length - bytes.len())]);
            }
            Some(Err(error)) => {
                let cause = super::error::innermost(&error);
                return Err(StoreError::Unavailable(format!(
                    "GetObject: the body broke off: {cause}"
                )));
            }
            None => return Err(senseless("fewer bytes than it promised")),
        }
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_content_range_is_believed() {
        assert_eq!(parse_range("bytes 0-99/12345"), Some((0, 99, 12_345)));
        for bad in [
            "0-99/100",
            "bytes */0",
            "bytes 0-99/*",
            "bytes 9-0/10",
            "bytes 0-10/10",
            "bytes -1/2",
            "",
        ] {
            assert_eq!(parse_range(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_short_body_is_an_error_and_a_long_one_is_cut() {
        let body = || ByteStream::from_static(b"0123456789");
        assert_eq!(read_exactly(body(), 4).await.unwrap(), "0123");
        assert_eq!(read_exactly(body(), 10).await.unwrap().len(), 10);
        assert!(matches!(
            read_exactly(body(), 11).await,
            Err(StoreError::Unavailable(_))
        ));
    }
}
