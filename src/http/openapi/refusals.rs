//! Which problems an operation answers, as responses of the document.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::IntoResponses;
use utoipa::openapi::{
    AllOf, ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
    schema::{AdditionalProperties, Schema, Type},
};

use crate::domain::problem::Code::{
    self, ClaimConflict, ContentRejected, DatabaseUnavailable, FileTooLarge, Forbidden,
    IdempotencyMismatch, Internal, InvalidRequest, KeysUnavailable, NotFound, ObjectMissing,
    PartsMissing, QuotaExceeded, SlotFull, StorageFull, StorageUnavailable, TicketClosed,
    TicketExpired, TooManyOpenTickets, TypeNotAccepted, Unauthenticated,
};

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $body:ident [$($code:expr),*];)*) => {$(
        $(#[$doc])*
        pub(in crate::http) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                responses(Body::$body, &[$($code),*])
            }
        }
    )*};
}

/// Whether the request has a body, which brings refusals of its own.
#[derive(Clone, Copy)]
enum Body {
    None,
    Json,
}

/// In whose words a refusal is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Voice {
    /// The API's own: a problem.
    Problem,
    /// A problem with what Uppy reads.
    Uppy,
    /// A slot's with `form_answer = "success"`.
    Success,
    /// Plain words, for a client that takes any JSON for a success.
    Words,
}

/// What the shell answers whatever the operation: a bug, and a request that took too long.
pub(super) const SHELL: &[(u16, Code)] = &[(500, Internal), (503, Internal)];
/// A body that took too long, is too large, or is no JSON.
const BODY: &[(u16, Code)] = &[
    (408, InvalidRequest),
    (413, InvalidRequest),
    (415, InvalidRequest),
];

refusals! {
    /// What needs neither token nor database.
    Static = None [];
    /// `GET /readyz`.
    Ready = None [DatabaseUnavailable];
    /// `GET /f/{id}`.
    Public = None [NotFound, StorageUnavailable, DatabaseUnavailable];
    /// `GET /v1/slots`.
    Slots = None [InvalidRequest, Unauthenticated, Forbidden, KeysUnavailable, DatabaseUnavailable];
    /// `GET /v1/slots/{slot}`.
    Slot = None [InvalidRequest, Unauthenticated, Forbidden, NotFound, KeysUnavailable,
        DatabaseUnavailable];
    /// `POST /v1/tickets`.
    Mint = Json [InvalidRequest, Unauthenticated, Forbidden, NotFound, SlotFull, QuotaExceeded,
        FileTooLarge, TypeNotAccepted, IdempotencyMismatch, TooManyOpenTickets,
        StorageUnavailable, KeysUnavailable, DatabaseUnavailable];
    /// The lists.
    List = None [InvalidRequest, Unauthenticated, Forbidden, StorageUnavailable, KeysUnavailable,
        DatabaseUnavailable];
    /// `GET /v1/tickets/{id}`.
    Ticket = None [InvalidRequest, Unauthenticated, Forbidden, NotFound, StorageUnavailable,
        KeysUnavailable, DatabaseUnavailable];
    /// What needs its ticket open, and says so when it is not.
    Sign = Json [InvalidRequest, Unauthenticated, Forbidden, NotFound, TicketClosed, TicketExpired,
        ContentRejected, StorageUnavailable, KeysUnavailable, DatabaseUnavailable, StorageFull];
    /// `GET /v1/tickets/{id}/parts`.
    Parts = None [Unauthenticated, Forbidden, NotFound, TicketClosed, TicketExpired,
        ContentRejected, StorageUnavailable, KeysUnavailable, DatabaseUnavailable, StorageFull];
    /// `POST /v1/tickets/{id}/complete`.
    Complete = None [InvalidRequest, Unauthenticated, Forbidden, NotFound, ObjectMissing,
        PartsMissing, TicketClosed, TicketExpired, ContentRejected, StorageUnavailable,
        KeysUnavailable, DatabaseUnavailable, StorageFull];
    /// `DELETE /v1/tickets/{id}`.
    Cancel = None [Unauthenticated, Forbidden, NotFound, TicketClosed, TicketExpired,
        ContentRejected, KeysUnavailable, DatabaseUnavailable];
    /// `GET /v1/files/{id}`.
    File = None [Unauthenticated, Forbidden, NotFound, StorageUnavailable, KeysUnavailable,
        DatabaseUnavailable];
    /// `DELETE /v1/files/{id}`.
    Delete = None [Unauthenticated, Forbidden, NotFound, KeysUnavailable, DatabaseUnavailable];
    /// `POST /v1/claims`.
    Claim = Json [InvalidRequest, Unauthenticated, Forbidden, NotFound, SlotFull, ClaimConflict,
        StorageUnavailable, KeysUnavailable, DatabaseUnavailable];
    /// `POST /v1/notifications/s3`.
    Notification = Json [InvalidRequest, Unauthenticated, NotFound];
}

