//! What a load balancer asks.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};

use super::Shared;
use super::problem::Json;
use crate::domain::problem::Problem;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/livez", get(async || Json(json!({"status": "ok"}))))
        .route("/readyz", get(ready))
}

/// Asks the database and nobody else. Without the store much still works, and every other
/// instance would be as red.
async fn ready(State(shared): State<Shared>) -> Result<Json<Value>, Problem> {
    shared.app.db.ping().await?;
    Ok(Json(json!({"status": "ok"})))
}
