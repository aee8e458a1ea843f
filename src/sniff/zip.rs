//! ZIP. What an archive holds is read from the central directory, at its end; readers
//! ignore a local header that no entry there points to (PKWARE APPNOTE). Where the directory
//! is too long to be read, the part of it that was, and the local headers in the head.

use memchr::memmem;

use super::bytes::{Sample, inflate, le16, le32, le64};
use super::package::Members;
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::{Finding, Flag};

const LOCAL: &[u8] = b"PK\x03\x04";
const ENTRY: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
/// How much of a member is unpacked to read what it says of the rest.
const CONTENT: usize = 32 * 1024;

/// Whether the object begins as a ZIP archive: with a member, with the end record of an
/// empty one, or with a marker of an archive that was to be split.
pub fn begins(head: &[u8]) -> bool {
    head.starts_with(END) || first_local(head).is_some()
}

/// Where the first member begins.
fn first_local(head: &[u8]) -> Option<usize> {
    let marked = head.starts_with(b"PK00PK") || head.starts_with(b"PK\x07\x08PK");
    let at = if marked { 4 } else { 0 };
    head.get(at..)?.starts_with(LOCAL).then_some(at)
}

pub fn look(sample: &Sample) -> Option<Finding> {
    if !begins(sample.head) {
        return None;
    }
    let (end, start) = sample.end();
    if end.is_empty() {
        return Some(unread());
    }
    let mut why = "no end record: the archive is cut or none";
    for at in memmem::rfind_iter(end, END).take(16) {
        let Some(directory) = Directory::read(sample, end, at, start) else {
            continue;
        };
        match members(sample, &directory) {
            Ok((members, complete)) => {
                let media_type = members.media_type();
                let unsure = !complete && media_type == "application/zip";
                let confidence = if unsure { Signature } else { Structure };
                return Some(
                    members
                        .flag(Finding::of(media_type, confidence))
                        .flagged(Flag::DirectoryNotRead, unsure)
                        .at(directory.record),
                );
            }
            Err(fault) => why = fault,
        }
    }
    Some(Finding::broken("application/zip", why).at(start))
}

/// An archive of which the end was not read.
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
    fn read(sample: &Sample, end: &[u8], at: usize, start: u64) -> Option<Self> {
        let record = start.checked_add(at as u64)?;
        let classic = Self {
            entries: u64::from(le16(end, at + 10)?),
            len: u64::from(le32(end, at + 12)?),
            offset: u64::from(le32(end, at + 16)?),
            record,
        };
        le16(end, at + 20)?;
        let full = classic.entries == 0xFFFF
            || classic.len == 0xFFFF_FFFF
            || classic.offset == 0xFFFF_FFFF;
        Some(if full {
            Self::zip64(sample, record).unwrap_or(classic)
        } else {
            classic
        })
    }

    /// The 64-bit record, found through the locator that stands before the classic one.
    fn zip64(sample: &Sample, record: u64) -> Option<Self> {
        let locator = sample.at(record.checked_sub(20)?, 20)?;
        if !locator.starts_with(b"PK\x06\x07") {
            return None;
        }
        let record = le64(locator, 8)?;
        let long = sample
            .at(record, 56)
            .filter(|long| long.starts_with(b"PK\x06\x06"))?;
        Some(Self {
            entries: le64(long, 32)?,
            len: le64(long, 40)?,
            offset: le64(long, 48)?,
            record,
        })
    }

    /// Where it really begins, and by how much that differs from what is stated: some
    /// writers forget what they put before the archive.
    fn begin(&self, sample: &Sample) -> Option<(u64, u64)> {
        let counted = self.record.checked_sub(self.len)?;
        let is_entry = |at: u64| sample.at(at, 4).is_some_and(|magic| magic == ENTRY);
        if is_entry(self.offset) {
            return Some((self.offset, 0));
        }
        if is_entry(counted) && counted > self.offset {
            return Some((counted, counted - self.offset));
        }
        (self.offset <= counted && sample.at(self.offset, 4).is_none()).then_some((self.offset, 0))
    }
}

