//! Mint: check the limits, reserve the room, insert the tickets.

use serde_json::{Map, Value, json};

use super::accounts;
use super::end::end_ticket;
use crate::domain::books::{
    Account, Books, Footprint, GivingWay, IdempotencyKey, Remembered, Scope, Stale, Usage, counted,
};
use crate::domain::dialect::{Dialect, Sending};
use crate::domain::name::{Id, Owner, Ref, SlotName, Tenant};
use crate::domain::problem::{Code, Problem};
use crate::domain::slot::{OnFull, Policy};
use crate::domain::ticket::{State, Ticket};
use crate::domain::time::Timestamp;

/// A request for tickets, already checked for everything that needs no books.
#[derive(Clone, Debug)]
pub struct Mint {
    /// Whose world.
    pub tenant: Tenant,
    /// The slot.
    pub slot: SlotName,
    /// Who will upload.
    pub owner: Owner,
    /// What for.
    pub reference: Option<Ref>,
    /// The effective policy.
    pub policy: Policy,
    /// The most live tickets an owner may have.
    pub max_open_tickets: u32,
    /// The files, each a ticket to be or a refusal that needed no books.
    pub files: Vec<Result<MintFile, Problem>>,
    /// The dialect it came through, when not the API itself.
    pub dialect: Option<Dialect>,
    /// The caller's idempotency key, and the hash of the request.
    pub idempotency: Option<(IdempotencyKey, String)>,
}

/// One file of a mint.
#[derive(Clone, Debug)]
pub struct MintFile {
    /// The ticket's id, made before queueing.
    pub id: Id,
    /// The cleaned name.
    pub name: String,
    /// Declared bytes, or the most there may be.
    pub size: u64,
    /// Whether the client declared them.
    pub exact_size: bool,
    /// How the client sends them.
    pub sending: Sending,
    /// Declared media type.
    pub media_type: Option<String>,
    /// Declared SHA-256, base64.
    pub sha256: Option<String>,
    /// The app's own words.
    pub metadata: Map<String, Value>,
}

/// What a mint came to.
#[derive(Clone, Debug)]
pub enum Minted {
    /// For each file of the request, its ticket or its problem, and the tickets that had
    /// to give way.
    Done {
        /// In the order of the request.
        files: Vec<Result<Ticket, Problem>>,
        /// Tickets this mint cancelled.
        cancelled: Vec<Id>,
    },
    /// The idempotency key is known: the ids and problems of then. The tickets are to be
    /// read as they are now.
    Replay(Vec<Result<Id, Problem>>),
    /// The idempotency key was used for another request.
    Mismatch,
}

impl Mint {
    /// The rows this mint may touch.
    pub fn footprint(&self) -> Footprint {
        Footprint {
            accounts: Account::all(
                &self.tenant,
                &self.slot,
                &self.owner,
                self.reference.as_ref(),
            )
            .to_vec(),
            cooling: Some((self.tenant.clone(), self.owner.clone())),
            giving_way: (self.policy.on_full == OnFull::Replace).then(|| GivingWay {
                scope: self.scope(),
                keep: self.policy.max_entries,
                incoming: self.files.len(),
            }),
            idempotency: self.idempotency.as_ref().map(|(key, _)| key.clone()),
            created: self.files.iter().flatten().map(|file| file.id).collect(),
            ..Footprint::default()
        }
    }

    fn scope(&self) -> Scope {
        Scope {
            tenant: self.tenant.clone(),
            slot: self.slot.clone(),
            owner: self.owner.clone(),
            reference: Some(self.reference.clone()),
        }
    }
}

/// Mints what the limits allow. Files that they refuse are answered one by one; the rest
/// are minted.
pub fn mint(books: &mut Books, now: Timestamp, mint: &Mint) -> Result<Minted, Stale> {
    if let Some((key, body_hash)) = &mint.idempotency
        && let Some(then) = books.remembered(key)
    {
        return Ok(if then.body_hash == *body_hash {
            Minted::Replay(recall(&then.outcome))
        } else {
            Minted::Mismatch
        });
    }
    let mut cancelled = Vec::new();
    let mut own = Vec::new();
    let mut files = Vec::with_capacity(mint.files.len());
    for file in &mint.files {
        let outcome = match file {
            Err(problem) => Err(problem.clone()),
            Ok(file) => match books.ticket(file.id) {
                Some(already) => Ok(already.clone()),
                None => mint_one(books, now, mint, file, &own, &mut cancelled)?,
            },
        };
        if let Ok(ticket) = &outcome {
            own.push(ticket.id);
        }
        files.push(outcome);
    }
    if let Some((key, body_hash)) = &mint.idempotency {
        let outcome = files
            .iter()
            .map(|file| match file {
                Ok(ticket) => json!({"id": ticket.id}),
                Err(problem) => json!({"problem": problem}),
            })
            .collect();
        books.remember(
            key.clone(),
            Remembered {
                body_hash: body_hash.clone(),
                outcome,
                created_at: now,
            },
        );
    }
    Ok(Minted::Done { files, cancelled })
}

fn recall(outcome: &Value) -> Vec<Result<Id, Problem>> {
    let entries = outcome.as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            entry["id"]
                .as_str()
                .and_then(|id| Id::try_parse(id).ok())
                .ok_or_else(|| {
                    Problem::from_json(&entry["problem"]).unwrap_or_else(Problem::not_found)
                })
        })
        .collect()
}

