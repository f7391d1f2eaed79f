//! The compact form of values in the log, described byte by byte in `docs/formats/value.md`.
//!
//! Every value has exactly one encoding, and the reader accepts no other: equal items are equal
//! bytes, and a record that was damaged without its checksum noticing is likely to be refused.

use super::map::take_wanted;
use super::name::compare;
use super::{Map, Name, Number, Set, Value};
use crate::limits::BINARY_DEPTH_MAX;
use std::collections::BTreeSet;

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

/// As [`decode_map_prefix`], but makes only the fields with these names, which must be in order.
/// Of the others only names and lengths are read.
///
/// # Errors
/// When the bytes do not begin with what [`encode_map`] writes for some map; what is wrong inside
/// a field that is passed over may stay unseen.
pub fn decode_fields_prefix(bytes: &[u8], names: &[Name]) -> Result<(Map, usize), BinaryError> {
    decode_prefix(bytes, |reader| reader.fields(names))
}

fn decode_prefix<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, BinaryReason>,
) -> Result<(T, usize), BinaryError> {
    let mut reader = Reader {
        bytes,
        at: 0,
        depth_left: BINARY_DEPTH_MAX,
    };
    let made = read(&mut reader).map_err(|reason| BinaryError {
        offset: reader.at,
        reason,
    })?;
    Ok((made, reader.at))
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

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth_left: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Value, BinaryReason> {
        let tag = self.byte()?;
        Ok(match tag {
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            TEXT => Value::String(self.long_text()?),
            BINARY => Value::Binary(self.sized()?.to_vec()),
            LIST => Value::List(self.nested(Reader::list)?),
            MAP => Value::Map(self.nested(Reader::map)?),
            STRING_SET => Value::Set(Set::Strings(self.members(Reader::text)?)),
            NUMBER_SET => Value::Set(Set::Numbers(self.members(Reader::set_number)?)),
            BINARY_SET => Value::Set(Set::Binaries(
                self.members(|reader| Ok(reader.sized()?.to_vec()))?,
            )),
            SHORT_TEXT..SMALL_INTEGER => {
                Value::String(text(self.take(usize::from(tag - SHORT_TEXT))?)?)
            }
            _ => Value::Number(self.number(tag)?),
        })
    }

    fn number(&mut self, tag: u8) -> Result<Number, BinaryReason> {
        let negative = matches!(tag, NEGATIVE_INTEGER | NEGATIVE_DECIMAL);
        let number = match tag {
            SMALL_INTEGER.. => return Ok(Number::from(u32::from(tag - SMALL_INTEGER))),
            INTEGER | NEGATIVE_INTEGER => {
                let magnitude = Number::from(self.varint()?);
                if negative { -magnitude } else { magnitude }
            }
            DECIMAL | NEGATIVE_DECIMAL => self.decimal(negative)?,
            _ => return Err(BinaryReason::Tag(tag)),
        };
        // One encoding per number: whoever writes this one would have chosen this tag.
        if number_tag(&number, integer_magnitude(&number)) == tag {
            Ok(number)
        } else {
            Err(BinaryReason::Number)
        }
    }

    fn decimal(&mut self, negative: bool) -> Result<Number, BinaryReason> {
        let exponent = i16::from_le_bytes([self.byte()?, self.byte()?]);
        let length = usize::from(self.byte()?);
        if length == 0 || length > 16 {
            return Err(BinaryReason::Number);
        }
        let bytes = self.take(length)?;
        if bytes[length - 1] == 0 {
            return Err(BinaryReason::Number);
        }
        let mut coefficient = [0; 16];
        coefficient[..length].copy_from_slice(bytes);
        Number::from_canonical_parts(negative, u128::from_le_bytes(coefficient), exponent)
            .ok_or(BinaryReason::Number)
    }

    fn set_number(&mut self) -> Result<Number, BinaryReason> {
        let tag = self.byte()?;
        self.number(tag)
    }

    fn list(&mut self) -> Result<Vec<Value>, BinaryReason> {
        let count = self.count()?;
        (0..count).map(|_| self.value()).collect()
    }

    fn map(&mut self) -> Result<Map, BinaryReason> {
        let count = self.count()?;
        let mut map = Map::with_capacity(count.min(64));
        let mut last = None;
        for _ in 0..count {
            let name = self.name(&mut last)?;
            let value = self.value()?;
            map.push_in_order(name.into(), value);
        }
        Ok(map)
    }

    fn fields(&mut self, mut names: &[Name]) -> Result<Map, BinaryReason> {
        let count = self.count()?;
        let mut map = Map::with_capacity(count.min(names.len()));
        let mut last = None;
        for _ in 0..count {
            let name = self.name_bytes(&mut last)?;
            // A name that is wanted is known to be text.
            if let Some(wanted) = take_wanted(&mut names, |wanted| compare(wanted.as_bytes(), name))
            {
                let value = self.value()?;
                map.push_in_order(wanted.clone(), value);
            } else {
                self.pass_value()?;
            }
        }
        Ok(map)
    }

    /// The name of a field, which must come after the last one.
    fn name(&mut self, last: &mut Option<&'a [u8]>) -> Result<&'a str, BinaryReason> {
        let name = self.name_bytes(last)?;
        str::from_utf8(name).map_err(|_| BinaryReason::Utf8)
    }

    fn name_bytes(&mut self, last: &mut Option<&'a [u8]>) -> Result<&'a [u8], BinaryReason> {
        let name = self.sized()?;
        if last
            .replace(name)
            .is_some_and(|last| compare(last, name).is_ge())
        {
            return Err(BinaryReason::Order);
        }
        Ok(name)
    }

    /// Goes on behind a value without making it.
    fn pass_value(&mut self) -> Result<(), BinaryReason> {
        let tag = self.byte()?;
        match tag {
            NULL | FALSE | TRUE | SMALL_INTEGER.. => Ok(()),
            TEXT | BINARY => self.sized().map(drop),
            LIST => self.nested(|reader| reader.pass_all(Reader::pass_value)),
            MAP => self.nested(|reader| {
                reader.pass_all(|reader| {
                    reader.sized()?;
                    reader.pass_value()
                })
            }),
            STRING_SET | BINARY_SET => self.pass_all(|reader| reader.sized().map(drop)),
            NUMBER_SET => self.pass_all(|reader| reader.set_number().map(drop)),
            SHORT_TEXT..SMALL_INTEGER => self.take(usize::from(tag - SHORT_TEXT)).map(drop),
            tag => self.number(tag).map(drop),
        }
    }

    fn pass_all(
        &mut self,
        pass: impl Fn(&mut Self) -> Result<(), BinaryReason>,
    ) -> Result<(), BinaryReason> {
        let count = self.count()?;
        (0..count).try_for_each(|_| pass(self))
    }

    fn members<T: Ord>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, BinaryReason>,
    ) -> Result<BTreeSet<T>, BinaryReason> {
        let count = self.count()?;
        let mut set = BTreeSet::new();
        for _ in 0..count {
            let member = read(self)?;
            if set.last().is_some_and(|last| *last >= member) {
                return Err(BinaryReason::Order);
            }
            set.insert(member);
        }
        Ok(set)
    }

    fn nested<T>(
        &mut self,
        read: fn(&mut Self) -> Result<T, BinaryReason>,
    ) -> Result<T, BinaryReason> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(BinaryReason::Depth)?;
        let value = read(self)?;
        self.depth_left += 1;
        Ok(value)
    }

    fn long_text(&mut self) -> Result<String, BinaryReason> {
        let bytes = self.sized()?;
        if bytes.len() <= SHORT_TEXT_BYTES_MAX {
            return Err(BinaryReason::Length);
        }
        text(bytes)
    }

    fn text(&mut self) -> Result<String, BinaryReason> {
        text(self.sized()?)
    }

    fn sized(&mut self) -> Result<&'a [u8], BinaryReason> {
        let length = usize::try_from(self.varint()?).map_err(|_| BinaryReason::Length)?;
        self.take(length)
    }

    /// A number of elements, each of which takes a byte or more.
    fn count(&mut self) -> Result<usize, BinaryReason> {
        let count = usize::try_from(self.varint()?).map_err(|_| BinaryReason::Length)?;
        if count > self.bytes.len() - self.at {
            return Err(BinaryReason::CutOff);
        }
        Ok(count)
    }

    fn varint(&mut self) -> Result<u64, BinaryReason> {
        // Nearly all lengths are below 128.
        if let Some(byte @ ..0x80) = self.bytes.get(self.at) {
            self.at += 1;
            return Ok(u64::from(*byte));
        }
        let (value, used) = decode_varint(&self.bytes[self.at..]).ok_or(BinaryReason::Length)?;
        self.at += used;
        Ok(value)
    }

    fn byte(&mut self) -> Result<u8, BinaryReason> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], BinaryReason> {
        let bytes = self.bytes[self.at..]
            .get(..length)
            .ok_or(BinaryReason::CutOff)?;
        self.at += length;
        Ok(bytes)
    }
}

