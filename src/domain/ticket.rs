//! Tickets: permission for one object in a slot.

use serde_json::{Map, Value};

use super::dialect::{Dialect, Sending};
use super::name::{Id, Owner, Ref, SlotName, Tenant};
use super::problem::{Code, Problem};
use super::slot::{Policy, SEVEN_DAYS};
use super::time::{Seconds, Timestamp};

/// How long a lease on an attempt lasts; its holder renews at a third of it.
pub const LEASE: Seconds = Seconds(30);
/// When the worker first looks at an open ticket: a closed tab costs nobody a file.
pub const FIRST_LOOK: Seconds = Seconds(60);
/// How long after its deadline a ticket gets its last attempt: a PUT that began in time
/// may land late.
pub const GRACE: Seconds = Seconds(300);

/// When the worker looks again after trouble that is not the ticket's.
pub const AFTER_TROUBLE: Seconds = Seconds(60);
/// How long past its grace a ticket stays open whose object the store will not let be read,
/// though it lets others: time for a human to see why.
pub const UNREADABLE_GRACE: Seconds = Seconds(24 * 3600);

/// How many attempts a ticket remembers.
pub const REMEMBERED_ATTEMPTS: usize = 32;
/// How far apart the store's clock and the database's may be before objects look older
/// than the attempts that wrote them.
pub const CLOCK_SKEW: Seconds = Seconds(15 * 60);

