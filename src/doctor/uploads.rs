//! What the URLs that browsers get can do, and what they must not: each tried through the
//! public endpoint, as a browser or an attacker would. Forms are in a file of their own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use sha2::{Digest, Sha256};

use super::finding::{Finding, Group, Status};
use super::tidy::{COPIED, MULTIPART};
use super::wire::Reply;
use super::{Bench, TTL, forms};
use crate::domain::dialect::Dialect;
use crate::domain::slot::{MAX_PUT_SIZE, MIN_PART_SIZE, Policy};
use crate::domain::time::Seconds;
use crate::store::{Bucket, Deed, Part, Presigned, Promotion, StoreError};

const GROUP: Group = Group::Uploads;

/// The most that one trial sends, whatever a browser may send.
const LARGEST: u64 = 64 * 1024 * 1024;
/// What the small trials send.
pub(super) const SMALL: &[u8] = b"putgate doctor: a body of little meaning and of a known length";

/// What to do about a store without room.
pub(super) const FULL: &str = "make room at the store, or raise its quota: until then uploads \
                               are answered with 507 storage-full";

/// The largest body that a browser sends at once, in bytes: a whole file, or a part of the
/// slot's size. Uppy posts a file as a whole whatever that is.
fn largest_body<'a>(policies: impl Iterator<Item = &'a Policy>) -> u64 {
    let of_slot = |policy: &Policy| {
        let whole = policy.max_file_size.min(MAX_PUT_SIZE);
        match policy.part_size {
            Some(part) if !policy.dialects.contains(&Dialect::Uppy) => part.min(whole),
            _ => whole,
        }
    };
    policies.map(of_slot).max().unwrap_or(MIN_PART_SIZE)
}

pub(super) async fn examine(bench: &Bench<'_>) -> Vec<Finding> {
    let first = Box::pin(put(bench)).await;
    if first.status == Status::Fail {
        let why = "not looked at: an ordinary upload comes first";
        return vec![first, Finding::skip(GROUP, "all else", why)];
    }
    vec![
        first,
        length(bench).await,
        expiry(bench).await,
        tampering(bench).await,
        checksum(bench).await,
        copy_source(bench).await,
        metadata(bench).await,
        multipart(bench).await,
        forms::examine(bench).await,
    ]
}

/// Sends a presigned PUT with what its client has to add, and more.
async fn send(
    bench: &Bench<'_>,
    signed: &Presigned,
    body: Bytes,
    more: &[(&str, &str)],
) -> Result<Reply, String> {
    let mut headers: Vec<(&str, &str)> = signed
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    headers.extend(more);
    bench
        .wire
        .send(Method::PUT, signed.url.expose(), &headers, body)
        .await
}

/// A request that the store has to refuse, and to which key it would write.
struct Attack<'a> {
    what: &'a str,
    key: &'a str,
    signed: Presigned,
    body: &'a [u8],
}

/// What is wrong with the store's answer to an attack; `None`: it refused, and kept nothing.
async fn complaint(bench: &Bench<'_>, attack: Attack<'_>) -> Option<String> {
    let body = Bytes::copy_from_slice(attack.body);
    let reply = send(bench, &attack.signed, body, &[]).await;
    outcome(bench, attack.what, attack.key, reply).await
}

/// The same of an attack that was sent already.
pub(super) async fn outcome(
    bench: &Bench<'_>,
    what: &str,
    key: &str,
    reply: Result<Reply, String>,
) -> Option<String> {
    let kept = bench.store.head(Bucket::Staging, key).await;
    match (reply, kept) {
        (Err(why), _) => Some(format!("{what}: no answer: {why}")),
        (Ok(reply), Ok(None)) if (400..500).contains(&reply.status) => None,
        (Ok(reply), Ok(Some(_))) if (400..500).contains(&reply.status) => {
            Some(format!("{what} was refused with {} and kept", reply.said()))
        }
        (Ok(reply), Ok(None)) if (200..300).contains(&reply.status) => {
            Some(format!("{what} was {HIDDEN}"))
        }
        (Ok(reply), Ok(_)) => Some(format!("{what} was answered with {}", reply.said())),
        (Ok(_), Err(why)) => Some(format!("{what}: {why}")),
    }
}

