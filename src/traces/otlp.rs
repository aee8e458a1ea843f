//! With the feature `otlp`: spans go in batches, from a thread of their own and a bounded
//! queue, to the collector that the `OTEL_*` variables name. Whatever it does, no request waits.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData};
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use uuid::Uuid;

use super::are_wanted;
use crate::logging::Sink;

/// Everything that a span may carry. What else is in a span stays here.
const ALLOWED: [&str; 6] = [METHOD, ROUTE, STATUS, "ticket", "outcome", "code"];
const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
const STATUS: &str = "http.response.status_code";

/// What machines ask every few seconds.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// How long a collector has for an answer, unless a variable says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of the process waits for the last batch.
const LAST_BATCH: Duration = Duration::from_secs(2);
/// The most bytes of a collector's answer.
const MAX_ANSWER: usize = 64 * 1024;

/// What this process exports with, once it does.
static TRACING: OnceLock<Tracing> = OnceLock::new();

#[derive(Debug)]
struct Tracing {
    provider: SdkTracerProvider,
    /// How many of all tickets are traced, 0 to 1.
    share: f64,
    /// Whether a request goes into its caller's trace, and is traced if that is.
    obeys: bool,
}

/// The layer that hears spans, when the variables ask for it. Within the runtime that is to
/// send them, once per process.
pub fn layer(environment: &BTreeMap<String, String>) -> Result<Option<Sink>, String> {
    if !are_wanted(environment) {
        return Ok(None);
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender::new(patience(environment))?)
        .build()
        .map_err(|why| format!("OTEL_EXPORTER_OTLP_*: {why}"))?;
    let (share, obeys) = (share(environment), obeys(environment));
    let provider = SdkTracerProvider::builder()
        .with_resource(resource(environment))
        // Parents are only what this room makes them.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            share,
        ))))
        .with_span_processor(BatchSpanProcessor::builder(Listed(exporter)).build())
        .build();
    let tracer = provider.tracer("putgate");
    let spans = FilterFn::new(|meta| {
        meta.is_span() && *meta.level() <= Level::INFO && meta.target().starts_with("putgate")
    });
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_filter(spans.with_max_level_hint(LevelFilter::INFO))
        .boxed();
    TRACING
        .set(Tracing {
            provider,
            share,
            obeys,
        })
        .map_err(|_| "traces have started already".to_owned())?;
    Ok(Some(layer))
}

/// Sends what is left, for a moment.
pub async fn flush() {
    if let Some(tracing) = TRACING.get() {
        let shutdown =
            tokio::task::spawn_blocking(|| tracing.provider.shutdown_with_timeout(LAST_BATCH));
        if !matches!(shutdown.await, Ok(Ok(()))) {
            tracing::warn!("the last traces were not delivered");
        }
    }
}

/// Puts a new span into its ticket's trace, with a link to the request that it came from.
/// Within a span of that trace it stays that span's child.
pub fn about(span: Span, ticket: Uuid) -> Span {
    let Some(tracing) = TRACING.get() else {
        return span;
    };
    let here = Span::current().context().span().span_context().clone();
    let root = root(ticket, tracing.share);
    if here.trace_id() != root.trace_id() {
        // It fails for spans that nobody hears.
        let _ = span.set_parent(Context::new().with_remote_span_context(root));
        span.add_link(here);
    }
    span
}

/// Links a new request's span to its caller's, or puts it into that one's trace where callers
/// are obeyed, and says what it is.
pub fn requested(span: &Span, headers: &HeaderMap, method: &Method, route: impl Fn() -> String) {
    let Some(tracing) = TRACING.get() else {
        return;
    };
    let route = route();
    let caller = caller(headers);
    let parent = if PROBES.contains(&route.as_str()) {
        Some(nobody())
    } else {
        caller.clone().filter(|_| tracing.obeys)
    };
    if let Some(parent) = parent {
        // It fails for spans that nobody hears.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    } else if let Some(caller) = caller {
        span.add_link(caller);
    }
    span.set_attribute(METHOD, known(method));
    span.set_attribute(ROUTE, route);
}

