//! PDF.

use super::bytes::{Sample, contains};
use crate::domain::verdict::Confidence::Structure;
use crate::domain::verdict::{Finding, Flag};

/// A PDF may begin behind a byte-order mark, blanks, NULs and `%` comments, within its
/// first kilobyte. Behind anything else it is that other thing, quoting a PDF.
pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    let first = &head[..head.len().min(1024)];
    let mut rest = first.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(first);
    loop {
        rest = match rest {
            [b'%', b'P', b'D', b'F', b'-', digit, ..] if digit.is_ascii_digit() => break,
            [b'%', ..] => &rest[rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?..],
            [0 | b'\t' | b'\n' | 0x0C | b'\r' | b' ', tail @ ..] => tail,
            _ => return None,
        };
    }
    let objects = [&b" obj"[..], b"xref", b"trailer", b"%%EOF"];
    if !objects.iter().any(|mark| contains(head, mark)) {
        return Some(Finding::broken(
            "application/pdf",
            "no object follows the header",
        ));
    }
    let script =
        contains(head, b"/JavaScript") || contains(head, b"/JS ") || contains(head, b"/JS(");
    Some(Finding::of("application/pdf", Structure).flagged(Flag::PdfScript, script))
}
