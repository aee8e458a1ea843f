//! Traces, as a collector gets them from the real binary. Empty without the feature.

#![cfg(feature = "otlp")]
#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

#[path = "common/mod.rs"]
mod common;
#[path = "common/process.rs"]
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use common::png;
use process::{Server, Site, mint, put};
use serde_json::Value;
use tokio::net::TcpListener;

/// How long a process may take to end.
const END: Duration = Duration::from_secs(30);
/// Everything that a span may carry.
const ALLOWED: [&str; 6] = [
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "ticket",
    "outcome",
    "code",
];

/// A collector: an HTTP server that keeps what is posted.
struct Collector {
    url: String,
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        let keep = async move |body: Bytes| kept.lock().unwrap().push(body);
        let router = Router::new().route("/v1/traces", post(keep));
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { url, bodies }
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.bodies.lock().unwrap().clone()
    }

    fn spans(&self) -> Vec<Span> {
        self.bodies().iter().flat_map(|body| spans(body)).collect()
    }
}

/// One field of a protobuf message.
enum Field<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// The fields of a protobuf message, by number.
fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
    fn varint(from: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = from.split_first().unwrap();
            *from = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let mut take = |length: usize| {
            let (taken, rest) = message.split_at(length);
            message = rest;
            taken
        };
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut message)),
            1 => Field::Number(u64::from_le_bytes(take(8).try_into().unwrap())),
            5 => Field::Number(u32::from_le_bytes(take(4).try_into().unwrap()).into()),
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                let (taken, rest) = message.split_at(length);
                message = rest;
                Field::Bytes(taken)
            }
            kind => panic!("no such kind of field: {kind}"),
        };
        found.push((tag >> 3, field));
    }
    found
}

/// The fields of one number that are messages, texts or bytes.
fn parts(message: &[u8], number: u64) -> Vec<&[u8]> {
    fields(message)
        .into_iter()
        .filter_map(|(n, field)| match field {
            Field::Bytes(bytes) if n == number => Some(bytes),
            _ => None,
        })
        .collect()
}

fn number(message: &[u8], number: u64) -> u64 {
    fields(message)
        .into_iter()
        .find_map(|(n, field)| match field {
            Field::Number(value) if n == number => Some(value),
            _ => None,
        })
        .unwrap_or_default()
}

fn text(message: &[u8], number: u64) -> String {
    let found = parts(message, number).first().copied().unwrap_or_default();
    String::from_utf8(found.to_vec()).unwrap()
}

fn hexed(message: &[u8], number: u64) -> String {
    hex::encode(parts(message, number).first().copied().unwrap_or_default())
}

/// `KeyValue`s: texts, and numbers as texts.
fn pairs(message: &[u8], at: u64) -> BTreeMap<String, String> {
    parts(message, at)
        .into_iter()
        .map(|pair| {
            let value = parts(pair, 2)[0];
            let words = match parts(value, 1).first() {
                Some(words) => String::from_utf8(words.to_vec()).unwrap(),
                None => number(value, 3).to_string(),
            };
            (text(pair, 1), words)
        })
        .collect()
}

/// A span as it was sent, and the service that sent it. The numbers are those of
/// opentelemetry/proto/trace/v1/trace.proto.
#[derive(Debug)]
struct Span {
    service: String,
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    attributes: BTreeMap<String, String>,
    events: usize,
    links: Vec<String>,
}

fn spans(body: &[u8]) -> Vec<Span> {
    let mut found = Vec::new();
    for of_resource in parts(body, 1) {
        let resource = pairs(parts(of_resource, 1)[0], 1);
        for of_scope in parts(of_resource, 2) {
            found.extend(parts(of_scope, 2).into_iter().map(|span| Span {
                service: resource["service.name"].clone(),
                trace: hexed(span, 1),
                id: hexed(span, 2),
                parent: hexed(span, 4),
                name: text(span, 5),
                kind: number(span, 6),
                attributes: pairs(span, 9),
                events: parts(span, 11).len(),
                links: parts(span, 13).iter().map(|l| hexed(l, 1)).collect(),
            }));
        }
    }
    found
}

