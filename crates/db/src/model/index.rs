//! What the model layer keeps in memory beside the engine: the queue of replication, and how many
//! rows each model has. Built anew at every opening.

use std::collections::{BTreeMap, BTreeSet};

use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::sync::store::{Backlog, Dirty};

/// What matters of a row to the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RowFacts {
    /// There is an item, not only the news of its removal.
    pub(super) live: bool,
    /// What the cloud has to learn of it.
    pub(super) waits: Option<Waits>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) bytes: u64,
    pub(super) parked: bool,
}

impl RowFacts {
    pub(super) fn of(record: &Record, bytes: usize) -> RowFacts {
        RowFacts {
            live: record.item.is_some(),
            waits: record.change.as_ref().map(|_| Waits {
                bytes: bytes as u64,
                parked: record.parked().is_some(),
            }),
        }
    }
}

/// The queue and the counts.
#[derive(Debug, Default)]
pub(super) struct Index {
    waiting: BTreeMap<ItemKey, (u64, Waits)>,
    sendable: BTreeSet<Dirty>,
    parked: BTreeSet<ItemKey>,
    backlog: Backlog,
    rows: BTreeMap<String, u64>,
}

impl Index {
    /// A row is now what `facts` say, written by the frame of that sequence.
    pub(super) fn set(&mut self, key: &ItemKey, facts: RowFacts, sequence: u64) {
        self.forget(key);
        let Some(waits) = facts.waits else {
            return;
        };
        self.backlog.rows += 1;
        self.backlog.bytes += waits.bytes;
        if waits.parked {
            self.parked.insert(key.clone());
        } else {
            self.sendable.insert(Dirty {
                sequence,
                key: key.clone(),
            });
        }
        self.waiting.insert(key.clone(), (sequence, waits));
    }

    /// One row of a model came or went.
    pub(super) fn count(&mut self, model: &str, was_live: bool, is_live: bool) {
        if was_live == is_live {
            return;
        }
        if !self.rows.contains_key(model) {
            self.rows.insert(model.to_owned(), 0);
        }
        if let Some(rows) = self.rows.get_mut(model) {
            *rows = if is_live {
                *rows + 1
            } else {
                rows.saturating_sub(1)
            };
        }
    }

    pub(super) fn rows(&self, model: &str) -> u64 {
        self.rows.get(model).copied().unwrap_or(0)
    }

    pub(super) fn rows_by_model(&self) -> BTreeMap<String, u64> {
        self.rows.clone()
    }

    pub(super) fn backlog(&self) -> Backlog {
        self.backlog
    }

    pub(super) fn dirty(&self, after: Option<&Dirty>, limit: usize) -> Vec<Dirty> {
        match after {
            None => self.sendable.iter().take(limit).cloned().collect(),
            Some(after) => {
                let rest = (
                    std::ops::Bound::Excluded(after.clone()),
                    std::ops::Bound::Unbounded,
                );
                self.sendable.range(rest).take(limit).cloned().collect()
            }
        }
    }

    pub(super) fn parked(&self, after: Option<&ItemKey>, limit: usize) -> Vec<ItemKey> {
        let start = match after {
            None => std::ops::Bound::Unbounded,
            Some(after) => std::ops::Bound::Excluded(after.clone()),
        };
        let rest = (start, std::ops::Bound::Unbounded);
        self.parked.range(rest).take(limit).cloned().collect()
    }

    fn forget(&mut self, key: &ItemKey) {
        let Some((sequence, waits)) = self.waiting.remove(key) else {
            return;
        };
        self.backlog.rows -= 1;
        self.backlog.bytes -= waits.bytes;
        if waits.parked {
            self.parked.remove(key);
        } else {
            self.sendable.remove(&Dirty {
                sequence,
                key: key.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(bytes: u64, parked: bool) -> RowFacts {
        RowFacts {
            live: true,
            waits: Some(Waits { bytes, parked }),
        }
    }

    fn key(name: &str) -> ItemKey {
        ItemKey::new("p", name)
    }

    fn names(dirty: &[Dirty]) -> Vec<&str> {
        dirty.iter().map(|dirty| dirty.key.sk.as_str()).collect()
    }

    #[test]
    fn the_queue_is_in_the_order_of_the_last_writes() {
        let mut index = Index::default();
        index.set(&key("a"), waits(10, false), 1);
        index.set(&key("b"), waits(20, false), 2);
        index.set(&key("c"), waits(30, true), 3);
        index.set(&key("a"), waits(11, false), 4);
        assert_eq!(names(&index.dirty(None, 10)), ["b", "a"]);
        let first = index.dirty(None, 1).remove(0);
        assert_eq!(names(&index.dirty(Some(&first), 10)), ["a"]);
        assert_eq!(index.parked(None, 10), [key("c")]);
        assert_eq!(index.parked(Some(&key("c")), 10), []);
        assert_eq!(index.backlog(), Backlog { rows: 3, bytes: 61 });
    }

    #[test]
    fn a_row_that_is_clean_or_gone_waits_no_longer() {
        let mut index = Index::default();
        index.set(&key("a"), waits(10, false), 1);
        index.set(&key("b"), waits(10, true), 1);
        index.set(&key("a"), RowFacts::default(), 2);
        index.set(&key("b"), RowFacts::default(), 2);
        assert_eq!(index.backlog(), Backlog::default());
        assert_eq!(index.dirty(None, 10), []);
        assert_eq!(index.parked(None, 10), []);
    }

    #[test]
    fn rows_are_counted_by_model() {
        let mut index = Index::default();
        index.count("A", false, true);
        index.count("A", false, true);
        index.count("A", true, true);
        index.count("A", true, false);
        assert_eq!((index.rows("A"), index.rows("B")), (1, 0));
    }
}
