//! Sound and film that is not ISO base media: RIFF, Ogg, Matroska, FLAC, MPEG audio.

use super::bytes::{Sample, be16, be32, be64, take};
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::{Finding, Flag};

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    match head {
        [b'R', b'I', b'F', b'F' | b'X', ..] | [b'R', b'F', b'6', b'4', ..] => riff(sample),
        [b'O', b'g', b'g', b'S', ..] => Some(ogg(sample)),
        [0x1A, 0x45, 0xDF, 0xA3, ..] => matroska(head),
        [b'f', b'L', b'a', b'C', ..] => Some(flac(head)),
        [b'I', b'D', b'3', ..] => tagged(sample),
        // FF FE is the byte-order mark of UTF-16.
        [0xFF, second, ..] if second & 0xE0 == 0xE0 && *second != 0xFE => mpeg(sample, 0),
        _ => None,
    }
}

/// WAV and AVI; WebP is the pictures' part.
fn riff(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    let first = head.get(12..16)?;
    match head.get(8..12)? {
        b"WAVE" if first.iter().all(|byte| (0x20..0x7F).contains(byte)) => {
            Some(Finding::of("audio/wav", Structure))
        }
        b"AVI " if first == b"LIST" && head.get(20..24) == Some(b"hdrl") => {
            Some(Finding::of("video/x-msvideo", Structure))
        }
        b"WAVE" | b"AVI " => Some(Finding::broken(
            "audio/wav",
            "what follows the RIFF header is no chunk",
        )),
        _ => None,
    }
}

/// RFC 3533: the first page begins a stream, and its packet names the codec.
fn ogg(sample: &Sample) -> Finding {
    let head = sample.head;
    let (Some([version, kind]), Some(segments)) = (take(head, 4), head.get(26)) else {
        return Finding::broken("audio/ogg", "the first page is cut");
    };
    let start = 27 + usize::from(*segments);
    let lacing = head.get(27..start).unwrap_or_default();
    let next = start + lacing.iter().map(|len| usize::from(*len)).sum::<usize>();
    let follows = head
        .get(next..next + 4)
        .is_none_or(|magic| magic == b"OggS");
    if version != 0 || kind & 2 == 0 || !follows || next as u64 > sample.size {
        return Finding::broken("audio/ogg", "the chain of pages is broken");
    }
    let packet = head.get(start..).unwrap_or_default();
    let video = [&b"\x80theora"[..], b"fishead\0", b"BBCD\0", b"\x01video"];
    let is_video = video.iter().any(|codec| packet.starts_with(codec));
    Finding::of(if is_video { "video/ogg" } else { "audio/ogg" }, Structure)
}

/// RFC 8794: the header's elements up to the document type.
fn matroska(head: &[u8]) -> Option<Finding> {
    let (len, mut at) = vint(head, 4)?;
    let end = usize::try_from(len).ok()?.checked_add(at)?;
    while at < end {
        let id_len = head.get(at)?.leading_zeros() as usize + 1;
        let id = head.get(at..at.checked_add(id_len)?)?;
        let (len, start) = vint(head, at + id_len)?;
        let next = start.checked_add(usize::try_from(len).ok()?)?;
        if id == [0x42, 0x82] {
            let (kind, silent) = match head.get(start..next)?.trim_ascii_end() {
                b"webm" | b"webm\0" => ("video/webm", "video/webm"),
                b"matroska" | b"matroska\0" => ("video/matroska", ""),
                _ => return None,
            };
            // `CodecID`: `V_…` for pictures, `A_…` for sound.
            let body = head.get(next..)?;
            let pictures = body
                .windows(4)
                .any(|found| found[0] == 0x86 && &found[2..] == b"V_");
            return Some(
                Finding::of(kind, Structure)
                    .flagged(Flag::NoVideoSeen, kind == silent && !pictures),
            );
        }
        at = next;
    }
    None
}

/// A variable-length number and where it ends.
fn vint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let first = *bytes.get(at)?;
    let len = first.leading_zeros() as usize + 1;
    let rest = bytes.get(at + 1..at.checked_add(len)?)?;
    let lead = u64::from(first) & (0xFF_u64 >> len.min(8));
    let value = rest
        .iter()
        .fold(lead, |value, byte| value << 8 | u64::from(*byte));
    (len <= 8).then_some((value, at + len))
}

/// RFC 9639 §8: the first block is stream information of 34 bytes.
fn flac(head: &[u8]) -> Finding {
    match be32(head, 4).map(|block| block & 0x7FFF_FFFF) {
        Some(34) => Finding::of("audio/flac", Structure),
        _ => Finding::broken(
            "audio/flac",
            "the first block is not the stream's information",
        ),
    }
}

/// An `ID3v2` tag, and the sound behind it when it was read.
fn tagged(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    let [version, revision, flags, a, b, c, d] = take(head, 3)?;
    if !(2..=4).contains(&version) || revision == 0xFF || (a | b | c | d) & 0x80 != 0 {
        return None;
    }
    let len = [a, b, c, d]
        .iter()
        .fold(0_usize, |len, byte| len << 7 | usize::from(*byte));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    let mut start = 10 + len + footer;
    if start as u64 > sample.size {
        return None;
    }
    // Taggers pad behind the tag as well as in it.
    while head.get(start) == Some(&0) {
        start += 1;
    }
    match head.get(start..) {
        None | Some([]) => Some(Finding::of("audio/mpeg", Signature)),
        Some(rest) if rest.starts_with(b"fLaC") => Some(flac(rest)),
        Some(_) => mpeg(sample, start).or_else(|| {
            Some(Finding::broken("audio/mpeg", "no sound follows the tag")).filter(|_| len > 0)
        }),
    }
}

/// Two frames in a row: one sync word is eleven bits, which any bytes may have.
fn mpeg(sample: &Sample, start: usize) -> Option<Finding> {
    let head = sample.head;
    let (media_type, frame) = match adts_len(head, start) {
        Some(_) => ("audio/aac", adts_len as fn(&[u8], usize) -> Option<usize>),
        None => ("audio/mpeg", mpeg_len as _),
    };
    let next = start.checked_add(frame(head, start)?)?;
    let follows = if next + 8 <= head.len() {
        frame(head, next).is_some()
    } else {
        next as u64 == sample.size || !sample.is_whole()
    };
    follows.then(|| Finding::of(media_type, Structure))
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

    #[test]
    fn a_variable_length_number_ends_where_its_first_byte_says() {
        assert_eq!(vint(&[0x81], 0), Some((1, 1)));
        assert_eq!(vint(&[0x40, 0x02], 0), Some((2, 2)));
        assert_eq!(vint(&[0x40], 0), None);
        assert_eq!(vint(&[0], 0), None);
    }
}
