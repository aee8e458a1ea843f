//! Parts of a client's own size: signed as long as the slot's maximum allows, and measured when
//! the client says that they are all.

use std::sync::Arc;

use super::sign::{self, MAX_PARTS_A_CALL, Transfer};
use super::{App, attempt, complete, look};
use crate::db::DbError;
use crate::domain::caller::{Caller, Scope};
use crate::domain::chunks::{Arrived, Named, admit, measure, overrun, sum};
use crate::domain::key;
use crate::domain::ledger;
use crate::domain::name::Id;
use crate::domain::problem::Problem;
use crate::domain::ticket::{State, Ticket};
use crate::store::{Presigned, StoreError};

/// How long a refusal of too many bytes may be waited for, in seconds.
const JUDGEMENT: u32 = 20;

/// Signs parts of an open ticket. When the client said its file's size, each for its exact
/// length; else as long as what has arrived leaves room. More than the slot's maximum ends it.
pub async fn sign(
    app: &Arc<App>,
    caller: &Caller,
    id: Id,
    numbers: &[u32],
) -> Result<Vec<(u32, Presigned)>, Problem> {
    let ticket = sign::open_ticket(app, caller, id).await?;
    if ticket.exact_size {
        let (_, transfer) = sign::sign(app, caller, id, numbers).await?;
        return Ok(match transfer {
            Transfer::Multipart { parts, .. } => parts
                .into_iter()
                .map(|(number, _, signed)| (number, signed))
                .collect(),
            Transfer::Put(_) | Transfer::Post(_) => Vec::new(),
        });
    }
    if ticket.part_size.is_none() {
        return Err(Problem::invalid("this ticket is not filled in parts"));
    }
    if numbers.len() > MAX_PARTS_A_CALL {
        let detail = format!(
            "at most {MAX_PARTS_A_CALL} parts a call, got {}",
            numbers.len()
        );
        return Err(Problem::invalid(detail));
    }
    let staging = key::staging(id);
    let arrived = arrived::<Problem>(app, &ticket, &staging).await?;
    if overrun(&ticket, sum(&arrived)).is_some() {
        return Err(refused(app, caller, id).await);
    }
    admit(&ticket, numbers, &arrived)?;
    let ticket = sign::renewed(app, ticket).await?;
    let upload_id = sign::upload_of(app, &ticket).await?;
    let ttl = ticket.url_life(app.db.now());
    let (ttl, now) = (ttl.ok_or_else(|| sign::too_late(&ticket))?, app.clock.now());
    let signed = numbers.iter().map(|number| {
        let signed = app
            .store
            .presign_part(&staging, &upload_id, *number, None, ttl, now)?;
        Ok((*number, signed))
    });
    signed.collect()
}

/// The attempt that ends a ticket under which too much has arrived, and its words.
async fn refused(app: &Arc<App>, caller: &Caller, id: Id) -> Problem {
    match complete::complete(app, caller, id, JUDGEMENT).await {
        Err(problem) => problem,
        Ok(_) => Problem::invalid("more has arrived than the slot takes"),
    }
}

/// The client says which parts its file has: from here on the ticket knows its size, and holds
/// no more room than that. What is not as the client says changes nothing.
pub async fn declare(
    app: &Arc<App>,
    caller: &Caller,
    id: Id,
    named: &[Named],
) -> Result<(), Problem> {
    caller.may(Scope::Upload)?;
    let ticket = look::own_ticket(app, caller, id).await?;
    // A size that the client said before is checked by the attempt.
    if ticket.state != State::Open || ticket.exact_size || ticket.part_size.is_none() {
        return Ok(());
    }
    let arrived = arrived::<Problem>(app, &ticket, &key::staging(id)).await?;
    if overrun(&ticket, sum(&arrived)).is_some() {
        return Err(refused(app, caller, id).await);
    }
    let measured = measure(named, &arrived)?;
    app.db
        .write(ticket.footprint(), move |books, _| {
            ledger::declare(books, id, measured)
        })
        .await?;
    Ok(())
}

/// What the store has of a ticket's parts; nothing before the first is signed, or when the store
/// has dropped the upload, and then the next sign begins another.
pub(super) async fn arrived<E: From<StoreError> + From<DbError>>(
    app: &App,
    ticket: &Ticket,
    staging: &str,
) -> Result<Vec<Arrived>, E> {
    let Some(upload) = &ticket.multipart_id else {
        return Ok(Vec::new());
    };
    match app.store.list_parts(staging, upload).await {
        Ok(parts) => Ok(parts
            .into_iter()
            .map(|part| Arrived {
                number: part.number,
                size: part.size,
                etag: part.etag,
            })
            .collect()),
        Err(StoreError::NoSuchUpload) => {
            attempt::forget_upload(app, ticket, upload).await?;
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}
