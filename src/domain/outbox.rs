//! The outbox: events on their way to the receiver, and when each is tried.

use std::collections::BTreeMap;

use super::name::{Id, Tenant};
use super::time::{Seconds, Timestamp};

/// How long a try holds its event. A sender that ends without a word, killed or cut off, gives
/// it back this much later. Longer than any try takes.
pub const LEASE: Seconds = Seconds(30);

/// The pauses between tries, in seconds: ten tries over about 75 hours. Standard Webhooks
/// proposes these.
const PAUSES: [u32; 9] = [
    5,
    5 * 60,
    30 * 60,
    2 * 3600,
    5 * 3600,
    10 * 3600,
    14 * 3600,
    20 * 3600,
    24 * 3600,
];

/// How often an event is taken without a word of what came of it. Its sender dies each time, or
/// the database fails to hear: an hour of that, one lease after another, is no accident of
/// somebody else's.
pub const MOST_TAKEN: u32 = 120;
/// From so many on, no two of them are under way together: what ends a sender must not take
/// those with it that were only beside it.
pub const SUSPECT: u32 = MOST_TAKEN / 2;

/// The longest a receiver may ask us to wait (`Retry-After`).
pub const LONGEST_PAUSE: Seconds = Seconds(24 * 3600);

/// A row of the outbox as it is delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The event's id, and the `webhook-id` of every try.
    pub id: Id,
    /// The ticket or file it is about.
    pub subject: Id,
    /// Its place among the events of its subject, from 1.
    pub seq: u32,
    /// Whose world it happened in.
    pub tenant: Tenant,
    /// `ticket.committed`, `file.deleted`, …
    pub kind: String,
    /// The body to send, the same bytes at every try.
    pub body: String,
    /// When it happened.
    pub created_at: Timestamp,
    /// How far its delivery has come.
    pub delivery: Delivery,
}

/// How far the delivery of an event has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whether it is over.
    pub state: DeliveryState,
    /// Tries begun, since it was written or last replayed. One that was begun again after its
    /// sender died counts once.
    pub tries: u32,
    /// The next try; set while pending.
    pub next_try_at: Option<Timestamp>,
    /// Until when a try holds it.
    pub lease_until: Option<Timestamp>,
    /// When it was delivered or given up.
    pub settled_at: Option<Timestamp>,
    /// The HTTP status of the last answer.
    pub last_status: Option<u16>,
    /// Why the last try failed, in our words: nothing a receiver said.
    pub last_error: Option<String>,
    /// How often it was taken since a try was last settled.
    pub taken: u32,
}

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be delivered. A try moves it on.
    Pending,
    /// A receiver said 2xx. Forgotten after `retention`; a person may replay it.
    Delivered,
    /// Given up, after the last try or a 410. Forgotten after `retention`; a person may
    /// replay it.
    Dead,
}

impl DeliveryState {
    /// As its row and the command line spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Delivered, Self::Dead]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

impl Delivery {
    /// Whether a try holds it now.
    pub fn is_held(&self, now: Timestamp) -> bool {
        // One that ends later than any could is from before the clock was set back.
        self.lease_until
            .is_some_and(|until| until > now && until <= now.plus(LEASE))
    }

    /// Whether a try may begin now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.state == DeliveryState::Pending
            && self.next_try_at.is_some_and(|at| at <= now)
            && !self.is_held(now)
    }
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The receiver answered.
    Status {
        /// The HTTP status.
        status: u16,
        /// The wait it asked for.
        retry_after: Option<Seconds>,
    },
    /// It did not, and why: in our words, without a URL.
    None(String),
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is done.
    Delivered,
    /// Another try, so much later.
    Again(Seconds),
    /// It is given up.
    Dead,
}

