//! The reference: what may be true of one tenant, given what its clients did and were told.
//! It shares no code with the product. It never says what a ticket *is*; it says which steps
//! are lawful from what was seen before to what is seen now, and, in a step that nothing
//! disturbed, which answer is the only right one.

use std::collections::{BTreeMap, BTreeSet};

use putgate::domain::name::Id;

use crate::rules::{GRACE, LIVE, PARTS, Rule, URL_TTL, declared, rule_of};
use crate::script::Content;
use crate::sums;
use crate::watcher::{FileSeen, Seen, TicketSeen};

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told<T> {
    Done(T),
    /// Refused, with this code.
    Refused(String),
    /// No answer, or one that says that a service was away.
    Nothing,
}

/// What a client did.
#[derive(Clone, Debug, PartialEq)]
pub enum Did {
    Mint {
        slot: &'static str,
        owner: &'static str,
        reference: &'static str,
        count: usize,
        /// For each file its ticket or the code of its refusal.
        told: Told<Vec<Result<Id, String>>>,
    },
    Put {
        id: Id,
        content: Content,
        told: Told<()>,
    },
    PutPart {
        id: Id,
        number: usize,
        fill: u8,
        told: Told<()>,
    },
    /// The state it was told, or the refusal.
    Complete {
        id: Id,
        told: Told<String>,
    },
    Notify {
        id: Id,
    },
    Cancel {
        id: Id,
        told: Told<()>,
    },
    Delete {
        id: Id,
        told: Told<()>,
    },
    Claim {
        owner: &'static str,
        ids: Vec<Id>,
        reference: &'static str,
        told: Told<()>,
    },
    Look {
        id: Id,
        told: Told<String>,
    },
    /// A ticket's deadline may have moved.
    Sign,
    List {
        slot: &'static str,
        owner: &'static str,
        told: Told<Vec<Id>>,
    },
    /// What a reader got.
    Fetch {
        id: Id,
        told: Told<Vec<u8>>,
    },
    /// The workers ran, perhaps; the clock moved.
    Turn,
}

impl Did {
    /// Whether its client need not try again.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Mint { told, .. } => {
                matches!(told, Told::Done(files) if files.iter().all(Result::is_ok))
            }
            Self::Complete { told, .. } => match told {
                Told::Done(state) => state != "open",
                Told::Refused(code) => code == "content-rejected",
                Told::Nothing => false,
            },
            Self::Put { told, .. }
            | Self::PutPart { told, .. }
            | Self::Cancel { told, .. }
            | Self::Delete { told, .. }
            | Self::Claim { told, .. } => *told == Told::Done(()),
            _ => true,
        }
    }
}

/// How sure the model may be of a step.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Milliseconds.
    pub now: i64,
    /// Nothing went wrong, nothing raced, nothing runs on from before: there is one answer.
    pub clear: bool,
    /// Attempts that began earlier may end in this step.
    pub lingering: bool,
    /// The store denied objects that it has.
    pub denied: bool,
}

/// What the model keeps of a ticket.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// Every content that may have been there.
    ever: BTreeSet<Content>,
    /// What may be there now; `None` is nothing.
    now: BTreeSet<Option<Content>>,
    parts_ever: Vec<BTreeSet<u8>>,
    parts_now: Vec<BTreeSet<Option<u8>>>,
    claimed: bool,
    ended: bool,
    /// Why it ended, if that was to be seen.
    why: Option<String>,
}

#[derive(Debug, Default)]
pub struct Model {
    /// The refusals that were foretold and came.
    refusals: Vec<String>,
    kept: BTreeMap<Id, Kept>,
    before: Seen,
    /// Acts whose effect may come after their answer was lost.
    lost: Vec<Did>,
}

type Wrong = Result<(), String>;

fn wrong<T>(what: impl Into<String>) -> Result<T, String> {
    Err(what.into())
}

impl Model {
    pub fn before(&self) -> &Seen {
        &self.before
    }

