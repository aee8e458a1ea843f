//! Law 9: what is secret stays out of everything that is kept or shown.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use putgate::devstore::{Fault, Op};
use putgate::domain::ticket::State;
use putgate::http::server::{self, Limits};
use putgate::logging::{self, Format};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::common::{Answer, HTML, SECRET, TestBroker, fetch, png, put};
use crate::stage::{WIDE, key, outage, settle};

/// The signatures of every URL in an answer.
fn signatures(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            if let Some((_, rest)) = text.split_once("X-Amz-Signature=") {
                found.insert(rest.split('&').next().unwrap().to_owned());
            }
        }
        Value::Array(values) => values.iter().for_each(|v| signatures(v, found)),
        Value::Object(members) => members.values().for_each(|v| signatures(v, found)),
        _ => {}
    }
}

/// The broker on a port, until the other end is used.
async fn served(broker: &TestBroker) -> (SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async { drop(stopped.await) };
    let router = broker.router.clone();
    tokio::spawn(server::serve(listener, router, shutdown, Limits::default()));
    (at, stop)
}

/// Every kind of call and every kind of end, with the log wide open. Writes the secrets that
/// it was given to stdout, one per line; the log goes to stderr, as in service.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process of its own, started by the test below"]
async fn a_story_with_the_log_wide_open() {
    logging::init(Format::Json, "trace", None).unwrap();
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let manage = broker.token_with(json!({"sub": "backend", "scope": "manage"}));
    let mut secrets: BTreeSet<String> = BTreeSet::new();
    for jwt in [&token, &manage] {
        secrets.insert(jwt.clone());
        secrets.insert(jwt.rsplit('.').next().unwrap().to_owned());
    }
    for secret in [SECRET, "server-secret", "upload-secret"] {
        secrets.insert(secret.to_owned());
    }
    let good = broker.mint(&token, "pictures", "a.png", &png(1)).await;
    let bad = broker.mint(&token, "pictures", "b.png", HTML).await;
    let given_up = broker.mint(&token, "pictures", "c.png", &png(3)).await;
    let parts = broker
        .mint(&token, "parts", "d.bin", &vec![1; 6_000_000])
        .await;
    for ticket in [&good, &bad, &given_up] {
        signatures(ticket, &mut secrets);
    }
    let mut refusals = String::new();
    let mut heard = |answer: &Answer| {
        if answer.status < 400 {
            signatures(&answer.body, &mut secrets);
        } else {
            refusals.push_str(&answer.body.to_string());
        }
    };
    for (ticket, bytes) in [(&good, png(1)), (&bad, HTML.to_vec()), (&given_up, png(3))] {
        let path = format!("/v1/tickets/{}/sign", key(ticket));
        heard(&broker.call("POST", &path, &token, None).await);
        assert_eq!(broker.put(ticket, &bytes).await, 200);
        // Refused: the store's own words about a signature must not travel either.
        let url = ticket["transfer"]["url"].as_str().unwrap();
        assert_eq!(put(url, &[].into(), b"other").await, 403);
    }
    let path = format!("/v1/tickets/{}/sign", key(&parts));
    let body = json!({"parts": [1, 2]});
    let signed = broker.call("POST", &path, &token, Some(body)).await;
    heard(&signed);
    for part in signed.body["parts"].as_array().unwrap() {
        let size = usize::try_from(part["size"].as_u64().unwrap()).unwrap();
        let url = part["url"].as_str().unwrap();
        assert_eq!(put(url, &[].into(), &vec![1; size]).await, 200);
    }
    broker
        .store
        .faults()
        .next(Op::CopyObject, Fault::LostAnswer);
    heard(&broker.complete(&token, &good).await);
    outage(&broker, Fault::ErrorBefore(503));
    heard(&broker.complete(&token, &good).await);
    broker.store.faults().clear();
    assert_eq!(
        settle(&broker, &token, &good, &png(1)).await,
        State::Committed
    );
    for ticket in [&good, &bad, &parts] {
        heard(&broker.complete(&token, ticket).await);
    }
    let path = format!("/v1/tickets/{}", key(&given_up));
    heard(&broker.call("DELETE", &path, &token, None).await);
    heard(&broker.complete(&token, &given_up).await);
    for path in ["/v1/files", "/v1/tickets", "/v1/slots", "/v1/files?limit=x"] {
        heard(&broker.call("GET", path, &token, None).await);
    }
    let body = json!({"files": [key(&good)], "owner": "7", "ref": "post:1"});
    heard(&broker.call("POST", "/v1/claims", &manage, Some(body)).await);
    let forged = format!("{token}x");
    heard(&broker.call("GET", "/v1/files", &forged, None).await);
    heard(&broker.call("GET", "/v1/files", SECRET, None).await);
    let path = format!("/v1/files/{}", key(&good));
    heard(&broker.call("DELETE", &path, &manage, None).await);
    // Over a real connection: the token stands in the path there.
    let (at, stop) = served(&broker).await;
    for path in [
        "s3/params?filename=e.png",
        "/s3/params?filename=f.png",
        "s3/nothing",
        "nothing",
    ] {
        let url = format!("http://{at}/u/pictures/{token}/{path}");
        let (status, headers, body) = fetch("GET", &url, &[].into(), &[]).await;
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-store");
        let body: Value = serde_json::from_slice(&body).unwrap();
        if status == 200 {
            for secret in ["policy", "x-amz-signature"] {
                secrets.insert(body["fields"][secret].as_str().unwrap().to_owned());
            }
        } else {
            assert_eq!(status, 404, "{body}");
            refusals.push_str(&body.to_string());
        }
    }
    let path = format!("/u/pictures/{token}x/s3/params?filename=g.png");
    let refused = broker.call("GET", &path, "", None).await;
    assert_eq!(refused.status, 401);
    refusals.push_str(&refused.body.to_string());
    stop.send(()).unwrap();
    broker.sweep().await;
    broker.assert_lawful().await;
    let mut events = String::new();
    for ticket in [&good, &bad, &given_up, &parts] {
        let told = broker
            .app
            .db
            .events(crate::stage::id(ticket))
            .await
            .unwrap();
        events.extend(told.iter().map(|(_, body)| body.to_string()));
    }
    broker.app.db.close().await;
    let kept = broker.database.dump().await;
    assert!(secrets.len() > 10, "the story was given few secrets");
    let rows = String::from_utf8_lossy(&kept);
    assert!(rows.contains("a.png") && events.contains("a.png"));
    for secret in &secrets {
        assert!(!rows.contains(secret), "the database holds {secret}");
        assert!(!events.contains(secret), "an event holds {secret}");
        assert!(!refusals.contains(secret), "a problem holds {secret}");
    }
    let mut out = std::io::stdout();
    for secret in secrets {
        writeln!(out, "secret={secret}").unwrap();
    }
}

#[test]
fn with_every_level_of_every_library_on_no_secret_is_logged() {
    let story = "secrets::a_story_with_the_log_wide_open";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", story, "--ignored", "--nocapture"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}\n{}",
        &log[log.len().saturating_sub(4000)..]
    );
    let secrets: Vec<&str> = told
        .lines()
        .filter_map(|l| l.strip_prefix("secret="))
        .collect();
    assert!(secrets.len() > 10, "{told}");
    let word = "an attempt met trouble at the store";
    assert!(log.contains(word), "the story left no trace in the log");
    for secret in secrets
        .into_iter()
        .chain(["X-Amz-Signature=", "AWS4-HMAC-SHA256 Cred"])
    {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was logged");
    }
}
