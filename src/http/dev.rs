//! What only `putgate dev` serves: the demo page, the client, and tokens for the asking.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::mint_token;
use super::problem::{Json, Query};
use crate::clock::Clock;
use crate::domain::secret::Secret;
use crate::domain::time::Seconds;

/// How long a token of `dev` lives.
const TOKEN_LIFE: Seconds = Seconds(3600);

/// What the demo page needs from its server.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Signs the tokens.
    pub secret: Secret,
    /// Tells their end.
    pub clock: Clock,
    /// The store's origin, which the page may talk to.
    pub store_url: String,
}

/// The demo page, the client, and `GET /dev/token`.
pub fn routes(demo: Demo) -> Router {
    const CSS: &str = "text/css; charset=utf-8";
    const JS: &str = "text/javascript; charset=utf-8";
    let asset = |kind: &'static str, text: &'static str| {
        get(async move || {
            (
                [(header::CONTENT_TYPE, HeaderValue::from_static(kind))],
                text,
            )
        })
    };
    Router::new()
        .route("/", get(page))
        .route("/demo.css", asset(CSS, include_str!("demo/demo.css")))
        .route("/demo.js", asset(JS, include_str!("demo/demo.js")))
        .route(
            "/client/putgate-client.js",
            asset(JS, include_str!("../../client-js/dist/putgate-client.js")),
        )
        .route("/dev/token", get(token))
        .with_state(Arc::new(demo))
}

async fn page(State(demo): State<Arc<Demo>>) -> Response {
    let store = &demo.store_url;
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {store}; \
         img-src 'self' data: blob: {store}; form-action 'none'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let mut answer = include_str!("demo/index.html").into_response();
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(HeaderName::from_static("content-security-policy"), policy);
    }
    answer
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenQuery {
    #[serde(default = "someone")]
    sub: String,
    scope: Option<String>,
    tenant: Option<String>,
    refs: Option<String>,
}

fn someone() -> String {
    "demo".to_owned()
}

async fn token(State(demo): State<Arc<Demo>>, Query(asked): Query<TokenQuery>) -> Json<Value> {
    let mut claims = json!({
        "sub": asked.sub,
        "exp": demo.clock.now().plus(TOKEN_LIFE).seconds(),
    });
    if let Some(scope) = asked.scope {
        claims["scope"] = json!(scope);
    }
    if let Some(tenant) = asked.tenant {
        claims["tenant"] = json!(tenant);
    }
    if let Some(refs) = asked.refs {
        claims["refs"] = refs.split(',').filter(|name| !name.is_empty()).collect();
    }
    Json(json!({"token": mint_token(&demo.secret, &claims)}))
}
