//! `putgate webhook` and `serve`, as an operator runs them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::common::{devstore, png};
use crate::process::{SLOTS, Server, Site, call, mint, put};
use crate::receiver::{Hook, KEY, Reply};

/// A site whose events go to `hook`, with debug lines in the log.
async fn site(hook: &Hook) -> (Site, putgate::devstore::DevStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = devstore(dir.path()).await;
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    std::fs::write(dir.path().join("hook.secret"), secret).unwrap();
    let site = Site::new(dir, &store.url());
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
    let listed = loop {
        let listed = site.must(&["webhook", "list", "--state", "dead"]);
        if listed.lines().count() == 2 {
            break listed;
        }
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
