//! What every answer has: CORS, ids, headers; and what operations ask.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use http_body_util::BodyExt;
use putgate::http::layers::{self, ShellSettings};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::common::TestBroker;
use crate::{assert_problem, request};

const OURS: &str = "https://app.example.com";

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_of_an_allowed_origin_is_answered_and_another_ones_is_not() {
    let broker = TestBroker::start().await;
    for (origin, allowed) in [
        (OURS, true),
        ("https://app.example.com.evil.example", false),
        ("http://app.example.com", false),
        ("https://APP.example.com", false),
        ("null", false),
    ] {
        for (method, path) in [
            ("POST", "/v1/tickets"),
            ("DELETE", "/v1/files/01900000-0000-7000-8000-000000000000"),
        ] {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", method),
                (
                    "access-control-request-headers",
                    "authorization,content-type,idempotency-key",
                ),
            ];
            let answer = broker.send(request("OPTIONS", path, &headers, "")).await;
            assert!(answer.status < 300, "{answer:?}");
            let told = answer.headers.get("access-control-allow-origin");
            assert_eq!(told.is_some(), allowed, "{origin}");
            if allowed {
                assert_eq!(told.unwrap(), OURS);
                let names = answer.headers["access-control-allow-headers"]
                    .to_str()
                    .unwrap()
                    .to_ascii_lowercase();
                for name in ["authorization", "content-type", "idempotency-key"] {
                    assert!(names.contains(name), "{names}");
                }
                let methods = answer.headers["access-control-allow-methods"]
                    .to_str()
                    .unwrap();
                assert!(methods.contains(method), "{methods}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_origin_may_read_answers_and_problems() {
    let broker = TestBroker::start().await;
    let bearer = format!("Bearer {}", broker.token("7"));
    for (path, token, status) in [
        ("/v1/slots", bearer.as_str(), 200),
        ("/v1/slots", "Bearer x", 401),
        ("/v1/nowhere", bearer.as_str(), 404),
    ] {
        for (origin, allowed) in [(OURS, true), ("https://evil.example", false)] {
            let headers = [("origin", origin), ("authorization", token)];
            let answer = broker.send(request("GET", path, &headers, "")).await;
            assert_eq!(answer.status, status);
            assert_eq!(
                answer
                    .headers
                    .get("access-control-allow-origin")
                    .is_some_and(|told| told == OURS),
                allowed
            );
            let vary = answer.headers["vary"]
                .to_str()
                .unwrap()
                .to_ascii_lowercase();
            assert!(vary.contains("origin"), "{vary}");
            assert!(
                !answer
                    .headers
                    .contains_key("access-control-allow-credentials")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id_and_is_not_sniffed_or_kept() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    for (method, path, status) in [
        ("GET", "/v1/slots", 200),
        ("GET", "/v1/files", 200),
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/tickets", 405),
    ] {
        let answer = broker.call(method, path, &token, None).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(!answer.headers["x-request-id"].is_empty());
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    let headers = [("x-request-id", "mine-1")];
    let answer = broker.send(request("GET", "/livez", &headers, "")).await;
    assert_eq!(answer.headers["x-request-id"], "mine-1");
    let headers = [("x-request-id", "not a plain id <script>")];
    let answer = broker.send(request("GET", "/livez", &headers, "")).await;
    assert_ne!(answer.headers["x-request-id"], "not a plain id <script>");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_needs_no_token() {
    let broker = TestBroker::start().await;
    for path in ["/livez", "/readyz"] {
        let answer = broker.call("GET", path, "", None).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, json!({"status": "ok"}));
    }
}

#[expect(clippy::panic, reason = "what the net is for")]
async fn bug() -> &'static str {
    panic!("a secret of the inside")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_is_a_problem_that_says_nothing_of_the_inside() {
    let router = Router::new().route("/bug", get(bug));
    let router = layers::wrap(router, &ShellSettings::default());
    let request = Request::get("/bug").body(Body::empty()).unwrap();
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let answer = crate::common::Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: serde_json::from_slice::<Value>(&bytes).unwrap(),
    };
    assert_problem(&answer, 500, "internal");
    assert_eq!(
        answer.body["request_id"],
        answer.headers["x-request-id"].to_str().unwrap()
    );
    assert!(!answer.body.to_string().contains("secret of the inside"));
}
