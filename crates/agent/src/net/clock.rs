//! The one reader of the clocks.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use periwinkle_core::aws::sigv4::ClockOffset;
use periwinkle_core::time::{Mono, Now, UnixMillis};
use periwinkle_core::wall::{Reading, WallClock};
use rustix::time::{ClockId, clock_gettime};

/// Hands out [`Now`] to everything else; clones share one state.
///
/// The wall time is what a server or the system's time sync confirmed in this boot, carried on by
/// the clock that nobody can set. Before that it is the system's clock, but never before the build
/// or the last time this device is known to have seen, and it is marked as not trusted.
#[derive(Clone, Debug)]
pub struct Clock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    wall: Mutex<Wall>,
}

#[derive(Debug)]
struct Wall {
    clock: WallClock,
    /// When to look for the time sync's mark again.
    look_due: Duration,
}

/// Written by systemd-timesyncd each time it has set the system's clock.
const TIMESYNC_MARK: &str = "/run/systemd/timesync/synchronized";

/// How often that is looked for.
const TIMESYNC_LOOK: Duration = Duration::from_secs(5);

impl Clock {
    /// A clock that never shows less than the build time and the newest file in `state`.
    pub fn new(state: &Path) -> Clock {
        let clock = WallClock::new(build_time(), newest_file(state), reading());
        let wall = Mutex::new(Wall {
            clock,
            look_due: Duration::ZERO,
        });
        let start = Instant::now();
        Clock {
            shared: Arc::new(Shared { start, wall }),
        }
    }

    /// The time, by every clock.
    pub fn now(&self) -> Now {
        let (wall, trusted) = self.read().clock.now();
        self.at(wall, trusted)
    }

    /// The time by the machine's own clocks, whatever servers said: what their `Date` is compared
    /// with.
    pub fn uncorrected(&self) -> Now {
        let (wall, trusted) = self.read().clock.uncorrected();
        self.at(wall, trusted)
    }

    fn at(&self, wall: UnixMillis, trusted: bool) -> Now {
        Now {
            mono: self.mono(),
            wall: Some(wall),
            trusted,
        }
    }

    /// The monotonic clock alone; cheap.
    pub fn mono(&self) -> Mono {
        Mono::from_start(self.shared.start.elapsed())
    }

    /// A server that we authenticated says that it is `wall` now.
    pub fn confirm(&self, wall: UnixMillis) {
        self.read().clock.confirm(wall, reading());
    }

    /// The clocks as they are now. They are read under the lock, so that no reading is taken in
    /// behind a later one.
    fn read(&self) -> MutexGuard<'_, Wall> {
        let wall = self.shared.wall.lock();
        let mut wall = wall.expect("no holder of the clock's lock panics");
        let now = reading();
        let was_set = wall.clock.handle_reading(now);
        if was_set || now.boot >= wall.look_due {
            wall.clock.handle_mark(mark(), now);
            wall.look_due = now.boot + TIMESYNC_LOOK;
        }
        wall
    }
}

/// What the clock of a server is ahead of this machine's. It holds for as long as nobody sets
/// this machine's clock, and is forgotten then.
#[derive(Debug)]
pub struct ServerOffset {
    clock: Clock,
    known: Mutex<(u64, ClockOffset)>,
}

/// When a request left, by the machine's clock as it was set then.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    wall: UnixMillis,
    steps: u64,
}

impl ServerOffset {
    /// Nothing is known.
    pub fn new(clock: Clock) -> ServerOffset {
        ServerOffset {
            clock,
            known: Mutex::default(),
        }
    }

    /// The time by the server's clock, as far as it is known.
    pub fn now(&self) -> UnixMillis {
        let now = self.departure();
        let (steps, offset) = *self.known();
        match steps == now.steps {
            true => offset.signing_time(now.wall),
            false => now.wall,
        }
    }

    /// A request leaves now.
    pub fn departure(&self) -> Departure {
        let wall = self.clock.read();
        Departure {
            wall: wall.clock.uncorrected().0,
            steps: wall.clock.steps(),
        }
    }

