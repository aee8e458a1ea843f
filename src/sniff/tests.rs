//! Small files made by hand, lies about them, and noise.

use proptest::prelude::*;

use super::*;
use crate::domain::media::Accept;
use crate::domain::media::{self, DOCM, DOCX, PPTX, XLSB, XLSM, XLSX};
use crate::domain::slot::Policy;
use crate::domain::verdict::{Confidence, Declared, Facts, Flag, Reason, Verdict, judge};

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

fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    [
        &u32::try_from(data.len()).unwrap().to_be_bytes()[..],
        &body,
        &bytes::crc32(&body).to_be_bytes(),
    ]
    .concat()
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let header = [
        &width.to_be_bytes()[..],
        &height.to_be_bytes(),
        &[8, 2, 0, 0, 0],
    ]
    .concat();
    let magic = b"\x89PNG\r\n\x1a\n".to_vec();
    let pixels = chunk(*b"IDAT", b"\x78\x9c\x63\0\0");
    [
        magic,
        chunk(*b"IHDR", &header),
        pixels,
        chunk(*b"IEND", b""),
    ]
    .concat()
}

fn jpeg(width: u16, height: u16) -> Vec<u8> {
    [
        &b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"[..],
        b"\xFF\xDB\0\x04\0\0\xFF\xC0\0\x11\x08",
        &height.to_be_bytes(),
        &width.to_be_bytes(),
        b"\x03\x01\x22\0\x02\x11\x01\x03\x11\x01",
        b"\xFF\xDA\0\x0C\x03\x01\0\x02\x11\x03\x11\0\x3F\0data\xFF\xD9",
    ]
    .concat()
}

fn gif() -> Vec<u8> {
    b"GIF89a\x03\0\x02\0\x80\0\0\0\0\0\xFF\xFF\xFF\x21\xF9\x04\0\0\0\0\0\x2C\0\0\0\0\x03\0\x02\0\0\x02\x02\x44\x01\0\x3B".to_vec()
}

fn riff(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).unwrap();
    [b"RIFF", &len.to_le_bytes()[..], &kind, body].concat()
}

fn webp_lossy() -> Vec<u8> {
    riff(
        *b"WEBP",
        b"VP8 \x0c\0\0\0\x10\x02\0\x9d\x01\x2a\x05\0\x04\0\0\0",
    )
}

fn webp_lossless() -> Vec<u8> {
    // Width 5 and height 4, each less one, 14 bits apiece.
    riff(*b"WEBP", b"VP8L\x06\0\0\0\x2f\x04\xc0\0\0\0")
}

fn webp_extended() -> Vec<u8> {
    riff(
        *b"WEBP",
        b"VP8X\x0a\0\0\0\0\0\0\0\x04\0\0\x03\0\0VP8 \0\0\0\0",
    )
}

fn bmp() -> Vec<u8> {
    let header = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\xff\xff\xff\xff\x01\0\x18\0";
    [&header[..], &[0; 28]].concat()
}

fn tiff() -> Vec<u8> {
    b"II*\0\x08\0\0\0\x02\0\x00\x01\x03\0\x01\0\0\0\x07\0\0\0\x01\x01\x04\0\x01\0\0\0\x09\0\0\0\0\0\0\0".to_vec()
}

fn ico() -> Vec<u8> {
    b"\0\0\x01\0\x01\0\x10\x20\0\0\x01\0\x20\0\x04\0\0\0\x16\0\0\0\x28\0\0\0".to_vec()
}

fn boxed(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len() + 8).unwrap();
    [&len.to_be_bytes()[..], &kind, content].concat()
}

fn bmff(major: [u8; 4], compatible: &[u8], rest: &[u8]) -> Vec<u8> {
    let brands = [&major[..], b"\0\0\0\0", compatible].concat();
    [boxed(*b"ftyp", &brands), rest.to_vec()].concat()
}

fn film(handler: [u8; 4]) -> Vec<u8> {
    let hdlr = boxed(
        *b"hdlr",
        &[b"\0\0\0\0\0\0\0\0", &handler[..], &[0; 13]].concat(),
    );
    boxed(*b"moov", &boxed(*b"trak", &boxed(*b"mdia", &hdlr)))
}

fn still(width: u32, height: u32) -> Vec<u8> {
    let ispe = |width: u32, height: u32| {
        boxed(
            *b"ispe",
            &[[0; 4], width.to_be_bytes(), height.to_be_bytes()].concat(),
        )
    };
    let list = [ispe(2, 2), ispe(width, height)].concat();
    let properties = boxed(*b"iprp", &boxed(*b"ipco", &list));
    boxed(*b"meta", &[&[0; 4][..], &properties].concat())
}

