//! Index entries in memory: per index an ordered list, and per row a chain of its entries.
//!
//! An entry holds its index key once and the id of its row. The chain is the way from a row to
//! its entries, so that a write need not know what the row had before.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use super::batch::Entries;
use super::directory::RowSlab;
use super::moves::moved_entry_bytes_max;
use super::range::{IndexPosition, IndexRange, Order};
use super::slab::Slab;
use super::tree::{Position, Tree};

/// Names an index. The engine knows nothing of what it is for.
///
/// Rows with the same index key are in the order of their keys; in indexes up to
/// [`IndexId::BY_SEQUENCE_MAX`] in the order of the commits that wrote them, then of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexId(pub u16);

impl IndexId {
    /// The last index that is ordered by sequence.
    pub const BY_SEQUENCE_MAX: IndexId = IndexId(15);

    pub(crate) fn is_by_sequence(self) -> bool {
        self <= IndexId::BY_SEQUENCE_MAX
    }
}

/// No entry: the end of a chain.
pub(crate) const NO_ENTRY: u32 = u32::MAX;

#[derive(Debug)]
struct IndexEntry {
    key: Box<[u8]>,
    row: u32,
    /// The next entry of the same row.
    next: u32,
    index: IndexId,
}

/// Figures of one index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Entries.
    pub entries: u64,
    /// Bytes of the values of their rows.
    pub value_bytes: u64,
}

#[derive(Debug, Default)]
struct OneIndex {
    tree: Tree,
    value_bytes: u64,
}

/// All indexes.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    entries: Slab<IndexEntry>,
    by_id: BTreeMap<IndexId, OneIndex>,
}

/// An entry that a scan found.
pub(crate) struct IndexHit {
    pub(crate) index_key: Box<[u8]>,
    pub(crate) row: u32,
}

/// What orders the entries of an index: key, then sequence where it counts, then the row's key.
type Place<'a> = (&'a [u8], u64, &'a [u8]);

impl Indexes {
    pub(crate) fn len(&self) -> usize {
        self.by_id.values().map(|index| index.tree.len()).sum()
    }

    pub(crate) fn stats(&self, index: IndexId) -> IndexStats {
        let index = self.by_id.get(&index);
        index.map_or(IndexStats::default(), |index| IndexStats {
            entries: index.tree.len() as u64,
            value_bytes: index.value_bytes,
        })
    }

    /// The indexes that have an entry.
    pub(crate) fn ids(&self) -> Vec<IndexId> {
        self.by_id.keys().copied().collect()
    }

    /// The entries of a row, the first of whose chain is given.
    pub(crate) fn of_row(&self, first: u32) -> impl Iterator<Item = (IndexId, &[u8])> {
        self.chain(first).map(|id| {
            let entry = &self.entries[id];
            (entry.index, &entry.key[..])
        })
    }

    /// Adds the entries that the row lacks, and answers where its chain begins now. The row is
    /// as it will be.
    pub(crate) fn add(&mut self, rows: &RowSlab, row: u32, wanted: Entries<'_>) -> u32 {
        let mut first = rows[row].entries;
        for (index, key) in wanted.iter() {
            if !self.of_row(first).any(|known| known == (index, key)) {
                first = self.add_one(rows, row, first, index, key);
            }
        }
        first
    }

    fn add_one(&mut self, rows: &RowSlab, row: u32, next: u32, index: IndexId, key: &[u8]) -> u32 {
        let id = self.entries.insert(IndexEntry {
            key: key.into(),
            row,
            next,
            index,
        });
        self.by_id.entry(index).or_default();
        let place = place(&self.entries[id], rows);
        let tree = &self.by_id[&index].tree;
        let found = tree.search(place.0, |other| self.compare(rows, other, place));
        let position = found.expect_err("a row has each entry once");
        let index = self.by_id.get_mut(&index).expect("it was made above");
        index.tree.insert(position, id, |id| &self.entries[id].key);
        index.value_bytes += u64::from(rows[row].length);
        id
    }

