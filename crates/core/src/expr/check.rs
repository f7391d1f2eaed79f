//! Which operands DynamoDB refuses whatever the item.

use super::condition::{Comparator, Operand};
use super::error::Reason;
use super::evaluate::order;
use crate::value::Value;
use std::cmp::Ordering;

const ORDERED: &str = "a string, a number or a binary";

pub(super) fn comparison(
    left: &Operand,
    comparator: Comparator,
    right: &Operand,
) -> Result<(), Reason> {
    distinct(comparator.sign(), left, [right])?;
    if matches!(comparator, Comparator::Equal | Comparator::NotEqual) {
        return Ok(());
    }
    ordered(comparator.sign(), left)?;
    ordered(comparator.sign(), right)
}

pub(super) fn between(of: &Operand, low: &Operand, high: &Operand) -> Result<(), Reason> {
    distinct("BETWEEN", of, [low, high])?;
    for operand in [of, low, high] {
        ordered("BETWEEN", operand)?;
    }
    let (Operand::Value(low), Operand::Value(high)) = (low, high) else {
        return Ok(());
    };
    match order(low, high) {
        None => Err(Reason::BoundsKinds {
            low: low.kind(),
            high: high.kind(),
        }),
        Some(Ordering::Greater) => Err(Reason::BoundsOrder),
        Some(_) => Ok(()),
    }
}

pub(super) fn begins_with(of: &Operand, prefix: &Operand) -> Result<(), Reason> {
    distinct("begins_with", of, [prefix])?;
    for operand in [of, prefix] {
        of_kinds(
            "begins_with",
            operand,
            &["string", "binary"],
            "a string or a binary",
        )?;
    }
    Ok(())
}

/// The first operand must be another path than the rest.
pub(super) fn distinct<'a>(
    operator: &'static str,
    first: &Operand,
    rest: impl IntoIterator<Item = &'a Operand>,
) -> Result<(), Reason> {
    let Operand::Path(path) = first else {
        return Ok(());
    };
    if rest.into_iter().any(|operand| operand == first) {
        let path = path.clone();
        return Err(Reason::SameOperand { operator, path });
    }
    Ok(())
}

fn ordered(operator: &'static str, operand: &Operand) -> Result<(), Reason> {
    of_kinds(operator, operand, &["string", "number", "binary"], ORDERED)
}

fn of_kinds(
    operator: &'static str,
    operand: &Operand,
    kinds: &[&str],
    expected: &'static str,
) -> Result<(), Reason> {
    let found = match operand {
        Operand::Path(_) => return Ok(()),
        Operand::Value(value) => value.kind(),
        Operand::Size(_) => Value::Number(crate::value::Number::ZERO).kind(),
    };
    if kinds.contains(&found) {
        return Ok(());
    }
    Err(Reason::Operand {
        operator,
        found,
        expected,
    })
}