fn responses(body: Body, codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let own = codes.iter().map(|code| (code.status(), *code));
    let body = match body {
        Body::None => &[][..],
        Body::Json => BODY,
    };
    let all = own.chain(body.iter().chain(SHELL).copied());
    said(all.map(|(status, code)| (Voice::Problem, status, code)))
}

/// Refusals by their status.
pub(super) fn said(
    all: impl IntoIterator<Item = (Voice, u16, Code)>,
) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status = BTreeMap::<u16, BTreeMap<Voice, Vec<Code>>>::new();
    for (voice, status, code) in all {
        let codes = by_status.entry(status).or_default();
        let codes = codes.entry(voice).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    by_status
        .into_iter()
        .map(|(status, voices)| (status.to_string(), refusal(status, &voices).into()))
        .collect()
}

/// What one code is called in an answer's description.
fn words_of(code: Code) -> String {
    format!("`{}`: {}.", code.as_str(), code.title())
}

/// A refusal of this status, in one voice.
fn content(voice: Voice, status: u16, codes: &[Code]) -> (&'static str, RefOr<Schema>) {
    let names = codes.iter().map(|code| code.as_str());
    let code = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names));
    let narrowed = ObjectBuilder::new();
    let narrowed = match voice {
        Voice::Success => narrowed,
        _ => narrowed.property(
            "status",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .enum_values(Some([status])),
        ),
    };
    let of = |name: &str| {
        let both = AllOf::builder()
            .item(Ref::from_schema_name(name))
            .item(narrowed.property("code", code));
        Schema::AllOf(both.build()).into()
    };
    match voice {
        Voice::Problem => ("application/problem+json", of("Problem")),
        Voice::Uppy => ("application/json", of("UppyRefusal")),
        Voice::Success => ("application/json", of("FormFailure")),
        Voice::Words => {
            let words = ObjectBuilder::new()
                .schema_type(Type::String)
                .description(Some("The refusal in words."));
            ("text/html", words.into())
        }
    }
}

/// One status, with the codes it comes with.
fn refusal(status: u16, voices: &BTreeMap<Voice, Vec<Code>>) -> Response {
    let mut words: Vec<String> = Vec::new();
    for code in voices.values().flatten() {
        let one = words_of(*code);
        if !words.contains(&one) {
            words.push(one);
        }
    }
    let mut response = ResponseBuilder::new().description(words.join(" "));
    for (voice, codes) in voices {
        let (kind, schema) = content(*voice, status, codes);
        response = response.content(kind, ContentBuilder::new().schema(Some(schema)).build());
    }
    let header = |kind, words: &str| {
        HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(kind)))
            .description(Some(words))
            .build()
    };
    match status {
        401 => response.header(
            "WWW-Authenticate",
            header(
                Type::String,
                "RFC 6750: `Bearer`, and the error when a token was given.",
            ),
        ),
        429 | 503 => response.header(
            "Retry-After",
            header(Type::Integer, "Seconds until a retry makes sense."),
        ),
        _ => response,
    }
    .build()
}

/// The schema of every problem.
pub(super) fn problem() -> ObjectBuilder {
    let text = |words: &str| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(words))
    };
    let codes = Code::ALL.iter().map(|code| code.as_str());
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "RFC 9457 problem details. Branch on `code`; the words may change. Members beside \
             these say more: `limit`, `reason`, `missing`, `errors`, `open_tickets`, …",
        ))
        .property(
            "type",
            text("Always `about:blank`.").enum_values(Some(["about:blank"])),
        )
        .property("title", text("A short, constant summary."))
        .property(
            "status",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .description(Some("The HTTP status.")),
        )
        .property("code", text("The stable code.").enum_values(Some(codes)))
        .property(
            "detail",
            text("One sentence that names the law and the offender."),
        )
        .required("type")
        .required("title")
        .required("status")
        .required("code")
        .required("detail")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .examples([json!({
            "type": "about:blank",
            "title": FileTooLarge.title(),
            "status": FileTooLarge.status(),
            "code": FileTooLarge.as_str(),
            "detail": "12000000 bytes, the slot takes 10000000",
            "limit": 10_000_000,
        })])
}
