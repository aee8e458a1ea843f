//! Receivers that do not do as they should, and addresses where none should be.

use std::time::{Duration, Instant};

use putgate::domain::outbox::{Delivery, DeliveryState};
use putgate::webhook::{Receiver, Settings};

use crate::receiver::{Hook, Reply};
use crate::{broker_for, broker_with, outbox, send, upload};

/// What became of the one event of an upload.
async fn told(hook: &Hook, patience: Duration) -> Delivery {
    let receiver = Receiver::new(Settings {
        patience,
        ..hook.settings()
    });
    let broker = broker_for(receiver.unwrap()).await;
    upload(&broker, "7", 1).await;
    assert_eq!(send(&broker).await, 1);
    outbox(&broker).await[0].delivery.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_any_kind_is_named_and_tried_again() {
    for (reply, status, why) in [
        (Reply::Hang, None, "no answer within 300ms"),
        (
            Reply::HangUp,
            None,
            "connection closed before message completed",
        ),
        (Reply::Status(500), Some(500), "not a 2xx"),
        (Reply::Status(404), Some(404), "not a 2xx"),
    ] {
        let as_told = reply.clone();
        let hook = Hook::start(move |_| as_told.clone()).await;
        let delivery = told(&hook, Duration::from_millis(300)).await;
        assert_eq!(delivery.state, DeliveryState::Pending, "{reply:?}");
        assert_eq!(delivery.last_status, status, "{reply:?}");
        assert_eq!(delivery.last_error.as_deref(), Some(why), "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_tried_again() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let hook = Hook::content().await;
    let receiver = Receiver::new(Settings {
        url: format!("http://{address}/"),
        ..hook.settings()
    });
    let broker = broker_for(receiver.unwrap()).await;
    upload(&broker, "7", 1).await;
    send(&broker).await;
    let delivery = outbox(&broker).await[0].delivery.clone();
    let why = format!("no connection to {address}: connection refused");
    assert_eq!(delivery.last_error, Some(why));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let elsewhere = Hook::content().await;
    for status in [301, 302, 303, 307, 308] {
        let location = elsewhere.url();
        let hook = Hook::start(move |_| Reply::With(status, "location", location.clone())).await;
        let delivery = told(&hook, Duration::from_secs(10)).await;
        assert_eq!(
            (delivery.state, delivery.last_status),
            (DeliveryState::Pending, Some(status))
        );
        assert_eq!(hook.seen().len(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

/// The status is what counts; what follows is read no further than a few KiB and a second.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_cut_off() {
    for reply in [Reply::Flood, Reply::Trickle] {
        let as_told = reply.clone();
        let hook = Hook::start(move |_| as_told.clone()).await;
        let began = Instant::now();
        let delivery = told(&hook, Duration::from_secs(20)).await;
        assert_eq!(delivery.state, DeliveryState::Delivered, "{reply:?}");
        assert!(began.elapsed() < Duration::from_secs(15), "{reply:?}");
    }
}

/// Not by literal, not by a name that resolves there, not as IPv4 in IPv6: and nobody knocks.
#[tokio::test(flavor = "multi_thread")]
async fn without_leave_nothing_private_is_called() {
    let hook = Hook::content().await;
    let port = hook.address.port();
    for (host, why) in [
        ("127.0.0.1", "127.0.0.1 is this machine"),
        ("localhost", " is this machine"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1 is this machine"),
        ("169.254.169.254", "169.254.169.254 is link-local"),
    ] {
        let receiver = Receiver::new(Settings {
            url: format!("https://{host}:{port}/hook"),
            allow_private: false,
            ..hook.settings()
        });
        let broker = broker_for(receiver.unwrap()).await;
        upload(&broker, "7", 1).await;
        assert_eq!(send(&broker).await, 1);
        let delivery = outbox(&broker).await[0].delivery.clone();
        assert_eq!(delivery.state, DeliveryState::Pending);
        let said = delivery.last_error.unwrap();
        assert!(said.contains(why), "{host}: {said}");
    }
    assert_eq!(hook.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leave_nothing_goes_over_plain_http() {
    let hook = Hook::content().await;
    let receiver = Receiver::new(Settings {
        allow_private: false,
        ..hook.settings()
    });
    let broker = broker_for(receiver.unwrap()).await;
    upload(&broker, "7", 1).await;
    send(&broker).await;
    assert_eq!(hook.connections(), 0);
    assert_eq!(
        outbox(&broker).await[0].delivery.state,
        DeliveryState::Pending
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_keeps_no_other() {
    let hook = Hook::content().await;
    let broker = broker_with(&hook).await;
    upload(&broker, "7", 1).await;
    let unreadable = broker.database.id(outbox(&broker).await[0].id);
    broker.advance(1);
    upload(&broker, "8", 2).await;
    let tries = async |tries: i64| {
        let text = format!("UPDATE events SET tries = {tries} WHERE id = {unreadable}");
        broker.meddle(&text).await;
    };
    tries(-1).await;
    assert_eq!(send(&broker).await, 1);
    let db = &broker.app.db;
    let again = db.has_due_event(db.now(), None, u32::MAX).await.unwrap();
    assert!(!again, "it is not looked at again and again");
    // Somebody mends it.
    tries(0).await;
    broker.advance(600);
    assert_eq!(send(&broker).await, 1);
    assert_eq!(hook.seen().len(), 2);
}

/// TLS is spoken to whoever is there; a receiver that cannot prove its name gets nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_speak_tls_gets_nothing() {
    let hook = Hook::content().await;
    let receiver = Receiver::new(Settings {
        url: hook.url().replace("http:", "https:"),
        ..hook.settings()
    });
    let broker = broker_for(receiver.unwrap()).await;
    upload(&broker, "7", 1).await;
    send(&broker).await;
    assert_eq!(hook.seen().len(), 0);
    assert_eq!(outbox(&broker).await[0].delivery.last_status, None);
}

/// A stop lets what is under way end, for a moment, and takes nothing new.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_receiver_that_hangs() {
    let hook = Hook::start(|_| Reply::Hang).await;
    let broker = broker_with(&hook).await;
    upload(&broker, "7", 1).await;
    let app = broker.app.clone();
    let sender = tokio::spawn(async move { putgate::flow::deliver::deliver(&app).await });
    hook.wait_for(1).await;
    let began = Instant::now();
    broker.app.stop();
    sender.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(6));
    assert_eq!(outbox(&broker).await[0].delivery.tries, 1);
}
