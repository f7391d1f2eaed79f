//! Secrets: not printed, wiped after use, compared without telling where they differ.

use std::fmt;
use std::hint::black_box;

use zeroize::Zeroize;

/// A text that must not be seen: it does not print and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret over.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The secret itself. The word marks every place where one leaves its wrapping.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret)
    }
}

/// Whether two secrets are the same, in a time that depends only on their lengths.
pub fn equal_secrets(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let differing = a
        .iter()
        .zip(b)
        .fold(0, |seen, (a, b)| black_box(seen | (a ^ b)));
    black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_equal_when_every_byte_is() {
        for (a, b, equal) in [
            ("", "", true),
            ("abc", "abc", true),
            ("abc", "abd", false),
            ("abc", "bbc", false),
            ("abc", "ab", false),
            ("", "a", false),
        ] {
            assert_eq!(equal_secrets(a.as_bytes(), b.as_bytes()), equal, "{a} {b}");
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter22".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.expose(), "hunter22");
    }
}
