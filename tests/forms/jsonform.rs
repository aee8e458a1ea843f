//! The file handler of django-jsonform, as its client calls it.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::common::{HTML, PAGE, TestBroker, png};
use crate::{
    BOUNDARY, Part, Reply, broker, form, large_png, nothing_is_left, send, stored, text, token,
};

const HANDLER: &str = "/u/pictures/-/jsonform";

fn request(method: &str, path: &str, token: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("cookie", format!("sessionid=x; putgate_token={token}"))
        .header("origin", PAGE)
        .header("x-csrftoken", "null")
}

async fn upload(broker: &TestBroker, token: &str, bytes: &[u8]) -> Reply {
    let body = form(&[
        text("field_name", "gallery"),
        text("model_name", "ShoppingList"),
        text("coords", "[\"items\",0]"),
        Part("file", Some(("Übung, 1.png", "image/png")), bytes),
    ]);
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = request("POST", HANDLER, token).header("content-type", kind);
    send(broker, request.body(Body::from(body)).unwrap()).await
}

async fn library(broker: &TestBroker, token: &str, page: usize) -> Vec<Value> {
    let path = format!("{HANDLER}?field_name=gallery&model_name=ShoppingList&page={page}");
    let reply = send(
        broker,
        request("GET", &path, token).body(Body::empty()).unwrap(),
    )
    .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["results"].as_array().unwrap().clone()
}

async fn delete(broker: &TestBroker, token: &str, trigger: &str, values: &[&str]) -> Reply {
    let mut path = format!("{HANDLER}?field_name=g&model_name=S&coords=%5B%5D&trigger={trigger}");
    for value in values {
        path.push_str("&value=");
        path.push_str(&value.replace(',', "%2C"));
    }
    send(
        broker,
        request("DELETE", &path, token).body(Body::empty()).unwrap(),
    )
    .await
}

