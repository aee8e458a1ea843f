//! An attempt: judge, promote, judge again, commit. Whoever asks (client, notification,
//! worker), this is what runs, under a lease and a fencing epoch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::Instrument;

use super::lease::Lease;
use super::turns::Share;
use super::{App, chunks, look, sweep};
use crate::db::DbError;
use crate::domain::chunks::{overrun, sum};
use crate::domain::disposition::content_disposition;
use crate::domain::file::File;
use crate::domain::key;
use crate::domain::ledger::{self, Began, Commit, Committed, Ended};
use crate::domain::name::Id;
use crate::domain::problem::{Code, Problem};
use crate::domain::ticket::{self, Ticket};
use crate::domain::verdict::{self, Accepted, Declared, Facts, Reason, Rejection, Verdict};
use crate::metrics::metrics;
use crate::sniff::{self, Piece};
use crate::store::{Bucket, Promotion, StoreError};
use crate::traces::{self, step};

/// What an attempt came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The ticket is closed, by this attempt or before it.
    Closed(Box<Ticket>),
    /// Somebody else is judging.
    Busy,
    /// The bytes are not there yet; the ticket stays open.
    Missing(Box<Ticket>, Problem),
    /// The bytes changed while they were judged, or the lease was lost: worth another
    /// attempt.
    Again,
    /// The store or the database did not do its part; the ticket stays open.
    Unavailable(Problem),
    /// The store has the object and refuses to let it be read; the ticket stays open.
    Unreadable(Box<Ticket>, Problem),
    /// There is no such ticket.
    Unknown,
}

impl Outcome {
    /// One of [`crate::metrics::ATTEMPT_OUTCOMES`].
    const fn word(&self) -> &'static str {
        match self {
            Self::Closed(_) => "closed",
            Self::Busy => "busy",
            Self::Missing(..) => "missing",
            Self::Again => "again",
            Self::Unavailable(_) => "unavailable",
            Self::Unreadable(..) => "unreadable",
            Self::Unknown => "unknown",
        }
    }
}

/// Why an attempt stopped before a verdict.
enum Stop {
    Missing(Problem),
    Again,
    Trouble(StoreError),
    /// The store refused the first read of the staging object.
    Unreadable(StoreError),
    Database(Problem),
    /// The ticket closed under the attempt.
    Lost(Box<Ticket>),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Changed | StoreError::Stopped => Self::Again,
            error => Self::Trouble(error),
        }
    }
}

impl From<DbError> for Stop {
    fn from(error: DbError) -> Self {
        Self::Database(error.into())
    }
}

/// Runs one attempt for the worker. It runs to its end even if the caller goes away. Busy
/// also means that too many wait for a turn.
pub async fn attempt(app: &Arc<App>, id: Id) -> Outcome {
    in_turn(app, id, None).await
}

/// The same on behalf of the ticket's tenant, whose share of the turns it uses.
pub async fn attempt_on(app: &Arc<App>, ticket: &Ticket) -> Outcome {
    in_turn(app, ticket.id, Some(ticket.tenant.clone())).await
}

async fn in_turn(app: &Arc<App>, id: Id, share: Share) -> Outcome {
    // Before anything is spawned: who asks again and again without waiting piles nothing up.
    let Some(mut place) = app.turns.enter(id, share) else {
        return Outcome::Busy;
    };
    let app = Arc::clone(app);
    let span = traces::about(tracing::info_span!("attempt", ticket = %id), id);
    let attempt = async move {
        // Waiting here holds no lease.
        place.turn().await;
        let began = Instant::now();
        let outcome = run(&app, id).await;
        metrics().attempted(outcome.word(), began.elapsed());
        traces::note("outcome", outcome.word());
        drop(place);
        outcome
    };
    tokio::spawn(attempt.instrument(span))
        .await
        .unwrap_or_else(|_| {
            Outcome::Unavailable(Problem::new(Code::Internal, "the attempt broke off"))
        })
}

/// Takes the lease on a ticket, if nobody has it.
pub(super) async fn begin(app: &App, id: Id) -> Result<Began, DbError> {
    let row = crate::domain::books::Footprint {
        tickets: vec![id],
        ..Default::default()
    };
    let mut before: Option<Box<Ticket>> = None;
    app.db
        .write(row, move |books, now| {
            let began = ledger::begin_after(books, now, id, before.as_deref());
            if let Began::Yours(ticket) = &began {
                before = Some(ticket.clone());
            }
            began
        })
        .await
}

