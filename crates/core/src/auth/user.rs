//! The name of a user.

use std::fmt;
use std::str::FromStr;

use crate::limits::USER_NAME_BYTES_MAX;

/// The name a user logs in with, in lower case.
///
/// The characters are those that stand in a key of the database, a URL and a shell without
/// quoting; one user cannot be written in two ways.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// Why a text is no user name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user name has 1 to {USER_NAME_BYTES_MAX} letters (a to z), digits, `.`, `-`, `_` or `@`, \
     and begins with a letter or digit"
)]
pub struct UserNameError;

impl UserName {
    /// The name that `text` spells, whatever its case.
    pub fn new(text: &str) -> Result<UserName, UserNameError> {
        let fits = (1..=USER_NAME_BYTES_MAX).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-_@".contains(&b));
        match fits {
            true => Ok(UserName(text.to_ascii_lowercase())),
            false => Err(UserNameError),
        }
    }

    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<UserName, UserNameError> {
        UserName::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling_and_only_plain_characters() {
        for (text, name) in [
            ("ada", Some("ada")),
            ("Ada", Some("ada")),
            ("ada.lovelace@example.com", Some("ada.lovelace@example.com")),
            ("7of9", Some("7of9")),
            ("", None),
            (".", None),
            ("..", None),
            ("-rf", None),
            ("ada lovelace", None),
            ("ada#1", None),
            ("ada/1", None),
            ("adä", None),
        ] {
            let found = UserName::new(text).ok();
            assert_eq!(found.as_ref().map(UserName::as_str), name, "{text:?}");
        }
        assert!(UserName::new(&"a".repeat(USER_NAME_BYTES_MAX)).is_ok());
        assert!(UserName::new(&"a".repeat(USER_NAME_BYTES_MAX + 1)).is_err());
    }
}