/// What follows from an answer to the try number `tries` of event `id`.
pub fn next(answer: &Answer, tries: u32, id: Id) -> Next {
    let asked = match answer {
        Answer::Status {
            status: 200..=299, ..
        } => return Next::Delivered,
        // Gone: the receiver wants it never again.
        Answer::Status { status: 410, .. } => return Next::Dead,
        Answer::Status { retry_after, .. } => *retry_after,
        Answer::None(_) => None,
    };
    match pause(tries, id) {
        None => Next::Dead,
        Some(pause) => Next::Again(pause.max(asked.unwrap_or(pause).min(LONGEST_PAUSE))),
    }
}

/// The pause after the try number `tries` (from 1) failed, or `None` after the last. It is
/// spread over a tenth to either side by the event's id, so that what failed together is not
/// tried together again.
pub fn pause(tries: u32, id: Id) -> Option<Seconds> {
    let index = usize::try_from(tries.max(1) - 1).ok()?;
    let pause = u64::from(*PAUSES.get(index)?);
    // The low bits of a UUIDv7 are random; the factor gives each try its own share of them.
    let bits = id
        .as_u64_pair()
        .1
        .wrapping_mul(2 * u64::from(tries) + 1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let per_mille = 900 + (bits >> 32) % 201;
    let spread = (pause * per_mille).div_ceil(1000);
    u32::try_from(spread).ok().map(Seconds)
}

/// Why an answer is no success, for the row and the log.
pub fn complaint(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Status {
            status: 200..=299, ..
        } => None,
        Answer::Status {
            status: 300..=399, ..
        } => Some("a redirect, which is not followed".into()),
        Answer::Status { status: 410, .. } => Some("gone, as the receiver says".into()),
        Answer::Status { .. } => Some("not a 2xx".into()),
        Answer::None(why) => Some(why.chars().take(200).collect()),
    }
}

/// The events of the books: rows that one transaction has loaded, and what it changed.
#[derive(Debug, Default)]
pub struct Outbox {
    rows: BTreeMap<Id, Outgoing>,
    due: Vec<Id>,
    changed: BTreeMap<Id, Delivery>,
    followers: Vec<Followers>,
}

/// What waits behind an event comes due when the event does: otherwise the poll would read
/// all of it again and again while it may not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followers {
    /// Of which ticket or file.
    pub subject: Id,
    /// Behind which of its events.
    pub seq: u32,
    /// When.
    pub next_try_at: Timestamp,
}

impl Outbox {
    /// An event's row.
    pub fn load(&mut self, row: Outgoing) {
        self.rows.entry(row.id).or_insert(row);
    }

    /// A row of the poll: due, and the first of its subject's that is not settled. Rows come in
    /// the order of their turn.
    pub fn load_due(&mut self, row: Outgoing) {
        // Several senders may share a transaction, and each has polled.
        if !self.due.contains(&row.id) {
            self.due.push(row.id);
        }
        self.load(row);
    }

    /// An event.
    pub fn get(&self, id: Id) -> Option<&Outgoing> {
        self.rows.get(&id)
    }

    /// What the poll found, in the order of its turn.
    pub fn due(&self) -> impl Iterator<Item = &Outgoing> {
        self.due.iter().filter_map(|id| self.rows.get(id))
    }

    /// Whether an event waits for another of these.
    pub fn has_to_wait(&self, event: &Outgoing) -> bool {
        self.rows.values().any(|other| {
            other.subject == event.subject
                && other.seq < event.seq
                && other.delivery.state == DeliveryState::Pending
        })
    }

    /// Changes how far an event's delivery has come. The row is written only if its state,
    /// tries and lease are those it was loaded with.
    pub fn change(&mut self, id: Id, change: impl FnOnce(&mut Delivery)) {
        if let Some(row) = self.rows.get_mut(&id) {
            let before = row.delivery.clone();
            change(&mut row.delivery);
            self.changed.entry(id).or_insert(before);
        }
    }

    /// Moves the turn of what waits behind an event and was never tried.
    pub fn move_followers(&mut self, followers: Followers) {
        self.followers.push(followers);
    }

    /// Rows to write, each with what it was loaded with.
    pub fn changed(&self) -> impl Iterator<Item = (&Outgoing, &Delivery)> {
        self.changed
            .iter()
            .filter_map(|(id, before)| self.rows.get(id).map(|row| (row, before)))
    }

