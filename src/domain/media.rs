//! Media types, extensions, and what a slot accepts.
//!
//! One table knows every type that detection can name: its IANA name, what else it is
//! called, its extensions, and what a browser does with it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::problem::{Code, Problem};

/// What a browser does with a type when it is told to show it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// Shows it and executes nothing.
    Inert,
    /// May execute what is in it, as the page's own origin.
    Active,
    /// Downloads it, or hands it to a plug-in or a program of its own.
    Opaque,
}
use Nature::{Active, Inert, Opaque};

struct Row {
    name: &'static str,
    nature: Nature,
    /// With their dots; the first is the one a stored file gets.
    extensions: &'static [&'static str],
    aliases: &'static [&'static str],
}

const fn row(
    name: &'static str,
    nature: Nature,
    extensions: &'static [&'static str],
    aliases: &'static [&'static str],
) -> Row {
    Row {
        name,
        nature,
        extensions,
        aliases,
    }
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    row("image/png", Inert, &[".png"], &["image/x-png"]),
    row("image/jpeg", Inert, &[".jpg", ".jpeg", ".jpe", ".jfif"], &["image/jpg", "image/pjpeg", "image/x-jpeg"]),
    row("image/gif", Inert, &[".gif"], &[]),
    row("image/webp", Inert, &[".webp"], &[]),
    row("image/avif", Inert, &[".avif"], &["image/avif-sequence"]),
    row("image/heic", Inert, &[".heic", ".heics", ".hif"], &["image/heic-sequence"]),
    row("image/heif", Inert, &[".heif", ".heifs"], &["image/heif-sequence"]),
    row("image/bmp", Inert, &[".bmp", ".dib"], &["image/x-bmp", "image/x-ms-bmp", "image/x-windows-bmp"]),
    row("image/tiff", Inert, &[".tiff", ".tif"], &["image/x-tiff", "image/tif"]),
    row("image/x-canon-cr2", Opaque, &[".cr2"], &[]),
    row("image/x-canon-cr3", Opaque, &[".cr3"], &[]),
    row("image/x-adobe-dng", Opaque, &[".dng"], &["image/dng"]),
    row("image/vnd.microsoft.icon", Inert, &[".ico"], &["image/x-icon", "image/ico", "image/icon"]),
    row("image/jp2", Opaque, &[".jp2"], &["image/jpeg2000"]),
    row("image/jxl", Inert, &[".jxl"], &[]),
    row("image/vnd.adobe.photoshop", Opaque, &[".psd"], &["image/x-photoshop", "application/x-photoshop", "application/photoshop"]),
    row("image/vnd.djvu", Opaque, &[".djvu", ".djv"], &["image/x-djvu"]),
    row("image/svg+xml", Active, &[".svg"], &["image/svg"]),
    row("text/html", Active, &[".html", ".htm"], &[]),
    row("application/xhtml+xml", Active, &[".xhtml", ".xht"], &[]),
    row("application/xml", Active, &[".xml", ".xsl", ".xslt", ".xsd"], &["text/xml", "text/xsl"]),
    row("text/javascript", Active, &[".js", ".mjs", ".cjs"], &["application/javascript", "application/x-javascript", "application/ecmascript", "text/ecmascript"]),
    row("application/wasm", Active, &[".wasm"], &[]),
    row("application/x-shockwave-flash", Active, &[".swf"], &["application/vnd.adobe.flash.movie"]),
    row("application/x-httpd-php", Active, &[".php", ".phtml", ".phar"], &["application/x-php", "text/x-php", "text/php"]),
    row("text/plain", Inert, &[".txt", ".text", ".log", ".ini", ".conf", ".nfo"], &["text/x-log"]),
    row("text/csv", Opaque, &[".csv"], &["application/csv", "text/x-csv", "text/comma-separated-values"]),
    row("text/tab-separated-values", Opaque, &[".tsv", ".tab"], &["text/tsv"]),
    row("text/markdown", Opaque, &[".md", ".markdown"], &["text/x-markdown"]),
    row("text/css", Opaque, &[".css"], &[]),
    row("text/calendar", Opaque, &[".ics"], &[]),
    row("text/vcard", Opaque, &[".vcf", ".vcard"], &["text/x-vcard", "text/directory"]),
    row("text/vtt", Opaque, &[".vtt"], &[]),
    row("application/x-subrip", Opaque, &[".srt"], &["text/srt"]),
    row("text/x-shellscript", Opaque, &[".sh", ".bash"], &["application/x-sh", "application/x-shellscript", "text/x-sh"]),
    row("application/json", Opaque, &[".json"], &["text/json", "application/x-json"]),
    row("application/geo+json", Opaque, &[".geojson"], &[]),
    row("application/x-ndjson", Opaque, &[".ndjson", ".jsonl"], &["application/jsonl", "application/ndjson"]),
    row("application/yaml", Opaque, &[".yaml", ".yml"], &["application/x-yaml", "text/yaml", "text/x-yaml"]),
    row("application/toml", Opaque, &[".toml"], &[]),
    row("application/sql", Opaque, &[".sql"], &["text/x-sql"]),
    row("application/rtf", Opaque, &[".rtf"], &["text/rtf"]),
    row("application/postscript", Opaque, &[".ps", ".eps", ".ai"], &["image/x-eps"]),
    row("application/pdf", Opaque, &[".pdf"], &["application/x-pdf", "application/acrobat", "text/pdf"]),
    row("application/zip", Opaque, &[".zip"], &["application/x-zip-compressed", "application/x-zip", "multipart/x-zip"]),
    row(DOCX, Opaque, &[".docx"], &[]),
    row(XLSX, Opaque, &[".xlsx"], &[]),
    row(PPTX, Opaque, &[".pptx", ".ppsx"], &[]),
    row(DOCM, Opaque, &[".docm"], &[]),
    row(XLSM, Opaque, &[".xlsm"], &[]),
    row(XLSB, Opaque, &[".xlsb"], &[]),
    row(PPTM, Opaque, &[".pptm"], &[]),
    row("application/vnd.oasis.opendocument.text", Opaque, &[".odt"], &[]),
    row("application/vnd.oasis.opendocument.spreadsheet", Opaque, &[".ods"], &[]),
    row("application/vnd.oasis.opendocument.presentation", Opaque, &[".odp"], &[]),
    row("application/vnd.oasis.opendocument.graphics", Opaque, &[".odg"], &[]),
    row("application/epub+zip", Opaque, &[".epub"], &[]),
    row("application/java-archive", Opaque, &[".jar"], &["application/x-java-archive", "application/x-jar"]),
    row("application/vnd.android.package-archive", Opaque, &[".apk"], &[]),
    row("application/msword", Opaque, &[".doc", ".dot"], &["application/vnd.ms-word", "application/doc"]),
    row("application/vnd.ms-excel", Opaque, &[".xls", ".xlt"], &["application/msexcel", "application/x-msexcel", "application/excel"]),
    row("application/vnd.ms-powerpoint", Opaque, &[".ppt", ".pps"], &["application/mspowerpoint", "application/powerpoint"]),
    row("application/vnd.ms-outlook", Opaque, &[".msg"], &[]),
    row("application/x-msi", Opaque, &[".msi"], &[]),
    row("application/x-ole-storage", Opaque, &[], &["application/x-cfb"]),
    row("application/gzip", Opaque, &[".gz", ".tgz"], &["application/x-gzip", "application/x-compressed-tar"]),
    row("application/x-bzip2", Opaque, &[".bz2"], &["application/bzip2"]),
    row("application/x-xz", Opaque, &[".xz"], &[]),
    row("application/zstd", Opaque, &[".zst"], &["application/x-zstd"]),
    row("application/x-7z-compressed", Opaque, &[".7z"], &[]),
    row("application/vnd.rar", Opaque, &[".rar"], &["application/x-rar-compressed", "application/x-rar"]),
    row("application/x-tar", Opaque, &[".tar"], &["application/tar"]),
    row("video/mp4", Inert, &[".mp4"], &["application/mp4"]),
    row("video/x-m4v", Inert, &[".m4v"], &[]),
    row("video/quicktime", Inert, &[".mov", ".qt"], &[]),
    row("video/3gpp", Inert, &[".3gp"], &["audio/3gpp"]),
    row("video/3gpp2", Inert, &[".3g2"], &["audio/3gpp2"]),
    row("video/webm", Inert, &[".webm"], &[]),
    row("video/matroska", Inert, &[".mkv"], &["video/x-matroska"]),
    row("video/x-msvideo", Opaque, &[".avi"], &["video/avi", "video/msvideo", "video/vnd.avi"]),
    row("video/x-ms-wmv", Opaque, &[".wmv"], &[]),
    row("video/mpeg", Opaque, &[".mpg", ".mpeg"], &[]),
    row("video/x-flv", Opaque, &[".flv"], &[]),
    row("video/ogg", Inert, &[".ogv"], &[]),
    row("audio/mpeg", Inert, &[".mp3"], &["audio/mp3", "audio/x-mp3", "audio/x-mpeg", "audio/mpeg3"]),
    row("audio/mp4", Inert, &[".m4a", ".m4b"], &["audio/x-m4a", "audio/m4a"]),
    row("audio/aac", Inert, &[".aac"], &["audio/x-aac", "audio/aacp", "audio/x-hx-aac-adts"]),
    row("audio/ogg", Inert, &[".ogg", ".oga", ".opus", ".spx"], &["audio/opus", "application/ogg", "audio/vorbis"]),
    row("audio/webm", Inert, &[".weba"], &[]),
    row("audio/wav", Inert, &[".wav", ".wave"], &["audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/x-pn-wav"]),
    row("audio/flac", Inert, &[".flac"], &["audio/x-flac"]),
    row("audio/aiff", Opaque, &[".aiff", ".aif"], &["audio/x-aiff"]),
    row("audio/midi", Opaque, &[".mid", ".midi"], &["audio/x-midi", "audio/mid"]),
    row("audio/amr", Opaque, &[".amr"], &[]),
    row("font/ttf", Opaque, &[".ttf"], &["application/x-font-ttf", "application/font-sfnt"]),
    row("font/otf", Opaque, &[".otf"], &["application/x-font-otf", "application/x-font-opentype"]),
    row("font/woff", Opaque, &[".woff"], &["application/font-woff", "application/x-font-woff"]),
    row("font/woff2", Opaque, &[".woff2"], &["application/font-woff2"]),
    row("application/vnd.microsoft.portable-executable", Opaque, &[".exe", ".dll"], &["application/x-msdownload", "application/x-msdos-program", "application/x-dosexec"]),
    row("application/x-executable", Opaque, &[".elf"], &["application/x-elf", "application/x-sharedlib"]),
    row("application/x-mach-binary", Opaque, &[], &[]),
    row("application/java", Opaque, &[".class"], &["application/java-vm"]),
    row("application/vnd.sqlite3", Opaque, &[".sqlite", ".sqlite3"], &["application/x-sqlite3"]),
    row("application/vnd.debian.binary-package", Opaque, &[".deb"], &[]),
    row("application/x-rpm", Opaque, &[".rpm"], &[]),
    row("application/x-google-chrome-extension", Opaque, &[".crx"], &["application/x-chrome-extension"]),
    row("application/vnd.ms-cab-compressed", Opaque, &[".cab"], &[]),
    row("application/x-mobipocket-ebook", Opaque, &[".mobi"], &[]),
    row("application/dicom", Opaque, &[".dcm"], &[]),
    row("application/octet-stream", Opaque, &[".bin"], &["binary/octet-stream", "application/x-download", "application/force-download"]),
];

