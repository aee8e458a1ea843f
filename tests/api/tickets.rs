//! Mint, sign, parts, list, look: the shapes of their answers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{HTML, TestBroker, png};
use crate::{assert_problem, id, members};

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_answers_tickets_with_transfers() {
    let broker = TestBroker::start().await;
    let token = broker.token_with(json!({"sub": "7", "refs": ["post:42"]}));
    let body = json!({"slot": "photos", "ref": "post:42", "files": [
        {"name": "a.png", "size": 12345, "type": "image/png", "metadata": {"alt": "a cat"}}
    ]});
    let answer = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.body["errors"], json!([]));
    let ticket = &answer.body["tickets"][0];
    for (member, value) in [
        ("slot", json!("photos")),
        ("ref", json!("post:42")),
        ("owner", json!("7")),
        ("state", json!("open")),
        ("name", json!("a.png")),
        ("size", json!(12345)),
    ] {
        assert_eq!(ticket[member], value, "{member}");
    }
    assert_eq!(id(ticket).len(), 36);
    assert_eq!(&id(ticket)[14..15], "7");
    let expires = ticket["expires_at"].as_str().unwrap();
    assert!(expires.contains('T') && expires.ends_with('Z'), "{expires}");
    let transfer = &ticket["transfer"];
    assert_eq!(
        members(transfer),
        ["expires_in", "headers", "kind", "method", "url"]
    );
    assert_eq!(transfer["kind"], "put");
    assert_eq!(transfer["method"], "PUT");
    assert_eq!(transfer["expires_in"], 900);
    assert!(transfer["headers"].is_object());
    let staging = format!("/staging/{}?", id(ticket));
    assert!(transfer["url"].as_str().unwrap().contains(&staging));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_lists_what_policy_refuses_by_index_and_mints_the_rest() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let body = json!({"slot": "photos", "files": [
        {"name": "a.png", "size": 1},
        {"name": "b.png", "size": 10_000_001},
        {"name": "c.png", "size": 1},
        {"name": "d.pdf", "size": 1},
        {"name": "e", "size": 1, "type": "text/html"},
    ]});
    let answer = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let names: Vec<_> = answer.body["tickets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ticket| ticket["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a.png", "c.png"]);
    let errors = answer.body["errors"].as_array().unwrap();
    let seen: Vec<_> = errors
        .iter()
        .map(|error| {
            (
                error["index"].as_u64().unwrap(),
                error["problem"]["code"].as_str().unwrap(),
                error["problem"]["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (1, "file-too-large", 413),
            (3, "type-not-accepted", 422),
            (4, "type-not-accepted", 422)
        ]
    );
    assert_eq!(errors[0]["problem"]["limit"], 10_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_of_which_nothing_is_left_answers_the_first_problem() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    for (files, status, code) in [
        (
            json!([{"name": "b.png", "size": 10_000_001}]),
            413,
            "file-too-large",
        ),
        (
            json!([{"name": "d.pdf", "size": 1}, {"name": "b.png", "size": 10_000_001}]),
            422,
            "type-not-accepted",
        ),
        (
            json!([{"name": "b.png", "size": i64::MAX}, {"name": "d.pdf", "size": 1}]),
            413,
            "file-too-large",
        ),
    ] {
        let body = json!({"slot": "photos", "files": files});
        let answer = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
        assert_problem(&answer, status, code);
        if status == 413 {
            assert_eq!(answer.body["limit"], 10_000_000);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_gets_a_plan_of_parts_that_sign_fills() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let part = 5 * 1024 * 1024;
    let size = 2 * part + 7;
    let body = json!({"slot": "big", "files": [{"name": "film.mp4", "size": size}]});
    let answer = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
    let ticket = &answer.body["tickets"][0];
    assert_eq!(
        ticket["transfer"],
        json!({"kind": "multipart", "part_size": part, "part_count": 3, "parts": [], "expires_in": 900})
    );
    let sign = format!("/v1/tickets/{}/sign", id(ticket));
    let body = json!({"parts": [1, 3]});
    let signed = broker.call("POST", &sign, &token, Some(body)).await;
    assert_eq!(signed.status, 200, "{signed:?}");
    let parts = signed.body["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 2);
    for (part, number, size) in [(&parts[0], 1, part), (&parts[1], 3, 7)] {
        assert_eq!(members(part), ["headers", "number", "size", "url"]);
        assert_eq!(part["number"], number);
        assert_eq!(part["size"], size);
    }
    let path = format!("/v1/tickets/{}/parts", id(ticket));
    let none = broker.call("GET", &path, &token, None).await;
    assert_eq!(none.status, 200, "{none:?}");
    assert_eq!(none.body["parts"], json!([]));
    assert_eq!(none.body["part_count"], 3);
    let headers = serde_json::from_value(parts[1]["headers"].clone()).unwrap();
    let url = parts[1]["url"].as_str().unwrap();
    assert_eq!(crate::common::put(url, &headers, &[7; 7]).await, 200);
    let one = broker.call("GET", &path, &token, None).await;
    assert_eq!(one.body["parts"], json!([{"number": 3, "size": 7}]));
    let early = broker.complete(&token, ticket).await;
    assert_problem(&early, 409, "parts-missing");
    assert_eq!(early.body["missing"], json!([1, 2]));
    let still = broker
        .call("GET", &format!("/v1/tickets/{}", id(ticket)), &token, None)
        .await;
    assert_eq!(still.body["state"], "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_answers_a_fresh_put_for_an_open_ticket_with_or_without_a_body() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let bytes = png(1);
    let ticket = broker.mint(&token, "photos", "a.png", &bytes).await;
    let sign = format!("/v1/tickets/{}/sign", id(&ticket));
    for body in [None, Some(json!({})), Some(json!({"parts": []}))] {
        let signed = broker.call("POST", &sign, &token, body).await;
        assert_eq!(signed.status, 200, "{signed:?}");
        assert_eq!(signed.body["id"], ticket["id"]);
        assert_eq!(signed.body["transfer"]["kind"], "put");
        assert_eq!(broker.put(&signed.body, &bytes).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_ticket_is_not_signed() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let committed = broker.upload(&token, "photos", "a.png", &png(1)).await.body;
    let rejected = broker.mint(&token, "photos", "a.png", HTML).await;
    broker.put(&rejected, HTML).await;
    broker.complete(&token, &rejected).await;
    let cancelled = broker.mint(&token, "photos", "a.png", &png(1)).await;
    let path = format!("/v1/tickets/{}", id(&cancelled));
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    for (ticket, status, code) in [
        (&committed, 409, "ticket-closed"),
        (&rejected, 422, "content-rejected"),
        (&cancelled, 409, "ticket-closed"),
    ] {
        for (method, call) in [("POST", "sign"), ("GET", "parts")] {
            let path = format!("/v1/tickets/{}/{call}", id(ticket));
            let answer = broker.call(method, &path, &token, None).await;
            assert_problem(&answer, status, code);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_tickets_is_walked_by_its_cursor_and_filtered() {
    let broker = TestBroker::start().await;
    let token = broker.token_with(json!({"sub": "7", "refs": ["post:42"]}));
    let mut ids = Vec::new();
    for n in 0..7 {
        let mut body = json!({"slot": "documents", "files": [{"name": "a.txt", "size": 1}]});
        if n == 3 {
            body["ref"] = json!("post:42");
        }
        let answer = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
        ids.push(id(&answer.body["tickets"][0]).to_owned());
        broker.advance(1);
    }
    broker
        .mint(&broker.token("8"), "documents", "b.txt", b"b")
        .await;
    broker.mint(&token, "photos", "a.png", b"p").await;
    let path = format!("/v1/tickets/{}", ids[5]);
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    ids.reverse();
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/tickets?slot=documents&limit=3{cursor}");
        let page = broker.call("GET", &path, &token, None).await;
        assert_eq!(page.status, 200, "{page:?}");
        assert_eq!(members(&page.body), ["next_cursor", "tickets"]);
        let tickets = page.body["tickets"].as_array().unwrap();
        seen.extend(tickets.iter().map(|ticket| id(ticket).to_owned()));
        match &page.body["next_cursor"] {
            Value::String(next) => {
                assert_eq!(tickets.len(), 3);
                cursor = format!("&cursor={next}");
            }
            other => {
                assert_eq!(*other, Value::Null);
                break;
            }
        }
    }
    assert_eq!(seen, ids);
    for (query, count) in [
        ("", 8),
        ("?state=open", 7),
        ("?state=cancelled", 1),
        ("?state=committed", 0),
        ("?slot=photos", 1),
        ("?ref=post:42", 1),
        ("?slot=documents&state=open", 6),
        ("?limit=7&slot=documents", 7),
        ("?owner=7", 8),
    ] {
        let page = broker
            .call("GET", &format!("/v1/tickets{query}"), &token, None)
            .await;
        assert_eq!(
            page.body["tickets"].as_array().unwrap().len(),
            count,
            "{query}"
        );
        assert_eq!(page.body["next_cursor"], Value::Null, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_a_ticket_is_always_200_with_its_state() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let look = async |ticket: &Value| {
        let path = format!("/v1/tickets/{}", id(ticket));
        let answer = broker.call("GET", &path, &broker.token("7"), None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    };
    let open = broker.mint(&token, "photos", "a.png", &png(1)).await;
    let seen = look(&open).await;
    assert_eq!(
        members(&seen),
        [
            "expires_at",
            "id",
            "name",
            "owner",
            "ref",
            "size",
            "slot",
            "state"
        ]
    );
    assert_eq!(seen["state"], "open");
    let committed = broker.upload(&token, "photos", "b.png", &png(2)).await.body;
    let seen = look(&committed).await;
    assert_eq!(seen["state"], "committed");
    assert_eq!(seen["file"]["id"], committed["id"]);
    assert!(seen["file"]["url"].is_string());
    let rejected = broker.mint(&token, "photos", "c.png", HTML).await;
    broker.put(&rejected, HTML).await;
    broker.complete(&token, &rejected).await;
    let seen = look(&rejected).await;
    assert_eq!(seen["state"], "rejected");
    assert_eq!(seen["problem"]["code"], "content-rejected");
    assert_eq!(seen["problem"]["status"], 422);
    let cancelled = broker.mint(&token, "photos", "d.png", &png(4)).await;
    let path = format!("/v1/tickets/{}", id(&cancelled));
    broker.call("DELETE", &path, &token, None).await;
    let seen = look(&cancelled).await;
    assert_eq!(seen["state"], "cancelled");
    assert_eq!(seen["problem"]["code"], "ticket-closed");
    broker.advance(24 * 3600 + 301);
    broker.sweep().await;
    let seen = look(&open).await;
    assert_eq!(seen["state"], "expired");
    assert_eq!(seen["problem"]["code"], "ticket-expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_returns_as_soon_as_the_ticket_closes() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "a.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    let path = format!("/v1/tickets/{}?wait=60", id(&ticket));
    let began = Instant::now();
    let (seen, done) = tokio::join!(
        broker.call("GET", &path, &token, None),
        broker.complete(&token, &ticket)
    );
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(seen.body["state"], "committed", "{seen:?}");
    assert!(seen.body["file"]["url"].is_string());
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_answers_an_open_ticket_when_its_time_is_up() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "a.png", &png(1)).await;
    let path = format!("/v1/tickets/{}?wait=1", id(&ticket));
    let began = Instant::now();
    let seen = broker.call("GET", &path, &token, None).await;
    assert_eq!(seen.status, 200);
    assert_eq!(seen.body["state"], "open");
    assert!(began.elapsed() >= Duration::from_millis(900));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_is_204_again_and_again_but_not_for_what_ended_otherwise() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "a.png", &png(1)).await;
    let path = format!("/v1/tickets/{}", id(&ticket));
    for _ in 0..2 {
        let answer = broker.call("DELETE", &path, &token, None).await;
        assert_eq!((answer.status, answer.body), (204, Value::Null));
    }
    assert_eq!(broker.events(&ticket).await, ["ticket.cancelled"]);
    let committed = broker.upload(&token, "photos", "a.png", &png(1)).await.body;
    let path = format!("/v1/tickets/{}", id(&committed));
    let answer = broker.call("DELETE", &path, &token, None).await;
    assert_problem(&answer, 409, "ticket-closed");
    assert_eq!(answer.body["state"], "committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_signs_at_once_share_one_upload() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let body = json!({"slot": "big", "files": [{"name": "a", "size": 6 * 1024 * 1024}]});
    let minted = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
    let sign = format!("/v1/tickets/{}/sign", id(&minted.body["tickets"][0]));
    let answers = futures_util::future::join_all(
        (0..10).map(|_| broker.call("POST", &sign, &token, Some(json!({"parts": [1]})))),
    )
    .await;
    let uploads: Vec<_> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{answer:?}");
            let url = answer.body["parts"][0]["url"].as_str().unwrap();
            let upload = url.split("uploadId=").nth(1).unwrap();
            upload.split('&').next().unwrap()
        })
        .collect();
    assert!(uploads.iter().all(|upload| *upload == uploads[0]));
}
