//! `/v1/claims`: the app's backend takes files for an object of its own.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Object, file_view, named, reference};
use crate::domain::name::{Id, Owner};
use crate::domain::problem::Problem;
use crate::flow::claim;
use crate::http::problem::Json;
use crate::http::{Bearer, Shared};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/claims", post(claim_files))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimBody {
    files: Vec<Id>,
    owner: String,
    #[serde(default, rename = "ref")]
    reference: Option<String>,
}

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
