//! The directory: rows in a slab that says where values lie, the order of their keys, and their
//! entries in indexes.
//!
//! It also knows how much of each segment is still needed. The slab has the key of each row;
//! everything else names the row by its number, so that moving a value in the log touches the slab
//! only.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use super::batch::Entries;
use super::cache::{Cache, CacheSlot};
use super::index::{IndexHit, IndexId, IndexStats, Indexes, NO_ENTRY, RowEntries};
use super::keyed::KeyedSlab;
use super::moves::{moved_bytes_max, moved_entry_bytes_max};
use super::range::{IndexRange, KeyRange, Order};
use super::rows::{Missing, Rows, Step, copies};
use super::tree::{Position, Tree};

/// Where a value lies in the log, and under which sequence it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    /// Of the value's first byte in the segment.
    pub(crate) offset: u32,
    pub(crate) length: u32,
    pub(crate) sequence: u64,
}

/// A row: 28 bytes beside its key and the way to it. Packed, for two rows with these ways shall lie
/// in what a processor fetches at once.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(4))]
pub(crate) struct Row {
    segment: u32,
    offset: u32,
    pub(crate) length: u32,
    cached: CacheSlot,
    pub(crate) sequence: u64,
    /// The first of its index entries.
    pub(crate) entries: u32,
}

pub(crate) type RowSlab = KeyedSlab<Row>;

impl Row {
    pub(crate) fn new(place: Place) -> Row {
        Row {
            segment: place.segment,
            offset: place.offset,
            length: place.length,
            cached: CacheSlot::NONE,
            sequence: place.sequence,
            entries: NO_ENTRY,
        }
    }

    /// Of a key of so many bytes; `entries` is what its index entries take at most.
    fn weight(&self, key: usize, entries: u64) -> Weight {
        Weight {
            live: key as u64 + u64::from(self.length),
            needed: moved_bytes_max(key, self.length) + entries,
        }
    }

    /// Of its value, if a scan copies that.
    fn copied_bytes(&self) -> usize {
        let value = self.length as usize;
        if copies(value) { value } else { 0 }
    }

    fn place(&self) -> Place {
        Place {
            segment: self.segment,
            offset: self.offset,
            length: self.length,
            sequence: self.sequence,
        }
    }

    fn set_place(&mut self, place: Place) {
        self.segment = place.segment;
        self.offset = place.offset;
        self.length = place.length;
        self.sequence = place.sequence;
    }
}

/// What processors fetch at once, mostly.
const LINE_BYTES: usize = 64;

/// Keys in order, rows, their index entries, cached values.
#[derive(Debug)]
pub(crate) struct Directory {
    keys: Tree,
    rows: RowSlab,
    indexes: Indexes,
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
    /// The keys of rows that were numbered in the order of their keys.
    pub(crate) fn sorted_keys(rows: &RowSlab) -> Tree {
        let ids: Vec<u32> = rows.ids().collect();
        Tree::from_sorted(&ids, |id| rows.key(id))
    }

