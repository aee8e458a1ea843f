//! A statement that either database runs: `$1` placeholders, plain values, rows read by the
//! names of their columns. Only where a text must differ does a module ask which one it is.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::sqlite::{SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{
    Arguments, AssertSqlSafe, Connection, Decode, Encode, PgConnection, Postgres, Row as _, Sqlite,
    SqliteConnection, Type,
};

use super::DbError;
use crate::domain::name::Id;

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite,
    Postgres,
}

/// A value on its way into a statement.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Id(Option<Id>),
    Text(Option<String>),
    Whole(Option<i64>),
    Flag(bool),
}

macro_rules! values {
    ($($from:ty => $value:ident => $made:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $made
            }
        }
    )*};
}

values! {
    Id => v => Self::Id(Some(v));
    Option<Id> => v => Self::Id(v);
    &str => v => Self::Text(Some(v.to_owned()));
    String => v => Self::Text(Some(v));
    Option<&str> => v => Self::Text(v.map(str::to_owned));
    Option<String> => v => Self::Text(v);
    i64 => v => Self::Whole(Some(v));
    u32 => v => Self::Whole(Some(v.into()));
    Option<i64> => v => Self::Whole(v);
    bool => v => Self::Flag(v);
}

/// Values in the order of their placeholders.
#[derive(Default)]
pub(super) struct Binds(Vec<Value>);

impl Binds {
    pub(super) fn add(&mut self, value: impl Into<Value>) {
        self.0.push(value.into());
    }

    pub(super) fn append(&mut self, mut more: Self) {
        self.0.append(&mut more.0);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// PostgreSQL's texts hold no NUL; what free text has of it becomes a visible character.
    fn without_nul(mut self) -> Self {
        for value in &mut self.0 {
            if let Value::Text(Some(text)) = value
                && text.contains('\0')
            {
                *text = text.replace('\0', "\u{fffd}");
            }
        }
        self
    }

    fn into_arguments<A: Arguments>(self) -> Result<A, DbError>
    where
        Option<Id>: for<'t> Encode<'t, A::Database> + Type<A::Database>,
        Option<String>: for<'t> Encode<'t, A::Database> + Type<A::Database>,
        Option<i64>: for<'t> Encode<'t, A::Database> + Type<A::Database>,
        bool: for<'t> Encode<'t, A::Database> + Type<A::Database>,
    {
        let mut arguments = A::default();
        for value in self.0 {
            match value {
                Value::Id(v) => arguments.add(v),
                Value::Text(v) => arguments.add(v),
                Value::Whole(v) => arguments.add(v),
                Value::Flag(v) => arguments.add(v),
            }
            .map_err(|why| DbError::Unavailable(why.to_string()))?;
        }
        Ok(arguments)
    }
}

/// Rows of equal width as PostgreSQL takes them: one array a column, for `unnest`.
fn columns(rows: Vec<Binds>) -> Result<PgArguments, DbError> {
    let width = rows.first().map_or(0, Binds::len);
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|row| row.without_nul().0.into_iter())
        .collect();
    let mut arguments = PgArguments::default();
    for _ in 0..width {
        let (mut ids, mut texts, mut wholes, mut flags) = (vec![], vec![], vec![], vec![]);
        for value in rows.iter_mut().filter_map(Iterator::next) {
            match value {
                Value::Id(v) => ids.push(v),
                Value::Text(v) => texts.push(v),
                Value::Whole(v) => wholes.push(v),
                Value::Flag(v) => flags.push(v),
            }
        }
        // A column's values are of one kind, so one of these has them all.
        if !ids.is_empty() {
            arguments.add(ids)
        } else if !texts.is_empty() {
            arguments.add(texts)
        } else if !wholes.is_empty() {
            arguments.add(wholes)
        } else {
            arguments.add(flags)
        }
        .map_err(|why| DbError::Unavailable(why.to_string()))?;
    }
    Ok(arguments)
}

/// A statement and its values.
pub(super) struct Statement {
    text: Cow<'static, str>,
    binds: Binds,
}

/// A statement without values yet. A text that is put together holds placeholders, never a
/// value of somebody's.
pub(super) fn sql(text: impl Into<Cow<'static, str>>) -> Statement {
    Statement {
        text: text.into(),
        binds: Binds::default(),
    }
}

impl Statement {
    /// The value of the next placeholder.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.binds.add(value);
        self
    }

    pub(super) fn with(mut self, binds: Binds) -> Self {
        self.binds.append(binds);
        self
    }
}

/// A row of either.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(super) fn get<'r, T>(&'r self, column: &str) -> Result<T, DbError>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(DbError::from)
    }
}

/// Connections for readers.
#[derive(Clone, Debug)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    /// With how long an answer may take: a network that swallows everything says nothing.
    Postgres(PgPool, Duration, Outdated),
}

