//! What can be wrong with a configuration, and where.

use std::fmt;

use super::sources::Origin;
use crate::limits::{CONFIG_ERRORS_SHOWN_MAX, CONFIG_FILE_BYTES_MAX};

/// One thing that is wrong, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The place: file and line, variable, or option.
    pub origin: Origin,
    /// What is wrong there.
    pub problem: Problem,
}

impl ConfigError {
    pub(super) fn new(origin: Origin, problem: Problem) -> ConfigError {
        ConfigError { origin, problem }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file is not TOML.
    #[error("{0}")]
    Syntax(String),
    /// The file is larger than any configuration can be.
    #[error("the file is larger than {CONFIG_FILE_BYTES_MAX} bytes: is it a configuration?")]
    FileTooLarge,
    /// There is no such key.
    #[error("unknown key `{key}`{}", DidYouMean(nearest))]
    UnknownKey {
        /// The key as written, with its section.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// There is no such section.
    #[error("unknown section `{section}`{}", DidYouMean(nearest))]
    UnknownSection {
        /// The section as written.
        section: String,
        /// The section or key that was probably meant.
        nearest: Option<String>,
    },
    /// A value stands where a section must be.
    #[error("`{section}` is a section: write `[{section}]` and its keys below")]
    NotASection {
        /// The section.
        section: String,
    },
    /// The value cannot be used.
    #[error("`{key}` {why}")]
    WrongValue {
        /// The key.
        key: String,
        /// Why not, as a phrase that follows the key.
        why: String,
    },
    /// Values that cannot stand together.
    #[error("{0}")]
    Combination(String),
    /// The key belongs to a feature that is not in this program.
    #[error("`{key}` needs the feature `{feature}`, which is not compiled into this program")]
    NotCompiledIn {
        /// The key.
        key: String,
        /// The feature of Cargo.
        feature: String,
    },
    /// The file has no such profile.
    #[error("no profile `{profile}` in {file}{}", Known(known))]
    UnknownProfile {
        /// The profile that was asked for.
        profile: String,
        /// The file.
        file: String,
        /// The profiles that it has.
        known: Vec<String>,
    },
    /// A profile was asked for and there is no file that could have it.
    #[error("profile `{profile}` needs a configuration file, and there is none")]
    ProfileWithoutFile {
        /// The profile that was asked for.
        profile: String,
    },
    /// The argument of `--set` has no `=`.
    #[error("must have the form `section.key=value`")]
    NotAnAssignment,
}

struct DidYouMean<'a>(&'a Option<String>);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => f.write_str("; `periwinkle check --reference` lists all"),
        }
    }
}

struct Known<'a>(&'a [String]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str(", which has no profiles"),
            known => write!(f, "; it has `{}`", known.join("`, `")),
        }
    }
}

/// Everything that is wrong with a configuration, in the order of its places; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `errors` in order, unless there are none.
    pub(super) fn from_found(mut errors: Vec<ConfigError>) -> Result<(), ConfigErrors> {
        errors.sort_by(|a, b| a.origin.cmp(&b.origin));
        errors.dedup();
        match errors.is_empty() {
            true => Ok(()),
            false => Err(ConfigErrors(errors)),
        }
    }

    /// The errors in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> ConfigErrors {
        ConfigErrors(vec![error])
    }
}

/// One line for each error, the first [`CONFIG_ERRORS_SHOWN_MAX`] of them.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().take(CONFIG_ERRORS_SHOWN_MAX).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        match self.0.len().saturating_sub(CONFIG_ERRORS_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for ConfigErrors {}
