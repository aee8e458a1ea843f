//! ZIP and what is built on it. What an archive holds is read from the central directory,
//! at its end; readers ignore a local header that no entry there points to (PKWARE APPNOTE).

use super::bytes::{Sample, le16, le32, le64};
use crate::domain::media::{DOCM, DOCX, PPTM, PPTX, XLSB, XLSM, XLSX};
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::{Finding, Flag};

/// Whether the object begins as a ZIP archive: with a member, with the end record of an
/// empty one, or with the marker of an archive that was to be split and was not.
pub fn begins(head: &[u8]) -> bool {
    [&b"PK\x03\x04"[..], b"PK\x05\x06", b"PK00PK\x03\x04"]
        .iter()
        .any(|magic| head.starts_with(magic))
}

pub fn look(sample: &Sample) -> Option<Finding> {
    if !begins(sample.head) {
        return None;
    }
    let (end, start) = sample.end();
    if end.is_empty() {
        return Some(unread());
    }
    let Some(directory) = Directory::find(end, start) else {
        // A comment is at most 64 KiB long: with that much read, no record means no archive.
        let all_read = sample.is_whole() || end.len() as u64 >= super::TAIL_BYTES;
        return Some(if all_read {
            Finding::broken(
                "application/zip",
                "no end record: the archive is cut or none",
            )
        } else {
            unread()
        });
    };
    Some(match members(sample, &directory) {
        Some(Ok(members)) => members.finding(),
        Some(Err(why)) => Finding::broken("application/zip", why),
        None => unread(),
    })
}

/// An archive whose directory lies outside what was read.
fn unread() -> Finding {
    Finding::of("application/zip", Signature).flagged(Flag::DirectoryNotRead, true)
}

/// Where the end record says the central directory is.
struct Directory {
    offset: u64,
    len: u64,
    entries: u64,
    /// Where the end record itself is: the directory lies before it.
    record: u64,
}

impl Directory {
    /// Reads the last end record whose comment fits behind it.
    fn find(end: &[u8], start: u64) -> Option<Self> {
        let last = end.len().checked_sub(22)?;
        (0..=last)
            .rev()
            .filter(|at| end[*at..].starts_with(b"PK\x05\x06"))
            .find(|at| {
                le16(end, at + 20).is_some_and(|len| at + 22 + usize::from(len) <= end.len())
            })
            .and_then(|at| Self::read(end, at, start))
    }

    fn read(end: &[u8], at: usize, start: u64) -> Option<Self> {
        let record = start.checked_add(at as u64)?;
        let classic = Self {
            entries: u64::from(le16(end, at + 10)?),
            len: u64::from(le32(end, at + 12)?),
            offset: u64::from(le32(end, at + 16)?),
            record,
        };
        let full = classic.entries == 0xFFFF
            || classic.len == 0xFFFF_FFFF
            || classic.offset == 0xFFFF_FFFF;
        Some(if full {
            Self::zip64(end, at, start).unwrap_or(classic)
        } else {
            classic
        })
    }

    /// The 64-bit record, found through the locator that stands before the classic one.
    fn zip64(end: &[u8], at: usize, start: u64) -> Option<Self> {
        let locator = at
            .checked_sub(20)
            .filter(|at| end[*at..].starts_with(b"PK\x06\x07"))?;
        let record = le64(end, locator + 8)?;
        let at = usize::try_from(record.checked_sub(start)?).ok()?;
        end.get(at..)
            .filter(|rest| rest.starts_with(b"PK\x06\x06"))?;
        Some(Self {
            entries: le64(end, at.checked_add(32)?)?,
            len: le64(end, at.checked_add(40)?)?,
            offset: le64(end, at.checked_add(48)?)?,
            record,
        })
    }
}

/// What the members' names tell.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each name that is looked for"
)]
struct Members {
    /// The `mimetype` member's content, when it is the first and not compressed.
    media_type: Option<&'static str>,
    content_types: bool,
    word: bool,
    excel: bool,
    binary_excel: bool,
    slides: bool,
    macros: bool,
    container: bool,
    open_document: bool,
    manifest: bool,
    android: bool,
    encrypted: bool,
    escape: bool,
    bomb: bool,
}

/// Walks the directory; `None` when it was not read as a whole.
fn members(sample: &Sample, directory: &Directory) -> Option<Result<Members, &'static str>> {
    if directory.entries == 0 && directory.len == 0 {
        return Some(Ok(Members::default()));
    }
    if directory
        .offset
        .checked_add(directory.len)
        .is_none_or(|end| end > directory.record)
    {
        return Some(Err("the central directory lies behind the end record"));
    }
    let bytes = sample.at(directory.offset, usize::try_from(directory.len).ok()?)?;
    let mut members = Members::default();
    let mut at = 0;
    let mut seen = 0;
    while let Some(member) = Member::read(bytes, at) {
        members.note(sample, &member);
        at += member.record_len;
        seen += 1;
    }
    // Writers that overflow the 16-bit count are honest; those that list nothing are not.
    if seen == 0 {
        return Some(Err(
            "the central directory is not where the end record says",
        ));
    }
    Some(Ok(members))
}

/// One record of the central directory.
struct Member<'a> {
    name: &'a [u8],
    flags: u16,
    method: u16,
    packed: u32,
    unpacked: u32,
    local: u64,
    record_len: usize,
}

