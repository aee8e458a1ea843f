//! The README's story, through the real binary: `putgate dev`, with nothing around it.

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

mod common;
#[path = "common/process.rs"]
mod process;
#[path = "webhooks/receiver.rs"]
#[expect(dead_code, reason = "the tests of webhooks use the rest")]
mod receiver;
#[path = "common/services.rs"]
mod services;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use common::{HTML, png};
use process::{Reply, Server, fetch, mint, put, putgate};
use receiver::{Hook, KEY, Seen};
use serde_json::{Value, json};
use services::Services;

async fn get(url: &str) -> Reply {
    fetch("GET", url, &[].into(), b"").await.unwrap()
}

async fn token(server: &Server, query: &str) -> String {
    let reply = get(&format!("{}/dev/token?{query}", server.url)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["token"].as_str().unwrap().to_owned()
}

/// Mint, put, complete.
async fn upload(server: &Server, token: &str, slot: &str, name: &str, bytes: &[u8]) -> Reply {
    let ticket = mint(&server.url, token, slot, name, bytes.len())
        .await
        .unwrap();
    assert_eq!(put(&ticket["transfer"], bytes).await, Ok(200));
    let path = format!("/v1/tickets/{}/complete", ticket["id"].as_str().unwrap());
    server.call("POST", &path, token, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_goes_straight_to_storage_and_is_committed_listed_and_served() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::dev(data.path());
    let token = token(&server, "sub=7").await;
    let bytes = png(1);

    let ticket = mint(&server.url, &token, "photos", "cat.png", bytes.len())
        .await
        .unwrap();
    let upload_url = ticket["transfer"]["url"].as_str().unwrap();
    assert!(
        upload_url.starts_with(&server.store_url),
        "the bytes must not pass through the broker: {upload_url}"
    );
    assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
    let path = format!("/v1/tickets/{}/complete", ticket["id"].as_str().unwrap());
    let reply = server.call("POST", &path, &token, None).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let committed = reply.json();
    assert_eq!(committed["state"], "committed");
    assert_eq!(committed["file"]["type"], "image/png");
    assert_eq!(committed["file"]["width"], 16);

    let list = server
        .call("GET", "/v1/files?slot=photos", &token, None)
        .await
        .json();
    assert_eq!(list["files"].as_array().unwrap().len(), 1);
    assert_eq!(list["files"][0]["id"], ticket["id"]);

    let download = get(list["files"][0]["url"].as_str().unwrap()).await;
    assert_eq!((download.status, &download.bytes), (200, &bytes));
    assert_eq!(download.header("content-type"), "image/png");
    assert!(
        download
            .header("content-disposition")
            .starts_with("attachment")
    );

    let public = get(&format!(
        "{}/f/{}",
        server.url,
        ticket["id"].as_str().unwrap()
    ))
    .await;
    assert_eq!(public.status, 302);
    let download = get(public.header("location")).await;
    assert_eq!((download.status, download.bytes), (200, bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_html_page_called_png_is_refused_with_its_reason() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::dev(data.path());
    let token = token(&server, "sub=7").await;
    let reply = upload(&server, &token, "photos", "cat.png", HTML).await;
    assert_eq!(reply.status, 422, "{reply:?}");
    assert_eq!(reply.header("content-type"), "application/problem+json");
    let problem = reply.json();
    assert_eq!(problem["code"], "content-rejected");
    assert_eq!(problem["reason"], "active-content");
    let list = server.call("GET", "/v1/files", &token, None).await.json();
    assert_eq!(list["files"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_says_one_line_on_stdout_and_the_rest_on_stderr() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::dev(data.path());
    let token = token(&server, "sub=7").await;
    upload(&server, &token, "avatar", "me.png", &png(1)).await;
    server.signal("TERM");
    assert_eq!(server.ended(Duration::from_secs(10)).code(), Some(0));
    server.wait_for_log("stopping");
    let out = server.stdout();
    assert_eq!(out.len(), 1, "{out:?}");
    let line: Value = serde_json::from_str(&out[0]).unwrap();
    assert_eq!(
        line,
        json!({"url": server.url, "store_url": server.store_url})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_four_slots_of_dev_are_those_of_the_design() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::dev(data.path());
    let token = token(&server, "sub=7").await;
    let slots = server.call("GET", "/v1/slots", &token, None).await.json();
    let seen: Vec<Value> = slots["slots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slot| {
            let keys = [
                "name",
                "accept",
                "max_file_size",
                "max_entries",
                "on_full",
                "unclaimed_ttl",
                "quota",
                "disposition",
                "public",
            ];
            keys.iter()
                .map(|key| ((*key).to_owned(), slot[key].clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        })
        .collect();
    let slot = |name: &str, accept: Value, size: u64, entries: u32, rest: [Value; 3]| {
        let [on_full, quota, public] = rest;
        json!({
            "name": name, "accept": accept, "max_file_size": size, "max_entries": entries,
            "on_full": on_full, "unclaimed_ttl": null, "quota": quota,
            "disposition": "attachment", "public": public,
        })
    };
    let expected = [
        slot(
            "avatar",
            json!([".jpg", ".png", ".webp"]),
            5_000_000,
            1,
            [json!("replace"), json!(null), json!(false)],
        ),
        slot(
            "big",
            json!([]),
            10_000_000_000,
            5,
            [json!("reject"), json!(null), json!(false)],
        ),
        slot(
            "documents",
            json!([".pdf", ".docx", ".xlsx", ".csv", ".txt", ".zip"]),
            20_000_000,
            20,
            [json!("reject"), json!(null), json!(false)],
        ),
        slot(
            "photos",
            json!(["image/*"]),
            10_000_000,
            5,
            [json!("reject"), json!(100_000_000), json!(true)],
        ),
    ];
    assert_eq!(seen, expected);
    let photos = &slots["slots"][3];
    let image = json!({"max_width": 8000, "max_height": 8000, "max_pixels": 50_000_000});
    assert_eq!(photos["image"], image);
    assert_eq!(photos["part_size"], 8 << 20);
    assert_eq!(photos["ticket_ttl"], 24 * 3600);
    assert_eq!(photos["url_ttl"], 15 * 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_gives_tokens_for_any_owner_scope_tenant_and_refs() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::dev(data.path());
    let bytes = png(1);
    let reader = token(&server, "sub=7&scope=read").await;
    let refused = mint(&server.url, &reader, "photos", "a.png", bytes.len()).await;
    assert!(refused.unwrap_err().contains("403"), "no `upload` in it");

    let acme = token(&server, "sub=7&tenant=acme&refs=post:1,post:2").await;
    let ask = |reference: &str| json!({"slot": "photos", "ref": reference, "files": [{"name": "a.png", "size": bytes.len()}]});
    for (reference, status) in [("post:1", 201), ("post:2", 201), ("post:3", 403)] {
        let reply = server
            .call("POST", "/v1/tickets", &acme, Some(ask(reference)))
            .await;
        assert_eq!(reply.status, status, "{reference}: {reply:?}");
    }
    let other = token(&server, "sub=7").await;
    let list = server.call("GET", "/v1/tickets", &other, None).await;
    assert_eq!(list.json()["tickets"], json!([]), "another tenant's");
    // An empty list names no ref, not the ref "".
    let plain = token(&server, "sub=7&refs=").await;
    mint(&server.url, &plain, "photos", "a.png", bytes.len())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_page_and_its_parts_are_served_with_their_types_and_a_policy() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::dev(data.path());
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/demo/photos.js", "text/javascript; charset=utf-8"),
        ("/demo/demo.css", "text/css; charset=utf-8"),
        (
            "/client/putgate-client.js",
            "text/javascript; charset=utf-8",
        ),
    ] {
        let reply = get(&format!("{}{path}", server.url)).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, kind));
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert!(!reply.bytes.is_empty());
    }
    let policy = get(&server.url).await;
    let policy = policy.header("content-security-policy");
    for law in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        &format!("connect-src 'self' {}", server.store_url),
    ] {
        assert!(policy.contains(law), "{law} is not in {policy}");
    }
    assert!(!policy.contains("unsafe"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_may_put_to_the_store_and_another_page_may_not() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::dev(data.path());
    let token = token(&server, "sub=7").await;
    let ticket = mint(&server.url, &token, "photos", "a.png", 10)
        .await
        .unwrap();
    let url = ticket["transfer"]["url"].as_str().unwrap();
    for (origin, allowed) in [
        (server.url.as_str(), server.url.as_str()),
        ("https://evil.example", ""),
    ] {
        let ask = [
            ("origin".to_owned(), origin.to_owned()),
            ("access-control-request-method".to_owned(), "PUT".to_owned()),
        ];
        let reply = fetch("OPTIONS", url, &ask.into(), b"").await.unwrap();
        assert_eq!(reply.header("access-control-allow-origin"), allowed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_files_and_secrets() {
    let data = tempfile::tempdir().unwrap();
    let first = Server::dev(data.path());
    let old = token(&first, "sub=7").await;
    let committed = upload(&first, &old, "photos", "cat.png", &png(1)).await;
    assert_eq!(committed.status, 200, "{committed:?}");
    first.signal("TERM");
    assert_eq!(first.ended(Duration::from_secs(10)).code(), Some(0));

    let second = Server::dev(data.path());
    let list = second.call("GET", "/v1/files", &old, None).await;
    assert_eq!(list.status, 200, "the old token must still be good");
    let files = list.json();
    let download = get(files["files"][0]["url"].as_str().unwrap()).await;
    assert_eq!((download.status, download.bytes), (200, png(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_readable_by_their_owner_alone_and_new_for_each_directory() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _servers = (Server::dev(one.path()), Server::dev(two.path()));
    let names = ["token.secret", "server.secret", "upload.secret"];
    let read = |dir: &Path| names.map(|name| std::fs::read_to_string(dir.join(name)).unwrap());
    for name in names {
        let mode = std::fs::metadata(one.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let mut all: Vec<String> = [read(one.path()), read(two.path())].concat();
    let is_hex = |secret: &String| secret.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(
        all.iter()
            .all(|secret| secret.len() == 64 && is_hex(secret))
    );
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6, "every secret is its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_a_crash_left_empty_is_made_again() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("token.secret"), "").unwrap();
    let server = Server::dev(data.path());
    let token = token(&server, "sub=7").await;
    assert_eq!(
        server.call("GET", "/v1/slots", &token, None).await.status,
        200
    );
}

/// `dev` on free ports that is expected to give up at once.
fn failing_dev(data: &Path) -> process::Said {
    putgate(&[
        "dev".as_ref(),
        "--listen=127.0.0.1:0".as_ref(),
        "--store-listen=127.0.0.1:0".as_ref(),
        "--data".as_ref(),
        data.as_os_str(),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_directory_is_refused_with_a_sentence() {
    let data = tempfile::tempdir().unwrap();
    let first = Server::dev(data.path());
    let said = failing_dev(data.path());
    assert_eq!(said.code, Some(1));
    assert_eq!(said.out, "");
    assert!(
        said.err.contains("is served by another process"),
        "{said:?}"
    );
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
    let token = token(&first, "sub=7").await;
    let reply = upload(&first, &token, "photos", "a.png", &png(1)).await;
    assert_eq!(reply.status, 200, "the first must not notice: {reply:?}");
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let data = file.join("data");
    let said = failing_dev(&data);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains(&data.display().to_string()) && said.err.lines().count() == 1,
        "{said:?}"
    );
}

/// Root may write anywhere, so this asks first whether the directory is read-only at all.
#[test]
fn a_read_only_data_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let modes = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(dir.path(), modes(0o555)).unwrap();
    let read_only = std::fs::write(dir.path().join("probe"), "").is_err();
    let said = read_only.then(|| failing_dev(dir.path()));
    std::fs::set_permissions(dir.path(), modes(0o755)).unwrap();
    if let Some(said) = said {
        assert_eq!(said.code, Some(1));
        let named = said.err.contains(&dir.path().display().to_string());
        assert!(named && said.err.contains("denied"), "{said:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--store-listen"] {
        let other = if flag == "--listen" {
            "--store-listen=127.0.0.1:0"
        } else {
            "--listen=127.0.0.1:0"
        };
        let data = tempfile::tempdir().unwrap();
        let said = putgate(&[
            "dev",
            flag,
            &address,
            other,
            "--data",
            &data.path().display().to_string(),
        ]);
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains(&address), "{flag}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_on_every_interface_names_an_address_that_a_browser_here_reaches() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::dev_on(data.path(), "0.0.0.0:0", "0.0.0.0:0");
    server.wait_for_log("tokens are for this machine only");
    for url in [&server.url, &server.store_url] {
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    }
    let token = token(&server, "sub=7").await;
    let reply = upload(&server, &token, "photos", "a.png", &png(1)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

// ------------------------------------------------ `serve`, on the services of the environment

#[tokio::test(flavor = "multi_thread")]
async fn served_files_go_from_ticket_to_download_are_told_of_and_the_audit_is_clean() {
    let services = Services::of_environment().await;
    let site = services.site();
    let hook = Hook::content().await;
    std::fs::write(site.dir.path().join("hook.secret"), KEY).unwrap();
    let takes_replicas = site.database.is_postgres();
    site.write_with(process::SLOTS, &|text| {
        let events = format!(
            "[webhook]\nurl = \"{}\"\nsecret_files = [\"hook.secret\"]\nallow_private = true\n",
            hook.url()
        );
        let alone = format!("[server]\nworker = {}\n", !takes_replicas);
        text.replacen("[server]\n", &alone, 1) + &events
    });
    let server = site.serve();
    // Where two processes may share the database, one serves and the other works.
    let worker = takes_replicas.then(|| Server::worker(&site.config()));
    let token = site.token(&services::owner());
    let bytes = png(1);

    // A picture, straight to the store.
    let ticket = mint(&server.url, &token, "photos", "cat.png", bytes.len())
        .await
        .unwrap();
    let url = ticket["transfer"]["url"].as_str().unwrap();
    assert!(url.starts_with(&services.endpoint), "{url}");
    assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
    let complete = format!("/v1/tickets/{}/complete", ticket["id"].as_str().unwrap());
    let committed = server.call("POST", &complete, &token, None).await;
    assert_eq!(committed.status, 200, "{committed:?}");
    assert_eq!(committed.json()["file"]["type"], "image/png");

    // The same URL again: the store may take it, the file stays what was judged.
    let mut evil = bytes.clone();
    evil[60] ^= 1;
    put(&ticket["transfer"], &evil).await.unwrap();
    let again = server.call("POST", &complete, &token, None).await.json();
    assert_eq!(again["file"]["etag"], committed.json()["file"]["etag"]);
    let download = get(again["file"]["url"].as_str().unwrap()).await;
    assert_eq!((download.status, &download.bytes), (200, &bytes));
    assert_eq!(download.header("content-type"), "image/png");
    let disposition = download.header("content-disposition");
    assert!(disposition.starts_with("attachment"), "{disposition}");
    let public = format!("{}/f/{}", server.url, ticket["id"].as_str().unwrap());
    let public = get(&public).await;
    assert_eq!(public.status, 302, "{public:?}");
    assert_eq!(get(public.header("location")).await.bytes, bytes);

    // A web page that calls itself a picture.
    let refused = upload(&server, &token, "photos", "x.png", HTML).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.json()["reason"], "active-content");

    // Two parts, out of order, the last one short.
    let bytes = [vec![b'a'; 5 << 20], vec![b'b'; 9]].concat();
    let ticket = mint(&server.url, &token, "big", "a.bin", bytes.len())
        .await
        .unwrap();
    assert_eq!(ticket["transfer"]["kind"], "multipart", "{ticket}");
    let path = format!("/v1/tickets/{}", ticket["id"].as_str().unwrap());
    let sign = Some(json!({"parts": [1, 2]}));
    let signed = server
        .call("POST", &format!("{path}/sign"), &token, sign)
        .await;
    let parts = signed.json()["parts"].clone();
    assert_eq!(put(&parts[1], &bytes[5 << 20..]).await, Ok(200));
    let early = server
        .call("POST", &format!("{path}/complete"), &token, None)
        .await;
    assert_eq!(early.json()["code"], "parts-missing", "{early:?}");
    assert_eq!(put(&parts[0], &bytes[..5 << 20]).await, Ok(200));
    let whole = server
        .call("POST", &format!("{path}/complete"), &token, None)
        .await;
    assert_eq!(whole.status, 200, "{whole:?}");
    let download = get(whole.json()["file"]["url"].as_str().unwrap()).await;
    assert!(download.bytes == bytes, "{} bytes", download.bytes.len());

    // Gone for readers now, the audit has nothing to say, and a restart forgets nothing.
    let file = format!("/v1/files/{}", ticket["id"].as_str().unwrap());
    let deleted = server.call("DELETE", &file, &token, None).await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
    told(&hook, &committed.json(), &ticket["id"]).await;
    assert!(site.must(&["audit"]).contains("0 violations"));
    if let Some(worker) = worker {
        worker.signal("TERM");
        assert_eq!(worker.ended(Duration::from_secs(10)).code(), Some(0));
    }
    server.signal("TERM");
    assert_eq!(server.ended(Duration::from_secs(10)).code(), Some(0));
    let server = Server::serve(&site.config());
    let list = server.call("GET", "/v1/files", &token, None).await.json();
    assert_eq!(list["files"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["files"][0]["name"], "cat.png");
}

/// What the story above has told its receiver: of the picture, of the refused page, of the
/// file in parts and of its end. All of it signed, and in order for each.
async fn told(hook: &Hook, picture: &Value, parts: &Value) {
    hook.wait_for(4).await;
    let seen = hook.seen();
    for event in &seen {
        assert!(event.is_signed_by(KEY), "{event:?}");
        assert!(!event.is_signed_by(b"another"), "{event:?}");
    }
    let about = |id: &Value| -> Vec<&Seen> {
        let about = seen.iter().filter(|event| event.subject() == *id);
        about.collect()
    };
    let kinds = |of: &[&Seen]| -> Vec<String> { of.iter().map(|event| event.kind()).collect() };
    let first = about(&picture["id"]);
    assert_eq!(kinds(&first), ["ticket.committed"]);
    let said = &first[0].json()["data"];
    assert_eq!(said["file"]["key"], picture["file"]["key"]);
    assert_eq!(said["file"]["type"], "image/png");
    assert_eq!(kinds(&about(parts)), ["ticket.committed", "file.deleted"]);
    let rejected = seen.iter().find(|event| event.kind() == "ticket.rejected");
    assert!(rejected.is_some(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn served_with_one_key_for_all_only_where_the_store_refuses_to_copy() {
    let services = Services::of_environment().await;
    let site = services.site_with_one_key();
    site.must(&["setup"]);
    if services.is_safe_with_one_key {
        Server::serve(&site.config());
        return;
    }
    let said = site.run(&["serve"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("unsigned x-amz-copy-source"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_makes_the_buckets_and_says_the_same_again() {
    let services = Services::of_environment().await;
    let site = services.site();
    site.must(&["setup"]);
    let said = site.must(&["setup"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "the database's schema is up to date",
            "the staging bucket staging is there",
            "the files bucket files is there",
        ],
        "{said}"
    );
    let (pages, days) = services.rules();
    assert!(lines[3].contains(pages), "{said}");
    assert!(lines[4].contains(days), "{said}");
}
