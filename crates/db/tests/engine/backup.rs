//! Copies of a log that is being written to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use periwinkle_db::engine::{
    Batch, Durability, Engine, FileStorage, KeyRange, Options, Order, Snapshot, Store,
    Verification, verify,
};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

use crate::life::{
    Life, Past, commit, compact, expected_indexes, flush, indexes, rows, small_options,
};

/// The snapshot's copy holds what was there at its sequence, and opens as after an orderly close.
fn check_copy(snapshot: &Snapshot, past: &Past, seed: u64) {
    let copy = SimDisk::new(seed);
    snapshot.copy_to(&*copy.storage()).unwrap();
    // Everything was synced: a power cut changes nothing.
    copy.cut_power();
    copy.restart(seed);
    let sequence = snapshot.sequence();
    let found = verify(&*copy.storage()).unwrap();
    assert!(
        found.is_whole() && found.tail.is_none(),
        "seed {seed}: {found:?}"
    );
    let (mut engine, report) = Engine::open(copy.storage(), &small_options()).unwrap();
    assert!(report.clean && report.cut.is_none(), "seed {seed}");
    let close = u64::from(sequence > 0);
    assert_eq!(report.sequence, sequence + close, "seed {seed}");
    let past_rows = &past.0[sequence as usize];
    assert_eq!(&rows(&mut engine), past_rows, "seed {seed} at {sequence}");
    let indexed = expected_indexes(&past.1[sequence as usize]);
    assert_eq!(indexes(&mut engine), indexed, "seed {seed} at {sequence}");
    // It can be gone on with.
    let sequence = commit(&mut engine, Batch::new().put(b"new", b"1")).unwrap();
    flush(&mut engine);
    assert_eq!(engine.durable_sequence(), sequence);
}

#[test]
fn a_copy_holds_the_state_at_its_sequence_whatever_is_written_and_compacted_meanwhile() {
    let (mut copies, mut freed) = (0, 0);
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut life = Life::begin(SimDisk::new(seed), Past::empty(), 0);
        // Moments within flushes and within steps of compaction are among them.
        life.snapshot_every = Some(5 + seed as usize % 7);
        let (mut engine, _) = life.open();
        life.lead(&mut engine, 80, &mut rng);
        freed += life.freed;
        // All are copied now, when many of their files have been removed.
        for snapshot in std::mem::take(&mut life.snapshots) {
            check_copy(&snapshot, &life.past, seed);
            copies += 1;
        }
    }
    assert!(
        copies > 1000 && freed > 100,
        "{copies} copies, {freed} segments freed"
    );
}

#[test]
fn a_snapshot_is_found_whole_while_the_log_goes_on_and_damage_in_it_is_named_with_its_rows() {
    let disk = SimDisk::new(3);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    for n in 0..40u8 {
        let key = format!("key {n}");
        commit(&mut engine, Batch::new().put(key.as_bytes(), &[n; 100])).unwrap();
        flush(&mut engine);
        while compact(&mut engine) {
            flush(&mut engine);
        }
    }
    commit(&mut engine, Batch::new().put(b"not durable", b"")).unwrap();
    let snapshot = engine.snapshot();
    assert_eq!(snapshot.sequence() + 1, engine.sequence());
    let look = |snapshot: &Snapshot| {
        let mut verification = Verification::of_snapshot(snapshot);
        while verification.step() {}
        let (done, all) = verification.progress();
        assert_eq!(done, all);
        verification.finish_open(&engine.snapshot())
    };
    let found = look(&snapshot);
    assert!(found.is_whole() && found.tail.is_none(), "{found:?}");
    assert_eq!(found.sequence, snapshot.sequence());

    // The value of the first row, in the first file.
    let name = snapshot.files()[0].name();
    let bytes = &disk.files()[&name];
    let at = bytes
        .windows(100)
        .position(|window| window == [0; 100])
        .unwrap();
    disk.flip_bit(&name, (at + 50) * 8);
    let found = look(&snapshot);
    assert_eq!(found.damage.len(), 1, "{found:?}");
    assert_eq!((&found.damage[0].file, found.damage[0].offset), (&name, 64));
    let keys: Vec<&[u8]> = found.damaged_keys.iter().map(|one| &one.key[..]).collect();
    assert_eq!(keys, [b"key 0"]);
    assert_eq!(found.lost, [(1, 1)]);
    disk.flip_bit(&name, (at + 50) * 8);

    // Somebody takes a file away that is open here; what compaction takes away is not missed.
    disk.storage().remove(&name).unwrap();
    let found = look(&snapshot);
    assert_eq!(found.damage.len(), 1, "{found:?}");
    assert_eq!((&found.damage[0].file, found.damage[0].offset), (&name, 0));
    assert_eq!(
        (&found.lost[..], found.sequence),
        (&[][..], snapshot.sequence())
    );
}

