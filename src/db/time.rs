//! The database's clock, which leases, deadlines and schedules go by.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::domain::time::Timestamp;

/// What tells the database's time.
#[derive(Clone, Debug)]
pub(super) enum Time {
    /// The process: SQLite lives in it, and a test's clock stands for the server's too.
    Here(Clock),
    /// PostgreSQL's server, estimated between transactions.
    Server(Arc<Estimate>),
}

/// The server's clock by this process's monotonic one. Each write transaction measures it
/// anew. Right after, it is off by at most half of that statement's round trip; later by
/// what the two clocks drift apart meanwhile, and, after a jump of the server's clock or a
/// sleep of this machine, by all of that until the next write (`serve` writes at least once
/// a minute). A transaction itself never uses it: it asks the server.
#[derive(Debug)]
pub(super) struct Estimate {
    origin: Instant,
    /// The server's milliseconds when `origin` was.
    base: AtomicI64,
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl Time {
    pub(super) fn of_server() -> Self {
        Self::Server(Arc::new(Estimate {
            origin: Instant::now(),
            base: AtomicI64::new(0),
        }))
    }

    pub(super) fn now(&self) -> Timestamp {
        match self {
            Self::Here(clock) => clock.now(),
            Self::Server(estimate) => {
                let base = estimate.base.load(Ordering::Relaxed);
                Timestamp::from_millis(base + millis(estimate.origin.elapsed()))
            }
        }
    }

    /// The moment that a statement shall take for now; `None`: the server's own.
    pub(super) fn given(&self) -> Option<i64> {
        match self {
            Self::Here(clock) => Some(clock.now().millis()),
            Self::Server(_) => None,
        }
    }

    /// The server said `now` in an answer to a question of `asked`.
    pub(super) fn learn(&self, asked: Instant, now: Timestamp) {
        if let Self::Server(estimate) = self {
            let middle = asked.duration_since(estimate.origin) + asked.elapsed() / 2;
            let base = now.millis() - millis(middle);
            estimate.base.store(base, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_clock_goes_on_between_two_answers() {
        let time = Time::of_server();
        let said = Timestamp::from_millis(1_700_000_000_000);
        time.learn(Instant::now(), said);
        let early = time.now().millis() - said.millis();
        assert!((-1..1000).contains(&early), "{early} ms off");
        // An hour back on the server is an hour back here.
        time.learn(
            Instant::now(),
            Timestamp::from_millis(said.millis() - 3_600_000),
        );
        assert!(time.now() < said);
    }
}
