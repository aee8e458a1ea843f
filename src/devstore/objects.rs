//! The operations on buckets and whole objects.

use std::ops::Range;
use std::sync::Arc;

use http::header::IF_NONE_MATCH;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    Bucket, ChecksumMode, CommonPrefix, CopyObjectInput, CopyObjectOutput, CopyObjectResult,
    CopySource, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    DeletedObject, ETag, ETagCondition, EncodingType, Error, GetObjectAttributesInput,
    GetObjectAttributesOutput, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ListBucketsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Metadata, MetadataDirective, PutObjectInput, PutObjectOutput,
    StreamingBlob,
};
use s3s::{S3Error, S3Request, S3Result, s3_error};

use super::backend::Backend;
use super::body::{self, Declared, receive};
use super::disk::{Conditions, Draft, Headers, Object, Page, matches};
use super::faults::Lax;
use super::sums::{Sums, put_sums, sums_of};
use crate::domain::time::Timestamp;

/// S3's content type for an object that was given none.
const BINARY: &str = "binary/octet-stream";

/// Reads the headers to keep from an S3 input.
macro_rules! headers_of {
    ($input:expr) => {
        $crate::devstore::disk::Headers {
            content_type: $input.content_type.clone(),
            cache_control: $input.cache_control.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_encoding: $crate::devstore::objects::encoding(
                $input.content_encoding.as_deref(),
            ),
            content_language: $input.content_language.clone(),
            metadata: $input
                .metadata
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
        }
    };
}
pub(super) use headers_of;

/// Writes what GET and HEAD say alike.
macro_rules! describe {
    ($output:expr, $object:expr, $sums:expr) => {
        $output.accept_ranges = Some("bytes".into());
        $output.content_type = Some(
            $object
                .headers
                .content_type
                .clone()
                .unwrap_or_else(|| BINARY.into()),
        );
        $output.cache_control = $object.headers.cache_control.clone();
        $output.content_disposition = $object.headers.content_disposition.clone();
        $output.content_encoding = $object.headers.content_encoding.clone();
        $output.content_language = $object.headers.content_language.clone();
        $output.metadata = metadata(&$object.headers);
        $output.e_tag = Some(tag(&$object.etag));
        $output.last_modified = Some(moment($object.modified));
        if $sums {
            put_sums!($output, $object.sums);
            $output.checksum_type = $object.sums.kind();
        }
    };
}

fn metadata(headers: &Headers) -> Option<Metadata> {
    (!headers.metadata.is_empty()).then(|| headers.metadata.clone().into_iter().collect())
}

/// A content encoding without `aws-chunked`, which is the transport's.
pub(super) fn encoding(said: Option<&str>) -> Option<String> {
    let codings = said?.split(',').map(str::trim);
    let codings: Vec<&str> = codings.filter(|coding| *coding != "aws-chunked").collect();
    (!codings.is_empty()).then(|| codings.join(", "))
}

/// A bare `ETag` as the answers carry it.
pub(super) fn tag(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

/// A moment as the answers carry it.
pub(super) fn moment(at: Timestamp) -> s3s::dto::Timestamp {
    at.calendar().into()
}

/// What a read needs to hold of the object, in the order of RFC 9110 §13.2.2.
fn readable(
    object: &Object,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    if if_match.is_some_and(|wanted| !matches(wanted, &object.etag)) {
        return Err(s3_error!(PreconditionFailed, "If-Match"));
    }
    if if_none_match.is_some_and(|had| matches(had, &object.etag)) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

/// The bytes to answer with, and their `Content-Range` when they are not all.
type Chosen = (Range<u64>, Option<String>);

/// What a `Range` header asks for.
fn satisfied(range: Option<s3s::dto::Range>, size: u64) -> S3Result<Chosen> {
    let Some(range) = range else {
        return Ok((0..size, None));
    };
    let bytes = range.check(size)?;
    if bytes.is_empty() {
        return Err(s3_error!(InvalidRange));
    }
    let said = format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1);
    Ok((bytes, Some(said)))
}

/// The bytes an `x-amz-copy-source-range` names; unlike `Range`, it has to fit.
fn copied(range: Option<&str>, size: u64) -> S3Result<Range<u64>> {
    let Some(range) = range else {
        return Ok(0..size);
    };
    let ends = range
        .strip_prefix("bytes=")
        .and_then(|ends| ends.split_once('-'));
    let ends =
        ends.and_then(|(first, last)| Some((first.parse().ok()?, last.parse::<u64>().ok()?)));
    match ends {
        Some((first, last)) if first <= last && last < size => Ok(first..last + 1),
        _ => Err(s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range is not valid for the source."
        )),
    }
}

