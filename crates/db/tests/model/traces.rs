//! What rows of an import would touch, for who imports a file in many calls.

use periwinkle_db::model::transfer::Row;
use periwinkle_db::{Database, ImportOptions, Imported, OnConflict, Room, Trace};

use crate::world::{START, World, props};

const SCHEMA: &str = "{
    version: '1.0.0',
    indexes: { primary: { hash: 'pk', sort: 'sk' } },
    models: {
        Badge: {
            pk: { type: 'string', value: 'badges' },
            sk: { type: 'string', value: 'Badge#${line}#${id}' },
            line: { type: 'string', required: true },
            id: { type: 'string', required: true },
            email: { type: 'string', unique: true },
            number: { type: 'number', unique: true },
        },
        Kept: {
            pk: { type: 'string', value: 'kept' },
            sk: { type: 'string', value: 'Kept#${id}' },
            id: { type: 'string', required: true },
        },
        Brief: {
            pk: { type: 'string', value: 'brief' },
            sk: { type: 'string', value: 'Brief#${id}' },
            id: { type: 'string', required: true },
            expires: { type: 'date', ttl: true },
        },
        Log: {
            pk: { type: 'string', value: 'log' },
            sk: { type: 'string', value: 'Log#${id}' },
            id: { type: 'string', required: true },
        },
    },
    process: {
        Kept: { rows_max: 3, bytes_max: 1000, overflow: 'refuse' },
        Brief: { rows_max: 3, bytes_max: 1000, overflow: 'refuse' },
        Log: { rows_max: 3 },
    },
}";

fn world() -> World {
    let mut world = World::new(1);
    world.schema = SCHEMA.to_owned();
    world
}

fn open() -> Database {
    world().open()
}

fn check(db: &Database, rows: &[(&str, &str)], on_conflict: OnConflict) -> Imported {
    let rows: Vec<Row> = rows
        .iter()
        .map(|(model, properties)| Row::Properties {
            model: (*model).to_owned(),
            properties: props(properties),
        })
        .collect();
    let options = ImportOptions {
        on_conflict,
        check_only: true,
        traces: true,
    };
    db.import(&rows, options).unwrap()
}

fn traces(db: &Database, rows: &[(&str, &str)]) -> Vec<Trace> {
    check(db, rows, OnConflict::Replace).traces
}

