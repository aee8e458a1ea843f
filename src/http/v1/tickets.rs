//! `/v1/tickets`: mint, list, look, sign, complete, cancel.

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::{
    Object, bad_cursor, cursor, listed_owner, owner_name, page_size, place, reference, slot_name,
    ticket_view, wait,
};
use crate::db::TicketFilter;
use crate::domain::caller::Caller;
use crate::domain::dialect::Sending;
use crate::domain::name::Id;
use crate::domain::problem::Problem;
use crate::domain::ticket;
use crate::flow::complete::Completed;
use crate::flow::mint::{self, Wish};
use crate::flow::sign::Transfer;
use crate::flow::{cancel, complete, look, sign};
use crate::http::openapi::{refusals, shapes};
use crate::http::problem::{Json, JsonBody, Path, Query, Refusal};
use crate::http::{Bearer, Shared};
use crate::store::{Form, Presigned};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/tickets", post(mint_tickets).get(list))
        .route("/tickets/{id}", get(one).delete(cancel_ticket))
        .route("/tickets/{id}/sign", post(sign_ticket))
        .route("/tickets/{id}/parts", get(parts))
        .route("/tickets/{id}/complete", post(complete_ticket))
}

#[derive(OpenApi)]
#[openapi(paths(
    mint_tickets,
    list,
    one,
    cancel_ticket,
    sign_ticket,
    parts,
    complete_ticket
))]
pub(super) struct Api;

/// Files to be uploaded to a slot.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MintBody {
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
    slot: String,
    /// Ties the files to an object of the app.
    #[serde(default, rename = "ref")]
    #[schema(min_length = 1, max_length = 255)]
    reference: Option<String>,
    /// For whom, with `manage`; else the caller.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    owner: Option<String>,
    #[schema(value_type = Vec<MintFile>, min_items = 1, max_items = 100)]
    files: Vec<Object<MintFile>>,
}

/// A file, as its client declares it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MintFile {
    #[schema(max_length = 1024)]
    name: String,
    /// Exact bytes. An empty file is refused without harm to the others.
    #[schema(minimum = 0)]
    size: i64,
    /// A hint; the bytes decide.
    #[serde(default, rename = "type")]
    #[schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    media_type: Option<String>,
    /// Base64. The store refuses other bytes; files in parts are not checked.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$")]
    sha256: Option<String>,
    /// Kept with the file; at most 4096 bytes of JSON.
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
}

