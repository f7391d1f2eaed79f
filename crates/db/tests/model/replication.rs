//! The database as replication sees it.

use periwinkle_core::sync::record::{Frozen, ItemKey, Mark, Op, ParkKind, Parked, Record};
use periwinkle_core::sync::store::{Backlog, Conflict, ConflictKind, Side, Store};
use periwinkle_core::time::UnixMillis;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::{ChangeKind, Database, Event, Find, Origin, Since};

use crate::world::{START, World, props};

fn key(id: &str) -> ItemKey {
    ItemKey::new("dev#d1#rw", format!("Setting#{id}"))
}

fn cloud_item(id: &str, value: &str) -> Map {
    Map::from([
        ("pk", Value::from("dev#d1#rw")),
        ("sk", Value::from(format!("Setting#{id}"))),
        ("id", Value::from(id)),
        ("deviceId", Value::from("d1")),
        ("value", Value::from(value)),
        ("_type", Value::from("Setting")),
        ("_v", Value::from(7)),
        ("theirs", Value::from("kept")),
    ])
}

/// What the machine does when the cloud has answered with this item.
fn settle(db: &Database, key: &ItemKey, cloud: Option<Map>) -> u64 {
    let mut edit = |frame: &mut periwinkle_core::sync::store::Frame| {
        frame.records[0] = cloud.clone().map_or(Record::default(), Record::clean);
    };
    db.modify(std::slice::from_ref(key), &mut edit).unwrap()
}

fn dirty(db: &Database) -> Vec<String> {
    let dirty = db.dirty(None, 100).unwrap();
    dirty.iter().map(|dirty| dirty.key.sk.clone()).collect()
}

