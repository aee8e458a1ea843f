//! The first half of a transaction: the rows that its decisions may touch.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{DbError, outbox, rows};
use crate::domain::books::{
    Account, Books, Footprint, GivingWay, IdempotencyKey, Remembered, Scope, Usage,
};
use crate::domain::name::{Id, Owner, Ref, Tenant};
use crate::domain::time::{Seconds, Timestamp};

/// How long an idempotency key is good for.
const REMEMBER: Seconds = Seconds(24 * 3600);

pub(super) async fn fill(
    connection: &mut SqliteConnection,
    books: &mut Books,
    footprints: &[&Footprint],
    now: Timestamp,
    again: bool,
) -> Result<(), DbError> {
    let mut accounts: BTreeSet<&Account> = BTreeSet::new();
    let mut tickets: BTreeSet<Id> = BTreeSet::new();
    let mut files: BTreeSet<Id> = BTreeSet::new();
    let mut cooling = BTreeSet::new();
    let mut giving_way: BTreeMap<&Scope, GivingWay> = BTreeMap::new();
    let mut retiring: BTreeSet<&Scope> = BTreeSet::new();
    let mut remembered: BTreeSet<&IdempotencyKey> = BTreeSet::new();
    let mut events: BTreeSet<Id> = BTreeSet::new();
    for footprint in footprints {
        accounts.extend(&footprint.accounts);
        tickets.extend(&footprint.tickets);
        files.extend(&footprint.files);
        cooling.extend(&footprint.cooling);
        retiring.extend(&footprint.oldest_files);
        remembered.extend(&footprint.idempotency);
        events.extend(&footprint.events);
        if let Some(more) = &footprint.giving_way {
            giving_way
                .entry(&more.scope)
                .and_modify(|all| {
                    all.keep = all.keep.min(more.keep);
                    all.incoming += more.incoming;
                })
                .or_insert_with(|| more.clone());
        }
        if again {
            tickets.extend(&footprint.created);
        }
    }
    load_holdings(connection, books, &accounts, &cooling, now).await?;
    load_tickets(connection, books, &tickets).await?;
    load_files(connection, books, &files).await?;
    for all in giving_way.values() {
        load_giving_way(connection, books, all).await?;
    }
    for scope in retiring {
        load_retiring(connection, books, scope, now).await?;
    }
    for key in remembered {
        load_remembered(connection, books, key, now).await?;
    }
    for row in by_id(connection, "events", rows::EVENT, &events).await? {
        books.outbox_mut().load(rows::event(&row)?);
    }
    for due in footprints.iter().filter_map(|f| f.due_events.as_ref()) {
        outbox::load_due(connection, books.outbox_mut(), due, now).await?;
    }
    Ok(())
}

/// What the accounts of $1 hold and, for each [tenant, owner] of $2, its place and how many
/// closed tickets still count at $3. Arrays in, arrays out: a row that crosses to SQLite's
/// thread costs more than the JSON around a hundred of them, and so does a statement.
pub(super) const HOLDINGS: &str = "SELECT \
     (SELECT json_group_array(json_array(u.account, u.open, u.files, u.reserved, u.stored)) \
        FROM json_each($1) AS k JOIN usage AS u ON u.account = k.value), \
     (SELECT json_group_array(json_array(key, n)) FROM (\
        SELECT k.key AS key, (SELECT count(*) FROM tickets AS t \
           WHERE t.tenant = k.value ->> 0 AND t.owner = k.value ->> 1 \
             AND t.cooling_until > $3) AS n \
        FROM json_each($2) AS k) WHERE n > 0)";

