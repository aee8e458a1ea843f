//! The ledger against a database of maps. Every write loads no more than its footprint
//! names, as the real one does, and after every write the laws are added up from the rows.

mod attempts;
mod entries;
mod history;
mod limits;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::domain::books::{Footprint, IdempotencyKey, LoadedTo, Remembered, Scope, Stale};
use crate::domain::dialect::Sending;
use crate::domain::file::File;
use crate::domain::name::{Owner, Ref, SlotName, Tenant};
use crate::domain::problem::{Code, Problem};
use crate::domain::slot::{Disposition, OnFull, Policy, TenantLimits, TokenLimits};
use crate::domain::ticket::{GRACE, LEASE, State};
use crate::domain::time::Seconds;

const ANN: &str = "ann";
const BOB: &str = "bob";
const CAP: u32 = 100;

fn tenant() -> Tenant {
    Tenant::parse("acme").unwrap()
}

fn owner(name: &str) -> Owner {
    Owner::parse(name).unwrap()
}

fn reference(name: &str) -> Option<Ref> {
    (!name.is_empty()).then(|| Ref::parse(name).unwrap())
}

fn slot(name: &str) -> SlotName {
    SlotName::parse(name).unwrap()
}

fn refused() -> Problem {
    Problem::new(Code::ContentRejected, "not what it says").with("reason", "type-mismatch")
}

/// A database of maps, with the slots of its configuration.
struct World {
    now: Timestamp,
    next_id: Arc<AtomicU64>,
    slots: BTreeMap<SlotName, Policy>,
    usage: HashMap<Account, Usage>,
    tickets: BTreeMap<Id, Ticket>,
    files: BTreeMap<Id, File>,
    remembered: HashMap<IdempotencyKey, Remembered>,
    events: Vec<Event>,
}

impl World {
    /// One slot, `s`.
    fn of(policy: Policy) -> Self {
        Self {
            now: Timestamp::from_millis(1_700_000_000_000),
            next_id: Arc::default(),
            slots: [(slot("s"), policy)].into(),
            usage: HashMap::new(),
            tickets: BTreeMap::new(),
            files: BTreeMap::new(),
            remembered: HashMap::new(),
            events: Vec::new(),
        }
    }

    fn rejecting(max_entries: u32) -> Self {
        Self::of(Policy {
            max_entries,
            ..Policy::default()
        })
    }

    fn replacing(max_entries: u32) -> Self {
        Self::of(Policy {
            max_entries,
            on_full: OnFull::Replace,
            ..Policy::default()
        })
    }

    fn policy(&self) -> Policy {
        self.slots[&slot("s")].clone()
    }

    fn pass(&mut self, span: Seconds) {
        self.now = self.now.plus(span);
    }

