//! ISO base media (ISO/IEC 14496-12): MP4, M4A, `QuickTime`, 3GP, HEIC, AVIF. The major
//! brand decides; compatible brands count only under brands that name no codec.

use super::bytes::{Sample, be32, be64, contains, take};
use crate::domain::verdict::Confidence::{Signature, Structure};
use crate::domain::verdict::{Finding, Flag};

/// One box: its type, and where its content begins and ends.
struct Atom {
    kind: [u8; 4],
    start: usize,
    end: u64,
}

/// The box at `at`, of a size that lies within `limit`.
fn atom(bytes: &[u8], at: usize, limit: u64) -> Option<Atom> {
    let rest = bytes.get(at..)?;
    let (start, len) = match be32(rest, 0)? {
        0 => (at + 8, limit.checked_sub(at as u64)?),
        1 => (at + 16, be64(rest, 8)?),
        len => (at + 8, u64::from(len)),
    };
    let end = (at as u64).checked_add(len)?;
    (end >= start as u64 && end <= limit).then_some(Atom {
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

pub fn look(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    match head.get(4..8)? {
        b"ftyp" => typed(sample),
        b"moov" | b"mdat" | b"wide" | b"free" | b"skip" | b"pnot" => untyped(sample),
        _ => None,
    }
}

/// `QuickTime` from before brands begins with any of its boxes.
fn untyped(sample: &Sample) -> Option<Finding> {
    let first = atom(sample.head, 0, sample.size)?;
    let known = match usize::try_from(first.end) {
        Ok(next) if next < sample.head.len().saturating_sub(7) => {
            atom(sample.head, next, sample.size).is_some_and(|next| is_top_level(next.kind))
        }
        _ => true,
    };
    known.then(|| Finding::of("video/quicktime", Signature))
}

fn is_top_level(kind: [u8; 4]) -> bool {
    matches!(
        &kind,
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
            | b"mvhd"
            | b"idat"
            | b"grpl"
            | b"ftyp"
    )
}

fn typed(sample: &Sample) -> Option<Finding> {
    let head = sample.head;
    let len = be32(head, 0).filter(|len| (12..=4096).contains(len))? as usize;
    let major = head.get(8..12).filter(|brand| is_brand(brand))?;
    let brands = head.get(16..len.min(head.len())).unwrap_or_default();
    let compatible = |wanted: &[&[u8; 4]]| {
        let listed = |brand: &[u8]| wanted.iter().any(|wanted| *wanted == brand);
        brands.chunks_exact(4).any(listed)
    };
    let media_type = match major {
        b"avif" | b"avis" => "image/avif",
        b"mif1" | b"msf1" | b"mif2" | b"miaf" | b"MiHB" | b"MiHE" => {
            if compatible(&[b"avif", b"avis"]) {
                "image/avif"
            } else if compatible(&[b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"]) {
                "image/heic"
            } else {
                "image/heif"
            }
        }
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => {
            "image/heic"
        }
        b"crx " => "image/x-canon-cr3",
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
        | b"NDSC"
        | b"NDSH"
        | b"NDSM"
        | b"NDSP"
        | b"NDSS"
        | b"NDXC"
        | b"NDXH"
        | b"NDXM"
        | b"NDXP"
        | b"NDXS"
        | b"NDAS"
        | [b'i', b's', b'o', _] => "video/mp4",
        _ if compatible(&[
            b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42",
        ]) =>
        {
            "video/mp4"
        }
        _ => return None,
    };
    match head.get(len + 4..len + 8) {
        None if sample.is_whole() => {
            return Some(Finding::broken(
                media_type,
                "nothing follows the list of brands",
            ));
        }
        Some(_) if !atom(head, len, sample.size).is_some_and(|next| is_top_level(next.kind)) => {
            return Some(Finding::broken(
                media_type,
                "what follows the list of brands is no box",
            ));
        }
        _ => {}
    }
    let finding = Finding::of(media_type, Structure);
    Some(if media_type.starts_with("image/") {
        match dimensions(sample) {
            Some((width, height)) => finding.sized(width, height),
            None => finding,
        }
    } else {
        finding.flagged(
            Flag::NoVideoSeen,
            media_type == "video/mp4" && !shows_video(sample),
        )
    })
}

fn is_brand(brand: &[u8]) -> bool {
    brand.iter().all(|byte| (0x20..0x7F).contains(byte))
}

/// The largest `ispe` of the item properties: a grid states its whole, tiles are smaller.
fn dimensions(sample: &Sample) -> Option<(u32, u32)> {
    let head = sample.head;
    let meta = atoms(head, 0, sample.size).find(|found| &found.kind == b"meta")?;
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
            let end = usize::try_from(track.end)
                .unwrap_or(usize::MAX)
                .min(head.len());
            let body = head.get(track.start..end).unwrap_or_default();
            contains(body, b"hdlr\0\0\0\0\0\0\0\0vide") || contains(body, b"mhlrvide")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_that_claims_more_than_the_file_is_none() {
        assert!(atom(b"\0\0\0\x10mdat", 0, 15).is_none());
        assert!(atom(b"\0\0\0\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff", 0, 99).is_none());
        assert!(atom(b"\0\0\0\x10mdat", 0, 16).is_some());
    }
}
