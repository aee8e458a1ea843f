//! The document: what it says is what the router does and what the answers hold.

use std::collections::BTreeSet;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use putgate::domain::problem::Code;
use putgate::http::openapi;
use serde_json::{Value, json};

use crate::common::{TestBroker, png};
use crate::{id, root};

fn document() -> Value {
    serde_json::from_str(openapi::text()).unwrap()
}

#[test]
fn the_document_in_the_tree_is_the_one_the_program_prints() {
    let kept = std::fs::read_to_string(root().join("docs/openapi.json")).unwrap();
    assert!(
        kept == openapi::text(),
        "the API has changed: putgate openapi >docs/openapi.json"
    );
}

/// The routes that the sources of a room mount, as the document spells them.
fn routes_in(file: &Path, prefix: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap();
    text.match_indices(".route(")
        .filter_map(|(at, call)| text[at + call.len()..].split('"').nth(1))
        .map(|path| {
            if path.starts_with("/v1/") {
                path.to_owned()
            } else {
                format!("{prefix}{path}")
            }
        })
        .collect()
}

#[test]
fn every_route_is_in_the_document_and_no_other() {
    let http = root().join("src/http");
    let mut routes = BTreeSet::new();
    for name in ["ops.rs", "public.rs"] {
        routes.extend(routes_in(&http.join(name), ""));
    }
    for entry in std::fs::read_dir(http.join("v1")).unwrap() {
        routes.extend(routes_in(&entry.unwrap().path(), "/v1"));
    }
    for (name, prefix) in [
        ("common", ""),
        ("form", ""),
        ("jsonform", ""),
        ("uppy", "/s3/"),
    ] {
        let file = http.join(format!("dialects/{name}.rs"));
        let of = routes_in(&file, &format!("/u/{{slot}}/{{token}}{prefix}"));
        assert!(!of.is_empty(), "{name}");
        routes.extend(of);
    }
    // On the admin listener, which is not the API's.
    assert!(routes.remove("/metrics"));
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(routes, paths.keys().cloned().collect());
}

