//! The rows of one scan, in one piece of memory.
//!
//! A scan copies keys and values out while it holds the lock: that costs less than counting
//! references to each, and who has the rows holds up nobody and keeps nothing alive but them. Only
//! values above [`DB_ROW_COPIED_BYTES_MAX`] are shared with the cache.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use periwinkle_core::limits::{DB_READ_BYTES_MAX, DB_READ_GAP_BYTES_MAX, DB_ROW_COPIED_BYTES_MAX};

use super::directory::Place;
use super::error::ReadError;
use super::key::Key;
use super::read::{Entry, IndexedEntry};
use super::storage::StorageFile;

/// Whether a scan copies a value of so many bytes.
pub(crate) fn copies(value_bytes: usize) -> bool {
    value_bytes <= DB_ROW_COPIED_BYTES_MAX
}

/// How much one call reads of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// So many rows at most.
    pub rows: usize,
    /// The row with which their values reach so many bytes is the last one.
    pub bytes: usize,
}

impl Step {
    /// So many rows, whatever their size.
    pub(crate) fn rows(rows: usize) -> Step {
        Step {
            rows,
            bytes: usize::MAX,
        }
    }
}

/// Rows in the order of a scan, all as of one moment.
#[derive(Clone, Default)]
pub struct Rows {
    /// Each key, and behind it the value unless it is shared.
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    is_cut: bool,
}

#[derive(Clone)]
struct Slot {
    /// Of the key in the bytes.
    start: usize,
    key_bytes: u32,
    value_bytes: u32,
    sequence: u64,
    shared: Option<Arc<[u8]>>,
}

/// One of [`Rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRef<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// The sequence of the commit that wrote it.
    pub sequence: u64,
}

impl Rows {
    /// Room for so many rows with so many bytes of keys and of values that are copied.
    pub(crate) fn with_capacity(rows: usize, bytes: usize) -> Rows {
        Rows {
            bytes: Vec::with_capacity(bytes),
            slots: Vec::with_capacity(rows),
            is_cut: false,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether there may be more behind the rows of this step.
    pub fn goes_on(&self, step: Step) -> bool {
        self.is_cut || self.len() == step.rows
    }

    pub(crate) fn set_cut(&mut self, is_cut: bool) {
        self.is_cut = is_cut;
    }

    /// The last one.
    pub fn last(&self) -> Option<RowRef<'_>> {
        self.slots.last().map(|slot| self.row(slot))
    }

    /// One after the other.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = RowRef<'_>> + ExactSizeIterator {
        self.slots.iter().map(|slot| self.row(slot))
    }

    /// The rows, each to be kept for itself; their keys have one piece of memory.
    pub(crate) fn to_entries(&self) -> Vec<Entry> {
        let mut keys =
            Vec::with_capacity(self.slots.iter().map(|slot| slot.key_bytes as usize).sum());
        let mut ends = Vec::with_capacity(self.len());
        for row in self.iter() {
            keys.extend_from_slice(row.key);
            ends.push(keys.len() as u32);
        }
        let keys = Key::split(keys, ends);
        let entries = keys.enumerate().map(|(at, key)| Entry {
            key,
            value: self.shared_value(at),
            sequence: self.slots[at].sequence,
        });
        entries.collect()
    }

    fn row<'a>(&'a self, slot: &'a Slot) -> RowRef<'a> {
        let (key, value) = self.bytes[slot.start..].split_at(slot.key_bytes as usize);
        RowRef {
            key,
            value: match &slot.shared {
                Some(shared) => shared,
                None => &value[..slot.value_bytes as usize],
            },
            sequence: slot.sequence,
        }
    }

    pub(crate) fn key(&self, at: usize) -> &[u8] {
        let slot = &self.slots[at];
        &self.bytes[slot.start..][..slot.key_bytes as usize]
    }

    /// The value of a row, to be kept for itself.
    pub(crate) fn shared_value(&self, at: usize) -> Arc<[u8]> {
        let slot = &self.slots[at];
        let shared = slot.shared.as_ref();
        shared.map_or_else(|| Arc::from(self.row(slot).value), Arc::clone)
    }

    /// Adds a row with the value as the cache has it.
    pub(crate) fn push(&mut self, key: &[u8], value: &Arc<[u8]>, sequence: u64) {
        let shared = (!copies(value.len())).then(|| Arc::clone(value));
        self.add(key, value.len(), sequence);
        match shared {
            None => self.bytes.extend_from_slice(value),
            shared => self.set_shared(shared),
        }
    }

    /// Adds a row with a value that is copied in any case.
    pub(crate) fn push_copied(&mut self, key: &[u8], value: &[u8], sequence: u64) {
        self.add(key, value.len(), sequence);
        if !copies(value.len()) {
            self.set_shared(Some(Arc::from(value)));
        } else {
            self.bytes.extend_from_slice(value);
        }
    }

    /// Adds a row with room for the value, which has to be read.
    pub(crate) fn push_unread(&mut self, key: &[u8], place: Place) {
        let bytes = place.length as usize;
        self.add(key, bytes, place.sequence);
        if copies(bytes) {
            self.bytes.resize(self.bytes.len() + bytes, 0);
        }
    }

    fn add(&mut self, key: &[u8], value_bytes: usize, sequence: u64) {
        self.slots.push(Slot {
            start: self.bytes.len(),
            key_bytes: key.len() as u32,
            value_bytes: value_bytes as u32,
            sequence,
            shared: None,
        });
        self.bytes.extend_from_slice(key);
    }

    fn set_shared(&mut self, shared: Option<Arc<[u8]>>) {
        if let Some(slot) = self.slots.last_mut() {
            slot.shared = shared;
        }
    }

