use super::*;
use crate::expr::{ExpressionError, KeySplit, Path, Place, Projection, SortCondition, Update};

fn check(table: &[(&str, bool)]) {
    for (text, expected) in table {
        assert_eq!(holds(text), *expected, "{text}");
    }
}

#[test]
fn comparisons_are_by_value_and_within_one_type() {
    check(&[
        ("n = 5", true),
        ("n = 5.0", true),
        ("n = 0.5e1", true),
        ("n = '5'", false),
        ("n <> '5'", true),
        ("n < '6'", false),
        ("n > '4'", false),
        ("n < 6", true),
        ("n <= 5", true),
        ("n > -5", true),
        ("n >= 5.1", false),
        ("s < 'b'", true),
        ("'b' > s", true),
        ("b > :bin", true),
        ("t = true", true),
        ("t = TRUE", true),
        ("u = null", true),
        ("u <> null", false),
        ("ss = :ss", true),
        ("ss = :sb", false),
        ("m.a = l[0]", true),
        ("e = ''", true),
        ("s = \"aé😀\"", true),
    ]);
}

#[test]
fn what_is_absent_is_only_different() {
    check(&[
        ("z = 5", false),
        ("z <> 5", true),
        ("z < 5", false),
        ("z >= 5", false),
        ("z = q", false),
        ("z <> q", true),
        ("z between 1 and 9", false),
        ("z in (1, 2)", false),
        ("not z = 5", true),
        ("begins_with(z, 'a')", false),
        ("contains(z, 'a')", false),
        ("size(z) < 5", false),
        ("size(z) <> 5", true),
        ("attribute_type(z, 'NULL')", false),
        ("m.z.y = 1", false),
        ("l[9] = 1", false),
        ("m[0] = 1", false),
        ("l.a = 1", false),
        ("n.a = 1", false),
    ]);
}

#[test]
fn ranges_and_choices_include_their_ends() {
    check(&[
        ("n between 5 and 5", true),
        ("n between 1 and 4", false),
        ("n between 'a' and 'z'", false),
        ("n BETWEEN l[0] AND :five", true),
        ("5 between l[0] and 6", true),
        ("n in (1, 5)", true),
        ("n in ('5')", false),
        ("n in (l[0], m.a)", false),
        ("1 in (l[0])", true),
        ("n between 1 and 9 and t = true", true),
    ]);
}

#[test]
fn functions_answer_for_the_types_they_know() {
    check(&[
        ("attribute_exists(n)", true),
        ("attribute_exists(u)", true),
        ("attribute_exists(m.b.c[1].d)", true),
        ("attribute_exists(m.b.c[2])", false),
        ("attribute_not_exists(z)", true),
        ("attribute_not_exists(m.b)", false),
        ("ATTRIBUTE_EXISTS(n)", true),
        ("attribute_type(s, 'S')", true),
        ("attribute_type(ss, 'SS')", true),
        ("attribute_type(u, 'NULL')", true),
        ("attribute_type(n, 'S')", false),
        ("begins_with(s, 'aé')", true),
        ("begins_with(s, '')", true),
        ("begins_with(s, 'é')", false),
        ("begins_with(b, :bin)", true),
        ("begins_with(b, 'ab')", false),
        ("begins_with(n, '5')", false),
        ("begins_with('abc', e)", true),
        ("contains(s, 'é')", true),
        ("contains(s, 5)", false),
        ("contains(ss, 'a')", true),
        ("contains(ss, 'c')", false),
        ("contains(l, 'x')", true),
        ("contains(l, 2)", false),
        ("contains(b, :mid)", true),
        ("contains(m, 'a')", false),
        ("contains(:list, n)", false),
    ]);
}

#[test]
fn every_type_but_three_has_a_size() {
    check(&[
        ("size(s) = 4", true),
        ("size(b) = 3", true),
        ("size(l) = 3", true),
        ("size(m) = 2", true),
        ("size(ss) = 2", true),
        ("size(e) = 0", true),
        ("size(n) = 5", false),
        ("size(n) < 100", false),
        ("size(t) <> 1", true),
        ("size(u) >= 0", false),
        ("n > size(s)", true),
        ("size(s) between 4 and size(l)", false),
        ("size('abc') = size(l)", true),
        ("size = 3", true),
        ("size < size(s)", true),
    ]);
}