/// Mint tickets.
///
/// Files that policy refuses are listed in `errors`, the rest are minted. When none is left, the
/// answer is the first problem, with its own status.
#[utoipa::path(
    post,
    path = "/v1/tickets",
    operation_id = "mint",
    tag = "tickets",
    security(("token" = [])),
    params((
        "Idempotency-Key" = Option<String>, Header, pattern = "^[ -~]{1,255}$", nullable = false,
        description = "A repeat with the same key and body answers the same tickets, for a day",
    )),
    request_body = MintBody,
    responses((status = 201, description = "Minted", body = shapes::Minted), refusals::Mint),
)]
async fn mint_tickets(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    headers: HeaderMap,
    JsonBody {
        value: Object(body),
        bytes,
    }: JsonBody<Object<MintBody>>,
) -> Result<Response, Problem> {
    let request = mint::Request {
        slot: slot_name(body.slot)?,
        reference: reference(body.reference)?,
        owner: owner_name(body.owner)?,
        files: body
            .files
            .into_iter()
            .map(|Object(file)| Wish {
                name: file.name,
                size: Some(file.size),
                media_type: file.media_type,
                sha256: file.sha256,
                metadata: file.metadata.unwrap_or_default(),
            })
            .collect(),
        dialect: None,
        sending: Sending::Planned,
        idempotency: idempotency_key(&headers)?.map(|key| (key, bytes.to_vec())),
    };
    let answer = mint::mint(&shared.app, &caller, request).await?;
    let mut tickets = Vec::new();
    let mut errors = Vec::new();
    let mut first = None;
    for (index, file) in answer.files.into_iter().enumerate() {
        match file {
            Ok(ready) => {
                let (ticket, file) = look::with_file(&shared.app, ready.ticket).await?;
                let mut view = ticket_view(&shared.app, &ticket, file.as_ref())?;
                view["index"] = json!(index);
                if let Some(transfer) = &ready.transfer {
                    view["transfer"] = transfer_view(transfer);
                }
                tickets.push(view);
            }
            Err(problem) => {
                errors.push(json!({"index": index, "problem": problem}));
                first.get_or_insert(problem);
            }
        }
    }
    match first {
        Some(problem) if tickets.is_empty() => Err(if errors.len() > 1 {
            problem.with("errors", errors)
        } else {
            problem
        }),
        _ => {
            let body = Json(json!({"tickets": tickets, "errors": errors}));
            Ok((StatusCode::CREATED, body).into_response())
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (first, second) = (keys.next(), keys.next());
    match (first, second) {
        (None, _) => Ok(None),
        (Some(key), None) => match key.to_str() {
            // `to_str` lets tabs pass.
            Ok(key) if (1..=255).contains(&key.len()) && !key.contains('\t') => {
                Ok(Some(key.to_owned()))
            }
            _ => Err(Problem::invalid(
                "Idempotency-Key: 1 to 255 printable ASCII characters",
            )),
        },
        (Some(_), Some(_)) => Err(Problem::invalid("Idempotency-Key: given more than once")),
    }
}

fn headers_view(signed: &Presigned) -> Value {
    signed
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect::<Map<_, _>>()
        .into()
}

/// A form's fields by name.
pub(in crate::http) fn fields_view(form: &Form) -> Value {
    let fields = form.fields.iter();
    fields
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect::<Map<_, _>>()
        .into()
}

fn transfer_view(transfer: &Transfer) -> Value {
    match transfer {
        Transfer::Put(signed) => json!({
            "kind": "put",
            "method": "PUT",
            "url": signed.url,
            "headers": headers_view(signed),
            "expires_in": signed.expires_in,
        }),
        Transfer::Post(form) => json!({
            "kind": "post",
            "method": "POST",
            "url": form.url,
            "fields": fields_view(form),
            "expires_in": form.expires_in,
        }),
        Transfer::Multipart {
            part_size,
            part_count,
            expires_in,
            ..
        } => json!({
            "kind": "multipart",
            "part_size": part_size,
            "part_count": part_count,
            "parts": [],
            "expires_in": expires_in,
        }),
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", nullable = false)]
    slot: Option<String>,
    #[serde(rename = "ref")]
    #[param(min_length = 1, max_length = 255, nullable = false)]
    reference: Option<String>,
    /// With `manage`; absent: the whole tenant.
    #[param(min_length = 1, max_length = 255, nullable = false)]
    owner: Option<String>,
    #[param(value_type = Option<shapes::State>, nullable = false)]
    state: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50, nullable = false)]
    limit: Option<usize>,
}

/// Tickets, newest first.
#[utoipa::path(
    get,
    path = "/v1/tickets",
    operation_id = "list_tickets",
    tag = "tickets",
    security(("token" = [])),
    params(ListQuery),
    responses((status = 200, description = "A page", body = shapes::Tickets), refusals::List),
)]
async fn list(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    Query(asked): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let state = asked
        .state
        .map(|text| {
            ticket::State::parse(&text).ok_or_else(|| {
                Problem::invalid("state: open, committed, rejected, expired or cancelled")
            })
        })
        .transpose()?;
    let after = asked
        .cursor
        .map(|text| Id::try_parse(&place(&text)?).map_err(|_| bad_cursor()))
        .transpose()?;
    let filter = TicketFilter {
        tenant: caller.tenant.clone(),
        owner: listed_owner(&caller, owner_name(asked.owner)?)?,
        slots: asked
            .slot
            .map(slot_name)
            .transpose()?
            .map(|slot| vec![slot]),
        reference: reference(asked.reference)?,
        state,
        after,
    };
    let page = look::tickets(&shared.app, &caller, filter, page_size(asked.limit)?).await?;
    let last = page
        .rows
        .last()
        .map(|ticket| cursor(&ticket.id.to_string()));
    let mut tickets = Vec::with_capacity(page.rows.len());
    for ticket in page.rows {
        let (ticket, file) = look::with_file(&shared.app, ticket).await?;
        tickets.push(ticket_view(&shared.app, &ticket, file.as_ref())?);
    }
    Ok(Json(
        json!({"tickets": tickets, "next_cursor": last.filter(|_| page.more)}),
    ))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct WaitQuery {
    /// For how many seconds the answer may wait for the ticket's end; default 0, or 20 to complete.
    #[param(maximum = 60, nullable = false)]
    wait: Option<u32>,
}

/// One ticket, as soon as it is closed or the wait is over.
#[utoipa::path(
    get,
    path = "/v1/tickets/{id}",
    operation_id = "get_ticket",
    tag = "tickets",
    security(("token" = [])),
    params(("id" = uuid::Uuid, Path, description = "The ticket"), WaitQuery),
    responses((status = 200, description = "The ticket", body = shapes::Ticket), refusals::Ticket),
)]
async fn one(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    Path(id): Path<Id>,
    Query(asked): Query<WaitQuery>,
) -> Result<Json<Value>, Problem> {
    let (ticket, file) = look::ticket(&shared.app, &caller, id, wait(asked.wait, 0)?).await?;
    Ok(Json(ticket_view(&shared.app, &ticket, file.as_ref())?))
}

