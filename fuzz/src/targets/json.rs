//! JSON, plain and in DynamoDB's form.

use periwinkle_core::value::attribute::{from_attribute_json, to_attribute_json};
use periwinkle_core::value::{Value, json};

use super::{kind_of, words};

/// What is read is written so that it reads the same.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    match json::parse_bytes(bytes) {
        Ok(value) => {
            let text = value.to_json();
            let again = json::parse(&text).expect("what was written can be read");
            assert_eq!(again, value, "{text}");
            kind_of((0, shape(&value)))
        }
        Err(error) => kind_of((1, words(&error))),
    }
}

pub(super) fn feed_attribute(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    match from_attribute_json(&text) {
        Ok(item) => {
            let written = to_attribute_json(&item);
            let again = from_attribute_json(&written).expect("what was written can be read");
            assert_eq!(again, item, "{written}");
            kind_of((0, shape(&Value::Map(item))))
        }
        Err(error) => kind_of((1, words(&error))),
    }
}

/// Which kinds of values are in it, and how deep.
fn shape(value: &Value) -> Vec<u8> {
    let mut text = value.to_json().into_bytes();
    text.retain(|byte| b"{}[]:,\"e-.tn".contains(byte));
    text.truncate(12);
    text
}
