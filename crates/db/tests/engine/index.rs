//! Index entries: in the frame of the write, in order, page by page, and gone with their rows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use periwinkle_core::limits::{DB_INDEX_ENTRIES_MAX, DB_KEY_BYTES_MAX};
use periwinkle_db::engine::{
    Batch, CommitError, Durability, Engine, IndexId, IndexPosition, IndexRange, IndexedEntry,
    KeyRange, Options, Order, Store, salvage,
};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

use crate::damage::{frame, header};
use crate::life::{commit, compact, flush, small_options};

const BY_SEQUENCE: IndexId = IndexId(2);
const BY_KEY: IndexId = IndexId(40);

/// A row as the model has it: its value, the sequence that wrote it, its entries.
type Row = (Vec<u8>, u64, BTreeSet<(IndexId, Vec<u8>)>);
type Model = BTreeMap<Vec<u8>, Row>;

/// Index key, sequence, key, value.
type Hit = (Vec<u8>, u64, Vec<u8>, Vec<u8>);

fn short(rng: &mut Rng) -> Vec<u8> {
    (0..rng.index(3))
        .map(|_| [0, b'a', 0xff][rng.index(3)])
        .collect()
}

fn random_entries(rng: &mut Rng) -> Vec<(IndexId, Vec<u8>)> {
    let index = |rng: &mut Rng| [BY_SEQUENCE, BY_KEY][rng.index(2)];
    (0..rng.index(4))
        .map(|_| (index(rng), short(rng)))
        .collect()
}

fn borrowed(entries: &[(IndexId, Vec<u8>)]) -> Vec<(IndexId, &[u8])> {
    entries
        .iter()
        .map(|(index, key)| (*index, &key[..]))
        .collect()
}

fn hits(found: Vec<IndexedEntry>) -> Vec<Hit> {
    let found = found.into_iter();
    found
        .map(|IndexedEntry { index_key, entry }| {
            let (key, value) = (entry.key.to_vec(), entry.value.to_vec());
            (index_key.to_vec(), entry.sequence, key, value)
        })
        .collect()
}

fn expected(model: &Model, index: IndexId, keys: &KeyRange, order: Order) -> Vec<Hit> {
    let mut all = Vec::new();
    for (key, (value, sequence, entries)) in model {
        for (_, index_key) in entries.iter().filter(|(other, _)| *other == index) {
            if keys.contains(index_key) {
                all.push((index_key.clone(), *sequence, key.clone(), value.clone()));
            }
        }
    }
    let by_sequence = index <= IndexId::BY_SEQUENCE_MAX;
    all.sort_by_key(|(index_key, sequence, key, _)| {
        let sequence = if by_sequence { *sequence } else { 0 };
        (index_key.clone(), sequence, key.clone())
    });
    if order == Order::Reverse {
        all.reverse();
    }
    all
}

fn random_range(rng: &mut Rng) -> KeyRange {
    let mut bound = || match rng.below(3) {
        0 => Bound::Included(short(rng)),
        1 => Bound::Excluded(short(rng)),
        _ => Bound::Unbounded,
    };
    let (start, end) = (bound(), bound());
    KeyRange::new(start, end)
}

/// One random write, in the batch and in the model.
fn write(model: &mut Model, batch: &mut Batch, sequence: u64, rng: &mut Rng) {
    let key = vec![rng.below(12) as u8];
    let entries = random_entries(rng);
    match rng.below(4) {
        0 => {
            batch.delete(&key);
            model.remove(&key);
        }
        1 => {
            batch.index(&key, &borrowed(&entries));
            if let Some((_, _, known)) = model.get_mut(&key) {
                *known = entries.into_iter().collect();
            }
        }
        _ => {
            let value = short(rng);
            batch.put_indexed(&key, &value, &borrowed(&entries));
            model.insert(key, (value, sequence, entries.into_iter().collect()));
        }
    }
}

