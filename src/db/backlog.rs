//! Rows that wait, counted for the metrics. Each count ends at a bound, so that asking costs the
//! same however many there are.

use super::sql::sql;
use super::{Db, DbError};
use crate::domain::time::Timestamp;
use crate::metrics::{Backlog, MOST_COUNTED, metrics};

/// What waits at $1; at most $2 rows of a kind.
pub(super) const WAITING: &str = "SELECT \
   (SELECT count(*) FROM (SELECT 1 FROM tickets WHERE state = 'open' AND next_check_at <= $1 \
      LIMIT $2) AS t) AS due_tickets, \
   (SELECT min(next_check_at) FROM tickets WHERE state = 'open') AS first_ticket, \
   (SELECT count(*) FROM (SELECT 1 FROM events WHERE state = 'pending' LIMIT $2) AS e) \
      AS pending_events, \
   (SELECT min(next_try_at) FROM events WHERE state = 'pending') AS first_event";

impl Db {
    /// Counts what waits at `now`, and says so to the metrics, with the connections for reading.
    pub async fn measure(&self, now: Timestamp) -> Result<(), DbError> {
        let counted = self.count_waiting(now).await;
        let (busy, idle) = self.readers.connections();
        metrics().connections(busy, idle);
        metrics().measured(counted.as_ref().ok().copied());
        counted.map(|_| ())
    }

    async fn count_waiting(&self, now: Timestamp) -> Result<Backlog, DbError> {
        let statement = sql(WAITING).bind(now.millis()).bind(MOST_COUNTED);
        let Some(row) = self.readers.first(statement).await? else {
            return Ok(Backlog::default());
        };
        let age = |first: Option<i64>| first.map_or(0, |first| (now.millis() - first).max(0));
        Ok(Backlog {
            due_tickets: row.get("due_tickets")?,
            due_ticket_millis: age(row.get("first_ticket")?),
            pending_events: row.get("pending_events")?,
            due_event_millis: age(row.get("first_event")?),
        })
    }
}
