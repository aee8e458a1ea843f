//! What happens to a whole process or its database, played on the real binary: a holder that
//! stands still past its lease, a connection that is cut inside COMMIT, a disk without room, a
//! database that may only be read, a clock that is wrong. Those about replicas need PostgreSQL
//! (`PUTGATE_TEST_DATABASE`).

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

mod common;
#[path = "common/process.rs"]
mod process;
#[path = "common/wire.rs"]
mod wire;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::database::{self, Hand, TestDatabase};
use common::{TestBroker, png};
use futures_util::future::join_all;
use process::{Reply, SLOTS, Server, Site, call, mint, put};
use putgate::clock::Clock;
use putgate::devstore::{DevStore, Op};
use putgate::domain::secret::Secret;
use putgate::http::auth::mint_token;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use wire::{Cut, Wire};

/// Says what cannot be tried here, past the harness that keeps words to itself.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// A store and a database on PostgreSQL that several servers share.
struct Shared {
    site: Site,
    store: DevStore,
    database: TestDatabase,
    token: String,
}

impl Shared {
    async fn set(slots: &str) -> Option<Self> {
        database::server()?;
        let dir = tempfile::tempdir().unwrap();
        let store = common::devstore(dir.path()).await;
        let database = TestDatabase::make(dir.path());
        let site = Site::new(dir, &store.url());
        site.write_with(slots, &|text| at(&site, &text, &database.url()));
        site.must(&["setup"]);
        let token = site.token("7");
        Some(Self {
            site,
            store,
            database,
            token,
        })
    }

    /// A server whose way to the database is a wire.
    fn serve_over(&self, wire: &Wire) -> Server {
        let text = std::fs::read_to_string(self.site.config()).unwrap();
        let config = self.site.dir.path().join("wired.toml");
        std::fs::write(&config, text.replace(&self.database.url(), &wire.url())).unwrap();
        Server::serve(&config)
    }

    fn serve(&self) -> Server {
        Server::serve(&self.site.config())
    }

    /// A server whose worker does nothing.
    fn serve_quiet(&self) -> Server {
        let text = std::fs::read_to_string(self.site.config()).unwrap();
        let config = self.site.dir.path().join("quiet.toml");
        let quiet = text.replace("[server]\n", "[server]\nworker = false\n");
        std::fs::write(&config, quiet).unwrap();
        Server::serve(&config)
    }

    /// The kinds of a ticket's events, by `seq`.
    async fn events(&self, ticket: &Value) -> Vec<String> {
        let id = ticket["id"].as_str().unwrap();
        let mut hand = self.database.hand().await;
        let kinds = format!("SELECT kind FROM events WHERE subject = '{id}' ORDER BY seq");
        hand.lines(&kinds).await
    }

    /// One column of one ticket, as text.
    async fn of(&self, ticket: &Value, column: &str) -> String {
        let id = ticket["id"].as_str().unwrap();
        let mut hand = self.database.hand().await;
        let text = format!("SELECT coalesce(({column})::text, '-') FROM tickets WHERE id = '{id}'");
        hand.lines(&text).await.remove(0)
    }

    #[track_caller]
    fn assert_lawful(&self) {
        let said = self.site.must(&["audit"]);
        assert!(said.contains("0 violations"), "{said}");
    }
}

/// The configuration with this database.
fn at(site: &Site, text: &str, url: &str) -> String {
    let sqlite = format!("sqlite://{}", site.database().display());
    text.replace(&sqlite, url)
}

fn path(ticket: &Value) -> String {
    format!("/v1/tickets/{}", ticket["id"].as_str().unwrap())
}

fn complete(ticket: &Value) -> String {
    format!("{}/complete", path(ticket))
}

/// Asks until the answer has this status.
async fn until(server: &Server, method: &str, path: &str, token: &str, status: u16) -> Reply {
    let deadline = Instant::now() + process::PATIENCE;
    loop {
        let reply = call(&server.url, method, path, token, None).await;
        match reply {
            Ok(reply) if reply.status == status => return reply,
            other => assert!(
                Instant::now() < deadline,
                "{method} {path} does not become {status}: {other:?}: {server:?}"
            ),
        }
        tokio::task::yield_now().await;
    }
}

/// Waits for what a test can only ask for again and again.
async fn wait_for(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + process::PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}: it does not come about");
        tokio::task::yield_now().await;
    }
}

/// The signal, and the word that it was sent.
fn stopping(server: &Server) -> (impl FnOnce() + Send + 'static, oneshot::Receiver<()>) {
    let (tell, told) = oneshot::channel();
    let stop = server.signaller("STOP");
    let stop = move || {
        stop();
        let _ = tell.send(());
    };
    (stop, told)
}

