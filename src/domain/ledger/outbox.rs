//! The deliveries: which events a sender takes, and what becomes of each.

use std::collections::BTreeMap;

use crate::domain::books::Books;
use crate::domain::name::{Id, Tenant};
use crate::domain::outbox::{
    Answer, Delivery, DeliveryState, Followers, LEASE, MOST_TAKEN, Next, Outbox, Outgoing, SUSPECT,
    complaint, next,
};
use crate::domain::time::Timestamp;

/// How many events a sender has room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// In all.
    pub all: usize,
    /// Of one tenant, those below included: a receiver that hangs on one tenant's events
    /// must not keep everybody else's.
    pub per_tenant: usize,
    /// What the sender is sending already.
    pub busy: BTreeMap<Tenant, usize>,
    /// Whether one is under way that was [taken often](crate::domain::outbox::SUSPECT).
    pub has_suspect: bool,
}

/// What a sender took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// To be sent; the sender's until the lease ends.
    pub events: Vec<Outgoing>,
    /// Given up, since nobody who took them ever said what came of it.
    pub given_up: Vec<Outgoing>,
}

/// Takes due events for a try each, in the order of their turn.
pub fn take(books: &mut Books, now: Timestamp, room: &Room) -> Taken {
    let outbox = books.outbox();
    let mut busy = room.busy.clone();
    let mut chosen: Vec<Id> = Vec::new();
    let mut hopeless: Vec<Outgoing> = Vec::new();
    let mut has_suspect = room.has_suspect;
    for event in outbox.due() {
        if event.delivery.is_due(now) && event.delivery.taken >= MOST_TAKEN {
            hopeless.push(event.clone());
            continue;
        }
        let of_tenant = busy.entry(event.tenant.clone()).or_default();
        let is_suspect = event.delivery.taken >= SUSPECT;
        if chosen.len() < room.all
            && !(is_suspect && has_suspect)
            && *of_tenant < room.per_tenant
            && event.delivery.is_due(now)
            && !outbox.has_to_wait(event)
        {
            *of_tenant += 1;
            has_suspect |= is_suspect;
            chosen.push(event.id);
        }
    }
    let outbox = books.outbox_mut();
    for id in &chosen {
        outbox.change(*id, |delivery| {
            // A lease that is still there was left by a sender that died: nobody knows what
            // the receiver said, and its schedule must not run out by our own deaths.
            if delivery.lease_until.is_none() {
                delivery.tries += 1;
            }
            delivery.lease_until = Some(now.plus(LEASE));
            delivery.taken += 1;
        });
    }
    for event in &hopeless {
        outbox.change(event.id, |delivery| {
            delivery.state = DeliveryState::Dead;
            delivery.next_try_at = None;
            delivery.lease_until = None;
            delivery.settled_at = Some(now);
            delivery.last_error = Some(format!(
                "its sender ended {MOST_TAKEN} times before it could say what came of it"
            ));
        });
        outbox.move_followers(Followers {
            subject: event.subject,
            seq: event.seq,
            next_try_at: now,
        });
    }
    Taken {
        events: rows(outbox, chosen),
        given_up: rows(outbox, hopeless.into_iter().map(|event| event.id)),
    }
}

fn rows(outbox: &Outbox, ids: impl IntoIterator<Item = Id>) -> Vec<Outgoing> {
    ids.into_iter()
        .filter_map(|id| outbox.get(id).cloned())
        .collect()
}

/// What a try came to, or `None` when another sender has the event by now.
pub fn settle(
    books: &mut Books,
    now: Timestamp,
    taken: &Outgoing,
    answer: &Answer,
) -> Option<Next> {
    let outbox = books.outbox_mut();
    if !outbox.get(taken.id).is_some_and(|row| is_ours(row, taken)) {
        return None;
    }
    let follows = next(answer, taken.delivery.tries, taken.id);
    let again_at = match follows {
        Next::Again(pause) => Some(now.plus(pause)),
        Next::Delivered | Next::Dead => None,
    };
    outbox.change(taken.id, |delivery| {
        *delivery = Delivery {
            state: match follows {
                Next::Delivered => DeliveryState::Delivered,
                Next::Again(_) => DeliveryState::Pending,
                Next::Dead => DeliveryState::Dead,
            },
            tries: delivery.tries,
            next_try_at: again_at,
            lease_until: None,
            settled_at: again_at.is_none().then_some(now),
            last_status: match answer {
                Answer::Status { status, .. } => Some(*status),
                Answer::None(_) => None,
            },
            last_error: complaint(answer),
            taken: 0,
        };
    });
    outbox.move_followers(Followers {
        subject: taken.subject,
        seq: taken.seq,
        next_try_at: again_at.unwrap_or(now),
    });
    Some(follows)
}

/// The number of the try and its lease are the fencing token; whoever takes the same try again
/// has a lease of their own.
fn is_ours(row: &Outgoing, taken: &Outgoing) -> bool {
    row.delivery.state == DeliveryState::Pending
        && row.delivery.tries == taken.delivery.tries
        && row.delivery.lease_until == taken.delivery.lease_until
}

/// What came of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// It is due now, with all its tries before it.
    Due,
    /// A sender has it at this moment.
    Held,
    /// No event has that id.
    Unknown,
}

/// Makes an event due now, whatever became of it: delivered, dead or still waiting.
pub fn replay(books: &mut Books, now: Timestamp, id: Id) -> Replayed {
    let outbox = books.outbox_mut();
    let Some(event) = outbox.get(id) else {
        return Replayed::Unknown;
    };
    if event.delivery.is_held(now) {
        return Replayed::Held;
    }
    let followers = Followers {
        subject: event.subject,
        seq: event.seq,
        next_try_at: now,
    };
    outbox.change(id, |delivery| {
        delivery.state = DeliveryState::Pending;
        delivery.tries = 0;
        delivery.taken = 0;
        delivery.next_try_at = Some(now);
        delivery.lease_until = None;
        delivery.settled_at = None;
    });
    outbox.move_followers(followers);
    Replayed::Due
}
