//! Laws 2 and 6: what is removed, by whom, and what is left alone.

use std::sync::Arc;

use putgate::devstore::{Fault, Op, Turn};
use putgate::domain::books::Account;
use putgate::domain::name::{Owner, SlotName, Tenant};
use putgate::domain::problem::Code;
use putgate::domain::ticket::State;
use putgate::flow::sweep::Swept;
use putgate::worker;
use serde_json::json;

use crate::common::{HTML, TestBroker, png, put};
use crate::stage::{WIDE, assert_settled, key, outage, padded, row, state};

/// What owner 7 holds in a slot.
fn account(slot: &str) -> Account {
    let (tenant, owner) = (Tenant::parse("default"), Owner::parse("7"));
    let slot = SlotName::parse(slot).unwrap();
    Account::reference(&tenant.unwrap(), &slot, &owner.unwrap(), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_tab_loses_no_file() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    worker::run_once(&broker.app).await.unwrap();
    assert_eq!(state(&broker, &ticket).await, State::Open, "not yet");
    broker.advance(61);
    let swept = worker::run_once(&broker.app).await.unwrap();
    assert_eq!(swept.closed, 1);
    assert_eq!(assert_settled(&broker, &ticket).await, Some(png(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_nobody_fills_expires_after_its_grace_and_gives_its_room_back() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
    let account = account("pictures");
    assert_eq!(broker.app.db.usage(&account).await.unwrap().open, 1);
    broker.advance(24 * 3600 + 299);
    worker::run_once(&broker.app).await.unwrap();
    assert_eq!(state(&broker, &ticket).await, State::Open, "still in grace");
    broker.advance(2);
    worker::run_once(&broker.app).await.unwrap();
    assert_eq!(state(&broker, &ticket).await, State::Expired);
    let usage = broker.app.db.usage(&account).await.unwrap();
    assert_eq!((usage.open, usage.reserved), (0, 0));
    let answer = broker.complete(&broker.token("7"), &ticket).await;
    assert_eq!(answer.status, 410, "{answer:?}");
    assert_eq!(assert_settled(&broker, &ticket).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_came_in_time_are_judged_at_the_last_attempt() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let good = broker.mint(&token, "pictures", "a.png", &png(1)).await;
    let bad = broker.mint(&token, "pictures", "b.png", HTML).await;
    assert_eq!(broker.put(&good, &png(1)).await, 200);
    assert_eq!(broker.put(&bad, HTML).await, 200);
    broker.advance(24 * 3600 + 301);
    worker::run_once(&broker.app).await.unwrap();
    assert_eq!(state(&broker, &good).await, State::Committed);
    assert_eq!(state(&broker, &bad).await, State::Rejected);
    assert_settled(&broker, &good).await;
    assert_settled(&broker, &bad).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_after_the_end_is_swept_and_never_a_file() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    assert_eq!(broker.complete(&token, &ticket).await.status, 200);
    broker.sweep().await;
    for _ in 0..2 {
        let html = padded(HTML, png(1).len());
        assert_eq!(broker.put(&ticket, &html).await, 200, "its URL lives on");
        assert_eq!(broker.objects("staging").len(), 1);
        assert_eq!(broker.complete(&token, &ticket).await.status, 200);
        assert_eq!(assert_settled(&broker, &ticket).await, Some(png(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_no_row_knows_are_reported_and_stay() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    // A database restored to yesterday: the object of a ticket that it never heard of.
    let stranger = "01900000-0000-7000-8000-000000000001";
    let unknown = [
        ("files", format!("default/pictures/{stranger}.1.png")),
        ("files", "readme.txt".to_owned()),
        ("staging", stranger.to_owned()),
        ("staging", "not-a-ticket".to_owned()),
    ];
    for (bucket, key) in &unknown {
        broker
            .store
            .write(bucket, key, &png(1), "image/png")
            .unwrap();
    }
    let answer = broker.upload(&token, "pictures", "cat.png", &png(1)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let swept = worker::walk_once(&broker.app).await.unwrap();
    let mut reported: Vec<_> = swept.unknown.into_iter().map(|(_, key)| key).collect();
    let mut expected: Vec<_> = unknown.iter().map(|(_, key)| key.clone()).collect();
    reported.sort();
    expected.sort();
    assert_eq!(reported, expected);
    broker.sweep().await;
    for (bucket, key) in &unknown {
        assert!(broker.store.read(bucket, key).is_some(), "{bucket}/{key}");
    }
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_copy_of_a_lost_attempt_is_debris_and_the_committed_one_stays() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    broker.store.faults().next(Op::CopyObject, Fault::Reset);
    let first = broker.complete(&token, &ticket).await;
    assert_eq!(first.status, 503, "{first:?}");
    assert_eq!(broker.complete(&token, &ticket).await.status, 200);
    assert_eq!(assert_settled(&broker, &ticket).await, Some(png(1)));
    // Everything is clean, and only now the store gets round to the first copy.
    let late = format!("default/pictures/{}.1.png", key(&ticket));
    broker
        .store
        .write("files", &late, &png(1), "image/png")
        .unwrap();
    let swept = worker::walk_once(&broker.app).await.unwrap();
    assert_eq!(swept.deleted.len(), 1, "{swept:?}");
    assert_eq!(assert_settled(&broker, &ticket).await, Some(png(1)));
    assert_eq!(broker.objects("files").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_outlives_its_lease_lands_at_its_own_key_and_is_removed() {
    let broker = Arc::new(TestBroker::with_slots(WIDE).await);
    let token = broker.token("7");
    let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    let second = {
        let (broker, token, ticket) = (broker.clone(), token.clone(), ticket.clone());
        move || async move {
            broker.advance(31);
            let answer = broker.complete(&token, &ticket).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            broker.sweep().await;
            // The copy that wakes up now needs a source.
            assert_eq!(broker.put(&ticket, &png(1)).await, 200);
        }
    };
    broker.store.faults().before(Op::CopyObject, 1, second);
    assert_eq!(broker.complete(&token, &ticket).await.status, 200);
    assert_eq!(row(&broker, &ticket).await.epoch, 2);
    assert_eq!(assert_settled(&broker, &ticket).await, Some(png(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_bytes_go_with_the_sweep_and_the_tombstone_after_them() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let answer = broker.upload(&token, "pictures", "cat.png", &png(1)).await;
    let ticket = answer.body;
    let path = format!("/v1/files/{}", key(&ticket));
    broker
        .store
        .faults()
        .always(Op::DeleteObject, Fault::ErrorBefore(503));
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    assert_eq!(broker.call("GET", &path, &token, None).await.status, 404);
    // The store answers otherwise, so it is this object's trouble.
    let swept = worker::run_once(&broker.app).await.unwrap();
    assert_eq!(swept.purged, 0);
    assert_eq!(broker.objects("files").len(), 1);
    broker.store.faults().clear();
    broker.advance(301);
    broker.sweep().await;
    assert_eq!(broker.objects("files"), []);
    let id = crate::stage::id(&ticket);
    assert!(broker.app.db.file(id).await.unwrap().is_none());
    assert_eq!(
        broker.events(&ticket).await,
        ["ticket.committed", "file.deleted"]
    );
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_copy_of_a_file_that_was_deleted_is_debris_too() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = broker
        .upload(&token, "pictures", "cat.png", &png(1))
        .await
        .body;
    let path = format!("/v1/files/{}", key(&ticket));
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    broker.sweep().await;
    let late = format!("default/pictures/{}.1.png", key(&ticket));
    broker
        .store
        .write("files", &late, &png(1), "image/png")
        .unwrap();
    broker.sweep().await;
    assert_eq!(broker.objects("files"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_the_store_will_not_delete_do_not_keep_the_others() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    for seed in 0..3 {
        let ticket = broker
            .upload(&token, "pictures", "cat.png", &png(seed))
            .await;
        let path = format!("/v1/files/{}", key(&ticket.body));
        assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    }
    broker
        .store
        .faults()
        .next_on(Op::DeleteObject, "files", Fault::ErrorBefore(403));
    let swept = worker::run_once(&broker.app).await.unwrap();
    assert_eq!(swept.purged, 2);
    assert_eq!(broker.objects("files").len(), 1);
    let again = worker::run_once(&broker.app).await.unwrap();
    assert_eq!(again.purged, 0, "it is left alone for a while");
    broker.advance(300);
    broker.sweep().await;
    assert_eq!(broker.objects("files"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_nobody_claims_end_and_claimed_ones_stay() {
    let broker = Arc::new(TestBroker::with_slots(WIDE).await);
    let token = broker.token("7");
    let mut files = Vec::new();
    for seed in 0..40 {
        let answer = broker.upload(&token, "brief", "a.png", &png(seed)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        files.push(answer.body);
    }
    broker.advance(3600);
    // Every file is claimed while the sweep ends one after the other.
    let manage = broker.token_with(json!({"sub": "backend", "scope": "manage"}));
    let sweeps = {
        let broker = broker.clone();
        tokio::spawn(async move { worker::run_once(&broker.app).await.unwrap() })
    };
    let account = account("brief");
    while broker.app.db.usage(&account).await.unwrap().files == 40 {
        tokio::task::yield_now().await;
    }
    let claims: Vec<_> = files
        .iter()
        .map(|file| {
            let (broker, manage, id) = (broker.clone(), manage.clone(), key(file));
            tokio::spawn(async move {
                let body = json!({"files": [id], "owner": "7", "ref": "post:1"});
                broker
                    .call("POST", "/v1/claims", &manage, Some(body))
                    .await
                    .status
            })
        })
        .collect();
    let mut claimed = Vec::new();
    for claim in claims {
        claimed.push(claim.await.unwrap());
    }
    sweeps.await.unwrap();
    broker.sweep().await;
    for (file, claimed) in files.iter().zip(claimed) {
        let live = broker.app.db.file(crate::stage::id(file)).await.unwrap();
        let live = live.is_some_and(|file| file.is_live());
        let then = match claimed {
            200 => "file.claimed",
            404 => "file.deleted",
            status => panic!("a claim answered {status}"),
        };
        assert_eq!(live, claimed == 200);
        assert_eq!(broker.events(file).await, ["ticket.committed", then]);
    }
    broker.advance(48 * 3600);
    broker.sweep().await;
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_walk_says_what_it_would_delete_and_deletes_nothing() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
    let path = format!("/v1/tickets/{}", key(&ticket));
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    broker.sweep().await;
    let url = ticket["transfer"]["url"].as_str().unwrap();
    assert_eq!(put(url, &[].into(), &png(1)).await, 200);
    let mut swept = Swept::default();
    let bucket = putgate::store::Bucket::Staging;
    putgate::flow::sweep::walk_page(&broker.app, bucket, None, true, &mut swept)
        .await
        .unwrap();
    assert_eq!(swept.deleted, [(bucket, key(&ticket))]);
    assert_eq!(broker.objects("staging").len(), 1);
}

/// A backup knows a ticket as open whose file was committed after it was taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_to_yesterday_does_not_erase_todays_file() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
    let committed_since = format!("default/pictures/{}.1.png", key(&ticket));
    broker
        .store
        .write("files", &committed_since, &png(1), "image/png")
        .unwrap();
    broker.advance(24 * 3600 + 301);
    broker.sweep().await;
    assert_eq!(state(&broker, &ticket).await, State::Expired);
    assert_eq!(broker.objects("files").len(), 1, "reported, never deleted");
    let report = putgate::flow::audit::audit(&broker.app).await.unwrap();
    assert_eq!(report.unknown.len(), 1, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_keeps_the_worker_from_nothing_else() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let unreadable = broker.mint(&token, "pictures", "a.png", &png(1)).await;
    let gone = broker.upload(&token, "pictures", "b.png", &png(2)).await;
    let due = broker.mint(&token, "pictures", "c.png", &png(3)).await;
    assert_eq!(broker.put(&due, &png(3)).await, 200);
    let path = format!("/v1/files/{}", key(&gone.body));
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    broker
        .meddle(&format!(
            "UPDATE tickets SET policy = '[]' WHERE id = {}",
            broker.database.id(row(&broker, &unreadable).await.id)
        ))
        .await;
    broker.advance(61);
    let swept = worker::run_once(&broker.app).await.unwrap();
    assert_eq!((swept.closed, swept.purged), (1, 1), "{swept:?}");
    assert_eq!(state(&broker, &due).await, State::Committed);
    let again = broker.app.db.due_tickets(broker.app.db.now(), 10).await;
    assert!(again.unwrap().is_empty(), "it waits for its turn");
    // Alone it is no trouble of the pass either, which would make the worker pause.
    broker.advance(600);
    let swept = worker::run_once(&broker.app).await.unwrap();
    assert_eq!(swept.closed, 0, "{swept:?}");
}

/// Tickets that were given up, one a second, each with an object that was put too late.
async fn late_objects(broker: &TestBroker, count: u32) -> Vec<String> {
    let token = broker.token("7");
    let mut tickets = Vec::new();
    for seed in 0..count {
        let ticket = broker.mint(&token, "pictures", "a.png", &png(seed)).await;
        let path = format!("/v1/tickets/{}", key(&ticket));
        assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
        tickets.push(ticket);
        broker.advance(1);
    }
    broker.sweep().await;
    for (ticket, seed) in tickets.iter().zip(0..) {
        assert_eq!(broker.put(ticket, &png(seed)).await, 200);
    }
    tickets.iter().map(key).collect()
}

/// Whatever is tried, the store deletes none of these.
fn undeletable(broker: &TestBroker, keys: &[String]) {
    let keys = keys.to_vec();
    broker.store.faults().govern(move |op, _, key| {
        let is_stuck = op == Op::DeleteObject && keys.iter().any(|stuck| stuck == key);
        Turn {
            fault: is_stuck.then_some(Fault::ErrorBefore(503)),
            ..Turn::default()
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_the_store_fails_to_delete_hides_nothing_behind_it() {
    let broker = TestBroker::with_slots(WIDE).await;
    let keys = late_objects(&broker, 5).await;
    let left = || -> Vec<String> {
        let objects = broker.objects("staging").into_iter();
        objects.map(|object| object.0).collect()
    };
    // Three in a row may be an outage: the worker pauses, and then goes on behind them.
    undeletable(&broker, &keys[..3]);
    let trouble = worker::walk_once(&broker.app).await.unwrap_err();
    assert_eq!(trouble.code, Code::StorageUnavailable);
    assert_eq!(left(), keys);
    worker::walk_once(&broker.app).await.unwrap();
    assert_eq!(left(), keys[..3]);
    // One alone is no trouble of the walk, which would make the worker pause.
    undeletable(&broker, &keys[..1]);
    worker::walk_once(&broker.app).await.unwrap();
    assert_eq!(left(), keys[..1]);
    broker.store.faults().clear();
    worker::walk_once(&broker.app).await.unwrap();
    assert_eq!(left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_row_cannot_be_read_stays_and_keeps_no_other() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let unreadable = broker.mint(&token, "pictures", "a.png", &png(9)).await;
    assert_eq!(broker.put(&unreadable, &png(9)).await, 200);
    assert_eq!(broker.complete(&token, &unreadable).await.status, 200);
    broker.sweep().await;
    let late = late_objects(&broker, 1).await;
    assert_eq!(broker.put(&unreadable, &png(9)).await, 200, "late too");
    // Of an attempt that its row knows nothing of.
    let lost = format!("default/pictures/{}.1.png", late[0]);
    broker
        .store
        .write("files", &lost, &png(1), "image/png")
        .unwrap();
    broker
        .meddle(&format!(
            "UPDATE tickets SET policy = '[]' WHERE id = {}",
            broker.database.id(crate::stage::id(&unreadable))
        ))
        .await;
    let swept = worker::walk_once(&broker.app).await.unwrap();
    let staging = putgate::store::Bucket::Staging;
    assert_eq!(swept.deleted, [(staging, late[0].clone())]);
    let mut unknown: Vec<_> = swept.unknown.into_iter().map(|(_, key)| key).collect();
    unknown.sort();
    let kept = format!("default/pictures/{}.1.png", key(&unreadable));
    let mut expected = vec![key(&unreadable), kept, lost];
    expected.sort();
    assert_eq!(unknown, expected, "a human decides");
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_that_the_store_fails_to_delete_keep_no_others() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let mut tickets = Vec::new();
    for seed in 0..4 {
        let ticket = broker.mint(&token, "pictures", "a.png", &png(seed)).await;
        assert_eq!(broker.put(&ticket, &png(seed)).await, 200);
        tickets.push(ticket);
    }
    let keys: Vec<String> = tickets.iter().map(key).collect();
    undeletable(&broker, &keys);
    for ticket in &tickets {
        let path = format!("/v1/tickets/{}", key(ticket));
        assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    }
    // By now each has a turn of its own, the first one first.
    for (n, ticket) in tickets.iter().enumerate() {
        let turn = broker.clock.now().millis() + i64::try_from(n).unwrap();
        let id = broker.database.id(crate::stage::id(ticket));
        broker
            .meddle(&format!(
                "UPDATE tickets SET clean_at = {turn} WHERE id = {id}"
            ))
            .await;
    }
    broker.advance(1);
    undeletable(&broker, &keys[..1]);
    let swept = worker::run_once(&broker.app).await.unwrap();
    assert_eq!(swept.cleaned, 3, "{swept:?}");
    assert_eq!(broker.objects("staging").len(), 1);
    broker.store.faults().clear();
    broker.advance(301);
    broker.sweep().await;
    assert_eq!(broker.objects("staging"), []);
}

/// Which would make the worker pause, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_that_the_store_fails_to_delete_is_no_trouble_of_the_pass() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let mut keys = Vec::new();
    for seed in 0..5 {
        let answer = broker.upload(&token, "pictures", "a.png", &png(seed)).await;
        let path = format!("/v1/files/{}", key(&answer.body));
        assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
        keys.push(answer.body["file"]["key"].as_str().unwrap().to_owned());
        broker.advance(1);
    }
    let left = || broker.objects("files").len();
    // Alone, and then three in a row that are the first in turn.
    undeletable(&broker, &keys[4..]);
    assert_eq!(worker::run_once(&broker.app).await.unwrap().purged, 4);
    assert_eq!(left(), 1);
    worker::run_once(&broker.app).await.unwrap();
    let tries = broker.store.faults().count(Op::DeleteObject);
    worker::run_once(&broker.app).await.unwrap();
    assert_eq!(
        broker.store.faults().count(Op::DeleteObject),
        tries,
        "it is left alone for a while"
    );
    // A store that is away is the pass's own trouble, be there one tombstone or many.
    broker.advance(301);
    outage(&broker, Fault::ErrorBefore(503));
    let trouble = worker::run_once(&broker.app).await.unwrap_err();
    assert_eq!(trouble.code, Code::StorageUnavailable);
    broker.store.faults().clear();
    broker.advance(31);
    assert_eq!(worker::run_once(&broker.app).await.unwrap().purged, 1);
    assert_eq!(left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_tombstones_that_the_store_fails_to_delete_keep_no_other_for_long() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let mut keys = Vec::new();
    for seed in 0..4 {
        let answer = broker.upload(&token, "pictures", "a.png", &png(seed)).await;
        keys.push(answer.body["file"]["key"].as_str().unwrap().to_owned());
        let path = format!("/v1/files/{}", key(&answer.body));
        assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
        broker.advance(1);
    }
    undeletable(&broker, &keys[..3]);
    // It may be an outage: the worker pauses once.
    assert!(worker::run_once(&broker.app).await.is_err());
    broker.advance(31);
    assert_eq!(worker::run_once(&broker.app).await.unwrap().purged, 1);
    assert_eq!(broker.objects("files").len(), 3);
}

/// Somebody else's hand in the books of one owner.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_ended_keeps_no_other_unclaimed_one() {
    let broker = TestBroker::with_slots(WIDE).await;
    for owner in ["7", "8"] {
        let token = broker.token(owner);
        let answer = broker.upload(&token, "brief", "a.png", &png(1)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        broker.advance(1);
    }
    broker
        .meddle("UPDATE usage SET files = 0, stored = 0 WHERE account LIKE '%\"7\"%'")
        .await;
    broker.advance(3600);
    let swept = worker::run_once(&broker.app).await.unwrap();
    assert_eq!(swept.unclaimed, 1, "{swept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_made_smaller_is_no_violation() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    for seed in 0..3 {
        broker.upload(&token, "pictures", "a.png", &png(seed)).await;
    }
    let mut slots = (**broker.app.slots.load()).clone();
    for slot in slots.values_mut() {
        slot.policy.max_entries = 2;
    }
    broker.app.slots.store(Arc::new(slots));
    let report = putgate::flow::audit::audit(&broker.app).await.unwrap();
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(report.above_today.len(), 1, "{report:?}");
}
