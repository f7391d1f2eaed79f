//! Which time it is, where the system's clock may be wrong, is set while we run, and the machine
//! sleeps.

use std::time::Duration;

use crate::limits;
use crate::time::UnixMillis;

/// Both clocks of a machine, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Since the machine started, sleep included. Nobody can set it.
    pub boot: Duration,
    /// The system's wall time, which anybody may set.
    pub system: UnixMillis,
}

/// The wall time, from what is known to be past, from what servers and the time sync confirmed,
/// and from the system's clock.
///
/// A confirmed time is carried on by the clock that nobody can set, so setting the system's clock
/// does not spoil it. What confirms is a server's answer, or a mark that the time sync leaves each
/// time it has set the clock: that counts for the clock as it was set then, and for no later one.
///
/// What cannot be told: a clock that somebody set between the last sync and the start of the
/// agent, in a boot that is older than the difference; and one that the sync set right and somebody
/// set back to what it was, both between two readings.
#[derive(Clone, Debug)]
pub struct WallClock {
    /// No time is before this.
    built: UnixMillis,
    /// The last time that the device is known to have seen, and when it was looked up.
    seen: UnixMillis,
    started: Duration,
    last: Reading,
    /// The reading at the last step of the system's clock.
    even: Reading,
    steps: u64,
    confirmed: Option<Reading>,
    /// The system's clock is what the time sync set.
    synchronized: bool,
    mark: Option<UnixMillis>,
    /// The last look for the mark, and the steps before it.
    looked: Option<(Reading, u64)>,
}

impl WallClock {
    /// A clock that starts now. `seen` is a time that has passed, as far as files can tell.
    pub fn new(built: UnixMillis, seen: UnixMillis, now: Reading) -> WallClock {
        WallClock {
            built,
            seen,
            started: now.boot,
            last: now,
            even: now,
            steps: 0,
            confirmed: None,
            synchronized: false,
            mark: None,
            looked: None,
        }
    }

    /// The clocks were read; called before anything is asked, so that no step goes unseen. Whether
    /// there was one: then the mark has to be looked for at once.
    pub fn handle_reading(&mut self, now: Reading) -> bool {
        self.last = now;
        let is_set = is_step(self.even, now);
        if is_set {
            self.even = now;
            self.steps += 1;
            self.synchronized = false;
        }
        is_set
    }

    /// The mark of the time sync was looked for: the system's time at which it was left, if there
    /// is one.
    ///
    /// It is believed when it was left between two looks with no step between them, so that there
    /// is one clock only that it can speak of. The sync that sets a clock is believed by its next
    /// mark, half a minute later.
    pub fn handle_mark(&mut self, mark: Option<UnixMillis>, now: Reading) {
        self.handle_reading(now);
        let before = self.looked.replace((now, self.steps));
        let Some(mark) = mark.filter(|mark| self.mark != Some(*mark)) else {
            return;
        };
        self.mark = Some(mark);
        let speaks_of_now = match before {
            Some((_, steps)) if steps != self.steps => false,
            Some((before, _)) => is_within(now.boot.saturating_sub(before.boot), now, mark),
            // Left in this boot, as this clock counts.
            None => self.steps == 0 && is_within(now.boot, now, mark),
        };
        if speaks_of_now && now.system >= self.built {
            self.confirmed = Some(now);
            self.synchronized = true;
        }
    }

    /// A server that we authenticated says that it is `wall`.
    pub fn confirm(&mut self, wall: UnixMillis, now: Reading) {
        self.handle_reading(now);
        self.confirmed = Some(Reading {
            system: wall,
            ..now
        });
    }

    /// The time by the last reading, and whether it is confirmed.
    pub fn now(&self) -> (UnixMillis, bool) {
        match self.confirmed {
            Some(Reading { boot, system }) => {
                let since = self.last.boot.saturating_sub(boot);
                (system.plus(since), true)
            }
            None => (self.uncorrected().0, false),
        }
    }

