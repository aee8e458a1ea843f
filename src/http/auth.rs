//! Bearer tokens: who sent this request.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::jwks::{Jwks, KeySet};
use crate::domain::caller::{Caller, ClaimNames, Scopes};
use crate::domain::problem::{Code, Problem};
use crate::domain::secret::Secret;
use crate::domain::time::{Seconds, Timestamp};

/// The longest token that is looked at, in bytes; longer ones cost us nothing.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The most keys of all kinds together that files give; a forged token is tried against each.
pub const MAX_KEYS: usize = 16;
/// The shortest HS256 secret, in bytes (RFC 7518, 3.2).
pub const MIN_SECRET_BYTES: usize = 32;
/// The most verified tokens that are remembered.
const REMEMBERED: usize = 4096;

/// What a token has to be.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// HS256 secrets, at least 32 bytes each; any of them verifies.
    pub hs256_secrets: Vec<Secret>,
    /// PEM public keys (RSA: RS256, P-256: ES256, Ed25519: `EdDSA`); any of them verifies.
    pub public_keys: Vec<Vec<u8>>,
    /// The `iss` a token must have; absent: not looked at.
    pub issuer: Option<String>,
    /// The audiences of which a token must name one; empty: not looked at.
    pub audience: Vec<String>,
    /// How far the issuer's clock may be off, for `exp` and `nbf`.
    pub leeway: Seconds,
    /// The claim that holds the tenant.
    pub tenant_claim: String,
    /// The claim that holds the scopes.
    pub scope_claim: String,
    /// The scopes of a token without a scope claim, separated by spaces.
    pub default_scope: String,
}

/// A key and the one algorithm it is for. The algorithm comes from the kind of the key:
/// what the token's header says can only fail to match it.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
    /// Its name in a published set; keys from files have none.
    pub(super) id: Option<String>,
}

/// Verifies tokens. What it verifies them with can be exchanged while it does.
pub struct Verifier {
    ring: ArcSwap<Ring>,
}

/// The keys and rules of one configuration. It remembers the tokens it verified: an ES256
/// signature costs sixty microseconds, a look into the memory a quarter of one.
struct Ring {
    keys: Vec<Key>,
    jwks: Option<Arc<Jwks>>,
    names: ClaimNames,
    issuer: Option<String>,
    audience: Vec<String>,
    leeway: Seconds,
    memory: Mutex<Memory>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ring = self.ring.load();
        let algorithms: Vec<_> = ring.keys.iter().map(|key| key.algorithm).collect();
        f.debug_struct("Verifier")
            .field("keys", &algorithms)
            .field("jwks", &ring.jwks)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// Reads the keys. The error is a sentence that names the key at fault by its place in
    /// its list, never by its content.
    pub fn new(settings: AuthSettings) -> Result<Self, String> {
        Self::with_jwks(settings, None)
    }

    /// The same, with the keys that are published at a URL beside those of the files.
    /// Nothing is fetched yet; [`tend`](Self::tend) does.
    pub fn with_jwks(settings: AuthSettings, jwks_url: Option<&str>) -> Result<Self, String> {
        let jwks = jwks_url.map(published).transpose()?;
        let ring = Ring::new(settings, jwks)?;
        Ok(Self {
            ring: ArcSwap::from_pointee(ring),
        })
    }

    /// Goes on with other keys and rules: a token whose key is no longer listed is refused
    /// from here on, however often it was verified before. Published keys that were fetched
    /// stay while their URL does. An error changes nothing.
    pub fn renew(&self, settings: AuthSettings, jwks_url: Option<&str>) -> Result<(), String> {
        let before = self.ring.load();
        let jwks = match (jwks_url, &before.jwks) {
            (Some(url), Some(jwks)) if jwks.is_at(url) => Some(Arc::clone(jwks)),
            (url, _) => url.map(published).transpose()?,
        };
        self.ring.store(Arc::new(Ring::new(settings, jwks)?));
        Ok(())
    }

    /// Fetches the published keys when they are due: at start, then at least every hour, and
    /// after a failure sooner. To be called every second or so.
    pub async fn tend(&self, now: Timestamp) {
        if let Some(jwks) = &self.ring.load_full().jwks {
            jwks.tend(now).await;
        }
    }

