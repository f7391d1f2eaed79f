//! The stored values of fields, and nested objects in which each field has a schema of its own.

use std::borrow::Cow;

use super::convert::{self, Site};
use super::encode::Writing;
use super::error::PropertyError;
use super::key::expand_in;
use super::model::{Field, FieldType, Generate};
use crate::ids;
use crate::value::{Map, Value};

/// Which fields get a value that nobody gave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// Of a new item: all that have a default or are generated.
    All,
    /// Of an object that replaces another one in an item: those that must have a value.
    Required,
}

/// The stored form of a value where there was none: given, or by default, or generated.
pub(super) fn new_value(
    field: &Field,
    given: Option<&Value>,
    site: &Site<'_>,
    fill: Fill,
    writing: &mut Writing<'_>,
) -> Result<Option<Value>, PropertyError> {
    let value = match given {
        Some(value) => Some(Cow::Borrowed(value)),
        None if fill == Fill::Required && !field.required => None,
        None => missing_value(field, writing).map(Cow::Owned),
    };
    match value {
        None if field.required => Err(site.missing()),
        None => Ok(None),
        Some(value) if value.is_null() => null(field, site),
        Some(value) => whole_value(field, value, site, fill, writing),
    }
}

/// A null is a value of its own where nulls are stored; elsewhere it means that there is none.
fn null(field: &Field, site: &Site<'_>) -> Result<Option<Value>, PropertyError> {
    if field.required {
        return Err(site.missing());
    }
    if !field.nulls {
        return Ok(None);
    }
    convert::check_choices(field, &Value::Null, site)?;
    Ok(Some(Value::Null))
}

fn missing_value(field: &Field, writing: &mut Writing<'_>) -> Option<Value> {
    // An object that must be there is made of the defaults of its fields.
    if field.required && !field.nested.is_empty() {
        return Some(match field.kind {
            FieldType::Array => Value::List(Vec::new()),
            _ => Value::Map(Map::new()),
        });
    }
    if let Some(default) = &field.default {
        return Some(default.clone());
    }
    match field.generate? {
        Generate::Ulid => {
            let id = writing.ulids.next(writing.wall, writing.entropy);
            Some(Value::String(id))
        }
        Generate::Uid(letters) => Some(Value::String(ids::uid(letters, writing.entropy))),
        Generate::Uuid => Some(Value::String(ids::uuid(writing.entropy))),
    }
}

/// The stored form of a value that replaces whatever was there.
fn whole_value(
    field: &Field,
    value: Cow<'_, Value>,
    site: &Site<'_>,
    fill: Fill,
    writing: &mut Writing<'_>,
) -> Result<Option<Value>, PropertyError> {
    match (field.kind, &*value) {
        (FieldType::Object, Value::Map(map)) if !field.nested.is_empty() => {
            let block = new_block(field, map, site, fill, writing)?;
            // An object of which the schema knows the fields is not stored without any.
            let nothing = block.is_empty() && field.partial && field.default.is_none();
            Ok((!nothing).then_some(Value::Map(block)))
        }
        (FieldType::Array, Value::List(items)) if field.items.is_some() => items
            .iter()
            .map(|item| array_entry(field, item, site, fill, writing))
            .collect::<Result<_, _>>()
            .map(|items| Some(Value::List(items))),
        _ => Ok(match convert::stored(field, &value, site)? {
            None => None,
            Some(Cow::Owned(stored)) => Some(stored),
            Some(Cow::Borrowed(_)) => Some(value.into_owned()),
        }),
    }
}

fn array_entry(
    field: &Field,
    item: &Value,
    site: &Site<'_>,
    fill: Fill,
    writing: &mut Writing<'_>,
) -> Result<Value, PropertyError> {
    match item {
        Value::Map(map) if !field.nested.is_empty() => {
            new_block(field, map, site, fill, writing).map(Value::Map)
        }
        other => convert::stored_entry(&field.entry(), other, site),
    }
}

fn new_block(
    parent: &Field,
    given: &Map,
    site: &Site<'_>,
    fill: Fill,
    writing: &mut Writing<'_>,
) -> Result<Map, PropertyError> {
    check_names(&parent.nested, given, site)?;
    let mut block = Map::with_capacity(parent.nested.len());
    for field in &parent.nested {
        if field.template.is_some() {
            continue;
        }
        let site = site.of(field);
        if let Some(value) = new_value(field, given.get(&field.name), &site, fill, writing)? {
            field.store(&mut block, value);
        }
    }
    compute(parent, given, &mut block, site)?;
    Ok(block)
}

fn check_names(fields: &[Field], given: &Map, site: &Site<'_>) -> Result<(), PropertyError> {
    for name in given.keys() {
        if !fields.iter().any(|field| field.name == name) {
            let path = format!("{}.{name}", site.path());
            let known = fields.iter().filter(|field| !field.hidden).map(Field::name);
            return Err(PropertyError::unknown_field(site.model, path, name, known));
        }
    }
    Ok(())
}

/// Puts a changed value in its place in an item, or in a nested object.
pub(super) fn change(
    field: &Field,
    value: &Value,
    item: &mut Map,
    site: &Site<'_>,
    writing: &mut Writing<'_>,
) -> Result<(), PropertyError> {
    if let (FieldType::Object, true, Value::Map(changes), Some(Value::Map(block))) = (
        field.kind,
        field.partial && !field.nested.is_empty(),
        value,
        item.get_mut(&field.attribute),
    ) {
        return change_block(field, changes, block, site, writing);
    }
    let stored = match value {
        Value::Null => null(field, site)?,
        value => whole_value(field, Cow::Borrowed(value), site, Fill::Required, writing)?,
    };
    match stored {
        Some(stored) => field.store(item, stored),
        None => field.clear(item),
    }
    Ok(())
}

fn change_block(
    parent: &Field,
    changes: &Map,
    block: &mut Map,
    site: &Site<'_>,
    writing: &mut Writing<'_>,
) -> Result<(), PropertyError> {
    check_names(&parent.nested, changes, site)?;
    for field in parent
        .nested
        .iter()
        .filter(|field| field.template.is_none())
    {
        if let Some(value) = changes.get(&field.name) {
            change(field, value, block, &site.of(field), writing)?;
        }
    }
    compute(parent, changes, block, site)
}

/// Makes the fields of a nested object that have a value template.
fn compute(
    parent: &Field,
    given: &Map,
    block: &mut Map,
    site: &Site<'_>,
) -> Result<(), PropertyError> {
    for at in &parent.nested_computed {
        let field = &parent.nested[*at];
        let (text, missing) = expand_in(&parent.nested, field, block);
        let told = given.get(&field.name).filter(|told| **told != Value::Null);
        if told.is_some_and(|told| missing.is_some() || told.as_str() != Some(&text)) {
            return Err(site.of(field).computed(field));
        }
        if missing.is_some() {
            field.clear(block);
            if field.required {
                return Err(site.of(field).missing());
            }
            continue;
        }
        field.store(block, text);
    }
    Ok(())
}
