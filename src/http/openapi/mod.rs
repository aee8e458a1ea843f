//! The API's document: `OpenAPI` 3.1, put together from what stands beside each handler.

pub(super) mod refusals;
pub(super) mod shapes;
pub(super) mod spoken;

use std::borrow::Cow;
use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::routing::get;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, Header, HeaderBuilder, ObjectBuilder, OpenApi as Document, PathItem, RefOr, Schema,
    schema::{SchemaType, Type},
};
use utoipa::{Modify, OpenApi, PartialSchema, ToSchema};

use super::{dialects, ops, public, v1};

/// The schema of problems, which `domain::problem` defines.
#[derive(Debug)]
pub(super) struct Problem;

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        refusals::problem().into()
    }
}

impl ToSchema for Problem {
    fn name() -> Cow<'static, str> {
        "Problem".into()
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Putgate", description = INTRODUCTION),
    components(schemas(
        Problem,
        shapes::Put,
        shapes::Multipart,
        shapes::Post,
        spoken::UppyRefusal,
        spoken::FormRows,
        spoken::FormValid,
        spoken::FormSuccess,
        spoken::FormFailure,
        spoken::FormArrived,
    )),
    tags(
        (name = "slots", description = "Policies, for the UI"),
        (name = "tickets", description = "Permissions to upload, and what became of them"),
        (name = "files", description = "Committed uploads"),
        (name = "operations", description = "For load balancers, stores and tools"),
        (
            name = "dialects",
            description = "The protocols of foreign clients, in the slots that list them: Uppy \
                (`…/s3/…`), jQuery File Upload and plain forms (`…/form`), django-jsonform \
                (`…/jsonform`)",
        ),
    ),
)]
struct Introduction;

const INTRODUCTION: &str = "A presigned, direct-to-object-storage upload broker that verifies \
what arrived.

The bytes never pass through `/v1`: mint a ticket, send the bytes as its `transfer` says, \
complete it. What is under `/u/` speaks the protocols of foreign clients: there a slot has to \
list the dialect, the token may stand in the path, forms bring their files, and some refusals \
have the client's shape. Uppy's paths are the same with `//s3` for `/s3`.

Every other refusal is an RFC 9457 problem (`application/problem+json`) with a stable `code`. \
Beside what each operation lists, a path answers 405 `method-not-allowed` with `Allow` to methods it \
does not know, and the listener 431 without a body to a head of more than 32 KiB. Clients \
ignore members that they do not know.";

/// What every operation has in common.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, document: &mut Document) {
        let scheme = |words| {
            let bearer = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(words));
            RefOr::T(SecurityScheme::Http(bearer.build()))
        };
        document
            .components
            .get_or_insert_with(Components::new)
            .security_schemes
            .extend([
                (
                    "token".to_owned(),
                    scheme(
                        "A JWT (HS256, RS256, ES256 or EdDSA) with `sub` and `exp`; `tenant`, \
                         `scope`, `slots`, `refs` and `limits` as wanted.",
                    ),
                ),
                ("cookie".to_owned(), RefOr::T(cookie())),
                (
                    "notification_secret".to_owned(),
                    scheme("The secret of `[notifications]`."),
                ),
            ]);
        for path in document.paths.paths.values_mut() {
            for operation in operations(path) {
                for response in operation.responses.responses.values_mut() {
                    if let RefOr::T(response) = response {
                        let id = (
                            super::layers::REQUEST_ID.to_string(),
                            RefOr::T(request_id()),
                        );
                        response.headers.extend([id]);
                    }
                }
            }
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    [&mut path.get, &mut path.post, &mut path.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}

fn cookie() -> SecurityScheme {
    SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
        dialects::COOKIE,
        "The same token, for a dialect on the page's own host. What changes something is taken \
         from pages of `allowed_origins` and `public_url` only.",
    )))
}

fn request_id() -> Header {
    HeaderBuilder::new()
        .schema(Some(
            ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)),
        ))
        .description(Some(
            "As the request had it, or a new one. The log has it too.",
        ))
        .build()
}

/// The document.
pub fn document() -> Document {
    let mut document = Introduction::openapi();
    for part in [
        v1::documented(),
        public::Api::openapi(),
        ops::Api::openapi(),
        dialects::documented(),
    ] {
        document.merge(part);
    }
    Everywhere.modify(&mut document);
    document
}

/// The document as it is served and printed: JSON, for people too.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut text = document().to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    });
    &TEXT
}

/// `/openapi.json`, and `/docs` for people. The page loads nothing from elsewhere.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
        connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let asset = |kind: &'static str, text: fn() -> &'static str| {
        get(async move || {
            let headers = [
                (header::CONTENT_TYPE, kind),
                (header::CONTENT_SECURITY_POLICY, POLICY),
            ];
            (headers.map(fixed), text())
        })
    };
    Router::new()
        .route("/openapi.json", asset("application/json", text))
        .route(
            "/docs",
            asset("text/html; charset=utf-8", || include_str!("docs.html")),
        )
        .route(
            "/docs/page.css",
            asset("text/css; charset=utf-8", || include_str!("docs.css")),
        )
        .route(
            "/docs/page.js",
            asset("text/javascript; charset=utf-8", || include_str!("docs.js")),
        )
}

fn fixed((name, value): (HeaderName, &'static str)) -> (HeaderName, HeaderValue) {
    (name, HeaderValue::from_static(value))
}
