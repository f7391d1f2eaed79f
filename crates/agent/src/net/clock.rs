//! The one reader of the clocks.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use periwinkle_core::time::{Mono, Now, UnixMillis};

/// Hands out [`Now`] to everything else; clones share one state.
///
/// The wall time is what a server or the system's time sync confirmed in this boot, carried on by
/// the monotonic clock. Before that it is the system's clock, but never before the build or the
/// last time this device is known to have seen, and it is marked as not trusted.
#[derive(Clone, Debug)]
pub struct Clock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    /// What the system's clock lags behind the last time that this device is known to have seen.
    lag: Duration,
    synchronized: AtomicBool,
    /// When to look for the time sync's mark again, in milliseconds of the monotonic clock.
    looked: AtomicU64,
    confirmed: RwLock<Option<Confirmed>>,
}

#[derive(Clone, Copy, Debug)]
struct Confirmed {
    wall: UnixMillis,
    at: Mono,
}

/// Written by systemd-timesyncd when the system's clock is synchronised.
const TIMESYNC_MARK: &str = "/run/systemd/timesync/synchronized";

/// How often that is looked for.
const TIMESYNC_LOOK_MS: u64 = 5000;

impl Clock {
    /// A clock that never shows less than the build time and the newest file in `state`.
    pub fn new(state: &Path) -> Clock {
        let floor = build_time().max(newest_file(state));
        let lag = floor.0.saturating_sub(system_time().0);
        let lag = Duration::from_millis(u64::try_from(lag).unwrap_or(0));
        let confirmed = RwLock::new(None);
        Clock {
            shared: Arc::new(Shared {
                start: Instant::now(),
                lag,
                confirmed,
                synchronized: AtomicBool::new(false),
                looked: AtomicU64::new(0),
            }),
        }
    }

    /// The time, by every clock.
    pub fn now(&self) -> Now {
        if let Some(now) = self.confirmed_now() {
            return now;
        }
        let now = self.uncorrected();
        if let (true, Some(wall)) = (now.trusted, now.wall) {
            self.confirm(wall);
        }
        now
    }

    /// The time by the machine's own clocks, whatever servers said: what their `Date` is compared
    /// with.
    pub fn uncorrected(&self) -> Now {
        let wall = system_time().plus(self.shared.lag);
        Now {
            mono: self.mono(),
            wall: Some(wall),
            trusted: self.is_synchronized(),
        }
    }

    /// Whether the system's time sync has done its work; looked up now and then only.
    fn is_synchronized(&self) -> bool {
        let now_ms = u64::try_from(self.mono().since_start().as_millis()).unwrap_or(u64::MAX);
        let looked = self.shared.looked.load(Ordering::Relaxed);
        let known = self.shared.synchronized.load(Ordering::Relaxed);
        if known || now_ms < looked {
            return known;
        }
        let found = Path::new(TIMESYNC_MARK).exists();
        self.shared
            .looked
            .store(now_ms + TIMESYNC_LOOK_MS, Ordering::Relaxed);
        self.shared.synchronized.store(found, Ordering::Relaxed);
        found
    }

    /// The monotonic clock alone; cheap.
    pub fn mono(&self) -> Mono {
        Mono::from_start(self.shared.start.elapsed())
    }

    /// A server that we authenticated, or the system's time sync, says that it is `wall` now.
    pub fn confirm(&self, wall: UnixMillis) {
        let at = self.mono();
        *self
            .shared
            .confirmed
            .write()
            .expect("no holder of the clock's lock panics") = Some(Confirmed { wall, at });
    }

    fn confirmed_now(&self) -> Option<Now> {
        let mono = self.mono();
        let Confirmed { wall, at } = self.confirmed()?;
        Some(Now {
            mono,
            wall: Some(wall.plus(mono.since(at))),
            trusted: true,
        })
    }

    fn confirmed(&self) -> Option<Confirmed> {
        *self
            .shared
            .confirmed
            .read()
            .expect("no holder of the clock's lock panics")
    }
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
}
