//! What a load balancer asks.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::openapi::{refusals, shapes};
use super::problem::Json;
use crate::domain::problem::{Code, Problem};
use crate::flow::App;
use crate::metrics::{CONTENT_TYPE, metrics};

/// How long a scrape waits for the database.
const COUNTING: Duration = Duration::from_secs(2);

/// What the admin listener serves: [`routes`], and `/metrics`.
pub fn admin(app: Arc<App>) -> Router {
    let numbers = Router::new().route("/metrics", get(numbers));
    numbers.with_state(Arc::clone(&app)).merge(routes(app))
}

/// The numbers of this process. A database that does not answer is one of them; and one that
/// took no write is tried again, since nobody else may write or ask.
async fn numbers(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    if !app.db.takes_writes() {
        let _ = tokio::time::timeout(COUNTING, app.db.ping()).await;
    }
    let measured = app.db.measure(app.db.now(), app.receiver.get().is_some());
    let counted = tokio::time::timeout(COUNTING, measured).await;
    match counted {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "what waits could not be counted"),
        Err(_) => {
            metrics().measured(None);
            tracing::warn!("what waits could not be counted in time");
        }
    }
    let text = metrics().text();
    let text = text.map_err(|_| Problem::new(Code::Internal, "the numbers cannot be written"))?;
    let kind = HeaderValue::from_static(CONTENT_TYPE);
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// `/livez` and `/readyz`: beside the API, or on a listener of their own.
pub fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .with_state(app)
}

#[derive(OpenApi)]
#[openapi(paths(alive, ready))]
pub(super) struct Api;

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "livez",
    tag = "operations",
    responses((status = 200, description = "It does", body = shapes::Alive), refusals::Static),
)]
async fn alive() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Whether the database answers, and takes writes.
///
/// It asks the database and nobody else. Without the store much still works, and every other
/// instance would be as red.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    responses((status = 200, description = "It does both", body = shapes::Alive), refusals::Ready),
)]
async fn ready(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    app.db.ping().await?;
    Ok(Json(json!({"status": "ok"})))
}
