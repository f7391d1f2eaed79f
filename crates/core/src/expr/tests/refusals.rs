use super::*;
use crate::expr::{ExpressionError, Projection, Update};
use crate::limits;

type Parse = fn(&str) -> Result<(), ExpressionError>;

fn condition(text: &str) -> Result<(), ExpressionError> {
    Condition::parse(text, &mut given()).map(drop)
}

fn update(text: &str) -> Result<(), ExpressionError> {
    Update::parse(text, &mut given()).map(drop)
}

fn projection(text: &str) -> Result<(), ExpressionError> {
    Projection::parse(text, &mut given()).map(drop)
}

fn check(parse: Parse, table: &[(&str, &str)]) {
    for (text, error) in table {
        match parse(text) {
            Ok(()) => panic!("{text} is taken"),
            Err(found) => assert_eq!(found.to_string(), *error, "{text}"),
        }
    }
}

const OPERAND: &str = "a name, a value or size(...)";

#[test]
fn a_syntax_error_says_where_what_was_found_and_what_could_be() {
    let expected_operand =
        |found: &str, column: usize| format!("column {column}: found {found}, expected {OPERAND}");
    check(
        condition,
        &[
            ("", &expected_operand("the end", 1)),
            ("n = ", &expected_operand("the end", 5)),
            ("n = )", &expected_operand("`)`", 5)),
            ("'é' = 'é' and = 1", &expected_operand("`=`", 15)),
            (
                "n 5",
                "column 3: found `5`, expected a comparison: = <> < <= > >= BETWEEN or IN",
            ),
            (
                "n",
                "column 2: found the end, expected a comparison: = <> < <= > >= BETWEEN or IN",
            ),
            (
                "n = 5 5",
                "column 7: found `5`, expected AND, OR or the end",
            ),
            ("(n = 5", "column 7: found the end, expected AND, OR or `)`"),
            (
                "n between 1 or 2",
                "column 13: found `or`, expected AND and the upper bound",
            ),
            ("n in 5", "column 6: found `5`, expected `(`"),
            ("n in (5", "column 8: found the end, expected `,` or `)`"),
            (
                "n = 5x",
                "column 5: found `5x`, expected a number, or a name in backticks",
            ),
            (
                "n ! 5",
                "column 3: found `!`, expected a name, a value or a sign",
            ),
            (
                "n = :",
                "column 6: found the end, expected the rest of a placeholder such as :value",
            ),
            (
                "# = 1",
                "column 2: found ` `, expected the rest of a placeholder such as #name",
            ),
            (
                "a. = 1",
                "column 4: found `=`, expected the name of a field",
            ),
            (
                "a[x] = 1",
                "column 3: found `x`, expected the number of an element, from 0",
            ),
            (
                "a[1.5] = 1",
                "column 3: found `1.5`, expected the number of an element, from 0",
            ),
            ("a[0 = 1", "column 5: found `=`, expected `]`"),
            (
                "n = 'abc",
                "column 5: the text that begins here does not end: double a quote that belongs to it",
            ),
            (
                "`n = 1",
                "column 1: the name that begins here does not end: double a quote that belongs to it",
            ),
            (
                "n = 1e999",
                "column 5: `1e999` is no number that can be stored: the magnitude is larger than 9.99E+125",
            ),
            (
                "contains(n) ",
                "column 11: found `)`, expected `,` and a second operand",
            ),
            (
                "contains(n, attribute_exists(s))",
                "column 13: found `attribute_exists`, expected a name, a value or size(...): no \
                 other function has a value",
            ),
            (
                "exists(n)",
                "column 1: `exists` is no function here; there are attribute_exists, \
                 attribute_not_exists, attribute_type, begins_with, contains and size",
            ),
        ],
    );
}

