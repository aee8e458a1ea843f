//! `/v1/slots`: the policies, for the UI.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, OpenApi};

use super::{reference, slot_name};
use crate::domain::caller::Caller;
use crate::domain::name::Ref;
use crate::domain::problem::Problem;
use crate::domain::slot::Slot;
use crate::flow::look;
use crate::http::openapi::{refusals, shapes};
use crate::http::problem::{Json, Path, Query};
use crate::http::{Bearer, Shared};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/slots", get(list))
        .route("/slots/{slot}", get(one))
}

#[derive(OpenApi)]
#[openapi(paths(list, one))]
pub(super) struct Api;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Whose entries `usage` counts; absent: those without a ref.
    #[serde(rename = "ref")]
    #[param(min_length = 1, max_length = 255, nullable = false)]
    reference: Option<String>,
}

/// The slots that the token may use.
#[utoipa::path(
    get,
    path = "/v1/slots",
    operation_id = "list_slots",
    tag = "slots",
    security(("token" = [])),
    params(Asked),
    responses((status = 200, description = "The slots", body = shapes::Slots), refusals::Slots),
)]
async fn list(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Problem> {
    let reference = reference(asked.reference)?;
    let mut slots = Vec::new();
    for slot in look::slots(&shared.app, &caller) {
        slots.push(view(&shared, &caller, &slot, reference.as_ref()).await?);
    }
    Ok(Json(json!({"slots": slots})))
}

/// One slot.
#[utoipa::path(
    get,
    path = "/v1/slots/{slot}",
    operation_id = "get_slot",
    tag = "slots",
    security(("token" = [])),
    params(
        ("slot" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$",
            description = "Its name"),
        Asked,
    ),
    responses((status = 200, description = "The slot", body = shapes::Slot), refusals::Slot),
)]
async fn one(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    Path(slot): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Problem> {
    let name = slot_name(slot).map_err(|_| Problem::not_found())?;
    let reference = reference(asked.reference)?;
    caller.may_use_slot(&name)?;
    let slot = shared.app.slot(&name)?;
    Ok(Json(
        view(&shared, &caller, &slot, reference.as_ref()).await?,
    ))
}

async fn view(
    shared: &Shared,
    caller: &Caller,
    slot: &Slot,
    reference: Option<&Ref>,
) -> Result<Value, Problem> {
    caller.may_use_ref(reference)?;
    let policy = slot.policy.tightened(caller.limits_for(&slot.name));
    let (entries, bytes) = look::usage(&shared.app, caller, slot, reference).await?;
    let max_entries = policy.token.max_entries.unwrap_or(policy.max_entries);
    let quota = policy.token.quota.or(policy.quota);
    let (extensions, types) = policy.accept.known_hints();
    Ok(json!({
        "name": slot.name,
        "accept": policy.accept,
        "accepted": {"extensions": extensions, "types": types},
        "max_file_size": policy.max_file_size,
        "max_entries": max_entries,
        "on_full": policy.on_full,
        "auto_upload": policy.auto_upload,
        "part_size": policy.part_size,
        "ticket_ttl": policy.ticket_ttl,
        "url_ttl": policy.url_ttl,
        "unclaimed_ttl": policy.unclaimed_ttl,
        "quota": quota,
        "image": policy.image,
        "disposition": policy.disposition,
        "public": policy.public,
        "strict_match": policy.strict_match,
        "allow_active_content": policy.allow_active_content,
        "usage": {
            "ref": reference,
            "open_tickets": entries.open,
            "files": entries.files,
            "reserved_bytes": bytes.reserved,
            "stored_bytes": bytes.stored,
        },
    }))
}
