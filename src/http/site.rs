//! Where browsers find this API, and the pages they come from.

use http::{HeaderMap, HeaderName, header};

use crate::domain::problem::{Code, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The address of the API, and the origins of its pages.
#[derive(Clone, Debug, Default)]
pub struct Site {
    public_url: String,
    origins: Vec<String>,
}

impl Site {
    /// `public_url` has no trailing slash; `allowed_origins` are as browsers send them. The
    /// public URL's own origin is one of its pages' too.
    pub fn new(public_url: Option<&str>, allowed_origins: &[String]) -> Self {
        let public_url = public_url.unwrap_or_default().to_owned();
        let own = public_url[..origin_len(&public_url)].to_owned();
        let origins = allowed_origins.iter().cloned().chain([own]);
        Self {
            origins: origins.filter(|origin| !origin.is_empty()).collect(),
            public_url,
        }
    }

    /// The public URL, which paths of the API follow; empty when none is configured: they are
    /// paths of the same host then.
    pub fn url(&self) -> &str {
        &self.public_url
    }

    /// The public URL's path, without a trailing slash.
    pub fn path(&self) -> &str {
        &self.public_url[origin_len(&self.public_url)..]
    }

    /// Whether an address leads to a page of ours: one of these origins, or a path of the host.
    pub fn has_page(&self, address: &str) -> bool {
        // A browser reads a backslash as a slash, and skips what is no character.
        if address.contains('\\') || address.contains(|c: char| c.is_control() || c == ' ') {
            return false;
        }
        if address.starts_with('/') {
            return !address.starts_with("//");
        }
        let end = address.find("://").map_or(0, |at| at + 3);
        let rest = &address[end..];
        let end = end + rest.find(['/', '?', '#']).unwrap_or(rest.len());
        self.origins.iter().any(|known| *known == address[..end])
    }

    /// Refuses with `forbidden` a request that a page of another site may have made its visitor
    /// send, cookie and all. Browsers name the page's origin, but for the same origin's GETs.
    pub fn is_from_a_page(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let ours = match text(header::ORIGIN) {
            Some(origin) => self.origins.iter().any(|known| known == origin),
            None => text(SEC_FETCH_SITE) == Some("same-origin"),
        };
        if ours {
            return Ok(());
        }
        let detail =
            "a token in a cookie is taken from pages of allowed_origins and public_url only";
        Err(Problem::new(Code::Forbidden, detail))
    }
}

/// How much of a URL is its origin.
fn origin_len(url: &str) -> usize {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url.len(), |at| host + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_taken_apart() {
        for (url, path) in [
            (None, ""),
            (Some("https://a.example"), ""),
            (Some("https://a.example:8443/x/y"), "/x/y"),
        ] {
            let site = Site::new(url, &[]);
            assert_eq!((site.path(), site.url()), (path, url.unwrap_or_default()));
        }
    }

    #[test]
    fn only_our_own_pages_are_led_to() {
        let site = Site::new(
            Some("https://own.example/x"),
            &["https://app.example".into(), "http://localhost:8080".into()],
        );
        for (address, ours) in [
            ("https://app.example", true),
            ("https://app.example/a?b#c", true),
            ("https://app.example?b", true),
            ("http://localhost:8080/a", true),
            ("https://own.example/y", true),
            ("/a/b?c=//d", true),
            ("", false),
            ("a", false),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("/\t/evil.example", false),
            ("https:\\\\app.example", false),
            ("https://app.example.evil.example/", false),
            ("https://app.example@evil.example/", false),
            ("https://app.example:443/", false),
            ("http://app.example/", false),
            ("javascript://app.example/%0aalert(1)", false),
            ("javascript:alert(1)", false),
        ] {
            assert_eq!(site.has_page(address), ours, "{address:?}");
        }
    }

    #[test]
    fn only_our_own_pages_may_send_a_cookie() {
        let site = Site::new(
            Some("https://own.example/x"),
            &["https://app.example".into()],
        );
        let cases: [(&[(&str, &str)], bool); 11] = [
            (&[("origin", "https://app.example")], true),
            (&[("origin", "https://own.example")], true),
            (&[("origin", "https://own.example.evil")], false),
            (&[("origin", "http://own.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
            (&[], false),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (
                &[
                    ("origin", "https://evil.example"),
                    ("sec-fetch-site", "same-origin"),
                ],
                false,
            ),
        ];
        for (headers, ours) in cases {
            let map = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            assert_eq!(site.is_from_a_page(&map).is_ok(), ours, "{headers:?}");
        }
        let nowhere = Site::new(None, &[]);
        let empty = [(header::ORIGIN, "".parse().unwrap())]
            .into_iter()
            .collect();
        assert!(nowhere.is_from_a_page(&empty).is_err());
    }
}
