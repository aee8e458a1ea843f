//! Sweep: removes what no open ticket and no live file owns. Each pass is a plain function
//! of the database's time and the store's answers, does a bounded amount of work, and
//! says what it did.

mod places;
mod tally;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{self, JoinError, JoinSet};
use tokio::time::timeout;
use tracing::Instrument;

use self::tally::Tally;
pub use self::tally::store_answers;
use super::attempt::{Outcome, attempt};
use super::{App, READS};
use crate::db::{DbError, Held};
use crate::domain::books::{Books, Footprint, Forget, Usage};
use crate::domain::file::File;
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

/// What a look came to.
enum Look {
    Closed,
    Open,
    /// Store or database failed, whatever the ticket.
    Trouble(Problem),
}

/// Looks at every ticket whose time has come, and waits until all have ended.
pub async fn look_at_due_tickets(app: &Arc<App>) -> Result<usize, Problem> {
    Looks::default().pass(app, Duration::MAX).await
}

/// The looks of a worker: a closed tab must not lose a file, and an absent one must not hold
/// its room. One that promotes hundreds of gigabytes takes a quarter of an hour: it goes on from
/// pass to pass, has one of the places for two minutes, and the others go on too.
#[derive(Debug, Default)]
pub struct Looks {
    due: VecDeque<Id>,
    under_way: JoinSet<Look>,
    /// The ticket of each, and when it began.
    begun: HashMap<task::Id, (Id, Timestamp)>,
}

impl Looks {
    /// Looks at what is due, until it was looked at or, for this long, no look has ended;
    /// answers how many tickets were closed. In an outage it asks for a few and gives up:
    /// those are postponed a little, the rest is as due as before.
    pub async fn pass(&mut self, app: &Arc<App>, patience: Duration) -> Result<usize, Problem> {
        let mut tally = Tally::default();
        while let Some(ended) = self.under_way.try_join_next_with_id() {
            self.end(ended, &mut tally);
        }
        let has_room = self.due.is_empty() && self.has_place(app);
        if has_room && !tally.is_ill() {
            let due = app.db.due_tickets(app.db.now(), BATCH).await?;
            let is_new = |id: &Id| self.begun.values().all(|(busy, _)| busy != id);
            self.due.extend(due.into_iter().filter(is_new));
        }
        loop {
            if tally.is_enough() {
                self.due.clear();
            }
            while self.has_place(app)
                && let Some(id) = self.due.pop_front()
            {
                self.begin(app, id);
            }
            match timeout(patience, self.under_way.join_next_with_id()).await {
                Ok(Some(ended)) => self.end(ended, &mut tally),
                Ok(None) | Err(_) => return tally.answer(app).await,
            }
        }
    }

    /// Waits for what is under way.
    pub async fn finish(&mut self) {
        while self.under_way.join_next().await.is_some() {}
    }

    fn has_place(&self, app: &App) -> bool {
        places::is_free(self.begun.values().map(|(_, at)| *at), app.db.now())
    }

    fn begin(&mut self, app: &Arc<App>, id: Id) {
        let now = app.db.now();
        let app = Arc::clone(app);
        let begun = self.under_way.spawn(async move { look_at(&app, id).await });
        self.begun.insert(begun.id(), (id, now));
    }

    fn end(&mut self, ended: Result<(task::Id, Look), JoinError>, tally: &mut Tally) {
        let (task, look) = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "a look broke off");
            (error.id(), Look::Open)
        });
        self.begun.remove(&task);
        match look {
            Look::Closed => tally.well(true),
            Look::Open => tally.well(false),
            Look::Trouble(problem) => tally.ill(problem),
        }
    }
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
        // What ails this ticket alone is left for its next turn.
        Err(Stay::Store(StoreError::Refused(_)) | Stay::Database(DbError::Inconsistent(_))) => {
            Ok(false)
        }
        Err(Stay::Store(error)) => Err(error.into()),
        Err(Stay::Database(error)) => Err(error.into()),
    }
}

