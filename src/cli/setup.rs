//! `setup`: the database's schema, the two buckets, and the rules of the staging bucket; or,
//! with `--print`, the texts for those who set these themselves.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use putgate::clock::Clock;
use putgate::config::Config;
use putgate::db::{Db, DbError};
use putgate::domain::slot::SEVEN_DAYS;
use putgate::flow;
use putgate::store::policy::{self, Buckets, Provider};
use putgate::store::{Bucket, Outcome, Store, StoreError};
use tokio::time::{Instant, sleep};

use super::{Done, Failure, complain, database, load, print, store};

/// Between two looks at a service that is not there yet.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest life of a ticket and a week: what staging keeps so long, nobody wants. It is a
/// net below Putgate's own cleaning, and must never be faster.
const STAGING_DAYS: i32 = 14;
const _: () = assert!(SEVEN_DAYS.0 + 7 * 24 * 3600 == 14 * 24 * 3600);

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Only print what the keys need, or a rule of the staging bucket.
    #[arg(long, value_enum, requires = "provider")]
    print: Option<Text>,
    /// In the words of this kind of store.
    #[arg(long, value_enum, requires = "print")]
    provider: Option<Kind>,
    /// Leave the buckets alone: they were set up by hand, or the server's key may not.
    #[arg(long, conflicts_with = "print")]
    database_only: bool,
    /// How long to wait for the database and the store, in seconds.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    patience: u32,
}

/// What is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Text {
    /// What the server's key and the upload key may do.
    Iam,
    /// Which pages may upload.
    Cors,
    /// When staging forgets.
    Lifecycle,
}

/// A kind of store.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Aws,
    Minio,
    R2,
    Garage,
    Seaweedfs,
}

pub(super) fn run(args: &Args, path: Option<&Path>) -> Done {
    let config = load(path)?;
    match (args.print, args.provider) {
        (Some(text), Some(kind)) => {
            print(&texts(&config, text, kind));
            Ok(())
        }
        _ => super::start(set_up(config, args)),
    }
}

fn texts(config: &Config, text: Text, kind: Kind) -> String {
    let provider = match kind {
        Kind::Aws => Provider::Aws,
        Kind::Minio => Provider::Minio,
        Kind::R2 => Provider::R2,
        Kind::Garage => Provider::Garage,
        Kind::Seaweedfs => Provider::SeaweedFs,
    };
    let buckets = Buckets {
        staging: &config.storage.staging_bucket,
        files: &config.storage.files_bucket,
    };
    match text {
        Text::Iam => policy::iam(provider, &buckets),
        Text::Cors => policy::cors(provider, &config.server.allowed_origins),
        Text::Lifecycle => policy::lifecycle(provider, &buckets, STAGING_DAYS),
    }
}

async fn set_up(config: Config, args: &Args) -> Done {
    let deadline = Instant::now() + Duration::from_secs(args.patience.into());
    let settings = database(&config, true);
    let is_db_away = |error: &DbError| matches!(error, DbError::Unavailable(_));
    let open = || Db::open(&settings, Clock::System, || flow::new_id(&Clock::System));
    patiently(deadline, is_db_away, open).await?.close().await;
    print("the database's schema is up to date");
    if args.database_only {
        return Ok(());
    }

    let store = store(&config).await?;
    for bucket in [Bucket::Staging, Bucket::Files] {
        let outcome = patiently(deadline, is_store_away, || store.ensure_bucket(bucket)).await?;
        let name = store.name(bucket);
        print(&match outcome {
            Outcome::Kept => format!("the {bucket} {name} is there"),
            _ => format!("the {bucket} {name} was made"),
        });
    }
    set_cors(&store, &config, deadline).await?;
    set_lifecycle(&store, deadline).await?;
    set_notification(&store, &config, deadline).await
}

async fn set_cors(store: &Store, config: &Config, deadline: Instant) -> Done {
    let origins = &config.server.allowed_origins;
    if origins.is_empty() {
        print("no CORS rule: server.allowed_origins names no page");
        return Ok(());
    }
    let pages = origins.join(", ");
    let outcome = patiently(deadline, is_store_away, || store.ensure_cors(origins)).await?;
    print(&match outcome {
        Outcome::Unsupported => format!(
            "this store takes no CORS rule; on MinIO, start the server with {}",
            policy::cors(Provider::Minio, origins)
        ),
        _ => format!("pages of {pages} may upload"),
    });
    Ok(())
}

async fn set_lifecycle(store: &Store, deadline: Instant) -> Done {
    let set = || store.ensure_lifecycle(STAGING_DAYS);
    print(&match patiently(deadline, is_store_away, set).await? {
        Outcome::Unsupported => format!(
            "this store takes no lifecycle rule; delete what is older than {STAGING_DAYS} days in \
             the staging bucket by its own means"
        ),
        Outcome::WithoutAborts => format!(
            "staging forgets after {STAGING_DAYS} days, but this store keeps no rule for unfinished \
             multipart uploads; on MinIO, start the server with {}",
            policy::minio_stale_uploads(STAGING_DAYS)
        ),
        _ => format!("staging forgets after {STAGING_DAYS} days"),
    });
    Ok(())
}

async fn set_notification(store: &Store, config: &Config, deadline: Instant) -> Done {
    let Some(target) = &config.notifications.target else {
        return Ok(());
    };
    let set = || store.ensure_notification(target);
    match patiently(deadline, is_store_away, set).await? {
        Outcome::Unsupported => print(
            "this store sends no notifications; uploads are found without them, a little later",
        ),
        _ => print(&format!("new objects in staging are told to {target}")),
    }
    Ok(())
}

/// Whether trying again may help.
fn is_store_away(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_))
}

/// Tries a step until it has an answer or the deadline is there; says why it waits.
async fn patiently<T, E: Display>(
    deadline: Instant,
    is_away: fn(&E) -> bool,
    step: impl AsyncFn() -> Result<T, E>,
) -> Result<T, Failure> {
    loop {
        match step().await {
            Ok(answer) => return Ok(answer),
            Err(error) if is_away(&error) && Instant::now() + PAUSE < deadline => {
                complain(&format!("waiting: {error}"));
                sleep(PAUSE).await;
            }
            Err(error) => return Err(Failure::broken(error)),
        }
    }
}
