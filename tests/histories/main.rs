//! Histories: clients, workers, deaths and a failing store, all by a seed, and after every
//! step a model's judgement. What fails prints its seed; `PUTGATE_SEED=<that> cargo test
//! --test histories` plays it again, and `PUTGATE_HISTORIES=<n>` says how many are played.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of a test fails as the test does"
)]

mod actor;
#[path = "../common/mod.rs"]
mod common;
mod harms;
mod lifecycles;
mod model;
#[path = "../common/process.rs"]
mod process;
mod random;
mod rules;
mod script;
mod sums;
mod watcher;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use putgate::domain::time::Seconds;
use script::{Course, ROUNDS, Step, Turn};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use actor::{Actor, LATE};
use harms::NOBODY;
use random::Random;
use world::World;

/// How many histories share a world.
const CROWD: u64 = 50;
/// How many worlds turn at once: as many as keep two cores busy while some wait for the pauses
/// between a client's tries. With more a round takes longer than a store call is waited for,
/// and what is held is given up.
const WORLDS: usize = 6;

/// How many steps the clients take between two passes of a worker that is always there.
const PAUSE: u64 = 40;

/// How long a failure is made shorter.
const SHORTENING: Duration = Duration::from_mins(1);

/// A history's rounds.
type Script = Vec<Vec<Step>>;

/// How often what came about.
type Tally = BTreeMap<String, u64>;

/// What a run that is not short has to see, else it shows nothing.
const COMES_ABOUT: &[&str] = &[
    "avatar committed",
    "album cancelled",
    "single rejected",
    "photos expired",
    "scarce committed",
    "brief committed",
    "parts committed",
    "parts expired",
    "committed after many attempts",
    "rejected after many attempts",
    "expired after many attempts",
    "claimed",
    "claim-conflict",
    "slot-full",
    "quota-exceeded",
    "too-many-open-tickets",
    "object-missing",
    "parts-missing",
    "ticket-closed",
    "ticket-expired",
    "content-rejected",
    "not-found",
    "harm at GetObject",
    "harm at CopyObject",
    "harm at UploadPartCopy",
    "harm at CompleteMultipart",
    "death at GetObject",
];

/// What is rarer; a long run has to see it too.
const COMES_ABOUT_RARELY: &[&str] = &[
    "ended deleted",
    "ended replaced",
    "ended unclaimed",
    "death at CopyObject",
    "death at UploadPartCopy",
    "death at CompleteMultipart",
];
const ENOUGH: u64 = 500;
const LONG: u64 = 5000;

/// Why a history failed.
#[derive(Debug)]
struct Failure {
    /// Which history; none: the world as a whole.
    history: Option<u64>,
    why: String,
}

/// Plays histories in a world of their own; the first thing that is wrong.
async fn play(seed: u64, course: &Course, scripts: Vec<(u64, Script)>) -> Result<Tally, Failure> {
    let world = Arc::new(World::new().await);
    let mut actors: Vec<(u64, Actor, Script)> = scripts
        .into_iter()
        .map(|(n, script)| {
            let actor = Actor::new(&world, format!("h{n}"), seed ^ n, course.busy);
            (n, actor, script)
        })
        .collect();
    let verdict = live(&world, course, &mut actors).await;
    drop(actors);
    if let Some(world) = Arc::into_inner(world) {
        world.end().await;
    }
    verdict
}

