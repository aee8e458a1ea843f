//! Holding a lease: renewed at a third of its length for as long as the attempt runs, and
//! lost for good when a renewal fails or comes too late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::App;
use crate::domain::ledger;
use crate::domain::ticket::{LEASE, Ticket};
use crate::store::StoreError;

/// An attempt's right to go on. Dropping it stops the renewals.
#[derive(Debug)]
pub(super) struct Lease {
    held: Arc<AtomicBool>,
    keeper: JoinHandle<()>,
}

impl Lease {
    /// Keeps the lease that `ticket`'s present epoch stands for.
    pub(super) fn keep(app: &Arc<App>, ticket: &Ticket) -> Self {
        let held = Arc::new(AtomicBool::new(true));
        let keeper = {
            let (app, held, row) = (Arc::clone(app), Arc::clone(&held), ticket.row());
            let (id, epoch) = (ticket.id, ticket.epoch);
            tokio::spawn(async move {
                let lease = LEASE.duration();
                let mut renewed = Instant::now();
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
                        Ok(Ok(true)) => renewed = asked,
                        Ok(Err(error)) if asked.duration_since(renewed) < lease / 2 => {
                            tracing::warn!(ticket = %id, %error, "a lease was not renewed; trying again");
                            tokio::time::sleep(lease / 10).await;
                        }
                        _ => break,
                    }
                }
                held.store(false, Ordering::SeqCst);
                tracing::warn!(ticket = %id, epoch, "an attempt lost its lease");
            })
        };
        Self { held, keeper }
    }

    /// Whether the attempt may still act.
    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
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
