//! The directory: an ordered tree from key to row, and the slab of rows that say where values lie.
//!
//! It also knows how much of each segment is still needed.
//!
//! Index trees will map to the same rows, so that moving a value in the log touches the slab only.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::cache::{Cache, CacheSlot};
use super::moves::moved_bytes_max;

/// Where a value lies in the log, and under which sequence it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    /// Of the value's first byte in the segment.
    pub(crate) offset: u32,
    pub(crate) length: u32,
    pub(crate) sequence: u64,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    segment: u32,
    offset: u32,
    length: u32,
    cached: CacheSlot,
    sequence: u64,
}

impl Row {
    fn new(place: Place) -> Row {
        Row {
            segment: place.segment,
            offset: place.offset,
            length: place.length,
            cached: CacheSlot::NONE,
            sequence: place.sequence,
        }
    }

    fn place(&self) -> Place {
        Place {
            segment: self.segment,
            offset: self.offset,
            length: self.length,
            sequence: self.sequence,
        }
    }
}

/// Keys in order, rows, cached values.
#[derive(Debug)]
pub(crate) struct Directory {
    tree: BTreeMap<Box<[u8]>, u32>,
    rows: Vec<Row>,
    free: Vec<u32>,
    cache: Cache,
    live_bytes: u64,
    /// By segment: what its rows would take at most when they are moved.
    needed: BTreeMap<u32, u64>,
    needed_bytes: u64,
    largest_row: u64,
}

/// What the directory knows of a key.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) cached: Option<Arc<[u8]>>,
}

impl Directory {
    pub(crate) fn new(cache_bytes: usize) -> Directory {
        Directory {
            tree: BTreeMap::new(),
            rows: Vec::new(),
            free: Vec::new(),
            cache: Cache::new(cache_bytes),
            live_bytes: 0,
            needed: BTreeMap::new(),
            needed_bytes: 0,
            largest_row: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tree.len()
    }

    /// Bytes of all keys and values.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// What the rows of a segment would take at most when they are moved; 0 without a row.
    pub(crate) fn needed_of(&self, segment: u32) -> u64 {
        self.needed.get(&segment).copied().unwrap_or(0)
    }

    /// The same of all segments.
    pub(crate) fn needed_bytes(&self) -> u64 {
        self.needed_bytes
    }

    /// What the largest row that ever was here takes when it is moved.
    pub(crate) fn largest_row(&self) -> u64 {
        self.largest_row
    }

    /// Whether the row of `key` lies there.
    pub(crate) fn is_at(&self, key: &[u8], place: Place) -> bool {
        let id = self.tree.get(key);
        id.is_some_and(|id| self.rows[*id as usize].place() == place)
    }

    /// The row of `key` lies in another place now; its value is the same.
    pub(crate) fn relocate(&mut self, key: &[u8], place: Place) {
        let Some(id) = self.tree.get(key).copied() else {
            return;
        };
        let row = &mut self.rows[id as usize];
        let old = row.place();
        (row.segment, row.offset) = (place.segment, place.offset);
        self.forget_need(key, old);
        self.note_need(key, place);
    }

    fn note_need(&mut self, key: &[u8], place: Place) {
        let bytes = moved_bytes_max(key.len(), place.length);
        *self.needed.entry(place.segment).or_default() += bytes;
        self.needed_bytes += bytes;
        self.largest_row = self.largest_row.max(bytes);
    }

    fn forget_need(&mut self, key: &[u8], place: Place) {
        let bytes = moved_bytes_max(key.len(), place.length);
        self.needed_bytes -= bytes;
        let needed = self.needed.entry(place.segment).or_default();
        *needed -= bytes;
        if *needed == 0 {
            self.needed.remove(&place.segment);
        }
    }

    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }

    pub(crate) fn get(&mut self, key: &[u8]) -> Option<Found> {
        let id = *self.tree.get(key)?;
        Some(self.found(id))
    }

    /// Points `key` to `place` and keeps `value` in the cache.
    pub(crate) fn put(&mut self, key: &[u8], place: Place, value: Arc<[u8]>) {
        self.live_bytes += u64::from(place.length);
        self.note_need(key, place);
        let id = if let Some(id) = self.tree.get(key).copied() {
            let old = std::mem::replace(&mut self.rows[id as usize], Row::new(place));
            self.cache.remove(old.cached);
            self.live_bytes -= u64::from(old.length);
            self.forget_need(key, old.place());
            id
        } else {
            let id = self.new_row(place);
            self.tree.insert(key.into(), id);
            self.live_bytes += key.len() as u64;
            id
        };
        self.cache_value(id, value);
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        let Some(id) = self.tree.remove(key) else {
            return;
        };
        let row = self.rows[id as usize];
        self.cache.remove(row.cached);
        self.live_bytes -= key.len() as u64 + u64::from(row.length);
        self.forget_need(key, row.place());
        self.free.push(id);
    }

