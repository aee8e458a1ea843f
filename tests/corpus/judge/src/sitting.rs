//! Every file before the judge, and the table of what came of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::corpus::{Corpus, Kind};
use crate::ours::{accepts, look, slot};
use corpus_judge::domain::slot::Policy;
use corpus_judge::domain::verdict::Finding;

/// Files are cut short at every length below this.
const CUTS: usize = 64;
/// How many wrong judgements are printed; all of them are in a file.
const SHOWN: usize = 60;

/// A kind's line in the table.
#[derive(Clone, Default)]
struct Row {
    honest: usize,
    refused: usize,
    producers: BTreeSet<String>,
    pairs: usize,
    taken: usize,
    cut: usize,
    cut_taken: usize,
    hostile: usize,
    hostile_taken: usize,
    excused: usize,
}

/// The slots that take one kind each: by extension and by media type, active content too,
/// so that nothing but the type decides.
struct Slots {
    by_extension: Policy,
    by_type: Policy,
    name: String,
    /// The same without leave for active content.
    careful: Policy,
}

impl Slots {
    fn of(kind: &Kind) -> Option<Self> {
        let media_type = kind.media_type.as_deref()?;
        let extension = format!(".{}", kind.name);
        Some(Self {
            by_extension: slot(&extension, true),
            by_type: slot(media_type, true),
            name: format!("file{extension}"),
            careful: slot(&extension, false),
        })
    }
}

struct Bench<'a> {
    corpus: &'a Corpus,
    slots: &'a [Option<Slots>],
    rows: Vec<Row>,
    wrong: Vec<String>,
}

impl Bench<'_> {
    /// Notes a wrong judgement, unless an exception names it.
    fn note(&mut self, rule: &str, path: &str, kind: usize, finding: &Finding, what: &str) -> bool {
        let name = &self.corpus.kinds[kind].name;
        if self.corpus.excuses(rule, path, name) {
            self.rows[kind].excused += 1;
            return false;
        }
        let found = finding.media_type.unwrap_or("unknown");
        let fault = finding
            .malformed
            .map(|why| format!(", {why}"))
            .unwrap_or_default();
        self.wrong.push(format!(
            "{rule}\t{path}\t{name}\tfound {found}{fault}\t{what}"
        ));
        true
    }

    fn honest(&mut self) {
        for file in &self.corpus.honest {
            let (finding, _) = look(&file.bytes);
            let own = file.path.rsplit('/').next().unwrap_or_default();
            let size = file.bytes.len();
            for at in 0..self.corpus.kinds.len() {
                let slots = self.slots;
                let Some(slots) = &slots[at] else {
                    continue;
                };
                let declared = &self.corpus.kinds[at];
                if at == file.kind {
                    let by_type = accepts(&slots.by_type, own, size, &finding);
                    let by_extension = accepts(&slots.by_extension, own, size, &finding);
                    self.rows[at].honest += 1;
                    self.rows[at].producers.insert(file.producer.clone());
                    if !(by_type && by_extension)
                        && self.note("refused", &file.path, at, &finding, "")
                    {
                        self.rows[at].refused += 1;
                    }
                    if declared.active
                        && accepts(&slots.careful, own, size, &finding)
                        && self.note("unasked", &file.path, at, &finding, "active content")
                    {
                        self.rows[at].taken += 1;
                    }
                } else if !declared.may_hold(&self.corpus.kinds[file.kind]) {
                    let renamed = accepts(&slots.by_extension, &slots.name, size, &finding);
                    let unnamed = accepts(&slots.by_type, own, size, &finding);
                    self.rows[at].pairs += 1;
                    if (renamed || unnamed)
                        && !is_also(&declared.name, &file.bytes)
                        && self.note("accepted", &file.path, at, &finding, "")
                    {
                        self.rows[at].taken += 1;
                    }
                }
            }
        }
    }

    /// No beginning of a file is the file.
    fn cut(&mut self) {
        for file in &self.corpus.honest {
            if self.corpus.kinds[file.kind].is_text() {
                continue;
            }
            for length in 1..CUTS.min(file.bytes.len()) {
                let bytes = &file.bytes[..length];
                let (finding, _) = look(bytes);
                for at in 0..self.corpus.kinds.len() {
                    let slots = self.slots;
                    let Some(slots) = &slots[at] else {
                        continue;
                    };
                    if self.corpus.kinds[at].is_text() {
                        continue;
                    }
                    self.rows[at].cut += 1;
                    // What is unknown is refused by every slot that names a type.
                    if finding.media_type.is_some()
                        && accepts(&slots.by_extension, &slots.name, length, &finding)
                        && self.note("cut", &file.path, at, &finding, &format!("{length} bytes"))
                    {
                        self.rows[at].cut_taken += 1;
                    }
                }
            }
        }
    }

    fn hostile(&mut self) {
        for liar in &self.corpus.liars {
            let (finding, _) = look(&liar.bytes);
            if let Some(flag) = &liar.flag
                && !finding.flags.iter().any(|seen| json!(seen) == *flag)
            {
                self.wrong
                    .push(format!("unflagged\t{}\t{flag}\t{}", liar.path, liar.what));
            }
            for &at in &liar.refused {
                let slots = self.slots;
                let Some(slots) = &slots[at] else {
                    continue;
                };
                self.rows[at].hostile += 1;
                if accepts(&slots.careful, &slots.name, liar.bytes.len(), &finding)
                    && self.note("hostile", &liar.path, at, &finding, &liar.what)
                {
                    self.rows[at].hostile_taken += 1;
                }
            }
        }
    }
}

