//! The second half of a transaction: what its decisions changed.

use std::collections::BTreeMap;

use super::sql::{Binds, Conn, Kind, sql};
use super::{DbError, outbox};
use crate::domain::books::{Account, Before, Books, Forget, IdempotencyKey, Remembered, Usage};
use crate::domain::event::Event;
use crate::domain::file::File;
use crate::domain::name::Ref;
use crate::domain::slot::Disposition;
use crate::domain::ticket::Ticket;
use crate::domain::time::Timestamp;

/// How many values one INSERT carries at most on SQLite, whose own limit is 32 766.
const MOST_BINDS: usize = 8192;

pub(super) async fn write(conn: &mut Conn, books: &Books, now: Timestamp) -> Result<(), DbError> {
    let rows = books.usage_to_write().map(bind_usage);
    insert(conn, &USAGE, rows.collect()).await?;
    let rows = books.tickets_to_insert().map(bind_ticket);
    insert(conn, &TICKETS, rows.collect::<Result<_, _>>()?).await?;
    let rows = books.tickets_to_update().map(bind_moved_ticket);
    change(conn, &MOVED_TICKETS, rows.collect::<Result<_, _>>()?).await?;
    let rows = books.files_to_insert().map(bind_file);
    insert(conn, &FILES, rows.collect::<Result<_, _>>()?).await?;
    let rows = books.files_to_update().map(bind_moved_file);
    change(conn, &MOVED_FILES, rows.collect()).await?;
    let rows = books.events_to_insert().iter().map(bind_event);
    insert(conn, &EVENTS, rows.collect()).await?;
    outbox::queue_up(conn, books.events_to_insert()).await?;
    outbox::write(conn, books.outbox()).await?;
    // In the order of their keys, which is everybody's: two replicas never wait for each
    // other. A key that is written twice has its last value.
    let kept: BTreeMap<_, _> = books.remembered_to_insert().collect();
    let rows = kept.into_iter().map(bind_remembered);
    insert(conn, &REMEMBERED, rows.collect()).await?;
    let marks: BTreeMap<_, _> = books.marks_to_set().iter().map(|(k, v)| (k, v)).collect();
    let rows = marks.into_iter().map(|(name, value)| {
        let mut to = Binds::default();
        to.add(*name);
        to.add(value.as_str());
        to.add(now.millis());
        to
    });
    insert(conn, &MARKS, rows.collect()).await?;
    for what in books.to_forget() {
        forget(conn, what).await?;
    }
    Ok(())
}

/// How rows get into a table.
struct Table {
    name: &'static str,
    columns: &'static str,
    /// What follows the rows.
    then: &'static str,
}

const USAGE: Table = Table {
    name: "usage",
    columns: "account, open, files, reserved, stored",
    then: " ON CONFLICT (account) DO UPDATE SET open = excluded.open, files = excluded.files, \
           reserved = excluded.reserved, stored = excluded.stored",
};
const TICKETS: Table = Table {
    name: "tickets",
    columns: super::rows::TICKET,
    then: "",
};
const FILES: Table = Table {
    name: "files",
    columns: super::rows::FILE,
    then: "",
};
const EVENTS: Table = Table {
    name: "events",
    columns: "id, subject, seq, tenant, kind, body, created_at, state, tries, next_try_at",
    then: "",
};
/// A key that another replica has just taken for something else stays its own: the row is
/// not written, and so nothing of this transaction is.
const REMEMBERED: Table = Table {
    name: "idempotency",
    columns: "tenant, caller, key, body_hash, outcome, created_at",
    then: " ON CONFLICT (tenant, caller, key) DO UPDATE SET body_hash = excluded.body_hash, \
           outcome = excluded.outcome, created_at = excluded.created_at \
           WHERE idempotency.created_at <= excluded.created_at - 86400000",
};
const MARKS: Table = Table {
    name: "marks",
    columns: "name, value, updated_at",
    then: " ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
};

