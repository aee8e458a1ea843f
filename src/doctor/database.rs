//! The database: reachable, of this release's schema, writable, and its clock.

use super::finding::{Finding, Group, Status};
use crate::clock::Clock;
use crate::db::{self, DbError, Examined, Place};
use crate::domain::time::{Seconds, Timestamp};

const GROUP: Group = Group::Database;

/// How far apart clocks may be before it is said, and before it does harm, in seconds.
const NOTABLE: i64 = 30;
const HARMFUL: i64 = 300;

pub(super) async fn examine(settings: &db::Settings) -> Vec<Finding> {
    let asked = Clock::System.now();
    match db::examine(settings).await {
        Ok(examined) => findings(&examined, asked, Clock::System.now()),
        Err(why) => vec![
            Finding::fail(GROUP, "reachable", words(&why), reach(&settings.place)),
            Finding::skip(GROUP, "schema", "not looked at: the database comes first"),
        ],
    }
}

/// What the database said, without the layers around it.
fn words(why: &DbError) -> String {
    let (DbError::Unavailable(text)
    | DbError::Contended(text)
    | DbError::ReadOnly(text)
    | DbError::Inconsistent(text)
    | DbError::Refused(text)) = why;
    text.replace("the database is unavailable: ", "")
        .replace("the database is read-only: ", "")
        .replace("others write there: ", "")
        .replace("error returned from database: ", "")
}

fn reach(place: &Place) -> &'static str {
    match place {
        Place::Sqlite { .. } => {
            "`putgate setup` makes a database that is not there; the user that Putgate runs as \
             has to be able to read and write the file and its directory"
        }
        Place::Postgres { .. } => {
            "is the server running, and are host, name, user and password of [database] url right?"
        }
    }
}

fn findings(examined: &Examined, asked: Timestamp, answered: Timestamp) -> Vec<Finding> {
    let mut found = vec![Finding::pass(GROUP, "reachable", examined.name.clone())];
    let (schema, wanted) = (examined.schema, examined.wanted);
    let runs_on = format!("this release runs on {wanted} and {}", wanted + 1);
    if schema < wanted {
        let seen = format!("{schema}, and {runs_on}");
        found.push(Finding::fail(GROUP, "schema", seen, "run `putgate setup`"));
    } else if schema > wanted + 1 {
        found.push(Finding::fail(
            GROUP,
            "schema",
            format!("{schema}, and {runs_on}"),
            "it belongs to a newer release: run that one",
        ));
    } else {
        found.push(Finding::pass(
            GROUP,
            "schema",
            format!("{schema}; {runs_on}"),
        ));
        found.push(match &examined.writes {
            Ok(()) => Finding::pass(GROUP, "writes", "a row was written and taken back"),
            Err(why) => Finding::fail(
                GROUP,
                "writes",
                format!("it can be read and not written: {}", words(why)),
                "make room on its disk, where that is full; else give Putgate's user the right \
                 to write: to the file and its directory on SQLite, to the tables on a \
                 PostgreSQL server that is no standby",
            ),
        });
    }
    found.push(match examined.clock {
        None => Finding::pass(GROUP, "clock", "this machine's own"),
        Some(theirs) => clock(GROUP, "the server", theirs, (asked, answered)),
    });
    found
}

/// What another clock's difference means, whose time was told between the two moments of
/// ours; HTTP dates are whole seconds, cut off.
pub(super) fn clock(
    group: Group,
    whose: &str,
    theirs: Timestamp,
    (asked, answered): (Timestamp, Timestamp),
) -> Finding {
    let nearest = theirs.clamp(asked.minus(Seconds(1)), answered.max(asked));
    let ahead = nearest.seconds_until(theirs);
    let (off, side) = (ahead.abs(), if ahead < 0 { "behind" } else { "ahead of" });
    let seen = if off < 2 {
        format!("{whose} and this machine agree")
    } else {
        format!("{whose} is {off} s {side} this machine")
    };
    let fix = "let NTP keep the time on both: signed URLs, tokens and deadlines go by it";
    match off {
        0..=NOTABLE => Finding::pass(group, "clock", seen),
        ..=HARMFUL => Finding::warn(group, "clock", seen, fix),
        _ => Finding {
            status: Status::Fail,
            ..Finding::warn(group, "clock", seen, fix)
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn half_a_minute_is_said_and_five_minutes_are_a_failure() {
        // Asked at 1000 s, answered at 1010 s.
        for (theirs, status, words) in [
            (1000, Status::Pass, "agree"),
            (999, Status::Pass, "agree"),
            (1010, Status::Pass, "agree"),
            (1040, Status::Pass, "30 s ahead of"),
            (968, Status::Warn, "31 s behind"),
            (1310, Status::Warn, "300 s ahead of"),
            (698, Status::Fail, "301 s behind"),
        ] {
            let ours = (at(1000), at(1010));
            let finding = clock(Group::Storage, "the store", at(theirs), ours);
            assert_eq!(finding.status, status, "{theirs}");
            assert!(finding.seen.contains(words), "{finding:?}");
        }
    }

    #[test]
    fn another_schema_and_a_refused_write_are_failures() {
        let examined = |schema, writes: Result<(), DbError>| Examined {
            name: "SQLite, x".into(),
            schema,
            wanted: 3,
            writes,
            clock: None,
        };
        for (schema, writes, failed) in [
            (3, Ok(()), None),
            (4, Ok(()), None),
            (2, Ok(()), Some("schema")),
            (5, Ok(()), Some("schema")),
            (
                3,
                Err(DbError::ReadOnly("read-only".into())),
                Some("writes"),
            ),
        ] {
            let found = findings(&examined(schema, writes), at(0), at(0));
            let first = found.iter().find(|finding| finding.status == Status::Fail);
            assert_eq!(first.map(|finding| finding.check), failed, "{schema}");
        }
    }
}
