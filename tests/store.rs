//! The store's laws: what the broker relies on, on any server, and what it makes of answers
//! that no good server would give.

#![expect(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use putgate::clock::Clock;
use putgate::devstore::{self, DevStore, Fault, Op};
use putgate::domain::secret::{Secret, SignedUrl};
use putgate::domain::time::{Seconds, Timestamp};
use putgate::store::{
    Bucket, Form, Key, Outcome, Peek, Presigned, Promotion, Settings, Store, StoreError,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TTL: Seconds = Seconds(60);

// ---------------------------------------------------------------- the laws, on a real server

/// Runs every law on a running server with two buckets. `one_key`: whether the server refuses
/// unsigned copy sources even for a key that may read.
async fn store_laws(settings: &Settings, one_key: bool) {
    let store = Store::connect(settings.clone()).await.unwrap();
    let run = format!("{}-{}", Clock::System.now().millis(), std::process::id());
    signed_puts_store_exactly_what_was_signed(&store, &run).await;
    forms_store_what_their_policy_says_and_nothing_else(&store, &run).await;
    a_head_brings_size_identity_and_bytes_at_once(&store, &run).await;
    what_is_missing_is_told_from_what_is_out_of_reach(settings, &run).await;
    promote_copies_what_was_judged_and_nothing_else_of_it(&store, settings, &run).await;
    a_copy_by_parts_stops_when_told(&store, &run).await;
    multipart_uploads_live_as_planned(&store, &run).await;
    listings_turn_pages(&store, &run).await;
    let alone = Store::connect(Settings {
        upload_key: None,
        ..settings.clone()
    });
    let alone = alone.await.unwrap();
    an_uploader_copies_nothing_by_an_unsigned_header(&store, &run, true).await;
    an_uploader_copies_nothing_by_an_unsigned_header(&alone, &format!("{run}-one"), one_key).await;
    assert_eq!(store.probe_copy_source().await, Ok(true));
    assert_eq!(alone.probe_copy_source().await, Ok(one_key));
    let left = store
        .list(Bucket::Staging, "putgate-probe", None, 10)
        .await
        .unwrap();
    assert_eq!(left.objects, [], "the probe cleans up");
}

/// A store in this process, with nothing in it. Its directory goes when the test ends.
async fn devstore(name: &str) -> (DevStore, Settings) {
    let dir = std::env::temp_dir().join(format!("putgate-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let pair = |access: &str| (access.to_owned(), Secret::new(format!("{access}-secret")));
    let server = DevStore::start(devstore::Settings {
        dir,
        listen: "127.0.0.1:0".parse().unwrap(),
        region: "us-east-1".into(),
        server_key: pair("SERVER"),
        upload_key: pair("UPLOAD"),
        buckets: vec!["staging".into(), "files".into()],
        upload_bucket: "staging".into(),
        allowed_origins: vec![],
        clock: Clock::System,
    })
    .await
    .unwrap();
    let settings = settings(server.url());
    (server, settings)
}

#[tokio::test]
async fn the_devstore_keeps_the_laws() {
    let (server, settings) = devstore("laws").await;
    store_laws(&settings, true).await;
    server.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_no_failure_of_what_happened() {
    let (server, settings) = devstore("lost").await;
    let store = Store::connect(settings).await.unwrap();
    let etag = upload(&store, "k", b"x").await;
    server.faults().next(Op::CopyObject, Fault::LostAnswer);
    let copy = Promotion {
        etag: &etag,
        ..promotion()
    };
    assert_unavailable(&store.promote(&copy).await);
    assert_eq!(server.faults().count(Op::CopyObject), 1, "never sent again");
    assert_eq!(
        server.read("files", "f"),
        Some(b"x".to_vec()),
        "and it happened"
    );

    let id = store.create_multipart("m").await.unwrap();
    let signed = store.presign_part("m", &id, 1, Some(1), TTL, Clock::System.now());
    assert_eq!(send(&signed.unwrap(), "PUT", b"x", &[]).await.status, 200);
    let parts = store.list_parts("m", &id).await.unwrap();
    server
        .faults()
        .next(Op::CompleteMultipart, Fault::LostAnswer);
    assert_unavailable(&store.complete_multipart("m", &id, &parts).await);
    assert_eq!(server.faults().count(Op::CompleteMultipart), 1);
    let again = store.complete_multipart("m", &id, &parts).await;
    assert_eq!(again, Err(StoreError::NoSuchUpload));
    assert_eq!(
        store.head(Bucket::Staging, "m").await.unwrap().unwrap().0,
        1
    );
    server.stop().await;
}

#[tokio::test]
async fn reads_lists_and_deletes_survive_two_failures() {
    let (server, settings) = devstore("retries").await;
    let store = Store::connect(settings).await.unwrap();
    upload(&store, "k", b"x").await;
    for op in [Op::GetObject, Op::ListObjects, Op::DeleteObject] {
        server.faults().nth(op, 1, Fault::ErrorBefore(503));
        server.faults().nth(op, 2, Fault::Reset);
    }
    let (peek, page) = tokio::join!(
        store.head_bytes(Bucket::Staging, "k", 9, None),
        store.list(Bucket::Staging, "", None, 9),
    );
    assert_eq!(peek.unwrap().size, 1);
    assert_eq!(page.unwrap().objects.len(), 1);
    store.delete(Bucket::Staging, "k").await.unwrap();
    assert_eq!(server.objects("staging"), []);
    server.stop().await;
}

/// Any server: `PUTGATE_TEST_STORE` says how it is reached, as
/// `{"endpoint":"http://127.0.0.1:9000","region":"us-east-1","server":["AK","SK"],"upload":["AK","SK"],"one_key":false}`;
/// `one_key`: whether it refuses unsigned copy sources whatever the key may do. Its buckets are
/// `staging` and `files`.
#[tokio::test]
async fn the_store_of_the_environment_keeps_the_laws() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own setting, not the broker's"
    )]
    let Ok(text) = std::env::var("PUTGATE_TEST_STORE") else {
        return;
    };
    let given: serde_json::Value = serde_json::from_str(&text).unwrap();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let key = |name: &str| Key::Static {
        access_key: word(&given[name][0]),
        secret_key: Secret::new(word(&given[name][1])),
    };
    let settings = Settings {
        region: word(&given["region"]),
        server_key: key("server"),
        upload_key: Some(key("upload")),
        ..settings(word(&given["endpoint"]))
    };
    let store = Store::connect(settings.clone()).await.unwrap();
    for bucket in [Bucket::Staging, Bucket::Files] {
        store.ensure_bucket(bucket).await.unwrap();
        let again = store.ensure_bucket(bucket).await;
        assert_eq!(again, Ok(Outcome::Kept), "{bucket}");
    }
    store_laws(&settings, given["one_key"].as_bool().unwrap()).await;
    the_upload_key_can_only_write_to_staging(&settings, &store).await;
}

/// Asks for everything else with the upload key.
async fn the_upload_key_can_only_write_to_staging(settings: &Settings, store: &Store) {
    upload(store, "own", b"mine").await;
    let key = settings.upload_key.clone().unwrap();
    let browser = Store::connect(Settings {
        server_key: key.clone(),
        ..settings.clone()
    });
    let browser = browser.await.unwrap();
    for bucket in [Bucket::Staging, Bucket::Files] {
        let answers = [
            browser
                .head_bytes(bucket, "own", 9, None)
                .await
                .map(|_| "read"),
            browser.list(bucket, "", None, 9).await.map(|_| "listed"),
        ];
        for answer in answers {
            assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
        }
    }
    let turned = Settings {
        staging_bucket: settings.files_bucket.clone(),
        ..settings.clone()
    };
    let turned = Store::connect(turned).await.unwrap();
    let signed = turned.presign_put("own", 4, None, TTL, Clock::System.now());
    let status = send(&signed.unwrap(), "PUT", b"mine", &[]).await.status;
    assert_eq!(status, 403, "a write to the files bucket");
    store.delete(Bucket::Staging, "own").await.unwrap();
}

/// A presigned PUT and a presigned part, each with a header that nobody signed and that names
/// a file of somebody else. `refused`: what the store makes of it.
async fn an_uploader_copies_nothing_by_an_unsigned_header(store: &Store, run: &str, refused: bool) {
    let victim = format!("acme/photos/{run}.9.png");
    let key = format!("{run}-victim");
    let etag = upload(store, &key, b"secret").await;
    let promotion = Promotion {
        staging_key: &key,
        etag: &etag,
        size: 6,
        final_key: &victim,
        ..promotion()
    };
    store.promote(&promotion).await.unwrap();

    let (target, now) = (format!("{run}-target"), Clock::System.now());
    let source = format!("/{}/{victim}", store.name(Bucket::Files));
    let copy: &[(&str, &str)] = &[("x-amz-copy-source", &source)];
    let put = store.presign_put(&target, 4, None, TTL, now).unwrap();
    let status = send(&put, "PUT", b"mine", copy).await.status;
    let read = store.head_bytes(Bucket::Staging, &target, 9, None).await;
    let copied = read.is_ok_and(|read| &read.bytes[..] == b"secret");
    assert_eq!((status >= 400, copied), (refused, !refused), "PUT {status}");

    let id = store.create_multipart(&target).await.unwrap();
    let part = store
        .presign_part(&target, &id, 1, Some(4), TTL, now)
        .unwrap();
    let status = send(&part, "PUT", b"mine", copy).await.status;
    let parts = store.list_parts(&target, &id).await.unwrap();
    let copied = parts.iter().any(|part| part.size == 6);
    assert_eq!(
        (status >= 400, copied),
        (refused, !refused),
        "part {status}"
    );
    store
        .abort_multipart(Bucket::Staging, &target, &id)
        .await
        .unwrap();
}

async fn signed_puts_store_exactly_what_was_signed(store: &Store, run: &str) {
    let now = Clock::System.now();
    let key = format!("{run}-put");
    let signed = store.presign_put(&key, 5, None, TTL, now).unwrap();
    assert!(
        send(&signed, "PUT", b"longer", &[]).await.status >= 400,
        "6 bytes for 5"
    );
    assert!(
        send(&signed, "PUT", b"shrt", &[]).await.status >= 400,
        "4 bytes for 5"
    );
    assert!(
        send(&signed, "GET", b"", &[]).await.status >= 400,
        "another method"
    );
    assert_eq!(store.head(Bucket::Staging, &key).await, Ok(None));
    assert_eq!(send(&signed, "PUT", b"hello", &[]).await.status, 200);
    let (size, etag) = store.head(Bucket::Staging, &key).await.unwrap().unwrap();
    assert_eq!((size, etag.contains('"')), (5, false));

    let sum = STANDARD.encode(Sha256::digest(b"hello"));
    let key = format!("{run}-sum");
    let signed = store.presign_put(&key, 5, Some(&sum), TTL, now).unwrap();
    assert!(
        send(&signed, "PUT", b"jello", &[]).await.status >= 400,
        "another body"
    );
    let bare = Presigned {
        headers: vec![],
        ..signed.clone()
    };
    assert!(
        send(&bare, "PUT", b"jello", &[]).await.status >= 400,
        "the sum left out"
    );
    assert_eq!(store.head(Bucket::Staging, &key).await, Ok(None));
    assert_eq!(send(&signed, "PUT", b"hello", &[]).await.status, 200);
    let stored = store.stored_sha256(Bucket::Staging, &key).await.unwrap();
    assert!(stored.is_none_or(|stored| stored == sum));
}

/// A form with one of its fields changed, added, or (by an empty value) left out.
async fn post(form: &Form, change: Option<(&str, &str)>, file: &[u8]) -> Answer {
    let mut fields: Vec<(&str, &str)> = form
        .fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    if let Some((name, value)) = change {
        fields.retain(|(known, _)| *known != name);
        fields.extend((!value.is_empty()).then_some((name, value)));
    }
    let mut body = Vec::new();
    for (name, value) in fields {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend(format!("{head}{value}\r\n").bytes());
    }
    body.extend(b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"blob\"\r\n");
    body.extend(b"Content-Type: text/html\r\n\r\n");
    body.extend(file);
    body.extend(b"\r\n--b--\r\n");
    let to = Presigned {
        url: SignedUrl::new(form.url.clone()),
        headers: Vec::new(),
        expires_in: form.expires_in,
    };
    send(
        &to,
        "POST",
        &body,
        &[("Content-Type", "multipart/form-data; boundary=b")],
    )
    .await
}

async fn forms_store_what_their_policy_says_and_nothing_else(store: &Store, run: &str) {
    let now = Clock::System.now();
    let key = format!("form-{run}");
    let form = store.presign_post(&key, 2..=5, TTL, now).unwrap();
    let late = Timestamp::from_millis(now.millis() - 120_000);
    let expired = store.presign_post(&key, 2..=5, TTL, late).unwrap();
    let other = format!("{key}-other");
    for (form, change, file) in [
        (&form, None, b"123456".as_slice()),
        (&form, None, b"1"),
        (&form, None, b""),
        (&form, Some(("key", other.as_str())), b"123"),
        (&form, Some(("policy", "e30=")), b"123"),
        (&form, Some(("x-amz-signature", "00")), b"123"),
        (&form, Some(("x-amz-signature", "")), b"123"),
        (&form, Some(("x-amz-meta-evil", "1")), b"123"),
        (&expired, None, b"123"),
    ] {
        let answer = post(form, change, file).await;
        assert!(
            (400..500).contains(&answer.status),
            "{change:?} {file:?}: {}",
            answer.head
        );
    }
    for key in [&key, &other] {
        assert_eq!(
            store.head(Bucket::Staging, key).await,
            Ok(None),
            "an attack wrote"
        );
    }
    for file in [b"12".as_slice(), b"12345"] {
        let answer = post(&form, None, file).await;
        assert_eq!(
            answer.status,
            201,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        // Where it went is said by all but SeaweedFS.
        assert!(answer.header("etag").is_some(), "{}", answer.head);
        let there = store.head(Bucket::Staging, &key).await.unwrap();
        assert_eq!(there.unwrap().0, file.len() as u64);
    }
    store.delete(Bucket::Staging, &key).await.unwrap();
}

async fn a_head_brings_size_identity_and_bytes_at_once(store: &Store, run: &str) {
    let key = format!("{run}-head");
    let etag = upload(store, &key, b"0123456789").await;
    let peek = |n| store.head_bytes(Bucket::Staging, &key, n, None);
    let expected = |bytes: &'static [u8]| Peek {
        size: 10,
        etag: etag.clone(),
        bytes: bytes.into(),
    };
    assert_eq!(peek(4).await, Ok(expected(b"0123")));
    assert_eq!(peek(10).await, Ok(expected(b"0123456789")));
    assert_eq!(peek(65_536).await, Ok(expected(b"0123456789")));
    let pinned = store
        .head_bytes(Bucket::Staging, &key, 4, Some(&etag))
        .await;
    assert_eq!(pinned, Ok(expected(b"0123")));
    let other = store
        .head_bytes(Bucket::Staging, &key, 4, Some("other"))
        .await;
    assert_eq!(other, Err(StoreError::Changed));

    let tail = |n: u64| {
        store.range_bytes(
            Bucket::Staging,
            &key,
            10_u64.saturating_sub(n)..10,
            10,
            &etag,
        )
    };
    assert_eq!(tail(3).await.unwrap(), "789");
    assert_eq!(tail(10).await.unwrap(), "0123456789");
    assert_eq!(tail(99).await.unwrap(), "0123456789");
    let other = store
        .range_bytes(Bucket::Staging, &key, 7..10, 10, "other")
        .await;
    assert_eq!(other, Err(StoreError::Changed));

    let key = format!("{run}-empty");
    let etag = upload(store, &key, b"").await;
    let empty = Peek {
        size: 0,
        etag: etag.clone(),
        bytes: "".into(),
    };
    assert_eq!(
        store.head_bytes(Bucket::Staging, &key, 9, None).await,
        Ok(empty.clone())
    );
    assert_eq!(
        store
            .head_bytes(Bucket::Staging, &key, 9, Some(&etag))
            .await,
        Ok(empty)
    );
    let other = store
        .head_bytes(Bucket::Staging, &key, 9, Some("other"))
        .await;
    assert_eq!(other, Err(StoreError::Changed));
}

async fn what_is_missing_is_told_from_what_is_out_of_reach(settings: &Settings, run: &str) {
    let store = Store::connect(settings.clone()).await.unwrap();
    let key = format!("{run}-missing");
    let missing = store.head_bytes(Bucket::Staging, &key, 9, None).await;
    assert_eq!(missing, Err(StoreError::Missing));
    assert_eq!(store.head(Bucket::Staging, &key).await, Ok(None));
    assert_eq!(
        store.stored_sha256(Bucket::Files, &key).await,
        Err(StoreError::Missing)
    );
    assert_eq!(
        store.delete(Bucket::Staging, &key).await,
        Ok(()),
        "deleting nothing is fine"
    );

    let elsewhere = Settings {
        staging_bucket: "no-such-bucket".into(),
        ..settings.clone()
    };
    let stranger = Settings {
        server_key: Key::Static {
            access_key: "STRANGER".into(),
            secret_key: Secret::new("x"),
        },
        ..settings.clone()
    };
    for wrong in [elsewhere, stranger] {
        let store = Store::connect(wrong).await.unwrap();
        let head = store.head(Bucket::Staging, &key).await.unwrap_err();
        let peek = store
            .head_bytes(Bucket::Staging, &key, 9, None)
            .await
            .unwrap_err();
        for error in [head, peek] {
            assert!(
                matches!(error, StoreError::Refused(_) | StoreError::Unavailable(_)),
                "{error:?}"
            );
        }
    }
}

async fn promote_copies_what_was_judged_and_nothing_else_of_it(
    store: &Store,
    settings: &Settings,
    run: &str,
) {
    let key = format!("{run}-promote");
    let signed = store
        .presign_put(&key, 5, None, TTL, Clock::System.now())
        .unwrap();
    let smuggled = [
        ("cache-control", "max-age=9"),
        ("content-type", "text/html"),
        ("content-encoding", "gzip"),
    ];
    assert_eq!(send(&signed, "PUT", b"first", &smuggled).await.status, 200);
    let (_, judged) = store.head(Bucket::Staging, &key).await.unwrap().unwrap();
    let final_key = format!("acme/photos/{run}.1.png");
    let promotion = Promotion {
        staging_key: &key,
        etag: &judged,
        size: 5,
        final_key: &final_key,
        content_type: "image/png",
        content_disposition: "attachment; filename=\"a.png\"",
    };
    store.promote(&promotion).await.unwrap();
    let copy = store
        .head_bytes(Bucket::Files, &final_key, 9, None)
        .await
        .unwrap();
    assert_eq!((copy.size, &copy.bytes[..]), (5, &b"first"[..]));
    let facts = admin(settings)
        .head_object()
        .bucket(&settings.files_bucket)
        .key(&final_key);
    let facts = facts.send().await.unwrap();
    assert_eq!(facts.content_type(), Some("image/png"));
    assert_eq!(
        facts.content_disposition(),
        Some("attachment; filename=\"a.png\"")
    );
    assert_eq!(
        (facts.cache_control(), facts.content_encoding()),
        (None, None)
    );

    let disposition = "attachment; filename=\"_.png\"; filename*=UTF-8''%C3%A9.png";
    let signed = store.presign_get(&final_key, disposition, "image/x", TTL, Clock::System.now());
    let answer = send(&signed.unwrap(), "GET", b"", &[]).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"first"[..]));
    assert_eq!(answer.header("content-disposition"), Some(disposition));
    assert_eq!(answer.header("content-type"), Some("image/x"));

    // The uploader sends something else after the verdict.
    upload(store, &key, b"evil!").await;
    let later = format!("acme/photos/{run}.2.png");
    let again = Promotion {
        final_key: &later,
        ..promotion
    };
    assert_eq!(store.promote(&again).await, Err(StoreError::Changed));
    assert_eq!(store.head(Bucket::Files, &later).await, Ok(None));
    store.delete(Bucket::Staging, &key).await.unwrap();
    assert_eq!(store.promote(&again).await, Err(StoreError::Missing));
}