/// Inserts rows, many to a statement. Decisions look before they insert, so a row that is
/// there already was not seen by its decision: nothing of the transaction may stay.
async fn insert(conn: &mut Conn, table: &Table, rows: Vec<Binds>) -> Result<(), DbError> {
    let Some(width) = rows.first().map(Binds::len) else {
        return Ok(());
    };
    let Table {
        name,
        columns: names,
        then,
    } = table;
    let all = rows.len();
    let mut written = 0;
    if conn.kind() == Kind::Postgres {
        let text = format!(
            "INSERT INTO {name} ({names}) SELECT * FROM unnest({}){then}",
            holes(width)
        );
        written = conn.run_on_columns(text, rows).await?;
    } else {
        let row = format!("({}?)", "?, ".repeat(width - 1));
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut values = Binds::default();
            let chunk = rows.by_ref().take(MOST_BINDS / width);
            let count = chunk.map(|row| values.append(row)).count();
            let list = vec![row.as_str(); count].join(", ");
            let text = format!("INSERT INTO {name} ({names}) VALUES {list}{then}");
            written += conn.run(sql(text).with(values)).await?;
        }
    }
    all_or_none(name, all, written)
}

/// `$1, $2, …`
fn holes(count: usize) -> String {
    let holes: Vec<String> = (1..=count).map(|n| format!("${n}")).collect();
    holes.join(", ")
}

/// How rows of a table are changed: the columns that are set, then those that must still be
/// as given.
struct Change {
    table: &'static str,
    set: &'static [&'static str],
    when: &'static [&'static str],
}

/// The compare-and-set of a ticket: only in the state and epoch that the decision saw.
const MOVED_TICKETS: Change = Change {
    table: "tickets",
    set: &[
        "state",
        "epoch",
        "lease_until",
        "expires_at",
        "next_check_at",
        "checks",
        "closed_at",
        "cooling_until",
        "problem",
        "size",
        "exact_size",
        "part_size",
        "multipart_id",
        "promote_key",
        "promote_upload_id",
        "clean_at",
        "note",
        "attempts",
    ],
    when: &["id", "state", "epoch"],
};
const MOVED_FILES: Change = Change {
    table: "files",
    set: &[
        "ref",
        "claimed_at",
        "unclaimed_at",
        "ended_at",
        "end_reason",
        "purge_at",
        "event_seq",
    ],
    when: &["id"],
};

/// Changes rows: all of them, or nothing of the transaction may stay.
async fn change(conn: &mut Conn, how: &Change, rows: Vec<Binds>) -> Result<(), DbError> {
    if rows.is_empty() {
        return Ok(());
    }
    let all = rows.len();
    let table = how.table;
    let numbered = || how.set.iter().chain(how.when).zip(1..);
    let clause = |from: usize, to: usize, prefix: &str, hole: &str, glue: &str| {
        let terms = numbered().skip(from).take(to - from);
        let terms = terms.map(|(column, n)| format!("{prefix}{column} = {hole}{n}"));
        terms.collect::<Vec<_>>().join(glue)
    };
    let (set, total) = (how.set.len(), how.set.len() + how.when.len());
    let mut written = 0;
    if conn.kind() == Kind::Postgres {
        let names: Vec<String> = (1..=total).map(|n| format!("c{n}")).collect();
        let text = format!(
            "UPDATE {table} AS t SET {} FROM unnest({}) AS r ({}) WHERE {}",
            clause(0, set, "", "r.c", ", "),
            holes(total),
            names.join(", "),
            clause(set, total, "t.", "r.c", " AND "),
        );
        written = conn.run_on_columns(text, rows).await?;
    } else {
        let text = format!(
            "UPDATE {table} SET {} WHERE {}",
            clause(0, set, "", "$", ", "),
            clause(set, total, "", "$", " AND "),
        );
        for row in rows {
            written += conn.run(sql(text.clone()).with(row)).await?;
        }
    }
    all_or_none(table, all, written)
}