    /// Its answer came with this `Date`. One that began under another clock says nothing.
    pub fn handle_date(&self, date: UnixMillis, sent: Departure) {
        let now = self.departure();
        if now.steps != sent.steps {
            return;
        }
        let mut known = self.known();
        known.1.handle_date(date, sent.wall, now.wall);
        known.0 = now.steps;
    }

    fn known(&self) -> MutexGuard<'_, (u64, ClockOffset)> {
        self.known.lock().expect("nobody panics with the offset")
    }
}

/// Both clocks, read so closely together that they belong together.
fn reading() -> Reading {
    const CLOSE: Duration = Duration::from_millis(50);
    const TRIES: usize = 4;
    let mut reading = read_both();
    for _ in 1..TRIES {
        if since_boot().saturating_sub(reading.boot) <= CLOSE {
            break;
        }
        // The machine slept, or others had the processor.
        reading = read_both();
    }
    reading
}

fn read_both() -> Reading {
    Reading {
        boot: since_boot(),
        system: system_time(),
    }
}

fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::try_from(time).unwrap_or(Duration::ZERO)
}

fn mark() -> Option<UnixMillis> {
    let metadata = fs::metadata(TIMESYNC_MARK).ok()?;
    metadata.modified().ok().map(from_system)
}

/// The system's wall time, trusted or not: for showing only.
pub fn system_time() -> UnixMillis {
    from_system(SystemTime::now())
}

/// How far this machine's local time is ahead of UTC, in seconds.
#[cfg(feature = "mqtt")]
pub fn local_offset_s(wall: Option<UnixMillis>) -> i32 {
    let wall = wall.and_then(|wall| jiff::Timestamp::from_millisecond(wall.0).ok());
    wall.map_or(0, |wall| {
        jiff::tz::TimeZone::system().to_offset(wall).seconds()
    })
}

fn from_system(time: SystemTime) -> UnixMillis {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn build_time() -> UnixMillis {
    let seconds = env!("PERIWINKLE_BUILD_UNIX").parse::<i64>().unwrap_or(0);
    UnixMillis(seconds.saturating_mul(1000))
}

/// The newest modification in a folder: the last time that this device is known to have seen.
fn newest_file(folder: &Path) -> UnixMillis {
    let Ok(entries) = fs::read_dir(folder) else {
        return UnixMillis(0);
    };
    let stamps = entries.filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok());
    stamps.map(from_system).max().unwrap_or(UnixMillis(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmed_time_is_trusted_and_carried_on_by_the_monotonic_clock() {
        let clock = Clock::new(Path::new("/nonexistent"));
        clock.confirm(UnixMillis(4_000_000_000_000));
        let first = clock.now();
        let second = clock.now();
        assert!(first.trusted && second.trusted);
        assert!(first.wall >= Some(UnixMillis(4_000_000_000_000)));
        assert!(second.wall >= first.wall);
        assert!(second.wall < Some(UnixMillis(4_000_000_060_000)));
    }

    #[test]
    fn wall_time_is_never_before_the_build() {
        let clock = Clock::new(Path::new("/nonexistent"));
        assert!(clock.now().wall >= Some(build_time()));
    }

    #[test]
    fn an_offset_is_kept_and_forgotten_when_the_clock_is_set() {
        let clock = Clock::new(Path::new("/nonexistent"));
        let offset = ServerOffset::new(clock.clone());
        let sent = offset.departure();
        let hours = UnixMillis(sent.wall.0 + 7_200_000);
        offset.handle_date(hours, sent);
        assert!(offset.now() >= hours);
        // Somebody sets the clock.
        let set = |by_ms: i64| {
            let mut now = reading();
            now.system = UnixMillis(now.system.0 + by_ms);
            let mut wall = clock.shared.wall.lock().expect("nobody panics with it");
            wall.clock.handle_reading(now);
        };
        set(7_200_000);
        assert!(offset.now() < hours);
        // What left before says nothing of the clock that is there now.
        offset.handle_date(hours, sent);
        assert!(offset.now() < hours);
        let sent = offset.departure();
        offset.handle_date(hours, sent);
        assert!(offset.now() >= hours);
    }
}
