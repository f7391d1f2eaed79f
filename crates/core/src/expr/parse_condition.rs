//! Conditions, read from their text.
//!
//! Precedence from the tightest: comparators, `IN`, `BETWEEN`, functions, parentheses, `NOT`,
//! `AND`, `OR`.

use super::check;
use super::condition::{Comparator, Operand, Test, Type};
use super::error::Reason;
use super::evaluate;
use super::parse::{Parsed, Parser};
use super::path::Path;
use super::token::Token;
use crate::limits;
use crate::value::Value;

const OPERAND: &str = "a name, a value or size(...)";
const PATH: &str = "a name";
const KNOWN: &str = "attribute_exists, attribute_not_exists, attribute_type, begins_with, \
                     contains and size";

pub(super) fn condition(parser: &mut Parser<'_, '_>) -> Parsed<Test> {
    let test = any(parser)?;
    parser.expect_end("AND, OR or the end")?;
    Ok(test)
}

fn any(parser: &mut Parser<'_, '_>) -> Parsed<Test> {
    let mut tests = vec![all(parser)?];
    while parser.is_word("OR") {
        parser.count_operator(parser.byte())?;
        parser.next();
        tests.push(all(parser)?);
    }
    Ok(Test::any(tests))
}

fn all(parser: &mut Parser<'_, '_>) -> Parsed<Test> {
    let mut tests = vec![one(parser)?];
    while parser.is_word("AND") {
        parser.count_operator(parser.byte())?;
        parser.next();
        tests.push(one(parser)?);
    }
    Ok(Test::all(tests))
}

fn one(parser: &mut Parser<'_, '_>) -> Parsed<Test> {
    if parser.is_word("NOT") && !is_name(parser.peek_second()) {
        parser.count_operator(parser.byte())?;
        parser.next();
        let test = parser.nested(one)?;
        return Ok(Test::Not(Box::new(test)));
    }
    if parser.is_sign("(") {
        return parenthesis(parser);
    }
    if parser.is_call() && !parser.is_word("size") {
        return call(parser);
    }
    let left = operand(parser)?;
    comparison(parser, left)
}

/// Whether what follows a `not` shows that it is an attribute of that name.
fn is_name(next: &Token<'_>) -> bool {
    match next {
        Token::Sign(sign) => !["(", "-"].contains(sign),
        Token::End => true,
        _ => false,
    }
}

/// An operand in parentheses that is compared, or else a condition in parentheses.
fn parenthesis(parser: &mut Parser<'_, '_>) -> Parsed<Test> {
    let mark = parser.mark();
    if let Ok(left) = operand(parser)
        && compares(parser)
    {
        return comparison(parser, left);
    }
    parser.back_to(mark);
    parser.next();
    let test = parser.nested(any)?;
    parser.expect(")", "AND, OR or `)`")?;
    Ok(test)
}

fn compares(parser: &Parser<'_, '_>) -> bool {
    parser.is_word("BETWEEN") || parser.is_word("IN") || comparator(parser.peek()).is_some()
}

fn comparator(token: &Token<'_>) -> Option<Comparator> {
    let Token::Sign(sign) = token else {
        return None;
    };
    Comparator::ALL
        .into_iter()
        .find(|comparator| comparator.sign() == *sign)
}

fn comparison(parser: &mut Parser<'_, '_>, left: Operand) -> Parsed<Test> {
    let at = parser.byte();
    if let Some(comparator) = comparator(parser.peek()) {
        parser.count_operator(at)?;
        parser.next();
        let right = operand(parser)?;
        checked(parser, at, check::comparison(&left, comparator, &right))?;
        return Ok(Test::Compare(left, comparator, right));
    }
    if parser.word("BETWEEN") {
        parser.count_operator(at)?;
        let low = operand(parser)?;
        if !parser.word("AND") {
            return Err(parser.unexpected("AND and the upper bound"));
        }
        let high = operand(parser)?;
        checked(parser, at, check::between(&left, &low, &high))?;
        return Ok(Test::Between(left, low, high));
    }
    if parser.word("IN") {
        parser.count_operator(at)?;
        parser.expect("(", "`(`")?;
        let choices = parser.list(operand)?;
        parser.expect(")", "`,` or `)`")?;
        let max = limits::DYNAMODB_IN_VALUES_MAX;
        parser.bounded("values of an IN", choices.len(), max, at)?;
        checked(parser, at, check::distinct("IN", &left, &choices))?;
        return Ok(Test::OneOf(left, choices));
    }
    Err(parser.unexpected("a comparison: = <> < <= > >= BETWEEN or IN"))
}

