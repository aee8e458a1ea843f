//! The operations on multipart uploads.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>

use std::collections::BTreeMap;

use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, ChecksumType,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, CopyPartResult,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};

use super::backend::Backend;
use super::body::{Arrived, Declared, receive};
use super::disk::{Conditions, Object, Part, Upload};
use super::objects::{Source, headers_of, moment, named_algorithms, tag};
use super::sums::{Sums, put_sums, sums_of};

/// Every part but the last has at least this many bytes.
pub(super) const LEAST_PART: u64 = 5 * 1024 * 1024;

impl Backend {
    pub(super) fn create_upload(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let kind = input.checksum_type.as_ref().map(ChecksumType::as_str);
        let algorithm = input
            .checksum_algorithm
            .as_ref()
            .map(|name| name.as_str().to_ascii_lowercase());
        let upload = Upload {
            id: self.disk.fresh(),
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            initiated: self.disk.now(),
            headers: headers_of!(input),
            // CRC64NVME has no composite form.
            full_object: kind == Some(ChecksumType::FULL_OBJECT)
                || algorithm.as_deref() == Some("crc64nvme"),
            algorithm,
            parts: BTreeMap::new(),
        };
        let id = upload.id.clone();
        self.disk.create_upload(upload)?;
        Ok(CreateMultipartUploadOutput {
            upload_id: Some(id),
            bucket: Some(input.bucket),
            key: Some(input.key),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..CreateMultipartUploadOutput::default()
        })
    }

