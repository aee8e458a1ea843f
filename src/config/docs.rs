//! The reference of the configuration: the keys and defaults that the reader knows, with the words
//! of the example.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::mistake::Origin;
use super::sections;

const EXAMPLE: &str = include_str!("../../deploy/putgate.example.toml");
/// The example's slot that has every key.
const SLOT: &str = "slots.photos";
/// Every table once, and no key in it.
const BARE: &str = "[server]\n[database]\n[storage]\n[auth]\n[webhook]\n[notifications]\n[limits]\n\
    [slots.photos]\n";

const HEAD: &str = "# Configuration

Every key, as `putgate check --docs` prints it from the code. `putgate.toml` is read first; a \
variable wins over it. `putgate check` says every mistake at once, and which value came from where. \
An example with everything in it: [deploy/putgate.example.toml](../deploy/putgate.example.toml).
";

/// Every key with its variable, its default and its meaning, as Markdown.
pub fn reference() -> String {
    let (asked, settings) = sections::known(BARE);
    let words = described();
    let default = |section: &str, key: &str| {
        let is_it = |s: &&super::Setting| {
            s.section == section && s.key == key && matches!(s.origin, Origin::Default)
        };
        settings.iter().find(is_it).map(|s| s.value.clone())
    };
    let mut text = HEAD.to_owned();
    let mut table = String::new();
    for (index, known) in asked.iter().enumerate() {
        if asked[..index].contains(known) {
            continue;
        }
        if table != known.section {
            table.clone_from(&known.section);
            let title = table.replace(SLOT, "slots.NAME");
            let (variables, line) = match known.variable {
                Some(_) => (" variable |", "---|"),
                None => ("", ""),
            };
            let _ = writeln!(
                text,
                "\n## `[{title}]`\n\n| key |{variables} default | meaning |\n|---|{line}---|---|"
            );
        }
        let variable = match &known.variable {
            Some(name) => format!(" `{name}` |"),
            None => String::new(),
        };
        let default = default(&known.section, known.key)
            .map_or_else(String::new, |value| format!("`{value}`"));
        let meaning = words
            .get(&(known.section.clone(), known.key.to_owned()))
            .cloned()
            .unwrap_or_else(|| beside_its_file(known.key, &asked));
        let meaning = meaning.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| `{}` |{variable} {default} | {meaning} |",
            known.key
        );
    }
    text
}

/// A secret that is given by a file may be given itself, and the other way round.
fn beside_its_file(key: &str, asked: &[super::reader::Asked]) -> String {
    let is_asked = |name: &str| asked.iter().any(|known| known.key == name);
    match key.strip_suffix("_file") {
        Some(inline) if is_asked(inline) => format!("A file that holds `{inline}`."),
        None if is_asked(&format!("{key}_file")) => {
            format!("The value itself, instead of `{key}_file`. Prefer the file.")
        }
        _ => String::new(),
    }
}

/// The example's comments, by table and key. A comment stands before its key; some keys are
/// written as comments themselves.
fn described() -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    let (mut section, mut words) = (String::new(), Vec::new());
    for line in EXAMPLE.lines() {
        let comment = line.strip_prefix("# ");
        let assigned = comment.unwrap_or(line).split_once(" = ");
        let key = assigned.map(|(key, _)| key).filter(|key| is_key(key));
        if let Some(title) = line.strip_prefix('[') {
            title.trim_end_matches(']').clone_into(&mut section);
            words.clear();
        } else if let Some(key) = key {
            if !words.is_empty() {
                found.insert((section.clone(), key.to_owned()), words.join(" "));
                words.clear();
            }
        } else if let Some(comment) = comment {
            words.push(comment.to_owned());
        } else {
            words.clear();
        }
    }
    for bound in ["max_width", "max_height", "max_pixels"] {
        let words = found.get(&(SLOT.to_owned(), "image".to_owned()));
        let words = words.cloned().unwrap_or_default();
        found.insert((format!("{SLOT}.image"), bound.to_owned()), words);
    }
    found
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_meaning() {
        let text = reference();
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let silent: Vec<_> = rows.filter(|line| line.ends_with("|  |")).collect();
        assert_eq!(silent, Vec::<&str>::new());
    }

    #[test]
    fn keys_come_with_their_variables_and_defaults() {
        let text = reference();
        for row in [
            "| `listen` | `PUTGATE_SERVER_LISTEN` | `\"127.0.0.1:3000\"` |",
            "| `max_entries` | `1` | Files and open tickets per tenant, owner and ref. Default 1. |",
            "| `url_file` | `PUTGATE_DATABASE_URL_FILE` |  | A file that holds `url`. |",
        ] {
            assert!(text.contains(row), "{row}\n{text}");
        }
    }
}
