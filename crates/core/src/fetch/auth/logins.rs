//! What servers and proxies want of those who log in, so that it need not be asked for again.

use super::{Answerer, BasicUse, Challenge, Login, choose};
use crate::limits;

/// The answers to the challenges of those whom `K` names; who was not asked for the longest time
/// gives way.
#[derive(Debug)]
pub struct Logins<K> {
    /// The one used last stands at the end.
    known: Vec<(K, Login, Answerer)>,
}

/// How many challenges were answered before, on the way to the answer of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked(u32);

impl Asked {
    /// None was.
    pub const NEVER: Asked = Asked(0);

    /// Counts one more; how many there were before it.
    #[must_use = "the challenge is judged by it"]
    pub const fn count(&mut self) -> Asked {
        let before = *self;
        self.0 += 1;
        before
    }
}

/// What a challenge means for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is worth sending again, with [`Logins::authorization`].
    Again,
    /// Name and password are wrong, or nothing that is asked for can be answered.
    Refused,
    /// Only the password itself would do, and that must not be sent here.
    PlainPassword,
}

impl<K: Clone + PartialEq> Logins<K> {
    /// The field for a request; `None` as long as nothing was asked for.
    ///
    /// `target` is what stands in the request line, `random` a text that was never used before.
    pub fn authorization(
        &mut self,
        whom: &K,
        login: &Login,
        (method, target): (&str, &str),
        random: &str,
    ) -> Option<String> {
        let answerer = self.find(whom, login)?;
        Some(answerer.authorization(method, target, random))
    }

    /// Whether anything is known, so that [`Logins::authorization`] has an answer.
    pub fn knows(&mut self, whom: &K, login: &Login) -> bool {
        self.find(whom, login).is_some()
    }

    /// Whether a request may be answered with a question: nothing is known, or a nonce that may
    /// have ended.
    pub fn may_ask(&mut self, whom: &K, login: &Login) -> bool {
        !matches!(self.find(whom, login), Some(Answerer::Basic(_)))
    }

    /// A request was refused with these challenges.
    pub fn handle_challenges(
        &mut self,
        whom: &K,
        login: &Login,
        challenges: &[Challenge],
        asked: Asked,
        basic: BasicUse,
    ) -> Reply {
        if let Some(Answerer::Digest(digest)) = self.find(whom, login) {
            let mut digests = challenges.iter().filter(|one| one.scheme == "digest");
            if digests.any(|challenge| digest.handle_challenge(challenge)) {
                // The password is right: it stays, for those who come after.
                return match asked.0 < limits::FETCH_STALE_NONCES_MAX {
                    true => Reply::Again,
                    false => Reply::Refused,
                };
            }
        }
        if asked != Asked::NEVER {
            self.forget(whom, login);
            return Reply::Refused;
        }
        if let Some(answerer) = choose(challenges, login, basic) {
            self.keep(whom.clone(), login.clone(), answerer);
            return Reply::Again;
        }
        let plain = challenges.iter().any(|one| one.scheme == "basic");
        match plain && basic == BasicUse::Refused {
            true => Reply::PlainPassword,
            false => Reply::Refused,
        }
    }

    /// `Authentication-Info` or `Proxy-Authentication-Info` came with an answer.
    pub fn handle_info(&mut self, whom: &K, login: &Login, field: &str) {
        if let Some(Answerer::Digest(digest)) = self.find(whom, login) {
            digest.handle_info(field);
        }
    }

    fn find(&mut self, whom: &K, login: &Login) -> Option<&mut Answerer> {
        let mut known = self.known.iter();
        let found = known.position(|(known, whose, _)| known == whom && whose == login)?;
        let entry = self.known.remove(found);
        self.known.push(entry);
        self.known.last_mut().map(|(_, _, answerer)| answerer)
    }

    fn keep(&mut self, whom: K, login: Login, answerer: Answerer) {
        self.forget(&whom, &login);
        if self.known.len() >= limits::FETCH_LOGINS_MAX {
            self.known.remove(0);
        }
        self.known.push((whom, login, answerer));
    }

    fn forget(&mut self, whom: &K, login: &Login) {
        self.known
            .retain(|(known, whose, _)| known != whom || whose != login);
    }
}