async fn run(app: &Arc<App>, id: Id) -> Outcome {
    let asked = Instant::now();
    let ticket = match begin(app, id).await {
        Ok(Began::Yours(ticket)) => *ticket,
        Ok(Began::Busy) => return Outcome::Busy,
        Ok(Began::Closed(ticket)) => return Outcome::Closed(ticket),
        Ok(Began::Unknown) => return Outcome::Unknown,
        Err(error) => return Outcome::Unavailable(error.into()),
    };
    let lease = Lease::keep(app, &ticket, asked);
    let outcome = match pursue(app, &ticket, &lease).await {
        Ok(closed) => Outcome::Closed(closed),
        Err(Stop::Lost(ticket)) => Outcome::Closed(ticket),
        Err(stop) => {
            let note = match &stop {
                Stop::Missing(problem) | Stop::Database(problem) => problem.to_string(),
                Stop::Trouble(error) | Stop::Unreadable(error) => error.to_string(),
                Stop::Again | Stop::Lost(_) => "the bytes changed while they were judged".into(),
            };
            release(app, &ticket, &note).await;
            match stop {
                Stop::Missing(problem) => Outcome::Missing(Box::new(ticket), problem),
                Stop::Trouble(error) => {
                    tracing::warn!(ticket = %id, %error, "an attempt met trouble at the store");
                    Outcome::Unavailable(error.into())
                }
                Stop::Unreadable(error) => Outcome::Unreadable(Box::new(ticket), error.into()),
                Stop::Database(problem) => Outcome::Unavailable(problem),
                Stop::Again | Stop::Lost(_) => Outcome::Again,
            }
        }
    };
    drop(lease);
    if let Outcome::Closed(ticket) = &outcome {
        app.announce(id);
        // Best effort, and nobody waits for it: the worker cleans what is left.
        let (app, ticket) = (Arc::clone(app), ticket.clone());
        tokio::spawn(async move { sweep::clean(&app, &ticket).await });
    }
    outcome
}

/// Gives the lease back without a decision.
pub(super) async fn release(app: &App, ticket: &Ticket, note: &str) {
    let (id, epoch, note) = (ticket.id, ticket.epoch, note.to_owned());
    let released = app
        .db
        .write(ticket.row(), move |books, _| {
            ledger::release(books, id, epoch, &note);
        })
        .await;
    if let Err(error) = released {
        tracing::warn!(ticket = %id, %error, "a lease was not given back; it will run out");
    }
}

/// What the bytes at one key came to.
struct Judged {
    size: u64,
    etag: String,
    sha256: Option<String>,
    verdict: Verdict,
}

async fn pursue(app: &Arc<App>, ticket: &Ticket, lease: &Lease) -> Result<Box<Ticket>, Stop> {
    let staging = key::staging(ticket.id);
    match ticket.part_size {
        None => {}
        Some(_) if ticket.exact_size => assemble(app, ticket, &staging, lease).await?,
        Some(_) => return undeclared(app, ticket, &staging, lease).await,
    }
    lease.check()?;
    let judging = judge(app, ticket, Bucket::Staging, &staging, None, lease);
    let first = match judging.instrument(step!("judge")).await {
        Ok(judged) => judged,
        Err(StoreError::Missing) => {
            let detail = "nothing has arrived under this ticket yet";
            return Err(Stop::Missing(Problem::new(Code::ObjectMissing, detail)));
        }
        Err(error @ StoreError::Refused(_)) => return Err(Stop::Unreadable(error)),
        Err(error) => return Err(error.into()),
    };
    let accepted = match &first.verdict {
        Verdict::Reject(rejection) => return reject(app, ticket, rejection).await,
        Verdict::Accept(accepted) => accepted,
    };
    let final_key = key::final_key(
        &ticket.tenant,
        &ticket.slot,
        ticket.id,
        ticket.epoch,
        accepted.extension.as_deref(),
    );
    let shown = look::shown_as(ticket.policy.disposition, &accepted.media_type);
    let disposition = content_disposition(shown, &ticket.name);
    let promotion = Promotion {
        staging_key: &staging,
        etag: &first.etag,
        size: first.size,
        final_key: &final_key,
        content_type: &accepted.media_type,
        content_disposition: &disposition,
    };
    promote(app, ticket, &promotion, lease)
        .instrument(step!("promote"))
        .await?;
    lease.check()?;
    // Only what is read here counts: no browser can write to this key, and no other
    // attempt shares it. Missing means the copy did not happen after all.
    let judging = judge(app, ticket, Bucket::Files, &final_key, Some(&first), lease);
    let second = match judging.instrument(step!("judge again")).await {
        Ok(judged) => judged,
        Err(StoreError::Missing) => return Err(Stop::Again),
        Err(error) => return Err(error.into()),
    };
    match second.verdict {
        Verdict::Reject(ref rejection) => reject(app, ticket, rejection).await,
        // The twin of a verdict: the key's extension and the copy's type came from the
        // first, so bytes that say otherwise need an attempt of their own.
        Verdict::Accept(ref again)
            if again.media_type != accepted.media_type || again.extension != accepted.extension =>
        {
            Err(Stop::Again)
        }
        Verdict::Accept(again) => {
            let file = file(
                ticket,
                final_key,
                second.size,
                second.etag,
                second.sha256,
                again,
            );
            commit(app, ticket, file).instrument(step!("commit")).await
        }
    }
}