async fn live(
    world: &Arc<World>,
    course: &Course,
    actors: &mut [(u64, Actor, Script)],
) -> Result<Tally, Failure> {
    for (round, turn) in course.turns.iter().enumerate() {
        let death = turn.death.map(|(n, after)| world.harms.foretell(n, after));
        let acts = each(actors, async |actor, script| {
            for step in &script[round] {
                actor.step(step).await?;
            }
            Ok(())
        });
        let over = watch::Sender::new(false);
        let (acts, (), ()) = tokio::join!(
            async {
                let acts = acts.await;
                world.harms.spare();
                over.send_replace(true);
                acts
            },
            async {
                if let Some((mut told, done)) = death {
                    if told.wait_for(|told| *told).await.is_ok() {
                        world.kill(round).await;
                    }
                    done.send_replace(true);
                }
            },
            async {
                let mut over = over.subscribe();
                // A pass that meets a held call would wait for the clock, which waits for
                // the end of the round: then it goes on beside what comes next.
                tokio::select! {
                    _ = over.wait_for(|over| *over) => {}
                    () = work(world), if course.busy => {}
                }
            }
        );
        acts?;
        turn_over(world, turn).await;
        each(actors, async |actor, _| actor.turned().await).await?;
    }
    world.harms.heal();
    for (_, actor, _) in actors.iter() {
        actor.finish(true).await;
    }
    world.clock.advance(Seconds(90_000));
    let whole = |why| Failure { history: None, why };
    // Once for what is open, once for what was committed only then.
    for _ in 0..2 {
        world.rest().await.map_err(whole)?;
        world.clock.advance(Seconds(90_000));
    }
    world.rest().await.map_err(whole)?;
    each(actors, async |actor, _| actor.end().await).await?;
    let found = world.faults_found().await;
    if found.is_empty() {
        let died = world.harms.died_at().into_iter();
        let died = died.map(|op| format!("death at {op:?}"));
        let all = actors.iter().flat_map(|(_, actor, _)| actor.tally());
        let mut tally = Tally::new();
        for what in all.chain(died) {
            *tally.entry(what).or_default() += 1;
        }
        Ok(tally)
    } else {
        Err(whole(found.join("\n")))
    }
}

/// The workers, pass after pass as the clients take their steps.
async fn work(world: &World) {
    let mut steps = world.steps.subscribe();
    loop {
        for broker in 0..world.brokers() {
            let _ = world.pass(broker).await;
        }
        let due = *steps.borrow() + PAUSE;
        let _ = steps.wait_for(|steps| *steps >= due).await;
    }
}

/// All histories at once; the failure of the first that failed.
async fn each(
    actors: &mut [(u64, Actor, Script)],
    act: impl AsyncFn(&mut Actor, &Script) -> Result<(), String>,
) -> Result<(), Failure> {
    let acts = actors.iter_mut().map(async |(n, actor, script)| {
        act(actor, script).await.map_err(|why| Failure {
            history: Some(*n),
            why,
        })
    });
    join_all(acts).await.into_iter().collect()
}

async fn turn_over(world: &World, turn: &Turn) {
    world.clock.advance(Seconds(turn.advance));
    world.harms.release();
    world.harms.injure(NOBODY, &turn.injuries);
    for _ in 0..turn.passes {
        for broker in 0..world.brokers() {
            // Trouble is what the injuries are for.
            let _ = world.pass(broker).await;
        }
    }
    world.harms.injure(NOBODY, &[]);
}

/// A failure, with the fewest steps that still show it.
async fn explain(seed: u64, failure: Failure) -> String {
    let Some(n) = failure.history else {
        return format!("PUTGATE_SEED={seed}: the whole world: {}", failure.why);
    };
    let course = script::course(seed);
    let mut script = script::history(seed, n);
    let mut why = failure.why;
    let alone = play(seed, &course, vec![(n, script.clone())]).await;
    let Err(again) = alone else {
        return format!(
            "PUTGATE_SEED={seed}: history {n}, in company: {why}\n{}",
            shown(&course, &script)
        );
    };
    why = again.why;
    let until = Instant::now() + SHORTENING;
    for round in 0..ROUNDS {
        let mut at = 0;
        while at < script[round].len() && Instant::now() < until {
            let mut less = script.clone();
            less[round].remove(at);
            match play(seed, &course, vec![(n, less.clone())]).await {
                Err(still) => (script, why) = (less, still.why),
                Ok(_) => at += 1,
            }
        }
    }
    format!(
        "PUTGATE_SEED={seed}:{n}: {why}\nthe fewest steps:\n{}",
        shown(&course, &script)
    )
}

fn shown(course: &Course, script: &Script) -> String {
    let mut lines = vec![format!("busy workers: {}", course.busy)];
    for (steps, turn) in script.iter().zip(&course.turns) {
        lines.extend(steps.iter().map(|step| {
            if step.injuries.is_empty() {
                format!("  {:?}", step.deed)
            } else {
                format!("  {:?} under {:?}", step.deed, step.injuries)
            }
        }));
        lines.push(format!("  -- {turn:?}"));
    }
    lines.join("\n")
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "how much to play, and what")]
    std::env::var(name).ok()
}

