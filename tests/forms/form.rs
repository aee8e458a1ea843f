//! What jQuery File Upload, the tutorials' clients and pages without script send and read.

use putgate::devstore::{Fault, Op};
use serde_json::json;

use crate::common::{HTML, PAGE, PUBLIC_URL, png};
use crate::{
    Part, Reply, ask, broker, file, files, form, in_pieces, large_png, nothing_is_left, place,
    post, posting, send, stored, text, token, usage,
};
use axum::body::Body;
use axum::http::Request;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_form_becomes_a_row_of_the_plugins_table() {
    let broker = broker().await;
    let token = token(&broker);
    let at = place("pictures", &token, "form");
    let picture = png(1);
    let parts = [
        text("csrfmiddlewaretoken", "Zm9vYmFy"),
        text("title", "ein Wort"),
        file("Übung \u{1F600} %22x%22.png", &picture),
    ];
    let reply = post(&broker, &at, &parts).await;
    let [row] = &files(&reply)[..] else {
        panic!("{reply:?}")
    };
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(
        row["name"], "Übung \u{1F600} _x_.png",
        "cleaned as every name"
    );
    assert_eq!(
        (&row["size"], &row["type"]),
        (&json!(picture.len()), &json!("image/png"))
    );
    let id = row["id"].as_str().unwrap();
    let base = format!("{PUBLIC_URL}/u/pictures/{token}");
    assert_eq!(row["url"], format!("{base}/f/{id}"));
    assert_eq!(row["thumbnailUrl"], row["url"]);
    assert_eq!(row["deleteUrl"], format!("{base}/form/{id}"));
    assert_eq!(row["deleteType"], "DELETE");
    assert_eq!(row.get("error"), None);
    assert_eq!(stored(&broker, &row["id"]), picture);
    assert_eq!(
        usage(&broker, "pictures").await,
        [format!("0 1 0 {}", picture.len())]
    );
    nothing_is_left(&broker).await;
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_public_slot_have_addresses_without_a_token() {
    let broker = broker().await;
    let token = token(&broker);
    let picture = png(1);
    let reply = post(
        &broker,
        &place("open", &token, "form"),
        &[file("a.png", &picture)],
    )
    .await;
    let row = &files(&reply)[0];
    let id = row["id"].as_str().unwrap();
    assert_eq!(row["url"], format!("{PUBLIC_URL}/f/{id}"));
    assert_eq!(ask(&broker, "GET", &format!("/f/{id}")).await.status, 302);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_iframe_that_accepts_no_json_gets_the_same_as_text() {
    let broker = broker().await;
    let picture = png(1);
    let body = form(&[file("a.png", &picture)]);
    let request = Request::post(place("pictures", &token(&broker), "form"))
        .header(
            "content-type",
            format!("multipart/form-data; boundary={}", crate::BOUNDARY),
        )
        .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .body(Body::from(body));
    let reply = send(&broker, request.unwrap()).await;
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert_eq!(files(&reply)[0]["name"], "a.png");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_of_a_form_has_its_own_verdict() {
    let broker = broker().await;
    let (first, last) = (png(1), png(2));
    let too_large = large_png(6 * 1024 * 1024 + 1);
    let parts = [
        file("first.png", &first),
        file("page.png", HTML),
        file("large.png", &too_large),
        Part("files[]", Some(("notes.txt", "text/plain")), b"words"),
        file("empty.png", b""),
        file("last.png", &last),
    ];
    let reply = post(&broker, &place("pictures", &token(&broker), "form"), &parts).await;
    let seen: Vec<_> = files(&reply)
        .iter()
        .map(|file| {
            let word = |member: &str| file[member].as_str().unwrap_or("-").to_owned();
            (word("name"), word("error"), word("code"), word("reason"))
        })
        .collect();
    let row = |a: &str, b: &str, c: &str, d: &str| (a.into(), b.into(), c.into(), d.into());
    assert_eq!(
        seen,
        [
            row("first.png", "-", "-", "-"),
            row(
                "page.png",
                "Filetype not allowed",
                "content-rejected",
                "active-content"
            ),
            row("large.png", "File is too big", "file-too-large", "-"),
            row(
                "notes.txt",
                "Filetype not allowed",
                "type-not-accepted",
                "-"
            ),
            row(
                "empty.png",
                "File is too small",
                "content-rejected",
                "empty"
            ),
            row("last.png", "-", "-", "-"),
        ]
    );
    assert_eq!(broker.objects("files").len(), 2);
    nothing_is_left(&broker).await;
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_listed_and_deleted_in_both_ways() {
    let broker = broker().await;
    let token = token(&broker);
    let at = place("pictures", &token, "form");
    let (one, two) = (png(1), png(2));
    let posted = post(
        &broker,
        &at,
        &[file("one.png", &one), file("two.png", &two)],
    )
    .await;
    let posted = files(&posted);
    let listed = ask(&broker, "GET", &at).await;
    assert_eq!(files(&listed), [posted[1].clone(), posted[0].clone()]);
    let path = |row: &serde_json::Value| {
        let url = row["deleteUrl"].as_str().unwrap();
        url.strip_prefix("https://own.example.com")
            .unwrap()
            .to_owned()
    };
    let gone = ask(&broker, "DELETE", &path(&posted[0])).await;
    assert_eq!((gone.status, gone.json()), (200, json!({"one.png": true})));
    let elsewhere = path(&posted[1]).replace("/pictures/", "/open/");
    assert_eq!(ask(&broker, "DELETE", &elsewhere).await.status, 404);
    assert_eq!(ask(&broker, "POST", &path(&posted[1])).await.status, 400);
    let gone = ask(&broker, "POST", &(path(&posted[1]) + "?_method=DELETE")).await;
    assert_eq!((gone.status, gone.json()), (200, json!({"two.png": true})));
    assert!(files(&ask(&broker, "GET", &at).await).is_empty());
    broker.sweep().await;
    assert_eq!(broker.objects("files"), []);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_delete_deletes_nothing() {
    let broker = broker().await;
    let token = broker.token_with(json!({"sub": "7"}));
    let picture = png(1);
    let reply = post(
        &broker,
        &place("pictures", &token, "form"),
        &[file("a.png", &picture)],
    )
    .await;
    let id = files(&reply)[0]["id"].clone();
    let path = format!(
        "{}/{}",
        place("pictures", &token, "form"),
        id.as_str().unwrap()
    );
    assert_eq!(ask(&broker, "DELETE", &path).await.status, 403);
    assert_eq!(stored(&broker, &id), picture);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorials_answer_is_is_valid() {
    let broker = broker().await;
    let at = place("tutorial", &token(&broker), "form");
    let picture = png(1);
    let reply = post(
        &broker,
        &at,
        &[Part("file", Some(("a.png", "image/png")), &picture)],
    )
    .await;
    let said = reply.json();
    assert_eq!(
        (reply.status, &said["is_valid"], &said["name"]),
        (200, &json!(true), &json!("a.png"))
    );
    assert!(said["url"].as_str().unwrap().starts_with(PUBLIC_URL));
    let reply = post(
        &broker,
        &at,
        &[Part("file", Some(("a.png", "image/png")), HTML)],
    )
    .await;
    let said = reply.json();
    assert_eq!((reply.status, &said["is_valid"]), (200, &json!(false)));
    assert_eq!(said["error"], "Filetype not allowed");
    assert_eq!(
        post(&broker, &at, &[]).await.json(),
        json!({"is_valid": false})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn filedrops_answer_is_success_and_its_failures_are_statuses() {
    let broker = broker().await;
    let at = place("drop", &token(&broker), "form");
    let picture = png(1);
    let reply = post(
        &broker,
        &at,
        &[Part("file", Some(("a.png", "image/png")), &picture)],
    )
    .await;
    assert_eq!(
        (reply.status, &reply.json()["success"]),
        (200, &json!(true))
    );
    let reply = post(
        &broker,
        &at,
        &[Part("file", Some(("a.png", "image/png")), HTML)],
    )
    .await;
    assert_eq!(
        (reply.status, &reply.json()["success"]),
        (422, &json!(false))
    );
    assert_eq!(post(&broker, &at, &[]).await.status, 400);
    let faults = broker.store.faults();
    faults.always(Op::PutObject, Fault::ErrorBefore(503));
    let later = png(2);
    let reply = post(
        &broker,
        &at,
        &[Part("file", Some(("b.png", "image/png")), &later)],
    )
    .await;
    faults.clear();
    let heads = (reply.header("retry-after"), reply.header("cache-control"));
    assert_eq!((reply.status, heads), (503, ("1", "no-store")));
    let body = form(&[Part("file", Some(("a.png", "image/png")), HTML)]);
    let as_filedrop = Request::post(&at)
        .header(
            "content-type",
            format!("multipart/form-data; boundary={}", crate::BOUNDARY),
        )
        .header("accept", "*/*");
    let reply = send(&broker, as_filedrop.body(Body::from(body)).unwrap()).await;
    assert_eq!(
        (reply.status, &reply.json()["success"]),
        (422, &json!(false))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_iframe_is_led_to_a_page_of_ours_with_the_answer() {
    let broker = broker().await;
    let at = place("pictures", &token(&broker), "form");
    let picture = png(1);
    let target = format!("{PAGE}/cors/result.html?%s");
    let reply = post(
        &broker,
        &at,
        &[text("redirect", &target), file("a b.png", &picture)],
    )
    .await;
    assert_eq!(reply.status, 302);
    let place = reply.header("location");
    let answer = place
        .strip_prefix(&format!("{PAGE}/cors/result.html?"))
        .unwrap();
    assert!(answer.starts_with("%7B%22files%22%3A%5B%7B"), "{answer}");
    assert!(answer.contains("a%20b.png"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_script_leads_back_with_the_verdict() {
    let broker = broker().await;
    let token = token(&broker);
    let picture = png(1);
    let back = format!("{PAGE}/profile?tab=2");
    let parts = |bytes| {
        [
            text("back", &back),
            Part("picture", Some(("me.png", "image/png")), bytes),
            Part("other", Some(("", "application/octet-stream")), b""),
        ]
    };
    let at = place("pictures", &token, "form");
    let reply = post(&broker, &at, &parts(&picture)).await;
    assert_eq!(reply.status, 303, "{reply:?}");
    let id = reply
        .header("location")
        .strip_prefix(&format!("{back}&uploaded="));
    assert_eq!(stored(&broker, &json!(id.unwrap())), picture);
    let reply = post(&broker, &at, &parts(HTML)).await;
    let refused = format!("{back}&refused=content-rejected&reason=active-content&name=me.png");
    assert_eq!(reply.header("location"), refused);
    let nothing = [Part(
        "picture",
        Some(("", "application/octet-stream")),
        b"" as &[u8],
    )];
    let reply = post(&broker, &format!("{at}?back=/done"), &nothing).await;
    assert_eq!(reply.header("location"), "/done?refused=no-file");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_led_to_a_stranger_and_nothing_is_taken_before_that_is_known() {
    let broker = broker().await;
    let at = place("pictures", &token(&broker), "form");
    let picture = png(1);
    for target in [
        "https://evil.example/",
        "https://app.example.com.evil.example/",
        "https://app.example.com@evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example/",
        "javascript:alert(1)",
        "http://app.example.com/",
        "",
    ] {
        for name in ["redirect", "back"] {
            let parts = [text(name, target), file("a.png", &picture)];
            let reply = post(&broker, &at, &parts).await;
            assert_eq!(reply.status, 400, "{name} {target:?}: {reply:?}");
        }
    }
    assert_eq!(broker.objects("files"), []);
    assert!(usage(&broker, "pictures").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ref_that_is_none_is_refused_with_files_or_without() {
    let broker = broker().await;
    let at = place("pictures", &token(&broker), "form");
    let picture = png(1);
    for parts in [&[][..], &[file("a.png", &picture)]] {
        let reply = post(&broker, &format!("{at}?ref="), parts).await;
        assert_eq!(reply.status, 400, "{reply:?}");
    }
    assert!(usage(&broker, "pictures").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_does_not_speak_forms_answers_404() {
    let broker = broker().await;
    let token = token(&broker);
    let picture = png(1);
    for (slot, dialect) in [("silent", "form"), ("raw", "jsonform"), ("none", "form")] {
        let reply = post(
            &broker,
            &place(slot, &token, dialect),
            &[file("a.png", &picture)],
        )
        .await;
        assert_eq!(reply.status, 404, "{slot}: {reply:?}");
    }
    assert_eq!(broker.objects("files"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_form_is_a_problem() {
    let broker = broker().await;
    let at = place("pictures", &token(&broker), "form");
    let kinds = [
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=\"\"",
    ];
    for kind in kinds {
        let request = Request::post(&at).header("content-type", kind);
        let reply = send(&broker, request.body(Body::from("{}")).unwrap()).await;
        assert_eq!(reply.status, 415, "{kind}: {reply:?}");
    }
    let whole = form(&[text("a", "b"), file("a.png", &png(1))]);
    let cut = |length: usize| whole[..length].to_vec();
    let mut endless = format!("--{}\r\nx-long: ", crate::BOUNDARY).into_bytes();
    endless.extend(std::iter::repeat_n(b'y', 3 * 1024 * 1024));
    let mut long_value = form(&[text("a", &"v".repeat(9000))]);
    long_value.extend(b"");
    for (words, body) in [
        ("nothing", Vec::new()),
        ("no boundary", vec![b'x'; 3 * 1024 * 1024]),
        ("a head that does not end", endless),
        ("half a head", cut(90)),
        ("half a file", cut(whole.len() - 100)),
        ("no last boundary", cut(whole.len() - 30)),
        ("a long value", long_value),
    ] {
        let request = posting(&at).body(in_pieces(body, 10_000));
        let reply: Reply = send(&broker, request.unwrap()).await;
        assert_eq!(reply.status, 400, "{words}: {reply:?}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
    }
    nothing_is_left(&broker).await;
    assert_eq!(broker.objects("files"), []);
}