#[test]
fn not_binds_before_and_and_and_before_or() {
    check(&[
        ("n = 5 or n = 6 and n = 7", true),
        ("(n = 5 or n = 6) and n = 7", false),
        ("not n = 6 and t = true", true),
        ("not (n = 5 and t = false)", true),
        ("not not n = 5", true),
        ("n = 6 OR NOT n = 6 AND n = 5", true),
        ("((n = 5))", true),
        ("(n) = (5)", true),
        ("((n) = 5)", true),
        ("(n between 1 and 9) and (((t = true)))", true),
    ]);
}

#[test]
fn any_attribute_can_be_named() {
    let mut item = Map::from([("and", 1), ("or", 1), ("in", 1), ("not", 1), ("between", 1)]);
    item.extend([
        ("set", 1),
        ("m.a", 1),
        ("device-id", 1),
        ("a`b", 1),
        ("_type", 1),
    ]);
    item.extend([("contains", 1), ("true", 1)]);
    for text in [
        "and = 1 and or = 1",
        "in in (1)",
        "not = 1",
        "not not = 2",
        "between between 1 and 1",
        "set=1",
        "#dotted = 1",
        "`m.a` = 1",
        "`device-id` = 1",
        "`a``b` = 1",
        "_type = 1",
        "contains = 1",
        "`true` = 1",
        "attribute_exists(not)",
    ] {
        let condition = Condition::parse(text, &mut given()).unwrap();
        assert!(condition.holds(&item), "{text}");
    }
}

#[test]
fn a_printed_condition_has_placeholders_and_no_idle_parentheses() {
    for (text, printed) in [
        (
            "temp > 20 and begins_with(name, 'a')",
            "#0 > :0 AND begins_with(#1, :1)",
        ),
        (
            "((a = 1)) or ((b = 1 and (c = 2)))",
            "#0 = :0 OR (#1 = :0 AND #2 = :1)",
        ),
        ("not not a = 1", "NOT (NOT (#0 = :0))"),
        (
            "(a = 1 or b = 1) and c = 1",
            "(#0 = :0 OR #1 = :0) AND #2 = :0",
        ),
        ("a.b[3].a in (1, size(c))", "#0.#1[3].#0 IN (:0, size(#2))"),
        ("attribute_type(a, 'S')", "attribute_type(#0, :0)"),
        ("a between 'x' and 'y'", "#0 BETWEEN :0 AND :1"),
    ] {
        let condition: Condition = text.parse().unwrap();
        assert_eq!(
            condition.print(&mut Placeholders::new()).unwrap(),
            printed,
            "{text}"
        );
    }
}

#[test]
fn expressions_of_one_request_share_their_placeholders() {
    let mut places = Placeholders::new();
    let condition: Condition = "a = 1".parse().unwrap();
    let update: Update = "set b = a + 1".parse().unwrap();
    assert_eq!(condition.print(&mut places).unwrap(), "#0 = :0");
    assert_eq!(update.print(&mut places).unwrap(), "SET #1 = #0 + :0");
    assert_eq!(
        places.names().collect::<Vec<_>>(),
        [("#0", "a"), ("#1", "b")]
    );
    assert_eq!(
        places.values().collect::<Vec<_>>(),
        [(":0", &Value::from(1))]
    );
}

fn split(text: &str) -> Option<KeySplit> {
    text.parse::<Condition>()
        .unwrap()
        .split_key("pk", Some("sk"))
}

