//! The database, through its one door: a real SQLite file, or a real PostgreSQL where
//! `PUTGATE_TEST_DATABASE` names one.

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

#[path = "common/database.rs"]
mod database;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use database::{Hand, TestDatabase};
use futures_util::future::join_all;
use putgate::clock::Clock;
use putgate::db::{Db, DbError, FileFilter, Settings, Synchronous, TicketFilter};
use putgate::domain::books::{
    Account, Books, Footprint, Forget, IdempotencyKey, Scope, Stale, Usage,
};
use putgate::domain::dialect::{Dialect, Sending};
use putgate::domain::event::Event;
use putgate::domain::file::File;
use putgate::domain::key;
use putgate::domain::ledger::{
    self, Began, Claim, Commit, Committed, Ended, Mint, MintFile, Minted,
};
use putgate::domain::name::{Id, Owner, Ref, SlotName, Tenant};
use putgate::domain::problem::{Code, Problem};
use putgate::domain::slot::{Disposition, OnFull, Policy};
use putgate::domain::ticket::{State, Ticket};
use putgate::domain::time::{Seconds, Timestamp};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

static NEXT: AtomicU64 = AtomicU64::new(1);

fn id() -> Id {
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    Id::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(n))
}

/// A directory of one test, removed with it.
struct House {
    dir: PathBuf,
    database: TestDatabase,
    clock: Clock,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl House {
    fn new(name: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("db-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self {
            database: TestDatabase::make(&dir),
            dir,
            clock: Clock::manual(START),
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            place: self.database.place(Synchronous::Normal),
            migrate: true,
        }
    }

    async fn open(&self) -> Db {
        Db::open(&self.settings(), self.clock.clone(), id)
            .await
            .unwrap()
    }

    /// Somebody else's hand in it.
    async fn raw(&self) -> Hand {
        self.database.hand().await
    }
}

async fn run(hand: &mut Hand, sql: impl Into<String>) -> Result<u64, String> {
    hand.run(sql).await
}

fn tenant() -> Tenant {
    Tenant::parse("acme").unwrap()
}

fn slot(name: &str) -> SlotName {
    SlotName::parse(name).unwrap()
}

fn owner(name: &str) -> Owner {
    Owner::parse(name).unwrap()
}

fn wide() -> Policy {
    Policy {
        max_entries: 100_000,
        ..Policy::default()
    }
}

fn mint(who: &str, policy: &Policy, count: usize) -> Mint {
    Mint {
        tenant: tenant(),
        slot: slot("s"),
        owner: owner(who),
        reference: None,
        policy: policy.clone(),
        max_open_tickets: 100_000,
        files: (0..count)
            .map(|_| {
                Ok(MintFile {
                    id: id(),
                    name: "a.bin".into(),
                    size: 10,
                    exact_size: true,
                    sending: Sending::Planned,
                    media_type: Some("image/png".into()),
                    sha256: None,
                    metadata: serde_json::Map::new(),
                })
            })
            .collect(),
        dialect: None,
        idempotency: None,
    }
}

async fn try_mint(db: &Db, request: Mint) -> Result<Result<Minted, Stale>, DbError> {
    db.write(request.footprint(), move |books, now| {
        ledger::mint(books, now, &request)
    })
    .await
}

async fn mint_all(db: &Db, request: Mint) -> Vec<Result<Ticket, Code>> {
    match try_mint(db, request).await.unwrap().unwrap() {
        Minted::Done { files, .. } => files
            .into_iter()
            .map(|file| file.map_err(|p| p.code))
            .collect(),
        other => panic!("{other:?}"),
    }
}

async fn mint_one(db: &Db, who: &str, policy: &Policy) -> Ticket {
    mint_all(db, mint(who, policy, 1)).await.remove(0).unwrap()
}

async fn begin(db: &Db, ticket: &Ticket) -> Ticket {
    let id = ticket.id;
    match db
        .write(ticket.row(), move |books, now| {
            ledger::begin(books, now, id)
        })
        .await
        .unwrap()
    {
        Began::Yours(ticket) => *ticket,
        other => panic!("{other:?}"),
    }
}

fn commit_of(attempt: &Ticket) -> Commit {
    let t = attempt;
    Commit {
        ticket: t.clone(),
        file: File {
            id: t.id,
            tenant: t.tenant.clone(),
            slot: t.slot.clone(),
            owner: t.owner.clone(),
            reference: t.reference.clone(),
            key: key::final_key(&t.tenant, &t.slot, t.id, t.epoch, Some(".png")),
            name: t.name.clone(),
            size: t.size,
            media_type: "image/png".into(),
            etag: "e".into(),
            sha256: None,
            width: Some(3),
            height: None,
            metadata: serde_json::Map::new(),
            disposition: Disposition::Inline,
            warnings: vec!["odd".into()],
            committed_at: Timestamp::default(),
            claimed_at: None,
            unclaimed_at: None,
            ended_at: None,
            end_reason: None,
            purge_at: None,
            event_seq: 0,
        },
    }
}

async fn commit(db: &Db, attempt: &Ticket) -> Committed {
    db.commit(commit_of(attempt)).await.unwrap().unwrap()
}

async fn cancel(db: &Db, ticket: &Ticket) -> Ended {
    let id = ticket.id;
    db.write(ticket.footprint(), move |books, now| {
        ledger::cancel(books, now, id)
    })
    .await
    .unwrap()
}

async fn upload(db: &Db, who: &str, policy: &Policy) -> File {
    let ticket = mint_one(db, who, policy).await;
    let attempt = begin(db, &ticket).await;
    match commit(db, &attempt).await {
        Committed::Done(_, file) => *file,
        other => panic!("{other:?}"),
    }
}

async fn delete(db: &Db, file: &File) -> Option<File> {
    let id = file.id;
    db.write(file.footprint(), move |books, now| {
        ledger::delete(books, now, id)
    })
    .await
    .unwrap()
    .unwrap()
}

fn account(who: &str) -> Account {
    Account::reference(&tenant(), &slot("s"), &owner(who), None)
}

// ---- law 4 ------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_concurrent_mints_of_one_entry_have_one_winner() {
    let house = House::new("ten-thousand");
    let db = house.open().await;
    let policy = Policy::default();
    assert_eq!((policy.max_entries, policy.on_full), (1, OnFull::Reject));
    let asked = (0..10_000).map(|_| {
        let (db, request) = (db.clone(), mint("ann", &policy, 1));
        tokio::spawn(async move { mint_all(&db, request).await.remove(0) })
    });
    let mut won = Vec::new();
    for outcome in join_all(asked.collect::<Vec<_>>()).await {
        match outcome.unwrap() {
            Ok(ticket) => won.push(ticket.id),
            Err(code) => assert_eq!(code, Code::SlotFull),
        }
    }
    assert_eq!(won.len(), 1);
    let usage = db.usage(&account("ann")).await.unwrap();
    let one = Usage {
        open: 1,
        reserved: 10,
        ..Usage::default()
    };
    assert_eq!(usage, one);
    assert_eq!(db.miscounted().await.unwrap(), []);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_storm_of_mixed_writes_the_books_add_up() {
    let house = House::new("storm");
    let db = house.open().await;
    let replace = Policy {
        max_entries: 3,
        on_full: OnFull::Replace,
        quota: Some(50),
        ..Policy::default()
    };
    let storm = (0..300_usize).map(|n| {
        let (db, policy) = (db.clone(), replace.clone());
        tokio::spawn(async move {
            let who = ["ann", "bob", "cy"][n % 3];
            let Ok(ticket) = mint_all(&db, mint(who, &policy, 1)).await.remove(0) else {
                return;
            };
            let id = ticket.id;
            let began = db.write(ticket.row(), move |b, now| ledger::begin(b, now, id));
            let Began::Yours(attempt) = began.await.unwrap() else {
                return;
            };
            match n % 5 {
                0 => drop(cancel(&db, &attempt).await),
                1 => {
                    let epoch = attempt.epoch;
                    db.write(attempt.footprint(), move |b, now| {
                        let no = Problem::new(Code::ContentRejected, "no");
                        ledger::reject(b, now, id, epoch, &no)
                    })
                    .await
                    .unwrap();
                }
                2 => {
                    if let Committed::Done(_, file) = commit(&db, &attempt).await {
                        delete(&db, &file).await;
                    }
                }
                _ => drop(commit(&db, &attempt).await),
            }
        })
    });
    for done in join_all(storm.collect::<Vec<_>>()).await {
        done.unwrap();
    }
    assert_eq!(db.miscounted().await.unwrap(), []);
    let none: Vec<Id> = Vec::new();
    assert_eq!(
        db.untold_endings(START.minus(Seconds(1))).await.unwrap(),
        none
    );
    for who in ["ann", "bob", "cy"] {
        let used = db.usage(&account(who)).await.unwrap();
        assert!(used.open <= 3 && used.files <= 3, "{who}: {used:?}");
        assert!(used.reserved <= 50 && used.stored <= 50, "{who}: {used:?}");
    }
    db.close().await;
}

#[tokio::test]
async fn the_audit_finds_usage_rows_that_do_not_add_up() {
    let house = House::new("audit");
    let db = house.open().await;
    let file = upload(&db, "ann", &wide()).await;
    mint_one(&db, "ann", &wide()).await;
    mint_one(&db, r#"o'"\é"#, &wide()).await;
    assert_eq!(db.miscounted().await.unwrap(), []);
    let mut raw = house.raw().await;
    run(
        &mut raw,
        format!(
            "UPDATE usage SET files = 2 WHERE account = '{}'",
            account("ann").as_str()
        ),
    )
    .await
    .unwrap();
    run(
        &mut raw,
        "INSERT INTO usage VALUES ('[\"acme\",\"zoe\"]', 1, 0, 5, 0)",
    )
    .await
    .unwrap();
    run(
        &mut raw,
        "DELETE FROM usage WHERE account = '[\"acme\",null,\"s\"]'",
    )
    .await
    .unwrap();
    let mut found: Vec<(String, i64, i64)> = db
        .miscounted()
        .await
        .unwrap()
        .into_iter()
        .map(|c| (c.account, c.rows.entries(), c.usage.entries()))
        .collect();
    found.sort();
    let wrong = |account: &str, rows, usage| (account.to_owned(), rows, usage);
    assert_eq!(
        found,
        [
            wrong(account("ann").as_str(), 2, 3),
            wrong("[\"acme\",\"zoe\"]", 0, 1),
            wrong("[\"acme\",null,\"s\"]", 3, 0),
        ]
    );
    let accounts = db.accounts("", 2).await.unwrap();
    let rest = db.accounts(&accounts[1].account, 100).await.unwrap();
    assert_eq!(accounts.len() + rest.len(), 7, "pages of accounts");
    let live = db.live_files(None, 10).await.unwrap();
    assert_eq!(
        (live[0].id, live[0].size, live[0].key.as_str()),
        (file.id, 10, file.key.as_str())
    );
    assert!(db.live_files(Some(file.id), 10).await.unwrap().is_empty());
    db.close().await;
}

#[tokio::test]
async fn the_audit_finds_endings_that_nobody_was_told_of() {
    let house = House::new("untold");
    let db = house.open().await;
    let since = START.minus(Seconds(1));
    let (a, b) = (
        mint_one(&db, "ann", &wide()).await,
        mint_one(&db, "ann", &wide()).await,
    );
    let told = mint_one(&db, "ann", &wide()).await;
    for ticket in [&a, &b, &told] {
        cancel(&db, ticket).await;
    }
    let none: Vec<Id> = Vec::new();
    assert_eq!(db.untold_endings(since).await.unwrap(), none);
    let mut raw = house.raw().await;
    for (ticket, change) in [
        (&a, "DELETE FROM events"),
        (&b, "UPDATE events SET kind = 'ticket.expired'"),
    ] {
        let subject = house.database.id(ticket.id);
        let sql = format!("{change} WHERE subject = {subject}");
        run(&mut raw, sql).await.unwrap();
    }
    let mut found = db.untold_endings(since).await.unwrap();
    found.sort();
    assert_eq!(found, [a.id, b.id]);
    db.close().await;
}

// ---- law 5 ------------------------------------------------------------------------------

#[tokio::test]
async fn a_commit_and_a_cancel_of_one_ticket_at_once_end_it_once() {
    let house = House::new("race");
    let db = house.open().await;
    let mut ends = [0, 0];
    for n in 0..40 {
        let ticket = mint_one(&db, "ann", &wide()).await;
        let attempt = begin(&db, &ticket).await;
        // Both wait in one queue, and so share a transaction.
        let (committed, cancelled) = if n % 2 == 0 {
            tokio::join!(biased; commit(&db, &attempt), cancel(&db, &attempt))
        } else {
            let (second, first) =
                tokio::join!(biased; cancel(&db, &attempt), commit(&db, &attempt));
            (first, second)
        };
        let events = db.events(ticket.id).await.unwrap();
        assert_eq!(events.len(), 1, "{events:?}");
        let now = db.ticket(ticket.id).await.unwrap().unwrap();
        match (committed, cancelled) {
            (Committed::Done(..), Ended::Otherwise(seen)) => {
                assert_eq!(
                    (now.state, seen.state),
                    (State::Committed, State::Committed)
                );
                ends[0] += 1;
            }
            (Committed::Lost(seen), Ended::Now(_)) => {
                assert_eq!(
                    (now.state, seen.state),
                    (State::Cancelled, State::Cancelled)
                );
                ends[1] += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ends, [20, 20], "the first to ask wins");
    assert_eq!(db.miscounted().await.unwrap(), []);
    db.close().await;
}

#[tokio::test]
async fn an_event_whose_place_is_taken_is_an_error_and_not_lost_in_silence() {
    let house = House::new("event-twice");
    let db = house.open().await;
    let ticket = mint_one(&db, "ann", &wide()).await;
    cancel(&db, &ticket).await;
    let subject = ticket.id;
    let again = db
        .write(ticket.row(), move |books: &mut Books, now| {
            let closed = books.ticket(subject).cloned().unwrap();
            let event = Event::closed(id(), &closed, None, now);
            books.tell(event);
        })
        .await;
    assert!(matches!(again, Err(DbError::Inconsistent(_))), "{again:?}");
    assert_eq!(db.events(ticket.id).await.unwrap().len(), 1);
    db.close().await;
}

#[tokio::test]
async fn a_file_committed_and_replaced_by_one_batch_is_a_tombstone_for_sweep() {
    let house = House::new("tombstone");
    let db = house.open().await;
    let policy = Policy {
        max_entries: 1,
        on_full: OnFull::Replace,
        ..Policy::default()
    };
    // Two open tickets of a slot of one: minted when it was wider.
    let two = Policy {
        max_entries: 2,
        ..policy.clone()
    };
    let mut attempts = Vec::new();
    for _ in 0..2 {
        let ticket = mint_one(&db, "ann", &two).await;
        attempts.push(begin(&db, &ticket).await);
    }
    let requests: Vec<Commit> = attempts.iter().map(commit_of).collect();
    let mut both = requests[0].footprint(2);
    both.tickets.push(requests[1].ticket.id);
    db.write(both, move |books, now| {
        for request in &requests {
            books.change_ticket(request.ticket.id, |t| t.policy.max_entries = 1);
            ledger::commit(books, now, request).unwrap();
        }
    })
    .await
    .unwrap();
    let dead = db.tombstones(START, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].id, attempts[0].id);
    assert!(db.file(attempts[1].id).await.unwrap().unwrap().is_live());
    let gone = dead[0].id;
    db.write(Footprint::default(), move |books, _| {
        books.forget(Forget::File(gone));
    })
    .await
    .unwrap();
    assert!(db.file(gone).await.unwrap().is_none());
    db.close().await;
}

/// Thousands of small files, in a few refs, and a slot whose quota they fill.
#[tokio::test]
async fn a_replacing_commit_reads_a_few_of_thousands_of_files_and_as_many_as_it_needs() {
    const FILES: usize = 3000;
    let house = House::new("oldest");
    let db = house.open().await;
    let policy = Policy {
        max_entries: 3000,
        on_full: OnFull::Replace,
        quota: Some(FILES as u64 * 10),
        ..Policy::default()
    };
    let request = |n: usize, size: u64| {
        let mut request = mint("ann", &policy, 1);
        request.reference = Some(Ref::parse(["post:1", "post:2", "post:3"][n % 3]).unwrap());
        for file in request.files.iter_mut().flatten() {
            file.size = size;
        }
        request
    };
    let attempt = async |n: usize, size: u64| {
        let ticket = mint_all(&db, request(n, size)).await.remove(0).unwrap();
        begin(&db, &ticket).await
    };
    for _ in 0..FILES / 500 {
        house.clock.advance(Seconds(1));
        let wave = (0..500).map(async |n| commit(&db, &attempt(n, 10).await).await);
        for done in join_all(wave).await {
            assert!(matches!(done, Committed::Done(..)), "{done:?}");
        }
    }
    let live = async || {
        let mut hand = house.raw().await;
        hand.lines("SELECT hex(id) FROM files WHERE ended_at IS NULL ORDER BY committed_at, id")
            .await
    };
    let all = live().await;
    assert_eq!(all.len(), FILES);
    house.clock.advance(Seconds(1));
    let one = commit_of(&attempt(0, 10).await);
    let slot_of_ann = Scope {
        tenant: tenant(),
        slot: slot("s"),
        owner: owner("ann"),
        reference: None,
    };
    let footprint = one.footprint(ledger::OLDEST_FILES[0]);
    let written = db.write(footprint, move |books, now| {
        let read = books.oldest_files(&slot_of_ann);
        (read, ledger::commit(books, now, &one))
    });
    let ((read, is_all), done) = written.await.unwrap();
    assert!(matches!(done, Ok(Committed::Done(..))), "{done:?}");
    assert_eq!((read.len(), is_all), (16, false));
    assert_eq!(live().await[..FILES - 1], all[1..], "the oldest gave way");
    // One file as big as 2 500 of them.
    house.clock.advance(Seconds(1));
    let big = attempt(1, 25_000).await;
    assert!(matches!(commit(&db, &big).await, Committed::Done(..)));
    let left = live().await;
    assert_eq!(left.len(), FILES - 2500 + 1);
    assert_eq!(left[..FILES - 2501], all[2501..], "the oldest and no other");
    let account = Account::owner(&tenant(), &slot("s"), &owner("ann"));
    assert_eq!(db.usage(&account).await.unwrap().stored, 30_000);
    assert_eq!(db.miscounted().await.unwrap(), []);
    db.close().await;
}

// ---- group commit -----------------------------------------------------------------------

#[tokio::test]
async fn writes_that_wait_together_share_a_transaction() {
    let house = House::new("group");
    let db = house.open().await;
    let transactions = Arc::new(AtomicUsize::new(0));
    let writes = (0..1000).map(|n: usize| {
        let transactions = transactions.clone();
        db.write(Footprint::default(), move |books, _| {
            if books.marks_to_set().is_empty() {
                transactions.fetch_add(1, Ordering::Relaxed);
            }
            books.mark("walk", n.to_string());
        })
    });
    for done in join_all(writes).await {
        done.unwrap();
    }
    let count = transactions.load(Ordering::Relaxed);
    assert!(
        (1..=8).contains(&count),
        "{count} transactions for 1000 writes"
    );
    assert_eq!(db.mark("walk").await.unwrap().as_deref(), Some("999"));
    db.close().await;
}

#[tokio::test]
async fn a_member_that_panics_or_breaks_a_constraint_spoils_nobody_else() {
    let house = House::new("spoilt");
    let db = house.open().await;
    let policy = Policy {
        max_entries: 100,
        ..Policy::default()
    };
    let before = join_all((0..5).map(|_| try_mint(&db, mint("ann", &policy, 1))));
    let after = join_all((0..5).map(|_| try_mint(&db, mint("ann", &policy, 1))));
    let panics = db.write(Footprint::default(), |books, _| {
        books.mark("walk", "half".into());
        assert!(books.marks_to_set().is_empty(), "this one panics");
    });
    let mut impossible = mint("ann", &policy, 1);
    if let Ok(file) = &mut impossible.files[0] {
        file.size = 0;
    }
    let impossible = try_mint(&db, impossible);
    let unloaded = db.write(Footprint::default(), |books, _| {
        books.post(&account("bob"), |usage| usage.open += 1);
    });
    let (before, panicked, refused, unloaded, after) =
        futures_util::future::join5(before, panics, impossible, unloaded, after).await;
    for outcome in before.into_iter().chain(after) {
        assert!(
            matches!(outcome, Ok(Ok(Minted::Done { .. }))),
            "{outcome:?}"
        );
    }
    assert!(matches!(panicked, Err(DbError::Inconsistent(_))));
    let Err(DbError::Inconsistent(why)) = refused else {
        panic!("size 0 was minted");
    };
    assert!(why.contains("tickets_size_positive"), "{why}");
    assert!(matches!(unloaded, Err(DbError::Inconsistent(_))));
    assert_eq!(db.mark("walk").await.unwrap(), None);
    assert_eq!(db.usage(&account("ann")).await.unwrap().open, 10);
    assert_eq!(db.miscounted().await.unwrap(), []);
    db.close().await;
}

#[tokio::test]
async fn a_database_that_somebody_else_holds_refuses_a_crowd_at_once_and_recovers() {
    let house = House::new("held");
    let db = house.open().await;
    let mut raw = house.raw().await;
    if house.database.is_postgres() {
        run(&mut raw, "BEGIN").await.unwrap();
        run(&mut raw, "LOCK TABLE usage").await.unwrap();
    } else {
        run(&mut raw, "BEGIN IMMEDIATE").await.unwrap();
    }
    let crowd = join_all((0..20).map(|_| try_mint(&db, mint("ann", &wide(), 1))));
    // A wait or a few for the lock, not one each.
    let outcomes = tokio::time::timeout(std::time::Duration::from_secs(20), crowd)
        .await
        .unwrap();
    for outcome in outcomes {
        assert!(
            matches!(
                outcome,
                Err(DbError::Unavailable(_) | DbError::Contended(_))
            ),
            "{outcome:?}"
        );
    }
    run(&mut raw, "ROLLBACK").await.unwrap();
    mint_one(&db, "ann", &wide()).await;
    db.close().await;
}

#[tokio::test]
async fn mints_that_share_a_transaction_cancel_the_oldest_and_not_each_other() {
    let house = House::new("giving-way");
    let db = house.open().await;
    let policy = Policy {
        max_entries: 3,
        on_full: OnFull::Replace,
        ..Policy::default()
    };
    let mut old = Vec::new();
    for _ in 0..3 {
        old.push(mint_one(&db, "ann", &policy).await.id);
        house.clock.advance(Seconds(1));
    }
    let mints = (0..3).map(|_| mint_one(&db, "ann", &policy));
    let new: Vec<Id> = join_all(mints).await.iter().map(|t| t.id).collect();
    for (ids, state) in [(old, State::Cancelled), (new, State::Open)] {
        for id in ids {
            assert_eq!(db.ticket(id).await.unwrap().unwrap().state, state);
        }
    }
    assert_eq!(db.miscounted().await.unwrap(), []);
    db.close().await;
}

#[tokio::test]
async fn an_idempotency_key_is_good_for_a_day() {
    let house = House::new("idempotency");
    let db = house.open().await;
    let request = || Mint {
        idempotency: Some((
            IdempotencyKey {
                tenant: tenant(),
                caller: owner("ann"),
                key: "k".into(),
            },
            "hash".into(),
        )),
        ..mint("ann", &wide(), 1)
    };
    // Two at once are one.
    let (first, second) = tokio::join!(try_mint(&db, request()), try_mint(&db, request()));
    let Minted::Done { files, .. } = first.unwrap().unwrap() else {
        panic!("the first is not a replay");
    };
    let ticket = files[0].clone().unwrap();
    let replayed = |outcome: Minted| match outcome {
        Minted::Replay(then) => then[0].clone().unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(replayed(second.unwrap().unwrap()), ticket.id);
    house.clock.advance(Seconds(24 * 3600 - 1));
    let third = try_mint(&db, request()).await.unwrap().unwrap();
    assert_eq!(replayed(third), ticket.id);
    house.clock.advance(Seconds(1));
    let fourth = try_mint(&db, request()).await.unwrap().unwrap();
    assert!(matches!(fourth, Minted::Done { .. }));
    db.close().await;
}

// ---- rows -------------------------------------------------------------------------------

#[tokio::test]
async fn a_row_reads_back_as_it_was_decided() {
    let house = House::new("rows");
    let db = house.open().await;
    let mut request = mint("ann", &wide(), 1);
    request.reference = Some(putgate::domain::name::Ref::parse("post:1").unwrap());
    request.dialect = Some(Dialect::Uppy);
    let minted = mint_all(&db, request).await.remove(0).unwrap();
    assert_eq!(db.ticket(minted.id).await.unwrap(), Some(minted.clone()));
    let attempt = begin(&db, &minted).await;
    assert_eq!(db.ticket(minted.id).await.unwrap(), Some(attempt.clone()));
    let Committed::Done(ticket, file) = commit(&db, &attempt).await else {
        panic!("not committed");
    };
    assert_eq!(db.ticket(minted.id).await.unwrap(), Some(*ticket));
    assert_eq!(db.file(minted.id).await.unwrap(), Some((*file).clone()));
    let ended = delete(&db, &file).await;
    assert_eq!(db.file(minted.id).await.unwrap(), ended);
    let other = mint_one(&db, "ann", &wide()).await;
    let Ended::Now(cancelled) = cancel(&db, &other).await else {
        panic!("not cancelled");
    };
    assert_eq!(db.ticket(other.id).await.unwrap(), Some(*cancelled));
    db.close().await;
}

const TICKET_ROW: &[(&str, &str)] = &[
    ("id", "randomblob(16)"),
    ("tenant", "'acme'"),
    ("slot", "'s'"),
    ("owner", "'ann'"),
    ("state", "'open'"),
    ("name", "'a'"),
    ("size", "1"),
    ("exact_size", "true"),
    ("metadata", "'{}'"),
    ("policy", "'{}'"),
    ("epoch", "0"),
    ("attempts", "'[]'"),
    ("lease_until", "NULL"),
    ("created_at", "0"),
    ("expires_at", "0"),
    ("next_check_at", "0"),
    ("checks", "0"),
    ("closed_at", "NULL"),
    ("cooling_until", "NULL"),
    ("problem", "NULL"),
    ("clean_at", "NULL"),
];
const FILE_ROW: &[(&str, &str)] = &[
    ("id", "randomblob(16)"),
    ("tenant", "'acme'"),
    ("slot", "'s'"),
    ("owner", "'ann'"),
    ("key", "hex(randomblob(16))"),
    ("name", "'a'"),
    ("size", "1"),
    ("media_type", "'image/png'"),
    ("etag", "'e'"),
    ("metadata", "'{}'"),
    ("disposition", "'inline'"),
    ("warnings", "'[]'"),
    ("committed_at", "0"),
    ("claimed_at", "NULL"),
    ("unclaimed_at", "NULL"),
    ("ended_at", "NULL"),
    ("end_reason", "NULL"),
    ("purge_at", "NULL"),
    ("event_seq", "1"),
];
const EVENT_ROW: &[(&str, &str)] = &[
    ("id", "randomblob(16)"),
    ("subject", "randomblob(16)"),
    ("seq", "1"),
    ("tenant", "'acme'"),
    ("kind", "'ticket.committed'"),
    ("body", "'{}'"),
    ("created_at", "0"),
    ("state", "'pending'"),
    ("tries", "0"),
    ("next_try_at", "0"),
    ("settled_at", "NULL"),
];
const USAGE_ROW: &[(&str, &str)] = &[
    ("account", "hex(randomblob(8))"),
    ("open", "0"),
    ("files", "0"),
    ("reserved", "0"),
    ("stored", "0"),
];

fn row(database: &TestDatabase, table: &str, changes: &[(&str, &str)]) -> String {
    let row = match table {
        "tickets" => TICKET_ROW,
        "files" => FILE_ROW,
        "events" => EVENT_ROW,
        _ => USAGE_ROW,
    };
    let value = |column: &str, usual: &str| {
        let change = changes.iter().find(|(name, _)| *name == column);
        change.map_or(usual, |(_, value)| *value).to_owned()
    };
    let columns: Vec<&str> = row.iter().map(|(column, _)| *column).collect();
    let values: Vec<String> = row.iter().map(|(c, usual)| value(c, usual)).collect();
    let values = values.join(", ");
    let values = if database.is_postgres() {
        values
            .replace("hex(randomblob(16))", "gen_random_uuid()::text")
            .replace("hex(randomblob(8))", "gen_random_uuid()::text")
            .replace("randomblob(16)", "gen_random_uuid()")
            .replace("x'00'", "'00000000-0000-7000-8000-000000000000'")
    } else {
        values
    };
    format!(
        "INSERT INTO {table} ({}) VALUES ({values})",
        columns.join(", ")
    )
}

/// The columns that each state ties down.
const COMMITTED: &[(&str, &str)] = &[
    ("state", "'committed'"),
    ("epoch", "1"),
    ("closed_at", "1"),
    ("next_check_at", "NULL"),
];
const CANCELLED: &[(&str, &str)] = &[
    ("state", "'cancelled'"),
    ("closed_at", "1"),
    ("next_check_at", "NULL"),
    ("problem", "'{}'"),
    ("cooling_until", "1"),
];
const EXPIRED: &[(&str, &str)] = &[
    ("state", "'expired'"),
    ("closed_at", "1"),
    ("next_check_at", "NULL"),
    ("problem", "'{}'"),
];

type Change = &'static [(&'static str, &'static str)];

/// Impossible rows: the constraint that stands in the way, the table, and what a possible
/// row would have to become.
const IMPOSSIBLE: &[(&str, &str, Change, Change)] = &[
    (
        "tickets_state_known",
        "tickets",
        CANCELLED,
        &[
            ("state", "'lost'"),
            ("problem", "NULL"),
            ("cooling_until", "NULL"),
        ],
    ),
    ("tickets_size_positive", "tickets", &[], &[("size", "0")]),
    ("tickets_size_positive", "tickets", &[], &[("size", "-1")]),
    ("tickets_epoch_counts", "tickets", &[], &[("epoch", "-1")]),
    (
        "tickets_committed_by_an_attempt",
        "tickets",
        COMMITTED,
        &[("epoch", "0")],
    ),
    (
        "tickets_closed_when_not_open",
        "tickets",
        &[],
        &[("closed_at", "1")],
    ),
    (
        "tickets_closed_when_not_open",
        "tickets",
        COMMITTED,
        &[("closed_at", "NULL")],
    ),
    (
        "tickets_checked_while_open",
        "tickets",
        &[],
        &[("next_check_at", "NULL")],
    ),
    (
        "tickets_checked_while_open",
        "tickets",
        COMMITTED,
        &[("next_check_at", "1")],
    ),
    (
        "tickets_leased_while_open",
        "tickets",
        COMMITTED,
        &[("lease_until", "1")],
    ),
    (
        "tickets_problem_says_why",
        "tickets",
        COMMITTED,
        &[("problem", "'{}'")],
    ),
    (
        "tickets_problem_says_why",
        "tickets",
        EXPIRED,
        &[("problem", "NULL")],
    ),
    (
        "tickets_cooling_when_refused",
        "tickets",
        CANCELLED,
        &[("cooling_until", "NULL")],
    ),
    (
        "tickets_cooling_when_refused",
        "tickets",
        EXPIRED,
        &[("cooling_until", "1")],
    ),
    (
        "tickets_cleaned_when_closed",
        "tickets",
        &[],
        &[("clean_at", "1")],
    ),
    ("files_size_positive", "files", &[], &[("size", "0")]),
    (
        "files_disposition_known",
        "files",
        &[],
        &[("disposition", "'show'")],
    ),
    (
        "files_end_reason_known",
        "files",
        &[],
        &[
            ("ended_at", "1"),
            ("purge_at", "1"),
            ("end_reason", "'lost'"),
        ],
    ),
    (
        "files_ended_with_reason",
        "files",
        &[],
        &[("end_reason", "'deleted'")],
    ),
    (
        "files_ended_with_reason",
        "files",
        &[],
        &[("ended_at", "1"), ("purge_at", "1")],
    ),
    (
        "files_purged_when_ended",
        "files",
        &[],
        &[("ended_at", "1"), ("end_reason", "'deleted'")],
    ),
    (
        "files_purged_when_ended",
        "files",
        &[],
        &[("purge_at", "1")],
    ),
    (
        "files_claimed_stay",
        "files",
        &[],
        &[("claimed_at", "1"), ("unclaimed_at", "1")],
    ),
    ("usage_never_negative", "usage", &[], &[("open", "-1")]),
    ("usage_never_negative", "usage", &[], &[("files", "-1")]),
    ("usage_never_negative", "usage", &[], &[("reserved", "-1")]),
    ("usage_never_negative", "usage", &[], &[("stored", "-1")]),
    (
        "events_state_known",
        "events",
        &[],
        &[
            ("state", "'lost'"),
            ("settled_at", "1"),
            ("next_try_at", "NULL"),
        ],
    ),
    (
        "events_settled_with_time",
        "events",
        &[],
        &[("settled_at", "1")],
    ),
    (
        "events_tried_while_pending",
        "events",
        &[],
        &[("next_try_at", "NULL")],
    ),
];

#[tokio::test]
async fn named_constraints_stand_in_the_way_of_impossible_rows() {
    let house = House::new("constraints");
    let db = house.open().await;
    let mut raw = house.raw().await;
    for (name, table, possible, change) in IMPOSSIBLE {
        let possible_row = row(&house.database, table, possible);
        run(&mut raw, possible_row.clone())
            .await
            .expect(&possible_row);
        let impossible: Vec<_> = change.iter().chain(*possible).copied().collect();
        let why = run(&mut raw, row(&house.database, table, &impossible))
            .await
            .expect_err(name);
        assert!(why.contains(name), "{change:?} in {table}: {why}");
    }
    // SQLite names the columns of a UNIQUE constraint, not the constraint.
    for (columns, name, table, twice) in [
        (
            "files.key",
            "files_key_unique",
            "files",
            [("key", "'k'")].as_slice(),
        ),
        (
            "events.subject, events.seq",
            "events_once_per_seq",
            "events",
            &[("subject", "x'00'")],
        ),
    ] {
        run(&mut raw, row(&house.database, table, twice))
            .await
            .unwrap();
        let why = run(&mut raw, row(&house.database, table, twice))
            .await
            .unwrap_err();
        let said = [columns, name][usize::from(house.database.is_postgres())];
        assert!(why.contains(said), "{why}");
    }
    let schema = include_str!("../migrations/sqlite/0001_the_house.sql");
    let tested = |name: &str| {
        ["files_key_unique", "events_once_per_seq"].contains(&name)
            || IMPOSSIBLE.iter().any(|row| row.0 == name)
    };
    let named = schema.split("CONSTRAINT ").skip(1);
    for name in named.filter_map(|rest| rest.split_whitespace().next()) {
        assert!(tested(name), "no row of this test tries {name}");
    }
    db.close().await;
}

// ---- opening ----------------------------------------------------------------------------

#[tokio::test]
async fn one_process_serves_and_others_may_read_beside_it() {
    let house = House::new("beside");
    let TestDatabase::Sqlite(path) = &house.database else {
        return;
    };
    let early = Db::open_beside(&house.settings(), house.clock.clone()).await;
    let Err(DbError::Refused(sentence)) = early else {
        panic!("nothing is there to read");
    };
    assert!(sentence.contains("putgate.db"), "{sentence}");
    assert!(!path.exists(), "reading creates nothing");
    let db = house.open().await;
    let ticket = mint_one(&db, "ann", &wide()).await;
    let second = Db::open(&house.settings(), house.clock.clone(), id).await;
    let Err(DbError::Refused(sentence)) = second else {
        panic!("two serve one file");
    };
    assert!(sentence.contains("served by another process"), "{sentence}");
    let beside = Db::open_beside(&house.settings(), house.clock.clone())
        .await
        .unwrap();
    assert_eq!(
        beside.ticket(ticket.id).await.unwrap().unwrap().id,
        ticket.id
    );
    let later = mint_one(&db, "ann", &wide()).await;
    assert!(
        beside.ticket(later.id).await.unwrap().is_some(),
        "it sees what is new"
    );
    let written = try_mint(&beside, mint("ann", &wide(), 1)).await;
    assert!(matches!(written, Err(DbError::Refused(_))), "{written:?}");
    beside.close().await;
    assert!(beside.ping().await.is_err());
    assert!(db.ping().await.is_ok());
    db.close().await;
}

#[tokio::test]
async fn a_closed_database_opens_again_with_everything_in_it() {
    let house = House::new("reopen");
    let db = house.open().await;
    let file = upload(&db, "ann", &wide()).await;
    // What was queued before the close is answered.
    let last = db.clone();
    let policy = wide();
    let (last, ()) = tokio::join!(mint_one(&last, "ann", &policy), db.close());
    let refused = try_mint(&db, mint("ann", &wide(), 1)).await;
    let Err(DbError::Unavailable(why)) = refused else {
        panic!("a closed database took {refused:?}");
    };
    assert_eq!(why, "the writer has stopped");
    db.close().await;
    let again = house.open().await;
    assert_eq!(again.file(file.id).await.unwrap(), Some(file));
    assert_eq!(again.ticket(last.id).await.unwrap(), Some(last));
    assert_eq!(again.usage(&account("ann")).await.unwrap().entries(), 2);
    again.close().await;
}

#[tokio::test]
async fn a_schema_that_is_older_or_much_newer_is_refused() {
    let house = House::new("schema");
    let strict = Settings {
        migrate: false,
        ..house.settings()
    };
    let open = || Db::open(&strict, house.clock.clone(), id);
    let sentence = |outcome: Result<Db, DbError>| match outcome {
        Err(DbError::Refused(sentence)) => sentence,
        other => panic!("{other:?}"),
    };
    let empty = sentence(open().await);
    let what = ["no database", "has schema 0"][usize::from(house.database.is_postgres())];
    assert!(
        empty.contains(what) && empty.contains("putgate setup"),
        "{empty}"
    );
    house.open().await.close().await;
    open().await.unwrap().close().await;
    let mut raw = house.raw().await;
    for (version, allowed) in [(3, true), (4, false)] {
        let newer = format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES ({version}, 'later', true, {}, 0)",
            ["x'00'", "'\\x00'"][usize::from(house.database.is_postgres())]
        );
        run(&mut raw, newer).await.unwrap();
        // Also when this release would migrate: it has nothing to add.
        for settings in [&strict, &house.settings()] {
            let opened = Db::open(settings, house.clock.clone(), id).await;
            if allowed {
                opened.unwrap().close().await;
            } else {
                let newer = sentence(opened);
                assert!(newer.contains("newer release"), "{newer}");
            }
        }
        let beside = Db::open_beside(&strict, house.clock.clone()).await;
        assert_eq!(beside.is_ok(), allowed);
    }
}

/// An outbox of the schema before this one, as a server that was just updated finds it.
#[tokio::test]
async fn the_events_of_the_schema_before_are_there_after_the_migration() {
    let house = House::new("before");
    let db = house.open().await;
    let file = upload(&db, "ann", &wide()).await;
    let before = db.deliveries(file.id).await.unwrap();
    assert_eq!(before.len(), 1);
    db.close().await;
    let mut raw = house.raw().await;
    for back in [
        "ALTER TABLE events DROP COLUMN taken",
        "DELETE FROM _sqlx_migrations WHERE version = 2",
    ] {
        run(&mut raw, back).await.unwrap();
    }
    let strict = Settings {
        migrate: false,
        ..house.settings()
    };
    let refused = Db::open(&strict, house.clock.clone(), id).await;
    assert!(
        matches!(&refused, Err(DbError::Refused(why)) if why.contains("has schema 1")),
        "{refused:?}"
    );
    let db = house.open().await;
    assert_eq!(db.deliveries(file.id).await.unwrap(), before);
    db.close().await;
}

// ---- lists ------------------------------------------------------------------------------

fn files_of(who: Option<&str>) -> FileFilter {
    FileFilter {
        tenant: tenant(),
        owner: who.map(owner),
        slots: None,
        reference: None,
        after: None,
    }
}

#[tokio::test]
async fn pages_of_files_have_no_gap_and_no_double_while_files_arrive_and_go() {
    let house = House::new("pages");
    let db = house.open().await;
    let mut stay = Vec::new();
    for n in 0..23 {
        let file = upload(&db, ["ann", "bob"][n % 2], &wide()).await;
        stay.push(file.id);
        // Three of a moment each.
        if n % 3 == 0 {
            house.clock.advance(Seconds(1));
        }
    }
    let mut seen: Vec<File> = Vec::new();
    let mut filter = files_of(None);
    loop {
        let page = db.files(&filter, 4).await.unwrap();
        assert!(page.rows.len() <= 4);
        seen.extend(page.rows.iter().cloned());
        let Some(last) = page.rows.last().filter(|_| page.more) else {
            break;
        };
        filter.after = Some((last.committed_at, last.id));
        house.clock.advance(Seconds(1));
        upload(&db, "ann", &wide()).await;
        delete(&db, last).await;
    }
    let order: Vec<_> = seen.iter().map(|f| (f.committed_at, f.id)).collect();
    assert!(order.is_sorted_by(|a, b| a > b), "newest first, none twice");
    let mut ids: Vec<Id> = seen.iter().map(|f| f.id).collect();
    ids.sort();
    assert_eq!(ids, stay);
    let bobs = db.files(&files_of(Some("bob")), 100).await.unwrap();
    assert!(!bobs.rows.is_empty() && bobs.rows.iter().all(|f| f.owner == owner("bob")));
    let elsewhere = FileFilter {
        slots: Some(vec![slot("t")]),
        ..files_of(None)
    };
    assert!(db.files(&elsewhere, 100).await.unwrap().rows.is_empty());
    db.close().await;
}

#[tokio::test]
async fn pages_of_tickets_have_no_gap_and_no_double_while_tickets_arrive() {
    let house = House::new("ticket-pages");
    let db = house.open().await;
    let mut stay = Vec::new();
    for n in 0..17 {
        let ticket = mint_one(&db, "ann", &wide()).await;
        if n % 4 == 0 {
            cancel(&db, &ticket).await;
        } else {
            stay.push(ticket.id);
        }
    }
    mint_one(&db, "bob", &wide()).await;
    let mut filter = TicketFilter {
        tenant: tenant(),
        owner: Some(owner("ann")),
        slots: Some(vec![slot("s")]),
        reference: None,
        state: Some(State::Open),
        after: None,
    };
    let mut seen = Vec::new();
    loop {
        let page = db.tickets(&filter, 5).await.unwrap();
        seen.extend(page.rows.iter().map(|t| t.id));
        filter.after = seen.last().copied();
        if !page.more {
            break;
        }
        mint_one(&db, "ann", &wide()).await;
    }
    assert!(seen.is_sorted_by(|a, b| a > b));
    seen.reverse();
    assert_eq!(seen, stay);
    db.close().await;
}

#[tokio::test]
async fn the_worker_finds_what_is_due_and_nothing_else() {
    let house = House::new("polls");
    let db = house.open().await;
    let policy = Policy {
        unclaimed_ttl: Some(Seconds(600)),
        ..wide()
    };
    let open = mint_one(&db, "ann", &policy).await;
    let leased = mint_one(&db, "ann", &policy).await;
    let file = upload(&db, "ann", &policy).await;
    let claimed = upload(&db, "ann", &policy).await;
    let claim = Claim {
        tenant: tenant(),
        owner: owner("ann"),
        reference: None,
        ids: vec![claimed.id],
        slots: vec![(slot("s"), None)],
    };
    db.write(claim.footprint(), move |b, now| {
        ledger::claim(b, now, &claim)
    })
    .await
    .unwrap()
    .unwrap()
    .unwrap();
    let now = db.now();
    assert!(db.due_tickets(now, 9).await.unwrap().is_empty());
    house.clock.advance(Seconds(600));
    begin(&db, &leased).await;
    let now = db.now();
    assert_eq!(db.due_tickets(now, 9).await.unwrap(), [open.id]);
    let unclaimed = db.unclaimed_files(now, 9).await.unwrap();
    assert_eq!(
        unclaimed.iter().map(|f| f.id).collect::<Vec<_>>(),
        [file.id]
    );
    assert!(db.tombstones(now, 9).await.unwrap().is_empty());
    delete(&db, &file).await;
    assert!(db.unclaimed_files(now, 9).await.unwrap().is_empty());
    assert_eq!(db.tombstones(now, 9).await.unwrap().len(), 1);
    assert_eq!(db.unclean_tickets(db.now(), 9).await.unwrap().len(), 2);
    let id = file.id;
    db.write(
        Footprint {
            tickets: vec![id],
            ..Footprint::default()
        },
        move |books, _| ledger::cleaned(books, id),
    )
    .await
    .unwrap();
    // On PostgreSQL what one replica has taken is due again when its turn is over.
    house.clock.advance(Seconds(30));
    assert_eq!(db.unclean_tickets(db.now(), 9).await.unwrap().len(), 1);
    let due = db.due_tickets(db.now(), 9).await.unwrap();
    assert!(due.contains(&leased.id), "its lease has lapsed");
    db.close().await;
}

#[tokio::test]
async fn what_has_served_its_time_is_forgotten_and_nothing_else() {
    let house = House::new("forget");
    let db = house.open().await;
    let file = upload(&db, "ann", &wide()).await;
    let (clean, unclean) = (
        mint_one(&db, "ann", &wide()).await,
        mint_one(&db, "ann", &wide()).await,
    );
    let open = mint_one(&db, "ann", &wide()).await;
    cancel(&db, &clean).await;
    cancel(&db, &unclean).await;
    for id in [clean.id, file.id] {
        let row = Footprint {
            tickets: vec![id],
            ..Footprint::default()
        };
        db.write(row, move |b, _| ledger::cleaned(b, id))
            .await
            .unwrap();
    }
    house.clock.advance(Seconds(100));
    db.write(Footprint::default(), |books, now| {
        books.forget(Forget::TicketsClosedBefore(now));
        books.forget(Forget::EventsSettledBefore(now));
        books.forget(Forget::MintsBefore(now));
    })
    .await
    .unwrap();
    for (ticket, there) in [
        (clean.id, false),
        (unclean.id, true),
        (open.id, true),
        (file.id, false),
    ] {
        assert_eq!(db.ticket(ticket).await.unwrap().is_some(), there);
    }
    let live = db.file(file.id).await.unwrap();
    assert!(live.unwrap().is_live(), "a file outlives its ticket");
    let pending = db.events(clean.id).await.unwrap();
    assert_eq!(pending.len(), 1, "an event that nobody received stays");
    db.close().await;
}
