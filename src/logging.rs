//! Where log lines go: to stderr, one per line, as JSON or as text.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// What is logged when nobody says otherwise. The line per request is for hunts:
/// `info,putgate::access=info` turns it on.
pub const DEFAULT_FILTER: &str = "info,putgate::access=warn";

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line, for machines.
    Json,
    /// Text, for people.
    Text,
}

/// Starts logging, once per process. `filter` is `level` or `target=level`, separated by
/// commas; the error says what is wrong with it.
pub fn init(format: Format, filter: &str) -> Result<(), String> {
    let filter =
        Targets::from_str(filter).map_err(|law| format!("log filter `{filter}`: {law}"))?;
    let subscriber = tracing_subscriber::registry()
        .with(lines(format, std::io::stderr))
        .with(filter)
        .with(ceiling());
    subscriber
        .try_init()
        .map_err(|_| "logging has started already".to_owned())?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, words = panic.payload_as_str(), "panic");
    }));
    Ok(())
}

fn lines<W>(format: Format, to: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    match format {
        Format::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_writer(to)
            .boxed(),
        Format::Text => fmt::layer().with_ansi(false).with_writer(to).boxed(),
    }
}

/// Libraries that handle signatures write them out at their chattiest levels. Whatever the
/// operator's filter says, those levels are not for them.
fn ceiling() -> Targets {
    Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_targets(["aws", "s3s", "hyper", "h2", "sqlx"].map(|name| (name, LevelFilter::INFO)))
}
