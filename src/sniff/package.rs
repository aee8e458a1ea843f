//! What is built on ZIP, by its members' names and by what it says of itself: Office Open
//! XML (ECMA-376), `OpenDocument`, EPUB, Java and Android archives.

use super::bytes::{Sample, contains};
use super::zip::Member;
use crate::domain::media::{
    self, DOCM, DOCX, DOTM, DOTX, POTM, POTX, PPAM, PPSM, PPSX, PPTM, PPTX, XLAM, XLSB, XLSM, XLSX,
    XLTM, XLTX,
};
use crate::domain::verdict::{Finding, Flag};

const XPS: &str = "application/oxps";
const VSDX: &str = "application/vnd.ms-visio.drawing.main+xml";
const VSDM: &str = "application/vnd.ms-visio.drawing.macroenabled.main+xml";

/// What `[Content_Types].xml` calls the main part, and what the file then is.
const MAIN_PARTS: [(&[u8], &str); 21] = [
    (b"wordprocessingml.document.main+xml", DOCX),
    (b"wordprocessingml.template.main+xml", DOTX),
    (b"ms-word.document.macroenabled.main+xml", DOCM),
    (b"ms-word.template.macroenabledtemplate.main+xml", DOTM),
    (b"spreadsheetml.sheet.main+xml", XLSX),
    (b"spreadsheetml.template.main+xml", XLTX),
    (b"ms-excel.sheet.macroenabled.main+xml", XLSM),
    (b"ms-excel.template.macroenabled.main+xml", XLTM),
    (b"ms-excel.addin.macroenabled.main+xml", XLAM),
    (b"ms-excel.sheet.binary.macroenabled.main", XLSB),
    (b"presentationml.presentation.main+xml", PPTX),
    (b"presentationml.slideshow.main+xml", PPSX),
    (b"presentationml.template.main+xml", POTX),
    (b"ms-powerpoint.presentation.macroenabled.main+xml", PPTM),
    (b"ms-powerpoint.slideshow.macroenabled.main+xml", PPSM),
    (b"ms-powerpoint.template.macroenabled.main+xml", POTM),
    (b"ms-powerpoint.addin.macroenabled.main+xml", PPAM),
    (b"ms-visio.drawing.main+xml", VSDX),
    (b"ms-visio.drawing.macroenabled.main+xml", VSDM),
    (b"xps-fixeddocumentsequence+xml", XPS),
    (b"3dmanufacturing-3dmodel+xml", "model/3mf"),
];

/// What a file that says it has no macros is when it has them.
const WITH_MACROS: [(&str, &str); 8] = [
    (DOCX, DOCM),
    (DOTX, DOTM),
    (XLSX, XLSM),
    (XLTX, XLTM),
    (PPTX, PPTM),
    (PPSX, PPSM),
    (POTX, POTM),
    (VSDX, VSDM),
];

/// Programs, which no document has among its members.
const PROGRAMS: [&[u8]; 18] = [
    b".exe", b".dll", b".scr", b".bat", b".cmd", b".vbs", b".vbe", b".ps1", b".hta", b".jse",
    b".wsf", b".msi", b".lnk", b".jar", b".php", b".phar", b".elf", b".class",
];

/// What the members' names tell.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each name that is looked for"
)]
pub struct Members {
    /// How many were read.
    pub seen: usize,
    /// What the `mimetype` member says, or the manifest.
    declared: Option<&'static str>,
    /// What `[Content_Types].xml` says.
    main_part: Option<&'static str>,
    content_types: bool,
    relations: bool,
    word: bool,
    excel: bool,
    binary_excel: bool,
    slides: bool,
    macros: bool,
    program: bool,
    script: bool,
    container: bool,
    open_document: bool,
    manifest: bool,
    android: bool,
    map: bool,
    encrypted: bool,
    escape: bool,
    bomb: bool,
}

impl Members {
    /// Takes notice of a member.
    pub fn note(&mut self, sample: &Sample, member: &Member) {
        let name = Name(member.name);
        self.seen += 1;
        self.relations |= name.is("_rels/.rels");
        self.word |= name.is_part("word/document", ".xml");
        self.excel |= name.is_part("xl/workbook", ".xml");
        self.binary_excel |= name.is_part("xl/workbook", ".bin");
        self.slides |= name.is_part("ppt/presentation", ".xml");
        self.macros |= name.ends(b"vbaproject.bin") || name.starts("Basic/");
        self.program |= PROGRAMS.iter().any(|ending| name.ends(ending));
        self.script |= name.ends(b".js");
        self.container |= name.is("META-INF/container.xml");
        self.open_document |= name.is("content.xml") || name.is("META-INF/manifest.xml");
        self.manifest |= name.is("META-INF/MANIFEST.MF");
        self.android |= name.is("AndroidManifest.xml");
        self.map |= name.is("doc.kml");
        self.encrypted |= member.flags & 1 != 0;
        self.escape |= name.escapes();
        self.bomb |= member.unpacked > 1_000_000
            && u64::from(member.unpacked) > 1000 * u64::from(member.packed)
            && member.unpacked != u32::MAX;
        if name.is("[Content_Types].xml") {
            self.content_types = true;
            let main = || member.content(sample).and_then(|text| main_part(&text));
            self.main_part = self.main_part.or_else(main);
        } else if name.is("mimetype") {
            let said = member.content(sample).and_then(|text| declared_type(&text));
            self.declared = said.or(self.declared);
        } else if name.is("META-INF/manifest.xml") && self.declared.is_none() {
            self.declared = member.content(sample).and_then(|text| root_type(&text));
        }
    }

