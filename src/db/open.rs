//! Opening: connections, the lock file, migrations.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::sql::{Conn, Kind, Pool, sql};
use super::time::Time;
use super::{Db, DbError, postgres, writer};
use crate::clock::Clock;
use crate::domain::name::Id;
use crate::domain::secret::Secret;

/// Our migrations; those of a newer release may be there too, and are judged by
/// [`check_schema`].
fn migrations(kind: Kind) -> Migrator {
    let mut ours = match kind {
        Kind::Sqlite => sqlx::migrate!("migrations/sqlite"),
        Kind::Postgres => sqlx::migrate!("migrations/postgres"),
    };
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

/// Where the database is.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file of this machine, for one serving process.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// How hard a commit is written.
        synchronous: Synchronous,
    },
    /// A server, for any number of replicas: `postgres://…`, by a connection of one's own or
    /// by a pooler that keeps sessions apart.
    Postgres {
        /// With its password, if it has one.
        url: Secret,
    },
}

/// Where the database is and how it is used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is.
    pub place: Place,
    /// Whether to bring an older schema up to date.
    pub migrate: bool,
}

/// How the writer gets a connection.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PgConnectOptions>),
}

impl Source {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(_) => Kind::Sqlite,
            Self::Postgres(_) => Kind::Postgres,
        }
    }

    pub(super) async fn connect(&self) -> Result<Conn, DbError> {
        Ok(match self {
            Self::Sqlite(options) => Conn::Sqlite(Box::new(options.connect().await?)),
            Self::Postgres(options) => Conn::Postgres(Box::new(postgres::writer(options).await?)),
        })
    }
}

impl Db {
    /// Opens the database for serving. On SQLite this process becomes its one writer.
    pub async fn open(
        settings: &Settings,
        clock: Clock,
        ids: impl Fn() -> Id + Send + Sync + 'static,
    ) -> Result<Self, DbError> {
        let ids = Arc::new(ids);
        match &settings.place {
            Place::Sqlite { path, synchronous } => {
                if !settings.migrate {
                    must_exist(path)?;
                }
                let lock = lock(path)?;
                let options = options(path, *synchronous);
                let mut first = Conn::Sqlite(Box::new(options.connect().await?));
                prepare(&mut first, settings.migrate, &path.display().to_string()).await?;
                first.close().await;
                let time = Time::Here(clock);
                let source = Source::Sqlite(Box::new(options.clone()));
                Ok(Self {
                    readers: readers(options),
                    writer: writer::start(source, time.clone(), ids, Some(lock)),
                    time,
                    told: Arc::default(),
                })
            }
            Place::Postgres { url } => {
                let options = postgres::options(url)?;
                let time = open_server(&options, settings.migrate, clock).await?;
                let source = Source::Postgres(Box::new(options.clone()));
                Ok(Self {
                    readers: postgres::readers(options, false),
                    writer: writer::start(source, time.clone(), ids, None),
                    time,
                    told: Arc::default(),
                })
            }
        }
    }

    /// Opens the database for reading, beside whoever serves it.
    pub async fn open_beside(settings: &Settings, clock: Clock) -> Result<Self, DbError> {
        let (readers, time) = match &settings.place {
            Place::Sqlite { path, synchronous } => {
                must_exist(path)?;
                let options = options(path, *synchronous).create_if_missing(false);
                let first = options.connect().await.map_err(|e| {
                    DbError::Refused(format!("cannot read {}: {e}", path.display()))
                })?;
                let mut first = Conn::Sqlite(Box::new(first));
                prepare(&mut first, false, &path.display().to_string()).await?;
                first.close().await;
                (readers(options), Time::Here(clock))
            }
            Place::Postgres { url } => {
                let options = postgres::options(url)?;
                let time = open_server(&options, false, clock).await?;
                (postgres::readers(options, true), time)
            }
        };
        Ok(Self {
            readers,
            writer: writer::refusing(),
            time,
            told: Arc::default(),
        })
    }

