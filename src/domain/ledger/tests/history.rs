//! Random histories: several owners, refs and slots, commands in any order and many to a
//! transaction. [`World`] adds the laws up after every one.

use super::*;

const OWNERS: [&str; 3] = [ANN, BOB, "cy"];
const REFS: [&str; 4] = ["", "", "", "post:1"];
/// As many files as nobody has.
const ENOUGH: u32 = 10_000;
const SLOTS: [&str; 4] = ["reject", "quota", "replace", "crowded"];

/// Small and seeded: a failing history is run again by its seed (xorshift64*, Vigna 2016).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap() % sides
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.roll(from.len())].clone())
    }
}

fn slots() -> BTreeMap<SlotName, Policy> {
    let base = Policy {
        max_entries: 2,
        ..Policy::default()
    };
    let quota = Policy {
        max_entries: 3,
        quota: Some(60),
        unclaimed_ttl: Some(Seconds(1800)),
        per_tenant: TenantLimits {
            max_entries: Some(5),
            quota: Some(120),
        },
        ..Policy::default()
    };
    let replace = Policy {
        on_full: OnFull::Replace,
        ..base.clone()
    };
    let crowded = Policy {
        max_entries: 3,
        on_full: OnFull::Replace,
        quota: Some(60),
        per_tenant: TenantLimits {
            max_entries: Some(5),
            quota: Some(120),
        },
        ..Policy::default()
    };
    SLOTS
        .iter()
        .map(|name| slot(name))
        .zip([base, quota, replace, crowded])
        .collect()
}

/// A command, made before the transaction it is decided in.
#[derive(Debug)]
enum Command {
    Mint(Mint),
    Begin(Id),
    /// With how many of the files that may have to give way.
    Commit(Box<Commit>, u32),
    Reject(Ticket),
    Expire(Ticket),
    LookLater(Ticket),
    Renew(Ticket),
    Cancel(Ticket),
    Claim(Claim),
    Delete(File),
    EndUnclaimed(File),
    Clean(Ticket),
}

impl Command {
    fn footprint(&self) -> Footprint {
        match self {
            Self::Mint(mint) => mint.footprint(),
            Self::Begin(id) => Footprint {
                tickets: vec![*id],
                ..Footprint::default()
            },
            Self::Commit(commit, oldest) => commit.footprint(*oldest),
            Self::Reject(t) | Self::Expire(t) | Self::Cancel(t) => t.footprint(),
            Self::LookLater(t) | Self::Renew(t) | Self::Clean(t) => t.row(),
            Self::Claim(claim) => claim.footprint(),
            Self::Delete(f) | Self::EndUnclaimed(f) => f.footprint(),
        }
    }

    /// Runs it; an attempt it began is kept.
    fn run(&self, books: &mut Books, now: Timestamp, attempts: &mut Vec<Ticket>) {
        let fresh = "what was read before the transaction is what it finds";
        match self {
            Self::Mint(request) => drop(mint(books, now, request).expect(fresh)),
            Self::Begin(id) => {
                if let Began::Yours(ticket) = begin(books, now, *id) {
                    attempts.push(*ticket);
                }
            }
            Self::Commit(request, oldest) => match commit(books, now, request) {
                // It would have had to read more files, and has changed nothing.
                Err(_) if *oldest < ENOUGH => {}
                outcome => drop(outcome.expect(fresh)),
            },
            Self::Reject(t) => drop(reject(books, now, t.id, t.epoch, &refused())),
            Self::Expire(t) => drop(expire(books, now, t.id, t.epoch)),
            Self::LookLater(t) => look_later(books, now, t.id, t.epoch, "later"),
            Self::Renew(t) => drop(renew(books, now, t.id, t.epoch)),
            Self::Cancel(t) => drop(cancel(books, now, t.id)),
            Self::Claim(request) => drop(claim(books, now, request).expect(fresh)),
            Self::Delete(f) => drop(delete(books, now, f.id).expect(fresh)),
            Self::EndUnclaimed(f) => drop(end_unclaimed(books, now, f.id).expect(fresh)),
            Self::Clean(t) => cleaned(books, t.id),
        }
    }
}

