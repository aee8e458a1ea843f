//! Whether the database takes writes, as far as the writer's last transactions tell. An outage
//! is said once when it begins and once when it ends, however many writes it refuses.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::DbError;
use crate::metrics::metrics;

/// How long a write that succeeded speaks for the next one.
const PROVEN: Duration = Duration::from_secs(5);

/// For how long a write that was refused speaks for the next one of who only asks.
const REFUSED: Duration = Duration::from_secs(1);

/// What the writer learnt last.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When rows were written last.
    wrote: Option<Instant>,
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    refused: usize,
    /// When a write was refused last, and why.
    last: (Instant, DbError),
}

impl Standing {
    /// Whether rows were written a moment ago, and no write has failed since.
    pub(super) fn is_proven(&self) -> bool {
        let state = self.state();
        state.outage.is_none() && state.wrote.is_some_and(|at| at.elapsed() < PROVEN)
    }

    /// Whether no write has failed since the last one that the database took.
    pub(super) fn is_well(&self) -> bool {
        self.state().outage.is_none()
    }

    /// What refused a write a moment ago, if the last one was refused.
    pub(super) fn refused_just_now(&self) -> Option<DbError> {
        let state = self.state();
        let (at, error) = &state.outage.as_ref()?.last;
        (at.elapsed() < REFUSED).then(|| error.clone())
    }

    /// Rows were written.
    pub(super) fn wrote(&self) {
        let mut state = self.state();
        state.wrote = Some(Instant::now());
        let Some(outage) = state.outage.take() else {
            return;
        };
        metrics().writable(true);
        let seconds = outage.since.elapsed().as_secs();
        let refused = outage.refused;
        tracing::info!(refused, seconds, "the database takes writes again");
    }

    /// So many writes were refused.
    pub(super) fn refused(&self, error: &DbError, members: usize) {
        let mut state = self.state();
        state.wrote = None;
        if let DbError::Inconsistent(_) | DbError::Contended(_) = error {
            // Its rows are at fault, or those who hold them, and no other write's.
            tracing::error!(%error, members, "a write failed");
            return;
        }
        if let Some(outage) = &mut state.outage {
            outage.refused += members;
            outage.last = (Instant::now(), error.clone());
            tracing::debug!(%error, members, "a write failed");
            return;
        }
        state.outage = Some(Outage {
            since: Instant::now(),
            refused: members,
            last: (Instant::now(), error.clone()),
        });
        metrics().writable(false);
        tracing::error!(
            %error,
            members,
            "the database takes no writes; said once, until it does"
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
