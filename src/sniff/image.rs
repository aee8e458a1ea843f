//! Raster images. Each walks far enough that the first bytes of a picture in front of
//! something else do not pass. PNG, GIF, WebP, BMP and icons; JPEG and TIFF are in `photo`.

use super::bytes::{Sample, be32, contains, crc32, inflate, is_text_byte, le16, le32, take};
use super::photo;
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::{Finding, Flag};

pub fn look(sample: &Sample) -> Option<Finding> {
    let (media_type, walk) = walk(sample)?;
    Some(match walk {
        Ok(seen) => {
            let finding = match seen.size {
                Some((width, height)) => Finding::of(media_type, Structure).sized(width, height),
                None => Finding::of(media_type, Signature),
            };
            finding
                .flagged(Flag::Truncated, seen.truncated)
                .flagged(Flag::Animated, seen.animated)
        }
        Err(Fault(why, at)) => Finding::broken(media_type, why).at(at),
    })
}

/// Where a walk ended.
#[derive(Debug, Default)]
pub struct Seen {
    /// The picture's dimensions, once they were read.
    pub size: Option<(u32, u32)>,
    /// It ends before its own lengths say so.
    pub truncated: bool,
    /// There is more than one frame.
    pub animated: bool,
    /// Where the walk would go on, had more been read.
    pub needs: Option<u64>,
}

/// What is wrong, and at which offset.
#[derive(Debug)]
pub struct Fault(pub &'static str, pub u64);

pub type Walk = Result<Seen, Fault>;

/// The picture that the bytes begin like, and how far it is one.
pub fn walk(sample: &Sample) -> Option<(&'static str, Walk)> {
    let head = sample.head;
    match head {
        [0x89, b'P', b'N', b'G', ..] => Some(("image/png", png(sample))),
        [0xFF, 0xD8, 0xFF, ..] => Some(("image/jpeg", photo::jpeg(sample))),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(("image/gif", gif(sample))),
        [b'R', b'I', b'F', b'F', ..] if head.get(8..12) == Some(b"WEBP") => {
            Some(("image/webp", webp(sample)))
        }
        // Two letters begin many texts: without the structure it is something else.
        [b'B', b'M', ..] => Some(("image/bmp", Ok(bmp(sample)?))),
        [b'I', b'I', ..] | [b'M', b'M', ..] => photo::tiff(sample),
        [0, 0, 1 | 2, 0, ..] => ico(sample),
        _ => None,
    }
}

pub fn nonzero(width: Option<u32>, height: Option<u32>) -> Option<(u32, u32)> {
    Some((width?, height?)).filter(|(width, height)| *width > 0 && *height > 0)
}

/// A structure that the end of the read cut is a fault only when it is the file's end.
pub fn cut(sample: &Sample, why: &'static str, at: usize) -> Walk {
    if sample.is_whole() {
        Err(Fault(why, at as u64))
    } else {
        Ok(Seen::default())
    }
}

/// <https://www.w3.org/TR/png-3/#5DataRep>
fn png(sample: &Sample) -> Walk {
    let head = sample.head;
    if !head.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Err(Fault("the signature is cut or changed", 0));
    }
    if head.get(8..16) != Some(b"\0\0\0\x0dIHDR") {
        return Err(Fault("the first chunk is not a header of 13 bytes", 8));
    }
    let header = head.get(12..29).ok_or(Fault("the header is cut", 12))?;
    if be32(head, 29) != Some(crc32(header)) {
        return Err(Fault("the header's CRC does not match", 29));
    }
    let [depth, colour, compression, filter, interlace] =
        take(head, 24).ok_or(Fault("the header is cut", 24))?;
    let depths: &[u8] = match colour {
        0 => &[1, 2, 4, 8, 16],
        3 => &[1, 2, 4, 8],
        2 | 4 | 6 => &[8, 16],
        _ => &[],
    };
    if !depths.contains(&depth) || compression != 0 || filter != 0 || interlace > 1 {
        let why = "the header's colour type, depth or method is none of PNG's";
        return Err(Fault(why, 24));
    }
    let size = nonzero(be32(head, 16), be32(head, 20)).ok_or(Fault("a dimension is zero", 16))?;
    if size.0.max(size.1) > i32::MAX.cast_unsigned() {
        return Err(Fault("a dimension is larger than PNG allows", 16));
    }
    let mut seen = Seen {
        size: Some(size),
        ..Seen::default()
    };
    let (mut at, mut pixels) = (33_u64, false);
    while let Some(chunk) = sample.at(at, 8) {
        let kind = &chunk[4..];
        if !kind.iter().all(u8::is_ascii_alphabetic) {
            return Err(Fault("what follows a chunk is none", at));
        }
        let end = at + 12 + u64::from(be32(chunk, 0).unwrap_or(0));
        if kind == b"IDAT" && !pixels {
            pixels = true;
            pixels_begin(sample, at + 8, end.min(sample.size + 4) - 4)?;
        }
        seen.animated |= kind == b"acTL";
        if kind == b"IEND" {
            return if pixels {
                Ok(seen)
            } else {
                Err(Fault("there are no pixels", at))
            };
        }
        at = end;
    }
    if sample.is_whole() && !pixels {
        return Err(Fault("there are no pixels", at.min(sample.size)));
    }
    seen.truncated = at + 8 > sample.size;
    Ok(seen)
}

