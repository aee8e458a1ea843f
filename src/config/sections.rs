//! The tables of the file, one function each, and the rules between them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use toml::de::DeTable;

use super::mistake::{Mistakes, Origin};
use super::reader::{Asked, Reader, Section};
use super::values::{
    self, Address, BASE_URL, BUCKET, COUNT, DISPOSITION, FLAG, FORM_ANSWER, Kind, LARGE_COUNT,
    LISTEN, LOG, LOG_FILTER, ON_FULL, Raw, SAFE_URL, SCOPES, SIZE, SPAN, SYNCHRONOUS, TARGET, TEXT,
    quoted,
};
use super::{
    Auth, Config, Database, DatabaseUrl, Limits, LogFormat, Notifications, PublicKey, Server,
    ServerKey, Setting, Storage, Synchronous, UploadKey, webhook,
};
use crate::domain::media::Accept;
use crate::domain::name::SlotName;
use crate::domain::secret::Secret;
use crate::domain::slot::{
    ImageLimits, MAX_OBJECT_SIZE, MAX_PUT_SIZE, MIN_PART_SIZE, OnFull, Policy, SEVEN_DAYS, Slot,
    TenantLimits,
};
use crate::domain::time::Seconds;
use crate::logging::DEFAULT_FILTER;

/// RFC 7518 §3.2: a key at least as long as the hash.
const MIN_HS256_BYTES: usize = 32;
/// Long enough not to be guessed over HTTP.
const MIN_BEARER_BYTES: usize = 16;

const MINUTE: Seconds = Seconds(60);
const DAY: Seconds = Seconds(24 * 3600);
const LONGEST: Seconds = Seconds(100 * 365 * 24 * 3600);

/// Reads `text`, which stands in `file` in `dir`, with `env` over it.
pub(super) fn read(
    file: &str,
    text: &str,
    env: &BTreeMap<String, String>,
    dir: &Path,
) -> Result<Config, Mistakes> {
    let (tree, syntax) = DeTable::parse_recoverable(text);
    let mut r = Reader::new(file, text, dir, env, &syntax);
    let mut top = r.top(tree.get_ref());

    let config = tables(&mut r, &mut top);
    Ok(Config {
        settings: r.finish()?,
        ..config
    })
}

/// Every key that there is, in the order of the tables, and the values of those that `text` does
/// not give.
pub(super) fn known(text: &str) -> (Vec<Asked>, Vec<Setting>) {
    let (tree, syntax) = DeTable::parse_recoverable(text);
    let env = BTreeMap::new();
    let mut r = Reader::new("", text, Path::new(""), &env, &syntax);
    let mut top = r.top(tree.get_ref());
    tables(&mut r, &mut top);
    r.asked()
}

fn tables<'t>(r: &mut Reader<'t>, top: &mut Section<'t>) -> Config {
    let (server, pages) = server(r, top);
    let database = database(r, top);
    let storage = storage(r, top, &pages);
    let auth = auth(r, top);
    let webhook = webhook::read(r, top);
    let notifications = notifications(r, top);
    let limits = limits(r, top);
    let slots = slots(r, top, limits.retention);
    r.close(top);
    Config {
        settings: Vec::new(),
        server,
        database,
        storage,
        auth,
        webhook,
        notifications,
        limits,
        slots,
    }
}