/// Reads what the verdict needs, at most 64 KiB from the start and 64 KiB elsewhere, and
/// asks for it.
async fn judge(
    app: &App,
    ticket: &Ticket,
    bucket: Bucket,
    key: &str,
    before: Option<&Judged>,
    lease: &Lease,
) -> Result<Judged, StoreError> {
    let peek = app
        .store
        .head_bytes(bucket, key, sniff::HEAD_BYTES, None)
        .await?;
    let mut more = Vec::new();
    loop {
        let pieces: Vec<Piece> = more.iter().map(piece).collect();
        let Some(range) = sniff::next_read(&peek.bytes, &pieces, peek.size) else {
            break;
        };
        lease.check()?;
        let offset = range.start;
        let bytes = app
            .store
            .range_bytes(bucket, key, range, peek.size, &peek.etag)
            .await?;
        more.push((offset, bytes));
    }
    let sha256 = if peek.size == peek.bytes.len() as u64 {
        Some(base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&peek.bytes)))
    } else if ticket.sha256.is_some() {
        // Larger than what is read: the store checked the signed sum at the PUT, and says
        // so unless the copy made it forget.
        lease.check()?;
        let stored = app.store.stored_sha256(bucket, key).await?;
        stored.or_else(|| before.and_then(|judged| judged.sha256.clone()))
    } else {
        None
    };
    let facts = Facts {
        size: peek.size,
        sha256: sha256.clone(),
    };
    let verdict = deliberate(ticket, &facts, &peek.bytes, &more);
    let word = match &verdict {
        Verdict::Accept(_) => "accepted",
        Verdict::Reject(rejection) => rejection.reason.as_str(),
    };
    traces::note("outcome", word);
    Ok(Judged {
        size: peek.size,
        verdict,
        etag: peek.etag,
        sha256,
    })
}

fn piece((offset, bytes): &(u64, Bytes)) -> Piece<'_> {
    Piece {
        offset: *offset,
        bytes,
    }
}

/// The verdict itself. Bytes that make the detector panic are malformed in every slot.
fn deliberate(ticket: &Ticket, facts: &Facts, head: &[u8], more: &[(u64, Bytes)]) -> Verdict {
    let declared = Declared {
        name: &ticket.name,
        size: ticket.right_size(facts.size),
        media_type: ticket.media_type.as_deref(),
        sha256: ticket.sha256.as_deref(),
    };
    catch_unwind(AssertUnwindSafe(|| {
        let pieces: Vec<Piece> = more.iter().map(piece).collect();
        let finding = sniff::sniff(head, &pieces, facts.size);
        verdict::judge(&ticket.policy, &declared, facts, &finding)
    }))
    .unwrap_or_else(|_| {
        tracing::error!(ticket = %ticket.id, "the detector panicked; the file counts as malformed");
        Verdict::Reject(Rejection {
            reason: Reason::Malformed,
            declared: ticket.media_type.clone(),
            detected: None,
            detail: "the bytes broke the detector".to_owned(),
            evidence: None,
        })
    })
}

