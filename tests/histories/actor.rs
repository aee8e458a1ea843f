//! Acts a history out, as its clients would, and lets the model judge every step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use putgate::db::FileFilter;
use putgate::devstore::{Fault, Op};
use putgate::domain::caller::{Caller, Scope, Scopes};
use putgate::domain::dialect::Sending;
use putgate::domain::name::{Id, Owner, Ref, SlotName, Tenant};
use putgate::domain::problem::Problem;
use putgate::flow::complete::Completed;
use putgate::flow::mint::{Request, Wish};
use putgate::flow::sign::Transfer;
use putgate::flow::{self, App};
use putgate::store::{Bucket, Presigned};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::model::{Did, Model, Sight, Told};
use crate::process::fetch;
use crate::random::Random;
use crate::rules::{OWNERS, PARTS, SLOTS, declared, part_bytes, rule_of};
use crate::script::{Content, Deed, Harm, Step, Way};
use crate::watcher::TicketSeen;
use crate::world::{Died, World};

/// What is answered when a service was away. It says nothing about the effect.
const AWAY: [&str; 3] = [
    "storage-unavailable",
    "database-unavailable",
    "storage-full",
];

/// How long a call that is to be held is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a completion waits for its verdict, in seconds.
const LONG: u32 = 30;
/// How long when there is none to come, mostly: a wait is by the machine's clock, and all
/// others of the round wait with it.
const NOT_AT_ALL: u32 = 0;
const BRIEFLY: u32 = 1;

/// A call that had no answer, and nothing went wrong.
pub const LATE: &str = "no answer for no reason";

#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Actor {
    world: Arc<World>,
    pub tenant: String,
    model: Model,
    /// Tickets that the clients know of, with slot and owner, oldest first.
    known: Mutex<Vec<(Id, usize, usize)>>,
    pending: Mutex<Vec<JoinHandle<Result<(), Died>>>>,
    /// Which broker the next call goes to.
    chance: Mutex<Random>,
    keys: AtomicUsize,
    /// How many calls a broker's death may have met.
    deaths: AtomicU32,
    /// The workers run while this one acts.
    busy: bool,
    /// Something from an earlier step may still be on its way.
    unsettled: bool,
    content: bool,
    hit: bool,
    /// How many calls had no answer without a reason.
    late: u64,
    /// The store's operations that harm came to.
    harmed: Vec<Op>,
}

/// The store denied something that it has.
fn denies(hits: &[(Op, Harm)]) -> bool {
    hits.iter()
        .any(|(_, harm)| *harm == Harm::Fault(Fault::ErrorBefore(404)))
}

impl Actor {
    pub fn new(world: &Arc<World>, tenant: String, seed: u64, busy: bool) -> Self {
        Self {
            world: Arc::clone(world),
            tenant,
            model: Model::default(),
            known: Mutex::default(),
            pending: Mutex::default(),
            chance: Mutex::new(Random::new(seed)),
            keys: AtomicUsize::new(0),
            deaths: AtomicU32::new(0),
            busy,
            unsettled: false,
            content: false,
            hit: false,
            late: 0,
            harmed: Vec::new(),
        }
    }

    /// One step, and what the model says of it.
    pub async fn step(&mut self, step: &Step) -> Result<(), String> {
        self.world.harms.injure(&self.tenant, &step.injuries);
        self.go_on_with(step).await
    }

    /// The same; injuries of former steps that met nothing yet go on waiting.
    pub async fn go_on(&mut self, step: &Step) -> Result<(), String> {
        if !step.injuries.is_empty() {
            self.world.harms.injure(&self.tenant, &step.injuries);
        }
        self.go_on_with(step).await
    }

    /// Whether the last step was answered as its client wants.
    pub fn is_content(&self) -> bool {
        self.content
    }

    /// Whether any harm has come to it.
    pub fn was_hit(&self) -> bool {
        self.hit
    }

