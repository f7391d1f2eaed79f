//! Rows past their time: hidden at once, purged when the time is trusted.

use periwinkle_core::schema::{Model, Schema};
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::time::{Now, UnixMillis};
use periwinkle_core::value::Map;

use super::database::Database;
use super::edit::Edit;
use super::error::DbError;
use super::feed::Origin;
use super::keys;
use super::shared::{STEP, decode};
use crate::engine::{Durability, Order, Rows};

impl Database {
    /// Removes rows past their time, and answers how many. Does nothing while the time is not
    /// trusted.
    ///
    /// A row that the cloud has not heard of stays, hidden, until it has; one of a model that
    /// travels down, until the cloud has removed it. Nothing is sent: the cloud has the same time
    /// of expiry.
    ///
    /// # Errors
    /// The disk failed; the rest stays.
    pub fn purge_expired(&self, now: Now) -> Result<u64, DbError> {
        let Some(wall) = now.trusted_wall() else {
            return Ok(0);
        };
        let mut purged = 0;
        for model in self.shared.schema.models() {
            // What the cloud writes goes when the cloud has removed it: until then it would only be
            // read from there again.
            if model.ttl_attribute().is_some()
                && !model.direction().is_down()
                && self.shared.parked_model(model).is_none()
            {
                purged += self.purge_model(model, wall)?;
            }
        }
        Ok(purged)
    }

    fn purge_model(&self, model: &Model, wall: UnixMillis) -> Result<u64, DbError> {
        let everything = model.key_range(&Map::new(), &self.shared.context)?;
        let mut range = keys::range(&everything, "");
        let mut purged = 0;
        loop {
            let store = &self.shared.store;
            let rows = store.some_rows(&range, Order::Forward, STEP)?;
            purged += self.purge_rows(model, wall, &rows)?;
            match rows.last() {
                Some(last) if rows.goes_on(STEP) => {
                    range = range.after(last.key, Order::Forward);
                }
                _ => return Ok(purged),
            }
        }
    }

    fn purge_rows(&self, model: &Model, wall: UnixMillis, rows: &Rows) -> Result<u64, DbError> {
        let mut expired = Vec::new();
        for row in rows.iter() {
            if let Some(key) = keys::parse_item(row.key)
                && is_over(&self.shared.schema, model, &decode(&key, row.value)?, wall)
            {
                expired.push(key);
            }
        }
        if expired.is_empty() {
            return Ok(0);
        }
        self.purge_keys(model, wall, &expired)
    }

    /// Removes those of the rows that are still over, now that nobody else writes.
    fn purge_keys(
        &self,
        model: &Model,
        wall: UnixMillis,
        expired: &[ItemKey],
    ) -> Result<u64, DbError> {
        let shared = &*self.shared;
        let mut state = shared.write_lock()?;
        let mut edit = Edit::default();
        let mut purged = 0;
        for key in expired {
            let record = shared.record(key)?;
            if is_over(&shared.schema, model, &record, wall) {
                purged += 1;
                edit.follow_claims(shared, record.item.as_ref(), None)?;
                edit.put(
                    shared,
                    key.clone(),
                    record,
                    Record::default(),
                    Origin::Local,
                );
            }
        }
        // What a power cut brings back is purged again.
        shared.commit(&mut state, edit, Durability::Lazy)?;
        Ok(purged)
    }
}

/// Whether a row is past its time and may go: the cloud knows what it has to know of it.
pub(super) fn is_over(schema: &Schema, model: &Model, record: &Record, wall: UnixMillis) -> bool {
    let Some(item) = &record.item else {
        return false;
    };
    let own = schema.model_of(item);
    record.change.is_none()
        && !model.direction().is_down()
        && own.is_some_and(|own| own.name() == model.name())
        && model.expires(item).is_some_and(|expires| expires <= wall)
}
