//! The table: every kind of mistake, and the sentence for it.

use periwinkle_core::value::{Map, Value};
use periwinkle_db::{Database, DbError, Find, Write};

use super::{Case, House, properties};

const SCHEMA: &str = "{
    version: '1.0.0',
    indexes: { primary: { hash: 'pk', sort: 'sk' }, gs1: { hash: 'place', sort: 'sk' } },
    models: {
        Room: {
            pk: { type: 'string', value: 'home#${house}' },
            sk: { type: 'string', value: 'Room#${name}' },
            house: { type: 'string', required: true },
            name: { type: 'string', required: true },
            floor: { type: 'number', required: true },
            area: { type: 'number' },
            kind: { type: 'string', enum: ['office', 'kitchen'] },
            door: { type: 'string', unique: true },
            made: { type: 'string', readonly: true },
            wall: { type: 'object', schema: { high: { type: 'number' } } },
            code: { type: 'string', hidden: true },
            t1: { type: 'string' }, t2: { type: 'string' },
            t3: { type: 'string' }, t4: { type: 'string' },
        },
        Lamp: {
            pk: { type: 'string', value: 'lamps' },
            sk: { type: 'string', value: 'Lamp#${line}#${id}' },
            line: { type: 'string', required: true },
            id: { type: 'string', required: true },
        },
        Few: {
            pk: { type: 'string', value: 'few' },
            sk: { type: 'string', value: 'Few#${id}' },
            id: { type: 'string', required: true },
        },
        Sent: {
            pk: { type: 'string', value: 'dev#${deviceId}#rw' },
            sk: { type: 'string', value: 'Sent#${id}' },
            deviceId: { type: 'string', required: true },
            id: { type: 'string', required: true },
            place: { type: 'string' },
        },
        Down: {
            pk: { type: 'string', value: 'dev#${deviceId}#dn' },
            sk: { type: 'string', value: 'Down#${id}' },
            deviceId: { type: 'string', required: true },
            id: { type: 'string', required: true },
        },
    },
    process: {
        Few: { rows_max: 1, overflow: 'refuse' },
        Sent: { sync: 'both' },
        Down: { sync: 'down' },
    },
}";

