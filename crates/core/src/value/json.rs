//! A small JSON reader and writer (RFC 8259).
//!
//! The reader is strict: nothing is accepted that a second reader could understand differently. So
//! names that come twice, half surrogates, numbers that a [`Number`] cannot hold exactly and
//! anything after the value are errors, with the place.
//!
//! JSON knows neither binary nor sets: they are written as Base64 text and as lists, and come back
//! as text and lists. Use [`attribute`](super::attribute) where the kind must survive.

use super::{Map, Number, NumberError, Set, Value};
use crate::limits;
use base64::Engine as _;
use std::fmt::Write as _;

/// Why a text is not the JSON of a value, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at line {line}, column {column}")]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

/// What is wrong with a JSON text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// Something else should stand here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The text ends too early.
    #[error("the text ends where {0} should follow")]
    End(&'static str),
    /// There is more after the value.
    #[error("unexpected text after the value")]
    Trailing,
    /// An object names a field twice.
    #[error("the name {0:?} appears twice in one object")]
    DuplicateName(String),
    /// A number that cannot be kept exactly.
    #[error("a number that cannot be kept: {0}")]
    Number(NumberError),
    /// A control character that must be escaped.
    #[error("an unescaped control character in a string")]
    ControlCharacter,
    /// An unknown escape or half of a surrogate pair.
    #[error("an invalid escape in a string")]
    Escape,
    /// The bytes are not UTF-8.
    #[error("bytes that are not UTF-8")]
    Utf8,
    /// Lists and objects are nested too deeply.
    #[error("nesting deeper than {0} levels")]
    Depth(usize),
    /// The text is too long.
    #[error("a text longer than {0} bytes")]
    Length(usize),
}

/// What a reader accepts at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Length of the whole text.
    pub bytes_max: usize,
    /// Nesting of lists and objects.
    pub depth_max: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            bytes_max: limits::JSON_BYTES_MAX,
            depth_max: limits::JSON_DEPTH_MAX,
        }
    }
}

/// Reads one value within the default bounds.
///
/// # Errors
/// When the text is not exactly one JSON value that a [`Value`] can hold.
pub fn parse(text: &str) -> Result<Value, JsonError> {
    parse_within(text, Bounds::default())
}

/// Reads one value from bytes, which must be UTF-8, within the default bounds.
///
/// # Errors
/// As [`parse`].
pub fn parse_bytes(bytes: &[u8]) -> Result<Value, JsonError> {
    match str::from_utf8(bytes) {
        Ok(text) => parse(text),
        Err(error) => {
            let valid = str::from_utf8(&bytes[..error.valid_up_to()])
                .expect("the text is valid up to there");
            Err(error_at(valid, valid.len(), JsonErrorKind::Utf8))
        }
    }
}

/// Reads one value within bounds of the caller's choice.
///
/// # Errors
/// As [`parse`].
pub fn parse_within(text: &str, bounds: Bounds) -> Result<Value, JsonError> {
    if text.len() > bounds.bytes_max {
        return Err(JsonError {
            kind: JsonErrorKind::Length(bounds.bytes_max),
            line: 1,
            column: 1,
        });
    }
    let mut reader = Reader {
        text,
        at: 0,
        depth_left: bounds.depth_max,
        bounds,
    };
    reader
        .document()
        .map_err(|kind| error_at(text, reader.at, kind))
}

/// Appends the JSON of a value: fields sorted by name, no white space, numbers in plain decimals.
pub fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_display(number, out),
        Value::String(text) => write_string(text, out),
        Value::Binary(bytes) => write_base64(bytes, out),
        Value::List(list) => write_list(list, out, write_json),
        Value::Map(map) => write_map(map, out),
        Value::Set(Set::Strings(set)) => write_list(set, out, |text, out| write_string(text, out)),
        Value::Set(Set::Numbers(set)) => write_list(set, out, write_display),
        Value::Set(Set::Binaries(set)) => {
            write_list(set, out, |bytes, out| write_base64(bytes, out));
        }
    }
}

/// Appends the JSON of a map, as [`write_json`].
pub fn write_map(map: &Map, out: &mut String) {
    out.push('{');
    for (at, (name, value)) in map.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_string(name, out);
        out.push(':');
        write_json(value, out);
    }
    out.push('}');
}

/// Appends a JSON string with its quotes.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain_from..at]);
        plain_from = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => write_display(&format_args!("\\u{byte:04x}"), out),
        }
    }
    out.push_str(&text[plain_from..]);
    out.push('"');
}

impl Value {
    /// The JSON of this value; see [`write_json`].
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        write_json(self, &mut out);
        out
    }
}

impl Map {
    /// The JSON of this map; see [`write_json`].
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        write_map(self, &mut out);
        out
    }
}

