//! `serve` and `worker`: the API and the background work, until a signal says stop.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use putgate::config::{self, Config, DatabaseUrl, Setting, UploadKey};
use putgate::flow::App;
use putgate::http::auth::{AuthSettings, Verifier};
use putgate::http::layers::{self, ShellSettings};
use putgate::http::notifications::{self, Senders};
use putgate::http::server::{self, Limits};
use putgate::http::{Router, Shared, Site, ops, routes};
use putgate::worker;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Done, Failure, keys, know_slots, load, open, start_logging};

/// How long the worker may take to finish its pass at the end.
const LAST_PASS: Duration = Duration::from_secs(3);
/// A worker that panics at every pass must not fill the log.
const AFTER_A_PANIC: Duration = Duration::from_secs(5);

pub(super) async fn run(path: Option<PathBuf>, no_worker: bool) -> Done {
    let hangups = hangups()?;
    let config = load(path.as_deref())?;
    start_logging(&config)?;
    let app = open(&config).await?;
    if matches!(config.storage.upload_key, UploadKey::Same) {
        refuse_copying_uploads(&app).await?;
    }
    let listener = TcpListener::bind(config.server.listen)
        .await
        .map_err(|e| Failure::broken(format!("server.listen {}: {e}", config.server.listen)))?;
    let doors = doors(&config)?;
    keep_keys(&app, &doors.verifier).await;
    let router = layers::wrap(
        router(&config, &app, &doors),
        &ShellSettings::for_origins(&config.server.allowed_origins),
    );
    reload_on_hangup(hangups, &app, &config, path, Some(doors));
    answer_apart(&config, &app).await?;
    let works = config.server.worker && !no_worker;
    serve(app, listener, router, works, |address| {
        tracing::info!(%address, works, "serving");
    })
    .await
}

/// The background work alone.
pub(super) async fn work(path: Option<PathBuf>) -> Done {
    let hangups = hangups()?;
    let config = load(path.as_deref())?;
    start_logging(&config)?;
    let app = open(&config).await.map_err(|failure| Failure {
        message: match config.database.url {
            DatabaseUrl::Sqlite(_) => format!(
                "{}. On SQLite `serve` does this work itself; a worker beside it needs PostgreSQL",
                failure.message
            ),
            DatabaseUrl::Postgres(_) => failure.message,
        },
        ..failure
    })?;
    let stopping = count_stops()?;
    reload_on_hangup(hangups, &app, &config, path, None);
    answer_apart(&config, &app).await?;
    let worker = tokio::spawn(keep_working(Arc::clone(&app)));
    tracing::info!("working");
    stopped(stopping.clone(), 1).await;
    tracing::info!("stopping; a second signal cuts the pass");
    app.stop();
    tokio::select! {
        () = last_pass(worker) => {}
        () = stopped(stopping, 2) => {}
    }
    app.db.close().await;
    Ok(())
}

/// `/livez`, `/readyz` and `/metrics` on `admin_listen`, until the app stops.
async fn answer_apart(config: &Config, app: &Arc<App>) -> Done {
    let Some(address) = config.server.admin_listen else {
        return Ok(());
    };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|e| Failure::broken(format!("server.admin_listen {address}: {e}")))?;
    let address = listener.local_addr().map_err(Failure::broken)?;
    tracing::info!(%address, "answering apart");
    let router = layers::wrap(ops::admin(Arc::clone(app)), &ShellSettings::default());
    let mut stop = app.stopping();
    let shutdown = async move {
        // An app that is gone has stopped too.
        let _ = stop.wait_for(|stops| *stops).await;
    };
    tokio::spawn(server::serve(listener, router, shutdown, Limits::default()));
    Ok(())
}

/// Law 3: with one key for everything, the store itself has to refuse an uploader's
/// unsigned copy source.
async fn refuse_copying_uploads(app: &App) -> Done {
    match app.store.probe_copy_source().await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::wrong(
            "storage.upload_key = \"same\": this store lets an uploader add an unsigned \
             x-amz-copy-source and so read any object the key may read. Give browsers a key of \
             their own that may only write to staging: upload_access_key, upload_secret_key",
        )),
        Err(error) => Err(Failure::broken(format!(
            "storage.upload_key = \"same\" needs a look at the store first: {error}"
        ))),
    }
}

