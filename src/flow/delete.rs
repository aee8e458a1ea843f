//! Delete: gone for readers now; sweep removes the bytes.

use super::{App, READS, look, moved};
use crate::domain::caller::{Caller, Scope};
use crate::domain::ledger;
use crate::domain::name::Id;
use crate::domain::problem::Problem;

/// Turns a file into a tombstone; one that is one already stays so.
pub async fn delete(app: &App, caller: &Caller, id: Id) -> Result<(), Problem> {
    caller.may(Scope::Delete)?;
    for _ in 0..READS {
        let file = look::own_file_or_tombstone(app, caller, id).await?;
        if !file.is_live() {
            return Ok(());
        }
        let done = app
            .db
            .write(file.footprint(), move |books, now| {
                ledger::delete(books, now, id)
            })
            .await?;
        if done.is_ok() {
            return Ok(());
        }
    }
    Err(moved())
}