    /// Who sent a request with these headers, at this moment. A token that names a key which
    /// is not there waits while the published keys are fetched anew, at most every ten
    /// seconds. The error is `unauthenticated`, or `keys-unavailable` as long as no published
    /// key was ever fetched: nobody can say then whether the token is good.
    pub async fn caller(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Arc<Caller>, Problem> {
        self.bearer_of(bearer(headers)?, None, now).await
    }

    /// The same for a token that came in another way. One with a `longest` life must end
    /// within so much time from now: addresses are kept and shown in more places than headers.
    pub async fn bearer_of(
        &self,
        token: &str,
        longest: Option<Seconds>,
        now: Timestamp,
    ) -> Result<Arc<Caller>, Problem> {
        let ring = self.ring.load_full();
        let refused = match ring.judge(token, longest, now) {
            Ok(caller) => return Ok(caller),
            Err(refused) => refused,
        };
        let (Some(jwks), true) = (&ring.jwks, refused.may_be_published) else {
            return Err(refused.problem);
        };
        jwks.ask(now).await;
        if jwks.set().generation == 0 {
            return Err(Problem::new(
                Code::KeysUnavailable,
                "the keys that verify tokens could not be fetched yet; try again",
            )
            .with("retry_after", 5));
        }
        ring.judge(token, longest, now)
            .map_err(|refused| refused.problem)
    }

    /// Who sent a request with these headers, at this moment, by the keys that are here.
    /// Every error is `unauthenticated`; with a token at hand it carries
    /// `"error": "invalid_token"` (RFC 6750, 3.1).
    pub fn verify(&self, headers: &HeaderMap, now: Timestamp) -> Result<Arc<Caller>, Problem> {
        let ring = self.ring.load_full();
        ring.judge(bearer(headers)?, None, now)
            .map_err(|refused| refused.problem)
    }
}

/// Keys that are published at a URL.
fn published(url: &str) -> Result<Arc<Jwks>, String> {
    Jwks::new(url).map_err(|law| format!("jwks_url: {law}"))
}

impl Ring {
    fn new(settings: AuthSettings, jwks: Option<Arc<Jwks>>) -> Result<Self, String> {
        let count = settings.hs256_secrets.len() + settings.public_keys.len();
        let fewest = usize::from(jwks.is_none());
        if !(fewest..=MAX_KEYS).contains(&count) {
            return Err(format!(
                "{count} keys to verify tokens with: give 1 to {MAX_KEYS}"
            ));
        }
        let secrets = settings
            .hs256_secrets
            .iter()
            .enumerate()
            .map(|(index, secret)| {
                hs256_key(secret).map_err(|law| format!("HS256 secret {}: {law}", index + 1))
            });
        let public_keys = settings.public_keys.iter().enumerate().map(|(index, pem)| {
            public_key(pem).map_err(|law| format!("public key {}: {law}", index + 1))
        });
        Ok(Self {
            keys: secrets.chain(public_keys).collect::<Result<_, _>>()?,
            jwks,
            names: ClaimNames {
                tenant: settings.tenant_claim,
                scope: settings.scope_claim,
                default_scope: Scopes::parse(&settings.default_scope),
            },
            issuer: settings.issuer,
            audience: settings.audience,
            leeway: settings.leeway,
            memory: Mutex::default(),
        })
    }

    fn judge(
        &self,
        token: &str,
        longest: Option<Seconds>,
        now: Timestamp,
    ) -> Result<Arc<Caller>, Refused> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(
                invalid(format!("the token is longer than {MAX_TOKEN_BYTES} bytes")).into(),
            );
        }
        let set = self.jwks.as_ref().map(|jwks| jwks.set());
        let set = set.as_ref().map(|set| &***set);
        let print: [u8; 32] = Sha256::digest(token).into();
        let known = self.memory().get(&print);
        if let Some(known) = known
            && known.by.still_holds(set)
        {
            self.in_time(known.life, longest, now)?;
            return Ok(known.caller);
        }
        let signed = Signed::parse(token).map_err(invalid)?;
        let Some(by) = self.signer(&signed, set) else {
            return Err(Refused {
                problem: invalid("no configured key verifies the token's signature"),
                may_be_published: set.is_some_and(|set| signed.may_be_published(set)),
            });
        };
        let known = self.read(&signed, by).map_err(invalid)?;
        self.in_time(known.life, longest, now)?;
        let caller = Arc::clone(&known.caller);
        self.memory().put(print, known);
        Ok(caller)
    }

    fn in_time(&self, life: Life, longest: Option<Seconds>, now: Timestamp) -> Result<(), Problem> {
        life.holds(now, self.leeway)
            .and_then(|()| life.ends_within(longest, now, self.leeway))
            .map_err(invalid)
    }

    /// Whose key signed a token.
    fn signer(&self, signed: &Signed<'_>, set: Option<&KeySet>) -> Option<Signer> {
        if self.keys.iter().any(|key| signed.is_by(key)) {
            return Some(Signer::File);
        }
        let set = set?;
        // Without a name each key has to be tried, and forging costs the sender nothing.
        let tries = if signed.key_id().is_some() {
            usize::MAX
        } else {
            MAX_KEYS
        };
        set.keys
            .iter()
            .filter(|key| key.algorithm == signed.header.alg && signed.may_be_named(key))
            .take(tries)
            .any(|key| signed.is_by(key))
            .then_some(Signer::Set(set.generation))
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that does not depend on the time.
    fn read(&self, signed: &Signed<'_>, by: Signer) -> Result<Known, String> {
        let claims = signed.claims()?;
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err("the claim `iss` is not the configured issuer".into());
        }
        if !self.audience.is_empty() && !names_one_of(claims.get("aud"), &self.audience) {
            return Err("the claim `aud` names no configured audience".into());
        }
        Ok(Known {
            life: Life::of(&claims)?,
            caller: Arc::new(Caller::from_claims(&claims, &self.names)?),
            by,
        })
    }
}

