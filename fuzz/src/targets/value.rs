//! The binary form of values.

use periwinkle_core::value::binary::{
    Attributes, decode_map, decode_map_prefix, decode_some_prefix, decode_value, encode_value,
};
use periwinkle_core::value::{Map, Name, Value};

use super::{kind_of, words};

/// What is read is written with the same bytes: each value has one form. What is read of some
/// attributes is what is read of all.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    let map = decode_map(bytes).map(Value::Map);
    if let Ok((map, used)) = decode_map_prefix(bytes) {
        let some = a_third(&map);
        let mut wanted = map.clone();
        wanted.retain(|name, _| some.wanted().binary_search(&Name::from(name)).is_ok());
        assert_eq!(decode_some_prefix(bytes, &some), Ok((wanted, used)));
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

/// Of each three attributes the first is wanted, the second expected, and the third unknown.
fn a_third(map: &Map) -> Attributes {
    let names = map.keys().enumerate().filter(|(at, _)| at % 3 < 2);
    Attributes::new(names.map(|(at, name)| (name.into(), at % 3 == 0)))
}
