//! Law 7: a process that was killed leaves nothing that the next one cannot put right. The
//! binary is killed by hooks of the store it talks to, before and after each operation
//! between mint and clean; on PostgreSQL also by the wire to the server, before and after
//! each COMMIT; and at random moments under load. Then the test plays the worker on the same
//! database, with a clock that runs days ahead: leases, looks and deadlines are by that clock.
//!
//! SQLite always; PostgreSQL too where `PUTGATE_TEST_DATABASE` is set, and then the kills of
//! a run are [`KILLS`].

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

mod common;
#[path = "common/process.rs"]
mod process;
#[path = "common/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use common::database::TestDatabase;
use common::{HTML, png};
use process::{SLOTS, Server, Site, call, fetch, mint, put};
use putgate::clock::Clock;
use putgate::config::Config;
use putgate::db::{self, Db};
use putgate::devstore::{DevStore, Op, Turn};
use putgate::domain::file::File;
use putgate::domain::name::Id;
use putgate::domain::ticket::State;
use putgate::domain::time::Seconds;
use putgate::flow::sweep::Swept;
use putgate::flow::{self, App};
use putgate::store::Store;
use putgate::worker;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use wire::{Cut, Wire};

/// How many kills a run on both databases has.
const KILLS: u64 = 200;
/// How many of them, on each database, come at random moments.
const RANDOM: u64 = 34;

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    Sqlite,
    Postgres,
}

/// The databases that are here.
fn databases() -> impl Iterator<Item = On> + Clone {
    let server = common::database::server().map(|_| On::Postgres);
    std::iter::once(On::Sqlite).chain(server)
}

/// Kills so far, by database and step.
static TALLY: Mutex<BTreeMap<(On, String), u64>> = Mutex::new(BTreeMap::new());

/// A kill after which everything was found right.
fn survived(on: On, step: String) {
    *TALLY.lock().unwrap().entry((on, step)).or_default() += 1;
}

/// Says what was survived; a run on both databases is not over before all was.
fn report() {
    let tally = TALLY.lock().unwrap();
    let all: u64 = tally.values().sum();
    let expected = if databases().count() == 2 {
        KILLS
    } else {
        STEPS.len() as u64 * 2 + RANDOM
    };
    if all < expected {
        return;
    }
    // Past the harness, which keeps the words of tests that pass to itself.
    let mut out = std::io::stderr().lock();
    for ((on, step), kills) in tally.iter() {
        let _ = writeln!(out, "kills: {on:?}: {step}: {kills}");
    }
    let _ = writeln!(out, "kills: {all} in all, violations: 0");
    assert_eq!(all, expected);
}

/// A store, a database and a site of its own for one story.
struct Scene {
    site: Site,
    store: DevStore,
    database: TestDatabase,
    /// The servers' way to PostgreSQL.
    wire: Option<Wire>,
}

impl Scene {
    async fn set(on: On) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = common::devstore(dir.path()).await;
        let database = match on {
            On::Sqlite => TestDatabase::Sqlite(dir.path().join("putgate.db")),
            On::Postgres => TestDatabase::make(dir.path()),
        };
        let wire = match on {
            On::Sqlite => None,
            On::Postgres => Some(Wire::to(&database).await),
        };
        let site = Site::new(dir, &store.url());
        if let Some(wire) = &wire {
            let sqlite = format!("sqlite://{}", site.database().display());
            site.write_with(SLOTS, &|text| text.replace(&sqlite, &wire.url()));
        }
        Self {
            site,
            store,
            database,
            wire,
        }
    }

    /// What the worker makes of the database that a dead process left, as time goes by.
    async fn converge(&self) -> Arc<App> {
        let clock = Clock::manual(Clock::System.now());
        let settings = db::Settings {
            place: self.database.place(db::Synchronous::Full),
            migrate: false,
        };
        let ids = clock.clone();
        let db = Db::open(&settings, clock.clone(), move || flow::new_id(&ids))
            .await
            .unwrap();
        let bytes = Store::connect(common::store_settings(&self.store.url()))
            .await
            .unwrap();
        let config = Config::load(Some(&self.site.config()), &BTreeMap::new()).unwrap();
        let year = Seconds(365 * 24 * 3600);
        let app = App::new(db, bytes, clock.clone(), config.slots, 100, year);
        for hours in [0, 1, 24, 8 * 24] {
            clock.advance(Seconds(hours * 3600));
            work_off(&app).await;
        }
        app
    }

    fn audit(&self, step: &str) {
        let said = self.site.run(&["audit"]);
        assert_eq!(said.code, Some(0), "{step}: {said:?}");
    }
}