/// The token of the only `Authorization` header.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(Problem::new(
            Code::Unauthenticated,
            "the request has no Authorization header; send `Authorization: Bearer <token>`",
        ));
    };
    if values.next().is_some() {
        return Err(invalid(
            "the request has more than one Authorization header",
        ));
    }
    value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim_matches(' '))
        .filter(|token| !token.is_empty())
        .ok_or_else(|| invalid("the Authorization header is not `Bearer <token>`"))
}

pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::Unauthenticated, detail).with("error", "invalid_token")
}

/// Why a token was refused, and whether a published key that is not here yet might do.
struct Refused {
    problem: Problem,
    may_be_published: bool,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            may_be_published: false,
        }
    }
}

/// A token taken apart. Of its header `alg` and `kid` are used, and only to choose among our
/// keys: `jku`, `x5u` and `jwk` are the sender's words.
struct Signed<'t> {
    header: Header,
    message: &'t [u8],
    claims: &'t str,
    signature: &'t str,
}

fn broken() -> String {
    "the token is not a signed JWT".into()
}

impl<'t> Signed<'t> {
    fn parse(token: &'t str) -> Result<Self, String> {
        let mut pieces = token.split('.');
        let (Some(_), Some(claims), Some(signature), None) =
            (pieces.next(), pieces.next(), pieces.next(), pieces.next())
        else {
            return Err(broken());
        };
        // A header that does not parse includes every `alg` that is not a signature: `none`.
        let header = jsonwebtoken::decode_header(token).map_err(|_| broken())?;
        if header.crit.is_some() {
            return Err("the token's header has `crit`, which is not supported".into());
        }
        Ok(Self {
            header,
            message: &token.as_bytes()[..token.len() - signature.len() - 1],
            claims,
            signature,
        })
    }

    fn is_by(&self, key: &Key) -> bool {
        key.algorithm == self.header.alg
            && jsonwebtoken::crypto::verify(
                self.signature,
                self.message,
                &key.decoding,
                key.algorithm,
            )
            .unwrap_or(false)
    }

    fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Whether the token's `kid` and the key's do not speak against each other.
    fn may_be_named(&self, key: &Key) -> bool {
        match (self.key_id(), &key.id) {
            (Some(asked), Some(is)) => asked == is,
            _ => true,
        }
    }

    /// Whether a newer set may have the key: this one does not know its name, and it is of a
    /// kind that is published.
    fn may_be_published(&self, set: &KeySet) -> bool {
        let published = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
        let is_known = self
            .key_id()
            .is_some_and(|asked| set.keys.iter().any(|key| key.id.as_deref() == Some(asked)));
        published.contains(&self.header.alg) && !is_known
    }

    fn claims(&self) -> Result<Map<String, Value>, String> {
        let claims = URL_SAFE_NO_PAD.decode(self.claims).map_err(|_| broken())?;
        serde_json::from_slice(&claims)
            .map_err(|_| "the token's claims are not a JSON object".into())
    }
}

fn names_one_of(aud: Option<&Value>, audience: &[String]) -> bool {
    let ours = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| audience.iter().any(|a| a == text))
    };
    match aud {
        Some(Value::Array(list)) => list.iter().any(ours),
        Some(value) => ours(value),
        None => false,
    }
}

/// When a token works, in seconds since the epoch.
#[derive(Clone, Copy, Debug)]
struct Life {
    exp: i64,
    nbf: Option<i64>,
}

impl Life {
    /// RFC 7519 allows fractions; no issuer writes them, and a float is a bug more often
    /// than a time, so only whole, positive numbers pass.
    fn of(claims: &Map<String, Value>) -> Result<Self, String> {
        let moment = |name: &str| {
            claims
                .get(name)
                .map(|value| {
                    value
                        .as_u64()
                        .and_then(|seconds| i64::try_from(seconds).ok())
                        .ok_or_else(|| {
                            format!("the claim `{name}` must be whole seconds since 1970")
                        })
                })
                .transpose()
        };
        Ok(Self {
            exp: moment("exp")?.ok_or("the claim `exp` is missing")?,
            nbf: moment("nbf")?,
        })
    }

