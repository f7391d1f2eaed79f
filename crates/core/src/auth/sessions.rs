//! All sessions: who is logged in.

use std::collections::BTreeMap;

use crate::limits::{SESSIONS_MAX, SESSIONS_PER_USER_MAX};
use crate::time::Now;

use super::session::{Session, SessionId, SessionPolicy, SessionRecord};
use super::user::UserName;

/// The sessions in memory, which the agent keeps in step with their rows.
///
/// Only a right password opens one, so no stranger can fill the table; it is bounded all the
/// same, per user and as a whole.
#[derive(Clone, Debug)]
pub struct Sessions {
    policy: SessionPolicy,
    open: BTreeMap<SessionId, Session>,
}

/// What is known of a session's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is open, and was used now.
    Valid {
        /// Whose it is.
        user: UserName,
        /// The record to store now, if it is time.
        save: Option<SessionRecord>,
    },
    /// It has just ended: its row can go.
    Expired,
    /// There is none.
    Unknown,
}

impl Sessions {
    /// No sessions.
    pub fn new(policy: SessionPolicy) -> Sessions {
        Sessions {
            policy,
            open: BTreeMap::new(),
        }
    }

    /// Opens a session for a user whose password was right: the record to store, and the sessions
    /// that gave way, whose rows can go.
    pub fn open(
        &mut self,
        id: SessionId,
        user: UserName,
        now: Now,
    ) -> (SessionRecord, Vec<SessionId>) {
        let session = Session::open(user, now);
        let record = session.record().clone();
        let evicted = self.insert(id, session);
        (record, evicted)
    }

    /// Takes a session over from its row, at the start of the agent; the sessions, perhaps this
    /// one, whose rows can go.
    pub fn restore(&mut self, id: SessionId, record: SessionRecord, now: Now) -> Vec<SessionId> {
        let session = Session::restore(record, now);
        match session.is_over(&self.policy, now) {
            true => vec![id],
            false => self.insert(id, session),
        }
    }

    /// A request came with this session.
    pub fn touch(&mut self, id: &SessionId, now: Now) -> Standing {
        let Some(session) = self.open.get_mut(id) else {
            return Standing::Unknown;
        };
        if session.is_over(&self.policy, now) {
            self.open.remove(id);
            return Standing::Expired;
        }
        Standing::Valid {
            user: session.user().clone(),
            save: session.touch(&self.policy, now),
        }
    }

    /// Whether the session is open, without using it: for a stream that a page keeps open.
    pub fn is_open(&self, id: &SessionId, now: Now) -> bool {
        let session = self.open.get(id);
        session.is_some_and(|session| !session.is_over(&self.policy, now))
    }

    /// Ends a session; whether there was one.
    pub fn close(&mut self, id: &SessionId) -> bool {
        self.open.remove(id).is_some()
    }

    /// Ends the sessions of a user whose password or role has changed or who is gone, except the
    /// one that made the change; the sessions that ended.
    pub fn close_user(&mut self, user: &UserName, except: Option<&SessionId>) -> Vec<SessionId> {
        self.remove_where(|id, session| session.user() == user && Some(id) != except)
    }

    /// Ends the sessions whose time is over, used or not; the sessions that ended.
    pub fn sweep(&mut self, now: Now) -> Vec<SessionId> {
        let policy = self.policy;
        self.remove_where(|_, session| session.is_over(&policy, now))
    }

