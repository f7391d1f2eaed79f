//! Slows down who guesses passwords, without locking anybody out.
//!
//! Failures are counted per client address and per user name. Above a few, each one makes the next
//! attempt wait twice as long, up to a bound. Three things keep the owner in:
//! the wait for a user name is short at most; an address from which the user has logged in before
//! is judged by its own failures only, so a stranger's guesses do not touch it; and the control
//! socket never comes here.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::limits::{
    THROTTLE_ADDRESS_WAIT_MAX, THROTTLE_ADDRESSES_MAX, THROTTLE_FORGET, THROTTLE_FREE_FAILURES,
    THROTTLE_FRIENDS_MAX, THROTTLE_USER_WAIT_MAX, THROTTLE_USERS_MAX,
};
use crate::time::Mono;

use super::user::UserName;

/// The attempt must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many failed logins: try again in {} s", self.seconds())]
pub struct TryLater {
    /// How long.
    pub wait: Duration,
}

impl TryLater {
    /// Whole seconds, rounded up, for the field `Retry-After`.
    pub fn seconds(&self) -> u64 {
        u64::try_from(self.wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
    }
}

/// Counts failed logins.
///
/// Contract: [`admit`](LoginThrottle::admit) before the password is checked; it counts the attempt
/// as failed, so that many at the same time do not slip through together.
/// [`handle_success`](LoginThrottle::handle_success) takes that back. `address` is `None` for
/// clients that have none.
#[derive(Clone, Debug)]
pub struct LoginThrottle {
    addresses: Table<Source>,
    users: Table<UserName>,
    /// Who has logged in from where, the latest last.
    friends: VecDeque<(UserName, Source)>,
}

impl Default for LoginThrottle {
    fn default() -> LoginThrottle {
        LoginThrottle {
            addresses: Table::new(THROTTLE_ADDRESSES_MAX, THROTTLE_ADDRESS_WAIT_MAX),
            users: Table::new(THROTTLE_USERS_MAX, THROTTLE_USER_WAIT_MAX),
            friends: VecDeque::new(),
        }
    }
}

impl LoginThrottle {
    /// Lets an attempt through and counts it as failed, or says how long it must wait.
    pub fn admit(
        &mut self,
        address: IpAddr,
        user: Option<&UserName>,
        now: Mono,
    ) -> Result<(), TryLater> {
        let source = Source::of(address);
        let user = user.filter(|user| !self.is_friend(user, source));
        let wait_of_user = user.map_or(Duration::ZERO, |user| self.users.wait(user, now));
        let wait = self.addresses.wait(&source, now).max(wait_of_user);
        if wait > Duration::ZERO {
            return Err(TryLater { wait });
        }
        self.addresses.count(source, now);
        if let Some(user) = user {
            self.users.count(user.clone(), now);
        }
        Ok(())
    }

    /// The admitted attempt had the right password: it was no failure, and the address is a
    /// friend of this user from now on.
    ///
    /// Earlier failures stay counted: otherwise who has an account could clear the count between
    /// guesses at another one.
    pub fn handle_success(&mut self, address: IpAddr, user: &UserName) {
        let source = Source::of(address);
        self.addresses.take_back(&source);
        if !self.is_friend(user, source) {
            self.users.take_back(user);
        }
        self.friends
            .retain(|friend| friend.0 != *user || friend.1 != source);
        if self.friends.len() >= THROTTLE_FRIENDS_MAX {
            self.friends.pop_front();
        }
        self.friends.push_back((user.clone(), source));
    }

    /// The user is gone or has a new password: where it logged in before counts no more.
    pub fn forget_user(&mut self, user: &UserName) {
        self.friends.retain(|friend| friend.0 != *user);
    }

