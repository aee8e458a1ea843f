//! Formats that are a chain of blocks with lengths: each is walked as far as it was read.

use super::bytes::{Sample, be16, be32, inflated_len, le16, le32, le64, take};
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::{Finding, Flag};

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    match head {
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(bzip2(sample)),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(zstandard_frames(sample, 0)),
        [0, b'a', b's', b'm', ..] => Some(wasm(sample)),
        [0xCA, 0xFE, 0xBA, 0xBE, ..] => Some(class(sample)),
        [b'8', b'B', b'P', b'S', 0, 1 | 2, ..] => Some(photoshop(sample)),
        [b'F', b'L', b'V', 1, ..] => Some(flash_video(sample)),
        [0, 0, 1, 0xBA | 0xB3, ..] => Some(program_stream(sample)),
        [b'M', b'T', b'h', b'd', 0, 0, 0, 6, ..] => Some(midi(sample)),
        _ if head.starts_with(b"#!AMR\n") => Some(amr(sample, "audio/amr", 6, &NARROW)),
        _ if head.starts_with(b"#!AMR-WB\n") => Some(amr(sample, "audio/amr-wb", 9, &WIDE)),
        _ if head.starts_with(ASF) => Some(asf(sample)),
        _ => None,
    }
}

/// Whether what was read holds all of a length, or does not reach so far.
fn ends(at: u64, sample: &Sample) -> bool {
    at <= sample.size
}

/// The mark of a block and of the end: π and its root in decimal digits, in a stream of bits.
const BLOCK: u64 = 0x3141_5926_5359;
const TRAILER: u64 = 0x1772_4538_5090;

fn bzip2(sample: &Sample) -> Finding {
    const NAME: &str = "application/x-bzip2";
    let head = sample.head;
    let mark = take::<8>(head, 2).map(|bytes| u64::from_be_bytes(bytes) & 0xFFFF_FFFF_FFFF);
    if mark != Some(BLOCK) && mark != Some(TRAILER) {
        return Finding::broken(NAME, "no block follows the header").at(4);
    }
    // The trailer is 80 bits, behind a block that ends at any bit.
    let (end, _) = sample.end();
    let last = take::<11>(end, end.len().saturating_sub(11)).map(|bytes| {
        bytes
            .iter()
            .fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte))
    });
    let trailed = |bits: u128| {
        (0..8).any(|shift| bits >> (32 + shift) & 0xFFFF_FFFF_FFFF == u128::from(TRAILER))
    };
    let cut = !end.is_empty() && !last.is_some_and(trailed);
    Finding::of(NAME, Structure).flagged(Flag::Truncated, cut)
}

const ZSTANDARD: &[u8] = b"\x28\xB5\x2F\xFD";

/// RFC 8878 §3.1.1: the frame's header, and its blocks. `frames`: how many came before.
fn zstandard_frames(sample: &Sample, frames: usize) -> Finding {
    const NAME: &str = "application/zstd";
    let head = sample.head;
    let Some(flags) = head.get(4) else {
        return Finding::broken(NAME, "the header is cut").at(4);
    };
    if flags & 8 != 0 {
        return Finding::broken(NAME, "the header has a reserved bit set").at(4);
    }
    let single = flags & 0x20 != 0;
    let content = match flags >> 6 {
        0 => usize::from(single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let dictionary = [0, 1, 2, 4][usize::from(flags & 3)];
    let mut at = 5 + usize::from(!single) + dictionary + content;
    loop {
        let Some([a, b, c]) = take(head, at) else {
            let cut = sample.is_whole();
            return Finding::of(NAME, Structure).flagged(Flag::Truncated, cut);
        };
        let block = u32::from_le_bytes([a, b, c, 0]);
        let len = match block >> 1 & 3 {
            1 => 1,
            3 => return Finding::broken(NAME, "a block's kind is reserved").at(at as u64),
            _ => (block >> 3) as usize,
        };
        if block >> 3 > 128 * 1024 {
            return Finding::broken(NAME, "a block is longer than any may be").at(at as u64);
        }
        at += 3 + len;
        if block & 1 == 1 {
            at += if flags & 4 == 0 { 0 } else { 4 };
            break;
        }
    }
    // Frames may follow a frame; what else does is none of this format's.
    let next = head.get(at..).unwrap_or_default();
    let frame = next.is_empty()
        || next.starts_with(ZSTANDARD)
        || matches!(next, [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..]);
    let last = if next.starts_with(ZSTANDARD) && frames < 64 {
        let rest = Sample {
            head: next,
            more: &[],
            size: sample.size - at as u64,
        };
        zstandard_frames(&rest, frames + 1).has(Flag::Truncated)
    } else {
        !frame
    };
    Finding::of(NAME, Structure).flagged(Flag::Truncated, last || !ends(at as u64, sample))
}

/// WebAssembly core specification, §5.5: sections up to the end, and nothing else.
fn wasm(sample: &Sample) -> Finding {
    const NAME: &str = "application/wasm";
    let head = sample.head;
    if !matches!(head.get(4..8), Some([1..=255, _, 0 | 1, 0])) {
        return Finding::broken(NAME, "it has no version").at(4);
    }
    let mut at = 8;
    let (mut declared, mut coded) = (false, false);
    while let Some(id) = head.get(at) {
        let len = leb(head, at + 1);
        // A component (layer 1) numbers its sections itself.
        if *id > 14 {
            return Finding::broken(NAME, "what follows a section is none").at(at as u64);
        }
        let Some((len, start)) = len else {
            return Finding::of(NAME, Structure).flagged(Flag::Truncated, sample.is_whole());
        };
        declared |= *id == 3 && head.get(start) > Some(&0);
        coded |= *id == 10;
        at = start.saturating_add(len as usize);
        if !ends(at as u64, sample) {
            return Finding::of(NAME, Structure).flagged(Flag::Truncated, true);
        }
    }
    // Functions that are declared have code.
    let cut = sample.is_whole() && declared && !coded && head.get(4..8) == Some(&[1, 0, 0, 0]);
    Finding::of(NAME, Structure).flagged(Flag::Truncated, cut)
}

/// A number of seven bits a byte, and where it ends.
fn leb(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    let mut value = 0_u64;
    for index in 0..5 {
        let byte = *bytes.get(at + index)?;
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, at + index + 1));
        }
    }
    None
}

