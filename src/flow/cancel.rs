//! Cancel: the owner gives a ticket up. The state first, the bytes after.

use std::sync::Arc;

use super::{App, look, sweep};
use crate::domain::caller::{Caller, Scope};
use crate::domain::ledger::{self, Ended};
use crate::domain::name::Id;
use crate::domain::problem::Problem;
use crate::domain::ticket::Ticket;

/// Cancels an open ticket; one that is cancelled already stays so.
pub async fn cancel(app: &Arc<App>, caller: &Caller, id: Id) -> Result<(), Problem> {
    caller.may(Scope::Upload)?;
    let ticket = look::own_ticket(app, caller, id).await?;
    end(app, &ticket).await
}

/// The same on behalf of its owner.
pub(super) async fn end(app: &Arc<App>, ticket: &Ticket) -> Result<(), Problem> {
    let id = ticket.id;
    let ended = app
        .db
        .write(ticket.footprint(), move |books, now| {
            ledger::cancel(books, now, id)
        })
        .await?;
    match ended {
        Ended::Now(ticket) => {
            app.announce(id);
            // Best effort, and not the caller's to wait for: the worker cleans what is left.
            let app = Arc::clone(app);
            tokio::spawn(async move { sweep::clean(&app, &ticket).await });
            Ok(())
        }
        Ended::Otherwise(ticket) => Err(ticket.closed_problem()),
        Ended::Unknown => Err(Problem::not_found()),
    }
}
