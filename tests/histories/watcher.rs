//! A second pair of eyes on the database, with SQL of its own: triggers that look at every
//! commit, and what one tenant has at one moment.

use std::collections::BTreeMap;
use std::time::Duration;

use putgate::domain::name::Id;
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};

use crate::common::database::TestDatabase;
use crate::rules::SLOTS;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketSeen {
    pub slot: String,
    pub owner: String,
    pub reference: String,
    pub state: String,
    pub epoch: i64,
    pub size: i64,
    /// Milliseconds.
    pub expires_at: i64,
    pub created_at: i64,
    pub closed_at: i64,
    /// Until when an attempt holds it; 0: none does.
    pub lease_until: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSeen {
    pub slot: String,
    pub owner: String,
    pub reference: String,
    pub key: String,
    pub size: i64,
    pub committed_at: i64,
    pub claimed: bool,
    /// Why it ended; empty while it lives.
    pub ended: String,
}

/// A tenant at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub tickets: BTreeMap<Id, TicketSeen>,
    pub files: BTreeMap<Id, FileSeen>,
    /// By account: open, files, reserved, stored.
    pub usage: BTreeMap<String, [i64; 4]>,
    /// By subject: sequence number and kind.
    pub events: BTreeMap<Id, Vec<(i64, String)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

pub struct Watch {
    pool: Pool,
}

/// How many may look at once, and how long one waits for its turn.
const EYES: u32 = 4;
const PATIENCE: Duration = Duration::from_mins(2);

type Row = (
    String,
    Option<Id>,
    String,
    String,
    String,
    String,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
);

/// One statement, one moment.
const SEEN: &str = "
 SELECT 'ticket' AS kind, id, slot, owner, coalesce(ref, ''), state,
        epoch, size, expires_at, created_at, coalesce(closed_at, 0), coalesce(lease_until, 0)
   FROM tickets WHERE tenant = $1
 UNION ALL
 SELECT 'file', id, slot, owner, coalesce(ref, ''), coalesce(end_reason, '') || '|' || key,
        size, committed_at, CASE WHEN claimed_at IS NULL THEN 0 ELSE 1 END, 0, 0, 0
   FROM files WHERE id IN (SELECT id FROM tickets WHERE tenant = $1)
 UNION ALL
 SELECT 'event', subject, kind, '', '', '', seq, 0, 0, 0, 0, 0
   FROM events WHERE subject IN (SELECT id FROM tickets WHERE tenant = $1)
 UNION ALL
 SELECT 'usage', NULL, account, '', '', '', open, files, reserved, stored, 0, 0
   FROM usage WHERE account >= $2 AND account < $3";

impl Watch {
    pub async fn open(database: &TestDatabase) -> Self {
        let pool = match database {
            TestDatabase::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .busy_timeout(PATIENCE);
                let pool = PoolOptions::new()
                    .max_connections(EYES)
                    .acquire_timeout(PATIENCE);
                Pool::Sqlite(pool.connect_with(options).await.unwrap())
            }
            TestDatabase::Postgres { server, name } => {
                let options = PgConnectOptions::clone(server).database(name);
                let pool = PoolOptions::new()
                    .max_connections(EYES)
                    .acquire_timeout(PATIENCE);
                Pool::Postgres(pool.connect_with(options).await.unwrap())
            }
        };
        match &pool {
            Pool::Sqlite(pool) => {
                for sql in triggers(Kind::Sqlite) {
                    let made = sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await;
                    made.unwrap();
                }
            }
            Pool::Postgres(pool) => {
                for sql in triggers(Kind::Postgres) {
                    let made = sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await;
                    made.unwrap();
                }
            }
        }
        Self { pool }
    }

    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }

    pub async fn seen(&self, tenant: &str) -> Seen {
        let (from, to) = (format!("[\"{tenant}\","), format!("[\"{tenant}\"-"));
        let rows: Vec<Row> = match &self.pool {
            Pool::Sqlite(pool) => {
                let query = sqlx::query_as(SEEN).bind(tenant).bind(from).bind(to);
                query.fetch_all(pool).await.unwrap()
            }
            Pool::Postgres(pool) => {
                let query = sqlx::query_as(SEEN).bind(tenant).bind(from).bind(to);
                query.fetch_all(pool).await.unwrap()
            }
        };
        let mut seen = Seen::default();
        for row in rows {
            take(&mut seen, row);
        }
        for events in seen.events.values_mut() {
            events.sort();
        }
        seen
    }

    /// How much is not yet as it will stay.
    pub async fn unsettled(&self) -> usize {
        let open = "SELECT 'open' FROM tickets WHERE state = 'open' OR clean_at IS NOT NULL";
        let ended = "SELECT 'ended' FROM files WHERE ended_at IS NOT NULL";
        self.texts(open).await.len() + self.texts(ended).await.len()
    }

    /// The tickets under a lease, with their epochs.
    pub async fn leased(&self, now: i64) -> Vec<(Id, i64)> {
        let sql = "SELECT id, epoch FROM tickets WHERE state = 'open' AND lease_until > $1";
        match &self.pool {
            Pool::Sqlite(pool) => sqlx::query_as(sql).bind(now).fetch_all(pool).await,
            Pool::Postgres(pool) => sqlx::query_as(sql).bind(now).fetch_all(pool).await,
        }
        .unwrap()
    }

    pub async fn live_keys(&self) -> Vec<String> {
        self.texts("SELECT key FROM files WHERE ended_at IS NULL")
            .await
    }

    /// What the triggers saw that may never be.
    pub async fn breaches(&self) -> Vec<String> {
        self.texts("SELECT what FROM watched_breaches LIMIT 20")
            .await
    }

    async fn texts(&self, sql: &'static str) -> Vec<String> {
        match &self.pool {
            Pool::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
            Pool::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
        }
        .unwrap()
    }
}