    /// Opens the database for a person's short write beside the process that serves it: every
    /// write waits for its turn and looks at the rows anew, here as there. It is for changing
    /// rows of the outbox, not for serving: SQLite's lock file keeps its meaning.
    pub async fn open_to_amend(
        settings: &Settings,
        clock: Clock,
        ids: impl Fn() -> Id + Send + Sync + 'static,
    ) -> Result<Self, DbError> {
        let beside = Self::open_beside(settings, clock).await?;
        let source = match &settings.place {
            Place::Sqlite { path, synchronous } => {
                let options = options(path, *synchronous).create_if_missing(false);
                Source::Sqlite(Box::new(options))
            }
            Place::Postgres { url } => Source::Postgres(Box::new(postgres::options(url)?)),
        };
        Ok(Self {
            writer: writer::start(source, beside.time.clone(), Arc::new(ids), None),
            ..beside
        })
    }

    /// Waits until the writer has answered everybody, then closes and gives the lock back.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}

/// Looks at a server's schema and clock. A test's clock stands for the server's.
async fn open_server(
    options: &PgConnectOptions,
    migrate: bool,
    clock: Clock,
) -> Result<Time, DbError> {
    let mut first = postgres::first(options).await?;
    let time = match clock {
        Clock::System => Time::of_server(),
        Clock::Manual(_) => Time::Here(clock),
    };
    postgres::set_clock(&time, &mut first).await?;
    let mut first = Conn::Postgres(Box::new(first));
    let name = options.get_database().unwrap_or("the database");
    prepare(&mut first, migrate, name).await?;
    first.close().await;
    Ok(time)
}

/// Brings the schema up to date, if that is wanted, and checks it. Replicas that migrate at
/// once wait for each other.
async fn prepare(conn: &mut Conn, migrate: bool, name: &str) -> Result<(), DbError> {
    if migrate {
        let ours = migrations(conn.kind());
        let migrated = match conn {
            Conn::Sqlite(connection) => ours.run(&mut **connection).await,
            Conn::Postgres(connection) => ours.run(&mut **connection).await,
        };
        migrated.map_err(|e: MigrateError| DbError::Refused(format!("migration failed: {e}")))?;
    }
    check_schema(conn, name).await
}

pub(super) fn options(path: &Path, synchronous: Synchronous) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
        })
        .busy_timeout(Duration::from_secs(5))
        .pragma("cache_size", "-16000")
        .pragma("wal_autocheckpoint", "2000")
        .pragma("temp_store", "memory")
        .statement_cache_capacity(600)
}

fn readers(options: SqliteConnectOptions) -> Pool {
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy_with(
            options
                .pragma("query_only", "on")
                .pragma("cache_size", "-4000")
                .statement_cache_capacity(100),
        );
    Pool::Sqlite(pool)
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

/// The schema that is there, 0 for none, and the one of this release.
pub(super) async fn schema(conn: &mut Conn) -> Result<(i64, i64), DbError> {
    let wanted = migrations(conn.kind()).iter().map(|m| m.version).max();
    let wanted = wanted.unwrap_or(0);
    let is_there = match conn.kind() {
        Kind::Sqlite => "SELECT 1 AS here FROM sqlite_schema WHERE name = '_sqlx_migrations'",
        Kind::Postgres => "SELECT 1 AS here WHERE to_regclass('_sqlx_migrations') IS NOT NULL",
    };
    let mut found: i64 = 0;
    if !conn.all(sql(is_there)).await?.is_empty() {
        let text =
            "SELECT coalesce(max(version), 0) AS version FROM _sqlx_migrations WHERE success";
        for row in conn.all(sql(text)).await? {
            found = row.get("version")?;
        }
    }
    Ok((found, wanted))
}

/// A release runs on its own schema and on the next one.
async fn check_schema(conn: &mut Conn, name: &str) -> Result<(), DbError> {
    let (found, wanted) = schema(conn).await?;
    if (wanted..=wanted + 1).contains(&found) {
        return Ok(());
    }
    Err(DbError::Refused(format!(
        "{name} has schema {found}, this release runs on {wanted} and {}: {}",
        wanted + 1,
        if found < wanted {
            "run `putgate setup`"
        } else {
            "it belongs to a newer release"
        },
    )))
}
