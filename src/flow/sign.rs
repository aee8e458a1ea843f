//! Sign: fresh transfer URLs for an open ticket; the first sign of a multipart ticket
//! creates its upload at the store.

use std::sync::Arc;

use tracing::Instrument;

use super::{App, attempt, look};
use crate::domain::caller::{Caller, Scope};
use crate::domain::key;
use crate::domain::ledger;
use crate::domain::name::Id;
use crate::domain::problem::{Code, Problem};
use crate::domain::slot::MAX_PUT_SIZE;
use crate::domain::ticket::{self, State, Ticket};
use crate::store::{Bucket, Form, Part, Presigned, StoreError};
use crate::traces::{self, step};

/// The most parts of one call.
pub const MAX_PARTS_A_CALL: usize = 100;

/// How to fill a ticket: computed, never stored, and secret.
#[derive(Debug)]
pub enum Transfer {
    /// One PUT.
    Put(Presigned),
    /// One form.
    Post(Form),
    /// Parts of a plan; `parts` are those that were asked for.
    Multipart {
        /// Bytes of each part but the last.
        part_size: u64,
        /// How many there are.
        part_count: u32,
        /// Signed ones: number, exact bytes, URL.
        parts: Vec<(u32, u64, Presigned)>,
        /// How long a part's URL works, in seconds.
        expires_in: u32,
    },
}

/// The transfer of a freshly minted ticket. No store call.
pub fn transfer(app: &App, ticket: &Ticket) -> Result<Transfer, Problem> {
    // The deadline is the database's, the signature's date the process's.
    let ttl = ticket.url_life(app.db.now());
    let (ttl, now) = (ttl.ok_or_else(|| too_late(ticket))?, app.clock.now());
    match ticket.part_size {
        // A PUT is signed for its exact length, which nobody knows here.
        None if !ticket.exact_size => post(app, ticket).map(Transfer::Post),
        None => {
            let signed = app.store.presign_put(
                &key::staging(ticket.id),
                ticket.size,
                ticket.sha256.as_deref(),
                ttl,
                now,
            )?;
            Ok(Transfer::Put(signed))
        }
        Some(part_size) => Ok(Transfer::Multipart {
            part_size,
            part_count: ticket::part_count(ticket.size, part_size),
            parts: Vec::new(),
            expires_in: ttl.0,
        }),
    }
}

/// How a client fills the ticket at once that does not call again: a form, or where the store
/// takes none a PUT. No store call.
pub fn at_once(app: &App, ticket: &Ticket) -> Result<Transfer, Problem> {
    if app.store.takes_forms() {
        post(app, ticket).map(Transfer::Post)
    } else {
        transfer(app, ticket)
    }
}

/// A form that fills the ticket with one POST: of the declared size, or of any up to what was
/// reserved. No store call.
fn post(app: &App, ticket: &Ticket) -> Result<Form, Problem> {
    let ttl = ticket.url_life(app.db.now());
    let ttl = ttl.ok_or_else(|| too_late(ticket))?;
    let least = if ticket.exact_size { ticket.size } else { 1 };
    let sizes = least..=ticket.size.min(MAX_PUT_SIZE);
    let now = app.clock.now();
    Ok(app
        .store
        .presign_post(&key::staging(ticket.id), sizes, ttl, now)?)
}

pub(super) fn too_late(ticket: &Ticket) -> Problem {
    let detail = format!("the ticket expired at {}", ticket.expires_at);
    Problem::new(Code::TicketExpired, detail)
}

/// Signs the transfer of an open ticket anew; `numbers` are the parts of a multipart one.
pub async fn sign(
    app: &Arc<App>,
    caller: &Caller,
    id: Id,
    numbers: &[u32],
) -> Result<(Ticket, Transfer), Problem> {
    let ticket = open_ticket(app, caller, id).await?;
    let span = step!("sign", id);
    let signed = sign_open(app, ticket, numbers).instrument(span.clone());
    traces::ended(&span, signed.await)
}

async fn sign_open(
    app: &App,
    ticket: Ticket,
    numbers: &[u32],
) -> Result<(Ticket, Transfer), Problem> {
    let id = ticket.id;
    let parts = plan(&ticket, numbers)?;
    let ticket = renewed(app, ticket).await?;
    let transfer = match (ticket.part_size, parts.is_empty()) {
        (None, _) | (_, true) => transfer(app, &ticket)?,
        (Some(part_size), false) => {
            let upload_id = upload_of(app, &ticket).await?;
            let ttl = ticket.url_life(app.db.now());
            let (ttl, now) = (ttl.ok_or_else(|| too_late(&ticket))?, app.clock.now());
            let key = key::staging(id);
            let mut signed = Vec::with_capacity(parts.len());
            for part in parts {
                let url = app.store.presign_part(
                    &key,
                    &upload_id,
                    part.number,
                    Some(part.size),
                    ttl,
                    now,
                )?;
                signed.push((part.number, part.size, url));
            }
            Transfer::Multipart {
                part_size,
                part_count: ticket::part_count(ticket.size, part_size),
                expires_in: signed.first().map_or(ttl.0, |(_, _, url)| url.expires_in),
                parts: signed,
            }
        }
    };
    Ok((ticket, transfer))
}

