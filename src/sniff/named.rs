//! Everything else that has a signature: archives, programs and data by a table, a few with
//! checks of their own, and what the `infer` crate knows beside them.

use super::blocks;
use super::bytes::{Order, Sample, crc32, is_text_byte, le16, le32, le64};
use crate::domain::media;
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::{Finding, Flag};

/// Signatures long enough, or of bytes odd enough, that no text begins with them.
const TABLE: [(&[u8], &str); 51] = [
    (b"\x04\x22\x4D\x18", "application/x-lz4"),
    (b"LZIP\x01", "application/x-lzip"),
    (b"\x1F\x9D", "application/x-compress"),
    (b"\x60\xEA", "application/x-arj"),
    (b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
    (b"xar!\0", "application/x-xar"),
    (b"\xC7\x71", "application/x-cpio"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"\xFE\xED\xFA\xCE", "application/x-mach-binary"),
    (b"\xFE\xED\xFA\xCF", "application/x-mach-binary"),
    (b"\xCE\xFA\xED\xFE", "application/x-mach-binary"),
    (b"\xCF\xFA\xED\xFE", "application/x-mach-binary"),
    (b"dex\n0", "application/vnd.android.dex"),
    (b"BC\xC0\xDE", "application/x-llvm-bitcode"),
    (b"\xED\xAB\xEE\xDB", "application/x-rpm"),
    (b"Cr24", "application/x-google-chrome-extension"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"Obj\x01", "application/vnd.apache.avro"),
    (b"ARROW1\0\0", "application/vnd.apache.arrow.file"),
    (b"\x89HDF\r\n\x1A\n", "application/x-hdf5"),
    (b"\xD4\xC3\xB2\xA1", "application/vnd.tcpdump.pcap"),
    (b"\xA1\xB2\xC3\xD4", "application/vnd.tcpdump.pcap"),
    (b"\0\x01\0\0Standard Jet DB", "application/x-msaccess"),
    (b"\0\x01\0\0Standard ACE DB", "application/x-msaccess"),
    (b"ITSF\x03\0\0\0", "application/vnd.ms-htmlhelp"),
    (b"L\0\0\0\x01\x14\x02\0", "application/x-ms-shortcut"),
    (b"bplist0", "application/x-bplist"),
    (b"glTF\x01\0\0\0", "model/gltf-binary"),
    (b"glTF\x02\0\0\0", "model/gltf-binary"),
    (b"\xFF\x0A", "image/jxl"),
    (b"\xFF\x4F\xFF\x51\0", "image/j2c"),
    (b"\x76\x2F\x31\x01", "image/x-exr"),
    (b"gimp xcf ", "image/x-xcf"),
    (b"DDS \x7C\0\0\0", "image/vnd.ms-dds"),
    (b"qoif\0", "image/qoi"),
    (b"\xD7\xCD\xC6\x9A", "image/wmf"),
    (b"FUJIFILMCCD-RAW", "image/x-fuji-raf"),
    (b"AT&TFORM", "image/vnd.djvu"),
    (b"\xC5\xD0\xD3\xC6", "application/postscript"),
    (b".RMF\0\0", "application/vnd.rn-realmedia"),
    (b".snd\0", "audio/basic"),
    (b"\x0B\x77", "audio/ac3"),
    (b"MAC ", "audio/x-ape"),
    (b"MPCK", "audio/x-musepack"),
    (b"MP+", "audio/x-musepack"),
    (b"wvpk", "audio/x-wavpack"),
    (b"TTA1", "audio/x-tta"),
    (b"caff\0\x01", "audio/x-caf"),
    (b"DSD \x1C\0\0\0", "audio/x-dsf"),
    (b"Extended Module: ", "audio/x-mod"),
    (b"d8:announce", "application/x-bittorrent"),
];

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    match head {
        [0x1F, 0x8B, ..] => return Some(blocks::gzip(sample)),
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => return Some(xz(sample)),
        [b'7', b'z', 0xBC, 0xAF, 0x27, 0x1C, ..] => return Some(seven_zip(sample)),
        [b'R', b'a', b'r', b'!', 0x1A, 7, ..] => return Some(rar(head)),
        [b'F' | b'C' | b'Z', b'W', b'S', 1..=60, ..] => {
            return Some(Finding::of("application/x-shockwave-flash", Signature));
        }
        [0x7F, b'E', b'L', b'F', ..] => return Some(elf(sample)),
        [b'M', b'Z', ..] => return Some(program(sample)),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', b'\n', rest @ ..] => {
            let media_type = if rest.starts_with(b"debian-binary") {
                "application/vnd.debian.binary-package"
            } else {
                "application/x-archive"
            };
            return Some(Finding::of(media_type, Signature));
        }
        [b'P', b'1'..=b'7', byte, ..] if byte.is_ascii_whitespace() => {
            return Some(Finding::of("image/x-portable-anymap", Signature));
        }
        [_, _, b'-', b'l', b'h' | b'z', _, b'-', ..] => {
            return Some(Finding::of("application/x-lzh-compressed", Signature));
        }
        _ => {}
    }
    let at = |offset: usize, mark: &[u8]| {
        head.get(offset..)
            .is_some_and(|rest| rest.starts_with(mark))
    };
    let placed = if at(128, b"DICM") {
        Some("application/dicom")
    } else if at(32_769, b"CD001") {
        Some("application/x-iso9660-image")
    } else if at(60, b"BOOKMOBI") {
        Some("application/x-mobipocket-ebook")
    } else if at(34, b"LP")
        && le32(head, 8).is_some_and(|version| version & 0xFFFC_FFFF == 0 && version > 0)
    {
        Some("application/vnd.ms-fontobject")
    } else if at(40, b" EMF") {
        Some("image/emf")
    } else if is_transport(head) {
        Some("video/mp2t")
    } else {
        None
    };
    let named = || {
        TABLE
            .iter()
            .find(|(mark, _)| head.starts_with(mark))
            .map(|(_, name)| *name)
    };
    placed
        .or_else(named)
        .map(|name| Finding::of(name, Signature))
        .or_else(|| tar(sample))
        .or_else(|| inferred(head))
}