async fn a_copy_by_parts_stops_when_told(store: &Store, run: &str) {
    let key = format!("{run}-parts");
    let body = vec![7_u8; 100_000];
    let etag = upload(store, &key, &body).await;
    let final_key = format!("acme/big/{run}.1.bin");
    let promotion = Promotion {
        staging_key: &key,
        etag: &etag,
        size: 100_000,
        final_key: &final_key,
        content_type: "application/octet-stream",
        content_disposition: "attachment",
    };
    let id = store.create_copy(&promotion).await.unwrap();
    assert_eq!(
        store.list_uploads(Bucket::Files, &final_key).await.unwrap(),
        [id.as_str()]
    );
    assert_eq!(
        store.copy_parts(&promotion, &id, &|| false).await,
        Err(StoreError::Stopped)
    );
    let asked = AtomicUsize::new(0);
    let until_the_end = || asked.fetch_add(1, Ordering::SeqCst) == 0;
    assert_eq!(
        store.copy_parts(&promotion, &id, &until_the_end).await,
        Err(StoreError::Stopped)
    );
    assert_eq!(
        store.head(Bucket::Files, &final_key).await,
        Ok(None),
        "nothing before completion"
    );
    let changed = Promotion {
        etag: "0123",
        ..promotion
    };
    assert_eq!(
        store.copy_parts(&changed, &id, &|| true).await,
        Err(StoreError::Changed)
    );
    store.copy_parts(&promotion, &id, &|| true).await.unwrap();
    let copy = store
        .head(Bucket::Files, &final_key)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(copy.0, 100_000);
    assert_eq!(
        store.list_uploads(Bucket::Files, &final_key).await.unwrap(),
        [""; 0]
    );

    let other = format!("acme/big/{run}.2.bin");
    let abandoned = Promotion {
        final_key: &other,
        ..promotion
    };
    let id = store.create_copy(&abandoned).await.unwrap();
    store
        .abort_multipart(Bucket::Files, &other, &id)
        .await
        .unwrap();
    let after = store.copy_parts(&abandoned, &id, &|| true).await;
    assert!(after.is_err(), "an aborted upload takes no part: {after:?}");
    assert_eq!(store.head(Bucket::Files, &other).await, Ok(None));
}