    /// Turns to move.
    pub fn followers(&self) -> &[Followers] {
        &self.followers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, retry_after: Option<u32>) -> Answer {
        Answer::Status {
            status,
            retry_after: retry_after.map(Seconds),
        }
    }

    fn ids() -> impl Iterator<Item = Id> {
        (0..1000_u128).map(|n| Id::from_u128(n * 0x0123_4567_89AB_CDEF_0123))
    }

    #[test]
    fn ten_tries_take_about_75_hours() {
        for id in ids() {
            let pauses: Vec<_> = (1..=9).map(|tries| pause(tries, id).unwrap().0).collect();
            for (pause, around) in pauses.iter().zip(PAUSES) {
                let (low, high) = (around * 9 / 10, around * 11 / 10 + 1);
                assert!((low..=high).contains(pause), "{pause} is not near {around}");
            }
            let hours = pauses.iter().sum::<u32>() / 3600;
            assert!((67..=84).contains(&hours), "{hours} hours");
            assert_eq!(pause(10, id), None);
        }
        let all: u32 = ids().map(|id| pause(9, id).unwrap().0).sum();
        assert_eq!(all / 1000 / 3600, 23, "the mean is near 24 hours");
    }

    #[test]
    fn what_failed_together_is_not_tried_together_again() {
        for tries in 3..=9 {
            let mut pauses: Vec<_> = ids().map(|id| pause(tries, id)).collect();
            pauses.sort_unstable();
            pauses.dedup();
            assert!(pauses.len() > 100, "try {tries}: {} pauses", pauses.len());
        }
    }

    #[test]
    fn what_follows_from_an_answer() {
        let id = Id::from_u128(7);
        let first = pause(1, id).unwrap();
        let day = LONGEST_PAUSE;
        for (answer, tries, follows) in [
            (status(200, None), 1, Next::Delivered),
            (status(204, Some(60)), 10, Next::Delivered),
            (status(299, None), 1, Next::Delivered),
            (status(410, Some(60)), 1, Next::Dead),
            (status(301, None), 1, Next::Again(first)),
            (status(304, None), 1, Next::Again(first)),
            (status(400, None), 1, Next::Again(first)),
            (status(404, None), 1, Next::Again(first)),
            (status(500, None), 1, Next::Again(first)),
            // Retry-After puts off and never hurries; what it may ask is bounded.
            (status(503, Some(60)), 1, Next::Again(Seconds(60))),
            (status(429, Some(0)), 1, Next::Again(first)),
            (status(503, Some(u32::MAX)), 1, Next::Again(day)),
            (status(503, Some(60)), 10, Next::Dead),
            (status(500, None), 10, Next::Dead),
            (status(500, None), 11, Next::Dead),
            (Answer::None("silence".into()), 1, Next::Again(first)),
            (Answer::None("silence".into()), 10, Next::Dead),
        ] {
            assert_eq!(next(&answer, tries, id), follows, "{answer:?}, try {tries}");
        }
    }

    #[test]
    fn a_lease_that_ends_later_than_any_could_holds_nothing() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let until = |millis: i64| Delivery {
            state: DeliveryState::Pending,
            tries: 1,
            next_try_at: Some(now),
            lease_until: Some(Timestamp::from_millis(now.millis() + millis)),
            settled_at: None,
            last_status: None,
            last_error: None,
            taken: 1,
        };
        for (millis, is_held) in [
            (0, false),
            (1, true),
            (LEASE.millis(), true),
            (LEASE.millis() + 1, false),
            (3_600_000, false),
        ] {
            assert_eq!(until(millis).is_held(now), is_held, "{millis}");
            assert_eq!(until(millis).is_due(now), !is_held, "{millis}");
        }
    }

    #[test]
    fn a_retry_after_below_the_schedule_does_not_shorten_it() {
        let id = Id::from_u128(7);
        let pause = pause(9, id).unwrap();
        let answer = status(503, Some(60));
        assert_eq!(next(&answer, 9, id), Next::Again(pause));
    }
}
