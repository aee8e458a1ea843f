//! `/metrics`.

use putgate::domain::time::Seconds;
use putgate::flow::deliver::deliver;

use crate::common::{TestBroker, png};
use crate::exposition::labels;
use crate::receiver::{Hook, Reply};
use crate::{Exposition, Lived, call, idle, lived};

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_an_upload_is_counted_once() {
    let lived = lived().await;
    let delivered = "putgate_webhook_deliveries_total";
    let found = lived
        .scrape_until(
            "both ends are delivered and the worker has passed",
            |found| {
                found.sum(delivered, &["outcome=\"delivered\""]) >= 2.0
                    && found.sum("putgate_worker_passes_total", &["pass=\"walk_files\""]) >= 1.0
            },
        )
        .await;
    let bytes = f64::from(u32::try_from(png(1).len()).unwrap());
    for (name, labels, wanted) in [
        (
            "putgate_tickets_minted_total",
            &["slot=\"photos\""][..],
            3.0,
        ),
        ("putgate_verdicts_total", &["verdict=\"accepted\""], 1.0),
        (
            "putgate_verdicts_total",
            &["verdict=\"active-content\""],
            1.0,
        ),
        ("putgate_attempts_total", &["outcome=\"closed\""], 2.0),
        ("putgate_attempts_total", &["outcome=\"missing\""], 1.0),
        ("putgate_files_committed_total", &["slot=\"photos\""], 1.0),
        (
            "putgate_files_committed_total",
            &["slot=\"documents\""],
            0.0,
        ),
        ("putgate_committed_bytes_total", &[], bytes),
        (
            "putgate_http_requests_total",
            &["route=\"/v1/tickets\"", "method=\"POST\"", "status=\"2xx\""],
            3.0,
        ),
        (
            "putgate_http_request_duration_seconds_count",
            &["route=\"/v1/tickets/{id}/complete\""],
            3.0,
        ),
        (
            "putgate_webhook_deliveries_total",
            &["outcome=\"dead\""],
            0.0,
        ),
        ("putgate_outbox_events_pending", &[], 0.0),
        ("putgate_store_circuit_open", &[], 0.0),
        ("putgate_database_up", &[], 1.0),
        ("putgate_build_info", &["version=\""], 1.0),
        (
            "putgate_store_requests_total",
            &["operation=\"CopyObject\"", "outcome=\"ok\""],
            1.0,
        ),
    ] {
        let sum = found.sum(name, labels);
        assert!(
            (sum - wanted).abs() < 0.5,
            "{name} {labels:?} is {sum}, not {wanted}: {found:#?}"
        );
    }
    for name in [
        "putgate_db_batch_members_count",
        "putgate_db_write_wait_seconds_count",
        "putgate_attempt_duration_seconds_count",
        "putgate_worker_pass_duration_seconds_count",
        "putgate_store_request_duration_seconds_count",
    ] {
        assert!(found.sum(name, &[]) > 0.0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_have_few_values_and_nothing_of_a_user() {
    let lived = lived().await;
    let before = lived.scrape().await;
    for n in 0..20 {
        for (method, path) in [
            ("GET", format!("/v1/tickets/{n}")),
            ("GET", format!("/nowhere/{n}")),
            (&*format!("M{n}"), "/v1/files".to_owned()),
        ] {
            call(&lived.server.url, method, &path, "", None)
                .await
                .unwrap();
        }
    }
    let found = lived.scrape().await;
    let series = |exposition: &crate::Exposition| -> usize {
        let all = exposition
            .0
            .values()
            .flat_map(|family| family.samples.keys());
        all.filter(|series| series.contains("route=")).count()
    };
    // These three, and the scrape before.
    let routes = 4;
    // Eleven bounds and infinity, sum, count, and one class of answers.
    let of_a_route = 12 + 2 + 1;
    assert!(
        series(&found) <= series(&before) + routes * of_a_route,
        "{} grew to {}",
        series(&before),
        series(&found)
    );
    let named: std::collections::BTreeSet<_> = found
        .0
        .values()
        .flat_map(|family| family.samples.keys())
        .flat_map(|series| {
            labels(series)
                .unwrap()
                .into_keys()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let known = [
        "le",
        "method",
        "operation",
        "outcome",
        "pass",
        "route",
        "slot",
        "state",
        "status",
        "verdict",
        "version",
    ];
    assert_eq!(named, known.map(str::to_owned).into());
    let text = format!("{found:?}");
    let told = ["somebody-7", "a-name", "X-Amz", "Bearer", &lived.committed];
    for secret in told
        .into_iter()
        .chain(lived.secrets.iter().map(String::as_str))
    {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_are_on_the_admin_listener_alone() {
    let lived = lived().await;
    let reply = lived.server.call("GET", "/metrics", "", None).await;
    assert_eq!(reply.status, 404);
    let ready = call(&lived.admin, "GET", "/readyz", "", None)
        .await
        .unwrap();
    assert_eq!(ready.status, 200);
}

/// The value of one series.
#[track_caller]
fn one(found: &Exposition, series: &str) -> f64 {
    let all = found.0.values().flat_map(|family| &family.samples);
    let mut of = all.filter(|(name, _)| name.as_str() == series);
    let value = of.next().map(|(_, value)| *value);
    value.unwrap_or_else(|| panic!("there is no {series}: {found:#?}"))
}

#[track_caller]
fn assert_zero(found: &Exposition, series: &str) {
    let value = one(found, series);
    assert!(value.abs() < f64::EPSILON, "{series} is {value}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_to_come_is_a_zero_before_it_does() {
    let found = idle().await.scrape().await;
    for pass in [
        "look",
        "clean",
        "unclaimed",
        "purge",
        "walk_staging",
        "walk_files",
        "forget",
        "deliver",
    ] {
        for outcome in ["ok", "failed"] {
            let labels = format!("{{pass=\"{pass}\",outcome=\"{outcome}\"}}");
            assert_zero(&found, &format!("putgate_worker_passes_total{labels}"));
        }
    }
    for verdict in [
        "empty",
        "size-mismatch",
        "checksum-mismatch",
        "type-unknown",
        "type-mismatch",
        "type-not-accepted",
        "image-too-large",
        "malformed",
    ] {
        let labels = format!("{{verdict=\"{verdict}\"}}");
        assert_zero(&found, &format!("putgate_verdicts_total{labels}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_receiver_events_are_kept_and_none_is_late() {
    let lived: Lived = idle().await;
    let found = lived.scrape().await;
    let kept = one(&found, "putgate_outbox_events_pending");
    assert!((kept - 2.0).abs() < f64::EPSILON, "{kept}");
    assert_zero(&found, "putgate_outbox_age_seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_tried_in_vain_grows_older_until_it_is_delivered() {
    let hook = Hook::start(|_| Reply::Status(500)).await;
    let broker = TestBroker::start().await;
    broker.app.receiver.set(hook.receiver()).unwrap();
    let token = broker.token("7");
    let file = broker.upload(&token, "photos", "a.png", &png(1)).await;
    let path = format!("/v1/files/{}", file.body["id"].as_str().unwrap());
    assert_eq!(broker.call("DELETE", &path, &token, None).await.status, 204);
    let waiting = async |has_receiver| {
        let now = broker.app.db.now();
        let counted = broker.app.db.count_waiting(now, has_receiver).await;
        counted.unwrap()
    };
    // After each try the next one, and that of the event behind, is in the future.
    for (pause, seconds) in [(0, 0), (6, 6), (331, 337)] {
        broker.advance(pause);
        deliver(&broker.app).await.unwrap();
        let found = waiting(true).await;
        assert_eq!(found.pending_events, 2);
        assert!(found.oldest_event_millis >= seconds * 1000, "{found:?}");
    }
    assert_eq!(hook.seen().len(), 3);
    assert_eq!(waiting(false).await.oldest_event_millis, 0);
    hook.answers(|_| Reply::Status(200));
    broker.advance(Seconds(3600).0);
    deliver(&broker.app).await.unwrap();
    let found = waiting(true).await;
    assert_eq!((found.pending_events, found.oldest_event_millis), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_somebody_is_judging_does_not_wait() {
    let broker = TestBroker::start().await;
    let token = broker.token("7");
    broker.mint(&token, "photos", "a.png", &png(1)).await;
    let now = broker.app.db.now();
    let due = now.millis() - 700_000;
    for (lease, waits) in [
        (format!("{}", now.millis() + 1), (0, 0)),
        (format!("{}", now.millis()), (1, 700_000)),
        ("NULL".to_owned(), (1, 700_000)),
    ] {
        let moved = format!("UPDATE tickets SET next_check_at = {due}, lease_until = {lease}");
        broker.meddle(&moved).await;
        let found = broker.app.db.count_waiting(now, true).await.unwrap();
        let seen = (found.due_tickets, found.due_ticket_millis);
        assert_eq!(seen, waits, "lease_until {lease}");
    }
}
