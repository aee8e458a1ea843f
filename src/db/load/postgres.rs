//! The same on PostgreSQL, where other replicas write too. Everything that a decision reads
//! is true until the commit, by this order of locks, the same in every transaction:
//!
//! 1. usage rows, made to exist, in the order of their keys. Who holds an owner's account
//!    keeps everybody else from opening, closing or ending anything of that owner there;
//! 2. tickets by id, with those that may have to give way;
//! 3. files by id, with those that may have to be retired;
//! 4. events by id;
//! 5. and then, without a lock of its own, what the first keep still; the clock last, so
//!    that nobody decides by a moment from before somebody else's commit.
//!
//! READ COMMITTED: each statement sees what was committed when it began, and a locked row
//! is read as it is once the lock is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row as _};

use super::{REMEMBER, Wanted, loaded_to, remembered};
use crate::db::sql::Row;
use crate::db::time::Time;
use crate::db::{DbError, postgres, rows};
use crate::domain::books::{Account, Books, LoadedTo, Scope};
use crate::domain::name::{Id, Owner, Ref, SlotName, Tenant};
use crate::domain::time::Timestamp;

pub(super) async fn fill(
    connection: &mut PgConnection,
    books: &mut Books,
    wanted: &Wanted<'_>,
    time: &Time,
) -> Result<Timestamp, DbError> {
    let mut accounts: BTreeSet<Account> = wanted.accounts.iter().copied().cloned().collect();
    // Files of any ref may have to go: their accounts are locked in order with all others,
    // so they are looked for before, and once more after.
    let mut every_ref = wanted.retiring.clone();
    every_ref.retain(|scope, _| scope.reference.is_none());
    let before = live_files(connection, &every_ref).await?;
    accounts.extend(before.into_iter().map(|file| file.account));
    lock_accounts(connection, &accounts).await?;

    let mut tickets = wanted.tickets.clone();
    tickets.extend(giving_way(connection, wanted).await?);
    for row in lock_rows(connection, "tickets", rows::TICKET, &tickets).await? {
        books.load_ticket(rows::ticket(&row)?);
    }
    let mut files = wanted.files.clone();
    let retiring = live_files(connection, &wanted.retiring).await?;
    for (place, (scope, at_most)) in wanted.retiring.iter().enumerate() {
        let of_scope = || retiring.iter().filter(|file| file.place == place);
        // What another replica has claimed or retired between the two looks may have brought up
        // a file of an account that is not locked: from there on it is as if it was not read.
        let is_locked = |file: &&Live| accounts.contains(&file.account);
        let known: Vec<&Live> = of_scope().take_while(is_locked).collect();
        let last = known.last().map(|file| (file.committed_at, file.id));
        let found = of_scope().count();
        books.load_oldest_files(
            (*scope).clone(),
            if known.len() < found {
                let (moment, id) = last.unwrap_or_default();
                LoadedTo::File(moment, id)
            } else {
                loaded_to(found, *at_most, last)
            },
        );
        files.extend(known.iter().map(|file| file.id));
    }
    for row in lock_rows(connection, "files", rows::FILE, &files).await? {
        books.load_file(rows::file(&row)?);
    }
    for row in lock_rows(connection, "events", rows::EVENT, &wanted.events).await? {
        books.outbox_mut().load(rows::event(&row)?);
    }
    read(connection, books, wanted, &accounts, time).await
}

/// The arrays of a statement, each with an entry for every row.
type Arrays = Query<'static, Postgres, PgArguments>;

fn arrays(text: &'static str) -> Arrays {
    sqlx::query(text)
}

/// Locks the usage rows of $1 in the order of their keys; those that are not there are made.
/// The update that never happens locks what is there, in the same pass and order.
pub(in crate::db) const LOCK_ACCOUNTS: &str = "INSERT INTO usage (account, open, files, reserved, stored) \
     SELECT account, 0, 0, 0, 0 FROM unnest($1::text[]) AS k (account) ORDER BY account \
     ON CONFLICT (account) DO UPDATE SET open = usage.open WHERE false";