/// The .xz file format, 1.2: the CRCs of the stream's and the first block's header, and the
/// mark at the end.
fn xz(sample: &Sample) -> Finding {
    let head = sample.head;
    let broken = |why, at| Finding::broken("application/x-xz", why).at(at);
    if head.get(6..8).map(crc32) != le32(head, 8) {
        return broken("the header's CRC does not match", 8);
    }
    // A length of zero is the index of a stream that holds nothing.
    let len = 4 * (usize::from(head.get(12).copied().unwrap_or(0)) + 1);
    let sum = head.get(8 + len..).and_then(|rest| le32(rest, 0));
    if len > 4 && sum.is_some() && head.get(12..8 + len).map(crc32) != sum {
        return broken("the first block's CRC does not match", 12);
    }
    let end = head
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    if sample.is_whole() && !head[..end].ends_with(b"YZ") {
        return broken("the end is not where the file ends", end as u64);
    }
    Finding::of("application/x-xz", Structure)
}

/// The start header: its CRC covers where the directory is.
fn seven_zip(sample: &Sample) -> Finding {
    let head = sample.head;
    if head.get(12..32).map(crc32) != le32(head, 8) {
        let why = "the start header's CRC does not match";
        return Finding::broken("application/x-7z-compressed", why).at(8);
    }
    let end = le64(head, 12).and_then(|at| at.checked_add(le64(head, 20)?)?.checked_add(32));
    if end.is_none_or(|end| end > sample.size) {
        let why = "the directory lies behind the end";
        return Finding::broken("application/x-7z-compressed", why).at(12);
    }
    Finding::of("application/x-7z-compressed", Structure)
}

/// The first block of version 4 or 5.
fn rar(head: &[u8]) -> Finding {
    let sound = match head.get(6..) {
        // Its type is the archive's, or a note of an earlier writer.
        Some([0, _, _, kind, ..]) => matches!(kind, 0x72..=0x7B),
        Some([1, 0, rest @ ..]) => {
            // A number of seven bits a byte, then as many bytes; the CRC is of both.
            let len = match rest.get(4..7) {
                Some([len @ 1..0x80, ..]) => Some(1 + usize::from(*len)),
                Some([low, high @ ..0x80, _]) => {
                    Some(2 + usize::from(low & 0x7F) + usize::from(*high) * 128)
                }
                _ => None,
            };
            let header = len.and_then(|len| rest.get(4..4 + len));
            header.is_some_and(|header| le32(rest, 0) == Some(crc32(header)))
        }
        _ => false,
    };
    if sound {
        Finding::of("application/vnd.rar", Structure).flagged(
            Flag::Encrypted,
            head.get(6) == Some(&1) && head.get(13) == Some(&4)
                || head.get(6) == Some(&0) && head.get(10).is_some_and(|flags| flags & 0x80 != 0),
        )
    } else {
        Finding::broken("application/vnd.rar", "the first block is none of RAR's").at(6)
    }
}

/// The System V ABI: where the tables of segments and sections lie.
fn elf(sample: &Sample) -> Finding {
    const NAME: &str = "application/x-executable";
    let head = sample.head;
    let order = match head.get(5) {
        Some(1) => Order::Little,
        _ => Order::Big,
    };
    if !matches!(head.get(4..7), Some([1 | 2, 1 | 2, 1])) || head.len() < 52 {
        return Finding::broken(NAME, "the header is none of ELF's").at(4);
    }
    let wide = head[4] == 2;
    let table = |start: usize, sizes: usize| {
        let at = if wide {
            order.u64(head, start)?
        } else {
            u64::from(order.u32(head, start)?)
        };
        let len = u64::from(order.u16(head, sizes)?) * u64::from(order.u16(head, sizes + 2)?);
        at.checked_add(len)
    };
    let tables = if wide {
        [table(32, 54), table(40, 58)]
    } else {
        [table(28, 42), table(32, 46)]
    };
    let cut = tables
        .iter()
        .any(|end| end.is_none_or(|end| end > sample.size));
    Finding::of(NAME, Structure).flagged(Flag::Truncated, cut)
}

