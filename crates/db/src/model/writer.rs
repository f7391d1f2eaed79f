//! Local writes under the lock: from properties to the rows of a frame.
//!
//! Each write either goes into the frame as a whole or leaves it as it was.

use periwinkle_core::schema::{Hidden, Model, PropertyError, Writing};
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::time::Now;
use periwinkle_core::value::Map;

use super::edit::Edit;
use super::error::DbError;
use super::feed::Origin;
use super::shared::{Shared, State, is_expired};
use super::write::{Terms, Verb, Write};

/// Writes in the making.
pub(super) struct Writer<'a> {
    pub(super) shared: &'a Shared,
    pub(super) context: &'a Map,
    pub(super) hidden: Hidden,
    pub(super) now: Now,
    pub(super) state: &'a mut State,
    pub(super) edit: Edit,
    pub(super) frame: FrameOf,
}

/// What the writes of a frame are to whoever makes them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameOf {
    /// One thing, there as a whole or not at all.
    One,
    /// Writes that share a frame to be faster: one may drop what another has made.
    Many,
}

impl<'a> Writer<'a> {
    /// Does what a write says, and answers the item after it; before it, if it removes the item.
    pub(super) fn run(&mut self, write: &Write) -> Result<Map, DbError> {
        let model = match write.verb {
            Verb::Check => self.shared.model(&write.model)?,
            _ => self.writable(&write.model)?,
        };
        let (properties, terms) = (&write.properties, &write.terms);
        match write.verb {
            Verb::Create => self.create(model, properties, terms),
            Verb::Update => self.update(model, properties, terms),
            Verb::Upsert => self.upsert(model, properties, terms),
            Verb::Remove => self.remove(model, properties, terms),
            Verb::Check => self.check(model, properties, terms),
        }
    }

    pub(super) fn create(
        &mut self,
        model: &Model,
        properties: &Map,
        terms: &Terms,
    ) -> Result<Map, DbError> {
        terms.expect_no_changes("create")?;
        let item = self.new_item(model, properties)?;
        let (key, record) = self.row_of(model, &item)?;
        if let Some(known) = self.current(model, &record) {
            return Err(self.exists(model, &item, known));
        }
        self.expect_condition(model, None, properties, terms)?;
        self.put_shown(model, key, record, item)
    }

    pub(super) fn update(
        &mut self,
        model: &Model,
        properties: &Map,
        terms: &Terms,
    ) -> Result<Map, DbError> {
        let key = model.key(properties, self.context)?;
        let record = self.record(&key)?;
        let Some(current) = self.named(model, properties, &record) else {
            return Err(DbError::not_found(model, properties, self.context));
        };
        self.expect_condition(model, Some(current), properties, terms)?;
        let item = self.changed_item(model, current, properties)?;
        let item = self.updated_item(model, item, terms)?;
        self.put_shown(model, key, record, item)
    }

    pub(super) fn upsert(
        &mut self,
        model: &Model,
        properties: &Map,
        terms: &Terms,
    ) -> Result<Map, DbError> {
        // A key of which a part is yet to be generated names no item that is there.
        let named = model.key(properties, self.context).ok();
        let known = named.map(|key| self.record(&key)).transpose()?;
        let current = known
            .as_ref()
            .and_then(|record| self.named(model, properties, record));
        self.expect_condition(model, current, properties, terms)?;
        let item = match current {
            Some(current) => self.changed_item(model, current, properties)?,
            None => self.new_item(model, properties)?,
        };
        let is_new = current.is_none();
        let item = self.updated_item(model, item, terms)?;
        let (key, record) = self.row_of(model, &item)?;
        if let (true, Some(known)) = (is_new, self.current(model, &record)) {
            // What was generated is there already, or another item has the same key.
            return Err(self.exists(model, &item, known));
        }
        self.put_shown(model, key, record, item)
    }

