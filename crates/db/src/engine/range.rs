//! Ranges of keys and the direction of a scan.

use std::ops::Bound;

use super::index::IndexId;
use super::tree::{Position, Tree};

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

    /// The part of the range behind `key` in the given order: how a scan goes on. All of it lies
    /// behind a key that is in front of it.
    pub fn after(mut self, key: &[u8], order: Order) -> KeyRange {
        match order {
            Order::Forward if !self.begins_behind(key) => {
                self.start = Bound::Excluded(key.to_vec());
            }
            Order::Reverse if !self.ends_before(key) => {
                self.end = Bound::Excluded(key.to_vec());
            }
            Order::Forward | Order::Reverse => {}
        }
        self
    }

    /// Whether the range holds `key`.
    pub fn contains(&self, key: &[u8]) -> bool {
        !self.begins_behind(key) && !self.ends_before(key)
    }

    /// The part of a list that lies in the range, from and to.
    pub(crate) fn within<'k>(
        &self,
        tree: &Tree,
        key: impl Fn(u32) -> &'k [u8],
    ) -> (Position, Position) {
        let start = match &self.start {
            Bound::Included(bound) | Bound::Excluded(bound) => {
                tree.first_not(bound, |id| self.begins_behind(key(id)))
            }
            Bound::Unbounded => tree.start(),
        };
        let end = match &self.end {
            Bound::Included(bound) | Bound::Excluded(bound) => {
                tree.first_not(bound, |id| !self.ends_before(key(id)))
            }
            Bound::Unbounded => tree.end(),
        };
        (start, end)
    }

    /// Whether `key` is too small for the range.
    fn begins_behind(&self, key: &[u8]) -> bool {
        match &self.start {
            Bound::Included(start) => key < &start[..],
            Bound::Excluded(start) => key <= &start[..],
            Bound::Unbounded => false,
        }
    }

    /// Whether `key` is too large for the range.
    fn ends_before(&self, key: &[u8]) -> bool {
        match &self.end {
            Bound::Included(end) => key > &end[..],
            Bound::Excluded(end) => key >= &end[..],
            Bound::Unbounded => false,
        }
    }
}

/// The first key behind all keys with this prefix; `None` when there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// A range of an index: rows whose index key is in a range of keys.
///
/// Several rows may have one index key, so a page goes on behind a row, not behind a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRange {
    pub(crate) keys: KeyRange,
    pub(crate) behind: Option<(IndexPosition, Order)>,
}

/// A row's place in an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexPosition {
    /// The index key.
    pub index_key: Vec<u8>,
    /// The sequence of the commit that wrote the row; counts in indexes by sequence only.
    pub sequence: u64,
    /// The key of the row.
    pub key: Vec<u8>,
}

impl IndexRange {
    /// The rows whose index key lies in `keys`.
    pub fn new(keys: KeyRange) -> IndexRange {
        IndexRange { keys, behind: None }
    }

    /// All rows of the index.
    pub fn all() -> IndexRange {
        IndexRange::new(KeyRange::all())
    }

    /// Whether the range holds a place of that index.
    pub fn contains(&self, index: IndexId, position: &IndexPosition) -> bool {
        self.keys.contains(&position.index_key)
            && match &self.behind {
                None => true,
                Some((other, Order::Forward)) => position.compare(index, other).is_gt(),
                Some((other, Order::Reverse)) => position.compare(index, other).is_lt(),
            }
    }

    /// The part of the range behind a row in the given order: how a scan goes on. The row need
    /// not be there any more.
    pub fn after(mut self, position: IndexPosition, order: Order) -> IndexRange {
        self.behind = Some((position, order));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_goes_on_inside_its_range_whatever_key_it_is_told() {
        let keys = ["a", "m", "m1", "m2", "n", "z"];
        for (key, order, left) in [
            ("a", Order::Forward, &["m", "m1", "m2"][..]),
            ("m", Order::Forward, &["m1", "m2"]),
            ("m1", Order::Forward, &["m2"]),
            ("n", Order::Forward, &[]),
            ("z", Order::Reverse, &["m", "m1", "m2"]),
            ("n", Order::Reverse, &["m", "m1", "m2"]),
            ("m1", Order::Reverse, &["m"]),
            ("a", Order::Reverse, &[]),
        ] {
            let range = KeyRange::prefix(b"m").after(key.as_bytes(), order);
            let mut found = keys.to_vec();
            found.retain(|key| range.contains(key.as_bytes()));
            assert_eq!(found, left, "{key} {order:?}");
        }
    }
}
