//! Digest authentication (RFC 7616, and RFC 2617 for servers without `qop`).

use super::{Challenge, Login};
use md5::Md5;
use sha2::{Digest as _, Sha256};
use std::fmt;
use zeroize::Zeroizing;

use crate::hex;

/// How a Digest is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `MD5`, for servers that know nothing better.
    Md5,
    /// `MD5-sess`
    Md5Session,
    /// `SHA-256`
    Sha256,
    /// `SHA-256-sess`
    Sha256Session,
}

impl Algorithm {
    fn parse(name: &str) -> Option<Algorithm> {
        let all = [
            Algorithm::Md5,
            Algorithm::Md5Session,
            Algorithm::Sha256,
            Algorithm::Sha256Session,
        ];
        all.into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    const fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Md5Session => "MD5-sess",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha256Session => "SHA-256-sess",
        }
    }

    /// Larger is better.
    pub(super) const fn strength(self) -> u8 {
        match self {
            Algorithm::Md5 | Algorithm::Md5Session => 0,
            Algorithm::Sha256 | Algorithm::Sha256Session => 1,
        }
    }

    const fn is_session(self) -> bool {
        matches!(self, Algorithm::Md5Session | Algorithm::Sha256Session)
    }

    fn hash(self, text: &str) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Algorithm::Md5 | Algorithm::Md5Session => hex::encode(&Md5::digest(text)),
            Algorithm::Sha256 | Algorithm::Sha256Session => hex::encode(&Sha256::digest(text)),
        })
    }
}

/// Answers one challenge, request after request: the nonce is used again with a rising count until
/// the server gives another.
#[derive(Clone)]
pub struct Digest {
    login: Login,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// Whether the server named the algorithm; without it, old servers want none in the answer.
    algorithm_named: bool,
    /// Whether the server knows `qop=auth`, and with it counts.
    counts: bool,
    user_hash: bool,
    count: u32,
    /// The random text of the session, for the algorithms that keep one.
    session: Option<String>,
}

impl Digest {
    /// Takes up a challenge; `None` when it is not a Digest that can be answered.
    pub fn new(challenge: &Challenge, login: &Login) -> Option<Digest> {
        if challenge.scheme != "digest" {
            return None;
        }
        let named = challenge.parameter("algorithm");
        let qop = challenge.parameter("qop");
        let auth = |qop: &str| {
            qop.split(',')
                .any(|one| one.trim().eq_ignore_ascii_case("auth"))
        };
        if qop.is_some_and(|qop| !auth(qop)) {
            // `auth-int` alone would need the whole body in advance.
            return None;
        }
        let flag = |name| {
            challenge
                .parameter(name)
                .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        };
        Some(Digest {
            login: login.clone(),
            realm: challenge.parameter("realm")?.to_owned(),
            nonce: challenge.parameter("nonce")?.to_owned(),
            opaque: challenge.parameter("opaque").map(str::to_owned),
            algorithm: named.map_or(Some(Algorithm::Md5), Algorithm::parse)?,
            algorithm_named: named.is_some(),
            counts: qop.is_some(),
            user_hash: flag("userhash"),
            count: 0,
            session: None,
        })
    }

    /// How answers are made.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The nonce in use.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Another challenge came for a request that carried an answer: whether it is worth another
    /// answer. It is if the nonce had only become stale; otherwise the password is wrong. The new
    /// nonce may be known already, from the answer to another request.
    pub fn handle_challenge(&mut self, challenge: &Challenge) -> bool {
        let stale = challenge
            .parameter("stale")
            .is_some_and(|stale| stale.eq_ignore_ascii_case("true"));
        let login = self.login.clone();
        match Digest::new(challenge, &login) {
            Some(next) if stale => {
                if next.nonce != self.nonce {
                    *self = next;
                }
                true
            }
            _ => false,
        }
    }

    /// `Authentication-Info` came with an answer: the server may give the nonce for the next
    /// request (section 3.5).
    pub fn handle_info(&mut self, field: &str) {
        // Its parameters have the form of a challenge's.
        let found = super::challenges([format!("info {field}").as_str()]);
        let next = found.first().and_then(|info| info.parameter("nextnonce"));
        if let Some(next) = next.filter(|next| *next != self.nonce) {
            next.clone_into(&mut self.nonce);
            self.count = 0;
            self.session = None;
        }
    }

