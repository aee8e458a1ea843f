//! The verdict: what policy says about an object, its size and sums, and what was read of it.
//!
//! The bytes decide. A name's extension and a declared type are hints: they choose among
//! types that the bytes cannot tell apart (`.csv` for plain text), and in a slot with
//! `strict_match` they must agree with the bytes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::media::{self, AcceptItem, OCTET_STREAM};
use super::problem::{Code, Problem};
use super::slot::{ImageLimits, Policy};

/// Why content was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No bytes.
    Empty,
    /// Not the size that was declared and signed.
    SizeMismatch,
    /// Not the SHA-256 that was declared.
    ChecksumMismatch,
    /// The bytes are of no known type and the slot does not take any bytes.
    TypeUnknown,
    /// Extension, declared type and bytes disagree in a strict slot.
    TypeMismatch,
    /// The detected type is not one the slot accepts.
    TypeNotAccepted,
    /// Wider, higher or more pixels than the slot allows.
    ImageTooLarge,
    /// A browser would execute it.
    ActiveContent,
    /// It begins like its type and then is not.
    Malformed,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Empty,
        Self::SizeMismatch,
        Self::ChecksumMismatch,
        Self::TypeUnknown,
        Self::TypeMismatch,
        Self::TypeNotAccepted,
        Self::ImageTooLarge,
        Self::ActiveContent,
        Self::Malformed,
    ];

    /// Whether it was read out of the bytes, rather than of their number or sum.
    const fn is_of_bytes(self) -> bool {
        !matches!(
            self,
            Self::Empty | Self::SizeMismatch | Self::ChecksumMismatch
        )
    }

    /// The reason as clients see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::SizeMismatch => "size-mismatch",
            Self::ChecksumMismatch => "checksum-mismatch",
            Self::TypeUnknown => "type-unknown",
            Self::TypeMismatch => "type-mismatch",
            Self::TypeNotAccepted => "type-not-accepted",
            Self::ImageTooLarge => "image-too-large",
            Self::ActiveContent => "active-content",
            Self::Malformed => "malformed",
        }
    }
}

/// What a type was concluded from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Nothing was recognised.
    #[default]
    None,
    /// It reads as text, and nothing more can be known.
    Text,
    /// A signature of a few bytes.
    Signature,
    /// A signature, and the structure behind it.
    Structure,
}

/// Something worth knowing about bytes beside their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// Its directory lies outside the bytes that were read: the family is certain, the
    /// member of it is not.
    DirectoryNotRead,
    /// Some of it is encrypted.
    Encrypted,
    /// It carries macros.
    Macros,
    /// A member's name would leave the directory it is unpacked in.
    PathEscape,
    /// A member unpacks to more than a thousand times its size.
    BombRatio,
    /// A PDF with JavaScript.
    PdfScript,
    /// A film's container whose tracks are sound alone, or were not in the bytes read.
    NoVideoSeen,
    /// The text is one JSON string, number, `true`, `false` or `null`.
    JsonScalar,
    /// The text is neither UTF-8 nor UTF-16.
    LegacyCharset,
    /// Code that a browser or server could run lies inside another format.
    ScriptInside,
    /// A program lies inside a document.
    ProgramInside,
    /// It is a readable archive as well.
    Polyglot,
    /// It ends before its own header says it does.
    Truncated,
    /// A moving picture.
    Animated,
    /// HTML tags lie somewhere in the text.
    Tags,
    /// A Matroska file that uses nothing but what `WebM` allows.
    WebmCodecs,
    /// Script was looked for, but not all of it was read.
    NotReadWhole,
}

impl Flag {
    /// The sentence an operator reads about it; none when it only helps the verdict.
    const fn warning(self) -> Option<&'static str> {
        match self {
            Self::DirectoryNotRead => Some("its directory lies outside the bytes that were read"),
            Self::Encrypted => Some("it is encrypted, so no scanner can read it"),
            Self::Macros => Some("it carries macros"),
            Self::PathEscape => Some("it has a member whose name leaves the archive's directory"),
            Self::BombRatio => Some("it has a member that unpacks to over 1000 times its size"),
            Self::PdfScript => Some("it carries JavaScript"),
            Self::ScriptInside => Some("it carries code of another language"),
            Self::ProgramInside => Some("it carries a program"),
            Self::Polyglot => Some("it is a readable archive as well"),
            Self::Truncated => Some("it ends before its own header says it does"),
            Self::NotReadWhole => Some("script was looked for in a part of it only"),
            Self::NoVideoSeen
            | Self::JsonScalar
            | Self::LegacyCharset
            | Self::Animated
            | Self::Tags
            | Self::WebmCodecs => None,
        }
    }
}

