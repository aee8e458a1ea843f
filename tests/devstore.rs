//! The dev store over the wire: raw HTTP and a signer of our own, so that what is sent
//! is what is written here.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use putgate::clock::Clock;
use putgate::devstore::{DevStore, Fault, Op, Settings};
use putgate::domain::secret::Secret;
use putgate::domain::time::{Seconds, Timestamp};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const REGION: &str = "eu-test-1";
const SERVER: (&str, &str) = ("AKSERVER", "server-secret");
const UPLOAD: (&str, &str) = ("AKUPLOAD", "upload-secret");
const MIB: usize = 1024 * 1024;
/// The checksums of `123456789`, from the catalogues of CRC parameters and FIPS 180.
const CHECK: &[u8] = b"123456789";
const CHECK_CRC32: [u8; 4] = 0xCBF4_3926_u32.to_be_bytes();
const CHECK_CRC64: [u8; 8] = 0xAE8B_1486_0A79_9888_u64.to_be_bytes();

// ---------------------------------------------------------------- the store

/// A store in a directory of its own, which goes away with it.
struct World {
    store: DevStore,
    dir: PathBuf,
    clock: Clock,
}

impl World {
    async fn new() -> Self {
        Self::with(Clock::System).await
    }

    async fn with(clock: Clock) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("devstore-{}-{count}", std::process::id());
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let store = DevStore::start(settings(&dir, &clock))
            .await
            .expect("a store starts in an empty directory");
        Self { store, dir, clock }
    }

    async fn restarted(mut self) -> Self {
        self.store.stop().await;
        self.store = DevStore::start(settings(&self.dir, &self.clock))
            .await
            .expect("a stopped store's directory is free");
        self
    }

    /// A request by the server's key on an object of the bucket `staging`.
    fn ask(&self, method: &'static str, key: &str) -> Ask<'_> {
        Ask {
            world: self,
            who: SERVER,
            method,
            bucket: "staging".into(),
            key: Some(key.into()),
            query: BTreeMap::new(),
            signed: BTreeMap::new(),
            unsigned: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length(None),
            at: self.clock.now(),
            expires: 300,
            region: REGION,
        }
    }

    fn keys(&self) -> Vec<String> {
        let objects = self.store.objects("staging").into_iter();
        objects.map(|(key, _)| key).collect()
    }

    fn stored(&self, key: &str) -> Option<Vec<u8>> {
        self.store.read("staging", key)
    }

    async fn create_upload(&self, key: &str) -> String {
        let made = self.ask("POST", key).query("uploads", "").send().await;
        made.element("UploadId")
    }

    async fn part(&self, key: &str, upload: &str, number: i32, bytes: &[u8]) -> Answer {
        let part = self.ask("PUT", key).query("uploadId", upload);
        part.query("partNumber", &number.to_string())
            .body(bytes)
            .send()
            .await
    }

    async fn complete(&self, key: &str, upload: &str, parts: &[(i32, String)]) -> Answer {
        let parts: Vec<String> = parts
            .iter()
            .map(|(number, etag)| {
                format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
            })
            .collect();
        let parts = parts.concat();
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        self.ask("POST", key)
            .query("uploadId", upload)
            .body(body.as_bytes())
            .send()
            .await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn settings(dir: &std::path::Path, clock: &Clock) -> Settings {
    let key = |(id, secret): (&str, &str)| (id.to_owned(), Secret::new(secret));
    Settings {
        dir: dir.to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        region: REGION.into(),
        server_key: key(SERVER),
        upload_key: key(UPLOAD),
        buckets: vec!["staging".into(), "final".into()],
        upload_bucket: "staging".into(),
        allowed_origins: vec!["https://app.example.com".into()],
        clock: clock.clone(),
    }
}

// ---------------------------------------------------------------- the client

#[derive(Clone, Copy)]
enum Framing {
    /// `Content-Length`: this, or the body's.
    Length(Option<usize>),
    Chunked,
    /// Both, as a smuggler would.
    Both(usize),
}

struct Ask<'a> {
    world: &'a World,
    who: (&'static str, &'static str),
    method: &'static str,
    bucket: String,
    key: Option<String>,
    query: BTreeMap<String, String>,
    signed: BTreeMap<String, String>,
    unsigned: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
    at: Timestamp,
    expires: i64,
    region: &'static str,
}

impl Ask<'_> {
    fn query(mut self, name: &str, value: &str) -> Self {
        self.query.insert(name.into(), value.into());
        self
    }

    /// A header that is signed and sent.
    fn signed(mut self, name: &str, value: &str) -> Self {
        self.signed.insert(name.into(), value.into());
        self
    }

    /// A header that is only sent.
    fn unsigned(mut self, name: &str, value: &str) -> Self {
        self.unsigned.push((name.into(), value.into()));
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    fn bucket(mut self, bucket: &str) -> Self {
        self.bucket = bucket.into();
        self
    }

    fn by(mut self, who: (&'static str, &'static str)) -> Self {
        self.who = who;
        self
    }

    fn host(&self) -> String {
        self.world.store.addr().to_string()
    }

    /// Path and query, signed.
    fn target(&self) -> String {
        let date = date(self.at);
        let scope = format!("{}/{}/s3/aws4_request", &date[..8], self.region);
        let mut headers = self.signed.clone();
        headers.insert("host".into(), self.host());
        let names = headers.keys().cloned().collect::<Vec<_>>().join(";");
        let mut query = self.query.clone();
        for (name, value) in [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", &format!("{}/{scope}", self.who.0)),
            ("X-Amz-Date", &date),
            ("X-Amz-Expires", &self.expires.to_string()),
            ("X-Amz-SignedHeaders", &names),
        ] {
            query.insert(name.into(), value.into());
        }
        let key = self
            .key
            .as_ref()
            .map(|key| format!("/{}", encoded(key, true)));
        let path = format!("/{}{}", self.bucket, key.unwrap_or_default());
        let pairs = query
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name, false), encoded(value, false)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let lines = headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"));
        let lines = lines.collect::<Vec<_>>().concat();
        let canonical = format!(
            "{}\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD",
            self.method
        );
        let hashed = hex::encode(Sha256::digest(canonical));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashed}");
        let signature = hex::encode(mac(&signing_key(self.who.1, &date, self.region), &text));
        format!("{path}?{query}&X-Amz-Signature={signature}")
    }

    async fn send(self) -> Answer {
        let target = self.target();
        self.send_to(&target).await
    }

    async fn send_to(&self, target: &str) -> Answer {
        self.exchange(target).await.expect("an answer")
    }

    /// The answer, or an error when the connection ended without one.
    async fn exchange(&self, target: &str) -> io::Result<Answer> {
        let mut head = format!(
            "{} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            self.method,
            self.host()
        );
        for (name, value) in self
            .signed
            .iter()
            .filter(|(name, _)| *name != "content-length")
        {
            head.extend([name, ": ", value, "\r\n"]);
        }
        for (name, value) in &self.unsigned {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let (length, chunked) = match self.framing {
            Framing::Length(length) => (Some(length.unwrap_or(self.body.len())), false),
            Framing::Chunked => (None, true),
            Framing::Both(length) => (Some(length), true),
        };
        if let Some(length) = length {
            head.extend(["content-length: ", &length.to_string(), "\r\n"]);
        }
        if chunked {
            head += "transfer-encoding: chunked\r\n";
        }
        head += "\r\n";
        let mut stream = TcpStream::connect(self.world.store.addr()).await?;
        stream.write_all(head.as_bytes()).await?;
        if chunked {
            stream
                .write_all(format!("{:x}\r\n", self.body.len()).as_bytes())
                .await?;
            stream.write_all(&self.body).await?;
            stream.write_all(b"\r\n0\r\n\r\n").await?;
        } else {
            stream.write_all(&self.body).await?;
        }
        if length.is_some_and(|length| length > self.body.len()) {
            stream.shutdown().await?;
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Answer::parse(&answer).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Some(Self {
            status,
            headers: headers.collect(),
            body: bytes[end + 4..].to_vec(),
        })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The texts of all XML elements of this name.
    fn elements(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let start = format!("<{name}>");
        let rest = text.split(&start).skip(1);
        rest.filter_map(|rest| Some(rest.split_once(&format!("</{name}>"))?.0.to_owned()))
            .collect()
    }

    fn element(&self, name: &str) -> String {
        self.elements(name).first().cloned().unwrap_or_default()
    }

    /// Status and error code.
    fn said(&self) -> (u16, String) {
        (self.status, self.element("Code"))
    }
}

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
const IN_PATH: &AsciiSet = &UNRESERVED.remove(b'/');

fn encoded(text: &str, path: bool) -> String {
    utf8_percent_encode(text, if path { IN_PATH } else { UNRESERVED }).to_string()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn signing_key(secret: &str, date: &str, region: &str) -> Vec<u8> {
    let start = format!("AWS4{secret}").into_bytes();
    let scope = [&date[..8], region, "s3", "aws4_request"];
    scope.iter().fold(start, |key, part| mac(&key, part))
}

fn date(at: Timestamp) -> String {
    let text: String = at
        .to_string()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    format!("{}Z", &text[..15])
}

/// The URL with a signature that is wrong by one digit.
fn forged(target: &str) -> String {
    let (rest, last) = target.split_at(target.len() - 1);
    format!("{rest}{}", if last == "0" { '1' } else { '0' })
}

fn sha256(bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(bytes))
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(md5::Md5::digest(bytes)))
}

// ---------------------------------------------------------------- signatures

#[tokio::test]
async fn a_presigned_put_stores_the_body_under_its_md5_whatever_the_key() {
    let world = World::new().await;
    let keys = [
        "a",
        "a/b",
        "a//b",
        "a/../b",
        "a/./b",
        "../../../esc",
        "sp ace+ü#q?%25&=.txt",
    ];
    for key in keys {
        let put = world.ask("PUT", key).body(key.as_bytes()).send().await;
        assert_eq!(
            (put.status, put.header("etag")),
            (200, etag(key.as_bytes()).as_str()),
            "{key}"
        );
        assert_eq!(world.stored(key).as_deref(), Some(key.as_bytes()), "{key}");
    }
    assert_eq!(world.ask("PUT", "empty").send().await.status, 200);
    assert_eq!(world.stored("empty"), Some(vec![]));
    assert_eq!(world.ask("PUT", &"k".repeat(1024)).send().await.status, 200);
    let long = world.ask("PUT", &"k".repeat(1025)).send().await;
    assert_eq!(long.said(), (400, "KeyTooLongError".into()));
    assert_eq!(world.keys().len(), keys.len() + 2);
}

#[tokio::test]
async fn a_url_is_good_for_what_was_signed_and_nothing_else() {
    let world = World::new().await;
    let ask = || world.ask("PUT", "k").body(b"abc");
    let good = ask().target();
    let shifted = |by: i64| Timestamp::from_millis(world.clock.now().millis() + by * 1000);
    let cases = [
        ("another key", ask(), good.replace("/k?", "/other?")),
        (
            "one more parameter",
            ask(),
            format!("{good}&x-id=PutObject"),
        ),
        ("no signature", ask(), "/staging/k".into()),
        ("a broken signature", ask(), forged(&good)),
        ("another's key id", ask(), good.replace(SERVER.0, UPLOAD.0)),
        (
            "an unknown key id",
            ask(),
            good.replace(SERVER.0, "AKNOBODY"),
        ),
        (
            "expired",
            ask(),
            Ask {
                at: shifted(-400),
                ..ask()
            }
            .target(),
        ),
        (
            "not valid yet",
            ask(),
            Ask {
                at: shifted(3600),
                ..ask()
            }
            .target(),
        ),
        (
            "for more than a week",
            ask(),
            Ask {
                expires: 604_801,
                ..ask()
            }
            .target(),
        ),
        (
            "for another region",
            ask(),
            Ask {
                region: "us-east-1",
                ..ask()
            }
            .target(),
        ),
        (
            "version 2",
            ask(),
            "/staging/k?AWSAccessKeyId=AKSERVER&Expires=9999999999&Signature=AAAA".into(),
        ),
        (
            "another type",
            ask().unsigned("content-type", "text/html"),
            ask().signed("content-type", "image/png").target(),
        ),
        (
            "no type",
            ask(),
            ask().signed("content-type", "image/png").target(),
        ),
    ];
    for (what, ask, target) in cases {
        let answer = ask.send_to(&target).await;
        assert!(matches!(answer.status, 400 | 403), "{what}: {answer:?}");
    }
    let get = Ask {
        method: "GET",
        ..ask()
    };
    assert_eq!(get.send_to(&good).await.status, 403);
    assert_eq!(world.keys(), Vec::<String>::new());
    assert_eq!(ask().send_to(&good).await.status, 200);
}

#[tokio::test]
async fn a_manual_clock_expires_urls() {
    let clock = Clock::manual(Clock::System.now());
    let world = World::with(clock.clone()).await;
    let put = world.ask("PUT", "k").body(b"abc");
    let target = put.target();
    clock.advance(Seconds(300));
    assert_eq!(put.send_to(&target).await.status, 200);
    clock.advance(Seconds(1));
    assert_eq!(
        put.send_to(&target).await.said(),
        (403, "AccessDenied".into())
    );
}

#[tokio::test]
async fn a_signed_length_holds_against_every_way_to_send_another() {
    let world = World::new().await;
    let ask = |length: usize| world.ask("PUT", "k").body(&vec![b'y'; length]);
    let target = ask(0).signed("content-length", "100").target();
    let cases = [
        ("longer", ask(200), 403),
        ("shorter", ask(50), 403),
        (
            "broken off",
            ask(50).framed(Framing::Length(Some(100))),
            400,
        ),
        (
            "length and chunked",
            ask(5000).framed(Framing::Both(100)),
            411,
        ),
        ("only chunked", ask(5000).framed(Framing::Chunked), 411),
    ];
    for (what, ask, status) in cases {
        match ask.exchange(&target).await {
            Ok(answer) => assert_eq!(answer.status, status, "{what}"),
            Err(_) => assert_eq!(what, "broken off"),
        }
    }
    let wrapped = b"5\r\nhello\r\n0\r\n\r\n";
    let trick = world
        .ask("PUT", "k")
        .body(wrapped)
        .unsigned("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .unsigned("content-encoding", "aws-chunked")
        .unsigned("x-amz-decoded-content-length", "5");
    let length = wrapped.len().to_string();
    let target = world
        .ask("PUT", "k")
        .signed("content-length", &length)
        .target();
    assert_eq!(trick.send_to(&target).await.status, 403);
    let chunked = ask(10).framed(Framing::Chunked).send().await;
    assert_eq!(chunked.said(), (411, "MissingContentLength".into()));
    assert_eq!(world.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn an_unsigned_x_amz_header_is_refused_and_copies_nothing() {
    let world = World::new().await;
    world
        .store
        .write("staging", "secret", b"another tenant's", "text/plain")
        .unwrap();
    for (name, value) in [
        ("x-amz-copy-source", "/staging/secret"),
        ("x-amz-meta-evil", "1"),
        ("x-amz-acl", "public-read"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-storage-class", "STANDARD"),
    ] {
        let put = world.ask("PUT", "k").unsigned(name, value).send().await;
        assert_eq!(put.said(), (403, "AccessDenied".into()), "{name}");
    }
    let upload = world.create_upload("m").await;
    let part = world
        .ask("PUT", "m")
        .query("uploadId", &upload)
        .query("partNumber", "1");
    let part = part
        .unsigned("x-amz-copy-source", "/staging/secret")
        .send()
        .await;
    assert_eq!(part.status, 403);
    let listed = world
        .ask("GET", "m")
        .query("uploadId", &upload)
        .send()
        .await;
    assert_eq!((listed.status, listed.elements("Part").len()), (200, 0));
    assert_eq!(world.keys(), ["secret"]);
    let put = world
        .ask("PUT", "k")
        .signed("x-amz-meta-a", "b")
        .send()
        .await;
    assert_eq!(put.status, 200);
    assert_eq!(
        world.store.headers("staging", "k").unwrap().metadata["a"],
        "b"
    );
}

#[tokio::test]
async fn the_upload_key_can_only_write_and_only_to_its_bucket() {
    let world = World::new().await;
    world
        .store
        .write("staging", "there", b"bytes", "text/plain")
        .unwrap();
    let upload = world.create_upload("m").await;
    let ask = |method, key: &str| world.ask(method, key).by(UPLOAD);
    assert_eq!(ask("PUT", "k").body(b"abc").send().await.status, 200);
    let part = || {
        ask("PUT", "m")
            .query("uploadId", &upload)
            .query("partNumber", "1")
    };
    assert_eq!(part().body(b"abc").send().await.status, 200);
    let source = "/staging/there";
    let refused = [
        ("read", ask("GET", "there")),
        ("head", ask("HEAD", "there")),
        ("delete", ask("DELETE", "there")),
        (
            "copy",
            ask("PUT", "stolen").signed("x-amz-copy-source", source),
        ),
        ("copy a part", part().signed("x-amz-copy-source", source)),
        (
            "list",
            Ask {
                key: None,
                ..ask("GET", "")
            },
        ),
        ("list parts", ask("GET", "m").query("uploadId", &upload)),
        ("start an upload", ask("POST", "n").query("uploads", "")),
        ("complete", ask("POST", "m").query("uploadId", &upload)),
        ("abort", ask("DELETE", "m").query("uploadId", &upload)),
        ("write elsewhere", ask("PUT", "k").bucket("final")),
    ];
    for (what, ask) in refused {
        assert_eq!(ask.send().await.status, 403, "{what}");
    }
    assert_eq!(world.keys(), ["k", "there"]);
    assert_eq!(world.store.objects("final"), []);
}

// ---------------------------------------------------------------- what arrives

#[tokio::test]
async fn a_body_that_is_not_what_was_declared_leaves_what_was_there() {
    let world = World::new().await;
    let declared = [
        ("x-amz-checksum-sha256", sha256(CHECK)),
        ("x-amz-checksum-crc32", STANDARD.encode(CHECK_CRC32)),
        ("x-amz-checksum-crc64nvme", STANDARD.encode(CHECK_CRC64)),
        ("content-md5", STANDARD.encode(md5::Md5::digest(CHECK))),
    ];
    for (name, value) in &declared {
        let ask = |body: &[u8]| world.ask("PUT", "k").signed(name, value).body(body);
        let wrong = ask(b"987654321").send().await;
        assert_eq!(wrong.said(), (400, "BadDigest".into()), "{name}");
        assert_eq!(world.stored("k"), None, "{name}");
        assert_eq!(ask(CHECK).send().await.status, 200, "{name}");
        assert_eq!(ask(b"987654321").send().await.status, 400, "{name}");
        assert_eq!(world.stored("k").as_deref(), Some(CHECK), "{name}");
        let head = world
            .ask("HEAD", "k")
            .signed("x-amz-checksum-mode", "ENABLED")
            .send()
            .await;
        if name.starts_with("x-amz") {
            assert_eq!(head.header(name), value);
        } else {
            assert_eq!(
                head.header("x-amz-checksum-crc64nvme"),
                STANDARD.encode(CHECK_CRC64)
            );
        }
        world.store.remove("staging", "k");
    }
    let hoisted = |body: &[u8]| {
        world
            .ask("PUT", "k")
            .query("x-amz-checksum-sha256", &sha256(CHECK))
            .body(body)
    };
    assert_eq!(
        hoisted(b"987654321").send().await.said(),
        (400, "BadDigest".into())
    );
    assert_eq!(world.keys(), Vec::<String>::new());
    assert_eq!(hoisted(CHECK).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixteen_racers_for_a_free_key_one_wins() {
    let world = World::new().await;
    for round in 0..5 {
        let key = format!("race{round}");
        let racers = (0..16_u8).map(|n| {
            let ask = world.ask("PUT", &key).signed("if-none-match", "*");
            ask.body(&vec![n; 20_000]).send()
        });
        let answers = futures_util::future::join_all(racers).await;
        let won: Vec<usize> = (0..16).filter(|n| answers[*n].status == 200).collect();
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer.status, 200 | 412))
        );
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(
            world.stored(&key).unwrap()[0],
            u8::try_from(won[0]).unwrap()
        );
    }
}

#[tokio::test]
async fn a_conditional_put_replaces_only_what_it_names() {
    let world = World::new().await;
    let ask = |name: &str, value: &str| world.ask("PUT", "k").signed(name, value).body(b"two");
    assert_eq!(
        ask("if-match", &etag(b"one")).send().await.said(),
        (404, "NoSuchKey".into())
    );
    world
        .store
        .write("staging", "k", b"one", "text/plain")
        .unwrap();
    assert_eq!(ask("if-match", &etag(b"zero")).send().await.status, 412);
    assert_eq!(ask("if-none-match", "*").send().await.status, 412);
    assert_eq!(world.stored("k").unwrap(), b"one");
    assert_eq!(ask("if-match", &etag(b"one")).send().await.status, 200);
    assert_eq!(world.stored("k").unwrap(), b"two");
}

#[tokio::test]
async fn a_missing_bucket_is_not_made_and_a_missing_key_is_said_so() {
    let world = World::new().await;
    let put = world
        .ask("PUT", "k")
        .bucket("nowhere")
        .body(b"x")
        .send()
        .await;
    assert_eq!(put.said(), (404, "NoSuchBucket".into()));
    let head = Ask {
        key: None,
        ..world.ask("HEAD", "").bucket("nowhere")
    };
    assert_eq!(head.send().await.status, 404);
    assert_eq!(
        world.ask("GET", "k").send().await.said(),
        (404, "NoSuchKey".into())
    );
    assert_eq!(world.ask("DELETE", "k").send().await.status, 204);
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_told_no_before_it_sends() {
    let world = World::new().await;
    let ask = world.ask("PUT", "k");
    for (target, expected) in [
        (ask.target(), "HTTP/1.1 100"),
        (forged(&ask.target()), "HTTP/1.1 403"),
    ] {
        let mut stream = TcpStream::connect(world.store.addr()).await.unwrap();
        let head = format!(
            "PUT {target} HTTP/1.1\r\nhost: {}\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
            ask.host()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(std::str::from_utf8(&first).unwrap(), expected);
    }
}

#[tokio::test]
async fn a_refusal_of_a_large_body_can_be_read() {
    let world = World::new().await;
    let ask = world.ask("PUT", "k").body(&vec![0; 16 * MIB]);
    let target = forged(&ask.target());
    assert_eq!(
        ask.send_to(&target).await.said(),
        (403, "SignatureDoesNotMatch".into())
    );
}

// ---------------------------------------------------------------- reading

#[tokio::test]
async fn ranges_answer_what_there_is() {
    let world = World::new().await;
    world
        .store
        .write("staging", "ten", b"0123456789", "text/plain")
        .unwrap();
    world
        .store
        .write("staging", "none", b"", "text/plain")
        .unwrap();
    let get = |key: &str, range: &str| world.ask("GET", key).unsigned("range", range);
    let cases = [
        ("ten", "bytes=0-3", 206, "0123"),
        ("ten", "bytes=0-4095", 206, "0123456789"),
        ("ten", "bytes=-4", 206, "6789"),
        ("ten", "bytes=-4096", 206, "0123456789"),
        ("ten", "bytes=abc", 200, "0123456789"),
        ("ten", "bytes=100-", 416, ""),
        ("none", "bytes=0-4095", 416, ""),
        ("none", "bytes=-4096", 416, ""),
    ];
    for (key, range, status, body) in cases {
        let answer = get(key, range).send().await;
        assert_eq!(answer.status, status, "{key} {range}");
        if status < 300 {
            assert_eq!(answer.text(), body, "{key} {range}");
        }
    }
    let matching = get("ten", "bytes=2-3")
        .unsigned("if-match", &etag(b"0123456789"))
        .send()
        .await;
    assert_eq!(
        (matching.header("content-range"), matching.text().as_str()),
        ("bytes 2-3/10", "23")
    );
    let other = get("ten", "bytes=2-3")
        .unsigned("if-match", &etag(b"x"))
        .send()
        .await;
    assert_eq!(other.status, 412);
}

#[tokio::test]
async fn a_download_may_name_its_own_headers() {
    let world = World::new().await;
    world
        .store
        .write("staging", "k", b"<script>", "text/html")
        .unwrap();
    let get = world
        .ask("GET", "k")
        .query("response-content-type", "application/octet-stream");
    let answer = get
        .query(
            "response-content-disposition",
            "attachment; filename=\"a b\"",
        )
        .send()
        .await;
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"a b\""
    );
}

#[tokio::test]
async fn a_listing_comes_in_pages_with_prefixes_folded() {
    let world = World::new().await;
    let keys = ["l/a1", "l/a2", "l/a3", "l/sub/x", "l/sub/y", "other"];
    for key in keys {
        world
            .store
            .write("staging", key, key.as_bytes(), "text/plain")
            .unwrap();
    }
    let list = |after: Option<&str>| {
        let list = Ask {
            key: None,
            ..world.ask("GET", "")
        };
        let list = list
            .query("list-type", "2")
            .query("prefix", "l/")
            .query("max-keys", "2");
        match after {
            Some(token) => list.query("continuation-token", token),
            None => list,
        }
    };
    let (mut seen, mut token) = (Vec::new(), None);
    loop {
        let page = list(token.as_deref()).send().await;
        assert!(page.elements("Key").len() <= 2);
        seen.extend(page.elements("Key"));
        if page.element("IsTruncated") != "true" {
            break;
        }
        token = Some(page.element("NextContinuationToken"));
    }
    assert_eq!(seen, keys[..5]);
    let folded = list(None)
        .query("delimiter", "/")
        .query("max-keys", "10")
        .send()
        .await;
    assert_eq!(folded.elements("Key"), keys[..3]);
    assert_eq!(folded.elements("Size"), ["4", "4", "4"]);
    assert!(folded.element("CommonPrefixes").contains("l/sub/"));
    let later = list(None).query("start-after", "l/a2").send().await;
    assert_eq!(later.elements("Key"), ["l/a3", "l/sub/x"]);
}

// ---------------------------------------------------------------- copies

#[tokio::test]
async fn a_copy_obeys_its_conditions_and_takes_new_headers() {
    let world = World::new().await;
    world
        .store
        .write("staging", "src", b"hello", "text/html")
        .unwrap();
    world
        .store
        .write("final", "taken", b"old", "text/plain")
        .unwrap();
    let copy = |to: &str, if_match: &[u8]| {
        let copy = world
            .ask("PUT", to)
            .bucket("final")
            .signed("x-amz-copy-source", "/staging/src");
        copy.signed("x-amz-copy-source-if-match", &etag(if_match))
    };
    assert_eq!(
        copy("new", b"other").send().await.said(),
        (412, "PreconditionFailed".into())
    );
    let taken = copy("taken", b"hello")
        .signed("if-none-match", "*")
        .send()
        .await;
    assert_eq!(taken.said(), (412, "PreconditionFailed".into()));
    assert_eq!(world.store.objects("final"), [("taken".into(), 3)]);
    let replaced = copy("new", b"hello")
        .signed("if-none-match", "*")
        .signed("x-amz-metadata-directive", "REPLACE")
        .signed("content-type", "image/png")
        .signed("content-disposition", "attachment")
        .signed("x-amz-meta-new", "2");
    assert_eq!(replaced.send().await.status, 200);
    let headers = world.store.headers("final", "new").unwrap();
    assert_eq!(headers.content_type.as_deref(), Some("image/png"));
    assert_eq!(headers.content_disposition.as_deref(), Some("attachment"));
    assert_eq!(headers.metadata["new"], "2");
    world.store.remove("staging", "src");
    assert_eq!(world.store.read("final", "new").unwrap(), b"hello");
    assert_eq!(
        copy("again", b"hello").send().await.said(),
        (404, "NoSuchKey".into())
    );
}

// ---------------------------------------------------------------- multipart

#[tokio::test]
async fn an_upload_in_parts_becomes_an_object_only_when_it_is_completed() {
    let world = World::new().await;
    let upload = world.create_upload("m").await;
    let first = world.part("m", &upload, 1, &vec![b'a'; 5 * MIB]).await;
    let old = world.part("m", &upload, 2, b"old").await;
    let new = world.part("m", &upload, 2, b"tail").await;
    let parts = |first: (i32, &Answer), second: (i32, &Answer)| {
        [first, second].map(|(number, answer)| (number, answer.header("etag").to_owned()))
    };
    for (what, parts, code) in [
        (
            "a replaced part",
            parts((1, &first), (2, &old)),
            "InvalidPart",
        ),
        (
            "a part nobody sent",
            parts((1, &first), (7, &new)),
            "InvalidPart",
        ),
        (
            "the wrong order",
            parts((2, &new), (1, &first)),
            "InvalidPartOrder",
        ),
    ] {
        let refused = world.complete("m", &upload, &parts).await;
        assert_eq!(refused.said(), (400, code.into()), "{what}");
    }
    assert_eq!(world.complete("m", &upload, &[]).await.status, 400);
    assert_eq!(world.stored("m"), None);
    let listed = world
        .ask("GET", "m")
        .query("uploadId", &upload)
        .send()
        .await;
    assert_eq!(listed.elements("Size"), ["5242880", "4"]);
    let done = world
        .complete("m", &upload, &parts((1, &first), (2, &new)))
        .await;
    assert_eq!(done.status, 200);
    assert!(done.element("ETag").contains("-2"));
    let border = world
        .ask("GET", "m")
        .unsigned("range", "bytes=5242878-5242881")
        .send()
        .await;
    assert_eq!((border.status, border.text().as_str()), (206, "aata"));
    let again = world
        .complete("m", &upload, &parts((1, &first), (2, &new)))
        .await;
    assert_eq!(again.said(), (404, "NoSuchUpload".into()));
}

#[tokio::test]
async fn a_small_part_before_the_last_and_a_taken_key_are_refused_without_loss() {
    let world = World::new().await;
    let upload = world.create_upload("m").await;
    let one = world
        .part("m", &upload, 1, b"one")
        .await
        .header("etag")
        .to_owned();
    let two = world
        .part("m", &upload, 2, b"two")
        .await
        .header("etag")
        .to_owned();
    let small = world
        .complete("m", &upload, &[(1, one.clone()), (2, two)])
        .await;
    assert_eq!(small.said(), (400, "EntityTooSmall".into()));
    world
        .store
        .write("staging", "m", b"there", "text/plain")
        .unwrap();
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{one}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = || {
        world
            .ask("POST", "m")
            .query("uploadId", &upload)
            .body(body.as_bytes())
    };
    let taken = complete().signed("if-none-match", "*").send().await;
    assert_eq!(taken.said(), (412, "PreconditionFailed".into()));
    assert_eq!(world.stored("m").unwrap(), b"there");
    let wrong = complete().signed("x-amz-mp-object-size", "4").send().await;
    assert_eq!(wrong.status, 400);
    assert_eq!(complete().send().await.status, 200);
    assert_eq!(world.stored("m").unwrap(), b"one");
}

#[tokio::test]
async fn an_aborted_upload_takes_no_more_parts() {
    let world = World::new().await;
    let upload = world.create_upload("m").await;
    world.part("m", &upload, 1, b"abc").await;
    assert_eq!(world.store.unfinished("staging"), 1);
    let stranger = world.part("other", &upload, 1, b"abc").await;
    assert_eq!(stranger.said(), (404, "NoSuchUpload".into()));
    for number in ["0", "10001"] {
        let part = world
            .ask("PUT", "m")
            .query("uploadId", &upload)
            .query("partNumber", number);
        assert_eq!(part.send().await.status, 400, "{number}");
    }
    let abort = || world.ask("DELETE", "m").query("uploadId", &upload).send();
    assert_eq!(abort().await.status, 204);
    assert_eq!(abort().await.status, 404);
    let late = world.part("m", &upload, 2, b"abc").await;
    assert_eq!(late.said(), (404, "NoSuchUpload".into()));
    assert_eq!(
        std::fs::read_dir(world.dir.join("data")).unwrap().count(),
        0
    );
}

#[tokio::test]
async fn a_copied_part_is_the_named_range_of_the_named_version() {
    let world = World::new().await;
    world
        .store
        .write("staging", "src", b"0123456789", "text/plain")
        .unwrap();
    let upload = world.create_upload("m").await;
    let copy = |if_match: &[u8], range: &str| {
        let part = world
            .ask("PUT", "m")
            .query("uploadId", &upload)
            .query("partNumber", "1");
        let part = part
            .signed("x-amz-copy-source", "/staging/src")
            .signed("x-amz-copy-source-range", range);
        part.signed("x-amz-copy-source-if-match", &etag(if_match))
            .send()
    };
    assert_eq!(copy(b"other", "bytes=2-5").await.status, 412);
    assert_eq!(copy(b"0123456789", "bytes=2-10").await.status, 400);
    let copied = copy(b"0123456789", "bytes=2-5").await;
    assert_eq!(copied.status, 200);
    let tag = etag(b"2345");
    assert_eq!(world.complete("m", &upload, &[(1, tag)]).await.status, 200);
    assert_eq!(world.stored("m").unwrap(), b"2345");
}

#[tokio::test]
async fn unfinished_uploads_are_listed_by_prefix_and_page() {
    let world = World::new().await;
    for key in ["u/1", "u/2", "u/3", "v"] {
        world.create_upload(key).await;
    }
    let list = |marker: Option<(String, String)>| {
        let list = Ask {
            key: None,
            ..world.ask("GET", "")
        };
        let list = list
            .query("uploads", "")
            .query("prefix", "u/")
            .query("max-uploads", "2");
        match marker {
            Some((key, id)) => list
                .query("key-marker", &key)
                .query("upload-id-marker", &id),
            None => list,
        }
        .send()
    };
    let first = list(None).await;
    assert_eq!(first.elements("Key"), ["u/1", "u/2"]);
    let marker = (
        first.element("NextKeyMarker"),
        first.element("NextUploadIdMarker"),
    );
    assert_eq!(list(Some(marker)).await.elements("Key"), ["u/3"]);
}

// ---------------------------------------------------------------- the SDK

#[tokio::test]
async fn the_official_sdk_gets_along_with_it() {
    let world = World::new().await;
    let credentials =
        aws_credential_types::Credentials::new(SERVER.0, SERVER.1, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .region(aws_sdk_s3::config::Region::new(REGION))
        .endpoint_url(world.store.url())
        .force_path_style(true)
        .credentials_provider(credentials)
        .build();
    let sdk = aws_sdk_s3::Client::from_conf(config);
    let object = || sdk.put_object().bucket("staging").key("a b/ü");
    let put = object()
        .body(CHECK.to_vec().into())
        .content_type("text/plain");
    let put = put.send().await.unwrap();
    let conflict = object().if_none_match("*").send().await.unwrap_err();
    assert_eq!(conflict.raw_response().unwrap().status().as_u16(), 412);
    let copy = sdk
        .copy_object()
        .bucket("final")
        .key("f")
        .copy_source("staging/a%20b/%C3%BC");
    let copy = copy.copy_source_if_match(put.e_tag().unwrap());
    copy.send().await.unwrap();
    let get = sdk.get_object().bucket("final").key("f").range("bytes=0-3");
    let bytes = get.send().await.unwrap().body.collect().await.unwrap();
    assert_eq!(bytes.to_vec(), &CHECK[..4]);
    let create = sdk.create_multipart_upload().bucket("staging").key("m");
    let id = create.send().await.unwrap().upload_id.unwrap();
    let part = sdk
        .upload_part()
        .bucket("staging")
        .key("m")
        .upload_id(&id)
        .part_number(1);
    let part = part.body(CHECK.to_vec().into()).send().await.unwrap();
    let parts = aws_sdk_s3::types::CompletedMultipartUpload::builder().parts(
        aws_sdk_s3::types::CompletedPart::builder()
            .part_number(1)
            .e_tag(part.e_tag().unwrap())
            .build(),
    );
    let complete = sdk
        .complete_multipart_upload()
        .bucket("staging")
        .key("m")
        .upload_id(&id);
    complete
        .multipart_upload(parts.build())
        .send()
        .await
        .unwrap();
    let listed = sdk
        .list_objects_v2()
        .bucket("staging")
        .send()
        .await
        .unwrap();
    let keys: Vec<&str> = listed
        .contents()
        .iter()
        .filter_map(|object| object.key())
        .collect();
    assert_eq!(keys, ["a b/ü", "m"]);
    sdk.delete_object()
        .bucket("staging")
        .key("m")
        .send()
        .await
        .unwrap();
    let gone = sdk
        .head_object()
        .bucket("staging")
        .key("m")
        .send()
        .await
        .unwrap_err();
    assert!(gone.into_service_error().is_not_found());
    assert_eq!(world.keys(), ["a b/ü"]);
}

// ---------------------------------------------------------------- forms

fn form(
    world: &World,
    extra: &[(&str, &str)],
    expires: i64,
    file: &[u8],
) -> (Vec<u8>, &'static str) {
    let now = world.clock.now();
    let date = date(now);
    let credential = format!("{}/{}/{REGION}/s3/aws4_request", UPLOAD.0, &date[..8]);
    let until = Timestamp::from_millis(now.millis() + expires * 1000);
    let until = date_of_policy(until);
    let policy = format!(
        r#"{{"expiration":"{until}","conditions":[{{"bucket":"staging"}},["eq","$key","form"],
        ["content-length-range",2,10],["starts-with","$Content-Type","image/"],
        {{"x-amz-algorithm":"AWS4-HMAC-SHA256"}},{{"x-amz-credential":"{credential}"}},{{"x-amz-date":"{date}"}}]}}"#
    );
    let policy = STANDARD.encode(policy);
    let signature = hex::encode(mac(&signing_key(UPLOAD.1, &date, REGION), &policy));
    let mut fields = BTreeMap::from([
        ("key", "form"),
        ("Content-Type", "image/png"),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", &credential),
        ("x-amz-date", &date),
        ("policy", &policy),
        ("x-amz-signature", &signature),
    ]);
    fields.extend(extra.iter().copied());
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend(
            format!("--line\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                .bytes(),
        );
    }
    body.extend(b"--line\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n");
    body.extend(file);
    body.extend(b"\r\n--line--\r\n");
    (body, "multipart/form-data; boundary=line")
}

fn date_of_policy(at: Timestamp) -> String {
    format!("{}.000Z", &at.to_string()[..19])
}

/// What; fields to add or replace; seconds until the policy expires; file; status.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], i64, &'a [u8], u16);

#[tokio::test]
async fn a_form_is_held_to_its_policy() {
    let world = World::new().await;
    let cases: [Case<'_>; 8] = [
        ("too large", &[], 60, b"0123456789a", 400),
        ("too small", &[], 60, b"0", 400),
        (
            "another type",
            &[("Content-Type", "text/html")],
            60,
            b"01234",
            403,
        ),
        ("another key", &[("key", "elsewhere")], 60, b"01234", 403),
        ("expired", &[], -1, b"01234", 403),
        (
            "badly signed",
            &[("x-amz-signature", "00")],
            60,
            b"01234",
            403,
        ),
        ("a field more", &[("acl", "public-read")], 60, b"01234", 403),
        ("good", &[], 60, b"01234", 204),
    ];
    for (what, extra, expires, file, status) in cases {
        assert_eq!(world.keys(), Vec::<String>::new(), "before {what}");
        let (body, kind) = form(&world, extra, expires, file);
        let post = Ask {
            key: None,
            ..world.ask("POST", "")
        };
        let post = post.unsigned("content-type", kind).body(&body);
        assert_eq!(post.send_to("/staging").await.status, status, "{what}");
    }
    assert_eq!(world.stored("form").unwrap(), b"01234");
    assert_eq!(
        world.store.content_type("staging", "form").as_deref(),
        Some("image/png")
    );
}

// ---------------------------------------------------------------- pages

#[tokio::test]
async fn a_page_of_an_allowed_origin_is_answered_even_when_it_is_refused() {
    let world = World::new().await;
    let ours = "https://app.example.com";
    let preflight = |origin: &str| {
        let ask = Ask {
            method: "OPTIONS",
            ..world.ask("PUT", "k")
        };
        let ask = ask
            .unsigned("origin", origin)
            .unsigned("access-control-request-method", "PUT");
        ask.unsigned(
            "access-control-request-headers",
            "content-type,x-amz-checksum-sha256",
        )
    };
    let allowed = preflight(ours).send().await;
    assert_eq!(
        (
            allowed.status,
            allowed.header("access-control-allow-origin")
        ),
        (200, ours)
    );
    assert!(
        allowed
            .header("access-control-allow-headers")
            .contains("x-amz-checksum-sha256")
    );
    let stranger = preflight("https://evil.example").send().await;
    assert_eq!(
        (
            stranger.status,
            stranger.header("access-control-allow-origin")
        ),
        (403, "")
    );
    let put = || world.ask("PUT", "k").unsigned("origin", ours).body(b"abc");
    let stored = put().send().await;
    assert!(
        stored
            .header("access-control-expose-headers")
            .contains("ETag")
    );
    let refused = put().send_to(&forged(&put().target())).await;
    assert_eq!(
        (
            refused.status,
            refused.header("access-control-allow-origin")
        ),
        (403, ours)
    );
    let rule = "<CORSConfiguration><CORSRule><AllowedOrigin>https://evil.example</AllowedOrigin>\
                <AllowedMethod>PUT</AllowedMethod><AllowedHeader>*</AllowedHeader></CORSRule></CORSConfiguration>";
    let cors = |method| {
        Ask {
            key: None,
            ..world.ask(method, "")
        }
        .query("cors", "")
    };
    assert_eq!(
        cors("GET").send().await.said(),
        (404, "NoSuchCORSConfiguration".into())
    );
    assert_eq!(cors("PUT").body(rule.as_bytes()).send().await.status, 200);
    assert_eq!(
        cors("GET").send().await.element("AllowedOrigin"),
        "https://evil.example"
    );
    assert_eq!(preflight(ours).send().await.status, 403);
    assert_eq!(preflight("https://evil.example").send().await.status, 200);
}

// ---------------------------------------------------------------- the directory

#[tokio::test]
async fn objects_and_uploads_survive_a_restart_and_leftovers_do_not() {
    let world = World::new().await;
    world
        .ask("PUT", "k")
        .signed("content-type", "image/png")
        .body(b"bytes")
        .send()
        .await;
    let done = world.create_upload("done").await;
    let part = world
        .part("done", &done, 1, b"part")
        .await
        .header("etag")
        .to_owned();
    world.complete("done", &done, &[(1, part)]).await;
    let open = world.create_upload("open").await;
    let part = world
        .part("open", &open, 1, b"rest")
        .await
        .header("etag")
        .to_owned();
    let busy = DevStore::start(settings(&world.dir, &Clock::System)).await;
    assert_eq!(busy.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    std::fs::write(world.dir.join("data/leftover"), b"x").unwrap();
    std::fs::write(world.dir.join("tmp/leftover"), b"x").unwrap();
    let world = world.restarted().await;
    assert_eq!(world.stored("k").unwrap(), b"bytes");
    assert_eq!(world.stored("done").unwrap(), b"part");
    assert_eq!(
        world.store.content_type("staging", "k").as_deref(),
        Some("image/png")
    );
    assert!(!world.dir.join("data/leftover").exists() && !world.dir.join("tmp/leftover").exists());
    assert_eq!(
        world.complete("open", &open, &[(1, part)]).await.status,
        200
    );
    assert_eq!(world.stored("open").unwrap(), b"rest");
}

#[tokio::test]
async fn a_kill_between_a_completion_and_its_tidying_loses_nothing() {
    let world = World::new().await;
    let upload = world.create_upload("m").await;
    let part = world
        .part("m", &upload, 1, b"part")
        .await
        .header("etag")
        .to_owned();
    let uploads = world.dir.join("uploads");
    let records: Vec<(PathBuf, Vec<u8>)> = std::fs::read_dir(&uploads)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    world.complete("m", &upload, &[(1, part)]).await;
    for (path, bytes) in records {
        std::fs::write(path, bytes).unwrap();
    }
    let world = world.restarted().await;
    assert_eq!(world.store.unfinished("staging"), 0);
    assert_eq!(std::fs::read_dir(uploads).unwrap().count(), 0);
    assert_eq!(world.stored("m").unwrap(), b"part");
}

// ---------------------------------------------------------------- faults

#[tokio::test]
async fn faults_befall_operations_over_the_wire() {
    let world = World::new().await;
    let faults = world.store.faults();
    let put = |key: &str| world.ask("PUT", key).body(b"abc");
    faults.next(Op::PutObject, Fault::ErrorBefore(503));
    assert_eq!(put("before").send().await.said(), (503, "SlowDown".into()));
    faults.next(Op::PutObject, Fault::ErrorAfter(500));
    assert_eq!(put("after").send().await.status, 500);
    faults.next(Op::PutObject, Fault::LostAnswer);
    let lost = put("lost");
    assert!(lost.exchange(&lost.target()).await.is_err());
    faults.next(Op::PutObject, Fault::Reset);
    let reset = put("reset");
    assert!(reset.exchange(&reset.target()).await.is_err());
    assert_eq!(world.keys(), ["after", "lost"]);
    let store = world.store.clone();
    faults.before(Op::GetObject, 1, move || async move {
        store
            .write("staging", "after", b"changed", "text/plain")
            .unwrap();
    });
    assert_eq!(world.ask("GET", "after").send().await.text(), "changed");
    assert_eq!(faults.count(Op::PutObject), 4);
    assert!(
        faults
            .log()
            .contains(&(Op::GetObject, "staging".into(), "after".into()))
    );
}

#[tokio::test]
async fn stopping_ends_what_hangs() {
    let world = World::new().await;
    world.store.faults().always(Op::GetObject, Fault::Hang);
    let (started, hangs) = tokio::sync::oneshot::channel();
    world
        .store
        .faults()
        .before(Op::GetObject, 1, move || async move {
            started.send(()).unwrap();
        });
    let get = world.ask("GET", "k");
    let target = get.target();
    let stopped = async {
        hangs.await.unwrap();
        world.store.stop().await;
    };
    let both = futures_util::future::join(get.exchange(&target), stopped);
    let (answer, ()) = tokio::time::timeout(Duration::from_secs(10), both)
        .await
        .unwrap();
    assert!(answer.is_err());
}