/// The API, without its shell.
pub(super) fn router(config: &Config, app: &Arc<App>, doors: &Doors) -> Router {
    let api = routes(Shared {
        app: Arc::clone(app),
        verifier: Arc::clone(&doors.verifier),
        site: Arc::new(Site::new(
            config.server.public_url.as_deref(),
            &config.server.allowed_origins,
        )),
    });
    api.merge(notifications::routes(
        Arc::clone(app),
        Arc::clone(&doors.senders),
    ))
}

/// Who is let in. A reload changes what they know, not themselves.
pub(super) struct Doors {
    verifier: Arc<Verifier>,
    senders: Arc<Senders>,
}

/// Whose tokens are believed, and whose word about the buckets.
pub(super) fn doors(config: &Config) -> Result<Doors, Failure> {
    let verifier = Verifier::with_jwks(believed(config), config.auth.jwks_url.as_deref())
        .map_err(|why| Failure::wrong(format!("auth: {why}")))?;
    Ok(Doors {
        verifier: Arc::new(verifier),
        senders: Arc::new(Senders::new(config.notifications.secrets.clone())),
    })
}

fn believed(config: &Config) -> AuthSettings {
    let auth = &config.auth;
    AuthSettings {
        hs256_secrets: auth.hs256_secrets.clone(),
        public_keys: auth.public_keys.iter().map(|key| key.pem.clone()).collect(),
        issuer: auth.issuer.clone(),
        audience: auth.audience.clone(),
        leeway: auth.leeway,
        tenant_claim: auth.tenant_claim.clone(),
        scope_claim: auth.scope_claim.clone(),
        default_scope: auth.default_scope.clone(),
    }
}

/// Fetches the published keys, and again when they are due. When they cannot be had, the
/// server starts all the same: other keys may do, and the endpoint may come back.
async fn keep_keys(app: &Arc<App>, verifier: &Arc<Verifier>) {
    verifier.tend(app.clock.now()).await;
    let (app, verifier) = (Arc::clone(app), Arc::clone(verifier));
    tokio::spawn(async move {
        let mut stop = app.stopping();
        while !*stop.borrow() {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                changed = stop.changed() => if changed.is_err() { return },
            }
            verifier.tend(app.clock.now()).await;
        }
    });
}

/// Before the configuration is read: without a handler SIGHUP would end the process, and a
/// change made while it starts would be missed. One that comes early waits to be heard.
fn hangups() -> Result<Signal, Failure> {
    signal(SignalKind::hangup()).map_err(Failure::broken)
}

/// SIGHUP reads slots, keys and secrets anew; an invalid file changes nothing.
fn reload_on_hangup(
    mut hangups: Signal,
    app: &Arc<App>,
    config: &Config,
    path: Option<PathBuf>,
    doors: Option<Doors>,
) {
    let app = Arc::downgrade(app);
    let running = config.settings.clone();
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let Some(app) = app.upgrade() else { return };
            if let Err(why) = reload(&app, path.as_deref(), doors.as_ref(), &running) {
                tracing::error!(%why, "the slots stay as they were, and so do keys and secrets");
            }
        }
    });
}

/// Puts a new configuration into force, as far as that goes without a restart.
fn reload(
    app: &App,
    path: Option<&Path>,
    doors: Option<&Doors>,
    running: &[Setting],
) -> Result<(), String> {
    let config = Config::load(path, &config::environment()).map_err(|e| e.to_string())?;
    if let Some(doors) = doors {
        let jwks_url = config.auth.jwks_url.as_deref();
        doors.verifier.renew(believed(&config), jwks_url)?;
        doors.senders.renew(config.notifications.secrets.clone());
    }
    tracing::info!(
        slots = config.slots.len(),
        "the slots were read anew, and keys and secrets"
    );
    let restart = takes_a_restart(running, &config.settings);
    if !restart.is_empty() {
        let settings = restart.join(", ");
        tracing::warn!(%settings, "these take a restart and stay as they were");
    }
    // The keys of another store open nothing in this one, and its secrets are another
    // receiver's: they wait for the restart that goes there.
    let waits = |section: &str| restart.iter().any(|name| name.starts_with(section));
    if waits("storage.") {
        tracing::warn!("the storage keys stay as they were until then, for the store in use");
    } else {
        renew_storage_keys(app, &config);
    }
    if waits("webhook.") {
        tracing::warn!("the webhook's secrets stay as they were until then");
    } else if let (Some(receiver), Some(webhook)) = (app.receiver.get(), &config.webhook) {
        receiver.sign_with(webhook.secrets.clone());
    }
    know_slots(&config);
    app.slots.store(Arc::new(config.slots));
    Ok(())
}

