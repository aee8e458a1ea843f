use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::header::{AUTHORIZATION, HeaderName, LOCATION};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::*;
use crate::domain::caller::Caller;
use crate::domain::problem::{Code, Problem};
use crate::domain::secret::Secret;
use crate::http::auth::{AuthSettings, Verifier, mint_token};

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn at(seconds: u32) -> Timestamp {
    START.plus(Seconds(seconds))
}

/// An Ed25519 key pair made from a number (RFC 8410, 7), good for these tests alone.
fn pair(number: u8) -> EncodingKey {
    let mut der = hex::decode("302e020100300506032b657004220420").unwrap();
    der.extend([number; 32]);
    EncodingKey::from_ed_der(&der)
}

/// Its public half as a set has it.
fn published(number: u8) -> Value {
    let jwk = Jwk::from_encoding_key(&pair(number), Algorithm::EdDSA).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["kid"] = json!(format!("key-{number}"));
    jwk["use"] = json!("sig");
    jwk
}

/// A token by that key, under any name.
fn token_named(number: u8, kid: Option<&str>) -> String {
    let claims = json!({"sub": "7", "exp": at(100_000).seconds()});
    let header = Header {
        kid: kid.map(str::to_owned),
        ..Header::new(Algorithm::EdDSA)
    };
    jsonwebtoken::encode(&header, &claims, &pair(number)).unwrap()
}

fn token(number: u8) -> String {
    token_named(number, Some(&format!("key-{number}")))
}

fn set(numbers: &[u8]) -> String {
    let keys: Vec<Value> = numbers.iter().map(|number| published(*number)).collect();
    json!({"keys": keys}).to_string()
}

/// What the endpoint does when it is asked.
#[derive(Clone, Debug)]
struct Says {
    status: u16,
    header: Option<(HeaderName, String)>,
    body: String,
}

/// An identity provider on loopback.
#[derive(Clone, Debug)]
struct Provider {
    addr: SocketAddr,
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<usize>>,
    /// Closed (no permit), it lets requests wait.
    gate: Arc<tokio::sync::Semaphore>,
}

impl Provider {
    async fn start(body: String) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self {
            addr: listener.local_addr().unwrap(),
            says: Arc::new(Mutex::new(Says {
                status: 200,
                header: None,
                body,
            })),
            asked: Arc::default(),
            gate: Arc::new(tokio::sync::Semaphore::new(1)),
        };
        let answer = async |State(provider): State<Self>| {
            *provider.asked.lock().unwrap() += 1;
            let _open = provider.gate.acquire().await.unwrap();
            let says = provider.says.lock().unwrap().clone();
            let mut headers = HeaderMap::new();
            if let Some((name, value)) = says.header {
                headers.insert(name, value.parse().unwrap());
            }
            (
                StatusCode::from_u16(says.status).unwrap(),
                headers,
                says.body,
            )
        };
        let router = Router::new()
            .route("/jwks", get(answer))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    fn say(&self, status: u16, body: String) {
        *self.says.lock().unwrap() = Says {
            status,
            header: None,
            body,
        };
    }

    fn say_header(&self, name: HeaderName, value: &str) {
        self.says.lock().unwrap().header = Some((name, value.to_owned()));
    }

    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }

    fn verifier(&self) -> Arc<Verifier> {
        verifier(&format!("http://{}/jwks", self.addr), Vec::new())
    }
}

fn verifier(url: &str, hs256_secrets: Vec<Secret>) -> Arc<Verifier> {
    let settings = AuthSettings {
        hs256_secrets,
        public_keys: vec![],
        issuer: None,
        audience: vec![],
        leeway: Seconds(30),
        tenant_claim: "tenant".into(),
        scope_claim: "scope".into(),
        default_scope: "upload read".into(),
    };
    Arc::new(Verifier::with_jwks(settings, Some(url)).unwrap())
}

async fn ask(verifier: &Verifier, token: &str, now: Timestamp) -> Result<Arc<Caller>, Problem> {
    let value = format!("Bearer {token}").parse().unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    verifier.caller(&headers, now).await
}

