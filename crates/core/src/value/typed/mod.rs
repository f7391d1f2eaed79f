//! Between values and a program's own types, by serde.
//!
//! Integers and [`Number`](super::Number)s keep every digit; a float becomes the shortest decimal
//! that reads back as the same float. Enums travel by name. Bytes need a type that serde knows as
//! such: a plain `Vec<u8>` is a list of numbers.
//!
//! ```
//! use periwinkle_core::value::{Number, typed};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Room {
//!     name: String,
//!     area: Number,
//!     kind: Kind,
//!     floor: Option<i64>,
//! }
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! #[serde(rename_all = "lowercase")]
//! enum Kind {
//!     Office,
//!     Kitchen,
//! }
//!
//! let attic = Room {
//!     name: "attic".to_owned(),
//!     area: "20.5".parse()?,
//!     kind: Kind::Office,
//!     floor: None,
//! };
//! let map = typed::to_map(&attic)?;
//! assert_eq!(map.to_json(), r#"{"area":20.5,"floor":null,"kind":"office","name":"attic"}"#);
//! assert_eq!(typed::from_map::<Room>(map)?, attic);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod foreign;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use error::TypedError;

use super::{Map, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value that a thing is.
///
/// # Errors
/// It holds what no value can: a number that is too large, a key that is no text.
pub fn to_value<T: Serialize + ?Sized>(thing: &T) -> Result<Value, TypedError> {
    thing.serialize(write::Writer)
}

/// The fields of a thing.
///
/// # Errors
/// As [`to_value`]; or it is no struct and no map.
pub fn to_map<T: Serialize + ?Sized>(thing: &T) -> Result<Map, TypedError> {
    match to_value(thing)? {
        Value::Map(map) => Ok(map),
        other => Err(TypedError::new(format!(
            "is a {}; expected a struct or a map",
            other.kind()
        ))),
    }
}

/// The thing that a value is.
///
/// # Errors
/// The value is of another form; the error names the field.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, TypedError> {
    T::deserialize(read::Reader(value))
}

/// The thing with these fields.
///
/// # Errors
/// As [`from_value`].
pub fn from_map<T: DeserializeOwned>(map: Map) -> Result<T, TypedError> {
    from_value(Value::Map(map))
}
