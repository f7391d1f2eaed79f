//! What the clones of a database share, and how a frame is committed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use periwinkle_core::ids::UlidSource;
use periwinkle_core::limits::{DB_SCAN_BYTES_MAX, DB_SCAN_ROWS};
use periwinkle_core::schema::{Hidden, Model, Schema, Written};
use periwinkle_core::sync::record::{ItemKey, Record, RecordError};
use periwinkle_core::time::Now;
use periwinkle_core::value::Map;

use super::checks::Checks;
use super::edit::Edit;
use super::error::DbError;
use super::feed::Feed;
use super::full::Searched;
use super::index::{Counts, Declared};
use super::oldest::PassedOver;
use super::options::{Environment, QueueBounds};
use super::reentry::Reentry;
use super::reindex::Completed;
use super::rows::DroppedRows;
use super::written::{self, ParkedModel};
use super::{keys, reindex};
use crate::engine::{self, Durability, Step, Store, Subscription};

/// What one call reads of the engine at once.
pub(super) const STEP: Step = Step {
    rows: DB_SCAN_ROWS,
    bytes: DB_SCAN_BYTES_MAX,
};

/// What all clones share.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) schema: Arc<Schema>,
    /// The indexes of the schema.
    pub(super) declared: Vec<Declared>,
    pub(super) context: Map,
    pub(super) queue: QueueBounds,
    /// Models that a newer major version of the schema has written to.
    pub(super) parked: Vec<ParkedModel>,
    pub(super) environment: Arc<dyn Environment>,
    /// Held by whoever writes, from reading to committing. Never taken by a listener
    /// for durability, which may run on the very thread that holds it.
    pub(super) state: Mutex<State>,
    pub(super) reentry: Reentry,
    pub(super) checks: Checks,
    pub(super) feed: Arc<Feed>,
    pub(super) _subscription: Subscription,
}

/// What writers share.
pub(super) struct State {
    pub(super) counts: Counts,
    pub(super) ulids: UlidSource,
    pub(super) dropped: DroppedRows,
    pub(super) passed_over: PassedOver,
    pub(super) searched: Searched,
    /// The versions of the schema that the models were last written in.
    pub(super) written: Written,
    /// The first frame of the database has to say that rows have their index entries.
    note_due: bool,
}

impl Shared {
    /// The lock of whoever writes; refused to code that runs under it already.
    pub(super) fn write_lock(&self) -> Result<MutexGuard<'_, State>, DbError> {
        self.reentry.check()?;
        Ok(self.lock())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        assert!(
            self.reentry.check().is_ok(),
            "a transaction or a check asked for what only the end of it can give"
        );
        // Counts change only after a commit, in calls that cannot panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model of that name, if programs here may write it.
    pub(super) fn writable(&self, model: &str) -> Result<&Model, DbError> {
        let model = self.model(model)?;
        let direction = model.direction();
        if direction.is_down() && !direction.is_up() {
            return Err(DbError::ReadOnlyModel {
                model: model.name().to_owned(),
            });
        }
        Ok(model)
    }

    /// The record of `key`, as committed; an empty one if there is none.
    pub(super) fn record(&self, key: &ItemKey) -> Result<Record, DbError> {
        match self.store.get(&keys::item(key))? {
            Some(entry) => decode(key, &entry.value),
            None => Ok(Record::default()),
        }
    }

    /// The properties of the item that these name, as committed, if programs see it.
    pub(super) fn properties(
        &self,
        model: &Model,
        named: &Map,
        context: &Map,
        hidden: Hidden,
    ) -> Result<Option<Map>, DbError> {
        let key = &keys::named(model, named, context)?;
        let Some(entry) = self.store.get(key)? else {
            return Ok(None);
        };
        let listed = model.attributes_listed(hidden);
        let listed = listed.filter(|_| !model.hides_key_parts());
        let item = match listed {
            Some(names) => Record::decode_item(&entry.value, names),
            None => Record::decode(&entry.value).map(|record| record.item),
        };
        let item = item.map_err(|source| {
            let key = keys::parse_item(key).expect("it was made of the two texts of an item's key");
            unreadable(&key, source)
        })?;
        let item = item.filter(|item| !is_expired(model, item, || self.environment.now()));
        let item = item.filter(|item| model.is_named_by(item, named, context));
        Ok(item.map(|item| match listed {
            Some(_) => model.into_listed(item, hidden),
            None => model.into_properties(item, hidden),
        }))
    }

