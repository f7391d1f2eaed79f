//! Update expressions: `SET`, `REMOVE`, `ADD` and `DELETE` of top-level attributes.

use super::Refusal;
use super::expression::{Operand, Placeholders, operand};
use super::parse::{Token, Tokens, syntax};
use periwinkle_core::value::{Map, Number, Set, Value};
use std::collections::BTreeSet;

/// What an update does to one attribute; every part sees the item as it was before.
#[derive(Clone, Debug)]
enum Action {
    Set(String, Value),
    Remove(String),
    Add(String, Value),
    Delete(String, Value),
}

impl Action {
    fn name(&self) -> &str {
        let (Action::Set(name, _)
        | Action::Remove(name)
        | Action::Add(name, _)
        | Action::Delete(name, _)) = self;
        name
    }
}

/// Applies an update expression to an item.
pub(super) fn apply(text: &str, item: Map, places: &mut Placeholders) -> Result<Map, Refusal> {
    let actions = parse(text, &item, places)?;
    let names: BTreeSet<&str> = actions.iter().map(Action::name).collect();
    if names.len() < actions.len() {
        return Err(Refusal::validation(
            "Two document paths overlap with each other",
        ));
    }
    actions.into_iter().try_fold(item, |mut item, action| {
        match action {
            Action::Set(name, value) => {
                item.insert(name, value);
            }
            Action::Remove(name) => {
                item.remove(&name);
            }
            Action::Add(name, by) => {
                let sum = add(item.get(&name), by)?;
                item.insert(name, sum);
            }
            Action::Delete(name, members) => delete(&mut item, &name, &members)?,
        }
        Ok(item)
    })
}

fn parse(text: &str, item: &Map, places: &mut Placeholders) -> Result<Vec<Action>, Refusal> {
    let mut tokens = Tokens::of(text)?;
    let mut actions = Vec::new();
    let mut clauses = BTreeSet::new();
    while tokens.peek().is_some() {
        let Token::Word(clause) = tokens.next()? else {
            return Err(syntax(text));
        };
        if !clauses.insert(clause.clone()) {
            return Err(Refusal::validation(format!(
                "The {clause} section can only be used once"
            )));
        }
        loop {
            let name = field(&mut tokens, places)?;
            actions.push(match clause.as_str() {
                "SET" => {
                    tokens.expect("=")?;
                    Action::Set(name, term(&mut tokens, item, places)?)
                }
                "REMOVE" => Action::Remove(name),
                "ADD" => Action::Add(name, value(&mut tokens, item, places)?),
                "DELETE" => Action::Delete(name, value(&mut tokens, item, places)?),
                other => return Err(syntax(other)),
            });
            if !tokens.sign(",") {
                break;
            }
        }
    }
    Ok(actions)
}

fn field(tokens: &mut Tokens, places: &mut Placeholders) -> Result<String, Refusal> {
    match operand(tokens, places)? {
        Operand::Field(name) => Ok(name),
        Operand::Value(_) => Err(syntax("a value where a name must stand")),
    }
}

/// A value, or the sum or difference of two numbers.
fn term(tokens: &mut Tokens, item: &Map, places: &mut Placeholders) -> Result<Value, Refusal> {
    let left = value(tokens, item, places)?;
    let minus = tokens.sign("-");
    if !minus && !tokens.sign("+") {
        return Ok(left);
    }
    let right = value(tokens, item, places)?;
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            sum(left, if minus { -right } else { right })
        }
        _ => Err(Refusal::validation(
            "Incorrect operand type for operator or function",
        )),
    }
}

fn value(tokens: &mut Tokens, item: &Map, places: &mut Placeholders) -> Result<Value, Refusal> {
    if tokens.word("if_not_exists") {
        tokens.expect("(")?;
        let name = field(tokens, places)?;
        tokens.expect(",")?;
        let otherwise = value(tokens, item, places)?;
        tokens.expect(")")?;
        return Ok(item.get(&name).cloned().unwrap_or(otherwise));
    }
    let operand = operand(tokens, places)?;
    let missing = "The provided expression refers to an attribute that does not exist in the item";
    operand
        .value(Some(item))
        .cloned()
        .ok_or_else(|| Refusal::validation(missing))
}

fn sum(one: Number, other: Number) -> Result<Value, Refusal> {
    one.checked_add(other)
        .map(Value::Number)
        .map_err(|error| Refusal::validation(error.to_string()))
}

fn add(old: Option<&Value>, by: Value) -> Result<Value, Refusal> {
    match (old, by) {
        (None, by @ (Value::Number(_) | Value::Set(_))) => Ok(by),
        (Some(Value::Number(old)), Value::Number(by)) => sum(*old, by),
        (Some(Value::Set(old)), Value::Set(by)) => union(old.clone(), by),
        _ => Err(Refusal::validation(
            "An operand in the update expression has an incorrect type",
        )),
    }
}

fn union(old: Set, by: Set) -> Result<Value, Refusal> {
    Ok(Value::Set(match (old, by) {
        (Set::Strings(old), Set::Strings(by)) => Set::Strings(&old | &by),
        (Set::Numbers(old), Set::Numbers(by)) => Set::Numbers(&old | &by),
        (Set::Binaries(old), Set::Binaries(by)) => Set::Binaries(&old | &by),
        _ => return Err(Refusal::validation("sets of different types")),
    }))
}

fn delete(item: &mut Map, name: &str, members: &Value) -> Result<(), Refusal> {
    let left = match (item.get(name), members) {
        (None, Value::Set(_)) => return Ok(()),
        (Some(Value::Set(Set::Strings(old))), Value::Set(Set::Strings(by))) => {
            Set::Strings(old - by)
        }
        (Some(Value::Set(Set::Numbers(old))), Value::Set(Set::Numbers(by))) => {
            Set::Numbers(old - by)
        }
        (Some(Value::Set(Set::Binaries(old))), Value::Set(Set::Binaries(by))) => {
            Set::Binaries(old - by)
        }
        _ => return Err(Refusal::validation("DELETE takes sets of one type")),
    };
    if left.is_empty() {
        item.remove(name);
    } else {
        item.insert(name, Value::Set(left));
    }
    Ok(())
}
