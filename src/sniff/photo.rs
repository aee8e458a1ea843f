//! What cameras write: JPEG, and TIFF with the raw formats built on it.

use super::bytes::{Order, Sample, be16, take};
use super::image::{Fault, Seen, Walk, nonzero};
use memchr::memmem;

/// How much rubbish a decoder skips before a marker.
const RUBBISH: usize = 512;

/// ITU-T T.81, annex B: segments up to the first scan.
pub fn jpeg(sample: &Sample) -> Walk {
    let mut at = 2_u64;
    let mut seen = Seen::default();
    let mut framed = false;
    loop {
        let Some(rest) = sample.from(at) else {
            return left(sample, seen, framed, at);
        };
        let fill = rest
            .iter()
            .position(|byte| *byte != 0xFF)
            .unwrap_or(rest.len());
        if fill == 0 {
            // Decoders skip what is no marker; a text or a foreign file has none soon.
            let skipped = rest.iter().take(RUBBISH).position(|byte| *byte == 0xFF);
            match skipped.filter(|_| at > 2) {
                Some(skipped) => at += skipped as u64,
                None if rest.len() < RUBBISH && !sample.is_whole() => {
                    return left(sample, seen, framed, at + rest.len() as u64);
                }
                None => return Err(Fault("the chain of segments is broken", at)),
            }
            continue;
        }
        let marker_at = at + fill as u64;
        let (Some(marker), len) = (rest.get(fill), be16(rest, fill + 1)) else {
            return left(sample, seen, framed, marker_at);
        };
        let body = rest.get(fill + 3..).unwrap_or_default();
        let next = match (marker, len) {
            // Stuffing, restart markers and TEM stand alone; they mean nothing here.
            (0 | 1 | 0xD0..=0xD7, _) if at > 2 => marker_at + 1,
            (_, None) => return left(sample, seen, framed, marker_at),
            (0xDA, Some(len)) => {
                return if framed {
                    Ok(scan(sample, seen, marker_at + 1 + u64::from(len)))
                } else {
                    Err(Fault("the scan begins before the frame header", marker_at))
                };
            }
            (0xC4 | 0xC8 | 0xCC | 0xDB..=0xFE, Some(len)) if len >= 2 => {
                // The length bytes `/*` make the segment a comment to a script engine.
                if at == 2 && len == 0x2F2A {
                    return Err(Fault("its first segment hides script", marker_at));
                }
                marker_at + 1 + u64::from(len)
            }
            (0xC0..=0xCF, Some(len)) => {
                let (height, width) = (be16(body, 1), be16(body, 3));
                let Some((precision, planes)) = body.first().zip(body.get(5)) else {
                    return left(sample, seen, framed, marker_at);
                };
                let sane = (2..=16).contains(precision) && (1..=4).contains(planes);
                if !sane || usize::from(len) != 8 + 3 * usize::from(*planes) || width == Some(0) {
                    return Err(Fault("the frame header is none of JPEG's", marker_at));
                }
                framed = true;
                // A height of zero is legal: it is stated after the first scan.
                seen.size = nonzero(width.map(u32::from), height.map(u32::from));
                marker_at + 1 + u64::from(len)
            }
            _ => return Err(Fault("a segment's marker is none of JPEG's", marker_at)),
        };
        at = next;
        if at >= sample.size && !framed {
            return Err(Fault("a segment is longer than the file", marker_at));
        }
    }
}

/// The walk left what was read.
fn left(sample: &Sample, mut seen: Seen, framed: bool, at: u64) -> Walk {
    if framed {
        seen.truncated = at >= sample.size;
        return Ok(seen);
    }
    if at >= sample.size || sample.is_whole() {
        return Err(Fault("the segments end before the frame header", at));
    }
    seen.needs = Some(at);
    Ok(seen)
}

/// Whether the data of the scan comes to an end, as far as the end was read.
fn scan(sample: &Sample, mut seen: Seen, at: u64) -> Seen {
    let (end, start) = sample.end();
    let from = usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
    let data = end.get(from.min(end.len())..).unwrap_or_default();
    let has_end = memmem::find(data, b"\xFF\xD9").is_some();
    seen.truncated = !end.is_empty() && !has_end && (sample.is_whole() || start > at);
    if at >= sample.size {
        seen.truncated = true;
    }
    seen
}

