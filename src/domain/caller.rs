//! Who calls, and what the token lets them do.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::name::{Owner, Ref, SlotName, Tenant};
use super::problem::{Code, Problem};
use super::slot::TokenLimits;

/// One thing a token may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Mint, sign, complete and cancel tickets.
    Upload,
    /// See files.
    Read,
    /// Delete files.
    Delete,
    /// The app's backend: every other scope, every owner and ref of its tenant.
    Manage,
}

impl Scope {
    const ALL: [Self; 4] = [Self::Upload, Self::Read, Self::Delete, Self::Manage];

    /// The word in the scope claim.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Read => "read",
            Self::Delete => "delete",
            Self::Manage => "manage",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The scopes of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Reads words separated by white space. Words that are not ours belong to another
    /// service that shares the token, and are skipped.
    pub fn parse(text: &str) -> Self {
        text.split_ascii_whitespace()
            .filter_map(|word| Scope::ALL.into_iter().find(|scope| scope.as_str() == word))
            .fold(Self::default(), Self::with)
    }

    /// These scopes and one more.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    /// Whether `scope` is among them; `manage` includes the others.
    pub const fn allow(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Manage.bit()) != 0
    }
}

/// How the claims of a token are called, and what an absent scope claim means.
#[derive(Clone, Debug)]
pub struct ClaimNames {
    /// The claim that holds the tenant.
    pub tenant: String,
    /// The claim that holds the scopes.
    pub scope: String,
    /// The scopes of a token without a scope claim.
    pub default_scope: Scopes,
}

/// The bearer of a verified token.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// The tenant; `default` when the token names none.
    pub tenant: Tenant,
    /// The token's `sub`.
    pub owner: Owner,
    /// What the token allows.
    pub scopes: Scopes,
    /// The slots it may use; `None`: every slot.
    pub slots: Option<Vec<SlotName>>,
    /// The refs it may use beside the null ref; `None`: no other.
    pub refs: Option<Vec<Ref>>,
    /// What it tightens, by slot.
    pub limits: BTreeMap<SlotName, TokenLimits>,
}

impl Caller {
    /// Reads the claims of a token whose signature has been verified. The error is a
    /// sentence that names the claim at fault. A claim of the wrong kind (`null` is one)
    /// is an error and never "absent": an allow-list that cannot be read must not open up.
    pub fn from_claims(claims: &Map<String, Value>, names: &ClaimNames) -> Result<Self, String> {
        let owner = claim(claims, "sub")?.ok_or("the claim `sub` is missing")?;
        let tenant = match claim(claims, &names.tenant)? {
            Some(tenant) => tenant,
            None => Tenant::parse("default").map_err(|law| law.to_string())?,
        };
        Ok(Self {
            tenant,
            owner,
            scopes: match claims.get(&names.scope) {
                None => names.default_scope,
                Some(value) => scopes(value).ok_or_else(|| {
                    format!(
                        "the claim `{}` must be a string or a list of strings",
                        names.scope
                    )
                })?,
            },
            slots: claim(claims, "slots")?,
            refs: claim(claims, "refs")?,
            limits: claim(claims, "limits")?.unwrap_or_default(),
        })
    }

    /// Refuses with `forbidden` unless the token has `scope`.
    pub fn may(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.allow(scope) {
            return Ok(());
        }
        let scope = scope.as_str();
        Err(forbidden(format!("the token's scope does not include `{scope}`")).with("scope", scope))
    }

