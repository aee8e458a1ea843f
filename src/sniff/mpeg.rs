//! MPEG audio, AAC, and whatever stands behind an `ID3v2` tag.

use super::av;
use super::bytes::{Sample, be16, be32, be64, take};
use super::extent::FRAGMENT;
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::{Finding, Flag};

/// How far behind a tag, or behind padding, the first frame is searched for.
const SEARCH: usize = 8 * 1024;

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    match head {
        [b'I', b'D', b'3', ..] => tagged(sample),
        // FF FE is the byte-order mark of UTF-16.
        [0xFF, second, ..] if second & 0xE0 == 0xE0 && *second != 0xFE => sound(head, 0, sample, 2),
        [b'A', b'D', b'I', b'F', ..] if head.len() > 16 => {
            Some(Finding::of("audio/aac", Signature))
        }
        [0x56, second, ..] if second & 0xE0 == 0xE0 => {
            let len = |at: usize| be16(head, at + 1).map(|word| usize::from(word & 0x1FFF) + 3);
            let is_next = |at: usize| head.get(at) == Some(&0x56) && len(at).is_some();
            is_next(len(0)?).then(|| Finding::of("audio/aac", Structure))
        }
        _ => None,
    }
}

/// Where the tag at the beginning ends.
pub fn behind_tag(head: &[u8]) -> Option<u64> {
    let [version, revision, flags, a, b, c, d] = take(head, 3)?;
    let is_tag = head.starts_with(b"ID3") && (2..=4).contains(&version) && revision != 0xFF;
    if !is_tag || (a | b | c | d) & 0x80 != 0 {
        return None;
    }
    let len = [a, b, c, d]
        .iter()
        .fold(0_u64, |len, byte| len << 7 | u64::from(*byte));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    Some(10 + len + footer)
}

/// An `ID3v2` tag, and the sound behind it when it was read.
fn tagged(sample: &Sample) -> Option<Finding> {
    let first = behind_tag(sample.head)?;
    let len = first - 10;
    let frame = sample.head.get(10..13);
    let sane = frame.is_some_and(|name| {
        name.iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            || name == [0; 3]
    });
    let broken = |why, at| Finding::broken("audio/mpeg", why).at(at);
    if !sane && len > 0 && len <= sample.size {
        return sound(sample.head, 10, sample, 4)
            .or_else(|| Some(broken("the tag holds no frame", 10)));
    }
    if first > sample.size {
        return sane.then(|| broken("the tag is longer than the file", 6));
    }
    let mut at = first;
    // Taggers put tags before tags.
    for _ in 0..4 {
        let Some(next) = sample.from(at).and_then(behind_tag) else {
            break;
        };
        at = at.saturating_add(next);
    }
    let Some(rest) = sample.from(at) else {
        return if at >= sample.size && first != sample.size {
            Some(broken("no sound follows the tag", first))
        } else {
            let alone = at >= sample.size;
            Some(Finding::of("audio/mpeg", Signature).flagged(Flag::Truncated, alone))
        };
    };
    // Taggers pad behind the tag as well as in it.
    let padding = rest.iter().position(|byte| *byte != 0);
    let Some(padding) = padding else {
        let found = Finding::of("audio/mpeg", Signature);
        return Some(found.flagged(Flag::Truncated, sample.is_whole()));
    };
    let begun = &rest[padding..];
    let other = match begun {
        [b'f', b'L', b'a', b'C', ..] => Some(av::flac(
            begun,
            sample.size.saturating_sub(at + padding as u64),
        )),
        [b'M', b'A', b'C', b' ', ..] => Some(Finding::of("audio/x-ape", Signature)),
        [b'M', b'P', b'+', ..] | [b'M', b'P', b'C', b'K', ..] => {
            Some(Finding::of("audio/x-musepack", Signature))
        }
        [b'w', b'v', b'p', b'k', ..] => Some(Finding::of("audio/x-wavpack", Signature)),
        [b'T', b'T', b'A', b'1', ..] => Some(Finding::of("audio/x-tta", Signature)),
        [b'O', b'g', b'g', b'S', ..] => Some(Finding::of("audio/ogg", Signature)),
        [b'R', b'I', b'F', b'F', ..] => Some(Finding::of("audio/wav", Signature)),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some(Finding::of("audio/mp4", Signature)),
        _ => None,
    };
    other
        .or_else(|| sound(begun, 0, sample, 2))
        .or_else(|| search(begun, sample, 3))
        .or_else(|| search(&sample.head[10..], sample, 4))
        .or_else(|| Some(broken("no sound follows the tag", at + padding as u64)))
}

/// Sound without any mark, behind zeros or the rest of a frame: the last thing to be tried.
pub fn behind_padding(sample: &Sample) -> Option<Finding> {
    let zeros = sample.head.iter().position(|byte| *byte != 0)?;
    search(&sample.head[zeros..], sample, 5)
}

