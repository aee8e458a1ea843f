//! What the configuration means, and what is said when it is wrong.

mod dialects;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::values::{SIZE, SPAN, closest};
use super::*;
use crate::domain::slot::{Disposition, ImageLimits, OnFull, Policy, TenantLimits};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n";

/// A directory with secret files, gone when dropped.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("putgate-{test}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("secrets")).unwrap();
        let dir = Self(path);
        for name in "jwt storage upload webhook notifications notifications-old".split(' ') {
            dir.write(&format!("secrets/{name}"), &format!("{SECRET}{name}\n"));
        }
        dir.write("secrets/key.pem", PEM);
        dir
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, text: &str) -> Result<Config, Mistakes> {
        self.read_with(text, &[])
    }

    fn read_with(&self, text: &str, env: &[(&str, &str)]) -> Result<Config, Mistakes> {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::parse_str(text, &env.collect(), &self.0)
    }

    /// The mistakes, with this directory written as `DIR`.
    fn mistakes(&self, text: &str, env: &[(&str, &str)]) -> Vec<String> {
        let mistakes = self.read_with(text, env).expect_err("a mistake");
        let dir = self.0.display().to_string();
        let all = mistakes.all().iter();
        all.map(|m| m.to_string().replace(&dir, "DIR")).collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A small valid configuration; `(table, line)` pairs are added or replace a key's line.
fn with(changes: &[(&str, &str)]) -> String {
    let mut tables: Vec<(String, Vec<String>)> = [
        ("storage", "region = \"us-east-1\""),
        ("storage", "staging_bucket = \"staging\""),
        ("storage", "files_bucket = \"files\""),
        ("storage", "upload_access_key = \"up\""),
        ("storage", "upload_secret_key_file = \"secrets/upload\""),
        ("auth", "hs256_secret_files = [\"secrets/jwt\"]"),
        ("slots.a", ""),
    ]
    .iter()
    .fold(Vec::new(), |tables, (table, line)| put(tables, table, line));
    for (table, line) in changes {
        tables = put(tables, table, line);
    }
    let mut text = String::new();
    for (table, lines) in tables {
        let _ = writeln!(text, "[{table}]\n{}", lines.join("\n"));
    }
    text
}

fn put(
    mut tables: Vec<(String, Vec<String>)>,
    table: &str,
    line: &str,
) -> Vec<(String, Vec<String>)> {
    if !tables.iter().any(|(name, _)| name == table) {
        tables.push((table.to_owned(), Vec::new()));
    }
    let key = line.split('=').next().unwrap().trim();
    let (_, lines) = tables.iter_mut().find(|(name, _)| name == table).unwrap();
    lines.retain(|old| old.split('=').next().unwrap().trim() != key);
    if !line.ends_with('=') {
        lines.push(line.to_owned());
    }
    tables
}

/// The messages without their `file:line:column: `.
fn words(mistakes: &[String]) -> Vec<&str> {
    mistakes
        .iter()
        .map(|m| m.split_once(": ").map_or(&**m, |(_, what)| what))
        .collect()
}

#[test]
fn the_example_of_the_design_means_what_it_says() {
    let dir = Dir::new("design");
    let text = with(&[
        ("slots.avatar", "accept = [\".jpg\", \".png\", \".webp\"]"),
        ("slots.avatar", "max_file_size = \"5MB\""),
        ("slots.avatar", "max_entries = 1"),
        ("slots.avatar", "on_full = \"replace\""),
        ("slots.photos", "accept = [\"image/*\"]"),
        ("slots.photos", "max_file_size = \"10MB\""),
        ("slots.photos", "max_entries = 5"),
        ("slots.photos", "auto_upload = true"),
        ("slots.photos", "part_size = \"8MiB\""),
        ("slots.photos", "ticket_ttl = \"24h\""),
        ("slots.photos", "url_ttl = \"15m\""),
        ("slots.photos", "unclaimed_ttl = \"24h\""),
        ("slots.photos", "quota = \"100MB\""),
        (
            "slots.photos",
            "image = { max_width = 8000, max_height = 8000, max_pixels = \"50M\" }",
        ),
        ("slots.photos", "disposition = \"attachment\""),
        ("slots.photos", "public = true"),
        ("slots.photos.limits_per_tenant", "max_entries = 1000"),
        ("slots.photos.limits_per_tenant", "quota = \"1GB\""),
    ]);
    let config = dir.read(&text).unwrap();
    let policy = |name: &str| config.slots[&SlotName::parse(name).unwrap()].policy.clone();
    assert_eq!(policy("a"), Policy::default());
    assert_eq!(
        policy("avatar"),
        Policy {
            accept: crate::domain::media::Accept::parse([".jpg", ".png", ".webp"]).unwrap(),
            max_file_size: 5_000_000,
            on_full: OnFull::Replace,
            ..Policy::default()
        }
    );
    assert_eq!(
        policy("photos"),
        Policy {
            accept: crate::domain::media::Accept::parse(["image/*"]).unwrap(),
            max_file_size: 10_000_000,
            max_entries: 5,
            on_full: OnFull::Reject,
            auto_upload: true,
            part_size: Some(8 * 1024 * 1024),
            ticket_ttl: Seconds(86_400),
            url_ttl: Seconds(900),
            unclaimed_ttl: Some(Seconds(86_400)),
            quota: Some(100_000_000),
            image: Some(ImageLimits {
                max_width: Some(8000),
                max_height: Some(8000),
                max_pixels: Some(50_000_000),
            }),
            disposition: Disposition::Attachment,
            public: true,
            per_tenant: TenantLimits {
                max_entries: Some(1000),
                quota: Some(1_000_000_000)
            },
            ..Policy::default()
        }
    );
}

#[test]
fn what_is_not_written_has_the_documented_default() {
    let dir = Dir::new("defaults");
    let config = dir.read(&with(&[])).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.server.admin_listen, None);
    assert_eq!(config.server.log, LogFormat::Json);
    assert!(
        matches!(&config.database.url, DatabaseUrl::Sqlite(path) if path.ends_with("putgate.db"))
    );
    assert_eq!(config.database.synchronous, Synchronous::Full);
    assert_eq!(config.storage.endpoint, None);
    assert_eq!(config.storage.public_endpoint, None);
    assert!(!config.storage.path_style);
    assert!(matches!(config.storage.server_key, ServerKey::AwsChain));
    assert_eq!(config.auth.leeway, Seconds(30));
    assert_eq!(config.auth.tenant_claim, "tenant");
    assert_eq!(config.auth.scope_claim, "scope");
    assert_eq!(config.auth.default_scope, "upload read");
    assert!(config.webhook.is_none() && config.notifications.secrets.is_empty());
    assert_eq!(config.limits.max_open_tickets, 100);
    assert_eq!(config.limits.retention, Seconds(30 * 86_400));
}

