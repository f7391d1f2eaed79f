//! The database as replication sees it.

use periwinkle_core::limits::DB_SCAN_ROWS;
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::sync::store::{self, Backlog, Conflict, Dirty, Frame, StoreError};
use periwinkle_core::value::{Map, Value};

use super::database::Database;
use super::edit::Edit;
use super::error::DbError;
use super::feed::Origin;
use super::index;
use super::keys;
use super::shared::State;
use super::writer::{FrameOf, Writer};
use crate::engine::{Durability, Order};

/// The model that keeps values which lost, if the schema has it.
const CONFLICTS: &str = "Conflicts";

impl store::Store for Database {
    fn record(&self, key: &ItemKey) -> Result<Record, StoreError> {
        self.shared.record(key).map_err(store_error)
    }

    fn modify(
        &self,
        keys: &[ItemKey],
        edit: &mut dyn FnMut(&mut Frame),
    ) -> Result<u64, StoreError> {
        self.modify_rows(keys, edit).map_err(store_error)
    }

    fn dirty(&self, after: Option<&Dirty>, limit: usize) -> Result<Vec<Dirty>, StoreError> {
        let shared = &*self.shared;
        let page = |after: Option<&Dirty>, limit| index::dirty(&shared.store, after, limit);
        unparked(after, limit, page, |dirty| !shared.is_parked(&dirty.key))
    }

    fn parked(&self, after: Option<&ItemKey>, limit: usize) -> Result<Vec<ItemKey>, StoreError> {
        let shared = &*self.shared;
        let page = |after: Option<&ItemKey>, limit| index::parked(&shared.store, after, limit);
        unparked(after, limit, page, |key| !shared.is_parked(key))
    }

    fn rows_after(&self, after: &ItemKey, limit: usize) -> Result<Vec<ItemKey>, StoreError> {
        let range = keys::items().after(&keys::item(after), Order::Forward);
        let found = self.shared.store.keys(&range, Order::Forward, limit);
        Ok(found
            .iter()
            .filter_map(|key| keys::parse_item(key))
            .collect())
    }

    fn service(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.shared.store.get(&keys::service(name));
        let row = row.map_err(|error| store_error(error.into()))?;
        Ok(row.map(|entry| entry.value.to_vec()))
    }

    fn services_after(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let range = keys::services().after(&keys::service(after), Order::Forward);
        let limit = limit.min(DB_SCAN_ROWS);
        let rows = self.shared.store.rows(&range, Order::Forward, limit);
        let rows = rows.map_err(|error| store_error(error.into()))?;
        Ok(rows
            .iter()
            .filter_map(|row| Some((keys::parse_service(row.key)?, row.value.to_vec())))
            .collect())
    }

    fn backlog(&self) -> Backlog {
        let _nobody_writes = self.shared.lock();
        index::backlog(&self.shared.store)
    }
}

impl Database {
    fn modify_rows(
        &self,
        keys: &[ItemKey],
        change: &mut dyn FnMut(&mut Frame),
    ) -> Result<u64, DbError> {
        let shared = &*self.shared;
        let mut state = shared.write_lock()?;
        let before = keys
            .iter()
            .map(|key| shared.record(key))
            .collect::<Result<Vec<_>, _>>()?;
        let mut frame = Frame::over(before.clone());
        change(&mut frame);
        let mut edit = Edit::default();
        // A queue that cannot be sent would keep a full disk full.
        edit.batch.lead_out();
        for ((key, before), after) in keys.iter().zip(before).zip(frame.records) {
            if before != after && !shared.is_parked(key) {
                debug_assert_eq!(after.check(), Ok(()), "{key}");
                edit.follow_claims(shared, before.item.as_ref(), after.item.as_ref())?;
                edit.put(shared, key.clone(), before, after, Origin::Cloud);
            }
        }
        for (name, value) in &frame.service {
            match value {
                Some(value) => edit.batch.put(&keys::service(name), value),
                None => edit.batch.delete(&keys::service(name)),
            };
        }
        let edit = self.keep_conflicts(&mut state, edit, &frame.conflicts)?;
        let committed = shared.commit(&mut state, edit, Durability::Relaxed)?;
        Ok(committed.sequence)
    }

    /// Puts the values that lost into the frame that loses them.
    fn keep_conflicts(
        &self,
        state: &mut State,
        edit: Edit,
        conflicts: &[Conflict],
    ) -> Result<Edit, DbError> {
        let shared = &*self.shared;
        let Ok(model) = shared.model(CONFLICTS) else {
            for conflict in conflicts {
                tracing::warn!(
                    target: "db",
                    model = conflict.model, kind = conflict.kind.as_str(),
                    "a value lost a conflict, and there is no model Conflicts to keep it in"
                );
            }
            return Ok(edit);
        };
        let mut writer = Writer {
            shared,
            context: &shared.context,
            hidden: self.hidden,
            now: shared.environment.now(),
            state,
            edit,
            frame: FrameOf::Many,
        };
        for conflict in conflicts {
            let item = writer.new_item(model, &properties(conflict))?;
            let (key, record) = writer.row_of(model, &item)?;
            writer.put(model, key, record, Some(item))?;
        }
        Ok(writer.edit)
    }
}

/// The next rows of a list that are not left alone: as many as are wanted, or all there are.
fn unparked<T: Clone>(
    after: Option<&T>,
    limit: usize,
    page: impl Fn(Option<&T>, usize) -> Vec<T>,
    is_wanted: impl Fn(&T) -> bool,
) -> Result<Vec<T>, StoreError> {
    let mut wanted = Vec::new();
    let mut after = after.cloned();
    loop {
        let rows = page(after.as_ref(), limit);
        let is_last = rows.len() < limit;
        after = rows.last().cloned().or(after);
        wanted.extend(rows.into_iter().filter(&is_wanted));
        if is_last || wanted.len() >= limit {
            wanted.truncate(limit);
            return Ok(wanted);
        }
    }
}

fn properties(conflict: &Conflict) -> Map {
    let side = |side: &Option<Map>| match side {
        Some(fields) => Value::Map(fields.clone()),
        None => Value::Null,
    };
    Map::from([
        ("model", Value::from(conflict.model.as_str())),
        ("item", Value::from(conflict.key.to_string())),
        ("kind", Value::from(conflict.kind.as_str())),
        ("local", side(&conflict.local)),
        ("cloud", side(&conflict.cloud)),
        ("winner", Value::from(conflict.winner.as_str())),
        (
            "at",
            conflict.at.map_or(Value::Null, |at| Value::from(at.iso())),
        ),
    ])
}

fn store_error(error: DbError) -> StoreError {
    StoreError(error.to_string())
}
