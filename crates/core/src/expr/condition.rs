//! Conditions as trees.

use super::Path;
use super::error::{ExpressionError, Place};
use super::evaluate::Source;
use super::parse::Parser;
use super::parse_condition;
use super::placeholders::Placeholders;
use crate::value::{Set, Value};
use std::str::FromStr;

/// What must hold of an item: a condition of a write, a filter, or a key condition.
///
/// Parentheses that change nothing are gone: two texts that mean the same by the rules of
/// precedence alone give the same condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(pub(super) Test);

impl Condition {
    /// Reads a condition, a filter or a key condition.
    ///
    /// # Errors
    /// What DynamoDB would refuse whatever the item, with its place in the text.
    pub fn parse(text: &str, given: &mut Placeholders) -> Result<Condition, ExpressionError> {
        let mut parser = Parser::new(text, given)?;
        parse_condition::condition(&mut parser).map(Condition)
    }

    /// Every path of such a text with its place, in the order of the text: to say where a name
    /// stands that an item cannot have.
    ///
    /// # Errors
    /// As `parse`.
    pub fn places(
        text: &str,
        given: &mut Placeholders,
    ) -> Result<Vec<(Place, Path)>, ExpressionError> {
        let mut parser = Parser::new(text, given)?;
        parse_condition::condition(&mut parser)?;
        Ok(parser.into_named())
    }

    /// Whether it holds of the item; where there is none, ask of an empty one.
    pub fn holds(&self, item: &impl Source) -> bool {
        self.0.holds(item)
    }
}

impl FromStr for Condition {
    type Err = ExpressionError;

    /// Reads a condition without placeholders.
    fn from_str(text: &str) -> Result<Condition, ExpressionError> {
        Condition::parse(text, &mut Placeholders::new())
    }
}

/// One test, or several joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// At least two, and none of them `All`.
    All(Vec<Test>),
    /// At least two, and none of them `Any`.
    Any(Vec<Test>),
    Not(Box<Test>),
    Compare(Operand, Comparator, Operand),
    Between(Operand, Operand, Operand),
    OneOf(Operand, Vec<Operand>),
    Exists(Path),
    Absent(Path),
    IsType(Path, Type),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

impl Test {
    /// All of them; of one, itself.
    pub(super) fn all(tests: Vec<Test>) -> Test {
        joined(tests, Test::All, |test| match test {
            Test::All(inner) => Some(std::mem::take(inner)),
            _ => None,
        })
    }

    /// Any of them; of one, itself.
    pub(super) fn any(tests: Vec<Test>) -> Test {
        joined(tests, Test::Any, |test| match test {
            Test::Any(inner) => Some(std::mem::take(inner)),
            _ => None,
        })
    }
}

fn joined(
    tests: Vec<Test>,
    join: fn(Vec<Test>) -> Test,
    open: fn(&mut Test) -> Option<Vec<Test>>,
) -> Test {
    let mut flat = Vec::with_capacity(tests.len());
    for mut test in tests {
        match open(&mut test) {
            Some(inner) => flat.extend(inner),
            None => flat.push(test),
        }
    }
    match flat.pop() {
        Some(only) if flat.is_empty() => only,
        Some(last) => {
            flat.push(last);
            join(flat)
        }
        None => join(flat),
    }
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Path(Path),
    Value(Value),
    /// `size(path)`; the size of a value is known when it is read, and is a value itself.
    Size(Path),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Comparator {
    pub(super) const ALL: [Comparator; 6] = [
        Comparator::Equal,
        Comparator::NotEqual,
        Comparator::Less,
        Comparator::AtMost,
        Comparator::Greater,
        Comparator::AtLeast,
    ];

    pub(super) const fn sign(self) -> &'static str {
        match self {
            Comparator::Equal => "=",
            Comparator::NotEqual => "<>",
            Comparator::Less => "<",
            Comparator::AtMost => "<=",
            Comparator::Greater => ">",
            Comparator::AtLeast => ">=",
        }
    }

    /// The one that says the same with its sides exchanged.
    pub(super) const fn mirrored(self) -> Comparator {
        match self {
            Comparator::Equal | Comparator::NotEqual => self,
            Comparator::Less => Comparator::Greater,
            Comparator::AtMost => Comparator::AtLeast,
            Comparator::Greater => Comparator::Less,
            Comparator::AtLeast => Comparator::AtMost,
        }
    }
}

/// The types that `attribute_type` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type(pub(super) &'static str);

impl Type {
    pub(super) const NAMES: [&str; 10] =
        ["S", "SS", "N", "NS", "B", "BS", "BOOL", "NULL", "L", "M"];

    pub(super) fn named(name: &str) -> Option<Type> {
        Type::NAMES
            .into_iter()
            .find(|known| *known == name)
            .map(Type)
    }

    pub(super) const fn of(value: &Value) -> Type {
        Type(match value {
            Value::Null => "NULL",
            Value::Bool(_) => "BOOL",
            Value::Number(_) => "N",
            Value::String(_) => "S",
            Value::Binary(_) => "B",
            Value::List(_) => "L",
            Value::Map(_) => "M",
            Value::Set(Set::Strings(_)) => "SS",
            Value::Set(Set::Numbers(_)) => "NS",
            Value::Set(Set::Binaries(_)) => "BS",
        })
    }
}
