//! Taking the items out of an import as its bytes arrive: lines of JSON, or one JSON array.

use std::fmt;

use periwinkle_core::limits::IMPORT_ITEM_BYTES_MAX;
use periwinkle_core::value::Value;
use periwinkle_core::value::json::{self, JsonErrorKind};

/// Reads items from bytes that come in pieces of any size; holds no more than one item and the
/// piece that came last.
///
/// The first character decides the form: with `[` the text is one array of items, otherwise each
/// line is an item; empty lines are passed over. Give it bytes with [`push`](Reader::push), say
/// with [`finish`](Reader::finish) that these were all, and take what is complete with
/// [`next_item`](Reader::next_item).
///
/// ```
/// use periwinkle_db::model::transfer::Reader;
///
/// let mut reader = Reader::new();
/// reader.push(b"{\"n\":1}\n{\"n\":");
/// let first = reader.next_item().unwrap()?;
/// assert_eq!((first.line, first.column), (1, 1));
/// assert!(reader.next_item().is_none(), "the second is not complete");
/// reader.push(b"2}");
/// reader.finish();
/// assert_eq!(reader.next_item().unwrap()?.line, 2);
/// assert!(reader.next_item().is_none());
/// # Ok::<(), periwinkle_db::model::transfer::TransferError>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    /// What came and was not taken yet.
    buffer: Vec<u8>,
    /// What of the buffer was taken; `line` and `column` are the place of the byte there.
    at: usize,
    line: u64,
    column: u64,
    state: State,
    /// How far the item at `at` was looked through for its end.
    scan: Scan,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Line,
    /// The rest of a line that was too long.
    LineToSkip,
    /// In an array, where an item may stand, or where the array may end, or both.
    ArrayFirst,
    ArrayItem,
    ArrayNext,
    AfterArray,
    /// An error after which nothing can be understood.
    Broken,
}

/// Where the scan for the end of an item stands.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    bytes: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

/// An item, and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadItem {
    /// The line, from 1.
    pub line: u64,
    /// The character in the line, from 1.
    pub column: u64,
    /// What stands there.
    pub value: Value,
}

/// What cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferError {
    /// The line, from 1.
    pub line: u64,
    /// The character in the line, from 1.
    pub column: u64,
    /// What is wrong.
    pub fault: TransferFault,
}

/// What is wrong with the text of an import.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferFault {
    /// An item is no JSON.
    #[error(transparent)]
    Json(#[from] JsonErrorKind),
    /// An item is longer than any can be.
    #[error("an item longer than {0} bytes")]
    ItemTooLong(usize),
    /// Something between the items of an array that does not belong there. Nothing after it is
    /// read.
    #[error("expected {0}")]
    Expected(&'static str),
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.fault
        )
    }
}

impl std::error::Error for TransferError {}

impl Default for Reader {
    fn default() -> Reader {
        Reader::new()
    }
}

impl Reader {
    /// A reader at the begin of a text.
    pub fn new() -> Reader {
        Reader {
            buffer: Vec::new(),
            at: 0,
            line: 1,
            column: 1,
            state: State::Start,
            scan: Scan::default(),
            ended: false,
        }
    }

