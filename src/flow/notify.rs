//! Notify: the store says that objects have arrived. A hint that saves the worker's minute,
//! never the truth: all it can do is wake an attempt, and a lost one costs that minute.

use std::collections::BTreeSet;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::App;
use super::attempt::attempt_on;
use crate::domain::key;
use crate::domain::name::Id;
use crate::domain::ticket::State;
use crate::store::Bucket;

/// How many notifications are followed at once; what comes beyond is left to the worker.
pub(super) const AT_ONCE: usize = 64;

/// The tickets whose objects an event says were written to staging. Events of AWS and of
/// stores that imitate it, `Records[].s3.bucket.name` and `.object.key`, the key encoded as
/// in a form; and those of `EventBridge`, `detail.bucket.name` and `.object.key`, which can
/// send a secret. Whatever else comes names nobody.
pub fn tickets_of(event: &Value, staging_bucket: &str) -> BTreeSet<Id> {
    let records = event["Records"].as_array().map_or(&[][..], Vec::as_slice);
    let recorded = records.iter().filter_map(|record| {
        let name = record["eventName"].as_str()?;
        // AWS leaves the prefix out, MinIO does not.
        let name = name.strip_prefix("s3:").unwrap_or(name);
        name.starts_with("ObjectCreated:").then_some(&record["s3"])
    });
    let bridged = (event["detail-type"] == "Object Created").then_some(&event["detail"]);
    recorded
        .chain(bridged)
        .filter(|written| written["bucket"]["name"] == staging_bucket)
        .filter_map(|written| {
            let key = written["object"]["key"].as_str()?.replace('+', " ");
            let key = percent_decode_str(&key).decode_utf8().ok()?;
            // A piece is not the file yet.
            let is_piece = key::piece_offset(&key).is_some();
            key::staging_owner(&key).filter(|_| !is_piece)
        })
        .collect()
}

/// Wakes an attempt for each open ticket that the event names, and returns at once.
pub fn notify(app: &Arc<App>, event: &Value) {
    let tickets = tickets_of(event, app.store.name(Bucket::Staging));
    if tickets.is_empty() {
        return;
    }
    let Ok(place) = Arc::clone(&app.notices).try_acquire_owned() else {
        tracing::debug!("a notification is left to the worker");
        return;
    };
    let app = Arc::clone(app);
    tokio::spawn(async move {
        for id in tickets {
            match app.db.ticket(id).await {
                Ok(Some(ticket)) if ticket.state == State::Open => {
                    attempt_on(&app, &ticket).await;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "a notification is left to the worker");
                    break;
                }
            }
        }
        drop(place);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ONE: &str = "01900000-0000-7000-8000-000000000001";

    fn record(name: &str, bucket: &str, key: &str) -> Value {
        json!({"Records": [{"eventName": name,
            "s3": {"bucket": {"name": bucket}, "object": {"key": key, "eTag": "abc"}}}]})
    }

    #[test]
    fn only_objects_written_to_staging_under_a_tickets_key_are_named() {
        let put = "ObjectCreated:Put";
        let encoded = ONE.replace('-', "%2D");
        let bridge = |kind: &str| {
            json!({"detail-type": kind, "source": "aws.s3",
                "detail": {"bucket": {"name": "staging"}, "object": {"key": ONE}}})
        };
        let mut minio = record("s3:ObjectCreated:CompleteMultipartUpload", "staging", ONE);
        minio["EventName"] = json!("s3:ObjectCreated:CompleteMultipartUpload");
        minio["Key"] = json!(format!("staging/{ONE}"));
        let rows = [
            (record(put, "staging", ONE), true),
            (record("s3:ObjectCreated:Put", "staging", &encoded), true),
            (minio, true),
            (bridge("Object Created"), true),
            (bridge("Object Deleted"), false),
            (record("s3:ObjectRemoved:Delete", "staging", ONE), false),
            (record(put, "files", ONE), false),
            (record(put, "staging", "readme.txt"), false),
            (record(put, "staging", &format!("{ONE}+")), false),
            (record(put, "staging", &format!("{ONE}.65536")), false),
            (record(put, "staging", "%ff%fe"), false),
            (
                json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "staging"}),
                false,
            ),
            (json!({"Records": {"eventName": 1}}), false),
            (
                json!({"Records": [1, null, {"eventName": put, "s3": []}]}),
                false,
            ),
            (json!([]), false),
            (json!({"detail-type": "Object Created", "detail": 1}), false),
        ];
        for (event, named) in rows {
            let found = tickets_of(&event, "staging");
            assert_eq!(found.len(), usize::from(named), "{event}");
            assert!(found.iter().all(|id| id.to_string() == ONE));
        }
    }
}
