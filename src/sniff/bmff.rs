//! ISO base media (ISO/IEC 14496-12): MP4, M4A, `QuickTime`, 3GP, HEIC, AVIF; and the
//! JPEG 2000 and JPEG XL files that borrow its boxes. The major brand decides, and what
//! follows has to bear it out; compatible brands count only under brands that name no codec.

use super::bytes::{Sample, be32, be64, contains, take};
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::{Finding, Flag};

/// One box: its type, and where its content begins and ends.
struct Atom {
    kind: [u8; 4],
    start: usize,
    end: u64,
}

/// The box at `at`; it may end behind the object.
fn atom(bytes: &[u8], at: usize, limit: u64) -> Option<Atom> {
    let rest = bytes.get(at..)?;
    let (start, len) = match be32(rest, 0)? {
        0 => (at + 8, limit.checked_sub(at as u64)?),
        1 => (at + 16, be64(rest, 8)?),
        len => (at + 8, u64::from(len)),
    };
    let end = (at as u64).checked_add(len)?;
    (end >= start as u64).then_some(Atom {
        kind: take(rest, 4)?,
        start,
        end,
    })
}

/// The boxes between two offsets, as far as they were read.
fn atoms(bytes: &[u8], from: usize, limit: u64) -> impl Iterator<Item = Atom> {
    let mut at = Some(from);
    std::iter::from_fn(move || {
        let found = atom(bytes, at?, limit)?;
        at = usize::try_from(found.end).ok();
        Some(found)
    })
}

fn inside<'a>(bytes: &'a [u8], of: &Atom) -> impl Iterator<Item = Atom> + use<'a> {
    atoms(bytes, of.start, of.end)
}

/// What was read of a box's content.
fn content<'a>(bytes: &'a [u8], of: &Atom) -> &'a [u8] {
    let end = usize::try_from(of.end)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    bytes.get(of.start..end).unwrap_or_default()
}

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    if head.starts_with(b"\0\0\0\x0C") && head.get(8..12) == Some(b"\r\n\x87\n") {
        return borrowed(sample);
    }
    match head.get(4..8)? {
        b"ftyp" => typed(sample, 0),
        b"moov" | b"mdat" | b"wide" | b"free" | b"skip" | b"pnot" | b"uuid" | b"moof" | b"styp"
        | b"sidx" | b"junk" | b"PICT" | b"udta" => untyped(sample),
        _ => None,
    }
}

/// JPEG 2000 and JPEG XL: a signature box, then the brand.
fn borrowed(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    match (head.get(4..8)?, head.get(16..24)) {
        (b"jP  " | b"jP\x1A\x1A", Some([b'f', b't', b'y', b'p', brand @ ..])) => {
            let media_type = match brand {
                b"jpx " => "image/jpx",
                b"mjp2" => "video/mj2",
                _ => "image/jp2",
            };
            Some(held_in_boxes(
                sample,
                media_type,
                &[b"jp2c", b"mdat", b"jpch"],
            ))
        }
        (b"JXL ", Some(b"ftypjxl ")) => {
            Some(held_in_boxes(sample, "image/jxl", &[b"jxlc", b"jxlp"]))
        }
        _ => Some(Finding::broken("image/jp2", "no brand follows the signature").at(12)),
    }
}

/// What stands behind the brand: boxes with the picture in one of them.
fn held_in_boxes(sample: &Sample, media_type: &'static str, picture: &[&[u8; 4]]) -> Finding {
    let head = sample.head;
    let mut end = 12_u64;
    let (mut found, mut picture_in) = (0, false);
    for one in atoms(head, 12, sample.size).take(256) {
        if !is_box(&one) {
            return Finding::broken(media_type, "what follows a box is none").at(end);
        }
        end = one.end;
        found += 1;
        picture_in |= picture.iter().any(|kind| one.kind == **kind);
    }
    if found < 2 || (!picture_in && end + 8 > sample.size) {
        return Finding::broken(media_type, "there is no picture in its boxes")
            .at(end.min(sample.size));
    }
    let rest = end < sample.size && sample.is_whole() && end + 8 > sample.size;
    Finding::of(media_type, Structure).flagged(Flag::Truncated, end > sample.size || rest)
}

