//! The store on real files: threads, tickets, group commit, closing and reopening.
#![allow(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::sync::Arc;

use periwinkle_db::engine::{
    Batch, Durability, FileStorage, KeyRange, Options, Order, Storage, StorageError, Store,
};

fn open(directory: &std::path::Path) -> Store {
    let storage = Arc::new(FileStorage::open(directory).unwrap());
    Store::open(storage as Arc<dyn Storage>, Options::default())
        .unwrap()
        .0
}

fn keys(store: &Store, range: &KeyRange, order: Order, limit: usize) -> Vec<String> {
    let rows = store.scan(range, order, limit).unwrap();
    rows.iter()
        .map(|row| String::from_utf8(row.key.to_vec()).unwrap())
        .collect()
}

#[test]
fn what_was_committed_is_there_after_close_and_open() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path());
    let mut batch = Batch::new();
    batch
        .put(b"a", b"1")
        .put(b"b", b"2")
        .put(b"c", b"3")
        .delete(b"b");
    let committed = store.commit(&batch, Durability::Immediate).unwrap();
    assert_eq!(committed.sequence, 1);
    committed.ticket.wait().unwrap();
    assert_eq!(store.durable_sequence(), 1);
    store
        .commit(Batch::new().put(b"d", b"4"), Durability::Relaxed)
        .unwrap();
    store.close().unwrap();
    drop(store);

    let store = open(scratch.path());
    assert_eq!(
        keys(&store, &KeyRange::all(), Order::Forward, 10),
        ["a", "c", "d"]
    );
    assert_eq!(
        keys(&store, &KeyRange::all(), Order::Reverse, 2),
        ["d", "c"]
    );
    assert_eq!(&*store.get(b"d").unwrap().unwrap().value, b"4");
    assert_eq!(store.get(b"b").unwrap(), None);
}

#[test]
fn a_second_opener_is_told_who_has_the_database() {
    let scratch = tempfile::tempdir().unwrap();
    let _first = FileStorage::open(scratch.path()).unwrap();
    match FileStorage::open(scratch.path()).unwrap_err() {
        StorageError::Locked { pid, .. } => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other}"),
    }
}
