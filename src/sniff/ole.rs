//! OLE2 compound files (MS-CFB): the old Office formats, told apart by the streams of their
//! root.

use super::bytes::{Sample, le16, le32};
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::{Finding, Flag};

const MAGIC: &[u8] = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";
/// The most entries that are looked at; the root's streams stand among the first.
const ENTRIES: u64 = 1024;
/// No entry: the end of a branch.
const NONE: u32 = u32::MAX;

/// Where the directory begins.
pub fn directory(head: &[u8]) -> Option<u64> {
    let shift = le16(head, 30).filter(|shift| matches!(shift, 9 | 12))?;
    let sector = le32(head, 48).filter(|_| head.starts_with(MAGIC))?;
    Some((u64::from(sector) + 1) << shift)
}

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    if !head.starts_with(MAGIC) {
        return None;
    }
    let broken = |why, at| Some(Finding::broken("application/x-ole-storage", why).at(at));
    if head.len() < 512 && sample.is_whole() {
        return broken("the header is cut", head.len() as u64);
    }
    let Some(start) = directory(head).filter(|_| le16(head, 28) == Some(0xFFFE)) else {
        return broken("the header is none of OLE2's", 24);
    };
    if start + 128 > sample.size {
        return broken("the directory lies behind the end", 48);
    }
    let tree = Tree {
        sample,
        start,
        sector: 1 << le16(head, 30).unwrap_or(9),
    };
    let Some(root) = tree.entry(0) else {
        let finding = Finding::of("application/x-ole-storage", Signature);
        return Some(finding.flagged(Flag::DirectoryNotRead, true).at(start));
    };
    if root[66] != 5 {
        return broken("the directory has no root", start);
    }
    let (names, complete) = tree.names();
    let has = |wanted: &str| names.iter().any(|name| name.eq_ignore_ascii_case(wanted));
    let media_type = by_class(&root[80..96])
        .filter(|_| !complete)
        .or_else(|| by_names(&has))
        .or_else(|| by_class(&root[80..96]))
        .unwrap_or("application/x-ole-storage");
    let unread = !complete && media_type == "application/x-ole-storage";
    Some(
        Finding::of(media_type, Structure)
            .flagged(Flag::DirectoryNotRead, unread)
            .flagged(
                Flag::Encrypted,
                has("EncryptedPackage") || has("EncryptionInfo"),
            )
            .flagged(
                Flag::Macros,
                has("_VBA_PROJECT_CUR") || has("Macros") || has("VBA"),
            )
            .at(start),
    )
}

/// The directory, as far as it was read.
struct Tree<'a> {
    sample: &'a Sample<'a>,
    start: u64,
    sector: u64,
}

impl<'a> Tree<'a> {
    /// An entry by its number. The directory's sectors are a chain; where its links were
    /// read they are followed, else the next sector is taken for the next link.
    fn entry(&self, number: u32) -> Option<&'a [u8]> {
        let per_sector = self.sector / 128;
        let (link, within) = (
            u64::from(number) / per_sector,
            u64::from(number) % per_sector,
        );
        let mut at = self.start;
        for _ in 0..link {
            at = self.next(at).unwrap_or(at + self.sector);
        }
        self.sample.at(at + 128 * within, 128)
    }

    /// The offset of the sector that follows the one at an offset. The first 109 sectors of
    /// links are listed in the header.
    fn next(&self, at: u64) -> Option<u64> {
        let sector = (at / self.sector).checked_sub(1)?;
        let per_sector = self.sector / 4;
        let list = usize::try_from(sector / per_sector)
            .ok()
            .filter(|at| *at < 109)?;
        let links = u64::from(le32(self.sample.head, 76 + 4 * list)?);
        let link = (links + 1) * self.sector + 4 * (sector % per_sector);
        let next = le32(self.sample.at(link, 4)?, 0)?;
        (next < 0xFFFF_FFFA).then(|| (u64::from(next) + 1) * self.sector)
    }

    /// The names right under the root, and whether all of them were reached. What is
    /// embedded in a document has streams of its own, further down.
    fn names(&self) -> (Vec<String>, bool) {
        let first = self.entry(0).and_then(|root| le32(root, 76));
        let mut open: Vec<u32> = first.into_iter().collect();
        let (mut names, mut complete) = (Vec::new(), true);
        for _ in 0..ENTRIES {
            let Some(number) = open.pop() else {
                break;
            };
            if number == NONE {
                continue;
            }
            let entry = Some(number)
                .filter(|number| u64::from(*number) < ENTRIES)
                .and_then(|number| self.entry(number));
            let Some((entry, name)) = entry.and_then(|entry| Some((entry, name(entry)?))) else {
                complete = false;
                continue;
            };
            names.push(name);
            open.extend([le32(entry, 68), le32(entry, 72)].into_iter().flatten());
            if names.len() > 256 {
                complete = false;
                break;
            }
        }
        (names, complete)
    }
}

/// An entry's name; `None` when it is no entry in use.
fn name(entry: &[u8]) -> Option<String> {
    let len = usize::from(le16(entry, 64)?);
    if len > 64 || len % 2 != 0 || !(1..=5).contains(entry.get(66)?) {
        return None;
    }
    let units = entry[..len.saturating_sub(2)]
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    Some(
        char::decode_utf16(units)
            .map(|unit| unit.unwrap_or('?'))
            .collect(),
    )
}

/// The type by streams that it cannot be without.
fn by_names(has: &dyn Fn(&str) -> bool) -> Option<&'static str> {
    let table: [(&str, &'static str); 11] = [
        ("PowerPoint Document", "application/vnd.ms-powerpoint"),
        ("PP40", "application/vnd.ms-powerpoint"),
        ("WordDocument", "application/msword"),
        ("Workbook", "application/vnd.ms-excel"),
        ("Book", "application/vnd.ms-excel"),
        ("__properties_version1.0", "application/vnd.ms-outlook"),
        ("VisioDocument", "application/vnd.visio"),
        ("Quill", "application/x-mspublisher"),
        ("FileHeader", "application/x-hwp"),
        ("BodyText", "application/x-hwp"),
        ("EncryptedPackage", "application/x-ole-storage"),
    ];
    table
        .into_iter()
        .find(|(name, _)| has(name))
        .map(|(_, media_type)| media_type)
}

/// The type by the root's class.
fn by_class(class: &[u8]) -> Option<&'static str> {
    // The rest of a class of OLE's first days.
    let standard = class.get(4..16)? == b"\0\0\0\0\xC0\0\0\0\0\0\0\x46";
    match le32(class, 0)? {
        0x0002_0900 | 0x0002_0901 | 0x0002_0906 | 0x0002_0907 if standard => {
            Some("application/msword")
        }
        0x0002_0810 | 0x0002_0811 | 0x0002_0820 | 0x0002_0821 if standard => {
            Some("application/vnd.ms-excel")
        }
        0x6481_8D10 | 0x6481_8D11 | 0xEA7B_AE70 | 0xEA7B_AE71 => {
            Some("application/vnd.ms-powerpoint")
        }
        0x0002_1A13 | 0x0002_1A14 if standard => Some("application/vnd.visio"),
        0x0002_1201 if standard => Some("application/x-mspublisher"),
        0x0002_0D0B if standard => Some("application/vnd.ms-outlook"),
        0x000C_1084 | 0x000C_1086 if standard => Some("application/x-msi"),
        0x74B7_8F3A => Some("application/vnd.ms-project"),
        _ => None,
    }
}
