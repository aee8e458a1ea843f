//! What has no business inside a file, whatever the file is.

use memchr::memchr_iter;
use memchr::memmem;

use super::bytes::{Sample, contains, find, is_text_byte, le16, le32, starts};
use crate::domain::media;
use crate::domain::verdict::{Finding, Flag};

/// Tags that make a page of what a browser is told to guess; looked for where it looks.
const PAGE_TAGS: [&[u8]; 8] = [
    b"<html", b"<head", b"<body", b"<svg", b"<iframe", b"<img", b"<object", b"<embed",
];
/// How far into a picture page tags are looked for. Further in, honest metadata has them.
const PAGE_BYTES: usize = 1024;

/// Refuses or flags by what else the bytes hold.
pub fn guarded(sample: &Sample, finding: Finding) -> Finding {
    let Some(media_type) = finding.media_type else {
        return finding;
    };
    let is_picture = media_type.starts_with("image/") && !media::is_active(media_type);
    let is_carrier = is_picture
        || ["audio/", "video/", "font/"]
            .iter()
            .any(|top| media_type.starts_with(top))
        || matches!(media::family(media_type), "zip" | "ole2") && !media::is_archive(media_type)
        || media_type == "application/pdf";
    if !is_carrier {
        return finding;
    }
    let finding = match script(sample, is_picture) {
        Some(at) => Finding {
            active: true,
            ..finding.flagged(Flag::ScriptInside, true).at(at)
        },
        None => finding,
    };
    let is_package = matches!(media::family(media_type), "zip" | "ole2");
    if !is_package
        && finding.malformed.is_none()
        && let Some(at) = memmem::find(
            sample.head.get(..PAGE_BYTES).unwrap_or(sample.head),
            b"\x7FELF",
        )
    {
        let broken = Finding::broken(media_type, "a program follows its beginning");
        return broken.flagged(Flag::ProgramInside, true).at(at as u64);
    }
    if !is_package
        && finding.malformed.is_none()
        && let Some(at) = archive(sample, media_type == "application/pdf")
    {
        let broken = Finding::broken(media_type, "a ZIP archive is hidden behind it");
        return broken.flagged(Flag::Polyglot, true).at(at);
    }
    if finding.malformed.is_none()
        && finding.has(Flag::Truncated)
        && let Some(at) = foreign_rest(sample, media_type == "application/pdf")
    {
        let broken = Finding::broken(media_type, "its beginning is there, and then other data");
        return broken.flagged(Flag::Truncated, true).at(at);
    }
    finding
}

/// Where code begins that a server or a browser might run. No honest picture of thousands
/// holds any; sound and documents hold pages, but no PHP.
fn script(sample: &Sample, is_picture: bool) -> Option<u64> {
    let in_head = sample.head.get(..PAGE_BYTES).unwrap_or(sample.head);
    let page = || {
        let ends =
            |byte: Option<&u8>| matches!(byte, Some(b'>' | b'/' | b' ' | b'\t' | b'\r' | b'\n'));
        PAGE_TAGS
            .iter()
            .find_map(|tag| find(in_head, tag).filter(|at| ends(in_head.get(at + tag.len()))))
            .map(|at| at as u64)
    };
    let found = sample.pieces().find_map(|(bytes, start)| {
        let tag = memchr_iter(b'<', bytes).find(|at| {
            let rest = &bytes[*at..];
            starts(rest, b"<?php")
                || is_picture && (rest.starts_with(b"<?= ") || starts(rest, b"<script"))
        });
        let at = tag.or_else(|| memmem::find(bytes, b"__HALT_COMPILER("))?;
        Some(start + at as u64)
    });
    found.or_else(|| page().filter(|_| is_picture))
}

/// Where the end record of an archive is that readers would find from the end: one that
/// lists members, and whose directory lies where it says. A document may embed an archive
/// as it is, so for those it must be the very end.
fn archive(sample: &Sample, at_end_only: bool) -> Option<u64> {
    let (end, start) = sample.end();
    memmem::rfind_iter(end, b"PK\x05\x06")
        .take(4)
        .find_map(|at| {
            let (entries, len) = (le16(end, at + 10)?, le32(end, at + 12)?);
            let after = at + 22 + usize::from(le16(end, at + 20)?);
            let record = start + at as u64;
            let directory = record.checked_sub(u64::from(len))?;
            let listed = sample
                .at(directory, 4)
                .is_none_or(|magic| magic == b"PK\x01\x02");
            let ends = after <= end.len() && (!at_end_only || after + 2 >= end.len());
            (entries > 0 && len >= 46 && listed && ends).then_some(record)
        })
}

