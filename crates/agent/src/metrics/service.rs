//! The metrics service: measures at an interval until it is told to stop.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use periwinkle_core::limits::METRICS_INTERVAL_MIN;
use periwinkle_core::time::Now;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use super::{Aggregate, Feed, Readers, Reading, Row, Sample};

/// Where to measure, and what goes to the database.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that holds `proc` and `sys`: `/` outside tests.
    pub root: PathBuf,
    /// A path on the file system whose space is told (`metrics.disk`).
    pub disk: PathBuf,
    /// The time that one row sums up (`metrics.row`).
    pub row: Duration,
    /// How long a row is worth keeping (`metrics.keep`); `None` is for ever.
    pub keep: Option<Duration>,
}

/// Why the service ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The thread that reads `/proc` and `/sys` panicked.
    #[error("reading the device failed: {0}")]
    Read(#[source] JoinError),
}

/// Measures every `feed.interval()` until `stop` completes; then the row begun goes to `sink`, too.
///
/// `clock` is asked once for each reading. A reading that takes longer than the interval makes the
/// next ones fall out; none are made up. Dropping the future stops as well, but loses the open row.
pub async fn run(
    options: Options,
    feed: Feed,
    clock: impl Fn() -> Now,
    mut sink: impl FnMut(Row),
    stop: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let mut ticks = interval(feed.interval().max(METRICS_INTERVAL_MIN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut meter = Meter::new(&options);
    let mut aggregate = Aggregate::new(options.row, options.keep);
    let mut stop = std::pin::pin!(stop);

    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            _ = ticks.tick() => {}
        }
        let mut read = tokio::select! {
            biased;
            () = &mut stop => break,
            read = spawn_blocking(move || meter.read()) => read.map_err(RunError::Read)?,
        };
        let now = clock();
        if let Some(sample) = read.sample(now) {
            let row = aggregate.add(&sample, now);
            feed.publish(Arc::new(sample), &read.current.interfaces);
            row.into_iter().for_each(&mut sink);
        }
        meter = read;
    }
    aggregate.finish().into_iter().for_each(&mut sink);
    Ok(())
}

/// Two readings in turn. It moves to a thread that may block and back: a sensor on a slow bus or
/// a file system that hangs must not hold up the agent.
struct Meter {
    readers: Readers,
    previous: Reading,
    current: Reading,
    primed: bool,
}

impl Meter {
    fn new(options: &Options) -> Meter {
        Meter {
            readers: Readers::new(&options.root, &options.disk),
            previous: Reading::default(),
            current: Reading::default(),
            primed: false,
        }
    }

    fn read(mut self) -> Meter {
        mem::swap(&mut self.previous, &mut self.current);
        self.readers.read(&mut self.current);
        self
    }

    /// The sample of the last reading; the very first has none before it to tell a rate from.
    fn sample(&mut self, now: Now) -> Option<Sample> {
        self.current.taken = now.mono;
        let primed = mem::replace(&mut self.primed, true);
        primed.then(|| Sample::between(&self.previous, &self.current, now))
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
