//! Bounds of items and models: sizes, and how many rows a model keeps.

use std::collections::BTreeMap;

use periwinkle_core::limits::{
    DB_SCAN_ROWS, DROPPED_ROWS_PER_WRITE_MAX, ITEM_BYTES_MAX, ITEM_SYNCED_BYTES_MAX,
};
use periwinkle_core::schema::{Model, item_bytes};
use periwinkle_core::sync::config::Direction;
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::value::Map;
use periwinkle_core::value::binary::{decode_varint, encode_varint};

use super::error::DbError;
use super::feed::Origin;
use super::keys;
use super::shared::decode;
use super::stats::Dropped;
use super::writer::Writer;
use crate::engine::{Order, Store};

impl Writer<'_> {
    /// Refuses an item that DynamoDB would refuse, before it is on its way.
    pub(super) fn check_size(&self, model: &Model, record: &Record) -> Result<(), DbError> {
        let bytes = record.item.as_ref().map_or(0, item_bytes);
        let bytes_max = match model.direction() {
            Direction::None => ITEM_BYTES_MAX,
            _ => ITEM_SYNCED_BYTES_MAX,
        };
        if bytes <= bytes_max {
            return Ok(());
        }
        Err(DbError::TooLarge {
            model: model.name().to_owned(),
            bytes,
            bytes_max,
        })
    }

    /// What has to go so that a model can get one more row within its `rows_max`: the rows that
    /// are first in the order of keys.
    ///
    /// In a model that both sides write, a row that vanished here would still be there: it refuses
    /// the new row instead.
    pub(super) fn room(&self, model: &Model) -> Result<Option<Vec<Drop>>, DbError> {
        let Some(rows_max) = model.process().rows_max else {
            return Ok(None);
        };
        let balance = self.edit.balance(model.name()) + 1;
        let rows = self.state.counts.of(model.name());
        let rows = rows.saturating_add_signed(balance);
        let excess = rows.saturating_sub(rows_max);
        if excess == 0 {
            return Ok(None);
        }
        if model.direction() == Direction::Both {
            return Err(full(model, "remove rows, or raise rows_max in the schema"));
        }
        let wanted = excess.min(DROPPED_ROWS_PER_WRITE_MAX as u64) as usize;
        let drops = self.first_rows(model, wanted)?;
        if drops.is_empty() {
            return Err(full(model, "all its rows are on their way to the cloud"));
        }
        Ok(Some(drops))
    }

    /// Drops rows in the same frame, and counts them.
    pub(super) fn drop_rows(&mut self, model: &Model, drops: Vec<Drop>) -> Result<(), DbError> {
        let dropped = Dropped {
            rows: drops.len() as u64,
            unsent: drops.iter().filter(|drop| drop.is_unsent()).count() as u64,
        };
        for Drop { key, record } in drops {
            self.edit
                .follow_claims(self.shared, record.item.as_ref(), None)?;
            let nothing = Record::default();
            self.edit
                .put(self.shared, key, record, nothing, Origin::Local);
        }
        let so_far = self.edit.dropped.as_ref().unwrap_or(&self.state.dropped);
        let mut sum = so_far.clone();
        sum.add(model.name(), dropped);
        self.edit.batch.put(&keys::note(NOTE), &sum.encode());
        self.edit.dropped = Some(sum);
        Ok(())
    }

    fn first_rows(&self, model: &Model, wanted: usize) -> Result<Vec<Drop>, DbError> {
        let everything = model.key_range(&Map::new(), &self.shared.context)?;
        let range = keys::range(&everything, "");
        let rows = self
            .shared
            .store
            .scan(&range, Order::Forward, DB_SCAN_ROWS)?;
        let mut drops = Vec::new();
        for entry in rows {
            if drops.len() == wanted {
                break;
            }
            let Some(key) = keys::parse_item(&entry.key) else {
                continue;
            };
            let record = decode(&key, &entry.value)?;
            if !self.edit.holds(&key) && self.may_drop(model, &record) {
                drops.push(Drop { key, record });
            }
        }
        Ok(drops)
    }

    /// A row whose attempt is on its way must be there when the answer comes.
    fn may_drop(&self, model: &Model, record: &Record) -> bool {
        let in_flight = record
            .change
            .as_ref()
            .is_some_and(|change| change.frozen.is_some());
        let own = record.item.as_ref().is_some_and(|item| {
            let own = self.shared.schema.model_of(item);
            own.is_some_and(|own| own.name() == model.name())
        });
        own && !in_flight
    }
}

/// A row that gives way to a new one.
pub(super) struct Drop {
    key: ItemKey,
    record: Record,
}

impl Drop {
    fn is_unsent(&self) -> bool {
        self.record.change.is_some()
    }
}

fn full(model: &Model, advice: &str) -> DbError {
    let rows_max = model.process().rows_max.unwrap_or_default();
    DbError::Full {
        what: model.name().to_owned(),
        reason: format!("it keeps {rows_max} rows; {advice}"),
    }
}

/// How many rows each model has dropped, kept in the frames that drop them.
#[derive(Clone, Debug, Default)]
pub(super) struct DroppedRows(BTreeMap<String, Dropped>);

const NOTE: &str = "dropped";

impl DroppedRows {
    pub(super) fn read(store: &Store) -> Result<DroppedRows, DbError> {
        let Some(entry) = store.get(&keys::note(NOTE))? else {
            return Ok(DroppedRows::default());
        };
        Ok(DroppedRows(parse(&entry.value).unwrap_or_default()))
    }

    pub(super) fn by_model(&self) -> BTreeMap<String, Dropped> {
        self.0.clone()
    }

    fn add(&mut self, model: &str, dropped: Dropped) {
        let sum = self.0.entry(model.to_owned()).or_default();
        sum.rows += dropped.rows;
        sum.unsent += dropped.unsent;
    }

    fn encode(&self) -> Vec<u8> {
        let mut value = Vec::new();
        for (model, dropped) in &self.0 {
            encode_varint(model.len() as u64, &mut value);
            value.extend_from_slice(model.as_bytes());
            encode_varint(dropped.rows, &mut value);
            encode_varint(dropped.unsent, &mut value);
        }
        value
    }
}

fn parse(mut bytes: &[u8]) -> Option<BTreeMap<String, Dropped>> {
    let mut all = BTreeMap::new();
    while !bytes.is_empty() {
        let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
        let (name, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        let dropped = Dropped {
            rows: take_varint(&mut bytes)?,
            unsent: take_varint(&mut bytes)?,
        };
        all.insert(String::from_utf8(name.to_vec()).ok()?, dropped);
    }
    Some(all)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let (value, used) = decode_varint(bytes)?;
    *bytes = &bytes[used..];
    Some(value)
}
