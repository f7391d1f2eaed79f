//! The one reader of the clocks.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use periwinkle_core::config::Runtime;
use periwinkle_core::limits;
use periwinkle_core::time::{Mono, Now, UnixMillis};
use periwinkle_core::wall::{Confirmation, Reading, Source, WallClock};
use rustix::time::{ClockId, clock_gettime};

use crate::state::write_private;

/// Hands out [`Now`] to everything else; clones share one state.
///
/// The wall time is what a server, or one that keeps the system's clock, confirmed in this boot,
/// carried on by the clock that nobody can set. Before that it is the system's clock, but never
/// before the build or the last time that was confirmed in an earlier life, and it is marked as
/// not trusted.
#[derive(Clone, Debug)]
pub struct Clock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    /// Files that are left each time that somebody has found the system's clock right.
    marks: Vec<(Source, PathBuf)>,
    /// The file with the last time that was confirmed.
    kept: PathBuf,
    wall: Mutex<Wall>,
}

#[derive(Debug)]
struct Wall {
    clock: WallClock,
    /// When to look for the marks again.
    look_due: Duration,
}

/// Written by systemd-timesyncd each time it has set the system's clock.
const TIMESYNC_MARK: &str = "/run/systemd/timesync/synchronized";

/// The file of the state directory that holds the last time that was confirmed. A text and no
/// stamp of a file: stamps come from a clock that may be wrong, and from whoever copies files.
const KEPT: &str = "last-time";

impl Clock {
    /// A clock that never shows less than the build time and the time kept in `state`.
    #[cfg(any(feature = "mqtt", test))]
    pub fn new(state: &Path) -> Clock {
        Clock::with_marks(state, vec![(Source::Timesyncd, TIMESYNC_MARK.into())])
    }

    /// The clock of an agent: it also believes the mark that the configuration names.
    pub fn configured(runtime: &Runtime) -> Clock {
        let named = runtime.time_mark.iter().cloned();
        let named = named.map(|path| (Source::File, path));
        let timesync = (Source::Timesyncd, TIMESYNC_MARK.into());
        Clock::with_marks(
            &runtime.state,
            [timesync].into_iter().chain(named).collect(),
        )
    }

    fn with_marks(state: &Path, marks: Vec<(Source, PathBuf)>) -> Clock {
        let kept = state.join(KEPT);
        let clock = WallClock::new(build_time(), kept_time(&kept), reading());
        let look_due = Duration::ZERO;
        let wall = Mutex::new(Wall { clock, look_due });
        let start = Instant::now();
        Clock {
            shared: Arc::new(Shared {
                start,
                marks,
                kept,
                wall,
            }),
        }
    }

    /// The time, by every clock.
    pub fn now(&self) -> Now {
        let (wall, trusted) = self.read().clock.now();
        self.at(wall, trusted)
    }

    /// The time by the machine's own clocks, and how often somebody has set the system's.
    #[cfg(feature = "upload")]
    pub(super) fn uncorrected_and_steps(&self) -> (UnixMillis, u64) {
        let wall = self.read();
        (wall.clock.uncorrected().0, wall.clock.steps())
    }

    /// The time by the machine's own clocks, whatever servers said: what their `Date` is compared
    /// with.
    #[cfg(feature = "fetch")]
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
    #[cfg(any(feature = "sync", feature = "upload", test))]
    pub fn confirm(&self, wall: UnixMillis) {
        self.read().clock.confirm(wall, reading());
    }

    /// A daemon was asked when it last found the system's clock right, if it knows the time.
    pub fn handle_mark(&self, source: Source, mark: Option<UnixMillis>) {
        self.read().clock.handle_mark(source, mark, reading());
    }

    /// Who confirmed the time last, if anybody did.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.read().clock.confirmation()
    }

    /// How often somebody has set the system's clock.
    pub fn steps(&self) -> u64 {
        self.read().clock.steps()
    }

    /// Keeps the time for the next life, if it is confirmed. Waits for the disk.
    pub fn keep(&self) -> io::Result<()> {
        match self.now().trusted_wall() {
            Some(wall) => write_private(&self.shared.kept, &format!("{wall}\n")),
            None => Ok(()),
        }
    }

    /// The clocks as they are now. They are read under the lock, so that no reading is taken in
    /// behind a later one.
    fn read(&self) -> MutexGuard<'_, Wall> {
        let wall = self.shared.wall.lock();
        let mut wall = wall.expect("no holder of the clock's lock panics");
        let now = reading();
        let was_set = wall.clock.handle_reading(now);
        if was_set || now.boot >= wall.look_due {
            for (source, path) in &self.shared.marks {
                wall.clock.handle_mark(*source, mark(path), now);
            }
            wall.look_due = now.boot + limits::CLOCK_LOOK_INTERVAL;
        }
        wall
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

