//! `putgate setup`: what it prints for each kind of store, and how it waits.

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

mod common;
#[path = "common/process.rs"]
mod process;

use std::path::Path;
use std::time::Duration;

use process::{SLOTS, Said, Site};
use putgate::devstore::{DevStore, Fault, Op};
use serde_json::Value;

const PROVIDERS: [&str; 5] = ["aws", "minio", "r2", "garage", "seaweedfs"];

/// A site that needs no store.
fn paper() -> Site {
    Site::new(tempfile::tempdir().unwrap(), "http://127.0.0.1:9")
}

async fn site() -> (Site, DevStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = common::devstore(dir.path()).await;
    (Site::new(dir, &store.url()), store)
}

fn text_of(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_for_each_store_is_what_was_reviewed() {
    let site = paper();
    let mut all = String::new();
    for text in ["iam", "cors", "lifecycle"] {
        for provider in PROVIDERS {
            let said = site.must(&["setup", "--print", text, "--provider", provider]);
            all += &["=== ", text, ", ", provider, "\n", &said].concat();
        }
    }
    assert_eq!(all, text_of("tests/golden/setup-print.txt"));
    assert!(!site.database().exists(), "printing sets nothing up");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policies_of_the_compose_file_are_those_that_are_printed() {
    let printed = paper().must(&["setup", "--print", "iam", "--provider", "minio"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    for role in ["server", "upload"] {
        let shipped = text_of(&format!("deploy/minio/{role}-policy.json"));
        let shipped: Value = serde_json::from_str(&shipped).unwrap();
        assert_eq!(shipped, printed[role], "{role}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn print_and_provider_belong_together() {
    for lone in [["--print", "iam"], ["--provider", "aws"]] {
        let said = paper().run(&["setup", lone[0], lone[1]]);
        assert_eq!(said.code, Some(2), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_that_are_missing_are_made() {
    let (site, store) = site().await;
    site.write_with(SLOTS, &|text| {
        text.replace("\"staging\"", "\"incoming\"")
            .replace("\"files\"", "\"kept\"")
    });
    let said = site.must(&["setup"]);
    assert!(
        said.contains("the staging bucket incoming was made")
            && said.contains("the files bucket kept was made"),
        "{said}"
    );
    let made = store.faults().count(Op::CreateBucket);
    let again = site.must(&["setup"]);
    assert!(again.contains("the files bucket kept is there"), "{again}");
    assert_eq!(store.faults().count(Op::CreateBucket), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_comes_late_is_waited_for_and_the_reason_is_said() {
    let (site, store) = site().await;
    // The client itself tries three times.
    for n in 1..=4 {
        store
            .faults()
            .nth(Op::HeadBucket, n, Fault::ErrorBefore(503));
    }
    let said = site.run(&["setup"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.err
            .contains("waiting: the store is unavailable: HeadBucket")
    );
    assert!(said.out.contains("the staging bucket staging is there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_alone_needs_no_store() {
    let site = paper();
    let said = site.must(&["setup", "--database-only"]);
    assert_eq!(said, "the database's schema is up to date\n");
    assert!(site.database().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_never_comes_ends_the_patience() {
    let said = paper().run(&["setup", "--patience", "1"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("the store is unavailable"), "{said:?}");
    assert!(said.err.contains("Connection refused"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_is_not_asked_again() {
    let (site, _store) = site().await;
    site.write_with(SLOTS, &|text| text.replace("server-secret", "wrong"));
    let started = std::time::Instant::now();
    let said: Said = site.run(&["setup"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err.contains("the store refused: HeadBucket: 403"),
        "{said:?}"
    );
    assert!(!said.err.contains("waiting"), "{said:?}");
    assert!(started.elapsed() < Duration::from_secs(30));
}