/// What a refusal is that does not look like one.
const HIDDEN: &str = "refused behind a 200: nothing was kept";

/// A finding from all complaints of one check.
pub(super) fn refused(
    check: &'static str,
    complaints: impl IntoIterator<Item = Option<String>>,
    good: &str,
    fix: &str,
) -> Finding {
    let complaints: Vec<String> = complaints.into_iter().flatten().collect();
    if complaints.is_empty() {
        Finding::pass(GROUP, check, good)
    } else if complaints
        .iter()
        .all(|complaint| complaint.ends_with(HIDDEN))
    {
        let fix = "something in front of the store turns its refusals into successes, and a \
                   client would take a lost upload for a good one: let it hand answers on as \
                   they are";
        Finding::fail(GROUP, check, complaints.join("; "), fix)
    } else {
        Finding::fail(GROUP, check, complaints.join("; "), fix)
    }
}

pub(super) fn unsigned(check: &'static str, why: &StoreError) -> Finding {
    Finding::fail(GROUP, check, why.to_string(), "see the keys above")
}

/// A small body, and the largest that a browser sends, all the way. The small one goes first:
/// a store that refuses a large one at once may cut the line before its reason is read.
async fn put(bench: &Bench<'_>) -> Finding {
    if let Err(finding) = put_one(bench, "small", SMALL.len() as u64).await {
        return finding;
    }
    let wanted = largest_body(bench.config.slots.values().map(|slot| &slot.policy));
    let size = wanted.min(LARGEST);
    let reply = match put_one(bench, "put", size).await {
        Err(finding) => return finding,
        Ok(reply) => reply,
    };
    let arrived = format!("arrived whole in {} ms", reply.took.as_millis());
    if size == wanted {
        return Finding::pass(GROUP, "put", format!("{} {arrived}", bytes(size)));
    }
    Finding::warn(
        GROUP,
        "put",
        format!(
            "of the {} that browsers may send at once {} were tried, which {arrived}",
            bytes(wanted),
            bytes(size)
        ),
        "see that nothing in front of the store limits a body's size (nginx: \
         client_max_body_size 0) or time, or give that slot a smaller part_size or max_file_size",
    )
}

/// A size in the largest unit that it is a whole number of.
fn bytes(size: u64) -> String {
    let units = [
        (1 << 30, "GiB"),
        (1_000_000_000, "GB"),
        (1 << 20, "MiB"),
        (1_000_000, "MB"),
        (1 << 10, "KiB"),
        (1_000, "kB"),
    ];
    let fits = |(unit, _): &(u64, _)| size >= *unit && size.is_multiple_of(*unit);
    match units.into_iter().find(fits) {
        Some((unit, name)) => format!("{} {name}", size / unit),
        None => format!("{size} bytes"),
    }
}

async fn put_one(bench: &Bench<'_>, name: &str, size: u64) -> Result<Reply, Finding> {
    let key = bench.key(name);
    let fail = |seen: String, fix: &str| Err(Finding::fail(GROUP, "put", seen, fix));
    let signed = bench
        .store
        .presign_put(&key, size, None, TTL, bench.clock.now())
        .map_err(|why| unsigned("put", &why))?;
    let body = Bytes::from(vec![b'p'; usize::try_from(size).unwrap_or_default()]);
    let reply = match send(bench, &signed, body, &[]).await {
        Ok(reply) => reply,
        Err(why) => {
            return fail(
                format!("a PUT of {} broke off: {why}", bytes(size)),
                "does something in front of the store limit a body's size (nginx: \
                 client_max_body_size) or time?",
            );
        }
    };
    let kept = bench.store.head(Bucket::Staging, &key).await;
    let is_success = (200..300).contains(&reply.status);
    match kept.map_err(|why| unsigned("put", &why))? {
        Some((kept, _)) if is_success && kept == size => Ok(reply),
        _ if is_success => fail(
            format!(
                "a PUT was answered with {} and is not in staging",
                reply.status
            ),
            "public_endpoint leads to something else than endpoint does",
        ),
        _ => fail(
            format!(
                "a PUT of {} was answered with {}",
                bytes(size),
                reply.said()
            ),
            why_not(bench, &key, reply.status).await,
        ),
    }
}

