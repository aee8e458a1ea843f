//! How texts and numbers of the configuration are understood, and written again. Pure.
//!
//! Every refusal is a sentence that follows "`key = value`: " and ends with the fix.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use toml::de::DeValue;

use super::{DatabaseUrl, LogFormat, Synchronous};
use crate::domain::dialect::Dialect;
use crate::domain::media::{Accept, is_script};
use crate::domain::secret::Secret;
use crate::domain::slot::{Disposition, FormAnswer, OnFull, Policy};
use crate::domain::time::Seconds;

/// A value as TOML or a variable gives it.
pub(super) enum Raw<'t> {
    Text(&'t str),
    Integer(i128),
    Boolean(bool),
    List(Vec<Raw<'t>>),
    Other,
}

impl<'t> Raw<'t> {
    pub fn from_toml(value: &'t DeValue<'t>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text),
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                .map_or(Self::Other, Self::Integer),
            DeValue::Boolean(value) => Self::Boolean(*value),
            DeValue::Array(items) => Self::List(
                items
                    .iter()
                    .map(|item| Self::from_toml(item.get_ref()))
                    .collect(),
            ),
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Self::Other,
        }
    }
}

/// A kind of value: how it is read, and how it is written as TOML.
pub(super) struct Kind<T> {
    pub parse: fn(&Raw<'_>) -> Result<T, String>,
    pub show: fn(&T) -> String,
}

/// Bytes.
pub(super) const SIZE: Kind<u64> = Kind {
    parse: |raw| {
        number(
            raw,
            &[
                ("", 1),
                ("B", 1),
                ("kB", 1000),
                ("MB", 1000_u64.pow(2)),
                ("GB", 1000_u64.pow(3)),
                ("TB", 1000_u64.pow(4)),
                ("KiB", 1024),
                ("MiB", 1024_u64.pow(2)),
                ("GiB", 1024_u64.pow(3)),
                ("TiB", 1024_u64.pow(4)),
            ],
        )
        .ok_or_else(|| {
            "not a size. Write a number of bytes, or a number with kB, MB, GB, KiB, MiB, GiB."
                .into()
        })
    },
    show: |bytes| {
        in_units(
            *bytes,
            &[
                ("TB", 1000_u64.pow(4)),
                ("TiB", 1024_u64.pow(4)),
                ("GB", 1000_u64.pow(3)),
                ("GiB", 1024_u64.pow(3)),
                ("MB", 1000_u64.pow(2)),
                ("MiB", 1024_u64.pow(2)),
                ("kB", 1000),
                ("KiB", 1024),
            ],
        )
    },
};

/// Whole seconds. A bare number is refused: it reads as seconds, minutes or milliseconds.
pub(super) const SPAN: Kind<Seconds> = Kind {
    parse: |raw| {
        number(raw, &[("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)])
            .and_then(|seconds| u32::try_from(seconds).ok())
            .map(Seconds)
            .ok_or_else(|| "not a duration. Write a number with s, m, h or d, as \"15m\".".into())
    },
    show: |span| match span.0 {
        0 => quoted("0s"),
        seconds => in_units(
            seconds.into(),
            &[("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)],
        ),
    },
};

/// Things.
pub(super) const COUNT: Kind<u32> = Kind {
    parse: |raw| {
        (LARGE_COUNT.parse)(raw).and_then(|n| {
            u32::try_from(n).map_err(|_| "too large. Write at most 4294967295.".into())
        })
    },
    show: u32::to_string,
};

/// Many things.
pub(super) const LARGE_COUNT: Kind<u64> = Kind {
    parse: |raw| {
        number(
            raw,
            &[("", 1), ("k", 1000), ("M", 1_000_000), ("G", 1_000_000_000)],
        )
        .ok_or_else(|| "not a count. Write a number, or a number with k, M or G.".into())
    },
    show: |n| in_units(*n, &[("G", 1_000_000_000), ("M", 1_000_000), ("k", 1000)]),
};

/// `true` or `false`.
pub(super) const FLAG: Kind<bool> = Kind {
    parse: |raw| match raw {
        Raw::Boolean(flag) => Ok(*flag),
        Raw::Text("true") => Ok(true),
        Raw::Text("false") => Ok(false),
        _ => Err("not a boolean. Write true or false.".into()),
    },
    show: bool::to_string,
};

/// Any text but an empty one.
pub(super) const TEXT: Kind<String> = Kind {
    parse: |raw| match raw {
        Raw::Text(text) if !text.trim().is_empty() => Ok((*text).to_owned()),
        Raw::Text(_) => Err("empty. Write a text, or remove the key.".into()),
        _ => Err("not a text. Put it in double quotes.".into()),
    },
    show: |text| quoted(text),
};

/// Where bucket events go: the ARN of a queue, which is how MinIO names its webhooks.
pub(super) const TARGET: Kind<String> = Kind {
    parse: |raw| match raw {
        Raw::Text(text) if text.starts_with("arn:") && text.split(':').nth(2) == Some("sqs") => {
            Ok((*text).to_owned())
        }
        _ => Err("not the ARN of a queue. Write it as \"arn:minio:sqs::PUTGATE:webhook\".".into()),
    },
    show: |text| quoted(text),
};

/// Scopes, separated by spaces.
pub(super) const SCOPES: Kind<String> = Kind {
    parse: |raw| {
        let known = ["upload", "read", "delete", "manage"];
        match raw {
            Raw::Text(text) => match text.split_whitespace().find(|word| !known.contains(word)) {
                None => Ok(text.split_whitespace().collect::<Vec<_>>().join(" ")),
                Some(word) => Err(format!(
                    "no scope is called {word}. Write some of upload, read, delete, manage, separated by spaces."
                )),
            },
            _ => Err("not a text. Write \"upload read\".".into()),
        }
    },
    show: |text| quoted(text),
};

/// Where to listen.
pub(super) const LISTEN: Kind<SocketAddr> = Kind {
    parse: |raw| {
        match raw {
        Raw::Text(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| {
        "not an address. Write an IP address and a port, as \"127.0.0.1:3000\" or \"[::]:3000\".".into()
    })
    },
    show: |address| quoted(&address.to_string()),
};

/// What `[server] log` may be.
pub(super) const LOG: Kind<LogFormat> = Kind {
    parse: |raw| one_of(raw, &[("json", LogFormat::Json), ("text", LogFormat::Text)]),
    show: |log| {
        quoted(match log {
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        })
    },
};

/// A `tracing` filter.
pub(super) const LOG_FILTER: Kind<String> = Kind {
    parse: |raw| {
        let text = (TEXT.parse)(raw)?;
        match text.parse::<tracing_subscriber::filter::Targets>() {
            Ok(_) => Ok(text),
            Err(_) => Err(
                "not a log filter. Write a level, as \"info\", or \"info,putgate::flow=debug\"."
                    .into(),
            ),
        }
    },
    show: |text| quoted(text),
};

/// What `[database] synchronous` may be.
pub(super) const SYNCHRONOUS: Kind<Synchronous> = Kind {
    parse: |raw| {
        one_of(
            raw,
            &[("full", Synchronous::Full), ("normal", Synchronous::Normal)],
        )
    },
    show: |synchronous| {
        quoted(match synchronous {
            Synchronous::Full => "full",
            Synchronous::Normal => "normal",
        })
    },
};

/// What a slot's `form_answer` may be.
pub(super) const FORM_ANSWER: Kind<FormAnswer> = Kind {
    parse: |raw| {
        one_of(
            raw,
            &[
                ("files", FormAnswer::Files),
                ("is_valid", FormAnswer::IsValid),
                ("success", FormAnswer::Success),
            ],
        )
    },
    show: |answer| {
        quoted(match answer {
            FormAnswer::Files => "files",
            FormAnswer::IsValid => "is_valid",
            FormAnswer::Success => "success",
        })
    },
};

/// What a slot's `on_full` may be.
pub(super) const ON_FULL: Kind<OnFull> = Kind {
    parse: |raw| {
        one_of(
            raw,
            &[("reject", OnFull::Reject), ("replace", OnFull::Replace)],
        )
    },
    show: |on_full| {
        quoted(match on_full {
            OnFull::Reject => "reject",
            OnFull::Replace => "replace",
        })
    },
};

/// What a slot's `disposition` may be.
pub(super) const DISPOSITION: Kind<Disposition> = Kind {
    parse: |raw| {
        one_of(
            raw,
            &[
                ("attachment", Disposition::Attachment),
                ("inline", Disposition::Inline),
            ],
        )
    },
    show: |disposition| {
        quoted(match disposition {
            Disposition::Attachment => "attachment",
            Disposition::Inline => "inline",
        })
    },
};

/// A bucket's name, by the rules of S3.
pub(super) const BUCKET: Kind<String> = Kind {
    parse: |raw| {
        match raw {
        Raw::Text(name) if is_bucket_name(name) => Ok((*name).to_owned()),
        _ => Err(
            "not a bucket name. Write 3 to 63 of a-z, 0-9, `-` and `.`, with a letter or digit at both ends.".into(),
        ),
    }
    },
    show: |text| quoted(text),
};

/// A URL without a query: others are appended to it, or a token could hide there.
pub(super) const BASE_URL: Kind<Address> = Kind {
    parse: |raw| {
        let url = address(raw)?;
        match &url.query {
            None => Ok(url),
            Some(_) => Err("has a query. Remove everything from `?` on.".into()),
        }
    },
    show: |url| quoted(&url.text()),
};

/// A URL without a query, its path to the letter: a receiver whose path ends in a slash would
/// answer a redirect to the one without, and redirects are not followed.
pub(super) const HOOK_URL: Kind<Address> = Kind {
    parse: |raw| {
        let mut url = (BASE_URL.parse)(raw)?;
        if matches!(raw, Raw::Text(text) if text.ends_with('/')) && !url.path.is_empty() {
            url.path.push('/');
        }
        Ok(url)
    },
    show: BASE_URL.show,
};

/// `https`, or anything on this machine.
pub(super) const SAFE_URL: Kind<Address> = Kind {
    parse: |raw| {
        let url = address(raw)?;
        if url.https || url.reach() == Reach::Loopback {
            Ok(url)
        } else {
            Err("keys fetched over plain http can be forged on the way. Write https://.".into())
        }
    },
    show: |url| quoted(&url.text()),
};

/// Which database.
pub(super) fn database(text: &str) -> Result<DatabaseUrl, String> {
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        match path {
            "" | ":memory:" => Err("names no file. Write \"sqlite://putgate.db\".".into()),
            _ if path.contains('?') => {
                Err("has a query, which Putgate sets itself. Remove it.".into())
            }
            _ => Ok(DatabaseUrl::Sqlite(PathBuf::from(path))),
        }
    } else if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        Ok(DatabaseUrl::Postgres(Secret::new(text)))
    } else {
        Err("neither SQLite nor PostgreSQL. Write \"sqlite://path\" or \"postgres://user@host/name\".".into())
    }
}

/// An exact origin, as browsers send it: lower case, without a default port.
pub(super) fn origin(text: &str) -> Result<Address, String> {
    if text.contains('*') {
        return Err(
            "origins are exact, for any page could use a visitor's token otherwise. Write every origin out.".into(),
        );
    }
    let url = address(&Raw::Text(text))?;
    if url.path.is_empty() && url.query.is_none() {
        Ok(url)
    } else {
        Err(format!(
            "an origin has no path. Write {}.",
            quoted(&url.text_of_origin())
        ))
    }
}

/// One entry of a slot's `dialects`.
pub(super) fn dialect(text: &str) -> Result<Dialect, String> {
    Dialect::parse(text).ok_or_else(|| {
        let known = Dialect::ALL.map(Dialect::as_str);
        let known = known.map(quoted).join(", ");
        format!("no dialect is called that. Write some of {known}.")
    })
}

/// One entry of a slot's `accept`.
pub(super) fn accept_item(text: &str) -> Result<String, String> {
    let word = text.trim();
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | ';' | '"');
    let accept = Accept::parse([word]).ok();
    let accept = accept.filter(|_| word.chars().all(plain));
    if let Some(accept) = accept {
        match accept.unknown_extensions().next() {
            None => Ok(word.to_owned()),
            Some(_) => Err("an extension that no type is known for, so nothing could be accepted by it. Write a type's own.".into()),
        }
    } else {
        Err("neither an extension, a type nor a wildcard. Write \".jpg\", \"image/png\" or \"image/*\".".into())
    }
}

/// Why nothing of a type that `accept` names could ever be taken.
pub(super) fn unallowed_script(policy: &Policy) -> Option<String> {
    let mut names = policy.accept.names();
    let name = names.find(|name| !policy.allow_active_content && is_script(name))?;
    Some(format!(
        "{name} is run by browsers, so nothing of that type is taken. Set allow_active_content = true, or leave it out."
    ))
}

/// How far a host can be reached from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// From nowhere: `0.0.0.0`.
    Nowhere,
    /// From this machine.
    Loopback,
    /// From where its name is known, as in a compose network.
    SingleLabel,
    /// From its own network.
    Private,
    /// As far as anybody can tell, from everywhere.
    Public,
}

/// An `http` or `https` URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub https: bool,
    /// Lower case; an IPv6 address in its brackets.
    pub host: String,
    /// Absent when it is the scheme's own.
    pub port: Option<u16>,
    /// Without a trailing slash; empty for the root.
    pub path: String,
    pub query: Option<String>,
}

impl Address {
    /// `scheme://host[:port]`.
    pub fn text_of_origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        match self.port {
            Some(port) => format!("{scheme}://{}:{port}", self.host),
            None => format!("{scheme}://{}", self.host),
        }
    }

    /// The whole URL.
    pub fn text(&self) -> String {
        let query = self
            .query
            .as_ref()
            .map_or(String::new(), |query| format!("?{query}"));
        format!("{}{}{query}", self.text_of_origin(), self.path)
    }

    pub fn is_ip(&self) -> bool {
        self.host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
    }

    pub fn reach(&self) -> Reach {
        let bare = self.host.trim_matches(['[', ']']);
        match bare.parse::<IpAddr>() {
            Ok(ip) => reach_of_ip(ip.to_canonical()),
            Err(_) if bare == "localhost" || bare.ends_with(".localhost") => Reach::Loopback,
            Err(_) if !bare.trim_end_matches('.').contains('.') => Reach::SingleLabel,
            Err(_) => Reach::Public,
        }
    }
}

fn reach_of_ip(ip: IpAddr) -> Reach {
    let is_private = match ip {
        IpAddr::V4(ip) => {
            // 100.64.0.0/10 is the shared space of carriers and overlay networks (RFC 6598).
            ip.is_private()
                || ip.is_link_local()
                || ip.to_bits() >> 22 == Ipv4Addr::new(100, 64, 0, 0).to_bits() >> 22
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    match ip {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) | IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Reach::Nowhere,
        _ if ip.is_loopback() => Reach::Loopback,
        _ if is_private => Reach::Private,
        _ => Reach::Public,
    }
}

/// Why events may not go to `url` unless the configuration allows a private receiver.
pub(super) fn unsafe_receiver(url: &Address) -> Option<String> {
    let host = &url.host;
    let why = match url.reach() {
        Reach::Loopback => format!("{host} is this machine"),
        Reach::Private | Reach::Nowhere => format!("{host} is no public address"),
        _ if !url.https => "events sent over plain http can be read on the way".to_owned(),
        Reach::SingleLabel | Reach::Public => return None,
    };
    Some(format!(
        "{why}. Write https:// and a public host, or allow_private = true when the receiver is in your own network."
    ))
}

/// Why browsers on pages of `origins` can't use `endpoint`, if they can't.
pub(super) fn unreachable(endpoint: &Address, origins: &[Address]) -> Option<String> {
    let host = &endpoint.host;
    let far = |near: &[Reach]| {
        origins
            .iter()
            .find(|origin| !near.contains(&origin.reach()))
            .map(Address::text_of_origin)
    };
    let blocked = match endpoint.reach() {
        Reach::Nowhere => Some(format!(
            "{host} is an address to listen on, not one to call"
        )),
        Reach::SingleLabel if origins.is_empty() => {
            Some(format!("{host} is a name that only its own network knows"))
        }
        Reach::SingleLabel => far(&[Reach::SingleLabel]).map(|page| {
            format!(
                "{host} is a name that only its own network knows, and pages of {page} upload to it"
            )
        }),
        Reach::Loopback => far(&[Reach::Loopback])
            .map(|page| format!("{host} is the visitor's own machine for pages of {page}")),
        Reach::Private => far(&[Reach::Loopback, Reach::SingleLabel, Reach::Private])
            .map(|page| format!("{host} is a private address, out of reach for pages of {page}")),
        Reach::Public => None,
    };
    let mixed = || {
        let page = origins.iter().find(|origin| origin.https)?.text_of_origin();
        (!endpoint.https && endpoint.reach() != Reach::Loopback)
            .then(|| format!("it is plain http, which browsers block on pages of {page}"))
    };
    let why = blocked.or_else(mixed)?;
    Some(format!("browsers can't reach it: {why}"))
}

/// The known word nearest to a mistyped one, when it is near enough to be meant.
pub(super) fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|other| (distance(word, other), other))
        .filter(|(distance, other)| *distance <= (other.len() / 3).max(1))
        .min()
        .map(|(_, other)| other)
}

