//! Messages on flash for durable subscriptions that nobody has made in this life.

use std::collections::BTreeMap;

use periwinkle_core::limits::{MQTT_UNCLAIMED_BYTES_MAX, MQTT_UNCLAIMED_ROWS_MAX};

use super::kept::KeptMessage;

/// They wait for whoever subscribes with their filter. Nobody may ever do that, so there is a bound,
/// at which the oldest go.
#[derive(Debug, Default)]
pub(super) struct Unclaimed {
    rows: BTreeMap<u64, KeptMessage>,
    bytes: usize,
    dropped: u64,
    /// Rows that were dropped and are still on flash.
    excess: Vec<u64>,
}

impl Unclaimed {
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

    /// How many were dropped for the bound.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use periwinkle_core::mqtt::codec::{PropertiesBuf, QoS};

    use super::*;
    use crate::mqtt::Message;

    fn kept(filter: &str, payload: usize) -> KeptMessage {
        let payload = vec![0; payload];
        let properties = PropertiesBuf::new();
        KeptMessage {
            filter: filter.to_owned(),
            message: Message::kept("t", &payload, properties, QoS::AtLeastOnce, false),
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
}
