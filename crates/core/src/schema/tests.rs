//! Behaviours of the schema as a whole: what is refused, and what is stored and seen.

use super::*;
use crate::ids::UlidSource;
use crate::sync::config::{Direction, Policy};
use crate::sync::record::ItemKey;
use crate::time::UnixMillis;
use crate::value::attribute::{from_attribute_json, item_from_json, value_from_json};
use crate::value::{Map, Value, json};

const FIXTURE: &str = include_str!("fixtures/schema.json");
const ITEMS: &str = include_str!("fixtures/items.json");

/// 2026-11-22T10:21:53.667Z, the time at which the fixture was made.
const FIXED: UnixMillis = UnixMillis(1_795_342_913_667);

fn properties(text: &str) -> Map {
    json::parse(text).unwrap().into_map().unwrap()
}

fn context() -> Map {
    Map::from([("deviceId", "d1")])
}

fn with_writing<T>(action: impl FnOnce(&mut Writing<'_>) -> T) -> T {
    let mut next = 0u8;
    let mut entropy = move |bytes: &mut [u8]| {
        for byte in bytes {
            next = next.wrapping_add(1);
            *byte = next;
        }
    };
    action(&mut Writing {
        context: &context(),
        wall: Some(FIXED),
        ulids: &mut UlidSource::default(),
        entropy: &mut entropy,
    })
}

fn create(schema: &Schema, model: &str, given: &str) -> Result<Map, PropertyError> {
    let model = schema.model(model).unwrap();
    with_writing(|writing| model.create(&properties(given), writing))
}

fn update(schema: &Schema, model: &str, item: &Map, given: &str) -> Result<Map, PropertyError> {
    let model = schema.model(model).unwrap();
    with_writing(|writing| model.update(item, &properties(given), writing))
}

/// A schema of one model `M` with these fields beside its key.
fn one_model(fields: &str) -> String {
    format!(
        "{{
  version: '1.0.0',
  indexes: {{ primary: {{ hash: 'pk', sort: 'sk' }} }},
  models: {{ M: {{
    pk: {{ type: 'string', value: 'local#' }},
    sk: {{ type: 'string', value: 'M#${{id}}' }},
    id: {{ type: 'string', required: true }},
    {fields}
  }} }},
}}"
    )
}

#[test]
fn items_are_stored_exactly_as_onetable_stores_them() {
    let iso = Schema::parse(FIXTURE).unwrap();
    let millis = FIXTURE.replace("\"isoDates\": true,", "\"isoDates\": false,");
    let millis = Schema::parse(&millis).unwrap();
    let cases = json::parse(ITEMS).unwrap();
    let cases = cases.as_list().unwrap();
    assert_eq!(cases.len(), 40);
    for case in cases {
        let case = case.as_map().unwrap();
        let schema = if case["iso"] == Value::Bool(true) {
            &iso
        } else {
            &millis
        };
        let mut given = case["properties"].as_map().unwrap().clone();
        if let Some(data) = given.get_mut("data") {
            *data = data.as_map().unwrap()["$binary"].clone();
        }
        let model = schema.model(case.text("model").unwrap()).unwrap();
        let made = match case.text("op").unwrap() {
            "create" => {
                let made = with_writing(|writing| model.create(&given, writing)).unwrap();
                let expected = item_from_json(case["item"].clone()).unwrap();
                assert_eq!(made, expected, "{given:?}");
                made
            }
            _ => {
                let before = create(schema, model.name(), r#"{"id":"a","name":"old"}"#).unwrap();
                let after = with_writing(|writing| model.update(&before, &given, writing)).unwrap();
                let mut expected = before;
                for name in case["remove"].as_list().unwrap() {
                    expected.remove(name.as_str().unwrap());
                }
                for (name, value) in case["set"].as_map().unwrap() {
                    expected.insert(name, value_from_json(value.clone()).unwrap());
                }
                // OneTable leaves an index key whose variable is gone; here it goes too.
                if given.get("name") == Some(&Value::Null) {
                    expected.remove("gs1pk");
                }
                assert_eq!(after, expected, "{given:?}");
                after
            }
        };
        let seen = model.properties(&made, Hidden::Omit);
        assert!(!seen.contains_key("pk") && !seen.contains_key("_type"));
    }
}

#[test]
fn what_is_stored_reads_back_as_it_was_given() {
    let schema = Schema::parse(FIXTURE).unwrap();
    let given = r#"{"id":"a","name":"n","count":2,"on":false,"at":"2026-11-22T10:00:00.000Z",
        "expires":"2026-11-22T10:00:01.000Z","tags":["a","b"],"data":"AQID","list":[1,null],
        "free":{"x":{"y":1}},"level":"low","short":"s",
        "address":{"street":"Main","zip":"1","country":"SE"},"steps":[{"what":"go","n":3}]}"#;
    let item = create(&schema, "Everything", given).unwrap();
    let model = schema.model("Everything").unwrap();
    let mut seen = model.properties(&item, Hidden::Omit);
    for implied in ["created", "updated", "deviceId"] {
        assert!(seen.remove(implied).is_some());
    }
    assert_eq!(seen.to_json(), properties(given).to_json());
    assert_eq!(model.expires(&item), Some(UnixMillis(1_795_341_601_000)));
}

