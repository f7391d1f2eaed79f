//! Power cuts at every write: an item and the intention to send it are there together or not at
//! all, transactions are there whole, and what was reported durable is there.

use std::collections::BTreeMap;

use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::sync::store::Store;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::{Database, Write};
use periwinkle_testkit::rng::Rng;

use crate::world::World;

type Rows = BTreeMap<ItemKey, Record>;

fn rows(db: &Database) -> Rows {
    let keys = db.rows_after(&ItemKey::new("", ""), 1000).unwrap();
    keys.into_iter()
        .map(|key| {
            let record = db.record(&key).unwrap();
            (key, record)
        })
        .collect()
}

fn write(db: &Database, rng: &mut Rng) {
    let id = format!("{}", rng.below(6));
    let item = Map::from([
        ("id", Value::from(id.as_str())),
        ("value", Value::from(rng.next_u64().to_string())),
    ]);
    let key = Map::from([("id", id.as_str())]);
    match rng.below(8) {
        0 | 1 => drop(db.remove("Setting", &key)),
        // The cloud has answered: what was pending is base now.
        2 => {
            let row = ItemKey::new("dev#d1#rw", format!("Setting#{id}"));
            db.modify(&[row], &mut |frame| {
                let item = frame.records[0].item.take();
                frame.records[0] = item.map_or(Record::default(), Record::clean);
            })
            .unwrap();
        }
        3 => {
            let value = rng.next_u64().to_string();
            let write = |n: u64| {
                let key = Map::from([("id", format!("{n}"))]);
                Write::upsert("Setting", key).set("value", value.as_str())
            };
            let writes: Vec<_> = (0..3).map(|_| write(rng.below(6))).collect();
            drop(db.write_all(&writes).unwrap());
        }
        _ => drop(db.upsert("Setting", &item).unwrap()),
    }
}

/// What the cloud knows follows from the history alone, so equal rows mean equal intentions.
fn check(seed: u64) {
    let world = World::new(seed);
    let mut rng = Rng::new(seed);
    let db = world.open();
    let mut states = vec![rows(&db)];
    // For each recorded disk, how many of the states were durable before.
    let mut durable = Vec::new();
    world.disk.record();
    for _ in 0..40 {
        write(&db, &mut rng);
        states.push(rows(&db));
        if rng.one_in(3) {
            db.flush().wait().unwrap();
            durable.push((world.disk.recorded(), states.len() - 1));
        }
    }
    let disks = world.disk.recording();
    for (at, disk) in disks.iter().enumerate() {
        disk.restart(rng.next_u64());
        let db = world.open_on(disk).unwrap();
        let found = rows(&db);
        let floor = durable.iter().filter(|(before, _)| *before <= at);
        let floor = floor.map(|(_, state)| *state).max().unwrap_or(0);
        assert!(
            states[floor..].contains(&found),
            "seed {seed}, cut {at}: not a state from {floor} on"
        );
        for (key, record) in &found {
            assert_eq!(record.check(), Ok(()), "seed {seed}, cut {at}, {key}");
        }
        let waiting = found
            .values()
            .filter(|record| record.change.is_some())
            .count();
        assert_eq!(db.backlog().rows, waiting as u64, "seed {seed}, cut {at}");
    }
}

#[test]
fn an_item_and_its_outbox_entry_survive_together_whatever_the_power_does() {
    for seed in 0..12 {
        check(seed);
    }
}