/// The same for every site, which all believe one secret.
fn token(site: &Site) -> String {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| site.token("7")).clone()
}

async fn work_off(app: &Arc<App>) {
    for _ in 0..1000 {
        let swept = worker::run_once(app).await.unwrap();
        let walked = worker::walk_once(app).await.unwrap();
        if swept == Swept::default() && walked.deleted.is_empty() {
            return;
        }
    }
    panic!("the worker finds more to do again and again");
}

/// The kinds of a ticket's events, by `seq`.
async fn events(app: &App, id: Id) -> Vec<String> {
    let events = app.db.events(id).await.unwrap();
    events.into_iter().map(|(kind, _)| kind).collect()
}

fn id_of(ticket: &Value) -> Id {
    ticket["id"].as_str().unwrap().parse().unwrap()
}

/// A ZIP of one stored file, longer than the head that the judge reads.
fn zip() -> Vec<u8> {
    let (name, data) = (b"a.txt", vec![b'a'; 100_000]);
    let size = u32::try_from(data.len()).unwrap().to_le_bytes();
    // Version, flags, method, time, date, CRC (nobody here reads the data), both sizes.
    let common = [
        &[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0][..],
        &size,
        &size,
        &[5, 0, 0, 0],
    ]
    .concat();
    let local = [b"PK\x03\x04", &common[..], name, &data].concat();
    let central = [b"PK\x01\x02\x14\0", &common[..], &[0; 14], name].concat();
    let lengths = [central.len(), local.len()].map(|n| u32::try_from(n).unwrap().to_le_bytes());
    let end = [
        &b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..],
        &lengths[0],
        &lengths[1],
        &[0, 0],
    ]
    .concat();
    [local, central, end].concat()
}

/// What the client does around the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// Mint, put a ZIP, complete.
    Commit,
    /// Mint, put what the slot refuses, complete.
    Reject,
    /// Mint, sign, put two parts, complete.
    Parts,
    /// Mint, put, cancel.
    Cancel,
    /// Mint, sign, put one part of two, cancel.
    CancelParts,
    /// Upload, then delete the file.
    Delete,
}

/// Around which side of its effect the operation is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// The process dies and the store never does it.
    Before,
    /// The store does it and the process dies before the answer.
    After,
}

/// Every store operation between mint and clean: the story, the operation, which of its
/// kind in the story, or of a deleted file in its bucket.
const STEPS: &[(Story, Op, u64)] = &[
    (Story::Commit, Op::GetObject, 1),
    (Story::Commit, Op::GetObject, 2),
    (Story::Commit, Op::CopyObject, 1),
    (Story::Commit, Op::GetObject, 3),
    (Story::Commit, Op::GetObject, 4),
    (Story::Commit, Op::DeleteObject, 1),
    (Story::Reject, Op::GetObject, 1),
    (Story::Reject, Op::DeleteObject, 1),
    (Story::Reject, Op::ListObjects, 1),
    (Story::Parts, Op::CreateMultipart, 1),
    (Story::Parts, Op::ListParts, 1),
    (Story::Parts, Op::CompleteMultipart, 1),
    (Story::Parts, Op::GetObject, 1),
    (Story::Parts, Op::CopyObject, 1),
    (Story::Parts, Op::GetObject, 2),
    (Story::Parts, Op::DeleteObject, 1),
    (Story::Parts, Op::ListMultipartUploads, 1),
    (Story::Parts, Op::AbortMultipart, 1),
    (Story::Cancel, Op::DeleteObject, 1),
    (Story::CancelParts, Op::DeleteObject, 1),
    (Story::CancelParts, Op::ListMultipartUploads, 1),
    (Story::CancelParts, Op::AbortMultipart, 1),
    (Story::Delete, Op::DeleteObject, 1),
];

