//! The store as this server reaches it: keys, region, buckets, clock.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::database::clock;
use super::finding::{Finding, Group, Status};
use super::{Bench, lifecycle};
use crate::config::{ServerKey, UploadKey};
use crate::domain::time::Timestamp;
use crate::store::{Bucket, BucketLook, StoreError};

const GROUP: Group = Group::Storage;

/// Temporary keys that end sooner than this are worth a word, in seconds.
const SOON: i64 = 15 * 60;

/// There is no client to ask with.
pub(super) fn no_store(error: &StoreError) -> Finding {
    Finding::fail(
        GROUP,
        "keys",
        error.to_string(),
        "give access_key and secret_key in [storage], or credentials where the AWS default \
         chain finds them; then ask again",
    )
}

pub(super) async fn examine(bench: &Bench<'_>) -> Vec<Finding> {
    let mut found = vec![keys(bench)];
    let asked = bench.clock.now();
    let (staging, files) = tokio::join!(
        bench.store.look_at(Bucket::Staging),
        bench.store.look_at(Bucket::Files),
    );
    let answered = bench.clock.now();
    let region = region(&staging, &bench.config.storage.region);
    if region.status == Status::Fail {
        let why = "not looked at: the region comes first";
        found.extend([region, Finding::skip(GROUP, "buckets", why)]);
    } else {
        found.push(region);
        for (bucket, look) in [(Bucket::Staging, &staging), (Bucket::Files, &files)] {
            found.push(listed(bucket, bench.store.name(bucket), look));
        }
    }
    if let Some(date) = staging.date.as_deref().and_then(moment) {
        found.push(clock(GROUP, "the store", date, (asked, answered)));
    }
    for (bucket, look) in [(Bucket::Staging, &staging), (Bucket::Files, &files)] {
        if look.listed.is_ok() {
            found.push(lifecycle::examine(bench, bucket).await);
        }
    }
    found
}

fn keys(bench: &Bench<'_>) -> Finding {
    let storage = &bench.config.storage;
    let server = match storage.server_key {
        ServerKey::Static { .. } => "the server's is in the configuration",
        ServerKey::AwsChain => "the server's comes from the AWS default chain",
    };
    let upload = match storage.upload_key {
        UploadKey::Static { .. } => "browsers' URLs are signed with one of their own",
        UploadKey::Same => "browsers' URLs are signed with it too",
    };
    let now = bench.clock.now();
    // Whichever ends first: browsers' URLs need the one, this server the other.
    let (server_ends, upload_ends) = bench.store.keys_end();
    let ends = [server_ends, upload_ends].into_iter().flatten().min();
    key_life(
        &format!("{server}; {upload}"),
        ends.map(|at| now.seconds_until(at)),
    )
}

/// What a key's remaining seconds mean; `None`: it does not end.
fn key_life(kind: &str, left: Option<i64>) -> Finding {
    let fix = "renew them at their source; Putgate asks it again by itself";
    match left {
        None => Finding::pass(GROUP, "keys", kind),
        Some(left @ ..1) => {
            let seen = format!("{kind}; it ended {} s ago", -left);
            Finding::fail(GROUP, "keys", seen, fix)
        }
        Some(left @ ..SOON) => Finding::warn(
            GROUP,
            "keys",
            format!("{kind}; it ends in {left} s, and no signed URL lives longer"),
            fix,
        ),
        Some(left) => {
            let seen = format!("{kind}; it ends in {} min and is renewed before", left / 60);
            Finding::pass(GROUP, "keys", seen)
        }
    }
}

fn region(look: &BucketLook, ours: &str) -> Finding {
    let fix = |region: &str| format!("write region = \"{region}\" in [storage]");
    match (&look.region, look.code.as_deref()) {
        (Some(theirs), _) if theirs != ours => {
            let seen = format!("requests are signed for {ours}, and the store is {theirs}");
            Finding::fail(GROUP, "region", seen, fix(theirs))
        }
        (
            None,
            Some(
                "AuthorizationHeaderMalformed"
                | "PermanentRedirect"
                | "IllegalLocationConstraintException",
            ),
        ) => Finding::fail(
            GROUP,
            "region",
            format!("the store takes no request that is signed for {ours}, and does not say why"),
            "write the store's region in [storage]: `auto` for R2, `garage` for Garage unless \
             its s3_region says otherwise, the bucket's own for AWS",
        ),
        (Some(_), _) => Finding::pass(GROUP, "region", format!("{ours}, as the store says too")),
        (None, _) if look.listed.is_ok() => {
            Finding::pass(GROUP, "region", format!("{ours}, and the store takes it"))
        }
        (None, _) => Finding::skip(GROUP, "region", "the store did not say"),
    }
}