    /// The value of the field for a request.
    ///
    /// `target` is what stands in the request line; `random` a text that was never used before.
    pub fn authorization(&mut self, method: &str, target: &str, random: &str) -> String {
        self.count = self.count.saturating_add(1);
        let random = if self.algorithm.is_session() {
            self.session
                .get_or_insert_with(|| random.to_owned())
                .clone()
        } else {
            random.to_owned()
        };
        let count = format!("{:08x}", self.count);
        let response = self.response(method, target, &random, &count);
        self.field(target, &random, &count, &response)
    }

    fn response(&self, method: &str, target: &str, random: &str, count: &str) -> String {
        let hash = |text: &str| self.algorithm.hash(text);
        let (name, password) = (&self.login.name, self.login.password.expose());
        let mut secret = hash(&Zeroizing::new(format!("{name}:{}:{password}", self.realm)));
        if self.algorithm.is_session() {
            secret = hash(&format!("{}:{}:{random}", *secret, self.nonce));
        }
        let asked = hash(&format!("{method}:{target}"));
        let nonce = &self.nonce;
        let whole = if self.counts {
            format!("{}:{nonce}:{count}:{random}:auth:{}", *secret, *asked)
        } else {
            format!("{}:{nonce}:{}", *secret, *asked)
        };
        hash(&whole).to_string()
    }

    fn field(&self, target: &str, random: &str, count: &str, response: &str) -> String {
        let mut field = format!("Digest {}", self.name_parameter());
        let mut push = |name: &str, value: &str| field.push_str(&format!(", {name}={value}"));
        push("realm", &quoted(&self.realm));
        push("nonce", &quoted(&self.nonce));
        push("uri", &quoted(target));
        push("response", &quoted(response));
        if self.algorithm_named {
            push("algorithm", self.algorithm.name());
        }
        if self.counts {
            push("qop", "auth");
            push("nc", count);
        }
        if self.counts || self.algorithm.is_session() {
            push("cnonce", &quoted(random));
        }
        if let Some(opaque) = &self.opaque {
            push("opaque", &quoted(opaque));
        }
        if self.user_hash {
            push("userhash", "true");
        }
        field
    }

    /// The name: hashed where the server wants that, extended where it is not ASCII (section 3.4).
    fn name_parameter(&self) -> String {
        let name = &self.login.name;
        if self.user_hash {
            let hashed = self.algorithm.hash(&format!("{name}:{}", self.realm));
            return format!("username={}", quoted(&hashed));
        }
        let plain = name.chars().all(|one| matches!(one, ' '..='~'));
        if plain {
            format!("username={}", quoted(name))
        } else {
            format!("username*=UTF-8''{}", crate::aws::sigv4::encode_uri(name))
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest")
            .field("realm", &self.realm)
            .field("algorithm", &self.algorithm)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::super::challenges;
    use super::*;

    fn digest(field: &str, name: &str, password: &str) -> Option<Digest> {
        Digest::new(&challenges([field])[0], &Login::new(name, password))
    }

    fn part<'a>(field: &'a str, name: &str) -> Option<&'a str> {
        let from = field.find(&format!(" {name}="))? + name.len() + 2;
        let rest = &field[from..];
        Some(rest.split(", ").next().unwrap().trim_matches('"'))
    }

