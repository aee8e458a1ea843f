//! What happens to files: claimed, deleted, ended because nobody claimed them.

use super::end_file;
use crate::domain::books::{Account, Books, Footprint, Stale, counted};
use crate::domain::event::Event;
use crate::domain::file::{EndReason, File};
use crate::domain::name::{Id, Owner, Ref, SlotName, Tenant};
use crate::domain::problem::{Code, Problem};
use crate::domain::slot::OnFull;
use crate::domain::time::Timestamp;

/// "These files are mine now, for this ref": all or nothing.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whose world.
    pub tenant: Tenant,
    /// Whose files.
    pub owner: Owner,
    /// What they are for; `None` keeps them on the null ref.
    pub reference: Option<Ref>,
    /// The files, each once.
    pub ids: Vec<Id>,
    /// The slots they are in, with the bound of each that the configuration still knows.
    pub slots: Vec<(SlotName, Option<(u32, OnFull)>)>,
}

/// A file after a claim, and whether this claim is the one that took it.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The file.
    pub file: File,
    /// False when it was claimed for this ref before.
    pub now: bool,
}

impl Claim {
    /// The rows this claim may touch.
    pub fn footprint(&self) -> Footprint {
        let accounts = self.slots.iter().flat_map(|(slot, _)| {
            [
                Account::reference(&self.tenant, slot, &self.owner, None),
                Account::reference(&self.tenant, slot, &self.owner, self.reference.as_ref()),
            ]
        });
        Footprint {
            accounts: accounts.collect(),
            files: self.ids.clone(),
            ..Footprint::default()
        }
    }
}

/// Claims files. Their count moves from the null ref to the claim's.
pub fn claim(
    books: &mut Books,
    now: Timestamp,
    claim: &Claim,
) -> Result<Result<Vec<Claimed>, Problem>, Stale> {
    let mut moving: Vec<&File> = Vec::new();
    for id in &claim.ids {
        let file = books
            .file(*id)
            .filter(|f| f.is_live() && f.tenant == claim.tenant && f.owner == claim.owner);
        let Some(file) = file else {
            return Ok(Err(Problem::not_found().with("file", id.to_string())));
        };
        let taken = file.reference.is_some() || file.claimed_at.is_some();
        if taken && file.reference != claim.reference {
            let detail = "the file belongs to another ref already";
            return Ok(Err(
                Problem::new(Code::ClaimConflict, detail).with("file", id.to_string())
            ));
        }
        if file.reference != claim.reference && moving.iter().all(|f| f.id != *id) {
            moving.push(file);
        }
    }
    for file in &moving {
        for reference in [None, claim.reference.as_ref()] {
            let account = Account::reference(&file.tenant, &file.slot, &file.owner, reference);
            books.usage(&account)?;
        }
    }
    for (slot, bound) in &claim.slots {
        let more = moving.iter().filter(|f| f.slot == *slot).count();
        let Some((limit, on_full)) = bound else {
            continue;
        };
        let to = Account::reference(&claim.tenant, slot, &claim.owner, claim.reference.as_ref());
        let usage = books.usage(&to)?;
        let used = match on_full {
            OnFull::Reject => usage.entries(),
            OnFull::Replace => usage.files,
        };
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        if more > 0 && used.saturating_add(more) > i64::from(*limit) {
            let detail =
                format!("max_entries is {limit}, {used} are taken and {more} would move in");
            return Ok(Err(
                Problem::new(Code::SlotFull, detail).with("limit", *limit)
            ));
        }
    }
    for file in moving.into_iter().cloned().collect::<Vec<_>>() {
        let from = Account::reference(&file.tenant, &file.slot, &file.owner, None);
        let to = Account::reference(
            &file.tenant,
            &file.slot,
            &file.owner,
            claim.reference.as_ref(),
        );
        let size = counted(file.size);
        books.post(&from, |usage| {
            usage.files -= 1;
            usage.stored -= size;
        });
        books.post(&to, |usage| {
            usage.files += 1;
            usage.stored += size;
        });
    }
    let mut claimed = Vec::with_capacity(claim.ids.len());
    for id in &claim.ids {
        let first = books.file(*id).is_some_and(|f| f.claimed_at.is_none());
        if first {
            books.change_file(*id, |f| {
                f.reference.clone_from(&claim.reference);
                f.claimed_at = Some(now);
                f.unclaimed_at = None;
                f.event_seq += 1;
            });
            let event_id = books.new_id();
            if let Some(file) = books.file(*id) {
                let event = Event::claimed(event_id, file, now);
                books.tell(event);
            }
        }
        if let Some(file) = books.file(*id) {
            claimed.push(Claimed {
                file: file.clone(),
                now: first,
            });
        }
    }
    Ok(Ok(claimed))
}

impl File {
    /// The file and its accounts, as the caller read them.
    pub fn footprint(&self) -> Footprint {
        Footprint {
            accounts: Account::all(
                &self.tenant,
                &self.slot,
                &self.owner,
                self.reference.as_ref(),
            )
            .to_vec(),
            files: vec![self.id],
            ..Footprint::default()
        }
    }
}

fn end(
    books: &mut Books,
    now: Timestamp,
    id: Id,
    reason: EndReason,
) -> Result<Option<File>, Stale> {
    if let Some(file) = books.file(id).filter(|f| f.is_live()) {
        let account = Account::reference(
            &file.tenant,
            &file.slot,
            &file.owner,
            file.reference.as_ref(),
        );
        books.usage(&account)?;
        end_file(books, id, reason, now);
    }
    Ok(books.file(id).cloned())
}

/// Deletes a file: gone for readers now. A tombstone stays as it is.
pub fn delete(books: &mut Books, now: Timestamp, id: Id) -> Result<Option<File>, Stale> {
    end(books, now, id, EndReason::Deleted)
}

/// Ends a file that nobody claimed in time, if that is still so.
pub fn end_unclaimed(books: &mut Books, now: Timestamp, id: Id) -> Result<Option<File>, Stale> {
    match books.file(id).and_then(|f| f.unclaimed_at) {
        Some(until) if until <= now => end(books, now, id, EndReason::Unclaimed),
        _ => Ok(books.file(id).cloned()),
    }
}
