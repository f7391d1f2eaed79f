//! Changes of what stored items look like: names that change, names and models that go.
//!
//! Every action can be done again without harm, because a name that is gone never comes back. So a
//! database that was left half way, or that an older program has written to since, is put right by
//! doing all of it again.

use std::collections::{BTreeMap, BTreeSet};

use super::model::Model;
use super::schema::Schema;
use super::version::Version;
use crate::value::Map;

/// One entry of the list `migrations`: what became of stored items in that version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    pub(super) version: Version,
    pub(super) actions: Vec<(String, Action)>,
    pub(super) dropped: Vec<String>,
}

impl Migration {
    /// The version of the schema from which on items look so.
    pub fn version(&self) -> Version {
        self.version
    }
}

/// What is done to the items of a model. The names are those of attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Rename { from: String, to: String },
    Remove(String),
    Compute,
}

impl Action {
    /// The name that no item has afterwards.
    pub(super) fn gone(&self) -> Option<&str> {
        match self {
            Action::Rename { from, .. } => Some(from),
            Action::Remove(name) => Some(name),
            Action::Compute => None,
        }
    }

    fn apply(&self, item: &mut Map) {
        match self {
            // Where both are there, a program of the older version wrote last.
            Action::Rename { from, to } => {
                if let Some(value) = item.remove(from) {
                    item.insert(to.as_str(), value);
                }
            }
            Action::Remove(name) => drop(item.remove(name)),
            Action::Compute => {}
        }
    }
}

/// The version of the schema in which each model was last written.
pub type Written = BTreeMap<String, Version>;

/// What has to be done to the items of a database, so that they look as the schema says.
#[derive(Debug)]
pub struct Plan<'a> {
    schema: &'a Schema,
    actions: BTreeMap<&'a str, Vec<&'a Action>>,
    dropped: BTreeSet<&'a str>,
}

/// What becomes of an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It stays as it is.
    Keep,
    /// It looks like this.
    Change(Map),
    /// It goes, with its model.
    Drop,
}

impl Schema {
    /// The changes of stored items that the schema lists, from the oldest to the newest.
    pub fn migrations(&self) -> &[Migration] {
        &self.migrations
    }

    /// What is to be done in a database whose models were last written in these versions; `None`
    /// when nothing is. A database of which nothing is known (`None`) may need everything.
    pub fn plan(&self, written: Option<&Written>) -> Option<Plan<'_>> {
        let is_older = |model: &str, than: Version| match written {
            None => true,
            Some(written) => written.get(model).is_some_and(|version| *version < than),
        };
        let mut plan = Plan {
            schema: self,
            actions: BTreeMap::new(),
            dropped: BTreeSet::new(),
        };
        for migration in &self.migrations {
            for (model, action) in &migration.actions {
                if is_older(model, migration.version) {
                    plan.actions.entry(model).or_default().push(action);
                }
            }
            for model in &migration.dropped {
                if is_older(model, migration.version) {
                    plan.dropped.insert(model);
                }
            }
        }
        let nothing = plan.actions.is_empty() && plan.dropped.is_empty();
        (!nothing).then_some(plan)
    }

    /// The models that were written in a major version which this schema does not know yet, with
    /// the version.
    pub fn parked(&self, written: &Written) -> Vec<(&Model, Version)> {
        let models = self.models.iter().filter_map(|model| {
            let version = *written.get(&model.name)?;
            (version.major > model.version.major).then_some((model, version))
        });
        models.collect()
    }
}

impl Plan<'_> {
    /// What becomes of a stored item.
    pub fn outcome(&self, item: &Map) -> Outcome {
        let named = item.text(&self.schema.params.type_field);
        if named.is_some_and(|name| self.dropped.contains(name)) {
            return Outcome::Drop;
        }
        let Some(model) = self.schema.model_of(item) else {
            return Outcome::Keep;
        };
        let Some(actions) = self.actions.get(model.name.as_str()) else {
            return Outcome::Keep;
        };
        let mut changed = item.clone();
        for action in actions {
            action.apply(&mut changed);
        }
        model.recompute(&mut changed);
        if changed == *item {
            Outcome::Keep
        } else {
            Outcome::Change(changed)
        }
    }

    /// The models whose items have the form of the schema when all is done.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        let models = self.schema.models.iter();
        models.filter(|model| self.actions.contains_key(model.name.as_str()))
    }

    /// The models of which no item is left when all is done.
    pub fn dropped(&self) -> impl Iterator<Item = &str> {
        self.dropped.iter().copied()
    }
}