#[track_caller]
fn assert_code(answer: Result<Arc<Caller>, Problem>, code: Code) {
    assert_eq!(answer.unwrap_err().code, code);
}

#[tokio::test]
async fn a_new_key_is_fetched_for_the_first_token_that_names_it() {
    let provider = Provider::start(set(&[1])).await;
    let verifier = provider.verifier();
    verifier.tend(at(0)).await;
    assert_eq!(
        &*ask(&verifier, &token(1), at(0))
            .await
            .unwrap()
            .owner
            .to_string(),
        "7"
    );
    provider.say(200, set(&[1, 2]));
    ask(&verifier, &token(2), at(60)).await.unwrap();
    ask(&verifier, &token(1), at(60)).await.unwrap();
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn a_removed_key_verifies_nothing_from_the_next_fetch_on_not_even_what_is_remembered() {
    let provider = Provider::start(set(&[1, 2])).await;
    let verifier = provider.verifier();
    verifier.tend(at(0)).await;
    let token_1 = token(1);
    ask(&verifier, &token_1, at(0)).await.unwrap();
    provider.say(200, set(&[2]));
    verifier.tend(at(3599)).await;
    ask(&verifier, &token_1, at(3599)).await.unwrap();
    verifier.tend(at(3600)).await;
    assert_code(
        ask(&verifier, &token_1, at(3600)).await,
        Code::Unauthenticated,
    );
    ask(&verifier, &token(2), at(3600)).await.unwrap();
    // An empty set is a set: all keys were withdrawn.
    provider.say(200, set(&[]));
    verifier.tend(at(7200)).await;
    assert_code(
        ask(&verifier, &token(2), at(7200)).await,
        Code::Unauthenticated,
    );
}

#[tokio::test]
async fn a_flood_of_unknown_keys_is_one_fetch_in_ten_seconds() {
    let provider = Provider::start(set(&[1])).await;
    let verifier = provider.verifier();
    verifier.tend(at(0)).await;
    assert_eq!(provider.asked(), 1);
    for (second, fetches) in [(9, 1), (10, 2), (19, 2), (20, 3)] {
        let flood: Vec<_> = (0..50)
            .map(|n| {
                let verifier = Arc::clone(&verifier);
                let forged = token_named(9, Some(&format!("made-up-{n}")));
                tokio::spawn(async move { ask(&verifier, &forged, at(second)).await })
            })
            .collect();
        for forged in flood {
            assert_code(forged.await.unwrap(), Code::Unauthenticated);
        }
        assert_eq!(provider.asked(), fetches, "second {second}");
    }
    // A known name with a wrong signature asks nobody, nor does an algorithm of secrets.
    let wrong = token_named(9, Some("key-1"));
    let hs256 = mint_token(
        &Secret::new([7; 32]),
        &json!({"sub": "7", "exp": at(99).seconds()}),
    );
    for token in [wrong, hs256] {
        assert_code(ask(&verifier, &token, at(60)).await, Code::Unauthenticated);
    }
    assert_eq!(provider.asked(), 3);
}

#[tokio::test]
async fn all_who_need_a_key_wait_for_one_fetch_and_none_ends_it_by_leaving() {
    let provider = Provider::start(set(&[1])).await;
    let verifier = provider.verifier();
    let shut = provider.gate.clone().acquire_owned().await.unwrap();
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let verifier = Arc::clone(&verifier);
            tokio::spawn(async move { ask(&verifier, &token(1), at(0)).await })
        })
        .collect();
    while provider.asked() == 0 {
        tokio::task::yield_now().await;
    }
    // The first of them began the fetch.
    waiting[0].abort();
    drop(shut);
    for one in waiting.into_iter().skip(1) {
        one.await.unwrap().unwrap();
    }
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn while_the_endpoint_is_away_the_last_keys_go_on() {
    let provider = Provider::start(set(&[1])).await;
    let verifier = provider.verifier();
    verifier.tend(at(0)).await;
    let too_many: Vec<u8> = (0..101).collect();
    let mut now = 3600;
    for (status, body) in [
        (500, "oops".to_owned()),
        (404, set(&[2])),
        (200, "not json".into()),
        (200, "[]".into()),
        (200, json!({"keys": {"kid": "x"}}).to_string()),
        (
            200,
            format!("{{\"keys\":[],\"more\":\"{}\"}}", "x".repeat(MAX_SET_BYTES)),
        ),
        (200, set(&too_many)),
    ] {
        provider.say(status, body.clone());
        let asked = provider.asked();
        verifier.tend(at(now)).await;
        assert_eq!(provider.asked(), asked + 1);
        ask(&verifier, &token(1), at(now)).await.unwrap();
        assert_code(
            ask(&verifier, &token(2), at(now)).await,
            Code::Unauthenticated,
        );
        now += 3600;
    }
    provider.say(200, set(&[2]));
    verifier.tend(at(now)).await;
    ask(&verifier, &token(2), at(now)).await.unwrap();
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let provider = Provider::start(set(&[1])).await;
    let elsewhere = Provider::start(set(&[2])).await;
    let verifier = provider.verifier();
    verifier.tend(at(0)).await;
    provider.say(302, String::new());
    provider.say_header(LOCATION, &format!("http://{}/jwks", elsewhere.addr));
    assert_code(
        ask(&verifier, &token(2), at(60)).await,
        Code::Unauthenticated,
    );
    assert_eq!((provider.asked(), elsewhere.asked()), (2, 0));
}

