//! What every request passes, whatever its route: one thin layer and CORS.

use std::any::Any;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tower::{Layer, Service};
use tower_http::cors::{AllowHeaders, AllowOrigin, Cors, CorsLayer};
use tracing::Instrument;

use super::dialects;
use super::problem::{BODY_LIMIT, Refusal};
use crate::domain::problem::{Code, Problem};
use crate::metrics::metrics;
use crate::traces;

/// The header that ties an answer to its log lines.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What differs between installations.
#[derive(Clone, Debug)]
pub struct ShellSettings {
    /// The origins that browsers may call from, exactly as they send them.
    pub allowed_origins: Vec<HeaderValue>,
    /// How long a request may take; longer than the longest long-poll.
    pub request_timeout: Duration,
}

impl Default for ShellSettings {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            request_timeout: Duration::from_secs(75),
        }
    }
}

impl ShellSettings {
    /// A shell for these origins; what is no header value no browser can send.
    pub fn for_origins(origins: &[String]) -> Self {
        Self {
            allowed_origins: origins
                .iter()
                .filter_map(|origin| HeaderValue::try_from(origin).ok())
                .collect(),
            ..Self::default()
        }
    }
}

/// Puts the router into its shell. Routes added later are outside, so call this last.
pub fn wrap(router: Router, settings: &ShellSettings) -> Router {
    let shell = Shell(Arc::new(Rules {
        timeout: settings.request_timeout,
        ids: RequestIds::default(),
    }));
    let cors = Crossing {
        api: cors(settings.allowed_origins.clone()),
        dialects: dialects_cors(settings.allowed_origins.clone()),
    };
    // One tuple is one layer: axum boxes a service per `layer` call and route. CORS is
    // outside, so that a page can also read what a panic or a timeout answered.
    router.layer((cors, shell, DefaultBodyLimit::max(BODY_LIMIT)))
}

/// The origins are compared here, not listed for tower-http: a `*` in its list panics, and
/// here it is merely an origin that no browser sends.
fn cors(origins: Vec<HeaderValue>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            origins.contains(origin)
        }))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            REQUEST_ID,
        ])
        .expose_headers([header::RETRY_AFTER, REQUEST_ID])
        .max_age(Duration::from_hours(2))
}

/// What the clients of dialects send and read, which is more: cookies, and headers that Putgate
/// need not know. It is for the listed origins all the same.
fn dialects_cors(origins: Vec<HeaderValue>) -> CorsLayer {
    let named = HeaderName::from_static;
    cors(origins)
        .allow_credentials(true)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::HEAD,
            Method::OPTIONS,
        ])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            header::RETRY_AFTER,
            REQUEST_ID,
            header::ETAG,
            header::LOCATION,
            header::RANGE,
            header::CONTENT_DISPOSITION,
            named("upload-offset"),
            named("upload-length"),
            named("upload-expires"),
            named("tus-resumable"),
            named("tus-version"),
            named("tus-extension"),
            named("tus-max-size"),
        ])
}

/// CORS by route: that of the API, and that of dialects.
#[derive(Clone, Debug)]
struct Crossing<C> {
    api: C,
    dialects: C,
}

impl<S: Clone> Layer<S> for Crossing<CorsLayer> {
    type Service = Crossing<Cors<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        Crossing {
            api: self.api.layer(inner.clone()),
            dialects: self.dialects.layer(inner),
        }
    }
}

impl<S> Service<Request> for Crossing<Cors<S>>
where
    Cors<S>: Service<Request>,
{
    type Response = <Cors<S> as Service<Request>>::Response;
    type Error = <Cors<S> as Service<Request>>::Error;
    type Future = <Cors<S> as Service<Request>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        ready!(self.api.poll_ready(cx))?;
        self.dialects.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let route = request.extensions().get().map(MatchedPath::as_str);
        if route.is_some_and(|route| route.contains(dialects::PLACE)) {
            self.dialects.call(request)
        } else {
            self.api.call(request)
        }
    }
}

#[derive(Debug)]
struct Rules {
    timeout: Duration,
    ids: RequestIds,
}