/// A ZIP archive of stored members.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let offset = u32::try_from(out.len()).unwrap();
        let len = u32::try_from(content.len()).unwrap().to_le_bytes();
        let name_len = u16::try_from(name.len()).unwrap().to_le_bytes();
        // From "version needed" to "extra length" both records are alike.
        let shared = [
            &b"\x14\0\0\0\0\0\0\0\0\0"[..],
            &bytes::crc32(content).to_le_bytes(),
            &len,
            &len,
            &name_len,
            &[0, 0],
        ]
        .concat();
        out.extend([&b"PK\x03\x04"[..], &shared, name.as_bytes(), content].concat());
        directory.extend(
            [
                &b"PK\x01\x02\x14\0"[..],
                &shared,
                &[0; 10],
                &offset.to_le_bytes(),
                name.as_bytes(),
            ]
            .concat(),
        );
    }
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let (at, len) = (
        u32::try_from(out.len()).unwrap(),
        u32::try_from(directory.len()).unwrap(),
    );
    let end = [
        &b"PK\x05\x06\0\0\0\0"[..],
        &count,
        &count,
        &len.to_le_bytes(),
        &at.to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    [out, directory, end].concat()
}

fn office(part: &str) -> Vec<u8> {
    zip(&[("[Content_Types].xml", b"<Types/>"), (part, b"<x/>")])
}

fn open_document(kind: &str) -> Vec<u8> {
    let content = format!("application/vnd.oasis.opendocument.{kind}");
    zip(&[("mimetype", content.as_bytes()), ("content.xml", b"<x/>")])
}