// ---- a holder that stands still ---------------------------------------------------------

/// Where the holder of the lease stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    /// While it reads the staging object: the answer is there when it wakes.
    Judging,
    /// When its copy is made.
    Copied,
    /// With its commit decided and COMMIT not yet there.
    Committing,
}

async fn late_holder(at: Stopped) {
    let Some(shared) = Shared::set(SLOTS).await else {
        return;
    };
    let wire = Arc::new(Wire::to(&shared.database).await);
    let (late, other) = (shared.serve_over(&wire), shared.serve());
    let bytes = png(1);
    let ticket = mint(&late.url, &shared.token, "photos", "a.png", bytes.len());
    let ticket = ticket.await.unwrap();
    assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
    let (stop, stopped) = stopping(&late);
    let faults = shared.store.faults();
    match at {
        Stopped::Judging => faults.after(Op::GetObject, 1, move || async move { stop() }),
        Stopped::Copied => faults.after(Op::CopyObject, 1, move || async move { stop() }),
        Stopped::Committing => {
            // The wire counts from the copy on, when only the commit is to come.
            let counted = wire.clone();
            faults.after(Op::CopyObject, 1, move || async move {
                counted.cut(1, Cut::Before, move || async move {
                    stop();
                    // It stays silent in its transaction until the server has enough of it.
                    std::future::pending::<()>().await;
                });
            });
        }
    }
    let (url, token, done) = (late.url.clone(), shared.token.clone(), complete(&ticket));
    let asked = tokio::spawn(async move { call(&url, "POST", &done, &token, None).await });
    tokio::time::timeout(process::PATIENCE, stopped)
        .await
        .unwrap_or_else(|_| panic!("{at:?}: it never came to that"))
        .unwrap();
    // The lease is 30 seconds of the server's; the other waits for their end.
    let won = until(&other, "POST", &complete(&ticket), &shared.token, 200).await;
    assert_eq!(won.json()["state"], "committed", "{at:?}: {won:?}");
    let key = won.json()["file"]["key"].as_str().unwrap().to_owned();
    assert!(key.contains(".2."), "{at:?}: {key}");
    let row = shared.of(&ticket, "closed_at").await;

    let before = faults.log().len();
    late.signal("CONT");
    // It answers again, with what is true.
    let told = until(&late, "POST", &complete(&ticket), &shared.token, 200).await;
    assert_eq!(told.json()["file"]["key"], key.as_str(), "{at:?}");
    late.signal("TERM");
    assert!(late.ended(process::PATIENCE).success(), "{at:?}");
    if let Ok(Ok(reply)) = asked.await {
        assert!([200, 202, 503].contains(&reply.status), "{at:?}: {reply:?}");
    }
    let since = faults.log().split_off(before);
    for (op, _, of) in &since {
        let its_own = of.contains(".1.");
        let writes = matches!(op, Op::CopyObject | Op::PutObject | Op::CompleteMultipart);
        assert!(!writes, "{at:?}: the late one writes: {since:?}");
        let reads = its_own && *op == Op::GetObject;
        assert!(!reads, "{at:?}: the late one goes on: {since:?}");
    }
    assert_eq!(shared.of(&ticket, "closed_at").await, row, "{at:?}");
    assert_eq!(shared.events(&ticket).await, ["ticket.committed"], "{at:?}");
    wait_for("debris is swept", async || {
        let left = shared.store.objects("files");
        left.len() == 1 && left[0].0 == key && shared.store.objects("staging").is_empty()
    })
    .await;
    assert_eq!(shared.store.read("files", &key), Some(bytes), "{at:?}");
    shared.assert_lawful();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_holder_that_stood_still_past_its_lease_writes_nothing_when_it_wakes() {
    tokio::join!(
        late_holder(Stopped::Judging),
        late_holder(Stopped::Copied),
        late_holder(Stopped::Committing),
    );
}

// ---- a connection that is cut inside COMMIT ---------------------------------------------

const CUTS: [Cut; 3] = [Cut::Before, Cut::Amid, Cut::After];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_cut_inside_commit_costs_nobody_a_ticket_a_file_or_an_event() {
    let Some(shared) = Shared::set(SLOTS).await else {
        return;
    };
    let wire = Wire::to(&shared.database).await;
    let server = shared.serve_over(&wire);
    let bytes = png(1);
    let mut tickets = Vec::new();
    for round in 0..4 {
        for cut in CUTS {
            wire.cut(1, cut, || async {});
            let names: Vec<String> = (0..8).map(|n| format!("{round}-{cut:?}-{n}.png")).collect();
            let mints = names
                .iter()
                .map(|name| mint(&server.url, &shared.token, "photos", name, bytes.len()));
            for (name, minted) in names.iter().zip(join_all(mints).await) {
                // The first answer is the truth: nobody had to ask twice.
                tickets.push(minted.unwrap_or_else(|why| panic!("{name}: {why}: {server:?}")));
            }
            assert!(!wire.is_armed(), "{cut:?}: nothing was cut");
        }
    }
    let mut hand = shared.database.hand().await;
    let known = hand.lines("SELECT id::text FROM tickets ORDER BY id").await;
    let mut answered: Vec<_> = tickets.iter().map(|t| t["id"].as_str().unwrap()).collect();
    answered.sort_unstable();
    assert_eq!(known, answered, "as many rows as answers, and those");
    let reserved = "SELECT DISTINCT open::text || ' ' || reserved::text FROM usage WHERE open > 0";
    let expected = format!("{} {}", tickets.len(), tickets.len() * bytes.len());
    assert_eq!(hand.lines(reserved).await, [expected]);

    // Two COMMITs each (begin, commit); the cleaning after it is the third.
    for (n, ticket) in tickets.iter().take(18).enumerate() {
        assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
        let (cut, nth) = (CUTS[n % 3], 1 + n as u64 / 3 % 3);
        wire.cut(nth, cut, || async {});
        let reply = server
            .call("POST", &complete(ticket), &shared.token, None)
            .await;
        assert_eq!(reply.status, 200, "{cut:?} {nth}: {reply:?}");
        wait_for("the cut", async || !wire.is_armed()).await;
        assert_eq!(
            shared.events(ticket).await,
            ["ticket.committed"],
            "{cut:?} {nth}"
        );
    }
    let stored = "SELECT DISTINCT files::text || ' ' || stored::text FROM usage WHERE files > 0";
    assert_eq!(
        hand.lines(stored).await,
        [format!("18 {}", 18 * bytes.len())]
    );
    shared.assert_lawful();
}

// ---- a disk without room ----------------------------------------------------------------

/// A small file system, gone with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Only root may mount one.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(at)
            .output();
        done.is_ok_and(|done| done.status.success())
            .then(|| Self(at.to_owned()))
    }

    /// Takes what room there is.
    fn fill(&self) {
        let path = self.0.join("filler");
        let mut filler = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        for size in [64 * 1024, 4096, 512, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        File::create(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_under_sqlite_is_a_503_and_nothing_half_done() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path(), "24m") else {
        skipped("a full disk: no tmpfs can be mounted here (that takes root)");
        return;
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let store = common::devstore(elsewhere.path()).await;
    let site = Site::new(dir, &store.url());
    let server = site.serve();
    let token = site.token("7");
    let bytes = png(1);
    let mut tickets = Vec::new();
    for name in ["kept.png", "later.png"] {
        let ticket = mint(&server.url, &token, "photos", name, bytes.len()).await;
        let ticket = ticket.unwrap();
        assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
        tickets.push(ticket);
    }
    let kept = server
        .call("POST", &complete(&tickets[0]), &token, None)
        .await;
    assert_eq!(kept.status, 200, "{kept:?}");
    // What the log holds and the file does not: a checkpoint would need room.
    let files: Vec<Value> = (0..100)
        .map(|n| json!({"name": format!("{n}.png"), "size": 10}))
        .collect();
    for _ in 0..5 {
        let body = json!({"slot": "photos", "files": files});
        let reply = server.call("POST", "/v1/tickets", &token, Some(body)).await;
        let minted = reply.json()["tickets"].as_array().unwrap().clone();
        assert_eq!(minted.len(), 100, "{reply:?}");
        tickets.extend(minted);
    }
    disk.fill();
    let mut refusal = None;
    for _ in 0..2000 {
        let body = json!({"slot": "photos", "files": [{"name": "a.png", "size": bytes.len()}]});
        let reply = server.call("POST", "/v1/tickets", &token, Some(body)).await;
        if reply.status != 201 {
            refusal = Some(reply);
            break;
        }
        tickets.push(reply.json()["tickets"][0].clone());
        // What a page's end had left, or the log freed.
        disk.fill();
    }
    let refusal = refusal.unwrap();
    assert_eq!(refusal.status, 503, "{refusal:?}");
    assert_eq!(refusal.json()["code"], "database-unavailable");
    let unready = server.call("GET", "/readyz", "", None).await;
    assert_eq!(unready.status, 503, "{unready:?}");
    // Once more: it asked, and asks again.
    let unready = server.call("GET", "/readyz", "", None).await;
    assert_eq!(unready.status, 503, "{unready:?}");
    // Nothing of the checkpoint gets through either, and it harms nobody.
    let mut hand = TestDatabase::Sqlite(site.database()).hand().await;
    let checked = checkpoint(&mut hand).await;
    assert!(checked.is_err(), "{checked:?}");
    let late = server
        .call("POST", &complete(&tickets[1]), &token, None)
        .await;
    assert_eq!(late.status, 503, "{late:?}");
    let read = server.call("GET", &path(&tickets[0]), &token, None).await;
    assert_eq!(read.json()["state"], "committed", "{read:?}");
    assert_eq!(store.objects("files").len(), 1, "nothing was promoted");

    disk.make_room();
    until(&server, "GET", "/readyz", "", 200).await;
    assert_eq!(checkpoint(&mut hand).await, Ok(()));
    let done = server
        .call("POST", &complete(&tickets[1]), &token, None)
        .await;
    assert_eq!(done.status, 200, "{done:?}");
    tickets.push(
        mint(&server.url, &token, "photos", "b.png", 10)
            .await
            .unwrap(),
    );
    let rows = hand.lines("SELECT hex(id) FROM tickets").await;
    assert_eq!(rows.len(), tickets.len(), "one row an answer");
    let events = hand.lines("SELECT kind FROM events").await;
    assert_eq!(events, ["ticket.committed", "ticket.committed"]);
    let said = site.must(&["audit"]);
    assert!(said.contains("0 violations"), "{said}");
    drop(hand);
    drop(server);
    drop(disk);
}

/// Moves the log into the file; what is wrong when that does not work.
async fn checkpoint(hand: &mut Hand) -> Result<(), String> {
    hand.run("PRAGMA wal_checkpoint(TRUNCATE)")
        .await
        .map(|_| ())
}

// ---- a database that may only be read ---------------------------------------------------

/// Files that nobody may change, root neither, while somebody has them open; until the end.
struct Immutable(Vec<PathBuf>);

impl Immutable {
    fn set(word: &str, files: &[PathBuf]) -> bool {
        let done = Command::new("chattr").arg(word).args(files).output();
        done.is_ok_and(|done| done.status.success())
    }

    /// Whether that can be done here, and holds for a file that is open already.
    fn is_possible(dir: &Path) -> bool {
        let path = dir.join("probe");
        let mut open = File::create(&path).unwrap();
        let holds = Self::set("+i", std::slice::from_ref(&path)) && open.write(b"x").is_err();
        Self::set("-i", &[path]);
        holds
    }

    /// A site's database and its log.
    #[track_caller]
    fn database_of(site: &Site) -> Self {
        let files = vec![site.database(), site.database().with_extension("db-wal")];
        assert!(Self::set("+i", &files), "{files:?}");
        Self(files)
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        Self::set("-i", &self.0);
    }
}

/// What those who mint without a pause were told.
#[derive(Default)]
struct Minted {
    tickets: Mutex<Vec<String>>,
    refused: AtomicUsize,
    over: AtomicBool,
}

impl Minted {
    fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    fn minted(&self) -> usize {
        self.tickets.lock().unwrap().len()
    }
}

async fn keep_minting(url: String, token: String, told: Arc<Minted>) {
    let body = json!({"slot": "photos", "files": [{"name": "a.png", "size": 10}]});
    while !told.over.load(Ordering::SeqCst) {
        let reply = call(&url, "POST", "/v1/tickets", &token, Some(body.clone())).await;
        let reply = reply.unwrap();
        if reply.status == 201 {
            let id = reply.json()["tickets"][0]["id"]
                .as_str()
                .unwrap()
                .to_owned();
            told.tickets.lock().unwrap().push(id);
            continue;
        }
        assert_eq!(reply.status, 503, "{reply:?}");
        assert_eq!(reply.json()["code"], "database-unavailable", "{reply:?}");
        let after: u32 = reply.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&after), "{reply:?}");
        told.refused.fetch_add(1, Ordering::SeqCst);
    }
}

