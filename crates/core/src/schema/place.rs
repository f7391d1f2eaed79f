//! Where in an item the value of a field lies: in an attribute of its own, in an entry of one that
//! several fields share, or in a part of a text that is made from several fields.

use std::borrow::Cow;

use super::model::{Field, FieldType};
use crate::value::{Map, Name, Number, Value};

/// A part of the text of another attribute: `encode: ['sk', '#', 1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub(super) attribute: Name,
    pub(super) separator: String,
    pub(super) part: usize,
}

impl Encoded {
    /// The attribute with the text.
    pub fn attribute(&self) -> &str {
        &self.attribute
    }

    /// What stands between the parts of the text.
    pub fn separator(&self) -> &str {
        &self.separator
    }

    /// Which part it is, counted from 0.
    pub fn part(&self) -> usize {
        self.part
    }
}

impl Field {
    /// The stored value of the field in an item.
    pub fn stored_in<'a>(&self, item: &'a Map) -> Option<Cow<'a, Value>> {
        let own = item
            .get(&self.attribute)
            .and_then(|whole| match &self.packed {
                None => Some(whole),
                Some(entry) => whole.as_map()?.get(entry),
            });
        match (own, &self.encoded) {
            (Some(value), _) => Some(Cow::Borrowed(value)),
            (None, Some(encoded)) => self
                .stored_in_text(item.text(&encoded.attribute)?)
                .map(Cow::Owned),
            (None, None) => None,
        }
    }

    /// The stored value of an encoded field in the text that it is kept in.
    pub(super) fn stored_in_text(&self, text: &str) -> Option<Value> {
        let encoded = self.encoded.as_ref()?;
        let part = text.split(&encoded.separator).nth(encoded.part)?;
        Some(self.read(part))
    }

    pub(super) fn is_in(&self, item: &Map) -> bool {
        self.stored_in(item).is_some()
    }

    /// Puts a stored value in its place.
    pub(super) fn store(&self, item: &mut Map, value: impl Into<Value>) {
        let Some(entry) = &self.packed else {
            item.insert(&self.attribute, value);
            return;
        };
        match item.get_mut(&self.attribute) {
            Some(Value::Map(whole)) => {
                whole.insert(entry, value);
            }
            _ => {
                let whole = Map::from([(entry, value.into())]);
                item.insert(&self.attribute, whole);
            }
        }
    }

    /// Takes the value out. An attribute of which no entry is left goes too.
    pub(super) fn clear(&self, item: &mut Map) {
        let Some(entry) = &self.packed else {
            item.remove(&self.attribute);
            return;
        };
        if let Some(Value::Map(whole)) = item.get_mut(&self.attribute) {
            whole.remove(entry);
            if whole.is_empty() {
                item.remove(&self.attribute);
            }
        }
    }

    /// The stored value that a part of a text stands for. A text that is no value of the type stays
    /// a text: a foreign writer may have made it.
    fn read(&self, text: &str) -> Value {
        let value = match self.kind {
            FieldType::Number => text.parse::<Number>().ok().map(Value::from),
            FieldType::Boolean => text.parse::<bool>().ok().map(Value::from),
            // A date in a text is written as the text's own field says: digits are milliseconds.
            FieldType::Date => text.parse::<Number>().ok().map(Value::from),
            _ => None,
        };
        value.unwrap_or_else(|| Value::from(text))
    }
}
