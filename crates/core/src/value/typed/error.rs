//! Where a thing and a value do not fit together.

use std::fmt;

/// A field whose value does not fit its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedError {
    /// The way to the field, the innermost step first.
    steps: Vec<String>,
    reason: String,
}

impl TypedError {
    pub(super) fn new(reason: impl Into<String>) -> TypedError {
        TypedError {
            steps: Vec::new(),
            reason: reason.into(),
        }
    }

    /// The same error, seen from around the field.
    pub(super) fn within(mut self, step: impl Into<String>) -> TypedError {
        self.steps.push(step.into());
        self
    }

    /// The path of the field, as in `door.lamps[0].on`; empty for the whole.
    pub fn field(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        path
    }
}

impl fmt::Display for TypedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field() {
            whole if whole.is_empty() => f.write_str(&self.reason),
            field => write!(f, "{field}: {}", self.reason),
        }
    }
}

impl std::error::Error for TypedError {}

impl serde::ser::Error for TypedError {
    fn custom<T: fmt::Display>(reason: T) -> TypedError {
        TypedError::new(reason.to_string())
    }
}

impl serde::de::Error for TypedError {
    fn custom<T: fmt::Display>(reason: T) -> TypedError {
        TypedError::new(reason.to_string())
    }

    fn missing_field(field: &'static str) -> TypedError {
        TypedError::new("is missing").within(field)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> TypedError {
        let expected = expected.join(", ");
        TypedError::new(format!("is no field; there are {expected}")).within(field)
    }
}
