//! Claim: the app's backend takes files for an object of its own.

use super::{App, READS, look, moved};
use crate::domain::caller::{Caller, Scope};
use crate::domain::ledger::{self, Claim, Claimed};
use crate::domain::name::{Id, Owner, Ref};
use crate::domain::problem::Problem;

/// The most files of one claim.
pub const MAX_FILES: usize = 100;

/// Claims all of `ids` or none.
pub async fn claim(
    app: &App,
    caller: &Caller,
    owner: Owner,
    reference: Option<Ref>,
    mut ids: Vec<Id>,
) -> Result<Vec<Claimed>, Problem> {
    caller.may(Scope::Manage)?;
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() || ids.len() > MAX_FILES {
        return Err(Problem::invalid(format!("files: 1 to {MAX_FILES} ids")));
    }
    for _ in 0..READS {
        let mut slots = Vec::new();
        for id in &ids {
            let file = look::own_file(app, caller, *id)
                .await
                .map_err(|problem| problem.with("file", id.to_string()))?;
            if !slots.iter().any(|(name, _)| *name == file.slot) {
                let bound = app.slot(&file.slot).ok();
                let bound = bound.map(|slot| (slot.policy.max_entries, slot.policy.on_full));
                slots.push((file.slot, bound));
            }
        }
        let job = Claim {
            tenant: caller.tenant.clone(),
            owner: owner.clone(),
            reference: reference.clone(),
            ids: ids.clone(),
            slots,
        };
        let done = app
            .db
            .write(job.footprint(), move |books, now| {
                ledger::claim(books, now, &job)
            })
            .await?;
        if let Ok(outcome) = done {
            return outcome;
        }
    }
    Err(moved())
}