/// How many lines of the log contain these words.
fn lines_with(server: &Server, words: &str) -> usize {
    server
        .log()
        .lines()
        .filter(|line| line.contains(words))
        .count()
}

/// A site whose database turns read-only twice: while nobody writes, and under load.
async fn read_only_for_a_while(site: Site, store: DevStore, mut turn: impl FnMut(&Site, bool)) {
    site.write_with(SLOTS, &|text| {
        let apart = "[server]\nadmin_listen = \"127.0.0.1:0\"\n";
        text.replacen("[server]\n", apart, 1)
    });
    let server = site.serve();
    let admin = format!("http://{}", server.address("answering apart"));
    let writable = async |wanted: &str| {
        let numbers = call(&admin, "GET", "/metrics", "", None).await.unwrap();
        let text = String::from_utf8(numbers.bytes).unwrap();
        // It can be read all the time, if not by every scrape within its two seconds.
        text.contains("putgate_database_up 1\n")
            && text.contains(&format!("putgate_database_writable {wanted}\n"))
    };
    let token = site.token("7");
    let bytes = png(1);
    let mut tickets = Vec::new();
    for name in ["kept.png", "later.png", "unwanted.png"] {
        let ticket = mint(&server.url, &token, "photos", name, bytes.len()).await;
        let ticket = ticket.unwrap();
        assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
        tickets.push(ticket);
    }
    let ask = async |method: &str, path: &str| server.call(method, path, &token, None).await;
    let kept = ask("POST", &complete(&tickets[0])).await;
    assert_eq!(kept.status, 200, "{kept:?}");
    wait_for("a scrape", async || writable("1").await).await;

    let told = Arc::<Minted>::default();
    let mut hands = Vec::new();
    for round in 1..=2 {
        if round == 2 {
            for _ in 0..3 {
                let hand = keep_minting(server.url.clone(), token.clone(), told.clone());
                hands.push(tokio::spawn(hand));
            }
            wait_for("mints", async || told.minted() > 10).await;
        }
        let before = told.refused();
        turn(&site, false);
        // In the first round nobody else has tried to write.
        let unready = until(&server, "GET", "/readyz", "", 503).await;
        assert_eq!(unready.json()["code"], "database-unavailable");
        for _ in 0..3 {
            assert_eq!(ask("GET", "/readyz").await.status, 503, "and it stays so");
        }
        assert_eq!(ask("GET", "/livez").await.status, 200);
        wait_for("a scrape that says so", async || writable("0").await).await;
        for (method, path) in [
            ("POST", complete(&tickets[1])),
            ("DELETE", path(&tickets[2])),
        ] {
            let reply = ask(method, &path).await;
            assert_eq!(reply.status, 503, "{method}: {reply:?}");
            assert_ne!(reply.header("retry-after"), "", "{method}: {reply:?}");
        }
        assert_eq!(store.objects("files").len(), 1, "nothing was promoted");
        // Whoever only reads goes on.
        let read = ask("GET", &path(&tickets[0])).await;
        assert_eq!(read.json()["state"], "committed", "{read:?}");
        let read = ask("GET", &path(&tickets[1])).await;
        assert_eq!(read.json()["state"], "open", "{read:?}");
        let files = ask("GET", "/v1/files").await.json()["files"].clone();
        assert_eq!(files.as_array().unwrap().len(), 1, "{files:?}");
        let said = site.run(&["doctor"]);
        assert!(
            said.out.contains("it can be read and not written"),
            "{said:?}"
        );
        if round == 2 {
            wait_for("refusals", async || told.refused() > before + 100).await;
        }

        let had = told.minted();
        turn(&site, true);
        until(&server, "GET", "/readyz", "", 200).await;
        if round == 2 {
            wait_for("mints again", async || told.minted() > had + 10).await;
        }
        wait_for("a scrape that says so", async || writable("1").await).await;
        // Without a session of the meantime, which would last for half an hour.
        let passes = "the worker's passes";
        wait_for(passes, async || worker_is_well(&admin).await).await;
        for words in [
            "the database takes no writes; said once",
            "the database takes writes again",
        ] {
            assert_eq!(
                lines_with(&server, words),
                round,
                "{words}: {}",
                server.log()
            );
        }
    }
    told.over.store(true, Ordering::SeqCst);
    for hand in hands {
        hand.await.unwrap();
    }
    // Nothing of the writer's but these lines, and a warning for the batch that met it.
    let of_writer = lines_with(&server, "\"target\":\"putgate::db");
    assert!((4..=6).contains(&of_writer), "{}", server.log());
    let done = ask("POST", &complete(&tickets[1])).await;
    assert_eq!(done.status, 200, "{done:?}");
    let gone = ask("DELETE", &path(&tickets[2])).await;
    assert_eq!(gone.status, 204, "{gone:?}");

    let mut hand = site.database.hand().await;
    let rows = hand.lines("SELECT hex(id) FROM tickets").await;
    assert_eq!(
        rows.len(),
        tickets.len() + told.minted(),
        "one row an answer"
    );
    let events = hand
        .lines("SELECT kind FROM events ORDER BY created_at")
        .await;
    assert_eq!(
        events,
        ["ticket.committed", "ticket.committed", "ticket.cancelled"]
    );
    drop(hand);
    let said = site.must(&["audit"]);
    assert!(said.contains("0 violations"), "{said}");
}

