//! From staging to the files bucket, and out again.

use bytes::Bytes;
use http::Method;

use super::finding::{Finding, Group};
use super::tidy::CHANGED;
use super::uploads::FULL;
use super::{Bench, TTL};
use crate::store::{Bucket, Promotion, StoreError};

const GROUP: Group = Group::Files;

/// An object large enough that a range is not the whole.
const BODY: &[u8] = &[b'f'; 10_000];
/// An `ETag` that no object has.
const NOBODYS: &str = "00000000000000000000000000000000";
const TYPE: &str = "text/plain";
const DISPOSITION: &str = "attachment; filename=\"doctor.txt\"";

/// `reached`: whether the download endpoint answers.
pub(super) async fn examine(bench: &Bench<'_>, reached: bool) -> Vec<Finding> {
    let key = bench.key("file");
    let left = bench.store.leave(Bucket::Staging, &key, BODY).await;
    let etag = match left {
        Ok(()) => bench.store.head(Bucket::Staging, &key).await,
        Err(why) => Err(why),
    };
    let etag = match etag {
        Ok(Some((_, etag))) => etag,
        Ok(None) => return vec![trouble("copy", &StoreError::Missing)],
        Err(why) => return vec![trouble("copy", &why)],
    };
    let mut found = vec![ranges(bench, &key).await, conditions(bench, &key).await];
    let copied = copy(bench, &key, &etag).await;
    let is_copied = copied.fix.is_none();
    found.push(copied);
    found.push(match (is_copied, reached) {
        (true, true) => download(bench, &key).await,
        (true, false) => {
            Finding::skip(GROUP, "download", "not looked at: its endpoint comes first")
        }
        (false, _) => Finding::skip(GROUP, "download", "not looked at: the copy comes first"),
    });
    found
}

fn trouble(check: &'static str, why: &StoreError) -> Finding {
    let fix = match why {
        StoreError::Full(_) => FULL,
        _ => {
            "the server's key has to read and write in both buckets: `putgate setup --print iam \
             --provider …`"
        }
    };
    Finding::fail(GROUP, check, why.to_string(), fix)
}

fn promotion<'a>(key: &'a str, final_key: &'a str, etag: &'a str) -> Promotion<'a> {
    Promotion {
        staging_key: key,
        etag,
        size: BODY.len() as u64,
        final_key,
        content_type: TYPE,
        content_disposition: DISPOSITION,
    }
}

async fn ranges(bench: &Bench<'_>, key: &str) -> Finding {
    match bench.store.answers_ranges(Bucket::Staging, key, 100).await {
        Ok(true) => Finding::pass(
            GROUP,
            "ranges",
            "a ranged GET is answered with the range alone",
        ),
        Ok(false) => Finding::warn(
            GROUP,
            "ranges",
            "a ranged GET is answered with the whole object",
            "Putgate reads no further than it asked, but each verdict costs the store the whole \
             object: take what is in front of it out, or another store",
        ),
        Err(why) => trouble("ranges", &why),
    }
}

/// The copy has to be of what was judged, by one call and by parts.
async fn conditions(bench: &Bench<'_>, key: &str) -> Finding {
    let (whole, parts) = (bench.key("changed"), bench.key(CHANGED));
    let mut complaints = Vec::new();
    match bench.store.promote(&promotion(key, &whole, NOBODYS)).await {
        Err(StoreError::Changed) => {}
        Ok(()) => complaints.push("a copy is made though its source has another ETag"),
        Err(why) => return trouble("conditions", &why),
    }
    let by_parts = promotion(key, &parts, NOBODYS);
    let id = match bench.store.create_copy(&by_parts).await {
        Ok(id) => id,
        Err(why) => return trouble("conditions", &why),
    };
    let copied = bench.store.copy_parts(&by_parts, &id, &|| true).await;
    let given_up = bench
        .store
        .abort_multipart(Bucket::Files, &parts, &id)
        .await;
    match (copied, given_up) {
        (Err(StoreError::Changed), Ok(())) => {}
        (Ok(()), Ok(())) => {
            complaints.push("parts are copied though their source has another ETag");
        }
        (_, Err(why)) | (Err(why), _) => return trouble("conditions", &why),
    }
    if complaints.is_empty() {
        return Finding::pass(
            GROUP,
            "conditions",
            "a copy is refused when its source has another ETag, whole or by parts",
        );
    }
    Finding::fail(
        GROUP,
        "conditions",
        complaints.join("; "),
        "what was judged could be exchanged before the copy. Putgate judges every file again at \
         its final key, so nothing wrong gets in; but take a store that honours \
         x-amz-copy-source-if-match",
    )
}

async fn copy(bench: &Bench<'_>, key: &str, etag: &str) -> Finding {
    if let Err(why) = bench.store.promote(&promotion(key, key, etag)).await {
        return trouble("copy", &why);
    }
    match bench.store.head(Bucket::Files, key).await {
        Ok(Some((size, _))) if size == BODY.len() as u64 => Finding::pass(
            GROUP,
            "copy",
            "from staging to the files bucket, inside the store",
        ),
        Ok(_) => trouble("copy", &StoreError::Missing),
        Err(why) => trouble("copy", &why),
    }
}

async fn download(bench: &Bench<'_>, key: &str) -> Finding {
    let now = bench.clock.now();
    let signed = match bench.store.presign_get(key, DISPOSITION, TYPE, TTL, now) {
        Ok(signed) => signed,
        Err(why) => return trouble("download", &why),
    };
    let fix = "downloads are signed for download_endpoint; a proxy has to hand on Host, port and \
               path unchanged, and the query";
    let url = signed.url.expose();
    let reply = match bench.wire.send(Method::GET, url, &[], Bytes::new()).await {
        Ok(reply) => reply,
        Err(why) => {
            return Finding::fail(GROUP, "download", format!("no answer: {why}"), fix);
        }
    };
    let seen = if reply.status != 200 {
        format!("a signed download was answered with {}", reply.said())
    } else if reply.body != BODY {
        format!("a signed download brought {} other bytes", reply.body.len())
    } else if reply.header("content-disposition") != DISPOSITION
        || reply.header("content-type") != TYPE
    {
        "a signed download came without its content-disposition or content-type".to_owned()
    } else {
        return Finding::pass(
            GROUP,
            "download",
            "a signed URL brings the bytes, with their type and disposition",
        );
    };
    Finding::fail(GROUP, "download", seen, fix)
}
