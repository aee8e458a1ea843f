//! `inspect`: what local files are, and whether a slot would take them.

use std::fs::File;
use std::io::{self, BufRead as _, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use putgate::domain::media::{self, Accept};
use putgate::domain::name::SlotName;
use putgate::domain::slot::Policy;
use putgate::domain::verdict::{self, Confidence, Declared, Facts, Finding, Verdict, judge};
use putgate::sniff::{self, HEAD_BYTES, Piece};
use serde_json::{Value, json};

use super::{Done, Failure, load};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The files.
    #[arg(required_unless_present = "stdin", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Judge by a slot of the configuration.
    #[arg(long, conflicts_with = "accept")]
    slot: Option<String>,
    /// Judge by this accept list: extensions, types and wildcards, separated by commas.
    /// Active content is taken where the list names its type.
    #[arg(long, value_delimiter = ',')]
    accept: Option<Vec<String>>,
    /// One JSON object a file.
    #[arg(long)]
    json: bool,
    /// Read more paths from standard input, one a line.
    #[arg(long)]
    stdin: bool,
}

/// Every file gets its line. One that cannot be read gets an error, and the command ends
/// with 1 after the others.
pub(super) fn run(args: &Args, config: Option<&Path>) -> Done {
    let policy = policy(args, config)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut unreadable = 0_usize;
    let mut line = |path: &Path| -> Done {
        let report = inspect(path, policy.as_ref()).unwrap_or_else(|why| {
            unreadable += 1;
            json!({"path": path.display().to_string(), "error": why.to_string()})
        });
        let text = if args.json {
            report.to_string()
        } else {
            in_words(&report)
        };
        writeln!(out, "{text}").map_err(Failure::broken)
    };
    for path in &args.files {
        line(path)?;
    }
    if args.stdin {
        for path in io::stdin().lock().lines() {
            let path = path.map_err(|why| Failure::broken(format!("standard input: {why}")))?;
            if !path.is_empty() {
                line(Path::new(&path))?;
            }
        }
    }
    out.flush().map_err(Failure::broken)?;
    if unreadable > 0 {
        return Err(Failure::broken(format!(
            "{unreadable} files could not be read"
        )));
    }
    Ok(())
}

fn policy(args: &Args, config: Option<&Path>) -> Result<Option<Policy>, Failure> {
    if let Some(name) = &args.slot {
        let name =
            SlotName::parse(name.as_str()).map_err(|e| Failure::wrong(format!("--slot {e}")))?;
        let slots = load(config)?.slots;
        let slot = slots.get(&name);
        let slot =
            slot.ok_or_else(|| Failure::wrong(format!("--slot: no slot is named {name}")))?;
        return Ok(Some(slot.policy.clone()));
    }
    let Some(items) = &args.accept else {
        return Ok(None);
    };
    let accept = Accept::parse(items).map_err(|why| Failure::wrong(format!("--accept: {why}")))?;
    if let Some(unknown) = accept.unknown_extensions().next() {
        let why = format!(
            "--accept: no type is known for `{unknown}`, so nothing could be accepted by it"
        );
        return Err(Failure::wrong(why));
    }
    Ok(Some(Policy {
        accept,
        allow_active_content: true,
        ..Policy::default()
    }))
}

fn inspect(path: &Path, policy: Option<&Policy>) -> io::Result<Value> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = Vec::new();
    Read::take(&file, HEAD_BYTES).read_to_end(&mut head)?;
    let mut more: Vec<(u64, Vec<u8>)> = Vec::new();
    let finding = loop {
        let pieces: Vec<Piece> = more
            .iter()
            .map(|(offset, bytes)| Piece {
                offset: *offset,
                bytes,
            })
            .collect();
        let Some(range) = sniff::next_read(&head, &pieces, size) else {
            break sniff::sniff(&head, &pieces, size);
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(range.start))?;
        Read::take(&file, range.end - range.start).read_to_end(&mut bytes)?;
        more.push((range.start, bytes));
    };
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let read = head.len() + more.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let mut report = report(path, &name, &finding);
    report["bytes_read"] = json!(read);
    report["reads"] = json!(1 + more.len());
    if let Some(policy) = policy {
        add_verdict(&mut report, policy, &name, size, &finding);
    }
    Ok(report)
}

fn report(path: &Path, name: &str, finding: &Finding) -> Value {
    let called = verdict::called(name, finding);
    let mut flags: Vec<Value> = finding.flags.iter().map(|flag| json!(flag)).collect();
    if finding.active {
        flags.push(json!("active-content"));
    }
    if finding.malformed.is_some() {
        flags.push(json!("malformed"));
    }
    let confidence = match finding.confidence {
        Confidence::None => Value::Null,
        known => json!(known),
    };
    json!({
        "path": path.display().to_string(),
        "type": called,
        "extension": media::extension_of(&called),
        "family": media::family(finding.media_type.unwrap_or(&called)),
        "confidence": confidence,
        "flags": flags,
        "detected": finding.media_type,
        "malformed": finding.malformed,
        "width": finding.width,
        "height": finding.height,
        "evidence": finding.evidence,
    })
}

fn add_verdict(report: &mut Value, policy: &Policy, name: &str, size: u64, finding: &Finding) {
    let declared = Declared {
        name,
        size,
        media_type: None,
        sha256: None,
    };
    match judge(policy, &declared, &Facts { size, sha256: None }, finding) {
        Verdict::Accept(accepted) => {
            report["verdict"] = json!("accept");
            report["reason"] = Value::Null;
            report["stored_as"] = json!(accepted.media_type);
            report["warnings"] = json!(accepted.warnings);
        }
        Verdict::Reject(rejection) => {
            report["verdict"] = json!("reject");
            report["reason"] = json!(rejection.reason);
            report["detail"] = json!(rejection.detail);
        }
    }
}

/// `cat.png: image/png: accept`, or the sentence and the bytes it rests on.
fn in_words(report: &Value) -> String {
    let text = |key: &str| report[key].as_str();
    let path = text("path").unwrap_or_default();
    if let Some(why) = text("error") {
        return format!("{path}: {why}");
    }
    let kind = text("type").unwrap_or("unknown");
    let outcome = match (text("verdict"), text("detail"), text("malformed")) {
        (Some(verdict), Some(detail), _) => format!(": {verdict}, {detail}"),
        (Some(verdict), None, _) => format!(": {verdict}"),
        (None, _, Some(why)) => {
            let begun = text("detected").unwrap_or_default();
            format!(": not a sound {begun}: {why}")
        }
        (None, ..) => String::new(),
    };
    let evidence = match (text("detail").or(text("malformed")), &report["evidence"]) {
        (Some(_), evidence) => {
            let bytes = evidence["bytes"].as_str().unwrap_or_default();
            format!(" (at byte {}: {bytes})", evidence["offset"])
        }
        (None, _) => String::new(),
    };
    format!("{path}: {kind}{outcome}{evidence}")
}
