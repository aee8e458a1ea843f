//! The built binary as a process: started with an empty environment, watched line by line,
//! signalled, killed. And an HTTP client to which a dead server is an answer.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::common::SECRET;
use crate::common::database::TestDatabase;

/// How long a test waits for what should come at once, on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// What a finished command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command of the binary to its end.
#[track_caller]
pub fn putgate<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Said {
    putgate_in(&[], args)
}

/// Runs a command of the binary with these variables and no others.
#[track_caller]
pub fn putgate_in<S: AsRef<std::ffi::OsStr>>(env: &[(&str, &str)], args: &[S]) -> Said {
    let mut command = command(args);
    command.envs(env.iter().copied());
    let output = block_in_place(|| command.output()).unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command of the binary on a site whose files it may only read: as somebody else,
/// when root runs the tests, whom no permission keeps out.
#[track_caller]
pub fn as_a_reader(site: &Site, args: &[&str]) -> Said {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    let dir = site.dir.path();
    let files = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for file in &files {
        set(file, 0o444);
    }
    set(dir, 0o555);
    let mut all: Vec<std::ffi::OsString> = vec!["--config".into(), site.config().into()];
    all.extend(args.iter().map(Into::into));
    let mut command = command(&all);
    if dir.metadata().unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = block_in_place(|| command.output()).unwrap();
    set(dir, 0o755);
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command of the binary on a site where no file can grow beyond what a small
/// transaction needs, as on a disk that is full.
#[track_caller]
pub fn without_room(site: &Site, args: &[&str]) -> Said {
    // 64 blocks of the shell's, 32 KiB or twice that: so long is the index of SQLite's log, and
    // the log itself has to be. Without the trap the first byte too many would kill.
    let script = r#"trap "" XFSZ; ulimit -f 64; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_putgate"), "--config"]);
    command.arg(site.config()).args(args).env_clear();
    let output = block_in_place(|| command.stdin(Stdio::null()).output()).unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn command<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_putgate"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

/// Lines as they come, for whoever waits for one.
#[derive(Debug, Default)]
struct Lines {
    seen: Mutex<Vec<String>>,
    more: Condvar,
}

impl Lines {
    fn gather(from: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let to = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                lock(&to.seen).push(line);
                to.more.notify_all();
            }
        });
        lines
    }

    /// The first line that `wanted` likes; none within [`PATIENCE`]: what there was.
    fn wait<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> Result<T, Vec<String>> {
        block_in_place(|| self.find(wanted))
    }

    fn find<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> Result<T, Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = lock(&self.seen);
        loop {
            if let Some(found) = seen.iter().find_map(|line| wanted(line)) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(seen.clone());
            }
            seen = self
                .more
                .wait_timeout(seen, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a process at once, from anywhere; twice does no harm.
#[derive(Clone, Debug)]
pub struct Killer(Arc<Mutex<Child>>);

impl Killer {
    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&self) {
        let mut child = lock(&self.0);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A running `dev` or `serve`. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Killer,
    pid: u32,
    out: Arc<Lines>,
    err: Arc<Lines>,
    /// Where it answers: `http://…`.
    pub url: String,
    /// Where `dev`'s store answers.
    pub store_url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill();
    }
}

impl Server {
    fn spawn<S: AsRef<std::ffi::OsStr>>(env: &[(&str, &str)], args: &[S]) -> Self {
        let mut child = command(args)
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            pid: child.id(),
            out: Lines::gather(child.stdout.take().unwrap()),
            err: Lines::gather(child.stderr.take().unwrap()),
            child: Killer(Arc::new(Mutex::new(child))),
            url: String::new(),
            store_url: String::new(),
        }
    }

    /// `putgate dev` on free ports; ready when it says so.
    #[track_caller]
    pub fn dev(data: &Path) -> Self {
        Self::dev_on(data, "127.0.0.1:0", "127.0.0.1:0")
    }

    /// `putgate dev` on these addresses.
    #[track_caller]
    pub fn dev_on(data: &Path, listen: &str, store_listen: &str) -> Self {
        let mut server = Self::spawn(
            &[],
            &[
                "dev".as_ref(),
                "--listen".as_ref(),
                listen.as_ref(),
                "--store-listen".as_ref(),
                store_listen.as_ref(),
                "--data".as_ref(),
                data.as_os_str(),
            ],
        );
        let ready = server
            .out
            .wait(|line| serde_json::from_str::<Value>(line).ok());
        let ready = ready.unwrap_or_else(|_| panic!("dev does not get ready: {server:?}"));
        let address = |key: &str| ready[key].as_str().unwrap().to_owned();
        (server.url, server.store_url) = (address("url"), address("store_url"));
        server
    }

    /// `putgate serve` with this configuration; ready when its log says so.
    #[track_caller]
    pub fn serve(config: &Path) -> Self {
        Self::serve_in(&[], config)
    }

    /// The same with these variables.
    #[track_caller]
    pub fn serve_in(env: &[(&str, &str)], config: &Path) -> Self {
        Self::begin_in(env, config).ready()
    }

    /// The same, which is not ready yet.
    pub fn begin_in(env: &[(&str, &str)], config: &Path) -> Self {
        let args = ["--config".as_ref(), config.as_os_str(), "serve".as_ref()];
        Self::spawn(env, &args)
    }

    /// One that began, as soon as its log says that it is ready.
    #[track_caller]
    pub fn ready(mut self) -> Self {
        let address = self.address("serving");
        self.url = format!("http://{address}");
        self
    }

    /// The address in the log line with this message, as soon as there is one.
    #[track_caller]
    pub fn address(&self, message: &str) -> String {
        let address = self.err.wait(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == message)
                .then(|| line["address"].as_str().map(str::to_owned))
                .flatten()
        });
        address.unwrap_or_else(|_| panic!("never {message:?}: {self:?}"))
    }

    /// `putgate worker` with this configuration; ready when its log says so.
    #[track_caller]
    pub fn worker(config: &Path) -> Self {
        let worker = Self::spawn(
            &[],
            &["--config".as_ref(), config.as_os_str(), "worker".as_ref()],
        );
        worker.wait_for_log("\"working\"");
        worker
    }

    /// `putgate doctor` with this configuration, to be stopped or waited for.
    pub fn doctor(config: &Path) -> Self {
        Self::spawn(
            &[],
            &["--config".as_ref(), config.as_os_str(), "doctor".as_ref()],
        )
    }

    /// Everything on stdout so far.
    pub fn stdout(&self) -> Vec<String> {
        lock(&self.out.seen).clone()
    }

    /// Waits for a line on stderr that contains `words`.
    #[track_caller]
    pub fn wait_for_log(&self, words: &str) {
        let found = self.err.wait(|line| line.contains(words).then_some(()));
        assert!(found.is_ok(), "no line says {words:?}: {found:?}");
    }

    /// Everything on stderr so far.
    pub fn log(&self) -> String {
        lock(&self.err.seen).join("\n")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What ends it at once.
    pub fn killer(&self) -> Killer {
        self.child.clone()
    }

    /// Sends a signal by name. The shell has `kill` built in wherever there is a shell.
    pub fn signal(&self, name: &str) {
        self.signaller(name)();
    }

    /// What sends it a signal, from anywhere.
    pub fn signaller(&self, name: &str) -> impl FnOnce() + Send + 'static {
        let text = format!("kill -s {name} {}", self.pid);
        move || {
            let sent = Command::new("sh").args(["-c", &text]).status();
            assert!(sent.unwrap().success());
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        let ended = || loop {
            match lock(&self.child.0).try_wait().unwrap() {
                Some(status) => return Some(status),
                None if Instant::now() >= deadline => return None,
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let Some(status) = block_in_place(ended) else {
            panic!("still running: {self:?}");
        };
        status
    }

    /// A request to its API with a token; panics when there is no answer.
    pub async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Reply {
        let reply = call(&self.url, method, path, token, body).await;
        reply.unwrap_or_else(|why| panic!("{method} {path}: {why}: {self:?}"))
    }
}

/// An answer: status, headers, body.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Reply {
    /// The body as JSON, or null.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// A request to an API; an error when the server is gone.
pub async fn call(
    url: &str,
    method: &str,
    path: &str,
    token: &str,
    body: Option<Value>,
) -> Result<Reply, String> {
    let mut headers = BTreeMap::new();
    if !token.is_empty() {
        headers.insert("authorization".to_owned(), format!("Bearer {token}"));
    }
    if body.is_some() {
        headers.insert("content-type".to_owned(), "application/json".to_owned());
    }
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    fetch(method, &format!("{url}{path}"), &headers, body.as_bytes()).await
}

/// One request over a connection of its own; an error when there is no answer.
pub async fn fetch(
    method: &str,
    url: &str,
    headers: &BTreeMap<String, String>,
    bytes: &[u8],
) -> Result<Reply, String> {
    let uri: Uri = url.parse().map_err(text)?;
    let authority = uri.authority().ok_or("no authority")?.as_str().to_owned();
    let talk = async {
        let stream = tokio::net::TcpStream::connect(&authority)
            .await
            .map_err(text)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(text)?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header("host", &authority);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let body = Full::new(bytes::Bytes::copy_from_slice(bytes));
        let request = request.body(body).map_err(text)?;
        let (parts, body) = sender
            .send_request(request)
            .await
            .map_err(text)?
            .into_parts();
        let bytes = body.collect().await.map_err(text)?.to_bytes().to_vec();
        Ok(Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            bytes,
        })
    };
    tokio::time::timeout(PATIENCE, talk).await.map_err(text)?
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Puts bytes by a transfer's (or a part's) URL and headers; the status, or why there is none.
pub async fn put(transfer: &Value, bytes: &[u8]) -> Result<u16, String> {
    let headers: BTreeMap<String, String> =
        serde_json::from_value(transfer["headers"].clone()).map_err(text)?;
    let url = transfer["url"].as_str().ok_or("no url")?;
    Ok(fetch("PUT", url, &headers, bytes).await?.status)
}

/// Slots for a served configuration.
pub const SLOTS: &str = r#"
[slots.photos]
accept = ["image/*"]
max_file_size = "10MB"
max_entries = 100000
public = true

[slots.documents]
accept = [".pdf", ".docx", ".csv", ".txt", ".zip"]
max_file_size = "20MB"
max_entries = 100000

[slots.avatar]
accept = [".jpg", ".png", ".webp"]
on_full = "replace"

[slots.big]
max_file_size = "10GB"
max_entries = 100000
part_size = "5MiB"
"#;

/// A directory with a `putgate.toml`, a secret and a place for the database.
#[derive(Debug)]
pub struct Site {
    pub dir: tempfile::TempDir,
    storage: String,
    pub database: TestDatabase,
}

impl Site {
    /// A configuration that is whole, for the store at `store_url` (that of
    /// [`crate::common::devstore`]), and no database yet.
    pub fn new(dir: tempfile::TempDir, store_url: &str) -> Self {
        let database = TestDatabase::Sqlite(dir.path().join("putgate.db"));
        Self::over(dir, store_url, database)
    }

    /// The same on the database that these tests are to run on.
    pub fn on_either(dir: tempfile::TempDir, store_url: &str) -> Self {
        let database = TestDatabase::make(dir.path());
        Self::over(dir, store_url, database)
    }

    fn over(dir: tempfile::TempDir, store_url: &str, database: TestDatabase) -> Self {
        let storage = storage(
            store_url,
            "us-east-1",
            ["server", "server-secret"],
            Some(["upload", "upload-secret"]),
        );
        Self::with(dir, storage, database)
    }

    /// The same for services that run elsewhere: `storage` is the body of that table.
    pub fn with(dir: tempfile::TempDir, storage: String, database: TestDatabase) -> Self {
        std::fs::write(dir.path().join("token.secret"), SECRET).unwrap();
        let site = Self {
            dir,
            storage,
            database,
        };
        site.write(SLOTS);
        site
    }

    /// Writes the configuration anew with these slots.
    pub fn write(&self, slots: &str) {
        self.write_with(slots, &|text| text);
    }

    /// Writes the configuration anew, as `edit` makes it.
    pub fn write_with(&self, slots: &str, edit: &dyn Fn(String) -> String) {
        let (storage, database) = (&self.storage, self.database.url());
        let text = format!(
            r#"[server]
listen = "127.0.0.1:0"
allowed_origins = ["http://127.0.0.1:8080"]

[database]
url = "{database}"

[storage]
{storage}
[auth]
hs256_secret_files = ["token.secret"]

[limits]
max_open_tickets = 100000
{slots}"#
        );
        std::fs::write(self.config(), edit(text)).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("putgate.toml")
    }

    pub fn database(&self) -> PathBuf {
        self.dir.path().join("putgate.db")
    }

    /// Runs a command of the binary on this site.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Said {
        let config = self.config();
        let mut all = vec!["--config".as_ref(), config.as_os_str()];
        all.extend(args.iter().map(std::ffi::OsStr::new));
        putgate(&all)
    }

    /// As [`Site::run`], for a command that must do its work.
    #[track_caller]
    pub fn must(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said.out
    }

    /// `putgate serve`, with the database brought up to date first.
    #[track_caller]
    pub fn serve(&self) -> Server {
        self.must(&["setup"]);
        Server::serve(&self.config())
    }

    /// A token for `sub` from the command line.
    #[track_caller]
    pub fn token(&self, sub: &str) -> String {
        let scope = "upload read delete";
        let out = self.must(&["token", "--sub", sub, "--scope", scope]);
        out.trim().to_owned()
    }
}

/// The body of `[storage]`; without an upload key browsers get the server's.
pub fn storage(
    endpoint: &str,
    region: &str,
    [access_key, secret_key]: [&str; 2],
    upload: Option<[&str; 2]>,
) -> String {
    let upload = upload.map_or("upload_key = \"same\"\n".to_owned(), |[access, secret]| {
        format!("upload_access_key = \"{access}\"\nupload_secret_key = \"{secret}\"\n")
    });
    format!(
        r#"endpoint = "{endpoint}"
region = "{region}"
staging_bucket = "staging"
files_bucket = "files"
access_key = "{access_key}"
secret_key = "{secret_key}"
{upload}"#
    )
}

/// Mints one ticket; the ticket with its transfer, or the answer.
pub async fn mint(
    url: &str,
    token: &str,
    slot: &str,
    name: &str,
    size: usize,
) -> Result<Value, String> {
    let body = json!({"slot": slot, "files": [{"name": name, "size": size}]});
    let reply = call(url, "POST", "/v1/tickets", token, Some(body)).await?;
    match reply.status {
        201 => Ok(reply.json()["tickets"][0].clone()),
        _ => Err(format!("{reply:?}")),
    }
}