/// Plays the client's part; `Err` when the server is gone, which is the point.
async fn play(story: Story, url: &str, token: &str, ticket: &Value) -> Result<(), String> {
    let path = format!("/v1/tickets/{}", ticket["id"].as_str().unwrap());
    let complete = format!("{path}/complete");
    let bytes = bytes(story);
    match story {
        Story::Parts | Story::CancelParts => {
            let parts = json!({"parts": [1, 2]});
            let reply = call(url, "POST", &format!("{path}/sign"), token, Some(parts)).await?;
            let signed = reply.json();
            let cut = 5 << 20;
            put(&signed["parts"][0], &bytes[..cut]).await?;
            if story == Story::CancelParts {
                call(url, "DELETE", &path, token, None).await?;
            } else {
                put(&signed["parts"][1], &bytes[cut..]).await?;
                call(url, "POST", &complete, token, None).await?;
            }
        }
        Story::Cancel => {
            put(&ticket["transfer"], &bytes).await?;
            call(url, "DELETE", &path, token, None).await?;
        }
        Story::Commit | Story::Reject | Story::Delete => {
            put(&ticket["transfer"], &bytes).await?;
            call(url, "POST", &complete, token, None).await?;
            if story == Story::Delete {
                let file = format!("/v1/files/{}", ticket["id"].as_str().unwrap());
                call(url, "DELETE", &file, token, None).await?;
            }
        }
    }
    Ok(())
}

fn slot(story: Story) -> &'static str {
    match story {
        Story::Commit => "documents",
        Story::Parts | Story::CancelParts => "big",
        Story::Reject | Story::Cancel | Story::Delete => "photos",
    }
}

fn bytes(story: Story) -> Vec<u8> {
    match story {
        Story::Commit => zip(),
        Story::Reject => HTML.to_vec(),
        Story::Parts | Story::CancelParts => vec![7; (5 << 20) + 1000],
        Story::Cancel | Story::Delete => png(1),
    }
}

/// How the story has to end, whatever the moment of the kill: the ticket, its events, and
/// whether its bytes are in the files bucket.
fn end(story: Story, op: Op) -> (State, &'static [&'static str], bool) {
    match (story, op) {
        // The client never got a URL, so nothing arrived.
        (Story::Parts, Op::CreateMultipart) => (State::Expired, &["ticket.expired"], false),
        (Story::Commit | Story::Parts, _) => (State::Committed, &["ticket.committed"], true),
        (Story::Reject, _) => (State::Rejected, &["ticket.rejected"], false),
        (Story::Cancel | Story::CancelParts, _) => (State::Cancelled, &["ticket.cancelled"], false),
        (Story::Delete, _) => (
            State::Committed,
            &["ticket.committed", "file.deleted"],
            false,
        ),
    }
}

/// How else it may end when a COMMIT did not come about and the client gave up: its call was
/// never carried out.
fn otherwise(story: Story) -> Option<(State, &'static [&'static str], bool)> {
    match story {
        // Without the COMMIT that records the upload nobody got a URL for its parts.
        Story::Parts | Story::CancelParts => Some((State::Expired, &["ticket.expired"], false)),
        Story::Cancel | Story::Delete => Some((State::Committed, &["ticket.committed"], true)),
        Story::Commit | Story::Reject => None,
    }
}

/// Where a story is cut.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Operation(Op, u64, When),
    Commit(u64, When),
}

/// A hook that kills and tells.
fn killing(server: &Server) -> (impl FnOnce() + Send + 'static, oneshot::Receiver<()>) {
    let (tell, done) = oneshot::channel();
    let killer = server.killer();
    let kill = move || {
        killer.kill();
        let _ = tell.send(());
    };
    (kill, done)
}

async fn came(step: &str, done: oneshot::Receiver<()>) {
    tokio::time::timeout(process::PATIENCE, done)
        .await
        .unwrap_or_else(|_| panic!("{step}: it never came to that"))
        .unwrap();
}

