//! `putgate webhook` and `serve`, as an operator runs them.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use putgate::clock::Clock;
use putgate::db::{self, Db};
use putgate::domain::outbox::LEASE;
use putgate::domain::time::Seconds;
use putgate::flow::deliver::deliver;
use putgate::flow::{self, App, Slots};
use putgate::store::Store;
use serde_json::Value;

use crate::common::{devstore, png, store_settings};
use crate::process::{PATIENCE, SLOTS, Server, Site, call, mint, put, putgate_in};
use crate::receiver::{Hook, KEY, Reply};

/// A site whose events go to `hook`, with debug lines in the log.
async fn site(hook: &Hook) -> (Site, putgate::devstore::DevStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = devstore(dir.path()).await;
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    std::fs::write(dir.path().join("hook.secret"), secret).unwrap();
    let site = Site::on_either(dir, &store.url());
    let url = hook.url();
    let slots = format!(
        "{SLOTS}\n[webhook]\nurl = \"{url}\"\nsecret_files = [\"hook.secret\"]\nallow_private = true\n"
    );
    site.write_with(&slots, &|text| {
        text.replace("[database]", "log_filter = \"trace\"\n[database]")
    });
    (site, store)
}

async fn upload(site: &Site, server: &Server, seed: u32) -> Value {
    let token = site.token("7");
    let bytes = png(seed);
    let ticket = mint(&server.url, &token, "photos", "a.png", bytes.len())
        .await
        .unwrap();
    assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
    let path = format!("/v1/tickets/{}/complete", ticket["id"].as_str().unwrap());
    let done = call(&server.url, "POST", &path, &token, None)
        .await
        .unwrap();
    assert_eq!(done.status, 200, "{done:?}");
    ticket
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_sends_and_an_operator_lists_and_replays_beside_it() {
    let hook = Hook::start(|_| Reply::Status(410)).await;
    let (site, _store) = site(&hook).await;
    let server = site.serve();
    let ticket = upload(&site, &server, 1).await;
    upload(&site, &server, 2).await;
    hook.wait_for(2).await;
    assert!(hook.seen().iter().all(|seen| seen.is_signed_by(KEY)));
    let seen = hook.take();
    // Both are settled soon after.
    let late = Instant::now() + PATIENCE;
    let listed = loop {
        let listed = site.must(&["webhook", "list", "--state", "dead"]);
        if listed.lines().count() == 2 {
            break listed;
        }
        assert!(Instant::now() < late, "not given up: {listed}");
    };
    assert!(
        listed.contains("ticket.committed") && listed.contains("410"),
        "{listed}"
    );
    let rows: Vec<Value> = site
        .must(&["webhook", "list", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["subject"], ticket["id"]);
    assert_eq!(rows[0]["last_status"], 410);
    assert_eq!(rows[0]["body"]["type"], "ticket.committed");
    assert_eq!(site.must(&["webhook", "list", "--state", "pending"]), "");
    // The receiver is back.
    hook.answers(|_| Reply::Status(200));
    let id = rows[0]["id"].as_str().unwrap();
    site.must(&["webhook", "replay", id]);
    hook.wait_for(1).await;
    assert_eq!(hook.seen()[0].id(), id);
    let said = site.must(&["webhook", "replay", "--dead"]);
    assert_eq!(said.trim(), "1 event will be sent again");
    hook.wait_for(2).await;
    let again = hook.take();
    assert_eq!(again[1].id(), rows[1]["id"].as_str().unwrap());
    assert!(
        again
            .iter()
            .all(|one| seen.iter().any(|two| one.body == two.body))
    );
    server.signal("TERM");
    server.ended(Duration::from_secs(10));
    // Law 9, at the chattiest filter there is.
    let log = server.log();
    for secret in [
        STANDARD.encode(KEY),
        String::from_utf8(KEY.to_vec()).unwrap(),
    ] {
        assert!(!log.contains(&secret));
    }
    for seen in seen {
        assert!(!log.contains(seen.header("webhook-signature")), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_needs_no_server_and_names_what_it_does_not_know() {
    let hook = Hook::content().await;
    let (site, _store) = site(&hook).await;
    site.must(&["setup"]);
    assert_eq!(
        site.must(&["webhook", "replay", "--dead"]).trim(),
        "0 events will be sent again"
    );
    let unknown = "01900000-0000-7000-8000-000000000000";
    let said = site.run(&["webhook", "replay", unknown]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains(unknown), "{said:?}");
    for wrong in [
        &["webhook", "replay"][..],
        &["webhook", "replay", "x"],
        &["webhook", "replay", unknown, "--dead"],
    ] {
        let said = site.run(wrong);
        assert_eq!(said.code, Some(2), "{wrong:?}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_event_is_sent_at_once_and_its_outcome_said() {
    let hook = Hook::content().await;
    let (site, _store) = site(&hook).await;
    let said = site.must(&["webhook", "test"]);
    assert!(said.contains("was delivered: 200"), "{said}");
    let seen = hook.take();
    assert_eq!((seen.len(), seen[0].kind()), (1, "webhook.test".into()));
    assert!(seen[0].is_signed_by(KEY));
    hook.answers(|_| Reply::Status(404));
    let said = site.run(&["webhook", "test"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("was not delivered: 404"), "{said:?}");
    site.write(SLOTS);
    let said = site.run(&["webhook", "test"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("[webhook]"), "{said:?}");
}

/// The receiver kills the process with the event in its hands, then says 200 to nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_between_the_answer_and_its_settling_sends_it_again_under_the_same_id() {
    let hook = Hook::content().await;
    let (site, store) = site(&hook).await;
    let server = site.serve();
    let killer = server.killer();
    hook.answers(move |_| {
        tokio::task::block_in_place(|| killer.kill());
        Reply::Status(200)
    });
    let token = site.token("7");
    let ticket = mint(&server.url, &token, "photos", "a.png", png(1).len())
        .await
        .unwrap();
    put(&ticket["transfer"], &png(1)).await.unwrap();
    let path = format!("/v1/tickets/{}/complete", ticket["id"].as_str().unwrap());
    // Whether the answer to this comes before the end is a race that nobody has to win.
    let _ = call(&server.url, "POST", &path, &token, None).await;
    hook.wait_for(1).await;
    hook.answers(|_| Reply::Status(200));
    // The next process, a lease later.
    let clock = Clock::manual(Clock::System.now());
    let settings = db::Settings {
        place: site.database.place(db::Synchronous::Full),
        migrate: false,
    };
    let ids = clock.clone();
    let db = Db::open(&settings, clock.clone(), move || flow::new_id(&ids))
        .await
        .unwrap();
    let bytes = Store::connect(store_settings(&store.url())).await.unwrap();
    let app = App::new(db, bytes, clock.clone(), Slots::new(), 100, Seconds(3600));
    app.receiver.set(hook.receiver()).unwrap();
    assert_eq!(deliver(&app).await.unwrap(), 0, "it is held");
    clock.advance(LEASE);
    assert_eq!(deliver(&app).await.unwrap(), 1);
    let seen = hook.seen();
    assert_eq!((seen.len(), seen[0].id()), (2, seen[1].id()));
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(seen[0].subject(), ticket["id"].as_str().unwrap());
    assert_eq!(deliver(&app).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_https_the_receiver_has_to_prove_its_name() {
    let hook = Hook::with_tls().await;
    let (site, _store) = site(&hook).await;
    let roots = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/webhooks/tls/ca.pem");
    let url = |host: &str| format!("https://{host}:{}/hook", hook.address.port());
    let old = hook.url();
    let text = std::fs::read_to_string(site.config()).unwrap();
    let config = site.config().display().to_string();
    for (host, env, outcome) in [
        ("localhost", &[("SSL_CERT_FILE", roots)][..], Ok(())),
        ("localhost", &[], Err("UnknownIssuer")),
        (
            "127.0.0.1",
            &[("SSL_CERT_FILE", roots)],
            Err("not valid for name"),
        ),
    ] {
        std::fs::write(site.config(), text.replace(&old, &url(host))).unwrap();
        let said = putgate_in(env, &["--config", &config, "webhook", "test"]);
        match outcome {
            Ok(()) => assert_eq!(said.code, Some(0), "{host}: {said:?}"),
            Err(why) => {
                assert_eq!(said.code, Some(1), "{host}: {said:?}");
                assert!(said.err.contains(why), "{host}: {said:?}");
            }
        }
    }
    assert_eq!(hook.seen().len(), 1);
}
