//! Text: what is no binary, and what a browser would make of it.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::bytes::{Sample, contains};
use crate::domain::verdict::Confidence::{Structure, Text};
use crate::domain::verdict::{Finding, Flag};

pub fn look(sample: &Sample) -> Option<Finding> {
    let (text, legacy) = decode(sample.head, sample.is_whole())?;
    let finding = markup(&text)
        .or_else(|| marked(&text))
        .unwrap_or_else(|| plain(&text, sample.is_whole()));
    Some(finding.flagged(Flag::LegacyCharset, legacy))
}

/// The text as UTF-8 bytes without a byte-order mark, and whether its charset is a guess;
/// `None` when it is binary. Old 8-bit charsets stay as they are: all that is looked for
/// is ASCII.
fn decode(head: &[u8], whole: bool) -> Option<(Cow<'_, [u8]>, bool)> {
    let utf16 = |bytes: &[u8], number: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| number([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units)
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        Cow::Owned(text.into_bytes())
    };
    let (text, legacy) = match head {
        [0xFF, 0xFE, rest @ ..] => (utf16(rest, u16::from_le_bytes), false),
        [0xFE, 0xFF, rest @ ..] => (utf16(rest, u16::from_be_bytes), false),
        _ => {
            let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
            (Cow::Borrowed(text), !is_utf8(text, whole))
        }
    };
    (!text.iter().any(|byte| is_binary(*byte))).then_some((text, legacy))
}

/// Whether it is UTF-8; the end of the read may cut a character.
fn is_utf8(text: &[u8], whole: bool) -> bool {
    match std::str::from_utf8(text) {
        Ok(_) => true,
        Err(error) => !whole && error.error_len().is_none(),
    }
}

/// A binary data byte of <https://mimesniff.spec.whatwg.org/#binary-data-byte>.
fn is_binary(byte: u8) -> bool {
    matches!(byte, 0..=8 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F)
}

/// Tags that begin a page; wider than the WHATWG table, for other readers are laxer.
const HTML_TAGS: &[&str] = &[
    "a",
    "abbr",
    "address",
    "applet",
    "area",
    "article",
    "aside",
    "audio",
    "b",
    "base",
    "basefont",
    "bdo",
    "bgsound",
    "big",
    "blink",
    "blockquote",
    "body",
    "br",
    "button",
    "canvas",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "dd",
    "del",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "em",
    "embed",
    "fieldset",
    "figure",
    "font",
    "footer",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "i",
    "iframe",
    "img",
    "input",
    "ins",
    "isindex",
    "keygen",
    "label",
    "legend",
    "li",
    "link",
    "main",
    "map",
    "marquee",
    "math",
    "menu",
    "meta",
    "nav",
    "nobr",
    "noframes",
    "noscript",
    "object",
    "ol",
    "option",
    "p",
    "param",
    "picture",
    "plaintext",
    "portal",
    "pre",
    "q",
    "s",
    "samp",
    "script",
    "section",
    "select",
    "slot",
    "small",
    "source",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "template",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "track",
    "tt",
    "u",
    "ul",
    "var",
    "video",
    "wbr",
    "xmp",
];

fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0C | b'\r' | b' ')
}

/// HTML, XHTML, SVG, XML or PHP, by the first tag behind blanks, comments, processing
/// instructions and the document type.
fn markup(text: &[u8]) -> Option<Finding> {
    let mut rest = skip_blanks(text);
    let mut declared = false;
    let mut comment = false;
    loop {
        let starts = |mark: &str| {
            let found = rest.get(..mark.len());
            found.is_some_and(|found| found.eq_ignore_ascii_case(mark.as_bytes()))
        };
        let skipped = if starts("<?php") || starts("<?=") {
            return Some(Finding::of("application/x-httpd-php", Structure));
        } else if starts("<?") {
            declared |= starts("<?xml");
            skip_past(rest, b"?>")
        } else if starts("<!--") {
            comment = true;
            skip_past(rest, b"-->")
        } else if starts("<!doctype html") && !declared {
            return Some(Finding::of("text/html", Structure));
        } else if starts("<!doctype") {
            skip_doctype(rest)
        } else {
            break;
        };
        match skipped {
            Some(after) => rest = skip_blanks(after),
            // What does not end is read by a browser as far as it goes.
            None if declared => return Some(xml(text)),
            None => return Some(Finding::of("text/html", Structure)),
        }
    }
    match tag(rest) {
        Some(name) => Some(root(text, &name, declared)),
        None if declared => Some(xml(text)),
        // A comment alone is enough for a browser to take the rest for HTML.
        None => comment.then(|| Finding::of("text/html", Structure)),
    }
}

