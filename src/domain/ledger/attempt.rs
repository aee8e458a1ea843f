//! Attempts: the lease on a ticket, its fencing epoch, and the commit at its end.

use std::collections::BTreeSet;

use super::end::end_ticket;
use super::{accounts, end_file, release_reservation};
use crate::domain::books::{Books, Footprint, OldestFiles, Scope, Stale, Usage, counted};
use crate::domain::chunks::Measured;
use crate::domain::event::Event;
use crate::domain::file::{EndReason, File};
use crate::domain::name::Id;
use crate::domain::problem::{Code, Problem};
use crate::domain::slot::OnFull;
use crate::domain::ticket::{LEASE, State, Ticket};
use crate::domain::time::Timestamp;

/// What a request for an attempt came to.
#[derive(Clone, Debug)]
pub enum Began {
    /// The attempt is the caller's until its lease ends.
    Yours(Box<Ticket>),
    /// Somebody else is at it.
    Busy,
    /// Nothing left to do.
    Closed(Box<Ticket>),
    /// There is no such ticket.
    Unknown,
}

/// Takes the next attempt, if nobody holds one.
pub fn begin(books: &mut Books, now: Timestamp, id: Id) -> Began {
    begin_after(books, now, id, None)
}

/// The same by somebody whose last decision, `before`, may have been written without a word.
/// A lease that is still as it was then is nobody's but the caller's; should it be another's
/// by a miracle, that one's epoch is over, as with any other lease that is taken over.
pub fn begin_after(books: &mut Books, now: Timestamp, id: Id, before: Option<&Ticket>) -> Began {
    let is_own = |t: &Ticket| {
        before.is_some_and(|b| (b.id, b.epoch, b.lease_until) == (t.id, t.epoch, t.lease_until))
    };
    match books.ticket(id) {
        None => Began::Unknown,
        Some(t) if t.state != State::Open => Began::Closed(Box::new(t.clone())),
        Some(t) if t.is_leased(now) && !is_own(t) => Began::Busy,
        Some(_) => {
            books.change_ticket(id, |t| t.begin_attempt(now));
            books
                .ticket(id)
                .map_or(Began::Unknown, |t| Began::Yours(Box::new(t.clone())))
        }
    }
}

fn is_mine(books: &Books, id: Id, epoch: u32) -> bool {
    books
        .ticket(id)
        .is_some_and(|t| t.state == State::Open && t.epoch == epoch)
}

/// Holds the lease longer; false when the attempt is no longer the caller's.
pub fn renew(books: &mut Books, now: Timestamp, id: Id, epoch: u32) -> bool {
    let mine = is_mine(books, id, epoch);
    if mine {
        books.change_ticket(id, |t| t.lease_until = Some(now.plus(LEASE)));
    }
    mine
}

/// Gives the lease back without a decision, and keeps what was seen.
pub fn release(books: &mut Books, id: Id, epoch: u32, note: &str) {
    if is_mine(books, id, epoch) {
        books.change_ticket(id, |t| {
            t.lease_until = None;
            t.note = Some(note.to_owned());
        });
    }
}

/// Pushes the deadline of an open ticket after a `sign`; false when it is closed.
pub fn touch(books: &mut Books, now: Timestamp, id: Id) -> bool {
    let open = books.ticket(id).is_some_and(|t| t.state == State::Open);
    if open {
        books.change_ticket(id, |t| t.expires_at = t.deadline(now).max(t.expires_at));
    }
    open
}

/// Sets what an open ticket really holds for which the most was reserved, and gives the rest
/// back; false when it is closed. One whose size is known stays as it is.
pub fn declare(books: &mut Books, id: Id, measured: Measured) -> bool {
    let Some(ticket) = books.ticket(id).filter(|t| t.state == State::Open).cloned() else {
        return false;
    };
    if !ticket.exact_size && measured.size <= ticket.size {
        let spare = counted(ticket.size) - counted(measured.size);
        books.post_all(&accounts(&ticket), |usage| usage.reserved -= spare);
        books.change_ticket(id, |t| {
            t.size = measured.size;
            t.exact_size = true;
            t.part_size = Some(measured.part_size);
        });
    }
    true
}

/// Sets or clears the multipart upload of an open ticket, if it still is what the caller
/// saw. Answers what is there now; the loser of a race aborts its own upload.
pub fn note_multipart(
    books: &mut Books,
    id: Id,
    seen: Option<&str>,
    new: Option<&str>,
) -> Option<String> {
    let ticket = books.ticket(id)?;
    if ticket.state == State::Open && ticket.multipart_id.as_deref() == seen {
        books.change_ticket(id, |t| t.multipart_id = new.map(str::to_owned));
    }
    books.ticket(id)?.multipart_id.clone()
}

