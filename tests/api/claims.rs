//! Claims: all or nothing, once.

use serde_json::{Value, json};

use crate::common::{Answer, TestBroker, png};
use crate::{assert_problem, id, snapshot};

async fn claim(broker: &TestBroker, files: &[&Value], reference: &str) -> Answer {
    let token = broker.token_with(json!({"sub": "app", "scope": "manage"}));
    let ids: Vec<&str> = files.iter().map(|file| id(file)).collect();
    let body = json!({"files": ids, "owner": "7", "ref": reference});
    broker.call("POST", "/v1/claims", &token, Some(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_answers_its_files_and_says_whether_it_was_the_first() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let one = broker.upload(&token, "photos", "a.png", &png(1)).await.body;
    let two = broker.upload(&token, "photos", "b.png", &png(2)).await.body;
    let first = claim(&broker, &[&one], "post:42").await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.body["files"][0]["claimed_now"], true);
    assert_eq!(first.body["files"][0]["ref"], "post:42");
    assert!(first.body["files"][0]["claimed_at"].is_string());
    assert!(first.body["files"][0]["url"].is_string());
    let both = claim(&broker, &[&two, &one], "post:42").await;
    assert_eq!(both.status, 200, "{both:?}");
    let now = |wanted: &Value| {
        let files = both.body["files"].as_array().unwrap();
        let file = files.iter().find(|file| id(file) == id(wanted)).unwrap();
        file["claimed_now"].clone()
    };
    assert_eq!((now(&one), now(&two)), (json!(false), json!(true)));
    assert_eq!(
        broker.events(&one).await,
        ["ticket.committed", "file.claimed"]
    );
    let seen = broker.call("GET", "/v1/slots/photos", &token, None).await;
    assert_eq!(seen.body["usage"]["files"], 0);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_for_another_ref_is_a_conflict_and_claims_nothing() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let one = broker.upload(&token, "photos", "a.png", &png(1)).await.body;
    let two = broker.upload(&token, "photos", "b.png", &png(2)).await.body;
    assert_eq!(claim(&broker, &[&one], "post:42").await.status, 200);
    let before = snapshot(&broker).await;
    let answer = claim(&broker, &[&two, &one], "post:43").await;
    assert_problem(&answer, 409, "claim-conflict");
    assert_eq!(answer.body["file"], one["id"]);
    assert_eq!(snapshot(&broker).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_another_owners_file_claims_nothing() {
    let broker = TestBroker::start().await;
    let one = broker
        .upload(&broker.token("7"), "photos", "a.png", &png(1))
        .await
        .body;
    let other = broker
        .upload(&broker.token("8"), "photos", "b.png", &png(2))
        .await
        .body;
    let elsewhere = broker.token_with(json!({"sub": "7", "tenant": "acme"}));
    let elsewhere = broker
        .upload(&elsewhere, "photos", "c.png", &png(3))
        .await
        .body;
    let before = snapshot(&broker).await;
    for foreign in [&other, &elsewhere] {
        let answer = claim(&broker, &[&one, foreign], "post:42").await;
        assert_problem(&answer, 404, "not-found");
    }
    assert_eq!(snapshot(&broker).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_into_a_full_ref_is_slot_full() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let one = broker.upload(&token, "single", "a.png", &png(1)).await.body;
    assert_eq!(claim(&broker, &[&one], "post:42").await.status, 200);
    let two = broker.upload(&token, "single", "b.png", &png(2)).await.body;
    let before = snapshot(&broker).await;
    let answer = claim(&broker, &[&two], "post:42").await;
    assert_problem(&answer, 409, "slot-full");
    assert_eq!(snapshot(&broker).await, before);
    assert_eq!(claim(&broker, &[&two], "post:43").await.status, 200);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_keeps_a_file_that_nobody_else_would_have() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let kept = broker.upload(&token, "brief", "a.png", &png(1)).await.body;
    let lost = broker.upload(&token, "brief", "b.png", &png(2)).await.body;
    assert_eq!(claim(&broker, &[&kept], "post:42").await.status, 200);
    broker.advance(24 * 3600 + 1);
    broker.sweep().await;
    let token = broker.token("7");
    for (file, status) in [(&kept, 200), (&lost, 404)] {
        let path = format!("/v1/files/{}", id(file));
        assert_eq!(broker.call("GET", &path, &token, None).await.status, status);
    }
    let answer = claim(&broker, &[&lost], "post:42").await;
    assert_problem(&answer, 404, "not-found");
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_claims_at_once_one_is_the_first() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let file = broker.upload(&token, "photos", "a.png", &png(1)).await.body;
    let files = [&file];
    let answers =
        futures_util::future::join_all((0..20).map(|_| claim(&broker, &files, "post:42"))).await;
    let first = answers
        .iter()
        .filter(|answer| answer.body["files"][0]["claimed_now"] == true)
        .count();
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(first, 1);
    assert_eq!(
        broker.events(&file).await,
        ["ticket.committed", "file.claimed"]
    );
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_named_twice_is_claimed_once() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let file = broker.upload(&token, "photos", "a.png", &png(1)).await.body;
    let answer = claim(&broker, &[&file, &file], "post:42").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["files"].as_array().unwrap().len(), 1);
    assert_eq!(answer.body["files"][0]["claimed_now"], true);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_minted_for_a_ref_is_claimed_for_that_ref_only() {
    let broker = TestBroker::start().await;
    let token = broker.token_with(json!({"sub": "7", "refs": ["post:42"]}));
    let bytes = png(1);
    let body = json!({"slot": "single", "ref": "post:42", "files": [{"name": "a.png", "size": bytes.len()}]});
    let minted = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
    let ticket = &minted.body["tickets"][0];
    assert_eq!(broker.put(ticket, &bytes).await, 200);
    assert_eq!(broker.complete(&token, ticket).await.status, 200);
    let answer = claim(&broker, &[ticket], "post:43").await;
    assert_problem(&answer, 409, "claim-conflict");
    for first in [true, false] {
        let answer = claim(&broker, &[ticket], "post:42").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["files"][0]["claimed_now"], first);
    }
    broker.assert_lawful().await;
}
