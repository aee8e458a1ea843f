//! Events on their way: the poll, the compare-and-set, and what a person reads of them.

use super::sql::{Binds, Conn, Kind, Statement, sql};
use super::{Db, DbError, load, rows, work};
use crate::domain::books::DueEvents;
use crate::domain::event::Event;
use crate::domain::name::{Id, Tenant};
use crate::domain::outbox::{Delivery, DeliveryState, LEASE, Outbox, Outgoing};
use crate::domain::time::{Seconds, Timestamp};

/// How long an event that cannot be read is left alone.
const UNREADABLE: Seconds = Seconds(600);

/// Which events may be sent at $1, but none of tenant $2: due, held by no other try, and the
/// first of their subject that is not settled.
fn may_go() -> String {
    format!(
        "e.state = 'pending' AND e.next_try_at <= $1 AND {} AND e.tenant IS DISTINCT FROM $2 \
         AND e.taken < $3 AND NOT EXISTS (SELECT 1 FROM events AS before \
           WHERE before.subject = e.subject AND before.seq < e.seq AND before.state = 'pending')",
        work::free("e.lease_until", LEASE)
    )
}

/// At most $4 of them, in the order of their turn; past those that another replica takes.
pub(super) fn due_sql(kind: Kind) -> String {
    let locked = match kind {
        Kind::Sqlite => "",
        Kind::Postgres => " FOR UPDATE OF e SKIP LOCKED",
    };
    format!(
        "SELECT {} FROM events AS e WHERE {} ORDER BY e.next_try_at LIMIT $4{locked}",
        rows::EVENT,
        may_go()
    )
}

/// In the order of its index, as above, so that no plan looks for the first in the whole table.
pub(super) fn any_due_sql() -> String {
    format!(
        "SELECT 1 AS due FROM events AS e WHERE {} ORDER BY e.next_try_at LIMIT 1",
        may_go()
    )
}

/// What waits behind event $3 of subject $2.
pub(super) const MOVE_FOLLOWERS: &str = "UPDATE events SET next_try_at = $1 \
     WHERE subject = $2 AND seq > $3 AND state = 'pending' AND tries = 0";

/// Gives those of `which` that were born behind an event that waits the turn of that one. No
/// event is late by it: each settling before them moves it again.
pub(super) fn queue_up_sql(which: &str) -> String {
    const BEFORE: &str = "FROM events AS w WHERE w.subject = events.subject AND w.seq < events.seq \
         AND w.state = 'pending'";
    format!(
        "UPDATE events SET next_try_at = (SELECT max(w.next_try_at) {BEFORE}) WHERE id {which} \
         AND EXISTS (SELECT 1 {BEFORE} AND w.next_try_at > events.next_try_at)"
    )
}

/// Events that were just written wait with those before them: otherwise the poll would read
/// them again and again while they may not go. What another replica settles at this moment is
/// not seen; its followers then wait for the try after that.
pub(super) async fn queue_up(conn: &mut Conn, written: &[Event]) -> Result<(), DbError> {
    let later: Vec<Id> = written.iter().filter(|e| e.seq > 1).map(|e| e.id).collect();
    for ids in later.chunks(512) {
        if conn.kind() == Kind::Postgres {
            let rows = ids.iter().map(|id| {
                let mut row = Binds::default();
                row.add(*id);
                row
            });
            let text = queue_up_sql("= ANY($1)");
            conn.run_on_columns(text, rows.collect()).await?;
        } else {
            let (holes, ids) = load::in_list(&ids.iter().copied().collect());
            let text = sql(queue_up_sql(&format!("IN ({holes})")));
            conn.run(ids.into_iter().fold(text, Statement::bind))
                .await?;
        }
    }
    Ok(())
}