    /// What has come about, a phrase each.
    pub fn tally(&self) -> Vec<String> {
        let mut tally = Vec::new();
        for (id, ticket) in &self.before.tickets {
            tally.push(format!("{} {}", ticket.slot, ticket.state));
            if ticket.epoch > 1 {
                tally.push(format!("{} after many attempts", ticket.state));
            }
            let kept = &self.kept[id];
            if kept.claimed {
                tally.push("claimed".to_owned());
            }
            if let Some(why) = &kept.why {
                tally.push(format!("ended {why}"));
            }
        }
        tally.extend(self.refusals.iter().cloned());
        tally
    }

    /// Judges a step: from what was seen to what is seen now.
    pub fn step(&mut self, did: &[Did], sight: Sight, seen: Seen) -> Wrong {
        sums::added_up(&seen)?;
        sums::bounded(&seen)?;
        let mut causes = std::mem::take(&mut self.lost);
        causes.extend(did.iter().cloned());
        for (id, ticket) in &seen.tickets {
            if !self.before.tickets.contains_key(id) {
                self.born(*id, ticket, &causes)?;
            }
        }
        if sight.clear {
            for act in did {
                self.foretold(act, sight, &seen)?;
            }
        }
        let arriving = Self::arriving(&causes);
        for (id, before) in &self.before.tickets {
            let Some(after) = seen.tickets.get(id) else {
                return wrong(format!("ticket {id} is gone"));
            };
            self.moved(*id, before, after, &causes, &arriving, sight, &seen)?;
        }
        for id in seen.tickets.keys() {
            self.file(*id, &causes, sight, &seen)?;
            self.told_once(*id, &seen)?;
        }
        for act in did {
            self.truthful(act, sight, &seen)?;
            if let Some(code) = refusal(act).filter(|_| sight.clear) {
                self.refusals.push(code.to_owned());
            }
            if let Did::Mint {
                told: Told::Done(files),
                ..
            } = act
            {
                self.refusals
                    .extend(files.iter().filter_map(|file| file.clone().err()));
            }
        }
        self.learn(did, sight);
        self.lost = did.iter().filter(|act| is_lost(act)).cloned().collect();
        self.before = seen;
        Ok(())
    }

    fn born(&mut self, id: Id, ticket: &TicketSeen, causes: &[Did]) -> Wrong {
        let asked = causes.iter().any(|act| match act {
            Did::Mint {
                slot,
                owner,
                reference,
                told,
                ..
            } => {
                let alike = *slot == ticket.slot
                    && *owner == ticket.owner
                    && *reference == ticket.reference;
                alike
                    && match told {
                        Told::Done(files) => files.contains(&Ok(id)),
                        Told::Nothing => true,
                        Told::Refused(_) => false,
                    }
            }
            _ => false,
        });
        if !asked {
            return wrong(format!("nobody asked for ticket {id}: {ticket:?}"));
        }
        self.kept.insert(
            id,
            Kept {
                now: [None].into(),
                parts_ever: vec![BTreeSet::new(); PARTS],
                parts_now: vec![[None].into(); PARTS],
                ..Kept::default()
            },
        );
        Ok(())
    }

    /// What may have come to staging in this step.
    fn arriving(causes: &[Did]) -> BTreeMap<Id, Kept> {
        let mut arriving: BTreeMap<Id, Kept> = BTreeMap::new();
        for act in causes {
            match act {
                Did::Put { id, content, told } if !matches!(told, Told::Refused(_)) => {
                    let kept = arriving.entry(*id).or_default();
                    kept.ever.insert(*content);
                }
                Did::PutPart {
                    id,
                    number,
                    fill,
                    told,
                } if !matches!(told, Told::Refused(_)) => {
                    let kept = arriving.entry(*id).or_default();
                    kept.parts_ever.resize(PARTS, BTreeSet::new());
                    kept.parts_ever[*number].insert(*fill);
                }
                _ => {}
            }
        }
        arriving
    }

