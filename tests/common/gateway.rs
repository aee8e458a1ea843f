//! What stands in front of a store and means well: a proxy that does one thing wrong.

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::net::SocketAddr;

use axum::http::header::{CONTENT_LENGTH, DATE, HOST};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use putgate::clock::Clock;
use putgate::domain::time::Seconds;
use time::format_description::well_known::Rfc2822;
use tokio::net::{TcpListener, TcpStream};

/// What it does wrong.
#[derive(Clone, Copy, Debug)]
pub enum Meddling {
    /// Refuses bodies over so many bytes.
    Limit(u64),
    /// Hands requests on under the store's own name.
    OtherHost,
    /// Says that it is so much later.
    Late(Seconds),
    /// Takes the CORS headers off what is no success.
    BareRefusals,
    /// Knows no POST.
    NoForms,
    /// Says 200 to every PUT.
    AllIsWell,
    /// Asks browsers to sign their preflights.
    SignedPreflights,
    /// Takes the headers off that say how a download is to be kept.
    BareDownloads,
}

/// Starts one in front of the store at `to` (`http://…`); answers its own endpoint.
pub async fn start(to: &str, meddling: Meddling) -> String {
    let to: SocketAddr = to.strip_prefix("http://").unwrap().parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answers = service_fn(move |request| answer(to, meddling, request));
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new());
            tokio::spawn(http.serve_connection(TokioIo::new(stream), answers));
        }
    });
    endpoint
}

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

fn bare(status: u16) -> Answer {
    let empty = Empty::new().map_err(|never| match never {}).boxed();
    let mut answer = Response::new(empty);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

async fn answer(
    to: SocketAddr,
    meddling: Meddling,
    mut request: Request<Incoming>,
) -> Result<Answer, hyper::Error> {
    let length = request.headers().get(CONTENT_LENGTH);
    let length: u64 = length.map_or(0, |text| text.to_str().unwrap().parse().unwrap());
    let method = request.method().clone();
    match meddling {
        Meddling::Limit(most) if length > most => {
            // To the end, or the client would see a broken pipe at times.
            request.body_mut().collect().await?;
            return Ok(bare(413));
        }
        Meddling::NoForms if method == Method::POST && request.uri().query().is_none() => {
            return Ok(bare(501));
        }
        Meddling::SignedPreflights if method == Method::OPTIONS => return Ok(bare(403)),
        Meddling::OtherHost => {
            let host = HeaderValue::try_from(to.to_string()).unwrap();
            request.headers_mut().insert(HOST, host);
        }
        _ => {}
    }
    let stream = TcpStream::connect(to).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(connection);
    let mut answer = sender.send_request(request).await?.map(BodyExt::boxed);
    let is_success = answer.status().is_success();
    let headers = answer.headers_mut();
    match meddling {
        Meddling::Late(by) => {
            let now = Clock::System.now().plus(by).calendar();
            let date = now
                .replace_millisecond(0)
                .unwrap()
                .format(&Rfc2822)
                .unwrap();
            let date = date.replace("+0000", "GMT");
            headers.insert(DATE, HeaderValue::try_from(date).unwrap());
        }
        Meddling::BareRefusals if !is_success => {
            headers.remove("access-control-allow-origin");
        }
        Meddling::BareDownloads => {
            headers.remove("content-disposition");
        }
        Meddling::AllIsWell if method == Method::PUT => {
            *answer.status_mut() = StatusCode::OK;
        }
        _ => {}
    }
    Ok(answer)
}
