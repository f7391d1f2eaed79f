//! Updates as trees.

use super::Path;
use super::error::{ExpressionError, Place};
use super::parse::Parser;
use super::parse_update;
use super::placeholders::Placeholders;
use crate::value::{Set, Value};
use std::str::FromStr;

/// What an update does to an item: `SET`, `REMOVE`, `ADD` and `DELETE`.
///
/// No place is named twice, and none within another, so the order of the actions means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    pub(super) set: Vec<(Path, Assigned)>,
    pub(super) remove: Vec<Path>,
    /// A number or a set.
    pub(super) add: Vec<(Path, Value)>,
    pub(super) delete: Vec<(Path, Set)>,
}

/// What a `SET` assigns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Assigned {
    Operand(Operand),
    Sum(Operand, Operand),
    Difference(Operand, Operand),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Path(Path),
    Value(Value),
    IfNotExists(Path, Box<Operand>),
    ListAppend(Box<Operand>, Box<Operand>),
}

impl Update {
    /// Reads an update.
    ///
    /// # Errors
    /// What DynamoDB would refuse whatever the item, with its place in the text.
    pub fn parse(text: &str, given: &mut Placeholders) -> Result<Update, ExpressionError> {
        parse_update::update(&mut Parser::new(text, given)?)
    }

    /// Every path of such a text with its place, in the order of the text: those it reads, too.
    ///
    /// # Errors
    /// As `parse`.
    pub fn places(
        text: &str,
        given: &mut Placeholders,
    ) -> Result<Vec<(Place, Path)>, ExpressionError> {
        let mut parser = Parser::new(text, given)?;
        parse_update::update(&mut parser)?;
        Ok(parser.into_named())
    }

    /// The places it changes: key attributes must not be among them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let set = self.set.iter().map(|(path, _)| path);
        let add = self.add.iter().map(|(path, _)| path);
        let delete = self.delete.iter().map(|(path, _)| path);
        set.chain(&self.remove).chain(add).chain(delete)
    }
}

impl FromStr for Update {
    type Err = ExpressionError;

    /// Reads an update without placeholders.
    fn from_str(text: &str) -> Result<Update, ExpressionError> {
        Update::parse(text, &mut Placeholders::new())
    }
}