    pub(super) async fn put_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        let input = req.input;
        let number = numbered(input.part_number)?;
        let upload = self
            .disk
            .upload(&input.bucket, &input.key, &input.upload_id)?;
        let mut algorithms = named_algorithms(input.checksum_algorithm.as_ref(), &req.headers);
        algorithms.extend(upload.algorithm);
        let declared = Declared {
            length: input.content_length,
            sums: sums_of!(input),
            md5: input.content_md5,
            algorithms,
        };
        let arrived = receive(&self.disk, input.body, declared, req.trailing_headers).await?;
        let part = self.hold(number, arrived, &input.bucket, &input.key, &input.upload_id)?;
        let mut output = UploadPartOutput {
            e_tag: Some(tag(&part.etag)),
            ..UploadPartOutput::default()
        };
        put_sums!(output, part.sums);
        Ok(output)
    }

    pub(super) async fn copy_part(
        &self,
        input: UploadPartCopyInput,
    ) -> S3Result<UploadPartCopyOutput> {
        let number = numbered(input.part_number)?;
        let upload = self
            .disk
            .upload(&input.bucket, &input.key, &input.upload_id)?;
        let (source, _held) = self.source(&Source {
            at: &input.copy_source,
            if_match: input.copy_source_if_match.as_ref(),
            if_none_match: input.copy_source_if_none_match.as_ref(),
        })?;
        let bytes = self
            .source_bytes(&source, input.copy_source_range.as_deref())
            .await?;
        let declared = Declared {
            algorithms: upload.algorithm.into_iter().collect(),
            ..Declared::default()
        };
        let arrived = receive(&self.disk, Some(bytes), declared, None).await?;
        let part = self.hold(number, arrived, &input.bucket, &input.key, &input.upload_id)?;
        let mut result = CopyPartResult {
            e_tag: Some(tag(&part.etag)),
            last_modified: Some(moment(part.modified)),
            ..CopyPartResult::default()
        };
        put_sums!(result, part.sums);
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(result),
            ..UploadPartCopyOutput::default()
        })
    }

    fn hold(
        &self,
        number: i32,
        arrived: Arrived,
        bucket: &str,
        key: &str,
        id: &str,
    ) -> S3Result<Part> {
        let part = Part {
            number,
            etag: arrived.md5.clone(),
            modified: self.disk.now(),
            sums: arrived.sums.clone(),
            piece: arrived.piece(),
        };
        self.disk.put_part(bucket, key, id, part.clone())?;
        arrived.draft.keep();
        Ok(part)
    }

    pub(super) async fn complete(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let upload = self
            .disk
            .upload(&input.bucket, &input.key, &input.upload_id)?;
        let declared = sums_of!(input);
        let asked = input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        let parts = chosen(&upload.parts, &asked, self.disk.least_part())?;
        let size = parts.iter().map(|part| part.piece.size).sum();
        if input
            .mpu_object_size
            .is_some_and(|said| u64::try_from(said) != Ok(size))
        {
            return Err(s3_error!(
                InvalidRequest,
                "The parts are not of the x-amz-mp-object-size."
            ));
        }
        let mut object = Object {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            size,
            etag: etag_of(&parts),
            modified: self.disk.now(),
            headers: upload.headers,
            sums: Sums::default(),
            pieces: parts.iter().map(|part| part.piece.clone()).collect(),
            upload: Some(upload.id),
        };
        if let Some(algorithm) = upload.algorithm.filter(|_| upload.full_object) {
            object.sums = self.summed(&object, &algorithm).await?;
        } else {
            object.sums = Sums::composite(&parts.iter().map(|part| &part.sums).collect::<Vec<_>>());
        }
        if let Some(algorithm) = object.sums.disagreement(&declared) {
            return Err(s3_error!(
                BadDigest,
                "The {algorithm} checksum is not that of the object."
            ));
        }
        let mut output = CompleteMultipartUploadOutput {
            e_tag: Some(tag(&object.etag)),
            location: Some(format!("/{}/{}", object.bucket, object.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            checksum_type: object.sums.kind(),
            ..CompleteMultipartUploadOutput::default()
        };
        put_sums!(output, object.sums);
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
        };
        self.disk.publish(object, &conditions)?;
        Ok(output)
    }

    pub(super) fn abort(
        &self,
        input: &AbortMultipartUploadInput,
    ) -> S3Result<AbortMultipartUploadOutput> {
        self.disk
            .abort(&input.bucket, &input.key, &input.upload_id)?;
        Ok(AbortMultipartUploadOutput::default())
    }

    pub(super) fn list_the_parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let upload = self
            .disk
            .upload(&input.bucket, &input.key, &input.upload_id)?;
        let max = input.max_parts.unwrap_or(1000).clamp(0, 1000);
        let after = input.part_number_marker.unwrap_or(0);
        let mut parts: Vec<&Part> = upload
            .parts
            .values()
            .filter(|part| part.number > after)
            .collect();
        let truncated = cut(&mut parts, max);
        let next = parts.last().map(|part| part.number).filter(|_| truncated);
        let listed = parts.iter().map(|part| {
            let mut listed = s3s::dto::Part {
                part_number: Some(part.number),
                size: i64::try_from(part.piece.size).ok(),
                e_tag: Some(tag(&part.etag)),
                last_modified: Some(moment(part.modified)),
                ..s3s::dto::Part::default()
            };
            put_sums!(listed, part.sums);
            listed
        });
        Ok(ListPartsOutput {
            parts: Some(listed.collect()),
            is_truncated: Some(truncated),
            next_part_number_marker: next,
            part_number_marker: Some(after),
            max_parts: Some(max),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            checksum_algorithm: named(upload.algorithm.as_deref()),
            ..ListPartsOutput::default()
        })
    }

    pub(super) fn list_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        if input.delimiter.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "A delimiter is not implemented for uploads."
            ));
        }
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let mut uploads = self.disk.uploads(&input.bucket, prefix)?;
        if let Some(key) = &input.key_marker {
            let seen = input.upload_id_marker.as_ref();
            // Without an upload id the marker stands for all uploads of its key.
            let at = seen.and_then(|id| uploads.iter().position(|upload| &upload.id == id));
            match at {
                Some(at) => drop(uploads.drain(..=at)),
                None => uploads.retain(|upload| upload.key > *key),
            }
        }
        let max = input.max_uploads.unwrap_or(1000).clamp(0, 1000);
        let truncated = cut(&mut uploads, max);
        let last = uploads.last().filter(|_| truncated);
        Ok(ListMultipartUploadsOutput {
            is_truncated: Some(truncated),
            next_key_marker: last.map(|upload| upload.key.clone()),
            next_upload_id_marker: last.map(|upload| upload.id.clone()),
            uploads: Some(uploads.iter().map(listed).collect()),
            max_uploads: Some(max),
            bucket: Some(input.bucket),
            prefix: input.prefix,
            key_marker: input.key_marker,
            upload_id_marker: input.upload_id_marker,
            ..ListMultipartUploadsOutput::default()
        })
    }
}