/// Some texts are of two kinds, and a parser can tell: JSON is what parses, and text with
/// an HTML element in it is HTML to a browser that is told so.
fn is_also(kind: &str, bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match kind {
        "json" => serde_json::from_slice::<serde_json::Value>(bytes).is_ok(),
        "html" => {
            let opens = |three: &[u8]| {
                three[0] == b'<'
                    && three[1].is_ascii_alphabetic()
                    && (three[2] == b'>' || three[2] == b' ' || three[2].is_ascii_alphanumeric())
            };
            !bytes.contains(&0) && bytes.windows(3).any(opens)
        }
        _ => false,
    }
}

/// Judges everything, prints the table and the wrong judgements, and says how many there are.
pub fn sit(corpus: &Corpus, folder: &Path) -> usize {
    let slots: Vec<Option<Slots>> = corpus.kinds.iter().map(Slots::of).collect();
    let mut bench = Bench {
        corpus,
        slots: &slots,
        rows: vec![Row::default(); corpus.kinds.len()],
        wrong: Vec::new(),
    };
    bench.honest();
    bench.cut();
    bench.hostile();
    print!("{}", table(corpus, &bench.rows));
    println!("{}", scarce(corpus, &bench.rows));
    for exception in &corpus.exceptions {
        println!(
            "exception: {} {} as {}: {} ({} times)",
            exception.rule,
            exception.path,
            exception.kind,
            exception.reason,
            exception.used.get()
        );
    }
    let all = bench.wrong.join("\n");
    let file = folder.join("wrong.tsv");
    if let Err(why) = fs::write(&file, all + "\n") {
        eprintln!("{}: {why}", file.display());
    }
    for line in bench.wrong.iter().take(SHOWN) {
        println!("wrong: {}", line.replace('\t', "  "));
    }
    if bench.wrong.len() > SHOWN {
        println!("wrong: … {} in all: {}", bench.wrong.len(), file.display());
    }
    bench.wrong.len()
}

/// The kinds that too little software makes here.
fn scarce(corpus: &Corpus, rows: &[Row]) -> String {
    let named = |wanted: fn(&Row) -> bool| {
        let kinds = corpus.kinds.iter().zip(rows);
        let names: Vec<&str> = kinds
            .filter(|(kind, row)| kind.media_type.is_some() && wanted(row))
            .map(|(kind, _)| kind.name.as_str())
            .collect();
        names.join(" ")
    };
    format!(
        "skipped: no software here makes {}\nfewer than 20 files or 3 producers: {}",
        named(|row| row.honest == 0),
        named(|row| row.honest > 0 && (row.honest < 20 || row.producers.len() < 3))
    )
}

fn table(corpus: &Corpus, rows: &[Row]) -> String {
    let mut out = String::from(
        "\nkind     honest producers refused |  renamed accepted |      cut accepted | hostile accepted | excused\n",
    );
    let mut all = Row::default();
    for (kind, row) in corpus.kinds.iter().zip(rows) {
        if kind.media_type.is_none() {
            continue;
        }
        line(&mut out, &kind.name, row);
        all.honest += row.honest;
        all.refused += row.refused;
        all.producers.extend(row.producers.iter().cloned());
        all.pairs += row.pairs;
        all.taken += row.taken;
        all.cut += row.cut;
        all.cut_taken += row.cut_taken;
        all.hostile += row.hostile;
        all.hostile_taken += row.hostile_taken;
        all.excused += row.excused;
    }
    line(&mut out, "all", &all);
    out
}

fn line(out: &mut String, name: &str, row: &Row) {
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "{name:<8} {:>6} {:>9} {:>7} | {:>8} {:>8} | {:>8} {:>8} | {:>7} {:>8} | {:>7}",
        row.honest,
        row.producers.len(),
        row.refused,
        row.pairs,
        row.taken,
        row.cut,
        row.cut_taken,
        row.hostile,
        row.hostile_taken,
        row.excused
    );
}