/// Cancel a ticket.
#[utoipa::path(
    delete,
    path = "/v1/tickets/{id}",
    operation_id = "cancel",
    tag = "tickets",
    security(("token" = [])),
    params(("id" = uuid::Uuid, Path, description = "The ticket")),
    responses((status = 204, description = "Cancelled"), refusals::Cancel),
)]
async fn cancel_ticket(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    Path(id): Path<Id>,
) -> Result<StatusCode, Problem> {
    cancel::cancel(&shared.app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The parts to sign.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignBody {
    /// Numbers from 1. None: of a multipart ticket the plan alone.
    #[serde(default)]
    #[schema(max_items = 100)]
    parts: Vec<u32>,
}

/// Sign a ticket's transfer anew.
#[utoipa::path(
    post,
    path = "/v1/tickets/{id}/sign",
    operation_id = "sign",
    tag = "tickets",
    security(("token" = [])),
    params(("id" = uuid::Uuid, Path, description = "The ticket")),
    request_body(content = Option<SignBody>, description = "Needed for parts only"),
    responses(
        (status = 200, description = "Signed", body = shapes::SignedTicket),
        refusals::Sign,
    ),
)]
async fn sign_ticket(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    Path(id): Path<Id>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    // The parts are the whole body, and a single PUT has none: `POST …/sign` alone will do.
    let body = if request.body().is_end_stream() {
        SignBody::default()
    } else {
        let Json(Object(body)) = Json::<Object<SignBody>>::from_request(request, &shared).await?;
        body
    };
    let (ticket, transfer) = sign::sign(&shared.app, &caller, id, &body.parts).await?;
    let mut view = ticket_view(&shared.app, &ticket, None)?;
    view["transfer"] = transfer_view(&transfer);
    if let Transfer::Multipart { parts, .. } = &transfer {
        view["parts"] = parts
            .iter()
            .map(|(number, size, signed)| {
                json!({"number": number, "size": size, "url": signed.url, "headers": headers_view(signed)})
            })
            .collect();
    }
    Ok(Json(view))
}

/// The parts that the store has.
#[utoipa::path(
    get,
    path = "/v1/tickets/{id}/parts",
    operation_id = "list_parts",
    tag = "tickets",
    security(("token" = [])),
    params(("id" = uuid::Uuid, Path, description = "The ticket")),
    responses((status = 200, description = "The parts", body = shapes::StoredParts), refusals::Parts),
)]
async fn parts(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    Path(id): Path<Id>,
) -> Result<Json<Value>, Problem> {
    let (ticket, parts) = sign::parts(&shared.app, &caller, id).await?;
    let parts: Vec<Value> = parts
        .iter()
        .map(|part| json!({"number": part.number, "size": part.size}))
        .collect();
    let count = ticket
        .part_size
        .map(|size| ticket::part_count(ticket.size, size));
    Ok(Json(
        json!({"parts": parts, "part_size": ticket.part_size, "part_count": count}),
    ))
}

/// Verify what arrived, and commit it.
///
/// Repeats its outcome. `object-missing` and `parts-missing` leave the ticket open.
#[utoipa::path(
    post,
    path = "/v1/tickets/{id}/complete",
    operation_id = "complete",
    tag = "tickets",
    security(("token" = [])),
    params(("id" = uuid::Uuid, Path, description = "The ticket"), WaitQuery),
    responses(
        (status = 200, description = "Committed", body = shapes::Ticket),
        (status = 202, description = "Still being judged", body = shapes::Ticket, headers(
            ("Retry-After" = u32, description = "Seconds until a look makes sense"),
        )),
        refusals::Complete,
    ),
)]
async fn complete_ticket(
    State(shared): State<Shared>,
    Bearer(caller): Bearer,
    Path(id): Path<Id>,
    Query(asked): Query<WaitQuery>,
) -> Result<Response, Problem> {
    completed(&shared, &caller, id, &asked).await
}

/// The answer to a completion.
pub(in crate::http) async fn completed(
    shared: &Shared,
    caller: &Caller,
    id: Id,
    asked: &WaitQuery,
) -> Result<Response, Problem> {
    match complete::complete(&shared.app, caller, id, wait(asked.wait, 20)?).await? {
        Completed::Committed(ticket, file) => {
            Ok(Json(ticket_view(&shared.app, &ticket, file.as_deref())?).into_response())
        }
        Completed::Working(ticket) => {
            let body = Json(ticket_view(&shared.app, &ticket, None)?);
            let mut answer = (StatusCode::ACCEPTED, body).into_response();
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            Ok(answer)
        }
    }
}
