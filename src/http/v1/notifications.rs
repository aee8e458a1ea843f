//! `POST /v1/notifications/s3`: what the store tells about its buckets.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::routing::post;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use utoipa::OpenApi;

use crate::domain::problem::{Code, Problem};
use crate::domain::secret::Secret;
use crate::flow::{App, notify};
use crate::http::auth::bearer;
use crate::http::openapi::refusals;
use crate::http::problem::Json;

/// Who may notify: whoever sends `Authorization: Bearer <secret>` with one of the secrets.
/// Without any, the call is answered as one that is not there.
#[derive(Debug)]
pub struct Senders(ArcSwap<Vec<Secret>>);

impl Senders {
    /// Those who know one of these.
    pub fn new(secrets: Vec<Secret>) -> Self {
        Self(ArcSwap::from_pointee(secrets))
    }

    /// From now on those who know one of these, and nobody else.
    pub fn renew(&self, secrets: Vec<Secret>) {
        self.0.store(Arc::new(secrets));
    }

    fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let secrets = self.0.load();
        if secrets.is_empty() {
            return Err(Problem::not_found());
        }
        let sent = bearer(headers)?.as_bytes();
        // Every one of them is compared, so that the time does not tell which it was.
        let known = secrets
            .iter()
            .fold(false, |known, secret| secret.matches(sent) | known);
        if known {
            return Ok(());
        }
        Err(Problem::new(
            Code::Unauthenticated,
            "the bearer secret is none of [notifications]",
        )
        .with("error", "invalid_token"))
    }
}

/// The route, open to `senders`.
pub fn routes(app: Arc<App>, senders: Arc<Senders>) -> Router {
    Router::new()
        .route("/v1/notifications/s3", post(receive))
        .with_state(Doorkeeper { app, senders })
}

#[derive(Clone)]
struct Doorkeeper {
    app: Arc<App>,
    senders: Arc<Senders>,
}

/// Somebody who knows a secret; asked before the body is read.
struct Sender;

impl FromRequestParts<Doorkeeper> for Sender {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, door: &Doorkeeper) -> Result<Self, Problem> {
        door.senders.admit(&parts.headers).map(|()| Self)
    }
}

#[derive(OpenApi)]
#[openapi(paths(receive))]
pub(super) struct Api;

/// Take note of a bucket's events.
///
/// There, when `[notifications]` has a secret. A hint, never the truth.
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
