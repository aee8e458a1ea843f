//! `/v1/files`: list, look, delete.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, OpenApi};

use super::{
    bad_cursor, cursor, file_view, listed_owner, owner_name, page_size, place, reference, slot_name,
};
use crate::db::FileFilter;
use crate::domain::name::Id;
use crate::domain::problem::Problem;
use crate::domain::time::Timestamp;
use crate::flow::{delete, look};
use crate::http::openapi::{refusals, shapes};
use crate::http::problem::{Json, Path, Query};
use crate::http::{Bearer, Shared};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/files", get(list))
        .route("/files/{id}", get(one).delete(delete_file))
}

#[derive(OpenApi)]
#[openapi(paths(list, one, delete_file))]
pub(super) struct Api;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", nullable = false)]
    slot: Option<String>,
    #[serde(rename = "ref")]
    #[param(min_length = 1, max_length = 255, nullable = false)]
    reference: Option<String>,
    /// With `manage`; absent: the whole tenant.
    #[param(min_length = 1, max_length = 255, nullable = false)]
    owner: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50, nullable = false)]
    limit: Option<usize>,
}

/// Committed files, newest first.
#[utoipa::path(
    get,
    path = "/v1/files",
    operation_id = "list_files",
    tag = "files",
    security(("token" = [])),
    params(ListQuery),
    responses((status = 200, description = "A page", body = shapes::Files), refusals::List),
)]
async fn list(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    Query(asked): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let filter = FileFilter {
        tenant: caller.tenant.clone(),
        owner: listed_owner(&caller, owner_name(asked.owner)?)?,
        slots: asked
            .slot
            .map(slot_name)
            .transpose()?
            .map(|slot| vec![slot]),
        reference: reference(asked.reference)?,
        after: asked
            .cursor
            .map(|text| parse_place(&place(&text)?))
            .transpose()?,
    };
    let page = look::files(&shared.app, &caller, filter, page_size(asked.limit)?).await?;
    let next = page
        .rows
        .last()
        .filter(|_| page.more)
        .map(|file| cursor(&format!("{}:{}", file.committed_at.millis(), file.id)));
    let files = page
        .rows
        .iter()
        .map(|file| file_view(&shared.app, file))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Json(json!({"files": files, "next_cursor": next})))
}

fn parse_place(text: &str) -> Result<(Timestamp, Id), Problem> {
    let (at, id) = text.split_once(':').ok_or_else(bad_cursor)?;
    let at = at.parse().map_err(|_| bad_cursor())?;
    let id = Id::try_parse(id).map_err(|_| bad_cursor())?;
    Ok((Timestamp::from_millis(at), id))
}

/// One file, with a fresh `url`.
#[utoipa::path(
    get,
    path = "/v1/files/{id}",
    operation_id = "get_file",
    tag = "files",
    security(("token" = [])),
    params(("id" = uuid::Uuid, Path, description = "The file")),
    responses((status = 200, description = "The file", body = shapes::File), refusals::File),
)]
async fn one(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    Path(id): Path<Id>,
) -> Result<Json<Value>, Problem> {
    caller.may(crate::domain::caller::Scope::Read)?;
    let file = look::own_file(&shared.app, &caller, id).await?;
    Ok(Json(file_view(&shared.app, &file)?))
}

/// Delete a file.
///
/// It is gone for readers now; its bytes a little later.
#[utoipa::path(
    delete,
    path = "/v1/files/{id}",
    operation_id = "delete_file",
    tag = "files",
    security(("token" = [])),
    params(("id" = uuid::Uuid, Path, description = "The file")),
    responses((status = 204, description = "Gone, now or before"), refusals::Delete),
)]
async fn delete_file(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    Path(id): Path<Id>,
) -> Result<StatusCode, Problem> {
    delete::delete(&shared.app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