/// What to do about a PUT that was answered with this status.
async fn why_not(bench: &Bench<'_>, key: &str, status: u16) -> &'static str {
    let key_is_good = bench.store.uploader_may(Deed::WriteStaging, key).await == Ok(true);
    match (status, key_is_good) {
        (413, _) => {
            "a proxy limits bodies: allow what a browser sends at once (nginx: \
             client_max_body_size 0), or give the slots a part_size below that"
        }
        (300..=399, _) => {
            "write the store's regional address as public_endpoint: a browser \
             follows no redirect after a preflight"
        }
        (507, _) => FULL,
        (500.., _) => "see what the store, or the proxy in front of it, logged",
        (_, true) => {
            "the key is good, so something on the way changes what was signed: a proxy \
             has to hand on Host, port and path unchanged"
        }
        (_, false) => {
            "check upload_access_key and upload_secret_key, and that the key may put \
             objects into staging: `putgate setup --print iam --provider …`"
        }
    }
}

async fn length(bench: &Bench<'_>) -> Finding {
    let signed = |key: &str| {
        let now = bench.clock.now();
        bench
            .store
            .presign_put(key, SMALL.len() as u64, None, TTL, now)
    };
    let (longer, shorter) = (bench.key("longer"), bench.key("shorter"));
    let (more, less) = match (signed(&longer), signed(&shorter)) {
        (Ok(more), Ok(less)) => (more, less),
        (Err(why), _) | (_, Err(why)) => return unsigned("length", &why),
    };
    let one_more = [SMALL, b"+"].concat();
    let more = Attack {
        what: "one byte more",
        key: &longer,
        signed: more,
        body: &one_more,
    };
    let less = Attack {
        what: "one byte less",
        key: &shorter,
        signed: less,
        body: &SMALL[1..],
    };
    refused(
        "length",
        [complaint(bench, more).await, complaint(bench, less).await],
        "one byte more or less than was signed is refused",
        "the store, or what is in front of it, does not enforce a signed content-length: an \
         uploader can fill it. Do not use it for uploads",
    )
}

async fn expiry(bench: &Bench<'_>) -> Finding {
    let key = bench.key("expired");
    let an_hour_ago = bench.clock.now().minus(Seconds(3600));
    let size = SMALL.len() as u64;
    let signed = match bench
        .store
        .presign_put(&key, size, None, Seconds(60), an_hour_ago)
    {
        Ok(signed) => signed,
        Err(why) => return unsigned("expiry", &why),
    };
    let attack = Attack {
        what: "a URL that expired 59 min ago",
        key: &key,
        signed,
        body: SMALL,
    };
    refused(
        "expiry",
        [complaint(bench, attack).await],
        "a URL that has expired is refused",
        "the store does not look at X-Amz-Expires, or its clock is far behind: URLs live for \
         ever there. Do not use it for uploads",
    )
}

async fn tampering(bench: &Bench<'_>) -> Finding {
    let (key, other) = (bench.key("tampered"), bench.key("another"));
    let now = bench.clock.now();
    let signed = match bench
        .store
        .presign_put(&key, SMALL.len() as u64, None, TTL, now)
    {
        Ok(signed) => signed,
        Err(why) => return unsigned("tampering", &why),
    };
    let url = signed.url.expose().to_owned();
    let last = if url.ends_with('0') { "1" } else { "0" };
    let with = |url: String| Presigned {
        url: crate::domain::secret::SignedUrl::new(url),
        ..signed.clone()
    };
    let forged = Attack {
        what: "a forged signature",
        key: &key,
        signed: with(format!("{}{last}", &url[..url.len() - 1])),
        body: SMALL,
    };
    let moved = Attack {
        what: "a URL that was signed for another key",
        key: &other,
        signed: with(url.replace("/tampered?", "/another?")),
        body: SMALL,
    };
    refused(
        "tampering",
        [
            complaint(bench, forged).await,
            complaint(bench, moved).await,
        ],
        "a forged signature and another key are refused",
        "the store does not check signatures: anybody may write anything there. Do not use it",
    )
}

async fn checksum(bench: &Bench<'_>) -> Finding {
    let (key, control) = (bench.key("checksum"), bench.key("right-checksum"));
    let sum = STANDARD.encode(Sha256::digest(SMALL));
    let now = bench.clock.now();
    let size = SMALL.len() as u64;
    let sign = |key: &str| bench.store.presign_put(key, size, Some(&sum), TTL, now);
    let (wrong, right) = match (sign(&key), sign(&control)) {
        (Ok(wrong), Ok(right)) => (wrong, right),
        (Err(why), _) | (_, Err(why)) => return unsigned("checksum", &why),
    };
    let good = send(bench, &right, Bytes::from_static(SMALL), &[]).await;
    let good = match good {
        Ok(reply) if (200..300).contains(&reply.status) => None,
        Ok(reply) => Some(format!(
            "the right bytes were answered with {}",
            reply.said()
        )),
        Err(why) => Some(format!("the right bytes: no answer: {why}")),
    };
    let other = SMALL.to_ascii_uppercase();
    let attack = Attack {
        what: "bytes of another SHA-256 than was signed",
        key: &key,
        signed: wrong,
        body: &other,
    };
    refused(
        "checksum",
        [good, complaint(bench, attack).await],
        "bytes of another SHA-256 than was signed are refused",
        "the store does not compare x-amz-checksum-sha256. Putgate compares it again where the \
         store tells the sum, but clients must not rely on it",
    )
}

/// Law 3: an unsigned copy source must not turn an upload into a read.
async fn copy_source(bench: &Bench<'_>) -> Finding {
    match try_copy_source(bench).await {
        Err(why) => Finding::fail(
            GROUP,
            "copy source",
            why.to_string(),
            "see what the store logged: this could not be tried",
        ),
        Ok(Taken { copied: true, .. }) => Finding::fail(
            GROUP,
            "copy source",
            "an uploader who adds an unsigned x-amz-copy-source reads what the upload key may read",
            "give browsers a key that may only put objects into staging: upload_access_key and \
             upload_secret_key, with what `putgate setup --print iam --provider …` says",
        ),
        Ok(Taken { ignored: false, .. }) => Finding::pass(
            GROUP,
            "copy source",
            "an unsigned x-amz-copy-source is refused, on a PUT and on a part",
        ),
        Ok(_) => Finding::pass(
            GROUP,
            "copy source",
            "an unsigned x-amz-copy-source is ignored, and nothing is copied",
        ),
    }
}

/// What came of a copy source.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// The PUT or the part was taken as if it had none.
    ignored: bool,
    copied: bool,
}