    /// What an attempt that ends in this step may have seen: contents, and whether nothing.
    fn candidates(
        &self,
        id: Id,
        rule: Rule,
        arriving: &BTreeMap<Id, Kept>,
        sight: Sight,
    ) -> (BTreeSet<Content>, bool) {
        let Some(kept) = self.kept.get(&id) else {
            return (BTreeSet::new(), true);
        };
        let new = arriving.get(&id);
        if rule.parts {
            // The whole stands for any mixture of the parts that may be there.
            let whole = (0..PARTS).all(|n| {
                let here = kept.parts_now[n].iter().any(Option::is_some)
                    || (sight.lingering && !kept.parts_ever[n].is_empty());
                here || new.is_some_and(|new| !new.parts_ever[n].is_empty())
            });
            let absent = sight.lingering || kept.parts_now.iter().any(|part| part.contains(&None));
            let contents = whole.then_some(Content::Good(0));
            return (contents.into_iter().collect(), absent);
        }
        let mut contents: BTreeSet<Content> = kept.now.iter().copied().flatten().collect();
        if sight.lingering {
            contents.extend(&kept.ever);
        }
        if let Some(new) = new {
            contents.extend(&new.ever);
        }
        (contents, sight.lingering || kept.now.contains(&None))
    }

    #[expect(clippy::too_many_arguments, reason = "all that a move depends on")]
    fn moved(
        &self,
        id: Id,
        before: &TicketSeen,
        after: &TicketSeen,
        causes: &[Did],
        arriving: &BTreeMap<Id, Kept>,
        sight: Sight,
        seen: &Seen,
    ) -> Wrong {
        if after.epoch < before.epoch {
            return wrong(format!("the epoch of {id} went back"));
        }
        if before.state == after.state {
            return Ok(());
        }
        let rule = rule_of(&after.slot);
        let (contents, absent) = self.candidates(id, rule, arriving, sight);
        let lawful = |content: &Content| rule.parts || content.is_lawful();
        let may = match (before.state.as_str(), after.state.as_str()) {
            ("open", "committed") => contents.iter().any(lawful),
            ("open", "rejected") => contents.iter().any(|content| !lawful(content)),
            ("open", "expired") => {
                sight.now >= before.expires_at + GRACE * 1000 && (absent || sight.denied)
            }
            ("open", "cancelled") => {
                let cancelled = causes
                    .iter()
                    .any(|act| matches!(act, Did::Cancel { id: it, .. } if *it == id));
                cancelled || (rule.replaces && self.gave_way(id, after, seen))
            }
            _ => false,
        };
        if may {
            return Ok(());
        }
        wrong(format!(
            "{id} in {} went from {} to {} with {contents:?}{} in staging, {sight:?}\n  \
             from {before:?}\n  to {after:?}",
            after.slot,
            before.state,
            after.state,
            if absent { " or nothing" } else { "" },
        ))
    }

    /// Whether a newer pick of the same scope took this ticket's place.
    fn gave_way(&self, id: Id, ticket: &TicketSeen, seen: &Seen) -> bool {
        seen.tickets.iter().any(|(other, newer)| {
            *other != id
                && !self.before.tickets.contains_key(other)
                && same_scope(ticket, newer)
                && (newer.created_at, *other) > (ticket.created_at, id)
        })
    }