fn listed(bucket: Bucket, name: &str, look: &BucketLook) -> Finding {
    let check = match bucket {
        Bucket::Staging => "staging bucket",
        Bucket::Files => "files bucket",
    };
    let (seen, fix) = match (&look.listed, look.code.as_deref()) {
        (Ok(()), _) => return Finding::pass(GROUP, check, format!("{name} is there")),
        (_, Some("NoSuchBucket")) => (
            format!("there is no {name}"),
            "`putgate setup` makes it, if the server's key may; or make it by hand".to_owned(),
        ),
        (_, Some("InvalidAccessKeyId")) => (
            "the store does not know the server's access_key".to_owned(),
            "check access_key in [storage]: is it of this store?".to_owned(),
        ),
        (_, Some("SignatureDoesNotMatch")) => (
            "the store computes another signature than ours".to_owned(),
            "check secret_key in [storage]; behind a proxy, it has to hand on Host, port and \
             path unchanged"
                .to_owned(),
        ),
        (_, Some("AccessDenied" | "AllAccessDisabled")) => (
            format!("the server's key may not list {name}, or there is none"),
            "check access_key and secret_key in [storage], and give the key what `putgate setup \
             --print iam --provider …` says"
                .to_owned(),
        ),
        (Err(error @ StoreError::Unavailable(_)), _) => (
            error.to_string(),
            "is the store running, and reachable at [storage] endpoint from this machine?"
                .to_owned(),
        ),
        (Err(error), _) => (
            error.to_string(),
            "see what the store logged; `putgate setup --print iam --provider …` says what \
             the server's key needs"
                .to_owned(),
        ),
    };
    Finding::fail(GROUP, check, seen, fix)
}

/// An HTTP date (RFC 9110 §5.6.7).
fn moment(date: &str) -> Option<Timestamp> {
    let at = OffsetDateTime::parse(date, &Rfc2822).ok()?;
    Some(Timestamp::from_millis(at.unix_timestamp() * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(
        listed: Result<(), StoreError>,
        code: Option<&str>,
        region: Option<&str>,
    ) -> BucketLook {
        BucketLook {
            listed,
            code: code.map(str::to_owned),
            region: region.map(str::to_owned),
            date: None,
        }
    }

    fn refused() -> Result<(), StoreError> {
        Err(StoreError::Refused("ListObjectsV2: 400".into()))
    }

    #[test]
    fn a_region_is_compared_with_what_the_store_says() {
        for (listed, code, theirs, status) in [
            (Ok(()), None, None, Status::Pass),
            (Ok(()), None, Some("us-east-1"), Status::Pass),
            (refused(), Some("X"), Some("garage"), Status::Fail),
            (
                refused(),
                Some("AuthorizationHeaderMalformed"),
                None,
                Status::Fail,
            ),
            (refused(), Some("AccessDenied"), None, Status::Skip),
        ] {
            let finding = region(&look(listed, code, theirs), "us-east-1");
            assert_eq!(finding.status, status, "{code:?} {theirs:?}");
            if let Some(theirs) = theirs.filter(|_| status == Status::Fail) {
                assert!(finding.fix.unwrap().contains(theirs));
            }
        }
    }

    #[test]
    fn temporary_keys_are_told_by_what_they_have_left() {
        for (left, status) in [
            (None, Status::Pass),
            (Some(3600), Status::Pass),
            (Some(899), Status::Warn),
            (Some(0), Status::Fail),
            (Some(-5), Status::Fail),
        ] {
            assert_eq!(key_life("k", left).status, status, "{left:?}");
        }
    }

    #[test]
    fn a_date_is_read_as_servers_write_it() {
        let at = moment("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(at.seconds(), 784_111_777);
        assert_eq!(moment("yesterday"), None);
    }
}
