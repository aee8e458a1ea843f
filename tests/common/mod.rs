//! A broker for tests: the real router, flows, database and S3 server, in one process, with
//! a clock that the test moves. Dropping it checks nothing; `audit` does.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

pub mod database;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use database::TestDatabase;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use putgate::clock::Clock;
use putgate::config::Config;
use putgate::db::{self, Db};
use putgate::devstore::{self, DevStore};
use putgate::domain::secret::Secret;
use putgate::domain::time::Seconds;
use putgate::flow::{self, App, audit};
use putgate::http::auth::{AuthSettings, Verifier, mint_token};
use putgate::http::layers::{self, ShellSettings};
use putgate::http::{Shared, Site, notifications, routes};
use putgate::store::{Key, Settings, Store};
use serde_json::{Value, json};
use tower::ServiceExt;

/// The HS256 secret of every test.
pub const SECRET: &str = "a-secret-for-tests-of-32-bytes-or-more";

/// The bearer secret of the store's notifications in every test.
pub const NOTIFY_SECRET: &str = "a-secret-of-the-store-for-tests";

/// Where browsers find every test's broker: it shares its host with other things.
pub const PUBLIC_URL: &str = "https://own.example.com/uploads";

/// The origin of the pages of every test, which is another.
pub const PAGE: &str = "https://app.example.com";

/// Slots of all kinds. Tests that need another add it as TOML.
pub const SLOTS: &str = r#"
[slots.avatar]
accept = [".jpg", ".png", ".webp"]
max_file_size = "5MB"
on_full = "replace"

[slots.photos]
accept = ["image/*"]
max_file_size = "10MB"
max_entries = 5
quota = "100MB"
image = { max_width = 8000, max_height = 8000, max_pixels = "50M" }
public = true

[slots.single]
accept = ["image/png"]
max_entries = 1

[slots.documents]
accept = [".pdf", ".docx", ".csv", ".txt", ".zip"]
max_file_size = "20MB"
max_entries = 20

[slots.inline]
accept = ["image/*"]
disposition = "inline"
max_entries = 20

[slots.brief]
max_entries = 3
unclaimed_ttl = "24h"

[slots.big]
max_file_size = "10GB"
max_entries = 5
part_size = "5MiB"
"#;

pub struct TestBroker {
    pub app: Arc<App>,
    pub router: Router,
    pub store: DevStore,
    /// The app's and the database's clock. The store keeps the machine's.
    pub clock: Clock,
    pub database: TestDatabase,
    dir: tempfile::TempDir,
}

/// An answer: status, headers, JSON body (or null).
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: axum::http::HeaderMap,
    pub body: Value,
}

impl TestBroker {
    /// A broker with [`SLOTS`].
    pub async fn start() -> Self {
        Self::with_slots(SLOTS).await
    }