/// What a copy demands of its source.
pub(super) struct Source<'a> {
    pub(super) at: &'a CopySource,
    pub(super) if_match: Option<&'a ETagCondition>,
    pub(super) if_none_match: Option<&'a ETagCondition>,
}

impl Backend {
    pub(super) async fn put(&self, req: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
        let input = req.input;
        let conditions = Conditions {
            if_match: input.if_match.clone(),
            if_none_match: input.if_none_match.clone(),
        };
        self.disk.foresee(&input.bucket, &input.key, &conditions)?;
        let headers = headers_of!(input);
        let declared = Declared {
            length: input.content_length,
            sums: if self.faults.neglects(Lax::Checksums) {
                Sums::default()
            } else {
                sums_of!(input)
            },
            algorithms: named_algorithms(input.checksum_algorithm.as_ref(), &req.headers),
            md5: input.content_md5,
        };
        let arrived = receive(&self.disk, input.body, declared, req.trailing_headers).await?;
        let object = Object {
            bucket: input.bucket,
            key: input.key,
            size: arrived.size,
            etag: arrived.md5.clone(),
            modified: self.disk.now(),
            headers,
            sums: arrived.sums.clone(),
            pieces: vec![arrived.piece()],
            upload: None,
        };
        self.disk.publish(object, &conditions)?;
        let mut output = PutObjectOutput {
            e_tag: Some(tag(&arrived.md5)),
            checksum_type: arrived.sums.kind(),
            ..PutObjectOutput::default()
        };
        put_sums!(output, arrived.sums);
        arrived.draft.keep();
        Ok(output)
    }

    pub(super) async fn get(&self, input: GetObjectInput) -> S3Result<GetObjectOutput> {
        let (object, body, (bytes, content_range)) = self
            .opened(&input.bucket, &input.key, |object| {
                readable(
                    object,
                    input.if_match.as_ref(),
                    input.if_none_match.as_ref(),
                )?;
                let range = input.range.filter(|_| !self.faults.neglects(Lax::Ranges));
                satisfied(range, object.size)
            })
            .await?;
        // A checksum of the whole would be taken for that of the part.
        let sums = asks_for_sums(input.checksum_mode.as_ref()) && content_range.is_none();
        let mut output = GetObjectOutput {
            body: Some(body),
            content_length: i64::try_from(bytes.end - bytes.start).ok(),
            content_range,
            ..GetObjectOutput::default()
        };
        describe!(output, object, sums);
        Ok(output)
    }

    /// Opens an object at the bytes that `choose` allows. When it is replaced between
    /// its record and its bytes, the new one is taken.
    async fn opened(
        &self,
        bucket: &str,
        key: &str,
        choose: impl Fn(&Object) -> S3Result<Chosen>,
    ) -> S3Result<(Arc<Object>, StreamingBlob, Chosen)> {
        loop {
            let object = self.disk.object(bucket, key)?;
            let chosen = choose(&object)?;
            match body::read(&self.disk, &object, chosen.0.clone()).await {
                Ok(stream) => return Ok((object, StreamingBlob::wrap(stream), chosen)),
                Err(_) if !Arc::ptr_eq(&object, &self.disk.object(bucket, key)?) => {}
                Err(error) => return Err(S3Error::internal_error(error)),
            }
        }
    }