#[test]
fn foreign_forms_are_read_and_foreign_attributes_are_hidden_and_kept() {
    let schema = Schema::parse(FIXTURE).unwrap();
    let model = schema.model("Everything").unwrap();
    let item = from_attribute_json(
        r#"{"pk":{"S":"dev#d1#rw"},"sk":{"S":"Everything#a"},"id":{"S":"a"},"at":{"N":"1795341600000"},
            "created":{"S":"2026-11-22T10:00:00Z"},"data":{"B":"AQID"},"count":{"S":"many"},"_v":{"N":"5"},
            "theirs":{"S":"x"}}"#,
    )
    .unwrap();
    assert_eq!(
        model.properties(&item, Hidden::Omit).to_json(),
        r#"{"at":"2026-11-22T10:00:00.000Z","count":"many","created":"2026-11-22T10:00:00.000Z","data":"AQID","id":"a","on":true}"#
    );
    let changed = update(&schema, "Everything", &item, r#"{"name":"n"}"#).unwrap();
    assert_eq!(changed.text("deviceId"), Some("d1"));
    assert_eq!(changed.text("theirs"), Some("x"));
    assert_eq!(changed["_v"], Value::from(5));
    assert_eq!(changed.text("count"), Some("many"));
    assert_eq!(changed.text("_type"), Some("Everything"));
}