#[test]
fn indexes_answer_like_a_sorted_list_through_any_history() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        let mut model = Model::new();
        for _ in 0..4 {
            let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
            for _ in 0..40 {
                let mut batch = Batch::new();
                for _ in 0..=rng.below(3) {
                    write(&mut model, &mut batch, engine.sequence() + 1, &mut rng);
                }
                commit(&mut engine, &batch).unwrap();
                flush(&mut engine);
                while rng.one_in(2) && compact(&mut engine) {}
                let index = [BY_SEQUENCE, BY_KEY][rng.index(2)];
                let keys = random_range(&mut rng);
                let order = [Order::Forward, Order::Reverse][rng.index(2)];
                let all = expected(&model, index, &keys, order);
                let limit = 1 + rng.index(4);
                let mut range = IndexRange::new(keys);
                let mut paged = Vec::new();
                loop {
                    let page = engine.scan_index(index, &range, order, limit).unwrap();
                    let last = page.last().map(IndexedEntry::position);
                    let full = page.len() == limit;
                    paged.extend(hits(page));
                    match last {
                        Some(last) if full => range = range.after(last, order),
                        _ => break,
                    }
                }
                assert_eq!(paged, all, "seed {seed}");
            }
            let entries: usize = model.values().map(|(_, _, entries)| entries.len()).sum();
            assert_eq!(engine.stats().index_entries, entries as u64, "seed {seed}");
            for index in [BY_SEQUENCE, BY_KEY] {
                let all = expected(&model, index, &KeyRange::all(), Order::Forward);
                let bytes: usize = all.iter().map(|(_, _, _, value)| value.len()).sum();
                let stats = engine.index_stats(index);
                assert_eq!(
                    (stats.entries, stats.value_bytes),
                    (all.len() as u64, bytes as u64)
                );
                let rows = engine.index_rows(index, &IndexRange::all(), Order::Forward, 1_000);
                let rows = rows.into_iter().map(|row| row.position.key);
                assert!(
                    rows.eq(all.into_iter().map(|(_, _, key, _)| key)),
                    "seed {seed}"
                );
            }
            flush(&mut engine);
            engine.close();
            flush(&mut engine);
        }
    }
}

#[test]
fn a_transaction_sees_its_own_index_entries() {
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let options = Options {
            salt: 1,
            ..Options::default()
        };
        let (store, _) = Store::open(SimDisk::new(seed).storage(), options).unwrap();
        let mut model = Model::new();
        for _ in 0..12 {
            let outcome = store.with_tx::<_, CommitError>(Durability::Relaxed, |tx| {
                for _ in 0..rng.below(5) {
                    // A batch of its own, so that what is written can be told to both.
                    let key = vec![rng.below(8) as u8];
                    let entries = random_entries(&mut rng);
                    let set = entries.iter().cloned().collect();
                    match rng.below(4) {
                        0 => {
                            tx.delete(&key);
                            model.remove(&key);
                        }
                        1 => {
                            tx.index(&key, &borrowed(&entries));
                            if let Some((_, _, known)) = model.get_mut(&key) {
                                *known = set;
                            }
                        }
                        _ => {
                            tx.put_indexed(&key, b"v", &borrowed(&entries));
                            model.insert(key, (b"v".to_vec(), tx.sequence(), set));
                        }
                    }
                    for order in [Order::Forward, Order::Reverse] {
                        let (index, keys) =
                            ([BY_SEQUENCE, BY_KEY][rng.index(2)], random_range(&mut rng));
                        let limit = rng.index(6);
                        let mut all = expected(&model, index, &keys, order);
                        all.truncate(limit);
                        let range = IndexRange::new(keys);
                        let found = tx.scan_index(index, &range, order, limit).unwrap();
                        assert_eq!(hits(found), all, "seed {seed}");
                    }
                }
                Ok(())
            });
            outcome.unwrap();
            let found = store.scan_index(BY_KEY, &IndexRange::all(), Order::Forward, 1_000);
            let all = expected(&model, BY_KEY, &KeyRange::all(), Order::Forward);
            assert_eq!(hits(found.unwrap()), all, "seed {seed}");
        }
    }
}

#[test]
fn a_page_goes_on_behind_a_row_that_is_gone() {
    let (mut engine, _) = Engine::open(SimDisk::new(1).storage(), &small_options()).unwrap();
    let mut batch = Batch::new();
    for key in [b"a", b"b", b"c"] {
        batch.put_indexed(key, b"", &[(BY_KEY, b"same")]);
    }
    commit(&mut engine, &batch).unwrap();
    let mut batch = Batch::new();
    batch.delete(b"b");
    commit(&mut engine, &batch).unwrap();
    let gone = IndexPosition {
        index_key: b"same".to_vec(),
        sequence: 1,
        key: b"b".to_vec(),
    };
    for (order, left) in [(Order::Forward, b"c"), (Order::Reverse, b"a")] {
        let range = IndexRange::all().after(gone.clone(), order);
        let page = engine.scan_index(BY_KEY, &range, order, 10).unwrap();
        let keys: Vec<_> = page.iter().map(|hit| &hit.entry.key[..]).collect();
        assert_eq!(keys, [left]);
    }
}

