//! The worker: a loop around [`run_once`], which does what is due and says what it did.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::problem::Problem;
use crate::flow::App;
use crate::flow::sweep::{self, Swept};
use crate::store::Bucket;

/// How often the polls run.
const POLL: Duration = Duration::from_secs(1);
/// How often the buckets are walked: a page of each at a time.
const WALK: Duration = Duration::from_mins(1);
/// The longest pause while store or database are away.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Does what is due, a bounded amount of it.
pub async fn run_once(app: &Arc<App>) -> Result<Swept, Problem> {
    Ok(Swept {
        closed: sweep::look_at_due_tickets(app).await?,
        cleaned: sweep::clean_closed_tickets(app).await?,
        unclaimed: sweep::end_unclaimed_files(app).await?,
        purged: sweep::purge_tombstones(app).await?,
        ..Swept::default()
    })
}

/// Walks a page of each bucket and forgets old rows.
pub async fn walk_once(app: &Arc<App>) -> Result<Swept, Problem> {
    let mut swept = Swept::default();
    sweep::walk(app, Bucket::Staging, false, &mut swept).await?;
    sweep::walk(app, Bucket::Files, false, &mut swept).await?;
    sweep::forget_old_rows(app, app.db.now()).await?;
    Ok(swept)
}

/// Runs until the app is to stop.
pub async fn run(app: Arc<App>) {
    let mut stop = app.stopping();
    let mut pause = POLL;
    let mut walked = Instant::now();
    while !*stop.borrow() {
        let outcome = async {
            let mut swept = run_once(&app).await?;
            if walked.elapsed() >= WALK {
                walked = Instant::now();
                let walk = walk_once(&app).await?;
                swept.deleted = walk.deleted;
                swept.unknown = walk.unknown;
            }
            Ok::<_, Problem>(swept)
        }
        .await;
        pause = match outcome {
            Ok(swept) => {
                if swept != Swept::default() {
                    tracing::info!(
                        closed = swept.closed,
                        cleaned = swept.cleaned,
                        unclaimed = swept.unclaimed,
                        purged = swept.purged,
                        deleted = swept.deleted.len(),
                        unknown = swept.unknown.len(),
                        "swept"
                    );
                }
                POLL
            }
            Err(problem) => {
                tracing::warn!(%problem, "the worker pauses");
                (pause * 2).min(LONGEST_PAUSE)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}
