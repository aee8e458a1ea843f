//! Group commit. Writes queue; one writer takes whatever has queued, decides and writes it
//! in one transaction, answers everybody, and takes what has queued meanwhile. There is no
//! timer: a lone request pays nothing, a crowd shares the fsync.

use std::collections::VecDeque;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::open::Source;
use super::sql::{Conn, Kind, silent, sql};
use super::standing::Standing;
use super::time::Time;
use super::{DbError, load, postgres, save};
use crate::domain::books::{Books, Footprint};
use crate::domain::name::Id;
use crate::domain::time::Timestamp;
use crate::metrics::metrics;

/// How many writes may wait.
const QUEUE: usize = 16_384;
/// How many decisions share a transaction at most.
const BATCH: usize = 256;
/// How long a write may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a member runs alone on PostgreSQL, where another replica may be in its way.
const ALONE: usize = 3;

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
pub(super) struct Queue {
    entrance: Option<mpsc::Sender<Job>>,
    standing: Arc<Standing>,
}

/// A queue for holders who may only read.
pub(super) fn refusing() -> Queue {
    Queue {
        entrance: None,
        standing: Arc::default(),
    }
}

/// Starts the writer; it owns SQLite's lock file, if its process has it, and ends when every
/// entrance is gone.
pub(super) fn start(source: Source, time: Time, ids: Ids, lock: Option<File>) -> Queue {
    let (entrance, mut queue) = mpsc::channel(QUEUE);
    let standing = Arc::<Standing>::default();
    let writer = Writer {
        source,
        connection: None,
        standing: Arc::clone(&standing),
        time,
        ids,
    };
    tokio::spawn(async move {
        writer.run(&mut queue).await;
        // The lock first: who sees the queue closed may open the file again.
        drop(lock);
        drop(queue);
    });
    Queue {
        entrance: Some(entrance),
        standing,
    }
}

impl Queue {
    /// Whether a writer is there to take a write.
    pub(super) fn is_open(&self) -> bool {
        self.entrance
            .as_ref()
            .is_some_and(|entrance| !entrance.is_closed())
    }

