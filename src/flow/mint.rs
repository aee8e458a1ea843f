//! Mint: check, reserve, insert, then sign. No store call.

use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::sign::{Transfer, transfer};
use super::{App, new_id};
use crate::db::TicketFilter;
use crate::domain::books::IdempotencyKey;
use crate::domain::caller::{Caller, Scope};
use crate::domain::dialect::{Dialect, Sending};
use crate::domain::disposition::clean_name;
use crate::domain::ledger::{self, Mint, MintFile, Minted};
use crate::domain::media;
use crate::domain::name::{Owner, Ref, SlotName};
use crate::domain::problem::{Code, Problem};
use crate::domain::slot::{MAX_PUT_SIZE, Policy};
use crate::domain::ticket::{State, Ticket};
use crate::domain::view;
use crate::metrics::metrics;
use crate::traces::step;

/// The most files of one request.
pub const MAX_FILES: usize = 100;
/// The longest name, in bytes.
const MAX_NAME: usize = 1024;
/// The largest metadata of one file, in bytes of JSON.
const MAX_METADATA: usize = 4096;

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The slot.
    pub slot: SlotName,
    /// The app object.
    pub reference: Option<Ref>,
    /// For whom, when the caller manages.
    pub owner: Option<Owner>,
    /// The files.
    pub files: Vec<Wish>,
    /// The dialect it came through, when not the API itself.
    pub dialect: Option<Dialect>,
    /// How the client will send the files.
    pub sending: Sending,
    /// The `Idempotency-Key`, and the request's own bytes.
    pub idempotency: Option<(String, Vec<u8>)>,
}

/// One file a client wants to upload, as it declares it.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// Its bytes; `None`: as many as the slot allows, for clients that declare none.
    pub size: Option<i64>,
    /// Its media type.
    pub media_type: Option<String>,
    /// Its SHA-256, base64.
    pub sha256: Option<String>,
    /// The app's own words.
    pub metadata: Map<String, Value>,
}

/// A minted ticket and how to fill it.
#[derive(Debug)]
pub struct Ready {
    /// The ticket.
    pub ticket: Ticket,
    /// How to fill it, while it can be: a repeated mint may come too late.
    pub transfer: Option<Transfer>,
}

/// For each file of the request, in its order.
#[derive(Debug)]
pub struct Answer {
    /// A ticket or a problem.
    pub files: Vec<Result<Ready, Problem>>,
}

/// Mints tickets for the files that policy and limits allow.
pub async fn mint(app: &App, caller: &Caller, request: Request) -> Result<Answer, Problem> {
    caller.may(Scope::Upload)?;
    caller.may_use_slot(&request.slot)?;
    caller.may_use_ref(request.reference.as_ref())?;
    let owner = caller.acting_for(request.owner.as_ref())?;
    let slot = app.slot(&request.slot)?;
    if request.files.is_empty() || request.files.len() > MAX_FILES {
        let detail = format!("files: 1 to {MAX_FILES}, got {}", request.files.len());
        return Err(Problem::invalid(detail));
    }
    let policy = slot.policy.tightened(caller.limits_for(&slot.name));
    let (dialect, sending) = (request.dialect, request.sending);
    let policy = sending.policy(policy);
    let files: Vec<_> = request
        .files
        .into_iter()
        .map(|wish| check(app, &policy, sending, wish))
        .collect();
    if let Some(problem) = files.iter().find_map(|file| match file {
        Err(Refusal::Request(problem)) => Some(problem.clone()),
        _ => None,
    }) {
        return Err(problem);
    }
    let job = Mint {
        tenant: caller.tenant.clone(),
        slot: slot.name,
        owner,
        reference: request.reference,
        policy,
        max_open_tickets: app.max_open_tickets,
        files: files
            .into_iter()
            .map(|file| {
                file.map_err(|refusal| match refusal {
                    Refusal::Request(problem) | Refusal::File(problem) => problem,
                })
            })
            .collect(),
        dialect,
        idempotency: request.idempotency.map(|(key, body)| {
            let key = IdempotencyKey {
                tenant: caller.tenant.clone(),
                caller: caller.owner.clone(),
                key,
            };
            (key, hex::encode(Sha256::digest(&body)))
        }),
    };
    let job = Arc::new(job);
    let decided = Arc::clone(&job);
    let minted = app
        .db
        .write(job.footprint(), move |books, now| {
            ledger::mint(books, now, &decided)
        })
        .await?
        .map_err(|_| super::moved())?;
    let files: Vec<Result<Ticket, Problem>> = match minted {
        Minted::Mismatch => {
            let detail = "this Idempotency-Key was used with another body";
            return Err(Problem::new(Code::IdempotencyMismatch, detail));
        }
        Minted::Done { files, cancelled } => {
            for id in cancelled {
                app.announce(id);
            }
            for ticket in files.iter().flatten() {
                tracing::debug!(ticket = %ticket.id, "minted");
                metrics().minted(ticket.slot.as_str());
            }
            files
        }
        Minted::Replay(files) => {
            let mut then = Vec::with_capacity(files.len());
            for file in files {
                then.push(match file {
                    Ok(id) => app.db.ticket(id).await?.ok_or_else(Problem::not_found),
                    Err(problem) => Err(problem),
                });
            }
            then
        }
    };
    let is_full = |file: &Result<_, Problem>| matches!(file, Err(p) if p.code == Code::SlotFull);
    let open = if files.iter().any(is_full) {
        open_tickets(app, &job).await
    } else {
        None
    };
    let files = files
        .into_iter()
        .map(|file| match file {
            Ok(ticket) => {
                let minting = step!("mint", ticket.id);
                Ok(Ok(minting.in_scope(|| prepare(app, ticket))?))
            }
            Err(problem) => Ok(Err(match &open {
                Some(open) if problem.code == Code::SlotFull => {
                    problem.with("open_tickets", open.clone())
                }
                _ => problem,
            })),
        })
        .collect::<Result<_, Problem>>()?;
    Ok(Answer { files })
}

