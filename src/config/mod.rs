//! One [`Config`]: parse, merge, validate.
//!
//! `putgate.toml`, then `PUTGATE_<SECTION>_<KEY>` variables, which win. Secrets may come
//! from files (`…_file`). Every mistake is reported, not only the first, and each value
//! remembers where it came from.

mod docs;
mod mistake;
mod reader;
mod sections;
mod values;
mod webhook;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::domain::name::SlotName;
use crate::domain::secret::Secret;
use crate::domain::slot::Slot;
use crate::domain::time::Seconds;

pub use docs::reference;
pub use mistake::{Mistake, Mistakes, Origin};

/// The file that is read when no other is named.
pub const DEFAULT_FILE: &str = "putgate.toml";

/// The whole configuration. A value that [`Config::load`] returned is valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[database]`
    pub database: Database,
    /// `[storage]`
    pub storage: Storage,
    /// `[auth]`
    pub auth: Auth,
    /// `[webhook]`; absent: events are kept for `retention` and delivered to nobody.
    pub webhook: Option<Webhook>,
    /// `[notifications]`
    pub notifications: Notifications,
    /// `[limits]`
    pub limits: Limits,
    /// `[slots.NAME]`, at least one.
    pub slots: BTreeMap<SlotName, Slot>,
    /// What was read and from where, for [`Config::render`].
    pub settings: Vec<Setting>,
}

/// How Putgate listens and who may call it from a browser.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where the API listens; default `127.0.0.1:3000`.
    pub listen: SocketAddr,
    /// Where `/livez` and `/readyz` also answer, apart from the API; absent: nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// The API's address as browsers see it, with its path and without a trailing slash.
    pub public_url: Option<String>,
    /// Exact origins (`scheme://host[:port]`, lower case, no default port) that may call the API.
    pub allowed_origins: Vec<String>,
    /// Whether `serve` also does the worker's work; default true.
    pub worker: bool,
    /// How log lines look; default JSON.
    pub log: LogFormat,
    /// Which log lines are written, as `tracing` filters them; default [`crate::logging::DEFAULT_FILTER`].
    pub log_filter: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line, for machines.
    Json,
    /// For people.
    Text,
}

/// Where the rows are.
#[derive(Clone, Debug)]
pub struct Database {
    /// Default: `sqlite://putgate.db`.
    pub url: DatabaseUrl,
    /// When SQLite waits for the disk.
    pub synchronous: Synchronous,
}

/// Which database.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    /// A file; a relative path starts at the working directory.
    Sqlite(PathBuf),
    /// A `postgres://` URL; it may carry a password.
    Postgres(Secret),
}

/// SQLite's `synchronous`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// A commit survives the loss of power.
    Full,
    /// A commit survives the process; the loss of power may undo the last ones.
    Normal,
}

/// Where the bytes are.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The S3 endpoint as Putgate reaches it; absent: AWS, by region.
    pub endpoint: Option<String>,
    /// The endpoint that uploads are signed for; absent: AWS, by region.
    pub public_endpoint: Option<String>,
    /// The endpoint that downloads are signed for; absent: AWS, by region.
    pub download_endpoint: Option<String>,
    /// The region in every signature. Never guessed.
    pub region: String,
    /// `host/bucket/key` instead of `bucket.host/key`; default: whether `endpoint` is given.
    pub path_style: bool,
    /// Where browsers may write; served to nobody.
    pub staging_bucket: String,
    /// Where judged files live; no browser can write there.
    pub files_bucket: String,
    /// Signs everything Putgate does itself.
    pub server_key: ServerKey,
    /// Signs what browsers do.
    pub upload_key: UploadKey,
}

/// The key for Putgate's own calls.
#[derive(Clone, Debug)]
pub enum ServerKey {
    /// Named in the configuration.
    Static {
        /// The key's id.
        access_key: String,
        /// Its secret.
        secret_key: Secret,
    },
    /// Found by the AWS default chain: variables, profile, web identity, instance role.
    AwsChain,
}

/// The key that signs browser URLs; it should be able to write to staging and nothing else.
#[derive(Clone, Debug)]
pub enum UploadKey {
    /// Named in the configuration.
    Static {
        /// The key's id.
        access_key: String,
        /// Its secret.
        secret_key: Secret,
    },
    /// The server's key. Only for stores that refuse an unsigned copy source (law 3).
    Same,
}

