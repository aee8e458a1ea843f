//! The second half of a transaction: what its decisions changed.

use std::fmt::Write as _;

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};

use super::{DbError, outbox};
use crate::domain::books::{Account, Before, Books, Forget, Usage};
use crate::domain::event::Event;
use crate::domain::file::File;
use crate::domain::name::Ref;
use crate::domain::slot::Disposition;
use crate::domain::ticket::Ticket;
use crate::domain::time::Timestamp;

/// How many values one INSERT carries at most; SQLite's own limit is 32 766.
const MOST_BINDS: usize = 8192;

pub(super) async fn write(
    connection: &mut SqliteConnection,
    books: &Books,
    now: Timestamp,
) -> Result<(), DbError> {
    usage(connection, books).await?;
    let tickets: Vec<&Ticket> = books.tickets_to_insert().collect();
    insert(connection, &TICKETS, &tickets, bind_ticket).await?;
    for (ticket, before) in books.tickets_to_update() {
        update_ticket(connection, ticket, before).await?;
    }
    let files: Vec<&File> = books.files_to_insert().collect();
    insert(connection, &FILES, &files, bind_file).await?;
    for file in books.files_to_update() {
        update_file(connection, file).await?;
    }
    let events: Vec<&Event> = books.events_to_insert().iter().collect();
    insert(connection, &EVENTS, &events, bind_event).await?;
    outbox::write(connection, books.outbox()).await?;
    for (key, row) in books.remembered_to_insert() {
        sqlx::query(
            "INSERT OR REPLACE INTO idempotency (tenant, caller, key, body_hash, outcome, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(key.tenant.as_str())
        .bind(key.caller.as_str())
        .bind(&key.key)
        .bind(&row.body_hash)
        .bind(row.outcome.to_string())
        .bind(row.created_at.millis())
        .execute(&mut *connection)
        .await?;
    }
    for what in books.to_forget() {
        forget(connection, what).await?;
    }
    for (name, value) in books.marks_to_set() {
        sqlx::query(
            "INSERT INTO marks (name, value, updated_at) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
        )
        .bind(name)
        .bind(value)
        .bind(now.millis())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn usage(connection: &mut SqliteConnection, books: &Books) -> Result<(), DbError> {
    let rows: Vec<(&Account, Usage)> = books.usage_to_write().collect();
    let rows: Vec<&(&Account, Usage)> = rows.iter().collect();
    insert(connection, &USAGE, &rows, bind_usage).await
}

fn bind_usage(to: &mut Binds, (account, usage): &(&Account, Usage)) -> Result<(), DbError> {
    to.add(account.as_str())?;
    to.add(usage.open)?;
    to.add(usage.files)?;
    to.add(usage.reserved)?;
    to.add(usage.stored)
}

/// How rows get into a table.
struct Table {
    name: &'static str,
    columns: &'static str,
    width: usize,
    /// What follows the rows.
    then: &'static str,
}

const USAGE: Table = Table {
    name: "usage",
    columns: "account, open, files, reserved, stored",
    width: 5,
    then: " ON CONFLICT (account) DO UPDATE SET open = excluded.open, files = excluded.files, \
           reserved = excluded.reserved, stored = excluded.stored",
};

const TICKETS: Table = Table {
    name: "tickets",
    columns: super::rows::TICKET,
    width: 30,
    then: "",
};
const FILES: Table = Table {
    name: "files",
    columns: super::rows::FILE,
    width: 23,
    then: "",
};
const EVENTS: Table = Table {
    name: "events",
    columns: "id, subject, seq, tenant, kind, body, created_at, state, tries, next_try_at",
    width: 10,
    then: "",
};

/// Values on their way into a statement.
struct Binds(SqliteArguments);

impl Binds {
    fn add<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> Result<(), DbError> {
        self.0
            .add(value)
            .map_err(|why| DbError::Unavailable(why.to_string()))
    }
}

/// Inserts rows, many to a statement. Decisions look before they insert, so a row that is
/// there already was not seen by its decision: nothing of the transaction may stay.
async fn insert<T>(
    connection: &mut SqliteConnection,
    table: &Table,
    rows: &[&T],
    bind: fn(&mut Binds, &T) -> Result<(), DbError>,
) -> Result<(), DbError> {
    let row = format!("({}?)", "?, ".repeat(table.width - 1));
    for chunk in rows.chunks(MOST_BINDS / table.width) {
        let mut sql = format!("INSERT INTO {} ({}) VALUES ", table.name, table.columns);
        for n in 0..chunk.len() {
            let _ = write!(sql, "{}{row}", if n == 0 { "" } else { ", " });
        }
        sql.push_str(table.then);
        let mut binds = Binds(SqliteArguments::default());
        for row in chunk {
            bind(&mut binds, row)?;
        }
        sqlx::query_with(AssertSqlSafe(sql), binds.0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

fn whole(number: u64) -> i64 {
    crate::domain::books::counted(number)
}

fn millis(moment: Option<Timestamp>) -> Option<i64> {
    moment.map(Timestamp::millis)
}

fn text<T: serde::Serialize>(value: &T) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|why| DbError::Inconsistent(why.to_string()))
}

fn bind_ticket(to: &mut Binds, t: &Ticket) -> Result<(), DbError> {
    to.add(t.id)?;
    to.add(t.tenant.as_str())?;
    to.add(t.slot.as_str())?;
    to.add(t.owner.as_str())?;
    to.add(t.reference.as_ref().map(Ref::as_str))?;
    to.add(t.state.as_str())?;
    to.add(t.name.as_str())?;
    to.add(whole(t.size))?;
    to.add(t.exact_size)?;
    to.add(t.media_type.as_deref())?;
    to.add(t.sha256.as_deref())?;
    to.add(text(&t.metadata)?)?;
    to.add(text(&t.policy)?)?;
    to.add(i64::from(t.epoch))?;
    to.add(text(&t.attempts)?)?;
    to.add(millis(t.lease_until))?;
    to.add(t.created_at.millis())?;
    to.add(t.expires_at.millis())?;
    to.add(millis(t.next_check_at))?;
    to.add(i64::from(t.checks))?;
    to.add(millis(t.closed_at))?;
    to.add(millis(t.cooling_until))?;
    to.add(t.problem.as_ref().map(text).transpose()?)?;
    to.add(t.part_size.map(whole))?;
    to.add(t.multipart_id.as_deref())?;
    to.add(t.promote_key.as_deref())?;
    to.add(t.promote_upload_id.as_deref())?;
    to.add(millis(t.clean_at))?;
    to.add(t.note.as_deref())?;
    to.add(t.dialect.as_deref())
}

/// The compare-and-set of §3: only the state and epoch that the decision saw.
async fn update_ticket(
    connection: &mut SqliteConnection,
    t: &Ticket,
    before: Before,
) -> Result<(), DbError> {
    let done = sqlx::query(
        "UPDATE tickets SET state = $1, epoch = $2, lease_until = $3, expires_at = $4, \
           next_check_at = $5, checks = $6, closed_at = $7, cooling_until = $8, problem = $9, \
           multipart_id = $10, promote_key = $11, promote_upload_id = $12, clean_at = $13, \
           note = $14, attempts = $15 \
         WHERE id = $16 AND state = $17 AND epoch = $18",
    )
    .bind(t.state.as_str())
    .bind(i64::from(t.epoch))
    .bind(millis(t.lease_until))
    .bind(t.expires_at.millis())
    .bind(millis(t.next_check_at))
    .bind(i64::from(t.checks))
    .bind(millis(t.closed_at))
    .bind(millis(t.cooling_until))
    .bind(t.problem.as_ref().map(text).transpose()?)
    .bind(t.multipart_id.as_deref())
    .bind(t.promote_key.as_deref())
    .bind(t.promote_upload_id.as_deref())
    .bind(millis(t.clean_at))
    .bind(t.note.as_deref())
    .bind(text(&t.attempts)?)
    .bind(t.id)
    .bind(before.state.as_str())
    .bind(i64::from(before.epoch))
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(DbError::Unavailable(format!(
            "ticket {} moved under its lock",
            t.id
        )))
    }
}

fn bind_file(to: &mut Binds, f: &File) -> Result<(), DbError> {
    to.add(f.id)?;
    to.add(f.tenant.as_str())?;
    to.add(f.slot.as_str())?;
    to.add(f.owner.as_str())?;
    to.add(f.reference.as_ref().map(Ref::as_str))?;
    to.add(f.key.as_str())?;
    to.add(f.name.as_str())?;
    to.add(whole(f.size))?;
    to.add(f.media_type.as_str())?;
    to.add(f.etag.as_str())?;
    to.add(f.sha256.as_deref())?;
    to.add(f.width.map(i64::from))?;
    to.add(f.height.map(i64::from))?;
    to.add(text(&f.metadata)?)?;
    to.add(match f.disposition {
        Disposition::Attachment => "attachment",
        Disposition::Inline => "inline",
    })?;
    to.add(text(&f.warnings)?)?;
    to.add(f.committed_at.millis())?;
    to.add(millis(f.claimed_at))?;
    to.add(millis(f.unclaimed_at))?;
    to.add(millis(f.ended_at))?;
    to.add(f.end_reason.map(crate::domain::file::EndReason::as_str))?;
    to.add(i64::from(f.event_seq))?;
    to.add(millis(f.purge_at))
}

async fn update_file(connection: &mut SqliteConnection, f: &File) -> Result<(), DbError> {
    let done = sqlx::query(
        "UPDATE files SET ref = $1, claimed_at = $2, unclaimed_at = $3, ended_at = $4, \
           end_reason = $5, purge_at = $6, event_seq = $7 \
         WHERE id = $8",
    )
    .bind(f.reference.as_ref().map(Ref::as_str))
    .bind(millis(f.claimed_at))
    .bind(millis(f.unclaimed_at))
    .bind(millis(f.ended_at))
    .bind(f.end_reason.map(crate::domain::file::EndReason::as_str))
    .bind(millis(f.purge_at))
    .bind(i64::from(f.event_seq))
    .bind(f.id)
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(DbError::Unavailable(format!(
            "file {} moved under its lock",
            f.id
        )))
    }
}

fn bind_event(to: &mut Binds, e: &Event) -> Result<(), DbError> {
    to.add(e.id)?;
    to.add(e.subject)?;
    to.add(i64::from(e.seq))?;
    to.add(e.tenant.as_str())?;
    to.add(e.kind)?;
    to.add(e.body.to_string())?;
    to.add(e.created_at.millis())?;
    to.add("pending")?;
    to.add(0_i64)?;
    to.add(e.created_at.millis())
}

pub(super) const FORGET_TICKETS: &str = "DELETE FROM tickets WHERE id IN (\
     SELECT t.id FROM tickets AS t \
     WHERE t.state <> 'open' AND t.closed_at < $1 AND t.clean_at IS NULL \
     LIMIT 500)";

async fn forget(connection: &mut SqliteConnection, what: &Forget) -> Result<(), DbError> {
    let query = match what {
        Forget::File(id) => {
            sqlx::query("DELETE FROM files WHERE id = $1 AND ended_at IS NOT NULL").bind(*id)
        }
        Forget::TicketsClosedBefore(before) => sqlx::query(FORGET_TICKETS).bind(before.millis()),
        Forget::EventsSettledBefore(before) => sqlx::query(
            "DELETE FROM events WHERE id IN (SELECT id FROM events \
               WHERE state <> 'pending' AND settled_at < $1 LIMIT 500)",
        )
        .bind(before.millis()),
        Forget::EventsDueBefore(before) => {
            sqlx::query(outbox::FORGET_UNDELIVERED).bind(before.millis())
        }
        Forget::TurnOf(id, until) => {
            sqlx::query("UPDATE tickets SET next_check_at = $1 WHERE id = $2 AND state = 'open'")
                .bind(until.millis())
                .bind(*id)
        }
        Forget::MintsBefore(before) => sqlx::query(
            "DELETE FROM idempotency WHERE (tenant, caller, key) IN \
               (SELECT tenant, caller, key FROM idempotency WHERE created_at < $1 LIMIT 500)",
        )
        .bind(before.millis()),
    };
    query.execute(connection).await?;
    Ok(())
}
