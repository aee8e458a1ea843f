//! Who may call a dialect, from where, and with which token.

use putgate::domain::time::Seconds;
use serde_json::json;

use crate::common::{PAGE, PUBLIC_URL, TestBroker, png};
use crate::{SPEAKING, ask};

const PARAMS: &str = "s3/params?filename=a.png";

/// A path, headers, and the status of the answer.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);

/// The origin of [`PUBLIC_URL`].
fn own() -> &'static str {
    PUBLIC_URL.strip_suffix("/uploads").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_does_not_speak_the_dialect_does_not_exist() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let token = broker.token("7");
    let id = "01900000-0000-7000-8000-000000000001";
    for (slot, path, status) in [
        ("photos", PARAMS, 200),
        ("public", PARAMS, 200),
        ("forms", PARAMS, 404),
        ("mute", PARAMS, 404),
        ("nothing", PARAMS, 404),
        ("no..%2Fname", PARAMS, 404),
    ] {
        let path = format!("/u/{slot}/{token}/{path}");
        let answer = broker.call("GET", &path, "", None).await;
        assert_eq!(answer.status, status, "{slot}: {answer:?}");
    }
    let mute = broker.upload(&token, "mute", "a.png", &png(1)).await;
    let mute = mute.body["id"].as_str().unwrap().to_owned();
    for (slot, id) in [("photos", id), ("mute", &mute), ("photos", &mute)] {
        let path = format!("/u/{slot}/{token}/f/{id}");
        let answer = broker.call("GET", &path, "", None).await;
        assert_eq!(answer.status, 404, "{slot}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_comes_in_the_path_in_a_header_or_in_a_cookie() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let token = broker.token("7");
    let bearer = format!("Bearer {token}");
    let cookie = format!("theme=dark; putgate_token={token}");
    let in_path = format!("/u/photos/{token}/{PARAMS}");
    let elsewhere = format!("/u/photos/-/{PARAMS}");
    let forged = format!("/u/photos/{token}x/{PARAMS}");
    let fetched = ("sec-fetch-site", "same-origin");
    let cases: [Case; 8] = [
        (&in_path, &[], 200),
        (&forged, &[], 401),
        // A bad token is not made good by another one.
        (&forged, &[("authorization", &bearer)], 401),
        (&elsewhere, &[], 401),
        (&elsewhere, &[("authorization", &bearer)], 200),
        (&elsewhere, &[("cookie", &cookie), fetched], 200),
        (
            &elsewhere,
            &[("cookie", "putgate_token=a.b.c"), fetched],
            401,
        ),
        (
            &elsewhere,
            &[("cookie", &cookie), ("cookie", &cookie), fetched],
            401,
        ),
    ];
    for (path, headers, status) in cases {
        let answer = ask(&broker, "GET", path, headers).await;
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    }
    let other = json!({"sub": "7", "slots": ["public"]});
    let path = format!("/u/photos/{}/{PARAMS}", broker.token_with(other));
    assert_eq!(ask(&broker, "GET", &path, &[]).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_path_ends_within_an_hour() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let lasting = |seconds: u32| {
        let exp = broker.clock.now().plus(Seconds(seconds)).seconds();
        broker.token_with(json!({"sub": "7", "exp": exp}))
    };
    // Half a minute more is the leeway between two clocks.
    for (seconds, status) in [
        (60, 200),
        (3600, 200),
        (3630, 200),
        (3631, 401),
        (86_400, 401),
    ] {
        let path = format!("/u/photos/{}/{PARAMS}", lasting(seconds));
        let answer = ask(&broker, "GET", &path, &[]).await;
        assert_eq!(answer.status, status, "{seconds}: {answer:?}");
    }
    let long = lasting(86_400);
    let answer = broker
        .call("GET", &format!("/u/photos/-/{PARAMS}"), &long, None)
        .await;
    assert_eq!(answer.status, 200, "in a header it may last: {answer:?}");
    // One that was refused is not remembered as good, nor one that was good as bad.
    broker.advance(86_400 - 3600);
    let path = format!("/u/photos/{long}/{PARAMS}");
    assert_eq!(ask(&broker, "GET", &path, &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_needs_a_page_of_ours_for_whatever_changes_something() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let token = broker.token("7");
    let cookie = format!("putgate_token={token}");
    let bearer = format!("Bearer {token}");
    let none = "/u/photos/-/tickets/01900000-0000-7000-8000-000000000001/complete".to_owned();
    let params = format!("/u/photos/-/{PARAMS}");
    // A GET that mints is no reading.
    for (method, path, done) in [("POST", &none, 404), ("GET", &params, 200)] {
        let cases: [(&[(&str, &str)], u16); 9] = [
            (&[("cookie", &cookie)], 403),
            (
                &[("cookie", &cookie), ("origin", "https://evil.example")],
                403,
            ),
            (&[("cookie", &cookie), ("origin", "null")], 403),
            (
                &[("cookie", &cookie), ("sec-fetch-site", "cross-site")],
                403,
            ),
            (&[("cookie", &cookie), ("sec-fetch-site", "none")], 403),
            (
                &[("cookie", &cookie), ("sec-fetch-site", "same-origin")],
                done,
            ),
            (&[("cookie", &cookie), ("origin", PAGE)], done),
            (&[("cookie", &cookie), ("origin", own())], done),
            (
                &[
                    ("authorization", &bearer),
                    ("origin", "https://evil.example"),
                ],
                done,
            ),
        ];
        for (headers, status) in cases {
            let answer = ask(&broker, method, path, headers).await;
            assert_eq!(answer.status, status, "{method} {headers:?}: {answer:?}");
        }
    }
    let file = broker.upload(&token, "photos", "a.png", &png(1)).await;
    let path = format!("/u/photos/-/f/{}", file.body["id"].as_str().unwrap());
    let seen = ask(&broker, "GET", &path, &[("cookie", &cookie)]).await;
    assert_eq!(seen.status, 302, "reading needs no page: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_a_redirect_for_its_owner_alone() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let (mine, theirs) = (broker.token("7"), broker.token("8"));
    let file = broker.upload(&mine, "photos", "a.png", &png(1)).await;
    let id = file.body["id"].as_str().unwrap();
    let key = file.body["file"]["key"].as_str().unwrap();
    let answer = ask(&broker, "GET", &format!("/u/photos/{mine}/f/{id}"), &[]).await;
    assert_eq!(answer.status, 302, "{answer:?}");
    let place = answer.headers["location"].to_str().unwrap();
    assert!(
        place.starts_with(&format!("{}/files/{key}?", broker.store.url())),
        "{place}"
    );
    assert_eq!(answer.headers["cache-control"], "no-store");
    let blind = broker.token_with(json!({"sub": "7", "scope": "upload"}));
    for (slot, token, status) in [
        ("photos", &theirs, 404),
        ("public", &mine, 404),
        ("photos", &blind, 403),
    ] {
        let path = format!("/u/{slot}/{token}/f/{id}");
        let answer = ask(&broker, "GET", &path, &[]).await;
        assert_eq!(answer.status, status, "{slot}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_url_with_a_path_is_served_with_it_and_without() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let token = broker.token("7");
    for prefix in ["/uploads", ""] {
        for path in [
            format!("{prefix}/v1/slots"),
            format!("{prefix}/livez"),
            format!("{prefix}/u/photos/{token}/{PARAMS}"),
            format!("{prefix}/u/photos/{token}//{PARAMS}"),
        ] {
            let answer = broker.call("GET", &path, &token, None).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
        let path = format!("{prefix}/nothing");
        assert_eq!(broker.call("GET", &path, &token, None).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_listed_origins_may_call_a_dialect_with_their_cookies() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let token = broker.token("7");
    for prefix in ["", "/uploads"] {
        let path = format!("{prefix}/u/photos/{token}/{PARAMS}");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] {
            let wanted = "x-csrftoken,upload-offset,x-of-the-app";
            let headers = [
                ("origin", PAGE),
                ("access-control-request-method", method),
                ("access-control-request-headers", wanted),
            ];
            let answer = ask(&broker, "OPTIONS", &path, &headers).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let header = |name: &str| answer.headers[name].to_str().unwrap();
            assert_eq!(header("access-control-allow-origin"), PAGE);
            assert_eq!(header("access-control-allow-credentials"), "true");
            assert_eq!(header("access-control-allow-headers"), wanted);
            assert!(
                header("access-control-allow-methods")
                    .split(',')
                    .any(|m| m == method)
            );
        }
        let answer = ask(&broker, "GET", &path, &[("origin", PAGE)]).await;
        let exposed = answer.headers["access-control-expose-headers"]
            .to_str()
            .unwrap();
        for name in [
            "etag",
            "location",
            "range",
            "upload-offset",
            "content-disposition",
        ] {
            assert!(exposed.split(',').any(|e| e == name), "{name}: {exposed}");
        }
        let evil = ask(&broker, "GET", &path, &[("origin", "https://evil.example")]).await;
        assert!(!evil.headers.contains_key("access-control-allow-origin"));
    }
    let headers = [("origin", PAGE), ("access-control-request-method", "POST")];
    let api = ask(&broker, "OPTIONS", "/v1/tickets", &headers).await;
    assert!(!api.headers.contains_key("access-control-allow-credentials"));
}
