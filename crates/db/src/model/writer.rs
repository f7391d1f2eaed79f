//! One local write: from properties to the rows of a frame.

use periwinkle_core::schema::{Model, PropertyError, Writing};
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::time::Now;
use periwinkle_core::value::Map;

use super::edit::Edit;
use super::error::DbError;
use super::feed::Origin;
use super::shared::{Shared, State};

/// One write in the making.
pub(super) struct Writer<'a> {
    pub(super) shared: &'a Shared,
    pub(super) model: &'a Model,
    pub(super) now: Now,
    pub(super) state: &'a mut State,
    pub(super) edit: Edit,
}

impl Writer<'_> {
    pub(super) fn new_item(&mut self, properties: &Map) -> Result<Map, PropertyError> {
        let model = self.model;
        self.with_writing(|writing| model.create(properties, writing))
    }

    pub(super) fn changed_item(
        &mut self,
        current: &Map,
        changes: &Map,
    ) -> Result<Map, PropertyError> {
        let model = self.model;
        self.with_writing(|writing| model.update(current, changes, writing))
    }

    fn with_writing<T>(&mut self, action: impl FnOnce(&mut Writing<'_>) -> T) -> T {
        let environment = &self.shared.environment;
        let mut entropy = |bytes: &mut [u8]| environment.fill(bytes);
        action(&mut Writing {
            context: &self.shared.context,
            wall: self.now.wall,
            ulids: &mut self.state.ulids,
            entropy: &mut entropy,
        })
    }

    pub(super) fn record(&self, key: &ItemKey) -> Result<Record, DbError> {
        self.shared.record(key)
    }

    pub(super) fn row_of(&self, item: &Map) -> Result<(ItemKey, Record), DbError> {
        let key = self
            .model
            .key_of(item)
            .expect("an item of a model carries its key");
        let record = self.record(&key)?;
        Ok((key, record))
    }

    pub(super) fn sees(&self, record: &Record) -> bool {
        self.shared.visible(self.model, record, self.now).is_some()
    }

    pub(super) fn current(&self, record: &Record) -> Option<Map> {
        self.shared.visible(self.model, record, self.now).cloned()
    }

    /// Writes the item of a row, and with it what the cloud has to learn.
    pub(super) fn put(
        &mut self,
        key: &ItemKey,
        before: &Record,
        item: Option<Map>,
    ) -> Result<(), DbError> {
        let mut after = before.clone();
        if self.model.direction().is_up() {
            if !after.write(item) {
                return Ok(());
            }
            after.stamp(self.now.trusted_wall());
        } else {
            after.write_unsynced(item);
            if after == *before {
                return Ok(());
            }
        }
        if after.item.is_some() {
            self.check_size(&after)?;
        }
        self.edit
            .put(self.shared, key, before, &after, Origin::Local);
        if before.item.is_none() && after.item.is_some() {
            self.make_room()?;
        }
        Ok(())
    }
}