/// `[server]`, and the origins of the pages that browsers come from.
fn server<'t>(r: &mut Reader<'t>, top: &mut Section<'t>) -> (Server, Vec<Address>) {
    let s = &mut r.section(top, "server", true);
    let listen = r.value_or(
        s,
        "listen",
        &LISTEN,
        SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)),
    );
    let admin_listen = r.value(s, "admin_listen", &LISTEN);
    if admin_listen == Some(listen) && listen.port() != 0 {
        r.refuse(
            s,
            "admin_listen",
            "the API listens there. Give it another port.",
        );
    }
    let public_url = r.value(s, "public_url", &BASE_URL);
    let origins = r.list(s, "allowed_origins", values::origin);
    let mut pages: Vec<Address> = Vec::new();
    for (page, origin) in origins {
        if pages.contains(&page) {
            let text = page.text_of_origin();
            r.refuse_item(
                s,
                "allowed_origins",
                &text,
                &origin,
                "listed twice. Remove one.",
            );
        } else {
            pages.push(page);
        }
    }
    let server = Server {
        listen,
        admin_listen,
        public_url: public_url.as_ref().map(Address::text),
        allowed_origins: pages.iter().map(Address::text_of_origin).collect(),
        worker: r.value_or(s, "worker", &FLAG, true),
        log: r.value_or(s, "log", &LOG, LogFormat::Json),
        log_filter: r.value_or(s, "log_filter", &LOG_FILTER, DEFAULT_FILTER.into()),
    };
    r.close(s);
    pages.extend(public_url);
    (server, pages)
}

fn database<'t>(r: &mut Reader<'t>, top: &mut Section<'t>) -> Database {
    let s = &mut r.section(top, "database", true);
    let given = r.secret(s, "url", "url_file", masked_password);
    let url = given.and_then(|(url, key)| {
        let parsed = url
            .expose_str()
            .ok_or("not UTF-8.".to_owned())
            .and_then(values::database);
        parsed.map_err(|why| r.refuse(s, key, &why)).ok()
    });
    let url = url.unwrap_or_else(|| {
        r.record(s, "url", quoted("sqlite://putgate.db"), Origin::Default);
        DatabaseUrl::Sqlite("putgate.db".into())
    });
    let synchronous = r.value_or(s, "synchronous", &SYNCHRONOUS, Synchronous::Full);
    r.close(s);
    Database { url, synchronous }
}

fn storage<'t>(r: &mut Reader<'t>, top: &mut Section<'t>, pages: &[Address]) -> Storage {
    let s = &mut r.section(top, "storage", true);
    let endpoint = r.value(s, "endpoint", &BASE_URL);
    let public = browser_endpoint(
        r,
        s,
        "public_endpoint",
        "endpoint",
        endpoint.as_ref(),
        pages,
    );
    let download = browser_endpoint(
        r,
        s,
        "download_endpoint",
        "public_endpoint",
        public.as_ref(),
        pages,
    );
    let region = r.required(
        s,
        "region",
        &TEXT,
        "Write the store's region, as \"us-east-1\".",
    );
    // Stores that are not AWS seldom have a DNS name for every bucket.
    let path_style = r.value_or(s, "path_style", &FLAG, endpoint.is_some());
    let hosts = [&endpoint, &public, &download];
    if !path_style
        && hosts.into_iter().flatten().any(Address::is_ip)
        && r.is_sound(s, &["endpoint", "public_endpoint", "download_endpoint"])
    {
        r.refuse(
            s,
            "path_style",
            "a bucket's name can't stand before an IP address. Write true.",
        );
    }
    let staging_bucket = r.required(
        s,
        "staging_bucket",
        &BUCKET,
        "Name the bucket that browsers may write to.",
    );
    let files_bucket = r.required(
        s,
        "files_bucket",
        &BUCKET,
        "Name the bucket that judged files live in.",
    );
    if r.is_sound(s, &["staging_bucket", "files_bucket"])
        && staging_bucket == files_bucket
        && !files_bucket.is_empty()
    {
        r.refuse(
            s,
            "files_bucket",
            "browsers may write to the staging bucket, so files need a bucket of their own. Name another.",
        );
    }
    let (server_key, server_id) =
        match key_pair(r, s, "access_key", "secret_key", "secret_key_file") {
            Some((access_key, secret_key)) => (
                ServerKey::Static {
                    access_key: access_key.clone(),
                    secret_key,
                },
                Some(access_key),
            ),
            None => (ServerKey::AwsChain, None),
        };
    let upload_key = upload_key(r, s, server_id.as_deref());
    r.close(s);
    Storage {
        endpoint: endpoint.map(|url| url.text()),
        public_endpoint: public.map(|url| url.text()),
        download_endpoint: download.map(|url| url.text()),
        region,
        path_style,
        staging_bucket,
        files_bucket,
        server_key,
        upload_key,
    }
}

