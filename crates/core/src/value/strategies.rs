//! Random values for the property tests of this folder.

use super::{Map, Number, Set, Value};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Numbers of all lengths and magnitudes, integers and the corners of the range more often.
pub(crate) fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        3 => any::<i64>().prop_map(Number::from),
        2 => (-200_i64..200).prop_map(Number::from),
        3 => ("[0-9]{1,38}", -130_i32..=88, any::<bool>()).prop_map(|(digits, exponent, minus)| {
            let sign = if minus { "-" } else { "" };
            format!("{sign}{digits}e{exponent}").parse().expect("the range was chosen to fit")
        }),
        1 => prop::sample::select(vec!["0", "1E-130", "-1E-130", "9.9999999999999999999999999999999999999E+125"])
            .prop_map(|text| text.parse().expect("within the range")),
    ]
}

/// Values of every kind; `text` for names and strings.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        any::<String>().prop_map(Value::String),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(Value::Binary),
        prop::collection::btree_set("[a-e]{0,3}", 1..4)
            .prop_map(|set| Value::Set(Set::Strings(set))),
        prop::collection::btree_set(number(), 1..4).prop_map(|set| Value::Set(Set::Numbers(set))),
        prop::collection::btree_set(prop::collection::vec(any::<u8>(), 0..4), 1..4)
            .prop_map(|set: BTreeSet<Vec<u8>>| Value::Set(Set::Binaries(set))),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec((".{0,8}", inner), 0..6)
                .prop_map(|fields| Value::Map(fields.into_iter().collect())),
        ]
    })
}

/// Items: maps of values.
pub(crate) fn map() -> impl Strategy<Value = Map> {
    prop::collection::vec(("[a-z_]{1,12}|.{0,6}", value()), 0..8)
        .prop_map(|fields| fields.into_iter().collect())
}