/// Puts a promotion by parts on its ticket, before its first part; false when the attempt
/// is no longer the caller's.
pub fn note_promotion(books: &mut Books, id: Id, epoch: u32, key: &str, upload_id: &str) -> bool {
    let mine = is_mine(books, id, epoch);
    if mine {
        books.change_ticket(id, |t| {
            t.promote_key = Some(key.to_owned());
            t.promote_upload_id = Some(upload_id.to_owned());
        });
    }
    mine
}

/// What an attempt asks to commit: the file as it was verified at its final key.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The ticket, as the attempt holds it.
    pub ticket: Ticket,
    /// The file to insert; its `committed_at` is set by the ledger.
    pub file: File,
}

/// What a commit came to.
#[derive(Clone, Debug)]
pub enum Committed {
    /// The file is committed, now or by this very attempt before.
    Done(Box<Ticket>, Box<File>),
    /// The attempt was no longer the caller's: what the ticket is now.
    Lost(Box<Ticket>),
    /// No room that the owner's own files could make; the ticket is cancelled.
    NoRoom(Box<Ticket>),
}

/// How many of the owner's oldest files a commit reads that may have to give way. Most need
/// one of them; one that needs more is [`Stale`], and tried with the next number.
pub const OLDEST_FILES: [u32; 4] = [16, 128, 1024, MOST_RETIRED];

/// How many files give way to one. They go in one transaction, for which everybody waits.
const MOST_RETIRED: u32 = 8192;

impl Commit {
    /// The rows this commit may touch, when of the files that may have to give way it reads
    /// `oldest`, in its ref and in its slot.
    pub fn footprint(&self, oldest: u32) -> Footprint {
        let t = &self.ticket;
        let replaces = t.policy.on_full == OnFull::Replace;
        // Quotas count all refs of an owner, so any of its files may have to give way.
        let all_refs = t.policy.quota.is_some()
            || t.policy.per_tenant.quota.is_some()
            || t.policy.per_tenant.max_entries.is_some();
        Footprint {
            accounts: accounts(t).to_vec(),
            tickets: vec![t.id],
            files: vec![t.id],
            oldest_files: [(replaces, own_ref(t)), (replaces && all_refs, own_slot(t))]
                .into_iter()
                .filter(|(is_wanted, _)| *is_wanted)
                .map(|(_, scope)| OldestFiles {
                    scope,
                    at_most: oldest,
                })
                .collect(),
            ..Footprint::default()
        }
    }
}

fn own_ref(t: &Ticket) -> Scope {
    Scope {
        tenant: t.tenant.clone(),
        slot: t.slot.clone(),
        owner: t.owner.clone(),
        reference: Some(t.reference.clone()),
    }
}

fn own_slot(t: &Ticket) -> Scope {
    Scope {
        reference: None,
        ..own_ref(t)
    }
}

/// Commits: retires what a replacing slot holds too much of, inserts the file, settles
/// the usage and writes the event. Only the holder of the ticket's present epoch can.
pub fn commit(books: &mut Books, now: Timestamp, commit: &Commit) -> Result<Committed, Stale> {
    let id = commit.ticket.id;
    let epoch = commit.ticket.epoch;
    let Some(ticket) = books.ticket(id).cloned() else {
        return Err(Stale);
    };
    if ticket.state != State::Open || ticket.epoch != epoch {
        return Ok(match books.file(id) {
            Some(file) if ticket.state == State::Committed && file.key == commit.file.key => {
                Committed::Done(Box::new(ticket), Box::new(file.clone()))
            }
            _ => Committed::Lost(Box::new(ticket)),
        });
    }
    if ticket.policy.on_full == OnFull::Replace
        && let Err(problem) = make_room(books, now, &ticket, commit.file.size)?
    {
        end_ticket(books, id, State::Cancelled, &problem, now);
        let ticket = books.ticket(id).cloned().ok_or(Stale)?;
        return Ok(Committed::NoRoom(Box::new(ticket)));
    }
    let file = File {
        committed_at: now,
        unclaimed_at: ticket.policy.unclaimed_ttl.map(|ttl| now.plus(ttl)),
        event_seq: 1,
        ..commit.file.clone()
    };
    books.post_all(&accounts(&ticket), |usage| {
        release_reservation(usage, ticket.size);
        usage.files += 1;
        usage.stored += counted(file.size);
    });
    books.change_ticket(id, |t| {
        t.state = State::Committed;
        t.closed_at = Some(now);
        t.clean_at = Some(now);
        t.lease_until = None;
        t.next_check_at = None;
        t.note = None;
    });
    let ticket = books.ticket(id).cloned().ok_or(Stale)?;
    let event_id = books.new_id();
    books.tell(Event::closed(event_id, &ticket, Some(&file), now));
    books.insert_file(file.clone());
    Ok(Committed::Done(Box::new(ticket), Box::new(file)))
}

