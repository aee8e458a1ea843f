//! Fonts: the `sfnt` directory and the wrappers of the web.

use super::bytes::{Sample, be16, be32};
use crate::domain::verdict::Confidence::Structure;
use crate::domain::verdict::{Finding, Flag};

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    let magic = head.get(..4)?;
    match magic {
        b"wOFF" => Some(wrapped(sample, "font/woff", 44)),
        b"wOF2" => Some(wrapped(sample, "font/woff2", 48)),
        b"ttcf" => {
            let count = be32(head, 8).filter(|count| (1..=1024).contains(count));
            count.map(|_| Finding::of("font/collection", Structure))
        }
        b"OTTO" => directory(sample, "font/otf"),
        b"\0\x01\0\0" | b"true" | b"typ1" => directory(sample, "font/ttf"),
        _ => None,
    }
}

/// The tables' names are letters, and their data lies within the file.
fn directory(sample: &Sample, media_type: &'static str) -> Option<Finding> {
    let head = sample.head;
    let count = usize::from(be16(head, 4).filter(|count| (1..=256).contains(count))?);
    let mut truncated = false;
    for index in 0..count {
        let at = 12 + 16 * index;
        let (Some(name), Some(start), Some(len)) = (
            head.get(at..at + 4),
            be32(head, at + 8),
            be32(head, at + 12),
        ) else {
            return (!sample.is_whole()).then(|| Finding::of(media_type, Structure));
        };
        if !name.iter().all(|byte| (0x20..0x7F).contains(byte)) {
            return None;
        }
        truncated |= u64::from(start) + u64::from(len) > sample.size;
    }
    Some(Finding::of(media_type, Structure).flagged(Flag::Truncated, truncated))
}

/// WOFF 1 and 2 (W3C): flavour, length, number of tables.
fn wrapped(sample: &Sample, media_type: &'static str, header: u64) -> Finding {
    let head = sample.head;
    let (len, tables) = (be32(head, 8).map(u64::from), be16(head, 12));
    match (len, tables) {
        (Some(len), Some(1..)) if len > sample.size => {
            Finding::broken(media_type, "it is longer than the file").at(8)
        }
        (Some(len), Some(1..)) if len >= header => Finding::of(media_type, Structure),
        _ => Finding::broken(media_type, "the header is none of WOFF's").at(8),
    }
}
