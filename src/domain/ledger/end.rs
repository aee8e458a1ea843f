//! How tickets end without a file: rejected, expired, cancelled.

use super::{accounts, release_reservation};
use crate::domain::books::Books;
use crate::domain::event::Event;
use crate::domain::name::Id;
use crate::domain::problem::{Code, Problem};
use crate::domain::ticket::{AFTER_TROUBLE, State, Ticket};
use crate::domain::time::{Seconds, Timestamp};

/// What became of a request to end a ticket.
#[derive(Clone, Debug)]
pub enum Ended {
    /// It ended now, or had ended this very way.
    Now(Box<Ticket>),
    /// It had ended otherwise, or another attempt holds it.
    Otherwise(Box<Ticket>),
    /// There is no such ticket.
    Unknown,
}

/// The verdict was negative: attempt `epoch` closes its ticket.
pub fn reject(books: &mut Books, now: Timestamp, id: Id, epoch: u32, problem: &Problem) -> Ended {
    match books.ticket(id) {
        None => Ended::Unknown,
        Some(t) if t.state == State::Open && t.epoch == epoch => {
            end_ticket(books, id, State::Rejected, problem, now)
        }
        Some(t) if t.state == State::Rejected && t.epoch == epoch => {
            Ended::Now(Box::new(t.clone()))
        }
        Some(t) => Ended::Otherwise(Box::new(t.clone())),
    }
}

/// Nothing arrived: attempt `epoch`, past the grace, closes its ticket.
pub fn expire(books: &mut Books, now: Timestamp, id: Id, epoch: u32) -> Ended {
    expire_because(books, now, id, epoch, "nothing arrived")
}

/// What arrived cannot be read, though the store lets other objects be read: attempt
/// `epoch`, past help, closes its ticket.
pub fn expire_unreadable(books: &mut Books, now: Timestamp, id: Id, epoch: u32) -> Ended {
    match books.ticket(id) {
        Some(t) if t.state == State::Open && !t.is_past_help(now) => {
            Ended::Otherwise(Box::new(t.clone()))
        }
        _ => expire_because(books, now, id, epoch, "nothing that can be read arrived"),
    }
}

fn expire_because(books: &mut Books, now: Timestamp, id: Id, epoch: u32, why: &str) -> Ended {
    match books.ticket(id) {
        None => Ended::Unknown,
        Some(t) if t.state == State::Open && t.epoch == epoch && t.is_past_grace(now) => {
            let detail = format!("{why} until {}", t.expires_at);
            let problem = Problem::new(Code::TicketExpired, detail);
            end_ticket(books, id, State::Expired, &problem, now)
        }
        Some(t) if t.state == State::Expired => Ended::Now(Box::new(t.clone())),
        Some(t) => Ended::Otherwise(Box::new(t.clone())),
    }
}

/// Its owner gives it up. A running attempt loses: its commit finds the ticket closed.
pub fn cancel(books: &mut Books, now: Timestamp, id: Id) -> Ended {
    match books.ticket(id) {
        None => Ended::Unknown,
        Some(t) if t.state == State::Open => {
            let problem = Problem::new(Code::TicketClosed, "cancelled by its owner")
                .with("state", State::Cancelled.as_str());
            end_ticket(books, id, State::Cancelled, &problem, now)
        }
        Some(t) if t.state == State::Cancelled => Ended::Now(Box::new(t.clone())),
        Some(t) => Ended::Otherwise(Box::new(t.clone())),
    }
}

/// The worker looked and found nothing to decide: when it looks again, and what it saw.
/// Its attempt gave its lease back before; one that is there now is somebody else's.
pub fn look_later(books: &mut Books, now: Timestamp, id: Id, epoch: u32, note: &str) {
    if books
        .ticket(id)
        .is_some_and(|t| t.state == State::Open && t.epoch == epoch)
    {
        books.change_ticket(id, |t| {
            t.checks += 1;
            t.next_check_at = Some(t.next_look(now));
            t.note = Some(note.to_owned());
        });
    }
}

/// Store or database were in trouble, which is not the ticket's: it is looked at again soon,
/// and its own pauses do not grow.
pub fn look_soon(books: &mut Books, now: Timestamp, id: Id, epoch: u32, note: &str) {
    if books
        .ticket(id)
        .is_some_and(|t| t.state == State::Open && t.epoch == epoch)
    {
        books.change_ticket(id, |t| {
            t.next_check_at = Some(now.plus(AFTER_TROUBLE));
            t.note = Some(note.to_owned());
        });
    }
}

/// How long the store is left alone with what it would not delete.
const CLEAN_AGAIN: Seconds = Seconds(300);

/// A closed ticket's leftovers are still there: when the worker tries again, so that those
/// it cannot remove do not stand before those it can.
pub fn clean_later(books: &mut Books, now: Timestamp, id: Id) {
    if books.ticket(id).is_some_and(|t| t.clean_at.is_some()) {
        books.change_ticket(id, |t| t.clean_at = Some(now.plus(CLEAN_AGAIN)));
    }
}

/// The same for the bytes of a tombstone.
pub fn purge_later(books: &mut Books, now: Timestamp, id: Id) {
    if books.file(id).is_some_and(|f| f.purge_at.is_some()) {
        books.change_file(id, |f| f.purge_at = Some(now.plus(CLEAN_AGAIN)));
    }
}

/// A closed ticket's leftovers are gone.
pub fn cleaned(books: &mut Books, id: Id) {
    if books
        .ticket(id)
        .is_some_and(|t| t.state != State::Open && t.clean_at.is_some())
    {
        books.change_ticket(id, |t| {
            t.clean_at = None;
            t.multipart_id = None;
            t.promote_key = None;
            t.promote_upload_id = None;
        });
    }
}

/// Closes an open ticket: gives its room back and writes its one event.
pub(super) fn end_ticket(
    books: &mut Books,
    id: Id,
    state: State,
    problem: &Problem,
    now: Timestamp,
) -> Ended {
    let Some(ticket) = books.ticket(id).cloned() else {
        return Ended::Unknown;
    };
    let size = ticket.size;
    books.post_all(&accounts(&ticket), |usage| release_reservation(usage, size));
    let cools = matches!(state, State::Rejected | State::Cancelled);
    if cools {
        books.cool(&ticket.tenant, &ticket.owner);
    }
    books.change_ticket(id, |t| {
        t.state = state;
        t.problem = Some(problem.clone());
        t.closed_at = Some(now);
        t.clean_at = Some(now);
        t.cooling_until = cools.then(|| now.plus(t.policy.url_ttl));
        t.lease_until = None;
        t.next_check_at = None;
        t.note = Some(problem.detail.clone());
    });
    let event_id = books.new_id();
    let Some(ticket) = books.ticket(id).cloned() else {
        return Ended::Unknown;
    };
    books.tell(Event::closed(event_id, &ticket, None, now));
    Ended::Now(Box::new(ticket))
}
