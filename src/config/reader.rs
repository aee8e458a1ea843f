//! A reader that collects: it walks the TOML tree with the environment laid over it, notes
//! where each value came from, and notes every mistake instead of stopping at one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::Setting;
use super::mistake::{Mistake, Mistakes, Origin};
use super::values::{Kind, Raw, closest, quoted};
use crate::domain::secret::Secret;

/// What every variable of ours begins with.
pub(super) const PREFIX: &str = "PUTGATE_";

/// A table that is being read.
pub(super) struct Section<'t> {
    /// Its dotted name, as its header has it; empty at the top.
    pub path: String,
    table: Option<&'t DeTable<'t>>,
    origin: Origin,
    /// `SERVER`, when variables may set its keys.
    env: Option<String>,
    known: Vec<&'static str>,
}

/// A value that is there, before it is understood.
pub(super) struct Found<'t> {
    pub raw: Raw<'t>,
    pub origin: Origin,
    /// As messages quote it.
    shown: String,
    /// Where the elements of a list stand.
    items: Vec<Origin>,
}

/// A secret's file and its bytes without the last newline.
pub(super) struct SecretFile {
    /// As it was written.
    pub name: String,
    /// Where it was read.
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    pub origin: Origin,
}

/// A key that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub section: String,
    pub key: &'static str,
    pub variable: Option<String>,
}

pub(super) struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    dir: &'t Path,
    env: &'t BTreeMap<String, String>,
    env_names: BTreeSet<String>,
    mistakes: Vec<Mistake>,
    /// Paths that a mistake was reported for; cross-checks leave them alone.
    bad: BTreeSet<String>,
    settings: Vec<Setting>,
    /// Every key that was asked for, with its table and the variable that may give it.
    asked: Vec<Asked>,
    /// Where each given value stands.
    origins: BTreeMap<String, Origin>,
    /// The syntax is broken, so what seems to be missing may only be unreadable.
    torn: bool,
}

impl<'t> Reader<'t> {
    pub fn new(
        file: &'t str,
        text: &'t str,
        dir: &'t Path,
        env: &'t BTreeMap<String, String>,
        syntax: &[toml::de::Error],
    ) -> Self {
        let mut reader = Self {
            file,
            text,
            dir,
            env,
            env_names: BTreeSet::new(),
            mistakes: Vec::new(),
            bad: BTreeSet::new(),
            settings: Vec::new(),
            asked: Vec::new(),
            origins: BTreeMap::new(),
            torn: !syntax.is_empty(),
        };
        for error in syntax {
            let origin = reader.at(error.span().map_or(0, |span| span.start));
            // The parser reports what follows a first error on a line as errors of its own.
            if !reader.mistakes.iter().any(|m| m.origin.same_line(&origin)) {
                let what = format!("not TOML: {}.", error.message());
                reader.mistakes.push(Mistake { origin, what });
            }
        }
        reader
    }

