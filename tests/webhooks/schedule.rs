//! When an event is tried, and when it is given up. The clock is the test's.

use std::time::Duration;

use putgate::clock::Clock;
use putgate::domain::books::Footprint;
use putgate::domain::ledger::{self, Replayed};
use putgate::domain::outbox::{Answer, DeliveryState, LEASE, MOST_TAKEN, SUSPECT, pause};
use putgate::domain::time::Seconds;
use putgate::flow::{App, Slots, deliver};
use time::format_description::well_known::Rfc2822;

use crate::receiver::{Hook, KEY, Reply};
use crate::{broker_with, outbox, send, states, take, take_beside_a_suspect, upload};

#[tokio::test(flavor = "multi_thread")]
async fn ten_tries_by_the_schedule_with_one_id_and_one_body_then_it_is_given_up() {
    let hook = Hook::start(|_| Reply::Status(500)).await;
    let broker = broker_with(&hook).await;
    upload(&broker, "7", 1).await;
    let id = outbox(&broker).await[0].id;
    for tries in 1..=10 {
        assert_eq!(send(&broker).await, 1, "try {tries}");
        let event = &outbox(&broker).await[0];
        assert_eq!(
            (event.delivery.tries, event.delivery.last_status),
            (tries, Some(500))
        );
        let Some(pause) = pause(tries, id) else { break };
        let next = event.delivery.next_try_at.unwrap();
        assert_eq!(next, broker.clock.now().plus(pause));
        broker.advance(pause.0 - 1);
        assert_eq!(send(&broker).await, 0, "too early for try {}", tries + 1);
        broker.advance(1);
    }
    assert_eq!(states(&broker).await, [DeliveryState::Dead]);
    broker.advance(7 * 24 * 3600);
    assert_eq!(send(&broker).await, 0);
    let seen = hook.seen();
    assert_eq!(seen.len(), 10);
    let mut times: Vec<&str> = Vec::new();
    for try_ in &seen {
        assert_eq!(try_.id(), id.to_string());
        assert_eq!(try_.body, seen[0].body);
        assert!(try_.is_signed_by(KEY));
        times.push(try_.header("webhook-timestamp"));
    }
    times.dedup();
    assert_eq!(times.len(), 10, "each try is signed for its own moment");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_time_gets_it_within_a_day() {
    for (asked, given) in [("600", 600), ("9999999", 24 * 3600)] {
        let wait = asked.to_owned();
        let hook = Hook::start(move |_| Reply::With(503, "retry-after", wait.clone())).await;
        let broker = broker_with(&hook).await;
        upload(&broker, "7", 1).await;
        send(&broker).await;
        hook.answers(|_| Reply::Status(204));
        broker.advance(given - 1);
        assert_eq!(send(&broker).await, 0, "{asked}");
        broker.advance(1);
        assert_eq!(send(&broker).await, 1, "{asked}");
        assert_eq!(states(&broker).await, [DeliveryState::Delivered]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_is_given_up_at_once_and_what_comes_after_is_tried() {
    let hook = Hook::start(|_| Reply::Status(410)).await;
    let broker = broker_with(&hook).await;
    let ticket = upload(&broker, "7", 1).await;
    crate::claim(&broker, &ticket["file"], "7").await;
    assert_eq!(send(&broker).await, 2);
    assert_eq!(states(&broker).await, [DeliveryState::Dead; 2]);
    let event = &outbox(&broker).await[0].delivery;
    assert_eq!((event.tries, event.last_status), (1, Some(410)));
}

/// The sender is cut off when the receiver has the event and nobody has settled it: a kill.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_sender_held_is_sent_again_after_its_lease_under_the_same_id() {
    let hook = Hook::start(|_| Reply::Hang).await;
    let broker = broker_with(&hook).await;
    upload(&broker, "7", 1).await;
    let app = broker.app.clone();
    let sender = tokio::spawn(async move { deliver::deliver(&app).await });
    hook.wait_for(1).await;
    sender.abort();
    assert!(sender.await.unwrap_err().is_cancelled());
    hook.answers(|_| Reply::Status(200));
    broker.advance(LEASE.0 - 1);
    assert_eq!(send(&broker).await, 0, "it is held");
    broker.advance(1);
    assert_eq!(send(&broker).await, 1);
    let seen = hook.seen();
    assert_eq!((seen.len(), seen[0].id()), (2, seen[1].id()));
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(states(&broker).await, [DeliveryState::Delivered]);
}

/// Twelve deaths in six minutes, and then the receiver says no for the first time.
#[tokio::test(flavor = "multi_thread")]
async fn senders_that_die_do_not_use_up_the_tries() {
    let hook = Hook::start(|_| Reply::Status(500)).await;
    let broker = broker_with(&hook).await;
    upload(&broker, "7", 1).await;
    let mut first = None;
    for death in 0..12 {
        let taken = take(&broker).await;
        assert_eq!(taken.len(), 1, "death {death}");
        first.get_or_insert_with(|| taken[0].clone());
        broker.advance(31);
    }
    assert_eq!(send(&broker).await, 1);
    let event = outbox(&broker).await.remove(0);
    let delivery = event.delivery;
    assert_eq!(
        (delivery.state, delivery.tries),
        (DeliveryState::Pending, 1)
    );
    let again = broker.clock.now().plus(pause(1, event.id).unwrap());
    assert_eq!(delivery.next_try_at, Some(again));
    // The try has the number of those before it, and is not theirs to settle.
    take_again(&broker, again.seconds()).await;
    let (first, answer) = (first.unwrap(), Answer::None("late".into()));
    let row = Footprint {
        events: vec![first.id],
        ..Footprint::default()
    };
    let late = broker.app.db.write(row, move |books, now| {
        ledger::settle(books, now, &first, &answer)
    });
    assert_eq!(late.await.unwrap(), None);
}

/// What ends its sender each time ends some day, and does not keep those behind it.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_lives_to_settle_is_given_up_after_many_takings() {
    let hook = Hook::content().await;
    let broker = broker_with(&hook).await;
    let ticket = upload(&broker, "7", 1).await;
    crate::claim(&broker, &ticket["file"], "7").await;
    for taking in 1..=MOST_TAKEN {
        let taken = take(&broker).await;
        let counted: Vec<_> = taken.iter().map(|event| event.delivery.taken).collect();
        assert_eq!(counted, [taking]);
        assert_eq!((taken[0].seq, taken[0].delivery.tries), (1, 1));
        broker.advance(LEASE.0);
    }
    assert_eq!(send(&broker).await, 1, "the one behind it");
    let events = outbox(&broker).await;
    let states: Vec<_> = events.iter().map(|event| event.delivery.state).collect();
    assert_eq!(states, [DeliveryState::Dead, DeliveryState::Delivered]);
    let dead = &events[0].delivery;
    let why = "its sender ended 120 times before it could say what came of it";
    assert_eq!(dead.last_error.as_deref(), Some(why));
    assert_eq!(hook.seen()[0].id(), events[1].id.to_string());
    // A person may send it again, with all its tries and takings before it.
    let replayed = deliver::replay(&broker.app.db, events[0].id).await;
    assert_eq!(replayed.unwrap(), Replayed::Due);
    assert_eq!(take(&broker).await[0].delivery.taken, 1);
    broker.advance(LEASE.0);
    assert_eq!(send(&broker).await, 1);
    assert_eq!(crate::states(&broker).await, [DeliveryState::Delivered; 2]);
}

/// One of two ends its senders, and the other is only beside it.
#[tokio::test(flavor = "multi_thread")]
async fn events_that_were_taken_often_are_taken_one_by_one() {
    let hook = Hook::content().await;
    let broker = broker_with(&hook).await;
    for (owner, seed) in [("7", 1), ("8", 2)] {
        upload(&broker, owner, seed).await;
    }
    for _ in 0..SUSPECT {
        assert_eq!(take(&broker).await.len(), 2);
        broker.advance(LEASE.0);
    }
    let one = take(&broker).await;
    assert_eq!(one.len(), 1);
    // While it is under way the other waits.
    assert_eq!(take_beside_a_suspect(&broker).await, []);
    let other = take(&broker).await;
    assert_eq!(other.len(), 1);
    assert_ne!(one[0].id, other[0].id);
}

/// All deaths but the last, and a word of the receiver's, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_is_settled_begins_the_count_of_takings_anew() {
    let hook = Hook::start(|_| Reply::Status(500)).await;
    let broker = broker_with(&hook).await;
    upload(&broker, "7", 1).await;
    for tries in 1..=3 {
        for _ in 1..MOST_TAKEN {
            assert_eq!(take(&broker).await.len(), 1);
            broker.advance(LEASE.0);
        }
        assert_eq!(send(&broker).await, 1);
        let event = outbox(&broker).await.remove(0);
        let delivery = event.delivery;
        assert_eq!((delivery.tries, delivery.taken), (tries, 0));
        broker.advance(pause(tries, event.id).unwrap().0);
    }
}

async fn take_again(broker: &crate::TestBroker, at: i64) {
    let wait = u32::try_from(at - broker.clock.now().seconds()).unwrap();
    broker.advance(wait + 1);
    let taken = take(broker).await;
    assert_eq!(taken[0].delivery.tries, 2, "a try of its own");
}

/// A replica whose machine is ten minutes off, which no receiver forgives.
#[tokio::test(flavor = "multi_thread")]
async fn a_try_is_stamped_by_the_databases_clock_and_not_by_the_machines() {
    let hook = Hook::content().await;
    let broker = broker_with(&hook).await;
    upload(&broker, "7", 1).await;
    let now = broker.clock.now();
    let asked = now.plus(Seconds(1200)).calendar().format(&Rfc2822).unwrap();
    hook.answers(move |_| Reply::With(503, "retry-after", asked.clone()));
    let off = App::new(
        broker.app.db.clone(),
        broker.app.store.clone(),
        Clock::manual(now.plus(Seconds(600))),
        Slots::new(),
        100,
        Seconds(3600),
    );
    off.receiver.set(hook.receiver()).unwrap();
    assert_eq!(deliver::deliver(&off).await.unwrap(), 1);
    let stamp: i64 = hook.seen()[0].header("webhook-timestamp").parse().unwrap();
    assert_eq!(stamp, now.seconds());
    let next = outbox(&broker).await[0].delivery.next_try_at.unwrap();
    let wait = now.seconds_until(next);
    assert!(
        (1199..=1200).contains(&wait),
        "a date is by that clock too: {wait} s"
    );
}

/// As rows are after the database's clock was set back by an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_from_before_the_clock_was_set_back_holds_no_event() {
    let hook = Hook::content().await;
    let broker = broker_with(&hook).await;
    upload(&broker, "7", 1).await;
    assert_eq!(take(&broker).await.len(), 1);
    assert_eq!(send(&broker).await, 0, "it is held");
    broker
        .meddle("UPDATE events SET lease_until = lease_until + 3600000")
        .await;
    assert_eq!(send(&broker).await, 1);
    assert_eq!(states(&broker).await, [DeliveryState::Delivered]);
}

