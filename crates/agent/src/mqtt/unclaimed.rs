//! Messages on flash for durable subscriptions that nobody has made in this life.

use std::collections::BTreeMap;

use std::time::Duration;

use periwinkle_core::limits::{
    MQTT_AGE_LOOK_INTERVAL, MQTT_UNCLAIMED_BYTES_MAX, MQTT_UNCLAIMED_ROWS_MAX,
};
use periwinkle_core::time::{Mono, Now};

use super::kept::KeptMessage;

/// They wait for whoever subscribes with their filter. Nobody may ever do that, so there are bounds:
/// of messages and bytes, at which the oldest go, and the age that the queue on the way out has.
#[derive(Debug, Default)]
pub(super) struct Unclaimed {
    rows: BTreeMap<u64, KeptMessage>,
    bytes: usize,
    dropped: u64,
    age_max: Option<Duration>,
    /// When to look next for those that are too old.
    look: Mono,
    /// Rows that were dropped and are still on flash.
    excess: Vec<u64>,
}

impl Unclaimed {
    pub(super) fn set_age_max(&mut self, age_max: Option<Duration>) {
        self.age_max = age_max;
    }

    /// When [`drop_old`](Self::drop_old) has something to look at.
    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        (self.age_max.is_some() && !self.rows.is_empty()).then_some(self.look)
    }

    /// Drops what has waited for too long.
    pub(super) fn drop_old(&mut self, now: Now) {
        let Some(age_max) = self.age_max.filter(|_| self.look <= now.mono) else {
            return;
        };
        if self.rows.is_empty() {
            return;
        }
        let interval = (age_max / 16).clamp(Duration::from_millis(100), MQTT_AGE_LOOK_INTERVAL);
        self.look = now.mono + interval;
        let old = self
            .rows
            .extract_if(.., |_, kept| kept.came.age(now) >= age_max);
        let old: Vec<(u64, KeptMessage)> = old.collect();
        if self.dropped == 0
            && let Some((_, kept)) = old.first()
        {
            tracing::warn!(
                target: "mqtt",
                filter = kept.filter,
                "kept messages that no durable subscription reads are older than \
                 `mqtt.queue_age_max`: they are dropped"
            );
        }
        for (row, kept) in old {
            self.bytes -= kept.bytes();
            self.dropped += 1;
            self.excess.push(row);
        }
    }

    pub(super) fn insert(&mut self, row: u64, kept: KeptMessage) {
        self.bytes += kept.bytes();
        self.rows.insert(row, kept);
        while self.rows.len() > MQTT_UNCLAIMED_ROWS_MAX || self.bytes > MQTT_UNCLAIMED_BYTES_MAX {
            let Some((row, oldest)) = self.rows.pop_first() else {
                return;
            };
            if self.dropped == 0 {
                tracing::warn!(
                    target: "mqtt",
                    filter = oldest.filter,
                    "too many kept messages that no durable subscription reads: the oldest are dropped"
                );
            }
            self.bytes -= oldest.bytes();
            self.dropped += 1;
            self.excess.push(row);
        }
    }

    /// Those of this filter, in the order in which they came.
    pub(super) fn take(&mut self, filter: &str) -> Vec<(u64, KeptMessage)> {
        let mine = self.rows.extract_if(.., |_, kept| kept.filter == filter);
        let mine: Vec<(u64, KeptMessage)> = mine.collect();
        let bytes = mine.iter().map(|(_, kept)| kept.bytes());
        self.bytes -= bytes.sum::<usize>();
        mine
    }

    pub(super) fn take_excess(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.excess)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of filters, topics, properties and payloads.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many were dropped for a bound.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use periwinkle_core::mqtt::codec::{PropertiesBuf, QoS};

    use super::*;
    use crate::mqtt::Message;
    use crate::mqtt::kept::Came;

    fn at(seconds: u64) -> Now {
        Now {
            mono: Mono::from_start(Duration::from_secs(seconds)),
            wall: None,
            trusted: false,
        }
    }

    fn kept(filter: &str, payload: usize) -> KeptMessage {
        let payload = vec![0; payload];
        let properties = PropertiesBuf::new();
        KeptMessage {
            filter: filter.to_owned(),
            message: Message::kept("t", &payload, properties, QoS::AtLeastOnce, false),
            came: Came::now(at(0)),
        }
    }

    fn rows(unclaimed: &mut Unclaimed, filter: &str) -> Vec<u64> {
        let taken = unclaimed.take(filter);
        taken.into_iter().map(|(row, _)| row).collect()
    }

    #[test]
    fn as_many_as_the_bound_are_kept_and_of_one_more_the_oldest_goes() {
        let mut unclaimed = Unclaimed::default();
        let rows_max = MQTT_UNCLAIMED_ROWS_MAX as u64;
        for row in 1..=rows_max {
            unclaimed.insert(row, kept("a", 0));
        }
        assert_eq!((unclaimed.len() as u64, unclaimed.dropped()), (rows_max, 0));
        unclaimed.insert(rows_max + 1, kept("a", 0));
        assert_eq!((unclaimed.len() as u64, unclaimed.dropped()), (rows_max, 1));
        assert_eq!(unclaimed.take_excess(), [1]);
        assert!(unclaimed.take_excess().is_empty());
    }

    #[test]
    fn as_many_bytes_as_the_bound_are_kept_and_no_more() {
        let mut unclaimed = Unclaimed::default();
        let half = MQTT_UNCLAIMED_BYTES_MAX / 2 - "at".len();
        unclaimed.insert(1, kept("a", half));
        unclaimed.insert(2, kept("a", half));
        assert_eq!(
            (unclaimed.bytes(), unclaimed.dropped()),
            (MQTT_UNCLAIMED_BYTES_MAX, 0)
        );
        unclaimed.insert(3, kept("b", 0));
        assert_eq!(rows(&mut unclaimed, "a"), [2]);
        assert_eq!(unclaimed.bytes(), "bt".len());
        assert_eq!(rows(&mut unclaimed, "b"), [3]);
        assert_eq!((unclaimed.len(), unclaimed.bytes()), (0, 0));
    }

    #[test]
    fn what_waits_for_too_long_goes_and_nothing_is_too_old_without_a_bound() {
        let mut unclaimed = Unclaimed::default();
        unclaimed.insert(1, kept("a", 0));
        let younger = KeptMessage {
            came: Came::now(at(1)),
            ..kept("a", 0)
        };
        unclaimed.insert(2, younger);
        unclaimed.drop_old(at(100_000));
        assert_eq!((unclaimed.len(), unclaimed.poll_timeout()), (2, None));
        unclaimed.set_age_max(Some(Duration::from_secs(16)));
        assert_eq!(unclaimed.poll_timeout(), Some(Mono::ZERO));
        for (seconds, dropped) in [(15, 0), (16, 1), (17, 2)] {
            unclaimed.drop_old(at(seconds));
            assert_eq!(unclaimed.dropped(), dropped, "after {seconds} s");
            // A sixteenth of the bound later.
            let look = (dropped < 2).then_some(at(seconds + 1).mono);
            assert_eq!(unclaimed.poll_timeout(), look);
        }
        assert_eq!(unclaimed.take_excess(), [1, 2]);
        assert_eq!((unclaimed.len(), unclaimed.bytes()), (0, 0));
    }
}
