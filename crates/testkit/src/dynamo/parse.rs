//! The texts of expressions, cut into tokens.

use super::Refusal;

/// A token of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or function, in capitals and small letters as written.
    Word(String),
    /// `#name`
    Name(String),
    /// `:value`
    Value(String),
    /// A comparison, a sign, a comma or a bracket.
    Sign(&'static str),
}

const SIGNS: [&str; 12] = [
    "<=", ">=", "<>", "=", "<", ">", "(", ")", ",", "+", "-", ".",
];

/// The tokens of an expression, taken from the front.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    tokens: std::vec::IntoIter<Token>,
}

impl Tokens {
    pub(super) fn of(text: &str) -> Result<Tokens, Refusal> {
        let mut tokens = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                tokens.push(Token::Sign(sign));
                rest = rest[sign.len()..].trim_start();
                continue;
            }
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let start = usize::from(first == '#' || first == ':');
            let length = rest[start..]
                .find(|c| !is_part(c))
                .unwrap_or(rest.len() - start);
            let (word, after) = rest.split_at(start + length);
            tokens.push(match first {
                _ if length == 0 => return Err(syntax(rest)),
                '#' => Token::Name(word.to_owned()),
                ':' => Token::Value(word.to_owned()),
                _ => Token::Word(word.to_owned()),
            });
            rest = after.trim_start();
        }
        Ok(Tokens {
            tokens: tokens.into_iter(),
        })
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.as_slice().first()
    }

    pub(super) fn next(&mut self) -> Result<Token, Refusal> {
        self.tokens.next().ok_or_else(|| syntax("the end"))
    }

    /// Takes the keyword if it comes next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found =
            matches!(self.peek(), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word));
        if found {
            self.tokens.next();
        }
        found
    }

    /// Takes the sign if it comes next.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(next)) if *next == sign);
        if found {
            self.tokens.next();
        }
        found
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<(), Refusal> {
        if self.sign(sign) {
            Ok(())
        } else {
            Err(syntax(sign))
        }
    }
}

pub(super) fn syntax(near: &str) -> Refusal {
    Refusal::validation(format!("Invalid expression: syntax error; token: {near}"))
}
