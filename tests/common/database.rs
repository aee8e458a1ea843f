//! The database of a test: a SQLite file in its directory, or, where `PUTGATE_TEST_DATABASE`
//! is the URL of a PostgreSQL superuser, a database of its own on that server, dropped with
//! the test.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use putgate::db::{Place, Synchronous};
use putgate::domain::name::Id;
use putgate::domain::secret::Secret;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, SqliteConnection};

static NEXT: AtomicU32 = AtomicU32::new(1);

#[derive(Debug)]
pub enum TestDatabase {
    Sqlite(PathBuf),
    Postgres {
        server: Box<PgConnectOptions>,
        name: String,
    },
}

/// The server that the tests run on, if it is not SQLite.
fn server() -> Option<PgConnectOptions> {
    #[expect(clippy::disallowed_methods, reason = "a test's own variable")]
    let url = std::env::var("PUTGATE_TEST_DATABASE").ok()?;
    Some(url.parse().unwrap())
}

/// Runs where there is no runtime, or one that must not be blocked.
fn wait_for<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let apart = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(work)
        });
        apart.join().unwrap()
    })
}

impl TestDatabase {
    /// A database of one's own; a SQLite file is not there until it is opened.
    pub fn make(dir: &Path) -> Self {
        let Some(server) = server() else {
            return Self::Sqlite(dir.join("putgate.db"));
        };
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("putgate_test_{}_{n}", std::process::id());
        let server = Box::new(server);
        let made = Self::Postgres { server, name };
        made.on_server(|name| format!("CREATE DATABASE {name}"));
        made
    }

    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres { .. })
    }

    /// A statement about this database, from beside it.
    pub fn on_server(&self, sql: impl Fn(&str) -> String) {
        if let Self::Postgres { server, name } = self {
            let text = sql(name);
            wait_for(async {
                let mut connection = server.connect().await.unwrap();
                sqlx::query(AssertSqlSafe(text))
                    .execute(&mut connection)
                    .await
                    .unwrap();
            });
        }
    }

    /// The URL, as a configuration has it.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres { server, name } => {
                let at = format!("{}:{}", server.get_host(), server.get_port());
                let host = server.get_socket().map(|dir| dir.display().to_string());
                match host {
                    None => format!("postgres://{}@{at}/{name}", server.get_username()),
                    Some(dir) => format!(
                        "postgres://{}@localhost:{}/{name}?host={dir}",
                        server.get_username(),
                        server.get_port()
                    ),
                }
            }
        }
    }

    pub fn place(&self, synchronous: Synchronous) -> Place {
        match self {
            Self::Sqlite(path) => Place::Sqlite {
                path: path.clone(),
                synchronous,
            },
            Self::Postgres { .. } => Place::Postgres {
                url: Secret::new(self.url()),
            },
        }
    }

    /// An id as a statement spells it.
    pub fn id(&self, id: Id) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{}'", id.simple()),
            Self::Postgres { .. } => format!("'{id}'::uuid"),
        }
    }

    /// Everything it keeps: the bytes of SQLite's files, or PostgreSQL's rows as text.
    pub async fn dump(&self) -> Vec<u8> {
        let mut kept = Vec::new();
        if let Self::Sqlite(path) = self {
            for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    kept.extend(std::fs::read(path).unwrap());
                }
            }
            return kept;
        }
        let mut hand = self.hand().await;
        let tables = "SELECT relname::text FROM pg_stat_user_tables";
        for table in hand.lines(tables).await {
            let all = format!("SELECT t::text FROM {table} AS t");
            kept.extend(hand.lines(&all).await.concat().into_bytes());
        }
        kept
    }

    /// Somebody else's hand in it.
    pub async fn hand(&self) -> Hand {
        match self {
            Self::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                Hand::Sqlite(options.connect().await.unwrap())
            }
            Self::Postgres { server, name } => {
                let options = PgConnectOptions::clone(server).database(name);
                Hand::Postgres(options.connect().await.unwrap())
            }
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.on_server(|name| format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

#[derive(Debug)]
pub enum Hand {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Hand {
    /// Runs a statement; answers how many rows it wrote, or what is wrong.
    pub async fn run(&mut self, sql: impl Into<String>) -> Result<u64, String> {
        let text = AssertSqlSafe(sql.into());
        match self {
            Self::Sqlite(hand) => sqlx::query(text)
                .execute(hand)
                .await
                .map(|done| done.rows_affected()),
            Self::Postgres(hand) => sqlx::query(text)
                .execute(hand)
                .await
                .map(|done| done.rows_affected()),
        }
        .map_err(|error| error.to_string())
    }

    /// The lines that a query of one text column answers; `hex(id)` spells an id.
    pub async fn lines(&mut self, sql: &str) -> Vec<String> {
        match self {
            Self::Sqlite(hand) => {
                let text = AssertSqlSafe(sql.to_owned());
                sqlx::query_scalar(text).fetch_all(hand).await
            }
            Self::Postgres(hand) => {
                let text = AssertSqlSafe(sql.replace("hex(id)", "id::text"));
                sqlx::query_scalar(text).fetch_all(hand).await
            }
        }
        .unwrap()
    }
}
