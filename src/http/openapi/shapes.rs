//! How answers look: the schemas of the document. The answers themselves are written by the
//! handlers and `domain::view`; a test and a stage hold the two against each other.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use utoipa::openapi::{OneOfBuilder, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// How the caller of `POST /v1/claims` sees a file: `File`, and whether it was claimed just now.
macro_rules! file {
    ($(#[$doc:meta])* $name:ident { $($(#[$extra_doc:meta])* $extra:ident: $kind:ty),* }) => {
        $(#[$doc])*
        #[derive(Debug, ToSchema)]
        #[expect(dead_code, reason = "its shape is what is asked for")]
        pub(in crate::http) struct $name {
            /// The id of its ticket too.
            id: Uuid,
            slot: String,
            #[schema(required)]
            r#ref: Option<String>,
            owner: String,
            /// Its key in the files bucket.
            key: String,
            name: String,
            /// Bytes.
            size: u64,
            /// The media type that its bytes have.
            r#type: String,
            etag: String,
            /// Base64, where it is known.
            #[schema(nullable = false)]
            sha256: Option<String>,
            /// Of an image, in pixels.
            #[schema(nullable = false)]
            width: Option<u32>,
            /// Of an image, in pixels.
            #[schema(nullable = false)]
            height: Option<u32>,
            /// As the mint gave it.
            metadata: Map<String, Value>,
            #[schema(format = DateTime)]
            committed_at: String,
            #[schema(format = DateTime, nullable = false)]
            claimed_at: Option<String>,
            /// What is worth knowing about the bytes beside their type.
            #[schema(nullable = false)]
            warnings: Option<Vec<String>>,
            /// A presigned GET. Secret.
            url: String,
            /// How long `url` works, in seconds.
            url_expires_in: u32,
            $($(#[$extra_doc])* $extra: $kind,)*
        }
    };
}

file! {
    /// A committed upload.
    File {}
}

file! {
    /// A claimed file.
    ClaimedFile {
        /// Whether this call claimed it, and not one before it.
        claimed_now: bool
    }
}

macro_rules! ticket {
    ($(#[$doc:meta])* $name:ident { $($(#[$extra_doc:meta])* $extra:ident: $kind:ty),* }) => {
        $(#[$doc])*
        #[derive(Debug, ToSchema)]
        #[expect(dead_code, reason = "its shape is what is asked for")]
        pub(in crate::http) struct $name {
            id: Uuid,
            slot: String,
            #[schema(required)]
            r#ref: Option<String>,
            owner: String,
            state: State,
            /// The client's name for the file, cleaned.
            name: String,
            /// Bytes.
            size: u64,
            /// Open tickets: when it ends unless it is signed anew.
            #[schema(format = DateTime, nullable = false)]
            expires_at: Option<String>,
            /// Committed tickets: the file, or null when it has ended since.
            file: Option<File>,
            /// Rejected, expired and cancelled tickets: why. Null when the client cancelled it.
            problem: Option<super::Problem>,
            $($(#[$extra_doc])* $extra: $kind,)*
        }
    };
}

ticket! {
    /// Permission for one object in a slot.
    Ticket {}
}

ticket! {
    /// A ticket of this mint.
    MintedTicket {
        /// Which of the request's `files` it is for.
        index: u32,
        /// How to fill it. Absent when a repeated mint finds it closed.
        #[schema(nullable = false)]
        transfer: Option<Transfer>
    }
}

ticket! {
    /// A ticket with fresh URLs.
    SignedTicket {
        transfer: Transfer,
        /// The parts that were asked for, of a multipart ticket.
        #[schema(nullable = false)]
        parts: Option<Vec<SignedPart>>
    }
}

/// Where a ticket is in its life. All but `open` are for ever.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) enum State {
    Open,
    Committed,
    Rejected,
    Expired,
    Cancelled,
}

/// How to fill a ticket.
#[derive(Debug)]
pub(in crate::http) struct Transfer;

impl PartialSchema for Transfer {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(Ref::from_schema_name("Put"))
            .item(Ref::from_schema_name("Multipart"))
            .item(Ref::from_schema_name("Post"))
            .description(Some("How to fill a ticket. Its URLs are secret."))
            .into()
    }
}

impl ToSchema for Transfer {
    fn name() -> Cow<'static, str> {
        "Transfer".into()
    }
}

/// One PUT of exactly `size` bytes.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct Put {
    #[schema(pattern = "^put$")]
    kind: String,
    #[schema(pattern = "^PUT$")]
    method: String,
    url: String,
    /// To be sent as they are.
    headers: BTreeMap<String, String>,
    /// How long `url` works, in seconds.
    expires_in: u32,
}

/// A plan of parts; `sign` signs them.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct Multipart {
    #[schema(pattern = "^multipart$")]
    kind: String,
    /// Bytes of each part but the last.
    part_size: u64,
    part_count: u32,
    /// Always empty here.
    parts: Vec<SignedPart>,
    /// How long a part's URL works, in seconds.
    expires_in: u32,
}

/// A form, for a dialect's ticket whose client declared no size: the fields in their order, then
/// the file as `file`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct Post {
    #[schema(pattern = "^post$")]
    kind: String,
    #[schema(pattern = "^POST$")]
    method: String,
    url: String,
    fields: BTreeMap<String, String>,
    /// How long the form works, in seconds.
    expires_in: u32,
}

/// A PUT of one part, of exactly `size` bytes.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct SignedPart {
    number: u32,
    size: u64,
    url: String,
    headers: BTreeMap<String, String>,
}

/// A part that the store has.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct StoredPart {
    number: u32,
    size: u64,
}

