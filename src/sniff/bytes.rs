//! Reading numbers out of bytes that may end anywhere.

/// What was read of an object, and how much there is of it.
pub struct Sample<'a> {
    /// Its first bytes.
    pub head: &'a [u8],
    /// Its last bytes; they may overlap the head, or be missing.
    pub tail: &'a [u8],
    /// Its size in bytes, never less than what was read.
    pub size: u64,
}

impl<'a> Sample<'a> {
    /// Whether the head is all there is.
    pub fn is_whole(&self) -> bool {
        self.head.len() as u64 >= self.size
    }

    /// The last bytes and the offset they begin at: the tail, or a head that is all.
    pub fn end(&self) -> (&'a [u8], u64) {
        if self.is_whole() {
            (self.head, 0)
        } else {
            (self.tail, self.size - self.tail.len() as u64)
        }
    }

    /// `len` bytes at an offset of the object, from whichever end holds them.
    pub fn at(&self, offset: u64, len: usize) -> Option<&'a [u8]> {
        let (end, start) = self.end();
        let within = |bytes: &'a [u8], from: u64| {
            let from = usize::try_from(offset.checked_sub(from)?).ok()?;
            bytes.get(from..from.checked_add(len)?)
        };
        within(self.head, 0).or_else(|| within(end, start))
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

/// Whether `needle` occurs in `bytes`, ASCII letters in any case.
pub fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else {
        return true;
    };
    bytes.iter().enumerate().any(|(at, byte)| {
        byte.eq_ignore_ascii_case(first)
            && bytes
                .get(at..at + needle.len())
                .is_some_and(|found| found.eq_ignore_ascii_case(needle))
    })
}

/// The CRC-32 of PNG and 7z.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
