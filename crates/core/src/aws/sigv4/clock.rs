//! The difference between our clock and AWS's.

use crate::limits;
use crate::time::UnixMillis;

/// What has to be added to our clock for a signature's time.
///
/// AWS refuses signatures whose time is more than some minutes away from its own. Every answer
/// carries a `Date`, the refusal too, so one round trip is enough to learn the difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockOffset {
    millis: i64,
}

impl ClockOffset {
    /// An answer with this `Date` came; our clock read `sent` and `received` around the exchange.
    ///
    /// Small differences are not taken over: `Date` counts whole seconds, and an answer may have
    /// waited on its way.
    pub fn handle_date(&mut self, date: UnixMillis, sent: UnixMillis, received: UnixMillis) {
        let tolerance = i64::try_from(limits::SIGNING_CLOCK_TOLERANCE.as_millis())
            .expect("the tolerance is a minute");
        let middle = sent.0.midpoint(received.0);
        let difference = date.0.saturating_sub(middle);
        self.millis = if difference.abs() <= tolerance {
            0
        } else {
            difference
        };
    }

    /// The time to sign with, when our clock reads `local`.
    pub const fn signing_time(self, local: UnixMillis) -> UnixMillis {
        UnixMillis(local.0.saturating_add(self.millis))
    }

    /// What is added, in milliseconds.
    pub const fn millis(self) -> i64 {
        self.millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_corrected_by_the_middle_of_the_exchange() {
        let mut offset = ClockOffset::default();
        offset.handle_date(UnixMillis(1_000_000), UnixMillis(1000), UnixMillis(3000));
        assert_eq!(offset.millis(), 998_000);
        assert_eq!(offset.signing_time(UnixMillis(5000)), UnixMillis(1_003_000));
        offset.handle_date(UnixMillis(1000), UnixMillis(500_000), UnixMillis(500_000));
        assert_eq!(offset.millis(), -499_000);
    }

    #[test]
    fn a_minute_is_let_be_and_more_is_not() {
        let after = |difference| {
            let mut offset = ClockOffset::default();
            offset.handle_date(UnixMillis(difference), UnixMillis(0), UnixMillis(0));
            offset.millis()
        };
        assert_eq!([after(60_000), after(-60_000)], [0, 0]);
        assert_eq!([after(60_001), after(-60_001)], [60_001, -60_001]);
    }

    #[test]
    fn a_clock_that_was_set_right_loses_its_correction() {
        let mut offset = ClockOffset::default();
        offset.handle_date(UnixMillis(1_000_000), UnixMillis(0), UnixMillis(0));
        offset.handle_date(
            UnixMillis(1_000_000),
            UnixMillis(1_000_000),
            UnixMillis(1_000_000),
        );
        assert_eq!(offset, ClockOffset::default());
    }
}
