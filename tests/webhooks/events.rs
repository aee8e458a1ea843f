//! What a receiver is told, and that it can tell whom it is from.

use std::collections::BTreeMap;

use putgate::domain::secret::Secret;
use putgate::webhook::{Receiver, Settings};

use crate::common::{HTML, TestBroker, png};
use crate::receiver::{Hook, KEY, Seen, hmac_sha256};
use crate::{broker_for, broker_with, claim, delete, outbox, send, upload};

#[test]
fn the_receivers_hmac_is_that_of_the_standards_example() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let text = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
    assert_eq!(
        STANDARD.encode(hmac_sha256(&key, text)),
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_told_of_from_its_commit_to_its_end() {
    let hook = Hook::content().await;
    let broker = broker_with(&hook).await;
    let ticket = upload(&broker, "7", 1).await;
    claim(&broker, &ticket["file"], "7").await;
    delete(&broker, &ticket["file"], "7").await;
    assert_eq!(send(&broker).await, 3);
    let seen = hook.seen();
    let kinds: Vec<_> = seen.iter().map(Seen::kind).collect();
    assert_eq!(kinds, ["ticket.committed", "file.claimed", "file.deleted"]);
    let rows = outbox(&broker).await;
    for (index, (seen, row)) in seen.iter().zip(&rows).enumerate() {
        assert_eq!(
            (seen.method.as_str(), seen.path.as_str()),
            ("POST", "/hooks/putgate")
        );
        assert_eq!(seen.header("content-type"), "application/json");
        assert_eq!(seen.id(), row.id.to_string());
        let at: i64 = seen.header("webhook-timestamp").parse().unwrap();
        assert_eq!(at, broker.clock.now().seconds());
        assert!(seen.is_signed_by(KEY) && !seen.is_signed_by(b"another"));
        let body = seen.json();
        assert_eq!(body["data"]["seq"], index + 1);
        assert_eq!(body["data"]["tenant"], "default");
        assert_eq!(body["data"]["id"], ticket["id"]);
        assert!(body["timestamp"].is_string());
    }
    let committed = &seen[0].json()["data"];
    assert_eq!(committed["state"], "committed");
    assert_eq!(committed["file"]["key"], ticket["file"]["key"]);
    assert_eq!(seen[1].json()["data"]["ref"], "post:42");
    assert!(seen[1].json()["data"]["claimed_at"].is_string());
    assert_eq!(seen[2].json()["data"]["reason"], "deleted");
    // Nothing is told twice, and nothing is left.
    assert_eq!(send(&broker).await, 0);
    assert_eq!(hook.connections(), 1, "a connection is used again");
}

/// Law 5: every end and every claim, once, without a URL.
#[tokio::test(flavor = "multi_thread")]
async fn every_end_and_every_claim_is_told_once() {
    let hook = Hook::content().await;
    let broker = broker_with(&hook).await;
    let token = broker.token("7");
    // Committed, claimed, deleted.
    let claimed = upload(&broker, "7", 1).await;
    claim(&broker, &claimed["file"], "7").await;
    claim(&broker, &claimed["file"], "7").await;
    delete(&broker, &claimed["file"], "7").await;
    delete(&broker, &claimed["file"], "7").await;
    // Replaced.
    broker.upload(&token, "avatar", "a.png", &png(2)).await;
    broker.upload(&token, "avatar", "b.png", &png(3)).await;
    // Rejected.
    let refused = broker.upload(&token, "photos", "x.png", HTML).await;
    assert_eq!(refused.status, 422);
    // Cancelled.
    let cancelled = broker.mint(&token, "photos", "c.png", &png(4)).await;
    let path = format!("/v1/tickets/{}", cancelled["id"].as_str().unwrap());
    for _ in 0..2 {
        broker.call("DELETE", &path, &token, None).await;
    }
    // Expired, and unclaimed.
    broker.upload(&token, "brief", "d.bin", b"some bytes").await;
    broker.mint(&token, "photos", "e.png", &png(5)).await;
    broker.advance(25 * 3600);
    broker.sweep().await;
    send(&broker).await;
    let mut told: BTreeMap<(String, String), usize> = BTreeMap::new();
    for seen in hook.seen() {
        let body = seen.json();
        let reason = body["data"]["reason"].as_str().unwrap_or_default();
        *told.entry((seen.kind(), reason.to_owned())).or_default() += 1;
        let text = String::from_utf8(seen.body.to_vec()).unwrap();
        assert!(
            !text.contains("\"url\"") && !text.contains("X-Amz-"),
            "{text}"
        );
        match seen.kind().as_str() {
            "ticket.rejected" => assert_eq!(body["data"]["problem"]["code"], "content-rejected"),
            "ticket.expired" => assert_eq!(body["data"]["problem"]["code"], "ticket-expired"),
            "ticket.cancelled" => assert_eq!(body["data"]["problem"]["code"], "ticket-closed"),
            _ => {}
        }
    }
    let told: Vec<_> = told
        .iter()
        .map(|((kind, reason), n)| (kind.as_str(), reason.as_str(), *n))
        .collect();
    assert_eq!(
        told,
        [
            ("file.claimed", "", 1),
            ("file.deleted", "deleted", 1),
            ("file.deleted", "replaced", 1),
            ("file.deleted", "unclaimed", 1),
            ("ticket.cancelled", "", 1),
            ("ticket.committed", "", 4),
            ("ticket.expired", "", 1),
            ("ticket.rejected", "", 1),
        ]
    );
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_secret_is_changed_receivers_with_either_believe() {
    let hook = Hook::content().await;
    let (old, new) = (
        b"the secret of last year, 32 bytes",
        b"the secret of this year, 32 bytes",
    );
    let receiver = Receiver::new(Settings {
        secrets: vec![Secret::new(&old[..]), Secret::new(&new[..])],
        ..hook.settings()
    });
    let broker = broker_for(receiver.unwrap()).await;
    upload(&broker, "7", 1).await;
    send(&broker).await;
    let seen = &hook.seen()[0];
    assert!(seen.is_signed_by(old) && seen.is_signed_by(new) && !seen.is_signed_by(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_written_wakes_the_sender() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "a.png", &png(1)).await;
    let told = || tokio::time::timeout(std::time::Duration::from_millis(50), broker.app.db.told());
    assert!(told().await.is_err(), "a mint writes no event");
    broker.put(&ticket, &png(1)).await;
    broker.complete(&token, &ticket).await;
    assert!(told().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_receiver_events_go_after_their_time() {
    let broker = TestBroker::start().await;
    upload(&broker, "7", 1).await;
    assert_eq!(send(&broker).await, 0);
    broker.advance(29 * 24 * 3600);
    broker.sweep().await;
    assert_eq!(outbox(&broker).await.len(), 1);
    broker.advance(2 * 24 * 3600);
    broker.sweep().await;
    assert_eq!(outbox(&broker).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undelivered_event_outlives_the_retention_while_there_is_a_receiver() {
    let hook = Hook::content().await;
    let broker = broker_with(&hook).await;
    upload(&broker, "7", 1).await;
    broker.advance(31 * 24 * 3600);
    broker.sweep().await;
    assert_eq!(send(&broker).await, 1);
    broker.advance(31 * 24 * 3600);
    broker.sweep().await;
    assert_eq!(outbox(&broker).await, []);
}
