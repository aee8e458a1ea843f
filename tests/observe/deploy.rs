//! The files of `deploy/` name what there is. The programs that read them judge their form, in
//! tests/stages/deploy.

use std::collections::BTreeSet;
use std::fs::{Permissions, read_to_string};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tokio::task::block_in_place;

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
    for probe in ["/livez", "/readyz"] {
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
    assert!(passes == 3 && passes == hosts, "{passes} {hosts}");
    let caddy = text("caddy/Caddyfile");
    assert!(caddy.contains("reverse_proxy store:9000") && !caddy.contains("header_up"));
}

/// A `location` of the nginx file, or a `server`, without its comments.
fn nginx_block(head: &str) -> String {
    let nginx = text("nginx/putgate.conf");
    let inside = nginx.split_once(head).unwrap().1;
    let block = inside.split_once("\n    }").unwrap().0;
    let lines = block.lines().map(str::trim);
    let lines: Vec<_> = lines.filter(|line| !line.starts_with('#')).collect();
    lines.join("\n")
}

#[test]
fn proxies_hand_on_files_of_forms_as_they_come_and_quote_no_token() {
    for (head, wanted) in [
        (
            "location ^~ /u/ {",
            &[
                "client_max_body_size 0;",
                "proxy_request_buffering off;",
                "error_log /var/log/nginx/putgate-error.log emerg;",
            ][..],
        ),
        (
            "server_name s3.example.com;",
            &[
                "error_log /var/log/nginx/putgate-error.log emerg;",
                "client_max_body_size 0;",
                "proxy_request_buffering off;",
            ],
        ),
    ] {
        let block = nginx_block(head);
        for directive in wanted {
            assert!(block.contains(directive), "{head} has no {directive}");
        }
    }
    let nginx = text("nginx/putgate.conf");
    let format = nginx.split("log_format putgate ").nth(1).unwrap();
    let format = format.lines().next().unwrap();
    for variable in [
        "$uri",
        "$request ",
        "$request_uri",
        "$args",
        "$http_referer",
    ] {
        assert!(!format.contains(variable), "{variable} is logged");
    }
    let caddy = text("caddy/Caddyfile");
    for path in ["/v1/*", "/f/*", "/u/*", "/docs", "/docs/*", "/openapi.json"] {
        let list = caddy.lines().find(|line| line.contains("@broker path"));
        let is_there = list.unwrap().split(' ').any(|known| known == path);
        assert!(is_there, "Caddy hands {path} to the demo page");
    }
    assert!(caddy.contains("exclude http.log.error http.handlers.reverse_proxy"));
}

#[test]
fn every_alert_is_seen_to_fire_and_to_be_silent() {
    let (rules, cases) = (
        text("prometheus/putgate.rules.yml"),
        text("prometheus/tests.yml"),
    );
    for alert in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        let fires = format!("alertname: {alert}\n        exp_alerts:\n");
        assert!(cases.contains(&fires), "{alert} fires in no case");
        let silent = format!(", alertname: {alert} }}\n");
        assert!(cases.contains(&silent), "{alert} is silent in no case");
    }
}

#[test]
fn the_job_that_the_alerts_look_for_is_scraped() {
    let rules = text("prometheus/putgate.rules.yml");
    assert!(rules.contains("absent(up{job=\"putgate\"})"));
    for path in ["prometheus/prometheus.yml", "prometheus/kubernetes.yml"] {
        assert!(text(path).contains("- job_name: putgate\n"), "{path}");
    }
    let manifests = text("kubernetes/putgate.yaml");
    let job = text("prometheus/kubernetes.yml");
    for (asked, there) in [
        ("regex: admin,", "{ name: admin, containerPort: 3001 }"),
        (
            "label: app.kubernetes.io/name=putgate ",
            "labels: { app.kubernetes.io/name: putgate, app.kubernetes.io/component: server }",
        ),
    ] {
        assert!(job.contains(asked) && manifests.contains(there), "{asked}");
    }
    assert!(
        !manifests.contains("prometheus.io/"),
        "a job that follows annotations would scrape the pods once more"
    );
}

