//! What an operator sees: numbers, log lines, and the files that read them.

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/process.rs"]
mod process;
#[path = "../webhooks/receiver.rs"]
#[expect(dead_code, reason = "the tests of webhooks use all of it")]
mod receiver;

mod deploy;
mod docs;
mod exposition;
mod logs;
mod numbers;
mod proxies;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{HTML, png};
use exposition::Exposition;
use process::{Server, Site, call, mint, put};
use putgate::devstore::DevStore;
use receiver::Hook;
use serde_json::Value;

/// A served configuration, where one file was committed, one rejected, and one
/// never arrived.
struct Lived {
    server: Server,
    admin: String,
    committed: String,
    secrets: Vec<String>,
    _site: Site,
    _store: DevStore,
    _hook: Option<Hook>,
}

/// Where sources and other files are.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// One with a receiver that takes every event.
async fn lived() -> Lived {
    serve(Some(Hook::content().await), "").await
}

/// One that has no receiver and does no work in the background.
async fn idle() -> Lived {
    serve(None, "worker = false\n").await
}

async fn serve(hook: Option<Hook>, settings: &str) -> Lived {
    let dir = tempfile::tempdir().unwrap();
    let store = common::devstore(dir.path()).await;
    let secret = format!("whsec_{}", STANDARD.encode(receiver::KEY));
    std::fs::write(dir.path().join("hook.secret"), secret).unwrap();
    let site = Site::new(dir, &store.url());
    let admin = format!("127.0.0.1:{}", free_port());
    let webhook = hook.as_ref().map_or_else(String::new, |hook| {
        format!(
            "[webhook]\nurl = \"{}\"\nsecret_files = [\"hook.secret\"]\nallow_private = true\n",
            hook.url()
        )
    });
    let slots = format!("{}\n{webhook}", process::SLOTS);
    site.write_with(&slots, &|text| {
        let log = "log_filter = \"info,putgate=debug\"\n";
        let listen = format!("admin_listen = \"{admin}\"\n{log}{settings}");
        text.replacen("[server]\n", &format!("[server]\n{listen}"), 1)
    });
    let server = site.serve();
    let token = site.token("somebody-7");
    let mut secrets = vec![token.clone(), common::SECRET.to_owned()];
    let mut ids = Vec::new();
    for (name, bytes) in [("a-name.png", png(1)), ("b-name.png", HTML.to_vec())] {
        let ticket = mint(&server.url, &token, "photos", name, bytes.len())
            .await
            .unwrap();
        let url = ticket["transfer"]["url"].as_str().unwrap();
        secrets.push(url.split("X-Amz-Signature=").nth(1).unwrap().to_owned());
        assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
        let id = ticket["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/tickets/{id}/complete");
        server.call("POST", &path, &token, None).await;
        ids.push(id);
    }
    let missing = mint(&server.url, &token, "photos", "c-name.png", 9)
        .await
        .unwrap();
    let path = format!("/v1/tickets/{}/complete", missing["id"].as_str().unwrap());
    assert_eq!(server.call("POST", &path, &token, None).await.status, 409);
    Lived {
        server,
        admin: format!("http://{admin}"),
        committed: ids.remove(0),
        secrets,
        _site: site,
        _store: store,
        _hook: hook,
    }
}

impl Lived {
    /// The numbers now.
    async fn scrape(&self) -> Exposition {
        let reply = call(&self.admin, "GET", "/metrics", "", None)
            .await
            .unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(
            reply.header("content-type"),
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        );
        Exposition::parse(&String::from_utf8(reply.bytes).unwrap()).unwrap()
    }

    /// The numbers as soon as they are so.
    async fn scrape_until(&self, what: &str, is_so: impl Fn(&Exposition) -> bool) -> Exposition {
        let deadline = std::time::Instant::now() + process::PATIENCE;
        loop {
            let found = self.scrape().await;
            if is_so(&found) {
                return found;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "in vain: {what}: {found:#?}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// The log's lines.
    fn lines(&self) -> Vec<Value> {
        let log = self.server.log();
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
