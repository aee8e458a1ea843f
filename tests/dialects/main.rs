//! Dialects, spoken as their clients do, and what all of them have in common.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod uppy;

use axum::body::Body;
use axum::http::Request;
use common::{Answer, TestBroker};

/// Slots that speak, and one that does not.
const SPEAKING: &str = r#"
[slots.photos]
accept = ["image/*"]
max_entries = 20
dialects = ["uppy"]

[slots.public]
max_entries = 20
public = true
dialects = ["uppy", "form", "jsonform"]

[slots.films]
max_file_size = "14MiB"
max_entries = 3
quota = "64MiB"
ticket_ttl = "1h"
dialects = ["uppy"]

[slots.forms]
dialects = ["form"]

[slots.mute]
max_entries = 20
"#;

/// A request with these headers, and its answer.
async fn ask(broker: &TestBroker, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    broker.send(request.body(Body::empty()).unwrap()).await
}
