//! Everything else that has a signature: archives with checks of our own, and the formats
//! for which the `infer` crate's signatures are good enough to name them.

use super::bytes::{Sample, crc32, le32};
use crate::domain::media;
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::Finding;

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    match head {
        [0x1F, 0x8B, 8, flags, ..] if flags & 0xE0 == 0 => {
            Some(Finding::of("application/gzip", Signature))
        }
        [b'7', b'z', 0xBC, 0xAF, 0x27, 0x1C, ..] => Some(seven_zip(head)),
        [b'F' | b'C' | b'Z', b'W', b'S', 1..=60, ..] => {
            Some(Finding::of("application/x-shockwave-flash", Signature))
        }
        [0, b'a', b's', b'm', ..] => Some(Finding::of("application/wasm", Signature)),
        _ => tar(head).or_else(|| inferred(head)),
    }
}

/// The start header: its CRC covers where the directory is.
fn seven_zip(head: &[u8]) -> Finding {
    let sound = head.get(12..32).map(crc32) == le32(head, 8);
    if sound {
        Finding::of("application/x-7z-compressed", Structure)
    } else {
        Finding::broken(
            "application/x-7z-compressed",
            "the start header's CRC does not match",
        )
    }
}

/// POSIX.1 `ustar` and its forerunners: the checksum of the first header.
fn tar(head: &[u8]) -> Option<Finding> {
    let header = head.get(..512).filter(|header| header[0] != 0)?;
    let field = header[148..156]
        .trim_ascii()
        .split(|byte| matches!(byte, 0 | b' '))
        .next()?;
    let stated = u32::from_str_radix(std::str::from_utf8(field).ok()?, 8).ok()?;
    let blank = |at| (148..156).contains(&at);
    let sum: u32 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| if blank(at) { 32 } else { u32::from(*byte) })
        .sum();
    (sum == stated).then(|| Finding::of("application/x-tar", Structure))
}

/// What `infer` names, where its signature is long or structured enough. It is never asked
/// about the formats that have a file of their own here: it takes `GIF89a<script>` for an
/// image and any `%PDF` in the first kilobyte for a PDF.
fn inferred(head: &[u8]) -> Option<Finding> {
    let name = infer::get(head)?.mime_type();
    let trusted = matches!(
        name,
        "application/x-executable"
            | "application/vnd.microsoft.portable-executable"
            | "application/java"
            | "application/x-mach-binary"
            | "image/jp2"
            | "image/vnd.adobe.photoshop"
            | "image/jxl"
            | "image/vnd.djvu"
            | "video/x-ms-wmv"
            | "video/mpeg"
            | "video/x-flv"
            | "audio/midi"
            | "audio/amr"
            | "audio/x-aiff"
            | "application/font-woff"
            | "application/vnd.rar"
            | "application/x-bzip2"
            | "application/x-xz"
            | "application/zstd"
            | "application/vnd.sqlite3"
            | "application/x-google-chrome-extension"
            | "application/vnd.ms-cab-compressed"
            | "application/vnd.debian.binary-package"
            | "application/x-rpm"
            | "application/dicom"
            | "application/x-mobipocket-ebook"
    );
    let name = match (name, head) {
        ("application/font-woff", [b'w', b'O', b'F', b'2', ..]) => "font/woff2",
        ("application/font-sfnt", [b'O', ..]) => "font/otf",
        ("application/font-sfnt", _) => "font/ttf",
        (name, _) => media::known_type(name).filter(|_| trusted)?,
    };
    Some(Finding::of(name, Signature))
}
