//! Whether an item is the one that a key was made for: texts that are put together can make the same
//! key of other values, as `x#y` and `z` do with `x` and `y#z`.

use std::borrow::Cow;

use super::given::Values;
use super::key::variable_text;
use super::model::{Field, Model};
use crate::value::{Map, Name, Value};

impl Model {
    /// Whether an item, found under the [`key`](Model::key) of these properties, is of this model and
    /// has the values that they give. What a foreign writer left out of it says nothing.
    pub fn is_named_by(&self, item: &Map, properties: &Map, context: &Map) -> bool {
        let is_other = |name: &str| name != self.name;
        if item.text(&self.type_attribute).is_some_and(is_other) {
            return false;
        }
        let Ok(given) = self.named_values(properties, context) else {
            return false;
        };
        let mut names = self.key_variables.iter();
        names.all(|name| match self.named(name) {
            Some(field) => self.agrees(field, name, &given, item),
            None => true,
        })
    }

    /// Whether a hidden field is a part of the key.
    pub fn hides_key_parts(&self) -> bool {
        let mut parts = self
            .key_variables
            .iter()
            .filter_map(|name| self.named(name));
        parts.any(|part| part.hidden)
    }

    fn agrees(&self, field: &Field, name: &Name, given: &impl Values, item: &Map) -> bool {
        let (Some(asked), Some(found)) = (given.stored(field), item.stored(field)) else {
            return true;
        };
        match (&*asked, &*found) {
            (Value::Number(asked), Value::Number(found)) => asked == found,
            (Value::String(asked), Value::String(found)) if asked == found => true,
            // Times and what a foreign writer stored in another type have the same text in the key.
            _ => self.text_of(field, name, given) == self.text_of(field, name, item),
        }
    }

    fn text_of(&self, field: &Field, name: &Name, values: &impl Values) -> Option<String> {
        variable_text(&self.fields, field, name, values).map(Cow::into_owned)
    }
}