/// An open ticket of the caller.
pub(super) async fn open_ticket(app: &App, caller: &Caller, id: Id) -> Result<Ticket, Problem> {
    caller.may(Scope::Upload)?;
    let ticket = look::own_ticket(app, caller, id).await?;
    if ticket.state != State::Open {
        return Err(ticket.closed_problem());
    }
    if app.db.now() >= ticket.expires_at {
        return Err(too_late(&ticket));
    }
    Ok(ticket)
}

/// The ticket with its deadline pushed, when it is time for that; a problem when somebody
/// closed it meanwhile.
pub(super) async fn renewed(app: &App, ticket: Ticket) -> Result<Ticket, Problem> {
    if !ticket.wants_renewal(app.db.now()) {
        return Ok(ticket);
    }
    let id = ticket.id;
    let open = app
        .db
        .write(ticket.row(), move |books, now| {
            ledger::touch(books, now, id)
        })
        .await?;
    let ticket = app.db.ticket(id).await?.ok_or_else(Problem::not_found)?;
    if open {
        Ok(ticket)
    } else {
        Err(ticket.closed_problem())
    }
}

/// The parts that were asked for, as the plan has them.
fn plan(ticket: &Ticket, numbers: &[u32]) -> Result<Vec<ticket::Part>, Problem> {
    if numbers.len() > MAX_PARTS_A_CALL {
        let detail = format!(
            "parts: at most {MAX_PARTS_A_CALL} a call, got {}",
            numbers.len()
        );
        return Err(Problem::invalid(detail));
    }
    let Some(part_size) = ticket.part_size else {
        return if numbers.is_empty() {
            Ok(Vec::new())
        } else {
            Err(Problem::invalid("parts: this ticket is filled by one PUT"))
        };
    };
    if !ticket.exact_size && !numbers.is_empty() {
        let detail = "parts: the client that began this upload did not say its size and has parts of its own";
        return Err(Problem::invalid(detail));
    }
    numbers
        .iter()
        .map(|number| {
            ticket::part(ticket.size, part_size, *number).ok_or_else(|| {
                let count = ticket::part_count(ticket.size, part_size);
                Problem::invalid(format!("parts: 1 to {count}, got {number}"))
            })
        })
        .collect()
}

/// The store's id of the ticket's upload, created now if it is not there yet. Two first
/// signs may both create one; the loser of the compare-and-set aborts its own.
pub(super) async fn upload_of(app: &App, ticket: &Ticket) -> Result<String, Problem> {
    if let Some(id) = &ticket.multipart_id {
        return Ok(id.clone());
    }
    let key = key::staging(ticket.id);
    let created = app.store.create_multipart(&key).await?;
    let (id, new) = (ticket.id, created.clone());
    let kept = app
        .db
        .write(ticket.row(), move |books, _| {
            ledger::note_multipart(books, id, None, Some(&new))
        })
        .await?;
    if kept.as_ref() != Some(&created)
        && let Err(error) = app
            .store
            .abort_multipart(Bucket::Staging, &key, &created)
            .await
    {
        tracing::warn!(ticket = %ticket.id, %error, "a superfluous multipart upload stays for the sweep");
    }
    kept.ok_or_else(|| ticket.closed_problem())
}

/// The parts that the store has: number and bytes. A plan without an upload has none.
pub async fn parts(app: &App, caller: &Caller, id: Id) -> Result<(Ticket, Vec<Part>), Problem> {
    caller.may(Scope::Upload)?;
    let ticket = look::own_ticket(app, caller, id).await?;
    if ticket.state != State::Open {
        return Err(ticket.closed_problem());
    }
    let parts = match &ticket.multipart_id {
        None => Vec::new(),
        Some(upload) => match app.store.list_parts(&key::staging(id), upload).await {
            Ok(parts) => parts,
            Err(StoreError::NoSuchUpload) => without_upload(app, &ticket, upload).await?,
            Err(error) => return Err(error.into()),
        },
    };
    Ok((ticket, parts))
}

/// The parts of a ticket whose upload the store no longer knows: all of them when it was
/// completed, else none, and the next sign creates another upload.
async fn without_upload(app: &App, ticket: &Ticket, upload: &str) -> Result<Vec<Part>, Problem> {
    if !attempt::is_whole(app, ticket, &key::staging(ticket.id)).await? {
        attempt::forget_upload(app, ticket, upload).await?;
        return Ok(Vec::new());
    }
    let part_size = ticket.part_size.unwrap_or(ticket.size);
    let planned = 1..=ticket::part_count(ticket.size, part_size);
    let parts = planned.filter_map(|number| ticket::part(ticket.size, part_size, number));
    Ok(parts
        .map(|part| Part {
            number: part.number,
            size: part.size,
            etag: String::new(),
        })
        .collect())
}