    fn is_friend(&self, user: &UserName, source: Source) -> bool {
        self.friends
            .iter()
            .any(|friend| friend.0 == *user && friend.1 == source)
    }
}

/// Where clients come from as far as one person can choose it: an IPv4 address, or the /64 of an
/// IPv6 address, which is what a provider gives to one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source(IpAddr);

impl Source {
    /// The source that an address belongs to.
    pub fn of(address: IpAddr) -> Source {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                Source(Ipv6Addr::from(network).into())
            }
            address => Source(address),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Failures {
    count: u32,
    last: Mono,
}

impl Failures {
    /// What is left of them: one is forgotten for each [`THROTTLE_FORGET`] without another.
    fn at(self, now: Mono) -> u32 {
        let forgotten = now.since(self.last).as_millis() / THROTTLE_FORGET.as_millis();
        let forgotten = u32::try_from(forgotten).unwrap_or(u32::MAX);
        self.count.saturating_sub(forgotten)
    }
}

#[derive(Clone, Debug)]
struct Table<K> {
    failures: BTreeMap<K, Failures>,
    entries_max: usize,
    wait_max: Duration,
}

impl<K: Ord + Clone> Table<K> {
    fn new(entries_max: usize, wait_max: Duration) -> Table<K> {
        Table {
            failures: BTreeMap::new(),
            entries_max,
            wait_max,
        }
    }

    fn wait(&self, key: &K, now: Mono) -> Duration {
        let Some(failures) = self.failures.get(key) else {
            return Duration::ZERO;
        };
        let Some(over) = failures.at(now).checked_sub(THROTTLE_FREE_FAILURES) else {
            return Duration::ZERO;
        };
        let wait = Duration::from_secs(1u64.checked_shl(over).unwrap_or(u64::MAX));
        (failures.last + wait.min(self.wait_max)).since(now)
    }

    fn count(&mut self, key: K, now: Mono) {
        self.make_room(&key, now);
        let failures = self.failures.entry(key).or_insert(Failures {
            count: 0,
            last: now,
        });
        failures.count = failures.at(now).saturating_add(1);
        failures.last = now;
    }

    fn take_back(&mut self, key: &K) {
        if let Some(failures) = self.failures.get_mut(key) {
            failures.count = failures.count.saturating_sub(1);
            if failures.count == 0 {
                self.failures.remove(key);
            }
        }
    }

