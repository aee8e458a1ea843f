//! The worker: what it does in an outage, what it forgets, and how every ticket ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use putgate::devstore::{Fault, Op};
use putgate::domain::problem::Code;
use putgate::domain::secret::Secret;
use putgate::domain::ticket::State;
use putgate::flow::sweep::{Looks, Swept, forget_old_rows, walk};
use putgate::store::Bucket;
use putgate::webhook;
use putgate::worker;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection};

use crate::common::{self, HTML, TestBroker, png};
use crate::stage::{WIDE, assert_settled, key, outage, row, state};

/// Tickets with their bytes in staging.
async fn full_tickets(broker: &TestBroker, count: u32) -> Vec<Value> {
    let token = broker.token("7");
    let mut tickets = Vec::new();
    for seed in 0..count {
        let ticket = broker.mint(&token, "pictures", "a.png", &png(seed)).await;
        assert_eq!(broker.put(&ticket, &png(seed)).await, 200);
        tickets.push(ticket);
    }
    tickets
}

/// The staging objects that were asked for.
fn asked(broker: &TestBroker) -> BTreeSet<String> {
    let log = broker.store.faults().log();
    let reads = log.into_iter().filter(|(op, ..)| *op == Op::GetObject);
    reads.map(|(_, _, key)| key).collect()
}

