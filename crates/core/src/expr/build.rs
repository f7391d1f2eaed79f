//! Updates put together by a program, verb by verb.

use super::error::{ExpressionError, Reason};
use super::parse::Parser;
use super::path::{Path, clash};
use super::placeholders::Placeholders;
use super::token::error;
use super::update::{Assigned, Operand, Update};
use crate::value::Value;
use std::str::FromStr;

impl FromStr for Path {
    type Err = ExpressionError;

    /// Reads a path such as `sensors[0].name`.
    fn from_str(text: &str) -> Result<Path, ExpressionError> {
        let mut none = Placeholders::new();
        let mut parser = Parser::new(text, &mut none)?;
        let path = parser.path("a name")?;
        parser.expect_end("`.`, `[` or the end")?;
        Ok(path)
    }
}

impl Update {
    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.paths().next().is_none()
    }

    /// Also sets a place to a value.
    ///
    /// # Errors
    /// The text is no path, or the update names the place already.
    pub fn set(&mut self, path: &str, value: Value) -> Result<(), ExpressionError> {
        let path = self.free(path)?;
        let value = Assigned::Operand(Operand::Value(value));
        self.set.push((path, value));
        Ok(())
    }

    /// Also adds to a number, or unites with a set.
    ///
    /// # Errors
    /// As [`set`](Update::set), or the value is neither a number nor a set.
    pub fn add(&mut self, path: &str, value: Value) -> Result<(), ExpressionError> {
        if !matches!(value, Value::Number(_) | Value::Set(_)) {
            let reason = Reason::Operand {
                operator: "ADD",
                found: value.kind(),
                expected: "a number or a set",
            };
            return Err(error(path, 0, reason));
        }
        let path = self.free(path)?;
        self.add.push((path, value));
        Ok(())
    }

    /// Also takes a place away.
    ///
    /// # Errors
    /// As [`set`](Update::set).
    pub fn remove(&mut self, path: &str) -> Result<(), ExpressionError> {
        let path = self.free(path)?;
        self.remove.push(path);
        Ok(())
    }

    /// Also appends a value to a list, which begins empty if it is not there.
    ///
    /// # Errors
    /// As [`set`](Update::set).
    pub fn push(&mut self, path: &str, value: Value) -> Result<(), ExpressionError> {
        let path = self.free(path)?;
        let list = |items| Operand::Value(Value::List(items));
        let known = Operand::IfNotExists(path.clone(), Box::new(list(Vec::new())));
        let longer = Operand::ListAppend(Box::new(known), Box::new(list(vec![value])));
        self.set.push((path, Assigned::Operand(longer)));
        Ok(())
    }

    /// The path, if nothing else of the update lies on its way.
    fn free(&self, text: &str) -> Result<Path, ExpressionError> {
        let path: Path = text.parse()?;
        match self.paths().find_map(|other| clash(other, &path)) {
            Some(reason) => Err(error(text, 0, reason)),
            None => Ok(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Map;

    #[test]
    fn verbs_do_what_the_same_text_does() {
        let mut built = Update::default();
        assert!(built.is_empty());
        built.set("a.b", Value::from(1)).expect("a free path");
        built.add("n", Value::from(2)).expect("a free path");
        built.remove("c[0]").expect("a free path");
        built.push("log", Value::from("x")).expect("a free path");
        let text = "SET a.b = 1, log = list_append(if_not_exists(log, :none), :one) \
                    REMOVE c[0] ADD n 2";
        let mut given = Placeholders::new()
            .with_value(":none", Vec::<Value>::new())
            .with_value(":one", vec![Value::from("x")]);
        assert_eq!(Ok(built), Update::parse(text, &mut given));
    }

    #[test]
    fn a_list_that_is_not_there_begins_with_the_first_push() {
        let mut update = Update::default();
        update.push("log", Value::from(1)).expect("a free path");
        let once = update.apply(&Map::new()).expect("an empty item");
        assert_eq!(once.to_json(), r#"{"log":[1]}"#);
        let twice = update.apply(&once).expect("an item with a list");
        assert_eq!(twice.to_json(), r#"{"log":[1,1]}"#);
    }

    #[test]
    fn verbs_refuse_what_a_text_could_not_say() {
        let mut update = Update::default();
        update.set("a.b", Value::from(1)).expect("a free path");
        let table = [
            (
                update.remove("a"),
                "column 1: `a` overlaps with `a.b`: name each place once",
            ),
            (
                update.set("a[0]", Value::Null),
                "column 1: `a[0]` and `a.b` take the same place for a list and for a map",
            ),
            (
                update.set("x y", Value::Null),
                "column 3: found `y`, expected `.`, `[` or the end",
            ),
            (
                update.add("n", Value::from("1")),
                "column 1: `ADD` does not work with a string: it takes a number or a set",
            ),
        ];
        for (refused, expected) in table {
            assert_eq!(
                refused.map_err(|error| error.to_string()),
                Err(expected.to_owned())
            );
        }
    }
}
