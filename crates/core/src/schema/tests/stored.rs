//! What is stored, and what programs see of it.

use super::*;

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
fn a_fraction_of_a_millisecond_is_cut_as_javascript_cuts_it() {
    let fields = "at: { type: 'date' }, list: { type: 'array', items: { type: 'date' } }";
    let schema = Schema::parse(&one_model(fields)).unwrap();
    // As `new Date(...).getTime()` says.
    for (given, millis) in [
        (r#""2026-11-22T10:21:53.6679Z""#, 1_795_342_913_667_i64),
        (r#""2026-11-22T10:21:53.667999999Z""#, 1_795_342_913_667),
        (r#""1969-12-31T23:59:59.9999Z""#, -1),
        (r#""1969-12-31T23:59:59.999Z""#, -1),
        ("1795342913667.9", 1_795_342_913_667),
        ("0.9", 0),
        ("-0.9", 0),
        ("-1.9", -1),
    ] {
        let item = format!(r#"{{"id":"a","at":{given},"list":[{given}]}}"#);
        let item = create(&schema, "M", &item).unwrap();
        assert_eq!(item["at"], Value::from(millis), "{given}");
        assert_eq!(item["list"], Value::List(vec![millis.into()]), "{given}");
    }
}
