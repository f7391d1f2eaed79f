//! Time as the machines see it: always an argument, never read.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the monotonic clock, counted from an arbitrary start of the process.
///
/// Used for every deadline. It never goes back and says nothing about the date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(Duration);

impl Mono {
    /// The start of the clock.
    pub const ZERO: Mono = Mono(Duration::ZERO);

    /// The point `since_start` after the start of the clock.
    pub const fn from_start(since_start: Duration) -> Mono {
        Mono(since_start)
    }

    /// How long after the start of the clock this point lies.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    fn add(self, rhs: Duration) -> Mono {
        Mono(self.0.saturating_add(rhs))
    }
}

impl Sub<Duration> for Mono {
    type Output = Mono;

    fn sub(self, rhs: Duration) -> Mono {
        Mono(self.0.saturating_sub(rhs))
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The point `by` later; saturates.
    pub fn plus(self, by: Duration) -> UnixMillis {
        UnixMillis(
            self.0
                .saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The text form that DynamoDB applications use: `2026-11-22T10:21:53.667Z`.
    ///
    /// Values outside the years -9999 to 9999 are clamped to that range.
    pub fn iso(self) -> String {
        let stamp = jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        format!("{stamp:.3}")
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso())
    }
}

/// What a machine is told of the time with every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock: deadlines and intervals.
    pub mono: Mono,
    /// The best known wall time; `None` when there is not even a build time to start from.
    pub wall: Option<UnixMillis>,
    /// Whether a server's `Date` or the system's time sync confirmed `wall` in this boot.
    ///
    /// Nothing is deleted, expired for good or ordered by time that is not trusted.
    pub trusted: bool,
}

impl Now {
    /// The wall time if it is trusted.
    pub fn trusted_wall(self) -> Option<UnixMillis> {
        self.wall.filter(|_| self.trusted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_text_has_milliseconds_and_z() {
        assert_eq!(
            UnixMillis(1_795_342_913_667).iso(),
            "2026-11-22T10:21:53.667Z"
        );
        assert_eq!(UnixMillis(0).iso(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn only_trusted_wall_time_is_handed_out_as_such() {
        let now = Now {
            mono: Mono::ZERO,
            wall: Some(UnixMillis(5)),
            trusted: false,
        };
        assert_eq!(now.trusted_wall(), None);
        assert_eq!(
            Now {
                trusted: true,
                ..now
            }
            .trusted_wall(),
            Some(UnixMillis(5))
        );
    }
}
