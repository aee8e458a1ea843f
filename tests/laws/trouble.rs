//! Law 6: the store's trouble ends no upload, and leaves nothing behind.

use putgate::devstore::{Fault, Op};
use putgate::domain::ticket::State;
use putgate::worker;

use crate::common::{TestBroker, png};
use crate::stage::{WIDE, assert_settled, code, outage, row, settle, state};

const FAULTS: [Fault; 5] = [
    Fault::ErrorBefore(503),
    Fault::ErrorBefore(500),
    Fault::ErrorAfter(500),
    Fault::LostAnswer,
    Fault::Reset,
];

#[tokio::test(flavor = "multi_thread")]
async fn any_one_call_may_fail_before_or_after_its_effect_and_the_file_is_committed() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    for (op, n) in [
        (Op::GetObject, 1),
        (Op::GetObject, 2),
        (Op::CopyObject, 1),
        (Op::DeleteObject, 1),
        (Op::ListObjects, 1),
    ] {
        for fault in FAULTS {
            let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
            assert_eq!(broker.put(&ticket, &png(1)).await, 200);
            broker.store.faults().nth(op, n, fault);
            let ended = settle(&broker, &token, &ticket, &png(1)).await;
            broker.store.faults().clear();
            assert_eq!(ended, State::Committed, "{op:?} {n} {fault:?}");
            assert_eq!(assert_settled(&broker, &ticket).await, Some(png(1)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_that_begins_at_any_call_is_answered_503_and_ends_nothing() {
    for (op, n) in [
        (Op::GetObject, 1),
        (Op::CopyObject, 1),
        (Op::GetObject, 2),
        (Op::DeleteObject, 1),
    ] {
        let broker = TestBroker::with_slots(WIDE).await;
        let token = broker.token("7");
        let ticket = broker.mint(&token, "pictures", "cat.png", &png(1)).await;
        assert_eq!(broker.put(&ticket, &png(1)).await, 200);
        let faults = broker.store.faults().clone();
        broker.store.faults().before(op, n, move || async move {
            for op in crate::stage::CALLS {
                faults.always(*op, Fault::ErrorBefore(503));
            }
        });
        // The call at which it begins is still answered; those after it are not.
        let answer = broker.complete(&token, &ticket).await;
        let ready = broker.call("GET", "/readyz", "", None).await;
        assert_eq!(ready.status, 200, "an outage must not empty the balancer");
        if state(&broker, &ticket).await == State::Open {
            assert_eq!(code(&answer), "storage-unavailable");
            assert_eq!(answer.status, 503);
        } else {
            assert_eq!(answer.status, 200, "{op:?} {n}: {answer:?}");
        }
        broker.store.faults().clear();
        let ended = settle(&broker, &token, &ticket, &png(1)).await;
        assert_eq!(ended, State::Committed, "{op:?} {n}");
        assert_eq!(assert_settled(&broker, &ticket).await, Some(png(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_down_tickets_stay_open_past_their_deadline() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let full = broker.mint(&token, "pictures", "a.png", &png(1)).await;
    let empty = broker.mint(&token, "pictures", "b.png", &png(2)).await;
    assert_eq!(broker.put(&full, &png(1)).await, 200);
    for fault in [Fault::ErrorBefore(503), Fault::ErrorBefore(403)] {
        outage(&broker, fault);
        broker.advance(24 * 3600 + 301);
        for _ in 0..2 {
            // A 503 is the pass's own trouble, a 403 each object's.
            let _ = worker::run_once(&broker.app).await;
            for ticket in [&full, &empty] {
                let row = row(&broker, ticket).await;
                assert_eq!(row.state, State::Open, "{:?}", row.note);
            }
        }
        broker.store.faults().clear();
    }
    broker.advance(3600);
    worker::run_once(&broker.app).await.unwrap();
    assert_eq!(state(&broker, &full).await, State::Committed);
    assert_eq!(state(&broker, &empty).await, State::Expired);
    assert_settled(&broker, &full).await;
    assert_settled(&broker, &empty).await;
}