    /// What has come about, a phrase each.
    pub fn tally(&self) -> Vec<String> {
        let late = (0..self.late).map(|_| LATE.to_owned());
        let harmed = self.harmed.iter().map(|op| format!("harm at {op:?}"));
        let tally = self.model.tally().into_iter();
        tally.chain(late).chain(harmed).collect()
    }

    /// The states of its tickets, oldest first, and how many files live.
    pub fn standing(&self) -> (Vec<String>, usize) {
        let seen = self.model.before();
        let states = seen.tickets.values().map(|ticket| ticket.state.clone());
        (states.collect(), seen.files.len())
    }

    async fn go_on_with(&mut self, step: &Step) -> Result<(), String> {
        let did = self.act(&step.deed).await;
        self.world.steps.send_modify(|steps| *steps += 1);
        let last = did.last().is_some_and(|act| *act != Did::Sign);
        self.content = last && did.iter().all(Did::is_over);
        let raced = matches!(step.deed, Deed::Together(_));
        self.judge(&did, raced)
            .await
            .map_err(|why| format!("{why}\n  after {step:?}\n  which did {did:?}"))
    }

    /// The world has turned: the clock moved, workers ran, brokers died.
    pub async fn turned(&mut self) -> Result<(), String> {
        self.finish(false).await;
        self.judge(&[Did::Turn], true)
            .await
            .map_err(|why| format!("{why}\n  at the turn of a round"))
    }

    /// Waits for what nobody waits for; `all`: until it has ended.
    pub async fn finish(&self, all: bool) {
        let pending = std::mem::take(&mut *self.pending());
        let (done, rest): (Vec<_>, Vec<_>) = pending
            .into_iter()
            .partition(|task| all || task.is_finished());
        self.pending().extend(rest);
        for task in done {
            // A death is no news here.
            let _ = task.await.unwrap();
        }
    }

    async fn judge(&mut self, did: &[Did], raced: bool) -> Result<(), String> {
        self.world.whole().await;
        // Before the look: what ends after it shows in the next one only.
        self.finish(false).await;
        let waiting = !self.pending().is_empty();
        let seen = self.world.watch.seen(&self.tenant).await;
        for id in seen.tickets.keys() {
            self.world.harms.know(*id, &self.tenant);
        }
        let hits = self.world.harms.hits(&self.tenant);
        self.hit |= !hits.is_empty();
        self.harmed.extend(hits.iter().map(|(op, _)| *op));
        let cut_off = self.deaths.swap(0, Ordering::SeqCst) > 0;
        let lingering = self.busy || self.unsettled || waiting || raced || cut_off;
        let sight = Sight {
            now: self.world.now().millis(),
            clear: hits.is_empty() && !lingering,
            lingering,
            denied: denies(&hits),
        };
        // What follows a death may still be the dead one's doing, and what a cut-off client
        // or a notification began may end any time: a lease says so, however slow the machine,
        // and also one that is over while nobody has taken the ticket up.
        let held = |ticket: &TicketSeen| ticket.lease_until > 0;
        let held = seen.tickets.values().any(held);
        self.unsettled = waiting || cut_off || held || did.iter().any(still_working);
        // On a machine that is too slow a call may run out of time with nothing wrong; many
        // of those would be.
        let late = sight.clear && did.iter().any(unanswered);
        self.late += u64::from(late);
        let sight = Sight {
            clear: sight.clear && !late,
            ..sight
        };
        self.model.step(did, sight, seen)
    }

