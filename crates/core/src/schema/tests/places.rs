//! Fields that have no attribute of their own, nested objects, and what templates are made from.

use super::*;

fn stored(item: &Map) -> String {
    let mut item = item.clone();
    item.retain(|name, _| !matches!(name, "pk" | "id" | "_type"));
    item.to_json()
}

#[test]
fn packed_fields_share_an_attribute() {
    let fields = "city: { type: 'string', map: 'place.c' }, since: { type: 'date', map: 'place.s', isoDates: true },
        floor: { type: 'number', default: 1, map: 'place.f' },";
    let schema = Schema::parse(&one_model(fields)).unwrap();
    let model = schema.model("M").unwrap();
    let item = create(
        &schema,
        "M",
        r#"{"id":"a","city":"Oslo","since":"2020-01-01"}"#,
    )
    .unwrap();
    assert_eq!(
        stored(&item),
        r#"{"place":{"c":"Oslo","f":1,"s":"2020-01-01T00:00:00.000Z"},"sk":"M#a"}"#
    );
    let seen = model.properties(&item, Hidden::Omit);
    assert_eq!(
        seen.to_json(),
        r#"{"city":"Oslo","floor":1,"id":"a","since":"2020-01-01T00:00:00.000Z"}"#
    );
    let moved = update(&schema, "M", &item, r#"{"city":"Rome","since":null}"#).unwrap();
    assert_eq!(stored(&moved), r#"{"place":{"c":"Rome","f":1},"sk":"M#a"}"#);
    let none = update(&schema, "M", &moved, r#"{"city":null,"floor":null}"#).unwrap();
    assert_eq!(stored(&none), r#"{"sk":"M#a"}"#);
    let wanted = properties(r#"{"city":"Rome","since":null}"#);
    let wanted = model.wanted(&wanted, &context(), Hidden::Omit).unwrap();
    let holds = |item: &Map| wanted.iter().all(|wanted| wanted.holds(item));
    assert!(holds(&moved) && !holds(&item) && !holds(&none));
}

const ORDERS: &str = "{
    version: '1.0.0',
    params: { isoDates: true },
    indexes: { primary: { hash: 'pk', sort: 'sk' }, gs1: { hash: 'gs1pk', sort: 'gs1sk' } },
    models: { Order: {
        pk: { type: 'string', value: 'shop' },
        sk: { type: 'string', value: '${shop}#${number}' },
        gs1pk: { type: 'string', value: 'state' },
        gs1sk: { type: 'string', value: 'State#${state}#${day}#${urgent}' },
        shop: { type: 'string', required: true, encode: 'sk' },
        number: { type: 'number', required: true, encode: ['sk', '#', '1'] },
        state: { type: 'string', default: 'new', enum: ['new', 'done', 'odd#'], encode: ['gs1sk', '#', 1] },
        day: { type: 'date', encode: ['gs1sk', '#', 2] },
        urgent: { type: 'boolean', default: false, encode: ['gs1sk', '#', 3] },
    } },
}";

#[test]
fn encoded_fields_are_read_from_the_text_they_are_part_of() {
    let schema = Schema::parse(ORDERS).unwrap();
    let model = schema.model("Order").unwrap();
    let given = r#"{"shop":"north","number":42,"day":"2026-11-22"}"#;
    let item = create(&schema, "Order", given).unwrap();
    assert_eq!(
        item.to_json(),
        r#"{"_type":"Order","gs1pk":"state","gs1sk":"State#new#2026-11-22T00:00:00.000Z#false","pk":"shop","sk":"north#42"}"#
    );
    let seen = r#"{"day":"2026-11-22T00:00:00.000Z","number":42,"shop":"north","state":"new","urgent":false}"#;
    assert_eq!(model.properties(&item, Hidden::Omit).to_json(), seen);
    let condition = "state = 'new' and number > 41 and urgent = false and day < '2026-12-01'";
    let condition = crate::expr::Condition::parse(condition, &mut Default::default()).unwrap();
    let condition = model.bind(condition, Hidden::Omit).unwrap();
    assert!(condition.holds(&model.seen(&item, Hidden::Omit)));
    let done = r#"{"shop":"north","number":42,"state":"done","urgent":true}"#;
    let done = update(&schema, "Order", &item, done).unwrap();
    assert_eq!(
        done.text("gs1sk"),
        Some("State#done#2026-11-22T00:00:00.000Z#true")
    );
    assert_eq!(model.key_segments(&done, &context()), ["north", "42"]);
    let key = model
        .key(&properties(r#"{"shop":"north","number":42}"#), &context())
        .unwrap();
    assert_eq!(model.key_of(&done), Some(key));
}

#[test]
fn what_could_not_be_read_back_is_not_encoded() {
    let schema = Schema::parse(ORDERS).unwrap();
    let table = [
        (
            r#"{"shop":"a#b","number":1,"day":"2026-11-22"}"#,
            "Order.shop cannot be the text \"a#b\"; expected a value that can be read back from \"sk\": \
             without \"#\", and with all the other fields that it is made from",
        ),
        (
            r#"{"shop":"a","number":1}"#,
            "Order.state cannot be the text \"new\"; expected a value that can be read back from \"gs1sk\": \
             without \"#\", and with all the other fields that it is made from",
        ),
        (
            r#"{"shop":"a","number":1,"day":"2026-11-22","state":"odd#"}"#,
            "Order.state cannot be the text \"odd#\"; expected a value that can be read back from \"gs1sk\": \
             without \"#\", and with all the other fields that it is made from",
        ),
        (
            r#"{"shop":"a","day":"2026-11-22"}"#,
            "Order.number is required; give it a value",
        ),
    ];
    for (given, expected) in table {
        let error = create(&schema, "Order", given).unwrap_err();
        assert_eq!(error.to_string(), expected, "{given}");
    }
    let item = create(
        &schema,
        "Order",
        r#"{"shop":"a","number":1,"day":"2026-11-22"}"#,
    )
    .unwrap();
    let error = update(&schema, "Order", &item, r#"{"shop":"b"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Order.shop cannot be set: it is part of the key; create another item and remove this one"
    );
}

#[test]
fn templates_reach_into_nested_objects_and_stand_in_them() {
    let fields = "label: { type: 'string', value: '${place.street}@${place.at}', hidden: false },
        place: { type: 'object', isoDates: true, schema: {
            street: { type: 'string', map: 's' }, no: { type: 'number' }, at: { type: 'date' },
            line: { type: 'string', value: '${street} ${no:3}', hidden: false },
        } },
        stops: { type: 'array', items: { type: 'object', schema: {
            n: { type: 'number', default: 7 }, tag: { type: 'string', value: 't${n}' } } } },";
    let schema = Schema::parse(&one_model(fields)).unwrap();
    let given = r#"{"id":"a","place":{"street":"Main","no":5,"at":1000},"stops":[{},{"n":2}]}"#;
    let item = create(&schema, "M", given).unwrap();
    assert_eq!(
        stored(&item),
        r#"{"label":"Main@1000","place":{"at":1000,"line":"Main 005","no":5,"s":"Main"},"sk":"M#a","stops":[{"n":7,"tag":"t7"},{"n":2,"tag":"t2"}]}"#
    );
    let seen = schema.model("M").unwrap().properties(&item, Hidden::Omit);
    assert_eq!(
        seen.to_json(),
        r#"{"id":"a","label":"Main@1000","place":{"at":"1970-01-01T00:00:01.000Z","line":"Main 005","no":5,"street":"Main"},"stops":[{"n":7},{"n":2}]}"#
    );
    let moved = update(&schema, "M", &item, r#"{"place":{"no":null}}"#).unwrap();
    assert_eq!(moved["place"].to_json(), r#"{"at":1000,"s":"Main"}"#);
    let error = update(&schema, "M", &item, r#"{"place":{"line":"x"}}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "M.place.line cannot be set: it is made from \"${street} ${no:3}\"; leave it out"
    );
}

#[test]
fn a_replaced_object_has_no_defaults_but_what_it_needs() {
    let fields = "flat: { type: 'object', partial: false, schema: {
            a: { type: 'number', default: 1 }, b: { type: 'number', required: true, default: 2 }, c: { type: 'number' },
            deep: { type: 'object', schema: { d: { type: 'number' }, e: { type: 'number' } } } } },
        kept: { type: 'object', schema: { x: { type: 'number' } } },";
    let schema = Schema::parse(&one_model(fields)).unwrap();
    let item = create(
        &schema,
        "M",
        r#"{"id":"a","flat":{"deep":{"d":1}},"kept":{}}"#,
    )
    .unwrap();
    assert_eq!(item["flat"].to_json(), r#"{"a":1,"b":2,"deep":{"d":1}}"#);
    // An object with known fields is not stored without any.
    assert!(!item.contains_key("kept"));
    // What lies in a field that is replaced as a whole is replaced as a whole too.
    let changed = update(&schema, "M", &item, r#"{"flat":{"c":3,"deep":{"e":2}}}"#).unwrap();
    assert_eq!(changed["flat"].to_json(), r#"{"b":2,"c":3,"deep":{"e":2}}"#);
}

#[test]
fn sets_and_lists_hold_bytes_as_bytes() {
    let fields = "any: { type: 'set' }, keys: { type: 'set', items: { type: 'binary' } }, ns: { type: 'set', items: { type: 'number' } },
        parts: { type: 'array', items: { type: 'binary' } }, days: { type: 'array', isoDates: true, items: { type: 'date' } },";
    let schema = Schema::parse(&one_model(fields)).unwrap();
    let given = r#"{"id":"a","keys":["AQI=","AA=="],"parts":["AQI="],"days":["2026-11-22"]}"#;
    let mut given = properties(given);
    let bytes: crate::value::Set = [vec![3_u8], vec![2]].into_iter().collect();
    given.insert("any", bytes);
    let model = schema.model("M").unwrap();
    let item = with_writing(|writing| model.create(&given, writing)).unwrap();
    let expected = from_attribute_json(
        r#"{"any":{"BS":["Ag==","Aw=="]},"keys":{"BS":["AA==","AQI="]},"parts":{"L":[{"B":"AQI="}]},
            "days":{"L":[{"S":"2026-11-22T00:00:00.000Z"}]},"pk":{"S":"local#"},"sk":{"S":"M#a"},
            "id":{"S":"a"},"_type":{"S":"M"}}"#,
    );
    assert_eq!(item, expected.unwrap());
    assert_eq!(
        model.properties(&item, Hidden::Omit).to_json(),
        r#"{"any":["Ag==","Aw=="],"days":["2026-11-22T00:00:00.000Z"],"id":"a","keys":["AA==","AQI="],"parts":["AQI="]}"#
    );
    let refused = [
        (
            r#"{"id":"a","keys":["?"]}"#,
            "M.keys is a list; expected a list of bytes in base64",
        ),
        (
            r#"{"id":"a","ns":["1"]}"#,
            "M.ns is a list; expected a list of numbers",
        ),
        (
            r#"{"id":"a","parts":["?"]}"#,
            "M.parts is the text \"?\"; expected bytes in base64",
        ),
    ];
    for (given, expected) in refused {
        let error = create(&schema, "M", given).unwrap_err();
        assert_eq!(error.to_string(), expected, "{given}");
    }
}

#[test]
fn numbers_in_keys_are_written_as_javascript_writes_them() {
    let schema =
        Schema::parse(&one_model("").replace("id: { type: 'string'", "id: { type: 'number'"))
            .unwrap();
    let model = schema.model("M").unwrap();
    let table = [
        ("0", "M#0"),
        ("1.50", "M#1.5"),
        ("1E20", "M#100000000000000000000"),
        ("123E20", "M#1.23e+22"),
        ("1E21", "M#1e+21"),
        ("0.000001", "M#0.000001"),
        ("-0.00000012", "M#-1.2e-7"),
    ];
    for (text, sort) in table {
        let id: crate::value::Number = text.parse().unwrap();
        let key = model.key(&Map::from([("id", id)]), &context()).unwrap();
        assert_eq!(key.sk, sort);
        // A segment of a path comes back to the same key.
        let value = model.value_from_text("id", &sort[2..]).unwrap();
        assert_eq!(
            model.key(&Map::from([("id", value)]), &context()).unwrap(),
            key
        );
    }
}
