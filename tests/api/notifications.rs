//! `POST /v1/notifications/s3`: a hint that wakes an attempt and can do nothing else.

use std::time::Duration;

use putgate::devstore::{Fault, Op};
use putgate::domain::ticket::State;
use serde_json::{Value, json};

use crate::common::{Answer, HTML, NOTIFY_SECRET, TestBroker, png};
use crate::{assert_problem, id, request, snapshot};

const PATH: &str = "/v1/notifications/s3";

/// What MinIO sends about an object.
fn event(bucket: &str, key: &str) -> Value {
    json!({
        "EventName": "s3:ObjectCreated:Put",
        "Key": format!("{bucket}/{key}"),
        "Records": [{
            "eventVersion": "2.0",
            "eventSource": "minio:s3",
            "eventName": "s3:ObjectCreated:Put",
            "s3": {
                "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
                "object": {"key": key, "size": 3, "eTag": "d41d8cd9", "sequencer": "17"},
            },
        }],
    })
}

async fn send(broker: &TestBroker, authorization: Option<&str>, body: &str) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(authorization.map(|value| ("authorization", value)));
    broker.send(request("POST", PATH, &headers, body)).await
}

async fn tell(broker: &TestBroker, event: &Value) {
    let bearer = format!("Bearer {NOTIFY_SECRET}");
    let answer = send(broker, Some(&bearer), &event.to_string()).await;
    assert_eq!(answer.status, 204, "{answer:?}");
}

async fn state(broker: &TestBroker, ticket: &Value) -> State {
    let id = id(ticket).parse().unwrap();
    broker.app.db.ticket(id).await.unwrap().unwrap().state
}

/// Waits until the ticket is no longer open.
async fn closed(broker: &TestBroker, ticket: &Value) -> State {
    let look = async {
        loop {
            match state(broker, ticket).await {
                State::Open => tokio::time::sleep(Duration::from_millis(5)).await,
                state => return state,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), look)
        .await
        .expect("the notification wakes an attempt")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stores_word_commits_a_file_that_nobody_completed() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    for (bytes, ended) in [(png(1), State::Committed), (HTML.to_vec(), State::Rejected)] {
        let ticket = broker.mint(&token, "photos", "a.png", &bytes).await;
        assert_eq!(broker.put(&ticket, &bytes).await, 200);
        tell(&broker, &event("staging", id(&ticket))).await;
        assert_eq!(closed(&broker, &ticket).await, ended);
    }
    broker.sweep().await;
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_comes_before_the_store_is_asked() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "a.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    broker.store.faults().next(Op::GetObject, Fault::Hang);
    tell(&broker, &event("staging", id(&ticket))).await;
    assert_eq!(state(&broker, &ticket).await, State::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_late_events_change_nothing() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "a.png", &png(1)).await;
    let early = event("staging", id(&ticket));
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    for _ in 0..10 {
        tell(&broker, &early).await;
    }
    assert_eq!(closed(&broker, &ticket).await, State::Committed);
    broker.sweep().await;
    let before = (snapshot(&broker).await, broker.store.faults().log().len());
    for _ in 0..10 {
        tell(&broker, &early).await;
    }
    // Another's upload is committed meanwhile, so the late ones have had their time.
    let other = broker.mint(&token, "photos", "b.png", &png(2)).await;
    assert_eq!(broker.put(&other, &png(2)).await, 200);
    tell(&broker, &event("staging", id(&other))).await;
    closed(&broker, &other).await;
    let seen = broker.store.faults().log();
    let late = &seen[before.1..];
    assert!(
        late.iter().all(|(_, _, key)| !key.contains(id(&ticket))),
        "{late:?}"
    );
    assert_eq!(broker.events(&ticket).await, ["ticket.committed"]);
    broker.sweep().await;
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_before_its_object_leaves_the_ticket_open() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "a.png", &png(1)).await;
    tell(&broker, &event("staging", id(&ticket))).await;
    let looked = async {
        while broker.store.faults().count(Op::GetObject) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(20), looked).await;
    looked.expect("an attempt looks");
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    assert_eq!(broker.complete(&token, &ticket).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_name_no_ticket_are_taken_and_do_nothing() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "a.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    let before = snapshot(&broker).await;
    let stranger = "01900000-0000-7000-8000-000000000001";
    let mut removed = event("staging", id(&ticket));
    removed["Records"][0]["eventName"] = json!("s3:ObjectRemoved:Delete");
    for event in [
        event("files", id(&ticket)),
        event("elsewhere", id(&ticket)),
        event("staging", "a/key of+somebody%20else"),
        event("staging", stranger),
        removed,
        json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "staging"}),
        json!({"Records": []}),
        json!({}),
    ] {
        tell(&broker, &event).await;
    }
    // Events are followed in no order; one that names the ticket shows that these are done.
    tell(&broker, &event("staging", stranger)).await;
    assert_eq!(snapshot(&broker).await, before);
    assert_eq!(broker.store.faults().count(Op::GetObject), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_know_the_secret_is_refused_before_the_body_is_read() {
    let broker = TestBroker::start().await;
    let user = broker.token_with(json!({"sub": "7", "scope": "manage"}));
    let ticket = broker.mint(&user, "photos", "a.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    let before = snapshot(&broker).await;
    let body = event("staging", id(&ticket)).to_string();
    for authorization in [
        None,
        Some(format!("Bearer {user}")),
        Some(format!("Bearer {NOTIFY_SECRET}x")),
        Some(format!("Bearer {}", &NOTIFY_SECRET[1..])),
        Some(format!("Basic {NOTIFY_SECRET}")),
        Some(NOTIFY_SECRET.to_owned()),
    ] {
        for body in [body.as_str(), "not json"] {
            let answer = send(&broker, authorization.as_deref(), body).await;
            assert_problem(&answer, 401, "unauthenticated");
        }
    }
    let bearer = format!("Bearer {NOTIFY_SECRET}");
    let answer = send(&broker, Some(&bearer), "not json").await;
    assert_problem(&answer, 400, "invalid-request");
    let large = json!({"Records": [], "more": "x".repeat(200_000)}).to_string();
    let answer = send(&broker, Some(&bearer), &large).await;
    assert_problem(&answer, 413, "invalid-request");
    assert_eq!(snapshot(&broker).await, before);
    assert_eq!(broker.store.faults().count(Op::GetObject), 0);
}
