//! Order per ticket or file, and that nobody waits for a stranger.

use std::collections::BTreeMap;
use std::time::Duration;

use putgate::domain::outbox::{DeliveryState, pause};
use putgate::domain::time::Seconds;
use putgate::flow::deliver;
use putgate::webhook::{Receiver, Settings};
use serde_json::json;

use crate::common::png;
use crate::receiver::{Hook, Reply, Seen};
use crate::{broker_for, broker_with, claim, delete, outbox, send, states, upload};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_waits_for_the_one_before_it_and_for_no_other() {
    let hook = Hook::content().await;
    let broker = broker_with(&hook).await;
    let stuck = upload(&broker, "7", 1).await;
    let stuck_id = stuck["id"].as_str().unwrap().to_owned();
    let about = stuck_id.clone();
    hook.answers(move |seen| Reply::Status(if seen.subject() == about { 500 } else { 200 }));
    claim(&broker, &stuck["file"], "7").await;
    upload(&broker, "8", 2).await;
    assert_eq!(send(&broker).await, 2);
    delete(&broker, &stuck["file"], "7").await;
    assert_eq!(
        send(&broker).await,
        0,
        "the claim and the end wait for the commit"
    );
    // The receiver recovers: all of it goes in one go, in order.
    hook.answers(|_| Reply::Status(200));
    hook.take();
    let first = outbox(&broker).await[0].id;
    broker.advance(pause(1, first).unwrap().0);
    assert_eq!(send(&broker).await, 3);
    let kinds: Vec<_> = hook.seen().iter().map(Seen::kind).collect();
    assert_eq!(kinds, ["ticket.committed", "file.claimed", "file.deleted"]);
    assert!(hook.seen().iter().all(|seen| seen.subject() == stuck_id));
    assert_eq!(states(&broker).await, [DeliveryState::Delivered; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_given_up_lets_the_next_one_go() {
    let hook = Hook::start(|seen| {
        Reply::Status(if seen.kind() == "ticket.committed" {
            500
        } else {
            200
        })
    })
    .await;
    let broker = broker_with(&hook).await;
    let ticket = upload(&broker, "7", 1).await;
    claim(&broker, &ticket["file"], "7").await;
    let first = outbox(&broker).await[0].id;
    for tries in 1..=10 {
        assert_eq!(
            hook.take()
                .iter()
                .filter(|s| s.kind() == "file.claimed")
                .count(),
            0
        );
        send(&broker).await;
        broker.advance(pause(tries, first).map_or(0, |pause| pause.0));
    }
    let kinds: Vec<_> = hook.take().iter().map(Seen::kind).collect();
    assert_eq!(kinds, ["ticket.committed", "file.claimed"]);
    let [dead, delivered] = states(&broker).await[..] else {
        panic!("two events")
    };
    assert_eq!(
        (dead, delivered),
        (DeliveryState::Dead, DeliveryState::Delivered)
    );
}

/// What waits behind an event that is replayed comes due with it, not hours later.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_brings_what_waits_behind_it() {
    let hook = Hook::start(|_| Reply::With(503, "retry-after", "3600".into())).await;
    let broker = broker_with(&hook).await;
    let ticket = upload(&broker, "7", 1).await;
    claim(&broker, &ticket["file"], "7").await;
    send(&broker).await;
    let rows = outbox(&broker).await;
    let turns: Vec<_> = rows.iter().map(|row| row.delivery.next_try_at).collect();
    assert_eq!(turns[0], turns[1], "it waits as long as the one before it");
    hook.answers(|_| Reply::Status(200));
    deliver::replay(&broker.app.db, rows[0].id).await.unwrap();
    assert_eq!(send(&broker).await, 2);
}

/// A file is claimed and deleted while its first event sits out a long pause: the poll does
/// not come across what may not go yet.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_born_behind_one_that_waits_waits_as_long() {
    let hook = Hook::start(|_| Reply::With(503, "retry-after", "3600".into())).await;
    let broker = broker_with(&hook).await;
    let ticket = upload(&broker, "7", 1).await;
    assert_eq!(send(&broker).await, 1);
    claim(&broker, &ticket["file"], "7").await;
    delete(&broker, &ticket["file"], "7").await;
    let rows = outbox(&broker).await;
    let turns: Vec<_> = rows.iter().map(|row| row.delivery.next_try_at).collect();
    assert_eq!(turns, [Some(broker.clock.now().plus(Seconds(3600))); 3]);
    hook.answers(|_| Reply::Status(200));
    broker.advance(3599);
    assert_eq!(send(&broker).await, 0);
    broker.advance(1);
    assert_eq!(send(&broker).await, 3);
    let kinds: Vec<_> = hook.seen()[1..].iter().map(Seen::kind).collect();
    assert_eq!(kinds, ["ticket.committed", "file.claimed", "file.deleted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_born_behind_settled_ones_goes_at_once() {
    let hook = Hook::content().await;
    let broker = broker_with(&hook).await;
    let ticket = upload(&broker, "7", 1).await;
    assert_eq!(send(&broker).await, 1);
    claim(&broker, &ticket["file"], "7").await;
    assert_eq!(send(&broker).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_senders_never_send_the_same_event_at_once() {
    let hook = Hook::content().await;
    let broker = broker_with(&hook).await;
    for owner in 0..12 {
        let ticket = upload(&broker, &format!("owner-{owner}"), owner).await;
        claim(&broker, &ticket["file"], &format!("owner-{owner}")).await;
    }
    let senders = (0..4).map(|_| deliver::deliver(&broker.app));
    let tried: usize = futures_util::future::join_all(senders)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    assert_eq!(tried, 24);
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for seen in hook.seen() {
        told.entry(seen.subject()).or_default().push(seen.kind());
    }
    assert_eq!(told.len(), 12);
    for (subject, kinds) in told {
        assert_eq!(kinds, ["ticket.committed", "file.claimed"], "{subject}");
    }
}

/// One tenant's events may all hang; the others' go meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_on_one_tenant_does_not_keep_the_others() {
    let hook = Hook::start(|seen| match seen.tenant().as_str() {
        "stuck" => Reply::Hang,
        _ => Reply::Status(200),
    })
    .await;
    let receiver = Receiver::new(Settings {
        patience: Duration::from_secs(20),
        ..hook.settings()
    });
    let broker = broker_for(receiver.unwrap()).await;
    let mint_and_cancel = async |tenant: &str, seed: u32| {
        let token = broker.token_with(json!({
            "sub": format!("{tenant}-{}", seed / 5), "tenant": tenant, "scope": "upload",
        }));
        let ticket = broker.mint(&token, "photos", "a.png", &png(seed)).await;
        let path = format!("/v1/tickets/{}", ticket["id"].as_str().unwrap());
        let gone = broker.call("DELETE", &path, &token, None).await;
        assert_eq!(gone.status, 204);
    };
    for seed in 0..40 {
        mint_and_cancel("stuck", seed).await;
    }
    broker.advance(1);
    for seed in 0..3 {
        mint_and_cancel("well", seed).await;
    }
    let app = broker.app.clone();
    let sender = tokio::spawn(async move { deliver::deliver(&app).await });
    hook.wait_for(24 + 3).await;
    let well = hook.seen().iter().filter(|s| s.tenant() == "well").count();
    assert_eq!(well, 3);
    // And one that is written while the others hang.
    mint_and_cancel("well", 3).await;
    hook.wait_for(24 + 4).await;
    assert_eq!(hook.seen().len(), 24 + 4);
    sender.abort();
}
