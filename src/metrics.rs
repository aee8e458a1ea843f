//! What is counted, for Prometheus: one registry per process, written as `OpenMetrics` 1.0.
//!
//! Labels have few values: a route as it is mounted, a slot of the configuration, a word of ours;
//! never an id, a name or an owner. What is known to come is there from the start, as a zero.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where counts of rows end: past it the number does not matter.
pub const MOST_COUNTED: u32 = 10_000;

/// What attempts come to.
pub const ATTEMPT_OUTCOMES: [&str; 7] = [
    "closed",
    "busy",
    "missing",
    "again",
    "unavailable",
    "unreadable",
    "unknown",
];
/// What tries to deliver an event come to.
pub const DELIVERY_OUTCOMES: [&str; 4] = ["delivered", "again", "dead", "unsettled"];

/// A moving number with a fraction.
type Float = Gauge<f64, AtomicU64>;

/// Seconds, from a quick answer to a minute.
fn waits() -> Histogram {
    Histogram::new([
        0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0, 60.0,
    ])
}

/// Powers of two up to the largest batch.
fn batches() -> Histogram {
    Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0])
}

fn timed<L: Clone + std::hash::Hash + Eq>() -> Family<L, Histogram> {
    Family::new_with_constructor(waits)
}

macro_rules! labels {
    ($($name:ident { $($label:ident: $kind:ty),* })*) => {$(
        #[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        struct $name { $($label: $kind),* }
    )*};
}

