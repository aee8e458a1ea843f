//! Sweep: removes what no open ticket and no live file owns. Each pass is a plain function
//! of the database's time and the store's answers, does a bounded amount of work, and
//! says what it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::Instrument;

use super::attempt::{Outcome, attempt};
use super::{App, READS};
use crate::domain::books::{Books, Footprint, Forget, Usage};
use crate::domain::key;
use crate::domain::ledger::{self, Ended};
use crate::domain::name::Id;
use crate::domain::problem::{Code, Problem};
use crate::domain::ticket::{State, Ticket};
use crate::domain::time::{Seconds, Timestamp};
use crate::store::{Bucket, Object, StoreError};
use crate::traces::{self, step};

/// How many rows or objects one pass looks at.
const BATCH: u32 = 100;
/// How many tickets are judged at once.
const AT_ONCE: usize = 8;

/// How long a ticket that cannot be read is left alone.
const UNREADABLE: Seconds = Seconds(600);

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Tickets that were looked at and closed.
    pub closed: usize,
    /// Closed tickets whose leftovers are gone.
    pub cleaned: usize,
    /// Files that ended because nobody claimed them.
    pub unclaimed: usize,
    /// Tombstones whose bytes are gone.
    pub purged: usize,
    /// Objects deleted that no row wanted.
    pub deleted: Vec<(Bucket, String)>,
    /// Objects that no row knows, left for a human.
    pub unknown: Vec<(Bucket, String)>,
}

/// How many looks in a row may meet trouble before the pass ends: in an outage nothing is
/// won by asking for every ticket.
const TROUBLE_ENOUGH: usize = 3;

/// What a look came to.
enum Look {
    Closed,
    Open,
    /// Store or database failed, whatever the ticket.
    Trouble(Problem),
}

/// Looks at every ticket whose time has come: a closed tab must not lose a file, and an
/// absent one must not hold its room. In an outage it asks for a few and gives up; those are
/// postponed a little, the rest is as due as before.
pub async fn look_at_due_tickets(app: &Arc<App>) -> Result<usize, Problem> {
    use futures_util::stream::{self, StreamExt};
    let due = app.db.due_tickets(app.db.now(), BATCH).await?;
    let in_a_row = AtomicUsize::new(0);
    let troubled = || in_a_row.load(Ordering::Relaxed) >= TROUBLE_ENOUGH;
    let looks = stream::iter(due)
        .take_while(|_| std::future::ready(!troubled()))
        .map(|id| look_at(app, id))
        .buffer_unordered(AT_ONCE);
    let mut looks = std::pin::pin!(looks);
    let (mut closed, mut last) = (0, None);
    while let Some(look) = looks.next().await {
        match look {
            Look::Trouble(problem) => {
                in_a_row.fetch_add(1, Ordering::Relaxed);
                last = Some(problem);
                continue;
            }
            Look::Closed => closed += 1,
            Look::Open => {}
        }
        in_a_row.store(0, Ordering::Relaxed);
        last = None;
    }
    last.map_or(Ok(closed), Err)
}

async fn look_at(app: &Arc<App>, id: Id) -> Look {
    let (ticket, note, trouble) = match attempt(app, id).await {
        Outcome::Closed(_) => return Look::Closed,
        Outcome::Busy | Outcome::Unknown => return Look::Open,
        Outcome::Missing(ticket, problem) => {
            if ticket.is_past_grace(app.db.now()) {
                return look(expire(app, &ticket).await);
            }
            (Some(ticket), problem.to_string(), None)
        }
        Outcome::Unreadable(ticket, problem) => {
            if ticket.is_past_help(app.db.now()) && is_the_objects_fault(app, &ticket).await {
                return look(end(app, &ticket, ledger::expire_unreadable).await);
            }
            (Some(ticket), problem.to_string(), None)
        }
        Outcome::Again => (
            None,
            "the bytes changed while they were judged".to_owned(),
            None,
        ),
        Outcome::Unavailable(problem) => (None, problem.to_string(), outage(problem)),
    };
    let ticket = match ticket {
        Some(ticket) => Some(*ticket),
        None => app.db.ticket(id).await.unwrap_or_else(|error| {
            tracing::error!(ticket = %id, %error, "an open ticket cannot be looked at");
            None
        }),
    };
    let row = ticket.as_ref().map(Ticket::row).unwrap_or_default();
    let is_ours = trouble.is_none();
    let postponed = app
        .db
        .write(row, move |books, now| match &ticket {
            Some(ticket) if is_ours => ledger::look_later(books, now, id, ticket.epoch, &note),
            Some(ticket) => ledger::look_soon(books, now, id, ticket.epoch, &note),
            None => books.forget(Forget::TurnOf(id, now.plus(UNREADABLE))),
        })
        .await;
    if let Err(error) = postponed {
        tracing::warn!(ticket = %id, %error, "a look was not postponed");
    }
    trouble.map_or(Look::Open, Look::Trouble)
}