/// Whose tokens are believed, and what they mean.
#[derive(Clone, Debug)]
pub struct Auth {
    /// HS256 secrets, each at least 32 bytes (RFC 7518 §3.2); any of them verifies.
    pub hs256_secrets: Vec<Secret>,
    /// PEM public keys; any of them verifies.
    pub public_keys: Vec<PublicKey>,
    /// Where a JWK set is fetched; only its public keys are taken, beside the files'.
    pub jwks_url: Option<String>,
    /// The `iss` a token must have; absent: not looked at.
    pub issuer: Option<String>,
    /// The `aud` values of which a token must have one; empty: not looked at.
    pub audience: Vec<String>,
    /// Clock skew tolerated in `exp` and `nbf`; default 30 s, at most 60 s.
    pub leeway: Seconds,
    /// The claim that names the tenant; default `tenant`.
    pub tenant_claim: String,
    /// The claim that lists the scopes; default `scope`.
    pub scope_claim: String,
    /// The scopes of a token without that claim; default `upload read`.
    pub default_scope: String,
}

/// A public key as its file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Its file, for messages.
    pub path: PathBuf,
    /// The file's PEM text.
    pub pem: Vec<u8>,
}

/// Where events go.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The receiver.
    pub url: String,
    /// The HMAC keys (`whsec_` already decoded), each at least 24 bytes; every one signs.
    pub secrets: Vec<Secret>,
    /// Whether `url` may be plain http or lead into a private network; default false.
    pub allow_private: bool,
}

/// How the store's bucket events are let in.
#[derive(Clone, Debug)]
pub struct Notifications {
    /// The bearer secrets of `POST /v1/notifications/s3`, each of which opens it; none: the
    /// call is closed.
    pub secrets: Vec<Secret>,
    /// The ARN under which the store knows that call; `setup` has the staging bucket's events
    /// sent there.
    pub target: Option<String>,
}

/// Bounds that no slot sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most live tickets per tenant and owner; default 100.
    pub max_open_tickets: u32,
    /// How long closed tickets and delivered events are kept; default 30 days.
    pub retention: Seconds,
}

/// One effective value, its secret parts masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The table it stands in, as its header names it: `slots.avatar`.
    pub section: String,
    /// Its key.
    pub key: &'static str,
    /// Its value, as TOML.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

impl Config {
    /// Reads `path` (default [`DEFAULT_FILE`]) and lays `env` over it. Relative paths of
    /// secret files start at the file's directory, those in variables at the working
    /// directory.
    pub fn load(path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Self, Mistakes> {
        let path = path.unwrap_or(Path::new(DEFAULT_FILE));
        let file = path.display().to_string();
        let text = std::fs::read(path)
            .map_err(|error| format!("cannot be read: {error}. Create it, or name another file."))
            .and_then(|bytes| {
                String::from_utf8(bytes).map_err(|_| "is not UTF-8. Save it as UTF-8.".to_owned())
            })
            .map_err(|what| Mistakes::one(Origin::file(&file, 1, 1), what))?;
        let dir = path.parent().unwrap_or(Path::new(""));
        sections::read(&file, &text, env, dir)
    }

    /// As [`Config::load`], from TOML text that stands in [`DEFAULT_FILE`] in `dir`.
    pub fn parse_str(
        text: &str,
        env: &BTreeMap<String, String>,
        dir: &Path,
    ) -> Result<Self, Mistakes> {
        sections::read(DEFAULT_FILE, text, env, dir)
    }

    /// The effective configuration as it was read: TOML, one value per line, each with its
    /// origin, secrets as `"***"`.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let mut section = None;
        for setting in &self.settings {
            if section != Some(&setting.section) {
                let gap = if section.is_some() { "\n" } else { "" };
                let _ = writeln!(out, "{gap}[{}]", setting.section);
                section = Some(&setting.section);
            }
            let line = format!("{} = {}", setting.key, setting.value);
            let _ = writeln!(out, "{line:<56}  # {}", setting.origin);
        }
        out
    }
}

/// The process's `PUTGATE_*` variables. What is not UTF-8 is kept recognisable, and
/// [`Config::load`] refuses it.
pub fn environment() -> BTreeMap<String, String> {
    variables(reader::PREFIX)
}

/// The process's `OTEL_*` variables, which say where traces go.
pub fn telemetry() -> BTreeMap<String, String> {
    variables("OTEL_")
}

fn variables(prefix: &str) -> BTreeMap<String, String> {
    #[expect(clippy::disallowed_methods, reason = "this is the environment's room")]
    let variables = std::env::vars_os();
    variables
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .filter(|(name, _)| name.starts_with(prefix))
        .collect()
}
