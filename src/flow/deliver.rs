//! Deliver: sends the outbox's events to their receiver. Each is taken under a lease, sent
//! outside of any transaction, and settled; so a sender that dies between the receiver's 200
//! and the settling sends it once more, under the same id.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::App;
use crate::domain::books::{DueEvents, Footprint};
use crate::domain::ledger::{self, Replayed, Room, Taken};
use crate::domain::name::{Id, Tenant};
use crate::domain::outbox::{Answer, Next, Outgoing, SUSPECT, complaint};
use crate::domain::problem::Problem;
use crate::metrics::metrics;
use crate::webhook::Receiver;

/// How often the outbox is looked at when this process writes no event: another replica may
/// have, and tries come due.
pub const POLL: Duration = Duration::from_millis(500);
/// How many events are under way at once.
const AT_ONCE: usize = 32;
/// How many of them may be of one tenant.
const OF_ONE_TENANT: usize = 24;
/// How long what is under way may take when the app is to stop.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// What is under way: each task answers its event's tenant, and whether it was taken often.
#[derive(Default)]
struct UnderWay {
    tries: JoinSet<(Tenant, bool)>,
    busy: BTreeMap<Tenant, usize>,
    has_suspect: bool,
}

impl UnderWay {
    fn begin(&mut self, app: &Arc<App>, receiver: &Arc<Receiver>, event: Outgoing) {
        *self.busy.entry(event.tenant.clone()).or_default() += 1;
        let is_suspect = event.delivery.taken > SUSPECT;
        self.has_suspect |= is_suspect;
        let (app, receiver) = (Arc::clone(app), Arc::clone(receiver));
        self.tries.spawn(async move {
            try_once(&app, &receiver, &event).await;
            (event.tenant, is_suspect)
        });
    }

    fn end(&mut self, tenant: &Tenant, is_suspect: bool) {
        self.has_suspect &= !is_suspect;
        if let Some(count) = self.busy.get_mut(tenant) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(tenant);
            }
        }
    }

    /// The one tenant that can have no more, if there is one: two do not fit.
    fn crowding(&self) -> Option<Tenant> {
        let full = self.busy.iter().find(|(_, n)| **n >= OF_ONE_TENANT);
        full.map(|(tenant, _)| tenant.clone())
    }
}

/// Sends what is due, and what comes due meanwhile, until nothing is; answers how many tries
/// it made. Without a receiver there is nothing to do.
pub async fn deliver(app: &Arc<App>) -> Result<usize, Problem> {
    let Some(receiver) = app.receiver.get() else {
        return Ok(0);
    };
    let mut stopping = app.stopping();
    let mut under_way = UnderWay::default();
    let mut tried = 0;
    let trouble = loop {
        if *stopping.borrow() {
            break None;
        }
        match take(app, &under_way).await {
            Ok(Taken { events, given_up }) => {
                for event in events {
                    under_way.begin(app, receiver, event);
                }
                if !given_up.is_empty() {
                    given_up.iter().for_each(tell_of);
                    // What waited behind them is due.
                    continue;
                }
            }
            Err(problem) => break Some(problem),
        }
        if under_way.tries.is_empty() {
            break None;
        }
        tokio::select! {
            ended = under_way.tries.join_next() => {
                tried += note(&mut under_way, ended);
                while let Some(ended) = under_way.tries.try_join_next() {
                    tried += note(&mut under_way, Some(ended));
                }
            }
            () = app.db.told() => {}
            () = tokio::time::sleep(POLL) => {}
            _ = stopping.changed() => {}
        }
    };
    // What is under way is not cut off for a trouble of the database's; what a stop cuts off
    // goes out again after its lease.
    let last = last_moment(app);
    let rest = async {
        while let Some(ended) = under_way.tries.join_next().await {
            tried += note(&mut under_way, Some(ended));
        }
    };
    tokio::select! {
        () = rest => {}
        () = last => {}
    }
    match trouble {
        None => Ok(tried),
        Some(problem) => Err(problem),
    }
}

/// When the app is to stop, a little later.
async fn last_moment(app: &App) {
    let mut stopping = app.stopping();
    if stopping.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(LAST_ANSWERS).await;
}

