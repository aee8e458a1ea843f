//! Uppy: `@uppy/aws-s3` with `…/u/{slot}/{token}` as its Companion, 6.x as `companionEndpoint`
//! and 5.x as `endpoint`.

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::ext::ReasonPhrase;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::Access;
use crate::domain::chunks::Named;
use crate::domain::dialect::{Dialect, Sending};
use crate::domain::name::{Id, Ref};
use crate::domain::problem::Problem;
use crate::domain::ticket::{State as TicketState, Ticket};
use crate::flow::complete::{self, Completed};
use crate::flow::mint::{self, Ready, Wish};
use crate::flow::sign::Transfer;
use crate::flow::{cancel, chunks, look, sign};
use crate::http::Shared;
use crate::http::openapi::spoken;
use crate::http::problem::{Json, Path, Query};
use crate::http::v1::ticket_view;
use crate::http::v1::tickets::fields_view;
use crate::store::Bucket;

/// The largest body: the list of ten thousand parts.
const BODY_LIMIT: usize = 1024 * 1024;
/// How long a completion waits for the verdict, in seconds.
const VERDICT: u32 = 50;
/// The longest reason phrase, in bytes.
const MAX_REASON: usize = 300;

/// 6.x puts its own path after the configured address as that was written, so that one with a
/// slash at its end makes two.
const BASES: [&str; 2] = ["/s3", "//s3"];

pub(super) fn routes() -> Router<Shared> {
    let mut routes = Router::new();
    for base in BASES {
        let at = |path: &str| format!("{base}/{path}");
        routes = routes
            .route(&at("params"), get(params))
            .route(&at("sts"), get(sts))
            .route(&at("multipart"), post(create))
            .route(&at("multipart/{upload}"), get(list).delete(abort))
            .route(&at("multipart/{upload}/batch"), get(sign_batch))
            .route(&at("multipart/{upload}/{part}"), get(sign_part))
            .route(&at("multipart/{upload}/complete"), post(complete_upload));
    }
    routes.layer(DefaultBodyLimit::max(BODY_LIMIT))
}

#[derive(OpenApi)]
#[openapi(paths(
    params,
    sts,
    create,
    list,
    abort,
    sign_batch,
    sign_part,
    complete_upload
))]
pub(super) struct Api;

/// A problem as both versions read it: 5.x shows `message` of a 4xx, Companion writes `error`.
#[derive(Debug)]
struct Oops(Problem);

impl From<Problem> for Oops {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        let words = self.0.detail.clone();
        let reason = reason(&words);
        // The status and the headers are those of any problem.
        let (mut head, _) = self.0.clone().into_response().into_parts();
        let kind = HeaderValue::from_static("application/json");
        head.headers.insert(CONTENT_TYPE, kind);
        let problem = self.0.with("error", words.clone()).with("message", words);
        let mut answer = Response::from_parts(head, Body::from(json!(problem).to_string()));
        // It is all that 6.x shows of a refusal, where no proxy on the way rewrites it.
        if let Some(reason) = reason {
            answer.extensions_mut().insert(reason);
        }
        answer
    }
}

/// Words as a reason phrase: plain ASCII on one line.
fn reason(words: &str) -> Option<ReasonPhrase> {
    let plain = words.chars().map(|c| match c {
        ' '..='~' => c,
        _ => '?',
    });
    let phrase: String = plain.take(MAX_REASON).collect();
    ReasonPhrase::try_from(phrase.into_bytes()).ok()
}

/// [`Access`], refused in Uppy's shape.
struct Visitor(Access);

impl FromRequestParts<Shared> for Visitor {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Oops> {
        Ok(Self(Access::from_request_parts(parts, shared).await?))
    }
}

/// A file as Uppy tells of it.
#[derive(Debug, Default, PartialEq)]
struct Told {
    name: String,
    media_type: Option<String>,
    metadata: Map<String, Value>,
}

