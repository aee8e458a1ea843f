//! The books: the rows that one transaction has loaded and locked, and what it changed.
//!
//! A write works in three steps: the database loads the rows a decision may touch
//! ([`Footprint`]), a pure function of [`super::ledger`] decides and changes them here, and
//! the database writes what changed. Many decisions share one transaction, each seeing
//! what those before it did; so the rules are the same on every database, and a test
//! needs none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::event::Event;
use super::file::File;
use super::name::{Id, Owner, Ref, SlotName, Tenant};
use super::outbox::Outbox;
use super::ticket::{State, Ticket};
use super::time::Timestamp;

/// What is counted together. Its text, a JSON array, is the key of a usage row; tenant and
/// owner come first, so that the accounts of one owner are neighbours in the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(String);

impl Account {
    /// `max_entries`: per tenant, slot, owner and ref; the null ref is the empty one.
    pub fn reference(tenant: &Tenant, slot: &SlotName, owner: &Owner, r: Option<&Ref>) -> Self {
        let r = r.map_or("", Ref::as_str);
        Self::of(&(tenant.as_str(), owner.as_str(), slot.as_str(), r))
    }

    /// `quota`: per tenant, slot and owner.
    pub fn owner(tenant: &Tenant, slot: &SlotName, owner: &Owner) -> Self {
        Self::of(&(tenant.as_str(), owner.as_str(), slot.as_str()))
    }

    /// `limits_per_tenant`: per tenant and slot.
    pub fn tenant(tenant: &Tenant, slot: &SlotName) -> Self {
        Self::of(&(tenant.as_str(), (), slot.as_str()))
    }

    /// `max_open_tickets`: per tenant and owner.
    pub fn caller(tenant: &Tenant, owner: &Owner) -> Self {
        Self::of(&(tenant.as_str(), owner.as_str()))
    }

    /// The four accounts that a ticket or file is counted in.
    pub fn all(tenant: &Tenant, slot: &SlotName, owner: &Owner, r: Option<&Ref>) -> [Self; 4] {
        [
            Self::reference(tenant, slot, owner, r),
            Self::owner(tenant, slot, owner),
            Self::tenant(tenant, slot),
            Self::caller(tenant, owner),
        ]
    }

    fn of(parts: &impl serde::Serialize) -> Self {
        Self(serde_json::to_string(parts).unwrap_or_default())
    }

    /// Tenant, owner, slot and ref, as far as this account has them; `None`: not one of ours.
    pub fn parts(text: &str) -> Option<Vec<Option<String>>> {
        serde_json::from_str(text)
            .ok()
            .filter(|parts: &Vec<_>| (2..=4).contains(&parts.len()))
    }

    /// An account as its row spells it.
    pub fn from_row(text: String) -> Self {
        Self(text)
    }

    /// The key of its usage row.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an account holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Open tickets.
    pub open: i64,
    /// Live files.
    pub files: i64,
    /// Bytes that open tickets reserve.
    pub reserved: i64,
    /// Bytes of live files.
    pub stored: i64,
}

impl Usage {
    /// Open tickets and live files.
    pub const fn entries(&self) -> i64 {
        self.open + self.files
    }

    /// Reserved and stored bytes.
    pub const fn bytes(&self) -> i64 {
        self.reserved + self.stored
    }
}

/// Bytes as the books count them. No object is larger than 5 TiB, so nothing is lost.
pub fn counted(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Names an idempotent mint: tenant, caller and the caller's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey {
    /// Whose world.
    pub tenant: Tenant,
    /// The token's `sub`.
    pub caller: Owner,
    /// The header's value.
    pub key: String,
}

/// What an idempotent mint answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// Hex SHA-256 of the request.
    pub body_hash: String,
    /// The outcome, as the ledger wrote it.
    pub outcome: Value,
    /// When.
    pub created_at: Timestamp,
}

/// The rows that a decision may touch.
#[derive(Clone, Debug, Default)]
pub struct Footprint {
    /// Usage rows.
    pub accounts: Vec<Account>,
    /// Tickets by id.
    pub tickets: Vec<Id>,
    /// Files by id.
    pub files: Vec<Id>,
    /// Owners whose recently closed tickets still count.
    pub cooling: Option<(Tenant, Owner)>,
    /// Open tickets that may have to give way.
    pub giving_way: Option<GivingWay>,
    /// Live files that may have to give way.
    pub oldest_files: Vec<OldestFiles>,
    /// An idempotent mint's memory.
    pub idempotency: Option<IdempotencyKey>,
    /// Events by id.
    pub events: Vec<Id>,
    /// Events to be sent.
    pub due_events: Option<DueEvents>,
    /// Tickets it will insert: looked for only when it is run again, after an outcome
    /// that nobody knows.
    pub created: Vec<Id>,
}

