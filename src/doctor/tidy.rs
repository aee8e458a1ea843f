//! Takes away what a run wrote. What another run left is taken away only when that began so long
//! ago that it cannot go on any more: two doctors do not disturb each other.

use std::collections::BTreeSet;

use super::finding::{Finding, Group};
use super::{Bench, PREFIX};
use crate::domain::name::Id;
use crate::domain::time::{Seconds, Timestamp};
use crate::store::Bucket;

/// What begins a multipart upload does it at one of these keys, after the same run has written
/// an object. No store lists uploads by a shorter prefix as all the others do, so whoever tidies
/// up learns from the objects which runs there were.
pub(super) const MULTIPART: &str = "multipart";
pub(super) const COPIED: &str = "copied";
pub(super) const CHANGED: &str = "changed-parts";
const UPLOADS: [(Bucket, &str); 3] = [
    (Bucket::Staging, MULTIPART),
    (Bucket::Staging, COPIED),
    (Bucket::Files, CHANGED),
];

/// No run takes so long, on the slowest line.
const STALE: Seconds = Seconds(3600);

/// Deletes all that this run left, and those that were killed; says so only when it cannot.
pub(super) async fn clean_up(bench: &Bench<'_>) -> Vec<Finding> {
    match take_away(bench).await {
        Ok(()) => Vec::new(),
        Err(left) => vec![Finding::fail(
            Group::Files,
            "cleaning up",
            left,
            "the server's key has to list, delete and abort in both buckets: `putgate setup \
             --print iam --provider …`",
        )],
    }
}

async fn take_away(bench: &Bench<'_>) -> Result<(), String> {
    let mut runs = BTreeSet::from([bench.run]);
    let objects = leavings(bench, &mut runs).await?;
    // The objects last: without them nobody would look for the uploads.
    for run in runs {
        abort_uploads(bench, run).await?;
    }
    for (bucket, key) in objects {
        let deleted = bench.store.delete(bucket, &key).await;
        deleted.map_err(|why| format!("{key} stays in the {bucket}: {why}"))?;
    }
    Ok(())
}

/// The objects of this run and of stale ones, whose names are added to `runs`.
async fn leavings(
    bench: &Bench<'_>,
    runs: &mut BTreeSet<Id>,
) -> Result<Vec<(Bucket, String)>, String> {
    let now = bench.clock.now();
    let mut found = Vec::new();
    for bucket in [Bucket::Staging, Bucket::Files] {
        let mut after = None;
        loop {
            let page = bench.store.list(bucket, PREFIX, after.as_deref(), 1000);
            let page = page
                .await
                .map_err(|why| format!("the {bucket} cannot be listed: {why}"))?;
            for object in page.objects {
                let run = run_of(&object.key);
                if let Some(run) = run.filter(|run| *run == bench.run || is_stale(*run, now)) {
                    runs.insert(run);
                    found.push((bucket, object.key));
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

async fn abort_uploads(bench: &Bench<'_>, run: Id) -> Result<(), String> {
    for (bucket, name) in UPLOADS {
        let key = format!("{PREFIX}{run}/{name}");
        let stays = |why| format!("an upload to {key} stays in the {bucket}: {why}");
        let uploads = bench.store.list_uploads(bucket, &key).await;
        for id in uploads.map_err(stays)? {
            let aborted = bench.store.abort_multipart(bucket, &key, &id).await;
            aborted.map_err(stays)?;
        }
    }
    Ok(())
}

/// Which run an object is of.
fn run_of(key: &str) -> Option<Id> {
    let (run, _) = key.strip_prefix(PREFIX)?.split_once('/')?;
    run.parse().ok()
}

/// Whether a run began too long ago to be going on: its name says when.
fn is_stale(run: Id, now: Timestamp) -> bool {
    let began = run.get_timestamp().map(|at| at.to_unix().0);
    let began = began.and_then(|seconds| i64::try_from(seconds).ok());
    began.is_some_and(|began| now.seconds() - began > i64::from(STALE.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_stale_an_hour_after_it_began_and_what_is_no_runs_never() {
        // 2024-11-21T00:00:00Z, as a UUIDv7 writes it.
        let began = 1_732_147_200;
        let run = format!("{:012x}", began * 1000_i64);
        let run = format!("{}-{}-7000-8000-000000000000", &run[..8], &run[8..]);
        let id = run_of(&format!("{PREFIX}{run}/put")).unwrap();
        for (later, stale) in [(-60, false), (0, false), (3600, false), (3601, true)] {
            let now = Timestamp::from_millis((began + later) * 1000);
            assert_eq!(is_stale(id, now), stale, "{later}");
        }
        for key in ["putgate-doctor/notes", "putgate-doctor/a/b", "other/a"] {
            assert_eq!(run_of(key), None, "{key}");
        }
    }
}