impl Told {
    /// From a query: `filename`, `type` and `metadata[…]`, form-encoded by 6.x and
    /// percent-encoded by 5.x.
    fn of_query(query: Vec<(String, String)>) -> Self {
        let mut told = Self::default();
        for (name, value) in query {
            match name.as_str() {
                "filename" => told.name = value,
                "type" => told.media_type = Some(value),
                name => {
                    let inner = name
                        .strip_prefix("metadata[")
                        .and_then(|n| n.strip_suffix(']'));
                    if let Some(inner) = inner {
                        told.metadata.insert(inner.to_owned(), json!(value));
                    }
                }
            }
        }
        told
    }
}

/// What an app's `setFileMeta` may say to Putgate: the size, which Uppy itself never sends, and
/// the ref. The rest is the app's own; name and type are said twice, and 6.x spells what is not
/// there `null`.
fn wish(told: Told) -> Result<(Wish, Option<Ref>), Problem> {
    let Told {
        name,
        media_type,
        mut metadata,
    } = told;
    metadata.retain(|key, value| {
        !["name", "type"].contains(&key.as_str()) && !value.is_null() && *value != "null"
    });
    let size = metadata.remove("size").map(|size| match &size {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    });
    let size = match size {
        Some(None) => return Err(Problem::invalid("metadata.size: not a number of bytes")),
        Some(size) => size,
        None => None,
    };
    let reference = match metadata.remove("ref") {
        None => None,
        Some(Value::String(text)) => {
            Some(Ref::parse(text).map_err(|law| Problem::invalid(format!("metadata.ref {law}")))?)
        }
        Some(_) => return Err(Problem::invalid("metadata.ref: not a text")),
    };
    let wish = Wish {
        name,
        size,
        media_type,
        sha256: None,
        metadata,
    };
    Ok((wish, reference))
}

async fn minted(
    shared: &Shared,
    access: &Access,
    told: Told,
    sending: Sending,
) -> Result<Ready, Problem> {
    let (wish, reference) = wish(told)?;
    let request = mint::Request {
        slot: access.slot.name.clone(),
        reference,
        owner: None,
        files: vec![wish],
        dialect: Some(Dialect::Uppy),
        sending,
        idempotency: None,
    };
    let answer = mint::mint(&shared.app, &access.caller, request).await?;
    let file = answer.files.into_iter().next();
    file.unwrap_or_else(|| Err(Problem::not_found()))
}

/// One form for one file.
///
/// It is a GET that changes something, so that a cookie needs a page of ours here too.
#[utoipa::path(
    get,
    path = "/u/{slot}/{token}/s3/params",
    operation_id = "uppy_params",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(
        spoken::Place,
        ("filename" = Option<String>, Query, nullable = false, description = "The file's name"),
        ("type" = Option<String>, Query, nullable = false, description = "Its media type, a hint"),
        (
            "metadata" = Option<Object>, Query, style = DeepObject, explode,
            nullable = false,
            description = "`metadata[…]`, kept with the file; `size` and `ref` are the ticket's",
        ),
    ),
    responses(
        (status = 200, description = "Minted", body = spoken::UppyParams),
        spoken::UppyMint,
    ),
)]
async fn params(
    State(shared): State<Shared>,
    Visitor(access): Visitor,
    headers: HeaderMap,
    query: Result<Query<Vec<(String, String)>>, Problem>,
) -> Result<Response, Oops> {
    access.must_be_from_a_page(&headers)?;
    let told = Told::of_query(query?.0);
    let ready = minted(&shared, &access, told, Sending::Posted).await?;
    let body = match sign::at_once(&shared.app, &ready.ticket)? {
        Transfer::Post(form) => json!({
            "method": "POST",
            "url": form.url,
            "fields": fields_view(&form),
            "expires": form.expires_in,
        }),
        // 5.x alone takes this.
        Transfer::Put(signed) => json!({
            "method": "PUT",
            "url": signed.url,
            "fields": {},
            "headers": {},
            "expires": signed.expires_in,
        }),
        Transfer::Multipart { .. } => {
            let detail =
                "the store takes no forms, and such a file goes in parts: shouldUseMultipart";
            return Err(Problem::invalid(detail).into());
        }
    };
    Ok(Json(body).into_response())
}