fn checked(parser: &Parser<'_, '_>, at: usize, check: Result<(), Reason>) -> Parsed<()> {
    check.map_err(|reason| parser.error(at, reason))
}

fn operand(parser: &mut Parser<'_, '_>) -> Parsed<Operand> {
    if parser.is_sign("(") {
        parser.next();
        let inner = parser.nested(operand)?;
        parser.expect(")", "`)`")?;
        return Ok(inner);
    }
    if parser.is_call() && parser.is_word("size") {
        return size(parser);
    }
    if let Some(value) = parser.value()? {
        return Ok(Operand::Value(value));
    }
    if parser.is_call() && !parser.is_word("in") {
        let expected = "a name, a value or size(...): no other function has a value";
        return Err(parser.unexpected(expected));
    }
    parser.path(OPERAND).map(Operand::Path)
}

fn size(parser: &mut Parser<'_, '_>) -> Parsed<Operand> {
    let at = parser.byte();
    parser.count_operator(at)?;
    parser.next();
    parser.next();
    let of = parser.nested(operand)?;
    parser.expect(")", "`)`")?;
    let found = match of {
        Operand::Path(path) => return Ok(Operand::Size(path)),
        Operand::Value(value) => match evaluate::size(&value) {
            Some(size) => return Ok(Operand::Value(Value::Number(size))),
            None => value.kind(),
        },
        Operand::Size(_) => "number",
    };
    let reason = Reason::Operand {
        operator: "size",
        found,
        expected: "a string, a binary, a set, a list or a map",
    };
    Err(parser.error(at, reason))
}

fn call(parser: &mut Parser<'_, '_>) -> Parsed<Test> {
    let at = parser.byte();
    parser.count_operator(at)?;
    let Token::Word(name) = parser.next() else {
        return Err(parser.unexpected("a function"));
    };
    parser.next();
    let test = match name.to_ascii_lowercase().as_str() {
        "attribute_exists" => Test::Exists(parser.path(PATH)?),
        "attribute_not_exists" => Test::Absent(parser.path(PATH)?),
        "attribute_type" => is_type(parser)?,
        "begins_with" => {
            let (of, prefix) = two(parser)?;
            checked(parser, at, check::begins_with(&of, &prefix))?;
            Test::BeginsWith(of, prefix)
        }
        "contains" => {
            let (of, part) = two(parser)?;
            checked(parser, at, check::distinct("contains", &of, [&part]))?;
            Test::Contains(of, part)
        }
        _ => {
            let (name, known) = (name.to_owned(), KNOWN);
            return Err(parser.error(at, Reason::UnknownFunction { name, known }));
        }
    };
    parser.expect(")", "`)`")?;
    Ok(test)
}

fn two(parser: &mut Parser<'_, '_>) -> Parsed<(Operand, Operand)> {
    let first = operand(parser)?;
    parser.expect(",", "`,` and a second operand")?;
    Ok((first, operand(parser)?))
}

fn is_type(parser: &mut Parser<'_, '_>) -> Parsed<Test> {
    let path: Path = parser.path(PATH)?;
    parser.expect(",", "`,` and the name of a type")?;
    let at = parser.byte();
    let reason = match parser.value()? {
        Some(Value::String(name)) => match Type::named(&name) {
            Some(kind) => return Ok(Test::IsType(path, kind)),
            None => Reason::UnknownType(name),
        },
        Some(other) => Reason::Operand {
            operator: "attribute_type",
            found: other.kind(),
            expected: "the name of a type",
        },
        None => return Err(parser.unexpected("the name of a type, as in 'S'")),
    };
    Err(parser.error(at, reason))
}
