//! Raster images: PNG, JPEG, GIF, WebP, BMP, TIFF, ICO. Each walks far enough that the
//! first bytes of a picture in front of something else do not pass.

use super::bytes::{Sample, be16, be32, crc32, le16, le32, take};
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::Finding;

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    match head {
        [0x89, b'P', b'N', b'G', ..] => Some(settled("image/png", png(sample))),
        [0xFF, 0xD8, 0xFF, ..] => Some(settled("image/jpeg", jpeg(sample))),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(settled("image/gif", gif(sample))),
        [b'R', b'I', b'F', b'F', ..] if head.get(8..12) == Some(b"WEBP") => {
            Some(settled("image/webp", webp(sample)))
        }
        // Two letters begin many texts: without the structure it is something else.
        [b'B', b'M', ..] => bmp(sample),
        [b'I', b'I', ..] | [b'M', b'M', ..] => tiff(sample),
        [0, 0, 1, 0, ..] => ico(sample),
        _ => None,
    }
}

/// Where a walk ended: with dimensions, at the end of what was read, or at a fault.
type Walk = Result<Option<(u32, u32)>, &'static str>;

fn settled(media_type: &'static str, walk: Walk) -> Finding {
    match walk {
        Ok(Some((width, height))) => Finding::of(media_type, Structure).sized(width, height),
        Ok(None) => Finding::of(media_type, Signature),
        Err(why) => Finding::broken(media_type, why),
    }
}

/// <https://www.w3.org/TR/png-3/#5DataRep>
fn png(sample: &Sample) -> Walk {
    let head = sample.head;
    if !head.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Err("the signature is cut or changed");
    }
    if head.get(8..16) != Some(b"\0\0\0\x0dIHDR") {
        return Err("the first chunk is not a header of 13 bytes");
    }
    let header = head.get(12..29).ok_or("the header is cut")?;
    if be32(head, 29) != Some(crc32(header)) {
        return Err("the header's CRC does not match");
    }
    let [depth, colour, compression, filter, interlace] =
        take(head, 24).ok_or("the header is cut")?;
    let depths: &[u8] = match colour {
        0 => &[1, 2, 4, 8, 16],
        3 => &[1, 2, 4, 8],
        2 | 4 | 6 => &[8, 16],
        _ => &[],
    };
    if !depths.contains(&depth) || compression != 0 || filter != 0 || interlace > 1 {
        return Err("the header's colour type, depth or method is none of PNG's");
    }
    let size = nonzero(be32(head, 16), be32(head, 20)).ok_or("a dimension is zero")?;
    let mut at = 33_u64;
    while let Some(chunk) = at_head(sample, at, 8) {
        if !chunk[4..].iter().all(u8::is_ascii_alphabetic) {
            return Err("what follows the header is no chunk");
        }
        at += 12 + u64::from(be32(chunk, 0).unwrap_or(0));
        if at > sample.size {
            return Err("a chunk is longer than the file");
        }
        if &chunk[4..] == b"IDAT" {
            return Ok(Some(size));
        }
    }
    if sample.is_whole() {
        return Err("there are no pixels");
    }
    Ok(Some(size))
}

fn at_head<'a>(sample: &Sample<'a>, at: u64, len: usize) -> Option<&'a [u8]> {
    let at = usize::try_from(at).ok()?;
    sample.head.get(at..at.checked_add(len)?)
}

fn nonzero(width: Option<u32>, height: Option<u32>) -> Option<(u32, u32)> {
    Some((width?, height?)).filter(|(width, height)| *width > 0 && *height > 0)
}

