//! A million lies about honest files: whatever bytes arrive, the detector answers, soon, and
//! within a megabyte.
//!
//! `PUTGATE_MUTATIONS` says how many; the default is few enough for every run. The seed is
//! fixed, so a failure repeats; `PUTGATE_SEED` takes another. Time is counted in reads of the
//! clock that nothing depends on but a generous bound for all cases together.

#![expect(
    unsafe_code,
    reason = "an allocator that counts is the only way to see what is allocated, and only here"
)]
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test says what it found, and may fall over"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "how many cases to run is the caller's choice"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use putgate::domain::media::{self, Accept};
use putgate::domain::slot::Policy;
use putgate::domain::verdict::{Declared, Facts, judge};
use putgate::sniff::{HEAD_BYTES, MORE_BYTES, Piece, next_read, sniff};

mod seeds;

/// The most that one verdict may hold at a time, in bytes.
const MOST: usize = 1024 * 1024;

struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn grow(len: usize) {
    // Threads that end have no counter any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get().wrapping_add(len));
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

fn shrink(len: usize) {
    let _ = HELD.try_with(|held| held.set(held.get().wrapping_sub(len)));
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory
// that is handed out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        grow(len);
        shrink(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, len) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// xorshift64*: enough to pick places, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap()
    }
}

/// Numbers that lengths and offsets are when they lie.
const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    7,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x1_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    u64::MAX,
];

fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], dice: &mut Dice) {
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len().max(1));
        match dice.below(8) {
            0 if !bytes.is_empty() => bytes[at] = dice.roll().to_le_bytes()[0],
            1 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            2 | 3 => {
                let number = NUMBERS[dice.below(NUMBERS.len())];
                let width = [1, 2, 4, 8][dice.below(4)];
                let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
                let written = if dice.below(2) == 0 {
                    &little[..width]
                } else {
                    &big[8 - width..]
                };
                for (place, byte) in bytes.iter_mut().skip(at).zip(written) {
                    *place = *byte;
                }
            }
            4 => bytes.truncate(at),
            5 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            6 => {
                let len = dice.below(40).min(bytes.len().saturating_sub(at));
                let copy = bytes[at.min(bytes.len())..at.min(bytes.len()) + len].to_vec();
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), copy);
            }
            _ => {
                let fill = dice.roll().to_le_bytes()[0];
                let len = [1, 300, 70_000, 140_000][dice.below(12).min(3)];
                // Long ones are rare: they cost time, and only move what was there apart.
                let len = if len > 300 && dice.below(50) > 0 {
                    3
                } else {
                    len
                };
                let at = at.min(bytes.len());
                bytes.splice(at..at, std::iter::repeat_n(fill, len));
            }
        }
        bytes.truncate(400_000);
    }
}

/// What the judge does, with the size it is told; answers how much was held at most.
fn verdict(bytes: &[u8], size: u64, policy: &Policy) -> usize {
    let len = |limit: u64| usize::try_from(limit).unwrap();
    let head = &bytes[..bytes.len().min(len(HEAD_BYTES))];
    HELD.with(|held| held.set(0));
    PEAK.with(|peak| peak.set(0));
    let mut more = [Piece {
        offset: 0,
        bytes: &[],
    }; 2];
    let (mut reads, mut read) = (0, 0);
    while let Some(range) = next_read(head, &more[..reads], size) {
        assert!(
            range.start < range.end && range.end <= size,
            "{range:?} of {size}"
        );
        // A size that lies leaves bytes unread.
        let start = usize::try_from(range.start)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let end = usize::try_from(range.end)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        more[reads] = Piece {
            offset: range.start,
            bytes: &bytes[start..end],
        };
        read += end as u64 - start as u64;
        reads += 1;
        assert!(
            reads <= 2 && read <= MORE_BYTES,
            "{reads} reads, {read} bytes"
        );
    }
    let finding = sniff(head, &more[..reads], size);
    assert!(finding.evidence.bytes.len() <= 32);
    let declared = Declared {
        name: "a.png",
        size,
        media_type: None,
        sha256: None,
    };
    judge(policy, &declared, &Facts { size, sha256: None }, &finding);
    PEAK.with(Cell::get)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

#[test]
fn no_bytes_break_the_detector_or_make_it_greedy() {
    let seeds = seeds::all();
    let policy = Policy {
        accept: Accept::parse(["image/*", ".docx", ".mp4", ".txt"]).unwrap(),
        ..Policy::default()
    };
    let seed = number("PUTGATE_SEED", 0x5EED_0006);
    let mut dice = Dice(seed.max(1));
    let mut most = (0, 0);
    for case in 0..number("PUTGATE_MUTATIONS", 20_000) {
        let mut bytes = seeds[dice.below(seeds.len())].clone();
        mutate(&mut bytes, &seeds, &mut dice);
        let real = bytes.len() as u64;
        let size = match dice.below(8) {
            0 => dice.roll(),
            1 => real + dice.roll() % 200_000,
            _ => real,
        };
        let held = verdict(&bytes, size, &policy);
        assert!(
            held <= MOST,
            "case {case} of seed {seed}: {held} bytes held"
        );
        most = most.max((held, case));
    }
    println!("at most {} bytes held, in case {}", most.0, most.1);
}

#[test]
fn every_seed_is_read_without_a_change_too() {
    for bytes in seeds::all() {
        for len in 0..bytes.len().min(600) {
            let held = verdict(&bytes[..len], len as u64, &Policy::default());
            assert!(held <= MOST, "{held} bytes held");
        }
    }
}