/// Word's, Excel's and `PowerPoint`'s types, too long to write twice.
pub const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
/// An Excel workbook.
pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// A `PowerPoint` presentation.
pub const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";
/// A Word document with macros.
pub const DOCM: &str = "application/vnd.ms-word.document.macroenabled.12";
/// An Excel workbook with macros.
pub const XLSM: &str = "application/vnd.ms-excel.sheet.macroenabled.12";
/// A binary Excel workbook, which may hold macros.
pub const XLSB: &str = "application/vnd.ms-excel.sheet.binary.macroenabled.12";
/// A `PowerPoint` presentation with macros.
pub const PPTM: &str = "application/vnd.ms-powerpoint.presentation.macroenabled.12";
/// What bytes of no known type are stored as.
pub const OCTET_STREAM: &str = "application/octet-stream";

fn row_of(media_type: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == media_type)
}

/// The name the table has for a lower-case `type/subtype`, by name or alias.
pub fn known_type(name: &str) -> Option<&'static str> {
    TABLE
        .iter()
        .find(|row| row.name == name || row.aliases.contains(&name))
        .map(|row| row.name)
}

/// The canonical form of a media type as people and browsers write it: lower case, no
/// parameters, its IANA name where it has several. `None` when it is not
/// `type/subtype` of RFC 6838 restricted names.
pub fn canonical(text: &str) -> Option<Cow<'static, str>> {
    let essence = text.split(';').next()?.trim().to_ascii_lowercase();
    let (top, sub) = essence.split_once('/')?;
    if !is_restricted_name(top) || !is_restricted_name(sub) {
        return None;
    }
    Some(known_type(&essence).map_or(Cow::Owned(essence), Cow::Borrowed))
}

