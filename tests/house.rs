//! The laws of the house, checked on the source text of `src/`: which room may use what,
//! and what no room may hold. A failure names the file, the line and the law.

use std::fmt;
use std::fs;
use std::path::Path;

/// The rooms in the order of `src/lib.rs`: each may use those after it, never those before.
const ROOMS: &[&str] = &[
    "main", "cli", "http", "worker", "doctor", "flow", "store", "webhook", "devstore", "db",
    "config", "traces", "sniff", "domain", "clock", "logging", "metrics",
];

/// Arrows that point up in the table, and why they may: `(from, to)`.
const EXCUSED: &[(&str, &str)] = &[
    // A clock tells the time in the domain's words.
    ("clock", "domain"),
];

/// What only some rooms may name.
const RESERVED: &[(&[&str], &[&str], &str)] = &[
    (
        &["axum::", "tower_http::"],
        &["main", "http"],
        "axum belongs to http",
    ),
    (&["sqlx::"], &["db"], "SQL belongs to db"),
    (
        &[
            "aws_sdk_s3::",
            "aws_config::",
            "aws_credential_types::",
            "aws_smithy_",
        ],
        &["store"],
        "the S3 client belongs to store",
    ),
    (
        &["s3s::"],
        &["devstore"],
        "the S3 server belongs to devstore",
    ),
    (&["jsonwebtoken::"], &["http"], "tokens are read in http"),
    (
        &["prometheus_client::"],
        &["metrics"],
        "numbers are kept in metrics",
    ),
    (
        &["opentelemetry"],
        &["traces"],
        "what leaves in traces is listed in traces",
    ),
    (
        &["std::env"],
        &["config"],
        "the environment is read once, in config",
    ),
    (
        &["SystemTime"],
        &["clock"],
        "the wall clock is read in clock",
    ),
];

/// What the pure rooms may not name.
const IMPURE: &[&str] = &[
    "axum::",
    "sqlx::",
    "aws_",
    "s3s::",
    "tokio::",
    "hyper",
    "std::fs",
    "std::net",
    "std::thread",
    "async fn",
    ".await",
    "crate::metrics",
];
const PURE: &[&str] = &["domain", "sniff"];

/// What no file may hold.
const NOWHERE: &[(&[&str], &str)] = &[
    (
        &["#[allow(", "#![allow("],
        "a lint is expected with a reason, never allowed",
    ),
    (
        &["todo!", "unimplemented!", "TODO", "FIXME", "XXX"],
        "nothing is left for later",
    ),
    (&["dbg!("], "nothing is printed for debugging"),
];

const MAX_LINES: usize = 700;
/// Tables of cases are long and flat.
const MAX_TEST_LINES: usize = 1100;

/// One broken law.
#[derive(Debug, PartialEq)]
struct Breach {
    file: String,
    line: usize,
    law: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {}", self.file, self.line, self.law)
    }
}

/// The room of a file, by its path below `src/`.
fn room(file: &str) -> &str {
    let top = file.split('/').next().unwrap_or(file);
    top.strip_suffix(".rs").unwrap_or(top)
}

/// A line without its comment. A `//` inside a string ends the line here too: that hides
/// nothing but the tail of a URL.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

/// Every law that a file breaks.
fn breaches(file: &str, text: &str) -> Vec<Breach> {
    let room = room(file);
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let laws = laws_broken(room, line);
        found.extend(laws.into_iter().map(|law| Breach {
            file: file.into(),
            line: index + 1,
            law,
        }));
    }
    let lines = text.lines().count();
    let most = if file.ends_with("tests.rs") {
        MAX_TEST_LINES
    } else {
        MAX_LINES
    };
    if lines > most {
        let law = format!("a file has at most {most} lines, this one has {lines}");
        found.push(Breach {
            file: file.into(),
            line: lines,
            law,
        });
    }
    found
}

fn laws_broken(room: &str, line: &str) -> Vec<String> {
    let code = code(line);
    let mut laws = Vec::new();
    for (names, rooms, law) in RESERVED {
        if let Some(name) = named(code, names)
            && !rooms.contains(&room)
        {
            laws.push(format!("`{name}`: {law}"));
        }
    }
    if PURE.contains(&room)
        && let Some(name) = named(code, IMPURE)
    {
        laws.push(format!("`{name}`: {room} is pure"));
    }
    for (names, law) in NOWHERE {
        // In comments too.
        if let Some(name) = named(line, names) {
            laws.push(format!("`{name}`: {law}"));
        }
    }
    laws.extend(
        rooms_used(code)
            .filter(|used| points_up(room, used))
            .map(|used| format!("{room} uses {used}, which is above it: arrows point down only")),
    );
    laws
}