/// JVMS §4: the constant pool. Mach-O for several processors has the same mark, and a number
/// of them where a class file has its version.
fn class(sample: &Sample) -> Finding {
    const NAME: &str = "application/java";
    let head = sample.head;
    let Some(major) = be16(head, 6) else {
        return Finding::broken(NAME, "the header is cut").at(4);
    };
    if be16(head, 4) == Some(0) && major < 43 {
        let fits = be32(head, 20).is_some_and(|len| ends(u64::from(len), sample));
        return if fits && (1..43).contains(&major) {
            Finding::of("application/x-mach-binary", Signature)
        } else {
            Finding::broken("application/x-mach-binary", "no program follows the header").at(4)
        };
    }
    if !(43..=120).contains(&major) {
        return Finding::broken(NAME, "the version is none of Java's").at(4);
    }
    let count = be16(head, 8).unwrap_or(0);
    let (mut at, mut index) = (10, 1);
    while index < count {
        let Some(tag) = head.get(at) else {
            return Finding::of(NAME, Structure).flagged(Flag::Truncated, sample.is_whole());
        };
        at += match tag {
            1 => 3 + usize::from(be16(head, at + 1).unwrap_or(0)),
            3 | 4 | 9..=12 | 17 | 18 => 5,
            // Long numbers take two places.
            5 | 6 => {
                index += 1;
                9
            }
            7 | 8 | 16 | 19 | 20 => 3,
            15 => 4,
            _ => return Finding::broken(NAME, "a constant is of no known kind").at(at as u64),
        };
        index += 1;
    }
    // Access, names and the counts of fields, methods and attributes.
    if count == 0 || !ends(at as u64 + 14, sample) {
        return Finding::broken(NAME, "no class follows the constants").at(at as u64);
    }
    Finding::of(NAME, Structure)
}

