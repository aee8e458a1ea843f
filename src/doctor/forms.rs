//! What a signed form uploads, and what it must not. The API signs none; clients that can only
//! post, Uppy among them, get them through their dialect.

use bytes::Bytes;
use http::Method;

use super::finding::{Finding, Group, Status};
use super::uploads::{SMALL, outcome, refused, unsigned};
use super::wire::Reply;
use super::{Bench, TTL};
use crate::store::{Bucket, Form, StoreError};

const GROUP: Group = Group::Uploads;
const BOUNDARY: &str = "putgate-doctor";

/// A failure only where clients are given forms.
pub(super) async fn examine(bench: &Bench<'_>) -> Finding {
    let are_given = bench.speaks_uppy() && bench.store.takes_forms();
    let finding = match upload(bench, are_given).await {
        None => attacks(bench).await,
        Some(finding) => finding,
    };
    match finding.status {
        Status::Fail if !are_given => Finding {
            status: Status::Warn,
            ..finding
        },
        _ => finding,
    }
}

/// A form for exactly [`SMALL`]'s length.
fn sign(bench: &Bench<'_>, key: &str) -> Result<Form, StoreError> {
    let size = SMALL.len() as u64;
    let now = bench.clock.now();
    bench.store.presign_post(key, size..=size, TTL, now)
}

/// Posts a form as a browser does, with these bytes as its file.
async fn post(bench: &Bench<'_>, form: &Form, file: &[u8]) -> Result<Reply, String> {
    let mut body = Vec::new();
    for (name, value) in &form.fields {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [("content-type", kind.as_str())];
    let body = Bytes::from(body);
    bench
        .wire
        .send(Method::POST, &form.url, &headers, body)
        .await
}

/// What is wrong with an ordinary form; `None`: it uploaded its file.
async fn upload(bench: &Bench<'_>, are_given: bool) -> Option<Finding> {
    let key = bench.key("form");
    let fix = if are_given {
        "pages with Uppy post forms: take \"uppy\" out of the slots' dialects, or another store"
    } else {
        "nothing has to be done for Putgate's own client, which uses PUT; clients that post forms \
         cannot use this store"
    };
    let form = match sign(bench, &key) {
        Ok(form) => form,
        Err(why) => return Some(unsigned("form", &why)),
    };
    let seen = match post(bench, &form, SMALL).await {
        Ok(reply) if (200..300).contains(&reply.status) => {
            match bench.store.head(Bucket::Staging, &key).await {
                Ok(Some((size, _))) if size == SMALL.len() as u64 => return None,
                _ => "a form was taken, and no object is there".to_owned(),
            }
        }
        Ok(reply) => format!("a signed form was answered with {}", reply.said()),
        Err(why) => format!("no answer to a form: {why}"),
    };
    Some(Finding::fail(GROUP, "form", seen, fix))
}

/// Law 3: a form fills one key, with what its policy says.
async fn attacks(bench: &Bench<'_>) -> Finding {
    let longer = [SMALL, b"+"].concat();
    let mut complaints = Vec::new();
    for (what, name, file) in [
        ("a form with one byte more", "form-longer", &longer[..]),
        ("a form with one byte less", "form-shorter", &SMALL[1..]),
        ("a form with a forged signature", "form-forged", SMALL),
        (
            "a form that was signed for another key",
            "form-moved",
            SMALL,
        ),
    ] {
        let key = bench.key(name);
        let form = match name {
            "form-moved" => sign(bench, &bench.key("form-signed")),
            _ => sign(bench, &key),
        };
        let mut form = match form {
            Ok(form) => form,
            Err(why) => return unsigned("form", &why),
        };
        for (field, value) in &mut form.fields {
            match (*field, name) {
                ("key", "form-moved") => value.clone_from(&key),
                ("x-amz-signature", "form-forged") => {
                    let last = if value.ends_with('0') { "1" } else { "0" };
                    value.truncate(value.len() - 1);
                    value.push_str(last);
                }
                _ => {}
            }
        }
        let reply = post(bench, &form, file).await;
        complaints.push(outcome(bench, what, &key, reply).await);
    }
    refused(
        "form",
        complaints,
        "a signed form uploads too; one with another length, key or signature is refused",
        "the store does not hold a form to its policy: an uploader can fill it, or write to \
         others' uploads. Let no slot speak uppy there",
    )
}
