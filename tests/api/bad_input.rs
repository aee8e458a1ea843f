//! Nothing a client can send gives a 5xx, and nothing refused leaves a trace.

use axum::body::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::common::{TestBroker, png};
use crate::{assert_problem, id, request, snapshot};

struct Bad {
    method: &'static str,
    path: String,
    body: Option<String>,
    status: u16,
    code: &'static str,
}

fn bad(method: &'static str, path: &str, status: u16, code: &'static str) -> Bad {
    Bad {
        method,
        path: path.to_owned(),
        body: None,
        status,
        code,
    }
}

/// A mint with this body.
fn mint(body: &str) -> Bad {
    Bad {
        body: Some(body.to_owned()),
        ..bad("POST", "/v1/tickets", 400, "invalid-request")
    }
}

/// A mint of one good file and one with these members.
fn mint_file(file: &str) -> Bad {
    mint(&format!(
        r#"{{"slot":"photos","files":[{{"name":"a.png","size":10}},{{{file}}}]}}"#
    ))
}

fn invalid(method: &'static str, path: &str) -> Bad {
    bad(method, path, 400, "invalid-request")
}

/// The same with a body.
fn invalid_with(path: &str, body: &str) -> Bad {
    Bad {
        body: Some(body.to_owned()),
        ..invalid("POST", path)
    }
}