fn command(w: &World, dice: &mut Dice, attempts: &[Ticket]) -> Option<Command> {
    let tickets: Vec<&Ticket> = w.tickets.values().collect();
    let open: Vec<&Ticket> = tickets
        .iter()
        .filter(|t| t.state == State::Open)
        .copied()
        .collect();
    let files: Vec<&File> = w.files.values().collect();
    let recent = &attempts[attempts.len().saturating_sub(4)..];
    Some(match dice.roll(20) {
        0..=4 => {
            let sizes: Vec<u64> = (0..=dice.roll(3))
                .map(|_| u64::try_from(1 + dice.roll(40)).unwrap())
                .collect();
            let (name, who, r) = (dice.pick(&SLOTS)?, dice.pick(&OWNERS)?, dice.pick(&REFS)?);
            let mut request = w.request(name, who, r, &sizes);
            request.max_open_tickets = 9;
            if dice.roll(4) == 0 {
                request.policy = request.policy.tightened(TokenLimits {
                    max_entries: Some(1),
                    quota: Some(30),
                    max_file_size: None,
                });
            }
            if dice.roll(3) == 0 {
                let key = IdempotencyKey {
                    tenant: tenant(),
                    caller: owner(who),
                    key: dice.roll(4).to_string(),
                };
                request.idempotency = Some((key, dice.roll(2).to_string()));
            }
            Command::Mint(request)
        }
        5..=7 => Command::Begin(dice.pick(&open)?.id),
        8..=12 => {
            let oldest = [1, 2, 4, ENOUGH][dice.roll(4)];
            Command::Commit(Box::new(commit_of(&dice.pick(recent)?)), oldest)
        }
        13 => match dice.roll(2) {
            0 => Command::Reject(dice.pick(recent)?),
            _ => Command::Expire(dice.pick(recent)?),
        },
        14 => match dice.roll(3) {
            0 => Command::LookLater(dice.pick(recent)?),
            1 => Command::Renew(dice.pick(recent)?),
            _ => Command::Clean(dice.pick(&tickets)?.clone()),
        },
        15 => Command::Cancel(dice.pick(&tickets)?.clone()),
        16 => {
            let ids: Vec<Id> = (0..=dice.roll(2))
                .filter_map(|_| dice.pick(&files))
                .map(|f| f.id)
                .collect();
            Command::Claim(w.claim_request(dice.pick(&OWNERS)?, dice.pick(&REFS)?, &ids))
        }
        17 if dice.roll(2) == 0 => Command::Delete(dice.pick(&files)?.clone()),
        _ => Command::EndUnclaimed(dice.pick(&files)?.clone()),
    })
}

/// What happened, to know that a history was worth its time.
fn live_through(seed: u64, steps: usize) -> World {
    let mut w = World::of(Policy::default());
    w.slots = slots();
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut attempts: Vec<Ticket> = Vec::new();
    for _ in 0..steps {
        w.now = Timestamp::from_millis(w.now.millis() + 1);
        if dice.roll(3) == 0 {
            let spans = [1, 10, 31, 400, 4000, 100_000];
            w.pass(Seconds(spans[dice.roll(spans.len())]));
        }
        let commands: Vec<Command> = (0..=dice.roll(4))
            .filter_map(|_| command(&w, &mut dice, &attempts))
            .collect();
        let footprints: Vec<Footprint> = commands.iter().map(Command::footprint).collect();
        let footprints: Vec<&Footprint> = footprints.iter().collect();
        w.write_all(&footprints, false, |books, now| {
            for command in &commands {
                command.run(books, now, &mut attempts);
            }
        });
    }
    w
}

#[test]
fn no_random_history_breaks_law_4_or_5() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..60 {
        let lived = std::panic::catch_unwind(|| live_through(seed, 140));
        let w = lived.unwrap_or_else(|_| panic!("the history of seed {seed} breaks a law"));
        for event in &w.events {
            let reason = event.body["data"]["reason"].as_str();
            let kind = match reason {
                Some("deleted") => "deleted",
                Some("replaced") => "replaced",
                Some("unclaimed") => "unclaimed",
                _ => event.kind,
            };
            *seen.entry(kind).or_default() += 1;
        }
    }
    for kind in [
        "ticket.committed",
        "ticket.rejected",
        "ticket.expired",
        "ticket.cancelled",
        "file.claimed",
        "deleted",
        "replaced",
        "unclaimed",
    ] {
        let times = seen.get(kind).copied().unwrap_or(0);
        assert!(
            times > 20,
            "the histories saw {kind} {times} times: {seen:?}"
        );
    }
}
