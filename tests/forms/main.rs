//! Clients that post their files to this server: forms of all kinds, and django-jsonform's.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/process.rs"]
mod process;

mod chunks;
mod form;
mod jsonform;
mod memory;
mod relay;

use std::fmt::Write;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use common::TestBroker;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

const SLOTS: &str = r#"
[slots.pictures]
accept = ["image/*"]
max_file_size = "6MiB"
max_entries = 20
dialects = ["form", "jsonform"]

[slots.open]
accept = ["image/*"]
max_entries = 20
public = true
dialects = ["form", "jsonform"]

[slots.tutorial]
accept = ["image/*"]
max_entries = 20
dialects = ["form"]
form_answer = "is_valid"

[slots.drop]
accept = ["image/*"]
max_entries = 20
dialects = ["form"]
form_answer = "success"

[slots.raw]
max_file_size = "30MiB"
max_entries = 50
part_size = "5MiB"
quota = "40MiB"
dialects = ["form"]

[slots.silent]
max_entries = 20
"#;

/// An answer: status, headers, body.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .unwrap_or_else(|| panic!("no {name}: {self:?}"))
            .to_str()
            .unwrap()
    }
}

async fn broker() -> TestBroker {
    TestBroker::with_slots(SLOTS).await
}

/// Where a token's bearer posts to a slot in a dialect.
fn place(slot: &str, token: &str, dialect: &str) -> String {
    format!("/u/{slot}/{token}/{dialect}")
}

async fn send(broker: &TestBroker, request: Request<Body>) -> Reply {
    let answer = broker.router.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Reply {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

async fn ask(broker: &TestBroker, method: &str, path: &str) -> Reply {
    let request = Request::builder().method(method).uri(path);
    send(broker, request.body(Body::empty()).unwrap()).await
}

const BOUNDARY: &str = "----WebKitFormBoundaryE19zNvXGzXaLvS5C";

/// One field of a form: name, file name and type if it has a file, and what is in it.
struct Part<'a>(&'a str, Option<(&'a str, &'a str)>, &'a [u8]);

fn text<'a>(name: &'a str, value: &'a str) -> Part<'a> {
    Part(name, None, value.as_bytes())
}

fn file<'a>(name: &'a str, bytes: &'a [u8]) -> Part<'a> {
    Part("files[]", Some((name, "image/png")), bytes)
}

/// A form as a browser writes it.
fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for Part(name, file, bytes) in parts {
        let mut head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"");
        if let Some((file, kind)) = file {
            write!(head, "; filename=\"{file}\"\r\nContent-Type: {kind}").unwrap();
        }
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// A request with a form, as a script sends it.
fn posting(path: &str) -> axum::http::request::Builder {
    Request::post(path)
        .header(
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .header("accept", "application/json, text/javascript, */*; q=0.01")
        .header("x-requested-with", "XMLHttpRequest")
}

async fn post(broker: &TestBroker, path: &str, parts: &[Part<'_>]) -> Reply {
    let body = form(parts);
    let request = posting(path)
        .header("content-length", body.len())
        .body(in_pieces(body, 10_000))
        .unwrap();
    send(broker, request).await
}

/// A body that comes in pieces, as one over the network does.
fn in_pieces(bytes: Vec<u8>, size: usize) -> Body {
    let bytes = bytes::Bytes::from(bytes);
    let count = bytes.len().div_ceil(size);
    let pieces = (0..count).map(move |n| {
        Ok::<_, std::convert::Infallible>(bytes.slice(n * size..bytes.len().min((n + 1) * size)))
    });
    Body::from_stream(futures_util::stream::iter(pieces))
}

/// The files of an answer to a form.
#[track_caller]
fn files(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["files"].as_array().unwrap().clone()
}

/// `open files reserved stored` of an owner in a slot.
async fn usage(broker: &TestBroker, slot: &str) -> Vec<String> {
    let sql = format!(
        "SELECT open || ' ' || files || ' ' || reserved || ' ' || stored FROM usage \
         WHERE account LIKE '%{slot}%' AND open + files + reserved + stored > 0"
    );
    let mut lines = broker.database.hand().await.lines(&sql).await;
    lines.dedup();
    lines
}

/// Waits until staging holds nothing, finished or not, and nothing is reserved.
async fn nothing_is_left(broker: &TestBroker) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let sql = "SELECT count(*) || '' FROM tickets WHERE state = 'open'";
        let open = broker.database.hand().await.lines(sql).await;
        let reserved = "SELECT '' || coalesce(sum(reserved), 0) FROM usage";
        let reserved = broker.database.hand().await.lines(reserved).await;
        let left = (
            broker.objects("staging"),
            broker.store.unfinished("staging"),
            open,
            reserved,
        );
        if left == (vec![], 0, vec!["0".to_owned()], vec!["0".to_owned()]) {
            return;
        }
        assert!(Instant::now() < deadline, "{left:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The bytes of a committed file.
fn stored(broker: &TestBroker, id: &Value) -> Vec<u8> {
    let id = id.as_str().unwrap();
    let objects = broker.objects("files");
    let (key, _) = objects.iter().find(|(key, _)| key.contains(id)).unwrap();
    broker.store.read("files", key).unwrap()
}

/// A file that shows where each of its bytes belongs.
fn patterned(size: usize) -> Vec<u8> {
    (0..size)
        .map(|n| u8::try_from((n ^ (n >> 8) ^ (n >> 16).wrapping_mul(31)) & 0xff).unwrap())
        .collect()
}

/// A picture of this many bytes.
fn large_png(size: usize) -> Vec<u8> {
    let mut bytes = common::png(1);
    bytes.truncate(bytes.len() - 12);
    let padding = size - bytes.len() - 12 - 12;
    bytes.extend(u32::try_from(padding).unwrap().to_be_bytes());
    bytes.extend(b"zzZz");
    bytes.extend(std::iter::repeat_n(0, padding));
    bytes.extend([0; 4]);
    bytes.extend([0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82]);
    bytes
}

/// A token with every scope a page needs.
fn token(broker: &TestBroker) -> String {
    broker.token_with(json!({"sub": "7", "scope": "upload read delete"}))
}
