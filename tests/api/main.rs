//! The HTTP API, compared point by point with its contract by somebody outside.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod claims;
mod complete;
mod files;
mod idempotency;
mod limits;
mod notifications;
mod openapi;
mod shell;
mod tickets;
mod who;

use axum::body::Body;
use axum::http::Request;
use common::{Answer, TestBroker};
use putgate::domain::problem::Code;
use serde_json::Value;

/// Any request, with these headers.
fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

/// Panics unless the answer is this problem, in the form that all problems have.
#[track_caller]
fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.body["code"], code, "{answer:?}");
    assert_eq!(answer.body["status"], status, "{answer:?}");
    assert_eq!(
        answer.headers["content-type"], "application/problem+json",
        "{answer:?}"
    );
    assert!(Code::parse(code).is_some(), "{code} is not on the list");
    for member in ["type", "title", "detail"] {
        assert!(
            answer.body[member].as_str().is_some_and(|t| !t.is_empty()),
            "{member}: {answer:?}"
        );
    }
    assert!(answer.headers.contains_key("x-request-id"), "{answer:?}");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

/// Everything a refusal must leave as it is: how many rows, in which states, and the usage.
/// An account that holds nothing may have a row or none.
async fn snapshot(broker: &TestBroker) -> Vec<String> {
    let mut found = Vec::new();
    let mut hand = broker.database.hand().await;
    for sql in [
        "SELECT 'ticket ' || hex(id) || state || epoch || expires_at FROM tickets ORDER BY id",
        "SELECT 'file ' || hex(id) || coalesce(ref, '') || coalesce(ended_at, 0) FROM files ORDER BY id",
        "SELECT 'events ' || count(*) FROM events",
        "SELECT 'idempotency ' || count(*) FROM idempotency",
        "SELECT 'usage ' || account || ' ' || open || ' ' || files || ' ' || reserved || ' ' || stored \
           FROM usage WHERE open + files + reserved + stored > 0 ORDER BY account",
    ] {
        found.extend(hand.lines(sql).await);
    }
    found
}

/// The names of an object's members, in order.
fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

/// The id of a ticket or file.
fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

/// Where the sources are.
fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
