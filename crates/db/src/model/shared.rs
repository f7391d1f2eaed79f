//! What the clones of a database share, and how a frame is committed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use periwinkle_core::ids::UlidSource;
use periwinkle_core::limits::DB_SCAN_ROWS;
use periwinkle_core::schema::{Model, Schema, Written};
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::time::Now;
use periwinkle_core::value::Map;

use super::edit::Edit;
use super::error::DbError;
use super::feed::Feed;
use super::index::{Index, RowFacts};
use super::keys;
use super::options::Environment;
use super::rows::DroppedRows;
use super::written::{self, ParkedModel};
use crate::engine::{self, Durability, Order, Store, Subscription};

/// What all clones share.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) schema: Arc<Schema>,
    pub(super) context: Map,
    /// Models that a newer major version of the schema has written to.
    pub(super) parked: Vec<ParkedModel>,
    pub(super) environment: Arc<dyn Environment>,
    /// Held by whoever writes, from reading to committing. Never taken on the storage thread.
    pub(super) state: Mutex<State>,
    pub(super) feed: Arc<Feed>,
    pub(super) _subscription: Subscription,
}

/// What writers share.
pub(super) struct State {
    pub(super) index: Index,
    pub(super) ulids: UlidSource,
    pub(super) dropped: DroppedRows,
    /// The versions of the schema that the models were last written in.
    pub(super) written: Written,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Index and counts change only after a commit, in calls that cannot panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record of `key`, as committed; an empty one if there is none.
    pub(super) fn record(&self, key: &ItemKey) -> Result<Record, DbError> {
        match self.store.get(&keys::item(key))? {
            Some(entry) => decode(key, &entry.value),
            None => Ok(Record::default()),
        }
    }

    /// The item that programs see: not when it is expired.
    pub(super) fn visible<'r>(
        &self,
        model: &Model,
        record: &'r Record,
        now: Now,
    ) -> Option<&'r Map> {
        let item = record.item.as_ref()?;
        match (model.expires(item), now.wall) {
            (Some(expires), Some(wall)) if expires <= wall => None,
            _ => Some(item),
        }
    }

    /// Commits a frame; then queue, counts and streams know of it.
    pub(super) fn commit(
        &self,
        state: &mut State,
        mut edit: Edit,
        durability: Durability,
    ) -> Result<engine::Committed, DbError> {
        let models = edit.touched.iter().filter_map(|row| row.model.as_deref());
        let written = written::after(&state.written, &self.schema, models);
        if let Some(written) = &written {
            written::note(&mut edit, written);
        }
        let committed = self.store.commit(&edit.batch, durability)?;
        let mut told = Vec::new();
        for touched in edit.touched {
            let sequence = committed.sequence;
            state.index.set(&touched.key, touched.facts, sequence);
            if let Some(model) = &touched.model {
                let (was, is) = (touched.was_live, touched.facts.live);
                state.index.count(model, was, is);
            }
            if let Some(mut entry) = touched.told {
                entry.sequence = sequence;
                told.push(entry);
            }
        }
        if let Some(written) = written {
            state.written = written;
        }
        if let Some(dropped) = edit.dropped {
            state.dropped = dropped;
        }
        self.feed.push(told);
        Ok(committed)
    }
}

pub(super) fn decode(key: &ItemKey, bytes: &[u8]) -> Result<Record, DbError> {
    Record::decode(bytes).map_err(|source| DbError::Record {
        key: key.clone(),
        source,
    })
}

/// Reads all rows once: what waits for the cloud, and how many rows each model has.
pub(super) fn read_state(store: &Store, schema: &Schema) -> Result<State, DbError> {
    let mut index = Index::default();
    let mut range = keys::items();
    loop {
        let rows = store.scan(&range, Order::Forward, DB_SCAN_ROWS)?;
        for entry in &rows {
            let Some(key) = keys::parse_item(&entry.key) else {
                continue;
            };
            let record = decode(&key, &entry.value)?;
            let facts = RowFacts::of(&record, entry.value.len());
            if let Some(model) = schema.model_of_key(&key) {
                index.count(model.name(), false, facts.live);
            }
            index.set(&key, facts, entry.sequence);
        }
        match rows.last() {
            Some(last) if rows.len() == DB_SCAN_ROWS => {
                range = range.after(&last.key, Order::Forward);
            }
            _ => break,
        }
    }
    Ok(State {
        index,
        ulids: UlidSource::default(),
        dropped: DroppedRows::read(store)?,
        written: written::read(store)?.unwrap_or_default(),
    })
}
