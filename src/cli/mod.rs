//! The commands. Their exit codes are in [`EXIT_CODES`], which `--help` prints.

mod dev;
mod doctor;
mod inspect;
mod random;
mod serve;
mod setup;
mod show;
mod webhook;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use putgate::clock::Clock;
use putgate::config::{self, Config, DatabaseUrl, LogFormat};
use putgate::db::{self, Db};
use putgate::domain::caller::Scopes;
use putgate::domain::name::{Owner, Tenant};
use putgate::domain::problem::Problem;
use putgate::domain::secret::Secret;
use putgate::domain::time::Seconds;
use putgate::domain::verdict::Reason;
use putgate::flow::{self, App, audit, sweep};
use putgate::http::auth::mint_token;
use putgate::http::openapi;
use putgate::metrics::metrics;
use putgate::store::{Bucket, Key, Settings, Store, StoreError};
use putgate::worker;
use putgate::{logging, traces};

/// What a script may rely on.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it did not work: database, store, address or file; healthcheck: the server is not alive;
     doctor: a check failed
  2  the command line or the configuration is wrong; nothing was begun
  3  audit found a broken law";

/// A presigned, direct-to-object-storage upload broker that verifies what arrived.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Broker, database, S3 server and demo page in one process, for development.
    Dev(dev::Args),
    /// Serve the API and work in the background.
    Serve {
        /// Leave the background work to `putgate worker`.
        #[arg(long)]
        no_worker: bool,
    },
    /// Do the background work alone, beside `serve --no-worker`; needs PostgreSQL for that.
    Worker,
    /// Bring the database's schema up to date, and make the buckets and their rules.
    Setup(setup::Args),
    /// Print the effective configuration with the origin of each value, or every mistake in it.
    Check {
        /// Print what every key means instead, as Markdown.
        #[arg(long)]
        docs: bool,
    },
    /// Try what Putgate relies on, from the database to a browser's upload, and say what to do
    /// about what is wrong. It leaves nothing behind and works beside a running server.
    Doctor {
        /// For a program.
        #[arg(long)]
        json: bool,
    },
    /// Check the laws on a live system, read-only.
    Audit,
    /// Delete what ended tickets and files left in the buckets. Rows are worked off too, unless
    /// a running server does that.
    Sweep {
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
    /// Tell one ticket's story, or list an owner's latest tickets. It works beside a running
    /// server.
    Show(show::Args),
    /// Say what a file is and whether a slot would take it.
    Inspect(inspect::Args),
    /// Print a token signed with the first HS256 secret of the configuration.
    Token {
        /// The owner.
        #[arg(long, value_parser = |text: &str| Owner::parse(text))]
        sub: Owner,
        /// The scopes, separated by spaces: upload, read, delete, manage.
        #[arg(long, value_parser = scopes)]
        scope: Option<String>,
        /// The tenant.
        #[arg(long, value_parser = |text: &str| Tenant::parse(text))]
        tenant: Option<Tenant>,
        /// The refs, separated by commas.
        #[arg(long, value_delimiter = ',')]
        refs: Vec<String>,
        /// How long it is good for, in seconds.
        #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
        life: u32,
    },
    /// Look at the events on their way to the receiver, send some again, or try it out.
    Webhook {
        #[command(subcommand)]
        command: webhook::Command,
    },
    /// Print the API's `OpenAPI` document.
    Openapi,
    /// Ask a running server whether it is alive; for container health checks.
    Healthcheck,
}

/// Why a command ends with something else than 0.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn wrong(message: impl Into<String>) -> Self {
        Self {
            code: 2,
            message: message.into(),
        }
    }

    fn broken(message: impl std::fmt::Display) -> Self {
        Self {
            code: 1,
            message: message.to_string(),
        }
    }
}

type Done = Result<(), Failure>;

