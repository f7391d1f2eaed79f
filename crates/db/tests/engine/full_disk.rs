//! No room: writes are refused before anything changes, reads go on, and it recovers.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use periwinkle_core::limits::DB_LEAD_OUT_BYTES_MAX;
use periwinkle_db::engine::{
    Batch, CommitError, Durability, Engine, FileStorage, OpenError, Options, Storage, Store,
};
use periwinkle_testkit::disk::SimDisk;

use crate::life::{commit, flush, rows, small_options};

fn put(key: u32, bytes: usize) -> Batch {
    let mut batch = Batch::new();
    batch.put(&key.to_be_bytes(), &vec![7; bytes]);
    batch
}

#[test]
fn a_full_disk_refuses_commits_untouched_and_takes_them_again_when_there_is_room() {
    let disk = SimDisk::new(1);
    disk.set_capacity(10_000);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    let mut key = 0;
    let refused = loop {
        match commit(&mut engine, &put(key, 200)) {
            Ok(_) => key += 1,
            Err(error) => break error,
        }
        flush(&mut engine);
    };
    assert!(matches!(refused, CommitError::DiskFull { .. }), "{refused}");
    // Smaller segments used the last room.
    assert!(engine.stats().bytes_total > 9_000);
    let before = rows(&mut engine);
    assert_eq!(before.len(), key as usize);
    assert_eq!(engine.sequence(), u64::from(key));
    assert_eq!(engine.failure().map(ToString::to_string), None);

    disk.set_capacity(20_000);
    commit(&mut engine, &put(key, 200)).unwrap();
    flush(&mut engine);
    assert_eq!(engine.durable_sequence(), u64::from(key) + 1);
    assert_eq!(rows(&mut engine).len(), key as usize + 1);
}

#[test]
fn a_step_that_leads_out_may_bring_a_little_more_than_it_takes_away() {
    let disk = SimDisk::new(1);
    disk.set_capacity(20_000);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    let mut key = 0;
    while commit(&mut engine, &put(key, 200)).is_ok() {
        key += 1;
        flush(&mut engine);
    }
    assert!(key > 30);
    // Others take the last bytes.
    let used = disk.files().values().map(|bytes| bytes.len() as u64).sum();
    disk.set_capacity(used);
    // Key and value are 204 bytes.
    let bound = 204 + DB_LEAD_OUT_BYTES_MAX as usize;
    for (bytes, leads_out, taken) in [
        (bound, false, false),
        (bound + 1, true, false),
        (bound, true, true),
        (103, false, false),
        (102, false, true),
    ] {
        let mut batch = put(key - 1, bytes);
        if leads_out {
            batch.lead_out();
        }
        let done = commit(&mut engine, &batch);
        assert_eq!(done.is_ok(), taken, "{bytes} bytes: {done:?}");
        flush(&mut engine);
        key -= 1;
    }
}

#[test]
fn a_log_opens_and_closes_in_order_on_a_full_disk() {
    // Some length fills the segment to the byte.
    for length in 0..64 {
        let disk = SimDisk::new(1);
        let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
        disk.set_capacity(0);
        while commit(&mut engine, &put(2, length)).is_ok() {}
        flush(&mut engine);
        engine.close();
        flush(&mut engine);
        assert!(engine.failure().is_none(), "length {length}");
        let (mut engine, report) = Engine::open(disk.storage(), &small_options()).unwrap();
        assert!(report.clean);
        assert_eq!(rows(&mut engine).len(), 1);
    }
}

#[test]
fn a_tail_is_cut_on_a_full_disk_even_if_it_cannot_be_kept() {
    let disk = SimDisk::new(1);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    commit(&mut engine, &put(1, 200)).unwrap();
    commit(&mut engine, &put(2, 200)).unwrap();
    flush(&mut engine);
    // Neither commit is below a mark: a bit of the second makes it a tail.
    disk.flip_bit("00000001.log", (64 + 32 + 230 + 100) * 8);
    disk.set_capacity(0);
    let (mut engine, report) = Engine::open(disk.storage(), &small_options()).unwrap();
    let cut = report.cut.unwrap();
    assert_eq!((cut.kept, report.tails_kept, report.sequence), (None, 0, 1));
    assert_eq!(rows(&mut engine).len(), 1);
}