/// The first of `names` that starts a word of `code`.
fn named<'n>(code: &str, names: &[&'n str]) -> Option<&'n str> {
    names.iter().copied().find(|name| {
        code.match_indices(name).any(|(at, _)| {
            let before = code[..at].chars().next_back();
            !name.starts_with(char::is_alphabetic)
                || !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    })
}

/// The rooms that a line names as `crate::room`; of `crate::{a, b}` each.
fn rooms_used(code: &str) -> impl Iterator<Item = &str> {
    code.match_indices("crate::").flat_map(|(at, root)| {
        let rest = &code[at + root.len()..];
        let paths = match rest.strip_prefix('{') {
            Some(list) => list,
            None => rest.split([',', ';', ' ']).next().unwrap_or(rest),
        };
        paths.split([',', '}']).map(|path| {
            let path = path.trim();
            let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
            &path[..end.unwrap_or(path.len())]
        })
    })
}

fn points_up(from: &str, to: &str) -> bool {
    let place = |room| ROOMS.iter().position(|known| *known == room);
    match (place(from), place(to)) {
        (Some(from_place), Some(to_place)) => {
            to_place < from_place && !EXCUSED.contains(&(from, to))
        }
        _ => false,
    }
}

/// Every Rust file below `src/`, with its path there.
fn sources(dir: &Path, below: &str, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).expect("src/ can be listed") {
        let entry = entry.expect("src/ can be listed");
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            sources(&entry.path(), &format!("{name}/"), into);
        } else if entry.path().extension().is_some_and(|kind| kind == "rs") {
            into.push((
                name,
                fs::read_to_string(entry.path()).expect("a source is text"),
            ));
        }
    }
}

fn house() -> Vec<(String, String)> {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        "",
        &mut files,
    );
    files
}

#[test]
fn the_house_keeps_its_laws() {
    let files = house();
    assert!(files.len() > 10, "src/ was not found");
    let found: Vec<String> = files
        .iter()
        .flat_map(|(file, text)| breaches(file, text))
        .map(|breach| breach.to_string())
        .collect();
    assert!(
        found.is_empty(),
        "{} broken laws:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn every_room_has_its_place_in_the_order() {
    for (file, _) in house() {
        let room = room(&file);
        assert!(
            room == "lib" || ROOMS.contains(&room),
            "src/{file}: the room `{room}` is in no row of ROOMS"
        );
    }
}

#[test]
fn a_bad_line_is_caught_in_the_room_where_it_is_bad() {
    for (file, line, law) in [
        ("domain/x.rs", "use axum::Router;", "axum belongs to http"),
        ("flow/x.rs", "use axum::Router;", "axum belongs to http"),
        (
            "flow/x.rs",
            "let row = sqlx::query(\"\");",
            "SQL belongs to db",
        ),
        ("flow/x.rs", "use aws_sdk_s3::Client;", "belongs to store"),
        ("store/x.rs", "use s3s::S3;", "belongs to devstore"),
        ("domain/x.rs", "tokio::spawn(f);", "domain is pure"),
        ("sniff/x.rs", "pub async fn look() {}", "sniff is pure"),
        ("sniff/mod.rs", "use std::fs;", "sniff is pure"),
        ("http/x.rs", "std::env::var(\"X\")", "in config"),
        ("main.rs", "std::env::args()", "in config"),
        (
            "db/x.rs",
            "use std::time::{Instant, SystemTime};",
            "in clock",
        ),
        ("db/mod.rs", "use crate::flow::App;", "db uses flow"),
        (
            "store/x.rs",
            "use crate::{domain::slot, http::auth};",
            "store uses http",
        ),
        (
            "domain/x.rs",
            "    crate::store::sign(x)",
            "domain uses store",
        ),
        (
            "domain/x.rs",
            "pub(in crate::http) fn f() {}",
            "domain uses http",
        ),
        ("flow/mint.rs", "use crate::worker;", "flow uses worker"),
        ("worker.rs", "use crate::http::server;", "worker uses http"),
        (
            "clock.rs",
            "use crate::config::Config;",
            "clock uses config",
        ),
        ("http/x.rs", "#[allow(dead_code)]", "expected with a reason"),
        ("http/x.rs", "// TODO: later", "left for later"),
        ("http/x.rs", "unimplemented!()", "left for later"),
    ] {
        let found = breaches(file, &format!("\n{line}\n"));
        let said = found
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            said.contains(law) && said.starts_with(&format!("src/{file}:2: ")),
            "{file}, `{line}`: {said:?}"
        );
    }
}

