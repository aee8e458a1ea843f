//! `putgate doctor`: what it says of a good site, and of each fault, as a person reads it
//! (`tests/golden/doctor`); and that it leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

mod common;
#[path = "common/gateway.rs"]
mod gateway;
#[path = "common/golden.rs"]
mod golden;
#[path = "common/process.rs"]
mod process;
#[path = "common/services.rs"]
mod services;

use aws_sdk_s3::types::{CorsConfiguration, CorsRule};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use gateway::{Meddling, admin};
use golden::assert_golden;
use process::{PATIENCE, SLOTS, Said, Site};
use putgate::clock::Clock;
use putgate::devstore::{DevStore, Fault, Lax, Op, Turn};
use putgate::doctor::{Finding, Group, Report, Status};
use putgate::domain::time::Seconds;
use putgate::flow;
use serde_json::Value;
use services::Services;
use tokio::sync::oneshot;

/// What differs from run to run, and the word that stands for it.
struct Names(Vec<(String, &'static str)>);

impl Names {
    fn of(site: &Site, endpoint: &str) -> Self {
        let host = endpoint.strip_prefix("http://").unwrap();
        Self(vec![
            (host.to_owned(), "STORE"),
            (site.dir.path().display().to_string(), "DIR"),
        ])
    }

    fn and(mut self, actual: &str, word: &'static str) -> Self {
        let actual = actual.strip_prefix("http://").unwrap_or(actual);
        self.0.push((actual.to_owned(), word));
        self
    }

    fn put(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (actual, word) in &self.0 {
            text = text.replace(actual, word);
        }
        // A database of the test's own on a server, and how long something took.
        let text = text.split(' ').map(|word| {
            if word.contains("putgate_test_") {
                "SERVER/DATABASE"
            } else {
                word
            }
        });
        let mut words: Vec<&str> = text.collect();
        for at in 1..words.len() {
            if words[at] == "ms" || words[at..].starts_with(&["s", "ahead"]) {
                words[at - 1] = "N";
            }
        }
        words.join(" ")
    }
}

/// The report as a person reads it, without what differs from run to run.
fn report(said: &Said, names: &Names) -> String {
    let json: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let findings = json["findings"].as_array().unwrap().iter().map(|finding| {
        let text = |key: &str| finding[key].as_str();
        let groups = [
            Group::Configuration,
            Group::Database,
            Group::Storage,
            Group::Browser,
            Group::Uploads,
            Group::Files,
            Group::Events,
        ];
        let statuses = [Status::Pass, Status::Warn, Status::Fail, Status::Skip];
        Finding {
            group: groups
                .into_iter()
                .find(|g| Some(g.as_str()) == text("group"))
                .unwrap(),
            check: text("check").unwrap().to_owned().leak(),
            status: statuses
                .into_iter()
                .find(|s| Some(s.as_str()) == text("status"))
                .unwrap(),
            seen: names.put(text("seen").unwrap()),
            fix: text("fix").map(|fix| names.put(fix)),
        }
    });
    let findings: Vec<Finding> = findings.collect();
    let report = Report { findings };
    let failed = report.count(Status::Fail) > 0;
    let code = said.code.unwrap();
    assert_eq!(
        code != 0,
        failed,
        "the exit code says whether something failed: {said:?}"
    );
    report.text()
}

/// A site that was set up, on a store of this process.
struct Ward {
    site: Site,
    store: DevStore,
    names: Names,
    edits: Vec<(String, String)>,
}

impl Ward {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = common::devstore(dir.path()).await;
        let site = Site::new(dir, &store.url());
        site.must(&["setup"]);
        let names = Names::of(&site, &store.url());
        Self {
            site,
            store,
            names,
            edits: Vec::new(),
        }
    }

    /// With this text of the configuration in the place of another.
    fn with(mut self, old: &str, new: &str) -> Self {
        self.edits.push((old.to_owned(), new.to_owned()));
        self
    }

    /// With a line more in `[storage]`.
    fn storage(self, line: &str) -> Self {
        let more = format!("[storage]\n{line}\n");
        self.with("[storage]\n", &more)
    }

    fn named(mut self, actual: &str, word: &'static str) -> Self {
        self.names = self.names.and(actual, word);
        self
    }

    /// With a slot for pages with Uppy.
    fn with_uppy(self) -> Self {
        let [(old, new)] = &uppy("")[..] else {
            unreachable!()
        };
        self.with(old, new)
    }

    /// With this CORS rule in staging.
    async fn cors(self, methods: &[&str], headers: &str) -> Self {
        let rule = CorsRule::builder()
            .allowed_origins("http://127.0.0.1:8080")
            .set_allowed_methods(Some(methods.iter().map(ToString::to_string).collect()))
            .allowed_headers(headers)
            .build()
            .unwrap();
        let rules = CorsConfiguration::builder().cors_rules(rule).build();
        let call = admin(&self.store.url()).put_bucket_cors().bucket("staging");
        let call = call.cors_configuration(rules.unwrap());
        call.send().await.unwrap();
        self
    }

    /// With a store that lacks a rule.
    fn lax(self, rules: &[Lax]) -> Self {
        for rule in rules {
            self.store.faults().neglect(*rule);
        }
        self
    }

    /// With something in front of the store that browsers have to go through.
    async fn behind(self, meddling: Meddling) -> Self {
        let endpoint = gateway::start(&self.store.url(), meddling).await;
        let line = format!("public_endpoint = \"{endpoint}\"");
        self.storage(&line).named(&endpoint, "GATEWAY")
    }

    /// With something in front of the store for this server too.
    async fn wholly_behind(self, meddling: Meddling) -> Self {
        let own = self.store.url();
        let endpoint = gateway::start(&own, meddling).await;
        self.with(&own, &endpoint).named(&endpoint, "GATEWAY")
    }

    fn configure(&self) {
        self.site.write_with(SLOTS, &|mut text| {
            for (old, new) in &self.edits {
                assert!(text.contains(old), "{old} is not in the configuration");
                text = text.replacen(old, new, 1);
            }
            text
        });
    }

    /// What the doctor says is what was reviewed, and what it did has left no trace.
    async fn shows(&self, golden: &str) {
        self.configure();
        let before = self.everything().await;
        let said = self.site.run(&["doctor", "--json"]);
        assert_golden("doctor", golden, &report(&said, &self.names));
        assert_eq!(self.everything().await, before, "something was left behind");
    }

    async fn everything(&self) -> (Vec<(String, u64)>, usize, Vec<String>) {
        let buckets = ["staging", "files"];
        let objects = buckets
            .iter()
            .flat_map(|bucket| self.store.objects(bucket))
            .collect();
        let unfinished = buckets
            .iter()
            .map(|bucket| self.store.unfinished(bucket))
            .sum();
        let mut marks = Vec::new();
        if self.site.database().exists() {
            let mut hand = self.site.database.hand().await;
            marks = hand.lines("SELECT name FROM marks").await;
        }
        (objects, unfinished, marks)
    }
}

// ---- a good site --------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_good_site_passes_and_keeps_what_it_holds() {
    let ward = Ward::new().await;
    ward.store
        .write("staging", "somebodys", b"bytes", "text/plain")
        .unwrap();
    ward.store
        .write("files", "acme/photos/x.1.png", b"bytes", "image/png")
        .unwrap();
    ward.shows("good").await;
    let said = ward.site.run(&["doctor"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.starts_with("database\n  ok    reachable "),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_doctor_left_that_was_killed_is_cleared_an_hour_later() {
    let ward = Ward::new().await;
    let old = "putgate-doctor/019386a0-0000-7000-8000-000000000000";
    let young = format!("putgate-doctor/{}", flow::new_id(&Clock::System));
    let keep = |bucket: &str, key: &str| {
        ward.store
            .write(bucket, key, b"bytes", "text/plain")
            .unwrap();
    };
    keep("staging", &format!("{old}/put"));
    keep("staging", &format!("{young}/put"));
    keep("files", "putgate-doctor/notes");
    let client = admin(&ward.store.url());
    for (bucket, name) in [
        ("staging", "multipart"),
        ("staging", "copied"),
        ("files", "changed-parts"),
    ] {
        for run in [old, &young] {
            let call = client.create_multipart_upload().bucket(bucket);
            call.key(format!("{run}/{name}")).send().await.unwrap();
        }
    }
    let said = ward.site.run(&["doctor"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let (objects, unfinished, _) = ward.everything().await;
    let left: Vec<String> = objects.into_iter().map(|(key, _)| key).collect();
    // Another may be at work, and notes are nobody's.
    let expected = [format!("{young}/put"), "putgate-doctor/notes".to_owned()];
    assert_eq!((left, unfinished), (expected.to_vec(), 3));
}

/// Lets the next `op` wait until what is answered is dropped; tells when it has come so far.
async fn held_at(ward: &Ward, op: Op) -> (process::Server, oneshot::Sender<()>) {
    let (arrive, arrived) = oneshot::channel();
    let (go, gone) = oneshot::channel::<()>();
    ward.store.faults().before(op, 1, || async move {
        let _ = arrive.send(());
        let _ = gone.await;
    });
    let doctor = process::Server::doctor(&ward.site.config());
    let came = tokio::time::timeout(PATIENCE, arrived).await;
    assert!(came.is_ok_and(|came| came.is_ok()), "{doctor:?}");
    (doctor, go)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_doctors_at_once_both_pass() {
    let ward = Ward::new().await;
    ward.configure();
    // It has an object in staging, and an upload in the files bucket.
    let (first, go) = held_at(&ward, Op::UploadPartCopy).await;
    let second = ward.site.run(&["doctor"]);
    assert_eq!(second.code, Some(0), "{second:?}");
    drop(go);
    assert!(first.ended(PATIENCE).success(), "{first:?}");
    let (objects, unfinished, marks) = ward.everything().await;
    assert_eq!((objects, unfinished, marks), (vec![], 0, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_that_is_stopped_takes_away_what_it_wrote() {
    for signal in ["INT", "TERM"] {
        let ward = Ward::new().await;
        ward.configure();
        let (doctor, _go) = held_at(&ward, Op::CompleteMultipart).await;
        let (objects, unfinished, _) = ward.everything().await;
        assert!(!objects.is_empty() && unfinished == 1, "{objects:?}");
        doctor.signal(signal);
        assert_eq!(doctor.ended(PATIENCE).code(), Some(1), "{doctor:?}");
        let (objects, unfinished, marks) = ward.everything().await;
        assert_eq!((objects, unfinished, marks), (vec![], 0, vec![]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_beside_a_running_server_and_no_secret_is_said() {
    let ward = Ward::new().await;
    ward.configure();
    let _server = process::Server::serve(&ward.site.config());
    for args in [&["doctor"][..], &["doctor", "--json"]] {
        let said = ward.site.run(args);
        assert_eq!(said.code, Some(0), "{said:?}");
        let all = said.out + &said.err;
        for secret in ["server-secret", "upload-secret", "X-Amz-", common::SECRET] {
            assert!(!all.contains(secret), "{secret}: {all}");
        }
    }
}

// ---- configuration --------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn an_internal_name_in_the_public_endpoint_is_named() {
    let ward = Ward::new().await;
    ward.storage("public_endpoint = \"http://minio:9000\"")
        .shows("internal-name")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_http_store_under_https_pages_is_named() {
    let ward = Ward::new().await;
    let ward = ward.with("http://127.0.0.1:8080", "https://app.example.com");
    let line = "public_endpoint = \"http://uploads.example.com\"";
    ward.storage(line).shows("http-under-https").await;
}

// ---- database -------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_never_set_up_is_named() {
    let ward = Ward::new().await;
    let ward = ward.with("putgate.db", "other.db");
    ward.shows("database-missing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_schema_is_named() {
    let ward = Ward::new().await;
    let mut hand = ward.site.database.hand().await;
    hand.run("DELETE FROM _sqlx_migrations").await.unwrap();
    ward.shows("schema-old").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_named() {
    let ward = Ward::new().await;
    let mut hand = ward.site.database.hand().await;
    let newer = "UPDATE _sqlx_migrations SET version = version + 100";
    hand.run(newer).await.unwrap();
    ward.shows("schema-newer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_is_named() {
    let ward = Ward::new().await;
    ward.configure();
    let said = process::as_a_reader(&ward.site, &["doctor", "--json"]);
    assert_golden("doctor", "database-read-only", &report(&said, &ward.names));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_room_is_named() {
    let ward = Ward::new().await;
    ward.configure();
    let said = process::without_room(&ward.site, &["doctor", "--json"]);
    assert_golden("doctor", "database-full", &report(&said, &ward.names));
}

// ---- storage --------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_region_is_named_with_the_right_one() {
    let ward = Ward::new().await;
    ward.with("us-east-1", "eu-west-1")
        .shows("wrong-region")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_named() {
    let ward = Ward::new().await;
    let ward = ward.with("files_bucket = \"files\"", "files_bucket = \"fiels\"");
    ward.shows("missing-bucket").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_of_the_servers_is_named() {
    let ward = Ward::new().await;
    ward.with("server-secret", "another")
        .shows("wrong-server-secret")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_access_key_is_named() {
    let ward = Ward::new().await;
    let ward = ward.with("\naccess_key = \"server\"", "\naccess_key = \"stranger\"");
    ward.shows("unknown-access-key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_named() {
    let ward = Ward::new().await;
    ward.store.stop().await;
    ward.configure();
    let said = ward.site.run(&["doctor", "--json"]);
    assert_golden("doctor", "store-down", &report(&said, &ward.names));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_clock_is_ten_minutes_ahead_is_named() {
    let ward = Ward::new().await;
    let ward = ward.wholly_behind(Meddling::Late(Seconds(600))).await;
    ward.shows("clock-skew").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_end_uploads_or_files_are_named() {
    const STAGING: &str = "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status>\
        <Filter><Prefix></Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule>\
        </LifecycleConfiguration>";
    const FILES: &str = "<LifecycleConfiguration><Rule><ID>b</ID><Status>Enabled</Status>\
        <Filter><And><Prefix>acme/</Prefix><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></And>\
        </Filter><Expiration><Days>365</Days></Expiration></Rule></LifecycleConfiguration>";
    let ward = Ward::new().await;
    let ward = ward.wholly_behind(Meddling::Rules(STAGING, FILES)).await;
    ward.shows("lifecycle-ends-files").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_not_in_force_is_named() {
    const STAGING: &str = "<LifecycleConfiguration><Rule><ID>a</ID><Status>Disabled</Status>\
        <Filter><Prefix></Prefix></Filter><Expiration><Days>14</Days></Expiration>\
        <AbortIncompleteMultipartUpload><DaysAfterInitiation>14</DaysAfterInitiation>\
        </AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>";
    const FILES: &str = "<LifecycleConfiguration></LifecycleConfiguration>";
    let ward = Ward::new().await;
    let ward = ward.wholly_behind(Meddling::Rules(STAGING, FILES)).await;
    ward.shows("lifecycle-off").await;
}

// ---- browser --------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_public_endpoint_that_does_not_resolve_is_named() {
    let ward = Ward::new().await;
    let ward = ward.storage("public_endpoint = \"http://uploads.invalid\"");
    ward.shows("unresolvable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_endpoint_where_nobody_listens_is_named() {
    let ward = Ward::new().await;
    ward.storage("public_endpoint = \"http://127.0.0.1:9\"")
        .shows("unanswered")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cors_forgets_is_named() {
    let ward = Ward::new().await;
    let two = "\"http://127.0.0.1:8080\", \"http://localhost:5173\"";
    ward.with("\"http://127.0.0.1:8080\"", two)
        .shows("cors-without-origin")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_cors_forgets_is_named() {
    let ward = Ward::new().await.cors(&["PUT"], "content-type").await;
    ward.shows("cors-without-header").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_site_for_uppy_passes() {
    Ward::new().await.with_uppy().shows("uppy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_lets_uppy_not_post_is_named() {
    let ward = Ward::new().await.with_uppy().cors(&["PUT"], "*").await;
    ward.shows("uppy-without-post").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_hides_the_etag_from_uppy_is_named() {
    let ward = Ward::new().await.with_uppy();
    let ward = ward.cors(&["PUT", "POST"], "*").await;
    ward.shows("uppy-without-etag").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_that_have_to_be_signed_are_named() {
    let ward = Ward::new().await;
    ward.behind(Meddling::SignedPreflights)
        .await
        .shows("cors-signed")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_that_a_page_cannot_read_are_named() {
    let ward = Ward::new().await;
    ward.behind(Meddling::BareRefusals)
        .await
        .shows("cors-on-refusals")
        .await;
}

// ---- uploads --------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_limits_bodies_is_named() {
    let ward = Ward::new().await;
    ward.behind(Meddling::Limit(1024 * 1024))
        .await
        .shows("body-limit")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_takes_parts_and_no_whole_files_is_named() {
    let ward = Ward::new().await;
    ward.behind(Meddling::Limit(10_000_000))
        .await
        .shows("body-limit-of-files")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_larger_than_a_trial_is_named() {
    let ward = Ward::new().await;
    ward.with("part_size = \"5MiB\"", "part_size = \"512MiB\"")
        .shows("larger-than-tried")
        .await;
}

/// A store, or what is in front of it, keeps what it has to refuse.
async fn takes(names: &'static [&'static str], golden: &str) {
    let ward = Ward::new().await;
    ward.behind(Meddling::Takes(names))
        .await
        .shows(golden)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_any_length_is_named() {
    takes(&["longer", "shorter"], "length-ignored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_expired_urls_is_named() {
    takes(&["expired"], "expiry-ignored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_any_signature_is_named() {
    takes(&["tampered", "another"], "signature-ignored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_forms_over_their_maximum_is_named() {
    takes(&["form-longer"], "form-length-ignored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_any_form_of_uppy_fails() {
    let ward = Ward::new().await.with_uppy();
    let names = &["form-longer", "form-shorter", "form-forged", "form-moved"];
    ward.behind(Meddling::Takes(names))
        .await
        .shows("uppy-form-ignored")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_trouble_is_not_praised_for_its_copies() {
    let ward = Ward::new().await;
    ward.store.faults().govern(|op, _, key| Turn {
        fault: (matches!(op, Op::CopyObject | Op::UploadPartCopy) && key.ends_with("/copied"))
            .then_some(Fault::ErrorBefore(500)),
        ..Turn::default()
    });
    let ward = ward.lax(&[Lax::UnsignedHeaders, Lax::UploadKeyReads]);
    ward.shows("copy-source-unclear").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_changes_the_host_is_named() {
    let ward = Ward::new().await;
    ward.behind(Meddling::OtherHost)
        .await
        .shows("host-rewritten")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_upload_secret_is_named() {
    let ward = Ward::new().await;
    ward.with("upload-secret", "another")
        .shows("wrong-upload-secret")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_calls_everything_well_is_named() {
    let ward = Ward::new().await;
    ward.behind(Meddling::AllIsWell)
        .await
        .shows("everything-is-200")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_checksums_is_named() {
    let ward = Ward::new().await;
    ward.lax(&[Lax::Checksums]).shows("checksum-ignored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_copies_for_uploaders_is_named() {
    let ward = Ward::new().await;
    ward.lax(&[Lax::UnsignedHeaders, Lax::UploadKeyReads])
        .shows("copy-source-honoured")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_source_is_harmless_where_the_upload_key_may_only_write() {
    let ward = Ward::new().await;
    ward.lax(&[Lax::UnsignedHeaders])
        .shows("unsigned-headers")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_for_all_is_named() {
    let ward = Ward::new().await;
    let ward = ward
        .with(
            "upload_access_key = \"upload\"\n",
            "upload_key = \"same\"\n",
        )
        .with("upload_secret_key = \"upload-secret\"\n", "");
    ward.shows("one-key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_key_that_may_read_is_named() {
    let ward = Ward::new().await;
    ward.lax(&[Lax::UploadKeyReads])
        .shows("upload-key-reads")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_key_that_may_list_is_named() {
    let ward = Ward::new().await;
    ward.lax(&[Lax::UploadKeyLists])
        .shows("upload-key-lists")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_key_that_may_write_files_is_named() {
    let ward = Ward::new().await;
    ward.lax(&[Lax::UploadKeyWrites])
        .shows("upload-key-writes")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_forms_is_named() {
    let ward = Ward::new().await;
    ward.behind(Meddling::NoForms).await.shows("no-forms").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_is_named() {
    let ward = Ward::new().await;
    ward.store
        .faults()
        .always(Op::PutObject, Fault::ErrorBefore(507));
    ward.store
        .faults()
        .always(Op::CreateMultipart, Fault::ErrorBefore(507));
    ward.shows("store-full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multipart_upload_that_cannot_be_finished_is_named() {
    let ward = Ward::new().await;
    ward.store
        .faults()
        .always(Op::CompleteMultipart, Fault::ErrorBefore(403));
    ward.shows("multipart-refused").await;
}

// ---- files ----------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ignores_ranges_is_named() {
    let ward = Ward::new().await;
    ward.lax(&[Lax::Ranges]).shows("ranges-ignored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ignores_a_copys_condition_is_named() {
    let ward = Ward::new().await;
    ward.lax(&[Lax::CopyConditions])
        .shows("copy-condition-ignored")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_copy_is_named() {
    let ward = Ward::new().await;
    ward.store
        .faults()
        .always(Op::CopyObject, Fault::ErrorBefore(403));
    ward.shows("copy-refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_that_lose_their_headers_are_named() {
    let ward = Ward::new().await;
    ward.behind(Meddling::BareDownloads)
        .await
        .shows("download-bare")
        .await;
}

// ---- events ---------------------------------------------------------------------------------

fn hook(ward: Ward, url: &str) -> Ward {
    let secret = ward.site.dir.path().join("hook.secret");
    std::fs::write(secret, "a secret of the receiver's, long enough").unwrap();
    let section = format!(
        "[webhook]\nurl = \"{url}/hook\"\nsecret_files = [\"hook.secret\"]\nallow_private = true\n\n[limits]"
    );
    ward.with("[limits]", &section).named(url, "RECEIVER")
}

async fn receiver(status: u16) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let status = StatusCode::from_u16(status).unwrap();
    let router = Router::new().route("/hook", post(async move || status));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_answers_passes() {
    let url = receiver(204).await;
    hook(Ward::new().await, &url).shows("webhook-good").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_is_named() {
    hook(Ward::new().await, "http://127.0.0.1:9")
        .shows("webhook-down")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_the_signature_is_named() {
    let url = receiver(401).await;
    hook(Ward::new().await, &url).shows("webhook-refuses").await;
}

// ---- stores of other houses -----------------------------------------------------------------

/// What is wrong, and how the configuration becomes so.
type Spoiled = (&'static str, fn(&str) -> Vec<(String, String)>);

fn one(old: &str, new: &str) -> Vec<(String, String)> {
    vec![(old.to_owned(), new.to_owned())]
}

/// A slot for pages with Uppy.
fn uppy(_: &str) -> Vec<(String, String)> {
    one(
        "[slots.photos]\n",
        "[slots.photos]\ndialects = [\"uppy\"]\n",
    )
}

const FAULTS: &[Spoiled] = &[
    ("good", |_| vec![]),
    ("uppy", uppy),
    ("wrong-region", |text| {
        let region = text
            .split("region = \"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        one(
            &format!("region = \"{region}\""),
            "region = \"eu-nowhere-9\"",
        )
    }),
    ("missing-bucket", |_| {
        one("files_bucket = \"files\"", "files_bucket = \"fiels\"")
    }),
    ("wrong-server-secret", |text| {
        let line = text
            .lines()
            .find(|line| line.starts_with("secret_key"))
            .unwrap();
        one(
            &format!("\n{line}"),
            "\nsecret_key = \"another-secret-than-it-has\"",
        )
    }),
    ("unknown-access-key", |text| {
        let line = text
            .lines()
            .find(|line| line.starts_with("access_key"))
            .unwrap();
        one(&format!("\n{line}"), "\naccess_key = \"STRANGER\"")
    }),
    ("wrong-upload-secret", |text| {
        let line = text
            .lines()
            .find(|line| line.starts_with("upload_secret_key"))
            .unwrap();
        one(line, "upload_secret_key = \"another-secret-than-it-has\"")
    }),
    ("unresolvable", |_| {
        one(
            "[storage]\n",
            "[storage]\npublic_endpoint = \"http://uploads.invalid\"\n",
        )
    }),
    ("unanswered", |_| {
        one(
            "[storage]\n",
            "[storage]\npublic_endpoint = \"http://127.0.0.1:9\"\n",
        )
    }),
    ("cors-without-origin", |_| {
        one(
            "\"http://127.0.0.1:8080\"",
            "\"http://127.0.0.1:8080\", \"http://localhost:5173\"",
        )
    }),
    ("one-key", |text| {
        let line = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            format!("{}\n", line.unwrap())
        };
        vec![
            (
                line("upload_access_key"),
                "upload_key = \"same\"\n".to_owned(),
            ),
            (line("upload_secret_key"), String::new()),
        ]
    }),
    ("database-missing", |text| {
        let line = text
            .lines()
            .find(|line| line.starts_with("url = "))
            .unwrap();
        one(line, "url = \"sqlite:///nowhere/putgate.db\"")
    }),
    ("webhook-down", |_| {
        one(
            "[limits]",
            "[webhook]\nurl = \"http://127.0.0.1:9/hook\"\nsecret_files = [\"token.secret\"]\n\
             allow_private = true\n\n[limits]",
        )
    }),
];

const MEDDLERS: &[(&str, Meddling)] = &[
    ("clock-skew", Meddling::Late(Seconds(600))),
    ("body-limit", Meddling::Limit(1024 * 1024)),
    ("host-rewritten", Meddling::OtherHost),
    ("cors-signed", Meddling::SignedPreflights),
    ("cors-on-refusals", Meddling::BareRefusals),
    ("no-forms", Meddling::NoForms),
    ("everything-is-200", Meddling::AllIsWell),
    ("download-bare", Meddling::BareDownloads),
];

/// The same on a store that somebody else wrote, one fault after the other.
#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_the_environment_is_examined() {
    let services = Services::of_environment().await;
    if services.name() == "devstore" {
        // The tests above are about it.
        return;
    }
    let site = services.site();
    site.must(&["setup"]);
    let shows = |fault: &str, names: &Names| {
        let said = site.run(&["doctor", "--json"]);
        assert_golden(
            "doctor",
            &format!("{}/{fault}", services.name()),
            &report(&said, names),
        );
    };
    let names = Names::of(&site, &services.endpoint);
    for (fault, edits) in FAULTS {
        site.write_with(SLOTS, &|mut text| {
            for (old, new) in edits(&text) {
                assert!(text.contains(&old), "{fault}: {old} is not in {text}");
                text = text.replacen(&old, &new, 1);
            }
            text
        });
        shows(fault, &names);
    }
    for (fault, meddling) in MEDDLERS {
        let endpoint = gateway::start(&services.endpoint, *meddling).await;
        let wholly = matches!(meddling, Meddling::Late(_));
        site.write_with(SLOTS, &|text| {
            if wholly {
                text.replace(&services.endpoint, &endpoint)
            } else {
                let line = format!("[storage]\npublic_endpoint = \"{endpoint}\"\n");
                text.replacen("[storage]\n", &line, 1)
            }
        });
        let names = Names::of(&site, &services.endpoint).and(&endpoint, "GATEWAY");
        shows(fault, &names);
    }
}
