//! How tickets and files look from outside: the JSON that answers and events share.

use serde_json::{Value, json};

use super::file::File;
use super::ticket::{State, Ticket};

/// A ticket: its own members, its file when it is committed, its problem when it ended
/// without one.
pub fn ticket(ticket: &Ticket, committed: Option<&File>) -> Value {
    let mut view = json!({
        "id": ticket.id,
        "slot": ticket.slot,
        "ref": ticket.reference,
        "owner": ticket.owner,
        "state": ticket.state.as_str(),
        "name": ticket.name,
        "size": ticket.size,
    });
    match ticket.state {
        State::Open => view["expires_at"] = json!(ticket.expires_at),
        State::Committed => {
            if let Some(committed) = committed {
                view["file"] = file(committed);
            }
        }
        State::Rejected | State::Expired | State::Cancelled => {
            view["problem"] = json!(ticket.problem);
        }
    }
    view
}

/// A file's metadata, without a `url`: that is a secret with a short life of its own.
pub fn file(file: &File) -> Value {
    let mut view = json!({
        "id": file.id,
        "slot": file.slot,
        "ref": file.reference,
        "owner": file.owner,
        "key": file.key,
        "name": file.name,
        "size": file.size,
        "type": file.media_type,
        "etag": file.etag,
        "metadata": file.metadata,
        "committed_at": file.committed_at,
    });
    let optional = [
        ("sha256", json!(file.sha256)),
        ("width", json!(file.width)),
        ("height", json!(file.height)),
        ("claimed_at", json!(file.claimed_at)),
    ];
    for (name, value) in optional {
        if !value.is_null() {
            view[name] = value;
        }
    }
    if !file.warnings.is_empty() {
        view["warnings"] = json!(file.warnings);
    }
    view
}