async fn multipart_uploads_live_as_planned(store: &Store, run: &str) {
    let key = format!("{run}-multipart");
    let longer = format!("{run}-multipart-longer");
    let id = store.create_multipart(&key).await.unwrap();
    let other = store.create_multipart(&longer).await.unwrap();
    assert_eq!(
        store.list_uploads(Bucket::Staging, &key).await.unwrap(),
        [id.as_str()]
    );
    assert_eq!(store.list_parts(&key, &id).await.unwrap(), []);

    let first = vec![1_u8; 5 * 1024 * 1024];
    let part = |number, size| {
        let now = Clock::System.now();
        store
            .presign_part(&key, &id, number, Some(size), TTL, now)
            .unwrap()
    };
    assert!(
        send(&part(1, 9), "PUT", b"too much for nine", &[])
            .await
            .status
            >= 400
    );
    assert_eq!(send(&part(2, 3), "PUT", b"end", &[]).await.status, 200);
    assert_eq!(
        send(&part(1, first.len() as u64), "PUT", &first, &[])
            .await
            .status,
        200
    );
    let parts = store.list_parts(&key, &id).await.unwrap();
    let shape: Vec<(u32, u64)> = parts.iter().map(|part| (part.number, part.size)).collect();
    assert_eq!(shape, [(1, 5 * 1024 * 1024), (2, 3)]);

    let mut wrong = parts.clone();
    wrong[1].etag = "00000000000000000000000000000000".into();
    let refused = store
        .complete_multipart(&key, &id, &wrong)
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)), "{refused:?}");
    assert_eq!(store.head(Bucket::Staging, &key).await, Ok(None));
    store.complete_multipart(&key, &id, &parts).await.unwrap();
    let (size, etag) = store.head(Bucket::Staging, &key).await.unwrap().unwrap();
    assert_eq!(size, 5 * 1024 * 1024 + 3);
    assert_eq!(store.stored_sha256(Bucket::Staging, &key).await, Ok(None));
    let tail = store
        .range_bytes(Bucket::Staging, &key, size - 4..size, size, &etag)
        .await;
    assert_eq!(tail.unwrap(), &b"\x01end"[..]);

    store
        .abort_multipart(Bucket::Staging, &longer, &other)
        .await
        .unwrap();
    store
        .abort_multipart(Bucket::Staging, &longer, &other)
        .await
        .unwrap();
    assert_eq!(
        store.list_parts(&longer, &other).await,
        Err(StoreError::NoSuchUpload)
    );
    let completed = store.complete_multipart(&longer, &other, &parts).await;
    assert_eq!(completed, Err(StoreError::NoSuchUpload));
    assert_eq!(
        store.list_uploads(Bucket::Staging, &longer).await.unwrap(),
        [""; 0]
    );
}

