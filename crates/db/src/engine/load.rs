//! From the last words of all segments to the directory: merged key by key while they are decoded,
//! so that nothing of them is in memory twice.

use std::cmp::Ordering;

use super::directory::{Directory, Place, Row, Rows};
use super::index::{IndexLoader, Indexes};
use super::key_file::{EntryCursor, KeyFileBytes, Malformed, RowCursor};
use super::run::Word;
use super::slab::Slab;

/// Why the words of the segments make no directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoadError {
    /// A row was moved that was not the youngest of its key: where it lies.
    Contradiction { segment: u32, offset: u32 },
    /// The body of a key file is not one, in spite of its checksum.
    Malformed,
}

impl From<Malformed> for LoadError {
    fn from(_: Malformed) -> LoadError {
        LoadError::Malformed
    }
}

/// The directory that the last words of the segments make, the oldest first.
pub(crate) fn directory(
    segments: &[KeyFileBytes],
    cache_bytes: usize,
) -> Result<Directory, LoadError> {
    let mut rows = Slab::default();
    let mut ids = Vec::new();
    let mut indexed_by: Vec<_> = segments.iter().map(KeyFileBytes::no_rows).collect();
    let cursors = segments.iter().map(KeyFileBytes::rows).collect();
    let mut merge = Merge::new(cursors)?;
    let mut key = Vec::new();
    while let Some((_, first)) = merge.first() {
        key.clear();
        key.extend_from_slice(first.key());
        if let Some((place, source)) = last_word(&mut merge, &key)? {
            let id = rows.insert(Row::new(key[..].into(), place));
            set(&mut indexed_by, source, id);
            ids.push(id);
        }
    }
    rows.shrink();
    let indexes = indexes(merge.streams, &indexed_by, &mut rows)?;
    Ok(Directory::loaded(cache_bytes, rows, &ids, indexes))
}

/// A word: its segment, and its row there.
type Source = (usize, u32);

fn set(indexed_by: &mut [Vec<u32>], (segment, row): Source, id: u32) {
    indexed_by[segment][row as usize] = id;
}

/// Takes all words on a key. Answers where the row is and which word tells its index entries;
/// `None` when it is gone.
fn last_word(
    merge: &mut Merge<RowCursor<'_>>,
    key: &[u8],
) -> Result<Option<(Place, Source)>, LoadError> {
    let mut known: Option<(Place, Source)> = None;
    while let Some((segment, cursor)) = merge.first().filter(|(_, cursor)| cursor.key() == key) {
        let source = (segment, cursor.row());
        match (cursor.word(), &mut known) {
            (Word::Gone, known) => *known = None,
            (Word::Indexed, Some((_, told_by))) => *told_by = source,
            (Word::Indexed, None) => {}
            (Word::There(place), Some((old, _)))
                if cursor.is_moved() && place.sequence != old.sequence =>
            {
                return Err(LoadError::Contradiction {
                    segment: place.segment,
                    offset: place.offset,
                });
            }
            (Word::There(place), known) => *known = Some((place, source)),
        }
        merge.advance()?;
    }
    Ok(known)
}

/// The indexes, from what follows the rows of the segments.
fn indexes(
    behind_rows: Vec<RowCursor<'_>>,
    indexed_by: &[Vec<u32>],
    rows: &mut Rows,
) -> Result<Indexes, LoadError> {
    let cursors = behind_rows.into_iter().zip(indexed_by);
    let cursors = cursors.map(|(rows, ids)| rows.entries(ids)).collect();
    let mut merge: Merge<EntryCursor<'_>> = Merge::new(cursors)?;
    let mut loader = IndexLoader::default();
    while let Some((_, entry)) = merge.first() {
        loader.push(rows, entry.index(), entry.key(), entry.id());
        merge.advance()?;
    }
    loader.finish(rows).ok_or(LoadError::Malformed)
}

/// Something that gives one thing after the other.
pub(crate) trait Stream {
    /// Goes to the next one; `false` at the end.
    fn advance(&mut self) -> Result<bool, Malformed>;

    /// How this one stands to that of another stream.
    fn compare(&self, other: &Self) -> Ordering;
}

/// Several streams in one order. Of equal things, the one of the first stream comes first.
struct Merge<S> {
    streams: Vec<S>,
    /// Those that have not ended, the one whose turn it is last.
    order: Vec<usize>,
}

impl<S: Stream> Merge<S> {
    fn new(streams: Vec<S>) -> Result<Merge<S>, Malformed> {
        let mut merge = Merge {
            order: Vec::with_capacity(streams.len()),
            streams,
        };
        for stream in 0..merge.streams.len() {
            merge.step(stream)?;
        }
        Ok(merge)
    }

    fn first(&self) -> Option<(usize, &S)> {
        let stream = *self.order.last()?;
        Some((stream, &self.streams[stream]))
    }

    fn advance(&mut self) -> Result<(), Malformed> {
        match self.order.pop() {
            Some(stream) => self.step(stream),
            None => Ok(()),
        }
    }

    /// Lets a stream go on, and puts it where it belongs now.
    fn step(&mut self, stream: usize) -> Result<(), Malformed> {
        if self.streams[stream].advance()? {
            let place = self.order.partition_point(|other| {
                let compared = self.streams[*other].compare(&self.streams[stream]);
                compared.then(other.cmp(&stream)).is_gt()
            });
            self.order.insert(place, stream);
        }
        Ok(())
    }
}