/// Completes a multipart upload, after comparing what the store has with the plan.
async fn assemble(app: &App, ticket: &Ticket, staging: &str, lease: &Lease) -> Result<(), Stop> {
    let part_size = ticket.part_size.unwrap_or(ticket.size);
    let count = ticket::part_count(ticket.size, part_size);
    let Some(upload_id) = &ticket.multipart_id else {
        return Err(Stop::Missing(missing_parts(
            &(1..=count).collect::<Vec<_>>(),
        )));
    };
    lease.check()?;
    let parts = match app.store.list_parts(staging, upload_id).await {
        Ok(parts) => parts,
        Err(StoreError::NoSuchUpload) => return gone(app, ticket, staging, upload_id, count).await,
        Err(error) => return Err(error.into()),
    };
    let missing: Vec<u32> = (1..=count)
        .filter(|number| {
            let planned = ticket::part(ticket.size, part_size, *number).map(|part| part.size);
            !parts
                .iter()
                .any(|part| part.number == *number && Some(part.size) == planned)
        })
        .collect();
    if !missing.is_empty() {
        return Err(Stop::Missing(missing_parts(&missing)));
    }
    lease.check()?;
    let planned: Vec<_> = parts
        .into_iter()
        .filter(|part| part.number <= count)
        .collect();
    match app
        .store
        .complete_multipart(staging, upload_id, &planned)
        .await
    {
        Ok(()) => Ok(()),
        Err(StoreError::NoSuchUpload) => gone(app, ticket, staging, upload_id, count).await,
        Err(error) => Err(error.into()),
    }
}

/// Parts whose client has not said yet that they are all: more of them than there may be end the
/// ticket, else they wait for its word. Without it nobody can tell a whole file from half of one.
async fn undeclared(
    app: &App,
    ticket: &Ticket,
    staging: &str,
    lease: &Lease,
) -> Result<Box<Ticket>, Stop> {
    lease.check()?;
    let arrived = chunks::arrived::<Stop>(app, ticket, staging).await?;
    if let Some(rejection) = overrun(ticket, sum(&arrived)) {
        return reject(app, ticket, &rejection).await;
    }
    let detail = "the client has not said yet that all parts are sent";
    Err(Stop::Missing(Problem::new(Code::PartsMissing, detail)))
}

/// The store no longer knows the upload: it was completed (a lost answer, somebody's hand),
/// or dropped, and then everything starts anew under the same ticket.
async fn gone(
    app: &App,
    ticket: &Ticket,
    staging: &str,
    upload_id: &str,
    count: u32,
) -> Result<(), Stop> {
    if is_whole(app, ticket, staging).await? {
        return Ok(());
    }
    forget_upload(app, ticket, upload_id).await?;
    Err(Stop::Missing(missing_parts(
        &(1..=count).collect::<Vec<_>>(),
    )))
}

/// Whether the declared bytes are in staging, as one object.
pub(super) async fn is_whole(
    app: &App,
    ticket: &Ticket,
    staging: &str,
) -> Result<bool, StoreError> {
    let found = app.store.head(Bucket::Staging, staging).await?;
    Ok(found.is_some_and(|(size, _)| size == ticket.size))
}

/// The ticket's next sign creates another upload.
pub(super) async fn forget_upload(
    app: &App,
    ticket: &Ticket,
    upload_id: &str,
) -> Result<(), DbError> {
    let (id, seen) = (ticket.id, upload_id.to_owned());
    app.db
        .write(ticket.row(), move |books, _| {
            ledger::note_multipart(books, id, Some(&seen), None)
        })
        .await?;
    Ok(())
}

/// The first hundred missing parts by number; the client asks again for the rest.
fn missing_parts(numbers: &[u32]) -> Problem {
    let shown = &numbers[..numbers.len().min(100)];
    Problem::new(
        Code::PartsMissing,
        format!("{} parts have not arrived", numbers.len()),
    )
    .with("missing", shown.to_vec())
    .with("missing_count", numbers.len())
}

