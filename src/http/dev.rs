//! What only `putgate dev` serves: the demo page, the client, and tokens for the asking.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::mint_token;
use super::problem::{Json, Query};
use crate::clock::Clock;
use crate::domain::problem::{Code, Problem};
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

/// The demo's pages, the client, and `GET /dev/token`.
pub fn routes(demo: Demo) -> Router {
    const CSS: &str = "text/css; charset=utf-8";
    const JS: &str = "text/javascript; charset=utf-8";
    const PHOTOS: &str = include_str!("demo/photos.html");
    const AVATAR: &str = include_str!("demo/avatar.html");
    const DOCUMENTS: &str = include_str!("demo/documents.html");
    const BIG: &str = include_str!("demo/big.html");
    let asset = |kind: &'static str, text: &'static str| {
        get(async move || {
            (
                [(header::CONTENT_TYPE, HeaderValue::from_static(kind))],
                text,
            )
        })
    };
    let page = |text: &'static str| {
        get(async move |State(demo): State<Arc<Demo>>| html(&demo.store_url, text))
    };
    Router::new()
        .route("/", page(PHOTOS))
        .route("/avatar", page(AVATAR))
        .route("/documents", page(DOCUMENTS))
        .route("/big", page(BIG))
        .route("/demo/demo.css", asset(CSS, include_str!("demo/demo.css")))
        .route("/demo/common.js", asset(JS, include_str!("demo/common.js")))
        .route("/demo/photos.js", asset(JS, include_str!("demo/photos.js")))
        .route("/demo/avatar.js", asset(JS, include_str!("demo/avatar.js")))
        .route(
            "/demo/documents.js",
            asset(JS, include_str!("demo/documents.js")),
        )
        .route("/demo/big.js", asset(JS, include_str!("demo/big.js")))
        .route(
            "/client/putgate-client.js",
            asset(JS, include_str!("../../client-js/dist/putgate-client.js")),
        )
        .route(
            "/client/putgate-client.js.map",
            asset(
                "application/json",
                include_str!("../../client-js/dist/putgate-client.js.map"),
            ),
        )
        .route(
            "/client/putgate-upload.js",
            asset(JS, include_str!("../../client-js/dist/putgate-upload.js")),
        )
        .route(
            "/client/putgate-upload.js.map",
            asset(
                "application/json",
                include_str!("../../client-js/dist/putgate-upload.js.map"),
            ),
        )
        .route("/dev/token", get(token))
        .with_state(Arc::new(demo))
}

/// A page that may load nothing but ours, and talk to nobody but us and the store.
fn html(store: &str, text: &'static str) -> Response {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {store}; \
         img-src 'self' data: blob: {store}; form-action 'none'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let mut answer = text.into_response();
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

async fn token(
    State(demo): State<Arc<Demo>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Query(asked): Query<TokenQuery>,
) -> Result<Json<Value>, Problem> {
    if !peer.ip().to_canonical().is_loopback() {
        let detail = "tokens are for browsers on the server's own machine";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    if !is_addressed_directly(&headers) {
        let detail = "tokens are for pages at localhost or at an address";
        return Err(Problem::new(Code::Forbidden, detail));
    }
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
    Ok(Json(json!({"token": mint_token(&demo.secret, &claims)})))
}

/// Whether the browser was sent here by an address or `localhost`. A name that somebody
/// else's DNS answers with 127.0.0.1 would make that somebody's page "same origin".
fn is_addressed_directly(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    host.and_then(|host| host.parse::<Authority>().ok())
        .is_some_and(|authority| {
            let name = authority.host();
            name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_token_is_for_a_peer_on_this_machine_alone() {
        let ask = async |peer: &str| {
            let demo = Demo {
                secret: Secret::new("s".repeat(64)),
                clock: Clock::System,
                store_url: "http://127.0.0.1:9000".into(),
            };
            let peer: SocketAddr = peer.parse().unwrap();
            let request = Request::get("/dev/token")
                .header(header::HOST, "127.0.0.1:3000")
                .extension(ConnectInfo(peer))
                .body(Body::empty());
            let answer = routes(demo).oneshot(request.unwrap()).await.unwrap();
            answer.status()
        };
        for peer in [
            "127.0.0.1:9",
            "127.8.9.1:9",
            "[::1]:9",
            "[::ffff:127.0.0.1]:9",
        ] {
            assert_eq!(ask(peer).await, StatusCode::OK, "{peer}");
        }
        for peer in [
            "192.168.1.5:9",
            "10.0.0.1:9",
            "[fe80::1]:9",
            "[::ffff:10.0.0.1]:9",
        ] {
            assert_eq!(ask(peer).await, StatusCode::FORBIDDEN, "{peer}");
        }
    }

    #[test]
    fn a_page_of_a_rebound_name_gets_no_token() {
        let direct = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::try_from(host).unwrap());
            is_addressed_directly(&headers)
        };
        for host in [
            "localhost",
            "localhost:3000",
            "127.0.0.1:3000",
            "[::1]:3000",
            "192.168.1.5",
        ] {
            assert!(direct(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:3000",
            "127.0.0.1.evil.example",
            "",
        ] {
            assert!(!direct(host), "{host}");
        }
    }
}