impl<'a> Member<'a> {
    fn read(bytes: &'a [u8], at: usize) -> Option<Self> {
        bytes
            .get(at..)
            .filter(|rest| rest.starts_with(b"PK\x01\x02"))?;
        let len = |field| le16(bytes, at + field).map(usize::from);
        let name_len = len(28)?;
        Some(Self {
            name: bytes.get(at + 46..at + 46 + name_len)?,
            flags: le16(bytes, at + 8)?,
            method: le16(bytes, at + 10)?,
            packed: le32(bytes, at + 20)?,
            unpacked: le32(bytes, at + 24)?,
            local: u64::from(le32(bytes, at + 42)?),
            record_len: 46 + name_len + len(30)? + len(32)?,
        })
    }

    /// Whether the name is this path; archivers differ in case and in slashes.
    fn is(&self, path: &str) -> bool {
        self.name.len() == path.len() && self.starts(path)
    }

    fn starts(&self, path: &str) -> bool {
        self.name.len() >= path.len()
            && self
                .name
                .iter()
                .zip(path.as_bytes())
                .all(|(found, wanted)| {
                    found.eq_ignore_ascii_case(wanted) || (*found == b'\\' && *wanted == b'/')
                })
    }

    /// `word/document.xml`, and the `document2.xml` some writers number.
    fn is_part(&self, stem: &str, extension: &str) -> bool {
        let rest = self.name.get(stem.len()..).unwrap_or_default();
        self.starts(stem)
            && rest
                .len()
                .checked_sub(extension.len())
                .is_some_and(|digits| {
                    rest[..digits].iter().all(u8::is_ascii_digit)
                        && rest[digits..].eq_ignore_ascii_case(extension.as_bytes())
                })
    }

    fn escapes(&self) -> bool {
        matches!(self.name, [b'/' | b'\\', ..] | [_, b':', ..])
            || self
                .name
                .split(|byte| matches!(byte, b'/' | b'\\'))
                .any(|step| step == b"..")
    }

    /// The content of a member that is stored as it is, when the head holds it.
    fn stored<'s>(&self, sample: &Sample<'s>) -> Option<&'s [u8]> {
        let local = sample
            .at(self.local, 30)
            .filter(|local| local.starts_with(b"PK\x03\x04"))?;
        let names = u64::from(le16(local, 26)?) + u64::from(le16(local, 28)?);
        let plain = self.method == 0 && self.packed <= 128;
        let start = self.local + 30 + names;
        sample.at(start, self.packed as usize).filter(|_| plain)
    }
}

impl Members {
    fn note(&mut self, sample: &Sample, member: &Member) {
        self.content_types |= member.is("[Content_Types].xml");
        self.word |= member.is_part("word/document", ".xml");
        self.excel |= member.is_part("xl/workbook", ".xml");
        self.binary_excel |= member.is_part("xl/workbook", ".bin");
        self.slides |= member.is_part("ppt/presentation", ".xml");
        self.macros |= member
            .name
            .to_ascii_lowercase()
            .ends_with(b"vbaproject.bin");
        self.container |= member.is("META-INF/container.xml");
        self.open_document |= member.is("content.xml") || member.is("META-INF/manifest.xml");
        self.manifest |= member.is("META-INF/MANIFEST.MF");
        self.android |= member.is("AndroidManifest.xml");
        self.encrypted |= member.flags & 1 != 0;
        self.escape |= member.escapes();
        self.bomb |= u64::from(member.unpacked) > 1_000_000 + 1000 * u64::from(member.packed)
            && member.unpacked != u32::MAX;
        if member.is("mimetype") {
            self.media_type = member.stored(sample).and_then(declared_type);
        }
    }

    fn media_type(&self) -> &'static str {
        let office = [self.word, self.excel, self.binary_excel, self.slides];
        match self.media_type {
            _ if self.android => "application/vnd.android.package-archive",
            Some("application/epub+zip") if self.container => "application/epub+zip",
            Some(name) if self.open_document && name != "application/epub+zip" => name,
            _ if self.content_types => match (office, self.macros) {
                ([true, false, false, false], false) => DOCX,
                ([true, false, false, false], true) => DOCM,
                ([false, true, false, false], false) => XLSX,
                ([false, true, false, false], true) => XLSM,
                ([false, false, true, false], _) => XLSB,
                ([false, false, false, true], false) => PPTX,
                ([false, false, false, true], true) => PPTM,
                _ => "application/zip",
            },
            _ if self.manifest => "application/java-archive",
            _ => "application/zip",
        }
    }

    fn finding(&self) -> Finding {
        Finding::of(self.media_type(), Structure)
            .flagged(Flag::Macros, self.macros)
            .flagged(Flag::Encrypted, self.encrypted)
            .flagged(Flag::PathEscape, self.escape)
            .flagged(Flag::BombRatio, self.bomb)
    }
}

/// The types that a `mimetype` member may state.
fn declared_type(content: &[u8]) -> Option<&'static str> {
    match content.trim_ascii() {
        b"application/epub+zip" => Some("application/epub+zip"),
        b"application/vnd.oasis.opendocument.text" => {
            Some("application/vnd.oasis.opendocument.text")
        }
        b"application/vnd.oasis.opendocument.spreadsheet" => {
            Some("application/vnd.oasis.opendocument.spreadsheet")
        }
        b"application/vnd.oasis.opendocument.presentation" => {
            Some("application/vnd.oasis.opendocument.presentation")
        }
        b"application/vnd.oasis.opendocument.graphics" => {
            Some("application/vnd.oasis.opendocument.graphics")
        }
        _ => None,
    }
}