/// Ids for requests that bring none: random per process, then counted.
#[derive(Debug)]
struct RequestIds {
    prefix: u32,
    next: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        let random = RandomState::new().hash_one(0_u8);
        Self {
            prefix: u32::try_from(random >> 32).unwrap_or_default(),
            next: AtomicU64::new(1),
        }
    }
}

impl RequestIds {
    /// The id the client sent, when it is short and plain, or a new one.
    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(REQUEST_ID) {
            Some(given) if is_plain_id(given.as_bytes()) => given.clone(),
            _ => {
                let count = self.next.fetch_add(1, Ordering::Relaxed);
                HeaderValue::try_from(format!("{:08x}-{count:x}", self.prefix))
                    .unwrap_or(HeaderValue::from_static("none"))
            }
        }
    }
}

fn is_plain_id(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Request id, span, timeout, panic net, problem net and security headers, in one box per
/// request.
#[derive(Clone, Debug)]
struct Shell(Arc<Rules>);

impl<S> Layer<S> for Shell {
    type Service = Shelled<S>;

    fn layer(&self, inner: S) -> Shelled<S> {
        Shelled {
            inner,
            rules: Arc::clone(&self.0),
        }
    }
}

#[derive(Clone, Debug)]
struct Shelled<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> Service<Request> for Shelled<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The clone that was polled ready is the one that must be called.
        let spare = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, spare);
        let rules = Arc::clone(&self.rules);
        let started = Instant::now();
        // A file on its way takes as long as it takes; its own pace is watched where it is read.
        let patience = if dialects::is_relayed(&request) {
            Duration::MAX
        } else {
            rules.timeout
        };
        let id = rules.ids.of(request.headers());
        let matched = request.extensions().get::<MatchedPath>().cloned();
        let route = move || {
            matched
                .as_ref()
                .map_or("(unmatched)", MatchedPath::as_str)
                .to_owned()
        };
        let method = known(request.method());
        let span = tracing::info_span!(
            "request",
            id = id.to_str().unwrap_or_default(),
            method = request.method().as_str(),
            path = route(),
            ticket = tracing::field::Empty,
        );
        traces::requested(&span, request.headers(), request.method(), &route);
        let answer = async move {
            let called = AssertUnwindSafe(async move { inner.call(request).await }).catch_unwind();
            let response = match tokio::time::timeout(patience, called).await {
                Ok(Ok(Ok(response))) => with_problem(response),
                Ok(Err(panic)) => panicked(panic.as_ref(), &id).into_response(),
                Err(_) => too_slow().into_response(),
            };
            let response = dressed(response, id);
            record(&route(), method, response.status(), started.elapsed());
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }
}

/// The method, if it is one of the API's: anybody can make up others.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn record(route: &str, method: &'static str, status: StatusCode, took: Duration) {
    let status = status.as_u16();
    metrics().answered(route, method, status, took);
    traces::answered(status);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if status >= 500 {
        tracing::warn!(target: "putgate::access", status, micros, "answered");
    } else {
        tracing::info!(target: "putgate::access", status, micros, "answered");
    }
}

fn panicked(panic: &(dyn Any + Send), id: &HeaderValue) -> Problem {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = words, "a handler panicked");
    Problem::new(
        Code::Internal,
        "a bug on this side; please report it with the request id",
    )
    .with("request_id", id.to_str().unwrap_or_default())
}

fn too_slow() -> Refusal {
    Refusal {
        status: StatusCode::SERVICE_UNAVAILABLE,
        problem: Problem::new(Code::Internal, "the request took too long; try again"),
    }
}

/// Errors of the framework itself (no route, wrong method, its own extractors) come as bare
/// text or nothing; they become problems here, with their headers (`Allow`) kept.
fn with_problem(response: Response) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    match response.headers().get(header::CONTENT_TYPE) {
        None => {}
        Some(kind) if kind.as_bytes().starts_with(b"text/plain") => {}
        Some(_) => return response,
    }
    let problem = match status {
        StatusCode::UNAUTHORIZED => Problem::new(Code::Unauthenticated, "a token is needed"),
        StatusCode::FORBIDDEN => Problem::new(Code::Forbidden, "this is not allowed"),
        StatusCode::NOT_FOUND => Problem::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(
            Code::MethodNotAllowed,
            "this path knows only the methods that the Allow header lists",
        ),
        status if status.is_client_error() => Problem::invalid("the request cannot be read"),
        _ => Problem::new(Code::Internal, "something went wrong here"),
    };
    let mut answer = Refusal { status, problem }.into_response();
    for (name, value) in response.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

