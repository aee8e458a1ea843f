//! One ticket's story, as `putgate show` tells it: what its rows say happened, and what is
//! to come, in the order of time.

use serde_json::{Value, json};

use super::file::File;
use super::name::Id;
use super::outbox::{DeliveryState, Outgoing};
use super::ticket::{State, Ticket};
use super::time::Timestamp;
use super::view;

/// Everything that the rows tell of one id.
#[derive(Clone, Debug)]
pub struct Story {
    /// The ticket's and the file's.
    pub id: Id,
    /// The ticket, unless `retention` has passed over it.
    pub ticket: Option<Ticket>,
    /// The file, live or a tombstone; none before the commit and after the purge.
    pub file: Option<File>,
    /// Its events, by `seq`.
    pub events: Vec<Outgoing>,
}

/// Something that happened, or will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What, in a few words.
    pub what: String,
}

impl Story {
    /// What happened and what is due, oldest first.
    pub fn timeline(&self) -> Vec<Moment> {
        let mut moments = Vec::new();
        if let Some(ticket) = &self.ticket {
            of_ticket(ticket, &mut moments);
        }
        if let Some(file) = &self.file {
            of_file(file, self.ticket.is_some(), &mut moments);
        }
        for event in &self.events {
            of_event(event, &mut moments);
        }
        moments.sort_by_key(|moment| moment.at);
        moments
    }

    /// For a program. No signed URL, no upload id.
    pub fn json(&self) -> Value {
        let ticket = self.ticket.as_ref().map(ticket_json);
        let file = self.file.as_ref().map(|file| {
            let mut json = view::file(file);
            json["tenant"] = json!(file.tenant);
            json["ended_at"] = json!(file.ended_at);
            json["end_reason"] = json!(file.end_reason.map(super::file::EndReason::as_str));
            json["purge_at"] = json!(file.purge_at);
            json["unclaimed_at"] = json!(file.unclaimed_at);
            json
        });
        let events: Vec<Value> = self.events.iter().map(event_json).collect();
        let timeline: Vec<Value> = self
            .timeline()
            .iter()
            .map(|moment| json!({"at": moment.at, "what": moment.what}))
            .collect();
        json!({
            "id": self.id,
            "ticket": ticket,
            "file": file,
            "events": events,
            "timeline": timeline,
        })
    }
}

/// A ticket with what an operator asks about it.
pub fn ticket_json(ticket: &Ticket) -> Value {
    let attempts: Vec<Value> = attempts(ticket)
        .map(|(number, began)| json!({"number": number, "began_at": began}))
        .collect();
    let mut json = view::ticket(ticket, None);
    let more = [
        ("tenant", json!(ticket.tenant)),
        ("type", json!(ticket.media_type)),
        ("sha256", json!(ticket.sha256)),
        ("dialect", json!(ticket.dialect)),
        ("created_at", json!(ticket.created_at)),
        ("expires_at", json!(ticket.expires_at)),
        ("closed_at", json!(ticket.closed_at)),
        ("epoch", json!(ticket.epoch)),
        ("attempts", json!(attempts)),
        ("lease_until", json!(ticket.lease_until)),
        ("last_seen", json!(ticket.note)),
        ("problem", json!(ticket.problem)),
        ("part_size", json!(ticket.part_size)),
        ("multipart_begun", json!(ticket.multipart_id.is_some())),
        ("promoting", json!(ticket.promote_key)),
        ("looks", json!(ticket.checks)),
        ("next_look_at", json!(ticket.next_check_at)),
        ("cooling_until", json!(ticket.cooling_until)),
        ("clean_at", json!(ticket.clean_at)),
    ];
    for (name, value) in more {
        json[name] = value;
    }
    json
}

fn event_json(event: &Outgoing) -> Value {
    let delivery = &event.delivery;
    json!({
        "id": event.id,
        "seq": event.seq,
        "type": event.kind,
        "created_at": event.created_at,
        "state": delivery.state.as_str(),
        "tries": delivery.tries,
        "next_try_at": delivery.next_try_at,
        "lease_until": delivery.lease_until,
        "settled_at": delivery.settled_at,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
    })
}

/// The attempts that a ticket remembers, with their numbers.
pub fn attempts(ticket: &Ticket) -> impl Iterator<Item = (u32, Timestamp)> {
    let remembered = u32::try_from(ticket.attempts.len()).unwrap_or(u32::MAX);
    let first = ticket.epoch.saturating_sub(remembered) + 1;
    let began = ticket.attempts.iter().map(|at| Timestamp::from_millis(*at));
    (first..).zip(began)
}

fn of_ticket(ticket: &Ticket, moments: &mut Vec<Moment>) {
    let mut add = |at: Option<Timestamp>, what: String| {
        moments.extend(at.map(|at| Moment { at, what }));
    };
    add(Some(ticket.created_at), "minted".into());
    for (number, began) in attempts(ticket) {
        add(Some(began), format!("attempt {number} began"));
    }
    let end = match (&ticket.problem, ticket.state) {
        (Some(problem), state) => format!("{}: {}", state.as_str(), problem.detail),
        (None, state) => state.as_str().to_owned(),
    };
    add(ticket.closed_at, end);
    if ticket.state == State::Open {
        add(
            ticket.lease_until,
            format!("the lease of attempt {} ends", ticket.epoch),
        );
        add(ticket.next_check_at, "the worker looks".into());
        add(Some(ticket.expires_at), "the deadline".into());
    }
    add(
        ticket.cooling_until,
        "it no longer counts among its owner's open tickets".into(),
    );
    add(ticket.clean_at, "the worker removes what it left".into());
}

fn of_file(file: &File, has_ticket: bool, moments: &mut Vec<Moment>) {
    let committed = (!has_ticket).then_some(file.committed_at);
    let end = file.end_reason.map_or_else(String::new, |reason| {
        format!("the file ended: {}", reason.as_str())
    });
    for (at, what) in [
        (committed, "committed".to_owned()),
        (file.claimed_at, "claimed".to_owned()),
        (file.unclaimed_at, "it ends unless it is claimed".to_owned()),
        (file.ended_at, end),
        (file.purge_at, "its bytes are deleted".to_owned()),
    ] {
        moments.extend(at.map(|at| Moment { at, what }));
    }
}

fn of_event(event: &Outgoing, moments: &mut Vec<Moment>) {
    let (kind, delivery) = (&event.kind, &event.delivery);
    let settled = match delivery.state {
        DeliveryState::Delivered => format!("{kind} was delivered"),
        DeliveryState::Pending | DeliveryState::Dead => format!("{kind} was given up"),
    };
    for (at, what) in [
        (
            Some(event.created_at),
            format!("event {kind}, seq {}", event.seq),
        ),
        (delivery.settled_at, settled),
        (delivery.next_try_at, format!("{kind} is tried next")),
    ] {
        moments.extend(at.map(|at| Moment { at, what }));
    }
}
