//! `form`: jQuery File Upload and its like, and forms without script. Files are relayed.
//!
//! | call | does |
//! |---|---|
//! | `POST …/form` | takes the files of a form, or one chunk of a file (`Content-Range`) |
//! | `GET …/form` | lists the caller's files |
//! | `GET …/form?file=NAME` | how much of that file has arrived in chunks |
//! | `DELETE …/form/{id}`, or `POST` with `_method=DELETE` | deletes a file |
//!
//! A `POST` is answered as the slot's `form_answer` says, in a 200 that holds the refusals
//! too; or, with an input `redirect` (an iframe's) or `back` (a page's), by leading there.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE, RETRY_AFTER,
    VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::Access;
use super::relay::{Form, Head, Input};
use crate::db::FileFilter;
use crate::domain::caller::Scope;
use crate::domain::dialect::Dialect;
use crate::domain::file::File;
use crate::domain::name::{Id, Ref};
use crate::domain::problem::{Code, Problem};
use crate::domain::slot::FormAnswer;
use crate::flow::complete::Completed;
use crate::flow::relay::gathered::{self, Chunk, Range, Taken};
use crate::flow::relay::{Arrival, Relay};
use crate::flow::{App, delete, look};
use crate::http::openapi::spoken;
use crate::http::problem::{Path, Query, Refusal};
use crate::http::{Shared, Site};

/// How many files a list shows at most.
const LISTED: usize = 200;
/// What RFC 3986 §2.3 leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/form", get(list).post(post)).route(
        "/form/{id}",
        axum::routing::delete(remove).post(override_method),
    )
}

#[derive(OpenApi)]
#[openapi(paths(list, post, remove, override_method))]
pub(super) struct Api;

/// What the address of a form may say. Inputs of the form say the same.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(rename = "ref")]
    reference: Option<String>,
    file: Option<String>,
    redirect: Option<String>,
    back: Option<String>,
    #[serde(rename = "_method")]
    method: Option<String>,
}

impl Asked {
    fn reference(&self) -> Result<Option<Ref>, Problem> {
        let text = self.reference.clone();
        text.map(|text| Ref::parse(text).map_err(|why| Problem::invalid(format!("ref {why}"))))
            .transpose()
    }

    /// Refuses what is no ref, and targets that are none of our pages', before any file is taken.
    fn check(&self, site: &Site) -> Result<(), Problem> {
        self.reference()?;
        let targets = [("redirect", &self.redirect), ("back", &self.back)];
        for (name, target) in targets {
            if target.as_ref().is_some_and(|target| !site.has_page(target)) {
                let detail =
                    format!("{name}: only pages of allowed_origins and public_url are led to");
                return Err(Problem::invalid(detail));
            }
        }
        Ok(())
    }
}

/// What became of a file of a form.
#[derive(Debug)]
enum Fate {
    /// Committed.
    Stored(Box<File>),
    /// Here, and still being judged: its ticket's id.
    Judged(Id),
    /// So many bytes of it are here.
    Partly(u64),
    /// Not taken.
    Refused(Problem),
}

/// A file of a form.
#[derive(Debug)]
struct Posted {
    name: String,
    media_type: Option<String>,
    size: u64,
    fate: Fate,
}

