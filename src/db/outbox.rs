//! Events on their way: the poll, the compare-and-set, and what a person reads of them.

use super::sql::{Conn, Kind, sql};
use super::{Db, DbError, rows};
use crate::domain::books::DueEvents;
use crate::domain::name::{Id, Tenant};
use crate::domain::outbox::{Delivery, DeliveryState, Outbox, Outgoing};
use crate::domain::time::Timestamp;

/// Which events may be sent at $1, but none of tenant $2: due, held by no other try, and the
/// first of their subject that is not settled.
const MAY_GO: &str = "e.state = 'pending' AND e.next_try_at <= $1 \
     AND (e.lease_until IS NULL OR e.lease_until <= $1) \
     AND e.tenant IS DISTINCT FROM $2 \
     AND NOT EXISTS (SELECT 1 FROM events AS before \
       WHERE before.subject = e.subject AND before.seq < e.seq AND before.state = 'pending')";

/// At most $3 of them, in the order of their turn; past those that another replica takes.
pub(super) fn due_sql(kind: Kind) -> String {
    let locked = match kind {
        Kind::Sqlite => "",
        Kind::Postgres => " FOR UPDATE OF e SKIP LOCKED",
    };
    format!(
        "SELECT {} FROM events AS e WHERE {MAY_GO} ORDER BY e.next_try_at LIMIT $3{locked}",
        rows::EVENT
    )
}

pub(super) fn any_due_sql() -> String {
    format!("SELECT 1 AS due FROM events AS e WHERE {MAY_GO} LIMIT 1")
}

/// What waits behind event $3 of subject $2.
pub(super) const MOVE_FOLLOWERS: &str = "UPDATE events SET next_try_at = $1 \
     WHERE subject = $2 AND seq > $3 AND state = 'pending' AND tries = 0";

/// Events that were due before $1, when nobody is there to deliver them.
pub(super) fn forget_undelivered(skip_locked: &str) -> String {
    format!(
        "DELETE FROM events WHERE id IN (SELECT id FROM events \
           WHERE state = 'pending' AND next_try_at < $1 LIMIT 500{skip_locked})"
    )
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
        .bind(due.limit);
    for row in conn.all(found).await? {
        outbox.load_due(rows::event(&row)?);
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
           settled_at = $5, last_status = $6, last_error = $7 \
         WHERE id = $8 AND state = $9 AND tries = $10 AND lease_until IS NOT DISTINCT FROM $11",
    )
    .bind(after.state.as_str())
    .bind(after.tries)
    .bind(millis(after.next_try_at))
    .bind(millis(after.lease_until))
    .bind(millis(after.settled_at))
    .bind(after.last_status.map(i64::from))
    .bind(after.last_error.as_deref())
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
    ) -> Result<bool, DbError> {
        let due = sql(any_due_sql())
            .bind(now.millis())
            .bind(but.map(Tenant::as_str));
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
