//! What the upload key may do besides uploading: nothing, if it is as it should be.

use super::Bench;
use super::finding::{Finding, Group};
use super::uploads::{FULL, SMALL};
use crate::config::UploadKey;
use crate::store::{Bucket, Deed, StoreError};

const GROUP: Group = Group::Uploads;

/// `read, list or write`.
fn joined(words: &[&str], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

/// What the upload key may do besides uploading.
pub(super) async fn examine(bench: &Bench<'_>) -> Vec<Finding> {
    if matches!(bench.config.storage.upload_key, UploadKey::Same) {
        return vec![Finding::warn(
            GROUP,
            "upload key",
            "it is the server's own, so only the store's refusal of copy sources keeps files \
             from uploaders",
            "give browsers a key that may only put objects into staging: upload_access_key and \
             upload_secret_key",
        )];
    }
    let key = bench.key("unread");
    for bucket in [Bucket::Staging, Bucket::Files] {
        if let Err(why) = bench.store.leave(bucket, &key, SMALL).await {
            let seen = format!("the server's key cannot write to the {bucket}: {why}");
            let fix = match why {
                StoreError::Full(_) => FULL,
                _ => "give it what `putgate setup --print iam --provider …` says",
            };
            return vec![Finding::fail(GROUP, "upload key", seen, fix)];
        }
    }
    let written = bench.key("written-by-uploader");
    let files = [
        ("read", Deed::Read(Bucket::Files), &key),
        ("list", Deed::List(Bucket::Files), &key),
        ("write", Deed::WriteFiles, &written),
    ];
    let staging = [
        ("read", Deed::Read(Bucket::Staging), &key),
        ("list", Deed::List(Bucket::Staging), &key),
    ];
    let fix = "give it the right to put objects into staging and no other: `putgate setup \
               --print iam --provider …`";
    let mut found = Vec::new();
    for (bucket, deeds) in [(Bucket::Files, &files[..]), (Bucket::Staging, &staging[..])] {
        let mut may = Vec::new();
        let mut unclear = None;
        for (verb, deed, key) in deeds {
            match bench.store.uploader_may(*deed, key).await {
                Ok(true) => may.push(*verb),
                Ok(false) => {}
                Err(why) => unclear = Some(format!("whether it may {verb} the {bucket}: {why}")),
            }
        }
        let verbs: Vec<&str> = deeds.iter().map(|deed| deed.0).collect();
        found.push(match (may.is_empty(), bucket, unclear) {
            (false, Bucket::Files, _) => Finding::fail(
                GROUP,
                "upload key",
                format!("it may {} the {bucket}", joined(&may, "and")),
                fix,
            ),
            (false, Bucket::Staging, _) => Finding::warn(
                GROUP,
                "upload key",
                format!(
                    "it may {} the {bucket}, where others' uploads wait",
                    joined(&may, "and")
                ),
                fix,
            ),
            (true, _, Some(unclear)) => Finding::warn(GROUP, "upload key", unclear, fix),
            (true, ..) => Finding::pass(
                GROUP,
                "upload key",
                format!("it may not {} the {bucket}", joined(&verbs, "or")),
            ),
        });
    }
    found
}
