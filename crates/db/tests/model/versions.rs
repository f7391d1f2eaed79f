//! Databases of items as released versions left them: rows, queue, counters and service rows are
//! all there, and go on.
//!
//! Each `tests/fixtures/items-vN` holds a schema, the files under it, and what they held. They are
//! never written again; a change of the format of records, items or service rows adds its own with
//! `PERIWINKLE_WRITE_FIXTURES=crates/db/tests/fixtures/items-vN cargo test -p periwinkle-db versions`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use periwinkle_core::schema::Schema;
use periwinkle_core::sync::record::{Frozen, ItemKey, Mark, Op, ParkKind, Parked, Record};
use periwinkle_core::sync::store::{Conflict, ConflictKind, Frame, Side, Store};
use periwinkle_core::time::UnixMillis;
use periwinkle_core::value::attribute::to_attribute_json;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::{Database, Options, engine};
use periwinkle_testkit::disk::SimDisk;

use crate::world::{SCHEMA, START, World, props};

/// The directories of released versions.
const VERSIONS: [&str; 2] = ["items-v1", "items-v2"];

/// Names the directory into which this version writes its own.
const WRITE: &str = "PERIWINKLE_WRITE_FIXTURES";

fn fixture(name: &str) -> PathBuf {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    all.join(name)
}

fn open(disk: &SimDisk, schema: &str) -> Database {
    let options = Options {
        context: Map::from([("deviceId", "d1")]),
        engine: engine::Options {
            segment_bytes: 4096,
            segment_bytes_min: 1024,
            salt: 1,
            ..engine::Options::default()
        },
        ..Options::default()
    };
    let schema = Schema::parse(schema).unwrap();
    let environment = World::new(1).clock;
    let (db, _) = Database::open(
        disk.storage(),
        schema,
        options,
        Arc::clone(&environment) as _,
    )
    .unwrap_or_else(|error| panic!("{error}"));
    db
}

fn setting(id: &str) -> ItemKey {
    ItemKey::new("dev#d1#rw", format!("Setting#{id}"))
}

fn change(db: &Database, id: &str, edit: impl Fn(&mut Record)) {
    db.modify(&[setting(id)], &mut |frame| edit(&mut frame.records[0]))
        .unwrap();
}

/// The record as it is when its change was frozen, sent, and is not answered yet.
fn freeze(record: &mut Record) {
    let change = record.change.as_mut().unwrap();
    change.frozen = Some(Frozen {
        mark: Mark { epoch: 3, n: 77 },
        op: change.pending.take().unwrap(),
        version: 8,
        schema: 3,
    });
}