    /// The settings and mistakes; unknown variables are looked for here, at the end.
    pub fn finish(mut self) -> Result<Vec<Setting>, Mistakes> {
        for (name, value) in self.env.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            let what = if !self.env_names.contains(name) {
                if name.starts_with("PUTGATE_SLOTS_") {
                    "slots are read from the file only. Unset it.".to_owned()
                } else {
                    let known = self.env_names.iter().map(String::as_str);
                    format!(
                        "unknown variable.{}",
                        did_you_mean(name, known, "Unset it.")
                    )
                }
            } else if value.contains('\u{fffd}') {
                "is not UTF-8.".to_owned()
            } else {
                continue;
            };
            self.mistakes.push(Mistake {
                origin: Origin::Env(name.clone()),
                what,
            });
        }
        if self.mistakes.is_empty() {
            Ok(self.settings)
        } else {
            Err(Mistakes::new(self.mistakes))
        }
    }

    /// What was asked for, and what has a value without being given.
    pub fn asked(self) -> (Vec<Asked>, Vec<Setting>) {
        (self.asked, self.settings)
    }

    fn at(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Origin::file(self.file, line, before[start..].chars().count() + 1)
    }

    /// The document itself.
    pub fn top(&self, table: &'t DeTable<'t>) -> Section<'t> {
        Section {
            path: String::new(),
            table: Some(table),
            origin: self.at(0),
            env: None,
            known: Vec::new(),
        }
    }

    /// The table `key` of `parent`; absent and mistaken tables read as empty ones.
    pub fn section(
        &mut self,
        parent: &mut Section<'t>,
        key: &'static str,
        env: bool,
    ) -> Section<'t> {
        parent.known.push(key);
        self.table(parent, key, env.then(|| key.to_uppercase()))
    }

    fn table(&mut self, parent: &Section<'t>, key: &str, env: Option<String>) -> Section<'t> {
        let path = join(&parent.path, key);
        let mut section = Section {
            path,
            table: None,
            origin: parent.origin.clone(),
            env,
            known: Vec::new(),
        };
        if let Some((name, value)) = parent.table.and_then(|table| table.get_key_value(key)) {
            section.origin = self.at(name.span().start);
            if let DeValue::Table(table) = value.get_ref() {
                section.table = Some(table);
            } else {
                let what = format!("not a table. Write [{}].", section.path);
                self.mistake_at(&section.path, &section.origin, &what);
            }
        }
        section
    }

    /// Every table in `parent`, by name, whatever the names are.
    pub fn children(&mut self, parent: &Section<'t>) -> Vec<(&'t str, Section<'t>)> {
        let names: Vec<&'t str> = parent
            .table
            .into_iter()
            .flat_map(|table| table.keys())
            .map(|name| name.get_ref().as_ref())
            .collect();
        names
            .into_iter()
            .map(|name| (name, self.table(parent, name, None)))
            .collect()
    }

    /// Reports the keys of `section` that nobody asked for.
    pub fn close(&mut self, section: &Section<'t>) {
        for name in section.table.into_iter().flat_map(|table| table.keys()) {
            let key: &str = name.get_ref();
            if !section.known.contains(&key) {
                let origin = self.at(name.span().start);
                let hint = did_you_mean(key, section.known.iter().copied(), "Remove it.");
                let noun = if section.path.is_empty() {
                    "table"
                } else {
                    "key"
                };
                let what = format!("unknown {noun}.{hint}");
                self.mistake_at(&join(&section.path, key), &origin, &what);
            }
        }
    }

    /// Whether the section or any variable for it is there.
    pub fn is_given(&self, section: &Section<'t>) -> bool {
        let prefix = section.env.as_ref().map(|name| format!("{PREFIX}{name}_"));
        section.table.is_some()
            || prefix.is_some_and(|prefix| self.env.keys().any(|name| name.starts_with(&prefix)))
    }

    /// Notes that `path` is wrong.
    fn mistake_at(&mut self, path: &str, origin: &Origin, what: &str) {
        self.bad.insert(path.to_owned());
        self.push(origin, format!("{path}: {what}"));
    }

    /// Notes a mistake, unless its line is not even TOML.
    fn push(&mut self, origin: &Origin, what: String) {
        let torn_line = |m: &Mistake| m.what.starts_with("not TOML") && m.origin.same_line(origin);
        if !self.mistakes.iter().any(torn_line) {
            self.mistakes.push(Mistake {
                origin: origin.clone(),
                what,
            });
        }
    }

    /// Notes that the value of `key` does not go with the others. Silent when the key has
    /// a mistake already.
    pub fn refuse(&mut self, section: &Section<'t>, key: &str, what: &str) {
        let path = join(&section.path, key);
        if !self.bad.contains(&path) {
            let origin = self.origins.get(&path).unwrap_or(&section.origin).clone();
            self.mistake_at(&path, &origin, what);
        }
    }

    /// Notes that `key` is needed. Silent when it is there but wrong, or when the syntax is
    /// broken: the key may be in the part that could not be read.
    pub fn missing(&mut self, section: &Section<'t>, key: &str, fix: &str) {
        if !self.torn {
            self.refuse(section, key, &format!("missing. {fix}"));
        }
    }

    /// Notes that the section is needed, under the same condition.
    pub fn missing_section(&mut self, section: &Section<'t>, fix: &str) {
        if !self.torn {
            self.refuse_section(section, &format!("missing. {fix}"));
        }
    }

    /// Notes that the whole section is wrong.
    pub fn refuse_section(&mut self, section: &Section<'t>, what: &str) {
        self.mistake_at(&section.path, &section.origin, what);
    }

    /// Whether none of these keys has a mistake.
    pub fn is_sound(&self, section: &Section<'t>, keys: &[&str]) -> bool {
        keys.iter()
            .all(|key| !self.bad.contains(&join(&section.path, key)))
    }

    /// Whether the key was given, in the file or by a variable.
    pub fn has(&self, section: &Section<'t>, key: &str) -> bool {
        self.origins.contains_key(&join(&section.path, key))
    }

    /// The value of `key`: the variable's, or else the file's.
    pub fn find(&mut self, section: &mut Section<'t>, key: &'static str) -> Option<Found<'t>> {
        section.known.push(key);
        let named = |name: &String| format!("{PREFIX}{name}_{}", key.to_uppercase());
        self.asked.push(Asked {
            section: section.path.clone(),
            key,
            variable: section.env.as_ref().map(named),
        });
        let from_env = section.env.as_ref().and_then(|name| {
            let name = named(name);
            self.env_names.insert(name.clone());
            self.env.get_key_value(&name)
        });
        let found = if let Some((name, value)) = from_env {
            Found {
                raw: Raw::Text(value),
                origin: Origin::Env(name.clone()),
                shown: quoted(value),
                items: Vec::new(),
            }
        } else {
            let (name, value) = section.table?.get_key_value(key)?;
            let items = match value.get_ref() {
                DeValue::Array(items) => items
                    .iter()
                    .map(|item| self.at(item.span().start))
                    .collect(),
                _ => Vec::new(),
            };
            Found {
                raw: Raw::from_toml(value.get_ref()),
                origin: self.at(name.span().start),
                shown: self.text.get(value.span()).unwrap_or_default().to_owned(),
                items,
            }
        };
        self.origins
            .insert(join(&section.path, key), found.origin.clone());
        Some(found)
    }

    /// An optional value.
    pub fn value<T>(
        &mut self,
        section: &mut Section<'t>,
        key: &'static str,
        kind: &Kind<T>,
    ) -> Option<T> {
        let found = self.find(section, key)?;
        match (kind.parse)(&found.raw) {
            Ok(value) => {
                self.record(section, key, (kind.show)(&value), found.origin);
                Some(value)
            }
            Err(why) => {
                self.wrong(section, key, &found, &why);
                None
            }
        }
    }

    /// Notes that the found value itself is wrong, and quotes it.
    pub fn wrong(&mut self, section: &Section<'t>, key: &str, found: &Found<'t>, why: &str) {
        let path = join(&section.path, key);
        self.push(
            &found.origin,
            format!("{path} = {}: {why}", shortened(&found.shown)),
        );
        self.bad.insert(path);
    }

    /// A value that has a default.
    pub fn value_or<T>(
        &mut self,
        section: &mut Section<'t>,
        key: &'static str,
        kind: &Kind<T>,
        default: T,
    ) -> T {
        let value = self.value(section, key, kind);
        self.defaulted(section, key, kind, value, default)
    }

    fn defaulted<T>(
        &mut self,
        section: &Section<'t>,
        key: &'static str,
        kind: &Kind<T>,
        value: Option<T>,
        default: T,
    ) -> T {
        value.unwrap_or_else(|| {
            self.record(section, key, (kind.show)(&default), Origin::Default);
            default
        })
    }

    /// An optional number with bounds.
    pub fn bounded<T: PartialOrd>(
        &mut self,
        section: &mut Section<'t>,
        key: &'static str,
        kind: &Kind<T>,
        bounds: RangeInclusive<T>,
    ) -> Option<T> {
        let value = self.value(section, key, kind)?;
        if bounds.contains(&value) {
            return Some(value);
        }
        let show = kind.show;
        let what = format!(
            "{} is out of bounds. Write at least {} and at most {}.",
            show(&value),
            show(bounds.start()),
            show(bounds.end())
        );
        self.refuse(section, key, &what);
        None
    }

    /// A number with bounds and a default.
    pub fn bounded_or<T: PartialOrd>(
        &mut self,
        section: &mut Section<'t>,
        key: &'static str,
        kind: &Kind<T>,
        bounds: RangeInclusive<T>,
        default: T,
    ) -> T {
        let value = self.bounded(section, key, kind, bounds);
        self.defaulted(section, key, kind, value, default)
    }

    /// A text that must be there; empty when it is not.
    pub fn required(
        &mut self,
        section: &mut Section<'t>,
        key: &'static str,
        kind: &Kind<String>,
        fix: &str,
    ) -> String {
        self.value(section, key, kind).unwrap_or_else(|| {
            self.missing(section, key, fix);
            String::new()
        })
    }

    /// A list of texts, each understood by `parse`; variables separate them by commas,
    /// and in the file a lone text is a list of one.
    pub fn list<T>(
        &mut self,
        section: &mut Section<'t>,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<(T, Origin)> {
        let Some(found) = self.find(section, key) else {
            return Vec::new();
        };
        let texts: Option<Vec<(String, Origin)>> = match (&found.raw, &found.origin) {
            (Raw::List(items), _) => items
                .iter()
                .zip(&found.items)
                .map(|(item, origin)| match item {
                    Raw::Text(text) => Some(((*text).to_owned(), origin.clone())),
                    _ => None,
                })
                .collect(),
            (Raw::Text(text), Origin::Env(_)) => Some(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| (item.to_owned(), found.origin.clone()))
                    .collect(),
            ),
            (Raw::Text(text), _) => Some(vec![((*text).to_owned(), found.origin.clone())]),
            _ => None,
        };
        let Some(texts) = texts else {
            self.wrong(
                section,
                key,
                &found,
                "not a list of texts. Write [\"…\", \"…\"].",
            );
            return Vec::new();
        };
        let shown: Vec<String> = texts.iter().map(|(text, _)| quoted(text)).collect();
        self.record(
            section,
            key,
            format!("[{}]", shown.join(", ")),
            found.origin,
        );
        let mut values = Vec::with_capacity(texts.len());
        for (text, origin) in texts {
            match parse(&text) {
                Ok(value) => values.push((value, origin)),
                Err(why) => self.refuse_item(section, key, &text, &origin, &why),
            }
        }
        values
    }

    /// A secret, given as `key` or as the path of its file, `key_file`; with the key that
    /// gave it. `mask` is what an inline one is printed as.
    pub fn secret(
        &mut self,
        section: &mut Section<'t>,
        key: &'static str,
        key_file: &'static str,
        mask: fn(&str) -> String,
    ) -> Option<(Secret, &'static str)> {
        let given = self.find(section, key);
        let file = self.find(section, key_file);
        let is_env = |found: &Found<'t>| matches!(found.origin, Origin::Env(_));
        if let (Some(given), Some(file)) = (&given, &file)
            && is_env(given) == is_env(file)
        {
            let what = format!("{key} is given too. Keep one of them.");
            self.refuse(section, key_file, &what);
            return None;
        }
        if let Some(given) = given
            && (file.is_none() || is_env(&given))
        {
            let Raw::Text(text) = given.raw else {
                self.refuse(section, key, "not a text. Put it in double quotes.");
                return None;
            };
            if text.is_empty() {
                self.refuse(section, key, "empty.");
                return None;
            }
            self.record(section, key, quoted(&mask(text)), given.origin);
            return Some((Secret::new(text), key));
        }
        let file = file?;
        let Raw::Text(path) = file.raw else {
            self.wrong(
                section,
                key_file,
                &file,
                "not a path. Put it in double quotes.",
            );
            return None;
        };
        self.record(section, key_file, quoted(path), file.origin.clone());
        let secret = self.secret_file(section, key_file, path, &file.origin)?;
        Some((Secret::new(secret.bytes), key_file))
    }

    /// The secrets in a list of files.
    pub fn secret_files(
        &mut self,
        section: &mut Section<'t>,
        key: &'static str,
    ) -> Vec<SecretFile> {
        let paths = self.list(section, key, |path| Ok(path.to_owned()));
        paths
            .into_iter()
            .filter_map(|(path, origin)| self.secret_file(section, key, &path, &origin))
            .collect()
    }

    fn secret_file(
        &mut self,
        section: &Section<'t>,
        key: &str,
        path: &str,
        origin: &Origin,
    ) -> Option<SecretFile> {
        let full = match origin {
            Origin::Env(_) => PathBuf::from(path),
            _ => self.dir.join(path),
        };
        let read = std::fs::read(&full).map(|mut bytes| {
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
                bytes.pop_if(|last| *last == b'\r');
            }
            bytes
        });
        let why = match read {
            Ok(bytes) if !bytes.is_empty() => {
                return Some(SecretFile {
                    name: path.to_owned(),
                    path: full,
                    bytes,
                    origin: origin.clone(),
                });
            }
            Ok(_) => format!("the file {} is empty.", full.display()),
            Err(error) => format!("the file {} cannot be read: {error}.", full.display()),
        };
        self.refuse_item(section, key, path, origin, &why);
        None
    }

    /// Notes that one element of the list `key` is wrong.
    pub fn refuse_item(
        &mut self,
        section: &Section<'t>,
        key: &str,
        text: &str,
        origin: &Origin,
        why: &str,
    ) {
        let item = Found {
            raw: Raw::Other,
            origin: origin.clone(),
            shown: quoted(text),
            items: Vec::new(),
        };
        self.wrong(section, key, &item, why);
    }

    /// Notes an effective value for printing.
    pub fn record(
        &mut self,
        section: &Section<'t>,
        key: &'static str,
        value: String,
        origin: Origin,
    ) {
        self.settings.push(Setting {
            section: section.path.clone(),
            key,
            value,
            origin,
        });
    }
}

/// `section.key`; what is no bare TOML key is quoted.
fn join(section: &str, key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let key = if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        quoted(key)
    };
    if section.is_empty() {
        key
    } else {
        format!("{section}.{key}")
    }
}

fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>, otherwise: &str) -> String {
    match closest(word, known) {
        Some(near) => format!(" Did you mean `{near}`?"),
        None => format!(" {otherwise}"),
    }
}

/// A value as a message quotes it: a URL without what may be a password or a token, and
/// nothing so long that it buries the message.
fn shortened(value: &str) -> String {
    let line = value.lines().next().unwrap_or_default();
    match line.split_once('?') {
        _ if line.contains('@') => quoted("***"),
        Some((url, _)) if url.contains("://") => format!("{url}?***\""),
        _ if line.chars().count() > 60 => line.chars().take(59).chain(['…']).collect(),
        _ => line.to_owned(),
    }
}
