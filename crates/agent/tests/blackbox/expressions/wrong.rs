//! Where the emulator is wrong by AWS's documentation. What it says stands here as well, so that a
//! better version of it is noticed.
//!
//! The pages name the rules. Where they leave a case open, such as an operator that is given one
//! path twice, the service itself decides, as the tests of other projects have recorded it.

use super::{Answer, Case};
use crate::counterparts::Cloud;
use periwinkle_core::expr::Placeholders;
use periwinkle_core::value::{Map, Number, Set, Value, json};

/// A text, what we say of it, and what the emulator says: true, false, refused, or what is new in
/// the item.
type Row = (&'static str, &'static str, &'static str);

/// "Condition and filter expressions, operators, and functions in DynamoDB"
const CONDITIONS: &[Row] = &[
    ("n < :true", "refused", "false"),
    ("n < :set", "refused", "false"),
    ("n BETWEEN :a AND :one", "refused", "false"),
    ("n = n", "refused", "true"),
    ("z = y", "false", "true"),
    ("z <> y", "true", "false"),
    ("begins_with(n, :a)", "false", "refused"),
    ("begins_with(s, n)", "false", "refused"),
    ("begins_with(z, :one)", "refused", "false"),
    ("begins_with(:abc, s)", "true", "refused"),
    ("contains(:list, n)", "true", "refused"),
    ("attribute_type(s, :a)", "refused", "false"),
    ("size(n) < :one", "false", "true"),
];

/// API reference, "Condition", CONTAINS: of a binary, any subsequence
const BINARIES: &[Row] = &[("contains(b, :bin)", "true", "false")];

/// "Using update expressions in DynamoDB"
const UPDATES: &[Row] = &[
    ("SET x = n + s", "refused", r#"{"x":1}"#),
    ("SET x = n + :a", "refused", r#"{"x":1}"#),
    ("SET x = n + n + n", "refused", r#"{"x":3}"#),
    ("SET x = list_append(l, s)", "refused", r#"{"x":[1,2]}"#),
    (
        "SET l[7] = :a, l[5] = :one",
        r#"{"l":[1,2,1,"a"]}"#,
        r#"{"l":[1,2,"a",1]}"#,
    ),
    ("REMOVE l[0], l[1]", r#"{"l":[]}"#, r#"{"l":[2]}"#),
    ("SET m.a = :a, m = :one", "refused", r#"{"m":1}"#),
    ("SET x = :a, x = :one", "refused", r#"{"x":1}"#),
    ("SET x = :a SET y = :one", "refused", r#"{"y":1}"#),
    ("SET m[0] = :one", "refused", "{}"),
    ("REMOVE z.a", "refused", "{}"),
    ("REMOVE n[0]", "refused", "{}"),
    ("ADD z.a :one", "refused", r#"{"z":{"a":1}}"#),
    ("DELETE z.a :set", "refused", "{}"),
    ("ADD n s", "refused", "{}"),
    ("SET x = if_not_exists(n, n)", "refused", r#"{"x":1}"#),
];

/// "Supported data types and naming rules in Amazon DynamoDB": numbers have 38 digits
const NUMBERS: &[Row] = &[
    (
        "SET x = n + :large",
        "refused",
        r#"{"x":10000000000000000000000000000000000000000}"#,
    ),
    (
        "ADD n :long",
        r#"{"n":12345678901234567890123456789013}"#,
        r#"{"n":12345678901234567890123456790000}"#,
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
        ":large" => Value::from("1E+40".parse::<Number>().unwrap()),
        ":long" => Value::from(
            "12345678901234567890123456789012"
                .parse::<Number>()
                .unwrap(),
        ),
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

fn check(kind: &'static str, table: &[Row]) {
    let cloud = Cloud::shared();
    let mut judge = cloud.expressions();
    for (text, ours, theirs) in table {
        let case = case(kind, text);
        assert_eq!(short(&case.ours().0), *ours, "{text}: ours");
        let answer = case.theirs(&mut judge, text, &case.given);
        assert_eq!(short(&answer), *theirs, "{text}: theirs");
    }
}

#[test]
fn conditions_are_as_documented_where_the_emulator_is_wrong() {
    check("condition", CONDITIONS);
    check("condition", BINARIES);
}

#[test]
fn updates_are_as_documented_where_the_emulator_is_wrong() {
    check("update", UPDATES);
    check("update", NUMBERS);
}
