//! Durable mints per second over HTTP: JWT, limits, reservation, fsync, signature.
//!
//! `cargo bench --bench mint` starts the real binary in release mode on SQLite with
//! `synchronous=FULL` and drives it over loopback from this process. The S3 endpoint is
//! never contacted: minting asks no store. Figures are printed, not asserted; compare
//! ratios of one run. The client takes its share of the same cores. With
//! `PUTGATE_BENCH_DATABASE=postgres://…` the runs share that database, which should be new.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, and may fall over"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use putgate::clock::Clock;
use putgate::domain::secret::Secret;
use putgate::domain::time::Seconds;
use putgate::http::auth::mint_token;
use serde_json::json;

const SECRET: &str = "a-secret-for-the-benchmark-of-32-bytes";
const OWNERS: usize = 1000;

fn main() {
    let seconds = Duration::from_secs(5);
    println!("connections  slots      mints/s   p50 ms   p99 ms   CPU µs  peak KiB");
    for (connections, owners, label) in [
        (1, OWNERS, "spread"),
        (64, OWNERS, "spread"),
        (64, 1, "hot"),
    ] {
        let broker = Broker::start();
        drive(broker.address, connections, owners, Duration::from_secs(1));
        let before = broker.cpu();
        let mut times = drive(broker.address, connections, owners, seconds);
        let cpu = broker.cpu().saturating_sub(before);
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
        println!(
            "{connections:>11}  {label:<7} {:>10.0} {:>8.2} {:>8.2} {:>8.1} {:>9}",
            times.len() as f64 / seconds.as_secs_f64(),
            at(50),
            at(99),
            cpu.as_secs_f64() * 1e6 / times.len() as f64,
            broker.peak_memory(),
        );
    }
}

struct Broker {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Broker {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        std::fs::write(dir.path().join("secret"), SECRET).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a benchmark's own variable")]
        let database = std::env::var("PUTGATE_BENCH_DATABASE")
            .unwrap_or_else(|_| format!("sqlite://{}", dir.path().join("putgate.db").display()));
        let config = format!(
            "[server]\nlisten = \"{address}\"\nlog_filter = \"warn\"\n\
             [database]\nurl = \"{database}\"\n\
             [storage]\nendpoint = \"http://127.0.0.1:1\"\nregion = \"us-east-1\"\n\
             staging_bucket = \"staging\"\nfiles_bucket = \"files\"\naccess_key = \"a\"\n\
             secret_key = \"b\"\nupload_access_key = \"c\"\nupload_secret_key = \"d\"\n\
             [auth]\nhs256_secret_files = [\"secret\"]\n\
             [limits]\nmax_open_tickets = 1000000\n\
             [slots.photos]\naccept = [\"image/*\"]\nmax_entries = 1000000\nquota = \"1TB\"\n"
        );
        let path = dir.path().join("putgate.toml");
        std::fs::write(&path, config).unwrap();
        let run = |command: &str| {
            let mut run = Command::new(env!("CARGO_BIN_EXE_putgate"));
            run.arg("--config")
                .arg(&path)
                .arg(command)
                .env_clear()
                .stdout(Stdio::null());
            run
        };
        let set_up = run("setup").arg("--database-only").status();
        assert!(set_up.unwrap().success());
        let child = run("serve").spawn().unwrap();
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "the server does not listen"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Self {
            child,
            address,
            _dir: dir,
        }
    }

    /// Processor time the server has used, in user and kernel.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = &stat[stat.rfind(')').unwrap()..];
        let ticks: u64 = after_name
            .split_whitespace()
            .skip(12)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum();
        // Linux counts in USER_HZ, which is 100 everywhere it matters.
        Duration::from_millis(ticks * 10)
    }

    fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Mints over `connections` keep-alive connections for a while; the time of each mint.
fn drive(
    address: SocketAddr,
    connections: usize,
    owners: usize,
    how_long: Duration,
) -> Vec<Duration> {
    let exp = Clock::System.now().plus(Seconds(3600)).seconds();
    let body = json!({"slot": "photos", "files": [{"name": "a.png", "size": 12_345, "type": "image/png"}]});
    let body = body.to_string();
    let requests: Vec<String> = (0..owners)
        .map(|n| {
            let claims = json!({"sub": format!("user-{n}"), "exp": exp, "scope": "upload"});
            let token = mint_token(&Secret::new(SECRET), &claims);
            format!(
                "POST /v1/tickets HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        })
        .collect();
    let until = Instant::now() + how_long;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|worker| {
                let requests = &requests;
                scope.spawn(move || {
                    let stream = TcpStream::connect(address).unwrap();
                    stream.set_nodelay(true).unwrap();
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut writer = stream;
                    let mut times = Vec::new();
                    let mut next = worker * 7919;
                    while Instant::now() < until {
                        next += 1;
                        let start = Instant::now();
                        writer
                            .write_all(requests[next % requests.len()].as_bytes())
                            .unwrap();
                        read_answer(&mut reader);
                        times.push(start.elapsed());
                    }
                    times
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    })
}

fn read_answer(reader: &mut BufReader<TcpStream>) {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 201"), "{line}");
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
}