fn renew_storage_keys(app: &App, config: &Config) {
    let (server, upload) = keys(config);
    match app.store.renew(&server, upload.as_ref()) {
        Ok(true) => {}
        Ok(false) => tracing::warn!(
            "another kind of storage key takes a restart; both keys stay as they were"
        ),
        Err(error) => tracing::error!(%error, "the storage keys stay as they were"),
    }
}

/// Whether a setting is put into force by a signal.
fn is_live(section: &str, key: &str) -> bool {
    match section {
        "auth" => true,
        "webhook" => key == "secret_files",
        "notifications" => key.starts_with("secret"),
        "storage" => key.ends_with("_key") || key.ends_with("_key_file"),
        section => section.starts_with("slots"),
    }
}

/// The settings that changed and are not put into force by a signal. Secrets that are neither
/// look the same before and after.
fn takes_a_restart(before: &[Setting], after: &[Setting]) -> Vec<String> {
    let differs = |one: &&Setting, others: &[Setting]| {
        let same = |other: &Setting| {
            (&other.section, other.key, &other.value) == (&one.section, one.key, &one.value)
        };
        !is_live(&one.section, one.key) && !others.iter().any(same)
    };
    let gone = before.iter().filter(|one| differs(one, after));
    let new = after.iter().filter(|one| differs(one, before));
    let mut names: Vec<String> = gone
        .chain(new)
        .map(|one| format!("{}.{}", one.section, one.key))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Counts the signals that say stop. The handlers stand before anybody is told that the
/// server is ready, and stay, so that a second signal close behind the first is not lost.
fn count_stops() -> Result<watch::Receiver<u32>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::broken)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::broken)?;
    let (stops, stopping) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stops.send_modify(|count| *count += 1);
        }
    });
    Ok(stopping)
}

/// Until so many signals have said stop.
async fn stopped(mut stops: watch::Receiver<u32>, times: u32) {
    if stops.wait_for(|count| *count >= times).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Serves and works until a signal; then finishes what is in flight, unless a second signal
/// says that nobody wants to wait.
pub(super) async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    router: Router,
    works: bool,
    ready: impl FnOnce(SocketAddr),
) -> Done {
    let address = listener.local_addr().map_err(Failure::broken)?;
    let worker = works.then(|| tokio::spawn(keep_working(Arc::clone(&app))));
    let stopping = count_stops()?;
    let first = stopping.clone();
    let shutdown = async {
        stopped(first, 1).await;
        tracing::info!("stopping; a second signal cuts what is in flight");
        app.stop();
    };
    let impatience = stopped(stopping, 2);
    ready(address);
    let served = tokio::select! {
        served = server::serve(listener, router, shutdown, Limits::default()) => served,
        () = impatience => Ok(()),
    };
    app.stop();
    if let Some(worker) = worker {
        last_pass(worker).await;
    }
    app.db.close().await;
    served.map_err(Failure::broken)
}

async fn last_pass(mut worker: JoinHandle<()>) {
    if tokio::time::timeout(LAST_PASS, &mut worker).await.is_err() {
        tracing::warn!("the worker was cut off; the next start finds what it left");
        worker.abort();
    }
}

/// The worker, begun again when a bug ends it: without it a closed tab would lose its file.
async fn keep_working(app: Arc<App>) {
    let work = || AssertUnwindSafe(worker::run(Arc::clone(&app))).catch_unwind();
    while Box::pin(work()).await.is_err() {
        tracing::error!("the worker broke off and begins again");
        tokio::time::sleep(AFTER_A_PANIC).await;
    }
}
