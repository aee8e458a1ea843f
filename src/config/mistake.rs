//! Where a value came from, and what is wrong with it.

use std::fmt;
use std::sync::Arc;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Putgate's own choice.
    Default,
    /// A place in the file; line and column (in characters) count from 1.
    File {
        /// The file as it was named.
        file: Arc<str>,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A variable.
    Env(String),
}

impl Origin {
    pub(super) fn file(file: &str, line: usize, column: usize) -> Self {
        Self::File {
            file: file.into(),
            line,
            column,
        }
    }

    /// Whether both stand on the same line of the file.
    pub(super) fn same_line(&self, other: &Self) -> bool {
        matches!((self, other), (Self::File { line: a, .. }, Self::File { line: b, .. }) if a == b)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Env(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong, and how to put it right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where.
    pub origin: Origin,
    /// What, and the fix: whole sentences that never carry a secret.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.what)
    }
}

/// Everything that is wrong with a configuration, in the order of the file, then of the
/// variables. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(super) fn new(mut all: Vec<Mistake>) -> Self {
        all.sort();
        all.dedup();
        Self(all)
    }

    pub(super) fn one(origin: Origin, what: String) -> Self {
        Self(vec![Mistake { origin, what }])
    }

    /// The mistakes.
    pub fn all(&self) -> &[Mistake] {
        &self.0
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.0.len() == 1 {
            "mistake"
        } else {
            "mistakes"
        };
        write!(f, "{} {noun} in the configuration:", self.0.len())?;
        for mistake in &self.0 {
            write!(f, "\n  {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