/// Sessions that are to be replaced. One that was opened while its server was read-only may
/// stay so for good when the server no longer is.
#[derive(Clone, Debug, Default)]
pub(super) struct Outdated(Arc<Mutex<Option<Instant>>>);

impl Outdated {
    fn all_until_now(&self) {
        *self.last() = Some(Instant::now());
    }

    /// Whether a session of this age is one of them.
    pub(super) fn has(&self, age: Duration) -> bool {
        self.last().is_some_and(|last| last.elapsed() <= age)
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(_) => Kind::Sqlite,
            Self::Postgres(..) => Kind::Postgres,
        }
    }

    pub(super) async fn all(&self, statement: Statement) -> Result<Vec<Row>, DbError> {
        let text = AssertSqlSafe(statement.text);
        match self {
            Self::Sqlite(pool) => {
                let values = statement.binds.into_arguments::<SqliteArguments>()?;
                let found = sqlx::query_with(text, values).fetch_all(pool).await?;
                Ok(found.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(pool, patience, outdated) => {
                let values = statement
                    .binds
                    .without_nul()
                    .into_arguments::<PgArguments>()?;
                let found = async {
                    let mut session = pool.acquire().await?;
                    let found = sqlx::query_with(text, values).fetch_all(&mut *session);
                    let found = found.await.map_err(DbError::from);
                    if let Err(DbError::ReadOnly(_)) = &found {
                        outdated.all_until_now();
                        session.close_on_drop();
                    }
                    found
                };
                let found = tokio::time::timeout(*patience, found).await;
                let found = found.map_err(|_| silent(*patience))??;
                Ok(found.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    pub(super) async fn first(&self, statement: Statement) -> Result<Option<Row>, DbError> {
        Ok(self.all(statement).await?.into_iter().next())
    }

    /// How many connections are at work, and how many wait for some.
    pub(super) fn connections(&self) -> (u32, u32) {
        let (all, idle) = match self {
            Self::Sqlite(pool) => (pool.size(), pool.num_idle()),
            Self::Postgres(pool, ..) => (pool.size(), pool.num_idle()),
        };
        let idle = u32::try_from(idle).unwrap_or(all).min(all);
        (all - idle, idle)
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool, ..) => pool.close().await,
        }
    }
}

pub(super) fn silent(patience: Duration) -> DbError {
    DbError::Unavailable(format!("no answer within {} s", patience.as_secs()))
}

/// The writer's connection.
pub(super) enum Conn {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

impl Conn {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(_) => Kind::Sqlite,
            Self::Postgres(_) => Kind::Postgres,
        }
    }

    /// Runs a statement; answers how many rows it wrote.
    pub(super) async fn run(&mut self, statement: Statement) -> Result<u64, DbError> {
        let text = AssertSqlSafe(statement.text);
        Ok(match self {
            Self::Sqlite(connection) => {
                let values = statement.binds.into_arguments::<SqliteArguments>()?;
                let done = sqlx::query_with(text, values).execute(&mut **connection);
                done.await?.rows_affected()
            }
            Self::Postgres(connection) => {
                let values = statement
                    .binds
                    .without_nul()
                    .into_arguments::<PgArguments>()?;
                let done = sqlx::query_with(text, values).execute(&mut **connection);
                done.await?.rows_affected()
            }
        })
    }

    /// Runs a PostgreSQL statement whose placeholders stand for the columns of `rows`, each
    /// an array; answers how many rows it wrote.
    pub(super) async fn run_on_columns(
        &mut self,
        text: String,
        rows: Vec<Binds>,
    ) -> Result<u64, DbError> {
        let Self::Postgres(connection) = self else {
            return Err(DbError::Refused("SQLite has no arrays".into()));
        };
        let done = sqlx::query_with(AssertSqlSafe(text), columns(rows)?);
        Ok(done.execute(&mut **connection).await?.rows_affected())
    }

    pub(super) async fn all(&mut self, statement: Statement) -> Result<Vec<Row>, DbError> {
        let text = AssertSqlSafe(statement.text);
        Ok(match self {
            Self::Sqlite(connection) => {
                let values = statement.binds.into_arguments::<SqliteArguments>()?;
                let found = sqlx::query_with(text, values).fetch_all(&mut **connection);
                found.await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(connection) => {
                let values = statement
                    .binds
                    .without_nul()
                    .into_arguments::<PgArguments>()?;
                let found = sqlx::query_with(text, values).fetch_all(&mut **connection);
                found.await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    pub(super) async fn close(self) {
        let closed = async {
            match self {
                Self::Sqlite(connection) => connection.close().await,
                Self::Postgres(connection) => connection.close().await,
            }
        };
        // Whether it was closed or cut off makes no difference to what is committed.
        let _ = tokio::time::timeout(Duration::from_secs(5), closed).await;
    }
}
