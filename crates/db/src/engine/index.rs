//! Index entries in memory: per index an ordered list, and per row a chain of its entries.
//!
//! An entry has its index key once and the id of its row. The chain is the way from a row to
//! its entries, so that a write need not know what the row had before.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use super::batch::Entries;
use super::directory::RowSlab;
use super::key_file::NO_ROW;
use super::keyed::KeyedSlab;
use super::moves::moved_entry_bytes_max;
use super::range::{IndexPosition, IndexRange, Order};
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

/// Beside its key, which the slab has.
#[derive(Debug)]
struct IndexEntry {
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
    entries: KeyedSlab<IndexEntry>,
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
        self.chain(first)
            .map(|id| (self.entries[id].index, self.entries.key(id)))
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
        let id = self.entries.insert(key, IndexEntry { row, next, index });
        self.by_id.entry(index).or_default();
        let place = place(&self.entries, id, rows);
        let tree = &self.by_id[&index].tree;
        let found = tree.search(place.0, |other| self.compare(rows, other, place));
        let position = found.expect_err("a row has each entry once");
        let index = self.by_id.get_mut(&index).expect("it was made above");
        index.tree.insert(position, id, |id| self.entries.key(id));
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
                && kept
                    .iter()
                    .any(|kept| kept == (index, self.entries.key(id)));
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
        let place = place(&self.entries, id, rows);
        let tree = &self.by_id[&index].tree;
        let found = tree.search(place.0, |other| self.compare(rows, other, place));
        let position = found.expect("each entry of a row is in the tree of its index");
        let one = self.by_id.get_mut(&index).expect("it was there");
        one.tree.remove(position, |id| self.entries.key(id));
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
        let ids = ids.filter(|id| !hidden(rows.key(self.entries[*id].row)));
        let hit = |id: u32| IndexHit {
            index_key: self.entries.key(id).into(),
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
        let (start, end) = range.keys.within(tree, |id| self.entries.key(id));
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
        place(&self.entries, id, rows).cmp(&with)
    }

    fn chain(&self, first: u32) -> impl Iterator<Item = u32> {
        let some = |id: u32| (id != NO_ENTRY).then_some(id);
        std::iter::successors(some(first), move |id| some(self.entries[*id].next))
    }
}

/// Index entries of all segments in the order of their indexes and keys, some of rows that are gone
/// or have others by now. Until it is [linked](LoadedEntries::linked) to its row, an entry holds in
/// place of that the number that its segment gives it, and in place of the next entry the segment.
pub(crate) struct LoadedEntries {
    entries: KeyedSlab<IndexEntry>,
    /// The numbers of the entries of each index.
    indexes: Vec<(IndexId, Range<u32>)>,
    /// Of entries with one key, which have still to be put in order.
    same: Vec<Range<u32>>,
}

/// The entries of a row that was loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowEntries {
    /// The first of its chain.
    pub(crate) first: u32,
    /// What all of them take at most when the row is moved.
    pub(crate) moved_bytes_max: u32,
}

impl RowEntries {
    const NONE: RowEntries = RowEntries {
        first: NO_ENTRY,
        moved_bytes_max: 0,
    };
}

impl LoadedEntries {
    /// With room for so many.
    pub(crate) fn with_capacity(entries: usize) -> LoadedEntries {
        LoadedEntries {
            entries: KeyedSlab::with_capacity(entries),
            indexes: Vec::new(),
            same: Vec::new(),
        }
    }

    /// Adds an entry of a row of a segment; `None` if it comes before the one that was added last.
    pub(crate) fn push(
        &mut self,
        index: IndexId,
        key: &[u8],
        segment: u32,
        row: u32,
    ) -> Option<()> {
        let next = segment;
        let id = self.entries.insert(key, IndexEntry { row, next, index });
        match self.indexes.last_mut() {
            Some((last, ids)) if *last == index => {
                ids.end = id + 1;
                let order = self.entries.key(id - 1).cmp(key);
                self.note_order(id, order)
            }
            last => {
                let rises = last.is_none_or(|(last, _)| *last < index);
                self.indexes.push((index, id..id + 1));
                rises.then_some(())
            }
        }
    }

    /// Takes note of how the key before stands to that of the entry.
    fn note_order(&mut self, id: u32, order: Ordering) -> Option<()> {
        match (order, self.same.last_mut()) {
            (Ordering::Less, _) => {}
            (Ordering::Equal, Some(same)) if same.end == id => same.end += 1,
            (Ordering::Equal, _) => self.same.push(id - 1..id + 1),
            (Ordering::Greater, _) => return None,
        }
        Some(())
    }

    /// The indexes, and the entries of each row. `row_of` knows the row of each that a segment
    /// tells of, or [`NO_ROW`]. `None` if a segment tells of no such row, or an entry is there
    /// twice.
    pub(crate) fn linked(
        mut self,
        rows: &RowSlab,
        row_of: &[Vec<u32>],
    ) -> Option<(Indexes, Vec<RowEntries>)> {
        let mut of_rows = vec![RowEntries::NONE; rows.ids().len()];
        let mut by_id = BTreeMap::new();
        let mut same = std::mem::take(&mut self.same).into_iter().peekable();
        for (index, all) in std::mem::take(&mut self.indexes) {
            let mut ids = Vec::with_capacity(all.len());
            let mut value_bytes = 0;
            for id in all.clone() {
                let entry = &mut self.entries[id];
                let row = *row_of.get(entry.next as usize)?.get(entry.row as usize)?;
                if row == NO_ROW {
                    self.entries.remove(id);
                    continue;
                }
                let of_row = &mut of_rows[row as usize];
                (entry.row, entry.next) = (row, of_row.first);
                of_row.first = id;
                of_row.moved_bytes_max += moved_entry_bytes_max(self.entries.key(id).len()) as u32;
                value_bytes += u64::from(rows[row].length);
                ids.push(id);
            }
            while let Some(same) = same.next_if(|same| same.end <= all.end) {
                self.sort(&mut ids, same, rows)?;
            }
            if !ids.is_empty() {
                let tree = Tree::from_sorted(&ids, |id| self.entries.key(id));
                by_id.insert(index, OneIndex { tree, value_bytes });
            }
        }
        let entries = self.entries;
        Some((Indexes { entries, by_id }, of_rows))
    }

    /// Puts entries with one key in order; `None` if one is there twice. The others have their
    /// places, which rise with their numbers.
    fn sort(&self, ids: &mut [u32], same: Range<u32>, rows: &RowSlab) -> Option<()> {
        let from = ids.partition_point(|id| *id < same.start);
        let to = ids.partition_point(|id| *id < same.end);
        let ids = &mut ids[from..to];
        let place = |id: &u32| place(&self.entries, *id, rows);
        ids.sort_by(|one, other| place(one).cmp(&place(other)));
        let mut pairs = ids.windows(2);
        let twice = pairs.any(|pair| place(&pair[0]) == place(&pair[1]));
        (!twice).then_some(())
    }
}

fn place<'a>(entries: &'a KeyedSlab<IndexEntry>, id: u32, rows: &'a RowSlab) -> Place<'a> {
    let IndexEntry { row, index, .. } = entries[id];
    let sequence = match index.is_by_sequence() {
        true => rows[row].sequence,
        false => 0,
    };
    (entries.key(id), sequence, rows.key(row))
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
