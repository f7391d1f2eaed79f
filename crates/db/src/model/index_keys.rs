//! Keys of indexes that DynamoDB would refuse: a change with one could never reach the cloud.

use periwinkle_core::limits::{KEY_HASH_BYTES_MAX, KEY_SORT_BYTES_MAX};
use periwinkle_core::schema::{Field, FieldType, Model};
use periwinkle_core::value::{Map, Value};

use super::error::{DbError, IndexKeyError};
use super::writer::Writer;

/// The attribute of an index.
struct Part<'a> {
    index: &'a str,
    attribute: &'a str,
    name: &'static str,
    bytes_max: usize,
}

impl Writer<'_> {
    /// Refuses an item on its way to the cloud whose index keys the cloud does not take. An item
    /// that lacks one is not in the index.
    pub(super) fn check_index_keys(&self, model: &Model, item: &Map) -> Result<(), DbError> {
        if !model.direction().is_up() {
            return Ok(());
        }
        for index in &self.shared.declared {
            let hash = ("partition", Some(&index.hash), KEY_HASH_BYTES_MAX);
            let sort = ("sort", index.sort.as_ref(), KEY_SORT_BYTES_MAX);
            for (name, attribute, bytes_max) in [hash, sort] {
                let Some(attribute) = attribute else {
                    continue;
                };
                let part = Part {
                    index: &index.name,
                    attribute,
                    name,
                    bytes_max,
                };
                if let Some(value) = item.get(attribute) {
                    self.check_index_key(model, &part, value)?;
                }
            }
        }
        Ok(())
    }

    fn check_index_key(
        &self,
        model: &Model,
        part: &Part<'_>,
        value: &Value,
    ) -> Result<(), DbError> {
        let bytes = match value {
            Value::String(text) => text.len(),
            Value::Binary(bytes) => bytes.len(),
            // No number is too long.
            _ => 1,
        };
        let expected = self.key_type(part.attribute);
        let wrong = if expected != key_type_of(value) {
            let found = format!("is {}", key_type_of(value).unwrap_or("no value for a key"));
            let expected = expected.unwrap_or("a text, a number or bytes");
            Some((found, format!("the key is {expected}")))
        } else if bytes == 0 {
            Some(("is empty".to_owned(), "leave it out instead".to_owned()))
        } else if bytes > part.bytes_max {
            let most = format!("the most is {}", part.bytes_max);
            Some((format!("has {bytes} bytes"), most))
        } else {
            None
        };
        let Some((found, expected)) = wrong else {
            return Ok(());
        };
        let mut fields = model.fields().iter();
        let field = fields.find(|field| field.attribute() == part.attribute);
        Err(DbError::IndexKey(Box::new(IndexKeyError {
            model: model.name().to_owned(),
            field: field.map_or(part.attribute, Field::name).to_owned(),
            index: part.index.to_owned(),
            part: part.name,
            found,
            expected,
        })))
    }

    /// The type that the attribute has in the table: that of the first field which is stored there
    /// and can be a key.
    fn key_type(&self, attribute: &str) -> Option<&'static str> {
        let fields = self.shared.schema.models().iter().flat_map(Model::fields);
        let mut own = fields.filter(|field| field.attribute() == attribute);
        own.find_map(|field| match field.kind() {
            FieldType::Number => Some("a number"),
            FieldType::Date if !field.is_iso() => Some("a number"),
            FieldType::String | FieldType::Date | FieldType::Binary => Some("a text"),
            _ => None,
        })
    }
}

fn key_type_of(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(_) => Some("a text"),
        Value::Number(_) => Some("a number"),
        Value::Binary(_) => Some("bytes"),
        _ => None,
    }
}
