//! An ordered list of ids. What orders them lies elsewhere: each search is told how an id compares
//! to what is looked for.
//!
//! Four bytes an id, in chunks that are at least half full but for the last. So neither a key nor
//! a pointer is stored twice, and an insertion moves at most one chunk.

use std::cmp::Ordering;

/// Ids of one chunk: a kilobyte.
const CHUNK_IDS_MAX: usize = 256;

/// The list.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// None is empty.
    chunks: Vec<Vec<u32>>,
    len: usize,
}

/// A place in the list: of an id, or between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    chunk: usize,
    at: usize,
}

impl Tree {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where the id is that compares as equal, or where it would go. `compare` tells how an id
    /// stands to what is looked for.
    pub(crate) fn search(&self, compare: impl Fn(u32) -> Ordering) -> Result<Position, Position> {
        let chunk = self
            .chunks
            .partition_point(|chunk| compare(chunk[0]) != Ordering::Greater)
            .saturating_sub(1);
        let Some(ids) = self.chunks.get(chunk) else {
            return Err(Position { chunk, at: 0 });
        };
        match ids.binary_search_by(|id| compare(*id)) {
            Ok(at) => Ok(Position { chunk, at }),
            Err(at) => Err(Position { chunk, at }),
        }
    }

    /// The first place whose id is not below.
    pub(crate) fn first_not(&self, below: impl Fn(u32) -> bool) -> Position {
        let found = self.search(|id| match below(id) {
            true => Ordering::Less,
            false => Ordering::Greater,
        });
        found.expect_err("no id compares as equal")
    }

    pub(crate) fn get(&self, position: Position) -> u32 {
        self.chunks[position.chunk][position.at]
    }

    /// Puts an id where [`search`](Tree::search) said that it would go.
    pub(crate) fn insert(&mut self, position: Position, id: u32) {
        let Position { mut chunk, mut at } = position;
        self.len += 1;
        let Some(ids) = self.chunks.get_mut(chunk) else {
            return self.chunks.push(vec![id]);
        };
        if ids.len() == CHUNK_IDS_MAX {
            // Rising keys, the most common load, leave full chunks behind.
            let rising = at == CHUNK_IDS_MAX && chunk + 1 == self.chunks.len();
            let cut = if rising { at } else { CHUNK_IDS_MAX / 2 };
            let rest = self.chunks[chunk].split_off(cut);
            if rising {
                return self.chunks.push(vec![id]);
            }
            self.chunks.insert(chunk + 1, rest);
            if at > cut {
                (chunk, at) = (chunk + 1, at - cut);
            }
        }
        self.chunks[chunk].insert(at, id);
    }

    /// Takes out the id at a place that [`search`](Tree::search) found.
    pub(crate) fn remove(&mut self, position: Position) -> u32 {
        let Position { chunk, at } = position;
        self.len -= 1;
        let id = self.chunks[chunk].remove(at);
        let left = self.chunks[chunk].len();
        if left == 0 {
            self.chunks.remove(chunk);
        } else if left < CHUNK_IDS_MAX / 4 {
            self.join(chunk);
        }
        id
    }

    /// The ids from `start` on, before `end`.
    pub(crate) fn ids(
        &self,
        start: Position,
        end: Position,
    ) -> impl DoubleEndedIterator<Item = u32> + '_ {
        let chunks = if start < end {
            start.chunk..(end.chunk + 1).min(self.chunks.len())
        } else {
            0..0
        };
        chunks.flat_map(move |chunk| {
            let ids = &self.chunks[chunk][..];
            let from = if chunk == start.chunk { start.at } else { 0 };
            let to = if chunk == end.chunk {
                end.at
            } else {
                ids.len()
            };
            ids[from..to].iter().copied()
        })
    }

    /// Joins a chunk that became small with the one behind it, if the two leave room.
    fn join(&mut self, chunk: usize) {
        let Some(next) = self.chunks.get(chunk + 1) else {
            return;
        };
        if self.chunks[chunk].len() + next.len() <= CHUNK_IDS_MAX * 3 / 4 {
            let next = self.chunks.remove(chunk + 1);
            self.chunks[chunk].extend(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use periwinkle_testkit::rng::Rng;
    use std::collections::BTreeSet;

    use super::*;

    fn at(tree: &Tree, wanted: u32) -> Result<Position, Position> {
        tree.search(|id| id.cmp(&wanted))
    }

    #[test]
    fn ids_stay_in_order_through_any_history() {
        for seed in 0..20 {
            let mut rng = Rng::new(seed);
            let (mut tree, mut model) = (Tree::default(), BTreeSet::new());
            for round in 0..6_000 {
                // Grows, then shrinks.
                let id = rng.below(3_000) as u32;
                match at(&tree, id) {
                    Ok(place) if round > 3_000 || rng.one_in(4) => {
                        assert_eq!(tree.remove(place), id);
                        assert!(model.remove(&id));
                    }
                    Err(place) if round <= 3_000 || rng.one_in(8) => {
                        tree.insert(place, id);
                        assert!(model.insert(id));
                    }
                    found => assert_eq!(found.is_ok(), model.contains(&id), "seed {seed}"),
                }
            }
            let ids = tree.chunks.iter().flatten().copied();
            assert!(ids.eq(model.iter().copied()), "seed {seed}");
            assert_eq!(tree.len(), model.len());
            for _ in 0..200 {
                let (low, high) = (rng.below(3_000) as u32, rng.below(3_000) as u32);
                let (start, end) = (
                    tree.first_not(|id| id < low),
                    tree.first_not(|id| id < high),
                );
                let expected: Vec<u32> = match low < high {
                    true => model.range(low..high).copied().collect(),
                    false => Vec::new(),
                };
                assert!(
                    tree.ids(start, end).eq(expected.iter().copied()),
                    "seed {seed}"
                );
                assert!(
                    tree.ids(start, end)
                        .rev()
                        .eq(expected.iter().rev().copied())
                );
            }
        }
    }

    #[test]
    fn rising_ids_fill_their_chunks_and_falling_ones_half() {
        let mut tree = Tree::default();
        for id in 0..10_000 {
            tree.insert(at(&tree, id).unwrap_err(), id);
        }
        assert_eq!(tree.chunks.len(), 10_000usize.div_ceil(CHUNK_IDS_MAX));
        let mut tree = Tree::default();
        for id in (0..10_000).rev() {
            tree.insert(at(&tree, id).unwrap_err(), id);
        }
        assert!(tree.chunks.len() <= 10_000 / (CHUNK_IDS_MAX / 2) + 1);
    }
}
