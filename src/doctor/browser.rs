//! The store as a page in a browser reaches it: names, schemes, CORS.

use bytes::Bytes;
use http::{Method, Uri};
use tokio::net::lookup_host;

use super::finding::{Finding, Group};
use super::wire::Reply;
use super::{Bench, TTL};
use crate::store::StoreError;

const GROUP: Group = Group::Browser;

/// What a script's PUT may carry: our client the checksum, others a type of their own. A
/// browser sends `content-length` without asking for it.
const HEADERS: &str = "content-type,x-amz-checksum-sha256";
/// What to do about a rule that forgets something.
pub(super) const SET_RULE: &str = "`putgate setup` sets the rule; MinIO takes it from \
                                   MINIO_API_CORS_ALLOW_ORIGIN at its start; `putgate setup \
                                   --print cors --provider …` says it for others";
/// How long a browser remembers a preflight that does not say, in seconds (Fetch standard).
const SHORT: u32 = 5;

/// Which endpoints answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached {
    pub(super) uploads: bool,
    pub(super) downloads: bool,
}

/// Whether uploads and downloads are signed for addresses that answer.
pub(super) async fn examine_endpoints(bench: &Bench<'_>) -> (Vec<Finding>, Reached) {
    let now = bench.clock.now();
    let upload = bench.store.presign_put(&bench.key("x"), 1, None, TTL, now);
    let download = bench
        .store
        .presign_get(&bench.key("x"), "attachment", "text/plain", TTL, now);
    let upload = upload.map(|signed| signed.url.expose().to_owned());
    let download = download.map(|signed| signed.url.expose().to_owned());
    let first = endpoint(bench, "public endpoint", "public_endpoint", &upload).await;
    let uploads = first.fix.is_none();
    let mut found = vec![first];
    let mut downloads = uploads;
    if origin_of(&upload) != origin_of(&download) {
        let second = endpoint(bench, "download endpoint", "download_endpoint", &download).await;
        downloads = second.fix.is_none();
        found.push(second);
    }
    (found, Reached { uploads, downloads })
}