/// Take the files of a form, or one chunk of a file.
///
/// What is refused of its files stands in the 200, unless the slot has `form_answer = "success"`.
/// Without `application/json` in `Accept` the same JSON comes as text.
#[utoipa::path(
    post,
    path = "/u/{slot}/{token}/form",
    operation_id = "form_post",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(
        spoken::Place,
        ("ref" = Option<String>, Query, min_length = 1, max_length = 255, nullable = false,
            description = "What the files are for"),
        (
            "redirect" = Option<String>, Query, nullable = false,
            description = "A page of ours that an iframe is led to; `%s` in it is the answer",
        ),
        (
            "back" = Option<String>, Query, nullable = false,
            description = "A page of ours that the visitor is led to, with the verdict in its query",
        ),
        (
            "Content-Range" = Option<String>, Header, nullable = false,
            pattern = "^bytes [0-9]+-[0-9]+/[0-9]+$",
            description = "Which bytes of the file this chunk is",
        ),
    ),
    request_body(content = spoken::FormBody, content_type = "multipart/form-data"),
    responses(
        (
            status = 200, description = "What became of the files",
            content((spoken::FormAnswer = "application/json"), (String = "text/plain")),
            headers(("Range" = String, description = "What is here of a file in chunks")),
        ),
        (status = 302, description = "To `redirect`", headers(
            ("Location" = String, description = "It, with the answer in it"),
        )),
        (status = 303, description = "To `back`", headers(
            ("Location" = String, description = "It, with the verdict in its query"),
        )),
        spoken::FormPost,
    ),
)]
async fn post(
    State(shared): State<Shared>,
    access: Access,
    Query(mut asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    asked.check(&shared.site)?;
    let range = match headers.get(CONTENT_RANGE).map(HeaderValue::to_str) {
        None => None,
        Some(Ok(text)) if let Some(range) = Range::parse(text) => Some(range),
        Some(_) => {
            let detail = "Content-Range: not `bytes first-last/total` of a file of known size";
            return Err(Problem::invalid(detail).into());
        }
    };
    let relays = shared.app.relays();
    let _place = relays.enter(&access.caller)?;
    let mut form = Form::open(&headers, body, relays.limits)?;
    let mut posted: Vec<Posted> = Vec::new();
    let mut is_whole = true;
    while let Some(input) = form.next().await? {
        match input {
            Input::Value(name, value) => match name.as_str() {
                "redirect" => asked.redirect = Some(value),
                "back" => asked.back = Some(value),
                "ref" => asked.reference = Some(value).filter(|value| !value.is_empty()),
                // What the page sends for itself (a CSRF token, most often) is none of ours.
                _ => {}
            },
            // An empty file input of a form without script.
            Input::File(head) if head.name.is_empty() => {}
            Input::File(head) => {
                asked.check(&shared.site)?;
                if range.is_some() && !posted.is_empty() {
                    let detail = "a chunk is the only file of its form";
                    return Err(Problem::invalid(detail).into());
                }
                let reference = asked.reference()?;
                let taken = take(&shared, &access, &mut form, head, reference, range).await?;
                let refused = matches!(taken.fate, Fate::Refused(_));
                posted.push(taken);
                if refused && !form.linger().await {
                    is_whole = false;
                    break;
                }
            }
        }
    }
    asked.check(&shared.site)?;
    let mut answer = answer(&access, &asked, &headers, &posted);
    if let Some(range) = posted.iter().find_map(so_far) {
        answer.headers_mut().insert(RANGE, range);
    }
    if !is_whole {
        // The rest of the body is still on its way.
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
    Ok(answer)
}

/// `Range: 0-<last>`: what tells a client in chunks where to go on.
fn so_far(posted: &Posted) -> Option<HeaderValue> {
    match posted.fate {
        Fate::Partly(arrived) => {
            HeaderValue::try_from(format!("0-{}", arrived.saturating_sub(1))).ok()
        }
        _ => None,
    }
}

/// Relays one file. A refusal is its fate; only a client that breaks off ends the whole form.
async fn take(
    shared: &Shared,
    access: &Access,
    form: &mut Form,
    head: Head,
    reference: Option<Ref>,
    range: Option<Range>,
) -> Result<Posted, Refusal> {
    let arrival = Arrival {
        slot: access.slot.name.clone(),
        reference,
        dialect: Dialect::Form,
        name: head.name.clone(),
        media_type: head.media_type.clone(),
        metadata: Map::new(),
    };
    let mut size = 0;
    let outcome = match range {
        None => whole(shared, access, form, arrival, &mut size).await?,
        Some(range) => chunk(shared, access, form, arrival, range, &mut size).await?,
    };
    Ok(Posted {
        name: head.name,
        media_type: head.media_type,
        size,
        fate: outcome.unwrap_or_else(Fate::Refused),
    })
}

/// Inside, what becomes of the file; outside, that the form itself is broken.
type Outcome = Result<Result<Fate, Problem>, Refusal>;

async fn whole(
    shared: &Shared,
    access: &Access,
    form: &mut Form,
    arrival: Arrival,
    size: &mut u64,
) -> Outcome {
    let mut relay = match Relay::begin(&shared.app, &access.caller, arrival, form.left()).await {
        Ok(relay) => relay,
        Err(problem) => return Ok(Err(problem)),
    };
    while let Some(bytes) = form.chunk().await? {
        *size += bytes.len() as u64;
        if let Err(problem) = relay.push(&bytes).await {
            return Ok(Err(problem));
        }
    }
    Ok(relay.finish(&access.caller).await.map(fate))
}

async fn chunk(
    shared: &Shared,
    access: &Access,
    form: &mut Form,
    arrival: Arrival,
    range: Range,
    size: &mut u64,
) -> Outcome {
    *size = range.end;
    let mut chunk = match Chunk::begin(&shared.app, &access.caller, arrival, range).await {
        Ok(chunk) => chunk,
        Err(problem) => return Ok(Err(problem)),
    };
    while let Some(bytes) = form.chunk().await? {
        if let Err(problem) = chunk.push(&bytes).await {
            return Ok(Err(problem));
        }
    }
    Ok(chunk.finish(&access.caller).await.map(|taken| match taken {
        Taken::Partly(arrived) => Fate::Partly(arrived),
        Taken::Whole(completed) => fate(completed),
    }))
}

fn fate(completed: Completed) -> Fate {
    match completed {
        Completed::Committed(_, Some(file)) => Fate::Stored(file),
        Completed::Committed(..) => Fate::Refused(Problem::not_found()),
        Completed::Working(ticket) => Fate::Judged(ticket.id),
    }
}

fn answer(access: &Access, asked: &Asked, headers: &HeaderMap, posted: &[Posted]) -> Response {
    if let Some(back) = &asked.back {
        return lead_to(StatusCode::SEE_OTHER, &with_verdict(back, posted));
    }
    let (status, value) = shape(access, access.slot.policy.form_answer, posted);
    let text = value.to_string();
    if let Some(redirect) = &asked.redirect {
        let value = utf8_percent_encode(&text, PLAIN).to_string();
        return lead_to(StatusCode::FOUND, &redirect.replacen("%s", &value, 1));
    }
    let accepts_json = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|text| text.contains("application/json"));
    // An iframe would offer JSON for download. Without sniffing, text is never markup. A
    // client that looks at statuses is none.
    let kind = if accepts_json || !status.is_success() {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    };
    let kinds = [(CONTENT_TYPE, kind), (VARY, "accept")];
    let mut response = (status, kinds, text).into_response();
    if let Some(Fate::Refused(problem)) = posted.first().map(|first| &first.fate)
        && !status.is_success()
    {
        // When to come again, and that nobody keeps it.
        let said = problem.clone().into_response();
        for name in [RETRY_AFTER, CACHE_CONTROL] {
            if let Some(value) = said.headers().get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
    response
}

/// The answer in the words of the slot's client.
fn shape(access: &Access, words: FormAnswer, posted: &[Posted]) -> (StatusCode, Value) {
    let first = posted.first();
    match (words, first.map(|first| &first.fate)) {
        (FormAnswer::Files, _) => {
            let files: Vec<Value> = posted.iter().map(|one| entry(access, one)).collect();
            (StatusCode::OK, json!({"files": files}))
        }
        (FormAnswer::IsValid, None) => (StatusCode::OK, json!({"is_valid": false})),
        (FormAnswer::Success, None) => {
            let said = json!({"success": false, "error": "the form has no file"});
            (StatusCode::BAD_REQUEST, said)
        }
        (FormAnswer::IsValid, Some(Fate::Refused(problem))) => {
            let said = json!({"is_valid": false, "error": words_of(problem), "code": problem.code.as_str()});
            (StatusCode::OK, said)
        }
        (FormAnswer::Success, Some(Fate::Refused(problem))) => {
            let status = StatusCode::from_u16(problem.code.status());
            let said = json!({"success": false, "error": words_of(problem), "code": problem.code.as_str()});
            (status.unwrap_or(StatusCode::BAD_REQUEST), said)
        }
        (FormAnswer::IsValid, Some(_)) => (StatusCode::OK, with_good(access, "is_valid", first)),
        (FormAnswer::Success, Some(_)) => (StatusCode::OK, with_good(access, "success", first)),
    }
}

fn with_good(access: &Access, word: &str, posted: Option<&Posted>) -> Value {
    let mut said = posted.map_or(json!({}), |posted| entry(access, posted));
    said[word] = json!(true);
    said
}

/// A file as jQuery File Upload shows it.
fn entry(access: &Access, posted: &Posted) -> Value {
    let mut entry = json!({
        "name": posted.name,
        "size": posted.size,
        "type": posted.media_type,
    });
    match &posted.fate {
        Fate::Stored(file) => return row(access, file),
        Fate::Judged(id) => {
            entry["id"] = json!(id);
            entry["url"] = json!(access.file_url(*id));
        }
        Fate::Partly(arrived) => entry["size"] = json!(arrived),
        Fate::Refused(problem) => {
            entry["error"] = json!(words_of(problem));
            entry["code"] = json!(problem.code.as_str());
            entry["detail"] = json!(problem.detail);
            if let Some(reason) = problem.members.get("reason") {
                entry["reason"] = reason.clone();
            }
        }
    }
    entry
}

fn row(access: &Access, file: &File) -> Value {
    let url = access.file_url(file.id);
    let mut row = json!({
        "id": file.id,
        "name": file.name,
        "size": file.size,
        "type": file.media_type,
        "url": url,
        "deleteUrl": format!("{}/form/{}", access.base(), file.id),
        "deleteType": "DELETE",
    });
    if file.media_type.starts_with("image/") {
        row["thumbnailUrl"] = json!(url);
    }
    row
}

/// A refusal in the words of jQuery File Upload, which pages may have translated.
fn words_of(problem: &Problem) -> String {
    let reason = problem.members.get("reason").and_then(Value::as_str);
    let words = match (problem.code, reason) {
        (Code::FileTooLarge, _) => "File is too big",
        (Code::SlotFull, _) => "Maximum number of files exceeded",
        (Code::TypeNotAccepted, _)
        | (
            Code::ContentRejected,
            Some("type-unknown" | "type-mismatch" | "type-not-accepted" | "active-content"),
        ) => "Filetype not allowed",
        (Code::ContentRejected, Some("empty")) => "File is too small",
        _ => return problem.detail.clone(),
    };
    words.to_owned()
}

/// A page's address with what became of the files: `uploaded=ID` for each that was taken,
/// `refused=CODE` and `reason` and `name` for each that was not.
fn with_verdict(page: &str, posted: &[Posted]) -> String {
    let (page, fragment) = match page.split_once('#') {
        Some((page, fragment)) => (page, format!("#{fragment}")),
        None => (page, String::new()),
    };
    let mut said: Vec<(&str, String)> = Vec::new();
    for one in posted {
        match &one.fate {
            Fate::Stored(file) => said.push(("uploaded", file.id.to_string())),
            Fate::Judged(id) => said.push(("pending", id.to_string())),
            Fate::Partly(arrived) => said.push(("arrived", arrived.to_string())),
            Fate::Refused(problem) => {
                said.push(("refused", problem.code.as_str().to_owned()));
                let reason = problem.members.get("reason").and_then(Value::as_str);
                said.extend(reason.map(|reason| ("reason", reason.to_owned())));
                said.push(("name", one.name.clone()));
            }
        }
    }
    if posted.is_empty() {
        said.push(("refused", "no-file".to_owned()));
    }
    let mut target = page.to_owned();
    for (name, value) in said {
        let join = if target.contains('?') { '&' } else { '?' };
        let value = utf8_percent_encode(&value, PLAIN);
        target = format!("{target}{join}{name}={value}");
    }
    target + &fragment
}

fn lead_to(status: StatusCode, target: &str) -> Response {
    match HeaderValue::try_from(target) {
        Ok(target) => (status, [(LOCATION, target)]).into_response(),
        Err(_) => Problem::invalid("the page's address is no header value").into_response(),
    }
}

/// The caller's files of this slot, or how much of one has arrived in chunks.
#[utoipa::path(
    get,
    path = "/u/{slot}/{token}/form",
    operation_id = "form_list",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(
        spoken::Place,
        ("ref" = Option<String>, Query, min_length = 1, max_length = 255, nullable = false,
            description = "Only files of this"),
        (
            "file" = Option<String>, Query, nullable = false,
            description = "The name of a file that comes in chunks",
        ),
    ),
    responses(
        (status = 200, description = "At most 200 files, newest first", body = spoken::FormLook),
        spoken::FormList,
    ),
)]
async fn list(
    State(shared): State<Shared>,
    access: Access,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let reference = asked.reference()?;
    if let Some(name) = &asked.file {
        let file = arrived(&shared.app, &access, reference.as_ref(), name).await?;
        return Ok(crate::http::problem::Json(json!({"file": file})).into_response());
    }
    let filter = FileFilter {
        tenant: access.caller.tenant.clone(),
        owner: Some(access.caller.owner.clone()),
        slots: Some(vec![access.slot.name.clone()]),
        reference,
        after: None,
    };
    let page = look::files(&shared.app, &access.caller, filter, LISTED).await?;
    let files: Vec<Value> = page.rows.iter().map(|file| row(&access, file)).collect();
    Ok(crate::http::problem::Json(json!({"files": files})).into_response())
}

/// What is here of a file that comes in chunks; null when nothing is.
async fn arrived(
    app: &App,
    access: &Access,
    reference: Option<&Ref>,
    name: &str,
) -> Result<Value, Problem> {
    access.caller.may(Scope::Upload)?;
    let slot = &access.slot.name;
    match gathered::find(app, &access.caller, slot, reference, name, None).await? {
        None => Ok(Value::Null),
        Some(ticket) => {
            let size = gathered::arrived(app, &ticket).await?;
            Ok(json!({"name": ticket.name, "size": size}))
        }
    }
}

/// The last part of a path after `/u/{slot}/{token}`.
#[derive(Debug, Deserialize)]
struct Named {
    id: Id,
}

/// Delete a file.
#[utoipa::path(
    delete,
    path = "/u/{slot}/{token}/form/{id}",
    operation_id = "form_delete",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(spoken::Place, ("id" = uuid::Uuid, Path, description = "The file")),
    responses(
        (
            status = 200, description = "Gone: its name, and `true`",
            body = BTreeMap<String, bool>,
        ),
        spoken::FormDelete,
    ),
)]
async fn remove(
    State(shared): State<Shared>,
    access: Access,
    Path(Named { id }): Path<Named>,
) -> Result<Response, Problem> {
    let file = look::own_file_or_tombstone(&shared.app, &access.caller, id).await?;
    if file.slot != access.slot.name {
        return Err(Problem::not_found());
    }
    delete::delete(&shared.app, &access.caller, id).await?;
    let mut done = Map::new();
    done.insert(file.name, json!(true));
    Ok(crate::http::problem::Json(Value::Object(done)).into_response())
}

