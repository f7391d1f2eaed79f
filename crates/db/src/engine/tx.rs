//! Reads and writes of one transaction, under the lock of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::batch::{Batch, Write};
use super::error::ReadError;
use super::index::IndexId;
use super::machine::Engine;
use super::range::{IndexRange, KeyRange, Order};
use super::read::{Entry, IndexedEntry};

/// The index entries of a row that is there.
type OwnEntries = Option<BTreeSet<(IndexId, Box<[u8]>)>>;

/// A transaction in the making. Its reads see its own writes, under a sequence of
/// [`Tx::sequence`].
pub struct Tx<'a> {
    engine: &'a mut Engine,
    batch: Batch,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(engine: &'a mut Engine) -> Tx<'a> {
        Tx {
            engine,
            batch: Batch::new(),
        }
    }

    pub(crate) fn into_batch(self) -> Batch {
        self.batch
    }

    /// The sequence that this transaction will get if it writes anything.
    pub fn sequence(&self) -> u64 {
        self.engine.sequence() + 1
    }

    /// The row of `key`.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Entry>, ReadError> {
        match self.batch.get(key) {
            Some(written) => Ok(written.map(|value| self.own(key, value))),
            None => self.engine.get(key),
        }
    }

    /// Whether `key` is there.
    pub fn contains(&mut self, key: &[u8]) -> bool {
        match self.batch.get(key) {
            Some(written) => written.is_some(),
            None => self.engine.contains(key),
        }
    }

    /// Up to `limit` rows of a range.
    pub fn scan(
        &mut self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        if self.batch.is_empty() {
            return self.engine.scan(range, order, limit);
        }
        // Each own write can hide at most one row.
        let wide = limit.saturating_add(self.batch.len());
        let committed = self.engine.scan(range, order, wide)?;
        let mut rows: BTreeMap<_, _> = committed.into_iter().map(|e| (e.key.clone(), e)).collect();
        for (key, value) in self.batch.iter().filter(|(key, _)| range.contains(key)) {
            match value {
                Some(value) => rows.insert(key.into(), self.own(key, value)),
                None => rows.remove(key),
            };
        }
        let rows = rows.into_values();
        Ok(match order {
            Order::Forward => rows.take(limit).collect(),
            Order::Reverse => rows.rev().take(limit).collect(),
        })
    }

    /// Up to `limit` rows of a range of an index.
    pub fn scan_index(
        &mut self,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<IndexedEntry>, ReadError> {
        let own = self.own_entries();
        let hidden = |key: &[u8]| own.contains_key(key);
        let rows = self
            .engine
            .rows_by_index_without(index, range, order, limit, &hidden)?;
        let mut found = rows.into_entries();
        let in_index = own.into_iter().flat_map(|(key, entries)| {
            let entries = entries.into_iter().flatten();
            let entries = entries.filter(|(other, _)| *other == index);
            entries.map(move |(_, index_key)| (key.clone(), index_key))
        });
        for (key, index_key) in in_index {
            if let Some(entry) = self.get(&key)? {
                let hit = IndexedEntry { index_key, entry };
                if range.contains(index, &hit.position()) {
                    found.push(hit);
                }
            }
        }
        found.sort_by(|one, other| one.position().compare(index, &other.position()));
        if order == Order::Reverse {
            found.reverse();
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The index entries of every row that this transaction has written; none of rows that are
    /// not there then.
    fn own_entries(&self) -> BTreeMap<Vec<u8>, OwnEntries> {
        let mut own: BTreeMap<Vec<u8>, OwnEntries> = BTreeMap::new();
        for op in self.batch.ops() {
            let key = &self.batch.payload()[op.key.clone()];
            let there = match op.write {
                Write::Put(_) => true,
                Write::Delete => false,
                Write::Index => match own.get(key) {
                    Some(known) => known.is_some(),
                    None => self.engine.contains(key),
                },
            };
            let entries = self.batch.entries(op).iter();
            let entries = entries.map(|(index, key)| (index, Box::from(key)));
            own.insert(key.to_vec(), there.then(|| entries.collect()));
        }
        own
    }

    /// Sets `key` to `value`; the row is in these indexes and no others.
    pub fn put_indexed(&mut self, key: &[u8], value: &[u8], entries: &[(IndexId, &[u8])]) {
        self.batch.put_indexed(key, value, entries);
    }

    /// Puts the row of `key` into these indexes and no others; its value stays.
    pub fn index(&mut self, key: &[u8], entries: &[(IndexId, &[u8])]) {
        self.batch.index(key, entries);
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.batch.put(key, value);
    }

    /// Removes `key`; removing what is not there is allowed.
    pub fn delete(&mut self, key: &[u8]) {
        self.batch.delete(key);
    }

    fn own(&self, key: &[u8], value: &[u8]) -> Entry {
        Entry {
            key: key.into(),
            value: Arc::from(value),
            sequence: self.sequence(),
        }
    }
}