async fn try_copy_source(bench: &Bench<'_>) -> Result<Taken, StoreError> {
    const SOURCE: &[u8] = b"putgate doctor: this must not be copied by an uploader";
    let store = bench.store;
    let (source, target) = (bench.key("source"), bench.key(COPIED));
    store.leave(Bucket::Staging, &source, SOURCE).await?;
    let named = format!("{}/{source}", store.name(Bucket::Staging));
    let header = [("x-amz-copy-source", named.as_str())];
    let (now, size) = (bench.clock.now(), SMALL.len() as u64);
    let id = store.create_multipart(&target).await?;
    let tried = async {
        let put = store.presign_put(&target, size, None, TTL, now)?;
        let put = send(bench, &put, Bytes::from_static(SMALL), &header).await;
        let part = store.presign_part(&target, &id, 1, Some(size), TTL, now)?;
        let part = send(bench, &part, Bytes::from_static(SMALL), &header).await;
        let lost = |why: String| StoreError::Unavailable(format!("a copy source: {why}"));
        let (put, part) = (put.map_err(lost)?, part.map_err(lost)?);
        let object = store.head(Bucket::Staging, &target).await?;
        let parts = store.list_parts(&target, &id).await?;
        let is_source = |size: u64| size == SOURCE.len() as u64;
        let copied = object.is_some_and(|(size, _)| is_source(size))
            || parts.iter().any(|part| is_source(part.size));
        let mut ignored = false;
        for reply in [put, part] {
            match reply.status {
                400..=499 | 501 => {}
                200..=299 => ignored = true,
                // What a store in trouble says proves nothing, but a copy is a copy.
                _ if copied => {}
                _ => return Err(lost(format!("it was answered with {}", reply.said()))),
            }
        }
        Ok(Taken { ignored, copied })
    }
    .await;
    store.abort_multipart(Bucket::Staging, &target, &id).await?;
    tried
}

