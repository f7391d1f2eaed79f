//! Bounds of items, models and the queue: sizes, how many rows are kept, and what goes.

use std::collections::BTreeMap;

use periwinkle_core::limits::{ITEM_BYTES_MAX, ITEM_SYNCED_BYTES_MAX};
use periwinkle_core::schema::{Model, Overflow};
use periwinkle_core::sync::config::Direction;
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::value::attribute::item_bytes;
use periwinkle_core::value::binary::{decode_varint, encode_varint};

use super::error::DbError;
use super::feed::Origin;
use super::index::{self, Line};
use super::keys;
use super::options::QueueBounds;
use super::stats::{Beyond, Dropped};
use super::writer::{FrameOf, Writer};
use crate::engine::{Batch, Store};

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

    /// Keeps a model within its bounds, now that the frame writes a row of it: the oldest others
    /// go in the same frame, or the write is refused, as the model's `overflow` says.
    pub(super) fn make_room(&mut self, model: &Model, written: &ItemKey) -> Result<(), DbError> {
        if self.excess(model).is_none() {
            return Ok(());
        }
        let hidden = self.purge_for_room(model)?;
        let excess = self.excess(model);
        if excess.is_none() {
            return Ok(());
        }
        let bytes_max = model.process().bytes_max;
        let is_over = |bytes: u64| bytes_max.is_some_and(|max| bytes > max);
        let record = self.edit.record(written);
        let own = record.map_or(0, |record| index::row_bytes(written, record));
        if is_over(own) || model.process().overflow == Overflow::Refuse {
            let advice = format!("{MAKE_ROOM}{}", self.why_hidden(hidden));
            return Err(full(model, &advice));
        }
        let alone = self.edit.weight(model.name());
        if self.frame == FrameOf::One && is_over(alone.max(0) as u64) {
            return Err(full(model, NOTHING_TO_DROP));
        }
        let mut drops = self.pick(model, Line::Age, excess)?;
        if drops.is_empty() && self.frame == FrameOf::Many {
            drops = self.pick_of_frame(model, written, excess);
        }
        if drops.is_empty() {
            return Err(full(model, NOTHING_TO_DROP));
        }
        self.drop_rows(model, drops)
    }

    /// Keeps the queue to the cloud within its bounds, in the same way: with rows of the model that
    /// have not been sent.
    pub(super) fn make_room_in_queue(&mut self, model: &Model) -> Result<(), DbError> {
        let excess = self.excess_of_queue(model);
        if excess.is_none() {
            return Ok(());
        }
        let drops = match model.process().overflow {
            Overflow::Refuse => Vec::new(),
            Overflow::DropOldest => self.pick(model, Line::Queue, excess)?,
        };
        if drops.is_empty() {
            let reason = "the cloud has not taken what waits for it; see `sync` in status, or raise \
                          db.queue_rows_max and db.queue_bytes_max";
            return Err(DbError::Full {
                what: "the queue to the cloud".to_owned(),
                reason: reason.to_owned(),
            });
        }
        self.drop_rows(model, drops)
    }

    fn excess(&self, model: &Model) -> Excess {
        let process = model.process();
        let (name, counts) = (model.name(), &self.state.counts);
        let rows = process.rows_max.map_or(0, |rows_max| {
            over(counts.of(name), self.edit.balance(name), rows_max)
        });
        let bytes = process.bytes_max.map_or(0, |bytes_max| {
            let more = self.edit.weight(name);
            over(counts.bytes_of(name), more, bytes_max)
        });
        Excess { rows, bytes }
    }

    fn excess_of_queue(&self, model: &Model) -> Excess {
        let bounds = self.shared.queue;
        if !bounds.is_bounded() || !model.direction().is_up() {
            return Excess::default();
        }
        let QueueBounds {
            rows_max,
            bytes_max,
        } = bounds;
        let queue = index::backlog(&self.shared.store);
        let (rows, bytes) = self.edit.queued();
        Excess {
            rows: rows_max.map_or(0, |max| over(queue.rows, rows, max)),
            bytes: bytes_max.map_or(0, |max| over(queue.bytes, bytes, max)),
        }
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
        let so_far = &self.state.dropped;
        let sum = self.edit.dropped.get_or_insert_with(|| so_far.clone());
        sum.add(model.name(), dropped);
        Ok(())
    }

    /// A row whose attempt is on its way must be there when the answer comes.
    pub(super) fn may_drop(&self, model: &Model, record: &Record) -> bool {
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
    pub(super) key: ItemKey,
    pub(super) record: Record,
}

impl Drop {
    fn is_unsent(&self) -> bool {
        self.record.change.is_some()
    }
}

/// By how much `more` exceeds a bound. What adds nothing need not make room, whatever is there.
fn over(is: u64, more: i64, max: u64) -> u64 {
    if more <= 0 {
        return 0;
    }
    is.saturating_add_signed(more).saturating_sub(max)
}

/// How much has to go.
#[derive(Clone, Copy, Default)]
pub(super) struct Excess {
    rows: u64,
    bytes: u64,
}

impl From<Beyond> for Excess {
    fn from(Beyond { rows, bytes }: Beyond) -> Excess {
        Excess { rows, bytes }
    }
}

impl Excess {
    pub(super) fn is_none(self) -> bool {
        self.rows == 0 && self.bytes == 0
    }

    /// A row of so many bytes goes.
    pub(super) fn take(&mut self, bytes: u64) {
        self.rows = self.rows.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// A row that a write has made is never dropped by another write of the same frame.
const NOTHING_TO_DROP: &str = "what is written here at once, as a whole or not at all, is more than \
                               that: write it in parts";

pub(super) const MAKE_ROOM: &str = "remove rows, or raise the bound in the schema";

pub(super) fn full(model: &Model, advice: &str) -> DbError {
    let process = model.process();
    let rows = process.rows_max.map(|rows_max| match rows_max {
        1 => "1 row".to_owned(),
        rows_max => format!("{rows_max} rows"),
    });
    let bytes = process
        .bytes_max
        .map(|bytes_max| format!("{bytes_max} bytes"));
    let bounds: Vec<String> = rows.into_iter().chain(bytes).collect();
    DbError::Full {
        what: model.name().to_owned(),
        reason: format!("it keeps {}; {advice}", bounds.join(" and ")),
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

    /// Notes the counts in the frame that changes them.
    pub(super) fn note(&self, batch: &mut Batch) {
        batch.put(&keys::note(NOTE), &self.encode());
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
