//! The worker: loops around passes of [`sweep`], each with a pace and a temper of its own, so
//! that one that is slow or in trouble keeps none of the others. When the store is away, all
//! that need it pause together, and one probe asks for it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::problem::{Code, Problem};
use crate::flow::App;
use crate::flow::deliver;
use crate::flow::sweep::{self, Looks, Swept};
use crate::metrics::metrics;
use crate::store::Bucket;

/// How often the polls run.
const POLL: Duration = Duration::from_secs(1);
/// How often the staging bucket is walked from end to end, and a page of the files bucket.
const WALK: Duration = Duration::from_mins(1);
/// The pause between two pages of the staging bucket, a thousand objects each, and between two
/// portions of rows to forget.
const BETWEEN_PAGES: Duration = Duration::from_secs(1);
/// The longest pause of a pass while store or database are away, and of the probe: all goes
/// on within ten seconds of their return.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long nothing has to happen for a pass to leave its looks to themselves.
const LONG_LOOK: Duration = Duration::from_secs(1);

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

/// Walks a page of each bucket and forgets old rows, whether or not the store answers.
pub async fn walk_once(app: &Arc<App>) -> Result<Swept, Problem> {
    let mut swept = Swept::default();
    let forgotten = sweep::forget_old_rows(app, app.db.now()).await;
    sweep::walk(app, Bucket::Staging, false, &mut swept).await?;
    sweep::walk(app, Bucket::Files, false, &mut swept).await?;
    forgotten?;
    Ok(swept)
}

/// What the worker does, each in a loop of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Judge or expire open tickets whose time has come.
    Look,
    /// Remove what closed tickets left.
    Clean,
    /// End files that nobody claimed.
    Unclaimed,
    /// Delete the bytes of tombstones.
    Purge,
    /// The staging bucket, page by page to its end.
    WalkStaging,
    /// A page of the files bucket.
    WalkFiles,
    /// Rows past their time.
    Forget,
    /// Send events; also as soon as one is written.
    Deliver,
}

/// What a pass did, and whether there is more of it right now.
#[derive(Clone, Copy, Debug)]
struct Did {
    count: usize,
    more: bool,
}

/// The names of all passes, as the numbers have them.
pub fn passes() -> impl Iterator<Item = &'static str> {
    Pass::ALL.into_iter().map(Pass::word)
}

impl Pass {
    const ALL: [Self; 8] = [
        Self::Look,
        Self::Clean,
        Self::Unclaimed,
        Self::Purge,
        Self::WalkStaging,
        Self::WalkFiles,
        Self::Forget,
        Self::Deliver,
    ];

    fn pace(self) -> Duration {
        match self {
            Self::Look | Self::Clean | Self::Unclaimed | Self::Purge => POLL,
            Self::WalkStaging | Self::WalkFiles | Self::Forget => WALK,
            Self::Deliver => deliver::POLL,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Clean => "clean",
            Self::Unclaimed => "unclaimed",
            Self::Purge => "purge",
            Self::WalkStaging => "walk_staging",
            Self::WalkFiles => "walk_files",
            Self::Forget => "forget",
            Self::Deliver => "deliver",
        }
    }

    fn needs_store(self) -> bool {
        match self {
            Self::Look | Self::Clean | Self::Purge | Self::WalkStaging | Self::WalkFiles => true,
            Self::Unclaimed | Self::Forget | Self::Deliver => false,
        }
    }

    /// Runs it once; `looks` are those that outlast it.
    async fn run(self, app: &Arc<App>, looks: &mut Looks) -> Result<Did, Problem> {
        let mut swept = Swept::default();
        let mut more = false;
        let count = match self {
            Self::Look => looks.pass(app, LONG_LOOK).await?,
            Self::Clean => sweep::clean_closed_tickets(app).await?,
            Self::Unclaimed => sweep::end_unclaimed_files(app).await?,
            Self::Purge => sweep::purge_tombstones(app).await?,
            Self::WalkStaging => {
                more = sweep::walk(app, Bucket::Staging, false, &mut swept).await?;
                swept.deleted.len()
            }
            Self::WalkFiles => {
                sweep::walk(app, Bucket::Files, false, &mut swept).await?;
                swept.deleted.len()
            }
            Self::Forget => {
                more = sweep::forget_old_rows(app, app.db.now()).await?;
                0
            }
            // It says itself what is worth a line.
            Self::Deliver => deliver::deliver(app).await.map(|_| 0)?,
        };
        Ok(Did { count, more })
    }