labels! {
    Answered { route: String, method: &'static str, status: &'static str }
    Route { route: String, method: &'static str }
    Slot { slot: String }
    Outcome { outcome: &'static str }
    Verdict { verdict: &'static str }
    Pass { pass: &'static str }
    PassOutcome { pass: &'static str, outcome: &'static str }
    Operation { operation: String }
    OperationOutcome { operation: String, outcome: &'static str }
    State { state: &'static str }
}

macro_rules! metrics {
    ($($field:ident: $kind:ty = $made:expr, $name:literal $(in $unit:ident)?, $help:literal;)*) => {
        /// The numbers of this process.
        pub struct Metrics {
            registry: Registry,
            $($field: $kind,)*
        }

        impl Metrics {
            fn new() -> Self {
                let mut registry = Registry::with_prefix("putgate");
                $(let $field: $kind = $made;)*
                $(
                    let unit = None$(.or(Some(Unit::$unit)))?;
                    match unit {
                        Some(unit) => {
                            registry.register_with_unit($name, $help, unit, $field.clone());
                        }
                        None => registry.register($name, $help, $field.clone()),
                    }
                )*
                let made = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
                registry.register("build", "What is running", made);
                Self { registry, $($field,)* }
            }
        }
    };
}

metrics! {
    requests: Family<Answered, Counter> = Family::default(), "http_requests",
        "Requests answered, by route, method and class of status";
    request_duration: Family<Route, Histogram> = timed(), "http_request_duration" in Seconds,
        "From a request's head to its answer; long-polls wait as they are asked to";
    minted: Family<Slot, Counter> = Family::default(), "tickets_minted",
        "Tickets, by slot";
    attempts: Family<Outcome, Counter> = Family::default(), "attempts",
        "Runs of judge, promote and commit, by what they came to";
    attempt_duration: Histogram = waits(), "attempt_duration" in Seconds,
        "Of a run of judge, promote and commit";
    verdicts: Family<Verdict, Counter> = Family::default(), "verdicts",
        "Uploads judged: accepted, or the reason of the rejection";
    commits: Family<Slot, Counter> = Family::default(), "files_committed",
        "Files, by slot";
    committed: Family<Slot, Counter> = Family::default(), "committed" in Bytes,
        "Their bytes, by slot";
    due_tickets: Gauge = Gauge::default(), "tickets_due",
        "Open tickets that the worker is to look at now; at most 10000";
    due_ticket_age: Float = Float::default(), "tickets_due_age" in Seconds,
        "How long the first of them has waited";
    passes: Family<PassOutcome, Counter> = Family::default(), "worker_passes",
        "Passes of the worker, by what they came to";
    pass_duration: Family<Pass, Histogram> = timed(), "worker_pass_duration" in Seconds,
        "Of a pass of the worker";
    circuit_open: Gauge = Gauge::default(), "store_circuit_open",
        "1 while the worker waits for the store to come back";
    batch: Histogram = batches(), "db_batch_members",
        "Writes that shared a transaction";
    write_wait: Histogram = waits(), "db_write_wait" in Seconds,
        "From queueing a write to its answer";
    transactions: Family<Outcome, Counter> = Family::default(), "db_transactions",
        "Transactions of the writer, by what they came to";
    store_calls: Family<OperationOutcome, Counter> = Family::default(), "store_requests",
        "Calls to the store, retries included in each";
    store_duration: Family<Operation, Histogram> = timed(), "store_request_duration" in Seconds,
        "Of a call to the store, up to the answer's head";
    deliveries: Family<Outcome, Counter> = Family::default(), "webhook_deliveries",
        "Tries to deliver an event, by what they came to";
    pending_events: Gauge = Gauge::default(), "outbox_events_pending",
        "Events that are to be delivered; at most 10000";
    event_age: Float = Float::default(), "outbox_age" in Seconds,
        "How long the oldest event has waited for the receiver; 0 where none is configured";
    database_up: Gauge = Gauge::default(), "database_up",
        "1 when the database answered this scrape; else the rows' numbers are old";
    writable: Gauge = Gauge::default(), "database_writable",
        "0 from a write that the database did not take to the next one that it does";
    connections: Family<State, Gauge> = Family::default(), "db_connections",
        "Connections for reading";
}

/// The process's own.
pub fn metrics() -> &'static Metrics {
    static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
        let made = Metrics::new();
        made.begin();
        made
    });
    &METRICS
}

/// Rows that wait, as the database counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Open tickets whose time to be looked at has come.
    pub due_tickets: i64,
    /// How long the first of them has waited, in milliseconds.
    pub due_ticket_millis: i64,
    /// Events that are to be delivered.
    pub pending_events: i64,
    /// How long the oldest of them has waited for the receiver, in milliseconds.
    pub oldest_event_millis: i64,
}

fn seconds(millis: i64) -> f64 {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0)).as_secs_f64()
}

const fn word(ok: bool) -> &'static str {
    if ok { "ok" } else { "failed" }
}

impl Metrics {
    /// A zero where something is known to come.
    fn begin(&self) {
        for outcome in ATTEMPT_OUTCOMES {
            drop(self.attempts.get_or_create(&Outcome { outcome }));
        }
        for outcome in DELIVERY_OUTCOMES {
            drop(self.deliveries.get_or_create(&Outcome { outcome }));
        }
        for outcome in [word(true), word(false)] {
            drop(self.transactions.get_or_create(&Outcome { outcome }));
        }
        self.know_verdict("accepted");
        self.writable(true);
    }

    /// A zero for what an upload may be rejected for.
    pub fn know_verdict(&self, verdict: &'static str) {
        drop(self.verdicts.get_or_create(&Verdict { verdict }));
    }

    /// A zero for each outcome of a pass of the worker: a process that never runs it, or hangs
    /// in it, says so.
    pub fn know_pass(&self, pass: &'static str) {
        for outcome in [word(true), word(false)] {
            drop(self.passes.get_or_create(&PassOutcome { pass, outcome }));
        }
    }

    /// A zero for each number of a slot.
    pub fn know_slot(&self, slot: &str) {
        let slot = Slot { slot: slot.into() };
        drop(self.minted.get_or_create(&slot));
        drop(self.commits.get_or_create(&slot));
        drop(self.committed.get_or_create(&slot));
    }

