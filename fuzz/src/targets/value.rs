//! The binary form of values.

use periwinkle_core::value::Value;
use periwinkle_core::value::binary::{decode_map, decode_map_prefix, decode_value, encode_value};

use super::{kind_of, words};

/// What is read is written with the same bytes: each value has one form.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    let map = decode_map(bytes).map(Value::Map);
    if let Ok((map, used)) = decode_map_prefix(bytes) {
        assert_eq!(decode_map(&bytes[..used]), Ok(map));
    }
    match decode_value(bytes) {
        Ok(value) => {
            let mut written = Vec::new();
            encode_value(&value, &mut written);
            let again = decode_value(&written).expect("what was written can be read");
            assert_eq!(again, value);
            kind_of((0, map.is_ok(), bytes.len().ilog2(), bytes[0]))
        }
        Err(error) => kind_of((1, map.is_ok(), words(&error), bytes.first())),
    }
}
