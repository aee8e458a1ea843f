//! Sound and film that is not ISO base media: RIFF, Ogg, Matroska, FLAC.

use memchr::memmem;

use super::bytes::{Order, Sample, be32, take};
use crate::domain::verdict::Confidence::Structure;
use crate::domain::verdict::{Finding, Flag};

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    match head {
        [b'R', b'I', b'F', b'F', ..] | [b'R' | b'B', b'F' | b'W', b'6', b'4', ..] => {
            riff(sample, Order::Little)
        }
        [b'R', b'I', b'F', b'X', ..] => riff(sample, Order::Big),
        [b'O', b'g', b'g', b'S', ..] => Some(ogg(sample)),
        [0x1A, 0x45, 0xDF, 0xA3, ..] => Some(matroska(sample)),
        [b'f', b'L', b'a', b'C', ..] => Some(flac(head)),
        [
            b'F',
            b'O',
            b'R',
            b'M',
            _,
            _,
            _,
            _,
            b'A',
            b'I',
            b'F',
            b'F' | b'C',
            ..,
        ] => Some(aiff(sample)),
        _ => None,
    }
}

/// WAV and AVI; WebP is the pictures' part.
fn riff(sample: &Sample, order: Order) -> Option<Finding> {
    let head = sample.head;
    let media_type = match head.get(8..12)? {
        b"WAVE" => "audio/wav",
        b"AVI " => "video/x-msvideo",
        b"RMID" => return Some(Finding::of("audio/midi", Structure)),
        _ => return None,
    };
    let broken = |why, at: usize| Some(Finding::broken(media_type, why).at(at as u64));
    let stated = order.u32(head, 4).filter(|len| *len != u32::MAX);
    let cut = stated.is_some_and(|len| u64::from(len) + 8 > sample.size);
    let (mut at, mut format, mut truncated) = (12, false, false);
    for index in 0..64 {
        let (Some(id), Some(len)) = (head.get(at..at + 4), order.u32(head, at + 4)) else {
            if index == 0 {
                return broken("there is no chunk", at);
            }
            break;
        };
        if !id.iter().all(|byte| (0x20..0x7F).contains(byte)) {
            if format {
                break;
            }
            return broken("what follows the RIFF header is no chunk", at);
        }
        let body = head.get(at + 8..).unwrap_or_default();
        match id {
            b"fmt " => {
                let channels = order.u16(body, 2).unwrap_or(1);
                if len < 14 || channels == 0 {
                    return broken("the format chunk is none of WAVE's", at);
                }
                format = true;
            }
            b"LIST" if body.starts_with(b"hdrl") => format = true,
            b"data" if !format => return broken("the sound comes before its format", at),
            _ => {}
        }
        // Recorders that were switched off leave the length they could not know.
        truncated = u64::from(len) + at as u64 > sample.size;
        let Some(next) = usize::try_from(len)
            .ok()
            .and_then(|len| (at + 8 + len + (len & 1)).checked_add(0))
        else {
            break;
        };
        at = next;
        if truncated || at >= head.len() {
            break;
        }
    }
    if !format && sample.is_whole() && !truncated {
        return broken("there is no format chunk", 12);
    }
    if !format && truncated {
        return broken("a chunk is longer than the file", 12);
    }
    Some(Finding::of(media_type, Structure).flagged(Flag::Truncated, truncated || cut))
}

/// Audio Interchange File Format, 1.3 and -C.
fn aiff(sample: &Sample) -> Finding {
    let head = sample.head;
    let known = head
        .get(12..16)
        .is_some_and(|id| id.iter().all(|byte| (0x20..0x7F).contains(byte)));
    let fits = be32(head, 16).is_some_and(|len| u64::from(len) + 20 <= sample.size);
    if known && fits {
        Finding::of("audio/aiff", Structure)
    } else {
        Finding::broken("audio/aiff", "what follows the header is no chunk").at(12)
    }
}

/// RFC 3533: the first page begins a stream, and its packet names the codec.
fn ogg(sample: &Sample) -> Finding {
    let head = sample.head;
    let (Some([version, _]), Some(segments)) = (take(head, 4), head.get(26)) else {
        return Finding::broken("audio/ogg", "the first page is cut").at(4);
    };
    let start = 27 + usize::from(*segments);
    let lacing = head.get(27..start).unwrap_or_default();
    let next = start + lacing.iter().map(|len| usize::from(*len)).sum::<usize>();
    let follows = head
        .get(next..next + 4)
        .is_none_or(|magic| magic == b"OggS");
    if version != 0 || !follows || next as u64 > sample.size {
        return Finding::broken("audio/ogg", "the chain of pages is broken").at(next as u64);
    }
    let video = [
        &b"\x80theora"[..],
        b"BBCD\0",
        b"\x01video",
        b"\x80daala",
        b"OVP80",
    ];
    let streams = memmem::find_iter(&head[..head.len().min(4096)], b"OggS\0\x02");
    let is_video = streams.take(8).any(|page| {
        let packet = head
            .get(page + 26)
            .and_then(|segments| head.get(page + 27 + usize::from(*segments)..));
        packet.is_some_and(|packet| video.iter().any(|codec| packet.starts_with(codec)))
    });
    Finding::of(if is_video { "video/ogg" } else { "audio/ogg" }, Structure)
}

