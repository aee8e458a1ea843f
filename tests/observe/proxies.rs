//! The proxies of `deploy/` themselves, in front of a real server and store: what they let
//! through, and what they write down. tests/stages/deploy gets them and runs these.

use std::collections::BTreeMap;
use std::fs::{File, read_dir, read_to_string};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use putgate::devstore::DevStore;
use tokio::task::block_in_place;

use crate::process::{PATIENCE, Reply, Server, Site, fetch, mint, put};
use crate::{common, free_port, png, root};

const SLOTS: &str = r#"
[slots.photos]
accept = ["image/*"]

[slots.notes]
accept = [".txt"]
max_entries = 10
dialects = ["form"]
"#;

/// A proxy that runs. Dropping it ends it.
struct Proxy {
    child: Child,
    /// Where the API is, and where the store is, by way of it.
    api: String,
}

impl Proxy {
    /// Asks it to end, and waits. Killed, nginx would leave its workers behind.
    fn end(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let stop = format!("kill -s TERM {}", self.child.id());
            let _ = Command::new("sh").args(["-c", &stop]).status();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end();
    }
}

/// A server and its store behind a proxy, and the directory of its logs.
struct Behind {
    proxy: Proxy,
    server: Server,
    site: Site,
    store: DevStore,
}

/// What a proxy is told: two ports of its own, and the addresses of server and store.
struct Addresses<'a> {
    dir: &'a Path,
    ports: [u16; 2],
    server: &'a str,
    store: &'a str,
}

fn shipped(path: &str) -> String {
    read_to_string(root().join("deploy").join(path)).unwrap()
}

/// `text` with each of the pairs replaced: a file that no longer has one of them is not tested.
fn with(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "there is no {from}");
        text.replace(from, to)
    })
}

fn nginx(to: &Addresses<'_>) -> Child {
    let dir = to.dir.to_str().unwrap();
    let [api, store] = to.ports.map(|port| format!("listen 127.0.0.1:{port};"));
    let conf = with(
        &shipped("nginx/putgate.conf"),
        &[
            ("127.0.0.1:3000", to.server),
            ("127.0.0.1:9000", to.store),
            ("/var/log/nginx", &format!("{dir}/logs")),
        ],
    );
    let conf = conf.replacen("listen 80;", &api, 1);
    let conf = conf.replacen("listen 80;", &store, 1);
    std::fs::write(to.dir.join("putgate.conf"), conf).unwrap();
    // Root's workers are nobody otherwise, and the directory is not theirs.
    let user = if to.dir.metadata().unwrap().uid() == 0 {
        "user root;"
    } else {
        ""
    };
    // The operator's own log, at a level that tells more than most.
    let main = format!(
        "daemon off; {user} pid {dir}/pid; error_log {dir}/logs/error.log info; events {{}}\n\
         http {{ client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; \
         include {dir}/putgate.conf; }}\n"
    );
    std::fs::write(to.dir.join("nginx.conf"), main).unwrap();
    let started = Command::new("nginx")
        .args(["-p", dir, "-e", &format!("{dir}/logs/start.log")])
        .args(["-c", &format!("{dir}/nginx.conf")])
        .spawn();
    started.unwrap()
}

fn caddy(to: &Addresses<'_>) -> Child {
    let file = with(
        &shipped("caddy/Caddyfile"),
        &[
            ("broker:3000", to.server),
            ("store:9000", to.store),
            ("demo:8080", "127.0.0.1:1"),
        ],
    );
    std::fs::write(to.dir.join("Caddyfile"), file).unwrap();
    let log = File::create(to.dir.join("logs/caddy.log")).unwrap();
    let started = Command::new("caddy")
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(to.dir.join("Caddyfile"))
        .env("CADDY_ADDRESS", format!("http://:{}", to.ports[0]))
        .env("HOME", to.dir)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    started.unwrap()
}

