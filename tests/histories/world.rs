//! A world: brokers that share one database and one store, a clock, and what goes wrong.
//! Each broker has a runtime of its own, so that it can die as a process does: with all
//! that it was doing, wherever it was.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use putgate::clock::Clock;
use putgate::db::{self, Db};
use putgate::devstore::{self, DevStore};
use putgate::domain::books::Footprint;
use putgate::domain::name::Id;
use putgate::domain::secret::Secret;
use putgate::domain::time::{Seconds, Timestamp};
use putgate::flow::sweep::Swept;
use putgate::flow::{self, App, audit};
use putgate::store::{Copying, Store};
use putgate::worker;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{RwLock, watch};
use tokio::task::{JoinError, JoinHandle};

use crate::common::database::TestDatabase;
use crate::common::store_settings;
use crate::harms::Harms;
use crate::rules::{LIVE, PART, slots};
use crate::watcher::Watch;

/// The process died before it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Died;

struct Broker {
    /// Always there, but for its end.
    runtime: Option<Runtime>,
    app: Arc<App>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // A runtime that waits for its tasks may not be dropped by a task.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub struct World {
    brokers: Vec<RwLock<Option<Broker>>>,
    pub store: DevStore,
    pub clock: Clock,
    pub harms: Harms,
    pub watch: Watch,
    /// How many brokers have died so far.
    pub deaths: AtomicU64,
    /// The attempts, by ticket and epoch, that were under way when a broker died.
    orphans: Mutex<BTreeSet<(Id, i64)>>,
    /// How many steps all clients have taken.
    pub steps: watch::Sender<u64>,
    // Dropped after the brokers, and before its directory.
    database: TestDatabase,
    _dir: tempfile::TempDir,
}

/// How often a waiting client finds out whether its wait has an end.
const LOOK: Duration = Duration::from_secs(1);

/// How many brokers share a PostgreSQL.
const REPLICAS: usize = 3;

/// In memory, where the machine has such a place: what is tested is not the disk.
fn scratch() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.unwrap()
}

impl World {
    /// One broker on SQLite, or three on PostgreSQL.
    pub async fn new() -> Self {
        let dir = scratch();
        let clock = Clock::manual(Clock::System.now());
        let store = DevStore::start(devstore::Settings {
            dir: dir.path().join("store"),
            listen: "127.0.0.1:0".parse().unwrap(),
            region: "us-east-1".into(),
            server_key: ("server".into(), Secret::new("server-secret")),
            upload_key: ("upload".into(), Secret::new("upload-secret")),
            buckets: vec!["staging".into(), "files".into()],
            upload_bucket: "staging".into(),
            allowed_origins: Vec::new(),
            clock: clock.clone(),
        })
        .await
        .unwrap();
        store.take_parts_of(1);
        let harms = Harms::new();
        harms.govern(store.faults());
        let database = TestDatabase::make(dir.path());
        let replicas = if database.is_postgres() { REPLICAS } else { 1 };
        let mut brokers = Vec::new();
        for _ in 0..replicas {
            let broker = start(&database, &clock, &store.url()).await;
            brokers.push(RwLock::new(Some(broker)));
        }
        let watch = Watch::open(&database).await;
        Self {
            brokers,
            store,
            clock,
            harms,
            watch,
            deaths: AtomicU64::new(0),
            orphans: Mutex::default(),
            steps: watch::Sender::new(0),
            database,
            _dir: dir,
        }
    }

