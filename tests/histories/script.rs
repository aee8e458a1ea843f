//! What a history will do, decided by its seed alone.

use putgate::devstore::Fault;

use crate::random::Random;
use crate::rules::{OWNERS, SLOTS};

/// What somebody puts under a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// A picture, one of many of the same length.
    Good(u16),
    /// A page with a script, as long as a picture.
    Liar,
    /// The liar under the `ETag` of that picture: what an MD5 twin is.
    TwinOf(u16),
    /// A picture without its last byte.
    Short(u16),
}

/// How it gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a URL that the broker signs for it now.
    Url,
    /// By an old URL, late, or on a store that checks no length.
    Store,
}

/// One act. Tickets are counted back from the last that the client knows of.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    Mint {
        slot: usize,
        owner: usize,
        with_ref: bool,
        count: usize,
        /// Under an idempotency key, and sent twice.
        twice: bool,
    },
    Put {
        ticket: usize,
        content: Content,
        way: Way,
    },
    /// Some of a multipart ticket's parts: a bit each.
    PutParts {
        ticket: usize,
        which: u8,
        fill: u8,
    },
    Complete {
        ticket: usize,
    },
    /// The store's events arrive, and nobody waits for what comes of it.
    Notify {
        ticket: usize,
        times: usize,
    },
    Cancel {
        ticket: usize,
    },
    Delete {
        ticket: usize,
    },
    Claim {
        ticket: usize,
        more: usize,
        with_ref: bool,
    },
    Look {
        ticket: usize,
    },
    List {
        slot: usize,
        owner: usize,
    },
    /// Downloads what a reader would get.
    Fetch {
        ticket: usize,
    },
    Together(Vec<Deed>),
}

/// What goes wrong with a store call made for this history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Harm {
    Fault(Fault),
    /// The call waits until the clock has moved on this often: the attempt it was sent for
    /// is over by then, and after the second time another one is too.
    Held(u64),
}

/// A harm, after so many calls without one, to so many calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Injury {
    pub after: u32,
    pub harm: Harm,
    pub times: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub deed: Deed,
    pub injuries: Vec<Injury>,
}

/// What happens to the whole world at the end of a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// How far the clock moves, in seconds.
    pub advance: u32,
    /// How many passes each worker makes.
    pub passes: usize,
    /// What goes wrong with the listings of those passes.
    pub injuries: Vec<Injury>,
    /// A broker dies at its so-manieth store call of the round, after or before its effect.
    pub death: Option<(u32, bool)>,
}

/// What a world does beside its histories.
#[derive(Clone, Debug)]
pub struct Course {
    pub turns: Vec<Turn>,
    /// Whether the workers also run while the histories do.
    pub busy: bool,
}

pub const ROUNDS: usize = 4;

/// The world's part of a seed.
pub fn course(seed: u64) -> Course {
    let mut chance = Random::branch(seed, u64::MAX);
    let busy = chance.chance(30);
    let turns = (0..ROUNDS)
        .map(|_| Turn {
            advance: chance.pick(&[1, 5, 31, 31, 61, 61, 400, 1000, 3700, 87_000]),
            passes: chance.pick(&[0, 1, 1, 2]),
            injuries: if chance.chance(30) {
                injuries(&mut chance, false)
            } else {
                Vec::new()
            },
            death: chance
                .chance(50)
                .then(|| (1 + chance.below(400), chance.chance(50))),
        })
        .collect();
    Course { turns, busy }
}

/// The `n`-th history of a seed: its rounds, each a list of steps.
pub fn history(seed: u64, n: u64) -> Vec<Vec<Step>> {
    let mut chance = Random::branch(seed, n);
    // Some live in a calm world, where the model knows every answer.
    let harms = chance.pick(&[0, 10, 25, 50]);
    let mut overtaken = false;
    (0..ROUNDS)
        .map(|round| {
            let mut steps = Vec::new();
            if std::mem::take(&mut overtaken) {
                steps.push(overtake());
            }
            for _ in 0..3 + chance.index(3) {
                if chance.chance(4) {
                    steps.extend(switch(&mut chance));
                } else if steps.is_empty() && round == 0 || chance.chance(20) {
                    for deed in upload(&mut chance) {
                        steps.push(step(&mut chance, deed, harms));
                    }
                } else {
                    let deed = any(&mut chance);
                    steps.push(step(&mut chance, deed, harms));
                }
            }
            if round + 2 < ROUNDS && chance.chance(8) {
                steps.extend(linger(&mut chance));
                overtaken = true;
            }
            steps
        })
        .collect()
}

fn step(chance: &mut Random, deed: Deed, harms: u32) -> Step {
    let held = matches!(deed, Deed::Notify { .. });
    let injuries = if chance.chance(harms) {
        injuries(chance, held)
    } else {
        Vec::new()
    };
    Step { deed, injuries }
}

/// What most clients do: pick, put, complete.
fn upload(chance: &mut Random) -> Vec<Deed> {
    let mut deeds = vec![mint(chance), put(chance, 0)];
    if chance.chance(80) {
        deeds.push(Deed::Complete { ticket: 0 });
    }
    deeds
}

