//! Export and import.

use periwinkle_core::schema::Hidden;
use periwinkle_core::value::{Map, Value, json};
use periwinkle_db::model::transfer::{Reader, Row};
use periwinkle_db::{
    Database, DbError, DbOpenError, ExportForm, Find, ImportOptions, Imported, OnConflict,
};

use crate::world::{World, props};

const SHOWN: [&str; 4] = ["Setting", "Metric", "User", "UserLog"];

fn exported(db: &Database, form: ExportForm) -> String {
    let models = SHOWN.map(str::to_owned);
    let mut export = db.export(&models, form).unwrap();
    let mut text = String::new();
    while let Some(lines) = export.next_lines().unwrap() {
        text.push_str(&lines);
    }
    assert_eq!(export.items(), text.lines().count() as u64);
    text
}

fn rows(text: &str) -> Vec<Row> {
    let mut reader = Reader::new();
    reader.push(text.as_bytes());
    reader.finish();
    let items = std::iter::from_fn(|| reader.next_item());
    items
        .map(|item| Row::from_value(item.unwrap().value, None).unwrap())
        .collect()
}

fn import(db: &Database, text: &str, on_conflict: OnConflict) -> Imported {
    let options = ImportOptions {
        on_conflict,
        ..ImportOptions::default()
    };
    db.import(&rows(text), options).unwrap()
}

/// A database with values of every kind.
fn full() -> Database {
    let db = World::new(1).open();
    let user = r#"{"name":"ada","role":"owner","password":"p\u0007ü\"x"}"#;
    db.create("User", &props(user)).unwrap();
    for n in 0..100 {
        let setting = format!(r#"{{"id":"s{n:03}","value":"{n}"}}"#);
        db.create("Setting", &props(&setting)).unwrap();
    }
    let metric = r#"{"month":"2026-11","at":"2026-11-22T10:21:53.667Z",
        "load":12345678901234567890.123456789012345678,"expires":"2027-01-01T00:00:00Z"}"#;
    db.create("Metric", &props(metric)).unwrap();
    db
}

#[test]
fn an_export_comes_back_as_it_was_on_another_device_too() {
    let from = full();
    let text = exported(&from, ExportForm::Properties);
    assert_eq!(text.lines().count(), 102);
    for made in ["deviceId", "\"pk\"", "\"_type\"", "dev#"] {
        assert!(!text.contains(made), "{text}");
    }
    let to = World::new(2).open();
    let imported = import(&to, &text, OnConflict::Fail);
    assert_eq!((imported.created, imported.faults.len()), (102, 0));
    imported.ticket.unwrap();
    assert_eq!(exported(&to, ExportForm::Properties), text);
    let ada = to
        .hidden(Hidden::Include)
        .get("User", &props(r#"{"name":"ada"}"#));
    assert_eq!(ada.unwrap().unwrap().text("password"), Some("p\u{7}ü\"x"));
}

#[test]
fn the_stored_form_keeps_what_is_outside_the_schema() {
    let from = full();
    let text = exported(&from, ExportForm::Stored);
    let foreign = r#"{"Item":{"pk":{"S":"local#"},"sk":{"S":"UserLog#7"},"_type":{"S":"UserLog"},
        "id":{"S":"7"},"raw":{"B":"AP8="},"tags":{"SS":["a","b"]}}}"#
        .replace('\n', "");
    let text = format!("{text}{foreign}\n");
    let to = World::new(2).open();
    let imported = import(&to, &text, OnConflict::Fail);
    assert_eq!((imported.created, imported.faults.len()), (103, 0));
    let again = exported(&to, ExportForm::Stored);
    assert_eq!(again.lines().count(), 103);
    let line = again.lines().find(|line| line.contains("UserLog")).unwrap();
    let same = |text: &str| json::parse(text).unwrap();
    assert_eq!(same(line), same(&foreign));
}

#[test]
fn the_times_of_a_row_are_kept() {
    let mut world = World::new(1);
    world.schema = world
        .schema
        .replace("isoDates: true", "isoDates: true, timestamps: true");
    let db = world.open();
    let line = r#"{"model":"User","item":{"name":"ada","created":"2020-01-02T03:04:05.678Z","updated":"2021-01-02T03:04:05.678Z"}}"#;
    assert_eq!(import(&db, line, OnConflict::Fail).created, 1);
    let text = exported(&db, ExportForm::Properties);
    assert!(text.contains("2020-01-02T03:04:05.678Z"), "{text}");
    assert!(text.contains("2021-01-02T03:04:05.678Z"), "{text}");
    let bad = line.replace("2020-01-02T03:04:05.678Z", "yesterday");
    let imported = import(&db, &bad, OnConflict::Replace);
    assert_eq!(imported.faults[0].1.field(), Some("created"));
}

