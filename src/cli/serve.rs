//! `serve`: the API and the worker, until a signal says stop.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use putgate::config::{self, Config, UploadKey};
use putgate::flow::App;
use putgate::http::auth::{AuthSettings, Verifier};
use putgate::http::layers::{self, ShellSettings};
use putgate::http::server::{self, Limits};
use putgate::http::{Router, Shared, routes};
use putgate::worker;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Done, Failure, open, start_logging};

/// How long the worker may take to finish its pass at the end.
const LAST_PASS: Duration = Duration::from_secs(3);
/// A worker that panics at every pass must not fill the log.
const AFTER_A_PANIC: Duration = Duration::from_secs(5);

pub(super) async fn run(config: Config, path: Option<PathBuf>) -> Done {
    start_logging(&config)?;
    for section in idle(&config) {
        tracing::warn!(
            section,
            "configured, but this release does not act on it yet"
        );
    }
    let app = open(&config, false).await?;
    if matches!(config.storage.upload_key, UploadKey::Same) {
        refuse_copying_uploads(&app).await?;
    }
    let listener = TcpListener::bind(config.server.listen)
        .await
        .map_err(|e| Failure::broken(format!("server.listen {}: {e}", config.server.listen)))?;
    let router = layers::wrap(
        router(&config, &app)?,
        &ShellSettings::for_origins(&config.server.allowed_origins),
    );
    reload_on_hangup(&app, path)?;
    serve(app, listener, router, |address| {
        tracing::info!(%address, "serving");
    })
    .await
}

/// What is configured in vain.
fn idle(config: &Config) -> impl Iterator<Item = &'static str> {
    [
        ("notifications", config.notifications.secret.is_some()),
        ("server.admin_listen", config.server.admin_listen.is_some()),
    ]
    .into_iter()
    .filter_map(|(section, is_given)| is_given.then_some(section))
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
pub(super) fn router(config: &Config, app: &Arc<App>) -> Result<Router, Failure> {
    Ok(routes(Shared {
        app: Arc::clone(app),
        verifier: Arc::new(verifier(config)?),
    }))
}

/// Whose tokens are believed.
pub(super) fn verifier(config: &Config) -> Result<Verifier, Failure> {
    let auth = &config.auth;
    if auth.jwks_url.is_some() {
        return Err(Failure::wrong(
            "auth.jwks_url: this release reads public_key_files and hs256_secret_files only",
        ));
    }
    Verifier::new(AuthSettings {
        hs256_secrets: auth.hs256_secrets.clone(),
        public_keys: auth.public_keys.iter().map(|key| key.pem.clone()).collect(),
        issuer: auth.issuer.clone(),
        audience: auth.audience.clone(),
        leeway: auth.leeway,
        tenant_claim: auth.tenant_claim.clone(),
        scope_claim: auth.scope_claim.clone(),
        default_scope: auth.default_scope.clone(),
    })
    .map_err(|why| Failure::wrong(format!("auth: {why}")))
}

/// SIGHUP reads the slots anew; an invalid file changes nothing.
fn reload_on_hangup(app: &Arc<App>, path: Option<PathBuf>) -> Done {
    let mut hangups = signal(SignalKind::hangup()).map_err(Failure::broken)?;
    let app = Arc::downgrade(app);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let Some(app) = app.upgrade() else { return };
            match Config::load(path.as_deref(), &config::environment()) {
                Ok(config) => {
                    tracing::info!(slots = config.slots.len(), "the slots were read anew");
                    app.slots.store(Arc::new(config.slots));
                }
                Err(mistakes) => tracing::error!(%mistakes, "the slots stay as they were"),
            }
        }
    });
    Ok(())
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
    ready: impl FnOnce(SocketAddr),
) -> Done {
    let address = listener.local_addr().map_err(Failure::broken)?;
    let mut worker = tokio::spawn(keep_working(Arc::clone(&app)));
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
    if tokio::time::timeout(LAST_PASS, &mut worker).await.is_err() {
        tracing::warn!("the worker was cut off; the next start finds what it left");
        worker.abort();
    }
    app.db.close().await;
    served.map_err(Failure::broken)
}

/// The worker, begun again when a bug ends it: without it a closed tab would lose its file.
async fn keep_working(app: Arc<App>) {
    let work = || AssertUnwindSafe(worker::run(Arc::clone(&app))).catch_unwind();
    while Box::pin(work()).await.is_err() {
        tracing::error!("the worker broke off and begins again");
        tokio::time::sleep(AFTER_A_PANIC).await;
    }
}