/// The attack that reading again at the final key is for: a good picture is judged, and
/// before the store copies it something else is there, if it can be under the same `ETag`.
fn switch(chance: &mut Random) -> Vec<Step> {
    let calm = |deed| Step {
        deed,
        injuries: Vec::new(),
    };
    let n = chance.pick(&[1, 2]);
    let put = |content| Deed::Put {
        ticket: 0,
        content,
        way: Way::Store,
    };
    let notify = Step {
        deed: Deed::Notify {
            ticket: 0,
            times: 1,
        },
        // The first call reads the head, the second copies.
        injuries: vec![Injury {
            after: chance.pick(&[1, 1, 0, 2]),
            harm: Harm::Held(1),
            times: 1,
        }],
    };
    let then = chance.pick(&[Content::TwinOf(n), Content::TwinOf(n), Content::Liar]);
    vec![
        calm(mint(chance)),
        calm(put(Content::Good(n))),
        notify,
        calm(put(then)),
    ]
}

/// An attempt that stands still between its judgement and its copy, or its second look, for
/// longer than its lease.
fn linger(chance: &mut Random) -> Vec<Step> {
    let put = Deed::Put {
        ticket: 0,
        content: Content::Good(1),
        way: Way::Store,
    };
    let notify = Deed::Notify {
        ticket: 0,
        times: 1,
    };
    let held = Injury {
        after: chance.pick(&[1, 2]),
        harm: Harm::Held(2),
        times: 1,
    };
    [(mint(chance), None), (put, None), (notify, Some(held))]
        .into_iter()
        .map(|(deed, injury)| Step {
            deed,
            injuries: injury.into_iter().collect(),
        })
        .collect()
}

/// The next attempt on it, which gets no further than to its copy: the first one finds its
/// ticket open when it wakes, and no longer its own.
fn overtake() -> Step {
    Step {
        deed: Deed::Complete { ticket: 0 },
        injuries: vec![Injury {
            after: 1,
            harm: Harm::Fault(Fault::ErrorBefore(503)),
            times: 1,
        }],
    }
}

/// Anything, or several things at once that are about one ticket.
fn any(chance: &mut Random) -> Deed {
    if chance.chance(75) {
        return deed(chance);
    }
    let focus = chance.pick(&[0, 0, 1]);
    let several = 2 + chance.index(2);
    let mut deeds: Vec<_> = (0..several).map(|_| deed(chance)).collect();
    for deed in &mut deeds {
        deed.aim(focus);
    }
    Deed::Together(deeds)
}

fn put(chance: &mut Random, ticket: usize) -> Deed {
    let content = match chance.below(10) {
        0..7 => Content::Good(chance.pick(&[1, 2])),
        7 => Content::Liar,
        8 => Content::TwinOf(chance.pick(&[1, 2])),
        _ => Content::Short(1),
    };
    let way = match content {
        Content::TwinOf(_) => Way::Store,
        _ => chance.pick(&[Way::Url, Way::Store]),
    };
    Deed::Put {
        ticket,
        content,
        way,
    }
}

fn mint(chance: &mut Random) -> Deed {
    Deed::Mint {
        slot: chance.index(SLOTS.len()),
        owner: chance.pick(&[0, 0, 0, 1]).min(OWNERS.len() - 1),
        with_ref: chance.chance(20),
        count: chance.pick(&[1, 1, 1, 2]),
        twice: chance.chance(15),
    }
}

fn deed(chance: &mut Random) -> Deed {
    let ticket = chance.pick(&[0, 0, 0, 0, 1, 1, 2, 3]);
    match chance.below(100) {
        0..17 => mint(chance),
        17..42 => put(chance, ticket),
        42..46 => Deed::PutParts {
            ticket,
            which: chance.pick(&[0b111, 0b111, 0b011, 0b100]),
            fill: chance.pick(&[0, 1]),
        },
        46..66 => Deed::Complete { ticket },
        66..72 => Deed::Notify {
            ticket,
            times: 1 + chance.index(3),
        },
        72..78 => Deed::Cancel { ticket },
        78..85 => Deed::Delete { ticket },
        85..90 => Deed::Claim {
            ticket,
            more: chance.index(3),
            with_ref: chance.chance(70),
        },
        90..93 => Deed::Look { ticket },
        93..96 => Deed::List {
            slot: chance.index(SLOTS.len()),
            owner: chance.index(OWNERS.len()),
        },
        _ => Deed::Fetch { ticket },
    }
}

fn injuries(chance: &mut Random, may_hold: bool) -> Vec<Injury> {
    (0..=chance.index(2))
        .map(|_| Injury {
            after: chance.pick(&[0, 0, 1, 2, 3, 4]),
            harm: if may_hold && chance.chance(40) {
                Harm::Held(chance.pick(&[1, 1, 2]))
            } else {
                Harm::Fault(chance.pick(&[
                    Fault::ErrorBefore(503),
                    Fault::ErrorBefore(500),
                    Fault::ErrorBefore(403),
                    Fault::ErrorBefore(404),
                    Fault::ErrorBefore(412),
                    Fault::ErrorAfter(500),
                    Fault::LostAnswer,
                    Fault::Reset,
                    Fault::ErrorIn200,
                    Fault::CutBody,
                ]))
            },
            times: chance.pick(&[1, 1, 1, 3]),
        })
        .collect()
}

impl Deed {
    fn aim(&mut self, at: usize) {
        match self {
            Self::Put { ticket, .. }
            | Self::PutParts { ticket, .. }
            | Self::Complete { ticket }
            | Self::Notify { ticket, .. }
            | Self::Cancel { ticket }
            | Self::Delete { ticket }
            | Self::Claim { ticket, .. }
            | Self::Look { ticket }
            | Self::Fetch { ticket } => *ticket = at,
            Self::Mint { .. } | Self::List { .. } | Self::Together(_) => {}
        }
    }
}
