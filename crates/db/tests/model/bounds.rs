//! Sizes, row limits and time to live.

use periwinkle_core::limits::{ITEM_BYTES_MAX, ITEM_SYNCED_BYTES_MAX};
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::sync::store::Store;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::{Database, Dropped, Environment, Find};

use crate::world::{START, World, props};

fn metric(db: &Database, minute: u32) -> Result<(), periwinkle_db::DbError> {
    let at = format!("2026-11-22T10:{minute:02}:00.000Z");
    let item = Map::from([("month", "2026-11".to_owned()), ("at", at)]);
    db.create("Metric", &item).map(|_| ())
}

fn minutes(db: &Database) -> Vec<String> {
    let page = db.find("Metric", &Map::new(), &Find::new()).unwrap();
    page.items
        .iter()
        .map(|item| item.text("at").unwrap()[14..16].to_owned())
        .collect()
}

#[test]
fn a_full_model_drops_its_first_rows_and_counts_them() {
    let world = World::new(1);
    let db = world.open();
    for minute in 1..=7 {
        metric(&db, minute).unwrap();
    }
    assert_eq!(minutes(&db), ["03", "04", "05", "06", "07"]);
    let stats = db.stats();
    assert_eq!(stats.rows["Metric"], 5);
    assert_eq!(stats.dropped["Metric"], Dropped { rows: 2, unsent: 2 });
    // A dropped row waits for nothing any more.
    assert_eq!(stats.queue.rows, 5);
    db.close().unwrap();
    drop(db);
    let db = world.open();
    assert_eq!(db.stats().dropped["Metric"], Dropped { rows: 2, unsent: 2 });
    metric(&db, 8).unwrap();
    assert_eq!(db.stats().dropped["Metric"], Dropped { rows: 3, unsent: 3 });
}

#[test]
fn a_bound_that_was_lowered_is_reached_step_by_step() {
    let mut world = World::new(1);
    let db = world.open();
    for minute in 1..=5 {
        metric(&db, minute).unwrap();
    }
    db.close().unwrap();
    drop(db);
    world.schema = world.schema.replace("rows_max: 5", "rows_max: 2");
    let db = world.open();
    assert_eq!(minutes(&db).len(), 5);
    metric(&db, 6).unwrap();
    assert_eq!(minutes(&db), ["05", "06"]);
}

