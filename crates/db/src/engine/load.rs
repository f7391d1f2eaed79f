//! From the runs of all segments to the directory, in one pass over keys in their order.

use super::directory::{Directory, Place, Row, Rows};
use super::index::{IndexId, Indexes};
use super::run::{Run, Word};
use super::slab::Slab;

/// A row was moved that was not the youngest of its key: where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contradiction {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// What a run says of a key.
struct Head<'a> {
    key: &'a [u8],
    run: u32,
    row: u32,
}

/// The directory that the runs make, the oldest first.
pub(crate) fn directory(runs: &[Run], cache_bytes: usize) -> Result<Directory, Contradiction> {
    let mut heads = heads(runs);
    // Stable, so that the words on a key stay in the order of the segments; and it merges what is
    // in order already, as each run is.
    heads.sort_by(|one, other| one.key.cmp(other.key));
    let mut rows = Slab::with_capacity(heads.len());
    let mut ids = Vec::with_capacity(heads.len());
    let mut indexed_by = IndexedBy::new(runs);
    let mut rest = &heads[..];
    while let Some(first) = rest.first() {
        let words = rest.iter().take_while(|head| head.key == first.key).count();
        let (same, behind) = rest.split_at(words);
        rest = behind;
        if let Some((place, source)) = last_word(runs, same)? {
            let id = rows.insert(Row::new(first.key.into(), place));
            indexed_by.set(source, id);
            ids.push(id);
        }
    }
    drop(heads);
    // There was room for every word, and some were about the same key.
    rows.shrink();
    let indexes = indexes(runs, &indexed_by, &mut rows);
    Ok(Directory::loaded(cache_bytes, rows, &ids, indexes))
}

fn heads(runs: &[Run]) -> Vec<Head<'_>> {
    let mut heads = Vec::with_capacity(runs.iter().map(|run| run.rows.len()).sum());
    for (at, run) in runs.iter().enumerate() {
        heads.extend(run.rows.iter().enumerate().map(|(row, found)| Head {
            key: run.slice(found.key),
            run: at as u32,
            row: row as u32,
        }));
    }
    heads
}

/// Where the row is, and which word tells its index entries; `None` when it is gone.
fn last_word<'h, 'a>(
    runs: &[Run],
    words: &'h [Head<'a>],
) -> Result<Option<(Place, &'h Head<'a>)>, Contradiction> {
    let mut known: Option<(Place, &Head<'_>)> = None;
    for head in words {
        let row = &runs[head.run as usize].rows[head.row as usize];
        match (row.word, &mut known) {
            (Word::Gone, known) => *known = None,
            (Word::Indexed, Some((_, source))) => *source = head,
            (Word::Indexed, None) => {}
            (Word::There(place), Some((old, _))) if row.moved != 0 && row.moved != old.sequence => {
                return Err(Contradiction {
                    segment: place.segment,
                    offset: place.offset,
                });
            }
            (Word::There(place), known) => *known = Some((place, head)),
        }
    }
    Ok(known)
}

/// For each row of each run, the row of the directory whose index entries it tells.
struct IndexedBy(Vec<Vec<u32>>);

const NO_ROW: u32 = u32::MAX;

impl IndexedBy {
    fn new(runs: &[Run]) -> IndexedBy {
        IndexedBy(
            runs.iter()
                .map(|run| vec![NO_ROW; run.rows.len()])
                .collect(),
        )
    }

    fn set(&mut self, head: &Head<'_>, id: u32) {
        self.0[head.run as usize][head.row as usize] = id;
    }
}

fn indexes(runs: &[Run], indexed_by: &IndexedBy, rows: &mut Rows) -> Indexes {
    let mut found: Vec<(IndexId, &[u8], u32)> =
        Vec::with_capacity(runs.iter().map(|run| run.entries.len()).sum());
    for (run, ids) in runs.iter().zip(&indexed_by.0) {
        for entry in &run.entries {
            let id = ids[entry.row as usize];
            if id != NO_ROW {
                found.push((entry.index, run.slice(entry.key), id));
            }
        }
    }
    found.sort_by(|(index, key, row), (other_index, other_key, other_row)| {
        let by_place = || {
            rows[*row]
                .order(*index)
                .cmp(&rows[*other_row].order(*index))
        };
        index
            .cmp(other_index)
            .then_with(|| key.cmp(other_key))
            .then_with(by_place)
    });
    Indexes::loaded(rows, &found)
}