const ITEMS: &[(&str, &str)] = &[
    (
        "Room",
        r#"{"house":"a","name":"attic","floor":2,"door":"north","made":"1900","area":9}"#,
    ),
    ("Room", r#"{"house":"a","name":"hall","floor":0}"#),
    ("Lamp", r#"{"line":"x#y","id":"z"}"#),
    ("Few", r#"{"id":"1"}"#),
];

type Words = &'static [&'static str];

fn case(
    kind: &'static str,
    field: Option<&'static str>,
    library: fn(&Database) -> Result<(), DbError>,
    rest: (&'static str, &'static str, &str),
    status: u16,
    command: Words,
    sentence: &'static str,
) -> Case {
    Case {
        kind,
        field,
        library,
        rest: (rest.0, rest.1, rest.2.to_owned()),
        status,
        command: command.iter().map(ToString::to_string).collect(),
        exit: 3,
        sentence,
    }
}

fn create(db: &Database, model: &str, item: &str) -> Result<(), DbError> {
    db.create(model, &properties(item)).map(drop)
}

fn update(db: &Database, model: &str, item: &str) -> Result<(), DbError> {
    db.update(model, &properties(item)).map(drop)
}

fn find(db: &Database, item: &str, find: Find) -> Result<(), DbError> {
    db.find("Room", &properties(item), &find).map(drop)
}

fn attic() -> Map {
    properties(r#"{"house":"a","name":"attic"}"#)
}

fn hall() -> Map {
    properties(r#"{"house":"a","name":"hall"}"#)
}

fn of_models_and_properties() -> Vec<Case> {
    vec![
        case(
            "unknown_model",
            None,
            |db| db.require("Rom", &attic()).map(drop),
            ("GET", "Rom/a/attic", ""),
            404,
            &["get", "Rom", "a", "attic"],
            "There is no model \"Rom\"; did you mean \"Room\"?",
        ),
        case(
            "unknown_field",
            Some("aera"),
            |db| update(db, "Room", r#"{"house":"a","name":"attic","aera":1}"#),
            ("PATCH", "Room/a/attic", r#"{"aera":1}"#),
            400,
            &["update", "Room", "a", "attic", "aera:=1"],
            "Room has no field \"aera\"; did you mean \"area\"?",
        ),
        case(
            "unknown_field",
            Some("wall.wide"),
            |db| {
                update(
                    db,
                    "Room",
                    r#"{"house":"a","name":"attic","wall":{"wide":1}}"#,
                )
            },
            ("PATCH", "Room/a/attic", r#"{"wall":{"wide":1}}"#),
            400,
            &["update", "Room", "a", "attic", "wall:={\"wide\":1}"],
            "Room has no field \"wall.wide\"; there is high.",
        ),
        case(
            "unknown_field",
            Some("colour"),
            |db| find(db, r#"{"colour":"red"}"#, Find::new()),
            ("GET", "Room?colour=red", ""),
            400,
            &["find", "Room", "colour=red"],
            "Room has no field \"colour\"; there are house, name, floor, area, kind, door, made, \
             wall, t1, t2, t3 and t4.",
        ),
        case(
            "wrong_type",
            Some("area"),
            |db| update(db, "Room", r#"{"house":"a","name":"attic","area":"big"}"#),
            ("PATCH", "Room/a/attic", r#"{"area":"big"}"#),
            400,
            &["update", "Room", "a", "attic", "area=big"],
            "Room.area is the text \"big\"; expected a number.",
        ),
        case(
            "wrong_type",
            Some("area"),
            |db| find(db, r#"{"area":"big"}"#, Find::new()),
            ("GET", "Room?area=big", ""),
            400,
            &["find", "Room", "area=big"],
            "Room.area is the text \"big\"; expected a number.",
        ),
        case(
            "missing_required",
            Some("floor"),
            |db| create(db, "Room", r#"{"house":"a","name":"loft"}"#),
            ("POST", "Room", r#"{"house":"a","name":"loft"}"#),
            400,
            &["put", "Room", "a", "loft"],
            "Room.floor is required; give it a value.",
        ),
        case(
            "not_allowed",
            Some("kind"),
            |db| update(db, "Room", r#"{"house":"a","name":"attic","kind":"den"}"#),
            ("PATCH", "Room/a/attic", r#"{"kind":"den"}"#),
            400,
            &["update", "Room", "a", "attic", "kind=den"],
            "Room.kind cannot be the text \"den\"; expected one of \"office\", \"kitchen\".",
        ),
        case(
            "read_only_field",
            Some("made"),
            |db| update(db, "Room", r#"{"house":"a","name":"attic","made":"2000"}"#),
            ("PATCH", "Room/a/attic", r#"{"made":"2000"}"#),
            400,
            &["update", "Room", "a", "attic", "made=2000"],
            "Room.made cannot be set: it keeps its first value.",
        ),
        case(
            "too_large",
            None,
            |db| create(db, "Room", &large()),
            ("POST", "Room", &large()),
            413,
            &[],
            "The Room has 440059 bytes; the most is 409600: shorten it or split it.",
        ),
        case(
            "read_only_model",
            None,
            |db| create(db, "Down", r#"{"id":"1"}"#),
            ("POST", "Down", r#"{"id":"1"}"#),
            403,
            &["put", "Down", "1", "--new"],
            "Down is synced down: it can be changed in the cloud only.",
        ),
        case(
            "full",
            None,
            |db| create(db, "Few", r#"{"id":"2"}"#),
            ("POST", "Few", r#"{"id":"2"}"#),
            507,
            &["put", "Few", "2", "--new"],
            "Few is full: it keeps 1 row; remove rows, or raise the bound in the schema.",
        ),
    ]
}

const TEXT_BYTES: usize = 110_000;

/// More than an item may have, in pieces that a command line takes.
fn large() -> String {
    let mut item = properties(r#"{"house":"a","name":"large","floor":1}"#);
    for name in ["t1", "t2", "t3", "t4"] {
        item.insert(name, "x".repeat(TEXT_BYTES));
    }
    Value::Map(item).to_json()
}

fn of_keys() -> Vec<Case> {
    vec![
        case(
            "exists",
            None,
            |db| create(db, "Room", r#"{"house":"a","name":"attic","floor":1}"#),
            ("POST", "Room", r#"{"house":"a","name":"attic","floor":1}"#),
            409,
            &["put", "Room", "a", "attic", "floor=1", "--new"],
            "There is a Room with this key already (a/attic); update it, or use another key.",
        ),
        case(
            "exists",
            None,
            |db| create(db, "Lamp", r#"{"line":"x","id":"y#z"}"#),
            ("POST", "Lamp", r#"{"line":"x","id":"y#z"}"#),
            409,
            &["put", "Lamp", "x", "y#z", "--new"],
            "The key of this Lamp (x/y#z) is written like that of another item, Lamp (x#y/z): a \
             value has in it what separates the parts of the key; use another one.",
        ),
        case(
            "not_unique",
            Some("door"),
            |db| update(db, "Room", r#"{"house":"a","name":"hall","door":"north"}"#),
            ("PATCH", "Room/a/hall", r#"{"door":"north"}"#),
            409,
            &["update", "Room", "a", "hall", "door=north"],
            "There is another Room with this door; use another one.",
        ),
        case(
            "not_found",
            None,
            |db| {
                let loft = properties(r#"{"house":"a","name":"loft"}"#);
                db.require("Room", &loft).map(drop)
            },
            ("GET", "Room/a/loft", ""),
            404,
            &["get", "Room", "a", "loft"],
            "There is no Room with this key (a/loft); list the model to see what there is.",
        ),
        case(
            "not_found",
            None,
            |db| update(db, "Room", r#"{"house":"a","name":"loft","area":1}"#),
            ("PATCH", "Room/a/loft", r#"{"area":1}"#),
            404,
            &["update", "Room", "a", "loft", "area=1"],
            "There is no Room with this key (a/loft); list the model to see what there is.",
        ),
        case(
            "not_found",
            None,
            |db| {
                let loft = properties(r#"{"house":"a","name":"loft"}"#);
                db.remove("Room", &loft).map(drop)
            },
            ("DELETE", "Room/a/loft", ""),
            404,
            &["remove", "Room", "a", "loft"],
            "There is no Room with this key (a/loft); list the model to see what there is.",
        ),
        Case {
            exit: 64,
            ..case(
                "bad_key",
                None,
                |db| db.key_from_segments("Room", &["a"]).map(drop),
                ("GET", "Room/a", ""),
                400,
                &["get", "Room", "a"],
                "The key of Room has 2 parts, 1 is given; give house, name.",
            )
        },
        case(
            "not_found",
            None,
            |db| db.require("Few", &properties(r#"{"id":""}"#)).map(drop),
            ("GET", "Few/", ""),
            404,
            &["get", "Few", ""],
            "There is no Few with this key; list the model to see what there is.",
        ),
        case(
            "bad_key",
            Some("id"),
            |db| db.upsert("Few", &properties(r#"{"id":""}"#)).map(drop),
            ("PUT", "Few/", "{}"),
            400,
            &["put", "Few", ""],
            "The key of Few has an empty \"id\"; give it a value.",
        ),
        case(
            "bad_key",
            Some("house"),
            |db| create(db, "Room", r#"{"house":"","name":"x","floor":1}"#),
            ("POST", "Room", r#"{"house":"","name":"x","floor":1}"#),
            400,
            &["put", "Room", "house=", "name=x", "floor=1", "--new"],
            "The key of Room has an empty \"house\"; give it a value.",
        ),
        case(
            "bad_key",
            Some("place"),
            |db| create(db, "Sent", r#"{"id":"1","place":""}"#),
            ("POST", "Sent", r#"{"id":"1","place":""}"#),
            400,
            &["put", "Sent", "1", "place=", "--new"],
            "Sent.place cannot be the partition key of the index \"gs1\": it is empty; leave it \
             out instead.",
        ),
    ]
}

fn of_expressions() -> Vec<Case> {
    vec![
        case(
            "bad_expression",
            Some("filter"),
            |db| find(db, "{}", Find::new().filter("area > ")),
            ("GET", "Room?filter=area > ", ""),
            400,
            &["find", "Room", "--filter", "area > "],
            "The filter is wrong at column 8: found the end, expected a name, a value or size(...).",
        ),
        case(
            "bad_expression",
            Some("condition"),
            |db| {
                let write = Write::update("Room", attic()).when("area > :least");
                db.write(&write).map(drop)
            },
            ("PATCH", "Room/a/attic?if=area > :least", "{}"),
            400,
            &[
                "update",
                "Room",
                "a",
                "attic",
                "area=1",
                "--if",
                "area > :least",
            ],
            "The condition is wrong at column 8: the placeholder `:least` is not defined.",
        ),
        case(
            "bad_expression",
            Some("update"),
            |db| {
                db.write(&Write::update("Room", attic()).apply("PUT area 1"))
                    .map(drop)
            },
            ("PATCH", "Room/a/attic?apply=PUT area 1", "{}"),
            400,
            &["update", "Room", "a", "attic", "--apply", "PUT area 1"],
            "The update is wrong at column 1: found `PUT`, expected SET, REMOVE, ADD or DELETE.",
        ),
        case(
            "bad_expression",
            Some("projection"),
            |db| find(db, "{}", Find::new().project("area,")),
            ("GET", "Room?project=area,", ""),
            400,
            &["find", "Room", "--project", "area,"],
            "The projection is wrong at column 6: found the end, expected a name.",
        ),
        case(
            "unknown_field",
            Some("aera"),
            |db| find(db, "{}", Find::new().filter("floor = 1 and aera > 5")),
            ("GET", "Room?filter=floor = 1 and aera > 5", ""),
            400,
            &["find", "Room", "--filter", "floor = 1 and aera > 5"],
            "The filter is wrong at column 15: Room has no field \"aera\"; did you mean \"area\"?",
        ),
        case(
            "unknown_field",
            Some("wall.wide"),
            |db| {
                let write = Write::remove("Room", attic()).when("`wall`.wide = 1");
                db.write(&write).map(drop)
            },
            ("DELETE", "Room/a/attic?if=`wall`.wide = 1", ""),
            400,
            &["remove", "Room", "a", "attic", "--if", "`wall`.wide = 1"],
            "The condition is wrong at column 1: Room has no field \"wall.wide\"; there is high.",
        ),
        case(
            "unknown_field",
            Some("code"),
            |db| {
                let write = Write::update("Room", attic()).apply("SET t1 = code");
                db.write(&write).map(drop)
            },
            ("PATCH", "Room/a/attic?apply=SET t1 = code", "{}"),
            400,
            &["update", "Room", "a", "attic", "--apply", "SET t1 = code"],
            "The update is wrong at column 10: Room has no field \"code\"; there are house, name, \
             floor, area, kind, door, made, wall, t1, t2, t3 and t4.",
        ),
        case(
            "unknown_field",
            Some("aera"),
            |db| find(db, "{}", Find::new().project("house, aera")),
            ("GET", "Room?project=house, aera", ""),
            400,
            &["find", "Room", "--project", "house, aera"],
            "The projection is wrong at column 8: Room has no field \"aera\"; did you mean \
             \"area\"?",
        ),
        case(
            "condition_failed",
            None,
            |db| {
                db.write(&Write::update("Room", attic()).when("area > 9"))
                    .map(drop)
            },
            ("PATCH", "Room/a/attic?if=area > 9", "{}"),
            412,
            &["update", "Room", "a", "attic", "area=1", "--if", "area > 9"],
            "The condition does not hold of this Room (a/attic); nothing was written.",
        ),
        case(
            "update_failed",
            None,
            |db| {
                let write = Write::update("Room", hall()).apply("SET area = area + 1");
                db.write(&write).map(drop)
            },
            ("PATCH", "Room/a/hall?apply=SET area = area + 1", "{}"),
            400,
            &[
                "update",
                "Room",
                "a",
                "hall",
                "--apply",
                "SET area = area + 1",
            ],
            "This Room cannot be updated: `area` is read, but the item does not have it: use \
             if_not_exists(area, ...).",
        ),
        case(
            "bad_token",
            None,
            |db| find(db, "{}", Find::new().next("0123456789")),
            ("GET", "Room?next=0123456789", ""),
            400,
            &["find", "Room", "--next", "0123456789"],
            "The token does not belong to this query; start again without \"next\".",
        ),
        case(
            "bad_query",
            None,
            |db| {
                find(
                    db,
                    r#"{"house":"a","name":"attic"}"#,
                    Find::new().prefix("x"),
                )
            },
            ("GET", "Room?house=a&name=attic&prefix=x", ""),
            400,
            &["find", "Room", "house=a", "name=attic", "--prefix", "x"],
            "A prefix needs a part of the key that is not given.",
        ),
    ]
}

#[test]
fn a_mistake_is_told_in_the_same_sentence_everywhere() {
    let mut cases = of_models_and_properties();
    cases.extend(of_keys());
    cases.extend(of_expressions());
    let texts = ["t1", "t2", "t3", "t4"].map(|name| format!("{name}={}", "x".repeat(TEXT_BYTES)));
    let large = cases.iter_mut().find(|case| case.kind == "too_large");
    let command = ["put", "Room", "a", "large", "floor=1", "--new"].map(str::to_owned);
    large.expect("it is in the table").command = [&command[..], &texts[..]].concat();
    House::new(SCHEMA, ITEMS).check(&cases);
}

#[test]
fn a_model_from_the_future_is_left_alone_in_the_same_words_everywhere() {
    let newer = SCHEMA.replace("version: '1.0.0'", "version: '2.0.0'");
    let parked = "Few was written by version 2.0.0 of the schema, and this program knows 1.0.0: update it, \
                  or go back to the newer one.";
    let cases = [
        case(
            "parked_model",
            None,
            |db| db.require("Few", &properties(r#"{"id":"1"}"#)).map(drop),
            ("GET", "Few/1", ""),
            409,
            &["get", "Few", "1"],
            parked,
        ),
        case(
            "parked_model",
            None,
            |db| update(db, "Few", r#"{"id":"1"}"#),
            ("PATCH", "Few/1", "{}"),
            409,
            &["put", "Few", "1"],
            parked,
        ),
    ];
    House::with(&newer, &[("Few", r#"{"id":"1"}"#)], SCHEMA).check(&cases);
}
