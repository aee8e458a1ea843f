//! The store and the database that a test runs on: this process's own ones, or those that
//! `PUTGATE_TEST_STORE` and `PUTGATE_TEST_DATABASE` name.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![expect(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use putgate::clock::Clock;
use putgate::devstore::DevStore;
use serde_json::{Value, json};

use crate::common;
use crate::common::database::TestDatabase;
use crate::process::{Site, storage};

const PAGES: &str = "pages of http://127.0.0.1:8080 may upload";

/// What a test runs on.
pub struct Services {
    /// The store's address.
    pub endpoint: String,
    /// Whether the store refuses unsigned copy sources whatever the key may do.
    pub is_safe_with_one_key: bool,
    store: Value,
    // Ends with the test.
    _own: Option<(DevStore, tempfile::TempDir)>,
}

/// The store that the stage named: its address, region, two keys, and whether one key for all
/// would be safe on it.
/// `{"name":"minio","endpoint":"http://127.0.0.1:9000","region":"us-east-1","server":["AK","SK"],"upload":["AK","SK"],"one_key":false}`.
fn named_store() -> Option<Value> {
    #[expect(clippy::disallowed_methods, reason = "a test's own variable")]
    let text = std::env::var("PUTGATE_TEST_STORE").ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// An owner that no other run has met: services may outlive a test.
pub fn owner() -> String {
    format!("{}-{}", Clock::System.now().millis(), std::process::id())
}

impl Services {
    /// The named services, else a devstore in this process and a SQLite file.
    pub async fn of_environment() -> Self {
        let (store, own) = if let Some(store) = named_store() {
            (store, None)
        } else {
            let dir = tempfile::tempdir().unwrap();
            let own = common::devstore(dir.path()).await;
            let store = json!({
                "name": "devstore", "endpoint": own.url(), "region": "us-east-1",
                "server": ["server", "server-secret"], "upload": ["upload", "upload-secret"],
                "one_key": true,
            });
            (store, Some((own, dir)))
        };
        Self {
            endpoint: store["endpoint"].as_str().unwrap().to_owned(),
            is_safe_with_one_key: store["one_key"].as_bool().unwrap(),
            store,
            _own: own,
        }
    }

    /// A site on them.
    pub fn site(&self) -> Site {
        self.site_for(Some(self.pair("upload")))
    }

    /// The same, with `upload_key = "same"`.
    pub fn site_with_one_key(&self) -> Site {
        self.site_for(None)
    }

    fn site_for(&self, upload: Option<[&str; 2]>) -> Site {
        let region = self.store["region"].as_str().unwrap();
        let storage = storage(&self.endpoint, region, self.pair("server"), upload);
        let dir = tempfile::tempdir().unwrap();
        let database = TestDatabase::make(dir.path());
        Site::with(dir, storage, database)
    }

    /// What the stage calls the store.
    pub fn name(&self) -> &str {
        self.store["name"].as_str().unwrap()
    }

    fn pair(&self, name: &str) -> [&str; 2] {
        [0, 1].map(|i| self.store[name][i].as_str().unwrap())
    }

    /// What `setup` says of the pages and of the days: each store has its own gaps.
    pub fn rules(&self) -> (&'static str, &'static str) {
        match self.store["name"].as_str() {
            Some("minio") => (
                "MINIO_API_CORS_ALLOW_ORIGIN=http://127.0.0.1:8080",
                "MINIO_API_STALE_UPLOADS_EXPIRY=336h",
            ),
            Some("devstore") => (PAGES, "takes no lifecycle rule"),
            _ => (PAGES, "staging forgets after 14 days"),
        }
    }
}
