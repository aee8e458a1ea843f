//! `GET /f/{id}`: files of public slots, for anybody.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::OpenApi;

use super::Shared;
use super::openapi::refusals;
use super::problem::Path;
use crate::domain::name::Id;
use crate::domain::problem::{Code, Problem};
use crate::flow::look;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/f/{id}", get(redirect))
}

#[derive(OpenApi)]
#[openapi(paths(redirect))]
pub(super) struct Api;

/// A file of a public slot.
///
/// A redirect to a presigned GET, cacheable for less than that lives.
#[utoipa::path(
    get,
    path = "/f/{id}",
    operation_id = "public_file",
    tag = "files",
    params(("id" = uuid::Uuid, Path, description = "The file")),
    responses(
        (status = 302, description = "Where the bytes are", headers(
            ("Location" = String, description = "A presigned GET"),
            ("Cache-Control" = String, description = "Public, for less than the URL works"),
        )),
        refusals::Public,
    ),
)]
async fn redirect(State(shared): State<Shared>, Path(id): Path<Id>) -> Result<Response, Problem> {
    let signed = look::public_file(&shared.app, id).await?;
    let fresh = signed.expires_in / 2;
    let headers = [
        (header::LOCATION, signed.url.expose().to_owned()),
        (header::CACHE_CONTROL, format!("public, max-age={fresh}")),
    ];
    let mut answer = StatusCode::FOUND.into_response();
    for (name, value) in headers {
        let value = HeaderValue::try_from(value)
            .map_err(|_| Problem::new(Code::Internal, "the URL is no header value"))?;
        answer.headers_mut().insert(name, value);
    }
    Ok(answer)
}
