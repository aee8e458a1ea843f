//! OLE2 compound files (MS-CFB): the old Office formats, told apart by stream names.

use super::bytes::{Sample, le16, le32};
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::{Finding, Flag};

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    if !head.starts_with(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") {
        return None;
    }
    let (order, shift) = (le16(head, 28), le16(head, 30));
    if order != Some(0xFFFE) || !matches!(shift, Some(9 | 12)) {
        return Some(Finding::broken(
            "application/x-ole-storage",
            "the header is none of OLE2's",
        ));
    }
    let sector = u64::from(le32(head, 48).unwrap_or(0));
    let directory = (sector + 1) << shift.unwrap_or(9);
    if directory + 128 > sample.size {
        return Some(Finding::broken(
            "application/x-ole-storage",
            "the directory lies behind the end",
        ));
    }
    // Writers put the directory's sectors in a row; what is no entry ends it.
    let names: Vec<Vec<u8>> = (0..64)
        .map_while(|index| sample.at(directory + 128 * index, 128))
        .map_while(name)
        .collect();
    let has = |wanted: &str| names.iter().any(|name| name == wanted.as_bytes());
    let media_type = if has("WordDocument") {
        "application/msword"
    } else if has("PowerPoint Document") {
        "application/vnd.ms-powerpoint"
    } else if has("Workbook") || has("Book") {
        "application/vnd.ms-excel"
    } else if has("__properties_version1.0") {
        "application/vnd.ms-outlook"
    } else {
        "application/x-ole-storage"
    };
    let confidence = if names.is_empty() {
        Signature
    } else {
        Structure
    };
    Some(
        Finding::of(media_type, confidence)
            .flagged(Flag::DirectoryNotRead, names.is_empty())
            .flagged(Flag::Encrypted, has("EncryptedPackage"))
            .flagged(Flag::Macros, has("_VBA_PROJECT_CUR") || has("Macros")),
    )
}

/// An entry's name with the high bytes of its UTF-16 dropped; unused entries have none.
fn name(entry: &[u8]) -> Option<Vec<u8>> {
    let len = usize::from(le16(entry, 64)?);
    if len > 64 || len % 2 != 0 || entry[66] > 5 {
        return None;
    }
    Some(
        entry[..len.saturating_sub(2)]
            .iter()
            .step_by(2)
            .copied()
            .collect(),
    )
}
