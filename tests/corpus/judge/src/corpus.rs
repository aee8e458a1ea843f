//! What was generated: the files with what they are, and the tables that say what counts.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A kind of file: `jpg`, `docx`.
#[derive(Debug)]
pub struct Kind {
    pub name: String,
    /// Its media type; `None`: only a liar.
    pub media_type: Option<String>,
    /// Browsers run it, so it needs leave.
    pub active: bool,
    /// The kinds that may rightly be taken where this one is declared.
    pub holds: BTreeSet<String>,
}

impl Kind {
    /// Whether a file of `other` may be accepted where this kind is declared.
    pub fn may_hold(&self, other: &Self) -> bool {
        self.name == other.name
            || (self.media_type.is_some() && self.media_type == other.media_type)
            || self.holds.contains(&other.name)
    }

    /// Whether its first bytes cut short are still of its kind: it has no length anywhere.
    pub fn is_text(&self) -> bool {
        matches!(
            self.name.as_str(),
            "txt"
                | "csv"
                | "tsv"
                | "md"
                | "css"
                | "yaml"
                | "toml"
                | "sql"
                | "js"
                | "sh"
                | "json"
                | "ipynb"
                | "xml"
                | "html"
                | "xhtml"
                | "svg"
                | "rtf"
                | "ps"
                | "eps"
        )
    }
}

/// A file that is what it says.
#[derive(Debug)]
pub struct Honest {
    pub path: String,
    pub kind: usize,
    pub producer: String,
    pub bytes: Vec<u8>,
}

/// A file that is not.
#[derive(Debug)]
pub struct Liar {
    pub path: String,
    /// The kinds under which it must be refused.
    pub refused: Vec<usize>,
    /// The flag its finding must have, when it may be taken.
    pub flag: Option<String>,
    pub what: String,
    pub bytes: Vec<u8>,
}

/// A judgement that is wrong by the tables and right all the same.
#[derive(Debug)]
pub struct Exception {
    pub rule: String,
    pub path: String,
    pub kind: String,
    pub reason: String,
    pub used: Cell<usize>,
}

#[derive(Debug)]
pub struct Corpus {
    pub kinds: Vec<Kind>,
    pub honest: Vec<Honest>,
    pub liars: Vec<Liar>,
    pub exceptions: Vec<Exception>,
}

impl Corpus {
    /// Reads a generated corpus and the tables beside this tool.
    pub fn read(folder: &Path, tables: &Path) -> Result<Self, String> {
        let kinds = kinds(&text(&tables.join("kinds"))?);
        let index: BTreeMap<&str, usize> = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| (kind.name.as_str(), at))
            .collect();
        let bytes = |path: &str| {
            fs::read(folder.join(path))
                .map_err(|why| format!("{}: {why}", folder.join(path).display()))
        };
        let mut honest = Vec::new();
        for line in text(&folder.join("manifest.tsv"))?.lines() {
            let [path, kind, producer, _] = fields(line)?;
            let kind = *index
                .get(kind)
                .ok_or_else(|| format!("kinds: {kind} is missing"))?;
            honest.push(Honest {
                path: path.to_owned(),
                kind,
                producer: producer.to_owned(),
                bytes: bytes(path)?,
            });
        }
        let mut liars = Vec::new();
        for line in text(&folder.join("hostile.tsv"))?.lines() {
            let [path, refused, what] = fields(line)?;
            liars.push(Liar {
                path: path.to_owned(),
                refused: selected(refused, &kinds),
                flag: refused.strip_prefix("flag=").map(str::to_owned),
                what: what.to_owned(),
                bytes: bytes(path)?,
            });
        }
        let exceptions = exceptions(&text(&tables.join("exceptions"))?)?;
        Ok(Self {
            kinds,
            honest,
            liars,
            exceptions,
        })
    }

    /// Whether an exception covers a wrong judgement.
    pub fn excuses(&self, rule: &str, path: &str, kind: &str) -> bool {
        let found = self.exceptions.iter().find(|exception| {
            exception.rule == rule
                && matches_glob(&exception.path, path)
                && exception
                    .kind
                    .split(',')
                    .any(|one| one == "*" || one == kind)
        });
        if let Some(exception) = found {
            exception.used.set(exception.used.get() + 1);
        }
        found.is_some()
    }
}

fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))
}

fn fields<const N: usize>(line: &str) -> Result<[&str; N], String> {
    let parts: Vec<&str> = line.split('\t').collect();
    parts
        .try_into()
        .map_err(|_| format!("not {N} fields: {line}"))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
}

fn kinds(text: &str) -> Vec<Kind> {
    lines(text)
        .map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap_or_default().to_owned();
            let media_type = words.next().filter(|word| *word != "-").map(str::to_owned);
            let rest: BTreeSet<String> = words.map(str::to_owned).collect();
            Kind {
                name,
                media_type,
                active: rest.contains("active"),
                holds: rest,
            }
        })
        .collect()
}

/// `*`: all kinds; `!a,b`: all but these; `a,b`: these; `flag=x`: none.
fn selected(words: &str, kinds: &[Kind]) -> Vec<usize> {
    let (names, but) = match words.strip_prefix('!') {
        Some(names) => (names, true),
        None => (words, false),
    };
    let names: BTreeSet<&str> = names.split(',').collect();
    let named = |kind: &Kind| words == "*" || names.contains(kind.name.as_str()) != but;
    (0..kinds.len())
        .filter(|at| kinds[*at].media_type.is_some() && named(&kinds[*at]))
        .collect()
}

fn exceptions(text: &str) -> Result<Vec<Exception>, String> {
    lines(text)
        .map(|line| {
            let [rule, path, kind, reason] = fields(line)?;
            Ok(Exception {
                rule: rule.to_owned(),
                path: path.to_owned(),
                kind: kind.to_owned(),
                reason: reason.to_owned(),
                used: Cell::new(0),
            })
        })
        .collect()
}

/// `*` stands for any letters.
fn matches_glob(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
