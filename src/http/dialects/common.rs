//! What every dialect has: the caller's own files, and the completion of a ticket for pages
//! that have no other token than the one in their path.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use utoipa::OpenApi;

use super::Access;
use crate::domain::caller::Scope;
use crate::domain::name::Id;
use crate::domain::problem::Problem;
use crate::flow::look;
use crate::http::openapi::{shapes, spoken};
use crate::http::problem::{Path, Query};
use crate::http::v1::tickets::{WaitQuery, completed};
use crate::http::{Shared, public};

/// The last part of a path after `/u/{slot}/{token}`.
#[derive(Debug, serde::Deserialize)]
struct Named {
    id: Id,
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/f/{id}", get(file))
        .route("/tickets/{id}/complete", post(complete))
}

#[derive(OpenApi)]
#[openapi(paths(file, complete))]
pub(super) struct Api;

/// The caller's own file of this slot.
///
/// A redirect to a presigned GET.
#[utoipa::path(
    get,
    path = "/u/{slot}/{token}/f/{id}",
    operation_id = "dialect_file",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(spoken::Place, ("id" = uuid::Uuid, Path, description = "The file")),
    responses(
        (status = 302, description = "Where the bytes are", headers(
            ("Location" = String, description = "A presigned GET"),
        )),
        spoken::OwnFile,
    ),
)]
async fn file(
    State(shared): State<Shared>,
    access: Access,
    Path(Named { id }): Path<Named>,
) -> Result<Response, Problem> {
    access.caller.may(Scope::Read)?;
    let file = look::own_file(&shared.app, &access.caller, id).await?;
    if file.slot != access.slot.name {
        return Err(Problem::not_found());
    }
    public::found(&look::download(&shared.app, &file)?)
}

/// Verify what arrived, as `POST /v1/tickets/{id}/complete` does.
#[utoipa::path(
    post,
    path = "/u/{slot}/{token}/tickets/{id}/complete",
    operation_id = "dialect_complete",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(spoken::Place, ("id" = uuid::Uuid, Path, description = "The ticket"), WaitQuery),
    responses(
        (status = 200, description = "Committed", body = shapes::Ticket),
        (status = 202, description = "Still being judged", body = shapes::Ticket, headers(
            ("Retry-After" = u32, description = "Seconds until a look makes sense"),
        )),
        spoken::OwnTicket,
    ),
)]
async fn complete(
    State(shared): State<Shared>,
    access: Access,
    Path(Named { id }): Path<Named>,
    Query(asked): Query<WaitQuery>,
) -> Result<Response, Problem> {
    let ticket = look::own_ticket(&shared.app, &access.caller, id).await?;
    if ticket.slot != access.slot.name {
        return Err(Problem::not_found());
    }
    completed(&shared, &access.caller, id, &asked).await
}
