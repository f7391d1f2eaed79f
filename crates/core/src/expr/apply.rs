//! Updates, applied to an item.
//!
//! Every value is computed from the item as it was; then places are written, from the first
//! element of a list to the last, and what goes is taken out from the last to the first. So the
//! numbers of elements always mean those of the item as it was.

use super::error::UpdateError;
use super::path::{Path, Step, child};
use super::update::{Assigned, Operand, Update};
use crate::limits;
use crate::value::{Map, Number, NumberError, Set, Value};

impl Update {
    /// The item as it is after the update; where there is none, apply it to its key.
    ///
    /// # Errors
    /// What DynamoDB would refuse of this item. The item itself stays as it is.
    pub fn apply(&self, item: &Map) -> Result<Map, UpdateError> {
        let mut writes = Vec::new();
        let mut removes: Vec<&Path> = Vec::new();
        for (path, assigned) in &self.set {
            writes.push((path, assigned.value(path, item)?));
        }
        for (path, value) in &self.add {
            writes.push((path, sum_or_union(path, path.get(item), value)?));
        }
        for (path, set) in &self.delete {
            check_parent(path, item)?;
            match difference(path, path.get(item), set)? {
                Remains::Nothing => removes.push(path),
                Remains::Set(set) => writes.push((path, Value::Set(set))),
                Remains::Same => {}
            }
        }
        for path in &self.remove {
            check_parent(path, item)?;
            removes.extend(path.get(item).map(|_| path));
        }
        write_all(item.clone(), writes, removes)
    }
}

fn write_all(
    mut item: Map,
    mut writes: Vec<(&Path, Value)>,
    mut removes: Vec<&Path>,
) -> Result<Map, UpdateError> {
    writes.sort_by_key(|(path, _)| *path);
    for (path, value) in writes {
        let depth_max = limits::VALUE_DEPTH_MAX.saturating_sub(path.steps.len());
        if !within_depth(&value, depth_max) {
            return Err(UpdateError::TooDeep(path.clone()));
        }
        write(&mut item, path, value)?;
    }
    removes.sort();
    for path in removes.into_iter().rev() {
        remove(&mut item, path);
    }
    Ok(item)
}

impl Assigned {
    fn value(&self, path: &Path, item: &Map) -> Result<Value, UpdateError> {
        let number = |operand: &Operand, operator| {
            let value = operand.value(path, item)?;
            let number = value.as_number().copied();
            number.ok_or_else(|| wrong_kind(path, operator, &value))
        };
        match self {
            Assigned::Operand(operand) => operand.value(path, item),
            Assigned::Sum(left, right) => {
                let sum = number(left, "+")?.checked_add(number(right, "+")?);
                stored(path, sum)
            }
            Assigned::Difference(left, right) => {
                let difference = number(left, "-")?.checked_sub(number(right, "-")?);
                stored(path, difference)
            }
        }
    }
}

impl Operand {
    fn value(&self, path: &Path, item: &Map) -> Result<Value, UpdateError> {
        match self {
            Operand::Path(from) => from
                .get(item)
                .cloned()
                .ok_or_else(|| UpdateError::Missing(from.clone())),
            Operand::Value(value) => Ok(value.clone()),
            Operand::IfNotExists(from, other) => match from.get(item) {
                Some(value) => Ok(value.clone()),
                None => other.value(path, item),
            },
            Operand::ListAppend(first, second) => {
                let mut list = first.list(path, item)?;
                list.extend(second.list(path, item)?);
                Ok(Value::List(list))
            }
        }
    }

    fn list(&self, path: &Path, item: &Map) -> Result<Vec<Value>, UpdateError> {
        match self.value(path, item)? {
            Value::List(list) => Ok(list),
            other => Err(wrong_kind(path, "list_append", &other)),
        }
    }
}

fn stored(path: &Path, number: Result<Number, NumberError>) -> Result<Value, UpdateError> {
    number
        .map(Value::Number)
        .map_err(|reason| UpdateError::Number {
            path: path.clone(),
            reason,
        })
}

fn wrong_kind(path: &Path, operator: &'static str, value: &Value) -> UpdateError {
    UpdateError::WrongKind {
        path: path.clone(),
        operator,
        found: value.kind(),
    }
}