async fn lock_accounts(
    connection: &mut PgConnection,
    accounts: &BTreeSet<Account>,
) -> Result<(), DbError> {
    if accounts.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = accounts.iter().map(Account::as_str).collect();
    arrays(LOCK_ACCOUNTS).bind(keys).execute(connection).await?;
    Ok(())
}

pub(in crate::db) fn lock_rows_sql(table: &str, columns: &str) -> String {
    format!("SELECT {columns} FROM {table} WHERE id = ANY($1) ORDER BY id FOR UPDATE")
}

async fn lock_rows(
    connection: &mut PgConnection,
    table: &str,
    columns: &str,
    ids: &BTreeSet<Id>,
) -> Result<Vec<Row>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Id> = ids.iter().copied().collect();
    let found = sqlx::query(AssertSqlSafe(lock_rows_sql(table, columns)))
        .bind(ids)
        .fetch_all(connection)
        .await?;
    Ok(found.into_iter().map(Row::Postgres).collect())
}

/// The oldest open tickets of full scopes. The null ref is a branch of its own, for an index
/// is searched by `=` and `IS NULL` only.
pub(in crate::db) const GIVING_WAY: &str = "SELECT t.id \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[]) \
       AS s (tenant, slot, owner, ref, account, keep, incoming) \
     JOIN usage AS u ON u.account = s.account \
     CROSS JOIN LATERAL (\
       (SELECT id FROM tickets WHERE state = 'open' AND tenant = s.tenant AND slot = s.slot \
           AND owner = s.owner AND ref = s.ref ORDER BY created_at, id \
           LIMIT greatest(0, least(u.open, u.open + s.incoming - s.keep))) \
       UNION ALL \
       (SELECT id FROM tickets WHERE state = 'open' AND tenant = s.tenant AND slot = s.slot \
           AND owner = s.owner AND ref IS NULL AND s.ref IS NULL ORDER BY created_at, id \
           LIMIT greatest(0, least(u.open, u.open + s.incoming - s.keep)))) AS t";

async fn giving_way(
    connection: &mut PgConnection,
    wanted: &Wanted<'_>,
) -> Result<Vec<Id>, DbError> {
    if wanted.giving_way.is_empty() {
        return Ok(Vec::new());
    }
    let all = || wanted.giving_way.values();
    let scopes = Scopes::of(all().map(|one| &one.scope));
    let accounts: Vec<String> = all().map(|one| scope_account(&one.scope)).collect();
    let keep: Vec<i64> = all().map(|one| one.keep.into()).collect();
    let incoming = all().map(|one| i64::try_from(one.incoming).unwrap_or(i64::MAX));
    let incoming: Vec<i64> = incoming.map(|n| n.min(1 << 32)).collect();
    let found = scopes
        .bind_to(arrays(GIVING_WAY))
        .bind(accounts)
        .bind(keep)
        .bind(incoming)
        .fetch_all(connection)
        .await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn scope_account(scope: &Scope) -> String {
    let r = scope.reference.as_ref().and_then(Option::as_ref);
    Account::reference(&scope.tenant, &scope.slot, &scope.owner, r)
        .as_str()
        .to_owned()
}

/// Scopes as arrays: tenant, slot, owner, ref.
struct Scopes<'s> {
    tenants: Vec<&'s str>,
    slots: Vec<&'s str>,
    owners: Vec<&'s str>,
    refs: Vec<Option<&'s str>>,
}

impl<'s> Scopes<'s> {
    fn of(scopes: impl Iterator<Item = &'s Scope>) -> Self {
        let mut all = Self {
            tenants: Vec::new(),
            slots: Vec::new(),
            owners: Vec::new(),
            refs: Vec::new(),
        };
        for scope in scopes {
            let reference = scope.reference.as_ref().and_then(Option::as_ref);
            all.tenants.push(scope.tenant.as_str());
            all.slots.push(scope.slot.as_str());
            all.owners.push(scope.owner.as_str());
            all.refs.push(reference.map(Ref::as_str));
        }
        all
    }

