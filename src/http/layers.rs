//! What every request passes, whatever its route: one thin layer and CORS.

use std::any::Any;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tower::{Layer, Service};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;

use super::problem::{BODY_LIMIT, Refusal};
use crate::domain::problem::{Code, Problem};

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

/// Puts the router into its shell. Routes added later are outside, so call this last.
pub fn wrap(router: Router, settings: &ShellSettings) -> Router {
    let shell = Shell(Arc::new(Rules {
        timeout: settings.request_timeout,
        ids: RequestIds::default(),
    }));
    let cors = cors(settings.allowed_origins.clone());
    // One tuple is one layer: axum boxes a service per `layer` call and route.
    router.layer((shell, cors, DefaultBodyLimit::max(BODY_LIMIT)))
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
        .max_age(Duration::from_secs(7200))
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
        let id = rules.ids.of(request.headers());
        let span = tracing::info_span!(
            "request",
            id = id.to_str().unwrap_or_default(),
            method = request.method().as_str(),
            path = request
                .extensions()
                .get()
                .map_or("(unmatched)", MatchedPath::as_str),
        );
        let answer = async move {
            let called = AssertUnwindSafe(async move { inner.call(request).await }).catch_unwind();
            let response = match tokio::time::timeout(rules.timeout, called).await {
                Ok(Ok(Ok(response))) => with_problem(response),
                Ok(Err(panic)) => panicked(panic.as_ref(), &id).into_response(),
                Err(_) => too_slow().into_response(),
            };
            let response = dressed(response, id);
            record(response.status(), started.elapsed());
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }
}

fn record(status: StatusCode, took: Duration) {
    let status = status.as_u16();
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
