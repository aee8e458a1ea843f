//! Events: rows of the outbox, each written by the transaction that made it true.

use serde_json::{Value, json};

use super::file::{EndReason, File};
use super::name::{Id, Tenant};
use super::ticket::{State, Ticket};
use super::time::Timestamp;
use super::view;

/// A row of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its stable id: a receiver sees it again on every delivery.
    pub id: Id,
    /// The ticket or file it is about.
    pub subject: Id,
    /// Its place among the events of its subject, from 1.
    pub seq: u32,
    /// Whose world it happened in.
    pub tenant: Tenant,
    /// `ticket.committed`, `file.deleted`, …
    pub kind: &'static str,
    /// The body a webhook carries (Standard Webhooks: `type`, `timestamp`, `data`).
    pub body: Value,
    /// When it happened.
    pub created_at: Timestamp,
}

impl Event {
    /// The one event of a ticket's terminal state.
    pub fn closed(id: Id, ticket: &Ticket, file: Option<&File>, now: Timestamp) -> Self {
        let kind = match ticket.state {
            State::Open | State::Committed => "ticket.committed",
            State::Rejected => "ticket.rejected",
            State::Expired => "ticket.expired",
            State::Cancelled => "ticket.cancelled",
        };
        Self::new(
            id,
            ticket.id,
            1,
            &ticket.tenant,
            kind,
            view::ticket(ticket, file),
            now,
        )
    }

    /// A file was claimed.
    pub fn claimed(id: Id, file: &File, now: Timestamp) -> Self {
        let data = view::file(file);
        Self::new(
            id,
            file.id,
            file.event_seq,
            &file.tenant,
            "file.claimed",
            data,
            now,
        )
    }

    /// A file ended.
    pub fn ended(id: Id, file: &File, reason: EndReason, now: Timestamp) -> Self {
        let mut data = view::file(file);
        data["reason"] = json!(reason.as_str());
        Self::new(
            id,
            file.id,
            file.event_seq,
            &file.tenant,
            "file.deleted",
            data,
            now,
        )
    }

    fn new(
        id: Id,
        subject: Id,
        seq: u32,
        tenant: &Tenant,
        kind: &'static str,
        mut data: Value,
        now: Timestamp,
    ) -> Self {
        data["seq"] = json!(seq);
        data["tenant"] = json!(tenant);
        Self {
            id,
            subject,
            seq,
            tenant: tenant.clone(),
            kind,
            body: json!({"type": kind, "timestamp": now, "data": data}),
            created_at: now,
        }
    }
}
