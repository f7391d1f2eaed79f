//! Editing one line on a terminal: a state machine of keys, and the shell around it.

use std::io::{self, BufRead, Read, Write};

use rustix::termios::{self, OptionalActions};
use unicode_width::UnicodeWidthStr;

use super::super::output::plain;
use super::super::silent_terminal::SilentTerminal;

/// Lines that can be brought back.
const HISTORY_LINES_MAX: usize = 500;
/// Bytes of one line; further keys are not taken.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The line as it is being typed, and those before it.
#[derive(Debug, Default)]
pub(super) struct Editor {
    line: String,
    /// Where the next letter goes, in bytes.
    at: usize,
    history: Vec<String>,
    /// Which line of the history is shown, and what was typed before that.
    recalled: Option<(usize, String)>,
}

/// A key, taken from the bytes of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Letter(char),
    Enter,
    Backspace,
    Delete,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    EraseToStart,
    EraseToEnd,
    EraseWord,
    Clear,
    Interrupt,
    /// Ctrl-D: the end on an empty line, else as Delete.
    EndOfInput,
    Unknown,
}

/// What a key led to.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    /// The line is to be shown again.
    Changed,
    Line(String),
    Interrupted,
    End,
    ClearScreen,
}

/// What the user gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    Line(String),
    /// The line was given up.
    Interrupted,
    End,
}

impl Editor {
    /// Asks for a line on the terminal.
    pub(super) fn read(&mut self, prompt: &str) -> io::Result<Input> {
        let _silent = SilentTerminal::begin(OptionalActions::Drain)?;
        let mut keys = io::stdin().lock();
        let mut screen = io::stderr().lock();
        self.line.clear();
        self.at = 0;
        self.draw(prompt, &mut screen)?;
        loop {
            let Some(key) = read_key(&mut keys)? else {
                return Ok(Input::End);
            };
            let typed = self.handle(key);
            match typed {
                Typed::Changed => self.draw(prompt, &mut screen)?,
                Typed::ClearScreen => {
                    screen.write_all(b"\x1b[2J\x1b[H")?;
                    self.draw(prompt, &mut screen)?;
                }
                Typed::Line(line) => {
                    screen.write_all(b"\r\n")?;
                    return Ok(Input::Line(line));
                }
                Typed::Interrupted => {
                    screen.write_all(b"^C\r\n")?;
                    return Ok(Input::Interrupted);
                }
                Typed::End => {
                    screen.write_all(b"\r\n")?;
                    return Ok(Input::End);
                }
            }
        }
    }

    /// Shows the line. One that is longer than the terminal is shown around the cursor.
    fn draw(&self, prompt: &str, screen: &mut impl Write) -> io::Result<()> {
        let columns = termios::tcgetwinsize(io::stderr()).map_or(80, |size| size.ws_col.max(20));
        let (shown, cursor) = self.window(usize::from(columns) - prompt.width() - 1);
        let cursor = prompt.width() + cursor;
        write!(screen, "\r\x1b[K{prompt}{shown}\r\x1b[{cursor}C")?;
        screen.flush()
    }

    /// The part of the line that fits into so many columns, and where the cursor is in it.
    fn window(&self, columns: usize) -> (String, usize) {
        let mut before = plain(&self.line[..self.at]);
        while before.width() >= columns {
            before.remove(0);
        }
        let cursor = before.width();
        let mut shown = before;
        for letter in plain(&self.line[self.at..]).chars() {
            shown.push(letter);
            if shown.width() > columns {
                shown.pop();
                break;
            }
        }
        (shown, cursor)
    }

    fn handle(&mut self, key: Key) -> Typed {
        match key {
            Key::Letter(letter) => self.insert(letter),
            Key::Enter => return self.enter(),
            Key::Backspace if self.at > 0 => self.erase(self.before(), self.at),
            Key::Delete => self.erase(self.at, self.after()),
            Key::EndOfInput if self.line.is_empty() => return Typed::End,
            Key::EndOfInput => self.erase(self.at, self.after()),
            Key::Left => self.at = self.before(),
            Key::Right => self.at = self.after(),
            Key::WordLeft => self.at = self.word_before(),
            Key::WordRight => self.at = self.word_after(),
            Key::Home => self.at = 0,
            Key::End => self.at = self.line.len(),
            Key::Up => self.recall_older(),
            Key::Down => self.recall_younger(),
            Key::EraseToStart => self.erase(0, self.at),
            Key::EraseToEnd => self.erase(self.at, self.line.len()),
            Key::EraseWord => self.erase(self.word_before(), self.at),
            Key::Clear => return Typed::ClearScreen,
            Key::Interrupt => {
                self.recalled = None;
                return Typed::Interrupted;
            }
            Key::Backspace | Key::Unknown => {}
        }
        Typed::Changed
    }