    /// A broker with these slots.
    pub async fn with_slots(slots: &str) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), slots).await
    }

    async fn in_dir(dir: tempfile::TempDir, slots: &str) -> Self {
        let clock = Clock::manual(Clock::System.now());
        let store = devstore(dir.path()).await;
        let database = TestDatabase::make(dir.path());
        let app = app(&database, &store.url(), &clock, configuration(slots)).await;
        let router = router(&app);
        Self {
            app,
            router,
            store,
            clock,
            database,
            dir,
        }
    }

    /// Another replica: a process of its own as far as database and store can tell.
    /// PostgreSQL only.
    pub async fn replica(&self) -> Arc<App> {
        let store_url = self.store.url();
        let config = configuration(SLOTS);
        let replica = app(&self.database, &store_url, &self.clock, config).await;
        replica.slots.store(self.app.slots.load_full());
        replica
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A request to the API, in process. `path` may have a query.
    pub async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    /// Any request to the API, in process.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    /// Mints one ticket for the whole of `bytes`; panics when it is refused.
    pub async fn mint(&self, token: &str, slot: &str, name: &str, bytes: &[u8]) -> Value {
        let body = json!({"slot": slot, "files": [{"name": name, "size": bytes.len()}]});
        let answer = self.call("POST", "/v1/tickets", token, Some(body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["tickets"][0].clone()
    }

    /// Puts bytes by a ticket's transfer, as a browser would.
    pub async fn put(&self, ticket: &Value, bytes: &[u8]) -> u16 {
        let transfer = &ticket["transfer"];
        let headers: BTreeMap<String, String> =
            serde_json::from_value(transfer["headers"].clone()).unwrap();
        put(transfer["url"].as_str().unwrap(), &headers, bytes).await
    }

    /// Completes a ticket.
    pub async fn complete(&self, token: &str, ticket: &Value) -> Answer {
        let path = format!("/v1/tickets/{}/complete", ticket["id"].as_str().unwrap());
        self.call("POST", &path, token, None).await
    }

    /// Mint, put, complete.
    pub async fn upload(&self, token: &str, slot: &str, name: &str, bytes: &[u8]) -> Answer {
        let ticket = self.mint(token, slot, name, bytes).await;
        assert_eq!(self.put(&ticket, bytes).await, 200);
        self.complete(token, &ticket).await
    }

    /// A token for `sub` with the scopes of a browser that may also delete.
    pub fn token(&self, sub: &str) -> String {
        self.token_with(json!({"sub": sub, "scope": "upload read delete"}))
    }

    /// A token with these claims, good for an hour.
    pub fn token_with(&self, mut claims: Value) -> String {
        if claims.get("exp").is_none() {
            claims["exp"] = json!(self.clock.now().plus(Seconds(3600)).seconds());
        }
        mint_token(&Secret::new(SECRET), &claims)
    }

    /// Somebody else's hand in the database.
    pub async fn meddle(&self, sql: &str) {
        self.database.hand().await.run(sql).await.unwrap();
    }

    /// Moves the clock.
    pub fn advance(&self, seconds: u32) {
        self.clock.advance(Seconds(seconds));
    }

    /// Runs everything the worker does until it finds nothing more to do.
    pub async fn sweep(&self) {
        for _ in 0..20 {
            let swept = putgate::worker::run_once(&self.app).await.unwrap();
            let walked = putgate::worker::walk_once(&self.app).await.unwrap();
            if swept == flow::sweep::Swept::default() && walked.deleted.is_empty() {
                return;
            }
        }
        panic!("the worker finds more to do again and again");
    }

    /// Panics unless every law that `audit` checks holds.
    pub async fn assert_lawful(&self) {
        let report = audit::audit(&self.app).await.unwrap();
        assert_eq!(report.violations, Vec::<String>::new());
    }

    /// Keys and sizes in a bucket.
    pub fn objects(&self, bucket: &str) -> Vec<(String, u64)> {
        self.store.objects(bucket)
    }

    /// The kinds of the events of a ticket or file, by `seq`.
    pub async fn events(&self, ticket: &Value) -> Vec<String> {
        let id = ticket["id"].as_str().unwrap().parse().unwrap();
        let events = self.app.db.events(id).await.unwrap();
        events.into_iter().map(|(kind, _)| kind).collect()
    }
}

async fn app(database: &TestDatabase, store_url: &str, clock: &Clock, config: Config) -> Arc<App> {
    let settings = db::Settings {
        place: database.place(db::Synchronous::Full),
        migrate: true,
    };
    let ids = clock.clone();
    let db = Db::open(&settings, clock.clone(), move || flow::new_id(&ids))
        .await
        .unwrap();
    App::new(
        db,
        Store::connect(store_settings(store_url)).await.unwrap(),
        clock.clone(),
        config.slots,
        config.limits.max_open_tickets,
        Seconds(30 * 24 * 3600),
    )
}

/// The app of another process over the same services, whose clocks run so many seconds ahead.
pub async fn app_on(database: &TestDatabase, store_url: &str, ahead: u32) -> Arc<App> {
    let clock = Clock::manual(Clock::System.now().plus(Seconds(ahead)));
    app(database, store_url, &clock, configuration(SLOTS)).await
}

/// The API over an app, in its shell, believing [`SECRET`].
pub fn router(app: &Arc<App>) -> Router {
    let verifier = Verifier::new(AuthSettings {
        hs256_secrets: vec![Secret::new(SECRET)],
        public_keys: Vec::new(),
        issuer: None,
        audience: Vec::new(),
        leeway: Seconds(30),
        tenant_claim: "tenant".into(),
        scope_claim: "scope".into(),
        default_scope: "upload read".into(),
    })
    .unwrap();
    let shared = Shared {
        app: Arc::clone(app),
        verifier: Arc::new(verifier),
        site: Arc::new(Site::new(Some(PUBLIC_URL), &[PAGE.into()])),
    };
    let shell = ShellSettings {
        allowed_origins: vec![PAGE.parse().unwrap()],
        ..ShellSettings::default()
    };
    let senders = notifications::Senders::new(vec![Secret::new(NOTIFY_SECRET)]);
    let told = notifications::routes(Arc::clone(app), Arc::new(senders));
    layers::wrap(routes(shared).merge(told), &shell)
}

/// A devstore under `dir` with the buckets and keys of every test.
pub async fn devstore(dir: &Path) -> DevStore {
    DevStore::start(devstore::Settings {
        dir: dir.join("store"),
        listen: "127.0.0.1:0".parse().unwrap(),
        region: "us-east-1".into(),
        server_key: ("server".into(), Secret::new("server-secret")),
        upload_key: ("upload".into(), Secret::new("upload-secret")),
        buckets: vec!["staging".into(), "files".into()],
        upload_bucket: "staging".into(),
        allowed_origins: vec!["https://app.example.com".into()],
        clock: Clock::System,
    })
    .await
    .unwrap()
}

/// How the broker reaches [`devstore`].
pub fn store_settings(endpoint: &str) -> Settings {
    Settings {
        endpoint: Some(endpoint.to_owned()),
        public_endpoint: None,
        download_endpoint: None,
        region: "us-east-1".into(),
        path_style: true,
        staging_bucket: "staging".into(),
        files_bucket: "files".into(),
        server_key: Key::Static {
            access_key: "server".into(),
            secret_key: Secret::new("server-secret"),
        },
        upload_key: Some(Key::Static {
            access_key: "upload".into(),
            secret_key: Secret::new("upload-secret"),
        }),
    }
}

/// The slots as a configuration reads them.
fn configuration(slots: &str) -> Config {
    let text = format!(
        "[storage]\nregion = \"us-east-1\"\nstaging_bucket = \"staging\"\nfiles_bucket = \"files\"\n\
         access_key = \"a\"\nsecret_key = \"b\"\nupload_access_key = \"c\"\nupload_secret_key = \"d\"\n\
         [auth]\nhs256_secret_files = [\"token.secret\"]\n{slots}"
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token.secret"), SECRET).unwrap();
    match Config::parse_str(&text, &BTreeMap::new(), dir.path()) {
        Ok(config) => config,
        Err(mistakes) => panic!("{mistakes}"),
    }
}

/// One PUT over a connection of its own; answers the status.
pub async fn put(url: &str, headers: &BTreeMap<String, String>, bytes: &[u8]) -> u16 {
    fetch("PUT", url, headers, bytes).await.0
}

/// One request over a connection of its own: status, headers, body.
pub async fn fetch(
    method: &str,
    url: &str,
    headers: &BTreeMap<String, String>,
    bytes: &[u8],
) -> (u16, axum::http::HeaderMap, Vec<u8>) {
    let uri: axum::http::Uri = url.parse().unwrap();
    let authority = uri.authority().unwrap().as_str().to_owned();
    let stream = tokio::net::TcpStream::connect(&authority).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(uri.path_and_query().unwrap().as_str())
        .header("host", authority);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let body = Full::new(bytes::Bytes::copy_from_slice(bytes));
    let answer = sender
        .send_request(request.body(body).unwrap())
        .await
        .unwrap();
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (parts.status.as_u16(), parts.headers, body)
}

/// A small picture, different for each `seed`.
pub fn png(seed: u32) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let mut out = u32::try_from(data.len()).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(kind);
        out.extend_from_slice(data);
        out.extend_from_slice(&crc32(&out[4..]).to_be_bytes());
        out
    };
    let mut header = 16_u32.to_be_bytes().to_vec();
    header.extend_from_slice(&16_u32.to_be_bytes());
    header.extend_from_slice(&[8, 0, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    out.extend(chunk(b"IHDR", &header));
    out.extend(chunk(b"tEXt", format!("seed\0{seed}").as_bytes()));
    // One stored deflate block of 16 rows of 17 bytes, and its Adler-32 (all zeros: 1 + n·0).
    let rows = vec![0_u8; 16 * 17];
    let mut idat = vec![0x78, 0x01, 0x01];
    let length = u16::try_from(rows.len()).unwrap();
    idat.extend_from_slice(&length.to_le_bytes());
    idat.extend_from_slice(&(!length).to_le_bytes());
    idat.extend_from_slice(&rows);
    let adler = (u32::from(length) % 65_521) << 16 | 1;
    idat.extend_from_slice(&adler.to_be_bytes());
    out.extend(chunk(b"IDAT", &idat));
    out.extend(chunk(b"IEND", b""));
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    })
}

/// What an attacker calls `x.png`.
pub const HTML: &[u8] = b"<!doctype html><html><script>alert(document.domain)</script></html>";
