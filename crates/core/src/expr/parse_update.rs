//! Updates, read from their text.

use super::error::Reason;
use super::parse::{Parsed, Parser};
use super::path::Path;
use super::token::Token;
use super::update::{Assigned, Operand, Update};
use crate::value::{Set, Value};

const CLAUSES: [&str; 4] = ["SET", "REMOVE", "ADD", "DELETE"];
const PATH: &str = "the name of what to change";
const OPERAND: &str = "a name, a value, if_not_exists(...) or list_append(...)";
const KNOWN: &str = "if_not_exists and list_append";

pub(super) fn update(parser: &mut Parser<'_, '_>) -> Parsed<Update> {
    let mut update = Update::default();
    let mut seen = Vec::new();
    let mut at = Vec::new();
    loop {
        let begin = parser.byte();
        let Some(clause) = CLAUSES.into_iter().find(|clause| parser.is_word(clause)) else {
            return Err(parser.unexpected("SET, REMOVE, ADD or DELETE"));
        };
        if seen.contains(&clause) {
            return Err(parser.error(begin, Reason::RepeatedClause(clause)));
        }
        seen.push(clause);
        parser.next();
        actions(parser, clause, &mut update, &mut at)?;
        if *parser.peek() == Token::End {
            break;
        }
    }
    let paths: Vec<(usize, &Path)> = at.iter().map(|(byte, path)| (*byte, path)).collect();
    parser.check_apart(&paths)?;
    Ok(update)
}

fn actions(
    parser: &mut Parser<'_, '_>,
    clause: &str,
    update: &mut Update,
    at: &mut Vec<(usize, Path)>,
) -> Parsed<()> {
    parser.list(|parser| {
        let begin = parser.byte();
        let path = parser.path(PATH)?;
        at.push((begin, path.clone()));
        match clause {
            "SET" => update.set.push((path, assigned(parser)?)),
            "REMOVE" => update.remove.push(path),
            "ADD" => update.add.push((path, added(parser)?)),
            _ => update.delete.push((path, deleted(parser)?)),
        }
        Ok(())
    })?;
    Ok(())
}

fn assigned(parser: &mut Parser<'_, '_>) -> Parsed<Assigned> {
    parser.expect("=", "`=`")?;
    let left = operand(parser)?;
    let at = parser.byte();
    let (sign, join): (_, fn(_, _) -> _) = if parser.sign("+") {
        ("+", Assigned::Sum)
    } else if parser.sign("-") {
        ("-", Assigned::Difference)
    } else {
        return Ok(Assigned::Operand(left));
    };
    parser.count_operator(at)?;
    let right = operand(parser)?;
    for operand in [&left, &right] {
        of_kind(parser, at, sign, operand, "number", "numbers")?;
    }
    Ok(join(left, right))
}

/// Refuses an operand that is never of the kind that the operator takes.
fn of_kind(
    parser: &Parser<'_, '_>,
    at: usize,
    operator: &'static str,
    operand: &Operand,
    kind: &'static str,
    expected: &'static str,
) -> Parsed<()> {
    let found = match operand {
        Operand::Value(value) => value.kind(),
        Operand::ListAppend(..) => "list",
        Operand::Path(_) | Operand::IfNotExists(..) => return Ok(()),
    };
    if found == kind {
        return Ok(());
    }
    let reason = Reason::Operand {
        operator,
        found,
        expected,
    };
    Err(parser.error(at, reason))
}

fn operand(parser: &mut Parser<'_, '_>) -> Parsed<Operand> {
    if parser.sign("(") {
        let inner = parser.nested(operand)?;
        parser.expect(")", "`)`")?;
        return Ok(inner);
    }
    if parser.is_call() {
        return call(parser);
    }
    if let Some(value) = parser.value()? {
        return Ok(Operand::Value(value));
    }
    parser.path(OPERAND).map(Operand::Path)
}

fn call(parser: &mut Parser<'_, '_>) -> Parsed<Operand> {
    let at = parser.byte();
    parser.count_operator(at)?;
    let Token::Word(name) = parser.next() else {
        return Err(parser.unexpected(OPERAND));
    };
    parser.next();
    let operand = match name.to_ascii_lowercase().as_str() {
        "if_not_exists" => if_not_exists(parser, at)?,
        "list_append" => list_append(parser, at)?,
        _ => {
            let (name, known) = (name.to_owned(), KNOWN);
            return Err(parser.error(at, Reason::UnknownFunction { name, known }));
        }
    };
    parser.expect(")", "`)`")?;
    Ok(operand)
}

fn if_not_exists(parser: &mut Parser<'_, '_>, at: usize) -> Parsed<Operand> {
    let path = parser.path("a name")?;
    parser.expect(",", "`,` and what to take if it does not exist")?;
    let other = parser.nested(operand)?;
    if other == Operand::Path(path.clone()) {
        let operator = "if_not_exists";
        return Err(parser.error(at, Reason::SameOperand { operator, path }));
    }
    Ok(Operand::IfNotExists(path, Box::new(other)))
}

fn list_append(parser: &mut Parser<'_, '_>, at: usize) -> Parsed<Operand> {
    let first = parser.nested(operand)?;
    parser.expect(",", "`,` and a second list")?;
    let second = parser.nested(operand)?;
    for operand in [&first, &second] {
        of_kind(parser, at, "list_append", operand, "list", "lists")?;
    }
    Ok(Operand::ListAppend(Box::new(first), Box::new(second)))
}

fn added(parser: &mut Parser<'_, '_>) -> Parsed<Value> {
    let expected = "a number or a set, as a placeholder or a literal";
    let (at, value) = given(parser, expected)?;
    match listed_set(value) {
        value @ (Value::Number(_) | Value::Set(_)) => Ok(value),
        other => Err(refused(parser, at, "ADD", &other, "a number or a set")),
    }
}

fn deleted(parser: &mut Parser<'_, '_>) -> Parsed<Set> {
    let (at, value) = given(parser, "a set, as a placeholder")?;
    match listed_set(value) {
        Value::Set(set) => Ok(set),
        other => Err(refused(parser, at, "DELETE", &other, "a set")),
    }
}

/// JSON has no sets: there a list stands for one, of texts or of numbers.
fn listed_set(value: Value) -> Value {
    let set = match &value {
        Value::List(members) if !members.is_empty() => Set::of_members(members),
        _ => None,
    };
    set.map_or(value, Value::Set)
}

fn given(parser: &mut Parser<'_, '_>, expected: &'static str) -> Parsed<(usize, Value)> {
    let at = parser.byte();
    match parser.value()? {
        Some(value) => Ok((at, value)),
        None => Err(parser.unexpected(expected)),
    }
}

fn refused(
    parser: &Parser<'_, '_>,
    at: usize,
    operator: &'static str,
    value: &Value,
    expected: &'static str,
) -> super::ExpressionError {
    let found = value.kind();
    let reason = Reason::Operand {
        operator,
        found,
        expected,
    };
    parser.error(at, reason)
}