fn ole(stream: &str) -> Vec<u8> {
    let mut file = vec![0; 1024];
    file[..8].copy_from_slice(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1");
    file[28..32].copy_from_slice(b"\xFE\xFF\x09\0");
    for (at, name) in [(512, "Root Entry"), (640, stream)] {
        for (index, byte) in name.bytes().enumerate() {
            file[at + 2 * index] = byte;
        }
        file[at + 64] = u8::try_from(2 * name.len() + 2).unwrap();
        file[at + 66] = 2;
    }
    file
}

fn mp3() -> Vec<u8> {
    let frame = [&b"\xFF\xFB\x90\x64"[..], &[0; 413]].concat();
    frame.repeat(2)
}

fn tagged(sound: &[u8]) -> Vec<u8> {
    [
        b"ID3\x04\0\0\0\0\0\x0b",
        &b"TIT2\0\0\0\x01\0\0\0"[..],
        sound,
    ]
    .concat()
}

fn ogg(codec: &[u8]) -> Vec<u8> {
    let page = [
        b"OggS\0\x02",
        &[0; 20][..],
        &[1, u8::try_from(codec.len()).unwrap()],
        codec,
    ]
    .concat();
    [page, b"OggS".to_vec()].concat()
}

fn tar() -> Vec<u8> {
    let mut header = vec![0; 1024];
    header[..5].copy_from_slice(b"a.txt");
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

fn honest() -> Vec<(&'static str, Vec<u8>)> {
    let ebml = |doc: &str| {
        let doc_type = [
            &[0x42, 0x82, 0x80 | u8::try_from(doc.len()).unwrap()],
            doc.as_bytes(),
        ]
        .concat();
        let len = 0x80 | u8::try_from(doc_type.len()).unwrap();
        [
            &[0x1A, 0x45, 0xDF, 0xA3, len][..],
            &doc_type,
            b"\x86\x85V_VP9",
        ]
        .concat()
    };
    vec![
        ("image/png", png(3, 2)),
        ("image/jpeg", jpeg(3, 2)),
        ("image/gif", gif()),
        ("image/webp", webp_lossy()),
        ("image/webp", webp_lossless()),
        ("image/webp", webp_extended()),
        ("image/bmp", bmp()),
        ("image/tiff", tiff()),
        ("image/vnd.microsoft.icon", ico()),
        ("image/heic", bmff(*b"heic", b"mif1heic", &still(9, 7))),
        ("image/heic", bmff(*b"mif1", b"mif1heic", &still(9, 7))),
        ("image/avif", bmff(*b"avif", b"mif1miaf", &still(9, 7))),
        ("image/avif", bmff(*b"mif1", b"mif1avif", &still(9, 7))),
        ("video/mp4", bmff(*b"isom", b"isomavc1", &film(*b"vide"))),
        ("video/mp4", bmff(*b"mp42", b"isomavif", &film(*b"vide"))),
        ("video/quicktime", bmff(*b"qt  ", b"qt  ", &film(*b"vide"))),
        ("video/quicktime", film(*b"vide")),
        ("audio/mp4", bmff(*b"M4A ", b"M4A mp42", &film(*b"soun"))),
        ("video/3gpp", bmff(*b"3gp5", b"3gp5", &film(*b"vide"))),
        ("video/webm", ebml("webm")),
        ("video/matroska", ebml("matroska")),
        ("audio/wav", riff(*b"WAVE", b"fmt \x10\0\0\0")),
        ("video/x-msvideo", riff(*b"AVI ", b"LIST\0\0\0\0hdrl")),
        ("audio/mpeg", mp3()),
        ("audio/mpeg", tagged(&mp3())),
        ("audio/flac", b"fLaC\0\0\0\x22\0\0".to_vec()),
        ("audio/ogg", ogg(b"\x01vorbis")),
        ("video/ogg", ogg(b"\x80theora")),
        ("application/pdf", b"%PDF-1.7\n1 0 obj\n".to_vec()),
        (
            "application/pdf",
            b"\xEF\xBB\xBF\n% made by hand\n%PDF-1.4\nxref".to_vec(),
        ),
        ("application/zip", zip(&[("a.txt", b"a")])),
        ("application/zip", zip(&[])),
        (DOCX, office("word/document.xml")),
        (DOCX, office("word\\document2.xml")),
        (XLSX, office("xl/workbook.xml")),
        (XLSB, office("xl/workbook.bin")),
        (PPTX, office("ppt/presentation.xml")),
        (
            "application/vnd.oasis.opendocument.text",
            open_document("text"),
        ),
        (
            "application/vnd.oasis.opendocument.spreadsheet",
            open_document("spreadsheet"),
        ),
        (
            "application/epub+zip",
            zip(&[
                ("mimetype", b"application/epub+zip"),
                ("META-INF/container.xml", b""),
            ]),
        ),
        (
            "application/java-archive",
            zip(&[("META-INF/MANIFEST.MF", b"")]),
        ),
        (
            "application/vnd.android.package-archive",
            zip(&[("META-INF/MANIFEST.MF", b""), ("AndroidManifest.xml", b"")]),
        ),
        ("application/msword", ole("WordDocument")),
        ("application/vnd.ms-excel", ole("Workbook")),
        ("application/vnd.ms-powerpoint", ole("PowerPoint Document")),
        ("application/gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()),
        ("application/x-tar", tar()),
        (
            "application/vnd.rar",
            b"Rar!\x1a\x07\x01\0\0\0\0\0".to_vec(),
        ),
        ("font/woff2", b"wOF2\0\x01\0\0\0\0\0\0".to_vec()),
        ("application/wasm", b"\0asm\x01\0\0\0".to_vec()),
        (
            "application/x-shockwave-flash",
            b"CWS\x0a\x03\0\0\0x".to_vec(),
        ),
        ("text/plain", "Grüße\n".into()),
        ("text/plain", b"caf\xe9, the old way\r\n".to_vec()),
        ("text/plain", b"\xff\xfeh\0i\0".to_vec()),
        ("text/plain", b"BM is two letters".to_vec()),
        (
            "text/plain",
            b"PK says nothing, nor does a %PDF-1.4 in the middle".to_vec(),
        ),
        ("text/plain", b"a < b, <3, <me@example.com>".to_vec()),
        ("text/plain", b"a,b\n1,2\n".to_vec()),
        ("text/x-shellscript", b"#!/bin/sh\n# %PDF-1.4 obj".to_vec()),
        ("application/json", br#"{"a":[1,2]}"#.to_vec()),
        ("application/rtf", br"{\rtf1 hello}".to_vec()),
        ("application/xml", b"<?xml version='1.0'?><feed/>".to_vec()),
        (
            "image/svg+xml",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
        ),
        (
            "image/svg+xml",
            b"<?xml version='1.0'?><!-- x --><!DOCTYPE svg [<!ENTITY a '>'>]>\n<s:svg/>".to_vec(),
        ),
    ]
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
            let Some(extension) = media::extension_of(media_type) else {
                continue;
            };
            // The name says what the slot wants to hear.
            let lie = format!("a{}", media::extension_of(slot).unwrap_or_default());
            for name in [format!("a{extension}"), lie] {
                let accepted = matches!(verdict(&[slot], &name, None, bytes), Verdict::Accept(_));
                let plain = *media_type == "text/plain";
                assert_eq!(
                    accepted,
                    media::covers(slot, media_type) || (plain && slot == media_type),
                    "{name} ({media_type}) in a slot for {slot}"
                );
            }
        }
    }
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
