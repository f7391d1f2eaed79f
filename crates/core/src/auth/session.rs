//! One login: its token, its row, and when it ends.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::config::{Expiry, Web};
use crate::hex;
use crate::limits::{SESSION_REFRESH, WEB_SESSION_IDLE, WEB_SESSION_LIFE};
use crate::secret::{Secret, equal_secrets};
use crate::time::{Mono, Now, UnixMillis};

use super::user::UserName;

const TOKEN_BYTES: usize = 32;

/// What the cookie holds: 256 random bits as base64url. Only its hash is stored.
#[derive(Clone, Debug)]
pub struct SessionToken(Secret);

impl SessionToken {
    /// The token that these random bytes make.
    pub fn from_entropy(mut entropy: [u8; TOKEN_BYTES]) -> SessionToken {
        let text = URL_SAFE_NO_PAD.encode(entropy);
        entropy.zeroize();
        SessionToken(Secret::from(text))
    }

    /// The token in a cookie, if the text has the form of one.
    pub fn parse(text: &str) -> Option<SessionToken> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let fits = bytes.len() == TOKEN_BYTES;
        bytes.zeroize();
        fits.then(|| SessionToken(Secret::from(text)))
    }

    /// The text of the cookie.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The name under which the session is stored.
    pub fn id(&self) -> SessionId {
        SessionId(Sha256::digest(self.expose()).into())
    }

    /// What a page must send with each request that changes something: a page of another site can
    /// make the browser send the cookie, but can read neither it nor this.
    pub fn xsrf(&self) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.expose().as_bytes())
            .expect("HMAC takes keys of every length");
        mac.update(b"periwinkle xsrf 1");
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    /// Whether `given` is the [`xsrf`](SessionToken::xsrf) text of this session.
    pub fn xsrf_matches(&self, given: &str) -> bool {
        equal_secrets(self.xsrf().as_bytes(), given.as_bytes())
    }
}

/// SHA-256 of a session's token: who reads the database cannot log in with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// The id that [`Display`](fmt::Display) wrote: 64 hexadecimal digits in lower case.
    pub fn parse(text: &str) -> Option<SessionId> {
        let is_small = !text.contains(|c: char| c.is_ascii_uppercase());
        hex::decode(text).filter(|_| is_small).map(SessionId)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// When sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// The longest time without use.
    pub idle: Expiry,
    /// The longest time, used or not.
    pub life: Expiry,
}

impl Default for SessionPolicy {
    fn default() -> SessionPolicy {
        SessionPolicy {
            idle: Expiry::After(WEB_SESSION_IDLE),
            life: Expiry::After(WEB_SESSION_LIFE),
        }
    }
}

impl From<&Web> for SessionPolicy {
    fn from(web: &Web) -> SessionPolicy {
        SessionPolicy {
            idle: web.session_idle,
            life: web.session_life,
        }
    }
}

impl SessionPolicy {
    /// How long the use of a session may be known in memory only: a power cut ends an idle
    /// session that much too early at most, and a busy one does not wear the flash.
    fn refresh(&self) -> Duration {
        match self.idle {
            Expiry::After(idle) => SESSION_REFRESH.min(idle / 4),
            Expiry::Never => SESSION_REFRESH,
        }
    }
}

/// The row of a session.
///
/// Wall times stand in it only when they were trusted; a wrong clock neither ends a session nor
/// prolongs it. `age` counts the time that the agent ran, so that a device without a clock ends
/// its sessions as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Who logged in.
    pub user: UserName,
    /// How old the session is at least.
    pub age: Duration,
    /// When it began.
    pub created: Option<UnixMillis>,
    /// When it was last used.
    pub used: Option<UnixMillis>,
}

/// A session while the agent runs.
///
/// Its age and its idle time are each the greater of two measures: the monotonic clock, which
/// nobody can set but which stands still while the device is off; and the wall clock, as far as
/// it is trusted at both ends.
#[derive(Clone, Debug)]
pub(super) struct Session {
    record: SessionRecord,
    /// When `record.age` was true.
    anchor: Mono,
    used: Mono,
    saved: Mono,
}

impl Session {
    pub(super) fn open(user: UserName, now: Now) -> Session {
        let record = SessionRecord {
            user,
            age: Duration::ZERO,
            created: now.trusted_wall(),
            used: now.trusted_wall(),
        };
        Session::restore(record, now)
    }

