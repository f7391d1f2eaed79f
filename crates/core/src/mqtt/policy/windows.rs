//! A schedule as one device keeps it: what holds now, and until when.
//!
//! What was found holds until the schedule turns, and is looked up again only then, or when the
//! clock was set to a time beyond that.

use crate::limits::{MQTT_SCHEDULE_AGAIN_INTERVAL, MQTT_SCHEDULE_SPREAD_PERCENT};
use crate::schedule::Schedule;
use crate::time::UnixMillis;
use std::time::Duration;

/// The windows of one device.
#[derive(Debug)]
pub(super) struct Windows {
    schedule: Schedule,
    /// A window opens up to so much later here, or a share of it.
    spread: Duration,
    /// Where between nothing and all of that this device is.
    place: u64,
    known: Option<Stretch>,
}

/// A stretch of time in which nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    open: bool,
    from: UnixMillis,
    /// Its end, or where to look again.
    until: UnixMillis,
    offset_s: i32,
    /// From when on an open one is taken as open here.
    taken: UnixMillis,
}

impl Windows {
    pub(super) const fn new(schedule: Schedule, spread: Duration, place: u64) -> Windows {
        Windows {
            schedule,
            spread,
            place,
            known: None,
        }
    }

    /// Whether a window is open for this device, and when that changes; `None` is never.
    pub(super) fn look(&mut self, wall: UnixMillis, offset_s: i32) -> (bool, Option<UnixMillis>) {
        match self.schedule {
            Schedule::ANYTIME => return (true, None),
            Schedule::NEVER => return (false, None),
            _ => {}
        }
        let known = match self.known {
            Some(known) if known.holds(wall, offset_s) => known,
            before => self.find(before, wall, offset_s),
        };
        self.known = Some(known);
        match known.open && known.taken > wall {
            true => (false, Some(known.taken)),
            false => (known.open, Some(known.until)),
        }
    }

    /// Whether it is open whatever the time.
    pub(super) fn needs_no_clock(&self) -> bool {
        self.schedule == Schedule::ANYTIME
    }

    fn find(&self, before: Option<Stretch>, wall: UnixMillis, offset_s: i32) -> Stretch {
        let open = self.schedule.is_open(wall, offset_s);
        let turn = match open {
            true => self.schedule.next_closed(wall, offset_s),
            false => self.schedule.next_open(wall, offset_s),
        };
        // None within a year: the next look is not that far away.
        let again = || later(wall, MQTT_SCHEDULE_AGAIN_INTERVAL);
        let until = turn.unwrap_or_else(again);
        let opened = before.filter(|before| open && !before.open && before.until <= wall);
        let taken = opened.map(|before| later(before.until, self.delay(before.until, until)));
        Stretch {
            open,
            from: wall,
            until,
            offset_s,
            taken: taken.unwrap_or(wall),
        }
    }

    /// How much later than for others a window opens here.
    fn delay(&self, opens: UnixMillis, closes: UnixMillis) -> Duration {
        let length = Duration::from_millis(u64::try_from(closes.0 - opens.0).unwrap_or(0));
        let bound = self.spread.min(length / 100 * MQTT_SCHEDULE_SPREAD_PERCENT);
        let nanos = (bound.as_nanos() * u128::from(self.place)) >> 64;
        Duration::from_nanos(u64::try_from(nanos).expect("it is less than the bound"))
    }
}

impl Stretch {
    fn holds(&self, wall: UnixMillis, offset_s: i32) -> bool {
        (self.from..self.until).contains(&wall) && self.offset_s == offset_s
    }
}

/// The place of the device with this name: the same in each of its lives.
pub fn place_of(name: &str) -> u64 {
    // FNV-1a, and then each bit into all of them, for names of a fleet differ in their last letter.
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    let mut hash = name.bytes().fold(0xCBF2_9CE4_8422_2325, step);
    for factor in [0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB] {
        hash = (hash ^ hash >> 30).wrapping_mul(factor);
    }
    hash ^ hash >> 31
}

