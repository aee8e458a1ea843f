//! Who suffers what at the store. Each history's injuries meet its own calls only: a staging
//! key is a ticket of its, a final key begins with its tenant.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use putgate::devstore::{Fault, Faults, Op, Turn};
use putgate::domain::name::Id;
use tokio::sync::watch;

use crate::script::{Harm, Injury};

/// Where a history's calls are looked up.
#[derive(Debug, Default)]
struct Patient {
    injuries: VecDeque<Injury>,
    hits: Vec<(Op, Harm)>,
}

/// A broker's death, at a store call to come.
struct Death {
    left: u32,
    after: bool,
    tell: watch::Sender<bool>,
    over: watch::Receiver<bool>,
}

#[derive(Default)]
struct Ward {
    patients: HashMap<String, Patient>,
    tenants: HashMap<Id, String>,
    /// Until which move of the clock a call about a ticket is held.
    held: HashMap<Id, u64>,
    death: Option<Death>,
    /// The operations that a broker died at.
    died_at: Vec<Op>,
    healed: bool,
}

/// The world's harms; clones are the same.
#[derive(Clone)]
pub struct Harms {
    ward: Arc<Mutex<Ward>>,
    /// How often the clock has moved on.
    release: watch::Sender<u64>,
}

/// Operations whose true answer holds something that an error does not.
const TELLING: [Op; 7] = [
    Op::PutObject,
    Op::GetObject,
    Op::HeadObject,
    Op::CopyObject,
    Op::UploadPartCopy,
    Op::CreateMultipart,
    Op::CompleteMultipart,
];

/// The patient of listings, which belong to nobody.
pub const NOBODY: &str = "nobody";

impl Harms {
    pub fn new() -> Self {
        Self {
            ward: Arc::default(),
            release: watch::Sender::new(0),
        }
    }

    fn ward(&self) -> MutexGuard<'_, Ward> {
        self.ward.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn govern(&self, faults: &Faults) {
        let harms = self.clone();
        faults.govern(move |op, _, key| harms.turn(op, key));
    }

    /// From now on calls about this ticket are this tenant's.
    pub fn know(&self, ticket: Id, tenant: &str) {
        self.ward().tenants.insert(ticket, tenant.to_owned());
    }

    /// Replaces what is left of a tenant's injuries.
    pub fn injure(&self, tenant: &str, injuries: &[Injury]) {
        let mut ward = self.ward();
        let patient = ward.patients.entry(tenant.to_owned()).or_default();
        patient.injuries = injuries.iter().copied().collect();
    }

    /// Whether a call of this tenant is still to be held.
    pub fn will_hold(&self, tenant: &str) -> bool {
        let ward = self.ward();
        let patient = ward.patients.get(tenant);
        patient.is_some_and(|patient| {
            patient
                .injuries
                .iter()
                .any(|i| matches!(i.harm, Harm::Held(_)))
        })
    }

    /// Whether a call about this ticket is held now.
    pub fn holds(&self, ticket: Id) -> bool {
        let now = *self.release.borrow();
        self.ward().held.get(&ticket).is_some_and(|due| *due > now)
    }

    /// What met a tenant's calls since it was last asked.
    pub fn hits(&self, tenant: &str) -> Vec<(Op, Harm)> {
        let mut ward = self.ward();
        let patient = ward.patients.get_mut(tenant);
        patient
            .map(|patient| std::mem::take(&mut patient.hits))
            .unwrap_or_default()
    }

    /// The clock has moved on. A hold that no call has met by now is dropped: what comes next
    /// is the workers' passes, for which the clock waits before it moves again.
    pub fn release(&self) {
        for patient in self.ward().patients.values_mut() {
            let stays = |injury: &Injury| !matches!(injury.harm, Harm::Held(_));
            patient.injuries.retain(stays);
        }
        self.release.send_modify(|n| *n += 1);
    }

    /// No more harm to anybody.
    pub fn heal(&self) {
        let mut ward = self.ward();
        ward.healed = true;
        ward.patients.clear();
        ward.death = None;
        drop(ward);
        self.release.send_replace(u64::MAX);
    }

    /// A broker is to die at the `n`-th of its store calls from now. The first answer turns
    /// true then; the call goes on when the second is sent true.
    pub fn foretell(&self, n: u32, after: bool) -> (watch::Receiver<bool>, watch::Sender<bool>) {
        let (tell, told) = watch::channel(false);
        let (done, over) = watch::channel(false);
        self.ward().death = Some(Death {
            left: n,
            after,
            tell,
            over,
        });
        (told, done)
    }

    /// The operations that a broker died at so far.
    pub fn died_at(&self) -> Vec<Op> {
        self.ward().died_at.clone()
    }

    /// Takes the death back, if it has not come.
    pub fn spare(&self) {
        self.ward().death = None;
    }

    fn turn(&self, op: Op, key: &str) -> Turn {
        let mut turn = Turn::default();
        let mut ward = self.ward();
        if ward.healed {
            return turn;
        }
        let ticket = ticket_of(key);
        let tenant = match key.split_once('/') {
            Some((tenant, _)) => tenant.to_owned(),
            None => ticket
                .and_then(|id| ward.tenants.get(&id).cloned())
                .unwrap_or_else(|| NOBODY.to_owned()),
        };
        let by_a_broker = !matches!(op, Op::PutObject | Op::UploadPart);
        if by_a_broker && let Some(mut death) = ward.death.take() {
            death.left = death.left.saturating_sub(1);
            if death.left > 0 {
                ward.death = Some(death);
            } else {
                ward.died_at.push(op);
                death.tell.send_replace(true);
                let mut over = death.over;
                let wait: BoxFuture<'static, ()> = Box::pin(async move {
                    let _ = over.wait_for(|over| *over).await;
                });
                if death.after {
                    turn.after = Some(wait);
                } else {
                    turn.before = Some(wait);
                }
                return turn;
            }
        }
        let Some(patient) = ward.patients.get_mut(&tenant) else {
            return turn;
        };
        let Some(next) = patient.injuries.front_mut() else {
            return turn;
        };
        if next.after > 0 {
            next.after -= 1;
            return turn;
        }
        let harm = next.harm;
        next.times -= 1;
        if next.times == 0 {
            patient.injuries.pop_front();
        }
        patient.hits.push((op, harm));
        match harm {
            // Where no client could tell a 200 from success, nobody answers like that.
            Harm::Fault(Fault::ErrorIn200) if !TELLING.contains(&op) => {
                turn.fault = Some(Fault::ErrorBefore(500));
            }
            Harm::Fault(fault) => turn.fault = Some(fault),
            Harm::Held(turns) => {
                let mut release = self.release.subscribe();
                let due = *release.borrow() + turns;
                if let Some(ticket) = ticket {
                    let until = ward.held.entry(ticket).or_default();
                    *until = due.max(*until);
                }
                turn.before = Some(Box::pin(async move {
                    let _ = release.wait_for(|turn| *turn >= due).await;
                }));
            }
        }
        turn
    }
}

/// The ticket that a staging key or a final key belongs to.
fn ticket_of(key: &str) -> Option<Id> {
    let name = key.rsplit('/').next()?;
    Id::try_parse(name.split('.').next()?).ok()
}
