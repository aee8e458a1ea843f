//! Opening: connections, the lock file, migrations.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::{Db, DbError, writer};
use crate::clock::Clock;
use crate::domain::name::Id;

/// Our migrations; those of a newer release may be there too, and are judged by
/// [`check_schema`].
fn migrations() -> Migrator {
    let mut ours = sqlx::migrate!("migrations/sqlite");
    ours.set_ignore_missing(true);
    ours
}

/// How hard a commit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// fsync at every commit: survives a power cut.
    Full,
    /// fsync at checkpoints: a power cut may lose the last commits, a crash does not.
    Normal,
}

/// Where the database is and how it is used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The SQLite file.
    pub path: PathBuf,
    /// How hard a commit is written.
    pub synchronous: Synchronous,
    /// Whether to bring an older schema up to date.
    pub migrate: bool,
}

impl Db {
    /// Opens the database for serving: this process becomes its one writer.
    pub async fn open(
        settings: &Settings,
        clock: Clock,
        ids: impl Fn() -> Id + Send + Sync + 'static,
    ) -> Result<Self, DbError> {
        if !settings.migrate {
            must_exist(&settings.path)?;
        }
        let lock = lock(&settings.path)?;
        let options = options(settings);
        let mut connection = options.connect().await?;
        if settings.migrate {
            migrations()
                .run(&mut connection)
                .await
                .map_err(|e| DbError::Refused(format!("migration failed: {e}")))?;
        }
        check_schema(&mut connection, &settings.path).await?;
        connection.close().await?;
        let queue = writer::start(options.clone(), clock.clone(), Arc::new(ids), Some(lock));
        let readers = readers(options);
        Ok(Self {
            readers,
            writer: queue,
            clock,
            told: Arc::default(),
        })
    }

    /// Opens the database for reading, beside the process that serves it.
    pub async fn open_beside(settings: &Settings, clock: Clock) -> Result<Self, DbError> {
        must_exist(&settings.path)?;
        let options = options(settings).create_if_missing(false);
        let mut connection = options.connect().await.map_err(|e| {
            DbError::Refused(format!("cannot read {}: {e}", settings.path.display()))
        })?;
        check_schema(&mut connection, &settings.path).await?;
        connection.close().await?;
        Ok(Self {
            readers: readers(options),
            writer: writer::refusing(),
            clock,
            told: Arc::default(),
        })
    }

    /// Opens the database for a person's short write beside the process that serves it: every
    /// write waits for its turn and looks at the rows anew, here as there. It is for changing
    /// rows of the outbox, not for serving: the lock file keeps its meaning.
    pub async fn open_to_amend(
        settings: &Settings,
        clock: Clock,
        ids: impl Fn() -> Id + Send + Sync + 'static,
    ) -> Result<Self, DbError> {
        let beside = Self::open_beside(settings, clock.clone()).await?;
        let options = options(settings).create_if_missing(false);
        Ok(Self {
            writer: writer::start(options, clock, Arc::new(ids), None),
            ..beside
        })
    }

    /// Waits until the writer has answered everybody, then closes and gives the lock back.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}

fn options(settings: &Settings) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&settings.path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match settings.synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
        })
        .busy_timeout(Duration::from_secs(5))
        .pragma("cache_size", "-16000")
        .pragma("wal_autocheckpoint", "2000")
        .pragma("temp_store", "memory")
        .statement_cache_capacity(600)
}

fn readers(options: SqliteConnectOptions) -> sqlx::SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy_with(
            options
                .pragma("query_only", "on")
                .pragma("cache_size", "-4000")
                .statement_cache_capacity(100),
        )
}

/// Only who may migrate may create: a mistyped path must not leave an empty database there.
fn must_exist(path: &Path) -> Result<(), DbError> {
    if path.exists() {
        return Ok(());
    }
    Err(DbError::Refused(format!(
        "there is no database at {}: run `putgate setup`",
        path.display()
    )))
}

/// One process serves a SQLite file. The lock is the operating system's, so a crash frees it.
fn lock(path: &Path) -> Result<File, DbError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let refuse = |e: &dyn std::fmt::Display| {
        DbError::Refused(format!("cannot lock {}: {e}", Path::new(&name).display()))
    };
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(|e| refuse(&e))?;
    }
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|e| refuse(&e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(DbError::Refused(format!(
            "{} is served by another process; SQLite allows one, PostgreSQL any number",
            path.display()
        ))),
        Err(std::fs::TryLockError::Error(e)) => Err(refuse(&e)),
    }
}

/// A release runs on its own schema and on the next one.
async fn check_schema(connection: &mut sqlx::SqliteConnection, path: &Path) -> Result<(), DbError> {
    let wanted = migrations().iter().map(|m| m.version).max().unwrap_or(0);
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_one(&mut *connection)
            .await?;
    let found: i64 = if tables == 0 {
        0
    } else {
        sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success")
            .fetch_one(connection)
            .await?
    };
    if (wanted..=wanted + 1).contains(&found) {
        return Ok(());
    }
    Err(DbError::Refused(format!(
        "{} has schema {found}, this release runs on {wanted} and {}: {}",
        path.display(),
        wanted + 1,
        if found < wanted {
            "run `putgate setup`"
        } else {
            "it belongs to a newer release"
        },
    )))
}
