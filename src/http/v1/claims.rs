//! `/v1/claims`: the app's backend takes files for an object of its own.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{OpenApi, ToSchema};

use super::{Object, file_view, named, reference};
use crate::domain::name::{Id, Owner};
use crate::domain::problem::Problem;
use crate::flow::claim;
use crate::http::openapi::{refusals, shapes};
use crate::http::problem::Json;
use crate::http::{Bearer, Shared};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/claims", post(claim_files))
}

#[derive(OpenApi)]
#[openapi(paths(claim_files))]
pub(super) struct Api;

/// Files, and what they are for from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ClaimBody {
    /// Each must belong to `owner`.
    #[schema(value_type = Vec<uuid::Uuid>, min_items = 1, max_items = 100)]
    files: Vec<Id>,
    #[schema(min_length = 1, max_length = 255)]
    owner: String,
    /// Absent or null: they are kept without a ref.
    #[serde(default, rename = "ref")]
    #[schema(min_length = 1, max_length = 255)]
    reference: Option<String>,
}

/// Claim files for an object of the app.
///
/// Scope `manage`. All of them or none.
#[utoipa::path(
    post,
    path = "/v1/claims",
    operation_id = "claim",
    tag = "files",
    security(("token" = [])),
    request_body = ClaimBody,
    responses((status = 200, description = "Claimed", body = shapes::Claimed), refusals::Claim),
)]
async fn claim_files(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    Json(Object(body)): Json<Object<ClaimBody>>,
) -> Result<Json<Value>, Problem> {
    let owner = named(Owner::parse, "owner", body.owner)?;
    let reference = reference(body.reference)?;
    let claimed = claim::claim(&shared.app, &caller, owner, reference, body.files).await?;
    let files = claimed
        .iter()
        .map(|claimed| {
            let mut view = file_view(&shared.app, &claimed.file)?;
            view["claimed_now"] = json!(claimed.now);
            Ok(view)
        })
        .collect::<Result<Vec<_>, Problem>>()?;
    Ok(Json(json!({"files": files})))
}