/// What ails one ticket alone, a row that cannot be read or a judge that broke off, is no
/// trouble of the pass: it must not end it nor make the worker pause.
fn outage(problem: Problem) -> Option<Problem> {
    (problem.code != Code::Internal).then_some(problem)
}

fn look(closed: bool) -> Look {
    if closed { Look::Closed } else { Look::Open }
}

/// Law 5 wants every ticket to end, law 6 that no failure of the infrastructure ends one. An
/// uploader can write an object that this server may not read: with a key of its own, or
/// into an archive. What tells that from a lost permission or a lost encryption key is an
/// object written this moment: when that can be read, the store reads, and the refusal is
/// about the one object. A day for a human has passed before this is asked.
async fn is_the_objects_fault(app: &App, ticket: &Ticket) -> bool {
    let control = app.store.reads_back(&key::probe(ticket.id)).await;
    if let Err(error) = &control {
        tracing::warn!(ticket = %ticket.id, %error, "an object cannot be read, and nobody can say why");
    }
    control == Ok(true)
}

/// Closes a ticket that is past its grace and whose bytes an attempt just missed.
pub(super) async fn expire(app: &Arc<App>, ticket: &Ticket) -> bool {
    end(app, ticket, ledger::expire).await
}

async fn end(
    app: &Arc<App>,
    ticket: &Ticket,
    close: fn(&mut Books, Timestamp, Id, u32) -> Ended,
) -> bool {
    let (id, epoch) = (ticket.id, ticket.epoch);
    let ended = app
        .db
        .write(ticket.footprint(), move |books, now| {
            close(books, now, id, epoch)
        })
        .await;
    match ended {
        Ok(Ended::Now(ticket)) => {
            app.announce(id);
            // What is left is the next pass's.
            let _ = clean(app, &ticket).await;
            true
        }
        Ok(Ended::Otherwise(_) | Ended::Unknown) => false,
        Err(error) => {
            tracing::warn!(ticket = %id, %error, "a ticket was not expired");
            false
        }
    }
}

/// Removes what a closed ticket left: its staging object, unfinished multiparts, and final
/// keys of lost attempts. False when the store refuses; an error when it is away.
pub async fn clean(app: &App, ticket: &Ticket) -> Result<bool, Problem> {
    let span = step!("clean", ticket.id);
    let cleaned = clean_up(app, ticket).instrument(span.clone()).await;
    traces::ended(&span, cleaned)
}

