//! Traces for an OpenTelemetry collector: behind the feature `otlp`, by the standard `OTEL_*`
//! variables, and off unless one of them names an endpoint.
//!
//! A ticket's trace id is its id, 128 bits both. So what happens to one ticket in different
//! requests, on different replicas and in the worker is one trace without anything stored, and
//! whoever has a ticket's id can look its trace up. A request has a trace of its own, and a
//! ticket's spans link to it.
//!
//! Who calls is most often a stranger's browser, so that `traceparent` is no more than a link:
//! it decides neither what is traced nor into which trace it goes. An operator whose callers
//! are all known says so by a `parentbased_` sampler.

#[cfg(feature = "otlp")]
mod otlp;

#[cfg(feature = "otlp")]
pub use otlp::{about, answered, flush, layer, note, requested};
#[cfg(not(feature = "otlp"))]
pub use without::{about, answered, flush, layer, note, requested};

use std::collections::BTreeMap;

use tracing::Span;

use crate::domain::problem::Problem;

/// A span for traces alone: a step on a ticket's way, or with the ticket's id one that joins
/// the ticket's trace.
macro_rules! step {
    ($name:literal) => {
        tracing::info_span!(target: crate::logging::TRACES_ONLY, $name)
    };
    ($name:literal, $ticket:expr) => {
        crate::traces::about(
            tracing::info_span!(target: crate::logging::TRACES_ONLY, $name, ticket = %$ticket),
            $ticket,
        )
    };
}
pub(crate) use step;

/// Whether the `OTEL_*` variables ask for traces: an endpoint, and nothing that switches it off.
pub fn are_wanted(environment: &BTreeMap<String, String>) -> bool {
    let given = |name| {
        let value = environment.get(name).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    };
    let endpoint = given("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        .or_else(|| given("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let is_off = given("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || given("OTEL_TRACES_EXPORTER") == Some("none");
    endpoint.is_some() && !is_off
}

/// Notes on a span the code of the problem that it ended in, if it did.
pub fn ended<T>(span: &Span, result: Result<T, Problem>) -> Result<T, Problem> {
    if let Err(problem) = &result {
        span.in_scope(|| note("code", problem.code.as_str()));
    }
    result
}

/// The same names where there is nowhere to send anything.
#[cfg(not(feature = "otlp"))]
mod without {
    use std::collections::BTreeMap;

    use http::{HeaderMap, Method};
    use tracing::Span;
    use uuid::Uuid;

    use crate::logging::Sink;

    /// No layer: this binary was built without the feature `otlp`.
    pub fn layer(_: &BTreeMap<String, String>) -> Result<Option<Sink>, String> {
        Ok(None)
    }

    /// The span as it is.
    pub fn about(span: Span, _: Uuid) -> Span {
        span
    }

    /// Nothing.
    pub fn note(_: &'static str, _: &'static str) {}

    /// Nothing.
    pub fn requested(_: &Span, _: &HeaderMap, _: &Method, _: impl Fn() -> String) {}

    /// Nothing.
    pub fn answered(_: u16) {}

    /// Nothing.
    pub async fn flush() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_endpoint_asks_for_traces_and_either_switch_unsays_it() {
        const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        for (variables, wanted) in [
            (vec![], false),
            (vec![("OTEL_SERVICE_NAME", "gate")], false),
            (vec![(ALL, "")], false),
            (vec![(ALL, "http://c:4318")], true),
            (vec![(TRACES, "http://c:4318/v1/traces")], true),
            (
                vec![(ALL, "http://c"), ("OTEL_SDK_DISABLED", "True")],
                false,
            ),
            (vec![(ALL, "http://c"), ("OTEL_SDK_DISABLED", "no")], true),
            (
                vec![(ALL, "http://c"), ("OTEL_TRACES_EXPORTER", "none")],
                false,
            ),
            (
                vec![(ALL, "http://c"), ("OTEL_TRACES_EXPORTER", "otlp")],
                true,
            ),
        ] {
            let environment = variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!(are_wanted(&environment), wanted, "{variables:?}");
        }
    }
}
