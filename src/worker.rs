//! The worker: loops around passes of [`sweep`], each with a pace and a temper of its own, so
//! that one that is slow or in trouble keeps none of the others.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::problem::Problem;
use crate::flow::App;
use crate::flow::deliver;
use crate::flow::sweep::{self, Swept};
use crate::store::Bucket;

/// How often the polls run.
const POLL: Duration = Duration::from_secs(1);
/// How often the buckets are walked: a page of each at a time.
const WALK: Duration = Duration::from_mins(1);
/// The longest pause of a pass while store or database are away.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Does what is due, a bounded amount of it. A pass in trouble does not keep the others; the
/// first trouble is the answer.
pub async fn run_once(app: &Arc<App>) -> Result<Swept, Problem> {
    let closed = sweep::look_at_due_tickets(app).await;
    let cleaned = sweep::clean_closed_tickets(app).await;
    let unclaimed = sweep::end_unclaimed_files(app).await;
    let purged = sweep::purge_tombstones(app).await;
    Ok(Swept {
        closed: closed?,
        cleaned: cleaned?,
        unclaimed: unclaimed?,
        purged: purged?,
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

/// What the worker does, each in a loop of its own.
#[derive(Clone, Copy, Debug)]
enum Pass {
    /// Judge or expire open tickets whose time has come.
    Look,
    /// Remove what closed tickets left.
    Clean,
    /// End files that nobody claimed.
    Unclaimed,
    /// Delete the bytes of tombstones.
    Purge,
    /// A page of each bucket, and rows past their time.
    Walk,
    /// Send events; also as soon as one is written.
    Deliver,
}

impl Pass {
    fn pace(self) -> Duration {
        match self {
            Self::Look | Self::Clean | Self::Unclaimed | Self::Purge => POLL,
            Self::Walk => WALK,
            Self::Deliver => deliver::POLL,
        }
    }

    /// Runs it once; answers how much it did.
    async fn run(self, app: &Arc<App>) -> Result<usize, Problem> {
        match self {
            Self::Look => sweep::look_at_due_tickets(app).await,
            Self::Clean => sweep::clean_closed_tickets(app).await,
            Self::Unclaimed => sweep::end_unclaimed_files(app).await,
            Self::Purge => sweep::purge_tombstones(app).await,
            Self::Walk => Ok(walk_once(app).await?.deleted.len()),
            // It says itself what is worth a line.
            Self::Deliver => deliver::deliver(app).await.map(|_| 0),
        }
    }
}

/// Runs until the app is to stop.
pub async fn run(app: Arc<App>) {
    tokio::join!(
        keep(&app, Pass::Look),
        keep(&app, Pass::Clean),
        keep(&app, Pass::Unclaimed),
        keep(&app, Pass::Purge),
        keep(&app, Pass::Walk),
        keep(&app, Pass::Deliver),
    );
}

/// One pass again and again: at its pace when all is well, ever more slowly in trouble.
async fn keep(app: &Arc<App>, pass: Pass) {
    let mut stop = app.stopping();
    let mut pause = pass.pace();
    while !*stop.borrow() {
        pause = match pass.run(app).await {
            Ok(0) => pass.pace(),
            Ok(done) => {
                tracing::info!(?pass, done, "the worker did what was due");
                pass.pace()
            }
            Err(problem) => {
                tracing::warn!(?pass, %problem, "the worker pauses");
                (pause * 2).min(LONGEST_PAUSE)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = app.db.told(), if matches!(pass, Pass::Deliver) => {}
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}
