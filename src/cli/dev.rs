//! `dev`: broker, SQLite, an S3 server and the demo page in one process. No other service,
//! no configuration, no network.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use putgate::clock::Clock;
use putgate::config::Config;
use putgate::db::{self, Db};
use putgate::devstore::{self, DevStore};
use putgate::domain::secret::Secret;
use putgate::flow;
use putgate::http::dev::{self, Demo};
use putgate::http::layers;
use serde_json::json;
use tokio::net::TcpListener;

use super::{Done, Failure, assemble, print, random, reachable, serve, start_logging, store};

const UPLOAD_KEY: &str = "dev-upload";
const SERVER_KEY: &str = "dev-server";
const DATABASE: &str = "putgate.db";

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Where the API and the page listen; port 0: a free one.
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the S3 server listens; port 0: a free one.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    store_listen: SocketAddr,
    /// Where everything is kept.
    #[arg(long, default_value = ".putgate", value_name = "DIR")]
    data: PathBuf,
}

pub(super) async fn run(args: Args) -> Done {
    std::fs::create_dir_all(&args.data).map_err(|e| at(&args.data, &e))?;
    // First, since its lock says whether another process has this directory.
    let settings = db::Settings {
        place: db::Place::Sqlite {
            path: args.data.join(DATABASE),
            synchronous: db::Synchronous::Full,
        },
        migrate: true,
    };
    let db = Db::open(&settings, Clock::System, || flow::new_id(&Clock::System))
        .await
        .map_err(Failure::broken)?;
    let keys = Keys::load(&args.data)?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|e| Failure::broken(format!("--listen {}: {e}", args.listen)))?;
    let address = reachable(listener.local_addr().map_err(Failure::broken)?);
    let origins = origins(address);
    let devstore = DevStore::start(devstore::Settings {
        dir: args.data.join("store"),
        listen: args.store_listen,
        region: "us-east-1".into(),
        server_key: (SERVER_KEY.into(), Secret::new(keys.server.as_str())),
        upload_key: (UPLOAD_KEY.into(), Secret::new(keys.upload.as_str())),
        buckets: vec!["staging".into(), "files".into()],
        upload_bucket: "staging".into(),
        allowed_origins: origins.clone(),
        clock: Clock::System,
    })
    .await
    .map_err(|e| Failure::broken(format!("the S3 server on {}: {e}", args.store_listen)))?;
    let store_url = format!("http://{}", reachable(devstore.addr()));
    let config = configuration(&args.data, &keys, address, &store_url)?;
    start_logging(&config)?;
    if !args.listen.ip().is_loopback() {
        tracing::warn!(
            listen = %args.listen,
            "other machines reach this server, but its page's tokens are for this machine only"
        );
    }
    let app = assemble(&config, db, store(&config).await?);
    let demo = Demo {
        secret: Secret::new(keys.token.as_str()),
        clock: Clock::System,
        store_url: store_url.clone(),
    };
    let doors = serve::doors(&config)?;
    let router = serve::router(&config, &app, &doors).merge(dev::routes(demo));
    let router = layers::wrap(router, &layers::ShellSettings::for_origins(&origins));
    let served = serve::serve(app, listener, router, true, |_| {
        print(&json!({"url": format!("http://{address}"), "store_url": store_url}).to_string());
    })
    .await;
    devstore.stop().await;
    served
}

fn at(path: &Path, why: &std::io::Error) -> Failure {
    Failure::broken(format!("{}: {why}", path.display()))
}

/// The page as a browser on this machine may spell its address.
fn origins(address: SocketAddr) -> Vec<String> {
    let mut origins = vec![format!("http://{address}")];
    if address.ip().is_loopback() {
        origins.push(format!("http://localhost:{}", address.port()));
    }
    origins
}

/// The secrets of a data directory, made when it is new.
struct Keys {
    token: String,
    server: String,
    upload: String,
}

impl Keys {
    fn load(data: &Path) -> Result<Self, Failure> {
        let fresh = |path: &Path| {
            let secret = random::secret()?;
            write_private(path, &secret).map_err(|e| at(path, &e))?;
            Ok(secret)
        };
        let secret = |name: &str| {
            let path = data.join(name);
            match std::fs::read_to_string(&path) {
                // An empty one was cut short by a crash; nothing was signed with it yet.
                Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
                Ok(_) => fresh(&path),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => fresh(&path),
                Err(e) => Err(at(&path, &e)),
            }
        };
        Ok(Self {
            token: secret("token.secret")?,
            server: secret("server.secret")?,
            upload: secret("upload.secret")?,
        })
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

/// The configuration of `dev`, as a user would write it.
fn configuration(
    data: &Path,
    keys: &Keys,
    address: SocketAddr,
    store_url: &str,
) -> Result<Config, Failure> {
    let origins = serde_json::to_string(&origins(address)).map_err(Failure::broken)?;
    let quoted = |path: PathBuf| json!(path.display().to_string()).to_string();
    let database = quoted(data.join(DATABASE));
    let database = database.replacen('"', "\"sqlite://", 1);
    let (server, upload) = (&keys.server, &keys.upload);
    let text = format!(
        r#"
[server]
listen = "{address}"
public_url = "http://{address}"
allowed_origins = {origins}
log = "text"

[database]
url = {database}

[storage]
endpoint = "{store_url}"
region = "us-east-1"
staging_bucket = "staging"
files_bucket = "files"
access_key = "{SERVER_KEY}"
secret_key = "{server}"
upload_access_key = "{UPLOAD_KEY}"
upload_secret_key = "{upload}"

[auth]
hs256_secret_files = ["token.secret"]
{SLOTS}"#
    );
    Config::parse_str(&text, &BTreeMap::new(), data)
        .map_err(|mistakes| Failure::wrong(mistakes.to_string()))
}

/// The slots of the demo page.
const SLOTS: &str = include_str!("../http/demo/slots.toml");