async fn promote(
    app: &App,
    ticket: &Ticket,
    promotion: &Promotion<'_>,
    lease: &Lease,
) -> Result<(), Stop> {
    lease.check()?;
    let done = if app.store.copies_at_once(promotion.size) {
        app.store.promote(promotion).await
    } else {
        // Of this ticket's promotions by parts only the one on its row is ever looked for, so
        // an earlier attempt's goes before another takes its place.
        if let (Some(key), Some(upload)) = (&ticket.promote_key, &ticket.promote_upload_id) {
            sweep::abort(app, Bucket::Files, key, upload).await?;
            lease.check()?;
        }
        let upload_id = app.store.create_copy(promotion).await?;
        let (id, epoch) = (ticket.id, ticket.epoch);
        let (final_key, noted) = (promotion.final_key.to_owned(), upload_id.clone());
        let mine = app
            .db
            .write(ticket.row(), move |books, _| {
                ledger::note_promotion(books, id, epoch, &final_key, &noted)
            })
            .await?;
        // Without a part it holds no bytes, should it stay.
        if !mine
            && let Err(error) =
                sweep::abort(app, Bucket::Files, promotion.final_key, &upload_id).await
        {
            tracing::warn!(ticket = %ticket.id, %error, "an unfinished promotion stays in the store");
        }
        if !mine {
            return Err(Stop::Again);
        }
        lease.check()?;
        app.store
            .copy_parts(promotion, &upload_id, &|| lease.is_held())
            .await
    };
    match done {
        Ok(()) => Ok(()),
        // Gone between judging and copying; a client may put it again.
        Err(StoreError::Missing) => Err(Stop::Again),
        Err(error) => Err(error.into()),
    }
}

fn judged(verdict: &'static str) {
    tracing::debug!(verdict, "judged");
    metrics().judged(verdict);
}

async fn reject(app: &App, ticket: &Ticket, rejection: &Rejection) -> Result<Box<Ticket>, Stop> {
    let (id, epoch, problem) = (ticket.id, ticket.epoch, rejection.problem());
    let ended = app
        .db
        .write(ticket.footprint(), move |books, now| {
            ledger::reject(books, now, id, epoch, &problem)
        })
        .await?;
    match ended {
        Ended::Now(ticket) => {
            judged(rejection.reason.as_str());
            Ok(ticket)
        }
        Ended::Otherwise(ticket) => Err(lost(ticket)),
        Ended::Unknown => Err(Stop::Again),
    }
}

fn file(
    ticket: &Ticket,
    key: String,
    size: u64,
    etag: String,
    sha256: Option<String>,
    accepted: Accepted,
) -> File {
    File {
        id: ticket.id,
        tenant: ticket.tenant.clone(),
        slot: ticket.slot.clone(),
        owner: ticket.owner.clone(),
        reference: ticket.reference.clone(),
        key,
        name: ticket.name.clone(),
        size,
        media_type: accepted.media_type,
        etag,
        // Read in full, told by the store, or else signed into the PUT.
        sha256: sha256.or_else(|| ticket.sha256.clone()),
        width: accepted.width,
        height: accepted.height,
        metadata: ticket.metadata.clone(),
        disposition: ticket.policy.disposition,
        warnings: accepted.warnings,
        committed_at: ticket.created_at,
        claimed_at: None,
        unclaimed_at: None,
        ended_at: None,
        end_reason: None,
        purge_at: None,
        event_seq: 0,
    }
}

async fn commit(app: &App, ticket: &Ticket, file: File) -> Result<Box<Ticket>, Stop> {
    let job = Commit {
        ticket: ticket.clone(),
        file,
    };
    let (key, size) = (job.file.key.clone(), job.file.size);
    let committed = app.db.commit(job).await?;
    match committed.ok_or_else(|| Stop::Database(super::moved()))? {
        Committed::Done(ticket, _) => {
            judged("accepted");
            metrics().committed(ticket.slot.as_str(), size);
            Ok(ticket)
        }
        Committed::NoRoom(ticket) => Ok(ticket),
        Committed::Lost(now) => {
            // This epoch can never commit any more, so its key is debris.
            if let Err(error) = app.store.delete(Bucket::Files, &key).await {
                tracing::warn!(ticket = %ticket.id, %error, "a lost attempt's copy stays for the sweep");
            }
            Err(lost(now))
        }
    }
}

/// Another attempt or a cancel was first: closed, or open under a newer epoch.
fn lost(ticket: Box<Ticket>) -> Stop {
    if ticket.closed_at.is_some() {
        Stop::Lost(ticket)
    } else {
        Stop::Again
    }
}