/// Rows in every state that a record can have.
fn fill(db: &Database) {
    for (id, value) in [
        ("clean", "1"),
        ("updated", "2"),
        ("frozen", "3"),
        ("frozen and updated", "4"),
        ("removed", "5"),
        ("parked", "6"),
        ("replaced", "7"),
    ] {
        let given = Map::from([("id", id), ("value", value), ("note", "ä\u{10ffff}\0")]);
        db.create("Setting", &given).unwrap();
        change(db, id, |record| {
            let mut item = record.item.take().unwrap();
            item.insert("_v", 7);
            item.insert("theirs", Value::from(vec![Value::Null, Value::from(1)]));
            *record = Record::clean(item);
        });
    }
    let update = |id: &str, json: &str| {
        let mut given = props(json);
        given.insert("id", id);
        db.update("Setting", &given).unwrap();
    };
    let remove = |id: &str| db.remove("Setting", &Map::from([("id", id)])).unwrap();
    update("updated", r#"{"value":"changed","note":null}"#);
    update("frozen", r#"{"value":"on its way"}"#);
    change(db, "frozen", freeze);
    update("frozen and updated", r#"{"value":"on its way"}"#);
    change(db, "frozen and updated", freeze);
    update("frozen and updated", r#"{"note":"later"}"#);
    remove("removed");
    update("parked", r#"{"value":"not wanted"}"#);
    change(db, "parked", |record| {
        let change = record.change.as_mut().unwrap();
        change.rounds = 2;
        change.parked = Some(Parked {
            kind: ParkKind::Refused,
            reason: "access denied".into(),
        });
    });
    remove("replaced");
    db.create("Setting", &props(r#"{"id":"replaced","value":"new"}"#))
        .unwrap();
    db.create("Setting", &props(r#"{"id":"new","value":"1"}"#))
        .unwrap();
    fill_other_models(db);
}

fn fill_other_models(db: &Database) {
    for minute in 10..18 {
        let at = format!("2026-11-22T10:{minute}:00.000Z");
        let json =
            format!(r#"{{"month":"2026-11","at":"{at}","load":-12345678901234567890.1234e-30}}"#);
        db.create("Metric", &props(&json)).unwrap();
    }
    db.create(
        "User",
        &props(r#"{"name":"ada","role":"owner","password":"secret"}"#),
    )
    .unwrap();
    let mut log = props(r#"{"text":"hidden soon"}"#);
    log.insert("expires", Value::from(START + 10_000));
    db.create("UserLog", &log).unwrap();
    db.modify(&[], &mut |frame: &mut Frame| {
        let life = Map::from([("epoch", 3)]).to_json().into_bytes();
        frame.service.push(("life".into(), Some(life)));
        frame.conflicts.push(Conflict {
            key: setting("clean"),
            model: "Setting".into(),
            kind: ConflictKind::Fields,
            local: Some(Map::from([("value", "lost")])),
            cloud: None,
            winner: Side::Cloud,
            at: Some(UnixMillis(START)),
        });
    })
    .unwrap();
}

/// All that the database holds, as text.
fn describe(db: &Database) -> String {
    let mut text = String::new();
    for key in db.rows_after(&ItemKey::new("", ""), 1000).unwrap() {
        let record = db.record(&key).unwrap();
        assert_eq!(record.check(), Ok(()), "{key}");
        describe_record(&key, &record, &mut text);
    }
    for dirty in db.dirty(None, 100).unwrap() {
        writeln!(text, "dirty {} {}", dirty.sequence, dirty.key).unwrap();
    }
    for key in db.parked(None, 100).unwrap() {
        writeln!(text, "parked {key}").unwrap();
    }
    for (name, value) in db.services_after("", 100).unwrap() {
        writeln!(text, "service {name} {}", value.escape_ascii()).unwrap();
    }
    let stats = db.stats();
    for (model, rows) in &stats.rows {
        writeln!(text, "rows {model} {rows}").unwrap();
    }
    for (model, dropped) in &stats.dropped {
        let (rows, unsent) = (dropped.rows, dropped.unsent);
        writeln!(text, "dropped {model} {rows} {unsent}").unwrap();
    }
    writeln!(text, "queue {} {}", stats.queue.rows, stats.queue.bytes).unwrap();
    text
}

fn describe_record(key: &ItemKey, record: &Record, text: &mut String) {
    let item = |item: &Option<Map>| item.as_ref().map_or("none".into(), to_attribute_json);
    writeln!(text, "{key}: {}", item(&record.item)).unwrap();
    let Some(change) = &record.change else { return };
    writeln!(text, "  base {}", item(&change.base)).unwrap();
    if let Some(frozen) = &change.frozen {
        let (mark, version, schema) = (frozen.mark, frozen.version, frozen.schema);
        let op = describe_op(&frozen.op);
        writeln!(text, "  frozen {mark} {version} {schema} {op}").unwrap();
    }
    if let Some(pending) = &change.pending {
        writeln!(text, "  pending {}", describe_op(pending)).unwrap();
    }
    if let Some(Parked { kind, reason }) = &change.parked {
        writeln!(text, "  parked {kind:?} {reason}").unwrap();
    }
    let stamp = change.stamp.map(|stamp| stamp.0);
    writeln!(text, "  rounds {} stamp {stamp:?}", change.rounds).unwrap();
}

fn describe_op(op: &Op) -> String {
    match op {
        Op::Create(item) => format!("create {}", to_attribute_json(item)),
        Op::Set { set, remove } => format!("set {} remove {remove:?}", to_attribute_json(set)),
        Op::Delete => "delete".into(),
        Op::Replace(item) => format!("replace {}", to_attribute_json(item)),
    }
}

/// The database holds what it held, and what waits in it is answered and goes.
fn use_as_ever(disk: &SimDisk, schema: &str, held: &str) {
    let db = open(disk, schema);
    assert_eq!(describe(&db), held);
    db.update("User", &props(r#"{"name":"ada","role":"editor"}"#))
        .unwrap();
    for id in ["updated", "frozen", "removed", "parked", "new"] {
        change(&db, id, |record| {
            let item = record.item.take();
            *record = item.map_or(Record::default(), Record::clean);
        });
    }
    let after = describe(&db);
    db.close().unwrap();
    drop(db);
    assert_eq!(describe(&open(disk, schema)), after);
    // Frozen and updated, replaced, and the five metrics that were kept.
    assert!(after.contains("queue 7 "), "{after}");
}

#[test]
fn a_database_of_each_released_version_holds_what_it_held_and_goes_on() {
    for name in VERSIONS {
        let directory = fixture(name);
        let read = |file: &str| fs::read_to_string(directory.join(file)).unwrap();
        let (schema, held) = (read("schema.json5"), read("contents.txt"));
        use_as_ever(&SimDisk::load(&directory.join("db")), &schema, &held);
    }
}

#[test]
fn this_version_reads_the_items_that_it_writes() {
    let disk = SimDisk::new(1);
    let db = open(&disk, SCHEMA);
    fill(&db);
    let held = describe(&db);
    db.close().unwrap();
    if let Some(target) = std::env::var_os(WRITE).map(PathBuf::from) {
        fs::create_dir_all(target.join("db")).unwrap();
        fs::write(target.join("schema.json5"), SCHEMA).unwrap();
        fs::write(target.join("contents.txt"), &held).unwrap();
        for (name, bytes) in disk.files() {
            fs::write(target.join("db").join(name), bytes).unwrap();
        }
    }
    drop(db);
    use_as_ever(&disk, SCHEMA, &held);
}