/// Loads the events that a sender may take.
pub(super) async fn load_due(
    conn: &mut Conn,
    outbox: &mut Outbox,
    due: &DueEvents,
    now: Timestamp,
) -> Result<(), DbError> {
    let found = sql(due_sql(conn.kind()))
        .bind(now.millis())
        .bind(due.but.as_ref().map(Tenant::as_str))
        .bind(due.taken_less_than)
        .bind(due.limit);
    for row in conn.all(found).await? {
        match rows::event(&row) {
            Ok(event) => outbox.load_due(event),
            // Somebody else's hand, or another release's: it must not keep all others, nor
            // stand before them at the next poll.
            Err(error) => {
                let id: Id = row.get("id")?;
                tracing::error!(event = %id, %error, "an event cannot be read and is left alone");
                let later = sql("UPDATE events SET next_try_at = $1 WHERE id = $2")
                    .bind(now.plus(UNREADABLE).millis())
                    .bind(id);
                conn.run(later).await?;
            }
        }
    }
    Ok(())
}

/// Writes what changed.
pub(super) async fn write(conn: &mut Conn, outbox: &Outbox) -> Result<(), DbError> {
    for (event, before) in outbox.changed() {
        update(conn, event, before).await?;
    }
    for followers in outbox.followers() {
        let moved = sql(MOVE_FOLLOWERS)
            .bind(followers.next_try_at.millis())
            .bind(followers.subject)
            .bind(followers.seq);
        conn.run(moved).await?;
    }
    Ok(())
}

/// The compare-and-set: only the try that the decision saw.
async fn update(conn: &mut Conn, event: &Outgoing, before: &Delivery) -> Result<(), DbError> {
    let millis = |moment: Option<Timestamp>| moment.map(Timestamp::millis);
    let after = &event.delivery;
    let update = sql(
        "UPDATE events SET state = $1, tries = $2, next_try_at = $3, lease_until = $4, \
           settled_at = $5, last_status = $6, last_error = $7, taken = $8 \
         WHERE id = $9 AND state = $10 AND tries = $11 AND lease_until IS NOT DISTINCT FROM $12",
    )
    .bind(after.state.as_str())
    .bind(after.tries)
    .bind(millis(after.next_try_at))
    .bind(millis(after.lease_until))
    .bind(millis(after.settled_at))
    .bind(after.last_status.map(i64::from))
    .bind(after.last_error.as_deref())
    .bind(after.taken)
    .bind(event.id)
    .bind(before.state.as_str())
    .bind(before.tries)
    .bind(millis(before.lease_until));
    if conn.run(update).await? == 1 {
        Ok(())
    } else {
        Err(DbError::Unavailable(format!(
            "event {} moved under its lock",
            event.id
        )))
    }
}

impl Db {
    /// Whether there is an event to send, leaving those of one tenant out: the look before the
    /// transaction that takes it.
    pub async fn has_due_event(
        &self,
        now: Timestamp,
        but: Option<&Tenant>,
        taken_less_than: u32,
    ) -> Result<bool, DbError> {
        let due = sql(any_due_sql())
            .bind(now.millis())
            .bind(but.map(Tenant::as_str))
            .bind(taken_less_than);
        Ok(self.readers.first(due).await?.is_some())
    }

    /// The events of a subject and how far their delivery has come, by `seq`.
    pub async fn deliveries(&self, subject: Id) -> Result<Vec<Outgoing>, DbError> {
        let text = format!(
            "SELECT {} FROM events WHERE subject = $1 ORDER BY seq",
            rows::EVENT
        );
        let found = self.readers.all(sql(text).bind(subject)).await?;
        found.iter().map(rows::event).collect()
    }

    /// What an event is about.
    pub async fn subject_of(&self, event: Id) -> Result<Option<Id>, DbError> {
        let text = "SELECT subject FROM events WHERE id = $1";
        let row = self.readers.first(sql(text).bind(event)).await?;
        row.map(|row| row.get("subject")).transpose()
    }

    /// Events in one of these states, oldest first, after an id.
    pub async fn outbox(
        &self,
        states: &[DeliveryState],
        after: Option<Id>,
        limit: u32,
    ) -> Result<Vec<Outgoing>, DbError> {
        let names: Vec<String> = states
            .iter()
            .map(|state| format!("'{}'", state.as_str()))
            .collect();
        let found = sql(format!(
            "SELECT {} FROM events WHERE state IN ({}) AND id > $1 ORDER BY id LIMIT $2",
            rows::EVENT,
            names.join(", "),
        ))
        .bind(after.unwrap_or(Id::nil()))
        .bind(limit);
        let found = self.readers.all(found).await?;
        found.iter().map(rows::event).collect()
    }
}