fn origin_of(url: &Result<String, StoreError>) -> Option<String> {
    let uri: Uri = url.as_ref().ok()?.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

async fn endpoint(
    bench: &Bench<'_>,
    check: &'static str,
    setting: &str,
    url: &Result<String, StoreError>,
) -> Finding {
    let (Some(origin), Ok(url)) = (origin_of(url), url) else {
        return Finding::fail(
            GROUP,
            check,
            "no URL can be signed for it",
            "see the keys above",
        );
    };
    let uri: Uri = url.parse().unwrap_or_default();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(443);
    if lookup_host((host, port)).await.is_err() {
        return Finding::fail(
            GROUP,
            check,
            format!("{host} does not resolve"),
            format!("make its DNS entry, or write [storage] {setting} as browsers can use it"),
        );
    }
    match bench
        .wire
        .send(Method::HEAD, &origin, &[], Bytes::new())
        .await
    {
        Err(why) => Finding::fail(
            GROUP,
            check,
            format!("{origin} does not answer: {why}"),
            format!(
                "write [storage] {setting} as browsers can use it; where this machine alone is \
                 kept from it, run the doctor from where browsers are"
            ),
        ),
        Ok(_) if uri.scheme_str() == Some("https") => {
            Finding::pass(GROUP, check, format!("{origin} answers, over TLS"))
        }
        Ok(_) => Finding::pass(
            GROUP,
            check,
            format!("{origin} answers, over plain http, as the allowed origins do"),
        ),
    }
}

/// A preflight for each allowed origin, and whether a page may read a refusal.
pub(super) async fn examine_cors(bench: &Bench<'_>) -> Vec<Finding> {
    let origins = &bench.config.server.allowed_origins;
    let now = bench.clock.now();
    let key = bench.key("cors");
    let url = match bench.store.presign_put(&key, 1, None, TTL, now) {
        Ok(signed) => signed.url.expose().to_owned(),
        Err(why) => {
            return vec![Finding::fail(
                GROUP,
                "cors",
                why.to_string(),
                "see the keys",
            )];
        }
    };
    if origins.is_empty() {
        return vec![Finding::pass(
            GROUP,
            "cors",
            "server.allowed_origins names no page; those of the store's own origin need no rule",
        )];
    }
    let mut found = Vec::new();
    for origin in origins {
        let reply = ask(bench, "PUT", &url, origin, HEADERS).await;
        let mut finding = preflight(origin, reply.as_ref());
        if reply.is_ok_and(|reply| !is_yes(&reply)) {
            let refused = refused_headers(bench, &url, origin).await;
            if !refused.is_empty() {
                let refused = refused.join(" and ");
                let seen = finding.seen;
                finding.seen = format!("{seen}; without the header {refused} it would be allowed");
            }
        }
        found.push(finding);
    }
    if let Some(origin) = origins.first() {
        found.push(refusal(bench, &url, origin).await);
    }
    found
}

pub(super) fn is_yes(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

/// Whether an answer is for pages of this origin.
pub(super) fn allows(reply: &Reply, origin: &str) -> bool {
    let allowed = reply.header("access-control-allow-origin");
    allowed == "*" || allowed == origin
}

/// Whether a header of an answer lists this word, or all of them.
pub(super) fn lists(reply: &Reply, header: &str, wanted: &str) -> bool {
    let mut words = reply.header(header).split(',').map(str::trim);
    words.any(|word| word == "*" || word.eq_ignore_ascii_case(wanted))
}

/// The preflight that a browser would send before a script's request with these headers.
pub(super) async fn ask(
    bench: &Bench<'_>,
    method: &str,
    url: &str,
    origin: &str,
    headers: &str,
) -> Result<Reply, String> {
    let asked = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", headers),
    ];
    // Without headers to ask for, a browser leaves the line out.
    let asked = if headers.is_empty() {
        &asked[..2]
    } else {
        &asked[..]
    };
    bench
        .wire
        .send(Method::OPTIONS, url, asked, Bytes::new())
        .await
}

/// Of a page whose PUT alone would be allowed, the headers that spoil it.
async fn refused_headers(bench: &Bench<'_>, url: &str, origin: &str) -> Vec<&'static str> {
    let allowed = async |headers: &str| {
        let reply = ask(bench, "PUT", url, origin, headers).await;
        reply.is_ok_and(|reply| is_yes(&reply))
    };
    let mut refused = Vec::new();
    if allowed("").await {
        for header in HEADERS.split(',') {
            if !allowed(header).await {
                refused.push(header);
            }
        }
    }
    refused
}

/// What an answer to a preflight means for pages of `origin`.
fn preflight(origin: &str, reply: Result<&Reply, &String>) -> Finding {
    let refuse = |seen: String| Finding::fail(GROUP, "cors", seen, SET_RULE);
    let reply = match reply {
        Ok(reply) => reply,
        Err(why) => return refuse(format!("{origin}: no answer to a preflight: {why}")),
    };
    if !is_yes(reply) {
        let said = reply.said();
        return refuse(format!("{origin}: the preflight was answered with {said}"));
    }
    if !allows(reply, origin) {
        let said = match reply.header("access-control-allow-origin") {
            "" => "nobody",
            allowed => allowed,
        };
        return refuse(format!("{origin}: the preflight allows {said}"));
    }
    if !lists(reply, "access-control-allow-methods", "PUT") {
        return refuse(format!("{origin}: the preflight does not allow PUT"));
    }
    let missing: Vec<&str> = HEADERS
        .split(',')
        .filter(|name| !lists(reply, "access-control-allow-headers", name))
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        return refuse(format!(
            "{origin}: the preflight does not allow the header {missing}"
        ));
    }
    let remembered = reply
        .header("access-control-max-age")
        .parse()
        .unwrap_or(SHORT);
    Finding::pass(
        GROUP,
        "cors",
        format!("{origin} may PUT; browsers ask again after {remembered} s"),
    )
}

/// Whether a page may read why the store refused it. Without that, a client takes every
/// refusal for a broken network.
async fn refusal(bench: &Bench<'_>, url: &str, origin: &str) -> Finding {
    let tampered = format!("{url}0");
    let body = Bytes::from_static(b"x");
    let reply = bench
        .wire
        .send(Method::PUT, &tampered, &[("origin", origin)], body)
        .await;
    if reply.is_ok_and(|reply| allows(&reply, origin)) {
        Finding::pass(
            GROUP,
            "cors on refusals",
            "a page can read why it was refused",
        )
    } else {
        Finding::warn(
            GROUP,
            "cors on refusals",
            format!("a refusal has no CORS headers, so pages of {origin} see a broken network"),
            "let the store or the proxy add them to answers of every status (nginx: \
             `add_header … always`)",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::super::finding::Status;
    use super::*;

    const PAGE: &str = "https://app.example.com";

    fn reply(status: u16, headers: &[(&'static str, &'static str)]) -> Reply {
        let headers = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        Reply {
            status,
            headers: headers.collect::<HeaderMap>(),
            body: Bytes::new(),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_preflight_has_to_allow_the_page_the_method_and_every_header() {
        let origin = ("access-control-allow-origin", PAGE);
        let any = ("access-control-allow-origin", "*");
        let put = ("access-control-allow-methods", "POST, PUT");
        let all = ("access-control-allow-headers", "*");
        let ours = (
            "access-control-allow-headers",
            "X-Amz-Checksum-Sha256, Content-Type",
        );
        let one = ("access-control-allow-headers", "content-type");
        for (status, headers, expected) in [
            (200, vec![origin, put, all], None),
            (204, vec![any, put, ours], None),
            (403, vec![origin, put, all], Some("403")),
            (200, vec![put, all], Some("allows nobody")),
            (
                200,
                vec![("access-control-allow-origin", "https://b"), put],
                Some("https://b"),
            ),
            (200, vec![origin, all], Some("PUT")),
            (
                200,
                vec![origin, put],
                Some("content-type and x-amz-checksum-sha256"),
            ),
            (
                200,
                vec![origin, put, one],
                Some("header x-amz-checksum-sha256"),
            ),
        ] {
            let finding = preflight(PAGE, Ok(&reply(status, &headers)));
            match expected {
                None => assert_eq!(finding.status, Status::Pass, "{finding:?}"),
                Some(words) => {
                    assert_eq!(finding.status, Status::Fail, "{finding:?}");
                    assert!(finding.seen.contains(words), "{finding:?}");
                }
            }
        }
    }
}
