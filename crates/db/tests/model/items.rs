//! Create, get, update, upsert and remove.

use std::sync::Arc;

use periwinkle_core::schema::{Hidden, Schema};
use periwinkle_core::value::Map;
use periwinkle_db::engine::{Durability, FileStorage};
use periwinkle_db::{Database, Options};

use crate::world::{SCHEMA, World, props};

#[test]
fn an_item_is_made_read_changed_and_removed() {
    let db = World::new(1).open();
    let made = db
        .create("User", &props(r#"{"name":"ada","password":"x"}"#))
        .unwrap();
    assert_eq!(made.item.to_json(), r#"{"name":"ada","role":"viewer"}"#);
    let ada = props(r#"{"name":"ada"}"#);
    assert_eq!(db.get("User", &ada).unwrap(), Some(made.item));
    let changed = db
        .update("User", &props(r#"{"name":"ada","role":"owner"}"#))
        .unwrap();
    assert_eq!(changed.item.to_json(), r#"{"name":"ada","role":"owner"}"#);
    assert_eq!(changed.sequence, made.sequence + 1);
    let all = db
        .hidden(Hidden::Include)
        .get("User", &ada)
        .unwrap()
        .unwrap();
    assert_eq!(all.text("password"), Some("x"));
    let gone = db.remove("User", &ada).unwrap();
    assert_eq!(gone.item, changed.item);
    assert_eq!(db.get("User", &ada).unwrap(), None);
}

#[test]
fn null_removes_a_property() {
    let db = World::new(1).open();
    let item = db
        .create("Setting", &props(r#"{"id":"a","value":"1","note":"n"}"#))
        .unwrap()
        .item;
    assert_eq!(
        item.to_json(),
        r#"{"deviceId":"d1","id":"a","note":"n","value":"1"}"#
    );
    let item = db
        .update("Setting", &props(r#"{"id":"a","note":null}"#))
        .unwrap()
        .item;
    assert_eq!(item.to_json(), r#"{"deviceId":"d1","id":"a","value":"1"}"#);
}

#[test]
fn an_upsert_makes_or_changes() {
    let db = World::new(1).open();
    let made = db
        .upsert("Setting", &props(r#"{"id":"a","value":"1"}"#))
        .unwrap();
    let changed = db
        .upsert("Setting", &props(r#"{"id":"a","note":"n"}"#))
        .unwrap();
    assert_eq!(
        changed.item.to_json(),
        r#"{"deviceId":"d1","id":"a","note":"n","value":"1"}"#
    );
    assert_eq!(changed.sequence, made.sequence + 1);
    // Without its id, a new one is generated.
    let other = db.upsert("Setting", &props(r#"{"value":"2"}"#)).unwrap();
    assert_eq!(other.item.text("id").map(str::len), Some(26));
}

#[test]
fn a_change_that_changes_nothing_costs_no_frame() {
    let db = World::new(1).open();
    let made = db
        .create("Setting", &props(r#"{"id":"a","value":"1"}"#))
        .unwrap();
    let same = db
        .update("Setting", &props(r#"{"id":"a","value":"1"}"#))
        .unwrap();
    assert_eq!(same.sequence, made.sequence);
    same.ticket.wait().unwrap();
}

#[test]
fn calls_that_cannot_be_done_say_why() {
    let db = World::new(1).open();
    db.create("User", &props(r#"{"name":"ada"}"#)).unwrap();
    let ada = props(r#"{"name":"ada"}"#);
    let bob = props(r#"{"name":"bob"}"#);
    let table = [
        (
            db.create("User", &ada).unwrap_err(),
            "exists",
            "there is a User with this key already (ada); update it, or use another key",
        ),
        (
            db.update("User", &bob).unwrap_err(),
            "not_found",
            "there is no User with this key (bob); list the model to see what there is",
        ),
        (
            db.remove("User", &bob).unwrap_err(),
            "not_found",
            "there is no User with this key (bob); list the model to see what there is",
        ),
        (
            db.get("Usr", &bob).unwrap_err(),
            "unknown_model",
            "there is no model \"Usr\"; did you mean \"User\"?",
        ),
        (
            db.update("User", &Map::new()).unwrap_err(),
            "bad_key",
            "the key of User needs \"name\"; give name",
        ),
        (
            db.create("User", &props(r#"{"name":"cy","role":"god"}"#))
                .unwrap_err(),
            "not_allowed",
            "User.role cannot be the text \"god\"; expected one of \"viewer\", \"editor\", \"owner\"",
        ),
        (
            db.create("Command", &props(r#"{"id":"a"}"#)).unwrap_err(),
            "read_only_model",
            "Command is synced down: it can be changed in the cloud only",
        ),
    ];
    for (error, kind, message) in table {
        assert_eq!(error.kind(), kind);
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(db.sequence(), 1);
}

#[test]
fn items_survive_an_orderly_close_and_relaxed_ones_a_flush() {
    let world = World::new(1);
    let db = world.open();
    db.create("User", &props(r#"{"name":"ada"}"#)).unwrap();
    db.close().unwrap();
    assert_eq!(
        db.create("User", &props(r#"{"name":"bob"}"#))
            .unwrap_err()
            .kind(),
        "closed"
    );
    world.disk.restart(1);
    let db = world.open();
    assert!(
        db.get("User", &props(r#"{"name":"ada"}"#))
            .unwrap()
            .is_some()
    );

    let relaxed = db.durability(Durability::Relaxed);
    let made = relaxed.create("User", &props(r#"{"name":"bob"}"#)).unwrap();
    assert!(!made.ticket.is_durable());
    db.flush().wait().unwrap();
    assert!(made.ticket.is_durable());
    world.disk.restart(1);
    let db = world.open();
    assert!(
        db.get("User", &props(r#"{"name":"bob"}"#))
            .unwrap()
            .is_some()
    );
}

#[test]
fn items_survive_in_a_real_directory() {
    let scratch = tempfile::tempdir().unwrap();
    let open = || {
        let storage = Arc::new(FileStorage::open(scratch.path().join("db")).unwrap());
        let options = Options {
            context: Map::from([("deviceId", "d1")]),
            ..Options::default()
        };
        let clock = Arc::clone(&World::new(1).clock);
        let schema = Schema::parse(SCHEMA).unwrap();
        Database::open(storage, schema, options, clock).unwrap().0
    };
    let db = open();
    for n in 0..50 {
        let item = Map::from([("id", format!("{n}"))]);
        db.create("Setting", &item).unwrap();
    }
    db.remove("Setting", &props(r#"{"id":"7"}"#)).unwrap();
    db.close().unwrap();
    drop(db);
    let db = open();
    assert_eq!(db.stats().rows.get("Setting"), Some(&49));
    assert_eq!(db.get("Setting", &props(r#"{"id":"7"}"#)).unwrap(), None);
    assert!(
        db.get("Setting", &props(r#"{"id":"8"}"#))
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_device_without_a_usable_name_cannot_open_a_synced_schema() {
    let world = World::new(1);
    for (context, expected) in [
        (Map::new(), "\"deviceId\" is missing; "),
        (
            Map::from([("deviceId", "a#b")]),
            "\"deviceId\" is \"a#b\"; ",
        ),
        (Map::from([("deviceId", "")]), "\"deviceId\" is \"\"; "),
    ] {
        let schema = Schema::parse(SCHEMA).unwrap();
        let options = Options {
            context,
            ..Options::default()
        };
        let opened = Database::open(world.disk.storage(), schema, options, world.clock.clone());
        let error = opened.err().unwrap().to_string();
        assert_eq!(
            error,
            format!("{expected}a synced model needs the name of the device: a text without \"#\"")
        );
    }
}

#[test]
fn an_empty_part_of_a_key_is_refused() {
    let db = World::new(1).open();
    for (model, given) in [("Setting", r#"{"id":""}"#), ("User", r#"{"name":""}"#)] {
        let error = db.create(model, &props(given)).unwrap_err();
        let name = error.field().unwrap();
        let expected = format!("the key of {model} has an empty \"{name}\"; give it a value");
        assert_eq!((error.kind(), error.to_string()), ("bad_key", expected));
        assert_eq!(
            db.upsert(model, &props(given)).unwrap_err().kind(),
            "bad_key"
        );
    }
    let error = db.create("Metric", &props(r#"{"month":"","at":"2026-11-22"}"#));
    assert_eq!(error.unwrap_err().field(), Some("month"));
}
