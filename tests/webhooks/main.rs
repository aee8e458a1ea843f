//! Webhooks: the outbox, sent to a real receiver.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/process.rs"]
mod process;
mod receiver;

mod events;
mod operator;
mod order;
mod schedule;
mod trouble;

use std::sync::Arc;

use putgate::domain::books::{DueEvents, Footprint};
use putgate::domain::ledger::{self, Room};
use putgate::domain::outbox::{DeliveryState, Outgoing, SUSPECT};
use putgate::flow::deliver::deliver;
use putgate::webhook::Receiver;
use serde_json::{Value, json};

use common::{TestBroker, png};
use receiver::Hook;

/// A broker whose events go to `receiver`.
async fn broker_for(receiver: Arc<Receiver>) -> TestBroker {
    let broker = TestBroker::start().await;
    broker.app.receiver.set(receiver).unwrap();
    broker
}

async fn broker_with(hook: &Hook) -> TestBroker {
    broker_for(hook.receiver()).await
}

/// A file in `photos`; the ticket's JSON.
async fn upload(broker: &TestBroker, owner: &str, seed: u32) -> Value {
    let answer = broker
        .upload(&broker.token(owner), "photos", "a.png", &png(seed))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

async fn claim(broker: &TestBroker, file: &Value, owner: &str) {
    let token = broker.token_with(json!({"sub": "app", "scope": "manage"}));
    let body = json!({"files": [file["id"]], "owner": owner, "ref": "post:42"});
    let answer = broker.call("POST", "/v1/claims", &token, Some(body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn delete(broker: &TestBroker, file: &Value, owner: &str) {
    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());
    let answer = broker
        .call("DELETE", &path, &broker.token(owner), None)
        .await;
    assert_eq!(answer.status, 204, "{answer:?}");
}

/// Sends what is due; how many tries that took.
async fn send(broker: &TestBroker) -> usize {
    deliver(&broker.app).await.unwrap()
}

/// What a sender takes that dies with it in its hands.
async fn take(broker: &TestBroker) -> Vec<Outgoing> {
    take_up_to(broker, false).await
}

/// The same, of one that has an event under way that was taken often.
async fn take_beside_a_suspect(broker: &TestBroker) -> Vec<Outgoing> {
    take_up_to(broker, true).await
}

async fn take_up_to(broker: &TestBroker, has_suspect: bool) -> Vec<Outgoing> {
    let room = Room {
        all: 10,
        per_tenant: 10,
        busy: std::collections::BTreeMap::new(),
        has_suspect,
    };
    let due_events = Some(DueEvents {
        limit: 10,
        but: None,
        taken_less_than: if has_suspect { SUSPECT } else { u32::MAX },
    });
    let footprint = Footprint {
        due_events,
        ..Footprint::default()
    };
    let taken = broker
        .app
        .db
        .write(footprint, move |books, now| ledger::take(books, now, &room));
    taken.await.unwrap().events
}

/// The outbox, oldest first.
async fn outbox(broker: &TestBroker) -> Vec<Outgoing> {
    let states = [
        DeliveryState::Pending,
        DeliveryState::Delivered,
        DeliveryState::Dead,
    ];
    broker.app.db.outbox(&states, None, 1000).await.unwrap()
}

async fn states(broker: &TestBroker) -> Vec<DeliveryState> {
    let events = outbox(broker).await;
    events.iter().map(|event| event.delivery.state).collect()
}
