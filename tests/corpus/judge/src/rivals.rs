//! The same files before other detectors: a file is accepted where the type they name is
//! the declared one, or one it may hold.

use std::io::{Cursor, Read, Seek, SeekFrom, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use file_format::FileFormat;

use crate::corpus::Corpus;
use crate::ours;
use corpus_judge::domain::media;

/// What one detector said of one file.
struct Answer {
    media_type: Option<String>,
    read: usize,
}

/// One detector over all files, honest ones first.
struct Run {
    name: &'static str,
    answers: Vec<Answer>,
    took: Duration,
}

/// A file in memory that counts what is read of it.
struct Counted<'a> {
    inner: Cursor<&'a [u8]>,
    read: usize,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count;
        Ok(count)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Names that mean the same type and are not aliases on the web.
fn named(name: &str) -> String {
    let name = name
        .split(';')
        .next()
        .unwrap_or(name)
        .trim()
        .to_ascii_lowercase();
    let known = match name.as_str() {
        "application/x-pie-executable" | "application/x-object" => "application/x-executable",
        "application/vnd.ms-opentype" => "font/otf",
        "font/sfnt" => "font/ttf",
        "audio/x-aiff" | "audio/aiff" => "audio/aiff",
        "application/x-java-applet" | "application/java" => "application/java",
        "application/x-wasm" => "application/wasm",
        "audio/x-hx-aac-adts" => "audio/aac",
        "application/javascript" => "text/javascript",
        "application/x-bzip" => "application/x-bzip2",
        other => media::known_type(other).unwrap_or(other),
    };
    known.to_owned()
}

/// Other programs share the machine: the quickest of five rounds is the detector's own
/// time for a file.
fn best<T>(mut round: impl FnMut() -> T) -> (Duration, T) {
    let mut timed = || {
        let began = Instant::now();
        let result = round();
        (began.elapsed(), result)
    };
    let mut fastest = timed();
    for _ in 0..4 {
        let again = timed();
        if again.0 < fastest.0 {
            fastest = again;
        }
    }
    fastest
}

fn each(name: &'static str, files: &[&[u8]], detect: impl Fn(&[u8]) -> Answer) -> Run {
    let (times, answers): (Vec<Duration>, Vec<Answer>) =
        files.iter().map(|bytes| best(|| detect(bytes))).unzip();
    Run {
        name,
        answers,
        took: times.iter().sum(),
    }
}

/// `file` reads this much of a file by default.
const LIBMAGIC_BYTES: usize = 1 << 20;

/// libmagic through its program, all files in one run.
fn libmagic(files: &[&[u8]]) -> std::io::Result<Run> {
    let folder = std::env::temp_dir().join(format!("corpus-judge-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut list = String::new();
    for (at, bytes) in files.iter().enumerate() {
        let path = folder.join(at.to_string());
        std::fs::write(&path, bytes)?;
        list.push_str(&path.to_string_lossy());
        list.push('\n');
    }
    let began = Instant::now();
    let mut child = Command::new("file")
        .args(["--mime-type", "-b", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || stdin.write_all(list.as_bytes()));
    let output = child.wait_with_output()?;
    let took = began.elapsed();
    let _ = writer.join();
    std::fs::remove_dir_all(&folder)?;
    let answers = String::from_utf8_lossy(&output.stdout)
        .lines()
        .zip(files)
        .map(|(line, bytes)| Answer {
            media_type: Some(named(line)),
            read: bytes.len().min(LIBMAGIC_BYTES),
        })
        .collect();
    Ok(Run {
        name: "libmagic (file)",
        answers,
        took,
    })
}

fn infer_over(bytes: &[u8], most: usize) -> Answer {
    let head = &bytes[..bytes.len().min(most)];
    Answer {
        media_type: infer::get(head).map(|found| named(found.mime_type())),
        read: head.len(),
    }
}

fn file_format(bytes: &[u8]) -> Answer {
    let mut counted = Counted {
        inner: Cursor::new(bytes),
        read: 0,
    };
    let found = FileFormat::from_reader(&mut counted).ok();
    Answer {
        media_type: found.map(|format| named(format.media_type())),
        read: counted.read,
    }
}

/// Runs all detectors and prints the table.
pub fn compare(corpus: &Corpus) {
    let files: Vec<&[u8]> = corpus
        .honest
        .iter()
        .map(|file| &file.bytes[..])
        .chain(corpus.liars.iter().map(|file| &file.bytes[..]))
        .collect();
    let mut runs = vec![
        each("infer, 8 KiB", &files, |bytes| infer_over(bytes, 8192)),
        each("infer, whole", &files, |bytes| {
            infer_over(bytes, usize::MAX)
        }),
        each("file-format", &files, file_format),
    ];
    match libmagic(&files) {
        Ok(run) if run.answers.len() == files.len() => runs.push(run),
        Ok(_) => println!("skipped: libmagic answered for some files only"),
        Err(why) => println!("skipped: libmagic, {why}"),
    }
    println!(
        "\ndetector          recall %  renamed accepted  hostile accepted  bytes read (mean)  ns a file"
    );
    for run in &runs {
        let tally = foreign(corpus, run);
        print_line(
            run.name,
            &tally,
            &run.answers
                .iter()
                .map(|answer| answer.read)
                .collect::<Vec<_>>(),
            run.took,
            files.len(),
        );
    }
    let (times, found): (Vec<Duration>, Vec<_>) =
        files.iter().map(|bytes| best(|| ours::look(bytes))).unzip();
    let took = times.iter().sum();
    let tally = own(corpus, &found);
    let read: Vec<usize> = found.iter().map(|(_, read)| *read).collect();
    print_line("Putgate", &tally, &read, took, files.len());
    println!("Putgate, µs a file by kind: {}", by_kind(corpus));
    println!("Putgate, µs, the slowest files: {}", slowest(corpus));
}

/// The files that cost most.
fn slowest(corpus: &Corpus) -> String {
    let honest = corpus.honest.iter().map(|file| (&file.path, &file.bytes));
    let liars = corpus.liars.iter().map(|file| (&file.path, &file.bytes));
    let mut costs: Vec<(u128, &str)> = honest
        .chain(liars)
        .map(|(path, bytes)| (best(|| ours::look(bytes)).0.as_micros(), path.as_str()))
        .collect();
    costs.sort_by(|left, right| right.cmp(left));
    let words: Vec<String> = costs[..costs.len().min(6)]
        .iter()
        .map(|(cost, path)| format!("{path} {cost}"))
        .collect();
    words.join(", ")
}

/// The mean of each kind of honest file, the slowest first.
fn by_kind(corpus: &Corpus) -> String {
    let mut kinds: Vec<(u128, &str)> = (0..corpus.kinds.len())
        .filter_map(|at| {
            let files: Vec<&[u8]> = corpus
                .honest
                .iter()
                .filter(|file| file.kind == at)
                .map(|file| &file.bytes[..])
                .collect();
            let took: Duration = files.iter().map(|bytes| best(|| ours::look(bytes)).0).sum();
            let mean = took.as_micros().checked_div(files.len() as u128)?;
            Some((mean, corpus.kinds[at].name.as_str()))
        })
        .collect();
    kinds.sort_by(|left, right| right.cmp(left));
    let words: Vec<String> = kinds
        .iter()
        .map(|(mean, name)| format!("{name} {mean}"))
        .collect();
    words.join(", ")
}

#[derive(Default)]
struct Tally {
    honest: usize,
    recalled: usize,
    pairs: usize,
    taken: usize,
    hostile: usize,
    hostile_taken: usize,
}

fn print_line(name: &str, tally: &Tally, read: &[usize], took: Duration, files: usize) {
    println!(
        "{name:<16} {:>9.2} {:>8}/{:<8} {:>8}/{:<8} {:>18} {:>10}",
        100.0 * tally.recalled as f64 / tally.honest.max(1) as f64,
        tally.taken,
        tally.pairs,
        tally.hostile_taken,
        tally.hostile,
        read.iter().sum::<usize>() / read.len().max(1),
        took.as_nanos() / files.max(1) as u128
    );
}

/// The tally of a judge that answers for (index of the file, kind declared).
fn count(corpus: &Corpus, accepts: impl Fn(usize, usize) -> bool) -> Tally {
    let mut tally = Tally::default();
    let declared = |at: &usize| corpus.kinds[*at].media_type.is_some();
    for (index, file) in corpus.honest.iter().enumerate() {
        for at in (0..corpus.kinds.len()).filter(declared) {
            if at == file.kind {
                tally.honest += 1;
                tally.recalled += usize::from(accepts(index, at));
            } else if !corpus.kinds[at].may_hold(&corpus.kinds[file.kind]) {
                tally.pairs += 1;
                tally.taken += usize::from(accepts(index, at));
            }
        }
    }
    for (index, liar) in corpus.liars.iter().enumerate() {
        for &at in &liar.refused {
            tally.hostile += 1;
            tally.hostile_taken += usize::from(accepts(corpus.honest.len() + index, at));
        }
    }
    tally
}

fn foreign(corpus: &Corpus, run: &Run) -> Tally {
    count(corpus, |index, at| {
        let declared = &corpus.kinds[at];
        let Some(found) = &run.answers[index].media_type else {
            return false;
        };
        corpus
            .kinds
            .iter()
            .any(|kind| kind.media_type.as_ref() == Some(found) && declared.may_hold(kind))
    })
}

fn own(corpus: &Corpus, found: &[(corpus_judge::domain::verdict::Finding, usize)]) -> Tally {
    let slots: Vec<_> = corpus
        .kinds
        .iter()
        .map(|kind| {
            let accept = kind.media_type.as_deref().unwrap_or("application/x-none");
            [ours::slot(accept, true), ours::slot(accept, false)]
        })
        .collect();
    count(corpus, |index, at| {
        let (leave, size, name) = match corpus.honest.get(index) {
            Some(file) => (
                0,
                file.bytes.len(),
                file.path.rsplit('/').next().unwrap_or_default().to_owned(),
            ),
            None => (
                1,
                corpus.liars[index - corpus.honest.len()].bytes.len(),
                format!("file.{}", corpus.kinds[at].name),
            ),
        };
        ours::accepts(&slots[at][leave], &name, size, &found[index].0)
    })
}