#[test]
fn a_signal_finds_the_files_that_changed() {
    // Neither kind of mount shows a file that was put in the place of another.
    assert!(!text("kubernetes/putgate.yaml").contains("subPath"));
    let compose = read_to_string(root().join("docker-compose.yml")).unwrap();
    assert!(compose.contains("\"./deploy/compose:/etc/putgate:ro\""));
    assert!(!compose.contains("putgate.toml:"));
    let unit = text("systemd/putgate.service");
    let (_, reload) = unit.split_once("StateDirectoryMode").unwrap();
    assert!(
        reload.contains("LoadCredential="),
        "else a reload is enough"
    );
    assert!(unit.contains("a secret that changed takes `systemctl restart putgate`"));
}

#[test]
fn the_network_policy_lets_traces_and_names_through() {
    let (manifests, runbook) = (text("kubernetes/putgate.yaml"), text("RUNBOOK.md"));
    let port = runbook.split("http://collector:").nth(1).unwrap();
    let port = port.split('`').next().unwrap();
    let policy = manifests.split("kind: NetworkPolicy").nth(1).unwrap();
    let egress = policy.split("  egress:\n").nth(1).unwrap();
    for rule in [
        format!("{{ protocol: TCP, port: {port} }}"),
        "ipBlock: { cidr: 169.254.20.10/32 }".to_owned(),
    ] {
        assert!(egress.contains(&rule), "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn installed_as_its_unit_says_the_service_can_read_what_it_must_and_no_secret() {
    const NOBODY: u32 = 65_534;
    let dir = tempfile::tempdir().unwrap();
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    set(dir.path(), 0o755);
    let (etc, credentials) = (
        dir.path().join("etc/putgate"),
        dir.path().join("credentials"),
    );
    std::fs::create_dir(&credentials).unwrap();
    std::fs::create_dir(dir.path().join("etc")).unwrap();
    for name in ["jwt", "storage", "upload"] {
        std::fs::write(dir.path().join(name), SECRET).unwrap();
        std::fs::write(credentials.join(name), SECRET).unwrap();
        set(&credentials.join(name), 0o444);
    }
    let given = credentials.to_str().unwrap();
    let config = format!(
        "[storage]\nregion = \"us-east-1\"\nstaging_bucket = \"staging\"\n\
         files_bucket = \"files\"\naccess_key = \"a\"\nsecret_key_file = \"{given}/storage\"\n\
         upload_access_key = \"b\"\nupload_secret_key_file = \"{given}/upload\"\n\
         [auth]\nhs256_secret_files = [\"{given}/jwt\"]\n[slots.photos]\n"
    );
    std::fs::write(dir.path().join("putgate.toml"), config).unwrap();
    let unit = text("systemd/putgate.service");
    let steps: Vec<&str> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .filter(|line| line.starts_with("install -d"))
        .collect();
    assert_eq!(steps.len(), 2, "{steps:?}");
    for step in steps {
        let step = step.replace("/etc/putgate", etc.to_str().unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask 077; {step}")]);
        let done = block_in_place(|| shell.current_dir(dir.path()).status());
        assert!(done.unwrap().success(), "{step}");
    }
    // As systemd begins it: in WorkingDirectory=, as the user of DynamicUser=.
    assert!(unit.contains("\nWorkingDirectory=/etc/putgate\n"));
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(mode(&etc) & 0o005, 0o005, "others may not enter it");
    assert_eq!(mode(&etc.join("putgate.toml")) & 0o004, 0o004);
    assert_eq!(mode(&etc.join("secrets")) & 0o077, 0);
    let mut check = Command::new(env!("CARGO_BIN_EXE_putgate"));
    check.arg("check").current_dir(&etc).env_clear();
    // Nobody is kept out of what is their own; these modes say the same.
    if etc.metadata().unwrap().uid() == 0 {
        check.uid(NOBODY).gid(NOBODY);
    }
    let said = block_in_place(|| check.output()).unwrap();
    assert!(said.status.success(), "{said:?}");
}
