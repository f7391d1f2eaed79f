//! When to try again, and how much at once: backoff, a budget for retries and a window.
//!
//! All three are plain state. Chance and time are arguments, so a run can be replayed.

use crate::time::Mono;
use std::time::Duration;

/// Growing pauses between attempts, with chance in them so that a fleet does not march in step.
///
/// "Full jitter": the n-th pause is drawn evenly from zero to `base * 2^n`, capped. Where a pause
/// must not be near zero, [`Backoff::decorrelated`] draws from `base` to three times the last one.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    jitter: Jitter,
    attempts: u32,
    last: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Jitter {
    Full,
    Decorrelated,
}

impl Backoff {
    /// Pauses from zero to a limit that doubles from `base` to `cap`.
    pub const fn full(base: Duration, cap: Duration) -> Backoff {
        Backoff {
            base,
            cap,
            jitter: Jitter::Full,
            attempts: 0,
            last: base,
        }
    }

    /// Pauses from `base` to three times the last pause, at most `cap`.
    pub const fn decorrelated(base: Duration, cap: Duration) -> Backoff {
        Backoff {
            base,
            cap,
            jitter: Jitter::Decorrelated,
            attempts: 0,
            last: base,
        }
    }

    /// The pause after one more failure. `random` is evenly distributed over all of `u64`.
    pub fn next_pause(&mut self, random: u64) -> Duration {
        let (low, high) = match self.jitter {
            Jitter::Full => {
                let factor = 2_u32.saturating_pow(self.attempts);
                (Duration::ZERO, self.base.saturating_mul(factor))
            }
            Jitter::Decorrelated => (self.base, self.last.saturating_mul(3)),
        };
        self.attempts = self.attempts.saturating_add(1);
        self.last = between(low.min(self.cap), high.min(self.cap), random);
        self.last
    }

    /// How many failures there were since the last success.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// A success: the next failure starts from the beginning.
    pub const fn reset(&mut self) {
        self.attempts = 0;
        self.last = self.base;
    }
}

/// Evenly from `low` to `high`, both included, to the nanosecond.
pub(crate) fn between(low: Duration, high: Duration, random: u64) -> Duration {
    let span = high.saturating_sub(low).as_nanos();
    // A span is cut at 584 years, so that the product below fits 128 bits.
    let span = u64::try_from(span).unwrap_or(u64::MAX);
    let offset = ((u128::from(span) + 1) * u128::from(random)) >> 64;
    low + Duration::from_nanos(u64::try_from(offset).expect("the offset is at most the span"))
}

/// A token bucket that lets retries be a share of the traffic rather than a multiple of it.
///
/// Each retry takes tokens and each success gives some back. When a service fails altogether the
/// bucket is soon empty, and callers learn at once that a retry is not worth it.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    tokens: u32,
    capacity: u32,
    retry_cost: u32,
    success_gain: u32,
}

impl RetryBudget {
    /// A full bucket.
    pub const fn new(capacity: u32, retry_cost: u32, success_gain: u32) -> RetryBudget {
        RetryBudget {
            tokens: capacity,
            capacity,
            retry_cost,
            success_gain,
        }
    }

    /// Takes what a retry costs, if that is there.
    #[must_use]
    pub const fn take(&mut self) -> bool {
        match self.tokens.checked_sub(self.retry_cost) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }

    /// A success gives some back.
    pub fn give_back(&mut self) {
        self.tokens = self
            .tokens
            .saturating_add(self.success_gain)
            .min(self.capacity);
    }

    /// What is left.
    pub const fn tokens(&self) -> u32 {
        self.tokens
    }
}

/// How many requests may be out at once: one more per round of successes, half on a refusal
/// (additive increase, multiplicative decrease).
///
/// A refusal counts once per `cooldown`: the requests that were out together fail together, and
/// say one thing between them.
#[derive(Clone, Debug)]
pub struct Window {
    size: u32,
    max: u32,
    successes: u32,
    cooldown: Duration,
    shrunk_at: Option<Mono>,
}

impl Window {
    /// A window of `start` that stays from 1 to `max`.
    pub fn new(start: u32, max: u32, cooldown: Duration) -> Window {
        let max = max.max(1);
        Window {
            size: start.clamp(1, max),
            max,
            successes: 0,
            cooldown,
            shrunk_at: None,
        }
    }

    /// How many requests may be out.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// A request succeeded.
    pub fn handle_success(&mut self) {
        self.successes += 1;
        if self.successes >= self.size {
            self.successes = 0;
            self.size = self.size.saturating_add(1).min(self.max);
        }
    }

