//! What the tests of the laws share.

use md5::{Digest, Md5};
use putgate::devstore::{Fault, Op};
use putgate::domain::name::Id;
use putgate::domain::ticket::{State, Ticket};
use serde_json::Value;

use crate::common::{Answer, TestBroker, put};

/// Room for many, so that the bounds of a slot are not what a test sees.
pub const WIDE: &str = r#"
[slots.pictures]
accept = ["image/*"]
max_entries = 1000
dialects = ["uppy"]

[slots.any]
max_entries = 1000
max_file_size = "100MB"

[slots.parts]
max_entries = 1000
max_file_size = "100MB"
part_size = "5MiB"

[slots.brief]
max_entries = 1000
unclaimed_ttl = "1h"
"#;

/// Every call a flow makes.
pub const CALLS: &[Op] = &[
    Op::GetObject,
    Op::HeadObject,
    Op::CopyObject,
    Op::DeleteObject,
    Op::ListObjects,
    Op::CreateMultipart,
    Op::UploadPartCopy,
    Op::CompleteMultipart,
    Op::AbortMultipart,
    Op::ListParts,
    Op::ListMultipartUploads,
];

/// Lets every call of the broker fail, until `faults().clear()`.
pub fn outage(broker: &TestBroker, fault: Fault) {
    for op in CALLS {
        broker.store.faults().always(*op, fault);
    }
}

pub fn id(ticket: &Value) -> Id {
    ticket["id"].as_str().unwrap().parse().unwrap()
}

/// The staging key of a ticket.
pub fn key(ticket: &Value) -> String {
    ticket["id"].as_str().unwrap().to_owned()
}

pub async fn row(broker: &TestBroker, ticket: &Value) -> Ticket {
    broker.app.db.ticket(id(ticket)).await.unwrap().unwrap()
}

pub async fn state(broker: &TestBroker, ticket: &Value) -> State {
    row(broker, ticket).await.state
}

/// The code of a problem, or what else the answer was.
pub fn code(answer: &Answer) -> String {
    match answer.body["code"].as_str() {
        Some(code) => code.to_owned(),
        None => answer.status.to_string(),
    }
}

pub fn etag(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// `bytes`, made `length` long by spaces.
pub fn padded(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(length, b' ');
    padded
}

/// Completes until the ticket is closed; puts `bytes` again when they are gone.
pub async fn settle(broker: &TestBroker, token: &str, ticket: &Value, bytes: &[u8]) -> State {
    for _ in 0..10 {
        let answer = broker.complete(token, ticket).await;
        // The store's trouble may be scripted; the database's would be ours.
        let ours = ["internal", "database-unavailable"];
        assert!(!ours.contains(&code(&answer).as_str()), "{answer:?}");
        let state = state(broker, ticket).await;
        if state != State::Open {
            return state;
        }
        if code(&answer) == "object-missing" {
            let transfer = &ticket["transfer"];
            let status = put(transfer["url"].as_str().unwrap(), &[].into(), bytes).await;
            assert_eq!(status, 200);
        }
    }
    panic!("the ticket does not close: {:?}", row(broker, ticket).await);
}

/// Laws 1, 2, 4 and 5 for one closed ticket: one event, no way back, and after a sweep
/// nothing but the committed bytes. Answers those.
pub async fn assert_settled(broker: &TestBroker, ticket: &Value) -> Option<Vec<u8>> {
    let closed = row(broker, ticket).await;
    assert_ne!(closed.state, State::Open, "{ticket}");
    putgate::flow::attempt(&broker.app, closed.id).await;
    broker.sweep().await;
    assert_eq!(state(broker, ticket).await, closed.state, "{ticket}");
    let event = format!("ticket.{}", closed.state.as_str());
    assert_eq!(broker.events(ticket).await, [event], "{ticket}");
    let id = key(ticket);
    let left = |bucket| {
        let mut keys: Vec<String> = broker.objects(bucket).into_iter().map(|o| o.0).collect();
        keys.retain(|key| key.contains(&id));
        keys
    };
    assert_eq!(left("staging"), Vec::<String>::new(), "{ticket}");
    assert_eq!(broker.store.unfinished("staging"), 0, "{ticket}");
    let file = broker.app.db.file(closed.id).await.unwrap();
    let file = file.filter(putgate::domain::file::File::is_live);
    let kept: Vec<String> = file.iter().map(|file| file.key.clone()).collect();
    assert_eq!(left("files"), kept, "{ticket}");
    assert_eq!(closed.state == State::Committed, file.is_some(), "{ticket}");
    broker.assert_lawful().await;
    kept.first()
        .map(|key| broker.store.read("files", key).unwrap())
}
