//! Schemas that change: what older rows become, and what an older program leaves alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use periwinkle_core::schema::Schema;
use periwinkle_core::sync::record::{ItemKey, Op, ParkKind, Parked, Record};
use periwinkle_core::sync::store::{Frame, Store};
use periwinkle_core::value::Map;
use periwinkle_db::engine::{Batch, Durability, Options, Store as Engine};
use periwinkle_db::{Database, DbOpenError, Event, Find, Origin, Since};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

use crate::world::{SCHEMA, World, props};

type Rows = BTreeMap<ItemKey, Record>;

fn rows(db: &Database) -> Rows {
    let keys = db.rows_after(&ItemKey::new("", ""), 10_000).unwrap();
    keys.into_iter()
        .map(|key| {
            let record = db.record(&key).unwrap();
            (key, record)
        })
        .collect()
}

/// The schema of the tests in another version, with other fields and a list of migrations.
fn schema(version: &str, fields: &[(&str, &str)], migrations: &str) -> String {
    let list = format!("process: {{ migrations: [{migrations}],");
    let mut text = SCHEMA
        .replacen("version: '3.0.0'", &format!("version: '{version}'"), 1)
        .replacen("process: {", &list, 1);
    for (from, to) in fields {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    text
}

const RENAMED: &[(&str, &str)] = &[("note: { type: 'string' },", "hint: { type: 'string' },")];

/// Setting.note is now called hint, User.role is gone, and UserLog is no model any more.
fn changed() -> String {
    let fields = [
        RENAMED[0],
        (
            "role: { type: 'string', enum: ['viewer', 'editor', 'owner'], default: 'viewer' },",
            "label: { type: 'string', value: 'user ${name}', hidden: false },",
        ),
        (
            "UserLog: {
            pk: { type: 'string', value: 'local#' },
            sk: { type: 'string', value: 'UserLog#${id}' },
            id: { type: 'string', generate: 'ulid', required: true },
            text: { type: 'string' },
            expires: { type: 'date', ttl: true },
        },",
            "",
        ),
        ("UserLog: { rows_max: 3 },", ""),
    ];
    schema(
        "3.2.0",
        &fields,
        "{ version: '3.1.0', rename: { Setting: { note: 'hint' } } },
         { version: '3.2.0', remove: { User: ['role'] }, drop: ['UserLog'] }",
    )
}

/// Does something with the engine beneath a database that is closed.
fn beneath(disk: &SimDisk, work: impl FnOnce(&Engine)) {
    let options = Options {
        segment_bytes: 64 << 10,
        segment_bytes_min: 16 << 10,
        salt: 1,
        ..Options::default()
    };
    let (engine, _) = Engine::open(disk.storage(), options).unwrap();
    work(&engine);
    engine.close().unwrap();
}

fn settle(db: &Database, id: &str) {
    let key = ItemKey::new("dev#d1#rw", format!("Setting#{id}"));
    db.modify(&[key], &mut |frame: &mut Frame| {
        let item = frame.records[0].item.take();
        frame.records[0] = item.map_or(Record::default(), Record::clean);
    })
    .unwrap();
}

