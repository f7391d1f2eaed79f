//! From the last words of all segments to the directory: merged key by key while they are decoded,
//! so that nothing of them is in memory twice.

use std::cmp::Ordering;
use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

use periwinkle_core::limits::DB_LOAD_BESIDE_ENTRIES_MIN;

use super::directory::{Directory, Place, Row, RowSlab};
use super::head::{head, shared_bytes};
use super::index::LoadedEntries;
use super::key_file::{KeyFileBytes, Malformed, RowCursor};
use super::keyed::KeyedSlab;
use super::run::Word;

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
///
/// When there is much to merge, what belongs to the index entries and what belongs to the rows is
/// done at the same time: most of the time of an opening goes there.
pub(crate) fn directory(
    segments: &[KeyFileBytes],
    cache_bytes: usize,
) -> Result<Directory, LoadError> {
    let many = is_large(segments);
    let (entries, rows) = beside(many, || merged_entries(segments), || merged_rows(segments));
    let ((rows, indexed_by), entries) = (rows?, entries?);
    let (keys, linked) = beside(
        many,
        || Directory::sorted_keys(&rows),
        || entries.linked(&rows, &indexed_by),
    );
    let (indexes, links) = linked.ok_or(LoadError::Malformed)?;
    Ok(Directory::loaded(cache_bytes, rows, keys, indexes, &links))
}

/// Whether there is so much to merge that threads are worth their start.
pub(crate) fn is_large(segments: &[KeyFileBytes]) -> bool {
    let counts = segments.iter().map(|words| words.counts().1);
    counts.sum::<usize>() >= DB_LOAD_BESIDE_ENTRIES_MIN
}

/// Does both, at the same time when there is much to do: `one` then on a thread of its own, if there
/// can be one.
pub(crate) fn beside<A: Send, B>(
    much: bool,
    one: impl Fn() -> A + Send + Sync,
    other: impl FnOnce() -> B,
) -> (A, B) {
    thread::scope(|scope| {
        let name = "periwinkle-db-load".to_owned();
        let thread = thread::Builder::new().name(name);
        let started = much
            .then(|| thread.spawn_scoped(scope, &one).ok())
            .flatten();
        let other = other();
        let one = match started.map(ScopedJoinHandle::join) {
            None => one(),
            Some(Ok(one)) => one,
            Some(Err(panic)) => resume_unwind(panic),
        };
        (one, other)
    })
}

/// By segment and row there: the row of the directory whose index entries it tells.
type IndexedBy = Vec<Vec<u32>>;

/// The rows in the order of their keys.
fn merged_rows(segments: &[KeyFileBytes]) -> Result<(RowSlab, IndexedBy), LoadError> {
    let counts = segments.iter().map(|words| words.counts().0);
    let mut rows = KeyedSlab::with_capacity(counts.sum());
    let mut indexed_by: IndexedBy = segments.iter().map(KeyFileBytes::no_rows).collect();
    let mut merge = Merge::new(segments.iter().map(KeyFileBytes::rows).collect())?;
    let mut key = Vec::new();
    while let Some((segment, first)) = merge.first() {
        if merge.first_is_alone() {
            // So it is mostly, and then the key need not be kept to know others by.
            if let Word::There(place) = first.word() {
                indexed_by[segment][first.row() as usize] =
                    rows.insert(first.key(), Row::new(place));
            }
            merge.advance()?;
            continue;
        }
        key.clear();
        key.extend_from_slice(first.key());
        if let Some((place, (segment, row))) = last_word(&mut merge, &key)? {
            let id = rows.insert(&key, Row::new(place));
            indexed_by[segment][row as usize] = id;
        }
    }
    rows.shrink();
    Ok((rows, indexed_by))
}

/// A word: its segment, and its row there.
type Source = (usize, u32);

/// Takes all words on a key, which is that of the first. Answers where the row is and which word
/// tells its index entries; `None` when it is gone.
fn last_word(
    merge: &mut Merge<RowCursor<'_>>,
    key: &[u8],
) -> Result<Option<(Place, Source)>, LoadError> {
    let mut known: Option<(Place, Source)> = None;
    let mut next = merge.first();
    while let Some((segment, cursor)) = next {
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
        next = merge.first().filter(|(_, cursor)| cursor.key() == key);
    }
    Ok(known)
}

/// The index entries of all segments, of rows that are gone or have others by now too.
fn merged_entries(segments: &[KeyFileBytes]) -> Result<LoadedEntries, Malformed> {
    let counts = segments.iter().map(|words| words.counts().1);
    let mut entries = LoadedEntries::with_capacity(counts.sum());
    let cursors = segments.iter().map(KeyFileBytes::entries);
    let mut merge = Merge::new(cursors.collect::<Result<_, _>>()?)?;
    while let Some((segment, entry)) = merge.first() {
        let pushed = entries.push(entry.index(), entry.key(), segment as u32, entry.row());
        pushed.ok_or(Malformed)?;
        merge.advance()?;
    }
    Ok(entries)
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

/// Among how many streams a place is looked for one by one, before it is halved.
const NEAR: usize = 8;

/// Several streams in one order. Of equal things, the one of the first stream comes first.
pub(crate) struct Merge<S> {
    streams: Vec<S>,
    /// Those that have not ended, the one whose turn it is last, with the heads of their ranks.
    order: Vec<(u64, usize)>,
    /// All these ranks begin with the same bytes, so many; heads are what follows.
    shared: usize,
    ties: u32,
}

impl<S: Stream> Merge<S> {
    pub(crate) fn new(mut streams: Vec<S>) -> Result<Merge<S>, Malformed> {
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

    pub(crate) fn first(&self) -> Option<(usize, &S)> {
        let (_, stream) = *self.order.last()?;
        Some((stream, &self.streams[stream]))
    }

    /// Whether no other stream has something of the same rank, as far as heads tell.
    fn first_is_alone(&self) -> bool {
        match self.order[..] {
            [.., next, first] => next.0 != first.0,
            _ => true,
        }
    }

    /// Lets the stream whose turn it is go on, and puts it where it belongs now.
    pub(crate) fn advance(&mut self) -> Result<(), Malformed> {
        let Some((_, stream)) = self.order.pop() else {
            return Ok(());
        };
        if !self.streams[stream].advance()? {
            return Ok(());
        }
        if self.streams[stream].kept() < self.shared {
            // Heads of the first bytes hold for all.
            self.read_heads_from(0);
        }
        let new = (head(self.streams[stream].rank(), self.shared), stream);
        let place = self.insert(new);
        let next = self.order.get(place + 1);
        self.ties += u32::from(next.is_some_and(|next| next.0 == new.0));
        if self.ties > TIES_MAX || self.shared == 0 {
            self.read_heads();
        }
        Ok(())
    }

    /// Puts a stream where it belongs, and answers where. A few steps from the end are as far as
    /// most go.
    #[inline]
    fn insert(&mut self, new: (u64, usize)) -> usize {
        let mut place = self.order.len();
        let near = place.saturating_sub(NEAR);
        self.order.push(new);
        while place > near && self.is_before(self.order[place - 1], new) {
            self.order[place] = self.order[place - 1];
            place -= 1;
        }
        self.order[place] = new;
        if place == near {
            place = self.order[..near].partition_point(|other| !self.is_before(*other, new));
            self.order[place..=near].rotate_right(1);
        }
        place
    }

    /// Heads tell it, mostly.
    #[inline]
    fn is_before(&self, one: (u64, usize), other: (u64, usize)) -> bool {
        one.0 < other.0 || (one.0 == other.0 && self.compare(one, other).is_lt())
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
