//! Expressions as DynamoDB takes them: placeholders only, and no parentheses without need.

use super::condition::{Condition, Operand, Test};
use super::error::PrintError;
use super::path::{Path, Step};
use super::placeholders::Placeholders;
use super::projection::Projection;
use super::update::{self, Assigned, Update};
use crate::limits;
use crate::value::Value;

impl Condition {
    /// The text of the condition; its names and values go to the placeholders.
    ///
    /// # Errors
    /// When the text is longer than DynamoDB takes.
    pub fn print(&self, places: &mut Placeholders) -> Result<String, PrintError> {
        bounded(places.test(&self.0))
    }
}

impl Update {
    /// The text of the update; its names and values go to the placeholders.
    ///
    /// # Errors
    /// When the text is longer than DynamoDB takes.
    pub fn print(&self, places: &mut Placeholders) -> Result<String, PrintError> {
        let mut clauses = Vec::new();
        clause("SET", &self.set, &mut clauses, |(path, assigned)| {
            format!("{} = {}", places.path(path), places.assigned(assigned))
        });
        clause("REMOVE", &self.remove, &mut clauses, |path| {
            places.path(path)
        });
        clause("ADD", &self.add, &mut clauses, |(path, value)| {
            format!("{} {}", places.path(path), places.print_value(value))
        });
        clause("DELETE", &self.delete, &mut clauses, |(path, set)| {
            let value = Value::Set(set.clone());
            format!("{} {}", places.path(path), places.print_value(&value))
        });
        bounded(clauses.join(" "))
    }
}

impl Projection {
    /// The text of the projection; its names go to the placeholders.
    ///
    /// # Errors
    /// When the text is longer than DynamoDB takes.
    pub fn print(&self, places: &mut Placeholders) -> Result<String, PrintError> {
        let paths: Vec<String> = self.paths.iter().map(|path| places.path(path)).collect();
        bounded(paths.join(", "))
    }
}

fn bounded(text: String) -> Result<String, PrintError> {
    let (bytes, max) = (text.len(), limits::DYNAMODB_EXPRESSION_BYTES_MAX);
    if bytes <= max {
        return Ok(text);
    }
    Err(PrintError { bytes, max })
}

fn clause<T>(
    word: &str,
    actions: &[T],
    clauses: &mut Vec<String>,
    mut print: impl FnMut(&T) -> String,
) {
    if actions.is_empty() {
        return;
    }
    let actions: Vec<String> = actions.iter().map(&mut print).collect();
    clauses.push(format!("{word} {}", actions.join(", ")));
}

impl Placeholders {
    fn test(&mut self, test: &Test) -> String {
        match test {
            Test::All(tests) => self.joined(tests, " AND "),
            Test::Any(tests) => self.joined(tests, " OR "),
            Test::Not(test) => format!("NOT ({})", self.test(test)),
            Test::Compare(left, comparator, right) => {
                let (left, right) = (self.operand(left), self.operand(right));
                format!("{left} {} {right}", comparator.sign())
            }
            Test::Between(of, low, high) => {
                let (of, low) = (self.operand(of), self.operand(low));
                format!("{of} BETWEEN {low} AND {}", self.operand(high))
            }
            Test::OneOf(of, choices) => {
                let of = self.operand(of);
                let choices: Vec<String> =
                    choices.iter().map(|choice| self.operand(choice)).collect();
                format!("{of} IN ({})", choices.join(", "))
            }
            Test::Exists(path) => format!("attribute_exists({})", self.path(path)),
            Test::Absent(path) => format!("attribute_not_exists({})", self.path(path)),
            Test::IsType(path, kind) => {
                let path = self.path(path);
                let kind = self.print_value(&Value::from(kind.0));
                format!("attribute_type({path}, {kind})")
            }
            Test::BeginsWith(of, prefix) => {
                let of = self.operand(of);
                format!("begins_with({of}, {})", self.operand(prefix))
            }
            Test::Contains(of, part) => {
                let of = self.operand(of);
                format!("contains({of}, {})", self.operand(part))
            }
        }
    }

    fn joined(&mut self, tests: &[Test], word: &str) -> String {
        let tests: Vec<String> = tests
            .iter()
            .map(|test| match test {
                Test::All(_) | Test::Any(_) => format!("({})", self.test(test)),
                _ => self.test(test),
            })
            .collect();
        tests.join(word)
    }

    fn operand(&mut self, operand: &Operand) -> String {
        match operand {
            Operand::Path(path) => self.path(path),
            Operand::Value(value) => self.print_value(value),
            Operand::Size(path) => format!("size({})", self.path(path)),
        }
    }

    fn assigned(&mut self, assigned: &Assigned) -> String {
        match assigned {
            Assigned::Operand(operand) => self.source(operand),
            Assigned::Sum(left, right) => {
                let left = self.source(left);
                format!("{left} + {}", self.source(right))
            }
            Assigned::Difference(left, right) => {
                let left = self.source(left);
                format!("{left} - {}", self.source(right))
            }
        }
    }

    fn source(&mut self, operand: &update::Operand) -> String {
        match operand {
            update::Operand::Path(path) => self.path(path),
            update::Operand::Value(value) => self.print_value(value),
            update::Operand::IfNotExists(path, other) => {
                let path = self.path(path);
                format!("if_not_exists({path}, {})", self.source(other))
            }
            update::Operand::ListAppend(first, second) => {
                let first = self.source(first);
                format!("list_append({first}, {})", self.source(second))
            }
        }
    }

    fn path(&mut self, path: &Path) -> String {
        let mut text = self.print_name(&path.root);
        for step in &path.steps {
            match step {
                Step::Field(name) => text.push_str(&format!(".{}", self.print_name(name))),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}
