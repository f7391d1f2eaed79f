//! The bounds of the service, checked before a request leaves.
//!
//! A request beyond them would be refused as a whole, perhaps after an outage of hours: better that
//! the writer learns of it at once.

use super::expression::Expressions;
use crate::limits;
use crate::value::attribute::{item_bytes, value_bytes};
use crate::value::{Map, Value};

/// Why a request cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Something is larger than DynamoDB takes.
    #[error("{what} of {actual} {unit}; DynamoDB takes {max} at most")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        actual: usize,
        /// How large it may be.
        max: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// A list of keys, statements or actions has no element.
    #[error("{0} without any element")]
    Empty(&'static str),
    /// A key attribute that is not text, number or binary, or is empty.
    #[error("the key attribute {0:?} must be text, a number or binary, and not empty")]
    Key(String),
    /// Lists and maps are nested too deeply in an attribute.
    #[error("the attribute {0:?} is nested deeper than {max} levels", max = limits::VALUE_DEPTH_MAX)]
    Depth(String),
    /// An update names an attribute in two of its parts.
    #[error("an update that does two things to {0:?}")]
    Overlap(String),
}

fn at_most(
    what: &'static str,
    actual: usize,
    max: usize,
    unit: &'static str,
) -> Result<(), RequestError> {
    if actual <= max {
        Ok(())
    } else {
        Err(RequestError::TooLarge {
            what,
            actual,
            max,
            unit,
        })
    }
}

pub(super) fn check_body(body: &str) -> Result<(), RequestError> {
    at_most(
        "a request",
        body.len(),
        limits::DYNAMODB_REQUEST_BYTES_MAX,
        "bytes",
    )
}

pub(super) fn check_count(
    what: &'static str,
    count: usize,
    max: usize,
) -> Result<(), RequestError> {
    if count == 0 {
        return Err(RequestError::Empty(what));
    }
    at_most(what, count, max, "elements")
}

pub(super) fn check_item(item: &Map) -> Result<(), RequestError> {
    for (name, value) in item {
        check_depth(name, value)?;
    }
    at_most(
        "an item",
        item_bytes(item),
        limits::DYNAMODB_ITEM_BYTES_MAX,
        "bytes",
    )
}

/// Which of the attributes is the sort key is not known here: the larger bound holds for both.
pub(super) fn check_key(key: &Map) -> Result<(), RequestError> {
    if key.is_empty() {
        return Err(RequestError::Empty("a key"));
    }
    for (name, value) in key {
        let length = match value {
            Value::Number(_) => 1,
            Value::String(text) => text.len(),
            Value::Binary(bytes) => bytes.len(),
            _ => 0,
        };
        if length == 0 {
            return Err(RequestError::Key(name.to_owned()));
        }
        at_most(
            "a key",
            length,
            limits::DYNAMODB_PARTITION_KEY_BYTES_MAX,
            "bytes",
        )?;
    }
    Ok(())
}

pub(super) fn check_expressions(expressions: &Expressions) -> Result<(), RequestError> {
    for (_, text) in &expressions.texts {
        at_most(
            "an expression",
            text.len(),
            limits::DYNAMODB_EXPRESSION_BYTES_MAX,
            "bytes",
        )?;
    }
    let operators = expressions.operators;
    let max = limits::DYNAMODB_EXPRESSION_OPERATORS_MAX;
    at_most("expressions", operators, max, "operators")?;
    for value in &expressions.values {
        check_depth("a value of an expression", value)?;
    }
    let bytes = expressions.values.iter().map(value_bytes).sum();
    let max = limits::DYNAMODB_EXPRESSION_VALUES_BYTES_MAX;
    at_most("the values of an expression", bytes, max, "bytes")
}

pub(super) fn check_statement(text: &str) -> Result<(), RequestError> {
    at_most(
        "a statement",
        text.len(),
        limits::DYNAMODB_STATEMENT_BYTES_MAX,
        "bytes",
    )
}

pub(super) fn check_token(token: &str) -> Result<(), RequestError> {
    if token.is_empty() {
        return Err(RequestError::Empty("a client request token"));
    }
    let max = limits::DYNAMODB_CLIENT_TOKEN_BYTES_MAX;
    at_most("a client request token", token.len(), max, "bytes")
}

pub(super) fn check_transaction_bytes(bytes: usize) -> Result<(), RequestError> {
    at_most(
        "a transaction",
        bytes,
        limits::DYNAMODB_TRANSACTION_BYTES_MAX,
        "bytes",
    )
}

pub(super) fn check_depth(name: &str, value: &Value) -> Result<(), RequestError> {
    if depth_within(value, limits::VALUE_DEPTH_MAX) {
        Ok(())
    } else {
        Err(RequestError::Depth(name.to_owned()))
    }
}

fn depth_within(value: &Value, left: usize) -> bool {
    match value {
        Value::List(list) => left > 0 && list.iter().all(|inner| depth_within(inner, left - 1)),
        Value::Map(map) => left > 0 && map.values().all(|inner| depth_within(inner, left - 1)),
        _ => true,
    }
}
