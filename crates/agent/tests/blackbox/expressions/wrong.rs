//! Where the emulator is wrong by AWS's documentation. What it says stands here as well, so that a
//! better version of it is noticed.

use super::{Answer, Case};
use crate::counterparts::Cloud;
use periwinkle_core::expr::Placeholders;
use periwinkle_core::value::{Map, Set, Value, json};

const CONDITIONS: &str = "Condition and filter expressions, operators, and functions";
const UPDATES: &str = "Using update expressions in DynamoDB";
const CONTAINS: &str = "API reference, Condition, CONTAINS";

/// What both sides say, in short: true, false, refused, or the item as JSON.
const TABLE: &[(&str, &str, &str, &str, &str)] = &[
    // kind, text, ours, theirs, page
    ("condition", "n < :true", "refused", "false", CONDITIONS),
    ("condition", "n < :set", "refused", "false", CONDITIONS),
    (
        "condition",
        "n BETWEEN :a AND :one",
        "refused",
        "false",
        CONDITIONS,
    ),
    ("condition", "n = n", "refused", "true", CONDITIONS),
    ("condition", "z = y", "false", "true", CONDITIONS),
    ("condition", "z <> y", "true", "false", CONDITIONS),
    (
        "condition",
        "begins_with(n, :a)",
        "false",
        "refused",
        CONDITIONS,
    ),
    (
        "condition",
        "begins_with(s, n)",
        "false",
        "refused",
        CONDITIONS,
    ),
    (
        "condition",
        "begins_with(:abc, s)",
        "true",
        "refused",
        CONDITIONS,
    ),
    (
        "condition",
        "contains(:list, n)",
        "true",
        "refused",
        CONDITIONS,
    ),
    ("condition", "contains(b, :bin)", "true", "false", CONTAINS),
    (
        "condition",
        "attribute_type(s, :a)",
        "refused",
        "false",
        CONDITIONS,
    ),
    ("condition", "size(n) < :one", "false", "true", CONDITIONS),
    ("update", "SET x = n + s", "refused", r#"{"x":1}"#, UPDATES),
    ("update", "SET x = n + :a", "refused", r#"{"x":1}"#, UPDATES),
    (
        "update",
        "SET x = list_append(l, s)",
        "refused",
        r#"{"x":[1,2]}"#,
        UPDATES,
    ),
    (
        "update",
        "SET l[7] = :a, l[5] = :one",
        r#"{"l":[1,2,1,"a"]}"#,
        r#"{"l":[1,2,"a",1]}"#,
        UPDATES,
    ),
    (
        "update",
        "REMOVE l[0], l[1]",
        r#"{"l":[]}"#,
        r#"{"l":[2]}"#,
        UPDATES,
    ),
    (
        "update",
        "SET m.a = :a, m = :one",
        "refused",
        r#"{"m":1}"#,
        UPDATES,
    ),
    (
        "update",
        "SET x = :a, x = :one",
        "refused",
        r#"{"x":1}"#,
        UPDATES,
    ),
    (
        "update",
        "SET x = :a SET y = :one",
        "refused",
        r#"{"y":1}"#,
        UPDATES,
    ),
    ("update", "SET m[0] = :one", "refused", "{}", UPDATES),
    ("update", "REMOVE z.a", "refused", "{}", UPDATES),
    ("update", "REMOVE n[0]", "refused", "{}", UPDATES),
    (
        "update",
        "ADD z.a :one",
        "refused",
        r#"{"z":{"a":1}}"#,
        UPDATES,
    ),
    ("update", "DELETE z.a :set", "refused", "{}", UPDATES),
    ("update", "ADD n s", "refused", "{}", UPDATES),
    (
        "update",
        "SET x = if_not_exists(n, n)",
        "refused",
        r#"{"x":1}"#,
        UPDATES,
    ),
];

fn item() -> Map {
    let mut item = json::parse(r#"{"n": 1, "s": "a", "l": [1, 2], "m": {"a": 1}}"#);
    let item = item.as_mut().unwrap().as_map_mut().unwrap();
    item.insert("b", b"abc".to_vec());
    item.clone()
}

fn value(name: &str) -> Value {
    match name {
        ":one" => Value::from(1),
        ":true" => Value::from(true),
        ":bin" => Value::from(b"bc".to_vec()),
        ":list" => Value::List(vec![Value::from(1)]),
        ":set" => Value::from(["a"].into_iter().collect::<Set>()),
        name => Value::from(&name[1..]),
    }
}

fn case(kind: &'static str, text: &str) -> Case {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != ':');
    let given = words
        .filter(|word| word.starts_with(':'))
        .fold(Placeholders::new(), |given, name| {
            given.with_value(name, value(name))
        });
    Case {
        kind,
        text: text.to_owned(),
        given,
        item: item(),
    }
}

/// An item is told by what is new in it.
fn short(answer: &Answer) -> String {
    match answer {
        Answer::Holds(holds) => holds.to_string(),
        Answer::Refused(_) => "refused".to_owned(),
        Answer::Item(after) => {
            let mut after = after.clone();
            after.retain(|name, value| item().get(name) != Some(value));
            Value::from(after).to_json()
        }
    }
}

#[test]
fn where_the_emulator_is_wrong_we_are_as_the_documentation_says() {
    let cloud = Cloud::shared();
    let mut judge = cloud.expressions();
    for (kind, text, ours, theirs, page) in TABLE {
        let case = case(kind, text);
        assert_eq!(short(&case.ours().0), *ours, "{text}: ours, by {page:?}");
        let answer = case.theirs(&mut judge, text, &case.given);
        assert_eq!(
            short(&answer),
            *theirs,
            "{text}: theirs, in spite of {page:?}"
        );
    }
}
