//! What was seen, and how it is shown: to a person as aligned lines, to a program as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// What a finding is about, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The configuration itself.
    Configuration,
    /// The database.
    Database,
    /// The store, as this server reaches it.
    Storage,
    /// The store, as a browser reaches it.
    Browser,
    /// What the URLs that browsers get can do.
    Uploads,
    /// From staging to the files bucket, and out again.
    Files,
    /// The receiver of events.
    Events,
}

impl Group {
    /// Its heading, and its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Database => "database",
            Self::Storage => "storage",
            Self::Browser => "browser",
            Self::Uploads => "uploads",
            Self::Files => "files",
            Self::Events => "events",
        }
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Pass,
    /// Putgate works, with less than it could have.
    Warn,
    /// Putgate does not work so, or not safely.
    Fail,
    /// Not looked at, because something before it failed.
    Skip,
}

impl Status {
    /// As a line begins.
    const fn word(self) -> &'static str {
        match self {
            Self::Pass => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skip => "-",
        }
    }

    /// As JSON spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// One check: what was seen, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub group: Group,
    /// The check's name.
    pub check: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was seen, in one sentence without secrets.
    pub seen: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn pass(group: Group, check: &'static str, seen: impl Into<String>) -> Self {
        Self {
            group,
            check,
            status: Status::Pass,
            seen: seen.into(),
            fix: None,
        }
    }

    /// It works, with less than it could have.
    pub fn warn(
        group: Group,
        check: &'static str,
        seen: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            status: Status::Warn,
            fix: Some(fix.into()),
            ..Self::pass(group, check, seen)
        }
    }

    /// It does not work, or not safely.
    pub fn fail(
        group: Group,
        check: &'static str,
        seen: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            status: Status::Fail,
            ..Self::warn(group, check, seen, fix)
        }
    }

    /// It was not looked at.
    pub fn skip(group: Group, check: &'static str, why: impl Into<String>) -> Self {
        Self {
            status: Status::Skip,
            ..Self::pass(group, check, why)
        }
    }

    /// Whether nothing behind it can be seen.
    pub(super) fn is_in_the_way(&self) -> bool {
        self.status == Status::Fail && self.check != "clock" && self.check != "lifecycle"
    }
}

/// All findings, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Those of one group are neighbours.
    pub findings: Vec<Finding>,
}

/// How wide a line may be.
const WIDTH: usize = 100;
/// Where what was seen begins.
const SEEN: usize = 26;

impl Report {
    /// Adds what a group of checks found.
    pub fn add(&mut self, findings: Vec<Finding>) {
        self.findings.extend(findings);
    }

    /// How many ended so.
    pub fn count(&self, status: Status) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.status == status)
            .count()
    }

    /// For a program.
    pub fn json(&self) -> Value {
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "group": finding.group.as_str(),
                    "check": finding.check,
                    "status": finding.status.as_str(),
                    "seen": finding.seen,
                    "fix": finding.fix,
                })
            })
            .collect();
        json!({
            "status": self.worst().as_str(),
            "passed": self.count(Status::Pass),
            "warnings": self.count(Status::Warn),
            "failures": self.count(Status::Fail),
            "skipped": self.count(Status::Skip),
            "findings": findings,
        })
    }

    fn worst(&self) -> Status {
        [Status::Fail, Status::Warn]
            .into_iter()
            .find(|status| self.count(*status) > 0)
            .unwrap_or(Status::Pass)
    }

    /// For a person: a heading for each group, a line for each check, and below it the fix.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut group = None;
        for finding in &self.findings {
            if group != Some(finding.group) {
                let gap = if group.is_some() { "\n" } else { "" };
                let _ = writeln!(out, "{gap}{}", finding.group.as_str());
                group = Some(finding.group);
            }
            let start = format!("  {:<4}  {:<17}", finding.status.word(), finding.check);
            out.push_str(&wrapped(&start, &finding.seen, SEEN));
            if let Some(fix) = &finding.fix {
                out.push_str(&wrapped(&format!("{:SEEN$}fix: ", ""), fix, SEEN + 5));
            }
        }
        let _ = writeln!(out, "\n{}", self.summary());
        out
    }

    fn summary(&self) -> String {
        let counted = |status, one: &str, many: &str| match self.count(status) {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {many}")),
        };
        let parts = [
            counted(Status::Fail, "failure", "failures"),
            counted(Status::Warn, "warning", "warnings"),
            counted(Status::Skip, "check not made", "checks not made"),
            Some(format!("{} ok", self.count(Status::Pass))),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Text behind a line's start, its further lines indented; a word is never broken.
fn wrapped(start: &str, text: &str, indent: usize) -> String {
    let mut out = format!("{start:<indent$}");
    let mut column = out.chars().count();
    let mut is_first = true;
    for word in text.split(' ') {
        let length = word.chars().count();
        if !is_first && column + 1 + length > WIDTH {
            let _ = write!(out, "\n{:indent$}", "");
            column = indent;
        } else if !is_first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        is_first = false;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.add(vec![
            Finding::pass(Group::Database, "schema", "1"),
            Finding::fail(
                Group::Storage,
                "region",
                "the store is in garage, and requests are signed for us-east-1, which it refuses, every one of them",
                "region = \"garage\" in [storage]",
            ),
        ]);
        report
    }

    #[test]
    fn a_person_reads_aligned_lines_with_the_fix_below() {
        let expected = "\
database
  ok    schema            1

storage
  FAIL  region            the store is in garage, and requests are signed for us-east-1, which it
                          refuses, every one of them
                          fix: region = \"garage\" in [storage]

1 failure, 1 ok
";
        assert_eq!(report().text(), expected);
    }

    #[test]
    fn a_program_reads_every_finding_and_the_worst_of_them() {
        let json = report().json();
        assert_eq!(
            (&json["status"], &json["failures"]),
            (&json!("fail"), &json!(1))
        );
        assert_eq!(json["findings"][1]["check"], "region");
        assert_eq!(json["findings"][0]["fix"], Value::Null);
        assert_eq!(Report::default().json()["status"], "pass");
    }
}