    pub(super) fn restore(record: SessionRecord, now: Now) -> Session {
        Session {
            record,
            anchor: now.mono,
            used: now.mono,
            saved: now.mono,
        }
    }

    pub(super) fn user(&self) -> &UserName {
        &self.record.user
    }

    pub(super) fn last_used(&self) -> Mono {
        self.used
    }

    pub(super) fn is_over(&self, policy: &SessionPolicy, now: Now) -> bool {
        let over = |limit: Expiry, time: Duration| limit.duration().is_some_and(|l| time >= l);
        over(policy.life, self.age(now)) || over(policy.idle, self.idle(now))
    }

    /// Notes a use; the record if it is time to store it.
    pub(super) fn touch(&mut self, policy: &SessionPolicy, now: Now) -> Option<SessionRecord> {
        let age = self.age(now);
        // The clock has become trusted since: the beginning lies `age` back.
        if let (None, Some(wall)) = (self.record.created, now.trusted_wall()) {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            self.record.created = Some(UnixMillis(wall.0.saturating_sub(age)));
        }
        self.record.used = now.trusted_wall();
        self.used = now.mono;
        if now.mono.since(self.saved) < policy.refresh() {
            return None;
        }
        self.saved = now.mono;
        self.anchor = now.mono;
        self.record.age = age;
        Some(self.record.clone())
    }

    pub(super) fn record(&self) -> &SessionRecord {
        &self.record
    }

    fn age(&self, now: Now) -> Duration {
        let run = self.record.age.saturating_add(now.mono.since(self.anchor));
        run.max(elapsed(self.record.created, now))
    }

    fn idle(&self, now: Now) -> Duration {
        now.mono
            .since(self.used)
            .max(elapsed(self.record.used, now))
    }
}

