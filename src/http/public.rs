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
use crate::store::Presigned;

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
    let mut answer = found(&signed)?;
    let fresh = format!("public, max-age={}", signed.expires_in / 2);
    if let Ok(fresh) = HeaderValue::try_from(fresh) {
        answer.headers_mut().insert(header::CACHE_CONTROL, fresh);
    }
    Ok(answer)
}

/// A redirect to a presigned GET.
pub(super) fn found(signed: &Presigned) -> Result<Response, Problem> {
    let place = HeaderValue::try_from(signed.url.expose())
        .map_err(|_| Problem::new(Code::Internal, "the URL is no header value"))?;
    Ok((StatusCode::FOUND, [(header::LOCATION, place)]).into_response())
}