fn mark(path: &Path) -> Option<UnixMillis> {
    let metadata = fs::metadata(path).ok()?;
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

/// The time that an earlier life has kept; the beginning of all times if there is none that can be
/// read.
fn kept_time(path: &Path) -> UnixMillis {
    let mut text = String::new();
    // One more than it may have, so that what is longer is no time.
    let bytes_max = limits::CLOCK_KEPT_BYTES_MAX + 1;
    let read = File::open(path).and_then(|file| file.take(bytes_max).read_to_string(&mut text));
    let kept = read
        .ok()
        .and_then(|_| UnixMillis::parse_iso(text.trim_end()));
    kept.unwrap_or(UnixMillis(0))
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

    const LATER: UnixMillis = UnixMillis(4_000_000_000_000);

    #[test]
    fn the_last_confirmed_time_outlasts_a_restart_untrusted() {
        let state = tempfile::tempdir().expect("a folder");
        let clock = Clock::alone(state.path());
        clock.confirm(LATER);
        clock.keep().expect("it can be written");
        let text = fs::read_to_string(state.path().join(KEPT)).expect("it was written");
        assert!(text.starts_with("2096-10-02T07:06:40.") && text.ends_with("Z\n"));
        assert_eq!(text.len() as u64, limits::CLOCK_KEPT_BYTES_MAX);
        let next = Clock::alone(state.path()).now();
        assert!(next.wall >= Some(LATER) && !next.trusted);
    }

    #[test]
    fn a_time_that_nobody_confirmed_is_not_kept() {
        let state = tempfile::tempdir().expect("a folder");
        let clock = Clock::alone(state.path());
        clock.keep().expect("there is nothing to do");
        assert!(!state.path().join(KEPT).exists());
    }

    #[test]
    fn what_is_no_kept_time_is_passed_over() {
        let state = tempfile::tempdir().expect("a folder");
        for text in ["", "2096", "2096-10-02T07:06:40.000Z and more", "\u{0}"] {
            fs::write(state.path().join(KEPT), text).expect("it can be written");
            assert!(
                Clock::alone(state.path()).now().wall < Some(LATER),
                "{text}"
            );
        }
    }

    #[test]
    fn stamps_of_files_from_a_wrong_future_are_harmless() {
        let state = tempfile::tempdir().expect("a folder");
        let years = SystemTime::now() + Duration::from_secs(60 * 365 * 86_400);
        for name in ["device-id", KEPT] {
            let file = File::create(state.path().join(name)).expect("it can be made");
            file.set_modified(years).expect("it can be stamped");
        }
        let system = system_time();
        let wall = Clock::alone(state.path()).now().wall;
        assert!(wall < Some(system.plus(Duration::from_secs(60))));
    }

    #[test]
    fn a_mark_left_while_we_run_confirms_the_time() {
        let state = tempfile::tempdir().expect("a folder");
        let path = state.path().join("mark");
        let clock = Clock::with_marks(state.path(), vec![(Source::File, path.clone())]);
        assert!(!clock.now().trusted);
        File::create(&path).expect("it can be made");
        clock.look_again();
        assert!(clock.now().trusted);
        let confirmation = clock.confirmation().expect("it is confirmed");
        assert_eq!(confirmation.source, Source::File);
        assert!(confirmation.at.0.abs_diff(system_time().0) < 60_000);
    }

    impl Clock {
        /// Whoever keeps this machine's clock is not heard.
        pub(crate) fn alone(state: &Path) -> Clock {
            Clock::with_marks(state, Vec::new())
        }

        fn look_again(&self) {
            let mut wall = self.shared.wall.lock().expect("nobody panics with it");
            wall.look_due = Duration::ZERO;
        }
    }

    #[cfg(feature = "upload")]
    #[test]
    fn an_offset_is_kept_and_forgotten_when_the_clock_is_set() {
        let clock = Clock::new(Path::new("/nonexistent"));
        let offset = super::super::server_offset::ServerOffset::new(clock.clone());
        let sent = offset.departure();
        let hours = UnixMillis(clock.uncorrected_and_steps().0.0 + 7_200_000);
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