/// The next events that may be sent.
#[derive(Clone, Debug)]
pub struct DueEvents {
    /// How many at most.
    pub limit: u32,
    /// None of this tenant.
    pub but: Option<Tenant>,
    /// None that was taken so often.
    pub taken_less_than: u32,
}

/// The open tickets of a scope that a mint may cancel: the oldest, until `incoming` more
/// fit beside at most `keep`.
#[derive(Clone, Debug)]
pub struct GivingWay {
    /// Where.
    pub scope: Scope,
    /// How many open tickets the scope may hold.
    pub keep: u32,
    /// How many tickets may be new.
    pub incoming: usize,
}

/// The live files of a scope that a commit may retire: so many of the oldest.
#[derive(Clone, Debug)]
pub struct OldestFiles {
    /// Where.
    pub scope: Scope,
    /// How many are read at most.
    pub at_most: u32,
}

/// How far the live files of a scope are loaded, in the order of their (`committed_at`, id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoadedTo {
    /// To this one, which is loaded too; there may be more.
    File(Timestamp, Id),
    /// All of them.
    End,
}

/// Rows that have served their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forget {
    /// A tombstone whose bytes are gone.
    File(Id),
    /// Closed tickets whose leftovers are gone. A file outlives its ticket.
    TicketsClosedBefore(Timestamp),
    /// Delivered and dead events.
    EventsSettledBefore(Timestamp),
    /// Events that were due before then and that nobody is there to deliver.
    EventsDueBefore(Timestamp),
    /// Idempotent mints.
    MintsBefore(Timestamp),
    /// Accounts that hold nothing, after the first and up to the second.
    EmptyUsage(String, String),
    /// Not a row but its turn: an open ticket that cannot be read is looked at again then.
    TurnOf(Id, Timestamp),
}

/// Whose tickets or files: one slot of one owner, and one ref or (`None`) all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// Whose world.
    pub tenant: Tenant,
    /// Which slot.
    pub slot: SlotName,
    /// Whose entries.
    pub owner: Owner,
    /// `Some(None)` is the null ref, `None` every ref.
    pub reference: Option<Option<Ref>>,
}

/// A row that a decision needed and its footprint did not name: what the caller read
/// before has moved, and it should read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale;

/// See the module's page.
pub struct Books {
    ids: Arc<dyn Fn() -> Id + Send + Sync>,
    usage: HashMap<Account, Usage>,
    changed_usage: BTreeSet<Account>,
    tickets: HashMap<Id, Ticket>,
    new_tickets: Vec<Id>,
    changed_tickets: BTreeMap<Id, Before>,
    files: BTreeMap<Id, File>,
    loaded_to: BTreeMap<Scope, LoadedTo>,
    new_files: Vec<Id>,
    changed_files: BTreeSet<Id>,
    cooling: HashMap<(Tenant, Owner), i64>,
    remembered: HashMap<IdempotencyKey, Remembered>,
    new_remembered: Vec<IdempotencyKey>,
    events: Vec<Event>,
    outbox: Outbox,
    forgotten: Vec<Forget>,
    marks: Vec<(&'static str, String)>,
    unloaded: Option<Account>,
}

/// The state and epoch that a ticket's row must still have for its change to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// The state it was loaded with.
    pub state: State,
    /// The epoch it was loaded with.
    pub epoch: u32,
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books")
            .field("usage", &self.usage.len())
            .field("tickets", &self.tickets.len())
            .field("files", &self.files.len())
            .field("events", &self.events.len())
            .finish_non_exhaustive()
    }
}

impl Books {
    /// Empty books, and where new event ids come from.
    pub fn new(ids: Arc<dyn Fn() -> Id + Send + Sync>) -> Self {
        Self {
            ids,
            usage: HashMap::new(),
            changed_usage: BTreeSet::new(),
            tickets: HashMap::new(),
            new_tickets: Vec::new(),
            changed_tickets: BTreeMap::new(),
            files: BTreeMap::new(),
            loaded_to: BTreeMap::new(),
            new_files: Vec::new(),
            changed_files: BTreeSet::new(),
            cooling: HashMap::new(),
            remembered: HashMap::new(),
            new_remembered: Vec::new(),
            events: Vec::new(),
            outbox: Outbox::default(),
            forgotten: Vec::new(),
            marks: Vec::new(),
            unloaded: None,
        }
    }

    // ---- what the database loads ------------------------------------------------

