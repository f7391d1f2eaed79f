//! Names and passwords: Basic (RFC 7617) and Digest (RFC 7616), for servers and for proxies.
//!
//! A 401 or 407 carries challenges; [`choose`] takes the strongest that can be answered, and
//! [`Answerer::authorization`] answers it for one request after the other. [`Logins`] keeps the
//! answerers of all who have asked.
//!
//! ```
//! use periwinkle_core::fetch::auth::{Answerer, BasicUse, Login, challenges, choose};
//!
//! let field = r#"Basic realm="r", Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256"#;
//! let login = Login::new("alice", "secret");
//! let mut answerer = choose(&challenges([field]), &login, BasicUse::Refused).expect("there is Digest");
//! let field = answerer.authorization("GET", "/", "c0ffee");
//! assert!(field.starts_with(r#"Digest username="alice", realm="r", nonce="n", uri="/""#));
//! ```

mod challenge;
mod digest;
mod logins;

pub use challenge::{Challenge, challenges};
pub use digest::{Algorithm, Digest};
pub use logins::{Asked, Logins, Reply};

use crate::secret::Secret;
use base64::Engine as _;

/// A name and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
}

impl Login {
    /// A name and its password.
    pub fn new(name: impl Into<String>, password: impl Into<Secret>) -> Login {
        Login {
            name: name.into(),
            password: password.into(),
        }
    }

    /// The value of the field for Basic; `None` when the name holds a colon, which would shift
    /// where the password begins.
    pub fn basic(&self) -> Option<String> {
        if self.name.contains(':') {
            return None;
        }
        let pair = format!("{}:{}", self.name, self.password.expose());
        let coded = base64::engine::general_purpose::STANDARD.encode(pair);
        Some(format!("Basic {coded}"))
    }
}

/// Whether the password may go over the line as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicUse {
    /// Over TLS, or because the caller said so.
    Allowed,
    /// Without TLS anybody could read it.
    Refused,
}

/// Answers the challenges of one server.
#[derive(Clone, Debug)]
pub enum Answerer {
    /// The same field every time.
    Basic(Secret),
    /// A new one for each request.
    Digest(Box<Digest>),
}

impl Answerer {
    /// The value of `Authorization` or `Proxy-Authorization` for a request.
    ///
    /// `target` is what stands in the request line, `random` a text that was never used before.
    pub fn authorization(&mut self, method: &str, target: &str, random: &str) -> String {
        match self {
            Answerer::Basic(field) => field.expose().to_owned(),
            Answerer::Digest(digest) => digest.authorization(method, target, random),
        }
    }
}

/// The strongest challenge that can be answered: Digest before Basic, SHA-256 before MD5, and
/// among equals the server's order.
pub fn choose(challenges: &[Challenge], login: &Login, basic: BasicUse) -> Option<Answerer> {
    let digests = challenges
        .iter()
        .filter_map(|challenge| Digest::new(challenge, login));
    // The first of the strongest: `max_by_key` would give the last.
    let best = digests
        .rev()
        .max_by_key(|digest| digest.algorithm().strength());
    if let Some(best) = best {
        return Some(Answerer::Digest(Box::new(best)));
    }
    let offered = challenges.iter().any(|one| one.scheme == "basic");
    if offered && basic == BasicUse::Allowed {
        return Some(Answerer::Basic(login.basic()?.into()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(fields: &[&str], basic: BasicUse) -> Option<String> {
        let login = Login::new("a", "b");
        let answerer = choose(&challenges(fields.iter().copied()), &login, basic)?;
        Some(match answerer {
            Answerer::Basic(field) => field.expose().to_owned(),
            Answerer::Digest(digest) => format!("{:?} {}", digest.algorithm(), digest.nonce()),
        })
    }

    #[test]
    fn the_strongest_challenge_is_answered() {
        let md5 = r#"Digest realm="r", nonce="1", qop="auth", algorithm=MD5"#;
        let sha = r#"Digest realm="r", nonce="2", qop="auth", algorithm=SHA-256"#;
        let again = r#"Digest realm="r", nonce="3", qop="auth", algorithm=SHA-256"#;
        let basic = r#"Basic realm="r""#;
        let unknown = r#"Digest realm="r", nonce="4", algorithm=SHA-512-256"#;
        let use_it = BasicUse::Allowed;
        let of = |fields: &[&str]| chosen(fields, use_it);
        assert_eq!(of(&[basic, md5, sha, again]).as_deref(), Some("Sha256 2"));
        assert_eq!(of(&[basic, unknown, md5]).as_deref(), Some("Md5 1"));
        assert_eq!(of(&[unknown, basic]).as_deref(), Some("Basic YTpi"));
        assert_eq!(of(&["Bearer", "Negotiate abc=="]), None);
        assert_eq!(chosen(&[basic], BasicUse::Refused), None);
        assert_eq!(
            chosen(&[basic, md5], BasicUse::Refused).as_deref(),
            Some("Md5 1")
        );
    }

    /// RFC 7617, sections 2 and 2.1.
    #[test]
    fn basic_is_name_and_password() {
        let basic = |name: &str, password: &str| Login::new(name, password).basic();
        assert_eq!(
            basic("Aladdin", "open sesame").as_deref(),
            Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        );
        assert_eq!(
            basic("test", "123£").as_deref(),
            Some("Basic dGVzdDoxMjPCow==")
        );
        assert_eq!(basic("a:b", "c"), None);
    }
}