/// Adobe's Photoshop file format: three sections with lengths, and pixels.
fn photoshop(sample: &Sample) -> Finding {
    const NAME: &str = "image/vnd.adobe.photoshop";
    let head = sample.head;
    let broken = |why, at| Finding::broken(NAME, why).at(at);
    let (Some(planes), Some(height), Some(width), Some(depth)) = (
        be16(head, 12),
        be32(head, 14),
        be32(head, 18),
        be16(head, 22),
    ) else {
        return broken("the header is cut", 6);
    };
    let sane = head.get(6..12) == Some(&[0; 6])
        && (1..=56).contains(&planes)
        && (1..=300_000).contains(&height)
        && (1..=300_000).contains(&width)
        && matches!(depth, 1 | 8 | 16 | 32);
    if !sane {
        return broken("the header is none of Photoshop's", 6);
    }
    let big = head[5] == 2;
    let found = Finding::of(NAME, Structure).sized(width, height);
    let mut at = 26_u64;
    for section in 0..3 {
        let wide = big && section == 2;
        let step = if wide { 8 } else { 4 };
        let Some(len) = sample.at(at, step) else {
            let cut = at + step as u64 > sample.size;
            return found.flagged(Flag::Truncated, cut);
        };
        let len = if wide {
            super::bytes::be64(len, 0)
        } else {
            be32(len, 0).map(u64::from)
        };
        at = at.saturating_add(step as u64 + len.unwrap_or(0));
        if at >= sample.size {
            return broken("a section is longer than the file", at.min(sample.size));
        }
    }
    let rows = u64::from(planes) * u64::from(height);
    let row = (u64::from(width) * u64::from(depth)).div_ceil(8);
    let pixels = match sample.at(at, 2).and_then(|bytes| be16(bytes, 0)) {
        Some(0) => rows * row,
        Some(1) => rows * if big { 4 } else { 2 },
        Some(2 | 3) => 1,
        Some(_) => return broken("the pixels are packed in no known way", at),
        None => 0,
    };
    found.flagged(Flag::Truncated, !ends(at + 2 + pixels, sample))
}

/// Adobe's FLV specification, annex E: the header and the first tag.
fn flash_video(sample: &Sample) -> Finding {
    const NAME: &str = "video/x-flv";
    let head = sample.head;
    let broken = |why, at| Finding::broken(NAME, why).at(at);
    let (Some(flags), Some(start)) = (head.get(4), be32(head, 5)) else {
        return broken("the header is cut", 4);
    };
    if flags & !5 != 0 || !(9..=4096).contains(&start) {
        return broken("the header is none of FLV's", 4);
    }
    let Some(tag) = sample.at(u64::from(start) + 4, 4) else {
        return broken("no tag follows the header", u64::from(start));
    };
    if !matches!(tag[0] & 0x1F, 8 | 9 | 15 | 18) {
        return broken("the first tag is of no known kind", u64::from(start) + 4);
    }
    let len = be32(tag, 0).unwrap_or(0) & 0xFF_FFFF;
    let end = u64::from(start) + 4 + 11 + u64::from(len);
    Finding::of(NAME, Structure).flagged(Flag::Truncated, !ends(end, sample))
}

/// ISO/IEC 11172-1 and 13818-1 (packs), 13818-2 (pictures alone): marker bits, and the next
/// start code where it has to be.
fn program_stream(sample: &Sample) -> Finding {
    const NAME: &str = "video/mpeg";
    let head = sample.head;
    let broken = |why, at| Finding::broken(NAME, why).at(at);
    let byte = |at: usize| head.get(at).copied().unwrap_or(0);
    let next = match byte(3) {
        0xBA if byte(4) & 0xC4 == 0x44 => 14 + usize::from(byte(13) & 7),
        0xBA if byte(4) & 0xF1 == 0x21 => 12,
        0xB3 if byte(10) & 0x20 != 0 && be32(head, 4).is_some_and(|word| word >> 20 > 0) => {
            let inner = byte(11) & 2 != 0;
            let first = if inner { 64 } else { 0 };
            12 + first + if byte(11 + first) & 1 == 0 { 0 } else { 64 }
        }
        _ => return broken("the header is none of MPEG's", 4),
    };
    // Zeros may stand before a start code.
    let rest = head.get(next..).unwrap_or_default();
    let zeros = rest.iter().take_while(|byte| **byte == 0).count();
    if zeros == rest.len() && !sample.is_whole() {
        return Finding::of(NAME, Signature);
    }
    if zeros < 2 || rest.get(zeros) != Some(&1) {
        return broken("no start code follows the header", next as u64);
    }
    let cut = sample.size < FEWEST_OF_MPEG;
    Finding::of(NAME, Structure).flagged(Flag::Truncated, cut)
}

/// A sector or a picture takes more; and packets have an end code.
const FEWEST_OF_MPEG: u64 = 128;

/// Standard MIDI files: the header, then tracks.
fn midi(sample: &Sample) -> Finding {
    const NAME: &str = "audio/midi";
    let head = sample.head;
    let sane = be16(head, 8).is_some_and(|format| format <= 2) && be16(head, 10) > Some(0);
    let track = head
        .get(14..18)
        .is_some_and(|id| id.iter().all(u8::is_ascii_graphic));
    let Some(len) = be32(head, 18).filter(|_| sane && track) else {
        return Finding::broken(NAME, "no track follows the header").at(8);
    };
    Finding::of(NAME, Structure).flagged(Flag::Truncated, !ends(22 + u64::from(len), sample))
}

