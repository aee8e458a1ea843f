//! Media types, extensions, and what a slot accepts.
//!
//! One table knows every type that detection can name: its IANA name, what else it is
//! called, its extensions, and what a browser does with it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::problem::{Code, Problem};

mod table;
use table::Nature::{Active, Inert, Markup};
pub use table::{
    DOCM, DOCX, DOTM, DOTX, OCTET_STREAM, POTM, POTX, PPAM, PPSM, PPSX, PPTM, PPTX, XLAM, XLSB,
    XLSM, XLSX, XLTM, XLTX,
};
use table::{Row, TABLE};

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

/// Whether a browser or a web server may execute what is in the canonical type. For SVG
/// and other XML it depends on the content; a wildcard lets in none of them.
pub fn is_active(media_type: &str) -> bool {
    row_of(media_type).is_some_and(|row| matches!(row.nature, Active | Markup))
}

/// Whether every file of the canonical type is active, whatever it holds.
pub fn is_script(media_type: &str) -> bool {
    row_of(media_type).is_some_and(|row| row.nature == Active)
}

/// What a format is built on, where several share it; else the kind of thing it is.
pub fn family(media_type: &str) -> &'static str {
    let (top, sub) = media_type.split_once('/').unwrap_or((media_type, ""));
    match media_type {
        "image/heic" | "image/heif" | "image/avif" | "image/x-canon-cr3" | "video/mj2" => {
            "iso-bmff"
        }
        _ if is_film(media_type) => "iso-bmff",
        "image/webp" | "audio/wav" | "video/x-msvideo" => "riff",
        "video/matroska" | "video/webm" | "audio/webm" => "matroska",
        "audio/ogg" | "video/ogg" => "ogg",
        "audio/mpeg" | "audio/aac" => "mpeg-audio",
        "image/tiff" | "image/x-adobe-dng" | "image/x-canon-cr2" => "tiff",
        "image/svg+xml" | "text/html" | "application/xhtml+xml" | "application/xml" => "markup",
        "application/rtf" | "application/pdf" | "application/postscript" => "document",
        _ if is_zip(media_type) => "zip",
        _ if is_ole(media_type) => "ole2",
        _ if sub.ends_with("+xml") => "markup",
        _ if is_json(media_type) || is_plain_text_family(media_type) => "text",
        _ if is_archive(media_type) => "archive",
        _ => ["image", "video", "audio", "font", "text", "model"]
            .into_iter()
            .find(|kind| *kind == top)
            .unwrap_or("data"),
    }
}

/// The brands of one container, between which writers and extensions do not keep order.
pub fn is_film(media_type: &str) -> bool {
    matches!(
        media_type,
        "video/mp4"
            | "video/x-m4v"
            | "video/quicktime"
            | "video/3gpp"
            | "video/3gpp2"
            | "audio/mp4"
    )
}

fn is_ole(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/msword"
            | "application/vnd.ms-excel"
            | "application/vnd.ms-powerpoint"
            | "application/vnd.ms-outlook"
            | "application/vnd.visio"
            | "application/vnd.ms-project"
            | "application/x-mspublisher"
            | "application/x-hwp"
            | "application/x-msi"
            | "application/x-ole-storage"
    )
}

/// Archives and compressed files that may hold anything, code of servers included.
pub fn is_archive(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/zip"
            | "application/java-archive"
            | "application/vnd.android.package-archive"
            | "application/gzip"
            | "application/x-bzip2"
            | "application/x-xz"
            | "application/zstd"
            | "application/x-7z-compressed"
            | "application/vnd.rar"
            | "application/x-tar"
            | "application/x-lz4"
            | "application/x-lzip"
            | "application/x-compress"
            | "application/x-lzma"
            | "application/x-iso9660-image"
            | "application/x-archive"
            | "application/x-cpio"
            | "application/x-arj"
            | "application/x-lzh-compressed"
            | "application/vnd.ms-cab-compressed"
            | "application/vnd.debian.binary-package"
            | "application/x-rpm"
    )
}

/// Whether the canonical type is an Office file that may carry macros.
fn has_macros(media_type: &str) -> bool {
    media_type.contains("macroenabled")
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}

/// Whether the canonical type's content is text that no signature tells apart.
pub fn is_plain_text_family(media_type: &str) -> bool {
    is_json(media_type)
        || matches!(
            media_type,
            "application/x-ndjson"
                | "application/yaml"
                | "application/toml"
                | "application/sql"
                | "application/x-subrip"
                | "application/x-tex"
                | "application/x-bat"
                | "message/rfc822"
                | "model/obj"
                | "model/step"
        )
        || (media_type.starts_with("text/") && !is_active(media_type))
}

/// Text of which one kind reads like the other, whatever a look at it guessed.
fn is_loose_text(media_type: &str) -> bool {
    matches!(
        media_type,
        "text/plain" | "text/csv" | "text/tab-separated-values" | "text/markdown"
    )
}

/// Whether the canonical type is a ZIP archive with a meaning of its own.
fn is_zip(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/zip"
            | "application/epub+zip"
            | "application/java-archive"
            | "application/vnd.android.package-archive"
            | "application/vnd.google-earth.kmz"
            | "application/oxps"
            | "model/3mf"
    ) || media_type.starts_with("application/vnd.openxmlformats-officedocument.")
        || media_type.starts_with("application/vnd.oasis.opendocument.")
        || media_type.starts_with("application/vnd.ms-visio.drawing.")
        || has_macros(media_type)
}

/// Whether a file of type `special` is rightly called a `general`: the same type, one
/// built on it, or one that its bytes cannot be told from. Both canonical.
pub fn covers(general: &str, special: &str) -> bool {
    if general == special {
        return true;
    }
    match (general, special) {
        ("text/plain", text) => is_plain_text_family(text),
        // Who takes archives has not asked for macros.
        ("application/zip", zip) => is_zip(zip) && !has_macros(zip),
        ("text/javascript", special) => is_loose_text(special),
        ("application/x-ndjson", special) => {
            is_loose_text(special) || special == "application/json"
        }
        // A parser or a mark settles these, so plain text is none of them.
        ("application/json" | "text/x-shellscript", _) => false,
        (general, "application/json") if is_json(general) => true,
        (general, special) if is_loose_text(special) => {
            is_plain_text_family(general) && !is_json(general)
        }
        ("application/xml", special) => {
            special.ends_with("+xml") && !is_active(special) || special == "application/x-plist"
        }
        (general, "application/xml") => general.ends_with("+xml") && !is_active(general),
        ("image/heic", special) => special == "image/heif",
        ("image/heif", special) => special == "image/heic",
        ("video/mp4", special) => special == "video/x-m4v",
        ("video/x-m4v", special) => special == "video/mp4",
        ("video/matroska", special) => matches!(special, "video/webm" | "audio/webm"),
        ("video/webm", special) => special == "audio/webm",
        ("video/ogg", special) => special == "audio/ogg",
        ("font/ttf", special) => special == "font/otf",
        ("font/otf", special) => special == "font/ttf",
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
    pub fn names(&self) -> Option<&str> {
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

    /// The entries that can never be met: extensions that stand for no type known here.
    pub fn unknown_extensions(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|item| match item {
            AcceptItem::Extension(extension) if item.names().is_none() => Some(extension.as_str()),
            _ => None,
        })
    }

    /// The types that entries name, in their order; wildcards name none.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(AcceptItem::names)
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
            (vec![".unheard"], "model/step", false),
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
