//! Uppy: `@uppy/aws-s3` with `…/u/{slot}/{token}` as its Companion, 6.x as `companionEndpoint`
//! and 5.x as `endpoint`.

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::Access;
use crate::domain::dialect::{Dialect, Sending};
use crate::domain::name::Ref;
use crate::domain::problem::Problem;
use crate::flow::mint::{self, Ready, Wish};
use crate::flow::sign;
use crate::http::Shared;
use crate::http::problem::{Json, Query};
use crate::http::v1::tickets::fields_view;

/// 6.x puts its own path after the configured address as that was written, so that one with a
/// slash at its end makes two.
const BASES: [&str; 2] = ["/s3", "//s3"];

pub(super) fn routes() -> Router<Shared> {
    let mut routes = Router::new();
    for base in BASES {
        routes = routes.route(&format!("{base}/params"), get(params));
    }
    routes
}

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
        let problem = self.0.with("error", words.clone()).with("message", words);
        let status = StatusCode::from_u16(problem.code.status());
        let body = Json(json!(problem));
        (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body).into_response()
    }
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

/// One form for one file. It is a GET that changes something, so that a cookie needs a page of
/// ours here too.
async fn params(
    State(shared): State<Shared>,
    Visitor(access): Visitor,
    headers: HeaderMap,
    query: Result<Query<Vec<(String, String)>>, Problem>,
) -> Result<Response, Oops> {
    access.must_be_from_a_page(&headers)?;
    let told = Told::of_query(query?.0);
    let ready = minted(&shared, &access, told, Sending::Posted).await?;
    let form = sign::post(&shared.app, &ready.ticket)?;
    let body = json!({
        "method": "POST",
        "url": form.url,
        "fields": fields_view(&form),
        "expires": form.expires_in,
    });
    Ok(Json(body).into_response())
}