/// An endpoint that browsers use: the one under `key`, or else the one that `default_key` gave.
fn browser_endpoint<'t>(
    r: &mut Reader<'t>,
    s: &mut Section<'t>,
    key: &'static str,
    default_key: &'static str,
    default: Option<&Address>,
    pages: &[Address],
) -> Option<Address> {
    let given = r.value(s, key, &BASE_URL);
    let is_given = r.has(s, key);
    if !is_given && let Some(default) = default {
        r.record(s, key, quoted(&default.text()), Origin::Default);
    }
    let url = given.or_else(|| default.cloned())?;
    let law = if url.path.is_empty() {
        values::unreachable(&url, pages).map(|why| (why, "Write the store's public https address"))
    } else {
        let why = "has a path, which a browser's signature can't cover on every store";
        Some((why.to_owned(), "Remove it"))
    };
    if let Some((why, fix)) = law
        && r.is_sound(s, &[default_key])
    {
        if is_given {
            r.refuse(s, key, &format!("{why}. {fix}."));
        } else {
            let role = format!("Uploads are signed for it unless {key} is given");
            r.refuse(s, default_key, &format!("{why}. {role}. {fix}."));
        }
        return None;
    }
    Some(url)
}

/// An access key with its secret: both or neither.
fn key_pair<'t>(
    r: &mut Reader<'t>,
    s: &mut Section<'t>,
    id_key: &'static str,
    secret_key: &'static str,
    secret_file_key: &'static str,
) -> Option<(String, Secret)> {
    let id = r.value(s, id_key, &TEXT);
    let secret = r.secret(s, secret_key, secret_file_key, masked);
    let has_secret = r.has(s, secret_key) || r.has(s, secret_file_key);
    match (r.has(s, id_key), has_secret) {
        (true, false) => {
            r.refuse(
                s,
                id_key,
                &format!("its secret is missing. Give {secret_key} or {secret_file_key}."),
            );
        }
        (false, true) => {
            let given = if r.has(s, secret_key) {
                secret_key
            } else {
                secret_file_key
            };
            r.refuse(
                s,
                given,
                &format!("the key's id is missing. Give {id_key}."),
            );
        }
        _ => {}
    }
    let (secret, key) = secret?;
    if secret.expose_str().is_none() {
        r.refuse(s, key, "not UTF-8.");
    }
    Some((id?, secret))
}

fn upload_key<'t>(r: &mut Reader<'t>, s: &mut Section<'t>, server_id: Option<&str>) -> UploadKey {
    let same = r.value(s, "upload_key", &SAME);
    let pair = key_pair(
        r,
        s,
        "upload_access_key",
        "upload_secret_key",
        "upload_secret_key_file",
    );
    let has_pair = [
        "upload_access_key",
        "upload_secret_key",
        "upload_secret_key_file",
    ]
    .iter()
    .any(|key| r.has(s, key));
    if !has_pair && !r.has(s, "upload_key") {
        r.missing(
            s,
            "upload_access_key",
            "Browser URLs are signed by a key of their own that can only write to staging. Give \
             upload_access_key and upload_secret_key, or write upload_key = \"same\" where the store refuses \
             an unsigned copy source.",
        );
    }
    if has_pair && same.is_some() {
        r.refuse(
            s,
            "upload_key",
            "upload_access_key is given too. Keep one of them.",
        );
    }
    match pair {
        Some((access_key, secret_key)) => {
            if server_id == Some(access_key.as_str()) {
                r.refuse(
                    s,
                    "upload_access_key",
                    "the server's own key. Create one that can only write to staging, or write upload_key = \"same\".",
                );
            }
            UploadKey::Static {
                access_key,
                secret_key,
            }
        }
        None => UploadKey::Same,
    }
}

