//! Text that must not leak: it does not print, and is overwritten when it is dropped.

use std::fmt;
use zeroize::Zeroize as _;

/// A password, key or token.
///
/// Neither `Debug` nor any other formatting shows it; whoever needs the text says so with
/// [`Secret::expose`], which makes every such place easy to find.
#[derive(Clone, Default)]
pub struct Secret {
    text: String,
}

impl Secret {
    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether there is no text at all.
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret { text }
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret {
            text: text.to_owned(),
        }
    }
}

/// Takes the same time wherever the texts differ; only their lengths show.
impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        equal_secrets(self.text.as_bytes(), other.text.as_bytes())
    }
}

impl Eq for Secret {}

/// Whether two secrets are the same, in a time that depends only on their lengths.
pub fn equal_secrets(one: &[u8], two: &[u8]) -> bool {
    let gather = |sum: u8, (a, b): (&u8, &u8)| std::hint::black_box(sum | (a ^ b));
    let difference = one.iter().zip(two).fold(0, gather);
    one.len() == two.len() && std::hint::black_box(difference) == 0
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() {
            "Secret(empty)"
        } else {
            "Secret(hidden)"
        })
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "Secret(hidden)");
        assert_eq!(format!("{:?}", Secret::default()), "Secret(empty)");
    }

    #[test]
    fn secrets_are_equal_when_their_texts_are() {
        assert_eq!(Secret::from("a"), Secret::from("a".to_owned()));
        assert_ne!(Secret::from("a"), Secret::from("b"));
        assert_ne!(Secret::from("a"), Secret::from("ab"));
        assert_eq!(Secret::from("a").expose(), "a");
    }
}
