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

/// Reads a JSON object; the problem says where it is wrong.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // serde would take a list for a struct, field by field.
    match body.trim_ascii_start().first() {
        Some(b'{') => {}
        Some(_) => return Err(Problem::invalid("the body must be a JSON object")),
        None => {
            return Err(Problem::invalid(
                "the body is empty, a JSON object is needed",
            ));
        }
    }
    serde_json::from_slice(body).map_err(|law| {
        let words = excerpt(&law.to_string());
        Problem::invalid(format!("the body is not the JSON expected: {words}"))
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

/// JSON in and out: as an extractor it refuses with problems, as an answer it is
/// `application/json`. [`JsonBody`] keeps the bytes too.
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::{get, post};
    use serde::Deserialize;
    use serde_json::json;
    use tower::ServiceExt;
    use uuid::Uuid;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        count: u32,
        #[serde(default)]
        notes: Value,
    }

    #[derive(Debug, Deserialize)]
    struct Page {
        limit: u32,
    }

    fn router() -> Router {
        Router::new()
            .route(
                "/orders",
                post(async |Json(order): Json<Order>| Json(json!([order.count, order.notes]))),
            )
            .route("/raw", post(async |body: JsonBody<Order>| body.bytes))
            .route(
                "/orders/{id}",
                get(async |Path(id): Path<Uuid>| id.to_string()),
            )
            .route(
                "/list",
                get(async |Query(page): Query<Page>| page.limit.to_string()),
            )
    }

    async fn ask(
        request: http::request::Builder,
        body: impl Into<Body>,
    ) -> (StatusCode, HeaderMap, Value) {
        let response = router()
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

    async fn order(body: impl Into<Body>) -> (StatusCode, Value) {
        let request =
            Request::post("/orders").header(CONTENT_TYPE, "application/json; charset=utf-8");
        let (status, _, value) = ask(request, body).await;
        (status, value)
    }

    #[tokio::test]
    async fn json_is_read_and_written() {
        assert_eq!(
            order(r#"{"count": 3}"#).await,
            (StatusCode::OK, json!([3, null]))
        );
        let request = Request::post("/raw").header(CONTENT_TYPE, "application/json");
        assert_eq!(ask(request, r#"{"count": 3}"#).await.2, json!({"count": 3}));
    }

    #[tokio::test]
    async fn a_body_that_is_not_the_json_expected_is_400_with_its_place() {
        for (body, words, column) in [
            ("{", "EOF", 1),
            (r#"{"count": -1}"#, "u32", 12),
            (r#"{"count": 1.5}"#, "u32", 13),
            (r#"{"count": 4294967296}"#, "u32", 20),
            (r#"{"count": "1"}"#, "u32", 13),
            (r#"{"count": 1, "count": 2}"#, "duplicate", 20),
            (r#"{"count": 1, "colour": 2}"#, "unknown field", 21),
            (r#"{"count": 1} {}"#, "trailing", 14),
            (
                "{\"count\": 1, \"notes\": \"\u{0}\"}",
                "control character",
                24,
            ),
        ] {
            let (status, problem) = order(body).await;
            assert_eq!(
                (status, &problem["code"]),
                (StatusCode::BAD_REQUEST, &json!("invalid-request")),
                "{body}"
            );
            assert!(
                problem["detail"].as_str().unwrap().contains(words),
                "{body}: {problem}"
            );
            assert_eq!(problem["column"], column, "{body}: {problem}");
        }
        for (body, words) in [
            ("", "empty"),
            (" \n", "empty"),
            ("[1]", "object"),
            ("null", "object"),
            ("\u{feff}{}", "object"),
        ] {
            let (status, problem) = order(body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert!(
                problem["detail"].as_str().unwrap().contains(words),
                "{body}: {problem}"
            );
        }
        let (status, _) = order(&b"{\"count\": 1, \"notes\": \"\xff\"}"[..]).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn json_a_thousand_deep_is_400() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let body = format!(
                r#"{{"count": 1, "notes": {}1{}}}"#,
                open.repeat(1000),
                close.repeat(1000)
            );
            let (status, problem) = order(body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
        }
    }

    #[tokio::test]
    async fn a_problem_repeats_no_more_than_an_excerpt_of_the_body() {
        let (_, problem) = order(format!(r#"{{"{}\u001b[31m": 1}}"#, "é".repeat(5000))).await;
        assert!(problem["detail"].as_str().unwrap().len() < 300, "{problem}");
        let (_, problem) = order("{\"\\u001b[31m\": 1}").await;
        assert!(
            !problem["detail"].as_str().unwrap().contains('\u{1b}'),
            "{problem}"
        );
    }

    #[tokio::test]
    async fn another_content_type_or_none_is_415() {
        for request in [
            Request::post("/orders"),
            Request::post("/orders").header(CONTENT_TYPE, "text/plain"),
            Request::post("/orders").header(CONTENT_TYPE, "application/jsonp"),
            Request::post("/orders").header(CONTENT_TYPE, "application/x-www-form-urlencoded"),
        ] {
            let (status, headers, problem) = ask(request, r#"{"count": 1}"#).await;
            assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
            assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
            assert_eq!(
                (&problem["code"], &problem["status"]),
                (&json!("invalid-request"), &json!(415))
            );
        }
    }

    #[tokio::test]
    async fn a_path_or_query_that_cannot_be_read_is_404_or_400() {
        let id = "0190b5a0-0000-7000-8000-000000000000";
        assert_eq!(
            ask(Request::get(format!("/orders/{id}")), "").await.0,
            StatusCode::OK
        );
        for bad in ["x", "%00", "%ff", &id[1..], "..%2f"] {
            let (status, _, problem) = ask(Request::get(format!("/orders/{bad}")), "").await;
            assert_eq!(
                (status, &problem["code"]),
                (StatusCode::NOT_FOUND, &json!("not-found")),
                "{bad}"
            );
        }
        assert_eq!(
            ask(Request::get("/list?limit=3"), "").await.0,
            StatusCode::OK
        );
        for bad in [
            "",
            "?limit",
            "?limit=x",
            "?limit=-1",
            "?limit=1&limit=2",
            "?limit=%ff",
        ] {
            let (status, _, problem) = ask(Request::get(format!("/list{bad}")), "").await;
            assert_eq!(
                (status, &problem["code"]),
                (StatusCode::BAD_REQUEST, &json!("invalid-request")),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_401_challenges_and_names_an_error_only_for_a_token() {
        let problem = Problem::new(Code::Unauthenticated, "x");
        let challenge =
            |problem: Problem| problem.into_response().headers()[WWW_AUTHENTICATE].clone();
        assert_eq!(challenge(problem.clone()), "Bearer");
        assert_eq!(
            challenge(problem.with("error", "invalid_token")),
            "Bearer error=\"invalid_token\""
        );
    }

    #[test]
    fn a_429_and_a_503_say_when_to_come_back() {
        let after = |problem: Problem| problem.into_response().headers().get(RETRY_AFTER).cloned();
        assert_eq!(
            after(Problem::new(Code::TooManyOpenTickets, "x")).unwrap(),
            "5"
        );
        assert_eq!(
            after(Problem::new(Code::StorageUnavailable, "x")).unwrap(),
            "1"
        );
        assert_eq!(
            after(Problem::new(Code::DatabaseUnavailable, "x").with("retry_after", 7)).unwrap(),
            "7"
        );
        assert_eq!(after(Problem::not_found()), None);
    }

    #[test]
    fn every_problem_is_problem_json_that_nobody_stores() {
        for code in Code::ALL {
            let response = Problem::new(*code, "x").into_response();
            assert_eq!(response.status().as_u16(), code.status());
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        }
    }
}
