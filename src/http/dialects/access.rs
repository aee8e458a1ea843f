//! Who calls a dialect, and in which slot.

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};

use crate::domain::caller::Caller;
use crate::domain::dialect::Dialect;
use crate::domain::name::{Id, SlotName};
use crate::domain::problem::{Code, Problem};
use crate::domain::secret::Secret;
use crate::domain::slot::Slot;
use crate::domain::time::Seconds;
use crate::http::{Shared, Site, auth};

/// The cookie that may hold the token, for an app that has Putgate under a path of its host.
/// The app sets it `HttpOnly` and `SameSite=Strict`.
pub const COOKIE: &str = "putgate_token";
/// What stands in the path instead of a token that comes another way.
const ELSEWHERE: &str = "-";
/// The longest life that a token in a path may have left.
const LONGEST_IN_A_PATH: Seconds = Seconds(3600);

/// A dialect's caller.
pub struct Access {
    /// Who calls.
    pub caller: Arc<Caller>,
    /// The slot in the path, which speaks the dialect.
    pub slot: Slot,
    site: Arc<Site>,
    /// The path's third part.
    token: Secret,
    by_cookie: bool,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("caller", &self.caller)
            .field("slot", &self.slot.name)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Refuses a request that another site's page may have made its visitor send. The
    /// extractor does so for every method that changes something; a dialect in which a GET
    /// does calls this itself.
    pub fn must_be_from_a_page(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.by_cookie {
            self.site.is_from_a_page(headers)
        } else {
            Ok(())
        }
    }

    /// Where this caller reaches the slot: `…/u/{slot}/{token}`, the token included.
    pub fn base(&self) -> String {
        let (url, slot) = (self.site.url(), &self.slot.name);
        let token = self.token.expose_str().unwrap_or(ELSEWHERE);
        format!("{url}/u/{slot}/{token}")
    }

    /// The address of a file that stays good as long as the caller's token does, and in public
    /// slots as long as the file: a redirect to a fresh download.
    pub fn file_url(&self, id: Id) -> String {
        if self.slot.policy.public {
            format!("{}/f/{id}", self.site.url())
        } else {
            format!("{}/f/{id}", self.base())
        }
    }
}

impl FromRequestParts<Shared> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let dialect = parts.extensions.get::<Dialect>().copied();
        let path = RawPathParams::from_request_parts(parts, shared)
            .await
            .map_err(|_| Problem::not_found())?;
        let of = |wanted| path.iter().find(|(name, _)| *name == wanted);
        let (slot, token) = of("slot")
            .zip(of("token"))
            .map(|((_, slot), (_, token))| (slot, token))
            .ok_or_else(Problem::not_found)?;
        let slot = speaking(shared, slot, dialect)?;
        let headers = &parts.headers;
        let (now, verifier) = (shared.app.clock.now(), &shared.verifier);
        let mut by_cookie = false;
        let caller = if token != ELSEWHERE {
            verifier
                .bearer_of(token, Some(LONGEST_IN_A_PATH), now)
                .await?
        } else if headers.contains_key(header::AUTHORIZATION) {
            verifier.caller(headers, now).await?
        } else {
            by_cookie = true;
            verifier.bearer_of(cookie(headers)?, None, now).await?
        };
        caller.may_use_slot(&slot.name)?;
        let access = Self {
            caller,
            slot,
            site: Arc::clone(&shared.site),
            token: Secret::new(token),
            by_cookie,
        };
        if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method) {
            access.must_be_from_a_page(headers)?;
        }
        Ok(access)
    }
}

/// The slot of that name, if it speaks the dialect, or any for what all have in common.
fn speaking(shared: &Shared, name: &str, dialect: Option<Dialect>) -> Result<Slot, Problem> {
    let name = SlotName::parse(name).map_err(|_| Problem::not_found())?;
    let slot = shared.app.slot(&name)?;
    let spoken = &slot.policy.dialects;
    let speaks = dialect.map_or(!spoken.is_empty(), |dialect| spoken.contains(&dialect));
    speaks.then_some(slot).ok_or_else(Problem::not_found)
}

/// The token of the only cookie of that name. A second one may have been planted by another
/// host of the domain, and nobody can say which is ours.
fn cookie(headers: &HeaderMap) -> Result<&str, Problem> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let mut tokens = pairs.filter(|(name, _)| *name == COOKIE);
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) => Ok(token.trim_matches('"')),
        (Some(_), Some(_)) => {
            let detail = format!("the request has more than one cookie {COOKIE}");
            Err(auth::invalid(detail))
        }
        (None, _) => Err(Problem::new(
            Code::Unauthenticated,
            format!(
                "no token: send it in the path, as Authorization: Bearer, or in the cookie {COOKIE}"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_the_only_cookie_of_that_name_is_found() {
        let cases: [(&[&str], Option<&str>); 7] = [
            (&["putgate_token=a.b.c"], Some("a.b.c")),
            (&["x=1; putgate_token=a.b.c; y=2"], Some("a.b.c")),
            (&["x=1", "putgate_token=\"a.b.c\""], Some("a.b.c")),
            (&["xputgate_token=a"], None),
            (&["putgate_token=a; putgate_token=b"], None),
            (&["putgate_token=a", "putgate_token=b"], None),
            (&[], None),
        ];
        for (cookies, token) in cases {
            let headers = cookies
                .iter()
                .map(|text| (header::COOKIE, text.parse().unwrap()))
                .collect();
            assert_eq!(cookie(&headers).ok(), token, "{cookies:?}");
        }
    }
}