/// ITU-T T.81, annex B: segments up to the frame header.
fn jpeg(sample: &Sample) -> Walk {
    let head = sample.head;
    let mut at = 2;
    loop {
        while head.get(at) == Some(&0xFF) && head.get(at + 1) == Some(&0xFF) {
            at += 1;
        }
        let (Some([lead, marker]), Some(len)) = (take(head, at), be16(head, at + 2)) else {
            return if sample.is_whole() || at < head.len() && head[at] != 0xFF {
                Err("the segments end before the frame header")
            } else {
                Ok(None)
            };
        };
        if lead != 0xFF || len < 2 {
            return Err("the chain of segments is broken");
        }
        match marker {
            0xC4 | 0xC8 | 0xCC | 0xDB..=0xFE => {}
            0xC0..=0xCF => {
                let height = be16(head, at + 5).map(u32::from);
                let width = be16(head, at + 7).map(u32::from);
                let Some((precision, planes)) = head.get(at + 4).zip(head.get(at + 9)) else {
                    return cut(sample, "the frame header is cut");
                };
                let sane = matches!(precision, 8 | 12 | 16) && (1..=4).contains(planes);
                if !sane || usize::from(len) != 8 + 3 * usize::from(*planes) || width == Some(0) {
                    return Err("the frame header is none of JPEG's");
                }
                // A height of zero is legal: it is stated after the first scan.
                return Ok(nonzero(width, height));
            }
            0xDA => return Err("the scan begins before the frame header"),
            _ => return Err("a segment's marker is none of JPEG's"),
        }
        at += 2 + usize::from(len);
        if at as u64 >= sample.size {
            return Err("a segment is longer than the file");
        }
    }
}

/// A structure that the end of the read cut is a fault only when it is the file's end.
fn cut(sample: &Sample, why: &'static str) -> Walk {
    if sample.is_whole() {
        Err(why)
    } else {
        Ok(None)
    }
}

/// <https://www.w3.org/Graphics/GIF/spec-gif89a.txt>: blocks up to the first image.
fn gif(sample: &Sample) -> Walk {
    let head = sample.head;
    let screen = (le16(head, 6), le16(head, 8));
    let flags = *head.get(10).ok_or("the screen descriptor is cut")?;
    let mut at = 13 + table_len(flags);
    loop {
        match head.get(at) {
            Some(0x21) => {
                at += 2;
                while let Some(len) = head.get(at).filter(|len| **len > 0) {
                    at += 1 + usize::from(*len);
                }
                at += 1;
            }
            Some(0x2C) => {
                let (Some(width), Some(height), Some(flags)) =
                    (le16(head, at + 5), le16(head, at + 7), head.get(at + 9))
                else {
                    return cut(sample, "the image descriptor is cut");
                };
                match head.get(at + 10 + table_len(*flags)) {
                    Some(1..=11) => {}
                    Some(_) => return Err("the first image is not compressed as GIF's are"),
                    None => return cut(sample, "the first image is cut"),
                }
                let wide = screen.0.map(|screen| u32::from(screen.max(width)));
                let high = screen.1.map(|screen| u32::from(screen.max(height)));
                return nonzero(wide, high).map(Some).ok_or("a dimension is zero");
            }
            Some(_) => return Err("what follows the screen descriptor is no block"),
            None => return cut(sample, "there is no image"),
        }
    }
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
        return Err("the header is cut");
    };
    if u64::from(riff) + 8 > sample.size || u64::from(len) + 12 > u64::from(riff) {
        return Err("the header states more bytes than there are");
    }
    let size = match head.get(12..16) {
        Some(b"VP8 ") => {
            if head.get(23..26) != Some(b"\x9d\x01\x2a") || head[20] & 1 != 0 {
                return Err("the VP8 frame does not begin as a key frame");
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
            let next = [
                b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP ",
            ];
            let sane = len == 10
                && head
                    .get(30..34)
                    .is_some_and(|id| next.iter().any(|known| *known == id));
            let height = take::<3>(head, 27).map(|[a, b, c]| 1 + u32::from_le_bytes([a, b, c, 0]));
            side(24).zip(height).filter(|_| sane)
        }
        _ => None,
    };
    size.map(Some).ok_or("the first chunk is none of WebP's")
}

