//! The key of an object.

use crate::aws::sigv4::encode_uri;
use crate::limits;
use std::fmt;

/// The name of an object in a bucket: any text of 1 to 1,024 bytes without a NUL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    text: String,
}

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is empty or too long.
    #[error("an object key of {0} bytes; S3 takes 1 to {max}", max = limits::S3_KEY_BYTES_MAX)]
    Length(usize),
    /// A segment that clients, proxies and file systems take for a way out.
    #[error("an object key with the segment {0:?}, which ways to S3 take out of addresses")]
    Dots(&'static str),
    /// A NUL.
    #[error("an object key with a NUL, which no list of S3 can show")]
    Nul,
}

impl ObjectKey {
    /// A key.
    ///
    /// S3 itself knows no `.` and `..`; whatever lies between may resolve them, so they are
    /// refused.
    ///
    /// # Errors
    /// When S3, or something on the way to it, would not take it as it is.
    pub fn new(text: impl Into<String>) -> Result<ObjectKey, KeyError> {
        let text = text.into();
        if text.is_empty() || text.len() > limits::S3_KEY_BYTES_MAX {
            return Err(KeyError::Length(text.len()));
        }
        if text.contains('\0') {
            return Err(KeyError::Nul);
        }
        for dots in [".", ".."] {
            if text.split('/').any(|segment| segment == dots) {
                return Err(KeyError::Dots(dots));
            }
        }
        Ok(ObjectKey { text })
    }

    /// The key as it is.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The key in a path: all but unreserved characters and `/` percent-encoded.
    pub fn encoded(&self) -> String {
        let segments: Vec<String> = self.text.split('/').map(encode_uri).collect();
        segments.join("/")
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_encoded_but_for_its_slashes() {
        let key = |text: &str| ObjectKey::new(text).unwrap().encoded();
        assert_eq!(key("a/b c/ä+&.txt"), "a/b%20c/%C3%A4%2B%26.txt");
        assert_eq!(key("/a//b/"), "/a//b/");
        assert_eq!(key("100%/%41"), "100%25/%2541");
    }

    #[test]
    fn a_key_is_taken_to_its_bound_and_not_beyond() {
        let of = |bytes: usize| ObjectKey::new("k".repeat(bytes)).map(drop);
        assert_eq!(of(0), Err(KeyError::Length(0)));
        assert_eq!(of(1), Ok(()));
        assert_eq!(of(1024), Ok(()));
        assert_eq!(of(1025), Err(KeyError::Length(1025)));
        // Bytes count, not letters.
        assert_eq!(ObjectKey::new("ä".repeat(513)), Err(KeyError::Length(1026)));
    }

    #[test]
    fn a_key_leads_nowhere_else() {
        assert_eq!(ObjectKey::new("a/../b"), Err(KeyError::Dots("..")));
        assert_eq!(ObjectKey::new("./b"), Err(KeyError::Dots(".")));
        assert!(ObjectKey::new("a/...b/..c").is_ok());
    }

    #[test]
    fn a_key_holds_no_nul() {
        assert_eq!(ObjectKey::new("a\0b"), Err(KeyError::Nul));
        assert!(ObjectKey::new("a\u{1}b").is_ok());
    }
}
