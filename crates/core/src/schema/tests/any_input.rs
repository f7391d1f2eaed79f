//! Whatever comes in, nothing panics, and what is accepted reads back.

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
