//! PostgreSQL: how a connection is made and what its session is told. Settings are sent as
//! statements, not at start-up, which some session poolers refuse.

use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, PgConnection};

use super::DbError;
use super::sql::{Outdated, Pool};
use super::time::Time;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// The first release with everything that is used here.
const OLDEST: i32 = 150_000;
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How many connections read. One more writes.
const READERS: u32 = 8;
/// How long a reader may wait for a connection, and then for its answer.
const READ: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(35);
/// The audit adds up whole tables.
const LONG_ANSWER: Duration = Duration::from_hours(24);
/// How long a transaction may take before its connection is given up.
pub(super) const TRANSACTION: Duration = Duration::from_secs(20);

/// The writer finds its rows by their keys, also while the tables are too young for the
/// planner to know better; a plan that is made once is good for all. Another replica that
/// stands still in a transaction must not keep everybody's rows.
const WRITER: &str = "SET default_transaction_isolation = 'read committed'; \
     SET lock_timeout = '3s'; SET statement_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '10s'; SET plan_cache_mode = force_generic_plan; \
     SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off";
const READER: &str = "SET statement_timeout = '30s'; SET jit = off";
const READER_BESIDE: &str = "SET default_transaction_read_only = on; SET jit = off";

/// The server's clock in milliseconds.
pub(super) const CLOCK: &str = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// Reads the URL. No error repeats it, for it may hold a password.
pub(super) fn options(url: &Secret) -> Result<PgConnectOptions, DbError> {
    let wrong = |why: &dyn std::fmt::Display| DbError::Refused(format!("database.url: {why}"));
    let text = url.expose_str().ok_or_else(|| wrong(&"is not UTF-8"))?;
    let options = PgConnectOptions::from_str(text).map_err(|_| {
        wrong(
            &"is not a PostgreSQL URL: postgres://USER:PASSWORD@HOST:PORT/NAME?sslmode=verify-full",
        )
    })?;
    Ok(options
        .application_name("putgate")
        .statement_cache_capacity(200))
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, DbError> {
    match tokio::time::timeout(CONNECT, options.connect()).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(super::sql::silent(CONNECT)),
    }
}

/// A connection to write on.
pub(super) async fn writer(options: &PgConnectOptions) -> Result<PgConnection, DbError> {
    let mut connection = connect(options).await?;
    connection.execute(WRITER).await?;
    Ok(connection)
}

/// A connection to migrate or look at the schema on.
pub(super) async fn first(options: &PgConnectOptions) -> Result<PgConnection, DbError> {
    let to = || {
        let name = options.get_database().unwrap_or("the default database");
        format!("{}:{}/{name}", options.get_host(), options.get_port())
    };
    let mut connection = connect(options)
        .await
        .map_err(|why| DbError::Refused(format!("cannot open {}: {why}", to())))?;
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
        .fetch_one(&mut connection)
        .await?;
    if version < OLDEST {
        return Err(DbError::Refused(format!(
            "{} is PostgreSQL {}, this release needs {} or later",
            to(),
            version / 10_000,
            OLDEST / 10_000
        )));
    }
    Ok(connection)
}

/// Asks for the server's clock.
pub(super) async fn set_clock(time: &Time, connection: &mut PgConnection) -> Result<(), DbError> {
    // The first answer pays for the statement's preparation.
    for _ in 0..2 {
        let asked = Instant::now();
        let now: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {CLOCK}")))
            .fetch_one(&mut *connection)
            .await?;
        time.learn(asked, Timestamp::from_millis(now));
    }
    Ok(())
}

pub(super) fn readers(options: PgConnectOptions, beside: bool) -> Pool {
    let session = if beside { READER_BESIDE } else { READER };
    let outdated = Outdated::default();
    let old = outdated.clone();
    let pool = PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(READ)
        .idle_timeout(Duration::from_mins(5))
        .after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(session).await.map(|_| ()) })
        })
        .before_acquire(move |_, session| {
            let is_good = !old.has(session.age);
            Box::pin(async move { Ok(is_good) })
        })
        .connect_lazy_with(options);
    let patience = if beside { LONG_ANSWER } else { ANSWER };
    Pool::Postgres(pool, patience, outdated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_the_url_keeps_the_password() {
        for url in [
            "postgres://app:hunter2@db:port/app",
            "postgres://app:hunter2@db/app?sslmode=hunter2",
            "postgres://app:hunter2@[::/app",
        ] {
            let error = options(&Secret::new(url)).unwrap_err().to_string();
            assert!(error.starts_with("database.url:"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(
            options(&Secret::new(
                "postgres://app:hunter2@db/app?sslmode=require"
            ))
            .is_ok()
        );
    }
}
