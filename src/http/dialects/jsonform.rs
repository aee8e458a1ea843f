//! `jsonform`: the file handler of django-jsonform. Its addresses are fixed for a process, so
//! the token comes in the cookie, and a handler's address is `…/u/{slot}/-/jsonform`.
//!
//! A file's *value*, which the app's own JSON keeps, is its key. The client reads every answer
//! to a `POST` as JSON whatever its status, so refusals here are no JSON, or it would store
//! them as values.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, OpenApi};

use super::Access;
use super::relay::{Form, Head, Input};
use crate::db::FileFilter;
use crate::domain::caller::Scope;
use crate::domain::dialect::Dialect;
use crate::domain::file::File;
use crate::domain::key;
use crate::domain::name::Id;
use crate::domain::problem::{Code, Problem};
use crate::flow::complete::Completed;
use crate::flow::delete::{self, Only};
use crate::flow::look;
use crate::flow::relay::{Arrival, Relay};
use crate::http::Shared;
use crate::http::openapi::spoken;
use crate::http::problem::{Json, Query, Refusal};

/// How many files a page of the library shows.
const PAGE: usize = 24;
/// The last page that is shown: a library by numbers walks all pages before it.
const LAST_PAGE: usize = 200;
/// How many files one call deletes at most.
const MAX_VALUES: usize = 100;
/// What a form says of the field that the file is for, kept as the file's metadata.
const KEPT: [&str; 3] = ["model_name", "field_name", "coords"];

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/jsonform", get(list).post(post).delete(remove))
        .layer(from_fn(without_json))
}

#[derive(OpenApi)]
#[openapi(paths(list, post, remove))]
pub(super) struct Api;

/// Refusals as plain words.
async fn without_json(request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    let kind = answer.headers().get(CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != "application/problem+json") {
        return answer;
    }
    let (mut head, _) = answer.into_parts();
    let words = head.status.canonical_reason().unwrap_or("refused");
    let detail = head.extensions.get::<Said>().map(|said| said.0.clone());
    head.headers.remove(http::header::CONTENT_LENGTH);
    // Plain text would be made a problem of again, further out.
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    head.headers.insert(CONTENT_TYPE, kind);
    let text = detail.unwrap_or_else(|| words.to_owned());
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    Response::from_parts(head, Body::from(text))
}

/// The words of a refusal.
#[derive(Clone, Debug)]
struct Said(String);

fn said(refusal: Refusal) -> Response {
    let words = Said(refusal.problem.to_string());
    let mut answer = refusal.into_response();
    answer.extensions_mut().insert(words);
    answer
}

/// Take the file of a field.
///
/// The widget takes any JSON for a value, so a refusal is words.
#[utoipa::path(
    post,
    path = "/u/{slot}/{token}/jsonform",
    operation_id = "jsonform_post",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(spoken::Place),
    request_body(content = spoken::JsonFormBody, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "Committed", body = spoken::JsonFormValue),
        spoken::JsonFormPost,
    ),
)]
async fn post(
    State(shared): State<Shared>,
    access: Access,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match take(&shared, &access, &headers, body).await {
        Ok(file) => Json(json!({"value": file.key})).into_response(),
        Err(refusal) => said(refusal),
    }
}

/// Relays the form's file.
async fn take(
    shared: &Shared,
    access: &Access,
    headers: &HeaderMap,
    body: Body,
) -> Result<File, Refusal> {
    let relays = shared.app.relays();
    let _place = relays.enter(&access.caller)?;
    let mut form = Form::open(headers, body, relays.limits)?;
    let mut metadata = Map::new();
    while let Some(input) = form.next().await? {
        match input {
            Input::Value(name, value) if KEPT.contains(&name.as_str()) => {
                metadata.insert(name, json!(value));
            }
            Input::Value(..) => {}
            Input::File(head) => {
                let taken = relay(shared, access, &mut form, head, metadata).await;
                if taken.is_err() {
                    form.linger().await;
                }
                return taken;
            }
        }
    }
    Err(Problem::invalid("the form has no file").into())
}