#[test]
fn hidden_fields_are_shown_to_those_who_ask() {
    let schema = Schema::parse(&one_model("secret: { type: 'string', hidden: true },")).unwrap();
    let item = create(&schema, "M", r#"{"id":"a","secret":"s"}"#).unwrap();
    let model = schema.model("M").unwrap();
    let open = model.properties(&item, Hidden::Omit);
    assert_eq!(open.to_json(), r#"{"id":"a"}"#);
    let all = model.properties(&item, Hidden::Include);
    assert_eq!(
        all.to_json(),
        r#"{"_type":"M","id":"a","pk":"local#","secret":"s","sk":"M#a"}"#
    );
}

#[test]
fn ids_are_generated_where_none_is_given() {
    let fields =
        "a: { type: 'string', generate: 'ulid' }, b: { type: 'string', generate: 'uid(4)' },
        c: { type: 'string', generate: 'uuid' }, d: { type: 'string', generate: 'uid' },";
    let schema = Schema::parse(&one_model(fields)).unwrap();
    let item = create(&schema, "M", r#"{"id":"x","d":"mine"}"#).unwrap();
    assert_eq!(
        item.text("a").map(|id| (&id[..10], id.len())),
        Some(("01M81CDM43", 26))
    );
    assert_eq!(item.text("b").unwrap().len(), 4);
    assert_eq!(item.text("c").unwrap().len(), 36);
    assert_eq!(item.text("d"), Some("mine"));
}

#[test]
fn wrong_properties_are_refused_with_model_field_and_expectation() {
    let schema = Schema::parse(FIXTURE).unwrap();
    let table = [
        (
            r#"{}"#,
            "missing_required",
            "id",
            "Everything.id is required; give it a value",
        ),
        (
            r#"{"id":null}"#,
            "missing_required",
            "id",
            "Everything.id is required; give it a value",
        ),
        (
            r#"{"id":"a","nam":"x"}"#,
            "unknown_field",
            "nam",
            "Everything has no field \"nam\"; did you mean \"name\"?",
        ),
        (
            r#"{"id":"a","count":"12"}"#,
            "wrong_type",
            "count",
            "Everything.count is the text \"12\"; expected a number",
        ),
        (
            r#"{"id":"a","on":"yes"}"#,
            "wrong_type",
            "on",
            "Everything.on is the text \"yes\"; expected true or false",
        ),
        (
            r#"{"id":"a","at":"yesterday"}"#,
            "wrong_type",
            "at",
            "Everything.at is the text \"yesterday\"; expected a time such as \
             \"2026-11-22T10:21:53.667Z\" or milliseconds since 1970",
        ),
        (
            r#"{"id":"a","tags":["a",1]}"#,
            "wrong_type",
            "tags",
            "Everything.tags is a list; expected a list of texts or of numbers",
        ),
        (
            r#"{"id":"a","data":"?"}"#,
            "wrong_type",
            "data",
            "Everything.data is the text \"?\"; expected bytes in base64",
        ),
        (
            r#"{"id":"a","level":"middle"}"#,
            "not_allowed",
            "level",
            "Everything.level cannot be the text \"middle\"; expected one of \"low\", \"high\"",
        ),
        (
            r#"{"id":"a","address":{"zip":"1"}}"#,
            "missing_required",
            "address.street",
            "Everything.address.street is required; give it a value",
        ),
        (
            r#"{"id":"a","address":{"street":"x","zap":"1"}}"#,
            "unknown_field",
            "address.zap",
            "Everything has no field \"address.zap\"; did you mean \"zip\"?",
        ),
        (
            r#"{"id":"a","steps":[1]}"#,
            "wrong_type",
            "steps",
            "Everything.steps is the number 1; expected an object",
        ),
        (
            r#"{"id":"a","deviceId":"d2"}"#,
            "read_only_field",
            "deviceId",
            "Everything.deviceId cannot be set: it is \"d1\" here",
        ),
        (
            r#"{"id":"a","sk":"x"}"#,
            "read_only_field",
            "sk",
            "Everything.sk cannot be set: it is made from \"Everything#${id}\"; leave it out",
        ),
        (
            r#"{"id":"a","_type":"Other"}"#,
            "read_only_field",
            "_type",
            "Everything._type cannot be set: it is always the name of the model",
        ),
    ];
    for (given, kind, field, message) in table {
        let error = create(&schema, "Everything", given).unwrap_err();
        assert_eq!(error.kind(), kind, "{given}");
        assert_eq!(error.field(), Some(field), "{given}");
        assert_eq!(error.to_string(), message, "{given}");
    }
    let error = schema.model("everything").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no model \"everything\"; did you mean \"Everything\"?"
    );
}

#[test]
fn a_pattern_admits_what_it_matches() {
    let fields = "word: { type: 'string', validate: '/^[a-z]+$/i' },";
    let schema = Schema::parse(&one_model(fields)).unwrap();
    assert!(create(&schema, "M", r#"{"id":"a","word":"Abc"}"#).is_ok());
    let error = create(&schema, "M", r#"{"id":"a","word":"a b"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "M.word cannot be the text \"a b\"; expected a text that matches /^[a-z]+$/i"
    );
}

#[test]
fn an_update_keeps_what_it_does_not_name_and_refuses_what_must_stay() {
    let fields = "once: { type: 'string', readonly: true }, need: { type: 'number', required: true },
        note: { type: 'string' }, place: { type: 'object', schema: { x: { type: 'number' }, y: { type: 'number' } } },
        flat: { type: 'object', partial: false, schema: { x: { type: 'number' }, y: { type: 'number' } } },";
    let schema = Schema::parse(&one_model(fields)).unwrap();
    let given =
        r#"{"id":"a","once":"1","need":1,"note":"n","place":{"x":1,"y":2},"flat":{"x":1,"y":2}}"#;
    let item = create(&schema, "M", given).unwrap();
    let model = schema.model("M").unwrap();
    let good = [
        (
            r#"{"note":null}"#,
            r#"{"flat":{"x":1,"y":2},"id":"a","need":1,"once":"1","place":{"x":1,"y":2}}"#,
        ),
        (
            r#"{"id":"a","once":"1","place":{"y":3},"flat":{"y":3}}"#,
            r#"{"flat":{"y":3},"id":"a","need":1,"note":"n","once":"1","place":{"x":1,"y":3}}"#,
        ),
        (
            r#"{"place":{"x":null},"need":2}"#,
            r#"{"flat":{"x":1,"y":2},"id":"a","need":2,"note":"n","once":"1","place":{"y":2}}"#,
        ),
    ];
    for (changes, expected) in good {
        let after = update(&schema, "M", &item, changes).unwrap();
        assert_eq!(
            model.properties(&after, Hidden::Omit).to_json(),
            expected,
            "{changes}"
        );
    }
    let bad = [
        (
            r#"{"once":"2"}"#,
            "M.once cannot be set: it keeps its first value",
        ),
        (
            r#"{"id":"b"}"#,
            "M.id cannot be set: it is part of the key; create another item and remove this one",
        ),
        (r#"{"need":null}"#, "M.need is required; give it a value"),
        (
            r#"{"sk":"M#b"}"#,
            "M.sk cannot be set: it is made from \"M#${id}\"; leave it out",
        ),
    ];
    for (changes, expected) in bad {
        let error = update(&schema, "M", &item, changes).unwrap_err();
        assert_eq!(error.to_string(), expected, "{changes}");
    }
}

#[test]
fn keys_and_ranges_follow_what_is_given() {
    let schema = Schema::parse(FIXTURE).unwrap();
    let model = schema.model("Reading").unwrap();
    assert_eq!(model.key_variables(), ["deviceId", "month", "at"]);
    let asked: Vec<_> = model.asked_names(&context()).map(str::to_owned).collect();
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
        "the key of Reading has 2 parts, 1 are given; give month, at"
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

#[test]
fn a_broken_field_is_refused_with_its_place() {
    let table = [
        (
            "a: { typ: 'string' },",
            "models.M.a.typ (line 8, column 10): unknown key \"typ\": did you mean \"type\"?",
        ),
        (
            "a: {},",
            "models.M.a.type (line 8, column 5): a field needs a type",
        ),
        (
            "a: { type: 'text' },",
            "models.M.a.type (line 8, column 10): unknown type \"text\"; known are string, number, \
             boolean, date, array, object, binary, buffer, arraybuffer, set",
        ),
        (
            "a: 'string',",
            "models.M.a (line 8, column 5): a text stands here; expected an object",
        ),
        (
            "a: { type: 'string', unique: true },",
            "models.M.a.unique (line 8, column 26): unique fields are not supported yet",
        ),
        (
            "a: { type: 'string', ttl: true },",
            "models.M.a.ttl (line 8, column 26): ttl needs type \"date\"; this is \"string\"",
        ),
        (
            "a: { type: 'number', default: 'x' },",
            "models.M.a.default (line 8, column 26): the text \"x\" stands here; expected a number",
        ),
        (
            "a: { type: 'string', value: '${b}' },",
            "models.M.a (line 8, column 5): the template uses \"b\", which is no field: did you mean \"a\"?",
        ),
        (
            "a: { type: 'string', value: '${b}' }, b: { type: 'string', value: '${a}' },",
            "models.M.a (line 8, column 5): the value template is made from itself",
        ),
        (
            "a: { type: 'string', value: '${b}' }, b: { type: 'object' },",
            "models.M.a (line 8, column 5): the template uses \"b\" of type \"object\", which has no text form",
        ),
        (
            "a: { type: 'string', generate: 'ulidd' },",
            "models.M.a.generate (line 8, column 26): \"ulidd\" is not one of \"ulid\", \"uid\", \"uid(n)\" or \"uuid\" with n up to 64",
        ),
        (
            "a: { type: 'string', map: 'x.y' },",
            "models.M.a.map (line 8, column 26): packing fields into one attribute (\"x.y\") is not supported yet",
        ),
        (
            "a: { type: 'string', map: 'id' },",
            "models.M.a (line 8, column 5): it is stored in \"id\", as is \"id\"",
        ),
        (
            "a: { type: 'string', required: 'yes' },",
            "models.M.a.required (line 8, column 26): a text stands here; expected true or false",
        ),
        (
            "a: { type: 'date', ttl: true }, b: { type: 'date', ttl: true },",
            "models.M.b.ttl (line 8, column 56): a table has one ttl attribute, and M has \"a\": use that name too",
        ),
    ];
    for (fields, expected) in table {
        let error = Schema::parse(&one_model(fields)).unwrap_err();
        assert_eq!(error.to_string(), expected, "{fields}");
    }
    let error = Schema::parse(&one_model("a: { type: 'string', validate: '(' },")).unwrap_err();
    assert!(
        error
            .message()
            .starts_with("the pattern ( cannot be used: "),
        "{error}"
    );
}

#[test]
fn a_broken_schema_is_refused_with_its_place() {
    let good = one_model("");
    let table = [
        (
            "version: '1.0.0',",
            "",
            "version (line 1, column 1): the schema needs a version, such as version: '1.0.0'",
        ),
        (
            "models: {",
            "model: {",
            "model (line 4, column 3): unknown key \"model\": did you mean \"models\"?",
        ),
        (
            "hash: 'pk', sort: 'sk'",
            "hash: 'pk'",
            "indexes.primary (line 3, column 14): the schema needs indexes: { primary: { hash: 'pk', sort: 'sk' } }",
        ),
        (
            "pk: { type: 'string', value: 'local#' },",
            "",
            "models.M (line 4, column 13): M needs the field \"pk\" of the primary index, such as pk: { type: 'string', value: 'M#${id}' }",
        ),
        (
            "M: {",
            "'M x': {",
            "models.M x (line 4, column 13): \"M x\" cannot name a model: use a letter, then letters, digits, \"_\" or \"-\", 64 at most",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', process: { N: { sync: 'up' } },",
            "process.N (line 2, column 32): there is no model \"N\": did you mean \"M\"?",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', process: { M: { sync: 'sideways' } },",
            "process.M.sync (line 2, column 37): \"sideways\" is not one of none, up, down, both",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', process: { M: { rows_max: 0 } },",
            "process.M.rows_max (line 2, column 37): 0 is not a whole number from 1",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', params: { timestamps: 'always' },",
            "params.timestamps (line 2, column 31): a text stands here; expected true, false, \"create\" or \"update\"",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', format: 'onetable:9',",
            "format (line 2, column 21): \"onetable:9\" is not a format that is known; use \"onetable:1.1.0\"",
        ),
    ];
    for (from, to, expected) in table {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        assert_eq!(
            Schema::parse(&text).unwrap_err().to_string(),
            expected,
            "{to}"
        );
    }
}

#[test]
fn a_synced_model_needs_a_partition_that_replication_can_name() {
    let with = |hash: &str, sync: &str| {
        let text =
            one_model("deviceId: { type: 'string', required: true }, group: { type: 'string' },")
                .replacen("local#", hash, 1)
                .replacen(
                    "version: '1.0.0',",
                    &format!("version: '1.0.0', process: {{ M: {{ sync: '{sync}' }} }},"),
                    1,
                );
        Schema::parse(&text).map(|schema| schema.models()[0].class())
    };
    let good = [
        ("dev#${deviceId}#rw", "both", Some(Class::Both)),
        ("dev#${deviceId}#rw#${group}", "both", Some(Class::Both)),
        ("dev#${deviceId}#up#${group}", "up", Some(Class::Up)),
        ("dev#${deviceId}#dn", "down", Some(Class::Down)),
        ("mine#${group}", "none", None),
    ];
    for (hash, sync, class) in good {
        assert_eq!(with(hash, sync).unwrap(), class, "{hash} {sync}");
    }
    let bad = [
        ("dev#${deviceId}#rw", "up"),
        ("dev#${deviceId}#rwx", "both"),
        ("dev#${deviceId}", "both"),
        ("dev#x#rw", "both"),
        ("${deviceId}#rw", "both"),
        ("dev#${deviceId}#rw", "none"),
        ("fleet#${group}", "down"),
    ];
    for (hash, sync) in bad {
        let error = with(hash, sync).unwrap_err();
        assert_eq!(error.path(), ["models", "M", "pk"], "{hash} {sync}");
        assert_eq!(error.position(), Some((5, 5)), "{hash} {sync}");
    }
}

#[test]
fn the_process_block_sets_how_a_model_is_kept() {
    let schema = Schema::parse(FIXTURE).unwrap();
    assert_eq!(
        *schema.model("Reading").unwrap().process(),
        Process {
            sync: Direction::Up,
            durability: Durability::Relaxed,
            rows_max: Some(1000),
            conflict: Policy::Device,
            ..Process::default()
        }
    );
    assert_eq!(schema.major_version(), 2);
    assert!(schema.is_synced());
    assert!(!Schema::parse(&one_model("")).unwrap().is_synced());
}

#[test]
fn builtin_models_are_added_unless_the_schema_has_them() {
    let builtin = Schema::parse(&one_model("a: { type: 'string' },")).unwrap();
    let own = Schema::parse_over(FIXTURE, &builtin).unwrap();
    let names: Vec<_> = own.models().iter().map(Model::name).collect();
    assert_eq!(names, ["Everything", "Reading", "M"]);
    let same = one_model("a: { type: 'string' }, mine: { type: 'number' },");
    let same = Schema::parse_over(&same, &builtin).unwrap();
    assert!(same.model("M").unwrap().field("mine").is_some());
}

#[test]
fn a_schema_that_breaks_a_builtin_model_is_refused() {
    let builtin = Schema::parse(&one_model("a: { type: 'string' },")).unwrap();
    let table = [
        (
            one_model("a: { type: 'number' },"),
            "models.M (line 4, column 13): the agent itself uses M.a: keep it, with type \"string\"",
        ),
        (
            one_model("").replace("pk", "PK"),
            "indexes.primary (line 3, column 14): the agent's own models need primary: { hash: 'pk', sort: 'sk' }",
        ),
        (
            one_model("").replace("version:", "params: { typeField: 'kind' }, version:"),
            "params.typeField (line 2, column 13): the agent's own models need \"_type\"",
        ),
        (
            one_model("").replace("M: {", "Mine: {"),
            "models.M.sk.value (line 4, column 3): M and Mine have the same key templates: begin the sort key with \"M#\"",
        ),
    ];
    for (text, expected) in table {
        let error = Schema::parse_over(&text, &builtin).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

mod any_input {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(
            cut in 0..FIXTURE.len(),
            length in 0usize..40,
            insert in r#"[\\[\\]{}:,'"$0-9a-z# \n]{0,8}"#,
        ) {
            let mut text = FIXTURE.to_owned();
            let end = (cut + length).min(text.len());
            text.replace_range(cut..end, &insert);
            if let Err(error) = Schema::parse(&text) {
                prop_assert!(error.position().is_some(), "{error}");
            }
        }

        #[test]
        fn no_properties_make_the_writer_panic(
            name in prop_oneof![
                Just("name"), Just("count"), Just("at"), Just("expires"), Just("tags"),
                Just("data"), Just("list"), Just("free"), Just("address"), Just("steps"),
            ],
            value in any_value(),
        ) {
            let schema = Schema::parse(FIXTURE).unwrap();
            let model = schema.model("Everything").unwrap();
            let given = Map::from([("id", Value::from("a")), (name, value)]);
            let made = with_writing(|writing| model.create(&given, writing));
            if let Ok(item) = made {
                // What was accepted reads back, and is accepted again as it was read.
                let mut seen = model.properties(&item, Hidden::Omit);
                let again = with_writing(|writing| model.create(&seen, writing)).unwrap();
                prop_assert_eq!(&model.properties(&again, Hidden::Omit), &seen);
                let device = seen.remove("deviceId");
                let same = with_writing(|writing| model.update(&item, &seen, writing)).unwrap();
                seen.extend([("deviceId", device.unwrap())]);
                prop_assert_eq!(model.properties(&same, Hidden::Omit), seen);
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-zA-Z0-9+/=:TZ.-]{0,12}".prop_map(Value::from),
            Just(Value::from("2026-11-22T10:21:53.667Z")),
            prop::collection::vec(any::<u8>(), 0..5).prop_map(Value::Binary),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let name = prop_oneof![Just("street"), Just("zip"), Just("what"), Just("n")];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::vec((name, inner), 0..4)
                    .prop_map(|fields| Value::Map(fields.into_iter().collect())),
            ]
        })
    }
}
