//! The names and values behind `#name` and `:value`.

use super::error::UnusedPlaceholders;
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The placeholders of one request: its ExpressionAttributeNames and ExpressionAttributeValues.
///
/// All expressions of a request share them, and together they have to use each one
/// ([`check_all_used`](Placeholders::check_all_used)). Parsing reads them; printing adds to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placeholders {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, Value>,
    used: BTreeSet<String>,
}

impl Placeholders {
    /// None yet.
    pub fn new() -> Placeholders {
        Placeholders::default()
    }

    /// Defines a name; the placeholder begins with `#`.
    #[must_use]
    pub fn with_name(mut self, placeholder: &str, name: impl Into<String>) -> Placeholders {
        self.names.insert(placeholder.to_owned(), name.into());
        self
    }

    /// Defines a value; the placeholder begins with `:`.
    #[must_use]
    pub fn with_value(mut self, placeholder: &str, value: impl Into<Value>) -> Placeholders {
        self.values.insert(placeholder.to_owned(), value.into());
        self
    }

    /// The names by their placeholders.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names
            .iter()
            .map(|(placeholder, name)| (placeholder.as_str(), name.as_str()))
    }

    /// The values by their placeholders.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values
            .iter()
            .map(|(placeholder, value)| (placeholder.as_str(), value))
    }

    /// Whether the expressions parsed so far used all of them, as DynamoDB demands.
    ///
    /// # Errors
    /// Those that none of them used.
    pub fn check_all_used(&self) -> Result<(), UnusedPlaceholders> {
        let all = self.names.keys().chain(self.values.keys());
        let unused: Vec<String> = all
            .filter(|placeholder| !self.used.contains(*placeholder))
            .cloned()
            .collect();
        if unused.is_empty() {
            return Ok(());
        }
        Err(UnusedPlaceholders(unused))
    }

    pub(super) fn use_name(&mut self, placeholder: &str) -> Option<String> {
        let name = self.names.get(placeholder)?.clone();
        self.used.insert(placeholder.to_owned());
        Some(name)
    }

    pub(super) fn use_value(&mut self, placeholder: &str) -> Option<Value> {
        let value = self.values.get(placeholder)?.clone();
        self.used.insert(placeholder.to_owned());
        Some(value)
    }

    /// The placeholder of a name, a new one if it has none.
    pub(super) fn print_name(&mut self, name: &str) -> String {
        let known = self.names.iter().find(|(_, known)| *known == name);
        if let Some((placeholder, _)) = known {
            return placeholder.clone();
        }
        let placeholder = free("#", &self.names);
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    /// The placeholder of a value, a new one if it has none.
    pub(super) fn print_value(&mut self, value: &Value) -> String {
        let known = self.values.iter().find(|(_, known)| *known == value);
        if let Some((placeholder, _)) = known {
            return placeholder.clone();
        }
        let placeholder = free(":", &self.values);
        self.values.insert(placeholder.clone(), value.clone());
        placeholder
    }
}

/// The first number that is not taken, from the count on: others may have been defined by hand.
fn free<T>(prefix: &str, taken: &BTreeMap<String, T>) -> String {
    let mut numbered = (taken.len()..).map(|number| format!("{prefix}{number}"));
    numbered
        .find(|placeholder| !taken.contains_key(placeholder))
        .expect("there are more numbers than placeholders")
}