/// Waits for what the worker does by itself.
async fn until(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_mins(2), wait).await;
    assert!(waited.is_ok(), "in vain: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_outage_a_pass_asks_for_a_few_and_leaves_the_rest_due() {
    let broker = TestBroker::with_slots(WIDE).await;
    let tickets = full_tickets(&broker, 40).await;
    outage(&broker, Fault::ErrorBefore(503));
    broker.advance(61);
    let trouble = worker::run_once(&broker.app).await.unwrap_err();
    assert_eq!(trouble.code, Code::StorageUnavailable);
    assert!(asked(&broker).len() < 20, "{} of 40", asked(&broker).len());
    // What this process took, and did not come to, is anybody's after the turn.
    broker.advance(31);
    let due = broker.app.db.due_tickets(broker.app.db.now(), 100).await;
    assert!(due.unwrap().len() > 20, "they keep their turn");
    for ticket in &tickets {
        assert_eq!(
            row(&broker, ticket).await.checks,
            0,
            "the trouble is not theirs"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_minutes_without_a_store_lose_nothing() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let full = full_tickets(&broker, 12).await;
    let bad = broker.mint(&token, "pictures", "b.png", HTML).await;
    assert_eq!(broker.put(&bad, HTML).await, 200);
    let empty = broker.mint(&token, "pictures", "c.png", &png(1)).await;
    let deleted = broker.upload(&token, "pictures", "d.png", &png(99)).await;
    let path = format!("/v1/files/{}", key(&deleted.body));
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    outage(&broker, Fault::ErrorBefore(503));
    for _ in 0..10 {
        broker.advance(60);
        assert!(worker::run_once(&broker.app).await.is_err());
        assert!(worker::walk_once(&broker.app).await.is_err());
    }
    for ticket in full.iter().chain([&bad, &empty]) {
        assert_eq!(state(&broker, ticket).await, State::Open);
    }
    broker.store.faults().clear();
    // Whoever was asked for in vain is looked at again within a minute.
    broker.advance(61);
    broker.sweep().await;
    for (seed, ticket) in full.iter().enumerate() {
        let bytes = png(u32::try_from(seed).unwrap());
        assert_eq!(assert_settled(&broker, ticket).await, Some(bytes));
    }
    assert_eq!(state(&broker, &bad).await, State::Rejected);
    assert_eq!(state(&broker, &empty).await, State::Open);
    broker.advance(300);
    broker.sweep().await;
    assert_eq!(
        broker.objects("files").len(),
        full.len(),
        "the deleted one is gone"
    );
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_one_probe_asks_and_then_all_go_on() {
    let broker = TestBroker::with_slots(WIDE).await;
    let tickets = full_tickets(&broker, 40).await;
    broker.advance(61);
    outage(&broker, Fault::ErrorBefore(503));
    let work = tokio::spawn(worker::run(Arc::clone(&broker.app)));
    // Three tries of the SDK each: the walks' first pages, and then the probe.
    let lists = || broker.store.faults().count(Op::ListObjects);
    until("a probe", async || lists() >= 12).await;
    let before = asked(&broker);
    assert!(before.len() < 20, "{} of 40", before.len());
    let seen = lists();
    until("another probe", async || lists() >= seen + 3).await;
    assert_eq!(asked(&broker), before, "no pass runs meanwhile");
    broker.store.faults().clear();
    // Those that were asked for wait a minute by a clock that only moves on by a turn.
    broker.advance(31);
    until("the rest is committed", async || {
        broker.objects("files").len() >= tickets.len() - before.len()
    })
    .await;
    broker.app.stop();
    work.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_loses_nothing() {
    let broker = TestBroker::with_slots(WIDE).await;
    if broker.database.is_postgres() {
        // Nobody locks the whole of it; tests/outage.rs stops the server instead.
        return;
    }
    let tickets = full_tickets(&broker, 2).await;
    broker.advance(61);
    let mut other = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(broker.dir().join("putgate.db"))
        .connect()
        .await
        .unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let trouble = worker::run_once(&broker.app).await.unwrap_err();
    assert_eq!(trouble.code, Code::DatabaseUnavailable);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    broker.advance(61);
    broker.sweep().await;
    for ticket in &tickets {
        assert_eq!(state(&broker, ticket).await, State::Committed);
    }
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_nobody_may_read_ends_its_ticket_a_day_late_and_no_other() {
    let broker = TestBroker::with_slots(WIDE).await;
    let tickets = full_tickets(&broker, 1).await;
    let ticket = &tickets[0];
    let refused = || {
        let faults = broker.store.faults();
        faults.next_on(Op::GetObject, "staging", Fault::ErrorBefore(403));
    };
    broker.advance(24 * 3600 + 301);
    refused();
    worker::run_once(&broker.app).await.unwrap();
    assert_eq!(
        state(&broker, ticket).await,
        State::Open,
        "a day for a human"
    );
    broker.advance(24 * 3600);
    // A lost permission: nothing can be read, whatever was written.
    outage(&broker, Fault::ErrorBefore(403));
    worker::run_once(&broker.app).await.unwrap();
    assert_eq!(state(&broker, ticket).await, State::Open);
    broker.store.faults().clear();
    // A key that encrypts and no longer decrypts, or a bucket that cannot be written.
    for op in [Op::GetObject, Op::PutObject] {
        broker.advance(3600);
        refused();
        // The probe's read is the second one, its write the only one.
        let nth = if op == Op::GetObject { 2 } else { 1 };
        broker.store.faults().nth(op, nth, Fault::ErrorBefore(403));
        worker::run_once(&broker.app).await.unwrap();
        assert_eq!(state(&broker, ticket).await, State::Open, "{op:?}");
        broker.store.faults().clear();
    }
    broker.advance(3600);
    refused();
    worker::run_once(&broker.app).await.unwrap();
    let ended = row(&broker, ticket).await;
    assert_eq!(ended.state, State::Expired, "{:?}", ended.note);
    assert!(
        ended
            .problem
            .unwrap()
            .detail
            .contains("nothing that can be read")
    );
    let answer = broker.complete(&broker.token("7"), ticket).await;
    assert_eq!(answer.status, 410, "{answer:?}");
    assert_eq!(assert_settled(&broker, ticket).await, None);
    assert_eq!(broker.objects("staging"), [], "the probes are gone too");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_staging_walk_goes_to_the_end_however_long_the_listing_is() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    for n in 0..2100 {
        // Before every id in the listing's order, and nobody's.
        let key = format!("0-{n:05}");
        broker
            .store
            .write("staging", &key, b"x", "text/plain")
            .unwrap();
    }
    let ticket = broker.mint(&token, "pictures", "a.png", &png(1)).await;
    let path = format!("/v1/tickets/{}", key(&ticket));
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    worker::run_once(&broker.app).await.unwrap();
    assert_eq!(broker.put(&ticket, &png(1)).await, 200, "its URL lives on");
    for (more, deleted) in [(true, 0), (true, 0), (false, 1), (true, 0)] {
        let mut swept = Swept::default();
        let goes_on = walk(&broker.app, Bucket::Staging, false, &mut swept).await;
        assert_eq!((goes_on.unwrap(), swept.deleted.len()), (more, deleted));
        assert!(swept.unknown.len() <= 1000);
    }
    assert_eq!(broker.objects("staging").len(), 2100);
}

/// A promotion without an end, and tabs that were closed meanwhile: more than there are places.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_takes_long_keeps_no_other_ticket_waiting() {
    let broker = TestBroker::with_slots(WIDE).await;
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (go_on, goes_on) = tokio::sync::oneshot::channel();
    broker
        .store
        .faults()
        .before(Op::CopyObject, 1, || async move {
            begun.send(()).unwrap();
            goes_on.await.unwrap();
        });
    let long = full_tickets(&broker, 1).await.remove(0);
    broker.advance(61);
    let work = tokio::spawn(worker::run(Arc::clone(&broker.app)));
    has_begun.await.unwrap();
    let others = full_tickets(&broker, 12).await;
    broker.advance(61);
    until("the others are judged", async || {
        for ticket in &others {
            if state(&broker, ticket).await != State::Committed {
                return false;
            }
        }
        true
    })
    .await;
    assert_eq!(state(&broker, &long).await, State::Open);
    go_on.send(()).unwrap();
    until("the long one too", async || {
        state(&broker, &long).await == State::Committed
    })
    .await;
    broker.app.stop();
    work.await.unwrap();
}

/// As many promotions without an end as there are places, and tabs that were closed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn eight_promotions_that_never_end_keep_no_other_ticket_waiting() {
    let broker = TestBroker::with_slots(WIDE).await;
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    for n in 1..=8 {
        let gate = Arc::clone(&gate);
        let hold = move || async move { drop(gate.acquire().await) };
        broker.store.faults().before(Op::CopyObject, n, hold);
    }
    let long = full_tickets(&broker, 8).await;
    broker.advance(61);
    let mut looks = Looks::default();
    let mut pass = async || {
        looks
            .pass(&broker.app, Duration::from_millis(50))
            .await
            .unwrap()
    };
    until("eight promotions", async || {
        pass().await;
        broker.store.faults().count(Op::CopyObject) == 8
    })
    .await;
    let others = full_tickets(&broker, 12).await;
    // Those have their places for two minutes.
    broker.advance(61);
    assert_eq!(pass().await, 0);
    broker.advance(60);
    until("the others are judged", async || {
        pass().await;
        for ticket in &others {
            if state(&broker, ticket).await != State::Committed {
                return false;
            }
        }
        true
    })
    .await;
    for ticket in &long {
        assert_eq!(state(&broker, ticket).await, State::Open);
    }
    gate.add_permits(8);
    looks.finish().await;
    for ticket in &long {
        assert_eq!(state(&broker, ticket).await, State::Committed);
    }
    broker.assert_lawful().await;
}

/// As a row is after the database's clock was set back by an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_from_before_the_clock_was_set_back_keeps_no_ticket_from_its_look() {
    let broker = TestBroker::with_slots(WIDE).await;
    let ticket = full_tickets(&broker, 1).await.remove(0);
    broker.advance(61);
    for (ahead, closed) in [(10, 0), (3600, 1)] {
        let until = broker.clock.now().millis() + ahead * 1000;
        broker
            .meddle(&format!("UPDATE tickets SET lease_until = {until}"))
            .await;
        let swept = worker::run_once(&broker.app).await.unwrap();
        assert_eq!(swept.closed, closed, "{ahead} s ahead");
    }
    assert_eq!(state(&broker, &ticket).await, State::Committed);
}

/// Mints and events of long ago, as a busy month leaves them.
async fn old_rows(broker: &TestBroker, count: u32) {
    let id = if broker.database.is_postgres() {
        "gen_random_uuid()"
    } else {
        "randomblob(16)"
    };
    let numbers = format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})"
    );
    for rows in [
        "INSERT INTO idempotency (tenant, caller, key, body_hash, outcome, created_at) \
         {n} SELECT 'acme', 'o', CAST(n AS text), 'h', '[]', 1 FROM n",
        "INSERT INTO events (id, subject, seq, tenant, kind, body, created_at, state, tries, settled_at) \
         {n} SELECT {id}, {id}, 1, 'acme', 'k', '{}', 1, 'delivered', 1, 1 FROM n",
        "INSERT INTO events (id, subject, seq, tenant, kind, body, created_at, state, tries, next_try_at) \
         {n} SELECT {id}, {id}, 1, 'acme', 'k', '{}', 1, 'pending', 0, 1 FROM n",
        "INSERT INTO usage (account, open, files, reserved, stored) \
         {n} SELECT '[\"a' || CAST(n AS text) || '\",\"o\"]', 0, 0, 0, 0 FROM n",
    ] {
        let text = rows.replace("{n}", &numbers).replace("{id}", id);
        broker.meddle(&text).await;
    }
}