async fn site() -> (putgate::devstore::DevStore, Site) {
    let dir = tempfile::tempdir().unwrap();
    let store = common::devstore(dir.path()).await;
    let site = Site::new(dir, &store.url());
    site.must(&["setup"]);
    (store, site)
}

/// Serves with traces that are sent at the end alone.
fn traced(site: &Site, variables: &[(&str, &str)]) -> Server {
    let mut all = vec![("OTEL_BSP_SCHEDULE_DELAY", "3600000")];
    all.extend(variables);
    Server::serve_in(&all, &site.config())
}

fn end(server: &Server) {
    server.signal("TERM");
    assert!(server.ended(END).success(), "{server:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_mint_to_commit_through_two_processes_and_tells_no_secret() {
    const CALLER: &str = "0af7651916cd43dd8448eb211c80319c";
    let collector = Collector::start().await;
    let (_store, site) = site().await;
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
    let token = site.token("somebody-7");
    let bytes = png(1);

    let first = traced(&site, &variables);
    let headers = BTreeMap::from(
        [
            ("authorization", format!("Bearer {token}")),
            ("content-type", "application/json".to_owned()),
            ("x-request-id", "my-own-id".to_owned()),
            ("traceparent", format!("00-{CALLER}-b7ad6b7169203331-01")),
            ("tracestate", "vendor=hushhush".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let wish = serde_json::json!({"slot": "photos",
        "files": [{"name": "a-name.png", "size": bytes.len()}]})
    .to_string();
    let url = format!("{}/v1/tickets?note=in-the-query", first.url);
    let minted = process::fetch("POST", &url, &headers, wish.as_bytes()).await;
    let ticket: Value = minted.unwrap().json()["tickets"][0].clone();
    let id = ticket["id"].as_str().unwrap();
    assert_eq!(put(&ticket["transfer"], &bytes).await, Ok(200));
    // Nobody's method, and a dialect's path, which has the token in it.
    let path = format!("{}/u/photos/{token}/tickets/x/complete", first.url);
    process::fetch("HUSHHUSH", &path, &BTreeMap::new(), b"")
        .await
        .unwrap();
    let probed = first.call("GET", "/livez", "", None).await;
    assert_eq!(probed.status, 200);
    end(&first);
    let second = traced(&site, &variables);
    let sign = format!("/v1/tickets/{id}/sign");
    let signed = second
        .call("POST", &sign, &token, Some(serde_json::json!({})))
        .await;
    assert_eq!(signed.status, 200, "{signed:?}");
    let complete = format!("/v1/tickets/{id}/complete");
    let completed = second.call("POST", &complete, &token, None).await;
    assert_eq!(completed.status, 200, "{completed:?}");
    end(&second);

    let spans = collector.spans();
    let trace = id.replace('-', "");
    let of_ticket: BTreeMap<&str, &Span> = spans
        .iter()
        .filter(|span| span.trace == trace)
        .map(|span| (span.name.as_str(), span))
        .collect();
    let parent = |name: &str| of_ticket[name].parent.as_str();
    for name in ["mint", "sign", "complete"] {
        assert_eq!(parent(name), &trace[16..], "{spans:#?}");
        assert_eq!(of_ticket[name].attributes["ticket"], id);
    }
    assert_eq!(parent("attempt"), of_ticket["complete"].id);
    for name in ["judge", "promote", "judge again", "commit"] {
        assert_eq!(parent(name), of_ticket["attempt"].id, "{name}");
    }
    assert_eq!(of_ticket["attempt"].attributes["outcome"], "closed");
    assert_eq!(of_ticket["judge"].attributes["outcome"], "accepted");
    let request = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let minting = request("POST /v1/tickets");
    assert_eq!(of_ticket["mint"].links, [minting.trace.as_str()]);
    assert_eq!(
        (minting.parent.as_str(), &minting.links[..]),
        ("", &[CALLER.to_owned()][..])
    );
    assert_eq!((minting.kind, minting.service.as_str()), (2, "putgate"));
    assert_eq!(minting.attributes["http.response.status_code"], "201");
    let completing = request("POST /v1/tickets/{id}/complete");
    assert_eq!(
        of_ticket["complete"].links,
        std::slice::from_ref(&completing.trace),
        "{spans:#?}"
    );
    let dialect = spans
        .iter()
        .find(|span| span.name.starts_with("_OTHER /u/{slot}/{token}"));
    assert!(dialect.is_some(), "{spans:#?}");
    assert!(!spans.iter().any(|span| span.name.contains("/livez")));

    let keys: BTreeSet<&str> = spans
        .iter()
        .flat_map(|span| span.attributes.keys().map(String::as_str))
        .collect();
    let allowed = ALLOWED.into_iter().filter(|key| *key != "code");
    assert_eq!(keys, allowed.collect());
    assert!(spans.iter().all(|span| span.events == 0));
    let url = ticket["transfer"]["url"].as_str().unwrap();
    let signature = url.split("X-Amz-Signature=").nth(1).unwrap();
    for secret in [
        token.as_str(),
        signature,
        common::SECRET,
        "X-Amz",
        "a-name",
        "somebody-7",
        "my-own-id",
        "in-the-query",
        "hushhush",
        "HUSHHUSH",
    ] {
        let told = |body: &Bytes| body.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!collector.bodies().iter().any(told), "{secret} is told");
    }
    for log in [first.log(), second.log()] {
        assert!(!log.contains("putgate::steps") && !log.contains("judge again"));
    }
}

/// A traceparent: of this trace, recorded or not.
fn traceparent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-b7ad6b7169203331-{flags}")
}

/// A call with a traceparent.
async fn call_from(server: &Server, path: &str, token: &str, parent: &str) -> process::Reply {
    let headers = [
        ("authorization", format!("Bearer {token}")),
        ("content-type", "application/json".to_owned()),
        ("traceparent", parent.to_owned()),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value)).into();
    let url = format!("{}{path}", server.url);
    let reply = process::fetch("POST", &url, &headers, b"{}").await;
    reply.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_decides_neither_what_is_traced_nor_into_which_trace_it_goes() {
    let collector = Collector::start().await;
    let (_store, site) = site().await;
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str());
    let token = site.token("somebody-7");

    // Who never samples is not made to by a flag.
    let server = traced(&site, &[endpoint, ("OTEL_TRACES_SAMPLER", "always_off")]);
    let ticket = mint(&server.url, &token, "photos", "a.png", 9)
        .await
        .unwrap();
    let id = ticket["id"].as_str().unwrap();
    let trace = id.replace('-', "");
    let sign = format!("/v1/tickets/{id}/sign");
    for trace in ["0af7651916cd43dd8448eb211c80319c", &trace] {
        let signed = call_from(&server, &sign, &token, &traceparent(trace, "01")).await;
        assert_eq!(signed.status, 200, "{signed:?}");
    }
    end(&server);
    assert!(collector.bodies().is_empty(), "{:#?}", collector.spans());

    // Who always does is not kept from it, nor from the ticket's own trace.
    let server = traced(&site, &[endpoint]);
    let signed = call_from(&server, &sign, &token, &traceparent(&trace, "00")).await;
    assert_eq!(signed.status, 200, "{signed:?}");
    end(&server);
    let spans = collector.spans();
    let of_ticket: Vec<&Span> = spans.iter().filter(|span| span.trace == trace).collect();
    let [step] = of_ticket[..] else {
        panic!("{spans:#?}");
    };
    assert_eq!(
        (step.name.as_str(), step.parent.as_str()),
        ("sign", &trace[16..])
    );
    let request = spans.iter().find(|span| span.name.starts_with("POST "));
    let request = request.unwrap();
    assert_eq!(step.links, [request.trace.as_str()]);
    assert_eq!(request.links, [trace]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_whose_callers_are_known_has_them_obeyed() {
    const CALLER: &str = "0af7651916cd43dd8448eb211c80319c";
    let collector = Collector::start().await;
    let (_store, site) = site().await;
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str());
    let token = site.token("somebody-7");
    let sampler = ("OTEL_TRACES_SAMPLER", "parentbased_always_on");
    let server = traced(&site, &[endpoint, sampler]);
    let ticket = mint(&server.url, &token, "photos", "a.png", 9)
        .await
        .unwrap();
    let sign = format!("/v1/tickets/{}/sign", ticket["id"].as_str().unwrap());
    for flags in ["00", "01"] {
        let signed = call_from(&server, &sign, &token, &traceparent(CALLER, flags)).await;
        assert_eq!(signed.status, 200, "{signed:?}");
    }
    end(&server);
    let spans = collector.spans();
    let signing: Vec<&Span> = spans
        .iter()
        .filter(|span| span.name == "POST /v1/tickets/{id}/sign")
        .collect();
    let [request] = signing[..] else {
        panic!("the one that its caller traces: {spans:#?}");
    };
    assert_eq!(
        (request.trace.as_str(), request.parent.as_str()),
        (CALLER, "b7ad6b7169203331")
    );
    let trace = ticket["id"].as_str().unwrap().replace('-', "");
    let steps = spans.iter().filter(|span| span.trace == trace);
    let names: Vec<&str> = steps.map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        ["mint", "sign", "sign"],
        "the ticket's trace is its own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusals_code_and_verdict_are_told() {
    let collector = Collector::start().await;
    let (_store, site) = site().await;
    // One that log lines of this level alone would not name.
    site.write_with(process::SLOTS, &|text| {
        let filter = "log_filter = \"error,putgate::cli=info\"\n";
        text.replacen("[server]\n", &format!("[server]\n{filter}"), 1)
    });
    let endpoint = format!("{}/v1/traces", collector.url);
    let server = traced(
        &site,
        &[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint),
            ("OTEL_SERVICE_NAME", "gate-7"),
        ],
    );
    let token = site.token("somebody-7");
    let bytes = common::HTML;
    let ticket = mint(&server.url, &token, "photos", "a.png", bytes.len())
        .await
        .unwrap();
    assert_eq!(put(&ticket["transfer"], bytes).await, Ok(200));
    let id = ticket["id"].as_str().unwrap();
    let path = format!("/v1/tickets/{id}/complete");
    let refused = server.call("POST", &path, &token, None).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    end(&server);
    let spans = collector.spans();
    let told = |name: &str, key: &str| {
        let span = spans.iter().find(|span| span.name == name);
        span.and_then(|span| span.attributes.get(key)).cloned()
    };
    let code = refused.json()["code"].as_str().map(str::to_owned);
    let reason = refused.json()["reason"].as_str().map(str::to_owned);
    assert!(code.is_some() && reason.is_some(), "{refused:?}");
    assert_eq!(told("complete", "code"), code, "{spans:#?}");
    assert_eq!(told("judge", "outcome"), reason, "{spans:#?}");
    assert!(spans.iter().all(|span| span.service == "gate-7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_delays_neither_requests_nor_the_end() {
    // Connections are made and nobody takes them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let (_store, site) = site().await;
    let server = Server::serve_in(
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            // Longer than anything here may take.
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000"),
            ("OTEL_BSP_SCHEDULE_DELAY", "1"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
        ],
        &site.config(),
    );
    let token = site.token("somebody-7");
    let began = Instant::now();
    for n in 0..50 {
        let name = format!("{n}.png");
        mint(&server.url, &token, "photos", &name, 9).await.unwrap();
    }
    end(&server);
    assert!(began.elapsed() < END, "{:?}", began.elapsed());
    server.wait_for_log("the last traces were not delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_endpoint_nothing_is_sent_and_nothing_is_prepared() {
    let collector = Collector::start().await;
    let (_store, site) = site().await;
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str());
    let off = ("OTEL_SDK_DISABLED", "true");
    for (variables, sends) in [
        (vec![], false),
        (vec![endpoint, off], false),
        (vec![endpoint], true),
    ] {
        let server = traced(&site, &variables);
        let token = site.token("somebody-7");
        mint(&server.url, &token, "photos", "a.png", 9)
            .await
            .unwrap();
        assert_eq!(has_exporter(server.pid()), sends, "{variables:?}");
        end(&server);
        assert_eq!(!collector.bodies().is_empty(), sends, "{variables:?}");
    }
}

/// Whether a process has the SDK's thread, whatever it does.
fn has_exporter(pid: u32) -> bool {
    std::fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .any(|name| name.starts_with("OpenTelemetry"))
}