/// As the client does: whatever the status, the answer is JSON with a value, or it fails.
fn value_of(reply: &Reply) -> Option<String> {
    let answer: Value = serde_json::from_str(&reply.text).ok()?;
    Some(answer["value"].as_str().unwrap_or("undefined").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_answered_with_the_files_key_and_its_field_is_kept() {
    let broker = broker().await;
    let token = token(&broker);
    let picture = png(1);
    let reply = upload(&broker, &token, &picture).await;
    let value = value_of(&reply).unwrap();
    assert_eq!(
        broker.objects("files"),
        [(value.clone(), picture.len() as u64)]
    );
    assert!(!value.contains(','));
    let file = broker.call("GET", "/v1/files", &token, None).await.body["files"][0].clone();
    assert_eq!(file["key"], value);
    assert_eq!(
        file["metadata"],
        json!({"field_name": "gallery", "model_name": "ShoppingList", "coords": "[\"items\",0]"})
    );
    let rows = library(&broker, &token, 1).await;
    let id = file["id"].as_str().unwrap();
    assert_eq!(
        rows,
        [json!({
            "value": value,
            "thumbnail": format!("https://own.example.com/uploads/u/pictures/-/f/{id}"),
            "metadata": {"name": "Übung, 1.png", "date": file["committed_at"], "size": picture.len()},
        })]
    );
    let thumbnail = request("GET", &format!("/u/pictures/-/f/{id}"), &token);
    let reply = send(&broker, thumbnail.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, 302);
    nothing_is_left(&broker).await;
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_refusal_can_be_mistaken_for_a_value() {
    let broker = broker().await;
    let token = token(&broker);
    let large = large_png(6 * 1024 * 1024 + 1);
    let read_only = broker.token_with(json!({"sub": "7", "scope": "read"}));
    for (status, token, bytes) in [
        (422, &token, HTML),
        (413, &token, &large[..]),
        (403, &read_only, &png(1)[..]),
        (401, &"x.y.z".to_owned(), &png(1)[..]),
    ] {
        let reply = upload(&broker, token, bytes).await;
        assert_eq!(
            (reply.status, value_of(&reply)),
            (status, None),
            "{reply:?}"
        );
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
        assert!(
            !reply.text.is_empty() && !reply.text.contains('<'),
            "{reply:?}"
        );
    }
    let without_a_file = request("POST", HANDLER, &token).header(
        "content-type",
        format!("multipart/form-data; boundary={BOUNDARY}"),
    );
    let body = form(&[text("field_name", "a")]);
    let reply = send(&broker, without_a_file.body(Body::from(body)).unwrap()).await;
    assert_eq!((reply.status, value_of(&reply)), (400, None));
    let not_ours = HANDLER.replace("pictures", "raw");
    let reply = send(
        &broker,
        request("POST", &not_ours, &token)
            .body(Body::empty())
            .unwrap(),
    );
    let reply = reply.await;
    assert_eq!((reply.status, value_of(&reply)), (404, None));
    nothing_is_left(&broker).await;
    assert_eq!(broker.objects("files"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_has_pages_and_ends_with_an_empty_one() {
    let broker =
        TestBroker::with_slots("[slots.pictures]\nmax_entries = 60\ndialects = [\"jsonform\"]\n")
            .await;
    let token = token(&broker);
    let mut values = Vec::new();
    for n in 0..30 {
        values.push(value_of(&upload(&broker, &token, &png(n)).await).unwrap());
    }
    values.reverse();
    let mut seen = Vec::new();
    for page in 1..=3 {
        let rows = library(&broker, &token, page).await;
        assert_eq!(rows.len(), [24, 6, 0][page - 1], "page {page}");
        seen.extend(
            rows.iter()
                .map(|row| row["value"].as_str().unwrap().to_owned()),
        );
    }
    assert_eq!(seen, values);
    assert!(library(&broker, &token, 1000).await.is_empty());
    let zero = request("GET", &format!("{HANDLER}?page=0"), &token);
    assert_eq!(
        send(&broker, zero.body(Body::empty()).unwrap())
            .await
            .status,
        400
    );
    assert!(library(&broker, &broker.token("8"), 1).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_deleted_by_their_values_one_by_one_or_joined() {
    let broker = broker().await;
    let token = token(&broker);
    let mut values = Vec::new();
    for n in 0..4 {
        values.push(value_of(&upload(&broker, &token, &png(n)).await).unwrap());
    }
    assert_eq!(
        delete(&broker, &token, "delete_button", &[&values[0]])
            .await
            .status,
        204
    );
    assert_eq!(library(&broker, &token, 1).await.len(), 3);
    let joined = format!("{},{}", values[1], values[2]);
    let reply = delete(
        &broker,
        &token,
        "unsaved_form_page_exit",
        &[&joined, &values[3]],
    )
    .await;
    assert_eq!(reply.status, 204);
    assert_eq!(library(&broker, &token, 1).await.len(), 0);
    broker.sweep().await;
    assert_eq!(broker.objects("files"), []);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_a_page_deletes_only_what_nobody_claimed() {
    let broker = broker().await;
    let token = token(&broker);
    let claimed = value_of(&upload(&broker, &token, &png(1)).await).unwrap();
    let unclaimed = value_of(&upload(&broker, &token, &png(2)).await).unwrap();
    let id = claimed
        .rsplit('/')
        .next()
        .unwrap()
        .split('.')
        .next()
        .unwrap();
    let manager = broker.token_with(json!({"sub": "app", "scope": "manage"}));
    let body = json!({"files": [id], "owner": "7", "ref": "list:1"});
    let answer = broker
        .call("POST", "/v1/claims", &manager, Some(body))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let both = format!("{claimed},{unclaimed}");
    let reply = delete(&broker, &token, "unsaved_form_page_exit", &[&both]).await;
    assert_eq!(reply.status, 204);
    let left: Vec<_> = library(&broker, &token, 1).await;
    assert_eq!((left.len(), &left[0]["value"]), (1, &json!(claimed)));
    assert_eq!(
        delete(&broker, &token, "delete_button", &[&claimed])
            .await
            .status,
        204
    );
    assert!(library(&broker, &token, 1).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_makes_no_sense_changes_nothing() {
    let broker = broker().await;
    let token = token(&broker);
    let value = value_of(&upload(&broker, &token, &png(1)).await).unwrap();
    let other_epoch = value.replace(".1.png", ".2.png");
    let many = ["x"; 101];
    for (status, token, trigger, values) in [
        (400, &token, "whim", &[&*value][..]),
        (400, &token, "delete_button", &[]),
        (400, &token, "delete_button", &many),
        (404, &token, "delete_button", &["x"]),
        (404, &token, "delete_button", &[&other_epoch]),
        (404, &broker.token("8"), "delete_button", &[&value]),
        (
            403,
            &broker.token_with(json!({"sub": "7"})),
            "delete_button",
            &[&value],
        ),
    ] {
        let reply = delete(&broker, token, trigger, values).await;
        assert_eq!(reply.status, status, "{trigger} {values:?}: {reply:?}");
    }
    let elsewhere = Request::delete(format!("{HANDLER}?trigger=delete_button&value={value}"))
        .header("cookie", format!("putgate_token={token}"))
        .header("origin", "https://evil.example");
    let reply = send(&broker, elsewhere.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, 403);
    let rows = library(&broker, &token, 1).await;
    let id = rows[0]["value"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .split('.')
        .next();
    assert_eq!(stored(&broker, &json!(id)), png(1));
}
