//! The first half of a transaction: the rows that its decisions may touch. Here as SQLite's
//! one writer reads them, who needs no locks; [`postgres`] locks them.

mod postgres;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::sql::{Conn, Row, Statement, sql};
use super::time::Time;
use super::{DbError, outbox, rows};
use crate::domain::books::{
    Account, Books, DueEvents, Footprint, GivingWay, IdempotencyKey, LoadedTo, Remembered, Scope,
    Usage,
};
use crate::domain::name::{Id, Owner, Ref, Tenant};
use crate::domain::time::{Seconds, Timestamp};

/// How long an idempotency key is good for.
const REMEMBER: Seconds = Seconds(24 * 3600);

/// The rows that a batch of decisions may touch.
#[derive(Default)]
struct Wanted<'f> {
    accounts: BTreeSet<&'f Account>,
    tickets: BTreeSet<Id>,
    files: BTreeSet<Id>,
    cooling: BTreeSet<&'f (Tenant, Owner)>,
    giving_way: BTreeMap<&'f Scope, GivingWay>,
    /// With how many of the oldest files, all decisions of the batch taken together.
    retiring: BTreeMap<&'f Scope, u32>,
    remembered: BTreeSet<&'f IdempotencyKey>,
    events: BTreeSet<Id>,
    due_events: Vec<&'f DueEvents>,
}

