//! `shell`: one command after the other, on a terminal or from a script.

use std::io::{self, BufRead, IsTerminal};

use clap::Parser;

use super::super::failure::Failure;
use super::super::output;
use super::args::DbCommand;
use super::editor::{Editor, Input};
use super::face::Face;

/// What can be typed on a line: the verbs of `periwinkle db`.
#[derive(Debug, Parser)]
#[command(
    name = "",
    no_binary_name = true,
    disable_help_flag = false,
    help_template = "{subcommands}\n\nVERB --help says more; after `find MODEL ... where` stands a \
                     condition without quotes. Ctrl-D or `exit` ends.",
    override_usage = "VERB ..."
)]
struct Line {
    #[command(subcommand)]
    command: DbCommand,
}

const PROMPT: &str = "db> ";

/// Runs until the input ends. From a script the first line that fails ends it, with its exit code.
pub(super) fn shell(face: &Face) -> Result<(), Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return script(face, stdin.lock());
    }
    output::complain(&format!(
        "{}; `help` lists the verbs, Ctrl-D ends",
        face.describe()
    ));
    let mut editor = Editor::default();
    loop {
        let input = editor
            .read(PROMPT)
            .map_err(|error| Failure::internal(format!("the terminal cannot be used: {error}")))?;
        match input {
            Input::End => return Ok(()),
            Input::Interrupted => {}
            Input::Line(line) => match run_line(face, &line) {
                Ok(Done::Next) => {}
                Ok(Done::End) => return Ok(()),
                Err(failure) => output::complain(&failure.to_string()),
            },
        }
    }
}

fn script(face: &Face, input: impl BufRead) -> Result<(), Failure> {
    for (at, line) in input.lines().enumerate() {
        let line = line
            .map_err(|error| Failure::input(format!("standard input cannot be read: {error}")))?;
        match run_line(face, &line) {
            Ok(Done::Next) => {}
            Ok(Done::End) => return Ok(()),
            Err(failure) => return Err(failure.at(&format!("line {}", at + 1))),
        }
    }
    Ok(())
}

/// Whether another line is wanted.
enum Done {
    Next,
    End,
}

fn run_line(face: &Face, line: &str) -> Result<Done, Failure> {
    let words = split(line)?;
    match words.first().map(String::as_str) {
        None => return Ok(Done::Next),
        Some("exit" | "quit") => return Ok(Done::End),
        _ => {}
    }
    let words = help_as_option(words);
    match Line::try_parse_from(words) {
        Ok(line) if matches!(line.command, DbCommand::Shell) => {
            Err(Failure::usage("this is the shell"))
        }
        Ok(line) => super::execute(face, &line.command).map(|()| Done::Next),
        Err(error) if !error.use_stderr() => output::print(&error.to_string()).map(|()| Done::Next),
        Err(error) => {
            let text = error.to_string();
            let words = text.strip_prefix("error: ").unwrap_or(&text);
            let words = words
                .split("\n\nFor more information")
                .next()
                .unwrap_or(words);
            Err(Failure::usage(words.trim_end()).hint("`help` lists the verbs"))
        }
    }
}

/// `help` and `help VERB` as clap knows them.
fn help_as_option(mut words: Vec<String>) -> Vec<String> {
    if words[0] == "help" {
        words.remove(0);
        words.truncate(1);
        words.push("--help".to_owned());
    }
    words
}

/// The words of a line: blanks part them, quotes and backslashes keep them together as in a
/// shell, and `#` begins a comment.
fn split(line: &str) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '#' if word.is_none() => break,
            letter if letter.is_whitespace() => {
                words.extend(word.take());
                if let Some(condition) = where_clause(&words, letters.as_str()) {
                    words.extend(["--filter".to_owned(), condition.to_owned()]);
                    return Ok(words);
                }
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            quote @ ('\'' | '"') => {
                let word = word.get_or_insert_default();
                quoted(quote, &mut letters, word)?;
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The condition after `find ... where`, which needs no quotes.
fn where_clause<'a>(words: &[String], rest: &'a str) -> Option<&'a str> {
    let rest = rest.trim().strip_prefix("where ")?;
    (words.len() > 1 && words[0] == "find").then(|| rest.trim())
}

fn quoted(
    quote: char,
    letters: &mut std::str::Chars<'_>,
    word: &mut String,
) -> Result<(), Failure> {
    loop {
        match letters.next() {
            None => {
                return Err(Failure::usage(format!(
                    "a quote {quote} is open at the end of the line"
                )));
            }
            Some(letter) if letter == quote => return Ok(()),
            Some('\\') if quote == '"' => match letters.next() {
                Some(letter @ ('"' | '\\')) => word.push(letter),
                Some(letter) => word.extend(['\\', letter]),
                None => word.push('\\'),
            },
            Some(letter) => word.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_in_a_shell() {
        for (line, words) in [
            ("", &[][..]),
            ("  # only a remark", &[]),
            ("get Setting  a # remark", &["get", "Setting", "a"]),
            (
                "put S a 'note=a b' x=\"c \\\"d\\\" \\n\"",
                &["put", "S", "a", "note=a b", "x=c \"d\" \\n"],
            ),
            ("a\\ b c#d ''", &["a b", "c#d", ""]),
            ("x:='{\"a\":[1,2]}'", &["x:={\"a\":[1,2]}"]),
            (
                "find S --limit 2 where a = 'x  y' # z",
                &["find", "S", "--limit", "2", "--filter", "a = 'x  y' # z"],
            ),
            ("find S 'a=x where y'", &["find", "S", "a=x where y"]),
            ("put where where", &["put", "where", "where"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        assert_eq!(split("a 'b").unwrap_err().code, 64);
    }

    #[test]
    fn help_is_a_word_of_the_shell() {
        let words = |line: &str| help_as_option(split(line).unwrap());
        assert_eq!(words("help"), ["--help"]);
        assert_eq!(words("help find x"), ["find", "--help"]);
        assert_eq!(words("get help"), ["get", "help"]);
    }
}