#[test]
fn updates_of_a_full_model_drop_nothing() {
    let db = World::new(1).open();
    for n in 1..=3 {
        db.create("UserLog", &Map::from([("id", format!("{n}"))]))
            .unwrap();
    }
    db.update("UserLog", &props(r#"{"id":"1","text":"x"}"#))
        .unwrap();
    assert_eq!(db.stats().rows["UserLog"], 3);
    assert!(db.stats().dropped.is_empty());
}

#[test]
fn a_full_model_that_both_sides_write_refuses_instead() {
    let mut world = World::new(1);
    world.schema = world.schema.replace("rows_max: 100", "rows_max: 2");
    let db = world.open();
    for id in ["a", "b"] {
        db.create("Setting", &Map::from([("id", id)])).unwrap();
    }
    let error = db.create("Setting", &Map::from([("id", "c")])).unwrap_err();
    assert_eq!(error.kind(), "full");
    assert_eq!(
        error.to_string(),
        "Setting is full: it keeps 2 rows; remove rows, or raise rows_max in the schema"
    );
    db.remove("Setting", &Map::from([("id", "a")])).unwrap();
    db.create("Setting", &Map::from([("id", "c")])).unwrap();
}

#[test]
fn an_item_at_the_size_limit_is_kept_and_one_byte_more_is_refused() {
    let db = World::new(1).open();
    let table = [
        (
            "User",
            r#"{"name":"a","role":"viewer"}"#,
            "password",
            ITEM_BYTES_MAX,
        ),
        ("Setting", r#"{"id":"a"}"#, "value", ITEM_SYNCED_BYTES_MAX),
    ];
    for (model, given, field, bytes_max) in table {
        let with = |bytes: usize| {
            let mut item = props(given);
            item.insert(field, "x".repeat(bytes));
            db.upsert(model, &item)
        };
        let over = with(bytes_max).unwrap_err();
        let text = over.to_string();
        let bytes: usize = text
            .strip_prefix(&format!("the {model} has "))
            .and_then(|rest| rest.split(' ').next())
            .unwrap()
            .parse()
            .unwrap();
        let room = bytes_max - (bytes - bytes_max);
        assert_eq!(with(room + 1).unwrap_err().kind(), "too_large");
        with(room).unwrap();
    }
}

#[test]
fn an_expired_item_is_hidden_at_once_and_can_be_made_again() {
    let world = World::new(1);
    let db = world.open();
    let item = Map::from([
        ("id", Value::from("a")),
        ("expires", Value::from(START + 2000)),
    ]);
    db.create("UserLog", &item).unwrap();
    let key = props(r#"{"id":"a"}"#);
    world.clock.pass(1000);
    assert!(db.get("UserLog", &key).unwrap().is_some());
    // Seconds are rounded up: it lives a moment longer, never shorter.
    world.clock.pass(2000);
    assert_eq!(db.get("UserLog", &key).unwrap(), None);
    assert_eq!(
        db.find("UserLog", &Map::new(), &Find::new()).unwrap().items,
        []
    );
    assert_eq!(db.update("UserLog", &key).unwrap_err().kind(), "not_found");
    assert_eq!(db.remove("UserLog", &key).unwrap_err().kind(), "not_found");
    db.create("UserLog", &key).unwrap();
    assert!(db.get("UserLog", &key).unwrap().is_some());
}

#[test]
fn expired_items_are_purged_on_trusted_time_only() {
    let world = World::new(1);
    let db = world.open();
    for (id, seconds) in [("a", 10), ("b", 10), ("c", 1000)] {
        let expires = Value::from(START + seconds * 1000);
        let item = Map::from([("id", Value::from(id)), ("expires", expires)]);
        db.create("UserLog", &item).unwrap();
    }
    world.clock.pass(60_000);
    world.clock.distrust();
    assert_eq!(db.purge_expired(world.clock.now()).unwrap(), 0);
    assert_eq!(db.stats().rows["UserLog"], 3);
    world.clock.trust();
    assert_eq!(db.purge_expired(world.clock.now()).unwrap(), 2);
    assert_eq!(db.stats().rows["UserLog"], 1);
    assert_eq!(db.purge_expired(world.clock.now()).unwrap(), 0);
}

#[test]
fn an_expired_item_that_the_cloud_has_not_heard_of_is_kept() {
    let world = World::new(1);
    let db = world.open();
    let item = r#"{"month":"2026-11","at":"2026-11-22","expires":"2026-11-23"}"#;
    db.create("Metric", &props(item)).unwrap();
    world.clock.pass(5 * 86_400_000);
    assert_eq!(db.purge_expired(world.clock.now()).unwrap(), 0);
    assert_eq!(minutes(&db), Vec::<String>::new());
    assert_eq!(db.stats().queue.rows, 1);
}

#[test]
fn an_expired_item_that_the_cloud_writes_stays_until_the_cloud_removes_it() {
    let mut world = World::new(1);
    let note = "what: { type: 'string' },";
    let ttl = format!("{note} expires: {{ type: 'date', ttl: true }},");
    world.schema = world.schema.replace(note, &ttl);
    let db = world.open();
    let key = ItemKey::new("dev#d1#dn", "Command#a");
    let item = Map::from([
        ("pk", Value::from("dev#d1#dn")),
        ("sk", Value::from("Command#a")),
        ("expires", Value::from(START / 1000 - 10)),
    ]);
    db.modify(std::slice::from_ref(&key), &mut |frame| {
        frame.records[0] = Record::clean(item.clone());
    })
    .unwrap();
    assert_eq!(db.get("Command", &props(r#"{"id":"a"}"#)).unwrap(), None);
    assert_eq!(db.purge_expired(world.clock.now()).unwrap(), 0);
    assert_eq!(db.record(&key).unwrap().item, Some(item));
}
