//! What every dialect has: the caller's own files, and the completion of a ticket for pages
//! that have no other token than the one in their path.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};

use super::Access;
use crate::domain::caller::Scope;
use crate::domain::name::Id;
use crate::domain::problem::Problem;
use crate::flow::look;
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

/// A redirect to a presigned GET of the caller's own file.
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

/// As `POST /v1/tickets/{id}/complete`.
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
