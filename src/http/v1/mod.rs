//! Version 1 of the API: one file per resource.

mod claims;
mod files;
pub mod notifications;
mod slots;
pub(super) mod tickets;

use std::fmt;
use std::marker::PhantomData;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};

use super::Shared;
use crate::domain::caller::{Caller, Scope};
use crate::domain::file::File;
use crate::domain::name::{NameError, Owner, Ref, SlotName};
use crate::domain::problem::{Code, Problem};
use crate::domain::ticket::{State, Ticket};
use crate::domain::view;
use crate::flow::{App, look};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .merge(slots::routes())
        .merge(tickets::routes())
        .merge(files::routes())
        .merge(claims::routes())
}

/// The longest a call may be asked to wait, in seconds.
const MAX_WAIT: u32 = 60;
/// How many rows a list answers unless it is told.
const PAGE: usize = 50;
/// How many rows a list answers at most.
const MAX_PAGE: usize = 200;

fn wait(asked: Option<u32>, default: u32) -> Result<u32, Problem> {
    match asked {
        None => Ok(default),
        Some(seconds) if seconds <= MAX_WAIT => Ok(seconds),
        Some(seconds) => Err(Problem::invalid(format!(
            "wait: at most {MAX_WAIT} seconds, got {seconds}"
        ))),
    }
}

fn page_size(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(PAGE),
        Some(limit @ 1..=MAX_PAGE) => Ok(limit),
        Some(limit) => Err(Problem::invalid(format!(
            "limit: 1 to {MAX_PAGE}, got {limit}"
        ))),
    }
}

/// A parameter that has to be a name.
fn named<T>(
    parse: fn(String) -> Result<T, NameError>,
    what: &str,
    text: String,
) -> Result<T, Problem> {
    parse(text).map_err(|why| Problem::invalid(format!("{what} {why}")))
}

fn slot_name(text: String) -> Result<SlotName, Problem> {
    named(SlotName::parse, "slot", text)
}

fn reference(text: Option<String>) -> Result<Option<Ref>, Problem> {
    text.map(|text| named(Ref::parse, "ref", text)).transpose()
}

fn owner_name(text: Option<String>) -> Result<Option<Owner>, Problem> {
    text.map(|text| named(Owner::parse, "owner", text))
        .transpose()
}

/// Whose rows a list shows: a manager's filter (absent: the whole tenant), else the caller's.
fn listed_owner(caller: &Caller, asked: Option<Owner>) -> Result<Option<Owner>, Problem> {
    if caller.may(Scope::Manage).is_ok() {
        return Ok(asked);
    }
    match asked {
        Some(owner) if owner != caller.owner => Err(Problem::new(
            Code::Forbidden,
            "only a token with `manage` may ask for another owner",
        )),
        _ => Ok(Some(caller.owner.clone())),
    }
}

/// What has to be a JSON object: serde alone would also read a struct from an array of its
/// members in their order.
#[derive(Debug, Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OnlyMaps<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMaps<T> {
            type Value = T;
            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }
        from.deserialize_map(OnlyMaps(PhantomData)).map(Self)
    }
}

/// An opaque place in a list.
fn cursor(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

fn place(cursor: &str) -> Result<String, Problem> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(bad_cursor)
}

fn bad_cursor() -> Problem {
    Problem::invalid("cursor: not one that a list answered")
}

/// A file with a fresh URL.
fn file_view(app: &App, file: &File) -> Result<Value, Problem> {
    let signed = look::download(app, file)?;
    let mut view = view::file(file);
    view["url"] = json!(signed.url);
    view["url_expires_in"] = json!(signed.expires_in);
    Ok(view)
}

/// A ticket; once it is committed, with its file and a fresh URL, or null for a file that
/// has ended since.
pub(super) fn ticket_view(
    app: &App,
    ticket: &Ticket,
    file: Option<&File>,
) -> Result<Value, Problem> {
    let mut view = view::ticket(ticket, file);
    if ticket.state == State::Committed {
        view["file"] = file.map_or(Ok(Value::Null), |file| file_view(app, file))?;
    }
    Ok(view)
}