/// Delete a file, for clients that know no DELETE.
#[utoipa::path(
    post,
    path = "/u/{slot}/{token}/form/{id}",
    operation_id = "form_delete_by_post",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(
        spoken::Place,
        ("id" = uuid::Uuid, Path, description = "The file"),
        ("_method" = String, Query, pattern = "^DELETE$", description = "What is meant"),
    ),
    responses(
        (
            status = 200, description = "Gone: its name, and `true`",
            body = BTreeMap<String, bool>,
        ),
        spoken::FormOverride,
    ),
)]
async fn override_method(
    shared: State<Shared>,
    access: Access,
    path: Path<Named>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    match asked.method.as_deref() {
        Some("DELETE") => remove(shared, access, path).await,
        _ => Err(Problem::invalid("_method: only DELETE is known here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(name: &str, fate: Fate) -> Posted {
        Posted {
            name: name.to_owned(),
            media_type: None,
            size: 1,
            fate,
        }
    }

    #[test]
    fn a_page_is_told_what_became_of_each_file() {
        let id = Id::from_u128(7);
        let rejected = Problem::new(Code::ContentRejected, "x").with("reason", "malformed");
        let files = [
            posted("a", Fate::Judged(id)),
            posted("ü & b.png", Fate::Refused(rejected)),
        ];
        assert_eq!(
            with_verdict("https://app.example/p?x=1#top", &files),
            format!(
                "https://app.example/p?x=1&pending={id}&refused=content-rejected&reason=malformed&name=%C3%BC%20%26%20b.png#top"
            )
        );
        assert_eq!(with_verdict("/p", &[]), "/p?refused=no-file");
    }

    #[test]
    fn refusals_have_the_words_that_pages_translate() {
        let rejected =
            |reason: &str| Problem::new(Code::ContentRejected, "x").with("reason", reason);
        for (problem, words) in [
            (Problem::new(Code::FileTooLarge, "x"), "File is too big"),
            (
                Problem::new(Code::TypeNotAccepted, "x"),
                "Filetype not allowed",
            ),
            (rejected("active-content"), "Filetype not allowed"),
            (rejected("empty"), "File is too small"),
            (
                Problem::new(Code::SlotFull, "x"),
                "Maximum number of files exceeded",
            ),
            (rejected("malformed"), "x"),
        ] {
            assert_eq!(words_of(&problem), words);
        }
    }
}
