//! Media types, extensions, and what a slot accepts.

use serde::{Deserialize, Serialize};

/// One entry of a slot's `accept`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcceptItem {
    /// `.jpg`: lower case, with its dot.
    Extension(String),
    /// `image/png`, canonical.
    Type(String),
    /// `image/*`, held as `image`.
    Wildcard(String),
}

/// What a slot accepts; empty: any bytes. JSON: a list of strings as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Accept(Vec<AcceptItem>);

impl Accept {
    /// Parses entries as a slot's `accept` or an HTML `accept` attribute lists them.
    pub fn parse<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Result<Self, String> {
        items
            .into_iter()
            .map(|item| {
                let item = item.as_ref().trim().to_ascii_lowercase();
                if item.starts_with('.') && item.len() > 1 {
                    Ok(AcceptItem::Extension(item))
                } else if let Some(top) = item.strip_suffix("/*") {
                    Ok(AcceptItem::Wildcard(top.to_owned()))
                } else if item.contains('/') {
                    Ok(AcceptItem::Type(item))
                } else {
                    Err(format!(
                        "`{item}` is neither `.ext`, `type/subtype` nor `type/*`"
                    ))
                }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether any bytes are accepted.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries.
    pub fn items(&self) -> &[AcceptItem] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for Accept {
    type Error = String;
    fn try_from(items: Vec<String>) -> Result<Self, String> {
        Self::parse(items)
    }
}

impl From<Accept> for Vec<String> {
    fn from(accept: Accept) -> Self {
        accept
            .0
            .into_iter()
            .map(|item| match item {
                AcceptItem::Extension(ext) => ext,
                AcceptItem::Type(name) => name,
                AcceptItem::Wildcard(top) => format!("{top}/*"),
            })
            .collect()
    }
}