    fn enter(&mut self) -> Typed {
        self.recalled = None;
        self.at = 0;
        let line = std::mem::take(&mut self.line);
        if !line.trim().is_empty() && self.history.last() != Some(&line) {
            if self.history.len() == HISTORY_LINES_MAX {
                self.history.remove(0);
            }
            self.history.push(line.clone());
        }
        Typed::Line(line)
    }

    fn insert(&mut self, letter: char) {
        if self.line.len() < LINE_BYTES_MAX {
            self.line.insert(self.at, letter);
            self.at += letter.len_utf8();
        }
    }

    fn erase(&mut self, from: usize, to: usize) {
        self.line.drain(from..to);
        self.at = from;
    }

    fn before(&self) -> usize {
        let letters = self.line[..self.at].char_indices();
        letters.last().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        let next = self.line[self.at..].chars().next();
        self.at + next.map_or(0, char::len_utf8)
    }

    fn word_before(&self) -> usize {
        let before = self.line[..self.at].trim_end();
        before.rfind(' ').map_or(0, |at| at + 1)
    }

    fn word_after(&self) -> usize {
        let rest = &self.line[self.at..];
        let blanks = rest.len() - rest.trim_start().len();
        let word = rest[blanks..].find(' ');
        word.map_or(self.line.len(), |end| self.at + blanks + end)
    }

    fn recall_older(&mut self) {
        let at = match &self.recalled {
            None => self.history.len(),
            Some((at, _)) => *at,
        };
        let Some(older) = at.checked_sub(1) else {
            return;
        };
        let typed = match self.recalled.take() {
            None => std::mem::take(&mut self.line),
            Some((_, typed)) => typed,
        };
        self.show(self.history[older].clone());
        self.recalled = Some((older, typed));
    }

    fn recall_younger(&mut self) {
        let Some((at, typed)) = self.recalled.take() else {
            return;
        };
        match self.history.get(at + 1).cloned() {
            Some(younger) => {
                self.show(younger);
                self.recalled = Some((at + 1, typed));
            }
            None => self.show(typed),
        }
    }

    fn show(&mut self, line: String) {
        self.at = line.len();
        self.line = line;
    }
}

/// The next key; `None` at the end of the input.
fn read_key(keys: &mut impl BufRead) -> io::Result<Option<Key>> {
    let Some(byte) = read_byte(keys)? else {
        return Ok(None);
    };
    Ok(Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        0x7f | 0x08 => Key::Backspace,
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::EndOfInput,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x0b => Key::EraseToEnd,
        0x0c => Key::Clear,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::EraseToStart,
        0x17 => Key::EraseWord,
        0x1b => read_escape(keys)?,
        // A tab means nothing here, but a pasted one is a blank.
        b'\t' => Key::Letter(' '),
        0..0x20 => Key::Unknown,
        byte => read_letter(byte, keys)?,
    }))
}

fn read_byte(keys: &mut impl BufRead) -> io::Result<Option<u8>> {
    keys.by_ref().bytes().next().transpose()
}

/// What follows the escape key: `[` or `O`, parameters, a letter (ECMA-48, 5.4).
fn read_escape(keys: &mut impl BufRead) -> io::Result<Key> {
    let Some(b'[' | b'O') = read_byte(keys)? else {
        return Ok(Key::Unknown);
    };
    let mut parameters = Vec::new();
    let last = loop {
        match read_byte(keys)? {
            Some(byte @ 0x20..=0x3f) if parameters.len() < 16 => parameters.push(byte),
            Some(byte) => break byte,
            None => return Ok(Key::Unknown),
        }
    };
    let with_control = parameters.ends_with(b";5");
    Ok(match (last, parameters.as_slice()) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) if with_control => Key::WordRight,
        (b'D', _) if with_control => Key::WordLeft,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") => Key::Delete,
        _ => Key::Unknown,
    })
}