async fn kill_at(on: On, tale: Story, moment: Moment) {
    let step = format!("{tale:?}, {moment:?}");
    let scene = Scene::set(on).await;
    let (site, store) = (&scene.site, &scene.store);
    let server = site.serve();
    let token = token(site);
    let ticket = mint(&server.url, &token, slot(tale), "a", bytes(tale).len())
        .await
        .unwrap_or_else(|why| panic!("{step}: {why}"));
    let (kill, done) = killing(&server);
    match moment {
        Moment::Operation(op, nth, when) => {
            // What is in staging may be deleted twice, by who commits and by the worker.
            let only = (tale == Story::Delete).then_some("files");
            let armed = Mutex::new((0, Some(kill)));
            store.faults().govern(move |at, bucket, _| {
                let mut turn = Turn::default();
                let mut armed = armed.lock().unwrap();
                if at == op && only.is_none_or(|only| only == bucket) {
                    armed.0 += 1;
                    let is_now = armed.0 == nth;
                    if let Some(kill) = armed.1.take_if(|_| is_now) {
                        let place = match when {
                            When::Before => &mut turn.before,
                            When::After => &mut turn.after,
                        };
                        *place = Some(Box::pin(async move {
                            kill();
                            if when == When::Before {
                                // Its client is dead, so the server drops the operation here.
                                std::future::pending::<()>().await;
                            }
                        }));
                    }
                }
                turn
            });
        }
        Moment::Commit(nth, when) => {
            let wire = scene.wire.as_ref().unwrap();
            wire.cut(nth, cut(when), move || async move { kill() });
        }
    }
    // It may well end in an error: what counts is what is true afterwards.
    let told = play(tale, &server.url, &token, &ticket).await;
    came(&step, done).await;
    store.faults().clear();

    let again = Server::serve(&site.config());
    let path = format!("/v1/tickets/{}", ticket["id"].as_str().unwrap());
    let reply = again.call("GET", &path, &token, None).await;
    assert_eq!(reply.status, 200, "{step}: {reply:?}");
    again.killer().kill();

    let app = scene.converge().await;
    let id = id_of(&ticket);
    let row = app.db.ticket(id).await.unwrap().unwrap();
    let told_of = events(&app, id).await;
    let file = app.db.file(id).await.unwrap().filter(File::is_live);
    let ended = (
        row.state,
        told_of.iter().map(String::as_str).collect::<Vec<_>>(),
        file.is_some(),
    );
    let wanted = |(state, told, kept): (State, &[&'static str], bool)| (state, told.to_vec(), kept);
    match moment {
        Moment::Operation(op, ..) => assert_eq!(ended, wanted(end(tale, op)), "{step}: {row:?}"),
        Moment::Commit(..) => {
            // Any operation but the one that keeps the URL from the client.
            let whole = wanted(end(tale, Op::DeleteObject));
            let other = otherwise(tale).filter(|_| told.is_err()).map(wanted);
            let right = ended == whole || other.is_some_and(|other| ended == other);
            assert!(right, "{step}: {told:?}, {ended:?}, {row:?}");
        }
    }
    let keys: Vec<String> = file.iter().map(|file| file.key.clone()).collect();
    let objects = store.objects("files").into_iter().map(|(key, _)| key);
    assert_eq!(objects.collect::<Vec<_>>(), keys, "{step}");
    for key in keys {
        let stored = store.read("files", &key);
        assert!(stored == Some(bytes(tale)), "{step}: other bytes");
    }
    assert_eq!(store.objects("staging"), [], "{step}");
    let unfinished = ["staging", "files"].map(|bucket| store.unfinished(bucket));
    assert_eq!(unfinished, [0, 0], "{step}");
    app.db.close().await;
    drop(app);
    scene.audit(&step);
    survived(on, step);
}

fn cut(when: When) -> Cut {
    match when {
        When::Before => Cut::Before,
        When::After => Cut::After,
    }
}

/// The client of a mint that died under it asks again, with the same key.
async fn kill_at_mint(when: When) {
    let step = format!("Mint, Commit(1, {when:?})");
    let scene = Scene::set(On::Postgres).await;
    let wire = scene.wire.as_ref().unwrap();
    let server = scene.site.serve();
    let token = token(&scene.site);
    let bytes = png(1);
    let body = json!({"slot": "photos", "files": [{"name": "a.png", "size": bytes.len()}]});
    let headers = BTreeMap::from([
        ("authorization".to_owned(), format!("Bearer {token}")),
        ("content-type".to_owned(), "application/json".to_owned()),
        ("idempotency-key".to_owned(), "once".to_owned()),
    ]);
    let ask = async |url: &str| {
        let url = format!("{url}/v1/tickets");
        fetch("POST", &url, &headers, body.to_string().as_bytes()).await
    };
    let (kill, done) = killing(&server);
    wire.cut(1, cut(when), move || async move { kill() });
    // Whatever it is, it is no ticket: a COMMIT of somebody else may have been the first.
    let _ = ask(&server.url).await;
    came(&step, done).await;
    let again = Server::serve(&scene.site.config());
    let mut asked = ask(&again.url).await;
    for _ in 0..2 {
        let reply = asked.unwrap();
        assert_eq!(reply.status, 201, "{step}: {reply:?}");
        asked = ask(&again.url).await;
    }
    let ticket = asked.unwrap().json()["tickets"][0].clone();
    let mut hand = scene.database.hand().await;
    let tickets = hand.lines("SELECT hex(id) FROM tickets").await;
    assert_eq!(tickets, [ticket["id"].as_str().unwrap()], "{step}");
    assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200), "{step}");
    again.killer().kill();
    let app = scene.converge().await;
    let id = id_of(&ticket);
    assert_eq!(events(&app, id).await, ["ticket.committed"], "{step}");
    app.db.close().await;
    scene.audit(&step);
    survived(On::Postgres, step);
}

