//! Law 3: what a browser may do with the URLs it is given.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::common::{TestBroker, fetch, png};
use crate::stage::{WIDE, key};

/// A request: method, URL, headers, body.
type Attack<'a> = (&'a str, &'a str, &'a BTreeMap<String, String>, &'a [u8]);

/// Every URL that writes, with the size it is for, from each call that answers one.
async fn writing_urls(broker: &TestBroker, token: &str) -> Vec<(Value, String, usize)> {
    let size = png(1).len();
    let put = broker.mint(token, "pictures", "a.png", &png(1)).await;
    let minted = put["transfer"]["url"].as_str().unwrap().to_owned();
    let path = format!("/v1/tickets/{}/sign", key(&put));
    let signed = broker.call("POST", &path, token, None).await;
    let signed = signed.body["transfer"]["url"].as_str().unwrap().to_owned();
    let part_size = 5 * 1024 * 1024;
    let parts = broker
        .mint(token, "parts", "a.bin", &vec![0; part_size + 9])
        .await;
    let path = format!("/v1/tickets/{}/sign", key(&parts));
    let body = json!({"parts": [1, 2]});
    let of_parts = broker.call("POST", &path, token, Some(body)).await;
    let last = of_parts.body["parts"][1]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let first = of_parts.body["parts"][0]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    vec![
        (put.clone(), minted, size),
        (put, signed, size),
        (parts.clone(), last, 9),
        (parts, first, part_size),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_url_that_writes_is_for_the_tickets_key_in_staging_and_its_exact_length() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    for (ticket, url, _) in writing_urls(&broker, &token).await {
        let place = format!("{}/staging/{}?", broker.store.url(), key(&ticket));
        assert!(url.starts_with(&place), "{url}");
        assert!(url.contains("X-Amz-Credential=upload%2F"), "{url}");
        let headers = url.split("X-Amz-SignedHeaders=").nth(1).unwrap();
        assert!(headers.starts_with("content-length%3Bhost"), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_writes_can_do_nothing_else() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let foreign = broker.upload(&token, "pictures", "b.png", &png(2)).await;
    let foreign = foreign.body["file"]["key"].as_str().unwrap().to_owned();
    broker.sweep().await;
    let none = BTreeMap::new();
    for (ticket, url, size) in writing_urls(&broker, &token).await {
        let other = "01900000-0000-7000-8000-000000000001";
        let id = key(&ticket);
        let source = |key: &str| BTreeMap::from([("x-amz-copy-source".to_owned(), key.to_owned())]);
        let files = source(&format!("/files/{foreign}"));
        let own = source(&format!("/staging/{id}"));
        let bytes = vec![7; size];
        let longer = vec![7; size + 1];
        let moved = url.replace(&id, other);
        let to_files = url.replace("/staging/", "/files/");
        let to_final = url.replace(&format!("/staging/{id}"), &format!("/files/{foreign}"));
        let tagged = format!("{url}&tagging");
        let later = url.replace("X-Amz-Expires=900", "X-Amz-Expires=9000");
        assert_ne!(later, url);
        let attacks: [Attack; 15] = [
            ("GET", &url, &none, &[]),
            ("HEAD", &url, &none, &[]),
            ("DELETE", &url, &none, &[]),
            ("POST", &url, &none, &bytes),
            ("PUT", &moved, &none, &bytes),
            ("PUT", &to_files, &none, &bytes),
            ("PUT", &to_final, &none, &bytes),
            ("PUT", &url, &none, &bytes[1..]),
            ("PUT", &url, &none, &longer),
            ("PUT", &url, &none, &[]),
            ("PUT", &url, &files, &bytes),
            ("PUT", &url, &files, &[]),
            ("PUT", &url, &own, &bytes),
            ("PUT", &tagged, &none, &bytes),
            ("PUT", &later, &none, &bytes),
        ];
        for (n, (method, url, headers, bytes)) in attacks.into_iter().enumerate() {
            let (status, _, body) = fetch(method, url, headers, bytes).await;
            assert!((400..500).contains(&status), "attack {n}: {status}");
            assert_ne!(body, png(2), "attack {n} read a foreign file");
        }
        assert_eq!(broker.objects("staging"), [], "an attack wrote");
        assert_eq!(broker.store.read("files", &foreign), Some(png(2)));
        assert_eq!(broker.objects("files").len(), 1);
        let (status, _, _) = fetch("PUT", &url, &none, &bytes).await;
        assert_eq!(status, 200, "and what it is for works");
        broker.store.remove("staging", &id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_reads_can_do_nothing_else() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let answer = broker.upload(&token, "pictures", "b.png", &png(2)).await;
    let file = &answer.body["file"];
    let (url, kept) = (file["url"].as_str().unwrap(), file["key"].as_str().unwrap());
    let other = broker.upload(&token, "pictures", "c.png", &png(3)).await;
    let other = other.body["file"]["key"].as_str().unwrap().to_owned();
    let elsewhere = url.replace(kept, &other);
    let inline = url.replace("attachment", "inline");
    assert_ne!(inline, url);
    for (method, url) in [
        ("PUT", url),
        ("DELETE", url),
        ("POST", url),
        ("GET", &elsewhere),
        ("GET", &inline),
    ] {
        let (status, _, _) = fetch(method, url, &[].into(), &png(9)).await;
        assert!((400..500).contains(&status), "{method}: {status}");
    }
    assert_eq!(broker.store.read("files", kept), Some(png(2)));
    assert_eq!(broker.objects("files").len(), 2);
}

/// A posted form: method, URL, fields, file.
type Post<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, &'a [u8]);

/// A form as a browser posts it: the fields, then the file.
fn posted(fields: &[(&str, &str)], file: &[u8]) -> (BTreeMap<String, String>, Vec<u8>) {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend(
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                .bytes(),
        );
    }
    body.extend(b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n");
    body.extend(b"content-type: image/png\r\n\r\n");
    body.extend(file);
    body.extend(b"\r\n--b--\r\n");
    let kind = "multipart/form-data; boundary=b".to_owned();
    (BTreeMap::from([("content-type".to_owned(), kind)]), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_writes_can_do_nothing_else() {
    let broker = TestBroker::with_slots(WIDE).await;
    let token = broker.token("7");
    let foreign = broker.upload(&token, "pictures", "b.png", &png(2)).await;
    let foreign = foreign.body["file"]["key"].as_str().unwrap().to_owned();
    broker.sweep().await;
    let ask = async |size: &str| {
        let path = format!("/u/pictures/{token}/s3/params?filename=a.png{size}");
        let answer = broker.call("GET", &path, "", None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    };
    let length = png(1).len();
    let max = 10_000_000;
    for (size, least, most) in [
        (String::new(), 1, max),
        (format!("&metadata[size]={length}"), length, length),
    ] {
        let form = ask(&size).await;
        let url = form["url"].as_str().unwrap();
        assert_eq!(url, format!("{}/staging", broker.store.url()));
        let fields = form["fields"].as_object().unwrap();
        let id = fields["key"].as_str().unwrap();
        let credential = fields["x-amz-credential"].as_str().unwrap();
        assert!(credential.starts_with("upload/"), "{credential}");
        let given: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let with = |name: &str, value: &'static str| -> Vec<(&str, &str)> {
            let changed = given
                .iter()
                .map(|(known, old)| (*known, if *known == name { value } else { old }));
            changed.collect()
        };
        let and = |name: &'static str, value: &'static str| -> Vec<(&str, &str)> {
            given.iter().copied().chain([(name, value)]).collect()
        };
        let without = |name: &str| -> Vec<(&str, &str)> {
            given
                .iter()
                .copied()
                .filter(|(known, _)| *known != name)
                .collect()
        };
        let just = vec![7; least];
        let over = vec![7; most + 1];
        let to_files = url.replace("/staging", "/files");
        let attacks: [Post; 15] = [
            (
                "POST",
                url,
                with("key", "01900000-0000-7000-8000-000000000001"),
                &just,
            ),
            ("POST", url, with("key", "${filename}"), &just),
            ("POST", &to_files, given.clone(), &just),
            ("POST", url, given.clone(), &over),
            ("POST", url, given.clone(), &just[1..]),
            ("POST", url, with("policy", "e30="), &just),
            ("POST", url, with("x-amz-signature", "00"), &just),
            ("POST", url, with("success_action_status", "200"), &just),
            ("POST", url, without("policy"), &just),
            ("POST", url, without("x-amz-signature"), &just),
            ("POST", url, and("acl", "public-read"), &just),
            ("POST", url, and("Content-Type", "text/html"), &just),
            ("POST", url, and("x-amz-meta-evil", "1"), &just),
            (
                "POST",
                url,
                and("success_action_redirect", "https://evil.example"),
                &just,
            ),
            ("PUT", url, given.clone(), &just),
        ];
        for (n, (method, url, fields, file)) in attacks.into_iter().enumerate() {
            let (headers, body) = posted(&fields, file);
            let (status, _, answer) = fetch(method, url, &headers, &body).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(
                (400..500).contains(&status),
                "{size}: attack {n}: {status} {answer}"
            );
        }
        let (mut headers, body) = posted(&given, &just);
        headers.insert("x-amz-copy-source".to_owned(), format!("/files/{foreign}"));
        let (status, _, _) = fetch("POST", url, &headers, &body).await;
        assert!((400..500).contains(&status), "a copy source: {status}");
        assert_eq!(broker.objects("staging"), [], "an attack wrote");
        assert_eq!(broker.store.read("files", &foreign), Some(png(2)));
        assert_eq!(broker.objects("files").len(), 1);
        for file in [just, vec![7; most]] {
            let (headers, body) = posted(&given, &file);
            let (status, _, answer) = fetch("POST", url, &headers, &body).await;
            assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
            assert_eq!(
                broker.objects("staging"),
                [(id.to_owned(), file.len() as u64)]
            );
        }
        broker.store.remove("staging", id);
    }
}