    /// Keeps a value that was read from the disk, unless the key has moved on meanwhile.
    pub(crate) fn remember(&mut self, key: &[u8], place: Place, value: Arc<[u8]>) {
        let Some(id) = self.tree.get(key).copied() else {
            return;
        };
        let row = &self.rows[id as usize];
        if row.place() == place && row.cached == CacheSlot::NONE {
            self.cache_value(id, value);
        }
    }

    /// Up to `limit` keys of a range, in the order asked for.
    pub(crate) fn range(&mut self, range: &KeyRange, order: Order, limit: usize) -> Vec<Hit> {
        if range.is_empty() {
            return Vec::new();
        }
        let ids = self.tree.range::<[u8], _>(range.bounds());
        let ids = ids.map(|(key, id)| (key.clone(), *id));
        let hits: Vec<_> = match order {
            Order::Forward => ids.take(limit).collect(),
            Order::Reverse => ids.rev().take(limit).collect(),
        };
        hits.into_iter()
            .map(|(key, id)| (key, self.found(id)))
            .collect()
    }

    fn found(&mut self, id: u32) -> Found {
        let row = &self.rows[id as usize];
        Found {
            place: row.place(),
            cached: self.cache.get(row.cached).cloned(),
        }
    }

    fn new_row(&mut self, place: Place) -> u32 {
        if let Some(id) = self.free.pop() {
            self.rows[id as usize] = Row::new(place);
            return id;
        }
        let id = u32::try_from(self.rows.len()).expect("memory ends before four billion rows");
        self.rows.push(Row::new(place));
        id
    }

    fn cache_value(&mut self, id: u32, value: Arc<[u8]>) {
        let rows = &mut self.rows;
        let slot = self.cache.insert(id, value, |evicted| {
            rows[evicted as usize].cached = CacheSlot::NONE;
        });
        self.rows[id as usize].cached = slot;
    }
}

/// A key and what the directory knows of it.
pub(crate) type Hit = (Box<[u8]>, Found);

/// The direction of a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Rising keys.
    #[default]
    Forward,
    /// Falling keys.
    Reverse,
}

/// A range of keys, which are ordered as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> KeyRange {
        KeyRange::new(Bound::Unbounded, Bound::Unbounded)
    }

    /// The keys between two bounds; none if they cross.
    pub fn new(start: Bound<Vec<u8>>, end: Bound<Vec<u8>>) -> KeyRange {
        KeyRange { start, end }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        KeyRange {
            start: Bound::Included(prefix.to_vec()),
            end: successor(prefix).map_or(Bound::Unbounded, Bound::Excluded),
        }
    }

    /// The part of the range behind `key` in the given order: how a scan goes on.
    pub fn after(mut self, key: &[u8], order: Order) -> KeyRange {
        match order {
            Order::Forward => self.start = Bound::Excluded(key.to_vec()),
            Order::Reverse => self.end = Bound::Excluded(key.to_vec()),
        }
        self
    }

    /// Whether the range holds `key`.
    pub fn contains(&self, key: &[u8]) -> bool {
        let above = match &self.start {
            Bound::Included(start) => key >= &start[..],
            Bound::Excluded(start) => key > &start[..],
            Bound::Unbounded => true,
        };
        above
            && match &self.end {
                Bound::Included(end) => key <= &end[..],
                Bound::Excluded(end) => key < &end[..],
                Bound::Unbounded => true,
            }
    }

    /// Whether the bounds cross, which `BTreeMap::range` would answer with a panic.
    fn is_empty(&self) -> bool {
        match (&self.start, &self.end) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(start), Bound::Included(end)) => start > end,
            (
                Bound::Included(start) | Bound::Excluded(start),
                Bound::Included(end) | Bound::Excluded(end),
            ) => start >= end,
        }
    }

    fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (
            self.start.as_ref().map(Vec::as_slice),
            self.end.as_ref().map(Vec::as_slice),
        )
    }
}

/// The first key behind all keys with this prefix; `None` when there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
