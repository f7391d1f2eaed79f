//! Which time it is, where the system's clock may be wrong, is set while we run, and the machine
//! sleeps.

use std::collections::BTreeMap;
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

/// Who can say what time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A server of AWS, which took a signature at that time.
    Aws,
    /// systemd-timesyncd, by its mark.
    Timesyncd,
    /// chrony, asked.
    Chrony,
    /// Another daemon that answers questions of the time protocol on this machine.
    Ntp,
    /// The file that the configuration names.
    File,
}

impl Source {
    /// As status and log have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Aws => "aws",
            Source::Timesyncd => "systemd-timesyncd",
            Source::Chrony => "chrony",
            Source::Ntp => "ntp",
            Source::File => "time_mark",
        }
    }
}

/// Who confirmed the time last, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// Who it was.
    pub source: Source,
    /// What time it was then.
    pub at: UnixMillis,
}

/// The wall time, from what is known to be past, from what servers and the time sync confirmed,
/// and from the system's clock.
///
/// A confirmed time is carried on by the clock that nobody can set, so setting the system's clock
/// does not spoil it. What confirms is a server's answer, or a mark of one that keeps the system's
/// clock: the time, by that clock, at which it last found it right. A mark counts for the clock as
/// it was set then, and for no later one.
///
/// What cannot be told: a clock that somebody set between the last mark and the start of the
/// agent, in a boot that is older than the difference; one that was set right, marked, and set
/// back to what it was, all between two readings; and one that was set right, marked, and set by
/// less than the time between two readings, all between these two.
#[derive(Clone, Debug)]
pub struct WallClock {
    /// No time is before this.
    built: UnixMillis,
    /// The last time that the device is known to have seen, and when it was looked up.
    seen: UnixMillis,
    started: Duration,
    last: Reading,
    /// The last step of the system's clock: the readings before and after it. At first, nothing.
    step: (Reading, Reading),
    steps: u64,
    confirmed: Option<(Source, Reading)>,
    /// The system's clock is what somebody found right.
    synchronized: bool,
    looks: BTreeMap<Source, Looks>,
}

/// What is known of the marks of one source.
#[derive(Clone, Copy, Debug, Default)]
struct Looks {
    mark: Option<UnixMillis>,
    /// The last look, and the steps before it.
    last: Option<(Reading, u64)>,
}

impl WallClock {
    /// A clock that starts now. `seen` is a time that has passed, as far as is known.
    pub fn new(built: UnixMillis, seen: UnixMillis, now: Reading) -> WallClock {
        WallClock {
            built,
            seen,
            started: now.boot,
            last: now,
            step: (now, now),
            steps: 0,
            confirmed: None,
            synchronized: false,
            looks: BTreeMap::new(),
        }
    }

    /// The clocks were read; called before anything is asked, so that no step goes unseen. Whether
    /// there was one: then marks have to be looked for at once.
    pub fn handle_reading(&mut self, now: Reading) -> bool {
        let before = std::mem::replace(&mut self.last, now);
        let is_set = is_step(self.step.1, now);
        if is_set {
            self.step = (before, now);
            self.steps += 1;
            self.synchronized = false;
        }
        is_set
    }

    /// The mark of a source was looked for: the system's time at which it was left, if there is
    /// one.
    ///
    /// A new mark is believed when there is one clock only that it can speak of: when it was left
    /// between two looks with no step between them, or so shortly after the one step that the
    /// clock from before cannot have shown that time.
    pub fn handle_mark(&mut self, source: Source, mark: Option<UnixMillis>, now: Reading) {
        self.handle_reading(now);
        let looks = self.looks.entry(source).or_default();
        let before = looks.last.replace((now, self.steps));
        let Some(mark) = mark.filter(|mark| looks.mark != Some(*mark)) else {
            return;
        };
        looks.mark = Some(mark);
        let speaks_of_now = match before {
            // Left in this boot, as this clock counts.
            None => self.steps == 0 && is_within(now.boot, now, mark),
            Some((before, steps)) => match self.steps - steps {
                0 => is_within(now.boot.saturating_sub(before.boot), now, mark),
                1 => self.is_after_the_step(before, now, mark),
                _ => false,
            },
        };
        if speaks_of_now && now.system >= self.built {
            self.confirmed = Some((source, now));
            self.synchronized = true;
        }
    }

    /// Whether a mark was left after the last step, the only one since the look before, and that
    /// just now: the longer ago, the more a clock may have shown that came and went unread.
    fn is_after_the_step(&self, look: Reading, now: Reading, mark: UnixMillis) -> bool {
        let (before, after) = self.step;
        let since = now.boot.saturating_sub(before.boot);
        let until_step = after.boot.saturating_sub(look.boot);
        let set_clock = Reading {
            boot: after.boot,
            system: look.system.plus(until_step),
        };
        since <= limits::CLOCK_STEP_GAP_MAX
            && is_within(since, now, mark)
            && !is_within(until_step, set_clock, mark)
    }

    /// A server that we authenticated says that it is `wall`.
    pub fn confirm(&mut self, wall: UnixMillis, now: Reading) {
        self.handle_reading(now);
        let confirmed = Reading {
            system: wall,
            ..now
        };
        self.confirmed = Some((Source::Aws, confirmed));
    }

