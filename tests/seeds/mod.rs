//! Small files made by hand, one for each form that a format has.

#![allow(
    dead_code,
    reason = "each of those who share these files uses some of them"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a file of known parts is made, or nothing can be tested"
)]
#![allow(
    missing_docs,
    missing_debug_implementations,
    reason = "the names say what the files are"
)]

use super::media::{DOCM, DOCX, DOTX, PPSX, PPTX, XLSB, XLSX};

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// The files alone.
pub fn all() -> Vec<Vec<u8>> {
    honest().into_iter().map(|(_, bytes)| bytes).collect()
}

pub fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    [
        &u32::try_from(data.len()).unwrap().to_be_bytes()[..],
        &body,
        &crc32(&body).to_be_bytes(),
    ]
    .concat()
}

pub fn png(width: u32, height: u32) -> Vec<u8> {
    let header = [
        &width.to_be_bytes()[..],
        &height.to_be_bytes(),
        &[8, 2, 0, 0, 0],
    ]
    .concat();
    let magic = b"\x89PNG\r\n\x1a\n".to_vec();
    let pixels = chunk(*b"IDAT", b"\x78\x9C\x63\x60\xC0\x04\x00\x00\x14\x00\x01");
    [
        magic,
        chunk(*b"IHDR", &header),
        pixels,
        chunk(*b"IEND", b""),
    ]
    .concat()
}

pub fn jpeg(width: u16, height: u16) -> Vec<u8> {
    [
        &b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"[..],
        b"\xFF\xDB\0\x43\0",
        &[1; 64],
        b"\xFF\xC0\0\x11\x08",
        &height.to_be_bytes(),
        &width.to_be_bytes(),
        b"\x03\x01\x22\0\x02\x11\x01\x03\x11\x01",
        b"\xFF\xDA\0\x0C\x03\x01\0\x02\x11\x03\x11\0\x3F\0data\xFF\xD9",
    ]
    .concat()
}

pub fn gif() -> Vec<u8> {
    b"GIF89a\x03\0\x02\0\x80\0\0\0\0\0\xFF\xFF\xFF\x21\xF9\x04\0\0\0\0\0\x2C\0\0\0\0\x03\0\x02\0\0\x02\x02\x44\x01\0\x3B".to_vec()
}

pub fn riff(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).unwrap();
    [b"RIFF", &len.to_le_bytes()[..], &kind, body].concat()
}

pub fn webp_lossy() -> Vec<u8> {
    riff(
        *b"WEBP",
        b"VP8 \x0c\0\0\0\x10\x02\0\x9d\x01\x2a\x05\0\x04\0\0\0",
    )
}

pub fn webp_lossless() -> Vec<u8> {
    // Width 5 and height 4, each less one, 14 bits apiece.
    riff(*b"WEBP", b"VP8L\x06\0\0\0\x2f\x04\xc0\0\0\0")
}

pub fn webp_extended() -> Vec<u8> {
    riff(
        *b"WEBP",
        b"VP8X\x0a\0\0\0\0\0\0\0\x04\0\0\x03\0\0VP8 \0\0\0\0",
    )
}

pub fn bmp() -> Vec<u8> {
    let header = b"BM\x3e\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\xff\xff\xff\xff\x01\0\x18\0";
    [&header[..], &[0; 32]].concat()
}

pub fn tiff() -> Vec<u8> {
    [
        &b"II*\0\x08\0\0\0\x04\0\x00\x01\x03\0\x01\0\0\0\x07\0\0\0"[..],
        b"\x01\x01\x04\0\x01\0\0\0\x09\0\0\0",
        b"\x11\x01\x04\0\x01\0\0\0\x3E\0\0\0",
        b"\x17\x01\x04\0\x01\0\0\0\x3F\0\0\0\0\0\0\0",
        &[0; 63],
    ]
    .concat()
}