/// TIFF 6.0, `BigTIFF` and the raw formats on top of them, by the first directory.
pub fn tiff(sample: &Sample) -> Option<(&'static str, Walk)> {
    let head = sample.head;
    let order = if head[0] == b'I' {
        Order::Little
    } else {
        Order::Big
    };
    let named = match take::<4>(head, 0)? {
        [b'I', b'I', b'U', 0] => Some("image/x-panasonic-rw2"),
        [b'I', b'I', b'R', b'O' | b'S'] | [b'M', b'M', b'O', b'R'] => Some("image/x-olympus-orf"),
        [b'I', b'I', 0xBC, 1] => {
            let seen = Seen::default();
            return Some(("image/jxr", Ok(seen)));
        }
        _ => None,
    };
    let (directory, big) = match order.u16(head, 2)? {
        43 if order.u16(head, 4)? == 8 && order.u16(head, 6)? == 0 => (order.u64(head, 8)?, true),
        number if number == 42 || named.is_some() => (u64::from(order.u32(head, 4)?), false),
        _ => return None,
    };
    if directory < 8 || directory.checked_add(2).is_none_or(|end| end > sample.size) {
        let fault = Fault("the first directory lies behind the end", 4);
        return Some(("image/tiff", Err(fault)));
    }
    let read = Directory::read(sample, order, directory, big);
    let media_type = match (named, &read, head.get(8..10)) {
        (Some(named), ..) => named,
        (None, Some(read), _) if read.negative => "image/x-adobe-dng",
        (None, _, Some(b"CR")) if !big => "image/x-canon-cr2",
        _ => "image/tiff",
    };
    Some((
        media_type,
        match read {
            Some(read) if read.entries == 0 => {
                Err(Fault("the first directory is none of TIFF's", directory))
            }
            Some(read) => Ok(Seen {
                size: nonzero(read.width, read.height),
                truncated: read.data.saturating_add(read.len.max(1)) > sample.size
                    || read.end > sample.size,
                ..Seen::default()
            }),
            None if sample.is_whole() => Err(Fault("the first directory is cut", directory)),
            None => Ok(Seen {
                needs: Some(directory),
                ..Seen::default()
            }),
        },
    ))
}

/// What the entries of a directory say.
#[derive(Default)]
struct Directory {
    entries: usize,
    width: Option<u32>,
    height: Option<u32>,
    /// A DNG says so.
    negative: bool,
    /// Where the first strip or tile of pixels is, if there is just one; else where their
    /// list is.
    data: u64,
    /// How long that strip is, if there is just one.
    len: u64,
    /// Where the directory itself ends.
    end: u64,
}

impl Directory {
    fn read(sample: &Sample, order: Order, at: u64, big: bool) -> Option<Self> {
        let (count, start, step) = if big {
            (order.u64(sample.at(at, 8)?, 0)?, at + 8, 20)
        } else {
            let count = order.u16(sample.at(at, 2)?, 0)?;
            (u64::from(count), at + 2, 12)
        };
        sample.at(start, step)?;
        let mut read = Self {
            end: start.saturating_add(count.saturating_mul(step as u64)),
            ..Self::default()
        };
        for index in 0..count.min(4096) {
            let Some(entry) = sample.at(start + index * step as u64, step) else {
                break;
            };
            let (tag, kind) = (order.u16(entry, 0)?, order.u16(entry, 2)?);
            if !(1..=18).contains(&kind) {
                continue;
            }
            // TIFF's own tags; others may stand beside them.
            read.entries += usize::from((254..=532).contains(&tag));
            // Type 3 is 16 bits wide; of 8-byte numbers the low half is enough.
            let value = match (kind, big) {
                (3, _) => order
                    .u16(entry, step - if big { 8 } else { 4 })
                    .map(u32::from),
                (16, true) => order
                    .u64(entry, 12)
                    .and_then(|value| u32::try_from(value).ok()),
                (_, true) => order.u32(entry, 12),
                (_, false) => order.u32(entry, 8),
            };
            match tag {
                256 => read.width = value,
                257 => read.height = value,
                279 | 325 if !big && order.u32(entry, 4) == Some(1) => {
                    read.len = u64::from(value.unwrap_or(0));
                }
                273 | 324 => read.data = u64::from(value.unwrap_or(0)),
                50706 => read.negative = true,
                _ => {}
            }
        }
        Some(read)
    }
}