#[test]
fn equal_keys_and_values_have_equal_marks_and_others_have_others() {
    let db = open();
    let found = traces(
        &db,
        &[
            ("Badge", r#"{"line":"a","id":"b#c","email":"x","number":7}"#),
            ("Badge", r#"{"line":"a","id":"b#c","email":"y"}"#),
            ("Badge", r#"{"line":"a#b","id":"c","number":7}"#),
            ("Badge", r#"{"line":"a","id":"d","email":"7"}"#),
        ],
    );
    let [first, same, alike, other] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((first.key, first.item), (same.key, same.item));
    // Its key is written like that of the first.
    assert_eq!(first.key, alike.key);
    assert_ne!(first.item, alike.item);
    assert_ne!(first.key, other.key);
    assert_ne!(first.item, other.item);
    let fields = |trace: &Trace| -> Vec<String> {
        let claims = trace.claims.iter();
        claims.map(|(field, _)| field.clone()).collect()
    };
    assert_eq!(fields(first), ["email", "number"]);
    assert_eq!(first.claims[1], alike.claims[0]);
    assert_ne!(first.claims[0].1, same.claims[0].1);
    assert_ne!(first.claims[1].1, other.claims[0].1, "another field");
}

#[test]
fn what_is_there_and_what_it_gives_up_are_told_as_the_database_has_them() {
    let db = open();
    let badge = r#"{"line":"a","id":"b","email":"x","number":7}"#;
    db.create("Badge", &props(badge)).unwrap();
    let moved = r#"{"line":"a","id":"b","email":"z","number":7}"#;
    let found = traces(
        &db,
        &[
            ("Badge", moved),
            ("Badge", moved),
            ("Badge", r#"{"line":"a","id":"c","email":"x"}"#),
        ],
    );
    // The second is judged by what lies there, not by the first.
    assert_eq!(
        (&found[0].freed, found[0].is_there),
        (&found[1].freed, true)
    );
    assert_eq!(found[0].freed, [found[2].claims[0].1]);
    assert_eq!((&found[2].freed[..], found[2].is_there), (&[][..], false));
    assert_eq!(
        found.iter().map(|trace| trace.row).collect::<Vec<_>>(),
        [0, 1, 2]
    );
}

#[test]
fn a_row_that_collides_is_traced_and_one_that_cannot_be_understood_is_not() {
    let db = open();
    let badge = r#"{"line":"a","id":"b","email":"x"}"#;
    db.create("Badge", &props(badge)).unwrap();
    let rows = [
        ("Badge", badge),
        ("Badge", r#"{"line":"a","id":"c","email":"x"}"#),
        ("Badge", r#"{"line":"a"}"#),
    ];
    let checked = check(&db, &rows, OnConflict::Fail);
    let kinds: Vec<_> = checked
        .faults
        .iter()
        .map(|(_, error)| error.kind())
        .collect();
    assert_eq!(kinds, ["exists", "not_unique", "missing_required"]);
    assert_eq!(checked.traces.len(), 2);
}

#[test]
fn models_that_refuse_at_a_bound_say_how_much_more_they_take() {
    let db = open();
    db.create("Kept", &props(r#"{"id":"1"}"#)).unwrap();
    let bytes = db.stats().bytes["Kept"];
    let rows = [
        ("Kept", r#"{"id":"1"}"#),
        ("Kept", r#"{"id":"2"}"#),
        ("Log", r#"{"id":"1"}"#),
    ];
    let checked = check(&db, &rows, OnConflict::Replace);
    let refusal = "Kept is full: it keeps 3 rows and 1000 bytes; remove rows, or raise the bound \
                   in the schema";
    let room = Room {
        rows: Some(2),
        bytes: Some(1000 - bytes),
        refusal: refusal.to_owned(),
    };
    let rooms: Vec<_> = checked.rooms.into_iter().collect();
    assert_eq!(rooms, [("Kept".to_owned(), room)]);
    let found: Vec<_> = checked.traces.iter().map(|trace| trace.bytes).collect();
    assert_eq!(found[..2], [(bytes, bytes), (bytes, 0)]);

    // A row without room is at fault, and those behind it are judged, too.
    let rows = [2, 3, 4, 5].map(|id| format!("{{\"id\":\"{id}\"}}"));
    let rows = rows.each_ref().map(|row| ("Kept", row.as_str()));
    let checked = check(&db, &rows, OnConflict::Fail);
    let faults: Vec<_> = checked
        .faults
        .iter()
        .map(|(at, error)| (*at, error.to_string()))
        .collect();
    assert_eq!(faults, [(2, refusal.to_owned()), (3, refusal.to_owned())]);
}

#[test]
fn a_model_has_the_room_that_a_purge_would_make() {
    let world = world();
    let db = world.open();
    for (id, expires) in [(1, START + 1000), (2, START + 1000), (3, START + 60_000)] {
        let item = format!("{{\"id\":\"{id}\",\"expires\":{expires}}}");
        db.create("Brief", &props(&item)).unwrap();
    }
    let row_bytes = db.stats().bytes["Brief"] / 3;
    let room = || {
        let rows = [("Brief", r#"{"id":"1"}"#), ("Brief", r#"{"id":"4"}"#)];
        let checked = check(&db, &rows, OnConflict::Replace);
        let room = &checked.rooms["Brief"];
        let bytes_now = checked.traces[0].bytes.1;
        (room.rows, room.bytes, bytes_now, checked.faults.len())
    };
    assert_eq!(room(), (Some(0), Some(1000 - 3 * row_bytes), row_bytes, 1));
    world.clock.pass(2000);
    // The row of the first is counted as room once, and not again as what it gives up.
    assert_eq!(room(), (Some(2), Some(1000 - row_bytes), 0, 0));
    // By a clock that nothing has confirmed nothing is purged.
    world.clock.distrust();
    let (rows, bytes, bytes_now, _) = room();
    assert_eq!(
        (rows, bytes, bytes_now),
        (Some(0), Some(1000 - 3 * row_bytes), row_bytes)
    );
}
