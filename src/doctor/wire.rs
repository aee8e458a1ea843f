//! Plain HTTP, as a browser sends it: one connection a request, no redirect followed, and no
//! header that was not asked for.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

/// How long an answer may take, beside the time that the body needs.
const PATIENCE: Duration = Duration::from_mins(1);
/// The slowest line on which a body arrives, in bytes a second: a megabit.
const SLOWEST: u64 = 128 * 1024;
/// How much of an answer is read, in bytes; no check needs more.
const MAX_BODY: usize = 1024 * 1024;

/// Sends requests.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) took: Duration,
}

impl Reply {
    /// A header as text; empty when it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// The S3 error code in the body, with the status.
    pub(super) fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(4096)]);
        let code = text
            .split_once("<Code>")
            .and_then(|(_, rest)| rest.split_once("</Code>"))
            .map(|(code, _)| code)
            .filter(|code| code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric()));
        match code {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }
}

impl Wire {
    pub(super) fn new() -> Self {
        let tls = HttpsConnectorBuilder::new()
            .with_native_roots()
            .unwrap_or_else(|_| HttpsConnectorBuilder::new().with_webpki_roots());
        let connector = tls.https_or_http().enable_http1().build();
        Self {
            // Stores close some connections after a refusal without saying so.
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(connector),
        }
    }

    /// One request; the error says why there was no answer, without the URL.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, String> {
        let patience = patience(body.len());
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|why| format!("no request can be made: {why}"))?;
        let started = Instant::now();
        let talk = async {
            let answer = self
                .client
                .request(request)
                .await
                .map_err(|e| innermost(&e))?;
            let (parts, body) = answer.into_parts();
            // A long or broken body has told enough with its head.
            let body = Limited::new(body, MAX_BODY).collect().await;
            Ok(Reply {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body: body.map(Collected::to_bytes).unwrap_or_default(),
                took: started.elapsed(),
            })
        };
        timeout(patience, talk)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", patience.as_secs())))
    }
}

/// How long the answer to a body of so many bytes is waited for.
fn patience(body: usize) -> Duration {
    let body = u64::try_from(body).unwrap_or(u64::MAX);
    PATIENCE + Duration::from_secs(body / SLOWEST)
}

/// The innermost cause, cut before anything that could be a URL's query.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    text.split('?')
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_body_may_take_as_long_as_a_slow_line_needs() {
        assert_eq!(patience(62).as_secs(), 60);
        assert_eq!(patience(64 * 1024 * 1024).as_secs(), 60 + 512);
    }
}