    /// Adds the bytes that come next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Says that no more bytes come.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// The next item that is complete, or what is wrong there. After an error the next item of
    /// the text follows, unless the text cannot be understood any more.
    ///
    /// `None` asks for more bytes; after [`finish`](Reader::finish) it is the end.
    pub fn next_item(&mut self) -> Option<Result<ReadItem, TransferError>> {
        loop {
            if self.state == State::LineToSkip {
                self.skip_line()?;
            }
            if self.state == State::Broken {
                self.buffer.clear();
                self.at = 0;
                return None;
            }
            if self.scan.bytes == 0 {
                self.skip_blanks();
            }
            let Some(&byte) = self.rest().first() else {
                return self.end_of_text();
            };
            match (self.state, byte) {
                (State::Start, b'[') => self.pass_to(State::ArrayFirst),
                (State::Start, _) => self.state = State::Line,
                (State::ArrayFirst | State::ArrayNext, b']') => self.pass_to(State::AfterArray),
                (State::ArrayNext, b',') => self.pass_to(State::ArrayItem),
                (State::ArrayNext, _) => return self.fatal("\",\" or \"]\""),
                (State::AfterArray, _) => return self.fatal("nothing after the array"),
                _ => return self.item(),
            }
        }
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// An item begins here.
    fn item(&mut self) -> Option<Result<ReadItem, TransferError>> {
        let is_line = self.state == State::Line;
        let end = match is_line {
            true => self.line_end(),
            false => self.value_end(),
        };
        let too_long = end.unwrap_or(self.scan.bytes) > IMPORT_ITEM_BYTES_MAX;
        match end {
            _ if too_long => Some(Err(self.give_item_up(is_line))),
            None if !self.ended => None,
            None => self.take_item(self.rest().len(), is_line),
            Some(end) => self.take_item(end, is_line),
        }
    }

    fn take_item(
        &mut self,
        bytes: usize,
        is_line: bool,
    ) -> Option<Result<ReadItem, TransferError>> {
        let (line, column) = (self.line, self.column);
        let read = match json::parse_bytes(&self.rest()[..bytes]) {
            Ok(value) => Ok(ReadItem {
                line,
                column,
                value,
            }),
            Err(error) => Err(TransferError {
                line: line + error.line as u64 - 1,
                column: match error.line {
                    1 => column + error.column as u64 - 1,
                    _ => error.column as u64,
                },
                fault: error.kind.into(),
            }),
        };
        self.pass(bytes);
        self.scan = Scan::default();
        if !is_line {
            self.state = State::ArrayNext;
        }
        Some(read)
    }

    fn give_item_up(&mut self, is_line: bool) -> TransferError {
        let error = self.error(TransferFault::ItemTooLong(IMPORT_ITEM_BYTES_MAX));
        self.scan = Scan::default();
        self.state = match is_line {
            true => State::LineToSkip,
            false => State::Broken,
        };
        error
    }

    /// Where the line ends, once it is there.
    fn line_end(&mut self) -> Option<usize> {
        let from = self.scan.bytes;
        let found = self.rest()[from..].iter().position(|byte| *byte == b'\n');
        self.scan.bytes = self.rest().len();
        found.map(|at| from + at)
    }

    /// Where a value inside an array ends: behind its last bracket, or before what ends a text, a
    /// number or a word.
    fn value_end(&mut self) -> Option<usize> {
        let mut scan = self.scan;
        let mut end = None;
        for &byte in &self.rest()[scan.bytes..] {
            if !scan.in_string && scan.depth == 0 && matches!(byte, b',' | b']') {
                end = Some(scan.bytes);
                break;
            }
            scan.bytes += 1;
            if scan.step(byte) {
                end = Some(scan.bytes);
                break;
            }
        }
        self.scan = scan;
        end
    }

    fn skip_blanks(&mut self) {
        let blanks = self
            .rest()
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        let bytes = blanks.count();
        self.pass(bytes);
    }

    /// The rest of a line that is given up; `None` while its end has not come.
    fn skip_line(&mut self) -> Option<()> {
        let end = self.rest().iter().position(|byte| *byte == b'\n');
        self.pass(end.unwrap_or(self.rest().len()));
        if end.is_some() || self.ended {
            self.state = State::Line;
            return Some(());
        }
        None
    }

    fn end_of_text(&mut self) -> Option<Result<ReadItem, TransferError>> {
        match self.state {
            State::ArrayFirst | State::ArrayItem | State::ArrayNext if self.ended => {
                self.fatal("the end of the array")
            }
            _ => None,
        }
    }

    fn fatal(&mut self, expected: &'static str) -> Option<Result<ReadItem, TransferError>> {
        let error = self.error(TransferFault::Expected(expected));
        self.state = State::Broken;
        Some(Err(error))
    }

    fn error(&self, fault: TransferFault) -> TransferError {
        TransferError {
            line: self.line,
            column: self.column,
            fault,
        }
    }

    fn pass_to(&mut self, state: State) {
        self.pass(1);
        self.state = state;
    }

    /// Takes bytes away, and moves the place on.
    fn pass(&mut self, bytes: usize) {
        for byte in &self.buffer[self.at..self.at + bytes] {
            match byte {
                b'\n' => (self.line, self.column) = (self.line + 1, 1),
                // Every byte but those that continue a character begins one.
                byte if byte & 0xC0 != 0x80 => self.column += 1,
                _ => {}
            }
        }
        self.at += bytes;
    }
}

impl Scan {
    /// Whether this byte closes the value.
    fn step(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text gives, fed in pieces of this size: values as JSON, errors as words.
    fn read(text: &[u8], piece: usize) -> Vec<String> {
        let mut reader = Reader::new();
        let mut found = Vec::new();
        let mut take = |reader: &mut Reader| {
            while let Some(item) = reader.next_item() {
                found.push(match item {
                    Ok(item) => format!("{}:{} {}", item.line, item.column, item.value.to_json()),
                    Err(error) => error.to_string(),
                });
            }
        };
        for piece in text.chunks(piece) {
            reader.push(piece);
            take(&mut reader);
        }
        reader.finish();
        take(&mut reader);
        found
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        for piece in [1, 2, 7, 1 << 20] {
            assert_eq!(
                read(text.as_bytes(), piece),
                expected,
                "{text:?} by {piece}"
            );
        }
    }

    #[test]
    fn lines_and_arrays_give_the_same_items() {
        check(
            "{\"a\":1}\n\n  {\"a\":2}\r\n{\"a\":[{}]}",
            &["1:1 {\"a\":1}", "3:3 {\"a\":2}", "4:1 {\"a\":[{}]}"],
        );
        check(
            "[{\"a\":1},\n {\"a\":2} ,{\"a\":[{}]}]\n",
            &["1:2 {\"a\":1}", "2:2 {\"a\":2}", "2:11 {\"a\":[{}]}"],
        );
        check("", &[]);
        check(" \n", &[]);
        check("[]", &[]);
    }

    #[test]
    fn brackets_and_quotes_inside_texts_end_nothing() {
        check(
            r#"[{"a":"]},\""},{"ü":"\\"}]"#,
            &[r#"1:2 {"a":"]},\""}"#, r#"1:16 {"ü":"\\"}"#],
        );
    }

    #[test]
    fn a_bad_line_is_named_by_its_place_and_the_next_ones_follow() {
        check(
            "{\"a\":1}\n{\"ü\":,}\n{\"a\":1,\"a\":2}\n{\"a\":3}\n",
            &[
                "1:1 {\"a\":1}",
                "line 2, column 6: expected a value",
                "line 3, column 14: the name \"a\" appears twice in one object",
                "4:1 {\"a\":3}",
            ],
        );
    }

    #[test]
    fn a_bad_item_of_an_array_is_named_by_its_place_and_the_next_ones_follow() {
        check(
            "[{\"a\":\n  x},\n 7, true, \"a,b\", {\"a\":2}]",
            &[
                "line 2, column 3: expected a value",
                "3:2 7",
                "3:5 true",
                "3:11 \"a,b\"",
                "3:18 {\"a\":2}",
            ],
        );
    }

    #[test]
    fn what_is_wrong_between_items_ends_the_reading() {
        for (text, last) in [
            ("[{} {}]", "line 1, column 5: expected \",\" or \"]\""),
            (
                "[{}] {}",
                "line 1, column 6: expected nothing after the array",
            ),
            ("[{},", "line 1, column 5: expected the end of the array"),
            ("[", "line 1, column 2: expected the end of the array"),
        ] {
            for piece in [1, 100] {
                let found = read(text.as_bytes(), piece);
                assert_eq!(found.last().map(String::as_str), Some(last), "{text}");
            }
        }
        let found = read(b"[{\"a\":1", 3);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("line 1, column 8: the text ends"));
    }

    #[test]
    fn an_item_of_the_longest_length_is_taken_and_one_byte_more_is_refused() {
        let item = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        let (fits, exceeds) = (item(IMPORT_ITEM_BYTES_MAX), item(IMPORT_ITEM_BYTES_MAX + 1));
        let lines = format!("{fits}\n{exceeds}\n7\n");
        for piece in [1 << 16, 1 << 30] {
            let found = read(lines.as_bytes(), piece);
            assert_eq!(found.len(), 3);
            assert_eq!(found[0].len(), "1:1 ".len() + IMPORT_ITEM_BYTES_MAX);
            let expected =
                format!("line 2, column 1: an item longer than {IMPORT_ITEM_BYTES_MAX} bytes");
            assert_eq!(found[1..], [expected, "3:1 7".to_owned()]);
            let array = format!("[{exceeds},7]");
            let found = read(array.as_bytes(), piece);
            assert_eq!(found.len(), 1, "nothing after it is read");
        }
    }

    #[test]
    fn a_long_text_is_read_in_the_memory_of_one_piece() {
        let mut reader = Reader::new();
        let mut items = 0;
        for _ in 0..10_000 {
            reader.push(b"{\"name\":\"value\"}\n{\"name\":\"va");
            while reader.next_item().is_some() {
                items += 1;
            }
            reader.push(b"lue\"}\n");
            while reader.next_item().is_some() {
                items += 1;
            }
            assert!(reader.buffer.capacity() < 256, "{}", reader.buffer.len());
        }
        assert_eq!(items, 20_000);
    }

    #[test]
    fn bytes_that_are_no_text_are_named() {
        let found = read(b"{\"a\":\"\xff\"}\n{}", 3);
        assert_eq!(
            found,
            [
                "line 1, column 7: bytes that are not UTF-8".to_owned(),
                "2:1 {}".to_owned()
            ]
        );
    }
}