/// The first place with so many frames in a row.
fn search(bytes: &[u8], sample: &Sample, frames: usize) -> Option<Finding> {
    let window = &bytes[..bytes.len().min(SEARCH)];
    memchr::memchr_iter(0xFF, window).find_map(|at| sound(bytes, at, sample, frames))
}

type Frame = fn(&[u8], usize) -> Option<usize>;

/// Frames in a row, all of one kind: one sync word is eleven bits, which any bytes may have.
fn sound(bytes: &[u8], start: usize, sample: &Sample, frames: usize) -> Option<Finding> {
    let (media_type, frame, kind) = match adts_len(bytes, start) {
        Some(_) => ("audio/aac", adts_len as Frame, 0xFFFF_FFC0),
        // Version, layer and sampling rate stay as they are.
        None => ("audio/mpeg", mpeg_len as Frame, 0xFFFE_0C00),
    };
    let first = be32(bytes, start)? & kind;
    let mut at = start;
    for seen in 0..frames {
        if at + 8 > bytes.len() {
            // A cut last frame is forgiven, and what was not read is not held against it.
            let whole = at == bytes.len() && seen >= 1;
            let enough = whole || seen >= 2 || !sample.is_whole();
            return (enough && frames <= 3)
                .then(|| Finding::of(media_type, Structure))
                .map(|found| found.flagged(Flag::Truncated, sample.is_whole() && !whole));
        }
        // The first frame may be another encoder's notice, of its own bit rate.
        let same = be32(bytes, at).is_some_and(|word| word & kind == first);
        at += frame(bytes, at).filter(|_| same)?;
    }
    // A fragment is told by its last frame; a whole file may have anything behind that.
    let mut cut = false;
    if sample.is_whole() && sample.size < FRAGMENT {
        while let Some(len) = frame(bytes, at) {
            at += len;
        }
        cut = at > bytes.len() || bytes.get(at) == Some(&0xFF);
    }
    Some(Finding::of(media_type, Structure).flagged(Flag::Truncated, cut))
}

fn mpeg_len(bytes: &[u8], at: usize) -> Option<usize> {
    be32(bytes, at).and_then(frame_len)
}

/// The length of an ADTS frame (ISO/IEC 13818-7): its layer bits are zero.
fn adts_len(bytes: &[u8], at: usize) -> Option<usize> {
    be16(bytes, at).filter(|sync| sync & 0xFFF6 == 0xFFF0)?;
    let word = be64(bytes, at)?;
    let rate = word >> 42 & 0xF;
    let len = usize::try_from(word >> 21 & 0x1FFF).ok()?;
    (rate < 13 && len > 7).then_some(len)
}

/// The length of an MPEG audio frame (ISO/IEC 11172-3, 13818-3) of layer I, II or III.
fn frame_len(header: u32) -> Option<usize> {
    const V1_L1: [u32; 15] = [
        0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
    ];
    const V1_L2: [u32; 15] = [
        0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
    ];
    const V1_L3: [u32; 15] = [
        0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ];
    const V2_L1: [u32; 15] = [
        0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
    ];
    const V2_L23: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    if header >> 21 != 0x7FF {
        return None;
    }
    let (version, layer) = (header >> 19 & 3, header >> 17 & 3);
    let index = (header >> 12 & 0xF) as usize;
    let rate = *[44_100, 48_000, 32_000].get((header >> 10 & 3) as usize)?;
    let (table, rate) = match (version, layer) {
        (3, 3) => (V1_L1, rate),
        (3, 2) => (V1_L2, rate),
        (3, 1) => (V1_L3, rate),
        (2, 3) => (V2_L1, rate / 2),
        (2, 1 | 2) => (V2_L23, rate / 2),
        (0, 3) => (V2_L1, rate / 4),
        (0, 1 | 2) => (V2_L23, rate / 4),
        _ => return None,
    };
    let bits = *table.get(index).filter(|bits| **bits > 0)? * 1000;
    let padding = header >> 9 & 1;
    let len = match (version, layer) {
        (_, 3) => (12 * bits / rate + padding) * 4,
        (0 | 2, 1) => 72 * bits / rate + padding,
        _ => 144 * bits / rate + padding,
    };
    Some(len as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mpeg_frame_is_as_long_as_its_header_says() {
        assert_eq!(frame_len(0xFFFB_9064), Some(417), "128 kbit/s at 44.1 kHz");
        assert_eq!(frame_len(0xFFFB_9264), Some(418), "padded");
        assert_eq!(
            frame_len(0xFFF3_8064),
            Some(208),
            "MPEG-2 layer III, 64 kbit/s at 22.05 kHz"
        );
        assert_eq!(frame_len(0xFFFB_F064), None, "no such bit rate");
        assert_eq!(frame_len(0x3C68_746D), None, "<htm");
    }
}