/// RFC 6838 §4.2, without its demand on the first character.
fn is_restricted_name(text: &str) -> bool {
    (1..=127).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}

/// The type that an extension stands for; with or without its dot, any case.
pub fn type_of_extension(extension: &str) -> Option<&'static str> {
    let bare = extension.strip_prefix('.').unwrap_or(extension);
    TABLE
        .iter()
        .find(|row| {
            row.extensions
                .iter()
                .any(|known| known[1..].eq_ignore_ascii_case(bare))
        })
        .map(|row| row.name)
}

/// The extension, with its dot, that a stored file of a canonical type gets. Bytes of no
/// known type get none.
pub fn extension_of(media_type: &str) -> Option<&'static str> {
    if media_type == OCTET_STREAM {
        return None;
    }
    row_of(media_type)?.extensions.first().copied()
}

/// The extension of a file's name: from the last dot of the last component, lower case,
/// with its dot. A leading dot alone (`.profile`) makes none.
pub fn extension_of_name(name: &str) -> Option<String> {
    let base = name
        .rsplit(['/', '\\'])
        .next()?
        .trim_end_matches([' ', '.']);
    let dot = base.rfind('.').filter(|at| *at > 0)?;
    Some(base[dot..].to_lowercase())
}

/// Whether a browser shows the canonical type without executing anything in it, so that
/// `disposition = "inline"` is safe.
pub fn is_inert(media_type: &str) -> bool {
    row_of(media_type).is_some_and(|row| row.nature == Inert)
}

