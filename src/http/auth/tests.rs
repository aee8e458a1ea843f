use super::*;
use serde_json::json;

/// The claims of the three signed samples: `{"sub":"7","exp":1800000000}`. The private
/// keys were thrown away.
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAioUexnKFqNJ4YMv+UlWg
ZYaPFTGakPXhPgrD5MRtJqpv36fuf4St5EbQCIV2EGQw+jG5k8mj6L2dZ2p4etlI
YicVRPjVUMAATV2AuA60gUd39vrzy8GqHPQeIyTvNh69JhJz0h5pp76mQuMxrHV2
d/rhbBYrnWjHjkiOq3ULYwxKD7IplNIfi+MEJXY6Y61/f9nBFLWLw6t9dmxWMLC8
ug3bYnrQ7PnFoNKeEhlbgOHcEzk+fSiuCSoEFGhh0XyX60/btq1gAwQKy1Jw9Hvw
t4iP+IEC2hBob5PHL4s8iartW6yxNOVwhINQnMy2OkdNMBaEAEoSUMPgNa03LTy6
4wIDAQAB
-----END PUBLIC KEY-----";
const RS256: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI3IiwiZXhwIjoxODAwMDAwMDAwfQ.ErVLwA5W\
    ZNl9YWWHXnRiw7uImTTWty5a3xGSHa7tpn4ifG1_iglCI6clZdiSeeIaslmDTWG1nqsQopQbonxqONsq8IXb\
    p9Xy7hIiWjuC3OSecxNVRjqzq6swLQ0mzalIAkTcJ_urfr-JwoB-6BpxwZBzoYHTpI10TmqJODTID87zXkoG\
    ytdcMylQj9HEdN9I3ivJWyBtfZ30zywCsILs70hxTiBRdaU6lGEwqcwkD4VV2odUFyDXZVpcQBWOzAjfTEGc\
    NapS9HuDsIqTSQ8aUL4_lh4q-ChOM6viDxaoxtHCRJrZ19zyiEqJDL2tem80wF3QaX6OolZxHDSY5bv6xg";
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEmdKc1HYzG1rugsEFSfpKDsTlepUj
+76yX7EFixMnh40OkvZKc6UIYC2tTJQObImiX6KLqMXGx8sNO+35GPbECA==
-----END PUBLIC KEY-----";
const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiI3IiwiZXhwIjoxODAwMDAwMDAwfQ.IeNTKAa9oj8YgXdcioyb8Ijx\
    m-5nBhlYrywXhDz_xJ8rVs8pJPhxkB6VuVK6A6Ihf-na-EHQjnAOZKX53ZeRRw";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA4/Q+1LXEOMs8GSI5wGAVjbp/BPCUwl0wWw0fhRYvWgU=
-----END PUBLIC KEY-----";
const EDDSA: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiI3IiwiZXhwIjoxODAwMDAwMDAwfQ.3qx4TwYDmGX0K1NJ9cuJD1rL\
    QnfjaZtZX9p4ybar94alPobi2kdeNCfDckO01yerk0QlzW2o6NlkGmjqXIQZAw";
const P384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE28p4vjshskbVg0kMiNKDCejDNs/9KTWk
4TwcbIe7obvimEpTSGYzk86K8+CVK6NbuH2pIrdYDe0AnWG7jebysFuR0Fh/jlRU
46MuQqNhFDXje0arsqBKbOAp6f9iy4qj
-----END PUBLIC KEY-----";
const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDXdAoLBY/vS5c9svE+Xh+oPL/e
NszNLoMoUapsfhDGc+DW2sGOGmbtADIXxIRQB71ZdnSJ4eYGph6DJCDXPEdvfGYB
XzSExnj1PdJ0Zl+2OjzA5rPEpNb6Fk7D3epIgQi0/xLonSXiXzbHdkbIxUjtZi8u
c0RJabVHEnKDwqLf5wIDAQAB
-----END PUBLIC KEY-----";

const EXP: i64 = 1_800_000_000;
const NOW: Timestamp = Timestamp::from_millis((EXP - 600) * 1000);

fn secret() -> Secret {
    Secret::new("0123456789abcdef0123456789abcdef")
}

fn settings() -> AuthSettings {
    AuthSettings {
        hs256_secrets: vec![secret()],
        public_keys: vec![],
        issuer: None,
        audience: vec![],
        leeway: Seconds(30),
        tenant_claim: "tenant".into(),
        scope_claim: "scope".into(),
        default_scope: "upload read".into(),
    }
}