/// Metadata that an uploader adds must not reach a file.
async fn metadata(bench: &Bench<'_>) -> Finding {
    let fix = "the store keeps an uploader's metadata through a copy that replaces it: do not \
               trust what its files say of themselves";
    match try_metadata(bench).await {
        Ok(None) => Finding::pass(GROUP, "metadata", "an unsigned x-amz-meta-* is refused"),
        Ok(Some(names)) if names.is_empty() => Finding::pass(
            GROUP,
            "metadata",
            "an unsigned x-amz-meta-* is taken in staging, and gone from the file",
        ),
        Ok(Some(names)) => {
            let seen = format!(
                "an uploader's metadata reaches the file: {}",
                names.join(", ")
            );
            Finding::fail(GROUP, "metadata", seen, fix)
        }
        Err(why) => Finding::fail(
            GROUP,
            "metadata",
            why.to_string(),
            "see what the store logged",
        ),
    }
}

/// The names of the file's metadata; `None`: the upload was refused.
async fn try_metadata(bench: &Bench<'_>) -> Result<Option<Vec<String>>, StoreError> {
    let (store, key) = (bench.store, bench.key("metadata"));
    let (now, size) = (bench.clock.now(), SMALL.len() as u64);
    let signed = store.presign_put(&key, size, None, TTL, now)?;
    let header = [("x-amz-meta-doctor", "1")];
    let reply = send(bench, &signed, Bytes::from_static(SMALL), &header).await;
    let reply = reply.map_err(StoreError::Unavailable)?;
    let Some((size, etag)) = store.head(Bucket::Staging, &key).await? else {
        return match reply.status {
            400..=499 => Ok(None),
            _ => Err(StoreError::Unavailable(format!(
                "an x-amz-meta-* was {HIDDEN}"
            ))),
        };
    };
    let promotion = Promotion {
        staging_key: &key,
        etag: &etag,
        size,
        final_key: &key,
        content_type: "text/plain",
        content_disposition: "attachment",
    };
    store.promote(&promotion).await?;
    store.metadata_names(Bucket::Files, &key).await.map(Some)
}

