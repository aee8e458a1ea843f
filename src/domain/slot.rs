//! A slot and its policy: who may upload what, how big, how many, for how long.

use serde::{Deserialize, Serialize};

use super::dialect::Dialect;
use super::media::Accept;
use super::name::SlotName;
use super::time::Seconds;

/// The longest life a ticket can have, and the longest `url_ttl` S3 allows.
pub const SEVEN_DAYS: Seconds = Seconds(7 * 24 * 3600);
/// The largest object S3 can hold.
pub const MAX_OBJECT_SIZE: u64 = 5 * 1024 * 1024 * 1024 * 1024;
/// The largest body of one PUT or one part.
pub const MAX_PUT_SIZE: u64 = 5 * 1024 * 1024 * 1024;
/// The smallest part that is not the last.
pub const MIN_PART_SIZE: u64 = 5 * 1024 * 1024;
/// The most parts a multipart upload may have.
pub const MAX_PARTS: u64 = 10_000;

/// A named upload policy of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Its name, as in `[slots.NAME]`.
    pub name: SlotName,
    /// What it allows.
    pub policy: Policy,
}

/// What a slot allows. Each ticket carries the policy it was minted under, so that a
/// later change of the configuration does not move the goal posts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each switch of the configuration"
)]
pub struct Policy {
    /// What is accepted; empty: any bytes.
    pub accept: Accept,
    /// The largest file, in bytes.
    pub max_file_size: u64,
    /// The most files (and open tickets) per tenant, slot, owner and ref.
    pub max_entries: u32,
    /// What a full slot does with one more.
    pub on_full: OnFull,
    /// A hint for clients: start when a file is picked.
    pub auto_upload: bool,
    /// Multipart above one part of this many bytes; absent: one PUT as long as it fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_size: Option<u64>,
    /// How long an open ticket lives after its last `sign`.
    pub ticket_ttl: Seconds,
    /// How long one signed URL works.
    pub url_ttl: Seconds,
    /// When a committed file ends that nobody claimed; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclaimed_ttl: Option<Seconds>,
    /// The most bytes per tenant, slot and owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// Bounds on an image's dimensions, as its header states them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageLimits>,
    /// How a browser is told to treat a download.
    pub disposition: Disposition,
    /// Whether `GET /f/{id}` works without a token.
    pub public: bool,
    /// Whether extension, declared type and bytes must all agree.
    pub strict_match: bool,
    /// Whether content that a browser may execute is taken, where `accept` names its type.
    #[serde(default)]
    pub allow_active_content: bool,
    /// Bounds over all owners of a tenant.
    #[serde(default)]
    pub per_tenant: TenantLimits,
    /// The protocols it speaks besides the API. Not kept with a ticket, which has no use for
    /// them: a release that does not know one of them must still read the row.
    #[serde(skip)]
    pub dialects: Vec<Dialect>,
    /// What the dialect `form` answers. Not kept with a ticket either.
    #[serde(skip)]
    pub form_answer: FormAnswer,
    /// What the token tightened. A bound that a token drew refuses; it never retires a file.
    #[serde(default)]
    pub token: TokenLimits,
}

/// What a client of the dialect `form` expects to hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormAnswer {
    /// jQuery File Upload: `{"files":[…]}`.
    #[default]
    Files,
    /// Tutorials: `{"is_valid":true,"name":…,"url":…}`.
    IsValid,
    /// filedrop: `{"success":true}`.
    Success,
}

/// What a full slot does with one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFull {
    /// Refuse with `slot-full`.
    Reject,
    /// Last pick wins: the oldest gives way.
    Replace,
}

/// How a browser is told to treat a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// Save it.
    Attachment,
    /// Show it, when its type is inert.
    Inline,
}

/// Bounds on an image's dimensions, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageLimits {
    /// The widest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_width: Option<u32>,
    /// The highest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_height: Option<u32>,
    /// The most pixels, width times height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_pixels: Option<u64>,
}

/// Bounds over all owners of a tenant in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TenantLimits {
    /// The most open tickets and live files together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_entries: Option<u32>,
    /// The most reserved and stored bytes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
}

/// What a token says about a slot: each bound counts only where it is tighter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenLimits {
    /// Fewer entries than the slot allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_entries: Option<u32>,
    /// Smaller files than the slot allows, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_size: Option<u64>,
    /// Fewer bytes than the slot allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
}

impl Default for Policy {
    /// A slot of which the configuration says nothing but its name.
    fn default() -> Self {
        Self {
            accept: Accept::default(),
            max_file_size: 10_000_000,
            max_entries: 1,
            on_full: OnFull::Reject,
            auto_upload: true,
            part_size: None,
            ticket_ttl: Seconds(24 * 3600),
            url_ttl: Seconds(15 * 60),
            unclaimed_ttl: None,
            quota: None,
            image: None,
            disposition: Disposition::Attachment,
            public: false,
            strict_match: false,
            allow_active_content: false,
            per_tenant: TenantLimits::default(),
            dialects: Vec::new(),
            form_answer: FormAnswer::default(),
            token: TokenLimits::default(),
        }
    }
}

impl Policy {
    /// The effective policy: the slot's, tightened by the token's limits. A token's limit
    /// that is looser than the slot's is as if it were not there.
    #[must_use]
    pub fn tightened(&self, by: TokenLimits) -> Self {
        Self {
            max_file_size: by
                .max_file_size
                .map_or(self.max_file_size, |n| n.min(self.max_file_size)),
            token: TokenLimits {
                max_entries: by.max_entries.filter(|n| *n < self.max_entries),
                max_file_size: by.max_file_size.filter(|n| *n < self.max_file_size),
                quota: by.quota.filter(|n| self.quota.is_none_or(|slot| *n < slot)),
            },
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tightens_and_never_loosens() {
        let slot = Policy {
            max_entries: 5,
            quota: Some(100),
            max_file_size: 50,
            ..Policy::default()
        };
        let loose = TokenLimits {
            max_entries: Some(6),
            max_file_size: Some(60),
            quota: Some(101),
        };
        assert_eq!(slot.tightened(loose), slot);
        let tight = TokenLimits {
            max_entries: Some(3),
            max_file_size: Some(40),
            quota: Some(99),
        };
        let policy = slot.tightened(tight);
        assert_eq!((policy.max_file_size, policy.token), (40, tight));
        assert_eq!(
            policy.max_entries, 5,
            "replacement is driven by the slot alone"
        );
    }

    #[test]
    fn a_policy_survives_its_row() {
        let policy = Policy {
            accept: Accept::parse(["image/*", ".pdf"]).unwrap(),
            quota: Some(7),
            ..Policy::default()
        };
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
    }
}
