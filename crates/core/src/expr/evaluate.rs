//! Conditions, asked of an item.
//!
//! A test that does not fit what the item holds is false rather than an error: other types, absent
//! attributes, paths that lead nowhere. Only `<>` is true then.

use super::condition::{Comparator, Operand, Test, Type};
use super::path::Path;
use crate::value::{Map, Number, Set, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

/// What conditions are asked of: something that holds values at paths.
pub trait Source {
    /// The value there, if there is one.
    fn at(&self, path: &Path) -> Option<Cow<'_, Value>>;
}

impl Source for Map {
    fn at(&self, path: &Path) -> Option<Cow<'_, Value>> {
        path.get(self).map(Cow::Borrowed)
    }
}

impl Test {
    pub(super) fn holds(&self, item: &impl Source) -> bool {
        match self {
            Test::All(tests) => tests.iter().all(|test| test.holds(item)),
            Test::Any(tests) => tests.iter().any(|test| test.holds(item)),
            Test::Not(test) => !test.holds(item),
            Test::Compare(left, comparator, right) => {
                compare(left.of(item), *comparator, right.of(item))
            }
            Test::Between(of, low, high) => {
                compare(of.of(item), Comparator::AtLeast, low.of(item))
                    && compare(of.of(item), Comparator::AtMost, high.of(item))
            }
            Test::OneOf(of, choices) => choices
                .iter()
                .any(|choice| compare(of.of(item), Comparator::Equal, choice.of(item))),
            Test::Exists(path) => item.at(path).is_some(),
            Test::Absent(path) => item.at(path).is_none(),
            Test::IsType(path, kind) => {
                item.at(path).is_some_and(|value| Type::of(&value) == *kind)
            }
            Test::BeginsWith(of, prefix) => both(of.of(item), prefix.of(item), begins_with),
            Test::Contains(of, part) => both(of.of(item), part.of(item), contains),
        }
    }
}

impl Operand {
    fn of<'a>(&'a self, item: &'a impl Source) -> Option<Cow<'a, Value>> {
        match self {
            Operand::Path(path) => item.at(path),
            Operand::Value(value) => Some(Cow::Borrowed(value)),
            Operand::Size(path) => item
                .at(path)
                .and_then(|value| size(&value))
                .map(|size| Cow::Owned(Value::Number(size))),
        }
    }
}

/// The size of a value, if it is of a type that has one.
///
/// That of a text is counted in UTF-16 units, as DynamoDB does.
pub(super) fn size(value: &Value) -> Option<Number> {
    let size = match value {
        Value::String(text) => text.encode_utf16().count(),
        Value::Binary(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Set(set) => set.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => return None,
    };
    Some(Number::from(size as u64))
}

/// The order of two values of the same ordered type.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => Some(left.cmp(right)),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Binary(left), Value::Binary(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn compare(
    left: Option<Cow<'_, Value>>,
    comparator: Comparator,
    right: Option<Cow<'_, Value>>,
) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => values(&left, comparator, &right),
        _ => comparator == Comparator::NotEqual,
    }
}

/// Whether the comparison holds between two values.
pub(super) fn values(left: &Value, comparator: Comparator, right: &Value) -> bool {
    match comparator {
        Comparator::Equal => left == right,
        Comparator::NotEqual => left != right,
        Comparator::Less => order(left, right).is_some_and(Ordering::is_lt),
        Comparator::AtMost => order(left, right).is_some_and(Ordering::is_le),
        Comparator::Greater => order(left, right).is_some_and(Ordering::is_gt),
        Comparator::AtLeast => order(left, right).is_some_and(Ordering::is_ge),
    }
}

fn both(
    left: Option<Cow<'_, Value>>,
    right: Option<Cow<'_, Value>>,
    test: fn(&Value, &Value) -> bool,
) -> bool {
    left.zip(right)
        .is_some_and(|(left, right)| test(&left, &right))
}

pub(super) fn begins_with(of: &Value, prefix: &Value) -> bool {
    match (of, prefix) {
        (Value::String(text), Value::String(prefix)) => text.starts_with(prefix.as_str()),
        (Value::Binary(bytes), Value::Binary(prefix)) => bytes.starts_with(prefix),
        _ => false,
    }
}

fn contains(of: &Value, part: &Value) -> bool {
    match (of, part) {
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        (Value::Binary(bytes), Value::Binary(part)) => {
            part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
        }
        (Value::List(list), part) => list.contains(part),
        (Value::Set(Set::Strings(set)), Value::String(part)) => set.contains(part),
        (Value::Set(Set::Numbers(set)), Value::Number(part)) => set.contains(part),
        (Value::Set(Set::Binaries(set)), Value::Binary(part)) => set.contains(part),
        _ => false,
    }
}