/// No temporary credentials.
///
/// Keys of the store in a browser would be past every limit.
#[utoipa::path(
    get,
    path = "/u/{slot}/{token}/s3/sts",
    operation_id = "uppy_sts",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(spoken::Place),
    responses(spoken::UppySts),
)]
async fn sts(Visitor(_): Visitor) -> Oops {
    Oops(Problem::invalid(
        "temporary credentials are not handed out; every upload is signed",
    ))
}

/// A file to be uploaded in parts.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UppyCreate)]
struct CreateBody {
    filename: String,
    /// Its media type, a hint.
    #[serde(default, rename = "type")]
    media_type: Option<String>,
    /// Kept with the file; `size` and `ref` are the ticket's.
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// A ticket for parts.
///
/// The upload at the store begins with the first part: the ticket's id stands for it, and for the
/// key too, so that no character in them can be misread on the way.
#[utoipa::path(
    post,
    path = "/u/{slot}/{token}/s3/multipart",
    operation_id = "uppy_create",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(spoken::Place),
    request_body(content = CreateBody),
    responses(
        (status = 200, description = "Minted", body = spoken::UppyUpload),
        spoken::UppyMint,
    ),
)]
async fn create(
    State(shared): State<Shared>,
    Visitor(access): Visitor,
    request: Request,
) -> Result<Response, Oops> {
    let body: CreateBody = read(request).await?;
    let told = Told {
        name: body.filename,
        media_type: body.media_type,
        metadata: body.metadata,
    };
    let ready = minted(&shared, &access, told, Sending::Chunked).await?;
    let id = ready.ticket.id;
    let bucket = shared.app.store.name(Bucket::Staging);
    Ok(Json(json!({"key": id, "uploadId": id, "bucket": bucket})).into_response())
}

/// A body of JSON, refused in Uppy's shape.
async fn read<T: serde::de::DeserializeOwned>(request: Request) -> Result<T, Oops> {
    let read = Json::<T>::from_request(request, &()).await;
    read.map(|Json(body)| body)
        .map_err(|refusal| Oops(refusal.problem))
}

/// The upload that a call is about, by its path and its `key`, which are both the ticket's id:
/// the caller's own, in this slot. Refused in Uppy's shape.
struct Upload {
    access: Access,
    ticket: Ticket,
}

impl FromRequestParts<Shared> for Upload {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Oops> {
        let Visitor(access) = Visitor::from_request_parts(parts, shared).await?;
        let Path(Place { upload }) = Path::from_request_parts(parts, shared).await?;
        let Query(Keyed { key }) = Query::from_request_parts(parts, shared).await?;
        let id = Id::try_parse(&upload).map_err(|_| Problem::not_found())?;
        if key.as_ref() != Some(&upload) {
            return Err(Problem::not_found().into());
        }
        let ticket = look::own_ticket(&shared.app, &access.caller, id).await?;
        if ticket.slot != access.slot.name {
            return Err(Problem::not_found().into());
        }
        Ok(Self { access, ticket })
    }
}

