//! The laws of the design, each attacked.

mod common;

use common::{HTML, TestBroker, png};

#[tokio::test(flavor = "multi_thread")]
async fn an_html_file_called_png_is_rejected_and_deleted() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let ticket = broker.mint(&token, "photos", "cat.png", HTML).await;
    assert_eq!(broker.put(&ticket, HTML).await, 200);
    let answer = broker.complete(&token, &ticket).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(answer.body["reason"], "active-content");
    broker.sweep().await;
    assert_eq!(broker.objects("staging"), []);
    assert_eq!(broker.objects("files"), []);
    assert_eq!(broker.events(&ticket).await, ["ticket.rejected"]);
    broker.assert_lawful().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_committed_and_served() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    let bytes = png(1);
    let answer = broker.upload(&token, "photos", "cat.png", &bytes).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let url = answer.body["file"]["url"].as_str().unwrap().to_owned();
    let (status, _, body) = common::fetch("GET", &url, &[].into(), b"").await;
    assert_eq!((status, body), (200, bytes));
    broker.assert_lawful().await;
}
