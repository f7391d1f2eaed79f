//! Keys, ranges of keys, and texts in URLs.

use super::*;

#[test]
fn keys_and_ranges_follow_what_is_given() {
    let schema = Schema::parse(FIXTURE).unwrap();
    let model = schema.model("Reading").unwrap();
    assert_eq!(model.key_variables(), ["deviceId", "month", "at"]);
    let asked: Vec<_> = model
        .asked_names(&context())
        .map(ToString::to_string)
        .collect();
    assert_eq!(asked, ["month", "at"]);
    let range = |given: &str| model.key_range(&properties(given), &context()).unwrap();
    assert_eq!(
        range("{}"),
        KeyRange::Partitions {
            hash_prefix: "dev#d1#up#".to_owned()
        }
    );
    assert_eq!(
        range(r#"{"month":"2026-11"}"#),
        KeyRange::Partition {
            hash: "dev#d1#up#2026-11".to_owned(),
            sort_prefix: "Reading#".to_owned()
        }
    );
    let key = ItemKey::new("dev#d1#up#2026-11", "Reading#2026-11-22T10:00:00.000Z");
    let full = r#"{"month":"2026-11","at":"2026-11-22T10:00:00Z","value":3}"#;
    assert_eq!(range(full), KeyRange::One(key.clone()));
    assert_eq!(model.key(&properties(full), &context()).unwrap(), key);
    let segments = ["2026-11", "2026-11-22T10:00:00.000Z"];
    let named = model.key_from_segments(&segments, &context()).unwrap();
    assert_eq!(model.key(&named, &context()).unwrap(), key);
    let item = create(&schema, "Reading", full).unwrap();
    assert_eq!(model.key_segments(&item, &context()), segments);
    assert_eq!(model.key_of(&item), Some(key));
}

#[test]
fn a_text_becomes_a_value_of_its_field() {
    let schema = Schema::parse(FIXTURE).unwrap();
    let model = schema.model("Everything").unwrap();
    let table = [
        ("name", "12", "\"12\""),
        ("count", "12", "12"),
        ("on", "false", "false"),
        ("tags", "[\"a\"]", "[\"a\"]"),
        ("free", "{\"a\":1}", "{\"a\":1}"),
        ("at", "2026-11-22", "\"2026-11-22\""),
    ];
    for (name, text, expected) in table {
        let value = model.value_from_text(name, text).unwrap();
        assert_eq!(value.to_json(), expected, "{name}");
    }
    let kind = |name: &str, text: &str| model.value_from_text(name, text).unwrap_err().kind();
    assert_eq!(kind("count", "many"), "wrong_type");
    assert_eq!(kind("tags", "a,b"), "wrong_type");
    assert_eq!(kind("nam", "x"), "unknown_field");
}

#[test]
fn an_incomplete_or_oversize_key_is_refused() {
    let schema = Schema::parse(FIXTURE).unwrap();
    let model = schema.model("Reading").unwrap();
    let error = model
        .key(&properties(r#"{"month":"2026-11"}"#), &context())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key of Reading needs \"at\"; give month, at"
    );
    let error = model
        .key_from_segments(&["2026-11"], &context())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key of Reading has 2 parts, 1 is given; give month, at"
    );
    let model = schema.model("Everything").unwrap();
    let key = |letters: usize| {
        let id = "x".repeat(letters);
        model.key(&Map::from([("id", id.as_str())]), &context())
    };
    let room = crate::limits::KEY_SORT_BYTES_MAX - "Everything#".len();
    assert!(key(room).is_ok());
    assert_eq!(
        key(room + 1).unwrap_err().to_string(),
        "the key of Everything has a sort key of 1025 bytes; the most is 1024"
    );
    assert_eq!(
        model
            .key(&Map::from([("id", "a\0b")]), &context())
            .unwrap_err()
            .to_string(),
        "the key of Everything has a zero character in its sort key"
    );
}

#[test]
fn an_item_without_a_type_belongs_to_the_model_whose_key_fits() {
    let schema = Schema::parse(FIXTURE).unwrap();
    let owner = |hash: &str, sort: &str| {
        let item = Map::from([("pk", hash), ("sk", sort)]);
        schema.model_of(&item).map(|model| model.name().to_owned())
    };
    assert_eq!(
        owner("dev#d1#rw", "Everything#a").as_deref(),
        Some("Everything")
    );
    assert_eq!(
        owner("dev#d1#up#2026-11", "Reading#x").as_deref(),
        Some("Reading")
    );
    assert_eq!(owner("dev#d1#up#2026-11", "Everything#a"), None);
    assert_eq!(owner("dev#d1#rw", "~del#x"), None);
    let typed = Map::from([("pk", "x"), ("sk", "y"), ("_type", "Reading")]);
    assert_eq!(schema.model_of(&typed).map(Model::name), Some("Reading"));
    let foreign = Map::from([
        ("pk", "dev#d1#rw"),
        ("sk", "Everything#a"),
        ("_type", "Theirs"),
    ]);
    assert!(schema.model_of(&foreign).is_none());
}
