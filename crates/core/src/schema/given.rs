//! Stored values of fields before there is an item: what a key is made from.

use std::borrow::Cow;
use std::ptr;

use super::model::Field;
use crate::value::{Map, Value};

/// Where the values stand that texts are made from.
pub(super) trait Values {
    /// The stored value of a field.
    fn stored(&self, field: &Field) -> Option<Cow<'_, Value>>;

    /// Whether the field has one.
    fn has(&self, field: &Field) -> bool {
        self.stored(field).is_some()
    }
}

impl Values for Map {
    fn stored(&self, field: &Field) -> Option<Cow<'_, Value>> {
        field.stored_in(self)
    }
}

/// What properties and context give of a model's fields, in stored form: borrowed from them where
/// they have it already.
pub(super) struct Given<'v> {
    values: Vec<(&'v Field, Cow<'v, Value>)>,
}

impl<'v> Given<'v> {
    /// Nothing yet, with room for the values of so many fields.
    pub(super) fn with_capacity(fields: usize) -> Given<'v> {
        Given {
            values: Vec::with_capacity(fields),
        }
    }

    /// Gives a field of the model this value.
    pub(super) fn set(&mut self, field: &'v Field, value: Cow<'v, Value>) {
        let mut values = self.values.iter_mut();
        match values.find(|(known, _)| ptr::eq(*known, field)) {
            Some((_, known)) => *known = value,
            None => self.values.push((field, value)),
        }
    }

    /// The value that was given to a field.
    pub(super) fn own(&self, field: &Field) -> Option<&Value> {
        self.find(|known| ptr::eq(known, field))
    }

    fn find(&self, is_wanted: impl Fn(&Field) -> bool) -> Option<&Value> {
        let found = self.values.iter().find(|(field, _)| is_wanted(field));
        found.map(|(_, value)| &**value)
    }
}

impl Values for Given<'_> {
    fn stored(&self, field: &Field) -> Option<Cow<'_, Value>> {
        if let Some(value) = self.own(field) {
            return Some(Cow::Borrowed(value));
        }
        let encoded = field.encoded.as_ref()?;
        let whole = self.find(|known| known.attribute == encoded.attribute)?;
        field.stored_in_text(whole.as_str()?).map(Cow::Owned)
    }
}
