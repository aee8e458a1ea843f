//! Law 5: one terminal state and one event, whoever else acts at whatever moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use putgate::devstore::{Fault, Op};
use putgate::domain::ticket::State;
use putgate::flow;
use serde_json::Value;
use tokio::sync::Notify;

use crate::common::{HTML, TestBroker, png, put};
use crate::stage::{WIDE, assert_settled, id, key, padded, row, settle};

/// What somebody does in the middle of an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Cancel,
    PutHtml,
    PutAnotherPicture,
    Remove,
    /// The holder's lease runs out and another attempt runs to its end.
    TakeOver,
    CompleteToo,
    Walk,
}

impl Deed {
    const ALL: [Self; 7] = [
        Self::Cancel,
        Self::PutHtml,
        Self::PutAnotherPicture,
        Self::Remove,
        Self::TakeOver,
        Self::CompleteToo,
        Self::Walk,
    ];

    async fn happen(self, broker: Arc<TestBroker>, token: String, ticket: Value) {
        let path = format!("/v1/tickets/{}", key(&ticket));
        let url = ticket["transfer"]["url"].as_str().unwrap();
        match self {
            Self::Cancel => {
                let answer = broker.call("DELETE", &path, &token, None).await;
                assert_eq!(answer.status, 204, "{answer:?}");
            }
            Self::PutHtml => {
                let html = padded(HTML, png(1).len());
                assert_eq!(put(url, &[].into(), &html).await, 200);
            }
            Self::PutAnotherPicture => assert_eq!(put(url, &[].into(), &png(2)).await, 200),
            Self::Remove => {
                broker.store.remove("staging", &key(&ticket));
            }
            Self::TakeOver => {
                broker.advance(31);
                let answer = broker.complete(&token, &ticket).await;
                assert_eq!(answer.status, 200, "{answer:?}");
            }
            Self::CompleteToo => {
                let path = format!("{path}/complete?wait=0");
                let answer = broker.call("POST", &path, &token, None).await;
                assert_eq!(answer.status, 202, "{answer:?}");
            }
            Self::Walk => {
                putgate::worker::run_once(&broker.app).await.unwrap();
                putgate::worker::walk_once(&broker.app).await.unwrap();
            }
        }
    }

    /// How a ticket ends when this happens at the point `at` of its attempt.
    fn ends(self, at: usize) -> State {
        const COPIED: usize = 3;
        match self {
            Self::Cancel => State::Cancelled,
            Self::PutHtml if at < COPIED => State::Rejected,
            _ => State::Committed,
        }
    }
}