/// Whether a browser or a web server may execute what is in the canonical type.
pub fn is_active(media_type: &str) -> bool {
    row_of(media_type).is_some_and(|row| row.nature == Active)
}

/// Whether the canonical type's content is text that no signature tells apart.
fn is_plain_text_family(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/json"
            | "application/geo+json"
            | "application/x-ndjson"
            | "application/yaml"
            | "application/toml"
            | "application/sql"
            | "application/x-subrip"
    ) || (media_type.starts_with("text/") && !is_active(media_type))
}

/// Whether the canonical type is a ZIP archive with a meaning of its own. Office files
/// with macros are left out: who takes archives has not asked for those.
fn is_zip_family(media_type: &str) -> bool {
    matches!(
        media_type,
        DOCX | XLSX
            | PPTX
            | "application/epub+zip"
            | "application/java-archive"
            | "application/vnd.android.package-archive"
    ) || media_type.starts_with("application/vnd.oasis.opendocument.")
}

/// Whether a file of type `special` is rightly called a `general`: the same type, one
/// built on it, or one that its bytes cannot be told from. Both canonical.
pub fn covers(general: &str, special: &str) -> bool {
    if general == special {
        return true;
    }
    match (general, special) {
        ("text/plain", text) => is_plain_text_family(text),
        ("application/zip", zip) => is_zip_family(zip),
        ("text/javascript", special) => special == "text/plain",
        ("application/x-ndjson", special) => matches!(special, "text/plain" | "application/json"),
        ("application/geo+json", special) => special == "application/json",
        // A parser or a mark settles these, so plain text is none of them.
        ("application/json" | "text/x-shellscript", _) => false,
        (general, "text/plain") => is_plain_text_family(general),
        ("image/heic", special) => special == "image/heif",
        ("image/heif", special) => special == "image/heic",
        ("video/mp4", special) => special == "video/x-m4v",
        ("video/x-m4v", special) => special == "video/mp4",
        ("video/matroska", special) => matches!(special, "video/webm" | "audio/webm"),
        ("video/webm", special) => special == "audio/webm",
        ("video/ogg", special) => special == "audio/ogg",
        _ => false,
    }
}