    /// Everything is over: what is left has to be lawful and whole.
    pub async fn end(&mut self) -> Result<(), String> {
        self.judge(&[Did::Turn], true).await?;
        let seen = self.model.before().clone();
        for (id, ticket) in &seen.tickets {
            if ticket.state == "open" {
                return Err(format!("{id} is open for ever: {ticket:?}"));
            }
        }
        for (id, file) in &seen.files {
            if !file.ended.is_empty() {
                return Err(format!("the tombstone of {id} stays: {file:?}"));
            }
            let rule = rule_of(&file.slot);
            if rule.unclaimed.is_some() && !file.claimed {
                return Err(format!("nobody claimed {id}, and it lives: {file:?}"));
            }
            let owner = OWNERS.iter().position(|o| *o == file.owner).unwrap_or(0);
            let got = self.fetch(*id, owner).await;
            let Did::Fetch {
                told: Told::Done(bytes),
                ..
            } = &got
            else {
                return Err(format!("law 1: a live file cannot be read: {got:?}"));
            };
            let sight = Sight {
                now: 0,
                clear: true,
                lingering: false,
                denied: false,
            };
            self.model.served(*id, bytes, sight, &seen)?;
        }
        Ok(())
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<Result<(), Died>>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Vec<(Id, usize, usize)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broker(&self) -> usize {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        chance.index(self.world.brokers())
    }

    /// True once in ten times.
    fn in_ten(&self) -> bool {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        chance.chance(10)
    }

    /// The `back`-th ticket from the last.
    fn ticket(&self, back: usize) -> Option<(Id, usize, usize)> {
        let known = self.known();
        let last = known.len().checked_sub(1)?;
        known.get(last - back.min(last)).copied()
    }

    fn caller(&self, owner: usize) -> Caller {
        let scopes = [Scope::Upload, Scope::Read, Scope::Delete];
        Caller {
            tenant: Tenant::parse(self.tenant.as_str()).unwrap(),
            owner: Owner::parse(OWNERS[owner]).unwrap(),
            scopes: scopes.into_iter().fold(Scopes::default(), Scopes::with),
            slots: None,
            refs: Some(vec![Ref::parse("post").unwrap()]),
            limits: BTreeMap::new(),
        }
    }

    /// Runs a flow; what the client was told.
    async fn told<T, F, Fut>(&self, flow: F) -> Told<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<App>) -> Fut,
        Fut: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        self.heard(self.world.run(self.broker(), flow)).await
    }

    /// A completion. Its client hangs up when the verdict cannot come before the clock moves,
    /// which may turn out while it waits: another broker dies, or another attempt is held.
    async fn complete(&self, caller: Caller, id: Id, wait: u32) -> Told<String> {
        let flow = async move |app: Arc<App>| {
            let (Completed::Committed(ticket, _) | Completed::Working(ticket)) =
                flow::complete::complete(&app, &caller, id, wait).await?;
            Ok(ticket.state.as_str().to_owned())
        };
        let gone = self.world.stuck(id);
        let answer = self.world.run_unless(self.broker(), flow, gone);
        let unheard = || Ok("open".to_owned());
        let answer = async { Ok(answer.await?.unwrap_or_else(unheard)) };
        self.heard(answer).await
    }

    /// What the client was told.
    async fn heard<T>(
        &self,
        answer: impl Future<Output = Result<Result<T, Problem>, Died>>,
    ) -> Told<T> {
        let dead = || self.world.deaths.load(Ordering::SeqCst);
        let before = dead();
        let answer = answer.await;
        let died = dead() > before;
        if died {
            self.deaths.fetch_add(1, Ordering::SeqCst);
        }
        match answer {
            Ok(Ok(done)) => Told::Done(done),
            Ok(Err(problem)) => match problem.code.as_str() {
                code if AWAY.contains(&code) => Told::Nothing,
                // The death rattle of a process: its parts end one by one.
                "internal" if died => Told::Nothing,
                code => Told::Refused(code.to_owned()),
            },
            Err(Died) => Told::Nothing,
        }
    }

    async fn act(&self, deed: &Deed) -> Vec<Did> {
        if let Deed::Together(deeds) = deed {
            let all = deeds.iter().map(|deed| self.act_alone(deed));
            return join_all(all).await.concat();
        }
        self.act_alone(deed).await
    }

    async fn act_alone(&self, deed: &Deed) -> Vec<Did> {
        match deed {
            Deed::Mint {
                slot,
                owner,
                with_ref,
                count,
                twice,
            } => vec![self.mint(*slot, *owner, *with_ref, *count, *twice).await],
            Deed::List { slot, owner } => vec![self.list(*slot, *owner).await],
            Deed::Together(_) => Vec::new(),
            Deed::Put {
                ticket,
                content,
                way,
            } => match self.ticket(*ticket) {
                Some((id, slot, owner)) if SLOTS[slot].parts => {
                    self.put_parts(id, owner, 0b111, 0).await
                }
                Some((id, _, owner)) => self.put(id, owner, *content, *way).await,
                None => Vec::new(),
            },
            Deed::PutParts {
                ticket,
                which,
                fill,
            } => match self.ticket(*ticket) {
                Some((id, slot, owner)) if SLOTS[slot].parts => {
                    self.put_parts(id, owner, *which, *fill).await
                }
                Some((id, _, owner)) => self.put(id, owner, Content::Good(1), Way::Url).await,
                None => Vec::new(),
            },
            Deed::Complete { ticket }
            | Deed::Notify { ticket, .. }
            | Deed::Cancel { ticket }
            | Deed::Delete { ticket }
            | Deed::Claim { ticket, .. }
            | Deed::Look { ticket }
            | Deed::Fetch { ticket } => match self.ticket(*ticket) {
                Some((id, _, owner)) => vec![self.about(deed, id, owner).await],
                None => Vec::new(),
            },
        }
    }

    /// What is done to a ticket, or to the file it has become.
    async fn about(&self, deed: &Deed, id: Id, owner: usize) -> Did {
        let caller = self.caller(owner);
        match deed {
            Deed::Notify { times, .. } => {
                let mut begun = Vec::new();
                for _ in 0..*times {
                    let (world, broker) = (Arc::clone(&self.world), self.broker());
                    begun.push(tokio::spawn(
                        async move { notify(&world, broker, id).await },
                    ));
                }
                self.until_held(&begun).await;
                self.pending().extend(begun);
                Did::Notify { id }
            }
            Deed::Cancel { .. } => {
                let told = self
                    .told(|app| async move { flow::cancel::cancel(&app, &caller, id).await })
                    .await;
                Did::Cancel { id, told }
            }
            Deed::Delete { .. } => {
                let told = self
                    .told(|app| async move { flow::delete::delete(&app, &caller, id).await })
                    .await;
                Did::Delete { id, told }
            }
            Deed::Claim { more, with_ref, .. } => self.claim(id, owner, *more, *with_ref).await,
            Deed::Look { .. } => {
                let told = self
                    .told(|app| async move {
                        let (ticket, _) = flow::look::ticket(&app, &caller, id, 0).await?;
                        Ok(ticket.state.as_str().to_owned())
                    })
                    .await;
                Did::Look { id, told }
            }
            Deed::Fetch { .. } => self.fetch(id, owner).await,
            _ => {
                let wait = match (self.world.is_stuck(id).await, self.in_ten()) {
                    (false, _) => LONG,
                    (true, true) => BRIEFLY,
                    (true, false) => NOT_AT_ALL,
                };
                let told = self.complete(caller, id, wait).await;
                Did::Complete { id, told }
            }
        }
    }

    /// When a call is to be held, what comes next comes while it is.
    async fn until_held(&self, begun: &[JoinHandle<Result<(), Died>>]) {
        let until = tokio::time::Instant::now() + PATIENCE;
        while self.world.harms.will_hold(&self.tenant)
            && tokio::time::Instant::now() < until
            && begun.iter().any(|task| !task.is_finished())
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn mint(
        &self,
        slot: usize,
        owner: usize,
        with_ref: bool,
        count: usize,
        twice: bool,
    ) -> Did {
        let rule = SLOTS[slot];
        let wish = Wish {
            name: "holiday.png".into(),
            size: Some(i64::try_from(declared(rule)).unwrap()),
            media_type: None,
            sha256: None,
            metadata: serde_json::Map::new(),
        };
        let key = self.keys.fetch_add(1, Ordering::SeqCst);
        let request = Request {
            slot: SlotName::parse(rule.name).unwrap(),
            reference: with_ref.then(|| Ref::parse("post").unwrap()),
            owner: None,
            files: vec![wish; count],
            dialect: None,
            sending: Sending::Planned,
            idempotency: twice.then(|| (format!("key-{key}"), b"the same".to_vec())),
        };
        let mut told = Told::Nothing;
        for _ in 0..=usize::from(twice) {
            let (caller, request) = (self.caller(owner), request.clone());
            let again = self
                .told(|app| async move {
                    let answer = flow::mint::mint(&app, &caller, request).await?;
                    let file = |file: Result<flow::mint::Ready, Problem>| match file {
                        Ok(ready) => Ok(ready.ticket.id),
                        Err(problem) => Err(problem.code.as_str().to_owned()),
                    };
                    Ok(answer.files.into_iter().map(file).collect::<Vec<_>>())
                })
                .await;
            if again != Told::Nothing {
                assert!(
                    told == Told::Nothing || told == again,
                    "one key, two outcomes: {told:?} and {again:?}"
                );
                told = again;
            }
        }
        if let Told::Done(files) = &told {
            for id in files.iter().flatten() {
                self.world.harms.know(*id, &self.tenant);
                self.known().push((*id, slot, owner));
            }
        }
        Did::Mint {
            slot: rule.name,
            owner: OWNERS[owner],
            reference: if with_ref { "post" } else { "" },
            count,
            told,
        }
    }

    async fn put(&self, id: Id, owner: usize, content: Content, way: Way) -> Vec<Did> {
        let bytes = content.bytes();
        if way == Way::Store {
            let store = &self.world.store;
            let key = id.to_string();
            match content.forged_etag() {
                Some(etag) => store.write_twin("staging", &key, &bytes, "image/png", &etag),
                None => store.write("staging", &key, &bytes, "image/png"),
            }
            .unwrap();
            let told = Told::Done(());
            return vec![Did::Put { id, content, told }];
        }
        let caller = self.caller(owner);
        let signed = self
            .told(|app| async move { Ok(flow::sign::sign(&app, &caller, id, &[]).await?.1) })
            .await;
        let Told::Done(Transfer::Put(signed)) = signed else {
            return vec![Did::Sign];
        };
        let told = send(&signed, &bytes).await;
        vec![Did::Sign, Did::Put { id, content, told }]
    }

    async fn put_parts(&self, id: Id, owner: usize, which: u8, fill: u8) -> Vec<Did> {
        let caller = self.caller(owner);
        let chosen: Vec<u32> = (1..)
            .take(PARTS)
            .filter(|number| which >> (number - 1) & 1 == 1)
            .collect();
        let signed = self
            .told(|app| async move { Ok(flow::sign::sign(&app, &caller, id, &chosen).await?.1) })
            .await;
        let Told::Done(Transfer::Multipart { parts, .. }) = signed else {
            return vec![Did::Sign];
        };
        let mut did = vec![Did::Sign];
        for (number, _, url) in parts {
            let number = number as usize - 1;
            let told = send(&url, &part_bytes(number, fill)).await;
            did.push(Did::PutPart {
                id,
                number,
                fill,
                told,
            });
        }
        did
    }

    async fn claim(&self, id: Id, owner: usize, more: usize, with_ref: bool) -> Did {
        let mut ids: BTreeSet<Id> = [id].into();
        for (other, _, of) in self.known().iter().rev().take(more + 1) {
            if *of == owner {
                ids.insert(*other);
            }
        }
        let ids: Vec<Id> = ids.into_iter().collect();
        let caller = Caller {
            scopes: Scopes::default().with(Scope::Manage),
            ..self.caller(owner)
        };
        let (asked, who) = (ids.clone(), caller.owner.clone());
        let reference = with_ref.then(|| Ref::parse("post").unwrap());
        let told = self
            .told(|app| async move {
                flow::claim::claim(&app, &caller, who, reference, asked).await?;
                Ok(())
            })
            .await;
        Did::Claim {
            owner: OWNERS[owner],
            ids,
            reference: if with_ref { "post" } else { "" },
            told,
        }
    }

    async fn list(&self, slot: usize, owner: usize) -> Did {
        let caller = self.caller(owner);
        let filter = FileFilter {
            tenant: caller.tenant.clone(),
            owner: Some(caller.owner.clone()),
            slots: Some(vec![SlotName::parse(SLOTS[slot].name).unwrap()]),
            reference: None,
            after: None,
        };
        let told = self
            .told(|app| async move {
                let page = flow::look::files(&app, &caller, filter, 100).await?;
                Ok(page.rows.into_iter().map(|file| file.id).collect())
            })
            .await;
        Did::List {
            slot: SLOTS[slot].name,
            owner: OWNERS[owner],
            told,
        }
    }

    /// A download as a browser does it: look, then follow the URL.
    async fn fetch(&self, id: Id, owner: usize) -> Did {
        let caller = self.caller(owner);
        let url = self
            .told(|app| async move {
                let file = flow::look::own_file(&app, &caller, id).await?;
                flow::look::download(&app, &file)
            })
            .await;
        let told = match url {
            Told::Done(url) => match fetch("GET", url.url.expose(), &BTreeMap::new(), b"").await {
                // A page without an ETag is no object.
                Ok(reply) if reply.header("etag").is_empty() && reply.status < 400 => Told::Nothing,
                Ok(reply) if reply.status == 200 => Told::Done(reply.bytes),
                Ok(reply) if reply.status < 500 => Told::Refused(reply.status.to_string()),
                _ => Told::Nothing,
            },
            Told::Refused(code) => Told::Refused(code),
            Told::Nothing => Told::Nothing,
        };
        Did::Fetch { id, told }
    }
}

