//! Keys that an identity provider publishes: a JWK set (RFC 7517) behind a URL.
//!
//! The set is fetched at start, again when it is due, and when a token names a key that is
//! not in it, at most every ten seconds whoever asks. While the endpoint is away the last
//! set goes on; a key that a fetched set no longer has verifies nothing from then on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::auth::Key;
use crate::domain::time::{Seconds, Timestamp};

/// The largest set that is read, in bytes.
const MAX_SET_BYTES: usize = 64 * 1024;
/// The most keys of a set; one with more is refused as a whole.
const MAX_SET_KEYS: usize = 100;
/// How far apart two fetches are, whoever asks for them.
const AT_MOST_EVERY: Seconds = Seconds(10);
/// How long a set is believed: what its `Cache-Control` says, within these bounds.
const SHORTEST_LIFE: Seconds = Seconds(60);
const LONGEST_LIFE: Seconds = Seconds(3600);
/// How long the endpoint may take for all of its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The keys of one fetch.
#[derive(Default)]
pub(super) struct KeySet {
    /// Counts the different sets; 0 before the first. What an earlier one verified has to
    /// be verified again.
    pub(super) generation: u64,
    /// The keys that can verify a token.
    pub(super) keys: Vec<Key>,
    print: [u8; 32],
}

/// A published set and when it was asked for.
pub(super) struct Jwks {
    uri: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    set: ArcSwap<KeySet>,
    asked: Mutex<Asked>,
    finished: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Asked {
    at: Option<Timestamp>,
    due: Option<Timestamp>,
    in_flight: bool,
    failures: u32,
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks")
            .field("host", &self.uri.host())
            .field("keys", &self.set.load().keys.len())
            .finish_non_exhaustive()
    }
}

impl Jwks {
    /// A set behind `url`; nothing is fetched yet. The error is a sentence.
    pub(super) fn new(url: &str) -> Result<Arc<Self>, String> {
        let uri: Uri = url.parse().map_err(|_| "is not a URL".to_owned())?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(|why| format!("this machine's root certificates cannot be read: {why}"))?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Arc::new(Self {
            uri,
            // A connection an hour old is of no use.
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(connector),
            set: ArcSwap::default(),
            asked: Mutex::default(),
            finished: watch::Sender::new(0),
        }))
    }

    /// Whether this is the URL it is fetched from.
    pub(super) fn is_at(&self, url: &str) -> bool {
        url.parse::<Uri>().is_ok_and(|uri| uri == self.uri)
    }

    /// The keys as they were last fetched.
    pub(super) fn set(&self) -> arc_swap::Guard<Arc<KeySet>> {
        self.set.load()
    }

    /// Fetches the set when it is due.
    pub(super) async fn tend(self: &Arc<Self>, now: Timestamp) {
        let due = match self.asked().due {
            None => true,
            // A clock that was set back must not keep an old set alive.
            Some(due) => due <= now || due > now.plus(LONGEST_LIFE),
        };
        if due {
            self.ask(now).await;
        }
    }

    /// Fetches the set, unless that was tried less than ten seconds ago; whoever comes while
    /// a fetch is under way waits for the same one. Going away ends no fetch.
    pub(super) async fn ask(self: &Arc<Self>, now: Timestamp) {
        let mut finished = self.finished.subscribe();
        match self.claim(now) {
            Turn::Mine => {
                let jwks = Arc::clone(self);
                tokio::spawn(async move { jwks.refresh(now).await });
            }
            Turn::Theirs => {}
            Turn::TooEarly => return,
        }
        // The sender lives as long as `self`; a fetch has its own patience.
        let _ = tokio::time::timeout(PATIENCE * 2, finished.changed()).await;
    }

    fn claim(&self, now: Timestamp) -> Turn {
        let mut asked = self.asked();
        let recently = asked
            .at
            .is_some_and(|at| at <= now && now < at.plus(AT_MOST_EVERY));
        match (recently, asked.in_flight) {
            (true, true) => Turn::Theirs,
            (true, false) => Turn::TooEarly,
            (false, _) => {
                asked.at = Some(now);
                asked.in_flight = true;
                Turn::Mine
            }
        }
    }

    async fn refresh(&self, now: Timestamp) {
        let fetched = tokio::time::timeout(PATIENCE, self.fetch()).await;
        let fetched = fetched.unwrap_or_else(|_| Err("took too long".to_owned()));
        let wait = match fetched {
            Ok((body, life)) => self.take(&body).map(|()| life),
            Err(why) => Err(why),
        };
        let mut asked = self.asked();
        asked.in_flight = false;
        asked.due = Some(now.plus(match wait {
            Ok(life) => {
                asked.failures = 0;
                life
            }
            Err(why) => {
                asked.failures += 1;
                tracing::warn!(host = self.uri.host(), %why, "auth.jwks_url gave no keys; the last ones go on");
                retry(asked.failures)
            }
        }));
        drop(asked);
        self.finished.send_modify(|count| *count += 1);
    }

    /// One GET. Redirects are not followed: the configuration names the place, and nobody
    /// else may.
    async fn fetch(&self) -> Result<(Bytes, Seconds), String> {
        let request = Request::get(self.uri.clone())
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .body(Empty::new())
            .map_err(|why| why.to_string())?;
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|why| innermost(&why))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("answered {}", answer.status().as_u16()));
        }
        let life = life(answer.headers());
        let body = Limited::new(answer.into_body(), MAX_SET_BYTES).collect();
        let body = body
            .await
            .map_err(|_| format!("was cut off, or has more than {MAX_SET_BYTES} bytes"))?;
        Ok((body.to_bytes(), life))
    }

    fn take(&self, body: &[u8]) -> Result<(), String> {
        let print = Sha256::digest(body).into();
        let before = self.set.load();
        if before.generation > 0 && before.print == print {
            return Ok(());
        }
        let (keys, passed_over) = read(body)?;
        tracing::info!(
            host = self.uri.host(),
            keys = keys.len(),
            passed_over,
            "the keys of auth.jwks_url are new"
        );
        self.set.store(Arc::new(KeySet {
            generation: before.generation + 1,
            keys,
            print,
        }));
        Ok(())
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose fetch it is.
enum Turn {
    Mine,
    Theirs,
    TooEarly,
}

/// When to try again after so many failures in a row.
fn retry(failures: u32) -> Seconds {
    let doubled = AT_MOST_EVERY.0 << failures.saturating_sub(1).min(5);
    Seconds(doubled.min(300))
}

/// How long a set is believed, by the headers of its answer.
fn life(headers: &HeaderMap) -> Seconds {
    let directives: BTreeMap<String, String> = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let value = value.trim().trim_matches('"');
            (name.trim().to_ascii_lowercase(), value.to_owned())
        })
        .collect();
    if directives.contains_key("no-store") || directives.contains_key("no-cache") {
        return SHORTEST_LIFE;
    }
    directives
        .get("max-age")
        .and_then(|seconds| seconds.parse().ok())
        .map_or(LONGEST_LIFE, |seconds| {
            Seconds(seconds).clamp(SHORTEST_LIFE, LONGEST_LIFE)
        })
}