    fn set_value(&mut self, at: usize, value: &[u8]) {
        let slot = &mut self.slots[at];
        if !copies(value.len()) {
            slot.shared = Some(Arc::from(value));
        } else {
            let start = slot.start + slot.key_bytes as usize;
            self.bytes[start..][..value.len()].copy_from_slice(value);
        }
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Rows as an index found them.
#[derive(Clone, Debug, Default)]
pub struct IndexedRows {
    pub(crate) index_keys: Vec<Box<[u8]>>,
    pub(crate) rows: Rows,
}

impl IndexedRows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether there may be more behind the rows of this step.
    pub fn goes_on(&self, step: Step) -> bool {
        self.rows.goes_on(step)
    }

    /// One after the other, each with the index key that it has there.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], RowRef<'_>)> {
        let index_keys = self.index_keys.iter().map(|key| &**key);
        index_keys.zip(self.rows.iter())
    }

    pub(crate) fn into_entries(self) -> Vec<IndexedEntry> {
        let entries = self.index_keys.into_iter().zip(self.rows.to_entries());
        let entries = entries.map(|(index_key, entry)| IndexedEntry { index_key, entry });
        entries.collect()
    }
}

/// A row whose value has to be read: its number among the rows, and where the value lies.
pub(crate) type Missing = (usize, Place);

/// Rows of which some have no value yet. They can be read without the engine.
pub(crate) struct UnreadRows {
    pub(crate) rows: Rows,
    pub(crate) missing: Vec<Missing>,
    /// The segments in which these lie.
    pub(crate) files: BTreeMap<u32, Arc<dyn StorageFile>>,
}

impl UnreadRows {
    /// Reads the values that are missing and compares their checksums. Values that lie near each
    /// other in the log are read at once. Answers which were read, too.
    pub(crate) fn read(mut self) -> Result<(Rows, Vec<Missing>), ReadError> {
        let mut missing = std::mem::take(&mut self.missing);
        missing.sort_unstable_by_key(|(_, place)| (place.segment, place.offset));
        let mut buffer = Vec::new();
        let mut rest = &missing[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(neighbours(rest));
            rest = behind;
            self.read_piece(piece, &mut buffer)?;
        }
        Ok((self.rows, missing))
    }

    fn read_piece(&mut self, piece: &[Missing], buffer: &mut Vec<u8>) -> Result<(), ReadError> {
        let (first, last) = (piece[0].1, piece[piece.len() - 1].1);
        let file = &*self.files[&first.segment];
        let bytes = last.end() - first.start();
        buffer.resize(buffer.len().max(bytes), 0);
        let read = file.read_at(first.start() as u64, &mut buffer[..bytes]);
        for (at, place) in piece {
            let key = self.rows.key(*at);
            if read.is_err() {
                // What lies between them may be what cannot be read.
                buffer.resize(buffer.len().max(place.bytes()), 0);
                let alone = &mut buffer[..place.bytes()];
                place.read(file, alone)?;
                let value = place.check(key, alone)?;
                self.rows.set_value(*at, value);
            } else {
                let from = place.start() - first.start();
                let value = place.check(key, &buffer[from..from + place.bytes()])?;
                self.rows.set_value(*at, value);
            }
        }
        Ok(())
    }
}

/// How many values from the first one on are worth one read.
fn neighbours(missing: &[Missing]) -> usize {
    let first = missing[0].1;
    let joins = missing.windows(2).take_while(|pair| {
        let (one, next) = (pair[0].1, pair[1].1);
        let gap = next.start().checked_sub(one.end());
        one.segment == next.segment
            && gap.is_some_and(|gap| gap <= DB_READ_GAP_BYTES_MAX)
            && next.end() - first.start() <= DB_READ_BYTES_MAX
    });
    1 + joins.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(length: usize) -> Place {
        Place {
            segment: 1,
            offset: 64,
            length: length as u32,
            sequence: 9,
        }
    }

    #[test]
    fn a_value_at_the_bound_is_copied_and_one_byte_more_is_shared() {
        for (bytes, holders) in [
            (DB_ROW_COPIED_BYTES_MAX, 1),
            (DB_ROW_COPIED_BYTES_MAX + 1, 2),
        ] {
            let value: Arc<[u8]> = vec![7; bytes].into();
            let mut rows = Rows::default();
            rows.push(b"key", &value, 5);
            assert_eq!(Arc::strong_count(&value), holders, "{bytes} bytes");
            let row = rows.last().unwrap();
            assert_eq!(
                (row.key, row.value, row.sequence),
                (&b"key"[..], &*value, 5)
            );
        }
    }

    #[test]
    fn rows_are_the_same_wherever_their_values_come_from() {
        let sizes = [
            0,
            1,
            200,
            DB_ROW_COPIED_BYTES_MAX,
            DB_ROW_COPIED_BYTES_MAX + 1,
        ];
        let mut rows = Rows::default();
        for size in sizes {
            let value: Arc<[u8]> = vec![size as u8; size].into();
            rows.push(b"cached", &value, 9);
            rows.push_copied(b"pending", &value, 9);
            rows.push_unread(b"read", place(size));
            rows.set_value(rows.len() - 1, &value);
        }
        assert_eq!(rows.len(), 3 * sizes.len());
        for (at, row) in rows.iter().enumerate() {
            let size = sizes[at / 3];
            assert_eq!(row.key, [&b"cached"[..], b"pending", b"read"][at % 3]);
            assert_eq!(row.value, vec![size as u8; size]);
            assert_eq!(row.sequence, 9);
        }
        let entries = rows.to_entries();
        let kept = entries.iter().map(|entry| (&*entry.key, &*entry.value));
        assert!(kept.eq(rows.iter().map(|row| (row.key, row.value))));
        let last = rows.iter().next_back();
        assert_eq!(last, rows.last());
    }
}
