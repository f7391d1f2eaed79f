//! What can be wrong with an expression, and with applying one.

use super::Path;
use crate::value::NumberError;
use thiserror::Error;

/// Where in the text something stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Bytes before it.
    pub byte: usize,
    /// Which character of the text it is, from 1: what an editor calls the column.
    pub column: usize,
}

/// An expression that cannot be taken, whatever the item.
///
/// DynamoDB answers such a one with a ValidationException.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("column {}: {reason}", .at.column)]
pub struct ExpressionError {
    /// Where it shows.
    pub at: Place,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// Something else should stand here.
    #[error("found {found}, expected {expected}")]
    Unexpected {
        /// What stands there.
        found: String,
        /// What could.
        expected: &'static str,
    },
    /// A quoted text or name that does not end.
    #[error("the {0} that begins here does not end: double a quote that belongs to it")]
    Unterminated(&'static str),
    /// A number that DynamoDB could not store.
    #[error("`{text}` is no number that can be stored: {reason}")]
    Number {
        /// As it was written.
        text: String,
        /// Why it is none.
        reason: NumberError,
    },
    /// A placeholder that no map defines.
    #[error("the placeholder `{0}` is not defined")]
    Undefined(String),
    /// A placeholder whose value DynamoDB cannot hold.
    #[error("the placeholder `{0}` holds an empty set, and there are none in DynamoDB")]
    EmptySet(String),
    /// A bound of DynamoDB.
    #[error("{what}: {actual}, but at most {max} are possible")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much of it there is.
        actual: usize,
        /// How much there may be.
        max: usize,
    },
    /// No such function, or not in this kind of expression.
    #[error("`{name}` is no function here; there are {known}")]
    UnknownFunction {
        /// As it was written.
        name: String,
        /// Those that can stand here.
        known: &'static str,
    },
    /// A value of a kind with which the operator never works.
    #[error("`{operator}` does not work with a {found}: it takes {expected}")]
    Operand {
        /// The operator or function.
        operator: &'static str,
        /// The kind of the value.
        found: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// An operator that is given the same path twice.
    #[error("`{operator}` is given `{path}` twice: both sides are always the same")]
    SameOperand {
        /// The operator or function.
        operator: &'static str,
        /// The path.
        path: Path,
    },
    /// A range that ends before it begins.
    #[error("BETWEEN needs a lower bound that is not above the upper one")]
    BoundsOrder,
    /// A range between values of different kinds.
    #[error("BETWEEN needs two bounds of the same kind, not a {low} and a {high}")]
    BoundsKinds {
        /// The kind of the lower one.
        low: &'static str,
        /// The kind of the upper one.
        high: &'static str,
    },
    /// The name of a type that does not exist.
    #[error("`{0}` is no type: there are S, SS, N, NS, B, BS, BOOL, NULL, L and M")]
    UnknownType(String),
    /// A clause that comes twice.
    #[error("the clause {0} stands here for the second time: join them with a comma")]
    RepeatedClause(&'static str),
    /// Two paths of which one is within the other, or both the same.
    #[error("`{path}` overlaps with `{other}`: name each place once")]
    Overlap {
        /// The path that stands here.
        path: Path,
        /// The path it overlaps with.
        other: Path,
    },
    /// Two paths that take the same place for a list and for a map.
    #[error("`{path}` and `{other}` take the same place for a list and for a map")]
    Conflict {
        /// The path that stands here.
        path: Path,
        /// The path it conflicts with.
        other: Path,
    },
}

/// Placeholders that were given and that no expression of the request used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no expression uses {}: take them out of the maps", .0.join(", "))]
pub struct UnusedPlaceholders(pub Vec<String>);

/// An expression whose printed form is longer than DynamoDB takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the expression has {bytes} bytes with its placeholders, and DynamoDB takes {max}")]
pub struct PrintError {
    /// Length of the text.
    pub bytes: usize,
    /// The bound.
    pub max: usize,
}

/// An update that cannot be applied to this item.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The value is read from a place that the item does not have.
    #[error("`{0}` is read, but the item does not have it: use if_not_exists({0}, ...)")]
    Missing(Path),
    /// The place cannot be changed: what is around it is absent, or no list or map.
    #[error("`{0}` cannot be changed: the list or map it belongs to is not there")]
    InvalidPath(Path),
    /// What the item holds does not fit the operator.
    #[error("`{path}` cannot be changed: `{operator}` does not work with a {found}")]
    WrongKind {
        /// The place to change.
        path: Path,
        /// The operator or function.
        operator: &'static str,
        /// The kind that was met.
        found: &'static str,
    },
    /// The result is no number that DynamoDB could store.
    #[error("`{path}` cannot be changed: the result has {reason}")]
    Number {
        /// The place to change.
        path: Path,
        /// What is wrong with the result.
        reason: NumberError,
    },
    /// The result nests lists and maps deeper than DynamoDB does.
    #[error("`{0}` cannot be changed: lists and maps would be nested more than 32 levels deep")]
    TooDeep(Path),
}