async fn load_holdings(
    connection: &mut SqliteConnection,
    books: &mut Books,
    accounts: &BTreeSet<&Account>,
    cooling: &BTreeSet<&(Tenant, Owner)>,
    now: Timestamp,
) -> Result<(), DbError> {
    if accounts.is_empty() && cooling.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = accounts.iter().map(|a| a.as_str()).collect();
    let (held, counted): (String, String) = sqlx::query_as(HOLDINGS)
        .bind(json!(keys).to_string())
        .bind(json!(cooling).to_string())
        .bind(now.millis())
        .fetch_one(connection)
        .await?;
    let wrong = |why: serde_json::Error| DbError::Inconsistent(format!("usage: {why}"));
    for account in accounts {
        books.load_usage((*account).clone(), Usage::default());
    }
    let held: Vec<(String, i64, i64, i64, i64)> = serde_json::from_str(&held).map_err(wrong)?;
    for (account, open, files, reserved, stored) in held {
        let usage = Usage {
            open,
            files,
            reserved,
            stored,
        };
        books.load_usage(Account::from_row(account), usage);
    }
    let counted: Vec<(usize, i64)> = serde_json::from_str(&counted).map_err(wrong)?;
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
fn in_list(ids: &BTreeSet<Id>) -> (String, Vec<Id>) {
    let mut padded: Vec<Id> = ids.iter().copied().collect();
    if let Some(last) = padded.last().copied() {
        padded.resize(padded.len().next_power_of_two(), last);
    }
    let holes: Vec<String> = (1..=padded.len()).map(|n| format!("${n}")).collect();
    (holes.join(", "), padded)
}

async fn load_tickets(
    connection: &mut SqliteConnection,
    books: &mut Books,
    ids: &BTreeSet<Id>,
) -> Result<(), DbError> {
    for row in by_id(connection, "tickets", rows::TICKET, ids).await? {
        books.load_ticket(rows::ticket(&row)?);
    }
    Ok(())
}

async fn load_files(
    connection: &mut SqliteConnection,
    books: &mut Books,
    ids: &BTreeSet<Id>,
) -> Result<(), DbError> {
    for row in by_id(connection, "files", rows::FILE, ids).await? {
        books.load_file(rows::file(&row)?);
    }
    Ok(())
}

async fn by_id(
    connection: &mut SqliteConnection,
    table: &str,
    columns: &str,
    ids: &BTreeSet<Id>,
) -> Result<Vec<SqliteRow>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (holes, ids) = in_list(ids);
    let sql = format!("SELECT {columns} FROM {table} WHERE id IN ({holes})");
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for id in ids {
        query = query.bind(id);
    }
    Ok(query.fetch_all(connection).await?)
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
    connection: &mut SqliteConnection,
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
    let found = sqlx::query(AssertSqlSafe(giving_way_sql()))
        .bind(scope.tenant.as_str())
        .bind(scope.slot.as_str())
        .bind(scope.owner.as_str())
        .bind(reference.as_ref().map(Ref::as_str))
        .bind(surplus)
        .fetch_all(connection)
        .await?;
    for row in found {
        let ticket = rows::ticket(&row)?;
        if books.ticket(ticket.id).is_none() {
            books.load_ticket(ticket);
        }
    }
    Ok(())
}

/// The live files of a scope, oldest first.
pub(super) fn retiring_sql(every_ref: bool) -> String {
    format!(
        "SELECT {} FROM files WHERE ended_at IS NULL AND tenant = $1 AND slot = $2 AND owner = $3{} \
         ORDER BY committed_at, id LIMIT 10000",
        rows::FILE,
        if every_ref { "" } else { " AND ref IS $4" },
    )
}

/// The live files of a scope, and the accounts of the refs they are counted in.
async fn load_retiring(
    connection: &mut SqliteConnection,
    books: &mut Books,
    scope: &Scope,
    now: Timestamp,
) -> Result<(), DbError> {
    let sql = retiring_sql(scope.reference.is_none());
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(scope.tenant.as_str())
        .bind(scope.slot.as_str())
        .bind(scope.owner.as_str());
    if let Some(reference) = &scope.reference {
        query = query.bind(reference.as_ref().map(Ref::as_str));
    }
    let found = query.fetch_all(&mut *connection).await?;
    let mut accounts = BTreeSet::new();
    for row in found {
        let file = rows::file(&row)?;
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
    load_holdings(
        connection,
        books,
        &accounts.iter().collect(),
        &BTreeSet::new(),
        now,
    )
    .await
}

async fn load_remembered(
    connection: &mut SqliteConnection,
    books: &mut Books,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<(), DbError> {
    let row: Option<(String, String, i64)> = sqlx::query_as(
        "SELECT body_hash, outcome, created_at FROM idempotency \
         WHERE tenant = $1 AND caller = $2 AND key = $3 AND created_at > $4",
    )
    .bind(key.tenant.as_str())
    .bind(key.caller.as_str())
    .bind(&key.key)
    .bind(now.minus(REMEMBER).millis())
    .fetch_optional(connection)
    .await?;
    if let Some((body_hash, outcome, created_at)) = row {
        let outcome: Value = serde_json::from_str(&outcome)
            .map_err(|why| DbError::Inconsistent(format!("idempotency.outcome {why}")))?;
        let created_at = Timestamp::from_millis(created_at);
        books.load_remembered(
            key.clone(),
            Remembered {
                body_hash,
                outcome,
                created_at,
            },
        );
    }
    Ok(())
}