    fn bind_to(self, query: Arrays) -> Arrays {
        query
            .bind(self.tenants)
            .bind(self.slots)
            .bind(self.owners)
            .bind(self.refs)
    }
}

/// The live files of scopes, $6 of each, oldest first; a scope with $5 has every ref.
pub(in crate::db) const LIVE_FILES: &str = "SELECT s.tenant, s.slot, s.owner, f.id, f.ref, \
       f.committed_at, s.place \
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bigint[]) \
       WITH ORDINALITY AS s (tenant, slot, owner, ref, every_ref, at_most, place) \
     CROSS JOIN LATERAL (\
       (SELECT id, ref, committed_at FROM files WHERE ended_at IS NULL AND tenant = s.tenant \
           AND slot = s.slot AND owner = s.owner AND ref = s.ref \
           ORDER BY committed_at, id LIMIT s.at_most) \
       UNION ALL \
       (SELECT id, ref, committed_at FROM files WHERE ended_at IS NULL AND tenant = s.tenant \
           AND slot = s.slot AND owner = s.owner AND ref IS NULL AND s.ref IS NULL \
           AND NOT s.every_ref ORDER BY committed_at, id LIMIT s.at_most) \
       UNION ALL \
       (SELECT id, ref, committed_at FROM files WHERE ended_at IS NULL AND tenant = s.tenant \
           AND slot = s.slot AND owner = s.owner AND s.every_ref \
           ORDER BY committed_at, id LIMIT s.at_most)) AS f";

/// A live file that may have to give way.
struct Live {
    id: Id,
    /// What counts it.
    account: Account,
    committed_at: Timestamp,
    /// Which of the scopes it was found in.
    place: usize,
}

/// Those of each scope, at most so many, oldest first.
async fn live_files(
    connection: &mut PgConnection,
    scopes: &BTreeMap<&Scope, u32>,
) -> Result<Vec<Live>, DbError> {
    if scopes.is_empty() {
        return Ok(Vec::new());
    }
    let every_ref: Vec<bool> = scopes.keys().map(|s| s.reference.is_none()).collect();
    let at_most: Vec<i64> = scopes.values().map(|n| i64::from(*n)).collect();
    let found = Scopes::of(scopes.keys().copied())
        .bind_to(arrays(LIVE_FILES))
        .bind(every_ref)
        .bind(at_most)
        .fetch_all(connection)
        .await?;
    let mut files: Vec<Live> = found.iter().map(live_file).collect::<Result<_, _>>()?;
    files.sort_unstable_by_key(|file| (file.place, file.committed_at, file.id));
    Ok(files)
}

fn live_file(row: &PgRow) -> Result<Live, DbError> {
    let wrong =
        |why: crate::domain::name::NameError| DbError::Inconsistent(format!("files: {why}"));
    let tenant = Tenant::parse(row.try_get::<String, _>(0)?).map_err(wrong)?;
    let slot = SlotName::parse(row.try_get::<String, _>(1)?).map_err(wrong)?;
    let owner = Owner::parse(row.try_get::<String, _>(2)?).map_err(wrong)?;
    let reference = row.try_get::<Option<String>, _>(4)?;
    let reference = reference.map(Ref::parse).transpose().map_err(wrong)?;
    Ok(Live {
        id: row.try_get(3)?,
        account: Account::reference(&tenant, &slot, &owner, reference.as_ref()),
        committed_at: Timestamp::from_millis(row.try_get(5)?),
        place: usize::try_from(row.try_get::<i64, _>(6)? - 1).unwrap_or(usize::MAX),
    })
}

