//! Keys of indexes that DynamoDB refuses are refused here, before they wait for ever to be sent.

use periwinkle_core::limits::{KEY_HASH_BYTES_MAX, KEY_SORT_BYTES_MAX, SCHEMA_INDEXES_MAX};
use periwinkle_core::value::Map;
use periwinkle_db::{Database, Find};

use crate::world::{World, props};

const SCHEMA: &str = "{
    version: '1.0.0',
    indexes: {
        primary: { hash: 'pk', sort: 'sk' },
        ls1: { sort: 'note', type: 'local' },
        gs1: { hash: 'place', sort: 'rank' },
    },
    models: {
        Sent: {
            pk: { type: 'string', value: 'dev#${deviceId}#rw' },
            sk: { type: 'string', value: 'Sent#${id}' },
            deviceId: { type: 'string', required: true },
            id: { type: 'string', required: true },
            note: { type: 'string' },
            place: { type: 'string' },
            grade: { type: 'number', map: 'rank' },
        },
        Odd: {
            pk: { type: 'string', value: 'dev#${deviceId}#up' },
            sk: { type: 'string', value: 'Odd#${id}' },
            deviceId: { type: 'string', required: true },
            id: { type: 'string', required: true },
            note: { type: 'number' },
            place: { type: 'boolean' },
        },
        Kept: {
            pk: { type: 'string', value: 'local#' },
            sk: { type: 'string', value: 'Kept#${id}' },
            id: { type: 'string', required: true },
            note: { type: 'boolean' },
        },
    },
    process: { Sent: { sync: 'both' }, Odd: { sync: 'up' } },
}";

fn open() -> Database {
    let mut world = World::new(1);
    world.schema = SCHEMA.to_owned();
    world.open()
}

#[test]
fn a_key_of_an_index_may_be_as_long_as_in_the_cloud_and_no_longer() {
    for (field, bytes_max, words) in [
        (
            "note",
            KEY_SORT_BYTES_MAX,
            "Sent.note cannot be the sort key of the index \"ls1\": it has 1025 bytes; the most is 1024",
        ),
        (
            "place",
            KEY_HASH_BYTES_MAX,
            "Sent.place cannot be the partition key of the index \"gs1\": it has 2049 bytes; the most is 2048",
        ),
    ] {
        let db = open();
        let mut item = props(r#"{"id":"1"}"#);
        item.insert(field, "x".repeat(bytes_max));
        db.create("Sent", &item).unwrap();
        item.insert(field, "x".repeat(bytes_max + 1));
        let refused = db.update("Sent", &item).unwrap_err();
        assert_eq!((refused.kind(), refused.field()), ("bad_key", Some(field)));
        assert_eq!(refused.to_string(), words);
        assert_eq!(db.stats().queue.rows, 1);
    }
}

#[test]
fn a_key_of_an_index_has_the_type_that_it_has_in_the_table() {
    let db = open();
    for (model, item, words) in [
        (
            "Odd",
            r#"{"id":"1","note":7}"#,
            "Odd.note cannot be the sort key of the index \"ls1\": it is a number; the key is a text",
        ),
        (
            "Odd",
            r#"{"id":"1","place":true}"#,
            "Odd.place cannot be the partition key of the index \"gs1\": it is no value for a key; the key is a text",
        ),
        (
            "Sent",
            r#"{"id":"1","note":""}"#,
            "Sent.note cannot be the sort key of the index \"ls1\": it is empty; leave it out instead",
        ),
    ] {
        let refused = db.create(model, &props(item)).unwrap_err();
        assert_eq!(refused.to_string(), words, "{item}");
    }
    assert_eq!(db.stats().queue.rows, 0);
    db.create("Sent", &props(r#"{"id":"1","place":"hall","grade":1.5}"#))
        .unwrap();
    db.create("Odd", &Map::from([("id", "1")])).unwrap();
    // What stays here is only left out of the index.
    db.create("Kept", &props(r#"{"id":"1","note":true}"#))
        .unwrap();
}

#[test]
fn a_row_has_its_place_in_as_many_indexes_as_a_schema_may_have() {
    // The schema has a local one beside these.
    let more = 0..SCHEMA_INDEXES_MAX - 1;
    let last = format!("g{}", more.end - 1);
    let all = |line: &dyn Fn(usize) -> String| more.clone().map(line).collect::<String>();
    let indexes = all(&|at| format!("g{at}: {{ hash: 'place', sort: 's{at}' }}, "));
    let fields = all(&|at| format!("s{at}: {{ type: 'string', value: '{at}#${{id}}' }}, "));
    let mut world = World::new(1);
    world.schema = SCHEMA
        .replace("gs1: { hash: 'place', sort: 'rank' },", &indexes)
        .replacen("grade:", &format!("{fields} grade:"), 1)
        .replace(
            "Sent: { sync: 'both' }",
            "Sent: { sync: 'both', rows_max: 9 }",
        );
    let db = world.open();
    let item = props(r#"{"id":"a","note":"n","place":"p"}"#);
    db.create("Sent", &item).unwrap();
    let found = db.find("Sent", &props(r#"{"place":"p"}"#), &Find::new().index(last));
    assert_eq!(found.unwrap().items.len(), 1);
}
