use super::*;
use crate::expr::{Path, Step, Update, UpdateError};
use crate::value::NumberError;

fn applied(text: &str) -> Result<Map, UpdateError> {
    match Update::parse(text, &mut given()) {
        Ok(update) => update.apply(&item()),
        Err(error) => panic!("{text}: {error}"),
    }
}

/// Attributes that the update changes, as JSON; those it removes as an empty list of removals.
fn check(table: &[(&str, &str, &[&str])]) {
    for (text, changed, removed) in table {
        let mut expected = item();
        expected.extend(map(changed));
        for name in *removed {
            expected.remove(name);
        }
        assert_eq!(applied(text), Ok(expected), "{text}");
    }
}

#[test]
fn set_assigns_what_the_item_had_before() {
    check(&[
        ("SET a = 1", r#"{"a": 1}"#, &[]),
        ("set a = n, n = size", r#"{"a": 5, "n": 3}"#, &[]),
        (
            "SET l[0] = l[1], l[1] = l[0]",
            r#"{"l": ["x", 1, [2]]}"#,
            &[],
        ),
        (
            "SET m.z = m.a",
            r#"{"m": {"a": 1, "z": 1, "b": {"c": [7, {"d": "deep"}]}}}"#,
            &[],
        ),
        (
            "SET m.b.c[1].d = 'x'",
            r#"{"m": {"a": 1, "b": {"c": [7, {"d": "x"}]}}}"#,
            &[],
        ),
        ("SET a = n + 1, c = n - 0.5", r#"{"a": 6, "c": 4.5}"#, &[]),
        ("SET a = n-1", r#"{"a": 4}"#, &[]),
        ("SET a = 1 - -1", r#"{"a": 2}"#, &[]),
        ("SET n = if_not_exists(n, 0) + 1", r#"{"n": 6}"#, &[]),
        ("SET z = if_not_exists(z, 0) + 1", r#"{"z": 1}"#, &[]),
        (
            "SET z = if_not_exists(z, if_not_exists(y, n))",
            r#"{"z": 5}"#,
            &[],
        ),
        (
            "SET l = list_append(l, :list)",
            r#"{"l": [1, "x", [2], 9]}"#,
            &[],
        ),
        (
            "SET z = list_append(if_not_exists(z, :list), l)",
            r#"{"z": [9, 1, "x", [2]]}"#,
            &[],
        ),
        (
            "SET set = 1 REMOVE remove, n ADD add 1",
            r#"{"set": 1, "add": 1}"#,
            &["n"],
        ),
    ]);
}

#[test]
fn elements_are_numbered_as_the_item_had_them() {
    check(&[
        (
            "SET l[7] = 'b', l[5] = 'a'",
            r#"{"l": [1, "x", [2], "a", "b"]}"#,
            &[],
        ),
        ("REMOVE l[0], l[2]", r#"{"l": ["x"]}"#, &[]),
        ("SET l[0] = 0 REMOVE l[1]", r#"{"l": [0, [2]]}"#, &[]),
        (
            "SET l[9] = 0 REMOVE l[0], l[3]",
            r#"{"l": ["x", [2], 0]}"#,
            &[],
        ),
        ("REMOVE l[9]", "{}", &[]),
        ("REMOVE l[2][0]", r#"{"l": [1, "x", []]}"#, &[]),
        ("ADD l[0] 1, l[9] 2", r#"{"l": [2, "x", [2], 2]}"#, &[]),
    ]);
}

#[test]
fn remove_add_and_delete_do_what_they_say() {
    check(&[
        ("REMOVE n, z", "{}", &["n"]),
        (
            "REMOVE m.a, m.z",
            r#"{"m": {"b": {"c": [7, {"d": "deep"}]}}}"#,
            &[],
        ),
        ("ADD n 1.5", r#"{"n": 6.5}"#, &[]),
        ("ADD n -5, z :five", r#"{"n": 0, "z": 5}"#, &[]),
        ("DELETE ss :ss", "{}", &["ss"]),
        ("DELETE z :ss", "{}", &[]),
        ("ADD ss :sb", "{}", &[]),
    ]);
    let listed = |members: Vec<Value>| {
        let mut given = Placeholders::new().with_value(":list", members);
        let update = Update::parse("ADD ss :list", &mut given).map_err(|e| e.to_string())?;
        Ok(update.apply(&item()).unwrap()["ss"].clone())
    };
    assert_eq!(listed(vec!["c".into()]), Ok(strings(&["a", "b", "c"])));
    let refused = "column 8: `ADD` does not work with a list: it takes a number or a set";
    for members in [vec![], vec!["c".into(), 1.into()], vec![Value::Null]] {
        assert_eq!(listed(members), Err(refused.to_owned()));
    }
    let after = applied("DELETE ss :sb ADD z :sb").unwrap();
    assert_eq!(
        (&after["ss"], &after["z"]),
        (&strings(&["a"]), &strings(&["b"]))
    );
}

#[test]
fn numbers_are_added_digit_by_digit() {
    let sum = |one: &str, other: &str| {
        let update: Update = format!("SET a = {one} + {other}").parse().unwrap();
        update.apply(&Map::new()).map(|item| item["a"].clone())
    };
    let exact = "12345678901234567890123456789012345678".parse::<crate::value::Number>();
    assert_eq!(
        sum("12345678901234567890123456789012345677", "1"),
        Ok(exact.unwrap().into())
    );
    assert_eq!(
        sum("0.1", "0.2"),
        Ok("0.3".parse::<crate::value::Number>().unwrap().into())
    );
    assert_eq!(
        sum("1e100", "1"),
        Err(UpdateError::Number {
            path: Path::new("a"),
            reason: NumberError::TooManyDigits
        })
    );
}

#[test]
fn what_does_not_fit_the_item_is_refused_and_says_where() {
    for (text, error) in [
        (
            "SET a = z",
            "`z` is read, but the item does not have it: use if_not_exists(z, ...)",
        ),
        (
            "SET a = m.z",
            "`m.z` is read, but the item does not have it: use if_not_exists(m.z, ...)",
        ),
        (
            "SET a = n + s",
            "`a` cannot be changed: `+` does not work with a string",
        ),
        (
            "SET a = l - 1",
            "`a` cannot be changed: `-` does not work with a list",
        ),
        (
            "SET a = list_append(n, :list)",
            "`a` cannot be changed: `list_append` does not work with a number",
        ),
        (
            "SET z.a = 1",
            "`z.a` cannot be changed: the list or map it belongs to is not there",
        ),
        (
            "SET n.a = 1",
            "`n.a` cannot be changed: the list or map it belongs to is not there",
        ),
        (
            "SET l.a = 1",
            "`l.a` cannot be changed: the list or map it belongs to is not there",
        ),
        (
            "SET m[0] = 1",
            "`m[0]` cannot be changed: the list or map it belongs to is not there",
        ),
        (
            "REMOVE z.a",
            "`z.a` cannot be changed: the list or map it belongs to is not there",
        ),
        (
            "ADD z.a 1",
            "`z.a` cannot be changed: the list or map it belongs to is not there",
        ),
        (
            "DELETE z.a :ss",
            "`z.a` cannot be changed: the list or map it belongs to is not there",
        ),
        (
            "ADD s 1",
            "`s` cannot be changed: `ADD` does not work with a string",
        ),
        (
            "ADD ss 1",
            "`ss` cannot be changed: `ADD` does not work with a set",
        ),
        (
            "DELETE n :ss",
            "`n` cannot be changed: `DELETE` does not work with a number",
        ),
    ] {
        assert_eq!(applied(text).unwrap_err().to_string(), error, "{text}");
    }
}

#[test]
fn nesting_ends_where_dynamodb_ends_it() {
    let update: Update = "SET a.x = a".parse().unwrap();
    let mut item = map(r#"{"a": {}}"#);
    let refused = loop {
        match update.apply(&item) {
            Ok(deeper) => item = deeper,
            Err(refused) => break refused,
        }
    };
    let place = Path {
        root: "a".to_owned(),
        steps: vec![Step::Field("x".to_owned())],
    };
    assert_eq!(refused, UpdateError::TooDeep(place));
    let mut depth = 0;
    let mut inner = &item["a"];
    while let Some(next) = inner.as_map().and_then(|map| map.get("x")) {
        (depth, inner) = (depth + 1, next);
    }
    assert_eq!(depth + 1, crate::limits::VALUE_DEPTH_MAX);
}

#[test]
fn an_update_names_what_it_changes() {
    let update = Update::parse("SET a.b = 1 REMOVE n ADD c 1 DELETE d :ss", &mut given()).unwrap();
    let paths: Vec<String> = update.paths().map(ToString::to_string).collect();
    assert_eq!(paths, ["a.b", "n", "c", "d"]);
}

#[test]
fn a_printed_update_has_one_clause_of_each_kind() {
    let mut given = given();
    let update = Update::parse(
        "DELETE ss :sb ADD n 1, m.a 1 REMOVE l[0] SET a = if_not_exists(b, 1) - 2",
        &mut given,
    );
    assert_eq!(
        update.unwrap().print(&mut Placeholders::new()).unwrap(),
        "SET #0 = if_not_exists(#1, :0) - :1 REMOVE #2[0] ADD #3 :0, #4.#0 :0 DELETE #5 :2"
    );
}