    /// What the archive is.
    pub fn media_type(&self) -> &'static str {
        let named = match self.declared {
            _ if self.android && !self.content_types => "application/vnd.android.package-archive",
            Some("application/epub+zip") if self.container => "application/epub+zip",
            Some(name) if self.open_document && name != "application/epub+zip" => name,
            _ if self.content_types => self.office(),
            _ if self.manifest => "application/java-archive",
            _ if self.map => "application/vnd.google-earth.kmz",
            _ => "application/zip",
        };
        // Web pages are made of script, Office's documents are not.
        let program = self.program || self.script && self.content_types;
        if program && !media::is_archive(named) {
            "application/zip"
        } else {
            named
        }
    }

    fn office(&self) -> &'static str {
        let parts = [self.word, self.excel, self.binary_excel, self.slides];
        let by_parts = match parts {
            [true, false, false, false] => Some(DOCX),
            [false, true, false, false] => Some(XLSX),
            [false, false, true, false] => Some(XLSB),
            [false, false, false, true] => Some(PPTX),
            _ => None,
        };
        let has_part = self.relations || parts.contains(&true);
        let media_type = self
            .main_part
            .filter(|_| has_part)
            .or(by_parts)
            .unwrap_or("application/zip");
        WITH_MACROS
            .into_iter()
            .find(|(plain, _)| self.macros && *plain == media_type)
            .map_or(media_type, |(_, with)| with)
    }

    /// With what else was noticed.
    pub fn flag(&self, finding: Finding) -> Finding {
        let packaged = self.content_types || self.declared.is_some();
        let macros = self.macros
            || finding
                .media_type
                .is_some_and(|name| name.contains("macroenabled"));
        finding
            .flagged(Flag::Macros, macros)
            .flagged(Flag::ProgramInside, self.program && packaged)
            .flagged(Flag::Encrypted, self.encrypted)
            .flagged(Flag::PathEscape, self.escape)
            .flagged(Flag::BombRatio, self.bomb)
    }
}

fn main_part(text: &[u8]) -> Option<&'static str> {
    MAIN_PARTS
        .into_iter()
        .find(|(part, _)| contains(text, part))
        .map(|(_, media_type)| media_type)
}

/// The types that a `mimetype` member may state.
fn declared_type(content: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(content.trim_ascii()).ok()?;
    let known = text == "application/epub+zip"
        || text == "application/vnd.sun.xml.base"
        || text.starts_with("application/vnd.oasis.opendocument.");
    media::known_type(text).filter(|_| known)
}

/// The type that an `OpenDocument` manifest states for the whole: of the entry `/`.
fn root_type(manifest: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(manifest);
    text.split('<')
        .filter(|tag| tag.contains("full-path=\"/\""))
        .find_map(|tag| {
            declared_type(
                tag.split("media-type=\"")
                    .nth(1)?
                    .split('"')
                    .next()?
                    .as_bytes(),
            )
        })
}

/// A member's path; archivers differ in case and in slashes.
struct Name<'a>(&'a [u8]);

impl Name<'_> {
    fn is(&self, path: &str) -> bool {
        self.0.len() == path.len() && self.starts(path)
    }

    fn starts(&self, path: &str) -> bool {
        let alike = |(found, wanted): (&u8, &u8)| {
            found.eq_ignore_ascii_case(wanted) || (*found == b'\\' && *wanted == b'/')
        };
        self.0.len() >= path.len() && self.0.iter().zip(path.as_bytes()).all(alike)
    }

    fn ends(&self, ending: &[u8]) -> bool {
        self.0
            .len()
            .checked_sub(ending.len())
            .is_some_and(|at| self.0[at..].eq_ignore_ascii_case(ending))
    }

    /// `word/document.xml`, and the `document2.xml` some writers number.
    fn is_part(&self, stem: &str, extension: &str) -> bool {
        let rest = self.0.get(stem.len()..).unwrap_or_default();
        let digits = rest.len().checked_sub(extension.len());
        self.starts(stem)
            && digits.is_some_and(|digits| {
                rest[..digits].iter().all(u8::is_ascii_digit)
                    && rest[digits..].eq_ignore_ascii_case(extension.as_bytes())
            })
    }

    fn escapes(&self) -> bool {
        matches!(self.0, [b'/' | b'\\', ..] | [_, b':', ..])
            || self
                .0
                .split(|byte| matches!(byte, b'/' | b'\\'))
                .any(|step| step == b"..")
    }
}
