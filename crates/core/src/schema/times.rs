//! Times of creation and change that an item brings along.

use super::convert::{self, Site};
use super::error::PropertyError;
use super::model::{Model, Role};
use crate::value::{Map, Value};

impl Model {
    /// Puts the times of creation and change that the properties give into an item made from them,
    /// which otherwise has those of its making.
    ///
    /// # Errors
    /// A time is none.
    pub fn keep_times(&self, given: &Map, item: &mut Map) -> Result<(), PropertyError> {
        let times = self
            .fields
            .iter()
            .filter(|field| matches!(field.role, Role::Created | Role::Updated));
        for field in times {
            let Some(value) = given
                .get(&field.name)
                .filter(|value| **value != Value::Null)
            else {
                continue;
            };
            let site = Site {
                model: &self.name,
                parent: None,
                name: &field.name,
            };
            if let Some(stored) = convert::stored(field, value, &site)? {
                item.insert(&field.attribute, stored.into_owned());
            }
        }
        Ok(())
    }
}
