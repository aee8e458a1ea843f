//! Delete: gone for readers now; sweep removes the bytes.

use super::{App, READS, look, moved};
use crate::domain::caller::{Caller, Scope};
use crate::domain::file::File;
use crate::domain::ledger;
use crate::domain::name::Id;
use crate::domain::problem::Problem;

/// Which files may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// Whichever.
    Any,
    /// Those that the app has not claimed.
    Unclaimed,
}

/// Turns a file into a tombstone; one that is one already stays so.
pub async fn delete(app: &App, caller: &Caller, id: Id) -> Result<(), Problem> {
    delete_only(app, caller, id, Only::Any).await
}

/// The same unless the file is one that must stay, at the moment it would go.
pub async fn delete_only(app: &App, caller: &Caller, id: Id, only: Only) -> Result<(), Problem> {
    caller.may(Scope::Delete)?;
    let stays = move |file: &File| only == Only::Unclaimed && file.claimed_at.is_some();
    for _ in 0..READS {
        let file = look::own_file_or_tombstone(app, caller, id).await?;
        if !file.is_live() || stays(&file) {
            return Ok(());
        }
        let done = app
            .db
            .write(file.footprint(), move |books, now| {
                if books.file(id).is_some_and(stays) {
                    return Ok(());
                }
                ledger::delete(books, now, id).map(drop)
            })
            .await?;
        if done.is_ok() {
            return Ok(());
        }
    }
    Err(moved())
}