/// Notes the answer's status on the current request's span.
pub fn answered(status: u16) {
    if TRACING.get().is_none() {
        return;
    }
    let span = Span::current();
    span.set_attribute(STATUS, i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

/// Notes a word of ours, never a client's, on the current span.
pub fn note(name: &'static str, word: &'static str) {
    if TRACING.get().is_some() {
        Span::current().set_attribute(name, word);
    }
}

/// What all spans of a ticket descend from, wherever they are made: its id, the id's random
/// half for a span, and the same lot everywhere. The SDK's own lot would read bits of a UUID
/// that are always the same.
#[expect(clippy::cast_precision_loss, reason = "a lot needs no last bit")]
fn root(ticket: Uuid, share: f64) -> SpanContext {
    let (_, random) = ticket.as_u64_pair();
    let lot = (random << 2) as f64 / 2_f64.powi(64);
    SpanContext::new(
        TraceId::from_bytes(ticket.into_bytes()),
        SpanId::from(random),
        TraceFlags::NOT_SAMPLED.with_sampled(lot < share),
        true,
        TraceState::NONE,
    )
}

/// The caller's span, by `traceparent` alone: `tracestate` is anybody's text.
fn caller(headers: &HeaderMap) -> Option<SpanContext> {
    let context = TraceContextPropagator::new()
        .extract_with_context(&Context::new(), &HeaderExtractor(headers));
    let caller = context.span().span_context().clone();
    caller.is_valid().then(|| {
        SpanContext::new(
            caller.trace_id(),
            caller.span_id(),
            caller.trace_flags(),
            true,
            TraceState::NONE,
        )
    })
}

/// A parent whose children are not traced.
fn nobody() -> SpanContext {
    SpanContext::new(
        TraceId::from(1_u128),
        SpanId::from(1),
        TraceFlags::NOT_SAMPLED,
        true,
        TraceState::NONE,
    )
}

/// Anybody can make up others.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

/// Whether the operator trusts every caller with what is traced. Unset is none of them here,
/// unlike elsewhere: this is a service for browsers.
fn obeys(environment: &BTreeMap<String, String>) -> bool {
    let sampler = environment.get("OTEL_TRACES_SAMPLER");
    sampler.is_some_and(|sampler| sampler.trim().starts_with("parentbased_"))
}

/// The share of traces that `OTEL_TRACES_SAMPLER` asks for.
fn share(environment: &BTreeMap<String, String>) -> f64 {
    let value = |name| environment.get(name).map(|value| value.trim());
    match value("OTEL_TRACES_SAMPLER") {
        Some("always_off" | "parentbased_always_off") => 0.0,
        Some("traceidratio" | "parentbased_traceidratio") => value("OTEL_TRACES_SAMPLER_ARG")
            .and_then(|ratio| ratio.parse().ok())
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .unwrap_or(1.0),
        _ => 1.0,
    }
}

fn patience(environment: &BTreeMap<String, String>) -> Duration {
    let millis = |name| environment.get(name)?.trim().parse().ok();
    millis("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
        .or_else(|| millis("OTEL_EXPORTER_OTLP_TIMEOUT"))
        .map_or(PATIENCE, Duration::from_millis)
}

/// What the variables say of this service, and a name if they say none.
fn resource(environment: &BTreeMap<String, String>) -> Resource {
    let resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let says = |name, part| environment.get(name).is_some_and(|v| v.contains(part));
    let is_named = environment
        .get("OTEL_SERVICE_NAME")
        .is_some_and(|name| !name.is_empty())
        || says("OTEL_RESOURCE_ATTRIBUTES", "service.name=");
    if is_named {
        resource.build()
    } else {
        resource.with_service_name("putgate").build()
    }
}

/// An exporter that lets only what is [`ALLOWED`] through.
#[derive(Debug)]
struct Listed(SpanExporter);

impl opentelemetry_sdk::trace::SpanExporter for Listed {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.0.export(batch.into_iter().map(listed).collect())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// A span with nothing but what may leave; a request's is named by method and route.
fn listed(mut span: SpanData) -> SpanData {
    let mut seen = [false; ALLOWED.len()];
    span.attributes.retain(|pair| {
        let at = ALLOWED.iter().position(|key| *key == pair.key.as_str());
        // A flow may say the same twice.
        at.is_some_and(|at| !std::mem::replace(&mut seen[at], true))
    });
    let value = |key: &str| {
        let mut pairs = span.attributes.iter();
        let pair = pairs.find(|pair| pair.key.as_str() == key);
        pair.map(|pair| pair.value.to_string())
    };
    if let (Some(method), Some(route)) = (value(METHOD), value(ROUTE)) {
        span.name = format!("{method} {route}").into();
        span.span_kind = SpanKind::Server;
    }
    span
}

/// Posts batches on the process's runtime: the thread that makes them has none.
#[derive(Debug)]
struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
    patience: Duration,
    /// Whether the last batch arrived: a collector that is down is worth one line.
    delivers: AtomicBool,
}

impl Sender {
    fn new(patience: Duration) -> Result<Self, String> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|why| format!("this machine's root certificates cannot be read: {why}"))?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            runtime: Handle::current(),
            patience,
            delivers: AtomicBool::new(true),
        })
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.request(request.map(Full::new));
        let answer = async {
            let (head, body) = answer.await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?;
            Ok::<_, HttpError>(Response::from_parts(head, body.to_bytes()))
        };
        let patience = self.patience;
        // The runtime's timer can be asked only from within.
        let timed = async move { tokio::time::timeout(patience, answer).await };
        let sent = self.runtime.spawn(timed);
        let sent = match sent.await {
            Ok(Ok(sent)) => sent,
            Ok(Err(late)) => Err(late.into()),
            Err(stopped) => Err(stopped.into()),
        };
        let delivers = sent.as_ref().is_ok_and(|sent| sent.status().is_success());
        if self.delivers.swap(delivers, Ordering::Relaxed) != delivers {
            let status = sent.as_ref().ok().map(|sent| sent.status().as_u16());
            let error = sent.as_ref().err().map(ToString::to_string);
            if delivers {
                tracing::info!("traces are delivered again");
            } else {
                tracing::warn!(status, error, "traces are not delivered");
            }
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(random: u64) -> Uuid {
        Uuid::from_u64_pair(0x0190_0000_0000_7000, (0b10 << 62) | random)
    }

    #[test]
    fn a_tickets_trace_has_its_id_and_the_same_root_and_lot_everywhere() {
        for (random, share, sampled) in [
            (0, 0.0, false),
            (0, 0.01, true),
            (u64::MAX >> 2, 0.99, false),
            (u64::MAX >> 2, 1.1, true),
            (1 << 60, 0.3, true),
            (1 << 60, 0.2, false),
        ] {
            let root = root(id(random), share);
            assert_eq!(root.trace_id().to_string(), id(random).simple().to_string());
            assert!(root.is_valid() && root.is_remote());
            assert_eq!(root.is_sampled(), sampled, "{random:x} of {share}");
        }
    }

    #[test]
    fn a_caller_is_known_by_traceparent_alone() {
        let given = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", value.parse().unwrap());
            headers.insert("tracestate", "a=secret".parse().unwrap());
            caller(&headers)
        };
        let found = given("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!(
            found.trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert!(found.is_sampled() && found.trace_state().header().is_empty());
        for none in [
            "",
            "00-0-0-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            assert!(given(none).is_none(), "{none}");
        }
    }

    #[test]
    fn the_samplers_variables_say_how_many_are_traced_and_whether_callers_are_obeyed() {
        for (sampler, arg, expected, obeying) in [
            (None, None, 1.0, false),
            (Some("always_on"), None, 1.0, false),
            (Some("always_off"), None, 0.0, false),
            (Some("parentbased_always_off"), None, 0.0, true),
            (Some("parentbased_traceidratio"), Some("0.25"), 0.25, true),
            (Some("traceidratio"), Some("7"), 1.0, false),
            (Some(" parentbased_always_on"), Some("0.25"), 1.0, true),
        ] {
            let pairs = [
                ("OTEL_TRACES_SAMPLER", sampler),
                ("OTEL_TRACES_SAMPLER_ARG", arg),
            ];
            let environment = pairs
                .iter()
                .filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned())))
                .collect();
            assert!(
                (share(&environment) - expected).abs() < 1e-9,
                "{sampler:?} {arg:?}"
            );
            assert_eq!(obeys(&environment), obeying, "{sampler:?}");
        }
    }
}