/// How many COMMITs each story has after the mint.
const COMMITS: &[(Story, u64)] = &[
    (Story::Commit, 3),
    (Story::Reject, 3),
    (Story::Parts, 4),
    (Story::Cancel, 2),
    (Story::CancelParts, 3),
    (Story::Delete, 4),
];

/// What one of the threads does next.
#[derive(Clone, Copy, Debug)]
enum Job {
    Step(On, Story, Moment),
    Mint(When),
    Random(On),
}

impl Job {
    async fn run(self) {
        match self {
            Self::Step(on, story, moment) => kill_at(on, story, moment).await,
            Self::Mint(when) => kill_at_mint(when).await,
            Self::Random(on) => kill_at_random(on).await,
        }
    }
}

/// Does the jobs, as many at a time as two cores can carry.
fn all(jobs: impl Iterator<Item = Job> + Send) {
    let left = Mutex::new(jobs);
    let next = || left.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .unwrap();
                while let Some(job) = next() {
                    runtime.block_on(job.run());
                }
            });
        }
    });
    report();
}

const SIDES: [When; 2] = [When::Before, When::After];

#[test]
fn a_kill_before_and_after_every_store_operation_leaves_nothing_wrong() {
    let mut jobs = Vec::new();
    for on in databases() {
        for &(tale, op, nth) in STEPS {
            for when in SIDES {
                let moment = Moment::Operation(op, nth, when);
                jobs.push(Job::Step(on, tale, moment));
            }
        }
    }
    all(jobs.into_iter());
}

#[test]
fn a_kill_before_and_after_every_commit_leaves_nothing_wrong() {
    let mut jobs = Vec::new();
    for _ in databases().filter(|on| *on == On::Postgres) {
        for when in SIDES {
            jobs.push(Job::Mint(when));
            for &(tale, commits) in COMMITS {
                for nth in 1..=commits {
                    let moment = Moment::Commit(nth, when);
                    jobs.push(Job::Step(On::Postgres, tale, moment));
                }
            }
        }
    }
    all(jobs.into_iter());
}

/// What a client knows of one ticket: what it asked and what it was told.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent answers, not a state"
)]
struct Known {
    id: Id,
    slot: &'static str,
    good: bool,
    put: bool,
    committed: bool,
    cancel_asked: bool,
    cancelled: bool,
    delete_asked: bool,
    deleted: bool,
}

/// Numbers that look random and are the same in every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

type Ledger = Arc<Mutex<Vec<Known>>>;

/// How many tickets a server has answered.
type Minted = Arc<watch::Sender<u64>>;

/// Uploads, cancels and deletes until the server is gone. Counts what was minted.
async fn client(url: String, token: String, mut dice: Dice, ledger: Ledger, minted: Minted) {
    while one_upload(&url, &token, &mut dice, &ledger, &minted)
        .await
        .is_ok()
    {}
}

async fn one_upload(
    url: &str,
    token: &str,
    dice: &mut Dice,
    ledger: &Ledger,
    minted: &Minted,
) -> Result<(), String> {
    let slot = if dice.roll(5) == 0 {
        "avatar"
    } else {
        "photos"
    };
    let good = dice.roll(6) > 0;
    let plan = dice.roll(8);
    let seed = u32::try_from(dice.roll(1 << 31)).unwrap();
    let bytes = if good { png(seed) } else { HTML.to_vec() };
    let ticket = mint(url, token, slot, "a.png", bytes.len()).await?;
    minted.send_modify(|n| *n += 1);
    let mut known = Known {
        id: id_of(&ticket),
        slot,
        good,
        put: false,
        committed: false,
        cancel_asked: false,
        cancelled: false,
        delete_asked: false,
        deleted: false,
    };
    let done = follow(url, token, plan, &ticket, &bytes, &mut known).await;
    ledger.lock().unwrap().push(known);
    done
}

