//! Scans of what is not in memory: neighbours in the log cost one read, and damage costs one row.

use periwinkle_core::limits::{DB_READ_BYTES_MAX, DB_READ_GAP_BYTES_MAX};
use periwinkle_db::engine::{
    Batch, Durability, Engine, Entry, IndexId, IndexRange, KeyRange, Options, Order, ReadError,
    Store,
};
use periwinkle_testkit::disk::{Fault, SimDisk};

use crate::life::{commit, flush};

/// Nothing is kept in memory, and all rows lie in one segment.
fn options() -> Options {
    Options {
        cache_bytes: 0,
        salt: 1,
        ..Options::default()
    }
}

/// Rows of these sizes, one after the other.
fn written(sizes: &[usize]) -> (SimDisk, Engine) {
    let disk = SimDisk::new(1);
    let (mut engine, _) = Engine::open(disk.storage(), &options()).unwrap();
    for (at, size) in sizes.iter().enumerate() {
        let mut batch = Batch::new();
        batch.put(&(at as u32).to_be_bytes(), &vec![at as u8; *size]);
        commit(&mut engine, &batch).unwrap();
    }
    flush(&mut engine);
    (disk, engine)
}

fn scan(engine: &mut Engine, limit: usize) -> Result<Vec<Entry>, ReadError> {
    engine.scan(&KeyRange::all(), Order::Forward, limit)
}

/// How many reads a scan takes.
fn reads(disk: &SimDisk, engine: &mut Engine, limit: usize) -> u64 {
    let before = disk.counts().reads;
    let rows = scan(engine, limit).unwrap();
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(*row.key, (at as u32).to_be_bytes());
        assert!(row.value.iter().all(|byte| *byte == at as u8));
    }
    disk.counts().reads - before
}

#[test]
fn neighbours_in_the_log_are_read_at_once() {
    let (disk, mut engine) = written(&[100; 200]);
    assert_eq!(reads(&disk, &mut engine, 100), 1);
    assert_eq!(reads(&disk, &mut engine, 1), 1);
    let store = Store::open(disk.storage(), options()).unwrap().0;
    let before = disk.counts().reads;
    let rows = store.scan(&KeyRange::all(), Order::Reverse, 100).unwrap();
    assert_eq!((rows.len(), disk.counts().reads - before), (100, 1));
}

#[test]
fn a_gap_at_the_bound_is_read_along_and_one_byte_more_is_not() {
    // Before a value: the frame's header, the entry's tag, the lengths of key and value, the key.
    let overhead = 32 + 1 + 1 + 1 + 4;
    let gap_of = |size: usize| {
        let (disk, mut engine) = written(&[10, size, 10]);
        let mut batch = Batch::new();
        batch.delete(&1u32.to_be_bytes());
        commit(&mut engine, &batch).unwrap();
        flush(&mut engine);
        let before = disk.counts().reads;
        assert_eq!(scan(&mut engine, 10).unwrap().len(), 2);
        disk.counts().reads - before
    };
    // The row that is gone lies between, with what goes before it and behind it, and with what
    // goes before the next one.
    // The length of the value between takes two bytes.
    let fits = DB_READ_GAP_BYTES_MAX - 2 * overhead - 1 - 4;
    assert_eq!((gap_of(fits), gap_of(fits + 1)), (1, 2));
}

#[test]
fn one_read_takes_so_many_bytes_and_no_more() {
    let size = DB_READ_BYTES_MAX / 8;
    let (disk, mut engine) = written(&[size; 16]);
    assert_eq!(reads(&disk, &mut engine, 7), 1);
    assert_eq!(reads(&disk, &mut engine, 8), 2);
    let (disk, mut engine) = written(&[2 * DB_READ_BYTES_MAX, 10]);
    assert_eq!(reads(&disk, &mut engine, 2), 2);
}

#[test]
fn damage_among_neighbours_is_named_and_costs_one_row() {
    let (disk, mut engine) = written(&[100; 50]);
    let row = [&7u32.to_be_bytes()[..], &[7; 100]].concat();
    let bytes = &disk.files()["00000001.log"];
    let at = bytes.windows(row.len()).position(|window| window == row);
    let at = at.unwrap() + 4;
    disk.flip_bit("00000001.log", (at + 50) * 8);
    match scan(&mut engine, 50) {
        Err(ReadError::Damaged(damage)) => assert_eq!(damage.offset, at as u64),
        other => panic!("{other:?}"),
    }
    for key in (0..50u32).filter(|key| *key != 7) {
        assert!(engine.get(&key.to_be_bytes()).unwrap().is_some());
    }
}

#[test]
fn a_read_of_many_that_fails_is_tried_one_by_one() {
    let (disk, mut engine) = written(&[100; 20]);
    disk.fail_nth(0, Fault::Io);
    let before = disk.counts().reads;
    assert_eq!(scan(&mut engine, 20).unwrap().len(), 20);
    assert_eq!(disk.counts().reads - before, 21);
}

#[test]
fn a_thread_that_should_not_wait_reads_so_many_values_and_not_one_more() {
    let disk = SimDisk::new(1);
    let store = Store::open(disk.storage(), options()).unwrap().0;
    let index = IndexId(100);
    let mut batch = Batch::new();
    for row in 0..20u32 {
        let key = row.to_be_bytes();
        batch.put_indexed(&key, &[1; 100], &[(index, &key)]);
    }
    let committed = store.commit(&batch, Durability::Immediate).unwrap();
    committed.ticket.wait().unwrap();
    let all = KeyRange::all();
    let scan = |store: &Store, limit| store.scan(&all, Order::Forward, limit);

    let inline = store.reading_at_most(10);
    assert_eq!(scan(&inline, 4).unwrap().len(), 4);
    // Clones have the bound in common, and so have scans of all kinds.
    let reads = disk.counts().reads;
    let refused = scan(&inline.clone(), 7).unwrap_err();
    let by_index = inline.scan_index(index, &IndexRange::all(), Order::Forward, 7);
    for error in [refused, by_index.unwrap_err()] {
        assert!(
            matches!(
                error,
                ReadError::Waits {
                    missing: 7,
                    missing_max: 6
                }
            ),
            "{error:?}"
        );
    }
    assert_eq!(disk.counts().reads, reads, "none is read");
    assert_eq!(scan(&inline, 6).unwrap().len(), 6);
    assert!(scan(&inline, 1).is_err());
    assert_eq!(scan(&store, 20).unwrap().len(), 20);
    assert_eq!(scan(&store.reading_at_most(20), 20).unwrap().len(), 20);
    // What is in memory costs nothing: here, what still waits for the disk.
    store.commit(&batch, Durability::Relaxed).unwrap();
    assert_eq!(scan(&inline, 20).unwrap().len(), 20);
}
