//! What pages with Uppy need of CORS besides: that they may post, and read two headers of the
//! answers. Without `ETag` Uppy 5 waits for ever.

use bytes::Bytes;
use http::Method;

use super::browser::{SET_RULE, allows, ask, is_yes, lists};
use super::finding::{Finding, Group};
use super::wire::Reply;
use super::{Bench, TTL};
use crate::store::StoreError;

const GROUP: Group = Group::Browser;
const CHECK: &str = "cors for uppy";

/// What Uppy reads of an answer.
const READ: [&str; 2] = ["ETag", "Location"];

/// Nothing, where no slot speaks Uppy's dialect.
pub(super) async fn examine(bench: &Bench<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    if bench.speaks_uppy() {
        for origin in &bench.config.server.allowed_origins {
            found.push(match page(bench, origin).await {
                Ok(finding) => finding,
                Err(why) => Finding::fail(GROUP, CHECK, why.to_string(), "see the keys"),
            });
        }
    }
    found
}

async fn page(bench: &Bench<'_>, origin: &str) -> Result<Finding, StoreError> {
    let key = bench.key("uppy");
    let now = bench.clock.now();
    let put = bench.store.presign_put(&key, 1, None, TTL, now)?;
    let form = bench.store.presign_post(&key, 1..=1, TTL, now)?;
    let refuse = |seen: String| Finding::fail(GROUP, CHECK, format!("{origin}: {seen}"), SET_RULE);
    if bench.store.takes_forms() {
        // Scripts that watch a form's progress need a preflight for it.
        match ask(bench, "POST", &form.url, origin, "").await {
            Ok(reply) if is_yes(&reply) && allows(&reply, origin) => {}
            Ok(reply) => {
                let said = reply.said();
                let seen = format!("the preflight of a POST was answered with {said}");
                return Ok(refuse(seen));
            }
            Err(why) => return Ok(refuse(format!("no answer to a preflight: {why}"))),
        }
    }
    let headers = [("origin", origin)];
    let body = Bytes::from_static(b"x");
    let url = put.url.expose();
    let reply = bench.wire.send(Method::PUT, url, &headers, body).await;
    let Some(reply) = reply.ok().filter(is_yes) else {
        let why = "not looked at: an ordinary upload comes first";
        return Ok(Finding::skip(GROUP, CHECK, why));
    };
    let hidden = hidden(&reply);
    Ok(if hidden.is_empty() {
        Finding::pass(
            GROUP,
            CHECK,
            format!("{origin} may POST, and read {}", READ.join(" and ")),
        )
    } else {
        let hidden = hidden.join(" and ");
        refuse(format!("an upload's answer does not expose {hidden}"))
    })
}

/// What a page may not read of this answer.
fn hidden(reply: &Reply) -> Vec<&'static str> {
    let is_hidden = |name: &&str| !lists(reply, "access-control-expose-headers", name);
    READ.into_iter().filter(is_hidden).collect()
}