impl<'f> Wanted<'f> {
    /// `again`: what was to be inserted may be there, after an outcome that nobody knows.
    fn of(footprints: &[&'f Footprint], again: bool) -> Self {
        let mut all = Self::default();
        for footprint in footprints {
            all.accounts.extend(&footprint.accounts);
            all.tickets.extend(&footprint.tickets);
            all.files.extend(&footprint.files);
            all.cooling.extend(&footprint.cooling);
            for more in &footprint.oldest_files {
                let at_most = all.retiring.entry(&more.scope).or_default();
                *at_most = at_most.saturating_add(more.at_most);
            }
            all.remembered.extend(&footprint.idempotency);
            all.events.extend(&footprint.events);
            all.due_events.extend(&footprint.due_events);
            if let Some(more) = &footprint.giving_way {
                all.giving_way
                    .entry(&more.scope)
                    .and_modify(|one| {
                        one.keep = one.keep.min(more.keep);
                        one.incoming += more.incoming;
                    })
                    .or_insert_with(|| more.clone());
            }
            if again {
                all.tickets.extend(&footprint.created);
            }
        }
        all
    }
}

/// Loads what the footprints name, locked against other replicas where there are any, and
/// answers the moment that the decisions take for now.
pub(super) async fn fill(
    conn: &mut Conn,
    books: &mut Books,
    footprints: &[&Footprint],
    time: &Time,
    again: bool,
) -> Result<Timestamp, DbError> {
    let wanted = Wanted::of(footprints, again);
    if let Conn::Postgres(connection) = conn {
        let now = postgres::fill(connection, books, &wanted, time).await?;
        load_due_events(conn, books, &wanted, now).await?;
        return Ok(now);
    }
    let now = time.now();
    load_holdings(conn, books, &wanted.accounts, &wanted.cooling, now).await?;
    for row in by_id(conn, "tickets", rows::TICKET, &wanted.tickets).await? {
        books.load_ticket(rows::ticket(&row)?);
    }
    for row in by_id(conn, "files", rows::FILE, &wanted.files).await? {
        books.load_file(rows::file(&row)?);
    }
    for all in wanted.giving_way.values() {
        load_giving_way(conn, books, all).await?;
    }
    for (scope, at_most) in &wanted.retiring {
        load_retiring(conn, books, scope, *at_most, now).await?;
    }
    for key in &wanted.remembered {
        load_remembered(conn, books, key, now).await?;
    }
    for row in by_id(conn, "events", rows::EVENT, &wanted.events).await? {
        books.outbox_mut().load(rows::event(&row)?);
    }
    load_due_events(conn, books, &wanted, now).await?;
    Ok(now)
}

async fn load_due_events(
    conn: &mut Conn,
    books: &mut Books,
    wanted: &Wanted<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    for due in &wanted.due_events {
        outbox::load_due(conn, books.outbox_mut(), due, now).await?;
    }
    Ok(())
}

/// What the accounts of $1 hold and, for each [tenant, owner] of $2, its place and how many
/// closed tickets still count at $3. Arrays in, arrays out: a row that crosses to SQLite's
/// thread costs more than the JSON around a hundred of them, and so does a statement.
pub(super) const HOLDINGS: &str = "SELECT \
     (SELECT json_group_array(json_array(u.account, u.open, u.files, u.reserved, u.stored)) \
        FROM json_each($1) AS k JOIN usage AS u ON u.account = k.value) AS held, \
     (SELECT json_group_array(json_array(key, n)) FROM (\
        SELECT k.key AS key, (SELECT count(*) FROM tickets AS t \
           WHERE t.tenant = k.value ->> 0 AND t.owner = k.value ->> 1 \
             AND t.cooling_until > $3) AS n \
        FROM json_each($2) AS k) WHERE n > 0) AS counted";

async fn load_holdings(
    conn: &mut Conn,
    books: &mut Books,
    accounts: &BTreeSet<&Account>,
    cooling: &BTreeSet<&(Tenant, Owner)>,
    now: Timestamp,
) -> Result<(), DbError> {
    if accounts.is_empty() && cooling.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = accounts.iter().map(|a| a.as_str()).collect();
    let statement = sql(HOLDINGS)
        .bind(json!(keys).to_string())
        .bind(json!(cooling).to_string())
        .bind(now.millis());
    let Some(row) = conn.all(statement).await?.pop() else {
        return Ok(());
    };
    let (held, counted): (&str, &str) = (row.get("held")?, row.get("counted")?);
    let wrong = |why: serde_json::Error| DbError::Inconsistent(format!("usage: {why}"));
    for account in accounts {
        books.load_usage((*account).clone(), Usage::default());
    }
    let held: Vec<(String, i64, i64, i64, i64)> = serde_json::from_str(held).map_err(wrong)?;
    for (account, open, files, reserved, stored) in held {
        let usage = Usage {
            open,
            files,
            reserved,
            stored,
        };
        books.load_usage(Account::from_row(account), usage);
    }
    let counted: Vec<(usize, i64)> = serde_json::from_str(counted).map_err(wrong)?;
    for (index, (tenant, owner)) in cooling.iter().enumerate() {
        let count = counted
            .iter()
            .find(|(at, _)| *at == index)
            .map_or(0, |(_, n)| *n);
        books.load_cooling(tenant.clone(), owner.clone(), count);
    }
    Ok(())
}

/// `IN ($1, $2, …)` for a power of two of ids, padded by repeating the last: few
/// statements to prepare, and a repetition is harmless.
pub(super) fn in_list(ids: &BTreeSet<Id>) -> (String, Vec<Id>) {
    let mut padded: Vec<Id> = ids.iter().copied().collect();
    if let Some(last) = padded.last().copied() {
        padded.resize(padded.len().next_power_of_two(), last);
    }
    let holes: Vec<String> = (1..=padded.len()).map(|n| format!("${n}")).collect();
    (holes.join(", "), padded)
}

async fn by_id(
    conn: &mut Conn,
    table: &str,
    columns: &str,
    ids: &BTreeSet<Id>,
) -> Result<Vec<Row>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (holes, ids) = in_list(ids);
    let text = format!("SELECT {columns} FROM {table} WHERE id IN ({holes})");
    let statement = ids.into_iter().fold(sql(text), Statement::bind);
    conn.all(statement).await
}

/// The oldest open tickets of a full scope.
pub(super) fn giving_way_sql() -> String {
    format!(
        "SELECT {} FROM tickets WHERE state = 'open' AND tenant = $1 AND slot = $2 AND owner = $3 \
         AND ref IS $4 ORDER BY created_at, id LIMIT $5",
        rows::TICKET
    )
}

