//! `show`: one ticket's story on one screen, or an owner's latest tickets.

use std::fmt::Write as _;

use clap::Args as ClapArgs;
use putgate::clock::Clock;
use putgate::config::Config;
use putgate::db::Db;
use putgate::domain::file::File;
use putgate::domain::key;
use putgate::domain::name::{Id, Owner, Tenant};
use putgate::domain::outbox::{DeliveryState, Outgoing};
use putgate::domain::problem::Problem;
use putgate::domain::story::{self, Moment, Story};
use putgate::domain::ticket::{State, Ticket, part_count};
use putgate::domain::time::Timestamp;
use putgate::flow::show::{Shelf, shelf, story as read};
use serde_json::{Value, json};

use super::{Done, Failure, count, database, print};

/// How many tickets of an owner fit a screen.
const SCREEN: usize = 30;

#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(super) struct Args {
    /// A ticket's or file's id, a file's key, or the id of an event.
    #[arg(group = "which", value_parser = id)]
    id: Option<Id>,
    /// The latest tickets of this owner.
    #[arg(long, group = "which", value_name = "SUB", value_parser = |text: &str| Owner::parse(text))]
    owner: Option<Owner>,
    /// The owner's tenant.
    #[arg(
        long,
        requires = "owner",
        default_value = "default",
        value_parser = |text: &str| Tenant::parse(text)
    )]
    tenant: Tenant,
    /// For a program.
    #[arg(long)]
    json: bool,
}

/// An id, alone or in a final key.
fn id(text: &str) -> Result<Id, String> {
    let alone = text.parse::<Id>().ok();
    alone
        .or_else(|| key::final_owner(text).map(|(id, _)| id))
        .ok_or_else(|| "neither an id nor a file's key".to_owned())
}

pub(super) async fn run(config: Config, args: Args) -> Done {
    let db = Db::open_beside(&database(&config, false), Clock::System)
        .await
        .map_err(Failure::broken)?;
    let now = db.now();
    let said = match (args.id, &args.owner) {
        (Some(id), _) => match read(&db, id).await.map_err(Failure::broken)? {
            Some(story) if args.json => format!("{:#}", story.json()),
            Some(story) => tell(&story, config.webhook.is_some(), now),
            None => {
                return Err(Failure::broken(format!(
                    "no ticket, file or event has the id {id}; what has ended is forgotten \
                     after [limits] retention"
                )));
            }
        },
        (None, Some(owner)) => {
            let found = shelf(&db, &args.tenant, owner, SCREEN).await;
            let found = found.map_err(Failure::broken)?;
            if args.json {
                format!("{:#}", shelf_json(&args.tenant, owner, &found))
            } else {
                list(&args.tenant, owner, &found)
            }
        }
        (None, None) => String::new(),
    };
    db.close().await;
    print(&said);
    Ok(())
}

/// Text that is somebody else's may hold what a terminal obeys.
fn plain(text: &str) -> String {
    let visible = |c: char| match c {
        '\n' | '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        // What turns the rest of the line around.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    };
    text.chars().map(visible).collect()
}

/// `2026-11-21 19:12:33.123`, in UTC.
fn clock(at: Timestamp) -> String {
    let c = at.calendar();
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}",
        c.year(),
        u8::from(c.month()),
        c.day(),
        c.hour(),
        c.minute(),
        c.second(),
        c.millisecond()
    )
}

/// How long from now, roughly.
fn distance(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.seconds_until(at);
    let (number, unit) = match seconds.abs() {
        0..=119 => (seconds.abs(), "s"),
        120..=7199 => (seconds.abs() / 60, "min"),
        7200..=172_799 => (seconds.abs() / 3600, "h"),
        other => (other / 86_400, "days"),
    };
    if at > now {
        format!("in {number} {unit}")
    } else {
        format!("{number} {unit} ago")
    }
}

struct Page(String);

impl Page {
    fn heading(&mut self, text: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.0, "{gap}{text}");
    }

    fn line(&mut self, name: &str, text: &str) {
        let _ = writeln!(self.0, "  {name:<10}  {}", plain(text));
    }
}

