//! The listener, and what happens to a request around the S3 library: preflights,
//! CORS headers, the gate, and connections that have to break.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ETAG, EXPECT, HOST, HeaderName,
    HeaderValue, LOCATION, ORIGIN,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::Body;
use s3s::service::S3Service;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::cors::{Asked, Rule, granted};
use super::disk::Disk;
use super::faults::{CUT, ERROR_IN_200, RESET};
use super::gate::{Refusal, admit};

/// How much of a refused body is read, so that a client which only sends and then
/// listens gets to read why; and for how long.
const DRAINED: u64 = 64 * 1024 * 1024;
const DRAINING: Duration = Duration::from_secs(10);

/// Everything an answer needs.
pub(super) struct Server {
    pub(super) disk: Arc<Disk>,
    pub(super) service: S3Service,
    pub(super) region: String,
    /// For buckets without rules of their own.
    pub(super) default_rule: Rule,
}

/// Answers until `stop` changes, then drops the listener and every connection.
pub(super) async fn serve(
    server: Arc<Server>,
    listener: TcpListener,
    mut stop: watch::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => drop(connections.spawn(connection(server.clone(), stream))),
            // Out of file descriptors, most likely: a moment may free some.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    connections.shutdown().await;
}

async fn connection(server: Arc<Server>, stream: TcpStream) {
    // Without it a small answer waits 40 ms for the client's delayed ACK.
    let _ = stream.set_nodelay(true);
    let answers = service_fn(move |request| {
        let server = server.clone();
        async move { server.answer(request).await }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    // A connection that breaks is its client's business, or was asked for.
    let _ = http.serve_connection(TokioIo::new(stream), answers).await;
}

impl Server {
    /// The answer; an error when the connection has to close without one.
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let (mut parts, body) = request.into_parts();
        let rules = self.rules(&parts);
        if parts.method == Method::OPTIONS {
            return Ok(preflight(&parts, &rules));
        }
        let origin = text(&parts, &ORIGIN).to_owned();
        let host = text(&parts, &HOST).to_owned();
        let method = parts.method.clone();
        let waits = parts.headers.contains_key(EXPECT);
        let body = Tap::new(body);
        let admitted = admit(&mut parts, &self.region, self.disk.now());
        let mut response = if let Err(refusal) = admitted {
            refusal.response()
        } else {
            let request = Request::from_parts(parts, Body::http_body_unsync(body.clone()));
            let answer = self.service.call(request).await;
            placed(regraded(answer.map_err(io::Error::other)?), &host)
        };
        if response.headers().contains_key(RESET) {
            return Err(io::Error::other("a fault was asked for"));
        }
        if response.headers_mut().remove(ERROR_IN_200).is_some() {
            *response.status_mut() = StatusCode::OK;
        }
        if response.headers_mut().remove(CUT).is_some() {
            response = cut(response).await?;
        }
        // A client that waits for 100 Continue has not sent its body, and must not be
        // told to.
        if !response.status().is_success() && !waits {
            body.drain().await;
        }
        let asked = Asked {
            origin: &origin,
            method: method.as_str(),
            headers: "",
        };
        if let Some(headers) = granted(&rules, &asked).filter(|_| !origin.is_empty()) {
            response.headers_mut().extend(headers);
        }
        Ok(response)
    }

    fn rules(&self, parts: &Parts) -> Vec<Rule> {
        let bucket = parts.uri.path().split('/').nth(1).unwrap_or_default();
        let own = self.disk.cors(bucket).ok().flatten();
        own.unwrap_or_else(|| vec![self.default_rule.clone()])
    }
}

fn text<'a>(parts: &'a Parts, name: &HeaderName) -> &'a str {
    parts
        .headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// The first half of a body, under the length of the whole; then the connection breaks.
async fn cut(response: Response<Body>) -> io::Result<Response<Body>> {
    let (parts, body) = response.into_parts();
    let whole = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let half = whole.slice(..whole.len() / 2);
    let frames = [
        Ok(Frame::data(half)),
        Err(io::Error::other("a fault was asked for")),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames));
    Ok(Response::from_parts(parts, Body::http_body_unsync(body)))
}

/// The library calls an unmet condition of a form's policy a malformed policy; to S3
/// the policy is well and the request is denied.
fn regraded(response: Response<Body>) -> Response<Body> {
    let text = response.body().bytes().unwrap_or_default();
    let holds = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    let unmet = response.status() == StatusCode::BAD_REQUEST
        && holds(b"<Code>InvalidPolicyDocument<")
        && holds(b"<Message>Policy condition ");
    if !unmet {
        return response;
    }
    Refusal {
        status: StatusCode::FORBIDDEN,
        code: "AccessDenied",
        message: "Invalid according to Policy: a condition failed.",
    }
    .response()
}

/// S3 says also in the headers of a form's 201 where the file went and what its `ETag` is, and
/// that is where browsers look; the library says it in the body alone.
fn placed(mut response: Response<Body>, host: &str) -> Response<Body> {
    if response.status() != StatusCode::CREATED {
        return response;
    }
    let text = response.body().bytes().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let inside = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once("</")?.0.replace("&quot;", "\""))
    };
    let place = inside("Location").map(|path| format!("http://{host}{path}"));
    for (name, value) in [(LOCATION, place), (ETAG, inside("ETag"))] {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn preflight(parts: &Parts, rules: &[Rule]) -> Response<Body> {
    let asked = Asked {
        origin: text(parts, &ORIGIN),
        method: text(parts, &ACCESS_CONTROL_REQUEST_METHOD),
        headers: text(parts, &ACCESS_CONTROL_REQUEST_HEADERS),
    };
    let headers: Option<HeaderMap> = granted(rules, &asked).filter(|_| !asked.origin.is_empty());
    match headers {
        Some(headers) => {
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = headers;
            response
        }
        None => Refusal {
            status: StatusCode::FORBIDDEN,
            code: "AccessForbidden",
            message: "CORSResponse: This CORS request is not allowed.",
        }
        .response(),
    }
}

/// A request's body, of which the server keeps a hold to read what the library left.
#[derive(Clone)]
struct Tap(Arc<Mutex<Incoming>>);

impl Tap {
    fn new(body: Incoming) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    async fn drain(mut self) {
        let _ = tokio::time::timeout(DRAINING, async {
            let mut read = 0;
            while let Some(Ok(frame)) = self.frame().await {
                read += frame.data_ref().map_or(0, Bytes::len) as u64;
                if read > DRAINED {
                    break;
                }
            }
        })
        .await;
    }
}

impl hyper::body::Body for Tap {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .size_hint()
    }
}