/// Counts a task that ended. One that panicked does not say whose it was: its place stays
/// taken until the pass ends.
fn note(
    under_way: &mut UnderWay,
    ended: Option<Result<(Tenant, bool), tokio::task::JoinError>>,
) -> usize {
    match ended {
        Some(Ok((tenant, is_suspect))) => under_way.end(&tenant, is_suspect),
        Some(Err(error)) => tracing::error!(%error, "a try broke off"),
        None => return 0,
    }
    1
}

/// Says that an event was given up without an answer.
fn tell_of(event: &Outgoing) {
    metrics().delivered("dead");
    let (id, kind, taken) = (event.id, event.kind.as_str(), event.delivery.taken);
    let why = event.delivery.last_error.as_deref();
    tracing::error!(event = %id, kind, taken, why, "given up; `putgate webhook replay` sends it again");
}

async fn take(app: &App, under_way: &UnderWay) -> Result<Taken, Problem> {
    let room = Room {
        all: AT_ONCE.saturating_sub(under_way.tries.len()),
        per_tenant: OF_ONE_TENANT,
        busy: under_way.busy.clone(),
        has_suspect: under_way.has_suspect,
    };
    // Those that would have to wait for the one under way must not fill the places.
    let taken_less_than = if room.has_suspect { SUSPECT } else { u32::MAX };
    let but = under_way.crowding();
    // A look costs no transaction; most find nothing.
    if room.all == 0
        || !app
            .db
            .has_due_event(app.db.now(), but.as_ref(), taken_less_than)
            .await?
    {
        return Ok(Taken::default());
    }
    let due_events = Some(DueEvents {
        limit: u32::try_from(room.all).unwrap_or(u32::MAX),
        but,
        taken_less_than,
    });
    let footprint = Footprint {
        due_events,
        ..Footprint::default()
    };
    let taken = app
        .db
        .write(footprint, move |books, now| ledger::take(books, now, &room))
        .await?;
    Ok(taken)
}

async fn try_once(app: &App, receiver: &Receiver, event: &Outgoing) {
    // Receivers refuse what is minutes off: the one clock that all replicas go by, not this
    // machine's.
    let answer = receiver.send(event.id, &event.body, app.db.now()).await;
    let footprint = Footprint {
        events: vec![event.id],
        ..Footprint::default()
    };
    let (taken, said) = (event.clone(), answer.clone());
    let settled = app
        .db
        .write(footprint, move |books, now| {
            ledger::settle(books, now, &taken, &said)
        })
        .await;
    let (id, kind, tries) = (event.id, event.kind.as_str(), event.delivery.tries);
    let status = match answer {
        Answer::Status { status, .. } => Some(status),
        Answer::None(_) => None,
    };
    let why = complaint(&answer);
    metrics().delivered(match &settled {
        Ok(Some(Next::Delivered)) => "delivered",
        Ok(Some(Next::Again(_))) => "again",
        Ok(Some(Next::Dead)) => "dead",
        Ok(None) | Err(_) => "unsettled",
    });
    match settled {
        Ok(Some(Next::Delivered)) => tracing::debug!(event = %id, kind, tries, "delivered"),
        Ok(Some(Next::Again(pause))) => {
            tracing::warn!(event = %id, kind, tries, status, why, again_in_s = pause.0, "not delivered yet");
        }
        Ok(Some(Next::Dead)) => {
            tracing::error!(event = %id, kind, tries, status, why, "given up; `putgate webhook replay` sends it again");
        }
        Ok(None) => tracing::warn!(event = %id, kind, tries, "tried beyond its lease"),
        Err(error) => {
            tracing::warn!(event = %id, kind, tries, %error, "tried but not settled; it goes out again");
        }
    }
}

/// Makes an event due now, whatever became of it.
pub async fn replay(db: &crate::db::Db, id: Id) -> Result<Replayed, crate::db::DbError> {
    let footprint = Footprint {
        events: vec![id],
        ..Footprint::default()
    };
    db.write(footprint, move |books, now| ledger::replay(books, now, id))
        .await
}