fn tell(story: &Story, has_receiver: bool, now: Timestamp) -> String {
    let mut page = Page(String::new());
    match &story.ticket {
        Some(ticket) => ticket_part(&mut page, ticket, now),
        None => {
            page.heading(&format!(
                "ticket {}  forgotten, after [limits] retention",
                story.id
            ));
        }
    }
    if let Some(file) = &story.file {
        file_part(&mut page, file);
    }
    page.heading("events");
    for event in &story.events {
        delivery(&mut page, event, has_receiver, now);
    }
    if story.events.is_empty() {
        page.line("-", "none yet: an end or a claim writes one");
    }
    page.heading("timeline, UTC");
    for Moment { at, what } in story.timeline() {
        let when = if at > now {
            distance(now, at) + ": "
        } else {
            String::new()
        };
        let _ = writeln!(page.0, "  {}  {when}{}", clock(at), plain(&what));
    }
    page.0
}

fn ticket_part(page: &mut Page, ticket: &Ticket, now: Timestamp) {
    page.heading(&format!("ticket {}  {}", ticket.id, ticket.state.as_str()));
    page.line("slot", &whose(&ticket.slot.to_string(), ticket));
    let exact = if ticket.exact_size { "" } else { "at most " };
    let kind = ticket.media_type.as_deref().unwrap_or("no type");
    page.line(
        "declared",
        &format!("{}, {exact}{} bytes, {kind}", ticket.name, ticket.size),
    );
    if let Some(sum) = &ticket.sha256 {
        page.line("", &format!("sha256 {sum}"));
    }
    if let Some(dialect) = &ticket.dialect {
        page.line("dialect", dialect);
    }
    page.line("transfer", &transfer(ticket));
    page.line("attempts", &attempts(ticket, now));
    if let Some(key) = &ticket.promote_key {
        page.line("copying", &format!("by parts, to {key}"));
    }
    if let Some(note) = &ticket.note {
        page.line("last seen", note);
    }
    if let Some(problem) = &ticket.problem {
        verdict(page, problem);
    }
}

fn whose(slot: &str, ticket: &Ticket) -> String {
    let reference = ticket.reference.as_ref();
    let reference = reference.map_or("no ref".to_owned(), |r| format!("ref {r}"));
    format!(
        "{slot}, of owner {} in tenant {}, {reference}",
        ticket.owner, ticket.tenant
    )
}

fn transfer(ticket: &Ticket) -> String {
    match (ticket.part_size, &ticket.multipart_id, ticket.state) {
        (None, ..) => "one PUT".to_owned(),
        (Some(size), begun, state) => {
            let count = part_count(ticket.size, size);
            let begun = match (begun, state) {
                (Some(_), _) => "begun at the store",
                (None, State::Open) => "not begun: nobody has asked for a URL",
                (None, _) => "not kept at the store",
            };
            format!("{count} parts of {size} bytes; {begun}")
        }
    }
}

fn attempts(ticket: &Ticket, now: Timestamp) -> String {
    if ticket.epoch == 0 {
        return "none yet: nobody has said that the bytes are there".to_owned();
    }
    let held = match ticket.lease_until.filter(|_| ticket.state == State::Open) {
        Some(until) if until > now => {
            format!(
                "; the last is under way, its lease ends {}",
                distance(now, until)
            )
        }
        Some(until) => format!(
            "; the last was cut off, its lease ended {}",
            distance(now, until)
        ),
        None => String::new(),
    };
    let looks = count(ticket.checks as usize, "time", "times");
    format!("{}{held}; the worker looked {looks}", ticket.epoch)
}

fn verdict(page: &mut Page, problem: &Problem) {
    page.line("verdict", &problem.to_string());
    for (name, value) in &problem.members {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        page.line("", &format!("{name}: {text}"));
    }
}

fn file_part(page: &mut Page, file: &File) {
    let state = file.end_reason.map_or("live", |reason| reason.as_str());
    page.heading(&format!("file  {state}"));
    page.line("key", &file.key);
    let pixels = match (file.width, file.height) {
        (Some(width), Some(height)) => format!(", {width} x {height} pixels"),
        _ => String::new(),
    };
    page.line(
        "is",
        &format!("{}, {} bytes{pixels}", file.media_type, file.size),
    );
    page.line("etag", &file.etag);
    if let Some(sum) = &file.sha256 {
        page.line("sha256", sum);
    }
    let claimed = match (file.claimed_at, &file.reference) {
        (Some(_), Some(reference)) => format!("for {reference}"),
        (Some(_), None) => "yes".to_owned(),
        (None, _) => "no".to_owned(),
    };
    page.line("claimed", &claimed);
    for warning in &file.warnings {
        page.line("warning", warning);
    }
}