/// DOS and Windows programs: the new header, where the old one points to it.
fn program(sample: &Sample) -> Finding {
    const NAME: &str = "application/vnd.microsoft.portable-executable";
    let head = sample.head;
    let Some(new) = le32(head, 60).map(u64::from) else {
        return Finding::broken(NAME, "the header is cut").at(head.len() as u64);
    };
    match sample.at(new, 4) {
        Some([b'P', b'E', 0, 0] | [b'N' | b'L', b'E' | b'X', ..]) => {
            Finding::of(NAME, Structure).at(new)
        }
        // A plain DOS program: so many pages of 512 bytes, and a header of so many of 16.
        _ if le16(head, 2) < Some(512)
            && le16(head, 4)
                .is_some_and(|pages| pages > 0 && u64::from(pages - 1) * 512 <= sample.size)
            && le16(head, 8).is_some_and(|len| len >= 2 && u64::from(len) * 16 <= sample.size)
            && le16(head, 24) < Some(0x200) =>
        {
            Finding::of(NAME, Signature)
        }
        None if new > 64 && new < sample.size => Finding::of(NAME, Signature),
        _ => Finding::broken(NAME, "no program follows the header").at(60),
    }
}

/// Packets of 188 bytes (ISO/IEC 13818-1), also with the time stamps of cameras.
fn is_transport(head: &[u8]) -> bool {
    [(0, 188), (4, 192)].into_iter().any(|(start, step)| {
        head.len() > start + 3 * step
            && (0..4).all(|packet| head.get(start + packet * step) == Some(&0x47))
    })
}

/// POSIX.1 `ustar` and its forerunners: the checksum of the first header, and what stands
/// where the second is to.
fn tar(sample: &Sample) -> Option<Finding> {
    let header = sample.head.get(..512)?;
    if header[0] == 0 || !is_tar_header(header) {
        return None;
    }
    let len = octal(&header[124..136])
        .and_then(|len| u64::try_from(len).ok())
        .unwrap_or(0);
    let next = len.div_ceil(512).saturating_add(1).saturating_mul(512);
    let second = sample.from(next).map(|rest| &rest[..rest.len().min(512)]);
    let links = matches!(header[156], b'0' | 0);
    let is_text = |block: &[u8]| block.iter().take(32).all(|byte| is_text_byte(*byte));
    Some(match second {
        Some(block) if links && is_text(block) && !(block.len() == 512 && is_tar_header(block)) => {
            let why = "what follows the first member is none";
            Finding::broken("application/x-tar", why).at(next)
        }
        _ => Finding::of("application/x-tar", Structure),
    })
}

/// A number in octal digits, as headers of tar have them.
fn octal(field: &[u8]) -> Option<i64> {
    let digits = field
        .trim_ascii()
        .split(|byte| matches!(byte, 0 | b' '))
        .next()?;
    i64::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

fn is_tar_header(header: &[u8]) -> bool {
    let Some(stated) = octal(&header[148..156]) else {
        return false;
    };
    let blank = |at| (148..156).contains(&at);
    let sum = |signed: bool| -> i64 {
        let value = |(at, byte): (usize, &u8)| match signed {
            _ if blank(at) => 32,
            true => i64::from(byte.cast_signed()),
            false => i64::from(*byte),
        };
        header.iter().enumerate().map(value).sum()
    };
    // Some old writers added signed bytes.
    sum(false) == stated || sum(true) == stated
}

/// What `infer` names beside all this, where its signature is long enough. It is never
/// asked about formats that have a file of their own here: it takes `GIF89a<script>` for an
/// image and any `%PDF` in the first kilobyte for a PDF.
fn inferred(head: &[u8]) -> Option<Finding> {
    let name = infer::get(head)?.mime_type();
    let trusted = matches!(
        name,
        "application/vnd.ms-cab-compressed"
            | "application/x-rpm"
            | "application/x-mobipocket-ebook"
    );
    let name = media::known_type(name).filter(|_| trusted)?;
    Some(Finding::of(name, Signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_names_a_known_type_and_is_listed_once() {
        for (index, (mark, name)) in TABLE.iter().enumerate() {
            assert_eq!(media::known_type(name), Some(*name), "{mark:?}");
            let shadowed = TABLE[..index]
                .iter()
                .any(|(other, _)| mark.starts_with(other));
            assert!(!shadowed, "{mark:?} is never reached");
        }
    }
}
