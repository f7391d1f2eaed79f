//! Long random histories, in which the engine, redb and the map of the standard library have to
//! agree: rows and ranges of rows, index entries and ranges of them, through closings, power cuts,
//! compaction and openings.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use periwinkle_db::engine::{
    Batch, Engine, Entry, IndexId, IndexRange, IndexedEntry, KeyRange, Order, verify,
};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;
use redb::{Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::life::{Rows, commit, compact, flush, seeds, small_options};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
const INDEX: TableDefinition<'_, (&[u8], &[u8]), &[u8]> = TableDefinition::new("index");

/// Ordered by key, so that redb can keep it in the same order.
const BY_KEY: IndexId = IndexId(20);

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;
/// Index key, row key, value.
type Triples = Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>;

/// What the engine shall hold, twice.
struct Oracles {
    rows: Rows,
    entries: BTreeSet<(Vec<u8>, Vec<u8>)>,
    redb: redb::Database,
}

/// A write of a row: its value and index keys, or `None` to delete it.
type Write = (Vec<u8>, Option<(Vec<u8>, Vec<Vec<u8>>)>);

impl Oracles {
    fn new(file: &Path) -> Oracles {
        let redb = redb::Database::create(file).unwrap();
        let made = redb.begin_write().unwrap();
        made.open_table(ROWS).unwrap();
        made.open_table(INDEX).unwrap();
        made.commit().unwrap();
        Oracles {
            rows: Rows::new(),
            entries: BTreeSet::new(),
            redb,
        }
    }

    fn apply(&mut self, writes: &[Write]) {
        let mut work = self.redb.begin_write().unwrap();
        work.set_durability(Durability::None).unwrap();
        {
            let mut rows = work.open_table(ROWS).unwrap();
            let mut index = work.open_table(INDEX).unwrap();
            for (key, new) in writes {
                let old = self.entries.iter().filter(|(_, row)| row == key);
                for (entry, row) in old.cloned().collect::<Vec<_>>() {
                    index.remove((&entry[..], &row[..])).unwrap();
                    self.entries.remove(&(entry, row));
                }
                let Some((value, entries)) = new else {
                    rows.remove(&key[..]).unwrap();
                    self.rows.remove(key);
                    continue;
                };
                rows.insert(&key[..], &value[..]).unwrap();
                self.rows.insert(key.clone(), value.clone());
                for entry in entries {
                    index.insert((&entry[..], &key[..]), &b""[..]).unwrap();
                    self.entries.insert((entry.clone(), key.clone()));
                }
            }
        }
        work.commit().unwrap();
    }

    /// A range of rows, as both say.
    fn range(&self, range: &KeyRange, order: Order, limit: usize) -> Pairs {
        let hits = self.rows.iter().filter(|(key, _)| range.contains(key));
        let hits = hits.map(|(key, value)| (key.clone(), value.clone()));
        let of_map = in_order(hits, order, limit);
        let reading = self.redb.begin_read().unwrap();
        let table = reading.open_table(ROWS).unwrap();
        let all = table.iter().unwrap().map(|row| {
            let (key, value) = row.unwrap();
            (key.value().to_vec(), value.value().to_vec())
        });
        let hits = all.filter(|(key, _)| range.contains(key));
        let of_redb = in_order(hits.collect::<Vec<_>>().into_iter(), order, limit);
        assert_eq!(of_map, of_redb, "the oracles differ");
        of_map
    }

    /// A range of index entries with their rows, as both say.
    fn indexed(&self, range: &KeyRange, order: Order, limit: usize) -> Triples {
        let hits = self
            .entries
            .iter()
            .filter(|(entry, _)| range.contains(entry));
        let of_set = in_order(hits.cloned(), order, limit);
        let reading = self.redb.begin_read().unwrap();
        let table = reading.open_table(INDEX).unwrap();
        let all = table.iter().unwrap().map(|row| {
            let (key, _) = row.unwrap();
            let (entry, row) = key.value();
            (entry.to_vec(), row.to_vec())
        });
        let hits = all.filter(|(entry, _)| range.contains(entry));
        let of_redb = in_order(hits.collect::<Vec<_>>().into_iter(), order, limit);
        assert_eq!(of_set, of_redb, "the oracles differ");
        let with_value = of_set.into_iter().map(|(entry, row)| {
            let value = self.rows[&row].clone();
            (entry, row, value)
        });
        with_value.collect()
    }
}

fn in_order<T>(hits: impl DoubleEndedIterator<Item = T>, order: Order, limit: usize) -> Vec<T> {
    match order {
        Order::Forward => hits.take(limit).collect(),
        Order::Reverse => hits.rev().take(limit).collect(),
    }
}

fn random_key(rng: &mut Rng) -> Vec<u8> {
    let alphabet = [0, 1, b'a', b'b', 0xff];
    let length = rng.index(5);
    (0..length)
        .map(|_| alphabet[rng.index(alphabet.len())])
        .collect()
}

fn random_range(rng: &mut Rng) -> KeyRange {
    let mut bound = || match rng.below(4) {
        0 => Bound::Included(random_key(rng)),
        1 => Bound::Excluded(random_key(rng)),
        _ => Bound::Unbounded,
    };
    let (start, end) = (bound(), bound());
    if rng.one_in(3) {
        KeyRange::prefix(&random_key(rng))
    } else {
        KeyRange::new(start, end)
    }
}

fn random_writes(rng: &mut Rng) -> (Batch, Vec<Write>) {
    let mut batch = Batch::new();
    let mut writes = Vec::new();
    for _ in 0..=rng.below(4) {
        let key = random_key(rng);
        if rng.one_in(4) {
            batch.delete(&key);
            writes.push((key, None));
            continue;
        }
        let length = if rng.one_in(50) { 2500 } else { rng.index(90) };
        let value: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
        let mut entries: Vec<Vec<u8>> = (0..rng.below(3)).map(|_| random_key(rng)).collect();
        entries.sort();
        entries.dedup();
        let indexed: Vec<(IndexId, &[u8])> = entries.iter().map(|key| (BY_KEY, &key[..])).collect();
        batch.put_indexed(&key, &value, &indexed);
        writes.push((key, Some((value, entries))));
    }
    (batch, writes)
}

fn pairs(entries: Vec<Entry>) -> Pairs {
    let pairs = entries.into_iter();
    pairs.map(|e| (e.key.to_vec(), e.value.to_vec())).collect()
}

fn triples(entries: Vec<IndexedEntry>) -> Triples {
    let triples = entries.into_iter();
    triples
        .map(|IndexedEntry { index_key, entry }| {
            (index_key.to_vec(), entry.key.to_vec(), entry.value.to_vec())
        })
        .collect()
}

/// Asks engine and oracles the same.
fn compare(engine: &mut Engine, oracles: &Oracles, rng: &mut Rng) {
    let key = random_key(rng);
    let found = engine.get(&key).unwrap().map(|entry| entry.value.to_vec());
    assert_eq!(found.as_ref(), oracles.rows.get(&key), "{key:?}");
    let range = random_range(rng);
    let limit = rng.index(20);
    for order in [Order::Forward, Order::Reverse] {
        let found = pairs(engine.scan(&range, order, limit).unwrap());
        assert_eq!(found, oracles.range(&range, order, limit), "{range:?}");
        let entries = IndexRange::new(range.clone());
        let found = triples(engine.scan_index(BY_KEY, &entries, order, limit).unwrap());
        assert_eq!(found, oracles.indexed(&range, order, limit), "{range:?}");
    }
}

/// Everything is the same, figures too.
fn compare_all(engine: &mut Engine, oracles: &Oracles) {
    let (all, order) = (KeyRange::all(), Order::Forward);
    let rows = pairs(engine.scan(&all, order, usize::MAX).unwrap());
    assert_eq!(rows, oracles.range(&all, order, usize::MAX));
    let entries = engine.scan_index(BY_KEY, &IndexRange::all(), order, usize::MAX);
    let wanted = oracles.indexed(&all, order, usize::MAX);
    let value_bytes = wanted.iter().map(|(_, _, value)| value.len() as u64).sum();
    assert_eq!(triples(entries.unwrap()), wanted);
    let figures = engine.index_stats(BY_KEY);
    let expected = (wanted.len() as u64, value_bytes);
    assert_eq!((figures.entries, figures.value_bytes), expected);
    assert_eq!(engine.stats().rows, oracles.rows.len() as u64);
}

/// One history; how many commits it had, and whether something was compacted.
fn lead(seed: u64, file: &Path) -> (u64, bool) {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new(seed);
    let mut oracles = Oracles::new(file);
    let (mut commits, mut freed) = (0, 0);
    for _ in 0..8 {
        let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
        compare_all(&mut engine, &oracles);
        for _ in 0..rng.below(60) {
            let (batch, writes) = random_writes(&mut rng);
            commit(&mut engine, &batch).unwrap();
            oracles.apply(&writes);
            commits += 1;
            if rng.one_in(4) {
                compare(&mut engine, &oracles, &mut rng);
            }
            if rng.one_in(4) {
                flush(&mut engine);
            }
            while rng.one_in(2) && compact(&mut engine) {}
        }
        compare_all(&mut engine, &oracles);
        flush(&mut engine);
        freed += engine.stats().segments_freed;
        end(&disk, engine, &mut rng);
    }
    (commits, freed > 0)
}

/// In order, by a kill, or by a power cut: all was flushed.
fn end(disk: &SimDisk, mut engine: Engine, rng: &mut Rng) {
    match rng.below(3) {
        0 => {
            engine.close();
            flush(&mut engine);
            let inspection = verify(&*disk.storage()).unwrap();
            assert_eq!((inspection.damage, inspection.lost), (vec![], vec![]));
        }
        1 => drop(engine),
        _ => disk.restart(rng.next_u64()),
    }
}

#[test]
fn engine_redb_and_map_agree_through_any_history() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut commits, mut compacted) = (0, 0);
    for seed in 0..seeds("PERIWINKLE_ORACLE_SEEDS", 30) {
        let file = scratch.path().join(format!("{seed}.redb"));
        let one = || lead(seed, &file);
        let (more, freed) =
            catch_unwind(AssertUnwindSafe(one)).unwrap_or_else(|_| panic!("seed {seed}"));
        commits += more;
        compacted += u64::from(freed);
        std::fs::remove_file(&file).unwrap();
    }
    println!("{commits} commits, {compacted} histories with a compaction");
    assert!(commits > 4000 && compacted > 25);
}