#[test]
fn a_good_line_is_left_alone() {
    for (file, line) in [
        ("http/mod.rs", "use axum::Router;"),
        ("http/v1/files.rs", "use crate::flow::App;"),
        ("main.rs", "use putgate::{config, http};"),
        ("db/mod.rs", "use sqlx::Row;"),
        ("store/x.rs", "use aws_sdk_s3::Client;"),
        (
            "domain/x.rs",
            "//! no axum::Router, no tokio::spawn, no crate::http here",
        ),
        ("domain/x.rs", "use crate::domain::slot;"),
        ("domain/x.rs", "let draws_ = jaws_of(shark);"),
        ("clock.rs", "use crate::domain::time::Timestamp;"),
        ("config/mod.rs", "std::env::var_os(name)"),
        ("flow/x.rs", "use crate::{db::Db, store::Store};"),
        (
            "flow/x.rs",
            "tracing::warn!(target: \"putgate::http\", \"x\")",
        ),
        ("http/x.rs", "#[expect(clippy::x, reason = \"y\")]"),
    ] {
        assert_eq!(breaches(file, line), [], "{file}");
    }
}

#[test]
fn a_file_that_is_too_long_is_caught() {
    assert_eq!(breaches("db/x.rs", &"x\n".repeat(MAX_LINES)), []);
    let found = breaches("db/x.rs", &"x\n".repeat(MAX_LINES + 1));
    assert_eq!(
        found[0].to_string(),
        "src/db/x.rs:701: a file has at most 700 lines, this one has 701"
    );
}

/// The attacks of docs/security.md, each with the tests it names.
fn attacks(text: &str) -> Vec<(u32, Vec<String>, bool)> {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let number = cells.first()?.parse().ok()?;
        let tests = cells.get(3)?.split('`').skip(1).step_by(2);
        let excused = cells.get(2)?.starts_with("Cannot apply");
        Some((number, tests.map(str::to_owned).collect(), excused))
    });
    rows.collect()
}

/// Every function in the sources and tests that is a test.
fn tests_there_are() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), "", &mut files);
    sources(&root.join("tests"), "", &mut files);
    let mut names = Vec::new();
    for (_, text) in files {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            let rest = line.strip_prefix("async ").unwrap_or(line);
            let Some(rest) = rest.strip_prefix("fn ") else {
                continue;
            };
            let above = lines[..index]
                .iter()
                .rev()
                .take_while(|l| l.starts_with("#["));
            let mut above =
                above.map(|l| l.starts_with("#[test") || l.starts_with("#[tokio::test"));
            if above.any(|is_test| is_test) {
                names.extend(rest.split('(').next().map(str::to_owned));
            }
        }
    }
    names
}

#[test]
fn every_attack_has_a_test_that_there_is_or_says_why_not() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md");
    let attacks = attacks(&fs::read_to_string(path).expect("docs/security.md is there"));
    let there_are = tests_there_are();
    let numbers: Vec<u32> = attacks.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=52).collect::<Vec<_>>(), "a row is missing");
    let mut wrong = Vec::new();
    for (number, tests, excused) in &attacks {
        if tests.is_empty() && !excused {
            wrong.push(format!("attack {number} has no test"));
        }
        let unknown = tests.iter().filter(|name| !there_are.contains(name));
        wrong.extend(unknown.map(|name| format!("attack {number}: there is no test {name}")));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn an_attack_without_a_test_is_seen() {
    let row = |rest: &str| attacks(&format!("| 7 | a | {rest} |"));
    assert_eq!(
        row("b | `one`, `two`"),
        [(7, vec!["one".into(), "two".into()], false)]
    );
    assert_eq!(row("b | "), [(7, Vec::new(), false)]);
    assert_eq!(row("Cannot apply: so | "), [(7, Vec::new(), true)]);
}