/// What `upload_key` may be.
const SAME: Kind<()> = Kind {
    parse: |raw| match raw {
        Raw::Text("same") => Ok(()),
        _ => Err(
            "not a choice. Write \"same\", or give upload_access_key and upload_secret_key.".into(),
        ),
    },
    show: |()| quoted("same"),
};

fn auth<'t>(r: &mut Reader<'t>, top: &mut Section<'t>) -> Auth {
    let s = &mut r.section(top, "auth", true);
    let mut hs256_secrets = Vec::new();
    for file in r.secret_files(s, "hs256_secret_files") {
        if file.bytes.len() < MIN_HS256_BYTES {
            let why = format!(
                "holds {} bytes, and HS256 needs {MIN_HS256_BYTES} (RFC 7518 §3.2). Make one with `openssl rand -hex 32`.",
                file.bytes.len()
            );
            r.refuse_item(s, "hs256_secret_files", &file.name, &file.origin, &why);
        }
        hs256_secrets.push(Secret::new(file.bytes));
    }
    let mut public_keys = Vec::new();
    for file in r.secret_files(s, "public_key_files") {
        if let Some(why) = not_a_public_key(&file.bytes) {
            r.refuse_item(s, "public_key_files", &file.name, &file.origin, why);
        }
        public_keys.push(PublicKey {
            path: file.path,
            pem: file.bytes,
        });
    }
    let jwks_url = r.value(s, "jwks_url", &SAFE_URL).map(|url| url.text());
    let [has_public, has_jwks] = ["public_key_files", "jwks_url"].map(|key| r.has(s, key));
    let has_any = !hs256_secrets.is_empty() || !public_keys.is_empty() || has_jwks;
    if !has_any && r.is_sound(s, &["hs256_secret_files", "public_key_files"]) {
        let key = if has_public {
            "public_key_files"
        } else {
            "hs256_secret_files"
        };
        r.missing(s, key, "Without a key no token can be believed. Give hs256_secret_files, public_key_files or jwks_url.");
    }
    let auth = Auth {
        hs256_secrets,
        public_keys,
        jwks_url,
        issuer: r.value(s, "issuer", &TEXT),
        audience: r
            .list(s, "audience", |text| Ok(text.to_owned()))
            .into_iter()
            .map(|(text, _)| text)
            .collect(),
        leeway: r.bounded_or(s, "leeway", &SPAN, Seconds(0)..=MINUTE, Seconds(30)),
        tenant_claim: r.value_or(s, "tenant_claim", &TEXT, "tenant".into()),
        scope_claim: r.value_or(s, "scope_claim", &TEXT, "scope".into()),
        default_scope: r.value_or(s, "default_scope", &SCOPES, "upload read".into()),
    };
    r.close(s);
    auth
}

/// Why a file is no PEM public key, if it is none.
fn not_a_public_key(pem: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(pem);
    if text.contains("PRIVATE KEY-----") {
        Some(
            "holds a private key, which Putgate must never see. Give the public half: `openssl pkey -pubout`.",
        )
    } else if text.contains("-----BEGIN PUBLIC KEY-----")
        || text.contains("-----BEGIN RSA PUBLIC KEY-----")
    {
        None
    } else {
        Some("holds no PEM public key. It must begin with -----BEGIN PUBLIC KEY-----.")
    }
}

fn notifications<'t>(r: &mut Reader<'t>, top: &mut Section<'t>) -> Notifications {
    let s = &mut r.section(top, "notifications", true);
    let mut secrets = Vec::new();
    if let Some((secret, key)) = r.secret(s, "secret", "secret_file", masked) {
        match guessable(secret.expose()) {
            Some(why) => r.refuse(s, key, &why),
            None => secrets.push(secret),
        }
    }
    for file in r.secret_files(s, "secret_files") {
        match guessable(&file.bytes) {
            Some(why) => r.refuse_item(s, "secret_files", &file.name, &file.origin, &why),
            None => secrets.push(Secret::new(file.bytes)),
        }
    }
    let target = r.value(s, "target", &TARGET);
    r.close(s);
    Notifications { secrets, target }
}