/// The pixels are a zlib stream, and its first byte is a row's filter.
fn pixels_begin(sample: &Sample, start: u64, end: u64) -> Result<(), Fault> {
    let Some(bytes) = sample.from(start) else {
        return Ok(());
    };
    let len = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
    let bytes = &bytes[..bytes.len().min(len).min(512)];
    match inflate(bytes, 1024, true) {
        Some((rows, _)) if rows.first().is_none_or(|filter| *filter <= 4) => Ok(()),
        _ => Err(Fault("the pixels are not packed as PNG's are", start)),
    }
}

/// <https://www.w3.org/Graphics/GIF/spec-gif89a.txt>: blocks up to the one behind the first
/// image.
fn gif(sample: &Sample) -> Walk {
    let head = sample.head;
    let (wide, high) = (le16(head, 6), le16(head, 8));
    let flags = *head
        .get(10)
        .ok_or(Fault("the screen descriptor is cut", 6))?;
    // As a width it is one in thousands; as a script's first comment it needs its end.
    if head.get(6..8) == Some(b"/*") && contains(head, b"*/") {
        return Err(Fault("its dimensions hide script", 6));
    }
    let mut at = 13 + table_len(flags);
    let mut seen = Seen {
        size: nonzero(wide.map(u32::from), high.map(u32::from)),
        ..Seen::default()
    };
    let mut images = 0;
    while images < 2 {
        match head.get(at) {
            Some(0x21) => {
                seen.animated |= head.get(at + 3..at + 14) == Some(b"NETSCAPE2.0");
                at = behind_blocks(head, at + 2);
            }
            Some(0x2C) => {
                let (Some(width), Some(height), Some(flags)) =
                    (le16(head, at + 5), le16(head, at + 7), head.get(at + 9))
                else {
                    return cut(sample, "the image descriptor is cut", at);
                };
                let data = at + 10 + table_len(*flags);
                match head.get(data) {
                    Some(0..=12) => {}
                    Some(_) => {
                        let why = "the first image is not compressed as GIF's are";
                        return Err(Fault(why, data as u64));
                    }
                    None => return cut(sample, "the first image is cut", data),
                }
                if images == 0 {
                    let side = |screen: Option<u16>, own: u16| {
                        screen.map(|screen| u32::from(screen.max(own)))
                    };
                    seen.size = nonzero(side(wide, width), side(high, height));
                }
                images += 1;
                at = behind_blocks(head, data + 1);
            }
            Some(0x3B) => break,
            // Some writers pad between blocks.
            Some(0) => at += 1,
            Some(_) if images > 0 && !is_page(&head[at..]) => break,
            Some(_) => {
                let why = "what follows a block is none";
                return Err(Fault(why, at as u64));
            }
            None => {
                seen.truncated = at as u64 >= sample.size;
                break;
            }
        }
    }
    seen.animated |= images > 1;
    if images == 0 && sample.is_whole() {
        return Err(Fault("there is no image", at as u64));
    }
    match seen.size {
        None if images > 0 => Err(Fault("a dimension is zero", 6)),
        _ => Ok(seen),
    }
}

/// Whether text follows where picture data was to.
fn is_page(rest: &[u8]) -> bool {
    let first = &rest[..rest.len().min(16)];
    first.iter().all(|byte| is_text_byte(*byte)) || rest.starts_with(b"\x7FELF")
}

/// Behind a chain of sub-blocks, which an empty one ends.
fn behind_blocks(head: &[u8], mut at: usize) -> usize {
    while let Some(len) = head.get(at).filter(|len| **len > 0) {
        at += 1 + usize::from(*len);
    }
    at + 1
}

fn table_len(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        3 << ((flags & 7) + 1)
    }
}