/// Why leftovers stay.
#[derive(Debug, thiserror::Error)]
enum Stay {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Database(#[from] DbError),
}

async fn remove_leftovers(app: &App, ticket: &Ticket) -> Result<(), Stay> {
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

/// Cleans after tickets that closed without being cleaned: a crash, or a store away. One that
/// the store fails on does not stand before the others; several in a row end the pass.
pub async fn clean_closed_tickets(app: &Arc<App>) -> Result<usize, Problem> {
    let mut tally = Tally::default();
    for ticket in app.db.unclean_tickets(app.db.now(), BATCH).await? {
        if tally.is_enough() {
            break;
        }
        match clean(app, &ticket).await {
            Ok(gone) => tally.well(gone),
            Err(problem) => {
                if let Some(problem) = outage(problem) {
                    tally.ill(problem);
                }
            }
        }
    }
    tally.answer(app).await
}

/// Ends files that nobody claimed in time. A row that must not be so keeps no other.
pub async fn end_unclaimed_files(app: &App) -> Result<usize, Problem> {
    let mut ended = 0;
    for file in app.db.unclaimed_files(app.db.now(), BATCH).await? {
        let id = file.id;
        match end_unclaimed(app, file).await {
            Ok(done) => ended += usize::from(done),
            Err(error) => of_one_row(id, error)?,
        }
    }
    Ok(ended)
}

async fn end_unclaimed(app: &App, file: File) -> Result<bool, DbError> {
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
            (Ok(file), _) => return Ok(file.is_some_and(|file| !file.is_live())),
            (Err(_), Some(file)) => seen = file,
            (Err(_), None) => break,
        }
    }
    Ok(false)
}

