//! Files that come in several requests, each with a `Content-Range`.

use axum::body::Body;
use putgate::devstore::{Fault, Op};
use serde_json::{Value, json};

use crate::common::{HTML, TestBroker};
use crate::{
    Part, Reply, ask, broker, files, form, in_pieces, nothing_is_left, patterned, place, posting,
    send, stored, token,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A request with the bytes `from..to` of a file.
async fn chunk(broker: &TestBroker, at: &str, bytes: &[u8], from: usize, to: usize) -> Reply {
    let part = [Part(
        "files[]",
        Some(("c d.bin", "application/octet-stream")),
        &bytes[from..to],
    )];
    let body = form(&part);
    let request = posting(at)
        .header("content-length", body.len())
        .header("content-disposition", "attachment; filename=\"c%20d.bin\"")
        .header(
            "content-range",
            format!("bytes {from}-{}/{}", to - 1, bytes.len()),
        );
    send(broker, request.body(in_pieces(body, 50_000)).unwrap()).await
}

async fn arrived(broker: &TestBroker, at: &str) -> Value {
    let path = format!("{at}?file=c%20d.bin");
    ask(broker, "GET", &path).await.json()["file"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_any_size_become_one_file() {
    for (total, size) in [
        (12 * MIB + 345, 400_000),
        (12 * MIB + 345, 5 * MIB),
        (11 * MIB, 7 * MIB + 1),
        (10 * MIB, 2 * MIB),
        (10 * MIB, 10 * MIB),
        (200_000, 100_000),
    ] {
        let broker = broker().await;
        let at = place("raw", &token(&broker), "form");
        let bytes = patterned(total);
        let mut from = 0;
        while from < total {
            let to = total.min(from + size);
            let reply = chunk(&broker, &at, &bytes, from, to).await;
            let row = &files(&reply)[0];
            assert_eq!(row.get("error"), None, "{total} by {size} at {from}: {row}");
            if to < total {
                assert_eq!(reply.header("range"), format!("0-{}", to - 1));
                assert_eq!(row["size"], to);
                assert_eq!(
                    arrived(&broker, &at).await,
                    json!({"name": "c d.bin", "size": to})
                );
            } else {
                assert_eq!(row["size"], total);
                assert!(stored(&broker, &row["id"]) == bytes, "{total} by {size}");
            }
            from = to;
        }
        assert_eq!(arrived(&broker, &at).await, Value::Null);
        nothing_is_left(&broker).await;
        broker.assert_lawful().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_comes_again_or_overlaps_is_taken_once() {
    let broker = broker().await;
    let at = place("raw", &token(&broker), "form");
    let bytes = patterned(8 * MIB);
    for (from, to) in [
        (0, MIB),
        (MIB, 3 * MIB),
        (MIB, 3 * MIB),
        (2 * MIB, 6 * MIB),
        (5 * MIB, 7 * MIB),
    ] {
        let reply = chunk(&broker, &at, &bytes, from, to).await;
        assert_eq!(reply.header("range"), format!("0-{}", to - 1));
    }
    let reply = chunk(&broker, &at, &bytes, 7 * MIB, 8 * MIB).await;
    assert!(stored(&broker, &files(&reply)[0]["id"]) == bytes);
    nothing_is_left(&broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_brings_hardly_anything_new_becomes_no_object() {
    let broker = broker().await;
    let at = place("raw", &token(&broker), "form");
    let bytes = patterned(4 * MIB);
    chunk(&broker, &at, &bytes, 0, MIB).await;
    let early = MIB / 2;
    for more in [1, 64 * KIB - 1] {
        let row = files(&chunk(&broker, &at, &bytes, early, MIB + more).await)[0].clone();
        let words = row["error"].as_str().unwrap_or_default();
        assert!(words.contains("1048576 bytes have arrived"), "{row}");
    }
    assert_eq!(broker.objects("staging").len(), 1);
    let end = MIB + 64 * KIB;
    // Enough is new, then nothing.
    for _ in 0..2 {
        let reply = chunk(&broker, &at, &bytes, early, end).await;
        assert_eq!(reply.header("range"), format!("0-{}", end - 1));
        assert_eq!(broker.objects("staging").len(), 2);
    }
    // The last brings what is left.
    chunk(&broker, &at, &bytes, end, 4 * MIB - 1).await;
    let reply = chunk(&broker, &at, &bytes, early, 4 * MIB).await;
    assert!(stored(&broker, &files(&reply)[0]["id"]) == bytes);
    nothing_is_left(&broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_broke_off_just_behind_a_part_is_taken_when_it_comes_again() {
    let broker = broker().await;
    let at = place("raw", &token(&broker), "form");
    let bytes = patterned(14 * MIB);
    let (from, to) = (4 * MIB, 10 * MIB + 60_000);
    chunk(&broker, &at, &bytes, 0, from).await;
    let part = [Part(
        "files[]",
        Some(("c d.bin", "application/octet-stream")),
        &bytes[from..to],
    )];
    let mut body = form(&part);
    body.truncate(body.len() - 30_000);
    let range = format!("bytes {from}-{}/{}", to - 1, bytes.len());
    let request = posting(&at).header("content-range", range);
    let reply = send(&broker, request.body(in_pieces(body, 50_000)).unwrap()).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert_eq!(arrived(&broker, &at).await["size"], 10 * MIB);
    let reply = chunk(&broker, &at, &bytes, from, to).await;
    assert_eq!(reply.header("range"), format!("0-{}", to - 1));
    let reply = chunk(&broker, &at, &bytes, to, bytes.len()).await;
    assert!(stored(&broker, &files(&reply)[0]["id"]) == bytes);
    nothing_is_left(&broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_after_a_gap_is_refused_and_says_where_to_go_on() {
    let broker = broker().await;
    let at = place("raw", &token(&broker), "form");
    let bytes = patterned(2 * MIB);
    let early = files(&chunk(&broker, &at, &bytes, MIB, 2 * MIB).await)[0].clone();
    assert_eq!(early["code"], "invalid-request", "{early}");
    chunk(&broker, &at, &bytes, 0, MIB / 2).await;
    let far = files(&chunk(&broker, &at, &bytes, MIB, 2 * MIB).await)[0].clone();
    assert!(
        far["error"]
            .as_str()
            .unwrap()
            .contains("524288 bytes have arrived"),
        "{far}"
    );
    let reply = chunk(&broker, &at, &bytes, MIB / 2, 2 * MIB).await;
    assert!(stored(&broker, &files(&reply)[0]["id"]) == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_breaks_off_is_sent_again_from_where_it_is() {
    let broker = broker().await;
    let at = place("raw", &token(&broker), "form");
    let bytes = patterned(14 * MIB);
    chunk(&broker, &at, &bytes, 0, MIB).await;
    // Eleven of thirteen MiB arrive, and two whole parts are among all twelve.
    let part = [Part(
        "files[]",
        Some(("c d.bin", "application/octet-stream")),
        &bytes[MIB..],
    )];
    let mut body = form(&part);
    body.truncate(11 * MIB);
    let request = posting(&at).header(
        "content-range",
        format!("bytes {MIB}-{}/{}", bytes.len() - 1, bytes.len()),
    );
    let reply = send(&broker, request.body(in_pieces(body, 50_000)).unwrap()).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    let size = usize::try_from(arrived(&broker, &at).await["size"].as_u64().unwrap()).unwrap();
    assert_eq!(size, 10 * MIB);
    let reply = chunk(&broker, &at, &bytes, size, bytes.len()).await;
    assert!(stored(&broker, &files(&reply)[0]["id"]) == bytes);
    nothing_is_left(&broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_chunk_again_begins_the_file_anew() {
    let broker = broker().await;
    let at = place("raw", &token(&broker), "form");
    let old = vec![b'a'; 7 * MIB];
    let new = vec![b'b'; 7 * MIB];
    chunk(&broker, &at, &old, 0, 6 * MIB).await;
    chunk(&broker, &at, &new, 0, MIB).await;
    assert_eq!(arrived(&broker, &at).await["size"], MIB);
    let reply = chunk(&broker, &at, &new, MIB, 7 * MIB).await;
    assert!(stored(&broker, &files(&reply)[0]["id"]) == new);
    nothing_is_left(&broker).await;
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_chunk_sent_many_times_at_once_is_in_the_file_once() {
    let broker = broker().await;
    let at = place("raw", &token(&broker), "form");
    let bytes = patterned(9 * MIB);
    chunk(&broker, &at, &bytes, 0, 3 * MIB).await;
    let same = (0..4).map(|_| chunk(&broker, &at, &bytes, 3 * MIB, 8 * MIB));
    for reply in futures_util::future::join_all(same).await {
        assert_eq!(reply.header("range"), format!("0-{}", 8 * MIB - 1));
    }
    let reply = chunk(&broker, &at, &bytes, 8 * MIB, 9 * MIB).await;
    assert!(stored(&broker, &files(&reply)[0]["id"]) == bytes);
    nothing_is_left(&broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_or_of_senseless_ranges_takes_no_room() {
    let broker = broker().await;
    let at = place("raw", &token(&broker), "form");
    let large = patterned(30 * MIB + 1);
    let refused = files(&chunk(&broker, &at, &large, 0, MIB).await)[0].clone();
    assert_eq!(refused["error"], "File is too big");
    let tiny = files(&chunk(&broker, &at, &patterned(MIB), 0, 1000).await)[0].clone();
    assert!(
        tiny["error"]
            .as_str()
            .unwrap()
            .contains("at least 65536 bytes"),
        "{tiny}"
    );
    let body = form(&[Part("f", Some(("c d.bin", "a/b")), b"12345")]);
    for range in ["bytes 0-5/4", "bytes 0-4/*", "lines 0-4/5"] {
        let request = posting(&at).header("content-range", range);
        let reply = send(&broker, request.body(Body::from(body.clone())).unwrap()).await;
        assert_eq!(reply.status, 400, "{range}: {reply:?}");
    }
    nothing_is_left(&broker).await;
    for range in ["bytes 0-3/4", "bytes 0-5/6"] {
        let request = posting(&at).header("content-range", range);
        let reply = send(&broker, request.body(Body::from(body.clone())).unwrap()).await;
        assert_eq!(files(&reply)[0]["code"], "invalid-request", "{range}");
    }
    assert_eq!(broker.objects("files"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_file_ends_with_its_ticket_and_leaves_nothing() {
    let broker = broker().await;
    let at = place("raw", &token(&broker), "form");
    let bytes = patterned(9 * MIB);
    chunk(&broker, &at, &bytes, 0, 8 * MIB).await;
    assert_eq!(
        broker.objects("staging").len(),
        1,
        "the piece after the part"
    );
    assert_eq!(broker.store.unfinished("staging"), 1);
    broker.sweep().await;
    assert_eq!(broker.store.unfinished("staging"), 1, "it may go on");
    broker.advance(24 * 3600 + 301);
    broker.sweep().await;
    nothing_is_left(&broker).await;
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verdict_comes_with_the_last_chunk() {
    let broker = broker().await;
    let at = place("pictures", &token(&broker), "form");
    let mut page = HTML.to_vec();
    page.resize(200_000, b' ');
    let send_part = async |from: usize, to: usize| {
        let body = form(&[Part(
            "files[]",
            Some(("x.png", "image/png")),
            &page[from..to],
        )]);
        let request =
            posting(&at).header("content-range", format!("bytes {from}-{}/200000", to - 1));
        send(&broker, request.body(Body::from(body)).unwrap()).await
    };
    assert_eq!(files(&send_part(0, 100_000).await)[0].get("error"), None);
    let last = files(&send_part(100_000, 200_000).await)[0].clone();
    assert_eq!(
        (&last["error"], &last["reason"]),
        (&json!("Filetype not allowed"), &json!("active-content"))
    );
    nothing_is_left(&broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_only_read_adds_nothing_to_a_file() {
    let broker = broker().await;
    let at = place("raw", &token(&broker), "form");
    let bytes = patterned(2 * MIB);
    chunk(&broker, &at, &bytes, 0, MIB).await;
    let reader = broker.token_with(json!({"sub": "7", "scope": "read"}));
    let reader = place("raw", &reader, "form");
    let refused = files(&chunk(&broker, &reader, &bytes, MIB, 2 * MIB).await)[0].clone();
    assert_eq!(refused["code"], "forbidden", "{refused}");
    assert_eq!(
        ask(&broker, "GET", &format!("{reader}?file=c%20d.bin"))
            .await
            .status,
        403
    );
    assert_eq!(arrived(&broker, &at).await["size"], MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_chunk_whose_answer_was_lost_is_answered_again_from_what_is_there() {
    let broker = broker().await;
    let at = place("raw", &token(&broker), "form");
    let bytes = patterned(9 * MIB);
    chunk(&broker, &at, &bytes, 0, 8 * MIB).await;
    // The file is put together, and then the store is away: nobody can judge it.
    broker
        .store
        .faults()
        .always(Op::GetObject, Fault::ErrorBefore(503));
    let reply = chunk(&broker, &at, &bytes, 8 * MIB, 9 * MIB).await;
    assert_eq!(files(&reply)[0]["code"], "storage-unavailable", "{reply:?}");
    broker.store.faults().clear();
    let reply = chunk(&broker, &at, &bytes, 8 * MIB, 9 * MIB).await;
    assert!(
        stored(&broker, &files(&reply)[0]["id"]) == bytes,
        "{reply:?}"
    );
    nothing_is_left(&broker).await;
}