/// One entry of a slot's `accept`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcceptItem {
    /// `.jpg`: lower case, with its dot.
    Extension(String),
    /// `image/png`, canonical.
    Type(String),
    /// `image/*`, held as `image`.
    Wildcard(String),
}

impl AcceptItem {
    fn parse(text: &str) -> Option<Self> {
        let item = text.trim().to_ascii_lowercase();
        if let Some(bare) = item.strip_prefix('.') {
            let plain = !bare.is_empty() && !bare.contains(['/', '\\', ' ', ',', ';', '*']);
            return plain.then_some(Self::Extension(item));
        }
        if let Some(top) = item.strip_suffix("/*") {
            let plain = top == "*" || is_restricted_name(top);
            return plain.then(|| Self::Wildcard(top.to_owned()));
        }
        canonical(&item).map(|name| Self::Type(name.into_owned()))
    }

    /// The type this entry names; a wildcard names none.
    fn names(&self) -> Option<&str> {
        match self {
            Self::Extension(extension) => type_of_extension(extension),
            Self::Type(name) => Some(name),
            Self::Wildcard(_) => None,
        }
    }

    fn admits(&self, media_type: &str) -> bool {
        match self {
            // A wildcard never lets in what a browser executes: that has to be named.
            Self::Wildcard(_) if is_active(media_type) => false,
            Self::Wildcard(top) if top == "*" => true,
            Self::Wildcard(top) => {
                media_type.split('/').next() == Some(top)
                    || (top == "text" && covers("text/plain", media_type))
            }
            Self::Extension(_) | Self::Type(_) => {
                self.names().is_some_and(|name| covers(name, media_type))
            }
        }
    }
}

/// What a slot accepts; empty: any bytes. JSON: a list of strings as configured, aliases
/// under their canonical names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Accept(Vec<AcceptItem>);

