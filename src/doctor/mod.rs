//! The doctor: whether database, store, browser's way and receiver do what Putgate relies on,
//! each tried rather than looked up, with what was seen and what to do about it.
//!
//! | file | holds |
//! |---|---|
//! | `finding` | what was seen, and the report |
//! | `database` | schema, writes, clock |
//! | `storage` | keys, region, buckets, clock: as this server reaches the store |
//! | `lifecycle` | what the store ends by itself |
//! | `browser` | endpoint and CORS: as a page reaches the store |
//! | `uppy` | the same for pages with Uppy |
//! | `uploads` | what a signed URL allows and what it must not |
//! | `forms` | the same of a signed form |
//! | `key` | what the key may do that browsers' URLs are signed with |
//! | `files` | ranges, conditional copies, downloads |
//! | `receiver` | where events go |
//! | `wire` | plain HTTP, as a browser sends it |
//! | `tidy` | takes away what a run wrote |
//!
//! It leaves nothing behind: what it writes is under one prefix and deleted before the report,
//! and what a run left that was killed, by one an hour later.

mod browser;
mod database;
mod files;
mod finding;
mod forms;
mod key;
mod lifecycle;
mod receiver;
mod storage;
mod tidy;
mod uploads;
mod uppy;
mod wire;

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::db;
use crate::domain::dialect::Dialect;
use crate::domain::name::Id;
use crate::domain::time::Seconds;
use crate::store::{Store, StoreError};
use crate::webhook::Receiver;

pub use finding::{Finding, Group, Report, Status};

/// Before every key of the doctor's, in both buckets.
pub const PREFIX: &str = "putgate-doctor/";

/// What is examined.
#[derive(Debug)]
pub struct Patient {
    /// What `serve` would run on.
    pub config: Config,
    /// Where its database is.
    pub database: db::Settings,
    /// Its store, or why there is none.
    pub store: Result<Store, StoreError>,
    /// Its receiver of events; absent: it has none.
    pub receiver: Option<Result<Arc<Receiver>, String>>,
    /// Names this run and says when it began: no two runs meet in a bucket.
    pub run: Id,
}

impl Patient {
    fn bench(&self) -> Option<Bench<'_>> {
        let store = self.store.as_ref().ok()?;
        Some(Bench {
            config: &self.config,
            store,
            wire: wire::Wire::new(),
            run: self.run,
            clock: Clock::System,
        })
    }
}

/// A store that can be spoken to, for the checks that need it.
struct Bench<'a> {
    config: &'a Config,
    store: &'a Store,
    wire: wire::Wire,
    run: Id,
    clock: Clock,
}

impl Bench<'_> {
    /// A key of this run.
    fn key(&self, name: &str) -> String {
        format!("{PREFIX}{}/{name}", self.run)
    }

    /// Whether pages with Uppy upload here.
    fn speaks_uppy(&self) -> bool {
        let mut slots = self.config.slots.values();
        slots.any(|slot| slot.policy.dialects.contains(&Dialect::Uppy))
    }
}

/// How long the doctor's signed requests work.
const TTL: Seconds = Seconds(300);

/// Looks at everything, in the order in which a fault hides those behind it.
pub async fn examine(patient: &Patient) -> Report {
    let mut report = Report::default();
    report.add(database::examine(&patient.database).await);
    if let Err(error) = &patient.store {
        report.add(vec![storage::no_store(error)]);
    }
    if let Some(bench) = patient.bench() {
        Box::pin(examine_store(&bench, &mut report)).await;
    }
    report.add(vec![receiver::examine(patient).await]);
    report
}

/// Takes away what an examination wrote that was cut off; answers what it could not.
pub async fn clean_up(patient: &Patient) -> Vec<Finding> {
    match patient.bench() {
        None => Vec::new(),
        Some(bench) => tidy::clean_up(&bench).await,
    }
}

async fn examine_store(bench: &Bench<'_>, report: &mut Report) {
    let storage = storage::examine(bench).await;
    let has_buckets = !storage.iter().any(Finding::is_in_the_way);
    report.add(storage);
    let (endpoint, reached) = browser::examine_endpoints(bench).await;
    report.add(endpoint);
    if !has_buckets {
        let why = "not looked at: the buckets come first";
        report.add(vec![
            Finding::skip(Group::Browser, "cors", why),
            Finding::skip(Group::Uploads, "all", why),
            Finding::skip(Group::Files, "all", why),
        ]);
        return;
    }
    if reached.uploads {
        report.add(browser::examine_cors(bench).await);
        report.add(uppy::examine(bench).await);
        report.add(Box::pin(uploads::examine(bench)).await);
    } else {
        let why = "not looked at: the public endpoint comes first";
        report.add(vec![
            Finding::skip(Group::Browser, "cors", why),
            Finding::skip(Group::Uploads, "all", why),
        ]);
    }
    report.add(Box::pin(key::examine(bench)).await);
    report.add(Box::pin(files::examine(bench, reached.downloads)).await);
    report.add(tidy::clean_up(bench).await);
}
