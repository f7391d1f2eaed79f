//! Tables for people: columns below each other, cut to the width of the terminal.

use std::io::{self, IsTerminal};

use rustix::termios::tcgetwinsize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::plain;

/// Rows under a head.
#[derive(Debug, Default)]
pub(super) struct Table {
    head: Vec<String>,
    /// Columns of numbers, which stand at the right.
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

/// A table as text, and the names of the columns that had no room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) left_out: Vec<String>,
}

/// Columns that are cut keep this much.
const CUT_COLUMN_MIN: usize = 8;
const GAP: usize = 2;

impl Table {
    /// An empty table with these column names.
    pub(super) fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Table {
        let head: Vec<String> = head.into_iter().map(Into::into).collect();
        Table {
            right: vec![false; head.len()],
            head,
            rows: Vec::new(),
        }
    }

    /// Sets the cells of a column at the right, as numbers are read.
    pub(super) fn right(mut self, column: usize) -> Table {
        self.right[column] = true;
        self
    }

    /// Adds a row; nothing in it steers the terminal.
    pub(super) fn push<T: AsRef<str>>(&mut self, row: impl IntoIterator<Item = T>) {
        let row = row.into_iter().map(|cell| plain(cell.as_ref()));
        self.rows.push(row.collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table for standard output: as wide as the terminal, or as wide as it is.
    pub(super) fn show(&self) -> Shown {
        self.render(terminal_width())
    }

    /// The table in at most `width` columns. Wide columns are cut first; when that is not enough
    /// the last columns are left out.
    pub(super) fn render(&self, width: Option<usize>) -> Shown {
        let mut widths: Vec<usize> = (0..self.head.len()).map(|at| self.width(at)).collect();
        if let Some(width) = width {
            fit(&mut widths, width);
        }
        let mut text = String::new();
        for row in std::iter::once(&self.head).chain(&self.rows) {
            self.write_row(row, &widths, &mut text);
        }
        Shown {
            text,
            left_out: self.head[widths.len()..].to_vec(),
        }
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let cells = cells.chain(self.head.get(column));
        cells.map(|cell| cell.width()).max().unwrap_or(0)
    }

    fn write_row(&self, row: &[String], widths: &[usize], text: &mut String) {
        let mut line = String::new();
        for (column, width) in widths.iter().enumerate() {
            let cell = row.get(column).map_or("", String::as_str);
            let cell = cut(cell, *width);
            let blanks = width.saturating_sub(cell.width());
            let (before, after) = match self.right[column] {
                true => (blanks, 0),
                false => (0, blanks),
            };
            line.extend(std::iter::repeat_n(' ', before));
            line.push_str(&cell);
            line.extend(std::iter::repeat_n(' ', after + GAP));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Columns as wide as their widest cell, without a head.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut table = Table::new(vec![String::new(); count]);
    for row in rows {
        table.push(row);
    }
    let text = table.render(None).text;
    text.split_once('\n')
        .map_or("", |(_, rows)| rows)
        .to_owned()
}

/// The columns of the terminal that standard output goes to, if it does.
pub(super) fn terminal_width() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = tcgetwinsize(&stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Makes the columns fit.
fn fit(widths: &mut Vec<usize>, width: usize) {
    let total =
        |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    for column in widths.iter_mut() {
        *column = (*column).min(width);
    }
    while total(widths) > width {
        let widest = widths.iter().copied().max().unwrap_or(0);
        if widest > CUT_COLUMN_MIN {
            // All of the widest at once, down to the next one.
            let next = widths.iter().copied().filter(|w| *w < widest).max();
            let excess = total(widths) - width;
            let widest_ones = widths.iter().filter(|w| **w == widest).count();
            let wanted = widest - excess.div_ceil(widest_ones).min(widest);
            let to = wanted.max(next.unwrap_or(0)).max(CUT_COLUMN_MIN);
            for column in widths.iter_mut().filter(|w| **w == widest) {
                *column = to;
            }
        } else if widths.len() > 1 {
            widths.pop();
        } else {
            return;
        }
    }
}

/// The text in at most `width` columns; three dots in one say that something is missing.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut left = width.saturating_sub(1);
    for letter in text.chars() {
        let wide = letter.width().unwrap_or(0);
        if wide > left {
            break;
        }
        left -= wide;
        kept.push(letter);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["NAME", "COUNT", "NOTE"]).right(1);
        table.push(["ada", "7", "short"]);
        table.push(["große", "1,234", "東京 is a wide name"]);
        table
    }

    #[test]
    fn columns_stand_below_each_other() {
        let expected = "\
NAME   COUNT  NOTE
ada        7  short
große  1,234  東京 is a wide name
";
        assert_eq!(table().render(None).text, expected);
        let rows = [
            vec!["a".to_owned(), "b".to_owned()],
            vec!["long".to_owned()],
        ];
        assert_eq!(columns(&rows), "a     b\nlong\n");
        assert_eq!(columns(&[]), "");
    }

    #[test]
    fn what_is_wider_than_the_terminal_is_cut() {
        let expected = "\
NAME   COUNT  NOTE
ada        7  short
große  1,234  東京 is …
";
        assert_eq!(table().render(Some(23)).text, expected);
        assert_eq!(
            table().render(Some(24)).text.lines().last(),
            Some("große  1,234  東京 is a…")
        );
    }

    #[test]
    fn columns_without_any_room_are_named() {
        let shown = table().render(Some(14));
        assert_eq!(shown.left_out, ["NOTE"]);
        assert_eq!(shown.text.lines().last(), Some("große  1,234"));
        let shown = table().render(Some(2));
        assert_eq!(shown.left_out, ["COUNT", "NOTE"]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut table = Table::new(["A", "B", "C", "D"]);
        table.push([
            "x".repeat(90),
            "y".repeat(40),
            "日本".repeat(20),
            "z".to_owned(),
        ]);
        for width in 12..200 {
            let shown = table.render(Some(width));
            for line in shown.text.lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_cell_does_not_steer_the_terminal() {
        let mut table = Table::new(["A"]);
        table.push(["a\u{1b}[2Jb\nc"]);
        assert_eq!(table.render(None).text, "A\na\u{fffd}[2Jb\u{fffd}c\n");
    }
}