impl Accept {
    /// Parses entries as a slot's `accept` or an HTML `accept` attribute lists them.
    pub fn parse<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Result<Self, String> {
        items
            .into_iter()
            .map(|item| {
                let text = item.as_ref();
                AcceptItem::parse(text).ok_or_else(|| {
                    format!(
                        "`{}` is neither `.ext`, `type/subtype` nor `type/*`",
                        text.trim()
                    )
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether any bytes are accepted.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries.
    pub fn items(&self) -> &[AcceptItem] {
        &self.0
    }

    /// Whether a file of this canonical type is accepted. `image/*` admits no SVG, nor any
    /// wildcard what a browser executes; `.txt` admits JSON, CSV and other text, `.csv`
    /// plain text, `.zip` the formats built on it.
    pub fn admits(&self, media_type: &str) -> bool {
        self.is_any() || self.0.iter().any(|item| item.admits(media_type))
    }

    /// The hints that [`hint_refusal`](Self::hint_refusal) lets pass, for clients that look
    /// before they ask: the known extensions, and the names of types. Both empty when any
    /// bytes are accepted.
    pub fn known_hints(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        if self.is_any() {
            return (Vec::new(), Vec::new());
        }
        let admitted = TABLE.iter().filter(|row| self.admits(row.name));
        let extensions = admitted.flat_map(|row| row.extensions).copied().collect();
        let harmless = |row: &&Row| row.name == OCTET_STREAM || self.admits(row.name);
        let types = TABLE.iter().filter(harmless);
        let types = types.flat_map(|row| [row.name].into_iter().chain(row.aliases.iter().copied()));
        (extensions, types.collect())
    }

    /// Why what is known before the upload rules a file out: a hint is given and none is
    /// accepted. An extension that stands for no type, no declared type, and
    /// `application/octet-stream` are not hints: the bytes decide.
    pub fn hint_refusal(&self, extension: Option<&str>, declared: Option<&str>) -> Option<Problem> {
        let extension = extension.filter(|given| {
            let listed =
                |item: &AcceptItem| matches!(item, AcceptItem::Extension(known) if known == given);
            type_of_extension(given).is_some() || self.0.iter().any(listed)
        });
        let from_extension =
            extension.map(|given| Cow::from(type_of_extension(given).unwrap_or(OCTET_STREAM)));
        let from_type = declared
            .and_then(canonical)
            .filter(|name| name != OCTET_STREAM);
        let hints = [from_extension, from_type];
        let mut given = hints.iter().flatten().peekable();
        if self.is_any() || given.peek().is_none() || given.any(|hint| self.admits(hint)) {
            return None;
        }
        let hint = hints.iter().flatten().next()?;
        let accept: Vec<String> = self.clone().into();
        Some(
            Problem::new(
                Code::TypeNotAccepted,
                format!("the slot takes {}, not {hint}", accept.join(", ")),
            )
            .with("accept", accept)
            .with("declared", hint.as_ref()),
        )
    }
}

impl TryFrom<Vec<String>> for Accept {
    type Error = String;
    fn try_from(items: Vec<String>) -> Result<Self, String> {
        Self::parse(items)
    }
}

impl From<Accept> for Vec<String> {
    fn from(accept: Accept) -> Self {
        accept
            .0
            .into_iter()
            .map(|item| match item {
                AcceptItem::Extension(ext) => ext,
                AcceptItem::Type(name) => name,
                AcceptItem::Wildcard(top) => format!("{top}/*"),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_alias_and_extension_stands_for_one_type() {
        let mut seen = std::collections::HashSet::new();
        for row in TABLE {
            for name in [row.name].iter().chain(row.aliases).chain(row.extensions) {
                assert!(seen.insert(*name), "{name} is listed twice");
                assert_eq!(*name, name.to_ascii_lowercase());
            }
            for extension in row.extensions {
                assert!(extension.starts_with('.'), "{extension}");
            }
        }
    }

    #[test]
    fn a_known_hint_is_one_that_is_not_refused() {
        for accept in [
            &["image/*"][..],
            &[".csv", ".zip"],
            &["*/*"],
            &["image/svg+xml"],
        ] {
            let accept = Accept::parse(accept).unwrap();
            let (extensions, types) = accept.known_hints();
            for row in TABLE {
                for extension in row.extensions {
                    let refused = accept.hint_refusal(Some(extension), None).is_some();
                    assert_eq!(extensions.contains(extension), !refused, "{extension}");
                }
                for name in [row.name].iter().chain(row.aliases) {
                    let refused = accept.hint_refusal(None, Some(name)).is_some();
                    assert_eq!(types.contains(name), !refused, "{name}");
                }
            }
        }
        assert_eq!(Accept::default().known_hints(), (vec![], vec![]));
    }

    #[test]
    fn a_media_type_is_read_as_people_write_it() {
        for (written, canon) in [
            ("image/PNG; charset=x", Some("image/png")),
            (" image/jpg ", Some("image/jpeg")),
            ("audio/x-wav", Some("audio/wav")),
            ("text/xml", Some("application/xml")),
            ("application/x-zip-compressed", Some("application/zip")),
            ("Chemical/X-PDB", Some("chemical/x-pdb")),
            ("", None),
            ("image", None),
            ("image/", None),
            ("a/b/c", None),
            ("image/p\0ng", None),
        ] {
            assert_eq!(canonical(written).as_deref(), canon, "{written:?}");
        }
    }

    #[test]
    fn an_extension_is_the_end_of_the_last_component() {
        for (name, extension) in [
            ("a.PNG", Some(".png")),
            ("a.tar.gz", Some(".gz")),
            ("dir.d/file", None),
            (r"C:\x.d\photo.JPeG", Some(".jpeg")),
            ("evil.php.jpg", Some(".jpg")),
            ("evil.html. . ", Some(".html")),
            (".profile", None),
            ("", None),
            ("...", None),
        ] {
            assert_eq!(extension_of_name(name).as_deref(), extension, "{name:?}");
        }
    }

    #[test]
    fn a_slot_admits_what_it_names_and_what_is_built_on_it() {
        for (accept, media_type, admitted) in [
            (vec!["image/*"], "image/png", true),
            (vec!["image/*"], "image/svg+xml", false),
            (vec!["image/*", ".svg"], "image/svg+xml", true),
            (vec!["image/*"], "text/html", false),
            (vec!["text/*"], "text/html", false),
            (vec!["text/*"], "text/javascript", false),
            (vec!["text/*"], "application/json", true),
            (vec![".jpeg"], "image/jpeg", true),
            (vec!["image/jpg"], "image/jpeg", true),
            (vec![".heic"], "image/heif", true),
            (vec![".heic"], "image/avif", false),
            (vec![".mp4"], "video/quicktime", false),
            (vec![".mkv"], "video/webm", true),
            (vec![".webm"], "video/matroska", false),
            (vec![".zip"], DOCX, true),
            (vec![".zip"], DOCM, false),
            (vec![".docx"], "application/zip", false),
            (vec![".docx"], DOCM, false),
            (vec![".docx"], XLSX, false),
            (vec![".txt"], "application/json", true),
            (vec![".txt"], "text/html", false),
            (vec![".txt"], "application/xml", false),
            (vec![".txt"], "text/javascript", false),
            (vec![".csv"], "text/plain", true),
            (vec![".csv"], "application/json", false),
            (vec![".json"], "text/plain", false),
            (vec!["*/*"], "application/pdf", true),
            (vec!["*/*"], "text/html", false),
            (vec![".step"], "model/step", false),
            (vec![], "text/html", true),
        ] {
            let slot = Accept::parse(&accept).unwrap();
            assert_eq!(slot.admits(media_type), admitted, "{accept:?} {media_type}");
        }
    }

    #[test]
    fn entries_that_mean_nothing_are_refused() {
        for bad in [
            "png", ".", "", "/", "image/", "/*", "a b/*", ".a/b", "a/b/c",
        ] {
            assert!(Accept::parse([bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_hint_refuses_only_when_it_is_given_and_none_is_accepted() {
        let slot = Accept::parse([".jpg", "image/png", ".csv"]).unwrap();
        for (extension, declared, refused) in [
            (None, None, false),
            (Some(".jpg"), None, false),
            (Some(".pdf"), None, true),
            (Some(".pdf"), Some("image/png"), false),
            (Some(".jpg"), Some("application/pdf"), false),
            (Some(".pdf"), Some("application/octet-stream"), true),
            (Some(".xyz"), Some("application/octet-stream"), false),
            (Some(".xyz"), Some(""), false),
            (Some(".xyz"), Some("text/html"), true),
            (None, Some("image/jpg"), false),
            (Some(".csv"), Some("application/vnd.ms-excel"), false),
        ] {
            assert_eq!(
                slot.hint_refusal(extension, declared).is_some(),
                refused,
                "{extension:?} {declared:?}"
            );
        }
        assert!(Accept::default().hint_refusal(Some(".exe"), None).is_none());
        let problem = slot.hint_refusal(Some(".pdf"), None).unwrap();
        assert_eq!(problem.code, Code::TypeNotAccepted);
        assert_eq!(
            problem.detail,
            "the slot takes .jpg, image/png, .csv, not application/pdf"
        );
    }
}
