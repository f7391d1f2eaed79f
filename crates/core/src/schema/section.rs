//! One object of the schema text: typed access to its keys, with the place in every error.

use super::error::{Place, SchemaError};
use super::source::Node;
use crate::nearest::nearest;

/// The entries of an object and the keys that lead to it.
pub(super) struct Section<'a> {
    path: Vec<String>,
    entries: &'a [(String, Node)],
}

impl<'a> Section<'a> {
    pub(super) fn root(node: &'a Node) -> Result<Section<'a>, SchemaError> {
        Section::new(Vec::new(), node)
    }

    fn new(path: Vec<String>, node: &'a Node) -> Result<Section<'a>, SchemaError> {
        match node {
            Node::Object(entries) => Ok(Section { path, entries }),
            other => {
                let message = format!("{} stands here; expected an object", other.noun());
                Err(SchemaError::new(
                    Place {
                        path,
                        position: None,
                    },
                    message,
                ))
            }
        }
    }

    /// An error about the value of `key`, or about the place where `key` should be.
    pub(super) fn fail(&self, key: &str, message: impl Into<String>) -> SchemaError {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        SchemaError::new(
            Place {
                path,
                position: None,
            },
            message.into(),
        )
    }

    /// An error about this object.
    pub(super) fn fail_here(&self, message: impl Into<String>) -> SchemaError {
        SchemaError::new(
            Place {
                path: self.path.clone(),
                position: None,
            },
            message.into(),
        )
    }

    /// Refuses every key outside `known`.
    pub(super) fn allow(&self, known: &[&str]) -> Result<(), SchemaError> {
        for (key, _) in self.entries {
            if !known.contains(&key.as_str()) {
                return Err(self.fail(key, unknown_key(key, known)));
            }
        }
        Ok(())
    }

    /// Refuses keys whose effect would silently be missing; `false` and `null` ask for nothing.
    pub(super) fn refuse(&self, keys: &[(&str, &str)]) -> Result<(), SchemaError> {
        for (key, reason) in keys {
            match self.node(key) {
                None | Some(Node::Bool(false)) => {}
                Some(_) => return Err(self.fail(key, *reason)),
            }
        }
        Ok(())
    }

    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        self.entries
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
            .filter(|node| **node != Node::Null)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, SchemaError> {
        match self.node(key) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, other, "a text")),
        }
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, SchemaError> {
        match self.node(key) {
            None => Ok(None),
            Some(Node::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(key, other, "true or false")),
        }
    }

    /// A whole number of at least one.
    pub(super) fn count(&self, key: &str) -> Result<Option<u64>, SchemaError> {
        let Some(node) = self.node(key) else {
            return Ok(None);
        };
        let Node::Number(number) = node else {
            return Err(self.wrong(key, node, "a whole number from 1"));
        };
        number
            .as_i64()
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| *number > 0)
            .map(Some)
            .ok_or_else(|| self.fail(key, format!("{number} is not a whole number from 1")))
    }

    pub(super) fn choice<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, SchemaError> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                let names = names.join(", ");
                Err(self.fail(key, format!("\"{text}\" is not one of {names}")))
            }
        }
    }

    pub(super) fn section(&self, key: &str) -> Result<Option<Section<'a>>, SchemaError> {
        self.node(key)
            .map(|node| Section::new(self.child(key), node))
            .transpose()
    }

    /// The keys of this object, in the order of the text.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    /// The objects of a list.
    pub(super) fn list(&self, key: &str) -> Result<Option<Vec<Section<'a>>>, SchemaError> {
        let items = match self.node(key) {
            None => return Ok(None),
            Some(Node::List(items)) => items,
            Some(other) => return Err(self.wrong(key, other, "a list of objects")),
        };
        let sections = items.iter().enumerate().map(|(at, node)| {
            let mut path = self.child(key);
            path.push(at.to_string());
            Section::new(path, node)
        });
        sections.collect::<Result<_, _>>().map(Some)
    }

    /// A list of texts; none when the key is missing.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, SchemaError> {
        let items = match self.node(key) {
            None => return Ok(Vec::new()),
            Some(Node::List(items)) => items,
            Some(other) => return Err(self.wrong(key, other, "a list of texts")),
        };
        let texts = items.iter().map(|item| match item {
            Node::Text(text) => Ok(text.clone()),
            other => Err(self.wrong(key, other, "a text in the list")),
        });
        texts.collect()
    }

    /// The objects in this object, by name, in the order of the text.
    pub(super) fn sections(
        &self,
    ) -> impl Iterator<Item = Result<(&'a str, Section<'a>), SchemaError>> {
        self.entries.iter().map(|(key, node)| {
            Section::new(self.child(key), node).map(|section| (key.as_str(), section))
        })
    }

    fn child(&self, key: &str) -> Vec<String> {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        path
    }

    pub(super) fn wrong(&self, key: &str, found: &Node, expected: &str) -> SchemaError {
        self.fail(
            key,
            format!("{} stands here; expected {expected}", found.noun()),
        )
    }
}

pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    match nearest(key, known.iter().copied()) {
        Some(meant) => format!("unknown key \"{key}\": did you mean \"{meant}\"?"),
        None => format!("unknown key \"{key}\"; known are {}", known.join(", ")),
    }
}