/// A store's event about a ticket has arrived at a broker, which works on it to the end: the
/// next step is to find one state.
async fn notify(world: &World, broker: usize, id: Id) -> Result<(), Died> {
    world
        .run(broker, move |app| async move {
            let bucket = app.store.name(Bucket::Staging).to_owned();
            let event = json!({"Records": [{"eventName": "s3:ObjectCreated:Put", "s3": {
                "bucket": {"name": bucket}, "object": {"key": id.to_string(), "eTag": "0"}}}]});
            for id in flow::notify::tickets_of(&event, &bucket) {
                flow::attempt(&app, id).await;
            }
        })
        .await
}

/// A PUT by its URL. Only a client error says for sure that nothing was written.
async fn send(signed: &Presigned, bytes: &[u8]) -> Told<()> {
    let headers: BTreeMap<String, String> = signed.headers.iter().cloned().collect();
    match fetch("PUT", signed.url.expose(), &headers, bytes).await {
        Ok(reply) if reply.status == 200 && reply.bytes.is_empty() => Told::Done(()),
        Ok(reply) if (400..500).contains(&reply.status) => Told::Refused(reply.status.to_string()),
        _ => Told::Nothing,
    }
}

/// The client went before the verdict came.
fn still_working(act: &Did) -> bool {
    matches!(act, Did::Complete { told: Told::Done(state), .. } if state == "open")
}

fn unanswered(act: &Did) -> bool {
    match act {
        Did::Mint { told, .. } => *told == Told::Nothing,
        Did::Complete { told, .. } | Did::Look { told, .. } => *told == Told::Nothing,
        Did::Cancel { told, .. } | Did::Delete { told, .. } | Did::Claim { told, .. } => {
            *told == Told::Nothing
        }
        _ => false,
    }
}
