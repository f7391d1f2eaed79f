//! From the stored item to the properties that programs see.

use super::convert;
use super::model::{Field, FieldType, Model};
use crate::value::{Map, Value};

/// Whether a program sees hidden fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// They are left out.
    Omit,
    /// They are shown.
    Include,
}

impl Model {
    /// When the item expires: milliseconds since 1970.
    pub fn expires(&self, item: &Map) -> Option<crate::time::UnixMillis> {
        let field = &self.fields[self.ttl?];
        convert::date_millis(field, &*field.stored_in(item)?)
    }
}

pub(super) fn block(fields: &[Field], item: &Map, hidden: Hidden) -> Map {
    let mut properties = Map::with_capacity(fields.len());
    for field in fields {
        if field.hidden && hidden == Hidden::Omit {
            continue;
        }
        let value = match field.stored_in(item) {
            Some(stored) => seen(field, &stored, hidden),
            None => match &field.default {
                Some(default) => default.clone(),
                None => continue,
            },
        };
        properties.insert(&field.name, value);
    }
    properties
}

/// What programs see of a stored value.
pub(super) fn seen(field: &Field, stored: &Value, hidden: Hidden) -> Value {
    match (field.kind, stored) {
        (FieldType::Object, Value::Map(map)) if !field.nested.is_empty() => {
            Value::Map(block(&field.nested, map, hidden))
        }
        (FieldType::Array, Value::List(items)) if !field.nested.is_empty() => Value::List(
            items
                .iter()
                .map(|item| match item {
                    Value::Map(map) => Value::Map(block(&field.nested, map, hidden)),
                    other => other.clone(),
                })
                .collect(),
        ),
        _ => convert::property(field, stored).into_owned(),
    }
}
