use super::*;
use crate::value::{Number, Set, json};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct All {
    yes: bool,
    small: i8,
    large: u64,
    huge: i128,
    float: f64,
    single: f32,
    exact: Number,
    text: String,
    letter: char,
    absent: Option<i64>,
    given: Option<i64>,
    list: Vec<Part>,
    pair: (i64, String),
    by_name: BTreeMap<String, i64>,
    by_number: BTreeMap<u16, bool>,
    kind: Kind,
    shapes: Vec<Shape>,
    wrapped: Wrapped,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    n: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(u32);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Office,
    Kitchen,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Box(i64, i64),
    Named { name: String },
}

fn all() -> All {
    All {
        yes: true,
        small: -8,
        large: u64::MAX,
        huge: -(10_i128.pow(37)),
        float: 0.1,
        single: 0.1,
        exact: "12345678901234567890.123456789".parse().expect("a number"),
        text: "t".to_owned(),
        letter: 'ß',
        absent: None,
        given: Some(i64::MIN),
        list: vec![Part { n: 1 }, Part { n: 2 }],
        pair: (1, "x".to_owned()),
        by_name: [("a".to_owned(), 1)].into(),
        by_number: [(7, true)].into(),
        kind: Kind::Kitchen,
        shapes: vec![
            Shape::Point,
            Shape::Circle(1.5),
            Shape::Box(1, 2),
            Shape::Named {
                name: "n".to_owned(),
            },
        ],
        wrapped: Wrapped(5),
    }
}

#[test]
fn a_thing_becomes_a_map_and_the_same_thing_again() {
    let map = to_map(&all()).expect("all of it can be kept");
    let expected = r#"{"absent":null,"by_name":{"a":1},"by_number":{"7":true},"exact":12345678901234567890.123456789,"float":0.1,"given":-9223372036854775808,"huge":-10000000000000000000000000000000000000,"kind":"kitchen","large":18446744073709551615,"letter":"ß","list":[{"n":1},{"n":2}],"pair":[1,"x"],"shapes":["Point",{"Circle":1.5},{"Box":[1,2]},{"Named":{"name":"n"}}],"single":0.1,"small":-8,"text":"t","wrapped":5,"yes":true}"#;
    assert_eq!(map.to_json(), expected);
    assert_eq!(from_map::<All>(map), Ok(all()));
}

#[test]
fn what_does_not_fit_names_its_field() {
    let table = [
        (
            "small",
            "300",
            "small: is the number 300; expected a whole number of type i8",
        ),
        (
            "large",
            "1.5",
            "large: is the number 1.5; expected a whole number of type u64",
        ),
        (
            "large",
            "-1",
            "large: is the number -1; expected a whole number of type u64",
        ),
        ("text", "null", "text: is null; expected a text"),
        (
            "float",
            r#""x""#,
            "float: is the text \"x\"; expected a number",
        ),
        ("exact", "true", "exact: is a boolean; expected a number"),
        (
            "list",
            r#"[{"n":1},{"n":"x"}]"#,
            "list[1].n: is the text \"x\"; expected a whole number of type i64",
        ),
        ("list", r#"[{}]"#, "list[0].n: is missing"),
        ("list", "1", "list: is the number 1; expected a list"),
        (
            "kind",
            "1",
            "kind: is the number 1; expected one of office, kitchen",
        ),
        (
            "by_number",
            r#"{"x":true}"#,
            "by_number: the key \"x\" is no u16",
        ),
        (
            "shapes",
            r#"["Circle"]"#,
            "shapes[0]: is only the name of a variant that holds something",
        ),
        (
            "shapes",
            r#"[{"Point":1}]"#,
            "shapes[0]: holds something that the variant does not",
        ),
        (
            "given",
            r#""7""#,
            "given: is the text \"7\"; expected a whole number of type i64",
        ),
    ];
    for (field, text, expected) in table {
        let mut map = to_map(&all()).expect("all of it can be kept");
        map.insert(field, json::parse(text).expect("JSON"));
        let error = from_map::<All>(map).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
    let kind = from_value::<Kind>(Value::from("hall")).expect_err("an unknown variant");
    let words = "unknown variant `hall`, expected `office` or `kitchen`";
    assert_eq!(kind.to_string(), words);
}

#[test]
fn what_cannot_be_kept_is_refused() {
    #[derive(Serialize)]
    struct Deep {
        list: Vec<f64>,
    }
    let deep = Deep {
        list: vec![1.0, f64::NAN],
    };
    let error = to_map(&deep).expect_err("not a number");
    assert_eq!(
        error.to_string(),
        "list[1]: NaN is not a number that can be kept"
    );
    assert_eq!(error.field(), "list[1]");
    let error = to_value(&u128::MAX).expect_err("39 digits");
    assert!(
        error
            .to_string()
            .ends_with("more than 38 significant digits"),
        "{error}"
    );
    let error = to_map(&1).expect_err("no map");
    assert_eq!(error.to_string(), "is a number; expected a struct or a map");
    let keys: BTreeMap<Vec<u8>, u8> = [(vec![1], 1)].into();
    assert!(to_value(&keys).is_err());
}

#[test]
fn decimals_can_be_read_as_text_and_sets_as_lists() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Price {
        price: String,
        tags: Vec<String>,
        bytes: Vec<u8>,
    }
    let mut map = json::parse(r#"{"price":19.90,"more":1}"#)
        .expect("JSON")
        .into_map();
    let map = map.as_mut().expect("a map");
    map.insert("tags", Value::Set(["b", "a"].into_iter().collect::<Set>()));
    map.insert("bytes", vec![1_u8, 2]);
    let price = from_map::<Price>(map.clone()).expect("it fits");
    let expected = Price {
        price: "19.9".to_owned(),
        tags: vec!["a".to_owned(), "b".to_owned()],
        bytes: vec![1, 2],
    };
    assert_eq!(price, expected);
}

#[test]
fn a_number_is_never_a_float_that_says_something_else() {
    let exact: Value = json::parse("0.12345678901234567890123").expect("JSON");
    let read: serde_json::Value = from_value(exact).expect("anything fits");
    assert_eq!(read, serde_json::json!("0.12345678901234567890123"));
    let read: serde_json::Value = from_value(Value::from(u64::MAX)).expect("anything fits");
    assert_eq!(read, serde_json::json!(u64::MAX));
    assert_eq!(
        serde_json::from_str::<Number>("1.5").ok(),
        "1.5".parse().ok()
    );
}

proptest! {
    #[test]
    fn every_value_is_itself(value in crate::value::strategies::value()) {
        prop_assert_eq!(to_value(&value), Ok(value));
    }

    #[test]
    fn every_number_is_read_as_itself(number in crate::value::strategies::number()) {
        prop_assert_eq!(from_value::<Number>(Value::Number(number)), Ok(number));
    }

    #[test]
    fn every_float_comes_back(float in prop::num::f64::NORMAL, single in prop::num::f32::NORMAL) {
        if let Ok(value) = to_value(&float) {
            prop_assert_eq!(from_value::<f64>(value), Ok(float));
        }
        if let Ok(value) = to_value(&single) {
            prop_assert_eq!(from_value::<f32>(value), Ok(single));
        }
    }
}