#[test]
fn a_local_write_of_a_synced_model_waits_to_be_sent() {
    let db = World::new(1).open();
    db.create("Setting", &props(r#"{"id":"a","value":"1"}"#))
        .unwrap();
    db.create("User", &props(r#"{"name":"ada"}"#)).unwrap();
    let record = db.record(&key("a")).unwrap();
    let change = record.change.as_ref().unwrap();
    assert_eq!(change.base, None);
    assert_eq!(change.stamp, Some(UnixMillis(START)));
    let Some(Op::Create(item)) = &change.pending else {
        panic!("{change:?}");
    };
    assert_eq!(Some(item), record.item.as_ref());
    assert_eq!(item.text("_type"), Some("Setting"));
    assert_eq!(dirty(&db), ["Setting#a"]);
    assert_eq!(db.backlog().rows, 1);
    assert!(db.backlog().bytes > 0);
    let user = db.record(&ItemKey::new("local#", "User#ada")).unwrap();
    assert_eq!(user.change, None);
}

#[test]
fn the_queue_is_in_the_order_of_writes_and_empties_with_the_answers() {
    let world = World::new(1);
    let db = world.open();
    for id in ["a", "b", "c"] {
        db.create("Setting", &Map::from([("id", id)])).unwrap();
    }
    db.update("Setting", &props(r#"{"id":"a","value":"2"}"#))
        .unwrap();
    assert_eq!(dirty(&db), ["Setting#b", "Setting#c", "Setting#a"]);
    let first = db.dirty(None, 1).unwrap();
    assert_eq!(db.dirty(first.last(), 100).unwrap().len(), 2);
    db.close().unwrap();
    drop(db);
    let db = world.open();
    assert_eq!(dirty(&db), ["Setting#b", "Setting#c", "Setting#a"]);
    for id in ["a", "b", "c"] {
        let item = db.record(&key(id)).unwrap().item;
        settle(&db, &key(id), item);
    }
    assert_eq!(dirty(&db), Vec::<String>::new());
    assert_eq!(db.backlog(), Backlog::default());
}

#[test]
fn a_removal_waits_as_a_row_that_programs_do_not_see() {
    let world = World::new(1);
    let db = world.open();
    settle(&db, &key("a"), Some(cloud_item("a", "1")));
    db.remove("Setting", &props(r#"{"id":"a"}"#)).unwrap();
    assert_eq!(db.get("Setting", &props(r#"{"id":"a"}"#)).unwrap(), None);
    assert_eq!(
        db.find("Setting", &Map::new(), &Find::new()).unwrap().items,
        []
    );
    assert_eq!(db.stats().rows["Setting"], 0);
    assert_eq!(dirty(&db), ["Setting#a"]);
    db.close().unwrap();
    drop(db);
    let db = world.open();
    assert_eq!(db.stats().rows.get("Setting").copied().unwrap_or(0), 0);
    let record = db.record(&key("a")).unwrap();
    assert_eq!((&record.item, record.change.is_some()), (&None, true));
    settle(&db, &key("a"), None);
    assert!(db.record(&key("a")).unwrap().is_empty());
    assert_eq!(db.rows_after(&ItemKey::new("", ""), 10).unwrap(), []);
}

#[test]
fn a_change_of_the_cloud_is_told_as_such_and_one_of_metadata_is_not() {
    let db = World::new(1).open();
    let mut stream = db.changes(Since::Now);
    settle(&db, &key("a"), Some(cloud_item("a", "1")));
    let mut touched = cloud_item("a", "1");
    touched.insert("_v", 8);
    settle(&db, &key("a"), Some(touched));
    settle(&db, &key("a"), None);
    db.flush().wait().unwrap();
    let mut told = Vec::new();
    while let Some(Event::Change(change)) = stream.try_next() {
        assert_eq!(change.origin, Origin::Cloud);
        told.push((
            change.kind,
            change.key,
            change.item.map(|item| item.to_json()),
        ));
    }
    let item = r#"{"deviceId":"d1","id":"a","value":"1"}"#.to_owned();
    assert_eq!(
        told,
        [
            (ChangeKind::Put, vec!["a".to_owned()], Some(item)),
            (ChangeKind::Remove, vec!["a".to_owned()], None),
        ]
    );
}

#[test]
fn a_local_write_keeps_what_the_cloud_added() {
    let db = World::new(1).open();
    settle(&db, &key("a"), Some(cloud_item("a", "1")));
    db.update("Setting", &props(r#"{"id":"a","value":"2"}"#))
        .unwrap();
    let record = db.record(&key("a")).unwrap();
    let item = record.item.as_ref().unwrap();
    assert_eq!(
        (item.text("theirs"), item["_v"].as_i64()),
        (Some("kept"), Some(7))
    );
    let Some(Op::Set { set, remove }) = &record.change.as_ref().unwrap().pending else {
        panic!("{record:?}");
    };
    assert_eq!((set, remove.len()), (&Map::from([("value", "2")]), 0));
}

#[test]
fn a_frame_changes_records_and_service_rows_together() {
    let world = World::new(1);
    let db = world.open();
    let before = db.sequence();
    let sequence = db
        .modify(&[key("a"), key("b")], &mut |frame| {
            assert_eq!(frame.records, [Record::default(), Record::default()]);
            frame.records[0] = Record::clean(cloud_item("a", "1"));
            frame.service.push(("epoch".to_owned(), Some(vec![1, 2])));
            frame.service.push(("cursor#x".to_owned(), Some(vec![3])));
        })
        .unwrap();
    assert_eq!(sequence, before + 1);
    assert_eq!(db.service("epoch").unwrap(), Some(vec![1, 2]));
    assert_eq!(db.service("missing").unwrap(), None);
    assert_eq!(
        db.services_after("", 10).unwrap(),
        [
            ("cursor#x".to_owned(), vec![3]),
            ("epoch".to_owned(), vec![1, 2])
        ]
    );
    assert_eq!(db.services_after("cursor#x", 10).unwrap().len(), 1);
    let nothing = db.modify(&[key("a")], &mut |_| {}).unwrap();
    assert_eq!(nothing, sequence);
    db.modify(&[], &mut |frame| {
        frame.service.push(("epoch".to_owned(), None));
    })
    .unwrap();
    assert_eq!(db.service("epoch").unwrap(), None);
    assert_eq!(
        db.rows_after(&ItemKey::new("", ""), 10).unwrap(),
        [key("a")]
    );
    assert_eq!(db.rows_after(&key("a"), 10).unwrap(), []);
}

#[test]
fn a_parked_record_leaves_the_queue_until_it_is_written_again() {
    let db = World::new(1).open();
    for id in ["a", "b"] {
        db.create("Setting", &Map::from([("id", id)])).unwrap();
    }
    db.modify(&[key("a")], &mut |frame| {
        let change = frame.records[0].change.as_mut().unwrap();
        change.parked = Some(Parked::new(ParkKind::Refused, "too large"));
    })
    .unwrap();
    assert_eq!(dirty(&db), ["Setting#b"]);
    assert_eq!(db.parked(None, 10).unwrap(), [key("a")]);
    assert_eq!(db.backlog().rows, 2);
    db.update("Setting", &props(r#"{"id":"a","value":"2"}"#))
        .unwrap();
    assert_eq!(dirty(&db), ["Setting#b", "Setting#a"]);
    assert_eq!(db.parked(None, 10).unwrap(), []);
}

#[test]
fn a_row_whose_attempt_is_on_its_way_is_not_dropped() {
    let db = World::new(1).open();
    let metric = |minute: u32| {
        let at = format!("2026-11-22T10:{minute:02}:00.000Z");
        db.create(
            "Metric",
            &Map::from([("month", "2026-11".to_owned()), ("at", at)]),
        )
    };
    let oldest = ItemKey::new("dev#d1#up#2026-11", "Metric#2026-11-22T10:01:00.000Z");
    metric(1).unwrap();
    db.modify(std::slice::from_ref(&oldest), &mut |frame| {
        let change = frame.records[0].change.as_mut().unwrap();
        change.frozen = change.pending.take().map(|op| Frozen {
            mark: Mark { epoch: 1, n: 1 },
            op,
            version: 1,
            schema: 1,
        });
    })
    .unwrap();
    for minute in 2..=6 {
        metric(minute).unwrap();
    }
    assert!(!db.record(&oldest).unwrap().is_empty());
    let second = ItemKey::new("dev#d1#up#2026-11", "Metric#2026-11-22T10:02:00.000Z");
    assert!(db.record(&second).unwrap().is_empty());
}

#[test]
fn a_value_that_lost_is_kept_in_the_frame_that_loses_it() {
    let db = World::new(1).open();
    let before = db.sequence();
    db.modify(&[key("a")], &mut |frame| {
        frame.records[0] = Record::clean(cloud_item("a", "theirs"));
        frame.conflicts.push(Conflict {
            key: key("a"),
            model: "Setting".to_owned(),
            kind: ConflictKind::Fields,
            local: Some(Map::from([("value", "ours")])),
            cloud: None,
            winner: Side::Cloud,
            at: Some(UnixMillis(START)),
        });
    })
    .unwrap();
    assert_eq!(db.sequence(), before + 1);
    let mut kept = db
        .find("Conflicts", &Map::new(), &Find::new())
        .unwrap()
        .items;
    assert_eq!(kept.len(), 1);
    assert!(kept[0].remove("id").is_some());
    assert_eq!(
        kept[0].to_json(),
        r#"{"at":"2026-11-22T10:21:53.667Z","item":"dev#d1#rw Setting#a","kind":"fields","local":{"value":"ours"},"model":"Setting","winner":"cloud"}"#
    );
}