fn dressed(mut response: Response, id: HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Json;
    use axum::body::Body;
    use axum::routing::{get, post};
    use serde_json::{Value, json};
    use tower::ServiceExt;

    fn router() -> Router {
        router_with(Duration::from_mins(1))
    }

    fn router_with(request_timeout: Duration) -> Router {
        let router = Router::new()
            .route(
                "/ok",
                get(async || "ok").delete(async || StatusCode::NO_CONTENT),
            )
            .route("/echo", post(async |Json(body): Json<Value>| Json(body)))
            .route(
                "/bytes",
                post(async |body: bytes::Bytes| body.len().to_string()),
            )
            .route(
                "/axum/{id}",
                get(async |id: axum::extract::Path<u8>| id.to_string()),
            )
            .route(
                "/cached",
                get(async || ([(header::CACHE_CONTROL, "max-age=60")], "x")),
            )
            .route(
                "/panic",
                get(async || -> &'static str { panic!("the {} is out", "secret") }),
            )
            .route("/stuck", get(std::future::pending::<()>))
            .route(
                "/foreign",
                get(async || (StatusCode::CONFLICT, Json(json!({"own": 1})))),
            );
        wrap(
            router,
            &ShellSettings {
                allowed_origins: vec![
                    HeaderValue::from_static("https://app.example"),
                    HeaderValue::from_static("*"),
                ],
                request_timeout,
            },
        )
    }

    async fn ask(
        request: http::request::Builder,
        body: impl Into<Body>,
    ) -> (StatusCode, HeaderMap, Value) {
        ask_of(router(), request, body).await
    }

    async fn ask_of(
        router: Router,
        request: http::request::Builder,
        body: impl Into<Body>,
    ) -> (StatusCode, HeaderMap, Value) {
        let response = router
            .oneshot(request.body(body.into()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (
            parts.status,
            parts.headers,
            serde_json::from_slice(&body).unwrap_or_default(),
        )
    }

    #[track_caller]
    fn assert_problem(answer: &(StatusCode, HeaderMap, Value), status: u16, code: &str) {
        let (got, headers, body) = answer;
        assert_eq!(
            (got.as_u16(), &body["status"], &body["code"]),
            (status, &json!(status), &json!(code))
        );
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert!(headers.contains_key(REQUEST_ID));
    }

    #[tokio::test]
    async fn an_unknown_path_is_a_problem() {
        assert_problem(&ask(Request::get("/nothing"), "").await, 404, "not-found");
    }

    #[tokio::test]
    async fn a_wrong_method_is_a_problem_that_lists_the_right_ones() {
        let answer = ask(Request::put("/ok"), "").await;
        assert_problem(&answer, 405, "method-not-allowed");
        let allow = answer.1[header::ALLOW].to_str().unwrap();
        assert!(allow.contains("GET") && allow.contains("DELETE"), "{allow}");
    }

    #[tokio::test]
    async fn the_framework_s_own_refusals_become_problems() {
        assert_problem(
            &ask(Request::get("/axum/x"), "").await,
            400,
            "invalid-request",
        );
    }

    #[tokio::test]
    async fn an_error_with_a_body_of_its_own_is_left_alone() {
        let (status, headers, body) = ask(Request::get("/foreign"), "").await;
        assert_eq!((status, body), (StatusCode::CONFLICT, json!({"own": 1})));
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_413_in_every_extractor() {
        let large = "x".repeat(BODY_LIMIT + 1);
        let typed = Request::post("/echo").header(header::CONTENT_TYPE, "application/json");
        assert_problem(&ask(typed, large.clone()).await, 413, "invalid-request");
        assert_problem(
            &ask(Request::post("/bytes"), large).await,
            413,
            "invalid-request",
        );
        let just = ask(Request::post("/bytes"), "x".repeat(BODY_LIMIT)).await;
        assert_eq!(just.2, json!(BODY_LIMIT));
    }

    #[tokio::test]
    async fn a_panic_is_a_500_with_the_request_id_and_without_its_words() {
        let answer = ask(Request::get("/panic").header(REQUEST_ID, "abc"), "").await;
        assert_problem(&answer, 500, "internal");
        assert_eq!(answer.2["request_id"], "abc");
        assert!(!answer.2.to_string().contains("secret"));
    }

    #[tokio::test]
    async fn a_request_that_takes_too_long_is_answered_503() {
        let router = router_with(Duration::from_millis(5));
        let answer = ask_of(router, Request::get("/stuck"), "").await;
        assert_problem(&answer, 503, "internal");
        assert_eq!(answer.1[header::RETRY_AFTER], "1");
    }

    #[tokio::test]
    async fn a_plain_request_id_comes_back_and_any_other_is_replaced() {
        let long = "x".repeat(64);
        for id in ["abc", "A.b_c-9", &long] {
            assert_eq!(
                ask(Request::get("/ok").header(REQUEST_ID, id), "").await.1[REQUEST_ID],
                id
            );
        }
        let longer = "x".repeat(65);
        for id in ["", "a b", "a\"b", "é", "a/b", &longer] {
            let answer =
                ask(Request::get("/ok").header(REQUEST_ID, id), "").await.1[REQUEST_ID].clone();
            assert!(
                answer != id && is_plain_id(answer.as_bytes()),
                "{id:?}: {answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn made_request_ids_differ() {
        let router = router();
        let ask = async || {
            router
                .clone()
                .oneshot(Request::get("/ok").body(Body::empty()).unwrap())
                .await
                .unwrap()
                .headers()[REQUEST_ID]
                .clone()
        };
        assert_ne!(ask().await, ask().await);
    }

    #[tokio::test]
    async fn every_answer_has_the_security_headers_and_is_stored_only_when_it_says_so() {
        let headers = ask(Request::get("/ok"), "").await.1;
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        let headers = ask(Request::get("/cached"), "").await.1;
        assert_eq!(headers[header::CACHE_CONTROL], "max-age=60");
    }

    async fn preflight(origin: &str) -> (StatusCode, HeaderMap, Value) {
        let request = Request::options("/ok")
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "DELETE")
            .header(
                header::ACCESS_CONTROL_REQUEST_HEADERS,
                "authorization,content-type",
            );
        ask(request, "").await
    }

    #[tokio::test]
    async fn a_listed_origin_passes_its_preflight() {
        let (status, headers, _) = preflight("https://app.example").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            headers[header::ACCESS_CONTROL_ALLOW_ORIGIN],
            "https://app.example"
        );
        assert_eq!(
            headers[header::ACCESS_CONTROL_ALLOW_METHODS],
            "GET,POST,DELETE"
        );
        assert_eq!(
            headers[header::ACCESS_CONTROL_ALLOW_HEADERS],
            "authorization,content-type,idempotency-key,x-request-id"
        );
        assert_eq!(headers[header::ACCESS_CONTROL_MAX_AGE], "7200");
        assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }

    #[tokio::test]
    async fn an_origin_that_only_resembles_a_listed_one_does_not_pass() {
        for origin in [
            "https://app.example.evil",
            "http://app.example",
            "https://app.example:444",
            "https://APP.example",
            "null",
            "https://evil.example",
        ] {
            for headers in [
                preflight(origin).await.1,
                ask(Request::get("/ok").header(header::ORIGIN, origin), "")
                    .await
                    .1,
            ] {
                assert!(
                    !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN),
                    "{origin}"
                );
                assert!(
                    headers
                        .get_all(header::VARY)
                        .iter()
                        .any(|v| v.to_str().unwrap().contains("origin")),
                    "{origin}"
                );
            }
        }
    }

    #[tokio::test]
    async fn problems_and_panics_reach_the_page_that_asked() {
        for path in ["/ok", "/nothing", "/panic", "/axum/x"] {
            let headers = ask(
                Request::get(path).header(header::ORIGIN, "https://app.example"),
                "",
            )
            .await
            .1;
            assert_eq!(
                headers[header::ACCESS_CONTROL_ALLOW_ORIGIN],
                "https://app.example",
                "{path}"
            );
            assert_eq!(
                headers[header::ACCESS_CONTROL_EXPOSE_HEADERS],
                "retry-after,x-request-id",
                "{path}"
            );
        }
    }
}