    fn id(&self) -> Id {
        let n = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        Id::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(n))
    }

    // ---- one transaction ------------------------------------------------------------

    fn write<T>(
        &mut self,
        footprint: &Footprint,
        decide: impl FnOnce(&mut Books, Timestamp) -> T,
    ) -> T {
        self.write_all(&[footprint], false, decide)
    }

    /// `again`: as after a COMMIT whose outcome nobody knows.
    fn write_all<T>(
        &mut self,
        footprints: &[&Footprint],
        again: bool,
        decide: impl FnOnce(&mut Books, Timestamp) -> T,
    ) -> T {
        let mut books = self.books(footprints, again);
        let answer = decide(&mut books, self.now);
        assert_eq!(books.unloaded(), None, "a footprint is too small");
        self.save(&books);
        self.check_laws();
        answer
    }

    fn books(&self, footprints: &[&Footprint], again: bool) -> Books {
        let next = self.next_id.clone();
        let mut books = Books::new(Arc::new(move || {
            let n = next.fetch_add(1, Ordering::Relaxed) + 1;
            Id::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(n))
        }));
        for footprint in footprints {
            for account in &footprint.accounts {
                let usage = self.usage.get(account).copied().unwrap_or_default();
                books.load_usage(account.clone(), usage);
            }
            let created = footprint.created.iter().filter(|_| again);
            for id in footprint.tickets.iter().chain(created) {
                if let Some(ticket) = self.tickets.get(id) {
                    books.load_ticket(ticket.clone());
                }
            }
            for file in footprint.files.iter().filter_map(|id| self.files.get(id)) {
                books.load_file(file.clone());
            }
            if let Some((tenant, owner)) = &footprint.cooling {
                let count = self.tickets.values().filter(|t| {
                    t.tenant == *tenant
                        && t.owner == *owner
                        && t.cooling_until.is_some_and(|until| until > self.now)
                });
                let count = i64::try_from(count.count()).unwrap();
                books.load_cooling(tenant.clone(), owner.clone(), count);
            }
            if let Some(row) = &footprint.idempotency
                && let Some(then) = self.remembered.get(row)
            {
                books.load_remembered(row.clone(), then.clone());
            }
        }
        let mut oldest: BTreeMap<&Scope, usize> = BTreeMap::new();
        for more in footprints.iter().flat_map(|f| &f.oldest_files) {
            *oldest.entry(&more.scope).or_default() += more.at_most as usize;
        }
        for (scope, at_most) in oldest {
            self.load_retiring(&mut books, scope, at_most);
        }
        // Of what may give way no more is loaded than must be enough.
        let giving_way = || footprints.iter().filter_map(|f| f.giving_way.as_ref());
        let scopes: BTreeSet<&Scope> = giving_way().map(|g| &g.scope).collect();
        for scope in scopes {
            let of_scope = || giving_way().filter(|g| g.scope == *scope);
            let keep = of_scope().map(|g| g.keep as usize).min().unwrap();
            let incoming: usize = of_scope().map(|g| g.incoming).sum();
            let mut open: Vec<&Ticket> = self
                .tickets
                .values()
                .filter(|t| t.state == State::Open)
                .filter(|t| scope.holds(&t.tenant, &t.slot, &t.owner, t.reference.as_ref()))
                .collect();
            open.sort_by_key(|t| (t.created_at, t.id));
            let surplus = (open.len() + incoming).saturating_sub(keep);
            for ticket in open.into_iter().take(surplus) {
                books.load_ticket(ticket.clone());
            }
        }
        books
    }

    fn load_retiring(&self, books: &mut Books, scope: &Scope, at_most: usize) {
        let of_scope = |f: &&File| scope.holds(&f.tenant, &f.slot, &f.owner, f.reference.as_ref());
        let mut found: Vec<&File> = self
            .files
            .values()
            .filter(|f| f.is_live())
            .filter(of_scope)
            .collect();
        found.sort_by_key(|f| (f.committed_at, f.id));
        let to = if found.len() >= at_most {
            found.truncate(at_most);
            let last = found.last().unwrap();
            LoadedTo::File(last.committed_at, last.id)
        } else {
            LoadedTo::End
        };
        books.load_oldest_files(scope.clone(), to);
        for file in found {
            let r = file.reference.as_ref();
            let account = Account::reference(&file.tenant, &file.slot, &file.owner, r);
            let usage = self.usage.get(&account).copied().unwrap_or_default();
            books.load_usage(account, usage);
            books.load_file(file.clone());
        }
    }

    fn save(&mut self, books: &Books) {
        for (account, usage) in books.usage_to_write() {
            self.usage.insert(account.clone(), usage);
        }
        for ticket in books.tickets_to_insert() {
            let there = self.tickets.insert(ticket.id, ticket.clone());
            assert_eq!(there, None, "a ticket was inserted twice");
        }
        for (ticket, before) in books.tickets_to_update() {
            let row = self.tickets.get_mut(&ticket.id).unwrap();
            assert_eq!((row.state, row.epoch), (before.state, before.epoch));
            if row.state != State::Open {
                let (is, was) = (ticket, &*row);
                assert_eq!(
                    (is.state, is.closed_at, &is.problem, is.epoch),
                    (was.state, was.closed_at, &was.problem, was.epoch),
                    "law 5: a terminal state changed"
                );
            }
            *row = ticket.clone();
        }
        for file in books.files_to_insert() {
            let there = self.files.insert(file.id, file.clone());
            assert_eq!(there, None, "a file was inserted twice");
        }
        for file in books.files_to_update() {
            let row = self.files.get_mut(&file.id).unwrap();
            assert!(row.is_live(), "law 5: a tombstone changed");
            *row = file.clone();
        }
        self.events.extend_from_slice(books.events_to_insert());
        for (key, row) in books.remembered_to_insert() {
            self.remembered.insert(key.clone(), row.clone());
        }
    }

    // ---- the laws, added up naively ---------------------------------------------------

    fn check_laws(&self) {
        let mut held: HashMap<Account, Usage> = HashMap::new();
        for t in self.tickets.values().filter(|t| t.state == State::Open) {
            for account in accounts(t) {
                let usage = held.entry(account).or_default();
                usage.open += 1;
                usage.reserved += counted(t.size);
            }
        }
        for f in self.files.values().filter(|f| f.is_live()) {
            for account in Account::all(&f.tenant, &f.slot, &f.owner, f.reference.as_ref()) {
                let usage = held.entry(account).or_default();
                usage.files += 1;
                usage.stored += counted(f.size);
            }
        }
        for (account, usage) in &self.usage {
            let rows = held.get(account).copied().unwrap_or_default();
            assert_eq!(*usage, rows, "law 4: {} is miscounted", account.as_str());
        }
        for account in held.keys() {
            assert!(self.usage.contains_key(account), "{account:?} has no row");
        }
        self.check_bounds(&held);
        self.check_events();
    }

    fn check_bounds(&self, held: &HashMap<Account, Usage>) {
        let within = |limit: Option<i64>, on_full: OnFull, parts: (i64, i64), law: &str| {
            let Some(limit) = limit else { return };
            let used = match on_full {
                OnFull::Reject => parts.0 + parts.1,
                OnFull::Replace => parts.0.max(parts.1),
            };
            assert!(used <= limit, "law 4: {used} of {law} = {limit}");
        };
        let entries: BTreeSet<_> = self
            .tickets
            .values()
            .map(|t| (&t.tenant, &t.slot, &t.owner, t.reference.as_ref()))
            .chain(
                self.files
                    .values()
                    .map(|f| (&f.tenant, &f.slot, &f.owner, f.reference.as_ref())),
            )
            .collect();
        for (tenant, slot, owner, r) in entries {
            let Some(p) = self.slots.get(slot) else {
                continue;
            };
            let usage = |account| held.get(&account).copied().unwrap_or_default();
            let by_ref = usage(Account::reference(tenant, slot, owner, r));
            let by_owner = usage(Account::owner(tenant, slot, owner));
            let by_tenant = usage(Account::tenant(tenant, slot));
            let number = |u: Usage| (u.open, u.files);
            let bytes = |u: Usage| (u.reserved, u.stored);
            let cap = p.per_tenant;
            let max_entries = Some(i64::from(p.max_entries));
            within(max_entries, p.on_full, number(by_ref), "max_entries");
            within(p.quota.map(counted), p.on_full, bytes(by_owner), "quota");
            let entries = cap.max_entries.map(i64::from);
            within(entries, p.on_full, number(by_tenant), "tenant.max_entries");
            let quota = cap.quota.map(counted);
            within(quota, p.on_full, bytes(by_tenant), "tenant.quota");
        }
    }

    fn check_events(&self) {
        let mut last: HashMap<Id, u32> = HashMap::new();
        let mut terminal: HashMap<Id, &str> = HashMap::new();
        let mut ended: HashMap<Id, u32> = HashMap::new();
        for event in &self.events {
            let seq = last.entry(event.subject).or_default();
            assert_eq!(event.seq, *seq + 1, "law 5: seq of {}", event.kind);
            *seq += 1;
            if event.kind.starts_with("ticket.") {
                let twice = terminal.insert(event.subject, event.kind);
                assert_eq!(twice, None, "law 5: two terminal events");
            }
            if event.kind == "file.deleted" {
                *ended.entry(event.subject).or_default() += 1;
            }
        }
        for t in self.tickets.values() {
            let told = terminal.get(&t.id).map(|kind| &kind["ticket.".len()..]);
            let is = (t.state != State::Open).then(|| t.state.as_str());
            assert_eq!(told, is, "law 5: the event of {}", t.id);
            assert_eq!(t.state == State::Committed, self.files.contains_key(&t.id));
        }
        for f in self.files.values() {
            let told = ended.get(&f.id).copied().unwrap_or(0);
            assert_eq!(told, u32::from(!f.is_live()), "law 5: the end of {}", f.id);
            assert_eq!(last.get(&f.id), Some(&f.event_seq));
        }
    }

    // ---- the verbs ------------------------------------------------------------------

    fn request(&self, name: &str, who: &str, r: &str, sizes: &[u64]) -> Mint {
        let files = sizes.iter().map(|size| {
            Ok(MintFile {
                id: self.id(),
                name: "a.bin".into(),
                size: *size,
                exact_size: true,
                sending: Sending::Planned,
                media_type: None,
                sha256: None,
                metadata: serde_json::Map::new(),
            })
        });
        Mint {
            tenant: tenant(),
            slot: slot(name),
            owner: owner(who),
            reference: reference(r),
            policy: self.slots[&slot(name)].clone(),
            max_open_tickets: CAP,
            files: files.collect(),
            dialect: None,
            idempotency: None,
        }
    }

    fn do_mint(&mut self, request: &Mint) -> Minted {
        self.write(&request.footprint(), |books, now| mint(books, now, request))
            .expect("a mint's footprint never goes stale")
    }

    fn mint_as(&mut self, request: &Mint) -> Vec<Result<Id, Code>> {
        match self.do_mint(request) {
            Minted::Done { files, .. } => files
                .into_iter()
                .map(|file| file.map(|t| t.id).map_err(|p| p.code))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    fn mint(&mut self, who: &str, r: &str, sizes: &[u64]) -> Vec<Result<Id, Code>> {
        let request = self.request("s", who, r, sizes);
        self.mint_as(&request)
    }

    fn mint_one(&mut self, who: &str, r: &str, size: u64) -> Id {
        self.mint(who, r, &[size])[0].expect("there is room")
    }

    fn begin(&mut self, id: Id) -> Began {
        let row = Footprint {
            tickets: vec![id],
            ..Footprint::default()
        };
        self.write(&row, |books, now| begin(books, now, id))
    }

    fn attempt(&mut self, id: Id) -> Ticket {
        match self.begin(id) {
            Began::Yours(ticket) => *ticket,
            other => panic!("{other:?}"),
        }
    }

    /// Reads as few of the files that may have to give way as are enough.
    fn commit(&mut self, attempt: &Ticket) -> Committed {
        let request = commit_of(attempt);
        let all = u32::try_from(self.files.len()).expect("few");
        (1..=all + 1)
            .find_map(|oldest| {
                self.write(&request.footprint(oldest), |books, now| {
                    commit(books, now, &request).ok()
                })
            })
            .expect("all files are enough")
    }

    fn cancel(&mut self, id: Id) -> Ended {
        let footprint = self.tickets[&id].footprint();
        self.write(&footprint, |books, now| cancel(books, now, id))
    }

    fn reject(&mut self, attempt: &Ticket) -> Ended {
        self.write(&attempt.footprint(), |books, now| {
            reject(books, now, attempt.id, attempt.epoch, &refused())
        })
    }

    fn expire(&mut self, attempt: &Ticket) -> Ended {
        self.write(&attempt.footprint(), |books, now| {
            expire(books, now, attempt.id, attempt.epoch)
        })
    }

    /// From mint to a committed file.
    fn upload(&mut self, who: &str, r: &str, size: u64) -> Id {
        let id = self.mint_one(who, r, size);
        let attempt = self.attempt(id);
        let done = self.commit(&attempt);
        assert!(matches!(done, Committed::Done(..)), "{done:?}");
        // Files are told apart by their moment.
        self.now = Timestamp::from_millis(self.now.millis() + 1);
        id
    }

    fn claim_request(&self, who: &str, r: &str, ids: &[Id]) -> Claim {
        let slots: BTreeSet<&SlotName> = ids
            .iter()
            .filter_map(|id| self.files.get(id))
            .map(|f| &f.slot)
            .collect();
        Claim {
            tenant: tenant(),
            owner: owner(who),
            reference: reference(r),
            ids: ids.to_vec(),
            slots: slots
                .into_iter()
                .map(|s| {
                    let bound = self.slots.get(s).map(|p| (p.max_entries, p.on_full));
                    (s.clone(), bound)
                })
                .collect(),
        }
    }

    fn claim(&mut self, who: &str, r: &str, ids: &[Id]) -> Result<Vec<bool>, Code> {
        let request = self.claim_request(who, r, ids);
        self.write(&request.footprint(), |books, now| {
            claim(books, now, &request)
        })
        .expect("a claim's footprint never goes stale")
        .map(|files| files.iter().map(|f| f.now).collect())
        .map_err(|problem| problem.code)
    }

    fn delete(&mut self, id: Id) -> Result<Option<File>, Stale> {
        let footprint = self.files[&id].footprint();
        self.write(&footprint, |books, now| delete(books, now, id))
    }

    fn end_unclaimed(&mut self, id: Id) -> Result<Option<File>, Stale> {
        let footprint = self.files[&id].footprint();
        self.write(&footprint, |books, now| end_unclaimed(books, now, id))
    }

    // ---- what is true -----------------------------------------------------------------

    fn state(&self, id: Id) -> State {
        self.tickets[&id].state
    }

    fn is_live(&self, id: Id) -> bool {
        self.files.get(&id).is_some_and(File::is_live)
    }

    fn kinds(&self, id: Id) -> Vec<&'static str> {
        let of_id = self.events.iter().filter(|e| e.subject == id);
        of_id.map(|e| e.kind).collect()
    }

    fn used(&self, who: &str, r: &str) -> Usage {
        let r = reference(r);
        let account = Account::reference(&tenant(), &slot("s"), &owner(who), r.as_ref());
        self.usage.get(&account).copied().unwrap_or_default()
    }
}

fn commit_of(attempt: &Ticket) -> Commit {
    Commit {
        ticket: attempt.clone(),
        file: File {
            id: attempt.id,
            tenant: attempt.tenant.clone(),
            slot: attempt.slot.clone(),
            owner: attempt.owner.clone(),
            reference: attempt.reference.clone(),
            key: crate::domain::key::final_key(
                &attempt.tenant,
                &attempt.slot,
                attempt.id,
                attempt.epoch,
                None,
            ),
            name: attempt.name.clone(),
            size: attempt.size,
            media_type: "application/octet-stream".into(),
            etag: "e".into(),
            sha256: None,
            width: None,
            height: None,
            metadata: serde_json::Map::new(),
            disposition: Disposition::Attachment,
            warnings: Vec::new(),
            committed_at: Timestamp::default(),
            claimed_at: None,
            unclaimed_at: None,
            ended_at: None,
            end_reason: None,
            purge_at: None,
            event_seq: 0,
        },
    }
}