    /// How long to pause after an answer, when the last pause was `last`.
    fn pause(self, answer: &Result<Did, Problem>, last: Duration) -> Duration {
        match answer {
            Ok(did) if did.more => BETWEEN_PAGES,
            Ok(_) => self.pace(),
            Err(_) => longer(last),
        }
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

/// A pause a quarter shorter to a quarter longer, so that replicas that began together do
/// not ask together for ever.
fn jittered(pause: Duration, random: u64) -> Duration {
    let percent = 75 + u32::try_from(random % 51).unwrap_or(25);
    pause * percent / 100
}

fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// Whether the store answers, as far as the passes found. Once one of them finds it away, none
/// that needs it runs until [`probe`](Self::probe) was answered.
#[derive(Debug)]
struct Circuit {
    closed: watch::Sender<bool>,
}

impl Circuit {
    fn new() -> Self {
        // One that was open when the worker broke off is not this one.
        metrics().circuit(false);
        Self {
            closed: watch::Sender::new(true),
        }
    }

    /// Takes note of a pass's trouble.
    fn note(&self, problem: &Problem) {
        if problem.code == Code::StorageUnavailable {
            self.closed.send_replace(false);
            metrics().circuit(true);
        }
    }

    async fn until(&self, closed: bool) {
        let mut state = self.closed.subscribe();
        // The sender is `self`.
        let _ = state.wait_for(|now| *now == closed).await;
    }

    /// Whenever the store is away, asks for it, one small listing at a time and ever more
    /// slowly, until it answers.
    async fn probe(&self, app: &Arc<App>) {
        let mut stop = app.stopping();
        while !*stop.borrow() {
            let mut pause = POLL;
            tokio::select! {
                () = self.until(false) => {}
                _ = stop.changed() => return,
            }
            loop {
                tokio::select! {
                    () = tokio::time::sleep(jittered(pause, random())) => {}
                    _ = stop.changed() => return,
                }
                match sweep::store_answers(app).await {
                    Ok(()) => break,
                    Err(error) => tracing::warn!(%error, "the store is still away"),
                }
                pause = longer(pause);
            }
            tracing::info!("the store answers");
            metrics().circuit(false);
            self.closed.send_replace(true);
        }
    }
}

/// Runs until the app is to stop.
pub async fn run(app: Arc<App>) {
    let circuit = Circuit::new();
    let passes = Pass::ALL.map(|pass| keep(&app, &circuit, pass));
    tokio::join!(circuit.probe(&app), join_all(passes));
}

/// One pass again and again: at its pace when all is well, ever more slowly in trouble.
async fn keep(app: &Arc<App>, circuit: &Circuit, pass: Pass) {
    let mut stop = app.stopping();
    let mut pause = pass.pace();
    let mut looks = Looks::default();
    while !*stop.borrow() {
        if pass.needs_store() {
            tokio::select! {
                () = circuit.until(true) => {}
                _ = stop.changed() => break,
            }
        }
        let began = Instant::now();
        let answer = pass.run(app, &mut looks).await;
        metrics().passed(pass.word(), answer.is_ok(), began.elapsed());
        match &answer {
            Ok(did) if did.count > 0 => {
                tracing::info!(?pass, done = did.count, "the worker did what was due");
            }
            Ok(_) => {}
            Err(problem) => {
                tracing::warn!(?pass, %problem, "the worker pauses");
                circuit.note(problem);
            }
        }
        pause = pass.pause(&answer, pause);
        tokio::select! {
            () = tokio::time::sleep(jittered(pause, random())) => {}
            () = app.db.told(), if matches!(pass, Pass::Deliver) => {}
            changed = stop.changed() => if changed.is_err() { break },
        }
    }
    looks.finish().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_in_trouble_to_less_than_ten_seconds_and_shrink_at_once() {
        let away = || Err(Problem::new(Code::StorageUnavailable, "away"));
        let mut pause = Pass::Look.pace();
        let mut pauses = Vec::new();
        for _ in 0..5 {
            pause = Pass::Look.pause(&away(), pause);
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 8, 8]);
        for n in 0..51 {
            assert!(jittered(pause, n) <= Duration::from_secs(10));
        }
        let first = Pass::WalkStaging.pause(&away(), WALK);
        assert!(first < WALK, "a walk in trouble does not sit out its pace");
        let did = |more| Ok(Did { count: 1, more });
        assert_eq!(Pass::Look.pause(&did(false), pause), POLL);
        assert_eq!(Pass::WalkStaging.pause(&did(true), pause), BETWEEN_PAGES);
        assert_eq!(Pass::WalkStaging.pause(&did(false), pause), WALK);
        assert_eq!(Pass::Forget.pause(&did(true), pause), BETWEEN_PAGES);
    }

    #[test]
    fn a_worker_that_begins_again_has_not_found_the_store_away() {
        let is_open = |open: &str| {
            let line = format!("putgate_store_circuit_open {open}\n");
            metrics().text().unwrap().contains(&line)
        };
        Circuit::new().note(&Problem::new(Code::StorageUnavailable, "away"));
        assert!(is_open("1"));
        drop(Circuit::new());
        assert!(is_open("0"));
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        let pauses: Vec<u128> = (0..1000)
            .map(|n| jittered(Duration::from_secs(1), n).as_millis())
            .collect();
        assert_eq!(pauses.iter().min(), Some(&750));
        assert_eq!(pauses.iter().max(), Some(&1250));
    }
}
