//! The deliveries: which events a sender takes, and what becomes of each.

use std::collections::BTreeMap;

use crate::domain::books::Books;
use crate::domain::name::{Id, Tenant};
use crate::domain::outbox::{
    Answer, Delivery, DeliveryState, Followers, LEASE, Next, Outgoing, complaint, next,
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
}

/// Takes due events for a try each, in the order of their turn. They are the sender's until
/// the lease ends.
pub fn take(books: &mut Books, now: Timestamp, room: &Room) -> Vec<Outgoing> {
    let outbox = books.outbox();
    let mut busy = room.busy.clone();
    let mut chosen: Vec<Id> = Vec::new();
    for event in outbox.due() {
        let of_tenant = busy.entry(event.tenant.clone()).or_default();
        if chosen.len() < room.all
            && *of_tenant < room.per_tenant
            && event.delivery.is_due(now)
            && !outbox.has_to_wait(event)
        {
            *of_tenant += 1;
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
        });
    }
    chosen
        .into_iter()
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
        delivery.next_try_at = Some(now);
        delivery.lease_until = None;
        delivery.settled_at = None;
    });
    outbox.move_followers(followers);
    Replayed::Due
}