/// Edits (insert, delete, change, swap of neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (
        a.to_lowercase().chars().collect(),
        b.chars().map(|c| c.to_ascii_lowercase()).collect(),
    );
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&control(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn control(c: char) -> String {
    format!("\\u{:04X}", u32::from(c))
}

fn number(raw: &Raw<'_>, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, unit) = match raw {
        Raw::Integer(number) => (number.to_string(), ""),
        Raw::Text(text) => {
            let end = text
                .find(|c: char| !c.is_ascii_digit() && c != '_')
                .unwrap_or(text.len());
            (text[..end].replace('_', ""), text[end..].trim())
        }
        _ => return None,
    };
    let (_, factor) = units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

fn in_units(number: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, factor)| number > 0 && number.is_multiple_of(*factor))
        .map_or_else(
            || number.to_string(),
            |(unit, factor)| format!("\"{}{unit}\"", number / factor),
        )
}

fn one_of<T: Copy>(raw: &Raw<'_>, choices: &[(&str, T)]) -> Result<T, String> {
    let found = match raw {
        Raw::Text(text) => choices.iter().find(|(name, _)| name == text),
        _ => None,
    };
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(|(name, _)| quoted(name)).collect();
        format!("not a choice. Write {}.", names.join(" or "))
    })
}