/// Whether none of the worker's passes that poll has failed between two scrapes, and each ran.
async fn worker_is_well(admin: &str) -> bool {
    let numbers = async |outcome: &str| -> Vec<f64> {
        let numbers = call(admin, "GET", "/metrics", "", None).await.unwrap();
        let text = String::from_utf8(numbers.bytes).unwrap();
        let count = |pass: &str| {
            let name = "putgate_worker_passes_total";
            let series = format!("{name}{{pass=\"{pass}\",outcome=\"{outcome}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&series));
            line.unwrap_or_else(|| panic!("no {series}: {text}"))
                .parse()
                .unwrap()
        };
        ["look", "clean", "unclaimed", "purge"].map(count).to_vec()
    };
    let (failed, ok) = (numbers("failed").await, numbers("ok").await);
    let all_ran = async || {
        let now = numbers("ok").await;
        now.iter().zip(&ok).all(|(now, then)| now > then)
    };
    let deadline = Instant::now() + std::time::Duration::from_secs(20);
    while !all_ran().await {
        if Instant::now() > deadline {
            return false;
        }
        tokio::task::yield_now().await;
    }
    numbers("failed").await == failed
}

/// A site on SQLite, its store, and where that is; none where a file cannot be made read-only.
async fn site_of_a_file() -> Option<(Site, DevStore, tempfile::TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    if !Immutable::is_possible(dir.path()) {
        skipped("a read-only file: chattr +i does not hold here (that takes root, and ext4)");
        return None;
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let store = common::devstore(elsewhere.path()).await;
    Some((Site::new(dir, &store.url()), store, elsewhere))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sqlite_file_that_turns_read_only_is_a_503_and_red_until_it_can_be_written() {
    let Some((site, store, _elsewhere)) = site_of_a_file().await else {
        return;
    };
    let mut held = Vec::new();
    read_only_for_a_while(site, store, |site, writable| {
        if writable {
            held.clear();
        } else {
            held.push(Immutable::database_of(site));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sqlite_file_that_turns_read_only_is_red_though_nobody_writes() {
    let Some((site, _store, _elsewhere)) = site_of_a_file().await else {
        return;
    };
    // The worker would find out too, within a minute.
    site.write_with(SLOTS, &|text| {
        text.replacen("[server]\n", "[server]\nworker = false\n", 1)
    });
    let server = site.serve();
    until(&server, "GET", "/readyz", "", 200).await;
    let held = Immutable::database_of(&site);
    until(&server, "GET", "/readyz", "", 503).await;
    drop(held);
    until(&server, "GET", "/readyz", "", 200).await;
}

/// The server's sessions end when it turns, as when it becomes a standby, and not when it
/// turns back: those of the meantime stay read-only for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_turns_read_only_is_a_503_and_red_until_it_can_be_written() {
    if database::server().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = common::devstore(dir.path()).await;
    let site = Site::on_either(dir, &store.url());
    read_only_for_a_while(site, store, |site, writable| {
        let word = if writable { "off" } else { "on" };
        site.database.on_server(|name| {
            format!("ALTER DATABASE {name} SET default_transaction_read_only = {word}")
        });
        if !writable {
            site.database.on_server(|name| {
                format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = '{name}'"
                )
            });
        }
    })
    .await;
}

// ---- a clock that is wrong --------------------------------------------------------------

/// What lies to a process about the time.
fn faketime() -> Option<PathBuf> {
    let dirs = std::fs::read_dir("/usr/lib").ok()?;
    let found = dirs
        .flatten()
        .map(|dir| dir.path().join("faketime/libfaketimeMT.so.1"));
    found.into_iter().find(|path| path.exists())
}

/// The process's clock signs URLs and judges tokens; all else goes by the database's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_whose_clock_is_ten_minutes_off_steals_no_lease_and_expires_nothing() {
    let slots = format!(
        "{SLOTS}\n[slots.brief]\nmax_entries = 100\nurl_ttl = \"5m\"\nticket_ttl = \"5m\"\n"
    );
    let Some(shared) = Shared::set(&slots).await else {
        return;
    };
    let Some(library) = faketime() else {
        skipped("a wrong clock: libfaketime is not installed");
        return;
    };
    let library = library.display().to_string();
    let bytes = png(1);
    for (offset, minutes) in [("+10m", 10_i64), ("-10m", -10)] {
        let env = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME", offset),
            ("DONT_FAKE_MONOTONIC", "1"),
        ];
        let wrong = Server::serve_in(&env, &shared.site.config());
        // It does live in another time: a token of a minute, by the true clock.
        let now = Clock::System.now().seconds();
        let claims = json!({"sub": "7", "scope": "upload read", "exp": now + 60});
        let short = mint_token(&Secret::new(common::SECRET), &claims);
        let believed = wrong.call("GET", "/v1/slots", &short, None).await;
        let expected = if minutes > 0 { 401 } else { 200 };
        assert_eq!(believed.status, expected, "{offset}: {believed:?}");

        // Alone, its worker looks at one ticket and leaves the other, which has five minutes.
        let open = mint(&wrong.url, &shared.token, "brief", "o.png", bytes.len())
            .await
            .unwrap();
        let due = mint(&wrong.url, &shared.token, "brief", "d.png", bytes.len())
            .await
            .unwrap();
        let left =
            "(expires_at - floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) / 1000";
        let left: i64 = shared.of(&open, left).await.parse().unwrap();
        assert!(
            (60..=300).contains(&left),
            "{offset}: {left} s by the server's clock"
        );
        // A URL is good from when it says it was signed until its end, within what the
        // store allows for clocks.
        let stored = put(&due["transfer"], &bytes).await;
        let (signed_ahead, ended) = (minutes > 0, minutes < 0);
        let _ = writeln!(
            std::io::stderr(),
            "clock {offset}: PUT by a URL of five minutes answers {stored:?}"
        );
        if ended {
            assert_eq!(
                stored,
                Ok(403),
                "{offset}: it was over before it was signed"
            );
        }
        assert!(signed_ahead || ended);
        if stored != Ok(200) {
            // By a URL that lives longer than the clock is wrong.
            let long = mint(&wrong.url, &shared.token, "photos", "l.png", bytes.len()).await;
            let stored = put(&long.unwrap()["transfer"], &bytes).await;
            let _ = writeln!(
                std::io::stderr(),
                "clock {offset}: PUT by a URL of fifteen minutes answers {stored:?}"
            );
        }
        let right = shared.serve_quiet();
        let fresh = right
            .call("POST", &format!("{}/sign", path(&due)), &shared.token, None)
            .await;
        if stored != Ok(200) {
            assert_eq!(
                put(&fresh.json()["transfer"], &bytes).await,
                Ok(200),
                "{fresh:?}"
            );
        }
        let mut hand = shared.database.hand().await;
        let id = due["id"].as_str().unwrap();
        let soon = format!("UPDATE tickets SET next_check_at = 1 WHERE id = '{id}'");
        hand.run(soon).await.unwrap();
        wait_for("its worker's look", async || {
            shared.of(&due, "state").await == "committed"
        })
        .await;
        assert_eq!(
            shared.of(&open, "state || checks::text").await,
            "open0",
            "{offset}"
        );

        // A lease that the right one holds while it reads.
        let held = mint(&right.url, &shared.token, "photos", "h.png", bytes.len())
            .await
            .unwrap();
        assert_eq!(put(&held["transfer"], &bytes).await, Ok(200));
        let (tell, reading) = oneshot::channel();
        let (go, gone) = oneshot::channel::<()>();
        shared
            .store
            .faults()
            .after(Op::GetObject, 1, move || async move {
                let _ = tell.send(());
                let _ = gone.await;
            });
        let (url, token, done) = (right.url.clone(), shared.token.clone(), complete(&held));
        let asked = tokio::spawn(async move { call(&url, "POST", &done, &token, None).await });
        reading.await.unwrap();
        let busy = format!("{}?wait=0", complete(&held));
        let busy = wrong.call("POST", &busy, &shared.token, None).await;
        assert_eq!(busy.status, 202, "{offset}: {busy:?}");
        go.send(()).unwrap();
        let committed = asked.await.unwrap().unwrap();
        assert_eq!(committed.status, 200, "{offset}: {committed:?}");
        assert_eq!(
            shared.of(&held, "epoch").await,
            "1",
            "{offset}: nobody else began"
        );
        assert_eq!(shared.events(&held).await, ["ticket.committed"]);
    }
    shared.assert_lawful();
}

// ---- a server that falls ----------------------------------------------------------------

/// What stops (at once, as a crash does) and starts the test's own server: a program that
/// takes `stop` or `start`. Only where nobody else uses that server.
fn cluster() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a test's own variable")]
    std::env::var_os("PUTGATE_TEST_CLUSTER").map(PathBuf::from)
}

fn tell(cluster: &Path, word: &str) {
    let done = tokio::task::block_in_place(|| Command::new(cluster).arg(word).status());
    assert!(done.unwrap().success(), "{word}");
}

/// What a client of the outage was told.
#[derive(Default)]
struct Told {
    minted: Vec<Value>,
    put: Vec<Value>,
    committed: Vec<Value>,
    refused: usize,
}

/// Uploads through one server and completes through another, whatever they answer.
async fn upload(shared: &Shared, servers: &[Server], n: usize, told: &Mutex<Told>) {
    let bytes = png(u32::try_from(n).unwrap());
    let size = bytes.len();
    let body = json!({"slot": "photos", "files": [{"name": "a.png", "size": size}]});
    let (one, two) = (&servers[n % 2], &servers[(n + 1) % 2]);
    let minted = one
        .call("POST", "/v1/tickets", &shared.token, Some(body))
        .await;
    if minted.status != 201 {
        assert_eq!(minted.status, 503, "{minted:?}");
        assert_eq!(minted.json()["code"], "database-unavailable");
        told.lock().unwrap().refused += 1;
        return;
    }
    let ticket = minted.json()["tickets"][0].clone();
    told.lock().unwrap().minted.push(ticket.clone());
    assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
    told.lock().unwrap().put.push(ticket.clone());
    let done = two
        .call("POST", &complete(&ticket), &shared.token, None)
        .await;
    match done.status {
        200 => told.lock().unwrap().committed.push(ticket),
        202 => {}
        status => {
            assert_eq!(status, 503, "{done:?}");
            told.lock().unwrap().refused += 1;
        }
    }
}

/// Its sessions stay, and are read-only from their next transaction on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_turns_read_only_under_its_sessions_is_a_503_until_it_can_be_written() {
    if cluster().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = common::devstore(dir.path()).await;
    let site = Site::on_either(dir, &store.url());
    read_only_for_a_while(site, store, |site, writable| {
        let word = if writable { "off" } else { "on" };
        site.database
            .on_server(|_| format!("ALTER SYSTEM SET default_transaction_read_only = {word}"));
        site.database
            .on_server(|_| "SELECT pg_reload_conf()::text".to_owned());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_falls_under_load_and_comes_back_loses_nothing() {
    let Some(cluster) = cluster() else { return };
    let Some(shared) = Shared::set(SLOTS).await else {
        return;
    };
    let shared = Arc::new(shared);
    // One more, whose clock is the test's: for it the outage lasts a minute.
    let slow = TestBroker::start().await;
    let token = slow.token("7");
    let waiting = slow.mint(&token, "photos", "w.png", &png(7)).await;
    assert_eq!(slow.put(&waiting, &png(7)).await, 200);

    let servers = Arc::new([shared.serve(), shared.serve()]);
    let told = Arc::<Mutex<Told>>::default();
    let over = Arc::<AtomicBool>::default();
    let clients: Vec<_> = (0..6)
        .map(|first| {
            let (shared, servers) = (shared.clone(), servers.clone());
            let (told, over) = (told.clone(), over.clone());
            tokio::spawn(async move {
                let mut n = first;
                while !over.load(Ordering::SeqCst) {
                    upload(&shared, &*servers, n, &told).await;
                    n += 6;
                }
            })
        })
        .collect();
    let committed = || told.lock().unwrap().committed.len();
    let refused = || told.lock().unwrap().refused;
    for _ in 0..2 {
        let (had, lost) = (committed(), refused());
        wait_for("uploads", async || committed() > had + 10).await;
        tell(&cluster, "stop");
        for server in servers.iter() {
            until(server, "GET", "/readyz", "", 503).await;
        }
        wait_for("refusals", async || refused() > lost + 6).await;
        slow.advance(60);
        let answer = slow.complete(&token, &waiting).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(putgate::worker::run_once(&slow.app).await.is_err());
        tell(&cluster, "start");
        for server in servers.iter() {
            until(server, "GET", "/readyz", "", 200).await;
        }
        let had = committed();
        wait_for("uploads after it", async || committed() > had + 10).await;
    }
    over.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    slow.sweep().await;
    assert_eq!(slow.events(&waiting).await, ["ticket.committed"]);
    slow.assert_lawful().await;

    // Those who gave up left their bytes; the worker looks a minute after, or now.
    let mut hand = shared.database.hand().await;
    let soon = "UPDATE tickets SET next_check_at = 1, lease_until = NULL WHERE state = 'open'";
    hand.run(soon).await.unwrap();
    let told = std::mem::take(&mut *told.lock().unwrap());
    for ticket in &told.minted {
        assert_ne!(shared.of(ticket, "state").await, "", "it is there");
    }
    for ticket in &told.put {
        wait_for("the worker", async || {
            shared.of(ticket, "state").await == "committed"
        })
        .await;
        assert_eq!(shared.events(ticket).await, ["ticket.committed"]);
    }
    shared.assert_lawful();
}
