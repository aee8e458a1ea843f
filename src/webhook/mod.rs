//! The receiver: the only code that sends events.
//!
//! | file | holds |
//! |---|---|
//! | `sign` | the headers of Standard Webhooks |
//! | `address` | which addresses are not the public internet |
//! | `connect` | DNS and TCP, each address looked at before it is called |

mod address;
mod connect;
mod sign;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::timeout;

use self::connect::{Connector, Unconnected};
use crate::domain::name::Id;
use crate::domain::outbox::Answer;
use crate::domain::secret::Secret;
use crate::domain::time::{Seconds, Timestamp};

/// How long a try of `serve` may take.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// How long the rest of an answer may take. Nobody reads it; a connection that has given
/// all of it can be used again.
const REST: Duration = Duration::from_secs(1);
/// How much of an answer is read at most, in bytes.
const MAX_REST: usize = 4096;
/// How much an answer's head may hold, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Where events go, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// An http or https URL without a query.
    pub url: String,
    /// HMAC keys; each of them signs.
    pub secrets: Vec<Secret>,
    /// Whether `url` may be plain http or lead to an address that is not of the public
    /// internet.
    pub allow_private: bool,
    /// How long a try may take, from DNS to the head of the answer: well below
    /// [`crate::domain::outbox::LEASE`].
    pub patience: Duration,
}

/// Where events go.
pub struct Receiver {
    url: Uri,
    secrets: ArcSwap<Vec<Secret>>,
    patience: Duration,
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("host", &self.url.host())
            .field("secrets", &self.secrets.load().len())
            .finish_non_exhaustive()
    }
}

impl Receiver {
    /// A receiver. TLS trusts the system's roots, or Mozilla's on a machine without any, as
    /// a bare container is. The error says what is wrong with the URL.
    pub fn new(settings: Settings) -> Result<Arc<Self>, String> {
        let Settings {
            url,
            secrets,
            allow_private,
            patience,
        } = settings;
        let url: Uri = url.parse().map_err(|why| format!("webhook.url: {why}"))?;
        let tls = HttpsConnectorBuilder::new()
            .with_native_roots()
            .unwrap_or_else(|_| HttpsConnectorBuilder::new().with_webpki_roots());
        let connector = if allow_private {
            tls.https_or_http()
        } else {
            tls.https_only()
        };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http1_max_buf_size(MAX_HEAD)
            .build(
                connector
                    .enable_http1()
                    .wrap_connector(Connector { allow_private }),
            );
        Ok(Arc::new(Self {
            url,
            secrets: ArcSwap::from_pointee(secrets),
            patience,
            client,
        }))
    }

    /// Signs with these secrets from the next try on, each of them.
    pub fn sign_with(&self, secrets: Vec<Secret>) {
        self.secrets.store(Arc::new(secrets));
    }

    /// One try: sends an event, `now` being the moment it is signed for.
    pub async fn send(&self, id: Id, body: &str, now: Timestamp) -> Answer {
        let request = match self.request(id, body, now) {
            Ok(request) => request,
            Err(why) => return Answer::None(format!("no request can be made: {why}")),
        };
        let answer = match timeout(self.patience, self.client.request(request)).await {
            Err(_) => {
                return Answer::None(format!("no answer within {:?}", self.patience));
            }
            Ok(Err(error)) => return Answer::None(reason(&error)),
            Ok(Ok(answer)) => answer,
        };
        let (head, rest) = answer.into_parts();
        drain(rest).await;
        Answer::Status {
            status: head.status.as_u16(),
            retry_after: retry_after(&head.headers, now),
        }
    }

    fn request(
        &self,
        id: Id,
        body: &str,
        now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let id = id.to_string();
        let mut signature = HeaderValue::try_from(sign::signature(
            &self.secrets.load(),
            &id,
            now.seconds(),
            body.as_bytes(),
        ))?;
        signature.set_sensitive(true);
        Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("putgate/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", now.seconds())
            .header("webhook-signature", signature)
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
    }
}

/// Reads what little there should be, so that the connection can be used again; a larger or
/// slower rest costs the receiver its connection.
async fn drain(mut rest: Incoming) {
    let read = async {
        let mut length = 0;
        while let Some(Ok(frame)) = rest.frame().await {
            length += frame.data_ref().map_or(0, Bytes::len);
            if length > MAX_REST {
                return;
            }
        }
    };
    // Late or not, the answer's head has said what counts.
    let _ = timeout(REST, read).await;
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date. A date that has passed asks for
/// nothing.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Seconds> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return Some(Seconds(text.parse().unwrap_or(u32::MAX)));
    }
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    let wait = date.unix_timestamp().saturating_sub(now.seconds());
    u32::try_from(wait).ok().map(Seconds)
}

/// Why there was no answer, in words for an operator and without a URL.
fn reason(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    loop {
        if let Some(ours) = cause.downcast_ref::<Unconnected>() {
            return ours.to_string();
        }
        match cause.source() {
            Some(deeper) => cause = deeper,
            None => return cause.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_is_seconds_or_a_date() {
        // 1994-11-06T08:49:37Z, the date of RFC 9110.
        let now = Timestamp::from_millis(784_111_777_000);
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999", Some(u32::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            let headers = [(RETRY_AFTER, HeaderValue::from_static(text))]
                .into_iter()
                .collect();
            assert_eq!(retry_after(&headers, now), seconds.map(Seconds), "{text:?}");
        }
    }
}