fn is_bucket_name(name: &str) -> bool {
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
        && is_end(name.chars().next())
        && is_end(name.chars().next_back())
        && !name.contains("..")
        && name.parse::<Ipv4Addr>().is_err()
}

fn address(raw: &Raw<'_>) -> Result<Address, String> {
    let not_a_url =
        || "not a URL. Write scheme, host and port, as \"https://s3.example.com\".".to_owned();
    let Raw::Text(text) = raw else {
        return Err(not_a_url());
    };
    if text.contains('#') {
        return Err("has a fragment. Remove everything from `#` on.".into());
    }
    let url: http::Uri = text.parse().map_err(|_| not_a_url())?;
    let https = match url.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(not_a_url()),
    };
    let authority = url.authority().ok_or_else(not_a_url)?;
    if authority.as_str().contains('@') {
        return Err(
            "has a user name in it, which would end up in logs. Remove it up to `@`.".into(),
        );
    }
    let host = authority.host().to_ascii_lowercase();
    let is_host = match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        }
    };
    // `http` reads a port that is no number as no port at all.
    let port = url.port_u16();
    let is_port =
        authority.as_str().len() == authority.host().len() || port.is_some_and(|port| port > 0);
    if !is_host || !is_port {
        return Err(not_a_url());
    }
    Ok(Address {
        https,
        host,
        port: port.filter(|port| *port != if https { 443 } else { 80 }),
        path: url.path().trim_end_matches('/').to_owned(),
        query: url.query().map(str::to_owned),
    })
}
