//! Small files made by hand, lies about them, and noise.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::domain::media::Accept;
use crate::domain::media::{self, DOCM, DOCX, PPTX, XLSM};
use crate::domain::slot::Policy;
use crate::domain::verdict::{Confidence, Declared, Facts, Flag, Reason, Verdict, judge};

#[path = "../../tests/seeds/mod.rs"]
mod seeds;
use seeds::*;

fn whole(bytes: &[u8]) -> Finding {
    sniff(bytes, &[], bytes.len() as u64)
}

fn piece(bytes: &[u8], range: Range<u64>) -> Piece<'_> {
    let at = |offset| usize::try_from(offset).unwrap();
    Piece {
        offset: range.start,
        bytes: &bytes[at(range.start)..at(range.end)],
    }
}

/// What the judge does: head, and what is asked for beside it.
fn read(bytes: &[u8]) -> Finding {
    let size = bytes.len() as u64;
    let head = &bytes[..bytes.len().min(65_536)];
    let mut more = Vec::new();
    while let Some(range) = next_read(head, &more, size) {
        more.push(piece(bytes, range));
    }
    let read: usize = more.iter().map(|piece| piece.bytes.len()).sum();
    assert!(more.len() <= 2 && read <= 65_536);
    sniff(head, &more, size)
}