#[test]
fn endpoints_default_from_the_server_to_the_browser_to_the_download() {
    let dir = Dir::new("endpoints");
    let read = |changes: &[(&str, &str)]| dir.read(&with(changes)).unwrap().storage;
    let one = read(&[("storage", "endpoint = \"HTTPS://S3.Example.com:443/\"")]);
    let at = Some("https://s3.example.com");
    assert_eq!(one.endpoint.as_deref(), at);
    assert_eq!(one.public_endpoint.as_deref(), at);
    assert_eq!(one.download_endpoint.as_deref(), at);
    assert!(one.path_style, "a store that is not AWS is asked by path");
    let two = read(&[
        ("storage", "endpoint = \"http://minio:9000\""),
        ("storage", "public_endpoint = \"https://s3.example.com\""),
    ]);
    assert_eq!(two.endpoint.as_deref(), Some("http://minio:9000"));
    assert_eq!(two.download_endpoint.as_deref(), at);
}

#[test]
fn each_mistake_is_named_with_its_fix() {
    let dir = Dir::new("table");
    dir.write("secrets/short", "only sixteen by\n");
    dir.write("secrets/empty", "\n");
    dir.write("secrets/private.pem", "-----BEGIN PRIVATE KEY-----\n");
    dir.write("secrets/whsec", "whsec_*\n");
    let store_pages = ("server", "allowed_origins = [\"https://app.example.com\"]");
    let rows: &[(&[(&str, &str)], &str)] = &[
        // Sizes, counts, durations.
        (
            &[("slots.a", "max_file_size = \"5XB\"")],
            "slots.a.max_file_size = \"5XB\": not a size. Write a number of bytes, or a number with kB, MB, GB, KiB, MiB, GiB.",
        ),
        (
            &[("slots.a", "max_file_size = -1")],
            "slots.a.max_file_size = -1: not a size. Write a number of bytes, or a number with kB, MB, GB, KiB, MiB, GiB.",
        ),
        (
            &[("slots.a", "max_file_size = 1.5")],
            "slots.a.max_file_size = 1.5: not a size. Write a number of bytes, or a number with kB, MB, GB, KiB, MiB, GiB.",
        ),
        (
            &[("slots.a", "max_file_size = 0")],
            "slots.a.max_file_size: 0 is out of bounds. Write at least 1 and at most \"5TiB\".",
        ),
        (
            &[("slots.a", "max_file_size = \"6TiB\"")],
            "slots.a.max_file_size: \"6TiB\" is out of bounds. Write at least 1 and at most \"5TiB\".",
        ),
        (
            &[("slots.a", "max_entries = 0")],
            "slots.a.max_entries: 0 is out of bounds. Write at least 1 and at most 1000000.",
        ),
        (
            &[("slots.a", "max_entries = 1_000_001")],
            "slots.a.max_entries: 1000001 is out of bounds. Write at least 1 and at most 1000000.",
        ),
        (
            &[("slots.a", "max_entries = \"many\"")],
            "slots.a.max_entries = \"many\": not a count. Write a number, or a number with k, M or G.",
        ),
        (
            &[("slots.a", "part_size = \"4MiB\"")],
            "slots.a.part_size: \"4MiB\" is out of bounds. Write at least \"5MiB\" and at most \"5GiB\".",
        ),
        (
            &[("slots.a", "part_size = \"6GiB\"")],
            "slots.a.part_size: \"6GiB\" is out of bounds. Write at least \"5MiB\" and at most \"5GiB\".",
        ),
        (
            &[("slots.a", "quota = 0")],
            "slots.a.quota: 0 is out of bounds. Write at least 1 and at most 18446744073709551615.",
        ),
        (
            &[("slots.a", "ticket_ttl = \"8d\"")],
            "slots.a.ticket_ttl: \"8d\" is out of bounds. Write at least \"1m\" and at most \"7d\".",
        ),
        (
            &[("slots.a", "ticket_ttl = \"59s\"")],
            "slots.a.ticket_ttl: \"59s\" is out of bounds. Write at least \"1m\" and at most \"7d\".",
        ),
        (
            &[("slots.a", "url_ttl = \"0s\"")],
            "slots.a.url_ttl: \"0s\" is out of bounds. Write at least \"1s\" and at most \"7d\".",
        ),
        (
            &[("slots.a", "url_ttl = 900")],
            "slots.a.url_ttl = 900: not a duration. Write a number with s, m, h or d, as \"15m\".",
        ),
        (
            &[("slots.a", "url_ttl = \"2d\"")],
            "slots.a.url_ttl: url_ttl is \"2d\" and ticket_ttl \"1d\", but no URL outlives its ticket. Shorten url_ttl or lengthen ticket_ttl.",
        ),
        (
            &[("slots.a", "ticket_ttl = \"5m\"")],
            "slots.a.ticket_ttl: url_ttl is \"15m\" and ticket_ttl \"5m\", but no URL outlives its ticket. Shorten url_ttl or lengthen ticket_ttl.",
        ),
        (
            &[
                ("slots.a", "url_ttl = \"3d\""),
                ("slots.a", "ticket_ttl = \"3d\""),
                ("limits", "retention = \"2d\""),
            ],
            "slots.a.url_ttl: longer than [limits] retention, so a URL could fill staging after its ticket is forgotten. Shorten it.",
        ),
        (
            &[("limits", "retention = \"1h\"")],
            "limits.retention: \"1h\" is out of bounds. Write at least \"1d\" and at most \"36500d\".",
        ),
        (
            &[("limits", "max_open_tickets = 0")],
            "limits.max_open_tickets: 0 is out of bounds. Write at least 1 and at most 1000000.",
        ),
        // Slots.
        (
            &[("slots.a", "on_full = \"swap\"")],
            "slots.a.on_full = \"swap\": not a choice. Write \"reject\" or \"replace\".",
        ),
        (
            &[
                ("slots.a", "on_full = \"replace\""),
                ("slots.a", "unclaimed_ttl = \"1h\""),
            ],
            "slots.a.unclaimed_ttl: on_full = \"replace\" retires files by itself, and a file that ends unclaimed would already have replaced a claimed one. Keep one of them.",
        ),
        (
            &[("slots.a", "disposition = \"download\"")],
            "slots.a.disposition = \"download\": not a choice. Write \"attachment\" or \"inline\".",
        ),
        (
            &[("slots.a", "accept = [\"jpg\"]")],
            "slots.a.accept = \"jpg\": neither an extension, a type nor a wildcard. Write \".jpg\", \"image/png\" or \"image/*\".",
        ),
        (
            &[("slots.a", "accept = \".jpg,.png\"")],
            "slots.a.accept = \".jpg,.png\": neither an extension, a type nor a wildcard. Write \".jpg\", \"image/png\" or \"image/*\".",
        ),
        (
            &[("slots.a", "accept = []")],
            "slots.a.accept: empty. Leave it out to take any bytes.",
        ),
        (
            &[("slots.a", "accept = [1]")],
            "slots.a.accept = [1]: not a list of texts. Write [\"…\", \"…\"].",
        ),
        (
            &[("slots.a", "public = \"yes\"")],
            "slots.a.public = \"yes\": not a boolean. Write true or false.",
        ),
        (
            &[("slots.a", "image = { max_width = 0 }")],
            "slots.a.image.max_width: 0 is out of bounds. Write at least 1 and at most 4294967295.",
        ),
        (
            &[("slots.a", "image = { max_pixels = 0 }")],
            "slots.a.image.max_pixels: 0 is out of bounds. Write at least 1 and at most 18446744073709551615.",
        ),
        (
            &[("slots.a", "image = 3")],
            "slots.a.image: not a table. Write [slots.a.image].",
        ),
        (
            &[("slots.\"a b\"", "")],
            "slots.\"a b\": the slot's name must match [A-Za-z0-9][A-Za-z0-9_.-]{0,62}. Rename it.",
        ),
        // Unknown keys.
        (
            &[("slots.a", "max_file_sise = 1")],
            "slots.a.max_file_sise: unknown key. Did you mean `max_file_size`?",
        ),
        (
            &[("slots.a", "colour = 1")],
            "slots.a.colour: unknown key. Remove it.",
        ),
        (
            &[("slots.a.image", "max_widht = 1")],
            "slots.a.image.max_widht: unknown key. Did you mean `max_width`?",
        ),
        (
            &[("sever", "listen = \"[::]:1\"")],
            "sever: unknown table. Did you mean `server`?",
        ),
        // Server.
        (
            &[("server", "listen = \":3000\"")],
            "server.listen = \":3000\": not an address. Write an IP address and a port, as \"127.0.0.1:3000\" or \"[::]:3000\".",
        ),
        (
            &[("server", "admin_listen = \"127.0.0.1:3000\"")],
            "server.admin_listen: the API listens there. Give it another port.",
        ),
        (
            &[("server", "public_url = \"app.example.com\"")],
            "server.public_url = \"app.example.com\": not a URL. Write scheme, host and port, as \"https://s3.example.com\".",
        ),
        (
            &[("server", "public_url = \"https://app.example.com/?a\"")],
            "server.public_url = \"https://app.example.com/?***\": has a query. Remove everything from `?` on.",
        ),
        (
            &[("server", "allowed_origins = [\"*\"]")],
            "server.allowed_origins = \"*\": origins are exact, for any page could use a visitor's token otherwise. Write every origin out.",
        ),
        (
            &[("server", "allowed_origins = [\"https://A.example/x\"]")],
            "server.allowed_origins = \"https://A.example/x\": an origin has no path. Write \"https://a.example\".",
        ),
        (
            &[(
                "server",
                "allowed_origins = [\"https://a.example\", \"https://A.example:443/\"]",
            )],
            "server.allowed_origins = \"https://a.example\": listed twice. Remove one.",
        ),
        (
            &[("server", "log = \"xml\"")],
            "server.log = \"xml\": not a choice. Write \"json\" or \"text\".",
        ),
        (
            &[("server", "log_filter = \"a=b=c\"")],
            "server.log_filter = \"a=b=c\": not a log filter. Write a level, as \"info\", or \"info,putgate::flow=debug\".",
        ),
        // Database.
        (
            &[("database", "url = \"mysql://u:hunter2@h/d\"")],
            "database.url: neither SQLite nor PostgreSQL. Write \"sqlite://path\" or \"postgres://user@host/name\".",
        ),
        (
            &[("database", "url = \"sqlite::memory:\"")],
            "database.url: names no file. Write \"sqlite://putgate.db\".",
        ),
        (
            &[("database", "synchronous = \"off\"")],
            "database.synchronous = \"off\": not a choice. Write \"full\" or \"normal\".",
        ),
        // Storage.
        (
            &[("storage", "region =")],
            "storage.region: missing. Write the store's region, as \"us-east-1\".",
        ),
        (
            &[("storage", "region = \"\"")],
            "storage.region = \"\": empty. Write a text, or remove the key.",
        ),
        (
            &[("storage", "files_bucket =")],
            "storage.files_bucket: missing. Name the bucket that judged files live in.",
        ),
        (
            &[("storage", "staging_bucket = \"Staging\"")],
            "storage.staging_bucket = \"Staging\": not a bucket name. Write 3 to 63 of a-z, 0-9, `-` and `.`, with a letter or digit at both ends.",
        ),
        (
            &[("storage", "staging_bucket = \"files\"")],
            "storage.files_bucket: browsers may write to the staging bucket, so files need a bucket of their own. Name another.",
        ),
        (
            &[("storage", "access_key = \"k\"")],
            "storage.access_key: its secret is missing. Give secret_key or secret_key_file.",
        ),
        (
            &[("storage", "secret_key = \"hunter2\"")],
            "storage.secret_key: the key's id is missing. Give access_key.",
        ),
        (
            &[
                ("storage", "access_key = \"k\""),
                ("storage", "secret_key = \"hunter2\""),
                ("storage", "secret_key_file = \"secrets/storage\""),
            ],
            "storage.secret_key_file: secret_key is given too. Keep one of them.",
        ),
        (
            &[
                ("storage", "access_key = \"up\""),
                ("storage", "secret_key_file = \"secrets/storage\""),
            ],
            "storage.upload_access_key: the server's own key. Create one that can only write to staging, or write upload_key = \"same\".",
        ),
        (
            &[
                ("storage", "upload_access_key ="),
                ("storage", "upload_secret_key_file ="),
            ],
            "storage.upload_access_key: missing. Browser URLs are signed by a key of their own that can only write to staging. Give upload_access_key and upload_secret_key, or write upload_key = \"same\" where the store refuses an unsigned copy source.",
        ),
        (
            &[("storage", "upload_key = \"same\"")],
            "storage.upload_key: upload_access_key is given too. Keep one of them.",
        ),
        (
            &[("storage", "upload_secret_key_file = \"secrets/none\"")],
            "storage.upload_secret_key_file = \"secrets/none\": the file DIR/secrets/none cannot be read: No such file or directory (os error 2).",
        ),
        (
            &[("storage", "upload_secret_key_file = \"secrets/empty\"")],
            "storage.upload_secret_key_file = \"secrets/empty\": the file DIR/secrets/empty is empty.",
        ),
        (
            &[("storage", "endpoint = \"ftp://s3.example.com\"")],
            "storage.endpoint = \"ftp://s3.example.com\": not a URL. Write scheme, host and port, as \"https://s3.example.com\".",
        ),
        (
            &[(
                "storage",
                "public_endpoint = \"https://u:hunter2@s3.example.com\"",
            )],
            "storage.public_endpoint = \"***\": has a user name in it, which would end up in logs. Remove it up to `@`.",
        ),
        (
            &[("storage", "public_endpoint = \"https://s3.example.com/x\"")],
            "storage.public_endpoint: has a path, which a browser's signature can't cover on every store. Remove it.",
        ),
        (
            &[(
                "storage",
                "download_endpoint = \"https://s3.example.com?x\"",
            )],
            "storage.download_endpoint = \"https://s3.example.com?***\": has a query. Remove everything from `?` on.",
        ),
        (
            &[
                ("storage", "endpoint = \"http://127.0.0.1:9000\""),
                ("storage", "path_style = false"),
            ],
            "storage.path_style: a bucket's name can't stand before an IP address. Write true.",
        ),
        // What browsers can't reach.
        (
            &[store_pages, ("storage", "endpoint = \"http://minio:9000\"")],
            "storage.endpoint: browsers can't reach it: minio is a name that only its own network knows, and pages of https://app.example.com upload to it. Uploads are signed for it unless public_endpoint is given. Write the store's public https address.",
        ),
        (
            &[("storage", "endpoint = \"https://s3.example.com/x\"")],
            "storage.endpoint: has a path, which a browser's signature can't cover on every store. Uploads are signed for it unless public_endpoint is given. Remove it.",
        ),
        (
            &[("storage", "public_endpoint = \"http://minio:9000\"")],
            "storage.public_endpoint: browsers can't reach it: minio is a name that only its own network knows. Write the store's public https address.",
        ),
        (
            &[
                store_pages,
                ("storage", "public_endpoint = \"https://localhost:9000\""),
            ],
            "storage.public_endpoint: browsers can't reach it: localhost is the visitor's own machine for pages of https://app.example.com. Write the store's public https address.",
        ),
        (
            &[
                store_pages,
                ("storage", "public_endpoint = \"https://[::1]:9000\""),
            ],
            "storage.public_endpoint: browsers can't reach it: [::1] is the visitor's own machine for pages of https://app.example.com. Write the store's public https address.",
        ),
        (
            &[
                store_pages,
                ("storage", "public_endpoint = \"https://10.1.2.3\""),
            ],
            "storage.public_endpoint: browsers can't reach it: 10.1.2.3 is a private address, out of reach for pages of https://app.example.com. Write the store's public https address.",
        ),
        (
            &[
                store_pages,
                ("storage", "public_endpoint = \"http://s3.example.com\""),
            ],
            "storage.public_endpoint: browsers can't reach it: it is plain http, which browsers block on pages of https://app.example.com. Write the store's public https address.",
        ),
        (
            &[
                store_pages,
                ("storage", "public_endpoint = \"https://s3.example.com\""),
                ("storage", "download_endpoint = \"http://127.0.0.1\""),
            ],
            "storage.download_endpoint: browsers can't reach it: 127.0.0.1 is the visitor's own machine for pages of https://app.example.com. Write the store's public https address.",
        ),
        (
            &[("storage", "public_endpoint = \"http://0.0.0.0:9000\"")],
            "storage.public_endpoint: browsers can't reach it: 0.0.0.0 is an address to listen on, not one to call. Write the store's public https address.",
        ),
        (
            &[
                ("server", "public_url = \"https://app.example.com/up\""),
                ("storage", "public_endpoint = \"https://127.0.0.1\""),
            ],
            "storage.public_endpoint: browsers can't reach it: 127.0.0.1 is the visitor's own machine for pages of https://app.example.com. Write the store's public https address.",
        ),
        // Auth.
        (
            &[("auth", "hs256_secret_files =")],
            "auth.hs256_secret_files: missing. Without a key no token can be believed. Give hs256_secret_files, public_key_files or jwks_url.",
        ),
        (
            &[("auth", "hs256_secret_files = []")],
            "auth.hs256_secret_files: missing. Without a key no token can be believed. Give hs256_secret_files, public_key_files or jwks_url.",
        ),
        (
            &[("auth", "hs256_secret_files = [\"secrets/short\"]")],
            "auth.hs256_secret_files = \"secrets/short\": holds 15 bytes, and HS256 needs 32 (RFC 7518 §3.2). Make one with `openssl rand -hex 32`.",
        ),
        (
            &[("auth", "public_key_files = [\"secrets/private.pem\"]")],
            "auth.public_key_files = \"secrets/private.pem\": holds a private key, which Putgate must never see. Give the public half: `openssl pkey -pubout`.",
        ),
        (
            &[("auth", "public_key_files = [\"secrets/jwt\"]")],
            "auth.public_key_files = \"secrets/jwt\": holds no PEM public key. It must begin with -----BEGIN PUBLIC KEY-----.",
        ),
        (
            &[
                ("auth", "hs256_secret_files ="),
                ("auth", "jwks_url = \"http://id.example.com/jwks\""),
            ],
            "auth.jwks_url = \"http://id.example.com/jwks\": keys fetched over plain http can be forged on the way. Write https://.",
        ),
        (
            &[("auth", "leeway = \"61s\"")],
            "auth.leeway: \"61s\" is out of bounds. Write at least \"0s\" and at most \"1m\".",
        ),
        (
            &[("auth", "default_scope = \"upload write\"")],
            "auth.default_scope = \"upload write\": no scope is called write. Write some of upload, read, delete, manage, separated by spaces.",
        ),
        (
            &[("auth", "issuer = 7")],
            "auth.issuer = 7: not a text. Put it in double quotes.",
        ),
        // Webhook, notifications.
        (
            &[
                ("webhook", "url = \"http://app/hook?token=1\""),
                ("webhook", "secret_files = [\"secrets/webhook\"]"),
            ],
            "webhook.url = \"http://app/hook?***\": has a query. Remove everything from `?` on.",
        ),
        (
            &[("webhook", "secret_files = [\"secrets/webhook\"]")],
            "webhook.url: missing. Write where events go, or remove [webhook].",
        ),
        (
            &[("webhook", "url = \"https://app:3000/hook\"")],
            "webhook.secret_files: missing. Events are signed, so a receiver can tell them from forged ones. Name a file.",
        ),
        (
            &[
                ("webhook", "url = \"https://app:3000/hook\""),
                ("webhook", "secret_files = [\"secrets/short\"]"),
            ],
            "webhook.secret_files = \"secrets/short\": holds 15 bytes, and a webhook's secret needs 24. Make one with `openssl rand -hex 32`.",
        ),
        (
            &[
                ("webhook", "url = \"https://app:3000/hook\""),
                ("webhook", "secret_files = [\"secrets/whsec\"]"),
            ],
            "webhook.secret_files = \"secrets/whsec\": begins with whsec_, but what follows is not base64.",
        ),
        (
            &[
                ("webhook", "url = \"http://app.example.com/hook\""),
                ("webhook", "secret_files = [\"secrets/webhook\"]"),
            ],
            "webhook.url: events sent over plain http can be read on the way. Write https:// and a public host, or allow_private = true when the receiver is in your own network.",
        ),
        (
            &[
                ("webhook", "url = \"https://169.254.169.254/hook\""),
                ("webhook", "secret_files = [\"secrets/webhook\"]"),
            ],
            "webhook.url: 169.254.169.254 is no public address. Write https:// and a public host, or allow_private = true when the receiver is in your own network.",
        ),
        (
            &[
                ("webhook", "url = \"https://[::ffff:127.0.0.1]/hook\""),
                ("webhook", "secret_files = [\"secrets/webhook\"]"),
            ],
            "webhook.url: [::ffff:127.0.0.1] is this machine. Write https:// and a public host, or allow_private = true when the receiver is in your own network.",
        ),
        (
            &[("notifications", "secret_file = \"secrets/short\"")],
            "notifications.secret_file: holds 15 bytes, and must hold 16 not to be guessed. Make one with `openssl rand -hex 32`.",
        ),
        (
            &[(
                "notifications",
                "target = \"http://broker:3000/v1/notifications/s3\"",
            )],
            "notifications.target = \"http://broker:3000/v1/notifications/s3\": not the ARN of a queue. Write it as \"arn:minio:sqs::PUTGATE:webhook\".",
        ),
    ];
    for (changes, message) in rows {
        let mistakes = dir.mistakes(&with(changes), &[]);
        assert_eq!(words(&mistakes), [*message], "{changes:?}");
    }
}

