//! HTML, XHTML, SVG and other XML: what a browser would make of a text.

use memchr::memchr_iter;

use super::bytes::{Sample, contains, find, starts};
use super::guard;
use crate::domain::verdict::Confidence::{Structure, Text};
use crate::domain::verdict::{Finding, Flag};

/// Tags that begin a page; wider than the WHATWG table, for other readers are laxer.
#[rustfmt::skip]
const HTML_TAGS: &[&str] = &[
    "a", "abbr", "address", "applet", "area", "article", "aside", "audio", "b", "base", "basefont",
    "bdo", "bgsound", "big", "blink", "blockquote", "body", "br", "button", "canvas", "caption",
    "center", "cite", "code", "col", "dd", "del", "details", "dialog", "dir", "div", "dl", "dt",
    "em", "embed", "fieldset", "figure", "font", "footer", "form", "frame", "frameset", "h1", "h2",
    "h3", "h4", "h5", "h6", "head", "header", "hr", "html", "i", "iframe", "img", "input", "ins",
    "isindex", "keygen", "label", "legend", "li", "link", "main", "map", "marquee", "math", "menu",
    "meta", "nav", "nobr", "noframes", "noscript", "object", "ol", "option", "p", "param",
    "picture", "plaintext", "portal", "pre", "q", "s", "samp", "script", "section", "select",
    "slot", "small", "source", "span", "strike", "strong", "style", "sub", "summary", "sup",
    "table", "tbody", "td", "template", "textarea", "tfoot", "th", "thead", "title", "tr", "track",
    "tt", "u", "ul", "var", "video", "wbr", "xmp",
];

/// Tags that Markdown has no use for: a text that holds one is a page.
const PAGE_TAGS: [&[u8]; 9] = [
    b"<html",
    b"<head",
    b"<body",
    b"<script",
    b"<style",
    b"<iframe",
    b"<form",
    b"<object",
    b"<!doctype",
];

pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0C | b'\r' | b' ')
}

pub fn skip_blanks(text: &[u8]) -> &[u8] {
    let at = text.iter().position(|byte| !is_blank(*byte));
    &text[at.unwrap_or(text.len())..]
}

/// Whether the head looks like an SVG's.
pub fn is_svg(head: &[u8]) -> bool {
    let text = skip_blanks(head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head));
    let first = &text[..text.len().min(8192)];
    text.starts_with(b"<") && (contains(first, b"<svg") || contains(first, b":svg"))
}

/// HTML, XHTML, SVG, XML or PHP, by the first tag behind blanks, comments, processing
/// instructions and the document type. `text` is what was decoded of the head.
pub fn look(sample: &Sample, text: &[u8]) -> Option<Finding> {
    let mut rest = skip_blanks(text);
    let (mut declared, mut typed, mut comment) = (false, None, false);
    loop {
        let skipped = if starts(rest, b"<?php") || starts(rest, b"<?=") {
            return Some(Finding::of("application/x-httpd-php", Structure));
        } else if starts(rest, b"<?") {
            declared |= starts(rest, b"<?xml");
            skip_past(rest, b"?>")
        } else if starts(rest, b"<!--") {
            comment = true;
            skip_past(rest, b"-->")
        } else if starts(rest, b"<!doctype html") && !declared {
            return Some(Finding::of("text/html", Structure));
        } else if starts(rest, b"<!doctype") {
            typed = Some(rest);
            skip_doctype(rest)
        } else {
            break;
        };
        match skipped {
            Some(after) => rest = skip_blanks(after),
            // What does not end is read by a browser as far as it goes.
            None if declared => return Some(xml(text, Structure)),
            None => return Some(Finding::of("text/html", Text)),
        }
    }
    match tag(rest) {
        Some(name) => Some(root(sample, text, &name, declared, typed.is_some())),
        None if declared => Some(xml(text, Structure)),
        None if comment && is_markdown(text) => Some(tagged_markdown()),
        // A comment alone is enough for a browser to take the rest for HTML.
        None => comment.then(|| fragment(text)),
    }
}

fn tagged_markdown() -> Finding {
    Finding::of("text/markdown", Text).flagged(Flag::Tags, true)
}

/// HTML without a head; flagged when nothing in it is more than Markdown may hold.
fn fragment(text: &[u8]) -> Finding {
    Finding::of("text/html", Text).flagged(Flag::Tags, !is_page(text))
}

fn is_page(text: &[u8]) -> bool {
    PAGE_TAGS.iter().any(|tag| find(text, tag).is_some()) || guard::runs(text)
}

