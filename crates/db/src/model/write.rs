//! One write as a value: what to do, on which condition.

use periwinkle_core::expr::{ExpressionError, Update};
use periwinkle_core::schema::{Hidden, Model};
use periwinkle_core::value::{Map, Value};

use super::error::DbError;
use super::expression::Expression;

/// A write to one item, alone ([`Database::write`](super::Database::write)) or with others
/// ([`Database::write_all`](super::Database::write_all)).
///
/// ```
/// use periwinkle_core::value::Map;
/// use periwinkle_db::Write;
///
/// let kitchen = Map::from([("name", "kitchen")]);
/// let visit = Write::update("Room", kitchen.clone())
///     .add("visits", 1)
///     .push("log", "ada came in")
///     .when("visits < 100");
/// let reset = Write::update("Room", kitchen).apply("SET visits = 0 REMOVE log");
/// # let _ = (visit, reset);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub(super) model: String,
    pub(super) verb: Verb,
    pub(super) properties: Map,
    pub(super) terms: Terms,
}

/// What a write does to its item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Update,
    Upsert,
    Remove,
    Check,
}

/// What a write has beside properties: a condition, and changes that are no plain values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Terms {
    pub(super) condition: Option<Expression>,
    pub(super) expressions: Vec<Expression>,
    pub(super) changes: Vec<(String, Change)>,
}

/// What happens to the place that a path names.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    Set(Value),
    Add(Value),
    Unset,
    Push(Value),
}

impl Write {
    /// Makes an item.
    pub fn create(model: impl Into<String>, properties: Map) -> Write {
        Write::new(model, Verb::Create, properties)
    }

    /// Changes the given properties of an item; null removes one.
    pub fn update(model: impl Into<String>, properties: Map) -> Write {
        Write::new(model, Verb::Update, properties)
    }

    /// Changes the given properties of an item, or makes it if there is none.
    pub fn upsert(model: impl Into<String>, properties: Map) -> Write {
        Write::new(model, Verb::Upsert, properties)
    }

    /// Removes the item that the properties name.
    pub fn remove(model: impl Into<String>, properties: Map) -> Write {
        Write::new(model, Verb::Remove, properties)
    }

    /// Changes nothing: only the condition must hold. Without one, the item must be there.
    pub fn check(model: impl Into<String>, properties: Map) -> Write {
        Write::new(model, Verb::Check, properties)
    }

    /// Only if this holds of the item as it is; where there is none, of an empty one. Called
    /// again, the last one counts.
    #[must_use]
    pub fn when(mut self, condition: impl Into<Expression>) -> Write {
        self.terms.condition = Some(condition.into());
        self
    }

    /// An update expression, applied after the properties are set. Called again, one after the
    /// other.
    #[must_use]
    pub fn apply(mut self, update: impl Into<Expression>) -> Write {
        self.terms.expressions.push(update.into());
        self
    }

    /// Sets a place, which may lie within a property, as in `door.open`.
    #[must_use]
    pub fn set(self, path: impl Into<String>, value: impl Into<Value>) -> Write {
        self.change(path, Change::Set(value.into()))
    }

    /// Adds to a number, which begins with 0, or unites with a set.
    #[must_use]
    pub fn add(self, path: impl Into<String>, value: impl Into<Value>) -> Write {
        self.change(path, Change::Add(value.into()))
    }

    /// Takes a place away.
    #[must_use]
    pub fn unset(self, path: impl Into<String>) -> Write {
        self.change(path, Change::Unset)
    }

    /// Appends to a list, which begins empty.
    #[must_use]
    pub fn push(self, path: impl Into<String>, value: impl Into<Value>) -> Write {
        self.change(path, Change::Push(value.into()))
    }

    fn new(model: impl Into<String>, verb: Verb, properties: Map) -> Write {
        Write {
            model: model.into(),
            verb,
            properties,
            terms: Terms::default(),
        }
    }

    fn change(mut self, path: impl Into<String>, change: Change) -> Write {
        self.terms.changes.push((path.into(), change));
        self
    }
}

impl Terms {
    /// The updates to apply, in order.
    pub(super) fn updates(&self, model: &Model, hidden: Hidden) -> Result<Vec<Update>, DbError> {
        let expressions = self.expressions.iter();
        let mut updates: Vec<_> = expressions
            .map(|update| update.update(model, hidden))
            .collect::<Result<_, _>>()?;
        if !self.changes.is_empty() {
            updates.push(self.built(model, hidden)?);
        }
        Ok(updates)
    }

    /// Refuses changes where there is no item to change.
    pub(super) fn expect_no_changes(&self, verb: &str) -> Result<(), DbError> {
        if self.expressions.is_empty() && self.changes.is_empty() {
            return Ok(());
        }
        Err(DbError::BadQuery {
            reason: format!("a {verb} takes no changes; use update or upsert"),
        })
    }

    fn built(&self, model: &Model, hidden: Hidden) -> Result<Update, DbError> {
        let mut update = Update::default();
        for (path, change) in &self.changes {
            add(&mut update, path, change).map_err(|source| DbError::Expression {
                role: "update",
                source: Box::new(source),
            })?;
        }
        // A push reads the list that it makes longer, and shows nobody more of it.
        let hidden = match update.reads().is_empty() {
            true => hidden,
            false => Hidden::Include,
        };
        model.check_update(&update, hidden)?;
        Ok(update)
    }
}

fn add(update: &mut Update, path: &str, change: &Change) -> Result<(), ExpressionError> {
    match change {
        Change::Set(value) => update.set(path, value.clone()),
        Change::Add(value) => update.add(path, value.clone()),
        Change::Unset => update.remove(path),
        Change::Push(value) => update.push(path, value.clone()),
    }
}
