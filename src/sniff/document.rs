//! PDF.

use super::bytes::{Sample, contains, find, is_text_byte, starts};
use super::extent::FRAGMENT;
use crate::domain::verdict::Confidence::Structure;
use crate::domain::verdict::{Finding, Flag};

/// How far in a PDF may begin.
const LEAD: usize = 1024;

/// Whether the head begins as a PDF.
pub fn begins(head: &[u8]) -> bool {
    begin(head).is_some()
}

/// Where the header is: behind a byte-order mark, blanks, NULs and `%` comments, a printer's
/// job language or the wrapper that old Macs put around files, within the first kilobyte.
/// Behind anything else it is that other thing, quoting a PDF.
fn begin(head: &[u8]) -> Option<usize> {
    let first = &head[..head.len().min(LEAD)];
    let is_header = |at: usize| matches!(first.get(at..), Some([b'%', b'P', b'D', b'F', b'-' | b' ', digit, ..]) if digit.is_ascii_digit());
    let wrapped = starts(first, b"\x1B%-12345X")
        || starts(first, b"@PJL")
        || starts(first, b"\0\x05\x16\0") | starts(first, b"\0\x05\x16\x07")
        || (first.first() == Some(&0) && first.get(65..69) == Some(b"PDF "));
    if wrapped {
        return memchr::memmem::find_iter(first, b"%PDF-").find(|at| is_header(*at));
    }
    // PDF 1.7, implementation note 14: PostScript's header may say it, too.
    if first.starts_with(b"%!PS-Adobe-") {
        let line = first.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
        return contains(line, b" PDF-").then_some(0);
    }
    let mut at = if first.starts_with(b"\xEF\xBB\xBF") {
        3
    } else {
        0
    };
    while !is_header(at) {
        match first.get(at)? {
            b'%' => {
                at += first[at..]
                    .iter()
                    .position(|byte| matches!(byte, b'\r' | b'\n'))?;
            }
            0 | b'\t' | b'\n' | 0x0C | b'\r' | b' ' => at += 1,
            _ => return None,
        }
    }
    Some(at)
}

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    let at = begin(head)? as u64;
    let marks = [&b"obj"[..], b"xref", b"trailer", b"%%EOF"];
    if !marks.iter().any(|mark| contains(head, mark)) {
        let broken = Finding::broken("application/pdf", "no object follows the header");
        return Some(broken.at(at));
    }
    // The smallest legal PDF has a trailer and no more.
    let closes = [&b"trailer"[..], b"startxref", b"%%EOF", b"/Root"];
    if sample.size < FRAGMENT && !closes.iter().any(|mark| contains(head, mark)) {
        return Some(Finding::broken("application/pdf", "it ends before its trailer").at(at));
    }
    let (end, start) = sample.end();
    let last = &end[end.len().saturating_sub(2048)..];
    let ends = [
        &b"%%EOF"[..],
        b"startxref",
        b"endobj",
        b"endstream",
        b"trailer",
    ];
    let ended = end.is_empty() || ends.iter().any(|mark| find(last, mark).is_some());
    let text = last.len() >= 16
        && last[last.len() - 16..]
            .iter()
            .all(|byte| is_text_byte(*byte));
    if !ended && text && !end.is_empty() {
        let broken = Finding::broken("application/pdf", "text follows where its objects were to");
        return Some(broken.at(start + (end.len() - 16) as u64));
    }
    let within = |mark: &[u8]| sample.pieces().any(|(bytes, _)| contains(bytes, mark));
    let script = within(b"/JavaScript") || within(b"/JS ") || within(b"/JS(") || within(b"/JS<");
    Some(
        Finding::of("application/pdf", Structure)
            .flagged(Flag::PdfScript, script)
            .flagged(Flag::Encrypted, within(b"/Encrypt "))
            .flagged(Flag::Truncated, !end.is_empty() && !within(b"%%EOF"))
            .at(at),
    )
}