#[test]
fn operands_that_never_fit_are_refused_before_any_item_is_seen() {
    let ordered = "it takes a string, a number or a binary";
    let prefix = "it takes a string or a binary";
    let sized = "it takes a string, a binary, a set, a list or a map";
    check(
        condition,
        &[
            (
                "n < true",
                &format!("column 3: `<` does not work with a boolean: {ordered}"),
            ),
            (
                ":ss >= n",
                &format!("column 5: `>=` does not work with a set: {ordered}"),
            ),
            (
                "n between null and null",
                &format!("column 3: `BETWEEN` does not work with a null: {ordered}"),
            ),
            (
                "n between 2 and 1",
                "column 3: BETWEEN needs a lower bound that is not above the upper one",
            ),
            (
                "n between 'a' and 1",
                "column 3: BETWEEN needs two bounds of the same kind, not a string and a number",
            ),
            (
                "begins_with(n, 5)",
                &format!("column 1: `begins_with` does not work with a number: {prefix}"),
            ),
            (
                "begins_with(size(s), 'a')",
                &format!("column 1: `begins_with` does not work with a number: {prefix}"),
            ),
            (
                "size(5) = 1",
                &format!("column 1: `size` does not work with a number: {sized}"),
            ),
            (
                "size(size(s)) = 1",
                &format!("column 1: `size` does not work with a number: {sized}"),
            ),
            (
                "n = n",
                "column 3: `=` is given `n` twice: both sides are always the same",
            ),
            (
                "contains(m.a, m.a)",
                "column 1: `contains` is given `m.a` twice: both sides are always the same",
            ),
            (
                "n in (1, n)",
                "column 3: `IN` is given `n` twice: both sides are always the same",
            ),
            (
                "attribute_type(n, 'X')",
                "column 19: `X` is no type: there are S, SS, N, NS, B, BS, BOOL, NULL, L and M",
            ),
            (
                "attribute_type(n, 5)",
                "column 19: `attribute_type` does not work with a number: it takes the name of a type",
            ),
            (
                "attribute_type(n, s)",
                "column 19: found `s`, expected the name of a type, as in 'S'",
            ),
            (
                "attribute_exists(:five)",
                "column 18: found `:five`, expected a name",
            ),
            (
                "attribute_exists(size(s))",
                "column 22: found `(`, expected `)`",
            ),
            (
                "size(s)",
                "column 8: found the end, expected a comparison: = <> < <= > >= BETWEEN or IN",
            ),
            (
                "n = :nothing",
                "column 5: the placeholder `:nothing` is not defined",
            ),
            (
                "#nothing = 1",
                "column 1: the placeholder `#nothing` is not defined",
            ),
            (
                "ss = :none",
                "column 6: the placeholder `:none` holds an empty set, and there are none in DynamoDB",
            ),
        ],
    );
}

#[test]
fn updates_have_rules_of_their_own() {
    let number = "it takes numbers";
    check(
        update,
        &[
            (
                "",
                "column 1: found the end, expected SET, REMOVE, ADD or DELETE",
            ),
            (
                "a = 1",
                "column 1: found `a`, expected SET, REMOVE, ADD or DELETE",
            ),
            ("SET a 1", "column 7: found `1`, expected `=`"),
            (
                "SET a = 1,",
                "column 11: found the end, expected the name of what to change",
            ),
            (
                "SET a = 1 SET b = 2",
                "column 11: the clause SET stands here for the second time: join them with a comma",
            ),
            (
                "SET a = n + n + n",
                "column 15: found `+`, expected SET, REMOVE, ADD or DELETE",
            ),
            (
                "SET a = n + 'x'",
                &format!("column 11: `+` does not work with a string: {number}"),
            ),
            (
                "SET a = list_append(l, 5)",
                "column 9: `list_append` does not work with a number: it takes lists",
            ),
            (
                "SET a = if_not_exists(5, n)",
                "column 23: found `5`, expected a name",
            ),
            (
                "SET a = if_not_exists(n, n)",
                "column 9: `if_not_exists` is given `n` twice: both sides are always the same",
            ),
            (
                "SET a = size(s)",
                "column 9: `size` is no function here; there are if_not_exists and list_append",
            ),
            (
                "SET a = :none",
                "column 9: the placeholder `:none` holds an empty set, and there are none in DynamoDB",
            ),
            (
                "ADD n 'x'",
                "column 7: `ADD` does not work with a string: it takes a number or a set",
            ),
            (
                "ADD n n",
                "column 7: found `n`, expected a number or a set, as a placeholder or a literal",
            ),
            (
                "DELETE n 5",
                "column 10: `DELETE` does not work with a number: it takes a set",
            ),
            (
                "SET a = 1, a = 2",
                "column 12: `a` overlaps with `a`: name each place once",
            ),
            (
                "SET a.b = 1 REMOVE a",
                "column 20: `a` overlaps with `a.b`: name each place once",
            ),
            (
                "SET a.b.c = 1, z = 1, a.b = 2",
                "column 23: `a.b` overlaps with `a.b.c`: name each place once",
            ),
            (
                "SET a.b = 1, a[0] = 2",
                "column 14: `a[0]` and `a.b` take the same place for a list and for a map",
            ),
        ],
    );
    check(
        projection,
        &[
            ("", "column 1: found the end, expected a name"),
            (
                "a, a.b",
                "column 4: `a.b` overlaps with `a`: name each place once",
            ),
            ("a b", "column 3: found `b`, expected `,` or the end"),
            ("5", "column 1: found `5`, expected a name"),
        ],
    );
}

