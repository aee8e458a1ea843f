//! Dialects: protocols of foreign clients that a slot may speak besides the API, and how
//! their clients send a file.

use super::slot::{MAX_PARTS, MAX_PUT_SIZE, MIN_PART_SIZE, Policy};
use super::ticket::{FIRST_LOOK, plan_parts};
use super::time::Seconds;

/// When the worker first looks at a ticket whose client never calls again: it is the only
/// one that will.
pub const FIRST_LOOK_AT_A_POST: Seconds = Seconds(5);

/// How long a ticket lives whose file goes through this server in one request; it is renewed
/// while bytes come.
pub const RELAY_TTL: Seconds = Seconds(300);

/// A protocol of foreign clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// `@uppy/aws-s3` with a Companion.
    Uppy,
    /// Forms: jQuery File Upload and its like, and a form without script.
    Form,
    /// The file handler of django-jsonform.
    JsonForm,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 3] = [Self::Uppy, Self::Form, Self::JsonForm];

    /// The dialect as the configuration and a ticket's row write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uppy => "uppy",
            Self::Form => "form",
            Self::JsonForm => "jsonform",
        }
    }

    /// The dialect that reads `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

/// How the client sends a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// As Putgate plans it: one PUT, or parts of the slot's size.
    Planned,
    /// One form, posted to the store by a client that never calls again.
    Posted,
    /// Through this server, in one request of at most so many bytes.
    Relayed(u64),
    /// Through this server, in as many requests as the client likes.
    Gathered,
    /// In parts of the client's own size: Uppy's, a ten-thousandth of the file and never
    /// less than S3's least.
    Chunked,
}

impl Sending {
    /// The part size of a ticket of `size` bytes; `None`: one object at once. For a file of
    /// unknown size it is that of the largest, so that the number of parts is the most that
    /// any file of the slot can need.
    pub fn part_size(self, policy: &Policy, size: u64) -> Option<u64> {
        match self {
            Self::Planned => plan_parts(policy, size),
            Self::Posted | Self::Relayed(_) | Self::Gathered => None,
            Self::Chunked => Some(size.div_ceil(MAX_PARTS).max(MIN_PART_SIZE)),
        }
    }

    /// The policy of such a ticket. One whose client never calls again is not signed anew,
    /// so it ends with its only form: a client that tries again takes another ticket.
    #[must_use]
    pub fn policy(self, policy: Policy) -> Policy {
        match self {
            Self::Planned | Self::Chunked => policy,
            // Nothing of it has to outlive the request but its verdict, so what a killed
            // process was relaying is free again soon.
            Self::Relayed(at_most) => Policy {
                ticket_ttl: policy.ticket_ttl.min(RELAY_TTL),
                max_file_size: policy.max_file_size.min(MAX_PUT_SIZE).min(at_most),
                ..policy
            },
            Self::Gathered => Policy {
                max_file_size: policy.max_file_size.min(MAX_PUT_SIZE),
                ..policy
            },
            Self::Posted => Policy {
                ticket_ttl: policy.ticket_ttl.min(policy.url_ttl),
                ..policy
            },
        }
    }

    /// When the worker first looks at such a ticket, after its mint.
    pub const fn first_look(self) -> Seconds {
        match self {
            Self::Planned | Self::Relayed(_) | Self::Gathered | Self::Chunked => FIRST_LOOK,
            Self::Posted => FIRST_LOOK_AT_A_POST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn a_dialect_is_read_as_it_is_written() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::parse(dialect.as_str()), Some(dialect));
        }
        assert_eq!(Dialect::parse("Uppy"), None);
    }

    #[test]
    fn a_client_with_parts_of_its_own_gets_what_uppy_cuts() {
        let policy = Policy {
            part_size: Some(64 * MIB),
            ..Policy::default()
        };
        for (size, part) in [
            (1, 5 * MIB),
            (12 * MIB, 5 * MIB),
            (50_000 * MIB, 5 * MIB),
            (50_000 * MIB + 1, 5 * MIB + 1),
            (100_000 * MIB, 10 * MIB),
        ] {
            assert_eq!(Sending::Chunked.part_size(&policy, size), Some(part));
        }
        let large = 100 * MIB;
        assert_eq!(Sending::Planned.part_size(&policy, large), Some(64 * MIB));
        assert_eq!(Sending::Posted.part_size(&policy, large), None);
        assert_eq!(Sending::Relayed(large).part_size(&policy, large), None);
    }

    #[test]
    fn a_ticket_whose_client_never_calls_again_lives_as_long_as_its_form() {
        let policy = Policy::default();
        assert!(policy.url_ttl < policy.ticket_ttl);
        let posted = Sending::Posted.policy(policy.clone());
        assert_eq!(posted.ticket_ttl, policy.url_ttl);
        assert_eq!(Sending::Chunked.policy(policy.clone()), policy);
        assert!(Sending::Posted.first_look() < Sending::Chunked.first_look());
    }

    #[test]
    fn a_relayed_file_is_no_larger_than_its_request_and_its_ticket_soon_ends() {
        let policy = Policy {
            max_file_size: 6 << 30,
            ..Policy::default()
        };
        let relayed = Sending::Relayed(1000).policy(policy.clone());
        assert_eq!(
            (relayed.max_file_size, relayed.ticket_ttl),
            (1000, RELAY_TTL)
        );
        let endless = Sending::Relayed(u64::MAX).policy(policy.clone());
        assert_eq!(endless.max_file_size, MAX_PUT_SIZE);
        let gathered = Sending::Gathered.policy(policy.clone());
        assert_eq!(
            (gathered.max_file_size, gathered.ticket_ttl),
            (MAX_PUT_SIZE, policy.ticket_ttl)
        );
    }
}
