//! Rows to nouns and back. A row that does not decode is an error that names its column;
//! nothing is defaulted.

use super::DbError;
use super::sql::Row;
use crate::domain::books::Usage;
use crate::domain::file::{EndReason, File};
use crate::domain::name::{Id, NameError};
use crate::domain::outbox::{Delivery, DeliveryState, Outgoing};
use crate::domain::problem::Problem;
use crate::domain::slot::Disposition;
use crate::domain::ticket::{State, Ticket};
use crate::domain::time::Timestamp;
use serde::de::DeserializeOwned;

/// The columns of a ticket, in the order of [`ticket`].
pub(super) const TICKET: &str = "id, tenant, slot, owner, ref, state, name, size, exact_size, \
    media_type, sha256, metadata, policy, epoch, attempts, lease_until, created_at, expires_at, \
    next_check_at, checks, closed_at, cooling_until, problem, part_size, multipart_id, \
    promote_key, promote_upload_id, clean_at, note, dialect";

/// The columns of a file, in the order of [`file`].
pub(super) const FILE: &str = "id, tenant, slot, owner, ref, key, name, size, media_type, etag, \
    sha256, width, height, metadata, disposition, warnings, committed_at, claimed_at, \
    unclaimed_at, ended_at, end_reason, event_seq, purge_at";

/// The columns of an event, in the order of [`event`].
pub(super) const EVENT: &str = "id, subject, seq, tenant, kind, body, \
    created_at, state, tries, next_try_at, lease_until, settled_at, last_status, last_error, taken";

fn wrong(table: &str, column: &str, why: &dyn std::fmt::Display) -> DbError {
    DbError::Inconsistent(format!("{table}.{column} {why}"))
}

fn name<T>(parsed: Result<T, NameError>, table: &str, column: &str) -> Result<T, DbError> {
    parsed.map_err(|why| wrong(table, column, &why))
}

fn unsigned<T: TryFrom<i64>>(row: &Row, table: &str, column: &str) -> Result<T, DbError> {
    let number: i64 = row.get(column)?;
    T::try_from(number).map_err(|_| wrong(table, column, &"is out of range"))
}

fn optional<T: TryFrom<i64>>(row: &Row, table: &str, column: &str) -> Result<Option<T>, DbError> {
    row.get::<Option<i64>>(column)?
        .map(|number| T::try_from(number).map_err(|_| wrong(table, column, &"is out of range")))
        .transpose()
}

pub(super) fn moment(row: &Row, column: &str) -> Result<Timestamp, DbError> {
    Ok(Timestamp::from_millis(row.get(column)?))
}

fn maybe(row: &Row, column: &str) -> Result<Option<Timestamp>, DbError> {
    Ok(row.get::<Option<i64>>(column)?.map(Timestamp::from_millis))
}

fn json<T: DeserializeOwned>(row: &Row, table: &str, column: &str) -> Result<T, DbError> {
    let text: &str = row.get(column)?;
    serde_json::from_str(text).map_err(|why| wrong(table, column, &why))
}

pub(super) fn ticket(row: &Row) -> Result<Ticket, DbError> {
    use crate::domain::name::{Owner, Ref, SlotName, Tenant};
    let t = "tickets";
    let state: &str = row.get("state")?;
    Ok(Ticket {
        id: row.get::<Id>("id")?,
        tenant: name(Tenant::parse(row.get::<String>("tenant")?), t, "tenant")?,
        slot: name(SlotName::parse(row.get::<String>("slot")?), t, "slot")?,
        owner: name(Owner::parse(row.get::<String>("owner")?), t, "owner")?,
        reference: row
            .get::<Option<String>>("ref")?
            .map(|r| name(Ref::parse(r), t, "ref"))
            .transpose()?,
        state: State::parse(state).ok_or_else(|| wrong(t, "state", &"is unknown"))?,
        name: row.get("name")?,
        size: unsigned(row, t, "size")?,
        exact_size: row.get("exact_size")?,
        media_type: row.get("media_type")?,
        sha256: row.get("sha256")?,
        metadata: json(row, t, "metadata")?,
        policy: json(row, t, "policy")?,
        epoch: unsigned(row, t, "epoch")?,
        attempts: json(row, t, "attempts")?,
        lease_until: maybe(row, "lease_until")?,
        created_at: moment(row, "created_at")?,
        expires_at: moment(row, "expires_at")?,
        next_check_at: maybe(row, "next_check_at")?,
        checks: unsigned(row, t, "checks")?,
        closed_at: maybe(row, "closed_at")?,
        cooling_until: maybe(row, "cooling_until")?,
        problem: row
            .get::<Option<&str>>("problem")?
            .map(|text| {
                serde_json::from_str(text)
                    .ok()
                    .and_then(|value| Problem::from_json(&value))
                    .ok_or_else(|| wrong(t, "problem", &"does not decode"))
            })
            .transpose()?,
        part_size: optional(row, t, "part_size")?,
        multipart_id: row.get("multipart_id")?,
        promote_key: row.get("promote_key")?,
        promote_upload_id: row.get("promote_upload_id")?,
        clean_at: maybe(row, "clean_at")?,
        note: row.get("note")?,
        dialect: row.get("dialect")?,
    })
}

