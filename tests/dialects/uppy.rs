//! Uppy's calls, as 5.1.0 and 6.3.1 were seen to send them.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use putgate::domain::books::{Account, Usage};
use putgate::domain::name::{Owner, SlotName, Tenant};
use putgate::domain::time::Seconds;
use putgate::flow::App;
use putgate::store::Store;
use serde_json::{Value, json};

use crate::SPEAKING;
use crate::common::{self, Answer, HTML, PUBLIC_URL, TestBroker, fetch, png, put};

const MIB: usize = 1024 * 1024;
/// The largest file of the slot `films`.
const MAX: usize = 14 * MIB;

/// A visitor of one slot, whose token stands in the path.
struct Visitor<'b> {
    broker: &'b TestBroker,
    base: String,
    slot: &'b str,
    token: String,
}

impl<'b> Visitor<'b> {
    fn of(broker: &'b TestBroker, slot: &'b str) -> Self {
        let token = broker.token("7");
        let base = format!("/u/{slot}/{token}/s3");
        Self {
            broker,
            base,
            slot,
            token,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        let path = format!("{}/{path}", self.base);
        self.broker.call("GET", &path, "", None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        let path = format!("{}/{path}", self.base);
        self.broker.call("POST", &path, "", Some(body)).await
    }

    async fn delete(&self, id: &str) -> Answer {
        let path = format!("{}/multipart/{id}?key={id}", self.base);
        self.broker.call("DELETE", &path, "", None).await
    }

    /// A multipart upload; answers its id.
    async fn create(&self, metadata: Value) -> String {
        let body = json!({"filename": "film.bin", "type": "application/octet-stream", "metadata": metadata});
        let answer = self.post("multipart", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["key"], answer.body["uploadId"]);
        assert_eq!(answer.body["bucket"], "staging");
        answer.body["uploadId"].as_str().unwrap().to_owned()
    }

    async fn sign(&self, id: &str, part: u32) -> Answer {
        self.get(&format!("multipart/{id}/{part}?key={id}")).await
    }

    /// Signs a part and sends so many bytes; answers its `ETag` as the store spells it.
    async fn send(&self, id: &str, part: u32, size: usize) -> String {
        let signed = self.sign(id, part).await;
        assert_eq!(signed.status, 200, "{signed:?}");
        let url = signed.body["url"].as_str().unwrap();
        let bytes = vec![u8::try_from(part).unwrap(); size];
        let (status, headers, _) = fetch("PUT", url, &[].into(), &bytes).await;
        assert_eq!(status, 200);
        headers["etag"].to_str().unwrap().to_owned()
    }

    async fn complete(&self, id: &str, etags: &[&str]) -> Answer {
        let parts: Vec<Value> = etags
            .iter()
            .zip(1..)
            .map(|(etag, number)| json!({"PartNumber": number, "ETag": etag}))
            .collect();
        let path = format!("multipart/{id}/complete?key={id}");
        self.post(&path, json!({"parts": parts})).await
    }

    async fn ticket(&self, id: &str) -> Value {
        let path = format!("/v1/tickets/{id}");
        self.broker.call("GET", &path, &self.token, None).await.body
    }

    async fn usage(&self) -> Usage {
        let tenant = Tenant::parse("default").unwrap();
        let (slot, owner) = (
            SlotName::parse(self.slot).unwrap(),
            Owner::parse("7").unwrap(),
        );
        let account = Account::owner(&tenant, &slot, &owner);
        self.broker.app.db.usage(&account).await.unwrap()
    }
}

fn usage(open: i64, files: i64, reserved: usize, stored: usize) -> Usage {
    Usage {
        open,
        files,
        reserved: i64::try_from(reserved).unwrap(),
        stored: i64::try_from(stored).unwrap(),
    }
}

/// Posts a form of `/s3/params` with a file, as both versions do.
async fn post_form(form: &Value, file: &[u8]) -> u16 {
    let mut body = Vec::new();
    for (name, value) in form["fields"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        let head =
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(head.bytes());
    }
    body.extend(b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"blob\"\r\n");
    body.extend(b"content-type: image/png\r\n\r\n");
    body.extend(file);
    body.extend(b"\r\n--b--\r\n");
    let kind = "multipart/form-data; boundary=b".to_owned();
    let headers = BTreeMap::from([("content-type".to_owned(), kind)]);
    let (status, headers, _) = fetch("POST", form["url"].as_str().unwrap(), &headers, &body).await;
    if status == 201 {
        assert!(
            headers.contains_key("etag") && headers.contains_key("location"),
            "{headers:?}"
        );
    }
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_upload_is_committed_at_the_first_look_though_its_client_never_calls_again() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let uppy = Visitor::of(&broker, "photos");
    let query = "filename=%C3%84+b.png&type=image%2Fpng&metadata%5BrelativePath%5D=null&metadata%5Balbum%5D=x";
    let form = uppy.get(&format!("params?{query}")).await.body;
    assert_eq!(
        (&form["method"], &form["expires"]),
        (&json!("POST"), &json!(900))
    );
    let id = form["fields"]["key"].as_str().unwrap();
    assert_eq!(
        uppy.usage().await,
        usage(1, 0, 10_000_000, 0),
        "the most that may come"
    );
    assert_eq!(post_form(&form, &png(1)).await, 201);
    broker.advance(4);
    broker.sweep().await;
    assert_eq!(uppy.ticket(id).await["state"], "open");
    broker.advance(1);
    broker.sweep().await;
    let ticket = uppy.ticket(id).await;
    let file = &ticket["file"];
    assert_eq!(
        (&file["name"], &file["metadata"]),
        (&json!("Ä b.png"), &json!({"album": "x"}))
    );
    assert_eq!(
        uppy.usage().await,
        usage(0, 1, 0, png(1).len()),
        "what came"
    );
    assert_eq!(broker.objects("staging"), []);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_upload_that_never_comes_ends_with_its_form() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let uppy = Visitor::of(&broker, "photos");
    let form = uppy.get("params?filename=a.png").await.body;
    let id = form["fields"]["key"].as_str().unwrap();
    broker.advance(900 + 299);
    broker.sweep().await;
    assert_eq!(uppy.ticket(id).await["state"], "open", "a post may be late");
    broker.advance(1);
    broker.sweep().await;
    assert_eq!(uppy.ticket(id).await["state"], "expired");
    assert_eq!(uppy.usage().await, usage(0, 0, 0, 0));
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_is_refused_before_after_and_by_the_store() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let uppy = Visitor::of(&broker, "photos");
    let refused = uppy
        .get("params?filename=a.pdf&type=application%2Fpdf")
        .await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let words = "the slot takes image/*, not application/pdf";
    assert_eq!(
        (&refused.body["message"], &refused.body["error"]),
        (&json!(words), &json!(words))
    );
    assert_eq!(refused.headers["content-type"], "application/json");
    let large = uppy
        .get("params?filename=a.png&metadata%5Bsize%5D=10000001")
        .await;
    assert_eq!(
        (large.status, &large.body["code"]),
        (413, &json!("file-too-large"))
    );
    assert_eq!(uppy.usage().await, usage(0, 0, 0, 0));

    let form = uppy.get("params?filename=a.png").await.body;
    assert_eq!(post_form(&form, &vec![0; 10_000_001]).await, 400);
    assert_eq!(broker.objects("staging"), []);
    assert_eq!(post_form(&form, HTML).await, 201);
    broker.advance(5);
    broker.sweep().await;
    let ticket = uppy.ticket(form["fields"]["key"].as_str().unwrap()).await;
    assert_eq!(ticket["state"], "rejected", "{ticket}");
    assert_eq!(
        (broker.objects("staging"), broker.objects("files")),
        (vec![], vec![])
    );
    assert_eq!(uppy.usage().await, usage(0, 0, 0, 0));
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multipart_upload_of_unknown_size_is_settled_when_its_client_completes_it() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let uppy = Visitor::of(&broker, "films");
    let id = uppy
        .create(json!({"relativePath": null, "name": "film.bin"}))
        .await;
    assert_eq!(uppy.usage().await, usage(1, 0, MAX, 0));
    let listed = uppy.get(&format!("multipart/{id}?key={id}")).await;
    assert_eq!((listed.status, &listed.body), (200, &json!([])));
    let one = uppy.send(&id, 1, 5 * MIB).await;
    let two = uppy.send(&id, 2, 5 * MIB).await;
    let three = uppy.send(&id, 3, 2 * MIB).await;
    let listed = uppy.get(&format!("multipart/{id}?key={id}")).await;
    assert_eq!(
        listed.body,
        json!([
            {"PartNumber": 1, "ETag": one, "Size": 5 * MIB},
            {"PartNumber": 2, "ETag": two, "Size": 5 * MIB},
            {"PartNumber": 3, "ETag": three, "Size": 2 * MIB},
        ])
    );
    // However late, the worker cannot know that these are all.
    broker.advance(1800);
    broker.sweep().await;
    assert_eq!(uppy.ticket(&id).await["state"], "open");
    let bare = two.trim_matches('"');
    let wrong = uppy.complete(&id, &[&one, bare, "\"00\""]).await;
    assert_eq!(
        (wrong.status, &wrong.body["code"]),
        (409, &json!("parts-missing"))
    );
    let done = uppy.complete(&id, &[&one, bare, &three]).await;
    assert_eq!(done.status, 200, "{done:?}");
    let place = format!("{PUBLIC_URL}/u/films/{}/f/{id}", uppy.token);
    assert_eq!(done.body["location"], json!(place));
    assert_eq!(
        (&done.body["key"], &done.body["bucket"]),
        (&json!(id), &json!("staging"))
    );
    assert_eq!(done.body["ticket"]["file"]["size"], 12 * MIB);
    assert!(
        done.body.get("error").is_none(),
        "5.x takes it for a failure"
    );
    let path = place.strip_prefix(PUBLIC_URL).unwrap();
    let found = broker.call("GET", path, "", None).await;
    assert_eq!(found.status, 302, "{found:?}");
    let again = uppy.complete(&id, &[&one, bare, &three]).await;
    assert_eq!(
        (again.status, &again.body["key"]),
        (200, &json!(id)),
        "it repeats its outcome"
    );
    assert_eq!(uppy.usage().await, usage(0, 1, 0, 12 * MIB));
    broker.sweep().await;
    assert_eq!(broker.objects("staging"), []);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_in_the_metadata_is_reserved_and_signed() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let uppy = Visitor::of(&broker, "films");
    let id = uppy.create(json!({"size": 6 * MIB})).await;
    assert_eq!(uppy.usage().await, usage(1, 0, 6 * MIB, 0));
    let batch = uppy
        .get(&format!("multipart/{id}/batch?key={id}&partNumbers=1,2"))
        .await;
    assert_eq!(batch.status, 200, "{batch:?}");
    let urls = &batch.body["presignedUrls"];
    let none = BTreeMap::new();
    for (number, right, wrong) in [("1", 5 * MIB, 5 * MIB + 1), ("2", MIB, 5 * MIB)] {
        let url = urls[number].as_str().unwrap();
        assert!(url.contains("content-length%3Bhost"), "{url}");
        assert_eq!(put(url, &none, &vec![1; wrong]).await, 403);
        assert_eq!(put(url, &none, &vec![1; right]).await, 200);
    }
    let third = uppy.sign(&id, 3).await;
    assert_eq!(third.status, 400, "{third:?}");
    let listed = uppy.get(&format!("multipart/{id}?key={id}")).await;
    let etags: Vec<&str> = listed
        .body
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["ETag"].as_str().unwrap())
        .collect();
    let done = uppy.complete(&id, &etags).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(uppy.usage().await, usage(0, 1, 0, 6 * MIB));
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_parts_are_signed_than_the_slots_largest_file_has() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let uppy = Visitor::of(&broker, "films");
    let id = uppy.create(json!({})).await;
    for (part, status) in [(0, 413), (1, 200), (3, 200), (4, 413), (10_000, 413)] {
        let answer = uppy.sign(&id, part).await;
        assert_eq!(answer.status, status, "{part}: {answer:?}");
    }
    // Fourteen MiB in two parts leave no room for a third, but the second may come again.
    uppy.send(&id, 1, 7 * MIB).await;
    uppy.send(&id, 2, 7 * MIB).await;
    assert_eq!(uppy.sign(&id, 3).await.status, 413);
    assert_eq!(uppy.sign(&id, 2).await.status, 200);
    let by_api = format!("/v1/tickets/{id}/sign");
    let body = json!({"parts": [1]});
    let answer = broker.call("POST", &by_api, &uppy.token, Some(body)).await;
    assert_eq!(answer.status, 400, "the API has no plan for it: {answer:?}");
    assert_eq!(uppy.ticket(&id).await["state"], "open");
}

/// Ways by which it is found that too much has arrived.
#[derive(Clone, Copy, Debug)]
enum Way {
    Sign,
    Complete,
    Worker,
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_slots_maximum_ends_the_upload_whoever_sees_it_first() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let uppy = Visitor::of(&broker, "films");
    for way in [Way::Sign, Way::Complete, Way::Worker] {
        let id = uppy.create(json!({})).await;
        let one = uppy.send(&id, 1, 10 * MIB).await;
        let two = uppy.send(&id, 2, 5 * MIB).await;
        let answer = match way {
            Way::Sign => Some(uppy.sign(&id, 3).await),
            Way::Complete => Some(uppy.complete(&id, &[&one, &two]).await),
            Way::Worker => {
                broker.advance(60);
                None
            }
        };
        if let Some(answer) = answer {
            assert_eq!(answer.status, 422, "{way:?}: {answer:?}");
            assert_eq!(answer.body["reason"], "size-mismatch", "{way:?}");
        }
        broker.sweep().await;
        let ticket = uppy.ticket(&id).await;
        assert_eq!(ticket["state"], "rejected", "{way:?}: {ticket}");
        assert_eq!(uppy.usage().await, usage(0, 0, 0, 0), "{way:?}");
        assert_eq!(
            broker.store.unfinished("staging"),
            0,
            "{way:?}: its parts are gone"
        );
        assert_eq!(
            uppy.delete(&id).await.status,
            200,
            "Uppy aborts after a failure"
        );
    }
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_aborted_gives_everything_back() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let uppy = Visitor::of(&broker, "films");
    let id = uppy.create(json!({})).await;
    uppy.send(&id, 1, 5 * MIB).await;
    for _ in 0..2 {
        let answer = uppy.delete(&id).await;
        assert_eq!((answer.status, answer.body), (200, json!({})));
    }
    broker.sweep().await;
    assert_eq!(uppy.usage().await, usage(0, 0, 0, 0));
    assert_eq!(broker.store.unfinished("staging"), 0);
    let late = uppy.sign(&id, 2).await;
    assert_eq!(
        (late.status, &late.body["code"]),
        (409, &json!("ticket-closed"))
    );
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_its_owners_and_its_slots() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let uppy = Visitor::of(&broker, "films");
    let id = uppy.create(json!({})).await;
    let other = broker.token("8");
    let own = &uppy.token;
    let odd = "a%2Fb%2Bc%252F";
    for (slot, token, upload, key) in [
        ("films", &other, id.as_str(), id.as_str()),
        ("photos", own, &id, &id),
        ("films", own, &id, "another"),
        ("films", own, &id, ""),
        ("films", own, odd, odd),
    ] {
        for (method, path, body) in [
            ("GET", format!("/1?key={key}"), None),
            ("GET", format!("/batch?key={key}&partNumbers=1"), None),
            ("GET", format!("?key={key}"), None),
            ("DELETE", format!("?key={key}"), None),
            (
                "POST",
                format!("/complete?key={key}"),
                Some(json!({"parts": []})),
            ),
        ] {
            let path = format!("/u/{slot}/{token}/s3/multipart/{upload}{path}");
            let answer = broker.call(method, &path, "", body).await;
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
            assert!(
                answer.body["message"].is_string(),
                "{method} {path}: {answer:?}"
            );
        }
    }
    assert_eq!(uppy.ticket(&id).await["state"], "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_in_uppys_shape() {
    let broker = TestBroker::with_slots(SPEAKING).await;
    let uppy = Visitor::of(&broker, "films");
    let id = uppy.create(json!({})).await;
    let multipart = format!("multipart/{id}");
    for (answer, status) in [
        (uppy.get("sts").await, 400),
        (
            uppy.get("params?filename=a&metadata%5Bsize%5D=x").await,
            400,
        ),
        (uppy.get(&format!("{multipart}/one?key={id}")).await, 404),
        (
            uppy.get(&format!("{multipart}/batch?key={id}&partNumbers=1,x"))
                .await,
            400,
        ),
        (uppy.get(&format!("{multipart}/batch?key={id}")).await, 400),
        (uppy.post("multipart", json!({"type": "x"})).await, 400),
        (
            uppy.post(
                &format!("{multipart}/complete?key={id}"),
                json!({"parts": 7}),
            )
            .await,
            400,
        ),
        (
            uppy.post(
                &format!("{multipart}/complete?key={id}"),
                json!({"parts": []}),
            )
            .await,
            400,
        ),
    ] {
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body["message"].is_string(), "{answer:?}");
        assert_eq!(answer.body["message"], answer.body["error"]);
    }
    // The headers are those of any refusal, and name no error that there is none.
    let path = "/u/films/-/s3/params?filename=a";
    for (token, challenge) in [("", "Bearer"), ("x", "Bearer error=\"invalid_token\"")] {
        let stranger = broker.call("GET", path, token, None).await;
        assert_eq!(stranger.status, 401, "{stranger:?}");
        assert_eq!(stranger.headers["www-authenticate"], challenge);
        assert_eq!(stranger.headers["content-type"], "application/json");
    }
    // Ten thousand parts are one body.
    let part = json!({"PartNumber": 1, "ETag": "\"d41d8cd98f00b204e9800998ecf8427e\""});
    let path = format!("{multipart}/complete?key={id}");
    let many = uppy
        .post(&path, json!({"parts": vec![part.clone(); 10_000]}))
        .await;
    assert_eq!(many.status, 409, "{many:?}");
    let request = Request::post(format!("{}/{path}", uppy.base))
        .header("content-type", "application/json")
        .body(Body::from(json!({"parts": vec![part; 20_000]}).to_string()));
    let more = broker.send(request.unwrap()).await;
    assert!(more.status == 413 || more.status == 400, "{more:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_store_takes_no_forms_a_known_size_is_put() {
    let mut broker = TestBroker::with_slots(SPEAKING).await;
    let mut settings = common::store_settings(&broker.store.url());
    settings.public_endpoint = Some("https://account.eu.r2.cloudflarestorage.com".into());
    let app = App::new(
        broker.app.db.clone(),
        Store::connect(settings).await.unwrap(),
        broker.clock.clone(),
        broker.app.slots.load().as_ref().clone(),
        100,
        Seconds(86_400),
    );
    broker.router = common::router(&app);
    broker.app = app;
    let uppy = Visitor::of(&broker, "films");
    let put = uppy.get("params?filename=a.bin&metadata%5Bsize%5D=7").await;
    assert_eq!(put.status, 200, "{put:?}");
    assert_eq!(
        (&put.body["method"], &put.body["fields"]),
        (&json!("PUT"), &json!({}))
    );
    let url = put.body["url"].as_str().unwrap();
    assert!(url.contains("content-length%3Bhost"), "{url}");
    let unknown = uppy.get("params?filename=a.bin").await;
    assert_eq!(unknown.status, 400, "{unknown:?}");
    assert!(unknown.body["message"].as_str().unwrap().contains("size"));
    uppy.create(json!({})).await;
    assert_eq!(uppy.usage().await.open, 2, "a refusal leaves no ticket");
}