/// A server and a store whose addresses for browsers are those of the proxy.
async fn behind(begin: fn(&Addresses<'_>) -> Child, one_origin: bool) -> Behind {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("logs")).unwrap();
    let store = common::devstore(dir.path()).await;
    let store_url = store.url();
    let site = Site::new(dir, &store_url);
    let api_port = free_port();
    let store_port = if one_origin { api_port } else { free_port() };
    let [api, public] = [api_port, store_port].map(|port| format!("http://127.0.0.1:{port}"));
    site.write_with(SLOTS, &|text| {
        let endpoint = format!("endpoint = \"{store_url}\"\n");
        let (server, public) = (
            format!("[server]\npublic_url = \"{api}\"\n"),
            format!("{endpoint}public_endpoint = \"{public}\"\n"),
        );
        with(&text, &[("[server]\n", &server), (&endpoint, &public)])
    });
    let server = site.serve();
    let child = begin(&Addresses {
        dir: site.dir.path(),
        ports: [api_port, store_port],
        server: server.url.strip_prefix("http://").unwrap(),
        store: store_url.strip_prefix("http://").unwrap(),
    });
    let proxy = Proxy { child, api };
    let deadline = Instant::now() + PATIENCE;
    for port in [api_port, store_port] {
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the proxy does not answer");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    Behind {
        proxy,
        server,
        site,
        store,
    }
}

impl Behind {
    /// A file posted as jQuery File Upload posts it.
    async fn post(&self, token: &str, text: &str) -> Reply {
        let body = format!(
            "--limit\r\ncontent-disposition: form-data; name=\"files[]\"; filename=\"a.txt\"\r\n\
             content-type: text/plain\r\n\r\n{text}\r\n--limit--\r\n"
        );
        let headers = BTreeMap::from(
            [
                ("content-type", "multipart/form-data; boundary=limit"),
                ("accept", "application/json, text/javascript, */*; q=0.01"),
                ("x-requested-with", "XMLHttpRequest"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let url = format!("{}/u/notes/{token}/form", self.proxy.api);
        fetch("POST", &url, &headers, body.as_bytes())
            .await
            .unwrap()
    }

    async fn get(&self, url: &str) -> Reply {
        fetch("GET", url, &BTreeMap::new(), b"").await.unwrap()
    }

    /// Uploads and downloads of all kinds, and the same when nothing is there any more. Answers
    /// the proxy's logs, and what must not be in them.
    async fn live(self) -> (String, Vec<String>) {
        let token = self.site.token("somebody-7");
        let api = &self.proxy.api;
        // A form with more in it than any call of the API may have.
        let text = "Ein Satz, und noch einer.\n".repeat(20_000);
        let reply = self.post(&token, &text).await;
        let row = &reply.json()["files"][0];
        assert!(reply.status == 200 && row["id"].is_string(), "{reply:?}");
        let found = self.get(row["url"].as_str().unwrap()).await;
        let download = found.header("location").to_owned();
        assert_eq!(found.status, 302, "{found:?}");
        assert_eq!(self.get(&download).await.bytes, text.as_bytes());
        let picture = png(1);
        let ticket = mint(api, &token, "photos", "b.png", picture.len())
            .await
            .unwrap();
        assert_eq!(put(&ticket["transfer"], &picture).await, Ok(200));
        let done = format!(
            "{api}/v1/tickets/{}/complete",
            ticket["id"].as_str().unwrap()
        );
        let bearer = BTreeMap::from([("authorization".into(), format!("Bearer {token}"))]);
        let done = fetch("POST", &done, &bearer, b"").await.unwrap();
        assert_eq!(done.json()["state"], "committed", "{done:?}");
        for path in ["/docs", "/docs/page.js", "/openapi.json", "/v1/none"] {
            let reply = self.get(&format!("{api}{path}")).await;
            let wanted = if path == "/v1/none" { 404 } else { 200 };
            assert_eq!(reply.status, wanted, "{path}: {reply:?}");
            assert!(
                !reply.header("x-request-id").is_empty(),
                "{path}: {reply:?}"
            );
        }
        let upload = ticket["transfer"]["url"].as_str().unwrap();
        let signature = |url: &str| url.split("X-Amz-Signature=").nth(1).unwrap()[..64].to_owned();
        let secrets = vec![
            token.clone(),
            token.rsplit('.').next().unwrap().to_owned(),
            signature(upload),
            signature(&download),
            "X-Amz-".to_owned(),
        ];
        // A proxy has most to say of what it cannot hand on.
        self.server.killer().kill();
        self.store.stop().await;
        assert_eq!(self.post(&token, &text).await.status, 502);
        assert_eq!(put(&ticket["transfer"], &picture).await, Ok(502));
        assert_eq!(self.get(&download).await.status, 502);
        (self.logs(), secrets)
    }

    /// Ends the proxy, and reads what it wrote.
    fn logs(mut self) -> String {
        block_in_place(|| self.proxy.end());
        let files = read_dir(self.site.dir.path().join("logs")).unwrap();
        let texts = files.map(|file| read_to_string(file.unwrap().path()).unwrap());
        texts.collect()
    }
}

#[track_caller]
fn assert_silent(logs: &str, secrets: &[String]) {
    for secret in secrets {
        let line = logs.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "{secret} is in a log");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs nginx: tests/stages/deploy"]
async fn nginx_lets_everything_through_and_writes_no_secret_down() {
    let (logs, secrets) = behind(nginx, false).await.live().await;
    assert_silent(&logs, &secrets);
    // What an operator looks for is there.
    for told in [
        "\"POST /u/notes\" 200 ",
        "\"POST /u/notes\" 502 ",
        "\"POST /v1/tickets\" 201 ",
        "\"PUT /staging/",
        " 502 ",
    ] {
        assert!(logs.contains(told), "{told}: {logs}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs caddy: tests/stages/deploy"]
async fn caddy_lets_everything_through_and_writes_no_secret_down() {
    let (logs, secrets) = behind(caddy, true).await.live().await;
    assert_silent(&logs, &secrets);
    assert!(logs.contains("serving initial configuration"), "{logs}");
}