    /// A request was refused for there being too many.
    pub fn handle_throttle(&mut self, at: Mono) {
        if self
            .shrunk_at
            .is_some_and(|shrunk| at < shrunk + self.cooldown)
        {
            return;
        }
        self.shrunk_at = Some(at);
        self.successes = 0;
        self.size = (self.size / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn full_jitter_doubles_its_limit_to_the_cap() {
        let mut backoff = Backoff::full(SECOND, 10 * SECOND);
        let limits: Vec<Duration> = (0..6).map(|_| backoff.next_pause(u64::MAX)).collect();
        assert_eq!(limits, [1, 2, 4, 8, 10, 10].map(Duration::from_secs));
        assert_eq!(backoff.attempts(), 6);
        assert_eq!(backoff.next_pause(0), Duration::ZERO);
        backoff.reset();
        assert_eq!(backoff.next_pause(u64::MAX), SECOND);
    }

    #[test]
    fn half_of_the_chance_is_half_of_the_pause() {
        let mut backoff = Backoff::full(SECOND, SECOND);
        assert_eq!(backoff.next_pause(1 << 63), SECOND / 2);
    }

    #[test]
    fn decorrelated_jitter_grows_from_its_last_pause() {
        let mut backoff = Backoff::decorrelated(SECOND, 60 * SECOND);
        assert_eq!(backoff.next_pause(u64::MAX), 3 * SECOND);
        assert_eq!(backoff.next_pause(u64::MAX), 9 * SECOND);
        assert_eq!(backoff.next_pause(0), SECOND);
        assert_eq!(backoff.next_pause(u64::MAX), 3 * SECOND);
        for _ in 0..100 {
            backoff.next_pause(u64::MAX);
        }
        assert_eq!(backoff.next_pause(u64::MAX), 60 * SECOND);
        backoff.reset();
        assert_eq!(backoff.next_pause(u64::MAX), 3 * SECOND);
    }

    #[test]
    fn a_spent_budget_refuses_retries_until_successes_refill_it() {
        let mut budget = RetryBudget::new(10, 5, 1);
        assert!(budget.take());
        assert!(budget.take());
        assert!(!budget.take());
        for _ in 0..4 {
            budget.give_back();
        }
        assert!(!budget.take());
        budget.give_back();
        assert!(budget.take());
        for _ in 0..100 {
            budget.give_back();
        }
        assert_eq!(budget.tokens(), 10);
    }

    #[test]
    fn a_window_grows_by_one_a_round_and_halves_on_refusal() {
        let at = |seconds| Mono::from_start(Duration::from_secs(seconds));
        let mut window = Window::new(2, 4, 5 * SECOND);
        for _ in 0..2 {
            window.handle_success();
        }
        assert_eq!(window.size(), 3);
        for _ in 0..100 {
            window.handle_success();
        }
        assert_eq!(window.size(), 4);
        window.handle_throttle(at(10));
        assert_eq!(window.size(), 2);
        window.handle_throttle(at(14));
        assert_eq!(window.size(), 2);
        window.handle_throttle(at(15));
        assert_eq!(window.size(), 1);
        window.handle_throttle(at(30));
        assert_eq!(window.size(), 1);
    }

    proptest! {
        #[test]
        fn pauses_stay_within_their_limits(
            base_ms in 1_u64..10_000,
            cap_ms in 1_u64..1_000_000,
            chances in prop::collection::vec(any::<u64>(), 1..80),
        ) {
            let (base, cap) = (Duration::from_millis(base_ms), Duration::from_millis(cap_ms));
            let mut full = Backoff::full(base, cap);
            let mut decorrelated = Backoff::decorrelated(base, cap);
            for chance in chances {
                prop_assert!(full.next_pause(chance) <= cap);
                let pause = decorrelated.next_pause(chance);
                prop_assert!(pause <= cap && pause >= base.min(cap));
            }
        }

        #[test]
        fn a_window_never_leaves_its_bounds(
            start in 0_u32..100,
            max in 0_u32..100,
            events in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let mut window = Window::new(start, max, Duration::ZERO);
            for (at, success) in events.into_iter().enumerate() {
                if success {
                    window.handle_success();
                } else {
                    window.handle_throttle(Mono::from_start(Duration::from_secs(at as u64)));
                }
                prop_assert!((1..=max.max(1)).contains(&window.size()));
            }
        }
    }
}