/// A row that is not as it may be keeps its own file from its end, and no other; a database
/// that is away ends the pass.
fn of_one_row(id: Id, error: DbError) -> Result<(), Problem> {
    match error {
        DbError::Inconsistent(_) => {
            tracing::error!(file = %id, %error, "a file is passed over");
            Ok(())
        }
        error => Err(error.into()),
    }
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
/// stand before the others; several in a row end the pass. When the store is well otherwise, they
/// are left alone for a while, as those that it refuses to delete.
pub async fn purge_tombstones(app: &App) -> Result<usize, Problem> {
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    for file in app.db.tombstones(app.db.now(), BATCH).await? {
        if tally.is_enough() {
            break;
        }
        let id = file.id;
        let gone = match delete(app, Bucket::Files, &file.key).await {
            Ok(gone) => gone,
            Err(error) => {
                tracing::warn!(file = %id, %error, "the bytes of a tombstone were not deleted");
                tally.ill(error.into());
                failed.push(file);
                continue;
            }
        };
        let written = if gone {
            let forget = move |books: &mut Books, _| books.forget(Forget::File(id));
            app.db.write(file.footprint(), forget).await
        } else {
            purge_later(app, &file).await
        };
        tally.well(gone && written.is_ok());
        if let Err(error) = written {
            of_one_row(id, error)?;
        }
    }
    if !failed.is_empty() && store_answers(app).await.is_ok() {
        for file in &failed {
            if let Err(error) = purge_later(app, file).await {
                of_one_row(file.id, error)?;
            }
        }
    }
    tally.answer(app).await
}

async fn purge_later(app: &App, file: &File) -> Result<(), DbError> {
    let id = file.id;
    let later = move |books: &mut Books, now| ledger::purge_later(books, now, id);
    app.db.write(file.footprint(), later).await
}

/// Where the look for empty accounts stands.
const USAGE_WALK: &str = "sweep.usage";
/// How many accounts one pass looks at.
const ACCOUNTS: u32 = 1000;

/// Forgets what is older than `retention`, idempotent mints older than a day, and accounts
/// that hold nothing: so many of each. Answers whether there is more.
pub async fn forget_old_rows(app: &App, now: Timestamp) -> Result<bool, Problem> {
    let before = now.minus(app.retention);
    let a_day_ago = now.minus(Seconds(24 * 3600));
    let after = app.db.mark(USAGE_WALK).await?.unwrap_or_default();
    let accounts = app.db.accounts(&after, ACCOUNTS).await?;
    let is_last = accounts.len() < ACCOUNTS as usize;
    let until = accounts.last().map(|last| last.account.clone());
    let is_empty = |held: &&Held| held.usage == Usage::default();
    let empty = accounts.iter().filter(is_empty).count();
    // Where there are few, looking faster would find nothing but accounts in use.
    let are_many = !is_last && empty * 10 >= accounts.len();
    let mark = until.clone().filter(|_| !is_last).unwrap_or_default();
    let mut old = vec![
        Forget::TicketsClosedBefore(before),
        Forget::EventsSettledBefore(before),
        Forget::MintsBefore(a_day_ago),
    ];
    if app.receiver.get().is_none() {
        old.push(Forget::EventsDueBefore(before));
    }
    let mut all = old.clone();
    all.extend(
        until
            .filter(|_| empty > 0)
            .map(|until| Forget::EmptyUsage(after, until)),
    );
    app.db
        .write(Footprint::default(), move |books, _| {
            for what in &all {
                books.forget(what.clone());
            }
            books.mark(USAGE_WALK, mark.clone());
        })
        .await?;
    Ok(are_many || app.db.has_to_forget(&old).await?)
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
async fn is_debris(app: &App, object: &Object) -> Result<Debris, DbError> {
    let Some((id, epoch)) = key::final_owner(&object.key) else {
        return Ok(Debris::Unknown);
    };
    let ticket = app.db.ticket(id).await?;
    let file = app.db.file(id).await?;
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
/// wants (or only says so, when `dry`), and moves the mark past what it came to, also when
/// trouble ended it: what fails every time must not hide all that comes after it.
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
    let Step { next, trouble } = one_page(app, bucket, after.as_deref(), dry, swept).await?;
    let more = next.is_some();
    app.db
        .write(Footprint::default(), move |books, _| {
            books.mark(name, next.clone().unwrap_or_default());
        })
        .await?;
    trouble.map_or(Ok(more), Err)
}

/// One page of a walk; answers where the next begins.
pub async fn walk_page(
    app: &App,
    bucket: Bucket,
    after: Option<&str>,
    dry: bool,
    swept: &mut Swept,
) -> Result<Option<String>, Problem> {
    let Step { next, trouble } = one_page(app, bucket, after, dry, swept).await?;
    trouble.map_or(Ok(next), Err)
}

/// Where the next step begins, and what ended this one early.
struct Step {
    next: Option<String>,
    trouble: Option<Problem>,
}

/// An object that the store fails on, or whose row cannot be read, is passed over; failures in
/// a row end the step.
async fn one_page(
    app: &App,
    bucket: Bucket,
    after: Option<&str>,
    dry: bool,
    swept: &mut Swept,
) -> Result<Step, Problem> {
    let page = app.store.list(bucket, "", after, 1000).await?;
    let mut tally = Tally::default();
    for object in page.objects {
        let judged = match bucket {
            Bucket::Staging => is_staging_debris(app, &object.key).await,
            Bucket::Files => is_debris(app, &object).await,
        };
        let debris = match judged {
            Ok(debris) => debris,
            Err(error @ DbError::Inconsistent(_)) => {
                tracing::error!(key = object.key, %error, "an object stays: its row cannot be read");
                Debris::Unknown
            }
            Err(error) => return Err(error.into()),
        };
        match debris {
            Debris::No => {}
            Debris::Unknown => swept.unknown.push((bucket, object.key)),
            Debris::Yes if dry => swept.deleted.push((bucket, object.key)),
            Debris::Yes => match delete(app, bucket, &object.key).await {
                Ok(gone) => {
                    tally.well(gone);
                    if gone {
                        swept.deleted.push((bucket, object.key));
                    }
                }
                Err(error) => {
                    tracing::warn!(key = object.key, %error, "an object that nobody wants was not deleted");
                    tally.ill(error.into());
                    if tally.is_enough() {
                        return Ok(Step {
                            next: Some(object.key),
                            trouble: tally.answer(app).await.err(),
                        });
                    }
                }
            },
        }
    }
    Ok(Step {
        next: page.next,
        trouble: None,
    })
}

/// A staging object, or a probe's, belongs to its open ticket; one of a closed ticket is debris, on every
/// pass, since its URL may live on. One that no ticket knows is left for a human.
async fn is_staging_debris(app: &App, staging_key: &str) -> Result<Debris, DbError> {
    let Some(id) = key::staging_owner(staging_key) else {
        return Ok(Debris::Unknown);
    };
    Ok(match app.db.ticket(id).await? {
        Some(ticket) if ticket.state == State::Open => Debris::No,
        Some(_) => Debris::Yes,
        None => Debris::Unknown,
    })
}