/// The bytes that a finding rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Where they begin in the object.
    pub offset: u64,
    /// At most sixteen of them, in hexadecimal.
    pub bytes: String,
}

/// What the first and last kilobytes of an object say it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The canonical media type; `None`: unknown.
    pub media_type: Option<&'static str>,
    /// The extension of that type, with its dot.
    pub extension: Option<&'static str>,
    /// What the type was concluded from.
    pub confidence: Confidence,
    /// An image's width in pixels, as its header states it.
    pub width: Option<u32>,
    /// An image's height in pixels, as its header states it.
    pub height: Option<u32>,
    /// A browser or web server might execute it.
    pub active: bool,
    /// It begins like `media_type` and then is not; the sentence says where it fails.
    pub malformed: Option<&'static str>,
    /// What else was seen.
    pub flags: Vec<Flag>,
    /// The bytes it rests on.
    pub evidence: Evidence,
}

impl Finding {
    /// A finding of a canonical type.
    pub fn of(media_type: &'static str, confidence: Confidence) -> Self {
        Self {
            media_type: Some(media_type),
            extension: media::extension_of(media_type),
            confidence,
            // SVG and XML are harmless until something in them asks to be run.
            active: media::is_script(media_type),
            ..Self::default()
        }
    }

    /// Bytes that begin like a type and then are not.
    pub fn broken(media_type: &'static str, why: &'static str) -> Self {
        Self {
            malformed: Some(why),
            ..Self::of(media_type, Confidence::Signature)
        }
    }

    /// Resting on the bytes at `offset`.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.evidence.offset = offset;
        self
    }

    /// With an image's dimensions in pixels.
    #[must_use]
    pub fn sized(self, width: u32, height: u32) -> Self {
        Self {
            width: Some(width),
            height: Some(height),
            ..self
        }
    }

    /// With a flag, when `seen`.
    #[must_use]
    pub fn flagged(mut self, flag: Flag, seen: bool) -> Self {
        if seen && !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
        self
    }

    /// Whether this was seen.
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }
}

/// What the client said at mint.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    /// The file's name.
    pub name: &'a str,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type, as the client wrote it.
    pub media_type: Option<&'a str>,
    /// Its SHA-256, base64.
    pub sha256: Option<&'a str>,
}

/// What is known of the object for certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, base64, as the store verified or we computed it.
    pub sha256: Option<String>,
}

/// The verdict on an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be promoted.
    Accept(Accepted),
    /// It is to be deleted.
    Reject(Rejection),
}

/// What an accepted upload is stored as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Canonical; `application/octet-stream` when a slot for any bytes got unknown ones.
    pub media_type: String,
    /// With its dot; `None` for bytes of no known type.
    pub extension: Option<String>,
    /// An image's width in pixels.
    pub width: Option<u32>,
    /// An image's height in pixels.
    pub height: Option<u32>,
    /// Sentences for the log: hints that were wrong, macros, encryption, …
    pub warnings: Vec<String>,
}

/// Why an upload is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which rule it breaks.
    pub reason: Reason,
    /// What the client called it: its declared type, else what its extension stands for.
    pub declared: Option<String>,
    /// What the bytes say.
    pub detected: Option<String>,
    /// One sentence with the offender.
    pub detail: String,
    /// The bytes that told, when bytes did.
    pub evidence: Option<Evidence>,
}

impl Rejection {
    /// The `content-rejected` problem a client reads.
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(Code::ContentRejected, self.detail.clone())
            .with("reason", self.reason.as_str());
        let members = [("declared", &self.declared), ("detected", &self.detected)];
        let problem = members
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .fold(problem, |problem, (name, value)| problem.with(name, value));
        match &self.evidence {
            Some(Evidence { offset, bytes }) => problem.with(
                "evidence",
                serde_json::json!({"offset": offset, "bytes": bytes}),
            ),
            None => problem,
        }
    }
}

