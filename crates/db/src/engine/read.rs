//! Reading a value: from memory, or by one positional read that checks what it got.

use std::sync::Arc;

use periwinkle_core::limits::{DB_READ_BYTES_MAX, DB_READ_GAP_BYTES_MAX};

use super::batch::{VALUE_CRC_BYTES, value_crc};
use super::directory::Place;
use super::error::{Damage, ReadError};
use super::key::Key;
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

impl Lookup {
    pub(crate) fn is_unread(&self) -> bool {
        matches!(self, Lookup::Unread(_))
    }
}

/// A value on the disk. It can be read without the engine, at any time later: what it names does
/// not change.
pub struct Unread {
    pub(crate) key: Key,
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) file: Arc<dyn StorageFile>,
}

impl Unread {
    /// Reads the value and compares its checksum. Blocks for the time of one disk read.
    pub fn read(&self) -> Result<Entry, ReadError> {
        let offset = u64::from(self.place.offset);
        let mut bytes = vec![0; self.end() - self.start()];
        self.file
            .read_at(offset, &mut bytes)
            .map_err(|error| ReadError::Io {
                file: self.name.clone(),
                offset,
                source: Arc::new(error),
            })?;
        self.check(&bytes)
    }

    /// Where the value begins in its segment.
    fn start(&self) -> usize {
        self.place.offset as usize
    }

    /// Where its checksum ends.
    fn end(&self) -> usize {
        self.start() + self.place.length as usize + VALUE_CRC_BYTES
    }

    /// The row of a value with its checksum.
    fn check(&self, bytes: &[u8]) -> Result<Entry, ReadError> {
        let (value, crc) = bytes.split_at(self.place.length as usize);
        if crc != value_crc(&self.key, value).to_le_bytes() {
            return Err(ReadError::Damaged(Damage {
                file: self.name.clone(),
                offset: u64::from(self.place.offset),
                what: "the value does not match its checksum".to_owned(),
            }));
        }
        Ok(Entry {
            key: self.key.clone(),
            value: Arc::from(value),
            sequence: self.place.sequence,
        })
    }
}

/// A value that was read, and which of the rows it belongs to.
pub(crate) type ReadAt = (usize, Unread);

/// The rows of lookups, in their order, and which of them were read from the disk. Values that lie
/// near each other in the log are read at once.
pub(crate) fn finish_all(lookups: Vec<Lookup>) -> Result<(Vec<Entry>, Vec<ReadAt>), ReadError> {
    let mut entries: Vec<Option<Entry>> = Vec::with_capacity(lookups.len());
    let mut unread = Vec::new();
    for (at, lookup) in lookups.into_iter().enumerate() {
        entries.push(match lookup {
            Lookup::Ready(entry) => Some(entry),
            Lookup::Unread(one) => {
                unread.push((at, one));
                None
            }
        });
    }
    unread.sort_by_key(|(_, one)| (one.place.segment, one.place.offset));
    let mut rest = &unread[..];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(neighbours(rest));
        rest = behind;
        read_piece(piece, &mut entries)?;
    }
    let entries = entries.into_iter();
    let entries = entries.map(|entry| entry.expect("each was there or was read"));
    Ok((entries.collect(), unread))
}

/// How many values from the first one on are worth one read.
fn neighbours(unread: &[(usize, Unread)]) -> usize {
    let first = &unread[0].1;
    let joins = unread.windows(2).take_while(|pair| {
        let (one, next) = (&pair[0].1, &pair[1].1);
        let gap = next.start().checked_sub(one.end());
        one.place.segment == next.place.segment
            && gap.is_some_and(|gap| gap <= DB_READ_GAP_BYTES_MAX)
            && next.end() - first.start() <= DB_READ_BYTES_MAX
    });
    1 + joins.count()
}

fn read_piece(piece: &[(usize, Unread)], entries: &mut [Option<Entry>]) -> Result<(), ReadError> {
    let (first, last) = (&piece[0].1, &piece[piece.len() - 1].1);
    let mut bytes = vec![0; last.end() - first.start()];
    let read = first.file.read_at(first.start() as u64, &mut bytes);
    for (at, one) in piece {
        let entry = match &read {
            Ok(()) => {
                let range = one.start() - first.start()..one.end() - first.start();
                one.check(&bytes[range])
            }
            // What lies between them may be what cannot be read.
            Err(_) => one.read(),
        };
        entries[*at] = Some(entry?);
    }
    Ok(())
}