fn with_public_keys(pems: &[&str]) -> AuthSettings {
    AuthSettings {
        hs256_secrets: vec![],
        public_keys: pems.iter().map(|pem| pem.as_bytes().to_vec()).collect(),
        ..settings()
    }
}

fn headers(authorization: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())])
}

fn ask(settings: AuthSettings, token: &str) -> Result<Arc<Caller>, Problem> {
    let verifier = Verifier::new(settings).unwrap();
    verifier.verify(&headers(&format!("Bearer {token}")), NOW)
}

/// The sentence of the 401 that `token` gets.
#[track_caller]
fn refusal(settings: AuthSettings, token: &str) -> String {
    let problem = ask(settings, token).expect_err("the token must be refused");
    assert_eq!(problem.code, Code::Unauthenticated);
    assert_eq!(problem.members["error"], "invalid_token");
    assert!(!problem.detail.contains(token), "a token is never repeated");
    problem.detail
}

fn good() -> Value {
    json!({"sub": "7", "exp": EXP})
}

/// The good claims with one of them changed; `null` removes it.
fn with(name: &str, value: Value) -> String {
    let mut claims = good();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    mint_token(&secret(), &claims)
}

/// A token with any header, signed as HS256 with any bytes.
fn forged(header: &Value, key: &[u8]) -> String {
    let text = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", text(header), text(&good()));
    let key = EncodingKey::from_secret(key);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn a_token_of_ours_is_its_caller() {
    let token = mint_token(
        &secret(),
        &json!({"sub": "7", "tenant": "acme", "scope": "upload", "slots": ["photos"], "exp": EXP}),
    );
    let caller = ask(settings(), &token).unwrap();
    assert_eq!(
        (caller.tenant.as_str(), caller.owner.as_str()),
        ("acme", "7")
    );
    assert_eq!(caller.scopes, Scopes::parse("upload"));
    assert_eq!(caller.slots.as_ref().unwrap()[0].as_str(), "photos");
}

#[test]
fn each_kind_of_public_key_verifies_its_own_algorithm() {
    for (pem, token) in [(RSA, RS256), (P256, ES256), (ED25519, EDDSA)] {
        assert_eq!(
            ask(with_public_keys(&[pem]), token).unwrap().owner.as_str(),
            "7"
        );
    }
    for (pem, token) in [(RSA, ES256), (P256, EDDSA), (ED25519, RS256)] {
        refusal(with_public_keys(&[pem]), token);
    }
}

#[test]
fn any_listed_key_verifies() {
    let mut settings = with_public_keys(&[RSA, P256, ED25519]);
    settings.hs256_secrets = vec![Secret::new([b'x'; 32]), secret()];
    for token in [RS256, ES256, EDDSA, &with("sub", json!("7"))] {
        assert!(ask(settings.clone(), token).is_ok());
    }
}

#[test]
fn a_token_of_another_secret_is_refused() {
    let token = mint_token(&Secret::new([b'x'; 32]), &good());
    assert!(refusal(settings(), &token).contains("no configured key"));
}

#[test]
fn a_changed_claim_or_signature_is_refused() {
    for token in [RS256, ES256, EDDSA] {
        let mut pieces: Vec<_> = token.split('.').map(str::to_owned).collect();
        let claims = json!({"sub": "8", "exp": EXP}).to_string();
        let original = std::mem::replace(&mut pieces[1], URL_SAFE_NO_PAD.encode(claims));
        refusal(with_public_keys(&[RSA, P256, ED25519]), &pieces.join("."));
        pieces[1] = original;
        let first = if pieces[2].starts_with('A') { "B" } else { "A" };
        pieces[2].replace_range(..1, first);
        refusal(with_public_keys(&[RSA, P256, ED25519]), &pieces.join("."));
    }
}

#[test]
fn alg_none_is_refused_however_it_is_spelled() {
    for alg in ["none", "None", "NoNe", "NONE", ""] {
        let token = forged(&json!({"alg": alg, "typ": "JWT"}), secret().expose());
        refusal(settings(), &token);
        let unsigned = token.rsplit_once('.').unwrap().0;
        refusal(settings(), &format!("{unsigned}."));
        refusal(settings(), unsigned);
    }
}

#[test]
fn a_public_key_used_as_a_secret_is_refused() {
    for pem in [RSA, P256, ED25519] {
        let with_newline = format!("{pem}\n");
        for key in [pem.as_bytes(), with_newline.as_bytes()] {
            let token = forged(&json!({"alg": "HS256"}), key);
            refusal(with_public_keys(&[pem]), &token);
            let mut both = with_public_keys(&[pem]);
            both.hs256_secrets = vec![secret()];
            refusal(both, &token);
        }
    }
}

#[test]
fn another_hash_under_the_right_secret_is_refused() {
    let key = EncodingKey::from_secret(secret().expose());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &good(), &key).unwrap();
    refusal(settings(), &token);
    refusal(
        settings(),
        &forged(&json!({"alg": "HS384"}), secret().expose()),
    );
}

