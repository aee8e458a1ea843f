//! Each lifecycle with its first, second, … store call failing once, before or after its
//! effect, until it runs through without meeting the fault. All have to come to the end that
//! their client wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use putgate::devstore::Fault;
use putgate::domain::time::Seconds;

use crate::actor::Actor;
use crate::script::{Content, Deed, Harm, Injury, Step, Way};
use crate::world::World;

/// What a client wants in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    Commit,
    Parts,
    Reject,
    Replace,
    Cancel,
    Delete,
    Claim,
}

const LIVES: [Life; 7] = [
    Life::Commit,
    Life::Parts,
    Life::Reject,
    Life::Replace,
    Life::Cancel,
    Life::Delete,
    Life::Claim,
];

const FAULTS: [Fault; 6] = [
    Fault::ErrorBefore(503),
    Fault::Reset,
    Fault::ErrorIn200,
    Fault::ErrorAfter(500),
    Fault::LostAnswer,
    Fault::CutBody,
];

/// More calls than any of these lives makes.
const CALLS: u32 = 24;

/// How many lives are lived at once.
const AT_ONCE: usize = 64;

/// In `SLOTS`: pictures of which the last pick wins, pictures, files in parts.
const AVATAR: usize = 0;
const PHOTOS: usize = 3;
const IN_PARTS: usize = 6;

impl Life {
    fn slot(self) -> usize {
        match self {
            Self::Replace => AVATAR,
            Self::Parts => IN_PARTS,
            _ => PHOTOS,
        }
    }

    /// What the client does once, in this order; each step until it is answered.
    fn deeds(self) -> Vec<Deed> {
        let mint = Deed::Mint {
            slot: self.slot(),
            owner: 0,
            with_ref: false,
            count: 1,
            twice: true,
        };
        let put = |content| Deed::Put {
            ticket: 0,
            content,
            way: Way::Url,
        };
        let complete = Deed::Complete { ticket: 0 };
        let upload = vec![mint.clone(), put(Content::Good(1)), complete.clone()];
        let then = |more: Deed| [upload.clone(), vec![more]].concat();
        match self {
            Self::Commit | Self::Parts => upload,
            Self::Reject => vec![mint, put(Content::Liar), complete],
            Self::Replace => [upload.clone(), upload].concat(),
            Self::Cancel => vec![mint, put(Content::Good(1)), Deed::Cancel { ticket: 0 }],
            Self::Delete => then(Deed::Delete { ticket: 0 }),
            Self::Claim => then(Deed::Claim {
                ticket: 0,
                more: 0,
                with_ref: true,
            }),
        }
    }

    /// The states of its tickets and how many files live on.
    fn end(self) -> (&'static [&'static str], usize) {
        match self {
            Self::Commit | Self::Parts | Self::Claim => (&["committed"], 1),
            Self::Replace => (&["committed", "committed"], 1),
            Self::Reject => (&["rejected"], 0),
            Self::Cancel => (&["cancelled"], 0),
            Self::Delete => (&["committed"], 0),
        }
    }
}

/// One life with one fault.
async fn live(actor: &mut Actor, life: Life, injury: Injury) -> Result<(), String> {
    let mut injuries = vec![injury];
    for deed in life.deeds() {
        let mut tries = 0;
        loop {
            let step = Step {
                deed: deed.clone(),
                injuries: std::mem::take(&mut injuries),
            };
            actor.go_on(&step).await?;
            if actor.is_content() {
                break;
            }
            tries += 1;
            if tries == 10 {
                return Err(format!("{deed:?} never comes to its end"));
            }
        }
    }
    Ok(())
}

/// Plays all lives with all faults at all calls in one world.
pub async fn all() -> Result<String, String> {
    let world = Arc::new(World::new().await);
    let mut casts = Vec::new();
    for life in LIVES {
        for fault in FAULTS {
            for after in 0..CALLS {
                let injury = Injury {
                    after,
                    harm: Harm::Fault(fault),
                    // What the client library sends again has to fail again.
                    times: 3,
                };
                let tenant = format!("{life:?}-{}", casts.len());
                let actor = Actor::new(&world, tenant, 0, false);
                casts.push((life, injury, actor));
            }
        }
    }
    let lives = casts.iter_mut().map(async |(life, injury, actor)| {
        let lived = live(actor, *life, *injury).await;
        lived.map_err(|why| format!("{life:?} under {injury:?}: {why}"))
    });
    let lives = stream::iter(lives).buffer_unordered(AT_ONCE);
    lives.try_collect::<()>().await?;
    let mut met: BTreeMap<Life, u32> = BTreeMap::new();
    for (life, injury, actor) in &casts {
        if actor.was_hit() {
            let last = met.entry(*life).or_default();
            *last = (*last).max(injury.after + 1);
        }
    }
    world.harms.heal();
    for (.., actor) in &casts {
        actor.finish(true).await;
    }
    world.clock.advance(Seconds(90_000));
    world.rest().await?;
    for (life, injury, actor) in &mut casts {
        let ended = actor.end().await;
        ended.map_err(|why| format!("{life:?} under {injury:?}: {why}"))?;
        let (states, files) = life.end();
        if actor.standing() != (states.iter().map(|s| (*s).to_owned()).collect(), files) {
            let is = actor.standing();
            return Err(format!("{life:?} under {injury:?} came to {is:?}"));
        }
    }
    let found = world.faults_found().await;
    if !found.is_empty() {
        return Err(found.join("\n"));
    }
    for life in LIVES {
        let calls = met.get(&life).copied().unwrap_or(0);
        if !(1..CALLS).contains(&calls) {
            return Err(format!("{life:?} met faults up to its call {calls}"));
        }
    }
    let said = format!("{} lives; calls of each that failed: {met:?}", casts.len());
    drop(casts);
    if let Some(world) = Arc::into_inner(world) {
        world.end().await;
    }
    Ok(said)
}
