//! Complete: verify and commit now, for a caller who waits.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::attempt::{Outcome, attempt_on};
use super::{App, deadline, look, sweep};
use crate::domain::caller::{Caller, Scope};
use crate::domain::file::File;
use crate::domain::name::Id;
use crate::domain::problem::Problem;
use crate::domain::ticket::{State, Ticket};
use crate::traces::{self, step};

/// How many attempts a caller's bytes may keep changing under.
const ATTEMPTS: usize = 5;

/// What a completion came to.
#[derive(Debug)]
pub enum Completed {
    /// Committed: the ticket and its file, unless that has ended since.
    Committed(Box<Ticket>, Option<Box<File>>),
    /// Still being judged; ask again.
    Working(Box<Ticket>),
}

/// Attempts the ticket until it is closed or `wait` seconds have passed. Repeats its
/// outcome when it was closed before.
pub async fn complete(
    app: &Arc<App>,
    caller: &Caller,
    id: Id,
    wait: u32,
) -> Result<Completed, Problem> {
    caller.may(Scope::Upload)?;
    let ticket = look::own_ticket(app, caller, id).await?;
    let span = step!("complete", id);
    let completed = pursue(app, caller, ticket, wait).instrument(span.clone());
    traces::ended(&span, completed.await)
}

async fn pursue(
    app: &Arc<App>,
    caller: &Caller,
    mut ticket: Ticket,
    wait: u32,
) -> Result<Completed, Problem> {
    let id = ticket.id;
    let until = deadline(wait);
    let mut tries = 0;
    while ticket.state == State::Open {
        if tries == ATTEMPTS || (tries > 0 && Instant::now() >= until) {
            return Ok(Completed::Working(Box::new(ticket)));
        }
        tries += 1;
        let Ok(outcome) = timeout_at(until, attempt_on(app, &ticket)).await else {
            return Ok(Completed::Working(Box::new(ticket)));
        };
        match outcome {
            Outcome::Closed(closed) => ticket = *closed,
            Outcome::Busy => {
                // The other attempt may also end without a decision: then it is our turn.
                let busy = |ticket: &Ticket| {
                    let held = ticket.is_leased(app.db.now()) || app.turns.has_queued(id);
                    ticket.state == State::Open && held
                };
                loop {
                    let glance = until.min(Instant::now() + look::GLANCE.duration());
                    ticket = look::wait_closed(app, ticket, glance).await?;
                    if !busy(&ticket) || Instant::now() >= until || *app.stopping().borrow() {
                        break;
                    }
                }
                if busy(&ticket) {
                    return Ok(Completed::Working(Box::new(ticket)));
                }
            }
            Outcome::Again => {}
            Outcome::Missing(missed, problem) => {
                let late = missed.is_past_grace(app.db.now());
                if !late || !sweep::expire(app, &missed).await {
                    return Err(problem);
                }
                ticket = look::own_ticket(app, caller, id).await?;
            }
            Outcome::Unavailable(problem) | Outcome::Unreadable(_, problem) => {
                return Err(problem);
            }
            Outcome::Unknown => return Err(Problem::not_found()),
        }
    }
    match look::with_file(app, ticket).await? {
        (ticket, file) if ticket.state == State::Committed => {
            Ok(Completed::Committed(Box::new(ticket), file.map(Box::new)))
        }
        (ticket, _) => Err(ticket.closed_problem()),
    }
}