fn all_or_none(table: &str, all: usize, written: u64) -> Result<(), DbError> {
    if u64::try_from(all) == Ok(written) {
        return Ok(());
    }
    Err(DbError::Unavailable(format!(
        "{written} of {all} {table} were as the decision saw them; others moved under their lock"
    )))
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

fn bind_ticket(t: &Ticket) -> Result<Binds, DbError> {
    let mut to = Binds::default();
    to.add(t.id);
    to.add(t.tenant.as_str());
    to.add(t.slot.as_str());
    to.add(t.owner.as_str());
    to.add(t.reference.as_ref().map(Ref::as_str));
    to.add(t.state.as_str());
    to.add(t.name.as_str());
    to.add(whole(t.size));
    to.add(t.exact_size);
    to.add(t.media_type.as_deref());
    to.add(t.sha256.as_deref());
    to.add(text(&t.metadata)?);
    to.add(text(&t.policy)?);
    to.add(i64::from(t.epoch));
    to.add(text(&t.attempts)?);
    to.add(millis(t.lease_until));
    to.add(t.created_at.millis());
    to.add(t.expires_at.millis());
    to.add(millis(t.next_check_at));
    to.add(i64::from(t.checks));
    to.add(millis(t.closed_at));
    to.add(millis(t.cooling_until));
    to.add(t.problem.as_ref().map(text).transpose()?);
    to.add(t.part_size.map(whole));
    to.add(t.multipart_id.as_deref());
    to.add(t.promote_key.as_deref());
    to.add(t.promote_upload_id.as_deref());
    to.add(millis(t.clean_at));
    to.add(t.note.as_deref());
    to.add(t.dialect.as_deref());
    Ok(to)
}

fn bind_moved_ticket((t, before): (&Ticket, Before)) -> Result<Binds, DbError> {
    let mut to = Binds::default();
    to.add(t.state.as_str());
    to.add(i64::from(t.epoch));
    to.add(millis(t.lease_until));
    to.add(t.expires_at.millis());
    to.add(millis(t.next_check_at));
    to.add(i64::from(t.checks));
    to.add(millis(t.closed_at));
    to.add(millis(t.cooling_until));
    to.add(t.problem.as_ref().map(text).transpose()?);
    to.add(whole(t.size));
    to.add(t.exact_size);
    to.add(t.part_size.map(whole));
    to.add(t.multipart_id.as_deref());
    to.add(t.promote_key.as_deref());
    to.add(t.promote_upload_id.as_deref());
    to.add(millis(t.clean_at));
    to.add(t.note.as_deref());
    to.add(text(&t.attempts)?);
    to.add(t.id);
    to.add(before.state.as_str());
    to.add(i64::from(before.epoch));
    Ok(to)
}

fn bind_file(f: &File) -> Result<Binds, DbError> {
    let mut to = Binds::default();
    to.add(f.id);
    to.add(f.tenant.as_str());
    to.add(f.slot.as_str());
    to.add(f.owner.as_str());
    to.add(f.reference.as_ref().map(Ref::as_str));
    to.add(f.key.as_str());
    to.add(f.name.as_str());
    to.add(whole(f.size));
    to.add(f.media_type.as_str());
    to.add(f.etag.as_str());
    to.add(f.sha256.as_deref());
    to.add(f.width.map(i64::from));
    to.add(f.height.map(i64::from));
    to.add(text(&f.metadata)?);
    to.add(match f.disposition {
        Disposition::Attachment => "attachment",
        Disposition::Inline => "inline",
    });
    to.add(text(&f.warnings)?);
    to.add(f.committed_at.millis());
    to.add(millis(f.claimed_at));
    to.add(millis(f.unclaimed_at));
    to.add(millis(f.ended_at));
    to.add(f.end_reason.map(crate::domain::file::EndReason::as_str));
    to.add(i64::from(f.event_seq));
    to.add(millis(f.purge_at));
    Ok(to)
}

fn bind_moved_file(f: &File) -> Binds {
    let mut to = Binds::default();
    to.add(f.reference.as_ref().map(Ref::as_str));
    to.add(millis(f.claimed_at));
    to.add(millis(f.unclaimed_at));
    to.add(millis(f.ended_at));
    to.add(f.end_reason.map(crate::domain::file::EndReason::as_str));
    to.add(millis(f.purge_at));
    to.add(i64::from(f.event_seq));
    to.add(f.id);
    to
}

fn bind_event(e: &Event) -> Binds {
    let mut to = Binds::default();
    to.add(e.id);
    to.add(e.subject);
    to.add(i64::from(e.seq));
    to.add(e.tenant.as_str());
    to.add(e.kind);
    to.add(e.body.to_string());
    to.add(e.created_at.millis());
    to.add("pending");
    to.add(0_i64);
    to.add(e.created_at.millis());
    to
}

fn bind_usage((account, usage): (&Account, Usage)) -> Binds {
    let mut to = Binds::default();
    to.add(account.as_str());
    to.add(usage.open);
    to.add(usage.files);
    to.add(usage.reserved);
    to.add(usage.stored);
    to
}

fn bind_remembered((key, row): (&IdempotencyKey, &Remembered)) -> Binds {
    let mut to = Binds::default();
    to.add(key.tenant.as_str());
    to.add(key.caller.as_str());
    to.add(key.key.as_str());
    to.add(row.body_hash.as_str());
    to.add(row.outcome.to_string());
    to.add(row.created_at.millis());
    to
}

/// Rows past their time: those whose `at` is before $1.
pub(super) struct Old {
    table: &'static str,
    key: &'static str,
    at: &'static str,
    /// What else must be so.
    is: &'static str,
}

impl Old {
    #[cfg(test)]
    pub(super) const ALL: [Self; 4] = [
        Self::TICKETS,
        Self::SETTLED_EVENTS,
        Self::DUE_EVENTS,
        Self::MINTS,
    ];
    const TICKETS: Self = Self {
        table: "tickets",
        key: "id",
        at: "closed_at",
        is: "state <> 'open' AND clean_at IS NULL",
    };
    const SETTLED_EVENTS: Self = Self {
        table: "events",
        key: "id",
        at: "settled_at",
        is: "state <> 'pending'",
    };
    const DUE_EVENTS: Self = Self {
        table: "events",
        key: "id",
        at: "next_try_at",
        is: "state = 'pending'",
    };
    const MINTS: Self = Self {
        table: "idempotency",
        key: "tenant, caller, key",
        at: "created_at",
        is: "true",
    };

    /// As many of them as one transaction may take from those who wait behind it.
    pub(super) fn delete(&self, kind: Kind) -> String {
        let Self { table, key, .. } = self;
        let (found, skip) = (self.found(), skip_locked(kind));
        format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {found} LIMIT 500{skip})")
    }

    pub(super) fn any(&self) -> String {
        format!("SELECT 1 AS old FROM {} LIMIT 1", self.found())
    }

    /// In the order of an index, or PostgreSQL, which thinks that a third of all rows match,
    /// looks for the first ones in the whole table.
    fn found(&self) -> String {
        let Self { table, at, is, .. } = self;
        format!("{table} WHERE {is} AND {at} < $1 ORDER BY {at}")
    }
}

