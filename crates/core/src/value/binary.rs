//! The compact form of values in the log, described byte by byte in `docs/formats/value.md`.
//!
//! Every value has exactly one encoding, and the reader accepts no other: equal items are equal
//! bytes, and a record that was damaged without its checksum noticing is likely to be refused.

mod attributes;
mod read;

use super::{Map, Number, Set, Value};
pub use attributes::Attributes;
use read::Reader;

/// Why bytes are not the encoding of a value, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct BinaryError {
    /// The byte at which reading stopped, from 0.
    pub offset: usize,
    /// What is wrong there.
    pub reason: BinaryReason,
}

/// What is wrong with the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BinaryReason {
    /// The bytes end too early.
    #[error("the value is cut off")]
    CutOff,
    /// There is more after the value.
    #[error("bytes after the value")]
    Trailing,
    /// A tag this version does not know.
    #[error("unknown tag {0:#04x}")]
    Tag(u8),
    /// A length or count that is not written in its shortest form, or too large.
    #[error("an invalid length")]
    Length,
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    Utf8,
    /// A number that is not in its one form.
    #[error("an invalid number")]
    Number,
    /// Names or members that do not rise.
    #[error("names or members out of order")]
    Order,
    /// Nesting beyond the bound.
    #[error("nesting too deep")]
    Depth,
}

// Tags. A byte from SHORT_TEXT on is text with its length in the low six bits; a byte from
// SMALL_INTEGER on is an integer from 0 to 127.
const NULL: u8 = 0x00;
const FALSE: u8 = 0x01;
const TRUE: u8 = 0x02;
const INTEGER: u8 = 0x03;
const NEGATIVE_INTEGER: u8 = 0x04;
const DECIMAL: u8 = 0x05;
const NEGATIVE_DECIMAL: u8 = 0x06;
const TEXT: u8 = 0x07;
const BINARY: u8 = 0x08;
const LIST: u8 = 0x09;
const MAP: u8 = 0x0A;
const STRING_SET: u8 = 0x0B;
const NUMBER_SET: u8 = 0x0C;
const BINARY_SET: u8 = 0x0D;
const SHORT_TEXT: u8 = 0x40;
const SHORT_TEXT_BYTES_MAX: usize = 0x3F;
const SMALL_INTEGER: u8 = 0x80;
const SMALL_INTEGER_MAX: u64 = 0x7F;

/// Appends the encoding of a map, without a tag.
pub fn encode_map(map: &Map, out: &mut Vec<u8>) {
    encode_length(map.len(), out);
    for (name, value) in map.fields() {
        encode_bytes(name.as_bytes(), out);
        encode_value(value, out);
    }
}

/// Appends the encoding of a value.
pub fn encode_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Number(number) => encode_number(number, out),
        Value::String(text) if text.len() <= SHORT_TEXT_BYTES_MAX => {
            out.push(SHORT_TEXT | text.len() as u8);
            out.extend_from_slice(text.as_bytes());
        }
        Value::String(text) => {
            out.push(TEXT);
            encode_text(text, out);
        }
        Value::Binary(bytes) => {
            out.push(BINARY);
            encode_bytes(bytes, out);
        }
        Value::List(list) => encode_all(LIST, list, out, encode_value),
        Value::Map(map) => {
            out.push(MAP);
            encode_map(map, out);
        }
        Value::Set(Set::Strings(set)) => {
            encode_all(STRING_SET, set, out, |text, out| encode_text(text, out));
        }
        Value::Set(Set::Numbers(set)) => encode_all(NUMBER_SET, set, out, encode_number),
        Value::Set(Set::Binaries(set)) => {
            encode_all(BINARY_SET, set, out, |bytes, out| encode_bytes(bytes, out));
        }
    }
}

/// Reads a map that fills all the bytes.
///
/// # Errors
/// When the bytes are not exactly what [`encode_map`] writes for some map.
pub fn decode_map(bytes: &[u8]) -> Result<Map, BinaryError> {
    whole(bytes, decode_map_prefix(bytes)?)
}

/// Reads a map from the start of the bytes and says how many it took: for records that hold more.
///
/// # Errors
/// When the bytes do not begin with what [`encode_map`] writes for some map.
pub fn decode_map_prefix(bytes: &[u8]) -> Result<(Map, usize), BinaryError> {
    decode_prefix(bytes, Reader::map)
}

