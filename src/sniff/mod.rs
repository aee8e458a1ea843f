//! Bytes to what they are. Pure functions; nothing here trusts a length it read.
//!
//! One file per family of formats. Each answers for the bytes that begin like its own,
//! also with "this is broken", so that no weaker rule gets a second look at them.

mod av;
mod bmff;
mod bytes;
mod document;
mod image;
mod named;
mod ole;
#[cfg(test)]
mod tests;
mod text;
mod zip;

use crate::domain::verdict::{Finding, Flag};
use bytes::{Sample, contains};

/// How many of an object's first bytes [`sniff`] wants. Less would name most types as
/// well; this much holds the frame header of a JPEG behind the thumbnail that cameras put
/// before it.
pub const HEAD_BYTES: u64 = 64 * 1024;
/// How many of an object's last bytes [`sniff`] wants, when [`wants_tail`] says so.
pub const TAIL_BYTES: u64 = 64 * 1024;

/// The order matters where a signature is a few letters that a text may begin with too:
/// those looks answer only when the structure behind holds, and text comes after them.
const LOOKS: [fn(&Sample) -> Option<Finding>; 8] = [
    image::look,
    bmff::look,
    zip::look,
    ole::look,
    av::look,
    document::look,
    text::look,
    named::look,
];

/// Whether the last [`TAIL_BYTES`] bytes tell more: for ZIP containers that the head does
/// not hold as a whole.
pub fn wants_tail(head: &[u8], size: u64) -> bool {
    zip::begins(head) && (head.len() as u64) < size
}

/// What an object of `size` bytes is, by its first bytes and, where [`wants_tail`] asked
/// for them, its last ones (they may overlap; without a tail pass `&[]`). It never panics
/// and allocates no more than a few times what it is given.
pub fn sniff(head: &[u8], tail: &[u8], size: u64) -> Finding {
    let sample = Sample {
        head,
        tail,
        size: size.max(head.len() as u64).max(tail.len() as u64),
    };
    let finding = LOOKS
        .into_iter()
        .find_map(|look| look(&sample))
        .unwrap_or_default();
    guarded(&sample, finding)
}

/// Pictures have no business with script: no honest one of thousands holds these words.
fn guarded(sample: &Sample, finding: Finding) -> Finding {
    let is_picture = finding
        .media_type
        .is_some_and(|name| name.starts_with("image/"))
        && finding.media_type != Some("image/svg+xml");
    let words = [&b"<script"[..], b"<?php", b"<?= ", b"__HALT_COMPILER("];
    if is_picture && words.iter().any(|word| contains(sample.head, word)) {
        Finding {
            active: true,
            ..finding.flagged(Flag::ScriptInside, true)
        }
    } else {
        finding
    }
}