#[test]
fn what_browsers_can_reach_is_accepted() {
    let dir = Dir::new("reach");
    let rows = [
        ("http://localhost:9000", "[\"http://localhost:3000\"]"),
        ("http://127.0.0.1:9000", "[]"),
        (
            "http://app.localhost:9000",
            "[\"http://127.0.0.1:3000\", \"https://localhost\"]",
        ),
        (
            "http://192.168.1.5:9000",
            "[\"http://192.168.1.6\", \"http://localhost:3000\"]",
        ),
        ("http://minio:9000", "[\"http://app:3000\"]"),
        ("http://s3.example.com", "[\"http://app.example.com\"]"),
        ("https://s3.example.com", "[\"https://app.example.com\"]"),
    ];
    for (endpoint, pages) in rows {
        let text = with(&[
            ("server", &format!("allowed_origins = {pages}")),
            ("storage", &format!("endpoint = \"{endpoint}\"")),
        ]);
        assert_eq!(
            dir.read(&text).unwrap().storage.public_endpoint.as_deref(),
            Some(endpoint)
        );
    }
}

#[test]
fn all_mistakes_are_reported_at_once_each_at_its_place() {
    let dir = Dir::new("at-once");
    let text = r#"[server]
listen = "nowhere"
allowed_origins = [
  "https://app.example.com",
  "app.example.com",
]
  prot = 3000

[storage]
staging_bucket = "S"
files_bucket = "files"
public_endpoint = "http://minio:9000"

[auth]
hs256_secret_files = ["secrets/none", "secrets/jwt"]
leeway = "2m"

[limits]
max_open_tickets = "lots"

[slots.avatar]
max_file_size = "5XB"
é = { ünknown = 1 }
on_full = "replace"; url_ttl = "1h"

[slots.photos]
max_entries = 0
max_entries = 1
image = { max_width = 0, max_hight = 1 }

[webhok]
"#;
    let mistakes = dir.mistakes(text, &[("PUTGATE_SERVER_LOGS", "json"), ("HOME", "/")]);
    let places: Vec<String> = mistakes
        .iter()
        .map(|m| {
            let (place, what) = m.split_once(": ").unwrap();
            format!("{place} {}", what.split([':', ' ']).next().unwrap())
        })
        .collect();
    assert_eq!(
        places,
        [
            "putgate.toml:2:1 server.listen",
            "putgate.toml:5:3 server.allowed_origins",
            "putgate.toml:7:3 server.prot",
            "putgate.toml:10:1 storage.staging_bucket",
            "putgate.toml:12:1 storage.public_endpoint",
            "putgate.toml:15:23 auth.hs256_secret_files",
            "putgate.toml:16:1 auth.leeway",
            "putgate.toml:19:1 limits.max_open_tickets",
            "putgate.toml:22:1 slots.avatar.max_file_size",
            "putgate.toml:23:1 not",
            "putgate.toml:24:20 not",
            "putgate.toml:27:1 slots.photos.max_entries",
            "putgate.toml:28:1 not",
            "putgate.toml:29:11 slots.photos.image.max_width",
            "putgate.toml:29:26 slots.photos.image.max_hight",
            "putgate.toml:31:2 webhok",
            "PUTGATE_SERVER_LOGS unknown",
        ],
        "{mistakes:#?}"
    );
}

