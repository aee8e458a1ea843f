//! Looking: tickets and files as their callers may see them.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::{App, DOWNLOAD_TTL, deadline};
use crate::db::{FileFilter, Page, TicketFilter};
use crate::domain::books::{Account, Usage};
use crate::domain::caller::{Caller, Scope};
use crate::domain::disposition::content_disposition;
use crate::domain::file::File;
use crate::domain::media;
use crate::domain::name::{Id, Ref, SlotName};
use crate::domain::problem::Problem;
use crate::domain::slot::{Disposition, Slot};
use crate::domain::ticket::{State, Ticket};
use crate::domain::time::Seconds;
use crate::store::Presigned;

/// How often a waiter looks by itself: another replica's commits are not announced here.
pub(super) const GLANCE: Seconds = Seconds(1);

/// A ticket of the caller, or nothing at all: another owner's does not exist. The token's
/// `refs` say what may be named, not what an owner may see of their own: a backend claims
/// files for refs that its users' tokens never carry.
pub async fn own_ticket(app: &App, caller: &Caller, id: Id) -> Result<Ticket, Problem> {
    tracing::Span::current().record("ticket", tracing::field::display(id));
    let ticket = app.db.ticket(id).await?.ok_or_else(Problem::not_found)?;
    let seen =
        caller.sees(&ticket.tenant, &ticket.owner) && caller.may_use_slot(&ticket.slot).is_ok();
    seen.then_some(ticket).ok_or_else(Problem::not_found)
}

/// A live file of the caller.
pub async fn own_file(app: &App, caller: &Caller, id: Id) -> Result<File, Problem> {
    let file = own_file_or_tombstone(app, caller, id).await?;
    if file.is_live() {
        Ok(file)
    } else {
        Err(Problem::not_found())
    }
}

/// A file of the caller, live or not.
pub async fn own_file_or_tombstone(app: &App, caller: &Caller, id: Id) -> Result<File, Problem> {
    let file = app.db.file(id).await?.ok_or_else(Problem::not_found)?;
    let seen = caller.sees(&file.tenant, &file.owner) && caller.may_use_slot(&file.slot).is_ok();
    seen.then_some(file).ok_or_else(Problem::not_found)
}

/// A ticket and, once it is committed and for as long as it lives, its file.
pub async fn with_file(app: &App, ticket: Ticket) -> Result<(Ticket, Option<File>), Problem> {
    let file = match ticket.state {
        State::Committed => app.db.file(ticket.id).await?.filter(File::is_live),
        _ => None,
    };
    Ok((ticket, file))
}

/// A ticket's state, as soon as it is terminal or `wait` seconds have passed.
pub async fn ticket(
    app: &Arc<App>,
    caller: &Caller,
    id: Id,
    wait: u32,
) -> Result<(Ticket, Option<File>), Problem> {
    caller.may(Scope::Upload)?;
    let ticket = own_ticket(app, caller, id).await?;
    let ticket = wait_closed(app, ticket, deadline(wait)).await?;
    with_file(app, ticket).await
}

/// Waits until a ticket has closed or the deadline has come; answers what it is then.
pub async fn wait_closed(app: &App, ticket: Ticket, until: Instant) -> Result<Ticket, Problem> {
    let mut told = app.closed.subscribe();
    let mut stopping = app.stopping();
    let mut ticket = ticket;
    while ticket.state == State::Open && Instant::now() < until && !*stopping.borrow() {
        ticket = app
            .db
            .ticket(ticket.id)
            .await?
            .ok_or_else(Problem::not_found)?;
        if ticket.state != State::Open {
            break;
        }
        let glance = until.min(Instant::now() + GLANCE.duration());
        loop {
            let heard = tokio::select! {
                heard = timeout_at(glance, told.recv()) => heard,
                _ = stopping.changed() => break,
            };
            match heard {
                Ok(Ok(id)) if id != ticket.id => {}
                Ok(Ok(_) | Err(RecvError::Lagged(_))) | Err(_) => break,
                Ok(Err(RecvError::Closed)) => return Ok(ticket),
            }
        }
    }
    if ticket.state == State::Open {
        ticket = app
            .db
            .ticket(ticket.id)
            .await?
            .ok_or_else(Problem::not_found)?;
    }
    Ok(ticket)
}

/// A page of the caller's tickets.
pub async fn tickets(
    app: &App,
    caller: &Caller,
    filter: TicketFilter,
    limit: usize,
) -> Result<Page<Ticket>, Problem> {
    caller.may(Scope::Upload)?;
    let filter = TicketFilter {
        slots: slots_of(caller, filter.slots)?,
        ..filter
    };
    if filter.reference.is_some() {
        caller.may_use_ref(filter.reference.as_ref())?;
    }
    Ok(app.db.tickets(&filter, limit).await?)
}

/// A page of the caller's files.
pub async fn files(
    app: &App,
    caller: &Caller,
    filter: FileFilter,
    limit: usize,
) -> Result<Page<File>, Problem> {
    caller.may(Scope::Read)?;
    let filter = FileFilter {
        slots: slots_of(caller, filter.slots)?,
        ..filter
    };
    if filter.reference.is_some() {
        caller.may_use_ref(filter.reference.as_ref())?;
    }
    Ok(app.db.files(&filter, limit).await?)
}

/// The slots a list looks into: those that were asked for, else all the token allows.
fn slots_of(
    caller: &Caller,
    asked: Option<Vec<SlotName>>,
) -> Result<Option<Vec<SlotName>>, Problem> {
    match asked {
        Some(asked) => {
            asked
                .iter()
                .try_for_each(|slot| caller.may_use_slot(slot))?;
            Ok(Some(asked))
        }
        None => Ok(caller.slots.clone()),
    }
}

/// The slots the caller may use.
pub fn slots(app: &App, caller: &Caller) -> Vec<Slot> {
    let slots = app.slots.load();
    slots
        .values()
        .filter(|slot| caller.may_use_slot(&slot.name).is_ok())
        .cloned()
        .collect()
}

/// What the caller holds in a slot, for the null ref or `reference`, and in bytes.
pub async fn usage(
    app: &App,
    caller: &Caller,
    slot: &Slot,
    reference: Option<&Ref>,
) -> Result<(Usage, Usage), Problem> {
    let entries = Account::reference(&caller.tenant, &slot.name, &caller.owner, reference);
    let bytes = Account::owner(&caller.tenant, &slot.name, &caller.owner);
    Ok((app.db.usage(&entries).await?, app.db.usage(&bytes).await?))
}

/// A fresh download URL. Inline only where the slot says so and the type cannot run.
pub fn download(app: &App, file: &File) -> Result<Presigned, Problem> {
    let signed = app.store.presign_get(
        &file.key,
        &content_disposition(shown_as(file.disposition, &file.media_type), &file.name),
        &file.media_type,
        DOWNLOAD_TTL,
        app.clock.now(),
    )?;
    Ok(signed)
}

/// How a file of this type is shown: what can run in a browser is only ever saved.
pub fn shown_as(wished: Disposition, media_type: &str) -> Disposition {
    match wished {
        Disposition::Inline if media::is_inert(media_type) => Disposition::Inline,
        _ => Disposition::Attachment,
    }
}

/// A live file of a public slot, for anybody.
pub async fn public_file(app: &App, id: Id) -> Result<Presigned, Problem> {
    let file = app.db.file(id).await?.filter(File::is_live);
    let file = file.ok_or_else(Problem::not_found)?;
    let public = app.slot(&file.slot).is_ok_and(|slot| slot.policy.public);
    if public {
        download(app, &file)
    } else {
        Err(Problem::not_found())
    }
}