    /// The time by the system's clock, whatever servers said, but never one that has passed; and
    /// whether the time sync vouches for it.
    pub fn uncorrected(&self) -> (UnixMillis, bool) {
        if self.synchronized {
            return (self.last.system, true);
        }
        let passed = self.last.boot.saturating_sub(self.started);
        let floor = self.built.max(self.seen).plus(passed);
        (self.last.system.max(floor), false)
    }

    /// How often the system's clock was set. What was learnt by comparing with it holds until this
    /// changes.
    pub const fn steps(&self) -> u64 {
        self.steps
    }
}

/// Whether the system's clock was set between two readings.
fn is_step(before: Reading, now: Reading) -> bool {
    let ahead = |reading: Reading| i128::from(reading.system.0) - millis(reading.boot);
    (ahead(now) - ahead(before)).abs() > millis(limits::CLOCK_STEP_MIN)
}

/// Whether a mark was left in the last stretch of time, give or take what stamps of files are off.
fn is_within(stretch: Duration, now: Reading, mark: UnixMillis) -> bool {
    let age = i128::from(now.system.0) - i128::from(mark.0);
    let slack = millis(limits::CLOCK_STEP_MIN);
    (-slack..=millis(stretch) + slack).contains(&age)
}

fn millis(duration: Duration) -> i128 {
    i128::try_from(duration.as_millis()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: UnixMillis = UnixMillis(1_700_000_000_000);
    const SEEN: UnixMillis = UnixMillis(1_790_000_000_000);
    /// What it really is when the tables begin.
    const TRUE: UnixMillis = UnixMillis(1_795_000_000_000);

    fn at(boot_s: u64, system: UnixMillis) -> Reading {
        Reading {
            boot: Duration::from_secs(boot_s),
            system,
        }
    }

    /// `TRUE` and so many seconds.
    fn later(seconds: i64) -> UnixMillis {
        UnixMillis(TRUE.0 + seconds * 1000)
    }

    fn read(clock: &mut WallClock, reading: Reading) -> (UnixMillis, bool) {
        clock.handle_reading(reading);
        clock.now()
    }

    #[test]
    fn a_clock_that_is_set_right_counts_as_it_is_and_not_from_the_floor() {
        let mut clock = WallClock::new(BUILT, SEEN, at(10, UnixMillis(0)));
        assert_eq!(clock.now(), (SEEN, false));
        // While it is wrong, the floor moves on.
        let wrong = read(&mut clock, at(40, UnixMillis(30_000)));
        assert_eq!(wrong, (SEEN.plus(Duration::from_secs(30)), false));
        let right = read(&mut clock, at(41, TRUE));
        assert_eq!((right, clock.steps()), ((TRUE, false), 1));
        // The mark of the sync that set it, then its next one.
        clock.handle_mark(Some(TRUE), at(42, later(1)));
        assert!(!clock.now().1);
        clock.handle_mark(Some(TRUE), at(47, later(6)));
        clock.handle_mark(Some(later(33)), at(75, later(34)));
        assert_eq!(clock.now(), (later(34), true));
        assert_eq!(clock.uncorrected(), (later(34), true));
    }

    #[test]
    fn a_step_below_the_floor_lets_the_floor_move_on() {
        let mut clock = WallClock::new(BUILT, SEEN, at(10, TRUE));
        assert_eq!(clock.now(), (TRUE, false));
        let back = read(&mut clock, at(70, UnixMillis(5)));
        assert_eq!(back, (SEEN.plus(Duration::from_secs(60)), false));
        assert_eq!(read(&mut clock, at(80, later(80))), (later(80), false));
        assert_eq!(clock.steps(), 2);
    }

    #[test]
    fn what_a_server_confirmed_outlasts_steps_and_sleep() {
        let mut clock = WallClock::new(BUILT, SEEN, at(0, UnixMillis(0)));
        clock.confirm(TRUE, at(1, UnixMillis(1000)));
        assert_eq!(read(&mut clock, at(11, later(99_999))), (later(10), true));
        // The system's own word is not that of the server.
        assert_eq!(clock.uncorrected(), (later(99_999), false));
        // A night's sleep, as the clock counts that nobody can set.
        let woken = read(&mut clock, at(30_001, UnixMillis(7)));
        assert_eq!(woken, (later(30_000), true));
    }

    #[test]
    fn a_mark_speaks_for_the_clock_that_it_was_left_under() {
        // The last look, the mark, the present reading, and whether it is believed.
        let table = [
            ("the clock was right all along", 0, 8, 10, true),
            (
                "it was set, before the mark or after it",
                -50_000,
                8,
                10,
                false,
            ),
            ("it was set forward", 0, 8, 99_999, false),
            ("it was set back", 0, 8, -99_999, false),
            ("it was set a little", 0, 8, 13, false),
            ("the mark is older than the last look", 0, -60, 10, false),
            ("the mark lies ahead", 0, 60, 10, false),
        ];
        for (what, before, mark, now, believed) in table {
            let mut clock = WallClock::new(BUILT, SEEN, at(1000, later(before)));
            clock.handle_mark(None, at(1000, later(before)));
            clock.handle_mark(Some(later(mark)), at(1010, later(now)));
            assert_eq!(clock.now().1, believed, "{what}");
        }
    }

    #[test]
    fn a_mark_that_was_there_first_must_be_of_this_boot() {
        for (mark, believed) in [(-90, true), (-102, false), (0, true), (2, false)] {
            let now = at(100, TRUE);
            let mut clock = WallClock::new(BUILT, SEEN, now);
            clock.handle_mark(Some(later(mark)), now);
            assert_eq!(clock.now(), (TRUE, believed), "{mark}");
        }
    }

    #[test]
    fn a_sync_outweighs_files_from_a_wrong_future_and_not_the_build() {
        for (system, wall, believed) in [
            (UnixMillis(BUILT.0 + 1), UnixMillis(BUILT.0 + 1), true),
            (UnixMillis(BUILT.0 - 1), SEEN, false),
        ] {
            let now = at(100, system);
            let mut clock = WallClock::new(BUILT, SEEN, now);
            clock.handle_mark(Some(system), now);
            assert_eq!(clock.now(), (wall, believed));
        }
    }

    #[test]
    fn setting_the_clock_ends_what_the_sync_vouched_for() {
        let mut clock = WallClock::new(BUILT, SEEN, at(0, TRUE));
        clock.handle_mark(Some(TRUE), at(0, TRUE));
        assert_eq!(clock.uncorrected(), (TRUE, true));
        clock.handle_reading(at(10, later(7210)));
        assert_eq!(clock.uncorrected(), (later(7210), false));
        assert_eq!(clock.now(), (later(10), true));
        // The same mark says nothing new; the next one does.
        clock.handle_mark(Some(TRUE), at(20, later(7220)));
        assert!(!clock.uncorrected().1);
        clock.handle_mark(Some(later(29)), at(30, later(30)));
        assert!(!clock.uncorrected().1);
        clock.handle_mark(Some(later(59)), at(60, later(60)));
        assert_eq!(clock.uncorrected(), (later(60), true));
    }

    #[test]
    fn a_second_is_no_step_and_more_is_one() {
        let steps = |by_ms: i64| {
            let mut clock = WallClock::new(BUILT, SEEN, at(0, TRUE));
            clock.handle_reading(at(10, UnixMillis(later(10).0 + by_ms)));
            clock.steps()
        };
        assert_eq!([steps(1000), steps(-1000)], [0, 0]);
        assert_eq!([steps(1001), steps(-1001)], [1, 1]);
        // Many small ones add up.
        let mut clock = WallClock::new(BUILT, SEEN, at(0, TRUE));
        clock.handle_reading(at(10, UnixMillis(later(10).0 + 900)));
        clock.handle_reading(at(20, UnixMillis(later(20).0 + 1800)));
        assert_eq!(clock.steps(), 1);
    }
}
