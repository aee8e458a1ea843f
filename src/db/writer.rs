//! Group commit. Writes queue; one writer takes whatever has queued, decides and writes it
//! in one transaction, answers everybody, and takes what has queued meanwhile. There is no
//! timer: a lone request pays nothing, a crowd shares the fsync.

use std::collections::VecDeque;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{DbError, load, save};
use crate::clock::Clock;
use crate::domain::books::{Books, Footprint};
use crate::domain::name::Id;
use crate::domain::time::Timestamp;

/// How many writes may wait.
const QUEUE: usize = 16_384;
/// How many decisions share a transaction at most.
const BATCH: usize = 256;
/// How long a write may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

type Ids = Arc<dyn Fn() -> Id + Send + Sync>;

/// One step of a queued write.
enum Step<'a> {
    Decide(&'a mut Books, Timestamp),
    Answer(Result<(), DbError>),
}

struct Job {
    footprint: Footprint,
    deadline: Instant,
    /// Whether the writer ends after this one's batch.
    last: bool,
    step: Box<dyn FnMut(Step<'_>) + Send>,
}

/// The queue's entrance.
#[derive(Clone, Debug)]
pub(super) struct Queue(Option<mpsc::Sender<Job>>);

/// A queue for holders who may only read.
pub(super) fn refusing() -> Queue {
    Queue(None)
}

/// Starts the writer; it owns the lock file, if its process has it, and ends when every entrance is gone.
pub(super) fn start(
    options: SqliteConnectOptions,
    clock: Clock,
    ids: Ids,
    lock: Option<File>,
) -> Queue {
    let (entrance, mut queue) = mpsc::channel(QUEUE);
    let writer = Writer {
        options,
        connection: None,
        clock,
        ids,
    };
    tokio::spawn(async move {
        writer.run(&mut queue).await;
        // The lock first: who sees the queue closed may open the file again.
        drop(lock);
        drop(queue);
    });
    Queue(Some(entrance))
}

impl Queue {
    /// Whether a writer is there to take a write.
    pub(super) fn is_open(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|entrance| !entrance.is_closed())
    }

    pub(super) async fn write<T, F>(
        &self,
        footprint: Footprint,
        mut decide: F,
    ) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnMut(&mut Books, Timestamp) -> T + Send + 'static,
    {
        let entrance = self
            .0
            .as_ref()
            .ok_or_else(|| DbError::Refused("opened for reading only".into()))?;
        let (tell, told) = oneshot::channel();
        let mut tell = Some(tell);
        let mut decision = None;
        let step = move |step: Step<'_>| match step {
            Step::Decide(books, now) => decision = Some(decide(books, now)),
            Step::Answer(outcome) => {
                if let Some(tell) = tell.take() {
                    let answer = outcome.and_then(|()| {
                        decision
                            .take()
                            .ok_or_else(|| DbError::Unavailable("nothing was decided".into()))
                    });
                    // The asker may have gone; what is written is written.
                    let _ = tell.send(answer);
                }
            }
        };
        let job = Job {
            footprint,
            deadline: Instant::now() + PATIENCE,
            last: false,
            step: Box::new(step),
        };
        let stopped = || DbError::Unavailable("the writer has stopped".into());
        entrance.try_send(job).map_err(|why| match why {
            TrySendError::Full(_) => DbError::Unavailable("too many writes are waiting".into()),
            TrySendError::Closed(_) => stopped(),
        })?;
        told.await.map_err(|_| stopped())?
    }

    /// Waits until what is queued now has been answered and the writer has ended.
    pub(super) async fn close(&self) {
        let Some(entrance) = &self.0 else { return };
        let last = Job {
            footprint: Footprint::default(),
            deadline: Instant::now() + PATIENCE,
            last: true,
            step: Box::new(|_| ()),
        };
        // An error says that it has ended already.
        let _ = entrance.send(last).await;
        entrance.closed().await;
    }
}

/// How far a transaction came.
enum Failed {
    /// Not even to its beginning.
    ToBegin(DbError),
    /// Further, and perhaps, unseen, to its end.
    Midway(DbError),
}

