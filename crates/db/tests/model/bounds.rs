//! Sizes, row limits and time to live.

use periwinkle_core::limits::{
    DB_EXPIRED_LOOK_INTERVAL, DB_SCAN_INLINE_MISSES_MAX, DB_SCAN_ROWS, ITEM_BYTES_MAX,
    ITEM_SYNCED_BYTES_MAX,
};
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::sync::store::Store;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::model::transfer::Row;
use periwinkle_db::{
    Database, DbError, Dropped, Environment, ExportForm, Find, ImportOptions, Write,
};

use crate::world::{START, World, props};

fn metric(db: &Database, minute: u32) -> Result<(), DbError> {
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

fn metrics(minutes: std::ops::RangeInclusive<u32>) -> Vec<Map> {
    let at = |minute| format!("2026-11-22T10:{minute:02}:00.000Z");
    let item = |minute| Map::from([("month", "2026-11".to_owned()), ("at", at(minute))]);
    minutes.map(item).collect()
}

#[test]
fn a_transaction_of_more_rows_than_its_model_keeps_is_refused_as_a_whole() {
    let db = World::new(1).open();
    metric(&db, 1).unwrap();
    let create = |item| Write::create("Metric", item);
    let kept: Vec<Write> = metrics(2..=6).into_iter().map(create).collect();
    db.write_all(&kept).unwrap();
    assert_eq!(minutes(&db), ["02", "03", "04", "05", "06"]);
    let beyond: Vec<Write> = metrics(7..=12).into_iter().map(create).collect();
    let refused = db.write_all(&beyond).unwrap_err();
    assert_eq!(refused.kind(), "full");
    assert_eq!(
        refused.to_string(),
        "write 6 of 6: Metric is full: it keeps 5 rows; what is written here at once, as a whole or \
         not at all, is more than that: write it in parts"
    );
    assert_eq!(minutes(&db), ["02", "03", "04", "05", "06"]);
    assert_eq!(db.stats().dropped["Metric"].rows, 1);
}

#[test]
fn a_transaction_drops_as_many_rows_as_it_needs() {
    let mut world = World::new(1);
    world.schema = world.schema.replace("rows_max: 3", "rows_max: 600");
    let db = world.open();
    let log = |id: u32| Write::create("UserLog", Map::from([("id", format!("{id:04}"))]));
    for from in [0, 600] {
        let writes: Vec<Write> = (from..from + 600).map(log).collect();
        db.write_all(&writes).unwrap();
    }
    assert_eq!(db.stats().rows["UserLog"], 600);
    assert_eq!(db.stats().dropped["UserLog"].rows, 600);
    let left = db
        .find("UserLog", &Map::new(), &Find::new().limit(1))
        .unwrap();
    assert_eq!(left.items[0].text("id"), Some("0600"));
}

#[test]
fn an_import_of_more_rows_than_its_model_keeps_keeps_the_last_of_them() {
    let mut world = World::new(1);
    let row = |properties| Row::Properties {
        model: "Metric".to_owned(),
        properties,
    };
    for bound in ["rows_max: 5", "rows_max: 5, bytes_max: 2000"] {
        world = World {
            schema: world.schema.replace("rows_max: 5", bound),
            ..World::new(1)
        };
        let db = world.open();
        metric(&db, 0).unwrap();
        let rows: Vec<Row> = metrics(1..=9).into_iter().map(row).collect();
        let imported = db.import(&rows, ImportOptions::default()).unwrap();
        assert_eq!(imported.created, 9);
        assert_eq!(minutes(&db), ["05", "06", "07", "08", "09"]);
        let stats = db.stats();
        assert_eq!((stats.rows["Metric"], stats.queue.rows), (5, 5));
        assert_eq!(stats.dropped["Metric"], Dropped { rows: 5, unsent: 5 });
        db.close().unwrap();
        drop(db);
        assert_eq!(world.open().stats().rows["Metric"], 5);
    }
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
        "Setting is full: it keeps 2 rows; remove rows, or raise the bound in the schema"
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
    db.create("UserLog", &key).unwrap();
    assert!(db.get("UserLog", &key).unwrap().is_some());
}

#[test]
fn what_is_hidden_can_be_removed_by_its_key() {
    let world = World::new(1);
    let db = world.open();
    let item = props(r#"{"id":"a","expires":"2026-11-22"}"#);
    for trusted in [true, false] {
        db.create("UserLog", &item).unwrap();
        if !trusted {
            world.clock.distrust();
        }
        let key = props(r#"{"id":"a"}"#);
        assert_eq!(db.get("UserLog", &key).unwrap(), None);
        db.remove("UserLog", &key).unwrap();
        assert_eq!(db.remove("UserLog", &key).unwrap_err().kind(), "not_found");
    }
}

/// A log entry that a wrong clock, which nothing has confirmed, takes for expired.
fn hidden_by_a_wrong_clock(world: &World, db: &Database) -> Map {
    let item = Map::from([
        ("id", Value::from("a")),
        ("text", Value::from("kept")),
        ("expires", Value::from(START + 60_000)),
    ]);
    db.create("UserLog", &item).unwrap();
    world.clock.show(START + 86_400_000);
    let key = props(r#"{"id":"a"}"#);
    assert_eq!(db.get("UserLog", &key).unwrap(), None);
    key
}

#[test]
fn no_write_takes_an_item_for_gone_because_a_wrong_clock_hides_it() {
    let world = World::new(1);
    let db = world.open();
    let key = hidden_by_a_wrong_clock(&world, &db);
    assert_eq!(
        db.create("UserLog", &key).unwrap_err().to_string(),
        "there is a UserLog with this key already (a); update it, or use another key: it is hidden, \
         because it has expired by a clock that nothing has confirmed yet; it goes when the time is \
         known, or when it is removed by its key"
    );
    db.upsert("UserLog", &key).unwrap();
    db.update("UserLog", &key).unwrap();
    world.clock.confirm(START + 1000);
    let item = db.get("UserLog", &key).unwrap().unwrap();
    assert_eq!(item.text("text"), Some("kept"));
}

#[test]
fn an_export_by_a_clock_that_nothing_has_confirmed_leaves_nothing_out() {
    let world = World::new(1);
    let db = world.open();
    hidden_by_a_wrong_clock(&world, &db);
    let exported = |db: &Database| {
        let mut export = db
            .export(&["UserLog".to_owned()], ExportForm::Properties)
            .unwrap();
        while export.next_lines().unwrap().is_some() {}
        export.items()
    };
    assert_eq!(exported(&db), 1);
    world.clock.confirm(START + 86_400_000);
    assert_eq!(exported(&db), 0);
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

fn log(db: &Database, id: &str, text: &str) -> Result<u64, DbError> {
    let item = Map::from([("id", id), ("text", text)]);
    db.upsert("UserLog", &item).map(|made| made.sequence)
}

fn ids(db: &Database, model: &str) -> Vec<String> {
    let page = db.find(model, &Map::new(), &Find::new()).unwrap();
    let items = page.items.iter();
    items.map(|item| item.text("id").unwrap().into()).collect()
}

#[test]
fn what_a_full_model_drops_is_what_changed_the_longest_ago_whatever_its_key() {
    let world = World::new(1);
    let db = world.open();
    for id in ["z", "m", "a"] {
        log(&db, id, "1").unwrap();
    }
    log(&db, "z", "2").unwrap();
    log(&db, "k", "1").unwrap();
    assert_eq!(ids(&db, "UserLog"), ["a", "k", "z"]);
    db.close().unwrap();
    drop(db);
    // The order is that of the commits after an opening too.
    let db = world.open();
    log(&db, "b", "1").unwrap();
    assert_eq!(ids(&db, "UserLog"), ["b", "k", "z"]);
    assert_eq!(
        db.stats().dropped["UserLog"],
        Dropped { rows: 2, unsent: 0 }
    );
}

#[test]
fn sending_a_row_does_not_make_it_younger() {
    let world = World::new(1);
    let db = world.open();
    for minute in 1..=5 {
        metric(&db, minute).unwrap();
    }
    // The cloud has answered for the oldest, last.
    for minute in [3, 1] {
        let at = format!("Metric#2026-11-22T10:{minute:02}:00.000Z");
        let key = ItemKey::new("dev#d1#up#2026-11", at);
        db.modify(&[key], &mut |frame| {
            let item = frame.records[0].item.take().unwrap();
            frame.records[0] = Record::clean(item);
        })
        .unwrap();
    }
    metric(&db, 6).unwrap();
    assert_eq!(minutes(&db), ["02", "03", "04", "05", "06"]);
    assert_eq!(db.stats().dropped["Metric"], Dropped { rows: 1, unsent: 0 });
}

#[test]
fn a_bound_that_the_schema_gets_later_knows_which_rows_are_oldest() {
    let mut world = World::new(1);
    let bounded = world.schema.clone();
    world.schema = bounded.replace("UserLog: { rows_max: 3 },", "");
    let db = world.open();
    for id in ["d", "c", "b", "a"] {
        log(&db, id, "1").unwrap();
    }
    db.close().unwrap();
    drop(db);
    world.schema = bounded;
    let db = world.open();
    log(&db, "e", "1").unwrap();
    assert_eq!(ids(&db, "UserLog"), ["a", "b", "e"]);
}

#[test]
fn bytes_at_the_bound_are_kept_and_one_more_drops_the_oldest() {
    let mut world = World::new(1);
    let bytes_max = |schema: &str, bytes: u64| {
        let bound = format!("UserLog: {{ bytes_max: {bytes} }}");
        schema.replace("UserLog: { rows_max: 3 }", &bound)
    };
    let schema = world.schema.clone();
    world.schema = bytes_max(&schema, 1_000_000);
    let db = world.open();
    for id in ["b", "a"] {
        log(&db, id, "12345").unwrap();
    }
    let bytes = db.stats().bytes["UserLog"];
    assert!((100..400).contains(&bytes), "{bytes}");
    db.close().unwrap();
    drop(db);
    world.schema = bytes_max(&schema, bytes);
    let db = world.open();
    assert_eq!(db.stats().bytes["UserLog"], bytes);
    log(&db, "a", "54321").unwrap();
    assert_eq!(ids(&db, "UserLog"), ["a", "b"]);
    log(&db, "a", "123456").unwrap();
    assert_eq!(ids(&db, "UserLog"), ["a"]);
    assert_eq!(
        db.stats().dropped["UserLog"],
        Dropped { rows: 1, unsent: 0 }
    );
    // What does not fit alone is refused, and takes nothing away.
    let error = log(&db, "c", &"x".repeat(1000)).unwrap_err();
    let expected = format!(
        "UserLog is full: it keeps {bytes} bytes; remove rows, or raise the bound in the schema"
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(ids(&db, "UserLog"), ["a"]);
}

#[test]
fn a_transaction_of_more_bytes_than_its_model_keeps_is_refused_as_a_whole() {
    let mut world = World::new(1);
    let bound = "UserLog: { bytes_max: 1000 }";
    world.schema = world.schema.replace("UserLog: { rows_max: 3 }", bound);
    let db = world.open();
    log(&db, "old", "1").unwrap();
    let write = |id: &str, bytes: usize| {
        Write::create(
            "UserLog",
            Map::from([("id", id.to_owned()), ("text", "x".repeat(bytes))]),
        )
    };
    // There is an old row to drop when the bound is passed, and it is not enough.
    let refused = db
        .write_all(&[write("a", 400), write("b", 600)])
        .unwrap_err();
    let expected = "write 2 of 2: UserLog is full: it keeps 1000 bytes; what is written here at \
                    once, as a whole or not at all, is more than that: write it in parts";
    assert_eq!(refused.to_string(), expected);
    assert_eq!(ids(&db, "UserLog"), ["old"]);
    db.write_all(&[write("a", 400), write("b", 100)]).unwrap();
    assert!(db.stats().bytes["UserLog"] <= 1000);
}

#[test]
fn a_model_that_shall_refuse_does_at_its_bounds() {
    let mut world = World::new(1);
    let refuse = "UserLog: { rows_max: 2, overflow: 'refuse' }";
    world.schema = world.schema.replace("UserLog: { rows_max: 3 }", refuse);
    let db = world.open();
    for id in ["a", "b"] {
        log(&db, id, "1").unwrap();
    }
    assert_eq!(log(&db, "c", "1").unwrap_err().kind(), "full");
    log(&db, "a", "longer").unwrap();
    db.remove("UserLog", &props(r#"{"id":"a"}"#)).unwrap();
    log(&db, "c", "1").unwrap();
    assert!(db.stats().dropped.is_empty());
}

#[test]
fn a_full_queue_drops_the_oldest_of_an_append_only_model_and_refuses_for_the_others() {
    let mut world = World::new(1);
    world.queue.rows_max = Some(4);
    let db = world.open();
    for minute in [9, 1, 5] {
        metric(&db, minute).unwrap();
    }
    db.create("Setting", &props(r#"{"id":"a"}"#)).unwrap();
    metric(&db, 3).unwrap();
    assert_eq!(minutes(&db), ["01", "03", "05"]);
    assert_eq!(db.stats().dropped["Metric"], Dropped { rows: 1, unsent: 1 });
    let error = db.create("Setting", &props(r#"{"id":"b"}"#)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the queue to the cloud is full: the cloud has not taken what waits for it; see `sync` in \
         status, or raise db.queue_rows_max and db.queue_bytes_max"
    );
    // What waits already may change, models that stay here are free, and removals always pass.
    db.update("Setting", &props(r#"{"id":"a","value":"x"}"#))
        .unwrap();
    db.create("User", &props(r#"{"name":"ada"}"#)).unwrap();
    assert_eq!(db.stats().queue.rows, 4);
    db.remove("Setting", &props(r#"{"id":"a"}"#)).unwrap();
}

#[test]
fn the_bytes_of_a_full_queue_are_bounded_too() {
    let mut world = World::new(1);
    let db = world.open();
    metric(&db, 1).unwrap();
    metric(&db, 2).unwrap();
    let bytes = db.stats().queue.bytes;
    db.close().unwrap();
    drop(db);
    world.queue.bytes_max = Some(bytes);
    let db = world.open();
    metric(&db, 3).unwrap();
    assert_eq!(minutes(&db), ["02", "03"]);
    assert_eq!(db.stats().queue.bytes, bytes);
    assert_eq!(db.stats().dropped["Metric"], Dropped { rows: 1, unsent: 1 });
}

#[test]
fn a_list_for_a_thread_that_should_not_wait_reads_so_many_items_and_not_one_more() {
    let world = World::new(1);
    let mut db = world.open();
    let find = |db: &Database| db.find("Setting", &Map::new(), &Find::new().limit(1000));
    let count = |db: &Database| db.count("Setting", &Map::new(), &Find::new());
    for made in 1..=DB_SCAN_INLINE_MISSES_MAX + 1 {
        let id = Map::from([("id", format!("{made:03}"))]);
        db.create("Setting", &id).unwrap();
        if made < DB_SCAN_INLINE_MISSES_MAX {
            continue;
        }
        // Nothing is in memory after an opening.
        db.close().unwrap();
        drop(db);
        db = world.open();
        let fits = made == DB_SCAN_INLINE_MISSES_MAX;
        for refused in [
            find(&db.inline()).map(drop).err(),
            count(&db.inline()).map(drop).err(),
        ] {
            assert_eq!(refused.is_none(), fits, "{made}");
            let waits = |error: &DbError| matches!(error, DbError::Waits(_));
            assert!(refused.as_ref().is_none_or(waits), "{refused:?}");
        }
        // Another thread reads them; then they are in memory.
        assert_eq!(find(&db).unwrap().items.len(), made);
        assert_eq!(count(&db.inline()).unwrap().items, made as u64);
    }
}

#[test]
fn a_bound_that_was_lowered_is_kept_without_a_write() {
    let mut world = World::new(1);
    let bound = world.schema.clone();
    world.schema = bound.replace("UserLog: { rows_max: 3 },", "UserLog: { rows_max: 1000 },");
    let db = world.open();
    for n in 0..700 {
        log(&db, &format!("{n:03}"), "1").unwrap();
    }
    db.close().unwrap();
    drop(db);
    world.schema = bound;
    let db = world.open();
    let beyond = &db.stats().beyond["UserLog"];
    assert_eq!((beyond.rows, beyond.bytes), (697, 0));
    assert_eq!(db.keep_bounds().unwrap(), 697);
    assert_eq!(ids(&db, "UserLog"), ["697", "698", "699"]);
    assert_eq!(db.stats().dropped["UserLog"].rows, 697);
    assert!(db.stats().beyond.is_empty());
    assert_eq!(db.keep_bounds().unwrap(), 0);
}

#[test]
fn a_model_that_refuses_keeps_what_is_beyond_a_bound_that_was_lowered_and_says_so() {
    let mut world = World::new(1);
    let db = world.open();
    for id in ["a", "b", "c"] {
        log(&db, id, "1").unwrap();
    }
    db.close().unwrap();
    drop(db);
    let refuse = "UserLog: { rows_max: 1, overflow: 'refuse' },";
    world.schema = world.schema.replace("UserLog: { rows_max: 3 },", refuse);
    let db = world.open();
    assert_eq!(db.keep_bounds().unwrap(), 0);
    assert_eq!(db.stats().beyond["UserLog"].rows, 2);
    assert_eq!(ids(&db, "UserLog"), ["a", "b", "c"]);
}

/// A model that refuses at three rows, full of rows that expire in a minute.
fn full_of_what_expires(world: &mut World) -> Database {
    let refuse = "UserLog: { rows_max: 3, overflow: 'refuse' },";
    world.schema = world.schema.replace("UserLog: { rows_max: 3 },", refuse);
    let db = world.open();
    for id in ["a", "b", "c"] {
        let expires = Value::from(START + 60_000);
        let item = Map::from([("id", Value::from(id)), ("expires", expires)]);
        db.create("UserLog", &item).unwrap();
    }
    db
}

#[test]
fn what_is_over_makes_room_for_what_a_full_model_would_refuse() {
    let mut world = World::new(1);
    let db = full_of_what_expires(&mut world);
    assert_eq!(log(&db, "d", "1").unwrap_err().kind(), "full");
    world.clock.pass(100_000);
    log(&db, "d", "1").unwrap();
    assert_eq!(ids(&db, "UserLog"), ["d"]);
    assert_eq!(db.stats().rows["UserLog"], 1);
    assert!(db.stats().dropped.is_empty());
}

#[test]
fn a_full_model_whose_rows_are_hidden_by_an_unconfirmed_clock_says_so() {
    let mut world = World::new(1);
    let db = full_of_what_expires(&mut world);
    world.clock.show(START + 86_400_000);
    assert_eq!(
        log(&db, "d", "1").unwrap_err().to_string(),
        "UserLog is full: it keeps 3 rows; remove rows, or raise the bound in the schema; 3 of them \
         have expired, are hidden, and go when the time is confirmed"
    );
    db.remove("UserLog", &props(r#"{"id":"b"}"#)).unwrap();
    log(&db, "d", "1").unwrap();
    world.clock.confirm(START + 1000);
    assert_eq!(ids(&db, "UserLog"), ["a", "c", "d"]);
}

const BADGES: &str = "{
    version: '1.0.0',
    indexes: { primary: { hash: 'pk', sort: 'sk' } },
    models: { Badge: {
        pk: { type: 'string', value: 'badges' },
        sk: { type: 'string', value: 'Badge#${id}' },
        id: { type: 'number', required: true },
        door: { type: 'string', unique: true },
        expires: { type: 'date', ttl: true },
    } },
    process: { Badge: { rows_max: ROWS, overflow: 'refuse' } },
}";

/// A full model of badges that all expire five seconds after the start.
fn full_of_badges(rows: usize) -> (World, Database) {
    let mut world = World::new(1);
    world.schema = BADGES.replace("ROWS", &rows.to_string());
    let db = world.open();
    let badges: Vec<Write> = (0..rows)
        .map(|id| Write::create("Badge", badge(id, &format!("door {id}"))))
        .collect();
    db.write_all(&badges).unwrap();
    (world, db)
}

fn badge(id: usize, door: &str) -> Map {
    Map::from([
        ("id", Value::from(id as i64)),
        ("door", Value::from(door)),
        ("expires", Value::from(START + 5000)),
    ])
}

#[test]
fn what_gives_way_in_a_full_model_gives_its_unique_values_up() {
    let (world, db) = full_of_badges(3);
    let engine_rows = || db.stats().engine.rows;
    let before = engine_rows();
    world.clock.pass(6000);
    // One more than has room: the expired ones are removed for it.
    let mut new = badge(9, "door 9");
    new.remove("expires");
    db.create("Badge", &new).unwrap();
    assert_eq!(db.stats().rows["Badge"], 1);
    // Two badges less with their claims, and a note that some were removed.
    assert_eq!(before - engine_rows(), 2 * 2 - 1);
    for (id, door) in [(10, "door 0"), (11, "door 2")] {
        let mut badge = badge(id, door);
        badge.remove("expires");
        db.create("Badge", &badge).unwrap();
    }
}

#[test]
fn a_large_model_that_is_full_is_searched_for_expired_rows_now_and_then() {
    for (rows, again) in [(DB_SCAN_ROWS, true), (DB_SCAN_ROWS + 1, false)] {
        let (world, db) = full_of_badges(rows);
        let taken = || db.create("Badge", &badge(rows, "another")).is_ok();
        assert!(!taken());
        world.clock.pass(6000);
        assert_eq!(taken(), again, "{rows}");
        let pause = DB_EXPIRED_LOOK_INTERVAL.as_millis() as i64;
        world.clock.pass(pause - 6000);
        assert!(again || taken(), "{rows}");
    }
}
