//! What requests and lists read.

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{Db, DbError, rows};
use crate::domain::books::{Account, Usage};
use crate::domain::file::File;
use crate::domain::name::{Id, Owner, Ref, SlotName, Tenant};
use crate::domain::ticket::{State, Ticket};
use crate::domain::time::Timestamp;

/// Which tickets to list.
#[derive(Clone, Debug)]
pub struct TicketFilter {
    /// Whose world.
    pub tenant: Tenant,
    /// Whose tickets; `None`: the whole tenant's.
    pub owner: Option<Owner>,
    /// In which slots; `None`: in all.
    pub slots: Option<Vec<SlotName>>,
    /// For which ref.
    pub reference: Option<Ref>,
    /// In which state.
    pub state: Option<State>,
    /// Older than this id.
    pub after: Option<Id>,
}

/// Which files to list.
#[derive(Clone, Debug)]
pub struct FileFilter {
    /// Whose world.
    pub tenant: Tenant,
    /// Whose files; `None`: the whole tenant's.
    pub owner: Option<Owner>,
    /// In which slots; `None`: in all.
    pub slots: Option<Vec<SlotName>>,
    /// For which ref.
    pub reference: Option<Ref>,
    /// Older than this (`committed_at`, id).
    pub after: Option<(Timestamp, Id)>,
}

/// Some rows, and whether there are more.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows, newest first.
    pub rows: Vec<T>,
    /// Whether another page follows.
    pub more: bool,
}

fn page<T>(mut rows: Vec<T>, limit: usize) -> Page<T> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    Page { rows, more }
}

fn one_slot(slots: Option<&[SlotName]>) -> bool {
    slots.is_some_and(|slots| slots.len() == 1)
}

/// One slot by its name, several as a JSON array: one alone can walk an index.
fn one_or_list(slots: Option<&[SlotName]>) -> Option<String> {
    slots.map(|slots| match slots {
        [one] => one.to_string(),
        several => json!(several).to_string(),
    })
}

fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// The text follows the filter, so that each shape of list walks its own index.
pub(super) fn tickets_sql(filter: &TicketFilter) -> String {
    let clauses = [
        (filter.owner.is_some(), " AND owner = $2"),
        (one_slot(filter.slots.as_deref()), " AND slot = $3"),
        (
            filter.slots.as_ref().is_some_and(|slots| slots.len() != 1),
            " AND slot IN (SELECT value FROM json_each($3))",
        ),
        (filter.reference.is_some(), " AND ref = $4"),
        (filter.state.is_some(), " AND state = $5"),
        (filter.after.is_some(), " AND id < $6"),
    ];
    let given: String = clauses.iter().filter(|(on, _)| *on).map(|c| c.1).collect();
    format!(
        "SELECT {} FROM tickets WHERE tenant = $1{given} ORDER BY id DESC LIMIT $7",
        rows::TICKET
    )
}

/// The text follows the filter, so that each shape of list walks its own index.
pub(super) fn files_sql(filter: &FileFilter) -> String {
    let clauses = [
        (filter.owner.is_some(), " AND owner = $2"),
        (one_slot(filter.slots.as_deref()), " AND slot = $3"),
        (
            filter.slots.as_ref().is_some_and(|slots| slots.len() != 1),
            " AND slot IN (SELECT value FROM json_each($3))",
        ),
        (filter.reference.is_some(), " AND ref = $4"),
        (filter.after.is_some(), " AND (committed_at, id) < ($5, $6)"),
    ];
    let given: String = clauses.iter().filter(|(on, _)| *on).map(|c| c.1).collect();
    format!(
        "SELECT {} FROM files WHERE ended_at IS NULL AND tenant = $1{given} \
         ORDER BY committed_at DESC, id DESC LIMIT $7",
        rows::FILE
    )
}

impl Db {
    /// Whether a query is answered and a writer is there.
    pub async fn ping(&self) -> Result<(), DbError> {
        if !self.writer.is_open() {
            return Err(DbError::Unavailable("the writer has stopped".into()));
        }
        sqlx::query("SELECT 1 FROM marks LIMIT 1")
            .fetch_optional(&self.readers)
            .await?;
        Ok(())
    }

    /// A ticket.
    pub async fn ticket(&self, id: Id) -> Result<Option<Ticket>, DbError> {
        let sql = format!("SELECT {} FROM tickets WHERE id = $1", rows::TICKET);
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(rows::ticket).transpose()
    }

    /// A file, live or a tombstone.
    pub async fn file(&self, id: Id) -> Result<Option<File>, DbError> {
        let sql = format!("SELECT {} FROM files WHERE id = $1", rows::FILE);
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(rows::file).transpose()
    }

    /// What an account holds.
    pub async fn usage(&self, account: &Account) -> Result<Usage, DbError> {
        let row: Option<(i64, i64, i64, i64)> =
            sqlx::query_as("SELECT open, files, reserved, stored FROM usage WHERE account = $1")
                .bind(account.as_str())
                .fetch_optional(&self.readers)
                .await?;
        let (open, files, reserved, stored) = row.unwrap_or_default();
        Ok(Usage {
            open,
            files,
            reserved,
            stored,
        })
    }

    /// Tickets, newest first.
    pub async fn tickets(
        &self,
        filter: &TicketFilter,
        limit: usize,
    ) -> Result<Page<Ticket>, DbError> {
        let found = sqlx::query(AssertSqlSafe(tickets_sql(filter)))
            .bind(filter.tenant.as_str())
            .bind(filter.owner.as_ref().map(Owner::as_str))
            .bind(one_or_list(filter.slots.as_deref()))
            .bind(filter.reference.as_ref().map(Ref::as_str))
            .bind(filter.state.map(State::as_str))
            .bind(filter.after)
            .bind(one_more(limit))
            .fetch_all(&self.readers)
            .await?;
        let found = found.iter().map(rows::ticket).collect::<Result<_, _>>()?;
        Ok(page(found, limit))
    }

    /// Live files, newest first.
    pub async fn files(&self, filter: &FileFilter, limit: usize) -> Result<Page<File>, DbError> {
        let found = sqlx::query(AssertSqlSafe(files_sql(filter)))
            .bind(filter.tenant.as_str())
            .bind(filter.owner.as_ref().map(Owner::as_str))
            .bind(one_or_list(filter.slots.as_deref()))
            .bind(filter.reference.as_ref().map(Ref::as_str))
            .bind(filter.after.map(|(at, _)| at.millis()))
            .bind(filter.after.map(|(_, id)| id))
            .bind(one_more(limit))
            .fetch_all(&self.readers)
            .await?;
        let found = found.iter().map(rows::file).collect::<Result<_, _>>()?;
        Ok(page(found, limit))
    }

    /// The events of a subject, by `seq`: kind and body.
    pub async fn events(&self, subject: Id) -> Result<Vec<(String, serde_json::Value)>, DbError> {
        let found: Vec<(String, String)> =
            sqlx::query_as("SELECT kind, body FROM events WHERE subject = $1 ORDER BY seq")
                .bind(subject)
                .fetch_all(&self.readers)
                .await?;
        found
            .into_iter()
            .map(|(kind, body)| match serde_json::from_str(&body) {
                Ok(body) => Ok((kind, body)),
                Err(why) => Err(DbError::Inconsistent(format!("events.body {why}"))),
            })
            .collect()
    }
}