    /// How many sessions are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether nobody is logged in.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn insert(&mut self, id: SessionId, session: Session) -> Vec<SessionId> {
        let user = session.user().clone();
        let mut evicted = Vec::new();
        let of_user = self
            .open
            .values()
            .filter(|other| *other.user() == user)
            .count();
        if of_user >= SESSIONS_PER_USER_MAX {
            evicted.extend(self.evict(|other| *other.user() == user));
        } else if self.open.len() >= SESSIONS_MAX {
            evicted.extend(self.evict(|_| true));
        }
        self.open.insert(id, session);
        evicted
    }

    /// Ends the session that was unused for the longest time among those that may go.
    fn evict(&mut self, may_go: impl Fn(&Session) -> bool) -> Option<SessionId> {
        let candidates = self.open.iter().filter(|(_, session)| may_go(session));
        let (id, _) = candidates.min_by_key(|(_, session)| session.last_used())?;
        let id = *id;
        self.open.remove(&id);
        Some(id)
    }

    fn remove_where(&mut self, goes: impl Fn(&SessionId, &Session) -> bool) -> Vec<SessionId> {
        let going = self.open.iter().filter(|(id, session)| goes(id, session));
        let ids: Vec<SessionId> = going.map(|(id, _)| *id).collect();
        for id in &ids {
            self.open.remove(id);
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::session::SessionToken;
    use super::*;
    use crate::time::Mono;

    fn at(seconds: u64) -> Now {
        Now {
            mono: Mono::from_start(Duration::from_secs(seconds)),
            wall: None,
            trusted: false,
        }
    }

    fn id(number: usize) -> SessionId {
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&number.to_be_bytes());
        SessionToken::from_entropy(entropy).id()
    }

    fn name(text: &str) -> UserName {
        UserName::new(text).unwrap()
    }

    fn nobody() -> Sessions {
        Sessions::new(SessionPolicy::default())
    }

    #[test]
    fn a_session_is_valid_from_login_to_logout() {
        let mut sessions = nobody();
        assert_eq!(sessions.touch(&id(1), at(0)), Standing::Unknown);
        sessions.open(id(1), name("ada"), at(0));
        let valid = Standing::Valid {
            user: name("ada"),
            save: None,
        };
        assert_eq!(sessions.touch(&id(1), at(1)), valid);
        assert!(sessions.is_open(&id(1), at(1)));
        assert!(sessions.close(&id(1)));
        assert!(!sessions.close(&id(1)));
        assert_eq!(sessions.touch(&id(1), at(1)), Standing::Unknown);
        assert!(!sessions.is_open(&id(1), at(1)));
    }

    #[test]
    fn a_session_expires_once() {
        let mut sessions = nobody();
        sessions.open(id(1), name("ada"), at(0));
        assert!(!sessions.is_open(&id(1), at(1800)));
        assert_eq!(sessions.touch(&id(1), at(1800)), Standing::Expired);
        assert_eq!(sessions.touch(&id(1), at(1800)), Standing::Unknown);
    }

    #[test]
    fn an_open_stream_does_not_prolong_its_session() {
        let mut sessions = nobody();
        sessions.open(id(1), name("ada"), at(0));
        assert!(sessions.is_open(&id(1), at(1799)));
        assert!(!sessions.is_open(&id(1), at(1801)));
    }

    #[test]
    fn one_more_login_than_a_user_may_have_ends_the_one_unused_for_longest() {
        let mut sessions = nobody();
        for number in 0..SESSIONS_PER_USER_MAX {
            let (_, evicted) = sessions.open(id(number), name("ada"), at(number as u64));
            assert!(evicted.is_empty());
        }
        sessions.open(id(100), name("grace"), at(0));
        sessions.touch(&id(0), at(50));
        let (_, evicted) = sessions.open(id(101), name("ada"), at(51));
        assert_eq!(evicted, [id(1)]);
        assert_eq!(sessions.len(), SESSIONS_PER_USER_MAX + 1);
    }

    #[test]
    fn the_table_as_a_whole_is_bounded() {
        let mut sessions = nobody();
        for number in 0..SESSIONS_MAX {
            let user = name(&format!("user{}", number / SESSIONS_PER_USER_MAX));
            sessions.open(id(number), user, at(number as u64));
        }
        assert_eq!(sessions.len(), SESSIONS_MAX);
        let (_, evicted) = sessions.open(id(SESSIONS_MAX), name("ada"), at(1000));
        assert_eq!(evicted, [id(0)]);
        assert_eq!(sessions.len(), SESSIONS_MAX);
    }

    #[test]
    fn a_new_password_ends_all_other_sessions_of_the_user() {
        let mut sessions = nobody();
        for number in 0..3 {
            sessions.open(id(number), name("ada"), at(0));
        }
        sessions.open(id(3), name("grace"), at(0));
        let mut ended = sessions.close_user(&name("ada"), Some(&id(1)));
        ended.sort();
        let mut others = vec![id(0), id(2)];
        others.sort();
        assert_eq!(ended, others);
        assert!(sessions.is_open(&id(1), at(0)));
        assert!(sessions.is_open(&id(3), at(0)));
        assert_eq!(sessions.close_user(&name("ada"), None), [id(1)]);
    }

    #[test]
    fn a_sweep_ends_what_nobody_uses() {
        let mut sessions = nobody();
        sessions.open(id(1), name("ada"), at(0));
        sessions.open(id(2), name("ada"), at(1000));
        assert!(sessions.sweep(at(1799)).is_empty());
        assert_eq!(sessions.sweep(at(1800)), [id(1)]);
        assert_eq!(sessions.len(), 1);
        assert!(!sessions.is_empty());
    }

    #[test]
    fn sessions_come_back_from_their_rows_unless_they_are_over() {
        let mut sessions = nobody();
        let (record, _) = sessions.open(id(1), name("ada"), at(0));
        let mut again = nobody();
        assert!(again.restore(id(1), record.clone(), at(0)).is_empty());
        assert!(again.is_open(&id(1), at(1)));
        let old = SessionRecord {
            age: Duration::from_secs(7 * 24 * 3600),
            ..record
        };
        assert_eq!(again.restore(id(2), old, at(0)), [id(2)]);
        assert_eq!(again.len(), 1);
    }
}