    pub(super) fn head(&self, input: &HeadObjectInput) -> S3Result<HeadObjectOutput> {
        let object = self.disk.object(&input.bucket, &input.key)?;
        readable(
            &object,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
        )?;
        let (bytes, content_range) = satisfied(input.range, object.size)?;
        let sums = asks_for_sums(input.checksum_mode.as_ref()) && content_range.is_none();
        let mut output = HeadObjectOutput {
            content_length: i64::try_from(bytes.end - bytes.start).ok(),
            content_range,
            ..HeadObjectOutput::default()
        };
        describe!(output, object, sums);
        Ok(output)
    }

    pub(super) fn attributes(
        &self,
        input: &GetObjectAttributesInput,
    ) -> S3Result<GetObjectAttributesOutput> {
        let object = self.disk.object(&input.bucket, &input.key)?;
        // The library leaves a list in one header as it is.
        let attributes = &input.object_attributes;
        let asked = |name: &str| {
            let mut names = attributes.iter().flat_map(|one| one.as_str().split(','));
            names.any(|one| one.trim() == name)
        };
        let mut sums = s3s::dto::Checksum::default();
        put_sums!(sums, object.sums);
        sums.checksum_type = object.sums.kind();
        Ok(GetObjectAttributesOutput {
            e_tag: asked("ETag").then(|| tag(&object.etag)),
            object_size: i64::try_from(object.size)
                .ok()
                .filter(|_| asked("ObjectSize")),
            checksum: asked("Checksum").then_some(sums),
            last_modified: Some(moment(object.modified)),
            ..GetObjectAttributesOutput::default()
        })
    }

    pub(super) async fn copy(&self, req: S3Request<CopyObjectInput>) -> S3Result<CopyObjectOutput> {
        let input = req.input;
        // This header is younger than the library's input type.
        let if_none_match = match req.headers.get(IF_NONE_MATCH) {
            Some(value) => Some(
                ETagCondition::parse_http_header(value.as_bytes())
                    .map_err(|error| s3_error!(error, InvalidArgument, "If-None-Match"))?,
            ),
            None => None,
        };
        let conditions = Conditions {
            if_match: None,
            if_none_match,
        };
        self.disk.foresee(&input.bucket, &input.key, &conditions)?;
        let replaces = input
            .metadata_directive
            .as_ref()
            .map(MetadataDirective::as_str)
            == Some(MetadataDirective::REPLACE);
        let (mut object, drafts) = self.source(&Source {
            at: &input.copy_source,
            if_match: input.copy_source_if_match.as_ref(),
            if_none_match: input.copy_source_if_none_match.as_ref(),
        })?;
        let itself = object.bucket == input.bucket && object.key == input.key;
        if itself && !replaces {
            return Err(s3_error!(
                InvalidRequest,
                "A copy onto itself has to change something."
            ));
        }
        if let Some(algorithm) = &input.checksum_algorithm {
            object.sums = self.summed(&object, algorithm.as_str()).await?;
        }
        if replaces {
            object.headers = headers_of!(input);
        }
        object.bucket = input.bucket;
        object.key = input.key;
        object.modified = self.disk.now();
        object.upload = None;
        let mut result = CopyObjectResult {
            e_tag: Some(tag(&object.etag)),
            last_modified: Some(moment(object.modified)),
            ..CopyObjectResult::default()
        };
        put_sums!(result, object.sums);
        self.disk.publish(object, &conditions)?;
        for draft in drafts {
            draft.keep();
        }
        Ok(CopyObjectOutput {
            copy_object_result: Some(result),
            ..CopyObjectOutput::default()
        })
    }

    /// The object a copy reads from, held by the drafts until they are dropped.
    pub(super) fn source(&self, source: &Source<'_>) -> S3Result<(Object, Vec<Draft>)> {
        let CopySource::Bucket { bucket, key, .. } = source.at else {
            return Err(s3_error!(
                NotImplemented,
                "Access points are not implemented."
            ));
        };
        self.disk.linked(bucket, key, |object| {
            let is = |tag: &ETagCondition| matches(tag, &object.etag);
            let met = self.faults.neglects(Lax::CopyConditions)
                || source.if_match.is_none_or(is) && !source.if_none_match.is_some_and(is);
            met.then_some(())
                .ok_or_else(|| s3_error!(PreconditionFailed, "x-amz-copy-source-if-match"))
        })
    }