#[test]
fn what_is_there_already_fails_stays_or_gives_way() {
    let db = World::new(1).open();
    db.create("Setting", &props(r#"{"id":"a","value":"old","note":"n"}"#))
        .unwrap();
    let sequence = db.sequence();
    let text = concat!(
        "{\"model\":\"Setting\",\"item\":{\"id\":\"a\",\"value\":\"new\"}}\n",
        "{\"model\":\"Setting\",\"item\":{\"id\":\"b\",\"value\":\"new\"}}\n",
    );
    let get = |id: &str| db.get("Setting", &Map::from([("id", id)])).unwrap();

    let failed = import(&db, text, OnConflict::Fail);
    assert_eq!(failed.faults.len(), 1);
    assert_eq!(
        (failed.faults[0].0, failed.faults[0].1.kind()),
        (0, "exists")
    );
    assert!(failed.ticket.is_none());
    assert_eq!((db.sequence(), get("b")), (sequence, None));

    let skipped = import(&db, text, OnConflict::Skip);
    assert_eq!((skipped.created, skipped.skipped), (1, 1));
    assert_eq!(db.sequence(), sequence + 1, "one frame");
    assert_eq!(get("a").unwrap().text("value"), Some("old"));

    let replaced = import(&db, text, OnConflict::Replace);
    assert_eq!((replaced.created, replaced.replaced), (0, 2));
    let a = get("a").unwrap();
    assert_eq!((a.text("value"), a.get("note")), (Some("new"), None));
}

#[test]
fn one_bad_row_keeps_all_from_being_written_and_each_is_named() {
    let db = World::new(1).open();
    let sequence = db.sequence();
    let text = concat!(
        "{\"model\":\"Setting\",\"item\":{\"id\":\"a\"}}\n",
        "{\"model\":\"Setting\",\"item\":{\"id\":\"b\",\"valu\":\"x\"}}\n",
        "{\"model\":\"Nothing\",\"item\":{}}\n",
        "{\"model\":\"Command\",\"item\":{\"id\":\"c\"}}\n",
        "{\"model\":\"User\",\"item\":{\"role\":\"owner\"}}\n",
        "{\"Item\":{\"pk\":{\"S\":\"elsewhere\"},\"sk\":{\"S\":\"x\"}}}\n",
        "{\"model\":\"Setting\",\"item\":{\"id\":\"a\"}}\n",
    );
    let imported = import(&db, text, OnConflict::Fail);
    let told: Vec<_> = imported
        .faults
        .iter()
        .map(|(at, fault)| (*at, fault.kind(), fault.field()))
        .collect();
    assert_eq!(
        told,
        [
            (1, "unknown_field", Some("valu")),
            (2, "unknown_model", None),
            (3, "read_only_model", None),
            (4, "missing_required", Some("name")),
            (5, "bad_query", None),
            (6, "exists", None),
        ]
    );
    assert_eq!(db.sequence(), sequence);
}

#[test]
fn a_check_says_what_would_happen_and_writes_nothing() {
    let db = World::new(1).open();
    let sequence = db.sequence();
    let options = ImportOptions {
        check_only: true,
        ..ImportOptions::default()
    };
    let checked = db.import(
        &rows("{\"model\":\"User\",\"item\":{\"name\":\"a\"}}"),
        options,
    );
    assert_eq!(checked.unwrap().created, 1);
    assert_eq!(db.sequence(), sequence);
}

#[test]
fn of_rows_with_one_key_the_last_counts_when_they_replace() {
    let db = World::new(1).open();
    let line = |value: &str| {
        format!("{{\"model\":\"Setting\",\"item\":{{\"id\":\"a\",\"value\":\"{value}\"}}}}\n")
    };
    let text = ["1", "2", "3"].map(line).concat();
    let imported = import(&db, &text, OnConflict::Replace);
    assert_eq!((imported.created, imported.replaced), (1, 2));
    let value = |db: &Database| db.find("Setting", &Map::new(), &Find::new()).unwrap().items;
    assert_eq!(value(&db)[0].text("value"), Some("3"));
    let imported = import(&db, &text, OnConflict::Skip);
    assert_eq!(imported.skipped, 3);
    assert_eq!(value(&db).len(), 1);
}

#[test]
fn imported_items_of_a_synced_model_are_on_their_way_up() {
    let db = World::new(1).open();
    let line = "{\"model\":\"Setting\",\"item\":{\"id\":\"a\",\"value\":\"1\"}}";
    import(&db, line, OnConflict::Fail);
    assert_eq!(db.stats().queue.rows, 1);
}

#[test]
fn an_export_of_nothing_that_there_is_is_refused() {
    let db = World::new(1).open();
    let error = db.export(&["Setings".to_owned()], ExportForm::Properties);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("did you mean \"Setting\"")
    );
}

#[test]
fn expired_items_are_not_exported() {
    let world = World::new(1);
    let db = world.open();
    let log = r#"{"id":"1","text":"x","expires":"2026-11-22T10:22:00Z"}"#;
    db.create("UserLog", &props(log)).unwrap();
    assert_eq!(exported(&db, ExportForm::Stored).lines().count(), 1);
    world.clock.pass(60_000);
    assert_eq!(exported(&db, ExportForm::Stored), "");
}

#[test]
fn an_item_beyond_the_bound_is_a_fault_of_its_row() {
    let db = World::new(1).open();
    let properties = Map::from([
        ("id", Value::from("a")),
        ("value", Value::from("x".repeat(360 * 1024))),
    ]);
    let row = Row::Properties {
        model: "Setting".to_owned(),
        properties,
    };
    let imported = db.import(&[row], ImportOptions::default()).unwrap();
    assert_eq!(imported.faults[0].1.kind(), "too_large");
}

#[test]
fn a_database_that_is_open_for_reading_answers_and_refuses_writes() {
    let world = World::new(1);
    let db = world.open();
    db.create("Setting", &props(r#"{"id":"a","value":"1"}"#))
        .unwrap();
    let refused = |error: DbError| assert_eq!(error.kind(), "read_only", "{error}");
    db.close().unwrap();
    let before = world.disk.files();
    let db = world.open_read_only().unwrap();
    let items = db.find("Setting", &Map::new(), &Find::new()).unwrap().items;
    assert_eq!(items.len(), 1);
    assert_eq!(db.stats().queue.rows, 1);
    refused(db.create("Setting", &props(r#"{"id":"b"}"#)).unwrap_err());
    refused(db.remove("Setting", &props(r#"{"id":"a"}"#)).unwrap_err());
    let row = rows("{\"model\":\"Setting\",\"item\":{\"id\":\"b\"}}");
    refused(db.import(&row, ImportOptions::default()).unwrap_err());
    db.close().unwrap();
    assert_eq!(world.disk.files(), before);
}

#[test]
fn what_has_the_form_of_an_older_schema_is_not_read_as_if_it_were_of_the_newer() {
    let mut world = World::new(1);
    let db = world.open();
    db.create("Setting", &props(r#"{"id":"a","note":"n"}"#))
        .unwrap();
    db.close().unwrap();
    let list =
        "process: { migrations: [{ version: '3.1.0', rename: { Setting: { note: 'hint' } } }],";
    world.schema = world
        .schema
        .replacen("version: '3.0.0'", "version: '3.1.0'", 1)
        .replacen("note: { type: 'string' },", "hint: { type: 'string' },", 1)
        .replacen("process: {", list, 1);
    let before = world.disk.files();
    let refused = world.open_read_only().unwrap_err();
    assert!(matches!(refused, DbOpenError::OldForm), "{refused}");
    assert_eq!(world.disk.files(), before);
    world.open().close().unwrap();
    let db = world.open_read_only().unwrap();
    let a = db.get("Setting", &props(r#"{"id":"a"}"#)).unwrap().unwrap();
    assert_eq!(a.text("hint"), Some("n"));
}

#[test]
fn an_import_keeps_what_is_unique() {
    let mut world = World::new(1);
    let label = "label: { type: 'string', unique: true }, text: { type: 'string' },";
    world.schema = world.schema.replacen("text: { type: 'string' },", label, 1);
    let db = world.open();
    let line = |id: &str, label: &str| {
        format!("{{\"model\":\"UserLog\",\"item\":{{\"id\":\"{id}\",\"label\":\"{label}\"}}}}\n")
    };
    let both = line("1", "x") + &line("2", "x");
    let imported = import(&db, &both, OnConflict::Replace);
    assert_eq!(imported.faults.len(), 1);
    assert_eq!(
        (imported.faults[0].0, imported.faults[0].1.kind()),
        (1, "not_unique")
    );
    let swapped = line("1", "x") + &line("2", "y");
    assert_eq!(import(&db, &swapped, OnConflict::Fail).created, 2);
    let taken = import(&db, &line("3", "y"), OnConflict::Fail);
    assert_eq!(taken.faults[0].1.kind(), "not_unique");
}
