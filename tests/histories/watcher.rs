//! A second pair of eyes on the database, with SQL of its own: triggers that look at every
//! commit, and what one tenant has at one moment.

use std::collections::BTreeMap;
use std::path::Path;

use putgate::domain::name::Id;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, SqlitePool};

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

pub struct Watch {
    pool: SqlitePool,
}

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
);

/// One statement, one moment.
const SEEN: &str = "
 SELECT 'ticket' AS kind, id, slot, owner, coalesce(ref, ''), state,
        epoch, size, expires_at, created_at, coalesce(closed_at, 0)
   FROM tickets WHERE tenant = $1
 UNION ALL
 SELECT 'file', id, slot, owner, coalesce(ref, ''), coalesce(end_reason, '') || '|' || key,
        size, committed_at, CASE WHEN claimed_at IS NULL THEN 0 ELSE 1 END, 0, 0
   FROM files WHERE id IN (SELECT id FROM tickets WHERE tenant = $1)
 UNION ALL
 SELECT 'event', subject, kind, '', '', '', seq, 0, 0, 0, 0
   FROM events WHERE subject IN (SELECT id FROM tickets WHERE tenant = $1)
 UNION ALL
 SELECT 'usage', NULL, account, '', '', '', open, files, reserved, stored, 0
   FROM usage WHERE account >= $2 AND account < $3";

impl Watch {
    pub async fn open(database: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(database)
            .busy_timeout(std::time::Duration::from_secs(30));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(std::time::Duration::from_mins(2))
            .connect_with(options)
            .await
            .unwrap();
        for sql in triggers() {
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&pool)
                .await
                .unwrap();
        }
        Self { pool }
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub async fn seen(&self, tenant: &str) -> Seen {
        let rows: Vec<Row> = sqlx::query_as(SEEN)
            .bind(tenant)
            .bind(format!("[\"{tenant}\","))
            .bind(format!("[\"{tenant}\"-"))
            .fetch_all(&self.pool)
            .await
            .unwrap();
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
    pub async fn unsettled(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM tickets WHERE state = 'open' OR clean_at IS NOT NULL)
                  + (SELECT count(*) FROM files WHERE ended_at IS NOT NULL)",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    pub async fn live_keys(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT key FROM files WHERE ended_at IS NULL")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    /// What the triggers saw that may never be.
    pub async fn breaches(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT what FROM watched_breaches LIMIT 20")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }
}

fn take(seen: &mut Seen, row: Row) {
    let (kind, id, first, second, third, fourth, n0, n1, n2, n3, n4) = row;
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
fn triggers() -> Vec<String> {
    let mut over = Vec::new();
    for rule in SLOTS {
        let (name, most) = (rule.name, rule.max_entries);
        let (entries, bytes) = if rule.replaces {
            ("max(NEW.open, NEW.files)", "max(NEW.reserved, NEW.stored)")
        } else {
            ("NEW.open + NEW.files", "NEW.reserved + NEW.stored")
        };
        let slot = format!("json_extract(NEW.account, '$[2]') = '{name}'");
        over.push(format!(
            "(json_array_length(NEW.account) = 4 AND {slot} AND {entries} > {most})"
        ));
        if let Some(quota) = rule.quota {
            over.push(format!(
                "(json_array_length(NEW.account) = 3 AND json_extract(NEW.account, '$[1]') IS NOT NULL \
                 AND {slot} AND {bytes} > {quota})"
            ));
        }
    }
    let over = over.join(" OR ");
    let breach =
        |what: &str| format!("BEGIN INSERT INTO watched_breaches (what) VALUES ({what}); END;");
    let usage = breach(
        "'law 4 at a commit: ' || NEW.account || ' holds ' || NEW.open || '+' || NEW.files \
         || ' entries, ' || NEW.reserved || '+' || NEW.stored || ' bytes'",
    );
    vec![
        "CREATE TABLE watched_breaches (what TEXT NOT NULL);".to_owned(),
        format!("CREATE TRIGGER watch_new_usage AFTER INSERT ON usage WHEN {over} {usage}"),
        format!("CREATE TRIGGER watch_usage AFTER UPDATE ON usage WHEN {over} {usage}"),
        format!(
            "CREATE TRIGGER watch_ends AFTER UPDATE ON tickets \
             WHEN OLD.state <> 'open' AND NEW.state <> OLD.state {}",
            breach("'law 5: a ticket was ' || OLD.state || ' and became ' || NEW.state")
        ),
        format!(
            "CREATE TRIGGER watch_epochs AFTER UPDATE ON tickets WHEN NEW.epoch < OLD.epoch {}",
            breach("'an epoch went back'")
        ),
        format!(
            "CREATE TRIGGER watch_files AFTER UPDATE ON files \
             WHEN NEW.key <> OLD.key OR NEW.size <> OLD.size OR NEW.etag <> OLD.etag \
               OR (OLD.ended_at IS NOT NULL AND NEW.end_reason IS NOT OLD.end_reason) {}",
            breach("'a file became another: ' || OLD.key")
        ),
        format!(
            "CREATE TRIGGER watch_lost_files AFTER DELETE ON files WHEN OLD.ended_at IS NULL {}",
            breach("'a live file went without a tombstone: ' || OLD.key")
        ),
        format!(
            "CREATE TRIGGER watch_events AFTER UPDATE ON events \
             WHEN NEW.id <> OLD.id OR NEW.seq <> OLD.seq OR NEW.kind <> OLD.kind OR NEW.body <> OLD.body {}",
            breach("'an event was rewritten'")
        ),
    ]
}