    /// The bytes of a copy's source, as a body.
    pub(super) async fn source_bytes(
        &self,
        object: &Object,
        range: Option<&str>,
    ) -> S3Result<StreamingBlob> {
        let range = copied(range, object.size)?;
        let stream = body::read(&self.disk, object, range).await;
        Ok(StreamingBlob::wrap(
            stream.map_err(S3Error::internal_error)?,
        ))
    }

    /// The checksum of an object's bytes by this algorithm.
    pub(super) async fn summed(&self, object: &Object, algorithm: &str) -> S3Result<Sums> {
        use futures_util::TryStreamExt as _;
        let mut digest = super::sums::Digest::of(&[algorithm.to_owned()]);
        let stream = body::read(&self.disk, object, 0..object.size).await;
        let mut stream = Box::pin(stream.map_err(S3Error::internal_error)?);
        while let Some(bytes) = stream.try_next().await.map_err(S3Error::internal_error)? {
            digest.update(&bytes);
        }
        Ok(digest.finish().sums)
    }

    pub(super) fn delete(&self, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: None,
        };
        self.disk.remove(&input.bucket, &input.key, &conditions)?;
        Ok(DeleteObjectOutput::default())
    }

    pub(super) fn delete_all(&self, input: DeleteObjectsInput) -> S3Result<DeleteObjectsOutput> {
        if input.delete.objects.len() > 1000 {
            return Err(s3_error!(MalformedXML, "A batch has at most 1000 keys."));
        }
        self.disk.cors(&input.bucket)?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for asked in input.delete.objects {
            let conditions = Conditions {
                if_match: asked.e_tag.map(ETagCondition::ETag),
                if_none_match: None,
            };
            match self.disk.remove(&input.bucket, &asked.key, &conditions) {
                Ok(()) => deleted.push(DeletedObject {
                    key: Some(asked.key),
                    ..DeletedObject::default()
                }),
                Err(error) => errors.push(Error {
                    key: Some(asked.key),
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(ToOwned::to_owned),
                    ..Error::default()
                }),
            }
        }
        let loud = !input.delete.quiet.unwrap_or(false);
        Ok(DeleteObjectsOutput {
            deleted: loud.then_some(deleted),
            errors: Some(errors),
            ..DeleteObjectsOutput::default()
        })
    }

    pub(super) fn list(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().unwrap_or_default();
        let after = match input.continuation_token.as_deref() {
            Some(token) => untokened(token)?,
            None => input.start_after.clone().unwrap_or_default(),
        };
        let max = input.max_keys.unwrap_or(1000).clamp(0, 1000);
        let most = usize::try_from(max).unwrap_or_default();
        let page = self
            .disk
            .page(&input.bucket, prefix, delimiter, &after, most)?;
        let encoded = Encoded::of(input.encoding_type.as_ref());
        let (contents, common_prefixes) = encoded.page(&page);
        Ok(ListObjectsV2Output {
            key_count: i32::try_from(contents.len() + common_prefixes.len()).ok(),
            max_keys: Some(max),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(hex::encode),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            prefix: input.prefix.map(|text| encoded.text(&text)),
            delimiter: input.delimiter.map(|text| encoded.text(&text)),
            start_after: input.start_after.map(|text| encoded.text(&text)),
            continuation_token: input.continuation_token,
            encoding_type: input.encoding_type,
            name: Some(input.bucket),
            ..ListObjectsV2Output::default()
        })
    }

    pub(super) fn list_v1(&self, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().unwrap_or_default();
        let after = input.marker.as_deref().unwrap_or_default();
        let max = input.max_keys.unwrap_or(1000).clamp(0, 1000);
        let most = usize::try_from(max).unwrap_or_default();
        let page = self
            .disk
            .page(&input.bucket, prefix, delimiter, after, most)?;
        let encoded = Encoded::of(input.encoding_type.as_ref());
        let (contents, common_prefixes) = encoded.page(&page);
        Ok(ListObjectsOutput {
            max_keys: Some(max),
            is_truncated: Some(page.next.is_some()),
            next_marker: page.next.map(|text| encoded.text(&text)),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            prefix: input.prefix.map(|text| encoded.text(&text)),
            delimiter: input.delimiter.map(|text| encoded.text(&text)),
            marker: input.marker.map(|text| encoded.text(&text)),
            encoding_type: input.encoding_type,
            name: Some(input.bucket),
            ..ListObjectsOutput::default()
        })
    }

    pub(super) fn list_all_buckets(&self) -> ListBucketsOutput {
        let buckets = self
            .disk
            .buckets()
            .into_iter()
            .map(|(name, created)| Bucket {
                name: Some(name),
                creation_date: Some(moment(created)),
                ..Bucket::default()
            });
        ListBucketsOutput {
            buckets: Some(buckets.collect()),
            ..ListBucketsOutput::default()
        }
    }
}