pub fn ico() -> Vec<u8> {
    [
        &b"\0\0\x01\0\x01\0\x10\x20\0\0\x01\0\x20\0\x30\0\0\0\x16\0\0\0\x28\0\0\0"[..],
        &[0; 44],
    ]
    .concat()
}

pub fn boxed(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len() + 8).unwrap();
    [&len.to_be_bytes()[..], &kind, content].concat()
}

pub fn bmff(major: [u8; 4], compatible: &[u8], rest: &[u8]) -> Vec<u8> {
    let brands = [&major[..], b"\0\0\0\0", compatible].concat();
    [boxed(*b"ftyp", &brands), rest.to_vec()].concat()
}

pub fn film(handler: [u8; 4]) -> Vec<u8> {
    let hdlr = boxed(
        *b"hdlr",
        &[b"\0\0\0\0\0\0\0\0", &handler[..], &[0; 13]].concat(),
    );
    let track = boxed(*b"trak", &boxed(*b"mdia", &hdlr));
    boxed(*b"moov", &[boxed(*b"mvhd", &[0; 100]), track].concat())
}

pub fn still(width: u32, height: u32) -> Vec<u8> {
    let ispe = |width: u32, height: u32| {
        boxed(
            *b"ispe",
            &[[0; 4], width.to_be_bytes(), height.to_be_bytes()].concat(),
        )
    };
    let list = [ispe(2, 2), ispe(width, height)].concat();
    let properties = boxed(*b"iprp", &boxed(*b"ipco", &list));
    let handler = [&[0; 8][..], b"pict", &[0; 13]].concat();
    let handler = boxed(*b"hdlr", &handler);
    let meta = boxed(*b"meta", &[&[0; 4][..], &handler, &properties].concat());
    [meta, boxed(*b"mdat", &[0; 24])].concat()
}

