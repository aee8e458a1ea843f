//! Rows that wait, counted for the metrics. Each count ends at a bound, so that asking costs the
//! same however many there are.

use super::sql::sql;
use super::work::free;
use super::{Db, DbError};
use crate::domain::ticket::LEASE;
use crate::domain::time::Timestamp;
use crate::metrics::{Backlog, MOST_COUNTED, metrics};

/// Tickets that wait at $1, and the first of them: at most $2, and none that somebody is judging.
pub(super) fn waiting_tickets() -> String {
    let free = free("lease_until", LEASE);
    format!(
        "SELECT count(*) AS due_tickets, min(next_check_at) AS first_ticket FROM \
           (SELECT next_check_at FROM tickets \
              WHERE next_check_at <= $1 AND state = 'open' AND {free} \
              ORDER BY next_check_at LIMIT $2) AS t"
    )
}

/// Events that wait, and the oldest of them; at most $1. A try that failed moves an event's turn,
/// and that of those behind it, into the future: how late it is shows in its age alone. Of more
/// events than $1 it is the oldest among those whose turn comes first.
pub(super) const WAITING_EVENTS: &str = "SELECT count(*) AS pending_events, \
       min(created_at) AS oldest_event FROM \
     (SELECT created_at FROM events WHERE state = 'pending' ORDER BY next_try_at LIMIT $1) AS e";

impl Db {
    /// Counts what waits at `now`, and says so to the metrics, with the connections for reading.
    pub async fn measure(&self, now: Timestamp, has_receiver: bool) -> Result<(), DbError> {
        let counted = self.count_waiting(now, has_receiver).await;
        let (busy, idle) = self.readers.connections();
        metrics().connections(busy, idle);
        metrics().measured(counted.as_ref().ok().copied());
        counted.map(|_| ())
    }

    /// What waits at `now`. Events are late only where there is a receiver to have them: without
    /// one they are kept, and nobody is to deliver them.
    pub async fn count_waiting(
        &self,
        now: Timestamp,
        has_receiver: bool,
    ) -> Result<Backlog, DbError> {
        let age = |first: Option<i64>| first.map_or(0, |first| (now.millis() - first).max(0));
        let mut found = Backlog::default();
        let tickets = sql(waiting_tickets()).bind(now.millis()).bind(MOST_COUNTED);
        if let Some(row) = self.readers.first(tickets).await? {
            found.due_tickets = row.get("due_tickets")?;
            found.due_ticket_millis = age(row.get("first_ticket")?);
        }
        let events = sql(WAITING_EVENTS).bind(MOST_COUNTED);
        if let Some(row) = self.readers.first(events).await? {
            found.pending_events = row.get("pending_events")?;
            if has_receiver {
                found.oldest_event_millis = age(row.get("oldest_event")?);
            }
        }
        Ok(found)
    }
}
