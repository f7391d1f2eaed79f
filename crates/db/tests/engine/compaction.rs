//! Compaction: the log stays in proportion to what is in it, rows keep their sequences, deleted
//! rows stay deleted, and a full disk can be left by deleting.

use std::collections::BTreeMap;
use std::sync::Arc;

use periwinkle_db::engine::{
    Batch, CommitError, Durability, Engine, FileStorage, KeyRange, OpenError, Options, Order, Store,
};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

use crate::life::{Rows, commit, compact, flush, rows, seeds, small_options};

fn put(key: u64, bytes: usize) -> Batch {
    let mut batch = Batch::new();
    batch.put(&key.to_be_bytes(), &vec![key as u8; bytes]);
    batch
}

fn delete(key: u64) -> Batch {
    let mut batch = Batch::new();
    batch.delete(&key.to_be_bytes());
    batch
}

/// Does all disk work that is due.
fn settle(engine: &mut Engine) {
    loop {
        flush(engine);
        let reserve = engine.take_reserve();
        let reserved = reserve.map(|reserve| engine.reserved(reserve.run()));
        if !compact(engine) && reserved.is_none() && engine.unsynced_bytes() == 0 {
            return;
        }
    }
}

fn sequences(engine: &mut Engine) -> BTreeMap<Vec<u8>, u64> {
    let all = engine.scan(&KeyRange::all(), Order::Forward, usize::MAX);
    let all = all.unwrap().into_iter();
    all.map(|row| (row.key.to_vec(), row.sequence)).collect()
}

#[test]
fn the_log_stays_in_proportion_and_rows_keep_their_sequences() {
    let disk = SimDisk::new(1);
    let mut rng = Rng::new(1);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    let mut expected = BTreeMap::new();
    for _ in 0..2_000 {
        let key = rng.below(40);
        let sequence = commit(&mut engine, &put(key, 100)).unwrap();
        expected.insert(key.to_be_bytes().to_vec(), sequence);
        settle(&mut engine);
    }
    let stats = engine.stats();
    // 40 rows of 108 bytes; garbage of as much again and of a segment; the room ahead.
    assert!(stats.bytes_total < 25_000, "{stats:?}");
    assert!(stats.segments_freed > 50, "{stats:?}");
    assert!(stats.write_amplification_pct().unwrap() < 300, "{stats:?}");
    assert_eq!(sequences(&mut engine), expected);
    flush(&mut engine);
    engine.close();
    flush(&mut engine);
    let (mut engine, report) = Engine::open(disk.storage(), &small_options()).unwrap();
    assert!(report.clean);
    assert_eq!(report.sequence, engine.sequence());
    assert_eq!(sequences(&mut engine), expected);
}

#[test]
fn a_log_that_is_kept_denser_takes_less_room_and_writes_more() {
    let after_updates = |live_percent_min| {
        let disk = SimDisk::new(1);
        let mut rng = Rng::new(1);
        let options = Options {
            live_percent_min,
            ..small_options()
        };
        let (mut engine, _) = Engine::open(disk.storage(), &options).unwrap();
        for _ in 0..8_000 {
            commit(&mut engine, &put(rng.below(1_000), 100)).unwrap();
            settle(&mut engine);
        }
        let stats = engine.stats();
        assert_eq!(stats.rows, 1_000);
        let live_pct = 100 * stats.bytes_live / (stats.bytes_live + stats.bytes_garbage);
        (live_pct, stats.bytes_moved * 100 / stats.bytes_committed)
    };
    // Of random updates the oldest segment keeps a fifth until half is garbage, and nearly half
    // until three tenths are.
    let (usual, dense) = (after_updates(50), after_updates(70));
    assert!((38..=50).contains(&usual.0), "{usual:?}");
    assert!((55..=70).contains(&dense.0), "{dense:?}");
    assert!(dense.1 > 2 * usual.1, "{usual:?}, {dense:?}");
}