#[test]
fn an_empty_file_names_everything_that_is_needed() {
    let dir = Dir::new("empty");
    let mistakes = dir.mistakes("", &[]);
    let keys: Vec<&str> = mistakes
        .iter()
        .map(|m| m.split(": ").nth(1).unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "auth.hs256_secret_files",
            "slots",
            "storage.files_bucket",
            "storage.region",
            "storage.staging_bucket",
            "storage.upload_access_key"
        ]
    );
    assert!(mistakes.iter().all(|m| m.starts_with("putgate.toml:1:1: ")));
}

#[test]
fn what_broken_syntax_may_hide_is_not_called_missing() {
    let dir = Dir::new("torn");
    let mistakes = dir.mistakes(
        "[storage]\nregion = \"us-east-1\nfiles_bucket = \"F\"\n",
        &[],
    );
    assert_eq!(mistakes.len(), 2, "{mistakes:#?}");
    assert!(
        mistakes[0].starts_with("putgate.toml:2:20: not TOML: "),
        "{mistakes:#?}"
    );
    assert!(mistakes[1].starts_with("putgate.toml:3:1: storage.files_bucket = \"F\""));
}

#[test]
fn a_variable_wins_over_the_file() {
    let dir = Dir::new("env");
    let text = with(&[
        ("server", "listen = \"127.0.0.1:1\""),
        ("storage", "access_key = \"k\""),
        ("storage", "secret_key_file = \"secrets/storage\""),
    ]);
    let upload = dir.0.join("secrets/webhook").display().to_string();
    let config = dir
        .read_with(
            &text,
            &[
                ("PUTGATE_SERVER_LISTEN", "[::]:80"),
                (
                    "PUTGATE_SERVER_ALLOWED_ORIGINS",
                    "https://a.example, https://b.example:8443",
                ),
                ("PUTGATE_STORAGE_SECRET_KEY", "hunter2"),
                ("PUTGATE_STORAGE_UPLOAD_SECRET_KEY_FILE", &upload),
                ("PUTGATE_STORAGE_PATH_STYLE", "true"),
                ("PUTGATE_LIMITS_MAX_OPEN_TICKETS", "7"),
                ("PATH", "/bin"),
            ],
        )
        .unwrap();
    assert_eq!(config.server.listen.to_string(), "[::]:80");
    assert_eq!(
        config.server.allowed_origins,
        ["https://a.example", "https://b.example:8443"]
    );
    assert!(config.storage.path_style);
    assert_eq!(config.limits.max_open_tickets, 7);
    let ServerKey::Static { secret_key, .. } = &config.storage.server_key else {
        panic!()
    };
    assert!(secret_key.matches(b"hunter2"));
    let UploadKey::Static { secret_key, .. } = &config.storage.upload_key else {
        panic!()
    };
    assert!(
        secret_key.matches(format!("{SECRET}webhook").as_bytes()),
        "without its newline"
    );
    let printed = config.render();
    assert!(printed.contains("# PUTGATE_SERVER_LISTEN\n"), "{printed}");
    assert!(
        printed.contains("# default\n") && printed.contains("# putgate.toml:"),
        "{printed}"
    );
}