/// Which rows are forgotten by their age.
pub(super) fn old(what: &Forget) -> Option<(Old, Timestamp)> {
    match what {
        Forget::TicketsClosedBefore(before) => Some((Old::TICKETS, *before)),
        Forget::EventsSettledBefore(before) => Some((Old::SETTLED_EVENTS, *before)),
        Forget::EventsDueBefore(before) => Some((Old::DUE_EVENTS, *before)),
        Forget::MintsBefore(before) => Some((Old::MINTS, *before)),
        Forget::File(_) | Forget::EmptyUsage(..) | Forget::TurnOf(..) => None,
    }
}

/// What serves others now is forgotten another time: nobody waits here, so nobody waits in
/// a circle.
fn skip_locked(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => "",
        Kind::Postgres => " FOR UPDATE SKIP LOCKED",
    }
}

/// Accounts after $1 and up to $2 that hold nothing. The condition is on the row itself, not
/// on what was read before: one that is used again meanwhile stays.
pub(super) fn forget_empty(kind: Kind) -> String {
    format!(
        "DELETE FROM usage WHERE account IN (SELECT account FROM usage \
           WHERE account > $1 AND account <= $2 \
             AND open = 0 AND files = 0 AND reserved = 0 AND stored = 0{})",
        skip_locked(kind)
    )
}

async fn forget(conn: &mut Conn, what: &Forget) -> Result<(), DbError> {
    let kind = conn.kind();
    if let Some((old, before)) = old(what) {
        conn.run(sql(old.delete(kind)).bind(before.millis()))
            .await?;
    }
    let statement = match what {
        Forget::TicketsClosedBefore(_)
        | Forget::EventsSettledBefore(_)
        | Forget::EventsDueBefore(_)
        | Forget::MintsBefore(_) => return Ok(()),
        Forget::File(id) => {
            sql("DELETE FROM files WHERE id = $1 AND ended_at IS NOT NULL").bind(*id)
        }
        Forget::EmptyUsage(after, until) => sql(forget_empty(kind))
            .bind(after.as_str())
            .bind(until.as_str()),
        Forget::TurnOf(id, until) => sql(format!(
            "UPDATE tickets SET next_check_at = $1 \
               WHERE id IN (SELECT id FROM tickets WHERE id = $2 AND state = 'open'{})",
            skip_locked(kind)
        ))
        .bind(until.millis())
        .bind(*id),
    };
    conn.run(statement).await?;
    Ok(())
}
