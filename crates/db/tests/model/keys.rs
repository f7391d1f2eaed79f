//! Which item a key names: parts with defaults, generated parts, and keys that two items would share.

use periwinkle_core::value::{Map, Value};
use periwinkle_db::model::transfer::Row;
use periwinkle_db::{Database, DbError, Find, ImportOptions, OnConflict, Write};
use serde::{Deserialize, Serialize};

use crate::world::{World, props};

const SCHEMA: &str = "{
    version: '1.0.0',
    indexes: { primary: { hash: 'pk', sort: 'sk' } },
    models: {
        Def: {
            pk: { type: 'string', value: 'local#' },
            sk: { type: 'string', value: 'Def#${kind}#${id}' },
            kind: { type: 'string', default: 'office' },
            id: { type: 'string', required: true },
            x: { type: 'number' },
            y: { type: 'string' },
            ro: { type: 'string', readonly: true },
        },
        Chain: {
            pk: { type: 'string', value: 'local#' },
            sk: { type: 'string', value: '${_type}#${whole}' },
            whole: { type: 'string', value: '${floor:3}-${id}' },
            floor: { type: 'number', default: 7 },
            id: { type: 'string', required: true },
            x: { type: 'number' },
            y: { type: 'string' },
        },
        Pair: {
            pk: { type: 'string', value: 'local#' },
            sk: { type: 'string', value: 'Pair#${kind}#${id}' },
            kind: { type: 'string', required: true },
            id: { type: 'string', required: true },
            x: { type: 'number' },
        },
        Wide: {
            pk: { type: 'string', value: 'local#' },
            sk: { type: 'string', value: 'Pair#${whole}' },
            whole: { type: 'string', required: true },
        },
        Short: {
            pk: { type: 'string', value: 'local#' },
            sk: { type: 'string', value: 'Short#${id}' },
            id: { type: 'string', generate: 'uid(1)' },
            x: { type: 'number' },
        },
    },
}";

fn open() -> Database {
    let mut world = World::new(1);
    world.schema = SCHEMA.to_owned();
    world.open()
}

/// The ways to change what is given of an item, or to make it.
type Upsert = fn(&Database, &str, Map) -> Result<Map, DbError>;

const UPSERTS: [Upsert; 4] = [
    |db, model, item| Ok(db.upsert(model, &item)?.item),
    |db, model, item| Ok(db.write(&Write::upsert(model, item))?.item),
    |db, model, item| {
        let written = db.write_all(&[Write::upsert(model, item)])?;
        Ok(written.value[0].clone())
    },
    |db, model, item| Ok(db.transaction(|tx| tx.upsert(model, &item))?.value),
];

