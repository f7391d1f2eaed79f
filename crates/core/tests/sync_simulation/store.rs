//! A store in memory that forgets what was not durable when the power goes.

use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::sync::store::{Backlog, Conflict, Dirty, Frame, Store, StoreError};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

/// What the log adds up to.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) sequence: u64,
    pub(crate) rows: BTreeMap<ItemKey, (u64, Record)>,
    pub(crate) service: BTreeMap<String, Vec<u8>>,
    pub(crate) conflicts: Vec<Conflict>,
}

/// One frame of the log.
#[derive(Clone, Debug)]
struct Written {
    sequence: u64,
    rows: Vec<(ItemKey, Record)>,
    service: Vec<(String, Option<Vec<u8>>)>,
    conflicts: Vec<Conflict>,
}

impl State {
    fn take(&mut self, frame: &Written) {
        self.sequence = frame.sequence;
        for (key, record) in &frame.rows {
            if record.is_empty() {
                self.rows.remove(key);
            } else {
                self.rows
                    .insert(key.clone(), (frame.sequence, record.clone()));
            }
        }
        for (name, value) in &frame.service {
            match value {
                Some(value) => self.service.insert(name.clone(), value.clone()),
                None => self.service.remove(name),
            };
        }
        self.conflicts.extend(frame.conflicts.iter().cloned());
    }
}

#[derive(Debug, Default)]
struct Inner {
    live: State,
    durable: State,
    frames: VecDeque<Written>,
}

#[derive(Debug, Default)]
pub(crate) struct MemStore(RefCell<Inner>);

impl MemStore {
    /// What is committed in memory.
    pub(crate) fn live(&self) -> State {
        self.0.borrow().live.clone()
    }

    /// What a power cut would leave.
    pub(crate) fn durable(&self) -> State {
        self.0.borrow().durable.clone()
    }

    pub(crate) fn durable_sequence(&self) -> u64 {
        self.0.borrow().durable.sequence
    }

    pub(crate) fn get(&self, key: &ItemKey) -> Record {
        let inner = self.0.borrow();
        inner
            .live
            .rows
            .get(key)
            .map(|(_, record)| record.clone())
            .unwrap_or_default()
    }

    pub(crate) fn durable_record(&self, key: &ItemKey) -> Record {
        let inner = self.0.borrow();
        inner
            .durable
            .rows
            .get(key)
            .map(|(_, record)| record.clone())
            .unwrap_or_default()
    }

    /// Syncs the log up to a sequence.
    pub(crate) fn sync(&self, sequence: u64) {
        let inner = &mut *self.0.borrow_mut();
        while inner
            .frames
            .front()
            .is_some_and(|frame| frame.sequence <= sequence)
        {
            let frame = inner.frames.pop_front().expect("the front was just seen");
            inner.durable.take(&frame);
        }
    }

    /// The power goes: what was not synced is lost.
    pub(crate) fn power_cut(&self) {
        let inner = &mut *self.0.borrow_mut();
        inner.frames.clear();
        inner.live = inner.durable.clone();
    }

    /// The whole file is replaced by an older one.
    pub(crate) fn restore(&self, state: State) {
        let inner = &mut *self.0.borrow_mut();
        inner.frames.clear();
        inner.live = state.clone();
        inner.durable = state;
    }
}

impl Store for MemStore {
    fn record(&self, key: &ItemKey) -> Result<Record, StoreError> {
        Ok(self.get(key))
    }

    fn modify(
        &self,
        keys: &[ItemKey],
        edit: &mut dyn FnMut(&mut Frame),
    ) -> Result<u64, StoreError> {
        let before: Vec<Record> = keys.iter().map(|key| self.get(key)).collect();
        let mut frame = Frame::over(before.clone());
        edit(&mut frame);
        let inner = &mut *self.0.borrow_mut();
        let changed = frame
            .records
            .iter()
            .zip(&before)
            .any(|(new, old)| new != old);
        if !changed && frame.service.is_empty() && frame.conflicts.is_empty() {
            return Ok(inner.live.sequence);
        }
        for (key, record) in keys.iter().zip(&frame.records) {
            assert_eq!(record.check(), Ok(()), "{key}: {record:?}");
        }
        let written = Written {
            sequence: inner.live.sequence + 1,
            rows: keys.iter().cloned().zip(frame.records).collect(),
            service: frame.service,
            conflicts: frame.conflicts,
        };
        inner.live.take(&written);
        inner.frames.push_back(written);
        Ok(inner.live.sequence)
    }

    fn dirty(&self, after: Option<&Dirty>, limit: usize) -> Result<Vec<Dirty>, StoreError> {
        let inner = self.0.borrow();
        let rows = inner
            .live
            .rows
            .iter()
            .filter(|(_, (_, record))| record.is_sendable());
        let mut dirty: Vec<Dirty> = rows
            .map(|(key, (sequence, _))| Dirty {
                sequence: *sequence,
                key: key.clone(),
            })
            .filter(|dirty| after.is_none_or(|after| dirty > after))
            .collect();
        dirty.sort();
        dirty.truncate(limit);
        Ok(dirty)
    }

    fn parked(&self, after: Option<&ItemKey>, limit: usize) -> Result<Vec<ItemKey>, StoreError> {
        let inner = self.0.borrow();
        let rows = inner
            .live
            .rows
            .iter()
            .filter(|(_, (_, record))| record.parked().is_some());
        let keys = rows
            .map(|(key, _)| key)
            .filter(|key| after.is_none_or(|after| *key > after));
        Ok(keys.take(limit).cloned().collect())
    }

    fn rows_after(&self, after: &ItemKey, limit: usize) -> Result<Vec<ItemKey>, StoreError> {
        let inner = self.0.borrow();
        let keys = inner.live.rows.keys().filter(|key| *key > after);
        Ok(keys.take(limit).cloned().collect())
    }

    fn service(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.borrow().live.service.get(name).cloned())
    }

    fn services_after(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let inner = self.0.borrow();
        let rows = inner
            .live
            .service
            .iter()
            .filter(|(name, _)| name.as_str() > after);
        Ok(rows
            .take(limit)
            .map(|(name, row)| (name.clone(), row.clone()))
            .collect())
    }

    fn backlog(&self) -> Backlog {
        let inner = self.0.borrow();
        let rows = inner
            .live
            .rows
            .values()
            .filter(|(_, record)| record.change.is_some());
        Backlog {
            rows: rows.count() as u64,
            bytes: 0,
        }
    }
}