#[derive(Debug, Deserialize)]
struct Place {
    upload: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Keyed {
    /// The same as `upload`.
    #[param(value_type = uuid::Uuid, required, nullable = false)]
    key: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Part {
    part: u32,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Batch {
    /// 1 to 100 of them, separated by commas.
    #[param(required, pattern = r"^[0-9]+(,[0-9]+)*$")]
    #[serde(default, rename = "partNumbers")]
    part_numbers: String,
}

/// Sign a part.
#[utoipa::path(
    get,
    path = "/u/{slot}/{token}/s3/multipart/{upload}/{part}",
    operation_id = "uppy_sign_part",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(
        spoken::Place,
        ("upload" = uuid::Uuid, Path, description = "The ticket"),
        ("part" = u32, Path, minimum = 1, description = "Its number, from 1"),
        Keyed,
    ),
    responses(
        (status = 200, description = "Signed", body = spoken::UppyPart),
        spoken::UppySign,
    ),
)]
async fn sign_part(
    State(shared): State<Shared>,
    upload: Upload,
    path: Result<Path<Part>, Problem>,
) -> Result<Response, Oops> {
    let number = path?.0.part;
    let (caller, id) = (&upload.access.caller, upload.ticket.id);
    let signed = chunks::sign(&shared.app, caller, id, &[number]).await?;
    let (_, signed) = signed.first().ok_or_else(Problem::not_found)?;
    // 5.x waits for so many seconds before it gives a part up.
    Ok(Json(json!({"url": signed.url, "expires": signed.expires_in})).into_response())
}

/// Sign parts.
#[utoipa::path(
    get,
    path = "/u/{slot}/{token}/s3/multipart/{upload}/batch",
    operation_id = "uppy_sign_batch",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(spoken::Place, ("upload" = uuid::Uuid, Path, description = "The ticket"), Keyed, Batch),
    responses(
        (status = 200, description = "Signed", body = spoken::UppyParts),
        spoken::UppySign,
    ),
)]
async fn sign_batch(
    State(shared): State<Shared>,
    Upload { access, ticket }: Upload,
    asked: Result<Query<Batch>, Problem>,
) -> Result<Response, Oops> {
    let Query(asked) = asked?;
    let numbers: Result<Vec<u32>, _> = asked.part_numbers.split(',').map(str::parse).collect();
    let numbers = numbers
        .map_err(|_| Problem::invalid("partNumbers: numbers of parts, separated by commas"))?;
    let signed = chunks::sign(&shared.app, &access.caller, ticket.id, &numbers).await?;
    let urls: Map<String, Value> = signed
        .into_iter()
        .map(|(number, signed)| (number.to_string(), json!(signed.url)))
        .collect();
    Ok(Json(json!({"presignedUrls": urls})).into_response())
}

/// The parts that the store has.
#[utoipa::path(
    get,
    path = "/u/{slot}/{token}/s3/multipart/{upload}",
    operation_id = "uppy_list_parts",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(spoken::Place, ("upload" = uuid::Uuid, Path, description = "The ticket"), Keyed),
    responses(
        (status = 200, description = "The parts", body = Vec<spoken::UppyStoredPart>),
        spoken::UppyStored,
    ),
)]
async fn list(
    State(shared): State<Shared>,
    Upload { access, ticket }: Upload,
) -> Result<Response, Oops> {
    let (_, parts) = sign::parts(&shared.app, &access.caller, ticket.id).await?;
    let parts: Vec<Value> = parts
        .iter()
        .map(|part| {
            let etag = format!("\"{}\"", part.etag);
            json!({"PartNumber": part.number, "ETag": etag, "Size": part.size})
        })
        .collect();
    Ok(Json(parts).into_response())
}

/// Cancel the ticket.
///
/// What is gone already is no reason to complain about its end.
#[utoipa::path(
    delete,
    path = "/u/{slot}/{token}/s3/multipart/{upload}",
    operation_id = "uppy_abort",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(spoken::Place, ("upload" = uuid::Uuid, Path, description = "The ticket"), Keyed),
    responses(
        (status = 200, description = "Gone: `{}`", body = spoken::UppyAborted),
        spoken::UppyAbort,
    ),
)]
async fn abort(
    State(shared): State<Shared>,
    Upload { access, ticket }: Upload,
) -> Result<Response, Oops> {
    let ended = match ticket.state {
        TicketState::Rejected | TicketState::Expired => Ok(()),
        _ => cancel::cancel(&shared.app, &access.caller, ticket.id).await,
    };
    ended?;
    Ok(Json(json!({})).into_response())
}