/// What a mint came to, file by file.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct Minted {
    tickets: Vec<MintedTicket>,
    /// The files that got none.
    errors: Vec<MintError>,
}

/// A file that got no ticket.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct MintError {
    /// Which of the request's `files`.
    index: u32,
    problem: super::Problem,
}

/// A page of tickets, newest first.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct Tickets {
    tickets: Vec<Ticket>,
    /// For the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A page of files, newest first.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct Files {
    files: Vec<File>,
    /// For the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The files of a claim.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct Claimed {
    files: Vec<ClaimedFile>,
}

/// What the store has of a multipart ticket.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct StoredParts {
    parts: Vec<StoredPart>,
    /// Bytes of each part but the last; null when the ticket is filled by one PUT.
    #[schema(required)]
    part_size: Option<u64>,
    #[schema(required)]
    part_count: Option<u32>,
}

/// The slots that the token may use.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct Slots {
    slots: Vec<Slot>,
}

/// A slot's policy as the token tightens it, and what the caller has used of it.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    clippy::struct_excessive_bools,
    reason = "its shape is what is asked for"
)]
pub(in crate::http) struct Slot {
    name: String,
    /// Extensions, media types and wildcards; empty: any bytes.
    accept: Vec<String>,
    accepted: Accepted,
    /// Bytes.
    max_file_size: u64,
    max_entries: u32,
    on_full: OnFull,
    /// A hint for clients: start when a file is picked.
    auto_upload: bool,
    /// Bytes of a part; null: one PUT as long as it fits.
    #[schema(required)]
    part_size: Option<u64>,
    /// How long an open ticket lives after its last `sign`, in seconds.
    ticket_ttl: u32,
    /// How long one signed URL works, in seconds.
    url_ttl: u32,
    /// When a committed file ends that nobody claimed, in seconds; null: never.
    #[schema(required)]
    unclaimed_ttl: Option<u32>,
    /// Bytes per tenant, slot and owner.
    #[schema(required)]
    quota: Option<u64>,
    #[schema(required)]
    image: Option<ImageLimits>,
    disposition: Disposition,
    /// Whether `GET /f/{id}` works without a token.
    public: bool,
    /// Whether extension, declared type and bytes must all agree.
    strict_match: bool,
    /// Whether content that a browser may execute is taken.
    allow_active_content: bool,
    usage: Usage,
}

/// The hints that a mint lets pass; both empty when any bytes are accepted.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct Accepted {
    extensions: Vec<String>,
    types: Vec<String>,
}

/// What a full slot does with one more.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) enum OnFull {
    Reject,
    Replace,
}

/// How a browser is told to treat a download.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) enum Disposition {
    Attachment,
    Inline,
}

/// Bounds on an image's dimensions, in pixels.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    clippy::struct_field_names,
    reason = "its shape is what is asked for"
)]
pub(in crate::http) struct ImageLimits {
    #[schema(nullable = false)]
    max_width: Option<u32>,
    #[schema(nullable = false)]
    max_height: Option<u32>,
    #[schema(nullable = false)]
    max_pixels: Option<u64>,
}

/// What the caller holds: entries of one ref, bytes of all.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct Usage {
    #[schema(required)]
    r#ref: Option<String>,
    open_tickets: u64,
    files: u64,
    reserved_bytes: u64,
    stored_bytes: u64,
}

/// The server is there.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "its shape is what is asked for")]
pub(in crate::http) struct Alive {
    #[schema(pattern = "^ok$")]
    status: String,
}
