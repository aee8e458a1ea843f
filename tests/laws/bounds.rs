//! Laws 4 and 8: how much may be held, and how much is read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use putgate::domain::file::EndReason;
use putgate::domain::ticket::State;
use putgate::domain::time::Seconds;
use putgate::flow::{self, App, Outcome};
use putgate::store::Store;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{TestBroker, png, store_settings};
use crate::stage::{WIDE, assert_settled, code, id, padded, row, state};

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_concurrent_mints_for_one_place_exactly_one_wins() {
    let broker = Arc::new(TestBroker::start().await);
    let token = broker.token("7");
    let mints: Vec<_> = (0..10_000)
        .map(|_| {
            let (broker, token) = (broker.clone(), token.clone());
            tokio::spawn(async move {
                let body = json!({"slot": "single", "files": [{"name": "a.png", "size": 1000}]});
                // On a busy machine some wait longer than the queue's patience, are told so
                // and ask again. Nothing of theirs was written.
                let deadline = Instant::now() + Duration::from_mins(4);
                loop {
                    let ask = broker.call("POST", "/v1/tickets", &token, Some(body.clone()));
                    let answer = ask.await;
                    if answer.status != 503 || Instant::now() > deadline {
                        return (answer.status, code(&answer));
                    }
                }
            })
        })
        .collect();
    let mut answers: BTreeMap<_, usize> = BTreeMap::new();
    for mint in mints {
        *answers.entry(mint.await.unwrap()).or_default() += 1;
    }
    let expected = [
        ((201, "201".to_owned()), 1),
        ((409, "slot-full".to_owned()), 9999),
    ];
    assert_eq!(answers, expected.into());
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_concurrent_uploads_to_a_slot_that_replaces_leave_one_file() {
    let broker = Arc::new(TestBroker::start().await);
    let token = broker.token("7");
    let uploads: Vec<_> = (0..30)
        .map(|seed| {
            let (broker, token) = (broker.clone(), token.clone());
            tokio::spawn(async move {
                let ticket = broker.mint(&token, "avatar", "me.png", &png(seed)).await;
                assert_eq!(broker.put(&ticket, &png(seed)).await, 200);
                let answer = broker.complete(&token, &ticket).await;
                let cancelled = answer.body["state"] == "cancelled";
                assert!(answer.status == 200 || cancelled, "{answer:?}");
                ticket
            })
        })
        .collect();
    let mut tickets = Vec::new();
    for upload in uploads {
        tickets.push(upload.await.unwrap());
    }
    broker.assert_lawful().await;
    // One after the other, the later one wins.
    for seed in [100, 101] {
        let answer = broker.upload(&token, "avatar", "me.png", &png(seed)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        tickets.push(answer.body);
    }
    let last = tickets.last().unwrap().clone();
    let replaced = &tickets[tickets.len() - 2];
    let tombstone = broker.app.db.file(id(replaced)).await.unwrap().unwrap();
    assert_eq!(tombstone.end_reason, Some(EndReason::Replaced));
    broker.sweep().await;
    let left = broker.objects("files");
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].0.contains(last["id"].as_str().unwrap()), "{left:?}");
    for ticket in &tickets {
        let events = broker.events(ticket).await;
        match state(&broker, ticket).await {
            State::Committed if ticket["id"] == last["id"] => {
                assert_eq!(events, ["ticket.committed"]);
            }
            State::Committed => {
                assert_eq!(events, ["ticket.committed", "file.deleted"]);
                let file = broker.app.db.file(id(ticket)).await.unwrap();
                assert!(file.is_none(), "its tombstone went with its bytes");
            }
            state => {
                assert_eq!(state, State::Cancelled);
                assert_eq!(events, ["ticket.cancelled"]);
            }
        }
    }
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_uploads_never_pass_a_quota() {
    let slots = r#"
[slots.narrow]
max_entries = 50
quota = "10KB"
"#;
    let broker = Arc::new(TestBroker::with_slots(slots).await);
    let token = broker.token("7");
    let uploads: Vec<_> = (0..40)
        .map(|_| {
            let (broker, token) = (broker.clone(), token.clone());
            tokio::spawn(async move {
                let bytes = vec![7; 1000];
                let body = json!({"slot": "narrow", "files": [{"name": "a", "size": 1000}]});
                let answer = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
                if answer.status != 201 {
                    return code(&answer);
                }
                let ticket = answer.body["tickets"][0].clone();
                assert_eq!(broker.put(&ticket, &bytes).await, 200);
                broker.complete(&token, &ticket).await.status.to_string()
            })
        })
        .collect();
    let mut answers: BTreeMap<_, usize> = BTreeMap::new();
    for upload in uploads {
        *answers.entry(upload.await.unwrap()).or_default() += 1;
    }
    let expected = [("200".to_owned(), 10), ("quota-exceeded".to_owned(), 30)];
    assert_eq!(answers, expected.into());
    broker.assert_lawful().await;
}

/// A wire to `to` that counts what comes back through it.
async fn counting(to: std::net::SocketAddr) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let counted = Arc::new(AtomicU64::new(0));
    let count = counted.clone();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let count = count.clone();
            let (mut from_near, mut to_near) = near.into_split();
            let far = TcpStream::connect(to).await.unwrap();
            let (mut from_far, mut to_far) = far.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_near, &mut to_far).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                while let Ok(n @ 1..) = from_far.read(&mut buffer).await {
                    count.fetch_add(n as u64, Ordering::SeqCst);
                    if to_near.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, counted)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_megabytes_the_broker_reads_its_two_heads_and_for_a_zip_two_tails() {
    const KIB: u64 = 1024;
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let (url, read) = counting(broker.store.addr()).await;
    let app = App::new(
        broker.app.db.clone(),
        Store::connect(store_settings(&url)).await.unwrap(),
        broker.clock.clone(),
        flow::Slots::clone(&broker.app.slots.load()),
        100,
        Seconds(24 * 3600),
    );
    let size = 50 * 1024 * 1024;
    let zip = padded(b"PK\x03\x04\x14\x00\x00\x00\x00\x00", size);
    for (bytes, most) in [(vec![7; size], 128 * KIB), (zip, 256 * KIB)] {
        let ticket = broker.mint(&token, "any", "a.bin", &bytes).await;
        assert_eq!(broker.put(&ticket, &bytes).await, 200);
        read.store(0, Ordering::SeqCst);
        let outcome = flow::attempt(&app, id(&ticket)).await;
        assert!(matches!(outcome, Outcome::Closed(_)), "{outcome:?}");
        let came = read.load(Ordering::SeqCst);
        // The answers' heads, and the copy's and the deletion's, come on top.
        assert!(came <= most + 8 * KIB, "{came} bytes");
        assert_ne!(row(&broker, &ticket).await.state, State::Open);
        assert_settled(&broker, &ticket).await;
    }
}