/// <https://developers.google.com/speed/webp/docs/riff_container>
fn webp(sample: &Sample) -> Walk {
    let head = sample.head;
    let (Some(riff), Some(len)) = (le32(head, 4), le32(head, 16)) else {
        return Err(Fault("the header is cut", 4));
    };
    if riff < 12 {
        return Err(Fault("the header states fewer bytes than it has", 4));
    }
    let size = match head.get(12..16) {
        Some(b"VP8 ") => {
            if head.get(23..26) != Some(b"\x9d\x01\x2a") || head[20] & 1 != 0 {
                return Err(Fault("the VP8 frame does not begin as a key frame", 20));
            }
            let side = |at| le16(head, at).map(|value| u32::from(value & 0x3FFF));
            nonzero(side(26), side(28))
        }
        Some(b"VP8L") => {
            let bits = le32(head, 21).filter(|bits| head[20] == 0x2F && bits >> 29 == 0);
            bits.map(|bits| (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)))
        }
        Some(b"VP8X") => {
            let side = |at| le32(head, at).map(|value| 1 + (value & 0xFF_FFFF));
            let sane = len == 10
                && head.get(30..34).is_some_and(|id| {
                    id.iter()
                        .all(|byte| byte.is_ascii_graphic() || *byte == b' ')
                });
            let height = take::<3>(head, 27).map(|[a, b, c]| 1 + u32::from_le_bytes([a, b, c, 0]));
            side(24).zip(height).filter(|_| sane)
        }
        _ => None,
    };
    if size.is_none() {
        return Err(Fault("the first chunk is none of WebP's", 12));
    }
    if u64::from(riff.max(len)) + 8 > sample.size {
        return Err(Fault("it states more bytes than there are", 4));
    }
    let extended = head.get(12..16) == Some(b"VP8X");
    Ok(Seen {
        size,
        animated: extended && head.get(20).is_some_and(|flags| flags & 2 != 0),
        ..Seen::default()
    })
}

/// The `BITMAPINFOHEADER` family: the header's size tells the version.
fn bmp(sample: &Sample) -> Option<Seen> {
    let head = sample.head;
    let pixels = u64::from(le32(head, 10)?);
    let header = le32(head, 14)?;
    let (width, height, planes, depth, packed) = if header == 12 {
        let height = u32::from(le16(head, 20)?);
        let width = u32::from(le16(head, 18)?);
        (width, height, le16(head, 22)?, le16(head, 24)?, 0)
    } else {
        // A negative height says that rows run downwards.
        let height = le32(head, 22)?.cast_signed().unsigned_abs();
        let packed = if header < 20 { 0 } else { le32(head, 30)? };
        (
            le32(head, 18)?,
            height,
            le16(head, 26)?,
            le16(head, 28)?,
            packed,
        )
    };
    let sane = (12..=256).contains(&header)
        && planes <= 1
        && matches!(depth, 0 | 1 | 2 | 4 | 8 | 16 | 24 | 32 | 64)
        && packed <= 16
        && (pixels == 0 || pixels >= 14 + u64::from(header.min(40)))
        && pixels <= sample.size;
    let size = nonzero(Some(width), Some(height)).filter(|_| sane)?;
    let row = (u64::from(width) * u64::from(depth)).div_ceil(32) * 4;
    let plain = matches!(packed, 0 | 3);
    let bytes = if plain {
        row.saturating_mul(u64::from(height))
    } else {
        u64::from(le32(head, 34).unwrap_or(0))
    };
    (width <= i32::MAX.cast_unsigned()).then(|| Seen {
        size: Some(size),
        truncated: pixels.saturating_add(bytes) > sample.size,
        ..Seen::default()
    })
}

/// Icons and cursors: a directory of images that lie within the file.
fn ico(sample: &Sample) -> Option<(&'static str, Walk)> {
    let head = sample.head;
    let count = le16(head, 4).filter(|count| (1..=256).contains(count))?;
    let directory = 6 + 16 * u64::from(count);
    let side = |byte: u8| if byte == 0 { 256 } else { u32::from(byte) };
    let (mut largest, mut truncated) = ((0, 0), false);
    for index in 0..usize::from(count) {
        let Some(entry) = head.get(6 + 16 * index..22 + 16 * index) else {
            break;
        };
        let (len, at) = (u64::from(le32(entry, 8)?), u64::from(le32(entry, 12)?));
        let image = sample.at(at, 4);
        let known = image.is_none_or(|bytes| {
            bytes == b"\x89PNG" || le32(bytes, 0).is_some_and(|header| (12..=124).contains(&header))
        });
        if at < directory || len == 0 || at >= sample.size || !known {
            return None;
        }
        truncated |= at + len > sample.size;
        largest = largest.max((side(entry[0]), side(entry[1])));
    }
    let media_type = if head[2] == 1 {
        "image/vnd.microsoft.icon"
    } else {
        "image/x-win-bitmap"
    };
    let seen = Seen {
        size: nonzero(Some(largest.0), Some(largest.1)),
        truncated,
        ..Seen::default()
    };
    seen.size?;
    Some((media_type, Ok(seen)))
}