async fn clean_up(app: &App, ticket: &Ticket) -> Result<bool, Problem> {
    let removed = remove_leftovers(app, ticket).await;
    if let Err(error) = &removed {
        tracing::warn!(ticket = %ticket.id, %error, "leftovers stay for the next sweep");
    }
    let (id, gone) = (ticket.id, removed.is_ok());
    app.db
        .write(ticket.row(), move |books, now| {
            if gone {
                ledger::cleaned(books, id);
            } else {
                ledger::clean_later(books, now, id);
            }
        })
        .await?;
    match removed {
        Ok(()) => Ok(true),
        Err(StoreError::Refused(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn remove_leftovers(app: &App, ticket: &Ticket) -> Result<(), StoreError> {
    let staging = key::staging(ticket.id);
    app.store.delete(Bucket::Staging, &staging).await?;
    if ticket.dialect.is_some() {
        remove_pieces(app, ticket).await?;
    }
    if ticket.part_size.is_some() || ticket.dialect.is_some() {
        for upload in app.store.list_uploads(Bucket::Staging, &staging).await? {
            abort(app, Bucket::Staging, &staging, &upload).await?;
        }
        if let Some(upload) = &ticket.multipart_id {
            abort(app, Bucket::Staging, &staging, upload).await?;
        }
    }
    if let (Some(key), Some(upload)) = (&ticket.promote_key, &ticket.promote_upload_id) {
        abort(app, Bucket::Files, key, upload).await?;
    }
    // A first attempt that committed left nothing at any other key.
    if ticket.epoch > 1 || (ticket.epoch == 1 && ticket.state != State::Committed) {
        let prefix = key::final_prefix(&ticket.tenant, &ticket.slot, ticket.id);
        let page = app.store.list(Bucket::Files, &prefix, None, BATCH).await?;
        for object in page.objects {
            if is_debris(app, &object).await? == Debris::Yes {
                app.store.delete(Bucket::Files, &object.key).await?;
            }
        }
    }
    Ok(())
}

/// Removes what a file that came in several requests was kept as.
async fn remove_pieces(app: &App, ticket: &Ticket) -> Result<(), StoreError> {
    let prefix = key::piece_prefix(ticket.id);
    loop {
        let page = app
            .store
            .list(Bucket::Staging, &prefix, None, BATCH)
            .await?;
        for object in page.objects {
            app.store.delete(Bucket::Staging, &object.key).await?;
        }
        if page.next.is_none() {
            return Ok(());
        }
    }
}

/// Ends an unfinished multipart upload, if it is there.
pub(super) async fn abort(
    app: &App,
    bucket: Bucket,
    key: &str,
    upload: &str,
) -> Result<(), StoreError> {
    match app.store.abort_multipart(bucket, key, upload).await {
        Ok(()) | Err(StoreError::NoSuchUpload) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Cleans after tickets that closed without being cleaned: a crash, or a store away.
pub async fn clean_closed_tickets(app: &Arc<App>) -> Result<usize, Problem> {
    let mut cleaned = 0;
    for ticket in app.db.unclean_tickets(app.db.now(), BATCH).await? {
        cleaned += usize::from(clean(app, &ticket).await?);
    }
    Ok(cleaned)
}

/// Ends files that nobody claimed in time.
pub async fn end_unclaimed_files(app: &App) -> Result<usize, Problem> {
    let mut ended = 0;
    for file in app.db.unclaimed_files(app.db.now(), BATCH).await? {
        let id = file.id;
        let mut seen = file;
        for _ in 0..READS {
            let done = app
                .db
                .write(seen.footprint(), move |books, now| {
                    ledger::end_unclaimed(books, now, id)
                })
                .await?;
            match (done, app.db.file(id).await?) {
                (Ok(file), _) => {
                    ended += usize::from(file.is_some_and(|file| !file.is_live()));
                    break;
                }
                (Err(_), Some(file)) => seen = file,
                (Err(_), None) => break,
            }
        }
    }
    Ok(ended)
}

/// Deletes an object; false when the store refuses to. One under a lock of the store's
/// must not keep the pass from all that come after it, as an outage may.
async fn delete(app: &App, bucket: Bucket, key: &str) -> Result<bool, StoreError> {
    match app.store.delete(bucket, key).await {
        Ok(()) => Ok(true),
        Err(error @ StoreError::Refused(_)) => {
            tracing::warn!(key, %error, "an object that nobody wants was not deleted");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Deletes the bytes of tombstones, then the tombstones. One that the store fails on does not
/// stand before the others; several in a row end the pass.
pub async fn purge_tombstones(app: &App) -> Result<usize, Problem> {
    let (mut purged, mut in_a_row, mut last) = (0, 0, None);
    for file in app.db.tombstones(app.db.now(), BATCH).await? {
        if in_a_row == TROUBLE_ENOUGH {
            break;
        }
        let id = file.id;
        let gone = match delete(app, Bucket::Files, &file.key).await {
            Ok(gone) => gone,
            Err(error) => {
                in_a_row += 1;
                last = Some(error);
                continue;
            }
        };
        (in_a_row, last) = (0, None);
        app.db
            .write(file.footprint(), move |books, now| {
                if gone {
                    books.forget(Forget::File(id));
                } else {
                    ledger::purge_later(books, now, id);
                }
            })
            .await?;
        purged += usize::from(gone);
    }
    last.map_or(Ok(purged), |error| Err(error.into()))
}

/// Where the look for empty accounts stands.
const USAGE_WALK: &str = "sweep.usage";
/// How many accounts one pass looks at.
const ACCOUNTS: u32 = 1000;

/// Forgets what is older than `retention`, idempotent mints older than a day, and accounts
/// that hold nothing.
pub async fn forget_old_rows(app: &App, now: Timestamp) -> Result<(), Problem> {
    let before = now.minus(app.retention);
    let a_day_ago = now.minus(Seconds(24 * 3600));
    let after = app.db.mark(USAGE_WALK).await?.unwrap_or_default();
    let accounts = app.db.accounts(&after, ACCOUNTS).await?;
    let is_last = accounts.len() < ACCOUNTS as usize;
    let until = accounts.last().map(|last| last.account.clone());
    let any_empty = accounts.iter().any(|held| held.usage == Usage::default());
    let mark = until.clone().filter(|_| !is_last).unwrap_or_default();
    let is_delivering = app.receiver.get().is_some();
    app.db
        .write(Footprint::default(), move |books, _| {
            books.forget(Forget::TicketsClosedBefore(before));
            books.forget(Forget::EventsSettledBefore(before));
            if !is_delivering {
                books.forget(Forget::EventsDueBefore(before));
            }
            books.forget(Forget::MintsBefore(a_day_ago));
            if let Some(until) = until.clone().filter(|_| any_empty) {
                books.forget(Forget::EmptyUsage(after.clone(), until));
            }
            books.mark(USAGE_WALK, mark.clone());
        })
        .await?;
    Ok(())
}

/// Whether an object may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Debris {
    /// A row says that nobody wants it.
    Yes,
    /// Somebody may want it.
    No,
    /// No row knows it: a human decides.
    Unknown,
}

/// Law 2 for an object at a final key, by rows read after it was listed: wanted by its file
/// row, or by an attempt that may still commit it; debris if an attempt that the row knows
/// wrote it. After a restore from a backup the rows know less than the bucket holds.
async fn is_debris(app: &App, object: &Object) -> Result<Debris, StoreError> {
    let Some((id, epoch)) = key::final_owner(&object.key) else {
        return Ok(Debris::Unknown);
    };
    let trouble = |error: crate::db::DbError| StoreError::Unavailable(error.to_string());
    let ticket = app.db.ticket(id).await.map_err(trouble)?;
    let file = app.db.file(id).await.map_err(trouble)?;
    Ok(match (file, ticket) {
        (Some(file), _) if file.key == object.key => Debris::No,
        (None, Some(t)) if t.state == State::Open && epoch >= t.epoch => Debris::No,
        (_, Some(t)) if t.can_have_written(epoch, object.last_modified) => Debris::Yes,
        _ => Debris::Unknown,
    })
}

/// Where the walks stand between passes.
const STAGING_WALK: &str = "sweep.staging";
const FILES_WALK: &str = "sweep.files";

/// One step of a walk over a bucket: lists a page after the mark, deletes what no row
/// wants (or only says so, when `dry`), and moves the mark.
pub async fn walk(
    app: &App,
    bucket: Bucket,
    dry: bool,
    swept: &mut Swept,
) -> Result<bool, Problem> {
    let name = match bucket {
        Bucket::Staging => STAGING_WALK,
        Bucket::Files => FILES_WALK,
    };
    let after = app.db.mark(name).await?.filter(|mark| !mark.is_empty());
    let next = walk_page(app, bucket, after.as_deref(), dry, swept).await?;
    let more = next.is_some();
    app.db
        .write(Footprint::default(), move |books, _| {
            books.mark(name, next.clone().unwrap_or_default());
        })
        .await?;
    Ok(more)
}

/// One page of a walk; answers where the next begins.
pub async fn walk_page(
    app: &App,
    bucket: Bucket,
    after: Option<&str>,
    dry: bool,
    swept: &mut Swept,
) -> Result<Option<String>, Problem> {
    let page = app.store.list(bucket, "", after, 1000).await?;
    for object in page.objects {
        let debris = match bucket {
            Bucket::Staging => is_staging_debris(app, &object.key).await?,
            Bucket::Files => is_debris(app, &object).await?,
        };
        match debris {
            Debris::No => {}
            Debris::Unknown => swept.unknown.push((bucket, object.key)),
            Debris::Yes => {
                if dry || delete(app, bucket, &object.key).await? {
                    swept.deleted.push((bucket, object.key));
                }
            }
        }
    }
    Ok(page.next)
}

/// A staging object, or a probe's, belongs to its open ticket; one of a closed ticket is debris, on every
/// pass, since its URL may live on. One that no ticket knows is left for a human.
async fn is_staging_debris(app: &App, staging_key: &str) -> Result<Debris, Problem> {
    let Some(id) = key::staging_owner(staging_key) else {
        return Ok(Debris::Unknown);
    };
    Ok(match app.db.ticket(id).await? {
        Some(ticket) if ticket.state == State::Open => Debris::No,
        Some(_) => Debris::Yes,
        None => Debris::Unknown,
    })
}