    /// A directory of these rows with their keys in order and their index entries.
    pub(crate) fn loaded(
        cache_bytes: usize,
        mut rows: RowSlab,
        keys: Tree,
        indexes: Indexes,
        entries: &[RowEntries],
    ) -> Directory {
        let segments = || rows.ids().map(|id| rows[id].segment);
        let first = segments().min().unwrap_or(0);
        let last = segments().max().unwrap_or(0);
        let mut needed: Vec<u64> = vec![0; (last - first) as usize + 1];
        let (mut live_bytes, mut largest_row) = (0, 0);
        for (id, entries) in rows.ids().zip(entries) {
            let key = rows.key(id).len();
            let row = &mut rows[id];
            row.entries = entries.first;
            let weight = row.weight(key, u64::from(entries.moved_bytes_max));
            needed[(row.segment - first) as usize] += weight.needed;
            live_bytes += weight.live;
            largest_row = largest_row.max(weight.needed);
        }
        let needed_bytes = needed.iter().sum();
        let needed = (first..).zip(needed).filter(|(_, bytes)| *bytes > 0);
        Directory {
            keys,
            rows,
            indexes,
            cache: Cache::new(cache_bytes),
            live_bytes,
            needed: needed.collect(),
            needed_bytes,
            largest_row,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Bytes of all keys and values.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Entries of all indexes.
    pub(crate) fn index_entries(&self) -> usize {
        self.indexes.len()
    }

    pub(crate) fn index_stats(&self, index: IndexId) -> IndexStats {
        self.indexes.stats(index)
    }

    /// The indexes that have an entry.
    pub(crate) fn indexes(&self) -> Vec<IndexId> {
        self.indexes.ids()
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
        let id = self.id_of(key);
        id.is_some_and(|id| self.rows[id].place() == place)
    }

    /// The row of `key` lies in another place now; its value is the same.
    pub(crate) fn relocate(&mut self, key: &[u8], place: Place) {
        let Some(id) = self.id_of(key) else {
            return;
        };
        self.discount(id);
        let row = &mut self.rows[id];
        (row.segment, row.offset) = (place.segment, place.offset);
        self.count(id);
    }

    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.search(key).is_ok()
    }

    pub(crate) fn get(&mut self, key: &[u8]) -> Option<Found> {
        let id = self.id_of(key)?;
        Some(self.found(id))
    }

    /// The index entries of a row.
    pub(crate) fn entries_of(&self, key: &[u8]) -> impl Iterator<Item = (IndexId, &[u8])> {
        let first = self.id_of(key).map_or(NO_ENTRY, |id| self.rows[id].entries);
        self.indexes.of_row(first)
    }

    /// Points `key` to `place` with these index entries and no others, and keeps `value` in the
    /// cache.
    pub(crate) fn put(&mut self, key: &[u8], place: Place, value: Arc<[u8]>, entries: Entries<'_>) {
        let id = match self.search(key) {
            Ok(position) => {
                let id = self.keys.get(position);
                self.discount(id);
                self.rewrite(id, place, entries);
                id
            }
            Err(position) => {
                let id = self.rows.insert(key, Row::new(place));
                self.keys.insert(position, id, |id| self.rows.key(id));
                id
            }
        };
        self.rows[id].entries = self.indexes.add(&self.rows, id, entries);
        self.count(id);
        self.cache_value(id, value);
    }

    fn rewrite(&mut self, id: u32, place: Place, entries: Entries<'_>) {
        let first = self.indexes.take(&self.rows, id, entries, true);
        let row = &mut self.rows[id];
        row.entries = first;
        self.indexes.value_changed(first, row.length, place.length);
        row.set_place(place);
        self.cache
            .remove(std::mem::replace(&mut row.cached, CacheSlot::NONE));
    }

    /// Gives the row of `key`, if there is one, these index entries and no others.
    pub(crate) fn set_entries(&mut self, key: &[u8], entries: Entries<'_>) {
        let Some(id) = self.id_of(key) else {
            return;
        };
        self.discount(id);
        self.rows[id].entries = self.indexes.take(&self.rows, id, entries, false);
        self.rows[id].entries = self.indexes.add(&self.rows, id, entries);
        self.count(id);
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        let Ok(position) = self.search(key) else {
            return;
        };
        let id = self.keys.remove(position, |id| self.rows.key(id));
        self.discount(id);
        self.indexes.take(&self.rows, id, Entries::NONE, true);
        let row = &mut self.rows[id];
        row.entries = NO_ENTRY;
        self.cache.remove(row.cached);
        self.rows.remove(id);
    }

    /// Keeps a value that was read from the disk, unless the key has moved on meanwhile.
    pub(crate) fn remember(&mut self, key: &[u8], place: Place, value: impl FnOnce() -> Arc<[u8]>) {
        if !self.cache.takes(place.length as usize) {
            return;
        }
        let Some(id) = self.id_of(key) else {
            return;
        };
        let row = &self.rows[id];
        if row.place() == place && row.cached == CacheSlot::NONE {
            self.cache_value(id, value());
        }
    }

    /// The rows of a step, in the order asked for, and which of them have no value yet.
    /// `pending` knows the values that still wait for the disk.
    pub(crate) fn range<'p>(
        &mut self,
        range: &KeyRange,
        order: Order,
        step: Step,
        pending: impl Fn(Place) -> Option<&'p [u8]>,
    ) -> (Rows, Vec<Missing>) {
        let ids = self.ids(range, order, step.rows);
        self.gather(&ids, step.bytes, pending)
    }

