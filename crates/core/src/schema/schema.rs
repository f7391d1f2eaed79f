//! The schema as a whole: parameters, indexes and models.

use super::error::{PropertyError, SchemaError};
use super::migration::Migration;
use super::model::Model;
use super::version::Version;
use super::{read, rules, source};
use crate::sync::config::{Direction, ModelRule};
use crate::sync::record::ItemKey;
use crate::value::{Map, Name};

/// A OneTable schema, read and checked.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(super) name: Option<String>,
    pub(super) version: String,
    pub(super) params: Params,
    pub(super) indexes: Vec<Index>,
    pub(super) models: Vec<Model>,
    pub(super) migrations: Vec<Migration>,
}

impl Schema {
    /// Reads JSON or JSON5 text and checks it.
    ///
    /// # Errors
    /// The first thing that is wrong, with the keys that lead to it, line and column.
    pub fn parse(text: &str) -> Result<Schema, SchemaError> {
        let node = source::parse(text)?;
        read::schema(&node)
            .and_then(|schema| rules::check(&schema, schema.models.len()).map(|()| schema))
            .map_err(|error| error.located(text))
    }

    /// The name of the schema, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The version that the schema gives itself.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The number before the first point of the version: what items carry as `_s`.
    pub fn major_version(&self) -> u64 {
        let version = self.version.parse::<Version>();
        version.map_or(0, |version| version.major.into())
    }

    /// The parameters that hold for every model.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The primary index first, then the others in the order of the text.
    pub fn indexes(&self) -> &[Index] {
        &self.indexes
    }

    /// The models in the order of the text.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model of this name.
    ///
    /// # Errors
    /// `UnknownModel`, with the nearest name.
    pub fn model(&self, name: &str) -> Result<&Model, PropertyError> {
        self.models
            .iter()
            .find(|model| model.name == name)
            .ok_or_else(|| PropertyError::unknown_model(name, self.models.iter().map(Model::name)))
    }

    /// The model that an item belongs to: by its type attribute, or else by the form of its key.
    ///
    /// An item without a type attribute was written by a program that knows nothing of models.
    pub fn model_of(&self, item: &Map) -> Option<&Model> {
        match item.text(&self.params.type_field) {
            Some(name) => self.models.iter().find(|model| model.name == name),
            None => self.model_of_key(&self.models.first()?.key_of(item)?),
        }
    }

    /// Whether an item has a type attribute.
    pub fn names_model(&self, item: &Map) -> bool {
        item.text(&self.params.type_field).is_some()
    }

    /// The model whose key templates fit the key, the one with the longest fixed texts first.
    ///
    /// Sort keys that begin with `~` are rows of replication and belong to none.
    pub fn model_of_key(&self, key: &ItemKey) -> Option<&Model> {
        if key.sk.starts_with('~') {
            return None;
        }
        let fits = self
            .models
            .iter()
            .filter_map(|model| Some((model.fit(key)?, model)));
        fits.max_by_key(|(length, _)| *length)
            .map(|(_, model)| model)
    }

    /// Reads a schema as [`parse`](Schema::parse), and adds the models of `builtin` that it lacks.
    ///
    /// # Errors
    /// As `parse`; or both cannot live in one table, or a model of the same name lacks a field of
    /// the other.
    pub fn parse_over(text: &str, builtin: &Schema) -> Result<Schema, SchemaError> {
        Schema::parse(text)?
            .with_builtin(builtin)
            .map_err(|error| error.located(text))
    }

    fn with_builtin(mut self, builtin: &Schema) -> Result<Schema, SchemaError> {
        rules::check_mergeable(&self, builtin)?;
        let owned: Vec<_> = self.models.iter().map(|model| model.name.clone()).collect();
        let is_owned = |name: &String| owned.contains(name);
        let theirs = builtin.models.iter().filter(|model| !is_owned(&model.name));
        self.models.extend(theirs.cloned());
        for mut migration in builtin.migrations.iter().cloned() {
            migration.actions.retain(|(model, _)| !is_owned(model));
            self.migrations.push(migration);
        }
        rules::check(&self, owned.len())?;
        Ok(self)
    }

    /// Whether any model is replicated.
    pub fn is_synced(&self) -> bool {
        self.models
            .iter()
            .any(|model| model.process.sync != Direction::None)
    }

    /// What replication must know of the synced models on a device with these context values.
    pub fn sync_rules(&self, context: &Map) -> Vec<ModelRule> {
        self.models
            .iter()
            .flat_map(|model| {
                let rule = model.sync_rule(context).into_iter();
                rule.chain(model.claim_rules(context))
            })
            .collect()
    }

    /// The partitions that replication reads again and again: those of models that travel down.
    pub fn partitions_down(&self, context: &Map) -> Vec<String> {
        let rules = self.sync_rules(context).into_iter();
        let mut partitions: Vec<_> = rules
            .filter(|rule| rule.direction.is_down())
            .map(|rule| rule.pk_prefix)
            .collect();
        partitions.sort();
        partitions.dedup();
        partitions
    }
}

/// The parameters that hold for every model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// The attribute that holds the name of the model.
    pub type_field: Name,
    /// The field that holds the time of creation.
    pub created_field: Name,
    /// The field that holds the time of the last change.
    pub updated_field: Name,
    /// Whether dates are stored as ISO text, not as milliseconds.
    pub iso_dates: bool,
    /// Which timestamps every model has.
    pub timestamps: Timestamps,
    /// Whether a null is stored, not removed.
    pub nulls: bool,
    /// What separates the parts of keys.
    pub separator: String,
}

/// Which timestamps every model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// Items carry the time of their creation.
    pub created: bool,
    /// Items carry the time of their last change.
    pub updated: bool,
}

/// An index of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// `primary`, or the name that the schema gives.
    pub name: String,
    /// The attribute that holds the partition key.
    pub hash: String,
    /// The attribute that holds the sort key.
    pub sort: Option<String>,
    /// Where it lives.
    pub kind: IndexKind,
    /// What the cloud's copy of it holds; the device's own reads the items themselves.
    pub project: Projection,
}

impl Index {
    /// Whether it lives in the partitions of the primary index.
    pub fn is_local(&self) -> bool {
        self.kind == IndexKind::Local
    }
}

/// Where an index lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// It is the key of the items.
    Primary,
    /// In partitions of its own.
    Global,
    /// In the partitions of the primary index, by another sort key.
    Local,
}

/// The attributes that an index holds beside its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Projection {
    /// All.
    All,
    /// None.
    Keys,
    /// These.
    Attributes(Vec<String>),
}
