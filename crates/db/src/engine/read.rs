//! Reading a value: from memory, or by one positional read that checks what it got.

use std::sync::Arc;

use super::batch::{VALUE_CRC_BYTES, value_crc};
use super::directory::Place;
use super::error::{Damage, ReadError};
use super::key::Key;
use super::log::segment_name;
use super::range::IndexPosition;
use super::storage::StorageFile;

/// A row as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value, shared with the cache.
    pub value: Arc<[u8]>,
    /// The sequence of the commit that wrote it.
    pub sequence: u64,
}

/// A row as found by an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedEntry {
    /// The index key that it has there.
    pub index_key: Box<[u8]>,
    /// The row.
    pub entry: Entry,
}

impl IndexedEntry {
    /// Where a scan goes on behind this row.
    pub fn position(&self) -> IndexPosition {
        IndexPosition {
            index_key: self.index_key.to_vec(),
            sequence: self.entry.sequence,
            key: self.entry.key.to_vec(),
        }
    }
}

/// A row's place in an index, and how long its value is; the value was not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedRow {
    /// Its place.
    pub position: IndexPosition,
    /// Bytes of its value.
    pub value_bytes: u64,
}

/// What a lookup found.
pub enum Lookup {
    /// The row.
    Ready(Entry),
    /// The place of the row; the value has to be read from the disk.
    Unread(Unread),
}

/// A value on the disk. It can be read without the engine, at any time later: what it names does
/// not change.
pub struct Unread {
    pub(crate) key: Key,
    pub(crate) place: Place,
    pub(crate) file: Arc<dyn StorageFile>,
}

impl Unread {
    /// Reads the value and compares its checksum. Blocks for the time of one disk read.
    pub fn read(&self) -> Result<Entry, ReadError> {
        let mut bytes = vec![0; self.place.bytes()];
        self.place.read(&*self.file, &mut bytes)?;
        Ok(Entry {
            key: self.key.clone(),
            value: Arc::from(self.place.check(&self.key, &bytes)?),
            sequence: self.place.sequence,
        })
    }
}

/// How a value is read: with its checksum behind it.
impl Place {
    /// Where the value begins in its segment.
    pub(crate) fn start(self) -> usize {
        self.offset as usize
    }

    /// Where its checksum ends.
    pub(crate) fn end(self) -> usize {
        self.start() + self.bytes()
    }

    /// How many bytes both take.
    pub(crate) fn bytes(self) -> usize {
        self.length as usize + VALUE_CRC_BYTES
    }

    pub(crate) fn read(self, file: &dyn StorageFile, bytes: &mut [u8]) -> Result<(), ReadError> {
        let offset = u64::from(self.offset);
        file.read_at(offset, bytes).map_err(|error| ReadError::Io {
            file: segment_name(self.segment),
            offset,
            source: Arc::new(error),
        })
    }

    /// The value of the row with this key, from the bytes that were read.
    pub(crate) fn check<'b>(self, key: &[u8], bytes: &'b [u8]) -> Result<&'b [u8], ReadError> {
        let (value, crc) = bytes.split_at(self.length as usize);
        if crc != value_crc(key, value).to_le_bytes() {
            return Err(ReadError::Damaged(Damage {
                file: segment_name(self.segment),
                offset: u64::from(self.offset),
                what: "the value does not match its checksum".to_owned(),
            }));
        }
        Ok(value)
    }
}
