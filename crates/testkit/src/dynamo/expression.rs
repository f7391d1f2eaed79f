//! Conditions: parsed from their texts, then asked of an item.

use super::Refusal;
use super::parse::{Token, Tokens, syntax};
use periwinkle_core::value::{Map, Set, Value};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// The names and values behind the placeholders of one request, and which of them were used.
#[derive(Clone, Debug, Default)]
pub(super) struct Placeholders {
    pub(super) names: BTreeMap<String, String>,
    pub(super) values: BTreeMap<String, Value>,
    pub(super) used: BTreeSet<String>,
}

impl Placeholders {
    pub(super) fn name(&mut self, placeholder: String) -> Result<String, Refusal> {
        let name = self.names.get(&placeholder).cloned();
        let name = name.ok_or_else(|| {
            Refusal::validation(format!("attribute name {placeholder} is not defined"))
        })?;
        self.used.insert(placeholder);
        Ok(name)
    }

    pub(super) fn value(&mut self, placeholder: String) -> Result<Value, Refusal> {
        let value = self.values.get(&placeholder).cloned();
        let value = value.ok_or_else(|| {
            Refusal::validation(format!("attribute value {placeholder} is not defined"))
        })?;
        self.used.insert(placeholder);
        Ok(value)
    }

    /// What is defined must be used.
    pub(super) fn finish(&self) -> Result<(), Refusal> {
        let mut defined = self.names.keys().chain(self.values.keys());
        match defined.find(|placeholder| !self.used.contains(*placeholder)) {
            Some(unused) => Err(Refusal::validation(format!(
                "unused in expressions: keys: {{{unused}}}"
            ))),
            None => Ok(()),
        }
    }
}

/// A condition of a write, or the key condition of a query.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Exists(String),
    Absent(String),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
    Compare(Operand, &'static str, Operand),
    Between(Operand, Operand, Operand),
    OneOf(Operand, Vec<Operand>),
}

/// One side of a comparison.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Field(String),
    Value(Value),
}

impl Condition {
    pub(super) fn parse(text: &str, places: &mut Placeholders) -> Result<Condition, Refusal> {
        let mut tokens = Tokens::of(text)?;
        let condition = any(&mut tokens, places)?;
        match tokens.peek() {
            None => Ok(condition),
            Some(token) => Err(syntax(&format!("{token:?}"))),
        }
    }

    /// The partition that a key condition names.
    pub(super) fn partition(&self) -> Option<&str> {
        match self {
            Condition::All(all) => all.iter().find_map(Condition::partition),
            Condition::Any(any) if any.len() == 1 => any[0].partition(),
            Condition::Compare(Operand::Field(name), "=", Operand::Value(value))
                if name == "pk" =>
            {
                value.as_str()
            }
            _ => None,
        }
    }

    /// Whether it holds of the item, or of there being none.
    pub(super) fn holds(&self, item: Option<&Map>) -> bool {
        let field = |name: &String| item.and_then(|item| item.get(name));
        match self {
            Condition::All(all) => all.iter().all(|one| one.holds(item)),
            Condition::Any(any) => any.iter().any(|one| one.holds(item)),
            Condition::Not(one) => !one.holds(item),
            Condition::Exists(name) => field(name).is_some(),
            Condition::Absent(name) => field(name).is_none(),
            Condition::BeginsWith(of, prefix) => match (of.value(item), prefix.value(item)) {
                (Some(Value::String(text)), Some(Value::String(prefix))) => {
                    text.starts_with(prefix.as_str())
                }
                (Some(Value::Binary(bytes)), Some(Value::Binary(prefix))) => {
                    bytes.starts_with(prefix)
                }
                _ => false,
            },
            Condition::Contains(of, part) => of
                .value(item)
                .zip(part.value(item))
                .is_some_and(|(of, part)| contains(of, part)),
            Condition::Compare(one, sign, other) => {
                compare(one.value(item), sign, other.value(item))
            }
            Condition::Between(of, low, high) => {
                let of = of.value(item);
                compare(of, ">=", low.value(item)) && compare(of, "<=", high.value(item))
            }
            Condition::OneOf(of, list) => list
                .iter()
                .any(|one| compare(of.value(item), "=", one.value(item))),
        }
    }
}

impl Operand {
    pub(super) fn value<'a>(&'a self, item: Option<&'a Map>) -> Option<&'a Value> {
        match self {
            Operand::Field(name) => item?.get(name),
            Operand::Value(value) => Some(value),
        }
    }
}

