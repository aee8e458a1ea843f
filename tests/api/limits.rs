//! Bounds: slots, tokens, quotas, live tickets, and the numbers that slots show.

use serde_json::{Value, json};

use crate::common::{Answer, TestBroker, png};
use crate::{assert_problem, id};

async fn mint(broker: &TestBroker, token: &str, slot: &str, sizes: &[u64]) -> Answer {
    let files: Vec<Value> = sizes
        .iter()
        .map(|size| json!({"name": "a.png", "size": size}))
        .collect();
    let body = json!({"slot": slot, "files": files});
    broker.call("POST", "/v1/tickets", token, Some(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_slot_names_the_open_tickets_that_fill_it() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    broker.upload(&token, "photos", "a.png", &png(1)).await;
    let open = mint(&broker, &token, "photos", &[1, 2, 3, 4]).await;
    broker.mint(&token, "documents", "x.txt", b"x").await;
    mint(&broker, &broker.token("8"), "photos", &[1]).await;
    let answer = mint(&broker, &token, "photos", &[1]).await;
    assert_problem(&answer, 409, "slot-full");
    assert_eq!(answer.body["limit"], 5);
    let ids = |tickets: &Value| {
        let mut ids: Vec<String> = tickets
            .as_array()
            .unwrap()
            .iter()
            .map(|ticket| id(ticket).to_owned())
            .collect();
        ids.sort();
        ids
    };
    assert_eq!(
        ids(&answer.body["open_tickets"]),
        ids(&open.body["tickets"])
    );
    assert_eq!(answer.body["open_tickets"][0]["state"], "open");
    let path = format!("/v1/tickets/{}", id(&open.body["tickets"][0]));
    broker.call("DELETE", &path, &token, None).await;
    assert_eq!(mint(&broker, &token, "photos", &[1]).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_larger_than_the_room_is_minted_as_far_as_it_fits() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let answer = mint(&broker, &token, "photos", &[1; 100]).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["tickets"].as_array().unwrap().len(), 5);
    let errors = answer.body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 95);
    assert_eq!(errors[0]["index"], 5);
    assert_eq!(errors[0]["problem"]["code"], "slot-full");
    assert_eq!(
        errors[94]["problem"]["open_tickets"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_ref_has_entries_of_its_own_and_the_quota_is_shared() {
    let slots = "[slots.small]\nmax_file_size = \"100B\"\nquota = \"100B\"\n";
    let broker = TestBroker::with_slots(slots).await;
    let token = broker.token_with(json!({"sub": "7", "refs": ["a", "b"]}));
    let at = async |reference: Value, size: u64| {
        let body =
            json!({"slot": "small", "ref": reference, "files": [{"name": "a", "size": size}]});
        broker.call("POST", "/v1/tickets", &token, Some(body)).await
    };
    assert_eq!(at(Value::Null, 40).await.status, 201);
    assert_problem(&at(Value::Null, 1).await, 409, "slot-full");
    assert_eq!(at(json!("a"), 40).await.status, 201);
    let answer = at(json!("b"), 21).await;
    assert_problem(&answer, 409, "quota-exceeded");
    assert_eq!(answer.body["limit"], 100);
    assert_eq!(at(json!("b"), 20).await.status, 201);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_live_tickets_are_429_and_cancelling_does_not_help_at_once() {
    let slots = "[limits]\nmax_open_tickets = 3\n[slots.photos]\nmax_entries = 50\nurl_ttl = \"15m\"\n[slots.other]\nmax_entries = 50\n";
    let broker = TestBroker::with_slots(slots).await;
    let token = broker.token("7");
    let open = mint(&broker, &token, "photos", &[1, 1, 1]).await;
    for slot in ["photos", "other"] {
        let answer = mint(&broker, &token, slot, &[1]).await;
        assert_problem(&answer, 429, "too-many-open-tickets");
        let seconds: u32 = answer.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(seconds > 0);
        assert_eq!(answer.body["limit"], 3);
    }
    let path = format!("/v1/tickets/{}", id(&open.body["tickets"][0]));
    broker.call("DELETE", &path, &token, None).await;
    let answer = mint(&broker, &token, "photos", &[1]).await;
    assert_problem(&answer, 429, "too-many-open-tickets");
    assert_eq!(
        mint(&broker, &broker.token("8"), "photos", &[1])
            .await
            .status,
        201
    );
    broker.advance(15 * 60 + 1);
    assert_eq!(mint(&broker, &token, "photos", &[1]).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_tightens_and_never_loosens() {
    let broker = TestBroker::start().await;
    let limited = |limits: Value| {
        broker.token_with(json!({"sub": "7", "scope": "upload read delete", "limits": limits}))
    };
    let tight =
        limited(json!({"photos": {"max_entries": 2, "max_file_size": 1000, "quota": 1500}}));
    let answer = mint(&broker, &tight, "photos", &[1001]).await;
    assert_problem(&answer, 413, "file-too-large");
    assert_eq!(answer.body["limit"], 1000);
    assert_eq!(mint(&broker, &tight, "photos", &[1000]).await.status, 201);
    let answer = mint(&broker, &tight, "photos", &[501]).await;
    assert_problem(&answer, 409, "quota-exceeded");
    assert_eq!(answer.body["limit"], 1500);
    assert_eq!(mint(&broker, &tight, "photos", &[500]).await.status, 201);
    let answer = mint(&broker, &tight, "photos", &[1]).await;
    assert_problem(&answer, 409, "slot-full");
    assert_eq!(answer.body["limit"], 2);
    let shown = broker.call("GET", "/v1/slots/photos", &tight, None).await;
    assert_eq!(shown.body["max_entries"], 2);
    assert_eq!(shown.body["max_file_size"], 1000);
    assert_eq!(shown.body["quota"], 1500);
    let loose = limited(json!({"photos": {"max_entries": 900, "max_file_size": 900_000_000}}));
    let answer = mint(&broker, &loose, "photos", &[10_000_001]).await;
    assert_problem(&answer, 413, "file-too-large");
    assert_eq!(answer.body["limit"], 10_000_000);
    let answer = mint(&broker, &loose, "photos", &[1, 1, 1, 1]).await;
    assert_eq!(answer.body["tickets"].as_array().unwrap().len(), 3);
    let shown = broker.call("GET", "/v1/slots/photos", &loose, None).await;
    assert_eq!(shown.body["max_entries"], 5);
    let none = limited(json!({"photos": {"max_entries": 0}}));
    let answer = mint(&broker, &none, "photos", &[1]).await;
    assert_problem(&answer, 409, "slot-full");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_limit_never_retires_a_file() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let file = broker.upload(&token, "avatar", "a.png", &png(1)).await.body;
    let none = broker.token_with(json!({"sub": "7", "limits": {"avatar": {"max_entries": 0}}}));
    let answer = mint(&broker, &none, "avatar", &[1]).await;
    assert_problem(&answer, 409, "slot-full");
    let path = format!("/v1/files/{}", id(&file));
    assert_eq!(broker.call("GET", &path, &token, None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_show_the_policy_and_a_usage_that_follows_every_step() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let usage = async || {
        let one = broker.call("GET", "/v1/slots/photos", &token, None).await;
        assert_eq!(one.status, 200, "{one:?}");
        let all = broker.call("GET", "/v1/slots", &token, None).await;
        let all = all.body["slots"].as_array().unwrap().clone();
        assert_eq!(all.len(), 7);
        let listed = all.into_iter().find(|slot| slot["name"] == "photos");
        assert_eq!(listed.as_ref(), Some(&one.body));
        let usage = &one.body["usage"];
        [
            usage["open_tickets"].as_i64().unwrap(),
            usage["files"].as_i64().unwrap(),
            usage["reserved_bytes"].as_i64().unwrap(),
            usage["stored_bytes"].as_i64().unwrap(),
        ]
    };
    let shown = broker
        .call("GET", "/v1/slots/photos", &token, None)
        .await
        .body;
    for (member, value) in [
        ("name", json!("photos")),
        ("accept", json!(["image/*"])),
        ("max_file_size", json!(10_000_000)),
        ("max_entries", json!(5)),
        ("on_full", json!("reject")),
        ("auto_upload", json!(true)),
        ("quota", json!(100_000_000)),
        ("public", json!(true)),
    ] {
        assert_eq!(shown[member], value, "{member}");
    }
    let has = |list: &str, hint: &str| {
        let list = shown["accepted"][list].as_array().unwrap();
        list.contains(&json!(hint))
    };
    assert!(has("extensions", ".jpeg") && !has("extensions", ".svg"));
    assert!(has("types", "image/pjpeg") && !has("types", "text/html"));
    let bytes = png(1);
    let size = i64::try_from(bytes.len()).unwrap();
    assert_eq!(usage().await, [0, 0, 0, 0]);
    let ticket = broker.mint(&token, "photos", "a.png", &bytes).await;
    assert_eq!(usage().await, [1, 0, size, 0]);
    broker.put(&ticket, &bytes).await;
    assert_eq!(broker.complete(&token, &ticket).await.status, 200);
    assert_eq!(usage().await, [0, 1, 0, size]);
    let path = format!("/v1/files/{}", id(&ticket));
    broker.call("DELETE", &path, &token, None).await;
    assert_eq!(usage().await, [0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_bounds_hold_over_all_of_its_owners() {
    let slots = "[slots.small]\nmax_entries = 5\nmax_file_size = \"100B\"\n\
                 [slots.small.limits_per_tenant]\nmax_entries = 3\nquota = \"150B\"\n";
    let broker = TestBroker::with_slots(slots).await;
    let token = |sub: &str| broker.token(sub);
    assert_eq!(mint(&broker, &token("1"), "small", &[90]).await.status, 201);
    let answer = mint(&broker, &token("2"), "small", &[61]).await;
    assert_problem(&answer, 409, "quota-exceeded");
    assert_eq!(
        mint(&broker, &token("2"), "small", &[1, 1]).await.status,
        201
    );
    let answer = mint(&broker, &token("3"), "small", &[1]).await;
    assert_problem(&answer, 409, "slot-full");
    assert_eq!(answer.body["limit"], 3);
    assert_eq!(
        answer.body["open_tickets"],
        json!([]),
        "others' are not shown"
    );
    let elsewhere = broker.token_with(json!({"sub": "3", "tenant": "acme"}));
    assert_eq!(mint(&broker, &elsewhere, "small", &[90]).await.status, 201);
    broker.assert_lawful().await;
}
