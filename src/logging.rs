//! Where log lines go: to stderr, one per line, as JSON or as text.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// What is logged when nobody says otherwise. The line per request is for hunts:
/// `info,putgate::access=info` turns it on.
pub const DEFAULT_FILTER: &str = "info,putgate::access=warn";

/// The target of spans that are for traces: log lines never name them. No module begins so:
/// filters go by prefix.
pub const TRACES_ONLY: &str = "putgate::steps";

/// What hears spans beside the log.
pub type Sink = Box<dyn Layer<Registry> + Send + Sync>;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line, for machines.
    Json,
    /// Text, for people.
    Text,
}

/// Starts logging, once per process. `filter` is `level` or `target=level`, separated by
/// commas; the error says what is wrong with it. `traces` hears spans whatever the filter is.
pub fn init(format: Format, filter: &str, traces: Option<Sink>) -> Result<(), String> {
    let filter =
        Targets::from_str(filter).map_err(|law| format!("log filter `{filter}`: {law}"))?;
    let lines = lines(format, std::io::stderr);
    let registry = tracing_subscriber::registry();
    let started = match traces {
        // Filters for all are cheaper than a filter for one.
        None => registry.with(lines).with(filter).with(ceiling()).try_init(),
        Some(traces) => {
            let lines = lines.with_filter(filter.and(ceiling())).boxed();
            registry.with(vec![lines, traces]).try_init()
        }
    };
    started.map_err(|_| "logging has started already".to_owned())?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, words = panic.payload_as_str(), "panic");
    }));
    Ok(())
}

fn lines<W>(format: Format, to: W) -> Sink
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    match format {
        Format::Json => fmt::layer()
            .json()
            .flatten_event(true)
            // The request around an attempt, too.
            .with_span_list(true)
            .with_writer(to)
            .boxed(),
        Format::Text => fmt::layer().with_ansi(false).with_writer(to).boxed(),
    }
}

/// Libraries that handle signatures write them out at their chattiest levels. Whatever the
/// operator's filter says, those levels are not for them. Nor are spans for traces for lines.
fn ceiling() -> Targets {
    Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_targets(["aws", "s3s", "hyper", "h2", "sqlx"].map(|name| (name, LevelFilter::INFO)))
        .with_target(TRACES_ONLY, LevelFilter::OFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, filter: &str, work: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = tracing_subscriber::registry()
            .with(lines(format, move || writer.clone()))
            .with(Targets::from_str(filter).unwrap())
            .with(ceiling());
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    const HOSTILE: &str = "a\n{\"level\":\"ERROR\"}\u{1b}[31m\r";

    #[test]
    fn a_hostile_value_cannot_start_a_line_of_its_own() {
        for format in [Format::Json, Format::Text] {
            let text = written(format, "info", || {
                let _span = tracing::info_span!("request", id = HOSTILE).entered();
                tracing::info!(name = HOSTILE, "kept");
            });
            assert_eq!(text.lines().count(), 1, "{format:?}: {text}");
            assert!(
                !text.contains('\u{1b}') && !text.contains('\r'),
                "{format:?}: {text}"
            );
        }
    }

    #[test]
    fn a_json_line_is_one_object_with_its_span() {
        let text = written(Format::Json, "info", || {
            let _span = tracing::info_span!("request", id = "abc").entered();
            tracing::warn!(status = 503, "answered");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["level"], &line["status"], &line["span"]["id"]),
            (&"WARN".into(), &503.into(), &"abc".into())
        );
    }

    #[test]
    fn libraries_that_sign_are_never_heard_below_info() {
        let text = written(Format::Text, "trace", || {
            tracing::trace!(target: "aws_sigv4::http_request", "secret");
            tracing::debug!(target: "hyper_util::client", "secret");
            tracing::trace!(target: "putgate::flow", "heard");
        });
        assert!(text.contains("heard") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn the_default_filter_is_silent_about_requests_that_went_well() {
        let text = written(Format::Text, DEFAULT_FILTER, || {
            tracing::info!(target: "putgate::access", "well");
            tracing::warn!(target: "putgate::access", "badly");
        });
        assert!(text.contains("badly") && !text.contains("well"), "{text}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error_that_repeats_it() {
        assert!(
            init(Format::Json, "putgate=loud", None)
                .unwrap_err()
                .contains("`putgate=loud`")
        );
    }
}
