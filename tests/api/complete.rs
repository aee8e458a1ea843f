//! Complete: its outcomes, their repetition, checksums, and the events they write.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::{HTML, TestBroker, png, put};
use crate::{assert_problem, id, members};

fn sum(bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_answers_the_ticket_with_its_file() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let bytes = png(1);
    let body = json!({"slot": "photos", "files": [
        {"name": "a.png", "size": bytes.len(), "type": "image/png", "metadata": {"alt": "é"}}
    ]});
    let minted = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
    let ticket = &minted.body["tickets"][0];
    assert_eq!(broker.put(ticket, &bytes).await, 200);
    let answer = broker.complete(&token, ticket).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["state"], "committed");
    assert_eq!(answer.body["id"], ticket["id"]);
    let file = &answer.body["file"];
    assert_eq!(
        members(file),
        [
            "committed_at",
            "etag",
            "height",
            "id",
            "key",
            "metadata",
            "name",
            "owner",
            "ref",
            "sha256",
            "size",
            "slot",
            "type",
            "url",
            "url_expires_in",
            "width"
        ]
    );
    for (member, value) in [
        ("id", ticket["id"].clone()),
        ("slot", json!("photos")),
        ("ref", Value::Null),
        ("owner", json!("7")),
        ("key", json!(format!("default/photos/{}.1.png", id(ticket)))),
        ("name", json!("a.png")),
        ("size", json!(bytes.len())),
        ("type", json!("image/png")),
        ("sha256", json!(sum(&bytes))),
        ("width", json!(16)),
        ("height", json!(16)),
        ("metadata", json!({"alt": "é"})),
    ] {
        assert_eq!(file[member], value, "{member}");
    }
    assert!(file["url_expires_in"].as_u64().unwrap() > 0);
    assert!(!file["etag"].as_str().unwrap().contains('"'));
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_repeats_its_outcome() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let committed = broker.upload(&token, "photos", "a.png", &png(1)).await.body;
    let rejected = broker.mint(&token, "photos", "b.png", HTML).await;
    assert_eq!(broker.put(&rejected, HTML).await, 200);
    let cancelled = broker.mint(&token, "photos", "c.png", &png(3)).await;
    let path = format!("/v1/tickets/{}", id(&cancelled));
    broker.call("DELETE", &path, &token, None).await;
    let expired = broker.mint(&token, "photos", "d.png", &png(4)).await;
    for _ in 0..2 {
        let again = broker.complete(&token, &committed).await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(again.body["file"]["key"], committed["file"]["key"]);
        let answer = broker.complete(&token, &rejected).await;
        assert_problem(&answer, 422, "content-rejected");
        assert_eq!(answer.body["reason"], "active-content");
        assert_eq!(answer.body["declared"], "image/png");
        assert_eq!(answer.body["detected"], "text/html");
        let answer = broker.complete(&token, &cancelled).await;
        assert_problem(&answer, 409, "ticket-closed");
        assert_eq!(answer.body["state"], "cancelled");
    }
    broker.advance(24 * 3600 + 301);
    broker.sweep().await;
    let token = broker.token("7");
    for _ in 0..2 {
        let answer = broker.complete(&token, &expired).await;
        assert_problem(&answer, 410, "ticket-expired");
    }
    for (ticket, event) in [
        (&committed, "ticket.committed"),
        (&rejected, "ticket.rejected"),
        (&cancelled, "ticket.cancelled"),
        (&expired, "ticket.expired"),
    ] {
        assert_eq!(broker.events(ticket).await, [event]);
    }
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_stays_200_after_its_file_is_gone() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let committed = broker.upload(&token, "photos", "a.png", &png(1)).await.body;
    let path = format!("/v1/files/{}", id(&committed));
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    for _ in 0..2 {
        let again = broker.complete(&token, &committed).await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(again.body["state"], "committed");
        assert_eq!(again.body["file"], Value::Null);
        let path = format!("/v1/tickets/{}", id(&committed));
        let seen = broker.call("GET", &path, &token, None).await;
        assert_eq!(seen.body, again.body);
        broker.sweep().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_before_the_bytes_leaves_the_ticket_open() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let bytes = png(1);
    let ticket = broker.mint(&token, "photos", "a.png", &bytes).await;
    for _ in 0..2 {
        let answer = broker.complete(&token, &ticket).await;
        assert_problem(&answer, 409, "object-missing");
    }
    assert_eq!(broker.put(&ticket, &bytes).await, 200);
    let answer = broker.complete(&token, &ticket).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_that_may_not_wait_answers_202_and_the_commit_goes_on() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let bytes = png(1);
    let ticket = broker.mint(&token, "photos", "a.png", &bytes).await;
    assert_eq!(broker.put(&ticket, &bytes).await, 200);
    let path = format!("/v1/tickets/{}/complete?wait=0", id(&ticket));
    let answer = broker.call("POST", &path, &token, None).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.body["id"], ticket["id"]);
    assert_eq!(answer.body["state"], "open");
    let path = format!("/v1/tickets/{}?wait=60", id(&ticket));
    let seen = broker.call("GET", &path, &token, None).await;
    assert_eq!(seen.body["state"], "committed", "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_completes_at_once_answer_one_outcome() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let bytes = png(1);
    let ticket = broker.mint(&token, "photos", "a.png", &bytes).await;
    assert_eq!(broker.put(&ticket, &bytes).await, 200);
    let answers =
        futures_util::future::join_all((0..20).map(|_| broker.complete(&token, &ticket))).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["file"]["key"], answers[0].body["file"]["key"]);
    }
    assert_eq!(broker.events(&ticket).await, ["ticket.committed"]);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_refuses_bytes_that_are_not_the_sum_and_the_ticket_stays_open() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let (bytes, other) = (png(1), png(2));
    assert_eq!(bytes.len(), other.len());
    let body = json!({"slot": "photos", "files": [
        {"name": "a.png", "size": bytes.len(), "sha256": sum(&bytes)}
    ]});
    let minted = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
    let ticket = &minted.body["tickets"][0];
    assert_eq!(
        ticket["transfer"]["headers"]["x-amz-checksum-sha256"],
        sum(&bytes)
    );
    assert_eq!(broker.put(ticket, &other).await, 400);
    let answer = broker.complete(&token, ticket).await;
    assert_problem(&answer, 409, "object-missing");
    assert_eq!(broker.put(ticket, &bytes).await, 200);
    let answer = broker.complete(&token, ticket).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["file"]["sha256"], sum(&bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sum_of_a_file_larger_than_what_is_read_is_known_too() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let mut bytes = png(1);
    bytes.resize(200_000, 0);
    let body = json!({"slot": "big", "files": [
        {"name": "a.bin", "size": bytes.len(), "sha256": sum(&bytes)}
    ]});
    let minted = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
    let ticket = &minted.body["tickets"][0];
    assert_eq!(broker.put(ticket, &bytes).await, 200);
    let answer = broker.complete(&token, ticket).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["file"]["sha256"], sum(&bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sum_of_a_file_of_many_parts_is_not_looked_at() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let part = 5 * 1024 * 1024;
    let bytes = vec![7_u8; part + 1];
    let body = json!({"slot": "big", "files": [
        {"name": "a.bin", "size": bytes.len(), "sha256": sum(b"something else")}
    ]});
    let minted = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
    assert_eq!(minted.status, 201, "{minted:?}");
    let ticket = &minted.body["tickets"][0];
    let sign = format!("/v1/tickets/{}/sign", id(ticket));
    let signed = broker
        .call("POST", &sign, &token, Some(json!({"parts": [1, 2]})))
        .await;
    for (at, chunk) in bytes.chunks(part).enumerate() {
        let headers = serde_json::from_value(signed.body["parts"][at]["headers"].clone()).unwrap();
        let url = signed.body["parts"][at]["url"].as_str().unwrap();
        assert_eq!(put(url, &headers, chunk).await, 200);
    }
    let answer = broker.complete(&token, ticket).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(answer.body["file"]["sha256"], sum(b"something else"));
    assert_eq!(answer.body["file"]["size"], bytes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_carry_what_happened_and_no_url() {
    let broker = TestBroker::start().await;
    let token = broker.token_with(json!({"sub": "7", "scope": "manage"}));
    let ticket = broker.upload(&token, "photos", "a.png", &png(1)).await.body;
    let body = json!({"files": [ticket["id"]], "owner": "7", "ref": "post:42"});
    let claimed = broker.call("POST", "/v1/claims", &token, Some(body)).await;
    assert_eq!(claimed.status, 200, "{claimed:?}");
    let path = format!("/v1/files/{}", id(&ticket));
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    let events = broker
        .app
        .db
        .events(id(&ticket).parse().unwrap())
        .await
        .unwrap();
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["ticket.committed", "file.claimed", "file.deleted"]);
    for (at, (kind, body)) in events.iter().enumerate() {
        assert_eq!(members(body), ["data", "timestamp", "type"]);
        assert_eq!(body["type"], *kind);
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(body["data"]["seq"], at + 1);
        assert_eq!(body["data"]["id"], ticket["id"]);
        let text = body.to_string();
        assert!(!text.contains("\"url") && !text.contains("X-Amz"), "{text}");
    }
    assert_eq!(events[0].1["data"]["state"], "committed");
    assert_eq!(events[0].1["data"]["file"]["key"], ticket["file"]["key"]);
    assert_eq!(events[1].1["data"]["ref"], "post:42");
    assert_eq!(events[2].1["data"]["reason"], "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_of_a_rejection_says_why() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "a.png", HTML).await;
    broker.put(&ticket, HTML).await;
    broker.complete(&token, &ticket).await;
    let events = broker
        .app
        .db
        .events(id(&ticket).parse().unwrap())
        .await
        .unwrap();
    let data = &events[0].1["data"];
    assert_eq!(data["state"], "rejected");
    assert_eq!(data["problem"]["code"], "content-rejected");
    assert_eq!(data["problem"]["reason"], "active-content");
    assert_eq!(data["seq"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_came_in_time_are_judged_after_the_deadline_too() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "a.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    broker.advance(24 * 3600 + 1);
    let token = broker.token("7");
    let sign = format!("/v1/tickets/{}/sign", id(&ticket));
    let late = broker.call("POST", &sign, &token, None).await;
    assert_problem(&late, 410, "ticket-expired");
    let answer = broker.complete(&token, &ticket).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_pick_wins_in_a_slot_that_replaces() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let first = broker.upload(&token, "avatar", "a.png", &png(1)).await.body;
    let older = broker.mint(&token, "avatar", "b.png", &png(2)).await;
    assert_eq!(broker.put(&older, &png(2)).await, 200);
    let newer = broker.mint(&token, "avatar", "c.png", &png(3)).await;
    let answer = broker.complete(&token, &older).await;
    assert_problem(&answer, 409, "ticket-closed");
    assert_eq!(answer.body["state"], "cancelled");
    let path = format!("/v1/files/{}", id(&first));
    assert_eq!(broker.call("GET", &path, &token, None).await.status, 200);
    assert_eq!(broker.put(&newer, &png(3)).await, 200);
    assert_eq!(broker.complete(&token, &newer).await.status, 200);
    assert_eq!(broker.call("GET", &path, &token, None).await.status, 404);
    assert_eq!(
        broker.events(&first).await,
        ["ticket.committed", "file.deleted"]
    );
    let list = broker.call("GET", "/v1/files", &token, None).await;
    assert_eq!(list.body["files"].as_array().unwrap().len(), 1);
    assert_eq!(list.body["files"][0]["id"], newer["id"]);
    broker.assert_lawful().await;
}
