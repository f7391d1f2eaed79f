//! Writes with conditions and update expressions, several at once, and checks.

use periwinkle_core::limits::{BATCH_GET_ITEMS_MAX, TRANSACTION_WRITES_MAX};
use periwinkle_core::schema::Hidden;
use periwinkle_core::sync::record::{ItemKey, Op};
use periwinkle_core::sync::store::Store;
use periwinkle_core::value::{Map, Set, Value};
use periwinkle_db::engine::Durability;
use periwinkle_db::{
    Database, DbError, Event, Expression, Find, Refusal, Since, Transaction, Write,
};

use crate::world::{START, World, props};

pub(crate) const ROOMS: &str = "{
    version: '1.0.0',
    params: { isoDates: true },
    indexes: { primary: { hash: 'pk', sort: 'sk' } },
    models: {
        Room: {
            pk: { type: 'string', value: 'dev#${deviceId}#rw' },
            sk: { type: 'string', value: 'Room#${name}' },
            deviceId: { type: 'string', required: true },
            name: { type: 'string', required: true },
            area: { type: 'number' },
            kind: { type: 'string', enum: ['office', 'kitchen'], default: 'office' },
            code: { type: 'string', hidden: true },
            tags: { type: 'set' },
            log: { type: 'array' },
            door: { type: 'object', schema: { open: { type: 'boolean' }, n: { type: 'number' } } },
        },
        Note: {
            pk: { type: 'string', value: 'local#' },
            sk: { type: 'string', value: 'Note#${id}' },
            id: { type: 'string', required: true },
            text: { type: 'string' },
            floor: { type: 'number' },
            expires: { type: 'date', ttl: true },
        },
        Order: {
            pk: { type: 'string', value: 'dev#${deviceId}#dn' },
            sk: { type: 'string', value: 'Order#${id}' },
            deviceId: { type: 'string', required: true },
            id: { type: 'string', required: true },
        },
    },
    process: {
        Room: { sync: 'both', rows_max: 50 },
        Note: { durability: 'relaxed', rows_max: 2000 },
        Order: { sync: 'down' },
    },
}";

pub(crate) fn world() -> World {
    let mut world = World::new(1);
    world.schema = ROOMS.to_owned();
    world
}

fn attic() -> Map {
    Map::from([("name", "attic")])
}

