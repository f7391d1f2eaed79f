//! Rows that were written without index entries: they get them once, whatever the power does.

use periwinkle_core::sync::record::{ItemKey, ParkKind, Parked, Record};
use periwinkle_core::sync::store::Store as _;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::Database;
use periwinkle_db::engine::{self, Batch, Durability, Store};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

use crate::world::World;

const ROWS: u64 = 700;

fn key(number: u64) -> ItemKey {
    ItemKey::new("dev#d1#rw", format!("Setting#{number:04}"))
}

/// Every fifth row waits, every seventh is parked, every eleventh is the news of a removal.
fn record(number: u64) -> Record {
    let item = |value: &str| {
        let id = format!("{number:04}");
        Map::from([
            ("pk", Value::from("dev#d1#rw")),
            ("sk", Value::from(format!("Setting#{id}").as_str())),
            ("_type", Value::from("Setting")),
            ("id", Value::from(id.as_str())),
            ("value", Value::from(value)),
        ])
    };
    let mut record = Record::clean(item("old"));
    if number.is_multiple_of(11) {
        record.write(None);
    } else if number.is_multiple_of(5) || number.is_multiple_of(7) {
        record.write(Some(item("new")));
    }
    if number.is_multiple_of(7)
        && let Some(change) = &mut record.change
    {
        change.parked = Some(Parked::new(ParkKind::Refused, "no"));
    }
    record
}

/// Writes the rows as version 1 did: the key as in `docs/formats/items.md`, no index entries.
fn write_without_entries(disk: &SimDisk) -> u64 {
    let options = engine::Options {
        salt: 1,
        ..engine::Options::default()
    };
    let (store, _) = Store::open(disk.storage(), options).unwrap();
    let mut waiting = 0;
    for number in 0..ROWS {
        let key = key(number);
        let mut value = Vec::new();
        let record = record(number);
        record.encode(&mut value);
        waiting += record.change.map_or(0, |_| value.len() as u64);
        let mut batch = Batch::new();
        let bytes = ["i", &key.pk, "\0", &key.sk].concat();
        batch.put(bytes.as_bytes(), &value);
        store.commit(&batch, Durability::Relaxed).unwrap();
    }
    store.close().unwrap();
    waiting
}

fn check(db: &Database, bytes: u64) {
    let all = || (0..ROWS).map(|number| (number, record(number)));
    let parked = all().filter(|(_, record)| record.parked().is_some());
    let parked: Vec<_> = parked.map(|(number, _)| key(number)).collect();
    let sendable = all().filter(|(_, record)| record.is_sendable());
    // In the order of the writes.
    let sendable: Vec<_> = sendable.map(|(n, _)| (n + 1, key(n))).collect();
    let dirty = db.dirty(None, 10_000).unwrap().into_iter();
    let dirty: Vec<_> = dirty.map(|dirty| (dirty.sequence, dirty.key)).collect();
    assert_eq!(dirty, sendable);
    assert_eq!(db.parked(None, 10_000).unwrap(), parked);
    let backlog = db.backlog();
    let rows = (parked.len() + sendable.len()) as u64;
    assert_eq!((backlog.rows, backlog.bytes), (rows, bytes));
    let live = all().filter(|(_, record)| record.item.is_some()).count();
    assert_eq!(db.stats().rows["Setting"], live as u64);
}

#[test]
fn rows_without_index_entries_get_them_once() {
    let world = World::new(1);
    let bytes = write_without_entries(&world.disk);
    let (db, report) = world.open_reporting(&world.disk).unwrap();
    // Each: the model has a bound, so that the age of every item counts.
    assert_eq!(report.rows_indexed, ROWS);
    check(&db, bytes);
    db.close().unwrap();
    drop(db);
    let (db, report) = world.open_reporting(&world.disk).unwrap();
    assert_eq!(report.rows_indexed, 0);
    check(&db, bytes);
}

#[test]
fn a_power_cut_in_the_middle_of_it_leaves_work_for_the_next_opening() {
    let world = World::new(2);
    let bytes = write_without_entries(&world.disk);
    world.disk.record();
    let db = world.open();
    db.close().unwrap();
    drop(db);
    let mut rng = Rng::new(2);
    let disks = world.disk.recording();
    assert!(disks.len() > 3, "only {}", disks.len());
    for disk in disks {
        disk.restart(rng.next_u64());
        check(&world.open_on(&disk).unwrap(), bytes);
    }
}

#[test]
fn on_a_full_disk_the_entries_are_made_in_memory() {
    let world = World::new(3);
    let bytes = write_without_entries(&world.disk);
    // The log as version 1 left it needs a segment more, and there is no room for one.
    for (name, contents) in world.disk.files() {
        if name.ends_with(".log") {
            world.disk.put_file(&name, &of_version_1(contents));
        }
    }
    world.disk.set_capacity(0);
    let db = world.open();
    check(&db, bytes);
    drop(db);
    world.disk.set_capacity(64 << 20);
    let (db, report) = world.open_reporting(&world.disk).unwrap();
    assert!(report.rows_indexed > 0);
    check(&db, bytes);
}

/// The version in the header of a segment, and the checksum that covers it.
fn of_version_1(mut segment: Vec<u8>) -> Vec<u8> {
    segment[8] = 1;
    let covered = [&segment[..12], &segment[16..64]].concat();
    let crc = crc32c(&covered).to_le_bytes();
    segment[12..16].copy_from_slice(&crc);
    segment
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |state: u32| (state >> 1) ^ (0x82F6_3B78 * (state & 1));
    let byte =
        |state: u32, byte: &u8| (0..8).fold(state ^ u32::from(*byte), |state, _| step(state));
    !bytes.iter().fold(!0, byte)
}