/// The wire names of the checksums announced beside the digests themselves: by the
/// SDKs' header, and as trailers of a chunked body.
pub(super) fn named_algorithms(
    algorithm: Option<&s3s::dto::ChecksumAlgorithm>,
    headers: &http::HeaderMap,
) -> Vec<String> {
    let trailers = headers
        .get_all("x-amz-trailer")
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let trailers = trailers.flat_map(|value| value.split(','));
    let trailers = trailers.filter_map(|name| name.trim().strip_prefix("x-amz-checksum-"));
    let named = algorithm.map(|algorithm| algorithm.as_str().to_owned());
    named
        .into_iter()
        .chain(trailers.map(ToOwned::to_owned))
        .collect()
}

fn asks_for_sums(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

fn untokened(token: &str) -> S3Result<String> {
    let bytes = hex::decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token is not ours."))
}

/// Whether keys are percent-encoded in a listing (`encoding-type=url`), since XML
/// cannot carry every key.
struct Encoded(bool);

const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

impl Encoded {
    fn of(asked: Option<&EncodingType>) -> Self {
        Self(asked.is_some_and(|asked| asked.as_str() == EncodingType::URL))
    }

    fn text(&self, text: &str) -> String {
        if self.0 {
            utf8_percent_encode(text, KEPT).to_string()
        } else {
            text.to_owned()
        }
    }

    fn page(&self, page: &Page) -> (Vec<s3s::dto::Object>, Vec<CommonPrefix>) {
        let contents = page.objects.iter().map(|object| s3s::dto::Object {
            key: Some(self.text(&object.key)),
            size: i64::try_from(object.size).ok(),
            e_tag: Some(tag(&object.etag)),
            last_modified: Some(moment(object.modified)),
            ..s3s::dto::Object::default()
        });
        let prefixes = page.prefixes.iter().map(|prefix| CommonPrefix {
            prefix: Some(self.text(prefix)),
        });
        (contents.collect(), prefixes.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_answered_with_what_there_is_of_them() {
        let cases = [
            ("bytes=0-4095", 10, Some("bytes 0-9/10")),
            ("bytes=-4096", 10, Some("bytes 0-9/10")),
            ("bytes=2-3", 10, Some("bytes 2-3/10")),
            ("bytes=100-", 10, None),
            ("bytes=0-4095", 0, None),
            ("bytes=-4096", 0, None),
        ];
        for (header, size, expected) in cases {
            let range = s3s::dto::Range::parse(header).unwrap();
            let answer = satisfied(Some(range), size).ok().and_then(|(_, said)| said);
            assert_eq!(answer.as_deref(), expected, "{header} of {size}");
        }
    }

    #[test]
    fn a_copied_range_has_to_lie_within_the_source() {
        assert_eq!(copied(None, 10).unwrap(), 0..10);
        assert_eq!(copied(Some("bytes=2-9"), 10).unwrap(), 2..10);
        for bad in ["bytes=2-10", "bytes=3-2", "bytes=2-", "bytes=-2", "2-3"] {
            assert!(copied(Some(bad), 10).is_err(), "{bad}");
        }
    }

    #[test]
    fn aws_chunked_is_no_encoding_of_the_object() {
        assert_eq!(encoding(Some("aws-chunked")), None);
        assert_eq!(encoding(Some("gzip,aws-chunked")).as_deref(), Some("gzip"));
    }
}