async fn follow(
    url: &str,
    token: &str,
    plan: u64,
    ticket: &Value,
    bytes: &[u8],
    known: &mut Known,
) -> Result<(), String> {
    let path = format!("/v1/tickets/{}", known.id);
    if plan != 0 {
        known.put = put(&ticket["transfer"], bytes).await? == 200;
    }
    if plan <= 1 {
        known.cancel_asked = true;
        let reply = call(url, "DELETE", &path, token, None).await?;
        known.cancelled = reply.status == 204;
        return Ok(());
    }
    // One in eight closes the tab here: the worker has to find the bytes.
    if plan == 2 {
        return Ok(());
    }
    let reply = call(url, "POST", &format!("{path}/complete"), token, None).await?;
    known.committed = reply.status == 200;
    if plan == 3 && known.committed {
        known.delete_asked = true;
        let file = format!("/v1/files/{}", known.id);
        known.deleted = call(url, "DELETE", &file, token, None).await?.status == 204;
    }
    Ok(())
}

/// What must be true of a ticket in the end, given what its client was told.
async fn assert_kept(app: &App, known: &Known) {
    let row = app.db.ticket(known.id).await.unwrap().unwrap();
    let file = app.db.file(known.id).await.unwrap();
    let live = file.is_some_and(|file| file.is_live());
    let state = row.state;
    assert_ne!(state, State::Open, "{known:?}");
    if known.cancelled {
        assert_eq!(state, State::Cancelled, "{known:?}");
    }
    if known.committed {
        assert_eq!(state, State::Committed, "{known:?}");
    }
    // In a slot that replaces, the next mint may cancel it and the next commit retire it.
    if known.slot == "photos" {
        if known.put && !known.cancel_asked {
            let just = if known.good {
                State::Committed
            } else {
                State::Rejected
            };
            assert_eq!(state, just, "{known:?}");
        }
        let wanted = state == State::Committed && !known.delete_asked;
        assert!(!wanted || live, "{known:?}");
    }
    assert!(!(known.deleted && live), "{known:?}");
    let endings: Vec<String> = events(app, known.id)
        .await
        .into_iter()
        .filter(|kind| kind.starts_with("ticket."))
        .collect();
    assert_eq!(endings, [format!("ticket.{}", state.as_str())], "{known:?}");
}

/// Kills a server again and again while six clients use it.
async fn kill_at_random(on: On) {
    let scene = Scene::set(on).await;
    let (site, store) = (&scene.site, &scene.store);
    site.must(&["setup"]);
    let token = token(site);
    let ledger = Ledger::default();
    let mut dice = Dice(0x5EED_CAFE + on as u64);
    let mut least = 0;
    for round in 0..RANDOM {
        let server = Server::serve(&site.config());
        let minted = Minted::default();
        let clients: Vec<_> = (0..6)
            .map(|number| {
                let dice = Dice(1 + round * 1000 + number);
                let (url, token) = (server.url.clone(), token.clone());
                tokio::spawn(client(
                    url,
                    token,
                    dice,
                    Arc::clone(&ledger),
                    Arc::clone(&minted),
                ))
            })
            .collect();
        // However fast the machine is, the server has got somewhere when it dies; where its
        // clients are then, within what is minted in a millisecond or five, is chance.
        let enough = 1 + dice.roll(30);
        least += enough;
        let mut count = minted.subscribe();
        tokio::time::timeout(process::PATIENCE, count.wait_for(|n| *n >= enough))
            .await
            .expect("nothing is minted")
            .unwrap();
        tokio::time::sleep(Duration::from_micros(dice.roll(5000))).await;
        server.killer().kill();
        for client in clients {
            client.await.unwrap();
        }
    }
    let app = scene.converge().await;
    let known = ledger.lock().unwrap().clone();
    assert!(known.len() as u64 >= least, "only {} tickets", known.len());
    assert!(known.iter().any(|known| known.committed));
    for known in &known {
        assert_kept(&app, known).await;
    }
    assert_eq!(store.objects("staging"), []);
    app.db.close().await;
    drop(app);
    let said = site.run(&["audit"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out
            .contains(", 0 objects for the next sweep, 0 unknown"),
        "{said:?}"
    );
    for _ in 0..RANDOM {
        survived(on, "at random under load".into());
    }
}

#[test]
fn kills_at_random_moments_under_load_lose_nothing_that_was_promised() {
    all(databases().map(Job::Random));
}
