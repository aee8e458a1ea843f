//! What the worker polls, each by an index of its own.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteRow;

use super::{Db, DbError, rows};
use crate::domain::file::File;
use crate::domain::name::Id;
use crate::domain::ticket::Ticket;
use crate::domain::time::Timestamp;

/// Due tickets: at $1 at most $2.
pub(super) const DUE_TICKETS: &str = "SELECT id FROM tickets \
     WHERE state = 'open' AND next_check_at <= $1 \
       AND (lease_until IS NULL OR lease_until <= $1) ORDER BY next_check_at LIMIT $2";

pub(super) fn unclean_sql() -> String {
    format!(
        "SELECT {} FROM tickets WHERE clean_at <= $1 \
     ORDER BY clean_at LIMIT $2",
        rows::TICKET
    )
}

pub(super) fn unclaimed_sql() -> String {
    format!(
        "SELECT {} FROM files WHERE unclaimed_at <= $1 AND ended_at IS NULL \
     ORDER BY unclaimed_at LIMIT $2",
        rows::FILE
    )
}

pub(super) fn tombstones_sql() -> String {
    format!(
        "SELECT {} FROM files WHERE ended_at IS NOT NULL AND purge_at <= $1 \
     ORDER BY purge_at LIMIT $2",
        rows::FILE
    )
}

/// The rows that decode. One that does not is somebody else's hand or another release's;
/// it must not keep the worker from all others.
fn readable<T>(found: &[SqliteRow], decode: fn(&SqliteRow) -> Result<T, DbError>) -> Vec<T> {
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        match decode(row) {
            Ok(row) => rows.push(row),
            Err(error) => tracing::error!(%error, "a row was passed over"),
        }
    }
    rows
}

impl Db {
    /// Open tickets whose time to be looked at has come and that nobody is judging.
    pub async fn due_tickets(&self, now: Timestamp, limit: u32) -> Result<Vec<Id>, DbError> {
        let found = sqlx::query_scalar(DUE_TICKETS)
            .bind(now.millis())
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        Ok(found)
    }

    /// Closed tickets whose leftovers are still to be removed.
    pub async fn unclean_tickets(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Ticket>, DbError> {
        let found = sqlx::query(AssertSqlSafe(unclean_sql()))
            .bind(now.millis())
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        Ok(readable(&found, rows::ticket))
    }

    /// Live files that nobody claimed in time.
    pub async fn unclaimed_files(&self, now: Timestamp, limit: u32) -> Result<Vec<File>, DbError> {
        let found = sqlx::query(AssertSqlSafe(unclaimed_sql()))
            .bind(now.millis())
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        Ok(readable(&found, rows::file))
    }

    /// Tombstones whose bytes are to be deleted.
    pub async fn tombstones(&self, now: Timestamp, limit: u32) -> Result<Vec<File>, DbError> {
        let found = sqlx::query(AssertSqlSafe(tombstones_sql()))
            .bind(now.millis())
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        Ok(readable(&found, rows::file))
    }

    /// Where a long walk stands.
    pub async fn mark(&self, name: &str) -> Result<Option<String>, DbError> {
        let found = sqlx::query_scalar("SELECT value FROM marks WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.readers)
            .await?;
        Ok(found)
    }
}