    /// Refuses with `forbidden` unless the token may use `slot`.
    pub fn may_use_slot(&self, slot: &SlotName) -> Result<(), Problem> {
        match &self.slots {
            Some(allowed) if !allowed.contains(slot) => Err(forbidden(format!(
                "the token's `slots` do not include `{slot}`"
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses with `forbidden` unless the token may use this ref. The null ref is free
    /// to all; the others have to be named by the token, or it has `manage`.
    pub fn may_use_ref(&self, wanted: Option<&Ref>) -> Result<(), Problem> {
        let Some(wanted) = wanted else { return Ok(()) };
        let named = self.refs.as_ref().is_some_and(|refs| refs.contains(wanted));
        if named || self.scopes.allow(Scope::Manage) {
            return Ok(());
        }
        Err(forbidden("the token's `refs` do not include this ref"))
    }

    /// Whether a row of this tenant and owner exists for the caller. What does not is
    /// answered with `not-found`, so that ids cannot be probed.
    pub fn sees(&self, tenant: &Tenant, owner: &Owner) -> bool {
        self.tenant == *tenant && (self.owner == *owner || self.scopes.allow(Scope::Manage))
    }

    /// Whom a mint is for: the caller, or with `manage` whoever it names.
    pub fn acting_for(&self, owner: Option<&Owner>) -> Result<Owner, Problem> {
        match owner {
            Some(other) if *other != self.owner && !self.scopes.allow(Scope::Manage) => Err(
                forbidden("only a token with `manage` may act for another owner"),
            ),
            Some(owner) => Ok(owner.clone()),
            None => Ok(self.owner.clone()),
        }
    }

    /// What the token says about a slot; nothing, when it does not name it.
    pub fn limits_for(&self, slot: &SlotName) -> TokenLimits {
        self.limits.get(slot).copied().unwrap_or_default()
    }
}

fn forbidden(detail: impl Into<String>) -> Problem {
    Problem::new(Code::Forbidden, detail)
}

fn claim<T: DeserializeOwned>(
    claims: &Map<String, Value>,
    name: &str,
) -> Result<Option<T>, String> {
    claims
        .get(name)
        .map(|value| T::deserialize(value).map_err(|law| format!("the claim `{name}`: {law}")))
        .transpose()
}

fn scopes(value: &Value) -> Option<Scopes> {
    match value {
        Value::String(text) => Some(Scopes::parse(text)),
        Value::Array(list) => list.iter().try_fold(Scopes::default(), |sum, word| {
            Some(Scopes(sum.0 | Scopes::parse(word.as_str()?).0))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn caller(claims: Value) -> Result<Caller, String> {
        let names = ClaimNames {
            tenant: "org".into(),
            scope: "scope".into(),
            default_scope: Scopes::parse("upload read"),
        };
        let Value::Object(claims) = claims else {
            panic!("claims are an object")
        };
        Caller::from_claims(&claims, &names)
    }

    fn slot(name: &str) -> SlotName {
        SlotName::parse(name).unwrap()
    }

    #[test]
    fn a_bare_token_uploads_and_reads_as_its_sub_in_the_default_tenant() {
        let caller = caller(json!({"sub": "7"})).unwrap();
        assert_eq!(
            (caller.tenant.as_str(), caller.owner.as_str()),
            ("default", "7")
        );
        assert!(caller.may(Scope::Upload).is_ok() && caller.may(Scope::Read).is_ok());
        let refusal = caller.may(Scope::Delete).unwrap_err();
        assert_eq!(refusal.code, Code::Forbidden);
        assert!(refusal.detail.contains("`delete`"), "{refusal}");
        assert!(caller.may_use_slot(&slot("any")).is_ok());
    }

    #[test]
    fn a_scope_claim_is_words_or_a_list_and_replaces_the_default() {
        for scope in [
            json!("openid delete"),
            json!(["delete", "openid"]),
            json!(["openid delete"]),
        ] {
            let caller = caller(json!({"sub": "7", "scope": scope})).unwrap();
            assert!(caller.may(Scope::Delete).is_ok());
            assert!(caller.may(Scope::Upload).is_err());
        }
        let nothing = caller(json!({"sub": "7", "scope": ""})).unwrap();
        assert!(nothing.may(Scope::Read).is_err());
        let shouted = caller(json!({"sub": "7", "scope": "MANAGE managed"})).unwrap();
        assert!(shouted.may(Scope::Manage).is_err());
    }

    #[test]
    fn manage_includes_every_scope_and_ref_and_owner_of_its_own_tenant() {
        let caller = caller(json!({"sub": "app", "org": "acme", "scope": "manage"})).unwrap();
        for scope in Scope::ALL {
            assert!(caller.may(scope).is_ok(), "{scope:?}");
        }
        let other = Owner::parse("8").unwrap();
        assert!(
            caller
                .may_use_ref(Some(&Ref::parse("post:1").unwrap()))
                .is_ok()
        );
        assert!(caller.sees(&Tenant::parse("acme").unwrap(), &other));
        assert!(!caller.sees(&Tenant::parse("evil").unwrap(), &other));
        assert!(!caller.sees(&Tenant::parse("evil").unwrap(), &caller.owner));
    }

    #[test]
    fn an_owner_sees_its_own_rows_only() {
        let caller = caller(json!({"sub": "7"})).unwrap();
        let tenant = Tenant::parse("default").unwrap();
        assert!(caller.sees(&tenant, &caller.owner));
        assert!(!caller.sees(&tenant, &Owner::parse("8").unwrap()));
    }

    #[test]
    fn slots_and_refs_are_allow_lists() {
        let claims = json!({"sub": "7", "slots": ["photos"], "refs": ["post:42"]});
        let listed = caller(claims).unwrap();
        assert!(listed.may_use_slot(&slot("photos")).is_ok());
        assert_eq!(
            listed.may_use_slot(&slot("avatar")).unwrap_err().code,
            Code::Forbidden
        );
        assert!(
            listed
                .may_use_ref(Some(&Ref::parse("post:42").unwrap()))
                .is_ok()
        );
        assert!(listed.may_use_ref(None).is_ok());
        assert!(
            listed
                .may_use_ref(Some(&Ref::parse("post:4").unwrap()))
                .is_err()
        );
        let bare = caller(json!({"sub": "7"})).unwrap();
        assert!(
            bare.may_use_ref(Some(&Ref::parse("post:42").unwrap()))
                .is_err()
        );
        let none = caller(json!({"sub": "7", "slots": []})).unwrap();
        assert!(none.may_use_slot(&slot("photos")).is_err());
    }

    #[test]
    fn limits_are_kept_by_slot() {
        let claims = json!({"sub": "7", "limits": {"photos": {"max_entries": 3}}});
        let caller = caller(claims).unwrap();
        assert_eq!(caller.limits_for(&slot("photos")).max_entries, Some(3));
        assert_eq!(caller.limits_for(&slot("avatar")), TokenLimits::default());
    }

    #[test]
    fn a_claim_that_cannot_be_read_is_named() {
        for (claims, name) in [
            (json!({}), "`sub`"),
            (json!({"sub": ""}), "`sub`"),
            (json!({"sub": 7}), "`sub`"),
            (json!({"sub": "a\nb"}), "`sub`"),
            (json!({"sub": "7", "org": "a/b"}), "`org`"),
            (json!({"sub": "7", "org": null}), "`org`"),
            (json!({"sub": "7", "scope": 1}), "`scope`"),
            (json!({"sub": "7", "scope": [1]}), "`scope`"),
            (json!({"sub": "7", "slots": null}), "`slots`"),
            (json!({"sub": "7", "slots": "photos"}), "`slots`"),
            (json!({"sub": "7", "slots": ["../x"]}), "`slots`"),
            (json!({"sub": "7", "refs": [""]}), "`refs`"),
            (json!({"sub": "7", "refs": [7]}), "`refs`"),
            (
                json!({"sub": "7", "limits": {"photos": {"entries": 3}}}),
                "`limits`",
            ),
            (
                json!({"sub": "7", "limits": {"photos": {"max_entries": -1}}}),
                "`limits`",
            ),
        ] {
            let sentence = caller(claims.clone()).expect_err(&claims.to_string());
            assert!(sentence.contains(name), "{claims}: {sentence}");
        }
    }
}
