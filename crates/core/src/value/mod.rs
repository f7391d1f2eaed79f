//! Values as DynamoDB knows them, and the three forms in which they travel.
//!
//! A [`Value`] is what an attribute of an item holds. Numbers are decimals of up to 38 digits
//! from the first byte read to the last byte written: nothing here passes through a float.
//!
//! | form | module | where |
//! |---|---|---|
//! | plain JSON | [`json`] | the REST API, the console, import and export |
//! | AttributeValue JSON | [`attribute`] | DynamoDB requests and answers |
//! | binary | [`binary`] | the log of the database (`docs/formats/value.md`) |
//!
//! A fourth one, [`order`], is only compared: keys of indexes (`docs/formats/order.md`).
//!
//! ```
//! use periwinkle_core::value::{Map, Value, attribute, json};
//!
//! let item = json::parse(r#"{"pk":"dev#1","load":1.0E+2}"#)?;
//! let item: &Map = item.as_map().expect("the text is an object");
//! assert_eq!(item.get("load").and_then(Value::as_i64), Some(100));
//! assert_eq!(
//!     attribute::to_attribute_json(item),
//!     r#"{"load":{"N":"100"},"pk":{"S":"dev#1"}}"#
//! );
//! # Ok::<(), json::JsonError>(())
//! ```

pub mod attribute;
pub mod binary;
mod data;
pub mod json;
mod map;
mod name;
mod number;
pub mod order;
mod set;
#[cfg(test)]
pub(crate) mod strategies;
pub mod typed;

pub use data::Value;
pub use map::Map;
pub use name::{AsName, Name};
pub use number::{Number, NumberError};
pub use set::Set;
