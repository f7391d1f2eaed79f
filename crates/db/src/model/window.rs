//! The part of the rows in which a query looks.

use std::ops::Bound;

use periwinkle_core::schema::KeyRange;
use periwinkle_core::sync::record::ItemKey;

use super::keys;
use crate::engine;

/// The rows from one key to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The first key.
    start: Vec<u8>,
    /// The first key behind; `None` for no end.
    end: Option<Vec<u8>>,
}

/// Where the open part of a key lies, seen from a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// At the value or behind it.
    From,
    /// Behind the value.
    Above,
    /// At the value or before it.
    To,
    /// Before the value.
    Below,
}

impl Window {
    /// The rows of a range of keys, narrowed to those whose open part begins with `prefix`.
    pub(super) fn of(range: &KeyRange, prefix: &str) -> Window {
        let mut start = match range {
            KeyRange::One(key) => return Window::one(keys::item(key)),
            KeyRange::Partition { hash, sort_prefix } => {
                keys::item(&ItemKey::new(hash, sort_prefix))
            }
            KeyRange::Partitions { hash_prefix } => {
                let mut start = keys::item(&ItemKey::new(hash_prefix, ""));
                // Without what separates the partition key from the sort key: it may go on.
                start.pop();
                start
            }
        };
        start.extend_from_slice(prefix.as_bytes());
        Window::beginning(start)
    }

    /// All keys that begin with this.
    pub(super) fn beginning(start: Vec<u8>) -> Window {
        let end = successor(&start);
        Window { start, end }
    }

    /// Leaves only what lies on that side of the rows of `at`.
    pub(super) fn narrow(&mut self, side: Side, at: Window) {
        match (side, at) {
            (Side::From, Window { start, .. }) => self.raise(start),
            (Side::Above, Window { end: Some(end), .. }) => self.raise(end),
            (Side::To, Window { end: Some(end), .. }) => self.lower(end),
            (Side::Below, Window { start, .. }) => self.lower(start),
            (Side::Above | Side::To, Window { end: None, .. }) => {}
        }
    }

    pub(super) fn range(&self) -> engine::KeyRange {
        let end = match &self.end {
            Some(end) => Bound::Excluded(end.clone()),
            None => Bound::Unbounded,
        };
        engine::KeyRange::new(Bound::Included(self.start.clone()), end)
    }

    /// What tells it from other windows.
    pub(super) fn name(&self) -> Vec<u8> {
        let end = self.end.as_deref().unwrap_or_default();
        [&self.start, &[0xff][..], end].concat()
    }

    /// One key.
    pub(super) fn one(key: Vec<u8>) -> Window {
        let mut end = key.clone();
        end.push(0);
        Window {
            start: key,
            end: Some(end),
        }
    }

    fn raise(&mut self, start: Vec<u8>) {
        if start > self.start {
            self.start = start;
        }
    }

    fn lower(&mut self, end: Vec<u8>) {
        if self.end.as_ref().is_none_or(|known| end < *known) {
            self.end = Some(end);
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
