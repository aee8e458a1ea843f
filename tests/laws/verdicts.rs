//! Law 1: what counts is what was read at the final key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use putgate::devstore::Op;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::common::{self, HTML, TestBroker, png};
use crate::stage::{WIDE, assert_settled, etag, key, padded};

#[tokio::test(flavor = "multi_thread")]
async fn an_html_file_called_png_is_rejected_and_deleted() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "cat.png", HTML).await;
    assert_eq!(broker.put(&ticket, HTML).await, 200);
    let answer = broker.complete(&token, &ticket).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(answer.body["reason"], "active-content");
    assert_eq!(assert_settled(&broker, &ticket).await, None);
    assert_eq!(broker.objects("files"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_committed_and_served() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let bytes = png(1);
    let answer = broker.upload(&token, "photos", "cat.png", &bytes).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let url = answer.body["file"]["url"].as_str().unwrap().to_owned();
    let (status, _, body) = common::fetch("GET", &url, &[].into(), b"").await;
    assert_eq!((status, body), (200, bytes));
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_between_judging_and_copying_is_judged_anew_and_never_copied() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let bytes = png(1);
    let ticket = broker.mint(&token, "pictures", "cat.png", &bytes).await;
    assert_eq!(broker.put(&ticket, &bytes).await, 200);
    let (store, staging) = (broker.store.clone(), key(&ticket));
    broker
        .store
        .faults()
        .before(Op::CopyObject, 1, move || async move {
            let html = padded(HTML, png(1).len());
            store
                .write("staging", &staging, &html, "image/png")
                .unwrap();
        });
    let answer = broker.complete(&token, &ticket).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    // The copy is pinned to the judged ETag: the other bytes never reached the files.
    let read = broker.store.faults().log();
    let final_reads = read
        .iter()
        .filter(|seen| seen.0 == Op::GetObject && seen.1 == "files");
    assert_eq!(final_reads.count(), 0);
    assert_eq!(assert_settled(&broker, &ticket).await, None);
}

/// Two files of 128 bytes with one MD5 (Wang and Yu, EUROCRYPT 2005).
const TWINS: [&str; 2] = [
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a\
     085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0\
     e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70",
    "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f8955ad340609f4b30283e4888325f1415a\
     085125e8f7cdc99fd91dbd7280373c5bd8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0\
     e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_md5_twin_put_just_before_the_copy_is_found_at_the_final_key() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let [first, second] = TWINS.map(|twin| hex::decode(twin).unwrap());
    assert_ne!(first, second);
    assert_eq!(etag(&first), etag(&second));
    let sum = STANDARD.encode(Sha256::digest(&first));
    for twin in [None, Some(second)] {
        let wish = json!({"name": "a.bin", "size": first.len(), "sha256": sum});
        let body = json!({"slot": "any", "files": [wish]});
        let minted = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
        let ticket = minted.body["tickets"][0].clone();
        assert_eq!(broker.put(&ticket, &first).await, 200);
        let is_twin = twin.is_some();
        if let Some(twin) = twin {
            let (store, staging) = (broker.store.clone(), key(&ticket));
            broker
                .store
                .faults()
                .before(Op::CopyObject, 1, move || async move {
                    store.write("staging", &staging, &twin, "a/b").unwrap();
                });
        }
        let answer = broker.complete(&token, &ticket).await;
        let kept = assert_settled(&broker, &ticket).await;
        if is_twin {
            assert_eq!(answer.status, 422, "{answer:?}");
            assert_eq!(answer.body["reason"], "checksum-mismatch");
            assert_eq!(kept, None);
        } else {
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(kept.as_ref(), Some(&first));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn html_under_a_pictures_etag_is_found_at_the_final_key_and_deleted() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let bytes = png(1);
    let ticket = broker.mint(&token, "pictures", "cat.png", &bytes).await;
    assert_eq!(broker.put(&ticket, &bytes).await, 200);
    let (store, staging) = (broker.store.clone(), key(&ticket));
    broker
        .store
        .faults()
        .before(Op::CopyObject, 1, move || async move {
            let html = padded(HTML, png(1).len());
            let etag = etag(&png(1));
            store
                .write_twin("staging", &staging, &html, "image/png", &etag)
                .unwrap();
        });
    let answer = broker.complete(&token, &ticket).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(answer.body["reason"], "active-content");
    assert_eq!(assert_settled(&broker, &ticket).await, None);
    assert_eq!(broker.objects("files"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twin_of_another_accepted_type_never_lives_under_the_first_ones_type() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let bytes = png(1);
    let ticket = broker.mint(&token, "pictures", "cat", &bytes).await;
    assert_eq!(broker.put(&ticket, &bytes).await, 200);
    let gif = padded(
        &hex::decode("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")
            .unwrap(),
        bytes.len(),
    );
    let (store, staging, twin) = (broker.store.clone(), key(&ticket), gif.clone());
    broker
        .store
        .faults()
        .before(Op::CopyObject, 1, move || async move {
            let etag = etag(&png(1));
            store
                .write_twin("staging", &staging, &twin, "image/png", &etag)
                .unwrap();
        });
    let answer = broker.complete(&token, &ticket).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["file"]["type"], "image/gif");
    assert_eq!(assert_settled(&broker, &ticket).await, Some(gif));
    let (kept, _) = broker.objects("files").remove(0);
    assert!(kept.ends_with(".2.gif"), "{kept}");
    let stored = broker.store.content_type("files", &kept);
    assert_eq!(stored.as_deref(), Some("image/gif"));
}