/// The parts of the whole file.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UppyComplete)]
struct CompleteBody {
    parts: Vec<ToldPart>,
}

/// A part as the store answered it.
///
/// After a resume 6.x names some `ETag`s with quotes and some without.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UppyToldPart)]
#[serde(rename_all = "PascalCase")]
struct ToldPart {
    part_number: u32,
    #[serde(rename = "ETag")]
    etag: String,
}

/// The verdict.
///
/// A file that takes longer than a request may is answered as Companion would: the upload is done,
/// and the worker sees to the rest.
#[utoipa::path(
    post,
    path = "/u/{slot}/{token}/s3/multipart/{upload}/complete",
    operation_id = "uppy_complete",
    tag = "dialects",
    security((), ("token" = []), ("cookie" = [])),
    params(spoken::Place, ("upload" = uuid::Uuid, Path, description = "The ticket"), Keyed),
    request_body(content = CompleteBody),
    responses(
        (status = 200, description = "Committed", body = spoken::UppyCompleted),
        (status = 202, description = "Still being judged", body = spoken::UppyCompleted),
        spoken::UppyComplete,
    ),
)]
async fn complete_upload(
    State(shared): State<Shared>,
    Upload { access, ticket }: Upload,
    request: Request,
) -> Result<Response, Oops> {
    let body: CompleteBody = read(request).await?;
    let named: Vec<Named> = body
        .parts
        .into_iter()
        .map(|part| Named {
            number: part.part_number,
            etag: part.etag.trim_matches('"').to_owned(),
        })
        .collect();
    let app = &shared.app;
    chunks::declare(app, &access.caller, ticket.id, &named).await?;
    let completed = complete::complete(app, &access.caller, ticket.id, VERDICT).await?;
    let (status, ticket, file) = match completed {
        Completed::Committed(ticket, file) => (StatusCode::OK, ticket, file),
        Completed::Working(ticket) => (StatusCode::ACCEPTED, ticket, None),
    };
    let body = json!({
        "location": access.file_url(ticket.id),
        "key": ticket.id,
        "bucket": app.store.name(Bucket::Staging),
        "ticket": ticket_view(app, &ticket, file.as_deref())?,
    });
    Ok((status, Json(body)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_own_words_are_found_whatever_else_is_said() {
        let query = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            Told::of_query(pairs.map(|(n, v)| ((*n).into(), (*v).into())).collect())
        };
        let told = query(&[
            ("filename", "Ä b.png"),
            ("type", "image/png"),
            ("metadata[name]", "Ä b.png"),
            ("metadata[type]", "image/png"),
            ("metadata[relativePath]", "null"),
            ("metadata[album]", "7"),
            ("metadata[size]", "12"),
            ("metadata[ref]", "post:42"),
            ("uppy", "?"),
        ]);
        let (wish, reference) = wish(told).unwrap();
        assert_eq!((wish.name.as_str(), wish.size), ("Ä b.png", Some(12)));
        assert_eq!(wish.media_type.as_deref(), Some("image/png"));
        assert_eq!(json!(wish.metadata), json!({"album": "7"}));
        assert_eq!(reference.unwrap().as_str(), "post:42");
        for (pair, word) in [
            (("metadata[size]", "twelve"), "size"),
            (("metadata[ref]", ""), "ref"),
        ] {
            let refused = super::wish(query(&[pair])).unwrap_err();
            assert!(refused.detail.contains(word), "{refused}");
        }
    }

    #[test]
    fn a_reason_phrase_is_one_line_of_ascii() {
        let phrase = |words: &str| {
            let phrase = reason(words).unwrap();
            String::from_utf8(phrase.as_bytes().to_vec()).unwrap()
        };
        assert_eq!(
            phrase("takes image/*, not \u{e4}\r\nx: y"),
            "takes image/*, not ???x: y"
        );
        assert_eq!(phrase(&"x".repeat(9999)).len(), MAX_REASON);
    }
}
