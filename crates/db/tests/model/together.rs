//! Many threads at once, and a disk that runs full.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use periwinkle_core::sync::record::{Frozen, ItemKey, Mark, Record};
use periwinkle_core::sync::store::Store;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::engine::Durability;
use periwinkle_db::{Database, Environment, Event, Find, Since};

use crate::world::{START, World, props};

#[test]
fn of_many_who_make_one_item_one_succeeds() {
    let db = World::new(1).open();
    let results: Vec<_> = thread::scope(|scope| {
        let make = || db.create("User", &Map::from([("name", "ada")]));
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let kinds = results
        .iter()
        .filter_map(|made| made.as_ref().err().map(periwinkle_db::DbError::kind));
    assert_eq!(kinds.collect::<Vec<_>>(), ["exists"; 7]);
}

#[test]
fn a_stream_tells_the_writes_of_many_threads_once_and_in_order() {
    let db = World::new(1).open();
    let mut stream = db.changes(Since::Now);
    thread::scope(|scope| {
        for writer in 0..4 {
            let db = &db;
            scope.spawn(move || {
                for n in 0..100 {
                    let item = Map::from([("name", format!("{writer}-{n}"))]);
                    let made = db
                        .durability(Durability::Relaxed)
                        .create("User", &item)
                        .unwrap();
                    if n % 25 == 0 {
                        db.flush();
                        made.ticket.wait().unwrap();
                    }
                }
            });
        }
    });
    db.flush().wait().unwrap();
    let mut sequences = Vec::new();
    while let Some(Event::Change(change)) = stream.try_next() {
        sequences.push(change.sequence);
    }
    assert_eq!(sequences, (1..=400).collect::<Vec<u64>>());
    assert_eq!(db.stats().rows["User"], 400);
}

#[test]
fn a_full_disk_refuses_writes_and_serves_reads_until_there_is_room() {
    let world = World::new(1);
    world.disk.set_capacity(256 << 10);
    let db = world.open();
    let item = |n: u32| {
        let text = Value::from("x".repeat(4000));
        Map::from([("id", Value::from(format!("{n}"))), ("value", text)])
    };
    let mut made = 0;
    let error = loop {
        match db.create("Setting", &item(made)) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), "full");
    assert!(
        error.to_string().starts_with("the disk is full: "),
        "{error}"
    );
    assert!((10..100).contains(&made));
    let page = db.find("Setting", &Map::new(), &Find::new()).unwrap();
    assert_eq!(page.items.len(), made as usize);
    assert_eq!(db.stats().queue.rows, u64::from(made));
    assert_eq!(
        db.create("Setting", &item(made)).unwrap_err().kind(),
        "full"
    );
    world.disk.set_capacity(4 << 20);
    db.create("Setting", &item(made))
        .unwrap()
        .ticket
        .wait()
        .unwrap();
    assert_eq!(db.stats().queue.rows, u64::from(made) + 1);
}

/// A database that refuses every new setting, and how many there are.
fn filled(world: &World) -> (Database, u32) {
    world.disk.set_capacity(256 << 10);
    let db = world.open();
    let text = Value::from("x".repeat(2000));
    let mut made = 0;
    loop {
        let id = Value::from(format!("{made:03}"));
        let item = Map::from([("id", id), ("value", text.clone())]);
        match db.create("Setting", &item) {
            Ok(_) => made += 1,
            Err(error) => {
                assert_eq!(error.kind(), "full");
                break (db, made);
            }
        }
    }
}

fn row(n: u32) -> ItemKey {
    ItemKey::new("dev#d1#rw", format!("Setting#{n:03}"))
}

/// What the machine does to a row when it sends what is pending.
fn freeze(record: &mut Record) {
    let change = record.change.as_mut().unwrap();
    change.frozen = Some(Frozen {
        mark: Mark { epoch: 9, n: 9 },
        op: change.pending.take().unwrap(),
        version: 1,
        schema: 1,
    });
}

#[test]
fn on_a_full_disk_the_queue_is_sent_and_synced_items_are_removed() {
    let world = World::new(1);
    let (db, made) = filled(&world);
    // All of the queue is frozen and answered, a row at a time.
    for n in 0..made {
        db.modify(&[row(n)], &mut |frame| freeze(&mut frame.records[0]))
            .unwrap();
        db.modify(&[row(n)], &mut |frame| {
            let mut item = frame.records[0].item.take().unwrap();
            item.insert("_v", 1);
            frame.records[0] = Record::clean(item);
        })
        .unwrap();
    }
    assert_eq!(db.stats().queue.rows, 0);
    // A removal stays as a note until the cloud has answered; all rows can have one.
    for n in 0..made {
        let id = Map::from([("id", format!("{n:03}"))]);
        db.remove("Setting", &id).unwrap();
    }
    assert_eq!(db.stats().queue.rows, u64::from(made));
    for n in 0..made {
        db.modify(&[row(n)], &mut |frame| freeze(&mut frame.records[0]))
            .unwrap();
        db.modify(&[row(n)], &mut |frame| frame.records[0] = Record::default())
            .unwrap();
    }
    db.flush().wait().unwrap();
    assert_eq!(db.stats().queue.rows, 0);
    let item = Map::from([
        ("id", Value::from("new")),
        ("value", Value::from("y".repeat(2000))),
    ]);
    db.create("Setting", &item).unwrap();
}

#[test]
fn on_a_full_disk_items_of_the_device_alone_are_removed() {
    let world = World::new(1);
    world.disk.set_capacity(256 << 10);
    let db = world.open();
    let password = Value::from("x".repeat(500));
    let user = |n: u32| {
        Map::from([
            ("name", Value::from(n.to_string())),
            ("password", password.clone()),
        ])
    };
    let made = (0..)
        .take_while(|n| db.create("User", &user(*n)).is_ok())
        .count();
    assert!(made > 100);
    for n in 0..made {
        let name = Map::from([("name", n.to_string())]);
        db.remove("User", &name).unwrap();
    }
    assert_eq!(db.stats().rows["User"], 0);
}

#[test]
fn a_purge_spares_an_item_whose_time_was_put_off_while_it_looked() {
    let world = World::new(1);
    let db = world.open();
    let logged = |expires: i64| {
        let item = Map::from([("id", Value::from("a")), ("expires", Value::from(expires))]);
        db.upsert("UserLog", &item).is_ok()
    };
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                db.purge_expired(world.clock.now()).unwrap();
            }
        });
        let key = props(r#"{"id":"a"}"#);
        let kept = (0..2000).all(|_| {
            logged(START - 1000)
                && logged(START + 60_000)
                && matches!(db.get("UserLog", &key), Ok(Some(_)))
        });
        ended.store(true, Ordering::Relaxed);
        assert!(kept);
    });
}