fn take(seen: &mut Seen, row: Row) {
    let (kind, id, first, second, third, fourth, n0, n1, n2, n3, n4, n5) = row;
    match (kind.as_str(), id) {
        ("ticket", Some(id)) => {
            let ticket = TicketSeen {
                slot: first,
                owner: second,
                reference: third,
                state: fourth,
                epoch: n0,
                size: n1,
                expires_at: n2,
                created_at: n3,
                closed_at: n4,
                lease_until: n5,
            };
            seen.tickets.insert(id, ticket);
        }
        ("file", Some(id)) => {
            let (ended, key) = fourth.split_once('|').unwrap();
            let file = FileSeen {
                slot: first,
                owner: second,
                reference: third,
                key: key.to_owned(),
                size: n0,
                committed_at: n1,
                claimed: n2 == 1,
                ended: ended.to_owned(),
            };
            seen.files.insert(id, file);
        }
        ("event", Some(id)) => seen.events.entry(id).or_default().push((n0, first)),
        ("usage", None) => {
            seen.usage.insert(first, [n0, n1, n2, n3]);
        }
        other => panic!("an odd row: {other:?}"),
    }
}

/// Laws 4 and 5 at every commit: a transaction writes a usage row once, with what holds at
/// its end.
fn triggers(kind: Kind) -> Vec<String> {
    let mut all = vec!["CREATE TABLE watched_breaches (what TEXT NOT NULL)".to_owned()];
    if kind == Kind::Postgres {
        all.push(
            "CREATE FUNCTION watched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO watched_breaches \
             VALUES (TG_ARGV[0] || ': ' || coalesce(OLD::text, '') || ' ' || coalesce(NEW::text, '')); \
             RETURN NULL; END $$"
                .to_owned(),
        );
    }
    let over = over(kind);
    let watched = [
        (
            "INSERT ON usage",
            over.as_str(),
            "law 4 at a commit",
            "NEW.account",
        ),
        (
            "UPDATE ON usage",
            over.as_str(),
            "law 4 at a commit",
            "NEW.account",
        ),
        (
            "UPDATE ON tickets",
            "OLD.state <> 'open' AND NEW.state <> OLD.state",
            "law 5, an end that was not the end",
            "OLD.state || NEW.state",
        ),
        (
            "UPDATE ON tickets",
            "NEW.epoch < OLD.epoch",
            "an epoch went back",
            "OLD.slot",
        ),
        (
            "UPDATE ON files",
            "NEW.key <> OLD.key OR NEW.size <> OLD.size OR NEW.etag <> OLD.etag \
             OR (OLD.ended_at IS NOT NULL AND NEW.end_reason IS DISTINCT FROM OLD.end_reason)",
            "a file became another",
            "OLD.key",
        ),
        (
            "DELETE ON files",
            "OLD.ended_at IS NULL",
            "a live file went without a tombstone",
            "OLD.key",
        ),
        (
            "UPDATE ON events",
            "NEW.id <> OLD.id OR NEW.seq <> OLD.seq OR NEW.kind <> OLD.kind OR NEW.body <> OLD.body",
            "an event was rewritten",
            "OLD.kind",
        ),
    ];
    for (n, (on, when, what, which)) in watched.into_iter().enumerate() {
        all.push(match kind {
            Kind::Sqlite => format!(
                "CREATE TRIGGER watch_{n} AFTER {on} WHEN {when} BEGIN \
                 INSERT INTO watched_breaches VALUES ('{what}: ' || {which}); END"
            ),
            Kind::Postgres => format!(
                "CREATE TRIGGER watch_{n} AFTER {on} FOR EACH ROW WHEN ({when}) \
                 EXECUTE FUNCTION watched('{what}')"
            ),
        });
    }
    all
}

/// Whether a usage row holds more than its slot allows.
fn over(kind: Kind) -> String {
    let (length, at, most) = match kind {
        Kind::Sqlite => (
            "json_array_length(NEW.account)",
            "json_extract(NEW.account, '$[#]')",
            "max",
        ),
        Kind::Postgres => (
            "jsonb_array_length(NEW.account::jsonb)",
            "(NEW.account::jsonb ->> #)",
            "greatest",
        ),
    };
    let at = |n: &str| at.replace('#', n);
    let mut over = Vec::new();
    for rule in SLOTS {
        let held = |a: &str, b: &str| {
            if rule.replaces {
                format!("{most}(NEW.{a}, NEW.{b})")
            } else {
                format!("NEW.{a} + NEW.{b}")
            }
        };
        let slot = format!("{} = '{}'", at("2"), rule.name);
        let entries = held("open", "files");
        over.push(format!(
            "({length} = 4 AND {slot} AND {entries} > {})",
            rule.max_entries
        ));
        if let Some(quota) = rule.quota {
            let (bytes, owner) = (held("reserved", "stored"), at("1"));
            over.push(format!(
                "({length} = 3 AND {owner} IS NOT NULL AND {slot} AND {bytes} > {quota})"
            ));
        }
    }
    over.join(" OR ")
}
