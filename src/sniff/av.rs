//! Sound and film that is not ISO base media: RIFF, Ogg, Matroska, FLAC.

use memchr::memmem;

use super::bytes::{Order, Sample, be16, be32, be64, take};
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
        [b'f', b'L', b'a', b'C', ..] => Some(flac(head, sample.size)),
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
    // Who writes into a pipe leaves the lengths at nothing, or at all that a number holds.
    let open = |len: u32| len >= 0x7FFF_F000;
    let stated = order.u32(head, 4).filter(|len| !open(*len));
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
        truncated = !open(len) && u64::from(len) + at as u64 + 8 > sample.size;
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
    const NAME: &str = "audio/aiff";
    let head = sample.head;
    let cut = be32(head, 4).is_none_or(|len| u64::from(len) + 8 > sample.size + 1);
    let (mut at, mut common) = (12_u64, false);
    while let Some(chunk) = sample.at(at, 8) {
        let end = at + 8 + u64::from(be32(chunk, 4).unwrap_or(0));
        let known = chunk[..4].iter().all(|byte| (0x20..0x7F).contains(byte));
        common |= chunk.starts_with(b"COMM");
        if common && (!known || end > sample.size) {
            break;
        }
        if !known || end > sample.size {
            return Finding::broken(NAME, "what follows the header is no chunk").at(at);
        }
        at = end + (end & 1);
    }
    if !common && at + 8 > sample.size {
        return Finding::broken(NAME, "there is no common chunk").at(12);
    }
    Finding::of(NAME, Structure).flagged(Flag::Truncated, cut)
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
    if next as u64 == sample.size && head.get(5).is_some_and(|kind| kind & 4 == 0) {
        return Finding::broken("audio/ogg", "no page follows the first").at(next as u64);
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
        .flagged(Flag::Truncated, pages_end(head, next) > sample.size)
}

