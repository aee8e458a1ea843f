//! Parts of a client's own size, for a file whose size it does not say: how many may be signed,
//! and what they come to in the end.

use std::collections::BTreeMap;

use super::problem::{Code, Problem};
use super::slot::MIN_PART_SIZE;
use super::ticket::{Ticket, part_count};
use super::verdict::{Reason, Rejection};

/// A part that the store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its number, from 1.
    pub number: u32,
    /// Its size in bytes.
    pub size: u64,
    /// Its `ETag`, without quotes.
    pub etag: String,
}

/// A part that the client says it sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its number, from 1.
    pub number: u32,
    /// The `ETag` the store answered, without quotes.
    pub etag: String,
}

/// A file and the size of each of its parts but the last, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The whole.
    pub size: u64,
    /// One part.
    pub part_size: u64,
}

/// How many bytes have arrived.
pub fn sum(arrived: &[Arrived]) -> u64 {
    arrived.iter().map(|part| part.size).sum()
}

/// Why a ticket ends under which more has arrived than was reserved.
pub fn overrun(ticket: &Ticket, arrived: u64) -> Option<Rejection> {
    let limit = ticket.size;
    (arrived > limit).then(|| Rejection {
        reason: Reason::SizeMismatch,
        declared: ticket.media_type.clone(),
        detected: None,
        detail: format!("{arrived} bytes arrived, the slot takes {limit}"),
        evidence: None,
    })
}

/// Whether these parts may be signed, of a ticket that does not know its file's size: no part
/// beyond the most that any file of the slot needs, and none once the slot's maximum is there.
pub fn admit(ticket: &Ticket, numbers: &[u32], arrived: &[Arrived]) -> Result<(), Problem> {
    let part_size = ticket.part_size.unwrap_or(MIN_PART_SIZE);
    let most = part_count(ticket.size, part_size);
    if let Some(number) = numbers.iter().find(|number| !(1..=most).contains(*number)) {
        let detail = format!(
            "part {number}: the slot takes {} bytes, which are parts 1 to {most}",
            ticket.size
        );
        return Err(Problem::new(Code::FileTooLarge, detail).with("limit", ticket.size));
    }
    let others = arrived
        .iter()
        .filter(|part| !numbers.contains(&part.number));
    let there: u64 = others.map(|part| part.size).sum();
    if there >= ticket.size {
        let detail = format!("{there} bytes are there, the slot takes {}", ticket.size);
        return Err(Problem::new(Code::FileTooLarge, detail).with("limit", ticket.size));
    }
    Ok(())
}

/// What a client's parts come to, each of them compared with what the store has. They must be
/// all from the first one on, and equal but the last: every store takes that, R2 nothing else.
pub fn measure(named: &[Named], arrived: &[Arrived]) -> Result<Measured, Problem> {
    let count = u32::try_from(named.len()).unwrap_or(u32::MAX);
    let told: BTreeMap<u32, &str> = named
        .iter()
        .map(|part| (part.number, part.etag.as_str()))
        .collect();
    let found: BTreeMap<u32, &Arrived> = arrived.iter().map(|part| (part.number, part)).collect();
    let mut parts = Vec::with_capacity(named.len());
    for number in 1..=count {
        let Some(etag) = told.get(&number) else {
            return Err(Problem::invalid(format!(
                "parts: 1 to {count} are needed, {number} is missing"
            )));
        };
        let Some(part) = found.get(&number).filter(|part| part.etag == *etag) else {
            let detail = format!("part {number} is not there as it was sent");
            return Err(Problem::new(Code::PartsMissing, detail)
                .with("missing", vec![number])
                .with("missing_count", 1));
        };
        parts.push(part.size);
    }
    let Some((&last, others)) = parts.split_last() else {
        return Err(Problem::invalid("parts: at least one is needed"));
    };
    let part_size = others
        .first()
        .copied()
        .unwrap_or_else(|| last.max(MIN_PART_SIZE));
    let even = others.iter().all(|size| *size == part_size) && last <= part_size;
    if !even || part_size < MIN_PART_SIZE {
        let detail = format!("parts: equal but the last, and of at least {MIN_PART_SIZE} bytes");
        return Err(Problem::invalid(detail));
    }
    Ok(Measured {
        size: parts.iter().sum(),
        part_size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn arrived(sizes: &[u64]) -> Vec<Arrived> {
        let numbered = sizes.iter().zip(1..);
        numbered
            .map(|(size, number)| Arrived {
                number,
                size: *size,
                etag: format!("e{number}"),
            })
            .collect()
    }

    fn named(numbers: &[u32]) -> Vec<Named> {
        let etag = |number| format!("e{number}");
        numbers
            .iter()
            .map(|number| Named {
                number: *number,
                etag: etag(number),
            })
            .collect()
    }

    /// Which parts the client names, the sizes of those that arrived, and the whole and its part
    /// size or why not.
    type Case<'a> = (&'a [u32], &'a [u64], Result<(u64, u64), Code>);

    #[test]
    fn parts_come_to_their_sum_when_they_are_equal_but_the_last() {
        let five = 5 * MIB;
        let cases: [Case; 13] = [
            (&[1, 2, 3], &[five, five, 2 * MIB], Ok((12 * MIB, five))),
            (&[3, 1, 2], &[five, five, 2 * MIB], Ok((12 * MIB, five))),
            (&[1], &[1], Ok((1, five))),
            (&[1], &[6 * MIB], Ok((6 * MIB, 6 * MIB))),
            (&[1, 2], &[five, five], Ok((2 * five, five))),
            // The store has a part of an earlier try that the client does not name.
            (&[1, 2], &[five, 1, 7], Ok((five + 1, five))),
            (&[], &[five], Err(Code::InvalidRequest)),
            (&[1, 3], &[five, five, five], Err(Code::InvalidRequest)),
            (&[1, 1], &[five, five], Err(Code::InvalidRequest)),
            (&[1, 2], &[five], Err(Code::PartsMissing)),
            (&[1, 2], &[five, five + 1], Err(Code::InvalidRequest)),
            (&[1, 2, 3], &[five, 6 * MIB, 1], Err(Code::InvalidRequest)),
            (&[1, 2], &[MIB, MIB], Err(Code::InvalidRequest)),
        ];
        for (numbers, sizes, expected) in cases {
            let got = measure(&named(numbers), &arrived(sizes));
            let got = got.map(|m| (m.size, m.part_size)).map_err(|p| p.code);
            assert_eq!(got, expected, "{numbers:?} of {sizes:?}");
        }
        let other = vec![Named {
            number: 1,
            etag: "e9".into(),
        }];
        let refused = measure(&other, &arrived(&[1])).unwrap_err();
        assert_eq!(refused.code, Code::PartsMissing, "other bytes than it sent");
    }
}
