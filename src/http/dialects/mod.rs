//! Dialects: foreign clients' protocols under `/u/{slot}/{token}/…`, one file each. A dialect
//! translates, calls the flows that the API calls, and owns no rules.
//!
//! The token stands in the path, for clients that cannot set headers; a `-` there says that it
//! comes as `Authorization: Bearer` or in the cookie [`COOKIE`]. A slot that does not list the
//! dialect answers 404.

mod access;
mod common;
mod form;
mod jsonform;
mod relay;
mod uppy;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::{Extension, Router};
use utoipa::OpenApi as _;

use super::Shared;
use crate::domain::dialect::Dialect;
pub use access::{Access, COOKIE};

/// What the routes of all dialects have in common.
pub(super) const PLACE: &str = "/u/{slot}/{token}";

/// What stands beside the handlers, as one document.
pub(super) fn documented() -> utoipa::openapi::OpenApi {
    let mut document = uppy::Api::openapi();
    for part in [
        form::Api::openapi(),
        jsonform::Api::openapi(),
        common::Api::openapi(),
    ] {
        document.merge(part);
    }
    document
}

/// Every dialect's routes.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .nest(PLACE, common::routes())
        .nest(PLACE, of(Dialect::Uppy, uppy::routes()))
        .nest(PLACE, of(Dialect::Form, form::routes()))
        .nest(PLACE, of(Dialect::JsonForm, jsonform::routes()))
}

/// Whether a request brings files that go through this server.
pub(super) fn is_relayed(request: &Request) -> bool {
    let route = request.extensions().get().map(MatchedPath::as_str);
    let route = route.and_then(|route| route.split_once(PLACE));
    request.method() == Method::POST && matches!(route, Some((_, "/form" | "/jsonform")))
}

/// The routes of a dialect, marked with it: [`Access`] asks whether the slot speaks it.
fn of(dialect: Dialect, routes: Router<Shared>) -> Router<Shared> {
    routes.layer(Extension(dialect))
}