#[test]
fn only_the_youngest_tails_are_kept() {
    let disk = SimDisk::new(1);
    for round in 0..12 {
        let (mut engine, report) = Engine::open(disk.storage(), &small_options()).unwrap();
        assert_eq!(report.tails_kept, 8.min(round));
        commit(&mut engine, &put(1, 100)).unwrap();
        flush(&mut engine);
        engine.close();
        flush(&mut engine);
        let (name, _) = disk
            .files()
            .into_iter()
            .rfind(|(n, _)| n.ends_with(".log"))
            .unwrap();
        let length = disk.files()[&name].iter().rposition(|b| *b != 0).unwrap() + 1;
        disk.flip_bit(&name, (length - 20) * 8);
    }
}

/// A file system of 3 MiB on a machine where this process may mount one.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Option<SmallDisk<'a>> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
            .arg(at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily: the database may still be open when a test fails.
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[test]
fn a_real_full_disk_refuses_commits_and_takes_them_again_when_there_is_room() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(scratch.path()) else {
        return a_real_disk_refuses_to_reserve_what_it_does_not_have(scratch.path());
    };
    let ballast = scratch.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let storage = Arc::new(FileStorage::open(scratch.path().join("db")).unwrap());
    let (store, _) = Store::open(storage, Options::default()).unwrap();
    let mut key = 0;
    let refused = loop {
        match store.commit(&put(key, 10_000), Durability::Relaxed) {
            Ok(_) => key += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, CommitError::DiskFull { .. }), "{refused}");
    assert!(key > 30, "{key}");
    assert!(store.get(&0u32.to_be_bytes()).unwrap().is_some());
    assert!(store.get(&key.to_be_bytes()).unwrap().is_none());

    std::fs::remove_file(&ballast).unwrap();
    let committed = store
        .commit(&put(key, 10_000), Durability::Immediate)
        .unwrap();
    committed.ticket.wait().unwrap();
    store.close().unwrap();
}

/// What can be shown without the right to mount: the error kind, and that nothing stays behind.
fn a_real_disk_refuses_to_reserve_what_it_does_not_have(directory: &Path) {
    let storage = Arc::new(FileStorage::open(directory).unwrap());
    let options = Options {
        segment_bytes: 1 << 50,
        segment_bytes_min: 1 << 50,
        ..Options::default()
    };
    let error = Store::open(storage, options).err().unwrap();
    assert!(
        matches!(
            error,
            OpenError::Io {
                operation: "create",
                ..
            }
        ),
        "{error}"
    );
    let names = std::fs::read_dir(directory).unwrap();
    assert_eq!(names.count(), 1, "only the lock is there");
}

#[test]
fn a_real_full_disk_is_filled_and_left_by_deleting_round_after_round() {
    let scratch = tempfile::tempdir().unwrap();
    let mounted = SmallDisk::mount(scratch.path());
    let storage: Arc<dyn Storage> = match &mounted {
        Some(_) => Arc::new(FileStorage::open(scratch.path().join("db")).unwrap()),
        // Without the right to mount, a disk that only exists in memory is filled.
        None => {
            let disk = SimDisk::new(1);
            disk.set_capacity(3 << 20);
            disk.storage()
        }
    };
    let (store, _) = Store::open(storage, Options::default()).unwrap();
    let mut fewest = u32::MAX;
    for round in 0..15 {
        let mut key = 0;
        while store.commit(&put(key, 5000), Durability::Relaxed).is_ok() {
            key += 1;
        }
        fewest = fewest.min(key);
        for gone in 0..key {
            let mut batch = Batch::new();
            batch.delete(&gone.to_be_bytes());
            let done = store.commit(&batch, Durability::Relaxed);
            assert!(done.is_ok(), "round {round}, row {gone} of {key}: {done:?}");
        }
        assert_eq!(store.stats().rows, 0);
    }
    assert!(fewest > 100, "a round took only {fewest} rows");
    store.close().unwrap();
}