#[test]
fn an_upsert_changes_the_item_that_the_default_of_a_key_part_names() {
    for upsert in UPSERTS {
        let db = open();
        let office = r#"{"id":"1","kind":"office","x":1,"ro":"a"}"#;
        db.create("Def", &props(office)).unwrap();
        let changed = upsert(&db, "Def", props(r#"{"id":"1","y":"2"}"#)).unwrap();
        let expected = r#"{"id":"1","kind":"office","ro":"a","x":1,"y":"2"}"#;
        assert_eq!(changed.to_json(), expected);
        let refused = upsert(&db, "Def", props(r#"{"id":"1","ro":"changed"}"#)).unwrap_err();
        assert_eq!(refused.kind(), "read_only_field");
        // Where the default names no item, one is made.
        upsert(&db, "Def", props(r#"{"id":"2","x":2}"#)).unwrap();
        let all = db.find("Def", &Map::new(), &Find::new()).unwrap();
        assert_eq!(all.items.len(), 2);
        assert_eq!(all.items[0].to_json(), expected);
    }
}

#[test]
fn a_condition_looks_at_the_item_that_the_default_of_a_key_part_names() {
    let db = open();
    db.create("Def", &props(r#"{"id":"1","x":1}"#)).unwrap();
    let item = props(r#"{"id":"1","y":"2"}"#);
    let new = Write::upsert("Def", item.clone()).when("attribute_not_exists(id)");
    assert_eq!(db.write(&new).unwrap_err().kind(), "condition_failed");
    let known = Write::upsert("Def", item).when("x = 1").add("x", 1);
    assert_eq!(db.write(&known).unwrap().item["x"], Value::from(2));
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Def {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

#[test]
fn a_typed_upsert_changes_the_item_that_the_default_of_a_key_part_names() {
    let db = open();
    db.create("Def", &props(r#"{"id":"1","x":1}"#)).unwrap();
    let item = Def {
        id: "1".to_owned(),
        kind: None,
        x: None,
        y: Some("2".to_owned()),
    };
    let kept = db.rows::<Def>("Def").unwrap().upsert(&item).unwrap();
    assert_eq!(kept.value.x, Some(1));
}

#[test]
fn every_verb_names_the_item_by_the_default_of_a_key_part() {
    for (model, key, whole) in [
        ("Def", r#"{"id":"1"}"#, r#"{"id":"1","kind":"office"}"#),
        ("Chain", r#"{"id":"1"}"#, r#"{"id":"1","floor":7}"#),
    ] {
        let db = open();
        let key = props(key);
        let made = db.create(model, &key).unwrap().item;
        assert_eq!(db.get(model, &key).unwrap().as_ref(), Some(&made));
        assert_eq!(db.get(model, &props(whole)).unwrap().as_ref(), Some(&made));
        assert_eq!(db.get_all(&[(model, &key)]).unwrap(), [Some(made)]);
        let mut change = key.clone();
        change.insert("x", 5);
        db.update(model, &change).unwrap();
        let check = Write::check(model, key.clone()).when("x = 5");
        db.write_all(&[check]).unwrap();
        change.remove("x");
        change.insert("y", "6");
        let upserted = db.upsert(model, &change).unwrap().item;
        assert_eq!(
            (&upserted["x"], &upserted["y"]),
            (&Value::from(5), &"6".into())
        );
        assert_eq!(db.create(model, &key).unwrap_err().kind(), "exists");
        assert_eq!(db.remove(model, &key).unwrap().item, upserted);
        assert_eq!(db.get(model, &key).unwrap(), None);
    }
}

#[test]
fn a_part_of_the_key_that_is_null_has_no_default() {
    let db = open();
    db.create("Def", &props(r#"{"id":"1"}"#)).unwrap();
    let null = props(r#"{"id":"1","kind":null}"#);
    assert_eq!(db.get("Def", &null).unwrap_err().kind(), "bad_key");
    assert_eq!(
        db.upsert("Def", &null).unwrap_err().kind(),
        "missing_required"
    );
}

#[test]
fn a_list_without_a_part_of_the_key_is_not_narrowed_by_its_default() {
    let db = open();
    for kind in ["hall", "office"] {
        let item = Map::from([("id", "1"), ("kind", kind)]);
        db.create("Def", &item).unwrap();
    }
    let one = Map::from([("id", "1")]);
    assert_eq!(db.find("Def", &one, &Find::new()).unwrap().items.len(), 2);
}

#[test]
fn the_name_of_the_model_in_a_key_need_not_be_given() {
    let db = open();
    let key = db.key_from_segments("Chain", &["7", "1"]).unwrap();
    let made = db.upsert("Chain", &key).unwrap();
    assert_eq!(db.segments("Chain", &made.item).unwrap(), ["7", "1"]);
}

#[test]
fn an_upsert_whose_generated_key_is_taken_leaves_the_item_that_is_there() {
    let db = open();
    let mut refused = 0;
    for x in 0..200 {
        match db.upsert("Short", &Map::from([("x", x)])) {
            Ok(made) => assert_eq!(made.item["x"], Value::from(x)),
            Err(error) => {
                assert_eq!(error.kind(), "exists");
                refused += 1;
            }
        }
    }
    let items = db.find("Short", &Map::new(), &Find::new()).unwrap().items;
    assert_eq!(items.len() + refused, 200);
    assert!(refused > 100, "one letter has few values");
}

#[test]
fn an_item_is_found_by_its_own_key_only_though_another_is_written_alike() {
    let mine = props(r#"{"kind":"x#y","id":"z"}"#);
    let other = Map::from([("kind", "x"), ("id", "y#z")]);
    let db = open();
    let mut item = mine.clone();
    item.insert("x", 1);
    db.create("Pair", &item).unwrap();
    assert_eq!(db.get("Pair", &other).unwrap(), None);
    assert_eq!(db.get_all(&[("Pair", &other)]).unwrap(), [None]);
    assert_eq!(
        db.hidden(periwinkle_core::schema::Hidden::Include)
            .get("Pair", &other)
            .unwrap(),
        None
    );
    let kinds = [
        db.update("Pair", &other).map(drop),
        db.remove("Pair", &other).map(drop),
        db.write(&Write::check("Pair", other.clone())).map(drop),
        db.write_all(&[Write::remove("Pair", other.clone())])
            .map(drop),
        db.transaction(|tx| {
            assert_eq!(tx.get("Pair", &other)?, None);
            tx.remove("Pair", &other)
        })
        .map(drop),
    ]
    .map(|refused| refused.unwrap_err().kind());
    assert_eq!(kinds, ["not_found"; 5]);
    let words = "the key of this Pair (x/y#z) is written like that of another item, Pair (x#y/z): a \
                 value has in it what separates the parts of the key; use another one";
    for refused in [
        db.create("Pair", &other).map(drop),
        db.upsert("Pair", &other).map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.to_string()),
            ("exists", words.to_owned())
        );
    }
    for on_conflict in [OnConflict::Fail, OnConflict::Skip, OnConflict::Replace] {
        let row = Row::Properties {
            model: "Pair".to_owned(),
            properties: other.clone(),
        };
        let options = ImportOptions {
            on_conflict,
            ..ImportOptions::default()
        };
        let imported = db.import(&[row], options).unwrap();
        assert_eq!(imported.faults[0].1.to_string(), words);
    }
    assert_eq!(db.get("Pair", &mine).unwrap(), Some(item.clone()));
    assert_eq!(db.remove("Pair", &mine).unwrap().item, item);
}

#[test]
fn an_item_of_another_model_is_not_found_by_a_key_that_is_written_alike() {
    let db = open();
    db.create("Pair", &props(r#"{"kind":"x","id":"y"}"#))
        .unwrap();
    let wide = Map::from([("whole", "x#y")]);
    assert_eq!(db.get("Wide", &wide).unwrap(), None);
    assert_eq!(db.remove("Wide", &wide).unwrap_err().kind(), "not_found");
    assert_eq!(
        db.upsert("Wide", &wide).unwrap_err().to_string(),
        "the key of this Wide (x#y) is written like that of another item, Pair (x/y): a value has in \
         it what separates the parts of the key; use another one"
    );
}