/// What `ADD` makes of what is there: an absent number is 0, an absent set is empty.
fn sum_or_union(path: &Path, old: Option<&Value>, more: &Value) -> Result<Value, UpdateError> {
    match (old, more) {
        (None, more) => Ok(more.clone()),
        (Some(Value::Number(old)), Value::Number(more)) => stored(path, old.checked_add(*more)),
        (Some(Value::Set(old)), Value::Set(more)) => union(old, more)
            .map(Value::Set)
            .ok_or_else(|| wrong_kind(path, "ADD", &Value::Set(old.clone()))),
        (Some(old), _) => Err(wrong_kind(path, "ADD", old)),
    }
}

/// Both together, if they are of one kind.
fn union(one: &Set, other: &Set) -> Option<Set> {
    match (one, other) {
        (Set::Strings(one), Set::Strings(other)) => Some(Set::Strings(one | other)),
        (Set::Numbers(one), Set::Numbers(other)) => Some(Set::Numbers(one | other)),
        (Set::Binaries(one), Set::Binaries(other)) => Some(Set::Binaries(one | other)),
        _ => None,
    }
}

/// What `DELETE` leaves.
enum Remains {
    Nothing,
    Set(Set),
    /// There was no set.
    Same,
}

fn difference(path: &Path, old: Option<&Value>, less: &Set) -> Result<Remains, UpdateError> {
    let left = match (old, less) {
        (None, _) => return Ok(Remains::Same),
        (Some(Value::Set(Set::Strings(old))), Set::Strings(less)) => Set::Strings(old - less),
        (Some(Value::Set(Set::Numbers(old))), Set::Numbers(less)) => Set::Numbers(old - less),
        (Some(Value::Set(Set::Binaries(old))), Set::Binaries(less)) => Set::Binaries(old - less),
        (Some(old), _) => return Err(wrong_kind(path, "DELETE", old)),
    };
    Ok(if left.is_empty() {
        Remains::Nothing
    } else {
        Remains::Set(left)
    })
}

/// The place itself may be absent, but not the list or map it would be in.
fn check_parent(path: &Path, item: &Map) -> Result<(), UpdateError> {
    let Some((last, way)) = path.steps.split_last() else {
        return Ok(());
    };
    let parent = item
        .get(&path.root)
        .and_then(|root| way.iter().try_fold(root, |value, step| child(value, step)));
    match (parent, last) {
        (Some(Value::Map(_)), Step::Field(_)) | (Some(Value::List(_)), Step::Index(_)) => Ok(()),
        _ => Err(UpdateError::InvalidPath(path.clone())),
    }
}

/// Writes one place; an element beyond the end of a list is appended.
fn write(item: &mut Map, path: &Path, value: Value) -> Result<(), UpdateError> {
    let Some((last, way)) = path.steps.split_last() else {
        item.insert(path.root.as_str(), value);
        return Ok(());
    };
    match (parent(item, path, way), last) {
        (Some(Value::Map(map)), Step::Field(name)) => {
            map.insert(name.as_str(), value);
        }
        (Some(Value::List(list)), Step::Index(index)) => match list.get_mut(*index as usize) {
            Some(element) => *element = value,
            None => list.push(value),
        },
        _ => return Err(UpdateError::InvalidPath(path.clone())),
    }
    Ok(())
}

/// Takes out one place that is there.
fn remove(item: &mut Map, path: &Path) {
    let Some((last, way)) = path.steps.split_last() else {
        item.remove(&path.root);
        return;
    };
    match (parent(item, path, way), last) {
        (Some(Value::Map(map)), Step::Field(name)) => {
            map.remove(name);
        }
        (Some(Value::List(list)), Step::Index(index)) if (*index as usize) < list.len() => {
            list.remove(*index as usize);
        }
        _ => {}
    }
}

fn parent<'a>(item: &'a mut Map, path: &Path, way: &[Step]) -> Option<&'a mut Value> {
    way.iter()
        .try_fold(item.get_mut(&path.root)?, |value, step| {
            match (value, step) {
                (Value::Map(map), Step::Field(name)) => map.get_mut(name),
                (Value::List(list), Step::Index(index)) => list.get_mut(*index as usize),
                _ => None,
            }
        })
}

fn within_depth(value: &Value, depth_max: usize) -> bool {
    match value {
        Value::List(list) => {
            depth_max > 0 && list.iter().all(|value| within_depth(value, depth_max - 1))
        }
        Value::Map(map) => {
            depth_max > 0 && map.values().all(|value| within_depth(value, depth_max - 1))
        }
        _ => true,
    }
}