fn text(bytes: &[u8]) -> Result<String, BinaryReason> {
    str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| BinaryReason::Utf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::strategies;
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

    proptest! {
        #[test]
        fn every_map_comes_back(map in strategies::map()) {
            let mut bytes = Vec::new();
            encode_map(&map, &mut bytes);
            prop_assert_eq!(decode_map(&bytes), Ok(map));
        }

        #[test]
        fn the_fields_asked_for_are_those_of_the_whole_map(
            map in strategies::map(),
            others in prop::collection::btree_set("[a-z]{0,3}", 0..4),
            pick in any::<u64>(),
        ) {
            let mut bytes = Vec::new();
            encode_map(&map, &mut bytes);
            bytes.push(7);
            let picked = map.keys().enumerate().filter(|(at, _)| pick >> (at % 64) & 1 == 1);
            let names = others.into_iter().chain(picked.map(|(_, name)| name.to_owned()));
            let names: BTreeSet<Name> = names.map(Name::from).collect();
            let names: Vec<Name> = names.into_iter().collect();
            let mut expected = map;
            expected.retain(|name, _| names.iter().any(|wanted| wanted == name));
            let found = decode_fields_prefix(&bytes, &names);
            prop_assert_eq!(found, Ok((expected, bytes.len() - 1)));
        }

        #[test]
        fn a_cut_off_map_is_refused(map in strategies::map(), cut in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            encode_map(&map, &mut bytes);
            bytes.truncate(cut.index(bytes.len()));
            prop_assert!(decode_map(&bytes).is_err());
            prop_assert!(decode_fields_prefix(&bytes, &[]).is_err());
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
