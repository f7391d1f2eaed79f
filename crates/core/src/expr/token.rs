//! From text to tokens.

use super::error::{ExpressionError, Place, Reason};
use crate::limits;

/// One word, sign or literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, the name of a function, or a bare name: its place decides.
    Word(&'a str),
    /// A name in backticks.
    Quoted(String),
    /// `#name`
    Name(&'a str),
    /// `:value`
    Value(&'a str),
    Text(String),
    /// Digits without a sign, as they were written.
    Number(&'a str),
    Sign(&'static str),
    End,
}

/// Longer signs before those they begin with.
const SIGNS: &[&str] = &[
    "<>", "<=", ">=", "=", "<", ">", "(", ")", "[", "]", ",", ".", "+", "-",
];

/// Every token with the byte at which it begins; the last one is `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>, ExpressionError> {
    if text.len() > limits::DYNAMODB_EXPRESSION_BYTES_MAX {
        let reason = Reason::TooLarge {
            what: "bytes of an expression",
            actual: text.len(),
            max: limits::DYNAMODB_EXPRESSION_BYTES_MAX,
        };
        return Err(error(text, 0, reason));
    }
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at += blank(&text[at..]);
        let (token, length) = token(text, at)?;
        let is_end = token == Token::End;
        found.push((at, token));
        if is_end {
            return Ok(found);
        }
        at += length;
    }
}

/// An error at a byte of the text.
pub(super) fn error(text: &str, byte: usize, reason: Reason) -> ExpressionError {
    let at = place(text, byte);
    ExpressionError { at, reason }
}

/// The place of a byte of the text.
pub(super) fn place(text: &str, byte: usize) -> Place {
    let column = text[..byte].chars().count() + 1;
    Place { byte, column }
}

fn blank(rest: &str) -> usize {
    rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len()
}

fn token(text: &str, at: usize) -> Result<(Token<'_>, usize), ExpressionError> {
    let rest = &text[at..];
    let Some(first) = rest.chars().next() else {
        return Ok((Token::End, 0));
    };
    match first {
        'a'..='z' | 'A'..='Z' | '_' => {
            let length = word(rest);
            Ok((Token::Word(&rest[..length]), length))
        }
        '0'..='9' => number(text, at),
        '#' => placeholder(
            text,
            at,
            "the rest of a placeholder such as #name",
            Token::Name,
        ),
        ':' => placeholder(
            text,
            at,
            "the rest of a placeholder such as :value",
            Token::Value,
        ),
        '\'' | '"' => {
            let (value, length) = quoted(text, at, first, "text")?;
            Ok((Token::Text(value), length))
        }
        '`' => {
            let (value, length) = quoted(text, at, first, "name")?;
            Ok((Token::Quoted(value), length))
        }
        _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            Some(sign) => Ok((Token::Sign(sign), sign.len())),
            None => Err(unexpected(
                text,
                at,
                format!("`{first}`"),
                "a name, a value or a sign",
            )),
        },
    }
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len())
}

fn placeholder<'a>(
    text: &'a str,
    at: usize,
    expected: &'static str,
    make: fn(&'a str) -> Token<'a>,
) -> Result<(Token<'a>, usize), ExpressionError> {
    let length = word(&text[at + 1..]);
    if length == 0 {
        let found = found_at(text, at + 1);
        return Err(unexpected(text, at + 1, found, expected));
    }
    Ok((make(&text[at..=at + length]), 1 + length))
}

/// Digits, with a fraction and an exponent; what sticks to them makes it no number.
fn number(text: &str, at: usize) -> Result<(Token<'_>, usize), ExpressionError> {
    let rest = &text[at..];
    let digits = |from: usize| rest[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut length = digits(0);
    if rest[length..].starts_with('.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if rest[length..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[length + 1..].starts_with(['+', '-']));
        let exponent = digits(length + 1 + sign);
        length += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    if word(&rest[length..]) > 0 {
        let whole = &rest[..length + word(&rest[length..])];
        let expected = "a number, or a name in backticks";
        return Err(unexpected(text, at, format!("`{whole}`"), expected));
    }
    Ok((Token::Number(&rest[..length]), length))
}

/// The content and the length with its quotes; a doubled quote stands for one.
fn quoted(
    text: &str,
    at: usize,
    quote: char,
    what: &'static str,
) -> Result<(String, usize), ExpressionError> {
    let rest = &text[at + 1..];
    let mut content = String::new();
    let mut from = 0;
    while let Some(length) = rest[from..].find(quote) {
        content.push_str(&rest[from..from + length]);
        from += length + 1;
        if !rest[from..].starts_with(quote) {
            return Ok((content, from + 1));
        }
        content.push(quote);
        from += 1;
    }
    Err(error(text, at, Reason::Unterminated(what)))
}

fn found_at(text: &str, at: usize) -> String {
    match text[at..].chars().next() {
        Some(found) => format!("`{found}`"),
        None => "the end".to_owned(),
    }
}

fn unexpected(text: &str, at: usize, found: String, expected: &'static str) -> ExpressionError {
    error(text, at, Reason::Unexpected { found, expected })
}