/// The types the client's words stand for; the extension is believed before the type.
struct Hints {
    extension: Option<&'static str>,
    declared: Option<Cow<'static, str>>,
}

impl Hints {
    fn of(declared: &Declared) -> Self {
        Self {
            extension: media::extension_of_name(declared.name)
                .and_then(|extension| media::type_of_extension(&extension)),
            declared: declared.media_type.and_then(media::canonical),
        }
        .without_octet_stream()
    }

    fn without_octet_stream(self) -> Self {
        Self {
            extension: self.extension.filter(|name| *name != OCTET_STREAM),
            declared: self.declared.filter(|name| name != OCTET_STREAM),
        }
    }

    fn each(&self) -> impl Iterator<Item = &str> {
        self.extension.into_iter().chain(self.declared.as_deref())
    }

    fn shown(&self) -> Option<&str> {
        self.declared.as_deref().or(self.extension)
    }
}

/// Whether a file with this finding may rightly be called a `name`.
fn may_be(name: &str, detected: &str, finding: &Finding) -> bool {
    if finding.malformed.is_some() {
        return name == detected;
    }
    // Text with tags in it is Markdown or a template to its author, and no other text.
    let tags = finding.has(Flag::Tags) && detected == "text/markdown";
    (media::covers(name, detected) && !(tags && name != detected))
        || match (name, detected) {
            ("audio/mp4", "video/mp4") | ("audio/webm", "video/webm") => {
                finding.has(Flag::NoVideoSeen)
            }
            ("audio/mp4", _) => false,
            ("video/webm", "video/matroska") => finding.has(Flag::WebmCodecs),
            ("text/html", "text/plain" | "text/markdown" | "application/xml") => {
                finding.has(Flag::Tags)
            }
            ("audio/ogg", "video/ogg")
            | ("video/x-ms-asf", "video/x-ms-wmv" | "audio/x-ms-wma")
            | ("video/x-ms-wmv", "video/x-ms-asf")
            | ("text/html", "application/xhtml+xml")
            | ("application/xhtml+xml", "text/html")
            | ("application/xml", "application/xhtml+xml" | "image/svg+xml") => true,
            // A fragment without anything that runs, or XML whose root has a name of HTML's.
            ("text/markdown", "text/html") => finding.has(Flag::Tags),
            ("application/xml", "text/html") => finding.confidence == Confidence::Text,
            ("application/json", "text/plain") => finding.has(Flag::JsonScalar),
            (
                "application/msword" | "application/vnd.ms-excel" | "application/vnd.ms-powerpoint",
                "application/x-ole-storage",
            ) => finding.has(Flag::DirectoryNotRead),
            // Encrypted Office files are OLE2 around one opaque stream.
            (media::DOCX | media::XLSX | media::PPTX, "application/x-ole-storage") => {
                finding.has(Flag::Encrypted)
            }
            _ => media::is_film(name) && media::is_film(detected),
        }
}

/// The type to store: what a hint calls it if the bytes allow that name and the slot takes
/// it, else what was detected; without hints the slot's own names for it count. A hint at
/// script is believed against the file.
fn settle<'a>(
    policy: &'a Policy,
    hints: &'a Hints,
    detected: &'a str,
    finding: &Finding,
) -> &'a str {
    let named_or_refused = |name: &str| {
        if policy.accept.is_any() {
            !media::is_script(name)
        } else {
            media::is_script(name) || policy.accept.admits(name)
        }
    };
    let hinted = hints
        .each()
        .find(|name| may_be(name, detected, finding) && named_or_refused(name));
    hinted.unwrap_or_else(|| {
        let silent = hints.each().next().is_none() && !policy.accept.admits(detected);
        policy
            .accept
            .names()
            .find(|name| silent && may_be(name, detected, finding))
            .unwrap_or(detected)
    })
}

