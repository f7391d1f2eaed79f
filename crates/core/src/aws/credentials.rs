//! The keys with which requests are signed.

use crate::secret::Secret;
use crate::time::UnixMillis;

/// An access key pair, with the session token of temporary ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The public name of the key, such as `AKIA…` or `ASIA…`.
    pub access_key_id: String,
    /// The key itself.
    pub secret_access_key: Secret,
    /// The token that belongs to temporary keys.
    pub session_token: Option<Secret>,
    /// When temporary keys stop working; `None` for lasting ones.
    pub expires: Option<UnixMillis>,
}

impl Credentials {
    /// Lasting keys.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<Secret>) -> Self {
        Credentials {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: None,
            expires: None,
        }
    }

    /// The same keys with a session token.
    #[must_use]
    pub fn with_token(self, session_token: impl Into<Secret>) -> Self {
        Credentials {
            session_token: Some(session_token.into()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_the_name_of_the_key_only() {
        let shown = format!(
            "{:?}",
            Credentials::new("AKID", "very-secret").with_token("tok-en")
        );
        assert!(shown.contains("AKID"), "{shown}");
        assert!(
            !shown.contains("very-secret") && !shown.contains("tok-en"),
            "{shown}"
        );
    }
}
