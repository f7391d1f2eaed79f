//! Reads and writes of one transaction, under the lock of the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::Batch;
use super::directory::{KeyRange, Order};
use super::error::ReadError;
use super::machine::Engine;
use super::read::Entry;

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
