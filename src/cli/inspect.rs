//! `inspect`: what a local file is, and whether a slot would take it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use putgate::domain::media::Accept;
use putgate::domain::name::SlotName;
use putgate::domain::slot::Policy;
use putgate::domain::verdict::{Declared, Facts, Verdict, judge};
use putgate::sniff::{self, HEAD_BYTES, TAIL_BYTES};
use serde_json::json;

use super::{Done, Failure, load, print};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Judge by a slot of the configuration.
    #[arg(long, conflicts_with = "accept")]
    slot: Option<String>,
    /// Judge by this accept list: extensions, types and wildcards, separated by commas.
    #[arg(long, value_delimiter = ',')]
    accept: Option<Vec<String>>,
    /// One JSON object a file.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, config: Option<&Path>) -> Done {
    let policy = policy(args, config)?;
    for path in &args.files {
        let report = inspect(path, policy.as_ref())
            .map_err(|why| Failure::broken(format!("{}: {why}", path.display())))?;
        if args.json {
            print(&report.to_string());
        } else {
            let verdict = match (report["verdict"].as_str(), report["detail"].as_str()) {
                (Some(verdict), Some(detail)) => format!(": {verdict}, {detail}"),
                (Some(verdict), None) => format!(": {verdict}"),
                _ => String::new(),
            };
            let kind = report["type"].as_str().unwrap_or("unknown");
            print(&format!("{}: {kind}{verdict}", path.display()));
        }
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
    args.accept
        .as_ref()
        .map(|items| {
            let accept =
                Accept::parse(items).map_err(|why| Failure::wrong(format!("--accept: {why}")))?;
            Ok(Policy {
                accept,
                ..Policy::default()
            })
        })
        .transpose()
}

fn inspect(path: &Path, policy: Option<&Policy>) -> io::Result<serde_json::Value> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = Vec::new();
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
    let mut tail = Vec::new();
    if sniff::wants_tail(&head, size) {
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
        file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    }
    let finding = sniff::sniff(&head, &tail, size);
    let mut report = json!({
        "path": path.display().to_string(),
        "type": finding.media_type,
        "extension": finding.extension,
        "width": finding.width,
        "height": finding.height,
        "active": finding.active,
        "malformed": finding.malformed,
        "bytes_read": head.len() + tail.len(),
        "reads": if tail.is_empty() { 1 } else { 2 },
    });
    if let Some(policy) = policy {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        let declared = Declared {
            name: &name,
            size,
            media_type: None,
            sha256: None,
        };
        match judge(policy, &declared, &Facts { size, sha256: None }, &finding) {
            Verdict::Accept(_) => report["verdict"] = json!("accept"),
            Verdict::Reject(rejection) => {
                report["verdict"] = json!("reject");
                report["reason"] = json!(rejection.reason);
                report["detail"] = json!(rejection.detail);
            }
        }
    }
    Ok(report)
}
