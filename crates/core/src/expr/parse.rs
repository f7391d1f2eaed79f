//! What all kinds of expressions are read with: a cursor over tokens, paths and literals.

use super::error::{ExpressionError, Place, Reason};
use super::path::{Path, Step, clash};
use super::placeholders::Placeholders;
use super::token::{Token, error, place, tokens};
use crate::limits;
use crate::value::{Number, Set, Value};

pub(super) type Parsed<T> = Result<T, ExpressionError>;

pub(super) struct Parser<'a, 'g> {
    text: &'a str,
    tokens: Vec<(usize, Token<'a>)>,
    at: usize,
    depth: usize,
    operators: usize,
    /// Every path so far, with the byte at which it begins.
    named: Vec<(usize, Path)>,
    given: &'g mut Placeholders,
}

/// Where the parser was, to try something else from there.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    at: usize,
    depth: usize,
    operators: usize,
    named: usize,
}

impl<'a, 'g> Parser<'a, 'g> {
    pub(super) fn new(text: &'a str, given: &'g mut Placeholders) -> Parsed<Parser<'a, 'g>> {
        Ok(Parser {
            text,
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
            operators: 0,
            named: Vec::new(),
            given,
        })
    }

    pub(super) fn peek(&self) -> &Token<'a> {
        &self.tokens[self.at].1
    }

    /// The token after the next one.
    pub(super) fn peek_second(&self) -> &Token<'a> {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + 1).min(last)].1
    }

    /// Takes the next token; the end can be taken any number of times.
    pub(super) fn next(&mut self) -> Token<'a> {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// The byte at which the next token begins.
    pub(super) fn byte(&self) -> usize {
        self.tokens[self.at].0
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            at: self.at,
            depth: self.depth,
            operators: self.operators,
            named: self.named.len(),
        }
    }

    pub(super) fn back_to(&mut self, mark: Mark) {
        (self.at, self.depth, self.operators) = (mark.at, mark.depth, mark.operators);
        self.named.truncate(mark.named);
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    pub(super) fn is_word(&self, keyword: &str) -> bool {
        matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// Whether a function is called here.
    pub(super) fn is_call(&self) -> bool {
        matches!(self.peek(), Token::Word(_)) && matches!(self.peek_second(), Token::Sign("("))
    }

    /// Takes the sign if it comes next.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let is = self.is_sign(sign);
        self.at += usize::from(is);
        is
    }

    /// Takes the keyword if it comes next, in any case.
    pub(super) fn word(&mut self, keyword: &str) -> bool {
        let is = self.is_word(keyword);
        self.at += usize::from(is);
        is
    }

    pub(super) fn expect(&mut self, sign: &str, expected: &'static str) -> Parsed<()> {
        if self.sign(sign) {
            return Ok(());
        }
        Err(self.unexpected(expected))
    }

    pub(super) fn expect_end(&self, expected: &'static str) -> Parsed<()> {
        match self.peek() {
            Token::End => Ok(()),
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(super) fn unexpected(&self, expected: &'static str) -> ExpressionError {
        let begin = self.byte();
        let found = match self.peek() {
            Token::End => "the end".to_owned(),
            _ => format!(
                "`{}`",
                self.text[begin..self.tokens[self.at + 1].0].trim_end()
            ),
        };
        self.error(begin, Reason::Unexpected { found, expected })
    }

    pub(super) fn error(&self, byte: usize, reason: Reason) -> ExpressionError {
        error(self.text, byte, reason)
    }

    /// Counts an operator or a function that begins at `byte`.
    pub(super) fn count_operator(&mut self, byte: usize) -> Parsed<()> {
        self.operators += 1;
        let max = limits::DYNAMODB_EXPRESSION_OPERATORS_MAX;
        self.bounded("operators of an expression", self.operators, max, byte)
    }

    pub(super) fn bounded(
        &self,
        what: &'static str,
        actual: usize,
        max: usize,
        byte: usize,
    ) -> Parsed<()> {
        if actual <= max {
            return Ok(());
        }
        Err(self.error(byte, Reason::TooLarge { what, actual, max }))
    }

    /// Reads something that lies one level deeper.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        let max = limits::EXPRESSION_DEPTH_MAX;
        self.bounded(
            "nested levels of an expression",
            self.depth,
            max,
            self.byte(),
        )?;
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }

    /// What stands between commas, at least one.
    pub(super) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut all = vec![read(self)?];
        while self.sign(",") {
            all.push(read(self)?);
        }
        Ok(all)
    }

    pub(super) fn path(&mut self, expected: &'static str) -> Parsed<Path> {
        let begin = self.byte();
        let mut path = Path::new(self.name(expected)?);
        loop {
            if self.sign(".") {
                path.steps
                    .push(Step::Field(self.name("the name of a field")?));
            } else if self.sign("[") {
                path.steps.push(Step::Index(self.index()?));
                self.expect("]", "`]`")?;
            } else {
                break;
            }
        }
        let max = limits::VALUE_DEPTH_MAX;
        self.bounded("levels of a path", path.steps.len() + 1, max, begin)?;
        self.named.push((begin, path.clone()));
        Ok(path)
    }

    /// Every path of the text and its place, in the order of the text.
    pub(super) fn into_named(self) -> Vec<(Place, Path)> {
        let named = self.named.into_iter();
        named
            .map(|(byte, path)| (place(self.text, byte), path))
            .collect()
    }

    fn name(&mut self, expected: &'static str) -> Parsed<String> {
        let begin = self.byte();
        let name = match self.peek().clone() {
            Token::Word(word) => word.to_owned(),
            Token::Quoted(name) if !name.is_empty() => name,
            Token::Name(placeholder) => self
                .given
                .use_name(placeholder)
                .ok_or_else(|| self.error(begin, Reason::Undefined(placeholder.to_owned())))?,
            _ => return Err(self.unexpected(expected)),
        };
        self.next();
        Ok(name)
    }

    fn index(&mut self) -> Parsed<u32> {
        let index = match self.peek() {
            Token::Number(digits) => digits.parse().ok(),
            _ => None,
        };
        let index = index.ok_or_else(|| self.unexpected("the number of an element, from 0"))?;
        self.next();
        Ok(index)
    }

    /// The value of a placeholder or of a literal, if one comes next.
    pub(super) fn value(&mut self) -> Parsed<Option<Value>> {
        let begin = self.byte();
        let value = match self.peek().clone() {
            Token::Value(placeholder) => self.placeholder(placeholder, begin)?,
            Token::Text(text) => Value::String(text),
            Token::Number(text) => self.number(text, "", begin)?,
            Token::Sign("-") => {
                let Token::Number(text) = self.peek_second().clone() else {
                    return Ok(None);
                };
                self.next();
                self.number(text, "-", begin)?
            }
            Token::Word(word) if !self.is_call() => match literal(word) {
                Some(value) => value,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(value))
    }

    fn placeholder(&mut self, placeholder: &str, begin: usize) -> Parsed<Value> {
        match self.given.use_value(placeholder) {
            None => Err(self.error(begin, Reason::Undefined(placeholder.to_owned()))),
            Some(Value::Set(set)) if Set::is_empty(&set) => {
                Err(self.error(begin, Reason::EmptySet(placeholder.to_owned())))
            }
            Some(value) => Ok(value),
        }
    }

    fn number(&self, digits: &str, sign: &str, begin: usize) -> Parsed<Value> {
        let text = format!("{sign}{digits}");
        match text.parse::<Number>() {
            Ok(number) => Ok(Value::Number(number)),
            Err(reason) => Err(self.error(begin, Reason::Number { text, reason })),
        }
    }

    /// Refuses paths of which one is within another.
    pub(super) fn check_apart(&self, paths: &[(usize, &Path)]) -> Parsed<()> {
        let mut sorted = paths.to_vec();
        sorted.sort_by(|one, other| one.1.cmp(other.1).then(one.0.cmp(&other.0)));
        for pair in sorted.windows(2) {
            let (first, second) = if pair[0].0 <= pair[1].0 {
                (pair[0], pair[1])
            } else {
                (pair[1], pair[0])
            };
            if let Some(reason) = clash(first.1, second.1) {
                return Err(self.error(second.0, reason));
            }
        }
        Ok(())
    }
}

fn literal(word: &str) -> Option<Value> {
    match word.to_ascii_lowercase().as_str() {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ => None,
    }
}