    fn file(&mut self, id: Id, causes: &[Did], sight: Sight, seen: &Seen) -> Wrong {
        let ticket = &seen.tickets[&id];
        let was_committed = self
            .before
            .tickets
            .get(&id)
            .is_some_and(|ticket| ticket.state == "committed");
        let committed = ticket.state == "committed";
        let (before, after) = (self.before.files.get(&id), seen.files.get(&id));
        let Some(kept) = self.kept.get(&id) else {
            return wrong(format!("a file without a ticket: {id}"));
        };
        let mut now = kept.clone();
        match (before, after) {
            (None, None) => {
                // Purged before anybody looked: it has to have ended first.
                if committed && !was_committed {
                    let events = seen.events.get(&id).map_or(0, Vec::len);
                    if events < 2 {
                        return wrong(format!("{id} is committed and has no file"));
                    }
                    now.ended = true;
                    now.claimed = events == 3;
                }
            }
            (None, Some(file)) => {
                if !committed || was_committed {
                    return wrong(format!("{id} is {} and has a new file", ticket.state));
                }
                if file.size != ticket.size || file.owner != ticket.owner {
                    return wrong(format!("{id} is not the file that was declared: {file:?}"));
                }
                let tail = file.key.split_once(&format!("/{}/{id}.", ticket.slot));
                let epoch = tail.and_then(|(_, tail)| tail.split('.').next()?.parse().ok());
                if epoch != Some(ticket.epoch) {
                    return wrong(format!(
                        "{id} is at epoch {} and at {}",
                        ticket.epoch, file.key
                    ));
                }
            }
            (Some(_), None) if now.ended => {}
            (Some(_), None) => {
                // Ended and purged within one step.
                now.ended = true;
                now.claimed = seen.events.get(&id).map_or(0, Vec::len) == 3;
            }
            (Some(then), Some(file)) => {
                if then.claimed && file.reference != then.reference {
                    return wrong(format!("{id} was claimed and moved: {then:?} {file:?}"));
                }
            }
        }
        if let Some(file) = after {
            now.ended = !file.ended.is_empty();
            now.why = Some(file.ended.clone()).filter(|why| !why.is_empty());
            now.claimed = file.claimed;
        }
        if kept.claimed && !now.claimed {
            return wrong(format!("{id} is no longer claimed"));
        }
        if kept.ended && !now.ended {
            return wrong(format!("{id} lives again"));
        }
        if now.claimed && !kept.claimed {
            let reference = after.map(|file| file.reference.as_str());
            let asked = causes.iter().any(|act| {
                matches!(act, Did::Claim { ids, reference: to, .. }
                    if ids.contains(&id) && reference.is_none_or(|it| it == *to))
            });
            if !asked {
                return wrong(format!("nobody claimed {id}: {after:?}"));
            }
        }
        if now.ended && !kept.ended {
            self.ended(id, ticket, before, after, causes, sight, seen)?;
        }
        self.kept.insert(id, now);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "all that an end depends on")]
    fn ended(
        &self,
        id: Id,
        ticket: &TicketSeen,
        before: Option<&FileSeen>,
        after: Option<&FileSeen>,
        causes: &[Did],
        sight: Sight,
        seen: &Seen,
    ) -> Wrong {
        let deleted = causes
            .iter()
            .any(|act| matches!(act, Did::Delete { id: it, .. } if *it == id));
        let reference = before.map_or(&ticket.reference, |file| &file.reference);
        let rule = rule_of(&ticket.slot);
        let replaced = rule.replaces
            && seen.tickets.iter().any(|(other, newer)| {
                *other != id
                    && newer.state == "committed"
                    && newer.slot == ticket.slot
                    && newer.owner == ticket.owner
                    && newer.reference == *reference
                    && self
                        .before
                        .tickets
                        .get(other)
                        .is_none_or(|then| then.state == "open")
            });
        let oldest = before.is_none_or(|victim| {
            seen.files
                .iter()
                .filter(|(other, file)| {
                    **other != id
                        && file.ended.is_empty()
                        && file.slot == victim.slot
                        && file.owner == victim.owner
                        && file.reference == *reference
                        && self
                            .before
                            .files
                            .get(*other)
                            .is_some_and(|then| then.reference == *reference)
                })
                .all(|(other, file)| (file.committed_at, *other) > (victim.committed_at, id))
        });
        let unclaimed = rule.unclaimed.is_some_and(|ttl| {
            let since = before.or(after).map_or(i64::MIN, |file| file.committed_at);
            !before.is_some_and(|file| file.claimed) && sight.now >= since + ttl * 1000
        });
        let may = match after.map(|file| file.ended.as_str()) {
            Some("deleted") => deleted,
            Some("replaced") => replaced && oldest,
            Some("unclaimed") => unclaimed,
            Some(_) => false,
            None => deleted || replaced || unclaimed,
        };
        if may {
            Ok(())
        } else {
            wrong(format!("the file {id} in {} ended: {after:?}", ticket.slot))
        }
    }

    /// Law 5: one event for each end and claim, in a row from 1.
    fn told_once(&self, id: Id, seen: &Seen) -> Wrong {
        let ticket = &seen.tickets[&id];
        let kept = &self.kept[&id];
        let none = Vec::new();
        let told = seen.events.get(&id).unwrap_or(&none);
        let mut due = Vec::new();
        if ticket.state != "open" {
            due.push(format!("ticket.{}", ticket.state));
        }
        if kept.claimed {
            due.push("file.claimed".to_owned());
        }
        if kept.ended {
            due.push("file.deleted".to_owned());
        }
        let due: Vec<(i64, String)> = (1..).zip(due).collect();
        if *told == due {
            Ok(())
        } else {
            wrong(format!("law 5: of {id} {told:?} is told, {due:?} is true"))
        }
    }

    /// What is true however much went wrong: no answer lies.
    fn truthful(&self, act: &Did, sight: Sight, seen: &Seen) -> Wrong {
        if refusal(act) == Some("internal") {
            return wrong(format!("{act:?}: our fault"));
        }
        let state = |id: &Id| seen.tickets.get(id).map_or("none", |t| t.state.as_str());
        let expect = |id: &Id, wanted: &str| {
            let is = state(id);
            if is == wanted {
                Ok(())
            } else {
                wrong(format!("{act:?} was told {wanted}, {id} is {is}"))
            }
        };
        let ended = |id: &Id| self.kept.get(id).is_some_and(|kept| kept.ended);
        match act {
            Did::Mint {
                told: Told::Done(files),
                ..
            } => {
                let lost = files.iter().flatten().find(|id| state(id) == "none");
                lost.map_or(Ok(()), |id| wrong(format!("{act:?}: there is no {id}")))
            }
            Did::Complete { id, told } => match told {
                Told::Done(said) if said != "open" => expect(id, said),
                Told::Refused(code) => match code.as_str() {
                    "content-rejected" => expect(id, "rejected"),
                    "ticket-expired" => expect(id, "expired"),
                    "ticket-closed" => expect(id, "cancelled"),
                    _ => Ok(()),
                },
                _ => Ok(()),
            },
            Did::Look {
                id,
                told: Told::Done(said),
            } if said != "open" => expect(id, said),
            Did::Cancel {
                id,
                told: Told::Done(()),
            } => expect(id, "cancelled"),
            Did::Delete {
                id,
                told: Told::Done(()),
            } if !ended(id) => wrong(format!("{act:?}: it lives")),
            Did::Claim {
                ids,
                told: Told::Done(()),
                ..
            } => match ids.iter().find(|id| !self.kept[*id].claimed) {
                Some(id) => wrong(format!("{act:?}: {id} is not claimed")),
                None => Ok(()),
            },
            Did::Fetch {
                id,
                told: Told::Done(bytes),
            } => self.served(*id, bytes, sight, seen),
            _ => Ok(()),
        }
    }

    /// What is served is what somebody put under that ticket, and lawful.
    pub fn served(&self, id: Id, bytes: &[u8], _: Sight, seen: &Seen) -> Wrong {
        let (Some(kept), Some(ticket)) = (self.kept.get(&id), seen.tickets.get(&id)) else {
            return wrong(format!("{id} is served and unknown"));
        };
        let rule = rule_of(&ticket.slot);
        let known = if rule.parts {
            bytes.len() as u64 == declared(rule)
                && (0..PARTS).all(|n| {
                    kept.parts_ever[n].iter().any(|fill| {
                        let part = crate::rules::part_bytes(n, *fill);
                        let at = n * usize::try_from(crate::rules::PART).unwrap_or(0);
                        bytes.get(at..at + part.len()) == Some(&part[..])
                    })
                })
        } else {
            let mut lawful = kept.ever.iter().filter(|content| content.is_lawful());
            lawful.any(|content| *content.bytes() == *bytes)
        };
        if known {
            Ok(())
        } else {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            wrong(format!(
                "a reader of {id} got {} bytes: {shown:?}",
                bytes.len()
            ))
        }
    }

    /// In a step that nothing disturbed: the one right answer.
    fn foretold(&self, act: &Did, sight: Sight, seen: &Seen) -> Wrong {
        let right = |told: &dyn std::fmt::Debug, is: bool, due: &str| {
            if is {
                Ok(())
            } else {
                wrong(format!("{act:?} was told {told:?}, due was {due}"))
            }
        };
        let before = |id: &Id| self.before.tickets.get(id);
        let file = |id: &Id| self.before.files.get(id).filter(|f| f.ended.is_empty());
        match act {
            Did::Mint {
                slot,
                owner,
                reference,
                count,
                told,
            } => {
                let due = self.mint(slot, owner, reference, *count, sight.now);
                let got = match told {
                    Told::Done(files) => files
                        .iter()
                        .map(|file| file.as_ref().map(|_| ()).map_err(Clone::clone))
                        .collect(),
                    other => return right(other, false, &format!("{due:?}")),
                };
                let got: Vec<Result<(), String>> = got;
                right(told, got == due, &format!("{due:?}"))
            }
            Did::Complete { id, told } => {
                let Some(ticket) = before(id) else {
                    return Ok(());
                };
                // On a slow machine the answer may be that it takes longer.
                let slow = *told == Told::Done("open".into());
                match self.complete(*id, ticket, sight).filter(|_| !slow) {
                    None => Ok(()),
                    Some(due) => right(told, *told == due, &format!("{due:?}")),
                }
            }
            Did::Cancel { id, told } => {
                let due = match before(id).map(|t| t.state.as_str()) {
                    Some("open" | "cancelled") => Told::Done(()),
                    Some("rejected") => Told::Refused("content-rejected".into()),
                    Some("expired") => Told::Refused("ticket-expired".into()),
                    _ => Told::Refused("ticket-closed".into()),
                };
                right(told, *told == due, &format!("{due:?}"))
            }
            Did::Delete { id, told } => {
                let due = if self.before.files.contains_key(id) {
                    Told::Done(())
                } else {
                    Told::Refused("not-found".into())
                };
                right(told, *told == due, &format!("{due:?}"))
            }
            Did::Claim {
                owner,
                ids,
                reference,
                told,
            } => {
                let due = self.claim(owner, ids, reference);
                right(told, *told == due, &format!("{due:?}"))
            }
            Did::Look { id, told } => {
                let due = before(id).map(|t| Told::Done(t.state.clone()));
                right(told, Some(told) == due.as_ref(), &format!("{due:?}"))
            }
            Did::List { slot, owner, told } => {
                let mut live: Vec<(i64, Id)> = seen
                    .files
                    .iter()
                    .filter(|(_, f)| f.slot == *slot && f.owner == *owner && f.ended.is_empty())
                    .map(|(id, f)| (f.committed_at, *id))
                    .collect();
                live.sort_unstable();
                let due = Told::Done(live.into_iter().rev().map(|(_, id)| id).collect());
                right(told, *told == due, &format!("{due:?}"))
            }
            Did::Fetch { id, told } => {
                let got = matches!(told, Told::Done(_));
                right(&got, got == file(id).is_some(), "the file, if it lives")
            }
            Did::Put { .. } | Did::PutPart { .. } | Did::Notify { .. } | Did::Sign | Did::Turn => {
                Ok(())
            }
        }
    }

    fn mint(
        &self,
        slot: &str,
        owner: &str,
        reference: &str,
        count: usize,
        now: i64,
    ) -> Vec<Result<(), String>> {
        let rule = rule_of(slot);
        let size = i64::try_from(declared(rule)).unwrap_or(i64::MAX);
        let mine: Vec<&TicketSeen> = self
            .before
            .tickets
            .values()
            .filter(|t| t.owner == owner)
            .collect();
        let mut live = mine.iter().filter(|t| t.state == "open").count()
            + mine
                .iter()
                .filter(|t| matches!(t.state.as_str(), "rejected" | "cancelled"))
                .filter(|t| t.closed_at + URL_TTL * 1000 > now)
                .count();
        let open_here = mine
            .iter()
            .filter(|t| t.state == "open" && t.slot == slot && t.reference == reference)
            .count();
        let files_here = self.live(slot, owner, Some(reference));
        let [open_owner, files_owner] = [
            mine.iter()
                .filter(|t| t.state == "open" && t.slot == slot)
                .map(|t| t.size)
                .sum::<i64>(),
            self.before
                .files
                .values()
                .filter(|f| f.slot == slot && f.owner == owner && f.ended.is_empty())
                .map(|f| f.size)
                .sum(),
        ];
        let most = usize::try_from(rule.max_entries).unwrap_or(usize::MAX);
        let (mut open, mut old) = (open_here, open_here);
        // What replaces needs an older pick to give way, and not one of its own batch.
        let full = |open: usize, old: usize| {
            if rule.replaces {
                open >= most && old == 0
            } else {
                open + files_here >= most
            }
        };
        let mut bytes = open_owner + if rule.replaces { 0 } else { files_owner };
        let mut answers = Vec::new();
        for _ in 0..count {
            let answer = if live >= LIVE as usize {
                Err("too-many-open-tickets")
            } else if full(open, old) {
                Err("slot-full")
            } else if rule.quota.is_some_and(|quota| bytes + size > quota) {
                Err("quota-exceeded")
            } else {
                Ok(())
            };
            if answer.is_ok() {
                if rule.replaces && open >= most {
                    // The oldest gives way; it counts as live for a while.
                    open -= 1;
                    old -= 1;
                } else {
                    bytes += size;
                }
                open += 1;
                live += 1;
            }
            answers.push(answer.map_err(str::to_owned));
        }
        answers
    }

    /// How many live files there are.
    fn live(&self, slot: &str, owner: &str, reference: Option<&str>) -> usize {
        let files = self.before.files.values();
        files
            .filter(|f| f.slot == slot && f.owner == owner && f.ended.is_empty())
            .filter(|f| reference.is_none_or(|reference| f.reference == reference))
            .count()
    }

    fn complete(&self, id: Id, ticket: &TicketSeen, sight: Sight) -> Option<Told<String>> {
        let refused = |code: &str| Some(Told::Refused(code.to_owned()));
        match ticket.state.as_str() {
            "committed" => return Some(Told::Done("committed".into())),
            "rejected" => return refused("content-rejected"),
            "expired" => return refused("ticket-expired"),
            "cancelled" => return refused("ticket-closed"),
            _ => {}
        }
        let kept = self.kept.get(&id)?;
        let rule = rule_of(&ticket.slot);
        let late = sight.now >= ticket.expires_at + GRACE * 1000;
        let (certain, lawful, missing) = if rule.parts {
            let certain = kept.parts_now.iter().all(|part| part.len() == 1);
            let there = kept.parts_now.iter().all(|part| !part.contains(&None));
            (certain, there.then_some(true), "parts-missing")
        } else {
            let content = kept.now.iter().next().copied().flatten();
            let lawful = content.map(Content::is_lawful);
            (kept.now.len() == 1, lawful, "object-missing")
        };
        match (certain, lawful) {
            (false, _) => None,
            (true, Some(true)) => Some(Told::Done("committed".into())),
            (true, Some(false)) => refused("content-rejected"),
            (true, None) if late => refused("ticket-expired"),
            (true, None) => refused(missing),
        }
    }

    fn claim(&self, owner: &str, ids: &[Id], reference: &str) -> Told<()> {
        let refused = |code: &str| Told::Refused(code.to_owned());
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut moving: BTreeMap<&str, usize> = BTreeMap::new();
        let files: Vec<Option<&FileSeen>> = ids
            .iter()
            .map(|id| self.before.files.get(id))
            .map(|file| file.filter(|f| f.ended.is_empty() && f.owner == owner))
            .collect();
        for file in &files {
            let Some(file) = file else {
                return refused("not-found");
            };
            let taken = file.claimed || !file.reference.is_empty();
            if taken && file.reference != reference {
                // Unless a later one is not there at all, which is asked before.
                return if files.iter().all(Option::is_some) {
                    refused("claim-conflict")
                } else {
                    refused("not-found")
                };
            }
            if file.reference != reference {
                *moving.entry(&file.slot).or_default() += 1;
            }
        }
        for (slot, more) in moving {
            let rule = rule_of(slot);
            let open = self.before.tickets.values().filter(|t| {
                t.state == "open"
                    && t.slot == slot
                    && t.owner == owner
                    && t.reference == reference
                    && !rule.replaces
            });
            let used = open.count() + self.live(slot, owner, Some(reference));
            if used + more > usize::try_from(rule.max_entries).unwrap_or(usize::MAX) {
                return refused("slot-full");
            }
        }
        Told::Done(())
    }

    /// Takes in what was put.
    fn learn(&mut self, did: &[Did], sight: Sight) {
        let mut fresh: BTreeMap<Id, usize> = BTreeMap::new();
        for act in did {
            if let Did::Put { id, .. } = act {
                *fresh.entry(*id).or_default() += 1;
            }
        }
        for act in did {
            match act {
                Did::Put { id, content, told } if !matches!(told, Told::Refused(_)) => {
                    let Some(kept) = self.kept.get_mut(id) else {
                        continue;
                    };
                    kept.ever.insert(*content);
                    if fresh[id] == 1 && *told == Told::Done(()) {
                        kept.now.clear();
                    }
                    kept.now.insert(Some(*content));
                }
                Did::PutPart {
                    id,
                    number,
                    fill,
                    told,
                } if !matches!(told, Told::Refused(_)) => {
                    let Some(kept) = self.kept.get_mut(id) else {
                        continue;
                    };
                    kept.parts_ever[*number].insert(*fill);
                    if *told == Told::Done(()) && sight.clear {
                        kept.parts_now[*number].clear();
                    }
                    kept.parts_now[*number].insert(Some(*fill));
                }
                _ => {}
            }
        }
        if sight.denied {
            // A store that denies an upload makes the broker begin another.
            for kept in self.kept.values_mut() {
                for part in &mut kept.parts_now {
                    part.insert(None);
                }
            }
        }
    }
}