/// The open tickets that fill a slot: `slot-full` names them, so that a client can cancel
/// one. A courtesy: a database too busy for it must not unsay what was decided.
async fn open_tickets(app: &App, job: &Mint) -> Option<Vec<Value>> {
    let filter = TicketFilter {
        tenant: job.tenant.clone(),
        owner: Some(job.owner.clone()),
        slots: Some(vec![job.slot.clone()]),
        reference: job.reference.clone(),
        state: Some(State::Open),
        after: None,
    };
    let open = app.db.tickets(&filter, MAX_FILES).await.ok()?.rows;
    let of_this_ref = open
        .iter()
        .filter(|ticket| ticket.reference == job.reference)
        .map(|ticket| view::ticket(ticket, None));
    Some(of_this_ref.collect())
}

/// A repeated mint may find its ticket closed, or open past its deadline.
fn prepare(app: &App, ticket: Ticket) -> Result<Ready, Problem> {
    let fillable = ticket.state == State::Open && ticket.url_life(app.db.now()).is_some();
    let transfer = fillable.then(|| transfer(app, &ticket)).transpose()?;
    Ok(Ready { ticket, transfer })
}

/// Why a file gets no ticket: the request makes no sense (nothing is minted), or this file
/// is not allowed (the others may be).
enum Refusal {
    Request(Problem),
    File(Problem),
}

/// Everything about a file that needs no books.
fn check(app: &App, policy: &Policy, sending: Sending, wish: Wish) -> Result<MintFile, Refusal> {
    let bad = |detail: String| Refusal::Request(Problem::invalid(detail));
    let size = match wish.size {
        None if sending == Sending::Posted && !app.store.takes_forms() => {
            // A PUT is signed for its exact length.
            let detail =
                "the store takes no forms, so the file's size is needed, or an upload in parts";
            return Err(bad(detail.into()));
        }
        None => policy.max_file_size,
        Some(size) => {
            u64::try_from(size).map_err(|_| bad(format!("size: at least 1 byte, got {size}")))?
        }
    };
    if size == 0 {
        // Somebody picked an empty file among others; those need not suffer for it.
        let problem = Problem::invalid("size: at least 1 byte, the file is empty");
        return Err(Refusal::File(problem));
    }
    if wish.name.len() > MAX_NAME {
        return Err(bad(format!(
            "name: at most {MAX_NAME} bytes, got {}",
            wish.name.len()
        )));
    }
    if wish
        .media_type
        .as_ref()
        .is_some_and(|text| text.len() > 255 || text.chars().any(char::is_control))
    {
        return Err(bad(
            "type: at most 255 bytes without control characters".into()
        ));
    }
    if let Some(sum) = &wish.sha256
        && !is_sha256(sum)
    {
        return Err(bad("sha256: 32 bytes as base64".into()));
    }
    let metadata = serde_json::to_string(&wish.metadata).map_or(0, |text| text.len());
    if metadata > MAX_METADATA {
        return Err(bad(format!(
            "metadata: at most {MAX_METADATA} bytes of JSON, got {metadata}"
        )));
    }
    if size > policy.max_file_size {
        let limit = policy.max_file_size;
        let detail = format!("{size} bytes, the slot takes {limit}");
        return Err(Refusal::File(
            Problem::new(Code::FileTooLarge, detail).with("limit", limit),
        ));
    }
    let extension = media::extension_of_name(&wish.name);
    if let Some(problem) = policy
        .accept
        .hint_refusal(extension.as_deref(), wish.media_type.as_deref())
    {
        return Err(Refusal::File(problem));
    }
    // S3 takes a whole-object SHA-256 with a single PUT only.
    let single_put = size <= MAX_PUT_SIZE && policy.part_size.is_none_or(|part| size <= part);
    Ok(MintFile {
        id: new_id(&app.clock),
        name: clean_name(&wish.name),
        size,
        exact_size: wish.size.is_some(),
        sending,
        media_type: wish.media_type.filter(|text| !text.is_empty()),
        sha256: wish.sha256.filter(|_| single_put),
        metadata: wish.metadata,
    })
}

fn is_sha256(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .is_ok_and(|bytes| bytes.len() == 32)
}
