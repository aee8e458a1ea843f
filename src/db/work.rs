//! What the worker polls, each by an index of its own.
//!
//! Several replicas poll one PostgreSQL. A poll whose work is at the store takes what it
//! finds: it moves the row's next turn by [`TURN`], past rows that another replica is just
//! taking, so that one replica does the work, and another does it later when that one dies.
//! It only ever moves a schedule. What may be done is decided under the locks of
//! [`Db::write`]: the lease of `begin` lets one replica judge a ticket, and an unclaimed file
//! ends once, whoever asks; so that poll takes nothing.

use super::sql::{Kind, Row, sql};
use super::{Db, DbError, rows, save};
use crate::domain::books::Forget;
use crate::domain::file::File;
use crate::domain::name::Id;
use crate::domain::ticket::{LEASE, Ticket};
use crate::domain::time::{Seconds, Timestamp};

/// How long what a replica took is its own.
const TURN: Seconds = Seconds(30);

/// A poll: what is due at $1, at most $2 rows; what is taken is due again at $3.
struct Poll {
    table: &'static str,
    columns: &'static str,
    /// The schedule's column.
    due: &'static str,
    /// What else must be so.
    and: &'static str,
    /// How long the leases are of those who may be at it; they are kept from it too.
    lease: Option<Seconds>,
    /// Whether other replicas are kept from it.
    takes: bool,
}

const TICKETS: Poll = Poll {
    table: "tickets",
    columns: "id",
    due: "next_check_at",
    and: " AND state = 'open'",
    lease: Some(LEASE),
    takes: true,
};
const UNCLEAN: Poll = Poll {
    table: "tickets",
    columns: rows::TICKET,
    due: "clean_at",
    and: "",
    lease: None,
    takes: true,
};
const UNCLAIMED: Poll = Poll {
    table: "files",
    columns: rows::FILE,
    due: "unclaimed_at",
    and: " AND ended_at IS NULL",
    lease: None,
    takes: false,
};
const TOMBSTONES: Poll = Poll {
    table: "files",
    columns: rows::FILE,
    due: "purge_at",
    and: " AND ended_at IS NOT NULL",
    lease: None,
    takes: true,
};

/// That nobody holds a lease of this length at $1. One that ends later than any could is from
/// before the clock was set back.
pub(super) fn free(column: &str, lease: Seconds) -> String {
    let length = lease.millis();
    format!("({column} IS NULL OR {column} <= $1 OR {column} > $1 + {length})")
}

impl Poll {
    fn takes_on(&self, kind: Kind) -> bool {
        self.takes && kind == Kind::Postgres
    }

    fn text(&self, kind: Kind) -> String {
        let Self {
            table,
            columns,
            due,
            and,
            lease,
            ..
        } = self;
        let free = lease.map(|lease| format!(" AND {}", free("lease_until", lease)));
        let free = free.unwrap_or_default();
        let found = |columns: &str| {
            format!(
                "SELECT {columns} FROM {table} WHERE {due} <= $1{and}{free} \
                 ORDER BY {due} LIMIT $2"
            )
        };
        if !self.takes_on(kind) {
            return found(columns);
        }
        // An array, for a plan may run a subquery more than once.
        format!(
            "UPDATE {table} SET {due} = $3 WHERE id = ANY(ARRAY({} FOR UPDATE SKIP LOCKED)) \
             RETURNING {columns}",
            found("id")
        )
    }
}

/// The texts of all polls, each with its index.
#[cfg(test)]
pub(super) fn polls(kind: Kind) -> [(String, &'static str); 4] {
    [
        (TICKETS.text(kind), "tickets_due"),
        (UNCLEAN.text(kind), "tickets_unclean"),
        (UNCLAIMED.text(kind), "files_unclaimed"),
        (TOMBSTONES.text(kind), "files_ended"),
    ]
}

/// The rows that decode. One that does not is somebody else's hand or another release's;
/// it must not keep the worker from all others.
fn readable<T>(found: &[Row], decode: fn(&Row) -> Result<T, DbError>) -> Vec<T> {
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
    async fn poll(&self, poll: &Poll, now: Timestamp, limit: u32) -> Result<Vec<Row>, DbError> {
        let kind = self.readers.kind();
        let mut statement = sql(poll.text(kind)).bind(now.millis()).bind(limit);
        if poll.takes_on(kind) {
            statement = statement.bind(now.plus(TURN).millis());
        }
        self.readers.all(statement).await
    }

    /// Open tickets whose time to be looked at has come and that nobody is judging.
    pub async fn due_tickets(&self, now: Timestamp, limit: u32) -> Result<Vec<Id>, DbError> {
        let found = self.poll(&TICKETS, now, limit).await?;
        found.iter().map(|row| row.get("id")).collect()
    }

    /// Closed tickets whose leftovers are still to be removed.
    pub async fn unclean_tickets(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Ticket>, DbError> {
        let found = self.poll(&UNCLEAN, now, limit).await?;
        Ok(readable(&found, rows::ticket))
    }

    /// Live files that nobody claimed in time.
    pub async fn unclaimed_files(&self, now: Timestamp, limit: u32) -> Result<Vec<File>, DbError> {
        let found = self.poll(&UNCLAIMED, now, limit).await?;
        Ok(readable(&found, rows::file))
    }

    /// Tombstones whose bytes are to be deleted.
    pub async fn tombstones(&self, now: Timestamp, limit: u32) -> Result<Vec<File>, DbError> {
        let found = self.poll(&TOMBSTONES, now, limit).await?;
        Ok(readable(&found, rows::file))
    }

    /// Whether any of these is still there to be forgotten: one transaction forgets so many.
    pub async fn has_to_forget(&self, what: &[Forget]) -> Result<bool, DbError> {
        for (old, before) in what.iter().filter_map(save::old) {
            let any = sql(old.any()).bind(before.millis());
            if self.readers.first(any).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where a long walk stands.
    pub async fn mark(&self, name: &str) -> Result<Option<String>, DbError> {
        let statement = sql("SELECT value FROM marks WHERE name = $1").bind(name);
        let found = self.readers.first(statement).await?;
        found.map(|row| row.get("value")).transpose()
    }
}