#[test]
fn what_compaction_removes_while_a_log_is_verified_is_not_missing() {
    let disk = SimDisk::new(9);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    let write = |engine: &mut Engine, round: u8| {
        commit(engine, Batch::new().put(b"key", &[round; 300])).unwrap();
        flush(engine);
    };
    for round in 0..20 {
        write(&mut engine, round);
    }
    let snapshot = engine.snapshot();
    let first = snapshot.files()[0].name();
    for _ in 0..20 {
        while compact(&mut engine) {}
        flush(&mut engine);
    }
    assert!(!disk.files().contains_key(&first), "it was compacted");
    let mut verification = Verification::of_snapshot(&snapshot);
    while verification.step() {}
    let found = verification.finish_open(&engine.snapshot());
    assert!(found.is_whole(), "{found:?}");
}

#[test]
fn copies_are_taken_of_real_files_while_threads_write() {
    let scratch = tempfile::tempdir().unwrap();
    let storage = Arc::new(FileStorage::open(scratch.path().join("db")).unwrap());
    let options = Options {
        segment_bytes: 64 << 10,
        segment_bytes_min: 16 << 10,
        cache_bytes: 64 << 10,
        ..Options::default()
    };
    let (store, _) = Store::open(storage, options.clone()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..2u32 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut n = 0u32;
                // Each transaction sets both keys of its writer to one value.
                while !done.load(Ordering::Relaxed) {
                    let value = [&n.to_le_bytes()[..], &[7; 500]].concat();
                    let mut batch = Batch::new();
                    for half in ["a", "b"] {
                        batch.put(format!("{writer}{half}{}", n % 50).as_bytes(), &value);
                    }
                    store.commit(&batch, Durability::Relaxed).unwrap();
                    n += 1;
                }
            });
        }
        for round in 0..12 {
            while store.stats().segments_freed <= round * 2 {
                store.flush().wait().unwrap();
            }
            let snapshot = store.snapshot();
            let directory = scratch.path().join(format!("copy {round}"));
            let copy = Arc::new(FileStorage::open(&directory).unwrap());
            snapshot.copy_to(&*copy).unwrap();
            let found = verify(&*copy).unwrap();
            assert!(found.is_whole(), "{found:?}");
            let (copied, report) = Store::open(copy, options.clone()).unwrap();
            assert_eq!(report.sequence, snapshot.sequence() + 1);
            let rows = copied.scan(&KeyRange::all(), Order::Forward, 1000).unwrap();
            let rows: BTreeMap<String, Vec<u8>> = rows
                .into_iter()
                .map(|row| {
                    (
                        String::from_utf8(row.key.to_vec()).unwrap(),
                        row.value.to_vec(),
                    )
                })
                .collect();
            assert!(rows.len() >= 100, "{}", rows.len());
            for (key, value) in &rows {
                let other = key.replacen('a', "b", 1);
                assert_eq!(&rows[&other], value, "a transaction is there whole");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_empty_log_can_be_copied() {
    let (engine, _) = Engine::open(SimDisk::new(1).storage(), &small_options()).unwrap();
    check_copy(&engine.snapshot(), &Past::empty(), 1);
}
