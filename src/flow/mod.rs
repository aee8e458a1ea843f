//! One file per verb: the order in which things happen. No rules here (they are in the
//! domain), no SQL and no S3 (they are in their rooms).

pub mod audit;
pub mod cancel;
pub mod chunks;
pub mod claim;
pub mod complete;
pub mod delete;
pub mod deliver;
pub mod look;
pub mod mint;
pub mod notify;
pub mod relay;
pub mod sign;
pub mod sweep;

mod attempt;
mod lease;
mod turns;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, broadcast, watch};
use uuid::{ContextV7, Uuid};

use crate::clock::Clock;
use crate::db::Db;
use crate::domain::name::{Id, SlotName};
use crate::domain::problem::{Code, Problem};
use crate::domain::slot::Slot;
use crate::domain::time::Seconds;
use crate::store::{Store, StoreError};
use crate::webhook::Receiver;

pub use attempt::{Outcome, attempt, attempt_on};

/// The slots by name.
pub type Slots = BTreeMap<SlotName, Slot>;

/// Everything a flow needs.
#[derive(Debug)]
pub struct App {
    /// The rows.
    pub db: Db,
    /// The bytes.
    pub store: Store,
    /// The process's clock: signatures and tokens.
    pub clock: Clock,
    /// The slots; SIGHUP may exchange them.
    pub slots: ArcSwap<Slots>,
    /// The most live tickets per tenant and owner.
    pub max_open_tickets: u32,
    /// How long closed tickets and delivered events are kept.
    pub retention: Seconds,
    /// Where events go; unset: nowhere.
    pub receiver: OnceLock<Arc<Receiver>>,
    /// How much is relayed; unset: [`relay::Limits::default`].
    pub relays: OnceLock<relay::Relays>,
    closed: broadcast::Sender<Id>,
    stopping: watch::Sender<bool>,
    turns: Arc<turns::Turns>,
    /// Notifications that are followed at this time.
    notices: Arc<Semaphore>,
}

impl App {
    /// An app over its services.
    pub fn new(
        db: Db,
        store: Store,
        clock: Clock,
        slots: Slots,
        max_open_tickets: u32,
        retention: Seconds,
    ) -> Arc<Self> {
        let (closed, _) = broadcast::channel(1024);
        Arc::new(Self {
            db,
            store,
            clock,
            slots: ArcSwap::from_pointee(slots),
            max_open_tickets,
            retention,
            receiver: OnceLock::new(),
            relays: OnceLock::new(),
            closed,
            stopping: watch::Sender::new(false),
            turns: Arc::default(),
            notices: Arc::new(Semaphore::new(notify::AT_ONCE)),
        })
    }

    /// The slot of that name, as the configuration has it now.
    pub fn slot(&self, name: &SlotName) -> Result<Slot, Problem> {
        self.slots
            .load()
            .get(name)
            .cloned()
            .ok_or_else(|| Problem::new(Code::NotFound, format!("no slot is named {name}")))
    }

    /// The places for files that go through this server.
    pub fn relays(&self) -> &relay::Relays {
        self.relays
            .get_or_init(|| relay::Relays::new(relay::Limits::default()))
    }

    /// Ends the worker and all waiting: what is in flight answers with what is true now.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Turns true when the app is to stop.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Tells whoever waits for a ticket that it has closed.
    fn announce(&self, id: Id) {
        // Nobody waiting is no error.
        let _ = self.closed.send(id);
    }
}

/// Ids of one millisecond count up, so that lists and "the oldest" keep the order of minting.
static IDS: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// A new id, by this clock.
pub fn new_id(clock: &Clock) -> Id {
    let now = clock.now().millis();
    let seconds = u64::try_from(now.div_euclid(1000)).unwrap_or(0);
    let nanos = u32::try_from(now.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(&IDS, seconds, nanos))
}

impl From<StoreError> for Problem {
    /// What a client may know about a store's trouble; the log has the rest.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(_) => Self::new(Code::StorageFull, "the storage has no room"),
            StoreError::Missing
            | StoreError::Changed
            | StoreError::NoSuchUpload
            | StoreError::Stopped
            | StoreError::Refused(_)
            | StoreError::Unavailable(_)
            | StoreError::Settings(_) => Self::new(
                Code::StorageUnavailable,
                "the storage did not answer as it should; try again",
            ),
        }
    }
}

/// The problem of a decision whose rows moved between reading and deciding, again and again.
fn moved() -> Problem {
    Problem::new(Code::DatabaseUnavailable, "the rows kept moving; try again")
}

/// How often a flow reads again when what it read has moved.
const READS: usize = 5;

/// How long a download URL works.
pub const DOWNLOAD_TTL: Seconds = Seconds(300);

/// Until when, for callers that wait.
fn deadline(seconds: u32) -> tokio::time::Instant {
    tokio::time::Instant::now() + Seconds(seconds).duration()
}