    /// The item that programs see: not when it is expired.
    pub(super) fn visible<'r>(
        &self,
        model: &Model,
        record: &'r Record,
        now: Now,
    ) -> Option<&'r Map> {
        let item = record.item.as_ref();
        item.filter(|item| !is_expired(model, item, || now))
    }

    /// The item that a write meets: also one that is hidden by a time that is not trusted.
    pub(super) fn standing<'r>(
        &self,
        model: &Model,
        record: &'r Record,
        now: Now,
    ) -> Option<&'r Map> {
        let item = record.item.as_ref();
        item.filter(|item| !is_gone(model, item, now))
    }

    /// Commits a frame, which the queue knows at once; then counts and streams know of it.
    pub(super) fn commit(
        &self,
        state: &mut State,
        edit: Edit,
        durability: Durability,
    ) -> Result<engine::Committed, DbError> {
        let dropped = edit.dropped.clone();
        let (mut batch, touched) = edit.seal(self);
        let models = touched.iter().filter_map(|row| row.model.as_deref());
        let written = written::after(&state.written, &self.schema, models);
        if let Some(written) = &written {
            written::note(&mut batch, written);
        }
        let noted = state.note_due && !batch.is_empty();
        if noted {
            reindex::note(&mut batch, &self.schema, &self.declared);
        }
        let committed = self.store.commit(&batch, durability)?;
        state.note_due &= !noted;
        let mut told = Vec::new();
        for touched in touched {
            let sequence = committed.sequence;
            if let Some(model) = &touched.model {
                let (was, is) = (touched.was_live, touched.is_live);
                state.counts.count(model, was, is);
                if touched.bytes != 0 {
                    state.counts.weigh(model, touched.bytes);
                }
            }
            if let Some(mut entry) = touched.told {
                entry.sequence = sequence;
                told.push(entry);
            }
        }
        if let Some(written) = written {
            state.written = written;
        }
        if let Some(dropped) = dropped {
            state.dropped = dropped;
        }
        self.feed.push(told);
        Ok(committed)
    }
}

pub(super) fn decode(key: &ItemKey, bytes: &[u8]) -> Result<Record, DbError> {
    Record::decode(bytes).map_err(|source| unreadable(key, source))
}

pub(super) fn unreadable(key: &ItemKey, source: RecordError) -> DbError {
    DbError::Record {
        key: key.clone(),
        source,
    }
}

/// Whether programs do not see an item any more, by the best known time. It may come back into
/// sight when that was wrong, so that nothing may be written on the strength of it.
///
/// The clock is asked only if the answer depends on it.
pub(super) fn is_expired(model: &Model, item: &Map, now: impl FnOnce() -> Now) -> bool {
    let expires = model.expires(item);
    expires.is_some_and(|expires| now().wall.is_some_and(|wall| expires <= wall))
}

/// Whether the time of an item is over for good.
pub(super) fn is_gone(model: &Model, item: &Map, now: Now) -> bool {
    now.trusted && is_expired(model, item, || now)
}

/// What writers share, of a database that was just opened, and what was done about its indexes.
/// Reads keys and no values, unless rows have to get other index entries.
pub(super) fn read_state(store: &Store, schema: &Schema) -> Result<(State, Completed), DbError> {
    let indexed = reindex::complete(store, schema)?;
    let state = State {
        counts: Counts::read(store, schema),
        ulids: UlidSource::default(),
        dropped: DroppedRows::read(store)?,
        passed_over: PassedOver::default(),
        searched: Searched::default(),
        written: written::read(store)?.unwrap_or_default(),
        note_due: indexed.note_due,
    };
    Ok((state, indexed))
}
