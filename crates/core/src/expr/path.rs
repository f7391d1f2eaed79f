//! Paths into an item.

use super::error::Reason;
use crate::value::{Map, Value};
use std::fmt;

/// A place in an item: an attribute, or something within it, as in `a.b[0].c`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    pub(super) root: String,
    pub(super) steps: Vec<Step>,
}

/// One step further into an attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A field of a map.
    Field(String),
    /// An element of a list, from 0.
    Index(u32),
}

impl Path {
    /// The path of an attribute.
    pub fn new(attribute: impl Into<String>) -> Path {
        Path {
            root: attribute.into(),
            steps: Vec::new(),
        }
    }

    /// The attribute it is, or into which it leads.
    pub fn attribute(&self) -> &str {
        &self.root
    }

    /// The way within the attribute; empty for the attribute itself.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether it is the attribute of that name, rather than something within one.
    pub fn is_attribute(&self, name: &str) -> bool {
        self.steps.is_empty() && self.root == name
    }

    /// What the item holds there.
    pub fn get<'a>(&self, item: &'a Map) -> Option<&'a Value> {
        self.within(item.get(&self.root)?)
    }

    /// What lies at the end of the way into the attribute, given what that holds.
    pub fn within<'a>(&self, attribute: &'a Value) -> Option<&'a Value> {
        let mut steps = self.steps.iter();
        steps.try_fold(attribute, |value, step| child(value, step))
    }
}

pub(super) fn child<'a>(value: &'a Value, step: &Step) -> Option<&'a Value> {
    match (value, step) {
        (Value::Map(map), Step::Field(name)) => map.get(name),
        (Value::List(list), Step::Index(index)) => list.get(*index as usize),
        _ => None,
    }
}

/// Why two paths cannot both be named in an update or a projection.
///
/// Sorted neighbours are enough to look at: whatever stands between a path and one within it is
/// within it too, and fields come before elements.
pub(super) fn clash(first: &Path, second: &Path) -> Option<Reason> {
    if first.root != second.root {
        return None;
    }
    let mut pairs = first.steps.iter().zip(&second.steps);
    let (path, other) = (second.clone(), first.clone());
    match pairs.find(|(one, other)| one != other) {
        None => Some(Reason::Overlap { path, other }),
        Some((Step::Field(_), Step::Index(_)) | (Step::Index(_), Step::Field(_))) => {
            Some(Reason::Conflict { path, other })
        }
        Some(_) => None,
    }
}

impl fmt::Display for Path {
    /// As people write it, with backticks where a name needs them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        name(&self.root, f)?;
        for step in &self.steps {
            match step {
                Step::Field(field) => {
                    f.write_str(".")?;
                    name(field, f)?;
                }
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn name(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.chars().all(bare) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty()
    {
        return f.write_str(name);
    }
    write!(f, "`{}`", name.replace('`', "``"))
}