/// What these bytes are called under this name, when nothing is asked of them: the type a
/// slot that takes any bytes stores.
pub fn called<'a>(name: &str, finding: &Finding) -> Cow<'a, str> {
    let declared = Declared {
        name,
        size: 0,
        media_type: None,
        sha256: None,
    };
    match finding.media_type.filter(|_| finding.malformed.is_none()) {
        Some(detected) => {
            let hints = Hints::of(&declared);
            let name = hints.each().find(|name| may_be(name, detected, finding));
            Cow::Owned(name.unwrap_or(detected).to_owned())
        }
        None => Cow::Borrowed(OCTET_STREAM),
    }
}

/// Judges one upload. `finding` is what its bytes say; a slot without `accept` takes any
/// bytes, active ones too (they are stored as what they are and served as attachments).
pub fn judge(policy: &Policy, declared: &Declared, facts: &Facts, finding: &Finding) -> Verdict {
    let hints = Hints::of(declared);
    match weigh(policy, declared, facts, finding, &hints) {
        Ok(accepted) => Verdict::Accept(accepted),
        Err((reason, detail)) => Verdict::Reject(Rejection {
            reason,
            declared: hints.shown().map(str::to_owned),
            detected: finding.media_type.map(str::to_owned),
            detail,
            evidence: Some(finding.evidence.clone())
                .filter(|evidence| reason.is_of_bytes() && !evidence.bytes.is_empty()),
        }),
    }
}

type Refusal = (Reason, String);

fn weigh(
    policy: &Policy,
    declared: &Declared,
    facts: &Facts,
    finding: &Finding,
    hints: &Hints,
) -> Result<Accepted, Refusal> {
    check_transfer(declared, facts)?;
    let media_type = check_type(policy, finding, hints)?;
    if policy.strict_match {
        check_hints(hints, media_type, finding)?;
    }
    if let Some(limits) = policy.image.filter(|_| is_raster(media_type)) {
        check_image(limits, media_type, finding)?;
    }
    Ok(Accepted {
        media_type: media_type.to_owned(),
        extension: media::extension_of(media_type).map(str::to_owned),
        width: finding.width,
        height: finding.height,
        warnings: warnings(hints, media_type, finding),
    })
}

fn check_transfer(declared: &Declared, facts: &Facts) -> Result<(), Refusal> {
    if facts.size == 0 {
        return Err((Reason::Empty, "the file has no bytes".to_owned()));
    }
    if facts.size != declared.size {
        let detail = format!("declared {} bytes, {} arrived", declared.size, facts.size);
        return Err((Reason::SizeMismatch, detail));
    }
    match (declared.sha256, facts.sha256.as_deref()) {
        (Some(wanted), Some(found)) if wanted != found => Err((
            Reason::ChecksumMismatch,
            format!("declared SHA-256 {wanted}, the bytes have {found}"),
        )),
        _ => Ok(()),
    }
}

fn check_type<'a>(
    policy: &'a Policy,
    finding: &'a Finding,
    hints: &'a Hints,
) -> Result<&'a str, Refusal> {
    let said = || match hints.shown() {
        Some(hint) => format!("declared {hint}, "),
        None => String::new(),
    };
    let Some(detected) = finding.media_type else {
        return if policy.accept.is_any() {
            Ok(OCTET_STREAM)
        } else {
            let detail = format!("{}the bytes are of no known type", said());
            Err((Reason::TypeUnknown, detail))
        };
    };
    let media_type = settle(policy, hints, detected, finding);
    if policy.accept.is_any() {
        return Ok(finding.malformed.map_or(media_type, |_| OCTET_STREAM));
    }
    if !policy.accept.admits(media_type) || !takes_tags(policy, detected, finding) {
        let hinted = media_type != detected || media_type == "image/svg+xml";
        let executed = finding.active || (media::is_active(media_type) && hinted);
        let reason = if executed {
            Reason::ActiveContent
        } else {
            Reason::TypeNotAccepted
        };
        let detail = format!("{}header bytes say {media_type}", said());
        return Err((reason, detail));
    }
    if let Some(hint) = hints
        .each()
        .find(|hint| contradicts(hint, media_type, finding))
    {
        let detail = format!("declared {hint}, which may begin like {media_type}");
        return Err((Reason::TypeMismatch, detail));
    }
    if finding.has(Flag::ScriptInside) {
        let detail = format!("{}there is script inside what begins as {detected}", said());
        return Err((Reason::ActiveContent, detail));
    }
    if let Some(why) = finding.malformed {
        return Err((Reason::Malformed, format!("not a sound {detected}: {why}")));
    }
    // A fragment of HTML that holds nothing a browser runs is Markdown when its name says so.
    let harmless = media_type == "text/markdown" && finding.has(Flag::Tags);
    let active = finding.active && !harmless || media::is_script(media_type);
    if active && !policy.allow_active_content {
        let detail = format!(
            "{}a browser may run what is in this {media_type}, and the slot takes no active content",
            said()
        );
        return Err((Reason::ActiveContent, detail));
    }
    Ok(media_type)
}