    /// Takes away the entries that the row, as it is, shall not keep, and answers where its chain
    /// begins now. Those that are ordered by sequence go in any case when the row is written anew.
    pub(crate) fn take(
        &mut self,
        rows: &RowSlab,
        row: u32,
        kept: Entries<'_>,
        rewritten: bool,
    ) -> u32 {
        let mut first = NO_ENTRY;
        let mut id = rows[row].entries;
        while id != NO_ENTRY {
            let entry = &self.entries[id];
            let (next, index) = (entry.next, entry.index);
            let stays = !(rewritten && index.is_by_sequence())
                && kept.iter().any(|kept| kept == (index, &entry.key[..]));
            if stays {
                self.entries[id].next = std::mem::replace(&mut first, id);
            } else {
                self.remove_one(rows, id);
            }
            id = next;
        }
        first
    }

    fn remove_one(&mut self, rows: &RowSlab, id: u32) {
        let IndexEntry { index, row, .. } = self.entries[id];
        let place = place(&self.entries[id], rows);
        let tree = &self.by_id[&index].tree;
        let found = tree.search(place.0, |other| self.compare(rows, other, place));
        let position = found.expect("each entry of a row is in the tree of its index");
        let one = self.by_id.get_mut(&index).expect("it was there");
        one.tree.remove(position, |id| &self.entries[id].key);
        one.value_bytes -= u64::from(rows[row].length);
        if one.tree.len() == 0 {
            self.by_id.remove(&index);
        }
        self.entries.remove(id);
    }

    /// The value of a row, the first of whose chain is given, has another length.
    pub(crate) fn value_changed(&mut self, first: u32, old: u32, new: u32) {
        let mut id = first;
        while id != NO_ENTRY {
            let IndexEntry { next, index, .. } = self.entries[id];
            if let Some(index) = self.by_id.get_mut(&index) {
                index.value_bytes = index.value_bytes + u64::from(new) - u64::from(old);
            }
            id = next;
        }
    }

    /// Up to `limit` entries of a range whose rows are not hidden.
    pub(crate) fn range(
        &self,
        rows: &RowSlab,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        limit: usize,
        hidden: &dyn Fn(&[u8]) -> bool,
    ) -> Vec<IndexHit> {
        let Some(OneIndex { tree, .. }) = self.by_id.get(&index) else {
            return Vec::new();
        };
        let (start, end) = self.bounds(rows, index, tree, range);
        let ids = tree.ids(start, end);
        let ids = ids.filter(|id| !hidden(&rows[self.entries[*id].row].key));
        let hit = |id: u32| IndexHit {
            index_key: self.entries[id].key.clone(),
            row: self.entries[id].row,
        };
        match order {
            Order::Forward => ids.take(limit).map(hit).collect(),
            Order::Reverse => ids.rev().take(limit).map(hit).collect(),
        }
    }

    fn bounds(
        &self,
        rows: &RowSlab,
        index: IndexId,
        tree: &Tree,
        range: &IndexRange,
    ) -> (Position, Position) {
        let (start, end) = range.keys.within(tree, |id| &self.entries[id].key);
        let Some((position, order)) = &range.behind else {
            return (start, end);
        };
        let place = position.place(index);
        let compare = |id| self.compare(rows, id, place);
        match order {
            Order::Forward => {
                let behind = tree.first_not(place.0, |id| compare(id) != Ordering::Greater);
                (start.max(behind), end)
            }
            Order::Reverse => {
                let before = tree.first_not(place.0, |id| compare(id) == Ordering::Less);
                (start, end.min(before))
            }
        }
    }

    fn compare(&self, rows: &RowSlab, id: u32, with: Place<'_>) -> Ordering {
        place(&self.entries[id], rows).cmp(&with)
    }

    fn chain(&self, first: u32) -> impl Iterator<Item = u32> {
        let some = |id: u32| (id != NO_ENTRY).then_some(id);
        std::iter::successors(some(first), move |id| some(self.entries[*id].next))
    }
}

/// Indexes in the making, from entries in the order of their indexes and keys.
pub(crate) struct IndexLoader {
    entries: Slab<IndexEntry>,
    indexes: BTreeMap<IndexId, OneIndex>,
    current: Option<LoadedIndex>,
    /// By row: what its entries take at most when it is moved.
    entry_bytes: Vec<u32>,
}

/// The index whose entries come at present.
struct LoadedIndex {
    index: IndexId,
    ids: Vec<u32>,
    /// Where entries with one key are, which have still to be put in order.
    same: Vec<Range<usize>>,
    value_bytes: u64,
}