/// From a trusted time to now; zero when either is not known or the clock was set back.
fn elapsed(from: Option<UnixMillis>, now: Now) -> Duration {
    match (from, now.trusted_wall()) {
        (Some(from), Some(to)) => {
            Duration::from_millis(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
        }
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;

    /// A clock that runs since `mono` seconds; the wall time is as many seconds after 2026.
    fn clock(mono: u64, wall: Option<i64>) -> Now {
        Now {
            mono: Mono::from_start(Duration::from_secs(mono)),
            wall: wall.map(|seconds| UnixMillis((1_767_225_600 + seconds) * 1000)),
            trusted: wall.is_some(),
        }
    }

    fn ada() -> UserName {
        UserName::new("ada").unwrap()
    }

    fn over(session: &Session, now: Now) -> bool {
        session.is_over(&SessionPolicy::default(), now)
    }

    #[test]
    fn a_token_reads_back_and_only_its_hash_is_its_name() {
        let token = SessionToken::from_entropy([7; 32]);
        assert_eq!(token.expose().len(), 43);
        let read = SessionToken::parse(token.expose()).unwrap();
        assert_eq!(read.id(), token.id());
        let id = token.id().to_string();
        assert_eq!(SessionId::parse(&id), Some(token.id()));
        assert!(!id.contains(token.expose()));
        assert_eq!(format!("{token:?}"), "SessionToken(Secret(hidden))");
    }

    #[test]
    fn a_text_of_another_form_is_no_token() {
        let good = SessionToken::from_entropy([7; 32]).expose().to_owned();
        for text in [
            String::new(),
            good[1..].to_owned(),
            format!("{good}A"),
            format!("{good}="),
            good.replace('B', "+"),
            // The last sign holds four bits only: one token, one text.
            format!("{}d", &good[..42]),
        ] {
            assert!(SessionToken::parse(&text).is_none(), "{text}");
        }
        for text in ["", "00", &"0".repeat(63), &"G".repeat(64), &"A".repeat(64)] {
            assert_eq!(SessionId::parse(text), None);
        }
    }

    #[test]
    fn an_xsrf_text_belongs_to_one_session() {
        let one = SessionToken::from_entropy([1; 32]);
        let other = SessionToken::from_entropy([2; 32]);
        assert!(one.xsrf_matches(&one.xsrf()));
        assert!(!one.xsrf_matches(&other.xsrf()));
        assert!(!one.xsrf_matches(""));
        assert_ne!(one.xsrf(), one.expose());
    }

    #[test]
    fn a_session_ends_when_it_is_not_used() {
        let session = Session::open(ada(), clock(0, None));
        assert!(!over(&session, clock(30 * MINUTE - 1, None)));
        assert!(over(&session, clock(30 * MINUTE, None)));
    }

    #[test]
    fn use_prolongs_a_session_but_not_its_life() {
        let policy = SessionPolicy::default();
        let mut session = Session::open(ada(), clock(0, None));
        let mut now = 0;
        while now < 7 * DAY {
            assert!(!over(&session, clock(now, None)), "{now}");
            session.touch(&policy, clock(now, None));
            now += 20 * MINUTE;
        }
        assert!(over(&session, clock(7 * DAY, None)));
    }

    #[test]
    fn never_means_never() {
        let policy = SessionPolicy {
            idle: Expiry::Never,
            life: Expiry::Never,
        };
        let session = Session::open(ada(), clock(0, Some(0)));
        assert!(!session.is_over(&policy, clock(3650 * DAY, Some(1))));
    }

    #[test]
    fn an_untrusted_clock_ends_no_session_and_prolongs_none() {
        let mut session = Session::open(ada(), clock(0, None));
        let mut wrong = clock(MINUTE, Some(1000 * DAY as i64));
        wrong.trusted = false;
        assert!(!over(&session, wrong));
        session.touch(&SessionPolicy::default(), wrong);
        assert_eq!(session.record().used, None);
        wrong.mono = clock(40 * MINUTE, None).mono;
        wrong.wall = Some(UnixMillis(0));
        assert!(over(&session, wrong));
    }

    #[test]
    fn a_trusted_clock_that_is_set_back_prolongs_nothing() {
        let session = Session::open(ada(), clock(0, Some(DAY as i64)));
        assert!(!over(&session, clock(29 * MINUTE, Some(0))));
        assert!(over(&session, clock(30 * MINUTE, Some(0))));
    }

    #[test]
    fn a_clock_that_becomes_trusted_dates_the_beginning_back() {
        let policy = SessionPolicy::default();
        let mut session = Session::open(ada(), clock(0, None));
        session.touch(&policy, clock(10 * MINUTE, Some(DAY as i64)));
        let created = clock(0, Some((DAY - 10 * MINUTE) as i64)).wall;
        assert_eq!(session.record().created, created);
    }

    #[test]
    fn a_use_is_stored_only_now_and_then() {
        let policy = SessionPolicy::default();
        let mut session = Session::open(ada(), clock(0, Some(0)));
        assert_eq!(session.touch(&policy, clock(299, Some(299))), None);
        let record = session.touch(&policy, clock(300, Some(300))).unwrap();
        assert_eq!(record.age, Duration::from_secs(300));
        assert_eq!(record.used, clock(0, Some(300)).wall);
        assert_eq!(session.touch(&policy, clock(301, Some(301))), None);
        let short = SessionPolicy {
            idle: Expiry::After(Duration::from_secs(60)),
            ..policy
        };
        assert_eq!(session.touch(&short, clock(314, Some(314))), None);
        assert!(session.touch(&short, clock(315, Some(315))).is_some());
    }

    #[test]
    fn a_restart_continues_a_session() {
        let policy = SessionPolicy::default();
        let mut session = Session::open(ada(), clock(1000, Some(0)));
        let record = session.touch(&policy, clock(1300, Some(300))).unwrap();

        // A restart of a minute: the monotonic clock begins anew.
        let back = Session::restore(record.clone(), clock(5, Some(360)));
        assert!(!over(&back, clock(6, Some(361))));
        assert_eq!(back.age(clock(6, Some(361))), Duration::from_secs(361));

        // A night without power is noticed by the wall clock, as soon as it is trusted.
        let back = Session::restore(record, clock(5, None));
        assert!(!over(&back, clock(6, None)));
        assert_eq!(back.age(clock(6, None)), Duration::from_secs(301));
        assert!(over(&back, clock(7, Some(8 * HOUR as i64))));
    }

    #[test]
    fn a_device_without_a_clock_counts_the_life_over_restarts() {
        let policy = SessionPolicy::default();
        let mut record = Session::open(ada(), clock(0, None)).record().clone();
        for _ in 0..(7 * DAY / 600) {
            let mut session = Session::restore(record, clock(0, None));
            assert!(!over(&session, clock(599, None)));
            record = session.touch(&policy, clock(600, None)).unwrap();
        }
        let session = Session::restore(record, clock(0, None));
        assert!(over(&session, clock(0, None)));
    }
}