/// The life of a ticket. Terminal states never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Waiting for its bytes or its verdict. Moved out by complete, cancel, a
    /// replacing mint, or the worker.
    Open,
    /// Verified, promoted, its file row written. Set by the attempt that won.
    Committed,
    /// The verdict was negative. Set by the attempt that judged.
    Rejected,
    /// Nothing arrived in time. Set by the worker's last attempt.
    Expired,
    /// Given up by its owner, or by a newer pick in a slot that replaces.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: &[State] = &[
        Self::Open,
        Self::Committed,
        Self::Rejected,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The state as the API and the database write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Committed => "committed",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state that reads `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.as_str() == text)
    }
}

/// A ticket's row.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    /// Its id, its staging key, and its file's id.
    pub id: Id,
    /// Whose world it lives in.
    pub tenant: Tenant,
    /// The slot it was minted in.
    pub slot: SlotName,
    /// Who may fill it.
    pub owner: Owner,
    /// The app object it is for.
    pub reference: Option<Ref>,
    /// Where it is in its life.
    pub state: State,
    /// The client's name for the file, cleaned; never part of a key.
    pub name: String,
    /// Declared bytes, signed into the transfer.
    pub size: u64,
    /// Whether `size` is what the client declared (true) or the slot's maximum, for
    /// clients that declare none.
    pub exact_size: bool,
    /// Declared media type: a hint.
    pub media_type: Option<String>,
    /// Declared SHA-256, base64.
    pub sha256: Option<String>,
    /// The app's own words about the file.
    pub metadata: Map<String, Value>,
    /// The policy it was minted under.
    pub policy: Policy,
    /// The number of the last attempt; 0 before the first.
    pub epoch: u32,
    /// When the attempts began, the last [`REMEMBERED_ATTEMPTS`] of them, the last one last.
    pub attempts: Vec<i64>,
    /// Until when the attempt `epoch` is somebody's.
    pub lease_until: Option<Timestamp>,
    /// When it was minted.
    pub created_at: Timestamp,
    /// Its deadline.
    pub expires_at: Timestamp,
    /// When the worker looks at it next; open tickets only.
    pub next_check_at: Option<Timestamp>,
    /// How often the worker has looked.
    pub checks: u32,
    /// When it left `open`.
    pub closed_at: Option<Timestamp>,
    /// Until when it still counts against `max_open_tickets`: its URLs live on.
    pub cooling_until: Option<Timestamp>,
    /// Why it ended without a file.
    pub problem: Option<Problem>,
    /// The planned part size, when the transfer is multipart.
    pub part_size: Option<u64>,
    /// The store's id of the multipart upload in staging.
    pub multipart_id: Option<String>,
    /// The final key that the running promotion writes by parts.
    pub promote_key: Option<String>,
    /// The store's id of that promotion's multipart upload.
    pub promote_upload_id: Option<String>,
    /// When the worker removes its leftovers; none while it is open and once it is clean.
    pub clean_at: Option<Timestamp>,
    /// What the last attempt saw, in one line, for `putgate show`.
    pub note: Option<String>,
    /// The dialect it was minted through, when not the API itself; as its row spells it,
    /// since a newer release may know one more.
    pub dialect: Option<String>,
}

impl Ticket {
    /// The policy's live time after a `sign` at `now`, never past seven days of life.
    pub fn deadline(&self, now: Timestamp) -> Timestamp {
        now.plus(self.policy.ticket_ttl)
            .min(self.created_at.plus(SEVEN_DAYS))
    }

    /// Whether a `sign` at `now` should push the deadline: less than half of it is left.
    pub fn wants_renewal(&self, now: Timestamp) -> bool {
        let half = self.policy.ticket_ttl.millis() / 2;
        self.expires_at.millis() - now.millis() < half && self.deadline(now) > self.expires_at
    }

    /// How long a URL signed at `now` may live: never longer than the ticket.
    pub fn url_life(&self, now: Timestamp) -> Option<Seconds> {
        let left = now.seconds_until(self.expires_at);
        match u32::try_from(left) {
            Ok(left) if left > 0 => Some(self.policy.url_ttl.min(Seconds(left))),
            _ => None,
        }
    }

    /// Whether somebody holds the running attempt.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        // One that ends later than any could is from before the clock was set back.
        self.lease_until
            .is_some_and(|until| until > now && until <= now.plus(LEASE))
    }

    /// Begins the next attempt.
    pub fn begin_attempt(&mut self, now: Timestamp) {
        self.epoch += 1;
        self.attempts.push(now.millis());
        if self.attempts.len() > REMEMBERED_ATTEMPTS {
            self.attempts.remove(0);
        }
        self.lease_until = Some(now.plus(LEASE));
        // A holder that dies is followed when its lease ends, however late the next look.
        let lapse = now.plus(LEASE);
        self.next_check_at = self.next_check_at.map(|next| next.min(lapse));
    }

    /// Whether attempt `epoch` of this ticket, as this database knows it, can have written an
    /// object of that age. A database restored from a backup counts its attempts again from
    /// there; what they had written before the restore is not theirs to remove.
    pub fn can_have_written(&self, epoch: u32, last_modified: Timestamp) -> bool {
        let back = self.epoch.checked_sub(epoch).map(|n| n as usize);
        back.and_then(|n| self.attempts.iter().rev().nth(n))
            .is_some_and(|began| last_modified.plus(CLOCK_SKEW).millis() >= *began)
    }

    /// Whether an absent object ends it now.
    pub fn is_past_grace(&self, now: Timestamp) -> bool {
        now >= self.expires_at.plus(GRACE)
    }

    /// Whether an object that cannot be read ends it now, if it is the object's fault.
    pub fn is_past_help(&self, now: Timestamp) -> bool {
        now >= self.expires_at.plus(GRACE).plus(UNREADABLE_GRACE)
    }

    /// How its client sends the bytes, as far as the worker cares.
    fn sending(&self) -> Sending {
        let is_uppys = self.dialect.as_deref() == Some(Dialect::Uppy.as_str());
        match self.part_size {
            None if is_uppys => Sending::Posted,
            _ => Sending::Planned,
        }
    }

    /// The size that an object of `found` bytes must have: the declared one, or for clients
    /// that declare none its own, up to what was reserved.
    pub fn right_size(&self, found: u64) -> u64 {
        if self.exact_size {
            self.size
        } else {
            found.min(self.size)
        }
    }

    /// When the worker looks again after `checks` looks: as long as before the first one,
    /// doubling to an hour, and always at the last attempt.
    pub fn next_look(&self, now: Timestamp) -> Timestamp {
        let first = self.sending().first_look().0;
        let wait = Seconds(first << self.checks.min(10)).min(Seconds(3600));
        let last = self.expires_at.plus(GRACE);
        let next = now.plus(wait);
        if now < last { next.min(last) } else { next }
    }

    /// The answer of a call that needs the ticket open and finds it closed.
    pub fn closed_problem(&self) -> Problem {
        match self.state {
            State::Open | State::Committed | State::Cancelled => Problem::new(
                Code::TicketClosed,
                format!("the ticket is {}", self.state.as_str()),
            )
            .with("state", self.state.as_str()),
            State::Rejected | State::Expired => self.problem.clone().unwrap_or_else(|| {
                Problem::new(
                    Code::TicketClosed,
                    format!("the ticket is {}", self.state.as_str()),
                )
            }),
        }
    }
}

/// One range of a multipart plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// 1 to 10 000.
    pub number: u32,
    /// Its exact bytes.
    pub size: u64,
}

/// How many parts a plan has.
pub fn part_count(size: u64, part_size: u64) -> u32 {
    u32::try_from(size.div_ceil(part_size)).unwrap_or(u32::MAX)
}

/// The part `number` of a plan; `None` outside of it.
pub fn part(size: u64, part_size: u64, number: u32) -> Option<Part> {
    let count = part_count(size, part_size);
    (1..=count).contains(&number).then(|| Part {
        number,
        size: if number < count {
            part_size
        } else {
            size - part_size * u64::from(count - 1)
        },
    })
}

/// The part size for a file of `size` bytes in a slot, or `None` for a single PUT. Parts
/// are equal but the last (R2 insists) and as large as the slot wishes; where 10 000 of
/// those do not suffice, larger by whole MiB.
pub fn plan_parts(policy: &Policy, size: u64) -> Option<u64> {
    use super::slot::{MAX_PARTS, MAX_PUT_SIZE};
    const MIB: u64 = 1024 * 1024;
    let wished = match policy.part_size {
        Some(part) if size > part => part,
        None if size > MAX_PUT_SIZE => 64 * MIB,
        _ => return None,
    };
    if size.div_ceil(wished) <= MAX_PARTS {
        return Some(wished);
    }
    Some(size.div_ceil(MAX_PARTS).div_ceil(MIB) * MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn parts_are_equal_but_the_last_and_never_more_than_ten_thousand() {
        let policy = Policy {
            part_size: Some(8 * MIB),
            ..Policy::default()
        };
        assert_eq!(plan_parts(&policy, 8 * MIB), None);
        assert_eq!(plan_parts(&policy, 8 * MIB + 1), Some(8 * MIB));
        assert_eq!(
            part(8 * MIB + 1, 8 * MIB, 2),
            Some(Part { number: 2, size: 1 })
        );
        assert_eq!(part(8 * MIB + 1, 8 * MIB, 3), None);
        assert_eq!(part(8 * MIB + 1, 8 * MIB, 0), None);
        for size in [1 << 37, (1 << 40) + 1, 5 << 40] {
            let part_size = plan_parts(&policy, size).unwrap();
            assert!(part_count(size, part_size) <= 10_000, "{size}");
            let sum: u64 = (1..=part_count(size, part_size))
                .filter_map(|n| part(size, part_size, n))
                .map(|p| p.size)
                .sum();
            assert_eq!(sum, size);
        }
        let no_parts = Policy::default();
        assert_eq!(plan_parts(&no_parts, 5 << 30), None);
        assert_eq!(plan_parts(&no_parts, (5 << 30) + 1), Some(64 * MIB));
    }
}