#[test]
fn placeholders_that_nothing_uses_are_named() {
    let mut given = Placeholders::new()
        .with_name("#a", "a")
        .with_name("#b", "b")
        .with_value(":v", 1)
        .with_value(":w", 1);
    Condition::parse("#a = :v", &mut given).unwrap();
    let unused = given.check_all_used().unwrap_err();
    assert_eq!(
        unused.to_string(),
        "no expression uses #b, :w: take them out of the maps"
    );
    Update::parse("SET #b = :w", &mut given).unwrap();
    given.check_all_used().unwrap();
}

#[test]
fn bounds_are_taken_and_not_exceeded() {
    let long = |bytes: usize| format!("n = '{}'", "x".repeat(bytes - 6));
    let many = |count: usize| vec!["n=1"; count].join(" or ");
    let nested = |depth: usize| format!("{}n = 1{}", "(".repeat(depth), ")".repeat(depth));
    let nots = |depth: usize| format!("{}n = 1", "not ".repeat(depth));
    let choices = |count: usize| format!("n in ({})", vec!["1"; count].join(","));
    let path = |levels: usize| format!("a{} = 1", ".b".repeat(levels - 1));
    let bytes = limits::DYNAMODB_EXPRESSION_BYTES_MAX;
    let (depth, levels) = (limits::EXPRESSION_DEPTH_MAX, limits::VALUE_DEPTH_MAX);
    let values = limits::DYNAMODB_IN_VALUES_MAX;
    for (within, beyond) in [
        (long(bytes), long(bytes + 1)),
        // 150 comparisons and 149 times OR are 299 operators, one more of each are 301.
        (many(150), many(151)),
        (nested(depth), nested(depth + 1)),
        (nots(depth), nots(depth + 1)),
        (choices(values), choices(values + 1)),
        (path(levels), path(levels + 1)),
    ] {
        condition(&within).unwrap();
        let error = condition(&beyond).unwrap_err().to_string();
        assert!(error.contains("but at most"), "{error}");
    }
    condition(&"(".repeat(bytes)).unwrap_err();
}

#[test]
fn a_text_that_grows_beyond_the_bound_is_not_printed() {
    let names = (0..150).map(|number| format!("a{number}<>'{number}'"));
    let text = names.collect::<Vec<_>>().join("or ");
    let condition: Condition = text.parse().unwrap();
    condition.print(&mut Placeholders::new()).unwrap();
    let path: String = ('a'..='z').map(|name| format!(".{name}")).collect();
    let text = vec![format!("z{path} = 1"); 60].join(" and ");
    let condition: Condition = text.parse().unwrap();
    let error = condition.print(&mut Placeholders::new()).unwrap_err();
    assert_eq!(error.max, limits::DYNAMODB_EXPRESSION_BYTES_MAX);
    assert!(error.bytes > error.max);
}
