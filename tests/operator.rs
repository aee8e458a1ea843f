//! What an operator does on a running site: asks for a ticket's story, changes keys and
//! secrets, runs out of room, and has no right to write.

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

mod common;
#[path = "common/golden.rs"]
mod golden;
#[path = "common/process.rs"]
mod process;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{HTML, png};
use golden::assert_golden;
use hmac::{Hmac, KeyInit, Mac};
use process::{PATIENCE, SLOTS, Server, Site, mint, put};
use putgate::devstore::{DevStore, Fault, Op, Role};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::task::JoinSet;

async fn site() -> (Site, DevStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = common::devstore(dir.path()).await;
    (Site::new(dir, &store.url()), store)
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn id(ticket: &Value) -> &str {
    ticket["id"].as_str().unwrap()
}

async fn complete(server: &Server, token: &str, ticket: &Value) -> process::Reply {
    let path = format!("/v1/tickets/{}/complete", id(ticket));
    server.call("POST", &path, token, None).await
}

/// One picture, from mint to commit; or what went wrong.
async fn upload(url: &str, token: &str, n: u32) -> Result<Value, String> {
    let bytes = png(n);
    let ticket = mint(url, token, "photos", "a.png", bytes.len()).await?;
    match put(&ticket["transfer"], &bytes).await? {
        200 => {}
        status => return Err(format!("PUT: {status}")),
    }
    let path = format!("/v1/tickets/{}/complete", id(&ticket));
    let reply = process::call(url, "POST", &path, token, None).await?;
    match reply.status {
        200 => Ok(reply.json()),
        _ => Err(format!("{reply:?}")),
    }
}

/// Uploads without a pause, by several hands.
struct Load {
    hands: JoinSet<()>,
    stop: Arc<AtomicBool>,
    done: Vec<Arc<AtomicUsize>>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Load {
    fn start(url: &str, token: &str) -> Self {
        let mut load = Self {
            hands: JoinSet::new(),
            stop: Arc::default(),
            done: vec![Arc::default(), Arc::default(), Arc::default()],
            failures: Arc::default(),
        };
        for done in load.done.clone() {
            let (url, token) = (url.to_owned(), token.to_owned());
            let (stop, failures) = (Arc::clone(&load.stop), Arc::clone(&load.failures));
            load.hands.spawn(async move {
                let mut n = 0;
                while !stop.load(Ordering::SeqCst) {
                    n += 1;
                    if let Err(why) = upload(&url, &token, n).await {
                        failures.lock().unwrap().push(why);
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        load
    }

    /// Until every hand has begun and finished another upload.
    async fn another_round(&self) {
        let before: Vec<usize> = self.done.iter().map(|n| n.load(Ordering::SeqCst)).collect();
        until("another round of uploads", async || {
            let now = self.done.iter().map(|n| n.load(Ordering::SeqCst));
            now.zip(&before).all(|(now, before)| now >= before + 2)
        })
        .await;
    }

    async fn end(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        while self.hands.join_next().await.is_some() {}
        let failures = self.failures.lock().unwrap();
        failures.clone()
    }
}

fn secret(site: &Site, name: &str, text: &str) {
    std::fs::write(site.dir.path().join(name), text).unwrap();
}

// ---- keys and secrets -----------------------------------------------------------------------

const NEW_SECRET: &str = "another-secret-for-tests-of-32-bytes-or-more";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_secret_of_tokens_is_changed_under_load_and_the_old_one_ends_at_once() {
    let (site, _store) = site().await;
    let server = site.serve();
    let old = site.token("7");
    let load = Load::start(&server.url, &old);
    load.another_round().await;

    secret(&site, "new.secret", NEW_SECRET);
    let files = |list: &str| format!("hs256_secret_files = [{list}]");
    let configure = |list: &str| {
        site.write_with(SLOTS, &|text| {
            text.replace(&files("\"token.secret\""), &files(list))
        });
    };
    configure("\"new.secret\", \"token.secret\"");
    let new = site.token("7");
    let status = async |token: &str| server.call("GET", "/v1/slots", token, None).await.status;
    assert_eq!((status(&old).await, status(&new).await), (200, 401));
    server.signal("HUP");
    until("the new secret verifies", async || {
        status(&new).await == 200
    })
    .await;
    load.another_round().await;
    assert_eq!(
        load.end().await,
        Vec::<String>::new(),
        "the old one verified all the time"
    );

    let load = Load::start(&server.url, &new);
    configure("\"new.secret\"");
    server.signal("HUP");
    // It was verified before, and is remembered by the keys of then only.
    until("the old secret is refused", async || {
        status(&old).await == 401
    })
    .await;
    configure("\"nowhere.secret\"");
    server.signal("HUP");
    server.wait_for_log("the slots stay as they were, and so do keys and secrets");
    load.another_round().await;
    assert_eq!(load.end().await, Vec::<String>::new());
    site.write(SLOTS);
    site.must(&["audit"]);
}

/// A receiver that takes what one secret signed, and remembers the rest.
#[derive(Default)]
struct Receiver {
    accepts: Mutex<String>,
    taken: AtomicUsize,
    refused: Mutex<Vec<String>>,
    most_signatures: AtomicUsize,
    last_signatures: AtomicUsize,
}

async fn receive(State(r): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let key = r.accepts.lock().unwrap().clone();
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    mac.update(&body);
    let wanted = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let signatures = header("webhook-signature");
    let count = signatures.split(' ').count();
    r.most_signatures.fetch_max(count, Ordering::SeqCst);
    r.last_signatures.store(count, Ordering::SeqCst);
    if signatures.split(' ').any(|one| one == wanted) {
        r.taken.fetch_add(1, Ordering::SeqCst);
        return StatusCode::NO_CONTENT;
    }
    r.refused.lock().unwrap().push(header("webhook-id"));
    StatusCode::UNAUTHORIZED
}

async fn listen(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn with_hook(text: &str, url: &str, secrets: &str) -> String {
    let section = format!(
        "[webhook]\nurl = \"{url}\"\nsecret_files = [{secrets}]\nallow_private = true\n\n[limits]"
    );
    text.replace("[limits]", &section)
}

const FIRST_SECRET: &str = "the first secret of events";
const SECOND_SECRET: &str = "the second secret of events";

/// A receiver that believes the first secret, its URL, and a site with both in its files.
async fn site_with_receiver() -> (Arc<Receiver>, String, Site, DevStore) {
    let receiver = Arc::<Receiver>::default();
    FIRST_SECRET.clone_into(&mut receiver.accepts.lock().unwrap());
    let router = Router::new().route("/hook", post(receive));
    let url = listen(router.with_state(Arc::clone(&receiver))).await;
    let (site, store) = site().await;
    secret(&site, "one.secret", FIRST_SECRET);
    secret(&site, "two.secret", SECOND_SECRET);
    (receiver, url, site, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_secret_of_events_is_changed_under_load_and_no_event_is_refused() {
    let (receiver, url, site, _store) = site_with_receiver().await;
    let configure = |secrets: &str| site.write_with(SLOTS, &|text| with_hook(&text, &url, secrets));
    configure("\"one.secret\"");
    let server = site.serve();
    let load = Load::start(&server.url, &site.token("7"));
    let taken = || receiver.taken.load(Ordering::SeqCst);
    until("events come", async || taken() > 5).await;

    configure("\"two.secret\", \"one.secret\"");
    server.signal("HUP");
    let last = || receiver.last_signatures.load(Ordering::SeqCst);
    until("both secrets sign", async || last() == 2).await;
    // What was signed before is settled before the receiver changes over.
    load.another_round().await;
    SECOND_SECRET.clone_into(&mut receiver.accepts.lock().unwrap());
    let before = taken();
    until("the new secret is accepted", async || taken() > before + 5).await;

    configure("\"two.secret\"");
    server.signal("HUP");
    until("one secret signs", async || last() == 1).await;
    let before = taken();
    until("events still come", async || taken() > before + 5).await;
    assert_eq!(load.end().await, Vec::<String>::new());
    assert_eq!(*receiver.refused.lock().unwrap(), Vec::<String>::new());
    assert_eq!(receiver.most_signatures.load(Ordering::SeqCst), 2);
}

const NOTIFICATIONS: &str = "/v1/notifications/s3";
const OLD_BELL: &str = "the old secret of notifications";
const NEW_BELL: &str = "the new secret of notifications";

/// What MinIO tells about an object of the staging bucket.
fn arrived(key: &str) -> Value {
    let object = json!({"bucket": {"name": "staging"}, "object": {"key": key, "size": 3}});
    let record = json!({"eventName": "s3:ObjectCreated:Put", "s3": object});
    json!({"EventName": "s3:ObjectCreated:Put", "Records": [record]})
}

/// What a notification with this secret is answered.
async fn notified(server: &Server, secret: &str, key: &str) -> u16 {
    let reply = server.call("POST", NOTIFICATIONS, secret, Some(arrived(key)));
    reply.await.status
}

/// A site that knows these secrets of notifications, in files of these names.
fn with_bells(site: &Site, settings: &str) {
    secret(site, "old.bell", OLD_BELL);
    secret(site, "new.bell", NEW_BELL);
    site.write_with(SLOTS, &|text| {
        let section = format!("[notifications]\n{settings}\n\n[limits]");
        text.replace("[limits]", &section)
    });
}

/// Whether notifications bring an upload to its end that nobody completes.
async fn a_notification_commits(server: &Server, token: &str, bell: &str) {
    let bytes = png(1);
    let ticket = mint(&server.url, token, "photos", "a.png", bytes.len());
    let ticket = ticket.await.unwrap();
    assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
    assert_eq!(notified(server, bell, id(&ticket)).await, 204);
    let path = format!("/v1/tickets/{}?wait=20", id(&ticket));
    let seen = server.call("GET", &path, token, None).await.json();
    assert_eq!(seen["state"], "committed", "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_secret_of_notifications_is_changed_under_load_and_no_good_one_is_refused() {
    let (site, _store) = site().await;
    with_bells(&site, "secret_file = \"old.bell\"");
    let server = Arc::new(site.serve());
    let token = site.token("7");
    let status = async |bell: &str| notified(&server, bell, "nothing").await;
    assert_eq!((status(OLD_BELL).await, status(NEW_BELL).await), (204, 401));
    // The store, which sends what it was told last.
    let sent = Arc::new(Mutex::new(OLD_BELL));
    let (counts, over) = (
        Arc::<[AtomicUsize; 3]>::default(),
        Arc::<AtomicBool>::default(),
    );
    let mut hands = JoinSet::new();
    for hand in 0..counts.len() {
        let (server, sent) = (Arc::clone(&server), Arc::clone(&sent));
        let (counts, over) = (Arc::clone(&counts), Arc::clone(&over));
        hands.spawn(async move {
            let mut answers = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let bell = *sent.lock().unwrap();
                answers.push(notified(&server, bell, "nothing").await);
                counts[hand].fetch_add(1, Ordering::SeqCst);
            }
            answers
        });
    }
    // Two of each, so that one began after it was asked for.
    let another_round = async || {
        let counted = || -> Vec<usize> {
            let counts = counts.iter();
            counts.map(|count| count.load(Ordering::SeqCst)).collect()
        };
        let before = counted();
        until("another round of notifications", async || {
            let now = counted();
            now.iter()
                .zip(&before)
                .all(|(now, then)| now >= &(then + 2))
        })
        .await;
    };
    another_round().await;

    with_bells(
        &site,
        "secret_file = \"new.bell\"\nsecret_files = [\"old.bell\"]",
    );
    server.signal("HUP");
    until("the new secret opens", async || {
        status(NEW_BELL).await == 204
    })
    .await;
    assert_eq!(status(OLD_BELL).await, 204, "and so does the old one");
    another_round().await;
    *sent.lock().unwrap() = NEW_BELL;
    another_round().await;

    with_bells(&site, "secret_files = [\"new.bell\"]");
    server.signal("HUP");
    until("the old secret is refused", async || {
        status(OLD_BELL).await == 401
    })
    .await;
    another_round().await;
    secret(&site, "short.bell", "too short");
    with_bells(&site, "secret_files = [\"short.bell\"]");
    server.signal("HUP");
    server.wait_for_log("holds 9 bytes, and must hold 16");
    another_round().await;
    over.store(true, Ordering::SeqCst);
    let answers: Vec<u16> = hands.join_all().await.concat();
    assert!(answers.iter().all(|status| *status == 204), "{answers:?}");
    a_notification_commits(&server, &token, NEW_BELL).await;
    assert!(!server.log().contains("take a restart"), "{}", server.log());
    for secret in [OLD_BELL, NEW_BELL] {
        assert!(!server.log().contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn notifications_are_turned_on_and_off_by_a_hangup() {
    let (site, _store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    let status = async |bell: &str| notified(&server, bell, "nothing").await;
    for bell in [NEW_BELL, ""] {
        assert_eq!(status(bell).await, 404, "there is no such call");
    }
    with_bells(&site, "secret_file = \"new.bell\"");
    server.signal("HUP");
    until("it is there", async || status(NEW_BELL).await == 204).await;
    assert_eq!((status(OLD_BELL).await, status("").await), (401, 401));
    a_notification_commits(&server, &token, NEW_BELL).await;

    site.write(SLOTS);
    server.signal("HUP");
    until("it is gone", async || status(NEW_BELL).await == 404).await;
    assert!(!server.log().contains("take a restart"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_keys_of_storage_are_changed_under_load_and_no_upload_is_lost() {
    let (site, store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    let load = Load::start(&server.url, &token);
    load.another_round().await;

    assert!(store.add_key(Role::Server, "server2", "server2-secret"));
    assert!(store.add_key(Role::Upload, "upload2", "upload2-secret"));
    let renamed = |text: String| {
        ["server", "upload"].iter().fold(text, |text, role| {
            text.replace(&format!("\"{role}\""), &format!("\"{role}2\""))
                .replace(
                    &format!("\"{role}-secret\""),
                    &format!("\"{role}2-secret\""),
                )
        })
    };
    site.write_with(SLOTS, &renamed);
    server.signal("HUP");
    until("URLs are signed with the new key", async || {
        let ticket = mint(&server.url, &token, "photos", "a.png", 10)
            .await
            .unwrap();
        ticket["transfer"]["url"]
            .as_str()
            .unwrap()
            .contains("upload2")
    })
    .await;
    // Those that were signed with the old key are used up.
    load.another_round().await;
    assert!(store.remove_key("server") && store.remove_key("upload"));
    load.another_round().await;
    assert_eq!(load.end().await, Vec::<String>::new());
    drop(server);
    assert!(site.must(&["audit"]).contains("0 violations"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_restart_is_named_and_stays_as_it_was() {
    let (site, _store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    site.write_with(SLOTS, &|text| {
        text.replace("max_open_tickets = 100000", "max_open_tickets = 1")
            .replace("files_bucket = \"files\"", "files_bucket = \"others\"")
    });
    server.signal("HUP");
    server.wait_for_log("limits.max_open_tickets, storage.files_bucket");
    for n in 1..=2 {
        upload(&server.url, &token, n).await.unwrap();
        mint(&server.url, &token, "photos", "a.png", 10)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_another_store_wait_for_the_restart_that_moves_there() {
    let (site, _store) = site().await;
    let (other, _elsewhere) = self::site().await;
    let server = site.serve();
    let token = site.token("7");
    upload(&server.url, &token, 1).await.unwrap();
    let of = |site: &Site| {
        let text = std::fs::read_to_string(site.config()).unwrap();
        let line = text.lines().find(|line| line.starts_with("endpoint = "));
        line.unwrap().to_owned()
    };
    let (here, there) = (of(&site), of(&other));
    let moved = |text: String| {
        text.replace(&here, &there)
            .replace("\"server\"", "\"server2\"")
            .replace("\"upload\"", "\"upload2\"")
            .replace("-secret\"", "2-secret\"")
    };
    let more = format!("{SLOTS}\n[slots.extra]\nmax_file_size = \"1MB\"\n");
    site.write_with(&more, &moved);
    server.signal("HUP");
    server.wait_for_log("storage.endpoint");
    server.wait_for_log("the storage keys stay as they were until then");
    until("the new slot is there", async || {
        let slot = server.call("GET", "/v1/slots/extra", &token, None).await;
        slot.status == 200
    })
    .await;
    let done = upload(&server.url, &token, 2).await.unwrap();
    let bytes = process::fetch(
        "GET",
        done["file"]["url"].as_str().unwrap(),
        &[].into(),
        b"",
    )
    .await;
    assert_eq!(bytes.unwrap().bytes, png(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_of_another_receiver_wait_for_the_restart_that_turns_to_it() {
    let (receiver, url, site, _store) = site_with_receiver().await;
    site.write_with(SLOTS, &|text| with_hook(&text, &url, "\"one.secret\""));
    let server = site.serve();
    let elsewhere = url.replace("/hook", "/another");
    site.write_with(SLOTS, &|text| {
        with_hook(&text, &elsewhere, "\"two.secret\"")
    });
    server.signal("HUP");
    server.wait_for_log("webhook.url");
    server.wait_for_log("the webhook's secrets stay as they were until then");
    let token = site.token("7");
    upload(&server.url, &token, 1).await.unwrap();
    until("its event is taken", async || {
        receiver.taken.load(Ordering::SeqCst) > 0
    })
    .await;
    assert_eq!(*receiver.refused.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_a_hangup_adds_is_counted_from_zero() {
    let (site, _store) = site().await;
    let apart = |text: String| {
        text.replacen(
            "[server]\n",
            "[server]\nadmin_listen = \"127.0.0.1:0\"\n",
            1,
        )
    };
    site.write_with(SLOTS, &apart);
    let server = site.serve();
    let admin = format!("http://{}", server.address("answering apart"));
    let more = format!("{SLOTS}\n[slots.extra]\nmax_file_size = \"1MB\"\n");
    site.write_with(&more, &apart);
    server.signal("HUP");
    until("the new slot has a series", async || {
        let numbers = process::call(&admin, "GET", "/metrics", "", None).await;
        let text = String::from_utf8(numbers.unwrap().bytes).unwrap();
        ["tickets_minted", "files_committed", "committed_bytes"]
            .iter()
            .all(|name| text.contains(&format!("putgate_{name}_total{{slot=\"extra\"}} 0\n")))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_while_it_starts_ends_nothing_and_is_heard() {
    let (site, _store) = site().await;
    // Somebody whose published keys do not come as long as this holds the connection.
    let keys = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", keys.local_addr().unwrap());
    let with_keys =
        |text: String| text.replace("[auth]\n", &format!("[auth]\njwks_url = \"{url}\"\n"));
    site.write_with(SLOTS, &with_keys);
    site.must(&["setup"]);
    let server = Server::begin_in(&[], &site.config());
    let (asked, _) = keys.accept().await.unwrap();
    let more = format!("{SLOTS}\n[slots.extra]\nmax_file_size = \"1MB\"\n");
    site.write_with(&more, &with_keys);
    server.signal("HUP");
    drop((asked, keys));
    let server = server.ready();
    server.wait_for_log("the slots were read anew");
    let token = site.token("7");
    until("the new slot is there", async || {
        let slot = server.call("GET", "/v1/slots/extra", &token, None).await;
        slot.status == 200
    })
    .await;
}

// ---- no room, no right to write -------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_room_is_507_and_the_upload_goes_on_when_there_is_some() {
    let (site, store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    let bytes = png(1);
    let ticket = mint(&server.url, &token, "photos", "a.png", bytes.len())
        .await
        .unwrap();
    assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
    store
        .faults()
        .always(Op::CopyObject, Fault::ErrorBefore(507));
    store
        .faults()
        .always(Op::CreateMultipart, Fault::ErrorBefore(507));
    let full = complete(&server, &token, &ticket).await;
    assert_eq!(
        (full.status, &full.json()["code"]),
        (507, &json!("storage-full")),
        "{full:?}"
    );
    let large = mint(&server.url, &token, "big", "film", 20 << 20)
        .await
        .unwrap();
    let path = format!("/v1/tickets/{}/sign", id(&large));
    let sign = server
        .call("POST", &path, &token, Some(json!({"parts": [1]})))
        .await;
    assert_eq!(
        (sign.status, &sign.json()["code"]),
        (507, &json!("storage-full")),
        "{sign:?}"
    );
    let shown = site.must(&["show", id(&ticket)]);
    assert!(
        shown.contains("  last seen   the store is full: CopyObject: 507"),
        "{shown}"
    );
    assert_eq!(server.call("GET", "/readyz", "", None).await.status, 200);

    store.faults().clear();
    let done = complete(&server, &token, &ticket).await;
    assert_eq!(done.status, 200, "{done:?}");
    let sign = server
        .call("POST", &path, &token, Some(json!({"parts": [1]})))
        .await;
    assert_eq!(sign.status, 200, "{sign:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_file_that_may_only_be_read_is_refused_at_the_start() {
    let (site, _store) = site().await;
    site.must(&["setup"]);
    let said = process::as_a_reader(&site, &["serve"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains("cannot lock") && said.err.contains("denied"),
        "{said:?}"
    );
}

// ---- a ticket's story -----------------------------------------------------------------------

/// Ids as `ID`, moments as `TIME`, distances as `SPAN`: what differs from run to run.
fn plain(text: &str) -> String {
    let shape = |word: &str| -> String {
        let of = |c: char| if c.is_ascii_hexdigit() { 'x' } else { c };
        word.chars().map(of).collect()
    };
    let uuid = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    let mut out = String::new();
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let next = |n: usize| {
            chars[at..(at + n).min(chars.len())]
                .iter()
                .collect::<String>()
        };
        if shape(&next(36)) == uuid {
            out.push_str("ID");
            at += 36;
        } else if shape(&next(23)) == "xxxx-xx-xx xx:xx:xx.xxx" {
            out.push_str("TIME");
            at += 23;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_shows_its_verdict_and_what_it_rests_on() {
    let (site, _store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    let ticket = mint(&server.url, &token, "photos", "holiday.png", HTML.len())
        .await
        .unwrap();
    put(&ticket["transfer"], HTML).await.unwrap();
    assert_eq!(complete(&server, &token, &ticket).await.status, 422);
    let mut hand = site.database.hand().await;
    until("it is clean", async || {
        hand.lines("SELECT 'x' FROM tickets WHERE clean_at IS NOT NULL")
            .await
            .is_empty()
    })
    .await;
    let said = site.must(&["show", id(&ticket)]);
    assert_golden("show", "rejected", &plain(&cooling_last(&said)));
}

/// The moment until which it counts is in the future, at a distance that differs.
fn cooling_last(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("  in ") {
        Some((before, after)) if after.contains(": it no longer") => {
            format!(
                "{before}  in SPAN: it no longer{}",
                after.split(": it no longer").nth(1).unwrap()
            )
        }
        _ => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_shows_its_life_and_its_events_with_what_the_receiver_said() {
    let gone = Router::new().route("/hook", post(async || StatusCode::GONE));
    let url = listen(gone).await;
    let (site, _store) = site().await;
    secret(
        &site,
        "hook.secret",
        "a secret of the receiver's, long enough",
    );
    site.write_with(SLOTS, &|text| with_hook(&text, &url, "\"hook.secret\""));
    let server = site.serve();
    let token = site.token("7");
    let mut hand = site.database.hand().await;
    let mut given_up = async |count: usize| {
        until("the events were given up", async || {
            let dead = hand
                .lines("SELECT state FROM events WHERE state = 'dead'")
                .await;
            dead.len() == count
        })
        .await;
    };
    let file = upload(&server.url, &token, 1).await.unwrap();
    given_up(1).await;
    let backend = site.must(&["token", "--sub", "app", "--scope", "manage"]);
    let claim = json!({"files": [id(&file)], "owner": "7", "ref": "post:42"});
    let claimed = server
        .call("POST", "/v1/claims", backend.trim(), Some(claim))
        .await;
    assert_eq!(claimed.status, 200, "{claimed:?}");
    given_up(2).await;
    let mut hand = site.database.hand().await;
    until("it is clean", async || {
        hand.lines("SELECT 'x' FROM tickets WHERE clean_at IS NOT NULL")
            .await
            .is_empty()
    })
    .await;
    let said = site.must(&["show", id(&file)]);
    assert_golden("show", "committed", &plain(&said));

    let key = file["file"]["key"].as_str().unwrap();
    assert_eq!(
        site.must(&["show", key]),
        said,
        "the file's key finds it too"
    );
    let json: Value = serde_json::from_str(&site.must(&["show", id(&file), "--json"])).unwrap();
    assert_eq!(json["ticket"]["state"], "committed");
    assert_eq!(json["file"]["key"], key);
    assert_eq!(json["events"][1]["type"], "file.claimed");
    assert_eq!(json["events"][1]["last_status"], 410);
    let event = json["events"][0]["id"].as_str().unwrap();
    assert_eq!(
        site.must(&["show", event]),
        said,
        "and the id of an event about it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_is_under_way_is_shown_with_its_lease_and_no_secret() {
    let (site, store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    let large = mint(&server.url, &token, "big", "film", 20 << 20)
        .await
        .unwrap();
    let path = format!("/v1/tickets/{}/sign", id(&large));
    let sign = server
        .call("POST", &path, &token, Some(json!({"parts": [1]})))
        .await;
    assert_eq!(sign.status, 200);
    let shown = site.must(&["show", id(&large)]);
    assert!(
        shown.contains("  transfer    4 parts of 5242880 bytes; begun at the store"),
        "{shown}"
    );

    let bytes = png(1);
    let ticket = mint(&server.url, &token, "photos", "a.png", bytes.len())
        .await
        .unwrap();
    put(&ticket["transfer"], &bytes).await.unwrap();
    store.faults().next(Op::CopyObject, Fault::Hang);
    let path = format!("/v1/tickets/{}/complete?wait=0", id(&ticket));
    assert_eq!(server.call("POST", &path, &token, None).await.status, 202);
    until("the attempt is under way", async || {
        let shown = site.must(&["show", id(&ticket)]);
        shown.contains("  attempts    1; the last is under way, its lease ends in ")
    })
    .await;
    for args in [&["show", id(&large)][..], &["show", id(&large), "--json"]] {
        let said = site.must(args);
        let upload_id = sign.json()["parts"][0]["url"].as_str().unwrap().to_owned();
        let upload_id = upload_id
            .split("uploadId=")
            .nth(1)
            .unwrap()
            .split('&')
            .next()
            .unwrap();
        for secret in ["X-Amz", upload_id, "secret"] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    }
    server.killer().kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_tickets_are_listed_and_an_unknown_id_is_an_error() {
    let (site, _store) = site().await;
    let server = site.serve();
    let token = site.token("7");
    upload(&server.url, &token, 1).await.unwrap();
    mint(&server.url, &token, "documents", "a\u{1b}[2Jb.pdf", 99)
        .await
        .unwrap();
    let said = site.must(&["show", "--owner", "7"]);
    assert_golden("show", "owner", &plain(&said));
    let json: Value =
        serde_json::from_str(&site.must(&["show", "--owner", "7", "--json"])).unwrap();
    assert_eq!(
        (
            json["tickets"].as_array().unwrap().len(),
            &json["usage"]["files"]
        ),
        (2, &json!(1))
    );
    let other = site.must(&["show", "--owner", "7", "--tenant", "acme"]);
    assert!(
        other.contains("none; what has ended is forgotten"),
        "{other}"
    );

    let unknown = site.run(&["show", "019386a0-0000-7000-8000-000000000000"]);
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.err.contains("no ticket, file or event has the id"),
        "{unknown:?}"
    );
    for wrong in [&["show"][..], &["show", "x"], &["show", "--tenant", "acme"]] {
        assert_eq!(site.run(wrong).code, Some(2), "{wrong:?}");
    }
}