#[test]
fn what_is_deleted_oldest_first_goes_almost_without_moves() {
    let disk = SimDisk::new(1);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    for key in 0..100 {
        commit(&mut engine, &put(key, 100)).unwrap();
        if key >= 10 {
            commit(&mut engine, &delete(key - 10)).unwrap();
        }
        settle(&mut engine);
    }
    let stats = engine.stats();
    assert!(stats.segments_freed >= 5, "{stats:?}");
    // Mostly the frames that give segments up: a header, a tag, a number.
    assert!(stats.bytes_moved < stats.bytes_committed / 4, "{stats:?}");
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    assert_eq!(engine.stats().rows, 10);
    assert_eq!(rows(&mut engine).len(), 10);
}

#[test]
fn what_is_missing_at_the_front_is_damage_unless_it_was_given_up() {
    let disk = SimDisk::new(1);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    for round in 0..100 {
        commit(&mut engine, &put(round % 7, 100)).unwrap();
        settle(&mut engine);
    }
    assert!(engine.stats().segments_freed > 0);
    let files = disk.files();
    let first = files.keys().next().unwrap();
    assert_ne!(first, "00000001.log");
    let robbed = SimDisk::new(1);
    for (name, bytes) in files.iter().filter(|(name, _)| *name != first) {
        robbed.put_file(name, bytes);
    }
    match Engine::open(robbed.storage(), &small_options()).err() {
        Some(OpenError::Damaged(damage)) => assert_eq!(&damage.file, first, "{damage}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_segment_that_rotted_is_not_compacted_away() {
    let disk = SimDisk::new(1);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    for key in 0..20 {
        commit(&mut engine, &put(key, 100)).unwrap();
    }
    flush(&mut engine);
    disk.flip_bit("00000001.log", (64 + 300) * 8);
    for round in 0..200 {
        commit(&mut engine, &put(100 + round % 3, 100)).unwrap();
        flush(&mut engine);
        while let Some(step) = engine.take_compaction() {
            engine.compacted(step.run());
        }
    }
    let fault = engine.compaction_fault().unwrap().to_string();
    assert!(fault.contains("00000001.log"), "{fault}");
    assert!(engine.stats().compaction_stopped);
    assert_eq!(engine.stats().segments_freed, 0);
    assert!(disk.files().contains_key("00000001.log"));
}

/// Frames of compaction weigh little against a segment here, as they do in the product.
fn full_disk_options() -> Options {
    Options {
        segment_bytes: 8192,
        segment_bytes_min: 1024,
        compact_step_bytes: 2048,
        ..small_options()
    }
}

#[test]
fn a_full_disk_is_left_by_deleting_and_ordinary_writes_do_not_touch_the_reserve() {
    let disk = SimDisk::new(1);
    disk.set_capacity(100_000);
    let (mut engine, _) = Engine::open(disk.storage(), &full_disk_options()).unwrap();
    let mut key = 0;
    while commit(&mut engine, &put(key, 100)).is_ok() {
        key += 1;
        settle(&mut engine);
    }
    assert_eq!(disk.files()["reserve"].len(), 12_288);
    let before = rows(&mut engine);
    // Refused as long as nothing is deleted, also after opening again.
    let (mut engine, _) = Engine::open(disk.storage(), &full_disk_options()).unwrap();
    let mut taken = 0;
    while commit(&mut engine, &put(1_000 + taken, 100)).is_ok() {
        taken += 1;
        settle(&mut engine);
    }
    assert!(taken < 80, "{taken} after reopening");
    for gone in 0..key / 2 {
        commit(&mut engine, &delete(gone * 2)).unwrap();
        settle(&mut engine);
    }
    assert!(engine.stats().segments_freed > 0);
    for again in 0..key / 4 {
        commit(&mut engine, &put(2_000 + again, 100)).unwrap();
        settle(&mut engine);
    }
    let now = rows(&mut engine);
    for (name, value) in before.iter().skip(1).step_by(2).take(key as usize / 2 - 1) {
        assert_eq!(now.get(name), Some(value));
    }
    disk.restart(1);
    let (mut engine, _) = Engine::open(disk.storage(), &full_disk_options()).unwrap();
    assert_eq!(rows(&mut engine), now);
}

/// Small segments weigh more: what frames and headers take of the room is up to a thirtieth.
fn full_disk_sizes(rng: &mut Rng) -> Options {
    let (segment_bytes, segment_bytes_min, compact_step_bytes) = [
        (8192, 1024, 2048),
        (8192, 2048, 4096),
        (16_384, 1024, 1024),
        (4096, 1024, 4096),
    ][rng.index(4)];
    Options {
        segment_bytes,
        segment_bytes_min,
        compact_step_bytes,
        ..small_options()
    }
}

#[test]
fn a_full_disk_keeps_its_words_in_any_history_and_deletes_lead_out_of_each() {
    let (mut refused, mut freed) = (0, 0);
    for seed in 0..seeds("PERIWINKLE_FULL_DISK_SEEDS", 120) {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        disk.set_capacity(50_000 + rng.below(50_000));
        let options = full_disk_sizes(&mut rng);
        let (mut engine, _) = Engine::open(disk.storage(), &options).unwrap();
        let mut model = BTreeMap::new();
        // A row is at most a twentieth of a segment.
        let bytes_max = (options.segment_bytes as usize / 20).min(300);
        for _ in 0..900 {
            let key = rng.below(600);
            let batch = match rng.below(8) {
                0 | 1 => delete(key),
                2 if model.contains_key(&key.to_be_bytes()[..]) => rewrite(key, &model, &mut rng),
                _ => put(key, rng.index(bytes_max)),
            };
            match commit(&mut engine, &batch) {
                Ok(_) => batch.iter().for_each(|(key, value)| {
                    match value {
                        Some(value) => model.insert(key.to_vec(), value.to_vec()),
                        None => model.remove(key),
                    };
                }),
                Err(CommitError::DiskFull { .. }) => refused += 1,
                Err(other) => panic!("seed {seed}: {other}"),
            }
            if rng.one_in(3) {
                settle(&mut engine);
            }
        }
        flush(&mut engine);
        freed += engine.stats().segments_freed;
        disk.restart(seed);
        let (mut engine, _) = Engine::open(disk.storage(), &options).unwrap();
        assert_eq!(rows(&mut engine), model, "seed {seed}");
        let out = deletes_lead_out(&mut engine, &model);
        assert!(out, "seed {seed}: {:?}", engine.stats());
    }
    println!("{refused} refused, {freed} freed");
    assert!(refused > 5000 && freed > 2000);
}

/// A row that is written again with hardly more in it, as one that was removed and is to be told.
fn rewrite(key: u64, rows: &Rows, rng: &mut Rng) -> Batch {
    let bytes = rows[&key.to_be_bytes()[..]].len() + rng.index(64);
    let mut batch = put(key, bytes);
    batch.lead_out();
    batch
}

/// Deletes all rows and writes again; each step either happens or is refused as a full disk.
fn deletes_lead_out(engine: &mut Engine, rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> bool {
    let deletes = rows.keys().map(|key| {
        let mut batch = Batch::new();
        batch.delete(key);
        batch
    });
    deletes.chain([put(1, 100)]).all(|batch| {
        let done = match commit(engine, &batch) {
            Ok(_) => true,
            Err(CommitError::DiskFull { .. }) => false,
            Err(other) => panic!("{other}"),
        };
        settle(engine);
        done
    })
}

#[test]
fn a_store_compacts_by_itself_while_it_is_read_and_written() {
    let scratch = tempfile::tempdir().unwrap();
    let storage = Arc::new(FileStorage::open(scratch.path()).unwrap());
    let options = Options {
        segment_bytes: 64 << 10,
        cache_bytes: 10_000,
        flush_bytes: 32 << 10,
        compact_step_bytes: 8 << 10,
        ..Options::default()
    };
    let (store, _) = Store::open(storage, options).unwrap();
    let reader = std::thread::spawn({
        let store = store.clone();
        move || {
            while store.stats().segments_freed < 20 {
                for key in 0..100u64 {
                    if let Some(row) = store.get(&key.to_be_bytes()).unwrap() {
                        assert_eq!(*row.value, vec![key as u8; 500]);
                    }
                }
            }
        }
    });
    let mut round = 0;
    while !reader.is_finished() {
        store
            .commit(&put(round % 100, 500), Durability::Relaxed)
            .unwrap();
        round += 1;
    }
    reader.join().unwrap();
    assert!(store.stats().bytes_total < 1 << 20, "{:?}", store.stats());
    store.close().unwrap();
}
