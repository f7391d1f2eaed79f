//! Expressions as callers give them: a text, and what its placeholders stand for.

use periwinkle_core::expr::{
    Condition, ExpressionError, Path, Place, Placeholders, Projection, Update,
};
use periwinkle_core::schema::{Hidden, Model, PropertyError};
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

/// Reads the places of the paths of a text.
type Places = fn(&str, &mut Placeholders) -> Result<Vec<(Place, Path)>, ExpressionError>;

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
        let bound = model.bind(condition, hidden);
        bound.map_err(|error| self.misnamed(role, Condition::places, error))
    }

    /// The update that it is.
    pub(super) fn update(&self, model: &Model, hidden: Hidden) -> Result<Update, DbError> {
        let update = self.read("update", Update::parse)?;
        match model.check_update(&update, hidden) {
            Ok(()) => Ok(update),
            Err(error) => Err(self.misnamed("update", Update::places, error)),
        }
    }

    /// The projection that it is.
    pub(super) fn projection(&self, model: &Model, hidden: Hidden) -> Result<Projection, DbError> {
        let projection = self.read("projection", Projection::parse)?;
        let mut paths = projection.paths().iter();
        match paths.try_for_each(|path| model.check_path(path, hidden)) {
            Ok(()) => Ok(projection),
            Err(error) => Err(self.misnamed("projection", Projection::places, error)),
        }
    }

    /// The error for a name that the model does not have, with the place where it stands first.
    fn misnamed(&self, role: &'static str, places: Places, error: PropertyError) -> DbError {
        let named = places(&self.text, &mut self.given.clone()).unwrap_or_default();
        let field = error.field().unwrap_or_default();
        let is_it = |path: &Path| path.attribute() == field || path.to_string() == field;
        match named.into_iter().find(|(_, path)| is_it(path)) {
            Some((at, _)) => DbError::Misnamed {
                role,
                at,
                source: Box::new(error),
            },
            None => error.into(),
        }
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