const FORGETFUL: [&str; 3] = ["idempotency", "events", "usage"];

#[tokio::test(flavor = "multi_thread")]
async fn a_portion_of_old_rows_says_that_there_is_more() {
    let broker = TestBroker::with_slots(WIDE).await;
    old_rows(&broker, 1200).await;
    let now = broker.app.db.now();
    for (more, left) in [
        (true, [700, 1400, 200]),
        (true, [200, 400, 0]),
        (false, [0, 0, 0]),
    ] {
        assert_eq!(forget_old_rows(&broker.app, now).await.unwrap(), more);
        for (table, left) in FORGETFUL.into_iter().zip(left) {
            assert_eq!(rows(&broker, table).await, left, "{table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_forgets_portion_after_portion_without_sitting_out_its_pace() {
    let broker = TestBroker::with_slots(WIDE).await;
    old_rows(&broker, 2200).await;
    let work = tokio::spawn(worker::run(Arc::clone(&broker.app)));
    until("nothing old is left", async || {
        let mut left = 0;
        for table in FORGETFUL {
            left += rows(&broker, table).await;
        }
        left == 0
    })
    .await;
    broker.app.stop();
    work.await.unwrap();
}

async fn rows(broker: &TestBroker, table: &str) -> i64 {
    let counted = format!("SELECT CAST(count(*) AS text) FROM {table}");
    let lines = broker.database.hand().await.lines(&counted).await;
    lines.concat().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_forgotten_after_their_time_even_while_the_store_is_away() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    // With a receiver, what it has not heard of is kept for it.
    let receiver = webhook::Receiver::new(webhook::Settings {
        url: "http://127.0.0.1:9/hook".to_owned(),
        secrets: vec![Secret::new(common::SECRET)],
        allow_private: true,
        patience: Duration::from_secs(1),
    });
    broker.app.receiver.set(receiver.unwrap()).unwrap();
    let body = json!({"slot": "pictures", "files": [{"name": "a.png", "size": png(1).len()}]});
    let request = axum::http::Request::post("/v1/tickets")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("idempotency-key", "once")
        .body(axum::body::Body::from(body.to_string()))
        .unwrap();
    assert_eq!(broker.send(request).await.status, 201);
    let kept = broker
        .upload(&broker.token("8"), "pictures", "b.png", &png(2))
        .await;
    let gone = broker
        .upload(&broker.token("9"), "any", "c.png", &png(3))
        .await;
    let path = format!("/v1/files/{}", key(&gone.body));
    let nine = broker.token("9");
    assert_eq!(broker.call("DELETE", &path, &nine, None).await.status, 204);
    broker.advance(25 * 3600);
    broker.sweep().await;
    assert_eq!(rows(&broker, "tickets").await, 3);
    assert_eq!(rows(&broker, "idempotency").await, 0, "a day is enough");
    // Everything of 7 and 9 has ended; what is left is what 8 holds.
    let accounts = broker.app.db.accounts("", 100).await.unwrap();
    assert!(!accounts.is_empty());
    assert!(
        accounts.iter().all(|held| held.usage.files == 1),
        "{accounts:?}"
    );
    broker
        .meddle(
            "UPDATE events SET state = 'delivered', settled_at = created_at, next_try_at = NULL \
             WHERE seq = 1",
        )
        .await;
    broker.advance(30 * 24 * 3600 + 1);
    outage(&broker, Fault::ErrorBefore(503));
    assert!(worker::walk_once(&broker.app).await.is_err());
    assert_eq!(rows(&broker, "tickets").await, 0);
    assert_eq!(
        rows(&broker, "events").await,
        1,
        "file.deleted was not delivered yet"
    );
    broker.store.faults().clear();
    let path = format!("/v1/files/{}", key(&kept.body));
    let eight = broker.token("8");
    assert_eq!(broker.call("GET", &path, &eight, None).await.status, 200);
    // An account that was forgotten is one that holds nothing.
    let fresh = broker.token("9");
    broker.mint(&fresh, "any", "d.png", &png(4)).await;
    broker.assert_lawful().await;
}
