//! Items as things of the program's own types.

use periwinkle_core::value::{Map, Number};
use periwinkle_db::Find;
use serde::{Deserialize, Serialize};

use crate::world::{World, props};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Setting {
    id: Option<String>,
    value: String,
    note: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Metric {
    month: String,
    at: String,
    load: Number,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Viewer,
    Owner,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
    role: Role,
}

#[test]
fn a_thing_is_made_found_changed_and_removed() {
    let db = World::new(1).open();
    let settings = db.rows::<Setting>("Setting").unwrap();
    let thing = Setting {
        id: None,
        value: "1".to_owned(),
        note: None,
    };
    let made = settings.create(&thing).unwrap();
    made.ticket.wait().unwrap();
    let id = made.value.id.clone().unwrap();
    assert_eq!(id.len(), 26);
    let key = Map::from([("id", id)]);
    assert_eq!(settings.get(&key).unwrap(), Some(made.value.clone()));
    let noted = Setting {
        note: Some("n".to_owned()),
        ..made.value.clone()
    };
    assert_eq!(settings.upsert(&noted).unwrap().value, noted);
    // What a thing does not have any more, its item loses.
    assert_eq!(settings.upsert(&made.value).unwrap().value, made.value);
    let found = settings
        .find(&(), &Find::new().filter("value = '1'"))
        .unwrap();
    assert_eq!(found.items, std::slice::from_ref(&made.value));
    let mut change = key.clone();
    change.insert("value", "2");
    assert_eq!(settings.update(&change).unwrap().value.value, "2");
    assert_eq!(settings.remove(&key).unwrap().value.value, "2");
    assert_eq!(settings.get(&key).unwrap(), None);
}

#[test]
fn numbers_keep_their_digits_and_enums_travel_by_name() {
    let db = World::new(1).open();
    let metrics = db.rows::<Metric>("Metric").unwrap();
    let metric = Metric {
        month: "2026-11".to_owned(),
        at: "2026-11-22T00:00:00.000Z".to_owned(),
        load: "0.12345678901234567890123456789012345678".parse().unwrap(),
    };
    assert_eq!(metrics.create(&metric).unwrap().value, metric);
    let users = db.rows::<User>("User").unwrap();
    let ada = User {
        name: "ada".to_owned(),
        role: Role::Owner,
    };
    users.create(&ada).unwrap();
    let raw = db
        .get("User", &props(r#"{"name":"ada"}"#))
        .unwrap()
        .unwrap();
    assert_eq!(raw.to_json(), r#"{"name":"ada","role":"owner"}"#);
    assert_eq!(users.find(&(), &Find::new()).unwrap().items, [ada]);
}

#[test]
fn a_thing_that_does_not_fit_names_the_field() {
    let db = World::new(1).open();
    db.create("User", &props(r#"{"name":"ada","role":"editor"}"#))
        .unwrap();
    let users = db.rows::<User>("User").unwrap();
    let error = users.get(&Map::from([("name", "ada")])).unwrap_err();
    assert_eq!((error.kind(), error.field()), ("wrong_type", Some("role")));
    assert_eq!(
        error.to_string(),
        "User: role: unknown variant `editor`, expected `viewer` or `owner`"
    );
    let error = users.get(&7).unwrap_err();
    assert_eq!(
        error.to_string(),
        "User: is a number; expected a struct or a map"
    );
    assert_eq!(db.rows::<User>("Usr").unwrap_err().kind(), "unknown_model");
}
