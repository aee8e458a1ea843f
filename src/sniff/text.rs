//! Text: what is no binary, and which kind of text it is.

use std::borrow::Cow;

use super::bytes::{Sample, contains, is_text_byte, starts};
use super::json::{self, Json};
use super::markup::{self, is_blank, skip_blanks};
use crate::domain::verdict::Confidence::{Structure, Text};
use crate::domain::verdict::{Finding, Flag};

/// How much of a text is read to see whether it is a table.
const TABLE: usize = 8 * 1024;

pub fn look(sample: &Sample) -> Option<Finding> {
    let (text, legacy) = decode(sample.head, sample.is_whole())?;
    if text.is_empty() {
        return None;
    }
    let finding = markup::look(sample, &text)
        .or_else(|| marked(&text))
        .unwrap_or_else(|| plain(&text, sample.is_whole()));
    Some(finding.flagged(Flag::LegacyCharset, legacy))
}

/// The text as UTF-8 bytes without a byte-order mark, and whether its charset is a guess;
/// `None` when it is binary. Old 8-bit charsets stay as they are: all that is looked for
/// is ASCII.
fn decode(head: &[u8], whole: bool) -> Option<(Cow<'_, [u8]>, bool)> {
    let (text, legacy) = match head {
        [0xFF, 0xFE, 0, 0, rest @ ..] => (utf32(rest, u32::from_le_bytes)?, false),
        [0, 0, 0xFE, 0xFF, rest @ ..] => (utf32(rest, u32::from_be_bytes)?, false),
        [0, 0, 0, 1..=127, ..] => (utf32(head, u32::from_be_bytes)?, false),
        [1..=127, 0, 0, 0, ..] => (utf32(head, u32::from_le_bytes)?, false),
        [0xFF, 0xFE, rest @ ..] => (utf16(rest, u16::from_le_bytes)?, false),
        [0xFE, 0xFF, rest @ ..] => (utf16(rest, u16::from_be_bytes)?, false),
        [0, second, 0, fourth, ..] if *second != 0 && *fourth != 0 => {
            (utf16(head, u16::from_be_bytes)?, false)
        }
        [first, 0, third, 0, ..] if *first != 0 && *third != 0 => {
            (utf16(head, u16::from_le_bytes)?, false)
        }
        _ => {
            let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
            let legacy = !is_utf8(text, whole);
            if legacy && !is_legacy(text) {
                return None;
            }
            (Cow::Borrowed(text), legacy)
        }
    };
    // DOS ends a text with a mark of its own.
    let end = text.strip_suffix(b"\x1A").unwrap_or(&text);
    let odd = end.iter().filter(|byte| is_binary(**byte)).count();
    // What is UTF-8 from end to end is no binary for a stray control character.
    let stray = !legacy && odd * 50 <= end.len() && !end.contains(&0);
    (odd == 0 || stray).then_some((text, legacy))
}

/// Whether bytes are UTF-8 without a control character; the read may cut a letter.
pub fn is_clean(bytes: &[u8]) -> bool {
    is_utf8(bytes, false)
        && bytes
            .iter()
            .all(|byte| *byte >= 0x80 || is_text_byte(*byte))
}

/// UTF-16; `None` when a unit stands alone that cannot, or the text is of no script at all.
fn utf16(bytes: &[u8], number: fn([u8; 2]) -> u16) -> Option<Cow<'static, [u8]>> {
    let units = bytes.chunks_exact(2).map(|pair| number([pair[0], pair[1]]));
    let count = bytes.len() / 2;
    let mut text = String::with_capacity(count);
    let mut seen = 0;
    for unit in char::decode_utf16(units) {
        match unit {
            Ok(char) => {
                seen += char.len_utf16();
                text.push(char);
            }
            // The read may end within a pair.
            Err(_) if seen + 1 == count => {}
            Err(_) => return None,
        }
    }
    let odd = |char: char| matches!(char, '\u{E000}'..='\u{F8FF}' | '\u{FFF0}'..='\u{FFFF}');
    (!text.chars().any(odd)).then(|| Cow::Owned(text.into_bytes()))
}

/// UTF-32; `None` when it is none.
fn utf32(bytes: &[u8], number: fn([u8; 4]) -> u32) -> Option<Cow<'static, [u8]>> {
    let units = bytes
        .chunks_exact(4)
        .map(|unit| number([unit[0], unit[1], unit[2], unit[3]]));
    let text: Option<String> = units.map(char::from_u32).collect();
    text.map(|text| Cow::Owned(text.into_bytes()))
}

