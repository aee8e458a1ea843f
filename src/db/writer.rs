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
    step: Box<dyn FnMut(Step<'_>) + Send>,
}

/// The queue's entrance.
#[derive(Clone, Debug)]
pub(super) struct Queue(Option<mpsc::Sender<Job>>);

/// A queue for holders who may only read.
pub(super) fn refusing() -> Queue {
    Queue(None)
}

/// Starts the writer; it owns the lock file and ends when every entrance is gone.
pub(super) fn start(options: SqliteConnectOptions, clock: Clock, ids: Ids, lock: File) -> Queue {
    let (entrance, queue) = mpsc::channel(QUEUE);
    let writer = Writer {
        options,
        connection: None,
        clock,
        ids,
    };
    tokio::spawn(async move {
        writer.run(queue).await;
        drop(lock);
    });
    Queue(Some(entrance))
}

impl Queue {
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
            step: Box::new(step),
        };
        entrance
            .try_send(job)
            .map_err(|_| DbError::Unavailable("too many writes are waiting".into()))?;
        told.await
            .map_err(|_| DbError::Unavailable("the writer has stopped".into()))?
    }

    /// Waits until what is queued now has been answered.
    pub(super) async fn close(&self) {
        // A write of nothing is answered after everything before it.
        let _ = self.write(Footprint::default(), |_, _| ()).await;
    }
}

struct Writer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    clock: Clock,
    ids: Ids,
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
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
            match self.transact(&mut live, false).await {
                Ok(()) => answer(&mut live, &Ok(())),
                // One of them spoilt it, or nobody knows whether the COMMIT arrived: each
                // runs alone, and is a no-op if its effect is there.
                Err(error) => {
                    tracing::warn!(%error, members = live.len(), "a batch failed; running its members one by one");
                    let mut alone: VecDeque<_> = live.into();
                    while let Some(job) = alone.pop_front() {
                        let mut job = [job];
                        let outcome = self.transact(&mut job, true).await;
                        if let Err(error) = &outcome {
                            tracing::error!(%error, "a write failed");
                        }
                        answer(&mut job, &outcome);
                    }
                }
            }
        }
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
    }

    async fn transact(&mut self, jobs: &mut [Job], again: bool) -> Result<(), DbError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let outcome = self.on(&mut connection, jobs, again).await;
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
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut *connection)
            .await?;
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
