//! Histories of clocks: a time sync that comes and goes, people who set the clock to anything,
//! servers, sleep, restarts of the agent. Every run follows from its seed.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use periwinkle_core::time::UnixMillis;
use periwinkle_core::wall::{Reading, Source, WallClock};
use periwinkle_testkit::rng::Rng;
use std::time::Duration;

const SEEDS: u64 = 5000;
const EVENTS: u32 = 200;
const BUILT: UnixMillis = UnixMillis(1_700_000_000_000);
const YEARS_MS: u64 = 60 * 365 * 86_400_000;
/// The sources that leave marks.
const MARKERS: [Source; 3] = [Source::Timesyncd, Source::Chrony, Source::File];
/// The most that passes between a mark and a step that nobody reads the clock between.
const UNREAD_MS: u64 = 3000;
/// What readings and stamps may be off, once for the step that is let be and once for the mark.
const TOLERANCE_MS: i64 = 2000;

/// The machine: what time it really is, and what its clock shows.
struct Machine {
    rng: Rng,
    real_ms: i64,
    boot: Duration,
    ahead_ms: i64,
    marks: [Option<UnixMillis>; MARKERS.len()],
    seen: UnixMillis,
}

impl Machine {
    fn new(seed: u64) -> Machine {
        let mut rng = Rng::new(seed);
        let real_ms = BUILT.0 + rng.below(YEARS_MS / 6) as i64;
        let ahead_ms = if rng.one_in(3) { 0 } else { -real_ms };
        Machine {
            real_ms,
            boot: Duration::from_millis(rng.below(100_000)),
            ahead_ms,
            marks: [None; MARKERS.len()],
            seen: UnixMillis(real_ms - rng.below(86_400_000) as i64),
            rng,
        }
    }

    fn reading(&self) -> Reading {
        Reading {
            boot: self.boot,
            system: UnixMillis(self.real_ms + self.ahead_ms),
        }
    }

    fn pass(&mut self, most_ms: u64) {
        let ms = self.rng.below(most_ms);
        self.boot += Duration::from_millis(ms);
        self.real_ms += ms as i64;
    }

    /// One of the sources sets the clock and leaves its mark. Stamps count in ticks of the kernel.
    fn sync(&mut self) {
        self.ahead_ms = self.rng.below(300) as i64 - 150;
        let marker = self.rng.below(MARKERS.len() as u64) as usize;
        self.marks[marker] = Some(UnixMillis(self.reading().system.0 / 10 * 10));
    }

    /// Somebody looks for the marks, for all of them or for one: daemons are asked more rarely.
    fn look(&mut self, clock: &mut WallClock) {
        let now = self.reading();
        let one = self.rng.below(MARKERS.len() as u64 * 2) as usize;
        for (marker, source) in MARKERS.into_iter().enumerate() {
            if one >= MARKERS.len() || one == marker {
                clock.handle_mark(source, self.marks[marker], now);
            }
        }
    }

    /// Somebody sets the clock: to anything, or a little wrong.
    fn set(&mut self) {
        self.ahead_ms = match self.rng.below(3) {
            0 => self.rng.below(YEARS_MS) as i64 - self.real_ms,
            1 => self.rng.below(10_000) as i64 - 5000,
            _ => self.rng.below(7_200_000) as i64 - 3_600_000,
        };
    }

    /// The agent starts where the clock was not set since the last sync: that cannot be told.
    fn start(&mut self) -> WallClock {
        if self.marks.iter().any(Option::is_some) {
            self.sync();
        }
        let mut clock = WallClock::new(BUILT, self.seen, self.reading());
        self.look(&mut clock);
        clock
    }

    fn step(&mut self, clock: &mut WallClock) {
        match self.rng.below(12) {
            0 => self.set(),
            1 => self.sync(),
            // Set and marked, or marked and set, before anybody looks.
            2 => {
                self.set();
                self.pass(UNREAD_MS);
                self.sync();
            }
            3 => {
                let before = self.ahead_ms;
                self.sync();
                let synced = self.ahead_ms;
                self.pass(UNREAD_MS);
                self.set();
                // Set back to what it was, or by less than what passed: that cannot be told.
                while self.ahead_ms.abs_diff(before) < 1500
                    || self.ahead_ms.abs_diff(synced) < UNREAD_MS + 2000
                {
                    self.ahead_ms += 700;
                }
            }
            4 => self.pass(40_000_000),
            5 => clock.confirm(UnixMillis(self.real_ms), self.reading()),
            6 => *clock = self.start(),
            7 | 8 => self.look(clock),
            _ => self.pass(60_000),
        }
    }

    fn check(&mut self, clock: &mut WallClock) -> bool {
        let reading = self.reading();
        if clock.handle_reading(reading) {
            self.look(clock);
        }
        let (wall, trusted) = clock.now();
        if trusted {
            let off = wall.0 - self.real_ms;
            assert!(off.abs() <= TOLERANCE_MS, "trusted and {off} ms off");
        } else {
            assert!(wall >= self.seen, "{wall} is before what was seen");
            let floor_passed = reading.system.0 >= self.real_ms;
            assert!(!floor_passed || wall == reading.system);
        }
        trusted
    }
}

#[test]
fn time_is_never_trusted_and_wrong_whatever_happens_to_the_clocks() {
    let (mut trusted, mut not) = (0_u64, 0_u64);
    for seed in 0..SEEDS {
        let run = std::panic::catch_unwind(|| {
            let mut machine = Machine::new(seed);
            let mut clock = machine.start();
            let mut trusted = 0_u64;
            for _ in 0..EVENTS {
                machine.step(&mut clock);
                trusted += u64::from(machine.check(&mut clock));
            }
            trusted
        });
        match run {
            Ok(times) => {
                trusted += times;
                not += u64::from(EVENTS) - times;
            }
            Err(_) => panic!("seed {seed}"),
        }
    }
    // Neither is rare: the run says something about both.
    assert!(trusted > SEEDS * 40 && not > SEEDS, "{trusted} {not}");
}
