//! The broker's answer, read as it reads an object.

use corpus_judge::domain::media::Accept;
use corpus_judge::domain::slot::Policy;
use corpus_judge::domain::verdict::{Declared, Facts, Finding, Verdict, judge};
use corpus_judge::sniff::{self, HEAD_BYTES, Piece};

/// What the bytes are, and how many of them were read.
pub fn look(bytes: &[u8]) -> (Finding, usize) {
    let at = |offset: u64| {
        usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len())
    };
    let head = &bytes[..at(HEAD_BYTES)];
    let size = bytes.len() as u64;
    let mut more: Vec<Piece> = Vec::new();
    while let Some(range) = sniff::next_read(head, &more, size) {
        more.push(Piece {
            offset: range.start,
            bytes: &bytes[at(range.start)..at(range.end)],
        });
    }
    let read = head.len() + more.iter().map(|piece| piece.bytes.len()).sum::<usize>();
    (sniff::sniff(head, &more, size), read)
}

/// A slot that takes one type; `active`: also what a browser may run.
pub fn slot(accept: &str, active: bool) -> Policy {
    Policy {
        accept: Accept::parse([accept]).expect("a type or an extension"),
        allow_active_content: active,
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