fn contains(of: &Value, part: &Value) -> bool {
    match (of, part) {
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        (Value::List(list), part) => list.contains(part),
        (Value::Set(Set::Strings(set)), Value::String(part)) => set.contains(part),
        (Value::Set(Set::Numbers(set)), Value::Number(part)) => set.contains(part),
        (Value::Set(Set::Binaries(set)), Value::Binary(part)) => set.contains(part),
        _ => false,
    }
}

/// A missing side makes only `<>` true; values of different types are different and unordered.
fn compare(one: Option<&Value>, sign: &str, other: Option<&Value>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return sign == "<>";
    };
    let order = match (one, other) {
        (Value::Number(one), Value::Number(other)) => Some(one.cmp(other)),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Binary(one), Value::Binary(other)) => Some(one.cmp(other)),
        _ => None,
    };
    match sign {
        "=" => one == other,
        "<>" => one != other,
        "<" => order == Some(Ordering::Less),
        ">" => order == Some(Ordering::Greater),
        "<=" => order.is_some_and(Ordering::is_le),
        _ => order.is_some_and(Ordering::is_ge),
    }
}

fn any(tokens: &mut Tokens, places: &mut Placeholders) -> Result<Condition, Refusal> {
    let mut parts = vec![all(tokens, places)?];
    while tokens.word("OR") {
        parts.push(all(tokens, places)?);
    }
    Ok(Condition::Any(parts))
}

fn all(tokens: &mut Tokens, places: &mut Placeholders) -> Result<Condition, Refusal> {
    let mut parts = vec![one(tokens, places)?];
    while tokens.word("AND") {
        parts.push(one(tokens, places)?);
    }
    Ok(Condition::All(parts))
}

fn one(tokens: &mut Tokens, places: &mut Placeholders) -> Result<Condition, Refusal> {
    if tokens.word("NOT") {
        return Ok(Condition::Not(Box::new(one(tokens, places)?)));
    }
    if tokens.sign("(") {
        let inner = any(tokens, places)?;
        tokens.expect(")")?;
        return Ok(inner);
    }
    if let Some(Token::Word(function)) = tokens.peek().cloned() {
        tokens.next()?;
        return call(&function, tokens, places);
    }
    let left = operand(tokens, places)?;
    if tokens.word("BETWEEN") {
        let low = operand(tokens, places)?;
        if !tokens.word("AND") {
            return Err(syntax("BETWEEN"));
        }
        return Ok(Condition::Between(left, low, operand(tokens, places)?));
    }
    if tokens.word("IN") {
        return Ok(Condition::OneOf(left, list(tokens, places)?));
    }
    match tokens.next()? {
        Token::Sign(sign) if ["=", "<>", "<", "<=", ">", ">="].contains(&sign) => {
            Ok(Condition::Compare(left, sign, operand(tokens, places)?))
        }
        token => Err(syntax(&format!("{token:?}"))),
    }
}

fn call(
    function: &str,
    tokens: &mut Tokens,
    places: &mut Placeholders,
) -> Result<Condition, Refusal> {
    let mut arguments = list(tokens, places)?.into_iter();
    let condition = match (
        function,
        arguments.next(),
        arguments.next(),
        arguments.next(),
    ) {
        ("attribute_exists", Some(Operand::Field(name)), None, None) => Condition::Exists(name),
        ("attribute_not_exists", Some(Operand::Field(name)), None, None) => Condition::Absent(name),
        ("begins_with", Some(of), Some(prefix), None) => Condition::BeginsWith(of, prefix),
        ("contains", Some(of), Some(part), None) => Condition::Contains(of, part),
        _ => return Err(syntax(function)),
    };
    Ok(condition)
}

fn list(tokens: &mut Tokens, places: &mut Placeholders) -> Result<Vec<Operand>, Refusal> {
    tokens.expect("(")?;
    let mut operands = vec![operand(tokens, places)?];
    while tokens.sign(",") {
        operands.push(operand(tokens, places)?);
    }
    tokens.expect(")")?;
    Ok(operands)
}

pub(super) fn operand(tokens: &mut Tokens, places: &mut Placeholders) -> Result<Operand, Refusal> {
    match tokens.next()? {
        Token::Name(placeholder) => Ok(Operand::Field(places.name(placeholder)?)),
        Token::Value(placeholder) => Ok(Operand::Value(places.value(placeholder)?)),
        token => Err(syntax(&format!("{token:?}"))),
    }
}