fn root(text: &[u8], name: &str, declared: bool) -> Finding {
    let local = name.rsplit(':').next().unwrap_or(name);
    if local == "svg" {
        Finding::of("image/svg+xml", Structure)
    } else if local == "html" && (declared || name != local) {
        Finding::of("application/xhtml+xml", Structure)
    } else if !declared && HTML_TAGS.contains(&name) {
        Finding::of("text/html", Structure)
    } else {
        xml(text)
    }
}

/// XML, active when it asks for a style sheet or uses a vocabulary a browser executes.
fn xml(text: &[u8]) -> Finding {
    let active = [
        "<?xml-stylesheet",
        "www.w3.org/1999/xhtml",
        "www.w3.org/2000/svg",
        "1999/XSL/Transform",
    ];
    Finding {
        active: active.iter().any(|mark| contains(text, mark.as_bytes())),
        ..Finding::of("application/xml", Structure)
    }
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let at = text.iter().position(|byte| !is_blank(*byte));
    &text[at.unwrap_or(text.len())..]
}

fn skip_past<'a>(text: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(end.len()).position(|found| found == end)?;
    Some(&text[at + end.len()..])
}

/// Behind a document type and its internal subset.
fn skip_doctype(text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_usize;
    let mut quote = None;
    let at = text.iter().position(|byte| {
        match (quote, byte) {
            (Some(open), byte) => quote = Some(open).filter(|open| open != byte),
            (None, b'"' | b'\'') if depth == 0 => quote = Some(*byte),
            (None, b'[') => depth += 1,
            (None, b']') => depth = depth.saturating_sub(1),
            (None, b'>') => return depth == 0,
            _ => {}
        }
        false
    })?;
    Some(&text[at + 1..])
}

/// The lower-case name of the tag that the text begins with, when it reads like one.
fn tag(text: &[u8]) -> Option<String> {
    let inner = text.strip_prefix(b"<")?;
    let is_name = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':') || *byte >= 0x80
    };
    let len = inner
        .iter()
        .position(|byte| !is_name(byte))
        .unwrap_or(inner.len());
    let name = String::from_utf8_lossy(&inner[..len]).to_ascii_lowercase();
    let begins = inner
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_' || *byte >= 0x80);
    let closes = match &inner[len..] {
        [b'/', b'>', ..] | [b'>', ..] => true,
        // `<svg/onload=…>` is a tag to browsers.
        [b'/', ..] => HTML_TAGS.contains(&name.as_str()) || name == "svg",
        // A known tag needs no end to be read; an unknown one is only a `<` in prose.
        [byte, rest @ ..] if is_blank(*byte) => {
            HTML_TAGS.contains(&name.as_str()) || name == "svg" || rest.contains(&b'>')
        }
        _ => false,
    };
    (begins && closes).then_some(name)
}

/// Text formats that begin with a mark of their own.
fn marked(text: &[u8]) -> Option<Finding> {
    let text = skip_blanks(text);
    let media_type = match text {
        [b'#', b'!', b'/' | b' ', ..] => "text/x-shellscript",
        [b'{', b'\\', b'r', b't', b'f', ..] => "application/rtf",
        [b'%', b'!', b'P', b'S', b'-', ..] => "application/postscript",
        _ if text.starts_with(b"WEBVTT") => "text/vtt",
        _ if text.starts_with(b"BEGIN:VCALENDAR") => "text/calendar",
        _ if text.starts_with(b"BEGIN:VCARD") => "text/vcard",
        _ => return None,
    };
    Some(Finding::of(media_type, Structure))
}

fn plain(text: &[u8], whole: bool) -> Finding {
    let nested = matches!(skip_blanks(text), [b'{' | b'[', ..]);
    match is_json(text, whole) {
        true if nested => Finding::of("application/json", Structure),
        scalar => Finding::of("text/plain", Text).flagged(Flag::JsonScalar, scalar),
    }
}

/// Whether it is one JSON value, or the beginning of one that the read cut. Nothing is
/// built of it, and nesting is bounded.
fn is_json(text: &[u8], whole: bool) -> bool {
    match serde_json::from_slice::<IgnoredAny>(text) {
        Ok(_) => true,
        Err(error) => !whole && error.is_eof(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_from_text_that_looks_like_it() {
        for (text, whole, json) in [
            (
                r#" {"a":[1,-2.5e3,"\"]",true,null,{}],"b":[]} "#,
                true,
                true,
            ),
            (r#""text""#, true, true),
            ("", true, false),
            ("[1,2", true, false),
            ("[1,2", false, true),
            (r#"{"a":"b\"#, false, true),
            ("{\"a\":1}\n{\"a\":2}", true, false),
            ("{\"a\":1}\n{\"a\":2", false, false),
            ("[section]\nkey=1", false, false),
            ("[1}", true, false),
            ("12,13", true, false),
            ("true story", true, false),
        ] {
            assert_eq!(is_json(text.as_bytes(), whole), json, "{text}");
        }
        assert!(
            !is_json("[".repeat(60_000).as_bytes(), true),
            "and no depth overflows"
        );
    }
}