/// Where the last page ends of those that begin in the head.
fn pages_end(head: &[u8], mut at: usize) -> u64 {
    for _ in 0..64 {
        if !head.get(at..).is_some_and(|rest| rest.starts_with(b"OggS")) {
            return at.min(head.len()) as u64;
        }
        let Some(lacing) = head
            .get(at + 26)
            .and_then(|count| head.get(at + 27..at + 27 + usize::from(*count)))
        else {
            return at as u64 + 28;
        };
        at += 27 + lacing.len() + lacing.iter().map(|len| usize::from(*len)).sum::<usize>();
    }
    at as u64
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
            // The document type need not be the header's last element.
            let head = sample.head;
            let behind = vint(head, 4)
                .and_then(|(len, start)| start.checked_add(usize::try_from(len).ok()?))
                .filter(|at| *at <= head.len())
                .unwrap_or(head.len() - body.len());
            let cut = match segment(sample, behind) {
                Ok(cut) => cut,
                Err((why, at)) => return Finding::broken(media_type, why).at(at as u64),
            };
            Finding::of(media_type, Structure)
                .flagged(Flag::Truncated, cut)
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

/// The elements of a segment, in which all of a film is.
const OF_SEGMENT: [&[u8]; 10] = [
    &[0x11, 0x4D, 0x9B, 0x74],
    &[0x15, 0x49, 0xA9, 0x66],
    TRACKS,
    CLUSTER,
    &[0x1C, 0x53, 0xBB, 0x6B],
    &[0x10, 0x43, 0xA7, 0x70],
    &[0x12, 0x54, 0xC3, 0x67],
    &[0x19, 0x41, 0xA4, 0x69],
    VOID,
    SUM,
];
const TRACKS: &[u8] = &[0x16, 0x54, 0xAE, 0x6B];
const CLUSTER: &[u8] = &[0x1F, 0x43, 0xB6, 0x75];
const VOID: &[u8] = &[0xEC];
const SUM: &[u8] = &[0xBF];

/// Walks from behind the header to the segment and through it, as far as the head goes.
/// Whether something in it ends behind the file.
fn segment(sample: &Sample, mut at: usize) -> Result<bool, (&'static str, usize)> {
    let head = sample.head;
    let begins = |at: usize, id: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(id));
    while begins(at, VOID) || begins(at, SUM) {
        let Some((len, start)) = vint(head, at + 1) else {
            break;
        };
        at = start.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
    }
    if at >= head.len() && !sample.is_whole() {
        return Ok(false);
    }
    if !begins(at, &[0x18, 0x53, 0x80, 0x67]) {
        return Err(("no segment follows the header", at.min(head.len())));
    }
    // All ones: the length was not known when it was written.
    let known = |len: u64, from: usize, to: usize| len != (1 << (7 * (to - from))) - 1;
    let Some((len, mut next)) = vint(head, at + 4) else {
        return Ok(sample.is_whole());
    };
    let last = if known(len, at + 4, next) {
        len.saturating_add(next as u64)
    } else {
        u64::MAX
    };
    let mut cut = last != u64::MAX && last > sample.size;
    let mut tracks = false;
    for index in 0..64 {
        if next >= head.len() || next as u64 >= last {
            break;
        }
        let Some(id) = OF_SEGMENT.into_iter().find(|id| begins(next, id)) else {
            let partial = OF_SEGMENT.iter().any(|id| id.starts_with(&head[next..]));
            return match index {
                _ if partial => Ok(true),
                // Identifiers of this level are four bytes long, and no letters.
                _ if index == 0 || head[next] & 0xF0 != 0x10 => {
                    Err(("what follows in the segment is no element of one", next))
                }
                _ => Ok(cut),
            };
        };
        tracks |= id == TRACKS || id == CLUSTER;
        let from = next + id.len();
        let Some((len, start)) = vint(head, from) else {
            return Ok(sample.is_whole());
        };
        if !known(len, from, start) {
            return Ok(cut);
        }
        let end = len.saturating_add(start as u64);
        cut |= end > sample.size;
        next = usize::try_from(end).unwrap_or(usize::MAX);
    }
    if sample.is_whole() && next == head.len() && !tracks {
        return Err(("the segment has no tracks", at));
    }
    Ok(cut)
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

/// RFC 9639 §8: blocks of metadata, the first of them stream information of 34 bytes, and
/// frames behind the last. `size`: how much there is of it all.
pub fn flac(head: &[u8], size: u64) -> Finding {
    const NAME: &str = "audio/flac";
    let broken = |why, at: usize| Finding::broken(NAME, why).at(at as u64);
    if be32(head, 4).is_none_or(|block| block & 0x7FFF_FFFF != 34) {
        return broken("the first block is not the stream's information", 4);
    }
    let [a, b, c, d] = take(head, 18).unwrap_or_default();
    let rate = u32::from_be_bytes([0, a, b, c]) >> 4;
    // Blocks of sound have sixteen samples at least, and a sample four bits.
    let blocks = be16(head, 8).zip(be16(head, 10));
    let sane = blocks.is_some_and(|(low, high)| low <= high && high >= 16);
    let depth = (u16::from_be_bytes([c, d]) >> 4 & 0x1F) + 1;
    if rate == 0 || !sane || depth < 4 {
        return broken("the stream's information is none of FLAC's", 8);
    }
    let mut at = 4;
    let mut last = false;
    while !last {
        let Some(block) = be32(head, at) else {
            let cut = at as u64 + 4 > size;
            return Finding::of(NAME, Structure).flagged(Flag::Truncated, cut);
        };
        let kind = block >> 24 & 0x7F;
        if kind == 127 || (kind == 0 && at > 4) {
            return broken("a block is of no known kind", at);
        }
        last = block >> 31 == 1;
        at += 4 + (block & 0xFF_FFFF) as usize;
        if at as u64 > size {
            return broken("a block is longer than the file", at.min(head.len()));
        }
    }
    match head.get(at..) {
        // Frames, or padding.
        Some([0xFF, second, ..]) if second & 0xFC != 0xF8 => {
            broken("no frame follows the blocks", at)
        }
        Some([first, ..]) if !matches!(first, 0xFF | 0) => {
            broken("no frame follows the blocks", at)
        }
        _ => Finding::of(NAME, Structure)
            // A frame's header, a sub-frame and a sum; a stream of no samples has none.
            .flagged(Flag::Truncated, at as u64 + 11 > size && samples(head) > 0),
    }
}

/// How many samples the stream says it has; zero: it does not say.
fn samples(head: &[u8]) -> u64 {
    be64(head, 18).unwrap_or(0) & 0xF_FFFF_FFFF
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
