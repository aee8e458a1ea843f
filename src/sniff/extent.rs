//! How much of a file there has to be: the object's size is always known, and a fragment of
//! a header is no file.

use super::bytes::{Sample, contains};
use super::text;
use crate::domain::media;
use crate::domain::verdict::{Confidence, Finding, Flag};

/// What ends below this before its own lengths say so has lost its content, not its tail:
/// an upload that broke off leaves more, and so does a recorder that was switched off.
pub const FRAGMENT: u64 = 1024;

/// The fewest bytes in which a format can say anything, by its specification: its headers
/// and the least content. Formats that are not listed have checks of their own.
fn least(media_type: &str) -> u64 {
    match media_type {
        // Signature, IHDR, IDAT with one packed pixel, IEND; a header and a trailer.
        "image/png" | "application/pdf" => 67,
        "audio/midi" | "image/gif" | "image/webp" => 26,
        // A `meta` box with its seven children, and a picture.
        "image/avif" | "image/heic" | "image/heif" => 150,
        // OS/2's header and a pixel.
        "image/bmp" => 30,
        // The header, a directory of four entries, a pixel.
        "image/tiff" => 63,
        // A directory of one, a bitmap's header, a row and its mask.
        "image/vnd.microsoft.icon" | "image/x-win-bitmap" => 70,
        // Two boxes, a header box, a codestream's own headers.
        "image/jp2" | "image/jpx" | "video/mj2" => 140,
        "image/jxl" => 12,
        "image/vnd.adobe.photoshop" => 41,
        // A picture's tables and headers; `moov` and the header of the film in it, and
        // fragments have as much.
        "image/jpeg" | "video/mp4" | "video/x-m4v" | "video/quicktime" | "video/3gpp"
        | "video/3gpp2" | "audio/mp4" => 100,
        // The header, the segment's, a track's.
        "video/webm" | "video/matroska" => 80,
        "audio/wav" => 44,
        "video/x-msvideo" => 200,
        "audio/flac" => 42,
        "audio/aiff" => 38,
        // Two pages: the codec's header, and what it needs beside it.
        "audio/ogg" | "video/ogg" => 90,
        "font/ttf" | "font/otf" | "font/woff" | "font/woff2" => 76,
        "application/vnd.sqlite3" => 512,
        "application/x-executable" => 84,
        "application/x-bzip2" => 14,
        "application/x-xz" | "application/x-7z-compressed" => 32,
        "application/vnd.rar" => 20,
        "application/gzip" => 18,
        _ => 0,
    }
}

/// Holds a finding against the object's size.
pub fn held(sample: &Sample, finding: Finding) -> Finding {
    let Some(media_type) = finding.media_type else {
        return finding;
    };
    if finding.malformed.is_some() {
        return prose(sample, media_type).unwrap_or(finding);
    }
    let why = if sample.size < least(media_type) {
        "there are fewer bytes than the smallest such file has"
    } else if finding.has(Flag::Truncated)
        && sample.size < FRAGMENT
        && media_type != "application/pdf"
    {
        "it ends before its own header says it does"
    } else {
        return finding;
    };
    let broken = Finding::broken(media_type, why).at(finding.evidence.offset);
    let broken = broken.flagged(Flag::Truncated, finding.has(Flag::Truncated));
    prose(sample, media_type).unwrap_or(broken)
}

/// Some signatures are words: what fails to be the format and reads as prose from its first
/// byte to the last is prose. With a tag or a comment of a script in it, it is not; and a PDF's
/// parts are all text.
fn prose(sample: &Sample, media_type: &str) -> Option<Finding> {
    let binary = ["image/", "audio/", "video/", "font/"]
        .iter()
        .any(|top| media_type.starts_with(top));
    if !binary
        || contains(sample.head, b"/*")
        || !sample.pieces().all(|(bytes, _)| text::is_clean(bytes))
    {
        return None;
    }
    text::look(sample).filter(|finding| {
        finding.confidence == Confidence::Text
            && !finding.active
            && !finding.has(Flag::Tags)
            && finding.media_type.is_some_and(media::is_plain_text_family)
    })
}
