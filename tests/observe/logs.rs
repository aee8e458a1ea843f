//! Log lines.

use crate::lived;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_found_by_its_id_and_by_its_tickets() {
    let lived = lived().await;
    let mut headers = std::collections::BTreeMap::new();
    headers.insert("x-request-id".to_owned(), "my-own-id".to_owned());
    headers.insert(
        "authorization".to_owned(),
        format!("Bearer {}", lived.secrets[0]),
    );
    let url = format!(
        "{}/v1/tickets/{}/complete",
        lived.server.url, lived.committed
    );
    let reply = crate::process::fetch("POST", &url, &headers, b"")
        .await
        .unwrap();
    assert_eq!(
        (reply.status, reply.header("x-request-id")),
        (200, "my-own-id")
    );
    lived.server.wait_for_log("my-own-id");
    let lines = lived.lines();
    let span = |line: &serde_json::Value| line["span"].clone();
    let answered = lines
        .iter()
        .find(|line| span(line)["id"] == "my-own-id")
        .unwrap();
    assert_eq!(answered["message"], "answered", "{answered}");
    assert_eq!(
        span(answered)["ticket"],
        lived.committed.as_str(),
        "{answered}"
    );
    assert_eq!(span(answered)["path"], "/v1/tickets/{id}/complete");
    let of_the_ticket = |line: &&serde_json::Value| line.to_string().contains(&lived.committed);
    let minted = lines
        .iter()
        .filter(of_the_ticket)
        .any(|line| line["message"] == "minted");
    let judged = lines.iter().filter(of_the_ticket).any(|line| {
        line["message"] == "judged"
            && line["verdict"] == "accepted"
            && span(line)["name"] == "attempt"
    });
    assert!(minted && judged, "{lines:#?}");
    for secret in &lived.secrets {
        assert!(
            !lived.server.log().contains(secret),
            "a secret is in the log"
        );
    }
}