/// Why a bearer secret is too short, if it is.
fn guessable(secret: &[u8]) -> Option<String> {
    let length = secret.len();
    (length < MIN_BEARER_BYTES).then(|| {
        format!(
            "holds {length} bytes, and must hold {MIN_BEARER_BYTES} not to be guessed. Make one with `openssl rand -hex 32`."
        )
    })
}

fn limits<'t>(r: &mut Reader<'t>, top: &mut Section<'t>) -> Limits {
    let s = &mut r.section(top, "limits", true);
    let limits = Limits {
        max_open_tickets: r.bounded_or(s, "max_open_tickets", &COUNT, 1..=1_000_000, 100),
        retention: r.bounded_or(s, "retention", &SPAN, DAY..=LONGEST, Seconds(30 * DAY.0)),
    };
    r.close(s);
    limits
}

fn slots<'t>(
    r: &mut Reader<'t>,
    top: &mut Section<'t>,
    retention: Seconds,
) -> BTreeMap<SlotName, Slot> {
    let parent = r.section(top, "slots", false);
    let children = r.children(&parent);
    if children.is_empty() {
        r.missing_section(
            &parent,
            "Without a slot nothing can be uploaded. Write [slots.NAME].",
        );
    }
    let mut slots = BTreeMap::new();
    for (name, mut section) in children {
        let policy = policy(r, &mut section, retention);
        r.close(&section);
        match SlotName::parse(name) {
            Ok(name) => {
                slots.insert(name.clone(), Slot { name, policy });
            }
            Err(why) => r.refuse_section(&section, &format!("the slot's name {why}. Rename it.")),
        }
    }
    slots
}

fn policy<'t>(r: &mut Reader<'t>, s: &mut Section<'t>, retention: Seconds) -> Policy {
    let default = Policy::default();
    let accept = r.list(s, "accept", values::accept_item);
    if accept.is_empty() && r.has(s, "accept") {
        r.refuse(s, "accept", "empty. Leave it out to take any bytes.");
    }
    let dialects = r.list(s, "dialects", values::dialect);
    let form_answer = r.value_or(s, "form_answer", &FORM_ANSWER, default.form_answer);
    let policy = Policy {
        accept: Accept::parse(accept.into_iter().map(|(item, _)| item)).unwrap_or_default(),
        max_file_size: r.bounded_or(
            s,
            "max_file_size",
            &SIZE,
            1..=MAX_OBJECT_SIZE,
            default.max_file_size,
        ),
        max_entries: r.bounded_or(s, "max_entries", &COUNT, 1..=1_000_000, default.max_entries),
        on_full: r.value_or(s, "on_full", &ON_FULL, default.on_full),
        auto_upload: r.value_or(s, "auto_upload", &FLAG, default.auto_upload),
        part_size: r.bounded(s, "part_size", &SIZE, MIN_PART_SIZE..=MAX_PUT_SIZE),
        ticket_ttl: r.bounded_or(
            s,
            "ticket_ttl",
            &SPAN,
            MINUTE..=SEVEN_DAYS,
            default.ticket_ttl,
        ),
        url_ttl: r.bounded_or(
            s,
            "url_ttl",
            &SPAN,
            Seconds(1)..=SEVEN_DAYS,
            default.url_ttl,
        ),
        unclaimed_ttl: r.bounded(s, "unclaimed_ttl", &SPAN, MINUTE..=LONGEST),
        quota: r.bounded(s, "quota", &SIZE, 1..=u64::MAX),
        disposition: r.value_or(s, "disposition", &DISPOSITION, default.disposition),
        public: r.value_or(s, "public", &FLAG, default.public),
        strict_match: r.value_or(s, "strict_match", &FLAG, default.strict_match),
        allow_active_content: r.value_or(s, "allow_active_content", &FLAG, false),
        image: image(r, s),
        per_tenant: per_tenant(r, s),
        dialects: dialects.into_iter().map(|(dialect, _)| dialect).collect(),
        form_answer,
        token: default.token,
    };
    policy_rules(r, s, &policy, retention);
    policy
}

