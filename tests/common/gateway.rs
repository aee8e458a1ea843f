//! What stands in front of a store and means well: a proxy that does one thing wrong.

#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::net::SocketAddr;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use axum::http::header::{CONTENT_LENGTH, DATE, HOST};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
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
    /// Keeps uploads of these names though the store refuses them.
    Takes(&'static [&'static str]),
    /// Has these lifecycle rules, of staging and of the files bucket.
    Rules(&'static str, &'static str),
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
    said(status, "")
}

fn said(status: u16, text: &'static str) -> Answer {
    let body = Full::from(text).map_err(|never| match never {}).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

/// The SDK's own view of the devstore.
pub fn admin(endpoint: &str) -> Client {
    let keys = Credentials::new("server", "server-secret", None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .credentials_provider(keys)
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .force_path_style(true);
    Client::from_conf(config.build())
}

async fn hand_on<B>(to: SocketAddr, request: Request<B>) -> Result<Answer, hyper::Error>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let io = TokioIo::new(TcpStream::connect(to).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?.map(BodyExt::boxed))
}

/// The key in staging that an upload is for: a PUT's path, a form's field.
fn key_of(method: &Method, path: &str, body: &[u8]) -> Option<String> {
    if *method == Method::PUT {
        return path.strip_prefix("/staging/").map(str::to_owned);
    }
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once("name=\"key\"\r\n\r\n")?;
    Some(rest.split_once("\r\n")?.0.to_owned())
}

async fn take(
    to: SocketAddr,
    names: &[&str],
    request: Request<Incoming>,
) -> Result<Answer, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let key = key_of(&parts.method, parts.uri.path(), &body);
    let request = Request::from_parts(parts, Full::new(body.clone()));
    let answer = hand_on(to, request).await?;
    let wanted = |key: &String| names.iter().any(|name| key.ends_with(&format!("/{name}")));
    let Some(key) = key.filter(|key| !answer.status().is_success() && wanted(key)) else {
        return Ok(answer);
    };
    let put = admin(&format!("http://{to}")).put_object();
    let put = put.bucket("staging").key(key).body(body.into());
    put.send().await.unwrap();
    Ok(bare(200))
}

async fn answer(
    to: SocketAddr,
    meddling: Meddling,
    mut request: Request<Incoming>,
) -> Result<Answer, hyper::Error> {
    let length = request.headers().get(CONTENT_LENGTH);
    let length: u64 = length.map_or(0, |text| text.to_str().unwrap().parse().unwrap());
    let method = request.method().clone();
    let query = request.uri().query().unwrap_or_default();
    let is_lifecycle = method == Method::GET && query.contains("lifecycle");
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
        Meddling::Takes(names) => return take(to, names, request).await,
        Meddling::Rules(staging, files) if is_lifecycle => {
            let is_staging = request.uri().path().starts_with("/staging");
            return Ok(said(200, if is_staging { staging } else { files }));
        }
        Meddling::OtherHost => {
            let host = HeaderValue::try_from(to.to_string()).unwrap();
            request.headers_mut().insert(HOST, host);
        }
        _ => {}
    }
    let mut answer = hand_on(to, request).await?;
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
