//! The life of a ticket that is filled by parts.

use std::sync::Arc;

use putgate::devstore::{Fault, Op};
use putgate::domain::ticket::State;
use putgate::store::Bucket;
use putgate::worker;
use serde_json::{Value, json};

use crate::common::{Answer, TestBroker, put};
use crate::stage::{WIDE, assert_settled, code, key, row, state};

const MIB: usize = 1024 * 1024;

fn twelve_megabytes() -> Vec<u8> {
    vec![7; 12 * MIB]
}

async fn sign(broker: &TestBroker, token: &str, ticket: &Value, parts: &[u32]) -> Answer {
    let path = format!("/v1/tickets/{}/sign", key(ticket));
    let body = json!({"parts": parts});
    broker.call("POST", &path, token, Some(body)).await
}

/// Signs these parts and puts them.
async fn put_parts(broker: &TestBroker, token: &str, ticket: &Value, parts: &[u32]) {
    let signed = sign(broker, token, ticket, parts).await;
    assert_eq!(signed.status, 200, "{signed:?}");
    let bytes = twelve_megabytes();
    for part in signed.body["parts"].as_array().unwrap() {
        let number = usize::try_from(part["number"].as_u64().unwrap()).unwrap();
        let size = usize::try_from(part["size"].as_u64().unwrap()).unwrap();
        let first = (number - 1) * 5 * MIB;
        let headers = serde_json::from_value(part["headers"].clone()).unwrap();
        let url = part["url"].as_str().unwrap();
        let status = put(url, &headers, &bytes[first..first + size]).await;
        assert_eq!(status, 200, "part {number}");
    }
}

