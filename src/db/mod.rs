//! The only SQL. One concrete [`Db`] over SQLite or PostgreSQL; every write that a request
//! waits for goes through the group commit of `writer`.
//!
//! | file | holds |
//! |---|---|
//! | `open` | connections, the lock file, migrations |
//! | `postgres` | what a session on PostgreSQL is told |
//! | `sql` | a statement, a row and a connection of either database |
//! | `time` | the database's clock |
//! | `standing` | whether it takes writes |
//! | `writer` | the queue and its one writer: many decisions, one transaction |
//! | `load`, `save` | the books of a transaction: rows in, changes out; `load::postgres` locks |
//! | `read` | what requests and lists read |
//! | `work` | what the worker polls |
//! | `examine` | what `putgate doctor` asks |
//! | `audit` | the laws, added up again |
//! | `backlog` | what waits, for the metrics |
//! | `outbox` | events on their way |
//! | `rows` | rows to nouns and back, strictly |

mod audit;
mod backlog;
mod examine;
mod load;
mod open;
mod outbox;
#[cfg(test)]
mod plans;
mod postgres;
mod read;
mod rows;
mod save;
mod sql;
mod standing;
mod time;
mod work;
mod writer;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::domain::books::{Books, Footprint};
use crate::domain::ledger::{self, Commit, Committed};
use crate::domain::problem::{Code, Problem};
use crate::domain::time::Timestamp;

pub use audit::{Counted, FileKey, Held};
pub use examine::{Examined, examine};
pub use open::{Place, Settings, Synchronous};
pub use read::{FileFilter, Page, TicketFilter};

/// The database, for as many holders as like.
#[derive(Clone, Debug)]
pub struct Db {
    readers: sql::Pool,
    writer: writer::Queue,
    time: time::Time,
    told: Arc<Notify>,
}

/// Why the database did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// It cannot be reached, is full or overloaded.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Somebody else's lock, or theirs and ours together, stood in the way for too long.
    #[error("others write there: {0}")]
    Contended(String),
    /// It can be read, and nobody's write would fare better than this one.
    #[error("the database is read-only: {0}")]
    ReadOnly(String),
    /// A row says what no row may say: a bug, or somebody else's hand.
    #[error("the database is inconsistent: {0}")]
    Inconsistent(String),
    /// It belongs to another process, or its schema is not ours.
    #[error("{0}")]
    Refused(String),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::Inconsistent(error.to_string())
            }
            sqlx::Error::Database(ref db)
                if db.is_check_violation() || db.is_unique_violation() =>
            {
                Self::Inconsistent(error.to_string())
            }
            sqlx::Error::Database(ref db) if is_read_only(db.as_ref()) => {
                Self::ReadOnly(error.to_string())
            }
            sqlx::Error::Database(ref db) if is_contended(db.as_ref()) => {
                Self::Contended(error.to_string())
            }
            error => Self::Unavailable(error.to_string()),
        }
    }
}

/// PostgreSQL's `read_only_sql_transaction`, which a standby says too, or SQLite's
/// `SQLITE_READONLY`, the low byte of a family.
fn is_read_only(error: &dyn sqlx::error::DatabaseError) -> bool {
    let Some(code) = error.code() else {
        return false;
    };
    let of_sqlite = error
        .try_downcast_ref::<sqlx::sqlite::SqliteError>()
        .is_some();
    if of_sqlite {
        code.parse::<u32>().is_ok_and(|code| code & 0xff == 8)
    } else {
        code == "25006"
    }
}

/// PostgreSQL's `lock_not_available`, `deadlock_detected`, `serialization_failure` and
/// `query_canceled` (by `statement_timeout`): of some rows, and not of the database.
fn is_contended(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code();
    let of_postgres = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>();
    of_postgres.is_some()
        && code.is_some_and(|code| ["55P03", "40P01", "40001", "57014"].contains(&&*code))
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(_) | DbError::Refused(_) => Self::new(
                Code::DatabaseUnavailable,
                "the database did not answer; try again",
            ),
            DbError::Contended(_) => Self::new(
                Code::DatabaseUnavailable,
                "others write there just now; try again",
            ),
            DbError::ReadOnly(_) => Self::new(
                Code::DatabaseUnavailable,
                "the database takes no writes at present; try again",
            ),
            DbError::Inconsistent(_) => Self::new(
                Code::Internal,
                "the database holds a row that it may not hold",
            ),
        }
    }
}

impl Db {
    /// Decides on the books and writes what the decision changed, in one transaction with
    /// everybody else's. `decide` may run more than once; only its last run counts.
    pub async fn write<T, F>(&self, footprint: Footprint, mut decide: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnMut(&mut Books, Timestamp) -> T + Send + 'static,
    {
        let decide = move |books: &mut Books, now| {
            let before = books.events_to_insert().len();
            let decided = decide(books, now);
            (decided, books.events_to_insert().len() > before)
        };
        let (decided, told) = self.writer.write(footprint, decide).await?;
        if told {
            self.told.notify_one();
        }
        Ok(decided)
    }

    /// Commits a file, reading more and more of the files that may have to give way until they
    /// are enough; `None` when they never are.
    pub async fn commit(&self, job: Commit) -> Result<Option<Committed>, DbError> {
        let job = Arc::new(job);
        for oldest in ledger::OLDEST_FILES {
            let once = Arc::clone(&job);
            let written = self.write(job.footprint(oldest), move |books, now| {
                ledger::commit(books, now, &once)
            });
            if let Ok(committed) = written.await? {
                return Ok(Some(committed));
            }
        }
        Ok(None)
    }

    /// Returns when this process has written an event since the last call. One caller at a
    /// time: the sender.
    pub async fn told(&self) {
        self.told.notified().await;
    }

    /// The database's clock. SQLite lives in this process, so it is the process's; that of a
    /// PostgreSQL server is estimated, as exact as the last write's round trip was short. What
    /// must be exact is decided by the `now` of a [`Db::write`].
    pub fn now(&self) -> Timestamp {
        self.time.now()
    }
}
