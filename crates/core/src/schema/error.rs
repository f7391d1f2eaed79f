//! What can be wrong with a schema, and with the properties of an item.

use std::fmt;

use crate::limits::FIELDS_TOLD_MAX;
use crate::nearest::nearest;

/// A schema that cannot be used: where, and what is wrong.
///
/// Reads as `models.Metric.at.typ (line 12, column 9): unknown key "typ": did you mean "type"?`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{message}")]
pub struct SchemaError {
    place: Place,
    message: String,
}

impl SchemaError {
    pub(super) fn new(place: Place, message: String) -> SchemaError {
        SchemaError { place, message }
    }

    /// Names of the keys that lead to the place; empty for the whole text.
    pub fn path(&self) -> &[String] {
        &self.place.path
    }

    /// Line and column, counted from one.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.place.position
    }

    /// What is wrong and what is expected, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn located(mut self, text: &str) -> SchemaError {
        if self.place.position.is_none() {
            self.place.position = super::source::locate(text, &self.place.path);
        }
        self
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: Vec<String>,
    pub(super) position: Option<(usize, usize)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.join(".");
        match (path.is_empty(), self.position) {
            (true, None) => Ok(()),
            (true, Some((line, column))) => write!(f, "line {line}, column {column}: "),
            (false, None) => write!(f, "{path}: "),
            (false, Some((line, column))) => write!(f, "{path} (line {line}, column {column}): "),
        }
    }
}

/// Properties that a model does not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyError {
    /// The schema has no such model.
    #[error("there is no model \"{model}\"{}", did_you_mean(.nearest))]
    UnknownModel {
        /// The name that was given.
        model: String,
        /// The model that was probably meant.
        nearest: Option<String>,
    },
    /// The model has no such field.
    #[error("{model} has no field \"{field}\"{}", instead(.nearest.as_deref(), .known))]
    UnknownField {
        /// The model.
        model: String,
        /// The name that was given, with the names of the objects around it.
        field: String,
        /// The field that was probably meant.
        nearest: Option<String>,
        /// The fields that there are, if none is near.
        known: Vec<String>,
    },
    /// The value has another type than the field.
    #[error("{model}.{field} is {found}; expected {expected}")]
    WrongType {
        /// The model.
        model: String,
        /// The field.
        field: String,
        /// What was given.
        found: String,
        /// What the field holds.
        expected: String,
    },
    /// The value has the right type, but the schema excludes it.
    #[error("{model}.{field} cannot be {found}; expected {expected}")]
    NotAllowed {
        /// The model.
        model: String,
        /// The field.
        field: String,
        /// What was given.
        found: String,
        /// What the schema admits.
        expected: String,
    },
    /// A required field has no value.
    #[error("{model}.{field} is required; give it a value")]
    MissingRequired {
        /// The model.
        model: String,
        /// The field.
        field: String,
    },
    /// The field is set by the database or the schema alone, or only once.
    #[error("{model}.{field} cannot be set: {reason}")]
    ReadOnlyField {
        /// The model.
        model: String,
        /// The field.
        field: String,
        /// Who sets it, and when.
        reason: String,
    },
    /// The key of the item cannot be made from what was given.
    #[error("the key of {model} {reason}")]
    BadKey {
        /// The model.
        model: String,
        /// The field to blame, if it is one.
        field: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
}

impl PropertyError {
    /// The error for a key of another number of parts than these.
    pub fn key_parts(model: &str, names: &[&str], given: usize) -> PropertyError {
        let parts = if names.len() == 1 { "part" } else { "parts" };
        let are = if given == 1 { "is" } else { "are" };
        let advice = match names {
            [] => "there is one item only: give none".to_owned(),
            _ => format!("give {}", names.join(", ")),
        };
        PropertyError::BadKey {
            model: model.to_owned(),
            field: None,
            reason: format!("has {} {parts}, {given} {are} given; {advice}", names.len()),
        }
    }

    /// The error for a model that is none of these.
    pub fn unknown_model<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> PropertyError {
        PropertyError::UnknownModel {
            model: name.to_owned(),
            nearest: nearest(name, known).map(str::to_owned),
        }
    }

    /// The error for a name that is none of `fields`, which are those that the caller may hear of.
    pub(super) fn unknown_field<'a>(
        model: &str,
        path: String,
        name: &str,
        fields: impl Iterator<Item = &'a str> + Clone,
    ) -> PropertyError {
        let nearest = nearest(name, fields.clone()).map(str::to_owned);
        let known = match nearest {
            Some(_) => Vec::new(),
            None => fields.map(str::to_owned).collect(),
        };
        PropertyError::UnknownField {
            model: model.to_owned(),
            field: path,
            nearest,
            known,
        }
    }

    /// A stable name of the kind of error, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            PropertyError::UnknownModel { .. } => "unknown_model",
            PropertyError::UnknownField { .. } => "unknown_field",
            PropertyError::WrongType { .. } => "wrong_type",
            PropertyError::NotAllowed { .. } => "not_allowed",
            PropertyError::MissingRequired { .. } => "missing_required",
            PropertyError::ReadOnlyField { .. } => "read_only_field",
            PropertyError::BadKey { .. } => "bad_key",
        }
    }

    /// The field that the error is about.
    pub fn field(&self) -> Option<&str> {
        match self {
            PropertyError::UnknownModel { .. } => None,
            PropertyError::BadKey { field, .. } => field.as_deref(),
            PropertyError::UnknownField { field, .. }
            | PropertyError::WrongType { field, .. }
            | PropertyError::NotAllowed { field, .. }
            | PropertyError::MissingRequired { field, .. }
            | PropertyError::ReadOnlyField { field, .. } => Some(field),
        }
    }
}

/// What could stand in the place of a name: the nearest one, or the first of those that there are.
fn instead(nearest: Option<&str>, known: &[String]) -> String {
    if let Some(name) = nearest {
        return format!("; did you mean \"{name}\"?");
    }
    let told = &known[..known.len().min(FIELDS_TOLD_MAX)];
    match (known.len() - told.len(), told) {
        (_, []) => String::new(),
        (0, [one]) => format!("; there is {one}"),
        (0, [others @ .., last]) => format!("; there are {} and {last}", others.join(", ")),
        (more, _) => format!("; there are {} and {more} more", told.join(", ")),
    }
}

fn did_you_mean(nearest: &Option<String>) -> String {
    instead(nearest.as_deref(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_is_told_with_what_is_near_or_what_there_is() {
        let words = |name: &str, known: usize| {
            let known: Vec<String> = (1..=known).map(|n| format!("field{n}")).collect();
            let known = known.iter().map(String::as_str);
            PropertyError::unknown_field("Room", format!("door.{name}"), name, known).to_string()
        };
        let table = [
            ("field", 2, "; did you mean \"field1\"?"),
            ("x", 0, ""),
            ("x", 1, "; there is field1"),
            ("x", 2, "; there are field1 and field2"),
            ("x", 3, "; there are field1, field2 and field3"),
        ];
        for (name, known, end) in table {
            let expected = format!("Room has no field \"door.{name}\"{end}");
            assert_eq!(words(name, known), expected);
        }
        let at_the_bound = words("x", FIELDS_TOLD_MAX);
        assert!(at_the_bound.ends_with(&format!(" and field{FIELDS_TOLD_MAX}")));
        let beyond = words("x", FIELDS_TOLD_MAX + 1);
        let end = format!(", field{FIELDS_TOLD_MAX} and 1 more");
        assert!(beyond.ends_with(&end), "{beyond}");
    }
}
