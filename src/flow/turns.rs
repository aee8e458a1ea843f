//! Turns: how many attempts run at once, who waits, and who is next.
//!
//! A tenant may use every turn while nobody else wants one. Once others wait, a tenant that
//! holds half of them is passed over, so that no tenant's flood keeps the rest.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::domain::name::{Id, Tenant};

/// How many attempts run at once: each holds at most 128 KiB of an object and one store call.
const AT_ONCE: usize = 64;
/// How many more may wait for a turn.
const WAITING: usize = 1024;

/// Whose share a turn counts in: a tenant's, or (`None`) the worker's.
pub(super) type Share = Option<Tenant>;

/// See the module's page.
pub(super) struct Turns(Mutex<State>);

struct State {
    free: usize,
    /// Numbers the places.
    last: u64,
    /// The tickets that an attempt waits for. One that runs may have lost its lease, and
    /// keeps nobody from taking the next.
    queued: HashSet<Id>,
    running: HashMap<Share, usize>,
    waiting: HashMap<Share, usize>,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    number: u64,
    id: Id,
    share: Share,
    turn: oneshot::Sender<()>,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Mutex::new(State {
            free: AT_ONCE,
            last: 0,
            queued: HashSet::new(),
            running: HashMap::new(),
            waiting: HashMap::new(),
            queue: VecDeque::new(),
        }))
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Turns")
            .field("free", &state.free)
            .field("waiting", &state.queue.len())
            .finish()
    }
}

impl Turns {
    /// A place for an attempt on `id`, at once; none when another one waits for the same, or
    /// when too many wait.
    pub(super) fn enter(self: &Arc<Self>, id: Id, share: Share) -> Option<Place> {
        let mut state = self.state();
        if state.queued.contains(&id) {
            return None;
        }
        state.last += 1;
        let number = state.last;
        let mut turn = None;
        if state.free > 0 {
            state.free -= 1;
            *state.running.entry(share.clone()).or_default() += 1;
        } else {
            let mine = state.waiting.get(&share).copied().unwrap_or(0);
            if state.queue.len() >= WAITING || mine >= WAITING / 2 {
                return None;
            }
            let (sender, receiver) = oneshot::channel();
            turn = Some(receiver);
            state.queued.insert(id);
            *state.waiting.entry(share.clone()).or_default() += 1;
            state.queue.push_back(Waiter {
                number,
                id,
                share: share.clone(),
                turn: sender,
            });
        }
        drop(state);
        Some(Place {
            turns: Arc::clone(self),
            number,
            share,
            turn,
        })
    }

    /// Whether an attempt on `id` waits here.
    pub(super) fn has_queued(&self, id: Id) -> bool {
        self.state().queued.contains(&id)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Hands a turn on: to the first whose tenant holds less than half of them, else to the
    /// first of all.
    fn next(&mut self) {
        let modest =
            |waiter: &Waiter| self.running.get(&waiter.share).copied().unwrap_or(0) < AT_ONCE / 2;
        let first = self.queue.iter().position(modest).unwrap_or(0);
        match self.queue.remove(first) {
            None => self.free += 1,
            Some(waiter) => {
                self.leave(&waiter);
                *self.running.entry(waiter.share).or_default() += 1;
                // One that has gone away gives its turn back as it leaves its place.
                let _ = waiter.turn.send(());
            }
        }
    }

    fn leave(&mut self, waiter: &Waiter) {
        self.queued.remove(&waiter.id);
        less(&mut self.waiting, &waiter.share);
    }
}

fn less(counts: &mut HashMap<Share, usize>, share: &Share) {
    if let Some(count) = counts.get_mut(share) {
        *count -= 1;
        if *count == 0 {
            counts.remove(share);
        }
    }
}

/// An attempt's place: in the queue, then its turn. Dropping it makes room.
#[derive(Debug)]
pub(super) struct Place {
    turns: Arc<Turns>,
    number: u64,
    share: Share,
    turn: Option<oneshot::Receiver<()>>,
}

impl Place {
    /// Returns when it is this one's turn.
    pub(super) async fn turn(&mut self) {
        if let Some(turn) = self.turn.take() {
            // The sender is in the queue until it sends.
            let _ = turn.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        let queued = state.queue.iter().position(|w| w.number == self.number);
        if let Some(waiter) = queued.and_then(|at| state.queue.remove(at)) {
            state.leave(&waiter);
        } else {
            less(&mut state.running, &self.share);
            state.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Id {
        Id::from_u128(n)
    }

    fn tenant(name: &str) -> Tenant {
        Tenant::parse(name).unwrap()
    }

    fn has_turn(turns: &Turns, n: u128) -> bool {
        !turns.has_queued(id(n))
    }

    #[test]
    fn one_tenant_may_use_every_turn_until_another_waits() {
        let turns = Arc::new(Turns::default());
        let mut flood: VecDeque<Place> = (0..100)
            .map(|n| turns.enter(id(n), Some(tenant("loud"))).unwrap())
            .collect();
        assert!(has_turn(&turns, 63) && !has_turn(&turns, 64));
        let quiet = turns.enter(id(1000), Some(tenant("quiet"))).unwrap();
        assert!(!has_turn(&turns, 1000));
        drop(flood.pop_front());
        assert!(
            has_turn(&turns, 1000),
            "it is next, though 36 came before it"
        );
        drop(flood.pop_front());
        assert!(has_turn(&turns, 64), "no turn stays unused");
        drop((quiet, flood));
        let state = turns.state();
        assert_eq!((state.free, state.queued.len()), (AT_ONCE, 0));
        assert!(state.running.is_empty() && state.waiting.is_empty());
    }

    #[test]
    fn a_ticket_is_queued_for_once_and_the_queue_has_an_end() {
        let turns = Arc::new(Turns::default());
        let running: Vec<Place> = (0..64)
            .map(|n| turns.enter(id(n), Some(tenant("loud"))).unwrap())
            .collect();
        let again = turns.enter(id(0), Some(tenant("loud")));
        assert!(again.is_some(), "its lease decides, not the queue");
        assert!(turns.enter(id(0), Some(tenant("loud"))).is_none());
        drop(again);
        let waiting: Vec<Place> = (64..4000)
            .filter_map(|n| turns.enter(id(n), Some(tenant("loud"))))
            .collect();
        assert_eq!(
            waiting.len(),
            WAITING / 2,
            "half of the queue for one tenant"
        );
        let others: Vec<Place> = (5000..9000)
            .filter_map(|n| turns.enter(id(n), Some(tenant(&format!("t{n}")))))
            .collect();
        assert_eq!(others.len(), WAITING / 2);
        drop(waiting);
        assert!(
            turns.enter(id(64), Some(tenant("loud"))).is_some(),
            "room again"
        );
        drop((running, others));
        assert_eq!(turns.state().free, AT_ONCE);
    }

    #[tokio::test]
    async fn a_turn_given_to_somebody_who_left_goes_on() {
        let turns = Arc::new(Turns::default());
        let mut running: Vec<Place> = (0..64).map(|n| turns.enter(id(n), None).unwrap()).collect();
        let gone = turns.enter(id(64), None).unwrap();
        let mut next = turns.enter(id(65), None).unwrap();
        drop(running.pop());
        assert!(has_turn(&turns, 64));
        drop(gone);
        next.turn().await;
        assert!(has_turn(&turns, 65));
    }
}