/// Whether it is UTF-8; the end of the read may cut a character.
fn is_utf8(text: &[u8], whole: bool) -> bool {
    match std::str::from_utf8(text) {
        Ok(_) => true,
        Err(error) => !whole && error.error_len().is_none(),
    }
}

/// Whether bytes that are not UTF-8 read like a charset from before it: those too have
/// blanks between their words, and a short text has some letters that all of them share.
fn is_legacy(text: &[u8]) -> bool {
    let plain = text.iter().filter(|byte| byte.is_ascii()).count();
    let blanks = text.iter().filter(|byte| is_blank(**byte)).count();
    if text.len() < 64 {
        plain * 2 >= text.len()
    } else {
        blanks * 400 >= text.len()
    }
}

/// A binary data byte of <https://mimesniff.spec.whatwg.org/#binary-data-byte>, but for
/// those that data bases and East Asian charsets put into text.
fn is_binary(byte: u8) -> bool {
    matches!(byte, 0..=8 | 0x10..=0x1A)
}

/// Text formats that begin with a mark of their own.
fn marked(text: &[u8]) -> Option<Finding> {
    let text = skip_blanks(text);
    let media_type = match text {
        [b'#', b'!', rest @ ..] => interpreter(rest)?,
        [b'{', b'\\', b'r', b't', b'f', ..] => "application/rtf",
        [b'%', b'!', b'P', b'S', ..] => "application/postscript",
        _ if text.starts_with(b"WEBVTT") => "text/vtt",
        _ if starts(text, b"BEGIN:VCALENDAR") => "text/calendar",
        _ if starts(text, b"BEGIN:VCARD") => "text/vcard",
        _ if text.starts_with(b"ISO-10303-21;") => "model/step",
        _ => return None,
    };
    Some(Finding::of(media_type, Structure))
}

/// The language of a script by its first line.
fn interpreter(rest: &[u8]) -> Option<&'static str> {
    let line = rest.split(|byte| *byte == b'\n').next()?;
    let line = &line[..line.len().min(128)];
    let has = |name: &str| contains(line, name.as_bytes());
    if !matches!(skip_blanks(line), [b'/', ..]) {
        None
    } else if has("python") {
        Some("text/x-python")
    } else if has("ruby") {
        Some("text/x-ruby")
    } else if has("php") {
        Some("application/x-httpd-php")
    } else if has("node") || has("deno") || has("bun") {
        Some("text/javascript")
    } else {
        Some("text/x-shellscript")
    }
}

fn plain(text: &[u8], whole: bool) -> Finding {
    match json::read(text, whole) {
        Json::Nested => return Finding::of("application/json", Structure),
        Json::Scalar => return Finding::of("text/plain", Text).flagged(Flag::JsonScalar, true),
        Json::No => {}
    }
    let media_type = if let Some(delimiter) = delimiter(text, whole) {
        if delimiter == b'\t' {
            "text/tab-separated-values"
        } else {
            "text/csv"
        }
    } else if text.starts_with(b"# ") && markup::marks(text) >= 3 && contains(text, b"\n## ") {
        "text/markdown"
    } else {
        "text/plain"
    };
    let tags = media_type != "text/markdown" && markup::has_tags(text);
    Finding::of(media_type, Text).flagged(Flag::Tags, tags)
}

/// What separates the columns, when every record (RFC 4180) has as many of them.
fn delimiter(text: &[u8], whole: bool) -> Option<u8> {
    let cut = !whole || text.len() > TABLE;
    let text = &text[..text.len().min(TABLE)];
    [b'\t', b';', b',', b'|']
        .into_iter()
        .find(|delimiter| is_table(text, *delimiter, cut))
}

fn is_table(text: &[u8], delimiter: u8, cut: bool) -> bool {
    let (mut records, mut columns, mut here) = (0, None, 0);
    let (mut quoted, mut filled) = (false, false);
    let mut note = |here: usize| {
        let same = *columns.get_or_insert(here) == here;
        records += usize::from(same);
        same
    };
    for byte in text {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => {
                if filled && !note(here) {
                    return false;
                }
                (here, filled) = (0, false);
            }
            byte => {
                here += usize::from(!quoted && *byte == delimiter);
                filled = true;
            }
        }
    }
    if filled && !cut && !note(here) {
        return false;
    }
    // Two lines with a comma each are prose.
    columns.is_some_and(|columns| columns >= 1 && records >= 2 && columns * records >= 4)
}