/// As [`decode_map_prefix`], but makes only the attributes that are wanted. Of the others only names
/// and lengths are read.
///
/// # Errors
/// When the bytes do not begin with what [`encode_map`] writes for some map; what is wrong inside
/// an attribute that is passed over may stay unseen.
pub fn decode_some_prefix(
    bytes: &[u8],
    attributes: &Attributes,
) -> Result<(Map, usize), BinaryError> {
    decode_prefix(bytes, |reader| reader.fields(attributes))
}

fn decode_prefix<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, BinaryReason>,
) -> Result<(T, usize), BinaryError> {
    let mut reader = Reader::new(bytes);
    let made = read(&mut reader).map_err(|reason| BinaryError {
        offset: reader.offset(),
        reason,
    })?;
    Ok((made, reader.offset()))
}

/// Reads a value that fills all the bytes.
///
/// # Errors
/// When the bytes are not exactly what [`encode_value`] writes for some value.
pub fn decode_value(bytes: &[u8]) -> Result<Value, BinaryError> {
    whole(bytes, decode_prefix(bytes, Reader::value)?)
}

fn whole<T>(bytes: &[u8], (made, used): (T, usize)) -> Result<T, BinaryError> {
    if used < bytes.len() {
        return Err(BinaryError {
            offset: used,
            reason: BinaryReason::Trailing,
        });
    }
    Ok(made)
}

/// Appends an unsigned integer, seven bits a byte, the lowest first.
pub fn encode_varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7F {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads what [`encode_varint`] wrote from the start of the bytes, and how many it took.
///
/// `None` when the bytes are cut off, too many or not the shortest form.
pub fn decode_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7F);
        if at == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * at);
        if byte & 0x80 == 0 {
            let shortest = *byte != 0 || at == 0;
            return shortest.then_some((value, at + 1));
        }
    }
    None
}

fn encode_all<T>(
    tag: u8,
    all: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    out: &mut Vec<u8>,
    encode: impl Fn(T, &mut Vec<u8>),
) {
    let all = all.into_iter();
    out.push(tag);
    encode_length(all.len(), out);
    all.for_each(|one| encode(one, out));
}

/// An integer below 2^64 in size as such, everything else as coefficient and exponent.
fn encode_number(number: &Number, out: &mut Vec<u8>) {
    let integer = integer_magnitude(number);
    let tag = number_tag(number, integer);
    out.push(tag);
    match integer {
        Some(_) if tag >= SMALL_INTEGER => {}
        Some(integer) => encode_varint(integer, out),
        None => {
            let (_, coefficient, exponent) = number.parts();
            out.extend_from_slice(&exponent.to_le_bytes());
            let bytes = coefficient.to_le_bytes();
            let length = 16 - coefficient.leading_zeros() as usize / 8;
            out.push(length as u8);
            out.extend_from_slice(&bytes[..length]);
        }
    }
}

/// The tag of a number whose magnitude as an integer below 2^64, if it is one, is given.
fn number_tag(number: &Number, integer: Option<u64>) -> u8 {
    match (integer, number.is_negative()) {
        (Some(integer), false) if integer <= SMALL_INTEGER_MAX => SMALL_INTEGER | integer as u8,
        (Some(_), false) => INTEGER,
        (Some(_), true) => NEGATIVE_INTEGER,
        (None, false) => DECIMAL,
        (None, true) => NEGATIVE_DECIMAL,
    }
}

