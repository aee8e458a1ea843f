//! The laws, added up again from the rows themselves.

use super::sql::{Kind, Row, sql};
use super::{Db, DbError, rows};
use crate::domain::books::Usage;
use crate::domain::name::Id;
use crate::domain::slot::Policy;
use crate::domain::time::Timestamp;

/// An account as the rows add up and as its usage row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The account.
    pub account: String,
    /// What tickets and files add up to.
    pub rows: Usage,
    /// What the usage row says.
    pub usage: Usage,
}

/// A live file as the bucket should hold it.
#[derive(Clone, Debug)]
pub struct FileKey {
    /// The file.
    pub id: Id,
    /// Its final key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// Its `ETag`, without quotes.
    pub etag: String,
}

/// How full a ref's account is, for slots that bound it.
#[derive(Clone, Debug)]
pub struct Held {
    /// The account's key.
    pub account: String,
    /// What it holds.
    pub usage: Usage,
}

/// The key of an account as [`crate::domain::books::Account`] spells it: a JSON array
/// without a space.
fn account(kind: Kind, parts: [&str; 4]) -> String {
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    match kind {
        Kind::Sqlite => format!("json_array({})", parts.collect::<Vec<_>>().join(", ")),
        Kind::Postgres => {
            let parts = parts.map(|part| format!("coalesce(to_json({part})::text, 'null')"));
            format!(
                "'[' || {} || ']'",
                parts.collect::<Vec<_>>().join(" || ',' || ")
            )
        }
    }
}

/// Every account by its rows, beside its usage row, where the two differ.
fn miscounted(kind: Kind) -> String {
    let no_owner = match kind {
        Kind::Sqlite => "NULL",
        Kind::Postgres => "NULL::text",
    };
    format!(
        "WITH entries AS (
           SELECT tenant, slot, owner, coalesce(ref, '') AS ref, 1 AS open, 0 AS files,
                  size AS reserved, 0 AS stored FROM tickets WHERE state = 'open'
           UNION ALL
           SELECT tenant, slot, owner, coalesce(ref, ''), 0, 1, 0, size
             FROM files WHERE ended_at IS NULL),
         posted AS (
           SELECT {reference} AS account, open, files, reserved, stored FROM entries
           UNION ALL SELECT {owner}, open, files, reserved, stored FROM entries
           UNION ALL SELECT {tenant}, open, files, reserved, stored FROM entries
           UNION ALL SELECT {caller}, open, files, reserved, stored FROM entries),
         summed AS (
           SELECT account, CAST(sum(open) AS BIGINT) AS open, CAST(sum(files) AS BIGINT) AS files,
                  CAST(sum(reserved) AS BIGINT) AS reserved, CAST(sum(stored) AS BIGINT) AS stored
             FROM posted GROUP BY account),
         both_ways AS (
           SELECT coalesce(s.account, u.account) AS account, coalesce(s.open, 0) AS open,
                  coalesce(s.files, 0) AS files, coalesce(s.reserved, 0) AS reserved,
                  coalesce(s.stored, 0) AS stored, coalesce(u.open, 0) AS usage_open,
                  coalesce(u.files, 0) AS usage_files, coalesce(u.reserved, 0) AS usage_reserved,
                  coalesce(u.stored, 0) AS usage_stored
             FROM summed AS s FULL JOIN usage AS u ON u.account = s.account)
         SELECT * FROM both_ways
          WHERE open <> usage_open OR files <> usage_files
             OR reserved <> usage_reserved OR stored <> usage_stored",
        reference = account(kind, ["tenant", "owner", "slot", "ref"]),
        owner = account(kind, ["tenant", "owner", "slot", ""]),
        tenant = account(kind, ["tenant", no_owner, "slot", ""]),
        caller = account(kind, ["tenant", "owner", "", ""]),
    )
}

impl Db {
    /// Accounts whose usage row is not what their tickets and files add up to.
    pub async fn miscounted(&self) -> Result<Vec<Counted>, DbError> {
        let text = miscounted(self.readers.kind());
        let found = self.readers.all(sql(text)).await?;
        let counted = |row: &Row| {
            Ok(Counted {
                account: row.get("account")?,
                rows: rows::usage(row)?,
                usage: Usage {
                    open: row.get("usage_open")?,
                    files: row.get("usage_files")?,
                    reserved: row.get("usage_reserved")?,
                    stored: row.get("usage_stored")?,
                },
            })
        };
        found.iter().map(counted).collect()
    }

    /// The usage rows, in key order after `after`.
    pub async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<Held>, DbError> {
        let statement = sql("SELECT account, open, files, reserved, stored FROM usage \
             WHERE account > $1 ORDER BY account LIMIT $2")
        .bind(after)
        .bind(limit);
        let found = self.readers.all(statement).await?;
        let held = |row: &Row| {
            Ok(Held {
                account: row.get("account")?,
                usage: rows::usage(row)?,
            })
        };
        found.iter().map(held).collect()
    }

    /// The policies that the tickets of a slot and owner (`None`: of all owners) carry.
    pub async fn policies(
        &self,
        tenant: &str,
        owner: Option<&str>,
        slot: &str,
    ) -> Result<Vec<Policy>, DbError> {
        let statement = sql("SELECT DISTINCT policy FROM tickets \
             WHERE tenant = $1 AND ($2 IS NULL OR owner = $2) AND slot = $3")
        .bind(tenant)
        .bind(owner)
        .bind(slot);
        let found = self.readers.all(statement).await?;
        let policy = |row: &Row| {
            serde_json::from_str(row.get("policy")?)
                .map_err(|why| DbError::Inconsistent(format!("tickets.policy {why}")))
        };
        found.iter().map(policy).collect()
    }

    /// Live files by id after `after`: what law 1 is checked on.
    pub async fn live_files(&self, after: Option<Id>, limit: u32) -> Result<Vec<FileKey>, DbError> {
        let statement = sql("SELECT id, key, size, etag FROM files \
             WHERE ended_at IS NULL AND id > $1 ORDER BY id LIMIT $2")
        .bind(after.unwrap_or(Id::nil()))
        .bind(limit);
        let found = self.readers.all(statement).await?;
        let key = |row: &Row| {
            Ok(FileKey {
                id: row.get("id")?,
                key: row.get("key")?,
                size: u64::try_from(row.get::<i64>("size")?).unwrap_or(0),
                etag: row.get("etag")?,
            })
        };
        found.iter().map(key).collect()
    }

    /// Tickets that ended after `since` without their one event, or with one that tells
    /// of another end.
    pub async fn untold_endings(&self, since: Timestamp) -> Result<Vec<Id>, DbError> {
        let statement = sql("SELECT t.id AS id FROM tickets AS t \
             LEFT JOIN events AS e ON e.subject = t.id AND e.seq = 1 \
             WHERE t.state <> 'open' AND t.closed_at > $1 \
               AND (e.kind IS NULL OR e.kind <> 'ticket.' || t.state) \
             LIMIT 1000")
        .bind(since.millis());
        let found = self.readers.all(statement).await?;
        found.iter().map(|row| row.get("id")).collect()
    }
}
