//! A receiver: a real HTTP server that answers as the test says and remembers what it saw.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use putgate::domain::secret::Secret;
use putgate::webhook::{self, Settings};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The key that every test signs with.
pub const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// One request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    /// The ticket or file it is about.
    pub fn subject(&self) -> String {
        self.json()["data"]["id"].as_str().unwrap().to_owned()
    }

    pub fn tenant(&self) -> String {
        self.json()["data"]["tenant"].as_str().unwrap().to_owned()
    }

    /// Whether one of the signatures is by this key, as the standard says to look.
    pub fn is_signed_by(&self, key: &[u8]) -> bool {
        let mut text = format!("{}.{}.", self.id(), self.header("webhook-timestamp")).into_bytes();
        text.extend_from_slice(&self.body);
        let wanted = format!("v1,{}", STANDARD.encode(hmac_sha256(key, &text)));
        self.header("webhook-signature")
            .split(' ')
            .any(|signature| signature == wanted)
    }
}

/// RFC 2104, from the hash alone.
pub fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = if key.len() > 64 {
        Sha256::digest(key).to_vec()
    } else {
        key.to_vec()
    };
    block.resize(64, 0);
    let pad = |byte: u8| -> Vec<u8> { block.iter().map(|b| b ^ byte).collect() };
    let inner = Sha256::digest([pad(0x36), text.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

/// How it answers.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(u16),
    /// With one header more.
    With(u16, &'static str, String),
    /// Never.
    Hang,
    /// 200, and a body without end.
    Flood,
    /// 200, and a body that never comes.
    Trickle,
    /// The connection ends without an answer.
    HangUp,
}

type Rule = Box<dyn FnMut(&Seen) -> Reply + Send>;

struct Shared {
    seen: Mutex<Vec<Seen>>,
    rule: Mutex<Rule>,
    arrived: Notify,
    connections: Mutex<usize>,
}

pub struct Hook {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Hook {
    pub async fn start(rule: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        Self::listen(rule, None).await
    }

    /// One that speaks TLS and proves to be `localhost` to who trusts `tls/ca.pem`.
    pub async fn with_tls() -> Self {
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/localhost.key")).unwrap();
        let own = CertificateDer::from_pem_slice(include_bytes!("tls/localhost.pem")).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own], key)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        Self::listen(|_| Reply::Status(200), Some(tls)).await
    }

    async fn listen(
        rule: impl FnMut(&Seen) -> Reply + Send + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            rule: Mutex::new(Box::new(rule)),
            arrived: Notify::new(),
            connections: Mutex::default(),
        });
        let server = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *server.connections.lock().unwrap() += 1;
                tokio::spawn(serve(Arc::clone(&server), tls.clone(), stream));
            }
        });
        Self { address, shared }
    }

    /// One that says 200 to everything.
    pub async fn content() -> Self {
        Self::start(|_| Reply::Status(200)).await
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks/putgate", self.address)
    }

    /// From now on it answers so.
    pub fn answers(&self, rule: impl FnMut(&Seen) -> Reply + Send + 'static) {
        *self.shared.rule.lock().unwrap() = Box::new(rule);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// What arrived since the last call.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }

    pub fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    /// Waits until so many requests have arrived.
    pub async fn wait_for(&self, many: usize) {
        let enough = async {
            loop {
                let arrived = self.shared.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                if self.seen().len() >= many {
                    return;
                }
                arrived.await;
            }
        };
        let late = tokio::time::timeout(Duration::from_secs(30), enough).await;
        assert!(late.is_ok(), "{} of {many} arrived", self.seen().len());
    }

    /// How the broker reaches it.
    pub fn receiver(&self) -> Arc<webhook::Receiver> {
        webhook::Receiver::new(self.settings()).unwrap()
    }

    pub fn settings(&self) -> Settings {
        Settings {
            url: self.url(),
            secrets: vec![Secret::new(KEY)],
            allow_private: true,
            patience: Duration::from_secs(10),
        }
    }
}

async fn serve(shared: Arc<Shared>, tls: Option<TlsAcceptor>, stream: TcpStream) {
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    let http = hyper::server::conn::http1::Builder::new();
    // A client that goes away is not the server's trouble.
    let _ = match tls {
        None => http.serve_connection(TokioIo::new(stream), service).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => http.serve_connection(TokioIo::new(stream), service).await,
            Err(_) => Ok(()),
        },
    };
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::io::Error> {
    let (head, body) = request.into_parts();
    let seen = Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: body
            .collect()
            .await
            .map_err(std::io::Error::other)?
            .to_bytes(),
    };
    let reply = (shared.rule.lock().unwrap())(&seen);
    shared.seen.lock().unwrap().push(seen);
    shared.arrived.notify_waiters();
    let empty = || Full::new(Bytes::new()).boxed();
    let with = |status: u16, body: Body| Response::builder().status(status).body(body).unwrap();
    Ok(match reply {
        Reply::Status(status) => with(status, empty()),
        Reply::With(status, name, value) => {
            let mut answer = with(status, empty());
            answer.headers_mut().insert(name, value.parse().unwrap());
            answer
        }
        Reply::Hang => std::future::pending().await,
        Reply::HangUp => return Err(std::io::Error::other("hung up")),
        Reply::Flood => {
            let flood = stream::repeat_with(|| Ok(Frame::data(Bytes::from(vec![b'x'; 65_536]))));
            with(200, BodyExt::boxed(StreamBody::new(flood)))
        }
        Reply::Trickle => with(200, BodyExt::boxed(StreamBody::new(stream::pending()))),
    })
}