    /// A usage row; accounts without a row hold nothing, and must be loaded as that.
    pub fn load_usage(&mut self, account: Account, usage: Usage) {
        self.usage.insert(account, usage);
    }

    /// A ticket's row.
    pub fn load_ticket(&mut self, ticket: Ticket) {
        self.tickets.insert(ticket.id, ticket);
    }

    /// A file's row.
    pub fn load_file(&mut self, file: File) {
        self.files.insert(file.id, file);
    }

    /// How far the oldest files of a scope are loaded.
    pub fn load_oldest_files(&mut self, scope: Scope, to: LoadedTo) {
        self.loaded_to.insert(scope, to);
    }

    /// How many closed tickets of an owner still count.
    pub fn load_cooling(&mut self, tenant: Tenant, owner: Owner, count: i64) {
        self.cooling.insert((tenant, owner), count);
    }

    /// An idempotent mint's memory.
    pub fn load_remembered(&mut self, key: IdempotencyKey, row: Remembered) {
        self.remembered.insert(key, row);
    }

    // ---- what the ledger reads --------------------------------------------------

    /// What an account holds.
    pub fn usage(&self, account: &Account) -> Result<Usage, Stale> {
        self.usage.get(account).copied().ok_or(Stale)
    }

    /// A ticket.
    pub fn ticket(&self, id: Id) -> Option<&Ticket> {
        self.tickets.get(&id)
    }

    /// A file, live or a tombstone.
    pub fn file(&self, id: Id) -> Option<&File> {
        self.files.get(&id)
    }

    /// How many closed tickets of an owner still count.
    pub fn cooling(&self, tenant: &Tenant, owner: &Owner) -> i64 {
        self.cooling
            .get(&(tenant.clone(), owner.clone()))
            .copied()
            .unwrap_or(0)
    }

    /// An idempotent mint's memory.
    pub fn remembered(&self, key: &IdempotencyKey) -> Option<&Remembered> {
        self.remembered.get(key)
    }

    /// Events on their way.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Events on their way, to load and to change.
    pub fn outbox_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// The open tickets of a scope that are not one of `spared`, oldest first.
    pub fn oldest_open(&self, scope: &Scope, spared: &[Id]) -> Vec<Id> {
        let mut open: Vec<_> = self
            .tickets
            .values()
            .filter(|t| t.state == State::Open && !spared.contains(&t.id))
            .filter(|t| scope.holds(&t.tenant, &t.slot, &t.owner, t.reference.as_ref()))
            .map(|t| (t.created_at, t.id))
            .collect();
        open.sort_unstable();
        open.into_iter().map(|(_, id)| id).collect()
    }

    /// The live files of a scope by (`committed_at`, id), oldest first and without a gap, as far
    /// as they are loaded; and whether that is all of them.
    pub fn oldest_files(&self, scope: &Scope) -> (Vec<Id>, bool) {
        // Who has those of every ref has those of each.
        let every_ref = Scope {
            reference: None,
            ..scope.clone()
        };
        let loaded = [scope, &every_ref].map(|one| self.loaded_to.get(one).copied());
        let Some(to) = loaded.into_iter().flatten().max() else {
            return (Vec::new(), false);
        };
        let mut files: Vec<_> = self
            .files
            .values()
            .filter(|f| f.is_live())
            .filter(|f| scope.holds(&f.tenant, &f.slot, &f.owner, f.reference.as_ref()))
            .map(|f| (f.committed_at, f.id))
            .filter(|(moment, id)| LoadedTo::File(*moment, *id) <= to)
            .collect();
        files.sort_unstable();
        let ids = files.into_iter().map(|(_, id)| id).collect();
        (ids, to == LoadedTo::End)
    }

    // ---- what the ledger changes ------------------------------------------------

    /// An id for an event.
    pub fn new_id(&self) -> Id {
        (self.ids)()
    }

    /// Adds to an account. One that was not loaded spoils the books ([`Self::unloaded`]).
    pub fn post(&mut self, account: &Account, change: impl FnOnce(&mut Usage)) {
        match self.usage.get_mut(account) {
            Some(usage) => {
                change(usage);
                self.changed_usage.insert(account.clone());
            }
            None => self.unloaded = Some(account.clone()),
        }
    }

    /// Adds to all of `accounts`.
    pub fn post_all(&mut self, accounts: &[Account], change: impl Fn(&mut Usage)) {
        for account in accounts {
            self.post(account, &change);
        }
    }

    /// A ticket that was not there before.
    pub fn insert_ticket(&mut self, ticket: Ticket) {
        self.new_tickets.push(ticket.id);
        self.tickets.insert(ticket.id, ticket);
    }

