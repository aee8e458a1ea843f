//! What a load balancer asks.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};

use super::problem::Json;
use crate::domain::problem::Problem;
use crate::flow::App;

/// `/livez` and `/readyz`: beside the API, or on a listener of their own.
pub fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/livez", get(async || Json(json!({"status": "ok"}))))
        .route("/readyz", get(ready))
        .with_state(app)
}

/// Asks the database and nobody else. Without the store much still works, and every other
/// instance would be as red.
async fn ready(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    app.db.ping().await?;
    Ok(Json(json!({"status": "ok"})))
}
