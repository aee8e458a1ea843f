//! Law 4, added up from the rows.

use std::collections::BTreeMap;

use crate::rules::{Rule, rule_of};
use crate::watcher::Seen;

/// The usage rows are what tickets and files come to.
pub fn added_up(seen: &Seen) -> Result<(), String> {
    let mut sums: BTreeMap<String, [i64; 4]> = BTreeMap::new();
    let mut post = |slot: &str, owner: &str, reference: &str, more: [i64; 4]| {
        // The tenant is cut from both sides.
        for account in [
            format!("\"{owner}\",\"{slot}\",\"{reference}\"]"),
            format!("\"{owner}\",\"{slot}\"]"),
            format!("null,\"{slot}\"]"),
            format!("\"{owner}\"]"),
        ] {
            let sum = sums.entry(account).or_default();
            for (sum, more) in sum.iter_mut().zip(more) {
                *sum += more;
            }
        }
    };
    for t in seen.tickets.values().filter(|t| t.state == "open") {
        post(&t.slot, &t.owner, &t.reference, [1, 0, t.size, 0]);
    }
    for f in seen.files.values().filter(|f| f.ended.is_empty()) {
        post(&f.slot, &f.owner, &f.reference, [0, 1, 0, f.size]);
    }
    for (account, usage) in &seen.usage {
        let tail = account.split_once(',').map_or("", |(_, tail)| tail);
        let sum = sums.remove(tail).unwrap_or_default();
        if sum != *usage {
            return Err(format!(
                "law 4: {account} says {usage:?}, its rows add up to {sum:?}"
            ));
        }
    }
    match sums.into_iter().next() {
        Some((account, sum)) => Err(format!("law 4: {sum:?} is not counted in {account}")),
        None => Ok(()),
    }
}

/// No account holds more than its slot allows.
pub fn bounded(seen: &Seen) -> Result<(), String> {
    let mut scopes: BTreeMap<(&str, &str, &str), [i64; 2]> = BTreeMap::new();
    let mut owners: BTreeMap<(&str, &str), [i64; 2]> = BTreeMap::new();
    for t in seen.tickets.values().filter(|t| t.state == "open") {
        scopes.entry((&t.slot, &t.owner, &t.reference)).or_default()[0] += 1;
        owners.entry((&t.slot, &t.owner)).or_default()[0] += t.size;
    }
    for f in seen.files.values().filter(|f| f.ended.is_empty()) {
        scopes.entry((&f.slot, &f.owner, &f.reference)).or_default()[1] += 1;
        owners.entry((&f.slot, &f.owner)).or_default()[1] += f.size;
    }
    let held = |rule: Rule, [open, kept]: [i64; 2]| {
        if rule.replaces {
            open.max(kept)
        } else {
            open + kept
        }
    };
    for (scope, counts) in scopes {
        let rule = rule_of(scope.0);
        if held(rule, counts) > rule.max_entries {
            return Err(format!("law 4: {scope:?} holds {counts:?} entries"));
        }
    }
    for (owner, bytes) in owners {
        let rule = rule_of(owner.0);
        if rule.quota.is_some_and(|quota| held(rule, bytes) > quota) {
            return Err(format!("law 4: {owner:?} holds {bytes:?} bytes"));
        }
    }
    Ok(())
}