#[test]
fn a_mistaken_variable_is_named() {
    let dir = Dir::new("env-bad");
    let mistakes = dir.mistakes(
        &with(&[]),
        &[
            ("PUTGATE_AUTH_ISSUER", "caf\u{fffd}"),
            ("PUTGATE_SERVER_LISTEN", "x"),
            ("PUTGATE_SERVER_LITSEN", "x"),
            ("PUTGATE_SLOTS_A_PUBLIC", "true"),
            ("PUTGATE_WHATEVER_ELSE", "x"),
        ],
    );
    assert_eq!(
        mistakes,
        [
            "PUTGATE_AUTH_ISSUER: is not UTF-8.",
            "PUTGATE_SERVER_LISTEN: server.listen = \"x\": not an address. Write an IP address and a port, as \"127.0.0.1:3000\" or \"[::]:3000\".",
            "PUTGATE_SERVER_LITSEN: unknown variable. Did you mean `PUTGATE_SERVER_LISTEN`?",
            "PUTGATE_SLOTS_A_PUBLIC: slots are read from the file only. Unset it.",
            "PUTGATE_WHATEVER_ELSE: unknown variable. Unset it.",
        ]
    );
}

#[test]
fn a_file_that_is_not_there_is_one_mistake() {
    let missing = std::env::temp_dir().join("putgate-no-such-file.toml");
    let mistakes = Config::load(Some(&missing), &BTreeMap::new()).unwrap_err();
    assert_eq!(mistakes.all().len(), 1);
    let text = mistakes.to_string();
    assert!(
        text.starts_with("1 mistake in the configuration:\n  "),
        "{text}"
    );
    assert!(
        text.contains("putgate-no-such-file.toml:1:1: cannot be read: No such file"),
        "{text}"
    );
}

