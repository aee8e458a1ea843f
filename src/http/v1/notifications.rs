//! `POST /v1/notifications/s3`: what the store tells about its buckets.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::routing::post;
use http::StatusCode;
use http::request::Parts;
use serde_json::Value;
use utoipa::OpenApi;

use crate::domain::problem::{Code, Problem};
use crate::domain::secret::Secret;
use crate::flow::{App, notify};
use crate::http::auth::bearer;
use crate::http::openapi::refusals;
use crate::http::problem::Json;

/// The route, open to whoever sends `Authorization: Bearer <secret>`. Without a secret there
/// is no route.
pub fn routes(app: Arc<App>, secret: Secret) -> Router {
    Router::new()
        .route("/v1/notifications/s3", post(receive))
        .with_state(Doorkeeper { app, secret })
}

#[derive(Clone)]
struct Doorkeeper {
    app: Arc<App>,
    secret: Secret,
}

/// Somebody who knows the secret; asked before the body is read.
struct Sender;

impl FromRequestParts<Doorkeeper> for Sender {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, door: &Doorkeeper) -> Result<Self, Problem> {
        if door.secret.matches(bearer(&parts.headers)?.as_bytes()) {
            return Ok(Self);
        }
        Err(Problem::new(
            Code::Unauthenticated,
            "the bearer secret is not that of [notifications]",
        )
        .with("error", "invalid_token"))
    }
}

#[derive(OpenApi)]
#[openapi(paths(receive))]
pub(super) struct Api;

/// Take note of a bucket's events.
///
/// There, when the configuration has `[notifications]`. A hint, never the truth.
///
/// It answers before anything is looked up or judged: a store queues what was not answered, and
/// one slow answer would keep all that come after it.
#[utoipa::path(
    post,
    path = "/v1/notifications/s3",
    operation_id = "notify",
    tag = "operations",
    security(("notification_secret" = [])),
    request_body(content = Object, description = "As MinIO and S3 send it"),
    responses((status = 204, description = "Noted"), refusals::Notification),
)]
async fn receive(
    State(door): State<Doorkeeper>,
    Sender: Sender,
    Json(event): Json<Value>,
) -> StatusCode {
    notify::notify(&door.app, &event);
    StatusCode::NO_CONTENT
}