/// Retires files, oldest first, until one of `size` bytes more fits the slot's own bounds.
/// Decides before it retires: a commit that cannot fit leaves every file alone, and so does one
/// that would have to know more of them.
fn make_room(
    books: &mut Books,
    now: Timestamp,
    ticket: &Ticket,
    size: u64,
) -> Result<Result<(), Problem>, Stale> {
    let policy = &ticket.policy;
    let [by_ref, by_owner, by_tenant, _] = accounts(ticket);
    let (by_ref, by_owner, by_tenant): (Usage, Usage, Usage) = (
        books.usage(&by_ref)?,
        books.usage(&by_owner)?,
        books.usage(&by_tenant)?,
    );
    let over = |used: i64, more: i64, limit: Option<i64>| limit.is_some_and(|l| used + more > l);
    let more = counted(size);
    let (all_bytes, all_files) = (
        policy.per_tenant.quota.map(counted),
        policy.per_tenant.max_entries.map(i64::from),
    );
    // What is others' does not give way: then no file of the owner's has to be known.
    if over(by_tenant.stored - by_owner.stored, more, all_bytes)
        || over(by_tenant.files - by_owner.files, 1, all_files)
    {
        return Ok(Err(no_room("the tenant's bounds leave no room")));
    }
    let (of_ref, is_all_of_ref) = books.oldest_files(&own_ref(ticket));
    let (of_slot, is_all_of_slot) = books.oldest_files(&own_slot(ticket));
    let (mut of_ref, mut of_slot) = (of_ref.into_iter(), of_slot.into_iter());
    let mut freed_in_ref = 0;
    let mut freed = Usage::default();
    let mut retired: Vec<Id> = Vec::new();
    let mut gone: BTreeSet<Id> = BTreeSet::new();
    loop {
        let count_full = by_ref.files - freed_in_ref >= i64::from(policy.max_entries);
        let slot_full = over(
            by_owner.stored - freed.stored,
            more,
            policy.quota.map(counted),
        ) || over(by_tenant.stored - freed.stored, more, all_bytes)
            || over(by_tenant.files - freed.files, 1, all_files);
        let (oldest, is_all) = match (count_full, slot_full) {
            (true, _) => (&mut of_ref, is_all_of_ref),
            (false, true) => (&mut of_slot, is_all_of_slot),
            (false, false) => break,
        };
        if retired.len() >= MOST_RETIRED as usize {
            let detail = format!("more than {MOST_RETIRED} files would have to give way");
            return Ok(Err(no_room(&detail)));
        }
        let next = oldest.find(|id| !gone.contains(id));
        let Some(victim) = next.and_then(|id| books.file(id)) else {
            if !is_all {
                return Err(Stale);
            }
            let detail = "the tenant's bounds leave no room, and the owner has no file to replace";
            return Ok(Err(no_room(detail)));
        };
        freed_in_ref += i64::from(victim.reference == ticket.reference);
        freed.files += 1;
        freed.stored += counted(victim.size);
        retired.push(victim.id);
        gone.insert(victim.id);
    }
    for id in retired {
        end_file(books, id, EndReason::Replaced, now);
    }
    Ok(Ok(()))
}

fn no_room(detail: &str) -> Problem {
    Problem::new(Code::SlotFull, detail).with("state", State::Cancelled.as_str())
}

impl Ticket {
    /// The rows that closing this ticket may touch.
    pub fn footprint(&self) -> Footprint {
        Footprint {
            accounts: accounts(self).to_vec(),
            tickets: vec![self.id],
            cooling: Some((self.tenant.clone(), self.owner.clone())),
            ..Footprint::default()
        }
    }

    /// Only this ticket's row.
    pub fn row(&self) -> Footprint {
        Footprint {
            tickets: vec![self.id],
            ..Footprint::default()
        }
    }
}
