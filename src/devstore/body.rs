//! Bytes in and bytes out, never more than a frame of them in memory.

use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders, s3_error};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use super::disk::{Disk, Draft, Object, Piece};
use super::sums::{Digest, Sums};

/// How much of an object is read at once.
const CHUNK: u64 = 256 * 1024;

/// What the sender said of a body before sending it.
#[derive(Default)]
pub(super) struct Declared {
    pub(super) length: Option<i64>,
    /// `Content-MD5`, in base64.
    pub(super) md5: Option<String>,
    pub(super) sums: Sums,
    /// Wire names of further checksum algorithms to compute.
    pub(super) algorithms: Vec<String>,
}

/// A body that is on disk and is what its sender declared.
pub(super) struct Arrived {
    pub(super) draft: Draft,
    pub(super) size: u64,
    /// In hex.
    pub(super) md5: String,
    pub(super) sums: Sums,
}

impl Arrived {
    pub(super) fn piece(&self) -> Piece {
        Piece {
            file: self.draft.file.clone(),
            size: self.size,
        }
    }
}

/// Writes a body to a new data file while hashing it, and compares what arrived with
/// what was declared before it, and after it in the trailers.
pub(super) async fn receive(
    disk: &Disk,
    body: Option<StreamingBlob>,
    declared: Declared,
    trailers: Option<TrailingHeaders>,
) -> S3Result<Arrived> {
    let mut algorithms = declared.algorithms;
    algorithms.extend(declared.sums.names());
    let mut digest = Digest::of(&algorithms);
    let draft = disk.draft();
    let mut file = File::create_new(draft.path())
        .await
        .map_err(S3Error::internal_error)?;
    let mut size = 0;
    let mut body = stream::iter(body).flatten();
    while let Some(frame) = body.next().await {
        let frame = frame.map_err(|error| {
            let mut broken = S3Error::with_source(S3ErrorCode::IncompleteBody, error);
            broken.set_message("The body broke off or is not what was signed.");
            broken
        })?;
        digest.update(&frame);
        size += frame.len() as u64;
        file.write_all(&frame)
            .await
            .map_err(S3Error::internal_error)?;
    }
    file.flush().await.map_err(S3Error::internal_error)?;
    let came_to = digest.finish();
    let arrived = Arrived {
        draft,
        size,
        md5: hex::encode(&came_to.md5),
        sums: came_to.sums,
    };
    if declared
        .length
        .is_some_and(|length| u64::try_from(length) != Ok(size))
    {
        return Err(s3_error!(IncompleteBody));
    }
    if declared
        .md5
        .is_some_and(|md5| md5 != STANDARD.encode(&came_to.md5))
    {
        return Err(s3_error!(
            BadDigest,
            "The Content-MD5 is not that of the body."
        ));
    }
    let trailed = trailers
        .and_then(|trailers| trailers.read(trailed))
        .unwrap_or_default();
    for said in [&declared.sums, &trailed] {
        if let Some(algorithm) = arrived.sums.disagreement(said) {
            return Err(s3_error!(
                BadDigest,
                "The {algorithm} checksum is not that of the body."
            ));
        }
    }
    Ok(arrived)
}

fn trailed(trailers: &http::HeaderMap) -> Sums {
    let mut sums = Sums::default();
    for (name, value) in trailers {
        if let (Some(algorithm), Ok(digest)) = (
            name.as_str().strip_prefix("x-amz-checksum-"),
            value.to_str(),
        ) {
            sums.set(algorithm, digest);
        }
    }
    sums
}

/// The bytes `range` of an object. Its first piece is opened at once, so that an
/// object of one piece can be read to its end even when it is replaced meanwhile.
pub(super) async fn read(
    disk: &Disk,
    object: &Object,
    range: Range<u64>,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + Sync + use<>> {
    let mut spans: Vec<Span> = spans(&object.pieces, range)
        .map(|(piece, from, length)| Span {
            path: disk.data(&piece.file),
            file: None,
            from,
            length,
        })
        .collect();
    if let Some(first) = spans.first_mut() {
        first.open().await?;
    }
    Ok(stream::iter(spans).flat_map(|span| {
        stream::try_unfold(span, |mut span| async move {
            let bytes = span.chunk().await?;
            Ok((!bytes.is_empty()).then_some((bytes, span)))
        })
    }))
}

/// Where `range` of the pieces' concatenation lies: piece, offset in it, length.
fn spans(pieces: &[Piece], range: Range<u64>) -> impl Iterator<Item = (&Piece, u64, u64)> {
    let starts = pieces.iter().scan(0, |at, piece| {
        let start = *at;
        *at += piece.size;
        Some((piece, start))
    });
    starts.filter_map(move |(piece, start)| {
        let from = range.start.max(start);
        let to = range.end.min(start + piece.size);
        (from < to).then(|| (piece, from - start, to - from))
    })
}

struct Span {
    path: PathBuf,
    file: Option<File>,
    from: u64,
    length: u64,
}

impl Span {
    async fn open(&mut self) -> io::Result<()> {
        let mut file = File::open(&self.path).await?;
        if self.from > 0 {
            file.seek(SeekFrom::Start(self.from)).await?;
        }
        self.file = Some(file);
        Ok(())
    }

    /// The next bytes; none at the end.
    async fn chunk(&mut self) -> io::Result<Bytes> {
        if self.file.is_none() {
            self.open().await?;
        }
        let wanted = usize::try_from(self.length.min(CHUNK)).unwrap_or_default();
        let mut bytes = vec![0; wanted];
        if let Some(file) = &mut self.file {
            file.read_exact(&mut bytes).await?;
        }
        self.length -= wanted as u64;
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_at_the_borders_of_the_pieces() {
        let piece = |file: &str, size| Piece {
            file: file.into(),
            size,
        };
        let pieces = [piece("a", 10), piece("b", 5), piece("c", 10)];
        let cut = |range| -> Vec<(String, u64, u64)> {
            spans(&pieces, range)
                .map(|(piece, from, length)| (piece.file.clone(), from, length))
                .collect()
        };
        let named = |list: &[(&str, u64, u64)]| -> Vec<(String, u64, u64)> {
            list.iter()
                .map(|(file, from, length)| ((*file).into(), *from, *length))
                .collect()
        };
        assert_eq!(
            cut(0..25),
            named(&[("a", 0, 10), ("b", 0, 5), ("c", 0, 10)])
        );
        assert_eq!(cut(8..16), named(&[("a", 8, 2), ("b", 0, 5), ("c", 0, 1)]));
        assert_eq!(cut(10..15), named(&[("b", 0, 5)]));
        assert_eq!(cut(3..3), named(&[]));
    }
}