/// The keys of a set that can verify a token, and how many others there are. A set that is
/// no set is an error; one with no key for us is a set all the same.
fn read(body: &[u8]) -> Result<(Vec<Key>, usize), String> {
    let set: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| "is not a JSON object".to_owned())?;
    let Some(Value::Array(keys)) = set.get("keys") else {
        return Err("has no list `keys`".into());
    };
    if keys.len() > MAX_SET_KEYS {
        return Err(format!(
            "has {} keys, at most {MAX_SET_KEYS} are read",
            keys.len()
        ));
    }
    let usable: Vec<Key> = keys
        .iter()
        .filter_map(Value::as_object)
        .filter_map(key)
        .collect();
    let passed_over = keys.len() - usable.len();
    Ok((usable, passed_over))
}

/// One key of a set, if it is a public one for signatures of an algorithm we take. The
/// algorithm follows from the kind of the key; a symmetric one (`oct`) is never taken.
fn key(jwk: &Map<String, Value>) -> Option<Key> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let number = |name: &str, bytes: std::ops::RangeInclusive<usize>| {
        let text = text(name)?;
        let value = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.contains(&value.len()).then_some(text)
    };
    // Who publishes the private half lets everybody sign.
    if jwk.contains_key("d") || jwk.contains_key("k") {
        return None;
    }
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let may_verify = |ops: &Value| {
        ops.as_array()
            .is_some_and(|ops| ops.iter().any(|op| op == "verify"))
    };
    if !jwk.get("key_ops").is_none_or(may_verify) {
        return None;
    }
    let (algorithm, names, key) = match (text("kty")?, text("crv")) {
        ("RSA", None) => {
            // 2048 to 8192 bits.
            let modulus = number("n", 256..=1024)?;
            let exponent = number("e", 1..=8)?;
            let key = DecodingKey::from_rsa_components(modulus, exponent).ok()?;
            (Algorithm::RS256, &["RS256"][..], key)
        }
        ("EC", Some("P-256")) => {
            let (x, y) = (number("x", 32..=32)?, number("y", 32..=32)?);
            let key = DecodingKey::from_ec_components(x, y).ok()?;
            (Algorithm::ES256, &["ES256"][..], key)
        }
        ("OKP", Some("Ed25519")) => {
            let key = DecodingKey::from_ed_components(number("x", 32..=32)?).ok()?;
            // RFC 9864 gave it a name of its own.
            (Algorithm::EdDSA, &["EdDSA", "Ed25519"][..], key)
        }
        _ => return None,
    };
    if jwk.contains_key("alg") && !text("alg").is_some_and(|alg| names.contains(&alg)) {
        return None;
    }
    Some(Key {
        algorithm,
        decoding: key,
        id: text("kid").map(str::to_owned),
    })
}

/// The innermost cause; the outer ones only say that a request failed.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string().chars().take(200).collect()
}

#[cfg(test)]
mod tests;
