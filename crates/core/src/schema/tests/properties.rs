//! Properties that a model accepts or refuses.

use super::*;

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
