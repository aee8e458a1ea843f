//! What the store ends by itself: in staging what is older than any ticket, in the files bucket
//! nothing.

use super::Bench;
use super::finding::{Finding, Group};
use crate::domain::slot::SEVEN_DAYS;
use crate::store::{Bucket, EndRule, StoreError};

const GROUP: Group = Group::Storage;

/// How long a ticket may live that is signed again and again, in days.
const LONGEST: u32 = SEVEN_DAYS.0.div_ceil(24 * 3600);

/// What the rules of a bucket mean.
pub(super) async fn examine(bench: &Bench<'_>, bucket: Bucket) -> Finding {
    let rules = bench.store.lifecycle(bucket).await;
    match (rules, bucket) {
        (Ok(rules), Bucket::Staging) => staging(rules.as_deref()),
        (Ok(rules), Bucket::Files) => files(&rules.unwrap_or_default()),
        (Err(why), _) => unread(bucket, &why),
    }
}

fn unread(bucket: Bucket, why: &StoreError) -> Finding {
    Finding::warn(
        GROUP,
        "lifecycle",
        format!("the rules of the {bucket} cannot be read: {why}"),
        "give the server's key what `putgate setup --print iam --provider …` says; `putgate \
         setup --print lifecycle` says what they should be",
    )
}

/// `None`: the store has no such rules.
fn staging(rules: Option<&[EndRule]>) -> Finding {
    let Some(rules) = rules else {
        return Finding::warn(
            GROUP,
            "lifecycle",
            "this store has no lifecycle rules",
            "nothing has to be done while Putgate runs: it cleans staging itself, and the rule \
             is a net below that",
        );
    };
    let on = || rules.iter().filter(|rule| rule.is_on);
    let of_tickets = on().filter(|rule| may_begin_an_id(&rule.prefix));
    let ends = of_tickets.flat_map(|rule| [rule.objects, rule.uploads]);
    if let Some(days) = ends.flatten().min().filter(|days| *days < LONGEST) {
        let when = when(days);
        return Finding::fail(
            GROUP,
            "lifecycle",
            format!("a rule of staging ends uploads {when}, and a ticket may live {LONGEST} days"),
            "`putgate setup` puts its own in the place of all rules of staging; or lengthen it \
             to 14 days",
        );
    }
    let covers = |ends: fn(&EndRule) -> Option<u32>| {
        on().any(|rule| rule.prefix.is_empty() && !rule.is_narrow && ends(rule).is_some())
    };
    match (covers(|rule| rule.objects), covers(|rule| rule.uploads)) {
        (true, true) => Finding::pass(
            GROUP,
            "lifecycle",
            "staging forgets old objects and unfinished multipart uploads by itself",
        ),
        (true, false) => Finding::warn(
            GROUP,
            "lifecycle",
            "staging forgets old objects by itself, and no unfinished multipart uploads",
            "where the store has no rule for them (MinIO), start it with \
             MINIO_API_STALE_UPLOADS_EXPIRY=336h, as `putgate setup` says",
        ),
        (false, _) => Finding::warn(
            GROUP,
            "lifecycle",
            if rules.is_empty() {
                "staging has no rule to forget what is old"
            } else {
                "staging has no rule in force that forgets every old object"
            },
            "`putgate setup` sets it; or `putgate setup --print lifecycle --provider …`",
        ),
    }
}

fn files(rules: &[EndRule]) -> Finding {
    let ends = rules.iter().filter(|rule| rule.is_on);
    match ends.filter_map(|rule| rule.objects).min() {
        None => Finding::pass(
            GROUP,
            "lifecycle",
            "no rule of the files bucket ends a file",
        ),
        Some(days) => Finding::fail(
            GROUP,
            "lifecycle",
            format!("a rule of the files bucket ends files {}", when(days)),
            "remove it: only Putgate may end a file, or its rows name what is not there \
             (`putgate audit` tells which)",
        ),
    }
}

fn when(days: u32) -> String {
    match days {
        0 => "from a date on".to_owned(),
        1 => "after 1 day".to_owned(),
        days => format!("after {days} days"),
    }
}

/// Whether a ticket's key, which is its id, may begin so.
fn may_begin_an_id(prefix: &str) -> bool {
    let fits = |c: char| matches!(c, '0'..='9' | 'a'..='f' | '-');
    prefix.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    fn rule(prefix: &str, objects: Option<u32>, uploads: Option<u32>) -> EndRule {
        EndRule {
            is_on: true,
            prefix: prefix.to_owned(),
            is_narrow: false,
            objects,
            uploads,
        }
    }

    fn off(rule: EndRule) -> EndRule {
        EndRule {
            is_on: false,
            ..rule
        }
    }

    fn narrow(rule: EndRule) -> EndRule {
        EndRule {
            is_narrow: true,
            ..rule
        }
    }

    #[test]
    fn staging_has_to_forget_everything_and_nothing_that_a_ticket_may_still_fill() {
        use Status::{Fail, Pass, Warn};
        let ours = || rule("", Some(14), Some(14));
        for (rules, status, words) in [
            (vec![ours()], Pass, "by itself"),
            (vec![rule("", Some(7), Some(7))], Pass, "by itself"),
            (
                vec![rule("", Some(14), None), rule("", None, Some(14))],
                Pass,
                "by itself",
            ),
            (vec![rule("", Some(14), None)], Warn, "no unfinished"),
            (vec![], Warn, "no rule to forget"),
            (vec![off(ours())], Warn, "no rule in force"),
            (vec![narrow(ours())], Warn, "no rule in force"),
            (vec![rule("tmp/", Some(14), None)], Warn, "no rule in force"),
            (vec![rule("", Some(6), None)], Fail, "after 6 days"),
            (
                vec![ours(), rule("01", Some(1), None)],
                Fail,
                "after 1 day,",
            ),
            (
                vec![ours(), narrow(rule("", Some(0), None))],
                Fail,
                "from a date on",
            ),
            (vec![rule("", Some(14), Some(1))], Fail, "after 1 day,"),
            (vec![ours(), rule("tmp/", Some(1), None)], Pass, "by itself"),
            (
                vec![ours(), off(rule("", Some(1), None))],
                Pass,
                "by itself",
            ),
        ] {
            let finding = staging(Some(&rules));
            assert_eq!(finding.status, status, "{rules:?}");
            assert!(finding.seen.contains(words), "{finding:?}");
        }
        assert_eq!(staging(None).status, Warn);
    }

    #[test]
    fn no_rule_may_end_a_file() {
        for (rules, status) in [
            (vec![], Status::Pass),
            (vec![rule("", None, Some(1))], Status::Pass),
            (vec![off(rule("", Some(1), None))], Status::Pass),
            (vec![rule("", Some(3650), None)], Status::Fail),
            (vec![narrow(rule("acme/", Some(30), None))], Status::Fail),
        ] {
            assert_eq!(files(&rules).status, status, "{rules:?}");
        }
    }
}
