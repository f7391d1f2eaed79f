//! Standard output and standard error.

use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;

use super::failure::Failure;

/// Writes to standard output, ending in a newline. A reader that has seen enough (`| head`) is no
/// failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write(text.as_bytes())?;
    write(end.as_bytes()).map(drop)
}

/// Writes bytes to standard output as they are; whether somebody still reads them.
pub(super) fn write(bytes: &[u8]) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::internal(format!(
            "standard output cannot be written: {error}"
        ))),
    }
}

/// The same for a stream of pieces: whether more are wanted.
pub(super) fn write_piece(piece: &[u8]) -> Result<ControlFlow<()>, Failure> {
    Ok(match write(piece)? {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    })
}

/// Writes words for the user to standard error. Where that is impossible there is nobody left to
/// tell, and the exit code speaks.
pub(super) fn complain(words: &str) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}

/// Text from the agent with control characters replaced: names and errors come from outside and
/// must not steer the terminal.
pub(super) fn plain(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