/// A configuration's `Debug` without its origins.
fn meaning(config: Config) -> String {
    format!(
        "{:#?}",
        Config {
            settings: Vec::new(),
            ..config
        }
    )
}

#[test]
fn what_is_printed_reads_back_as_the_same_configuration() {
    let dir = Dir::new("render");
    let config = dir
        .read(include_str!("../../deploy/putgate.example.toml"))
        .unwrap();
    let printed = config.render();
    let again = dir.read(&printed).unwrap();
    let values = |config: &Config| -> Vec<_> {
        let settings = config.settings.iter();
        settings
            .map(|s| (s.section.clone(), s.key, s.value.clone()))
            .collect()
    };
    assert_eq!(values(&again), values(&config), "{printed}");
    assert_eq!(meaning(again), meaning(config));
}

#[test]
fn the_example_file_is_valid_and_shows_every_key() {
    let dir = Dir::new("example");
    let text = include_str!("../../deploy/putgate.example.toml");
    let config = dir.read(text).unwrap();
    assert_eq!(config.slots.len(), 2);
    assert_eq!(config.webhook.unwrap().secrets.len(), 1);
    // The keys it leaves as comments are valid too.
    let keys = text
        .replace(
            "# public_key_files = [\"keys/2026.pem\"]",
            "public_key_files = [\"secrets/key.pem\"]",
        )
        .replace("# jwks_url", "jwks_url")
        .replace("hs256_secret_files = [\"secrets/jwt\"]", "");
    let auth = dir.read(&keys).unwrap().auth;
    assert_eq!(auth.public_keys.len(), 1);
    assert!(auth.jwks_url.is_some() && auth.hs256_secrets.is_empty());
}

