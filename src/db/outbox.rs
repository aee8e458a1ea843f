//! Events on their way: the poll, the compare-and-set, and what a person reads of them.

use sqlx::{AssertSqlSafe, SqliteConnection};

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

/// At most $3 of them, in the order of their turn.
pub(super) fn due_sql() -> String {
    format!(
        "SELECT {} FROM events AS e WHERE {MAY_GO} ORDER BY e.next_try_at LIMIT $3",
        rows::EVENT
    )
}

pub(super) fn any_due_sql() -> String {
    format!("SELECT 1 FROM events AS e WHERE {MAY_GO} LIMIT 1")
}

/// What waits behind event $3 of subject $2.
pub(super) const MOVE_FOLLOWERS: &str = "UPDATE events SET next_try_at = $1 \
     WHERE subject = $2 AND seq > $3 AND state = 'pending' AND tries = 0";

/// Events that were due before $1, when nobody is there to deliver them.
pub(super) const FORGET_UNDELIVERED: &str = "DELETE FROM events WHERE id IN (\
     SELECT id FROM events WHERE state = 'pending' AND next_try_at < $1 LIMIT 500)";

/// Loads the events that a sender may take.
pub(super) async fn load_due(
    connection: &mut SqliteConnection,
    outbox: &mut Outbox,
    due: &DueEvents,
    now: Timestamp,
) -> Result<(), DbError> {
    let found = sqlx::query(AssertSqlSafe(due_sql()))
        .bind(now.millis())
        .bind(due.but.as_ref().map(Tenant::as_str))
        .bind(i64::from(due.limit))
        .fetch_all(connection)
        .await?;
    for row in found {
        outbox.load_due(rows::event(&row)?);
    }
    Ok(())
}

/// Writes what changed.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    outbox: &Outbox,
) -> Result<(), DbError> {
    for (event, before) in outbox.changed() {
        update(connection, event, before).await?;
    }
    for followers in outbox.followers() {
        sqlx::query(MOVE_FOLLOWERS)
            .bind(followers.next_try_at.millis())
            .bind(followers.subject)
            .bind(i64::from(followers.seq))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The compare-and-set: only the try that the decision saw.
async fn update(
    connection: &mut SqliteConnection,
    event: &Outgoing,
    before: &Delivery,
) -> Result<(), DbError> {
    let millis = |moment: Option<Timestamp>| moment.map(Timestamp::millis);
    let after = &event.delivery;
    let done = sqlx::query(
        "UPDATE events SET state = $1, tries = $2, next_try_at = $3, lease_until = $4, \
           settled_at = $5, last_status = $6, last_error = $7 \
         WHERE id = $8 AND state = $9 AND tries = $10 AND lease_until IS NOT DISTINCT FROM $11",
    )
    .bind(after.state.as_str())
    .bind(i64::from(after.tries))
    .bind(millis(after.next_try_at))
    .bind(millis(after.lease_until))
    .bind(millis(after.settled_at))
    .bind(after.last_status.map(i64::from))
    .bind(after.last_error.as_deref())
    .bind(event.id)
    .bind(before.state.as_str())
    .bind(i64::from(before.tries))
    .bind(millis(before.lease_until))
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 {
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
        let found = sqlx::query(AssertSqlSafe(any_due_sql()))
            .bind(now.millis())
            .bind(but.map(Tenant::as_str))
            .fetch_optional(&self.readers)
            .await?;
        Ok(found.is_some())
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
        let sql = format!(
            "SELECT {} FROM events WHERE state IN ({}) AND id > $1 ORDER BY id LIMIT $2",
            rows::EVENT,
            names.join(", "),
        );
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(after.unwrap_or(Id::nil()))
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        found.iter().map(rows::event).collect()
    }
}
