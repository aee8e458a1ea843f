//! Every refusal the API knows, on one screen (RFC 9457).

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::{Map, Value};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal, $title:literal;)*) => {
        /// The stable code of a problem. Clients branch on it; the words may change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code, in the order of their statuses.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// The code as clients see it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Its HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// A short, constant summary.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// The code that reads `text`.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

codes! {
    /// The request is not what the API documents.
    InvalidRequest = "invalid-request", 400, "The request is not valid";
    /// No token, or one that does not verify.
    Unauthenticated = "unauthenticated", 401, "A valid token is needed";
    /// The token does not allow this.
    Forbidden = "forbidden", 403, "The token does not allow this";
    /// Not there, or another owner's.
    NotFound = "not-found", 404, "There is nothing here";
    /// The path knows other methods.
    MethodNotAllowed = "method-not-allowed", 405, "The method is not allowed here";
    /// Complete before the bytes arrived; the ticket stays open.
    ObjectMissing = "object-missing", 409, "The upload has not arrived";
    /// Complete before every part arrived; the ticket stays open.
    PartsMissing = "parts-missing", 409, "Parts of the upload are missing";
    /// The ticket was cancelled.
    TicketClosed = "ticket-closed", 409, "The ticket is closed";
    /// `max_entries` is reached.
    SlotFull = "slot-full", 409, "The slot is full";
    /// `quota` is reached.
    QuotaExceeded = "quota-exceeded", 409, "The quota is used up";
    /// The file belongs to another ref.
    ClaimConflict = "claim-conflict", 409, "The file is claimed for something else";
    /// The ticket's time is over.
    TicketExpired = "ticket-expired", 410, "The ticket has expired";
    /// Larger than the slot allows.
    FileTooLarge = "file-too-large", 413, "The file is too large";
    /// The hint given at mint is not accepted.
    TypeNotAccepted = "type-not-accepted", 422, "The type is not accepted";
    /// The verdict was negative.
    ContentRejected = "content-rejected", 422, "The content was rejected";
    /// The idempotency key was used with another body.
    IdempotencyMismatch = "idempotency-mismatch", 422, "The idempotency key was used for another request";
    /// Too many live tickets.
    TooManyOpenTickets = "too-many-open-tickets", 429, "Too many open tickets";
    /// Our fault.
    Internal = "internal", 500, "Something went wrong here";
    /// As much as this server does at once is being done.
    Busy = "busy", 503, "Too much at once";
    /// The store did not answer as it should.
    StorageUnavailable = "storage-unavailable", 503, "The storage is unavailable";
    /// The database did not answer as it should.
    DatabaseUnavailable = "database-unavailable", 503, "The database is unavailable";
    /// The keys that verify tokens were never fetched.
    KeysUnavailable = "keys-unavailable", 503, "The keys for tokens are unavailable";
    /// The store has no room.
    StorageFull = "storage-full", 507, "The storage is full";
}

/// A refusal: RFC 9457 problem details with a stable `code` and members of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Which refusal.
    pub code: Code,
    /// One sentence that names the law and the offender.
    pub detail: String,
    /// Members beside the standard ones: `limit`, `reason`, `missing`, …
    pub members: Map<String, Value>,
}

impl Problem {
    /// A problem with its sentence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            members: Map::new(),
        }
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// `invalid-request`, the most common one.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// A problem as its JSON tells it; `None` when that is no problem of ours.
    pub fn from_json(value: &Value) -> Option<Self> {
        let mut members = value.as_object()?.clone();
        let code = Code::parse(members.remove("code")?.as_str()?)?;
        let Value::String(detail) = members.remove("detail")? else {
            return None;
        };
        for standard in ["type", "title", "status"] {
            members.remove(standard);
        }
        Some(Self {
            code,
            detail,
            members,
        })
    }

    /// `not-found`, which says nothing about what it did not find.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "no such resource, or not yours")
    }
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("type", "about:blank")?;
        map.serialize_entry("title", self.code.title())?;
        map.serialize_entry("status", &self.code.status())?;
        map.serialize_entry("code", self.code.as_str())?;
        map.serialize_entry("detail", &self.detail)?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_rfc_9457_with_a_stable_code() {
        let problem =
            Problem::new(Code::FileTooLarge, "12 bytes, the slot takes 10").with("limit", 10);
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"type": "about:blank", "title": "The file is too large", "status": 413,
                "code": "file-too-large", "detail": "12 bytes, the slot takes 10", "limit": 10})
        );
    }

    #[test]
    fn codes_read_back_as_themselves() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
        }
    }
}