/// How many histories the plain test plays.
const FEW: u64 = 100;

/// How many histories are of nothing else.
const LINGERING: u64 = 20;

#[test]
fn every_history_keeps_the_laws() {
    if let Some(seed) = variable("PUTGATE_SEED") {
        let (seed, one) = match seed.split_once(':') {
            Some((seed, one)) => (seed.parse().unwrap(), Some(one.parse().unwrap())),
            None => (seed.parse().unwrap(), None),
        };
        let all: BTreeSet<u64> = one.map_or_else(|| (0..CROWD).collect(), |one| [one].into());
        runtime().block_on(world_of(seed, all)).unwrap();
        return;
    }
    let many = variable("PUTGATE_HISTORIES").map_or(FEW, |n| n.parse().unwrap());
    let base = variable("PUTGATE_HISTORIES_FROM").map_or(1, |n| n.parse().unwrap());
    let seconds = variable("PUTGATE_HISTORIES_SECONDS").map(|n| n.parse().unwrap());
    let most = seconds.map_or(Duration::MAX, Duration::from_secs);
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let played = AtomicU64::new(0);
    let failures = Mutex::new(Vec::<String>::new());
    let tally = Mutex::new(Tally::new());
    std::thread::scope(|threads| {
        for _ in 0..WORLDS {
            threads.spawn(|| {
                let runtime = runtime();
                loop {
                    let world = next.fetch_add(1, Ordering::SeqCst);
                    let is_over = world * CROWD >= many || began.elapsed() >= most;
                    if is_over || !failures.lock().unwrap().is_empty() {
                        return;
                    }
                    let crowd = CROWD.min(many - world * CROWD);
                    played.fetch_add(crowd, Ordering::SeqCst);
                    let seed = Random::branch(base, world).next() >> 16;
                    let lived = runtime.block_on(world_of(seed, (0..crowd).collect()));
                    match lived {
                        Ok(more) => {
                            let mut tally = tally.lock().unwrap();
                            for (what, times) in more {
                                *tally.entry(what).or_default() += times;
                            }
                        }
                        Err(why) => failures.lock().unwrap().push(why),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    let tally = tally.into_inner().unwrap();
    let wanted = many;
    let many = played.into_inner();
    println!("{many} histories in {:?}: {tally:#?}", began.elapsed());
    if many < wanted {
        println!("skipped: of {wanted} histories {many} were played until the time was over");
    }
    let late = tally.get(LATE).copied().unwrap_or(0);
    assert!(
        late * 20 <= many,
        "{late} calls had no answer for no reason"
    );
    let expected = [(ENOUGH, COMES_ABOUT), (LONG, COMES_ABOUT_RARELY)];
    let expected = expected.iter().filter(|(least, _)| many >= *least);
    for what in expected.flat_map(|(_, all)| *all) {
        assert!(
            tally.contains_key(*what),
            "no history came to {what:?}: {tally:#?}"
        );
    }
}

/// A lease is renewed by the machine's clock, so a world that is slow may pass its lingering
/// attempts by; here nothing else goes on.
#[test]
fn an_attempt_that_lingers_past_its_lease_commits_nothing() {
    let course = script::past_the_lease();
    let scripts = (0..LINGERING).map(|n| (n, script::lingering(1, n)));
    let tally = runtime()
        .block_on(play(1, &course, scripts.collect()))
        .unwrap();
    let overtaken = tally.get("committed after many attempts");
    assert!(overtaken > Some(&(LINGERING / 4)), "{tally:#?}");
}

#[test]
fn a_life_comes_to_its_end_whichever_of_its_store_calls_fails() {
    match runtime().block_on(lifecycles::all()) {
        Ok(said) => println!("{said}"),
        Err(why) => panic!("{why}"),
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

async fn world_of(seed: u64, histories: BTreeSet<u64>) -> Result<Tally, String> {
    let course = script::course(seed);
    let scripts = histories
        .into_iter()
        .map(|n| (n, script::history(seed, n)))
        .collect();
    match play(seed, &course, scripts).await {
        Ok(tally) => Ok(tally),
        Err(failure) => Err(explain(seed, failure).await),
    }
}