/// `QuickTime` from before brands begins with any of its boxes; a fragment of a stream with
/// its own; and some writers put a gap before the brands.
fn untyped(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    let boxes: Vec<Atom> = atoms(head, 0, sample.size).take(16).collect();
    let (first, rest) = boxes.split_first()?;
    // The first four bytes are a length, and no letters of a text.
    let letters = head[..4].iter().all(|byte| (0x20..0x7F).contains(byte));
    if (letters && first.end > sample.size) || !rest.iter().take(1).all(is_box) {
        return None;
    }
    if let Some(brands) = rest.iter().find(|found| &found.kind == b"ftyp") {
        return typed(sample, brands.start - 8);
    }
    let is_fragment = matches!(&first.kind, b"moof" | b"styp" | b"sidx");
    let media_type = if is_fragment {
        "video/mp4"
    } else {
        "video/quicktime"
    };
    let known = [&b"moov"[..], b"mdat", b"moof", b"pnot", b"wide"];
    let sure = boxes.iter().any(|found| known.contains(&&found.kind[..]));
    sure.then(|| {
        let last = boxes.last().map_or(0, |last| last.end);
        let index = [&b"moov"[..], b"moof", b"pnot"];
        let indexed = boxes.iter().any(|found| index.contains(&&found.kind[..]));
        if last + 8 > sample.size && last <= sample.size && !indexed {
            return Finding::broken(media_type, "there is no film in its boxes").at(4);
        }
        Finding::of(media_type, Signature)
            .flagged(Flag::Truncated, last > sample.size)
            .flagged(Flag::NoVideoSeen, !shows_video(sample))
    })
}

/// Whether a box may stand at the top: a known one of any length, or a printable one.
fn is_box(found: &Atom) -> bool {
    matches!(
        &found.kind,
        b"moov"
            | b"mdat"
            | b"free"
            | b"skip"
            | b"wide"
            | b"uuid"
            | b"meta"
            | b"moof"
            | b"sidx"
            | b"styp"
            | b"pdin"
            | b"mfra"
            | b"pnot"
            | b"PICT"
            | b"udta"
            | b"emsg"
            | b"ssix"
            | b"prft"
            | b"iods"
            | b"junk"
            | b"beam"
            | b"idat"
            | b"grpl"
            | b"ftyp"
            | b"bloc"
            | b"ainf"
            | b"stsz"
    ) || (found.end < 1 << 40
        && found
            .kind
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | 0xA9 | b'_' | b'-')))
}

/// What a major brand says: the type, or that its compatible brands have to.
fn by_major(major: [u8; 4]) -> Option<&'static str> {
    Some(match &major {
        b"avif" | b"avis" => "image/avif",
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => {
            "image/heic"
        }
        b"crx " => "image/x-canon-cr3",
        b"jxl " => "image/jxl",
        b"qt  " => "video/quicktime",
        b"M4A " | b"M4B " | b"M4P " | b"F4A " | b"F4B " => "audio/mp4",
        b"M4V " | b"M4VH" | b"M4VP" => "video/x-m4v",
        [b'3', b'g', b'2', _] => "video/3gpp2",
        [
            b'3',
            b'g',
            b'p' | b'e' | b'g' | b'h' | b'r' | b's' | b't',
            _,
        ] => "video/3gpp",
        b"mp41"
        | b"mp42"
        | b"avc1"
        | b"dash"
        | b"MSNV"
        | b"mmp4"
        | b"f4v "
        | b"F4V "
        | b"cmfc"
        | b"XAVC"
        | b"msdh"
        | b"hvc1"
        | b"av01"
        | b"iso\0"
        | [b'i', b's', b'o', _]
        | [b'N', b'D', ..] => "video/mp4",
        _ => return None,
    })
}

/// What follows the brands, as far as the head shows it.
#[expect(clippy::struct_excessive_bools, reason = "four things seen or not")]
struct Shown {
    /// A `meta` box at the top, as pictures have.
    picture: bool,
    /// A `moov` or `moof`, as films have.
    film: bool,
    /// The brands tell of a sequence of pictures, which is a film of a kind.
    sequence: bool,
    /// The whole file was walked.
    all: bool,
    /// A box goes beyond the file.
    truncated: bool,
}