/// The `BITMAPINFOHEADER` family: the header's size tells the version.
fn bmp(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    let pixels = u64::from(le32(head, 10)?);
    let header = le32(head, 14)?;
    let (width, height, planes, depth) = if header == 12 {
        let height = u32::from(le16(head, 20)?);
        (
            u32::from(le16(head, 18)?),
            height,
            le16(head, 22)?,
            le16(head, 24)?,
        )
    } else {
        // A negative height says that rows run downwards.
        let height = le32(head, 22)?.cast_signed().unsigned_abs();
        (le32(head, 18)?, height, le16(head, 26)?, le16(head, 28)?)
    };
    let sane = matches!(header, 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124)
        && planes == 1
        && matches!(depth, 0 | 1 | 2 | 4 | 8 | 16 | 24 | 32)
        && pixels >= 14 + u64::from(header)
        && pixels <= sample.size;
    let (width, height) = nonzero(Some(width), Some(height)).filter(|_| sane)?;
    let readable = width <= i32::MAX.cast_unsigned();
    readable.then(|| Finding::of("image/bmp", Structure).sized(width, height))
}

/// TIFF 6.0 and `BigTIFF`: the first directory, which also tells camera formats apart.
fn tiff(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    let little = head[0] == b'I';
    let u16_at = |bytes: &[u8], at| {
        if little {
            le16(bytes, at)
        } else {
            be16(bytes, at)
        }
    };
    let u32_at = |bytes: &[u8], at| {
        if little {
            le32(bytes, at)
        } else {
            be32(bytes, at)
        }
    };
    let directory = match u16_at(head, 2)? {
        42 => u64::from(u32_at(head, 4)?),
        43 if u16_at(head, 4)? == 8 && u16_at(head, 6)? == 0 => {
            return Some(Finding::of("image/tiff", Signature));
        }
        _ => return None,
    };
    if directory < 8 || directory + 2 > sample.size {
        return None;
    }
    let entries = |count: u16| {
        (0..u64::from(count)).map_while(|index| sample.at(directory + 2 + 12 * index, 12))
    };
    let (mut width, mut height, mut negative) = (None, None, false);
    if let Some(count) = sample.at(directory, 2).and_then(|bytes| u16_at(bytes, 0)) {
        for entry in entries(count) {
            // Type 3 is 16 bits wide, type 4 is 32.
            let value = match u16_at(entry, 2) {
                Some(3) => u16_at(entry, 8).map(u32::from),
                _ => u32_at(entry, 8),
            };
            match u16_at(entry, 0) {
                Some(256) => width = value,
                Some(257) => height = value,
                Some(50706) => negative = true,
                _ => {}
            }
        }
    }
    let media_type = match (negative, head.get(8..10)) {
        (true, _) => "image/x-adobe-dng",
        (false, Some(b"CR")) => "image/x-canon-cr2",
        _ => "image/tiff",
    };
    Some(match nonzero(width, height) {
        Some((width, height)) => Finding::of(media_type, Structure).sized(width, height),
        None => Finding::of(media_type, Signature),
    })
}

/// Icons: a directory of images that lie within the file.
fn ico(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    let count = le16(head, 4).filter(|count| (1..=256).contains(count))?;
    let directory = 6 + 16 * u64::from(count);
    let side = |byte: u8| if byte == 0 { 256 } else { u32::from(byte) };
    let mut largest = (0, 0);
    for index in 0..usize::from(count) {
        let Some(entry) = head.get(6 + 16 * index..22 + 16 * index) else {
            break;
        };
        let (len, at) = (u64::from(le32(entry, 8)?), u64::from(le32(entry, 12)?));
        if entry[3] != 0 && entry[3] != 255 || at < directory || len == 0 || at + len > sample.size
        {
            return None;
        }
        largest = largest.max((side(entry[0]), side(entry[1])));
    }
    let (width, height) = nonzero(Some(largest.0), Some(largest.1))?;
    Some(Finding::of("image/vnd.microsoft.icon", Structure).sized(width, height))
}