#[test]
fn entries_at_the_bounds_pass_and_one_more_is_refused() {
    let (mut engine, _) = Engine::open(SimDisk::new(1).storage(), &Options::default()).unwrap();
    let long = [7; DB_KEY_BYTES_MAX + 1];
    let keys: Vec<[u8; 1]> = (0..=DB_INDEX_ENTRIES_MAX).map(|key| [key as u8]).collect();
    let entries: Vec<(IndexId, &[u8])> = keys.iter().map(|key| (BY_KEY, &key[..])).collect();
    let mut batch = Batch::new();
    batch.put_indexed(b"k", b"", &entries[1..]);
    batch.index(b"k", &[(BY_KEY, &long[1..])]);
    commit(&mut engine, &batch).unwrap();
    let mut batch = Batch::new();
    batch.put_indexed(b"k", b"", &entries);
    let refused = commit(&mut engine, &batch).unwrap_err();
    assert!(
        matches!(
            refused,
            CommitError::TooManyIndexEntries { entries: 65, .. }
        ),
        "{refused}"
    );
    let mut batch = Batch::new();
    batch.index(b"k", &[(BY_KEY, &long)]);
    let refused = commit(&mut engine, &batch).unwrap_err();
    assert!(
        matches!(refused, CommitError::KeyTooLong { bytes: 4097, .. }),
        "{refused}"
    );
}

#[test]
fn a_log_of_version_1_is_carried_on_in_a_segment_of_version_2() {
    // put "k" = "value", then its checksum over key and value.
    let payload = [&[1, 1, 5][..], b"kvalue", &crc_of_kvalue().to_le_bytes()].concat();
    let first = [&header(1)[..], &frame(1, &payload)].concat();
    let disk = SimDisk::new(0);
    disk.put_file("00000001.log", &first);

    // Opening and closing leaves the old segment as it is, but for the frame of the close.
    let (mut engine, report) = Engine::open(disk.storage(), &small_options()).unwrap();
    assert_eq!(report.sequence, 1);
    engine.close();
    flush(&mut engine);
    assert_eq!(disk.files()["00000001.log"][..first.len()], first);
    assert!(!disk.files().contains_key("00000002.log"));

    let (mut engine, report) = Engine::open(disk.storage(), &small_options()).unwrap();
    assert!(report.clean);
    let mut batch = Batch::new();
    batch.index(b"k", &[(BY_KEY, b"index key")]);
    commit(&mut engine, &batch).unwrap();
    flush(&mut engine);
    let files = disk.files();
    let version = |name: &str| files[name][8];
    assert_eq!((version("00000001.log"), version("00000002.log")), (1, 2));
    assert_eq!(
        files["00000001.log"].len(),
        first.len() + 32,
        "sealed behind the close"
    );

    disk.restart(1);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    let found = engine
        .scan_index(BY_KEY, &IndexRange::all(), Order::Forward, 10)
        .unwrap();
    assert_eq!(
        hits(found),
        [(b"index key".to_vec(), 1, b"k".to_vec(), b"value".to_vec())]
    );
}

fn crc_of_kvalue() -> u32 {
    crate::damage::crc32c(b"kvalue")
}

#[test]
fn salvage_keeps_index_entries_of_a_whole_log_and_none_of_a_damaged_one() {
    let disk = SimDisk::new(1);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    for key in [b"a", b"b", b"c"] {
        let mut batch = Batch::new();
        batch.put_indexed(key, b"value", &[(BY_KEY, key)]);
        commit(&mut engine, &batch).unwrap();
    }
    let mut batch = Batch::new();
    batch.index(b"a", &[(BY_KEY, b"z")]);
    commit(&mut engine, &batch).unwrap();
    flush(&mut engine);
    engine.close();
    flush(&mut engine);
    for (damaged, expected) in [(false, vec![&b"b"[..], b"c", b"z"]), (true, vec![])] {
        if damaged {
            disk.flip_bit("00000001.log", (64 + 40) * 8);
        }
        let new = SimDisk::new(2);
        salvage(&*disk.storage(), new.storage(), &small_options()).unwrap();
        let (mut engine, _) = Engine::open(new.storage(), &small_options()).unwrap();
        assert_eq!(engine.stats().rows, if damaged { 2 } else { 3 });
        let found = engine
            .scan_index(BY_KEY, &IndexRange::all(), Order::Forward, 10)
            .unwrap();
        let keys: Vec<_> = found.iter().map(|hit| &hit.index_key[..]).collect();
        assert_eq!(keys, expected);
    }
}
