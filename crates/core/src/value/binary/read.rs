//! Reading the binary form, in one pass.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Range;

use super::super::name::Head;
use super::super::{Map, Number, Set, Value};
use super::attributes::Expected;
use super::{
    Attributes, BINARY, BINARY_SET, BinaryReason, DECIMAL, FALSE, INTEGER, LIST, MAP,
    NEGATIVE_DECIMAL, NEGATIVE_INTEGER, NULL, NUMBER_SET, SHORT_TEXT, SHORT_TEXT_BYTES_MAX,
    SMALL_INTEGER, STRING_SET, TEXT, TRUE, decode_varint, integer_magnitude, number_tag,
};
use crate::limits::BINARY_DEPTH_MAX;

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth_left: usize,
    checked: Checked<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader {
            bytes,
            at: 0,
            depth_left: BINARY_DEPTH_MAX,
            checked: Checked::default(),
        }
    }

    /// Where reading goes on, or stopped.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// Most are short texts, which are read where they are asked for.
    #[inline]
    pub(super) fn value(&mut self) -> Result<Value, BinaryReason> {
        let tag = self.byte()?;
        match tag {
            SHORT_TEXT..SMALL_INTEGER => {
                let text = self.text(usize::from(tag - SHORT_TEXT))?;
                Ok(Value::String(text.to_owned()))
            }
            _ => self.other_value(tag),
        }
    }

    fn other_value(&mut self, tag: u8) -> Result<Value, BinaryReason> {
        Ok(match tag {
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            TEXT => Value::String(self.long_text()?.to_owned()),
            BINARY => Value::Binary(self.sized()?.to_vec()),
            LIST => Value::List(self.nested(Reader::list)?),
            MAP => Value::Map(self.nested(Reader::map)?),
            STRING_SET => Value::Set(Set::Strings(self.members(|reader| {
                let length = reader.length()?;
                reader.text(length).map(str::to_owned)
            })?)),
            NUMBER_SET => Value::Set(Set::Numbers(self.members(Reader::set_number)?)),
            BINARY_SET => Value::Set(Set::Binaries(
                self.members(|reader| Ok(reader.sized()?.to_vec()))?,
            )),
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

    pub(super) fn map(&mut self) -> Result<Map, BinaryReason> {
        let count = self.count()?;
        let mut map = Map::with_capacity(count.min(64));
        let mut last = None;
        for _ in 0..count {
            let name = self.text_name(&mut last)?;
            let value = self.value()?;
            map.push_in_order(name.into(), value);
        }
        Ok(map)
    }

    pub(super) fn fields(&mut self, attributes: &Attributes) -> Result<Map, BinaryReason> {
        let count = self.count()?;
        let mut map = Map::with_capacity(count.min(attributes.wanted().len()));
        let mut expected = attributes.expected();
        let mut last = None;
        for _ in 0..count {
            let at = self.at;
            let found = match expected.split_first() {
                Some((next, rest)) if next.begins(&self.bytes[at..]) => {
                    expected = rest;
                    self.at += next.length;
                    Some(next)
                }
                _ => self.find(&mut expected, last)?,
            };
            last = Some(at);
            // A name that is wanted is known to be text.
            match found {
                Some(found) if found.is_wanted => {
                    let value = self.value()?;
                    map.push_in_order(found.name.clone(), value);
                }
                _ => self.pass_value()?,
            }
        }
        Ok(map)
    }

    /// Reads a name, which must come after the one that was read at `last`, and takes those up to
    /// it off the expected ones.
    fn find<'n>(
        &mut self,
        expected: &mut &'n [Expected],
        last: Option<usize>,
    ) -> Result<Option<&'n Expected>, BinaryReason> {
        let at = self.at;
        let mut before = None;
        if let Some(last) = last {
            self.at = last;
            self.name(&mut before)?;
            self.at = at;
        }
        let name = self.name(&mut before)?;
        while let Some((next, rest)) = expected.split_first() {
            let order = Met::from(next).cmp(name);
            if order.is_gt() {
                break;
            }
            *expected = rest;
            if order.is_eq() {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    /// As [`name`](Reader::name), as text.
    fn text_name(&mut self, last: &mut Option<Met<'a>>) -> Result<&'a str, BinaryReason> {
        let name = self.name(last)?;
        let start = self.at - name.bytes.len();
        let text = self.checked.text(self.bytes, start..self.at);
        text.ok_or(BinaryReason::Utf8)
    }

    /// The name of a field, which must come after the last one.
    fn name(&mut self, last: &mut Option<Met<'a>>) -> Result<Met<'a>, BinaryReason> {
        let length = self.length()?;
        let rest = &self.bytes[self.at..];
        let name = Met {
            bytes: self.take(length)?,
            head: Head::of(rest, length),
        };
        let follows = last.is_none_or(|last| last.cmp(name).is_lt());
        *last = Some(name);
        follows.then_some(name).ok_or(BinaryReason::Order)
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

    fn long_text(&mut self) -> Result<&'a str, BinaryReason> {
        let length = self.length()?;
        if length <= SHORT_TEXT_BYTES_MAX {
            return Err(BinaryReason::Length);
        }
        self.text(length)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, BinaryReason> {
        let start = self.at;
        self.take(length)?;
        let text = self.checked.text(self.bytes, start..self.at);
        text.ok_or(BinaryReason::Utf8)
    }

    fn sized(&mut self) -> Result<&'a [u8], BinaryReason> {
        let length = self.length()?;
        self.take(length)
    }

    fn length(&mut self) -> Result<usize, BinaryReason> {
        usize::try_from(self.varint()?).map_err(|_| BinaryReason::Length)
    }

    /// A number of elements, each of which takes a byte or more.
    fn count(&mut self) -> Result<usize, BinaryReason> {
        let count = self.length()?;
        if count > self.bytes.len() - self.at {
            return Err(BinaryReason::CutOff);
        }
        Ok(count)
    }

    #[inline]
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

    #[inline]
    fn byte(&mut self) -> Result<u8, BinaryReason> {
        let byte = *self.bytes.get(self.at).ok_or(BinaryReason::CutOff)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], BinaryReason> {
        let end = self.at.checked_add(length).ok_or(BinaryReason::CutOff)?;
        let bytes = self.bytes.get(self.at..end).ok_or(BinaryReason::CutOff)?;
        self.at = end;
        Ok(bytes)
    }
}

/// A name as it was met: bytes of which only the order is of interest.
#[derive(Clone, Copy)]
struct Met<'a> {
    head: Head,
    bytes: &'a [u8],
}

impl Met<'_> {
    fn cmp(self, other: Met<'_>) -> Ordering {
        let order = self.head.cmp(&other.head);
        order.then_with(|| match self.bytes.len().max(other.bytes.len()) {
            // All there is of both is in their heads, but for zeros at the end of the longer one.
            ..=Head::BYTES => self.bytes.len().cmp(&other.bytes.len()),
            _ => self.bytes.cmp(other.bytes),
        })
    }
}

impl<'a> From<&'a Expected> for Met<'a> {
    fn from(expected: &'a Expected) -> Met<'a> {
        Met {
            head: expected.head,
            bytes: expected.name.as_bytes(),
        }
    }
}

/// A stretch of ASCII in the bytes, names, lengths and tags included, that is known to be text: one
/// look at a long stretch costs less than one at each short text in it.
#[derive(Default)]
struct Checked<'a> {
    text: &'a str,
    start: usize,
}

/// How far a look goes: a short text must not cost a look at a long one that nobody wants.
const STRETCH_BYTES: usize = 512;

impl<'a> Checked<'a> {
    /// The text in a range of the bytes, if it is one. Ranges must come in order.
    #[inline]
    fn text(&mut self, bytes: &'a [u8], range: Range<usize>) -> Option<&'a str> {
        match self.covered(&range) {
            Some(text) => Some(text),
            None => self.look(bytes, range),
        }
    }

    #[inline]
    fn covered(&self, range: &Range<usize>) -> Option<&'a str> {
        let start = range.start - self.start;
        self.text.get(start..start + range.len())
    }

    fn look(&mut self, bytes: &'a [u8], range: Range<usize>) -> Option<&'a str> {
        let end = range.end.max(bytes.len().min(range.start + STRETCH_BYTES));
        let ascii = ascii(&bytes[range.start..end]);
        if ascii.len() < range.len() {
            return str::from_utf8(&bytes[range]).ok();
        }
        self.text = str::from_utf8(ascii).expect("ASCII is text");
        self.start = range.start;
        self.covered(&range)
    }
}

/// As much from the start as is ASCII, in whole pieces.
fn ascii(bytes: &[u8]) -> &[u8] {
    const PIECE_BYTES: usize = 16;
    let (pieces, _) = bytes.as_chunks::<PIECE_BYTES>();
    // All of a piece is looked at in any case: so it is looked at together.
    let is_ascii =
        |piece: &&[u8; PIECE_BYTES]| piece.iter().fold(true, |all, byte| all & byte.is_ascii());
    let whole = pieces.iter().take_while(is_ascii).count();
    &bytes[..whole * PIECE_BYTES]
}
