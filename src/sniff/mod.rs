//! Bytes to what they are. Pure functions; nothing here trusts a length it read.
//!
//! One file per family of formats. Each answers for the bytes that begin like its own,
//! also with "this is broken", so that no weaker rule gets a second look at them.

mod av;
mod blocks;
mod bmff;
mod bytes;
mod document;
mod extent;
mod font;
mod guard;
mod image;
mod json;
mod markup;
mod mpeg;
mod named;
mod ole;
mod package;
mod photo;
#[cfg(test)]
mod tests;
mod text;
mod zip;

use std::fmt::Write as _;
use std::ops::Range;

use crate::domain::verdict::{Confidence, Finding};
use bytes::Sample;

/// How many of an object's first bytes [`sniff`] wants. Less would name most types as
/// well; this much holds the frame header of a JPEG behind the thumbnail that cameras put
/// before it.
pub const HEAD_BYTES: u64 = 64 * 1024;
/// How many bytes outside the head [`next_read`] asks for, in all.
pub const MORE_BYTES: u64 = 64 * 1024;
/// The most of them that are not read from the end.
const MIDDLE_BYTES: u64 = 16 * 1024;

/// A stretch of an object that was read beside its head.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Where it begins in the object.
    pub offset: u64,
    /// What is there.
    pub bytes: &'a [u8],
}

/// The order matters where a signature is a few letters that a text may begin with too:
/// those looks answer only when the structure behind holds, and text comes after them.
const LOOKS: [fn(&Sample) -> Option<Finding>; 12] = [
    image::look,
    bmff::look,
    zip::look,
    ole::look,
    av::look,
    blocks::look,
    mpeg::look,
    document::look,
    font::look,
    text::look,
    named::look,
    mpeg::behind_padding,
];

/// What to read next of an object of `size` bytes, beside its head and what was read
/// already; `None` when that is enough. At most two stretches, [`MORE_BYTES`] together:
///
/// | bytes | read |
/// |---|---|
/// | ZIP | the end, where its directory is |
/// | OLE2 | its directory, wherever that is |
/// | raster images, PDF | where the header's chain leaves the head; the end, for archives behind it |
/// | SVG | the end, for script |
/// | sound behind an `ID3v2` tag | what follows the tag |
///
/// The ranges lie within the object and are never empty.
pub fn next_read(head: &[u8], more: &[Piece], size: u64) -> Option<Range<u64>> {
    let sample = Sample { head, more, size };
    let left = MORE_BYTES.checked_sub(more.iter().map(|piece| piece.bytes.len() as u64).sum())?;
    if sample.is_whole() || more.len() >= 2 || left == 0 {
        return None;
    }
    let middle = |at: u64| {
        let unread = at < size && sample.at(at, 1).is_none();
        unread.then(|| at..size.min(at + left.min(MIDDLE_BYTES)))
    };
    let end = || size.saturating_sub(left).max(head.len() as u64)..size;
    if zip::begins(head) {
        return more.is_empty().then(end);
    }
    if let Some(at) = ole::directory(head) {
        return more.is_empty().then(|| middle(at)).flatten();
    }
    if let Some(at) = mpeg::behind_tag(head) {
        return more.is_empty().then(|| middle(at)).flatten();
    }
    let wants_end = if let Some((_, walk)) = image::walk(&sample) {
        let needs = walk.ok().and_then(|seen| seen.needs);
        // What the end will hold anyway needs no read of its own.
        if let Some(range) = needs.filter(|at| *at < end().start).and_then(middle) {
            return Some(range);
        }
        true
    } else {
        document::begins(head) || markup::is_svg(head)
    };
    let has_end = more
        .iter()
        .any(|piece| piece.offset + piece.bytes.len() as u64 >= size);
    (wants_end && !has_end).then(end)
}

/// What an object of `size` bytes is, by its first bytes and what [`next_read`] asked for
/// (pieces may overlap, or be missing). It never panics and allocates no more than a few
/// times what it is given.
pub fn sniff(head: &[u8], more: &[Piece], size: u64) -> Finding {
    let read = more
        .iter()
        .map(|piece| piece.offset.saturating_add(piece.bytes.len() as u64));
    let size = read.fold(size.max(head.len() as u64), u64::max);
    let sample = Sample { head, more, size };
    let finding = LOOKS
        .into_iter()
        .find_map(|look| look(&sample))
        .unwrap_or_default();
    let finding = extent::held(&sample, guard::guarded(&sample, finding));
    shown(&sample, finding)
}

/// With the bytes at the offset that the finding rests on.
fn shown(sample: &Sample, mut finding: Finding) -> Finding {
    let at = finding.evidence.offset;
    let bytes = (1..=16)
        .rev()
        .find_map(|len| sample.at(at, len))
        .unwrap_or_default();
    let mut text = String::with_capacity(32);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    finding.evidence.bytes = text;
    if finding.malformed.is_some() {
        finding.confidence = Confidence::Signature;
    }
    finding
}
