//! How fast bytes may leave.

use std::time::Duration;

use crate::limits;
use crate::time::Mono;

/// A rate that all senders keep together.
///
/// Each asks before it sends and waits as long as it is told. What was not used for a while may
/// be sent at once, up to one second's worth.
#[derive(Clone, Debug)]
pub struct Pace {
    bytes_per_second: u64,
    /// When everything that was granted so far has left at the rate.
    free_at: Mono,
}

impl Pace {
    /// A rate; zero counts as one byte a second.
    pub fn new(bytes_per_second: u64) -> Pace {
        Pace {
            bytes_per_second: bytes_per_second.max(1),
            free_at: Mono::ZERO,
        }
    }

    /// `bytes` are to be sent: how long to wait before that.
    pub fn take(&mut self, bytes: u64, now: Mono) -> Duration {
        const BURST: Duration = Duration::from_secs(1);
        let start = match self.free_at + BURST < now {
            // Only a second of what was left unused counts.
            true => Mono::from_start(now.since_start().saturating_sub(BURST)),
            false => self.free_at,
        };
        self.free_at = start + self.lasts(bytes);
        self.free_at.since(now)
    }

    /// What was granted is not sent after all.
    pub fn give_back(&mut self, bytes: u64) {
        self.free_at = self.free_at - self.lasts(bytes);
    }

    /// How many bytes to ask for at once, so that something leaves every half a second.
    pub fn slice_bytes(&self) -> u64 {
        let most = limits::UPLOAD_PIECE_BYTES as u64;
        (self.bytes_per_second / 2).clamp(limits::UPLOAD_SLICE_BYTES_MIN, most)
    }

    /// How many may send at once, of as many as were allowed: none of them so slowly that it looks
    /// as if it were stuck.
    pub fn senders(&self, allowed: u32) -> u32 {
        let most = self.bytes_per_second / limits::UPLOAD_PIECE_BYTES as u64;
        u32::try_from(most)
            .unwrap_or(u32::MAX)
            .clamp(1, allowed.max(1))
    }

    fn lasts(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Mono {
        Mono::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn what_was_not_used_may_be_sent_at_once_up_to_a_second() {
        let mut pace = Pace::new(1000);
        let wait = |pace: &mut Pace, bytes, now| pace.take(bytes, at(now)).as_millis();
        assert_eq!(wait(&mut pace, 1000, 60_000), 0);
        assert_eq!(wait(&mut pace, 500, 60_000), 500);
        assert_eq!(wait(&mut pace, 500, 60_500), 500);
        assert_eq!(wait(&mut pace, 0, 61_000), 0);
        assert_eq!(wait(&mut pace, 2000, 90_000), 1000);
    }

    #[test]
    fn no_sender_is_silent_for_long_at_the_lowest_rate_or_any_other() {
        for rate in [
            limits::UPLOAD_RATE_BYTES_MIN,
            2000,
            4400,
            70_000,
            300_000,
            1 << 40,
        ] {
            let mut pace = Pace::new(rate);
            let senders = pace.senders(4);
            let slice = pace.slice_bytes();
            // Each asks again as soon as it was granted its slice.
            let mut free = vec![Mono::ZERO; senders as usize];
            for _ in 0..200 {
                let next = free.iter_mut().min().unwrap();
                let silent = pace.take(slice, *next);
                assert!(silent <= Duration::from_secs(3), "{rate}: {silent:?}");
                *next = *next + silent;
            }
        }
        assert_eq!(Pace::new(131_072).senders(4), 2);
        assert_eq!(Pace::new(1).senders(4), 1);
        assert_eq!(Pace::new(1 << 30).senders(4), 4);
    }

    #[test]
    fn what_was_not_sent_costs_the_others_nothing() {
        let mut pace = Pace::new(1000);
        assert_eq!(pace.take(1000, at(60_000)).as_millis(), 0);
        assert_eq!(pace.take(60_000, at(60_000)).as_millis(), 60_000);
        pace.give_back(60_000);
        assert_eq!(pace.take(500, at(60_000)).as_millis(), 500);
    }

    proptest! {
        #[test]
        fn the_rate_is_never_exceeded(
            rate in 1_u64..1_000_000,
            sends in prop::collection::vec((0_u64..200_000, 0_u64..3000), 1..60),
        ) {
            let mut pace = Pace::new(rate);
            let (mut now, mut sent) = (at(0), 0_u64);
            for (bytes, idle_ms) in sends {
                now = now + Duration::from_millis(idle_ms);
                now = now + pace.take(bytes, now);
                sent += bytes;
                // One second's worth may have been saved, and each take rounds down a little.
                let allowed = (now.since_start().as_secs_f64() + 1.001) * rate as f64 + 1.0;
                prop_assert!(sent as f64 <= allowed, "{sent} of {allowed}");
            }
        }
    }
}
