//! Asking for a password without showing it.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use periwinkle_core::limits::PASSWORD_BYTES_MAX;
use periwinkle_core::secret::Secret;
use rustix::termios::OptionalActions;

use super::args::PasswordFrom;
use super::failure::Failure;
use super::silent_terminal::SilentTerminal;

/// The new password: the first line of standard input, or asked for twice on the terminal.
pub(super) fn new_password(user: &str, how: PasswordFrom) -> Result<Secret, Failure> {
    let stdin = io::stdin();
    if how.password_stdin {
        return read_line(&mut stdin.lock());
    }
    if !stdin.is_terminal() {
        return Err(no_terminal());
    }
    let first = ask(&format!("New password for {user}: "))?;
    let second = ask("The same once more: ")?;
    match first == second {
        true => Ok(first),
        false => Err(Failure::refused(
            "the two passwords differ; nothing was changed",
        )),
    }
}

/// The password of a login elsewhere: the first line of standard input, or asked for.
#[cfg(feature = "fetch")]
pub(super) fn password(user: &str, how: PasswordFrom) -> Result<Secret, Failure> {
    let stdin = io::stdin();
    if how.password_stdin {
        return read_line(&mut stdin.lock());
    }
    if !stdin.is_terminal() {
        return Err(no_terminal());
    }
    ask(&format!("Password for {user}: "))
}

fn no_terminal() -> Failure {
    Failure::usage("there is no terminal to ask for the password")
        .hint("give it on standard input with --password-stdin")
}

/// One line, without its end.
fn read_line(input: &mut impl BufRead) -> Result<Secret, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::input(format!("the password cannot be read: {error}"))
    };
    let mut line = Vec::new();
    // One byte more than any password, and the end of the line: the agent says what is too long.
    let mut bytes = input.by_ref().bytes();
    while line.len() <= PASSWORD_BYTES_MAX + 2 {
        match bytes
            .next()
            .transpose()
            .map_err(|error| unreadable(&error))?
        {
            None | Some(b'\n') => break,
            Some(byte) => line.push(byte),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    match String::from_utf8(line) {
        Ok(text) => Ok(Secret::from(text)),
        Err(error) => Err(unreadable(&error.utf8_error())),
    }
}

fn ask(question: &str) -> Result<Secret, Failure> {
    let failed =
        |error: io::Error| Failure::internal(format!("the terminal cannot be used: {error}"));
    let mut terminal = io::stderr().lock();
    terminal.write_all(question.as_bytes()).map_err(failed)?;
    let answer = {
        // What was typed before the question is no answer.
        let _silent = SilentTerminal::begin(OptionalActions::Flush).map_err(failed)?;
        read_silently(&mut io::stdin().lock())
    };
    terminal.write_all(b"\n").map_err(failed)?;
    match answer.map_err(failed)? {
        Some(text) => Ok(text),
        None => Err(Failure::interrupted()),
    }
}

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// What is typed up to Enter, with corrections applied; `None` when it was interrupted.
fn read_silently(keys: &mut impl BufRead) -> io::Result<Option<Secret>> {
    let mut line = Vec::new();
    for key in keys.by_ref().bytes() {
        match key? {
            b'\n' | b'\r' | CTRL_D => break,
            CTRL_C => return Ok(None),
            CTRL_U => line.clear(),
            BACKSPACE | DELETE => erase_character(&mut line),
            key if line.len() <= PASSWORD_BYTES_MAX => line.push(key),
            _ => {}
        }
    }
    let text = String::from_utf8(line).map_err(io::Error::other)?;
    Ok(Some(Secret::from(text)))
}

/// The last character, which may have several bytes.
fn erase_character(line: &mut Vec<u8>) {
    while let Some(byte) = line.pop() {
        if byte & 0b1100_0000 != 0b1000_0000 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_apply_to_what_is_typed_unseen() {
        for (keys, text) in [
            ("secret\n", Some("secret")),
            ("secret\rrest", Some("secret")),
            ("secret", Some("secret")),
            ("secrex\u{7f}t\n", Some("secret")),
            ("secr\u{e4}\u{8}et\n", Some("secret")),
            ("\u{7f}\u{7f}a\n", Some("a")),
            ("wrong\u{15}right\n", Some("right")),
            ("sec\u{3}ret\n", None),
            ("sec\u{4}", Some("sec")),
        ] {
            let typed = read_silently(&mut keys.as_bytes()).unwrap();
            assert_eq!(typed.as_ref().map(Secret::expose), text, "{keys:?}");
        }
        assert!(read_silently(&mut &b"\xff\n"[..]).is_err());
    }

    #[test]
    fn a_piped_password_is_the_first_line() {
        for (input, text) in [
            ("secret\nmore\n", "secret"),
            ("secret\r\n", "secret"),
            ("secret", "secret"),
            (" with spaces ", " with spaces "),
            ("", ""),
        ] {
            let password = read_line(&mut input.as_bytes()).unwrap();
            assert_eq!(password.expose(), text);
        }
        assert_eq!(read_line(&mut &b"\xff\n"[..]).unwrap_err().code, 2);
    }

    #[test]
    fn endless_input_ends_just_above_the_longest_password() {
        let password = read_line(&mut io::BufReader::new(io::repeat(b'a'))).unwrap();
        assert_eq!(password.expose().len(), PASSWORD_BYTES_MAX + 3);
        let exact = "a".repeat(PASSWORD_BYTES_MAX);
        let password = read_line(&mut format!("{exact}\r\n").as_bytes()).unwrap();
        assert_eq!(password.expose(), exact);
    }
}
