//! The files of `deploy/` name what there is. The programs that read them judge their form, in
//! tests/stages/deploy.

use std::collections::BTreeSet;
use std::fs::read_to_string;

use serde_json::Value;

use crate::common::SECRET;
use crate::process::putgate;
use crate::{lived, root};

fn text(path: &str) -> String {
    read_to_string(root().join("deploy").join(path)).unwrap()
}

/// Every name of a metric in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("putgate_"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_dashboard_and_runbook_name_numbers_that_there_are() {
    let lived = lived().await;
    let walked = |found: &crate::Exposition| {
        found.sum("putgate_worker_passes_total", &["pass=\"walk_files\""]) >= 1.0
    };
    let found = lived.scrape_until("the worker has passed", walked).await;
    let mut read = BTreeSet::new();
    for path in [
        "prometheus/putgate.rules.yml",
        "grafana/putgate.json",
        "RUNBOOK.md",
    ] {
        let text = text(path);
        let names = metrics_in(&text);
        assert!(names.len() >= 10, "{path}: {names:?}");
        for name in names {
            let is_there = found.names().contains(name) || found.0.contains_key(name);
            assert!(is_there, "{path}: there is no {name}");
            read.insert(name.to_owned());
        }
    }
    for name in found.0.keys() {
        let is_read = read.iter().any(|known| known.starts_with(name.as_str()));
        assert!(is_read, "nothing in deploy/ reads {name}");
    }
    let wrong = "rate(putgate_http_request_total[5m])";
    assert!(
        metrics_in(wrong)
            .iter()
            .all(|name| !found.names().contains(name))
    );
}

#[test]
fn every_alert_has_its_section_in_the_runbook() {
    let (rules, runbook) = (text("prometheus/putgate.rules.yml"), text("RUNBOOK.md"));
    let alerts: BTreeSet<_> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let sections: BTreeSet<_> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## Putgate"))
        .map(|rest| format!("Putgate{rest}"))
        .collect();
    assert!(alerts.len() > 5);
    assert_eq!(
        alerts
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>(),
        sections
    );
    for alert in alerts {
        let link = format!("runbook: deploy/RUNBOOK.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&link), "{alert}");
    }
}

#[test]
fn the_dashboard_has_a_query_in_every_panel() {
    let dashboard: Value = serde_json::from_str(&text("grafana/putgate.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        let asks = |target: &Value| {
            target["expr"]
                .as_str()
                .is_some_and(|expr| expr.contains("putgate_"))
        };
        assert!(!targets.is_empty() && targets.iter().all(asks), "{panel}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_of_the_manifests_is_a_good_one() {
    let manifests = text("kubernetes/putgate.yaml");
    let block = manifests.split("  putgate.toml: |\n").nth(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let secrets = dir.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    for name in ["jwt", "storage", "upload"] {
        std::fs::write(secrets.join(name), SECRET).unwrap();
    }
    std::fs::write(secrets.join("database"), "postgres://putgate@db/putgate").unwrap();
    let lines: Vec<&str> = block
        .lines()
        .take_while(|line| *line != "---")
        .map(|line| line.trim_start_matches("    "))
        .collect();
    let config = lines.join("\n");
    let config = config.replace("/etc/putgate/secrets", secrets.to_str().unwrap());
    let path = dir.path().join("putgate.toml");
    std::fs::write(&path, config).unwrap();
    let said = putgate(&["--config", path.to_str().unwrap(), "check"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for probe in ["/livez", "/readyz", "/metrics"] {
        assert!(manifests.contains(&format!("path: {probe}")), "{probe}");
    }
}

#[test]
fn proxies_hand_on_the_host_that_was_signed() {
    let nginx = text("nginx/putgate.conf");
    let (passes, hosts) = (
        nginx.matches("proxy_pass ").count(),
        nginx.matches("proxy_set_header Host $http_host;").count(),
    );
    assert!(passes == 2 && passes == hosts, "{passes} {hosts}");
    let caddy = text("caddy/Caddyfile");
    assert!(caddy.contains("reverse_proxy store:9000") && !caddy.contains("header_up"));
}
