//! The ledger: every change of state, as a pure function over the [`Books`].
//!
//! Each function checks first and changes after, so that a refusal leaves no trace, and
//! each is a no-op when its effect is already there: after a COMMIT whose outcome is
//! unknown it is simply run again.
//!
//! [`Books`]: super::books::Books

mod attempt;
mod end;
mod files;
mod mint;
mod outbox;
#[cfg(test)]
mod tests;

pub use attempt::{
    Began, Commit, Committed, OLDEST_FILES, begin, begin_after, commit, declare, note_multipart,
    note_promotion, release, renew, touch,
};
pub use end::{
    Ended, cancel, clean_later, cleaned, expire, expire_unreadable, look_later, look_soon,
    purge_later, reject,
};
pub use files::{Claim, Claimed, claim, delete, end_unclaimed};
pub use mint::{Mint, MintFile, Minted, mint};
pub use outbox::{Replayed, Room, Taken, replay, settle, take};

use super::books::{Account, Books, Usage, counted};
use super::event::Event;
use super::file::EndReason;
use super::name::Id;
use super::ticket::Ticket;
use super::time::Timestamp;

fn accounts(ticket: &Ticket) -> [Account; 4] {
    Account::all(
        &ticket.tenant,
        &ticket.slot,
        &ticket.owner,
        ticket.reference.as_ref(),
    )
}

fn release_reservation(usage: &mut Usage, size: u64) {
    usage.open -= 1;
    usage.reserved -= counted(size);
}

/// Turns a live file into a tombstone, gives its room back and says so.
fn end_file(books: &mut Books, id: Id, reason: EndReason, now: Timestamp) {
    let Some(file) = books.file(id) else { return };
    let size = counted(file.size);
    let accounts = Account::all(
        &file.tenant,
        &file.slot,
        &file.owner,
        file.reference.as_ref(),
    );
    books.post_all(&accounts, |usage| {
        usage.files -= 1;
        usage.stored -= size;
    });
    books.change_file(id, |file| {
        file.ended_at = Some(now);
        file.end_reason = Some(reason);
        file.purge_at = Some(now);
        file.event_seq += 1;
    });
    let event_id = books.new_id();
    if let Some(file) = books.file(id) {
        let event = Event::ended(event_id, file, reason, now);
        books.tell(event);
    }
}