/// Where text or a program follows a beginning whose own lengths go beyond the file. What
/// was merely cut ends in the middle of its own data.
fn foreign_rest(sample: &Sample, is_text: bool) -> Option<u64> {
    let (end, start) = sample.end();
    let last = end.len().checked_sub(16)?;
    let rest = &end[last..];
    let reads =
        rest.iter().all(|byte| is_text_byte(*byte)) && rest.iter().any(|byte| *byte != rest[0]);
    if reads && !is_text {
        return Some(start + last as u64);
    }
    let marks = [&b"\x7FELF"[..], b"<html", b"<script", b"<!doctype"];
    marks
        .iter()
        .find_map(|mark| find(end, mark))
        .filter(|at| *at > 0 || start > 0)
        .map(|at| start + at as u64)
}

/// Whether a text asks a browser to run something: script, handlers, foreign content.
pub fn runs(text: &[u8]) -> bool {
    let marks: [&[u8]; 15] = [
        b"<script",
        b":script",
        b"foreignobject",
        b"<iframe",
        b"<embed",
        b"<object",
        b"<audio",
        b"<video",
        b"<handler",
        b"javascript:",
        b"data:text/html",
        b"<?xml-stylesheet",
        b"attributename=\"href",
        b"attributename=\"xlink:href",
        b"&#60;s",
    ];
    marks.iter().any(|mark| contains(text, mark)) || has_handler(text) || leads_to_script(text)
}

/// Whether an attribute's value is a script's address, as a browser reads it: with character
/// references resolved, and without blanks. A picture that an SVG *uses* is part of it, so
/// that must not be inline; an address that is an entity of the file's own cannot be read.
fn leads_to_script(text: &[u8]) -> bool {
    memchr_iter(b'=', text).any(|at| {
        let value = text[at + 1..].trim_ascii_start();
        let [quote @ (b'"' | b'\''), value @ ..] = value else {
            return false;
        };
        // Most values are not worth the resolving.
        let begins = value.first().is_some_and(|byte| {
            byte.is_ascii_whitespace() || byte.is_ascii_control() || b"&jJvVdD".contains(byte)
        });
        if !begins {
            return false;
        }
        let value = value.split(|byte| byte == quote).next().unwrap_or_default();
        let before = text[..at].trim_ascii_end();
        let is_link = before.len() >= 4 && before[before.len() - 4..].eq_ignore_ascii_case(b"href");
        let Some(address) = resolved(value) else {
            return is_link;
        };
        let used = || {
            let open = memchr::memrchr(b'<', before).unwrap_or(0);
            starts(&before[open..], b"<use") || starts(&before[open..], b"<feimage")
        };
        starts(&address, b"javascript:")
            || starts(&address, b"vbscript:")
            || is_link && starts(&address, b"data:") && used()
    })
}

/// The first letters of an attribute's value without blanks; `None` when they hang on an
/// entity that the file declares.
fn resolved(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(16);
    let mut rest = &value[..value.len().min(256)];
    while let Some((&first, tail)) = rest.split_first() {
        if out.len() >= 16 {
            break;
        }
        rest = tail;
        if first != b'&' {
            if !first.is_ascii_whitespace() && !first.is_ascii_control() {
                out.push(first);
            }
            continue;
        }
        let end = tail.iter().position(|byte| *byte == b';')?;
        let name = std::str::from_utf8(&tail[..end]).ok()?;
        rest = &tail[end + 1..];
        let number = match name.as_bytes() {
            [b'#', b'x' | b'X', ..] => u32::from_str_radix(&name[2..], 16).ok()?,
            [b'#', ..] => name[1..].parse().ok()?,
            _ => match name {
                "amp" => 38,
                "lt" => 60,
                "gt" => 62,
                "quot" => 34,
                "apos" => 39,
                "Tab" | "NewLine" => 10,
                "colon" => 58,
                _ => return None,
            },
        };
        if let Ok(byte @ 0x21..0x7F) = u8::try_from(number) {
            out.push(byte);
        } else if number > 0x20 {
            out.push(0xFF);
        }
    }
    Some(out)
}

/// An attribute like `onload=` behind a blank, a quote or a slash.
fn has_handler(text: &[u8]) -> bool {
    memchr::memchr2_iter(b'o', b'O', text).any(|at| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        let opens = matches!(
            before,
            Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0C | b'"' | b'\'' | b'/')
        );
        opens && starts(&text[at..], b"on") && {
            let rest = &text[at + 2..];
            let len = rest
                .iter()
                .take(32)
                .take_while(|byte| byte.is_ascii_alphabetic())
                .count();
            len >= 3 && rest[len..].trim_ascii_start().starts_with(b"=")
        }
    })
}