impl<K> Default for Logins<K> {
    fn default() -> Logins<K> {
        Logins { known: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::challenges;
    use super::*;

    const BASIC: &str = r#"Basic realm="r""#;
    const DIGEST: &str = r#"Digest realm="r", nonce="1", qop="auth", algorithm=SHA-256"#;
    const STALE: &str = r#"Digest realm="r", nonce="2", qop="auth", algorithm=SHA-256, stale=true"#;

    fn login() -> Login {
        Login::new("a", "b")
    }

    fn ask(logins: &mut Logins<u32>, fields: &[&str], asked: Asked, basic: BasicUse) -> Reply {
        let found = challenges(fields.iter().copied());
        logins.handle_challenges(&1, &login(), &found, asked, basic)
    }

    fn field(logins: &mut Logins<u32>) -> Option<String> {
        logins.authorization(&1, &login(), ("GET", "/"), "random")
    }

    #[test]
    fn a_challenge_is_answered_from_then_on_with_a_rising_count() {
        let mut logins = Logins::default();
        assert_eq!(field(&mut logins), None);
        let reply = ask(
            &mut logins,
            &[BASIC, DIGEST],
            Asked::NEVER,
            BasicUse::Allowed,
        );
        assert_eq!(reply, Reply::Again);
        for count in ["nc=00000001", "nc=00000002"] {
            let field = field(&mut logins).unwrap();
            assert!(
                field.starts_with("Digest ") && field.contains(count),
                "{field}"
            );
        }
    }

    #[test]
    fn who_takes_the_password_itself_has_no_more_questions() {
        let mut logins = Logins::default();
        assert!(logins.may_ask(&1, &login()));
        ask(&mut logins, &[DIGEST], Asked::NEVER, BasicUse::Allowed);
        assert!(logins.may_ask(&1, &login()));
        let mut logins = Logins::default();
        ask(&mut logins, &[BASIC], Asked::NEVER, BasicUse::Allowed);
        assert!(!logins.may_ask(&1, &login()));
        assert!(logins.may_ask(&2, &login()));
    }

    #[test]
    fn a_stale_nonce_is_replaced_and_a_wrong_password_forgotten() {
        let mut logins = Logins::default();
        ask(&mut logins, &[DIGEST], Asked::NEVER, BasicUse::Refused);
        let reply = ask(&mut logins, &[STALE], Asked::NEVER, BasicUse::Refused);
        assert_eq!(reply, Reply::Again);
        assert!(field(&mut logins).unwrap().contains(r#"nonce="2""#));
        let reply = ask(&mut logins, &[DIGEST], Asked(1), BasicUse::Allowed);
        assert_eq!((reply, field(&mut logins)), (Reply::Refused, None));
    }

    #[test]
    fn a_nonce_that_others_use_up_ends_no_request_before_its_bound_and_no_login() {
        let mut logins = Logins::default();
        let mut asked = Asked::NEVER;
        ask(&mut logins, &[DIGEST], asked.count(), BasicUse::Refused);
        for number in 1..limits::FETCH_STALE_NONCES_MAX {
            // The last of these nonces is one that another request has been told already.
            let nonce = number.min(limits::FETCH_STALE_NONCES_MAX - 2);
            let stale = format!(r#"Digest realm="r", nonce="n{nonce}", qop="auth", stale=true"#);
            let reply = ask(&mut logins, &[&stale], asked.count(), BasicUse::Refused);
            assert_eq!(reply, Reply::Again, "{number}");
        }
        let reply = ask(&mut logins, &[STALE], asked.count(), BasicUse::Refused);
        assert_eq!(reply, Reply::Refused);
        assert!(logins.knows(&1, &login()));
    }

    #[test]
    fn the_password_itself_is_sent_only_where_it_may_be() {
        let mut logins = Logins::default();
        let mut ask = |fields: &[&str], basic| ask(&mut logins, fields, Asked::NEVER, basic);
        assert_eq!(ask(&[BASIC], BasicUse::Refused), Reply::PlainPassword);
        assert_eq!(ask(&["Negotiate"], BasicUse::Refused), Reply::Refused);
        assert_eq!(ask(&[BASIC], BasicUse::Allowed), Reply::Again);
        assert_eq!(field(&mut logins).as_deref(), Some("Basic YTpi"));
    }

    #[test]
    fn the_nonce_that_a_server_gives_for_the_next_request_is_taken() {
        let mut logins = Logins::default();
        ask(&mut logins, &[DIGEST], Asked::NEVER, BasicUse::Refused);
        logins.handle_info(&1, &login(), r#"nextnonce="3""#);
        assert!(field(&mut logins).unwrap().contains(r#"nonce="3""#));
    }

    #[test]
    fn logins_are_kept_to_their_bound_and_the_one_unused_goes() {
        let mut logins = Logins::default();
        let basic = || Answerer::Basic("x".into());
        for at in 0..limits::FETCH_LOGINS_MAX {
            logins.keep(at, login(), basic());
        }
        assert!(logins.knows(&0, &login()));
        logins.keep(9999, login(), basic());
        assert!(logins.knows(&0, &login()));
        assert!(!logins.knows(&1, &login()));
        assert!(!logins.knows(&2, &Login::new("a", "c")));
    }
}
