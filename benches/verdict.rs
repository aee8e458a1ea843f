//! What a verdict costs, beside what `infer` alone costs on the same bytes.
//!
//! `cargo bench --bench verdict` makes files as large as the judge reads them (64 KiB of
//! head, and the end where it asks for that) and times the detector and the verdict on one
//! core. Figures are printed, not asserted.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and may fall over"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use putgate::domain::media::{self, Accept};
use putgate::domain::slot::Policy;
use putgate::domain::verdict::{Declared, Facts, Verdict, judge};
use putgate::sniff::{HEAD_BYTES, Piece, next_read, sniff};

#[path = "../tests/seeds/mod.rs"]
mod seeds;

/// Bytes as compressed data has them: of every value, and the same in every run.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(len)
    .collect()
}

/// A photo of three megabytes: an honest header, and scan data up to the end mark.
fn photo() -> Vec<u8> {
    let mut bytes = seeds::jpeg(4000, 3000);
    bytes.truncate(bytes.len() - 6);
    // In a scan, FF is followed by zero.
    let data = noise(3_000_000).into_iter().map(|byte| byte.min(0xFE));
    bytes.extend(data);
    bytes.extend(b"\xFF\xD9");
    bytes
}

/// An Office file with pictures in it.
fn document() -> Vec<u8> {
    let types = b"<Types><Override PartName='/word/document.xml' ContentType='application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml'/></Types>";
    let picture = noise(40_000);
    let names: Vec<String> = (0..60)
        .map(|at| format!("word/media/image{at}.png"))
        .collect();
    let mut members: Vec<(&str, &[u8])> = vec![
        ("[Content_Types].xml", types),
        ("_rels/.rels", b"<x/>"),
        ("word/document.xml", b"<x/>"),
    ];
    members.extend(names.iter().map(|name| (name.as_str(), &picture[..])));
    seeds::zip(&members)
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(noise(200_000));
    bytes
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let text = "name;town;n\nM\u{fc}ller;Bonn;3\n"
        .repeat(4000)
        .into_bytes();
    vec![
        ("JPEG, 3 MB", photo()),
        ("JPEG, small", seeds::jpeg(40, 30)),
        ("PNG, small", seeds::png(40, 30)),
        ("GIF, small", seeds::gif()),
        ("WebP, 200 kB", padded(seeds::webp_lossy())),
        (
            "HEIC, 200 kB",
            padded(seeds::bmff(
                *b"heic",
                b"mif1heic",
                &[
                    seeds::still(40, 30),
                    seeds::boxed(*b"mdat", &noise(200_000)),
                ]
                .concat(),
            )),
        ),
        ("docx, 2.4 MB", document()),
        ("docx, small", seeds::office("word/document.xml")),
        (
            "mp4, 200 kB",
            padded(seeds::bmff(
                *b"isom",
                b"isomavc1",
                &[
                    seeds::film(*b"vide"),
                    seeds::boxed(*b"mdat", &noise(200_000)),
                ]
                .concat(),
            )),
        ),
        (
            "PDF, 200 kB",
            [
                &b"%PDF-1.7\n1 0 obj\n"[..],
                &noise(200_000),
                b"\nendobj\n%%EOF\n",
            ]
            .concat(),
        ),
        ("CSV, 110 kB", text),
    ]
}

fn main() {
    println!(
        "{:<14} {:>9} {:>12} {:>12}  verdict",
        "file", "bytes", "verdict µs", "infer µs"
    );
    let policy = Policy {
        accept: Accept::parse(["image/*", ".docx", ".mp4", ".pdf", ".csv"]).unwrap(),
        ..Policy::default()
    };
    for (label, bytes) in files() {
        let size = bytes.len() as u64;
        let head = &bytes[..bytes.len().min(usize::try_from(HEAD_BYTES).unwrap())];
        let mut more: Vec<Piece> = Vec::new();
        while let Some(range) = next_read(head, &more, size) {
            let at = |offset| usize::try_from(offset).unwrap();
            more.push(Piece {
                offset: range.start,
                bytes: &bytes[at(range.start)..at(range.end)],
            });
        }
        let declared = Declared {
            name: "a",
            size,
            media_type: None,
            sha256: None,
        };
        let facts = Facts { size, sha256: None };
        // All that a verdict takes: what to read, what it is, and what the policy says.
        let verdict = || {
            black_box(next_read(black_box(head), &more, size));
            judge(
                &policy,
                &declared,
                &facts,
                &sniff(black_box(head), &more, size),
            )
        };
        let word = match verdict() {
            Verdict::Accept(accepted) => accepted.media_type,
            Verdict::Reject(rejection) => rejection.detail,
        };
        let read = head.len() + more.iter().map(|piece| piece.bytes.len()).sum::<usize>();
        let infer = || infer::get(black_box(head));
        println!(
            "{label:<14} {read:>9} {:>12.2} {:>12.2}  {word}",
            micros(verdict),
            micros(infer),
        );
    }
}

/// Microseconds of one call: the best of ten rounds, so that neighbours count least.
fn micros<T>(call: impl Fn() -> T) -> f64 {
    let round = || {
        let begun = Instant::now();
        let mut calls = 0_u32;
        while begun.elapsed() < Duration::from_millis(20) {
            for _ in 0..16 {
                black_box(call());
            }
            calls += 16;
        }
        begun.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
    };
    (0..10).map(|_| round()).fold(f64::MAX, f64::min)
}