/// What `WebM` allows inside.
const WEBM_CODECS: [&[u8]; 5] = [b"V_VP8", b"V_VP9", b"V_AV1", b"A_VORBIS", b"A_OPUS"];

/// RFC 8794: the header's elements up to the document type.
fn matroska(sample: &Sample) -> Finding {
    match document_type(sample) {
        Some((is_webm, body)) => {
            // `CodecID`: `V_…` for pictures, `A_…` for sound.
            let mut codecs = memmem::find_iter(body, b"_")
                .filter(|at| *at >= 3 && matches!(body[at - 1], b'V' | b'A' | b'S'))
                .filter(|at| body[at - 3] == 0x86)
                .map(|at| &body[at - 1..])
                .take(16)
                .peekable();
            let known = codecs.peek().is_some();
            let (mut pictures, mut allowed) = (false, known);
            for codec in codecs {
                pictures |= codec[0] == b'V';
                allowed &= WEBM_CODECS.iter().any(|name| codec.starts_with(name));
            }
            let media_type = if is_webm {
                "video/webm"
            } else {
                "video/matroska"
            };
            Finding::of(media_type, Structure)
                .flagged(Flag::NoVideoSeen, is_webm && !pictures)
                .flagged(Flag::WebmCodecs, !is_webm && allowed)
        }
        None => Finding::broken("video/matroska", "the header is none of Matroska's").at(4),
    }
}

/// Whether the document type is `webm`, and what follows it. Without one it is Matroska's.
fn document_type<'a>(sample: &Sample<'a>) -> Option<(bool, &'a [u8])> {
    let head = sample.head;
    let (len, mut at) = vint(head, 4)?;
    let end = usize::try_from(len)
        .ok()
        .and_then(|len| len.checked_add(at))
        .unwrap_or(usize::MAX);
    while at < end {
        let id_len = head.get(at)?.leading_zeros() as usize + 1;
        let id = head.get(at..at.checked_add(id_len)?)?;
        // The segment begins although the header did not say it ends.
        if id == [0x18, 0x53, 0x80, 0x67] {
            return Some((false, &head[at..]));
        }
        let (len, start) = vint(head, at + id_len)?;
        let next = start.checked_add(usize::try_from(len).ok()?)?;
        if id == [0x42, 0x82] {
            let body = head.get(next..)?;
            return match head.get(start..next)?.split(|byte| *byte == 0).next()? {
                b"webm" => Some((true, body)),
                b"matroska" => Some((false, body)),
                _ => None,
            };
        }
        at = next;
    }
    let body = head.get(at..)?;
    body.starts_with(&[0x18, 0x53, 0x80, 0x67])
        .then_some((false, body))
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

/// RFC 9639 §8: the first block is stream information of 34 bytes, and a known one or a
/// frame follows.
pub fn flac(head: &[u8]) -> Finding {
    let broken = |why| Finding::broken("audio/flac", why);
    let Some(block) = be32(head, 4).filter(|block| block & 0x7FFF_FFFF == 34) else {
        return broken("the first block is not the stream's information").at(4);
    };
    let follows = match head.get(42) {
        None => true,
        // The last block: frames follow, or padding.
        Some(first) if block >> 31 == 1 => matches!(first, 0xFF | 0),
        Some(kind) => kind & 0x7F <= 126,
    };
    let [a, b, c] = take(head, 18).unwrap_or([0xFF; 3]);
    let rate = u32::from_be_bytes([0, a, b, c]) >> 4;
    if follows && (head.len() < 22 || rate > 0) {
        Finding::of("audio/flac", Structure)
    } else {
        broken("the stream's information is none of FLAC's").at(18)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_length_number_ends_where_its_first_byte_says() {
        assert_eq!(vint(&[0x81], 0), Some((1, 1)));
        assert_eq!(vint(&[0x40, 0x02], 0), Some((2, 2)));
        assert_eq!(vint(&[0x40], 0), None);
        assert_eq!(vint(&[0], 0), None);
    }
}