/// What the members' names tell, and whether all of them were read.
fn members(sample: &Sample, directory: &Directory) -> Result<(Members, bool), &'static str> {
    let mut members = Members::default();
    if directory.entries == 0 && directory.len == 0 {
        return Ok((members, true));
    }
    let (start, delta) = directory
        .begin(sample)
        .ok_or("the central directory is not where the end record says")?;
    if let Some(bytes) = sample.from(start) {
        walk(bytes, delta, sample, &mut members);
    }
    let complete = sample
        .at(start, usize::try_from(directory.len).unwrap_or(usize::MAX))
        .is_some();
    if complete {
        // Writers that overflow the 16-bit count are honest; those that list nothing are not.
        return if members.seen == 0 {
            Err("the central directory is not where the end record says")
        } else {
            Ok((members, true))
        };
    }
    locals(sample, &mut members);
    let (end, offset) = sample.end();
    if offset > start
        && let Some(at) = memmem::find(end, ENTRY)
    {
        walk(&end[at..], delta, sample, &mut members);
    }
    Ok((members, false))
}

/// Walks records of the central directory as long as there are any.
fn walk(bytes: &[u8], delta: u64, sample: &Sample, members: &mut Members) {
    let mut at = 0;
    while let Some((mut member, len)) = Member::listed(bytes, at) {
        member.local = member.local.saturating_add(delta);
        members.note(sample, &member);
        at += len;
    }
}

/// Walks the local headers that the head holds.
fn locals(sample: &Sample, members: &mut Members) {
    let head = sample.head;
    let mut next = first_local(head);
    while let Some((member, data)) = next.and_then(|at| Member::local(head, at)) {
        members.note(sample, &member);
        // Sizes may stand behind the data; then the next header is searched for.
        next = match member.packed {
            0 | u32::MAX => head
                .get(data..)
                .and_then(|rest| memmem::find(rest, LOCAL))
                .map(|at| data + at),
            packed => Some(data.saturating_add(packed as usize)),
        };
    }
}

/// One member of an archive.
pub struct Member<'a> {
    pub name: &'a [u8],
    pub flags: u16,
    method: u16,
    pub packed: u32,
    pub unpacked: u32,
    local: u64,
}

impl<'a> Member<'a> {
    /// From its record in the central directory, with that record's length.
    fn listed(bytes: &'a [u8], at: usize) -> Option<(Self, usize)> {
        let record = bytes.get(at..).filter(|rest| rest.starts_with(ENTRY))?;
        let len = |field| le16(record, field).map(usize::from);
        let name_len = len(28)?;
        let member = Self {
            name: record.get(46..46 + name_len)?,
            flags: le16(record, 8)?,
            method: le16(record, 10)?,
            packed: le32(record, 20)?,
            unpacked: le32(record, 24)?,
            local: u64::from(le32(record, 42)?),
        };
        Some((member, 46 + name_len + len(30)? + len(32)?))
    }

    /// From the header before its data, with where that data begins.
    fn local(head: &'a [u8], at: usize) -> Option<(Self, usize)> {
        let header = head.get(at..).filter(|rest| rest.starts_with(LOCAL))?;
        let name_len = usize::from(le16(header, 26)?);
        let member = Self {
            name: header.get(30..30 + name_len)?,
            flags: le16(header, 6)?,
            method: le16(header, 8)?,
            packed: le32(header, 18)?,
            unpacked: le32(header, 22)?,
            local: at as u64,
        };
        Some((member, at + 30 + name_len + usize::from(le16(header, 28)?)))
    }

    /// The beginning of its content, when that was read and is packed in a way known here.
    pub fn content(&self, sample: &Sample) -> Option<Vec<u8>> {
        let local = sample
            .at(self.local, 30)
            .filter(|local| local.starts_with(LOCAL))?;
        let names = u64::from(le16(local, 26)?) + u64::from(le16(local, 28)?);
        let rest = sample.from(self.local + 30 + names)?;
        let bytes = match self.packed {
            0 | u32::MAX => rest,
            packed => &rest[..rest.len().min(packed as usize)],
        };
        match self.method {
            _ if self.flags & 1 != 0 => None,
            0 if self.packed > 0 => Some(bytes[..bytes.len().min(CONTENT)].to_vec()),
            8 => inflate(bytes, CONTENT, false).map(|(content, _)| content),
            _ => None,
        }
    }
}
