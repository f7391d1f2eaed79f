//! From the last words of all segments to the directory: merged key by key while they are decoded,
//! so that nothing of them is in memory twice.

use std::cmp::Ordering;

use super::directory::{Directory, Place, Row, RowSlab};
use super::head::{head, shared_bytes};
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
    let counts = segments.iter().map(KeyFileBytes::counts);
    let counts = counts.fold((0, 0), |sum, (rows, entries)| {
        (sum.0 + rows, sum.1 + entries)
    });
    let mut rows = Slab::with_capacity(counts.0);
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
        }
    }
    rows.shrink();
    let loader = IndexLoader::new(&rows, counts.1);
    let (indexes, entry_bytes) = indexes(merge.streams, &indexed_by, &mut rows, loader)?;
    Ok(Directory::loaded(cache_bytes, rows, indexes, &entry_bytes))
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

/// The indexes, from what follows the rows of the segments, and what the entries of each row take
/// at most when it is moved.
fn indexes(
    behind_rows: Vec<RowCursor<'_>>,
    indexed_by: &[Vec<u32>],
    rows: &mut RowSlab,
    mut loader: IndexLoader,
) -> Result<(Indexes, Vec<u32>), LoadError> {
    let cursors = behind_rows.into_iter().zip(indexed_by);
    let cursors = cursors.map(|(rows, ids)| rows.entries(ids)).collect();
    let mut merge: Merge<EntryCursor<'_>> = Merge::new(cursors)?;
    while let Some((_, entry)) = merge.first() {
        let pushed = loader.push(rows, entry.index(), entry.key(), entry.id());
        pushed.ok_or(LoadError::Malformed)?;
        merge.advance()?;
    }
    loader.finish(rows).ok_or(LoadError::Malformed)
}

/// Something that gives one thing after the other.
pub(crate) trait Stream {
    /// Goes to the next one; `false` at the end.
    fn advance(&mut self) -> Result<bool, Malformed>;

    /// What orders it among those of all streams.
    fn rank(&self) -> &[u8];

    /// With how many bytes of the rank before this one begins, at least.
    fn kept(&self) -> usize;
}

/// Equal heads among the streams before it is looked whether all ranks begin with more bytes than
/// known, and heads of later bytes would tell them apart.
const TIES_MAX: u32 = 16;

/// Several streams in one order. Of equal things, the one of the first stream comes first.
struct Merge<S> {
    streams: Vec<S>,
    /// Those that have not ended, the one whose turn it is last, with the heads of their ranks.
    order: Vec<(u64, usize)>,
    /// All these ranks begin with the same bytes, so many; heads are what follows.
    shared: usize,
    ties: u32,
}

impl<S: Stream> Merge<S> {
    fn new(mut streams: Vec<S>) -> Result<Merge<S>, Malformed> {
        let mut order = Vec::with_capacity(streams.len());
        for (at, stream) in streams.iter_mut().enumerate() {
            if stream.advance()? {
                order.push((0, at));
            }
        }
        let mut merge = Merge {
            streams,
            order,
            shared: 0,
            ties: 0,
        };
        let mut order = std::mem::take(&mut merge.order);
        order.sort_by(|one, other| merge.compare(*other, *one));
        merge.order = order;
        merge.read_heads();
        Ok(merge)
    }

    fn first(&self) -> Option<(usize, &S)> {
        let (_, stream) = *self.order.last()?;
        Some((stream, &self.streams[stream]))
    }

    /// Lets the stream whose turn it is go on, and puts it where it belongs now.
    fn advance(&mut self) -> Result<(), Malformed> {
        let Some((_, stream)) = self.order.pop() else {
            return Ok(());
        };
        if !self.streams[stream].advance()? {
            return Ok(());
        }
        if self.streams[stream].kept() < self.shared {
            self.shared = 0;
        }
        let new = (head(self.streams[stream].rank(), self.shared), stream);
        if self.shared == 0 {
            // Heads of the first bytes hold for all.
            self.read_heads_from(0);
        }
        let place = self
            .order
            .partition_point(|other| self.compare(*other, new).is_gt());
        self.ties += u32::from(
            self.order[place..]
                .last()
                .is_some_and(|next| next.0 == new.0),
        );
        self.order.insert(place, new);
        if self.ties > TIES_MAX || self.shared == 0 {
            self.read_heads();
        }
        Ok(())
    }

    fn compare(&self, one: (u64, usize), other: (u64, usize)) -> Ordering {
        let rank = |stream: usize| self.streams[stream].rank();
        let by_rank = || rank(one.1).cmp(rank(other.1));
        one.0
            .cmp(&other.0)
            .then_with(by_rank)
            .then(one.1.cmp(&other.1))
    }

    /// Heads of what follows the bytes with which all ranks begin: what the first and the last of
    /// them have in common, all between them have. Of equal ranks the end is left to the heads, for
    /// the next ones will differ there.
    fn read_heads(&mut self) {
        self.ties = 0;
        let rank = |at: Option<&(u64, usize)>| at.map(|(_, stream)| self.streams[*stream].rank());
        if let (Some(first), Some(last)) = (rank(self.order.first()), rank(self.order.last())) {
            let end = first.len().saturating_sub(size_of::<u64>());
            self.read_heads_from(shared_bytes(first, last).min(end));
        }
    }

    fn read_heads_from(&mut self, shared: usize) {
        self.shared = shared;
        for (known, stream) in &mut self.order {
            *known = head(self.streams[*stream].rank(), shared);
        }
    }
}
