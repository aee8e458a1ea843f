//! Who may do what: every call, by every kind of caller.

use serde_json::{Value, json};

use crate::common::{Answer, TestBroker, png};
use crate::{assert_problem, id};

const SLOTS: &str =
    "[limits]\nmax_open_tickets = 1000\n[slots.photos]\nmax_entries = 1000\n[slots.other]\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    ListSlots,
    Slot,
    Mint,
    ListTickets,
    Ticket,
    Sign,
    Parts,
    Complete,
    Cancel,
    ListFiles,
    File,
    Delete,
    Claim,
}

const CALLS: [Call; 13] = [
    Call::ListSlots,
    Call::Slot,
    Call::Mint,
    Call::ListTickets,
    Call::Ticket,
    Call::Sign,
    Call::Parts,
    Call::Complete,
    Call::Cancel,
    Call::ListFiles,
    Call::File,
    Call::Delete,
    Call::Claim,
];

impl Call {
    /// The scope that the contract's table names.
    fn scope(self) -> Option<&'static str> {
        match self {
            Self::ListSlots | Self::Slot => None,
            Self::Mint
            | Self::ListTickets
            | Self::Ticket
            | Self::Sign
            | Self::Parts
            | Self::Complete
            | Self::Cancel => Some("upload"),
            Self::ListFiles | Self::File => Some("read"),
            Self::Delete => Some("delete"),
            Self::Claim => Some("manage"),
        }
    }

    /// Whether it is about somebody's ticket or file.
    fn is_about_one(self) -> bool {
        !matches!(
            self,
            Self::ListSlots | Self::Slot | Self::Mint | Self::ListTickets | Self::ListFiles
        )
    }

    /// What a caller gets who may.
    fn success(self) -> u16 {
        match self {
            Self::Mint => 201,
            Self::Cancel | Self::Delete => 204,
            _ => 200,
        }
    }

    /// Calls, about a full open ticket and a file of owner 7.
    async fn send(self, broker: &TestBroker, token: &str, ticket: &str, file: &str) -> Answer {
        let (method, path, body) = match self {
            Self::ListSlots => ("GET", "/v1/slots".into(), None),
            Self::Slot => ("GET", "/v1/slots/photos".into(), None),
            Self::Mint => (
                "POST",
                "/v1/tickets".into(),
                Some(json!({"slot": "photos", "files": [{"name": "a.png", "size": 1}]})),
            ),
            Self::ListTickets => ("GET", "/v1/tickets".into(), None),
            Self::Ticket => ("GET", format!("/v1/tickets/{ticket}"), None),
            Self::Sign => ("POST", format!("/v1/tickets/{ticket}/sign"), None),
            Self::Parts => ("GET", format!("/v1/tickets/{ticket}/parts"), None),
            Self::Complete => ("POST", format!("/v1/tickets/{ticket}/complete"), None),
            Self::Cancel => ("DELETE", format!("/v1/tickets/{ticket}"), None),
            Self::ListFiles => ("GET", "/v1/files".into(), None),
            Self::File => ("GET", format!("/v1/files/{file}"), None),
            Self::Delete => ("DELETE", format!("/v1/files/{file}"), None),
            Self::Claim => (
                "POST",
                "/v1/claims".into(),
                Some(json!({"files": [file], "owner": "7", "ref": "post:42"})),
            ),
        };
        broker.call(method, &path, token, body).await
    }
}

/// A broker on which owner 7 of the tenant `acme` has a filled open ticket and a file.
async fn stage() -> (TestBroker, String, String) {
    let broker = TestBroker::with_slots(SLOTS).await;
    let token = broker.token_with(json!({"sub": "7", "tenant": "acme"}));
    let ticket = broker.mint(&token, "photos", "a.png", &png(1)).await;
    assert_eq!(broker.put(&ticket, &png(1)).await, 200);
    let file = broker.upload(&token, "photos", "b.png", &png(2)).await.body;
    (broker, id(&ticket).to_owned(), id(&file).to_owned())
}