/// A letter whose first byte was read.
fn read_letter(first: u8, keys: &mut impl BufRead) -> io::Result<Key> {
    let more = match first {
        0xc0..0xe0 => 1,
        0xe0..0xf0 => 2,
        0xf0..0xf8 => 3,
        _ => 0,
    };
    let mut bytes = vec![first];
    for _ in 0..more {
        bytes.extend(read_byte(keys)?);
    }
    let letter = str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.chars().next());
    Ok(letter.map_or(Key::Unknown, Key::Letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What these keys make of a fresh line, or what ended it.
    fn typed(editor: &mut Editor, keys: &str) -> Option<Typed> {
        let mut bytes = keys.as_bytes();
        let mut last = None;
        while let Some(key) = read_key(&mut bytes).unwrap() {
            last = Some(editor.handle(key));
        }
        last
    }

    #[track_caller]
    fn check(keys: &str, line: &str) {
        let mut editor = Editor::default();
        let end = typed(&mut editor, &format!("{keys}\r"));
        assert_eq!(end, Some(Typed::Line(line.to_owned())), "{keys:?}");
    }

    #[test]
    fn keys_edit_the_line_where_the_cursor_is() {
        check("abc", "abc");
        check("ac\x1b[Db", "abc");
        check("ac\x02b", "abc");
        check("bc\x01a", "abc");
        check("bc\x1b[Ha\x1b[Fd", "abcd");
        check("axbc\x1b[D\x1b[D\x7f", "abc");
        check("\x7fabc", "abc");
        check("abxc\x1b[D\x1b[D\x1b[3~", "abc");
        check("abxc\x1b[D\x1b[D\x04", "abc");
        check("größ\x7fs", "grös");
        check("one two\x15three", "three");
        check("one two\x1b[1;5D\x0bx", "one x");
        check("one two  \x17x", "one x");
        check("one two\x01\x1b[1;5Cx", "onex two");
        check("a\tb", "a b");
        check("東京\x1b[D\x7fx", "x京");
        check("a\x1b[99~\x1bq\x07b", "ab");
    }

    #[test]
    fn ends_and_interruptions_are_told_apart() {
        let mut editor = Editor::default();
        assert_eq!(typed(&mut editor, "\x04"), Some(Typed::End));
        assert_eq!(typed(&mut editor, "ab\x03"), Some(Typed::Interrupted));
        assert_eq!(typed(&mut editor, "\x0c"), Some(Typed::ClearScreen));
    }

    #[test]
    fn earlier_lines_come_back_and_what_was_typed_is_kept() {
        let mut editor = Editor::default();
        typed(&mut editor, "first\rsecond\rsecond\r  \r");
        assert_eq!(editor.history, ["first", "second"]);
        let up = "\x1b[A";
        let down = "\x1b[B";
        for (keys, line) in [
            (format!("new{up}"), "second"),
            (format!("new{up}{up}"), "first"),
            (format!("new{up}{up}{up}{down}"), "second"),
            (format!("new{up}{up}{down}{down}{down}"), "new"),
            (format!("{up}!"), "second!"),
        ] {
            let mut editor = Editor {
                history: editor.history.clone(),
                ..Editor::default()
            };
            typed(&mut editor, &keys);
            assert_eq!(editor.line, line, "{keys:?}");
        }
    }

    #[test]
    fn the_history_is_bounded() {
        let mut editor = Editor::default();
        for n in 0..=HISTORY_LINES_MAX {
            typed(&mut editor, &format!("line {n}\r"));
        }
        assert_eq!(editor.history.len(), HISTORY_LINES_MAX);
        assert_eq!(editor.history[0], "line 1");
    }

    #[test]
    fn a_long_line_is_shown_around_the_cursor() {
        let mut editor = Editor::default();
        typed(&mut editor, "abcdefghij");
        assert_eq!(editor.window(20), ("abcdefghij".to_owned(), 10));
        assert_eq!(editor.window(5), ("ghij".to_owned(), 4));
        typed(&mut editor, "\x01");
        assert_eq!(editor.window(5), ("abcde".to_owned(), 0));
        let mut editor = Editor::default();
        typed(&mut editor, "東京東京");
        assert_eq!(editor.window(6), ("東京".to_owned(), 4));
    }
}