/// Markdown that begins like a page is taken only where Markdown, or all text, is named.
fn takes_tags(policy: &Policy, detected: &str, finding: &Finding) -> bool {
    let tagged = finding.has(Flag::Tags) && detected == "text/markdown";
    !tagged
        || policy.accept.items().iter().any(|item| match item {
            AcceptItem::Wildcard(_) => true,
            AcceptItem::Extension(_) | AcceptItem::Type(_) => {
                matches!(item.names(), Some("text/markdown" | "text/html"))
            }
        })
}

/// Markup without a declaration is no more than text that begins with a tag: a name that
/// says it is another kind of text is then the better witness.
fn contradicts(hint: &str, media_type: &str, finding: &Finding) -> bool {
    finding.confidence == Confidence::Text
        && media::is_active(media_type)
        && media::is_plain_text_family(hint)
        && !may_be(hint, media_type, finding)
}

fn check_hints(hints: &Hints, media_type: &str, finding: &Finding) -> Result<(), Refusal> {
    match hints.each().find(|hint| !agrees(hint, media_type, finding)) {
        Some(hint) => Err((
            Reason::TypeMismatch,
            format!("declared {hint}, header bytes say {media_type}"),
        )),
        None => Ok(()),
    }
}

fn agrees(hint: &str, media_type: &str, finding: &Finding) -> bool {
    media::covers(hint, media_type)
        || finding.media_type.is_some_and(|detected| may_be(hint, detected, finding))
        // Windows declares .csv as Excel's where Excel is installed.
        || (hint == "application/vnd.ms-excel" && media_type == "text/csv")
}

/// An SVG has no pixels to count.
fn is_raster(media_type: &str) -> bool {
    media_type.starts_with("image/") && media_type != "image/svg+xml"
}

fn check_image(limits: ImageLimits, media_type: &str, finding: &Finding) -> Result<(), Refusal> {
    if limits == ImageLimits::default() {
        return Ok(());
    }
    let (Some(width), Some(height)) = (finding.width, finding.height) else {
        let detail = format!("the header of this {media_type} does not state its dimensions");
        return Err((Reason::Malformed, detail));
    };
    let pixels = u64::from(width) * u64::from(height);
    let broken = [
        (
            "max_width",
            u64::from(width),
            limits.max_width.map(u64::from),
        ),
        (
            "max_height",
            u64::from(height),
            limits.max_height.map(u64::from),
        ),
        ("max_pixels", pixels, limits.max_pixels),
    ]
    .into_iter()
    .find_map(|(name, value, limit)| {
        limit
            .filter(|limit| value > *limit)
            .map(|limit| (name, limit))
    });
    match broken {
        Some((name, limit)) => Err((
            Reason::ImageTooLarge,
            format!("the image is {width}×{height} pixels, {name} is {limit}"),
        )),
        None => Ok(()),
    }
}

fn warnings(hints: &Hints, media_type: &str, finding: &Finding) -> Vec<String> {
    let wrong = hints
        .each()
        .find(|hint| !agrees(hint, media_type, finding))
        .map(|hint| format!("declared {hint}, stored as {media_type}"));
    let broken = finding.malformed.map(|why| format!("malformed: {why}"));
    let flags = finding.flags.iter().filter_map(|flag| flag.warning());
    wrong
        .into_iter()
        .chain(broken)
        .chain(flags.map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests;