fn root(sample: &Sample, text: &[u8], name: &str, declared: bool, typed: bool) -> Finding {
    let local = name.rsplit(':').next().unwrap_or(name);
    if local == "svg" {
        return svg(sample, text);
    }
    if local == "html" && (declared || typed || name != local) {
        return Finding::of("application/xhtml+xml", Structure);
    }
    if !declared && is_html(name) {
        let begins_page = matches!(name, "html" | "head" | "body" | "script" | "meta" | "title");
        return match begins_page {
            true => Finding::of("text/html", Structure),
            false if is_markdown(text) => tagged_markdown(),
            false => fragment(text),
        };
    }
    let sure = if declared || typed { Structure } else { Text };
    let finding = xml(text, sure).flagged(Flag::Tags, !declared && has_tags(text));
    let known = [
        ("kml", "application/vnd.google-earth.kml+xml"),
        ("gpx", "application/gpx+xml"),
        ("rss", "application/rss+xml"),
        ("feed", "application/atom+xml"),
        ("plist", "application/x-plist"),
    ];
    match known.into_iter().find(|(root, _)| *root == local) {
        Some((_, media_type)) if !finding.active => Finding::of(media_type, sure),
        _ => finding,
    }
}

/// An SVG, active when something in it runs, or when not all of it could be looked at.
fn svg(sample: &Sample, text: &[u8]) -> Finding {
    let reached = sample.head.len() as u64;
    let all = sample.is_whole()
        || sample.more.iter().any(|piece| {
            piece.offset <= reached && piece.offset + piece.bytes.len() as u64 >= sample.size
        });
    let runs = guard::runs(text) || sample.more.iter().any(|piece| guard::runs(piece.bytes));
    Finding {
        active: runs || !all,
        ..Finding::of("image/svg+xml", Structure).flagged(Flag::NotReadWhole, !all)
    }
}

/// XML, active when it asks for a style sheet or uses a vocabulary a browser executes.
fn xml(text: &[u8], confidence: crate::domain::verdict::Confidence) -> Finding {
    let active = [
        &b"<?xml-stylesheet"[..],
        b"www.w3.org/1999/xhtml",
        b"www.w3.org/2000/svg",
        b"1999/XSL/Transform",
    ];
    Finding {
        active: active.iter().any(|mark| contains(text, mark)),
        ..Finding::of("application/xml", confidence)
    }
}

fn skip_past<'a>(text: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(text, end)?;
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

fn is_html(name: &str) -> bool {
    HTML_TAGS.binary_search(&name).is_ok()
}

fn name_len(inner: &[u8]) -> usize {
    let is_name = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':') || *byte >= 0x80
    };
    inner
        .iter()
        .position(|byte| !is_name(byte))
        .unwrap_or(inner.len())
}

/// The lower-case name of the tag that the text begins with, when it reads like one.
fn tag(text: &[u8]) -> Option<String> {
    let inner = text.strip_prefix(b"<")?;
    let len = name_len(&inner[..inner.len().min(256)]);
    let name = String::from_utf8_lossy(&inner[..len]).to_ascii_lowercase();
    let begins = inner
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_' || *byte >= 0x80);
    let known = is_html(&name) || name == "svg";
    let closes = match &inner[len..] {
        [b'/', b'>', ..] | [b'>', ..] => true,
        // `<svg/onload=…>` is a tag to browsers.
        [b'/', ..] => known,
        // A known tag needs no end to be read; an unknown one is only a `<` in prose.
        [byte, rest @ ..] if is_blank(*byte) => known || rest.contains(&b'>'),
        _ => false,
    };
    (begins && closes).then_some(name)
}

/// Whether a tag of HTML stands anywhere in a text.
pub fn has_tags(text: &[u8]) -> bool {
    memchr_iter(b'<', text).any(|at| {
        let inner = text[at + 1..].strip_prefix(b"/").unwrap_or(&text[at + 1..]);
        let len = name_len(&inner[..inner.len().min(16)]);
        let closed = matches!(
            inner.get(len),
            Some(b'>' | b'/' | b' ' | b'\n' | b'\r' | b'\t')
        );
        closed
            && std::str::from_utf8(&inner[..len])
                .is_ok_and(|name| is_html(&name.to_ascii_lowercase()))
    })
}

/// Whether a text that begins with a tag or a comment goes on as Markdown, and as nothing
/// that a page has and Markdown has not.
fn is_markdown(text: &[u8]) -> bool {
    !is_page(text) && marks(text) >= 2
}

/// How many lines, of the first thousand, are marked as only Markdown marks them.
pub fn marks(text: &[u8]) -> usize {
    let is_marked = |line: &&[u8]| {
        let hashes = line.iter().take_while(|byte| **byte == b'#').count();
        (1..=6).contains(&hashes) && line.get(hashes) == Some(&b' ')
            || line.starts_with(b"```")
            || line.starts_with(b"* [")
            || line.starts_with(b"- [")
            || memchr::memmem::find(line, b"](http").is_some()
            || memchr::memmem::find(line, b"](#").is_some()
            || line.starts_with(b"|--")
            || line.starts_with(b"| --")
    };
    text.split(|byte| *byte == b'\n')
        .take(1000)
        .filter(is_marked)
        .count()
}
