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

/// What the shell answers whatever the operation: a bug, and a request that took too long.
const SHELL: &[(u16, Code)] = &[(500, Internal), (503, Internal)];
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
    Notification = Json [InvalidRequest, Unauthenticated];
}

fn responses(body: Body, codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let own = codes.iter().map(|code| (code.status(), *code));
    let body = match body {
        Body::None => &[][..],
        Body::Json => BODY,
    };
    let mut by_status = BTreeMap::<u16, Vec<Code>>::new();
    for (status, code) in own.chain(body.iter().chain(SHELL).copied()) {
        by_status.entry(status).or_default().push(code);
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), refusal(status, &codes).into()))
        .collect()
}

/// One status, with the codes it comes with.
fn refusal(status: u16, codes: &[Code]) -> Response {
    let words: Vec<String> = codes
        .iter()
        .map(|code| format!("`{}`: {}.", code.as_str(), code.title()))
        .collect();
    let names = codes.iter().map(|code| code.as_str());
    let narrowed = ObjectBuilder::new()
        .property(
            "status",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .enum_values(Some([status])),
        )
        .property(
            "code",
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(names)),
        );
    let schema = AllOf::builder()
        .item(Ref::from_schema_name("Problem"))
        .item(narrowed)
        .build();
    let response = ResponseBuilder::new().description(words.join(" ")).content(
        "application/problem+json",
        ContentBuilder::new()
            .schema(Some(Schema::AllOf(schema)))
            .build(),
    );
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
