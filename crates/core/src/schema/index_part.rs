//! What properties say of the attributes of an index.

use super::error::PropertyError;
use super::model::Model;
use crate::value::{Map, Value};

/// What is known of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum IndexPart<'a> {
    /// Its value.
    Exactly(Value),
    /// How its text begins, and the first property that would say how it goes on; nothing is known
    /// if the text is empty.
    Begins(String, &'a str),
    /// The model has no field that is stored there.
    Foreign,
}

impl Model {
    /// What properties and context say of the attribute of an index.
    ///
    /// # Errors
    /// A property is no field of the model, or has a wrong value.
    pub fn index_part(
        &self,
        attribute: &str,
        properties: &Map,
        context: &Map,
    ) -> Result<IndexPart<'_>, PropertyError> {
        let fields = self.fields();
        let Some(at) = fields.iter().position(|field| field.attribute == attribute) else {
            return Ok(IndexPart::Foreign);
        };
        let values = self.stored_values(properties, context)?;
        if fields[at].template.is_none() {
            return Ok(match values.own(&fields[at]) {
                Some(value) => IndexPart::Exactly(value.clone()),
                None => IndexPart::Begins(String::new(), fields[at].name()),
            });
        }
        Ok(match self.expand(at, &values) {
            (text, None) => IndexPart::Exactly(Value::from(text)),
            (text, Some(missing)) => IndexPart::Begins(text, missing),
        })
    }
}