/// A path of the document with something in its gaps.
fn somewhere(path: &str) -> String {
    let id = "0".repeat(32);
    [
        ("{id}", id.as_str()),
        ("{upload}", &id),
        ("{part}", "1"),
        ("{slot}", "a"),
        ("{token}", "-"),
    ]
    .iter()
    .fold(path.to_owned(), |path, (gap, text)| path.replace(gap, text))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_allows_the_methods_of_the_document_and_no_others() {
    let broker = TestBroker::start().await;
    for (path, item) in document()["paths"].as_object().unwrap() {
        let request = Request::builder()
            .method("PATCH")
            .uri(somewhere(path))
            .body(Body::empty());
        let answer = broker.send(request.unwrap()).await;
        assert_eq!(answer.status, 405, "{path}");
        let allow = answer.headers["allow"].to_str().unwrap();
        let allowed: BTreeSet<_> = allow
            .split(',')
            .map(|method| method.trim().to_ascii_lowercase())
            .filter(|method| method != "head")
            .collect();
        let documented = item.as_object().unwrap().keys().cloned().collect();
        assert_eq!(allowed, documented, "{path}");
    }
}

#[test]
fn every_code_is_some_operations_answer_under_its_own_status() {
    let document = document();
    let answers = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .flat_map(|operation| operation["responses"].as_object().unwrap());
    let mut told = BTreeSet::new();
    for (status, response) in answers {
        let schema = &response["content"]["application/problem+json"]["schema"]["allOf"][1];
        for code in schema["properties"]["code"]["enum"]
            .as_array()
            .into_iter()
            .flatten()
        {
            told.insert((code.as_str().unwrap().to_owned(), status.clone()));
        }
    }
    for code in Code::ALL {
        // Of methods that no operation has.
        let is_told = *code == Code::MethodNotAllowed
            || told.contains(&(code.as_str().to_owned(), code.status().to_string()));
        assert!(is_told, "{code:?}");
    }
}

/// Where a value is not what its schema says; a member that the schema does not name is such a
/// place too.
fn faults(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if *schema == Value::Bool(true) {
        return;
    }
    if let Some(name) = schema["$ref"].as_str() {
        let named = document.pointer(name.trim_start_matches('#')).unwrap();
        return faults(document, named, value, at, found);
    }
    // Of refusals, whose members depend on their code.
    if let Some(all) = schema["allOf"].as_array() {
        let mut within = Vec::new();
        for one in all {
            faults(document, one, value, at, &mut within);
        }
        within.retain(|fault| !fault.ends_with("not in the document"));
        found.extend(within);
        return;
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = choices.iter().any(|choice| {
            let mut within = Vec::new();
            faults(document, choice, value, at, &mut within);
            within.is_empty()
        });
        if !fits {
            found.push(format!("{at}: {value} is none of the choices"));
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let may_be = |kind: &str| match &schema["type"] {
        Value::String(only) => only == kind,
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        _ => true,
    };
    if !may_be(kind) {
        found.push(format!("{at}: {value} is no {}", schema["type"]));
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        found.push(format!("{at}: {value} is not listed"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        faults(
            document,
            &schema["items"],
            item,
            &format!("{at}/{index}"),
            found,
        );
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Null) => found.push(format!("{at}: not in the document")),
            (Value::Null, rest) => faults(document, rest, member, &at, found),
            (named, _) => faults(document, named, member, &at, found),
        }
    }
}

#[track_caller]
fn assert_documented(operation: &str, status: u16, body: &Value) {
    let document = document();
    let (method, path) = operation.split_once(' ').unwrap();
    let answer = &document["paths"][path][method]["responses"][status.to_string()];
    let schema = &answer["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{operation} {status} is not documented");
    let mut found = Vec::new();
    faults(&document, schema, body, "", &mut found);
    assert_eq!(found, Vec::<String>::new(), "{operation}: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_members_of_the_document_and_no_others() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let get = async |path: String| broker.call("GET", &path, &token, None).await;
    let ticket = |rest: &str, of: &Value| format!("/v1/tickets/{}{rest}", id(of));

    let file = broker.upload(&token, "photos", "a.png", &png(1)).await;
    assert_documented("post /v1/tickets/{id}/complete", 200, &file.body);
    let seen = get(format!("/v1/files/{}", id(&file.body))).await;
    assert_documented("get /v1/files/{id}", 200, &seen.body);
    assert_documented("get /v1/files", 200, &get("/v1/files".into()).await.body);

    let wish = |name: &str, size: u64| json!({"name": name, "size": size});
    let body = json!({"slot": "big", "files": [wish("a.bin", 20 << 20), wish("b.bin", 1 << 50)]});
    let minted = broker.call("POST", "/v1/tickets", &token, Some(body)).await;
    assert_eq!(
        minted.body["errors"][0]["problem"]["code"],
        "file-too-large"
    );
    assert_documented("post /v1/tickets", 201, &minted.body);
    let big = &minted.body["tickets"][0];
    let parts = Some(json!({"parts": [1, 2]}));
    let signed = broker
        .call("POST", &ticket("/sign", big), &token, parts)
        .await;
    assert_documented("post /v1/tickets/{id}/sign", 200, &signed.body);
    let part = broker
        .put(
            &json!({"transfer": signed.body["parts"][0]}),
            &vec![0; 5 << 20],
        )
        .await;
    assert_eq!(part, 200);
    let stored = get(ticket("/parts", big)).await;
    assert_eq!(stored.body["parts"][0]["number"], 1);
    assert_documented("get /v1/tickets/{id}/parts", 200, &stored.body);

    let bad = broker
        .mint(&token, "photos", "b.png", b"<html></html>")
        .await;
    broker.put(&bad, b"<html></html>").await;
    assert_eq!(broker.complete(&token, &bad).await.status, 422);
    let cancelled = broker.mint(&token, "documents", "c.txt", b"c").await;
    broker
        .call("DELETE", &ticket("", &cancelled), &token, None)
        .await;
    for (of, state) in [(big, "open"), (&bad, "rejected"), (&cancelled, "cancelled")] {
        let seen = get(ticket("", of)).await;
        assert_eq!(seen.body["state"], state);
        assert_documented("get /v1/tickets/{id}", 200, &seen.body);
    }
    assert_documented(
        "get /v1/tickets",
        200,
        &get("/v1/tickets".into()).await.body,
    );
    assert_documented("get /v1/slots", 200, &get("/v1/slots".into()).await.body);
    assert_documented(
        "get /v1/slots/{slot}",
        200,
        &get("/v1/slots/big".into()).await.body,
    );

    let manager = broker.token_with(json!({"sub": "app", "scope": "manage"}));
    let body = json!({"files": [id(&file.body)], "owner": "7", "ref": "post:42"});
    let claimed = broker
        .call("POST", "/v1/claims", &manager, Some(body))
        .await;
    assert_documented("post /v1/claims", 200, &claimed.body);
}

const SPEAKING: &str = r#"
[slots.rows]
accept = [".png", ".csv"]
max_entries = 50
dialects = ["uppy", "form", "jsonform"]

[slots.tutorial]
accept = [".png"]
max_entries = 50
dialects = ["form"]
form_answer = "is_valid"

[slots.drop]
accept = [".png"]
max_entries = 50
dialects = ["form"]
form_answer = "success"
"#;

/// Who calls the dialects with a token in the path, and finds every answer in the document.
struct Foreigner<'b> {
    broker: &'b TestBroker,
    token: String,
}

impl Foreigner<'_> {
    /// Calls `method /rest` in a slot; the operation's path is `rest` without its query, unless it
    /// has gaps.
    async fn call(
        &self,
        operation: &str,
        slot: &str,
        rest: &str,
        body: Sent,
        status: u16,
    ) -> Value {
        let (method, gaps) = operation.split_once(' ').unwrap();
        let mut request = Request::builder()
            .method(method.to_ascii_uppercase().as_str())
            .uri(format!("/u/{slot}/{}{rest}", self.token))
            .header("accept", "application/json");
        let body = match body {
            Sent::Nothing => Body::empty(),
            Sent::Json(value) => {
                request = request.header("content-type", "application/json");
                Body::from(value.to_string())
            }
            Sent::File(name, bytes) => {
                let kind = "multipart/form-data; boundary=b";
                request = request.header("content-type", kind);
                let head = "content-disposition: form-data; name=\"files[]\"";
                let head = format!("--b\r\n{head}; filename=\"{name}\"\r\n\r\n");
                Body::from([head.as_bytes(), &bytes, b"\r\n--b--\r\n"].concat())
            }
        };
        let answer = self.broker.send(request.body(body).unwrap()).await;
        assert_eq!(answer.status, status, "{operation}: {answer:?}");
        if status != 204 {
            let operation = format!("{method} /u/{{slot}}/{{token}}{gaps}");
            assert_documented(&operation, status, &answer.body);
        }
        answer.body
    }
}

/// What a foreign client sends.
enum Sent {
    Nothing,
    Json(Value),
    File(&'static str, Vec<u8>),
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialects_answers_have_the_members_of_the_document_and_no_others() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let token = broker.token("7");
    let foreign = Foreigner {
        broker: &broker,
        token,
    };
    let call = async |operation: &str, rest: &str, body, status| {
        foreign.call(operation, "rows", rest, body, status).await
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let picture = || Sent::File("a.png", png(1));
    let junk = || Sent::File("a.png", b"<html></html>".to_vec());

    let params = "/s3/params?filename=a.csv&metadata%5Balbum%5D=7";
    call("get /s3/params", params, Sent::Nothing, 200).await;
    call(
        "get /s3/params",
        "/s3/params?filename=a.exe",
        Sent::Nothing,
        422,
    )
    .await;
    call("get /s3/sts", "/s3/sts", Sent::Nothing, 400).await;
    let wish = || Sent::Json(json!({"filename": "a.csv", "type": null, "metadata": {}}));
    let made = call("post /s3/multipart", "/s3/multipart", wish(), 200).await;
    let of = |upload: &str, rest: &str| format!("/s3/multipart/{upload}{rest}?key={upload}");
    let upload = text(&made["key"]);
    let (one, parts) = ("/s3/multipart/{upload}", of(&upload, "/batch"));
    let operation = format!("get {one}/{{part}}");
    let signed = call(&operation, &of(&upload, "/1"), Sent::Nothing, 200).await;
    let batch = format!("{parts}&partNumbers=1,2");
    call(&format!("get {one}/batch"), &batch, Sent::Nothing, 200).await;
    let complete = format!("post {one}/complete");
    let put = json!({"transfer": {"url": signed["url"], "headers": {}}});
    let bytes = b"a,b\n1,2\n".repeat(200);
    assert_eq!(broker.put(&put, &bytes).await, 200);
    let stored = call(&format!("get {one}"), &of(&upload, ""), Sent::Nothing, 200).await;
    assert_eq!(stored[0]["PartNumber"], 1);
    let other = Sent::Json(json!({"parts": [{"PartNumber": 1, "ETag": "x"}]}));
    call(&complete, &of(&upload, "/complete"), other, 409).await;
    let all = Sent::Json(json!({"parts": stored}));
    let done = call(&complete, &of(&upload, "/complete"), all, 200).await;
    assert_eq!(done["ticket"]["state"], "committed");
    let again = format!("/tickets/{upload}/complete");
    call("post /tickets/{id}/complete", &again, Sent::Nothing, 200).await;
    let made = call("post /s3/multipart", "/s3/multipart", wish(), 200).await;
    let gone = of(&text(&made["key"]), "");
    call(&format!("delete {one}"), &gone, Sent::Nothing, 200).await;

    let rows = call("post /form", "/form", picture(), 200).await;
    assert!(rows["files"][0]["thumbnailUrl"].is_string(), "{rows}");
    let refused = call("post /form", "/form", junk(), 200).await;
    assert!(refused["files"][0]["error"].is_string(), "{refused}");
    call("get /form", "/form", Sent::Nothing, 200).await;
    call("get /form", "/form?file=b.png", Sent::Nothing, 200).await;
    let first = format!("/form/{}", text(&rows["files"][0]["id"]));
    let over = format!("{first}?_method=DELETE");
    call("post /form/{id}", &over, Sent::Nothing, 200).await;
    call("delete /form/{id}", &first, Sent::Nothing, 200).await;
    for (slot, word, status) in [("tutorial", "is_valid", 200), ("drop", "success", 422)] {
        let good = foreign
            .call("post /form", slot, "/form", picture(), 200)
            .await;
        let bad = foreign
            .call("post /form", slot, "/form", junk(), status)
            .await;
        assert_eq!((&good[word], &bad[word]), (&json!(true), &json!(false)));
    }

    let value = call("post /jsonform", "/jsonform", picture(), 200).await;
    call("get /jsonform", "/jsonform?page=1", Sent::Nothing, 200).await;
    let trigger = format!(
        "/jsonform?trigger=delete_button&value={}",
        text(&value["value"])
    );
    call("delete /jsonform", &trigger, Sent::Nothing, 204).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_people_loads_nothing_from_elsewhere() {
    let broker = TestBroker::start().await;
    let get = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = tower::ServiceExt::oneshot(broker.router.clone(), request);
        let (parts, body) = answer.await.unwrap().into_parts();
        let bytes = http_body_util::BodyExt::collect(body)
            .await
            .unwrap()
            .to_bytes();
        (parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    };
    let (headers, page) = get("/docs").await;
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    for asset in ["docs/page.css", "docs/page.js", "openapi.json"] {
        assert!(page.contains(&format!("\"{asset}\"")), "{asset}");
        let (_, text) = get(&format!("/{asset}")).await;
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{asset}"
        );
    }
    assert_eq!(get("/openapi.json").await.1, openapi::text());
}
