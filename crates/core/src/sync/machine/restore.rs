//! A table that went back in time: what only the device still has is sent again.

use super::Machine;
use crate::limits::SYNC_BATCH_ROWS_MAX;
use crate::sync::config::Direction;
use crate::sync::record::{ItemKey, Record};
use crate::sync::store::{Store, StoreError};

/// How far the rows here have been gone through.
#[derive(Clone, Debug, Default)]
pub(super) struct Restore {
    after: Option<ItemKey>,
}

impl Restore {
    pub(super) fn begin(&mut self, needed: bool) {
        self.after = needed.then(|| ItemKey::new("", ""));
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.after.is_some()
    }
}

impl Machine {
    /// Makes the next rows of models that travel up into creates. Where the table still has them,
    /// the creates find equal items, or older ones that they replace.
    pub(super) fn restore_rows(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let Some(after) = &self.restore.after else {
            return Ok(());
        };
        let keys = store.rows_after(after, SYNC_BATCH_ROWS_MAX)?;
        self.restore.after = keys.last().cloned();
        self.busy = true;
        let up: Vec<ItemKey> = keys
            .into_iter()
            .filter(|key| self.only_travels_up(key))
            .collect();
        store.modify(&up, &mut |frame| {
            for record in frame
                .records
                .iter_mut()
                .filter(|record| record.change.is_none())
            {
                let item = record.item.take();
                *record = Record::default();
                record.write(item);
            }
        })?;
        self.queue.refill();
        Ok(())
    }

    fn only_travels_up(&self, key: &ItemKey) -> bool {
        self.config
            .model_of(key)
            .is_some_and(|model| model.direction == Direction::Up)
    }
}