struct Writer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    clock: Clock,
    ids: Ids,
}

impl Writer {
    async fn run(mut self, queue: &mut mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut ending = false;
        while !ending && queue.recv_many(&mut batch, BATCH).await > 0 {
            ending = batch.iter().any(|job| job.last);
            let now = Instant::now();
            let (mut live, late): (Vec<_>, Vec<_>) =
                batch.drain(..).partition(|job| job.deadline > now);
            for mut job in late {
                let refusal = DbError::Unavailable("waited too long for its turn".into());
                (job.step)(Step::Answer(Err(refusal)));
            }
            if live.is_empty() {
                continue;
            }
            if let Err(failed) = self.transact(&mut live, false).await {
                self.one_by_one(live, &failed).await;
            } else {
                answer(&mut live, &Ok(()));
            }
        }
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
    }

    /// One member spoilt the batch, or nobody knows whether the COMMIT arrived: each runs
    /// alone, and is a no-op if its effect is there. While no transaction can be begun,
    /// none of them is to blame, and none would fare better alone.
    async fn one_by_one(&mut self, mut live: Vec<Job>, failed: &Failed) {
        let members = live.len();
        match failed {
            Failed::ToBegin(error) => {
                tracing::error!(%error, members, "no transaction could be begun");
                answer(&mut live, &Err(error.clone()));
                return;
            }
            Failed::Midway(error) => {
                tracing::warn!(%error, members, "a batch failed; running its members one by one");
            }
        }
        let mut alone: VecDeque<_> = live.into();
        while let Some(job) = alone.pop_front() {
            let mut job = [job];
            match self.transact(&mut job, true).await {
                Ok(()) => answer(&mut job, &Ok(())),
                Err(Failed::Midway(error)) => {
                    tracing::error!(%error, "a write failed");
                    answer(&mut job, &Err(error));
                }
                Err(Failed::ToBegin(error)) => {
                    tracing::error!(%error, members = alone.len() + 1, "no transaction could be begun");
                    answer(&mut job, &Err(error.clone()));
                    answer(alone.make_contiguous(), &Err(error));
                    return;
                }
            }
        }
    }

    async fn transact(&mut self, jobs: &mut [Job], again: bool) -> Result<(), Failed> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => (self.options.connect().await).map_err(|e| Failed::ToBegin(e.into()))?,
        };
        let begun = sqlx::query("BEGIN IMMEDIATE").execute(&mut connection);
        let outcome = match begun.await {
            Err(error) => Err(Failed::ToBegin(error.into())),
            Ok(_) => (self.on(&mut connection, jobs, again).await).map_err(Failed::Midway),
        };
        if outcome.is_ok() {
            self.connection = Some(connection);
        } else {
            // SQLite may have rolled back by itself (disk full); a fresh connection is
            // certain to be outside of any transaction.
            let _ = connection.close().await;
        }
        outcome
    }

    async fn on(
        &self,
        connection: &mut SqliteConnection,
        jobs: &mut [Job],
        again: bool,
    ) -> Result<(), DbError> {
        let now = self.clock.now();
        let mut books = Books::new(self.ids.clone());
        let footprints: Vec<&Footprint> = jobs.iter().map(|job| &job.footprint).collect();
        load::fill(connection, &mut books, &footprints, now, again).await?;
        for job in jobs.iter_mut() {
            let decided = catch_unwind(AssertUnwindSafe(|| {
                (job.step)(Step::Decide(&mut books, now));
            }));
            if decided.is_err() {
                return Err(DbError::Inconsistent("a decision panicked".into()));
            }
        }
        if let Some(account) = books.unloaded() {
            return Err(DbError::Inconsistent(format!(
                "a decision posted to {}, which was not loaded",
                account.as_str()
            )));
        }
        save::write(connection, &books, now).await?;
        sqlx::query("COMMIT").execute(&mut *connection).await?;
        Ok(())
    }
}

fn answer(jobs: &mut [Job], outcome: &Result<(), DbError>) {
    for job in jobs {
        (job.step)(Step::Answer(outcome.clone()));
    }
}