pub(super) fn write_list<T>(
    list: impl IntoIterator<Item = T>,
    out: &mut String,
    mut write: impl FnMut(T, &mut String),
) {
    out.push('[');
    for (at, element) in list.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(element, out);
    }
    out.push(']');
}

pub(super) fn write_display(shown: &impl std::fmt::Display, out: &mut String) {
    write!(out, "{shown}").expect("writing to a String does not fail");
}

pub(super) fn write_base64(bytes: &[u8], out: &mut String) {
    out.push('"');
    base64::engine::general_purpose::STANDARD.encode_string(bytes, out);
    out.push('"');
}

fn error_at(text: &str, at: usize, kind: JsonErrorKind) -> JsonError {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    JsonError {
        kind,
        line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        // Every byte but those that continue a character begins one.
        column: 1 + before[line_start..]
            .iter()
            .filter(|byte| (**byte & 0xC0) != 0x80)
            .count(),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth_left: usize,
    bounds: Bounds,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Value, JsonErrorKind> {
        let value = self.value()?;
        self.skip_space();
        if self.at < self.text.len() {
            return Err(JsonErrorKind::Trailing);
        }
        Ok(value)
    }

    fn value(&mut self) -> Result<Value, JsonErrorKind> {
        self.skip_space();
        match self.peek().ok_or(JsonErrorKind::End("a value"))? {
            b'{' => self.nested(Reader::object),
            b'[' => self.nested(Reader::array),
            b'"' => Ok(Value::String(self.string()?)),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => Err(JsonErrorKind::Expected("a value")),
        }
    }

    /// Steps over the opening bracket and bounds the recursion.
    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Value, JsonErrorKind>,
    ) -> Result<Value, JsonErrorKind> {
        self.depth_left = self
            .depth_left
            .checked_sub(1)
            .ok_or(JsonErrorKind::Depth(self.bounds.depth_max))?;
        self.at += 1;
        let value = read(self)?;
        self.depth_left += 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Value, JsonErrorKind> {
        let mut list = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::List(list));
        }
        loop {
            list.push(self.value()?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::List(list));
            }
            self.expect(b',', "',' or ']'")?;
        }
    }

    fn object(&mut self) -> Result<Value, JsonErrorKind> {
        let mut fields = Vec::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::Map(Map::new()));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.missing("a name in double quotes"));
            }
            let name = self.string()?.into();
            self.skip_space();
            self.expect(b':', "':'")?;
            fields.push((name, self.value()?));
            self.skip_space();
            if self.take(b'}') {
                return Map::from_unsorted(fields)
                    .map(Value::Map)
                    .map_err(|name| JsonErrorKind::DuplicateName(name.into()));
            }
            self.expect(b',', "',' or '}'")?;
        }
    }

    fn number(&mut self) -> Result<Value, JsonErrorKind> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let number = self.text[start..self.at].parse::<Number>();
        number.map(Value::Number).map_err(|error| {
            self.at = start;
            JsonErrorKind::Number(error)
        })
    }

    fn digits(&mut self) -> Result<(), JsonErrorKind> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            Err(self.missing("a digit"))
        } else {
            Ok(())
        }
    }

    fn string(&mut self) -> Result<String, JsonErrorKind> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let plain = rest
                .iter()
                .position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')
                .unwrap_or(rest.len());
            out.push_str(&self.text[self.at..self.at + plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(JsonErrorKind::ControlCharacter),
                None => return Err(JsonErrorKind::End("'\"'")),
            }
        }
    }

    /// Reads from the backslash on; on an error the place is the backslash.
    fn escape(&mut self) -> Result<char, JsonErrorKind> {
        let bytes = self.text.as_bytes();
        let escaped = match bytes
            .get(self.at + 1)
            .ok_or(JsonErrorKind::End("an escape"))?
        {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(JsonErrorKind::Escape),
        };
        self.at += 2;
        Ok(escaped)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonErrorKind> {
        let first = self.code_unit(self.at)?;
        if let Some(character) = char::from_u32(first) {
            self.at += 6;
            return Ok(character);
        }
        // What is no character is half of a surrogate pair: the other half must follow.
        let second = self.code_unit(self.at + 6)?;
        if !(0xD800..0xDC00).contains(&first) || !(0xDC00..0xE000).contains(&second) {
            return Err(JsonErrorKind::Escape);
        }
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        self.at += 12;
        char::from_u32(code).ok_or(JsonErrorKind::Escape)
    }

    /// The four hexadecimal digits after the `\u` at `at`.
    fn code_unit(&self, at: usize) -> Result<u32, JsonErrorKind> {
        let escape = self
            .text
            .as_bytes()
            .get(at..at + 6)
            .ok_or(JsonErrorKind::Escape)?;
        let [b'\\', b'u', digits @ ..] = escape else {
            return Err(JsonErrorKind::Escape);
        };
        digits.iter().try_fold(0, |code, digit| {
            let digit = char::from(*digit)
                .to_digit(16)
                .ok_or(JsonErrorKind::Escape)?;
            Ok(code << 4 | digit)
        })
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, JsonErrorKind> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(JsonErrorKind::Expected("a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8, name: &'static str) -> Result<(), JsonErrorKind> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.missing(name))
        }
    }

    fn missing(&self, name: &'static str) -> JsonErrorKind {
        if self.at < self.text.len() {
            JsonErrorKind::Expected(name)
        } else {
            JsonErrorKind::End(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::strategies;
    use proptest::prelude::*;

    #[test]
    fn documents_are_read_and_written_compactly() {
        let text = r#" { "b" : [ 1 , -2.50 , 1e3 , true , false , null ] , "a" : "\u00e9\ud83d\ude00\n" } "#;
        let value = parse(text).unwrap();
        assert_eq!(
            value.to_json(),
            "{\"a\":\"é😀\\n\",\"b\":[1,-2.5,1000,true,false,null]}"
        );
    }

    #[test]
    fn sets_and_binary_become_lists_and_base64() {
        let map = Map::from([
            ("bin", Value::from(vec![0xFF_u8, 0])),
            ("set", Value::from(["b", "a"].into_iter().collect::<Set>())),
        ]);
        assert_eq!(map.to_json(), r#"{"bin":"/wA=","set":["a","b"]}"#);
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(Value::from("\u{1}\t\"\\/").to_json(), r#""\u0001\t\"\\/""#);
    }

    #[test]
    fn errors_name_the_place() {
        use JsonErrorKind::*;
        let cases: [(&str, usize, usize, JsonErrorKind); 26] = [
            ("", 1, 1, End("a value")),
            ("  ", 1, 3, End("a value")),
            ("{\n  \"a\": 1,\n  \"é\" 2\n}", 3, 7, Expected("':'")),
            ("{\"a\":1,}", 1, 8, Expected("a name in double quotes")),
            ("{a:1}", 1, 2, Expected("a name in double quotes")),
            ("{\"a\":1,\"a\":2}", 1, 14, DuplicateName("a".to_owned())),
            ("[1,]", 1, 4, Expected("a value")),
            ("[1 2]", 1, 4, Expected("',' or ']'")),
            ("[1", 1, 3, End("',' or ']'")),
            ("01", 1, 2, Trailing),
            ("1.", 1, 3, End("a digit")),
            ("-", 1, 2, End("a digit")),
            ("+1", 1, 1, Expected("a value")),
            (".5", 1, 1, Expected("a value")),
            ("1e", 1, 3, End("a digit")),
            ("NaN", 1, 1, Expected("a value")),
            ("nul", 1, 1, Expected("a value")),
            ("1e999", 1, 1, Number(NumberError::Overflow)),
            ("[1, 1e-131]", 1, 5, Number(NumberError::Underflow)),
            (
                "123456789012345678901234567890123456789",
                1,
                1,
                Number(NumberError::TooManyDigits),
            ),
            ("\"a", 1, 3, End("'\"'")),
            ("\"\n\"", 1, 2, ControlCharacter),
            ("\"\\x\"", 1, 2, Escape),
            ("\"\\ud800\"", 1, 2, Escape),
            ("\"\\udc00\\ud800\"", 1, 2, Escape),
            ("1 1", 1, 3, Trailing),
        ];
        for (text, line, column, kind) in cases {
            assert_eq!(parse(text), Err(JsonError { kind, line, column }), "{text}");
        }
        assert_eq!(
            parse_bytes(b"[\"\xFF\"]"),
            Err(JsonError {
                kind: Utf8,
                line: 1,
                column: 3
            })
        );
        assert_eq!(
            parse("[1,]").unwrap_err().to_string(),
            "expected a value at line 1, column 4"
        );
    }

    #[test]
    fn nesting_is_read_to_the_bound_and_not_beyond() {
        let nested = |depth: usize| parse(&("[".repeat(depth) + &"]".repeat(depth))).map(drop);
        assert_eq!(nested(limits::JSON_DEPTH_MAX), Ok(()));
        assert_eq!(
            nested(limits::JSON_DEPTH_MAX + 1).unwrap_err().kind,
            JsonErrorKind::Depth(limits::JSON_DEPTH_MAX)
        );
    }

    #[test]
    fn length_is_read_to_the_bound_and_not_beyond() {
        let bounds = Bounds {
            bytes_max: 4,
            ..Bounds::default()
        };
        assert_eq!(parse_within("true", bounds), Ok(Value::Bool(true)));
        assert_eq!(
            parse_within("false", bounds).unwrap_err().kind,
            JsonErrorKind::Length(4)
        );
    }

    /// What JSON makes of a value: sets become lists and binary becomes text.
    fn plain(value: &Value) -> Value {
        let base64 = |bytes: &Vec<u8>| {
            Value::String(base64::engine::general_purpose::STANDARD.encode(bytes))
        };
        match value {
            Value::Binary(bytes) => base64(bytes),
            Value::List(list) => Value::List(list.iter().map(plain).collect()),
            Value::Map(map) => Value::Map(
                map.iter()
                    .map(|(name, value)| (name, plain(value)))
                    .collect(),
            ),
            Value::Set(Set::Strings(set)) => Value::List(set.iter().map(Value::from).collect()),
            Value::Set(Set::Numbers(set)) => {
                Value::List(set.iter().copied().map(Value::from).collect())
            }
            Value::Set(Set::Binaries(set)) => Value::List(set.iter().map(base64).collect()),
            _ => value.clone(),
        }
    }

    /// Our value as serde_json has it; numbers must be integers of 64 bits.
    fn as_serde(value: &Value) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => integer.into(),
                None => number
                    .as_u64()
                    .expect("the strategy has only integers")
                    .into(),
            },
            Value::String(text) => text.as_str().into(),
            Value::List(list) => list.iter().map(as_serde).collect(),
            Value::Map(map) => map
                .iter()
                .map(|(name, value)| (name.to_owned(), as_serde(value)))
                .collect(),
            Value::Binary(_) | Value::Set(_) => unreachable!("JSON has none"),
        }
    }

    /// A document in which one character is taken out, or another put in.
    fn document_with_a_slip() -> impl Strategy<Value = String> {
        let other = prop::option::of("[\\[\\]{},:\"0-9.eE+\\-\\\\ \\nu\\x00]");
        let slip = (any::<prop::sample::Index>(), any::<bool>(), other);
        (serde_document(), slip).prop_map(|(document, (at, take, other))| {
            let mut letters: Vec<char> = document.to_string().chars().collect();
            let at = at.index(letters.len());
            if take {
                letters.remove(at);
            }
            letters.splice(at..at, other.unwrap_or_default().chars());
            letters.into_iter().collect()
        })
    }

    /// Both readers take a text, and for the same, or both refuse it; ours may be stricter.
    fn both_agree(text: &str) -> Result<(), TestCaseError> {
        let ours = parse(text);
        let theirs = serde_json::from_str::<serde_json::Value>(text);
        // What serde_json makes floats of can only be compared as texts.
        let long = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
        let floats = text.contains(['.', 'e', 'E']) || text.as_bytes().windows(19).any(long);
        match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) if !floats => {
                prop_assert_eq!(&as_serde(ours), theirs);
            }
            (
                Err(JsonError {
                    kind: JsonErrorKind::Number(_) | JsonErrorKind::DuplicateName(_),
                    ..
                }),
                _,
            ) => {}
            _ => prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs),
        }
        Ok(())
    }

    fn serde_document() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<u64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::btree_map(".{0,6}", inner, 0..6)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_comes_back_as_json_knows_it(value in strategies::value()) {
            prop_assert_eq!(parse(&value.to_json()), Ok(plain(&value)));
        }

        #[test]
        fn we_read_what_serde_json_writes(document in serde_document()) {
            let compact = parse(&document.to_string()).unwrap();
            prop_assert_eq!(as_serde(&compact), document.clone());
            let pretty = parse(&serde_json::to_string_pretty(&document).unwrap()).unwrap();
            prop_assert_eq!(as_serde(&pretty), document);
        }

        #[test]
        fn serde_json_reads_what_we_write(value in strategies::value()) {
            let read: Result<serde_json::Value, _> = serde_json::from_str(&value.to_json());
            prop_assert!(read.is_ok());
        }

        /// Texts made of JSON's own characters: both readers agree on what is a document, except
        /// where ours is stricter on purpose.
        #[test]
        fn both_readers_refuse_the_same_texts(
            text in "([\\[\\]{},:\" \\n0-9eE.+\\-\\\\ubtnfrl\\x00]|true|null|\"a\"){0,12}",
        ) {
            both_agree(&text)?;
        }

        #[test]
        fn both_readers_refuse_the_same_slips(text in document_with_a_slip()) {
            both_agree(&text)?;
        }

        #[test]
        fn a_number_is_the_decimal_that_its_text_says(
            text in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?",
        ) {
            let Ok(Value::Number(number)) = parse(&text) else {
                return Err(TestCaseError::fail(text));
            };
            // Both are the float nearest to the decimal, so that they tell one from another.
            prop_assert_eq!(number.to_f64(), text.parse::<f64>().unwrap());
            prop_assert_eq!(parse(&number.to_string()), Ok(Value::Number(number)));
        }
    }
}
