//! Whatever comes in, nothing panics, and what is accepted reads back.

use proptest::prelude::*;

use super::*;

const RICH: &str = "{
    version: '1.4.0',
    indexes: {
        primary: { hash: 'pk', sort: 'sk' }, gs1: { hash: 'gs1pk', sort: 'gs1sk', project: ['a', 'b'] },
        ls1: { type: 'local', sort: 'line', project: 'keys' },
    },
    models: { Order: {
        pk: { type: 'string', value: 'shop' },
        sk: { type: 'string', value: 'Order#${shop}#${number:6:0}' },
        gs1sk: { type: 'string', value: 'State#${state}#${day}' },
        line: { type: 'string', value: '${place.city}/${place.line}' },
        shop: { type: 'string', required: true, encode: ['sk', '#', 1] },
        number: { type: 'number', required: true, encode: ['sk', '#', 2] },
        state: { type: 'string', default: 'new', encode: ['gs1sk', '#', '1'], validate: '/^[a-z]*$/i' },
        day: { type: 'date', encode: ['gs1sk', '#', 2] },
        red: { type: 'number', map: 'color.r' },
        blue: { type: 'date', map: 'color.b', nulls: true },
        place: { type: 'object', required: true, schema: {
            city: { type: 'string', map: 'c', default: 'x' }, line: { type: 'string', value: 'L${city}' },
            geo: { type: 'object', partial: false, schema: { lat: { type: 'number' } } },
        } },
        keys: { type: 'set', items: { type: 'binary' } },
        days: { type: 'array', items: { type: 'date' } },
    } },
    process: {
        Order: { rows_max: 9 },
        migrations: [
            { version: '1.2.0', rename: { Order: { hue: 'color' } }, drop: ['Cart'] },
            { version: '1.4', remove: { Order: ['old'] }, compute: ['Order'] },
        ],
    },
}";

#[test]
fn the_texts_that_slips_are_made_in_are_good() {
    assert!(Schema::parse(FIXTURE).is_ok());
    assert_eq!(Schema::parse(RICH).unwrap().migrations().len(), 2);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        rich in any::<bool>(),
        cut in any::<prop::sample::Index>(),
        length in 0usize..40,
        insert in r#"[\\[\\]{}:,.'"$0-9a-z# \n]{0,8}"#,
    ) {
        let mut text = if rich { RICH } else { FIXTURE }.to_owned();
        let cut = cut.index(text.len());
        let end = (cut + length).min(text.len());
        text.replace_range(cut..end, &insert);
        if let Err(error) = Schema::parse(&text) {
            prop_assert!(error.position().is_some(), "{error}");
        }
    }

    #[test]
    fn what_is_packed_and_encoded_reads_back(
        shop in any_value(), state in any_value(), day in any_value(), number in any_value(),
        red in any_value(), blue in any_value(), place in any_value(), keys in any_value(),
    ) {
        let schema = Schema::parse(RICH).unwrap();
        let model = schema.model("Order").unwrap();
        let mut given = Map::from([("shop", Value::from("s")), ("number", Value::from(1)), ("day", Value::from(0))]);
        for (name, value) in [
            ("shop", shop), ("number", number), ("state", state), ("day", day), ("red", red),
            ("blue", blue), ("place", place), ("keys", keys),
        ] {
            // One that alone is refused is left out, so that the others are tried.
            let mut more = given.clone();
            more.insert(name, value);
            if with_writing(|writing| model.create(&more, writing)).is_ok() {
                given = more;
            }
        }
        let item = with_writing(|writing| model.create(&given, writing)).unwrap();
        let mut seen = model.properties(&item, Hidden::Omit);
        let again = with_writing(|writing| model.create(&seen, writing)).unwrap();
        prop_assert_eq!(&model.properties(&again, Hidden::Omit), &seen);
        let same = with_writing(|writing| model.update(&item, &seen, writing)).unwrap();
        prop_assert_eq!(&same, &item);
        let plan = schema.plan(None).unwrap();
        prop_assert_eq!(plan.outcome(&item), Outcome::Keep);
        seen.retain(|name, _| ["shop", "number"].contains(&name));
        prop_assert_eq!(model.key(&seen, &Map::new()).ok(), model.key_of(&item));
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
