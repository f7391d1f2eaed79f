//! What expressions mean, as tables and as properties.

mod conditions;
mod properties;
mod refusals;
mod updates;

use super::{Condition, Placeholders};
use crate::value::{Map, Set, Value, json};

fn map(text: &str) -> Map {
    json::parse(text).unwrap().into_map().unwrap()
}

fn strings(members: &[&str]) -> Value {
    members.iter().copied().collect::<Set>().into()
}

/// An item with something of every kind.
fn item() -> Map {
    let mut item = map(
        r#"{"n": 5, "s": "aé😀", "t": true, "u": null, "l": [1, "x", [2]],
            "m": {"a": 1, "b": {"c": [7, {"d": "deep"}]}}, "size": 3, "e": ""}"#,
    );
    item.insert("ss", strings(&["a", "b"]));
    item.insert("b", b"abc".to_vec());
    item
}

/// The values that tests name; numbers by their words.
fn given() -> Placeholders {
    Placeholders::new()
        .with_value(":five", 5)
        .with_value(":bin", b"ab".to_vec())
        .with_value(":mid", b"bc".to_vec())
        .with_value(":ss", strings(&["b", "a"]))
        .with_value(":sb", strings(&["b"]))
        .with_value(":list", vec![Value::from(9)])
        .with_value(":map", Map::from([("z", 1)]))
        .with_value(":none", Set::Strings(std::collections::BTreeSet::new()))
        .with_name("#n", "n")
        .with_name("#dotted", "m.a")
}

fn holds(text: &str) -> bool {
    match Condition::parse(text, &mut given()) {
        Ok(condition) => condition.holds(&item()),
        Err(error) => panic!("{text}: {error}"),
    }
}