fn filled() -> Database {
    let db = world().open();
    let attic = props(r#"{"name":"attic","area":20,"code":"1234","door":{"open":true}}"#);
    db.create("Room", &attic).unwrap();
    db
}

fn area(db: &Database, name: &str) -> Option<i64> {
    let room = db.get("Room", &Map::from([("name", name)])).unwrap()?;
    room["area"].as_i64()
}

#[test]
fn an_update_expression_changes_an_item() {
    let db = filled();
    let more = Expression::from("SET area = area + :n, door.n = if_not_exists(door.n, :n)");
    let update = Write::update("Room", props(r#"{"name":"attic","kind":"kitchen"}"#))
        .apply(more.value(":n", 2))
        .apply("REMOVE door.open");
    let made = db.write(&update).unwrap();
    assert_eq!(
        made.item.to_json(),
        r#"{"area":22,"deviceId":"d1","door":{"n":2},"kind":"kitchen","name":"attic"}"#
    );
    assert_eq!(db.get("Room", &attic()).unwrap(), Some(made.item));
}

#[test]
fn verbs_change_places_one_by_one() {
    let db = filled();
    let tags: Set = ["a", "b"].into_iter().collect();
    let write = Write::update("Room", attic())
        .set("door.open", false)
        .add("area", 1)
        .add("tags", Value::Set(tags))
        .push("log", "x")
        .unset("kind");
    let twice = [write.clone(), write.push("door.n", "no list")];
    let error = db.write_all(&twice).unwrap_err();
    assert_eq!(error.kind(), "wrong_type");
    let made = db.write(&twice[0]).unwrap();
    assert_eq!(
        made.item.to_json(),
        r#"{"area":21,"deviceId":"d1","door":{"open":false},"kind":"office","log":["x"],"name":"attic","tags":["a","b"]}"#
    );
    // A counter that is not there begins with nothing.
    let visit = Write::upsert("Room", props(r#"{"name":"hall"}"#)).add("area", 1);
    assert_eq!(db.write(&visit).unwrap().item["area"], Value::from(1));
    assert_eq!(db.write(&visit).unwrap().item["area"], Value::from(2));
    let error = db.write(&Write::create("Room", props(r#"{"name":"x"}"#)).add("area", 1));
    assert_eq!(
        error.unwrap_err().to_string(),
        "a create takes no changes; use update or upsert"
    );
}

#[test]
fn what_the_cloud_learns_of_an_update_are_the_fields_it_changed() {
    let db = filled();
    let key = ItemKey::new("dev#d1#rw", "Room#attic");
    let settle = |db: &Database| {
        db.modify(std::slice::from_ref(&key), &mut |frame| {
            frame.records[0].change = None;
        })
        .unwrap();
    };
    settle(&db);
    let update = Write::update("Room", attic()).apply("SET area = area + 1 REMOVE door");
    db.write(&update).unwrap();
    let change = db.record(&key).unwrap().change.unwrap();
    assert_eq!(
        change.pending,
        Some(Op::Set {
            set: Map::from([("area", 21)]),
            remove: ["door".to_owned()].into(),
        })
    );
}

#[test]
fn a_condition_that_does_not_hold_gives_back_the_item() {
    let db = filled();
    let hall = || Map::from([("name", "hall")]);
    let failing = [
        Write::update("Room", attic())
            .set("area", 1)
            .when("area > 20"),
        Write::upsert("Room", attic()).when("attribute_not_exists(name)"),
        Write::remove("Room", attic()).when("door.open = false"),
        Write::check("Room", attic()).when("kind <> 'office'"),
        Write::upsert("Room", hall()).when("attribute_exists(name)"),
        Write::check("Room", hall()).when("area = 1"),
    ];
    let shown =
        r#"{"area":20,"deviceId":"d1","door":{"open":true},"kind":"office","name":"attic"}"#;
    for write in failing {
        let before = db.sequence();
        let error = db.write(&write).unwrap_err();
        let DbError::ConditionFailed { key, item, .. } = &error else {
            panic!("{write:?}: {error}");
        };
        let expected = (key == "attic").then_some(shown);
        assert_eq!(
            item.as_ref().map(|item| item.to_json()).as_deref(),
            expected
        );
        assert_eq!(db.sequence(), before);
        assert_eq!(
            error.to_string(),
            format!("the condition does not hold of this Room ({key}); nothing was written")
        );
    }
    let holding = [
        Write::update("Room", attic())
            .set("area", 21)
            .when("area = 20"),
        Write::create("Room", hall()).when("attribute_not_exists(name)"),
        Write::upsert("Room", hall())
            .set("area", 2)
            .when("attribute_exists(name)"),
        Write::check("Room", hall()).when("area = 2"),
        Write::remove("Room", hall()).when("size(name) = 4"),
        Write::check("Room", hall()).when("attribute_not_exists(name)"),
    ];
    for write in holding {
        db.write(&write).unwrap();
    }
    assert_eq!(
        db.write(&Write::check("Room", hall())).unwrap_err().kind(),
        "not_found"
    );
}

#[test]
fn hidden_fields_cannot_be_guessed_by_writes() {
    let db = filled();
    let guesses = [
        Write::update("Room", attic()).when("code = '1234'"),
        Write::check("Room", attic()).when("begins_with(code, '1')"),
        Write::update("Room", attic()).apply("SET kind = code"),
        Write::upsert("Room", attic()).apply("SET log = list_append(log, code)"),
    ];
    for guess in guesses {
        assert_eq!(
            db.write(&guess).unwrap_err().kind(),
            "unknown_field",
            "{guess:?}"
        );
    }
    db.write(&Write::update("Room", attic()).set("code", "9"))
        .unwrap();
    let all = db.hidden(Hidden::Include);
    all.write(&Write::check("Room", attic()).when("code = '9'"))
        .unwrap();
}

#[test]
fn a_write_that_fails_says_which_part_of_it() {
    let db = filled();
    let words = |write: Write| {
        let error = db.write(&write).unwrap_err();
        (
            error.kind(),
            error.field().map(str::to_owned),
            error.to_string(),
        )
    };
    let update = || Write::update("Room", attic());
    let table = [
        (
            update().when("area >"),
            "bad_expression",
            Some("condition"),
            "the condition is wrong at column 7: found the end, expected a name, a value or size(...)",
        ),
        (
            update().apply("SET area = area + kind"),
            "update_failed",
            None,
            "this Room cannot be updated: `area` cannot be changed: `+` does not work with a string",
        ),
        (
            update().apply("SET area = 'x'"),
            "wrong_type",
            Some("area"),
            "Room.area is the text \"x\"; expected a number",
        ),
        (
            update().set("area", 1).unset("area"),
            "bad_expression",
            Some("update"),
            "the update is wrong at column 1: `area` overlaps with `area`: name each place once",
        ),
        (
            Write::update("Order", props(r#"{"id":"1"}"#)),
            "read_only_model",
            None,
            "Order is synced down: it can be changed in the cloud only",
        ),
    ];
    for (write, kind, field, text) in table {
        assert_eq!(
            words(write),
            (kind, field.map(str::to_owned), text.to_owned())
        );
    }
}

#[test]
fn several_writes_are_there_together_and_share_a_sequence() {
    let db = filled();
    db.flush().wait().unwrap();
    let mut stream = db.changes(Since::Now);
    let before = db.sequence();
    let done = db
        .write_all(&[
            Write::create("Room", props(r#"{"name":"hall","area":1}"#)),
            Write::update("Room", props(r#"{"name":"hall","area":2}"#)).when("area = 1"),
            Write::create("Note", props(r#"{"id":"n","text":"x"}"#)),
            Write::check("Room", attic()).when("area = 20"),
            Write::remove("Room", attic()),
        ])
        .unwrap();
    assert_eq!(done.sequence, before + 1);
    let areas: Vec<_> = done
        .value
        .iter()
        .map(|item| item.get("area").and_then(Value::as_i64))
        .collect();
    assert_eq!(areas, [Some(1), Some(2), None, Some(20), Some(20)]);
    done.ticket.wait().unwrap();
    let mut told = Vec::new();
    while let Some(Event::Change(change)) = stream.try_next() {
        assert_eq!(change.sequence, done.sequence);
        told.push((change.key.join("/"), change.item.map(|item| item.to_json())));
    }
    let hall = r#"{"area":2,"deviceId":"d1","kind":"office","name":"hall"}"#;
    let note = r#"{"id":"n","text":"x"}"#;
    assert_eq!(
        told,
        [
            ("hall".to_owned(), Some(hall.to_owned())),
            ("n".to_owned(), Some(note.to_owned())),
            ("attic".to_owned(), None),
        ]
    );
    assert_eq!(db.stats().rows["Room"], 1);
}

#[test]
fn one_write_that_fails_undoes_all_of_them() {
    let db = filled();
    let before = db.sequence();
    let error = db
        .write_all(&[
            Write::create("Room", props(r#"{"name":"hall"}"#)),
            Write::update("Room", attic())
                .set("area", 1)
                .when("area = 21"),
        ])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "write 2 of 2: the condition does not hold of this Room (attic); nothing was written"
    );
    assert_eq!(error.kind(), "condition_failed");
    assert_eq!(db.sequence(), before);
    assert_eq!((area(&db, "attic"), area(&db, "hall")), (Some(20), None));
    assert_eq!(db.stats().rows["Room"], 1);
}

#[test]
fn a_transaction_reads_its_own_writes() {
    let db = filled();
    let done = db
        .transaction(|tx| {
            for name in ["b", "a", "c"] {
                tx.create("Room", &Map::from([("name", name)]))?;
            }
            tx.remove("Room", &Map::from([("name", "b")]))?;
            tx.update("Room", &props(r#"{"name":"attic","area":30}"#))?;
            assert_eq!(tx.get("Room", &attic())?.unwrap()["area"], Value::from(30));
            assert_eq!(tx.get("Room", &Map::from([("name", "b")]))?, None);
            // Others see nothing of it yet.
            assert_eq!(area(&db, "attic"), Some(20));
            let pages = [
                Find::new(),
                Find::new().reverse(),
                Find::new().filter("name <> 'a'"),
            ];
            Ok::<_, DbError>(pages.map(|find| names(tx, find.limit(2))))
        })
        .unwrap();
    assert_eq!(done.value, ["a attic|c", "c attic|a", "attic c"]);
    assert_eq!(area(&db, "attic"), Some(30));
    assert_eq!(db.stats().rows["Room"], 3);
}

/// The names of all items, with a bar between pages.
fn names(tx: &Transaction<'_>, find: Find) -> String {
    let mut pages = Vec::new();
    let mut page = find.clone();
    loop {
        let found = tx.find("Room", &Map::new(), &page).unwrap();
        let names: Vec<_> = found
            .items
            .iter()
            .map(|item| item.text("name").unwrap())
            .collect();
        pages.push(names.join(" "));
        match found.next {
            Some(next) => page = find.clone().next(next),
            None => return pages.join("|"),
        }
    }
}

#[test]
fn what_a_transaction_has_removed_hides_nothing_behind_it() {
    let db = world().open();
    for n in 0..9 {
        db.create("Room", &Map::from([("name", format!("{n}"))]))
            .unwrap();
    }
    let done = db.transaction(|tx| {
        for n in [0, 1, 2, 5, 7, 8] {
            tx.remove("Room", &Map::from([("name", format!("{n}"))]))?;
        }
        tx.create("Room", &Map::from([("name", "45")]))?;
        let pages = [
            Find::new().limit(2),
            Find::new().limit(2).reverse(),
            Find::new(),
        ];
        Ok::<_, DbError>(pages.map(|find| names(tx, find)))
    });
    assert_eq!(done.unwrap().value, ["3 4|45 6", "6 45|4 3", "3 4 45 6"]);
}

#[test]
fn a_transaction_that_gives_an_error_did_nothing() {
    let db = filled();
    let before = db.sequence();
    let ended = db.transaction(|tx| {
        tx.remove("Room", &attic())?;
        Err::<(), _>(DbError::BadToken)
    });
    assert_eq!(ended.unwrap_err().kind(), "bad_token");
    assert_eq!(db.sequence(), before);
    assert_eq!(area(&db, "attic"), Some(20));
}

#[test]
fn a_write_that_failed_leaves_the_transaction_as_it_was() {
    let db = filled();
    db.transaction(|tx| {
        tx.create("Room", &Map::from([("name", "hall")]))?;
        let again = tx.create("Room", &attic());
        assert_eq!(again.unwrap_err().kind(), "exists");
        Ok::<_, DbError>(())
    })
    .unwrap();
    assert_eq!(db.stats().rows["Room"], 2);
}

#[test]
fn what_is_made_and_removed_in_one_transaction_leaves_no_trace() {
    let db = filled();
    let (before, queue) = (db.sequence(), db.stats().queue);
    let hall = Map::from([("name", "hall")]);
    let made = db.write_all(&[
        Write::create("Room", hall.clone()),
        Write::remove("Room", hall),
    ]);
    assert_eq!(made.unwrap().sequence, before);
    assert_eq!(db.stats().queue, queue);
}

#[test]
fn a_transaction_is_bounded() {
    let db = world().open();
    let notes = |count: usize| {
        let note = |n: usize| Write::create("Note", Map::from([("id", format!("{n}"))]));
        (0..count).map(note).collect::<Vec<_>>()
    };
    let error = db
        .write_all(&notes(TRANSACTION_WRITES_MAX + 1))
        .unwrap_err();
    assert_eq!(error.kind(), "bad_query");
    assert_eq!(db.stats().rows.get("Note"), None);
    db.write_all(&notes(TRANSACTION_WRITES_MAX)).unwrap();
    assert_eq!(db.stats().rows["Note"], 1000);
    let key = Map::from([("id", "1")]);
    let keys = vec![("Note", &key); BATCH_GET_ITEMS_MAX + 1];
    assert_eq!(db.get_all(&keys).unwrap_err().kind(), "bad_query");
    assert_eq!(db.get_all(&keys[1..]).unwrap().len(), BATCH_GET_ITEMS_MAX);
}

#[test]
fn the_row_limit_of_a_model_holds_within_a_transaction() {
    let mut world = world();
    world.schema = world.schema.replace("rows_max: 2000", "rows_max: 3");
    world.schema = world.schema.replace("rows_max: 50", "rows_max: 2");
    let db = world.open();
    let room = |name: &str| Write::create("Room", Map::from([("name", name)]));
    db.write(&room("a")).unwrap();
    let full = db.write_all(&[room("b"), room("c")]).unwrap_err();
    assert_eq!(full.kind(), "full");
    let removed = Write::remove("Room", Map::from([("name", "a")]));
    db.write_all(&[room("b"), removed, room("c")]).unwrap();
    let note = |id: &str| Write::create("Note", Map::from([("id", id)]));
    db.write_all(&[note("1"), note("2")]).unwrap();
    db.write_all(&[note("3"), note("4"), note("5")]).unwrap();
    let left = db.find("Note", &Map::new(), &Find::new()).unwrap().items;
    let ids: Vec<_> = left.iter().map(|item| item.text("id").unwrap()).collect();
    assert_eq!(ids, ["3", "4", "5"]);
    assert_eq!(db.stats().rows["Note"], 3);
    assert_eq!(db.stats().dropped["Note"].rows, 2);
}

#[test]
fn several_items_are_read_as_of_one_moment() {
    let db = filled();
    let (attic, hall) = (attic(), Map::from([("name", "hall")]));
    let found = db.get_all(&[("Room", &hall), ("Room", &attic)]).unwrap();
    assert_eq!(found[0], None);
    assert_eq!(found[1].as_ref().unwrap()["area"], Value::from(20));
}

#[test]
fn a_transaction_is_as_durable_as_its_most_durable_model() {
    let db = world().open();
    let note = Write::create("Note", props(r#"{"id":"n"}"#));
    let relaxed = db.write_all(std::slice::from_ref(&note)).unwrap();
    assert!(!relaxed.ticket.is_durable());
    let room = Write::create("Room", attic());
    let mixed = db
        .write_all(&[Write::remove("Note", props(r#"{"id":"n"}"#)), room])
        .unwrap();
    // Nobody flushes: the commit itself must have asked for it.
    mixed.ticket.wait().unwrap();
    let own = db
        .durability(Durability::Immediate)
        .write_all(&[note])
        .unwrap();
    own.ticket.wait().unwrap();
}

#[test]
fn the_database_refuses_writes_from_within_a_transaction_instead_of_waiting_for_ever() {
    let db = filled();
    let kinds = db
        .transaction(|_| {
            let inner = db.transaction(|tx| tx.remove("Room", &attic()));
            let writes = [
                db.remove("Room", &attic()).unwrap_err(),
                inner.unwrap_err(),
                db.get_all(&[]).unwrap_err(),
            ];
            Ok::<_, DbError>(writes.map(|error| error.kind()))
        })
        .unwrap();
    assert_eq!(kinds.value, ["reentrant"; 3]);
    // Another thread only waits.
    std::thread::scope(|scope| {
        let other = db
            .transaction(|_| {
                let other = scope.spawn(|| db.remove("Room", &attic()).map(|_| ()));
                Ok::<_, DbError>(other)
            })
            .unwrap();
        other.value.join().unwrap().unwrap();
    });
}

#[test]
fn a_check_refuses_a_write_with_the_field_and_the_reason() {
    let db = filled();
    let again = db.clone();
    db.check("Room", move |room| {
        // Reading is allowed, and sees what was before; writing is not.
        assert!(again.get("Room", &attic()).is_ok());
        let written = again.remove("Room", &attic()).map(|_| ());
        assert_eq!(written.unwrap_err().kind(), "reentrant");
        match (room.before, room.after) {
            (Some(before), None) if before.contains_key("code") => {
                Err(Refusal::new("it is locked").field("code"))
            }
            (_, Some(after)) if after.get("area").and_then(Value::as_i64) < Some(4) => {
                Err(Refusal::new("nobody can turn round in it").field("area"))
            }
            _ => Ok(()),
        }
    })
    .unwrap();
    let before = db.sequence();
    let refused = [
        db.create("Room", &props(r#"{"name":"box","area":1}"#))
            .unwrap_err(),
        db.update("Room", &props(r#"{"name":"attic","area":3}"#))
            .unwrap_err(),
        db.write_all(&[
            Write::create("Note", props(r#"{"id":"n"}"#)),
            Write::update("Room", attic()).set("area", 0),
        ])
        .unwrap_err(),
    ];
    for error in refused {
        assert_eq!((error.kind(), error.field()), ("refused", Some("area")));
        let text = error.to_string();
        assert!(
            text.ends_with("Room refuses this: nobody can turn round in it"),
            "{text}"
        );
    }
    let error = db.remove("Room", &attic()).unwrap_err();
    assert_eq!(error.field(), Some("code"));
    assert_eq!(db.sequence(), before);
    db.create("Room", &props(r#"{"name":"hall","area":9}"#))
        .unwrap();
    let unknown = db.check("Rom", |_| Ok(())).unwrap_err();
    assert_eq!(unknown.kind(), "unknown_model");
}

#[test]
fn values_of_a_context_go_into_every_call() {
    let db = world().open();
    let own = db.context_with(&Map::from([("floor", 3)])).unwrap();
    own.create("Note", &props(r#"{"id":"a"}"#)).unwrap();
    let note = db.get("Note", &props(r#"{"id":"a"}"#)).unwrap().unwrap();
    assert_eq!(note["floor"], Value::from(3));
    let error = own
        .create("Note", &props(r#"{"id":"b","floor":4}"#))
        .unwrap_err();
    assert_eq!(error.to_string(), "Note.floor cannot be set: it is 3 here");
    let named = db.context_with(&Map::from([("name", "attic")])).unwrap();
    named.create("Room", &Map::new()).unwrap();
    assert!(named.get("Room", &Map::new()).unwrap().is_some());
    assert_eq!(db.context().keys().collect::<Vec<_>>(), ["deviceId"]);
    let stolen = db
        .context_with(&Map::from([("deviceId", "d2")]))
        .unwrap_err();
    assert_eq!(
        stolen.to_string(),
        "deviceId belongs to this device and cannot be given anew"
    );
}

#[test]
fn an_expired_item_counts_as_absent_for_every_write() {
    let world = world();
    let db = world.open();
    let note = Map::from([
        ("id", Value::from("a")),
        ("text", Value::from("old")),
        ("expires", Value::from(START + 2000)),
    ]);
    db.create("Note", &note).unwrap();
    world.clock.pass(5000);
    let key = props(r#"{"id":"a"}"#);
    let update = Write::update("Note", key.clone()).set("text", "x");
    assert_eq!(db.write(&update).unwrap_err().kind(), "not_found");
    let check = Write::check("Note", key.clone()).when("attribute_exists(text)");
    let failed = db.write(&check).unwrap_err();
    assert!(
        matches!(failed, DbError::ConditionFailed { item: None, .. }),
        "{failed}"
    );
    let seen = db
        .transaction(|tx| {
            assert_eq!(tx.get("Note", &key)?, None);
            assert_eq!(tx.find("Note", &Map::new(), &Find::new())?.items, []);
            tx.write(&Write::upsert("Note", key.clone()).when("attribute_not_exists(id)"))
        })
        .unwrap();
    assert_eq!(seen.value.to_json(), r#"{"id":"a"}"#);
}
