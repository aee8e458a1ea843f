//! What requests and lists read.

use serde_json::json;

use super::examine::{ROW, incompressible};
use super::sql::{Kind, sql};
use super::{Db, DbError, rows};
use crate::domain::books::{Account, Footprint, Usage};
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

/// Which of several slots: the array of $3, as this database opens one.
fn several_slots(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => " AND slot IN (SELECT value FROM json_each($3))",
        Kind::Postgres => " AND slot IN (SELECT json_array_elements_text($3::json))",
    }
}

fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// The text follows the filter, so that each shape of list walks its own index.
pub(super) fn tickets_sql(filter: &TicketFilter, kind: Kind) -> String {
    let clauses = [
        (filter.owner.is_some(), " AND owner = $2"),
        (one_slot(filter.slots.as_deref()), " AND slot = $3"),
        (
            filter.slots.as_ref().is_some_and(|slots| slots.len() != 1),
            several_slots(kind),
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
pub(super) fn files_sql(filter: &FileFilter, kind: Kind) -> String {
    let clauses = [
        (filter.owner.is_some(), " AND owner = $2"),
        (one_slot(filter.slots.as_deref()), " AND slot = $3"),
        (
            filter.slots.as_ref().is_some_and(|slots| slots.len() != 1),
            several_slots(kind),
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
    /// Whether the last write that was tried worked.
    pub fn takes_writes(&self) -> bool {
        self.writer.standing().is_well()
    }

    /// Whether a query is answered, a writer is there, and a write worked a moment ago or works
    /// now.
    pub async fn ping(&self) -> Result<(), DbError> {
        if !self.writer.is_open() {
            return Err(DbError::Unavailable("the writer has stopped".into()));
        }
        // What is full or read-only can still be read, so only a write tells; where nobody else
        // writes, this does.
        let standing = self.writer.standing();
        if let Some(error) = standing.refused_just_now() {
            return Err(error);
        }
        if !standing.is_proven() {
            // What fits into the last free page would call a full disk well again.
            let padding = if standing.is_well() { 0 } else { ROW };
            self.write(Footprint::default(), move |books, now| {
                books.mark(
                    "ready",
                    format!("{}{}", now.millis(), incompressible(padding)),
                );
            })
            .await?;
        }
        let statement = sql("SELECT 1 AS here FROM marks LIMIT 1");
        self.readers.first(statement).await?;
        Ok(())
    }

    /// A ticket.
    pub async fn ticket(&self, id: Id) -> Result<Option<Ticket>, DbError> {
        let text = format!("SELECT {} FROM tickets WHERE id = $1", rows::TICKET);
        let row = self.readers.first(sql(text).bind(id)).await?;
        row.as_ref().map(rows::ticket).transpose()
    }

    /// A file, live or a tombstone.
    pub async fn file(&self, id: Id) -> Result<Option<File>, DbError> {
        let text = format!("SELECT {} FROM files WHERE id = $1", rows::FILE);
        let row = self.readers.first(sql(text).bind(id)).await?;
        row.as_ref().map(rows::file).transpose()
    }

    /// What an account holds.
    pub async fn usage(&self, account: &Account) -> Result<Usage, DbError> {
        let text = "SELECT open, files, reserved, stored FROM usage WHERE account = $1";
        let row = self.readers.first(sql(text).bind(account.as_str())).await?;
        row.as_ref().map_or(Ok(Usage::default()), rows::usage)
    }

    /// Tickets, newest first.
    pub async fn tickets(
        &self,
        filter: &TicketFilter,
        limit: usize,
    ) -> Result<Page<Ticket>, DbError> {
        let statement = sql(tickets_sql(filter, self.readers.kind()))
            .bind(filter.tenant.as_str())
            .bind(filter.owner.as_ref().map(Owner::as_str))
            .bind(one_or_list(filter.slots.as_deref()))
            .bind(filter.reference.as_ref().map(Ref::as_str))
            .bind(filter.state.map(State::as_str))
            .bind(filter.after)
            .bind(one_more(limit));
        let found = self.readers.all(statement).await?;
        let found = found.iter().map(rows::ticket).collect::<Result<_, _>>()?;
        Ok(page(found, limit))
    }

    /// Live files, newest first.
    pub async fn files(&self, filter: &FileFilter, limit: usize) -> Result<Page<File>, DbError> {
        let statement = sql(files_sql(filter, self.readers.kind()))
            .bind(filter.tenant.as_str())
            .bind(filter.owner.as_ref().map(Owner::as_str))
            .bind(one_or_list(filter.slots.as_deref()))
            .bind(filter.reference.as_ref().map(Ref::as_str))
            .bind(filter.after.map(|(at, _)| at.millis()))
            .bind(filter.after.map(|(_, id)| id))
            .bind(one_more(limit));
        let found = self.readers.all(statement).await?;
        let found = found.iter().map(rows::file).collect::<Result<_, _>>()?;
        Ok(page(found, limit))
    }

    /// The events of a subject, by `seq`: kind and body.
    pub async fn events(&self, subject: Id) -> Result<Vec<(String, serde_json::Value)>, DbError> {
        let text = "SELECT kind, body FROM events WHERE subject = $1 ORDER BY seq";
        let found = self.readers.all(sql(text).bind(subject)).await?;
        let event = |row: &super::sql::Row| {
            let body = serde_json::from_str(row.get("body")?)
                .map_err(|why| DbError::Inconsistent(format!("events.body {why}")))?;
            Ok((row.get("kind")?, body))
        };
        found.iter().map(event).collect()
    }
}