#[tokio::test]
async fn before_the_first_fetch_a_token_can_be_called_neither_good_nor_bad() {
    let provider = Provider::start(set(&[1])).await;
    provider.say(503, String::new());
    let secret = Secret::new([7; 32]);
    let url = format!("http://{}/jwks", provider.addr);
    let verifier = verifier(&url, vec![secret.clone()]);
    verifier.tend(at(0)).await;
    let answer = ask(&verifier, &token(1), at(0)).await;
    assert_eq!(answer.as_ref().unwrap_err().members["retry_after"], 5);
    assert_code(answer, Code::KeysUnavailable);
    // What the files' keys say stands without the others.
    let good = mint_token(&secret, &json!({"sub": "7", "exp": at(99).seconds()}));
    ask(&verifier, &good, at(0)).await.unwrap();
    let forged = mint_token(
        &Secret::new([8; 32]),
        &json!({"sub": "7", "exp": at(99).seconds()}),
    );
    assert_code(ask(&verifier, &forged, at(0)).await, Code::Unauthenticated);
    provider.say(200, set(&[1]));
    verifier.tend(at(10)).await;
    ask(&verifier, &token(1), at(10)).await.unwrap();
}

#[tokio::test]
async fn an_unreachable_endpoint_is_tried_again_ever_more_slowly() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    drop(listener);
    let verifier = verifier(&url, vec![]);
    verifier.tend(at(0)).await;
    assert_code(
        ask(&verifier, &token(1), at(0)).await,
        Code::KeysUnavailable,
    );
    let pauses: Vec<u32> = (1..9).map(|failures| retry(failures).0).collect();
    assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300, 300]);
}

#[tokio::test]
async fn a_token_without_a_key_id_is_tried_against_a_few_keys_only() {
    let mut numbers: Vec<u8> = (1..=17).collect();
    let provider = Provider::start(set(&numbers)).await;
    let verifier = provider.verifier();
    verifier.tend(at(0)).await;
    ask(&verifier, &token_named(16, None), at(0)).await.unwrap();
    let last = token_named(17, None);
    assert_code(ask(&verifier, &last, at(0)).await, Code::Unauthenticated);
    ask(&verifier, &token(17), at(0)).await.unwrap();
    // And it waits for a newer set as one with an unknown id does.
    numbers.remove(0);
    provider.say(200, set(&numbers));
    ask(&verifier, &last, at(10)).await.unwrap();
}