#[test]
fn secrets_are_never_printed() {
    let dir = Dir::new("secrets");
    let text = with(&[
        (
            "database",
            "url = \"postgres://app:hunter2@db/app?password=hunter2\"",
        ),
        ("storage", "access_key = \"k\""),
        ("storage", "secret_key = \"hunter2\""),
        ("notifications", "secret_file = \"secrets/notifications\""),
        ("webhook", "url = \"https://app:3000/hook\""),
        ("webhook", "secret_files = [\"secrets/webhook\"]"),
    ]);
    let config = dir
        .read_with(
            &text,
            &[("PUTGATE_NOTIFICATIONS_SECRET", "hunter2hunter2hunter2")],
        )
        .unwrap();
    assert!(
        matches!(&config.database.url, DatabaseUrl::Postgres(url) if url.expose_str().unwrap().contains("hunter2"))
    );
    let printed = config.render();
    assert!(
        printed.contains("url = \"postgres://app:***@db/app?***\""),
        "{printed}"
    );
    assert!(printed.contains("secret_key = \"***\""), "{printed}");
    for text in [printed, format!("{config:?}")] {
        assert!(
            !text.contains("hunter2") && !text.contains(SECRET),
            "{text}"
        );
    }
    // Nor in a message about them.
    let wrong = [
        ("storage", "access_key = 1"),
        ("storage", "secret_key = [\"hunter2\"]"),
        ("database", "url = \"mysql://app:hunter2@db/app\""),
        ("webhook", "url = \"https://u:hunter2@example.com\""),
        ("notifications", "secret = \"hunter2\""),
        ("auth", "secret = \"hunter2\""),
    ];
    let mistakes = dir.read(&with(&wrong)).unwrap_err();
    assert!(mistakes.all().len() >= 6, "{mistakes}");
    assert!(!mistakes.to_string().contains("hunter2"), "{mistakes}");
}

