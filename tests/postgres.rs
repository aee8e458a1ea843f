//! What only PostgreSQL has: replicas, connections that are cut, statistics of its indexes.
//! Where `PUTGATE_TEST_DATABASE` is not set, these tests have nothing to run on.

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

mod common;
#[path = "common/process.rs"]
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::database::TestDatabase;
use common::{TestBroker, png};
use futures_util::future::join_all;
use process::{Server, Site, mint, put};
use putgate::db::{FileFilter, TicketFilter};
use putgate::domain::books::{DueEvents, Footprint, Forget};
use putgate::domain::dialect::Sending;
use putgate::domain::file::File;
use putgate::domain::key;
use putgate::domain::ledger::{self, Claim, Commit, Committed, Mint, MintFile, Minted, Room};
use putgate::domain::name::{Owner, Ref, SlotName, Tenant};
use putgate::domain::outbox::Answer;
use putgate::domain::slot::{Disposition, OnFull, Policy};
use putgate::domain::ticket::Ticket;
use putgate::domain::time::{Seconds, Timestamp};
use putgate::flow::App;
use serde_json::json;

const SLOTS: &str = r"
[slots.one]
[slots.many]
max_entries = 100000
";

/// A broker on PostgreSQL, or nothing to test.
async fn broker() -> Option<TestBroker> {
    let broker = TestBroker::with_slots(SLOTS).await;
    broker.database.is_postgres().then_some(broker)
}

fn tenant() -> Tenant {
    Tenant::parse("acme").unwrap()
}

fn slot() -> SlotName {
    SlotName::parse("s").unwrap()
}

fn owner(name: &str) -> Owner {
    Owner::parse(name).unwrap()
}

fn request(app: &App, who: &str, reference: Option<&str>, policy: &Policy) -> Mint {
    Mint {
        tenant: tenant(),
        slot: slot(),
        owner: owner(who),
        reference: reference.map(|r| Ref::parse(r).unwrap()),
        policy: policy.clone(),
        max_open_tickets: 100_000,
        files: vec![Ok(MintFile {
            id: putgate::flow::new_id(&app.clock),
            name: "a.bin".into(),
            size: 10,
            exact_size: true,
            sending: Sending::Planned,
            media_type: None,
            sha256: None,
            metadata: serde_json::Map::new(),
        })],
        dialect: None,
        idempotency: None,
    }
}