/// The moments of an attempt, in its order: which call, and whether after its effect.
const POINTS: [(Op, u64, bool); 6] = [
    (Op::GetObject, 1, false),
    (Op::GetObject, 1, true),
    (Op::CopyObject, 1, false),
    (Op::CopyObject, 1, true),
    (Op::GetObject, 2, false),
    (Op::GetObject, 2, true),
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_at_whatever_moment_a_ticket_ends_once_and_rightly() {
    let broker = Arc::new(TestBroker::with_slots(WIDE).await);
    let token = broker.token("7");
    for (at, (op, n, after)) in POINTS.into_iter().enumerate() {
        for deed in Deed::ALL {
            let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
            assert_eq!(broker.put(&ticket, &png(1)).await, 200);
            let happens = {
                let (broker, token, ticket) = (broker.clone(), token.clone(), ticket.clone());
                move || deed.happen(broker, token, ticket)
            };
            if after {
                broker.store.faults().after(op, n, happens);
            } else {
                broker.store.faults().before(op, n, happens);
            }
            let ended = settle(&broker, &token, &ticket, &png(1)).await;
            let case = format!(
                "{deed:?} {} {op:?} {n}",
                if after { "after" } else { "before" }
            );
            assert_eq!(ended, deed.ends(at), "{case}");
            let kept = assert_settled(&broker, &ticket).await;
            let lawful = match kept {
                Some(bytes) => bytes == png(1) || bytes == png(2),
                None => ended != State::Committed,
            };
            assert!(lawful, "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_completes_cancels_puts_and_looks_agree_on_one_end() {
    let broker = Arc::new(TestBroker::with_slots(WIDE).await);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for round in 0..49_usize {
        let token = broker.token(&format!("owner-{round}"));
        let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
        assert_eq!(broker.put(&ticket, &png(1)).await, 200);
        let complete = || {
            let (broker, token, ticket) = (broker.clone(), token.clone(), ticket.clone());
            tokio::spawn(async move {
                let answer = broker.complete(&token, &ticket).await;
                assert!(answer.status < 500, "{answer:?}");
            })
        };
        // Each starts when the attempt has come to a point, a different one every round,
        // and races on from there; the seventh point is after everything.
        let started = |at: usize| {
            let start = Arc::new(Notify::new());
            if let Some((op, n, after)) = POINTS.get(at) {
                let tell = start.clone();
                let tell = move || async move { tell.notify_one() };
                if *after {
                    broker.store.faults().after(*op, *n, tell);
                } else {
                    broker.store.faults().before(*op, *n, tell);
                }
            }
            start
        };
        let (start_cancel, start_html) = (started(round % 7), started(round / 7));
        if round / 7 == 0 {
            let html = padded(HTML, png(1).len());
            assert_eq!(broker.put(&ticket, &html).await, 200);
        }
        let cancel = {
            let (broker, token, ticket) = (broker.clone(), token.clone(), ticket.clone());
            let start = start_cancel.clone();
            tokio::spawn(async move {
                start.notified().await;
                let path = format!("/v1/tickets/{}", key(&ticket));
                let answer = broker.call("DELETE", &path, &token, None).await;
                assert!(answer.status < 500, "{answer:?}");
            })
        };
        let html = {
            let url = ticket["transfer"]["url"].as_str().unwrap().to_owned();
            let start = start_html.clone();
            tokio::spawn(async move {
                start.notified().await;
                put(&url, &[].into(), &padded(HTML, png(1).len())).await;
            })
        };
        let look = {
            let (broker, ticket) = (broker.clone(), ticket.clone());
            tokio::spawn(async move {
                flow::attempt(&broker.app, id(&ticket)).await;
            })
        };
        for task in [complete(), look, complete()] {
            task.await.unwrap();
        }
        start_cancel.notify_one();
        start_html.notify_one();
        for task in [cancel, html] {
            task.await.unwrap();
        }
        broker.store.faults().clear();
        let ended = settle(&broker, &token, &ticket, &png(1)).await;
        *seen.entry(ended.as_str()).or_default() += 1;
        let kept = assert_settled(&broker, &ticket).await;
        assert!(kept.is_none_or(|bytes| bytes == png(1)), "round {round}");
    }
    assert_eq!(seen.len(), 3, "every end was seen: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_holder_that_wakes_up_changes_nothing() {
    // (what lies in staging when the second attempt runs, how that one ends)
    for (bytes, ends) in [
        (png(1), State::Committed),
        (padded(HTML, png(1).len()), State::Rejected),
    ] {
        let broker = Arc::new(TestBroker::with_slots(WIDE).await);
        let token = broker.token("7");
        let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
        assert_eq!(broker.put(&ticket, &png(1)).await, 200);
        let (stalled, wake) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, until) = (stalled.clone(), wake.clone());
        // The second read, at the final key: the holder has its copy and sleeps.
        broker
            .store
            .faults()
            .before(Op::GetObject, 2, move || async move {
                told.notify_one();
                until.notified().await;
            });
        let holder = {
            let (broker, token, ticket) = (broker.clone(), token.clone(), ticket.clone());
            tokio::spawn(async move { broker.complete(&token, &ticket).await })
        };
        stalled.notified().await;
        broker.advance(31);
        assert_eq!(broker.put(&ticket, &bytes).await, 200);
        broker.complete(&token, &ticket).await;
        let then = row(&broker, &ticket).await;
        assert_eq!((then.state, then.epoch), (ends, 2));
        wake.notify_one();
        let answer = holder.await.unwrap();
        let expected = if ends == State::Committed { 200 } else { 422 };
        assert_eq!(answer.status, expected, "{answer:?}");
        let kept = assert_settled(&broker, &ticket).await;
        assert_eq!(kept.is_some(), ends == State::Committed);
        assert_eq!(row(&broker, &ticket).await.epoch, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_stalled_in_its_first_read_copies_to_its_own_key_only() {
    let broker = Arc::new(TestBroker::with_slots(WIDE).await);
    let token = broker.token("7");
    let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    let (stalled, wake) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, until) = (stalled.clone(), wake.clone());
    broker
        .store
        .faults()
        .after(Op::GetObject, 1, move || async move {
            told.notify_one();
            until.notified().await;
        });
    let holder = {
        let (broker, token, ticket) = (broker.clone(), token.clone(), ticket.clone());
        tokio::spawn(async move { broker.complete(&token, &ticket).await })
    };
    stalled.notified().await;
    broker.advance(31);
    let second = broker.complete(&token, &ticket).await;
    assert_eq!(second.status, 200, "{second:?}");
    // Somebody puts the object again, so that the sleeper has something to copy.
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    wake.notify_one();
    let first = holder.await.unwrap();
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.body["file"]["key"], second.body["file"]["key"]);
    let kept = second.body["file"]["key"].as_str().unwrap();
    assert!(kept.ends_with(".2.png"), "{kept}");
    assert_eq!(assert_settled(&broker, &ticket).await, Some(png(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_attempt_that_fails_tries_itself() {
    let broker = Arc::new(TestBroker::with_slots(WIDE).await);
    let token = broker.token("7");
    let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    let (stalled, wake) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, until) = (stalled.clone(), wake.clone());
    let faults = broker.store.faults();
    faults.next(Op::CopyObject, Fault::ErrorBefore(503));
    faults.before(Op::CopyObject, 1, move || async move {
        told.notify_one();
        until.notified().await;
    });
    let complete = || {
        let (broker, token, ticket) = (broker.clone(), token.clone(), ticket.clone());
        tokio::spawn(async move { broker.complete(&token, &ticket).await })
    };
    let first = complete();
    stalled.notified().await;
    let second = complete();
    let path = format!("/v1/tickets/{}/complete?wait=0", key(&ticket));
    let third = broker.call("POST", &path, &token, None).await;
    assert_eq!(third.status, 202, "{third:?}");
    wake.notify_one();
    assert_eq!(first.await.unwrap().status, 503);
    let second = second.await.unwrap();
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(assert_settled(&broker, &ticket).await, Some(png(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_swept_as_debris_cannot_be_committed_by_its_late_holder() {
    let broker = Arc::new(TestBroker::with_slots(WIDE).await);
    let token = broker.token("7");
    let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    let faults = broker.store.faults();
    // Each holder stops where its copy has been read, and wakes after the walk.
    let mut holders = Vec::new();
    let mut wakes = Vec::new();
    for _ in 0..2 {
        let (stalled, wake) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, until) = (stalled.clone(), wake.clone());
        faults.after(Op::GetObject, 2, move || async move {
            told.notify_one();
            until.notified().await;
        });
        let (asked, token, ticket) = (broker.clone(), token.clone(), ticket.clone());
        holders.push(tokio::spawn(async move {
            asked.complete(&token, &ticket).await
        }));
        stalled.notified().await;
        wakes.push(wake);
        broker.advance(31);
    }
    let swept = putgate::worker::walk_once(&broker.app).await.unwrap();
    assert_eq!(swept.deleted.len(), 1, "the first one's copy: {swept:?}");
    for (wake, holder) in wakes.into_iter().zip(holders) {
        wake.notify_one();
        let answer = holder.await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(assert_settled(&broker, &ticket).await, Some(png(1)));
}