    pub fn brokers(&self) -> usize {
        self.brokers.len()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs a flow in a broker's process.
    pub async fn run<T, F, Fut>(&self, broker: usize, flow: F) -> Result<T, Died>
    where
        T: Send + 'static,
        F: FnOnce(Arc<App>) -> Fut,
        Fut: Future<Output = T> + Send + 'static,
    {
        ended(self.begin(broker, flow).await?.await)
    }

    /// The same for a client who may hang up before the answer: then there is none. What the
    /// broker has begun for itself goes on.
    pub async fn run_unless<T, F, Fut>(
        &self,
        broker: usize,
        flow: F,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<T>, Died>
    where
        T: Send + 'static,
        F: FnOnce(Arc<App>) -> Fut,
        Fut: Future<Output = T> + Send + 'static,
    {
        let mut task = self.begin(broker, flow).await?;
        tokio::select! {
            answer = &mut task => ended(answer).map(Some),
            () = gone => {
                task.abort();
                Ok(None)
            }
        }
    }

    async fn begin<T, F, Fut>(&self, broker: usize, flow: F) -> Result<JoinHandle<T>, Died>
    where
        T: Send + 'static,
        F: FnOnce(Arc<App>) -> Fut,
        Fut: Future<Output = T> + Send + 'static,
    {
        let broker = self.brokers[broker % self.brokers.len()].read().await;
        let broker = broker.as_ref().ok_or(Died)?;
        let runtime = broker.runtime.as_ref().ok_or(Died)?;
        Ok(runtime.spawn(flow(Arc::clone(&broker.app))))
    }

    /// Kills a broker where it stands, and starts another in its place.
    pub async fn kill(&self, broker: usize) {
        let mut place = self.brokers[broker % self.brokers.len()].write().await;
        let runtime = place.take().and_then(|mut broker| broker.runtime.take());
        if let Some(runtime) = runtime {
            self.deaths.fetch_add(1, Ordering::SeqCst);
            let ended =
                tokio::task::spawn_blocking(|| runtime.shutdown_timeout(Duration::from_secs(20)));
            ended.await.unwrap();
            let leased = self.watch.leased(self.now().millis()).await;
            self.orphans().extend(leased);
        }
        *place = Some(start(&self.database, &self.clock, &self.store.url()).await);
    }

    fn orphans(&self) -> MutexGuard<'_, BTreeSet<(Id, i64)>> {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing becomes of a ticket before the clock moves: its attempt is held at the
    /// store, or its broker died and left the lease. (Of the other brokers' attempts at a
    /// death some are counted in; they end soon, and nobody waits for them.)
    pub async fn is_stuck(&self, ticket: Id) -> bool {
        if self.harms.holds(ticket) {
            return true;
        }
        if self.orphans().is_empty() {
            return false;
        }
        let leased = self.watch.leased(self.now().millis()).await;
        let mut leased = leased.into_iter().filter(|(id, _)| *id == ticket);
        leased.any(|lease| self.orphans().contains(&lease))
    }

    /// Returns once a ticket [is stuck](Self::is_stuck), some time after it came to that: a
    /// living broker's attempt that was taken for a dead one's is over by then.
    pub async fn stuck(&self, ticket: Id) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.is_stuck(ticket).await {
                return;
            }
        }
    }

    /// Waits until no broker is being replaced.
    pub async fn whole(&self) {
        for broker in &self.brokers {
            drop(broker.read().await);
        }
    }

    /// One pass of a broker's worker, all of it. What it did; none when it met trouble.
    pub async fn pass(&self, broker: usize) -> Option<Swept> {
        let looked = self.look(broker).await;
        let walked = self.walk(broker).await;
        Some(Swept {
            deleted: walked?.deleted,
            ..looked?
        })
    }

    /// What tickets and files are due for.
    async fn look(&self, broker: usize) -> Option<Swept> {
        let looked = self.run(broker, |app| async move { worker::run_once(&app).await });
        looked.await.ok()?.ok()
    }

    /// What only a listing finds.
    async fn walk(&self, broker: usize) -> Option<Swept> {
        let walked = self.run(broker, |app| async move { worker::walk_once(&app).await });
        walked.await.ok()?.ok()
    }