/// A ticket; nothing when the limits refuse it, an error when the database does.
async fn minted(app: &App, request: Mint) -> Result<Option<Ticket>, String> {
    let done = app.db.write(request.footprint(), move |books, now| {
        ledger::mint(books, now, &request)
    });
    match done.await {
        Ok(Ok(Minted::Done { mut files, .. })) => Ok(files.remove(0).ok()),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

/// Begins and commits; nothing when another pick has taken the ticket's place.
async fn committed(app: &App, ticket: &Ticket) -> Option<File> {
    let id = ticket.id;
    let began = app.db.write(ticket.row(), move |books, now| {
        ledger::begin(books, now, id)
    });
    let ledger::Began::Yours(t) = began.await.unwrap() else {
        return None;
    };
    let commit = Commit {
        file: File {
            id,
            tenant: t.tenant.clone(),
            slot: t.slot.clone(),
            owner: t.owner.clone(),
            reference: t.reference.clone(),
            key: key::final_key(&t.tenant, &t.slot, id, t.epoch, None),
            name: t.name.clone(),
            size: t.size,
            media_type: "image/png".into(),
            etag: "e".into(),
            sha256: None,
            width: None,
            height: None,
            metadata: serde_json::Map::new(),
            disposition: Disposition::Inline,
            warnings: Vec::new(),
            committed_at: Timestamp::default(),
            claimed_at: None,
            unclaimed_at: None,
            ended_at: None,
            end_reason: None,
            purge_at: None,
            event_seq: 0,
        },
        ticket: *t,
    };
    match app.db.commit(commit).await.unwrap().unwrap() {
        Committed::Done(_, file) => Some(*file),
        Committed::Lost(_) | Committed::NoRoom(_) => None,
    }
}

async fn claimed(app: &App, file: &File, reference: &str) {
    let job = Claim {
        tenant: tenant(),
        owner: file.owner.clone(),
        reference: Some(Ref::parse(reference).unwrap()),
        ids: vec![file.id],
        slots: vec![(slot(), None)],
    };
    let done = app.db.write(job.footprint(), move |books, now| {
        ledger::claim(books, now, &job)
    });
    // It may have been replaced meanwhile; then there is nothing to claim.
    let _ = done.await.unwrap().unwrap();
}

// ---- replicas ---------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mints_of_one_entry_through_three_replicas_have_one_winner() {
    const OWNERS: usize = 300;
    let Some(broker) = broker().await else { return };
    let replicas = [
        broker.app.clone(),
        broker.replica().await,
        broker.replica().await,
    ];
    // The counters are there already: it is their locks that count, not their making.
    let ready = (0..OWNERS).map(|n| {
        let app = broker.app.clone();
        async move {
            let first = request(&app, &format!("o{n}"), None, &Policy::default());
            let first = minted(&app, first).await.unwrap().unwrap();
            let id = first.id;
            let cancelled = app.db.write(first.footprint(), move |books, now| {
                ledger::cancel(books, now, id)
            });
            cancelled.await.unwrap();
        }
    });
    join_all(ready).await;
    let asked = (0..OWNERS * 9).map(|n| {
        let app = replicas[n % 3].clone();
        let who = n / 3 % OWNERS;
        tokio::spawn(async move {
            let request = request(&app, &format!("o{who}"), None, &Policy::default());
            (who, minted(&app, request).await.unwrap().is_some())
        })
    });
    let mut won = [0; OWNERS];
    for outcome in join_all(asked.collect::<Vec<_>>()).await {
        let (who, has_won) = outcome.unwrap();
        won[who] += usize::from(has_won);
    }
    assert_eq!(won, [1; OWNERS]);
    assert_eq!(broker.app.db.miscounted().await.unwrap(), []);
}

/// Asks again, with the same ids, while the queue has no patience or a lock is held too long.
async fn minted_in_the_end(app: &App, request: &Mint) -> Option<Ticket> {
    let deadline = Instant::now() + process::PATIENCE * 2;
    loop {
        match minted(app, request.clone()).await {
            Ok(ticket) => return ticket,
            Err(why) => assert!(Instant::now() < deadline, "{why}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_mints_for_one_place_through_three_replicas_one_wins() {
    let Some(broker) = broker().await else { return };
    let replicas = [
        broker.app.clone(),
        broker.replica().await,
        broker.replica().await,
    ];
    let asked = (0..10_000).map(|n| {
        let app = replicas[n % 3].clone();
        tokio::spawn(async move {
            let request = request(&app, "ann", None, &Policy::default());
            minted_in_the_end(&app, &request).await
        })
    });
    let outcomes = join_all(asked.collect::<Vec<_>>()).await;
    let won: Vec<Ticket> = outcomes.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(won.len(), 1, "{won:?}");
    let mut hand = broker.database.hand().await;
    let there = hand.lines("SELECT hex(id) FROM tickets").await;
    assert_eq!(there, [won[0].id.to_string()]);
    assert_eq!(broker.app.db.miscounted().await.unwrap(), []);
}

/// Makes the server itself refuse a COMMIT after which a scope holds more files, or an owner
/// more bytes in the slot, than this: the bound holds at every commit or somebody hears of it.
async fn bound(broker: &TestBroker, files: usize, bytes: usize) {
    let mut hand = broker.database.hand().await;
    let function = format!(
        "CREATE FUNCTION bound() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n bigint; b bigint; BEGIN \
           SELECT count(*), coalesce(sum(size), 0) INTO n, b FROM files WHERE ended_at IS NULL \
             AND tenant = NEW.tenant AND slot = NEW.slot AND owner = NEW.owner; \
           IF n > {files} OR b > {bytes} THEN RAISE EXCEPTION 'bound: % files, % bytes', n, b; END IF; \
           RETURN NULL; END $$"
    );
    hand.run(function).await.unwrap();
    let trigger = "CREATE CONSTRAINT TRIGGER bound AFTER INSERT ON files \
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bound()";
    hand.run(trigger).await.unwrap();
}

/// Commits of a full slot that replaces: each retires the one that was committed first. With
/// all tickets open at once nobody's pick is older than another's, so the last pick is the
/// last commit, and what is left is the latest of them by `(committed_at, id)`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_commits_through_two_replicas_keep_the_bounds_and_the_last_ones() {
    const MOST: usize = 500;
    let Some(broker) = broker().await else { return };
    let replicas = [broker.app.clone(), broker.replica().await];
    bound(&broker, MOST, MOST * 10).await;
    let policy = Policy {
        max_entries: u32::try_from(MOST).unwrap(),
        on_full: OnFull::Replace,
        quota: Some(MOST as u64 * 10),
        ..Policy::default()
    };
    let mut waves = Vec::new();
    for _ in 0..3 {
        let picks = (0..MOST).map(|n| {
            let (app, policy) = (replicas[n % 2].clone(), policy.clone());
            async move {
                let request = request(&app, "ann", None, &policy);
                minted_in_the_end(&app, &request).await.unwrap()
            }
        });
        let picks = join_all(picks).await;
        broker.advance(1);
        let commits = picks.into_iter().enumerate().map(|(n, ticket)| {
            // Not by the replica that minted it.
            let app = replicas[(n + 1) % 2].clone();
            tokio::spawn(async move { committed(&app, &ticket).await.unwrap().id })
        });
        let commits = join_all(commits.collect::<Vec<_>>()).await;
        let wave: BTreeSet<_> = commits
            .into_iter()
            .map(|id| id.unwrap().to_string())
            .collect();
        waves.push(wave);
    }
    let mut hand = broker.database.hand().await;
    let live = hand
        .lines("SELECT hex(id) FROM files WHERE ended_at IS NULL")
        .await;
    assert_eq!(
        BTreeSet::from_iter(live),
        waves[2],
        "the last wave and no other"
    );
    let ended = "SELECT end_reason || count(*)::text FROM files WHERE ended_at IS NOT NULL GROUP BY end_reason";
    assert_eq!(hand.lines(ended).await, [format!("replaced{}", 2 * MOST)]);
    let told = "SELECT kind || count(*)::text FROM events GROUP BY kind ORDER BY kind";
    let expected = [
        format!("file.deleted{}", 2 * MOST),
        format!("ticket.committed{}", 3 * MOST),
    ];
    assert_eq!(hand.lines(told).await, expected);
    assert_eq!(broker.app.db.miscounted().await.unwrap(), []);
}

/// One place, and everybody picks and commits at once. A mint cancels the pick before it, so
/// whoever was minted last is never cancelled, and no commit comes after its own: the file
/// that stays is that of the last mint, whatever the order of the commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_picks_for_one_place_through_two_replicas_the_last_one_stays() {
    let Some(broker) = broker().await else { return };
    let replicas = [broker.app.clone(), broker.replica().await];
    bound(&broker, 1, 10).await;
    let policy = Policy {
        on_full: OnFull::Replace,
        ..Policy::default()
    };
    let picks = (0..1000_usize).map(|n| {
        let (app, policy) = (replicas[n % 2].clone(), policy.clone());
        let (clock, other) = (broker.clock.clone(), replicas[(n + 1) % 2].clone());
        tokio::spawn(async move {
            // So that the time tells the mints apart, by and large.
            clock.advance(Seconds(1));
            let request = request(&app, "ann", None, &policy);
            let ticket = minted_in_the_end(&app, &request).await.unwrap();
            committed(&other, &ticket).await.is_some()
        })
    });
    let mut commits = 0;
    for done in join_all(picks.collect::<Vec<_>>()).await {
        commits += usize::from(done.unwrap());
    }
    assert!(commits > 0);
    let mut hand = broker.database.hand().await;
    let left = "SELECT (t.created_at = (SELECT max(created_at) FROM tickets))::text \
         FROM files AS f JOIN tickets AS t ON t.id = f.id WHERE f.ended_at IS NULL";
    assert_eq!(hand.lines(left).await, ["true"], "the last mint's, and one");
    let ends = "SELECT state || count(*)::text FROM tickets GROUP BY state ORDER BY state";
    let expected = [
        format!("cancelled{}", 1000 - commits),
        format!("committed{commits}"),
    ];
    let expected: Vec<_> = expected.into_iter().filter(|e| e != "cancelled0").collect();
    assert_eq!(hand.lines(ends).await, expected);
    assert_eq!(broker.app.db.miscounted().await.unwrap(), []);
}

/// Commits that may retire files of any ref, while claims move them from ref to ref: the
/// rows that a decision finds only while it locks are locked too, and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_through_three_replicas_keeps_the_bounds_and_the_books() {
    let Some(broker) = broker().await else { return };
    let replicas = [
        broker.app.clone(),
        broker.replica().await,
        broker.replica().await,
    ];
    let policy = Policy {
        max_entries: 3,
        on_full: OnFull::Replace,
        quota: Some(60),
        ..Policy::default()
    };
    let storm = (0..400_usize).map(|n| {
        let (app, policy) = (replicas[n % 3].clone(), policy.clone());
        tokio::spawn(async move {
            let who = ["ann", "bob"][n % 2];
            let reference = [None, Some("post:1"), Some("post:2")][n % 5 % 3];
            let request = request(&app, who, reference, &policy);
            let Some(ticket) = minted(&app, request).await.unwrap() else {
                return;
            };
            let Some(file) = committed(&app, &ticket).await else {
                return;
            };
            if file.reference.is_none() {
                claimed(&app, &file, ["post:3", "post:1"][n % 7 % 2]).await;
            }
            if n % 11 == 0 {
                let id = file.id;
                let file = app.db.file(id).await.unwrap().unwrap();
                let ended = app.db.write(file.footprint(), move |books, now| {
                    ledger::delete(books, now, id)
                });
                // A claim that came between asks to read again; one try is enough here.
                let _ = ended.await.unwrap();
            }
        })
    });
    for done in join_all(storm.collect::<Vec<_>>()).await {
        done.unwrap();
    }
    assert_eq!(broker.app.db.miscounted().await.unwrap(), []);
    for held in broker.app.db.accounts("", 100).await.unwrap() {
        // The accounts of a ref and of an owner in the slot.
        let parts = putgate::domain::books::Account::parts(&held.account).unwrap();
        let usage = held.usage;
        if matches!(&parts[..], [_, Some(_), Some(_)]) {
            assert!(usage.stored <= 60 && usage.reserved <= 60, "{held:?}");
        }
        if parts.len() == 4 {
            assert!(usage.open <= 3, "{held:?}");
        }
    }
    let since = Timestamp::from_millis(0);
    assert!(
        broker
            .app
            .db
            .untold_endings(since)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_takes_no_other_does_until_its_turn_is_over() {
    let Some(broker) = broker().await else { return };
    let other = broker.replica().await;
    let wide = Policy {
        max_entries: 1000,
        ..Policy::default()
    };
    let mut open = BTreeSet::new();
    for _ in 0..40 {
        let ticket = minted(&other, request(&other, "ann", None, &wide)).await;
        let ticket = ticket.unwrap().unwrap();
        if open.len() < 20 {
            open.insert(ticket.id);
        } else {
            let file = committed(&other, &ticket).await.unwrap();
            let id = file.id;
            let ended = other.db.write(file.footprint(), move |books, now| {
                ledger::delete(books, now, id)
            });
            ended.await.unwrap().unwrap();
        }
    }
    broker.advance(61);
    let now = broker.app.db.now();
    let polls = |app: Arc<App>| async move {
        let (mut due, mut unclean, mut dead) = (vec![], vec![], vec![]);
        for _ in 0..4 {
            due.extend(app.db.due_tickets(now, 7).await.unwrap());
            unclean.extend(app.db.unclean_tickets(now, 7).await.unwrap());
            dead.extend(app.db.tombstones(now, 7).await.unwrap());
        }
        let unclean = unclean.into_iter().map(|t| t.id);
        let dead = dead.into_iter().map(|f| f.id);
        [due, unclean.collect(), dead.collect()]
    };
    let (mine, yours) = tokio::join!(polls(broker.app.clone()), polls(other.clone()));
    for (mine, yours) in mine.into_iter().zip(yours) {
        let all: BTreeSet<_> = mine.iter().chain(&yours).copied().collect();
        assert_eq!(all.len(), 20, "all of them");
        assert_eq!(mine.len() + yours.len(), 20, "and none twice");
    }
    // The first died with it.
    broker.advance(31);
    let again = other.db.due_tickets(other.db.now(), 100).await.unwrap();
    assert_eq!(again.into_iter().collect::<BTreeSet<_>>(), open);
}

// ---- trouble ----------------------------------------------------------------------------

/// Cuts every connection to the test's database but the one that asks.
fn cut(database: &TestDatabase) {
    database.on_server(|name| {
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_under_load_leave_nothing_half_done() {
    let Some(broker) = broker().await else { return };
    let policy = Policy {
        max_entries: 100_000,
        ..Policy::default()
    };
    let over = Arc::new(AtomicBool::new(false));
    let writers = (0..8).map(|n| {
        let (app, policy, over) = (broker.app.clone(), policy.clone(), over.clone());
        tokio::spawn(async move {
            let who = format!("owner-{n}");
            let (mut answered, mut refused) = (Vec::new(), 0);
            while !over.load(Ordering::SeqCst) {
                match minted(&app, request(&app, &who, None, &policy)).await {
                    Ok(ticket) => answered.push(ticket.unwrap().id),
                    Err(_) => refused += 1,
                }
            }
            (answered, refused)
        })
    });
    let writers: Vec<_> = writers.collect();
    // Each cut comes when writes have gone on after the one before.
    let mut seen = 0;
    for _ in 0..20 {
        let deadline = Instant::now() + process::PATIENCE;
        loop {
            let entries = broker.app.db.accounts("", 100).await;
            let open = entries.iter().flatten().map(|held| held.usage.open).max();
            if open.is_some_and(|open| open > seen) {
                seen = open.unwrap_or(seen);
                break;
            }
            assert!(Instant::now() < deadline, "the writes do not go on");
            tokio::task::yield_now().await;
        }
        cut(&broker.database);
    }
    over.store(true, Ordering::SeqCst);
    let mut answered = 0;
    for writer in writers {
        let (tickets, _) = writer.await.unwrap();
        for id in tickets {
            let row = broker.app.db.ticket(id).await.unwrap();
            assert!(row.is_some(), "{id} was answered and is not there");
            answered += 1;
        }
    }
    assert!(answered > 20, "{answered}");
    assert_eq!(broker.app.db.miscounted().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readyz_is_red_while_the_server_takes_no_connection_and_green_after() {
    let Some(broker) = broker().await else { return };
    let token = broker.token("7");
    let ready = async |wanted: u16| {
        let deadline = Instant::now() + process::PATIENCE;
        loop {
            let status = broker.call("GET", "/readyz", "", None).await.status;
            if status == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "/readyz stays {status}");
        }
    };
    let body = || Some(json!({"slot": "many", "files": [{"name": "a", "size": 1}]}));
    ready(200).await;
    broker.mint(&token, "many", "a", b"1").await;
    broker
        .database
        .on_server(|name| format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    cut(&broker.database);
    ready(503).await;
    let refused = broker.call("POST", "/v1/tickets", &token, body()).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.body["code"], "database-unavailable");
    broker
        .database
        .on_server(|name| format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    ready(200).await;
    broker.mint(&token, "many", "a", b"1").await;
    broker.assert_lawful().await;
}

// ---- plans ------------------------------------------------------------------------------

/// A file's event fails, another one is written behind it, and the next is looked for.
async fn deliveries(app: &App, file: &File) {
    let room = Room {
        all: 8,
        per_tenant: 8,
        busy: BTreeMap::new(),
        has_suspect: false,
    };
    assert!(
        app.db
            .has_due_event(app.db.now(), None, u32::MAX)
            .await
            .unwrap()
    );
    let due = Footprint {
        due_events: Some(DueEvents {
            limit: 8,
            but: Some(Tenant::parse("else").unwrap()),
            taken_less_than: u32::MAX,
        }),
        ..Footprint::default()
    };
    let taken = app
        .db
        .write(due, move |books, now| ledger::take(books, now, &room));
    for event in taken.await.unwrap().events {
        let row = Footprint {
            events: vec![event.id],
            ..Footprint::default()
        };
        let failed = Answer::None("silence".into());
        let settled = app.db.write(row, move |books, now| {
            ledger::settle(books, now, &event, &failed)
        });
        assert!(settled.await.unwrap().is_some());
    }
    let id = file.id;
    let ended = app.db.write(file.footprint(), move |books, now| {
        ledger::delete(books, now, id)
    });
    ended.await.unwrap().unwrap();
    assert!(
        !app.db
            .has_due_event(app.db.now(), None, u32::MAX)
            .await
            .unwrap()
    );
}

/// On filled tables, every statement that a request or the worker sends finds its rows by
/// an index: the server counts no scan of a whole table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_poll_list_or_write_scans_a_table() {
    let Some(broker) = broker().await else { return };
    let mut hand = broker.database.hand().await;
    for sql in [
        // Most are closed, some are open; of many owners.
        "INSERT INTO tickets (id, tenant, slot, owner, ref, state, name, size, exact_size, metadata, policy,
             epoch, attempts, created_at, expires_at, next_check_at, checks, closed_at, clean_at,
             cooling_until, problem)
         SELECT gen_random_uuid(), 'acme', 's', 'o' || n % 500, CASE n % 3 WHEN 0 THEN NULL ELSE 'r' END,
             CASE n % 10 WHEN 0 THEN 'open' ELSE 'cancelled' END, 'a', 1, true, '{}', '{}', 0, '[]', n, n,
             CASE n % 10 WHEN 0 THEN 4000000000000 + n END, 0, CASE n % 10 WHEN 0 THEN NULL ELSE n END,
             CASE n % 10 WHEN 1 THEN 4000000000000 + n END, CASE n % 10 WHEN 0 THEN NULL ELSE n END,
             CASE n % 10 WHEN 0 THEN NULL ELSE '{}' END
           FROM generate_series(1, 20000) AS n",
        "INSERT INTO files (id, tenant, slot, owner, ref, key, name, size, media_type, etag, metadata,
             disposition, warnings, committed_at, unclaimed_at, ended_at, end_reason, purge_at, event_seq)
         SELECT gen_random_uuid(), 'acme', 's', 'o' || n % 500, CASE n % 3 WHEN 0 THEN NULL ELSE 'r' END,
             n::text, 'a', 1, 'image/png', 'e', '{}', 'inline', '[]', n,
             CASE n % 20 WHEN 1 THEN 4000000000000 + n END, CASE n % 20 WHEN 0 THEN n END,
             CASE n % 20 WHEN 0 THEN 'deleted' END, CASE n % 20 WHEN 0 THEN 4000000000000 + n END, 1
           FROM generate_series(1, 20000) AS n",
        "INSERT INTO usage SELECT 'x' || n, 0, 0, 0, 0 FROM generate_series(1, 20000) AS n",
        "INSERT INTO idempotency SELECT 'acme', 'o', n::text, 'h', '[]', n FROM generate_series(1, 20000) AS n",
        // Most are delivered, some wait.
        "INSERT INTO events (id, subject, seq, tenant, kind, body, created_at, state, tries, next_try_at, settled_at)
         SELECT gen_random_uuid(), gen_random_uuid(), 1, 'acme', 'k', '{}', n,
             CASE n % 10 WHEN 0 THEN 'pending' ELSE 'delivered' END, 1,
             CASE n % 10 WHEN 0 THEN 4000000000000 + n END,
             CASE n % 10 WHEN 0 THEN NULL ELSE 4000000000000 + n END
           FROM generate_series(1, 20000) AS n",
        "VACUUM ANALYZE",
        "SELECT pg_stat_reset()",
    ] {
        hand.run(sql).await.unwrap();
    }
    // Its connections are new, so its plans know of the rows.
    let app = broker.replica().await;
    let now = app.db.now();
    for _ in 0..8 {
        app.db.due_tickets(now, 100).await.unwrap();
        app.db.unclean_tickets(now, 100).await.unwrap();
        app.db.unclaimed_files(now, 100).await.unwrap();
        app.db.tombstones(now, 100).await.unwrap();
        for (who, slots) in [
            (Some("o7"), None),
            (Some("o7"), Some(vec![slot()])),
            (None, None),
            (None, Some(vec![slot()])),
            (
                Some("o7"),
                Some(vec![slot(), SlotName::parse("t").unwrap()]),
            ),
        ] {
            let files = FileFilter {
                tenant: tenant(),
                owner: who.map(owner),
                slots: slots.clone(),
                reference: None,
                after: None,
            };
            app.db.files(&files, 20).await.unwrap();
            let tickets = TicketFilter {
                tenant: tenant(),
                owner: who.map(owner),
                slots,
                reference: None,
                state: None,
                after: None,
            };
            // Their policies are no policies: found by an index, then refused.
            assert!(app.db.tickets(&tickets, 20).await.is_err());
        }
        let policy = Policy {
            on_full: OnFull::Replace,
            quota: Some(1000),
            ..Policy::default()
        };
        for reference in [None, Some("r")] {
            // The second takes the place of the first.
            let again = || request(&app, "zoe", reference, &policy);
            minted(&app, again()).await.unwrap().unwrap();
            let ticket = minted(&app, again()).await.unwrap().unwrap();
            let file = committed(&app, &ticket).await.unwrap();
            deliveries(&app, &file).await;
            let old = [
                Forget::TicketsClosedBefore(now.minus(Seconds(u32::MAX))),
                Forget::EventsSettledBefore(now.minus(Seconds(1))),
                Forget::EventsDueBefore(now.minus(Seconds(u32::MAX))),
                Forget::MintsBefore(Timestamp::from_millis(5)),
            ];
            app.db.has_to_forget(&old).await.unwrap();
            let done = app.db.write(file.footprint(), move |books, _| {
                for what in &old {
                    books.forget(what.clone());
                }
                books.forget(Forget::EmptyUsage("x1".into(), "x1005".into()));
            });
            done.await.unwrap();
        }
    }
    let none = Footprint::default();
    app.db
        .write(none, |books, _| books.mark("walk", "x".into()))
        .await
        .unwrap();
    // A session tells its counts at its end.
    app.db.close().await;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let scanned = "SELECT relname::text FROM pg_stat_user_tables WHERE seq_scan > 0 \
             AND relname IN ('tickets', 'files', 'events', 'usage', 'idempotency')";
        assert_eq!(hand.lines(scanned).await, Vec::<String>::new());
        let walked = "SELECT indexrelname::text FROM pg_stat_user_indexes WHERE idx_scan > 0 AND indexrelname IN (\
             'tickets_due', 'tickets_unclean', 'files_unclaimed', 'files_ended', 'tickets_of_owner', \
             'tickets_of_tenant', 'tickets_open', 'tickets_closed', 'events_settled', 'idempotency_old', \
             'events_due', 'events_once_per_seq', 'usage_pkey')";
        let walked = hand.lines(walked).await;
        if walked.len() == 13 {
            return;
        }
        assert!(Instant::now() < deadline, "only {walked:?} were walked");
        tokio::task::yield_now().await;
    }
}

// ---- the real binary --------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_a_database_and_commands_run_beside_them() {
    let dir = tempfile::tempdir().unwrap();
    let database = TestDatabase::make(dir.path());
    if !database.is_postgres() {
        return;
    }
    let store = common::devstore(dir.path()).await;
    let site = Site::new(tempfile::tempdir().unwrap(), &store.url());
    let sqlite = format!("sqlite://{}", site.database().display());
    site.write_with(common::SLOTS, &|text| {
        text.replace(&sqlite, &database.url())
    });
    let unready = site.run(&["serve"]);
    assert_eq!(unready.code, Some(1), "{unready:?}");
    assert!(unready.err.contains("putgate setup"), "{unready:?}");
    // Two at once are one.
    std::thread::scope(|scope| {
        let two = [(); 2].map(|()| scope.spawn(|| site.run(&["setup"])));
        for one in two {
            let said = one.join().unwrap();
            assert_eq!(said.code, Some(0), "{said:?}");
        }
    });
    assert!(site.must(&["check"]).contains("postgres://"));
    let servers = [(); 2].map(|()| Server::serve(&site.config()));
    let token = site.token("7");
    let bytes = png(1);
    let ticket = mint(&servers[0].url, &token, "photos", "cat.png", bytes.len());
    let ticket = ticket.await.unwrap();
    assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
    let path = format!("/v1/tickets/{}", ticket["id"].as_str().unwrap());
    // One waits for what the other commits.
    let (waited, done) = (format!("{path}?wait=20"), format!("{path}/complete"));
    let (waited, done) = tokio::join!(
        servers[0].call("GET", &waited, &token, None),
        servers[1].call("POST", &done, &token, None),
    );
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(waited.json()["state"], "committed", "{waited:?}");
    let lost = mint(&servers[1].url, &token, "photos", "b.png", 10).await;
    assert!(lost.is_ok());
    let audit = site.must(&["audit"]);
    assert!(
        audit.contains("1 live file") && audit.contains("0 violations"),
        "{audit}"
    );
    site.must(&["sweep", "--dry-run"]);
    site.must(&["sweep"]);
    for server in &servers {
        server.signal("TERM");
        assert!(server.ended(process::PATIENCE).success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_is_named_without_its_password() {
    let site = Site::new(tempfile::tempdir().unwrap(), "http://127.0.0.1:1");
    let sqlite = format!("sqlite://{}", site.database().display());
    let nowhere = "postgres://app:hunter2@127.0.0.1:1/app";
    site.write_with(common::SLOTS, &|text| text.replace(&sqlite, nowhere));
    for command in ["serve", "setup", "audit", "sweep"] {
        let said = site.run(&[command]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains("127.0.0.1:1/app"), "{said:?}");
        assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
    }
}
