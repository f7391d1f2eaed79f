//! Opening a log to read it only.

use std::io::ErrorKind;
use std::sync::Arc;

use periwinkle_db::engine::{
    Batch, CommitError, Durability, Engine, FileStorage, KeyRange, OpenError, Options, Order,
    Refusal, Storage, StorageError, Store, verify,
};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

use crate::life::{Life, Past, indexes, rows, small_options};

#[test]
fn whatever_a_power_cut_left_is_read_as_opening_reads_it_and_no_byte_is_changed() {
    let mut tails = 0;
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut life = Life::begin(SimDisk::new(seed), Past::empty(), 0);
        let (mut engine, _) = life.open();
        life.lead(&mut engine, 25, &mut rng);
        let moments = life.disk.recording();
        for _ in 0..25 {
            let disk = moments[rng.index(moments.len())].snapshot();
            disk.restart(rng.next_u64());
            tails += u64::from(read_and_open(&disk, seed));
        }
    }
    assert!(tails > 30, "{tails} of the logs had a tail");
}

/// Whether there was a tail.
fn read_and_open(disk: &SimDisk, seed: u64) -> bool {
    let before = disk.files();
    let found = verify(&*disk.storage()).unwrap();
    assert!(found.is_whole(), "seed {seed}: {found:?}");
    let (mut reading, seen) = match Engine::open_read_only(disk.storage(), &small_options()) {
        Ok(opened) => opened,
        // Not even the first segment reached the disk.
        Err(OpenError::Io { source, .. }) => {
            assert_eq!(source.kind(), ErrorKind::NotFound, "seed {seed}");
            return false;
        }
        Err(error) => panic!("seed {seed}: {error}"),
    };
    assert!(reading.take_flush().is_none() && reading.take_reserve().is_none());
    assert!(reading.take_compaction().is_none());
    let refused = reading.commit(Batch::new().put(b"a", b"b"));
    assert!(matches!(
        refused,
        Err(Refusal::Error(CommitError::ReadOnly))
    ));
    reading.close();
    assert!(reading.take_flush().is_none());
    let (read, read_indexes) = (rows(&mut reading), indexes(&mut reading));
    assert_eq!(disk.files(), before, "seed {seed}");

    let (mut engine, report) = Engine::open(disk.storage(), &small_options()).unwrap();
    assert_eq!((seen.sequence, seen.clean), (report.sequence, report.clean));
    let told = found.tail.is_some() || report.cut.is_none();
    assert!(told, "seed {seed}: {found:?}, {report:?}");
    if let Some(tail) = &found.tail {
        let as_by_a_cut = "a write that a power cut left unfinished";
        assert_eq!(tail.what, as_by_a_cut, "seed {seed}: {tail:?}");
    }
    assert_eq!(read, rows(&mut engine), "seed {seed}");
    assert_eq!(read_indexes, indexes(&mut engine), "seed {seed}");
    report.cut.is_some()
}

#[test]
fn an_empty_directory_is_no_log_to_read() {
    let disk = SimDisk::new(1);
    let Err(refused) = Engine::open_read_only(disk.storage(), &small_options()) else {
        panic!("there is nothing to open");
    };
    assert!(
        refused
            .to_string()
            .starts_with("cannot find the first segment"),
        "{refused}"
    );
    assert_eq!(disk.files().len(), 0);
}

#[test]
fn several_may_read_or_one_may_write() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("db");
    assert!(
        FileStorage::open_read_only(&directory).is_err(),
        "it makes none"
    );
    assert!(!directory.exists());
    let writer = FileStorage::open(&directory).unwrap();
    let pid = std::process::id();
    let holder = |result: Result<FileStorage, StorageError>| match result {
        Err(StorageError::Locked { pid, .. }) => pid,
        other => panic!("{other:?}"),
    };
    assert_eq!(holder(FileStorage::open_read_only(&directory)), Some(pid));
    drop(writer);
    let first = FileStorage::open_read_only(&directory).unwrap();
    let _second = FileStorage::open_read_only(&directory).unwrap();
    assert_eq!(
        holder(FileStorage::open(&directory)),
        None,
        "who reads is not known"
    );
    for refused in [first.create("x").map(drop), first.remove("lock")] {
        let kind = refused.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::ReadOnlyFilesystem);
    }
}

#[test]
fn a_store_that_reads_only_refuses_commits_and_reopens_for_reading() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("db");
    let (store, _) = Store::open(
        Arc::new(FileStorage::open(&directory).unwrap()),
        Options::default(),
    )
    .unwrap();
    let batch = Batch::new().put(b"key", b"value").clone();
    store.commit(&batch, Durability::Relaxed).unwrap();
    let bytes = store.stats().bytes_total;
    store.close().unwrap();
    drop(store);
    // Without its lock file, as on a medium that nobody can write to.
    std::fs::remove_file(directory.join("lock")).unwrap();
    let storage = Arc::new(FileStorage::open_read_only(&directory).unwrap());
    let (store, report) = Store::open_read_only(storage, Options::default()).unwrap();
    assert!(report.clean);
    assert_eq!(store.stats().bytes_total, bytes, "the reserve counts, too");
    for _ in 0..2 {
        let refused = store.commit(&batch, Durability::Immediate).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the database was opened for reading only"
        );
        let found = store.scan(&KeyRange::all(), Order::Forward, 9).unwrap();
        assert_eq!(&*found[0].value, b"value");
        store.reopen().unwrap();
    }
    store.close().unwrap();
    assert!(!directory.join("lock").exists());
}