    /// The rows with these numbers, up to that with which their values reach so many bytes.
    pub(crate) fn gather<'p>(
        &mut self,
        ids: &[u32],
        bytes_max: usize,
        pending: impl Fn(Place) -> Option<&'p [u8]>,
    ) -> (Rows, Vec<Missing>) {
        let kept = self.within(ids, bytes_max);
        let is_cut = kept.len() < ids.len();
        let ids = kept;
        let keys: Vec<&[u8]> = ids.iter().map(|id| self.rows.key(*id)).collect();
        let key_bytes = keys.iter().map(|key| key.len()).sum::<usize>();
        let mut rows = Rows::with_capacity(ids.len(), key_bytes + self.fetch(ids));
        let mut missing = Vec::new();
        for (at, (id, key)) in ids.iter().zip(keys).enumerate() {
            let row = &self.rows[*id];
            if let Some(value) = self.cache.get(row.cached) {
                rows.push(key, value, row.sequence);
            } else if let Some(value) = pending(row.place()) {
                rows.push_copied(key, value, row.sequence);
            } else {
                rows.push_unread(key, row.place());
                missing.push((at, row.place()));
            }
        }
        rows.set_cut(is_cut);
        (rows, missing)
    }

    /// The first of these rows, up to that with which their values reach so many bytes.
    fn within<'i>(&self, ids: &'i [u32], bytes_max: usize) -> &'i [u32] {
        let bytes = |id: &u32| self.rows[*id].length as usize;
        if ids.iter().map(bytes).sum::<usize>() <= bytes_max {
            return ids;
        }
        let mut sum = 0;
        let reaches = |id: &u32| {
            sum += bytes(id);
            sum >= bytes_max
        };
        let last = ids.iter().position(reaches);
        &ids[..last.map_or(ids.len(), |last| last + 1)]
    }

    /// Looks at what a scan needs of its rows, which lie scattered in memory. All rows take each
    /// step before any takes the next, and within a step no look waits for another one: so the
    /// processor fetches many lines at once, where row by row it would wait for each. Answers how
    /// many bytes of values will be copied.
    fn fetch(&self, ids: &[u32]) -> usize {
        let row = |id: &u32| &self.rows[*id];
        let value = |id: &u32| self.cache.peek(row(id).cached);
        let bytes = ids.iter().map(|id| row(id).copied_bytes()).sum();
        let places = ids
            .iter()
            .map(|id| value(id).map_or(0, |value| value.len()));
        black_box(places.fold(0, usize::wrapping_add));
        let copied = ids.iter().filter_map(value);
        let copied = copied.filter(|value| copies(value.len()));
        let lines = copied.flat_map(|value| value.iter().step_by(LINE_BYTES));
        black_box(lines.fold(0, |all, byte| all ^ byte));
        bytes
    }

    /// The same, without a look at what is cached.
    pub(crate) fn keys(&self, range: &KeyRange, order: Order, limit: usize) -> Vec<Box<[u8]>> {
        let ids = self.ids(range, order, limit).into_iter();
        ids.map(|id| self.rows.key(id).into()).collect()
    }

    /// Up to `limit` entries of an index whose rows are not hidden, in the order asked for.
    pub(crate) fn index_range(
        &self,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        limit: usize,
        hidden: &dyn Fn(&[u8]) -> bool,
    ) -> Vec<IndexHit> {
        self.indexes
            .range(&self.rows, index, range, order, limit, hidden)
    }

    /// The key and the row of this number.
    pub(crate) fn row(&self, id: u32) -> (&[u8], &Row) {
        (self.rows.key(id), &self.rows[id])
    }

    fn ids(&self, range: &KeyRange, order: Order, limit: usize) -> Vec<u32> {
        let (start, end) = range.within(&self.keys, |id| self.rows.key(id));
        let ids = self.keys.ids(start, end);
        match order {
            Order::Forward => ids.take(limit).collect(),
            Order::Reverse => ids.rev().take(limit).collect(),
        }
    }

    fn search(&self, key: &[u8]) -> Result<Position, Position> {
        self.keys.search(key, |id| self.rows.key(id).cmp(key))
    }

    fn id_of(&self, key: &[u8]) -> Option<u32> {
        self.search(key)
            .ok()
            .map(|position| self.keys.get(position))
    }

    fn found(&mut self, id: u32) -> Found {
        let row = &self.rows[id];
        Found {
            place: row.place(),
            cached: self.cache.get(row.cached).cloned(),
        }
    }

    fn cache_value(&mut self, id: u32, value: Arc<[u8]>) {
        let rows = &mut self.rows;
        let slot = self.cache.insert(id, value, |evicted| {
            rows[evicted].cached = CacheSlot::NONE;
        });
        self.rows[id].cached = slot;
    }

    /// Adds the row, as it is, to the figures.
    fn count(&mut self, id: u32) {
        let Weight { live, needed } = self.weight(id);
        self.live_bytes += live;
        *self.needed.entry(self.rows[id].segment).or_default() += needed;
        self.needed_bytes += needed;
        self.largest_row = self.largest_row.max(needed);
    }

    /// Takes the row, as it still is, from the figures.
    fn discount(&mut self, id: u32) {
        let Weight { live, needed } = self.weight(id);
        self.live_bytes -= live;
        self.needed_bytes -= needed;
        let segment = self.rows[id].segment;
        let of_segment = self.needed.entry(segment).or_default();
        *of_segment -= needed;
        if *of_segment == 0 {
            self.needed.remove(&segment);
        }
    }

    fn weight(&self, id: u32) -> Weight {
        let row = &self.rows[id];
        let entries = self.indexes.of_row(row.entries);
        let entries = entries.map(|(_, key)| moved_entry_bytes_max(key.len()));
        row.weight(self.rows.key(id).len(), entries.sum())
    }
}

/// A row's live bytes, and what it would take at most when it is moved.
struct Weight {
    live: u64,
    needed: u64,
}