#[test]
fn a_private_receiver_is_allowed_by_name_and_its_path_kept_to_the_letter() {
    let dir = Dir::new("receiver");
    for (url, kept) in [
        (
            "http://127.0.0.1:3000/hooks/",
            "http://127.0.0.1:3000/hooks/",
        ),
        (
            "https://App.example.com/hooks",
            "https://app.example.com/hooks",
        ),
        ("http://app/", "http://app"),
    ] {
        let text = with(&[
            ("webhook", &format!("url = \"{url}\"")),
            ("webhook", "secret_files = [\"secrets/webhook\"]"),
            ("webhook", "allow_private = true"),
        ]);
        let webhook = dir.read(&text).unwrap().webhook.unwrap();
        assert_eq!((webhook.url.as_str(), webhook.allow_private), (kept, true));
    }
}

#[test]
fn a_webhook_secret_is_decoded_from_whsec() {
    let dir = Dir::new("whsec");
    dir.write(
        "secrets/encoded",
        "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\r\n",
    );
    let text = with(&[
        ("webhook", "url = \"https://app:3000/hook\""),
        (
            "webhook",
            "secret_files = [\"secrets/encoded\", \"secrets/webhook\"]",
        ),
    ]);
    let webhook = dir.read(&text).unwrap().webhook.unwrap();
    assert!(webhook.secrets[0].matches(SECRET.as_bytes()));
    assert!(webhook.secrets[1].matches(format!("{SECRET}webhook").as_bytes()));
}

#[test]
fn sizes_and_spans_are_written_as_they_are_read() {
    let rows = [
        ("5MB", 5_000_000, "\"5MB\""),
        ("8 MiB", 8 * 1024 * 1024, "\"8MiB\""),
        ("1_000", 1000, "\"1kB\""),
        ("12345", 12345, "12345"),
        ("5tib", 5 << 40, "\"5TiB\""),
    ];
    for (text, bytes, written) in rows {
        assert_eq!((SIZE.parse)(&values::Raw::Text(text)), Ok(bytes), "{text}");
        assert_eq!((SIZE.show)(&bytes), written);
    }
    for bad in ["", "MB", "5 M B", "1.5MB", "+5", "99999999999TB", "5M"] {
        assert!((SIZE.parse)(&values::Raw::Text(bad)).is_err(), "{bad}");
    }
    for (text, seconds, written) in [
        ("90s", 90, "\"90s\""),
        ("24h", 86_400, "\"1d\""),
        ("15m", 900, "\"15m\""),
    ] {
        assert_eq!((SPAN.parse)(&values::Raw::Text(text)), Ok(Seconds(seconds)));
        assert_eq!((SPAN.show)(&Seconds(seconds)), written);
    }
}

#[test]
fn a_near_word_is_suggested_and_a_far_one_is_not() {
    let known = ["max_entries", "max_file_size", "accept", "url"];
    let rows = [
        ("max_entrys", Some("max_entries")),
        ("acecpt", Some("accept")),
        ("MAX_FILE_SIZE", Some("max_file_size")),
        ("ulr", Some("url")),
        ("limit", None),
    ];
    for (word, near) in rows {
        assert_eq!(closest(word, known.into_iter()), near, "{word}");
    }
}