/// A sender that stood still beyond its lease, and whose event another has since delivered,
/// changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_failure_does_not_undo_what_another_sender_delivered() {
    let hook = Hook::start(|_| Reply::Hang).await;
    let broker = broker_with(&hook).await;
    upload(&broker, "7", 1).await;
    let slow = crate::Receiver::new(putgate::webhook::Settings {
        patience: Duration::from_millis(300),
        ..hook.settings()
    });
    let slow_event = {
        let app = broker.app.clone();
        let sender = tokio::spawn(async move { deliver::deliver(&app).await });
        hook.wait_for(1).await;
        sender.abort();
        outbox(&broker).await[0].clone()
    };
    broker.advance(LEASE.0);
    hook.answers(|_| Reply::Status(200));
    assert_eq!(send(&broker).await, 1);
    hook.answers(|_| Reply::Hang);
    // Its word comes now.
    let (receiver, db) = (slow.unwrap(), &broker.app.db);
    let answer = receiver
        .send(slow_event.id, &slow_event.body, broker.clock.now())
        .await;
    let footprint = putgate::domain::books::Footprint {
        events: vec![slow_event.id],
        ..Default::default()
    };
    let settled = db
        .write(footprint, move |books, now| {
            putgate::domain::ledger::settle(books, now, &slow_event, &answer)
        })
        .await
        .unwrap();
    assert_eq!(settled, None);
    assert_eq!(states(&broker).await, [DeliveryState::Delivered]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_sends_a_dead_event_again_with_all_its_tries() {
    let hook = Hook::start(|_| Reply::Status(410)).await;
    let broker = broker_with(&hook).await;
    upload(&broker, "7", 1).await;
    send(&broker).await;
    let id = outbox(&broker).await[0].id;
    hook.answers(|_| Reply::Status(500));
    let replay = || deliver::replay(&broker.app.db, id);
    assert_eq!(replay().await.unwrap(), Replayed::Due);
    assert_eq!(send(&broker).await, 1);
    let event = outbox(&broker).await[0].delivery.clone();
    assert_eq!((event.state, event.tries), (DeliveryState::Pending, 1));
    // One that waits is hurried, one that was delivered goes once more.
    hook.answers(|_| Reply::Status(200));
    for _ in 0..2 {
        assert_eq!(replay().await.unwrap(), Replayed::Due);
        assert_eq!(send(&broker).await, 1);
        assert_eq!(states(&broker).await, [DeliveryState::Delivered]);
    }
    let seen = hook.seen();
    assert!(seen.len() == 4 && seen.iter().all(|seen| seen.id() == id.to_string()));
    let unknown = deliver::replay(&broker.app.db, putgate::domain::name::Id::nil()).await;
    assert_eq!(unknown.unwrap(), Replayed::Unknown);
}