pub(super) fn file(row: &Row) -> Result<File, DbError> {
    use crate::domain::name::{Owner, Ref, SlotName, Tenant};
    let t = "files";
    Ok(File {
        id: row.get::<Id>("id")?,
        tenant: name(Tenant::parse(row.get::<String>("tenant")?), t, "tenant")?,
        slot: name(SlotName::parse(row.get::<String>("slot")?), t, "slot")?,
        owner: name(Owner::parse(row.get::<String>("owner")?), t, "owner")?,
        reference: row
            .get::<Option<String>>("ref")?
            .map(|r| name(Ref::parse(r), t, "ref"))
            .transpose()?,
        key: row.get("key")?,
        name: row.get("name")?,
        size: unsigned(row, t, "size")?,
        media_type: row.get("media_type")?,
        etag: row.get("etag")?,
        sha256: row.get("sha256")?,
        width: optional(row, t, "width")?,
        height: optional(row, t, "height")?,
        metadata: json(row, t, "metadata")?,
        disposition: match row.get::<&str>("disposition")? {
            "attachment" => Disposition::Attachment,
            "inline" => Disposition::Inline,
            _ => return Err(wrong(t, "disposition", &"is unknown")),
        },
        warnings: json(row, t, "warnings")?,
        committed_at: moment(row, "committed_at")?,
        claimed_at: maybe(row, "claimed_at")?,
        unclaimed_at: maybe(row, "unclaimed_at")?,
        ended_at: maybe(row, "ended_at")?,
        end_reason: row
            .get::<Option<&str>>("end_reason")?
            .map(|text| EndReason::parse(text).ok_or_else(|| wrong(t, "end_reason", &"is unknown")))
            .transpose()?,
        event_seq: unsigned(row, t, "event_seq")?,
        purge_at: maybe(row, "purge_at")?,
    })
}

pub(super) fn usage(row: &Row) -> Result<Usage, DbError> {
    Ok(Usage {
        open: row.get("open")?,
        files: row.get("files")?,
        reserved: row.get("reserved")?,
        stored: row.get("stored")?,
    })
}

pub(super) fn event(row: &Row) -> Result<Outgoing, DbError> {
    use crate::domain::name::Tenant;
    let t = "events";
    Ok(Outgoing {
        id: row.get("id")?,
        subject: row.get("subject")?,
        seq: unsigned(row, t, "seq")?,
        tenant: name(Tenant::parse(row.get::<String>("tenant")?), t, "tenant")?,
        kind: row.get("kind")?,
        body: row.get("body")?,
        created_at: moment(row, "created_at")?,
        delivery: Delivery {
            state: DeliveryState::parse(row.get::<&str>("state")?)
                .ok_or_else(|| wrong(t, "state", &"is unknown"))?,
            tries: unsigned(row, t, "tries")?,
            next_try_at: maybe(row, "next_try_at")?,
            lease_until: maybe(row, "lease_until")?,
            settled_at: maybe(row, "settled_at")?,
            last_status: optional(row, t, "last_status")?,
            last_error: row.get("last_error")?,
            taken: unsigned(row, t, "taken")?,
        },
    })
}