#[test]
fn keys_in_the_token_s_header_are_not_looked_at() {
    let own = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([b'x'; 32])});
    let header = json!({"alg": "HS256", "kid": "../../dev/null", "jku": "http://evil/", "x5u": "http://evil/", "jwk": own});
    refusal(settings(), &forged(&header, &[b'x'; 32]));
    assert!(
        ask(
            settings(),
            &forged(&json!({"alg": "HS256", "kid": "?"}), secret().expose())
        )
        .is_ok()
    );
}

#[test]
fn a_critical_header_we_do_not_know_is_refused() {
    let header = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
    assert!(refusal(settings(), &forged(&header, secret().expose())).contains("`crit`"));
}

#[test]
fn an_exp_that_is_missing_or_no_whole_number_is_refused() {
    for exp in [
        json!(null),
        json!("1800000000"),
        json!(1_800_000_000.5),
        json!(1.8e9),
        json!(-1),
        json!(u64::MAX),
        json!([EXP]),
        json!(true),
    ] {
        let sentence = refusal(settings(), &with("exp", exp.clone()));
        assert!(sentence.contains("`exp`"), "{exp}: {sentence}");
    }
}

#[test]
fn exp_and_nbf_hold_to_the_second_with_leeway() {
    let verifier = Verifier::new(settings()).unwrap();
    let headers = headers(&format!("Bearer {}", with("nbf", json!(EXP - 600))));
    let at = |seconds: i64| verifier.verify(&headers, Timestamp::from_millis(seconds * 1000));
    assert!(at(EXP - 631).unwrap_err().detail.contains("not valid yet"));
    assert!(at(EXP - 630).is_ok());
    assert!(at(EXP + 29).is_ok());
    assert!(
        at(EXP + 30).unwrap_err().detail.contains("expired"),
        "also when it is remembered"
    );
    assert!(at(EXP - 631).is_err(), "also when the clock went back");
}

#[test]
fn an_nbf_that_is_no_whole_number_is_refused() {
    for nbf in [json!("0"), json!(0.5), json!(-1)] {
        assert!(refusal(settings(), &with("nbf", nbf)).contains("`nbf`"));
    }
}

#[test]
fn a_missing_or_wrong_sub_is_refused() {
    for sub in [json!(null), json!(7), json!("")] {
        assert!(refusal(settings(), &with("sub", sub)).contains("`sub`"));
    }
}

#[test]
fn a_claim_that_cannot_be_read_is_refused_by_name() {
    for (name, value) in [
        ("tenant", json!("a/b")),
        ("slots", json!("photos")),
        ("refs", json!([1])),
        ("limits", json!([])),
    ] {
        assert!(refusal(settings(), &with(name, value)).contains(&format!("`{name}`")));
    }
}

#[test]
fn a_configured_issuer_must_be_the_token_s() {
    let strict = || AuthSettings {
        issuer: Some("https://id.example".into()),
        ..settings()
    };
    assert!(ask(strict(), &with("iss", json!("https://id.example"))).is_ok());
    for iss in [
        json!(null),
        json!("https://id.example/"),
        json!(["https://id.example"]),
    ] {
        assert!(refusal(strict(), &with("iss", iss)).contains("`iss`"));
    }
}

#[test]
fn one_configured_audience_must_be_among_the_token_s() {
    let strict = || AuthSettings {
        audience: vec!["uploads".into(), "putgate".into()],
        ..settings()
    };
    for aud in [json!("putgate"), json!(["other", "uploads"])] {
        assert!(ask(strict(), &with("aud", aud)).is_ok());
    }
    for aud in [
        json!(null),
        json!("other"),
        json!(["other"]),
        json!([]),
        json!([["putgate"]]),
        json!({"putgate": 1}),
    ] {
        assert!(refusal(strict(), &with("aud", aud)).contains("`aud`"));
    }
    assert!(
        ask(settings(), &with("aud", json!("other"))).is_ok(),
        "none is configured"
    );
}

#[test]
fn garbage_is_refused() {
    let whole = with("sub", json!("7"));
    for token in [
        "x",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "...",
        "..",
        "e30.e30.",
        &whole[..whole.len() - 5],
        &whole[5..],
        &format!("{whole}.x"),
    ] {
        refusal(settings(), token);
    }
}

