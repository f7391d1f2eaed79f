//! Projections: the parts of an item that are wanted.

use super::error::{ExpressionError, Place};
use super::parse::Parser;
use super::path::{Path, Step, child};
use super::placeholders::Placeholders;
use crate::value::{Map, Value};
use std::str::FromStr;

/// The parts of an item that are wanted: paths that do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    pub(super) paths: Vec<Path>,
}

impl Projection {
    /// Reads a list of paths.
    ///
    /// # Errors
    /// What DynamoDB would refuse, with its place in the text.
    pub fn parse(text: &str, given: &mut Placeholders) -> Result<Projection, ExpressionError> {
        let found = Projection::places(text, given)?;
        Ok(Projection {
            paths: found.into_iter().map(|(_, path)| path).collect(),
        })
    }

    /// Every path of such a text with its place, in the order of the text.
    ///
    /// # Errors
    /// As `parse`.
    pub fn places(
        text: &str,
        given: &mut Placeholders,
    ) -> Result<Vec<(Place, Path)>, ExpressionError> {
        let mut parser = Parser::new(text, given)?;
        let found = parser.list(|parser| Ok((parser.byte(), parser.path("a name")?)))?;
        parser.expect_end("`,` or the end")?;
        let places: Vec<(usize, &Path)> = found.iter().map(|(at, path)| (*at, path)).collect();
        parser.check_apart(&places)?;
        Ok(parser.into_named())
    }

    /// The paths, in the order of the text.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// What the item has of them, in maps and lists like those of the item. Elements of a list
    /// move together; a list or map of which nothing is there is left out.
    pub fn apply(&self, item: &Map) -> Map {
        let mut paths: Vec<&Path> = self.paths.iter().collect();
        paths.sort();
        let mut picked = Map::new();
        for group in paths.chunk_by(|one, other| one.root == other.root) {
            let root = &group[0].root;
            let ways: Vec<&[Step]> = group.iter().map(|path| path.steps.as_slice()).collect();
            if let Some(value) = item.get(root).and_then(|value| pick(value, &ways)) {
                picked.insert(root.as_str(), value);
            }
        }
        picked
    }
}

impl FromStr for Projection {
    type Err = ExpressionError;

    /// Reads a list of paths without placeholders.
    fn from_str(text: &str) -> Result<Projection, ExpressionError> {
        Projection::parse(text, &mut Placeholders::new())
    }
}

/// What lies at the ends of the ways, which are sorted; `None` if nothing does.
fn pick(value: &Value, ways: &[&[Step]]) -> Option<Value> {
    if ways.iter().any(|way| way.is_empty()) {
        return Some(value.clone());
    }
    let mut map = Map::new();
    let mut list = Vec::new();
    for group in ways.chunk_by(|one, other| one.first() == other.first()) {
        let step = group[0].first()?;
        let further: Vec<&[Step]> = group.iter().map(|way| &way[1..]).collect();
        let Some(part) = child(value, step).and_then(|inner| pick(inner, &further)) else {
            continue;
        };
        match step {
            Step::Field(name) => drop(map.insert(name.as_str(), part)),
            Step::Index(_) => list.push(part),
        }
    }
    match (map.is_empty(), list.is_empty()) {
        (false, _) => Some(Value::Map(map)),
        (true, false) => Some(Value::List(list)),
        (true, true) => None,
    }
}
