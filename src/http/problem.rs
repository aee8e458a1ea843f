//! Problems on the wire, and extractors that refuse with problems.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::problem::{Code, Problem};

/// The largest body of an API request, in bytes.
pub const BODY_LIMIT: usize = 128 * 1024;
/// How long a client may take to send such a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of a parser's words that are repeated to the client.
const MAX_DETAIL_BYTES: usize = 200;

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status());
        respond(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &self)
    }
}

/// A problem under another status than its code's. The list of codes is closed, HTTP's list
/// of statuses is finer: `invalid-request` is also sent as 408, 413, 415 and 431, `internal`
/// also as 503 when a request took too long.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The status on the wire and in the body.
    pub status: StatusCode,
    /// What is wrong.
    pub problem: Problem,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        respond(self.status, &self.problem)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let status = StatusCode::from_u16(problem.code.status());
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            problem,
        }
    }
}

fn respond(status: StatusCode, problem: &Problem) -> Response {
    let body = if status.as_u16() == problem.code.status() {
        serde_json::to_vec(problem)
    } else {
        serde_json::to_value(problem).and_then(|mut value| {
            value["status"] = status.as_u16().into();
            serde_json::to_vec(&value)
        })
    };
    let mut response = Response::new(Body::from(body.unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, challenge(problem));
    }
    if let Some(seconds) = retry_after(status, problem) {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// RFC 6750, 3: the error is named only when a token was given.
fn challenge(problem: &Problem) -> HeaderValue {
    HeaderValue::from_static(match problem.members.get("error") {
        Some(_) => "Bearer error=\"invalid_token\"",
        None => "Bearer",
    })
}

/// Seconds until a retry makes sense: the problem's own `retry_after`, or a default for the
/// statuses that ask for one.
fn retry_after(status: StatusCode, problem: &Problem) -> Option<u64> {
    let own = problem.members.get("retry_after").and_then(Value::as_u64);
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(own.unwrap_or(5)),
        StatusCode::SERVICE_UNAVAILABLE => Some(own.unwrap_or(1)),
        _ => own,
    }
}

/// `text` without control characters and not longer than a line or two: it may repeat what
/// the client sent.
fn excerpt(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_DETAIL_BYTES);
    let mut short: String = text[..end]
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if end < text.len() {
        short.push('…');
    }
    short
}

/// Reads JSON; the problem says where it is wrong.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|law| {
        Problem::invalid(format!(
            "the body is not the JSON expected: {}",
            excerpt(&law.to_string())
        ))
        .with("line", law.line())
        .with("column", law.column())
    })
}

fn says_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(HeaderValue::to_str) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

async fn read_body(request: Request) -> Result<Bytes, Refusal> {
    let refuse = |status, detail| Refusal {
        status,
        problem: Problem::invalid(detail),
    };
    if !says_json(request.headers()) {
        return Err(refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be sent as `Content-Type: application/json`",
        ));
    }
    match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(law)) if law.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request body is larger than this call takes",
        )),
        Ok(Err(_)) => Err(refuse(
            StatusCode::BAD_REQUEST,
            "the request body broke off",
        )),
        Err(_) => Err(refuse(
            StatusCode::REQUEST_TIMEOUT,
            "the request body took too long to arrive",
        )),
    }
}

/// JSON in and out. As an extractor it refuses with problems and keeps the body's bytes
/// next to their meaning in [`JsonBody`]; as an answer it is `application/json`.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let body = read_body(request).await?;
        Ok(Self(parse_json(&body)?))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let Ok(body) = serde_json::to_vec(&self.0) else {
            return Problem::new(Code::Internal, "the answer cannot be written as JSON")
                .into_response();
        };
        (
            [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            body,
        )
            .into_response()
    }
}

/// JSON in, together with the bytes it was read from, for calls that hash them.
#[derive(Clone, Debug)]
pub struct JsonBody<T> {
    /// What the body says.
    pub value: T,
    /// The body.
    pub bytes: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let bytes = read_body(request).await?;
        Ok(Self {
            value: parse_json(&bytes)?,
            bytes,
        })
    }
}

/// The query string; what it cannot read is `invalid-request`.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|law| Problem::invalid(excerpt(&law.body_text())))
    }
}

/// The path's parameters; what it cannot read is `not-found`, as no resource has such a name.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|path| Self(path.0))
            .map_err(|_| Problem::not_found())
    }
}