impl IndexLoader {
    /// For entries of these rows, so many at most.
    pub(crate) fn new(rows: &RowSlab, entries: usize) -> IndexLoader {
        IndexLoader {
            entries: Slab::with_capacity(entries),
            indexes: BTreeMap::new(),
            current: None,
            entry_bytes: vec![0; rows.all().len()],
        }
    }

    /// Adds an entry; `None` if it comes before the one that was added last.
    pub(crate) fn push(
        &mut self,
        rows: &mut RowSlab,
        index: IndexId,
        key: Box<[u8]>,
        row: u32,
    ) -> Option<()> {
        if self
            .current
            .as_ref()
            .is_none_or(|known| known.index != index)
        {
            self.begin(rows, index)?;
        }
        let current = self.current.as_mut()?;
        if let Some(last) = current.ids.last() {
            current.note_order(self.entries[*last].key.cmp(&key))?;
        }
        let chain = &mut rows[row];
        current.value_bytes += u64::from(chain.length);
        self.entry_bytes[row as usize] += moved_entry_bytes_max(key.len()) as u32;
        let id = self.entries.insert(IndexEntry {
            key,
            row,
            next: chain.entries,
            index,
        });
        chain.entries = id;
        current.ids.push(id);
        Some(())
    }

    /// Ends the index before and begins the next.
    fn begin(&mut self, rows: &RowSlab, index: IndexId) -> Option<()> {
        if let Some(done) = self.current.take() {
            let rises = done.index < index;
            let (index, done) = done.finish(&self.entries, rows)?;
            self.indexes.insert(index, done);
            rises.then_some(())?;
        }
        self.current = Some(LoadedIndex {
            index,
            ids: Vec::new(),
            same: Vec::new(),
            value_bytes: 0,
        });
        Some(())
    }

    /// The indexes, and what the entries of each row take at most when it is moved. `None` if an
    /// entry was there twice.
    pub(crate) fn finish(mut self, rows: &RowSlab) -> Option<(Indexes, Vec<u32>)> {
        if let Some(last) = self.current.take() {
            let (index, last) = last.finish(&self.entries, rows)?;
            self.indexes.insert(index, last);
        }
        self.entries.shrink();
        let indexes = Indexes {
            entries: self.entries,
            by_id: self.indexes,
        };
        Some((indexes, self.entry_bytes))
    }
}

impl LoadedIndex {
    /// Takes note of how the last key stands to the one that comes.
    fn note_order(&mut self, order: Ordering) -> Option<()> {
        let end = self.ids.len();
        match (order, self.same.last_mut()) {
            (Ordering::Less, _) => {}
            (Ordering::Equal, Some(same)) if same.end == end => same.end += 1,
            (Ordering::Equal, _) => self.same.push(end - 1..end + 1),
            (Ordering::Greater, _) => return None,
        }
        Some(())
    }

    /// `None` if an entry was there twice.
    fn finish(mut self, entries: &Slab<IndexEntry>, rows: &RowSlab) -> Option<(IndexId, OneIndex)> {
        let place = |id: &u32| place(&entries[*id], rows);
        for same in self.same {
            let ids = &mut self.ids[same];
            ids.sort_by(|one, other| place(one).cmp(&place(other)));
            if ids
                .windows(2)
                .any(|pair| place(&pair[0]) == place(&pair[1]))
            {
                return None;
            }
        }
        let tree = Tree::from_sorted(&self.ids, |id| &entries[id].key);
        let value_bytes = self.value_bytes;
        Some((self.index, OneIndex { tree, value_bytes }))
    }
}

fn place<'a>(entry: &'a IndexEntry, rows: &'a RowSlab) -> Place<'a> {
    let (sequence, key) = rows[entry.row].order(entry.index);
    (&entry.key, sequence, key)
}

impl IndexPosition {
    fn place(&self, index: IndexId) -> Place<'_> {
        let sequence = if index.is_by_sequence() {
            self.sequence
        } else {
            0
        };
        (&self.index_key, sequence, &self.key)
    }

    /// Whether the position comes before another one of the same index.
    pub fn compare(&self, index: IndexId, other: &IndexPosition) -> Ordering {
        self.place(index).cmp(&other.place(index))
    }
}
