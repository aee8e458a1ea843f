//! Show: what the rows tell of one ticket, or of one owner's latest.

use crate::db::{Db, DbError, TicketFilter};
use crate::domain::books::{Account, Usage};
use crate::domain::name::{Id, Owner, Tenant};
use crate::domain::story::Story;
use crate::domain::ticket::Ticket;

/// One owner's latest tickets.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// The tickets, newest first.
    pub tickets: Vec<Ticket>,
    /// Whether there are older ones.
    pub more: bool,
    /// What the owner holds, over all slots.
    pub usage: Usage,
}

/// The story of a ticket or file, or of the one that an event of this id is about; `None`
/// when no row has the id.
pub async fn story(db: &Db, id: Id) -> Result<Option<Story>, DbError> {
    let about = told(db, id).await?;
    if about.is_some() {
        return Ok(about);
    }
    match db.subject_of(id).await? {
        Some(subject) => told(db, subject).await,
        None => Ok(None),
    }
}

async fn told(db: &Db, id: Id) -> Result<Option<Story>, DbError> {
    let story = Story {
        id,
        ticket: db.ticket(id).await?,
        file: db.file(id).await?,
        events: db.deliveries(id).await?,
    };
    let is_empty = story.ticket.is_none() && story.file.is_none() && story.events.is_empty();
    Ok((!is_empty).then_some(story))
}

/// An owner's latest tickets, at most so many.
pub async fn shelf(db: &Db, tenant: &Tenant, owner: &Owner, most: usize) -> Result<Shelf, DbError> {
    let filter = TicketFilter {
        tenant: tenant.clone(),
        owner: Some(owner.clone()),
        slots: None,
        reference: None,
        state: None,
        after: None,
    };
    let page = db.tickets(&filter, most).await?;
    Ok(Shelf {
        tickets: page.rows,
        more: page.more,
        usage: db.usage(&Account::caller(tenant, owner)).await?,
    })
}