#[test]
fn every_small_file_is_what_it_is() {
    for (media_type, bytes) in honest() {
        let finding = whole(&bytes);
        assert_eq!(
            (finding.media_type, finding.malformed),
            (Some(media_type), None),
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
        assert_eq!(finding.extension, media::extension_of(media_type));
        assert!(finding.confidence > Confidence::None);
        assert_eq!(media::known_type(media_type), Some(media_type));
    }
}

#[test]
fn no_first_bytes_of_a_file_with_lengths_are_the_file() {
    // The last is made by hand without pixels.
    let lengthless = [
        "image/jxl",
        "audio/aac",
        "audio/amr",
        "application/wasm",
        "image/x-adobe-dng",
    ];
    for (media_type, bytes) in honest() {
        let top = media_type.split('/').next().unwrap();
        let binary = ["image", "audio", "video", "font"].contains(&top)
            || [
                "application/zstd",
                "application/gzip",
                "application/vnd.sqlite3",
            ]
            .contains(&media_type);
        if !binary || media_type.ends_with("xml") || lengthless.contains(&media_type) {
            continue;
        }
        // A last byte of padding may be missing.
        for len in 1..(bytes.len() - 1).min(64) {
            let finding = whole(&bytes[..len]);
            let taken = finding.media_type == Some(media_type) && finding.malformed.is_none();
            assert!(!taken, "{len} bytes of {media_type}");
        }
    }
}

#[test]
fn prose_that_begins_like_a_signature_is_text() {
    for text in [
        "GIF89a is how they begin.",
        "fLaC it is.",
        "OggS means Ogg.",
        "The moov and the mdat are boxes.",
        "RIFF means WAVE to most.",
    ] {
        assert_eq!(
            whole(text.as_bytes()).media_type,
            Some("text/plain"),
            "{text}"
        );
    }
}

#[test]
fn an_archive_behind_sound_or_film_is_seen() {
    let archive = zip(&[("A.class", b"x")]);
    for carrier in [
        riff(*b"WAVE", SOUND),
        mp3(),
        bmff(*b"isom", b"isom", &film(*b"vide")),
    ] {
        let finding = whole(&[carrier, archive.clone()].concat());
        assert!(
            finding.malformed.is_some() && finding.has(Flag::Polyglot),
            "{finding:?}"
        );
    }
}

#[test]
fn an_address_that_a_browser_reads_as_script_is_active() {
    let svg = |value: &str| {
        whole(
            format!("<svg xmlns='http://www.w3.org/2000/svg'><a href=\"{value}\"/></svg>")
                .as_bytes(),
        )
    };
    for value in [
        "&#106;avascript:x",
        " java&#10;script:x",
        "&#x6A;avascript&colon;x",
        "&own;",
    ] {
        assert!(svg(value).active, "{value}");
    }
    for value in [
        "https://example.com/?a=1&amp;b=2",
        "#java",
        "data:image/png;base64,",
    ] {
        assert!(!svg(value).active, "{value}");
    }
}

#[test]
fn windows_media_is_named_by_its_streams() {
    let header = |first: &[u8]| {
        let mut file =
            b"\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9\x00\xAA\x00\x62\xCE\x6C\x40\0\0\0\0\0\0\0"
                .to_vec();
        file.extend([0; 8]);
        file.extend(first);
        file.extend(b"\x4D\x5B\xCF\x11\xA8\xFD\x00\x80\x5F\x5C\x44\x2B");
        file.extend([0; 32]);
        whole(&file).media_type
    };
    assert_eq!(header(b"\xC0\xEF\x19\xBC"), Some("video/x-ms-wmv"));
    assert_eq!(header(b"\x40\x9E\x69\xF8"), Some("audio/x-ms-wma"));
    assert_eq!(header(b"none"), Some("video/x-ms-asf"));
}

#[test]
fn pictures_state_their_dimensions() {
    for (bytes, size) in [
        (png(3, 2), (3, 2)),
        (jpeg(640, 480), (640, 480)),
        (gif(), (3, 2)),
        (webp_lossy(), (5, 4)),
        (webp_lossless(), (5, 4)),
        (webp_extended(), (5, 4)),
        (bmp(), (2, 1)),
        (tiff(), (7, 9)),
        (ico(), (16, 32)),
        (bmff(*b"heic", b"mif1", &still(9, 7)), (9, 7)),
    ] {
        let finding = whole(&bytes);
        assert_eq!(
            finding.width.zip(finding.height),
            Some(size),
            "{:?}",
            finding.media_type
        );
    }
}

#[test]
fn what_a_browser_would_execute_is_active() {
    let utf16: Vec<u8> = "<html>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let late = [" ".repeat(800).as_bytes(), b"<html>"].concat();
    for (media_type, bytes) in [
        ("text/html", b"<!DOCTYPE html><p>".to_vec()),
        ("text/html", b"\xEF\xBB\xBF\n <HTML>".to_vec()),
        ("text/html", [b"\xff\xfe", &utf16[..]].concat()),
        ("text/html", late),
        ("text/html", b"<img src=x onerror=alert(1)".to_vec()),
        ("text/html", b"<img/src=x onerror=alert(1)>".to_vec()),
        ("text/html", b"<!-- x --><script>alert(1)</script>".to_vec()),
        ("text/html", b"<!--ftypisom-->".to_vec()),
        (
            "text/html",
            b"<!--moov--><script>alert(1)</script>".to_vec(),
        ),
        ("text/html", b"<html><!-- %PDF -->".to_vec()),
        ("text/html", b"<script>WEBP=1;alert(1)</script>".to_vec()),
        (
            "application/xhtml+xml",
            b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'/>".to_vec(),
        ),
        (
            "application/xml",
            b"<?xml version='1.0'?><?xml-stylesheet href='x.xsl'?><a/>".to_vec(),
        ),
        (
            "application/xml",
            b"<feed xmlns:h='http://www.w3.org/1999/xhtml'><h:script/></feed>".to_vec(),
        ),
        ("image/svg+xml", b"<svg/onload=alert(1)>".to_vec()),
        ("application/x-httpd-php", b"<?php system('id');".to_vec()),
        (
            "image/jpeg",
            jpeg(3, 2).into_iter().chain(*b"<?php x").collect(),
        ),
        ("image/gif", gif().into_iter().chain(*b"<SCRIPT>").collect()),
    ] {
        let finding = whole(&bytes);
        assert_eq!(
            (finding.media_type, finding.active),
            (Some(media_type), true),
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[test]
fn a_lie_in_the_first_bytes_is_no_sound_file() {
    let mut bad_crc = png(3, 2);
    bad_crc[29] ^= 1;
    let html = b"<html><script>alert(1)</script></html>";
    let after = |bytes: &[u8], len: usize| [&bytes[..len], &html[..]].concat();
    for lie in [
        b"GIF89a<script>alert(1)</script>".to_vec(),
        b"GIF89a/*\0\0\0\0*/=1;alert(1)".to_vec(),
        b"\x89PNG<html>".to_vec(),
        b"\x89PNG\r\n\x1a\n<html>".to_vec(),
        b"\xFF\xD8\xFF<html>".to_vec(),
        b"RIFF....WEBP<html>".to_vec(),
        b"BM<html>".to_vec(),
        b"%PDF-1.4 <html>".to_vec(),
        b"ID3\x04\0\0\0\0\0\x01 <html>".to_vec(),
        b"OggS<html>".to_vec(),
        b"fLaC<html>".to_vec(),
        b"\xFF\xFB\x90\x64<html>".to_vec(),
        after(&mp3(), 417),
        b"MZ<html>".to_vec(),
        b"PK\x03\x04<html>word/[Content_Types].xml".to_vec(),
        b"\0\0\0\x18ftypisom\0\0\0\0isomavc1<html>aa".to_vec(),
        bad_crc,
        after(&png(3, 2), 33),
        after(&jpeg(3, 2), 20),
        after(&gif(), 19),
        after(&webp_lossy(), 12),
        after(&bmff(*b"heic", b"mif1", &still(9, 7)), 20),
    ] {
        let finding = whole(&lie);
        let claims = finding.media_type.is_some_and(|name| {
            !name.starts_with("text/") && finding.malformed.is_none() && !finding.active
        });
        assert!(!claims, "{:?}: {finding:?}", String::from_utf8_lossy(&lie));
    }
}

#[test]
fn every_picture_cut_short_is_broken_and_none_is_another_type() {
    for (media_type, bytes) in honest().into_iter().take(6) {
        for len in 12..bytes.len().min(30) {
            let finding = whole(&bytes[..len]);
            assert!(
                finding.malformed.is_some() || finding.media_type == Some(media_type),
                "{media_type} at {len}: {finding:?}"
            );
        }
    }
}

#[test]
fn an_office_file_is_told_by_its_directory_alone() {
    let types = ("[Content_Types].xml", &b"<Types/>"[..]);
    for (members, media_type, flag) in [
        (vec![types, ("word/document.xml", b"")], DOCX, None),
        (
            vec![
                types,
                ("word/document.xml", b""),
                ("word/vbaProject.bin", b""),
            ],
            DOCM,
            Some(Flag::Macros),
        ),
        (
            vec![("xl/workbook.xml", b"x"), ("xl/vbaProject.bin", b""), types],
            XLSM,
            Some(Flag::Macros),
        ),
        (
            vec![types, ("word/evil.exe", b"")],
            "application/zip",
            Some(Flag::ProgramInside),
        ),
        (
            vec![types, ("word/document.xml.exe", b"")],
            "application/zip",
            Some(Flag::ProgramInside),
        ),
        (
            vec![types, ("word/document.xml", b""), ("xl/workbook.xml", b"")],
            "application/zip",
            None,
        ),
        (vec![("word/document.xml", b"")], "application/zip", None),
        (
            vec![("../../etc/passwd", b"")],
            "application/zip",
            Some(Flag::PathEscape),
        ),
        (
            vec![("mimetype", b"application/epub+zip")],
            "application/zip",
            None,
        ),
    ] {
        let finding = whole(&zip(&members));
        assert_eq!(finding.media_type, Some(media_type), "{members:?}");
        assert_eq!(
            finding.flags,
            flag.into_iter().collect::<Vec<_>>(),
            "{members:?}"
        );
    }
}

#[test]
fn a_large_archive_is_judged_by_head_and_tail() {
    let filler = vec![7; 200_000];
    let docx = zip(&[
        ("word/media/film.bin", &filler),
        ("[Content_Types].xml", b"<Types/>"),
        ("word/document.xml", b""),
    ]);
    let size = docx.len() as u64;
    let head = &docx[..65_536];
    let wanted = next_read(head, &[], size).unwrap();
    assert_eq!(wanted, size - 65_536..size);
    assert_eq!(
        next_read(&docx, &[], size),
        None,
        "the head is all there is"
    );
    let tail = [piece(&docx, wanted)];
    assert_eq!(next_read(head, &tail, size), None);
    assert_eq!(sniff(head, &tail, size).media_type, Some(DOCX));
    let blind = sniff(head, &[], size);
    assert_eq!(blind.media_type, Some("application/zip"));
    assert_eq!(blind.flags, [Flag::DirectoryNotRead]);
    let cut = sniff(head, &[piece(&docx, 100_000..165_536)], 165_536);
    assert!(cut.malformed.is_some(), "{cut:?}");
}

#[test]
fn lengths_beyond_the_file_are_not_believed() {
    for at in 0..22 {
        let mut archive = office("word/document.xml");
        let end = archive.len();
        archive[end - 22 + at] = 0xFF;
        whole(&archive);
    }
    let zip64 = [
        &b"PK\x03\x04"[..],
        b"PK\x06\x07\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f\x01\0\0\0",
        b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0",
    ]
    .concat();
    assert!(whole(&zip64).malformed.is_some());
}

#[test]
fn sound_without_pictures_is_flagged_so_that_m4a_can_be_taken_for_what_it_is() {
    let silent = whole(&bmff(*b"isom", b"isom", &film(*b"soun")));
    assert_eq!(
        (silent.media_type, &silent.flags[..]),
        (Some("video/mp4"), &[Flag::NoVideoSeen][..])
    );
    assert!(
        whole(&bmff(*b"isom", b"isom", &film(*b"vide")))
            .flags
            .is_empty()
    );
}

/// The verdict on bytes in a slot that accepts `accept`.
fn verdict(accept: &[&str], name: &str, media_type: Option<&str>, bytes: &[u8]) -> Verdict {
    let policy = Policy {
        accept: Accept::parse(accept).unwrap(),
        ..Policy::default()
    };
    let size = bytes.len() as u64;
    let declared = Declared {
        name,
        size,
        media_type,
        sha256: None,
    };
    judge(
        &policy,
        &declared,
        &Facts { size, sha256: None },
        &whole(bytes),
    )
}

#[test]
fn an_html_file_called_png_is_rejected() {
    let page = b"<!DOCTYPE html><script>alert(1)</script>";
    let Verdict::Reject(rejection) = verdict(&["image/*"], "a.png", Some("image/png"), page) else {
        panic!("accepted");
    };
    assert_eq!(rejection.reason, Reason::ActiveContent);
    assert_eq!(
        rejection.detail,
        "declared image/png, header bytes say text/html"
    );
}

#[test]
fn what_passes_for_an_image_elsewhere_does_not_pass_here() {
    for (name, lie, reason) in [
        (
            "a.webp",
            &b"<script>WEBP=1;alert(1)</script>"[..],
            Reason::ActiveContent,
        ),
        (
            "a.mov",
            b"<!--moov--><script>alert(1)</script>",
            Reason::ActiveContent,
        ),
        ("a.mp4", b"<!--ftypisom-->", Reason::ActiveContent),
        ("a.pdf", b"<html><!-- %PDF -->", Reason::ActiveContent),
        ("a.pdf", b"#!/bin/sh\n# %PDF-1.4", Reason::TypeNotAccepted),
        (
            "a.gif",
            b"GIF89a<script>alert(1)</script>",
            Reason::ActiveContent,
        ),
        ("a.gif", b"GIF89a/*....*/=1;alert(1)//", Reason::Malformed),
        (
            "a.jpg",
            b"\xFF\xD8\xFF\xE0 and then nothing of the kind",
            Reason::Malformed,
        ),
        (
            "a.png",
            b"\x89PNG\r\n\x1a\n and then nothing of the kind",
            Reason::Malformed,
        ),
        ("a.bmp", b"BM, but only in letters", Reason::TypeNotAccepted),
        (
            "a.png",
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
            Reason::ActiveContent,
        ),
        (
            "a.png",
            b"<img src=x onerror=alert(1)>",
            Reason::ActiveContent,
        ),
        ("a.png", b"<?php system('id');", Reason::ActiveContent),
        ("a.png", b"MZ\x90\0\x03\0\0\0", Reason::TypeNotAccepted),
        ("a.png", b"\0\x01\x02 noise", Reason::TypeUnknown),
    ] {
        let slot = ["image/*", ".mov", ".mp4", ".pdf", ".docx"];
        match verdict(&slot, name, None, lie) {
            Verdict::Reject(rejection) => assert_eq!(rejection.reason, reason, "{rejection:?}"),
            Verdict::Accept(accepted) => panic!("{name}: {accepted:?}"),
        }
    }
}

#[test]
fn every_honest_file_is_accepted_where_its_type_is_and_nowhere_else() {
    let files = honest();
    for (media_type, bytes) in &files {
        for (slot, _) in &files {
            let extension = media::extension_of(media_type).unwrap_or_default();
            if media::is_script(media_type) || media::is_script(slot) {
                continue;
            }
            let taken =
                |name: &str| matches!(verdict(&[slot], name, None, bytes), Verdict::Accept(_));
            // Markdown that begins like a page is taken as nothing else.
            let tagged = *media_type == "text/markdown" && slot != media_type;
            let covered = media::covers(slot, media_type) && !tagged;
            assert_eq!(
                taken(&format!("a{extension}")),
                covered,
                "{media_type} in a slot for {slot}"
            );
            // The name says what the slot wants to hear: between the brands of one container,
            // and for XML of any vocabulary, that counts.
            let lie = format!("a{}", media::extension_of(slot).unwrap_or_default());
            let kin = media::is_film(slot) && media::is_film(media_type)
                || matches!(
                    (*slot, *media_type),
                    ("application/xml", "image/svg+xml")
                        | ("audio/ogg", "video/ogg")
                        | ("video/webm", "video/matroska")
                );
            assert!(
                !taken(&lie) || covered || kin,
                "{lie} ({media_type}) in a slot for {slot}"
            );
        }
    }
}

#[test]
fn an_archive_behind_a_picture_is_found_in_its_end() {
    let long = [&jpeg(3, 2)[..], &vec![0; 200_000], b"\xFF\xD9"].concat();
    assert_eq!(read(&long).malformed, None);
    for picture in [png(3, 2), gif(), webp_lossy(), long] {
        let archive = zip(&[("META-INF/MANIFEST.MF", b"")]);
        let finding = read(&[&picture[..], &archive].concat());
        assert!(finding.flags.contains(&Flag::Polyglot), "{finding:?}");
        assert!(finding.malformed.is_some());
        assert!(
            finding.evidence.bytes.starts_with("504b0506"),
            "{finding:?}"
        );
    }
}

#[test]
fn trailers_that_cameras_write_are_no_fault() {
    let film = bmff(*b"mp42", b"isom", &film(*b"vide"));
    for trailer in [
        &film[..],
        b"SEFH\x6a\0\0\0SEFT",
        b"<x:xmpmeta/>",
        &jpeg(2, 2),
    ] {
        let finding = read(&[&jpeg(3, 2)[..], trailer].concat());
        assert_eq!(
            (finding.malformed, &finding.flags[..]),
            (None, &[][..]),
            "{trailer:?}"
        );
    }
}

#[test]
fn text_or_a_program_behind_a_cut_header_is_not_the_rest_of_it() {
    let page = b"and then some text, like alert(1) for one";
    let program = [&b"\x7FELF\x02\x01\x01"[..], &[0; 60]].concat();
    for (cut, honest) in [(44, png(300, 200)), (20, webp_lossy()), (55, jpeg(30, 20))] {
        for rest in [&page[..], &program] {
            let lie = [&honest[..cut.min(honest.len() - 1)], rest].concat();
            let finding = whole(&lie);
            assert!(
                finding.malformed.is_some() || finding.media_type.is_none(),
                "{finding:?}"
            );
        }
    }
}

#[test]
fn the_rest_of_a_header_that_leaves_the_head_is_read_where_it_is() {
    // Twice the longest segment, and only then the frame.
    let segment = [&b"\xFF\xE1\xFF\xFF"[..], &vec![0; 65_533]].concat();
    let plain = jpeg(40, 30);
    let photo = [
        &plain[..2],
        &segment,
        &segment,
        &plain[2..],
        &vec![0; 70_000],
        b"\xFF\xD9",
    ]
    .concat();
    let finding = read(&photo);
    assert_eq!(finding.width.zip(finding.height), Some((40, 30)));
    // A TIFF's directory may stand behind its pixels.
    let mut scan = [&tiff()[..4], &100_000_u32.to_le_bytes(), &vec![0; 200_000]].concat();
    let directory = &tiff()[8..];
    scan[100_000..100_000 + directory.len()].copy_from_slice(directory);
    let finding = read(&scan);
    assert_eq!(finding.width.zip(finding.height), Some((7, 9)));
    // Cover art is longer than the head, and the sound is behind it.
    let mut song = b"ID3\x04\0\0\0\x06\0\0APIC".to_vec();
    song.resize(10 + (6 << 14), 1);
    let tag = song.len();
    song.extend(mp3().repeat(40));
    assert_eq!(read(&song).confidence, Confidence::Structure);
    song.truncate(tag);
    song.extend(b"not a frame of anything, whatever the tag said".repeat(400));
    assert!(read(&song).malformed.is_some());
}

#[test]
fn a_directory_too_long_to_be_read_still_tells() {
    let names: Vec<String> = (0..2000)
        .map(|at| format!("ppt/slides/slide-with-a-long-name-{at}.xml"))
        .collect();
    let mut members: Vec<(&str, &[u8])> = vec![
        ("[Content_Types].xml", b"<Types/>"),
        ("ppt/presentation.xml", b""),
    ];
    members.extend(names.iter().map(|name| (name.as_str(), &b"<x/>"[..])));
    let slides = zip(&members);
    assert!(slides.len() > 3 * 65_536);
    assert_eq!(read(&slides).media_type, Some(PPTX));
}

#[test]
fn a_brand_that_the_boxes_do_not_bear_out_is_a_lie() {
    for (brand, boxes) in [
        (*b"heic", film(*b"vide")),
        (*b"avif", film(*b"vide")),
        (*b"mp42", still(9, 7)),
        (*b"isom", boxed(*b"free", b"")),
    ] {
        let finding = whole(&bmff(brand, b"", &boxes));
        assert!(finding.malformed.is_some(), "{brand:?}: {finding:?}");
    }
}

#[test]
fn a_drawing_is_active_when_something_in_it_runs() {
    let svg = |inner: &str| {
        format!("<svg xmlns='http://www.w3.org/2000/svg' id='description'>{inner}</svg>")
    };
    for (inner, active) in [
        ("<path d='M0 0'/><text>a subscript, on = off</text>", false),
        ("<script>alert(1)</script>", true),
        ("<g onload='alert(1)'/>", true),
        ("<g\nonclick = 'alert(1)'/>", true),
        ("<foreignObject/>", true),
        ("<a href='javascript:alert(1)'/>", true),
    ] {
        let finding = whole(svg(inner).as_bytes());
        assert_eq!(
            (finding.media_type, finding.active),
            (Some("image/svg+xml"), active),
            "{inner}"
        );
    }
    // What lies in the part that is not read could be anything.
    let long = svg(&" ".repeat(300_000));
    assert!(read(long.as_bytes()).active);
    assert!(!read(svg(&" ".repeat(100_000)).as_bytes()).active);
    assert!(read((svg(&" ".repeat(100_000)) + "<script>").as_bytes()).active);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_never_panics(
        head in proptest::collection::vec(any::<u8>(), 0..600),
        tail in proptest::collection::vec(any::<u8>(), 0..300),
        offset in any::<u64>(),
        size in any::<u64>(),
    ) {
        let more = [Piece { offset, bytes: &tail }];
        next_read(&head, &[], size);
        next_read(&head, &more, size);
        sniff(&head, &more, size);
    }
}