    /// Whether the database takes writes.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
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
            .entrance
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
        let queued = Instant::now();
        let job = Job {
            footprint,
            deadline: queued + PATIENCE,
            last: false,
            step: Box::new(step),
        };
        let stopped = || DbError::Unavailable("the writer has stopped".into());
        entrance.try_send(job).map_err(|why| match why {
            TrySendError::Full(_) => DbError::Unavailable("too many writes are waiting".into()),
            TrySendError::Closed(_) => stopped(),
        })?;
        let answer = told.await.map_err(|_| stopped())?;
        metrics().wrote(queued.elapsed());
        answer
    }

    /// Waits until what is queued now has been answered and the writer has ended.
    pub(super) async fn close(&self) {
        let Some(entrance) = &self.entrance else {
            return;
        };
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

impl Failed {
    fn error(&self) -> &DbError {
        match self {
            Self::ToBegin(error) | Self::Midway(error) => error,
        }
    }
}

struct Writer {
    source: Source,
    connection: Option<Conn>,
    standing: Arc<Standing>,
    time: Time,
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
            let members = live.len();
            let transacted = self.transact(&mut live, false).await;
            metrics().transacted(members, transacted.is_ok());
            if let Err(failed) = transacted {
                self.one_by_one(live, &failed).await;
            } else {
                answer(&mut live, &Ok(()));
            }
        }
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    /// One member spoilt the batch, or nobody knows whether the COMMIT arrived: each runs
    /// alone, and is a no-op if its effect is there. While no transaction can be begun, or
    /// none that writes, none of them is to blame, and none would fare better alone.
    async fn one_by_one(&mut self, mut live: Vec<Job>, failed: &Failed) {
        let members = live.len();
        match failed {
            Failed::ToBegin(error) | Failed::Midway(error @ DbError::ReadOnly(_)) => {
                self.standing.refused(error, members);
                answer(&mut live, &Err(error.clone()));
                return;
            }
            Failed::Midway(error) if self.standing.is_well() => {
                tracing::warn!(%error, members, "a batch failed; running its members one by one");
            }
            Failed::Midway(_) => {}
        }
        let mut alone: VecDeque<_> = live.into();
        while let Some(job) = alone.pop_front() {
            let mut job = [job];
            // Where each may wait for another replica's lock, patience ends as in the queue;
            // whose effect is there already asks again and learns it.
            if self.source.kind() == Kind::Postgres && Instant::now() > job[0].deadline {
                answer(&mut job, &Err(failed.error().clone()));
                continue;
            }
            match self.alone(&mut job).await {
                Ok(()) => answer(&mut job, &Ok(())),
                Err(Failed::Midway(error)) if !matches!(error, DbError::ReadOnly(_)) => {
                    self.standing.refused(&error, 1);
                    answer(&mut job, &Err(error));
                }
                Err(Failed::ToBegin(error) | Failed::Midway(error)) => {
                    self.standing.refused(&error, alone.len() + 1);
                    answer(&mut job, &Err(error.clone()));
                    answer(alone.make_contiguous(), &Err(error));
                    return;
                }
            }
        }
    }

    /// A deadlock or a lock that somebody holds too long may be over the next time.
    async fn alone(&mut self, job: &mut [Job; 1]) -> Result<(), Failed> {
        let most = match self.source.kind() {
            Kind::Sqlite => 1,
            Kind::Postgres => ALONE,
        };
        let mut tries = 1;
        loop {
            match self.transact(job, true).await {
                Err(Failed::Midway(DbError::Unavailable(why) | DbError::Contended(why)))
                    if tries < most
                        && Instant::now() < job[0].deadline
                        && self.standing.is_well() =>
                {
                    tracing::warn!(why, "a write is tried again");
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn transact(&mut self, jobs: &mut [Job], again: bool) -> Result<(), Failed> {
        let kind = self.source.kind();
        let begun = in_time(kind, self.begin()).await;
        let mut conn = begun.map_err(Failed::ToBegin)?;
        let outcome = in_time(kind, self.on(&mut conn, jobs, again)).await;
        if outcome.is_ok() {
            self.connection = Some(conn);
        } else {
            // SQLite may have rolled back by itself (disk full), PostgreSQL may have become
            // a standby; a fresh connection is certain to be outside of any transaction.
            conn.close().await;
        }
        outcome.map_err(Failed::Midway)
    }

    /// A connection in a transaction.
    async fn begin(&mut self) -> Result<Conn, DbError> {
        let text = match self.source.kind() {
            Kind::Sqlite => "BEGIN IMMEDIATE",
            Kind::Postgres => "BEGIN",
        };
        if let Some(mut kept) = self.connection.take() {
            match kept.run(sql(text)).await {
                Ok(_) => return Ok(kept),
                // The server may have closed it while nobody wrote.
                Err(_) if self.source.kind() == Kind::Postgres => {}
                Err(error) => {
                    kept.close().await;
                    return Err(error);
                }
            }
        }
        let mut fresh = self.source.connect().await?;
        fresh.run(sql(text)).await?;
        Ok(fresh)
    }

    async fn on(&self, conn: &mut Conn, jobs: &mut [Job], again: bool) -> Result<(), DbError> {
        let mut books = Books::new(self.ids.clone());
        let footprints: Vec<&Footprint> = jobs.iter().map(|job| &job.footprint).collect();
        let now = load::fill(conn, &mut books, &footprints, &self.time, again).await?;
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
        save::write(conn, &books, now).await?;
        conn.run(sql("COMMIT")).await?;
        // A transaction that changed nothing succeeds on what is read-only too.
        if books.writes_rows() {
            self.standing.wrote();
        }
        Ok(())
    }
}

/// A network may swallow an answer and say nothing; the disk under SQLite does not.
async fn in_time<T>(
    kind: Kind,
    work: impl Future<Output = Result<T, DbError>>,
) -> Result<T, DbError> {
    match kind {
        Kind::Sqlite => work.await,
        Kind::Postgres => {
            let done = tokio::time::timeout(postgres::TRANSACTION, work).await;
            done.unwrap_or_else(|_| Err(silent(postgres::TRANSACTION)))
        }
    }
}

fn answer(jobs: &mut [Job], outcome: &Result<(), DbError>) {
    for job in jobs {
        (job.step)(Step::Answer(outcome.clone()));
    }
}