async fn listings_turn_pages(store: &Store, run: &str) {
    let mut keys: Vec<String> = (0..5).map(|i| format!("{run}-list-{i}")).collect();
    keys.push(format!("{run}-list-x/1"));
    keys.push(format!("{run}-list-x-2"));
    for key in &keys {
        upload(store, key, b"abc").await;
    }
    let prefix = format!("{run}-list-");
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store
            .list(Bucket::Staging, &prefix, after.as_deref(), 2)
            .await
            .unwrap();
        assert!(page.objects.len() <= 2);
        for object in &page.objects {
            assert_eq!(
                (object.size, object.etag.as_str()),
                (3, "900150983cd24fb0d6963f7d28e17f72")
            );
            let age = object.last_modified.seconds_until(Clock::System.now());
            assert!((-60..600).contains(&age), "{age} s old");
        }
        seen.extend(page.objects.into_iter().map(|object| object.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    seen.sort();
    keys.sort();
    assert_eq!(seen, keys);
    for key in &keys {
        store.delete(Bucket::Staging, key).await.unwrap();
        store.delete(Bucket::Staging, key).await.unwrap();
    }
    let page = store
        .list(Bucket::Staging, &prefix, None, 1000)
        .await
        .unwrap();
    assert_eq!((page.objects, page.next), (vec![], None));
}

/// Puts bytes into staging as a browser would; answers the `ETag`.
async fn upload(store: &Store, key: &str, body: &[u8]) -> String {
    let signed = store.presign_put(key, body.len() as u64, None, TTL, Clock::System.now());
    assert_eq!(
        send(&signed.unwrap(), "PUT", body, &[]).await.status,
        200,
        "{key}"
    );
    store.head(Bucket::Staging, key).await.unwrap().unwrap().1
}

/// The SDK's own view, for facts that the broker never asks for.
fn admin(settings: &Settings) -> Client {
    let Key::Static {
        access_key,
        secret_key,
    } = &settings.server_key
    else {
        panic!("the laws run with a static key");
    };
    let secret = secret_key.expose_str().unwrap();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .credentials_provider(Credentials::new(access_key, secret, None, None, "test"))
        .region(Region::new(settings.region.clone()))
        .endpoint_url(settings.endpoint.as_deref().unwrap())
        .force_path_style(settings.path_style);
    Client::from_conf(config.build())
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (given, value) = line.split_once(": ")?;
            given.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Sends a presigned request over a connection of its own.
async fn send(signed: &Presigned, method: &str, body: &[u8], more: &[(&str, &str)]) -> Answer {
    let rest = signed.url.expose().strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut head = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    let own = signed
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.chain(more.iter().copied()) {
        head.extend([name, ": ", value, "\r\n"]);
    }
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream
        .write_all(format!("{head}\r\n").as_bytes())
        .await
        .unwrap();
    // A refusal may come, and the connection go, before the body is sent.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("an HTTP answer");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: answer[end + 4..].to_vec(),
    }
}

// ------------------------------------------------- answers that no good server would give

fn settings(endpoint: String) -> Settings {
    let key = |access: &str| Key::Static {
        access_key: access.into(),
        secret_key: Secret::new(format!("{access}-secret")),
    };
    Settings {
        endpoint: Some(endpoint),
        public_endpoint: None,
        download_endpoint: None,
        region: "us-east-1".into(),
        path_style: true,
        staging_bucket: "staging".into(),
        files_bucket: "files".into(),
        server_key: key("SERVER"),
        upload_key: Some(key("UPLOAD")),
    }
}

/// A store at a server that gives these answers, one to each request, whatever is asked; the
/// last one again and again.
async fn scripted(answers: &[&str]) -> Store {
    let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for i in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else {
                    break;
                };
                head.push(byte);
            }
            let answer = &answers[i.min(answers.len() - 1)];
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Store::connect(settings(endpoint)).await.unwrap()
}

async fn peek(answers: &[&str]) -> Result<Peek, StoreError> {
    scripted(answers)
        .await
        .head_bytes(Bucket::Staging, "k", 4, Some("e"))
        .await
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(answer: &Result<T, StoreError>) {
    assert!(
        matches!(answer, Err(StoreError::Unavailable(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_store_that_ignores_ranges_is_read_no_further_than_asked() {
    let whole = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 9000000000\r\n\r\n0123456789";
    let head =
        "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 9000000000\r\nConnection: close\r\n\r\n";
    // The connection is cut after ten bytes of nine gigabytes, and nobody minds.
    let peek = scripted(&[whole, head])
        .await
        .head_bytes(Bucket::Staging, "k", 4, Some("e"))
        .await;
    let peek = peek.unwrap();
    assert_eq!((peek.size, &peek.bytes[..]), (9_000_000_000, &b"0123"[..]));
}

#[tokio::test]
async fn a_part_shown_as_the_whole_is_not_believed() {
    let part = "HTTP/1.1 206 Partial Content\r\nETag: \"e\"\r\nContent-Length: 4\r\n\r\n0123";
    let head = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 100\r\nConnection: close\r\n\r\n";
    assert_unavailable(&peek(&[part, head]).await);
}

#[tokio::test]
async fn a_body_that_ends_early_is_never_a_shorter_file() {
    assert_unavailable(
        &peek(&["HTTP/1.1 206 Partial Content\r\nETag: \"e\"\r\nContent-Range: bytes 0-3/10\r\nContent-Length: 4\r\n\r\n01"])
            .await,
    );
    assert_unavailable(
        &peek(&["HTTP/1.1 206 Partial Content\r\nETag: \"e\"\r\nContent-Range: bytes 0-3/10\r\nContent-Length: 2\r\n\r\n01"])
            .await,
    );
}

#[tokio::test]
async fn another_range_than_asked_for_is_not_believed() {
    for answer in [
        "HTTP/1.1 206 P\r\nETag: \"e\"\r\nContent-Range: bytes 1-4/10\r\nContent-Length: 4\r\n\r\n1234",
        "HTTP/1.1 206 P\r\nETag: \"e\"\r\nContent-Range: bytes 0-2/10\r\nContent-Length: 3\r\n\r\n012",
        "HTTP/1.1 206 P\r\nETag: \"e\"\r\nContent-Range: bytes 0-3/*\r\nContent-Length: 4\r\n\r\n0123",
    ] {
        assert_unavailable(&peek(&[answer]).await);
    }
}

#[tokio::test]
async fn a_store_that_ignores_if_match_is_caught_by_the_etag() {
    let answer = "HTTP/1.1 206 P\r\nETag: \"other\"\r\nContent-Range: bytes 0-3/10\r\nContent-Length: 4\r\n\r\n0123";
    assert_eq!(peek(&[answer]).await, Err(StoreError::Changed));
}

#[tokio::test]
async fn a_proxys_404_is_not_a_missing_object() {
    let answers =
        &["HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\n<html>no<"];
    assert_unavailable(&peek(answers).await);
    assert_unavailable(&scripted(answers).await.head(Bucket::Staging, "k").await);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    assert_unavailable(
        &peek(&["HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"])
            .await,
    );
}

fn promotion() -> Promotion<'static> {
    Promotion {
        staging_key: "k",
        etag: "e",
        size: 1,
        final_key: "f",
        content_type: "image/png",
        content_disposition: "attachment",
    }
}

#[tokio::test]
async fn an_error_inside_a_200_is_an_error() {
    let busy = "HTTP/1.1 200 OK\r\nContent-Length: 45\r\nConnection: close\r\n\r\n<Error><Code>InternalError</Code></Error>    ";
    let store = scripted(&[busy]).await;
    assert_unavailable(&store.promote(&promotion()).await);
    assert_unavailable(&store.complete_multipart("k", "u", &[]).await);
    let changed = "HTTP/1.1 200 OK\r\nContent-Length: 46\r\nConnection: close\r\n\r\n<Error><Code>PreconditionFailed</Code></Error>";
    let store = scripted(&[changed]).await;
    assert_eq!(store.promote(&promotion()).await, Err(StoreError::Changed));
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n<?xml version=\"1.0\"?>   ";
    let store = scripted(&[cut]).await;
    assert_unavailable(&store.promote(&promotion()).await);
    assert_unavailable(&store.complete_multipart("k", "u", &[]).await);
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let store = scripted(&[empty]).await;
    assert_unavailable(&store.promote(&promotion()).await);
    assert_unavailable(&store.complete_multipart("k", "u", &[]).await);
}

#[tokio::test]
async fn a_copy_is_sent_once_and_a_read_again() {
    let answers = &[
        "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 206 P\r\nETag: \"e\"\r\nContent-Range: bytes 0-3/10\r\nContent-Length: 4\r\nConnection: close\r\n\r\n0123",
    ];
    assert_eq!(peek(answers).await.unwrap().size, 10);
    // A second request would be answered with something else than 503.
    let copy = scripted(answers).await.promote(&promotion()).await;
    assert!(
        matches!(&copy, Err(StoreError::Unavailable(words)) if words.contains("503")),
        "{copy:?}"
    );
}

#[tokio::test]
async fn a_full_store_says_so() {
    let full = "HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 55\r\nConnection: close\r\n\r\n<Error><Code>XMinioStorageFull</Code></Error>          ";
    let copy = scripted(&[full]).await.promote(&promotion()).await;
    assert!(matches!(copy, Err(StoreError::Full(_))), "{copy:?}");
}

#[tokio::test]
async fn a_proxys_page_or_half_an_object_is_an_outage_and_no_content() {
    let (server, settings) = devstore("page").await;
    let store = Store::connect(settings).await.unwrap();
    upload(&store, "k", b"x").await;
    for op in [Op::GetObject, Op::HeadObject] {
        server.faults().always(op, Fault::ErrorIn200);
    }
    assert_unavailable(&store.head_bytes(Bucket::Staging, "k", 9, None).await);
    assert_unavailable(&store.head(Bucket::Staging, "k").await);
    server.faults().clear();
    server.faults().always(Op::GetObject, Fault::CutBody);
    assert_unavailable(&store.head_bytes(Bucket::Staging, "k", 9, None).await);
    server.stop().await;
}
