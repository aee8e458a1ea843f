//! `Idempotency-Key`: the same request is answered once.

use serde_json::{Value, json};

use crate::common::{Answer, TestBroker, png};
use crate::{assert_problem, id, request, snapshot};

async fn mint(broker: &TestBroker, token: &str, key: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    broker
        .send(request("POST", "/v1/tickets", &headers, &body.to_string()))
        .await
}

fn ids(answer: &Answer) -> Vec<String> {
    let tickets = answer.body["tickets"].as_array().unwrap();
    tickets.iter().map(|ticket| id(ticket).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_answers_the_same_tickets_with_fresh_transfers() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let bytes = png(1);
    let file = json!({"name": "a.png", "size": bytes.len()});
    let body = json!({"slot": "photos", "files": [file, {"name": "x.pdf", "size": 1}, file, file]});
    let first = mint(&broker, &token, "k1", &body).await;
    assert_eq!(first.status, 201, "{first:?}");
    let before = snapshot(&broker).await;
    broker.advance(60);
    let again = mint(&broker, &token, "k1", &body).await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(ids(&again), ids(&first));
    assert_eq!(again.body["errors"], first.body["errors"]);
    assert_eq!(snapshot(&broker).await, before);
    for (one, other) in [(0, 0), (1, 1), (2, 2)] {
        let fresh = &again.body["tickets"][one]["transfer"]["url"];
        assert!(fresh.is_string());
        assert_ne!(*fresh, first.body["tickets"][other]["transfer"]["url"]);
    }
    let (done, gone) = (&first.body["tickets"][0], &first.body["tickets"][1]);
    assert_eq!(broker.put(done, &bytes).await, 200);
    assert_eq!(broker.complete(&token, done).await.status, 200);
    let path = format!("/v1/tickets/{}", id(gone));
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    let again = mint(&broker, &token, "k1", &body).await;
    let tickets = &again.body["tickets"];
    assert_eq!(ids(&again), ids(&first));
    assert_eq!(tickets[0]["state"], "committed");
    assert_eq!(tickets[0]["file"]["id"], done["id"]);
    assert_eq!(tickets[1]["state"], "cancelled");
    assert_eq!(tickets[2]["state"], "open");
    assert_eq!(tickets[0]["transfer"], Value::Null);
    assert_eq!(tickets[1]["transfer"], Value::Null);
    assert!(tickets[2]["transfer"]["url"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_body_under_the_same_key_is_a_mismatch() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let body = json!({"slot": "photos", "files": [{"name": "a.png", "size": 1}]});
    assert_eq!(mint(&broker, &token, "k1", &body).await.status, 201);
    let before = snapshot(&broker).await;
    let other = json!({"slot": "photos", "files": [{"name": "a.png", "size": 2}]});
    let answer = mint(&broker, &token, "k1", &other).await;
    assert_problem(&answer, 422, "idempotency-mismatch");
    assert_eq!(snapshot(&broker).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_other_callers_are_other_keys() {
    let broker = TestBroker::start().await;
    let body = json!({"slot": "photos", "files": [{"name": "a.png", "size": 1}]});
    let mut all = Vec::new();
    for claims in [
        json!({"sub": "7"}),
        json!({"sub": "8"}),
        json!({"sub": "7", "tenant": "acme"}),
    ] {
        let answer = mint(&broker, &broker.token_with(claims), "k1", &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        all.extend(ids(&answer));
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_repeated_too() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let body = json!({"slot": "single", "files": [{"name": "a.png", "size": 1}]});
    let held = broker
        .call("POST", "/v1/tickets", &token, Some(body.clone()))
        .await;
    let first = mint(&broker, &token, "k1", &body).await;
    assert_problem(&first, 409, "slot-full");
    let again = mint(&broker, &token, "k1", &body).await;
    assert_eq!(again.body, first.body);
    let path = format!("/v1/tickets/{}", ids(&held)[0]);
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    let again = mint(&broker, &token, "k1", &body).await;
    assert_problem(&again, 409, "slot-full");
    assert_eq!(mint(&broker, &token, "k2", &body).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_under_one_key_mint_one_set_of_tickets() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let file = json!({"name": "a.png", "size": 1});
    let body = json!({"slot": "photos", "files": [file, file]});
    let answers =
        futures_util::future::join_all((0..50).map(|_| mint(&broker, &token, "k1", &body))).await;
    for answer in &answers {
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(ids(answer), ids(&answers[0]));
    }
    let usage = broker.call("GET", "/v1/slots/photos", &token, None).await;
    assert_eq!(usage.body["usage"]["open_tickets"], 2);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_after_the_deadline_shows_the_tickets_without_transfers() {
    let slots = "[slots.short]\nticket_ttl = \"10m\"\nurl_ttl = \"5m\"\n";
    let broker = TestBroker::with_slots(slots).await;
    let body = json!({"slot": "short", "files": [{"name": "a", "size": 1}]});
    let first = mint(&broker, &broker.token("7"), "k1", &body).await;
    assert_eq!(first.status, 201, "{first:?}");
    for (later, state) in [(601, "open"), (300, "expired")] {
        broker.advance(later);
        if state == "expired" {
            broker.sweep().await;
        }
        let again = mint(&broker, &broker.token("7"), "k1", &body).await;
        assert_eq!(again.status, 201, "{again:?}");
        assert_eq!(ids(&again), ids(&first));
        assert_eq!(again.body["tickets"][0]["state"], state);
        assert_eq!(again.body["tickets"][0]["transfer"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_forgotten_after_a_day() {
    let broker = TestBroker::start().await;
    let body = json!({"slot": "photos", "files": [{"name": "a.png", "size": 1}]});
    let first = mint(&broker, &broker.token("7"), "k1", &body).await;
    broker.advance(24 * 3600 + 1);
    let later = mint(&broker, &broker.token("7"), "k1", &body).await;
    assert_eq!(later.status, 201, "{later:?}");
    assert_ne!(ids(&later), ids(&first));
}
