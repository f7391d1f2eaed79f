//! Versions of a schema: `1.2.0`.

use std::fmt;
use std::str::FromStr;

/// The version of a schema: three numbers, the first of which says whether older programs can still
/// work with the items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Rises when older programs can no longer read or write the items.
    pub major: u32,
    /// Rises with what older programs do not notice.
    pub minor: u32,
    /// Rises with anything else.
    pub patch: u32,
}

/// The text is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected up to three numbers with points between them, such as 1.2.0")]
#[non_exhaustive]
pub struct VersionError;

impl FromStr for Version {
    type Err = VersionError;

    /// Missing numbers are 0, and a name behind `-` or `+` counts for nothing.
    fn from_str(text: &str) -> Result<Version, VersionError> {
        let numbers = text.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = numbers.split('.');
        let mut next = |missing: Option<u32>| match numbers.next() {
            None => missing.ok_or(VersionError),
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| VersionError)
            }
            Some(_) => Err(VersionError),
        };
        let version = Version {
            major: next(None)?,
            minor: next(Some(0))?,
            patch: next(Some(0))?,
        };
        match numbers.next() {
            None => Ok(version),
            Some(_) => Err(VersionError),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let texts = [
            "0.0.1",
            "0.2",
            "0.10.0",
            "1",
            "1.0.1-rc1",
            "2.0.0+build.7",
            "10.0.0",
        ];
        let versions: Vec<Version> = texts.map(|text| text.parse().unwrap()).to_vec();
        assert!(
            versions.is_sorted_by(|one, other| one < other),
            "{versions:?}"
        );
        assert_eq!(versions[4].to_string(), "1.0.1");
    }

    #[test]
    fn other_texts_are_no_versions() {
        for text in ["", "x", "1.", "1.x", "1.2.3.4", "-1", "1.99999999999", " 1"] {
            assert_eq!(text.parse::<Version>(), Err(VersionError), "{text:?}");
        }
    }
}
