//! Reading numbers out of bytes that may end anywhere.

use memchr::memchr2_iter;

use super::Piece;

/// What was read of an object, and how much there is of it.
pub struct Sample<'a> {
    /// Its first bytes.
    pub head: &'a [u8],
    /// What else was read; it may overlap the head.
    pub more: &'a [Piece<'a>],
    /// Its size in bytes, never less than what was read.
    pub size: u64,
}

impl<'a> Sample<'a> {
    /// Whether the head is all there is.
    pub fn is_whole(&self) -> bool {
        self.head.len() as u64 >= self.size
    }

    /// The last bytes that were read and the offset they begin at; none when the end was
    /// not read.
    pub fn end(&self) -> (&'a [u8], u64) {
        if self.is_whole() {
            return (self.head, 0);
        }
        self.more
            .iter()
            .find(|piece| piece.offset.saturating_add(piece.bytes.len() as u64) >= self.size)
            .map_or((&[], self.size), |piece| (piece.bytes, piece.offset))
    }

    /// Everything that was read, each with the offset it begins at.
    pub fn pieces(&self) -> impl Iterator<Item = (&'a [u8], u64)> {
        let more = self.more.iter().map(|piece| (piece.bytes, piece.offset));
        std::iter::once((self.head, 0)).chain(more)
    }

    /// `len` bytes at an offset of the object, from whichever piece holds them.
    pub fn at(&self, offset: u64, len: usize) -> Option<&'a [u8]> {
        self.from(offset)
            .and_then(|rest| rest.get(..len))
            .or_else(|| {
                self.pieces()
                    .filter_map(|(bytes, start)| since(bytes, start, offset))
                    .find_map(|rest| rest.get(..len))
            })
    }

    /// What was read from an offset on, in one piece; never empty.
    pub fn from(&self, offset: u64) -> Option<&'a [u8]> {
        self.pieces()
            .filter_map(|(bytes, start)| since(bytes, start, offset))
            .find(|rest| !rest.is_empty())
    }
}

fn since(bytes: &[u8], start: u64, offset: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(offset.checked_sub(start)?).ok()?..)
}

/// Numbers of either byte order, as TIFF and RIFF's elder brothers state it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Lowest byte first.
    Little,
    /// Highest byte first.
    Big,
}

impl Order {
    pub fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        match self {
            Self::Little => le16(bytes, at),
            Self::Big => be16(bytes, at),
        }
    }

    pub fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        match self {
            Self::Little => le32(bytes, at),
            Self::Big => be32(bytes, at),
        }
    }

    pub fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        match self {
            Self::Little => le64(bytes, at),
            Self::Big => be64(bytes, at),
        }
    }
}

/// `N` bytes at an index.
pub fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// A big-endian number.
pub fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    take(bytes, at).map(u16::from_be_bytes)
}

/// A big-endian number.
pub fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    take(bytes, at).map(u32::from_be_bytes)
}

/// A big-endian number.
pub fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    take(bytes, at).map(u64::from_be_bytes)
}

/// A little-endian number.
pub fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    take(bytes, at).map(u16::from_le_bytes)
}

/// A little-endian number.
pub fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    take(bytes, at).map(u32::from_le_bytes)
}

/// A little-endian number.
pub fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    take(bytes, at).map(u64::from_le_bytes)
}

/// Whether bytes begin with a mark, ASCII letters in any case.
pub fn starts(bytes: &[u8], mark: &[u8]) -> bool {
    bytes
        .get(..mark.len())
        .is_some_and(|found| found.eq_ignore_ascii_case(mark))
}

/// Where `needle` occurs first in `bytes`, ASCII letters in any case.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    memchr2_iter(
        first.to_ascii_lowercase(),
        first.to_ascii_uppercase(),
        bytes,
    )
    .find(|at| starts(&bytes[*at..], needle))
}

/// Whether `needle` occurs in `bytes`, ASCII letters in any case.
pub fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    find(bytes, needle).is_some()
}

/// Whether a byte is printable ASCII or a blank of text.
pub fn is_text_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7E)
}

/// The CRC-32 of PNG and 7z.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// How the beginning of a deflate stream unpacks: at most `max` bytes of it, and whether it
/// ended. `None` when it is no deflate stream. `zlib`: with a header before it.
pub fn inflate(bytes: &[u8], max: usize, zlib: bool) -> Option<(Vec<u8>, bool)> {
    use miniz_oxide::inflate::TINFLStatus;
    use miniz_oxide::inflate::core::inflate_flags::{
        TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_PARSE_ZLIB_HEADER,
        TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
    };
    use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
    let header = if zlib {
        TINFL_FLAG_PARSE_ZLIB_HEADER
    } else {
        0
    };
    let flags = header | TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = Box::<DecompressorOxide>::default();
    let mut out = vec![0; max];
    let (status, _, len) = decompress(&mut state, bytes, &mut out, 0, flags);
    out.truncate(len);
    match status {
        TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => Some((out, false)),
        // The checksum is of no interest: some writers leave it out.
        TINFLStatus::Done | TINFLStatus::Adler32Mismatch => Some((out, true)),
        _ => None,
    }
}

/// How far a deflate stream unpacks, up to about `most` bytes, and how many bytes it took when
/// it came to its end. `None` when it is no deflate stream.
pub fn inflated_len(bytes: &[u8], most: usize) -> Option<(usize, Option<usize>)> {
    use miniz_oxide::inflate::TINFLStatus;
    use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
    use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
    let mut state = Box::<DecompressorOxide>::default();
    // What was unpacked is of no interest, so its window is written over and over.
    let mut window = vec![0; 32 * 1024];
    let (mut read, mut len) = (0, 0_usize);
    while len < most {
        let at = len % window.len();
        let rest = bytes.get(read..).unwrap_or_default();
        let (status, used, out) =
            decompress(&mut state, rest, &mut window, at, TINFL_FLAG_HAS_MORE_INPUT);
        read += used;
        len += out;
        match status {
            TINFLStatus::Done => return Some((len, Some(read))),
            TINFLStatus::HasMoreOutput => {}
            TINFLStatus::NeedsMoreInput => break,
            _ => return None,
        }
    }
    Some((len, None))
}