/// A ZIP archive of stored members.
pub fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let offset = u32::try_from(out.len()).unwrap();
        let len = u32::try_from(content.len()).unwrap().to_le_bytes();
        let name_len = u16::try_from(name.len()).unwrap().to_le_bytes();
        // From "version needed" to "extra length" both records are alike.
        let shared = [
            &b"\x14\0\0\0\0\0\0\0\0\0"[..],
            &crc32(content).to_le_bytes(),
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

pub fn office(part: &str) -> Vec<u8> {
    zip(&[("[Content_Types].xml", b"<Types/>"), (part, b"<x/>")])
}

/// An Office file whose list of types names its main part.
pub fn typed_office(main: &str, part: &str) -> Vec<u8> {
    let types = format!("<Types><Override PartName='/{part}' ContentType='{main}'/></Types>");
    zip(&[
        ("[Content_Types].xml", types.as_bytes()),
        ("_rels/.rels", b"<x/>"),
        (part, b"<x/>"),
    ])
}

/// A raw photo: a TIFF whose first directory has a tag of its own.
pub fn dng() -> Vec<u8> {
    [
        &b"MM\0*\0\0\0\x08\0\x03"[..],
        b"\x01\0\0\x03\0\0\0\x01\0\x07\0\0",
        b"\x01\x01\0\x03\0\0\0\x01\0\x09\0\0",
        b"\xC6\x12\0\x01\0\0\0\x04\x01\x04\0\0",
        b"\0\0\0\0",
    ]
    .concat()
}

/// TIFF with 64-bit offsets.
pub fn big_tiff() -> Vec<u8> {
    [
        &b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"[..],
        b"\x00\x01\x03\0\x01\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0",
        b"\x01\x01\x04\0\x01\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0",
        b"\0\0\0\0\0\0\0\0",
    ]
    .concat()
}

pub fn adts() -> Vec<u8> {
    [&b"\xFF\xF1\x50\x80\x02\x1F\xFC"[..], &[0x21; 9]]
        .concat()
        .repeat(4)
}

pub fn font() -> Vec<u8> {
    [
        &b"\0\x01\0\0\0\x01\0\x10\0\0\0\0"[..],
        b"cmap\0\0\0\0\0\0\0\x1C\0\0\0\x30",
        &[0; 48],
    ]
    .concat()
}

pub fn open_document(kind: &str) -> Vec<u8> {
    let content = format!("application/vnd.oasis.opendocument.{kind}");
    zip(&[("mimetype", content.as_bytes()), ("content.xml", b"<x/>")])
}

pub fn ole(stream: &str) -> Vec<u8> {
    let mut file = vec![0; 1024];
    file[..8].copy_from_slice(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1");
    file[28..32].copy_from_slice(b"\xFE\xFF\x09\0");
    for (at, name, kind, child) in [(512, "Root Entry", 5, 1), (640, stream, 2, u32::MAX)] {
        for (index, byte) in name.bytes().enumerate() {
            file[at + 2 * index] = byte;
        }
        file[at + 64] = u8::try_from(2 * name.len() + 2).unwrap();
        file[at + 66] = kind;
        // Neither has a sibling.
        file[at + 68..at + 76].fill(0xFF);
        file[at + 76..at + 80].copy_from_slice(&child.to_le_bytes());
    }
    file
}

pub fn mp3() -> Vec<u8> {
    let frame = [&b"\xFF\xFB\x90\x64"[..], &[0; 413]].concat();
    frame.repeat(2)
}

pub fn tagged(sound: &[u8]) -> Vec<u8> {
    [
        b"ID3\x04\0\0\0\0\0\x0b",
        &b"TIT2\0\0\0\x01\0\0\0"[..],
        sound,
    ]
    .concat()
}

/// A format, and four bytes of sound in it.
pub const SOUND: &[u8] =
    b"fmt \x10\0\0\0\x01\0\x01\0\x44\xAC\0\0\x88\x58\x01\0\x02\0\x10\0data\x04\0\0\0\0\0\0\0";

pub fn flac() -> Vec<u8> {
    [
        &b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x0A\xC4\x42\xF0\0\0\x10\0"[..],
        &[0; 16],
        b"\xFF\xF8",
        &[0; 9],
    ]
    .concat()
}

pub fn ogg(codec: &[u8]) -> Vec<u8> {
    let page = [
        b"OggS\0\x02",
        &[0; 20][..],
        &[1, u8::try_from(codec.len()).unwrap()],
        codec,
    ]
    .concat();
    let next = [b"OggS\0\x04", &[0; 20][..], b"\x01\x28", &[0; 40]].concat();
    [page, next].concat()
}

pub fn tar() -> Vec<u8> {
    let mut header = vec![0; 1024];
    header[..5].copy_from_slice(b"a.txt");
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

/// One small file of each type, or more where a type has more forms, with its type.
pub fn honest() -> Vec<(&'static str, Vec<u8>)> {
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
            b"\x18\x53\x80\x67\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
            b"\x16\x54\xAE\x6B\xC5\x86\x85V_VP9\xEC\xBC",
            &[0; 60],
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
        ("audio/wav", riff(*b"WAVE", SOUND)),
        ("video/x-msvideo", riff(*b"AVI ", &[&b"LIST\xCC\0\0\0hdrl"[..], &[0; 200]].concat())),
        ("audio/mpeg", mp3()),
        ("audio/mpeg", tagged(&mp3())),
        ("audio/flac", flac()),
        ("audio/ogg", ogg(b"\x01vorbis")),
        ("video/ogg", ogg(b"\x80theora")),
        (
            "application/pdf",
            b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\nxref\ntrailer\n<</Root 1 0 R>>\nstartxref\n9\n%%EOF\n".to_vec(),
        ),
        (
            "application/pdf",
            b"\xEF\xBB\xBF\n% made by hand\n%PDF-1.4\n1 0 obj\nxref\ntrailer\n<</Root 1 0 R>>\n%%EOF".to_vec(),
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
        (
            DOTX,
            typed_office(
                "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml",
                "word/document.xml",
            ),
        ),
        (
            DOCM,
            typed_office(
                "application/vnd.ms-word.document.macroEnabled.main+xml",
                "word/document.xml",
            ),
        ),
        (
            PPSX,
            typed_office(
                "application/vnd.openxmlformats-officedocument.presentationml.slideshow.main+xml",
                "ppt/presentation.xml",
            ),
        ),
        (
            "application/vnd.oasis.opendocument.text-template",
            open_document("text-template"),
        ),
        ("image/x-adobe-dng", dng()),
        ("image/tiff", big_tiff()),
        ("image/jxl", b"\xFF\x0A\xFA\x1F\x01\x91\x08\x06\x01\0\0\0".to_vec()),
        (
            "image/jxl",
            b"\0\0\0\x0CJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl \0\0\0\x0Cjxlc\xFF\x0A\0\0".to_vec(),
        ),
        (
            "image/jp2",
            [
                b"\0\0\0\x0CjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 ".to_vec(),
                boxed(*b"jp2h", &[0; 40]),
                boxed(*b"jp2c", &[0; 80]),
            ]
            .concat(),
        ),
        (
            "image/vnd.adobe.photoshop",
            [&b"8BPS\0\x01\0\0\0\0\0\0\0\x03\0\0\0\x01\0\0\0\x01\0\x08\0\x03"[..], &[0; 17]].concat(),
        ),
        ("audio/aac", adts()),
        (
            "audio/aiff",
            [&b"FORM\0\0\0\x2EAIFFCOMM\0\0\0\x12"[..], &[0; 18], b"SSND\0\0\0\x08", &[0; 8]].concat(),
        ),
        ("audio/amr", [&b"#!AMR\n\x3C"[..], &[0; 31]].concat()),
        ("audio/flac", tagged(&flac())),
        (
            "video/quicktime",
            [boxed(*b"wide", b""), film(*b"vide")].concat(),
        ),
        (
            "video/mp4",
            [
                boxed(*b"free", b"gap"),
                bmff(*b"isom", b"isomavc1", &film(*b"vide")),
            ]
            .concat(),
        ),
        ("font/ttf", font()),
        (
            "application/vnd.sqlite3",
            [&b"SQLite format 3\0\x02\0"[..], &[0; 494]].concat(),
        ),
        ("application/zstd", b"\x28\xB5\x2F\xFD\x20\0\x01\0\0".to_vec()),
        (
            "text/csv",
            b"name;n\nM\xFCller;1\nMaier;2\n\"a\nb\";3\n".to_vec(),
        ),
        ("text/tab-separated-values", b"a\tb\tc\n1\t2\t3\n".to_vec()),
        (
            "text/plain",
            "h\u{e4}"
                .encode_utf16()
                .flat_map(u16::to_be_bytes)
                .collect(),
        ),
        (
            "text/markdown",
            b"<p align=center>\n<img src=a.png>\n</p>\n\n# Title\n\n## Part\n[a](#b)\n".to_vec(),
        ),
        ("text/calendar", b"BEGIN:VCALENDAR\r\n".to_vec()),
        (
            "application/vnd.google-earth.kml+xml",
            b"<?xml version='1.0'?><kml></kml>".to_vec(),
        ),
        ("application/msword", ole("WordDocument")),
        ("application/vnd.ms-excel", ole("Workbook")),
        ("application/vnd.ms-powerpoint", ole("PowerPoint Document")),
        (
            "application/gzip",
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x04\0\x43\xBE\xB7\xE8\x01\0\0\0".to_vec(),
        ),
        ("application/x-tar", tar()),
        (
            "application/vnd.rar",
            b"Rar!\x1a\x07\x01\0\x33\x92\xb5\xe5\x0a\x01\x05\x06\0\x05\x01\x01\x80\x80\0".to_vec(),
        ),
        (
            "font/woff2",
            [&b"wOF2\0\x01\0\0\0\0\0\x50\0\x01"[..], &[0; 66]].concat(),
        ),
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
        ("application/xml", b"<?xml version='1.0'?><data/>".to_vec()),
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