fn mint_one(
    books: &mut Books,
    now: Timestamp,
    mint: &Mint,
    file: &MintFile,
    own: &[Id],
    cancelled: &mut Vec<Id>,
) -> Result<Result<Ticket, Problem>, Stale> {
    let [by_ref, by_owner, by_tenant, by_caller] = Account::all(
        &mint.tenant,
        &mint.slot,
        &mint.owner,
        mint.reference.as_ref(),
    );
    let live = books.usage(&by_caller)?.open + books.cooling(&mint.tenant, &mint.owner);
    if live >= i64::from(mint.max_open_tickets) {
        let limit = mint.max_open_tickets;
        let detail = format!("{live} live tickets, an owner may have {limit}");
        return Ok(Err(
            Problem::new(Code::TooManyOpenTickets, detail).with("limit", limit)
        ));
    }
    let policy = &mint.policy;
    // In a slot that replaces, the oldest picks give way before the limits are looked at,
    // but never one of the same request. There is more than one when the configuration
    // has become tighter.
    let surplus = match policy.on_full {
        OnFull::Reject => 0,
        OnFull::Replace => books.usage(&by_ref)?.open + 1 - i64::from(policy.max_entries),
    };
    let mut victims = Vec::new();
    if let Ok(surplus) = usize::try_from(surplus)
        && surplus > 0
    {
        victims = books.oldest_open(&mint.scope(), own);
        victims.truncate(surplus);
    }
    let mut freed = Usage::default();
    for victim in victims.iter().filter_map(|id| books.ticket(*id)) {
        freed.open += 1;
        freed.reserved += counted(victim.size);
    }
    let room = Room {
        reference: less(books.usage(&by_ref)?, freed),
        owner: less(books.usage(&by_owner)?, freed),
        tenant: less(books.usage(&by_tenant)?, freed),
    };
    if let Err(problem) = admit(policy, &room, file.size) {
        return Ok(Err(problem));
    }
    for id in victims {
        let detail = "a newer pick took its place";
        end_ticket(
            books,
            id,
            State::Cancelled,
            &Problem::new(Code::TicketClosed, detail).with("state", "cancelled"),
            now,
        );
        cancelled.push(id);
    }
    let ticket = Ticket {
        id: file.id,
        tenant: mint.tenant.clone(),
        slot: mint.slot.clone(),
        owner: mint.owner.clone(),
        reference: mint.reference.clone(),
        state: State::Open,
        name: file.name.clone(),
        size: file.size,
        exact_size: file.exact_size,
        media_type: file.media_type.clone(),
        sha256: file.sha256.clone(),
        metadata: file.metadata.clone(),
        part_size: file.sending.part_size(policy, file.size),
        policy: policy.clone(),
        epoch: 0,
        attempts: Vec::new(),
        lease_until: None,
        created_at: now,
        expires_at: now.plus(policy.ticket_ttl),
        next_check_at: Some(now.plus(file.sending.first_look())),
        checks: 0,
        closed_at: None,
        cooling_until: None,
        problem: None,
        multipart_id: None,
        promote_key: None,
        promote_upload_id: None,
        clean_at: None,
        note: None,
        dialect: mint.dialect.map(|dialect| dialect.as_str().to_owned()),
    };
    let size = counted(file.size);
    books.post_all(&accounts(&ticket), |usage| {
        usage.open += 1;
        usage.reserved += size;
    });
    books.insert_ticket(ticket.clone());
    Ok(Ok(ticket))
}

fn less(usage: Usage, freed: Usage) -> Usage {
    Usage {
        open: usage.open - freed.open,
        reserved: usage.reserved - freed.reserved,
        ..usage
    }
}

/// What the accounts of a mint hold before it.
struct Room {
    reference: Usage,
    owner: Usage,
    tenant: Usage,
}

/// Law 4 at mint. In a slot that rejects, open tickets and live files are one crowd; in
/// one that replaces, each alone holds the bound (a commit makes room for its file). What
/// a token tightened always counts the crowd: it refuses and never retires.
fn admit(policy: &Policy, room: &Room, size: u64) -> Result<(), Problem> {
    let crowd = |usage: Usage| match policy.on_full {
        OnFull::Reject => (usage.entries(), usage.bytes()),
        OnFull::Replace => (usage.open, usage.reserved),
    };
    let token = &policy.token;
    let entries = [
        (
            "max_entries",
            Some(policy.max_entries),
            crowd(room.reference).0,
        ),
        ("max_entries", token.max_entries, room.reference.entries()),
        (
            "limits_per_tenant.max_entries",
            policy.per_tenant.max_entries,
            crowd(room.tenant).0,
        ),
    ];
    for (law, limit, used) in entries {
        if let Some(limit) = limit
            && used >= i64::from(limit)
        {
            let detail = format!("{law} is {limit}, and {used} are taken");
            return Err(Problem::new(Code::SlotFull, detail).with("limit", limit));
        }
    }
    let bytes = [
        ("quota", policy.quota, crowd(room.owner).1),
        ("quota", token.quota, room.owner.bytes()),
        (
            "limits_per_tenant.quota",
            policy.per_tenant.quota,
            crowd(room.tenant).1,
        ),
    ];
    for (law, limit, used) in bytes {
        if let Some(limit) = limit
            && used.saturating_add(counted(size)) > counted(limit)
        {
            let detail =
                format!("{law} is {limit} bytes, {used} are taken and {size} more are asked for");
            return Err(Problem::new(Code::QuotaExceeded, detail).with("limit", limit));
        }
    }
    Ok(())
}