async fn mint(broker: &TestBroker, token: &str) -> Value {
    let ticket = broker
        .mint(token, "parts", "film.bin", &twelve_megabytes())
        .await;
    assert_eq!(ticket["transfer"]["kind"], "multipart");
    assert_eq!(ticket["transfer"]["part_count"], 3);
    ticket
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_parts_is_committed_once_every_part_is_there() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = mint(&broker, &token).await;
    let early = broker.complete(&token, &ticket).await;
    assert_eq!((early.status, code(&early)), (409, "parts-missing".into()));
    assert_eq!(early.body["missing"], json!([1, 2, 3]));
    put_parts(&broker, &token, &ticket, &[3, 1]).await;
    let early = broker.complete(&token, &ticket).await;
    assert_eq!(early.body["missing"], json!([2]));
    let path = format!("/v1/tickets/{}/parts", key(&ticket));
    let parts = broker.call("GET", &path, &token, None).await;
    let expected = json!([{"number": 1, "size": 5 * MIB}, {"number": 3, "size": 2 * MIB}]);
    assert_eq!(parts.body["parts"], expected);
    put_parts(&broker, &token, &ticket, &[2]).await;
    let answer = broker.complete(&token, &ticket).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let kept = assert_settled(&broker, &ticket).await;
    assert_eq!(kept, Some(twelve_megabytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_file_in_parts_leaves_no_upload() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = mint(&broker, &token).await;
    put_parts(&broker, &token, &ticket, &[1, 2]).await;
    assert_eq!(broker.store.unfinished("staging"), 1);
    let path = format!("/v1/tickets/{}", key(&ticket));
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    assert_eq!(assert_settled(&broker, &ticket).await, None);
    let answer = sign(&broker, &token, &ticket, &[3]).await;
    assert_eq!(
        (answer.status, code(&answer)),
        (409, "ticket-closed".into())
    );
    assert_eq!(broker.store.unfinished("staging"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_nobody_finishes_expire_and_go() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = mint(&broker, &token).await;
    put_parts(&broker, &token, &ticket, &[1]).await;
    broker.advance(24 * 3600 + 301);
    worker::run_once(&broker.app).await.unwrap();
    assert_eq!(state(&broker, &ticket).await, State::Expired);
    assert_eq!(assert_settled(&broker, &ticket).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_parts_and_a_closed_tab_are_a_committed_file() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = mint(&broker, &token).await;
    put_parts(&broker, &token, &ticket, &[1, 2, 3]).await;
    broker.advance(61);
    worker::run_once(&broker.app).await.unwrap();
    assert_eq!(
        assert_settled(&broker, &ticket).await,
        Some(twelve_megabytes())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_dropped_at_the_store_starts_anew_under_the_same_ticket() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = mint(&broker, &token).await;
    put_parts(&broker, &token, &ticket, &[1, 2, 3]).await;
    let upload = row(&broker, &ticket).await.multipart_id.unwrap();
    let store = &broker.app.store;
    store
        .abort_multipart(Bucket::Staging, &key(&ticket), &upload)
        .await
        .unwrap();
    let answer = broker.complete(&token, &ticket).await;
    assert_eq!(
        (answer.status, code(&answer)),
        (409, "parts-missing".into())
    );
    assert_eq!(answer.body["missing"], json!([1, 2, 3]));
    put_parts(&broker, &token, &ticket, &[1, 2, 3]).await;
    assert_eq!(broker.complete(&token, &ticket).await.status, 200);
    assert_eq!(
        assert_settled(&broker, &ticket).await,
        Some(twelve_megabytes())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_the_parts_of_a_dropped_upload_can_send_them_anew() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = mint(&broker, &token).await;
    put_parts(&broker, &token, &ticket, &[1, 2]).await;
    let upload = row(&broker, &ticket).await.multipart_id.unwrap();
    let store = &broker.app.store;
    store
        .abort_multipart(Bucket::Staging, &key(&ticket), &upload)
        .await
        .unwrap();
    let path = format!("/v1/tickets/{}/parts", key(&ticket));
    let parts = broker.call("GET", &path, &token, None).await;
    assert_eq!(parts.body["parts"], json!([]));
    put_parts(&broker, &token, &ticket, &[1, 2, 3]).await;
    assert_eq!(broker.complete(&token, &ticket).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_completed_has_all_its_parts() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = mint(&broker, &token).await;
    put_parts(&broker, &token, &ticket, &[1, 2, 3]).await;
    let upload = row(&broker, &ticket).await.multipart_id.unwrap();
    let store = &broker.app.store;
    let path = format!("/v1/tickets/{}/parts", key(&ticket));
    let before = broker.call("GET", &path, &token, None).await;
    let parts = store.list_parts(&key(&ticket), &upload).await.unwrap();
    store
        .complete_multipart(&key(&ticket), &upload, &parts)
        .await
        .unwrap();
    let after = broker.call("GET", &path, &token, None).await;
    assert_eq!(after.body["parts"], before.body["parts"]);
    assert_eq!(broker.complete(&token, &ticket).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_somebody_completed_is_recognised() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = mint(&broker, &token).await;
    put_parts(&broker, &token, &ticket, &[1, 2, 3]).await;
    let upload = row(&broker, &ticket).await.multipart_id.unwrap();
    let store = &broker.app.store;
    let parts = store.list_parts(&key(&ticket), &upload).await.unwrap();
    store
        .complete_multipart(&key(&ticket), &upload, &parts)
        .await
        .unwrap();
    assert_eq!(broker.complete(&token, &ticket).await.status, 200);
    assert_eq!(
        assert_settled(&broker, &ticket).await,
        Some(twelve_megabytes())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_for_a_file_in_parts_may_fail_and_it_is_committed() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    for op in [Op::ListParts, Op::CompleteMultipart, Op::CopyObject] {
        for fault in [
            Fault::ErrorBefore(503),
            Fault::ErrorAfter(500),
            Fault::LostAnswer,
        ] {
            let ticket = mint(&broker, &token).await;
            put_parts(&broker, &token, &ticket, &[1, 2, 3]).await;
            broker.store.faults().next(op, fault);
            let first = broker.complete(&token, &ticket).await;
            assert!(
                matches!(first.status, 200 | 503),
                "{op:?} {fault:?} {first:?}"
            );
            let answer = broker.complete(&token, &ticket).await;
            assert_eq!(answer.status, 200, "{op:?} {fault:?} {answer:?}");
            assert!(assert_settled(&broker, &ticket).await.is_some());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_the_first_sign_leaves_no_upload_behind() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = mint(&broker, &token).await;
    broker
        .store
        .faults()
        .next(Op::CreateMultipart, Fault::LostAnswer);
    assert_eq!(sign(&broker, &token, &ticket, &[1]).await.status, 503);
    put_parts(&broker, &token, &ticket, &[1, 2, 3]).await;
    assert_eq!(broker.store.unfinished("staging"), 2);
    assert_eq!(broker.complete(&token, &ticket).await.status, 200);
    assert_settled(&broker, &ticket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_first_signs_agree_on_one_upload() {
    let broker = Arc::new(TestBroker::with_slots(WIDE).await);
    let token = broker.token("7");
    let ticket = mint(&broker, &token).await;
    let signs: Vec<_> = (0..8)
        .map(|_| {
            let (broker, token, ticket) = (broker.clone(), token.clone(), ticket.clone());
            tokio::spawn(async move { sign(&broker, &token, &ticket, &[1]).await })
        })
        .collect();
    let upload = |answer: &Answer| {
        let url = answer.body["parts"][0]["url"].as_str().unwrap().to_owned();
        let at = url.find("uploadId=").unwrap();
        url[at..].split('&').next().unwrap().to_owned()
    };
    let mut uploads = Vec::new();
    for sign in signs {
        uploads.push(upload(&sign.await.unwrap()));
    }
    uploads.dedup();
    assert_eq!(uploads.len(), 1, "{uploads:?}");
    assert_eq!(broker.store.unfinished("staging"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_during_the_first_sign_leaves_no_upload() {
    let broker = Arc::new(TestBroker::with_slots(WIDE).await);
    let token = broker.token("7");
    for after in [false, true] {
        let ticket = mint(&broker, &token).await;
        let cancel = {
            let (broker, token, ticket) = (broker.clone(), token.clone(), ticket.clone());
            move || async move {
                let path = format!("/v1/tickets/{}", key(&ticket));
                broker.call("DELETE", &path, &token, None).await;
            }
        };
        let faults = broker.store.faults();
        if after {
            faults.after(Op::CreateMultipart, 1, cancel);
        } else {
            faults.before(Op::CreateMultipart, 1, cancel);
        }
        let answer = sign(&broker, &token, &ticket, &[1]).await;
        assert_eq!(code(&answer), "ticket-closed", "{answer:?}");
        assert_eq!(assert_settled(&broker, &ticket).await, None);
    }
}