    pub(super) fn remove(
        &mut self,
        model: &Model,
        properties: &Map,
        terms: &Terms,
    ) -> Result<Map, DbError> {
        terms.expect_no_changes("remove")?;
        let key = model.key(properties, self.context)?;
        let record = self.record(&key)?;
        // Also an item that is hidden: whoever removes it wants what its expiry will do.
        let there = record.item.as_ref();
        let Some(current) = there.filter(|item| model.is_named_by(item, properties, self.context))
        else {
            return Err(DbError::not_found(model, properties, self.context));
        };
        self.expect_condition(model, Some(current), properties, terms)?;
        let shown = model.properties(current, self.hidden);
        self.put(model, key, record, None)?;
        Ok(shown)
    }

    fn check(&mut self, model: &Model, properties: &Map, terms: &Terms) -> Result<Map, DbError> {
        terms.expect_no_changes("check")?;
        let key = model.key(properties, self.context)?;
        let record = self.record(&key)?;
        let current = self.named(model, properties, &record);
        if current.is_none() && terms.condition.is_none() {
            return Err(DbError::not_found(model, properties, self.context));
        }
        self.expect_condition(model, current, properties, terms)?;
        let shown = current.map(|item| model.properties(item, self.hidden));
        Ok(shown.unwrap_or_default())
    }

    pub(super) fn new_item(
        &mut self,
        model: &Model,
        properties: &Map,
    ) -> Result<Map, PropertyError> {
        self.with_writing(|writing| model.create(properties, writing))
    }

    fn changed_item(
        &mut self,
        model: &Model,
        current: &Map,
        changes: &Map,
    ) -> Result<Map, PropertyError> {
        self.with_writing(|writing| model.update(current, changes, writing))
    }

    /// The item after the updates of a write.
    fn updated_item(
        &mut self,
        model: &Model,
        mut item: Map,
        terms: &Terms,
    ) -> Result<Map, DbError> {
        for update in terms.updates(model, self.hidden)? {
            item = self
                .with_writing(|writing| model.apply(&item, &update, writing))
                .map_err(|error| DbError::of_apply(model, error))?;
        }
        Ok(item)
    }