#[test]
fn a_key_takes_what_it_answers_and_leaves_the_rest() {
    let text = |value: &str| Value::from(value);
    for (condition, sort, rest) in [
        ("pk = 'x'", None, None),
        (
            "'x' = pk and sk = 'a'",
            Some(SortCondition::Equals(text("a"))),
            None,
        ),
        (
            "pk = 'x' and 'a' < sk",
            Some(SortCondition::Greater(text("a"))),
            None,
        ),
        (
            "sk <= 'a' and pk = 'x'",
            Some(SortCondition::AtMost(text("a"))),
            None,
        ),
        (
            "pk = 'x' and begins_with(sk, 'a') and n > 1",
            Some(SortCondition::BeginsWith(text("a"))),
            Some("n > 1"),
        ),
        (
            "pk = 'x' and sk > 'a' and sk between 'b' and 'c' and (n = 1 or t = 2)",
            Some(SortCondition::Between(text("b"), text("c"))),
            Some("sk > 'a' and (n = 1 or t = 2)"),
        ),
        ("pk = 'x' and sk <> 'a'", None, Some("sk <> 'a'")),
        ("pk = 'x' and pk = 'y'", None, Some("pk = 'y'")),
        ("pk = 'x' and sk.a = 'a'", None, Some("sk.a = 'a'")),
        ("pk = 'x' and sk = other", None, Some("sk = other")),
    ] {
        let made = split(condition).unwrap();
        assert_eq!(made.key.partition, text("x"), "{condition}");
        assert_eq!(made.key.sort, sort, "{condition}");
        let rest: Option<Condition> = rest.map(|rest| rest.parse().unwrap());
        assert_eq!(made.filter, rest, "{condition}");
    }
}

#[test]
fn without_one_partition_key_there_is_no_key_condition() {
    for text in [
        "n = 1",
        "pk > 'x'",
        "pk = 'x' or n = 1",
        "not pk = 'x'",
        "pk = true",
        "pk = n",
    ] {
        assert_eq!(split(text), None, "{text}");
    }
    let hash_only: Condition = "pk = 1 and sk = 2".parse().unwrap();
    let made = hash_only.split_key("pk", None).unwrap();
    assert_eq!(
        (made.key.sort, made.filter),
        (None, Some("sk = 2".parse().unwrap()))
    );
}

#[test]
fn projections_keep_the_shape_of_the_item() {
    for (text, expected) in [
        ("n", r#"{"n": 5}"#),
        ("n, z", r#"{"n": 5}"#),
        ("m.a, size", r#"{"m": {"a": 1}, "size": 3}"#),
        ("m.b.c[1].d", r#"{"m": {"b": {"c": [{"d": "deep"}]}}}"#),
        ("l[2], l[0]", r#"{"l": [1, [2]]}"#),
        ("m.b.c[0], m.a", r#"{"m": {"a": 1, "b": {"c": [7]}}}"#),
        ("m.z, l[9], n.a", "{}"),
        ("#n, `m`.a", r#"{"n": 5, "m": {"a": 1}}"#),
    ] {
        let projection = Projection::parse(text, &mut given()).unwrap();
        assert_eq!(projection.apply(&item()), map(expected), "{text}");
    }
}

#[test]
fn every_path_of_a_text_has_its_place() {
    type Places = fn(&str, &mut Placeholders) -> Result<Vec<(Place, Path)>, ExpressionError>;
    type Row = (Places, &'static str, &'static [(usize, &'static str)]);
    let table: [Row; 6] = [
        (
            Condition::places,
            "a = 1 and b.c[2] > d",
            &[(1, "a"), (11, "b.c[2]"), (20, "d")],
        ),
        // What is in parentheses is read as an operand first.
        (
            Condition::places,
            "(a) = 1 or (b = c)",
            &[(2, "a"), (13, "b"), (17, "c")],
        ),
        (
            Condition::places,
            "'ü' = `a b` and size(c) in (1)",
            &[(7, "`a b`"), (22, "c")],
        ),
        (Condition::places, "#n = :v", &[(1, "name")]),
        (
            Update::places,
            "SET a = b + c REMOVE d",
            &[(5, "a"), (9, "b"), (13, "c"), (22, "d")],
        ),
        (Projection::places, "a, b.c", &[(1, "a"), (4, "b.c")]),
    ];
    for (places, text, expected) in table {
        let mut given = Placeholders::new()
            .with_name("#n", "name")
            .with_value(":v", 1);
        let found = places(text, &mut given).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(at, path)| (at.column, path.to_string()))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(column, path)| (*column, (*path).to_owned()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
}