#[test]
fn claims_that_are_no_object_are_refused() {
    for claims in [json!([1]), json!("x"), json!(null)] {
        assert!(refusal(settings(), &mint_token(&secret(), &claims)).contains("JSON object"));
    }
}

#[test]
fn a_token_over_eight_kibibytes_is_refused_unread() {
    let token = with("padding", json!("x".repeat(MAX_TOKEN_BYTES)));
    assert!(refusal(settings(), &token).contains("8192"));
}

#[test]
fn an_absent_token_is_asked_for_without_an_error() {
    let problem = Verifier::new(settings())
        .unwrap()
        .verify(&HeaderMap::new(), NOW)
        .unwrap_err();
    assert_eq!(problem.code, Code::Unauthenticated);
    assert!(problem.members.is_empty());
}

#[test]
fn the_scheme_is_bearer_in_any_case_and_nothing_else() {
    let verifier = Verifier::new(settings()).unwrap();
    let token = with("sub", json!("7"));
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert!(
            verifier
                .verify(&headers(&format!("{scheme} {token}")), NOW)
                .is_ok()
        );
    }
    for value in [
        format!("Basic {token}"),
        token.clone(),
        "Bearer".into(),
        "Bearer ".into(),
        format!("Bearer{token}"),
        format!("Bearer {token} {token}"),
        format!("Bearer {token},x"),
    ] {
        assert!(verifier.verify(&headers(&value), NOW).is_err(), "{value}");
    }
}

#[test]
fn two_authorization_headers_are_refused() {
    let token = with("sub", json!("7"));
    let mut headers = headers(&format!("Bearer {token}"));
    headers.append(
        header::AUTHORIZATION,
        format!("Bearer {token}").parse().unwrap(),
    );
    assert!(
        Verifier::new(settings())
            .unwrap()
            .verify(&headers, NOW)
            .is_err()
    );
}

#[test]
fn a_key_that_cannot_be_used_is_refused_at_the_start() {
    let private = RSA.replace("PUBLIC", "PRIVATE");
    let two = format!("{RSA}\n{P256}");
    for (pem, law) in [
        (P384, "P-256"),
        (RSA_1024, "2048"),
        (private.as_str(), "private"),
        (two.as_str(), "more than one"),
        ("", "not a PEM"),
        (
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "not an RSA",
        ),
    ] {
        let sentence = Verifier::new(with_public_keys(&[ED25519, pem])).unwrap_err();
        assert!(
            sentence.contains("public key 2") && sentence.contains(law),
            "{sentence}"
        );
    }
    for (bytes, law) in [("short", "at least 32"), (RSA, "PEM")] {
        let settings = AuthSettings {
            hs256_secrets: vec![Secret::new(bytes)],
            ..settings()
        };
        let sentence = Verifier::new(settings).unwrap_err();
        assert!(
            sentence.contains("HS256 secret 1") && sentence.contains(law),
            "{sentence}"
        );
    }
}

#[test]
fn there_are_one_to_sixteen_keys() {
    for (count, good) in [(0, false), (16, true), (17, false)] {
        let settings = AuthSettings {
            hs256_secrets: vec![secret(); count],
            ..settings()
        };
        assert_eq!(Verifier::new(settings).is_ok(), good, "{count}");
    }
}

#[test]
fn a_remembered_token_is_not_verified_again() {
    let verifier = Verifier::new(settings()).unwrap();
    let headers = headers(&format!("Bearer {}", with("sub", json!("7"))));
    let first = verifier.verify(&headers, NOW).unwrap();
    assert!(Arc::ptr_eq(
        &first,
        &verifier.verify(&headers, NOW).unwrap()
    ));
}

#[test]
fn the_memory_is_bounded_and_keeps_what_is_in_use() {
    let caller = ask(settings(), &with("sub", json!("7"))).unwrap();
    let known = Known {
        life: Life {
            exp: EXP,
            nbf: None,
        },
        caller,
        by: Signer::File,
    };
    let print = |n: u32| <[u8; 32]>::from(Sha256::digest(n.to_be_bytes()));
    let mut memory = Memory::default();
    memory.put(print(0), known.clone());
    for n in 1..20_000 {
        memory.put(print(n), known.clone());
        assert!(memory.get(&print(0)).is_some(), "{n}");
        assert!(memory.young.len() + memory.old.len() <= REMEMBERED);
    }
    assert!(memory.get(&print(1)).is_none());
}

#[test]
fn a_verifier_does_not_print_its_keys() {
    let printed = format!("{:?}", Verifier::new(settings()).unwrap());
    assert_eq!(printed, "Verifier { keys: [HS256], jwks: None, .. }");
}
