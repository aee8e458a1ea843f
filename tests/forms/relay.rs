//! Clients that are slow, large, too many, or gone; and processes that are.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use putgate::devstore::{Fault, Op};
use putgate::flow::relay::{Limits, Relays};
use serde_json::json;

use tokio::io::AsyncWriteExt;

use crate::common::{TestBroker, png};
use crate::process::Site;
use crate::{
    BOUNDARY, Part, broker, file, files, form, in_pieces, nothing_is_left, patterned, place, post,
    posting, send, stored, token, usage,
};

const MIB: usize = 1024 * 1024;

/// The head of a form with one file, whose bytes follow.
fn head() -> Bytes {
    let whole = form(&[Part("f", Some(("a.bin", "application/octet-stream")), b"")]);
    let length = whole.len() - format!("\r\n--{BOUNDARY}--\r\n").len();
    Bytes::from(whole).slice(..length)
}

/// A form that begins with so many MiB of a file and never goes on.
fn stalled(megabytes: usize) -> Body {
    let begun = std::iter::once(head())
        .chain(std::iter::repeat_n(Bytes::from(vec![7; MIB]), megabytes))
        .map(Ok::<_, Infallible>);
    Body::from_stream(stream::iter(begun).chain(stream::pending()))
}

/// Waits until the broker's store has seen so many calls of a kind.
async fn until(broker: &TestBroker, op: Op, count: usize) {
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while broker.store.faults().count(op) < count {
        assert!(std::time::Instant::now() < deadline, "no {op:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn limits(broker: &TestBroker, at_once: usize, patience: Duration) {
    set(
        broker,
        Limits {
            at_once,
            each: at_once,
            patience,
            ..Limits::default()
        },
    );
}

fn set(broker: &TestBroker, limits: Limits) {
    broker.app.relays.set(Relays::new(limits)).unwrap();
}

/// Waits until an owner has so many open tickets in a slot.
async fn until_open(broker: &TestBroker, slot: &str, count: usize) {
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    let begin = format!("{count} ");
    while !usage(broker, slot)
        .await
        .iter()
        .any(|line| line.starts_with(&begin))
    {
        assert!(std::time::Instant::now() < deadline, "never {count} open");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A body that begins so, and goes on with this again and again, twice in a hundredth of a
/// second.
fn trickling(begun: String, again: &'static str) -> Body {
    let begun = stream::iter([Bytes::from(begun)]);
    let rest = stream::repeat(Bytes::from(again)).then(async |bytes| {
        tokio::time::sleep(Duration::from_millis(5)).await;
        bytes
    });
    Body::from_stream(begun.chain(rest).map(Ok::<_, Infallible>))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_many_parts_arrives_as_it_was() {
    let broker = broker().await;
    for size in [5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 10 * MIB, 17 * MIB + 3] {
        let bytes = patterned(size);
        let part = [Part(
            "f",
            Some(("a.bin", "application/octet-stream")),
            &bytes,
        )];
        let reply = post(&broker, &place("raw", &token(&broker), "form"), &part).await;
        let row = &files(&reply)[0];
        assert!(stored(&broker, &row["id"]) == bytes, "{size}: {row}");
        let path = format!(
            "{}/{}",
            place("raw", &token(&broker), "form"),
            row["id"].as_str().unwrap()
        );
        assert_eq!(crate::ask(&broker, "DELETE", &path).await.status, 200);
    }
    nothing_is_left(&broker).await;
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_reserves_what_its_request_can_hold_and_is_settled_to_its_size() {
    let broker = broker().await;
    let picture = png(1);
    let path = place("raw", &token(&broker), "form");
    let request = posting(&path).header("content-length", 9 * MIB);
    let router = broker.router.clone();
    let running = tokio::spawn(tower::ServiceExt::oneshot(
        router,
        request.body(stalled(6)).unwrap(),
    ));
    until(&broker, Op::UploadPart, 1).await;
    let held = usage(&broker, "raw").await;
    let reserved: usize = held[0].split(' ').nth(2).unwrap().parse().unwrap();
    assert!((8 * MIB..=9 * MIB).contains(&reserved), "{held:?}");
    running.abort();
    nothing_is_left(&broker).await;
    let request = posting(&path);
    let running = tokio::spawn(tower::ServiceExt::oneshot(
        broker.router.clone(),
        request.body(stalled(6)).unwrap(),
    ));
    until(&broker, Op::UploadPart, 2).await;
    assert_eq!(usage(&broker, "raw").await, [format!("1 0 {} 0", 30 * MIB)]);
    // Two such reservations are more than the quota, and say so at once.
    let unsized_form = form(&[file("a.png", &picture)]);
    let request = posting(&path).body(in_pieces(unsized_form, 1000));
    let reply = send(&broker, request.unwrap()).await;
    assert_eq!(files(&reply)[0]["code"], "quota-exceeded");
    let reply = post(&broker, &path, &[file("a.png", &picture)]).await;
    assert_eq!(
        files(&reply)[0].get("error"),
        None,
        "it can be told how small this one is"
    );
    running.abort();
    nothing_is_left(&broker).await;
    assert_eq!(
        usage(&broker, "raw").await,
        [format!("0 1 0 {}", picture.len())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_stops_at_the_slots_maximum_and_the_ticket_is_cancelled() {
    let broker = broker().await;
    // An endless file: nobody can read it to its end.
    let endless = stream::iter([head()])
        .chain(stream::repeat(Bytes::from(vec![7; 256 * 1024])))
        .map(Ok::<_, Infallible>);
    let request = posting(&place("raw", &token(&broker), "form"));
    let request = request.body(Body::from_stream(endless)).unwrap();
    let reply = tokio::time::timeout(Duration::from_mins(1), send(&broker, request));
    let reply = reply.await.unwrap();
    assert_eq!(files(&reply)[0]["error"], "File is too big");
    assert_eq!(reply.header("connection"), "close");
    nothing_is_left(&broker).await;
    let parts = broker.store.faults().count(Op::UploadPart);
    assert!(parts <= 6, "{parts} parts of 5 MiB for a slot of 30 MiB");
    let sql = "SELECT state || ' ' || dialect FROM tickets";
    assert_eq!(
        broker.database.hand().await.lines(sql).await,
        ["cancelled form"]
    );
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_nothing_wherever_it_does() {
    let broker = broker().await;
    let path = place("raw", &token(&broker), "form");
    for megabytes in [0, 1, 6, 11] {
        let body = stream::iter([head()])
            .chain(stream::iter(vec![Bytes::from(vec![7; MIB]); megabytes]))
            .map(Ok::<_, std::io::Error>)
            .chain(stream::iter([Err(
                std::io::ErrorKind::ConnectionReset.into()
            )]));
        let request = posting(&path).body(Body::from_stream(body));
        let reply = send(&broker, request.unwrap()).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        nothing_is_left(&broker).await;
    }
    // The connection's end drops the handler itself.
    let uploads = broker.store.faults().count(Op::UploadPart);
    let request = posting(&path).body(stalled(6)).unwrap();
    let handler = tokio::spawn(tower::ServiceExt::oneshot(broker.router.clone(), request));
    until(&broker, Op::UploadPart, uploads + 1).await;
    handler.abort();
    nothing_is_left(&broker).await;
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_nothing_for_too_long_is_cut_and_frees_its_room() {
    let broker = broker().await;
    limits(&broker, 16, Duration::from_millis(300));
    let request = posting(&place("raw", &token(&broker), "form"));
    let reply = send(&broker, request.body(stalled(6)).unwrap()).await;
    assert_eq!(reply.status, 408, "{reply:?}");
    nothing_is_left(&broker).await;
    assert!(usage(&broker, "raw").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_too_little_is_cut_whatever_it_sends() {
    const HEAD: &str = "------WebKitFormBoundaryE19zNvXGzXaLvS5C\r\n\
        Content-Disposition: form-data; name=\"note\"";
    const FIELD: &str = "\r\n------WebKitFormBoundaryE19zNvXGzXaLvS5C\r\n\
        Content-Disposition: form-data; name=\"note\"\r\n\r\nx";
    for (begun, again) in [
        // One value, one head, many fields, one file: none of them silent, none at an end.
        ("\r\n\r\n", "a value "),
        ("\r\nX-Note: ", "head"),
        ("\r\n\r\n", FIELD),
        ("; filename=\"a\"\r\n\r\n", "a file "),
    ] {
        let broker = broker().await;
        let (patience, minute) = (Duration::from_secs(1), Duration::from_millis(200));
        set(
            &broker,
            Limits {
                patience,
                minute,
                ..Limits::default()
            },
        );
        let request = posting(&place("raw", &token(&broker), "form"));
        let begun = format!("{HEAD}{begun}");
        let request = request.body(trickling(begun, again)).unwrap();
        let reply = send(&broker, request).await;
        assert_eq!(reply.status, 408, "{again}: {reply:?}");
        nothing_is_left(&broker).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_not_cut_for_the_time_that_the_server_takes() {
    let broker = broker().await;
    let minute = Duration::from_secs(1);
    set(
        &broker,
        Limits {
            minute,
            ..Limits::default()
        },
    );
    let delay = Fault::Delay(minute + Duration::from_millis(100));
    broker.store.faults().always(Op::PutObject, delay);
    let (one, two) = (png(1), png(2));
    let files_of = [file("a.png", &one), file("b.png", &two)];
    let reply = post(&broker, &place("raw", &token(&broker), "form"), &files_of).await;
    let rows = files(&reply);
    assert_eq!(stored(&broker, &rows[0]["id"]), one);
    assert_eq!(stored(&broker, &rows[1]["id"]), two);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_owner_leaves_places_to_the_others() {
    let broker = broker().await;
    let Limits { at_once, each, .. } = Limits::default();
    assert!(each * 2 <= at_once, "one alone keeps nobody out");
    let path = place("raw", &token(&broker), "form");
    let begin = || {
        let request = posting(&path).header("content-length", 100_000);
        let request = request.body(stalled(0)).unwrap();
        tokio::spawn(tower::ServiceExt::oneshot(broker.router.clone(), request))
    };
    let running: Vec<_> = (0..each).map(|_| begin()).collect();
    until_open(&broker, "raw", each).await;
    let picture = png(1);
    let reply = post(&broker, &path, &[file("a.png", &picture)]).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "5"));
    assert_eq!(reply.json()["code"], "busy");
    for other in [
        json!({"sub": "8", "scope": "upload read"}),
        json!({"sub": "7", "tenant": "acme", "scope": "upload read"}),
    ] {
        let at = place("raw", &broker.token_with(other), "form");
        let reply = post(&broker, &at, &[file("a.png", &picture)]).await;
        assert_eq!(stored(&broker, &files(&reply)[0]["id"]), picture);
    }
    for handler in running {
        handler.abort();
    }
    nothing_is_left(&broker).await;
    let reply = post(&broker, &path, &[file("a.png", &picture)]).await;
    assert_eq!(stored(&broker, &files(&reply)[0]["id"]), picture);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_files_as_there_are_places_are_relayed_and_the_next_is_told_to_come_back() {
    let broker = broker().await;
    limits(&broker, 2, Duration::from_mins(1));
    let path = place("raw", &token(&broker), "form");
    let running: Vec<_> = (0..2)
        .map(|_| {
            let request = posting(&path).header("content-length", 7 * MIB);
            let request = request.body(stalled(6)).unwrap();
            tokio::spawn(tower::ServiceExt::oneshot(broker.router.clone(), request))
        })
        .collect();
    until(&broker, Op::UploadPart, 2).await;
    let picture = png(1);
    let reply = post(&broker, &path, &[file("a.png", &picture)]).await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(reply.header("retry-after"), "5");
    assert_eq!(reply.json()["code"], "busy");
    for handler in running {
        handler.abort();
    }
    nothing_is_left(&broker).await;
    let reply = post(&broker, &path, &[file("a.png", &picture)]).await;
    assert_eq!(stored(&broker, &files(&reply)[0]["id"]), picture);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_once_is_asked_again_and_one_that_stays_away_frees_the_room() {
    let broker = broker().await;
    let path = place("raw", &token(&broker), "form");
    let bytes = patterned(11 * MIB);
    let part = [Part(
        "f",
        Some(("a.bin", "application/octet-stream")),
        &bytes,
    )];
    for op in [Op::UploadPart, Op::CompleteMultipart] {
        broker.store.faults().next(op, Fault::ErrorBefore(503));
        let reply = post(&broker, &path, &part).await;
        let row = files(&reply)[0].clone();
        if op == Op::UploadPart {
            assert!(stored(&broker, &row["id"]) == bytes, "{row}");
        } else {
            assert_eq!(row["code"], "storage-unavailable", "{row}");
        }
    }
    broker
        .store
        .faults()
        .next(Op::CompleteMultipart, Fault::LostAnswer);
    let reply = post(&broker, &path, &part).await;
    assert!(
        stored(&broker, &files(&reply)[0]["id"]) == bytes,
        "{reply:?}"
    );
    broker
        .store
        .faults()
        .always(Op::UploadPart, Fault::ErrorBefore(503));
    let reply = post(&broker, &path, &part).await;
    assert_eq!(files(&reply)[0]["code"], "storage-unavailable");
    broker.store.faults().clear();
    nothing_is_left(&broker).await;
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_cancelled_meanwhile_is_not_committed() {
    let broker = broker().await;
    let token = token(&broker);
    let (release, held) = tokio::sync::oneshot::channel::<()>();
    let end = Bytes::from(format!("\r\n--{BOUNDARY}--\r\n"));
    let body = stream::iter([head(), Bytes::from(vec![7; 6 * MIB])])
        .chain(stream::once(async {
            held.await.unwrap();
            end
        }))
        .map(Ok::<_, Infallible>);
    let request = posting(&place("raw", &token, "form"));
    let request = request.body(Body::from_stream(body)).unwrap();
    let router = broker.router.clone();
    let running = tokio::spawn(tower::ServiceExt::oneshot(router, request));
    until(&broker, Op::UploadPart, 1).await;
    let open = broker
        .call("GET", "/v1/tickets?state=open", &token, None)
        .await;
    let path = format!(
        "/v1/tickets/{}",
        open.body["tickets"][0]["id"].as_str().unwrap()
    );
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    release.send(()).unwrap();
    running.await.unwrap().unwrap();
    nothing_is_left(&broker).await;
    assert_eq!(broker.objects("files"), []);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_outlives_its_tickets_life_renews_it() {
    let broker = broker().await;
    let token = token(&broker);
    let (more, held) = tokio::sync::oneshot::channel::<()>();
    let end = Bytes::from(format!("\r\n--{BOUNDARY}--\r\n"));
    let body = stream::iter([head(), Bytes::from(vec![7; 6 * MIB])])
        .chain(stream::once(async {
            held.await.unwrap();
            Bytes::from(vec![8; 10 * MIB])
        }))
        .chain(stream::iter([end]))
        .map(Ok::<_, Infallible>);
    let request = posting(&place("raw", &token, "form"));
    let request = request.body(Body::from_stream(body)).unwrap();
    let router = broker.router.clone();
    let running = tokio::spawn(tower::ServiceExt::oneshot(router, request));
    until(&broker, Op::UploadPart, 1).await;
    broker.advance(250);
    broker.sweep().await;
    more.send(()).unwrap();
    let answer = running.await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    let sql = "SELECT state || ' ' || (expires_at - created_at > 300000) FROM tickets";
    let renewed = broker.database.hand().await.lines(sql).await;
    assert!(
        ["committed 1", "committed true"].contains(&renewed[0].as_str()),
        "{renewed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_was_relaying_is_freed_by_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = crate::common::devstore(dir.path()).await;
    let site = Site::new(dir, &store.url());
    site.write("[slots.raw]\nmax_file_size = \"30MiB\"\ndialects = [\"form\"]\n");
    let server = site.serve();
    let token = site.token("7");
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let request = format!(
        "POST /u/raw/{token}/form HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\
         content-type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n",
        20 * MIB
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(&head()).await.unwrap();
    stream.write_all(&vec![7; 6 * MIB]).await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while store.faults().count(Op::UploadPart) == 0 {
        assert!(std::time::Instant::now() < deadline, "{}", server.log());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    server.killer().kill();
    assert_eq!(store.unfinished("staging"), 1);
    // The worker of the next process, ten minutes later: by its own clock and the database's.
    let app = crate::common::app_on(&site.database, &store.url(), 610).await;
    let swept = putgate::worker::run_once(&app).await.unwrap();
    assert_eq!(swept.closed, 1, "{swept:?}");
    assert_eq!(store.unfinished("staging"), 0);
    assert_eq!(store.objects("staging"), []);
    let lines = site
        .database
        .hand()
        .await
        .lines("SELECT state || '' FROM tickets")
        .await;
    assert_eq!(lines, ["expired"]);
    let sql = "SELECT '' || coalesce(sum(reserved), 0) FROM usage";
    assert_eq!(site.database.hand().await.lines(sql).await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_token_is_not_read() {
    let broker = broker().await;
    let request = Request::post("/u/raw/-/form").header(
        "content-type",
        format!("multipart/form-data; boundary={BOUNDARY}"),
    );
    let reply = send(&broker, request.body(stalled(1)).unwrap()).await;
    assert_eq!(reply.status, 401);
    let read_only = broker.token_with(json!({"sub": "7", "scope": "read"}));
    let picture = png(1);
    let reply = post(
        &broker,
        &place("raw", &read_only, "form"),
        &[file("a", &picture)],
    )
    .await;
    assert_eq!(files(&reply)[0]["code"], "forbidden");
}
