//! Files: list, look, delete, the public door, and names that mean harm.

use serde_json::{Value, json};

use crate::common::{HTML, TestBroker, fetch, png};
use crate::{assert_problem, id, members};

/// Uploads through slots whose files anybody may see.
const PUBLIC: &str = r#"
[slots.shown]
disposition = "inline"
max_entries = 20
public = true

[slots.saved]
accept = ["image/*"]
max_entries = 20
public = true

[slots.hidden]
max_entries = 20
"#;

const SVG: &[u8] =
    b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_files_is_newest_first_and_walked_by_its_cursor() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let mut ids = Vec::new();
    for n in 0..5 {
        let done = broker.upload(&token, "photos", "a.png", &png(n)).await.body;
        ids.push(id(&done).to_owned());
        // Two share a moment: the id decides between them.
        if n != 2 {
            broker.advance(1);
        }
    }
    ids[2..4].sort();
    broker.upload(&token, "single", "a.png", &png(9)).await;
    broker
        .upload(&broker.token("8"), "photos", "a.png", &png(8))
        .await;
    ids.reverse();
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/files?slot=photos&limit=2{cursor}");
        let page = broker.call("GET", &path, &token, None).await;
        assert_eq!(page.status, 200, "{page:?}");
        assert_eq!(members(&page.body), ["files", "next_cursor"]);
        for file in page.body["files"].as_array().unwrap() {
            assert!(file["url"].is_string());
            seen.push(id(file).to_owned());
        }
        match &page.body["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            other => {
                assert_eq!(*other, Value::Null);
                break;
            }
        }
    }
    assert_eq!(seen, ids);
    let all = broker.call("GET", "/v1/files", &token, None).await;
    assert_eq!(all.body["files"].as_array().unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_is_gone_for_readers_at_once_and_deleting_it_again_is_204() {
    let broker = TestBroker::with_slots(PUBLIC).await;
    let token = broker.token("7");
    let file = broker.upload(&token, "saved", "a.png", &png(1)).await.body;
    let path = format!("/v1/files/{}", id(&file));
    assert_eq!(broker.call("GET", &path, &token, None).await.status, 200);
    for _ in 0..2 {
        let answer = broker.call("DELETE", &path, &token, None).await;
        assert_eq!((answer.status, answer.body), (204, Value::Null));
    }
    let answer = broker.call("GET", &path, &token, None).await;
    assert_problem(&answer, 404, "not-found");
    let answer = broker
        .call("GET", &format!("/f/{}", id(&file)), "", None)
        .await;
    assert_problem(&answer, 404, "not-found");
    let list = broker.call("GET", "/v1/files", &token, None).await;
    assert_eq!(list.body["files"], json!([]));
    assert_eq!(
        broker.events(&file).await,
        ["ticket.committed", "file.deleted"]
    );
    broker.sweep().await;
    assert_eq!(broker.objects("files"), []);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_file_is_a_redirect_that_needs_no_token_and_outlives_no_url() {
    let broker = TestBroker::with_slots(PUBLIC).await;
    let token = broker.token("7");
    let bytes = png(1);
    let file = broker.upload(&token, "saved", "é.png", &bytes).await.body;
    let answer = broker
        .call("GET", &format!("/f/{}", id(&file)), "", None)
        .await;
    assert_eq!(answer.status, 302, "{answer:?}");
    let cache = answer.headers["cache-control"].to_str().unwrap();
    let age: u64 = cache.split("max-age=").nth(1).unwrap().parse().unwrap();
    assert!(age > 0 && age < 300, "{cache}");
    let url = answer.headers["location"].to_str().unwrap();
    let life = url
        .split("X-Amz-Expires=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    assert!(age < life.parse().unwrap(), "{cache} {life}");
    let (status, headers, body) = fetch("GET", url, &[].into(), b"").await;
    assert_eq!((status, body), (200, bytes));
    assert_eq!(headers["content-type"], "image/png");
    assert_eq!(
        headers["content-disposition"],
        "attachment; filename=\"_.png\"; filename*=UTF-8''%C3%A9.png"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_slot_that_is_not_public_is_not_found() {
    let broker = TestBroker::with_slots(PUBLIC).await;
    let token = broker.token("7");
    let file = broker.upload(&token, "hidden", "a.png", &png(1)).await.body;
    for token in ["", &token] {
        let answer = broker
            .call("GET", &format!("/f/{}", id(&file)), token, None)
            .await;
        assert_problem(&answer, 404, "not-found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_inert_types_are_shown_inline() {
    let broker = TestBroker::with_slots(PUBLIC).await;
    let token = broker.token("7");
    for (name, bytes, kind) in [
        ("a.png", png(1), "inline"),
        ("a.html", HTML.to_vec(), "attachment"),
        ("a.png", HTML.to_vec(), "attachment"),
        ("a.svg", SVG.to_vec(), "attachment"),
        ("a.xhtml", SVG.to_vec(), "attachment"),
        ("a.bin", vec![1, 2, 3, 0, 255], "attachment"),
    ] {
        let done = broker.upload(&token, "shown", name, &bytes).await;
        assert_eq!(done.status, 200, "{done:?}");
        let public = broker
            .call("GET", &format!("/f/{}", id(&done.body)), "", None)
            .await;
        for url in [
            done.body["file"]["url"].as_str().unwrap(),
            public.headers["location"].to_str().unwrap(),
        ] {
            let (status, headers, _) = fetch("GET", url, &[].into(), b"").await;
            assert_eq!(status, 200);
            let shown = headers["content-disposition"].to_str().unwrap();
            assert!(shown.starts_with(kind), "{name} {}: {shown}", done.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_only_ever_metadata() {
    let broker = TestBroker::with_slots(PUBLIC).await;
    let token = broker.token("7");
    for (name, kept) in [
        ("", "file"),
        ("..", "file"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/absolute/a.png", "a.png"),
        ("a\0.png", "a.png"),
        ("cat\u{202e}gnp.exe", "catgnp.exe"),
        ("a\r\nSet-Cookie: x=1.png", "aSet-Cookie_ x=1.png"),
        (
            "\"; filename=evil.html; x=\".png",
            "_; filename=evil.html; x=_.png",
        ),
        ("🐈‍⬛ und Käse.png", "🐈⬛ und Käse.png"),
        ("100%25.png", "100%25.png"),
        ("CON.png", "_CON.png"),
        ("<script>alert(1)</script>.png", "script_.png"),
        (
            &format!("{}.png", "n".repeat(300)),
            &format!("{}.png", "n".repeat(251)),
        ),
    ] {
        let done = broker.upload(&token, "hidden", name, &png(1)).await;
        assert_eq!(done.status, 200, "{done:?}");
        let file = &done.body["file"];
        assert_eq!(file["name"], kept);
        assert_eq!(
            file["key"],
            format!("default/hidden/{}.1.png", id(&done.body))
        );
        let path = format!("/v1/files/{}", id(&done.body));
        let seen = broker.call("GET", &path, &token, None).await;
        assert_eq!(seen.body["name"], kept);
        let url = seen.body["url"].as_str().unwrap();
        let (status, headers, _) = fetch("GET", url, &[].into(), b"").await;
        assert_eq!(status, 200, "{name:?}");
        assert!(!headers.contains_key("set-cookie"));
        let shown = headers["content-disposition"].to_str().unwrap();
        assert!(shown.starts_with("attachment; filename=\""), "{shown}");
        assert_eq!(shown.matches('"').count(), 2, "{shown}");
        assert!(shown.is_ascii());
        broker.call("DELETE", &path, &token, None).await;
    }
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_comes_back_as_it_was_sent() {
    let broker = TestBroker::with_slots(PUBLIC).await;
    let token = broker.token("7");
    let nested = (0..90).fold(json!(1), |inner, _| json!({"a": inner}));
    for metadata in [
        json!({}),
        json!({"": "", "a\u{0}b": "\u{0}\u{202e}\u{1f408}", "n": [1, -2, 1.5e300, null, true]}),
        json!({"'; DROP TABLE files; --": "$1 ?1 :a {}"}),
        json!({"deep": nested}),
    ] {
        let bytes = png(1);
        let body = json!({"slot": "hidden", "files": [
            {"name": "a.png", "size": bytes.len(), "metadata": metadata}
        ]});
        let minted = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
        assert_eq!(minted.status, 201, "{minted:?}");
        let ticket = &minted.body["tickets"][0];
        assert_eq!(broker.put(ticket, &bytes).await, 200);
        let done = broker.complete(&token, ticket).await;
        assert_eq!(done.body["file"]["metadata"], metadata);
        let list = broker.call("GET", "/v1/files?limit=1", &token, None).await;
        assert_eq!(list.status, 200);
        let path = format!("/v1/files/{}", id(ticket));
        let seen = broker.call("GET", &path, &token, None).await;
        assert_eq!(seen.body["metadata"], metadata);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_deletes_at_once_delete_once() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let file = broker.upload(&token, "photos", "a.png", &png(1)).await.body;
    let path = format!("/v1/files/{}", id(&file));
    let answers =
        futures_util::future::join_all((0..20).map(|_| broker.call("DELETE", &path, &token, None)))
            .await;
    assert!(answers.iter().all(|answer| answer.status == 204));
    assert_eq!(
        broker.events(&file).await,
        ["ticket.committed", "file.deleted"]
    );
    broker.assert_lawful().await;
}