    /// A request was answered. `route` is one that is mounted, or a constant.
    pub fn answered(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let status = match status {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500.. => "5xx",
        };
        let route = Route {
            route: route.to_owned(),
            method,
        };
        self.request_duration
            .get_or_create(&route)
            .observe(took.as_secs_f64());
        let Route { route, method } = route;
        let labels = Answered {
            route,
            method,
            status,
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// A ticket was minted.
    pub fn minted(&self, slot: &str) {
        self.minted.get_or_create(&Slot { slot: slot.into() }).inc();
    }

    /// An attempt ended; `outcome` is one of [`ATTEMPT_OUTCOMES`].
    pub fn attempted(&self, outcome: &'static str, took: Duration) {
        self.attempts.get_or_create(&Outcome { outcome }).inc();
        self.attempt_duration.observe(took.as_secs_f64());
    }

    /// An upload was judged: `accepted`, or why not.
    pub fn judged(&self, verdict: &'static str) {
        self.verdicts.get_or_create(&Verdict { verdict }).inc();
    }

    /// A file was committed.
    pub fn committed(&self, slot: &str, bytes: u64) {
        let slot = Slot { slot: slot.into() };
        self.commits.get_or_create(&slot).inc();
        self.committed.get_or_create(&slot).inc_by(bytes);
    }

    /// A pass of the worker ended.
    pub fn passed(&self, pass: &'static str, ok: bool, took: Duration) {
        let outcome = word(ok);
        self.passes
            .get_or_create(&PassOutcome { pass, outcome })
            .inc();
        self.pass_duration
            .get_or_create(&Pass { pass })
            .observe(took.as_secs_f64());
    }

    /// Whether the worker waits for the store.
    pub fn circuit(&self, open: bool) {
        self.circuit_open.set(i64::from(open));
    }

    /// A transaction of so many writes ended.
    pub fn transacted(&self, members: usize, ok: bool) {
        let outcome = word(ok);
        self.transactions.get_or_create(&Outcome { outcome }).inc();
        self.batch
            .observe(f64::from(u32::try_from(members).unwrap_or(u32::MAX)));
    }

    /// A write was answered.
    pub fn wrote(&self, waited: Duration) {
        self.write_wait.observe(waited.as_secs_f64());
    }

    /// A call to the store was answered, or was not.
    pub fn stored(&self, operation: &str, outcome: &'static str, took: Duration) {
        let operation = Operation {
            operation: operation.to_owned(),
        };
        self.store_duration
            .get_or_create(&operation)
            .observe(took.as_secs_f64());
        let Operation { operation } = operation;
        self.store_calls
            .get_or_create(&OperationOutcome { operation, outcome })
            .inc();
    }

    /// An event was tried; `outcome` is one of [`DELIVERY_OUTCOMES`].
    pub fn delivered(&self, outcome: &'static str) {
        self.deliveries.get_or_create(&Outcome { outcome }).inc();
    }

    /// What the database says about its rows; `None`: it did not answer.
    pub fn measured(&self, backlog: Option<Backlog>) {
        self.database_up.set(i64::from(backlog.is_some()));
        let Some(found) = backlog else { return };
        self.due_tickets.set(found.due_tickets);
        self.due_ticket_age.set(seconds(found.due_ticket_millis));
        self.event_age.set(seconds(found.oldest_event_millis));
        self.pending_events.set(found.pending_events);
    }

    /// Whether the database takes writes.
    pub fn writable(&self, takes: bool) {
        self.writable.set(i64::from(takes));
    }

    /// Connections for reading: at work, and waiting for some.
    pub fn connections(&self, busy: u32, idle: u32) {
        for (state, count) in [("busy", busy), ("idle", idle)] {
            self.connections
                .get_or_create(&State { state })
                .set(i64::from(count));
        }
    }

    /// Everything, as [`CONTENT_TYPE`] says.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