/// Runs a command to its end.
pub fn run(cli: Cli) -> ExitCode {
    let path = cli.config.as_deref();
    let done = match cli.command {
        Command::Dev(args) => match path {
            None => start(dev::run(args)),
            Some(_) => Err(Failure::wrong(
                "--config: `dev` has a configuration of its own and reads no file",
            )),
        },
        Command::Serve { no_worker } => start(serve::run(cli.config.clone(), no_worker)),
        Command::Worker => start(serve::work(cli.config.clone())),
        Command::Setup(args) => setup::run(&args, path),
        Command::Check { docs: true } => {
            print(&config::reference());
            Ok(())
        }
        Command::Check { docs: false } => load(path).and_then(|config| check(&config)),
        Command::Doctor { json } => doctor::run(path, json),
        Command::Audit => load(path).and_then(|config| start(run_audit(config))),
        Command::Sweep { dry_run } => {
            load(path).and_then(|config| start(run_sweep(config, dry_run)))
        }
        Command::Show(args) => load(path).and_then(|config| start(show::run(config, args))),
        Command::Inspect(args) => inspect::run(&args, path),
        Command::Token {
            sub,
            scope,
            tenant,
            refs,
            life,
        } => load(path).and_then(|config| {
            let secret = config.auth.hs256_secrets.first();
            let secret =
                secret.ok_or_else(|| Failure::wrong("auth: no hs256_secret_files to sign with"))?;
            let exp = Clock::System.now().plus(Seconds(life)).seconds();
            let mut claims = serde_json::json!({"sub": sub.as_str(), "exp": exp});
            if let Some(scope) = scope {
                claims[&config.auth.scope_claim] = scope.into();
            }
            if let Some(tenant) = tenant {
                claims[&config.auth.tenant_claim] = tenant.as_str().into();
            }
            if !refs.is_empty() {
                claims["refs"] = refs.into();
            }
            if let Some(issuer) = &config.auth.issuer {
                claims["iss"] = issuer.as_str().into();
            }
            if let Some(audience) = config.auth.audience.first() {
                claims["aud"] = audience.as_str().into();
            }
            print(&mint_token(secret, &claims));
            Ok(())
        }),
        Command::Webhook { command } => {
            load(path).and_then(|config| start(webhook::run(config, command)))
        }
        Command::Openapi => {
            print(openapi::text());
            Ok(())
        }
        Command::Healthcheck => load(path).and_then(|config| healthcheck(config.server.listen)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Scopes as a token has them. A word that is no scope is a slip here, where every word is
/// typed for this token; the server skips it.
fn scopes(text: &str) -> Result<String, String> {
    let is_none = |word: &&str| Scopes::parse(word) == Scopes::default();
    match text.split_ascii_whitespace().find(is_none) {
        None => Ok(text.to_owned()),
        Some(word) => Err(format!(
            "`{word}` is none of upload, read, delete and manage"
        )),
    }
}

/// How many of a thing.
fn count(number: usize, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}

/// A command's answer, to stdout. A reader that has gone (`| head`) is no failure.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// A command's complaint, to stderr.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}

fn load(path: Option<&Path>) -> Result<Config, Failure> {
    Config::load(path, &config::environment())
        .map_err(|mistakes| Failure::wrong(mistakes.to_string()))
}

/// Prints the configuration, unless `serve` would refuse it.
fn check(config: &Config) -> Done {
    serve::doors(config)?;
    print(&config.render());
    Ok(())
}

fn start(command: impl Future<Output = Done>) -> Done {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::broken)?
        .block_on(async {
            let done = command.await;
            traces::flush().await;
            done
        })
}

fn start_logging(config: &Config) -> Done {
    let format = match config.server.log {
        LogFormat::Json => logging::Format::Json,
        LogFormat::Text => logging::Format::Text,
    };
    let telemetry = config::telemetry();
    let traces = traces::layer(&telemetry).map_err(Failure::wrong)?;
    let has_traces = traces.is_some();
    logging::init(format, &config.server.log_filter, traces).map_err(Failure::wrong)?;
    if traces::are_wanted(&telemetry) && !has_traces {
        tracing::warn!(
            "the OTEL_* variables ask for traces, and this binary was built without the feature otlp"
        );
    }
    Ok(())
}

fn database(config: &Config, migrate: bool) -> db::Settings {
    let place = match &config.database.url {
        DatabaseUrl::Sqlite(path) => db::Place::Sqlite {
            path: path.clone(),
            synchronous: match config.database.synchronous {
                config::Synchronous::Full => db::Synchronous::Full,
                config::Synchronous::Normal => db::Synchronous::Normal,
            },
        },
        DatabaseUrl::Postgres(url) => db::Place::Postgres { url: url.clone() },
    };
    db::Settings { place, migrate }
}

async fn store(config: &Config) -> Result<Store, Failure> {
    connect(config).await.map_err(Failure::broken)
}

async fn connect(config: &Config) -> Result<Store, StoreError> {
    let storage = &config.storage;
    let (server_key, upload_key) = keys(config);
    let settings = Settings {
        endpoint: storage.endpoint.clone(),
        public_endpoint: storage.public_endpoint.clone(),
        download_endpoint: storage.download_endpoint.clone(),
        region: storage.region.clone(),
        path_style: storage.path_style,
        staging_bucket: storage.staging_bucket.clone(),
        files_bucket: storage.files_bucket.clone(),
        server_key,
        upload_key,
    };
    Store::connect(settings).await
}

/// The store's two keys; without the second, browser URLs are signed with the first.
fn keys(config: &Config) -> (Key, Option<Key>) {
    let written = |access_key: &str, secret_key: &Secret| Key::Static {
        access_key: access_key.to_owned(),
        secret_key: secret_key.clone(),
    };
    let server = match &config.storage.server_key {
        config::ServerKey::AwsChain => Key::AwsChain,
        config::ServerKey::Static {
            access_key,
            secret_key,
        } => written(access_key, secret_key),
    };
    let upload = match &config.storage.upload_key {
        config::UploadKey::Same => None,
        config::UploadKey::Static {
            access_key,
            secret_key,
        } => Some(written(access_key, secret_key)),
    };
    (server, upload)
}

/// A zero for each number of each slot.
fn know_slots(config: &Config) {
    for slot in config.slots.keys() {
        metrics().know_slot(slot.as_str());
    }
}

/// A zero for each number that is known to come.
fn begin_counting(config: &Config) {
    know_slots(config);
    for reason in Reason::ALL {
        metrics().know_verdict(reason.as_str());
    }
    for pass in worker::passes() {
        metrics().know_pass(pass);
    }
}

fn assemble(config: &Config, db: Db, store: Store) -> Arc<App> {
    begin_counting(config);
    App::new(
        db,
        store,
        Clock::System,
        config.slots.clone(),
        config.limits.max_open_tickets,
        config.limits.retention,
    )
}

/// The app beside a running server: it may read, and delete objects, but writes no row.
async fn beside(config: &Config) -> Result<Arc<App>, Failure> {
    let db = Db::open_beside(&database(config, false), Clock::System)
        .await
        .map_err(Failure::broken)?;
    Ok(assemble(config, db, store(config).await?))
}

async fn open(config: &Config) -> Result<Arc<App>, Failure> {
    let settings = database(config, false);
    let db = Db::open(&settings, Clock::System, || flow::new_id(&Clock::System))
        .await
        .map_err(Failure::broken)?;
    let app = assemble(config, db, store(config).await?);
    if let Some(receiver) = webhook::receiver(config)? {
        let _ = app.receiver.set(receiver);
    }
    Ok(app)
}

async fn run_audit(config: Config) -> Done {
    let app = beside(&config).await?;
    let report = audit::audit(&app).await.map_err(Failure::broken)?;
    print(&format!(
        "{}, {} for the next sweep, {}, {}",
        count(report.files, "live file", "live files"),
        count(report.debris, "object", "objects"),
        count(report.unknown.len(), "unknown object", "unknown objects"),
        count(report.violations.len(), "violation", "violations"),
    ));
    for account in &report.above_today {
        print(&format!(
            "above today's bounds, by an earlier configuration: {account}"
        ));
    }
    for key in &report.unknown {
        print(&format!("unknown: {key}"));
    }
    if report.violations.is_empty() {
        return Ok(());
    }
    Err(Failure {
        code: 3,
        message: report.violations.join("\n"),
    })
}

async fn run_sweep(config: Config, dry_run: bool) -> Done {
    start_logging(&config)?;
    let app = if dry_run {
        beside(&config).await?
    } else if let Ok(app) = open(&config).await {
        work_off(&app).await.map_err(Failure::broken)?;
        app
    } else {
        // Another process serves this database, or nobody can: then this says why.
        beside(&config).await?
    };
    let verb = if dry_run { "would delete" } else { "deleted" };
    let (mut deleted, mut unknown) = (0, 0);
    for bucket in [Bucket::Staging, Bucket::Files] {
        let mut after = None;
        loop {
            let mut swept = sweep::Swept::default();
            after = sweep::walk_page(&app, bucket, after.as_deref(), dry_run, &mut swept)
                .await
                .map_err(Failure::broken)?;
            for (bucket, key) in &swept.deleted {
                print(&format!("{verb} from the {bucket}: {key}"));
            }
            for (bucket, key) in &swept.unknown {
                print(&format!("left in the {bucket}, unknown: {key}"));
            }
            deleted += swept.deleted.len();
            unknown += swept.unknown.len();
            if after.is_none() {
                break;
            }
        }
    }
    app.db.close().await;
    print(&format!(
        "{verb} {}, left {}",
        count(deleted, "object", "objects"),
        count(unknown, "unknown one", "unknown ones"),
    ));
    Ok(())
}

/// Does all that is due by the rows, as the worker of `serve` would.
async fn work_off(app: &Arc<App>) -> Result<(), Problem> {
    loop {
        let did = worker::run_once(app).await?;
        if did == sweep::Swept::default() {
            return Ok(());
        }
        print(&format!(
            "closed {}, cleaned after {}, ended {}, purged {}",
            count(did.closed, "due ticket", "due tickets"),
            count(did.cleaned, "ticket", "tickets"),
            count(did.unclaimed, "unclaimed file", "unclaimed files"),
            count(did.purged, "tombstone", "tombstones"),
        ));
    }
}

/// One plain HTTP/1.1 request; a container image needs no curl for it.
fn healthcheck(listen: SocketAddr) -> Done {
    use std::io::Read;
    use std::net::TcpStream;
    use std::time::Duration;
    let address = reachable(listen);
    let patience = Duration::from_secs(3);
    let silent = |why: std::io::Error| Failure::broken(format!("no answer at {address}: {why}"));
    let mut stream = TcpStream::connect_timeout(&address, patience).map_err(silent)?;
    stream.set_read_timeout(Some(patience)).map_err(silent)?;
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .map_err(silent)?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).map_err(silent)?;
    if answer.ends_with(b" 200") {
        Ok(())
    } else {
        let words = String::from_utf8_lossy(&answer);
        Err(Failure::broken(format!("{address} answers {words}")))
    }
}

/// Where this machine finds a listener: one on every interface is on loopback too.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