async fn relay(
    shared: &Shared,
    access: &Access,
    form: &mut Form,
    head: Head,
    metadata: Map<String, Value>,
) -> Result<File, Refusal> {
    let arrival = Arrival {
        slot: access.slot.name.clone(),
        reference: None,
        dialect: Dialect::JsonForm,
        name: head.name,
        media_type: head.media_type,
        metadata,
    };
    let mut relay = Relay::begin(&shared.app, &access.caller, arrival, form.left()).await?;
    while let Some(bytes) = form.chunk().await? {
        relay.push(&bytes).await?;
    }
    match relay.finish(&access.caller).await? {
        Completed::Committed(_, Some(file)) => Ok(*file),
        Completed::Committed(..) => Err(Problem::not_found().into()),
        Completed::Working(_) => {
            let detail = "the file is still being judged; it will be in the library";
            Err(Problem::new(Code::Busy, detail).into())
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    #[param(minimum = 1, default = 1, nullable = false)]
    page: Option<usize>,
}

/// A page of the caller's library, newest first.
///
/// Past its end there is an empty one, where the client stops.
#[utoipa::path(
    get,
    path = "/u/{slot}/{token}/jsonform",
    operation_id = "jsonform_list",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(spoken::Place, ListQuery),
    responses(
        (status = 200, description = "A page", body = spoken::JsonFormPage),
        spoken::JsonFormList,
    ),
)]
async fn list(
    State(shared): State<Shared>,
    access: Access,
    Query(asked): Query<ListQuery>,
) -> Response {
    match library(&shared, &access, asked.page.unwrap_or(1)).await {
        Ok(files) => {
            let results: Vec<Value> = files.iter().map(|file| row(&access, file)).collect();
            Json(json!({"results": results})).into_response()
        }
        Err(problem) => said(problem.into()),
    }
}

async fn library(shared: &Shared, access: &Access, page: usize) -> Result<Vec<File>, Problem> {
    let mut filter = FileFilter {
        tenant: access.caller.tenant.clone(),
        owner: Some(access.caller.owner.clone()),
        slots: Some(vec![access.slot.name.clone()]),
        reference: None,
        after: None,
    };
    if page == 0 {
        return Err(Problem::invalid("page: counts from 1"));
    }
    if page > LAST_PAGE {
        return Ok(Vec::new());
    }
    for _ in 1..page {
        let before = look::files(&shared.app, &access.caller, filter.clone(), PAGE).await?;
        match before.rows.last() {
            Some(last) if before.more => filter.after = Some((last.committed_at, last.id)),
            _ => return Ok(Vec::new()),
        }
    }
    Ok(look::files(&shared.app, &access.caller, filter, PAGE)
        .await?
        .rows)
}

fn row(access: &Access, file: &File) -> Value {
    let mut row = json!({
        "value": file.key,
        "metadata": {"name": file.name, "date": file.committed_at, "size": file.size},
    });
    if file.media_type.starts_with("image/") {
        row["thumbnail"] = json!(access.file_url(file.id));
    }
    row
}

/// Delete files by their values.
///
/// On the way out of a page that was never saved only those go that nobody claimed: a form in
/// another tab may have been saved with them.
#[utoipa::path(
    delete,
    path = "/u/{slot}/{token}/jsonform",
    operation_id = "jsonform_delete",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(
        spoken::Place,
        (
            "trigger" = String, Query, pattern = "^(delete_button|unsaved_form_page_exit)$",
            description = "Why",
        ),
        (
            "value" = Vec<String>, Query, style = Form, explode,
            description = "1 to 100 keys, also several joined by commas",
        ),
    ),
    responses(
        (status = 204, description = "Gone"),
        spoken::JsonFormDelete,
    ),
)]
async fn remove(
    State(shared): State<Shared>,
    access: Access,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    match end(&shared, &access, &pairs).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => said(problem.into()),
    }
}

async fn end(shared: &Shared, access: &Access, pairs: &[(String, String)]) -> Result<(), Problem> {
    access.caller.may(Scope::Delete)?;
    let of = |wanted: &'static str| {
        let named = pairs.iter().filter(move |(name, _)| name == wanted);
        named.map(|(_, value)| value.as_str())
    };
    let only = match of("trigger").next() {
        Some("delete_button") => Only::Any,
        Some("unsaved_form_page_exit") => Only::Unclaimed,
        _ => {
            let detail = "trigger: delete_button or unsaved_form_page_exit";
            return Err(Problem::invalid(detail));
        }
    };
    // The client joins the values of a page with commas, which are in no key.
    let values: Vec<&str> = of("value")
        .flat_map(|value| value.split(','))
        .filter(|value| !value.is_empty())
        .collect();
    if values.is_empty() || values.len() > MAX_VALUES {
        let detail = format!("value: 1 to {MAX_VALUES} files, got {}", values.len());
        return Err(Problem::invalid(detail));
    }
    let mut found = false;
    for value in values {
        let Some(id) = id_of(value) else { continue };
        let file = match look::own_file_or_tombstone(&shared.app, &access.caller, id).await {
            Err(problem) if problem.code == Code::NotFound => continue,
            file => file?,
        };
        if file.key == value && file.slot == access.slot.name {
            found = true;
            delete::delete_only(&shared.app, &access.caller, id, only).await?;
        }
    }
    if found || only == Only::Unclaimed {
        Ok(())
    } else {
        Err(Problem::not_found())
    }
}

/// The file that a value names.
fn id_of(value: &str) -> Option<Id> {
    key::final_owner(value).map(|(id, _)| id)
}