fn integer_magnitude(number: &Number) -> Option<u64> {
    if number.is_negative() {
        (-*number).as_u64()
    } else {
        number.as_u64()
    }
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    encode_bytes(text.as_bytes(), out);
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    encode_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn encode_length(length: usize, out: &mut Vec<u8>) {
    encode_varint(length as u64, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BINARY_DEPTH_MAX;
    use crate::value::{Name, strategies};
    use proptest::prelude::*;

    fn encoded(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        encode_value(value, &mut out);
        out
    }

    fn number(text: &str) -> Value {
        Value::Number(text.parse().unwrap())
    }

    #[test]
    fn the_bytes_are_those_of_the_format_page() {
        let long = "x".repeat(64);
        let cases: Vec<(Value, Vec<u8>)> = vec![
            (Value::Null, vec![0x00]),
            (Value::from(false), vec![0x01]),
            (Value::from(true), vec![0x02]),
            (Value::from(0), vec![0x80]),
            (Value::from(127), vec![0xFF]),
            (Value::from(128), vec![0x03, 0x80, 0x01]),
            (Value::from(-1), vec![0x04, 0x01]),
            (
                Value::from(u64::MAX),
                [&[0x03][..], &[0xFF; 9], &[0x01]].concat(),
            ),
            (
                number("18446744073709551616"),
                [&[0x05, 0, 0, 9][..], &[0; 8], &[1]].concat(),
            ),
            (number("-1.5"), vec![0x06, 0xFF, 0xFF, 1, 15]),
            (number("1E+30"), vec![0x05, 30, 0, 1, 1]),
            (Value::from("hi"), vec![0x42, b'h', b'i']),
            (Value::from(""), vec![0x40]),
            (
                Value::from(long.as_str()),
                [&[0x07, 64][..], long.as_bytes()].concat(),
            ),
            (Value::from(vec![1_u8, 2]), vec![0x08, 2, 1, 2]),
            (
                Value::from(vec![Value::Null, Value::from(1)]),
                vec![0x09, 2, 0x00, 0x81],
            ),
            (
                Value::from(Map::from([("a", 1)])),
                vec![0x0A, 1, 1, b'a', 0x81],
            ),
            (
                Value::from(["b", "a"].into_iter().collect::<Set>()),
                vec![0x0B, 2, 1, b'a', 1, b'b'],
            ),
            (
                Value::from(
                    [Number::from(2), Number::from(-1)]
                        .into_iter()
                        .collect::<Set>(),
                ),
                vec![0x0C, 2, 0x04, 0x01, 0x82],
            ),
            (
                Value::from([vec![9_u8]].into_iter().collect::<Set>()),
                vec![0x0D, 1, 1, 9],
            ),
        ];
        for (value, bytes) in cases {
            assert_eq!(encoded(&value), bytes, "{value:?}");
            assert_eq!(decode_value(&bytes), Ok(value));
        }
    }

    #[test]
    fn a_second_spelling_of_the_same_value_is_refused() {
        use BinaryReason::*;
        let cases: [(&[u8], BinaryReason); 14] = [
            (&[0x03, 0x05], Number),                 // 5 fits a small integer
            (&[0x03, 0x80, 0x00], Length),           // 0 in two bytes
            (&[0x04, 0x00], Number),                 // minus zero
            (&[0x05, 0, 0, 1, 5], Number),           // 5 as a decimal
            (&[0x05, 0xFF, 0xFF, 1, 20], Number),    // 20 tenths are 2
            (&[0x05, 0xFF, 0xFF, 2, 15, 0], Number), // a zero byte on top
            (&[0x05, 126, 0, 1, 1], Number),         // beyond the range
            (&[0x07, 2, b'h', b'i'], Length),        // long form of short text
            (&[0x0A, 2, 1, b'b', 0, 1, b'a', 0], Order),
            (&[0x0A, 2, 1, b'a', 0, 1, b'a', 0], Order),
            (&[0x0B, 2, 1, b'a', 1, b'a'], Order),
            (&[0x0E], Tag(0x0E)),
            (&[0x41, 0xFF], Utf8),
            (&[0x09, 3, 0x00], CutOff),
        ];
        for (bytes, reason) in cases {
            assert_eq!(
                decode_value(bytes).map_err(|error| error.reason),
                Err(reason),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn nesting_is_read_to_the_bound_and_not_beyond() {
        let nested = |depth: usize| {
            let mut bytes = [LIST, 1].repeat(depth - 1);
            bytes.extend([LIST, 0]);
            decode_value(&bytes).map(drop).map_err(|error| error.reason)
        };
        assert_eq!(nested(BINARY_DEPTH_MAX), Ok(()));
        assert_eq!(nested(BINARY_DEPTH_MAX + 1), Err(BinaryReason::Depth));
    }

    #[test]
    fn a_map_prefix_tells_where_it_ends() {
        let map = Map::from([("a", 1)]);
        let mut bytes = Vec::new();
        encode_map(&map, &mut bytes);
        bytes.extend([1, 2, 3]);
        assert_eq!(decode_map_prefix(&bytes), Ok((map, bytes.len() - 3)));
        assert_eq!(
            decode_map(&bytes),
            Err(BinaryError {
                offset: bytes.len() - 3,
                reason: BinaryReason::Trailing
            })
        );
    }

    #[test]
    fn attributes_must_come_in_order_whichever_are_expected() {
        let table = [
            ["a", "b", "c"],
            ["a", "c", "b"],
            ["b", "a", "c"],
            ["a", "a", "b"],
            ["a", "b", "b"],
            ["aaaaaaaa\0", "aaaaaaaa", "b"],
        ];
        for names in table {
            let mut bytes = vec![3];
            for name in names {
                encode_text(name, &mut bytes);
                // As long as all of a name's encoding may be compared at once.
                encode_value(&Value::from("0123456789abcdef"), &mut bytes);
            }
            let sorted = names.is_sorted_by(|one, other| one < other);
            for expected in 0..8 {
                let picked = names.iter().enumerate();
                let picked = picked.filter(|(at, _)| expected >> at & 1 == 1);
                let some: Attributes = picked.map(|(_, name)| *name).collect();
                let read = decode_some_prefix(&bytes, &some).map_err(|error| error.reason);
                match sorted {
                    true => assert_eq!(read.unwrap().0.len(), some.wanted().len()),
                    false => assert_eq!(read, Err(BinaryReason::Order), "{names:?} {expected}"),
                }
            }
        }
    }

    #[test]
    fn texts_are_told_from_other_bytes_wherever_they_stand() {
        let long = "n".repeat(700);
        let texts = [
            "plain",
            "0123456789abcdef",
            "ä",
            "mostly plain, but ü",
            "",
            &long,
        ];
        let mut map = Map::new();
        for (at, text) in texts.iter().cycle().take(40).enumerate() {
            let value = match at % 7 {
                3 => Value::from(at as u64),
                5 => Value::from(300 * at as u64),
                _ => Value::from(*text),
            };
            map.insert(format!("name{at}"), value);
        }
        let mut bytes = Vec::new();
        encode_map(&map, &mut bytes);
        assert_eq!(decode_map(&bytes), Ok(map));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] = 0xFF;
            if let Ok(other) = decode_map(&damaged) {
                let mut again = Vec::new();
                encode_map(&other, &mut again);
                assert_eq!(again, damaged, "byte {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_map_comes_back(map in strategies::map()) {
            let mut bytes = Vec::new();
            encode_map(&map, &mut bytes);
            prop_assert_eq!(decode_map(&bytes), Ok(map));
        }

        #[test]
        fn the_attributes_that_are_wanted_are_those_of_the_whole_map(
            map in strategies::map(),
            more in prop::collection::vec("[a-z]{0,3}|[ab]{13,18}", 0..4),
            others in prop::collection::vec(("[a-z]{0,3}", any::<bool>()), 0..4),
            picks in any::<u64>(),
        ) {
            let more = more.into_iter().map(|name| (Name::from(name), Value::from("ä")));
            let map: Map = map.into_iter().chain(more).collect();
            let mut bytes = Vec::new();
            encode_map(&map, &mut bytes);
            bytes.push(7);
            let bit = |at: usize| picks >> (at % 64) & 1 == 1;
            let own = map.keys().enumerate().filter(|(at, _)| bit(2 * at));
            let own = own.map(|(at, name)| (name.into(), bit(2 * at + 1)));
            let others = others.into_iter().map(|(name, is_wanted)| (name.into(), is_wanted));
            let some = Attributes::new(own.chain(others));
            let mut expected = map;
            expected.retain(|name, _| some.wanted().iter().any(|wanted| wanted == name));
            let found = decode_some_prefix(&bytes, &some);
            prop_assert_eq!(found, Ok((expected, bytes.len() - 1)));
        }

        #[test]
        fn a_cut_off_map_is_refused(map in strategies::map(), cut in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            encode_map(&map, &mut bytes);
            bytes.truncate(cut.index(bytes.len()));
            prop_assert!(decode_map(&bytes).is_err());
            prop_assert!(decode_some_prefix(&bytes, &Attributes::default()).is_err());
            let all: Attributes = map.keys().collect();
            prop_assert!(decode_some_prefix(&bytes, &all).is_err());
        }

        #[test]
        fn what_is_read_is_written_again_as_the_same_bytes(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            if let Ok(value) = decode_value(&bytes) {
                prop_assert_eq!(encoded(&value), bytes);
            }
        }

        #[test]
        fn a_damaged_map_is_refused_or_is_another_map(
            map in strategies::map(),
            at in any::<prop::sample::Index>(),
            damage in 1_u8..,
        ) {
            let mut bytes = Vec::new();
            encode_map(&map, &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= damage;
            if let Ok(other) = decode_map(&bytes) {
                let mut again = Vec::new();
                encode_map(&other, &mut again);
                prop_assert_eq!(again, bytes);
                prop_assert_ne!(other, map);
            }
        }

        #[test]
        fn every_varint_comes_back(value in any::<u64>(), shift in 0_u32..64) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            encode_varint(value, &mut bytes);
            prop_assert_eq!(decode_varint(&bytes), Some((value, bytes.len())));
        }
    }
}
