//! `/metrics`.

use crate::exposition::labels;
use crate::{call, lived, png};

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