/// RFC 4867 §5: how long the speech of a frame is, by its type; 255: there is no such type.
const NARROW: [u8; 16] = [12, 13, 15, 17, 19, 20, 26, 31, 5, 6, 5, 5, 255, 255, 255, 0];
const WIDE: [u8; 16] = [
    17, 23, 32, 36, 40, 46, 50, 58, 60, 5, 255, 255, 255, 255, 0, 0,
];

fn amr(sample: &Sample, name: &'static str, start: usize, lengths: &[u8; 16]) -> Finding {
    let head = sample.head;
    let mut at = start;
    for frame in 0..8 {
        let Some(byte) = head.get(at) else {
            break;
        };
        let len = lengths[usize::from(byte >> 3 & 0xF)];
        if byte & 0x83 != 0 || len == 255 {
            return Finding::broken(name, "what follows is no frame of speech").at(at as u64);
        }
        at += 1 + usize::from(len);
        if frame == 0 && !ends(at as u64, sample) {
            return Finding::broken(name, "the first frame is cut").at(start as u64);
        }
    }
    if at == start {
        return Finding::broken(name, "no frame follows the mark").at(start as u64);
    }
    Finding::of(name, Structure).flagged(Flag::Truncated, !ends(at as u64, sample))
}

/// The header object of Microsoft's Advanced Systems Format.
const ASF: &[u8] = b"\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9\x00\xAA\x00\x62\xCE\x6C";
/// How a stream's properties call pictures and sound, behind the four bytes that differ.
const ASF_STREAM: &[u8] = b"\x4D\x5B\xCF\x11\xA8\xFD\x00\x80\x5F\x5C\x44\x2B";

/// What streams the header describes: Windows calls a file with pictures .wmv, one with
/// sound alone .wma.
fn asf(sample: &Sample) -> Finding {
    const NAME: &str = "video/x-ms-asf";
    let head = sample.head;
    let Some(len) = le64(head, 16).filter(|len| *len >= 30 && ends(*len, sample)) else {
        return Finding::broken(NAME, "the header is longer than the file").at(16);
    };
    let header = &head[..head.len().min(usize::try_from(len).unwrap_or(usize::MAX))];
    let has = |first: &[u8]| {
        memchr::memmem::find_iter(header, ASF_STREAM)
            .filter_map(|at| header.get(at.checked_sub(4)?..at))
            .any(|start| start == first)
    };
    let name = if has(b"\xC0\xEF\x19\xBC") {
        "video/x-ms-wmv"
    } else if has(b"\x40\x9E\x69\xF8") {
        "audio/x-ms-wma"
    } else {
        NAME
    };
    Finding::of(name, Structure)
}

/// RFC 1952: the header, and the beginning of the stream behind it.
pub fn gzip(sample: &Sample) -> Finding {
    let head = sample.head;
    let broken = |why, at| Finding::broken("application/gzip", why).at(at as u64);
    let Some([8, flags]) = take(head, 2).filter(|[_, flags]| flags & 0xE0 == 0) else {
        return broken("the header is none of gzip's", 2);
    };
    let mut at = 10;
    if flags & 4 != 0 {
        at += 2 + usize::from(le16(head, at).unwrap_or(0));
    }
    for bit in [8, 16] {
        if flags & bit != 0 {
            let rest = head.get(at..).unwrap_or_default();
            at += rest
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(rest.len())
                + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    let rest = match head.get(at..) {
        None | Some([]) if sample.is_whole() => return broken("the header is cut", at),
        None => return Finding::of("application/gzip", Signature),
        Some(rest) => rest,
    };
    // All of a large stream would take too long; what is small is unpacked to its end.
    let most = if sample.is_whole() && rest.len() < 4096 {
        usize::MAX
    } else {
        32 * 1024
    };
    match inflated_len(rest, most) {
        None => broken("what follows the header is not packed", at),
        Some((_, None)) if sample.is_whole() && most == usize::MAX => {
            broken("the packed data does not end", head.len())
        }
        Some((len, None)) if sample.is_whole() && len < most => {
            broken("the packed data does not end", head.len())
        }
        Some((len, Some(used))) if sample.is_whole() => {
            let stated = le32(rest, used + 4);
            if stated.map(u64::from) == Some(len as u64 & 0xFFFF_FFFF) {
                Finding::of("application/gzip", Structure)
            } else {
                broken(
                    "the length behind the packed data is not its own",
                    at + used,
                )
            }
        }
        Some(_) => Finding::of("application/gzip", Structure),
    }
}
