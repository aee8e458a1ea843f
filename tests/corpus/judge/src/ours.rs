//! The broker's answer, read as it reads an object.

use corpus_judge::domain::media::Accept;
use corpus_judge::domain::slot::Policy;
use corpus_judge::domain::verdict::{Declared, Facts, Finding, Verdict, judge};
use corpus_judge::sniff::{self, HEAD_BYTES, TAIL_BYTES};

/// What the bytes are, and how many of them were read.
pub fn look(bytes: &[u8]) -> (Finding, usize) {
    let size = bytes.len() as u64;
    let head = &bytes[..bytes
        .len()
        .min(usize::try_from(HEAD_BYTES).expect("a usize"))];
    let tail = if sniff::wants_tail(head, size) {
        &bytes[bytes
            .len()
            .saturating_sub(usize::try_from(TAIL_BYTES).expect("a usize"))..]
    } else {
        &[]
    };
    (sniff::sniff(head, tail, size), head.len() + tail.len())
}

/// A slot that takes one type.
pub fn slot(accept: &str, _active: bool) -> Policy {
    Policy {
        accept: Accept::parse([accept]).expect("a type or an extension"),
        ..Policy::default()
    }
}

/// Whether the slot takes a file of that name and finding.
pub fn accepts(policy: &Policy, name: &str, size: usize, finding: &Finding) -> bool {
    let size = size as u64;
    let declared = Declared {
        name,
        size,
        media_type: None,
        sha256: None,
    };
    let facts = Facts { size, sha256: None };
    matches!(
        judge(policy, &declared, &facts, finding),
        Verdict::Accept(_)
    )
}
