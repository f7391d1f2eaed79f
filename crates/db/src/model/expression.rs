//! Expressions as callers give them: a text, and what its placeholders stand for.

use periwinkle_core::expr::{Condition, ExpressionError, Placeholders, Projection, Update};
use periwinkle_core::schema::{Hidden, Model};
use periwinkle_core::value::Value;

use super::error::DbError;

/// A filter, a condition, an update or a projection, as text.
///
/// Names are those of properties. The grammar is DynamoDB's; by hand, names and values may stand
/// where DynamoDB wants placeholders.
///
/// ```
/// use periwinkle_db::Expression;
///
/// let by_hand = Expression::from("temp > 20 and begins_with(name, 'a')");
/// let with_placeholders = Expression::from("temp > :least").value(":least", 20);
/// # let _ = (by_hand, with_placeholders);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expression {
    text: String,
    given: Placeholders,
}

impl Expression {
    /// A text with what its placeholders stand for.
    pub fn new(text: impl Into<String>, given: Placeholders) -> Expression {
        Expression {
            text: text.into(),
            given,
        }
    }

    /// Defines a placeholder that begins with `:`.
    #[must_use]
    pub fn value(mut self, placeholder: &str, value: impl Into<Value>) -> Expression {
        self.given = self.given.with_value(placeholder, value);
        self
    }

    /// Defines a placeholder that begins with `#`.
    #[must_use]
    pub fn name(mut self, placeholder: &str, name: impl Into<String>) -> Expression {
        self.given = self.given.with_name(placeholder, name);
        self
    }

    /// The condition that it is, on properties of the model.
    pub(super) fn condition(
        &self,
        role: &'static str,
        model: &Model,
        hidden: Hidden,
    ) -> Result<Condition, DbError> {
        let condition = self.read(role, Condition::parse)?;
        Ok(model.bind(condition, hidden)?)
    }

    /// The update that it is.
    pub(super) fn update(&self, model: &Model, hidden: Hidden) -> Result<Update, DbError> {
        let update = self.read("update", Update::parse)?;
        model.check_update(&update, hidden)?;
        Ok(update)
    }

    /// The projection that it is.
    pub(super) fn projection(&self, model: &Model, hidden: Hidden) -> Result<Projection, DbError> {
        let projection = self.read("projection", Projection::parse)?;
        for path in projection.paths() {
            model.check_path(path, hidden)?;
        }
        Ok(projection)
    }

    fn read<T>(
        &self,
        role: &'static str,
        parse: fn(&str, &mut Placeholders) -> Result<T, ExpressionError>,
    ) -> Result<T, DbError> {
        let mut given = self.given.clone();
        let parsed = parse(&self.text, &mut given);
        let parsed = parsed.map_err(|source| DbError::Expression {
            role,
            source: Box::new(source),
        })?;
        match given.check_all_used() {
            Ok(()) => Ok(parsed),
            Err(unused) => Err(DbError::BadQuery {
                reason: format!("{role}: {unused}"),
            }),
        }
    }
}

impl<T: Into<String>> From<T> for Expression {
    fn from(text: T) -> Expression {
        Expression::new(text, Placeholders::new())
    }
}