/// The rules between a slot's keys.
fn policy_rules<'t>(r: &mut Reader<'t>, s: &Section<'t>, policy: &Policy, retention: Seconds) {
    if let Some(what) = values::unallowed_script(policy) {
        r.refuse(s, "accept", &what);
    }
    if policy.on_full == OnFull::Replace && policy.unclaimed_ttl.is_some() {
        r.refuse(
            s,
            "unclaimed_ttl",
            "on_full = \"replace\" retires files by itself, and a file that ends unclaimed would already have \
             replaced a claimed one. Keep one of them.",
        );
    }
    if r.is_sound(s, &["ticket_ttl", "url_ttl"]) && policy.url_ttl > policy.ticket_ttl {
        let given = if r.has(s, "url_ttl") {
            "url_ttl"
        } else {
            "ticket_ttl"
        };
        let what = format!(
            "url_ttl is {} and ticket_ttl {}, but no URL outlives its ticket. Shorten url_ttl or lengthen ticket_ttl.",
            (SPAN.show)(&policy.url_ttl),
            (SPAN.show)(&policy.ticket_ttl),
        );
        r.refuse(s, given, &what);
    }
    if policy.url_ttl > retention {
        r.refuse(
            s,
            "url_ttl",
            "longer than [limits] retention, so a URL could fill staging after its ticket is forgotten. Shorten it.",
        );
    }
}

fn image<'t>(r: &mut Reader<'t>, slot: &mut Section<'t>) -> Option<ImageLimits> {
    let s = &mut r.section(slot, "image", false);
    let limits = ImageLimits {
        max_width: r.bounded(s, "max_width", &COUNT, 1..=u32::MAX),
        max_height: r.bounded(s, "max_height", &COUNT, 1..=u32::MAX),
        max_pixels: r.bounded(s, "max_pixels", &LARGE_COUNT, 1..=u64::MAX),
    };
    r.close(s);
    (limits != ImageLimits::default()).then_some(limits)
}

fn per_tenant<'t>(r: &mut Reader<'t>, slot: &mut Section<'t>) -> TenantLimits {
    let s = &mut r.section(slot, "limits_per_tenant", false);
    let limits = TenantLimits {
        max_entries: r.bounded(s, "max_entries", &COUNT, 1..=u32::MAX),
        quota: r.bounded(s, "quota", &SIZE, 1..=u64::MAX),
    };
    r.close(s);
    limits
}

/// A secret as it is printed.
fn masked(_: &str) -> String {
    "***".into()
}

/// A database's URL without its password, wherever in it that stands.
fn masked_password(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return masked(url);
    };
    // The last `@` first: an unescaped password may hold `?`, `/` and `@`.
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => (format!("{user}:***@"), host),
            None => (format!("{user}@"), host),
        },
        None => (String::new(), rest),
    };
    match host.split_once('?') {
        Some((host, _)) => format!("{scheme}://{user}{host}?***"),
        None => format!("{scheme}://{user}{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_password_is_masked_wherever_it_stands() {
        let rows = [
            (
                "postgres://app:hunter2@db:5432/app",
                "postgres://app:***@db:5432/app",
            ),
            (
                "postgres://app:hun?t/e@r2@db/app",
                "postgres://app:***@db/app",
            ),
            (
                "postgres://db/app?user=app&password=hunter2",
                "postgres://db/app?***",
            ),
            ("postgres://app@db/app", "postgres://app@db/app"),
            ("sqlite:a@b.db", "sqlite:a@b.db"),
            ("hunter2", "***"),
        ];
        for (url, printed) in rows {
            assert_eq!(masked_password(url), printed);
        }
    }
}
