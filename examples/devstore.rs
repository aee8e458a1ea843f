//! The dev store by itself: `cargo run --example devstore -- --listen 127.0.0.1:9000 --dir /tmp/store`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use putgate::clock::Clock;
use putgate::devstore::{DevStore, Settings};
use putgate::domain::secret::Secret;

#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Where to keep the objects.
    #[arg(long)]
    dir: PathBuf,
    /// The access key id that may do everything.
    #[arg(long, default_value = "devserver")]
    key: String,
    /// Its secret.
    #[arg(long, default_value = "devserversecret")]
    secret: String,
    /// A bucket to make, which the key `devupload` (secret `devuploadsecret`) may write to.
    #[arg(long, default_value = "probe")]
    bucket: String,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let store = DevStore::start(Settings {
        dir: arguments.dir,
        listen: arguments.listen,
        region: "us-east-1".into(),
        server_key: (arguments.key, Secret::new(arguments.secret)),
        upload_key: ("devupload".into(), Secret::new("devuploadsecret")),
        buckets: vec![arguments.bucket.clone()],
        upload_bucket: arguments.bucket,
        allowed_origins: vec!["*".into()],
        clock: Clock::System,
    })
    .await?;
    tokio::signal::ctrl_c().await?;
    store.stop().await;
    Ok(())
}
