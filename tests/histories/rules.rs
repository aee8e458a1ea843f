//! The slots of the histories, as the product gets them and as the model knows them.

use std::sync::Arc;

use md5::{Digest, Md5};
use putgate::domain::media::Accept;
use putgate::domain::name::SlotName;
use putgate::domain::slot::{OnFull, Policy, Slot};
use putgate::domain::time::Seconds;
use putgate::flow::Slots;

use crate::common::{HTML, png};
use crate::script::Content;

/// Bytes of a multipart ticket's part, and how many parts it has.
pub const PART: u64 = 1024;
pub const PARTS: usize = 3;
pub const WHOLE: u64 = 2 * PART + 512;

pub const OWNERS: [&str; 2] = ["ann", "bob"];
/// The most live tickets of an owner.
pub const LIVE: u32 = 6;
/// How long after its deadline a ticket has its last attempt, in seconds.
pub const GRACE: i64 = 300;
/// How long a refused or cancelled ticket counts as live.
pub const URL_TTL: i64 = 15 * 60;

/// A slot in the model's words.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub name: &'static str,
    pub replaces: bool,
    pub max_entries: i64,
    /// In bytes: room for two pictures.
    pub quota: Option<i64>,
    pub unclaimed: Option<i64>,
    pub parts: bool,
}

const fn rule(name: &'static str, replaces: bool, max_entries: i64) -> Rule {
    Rule {
        name,
        replaces,
        max_entries,
        quota: None,
        unclaimed: None,
        parts: false,
    }
}

pub const SLOTS: [Rule; 7] = [
    rule("avatar", true, 1),
    rule("album", true, 2),
    rule("single", false, 1),
    rule("photos", false, 3),
    Rule {
        quota: Some(900),
        ..rule("scarce", false, 5)
    },
    Rule {
        unclaimed: Some(3600),
        ..rule("brief", false, 2)
    },
    Rule {
        parts: true,
        ..rule("parts", false, 2)
    },
];

pub fn rule_of(slot: &str) -> Rule {
    let found = SLOTS.into_iter().find(|rule| rule.name == slot);
    found.unwrap_or_else(|| panic!("no slot is called {slot}"))
}

/// The slots for the product.
pub fn slots() -> Slots {
    let slot = |rule: Rule| {
        let name = SlotName::parse(rule.name).unwrap();
        let accept = if rule.parts {
            Accept::default()
        } else {
            Accept::parse(["image/*"]).unwrap()
        };
        let policy = Policy {
            accept,
            max_entries: u32::try_from(rule.max_entries).unwrap(),
            on_full: if rule.replaces {
                OnFull::Replace
            } else {
                OnFull::Reject
            },
            quota: rule.quota.map(|bytes| u64::try_from(bytes).unwrap()),
            unclaimed_ttl: rule.unclaimed.map(|s| Seconds(u32::try_from(s).unwrap())),
            part_size: rule.parts.then_some(PART),
            ..Policy::default()
        };
        (name.clone(), Slot { name, policy })
    };
    SLOTS.into_iter().map(slot).collect()
}

/// What a ticket of this slot declares.
pub fn declared(slot: Rule) -> u64 {
    if slot.parts {
        WHOLE
    } else {
        Content::Good(1).bytes().len() as u64
    }
}

impl Content {
    /// Whether a slot of pictures may keep it.
    pub fn is_lawful(self) -> bool {
        matches!(self, Self::Good(_))
    }

    pub fn bytes(self) -> Arc<[u8]> {
        let liar = || {
            let mut bytes = HTML.to_vec();
            bytes.resize(picture(1).len(), b' ');
            bytes
        };
        match self {
            Self::Good(n) => picture(n).into(),
            Self::Liar => liar().into(),
            Self::TwinOf(n) => {
                let mut bytes = liar();
                // Not the liar's own bytes: who is served is to be told apart.
                let last = bytes.len() - 1;
                bytes[last] = b'0' + u8::try_from(n % 10).unwrap();
                bytes.into()
            }
            Self::Short(n) => {
                let bytes = picture(n);
                bytes[..bytes.len() - 1].into()
            }
        }
    }

    /// The `ETag` that the store is made to give it, when not its own.
    pub fn forged_etag(self) -> Option<String> {
        match self {
            Self::TwinOf(n) => Some(hex::encode(Md5::digest(picture(n)))),
            _ => None,
        }
    }
}

fn picture(n: u16) -> Vec<u8> {
    png(1000 + u32::from(n))
}

/// A part's bytes.
pub fn part_bytes(number: usize, fill: u8) -> Vec<u8> {
    let length = (WHOLE - PART * number as u64).min(PART);
    vec![b'a' + fill; usize::try_from(length).unwrap()]
}