fn fill(db: &Database, users: usize) {
    for id in ["a", "b", "c"] {
        let given = Map::from([("id", id), ("value", "1"), ("note", "n")]);
        db.create("Setting", &given).unwrap();
    }
    settle(db, "a");
    settle(db, "c");
    db.remove("Setting", &props(r#"{"id":"c"}"#)).unwrap();
    for at in 0..users {
        db.create("User", &Map::from([("name", format!("u{at:04}"))]))
            .unwrap();
    }
    for text in ["x", "y"] {
        db.create("UserLog", &Map::from([("text", text)])).unwrap();
    }
}

#[test]
fn new_fields_and_models_need_no_migration() {
    let mut world = World::new(1);
    fill(&world.open(), 2);
    let before = rows(&world.open());
    let field = "size: { type: 'number', default: 7 }, note: { type: 'string' },";
    let model = "Extra: { pk: { type: 'string', value: 'extra' }, sk: { type: 'string', value: '${id}' }, \
                 id: { type: 'string' } }, Conflicts: {";
    let more = [
        ("note: { type: 'string' },", field),
        ("Conflicts: {", model),
    ];
    world.schema = schema("3.1.0", &more, "");
    let db = world.open();
    assert_eq!(rows(&db), before);
    let seen = db.get("Setting", &props(r#"{"id":"a"}"#)).unwrap().unwrap();
    assert_eq!(
        seen.to_json(),
        r#"{"deviceId":"d1","id":"a","note":"n","size":7,"value":"1"}"#
    );
    db.create("Extra", &props(r#"{"id":"e"}"#)).unwrap();
}

#[test]
fn renames_and_removals_reach_items_queue_and_streams() {
    let mut world = World::new(2);
    let db = world.open();
    fill(&db, 2);
    db.close().unwrap();
    let sequence = db.durable_sequence();
    drop(db);
    world.schema = changed();
    let db = world.open();
    let seen = db.get("Setting", &props(r#"{"id":"a"}"#)).unwrap().unwrap();
    assert_eq!(
        seen.to_json(),
        r#"{"deviceId":"d1","hint":"n","id":"a","value":"1"}"#
    );
    let user = db.get("User", &props(r#"{"name":"u0000"}"#)).unwrap();
    assert_eq!(
        user.unwrap().to_json(),
        r#"{"label":"user u0000","name":"u0000"}"#
    );
    let all = rows(&db);
    assert!(all.keys().all(|key| !key.sk.starts_with("UserLog#")));
    // The cloud hears of it as of any other change.
    let record = |id: &str| &all[&ItemKey::new("dev#d1#rw", format!("Setting#{id}"))];
    let pending = record("a").change.as_ref().unwrap().pending.clone();
    let expected = Op::Set {
        set: Map::from([("hint", "n")]),
        remove: ["note".to_owned()].into(),
    };
    assert_eq!(pending, Some(expected));
    let Some(Op::Create(item)) = &record("b").change.as_ref().unwrap().pending else {
        panic!("{:?}", record("b"));
    };
    assert_eq!(item.text("hint"), Some("n"));
    assert_eq!(
        record("c").change.as_ref().unwrap().pending,
        Some(Op::Delete)
    );
    let mut told = db.changes(Since::Sequence(sequence)).only(&["Setting"]);
    let mut keys = Vec::new();
    while let Some(Event::Change(change)) = told.try_next() {
        assert_eq!(change.origin, Origin::Local);
        keys.push(change.key.join("/"));
    }
    assert_eq!(keys, ["a", "b"]);
    // What is done is not done again.
    db.close().unwrap();
    drop(db);
    let writes = world.disk.counts().writes;
    let db = world.open();
    assert_eq!(rows(&db), all);
    assert_eq!(world.disk.counts().writes, writes);
}

#[test]
fn a_reader_does_not_show_items_in_an_older_form() {
    let mut world = World::new(13);
    let db = world.open();
    fill(&db, 2);
    db.close().unwrap();
    drop(db);
    let read = |world: &World| {
        let schema = Schema::parse(&world.schema).unwrap();
        let options = periwinkle_db::Options {
            context: Map::from([("deviceId", "d1")]),
            ..periwinkle_db::Options::default()
        };
        let environment = Arc::clone(&world.clock);
        let storage = world.disk.storage();
        Database::open_read_only(storage, schema, options, environment).map(|(db, _)| rows(&db))
    };
    let before = read(&world).unwrap();
    world.schema = changed();
    let refused = read(&world).unwrap_err();
    assert!(matches!(refused, DbOpenError::OldForm), "{refused}");
    world.schema = schema("3.2.0", &[], "{ version: '3.2.0', drop: ['Nothing'] }");
    assert_eq!(read(&world).unwrap(), before);
}

#[test]
fn a_migration_ends_alike_wherever_the_power_is_cut() {
    let mut cuts = 0;
    for seed in 0..4 {
        cuts += cut_everywhere(seed);
    }
    assert!(cuts >= 60, "{cuts} cuts");
}

/// More rows than fit into two steps, so that there is something to resume.
fn cut_everywhere(seed: u64) -> usize {
    let mut world = World::new(seed);
    let mut rng = Rng::new(seed);
    let db = world.open();
    fill(&db, 600);
    db.close().unwrap();
    drop(db);
    world.schema = changed();
    let start = world.disk.snapshot();
    let expected = rows(&world.open_on(&start.snapshot()).unwrap());
    start.record();
    drop(world.open_on(&start).unwrap());
    let disks = start.recording();
    let cuts = disks.len();
    for (at, disk) in disks.iter().enumerate() {
        disk.restart(rng.next_u64());
        // The next start is cut off too, somewhere.
        let again = disk.snapshot();
        again.record();
        drop(world.open_on(&again).unwrap());
        let again = again.recording();
        let again: &SimDisk = &again[rng.index(again.len())];
        again.restart(rng.next_u64());
        for (which, disk) in [("one", disk), ("two", again)] {
            let db = world.open_on(disk).unwrap();
            assert_eq!(rows(&db), expected, "seed {seed}, cut {at}, {which}");
            let waiting = expected.values().filter(|record| record.change.is_some());
            assert_eq!(db.backlog().rows, waiting.count() as u64);
        }
    }
    cuts
}

/// The disk after a power cut in the middle of the migration to `changed`, half of the users done.
fn half_way(world: &mut World) -> SimDisk {
    let db = world.open();
    fill(&db, 600);
    db.close().unwrap();
    drop(db);
    world.schema = changed();
    let start = world.disk.snapshot();
    start.record();
    drop(world.open_on(&start).unwrap());
    let disks = start.recording().into_iter();
    let mut half_way = disks.filter(|disk| {
        disk.restart(1);
        let mut noted = false;
        beneath(disk, |engine| {
            let note = engine.get(b"mmigration").unwrap();
            noted = note.is_some_and(|note| note.value.ends_with(b"User#u0252"));
        });
        noted
    });
    half_way
        .next()
        .expect("there is a cut after the first step")
}

#[test]
fn a_migration_goes_on_where_it_was_cut_off() {
    let mut world = World::new(11);
    let disk = half_way(&mut world);
    // An old row where all is done already is not looked at.
    let old = World::new(11);
    let old_rows = rows(&{
        let db = old.open();
        fill(&db, 1);
        db
    });
    let key = ItemKey::new("local#", "User#u0000");
    beneath(&disk, |engine| {
        let mut value = Vec::new();
        old_rows[&key].encode(&mut value);
        let mut batch = Batch::new();
        batch.put(b"ilocal#\0User#u0000", &value);
        let committed = engine.commit(&batch, Durability::Immediate).unwrap();
        committed.ticket.wait().unwrap();
    });
    let db = world.open_on(&disk).unwrap();
    let all = rows(&db);
    let has_role = |name: &str| {
        let item = all[&ItemKey::new("local#", name)].item.as_ref();
        item.unwrap().contains_key("role")
    };
    assert!(has_role("User#u0000"));
    assert!(!has_role("User#u0001") && !has_role("User#u0599"));
}

#[test]
fn what_an_older_program_writes_half_way_is_brought_along() {
    let mut world = World::new(12);
    let disk = half_way(&mut world);
    let newer = std::mem::replace(&mut world.schema, SCHEMA.to_owned());
    let db = world.open_on(&disk).unwrap();
    db.update("User", &props(r#"{"name":"u0000","role":"owner"}"#))
        .unwrap();
    db.close().unwrap();
    drop(db);
    world.schema = newer;
    let db = world.open_on(&disk).unwrap();
    let all = rows(&db);
    let users = all.iter().filter(|(key, _)| key.sk.starts_with("User#"));
    let done = users.filter(|(_, record)| {
        let item = record.item.as_ref().unwrap();
        item.contains_key("label") && !item.contains_key("role")
    });
    assert_eq!(done.count(), 600);
}

#[test]
fn an_older_minor_version_works_on_and_its_rows_are_brought_along_later() {
    let mut world = World::new(5);
    fill(&world.open(), 0);
    let migrations = "{ version: '3.1.0', rename: { Setting: { note: 'hint' } } }";
    let newer = schema("3.1.0", RENAMED, migrations);
    world.schema = newer.clone();
    drop(world.open());
    world.schema = SCHEMA.to_owned();
    let db = world.open();
    assert_eq!(db.parked_models(), []);
    db.update("Setting", &props(r#"{"id":"a","note":"later"}"#))
        .unwrap();
    drop(db);
    world.schema = newer;
    let db = world.open();
    let hint = |id: &str| {
        let key = Map::from([("id", id)]);
        db.get("Setting", &key).unwrap().unwrap()["hint"].to_json()
    };
    assert_eq!(
        (hint("a"), hint("b")),
        (r#""later""#.to_owned(), r#""n""#.to_owned())
    );
}

#[test]
fn a_newer_major_version_parks_the_models_that_it_wrote() {
    let mut world = World::new(6);
    fill(&world.open(), 1);
    world.schema = schema("4.0.0", &[], "");
    let db = world.open();
    db.update("Setting", &props(r#"{"id":"b","value":"2"}"#))
        .unwrap();
    drop(db);
    world.schema = SCHEMA.to_owned();
    let db = world.open();
    let before = rows(&db);
    let parked = db.parked_models();
    assert_eq!(parked.len(), 1);
    assert_eq!(
        (
            parked[0].model.as_str(),
            parked[0].written.to_string(),
            parked[0].known.to_string()
        ),
        ("Setting", "4.0.0".to_owned(), "3.0.0".to_owned())
    );
    let item = props(r#"{"id":"b","value":"3"}"#);
    let key = props(r#"{"id":"b"}"#);
    let refusals = [
        db.create("Setting", &item).err(),
        db.get("Setting", &key).err(),
        db.find("Setting", &Map::new(), &Find::new()).err(),
        db.update("Setting", &item).err(),
        db.upsert("Setting", &item).err(),
        db.remove("Setting", &key).err(),
    ];
    for refusal in refusals {
        let refusal = refusal.unwrap();
        assert_eq!(refusal.kind(), "parked_model");
        assert_eq!(
            refusal.to_string(),
            "Setting was written by version 4.0.0 of the schema, and this program knows 3.0.0: update it, \
             or go back to the newer one"
        );
    }
    // Replication neither sends nor changes its rows, and the other models go on.
    assert_eq!(db.dirty(None, 100).unwrap(), []);
    let row = ItemKey::new("dev#d1#rw", "Setting#a");
    db.modify(std::slice::from_ref(&row), &mut |frame| {
        frame.records[0] = Record::default();
    })
    .unwrap();
    let rules: Vec<_> = db.sync_rules().into_iter().map(|rule| rule.name).collect();
    assert_eq!(rules, ["Command", "Metric"]);
    db.create("User", &props(r#"{"name":"ada"}"#)).unwrap();
    let mut after = rows(&db);
    assert!(after.remove(&ItemKey::new("local#", "User#ada")).is_some());
    assert_eq!(after, before);
    drop(db);
    // A program that knows the version takes it up again.
    world.schema = schema("4.1.0", &[], "");
    let db = world.open();
    assert_eq!(db.parked_models(), []);
    assert_eq!(db.dirty(None, 100).unwrap().len(), 2);
    assert_eq!(
        db.get("Setting", &key).unwrap().unwrap()["value"].to_json(),
        r#""2""#
    );
}

#[test]
fn rows_that_wait_are_found_behind_many_that_are_left_alone() {
    let mut world = World::new(8);
    let db = world.open();
    db.create("Metric", &props(r#"{"month":"2026-11","at":0}"#))
        .unwrap();
    drop(db);
    world.schema = schema("4.0.0", &[], "");
    let db = world.open();
    for id in 0..40 {
        db.create("Setting", &Map::from([("id", id.to_string())]))
            .unwrap();
    }
    drop(db);
    world.schema = SCHEMA.to_owned();
    let db = world.open();
    db.create("Metric", &props(r#"{"month":"2026-11","at":1000}"#))
        .unwrap();
    let names = |after, limit| {
        let dirty = db.dirty(after, limit).unwrap();
        dirty
            .into_iter()
            .map(|dirty| dirty.key.sk)
            .collect::<Vec<_>>()
    };
    let all = [
        "Metric#1970-01-01T00:00:00.000Z",
        "Metric#1970-01-01T00:00:01.000Z",
    ];
    assert_eq!(names(None, 1), all[..1]);
    assert_eq!(names(None, 5), all);
    let first = db.dirty(None, 1).unwrap().remove(0);
    assert_eq!(names(Some(&first), 5), all[1..]);
}

#[test]
fn parked_items_of_a_parked_model_are_not_taken_up() {
    let mut world = World::new(9);
    world.schema = schema("4.0.0", &[], "");
    let db = world.open();
    fill(&db, 0);
    let row = ItemKey::new("dev#d1#rw", "Setting#b");
    db.modify(std::slice::from_ref(&row), &mut |frame| {
        let change = frame.records[0].change.as_mut().unwrap();
        change.parked = Some(Parked::new(ParkKind::Refused, "too large"));
    })
    .unwrap();
    assert_eq!(db.parked(None, 10).unwrap(), [row]);
    drop(db);
    world.schema = SCHEMA.to_owned();
    assert_eq!(world.open().parked(None, 10).unwrap(), []);
}

#[test]
fn a_database_that_notes_no_versions_is_brought_along() {
    // One that was written before versions were noted: the notes are taken out of it.
    let mut world = World::new(10);
    let db = world.open();
    fill(&db, 3);
    db.close().unwrap();
    drop(db);
    beneath(&world.disk, |store| {
        let mut batch = Batch::new();
        batch.delete(b"mwritten");
        let committed = store.commit(&batch, Durability::Immediate).unwrap();
        committed.ticket.wait().unwrap();
    });
    world.schema = changed();
    let db = world.open();
    let seen = db.get("Setting", &props(r#"{"id":"b"}"#)).unwrap().unwrap();
    assert_eq!(seen["hint"].to_json(), r#""n""#);
    assert!(rows(&db).keys().all(|key| !key.sk.starts_with("UserLog#")));
    drop(db);
    // From now on every model is known by its version.
    world.schema = SCHEMA.replace("version: '3.0.0'", "version: '2.9.0'");
    let db = world.open();
    let models: Vec<_> = db
        .parked_models()
        .iter()
        .map(|parked| parked.model.as_str())
        .collect();
    assert_eq!(models, ["Setting", "User"]);
}

#[test]
fn a_full_disk_parks_the_models_whose_items_cannot_be_changed_and_nothing_else() {
    let world = World::new(5);
    world.disk.set_capacity(256 << 10);
    let db = world.open();
    let setting = |n: u32| {
        let note = "x".repeat(2000);
        props(&format!(
            r#"{{"id": "{n:03}", "value": "{n}", "note": "{note}"}}"#
        ))
    };
    let ada = props(r#"{"name": "ada"}"#);
    db.create("User", &ada).unwrap();
    let mut made = 0;
    while db.create("Setting", &setting(made)).is_ok() {
        made += 1;
    }
    db.close().unwrap();
    let newer = World {
        schema: schema(
            "3.1.0",
            RENAMED,
            "{ version: '3.1.0', rename: { Setting: { note: 'hint' } } }",
        ),
        ..World::new(5)
    };
    let open_newer = || newer.open_on(&world.disk);
    let db = open_newer().unwrap();
    let key = props(r#"{"id": "000"}"#);
    for refused in [
        db.get("Setting", &key).unwrap_err(),
        db.remove("Setting", &key).unwrap_err(),
    ] {
        assert_eq!(refused.kind(), "parked_model");
        assert_eq!(
            refused.to_string(),
            "Setting has items of version 3.0.0 of the schema, and the disk has no room to bring them \
             into the form of 3.1.0: free some space and start again, which goes on with what is left"
        );
    }
    assert!(db.sync_rules().iter().all(|rule| rule.name != "Setting"));
    // The others go on: reads, and removals, which lead out of a full disk.
    assert!(db.get("User", &ada).unwrap().is_some());
    db.remove("User", &ada).unwrap();
    db.close().unwrap();
    drop(db);

    let db = world.open();
    for n in 0..made / 2 {
        db.remove("Setting", &props(&format!(r#"{{"id": "{n:03}"}}"#)))
            .unwrap();
    }
    db.close().unwrap();
    world.disk.set_capacity(4 << 20);
    let db = open_newer().unwrap();
    let page = db
        .find("Setting", &Map::new(), &Find::new().limit(1000))
        .unwrap();
    assert_eq!(page.items.len(), (made - made / 2) as usize);
    for item in page.items {
        assert_eq!(item.text("hint").map(str::len), Some(2000), "{item:?}");
    }
}