fn later(at: UnixMillis, by: Duration) -> UnixMillis {
    let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    UnixMillis(at.0.saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MQTT_SCHEDULE_SPREAD_MAX;

    /// Sunday, 2026-11-22 10:00 UTC.
    const SUNDAY: i64 = 1_795_341_600_000;
    const HOUR: i64 = 3_600_000;

    fn windows(schedule: &str, place: u64) -> Windows {
        Windows::new(schedule.parse().unwrap(), MQTT_SCHEDULE_SPREAD_MAX, place)
    }

    fn after(millis: i64) -> UnixMillis {
        UnixMillis(SUNDAY + millis)
    }

    #[test]
    fn what_was_found_holds_until_the_schedule_turns_or_the_clock_leaves_it() {
        let mut it = windows("workhours", 0);
        assert_eq!(it.look(after(0), 0), (false, Some(after(23 * HOUR))));
        let found = it.known.unwrap();
        for wall in [0, 1, HOUR, 23 * HOUR - 1] {
            assert!(found.holds(after(wall), 0), "{wall}");
            assert_eq!(it.look(after(wall), 0), (false, Some(after(23 * HOUR))));
        }
        assert_eq!(it.known, Some(found));
        for (wall, offset_s) in [(-1, 0), (23 * HOUR, 0), (HOUR, 3600)] {
            assert!(!found.holds(after(wall), offset_s), "{wall} {offset_s}");
        }
        assert_eq!(it.look(after(23 * HOUR), 0), (true, Some(after(31 * HOUR))));
        // The clock was set back, and then the zone.
        assert_eq!(it.look(after(HOUR), 0), (false, Some(after(23 * HOUR))));
        assert_eq!(it.look(after(HOUR), -3600), (false, Some(after(24 * HOUR))));
    }

    #[test]
    fn devices_open_a_window_one_after_the_other() {
        for (schedule, opens, bound) in [
            ("workhours", 23 * HOUR, 60_000),
            ("5 10 * * *", 300_000, 6_000),
        ] {
            for (place, share) in [(0, 0), (1 << 63, bound / 2), (u64::MAX, bound - 1)] {
                let mut it = windows(schedule, place);
                assert_eq!(it.look(after(0), 0), (false, Some(after(opens))));
                let (open, turn) = it.look(after(opens), 0);
                assert_eq!(open, place == 0, "{schedule}");
                if place > 0 {
                    assert_eq!(turn, Some(after(opens + share)), "{schedule}");
                    assert!(!it.look(after(opens + share - 1), 0).0);
                }
                assert!(it.look(after(opens + share), 0).0, "{schedule}");
            }
        }
    }

    #[test]
    fn devices_of_a_fleet_are_spread_evenly_by_their_names() {
        let mut tenths = [0; 10];
        for device in 0..1000 {
            let place = place_of(&format!("pump-{device}"));
            tenths[((u128::from(place) * 10) >> 64) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|count| (70..130).contains(count)),
            "{tenths:?}"
        );
        assert_eq!(place_of("pump-1"), place_of("pump-1"));
    }

    #[test]
    fn a_device_that_comes_when_the_window_is_open_does_not_wait() {
        let mut it = windows("workhours", u64::MAX);
        assert!(it.look(after(23 * HOUR), 0).0);
        // A clock that is set right while the window was thought to be closed.
        let mut it = windows("workhours", u64::MAX);
        assert!(!it.look(after(0), 0).0);
        assert!(it.look(after(24 * HOUR), 0).0);
        // One that is set back into the window of the day before: it did not open just now.
        let mut it = windows("workhours", u64::MAX);
        assert!(!it.look(after(0), 0).0);
        assert!(it.look(after(-47 * HOUR), 0).0);
    }

    #[test]
    fn a_schedule_that_does_not_turn_within_a_year_is_looked_at_again_the_next_day() {
        let mut it = windows("0 0 29 2 *", 0);
        assert_eq!(it.look(after(0), 0), (false, Some(after(24 * HOUR))));
        assert_eq!(windows("* * * * *", 0).look(after(0), 0), (true, None));
        assert_eq!(windows("never", 0).look(after(0), 0), (false, None));
    }
}