fn count(answer: &Answer) -> Option<usize> {
    let body = answer.body.as_object()?;
    ["slots", "tickets", "files"]
        .iter()
        .find_map(|name| body.get(*name)?.as_array().map(Vec::len))
}

/// All calls by one caller whom the rows of owner 7 do not concern.
async fn assert_stranger(claims: Value) {
    let (broker, ticket, file) = stage().await;
    let token = broker.token_with(claims.clone());
    for call in CALLS {
        let answer = call.send(&broker, &token, &ticket, &file).await;
        let manages = claims["scope"] == "manage";
        match call {
            Call::Claim if !manages => assert_problem(&answer, 403, "forbidden"),
            call if call.is_about_one() => assert_problem(&answer, 404, "not-found"),
            call => assert_eq!(answer.status, call.success(), "{call:?} {answer:?}"),
        }
        match call {
            Call::ListTickets => assert_eq!(count(&answer), Some(1), "its own of before"),
            Call::ListFiles => assert_eq!(count(&answer), Some(0)),
            _ => {}
        }
    }
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_of_the_tenant_finds_nothing() {
    assert_stranger(json!({"sub": "8", "tenant": "acme", "scope": "upload read delete"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_user_of_another_tenant_finds_nothing() {
    assert_stranger(json!({"sub": "7", "tenant": "other", "scope": "upload read delete"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_of_another_tenant_finds_nothing() {
    assert_stranger(json!({"sub": "app", "tenant": "other", "scope": "manage"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_and_the_tenants_backend_may_do_all() {
    for (sub, scope) in [("7", "upload read delete"), ("app", "manage")] {
        for call in CALLS {
            let (broker, ticket, file) = stage().await;
            let token = broker.token_with(json!({"sub": sub, "tenant": "acme", "scope": scope}));
            let answer = call.send(&broker, &token, &ticket, &file).await;
            if call == Call::Claim && scope != "manage" {
                assert_problem(&answer, 403, "forbidden");
            } else {
                assert_eq!(answer.status, call.success(), "{call:?} {answer:?}");
            }
            match call {
                Call::ListTickets => assert_eq!(count(&answer), Some(2)),
                Call::ListFiles => assert_eq!(count(&answer), Some(1)),
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_there_is_nothing_at_all() {
    let (broker, ticket, file) = stage().await;
    let claims = |exp: i64| json!({"sub": "7", "tenant": "acme", "scope": "manage", "exp": exp});
    let now = broker.clock.now().seconds();
    let good = broker.token_with(claims(now + 60));
    let mut tampered = good.clone();
    tampered.replace_range(..good.find('.').unwrap(), "eyJhbGciOiJub25lIn0");
    for token in [
        String::new(),
        broker.token_with(claims(now - 60)),
        tampered,
        format!("{good}x"),
        "x".repeat(9000),
        broker.token_with(json!({"tenant": "acme", "scope": "manage"})),
        broker.token_with(json!({"sub": "7", "tenant": "a/b", "scope": "manage"})),
        broker.token_with(json!({"sub": "7", "tenant": "acme", "slots": "photos"})),
    ] {
        for call in CALLS {
            let answer = call.send(&broker, &token, &ticket, &file).await;
            assert_problem(&answer, 401, "unauthenticated");
            let challenge = answer.headers["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer"), "{challenge}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_needs_its_scope_and_no_other() {
    let (broker, ticket, file) = stage().await;
    for call in CALLS {
        let Some(needed) = call.scope() else { continue };
        let others: Vec<&str> = ["upload", "read", "delete"]
            .into_iter()
            .filter(|scope| *scope != needed)
            .collect();
        for scope in [others.join(" "), String::new(), "admin".into()] {
            let token = broker.token_with(json!({"sub": "7", "tenant": "acme", "scope": scope}));
            let answer = call.send(&broker, &token, &ticket, &file).await;
            assert_problem(&answer, 403, "forbidden");
            assert_eq!(answer.body["scope"], needed, "{call:?}");
        }
    }
    for call in CALLS {
        let (broker, ticket, file) = stage().await;
        let scope = call.scope().unwrap_or_default();
        let token = broker.token_with(json!({"sub": "7", "tenant": "acme", "scope": scope}));
        let answer = call.send(&broker, &token, &ticket, &file).await;
        assert_eq!(answer.status, call.success(), "{call:?} {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_other_slots_sees_nothing_of_this_one() {
    let (broker, ticket, file) = stage().await;
    for scope in ["upload read delete", "manage"] {
        let token = broker
            .token_with(json!({"sub": "7", "tenant": "acme", "scope": scope, "slots": ["other"]}));
        for call in CALLS {
            let answer = call.send(&broker, &token, &ticket, &file).await;
            match call {
                Call::Slot | Call::Mint => assert_problem(&answer, 403, "forbidden"),
                Call::Claim if scope != "manage" => assert_problem(&answer, 403, "forbidden"),
                call if call.is_about_one() => assert_problem(&answer, 404, "not-found"),
                Call::ListSlots => assert_eq!(count(&answer), Some(1)),
                _ => assert_eq!(count(&answer), Some(0), "{call:?} {answer:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_mints_for_others_and_looks_at_them_one_by_one() {
    let (broker, ticket, file) = stage().await;
    let token = broker.token_with(json!({"sub": "app", "tenant": "acme", "scope": "manage"}));
    let body = json!({"slot": "photos", "owner": "9", "ref": "post:1", "files": [{"name": "a.png", "size": 1}]});
    let minted = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
    assert_eq!(minted.status, 201, "{minted:?}");
    assert_eq!(minted.body["tickets"][0]["owner"], "9");
    let nine = broker.token_with(json!({"sub": "9", "tenant": "acme"}));
    let path = format!("/v1/tickets/{}", id(&minted.body["tickets"][0]));
    assert_eq!(broker.call("GET", &path, &nine, None).await.status, 200);
    for (path, ids) in [
        ("/v1/tickets", 3),
        ("/v1/tickets?owner=7", 2),
        ("/v1/tickets?owner=9", 1),
        ("/v1/tickets?owner=9&ref=post:1", 1),
        ("/v1/tickets?owner=app", 0),
        ("/v1/files", 1),
        ("/v1/files?owner=7", 1),
        ("/v1/files?owner=9", 0),
    ] {
        let list = broker.call("GET", path, &token, None).await;
        assert_eq!(list.status, 200, "{list:?}");
        assert_eq!(count(&list), Some(ids), "{path}");
    }
    let seven = broker
        .call("GET", "/v1/tickets?owner=7&state=open", &token, None)
        .await;
    assert_eq!(id(&seven.body["tickets"][0]), ticket);
    let seven = broker.call("GET", "/v1/files?owner=7", &token, None).await;
    assert_eq!(id(&seven.body["files"][0]), file);
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_and_refs_of_any_writing_are_kept_apart() {
    let broker = TestBroker::with_slots(SLOTS).await;
    let names = [
        "a",
        "A",
        "a ",
        "a\",\"b",
        "a']",
        "a\\",
        "%",
        "_",
        "a%00",
        "ä",
        "a\u{308}",
        "🐈",
        "null",
        "[]",
        "../b",
        "'; DROP TABLE usage; --",
    ];
    let long = "o".repeat(255);
    for name in names.into_iter().chain([long.as_str()]) {
        let token = broker.token_with(json!({"sub": name, "refs": [name]}));
        let body = json!({"slot": "other", "ref": name, "files": [{"name": "a", "size": 1}]});
        let minted = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
        assert_eq!(minted.status, 201, "{name:?} {minted:?}");
        assert_eq!(minted.body["tickets"][0]["owner"], name);
        assert_eq!(minted.body["tickets"][0]["ref"], name);
        let list = broker.call("GET", "/v1/tickets", &token, None).await;
        assert_eq!(count(&list), Some(1), "{name:?}");
    }
    broker.assert_lawful().await;
}