    fn with_writing<T>(&mut self, action: impl FnOnce(&mut Writing<'_>) -> T) -> T {
        let environment = &self.shared.environment;
        let mut entropy = |bytes: &mut [u8]| environment.fill(bytes);
        action(&mut Writing {
            context: self.context,
            wall: self.now.wall,
            ulids: &mut self.state.ulids,
            entropy: &mut entropy,
        })
    }

    /// The record of a row, as this frame leaves it so far.
    pub(super) fn record(&self, key: &ItemKey) -> Result<Record, DbError> {
        match self.edit.record(key) {
            Some(record) => Ok(record.clone()),
            None => self.shared.record(key),
        }
    }

    pub(super) fn row_of(&self, model: &Model, item: &Map) -> Result<(ItemKey, Record), DbError> {
        let key = model
            .key_of(item)
            .expect("an item of a model carries its key");
        let record = self.record(&key)?;
        Ok((key, record))
    }

    /// The item of a row as writes meet it.
    pub(super) fn current<'r>(&self, model: &Model, record: &'r Record) -> Option<&'r Map> {
        self.shared.standing(model, record, self.now)
    }

    /// The item that these properties name, which is under their key, as writes meet it.
    pub(super) fn named<'r>(
        &self,
        model: &Model,
        properties: &Map,
        record: &'r Record,
    ) -> Option<&'r Map> {
        let item = self.current(model, record);
        item.filter(|item| model.is_named_by(item, properties, self.context))
    }

    /// The same as reads see it.
    pub(super) fn seen<'r>(
        &self,
        model: &Model,
        properties: &Map,
        record: &'r Record,
    ) -> Option<&'r Map> {
        let item = self.shared.visible(model, record, self.now);
        item.filter(|item| model.is_named_by(item, properties, self.context))
    }

    fn expect_condition(
        &self,
        model: &Model,
        current: Option<&Map>,
        properties: &Map,
        terms: &Terms,
    ) -> Result<(), DbError> {
        let Some(condition) = &terms.condition else {
            return Ok(());
        };
        let condition = condition.condition("condition", model, self.hidden)?;
        let holds = match current {
            Some(item) => condition.holds(&model.seen(item, self.hidden)),
            None => condition.holds(&Map::new()),
        };
        if holds {
            return Ok(());
        }
        Err(DbError::ConditionFailed {
            model: model.name().to_owned(),
            key: model.property_segments(properties, self.context).join("/"),
            item: current.map(|item| Box::new(model.properties(item, self.hidden))),
        })
    }

    fn put_shown(
        &mut self,
        model: &Model,
        key: ItemKey,
        before: Record,
        item: Map,
    ) -> Result<Map, DbError> {
        let shown = model.properties(&item, self.hidden);
        self.put(model, key, before, Some(item))?;
        Ok(shown)
    }

    /// Writes the item of a row, and with it what the cloud has to learn.
    pub(super) fn put(
        &mut self,
        model: &Model,
        key: ItemKey,
        before: Record,
        item: Option<Map>,
    ) -> Result<(), DbError> {
        let Some(after) = self.written(model, &before, item) else {
            return Ok(());
        };
        if after.item.is_some() {
            self.check_size(model, &after)?;
        }
        if let Some(item) = &after.item {
            self.check_index_keys(model, item)?;
        }
        let claims = self.claims(model, &before, after.item.as_ref())?;
        let removes = after.item.is_none();
        let met = match removes {
            true => before.item.as_ref(),
            false => self.current(model, &before),
        };
        self.ask_checks(model, met, after.item.as_ref())?;
        let is_bounded = model.process().is_bounded();
        let written = (is_bounded && !removes).then(|| key.clone());
        self.edit
            .put(self.shared, key, before, after, Origin::Local);
        self.put_claims(model, claims);
        if removes {
            return Ok(());
        }
        if let Some(written) = written {
            self.make_room(model, &written)?;
        }
        self.make_room_in_queue(model)
    }

    /// The record after a write; `None` when that changes nothing.
    pub(super) fn written(
        &self,
        model: &Model,
        before: &Record,
        item: Option<Map>,
    ) -> Option<Record> {
        if model.direction().is_up() {
            let mut after = before.clone();
            let is_other = after.write(item);
            after.stamp(self.now.trusted_wall());
            return is_other.then_some(after);
        }
        let mut after = Record::default();
        after.write_unsynced(item);
        (after != *before).then_some(after)
    }

    pub(super) fn writable(&self, model: &str) -> Result<&'a Model, DbError> {
        self.shared.writable(model)
    }

    /// Why an item cannot be made: `known` has its key.
    pub(super) fn exists(&self, model: &Model, item: &Map, known: &Map) -> DbError {
        let key = |model: &Model, item: &Map| model.key_segments(item, self.context).join("/");
        let owner = self.shared.schema.model_of(known).unwrap_or(model);
        if owner.name() == model.name() && key(model, item) == key(model, known) {
            let exists = DbError::Exists {
                model: model.name().to_owned(),
                key: key(model, item),
            };
            return self.if_hidden(model, known, exists);
        }
        DbError::KeyTaken {
            model: model.name().to_owned(),
            key: key(model, item),
            owner: format!("{} ({})", owner.name(), key(owner, known)),
        }
    }

    /// An error about an item that stands in the way of a write: with the reason why nobody sees
    /// it, if that is so.
    pub(super) fn if_hidden(&self, model: &Model, item: &Map, error: DbError) -> DbError {
        match is_expired(model, item, || self.now) {
            true => DbError::Hidden(Box::new(error)),
            false => error,
        }
    }
}