fn bodies() -> Vec<Bad> {
    let nested = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    let deep_metadata = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
    let files = |count: usize| vec![json!({"name": "a.png", "size": 1}); count];
    let mut table: Vec<Bad> = [
        "",
        " ",
        "{",
        "null",
        "[]",
        "\"photos\"",
        "{}",
        "{\"slot\":\"photos\"}",
        "{\"slot\":\"photos\",\"files\":null}",
        "{\"slot\":\"photos\",\"files\":{}}",
        "{\"slot\":\"photos\",\"files\":[]}",
        "{\"slot\":\"photos\",\"files\":[null]}",
        "{\"slot\":\"photos\",\"files\":[[\"a.png\",1,null,null,null]]}",
        "[\"photos\",null,null,[{\"name\":\"a.png\",\"size\":1}]]",
        "{\"slot\":\"photos\",\"files\":[1]}",
        "{\"slot\":null,\"files\":[{\"name\":\"a.png\",\"size\":1}]}",
        "{\"slot\":\"\",\"files\":[{\"name\":\"a.png\",\"size\":1}]}",
        "{\"slot\":\"../photos\",\"files\":[{\"name\":\"a.png\",\"size\":1}]}",
        "{\"slot\":\"photos\\u0000\",\"files\":[{\"name\":\"a.png\",\"size\":1}]}",
        "{\"slot\":\"photos\",\"slot\":\"photos\",\"files\":[{\"name\":\"a.png\",\"size\":1}]}",
        "{\"slot\":\"photos\",\"files\":[{\"name\":\"a.png\",\"size\":1}],\"files\":[]}",
        "{\"slot\":\"photos\",\"colour\":1,\"files\":[{\"name\":\"a.png\",\"size\":1}]}",
        "{\"slot\":\"photos\",\"ref\":\"\",\"files\":[{\"name\":\"a.png\",\"size\":1}]}",
        "{\"slot\":\"photos\",\"ref\":5,\"files\":[{\"name\":\"a.png\",\"size\":1}]}",
        "{\"slot\":\"photos\",\"ref\":\"a\\nb\",\"files\":[{\"name\":\"a.png\",\"size\":1}]}",
        "{\"slot\":\"photos\",\"owner\":\"\",\"files\":[{\"name\":\"a.png\",\"size\":1}]}",
        "{\"slot\":\"photos\",\"files\":[{\"name\":\"a.png\",\"size\":1}]} {}",
    ]
    .into_iter()
    .map(mint)
    .collect();
    table.push(mint(&nested));
    table.push(mint(
        &json!({"slot": "photos", "files": files(101)}).to_string(),
    ));
    table.push(mint(
        &json!({"slot": "photos", "ref": "r".repeat(256), "files": files(1)}).to_string(),
    ));
    table.push(mint(
        "{\"slot\":\"photos\",\"files\":[{\"name\":\"a.png\",\"size\":0}]}",
    ));
    for size in [
        "-1",
        "9223372036854775808",
        "18446744073709551616",
        "1e30",
        "1e400",
        "1.5",
        "\"5\"",
        "null",
        "true",
        "[]",
        "{}",
    ] {
        table.push(mint_file(&format!(r#""name":"a.png","size":{size}"#)));
    }
    for file in [
        String::new(),
        r#""size":5"#.into(),
        r#""name":"a.png""#.into(),
        r#""name":5,"size":5"#.into(),
        r#""name":null,"size":5"#.into(),
        r#""name":"\ud800.png","size":5"#.into(),
        format!(r#""name":"{}.png","size":5"#, "n".repeat(5000)),
        r#""name":"a.png","size":5,"type":5"#.into(),
        format!(r#""name":"a.png","size":5,"type":"{}""#, "t".repeat(300)),
        r#""name":"a.png","size":5,"type":"image/png\u0000""#.into(),
        r#""name":"a.png","size":5,"type":"image/png\r\nx-evil: 1""#.into(),
        r#""name":"a.png","size":5,"sha256":"""#.into(),
        r#""name":"a.png","size":5,"sha256":"deadbeef""#.into(),
        format!(r#""name":"a.png","size":5,"sha256":"{}""#, "0".repeat(64)),
        r#""name":"a.png","size":5,"sha256":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=""#.into(),
        r#""name":"a.png","size":5,"sha256":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=""#.into(),
        r#""name":"a.png","size":5,"sha256":5"#.into(),
        r#""name":"a.png","size":5,"metadata":[]"#.into(),
        r#""name":"a.png","size":5,"metadata":"words""#.into(),
        format!(
            r#""name":"a.png","size":5,"metadata":{{"a":"{}"}}"#,
            "m".repeat(4096)
        ),
        format!(r#""name":"a.png","size":5,"metadata":{deep_metadata}"#),
        r#""name":"a.png","size":5,"colour":1"#.into(),
        r#""name":"a.png","name":"b.png","size":5"#.into(),
    ] {
        table.push(mint_file(&file));
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_makes_no_sense_is_refused_whole_and_leaves_no_trace() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let before = snapshot(&broker).await;
    for bad in bodies() {
        assert_refused(&broker, &token, &bad).await;
        assert_eq!(snapshot(&broker).await, before, "{:?}", bad.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_among_others_is_refused_alone() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let body = json!({"slot": "photos", "files": [{"name": "a.png", "size": 0}, {"name": "b.png", "size": 9}]});
    let answer = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["errors"][0]["index"], 0);
    assert_eq!(
        answer.body["errors"][0]["problem"]["code"],
        "invalid-request"
    );
    assert_eq!(answer.body["tickets"][0]["index"], 1);
}

async fn assert_refused(broker: &TestBroker, token: &str, bad: &Bad) {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("authorization", bearer.as_str())];
    if bad.body.is_some() {
        headers.push(("content-type", "application/json"));
    }
    let body = bad.body.as_deref().unwrap_or_default();
    let answer = broker
        .send(request(bad.method, &bad.path, &headers, body))
        .await;
    let shown: String = body.chars().take(200).collect();
    assert_eq!(
        (answer.status, answer.body["code"].as_str()),
        (bad.status, Some(bad.code)),
        "{} {} {shown}: {answer:?}",
        bad.method,
        bad.path
    );
    assert_problem(&answer, bad.status, bad.code);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_are_refused_and_leave_no_trace() {
    let broker = TestBroker::start().await;
    let token = broker.token_with(json!({"sub": "7", "scope": "manage"}));
    let file = broker.upload(&token, "photos", "a.png", &png(1)).await;
    let file = id(&file.body).to_owned();
    let put = broker.mint(&token, "photos", "a.png", &png(2)).await;
    let put = id(&put).to_owned();
    let body = json!({"slot": "big", "files": [{"name": "a", "size": 6 * 1024 * 1024}]});
    let parts = broker
        .call("POST", "/v1/tickets", &token, Some(body))
        .await
        .body;
    let parts = id(&parts["tickets"][0]).to_owned();
    let mut table = Vec::new();
    let sign = format!("/v1/tickets/{parts}/sign");
    for body in [
        "{",
        "[]",
        "null",
        "{\"parts\":null}",
        "{\"parts\":1}",
        "{\"parts\":[0]}",
        "{\"parts\":[3]}",
        "{\"parts\":[-1]}",
        "{\"parts\":[1.5]}",
        "{\"parts\":[\"1\"]}",
        "{\"parts\":[4294967296]}",
        "{\"parts\":[1],\"parts\":[2]}",
        "{\"parts\":[1],\"colour\":1}",
    ] {
        table.push(invalid_with(&sign, body));
    }
    table.push(invalid_with(
        &sign,
        &json!({"parts": vec![1; 101]}).to_string(),
    ));
    table.push(invalid_with(
        &format!("/v1/tickets/{put}/sign"),
        "{\"parts\":[1]}",
    ));
    for body in [
        String::new(),
        "{".into(),
        "[]".into(),
        "{}".into(),
        r#"{"files":[],"owner":"7","ref":"a"}"#.into(),
        format!(r#"[["{file}"],"7","a"]"#),
        format!(r#"{{"files":["{file}"],"ref":"a"}}"#),
        format!(r#"{{"files":["{file}"],"owner":"","ref":"a"}}"#),
        format!(r#"{{"files":["{file}"],"owner":7,"ref":"a"}}"#),
        format!(r#"{{"files":["{file}"],"owner":"7","ref":""}}"#),
        format!(r#"{{"files":["{file}"],"owner":"7","ref":"a","colour":1}}"#),
        r#"{"files":["nonsense"],"owner":"7","ref":"a"}"#.into(),
        r#"{"files":[5],"owner":"7","ref":"a"}"#.into(),
        format!(r#"{{"files":"{file}","owner":"7","ref":"a"}}"#),
    ] {
        table.push(invalid_with("/v1/claims", &body));
    }
    let many: Vec<String> = (0..101)
        .map(|n| format!("01900000-0000-7000-8000-{n:012}"))
        .collect();
    table.push(invalid_with(
        "/v1/claims",
        &json!({"files": many, "owner": "7", "ref": "a"}).to_string(),
    ));
    for list in ["/v1/tickets", "/v1/files"] {
        for query in [
            "limit=0",
            "limit=-1",
            "limit=201",
            "limit=ten",
            "limit=99999999999999999999",
            "limit=",
            "cursor=",
            "cursor=%00",
            "cursor=nonsense",
            "cursor=bm9uc2Vuc2U",
            "cursor=____",
            "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk6eA",
            "slot=",
            "slot=../x",
            "slot=a%00",
            "slot=a&slot=b",
            "ref=",
            "ref=%0a",
            "owner=",
            "owner=%00",
            "colour=1",
        ] {
            table.push(invalid("GET", &format!("{list}?{query}")));
        }
    }
    for query in [
        "state=",
        "state=Open",
        "state=closed",
        "state=open,rejected",
    ] {
        table.push(invalid("GET", &format!("/v1/tickets?{query}")));
    }
    for query in [
        "wait=61",
        "wait=-1",
        "wait=",
        "wait=1.5",
        "wait=soon",
        "wait=4294967296",
        "x=1",
    ] {
        table.push(invalid("GET", &format!("/v1/tickets/{put}?{query}")));
        table.push(invalid(
            "POST",
            &format!("/v1/tickets/{put}/complete?{query}"),
        ));
    }
    table.push(invalid("GET", "/v1/slots?ref="));
    table.push(invalid("GET", "/v1/slots?colour=1"));
    for bad_id in [
        "nonsense",
        "0",
        "-1",
        "..",
        "%00",
        "%ff",
        "%2e%2e%2f",
        "01900000-0000-7000-8000-00000000000g",
        "01900000-0000-7000-8000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        &"9".repeat(500),
    ] {
        for (method, path) in [
            ("GET", format!("/v1/tickets/{bad_id}")),
            ("DELETE", format!("/v1/tickets/{bad_id}")),
            ("POST", format!("/v1/tickets/{bad_id}/sign")),
            ("GET", format!("/v1/tickets/{bad_id}/parts")),
            ("POST", format!("/v1/tickets/{bad_id}/complete")),
            ("GET", format!("/v1/files/{bad_id}")),
            ("DELETE", format!("/v1/files/{bad_id}")),
            ("GET", format!("/v1/slots/{bad_id}")),
            ("GET", format!("/f/{bad_id}")),
        ] {
            table.push(bad(method, &path, 404, "not-found"));
        }
    }
    table.push(bad("GET", &format!("/v1/files/{put}"), 404, "not-found"));
    table.push(bad("GET", &format!("/f/{put}"), 404, "not-found"));
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/tickets",
        "/v1/tickets/",
        "/f",
        "/f/",
        "//v1/tickets",
    ] {
        table.push(bad("GET", path, 404, "not-found"));
    }
    table.push(Bad {
        body: Some(r#"{"slot":"nowhere","files":[{"name":"a","size":1}]}"#.into()),
        ..bad("POST", "/v1/tickets", 404, "not-found")
    });
    table.push(Bad {
        body: Some(json!({"files": [file, many[0]], "owner": "7", "ref": "post:1"}).to_string()),
        ..bad("POST", "/v1/claims", 404, "not-found")
    });
    table.push(Bad {
        body: Some(json!({"files": [file], "owner": "8", "ref": "post:1"}).to_string()),
        ..bad("POST", "/v1/claims", 404, "not-found")
    });
    let before = snapshot(&broker).await;
    for bad in &table {
        assert_refused(&broker, &token, bad).await;
        assert_eq!(
            snapshot(&broker).await,
            before,
            "{} {} {:?}",
            bad.method,
            bad.path,
            bad.body
        );
    }
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let id = "01900000-0000-7000-8000-000000000000";
    for (method, path, allowed) in [
        ("PUT", "/v1/tickets", vec!["GET", "POST"]),
        ("DELETE", "/v1/tickets", vec!["GET", "POST"]),
        ("POST", &format!("/v1/tickets/{id}"), vec!["DELETE", "GET"]),
        ("GET", &format!("/v1/tickets/{id}/sign"), vec!["POST"]),
        ("POST", &format!("/v1/tickets/{id}/parts"), vec!["GET"]),
        ("GET", &format!("/v1/tickets/{id}/complete"), vec!["POST"]),
        ("POST", "/v1/files", vec!["GET"]),
        ("PATCH", &format!("/v1/files/{id}"), vec!["DELETE", "GET"]),
        ("GET", "/v1/claims", vec!["POST"]),
        ("POST", "/v1/slots", vec!["GET"]),
        ("DELETE", "/v1/slots/photos", vec!["GET"]),
        ("POST", &format!("/f/{id}"), vec!["GET"]),
        ("POST", "/livez", vec!["GET"]),
        ("TRACE", "/readyz", vec!["GET"]),
        ("BREW", "/v1/tickets", vec!["GET", "POST"]),
    ] {
        let answer = broker.call(method, path, &token, None).await;
        assert_problem(&answer, 405, "method-not-allowed");
        let allow = answer.headers["allow"].to_str().unwrap();
        let mut methods: Vec<&str> = allow
            .split(',')
            .map(str::trim)
            .filter(|method| *method != "HEAD")
            .collect();
        methods.sort_unstable();
        assert_eq!(methods, allowed, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_sent_as_json_is_415() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "a.png", &png(1)).await;
    let bearer = format!("Bearer {token}");
    let before = snapshot(&broker).await;
    let sign = format!("/v1/tickets/{}/sign", id(&ticket));
    for (path, body) in [
        (
            "/v1/tickets",
            r#"{"slot":"photos","files":[{"name":"a.png","size":1}]}"#,
        ),
        ("/v1/claims", r#"{"files":[],"owner":"7"}"#),
        (sign.as_str(), r#"{"parts":[]}"#),
    ] {
        for kind in [
            None,
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("application/jsonp"),
            Some("multipart/form-data; boundary=application/json"),
        ] {
            let mut headers = vec![("authorization", bearer.as_str())];
            headers.extend(kind.map(|kind| ("content-type", kind)));
            let answer = broker.send(request("POST", path, &headers, body)).await;
            assert_problem(&answer, 415, "invalid-request");
        }
    }
    assert_eq!(snapshot(&broker).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_with_a_charset_is_json() {
    let broker = TestBroker::start().await;
    let bearer = format!("Bearer {}", broker.token("7"));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "Application/JSON; charset=utf-8"),
    ];
    let body = r#"{"slot":"photos","files":[{"name":"a.png","size":1}]}"#;
    let answer = broker
        .send(request("POST", "/v1/tickets", &headers, body))
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_larger_than_the_call_takes_is_413() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "a.png", &png(1)).await;
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let before = snapshot(&broker).await;
    let sign = format!("/v1/tickets/{}/sign", id(&ticket));
    let body = " ".repeat(1024 * 1024);
    for path in ["/v1/tickets", "/v1/claims", &sign] {
        let answer = broker.send(request("POST", path, &headers, &body)).await;
        assert_problem(&answer, 413, "invalid-request");
    }
    assert_eq!(snapshot(&broker).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_utf8_are_a_bad_request() {
    let broker = TestBroker::start().await;
    let bearer = format!("Bearer {}", broker.token("7"));
    let mut bad = request(
        "POST",
        "/v1/tickets",
        &[
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ],
        "",
    );
    *bad.body_mut() = Body::from(
        &b"{\"slot\":\"photos\",\"files\":[{\"name\":\"\xff\xfe.png\",\"size\":1}]}"[..],
    );
    assert_problem(&broker.send(bad).await, 400, "invalid-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_that_is_none_is_a_bad_request() {
    let broker = TestBroker::start().await;
    let bearer = format!("Bearer {}", broker.token("7"));
    let long = "k".repeat(256);
    let before = snapshot(&broker).await;
    for keys in [
        vec![""],
        vec![long.as_str()],
        vec!["a", "b"],
        vec!["a", "a"],
        vec!["a\tb"],
    ] {
        let mut headers = vec![
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        headers.extend(keys.iter().map(|key| ("idempotency-key", *key)));
        let body = r#"{"slot":"photos","files":[{"name":"a.png","size":1}]}"#;
        let answer = broker
            .send(request("POST", "/v1/tickets", &headers, body))
            .await;
        assert_problem(&answer, 400, "invalid-request");
    }
    assert_eq!(snapshot(&broker).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_ref_slot_or_owner_is_forbidden() {
    let broker = TestBroker::start().await;
    let token = broker.token_with(json!({
        "sub": "7", "scope": "upload read delete", "slots": ["photos"], "refs": ["post:42"]
    }));
    let files = json!([{"name": "a.png", "size": 1}]);
    let before = snapshot(&broker).await;
    for (method, path, body) in [
        (
            "POST",
            "/v1/tickets",
            Some(json!({"slot": "photos", "ref": "post:43", "files": files})),
        ),
        (
            "POST",
            "/v1/tickets",
            Some(json!({"slot": "single", "files": files})),
        ),
        (
            "POST",
            "/v1/tickets",
            Some(json!({"slot": "photos", "owner": "8", "files": files})),
        ),
        ("GET", "/v1/tickets?ref=post:43", None),
        ("GET", "/v1/tickets?slot=single", None),
        ("GET", "/v1/tickets?owner=8", None),
        ("GET", "/v1/files?ref=post:43", None),
        ("GET", "/v1/files?slot=single", None),
        ("GET", "/v1/files?owner=8", None),
        ("GET", "/v1/slots/single", None),
        ("GET", "/v1/slots/photos?ref=post:43", None),
        ("GET", "/v1/slots?ref=post:43", None),
        (
            "POST",
            "/v1/claims",
            Some(json!({"files": ["01900000-0000-7000-8000-000000000000"], "owner": "7"})),
        ),
    ] {
        let answer = broker.call(method, path, &token, body).await;
        assert_problem(&answer, 403, "forbidden");
    }
    assert_eq!(snapshot(&broker).await, before);
    let own = json!({"slot": "photos", "ref": "post:42", "owner": "7", "files": files});
    let answer = broker.call("POST", "/v1/tickets", &token, Some(own)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["tickets"][0]["ref"], "post:42");
}

/// Text of any kind, now and then from the edges.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<String>(),
        1 => proptest::collection::vec(any::<char>(), 0..400).prop_map(String::from_iter),
        1 => Just("photos".to_owned()),
        1 => Just("image/png".to_owned()),
        1 => Just("\u{0}".to_owned()),
        1 => Just("'\"\\;--".to_owned()),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(Value::Null),
        6 => text().prop_map(Value::from),
        2 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => proptest::collection::vec(text(), 0..3).prop_map(Value::from),
        1 => (text(), text()).prop_map(|(name, value)| json!({name: value})),
    ]
}

fn file() -> impl Strategy<Value = Value> {
    let size = prop_oneof![9 => (1_u64..1_000_000).prop_map(Value::from), 1 => anything()];
    let metadata = prop_oneof![
        9 => (text(), anything()).prop_map(|(name, value)| json!({name: value})),
        1 => anything()
    ];
    (text(), size, anything(), metadata).prop_map(|(name, size, kind, metadata)| {
        let mut file = json!({"name": name, "size": size, "metadata": metadata});
        if kind.is_string() {
            file["type"] = kind;
        }
        file
    })
}

fn mint_body() -> impl Strategy<Value = Value> {
    let slot = prop_oneof![6 => Just(json!("any")), 1 => anything()];
    let files = proptest::collection::vec(file(), 0..3);
    let name = || {
        prop_oneof![
            4 => Just(Value::Null),
            2 => "\\PC{1,20}".prop_map(Value::from),
            1 => anything()
        ]
    };
    (slot, name(), name(), files).prop_map(|(slot, reference, owner, files)| {
        json!({"slot": slot, "ref": reference, "owner": owner, "files": files})
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_is_answered_and_nothing_is_a_fault_of_ours() {
    let slots = "[limits]\nmax_open_tickets = 100000\n[slots.any]\nmax_entries = 100000\n";
    let broker = TestBroker::with_slots(slots).await;
    let token = broker.token_with(json!({"sub": "app", "scope": "manage"}));
    let mut runner = TestRunner::deterministic();
    let mut minted = 0;
    for _ in 0..400 {
        let body = mint_body().new_tree(&mut runner).unwrap().current();
        let shown = body.to_string();
        let answer = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
        assert!(answer.status < 500, "{shown}: {answer:?}");
        match answer.status {
            201 => minted += 1,
            status => {
                let code = answer.body["code"].as_str().unwrap().to_owned();
                assert_problem(&answer, status, &code);
            }
        }
        let words = text().new_tree(&mut runner).unwrap().current();
        let words = utf8_percent_encode(&words, NON_ALPHANUMERIC);
        for path in [
            format!("/v1/tickets?owner={words}"),
            format!("/v1/tickets?ref={words}"),
            format!("/v1/files?cursor={words}"),
            format!("/v1/files?owner={words}&slot={words}"),
            format!("/v1/slots/{words}"),
            format!("/v1/files/{words}"),
            format!("/f/{words}"),
        ] {
            let answer = broker.call("GET", &path, &token, None).await;
            assert!(answer.status < 500, "{path}: {answer:?}");
        }
    }
    assert!(minted > 50, "only {minted} were mints at all");
    let mut cursor = String::new();
    let mut seen = 0;
    loop {
        let path = format!("/v1/tickets?limit=100{cursor}");
        let page = broker.call("GET", &path, &token, None).await;
        assert_eq!(page.status, 200, "{page:?}");
        seen += page.body["tickets"].as_array().unwrap().len();
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(seen >= minted);
    broker.assert_lawful().await;
}
