//! The laws, added up again from the rows themselves.

use super::{Db, DbError};
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

impl Db {
    /// Accounts whose usage row is not what their tickets and files add up to.
    pub async fn miscounted(&self) -> Result<Vec<Counted>, DbError> {
        type Row = (String, i64, i64, i64, i64, i64, i64, i64, i64);
        let rows: Vec<Row> = sqlx::query_as(
            "WITH entries AS (
               SELECT tenant, slot, owner, coalesce(ref, '') AS ref, 1 AS open, 0 AS files,
                      size AS reserved, 0 AS stored FROM tickets WHERE state = 'open'
               UNION ALL
               SELECT tenant, slot, owner, coalesce(ref, ''), 0, 1, 0, size
                 FROM files WHERE ended_at IS NULL),
             posted AS (
               SELECT json_array(tenant, owner, slot, ref) AS account, * FROM entries
               UNION ALL SELECT json_array(tenant, owner, slot), * FROM entries
               UNION ALL SELECT json_array(tenant, NULL, slot), * FROM entries
               UNION ALL SELECT json_array(tenant, owner), * FROM entries),
             summed AS (
               SELECT account, sum(open) AS open, sum(files) AS files, sum(reserved) AS reserved,
                      sum(stored) AS stored FROM posted GROUP BY account)
             SELECT coalesce(s.account, u.account), coalesce(s.open, 0), coalesce(s.files, 0),
                    coalesce(s.reserved, 0), coalesce(s.stored, 0), coalesce(u.open, 0),
                    coalesce(u.files, 0), coalesce(u.reserved, 0), coalesce(u.stored, 0)
             FROM summed AS s FULL JOIN usage AS u ON u.account = s.account
             WHERE coalesce(s.open, 0) <> coalesce(u.open, 0)
                OR coalesce(s.files, 0) <> coalesce(u.files, 0)
                OR coalesce(s.reserved, 0) <> coalesce(u.reserved, 0)
                OR coalesce(s.stored, 0) <> coalesce(u.stored, 0)",
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(account, o, f, r, s, uo, uf, ur, us)| Counted {
                account,
                rows: Usage {
                    open: o,
                    files: f,
                    reserved: r,
                    stored: s,
                },
                usage: Usage {
                    open: uo,
                    files: uf,
                    reserved: ur,
                    stored: us,
                },
            })
            .collect())
    }

    /// The usage rows, in key order after `after`.
    pub async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<Held>, DbError> {
        let rows: Vec<(String, i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT account, open, files, reserved, stored FROM usage \
             WHERE account > $1 ORDER BY account LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(account, open, files, reserved, stored)| Held {
                account,
                usage: Usage {
                    open,
                    files,
                    reserved,
                    stored,
                },
            })
            .collect())
    }

    /// The policies that the tickets of a slot and owner (`None`: of all owners) carry.
    pub async fn policies(
        &self,
        tenant: &str,
        owner: Option<&str>,
        slot: &str,
    ) -> Result<Vec<Policy>, DbError> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT policy FROM tickets \
             WHERE tenant = $1 AND ($2 IS NULL OR owner = $2) AND slot = $3",
        )
        .bind(tenant)
        .bind(owner)
        .bind(slot)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|text| {
                serde_json::from_str(text)
                    .map_err(|why| DbError::Inconsistent(format!("tickets.policy {why}")))
            })
            .collect()
    }

    /// Live files by id after `after`: what law 1 is checked on.
    pub async fn live_files(&self, after: Option<Id>, limit: u32) -> Result<Vec<FileKey>, DbError> {
        let rows: Vec<(Id, String, i64, String)> = sqlx::query_as(
            "SELECT id, key, size, etag FROM files \
             WHERE ended_at IS NULL AND id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after.unwrap_or(Id::nil()))
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(id, key, size, etag)| FileKey {
                id,
                key,
                size: u64::try_from(size).unwrap_or(0),
                etag,
            })
            .collect())
    }

    /// Tickets that ended after `since` without their one event, or with one that tells
    /// of another end.
    pub async fn untold_endings(&self, since: Timestamp) -> Result<Vec<Id>, DbError> {
        let rows = sqlx::query_scalar(
            "SELECT t.id FROM tickets AS t \
             LEFT JOIN events AS e ON e.subject = t.id AND e.seq = 1 \
             WHERE t.state <> 'open' AND t.closed_at > $1 AND (e.kind IS NULL OR e.kind <> 'ticket.' || t.state) \
             LIMIT 1000",
        )
        .bind(since.millis())
        .fetch_all(&self.readers)
        .await?;
        Ok(rows)
    }
}