fn listed(upload: &Upload) -> MultipartUpload {
    MultipartUpload {
        key: Some(upload.key.clone()),
        upload_id: Some(upload.id.clone()),
        initiated: Some(moment(upload.initiated)),
        checksum_algorithm: named(upload.algorithm.as_deref()),
        ..MultipartUpload::default()
    }
}

fn named(algorithm: Option<&str>) -> Option<ChecksumAlgorithm> {
    algorithm.map(|name| ChecksumAlgorithm::from(name.to_ascii_uppercase()))
}

/// Cuts a list to `max` entries; whether anything was cut off.
fn cut<T>(list: &mut Vec<T>, max: i32) -> bool {
    let max = usize::try_from(max).unwrap_or_default();
    let cut = max > 0 && list.len() > max;
    list.truncate(max);
    cut
}

fn numbered(number: i32) -> S3Result<i32> {
    if (1..=10_000).contains(&number) {
        Ok(number)
    } else {
        Err(s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and 10000, inclusive"
        ))
    }
}

/// The parts a completion names, in its order.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
fn chosen(held: &BTreeMap<i32, Part>, asked: &[CompletedPart], least: u64) -> S3Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::with_capacity(asked.len());
    for one in asked {
        let number = one.part_number.ok_or_else(|| s3_error!(MalformedXML))?;
        if parts.last().is_some_and(|last| last.number >= number) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let etag = one.e_tag.as_ref().map(s3s::dto::ETag::value);
        let part = held
            .get(&number)
            .filter(|part| etag == Some(part.etag.as_str()))
            .ok_or_else(|| s3_error!(InvalidPart, "There is no part {number} with this ETag."))?;
        if let Some(algorithm) = part.sums.disagreement(&sums_of!(one)) {
            return Err(s3_error!(
                InvalidPart,
                "Part {number} has another {algorithm} checksum."
            ));
        }
        parts.push(part.clone());
    }
    let small = parts
        .iter()
        .rev()
        .skip(1)
        .find(|part| part.piece.size < least);
    match small {
        _ if parts.is_empty() => Err(s3_error!(MalformedXML, "An upload has at least one part.")),
        Some(part) => Err(s3_error!(
            EntityTooSmall,
            "Part {} has less than 5 MiB.",
            part.number
        )),
        None => Ok(parts),
    }
}

/// The MD5 of the parts' MD5s, and how many they are.
fn etag_of(parts: &[Part]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(&hex::decode(&part.etag).unwrap_or_default());
    }
    format!("{}-{}", hex::encode(md5.finalize()), parts.len())
}

#[cfg(test)]
mod tests {
    use s3s::dto::ETag;

    use super::super::disk::Piece;
    use super::*;
    use crate::domain::time::Timestamp;

    fn part(number: i32, size: u64) -> Part {
        Part {
            number,
            etag: format!("{number:032x}"),
            modified: Timestamp::default(),
            sums: Sums::default(),
            piece: Piece {
                file: number.to_string(),
                size,
            },
        }
    }

    #[test]
    fn a_completion_names_held_parts_in_order_and_only_the_last_is_small() {
        let held = [part(1, LEAST_PART), part(2, LEAST_PART - 1), part(5, 1)];
        let held: BTreeMap<i32, Part> = held.into_iter().map(|part| (part.number, part)).collect();
        let cases: [(&[(i32, i32)], &str); 7] = [
            (&[(1, 1), (2, 2)], ""),
            (&[(1, 1), (5, 5)], ""),
            (&[], "MalformedXML"),
            (&[(2, 2), (1, 1)], "InvalidPartOrder"),
            (&[(1, 1), (1, 1)], "InvalidPartOrder"),
            (&[(1, 2)], "InvalidPart"),
            (&[(2, 2), (5, 5)], "EntityTooSmall"),
        ];
        for (asked, expected) in cases {
            let asked: Vec<CompletedPart> = asked
                .iter()
                .map(|(number, etag)| CompletedPart {
                    part_number: Some(*number),
                    e_tag: Some(ETag::Strong(format!("{etag:032x}"))),
                    ..CompletedPart::default()
                })
                .collect();
            let refused = chosen(&held, &asked, LEAST_PART).err();
            let code = refused.as_ref().map_or("", |error| error.code().as_str());
            assert_eq!(code, expected, "{asked:?}");
        }
    }
}
