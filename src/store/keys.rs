//! Credentials: a static pair or what the AWS default chain finds, kept fresh in the
//! background so that signing never waits.

use std::sync::{Arc, Weak};
use std::time::{Duration, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_s3::config::{BehaviorVersion, Region};

use super::{Key, StoreError};
use crate::clock::Clock;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// How soon expiring credentials are asked for again, at the earliest.
const SHORTEST_REFRESH: Duration = Duration::from_secs(30);

/// An access key with its secret, and a session token when they are temporary.
#[derive(Debug)]
pub(super) struct KeyPair {
    pub(super) access_key: String,
    pub(super) secret_key: Secret,
    pub(super) session_token: Option<Secret>,
    /// When the store stops believing them; `None`: never.
    pub(super) expires_at: Option<Timestamp>,
}

/// The key pair in use at present.
#[derive(Debug)]
pub(super) struct Keys(ArcSwap<KeyPair>);

impl Keys {
    /// Keys that stay until they are exchanged.
    pub(super) fn of(pair: KeyPair) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(pair)))
    }

    /// The pair to sign with now.
    pub(super) fn current(&self) -> Arc<KeyPair> {
        self.0.load_full()
    }

    /// Signs with another pair from now on.
    fn exchange(&self, pair: KeyPair) {
        self.0.store(Arc::new(pair));
    }
}

/// Keys as the SDK's clients and our signer take them.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) keys: Arc<Keys>,
    pub(super) provider: SharedCredentialsProvider,
    /// From the configuration, so that a new one can exchange them.
    pub(super) is_static: bool,
}

/// What a new configuration does to keys in use.
#[derive(Debug)]
pub(super) enum Renewal {
    /// Another pair takes their place.
    Exchange(KeyPair),
    /// They stay, and are kept fresh as before.
    Stay,
    /// It takes a restart.
    Restart,
}

impl Opened {
    /// What a new configuration's key would do; it does nothing yet.
    pub(super) fn renewal(&self, key: &Key) -> Result<Renewal, StoreError> {
        match key {
            Key::Static { .. } if self.is_static => Ok(Renewal::Exchange(static_pair(key)?)),
            Key::AwsChain if !self.is_static => Ok(Renewal::Stay),
            Key::Static { .. } | Key::AwsChain => Ok(Renewal::Restart),
        }
    }

    /// Puts a new pair into use, if there is one.
    pub(super) fn renew(&self, renewal: Renewal) {
        if let Renewal::Exchange(pair) = renewal {
            self.keys.exchange(pair);
        }
    }
}

/// Hands the SDK's clients the pair that is in use.
#[derive(Debug)]
struct Held(Arc<Keys>);

impl ProvideCredentials for Held {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let pair = self.0.current();
        let secret = pair.secret_key.expose_str().unwrap_or_default();
        let credentials = Credentials::new(&pair.access_key, secret, None, None, "putgate.toml");
        future::ProvideCredentials::ready(Ok(credentials))
    }
}

fn static_pair(key: &Key) -> Result<KeyPair, StoreError> {
    match key {
        Key::Static {
            access_key,
            secret_key,
        } => {
            let text = secret_key.expose_str();
            text.ok_or_else(|| StoreError::Settings("the secret key is not UTF-8".into()))?;
            Ok(KeyPair {
                access_key: access_key.clone(),
                secret_key: secret_key.clone(),
                session_token: None,
                expires_at: None,
            })
        }
        Key::AwsChain => Err(StoreError::Settings("the key is not written down".into())),
    }
}

/// The keys for our signer, and the same as a provider for the SDK's clients.
pub(super) async fn open(key: &Key, region: &str) -> Result<Opened, StoreError> {
    match key {
        Key::Static { .. } => {
            let keys = Keys::of(static_pair(key)?);
            Ok(Opened {
                provider: SharedCredentialsProvider::new(Held(Arc::clone(&keys))),
                keys,
                is_static: true,
            })
        }
        Key::AwsChain => {
            // Only the credentials are taken from the environment; region and endpoint are ours.
            let found = aws_config::defaults(BehaviorVersion::v2026_01_12())
                .region(Region::new(region.to_owned()))
                .load()
                .await;
            let provider = found.credentials_provider().ok_or_else(|| {
                StoreError::Settings("the AWS default chain has no credentials".into())
            })?;
            let first = load(&provider).await?;
            let expires = first.expires_at.is_some();
            let keys = Keys::of(first);
            if expires {
                tokio::spawn(refresh(Arc::downgrade(&keys), provider.clone()));
            }
            Ok(Opened {
                keys,
                provider,
                is_static: false,
            })
        }
    }
}

fn pair(credentials: &Credentials) -> KeyPair {
    KeyPair {
        access_key: credentials.access_key_id().to_owned(),
        secret_key: Secret::new(credentials.secret_access_key()),
        session_token: credentials.session_token().map(Secret::new),
        expires_at: credentials.expiry().map(|at| {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        }),
    }
}

async fn load(provider: &SharedCredentialsProvider) -> Result<KeyPair, StoreError> {
    match provider.provide_credentials().await {
        Ok(credentials) => Ok(pair(&credentials)),
        Err(error) => Err(StoreError::Unavailable(format!(
            "no credentials from the AWS default chain: {}",
            super::error::innermost(&error)
        ))),
    }
}

/// When to ask again: at half of what is left, so that a signed URL rarely meets a short rest,
/// and a failing source is asked several times before the end.
fn pause(expires_at: Timestamp, now: Timestamp) -> Duration {
    let left = u64::try_from(now.seconds_until(expires_at)).unwrap_or(0);
    Duration::from_secs(left / 2).max(SHORTEST_REFRESH)
}

/// Replaces the keys before they expire, for as long as somebody holds them.
async fn refresh(keys: Weak<Keys>, provider: SharedCredentialsProvider) {
    while let Some(expires_at) = keys.upgrade().and_then(|keys| keys.current().expires_at) {
        tokio::time::sleep(pause(expires_at, Clock::System.now())).await;
        let fresh = load(&provider).await;
        let Some(keys) = keys.upgrade() else { return };
        match fresh {
            Ok(pair) => keys.exchange(pair),
            Err(error) => tracing::warn!(%error, "storage credentials were not refreshed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_refreshed_well_before_they_expire() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        for (left, expected) in [(3600, 1800), (900, 450), (70, 35), (40, 30), (-5, 30)] {
            assert_eq!(
                pause(at(10_000 + left), at(10_000)).as_secs(),
                expected,
                "{left} s left"
            );
        }
    }

    #[test]
    fn a_key_pair_does_not_print_its_secrets() {
        let pair = pair(&Credentials::new(
            "AKID",
            "hunter2",
            Some("token3".into()),
            None,
            "test",
        ));
        let text = format!("{pair:?}");
        assert!(
            !text.contains("hunter2") && !text.contains("token3"),
            "{text}"
        );
    }
}
