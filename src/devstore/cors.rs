//! Which page may talk to a bucket: the rules of a CORS configuration.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>

use http::{HeaderMap, HeaderName, HeaderValue, header};
use s3s::dto::CORSRule;
use serde::{Deserialize, Serialize};

/// One rule: these pages may send these methods with these headers, and read those.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rule {
    pub(super) origins: Vec<String>,
    pub(super) methods: Vec<String>,
    pub(super) headers: Vec<String>,
    pub(super) exposed: Vec<String>,
    /// For how many seconds a browser may remember the preflight's answer.
    pub(super) max_age: Option<i32>,
}

impl Rule {
    /// What a bucket without rules of its own allows: an upload's whole dialogue.
    pub(super) fn default_for(origins: &[String]) -> Self {
        let words = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Self {
            origins: origins.to_vec(),
            methods: words(&["GET", "HEAD", "PUT", "POST", "DELETE"]),
            headers: words(&["*"]),
            exposed: words(&["ETag", "Location", "x-amz-checksum-sha256"]),
            max_age: Some(600),
        }
    }

    fn covers(&self, asked: &Asked<'_>) -> bool {
        let origin = self.origins.iter().any(|one| wildcard(one, asked.origin));
        let method = self.methods.iter().any(|one| one == asked.method);
        let mut headers = asked
            .headers
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase());
        origin
            && method
            && headers.all(|name| {
                let allowed = |one: &String| wildcard(&one.to_ascii_lowercase(), &name);
                name.is_empty() || self.headers.iter().any(allowed)
            })
    }
}

impl From<CORSRule> for Rule {
    fn from(rule: CORSRule) -> Self {
        Self {
            origins: rule.allowed_origins,
            methods: rule.allowed_methods,
            headers: rule.allowed_headers.unwrap_or_default(),
            exposed: rule.expose_headers.unwrap_or_default(),
            max_age: rule.max_age_seconds,
        }
    }
}

impl From<Rule> for CORSRule {
    fn from(rule: Rule) -> Self {
        let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
        Self {
            allowed_origins: rule.origins,
            allowed_methods: rule.methods,
            allowed_headers: some(rule.headers),
            expose_headers: some(rule.exposed),
            max_age_seconds: rule.max_age,
            id: None,
        }
    }
}

/// What a browser asks for: by a preflight, or by the request itself (no headers then).
pub(super) struct Asked<'a> {
    pub(super) origin: &'a str,
    pub(super) method: &'a str,
    /// `Access-Control-Request-Headers`, or nothing.
    pub(super) headers: &'a str,
}

/// The answer's headers, or `None` when no rule allows it.
pub(super) fn granted(rules: &[Rule], asked: &Asked<'_>) -> Option<HeaderMap> {
    let rule = rules.iter().find(|rule| rule.covers(asked))?;
    let origin = if rule.origins.iter().any(|one| one == "*") {
        "*"
    } else {
        asked.origin
    };
    let age = rule.max_age.map(|age| age.to_string()).unwrap_or_default();
    let said: [(HeaderName, String); 5] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.into()),
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            rule.methods.join(", "),
        ),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, asked.headers.into()),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            rule.exposed.join(", "),
        ),
        (header::ACCESS_CONTROL_MAX_AGE, age),
    ];
    let said = said.into_iter().filter(|(_, value)| !value.is_empty());
    let mut headers = said
        .map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)))
        .collect::<Option<HeaderMap>>()?;
    let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    headers.insert(header::VARY, HeaderValue::from_static(vary));
    Some(headers)
}

/// Whether `text` fits `pattern`, in which at most one `*` stands for anything.
fn wildcard(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => {
            text.len() >= head.len() + tail.len() && text.starts_with(head) && text.ends_with(tail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_origins_methods_and_headers_are_granted() {
        let rule = Rule {
            origins: vec![
                "https://app.example.com".into(),
                "https://*.example.net".into(),
            ],
            methods: vec!["PUT".into()],
            headers: vec!["content-type".into(), "x-amz-*".into()],
            exposed: vec!["ETag".into()],
            max_age: None,
        };
        let cases = [
            ("https://app.example.com", "PUT", "", true),
            (
                "https://app.example.com",
                "PUT",
                "Content-Type, x-amz-meta-a",
                true,
            ),
            ("https://app.example.com", "PUT", "authorization", false),
            ("https://app.example.com", "GET", "", false),
            ("https://a.example.net", "PUT", "", true),
            ("https://example.net", "PUT", "", false),
            ("https://app.example.com.evil.org", "PUT", "", false),
            ("null", "PUT", "", false),
        ];
        for (origin, method, headers, expected) in cases {
            let asked = Asked {
                origin,
                method,
                headers,
            };
            let answer = granted(std::slice::from_ref(&rule), &asked);
            assert_eq!(answer.is_some(), expected, "{origin} {method} {headers}");
            if let Some(answer) = answer {
                assert_eq!(answer["access-control-allow-origin"], origin);
            }
        }
    }
}