    /// The entry with the fewest failures gives way, so that new names or addresses cannot push
    /// out the ones that are under attack.
    fn make_room(&mut self, key: &K, now: Mono) {
        if self.failures.len() < self.entries_max || self.failures.contains_key(key) {
            return;
        }
        let least = self
            .failures
            .iter()
            .min_by_key(|(_, failures)| (failures.at(now), failures.last))
            .map(|(key, _)| key.clone());
        if let Some(key) = least {
            self.failures.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "192.168.1.2";
    const STRANGER: &str = "203.0.113.9";

    fn at(seconds: u64) -> Mono {
        Mono::from_start(Duration::from_secs(seconds))
    }

    fn name(text: &str) -> UserName {
        UserName::new(text).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn wait(throttle: &mut LoginThrottle, from: &str, user: &str, now: Mono) -> u64 {
        match throttle.admit(ip(from), Some(&name(user)), now) {
            Ok(()) => 0,
            Err(later) => later.seconds(),
        }
    }

    /// Tries as often as it is let until `now` is over.
    fn attack(throttle: &mut LoginThrottle, from: &str, user: &str, attempts: u32) -> Mono {
        let mut now = at(0);
        for _ in 0..attempts {
            while let Err(later) = throttle.admit(ip(from), Some(&name(user)), now) {
                now = now + later.wait;
            }
        }
        now
    }

    #[test]
    fn a_few_typing_errors_cost_nothing_and_then_the_wait_doubles() {
        let mut throttle = LoginThrottle::default();
        for _ in 0..THROTTLE_FREE_FAILURES {
            assert_eq!(wait(&mut throttle, HOME, "ada", at(0)), 0);
        }
        assert_eq!(wait(&mut throttle, HOME, "ada", at(0)), 1);
        assert_eq!(wait(&mut throttle, HOME, "ada", at(1)), 0);
        assert_eq!(wait(&mut throttle, HOME, "ada", at(1)), 2);
        assert_eq!(wait(&mut throttle, HOME, "ada", at(3)), 0);
        assert_eq!(wait(&mut throttle, HOME, "ada", at(3)), 4);
    }

    #[test]
    fn an_attempt_that_had_to_wait_does_not_make_the_wait_longer() {
        let mut throttle = LoginThrottle::default();
        attack(&mut throttle, HOME, "ada", THROTTLE_FREE_FAILURES);
        for _ in 0..10 {
            assert_eq!(wait(&mut throttle, HOME, "ada", at(0)), 1);
        }
    }

    #[test]
    fn the_wait_has_a_bound_for_the_address_and_a_smaller_one_for_the_user() {
        let mut throttle = LoginThrottle::default();
        let now = attack(&mut throttle, STRANGER, "ada", 40);
        let wait_of_address = throttle.admit(ip(STRANGER), None, now).unwrap_err().wait;
        assert_eq!(wait_of_address, THROTTLE_ADDRESS_WAIT_MAX);
        let elsewhere = throttle.admit(ip(HOME), Some(&name("ada")), now);
        assert_eq!(elsewhere.unwrap_err().wait, THROTTLE_USER_WAIT_MAX);
        assert!(THROTTLE_USER_WAIT_MAX < THROTTLE_ADDRESS_WAIT_MAX);
    }

    #[test]
    fn guesses_at_one_user_from_many_addresses_wait() {
        let mut throttle = LoginThrottle::default();
        for host in 0..THROTTLE_FREE_FAILURES {
            let from = format!("203.0.113.{host}");
            assert_eq!(wait(&mut throttle, &from, "ada", at(0)), 0);
        }
        assert_eq!(wait(&mut throttle, STRANGER, "ada", at(0)), 1);
        assert_eq!(wait(&mut throttle, STRANGER, "grace", at(0)), 0);
    }

    #[test]
    fn guesses_at_many_users_from_one_address_wait() {
        let mut throttle = LoginThrottle::default();
        for user in 0..THROTTLE_FREE_FAILURES {
            let user = format!("user{user}");
            assert_eq!(wait(&mut throttle, STRANGER, &user, at(0)), 0);
        }
        assert_eq!(wait(&mut throttle, STRANGER, "ada", at(0)), 1);
        assert_eq!(wait(&mut throttle, HOME, "ada", at(0)), 0);
    }

    #[test]
    fn a_name_that_no_user_can_have_is_counted_for_the_address() {
        let mut throttle = LoginThrottle::default();
        for _ in 0..THROTTLE_FREE_FAILURES {
            assert_eq!(throttle.admit(ip(STRANGER), None, at(0)), Ok(()));
        }
        let later = throttle.admit(ip(STRANGER), None, at(0)).unwrap_err();
        assert_eq!(
            later.to_string(),
            "too many failed logins: try again in 1 s"
        );
    }

    #[test]
    fn the_owner_at_home_does_not_feel_the_attack_of_a_stranger() {
        let mut throttle = LoginThrottle::default();
        assert_eq!(wait(&mut throttle, HOME, "ada", at(0)), 0);
        throttle.handle_success(ip(HOME), &name("ada"));
        let now = attack(&mut throttle, STRANGER, "ada", 30);
        assert_eq!(wait(&mut throttle, HOME, "ada", now), 0);
        assert!(wait(&mut throttle, "192.168.1.3", "ada", now) > 0);
    }

    #[test]
    fn a_new_password_makes_every_address_a_stranger_again() {
        let mut throttle = LoginThrottle::default();
        throttle.handle_success(ip(HOME), &name("ada"));
        let now = attack(&mut throttle, STRANGER, "ada", 30);
        throttle.forget_user(&name("ada"));
        assert!(wait(&mut throttle, HOME, "ada", now) > 0);
    }

    #[test]
    fn a_friend_who_guesses_waits_like_anybody() {
        let mut throttle = LoginThrottle::default();
        throttle.handle_success(ip(HOME), &name("ada"));
        attack(&mut throttle, HOME, "ada", THROTTLE_FREE_FAILURES);
        assert_eq!(wait(&mut throttle, HOME, "ada", at(0)), 1);
    }

    #[test]
    fn right_passwords_are_never_counted() {
        let mut throttle = LoginThrottle::default();
        for _ in 0..100 {
            assert_eq!(wait(&mut throttle, HOME, "ada", at(0)), 0);
            throttle.handle_success(ip(HOME), &name("ada"));
        }
        assert!(throttle.addresses.failures.is_empty());
        assert!(throttle.users.failures.is_empty());
        assert_eq!(throttle.friends.len(), 1);
    }

    #[test]
    fn an_own_account_does_not_clear_the_count_of_guesses_at_another() {
        let mut throttle = LoginThrottle::default();
        for _ in 1..THROTTLE_FREE_FAILURES {
            assert_eq!(wait(&mut throttle, STRANGER, "owner", at(0)), 0);
            assert_eq!(wait(&mut throttle, STRANGER, "mallory", at(0)), 0);
            throttle.handle_success(ip(STRANGER), &name("mallory"));
        }
        assert_eq!(wait(&mut throttle, STRANGER, "owner", at(0)), 0);
        assert_eq!(wait(&mut throttle, STRANGER, "mallory", at(0)), 1);
    }

    #[test]
    fn failures_are_forgotten_one_by_one() {
        let mut throttle = LoginThrottle::default();
        let count = THROTTLE_FREE_FAILURES + 2;
        let now = attack(&mut throttle, HOME, "ada", count);
        let source = Source::of(ip(HOME));
        let left = |throttle: &LoginThrottle, periods: u32| {
            throttle.addresses.failures[&source].at(now + THROTTLE_FORGET * periods)
        };
        assert_eq!(left(&throttle, 0), count);
        assert_eq!(left(&throttle, 1), count - 1);
        assert_eq!(left(&throttle, count), 0);
        assert_eq!(left(&throttle, count * 2), 0);
    }

    #[test]
    fn one_customer_of_a_provider_is_one_source() {
        for (a, b, same) in [
            ("2001:db8::1", "2001:db8::2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
            ("::ffff:192.168.1.2", "192.168.1.2", true),
            ("192.168.1.2", "192.168.1.3", false),
        ] {
            assert_eq!(Source::of(ip(a)) == Source::of(ip(b)), same, "{a} {b}");
        }
    }

    #[test]
    fn full_tables_keep_the_entries_that_are_under_attack() {
        let mut throttle = LoginThrottle::default();
        let now = attack(&mut throttle, STRANGER, "ada", 20);
        for n in 0..(THROTTLE_ADDRESSES_MAX + 10) {
            let from = format!("10.{}.{}.1", n / 256, n % 256);
            assert_eq!(wait(&mut throttle, &from, &format!("u{n}"), now), 0);
            throttle.handle_success(ip(&from), &name(&format!("v{n}")));
            assert_eq!(wait(&mut throttle, &from, &format!("u{n}"), now), 0);
        }
        assert_eq!(throttle.addresses.failures.len(), THROTTLE_ADDRESSES_MAX);
        assert_eq!(throttle.users.failures.len(), THROTTLE_USERS_MAX);
        assert_eq!(throttle.friends.len(), THROTTLE_FRIENDS_MAX);
        assert!(wait(&mut throttle, STRANGER, "nobody", now) > 0);
        assert!(wait(&mut throttle, HOME, "ada", now) > 0);
    }
}
