//! Holding a lease: renewed at a third of its length for as long as the attempt runs, and
//! lost for good when a renewal fails or comes too late.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::App;
use crate::domain::ledger;
use crate::domain::ticket::{LEASE, Ticket};
use crate::store::StoreError;

/// When a lease ends unless it is renewed; `None` once it is lost.
#[derive(Clone, Debug)]
struct Until(Arc<Mutex<Option<Instant>>>);

impl Until {
    fn set(&self, end: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    /// By the clock, not by word of the keeper: a process that stood still and goes on may
    /// run the attempt before it.
    fn is_ahead(&self) -> bool {
        let end = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        end.is_some_and(|end| Instant::now() < end)
    }
}

/// An attempt's right to go on. Dropping it stops the renewals.
#[derive(Debug)]
pub(super) struct Lease {
    until: Until,
    keeper: JoinHandle<()>,
}

impl Lease {
    /// Keeps the lease that `ticket`'s present epoch stands for, asked for at `asked`.
    pub(super) fn keep(app: &Arc<App>, ticket: &Ticket, asked: Instant) -> Self {
        let lease = LEASE.duration();
        let until = Until(Arc::new(Mutex::new(Some(asked + lease))));
        let keeper = {
            let (app, until, row) = (Arc::clone(app), until.clone(), ticket.row());
            let (id, epoch) = (ticket.id, ticket.epoch);
            tokio::spawn(async move {
                let mut renewed = asked;
                loop {
                    tokio::time::sleep_until(renewed + lease / 3).await;
                    let asked = Instant::now();
                    // Woken too late (a stopped process, a suspended machine): somebody
                    // else may hold it by now, and nobody here may think otherwise.
                    if asked.duration_since(renewed) >= lease {
                        break;
                    }
                    let renewal = app.db.write(row.clone(), move |books, now| {
                        ledger::renew(books, now, id, epoch)
                    });
                    match tokio::time::timeout_at(renewed + lease, renewal).await {
                        Ok(Ok(true)) => {
                            renewed = asked;
                            until.set(Some(renewed + lease));
                        }
                        Ok(Err(error)) if asked.duration_since(renewed) < lease / 2 => {
                            tracing::warn!(ticket = %id, %error, "a lease was not renewed; trying again");
                            tokio::time::sleep(lease / 10).await;
                        }
                        _ => break,
                    }
                }
                until.set(None);
                tracing::warn!(ticket = %id, epoch, "an attempt lost its lease");
            })
        };
        Self { until, keeper }
    }

    /// Whether the attempt may still act.
    pub(super) fn is_held(&self) -> bool {
        self.until.is_ahead()
    }

    /// To be asked before every store call.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.is_held() {
            Ok(())
        } else {
            Err(StoreError::Stopped)
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keeper of a process that was stopped has not run yet.
    #[tokio::test]
    async fn a_lease_ends_by_the_clock_even_before_its_keeper_wakes() {
        let now = Instant::now();
        let until = Until(Arc::new(Mutex::new(Some(now + LEASE.duration()))));
        let keeper = tokio::spawn(std::future::pending());
        let lease = Lease { until, keeper };
        assert!(lease.is_held());
        lease.until.set(Some(now));
        assert!(!lease.is_held());
        assert!(lease.check().is_err());
    }
}
