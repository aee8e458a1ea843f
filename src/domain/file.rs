//! Files: committed uploads, live or tombstones.

use serde_json::{Map, Value};

use super::name::{Id, Owner, Ref, SlotName, Tenant};
use super::slot::Disposition;
use super::time::Timestamp;

/// Why a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its owner or the app deleted it.
    Deleted,
    /// A newer file took its place.
    Replaced,
    /// Nobody claimed it in time.
    Unclaimed,
}

impl EndReason {
    /// The reason as events and the database write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Replaced => "replaced",
            Self::Unclaimed => "unclaimed",
        }
    }

    /// The reason that reads `text`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Deleted, Self::Replaced, Self::Unclaimed]
            .into_iter()
            .find(|r| r.as_str() == text)
    }
}

/// A file's row. Live until `ended_at`; then a tombstone until its bytes are gone.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// Same id as its ticket.
    pub id: Id,
    /// Whose world it lives in.
    pub tenant: Tenant,
    /// The slot it came through.
    pub slot: SlotName,
    /// Who uploaded it.
    pub owner: Owner,
    /// The app object it belongs to.
    pub reference: Option<Ref>,
    /// Its final key in the files bucket.
    pub key: String,
    /// The client's name for it, cleaned.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// The detected media type.
    pub media_type: String,
    /// The final object's `ETag`, without quotes.
    pub etag: String,
    /// SHA-256, base64, when it is known.
    pub sha256: Option<String>,
    /// Pixels, when it is an image whose header says so.
    pub width: Option<u32>,
    /// Pixels, when it is an image whose header says so.
    pub height: Option<u32>,
    /// The app's own words about it.
    pub metadata: Map<String, Value>,
    /// How a browser is told to treat it.
    pub disposition: Disposition,
    /// What was odd and still accepted.
    pub warnings: Vec<String>,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// When the app claimed it.
    pub claimed_at: Option<Timestamp>,
    /// When it ends unless it is claimed.
    pub unclaimed_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
    /// When sweep deletes its bytes (again, after a store that refused); tombstones only.
    pub purge_at: Option<Timestamp>,
    /// The last `seq` an event of this id was given.
    pub event_seq: u32,
}

impl File {
    /// Whether readers may have it.
    pub fn is_live(&self) -> bool {
        self.ended_at.is_none()
    }
}