    /// RFC 7616, section 3.9.1.
    #[test]
    fn the_examples_of_the_rfc_are_met() {
        let challenge = |algorithm: &str| {
            format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        let random = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let answer = |algorithm: &str| {
            digest(&challenge(algorithm), "Mufasa", "Circle of Life")
                .unwrap()
                .authorization("GET", "/dir/index.html", random)
        };
        assert_eq!(
            answer("MD5"),
            "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", uri=\"/dir/index.html\", \
             response=\"8ca523f5e9506fed4657c9700eebdbec\", algorithm=MD5, qop=auth, nc=00000001, \
             cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        assert_eq!(
            part(&answer("SHA-256"), "response"),
            Some("753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1")
        );
    }

    /// RFC 2617, section 3.5, and the same without `qop` as RFC 2069 had it.
    #[test]
    fn old_servers_are_answered_in_their_way() {
        let with_qop = r#"Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
        let field = digest(with_qop, "Mufasa", "Circle Of Life")
            .unwrap()
            .authorization("GET", "/dir/index.html", "0a4f113b");
        assert_eq!(
            part(&field, "response"),
            Some("6629fae49393a05397450978507c4ef1")
        );
        assert_eq!(part(&field, "algorithm"), None);
        let without =
            r#"Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093""#;
        let field = digest(without, "Mufasa", "Circle Of Life")
            .unwrap()
            .authorization("GET", "/dir/index.html", "0a4f113b");
        assert_eq!(
            part(&field, "response"),
            Some("670fd8c2df070c60b045671b8b24ff02")
        );
        assert_eq!(part(&field, "nc"), None);
        assert_eq!(part(&field, "cnonce"), None);
    }

    #[test]
    fn a_nonce_is_used_again_with_a_rising_count() {
        let field = r#"Digest realm="r", nonce="n1", qop=auth"#;
        let mut digest = digest(field, "a", "b").unwrap();
        let first = digest.authorization("GET", "/", "c1");
        let second = digest.authorization("GET", "/", "c2");
        assert_eq!(
            [part(&first, "nc"), part(&second, "nc")],
            [Some("00000001"), Some("00000002")]
        );
        assert_ne!(part(&first, "response"), part(&second, "response"));
        digest.handle_info(r#"nextnonce="n2", qop=auth"#);
        let third = digest.authorization("GET", "/", "c3");
        assert_eq!(
            (part(&third, "nonce"), part(&third, "nc")),
            (Some("n2"), Some("00000001"))
        );
    }

    #[test]
    fn a_stale_nonce_is_worth_another_answer_and_a_wrong_password_is_not() {
        let mut digest = digest(r#"Digest realm="r", nonce="1", qop=auth"#, "a", "b").unwrap();
        digest.authorization("GET", "/", "c");
        let again =
            |digest: &mut Digest, field: &str| digest.handle_challenge(&challenges([field])[0]);
        assert!(!again(
            &mut digest,
            r#"Digest realm="r", nonce="2", qop=auth"#
        ));
        assert_eq!(digest.nonce(), "1");
        assert!(again(
            &mut digest,
            r#"Digest realm="r", nonce="1", qop=auth, stale=true"#
        ));
        assert_eq!(digest.nonce(), "1");
        assert!(again(
            &mut digest,
            r#"Digest realm="r", nonce="2", qop=auth, stale=TRUE"#
        ));
        assert_eq!(
            part(&digest.authorization("GET", "/", "c"), "nc"),
            Some("00000001")
        );
    }

    #[test]
    fn a_session_keeps_its_random_text() {
        let field = r#"Digest realm="r", nonce="n", qop=auth, algorithm=MD5-sess"#;
        let mut digest = digest(field, "a", "b").unwrap();
        let first = digest.authorization("GET", "/", "c1");
        let second = digest.authorization("GET", "/", "c2");
        assert_eq!(
            [part(&first, "cnonce"), part(&second, "cnonce")],
            [Some("c1"), Some("c1")]
        );
        let hash = |text: &str| Algorithm::Md5.hash(text).to_string();
        let secret = hash(&format!("{}:n:c1", hash("a:r:b")));
        let expected = hash(&format!("{secret}:n:00000001:c1:auth:{}", hash("GET:/")));
        assert_eq!(part(&first, "response"), Some(expected.as_str()));
    }

    #[test]
    fn names_are_hashed_quoted_or_extended() {
        let name = |field: &str, name: &str| {
            let field = digest(field, name, "p")
                .unwrap()
                .authorization("GET", "/", "c");
            field["Digest ".len()..]
                .split(", ")
                .next()
                .unwrap()
                .to_owned()
        };
        let plain = r#"Digest realm="r", nonce="n""#;
        assert_eq!(name(plain, r#"a"b\"#), r#"username="a\"b\\""#);
        assert_eq!(name(plain, "Jäsøn"), "username*=UTF-8''J%C3%A4s%C3%B8n");
        let hashed = r#"Digest realm="r", nonce="n", algorithm=SHA-256, userhash=true"#;
        let expected = Algorithm::Sha256.hash("a:r");
        assert_eq!(name(hashed, "a"), format!("username=\"{}\"", *expected));
    }

    #[test]
    fn what_cannot_be_answered_is_left() {
        for field in [
            "Basic realm=r",
            "Digest realm=r",
            "Digest nonce=n",
            "Digest realm=r, nonce=n, qop=auth-int",
            "Digest realm=r, nonce=n, algorithm=SHA-512-256",
        ] {
            assert!(digest(field, "a", "b").is_none(), "{field}");
        }
    }
}