    /// Runs every worker until none finds anything to do. They walk through the buckets when
    /// nothing else is left, since that takes longest.
    pub async fn rest(&self) -> Result<(), String> {
        let nothing = Swept::default();
        let trouble = || "a healthy worker met trouble".to_owned();
        let mut quiet = 0;
        for _ in 0..400 {
            self.clock.advance(Seconds(301));
            let mut calm = true;
            for broker in 0..self.brokers() {
                calm &= self.look(broker).await.ok_or_else(trouble)? == nothing;
            }
            if calm {
                for broker in 0..self.brokers() {
                    calm &= self
                        .walk(broker)
                        .await
                        .ok_or_else(trouble)?
                        .deleted
                        .is_empty();
                }
            }
            quiet = if calm { quiet + 1 } else { 0 };
            if quiet == 2 && self.watch.unsettled().await == 0 {
                return Ok(());
            }
        }
        Err("the workers find more to do again and again".into())
    }

    /// What is wrong with the whole of it, at rest.
    pub async fn faults_found(&self) -> Vec<String> {
        let report = self
            .run(0, |app| async move { audit::audit(&app).await })
            .await;
        let report = report.unwrap().unwrap();
        let mut found = report.violations;
        if report.debris > 0 || !report.unknown.is_empty() {
            let unknown = report.unknown;
            found.push(format!("{} debris, unknown: {unknown:?}", report.debris));
        }
        found.extend(self.watch.breaches().await);
        let staged = self.store.objects("staging");
        if !staged.is_empty() {
            found.push(format!("staging holds {staged:?}"));
        }
        // A promotion of which nobody learnt the upload id stays, and holds no bytes.
        let (unfinished, parts) = (
            self.store.unfinished("staging"),
            self.store.unfinished_parts("files"),
        );
        if unfinished + parts > 0 {
            found.push(format!(
                "{unfinished} multipart uploads are left in staging, {parts} parts in files"
            ));
        }
        let kept: Vec<String> = self
            .store
            .objects("files")
            .into_iter()
            .map(|o| o.0)
            .collect();
        let mut named = self.watch.live_keys().await;
        named.sort();
        if kept != named {
            found.push(format!("the bucket holds {kept:?}, files name {named:?}"));
        }
        found
    }

    /// Ends it in order.
    pub async fn end(self) {
        drop(self.brokers);
        self.watch.close().await;
        self.store.stop().await;
    }
}

/// How a flow ended, if not with its process.
fn ended<T>(task: Result<T, JoinError>) -> Result<T, Died> {
    match task {
        Ok(answer) => Ok(answer),
        Err(error) if error.is_cancelled() => Err(Died),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn start(database: &TestDatabase, clock: &Clock, store_url: &str) -> Broker {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let settings = db::Settings {
        place: database.place(db::Synchronous::Normal),
        migrate: true,
    };
    let (clock, store_url) = (clock.clone(), store_url.to_owned());
    // A runtime cannot be driven from within another.
    let begun = tokio::task::spawn_blocking(move || {
        let app = runtime.block_on(open(settings, clock, store_url));
        Broker {
            runtime: Some(runtime),
            app,
        }
    });
    begun.await.unwrap()
}

async fn open(settings: db::Settings, clock: Clock, store_url: String) -> Arc<App> {
    let ids = clock.clone();
    let db = Db::open(&settings, clock.clone(), move || flow::new_id(&ids))
        .await
        .unwrap();
    // The writer's turn comes when the dead one's last transaction is over.
    db.write(Footprint::default(), |books, _| {
        books.mark("histories.begun", String::new());
    })
    .await
    .unwrap();
    let bytes = Store::connect(store_settings(&store_url)).await.unwrap();
    // Pictures are copied in one call, files in parts by parts.
    let copying = Copying {
        single_max: PART,
        part: PART,
    };
    let bytes = bytes.copying(copying);
    App::new(db, bytes, clock, slots(), LIVE, Seconds(90 * 24 * 3600))
}
