//! The commands of the binary: what they say, what they do, how they end.

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

mod common;
#[path = "common/process.rs"]
mod process;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{HTML, png};
use process::{Reply, SLOTS, Server, Site, mint, put, putgate, putgate_in};
use putgate::devstore::{DevStore, Fault, Op};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn site() -> (Site, DevStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = common::devstore(dir.path()).await;
    (Site::new(dir, &store.url()), store)
}

/// A site without a store: for commands that need none.
fn bare_site() -> Site {
    Site::new(tempfile::tempdir().unwrap(), "http://127.0.0.1:9")
}

/// Mint, put, complete; the ticket's id and the answer.
async fn upload(
    server: &Server,
    token: &str,
    slot: &str,
    name: &str,
    bytes: &[u8],
) -> (String, Reply) {
    let ticket = mint(&server.url, token, slot, name, bytes.len())
        .await
        .unwrap();
    assert_eq!(put(&ticket["transfer"], bytes).await, Ok(200));
    let id = ticket["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/tickets/{id}/complete");
    let reply = server.call("POST", &path, token, None).await;
    (id, reply)
}

/// Waits until something is true; for what happens after an answer.
async fn until(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + process::PATIENCE;
    while !is_true().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn help_lists_the_commands_and_the_exit_codes() {
    let said = putgate(&["--help"]);
    assert_eq!(said.code, Some(0));
    for command in [
        "dev",
        "serve",
        "worker",
        "setup",
        "check",
        "audit",
        "sweep",
        "inspect",
        "token",
        "healthcheck",
    ] {
        assert!(said.out.contains(&format!("\n  {command} ")), "{command}");
    }
    let codes = said.out.split_once("Exit codes:").unwrap().1;
    for code in ["  0  ", "  1  ", "  2  ", "  3  "] {
        assert!(codes.contains(code), "{codes}");
    }
    assert_eq!(putgate(&["no-such-command"]).code, Some(2));
}

#[test]
fn dev_listens_on_this_machine_alone_unless_asked() {
    let said = putgate(&["dev", "--help"]);
    for default in ["[default: 127.0.0.1:3000]", "[default: 127.0.0.1:9000]"] {
        assert!(said.out.contains(default), "{}", said.out);
    }
}

#[test]
fn check_prints_each_value_with_its_origin_and_no_secret() {
    let site = bare_site();
    let config = site.config().display().to_string();
    let said = putgate_in(
        &[("PUTGATE_LIMITS_MAX_OPEN_TICKETS", "7")],
        &["--config", &config, "check"],
    );
    assert_eq!(said.code, Some(0), "{said:?}");
    let line = |key: &str| {
        let found = said.out.lines().find(|line| line.starts_with(key));
        found.unwrap_or_else(|| panic!("{key} is not in {}", said.out))
    };
    assert!(line("max_open_tickets").starts_with("max_open_tickets = 7 "));
    assert!(line("max_open_tickets").ends_with("# PUTGATE_LIMITS_MAX_OPEN_TICKETS"));
    assert!(line("staging_bucket").contains("putgate.toml:11"));
    assert!(line("retention").ends_with("# default"));
    assert!(line("secret_key").contains("\"***\""));
    for secret in ["server-secret", "upload-secret", common::SECRET] {
        assert!(!said.out.contains(secret), "{secret} is shown");
    }
}

#[test]
fn check_reports_every_mistake_with_its_place_and_ends_with_2() {
    let site = bare_site();
    site.write_with(SLOTS, &|text| {
        text.replace("region = \"us-east-1\"", "regoin = \"us-east-1\"")
            .replace("max_file_size = \"20MB\"", "max_file_size = \"20 apples\"")
            .replace("on_full = \"replace\"", "on_full = \"explode\"")
    });
    let said = site.run(&["check"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
    for mistake in ["regoin", "region", "20 apples", "explode"] {
        let line = said.err.lines().find(|line| line.contains(mistake));
        let line = line.unwrap_or_else(|| panic!("{mistake} is not in {}", said.err));
        assert!(line.contains("putgate.toml:"), "{line}");
    }
    let serve = site.run(&["serve"]);
    assert_eq!((serve.code, serve.err), (Some(2), said.err));
}

#[test]
fn check_refuses_what_serve_would_refuse() {
    let site = bare_site();
    site.write_with(SLOTS, &|text| {
        text.replace(
            "hs256_secret_files = [\"token.secret\"]",
            "public_key_files = [\"key.pem\"]",
        )
    });
    std::fs::write(
        site.dir.path().join("key.pem"),
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    )
    .unwrap();
    let said = site.run(&["check"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
    assert!(said.err.contains("key"), "{said:?}");
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.toml").display().to_string();
    for command in ["check", "serve", "setup", "audit", "sweep", "healthcheck"] {
        let said = putgate(&["--config", &path, command]);
        assert_eq!(said.code, Some(2), "{command}: {said:?}");
        assert!(said.err.contains(&path), "{command}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_command_line_opens_what_it_says() {
    let (site, _store) = site().await;
    site.write_with(SLOTS, &|text| {
        text.replace(
            "[limits]",
            "issuer = \"https://app.example.com\"\naudience = [\"uploads\"]\n[limits]",
        )
    });
    let server = site.serve();
    let ask = |reference: Option<&str>| json!({"slot": "photos", "ref": reference, "files": [{"name": "a.png", "size": 10}]});
    let full = site.must(&[
        "token",
        "--sub",
        "7",
        "--tenant",
        "acme",
        "--refs",
        "post:1,post:2",
    ]);
    for (reference, status) in [(None, 201), (Some("post:2"), 201), (Some("post:3"), 403)] {
        let body = Some(ask(reference));
        let reply = server.call("POST", "/v1/tickets", full.trim(), body).await;
        assert_eq!(reply.status, status, "{reference:?}: {reply:?}");
    }
    let reader = site.must(&["token", "--sub", "7", "--scope", "read"]);
    let reply = server
        .call("POST", "/v1/tickets", reader.trim(), Some(ask(None)))
        .await;
    assert_eq!(reply.status, 403, "{reply:?}");
    assert_eq!(full.lines().count(), 1, "nothing but the token");
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_wants_setup_first_and_setup_may_run_again() {
    let (site, _store) = site().await;
    let refused = || {
        for command in ["serve", "audit", "sweep"] {
            let said = site.run(&[command]);
            assert_eq!(said.code, Some(1), "{command}: {said:?}");
            assert!(said.err.contains("putgate setup"), "{command}: {said:?}");
        }
    };
    refused();
    assert!(
        !site.database().exists(),
        "a mistyped path must stay as it was"
    );
    std::fs::write(site.database(), "").unwrap();
    refused();
    site.must(&["setup"]);
    site.must(&["setup"]);
    let server = Server::serve(&site.config());
    let ready = server.call("GET", "/readyz", "", None).await;
    assert_eq!(ready.status, 200);
    let second = site.run(&["serve"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(
        second.err.contains("served by another process"),
        "{second:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthcheck_is_0_while_serve_lives_and_1_after() {
    let (site, _store) = site().await;
    let server = site.serve();
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    site.write_with(SLOTS, &|text| text.replace("127.0.0.1:0", &address));
    site.must(&["healthcheck"]);
    server.killer().kill();
    let said = site.run(&["healthcheck"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains(&address), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_alone_finishes_what_a_serve_without_one_began() {
    let (site, store) = site().await;
    site.write_with(SLOTS, &|text| {
        let more = "worker = false\nadmin_listen = \"127.0.0.1:0\"\n[database]";
        text.replace("[database]", more)
    });
    let apart = |server: &Server| {
        let log = server.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let line: Option<Value> = lines
            .into_iter()
            .find(|line: &Value| line["message"] == "answering apart");
        format!("http://{}", line.unwrap()["address"].as_str().unwrap())
    };
    let server = site.serve();
    let token = site.token("7");
    let ticket = mint(&server.url, &token, "photos", "a.png", png(1).len());
    let ticket = ticket.await.unwrap();
    assert_eq!(put(&ticket["transfer"], &png(1)).await, Ok(200));
    assert!(server.log().contains("\"works\":false"), "{}", server.log());
    let get = async |server: &Server, path: &str| {
        process::call(&apart(server), "GET", path, &token, None).await
    };
    assert_eq!(get(&server, "/readyz").await.unwrap().status, 200);
    let reply = get(&server, "/v1/slots").await;
    assert_eq!(reply.unwrap().status, 404, "the API is not there");
    let said = site.run(&["worker"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("served by another process"), "{said:?}");
    assert!(said.err.contains("needs PostgreSQL"), "{said:?}");
    // The minute before the first look, passed.
    meddle(&site, "UPDATE tickets SET next_check_at = 0").await;
    server.signal("TERM");
    assert!(server.ended(Duration::from_secs(10)).success());
    assert!(store.objects("files").is_empty(), "nobody looked");

    let worker = Server::worker(&site.config());
    assert_eq!(get(&worker, "/readyz").await.unwrap().status, 200);
    until("it commits the file", async || {
        store.objects("files").len() == 1 && store.objects("staging").is_empty()
    })
    .await;
    worker.signal("TERM");
    assert!(worker.ended(Duration::from_secs(10)).success());
    site.must(&["audit"]);
}

#[test]
fn dev_refuses_a_configuration_that_it_would_not_read() {
    let site = bare_site();
    let said = site.run(&["dev"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
    assert!(said.err.starts_with("--config: "), "{said:?}");
}

#[test]
fn a_token_that_would_open_nothing_is_refused() {
    let site = bare_site();
    for (args, offender) in [
        (&["--sub", ""][..], "--sub"),
        (&["--sub", "7", "--scope", "upload raed"], "raed"),
        (&["--sub", "7", "--life", "0"], "--life"),
        (&["--sub", "7", "--tenant", "a b"], "--tenant"),
    ] {
        let said = site.run(&[&["token"], args].concat());
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
        assert!(said.err.contains(offender), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_beside_a_running_server_finds_it_lawful() {
    let (site, _store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    upload(&server, &token, "photos", "a.png", &png(1)).await;
    upload(&server, &token, "photos", "b.png", HTML).await;
    let said = site.run(&["audit"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.starts_with("1 live file, "), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_ends_with_3_when_an_object_is_gone() {
    let (site, store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    upload(&server, &token, "photos", "a.png", &png(1)).await;
    let key = store.objects("files")[0].0.clone();
    assert!(store.remove("files", &key));
    let said = site.run(&["audit"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(
        said.err.starts_with("law 1: ") && said.err.contains(&key),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_ends_with_3_when_an_object_is_another() {
    let (site, store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    upload(&server, &token, "photos", "a.png", &png(1)).await;
    let key = store.objects("files")[0].0.clone();
    store.write("files", &key, HTML, "image/png").unwrap();
    let said = site.run(&["audit"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.starts_with("law 1: "), "{said:?}");
}

/// Somebody's hand in the database.
async fn meddle(site: &Site, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(site.database());
    let mut connection = options.connect().await.unwrap();
    let done = sqlx::query(sql).execute(&mut connection).await.unwrap();
    assert!(done.rows_affected() > 0);
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_ends_with_3_when_the_usage_is_wrong_or_an_event_is_missing() {
    for (law, sql) in [
        ("law 4: ", "UPDATE usage SET files = files + 1"),
        ("law 4: ", "DELETE FROM usage"),
        ("law 5: ", "DELETE FROM events"),
    ] {
        let (site, _store) = site().await;
        let server = site.serve();
        let token = site.token("7");
        upload(&server, &token, "photos", "a.png", &png(1)).await;
        meddle(&site, sql).await;
        let said = site.run(&["audit"]);
        assert_eq!(said.code, Some(3), "{sql}: {said:?}");
        assert!(said.err.starts_with(law), "{sql}: {said:?}");
    }
}

/// Puts again by the URL of a closed ticket, and plants objects that no row knows.
async fn litter(server: &Server, store: &DevStore, token: &str) -> (String, Vec<String>) {
    let ticket = mint(&server.url, token, "photos", "a.png", HTML.len())
        .await
        .unwrap();
    let id = ticket["id"].as_str().unwrap().to_owned();
    put(&ticket["transfer"], HTML).await.unwrap();
    let path = format!("/v1/tickets/{id}/complete");
    assert_eq!(server.call("POST", &path, token, None).await.status, 422);
    until("the ticket is cleaned", async || {
        store.objects("staging").is_empty()
    })
    .await;
    put(&ticket["transfer"], HTML).await.unwrap();
    let strangers = ["a-stranger", "default/photos/cat.png"];
    for key in strangers {
        for bucket in ["staging", "files"] {
            store.write(bucket, key, b"?", "text/plain").unwrap();
        }
    }
    (id, strangers.map(str::to_owned).to_vec())
}

fn keys(store: &DevStore, bucket: &str) -> Vec<String> {
    store
        .objects(bucket)
        .into_iter()
        .map(|(key, _)| key)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_deletes_debris_alone_and_a_dry_one_nothing() {
    let (site, store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    let (debris, strangers) = litter(&server, &store, &token).await;

    let dry = site.must(&["sweep", "--dry-run"]);
    assert!(
        dry.contains(&format!("would delete from the staging bucket: {debris}")),
        "{dry}"
    );
    assert!(
        dry.contains("would delete 1 object, left 4 unknown ones"),
        "{dry}"
    );
    assert!(keys(&store, "staging").contains(&debris));

    // Beside the server first, and what comes later without it.
    let swept = site.must(&["sweep"]);
    assert!(
        swept.contains(&format!("deleted from the staging bucket: {debris}")),
        "{swept}"
    );
    assert_eq!(keys(&store, "staging"), strangers);
    assert_eq!(keys(&store, "files"), strangers);
    server.signal("TERM");
    assert_eq!(server.ended(Duration::from_secs(10)).code(), Some(0));
    let swept = site.must(&["sweep"]);
    assert!(
        swept.ends_with("deleted 0 objects, left 4 unknown ones\n"),
        "{swept}"
    );
    assert_eq!(keys(&store, "staging"), strangers);
    assert_eq!(keys(&store, "files"), strangers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_without_a_server_does_what_its_worker_left() {
    let (site, store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    let (id, _) = upload(&server, &token, "photos", "a.png", &png(1)).await;
    store
        .faults()
        .always(Op::DeleteObject, Fault::ErrorBefore(403));
    let path = format!("/v1/files/{id}");
    assert_eq!(server.call("DELETE", &path, &token, None).await.status, 204);
    server.killer().kill();
    assert_eq!(store.objects("files").len(), 1);
    store.faults().clear();
    site.must(&["sweep", "--dry-run"]);
    assert_eq!(store.objects("files").len(), 1, "a dry one deletes nothing");
    // A refused purge is tried again later, so bring that moment about.
    meddle(&site, "UPDATE files SET purge_at = ended_at").await;
    site.must(&["sweep"]);
    assert_eq!(store.objects("files"), []);
    site.must(&["audit"]);
}

#[test]
fn inspect_says_what_a_file_is_and_whether_a_slot_would_take_it() {
    let site = bare_site();
    let dir = site.dir.path();
    std::fs::write(dir.join("cat.png"), png(1)).unwrap();
    std::fs::write(dir.join("evil.png"), HTML).unwrap();
    let at = |name: &str| dir.join(name).display().to_string();
    let (cat, evil) = (at("cat.png"), at("evil.png"));

    let said = putgate(&["inspect", &cat, &evil]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.out, format!("{cat}: image/png\n{evil}: text/html\n"));

    let said = putgate(&["inspect", "--accept", ".png,.jpg", &cat, &evil]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines[0], format!("{cat}: image/png: accept"));
    assert!(lines[1].starts_with(&format!("{evil}: text/html: reject, ")));

    let json = site.must(&["inspect", "--json", "--slot", "photos", &cat, &evil]);
    let reports: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(reports[0]["verdict"], "accept");
    assert_eq!(
        (&reports[0]["width"], &reports[0]["height"]),
        (&json!(16), &json!(16))
    );
    assert_eq!(reports[1]["verdict"], "reject");
    assert_eq!(reports[1]["reason"], "active-content");

    for (args, code) in [
        (["inspect", "--slot", "no-such-slot", &cat], 2),
        (["inspect", "--accept", "/nonsense/", &cat], 2),
        (["inspect", "--accept", ".png", "no-such-file"], 1),
    ] {
        let said = site.run(&args);
        assert_eq!(said.code, Some(code), "{args:?}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_for_everything_is_accepted_where_the_store_refuses_to_copy() {
    let (site, store) = site().await;
    one_key(&site);
    let server = site.serve();
    let token = site.token("7");
    let (_, reply) = upload(&server, &token, "photos", "a.png", &png(1)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    until("staging is clean", async || {
        store.objects("staging").is_empty()
    })
    .await;
    assert_eq!(store.unfinished("staging"), 0, "the probe cleans up");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_for_everything_is_refused_where_the_store_does_not_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let store = common::devstore(dir.path()).await;
    let careless = careless(store.addr()).await;
    let site = Site::new(dir, &format!("http://{careless}"));
    one_key(&site);
    site.must(&["setup"]);
    let said = site.run(&["serve"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("x-amz-copy-source"), "{said:?}");
    assert_eq!(
        (store.objects("staging"), store.unfinished("staging")),
        (vec![], 0)
    );
}

fn one_key(site: &Site) {
    site.write_with(SLOTS, &|text| {
        text.replace(
            "upload_access_key = \"upload\"\nupload_secret_key = \"upload-secret\"",
            "upload_key = \"same\"",
        )
    });
}

/// The dev store behind a door that lets no copy source be seen, so it does not refuse one.
async fn careless(store: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(store).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut chunk = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = from_client.read(&mut chunk).await {
                    let text = &mut chunk[..length];
                    let name = b"x-amz-copy-source";
                    if let Some(at) = text.windows(name.len()).position(|w| w == name) {
                        text[at..at + name.len()].copy_from_slice(b"x-nothing-to-see!");
                    }
                    if to_server.write_all(text).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_slots_anew_and_an_invalid_file_changes_nothing() {
    let (site, _store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    let status = async || {
        let reply = server.call("GET", "/v1/slots/extra", &token, None).await;
        reply.status
    };
    assert_eq!(status().await, 404);
    let more = format!("{SLOTS}\n[slots.extra]\nmax_file_size = \"1MB\"\n");
    site.write(&more);
    server.signal("HUP");
    until("the new slot is there", async || status().await == 200).await;

    site.write(&format!(
        "{SLOTS}\n[slots.extra]\nmax_file_size = \"many\"\n"
    ));
    server.signal("HUP");
    server.wait_for_log("the slots stay as they were");
    let slot = server.call("GET", "/v1/slots/extra", &token, None).await;
    assert_eq!(slot.json()["max_file_size"], 1_000_000);
    assert_eq!(
        server.call("GET", "/v1/slots", &token, None).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_finished_when_serve_is_told_to_stop() {
    let (site, store) = site().await;
    let server = Arc::new(site.serve());
    let token = site.token("7");
    let ticket = mint(&server.url, &token, "photos", "a.png", png(1).len())
        .await
        .unwrap();
    put(&ticket["transfer"], &png(1)).await.unwrap();
    let told = Arc::clone(&server);
    store
        .faults()
        .before(Op::CopyObject, 1, move || async move {
            told.signal("TERM");
            told.wait_for_log("stopping");
        });
    let path = format!("/v1/tickets/{}/complete", ticket["id"].as_str().unwrap());
    let reply = server.call("POST", &path, &token, None).await;
    assert_eq!(
        (reply.status, &reply.json()["state"]),
        (200, &json!("committed"))
    );
    assert_eq!(server.ended(Duration::from_secs(10)).code(), Some(0));
    site.must(&["audit"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_what_is_in_flight() {
    let (site, store) = site().await;
    let server = Arc::new(site.serve());
    let token = site.token("7");
    let ticket = mint(&server.url, &token, "photos", "a.png", png(1).len())
        .await
        .unwrap();
    put(&ticket["transfer"], &png(1)).await.unwrap();
    store.faults().next(Op::CopyObject, Fault::Hang);
    let waiting = {
        let (server, token) = (Arc::clone(&server), token.clone());
        let path = format!("/v1/tickets/{}/complete", ticket["id"].as_str().unwrap());
        tokio::spawn(async move { process::call(&server.url, "POST", &path, &token, None).await })
    };
    until("the copy began", async || {
        store.faults().count(Op::CopyObject) == 1
    })
    .await;
    server.signal("TERM");
    server.wait_for_log("stopping");
    server.signal("INT");
    assert_eq!(server.ended(Duration::from_secs(10)).code(), Some(0));
    let reply = waiting.await.unwrap();
    assert!(!reply.is_ok_and(|reply| reply.status < 500));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_signed_url_is_in_the_log_of_a_life() {
    let (site, _store) = site().await;
    site.write_with(SLOTS, &|text| {
        text.replace("[database]", "log_filter = \"trace\"\n[database]")
    });
    let server = site.serve();
    let token = site.token("7");
    let (id, reply) = upload(&server, &token, "photos", "a.png", &png(1)).await;
    assert_eq!(reply.status, 200);
    upload(&server, &token, "photos", "b.png", HTML).await;
    let files = server.call("GET", "/v1/files", &token, None).await;
    assert_eq!(files.status, 200);
    server
        .call("DELETE", &format!("/v1/files/{id}"), &token, None)
        .await;
    server.signal("TERM");
    server.ended(Duration::from_secs(10));
    let log = server.log();
    assert!(log.contains("answered"), "it was a chatty one");
    for secret in [
        "X-Amz-Signature",
        "server-secret",
        "upload-secret",
        common::SECRET,
        &token,
    ] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