    fn holds(self, now: Timestamp, leeway: Seconds) -> Result<(), String> {
        let (now, leeway) = (now.seconds(), i64::from(leeway.0));
        if self.exp.saturating_add(leeway) <= now {
            return Err("the token has expired".into());
        }
        if self.nbf.is_some_and(|nbf| nbf.saturating_sub(leeway) > now) {
            return Err("the token is not valid yet".into());
        }
        Ok(())
    }

    fn ends_within(
        self,
        longest: Option<Seconds>,
        now: Timestamp,
        leeway: Seconds,
    ) -> Result<(), String> {
        let latest = |longest: Seconds| now.seconds() + i64::from(longest.0) + i64::from(leeway.0);
        match longest {
            Some(longest) if self.exp > latest(longest) => Err(format!(
                "a token in an address must expire within {} seconds",
                longest.0
            )),
            _ => Ok(()),
        }
    }
}

/// A token whose signature and claims were found good.
#[derive(Clone, Debug)]
struct Known {
    life: Life,
    caller: Arc<Caller>,
    by: Signer,
}

/// Whose key signed a token.
#[derive(Clone, Copy, Debug)]
enum Signer {
    /// A file's, which is never removed.
    File,
    /// One of the published set of this generation.
    Set(u64),
}

impl Signer {
    /// Whether what it signed is still good, now that `set` is the published one.
    fn still_holds(self, set: Option<&KeySet>) -> bool {
        match self {
            Self::File => true,
            Self::Set(generation) => set.is_some_and(|set| set.generation == generation),
        }
    }
}

/// Verified tokens by their SHA-256, in two generations: what was used lately is young;
/// when the young fill half the room, the old are forgotten and the young grow old. So the
/// memory is bounded, keeps what is in use, and never has to look for a victim.
#[derive(Debug, Default)]
struct Memory {
    young: HashMap<[u8; 32], Known>,
    old: HashMap<[u8; 32], Known>,
}

impl Memory {
    fn get(&mut self, print: &[u8; 32]) -> Option<Known> {
        if let Some(known) = self.young.get(print) {
            return Some(known.clone());
        }
        let known = self.old.remove(print)?;
        self.put(*print, known.clone());
        Some(known)
    }

    fn put(&mut self, print: [u8; 32], known: Known) {
        if self.young.len() >= REMEMBERED / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(print, known);
    }
}

fn hs256_key(secret: &Secret) -> Result<Key, String> {
    let bytes = secret.expose();
    if bytes.starts_with(b"-----BEGIN") {
        return Err("is a PEM key; public keys have a list of their own".into());
    }
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(format!(
            "has {} bytes, at least {MIN_SECRET_BYTES} are needed",
            bytes.len()
        ));
    }
    Ok(Key {
        algorithm: Algorithm::HS256,
        decoding: DecodingKey::from_secret(bytes),
        id: None,
    })
}

fn public_key(pem: &[u8]) -> Result<Key, String> {
    let text = std::str::from_utf8(pem).map_err(|_| "is not PEM")?;
    let mut labels = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("-----BEGIN "));
    match (labels.next(), labels.next()) {
        (Some("PUBLIC KEY-----" | "RSA PUBLIC KEY-----"), None) => {}
        (Some(label), None) if label.contains("PRIVATE") => {
            return Err("is a private key; give its public half".into());
        }
        (Some(_), Some(_)) => return Err("holds more than one PEM block".into()),
        _ => return Err("is not a PEM public key (`-----BEGIN PUBLIC KEY-----`)".into()),
    }
    let size = |key: &DecodingKey| key.try_get_as_bytes().map_or(0, <[u8]>::len);
    if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        // An uncompressed point of P-256 has 65 bytes.
        return match size(&key) {
            65 => Ok(Key {
                algorithm: Algorithm::ES256,
                decoding: key,
                id: None,
            }),
            _ => Err("is not on the curve P-256, the only one of ES256".into()),
        };
    }
    if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        return Ok(Key {
            algorithm: Algorithm::EdDSA,
            decoding: key,
            id: None,
        });
    }
    if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
        return match size(&key) {
            0..256 => Err("is an RSA key of less than 2048 bits".into()),
            _ => Ok(Key {
                algorithm: Algorithm::RS256,
                decoding: key,
                id: None,
            }),
        };
    }
    Err("is not an RSA, P-256 or Ed25519 public key".into())
}

/// Signs claims with HS256, for `putgate token` and `dev`.
pub fn mint_token(secret: &Secret, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.expose());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
        .expect("JSON and an HMAC key always make a token")
}

#[cfg(test)]
mod tests;