fn typed(sample: &Sample, at: usize) -> Option<Finding> {
    let head = sample.head;
    let len = be32(head, at).filter(|len| (8..=4096).contains(len))? as usize;
    let major: [u8; 4] = take(head, at + 8)?;
    if !major
        .iter()
        .all(|byte| matches!(byte, 0 | 0x20..=0x7E | 0xA9))
    {
        return None;
    }
    let next = at + len;
    let brands = head.get(at + 16..next.min(head.len())).unwrap_or_default();
    let compatible = |wanted: &[&[u8; 4]]| {
        let listed = |brand: &[u8]| wanted.iter().any(|wanted| *wanted == brand);
        brands.chunks_exact(4).any(listed)
    };
    let boxes: Vec<Atom> = atoms(head, next, sample.size).take(64).collect();
    let has = |kind: &[u8; 4]| boxes.iter().any(|found| &found.kind == kind);
    let last = boxes.last().map_or(next as u64, |last| last.end);
    let shown = Shown {
        picture: boxes
            .iter()
            .any(|found| &found.kind == b"meta" && contains(content(head, found), b"pict")),
        film: has(b"moov") || has(b"moof"),
        sequence: [&major[..]]
            .into_iter()
            .chain(brands.chunks_exact(4))
            .any(|brand| {
                matches!(
                    brand,
                    b"avis" | b"msf1" | b"hevc" | b"hevx" | b"hevm" | b"hevs"
                )
            }),
        all: last >= sample.size || sample.is_whole(),
        truncated: last > sample.size || (last < sample.size && sample.size - last < 8),
    };
    let codec = boxes
        .iter()
        .find(|found| &found.kind == b"meta")
        .and_then(|meta| codec(content(head, meta)));
    let media_type = match by_major(major) {
        Some(media_type) => media_type,
        None if matches!(
            &major,
            b"mif1" | b"msf1" | b"mif2" | b"miaf" | b"MiHB" | b"MiHE"
        ) =>
        {
            match codec {
                Some(codec) => codec,
                None if compatible(&[b"avif", b"avis"]) => "image/avif",
                None if compatible(&[b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"]) => {
                    "image/heic"
                }
                None => "image/heif",
            }
        }
        None if compatible(&[
            b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42",
        ]) =>
        {
            "video/mp4"
        }
        None if compatible(&[b"qt  "]) => "video/quicktime",
        None if shown.film => "video/mp4",
        None => return None,
    };
    if let Some(why) = lie(sample, media_type, &boxes, &shown, codec) {
        return Some(Finding::broken(media_type, why).at((next as u64).min(sample.size)));
    }
    let finding = Finding::of(media_type, Structure)
        .flagged(Flag::Truncated, shown.truncated)
        .at(at as u64);
    Some(if media_type.starts_with("image/") {
        let animated = matches!(
            &major,
            b"avis" | b"msf1" | b"hevc" | b"hevx" | b"hevm" | b"hevs"
        );
        let finding = finding.flagged(Flag::Animated, animated && shown.film);
        match dimensions(head, &boxes) {
            Some((width, height)) => finding.sized(width, height),
            None => finding,
        }
    } else {
        finding.flagged(Flag::NoVideoSeen, !shows_video(sample))
    })
}

/// Why what follows the brands is not what they say.
fn lie(
    sample: &Sample,
    media_type: &str,
    boxes: &[Atom],
    shown: &Shown,
    codec: Option<&str>,
) -> Option<&'static str> {
    match boxes.first() {
        None if sample.is_whole() => return Some("nothing follows the list of brands"),
        Some(first) if !is_box(first) => return Some("what follows the list of brands is no box"),
        _ => {}
    }
    match media_type {
        "image/heic" if codec == Some("image/avif") => {
            Some("the brand says HEIC, the picture is AV1")
        }
        "image/avif" if codec == Some("image/heic") => {
            Some("the brand says AVIF, the picture is HEVC")
        }
        "image/heic" | "image/avif" | "image/heif" if !shown.picture => {
            // Sequences may do without a still picture.
            (shown.all && !(shown.film && shown.sequence))
                .then_some("the brand says a picture, and there is none")
        }
        _ if media_type.starts_with("image/") => None,
        _ if shown.picture && !shown.film && (shown.all || codec.is_some()) => {
            Some("the brand says a film, and there is a picture")
        }
        _ if shown.all && !shown.film && !boxes.iter().any(|found| &found.kind == b"mdat") => {
            Some("the brand says a film, and there is none")
        }
        _ => None,
    }
}

/// The type by how the picture is packed.
fn codec(meta: &[u8]) -> Option<&'static str> {
    if contains(meta, b"av1C") {
        Some("image/avif")
    } else if contains(meta, b"hvcC") {
        Some("image/heic")
    } else {
        None
    }
}

/// The largest `ispe` of the item properties: a grid states its whole, tiles are smaller.
/// A sequence without a still states its size in a track.
fn dimensions(head: &[u8], boxes: &[Atom]) -> Option<(u32, u32)> {
    let meta = boxes.iter().find(|found| &found.kind == b"meta")?;
    // `meta` is a full box: four bytes of version and flags stand before its boxes.
    let properties = atoms(head, meta.start + 4, meta.end).find(|found| &found.kind == b"iprp")?;
    let list = inside(head, &properties).find(|found| &found.kind == b"ipco")?;
    inside(head, &list)
        .filter(|found| &found.kind == b"ispe")
        .filter_map(|found| Some((be32(head, found.start + 4)?, be32(head, found.start + 8)?)))
        .filter(|(width, height)| *width > 0 && *height > 0)
        .max_by_key(|(width, height)| u64::from(*width) * u64::from(*height))
}

/// Whether a video track is in the part of the film's index that was read.
fn shows_video(sample: &Sample) -> bool {
    let head = sample.head;
    let Some(film) = atoms(head, 0, sample.size).find(|found| &found.kind == b"moov") else {
        return false;
    };
    inside(head, &film)
        .filter(|found| &found.kind == b"trak")
        .any(|track| {
            let body = content(head, &track);
            contains(body, b"hdlr\0\0\0\0\0\0\0\0vide") || contains(body, b"mhlrvide")
        })
}
