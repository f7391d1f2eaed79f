//! Where samples go: a ring in memory, and whoever watches.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use periwinkle_core::limits::METRICS_SUBSCRIBER_SAMPLES_MAX;
use serde::{Serialize, Serializer};
use tokio::sync::broadcast;

use super::{Interface, Sample};

/// The newest samples, oldest first; a new one beyond the capacity drops the oldest.
///
/// Memory: `size_of::<Sample>()`, which is at most 336 bytes, and 32 bytes of administration for
/// each sample, and 4 bytes for each core of it. The 900 samples of a device with four cores take
/// about 340 KB.
#[derive(Debug)]
pub struct Ring {
    samples: VecDeque<Arc<Sample>>,
    capacity: usize,
}

impl Ring {
    /// An empty ring for `capacity` samples, at least one.
    pub fn new(capacity: usize) -> Ring {
        let capacity = capacity.max(1);
        Ring {
            samples: VecDeque::with_capacity(capacity),
            capacity,
        }
    }

    /// Adds the newest sample.
    pub fn push(&mut self, sample: Arc<Sample>) {
        if self.samples.len() == self.capacity {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// All samples, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Sample>> {
        self.samples.iter()
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }
}

/// Samples for everyone: made by the service list, filled by the metrics service, read by the
/// API. It outlives a restart of the service. Clones share the same samples.
#[derive(Clone, Debug)]
pub struct Feed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    interval: Duration,
    held: Mutex<Held>,
    live: broadcast::Sender<Arc<Sample>>,
}

#[derive(Debug)]
struct Held {
    ring: Ring,
    interfaces: Vec<Interface>,
}

impl Feed {
    /// An empty feed for `capacity` samples which will be taken every `interval`.
    pub fn new(capacity: usize, interval: Duration) -> Feed {
        let held = Held {
            ring: Ring::new(capacity),
            interfaces: Vec::new(),
        };
        let (live, _) = broadcast::channel(METRICS_SUBSCRIBER_SAMPLES_MAX);
        Feed {
            shared: Arc::new(Shared {
                interval,
                held: Mutex::new(held),
                live,
            }),
        }
    }

    /// The time between two samples.
    pub fn interval(&self) -> Duration {
        self.shared.interval
    }

    /// All samples held; costs a reference each.
    pub fn history(&self) -> History {
        History {
            interval_ms: u64::try_from(self.shared.interval.as_millis()).unwrap_or(u64::MAX),
            samples: self.held().ring.iter().cloned().collect(),
        }
    }

    /// How many samples are held.
    pub fn samples(&self) -> usize {
        self.held().ring.len()
    }

    /// The newest sample.
    pub fn latest(&self) -> Option<Arc<Sample>> {
        self.held().ring.samples.back().cloned()
    }

    /// The network interfaces as last seen, with their totals since they came up.
    pub fn interfaces(&self) -> Vec<Interface> {
        self.held().interfaces.clone()
    }

    /// Samples from the next one on. A reader that falls behind by more than
    /// `METRICS_SUBSCRIBER_SAMPLES_MAX` is told by `Lagged` how many it missed, and goes on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Sample>> {
        self.shared.live.subscribe()
    }

    pub(super) fn publish(&self, sample: Arc<Sample>, interfaces: &[Interface]) {
        let mut held = self.held();
        held.ring.push(sample.clone());
        interfaces.clone_into(&mut held.interfaces);
        drop(held);
        // An error only says that nobody watches.
        let _ = self.shared.live.send(sample);
    }

    /// A panic elsewhere leaves whole samples behind, as each is added in one step.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.shared
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer of `GET /api/v1/metrics`.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// The time between two samples, in milliseconds.
    pub interval_ms: u64,
    /// The samples, oldest first.
    #[serde(serialize_with = "each")]
    pub samples: Vec<Arc<Sample>>,
}

fn each<S: Serializer>(samples: &[Arc<Sample>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(samples.iter().map(|sample| &**sample))
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::{RecvError, TryRecvError};

    use super::*;

    fn sample(at_ms: i64) -> Arc<Sample> {
        Arc::new(Sample {
            at_ms,
            ..Sample::default()
        })
    }

    fn filled(capacity: usize, samples: i64) -> Feed {
        let feed = Feed::new(capacity, Duration::from_secs(1));
        for at_ms in 1..=samples {
            feed.publish(sample(at_ms), &[]);
        }
        feed
    }

    fn times(feed: &Feed) -> Vec<i64> {
        let history = feed.history();
        history.samples.iter().map(|sample| sample.at_ms).collect()
    }

    #[test]
    fn a_ring_holds_as_many_samples_as_its_capacity() {
        assert_eq!(times(&filled(3, 3)), [1, 2, 3]);
    }

    #[test]
    fn one_sample_beyond_the_capacity_drops_the_oldest() {
        assert_eq!(times(&filled(3, 4)), [2, 3, 4]);
    }

    #[test]
    fn a_ring_of_no_capacity_holds_the_newest_sample() {
        assert_eq!(times(&filled(0, 2)), [2]);
    }

    #[test]
    fn a_sample_takes_no_more_memory_than_documented() {
        assert!(size_of::<Sample>() <= 336, "{}", size_of::<Sample>());
    }

    #[test]
    fn history_reads_as_the_api_promises() {
        let mut ring = serde_json::to_value(filled(2, 2).history()).unwrap();
        assert_eq!(ring["interval_ms"], 1_000);
        let samples = ring["samples"].take();
        assert_eq!(samples[0]["at_ms"], 1);
        assert_eq!(samples[1]["at_ms"], 2);
        assert_eq!(samples[1]["temp_c"], serde_json::Value::Null);
        assert_eq!(samples[1]["cores"], serde_json::json!([]));
    }

    #[test]
    fn a_subscriber_gets_samples_from_the_next_one_on() {
        let feed = filled(3, 1);
        let mut live = feed.subscribe();
        assert!(matches!(live.try_recv(), Err(TryRecvError::Empty)));
        feed.publish(sample(2), &[]);
        assert_eq!(live.try_recv().unwrap().at_ms, 2);
    }

    #[tokio::test]
    async fn a_slow_subscriber_skips_what_it_missed_and_goes_on() {
        let feed = filled(3, 0);
        let mut live = feed.subscribe();
        let bound = METRICS_SUBSCRIBER_SAMPLES_MAX as i64;
        for at_ms in 1..=bound + 2 {
            feed.publish(sample(at_ms), &[]);
        }
        assert!(matches!(live.recv().await, Err(RecvError::Lagged(2))));
        assert_eq!(live.recv().await.unwrap().at_ms, 3);
    }

    #[test]
    fn interfaces_are_those_of_the_newest_sample() {
        let feed = filled(3, 0);
        let seen = [Interface {
            name: "eth0".to_owned(),
            rx_bytes: 5,
            ..Interface::default()
        }];
        feed.publish(sample(1), &seen);
        assert_eq!(feed.interfaces(), seen);
        feed.publish(sample(2), &[]);
        assert_eq!(feed.interfaces(), []);
    }
}