    /// Who confirmed the time last, if anybody did.
    pub fn confirmation(&self) -> Option<Confirmation> {
        let (source, reading) = self.confirmed?;
        Some(Confirmation {
            source,
            at: reading.system,
        })
    }

    /// The time by the last reading, and whether it is confirmed.
    pub fn now(&self) -> (UnixMillis, bool) {
        match self.confirmed {
            Some((_, Reading { boot, system })) => {
                let since = self.last.boot.saturating_sub(boot);
                (system.plus(since), true)
            }
            None => (self.uncorrected().0, false),
        }
    }

    /// The time by the system's clock, whatever servers said, but never one that has passed; and
    /// whether one that keeps it vouches for it.
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
        // The mark of the sync that set it, which nobody had looked for before, then its next one.
        clock.handle_mark(Source::Timesyncd, Some(TRUE), at(42, later(1)));
        assert!(!clock.now().1);
        clock.handle_mark(Source::Timesyncd, Some(TRUE), at(47, later(6)));
        clock.handle_mark(Source::Timesyncd, Some(later(33)), at(75, later(34)));
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
            ("it was set before the mark", -50_000, 8, 10, true),
            (
                "it was set from later, before the mark",
                50_000,
                8,
                10,
                true,
            ),
            (
                "it was set a little, before the mark or after",
                -5,
                3,
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
            clock.handle_mark(Source::Timesyncd, None, at(1000, later(before)));
            clock.handle_mark(Source::Timesyncd, Some(later(mark)), at(1010, later(now)));
            assert_eq!(clock.now().1, believed, "{what}");
        }
    }

    #[test]
    fn a_mark_that_was_there_first_must_be_of_this_boot() {
        for (mark, believed) in [(-90, true), (-102, false), (0, true), (2, false)] {
            let now = at(100, TRUE);
            let mut clock = WallClock::new(BUILT, SEEN, now);
            clock.handle_mark(Source::Timesyncd, Some(later(mark)), now);
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
            clock.handle_mark(Source::Timesyncd, Some(system), now);
            assert_eq!(clock.now(), (wall, believed));
        }
    }

    #[test]
    fn setting_the_clock_ends_what_the_sync_vouched_for() {
        let mut clock = WallClock::new(BUILT, SEEN, at(0, TRUE));
        clock.handle_mark(Source::Timesyncd, Some(TRUE), at(0, TRUE));
        assert_eq!(clock.uncorrected(), (TRUE, true));
        clock.handle_reading(at(10, later(7210)));
        assert_eq!(clock.uncorrected(), (later(7210), false));
        assert_eq!(clock.now(), (later(10), true));
        // The same mark says nothing new; the next one does.
        clock.handle_mark(Source::Timesyncd, Some(TRUE), at(20, later(7220)));
        assert!(!clock.uncorrected().1);
        clock.handle_mark(Source::Timesyncd, Some(later(29)), at(30, later(30)));
        assert_eq!(clock.uncorrected(), (later(30), true));
    }

    /// Set to 50,000 seconds later between two readings that lie so far apart, marked, and looked
    /// for at once.
    fn marked_after_a_gap(gap_ms: u64) -> WallClock {
        let mut clock = WallClock::new(BUILT, SEEN, at(0, TRUE));
        clock.handle_mark(Source::File, None, at(0, TRUE));
        let gap = Duration::from_millis(gap_ms);
        let after = Reading {
            boot: gap,
            system: later(50_000).plus(gap),
        };
        clock.handle_reading(after);
        clock.handle_mark(Source::File, Some(after.system), after);
        clock
    }

    #[test]
    fn a_mark_after_a_step_needs_readings_that_lie_close_around_it() {
        let bound = limits::CLOCK_STEP_GAP_MAX.as_millis() as u64;
        assert!(marked_after_a_gap(bound).now().1);
        assert!(!marked_after_a_gap(bound + 1).now().1);
    }

    #[test]
    fn a_mark_behind_two_steps_waits_for_the_next() {
        let mut clock = WallClock::new(BUILT, SEEN, at(0, UnixMillis(0)));
        clock.handle_mark(Source::Chrony, None, at(0, UnixMillis(0)));
        clock.handle_reading(at(5, later(-8000)));
        clock.handle_mark(Source::Chrony, Some(later(9)), at(10, later(10)));
        assert!(!clock.now().1);
        clock.handle_mark(Source::Chrony, Some(later(30)), at(40, later(40)));
        assert_eq!(clock.now(), (later(40), true));
    }

    #[test]
    fn every_source_is_heard_and_the_last_one_named() {
        let mut clock = WallClock::new(BUILT, SEEN, at(10, TRUE));
        assert_eq!(clock.confirmation(), None);
        let says = |clock: &WallClock| clock.confirmation().map(|last| (last.source, last.at));
        clock.handle_mark(Source::Chrony, Some(later(-3)), at(10, TRUE));
        assert_eq!(says(&clock), Some((Source::Chrony, TRUE)));
        // A mark of its own, though it is as old as that of the other.
        clock.handle_mark(Source::File, Some(later(-3)), at(11, later(1)));
        assert_eq!(says(&clock), Some((Source::File, later(1))));
        clock.confirm(later(4), at(12, later(2)));
        assert_eq!(says(&clock), Some((Source::Aws, later(4))));
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
