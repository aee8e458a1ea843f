//! The doctor: whether database, store, browser's way and receiver do what Putgate relies on,
//! each tried rather than looked up, with what was seen and what to do about it.
//!
//! | file | holds |
//! |---|---|
//! | `finding` | what was seen, and the report |
//! | `database` | schema, writes, clock |
//! | `storage` | keys, region, buckets, lifecycle, clock: as this server reaches the store |
//! | `browser` | endpoint and CORS: as a page reaches the store |
//! | `uploads` | what a signed URL allows and what it must not |
//! | `files` | ranges, conditional copies, downloads |
//! | `receiver` | where events go |
//! | `wire` | plain HTTP, as a browser sends it |
//!
//! It leaves nothing behind: its objects have keys under one prefix, are deleted before the
//! report, and so are those of a run that was cut off.

mod browser;
mod database;
mod files;
mod finding;
mod receiver;
mod storage;
mod uploads;
mod wire;

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::db;
use crate::domain::name::Id;
use crate::domain::time::Seconds;
use crate::store::{Bucket, Store, StoreError};
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
    /// Names this run: no two runs meet in a bucket.
    pub run: Id,
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
}

/// How long the doctor's signed requests work.
const TTL: Seconds = Seconds(300);

/// Looks at everything, in the order in which a fault hides those behind it.
pub async fn examine(patient: &Patient) -> Report {
    let mut report = Report::default();
    report.add(database::examine(&patient.database).await);
    match &patient.store {
        Err(error) => report.add(vec![storage::no_store(error)]),
        Ok(store) => {
            let bench = Bench {
                config: &patient.config,
                store,
                wire: wire::Wire::new(),
                run: patient.run,
                clock: Clock::System,
            };
            Box::pin(examine_store(&bench, &mut report)).await;
        }
    }
    report.add(vec![receiver::examine(patient).await]);
    report
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
        report.add(Box::pin(uploads::examine(bench)).await);
    } else {
        let why = "not looked at: the public endpoint comes first";
        report.add(vec![
            Finding::skip(Group::Browser, "cors", why),
            Finding::skip(Group::Uploads, "all", why),
        ]);
    }
    report.add(Box::pin(uploads::examine_key(bench)).await);
    report.add(Box::pin(files::examine(bench, reached.downloads)).await);
    report.add(clean_up(bench).await);
}

/// Deletes all that this run and those before it left; says so only when it cannot.
async fn clean_up(bench: &Bench<'_>) -> Vec<Finding> {
    let mut left = Vec::new();
    for bucket in [Bucket::Staging, Bucket::Files] {
        loop {
            let page = match bench.store.list(bucket, PREFIX, None, 1000).await {
                Ok(page) => page,
                Err(error) => {
                    left.push(format!("the {bucket} cannot be listed: {error}"));
                    break;
                }
            };
            let count = page.objects.len();
            for object in page.objects {
                if let Err(error) = bench.store.delete(bucket, &object.key).await {
                    left.push(format!("{} stays in the {bucket}: {error}", object.key));
                }
            }
            if count == 0 || page.next.is_none() || !left.is_empty() {
                break;
            }
        }
    }
    match left.first() {
        None => Vec::new(),
        Some(first) => vec![Finding::fail(
            Group::Files,
            "cleaning up",
            first.clone(),
            "the server's key has to list and delete in both buckets: `putgate setup --print iam`",
        )],
    }
}