    /// Changes a ticket's row. The row is written only if it still has the state and
    /// epoch it was loaded with.
    pub fn change_ticket(&mut self, id: Id, change: impl FnOnce(&mut Ticket)) {
        if let Some(ticket) = self.tickets.get_mut(&id) {
            let before = Before {
                state: ticket.state,
                epoch: ticket.epoch,
            };
            change(ticket);
            if !self.new_tickets.contains(&id) {
                self.changed_tickets.entry(id).or_insert(before);
            }
        }
    }

    /// One more closed ticket that still counts.
    pub fn cool(&mut self, tenant: &Tenant, owner: &Owner) {
        *self
            .cooling
            .entry((tenant.clone(), owner.clone()))
            .or_default() += 1;
    }

    /// A file that was not there before.
    pub fn insert_file(&mut self, file: File) {
        self.new_files.push(file.id);
        self.files.insert(file.id, file);
    }

    /// Changes a file's row.
    pub fn change_file(&mut self, id: Id, change: impl FnOnce(&mut File)) {
        if let Some(file) = self.files.get_mut(&id) {
            change(file);
            if !self.new_files.contains(&id) {
                self.changed_files.insert(id);
            }
        }
    }

    /// Keeps an idempotent mint's outcome.
    pub fn remember(&mut self, key: IdempotencyKey, row: Remembered) {
        self.new_remembered.push(key.clone());
        self.remembered.insert(key, row);
    }

    /// Writes an event.
    pub fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Forgets rows that have served their time.
    pub fn forget(&mut self, what: Forget) {
        self.forgotten.push(what);
    }

    /// Notes where a long walk stands.
    pub fn mark(&mut self, name: &'static str, value: String) {
        self.marks.push((name, value));
    }

    // ---- what the database writes -----------------------------------------------

    /// An account that was posted to without being loaded: these books must not be written.
    pub fn unloaded(&self) -> Option<&Account> {
        self.unloaded.as_ref()
    }

    /// Whether there is a row of tickets, files, events or marks to write. What accounts hold
    /// changes with these; the outbox's turns are not asked about.
    pub fn writes_rows(&self) -> bool {
        let changes = [
            self.new_tickets.is_empty(),
            self.changed_tickets.is_empty(),
            self.new_files.is_empty(),
            self.changed_files.is_empty(),
            self.events.is_empty(),
            self.marks.is_empty(),
        ];
        changes.contains(&false)
    }

    /// Usage rows to write, in key order.
    pub fn usage_to_write(&self) -> impl Iterator<Item = (&Account, Usage)> {
        self.changed_usage
            .iter()
            .filter_map(|a| self.usage.get(a).map(|u| (a, *u)))
    }

    /// Tickets to insert.
    pub fn tickets_to_insert(&self) -> impl Iterator<Item = &Ticket> {
        self.new_tickets
            .iter()
            .filter_map(|id| self.tickets.get(id))
    }

    /// Tickets to update, each with what its row must still say.
    pub fn tickets_to_update(&self) -> impl Iterator<Item = (&Ticket, Before)> {
        self.changed_tickets
            .iter()
            .filter_map(|(id, before)| self.tickets.get(id).map(|t| (t, *before)))
    }

    /// Files to insert.
    pub fn files_to_insert(&self) -> impl Iterator<Item = &File> {
        self.new_files.iter().filter_map(|id| self.files.get(id))
    }

    /// Files to update.
    pub fn files_to_update(&self) -> impl Iterator<Item = &File> {
        self.changed_files
            .iter()
            .filter_map(|id| self.files.get(id))
    }

    /// Events to insert.
    pub fn events_to_insert(&self) -> &[Event] {
        &self.events
    }

    /// Rows to forget.
    pub fn to_forget(&self) -> &[Forget] {
        &self.forgotten
    }

    /// Marks to set.
    pub fn marks_to_set(&self) -> &[(&'static str, String)] {
        &self.marks
    }

    /// Idempotent mints to insert.
    pub fn remembered_to_insert(&self) -> impl Iterator<Item = (&IdempotencyKey, &Remembered)> {
        self.new_remembered
            .iter()
            .filter_map(|key| self.remembered.get_key_value(key))
    }
}

impl Scope {
    /// Whether an entry with these belongs to the scope.
    pub fn holds(&self, tenant: &Tenant, slot: &SlotName, owner: &Owner, r: Option<&Ref>) -> bool {
        self.tenant == *tenant
            && self.slot == *slot
            && self.owner == *owner
            && self
                .reference
                .as_ref()
                .is_none_or(|mine| mine.as_ref() == r)
    }
}