async fn load_giving_way(
    conn: &mut Conn,
    books: &mut Books,
    all: &GivingWay,
) -> Result<(), DbError> {
    let scope = &all.scope;
    let reference = scope.reference.clone().flatten();
    let account = Account::reference(&scope.tenant, &scope.slot, &scope.owner, reference.as_ref());
    // A ticket that the same batch closes otherwise makes room too, so these suffice.
    let open = books.usage(&account).map_or(0, |usage| usage.open);
    let incoming = i64::try_from(all.incoming).unwrap_or(i64::MAX);
    let surplus = open
        .saturating_add(incoming)
        .saturating_sub(i64::from(all.keep))
        .min(open);
    if surplus <= 0 {
        return Ok(());
    }
    let statement = sql(giving_way_sql())
        .bind(scope.tenant.as_str())
        .bind(scope.slot.as_str())
        .bind(scope.owner.as_str())
        .bind(reference.as_ref().map(Ref::as_str))
        .bind(surplus);
    let found = conn.all(statement).await?;
    for row in found {
        let ticket = rows::ticket(&row)?;
        if books.ticket(ticket.id).is_none() {
            books.load_ticket(ticket);
        }
    }
    Ok(())
}

/// At most $4 live files of a scope, oldest first.
pub(super) fn retiring_sql(every_ref: bool) -> String {
    format!(
        "SELECT {} FROM files WHERE ended_at IS NULL AND tenant = $1 AND slot = $2 AND owner = $3{} \
         ORDER BY committed_at, id LIMIT $4",
        rows::FILE,
        if every_ref { "" } else { " AND ref IS $5" },
    )
}

/// How far a scope is loaded once its oldest files, at most `at_most` of them, are.
fn loaded_to(found: usize, at_most: u32, last: Option<(Timestamp, Id)>) -> LoadedTo {
    match last {
        Some((moment, id)) if found >= at_most as usize => LoadedTo::File(moment, id),
        _ => LoadedTo::End,
    }
}

/// The oldest live files of a scope, and the accounts of the refs they are counted in.
async fn load_retiring(
    conn: &mut Conn,
    books: &mut Books,
    scope: &Scope,
    at_most: u32,
    now: Timestamp,
) -> Result<(), DbError> {
    let mut statement = sql(retiring_sql(scope.reference.is_none()))
        .bind(scope.tenant.as_str())
        .bind(scope.slot.as_str())
        .bind(scope.owner.as_str())
        .bind(at_most);
    if let Some(reference) = &scope.reference {
        statement = statement.bind(reference.as_ref().map(Ref::as_str));
    }
    let found = conn.all(statement).await?;
    let count = found.len();
    let mut accounts = BTreeSet::new();
    let mut last = None;
    for row in found {
        let file = rows::file(&row)?;
        last = Some((file.committed_at, file.id));
        let account = Account::reference(
            &file.tenant,
            &file.slot,
            &file.owner,
            file.reference.as_ref(),
        );
        if books.usage(&account).is_err() {
            accounts.insert(account);
        }
        if books.file(file.id).is_none() {
            books.load_file(file);
        }
    }
    books.load_oldest_files(scope.clone(), loaded_to(count, at_most, last));
    let accounts = accounts.iter().collect();
    load_holdings(conn, books, &accounts, &BTreeSet::new(), now).await
}

async fn load_remembered(
    conn: &mut Conn,
    books: &mut Books,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<(), DbError> {
    let statement = sql("SELECT body_hash, outcome, created_at FROM idempotency \
         WHERE tenant = $1 AND caller = $2 AND key = $3 AND created_at > $4")
    .bind(key.tenant.as_str())
    .bind(key.caller.as_str())
    .bind(key.key.as_str())
    .bind(now.minus(REMEMBER).millis());
    if let Some(row) = conn.all(statement).await?.pop() {
        books.load_remembered(key.clone(), remembered(&row)?);
    }
    Ok(())
}

fn remembered(row: &Row) -> Result<Remembered, DbError> {
    Ok(Remembered {
        body_hash: row.get("body_hash")?,
        outcome: serde_json::from_str(row.get("outcome")?)
            .map_err(|why| DbError::Inconsistent(format!("idempotency.outcome {why}")))?,
        created_at: rows::moment(row, "created_at")?,
    })
}