fn is_lost(act: &Did) -> bool {
    match act {
        Did::Mint { told, .. } => *told == Told::Nothing,
        Did::Put { told, .. }
        | Did::PutPart { told, .. }
        | Did::Cancel { told, .. }
        | Did::Delete { told, .. }
        | Did::Claim { told, .. } => *told == Told::Nothing,
        _ => false,
    }
}

/// The code of a refusal.
fn refusal(act: &Did) -> Option<&str> {
    let told = match act {
        Did::Mint { told, .. } => return code(told),
        Did::Complete { told, .. } | Did::Look { told, .. } => return code(told),
        Did::List { told, .. } => return code(told),
        Did::Fetch { told, .. } => return code(told),
        Did::Put { told, .. }
        | Did::PutPart { told, .. }
        | Did::Cancel { told, .. }
        | Did::Delete { told, .. }
        | Did::Claim { told, .. } => told,
        Did::Notify { .. } | Did::Sign | Did::Turn => return None,
    };
    code(told)
}

fn code<T>(told: &Told<T>) -> Option<&str> {
    match told {
        Told::Refused(code) => Some(code),
        Told::Done(_) | Told::Nothing => None,
    }
}

fn same_scope(a: &TicketSeen, b: &TicketSeen) -> bool {
    (&a.slot, &a.owner, &a.reference) == (&b.slot, &b.owner, &b.reference)
}