/// How far an event has come, and below it what there is to do with its id.
fn delivery(page: &mut Page, event: &Outgoing, has_receiver: bool, now: Timestamp) {
    let delivery = &event.delivery;
    let tries = count(delivery.tries as usize, "try", "tries");
    let answer = match (delivery.last_status, &delivery.last_error) {
        (Some(status), Some(why)) => format!(": {status}, {why}"),
        (Some(status), None) => format!(": {status}"),
        (None, Some(why)) => format!(": {why}"),
        (None, None) => String::new(),
    };
    let next = match (delivery.state, delivery.next_try_at) {
        (DeliveryState::Pending, _) if !has_receiver => "; there is no [webhook]".to_owned(),
        (DeliveryState::Pending, _) if delivery.is_held(now) => "; a try is under way".to_owned(),
        (DeliveryState::Pending, Some(at)) if at > now => format!("; next {}", distance(now, at)),
        (DeliveryState::Pending, _) => "; due now".to_owned(),
        (DeliveryState::Delivered | DeliveryState::Dead, _) => String::new(),
    };
    let state = delivery.state.as_str();
    let far = format!("{:<17}  {state} after {tries}{answer}{next}", event.kind);
    page.line(&event.seq.to_string(), &far);
    let id = match delivery.state {
        DeliveryState::Dead => format!("`putgate webhook replay {}` sends it again", event.id),
        DeliveryState::Pending | DeliveryState::Delivered => format!("webhook-id {}", event.id),
    };
    page.line("", &format!("{:17}  {id}", ""));
}

fn list(tenant: &Tenant, owner: &Owner, found: &Shelf) -> String {
    let mut page = Page(String::new());
    page.heading(&format!("owner {owner} in tenant {tenant}"));
    let usage = &found.usage;
    page.line(
        "holds",
        &format!(
            "{} with {} bytes, {} with {} bytes",
            count(usize::try_from(usage.files).unwrap_or(0), "file", "files"),
            usage.stored,
            count(
                usize::try_from(usage.open).unwrap_or(0),
                "open ticket",
                "open tickets"
            ),
            usage.reserved,
        ),
    );
    page.heading("tickets, newest first");
    for ticket in &found.tickets {
        let why = match (&ticket.problem, &ticket.note) {
            (Some(problem), _) => format!("  {}", problem.detail),
            (None, Some(note)) if ticket.state == State::Open => format!("  {note}"),
            _ => String::new(),
        };
        let line = format!(
            "{}  {:<9}  {}  {:<12}  {} bytes  {}{why}",
            ticket.id,
            ticket.state.as_str(),
            clock(ticket.created_at),
            ticket.slot.as_str(),
            ticket.size,
            ticket.name,
        );
        let _ = writeln!(page.0, "  {}", plain(&line));
    }
    if found.tickets.is_empty() {
        page.line(
            "-",
            "none; what has ended is forgotten after [limits] retention",
        );
    }
    if found.more {
        page.line("…", "and older ones");
    }
    page.0
}

fn shelf_json(tenant: &Tenant, owner: &Owner, found: &Shelf) -> Value {
    let tickets: Vec<Value> = found.tickets.iter().map(story::ticket_json).collect();
    let usage = &found.usage;
    json!({
        "tenant": tenant,
        "owner": owner,
        "usage": {"open": usage.open, "files": usage.files, "reserved": usage.reserved, "stored": usage.stored},
        "tickets": tickets,
        "more": found.more,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_made_visible() {
        assert_eq!(
            plain("a\x1b[2Jb\u{202e}c\nd\u{9b}1m"),
            "a\u{fffd}[2Jb\u{fffd}c d\u{fffd}1m"
        );
    }

    #[test]
    fn an_id_is_found_in_a_files_key() {
        let text = "019386a0-0000-7000-8000-000000000000";
        let wanted: Id = text.parse().unwrap();
        assert_eq!(id(text), Ok(wanted));
        assert_eq!(id(&format!("acme/photos/{text}.3.png")), Ok(wanted));
        assert!(id("7").is_err());
    }

    #[test]
    fn distances_are_short_and_say_their_side() {
        let at = |seconds: i64| Timestamp::from_millis(1_000_000_000 + seconds * 1000);
        for (seconds, words) in [
            (90, "in 90 s"),
            (-90, "90 s ago"),
            (600, "in 10 min"),
            (-7200, "2 h ago"),
            (864_000, "in 10 days"),
        ] {
            assert_eq!(distance(at(0), at(seconds)), words);
        }
    }
}
