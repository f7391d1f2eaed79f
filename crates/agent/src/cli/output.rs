//! Standard output and standard error.

use std::io::{self, ErrorKind, Write};

use super::failure::Failure;

/// Writes to standard output, ending in a newline. A reader that has seen enough (`| head`) is no
/// failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| match text.ends_with('\n') {
            true => Ok(()),
            false => out.write_all(b"\n"),
        })
        .and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::internal(format!(
            "standard output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Writes words for the user to standard error. Where that is impossible there is nobody left to
/// tell, and the exit code speaks.
pub(super) fn complain(words: &str) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}

/// Columns as wide as their widest cell, two spaces between them.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = width.saturating_sub(cell.chars().count()) + 2;
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', padding));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
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
    fn columns_stand_below_each_other() {
        let rows = [
            vec!["NAME".to_owned(), "ROLE".to_owned()],
            vec!["ada".to_owned(), "owner".to_owned()],
            vec!["große".to_owned(), String::new()],
        ];
        assert_eq!(table(&rows), "NAME   ROLE\nada    owner\ngroße\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