/// The public keys of the samples in `auth/tests.rs`.
fn rsa() -> Value {
    json!({"kty": "RSA", "e": "AQAB", "n": "ioUexnKFqNJ4YMv-UlWgZYaPFTGakPXhPgrD5MRtJqpv36fuf4St5EbQCIV2EGQw-jG5k8mj6L2dZ2p4etlIYicVRPjVUMAATV2AuA60gUd39vrzy8GqHPQeIyTvNh69JhJz0h5pp76mQuMxrHV2d_rhbBYrnWjHjkiOq3ULYwxKD7IplNIfi-MEJXY6Y61_f9nBFLWLw6t9dmxWMLC8ug3bYnrQ7PnFoNKeEhlbgOHcEzk-fSiuCSoEFGhh0XyX60_btq1gAwQKy1Jw9Hvwt4iP-IEC2hBob5PHL4s8iartW6yxNOVwhINQnMy2OkdNMBaEAEoSUMPgNa03LTy64w"})
}

fn p256() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": "mdKc1HYzG1rugsEFSfpKDsTlepUj-76yX7EFixMnh40", "y": "DpL2SnOlCGAtrUyUDmyJol-ii6jFxsfLDTvt-Rj2xAg"})
}

#[test]
fn only_public_signature_keys_of_our_algorithms_are_taken() {
    let with = |mut key: Value, name: &str, value: Value| {
        key[name] = value;
        key
    };
    let ed25519 = || published(1);
    let rows = [
        (rsa(), Some(Algorithm::RS256)),
        (p256(), Some(Algorithm::ES256)),
        (ed25519(), Some(Algorithm::EdDSA)),
        (with(rsa(), "alg", json!("RS256")), Some(Algorithm::RS256)),
        (
            with(ed25519(), "alg", json!("Ed25519")),
            Some(Algorithm::EdDSA),
        ),
        (
            with(p256(), "key_ops", json!(["verify"])),
            Some(Algorithm::ES256),
        ),
        (with(p256(), "use", json!("enc")), None),
        (with(p256(), "use", json!(1)), None),
        (with(p256(), "key_ops", json!(["sign"])), None),
        (with(p256(), "key_ops", json!("verify")), None),
        (with(p256(), "alg", json!("ES384")), None),
        (with(p256(), "alg", Value::Null), None),
        (with(p256(), "crv", json!("P-384")), None),
        (with(p256(), "x", json!("AAAA")), None),
        (with(p256(), "y", json!("not base64!")), None),
        (with(p256(), "d", json!("AAAA")), None),
        (with(rsa(), "alg", json!("HS256")), None),
        (with(rsa(), "alg", json!("PS256")), None),
        (with(rsa(), "n", json!("AQAB")), None),
        (with(rsa(), "n", json!("A".repeat(2000))), None),
        (with(rsa(), "kty", json!("oct")), None),
        (
            json!({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ", "alg": "HS256"}),
            None,
        ),
        (json!({"kty": 1}), None),
        (json!({}), None),
    ];
    for (jwk, algorithm) in rows {
        let found = key(jwk.as_object().unwrap()).map(|key| key.algorithm);
        assert_eq!(found, algorithm, "{jwk}");
    }
    let mixed = json!({"keys": [rsa(), 1, "x", {"kty": "oct"}, null]}).to_string();
    let (keys, passed_over) = read(mixed.as_bytes()).unwrap();
    assert_eq!((keys.len(), passed_over), (1, 4));
}

#[test]
fn a_set_is_believed_for_a_minute_at_least_and_an_hour_at_most() {
    let rows = [
        (None, 3600),
        (Some("public, max-age=900, must-revalidate"), 900),
        (Some("max-age=15"), 60),
        (Some("Max-Age=\"86400\""), 3600),
        (Some("no-cache"), 60),
        (Some("max-age=900, no-store"), 60),
        (Some("max-age=-1"), 3600),
        (Some("max-age=9999999999999"), 3600),
    ];
    for (value, seconds) in rows {
        let headers: HeaderMap = value
            .map(|value| (CACHE_CONTROL, value.parse().unwrap()))
            .into_iter()
            .collect();
        assert_eq!(life(&headers), Seconds(seconds), "{value:?}");
    }
}