async fn multipart(bench: &Bench<'_>) -> Finding {
    // The least that can be put together: how large a body may be was seen above.
    let (key, size) = (bench.key(MULTIPART), MIN_PART_SIZE);
    let fix = "the server's key has to begin, list, complete and abort multipart uploads in \
               staging, and the upload key to put parts: `putgate setup --print iam`";
    let id = match bench.store.create_multipart(&key).await {
        Ok(id) => id,
        Err(why) => return Finding::fail(GROUP, "multipart", why.to_string(), fix),
    };
    let done = try_multipart(bench, &key, &id, size).await;
    if done.is_err() {
        // What it left is freed, whatever was wrong with it.
        let _ = bench
            .store
            .abort_multipart(Bucket::Staging, &key, &id)
            .await;
    }
    match done {
        Ok(()) => Finding::pass(
            GROUP,
            "multipart",
            "two parts were sent, listed and put together; a part of another length is refused",
        ),
        Err(why) => Finding::fail(GROUP, "multipart", why, fix),
    }
}

async fn try_multipart(bench: &Bench<'_>, key: &str, id: &str, full: u64) -> Result<(), String> {
    let store = bench.store;
    let now = bench.clock.now();
    let text = |why: StoreError| why.to_string();
    let sign = |number, size| {
        store
            .presign_part(key, id, number, Some(size), TTL, now)
            .map_err(text)
    };
    let first = Bytes::from(vec![b'm'; usize::try_from(full).unwrap_or_default()]);
    let last = Bytes::from_static(SMALL);
    for (number, body) in [(1, first), (2, last.clone())] {
        let reply = send(bench, &sign(number, body.len() as u64)?, body, &[]).await;
        let reply = reply.map_err(|why| format!("part {number}: no answer: {why}"))?;
        if !(200..300).contains(&reply.status) {
            return Err(format!("part {number} was answered with {}", reply.said()));
        }
    }
    let longer = send(bench, &sign(3, 1)?, last.clone(), &[]).await;
    let longer = longer.map_err(|why| format!("a longer part: no answer: {why}"))?;
    if !(400..500).contains(&longer.status) {
        return Err(format!(
            "a part of another length was answered with {}",
            longer.status
        ));
    }
    let parts: Vec<Part> = store.list_parts(key, id).await.map_err(text)?;
    let sizes: Vec<(u32, u64)> = parts.iter().map(|part| (part.number, part.size)).collect();
    if sizes != [(1, full), (2, last.len() as u64)] {
        return Err(format!("other parts are listed than were sent: {sizes:?}"));
    }
    store
        .complete_multipart(key, id, &parts)
        .await
        .map_err(text)?;
    match store.head(Bucket::Staging, key).await.map_err(text)? {
        Some((size, _)) if size == full + last.len() as u64 => Ok(()),
        Some((size, _)) => Err(format!("the parts became an object of {size} bytes")),
        None => Err("the parts were put together, and no object is there".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn a_browser_sends_a_whole_file_at_once_unless_its_slot_cuts_it() {
        let policy = |max_file_size, part_size, dialects: &[Dialect]| Policy {
            max_file_size,
            part_size,
            dialects: dialects.to_vec(),
            ..Policy::default()
        };
        for (policies, largest) in [
            (vec![policy(50_000_000, None, &[])], 50_000_000),
            (vec![policy(50 * MIB, Some(8 * MIB), &[])], 8 * MIB),
            (vec![policy(3 * MIB, Some(8 * MIB), &[])], 3 * MIB),
            (vec![policy(10 << 40, None, &[])], MAX_PUT_SIZE),
            (
                vec![policy(50 * MIB, Some(8 * MIB), &[Dialect::Uppy])],
                50 * MIB,
            ),
            (
                vec![
                    policy(MIB, None, &[]),
                    policy(1 << 40, Some(512 * MIB), &[]),
                ],
                512 * MIB,
            ),
        ] {
            assert_eq!(largest_body(policies.iter()), largest, "{policies:?}");
        }
    }

    #[test]
    fn a_size_is_written_as_it_was_configured() {
        for (size, text) in [
            (62, "62 bytes"),
            (5 * MIB, "5 MiB"),
            (20_000_000, "20 MB"),
            (MAX_PUT_SIZE, "5 GiB"),
            (10_000_000_000, "10 GB"),
            (1_500, "1500 bytes"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }
}
