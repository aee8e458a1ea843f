//! Counts the calls to the store, whoever makes them.

use std::time::Instant;

use aws_sdk_s3::config::interceptors::{
    BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_types::config_bag::{Storable, StoreReplace};

use crate::metrics::metrics;

/// When a call began.
#[derive(Debug)]
struct Began(Instant);

impl Storable for Began {
    type Storer = StoreReplace<Self>;
}

/// Tells the metrics of every call: its operation, its outcome, and how long it took with all
/// its tries, up to the head of the last answer.
#[derive(Debug)]
pub(super) struct Meter;

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        call: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        call.interceptor_state().store_put(Began(Instant::now()));
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        call: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let status = context.response().map(|answer| answer.status().as_u16());
        let failed = context.output_or_error().is_some_and(|done| done.is_err());
        if let (Some(operation), Some(Began(began))) =
            (call.load::<Metadata>(), call.load::<Began>())
        {
            metrics().stored(operation.name(), outcome(status, failed), began.elapsed());
        }
        Ok(())
    }
}

/// A word for an answer. `CopyObject` and `CompleteMultipartUpload` put errors into a 200.
fn outcome(status: Option<u16>, failed: bool) -> &'static str {
    match (status, failed) {
        (None, _) => "no_answer",
        (Some(400..500), _) => "client_error",
        (Some(500..), _) | (_, true) => "server_error",
        (Some(_), false) => "ok",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_inside_a_200_is_an_error() {
        for (status, failed, word) in [
            (Some(200), false, "ok"),
            (Some(200), true, "server_error"),
            (Some(404), true, "client_error"),
            (Some(503), true, "server_error"),
            (None, true, "no_answer"),
        ] {
            assert_eq!(outcome(status, failed), word, "{status:?} {failed}");
        }
    }
}