/// What is read in one round trip once all locks are there: the clock; what the accounts of
/// $1 hold; for each (tenant, owner) of $2 and $3 how many closed tickets still count; the
/// mints of a day that (tenant, caller, key) of $4, $5 and $6 name; $7 stands for the clock
/// in tests. `n` is the place in the arrays, `at` says which of these a row is.
pub(in crate::db) fn reading_sql() -> String {
    format!(
        "WITH clock AS MATERIALIZED (SELECT coalesce($7::bigint, {}) AS now) \
         SELECT 0 AS at, now AS n, NULL::text AS account, 0::bigint AS open, 0::bigint AS files, \
                0::bigint AS reserved, 0::bigint AS stored, NULL::text AS body_hash, \
                NULL::text AS outcome, 0::bigint AS created_at FROM clock \
         UNION ALL SELECT 1, 0, u.account, u.open, u.files, u.reserved, u.stored, NULL, NULL, 0 \
           FROM unnest($1::text[]) AS k (account) JOIN usage AS u ON u.account = k.account \
         UNION ALL SELECT 2, o.n, NULL, \
                (SELECT count(*) FROM tickets AS t WHERE t.tenant = o.tenant AND t.owner = o.owner \
                   AND t.cooling_until > (SELECT now FROM clock)), 0, 0, 0, NULL, NULL, 0 \
           FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS o (tenant, owner, n) \
         UNION ALL SELECT 3, m.n, NULL, 0, 0, 0, 0, i.body_hash, i.outcome, i.created_at \
           FROM unnest($4::text[], $5::text[], $6::text[]) WITH ORDINALITY AS m (tenant, caller, key, n) \
           JOIN idempotency AS i ON i.tenant = m.tenant AND i.caller = m.caller AND i.key = m.key \
          WHERE i.created_at > (SELECT now FROM clock) - {}",
        postgres::CLOCK,
        REMEMBER.millis(),
    )
}

async fn read(
    connection: &mut PgConnection,
    books: &mut Books,
    wanted: &Wanted<'_>,
    accounts: &BTreeSet<Account>,
    time: &Time,
) -> Result<Timestamp, DbError> {
    let keys: Vec<&str> = accounts.iter().map(Account::as_str).collect();
    let (tenants, owners): (Vec<&str>, Vec<&str>) = (wanted.cooling.iter())
        .map(|(tenant, owner)| (tenant.as_str(), owner.as_str()))
        .unzip();
    let mints = || wanted.remembered.iter();
    let asked = Instant::now();
    let found = sqlx::query(AssertSqlSafe(reading_sql()))
        .bind(keys)
        .bind(tenants)
        .bind(owners)
        .bind(mints().map(|m| m.tenant.as_str()).collect::<Vec<_>>())
        .bind(mints().map(|m| m.caller.as_str()).collect::<Vec<_>>())
        .bind(mints().map(|m| m.key.as_str()).collect::<Vec<_>>())
        .bind(time.given())
        .fetch_all(connection)
        .await?;
    let mut now = None;
    let mut held = 0;
    for row in found {
        let at: i32 = row.try_get("at")?;
        let n: i64 = row.try_get("n")?;
        let place = usize::try_from(n - 1).unwrap_or(usize::MAX);
        let row = Row::Postgres(row);
        match at {
            0 => {
                let moment = Timestamp::from_millis(n);
                time.learn(asked, moment);
                now = Some(moment);
            }
            1 => {
                held += 1;
                books.load_usage(Account::from_row(row.get("account")?), rows::usage(&row)?);
            }
            2 => {
                if let Some((tenant, owner)) = wanted.cooling.iter().nth(place) {
                    books.load_cooling(tenant.clone(), owner.clone(), row.get("open")?);
                }
            }
            _ => {
                if let Some(key) = mints().nth(place) {
                    books.load_remembered((*key).clone(), remembered(&row)?);
                }
            }
        }
    }
    if held != accounts.len() {
        return Err(DbError::Unavailable(
            "a usage row went under its lock".into(),
        ));
    }
    now.ok_or_else(|| DbError::Inconsistent("the server told no time".into()))
}
