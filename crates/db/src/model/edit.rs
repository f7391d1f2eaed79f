//! One frame in the making: rows to write, and what they mean for queue, counts and streams.

use std::collections::BTreeMap;

use periwinkle_core::schema::Model;
use periwinkle_core::sync::record::{ItemKey, Record, same_content};
use periwinkle_core::value::Map;
use periwinkle_core::value::attribute::item_bytes;

use super::catch_up;
use super::feed::{Entry, Origin};
use super::index;
use super::keys;
use super::oldest::Looked;
use super::rows::DroppedRows;
use super::shared::Shared;
use crate::engine::{Batch, IndexId};

/// The writes of one frame. Nothing of it is visible to others before it is committed.
#[derive(Default)]
pub(super) struct Edit {
    rows: Vec<Row>,
    /// Where rows stand, once there are more than [`FEW`].
    places: BTreeMap<ItemKey, usize>,
    /// By how much the frame changes the number of items of models.
    balance: BTreeMap<String, i64>,
    /// By how much it changes the bytes of models with a bound.
    weights: BTreeMap<String, i64>,
    /// By how much it changes what waits for the cloud.
    queued: Queued,
    /// What it has looked at to find room.
    pub(super) looked: Looked,
    /// Writes that are no items.
    pub(super) batch: Batch,
    /// What models have dropped, if the frame drops more.
    pub(super) dropped: Option<DroppedRows>,
}

/// Up to so many rows, looking at each of them is the fastest way to find one.
const FEW: usize = 8;

/// Most rows are written without their buffer having to grow.
const VALUE_BYTES_USUAL: usize = 512;

/// A row that the frame writes.
pub(super) struct Row {
    pub(super) key: ItemKey,
    pub(super) before: Record,
    pub(super) after: Record,
    model: Option<String>,
    origin: Origin,
    weight_before: Weight,
    weight_after: Weight,
}

/// What a record is to the bounds; nothing to those that are not set.
#[derive(Clone, Copy, Default)]
struct Weight {
    /// Bytes of the row for a model with a bound. The news of a removal belong to the queue.
    bytes: i64,
    queued: Queued,
}

/// Rows and bytes that wait for the cloud.
#[derive(Clone, Copy, Default)]
struct Queued {
    rows: i64,
    bytes: i64,
}

/// A row that a frame has written.
pub(super) struct Touched {
    pub(super) model: Option<String>,
    pub(super) was_live: bool,
    pub(super) is_live: bool,
    /// How many bytes more the model has, if it has a bound.
    pub(super) bytes: i64,
    /// What streams tell of it; `None` when programs see no difference.
    pub(super) told: Option<Entry>,
}

impl Edit {
    /// Replaces the row of `key`, which is `before` so far. An empty record is a row to remove.
    pub(super) fn put(
        &mut self,
        shared: &Shared,
        key: ItemKey,
        before: Record,
        after: Record,
        origin: Origin,
    ) {
        let change = i64::from(after.item.is_some()) - i64::from(before.item.is_some());
        let place = match self.place(&key) {
            Some(place) => place,
            None => self.add(shared, key, before, origin),
        };
        let row = &mut self.rows[place];
        let weight = Weight::of(shared, &row.key, row.model.as_deref(), &after);
        let before = std::mem::replace(&mut row.weight_after, weight);
        row.after = after;
        row.origin = origin;
        self.queued.rows += weight.queued.rows - before.queued.rows;
        self.queued.bytes += weight.queued.bytes - before.queued.bytes;
        if let Some(model) = &row.model {
            add_to(&mut self.balance, model, change);
            add_to(&mut self.weights, model, weight.bytes - before.bytes);
            if row.after.item.is_some() {
                self.looked.forget_from(model, place);
            }
        }
    }

    /// The record that the frame makes of a row; `None` when it does not write it.
    pub(super) fn record(&self, key: &ItemKey) -> Option<&Record> {
        self.place(key).map(|place| &self.rows[place].after)
    }

    /// Whether the frame writes this row.
    pub(super) fn holds(&self, key: &ItemKey) -> bool {
        self.place(key).is_some()
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// How many items of a model the frame adds, less those it removes.
    pub(super) fn balance(&self, model: &str) -> i64 {
        self.balance.get(model).copied().unwrap_or(0)
    }

    /// How many bytes the frame adds to a model with a bound, less those it takes away.
    pub(super) fn weight(&self, model: &str) -> i64 {
        self.weights.get(model).copied().unwrap_or(0)
    }

    /// How many rows and bytes more wait for the cloud when the frame is committed.
    pub(super) fn queued(&self) -> (i64, i64) {
        (self.queued.rows, self.queued.bytes)
    }

    /// The writes as they go to the log, and what they mean.
    pub(super) fn seal(self, shared: &Shared) -> (Batch, Vec<Touched>) {
        let mut batch = self.batch;
        if let Some(dropped) = &self.dropped {
            dropped.note(&mut batch);
        }
        let mut touched = Vec::with_capacity(self.rows.len());
        let mut value = Vec::with_capacity(VALUE_BYTES_USUAL);
        for row in self.rows {
            if row.before == row.after {
                continue;
            }
            let key = keys::item(&row.key);
            value.clear();
            if row.after.item.is_none() {
                batch.lead_out();
            }
            if row.after.is_empty() {
                batch.delete(&key);
            } else {
                row.after.encode(&mut value);
                let mut entries = index::entries_of(&row.after, &shared.declared);
                entries.extend(row.age(shared));
                batch.put_indexed(&key, &value, &index::borrowed(&entries));
            }
            touched.push(row.touched(shared));
        }
        catch_up::note_removals(&mut batch, &touched);
        (batch, touched)
    }

    fn add(&mut self, shared: &Shared, key: ItemKey, before: Record, origin: Origin) -> usize {
        let model = shared.schema.model_of_key(&key);
        let model = model.map(|model| model.name().to_owned());
        let weight = Weight::of(shared, &key, model.as_deref(), &before);
        self.rows.push(Row {
            model,
            key,
            before,
            after: Record::default(),
            origin,
            weight_before: weight,
            weight_after: weight,
        });
        let place = self.rows.len() - 1;
        if place == FEW {
            let rows = self.rows.iter().enumerate();
            self.places = rows.map(|(at, row)| (row.key.clone(), at)).collect();
        } else if place > FEW {
            self.places.insert(self.rows[place].key.clone(), place);
        }
        place
    }

    fn place(&self, key: &ItemKey) -> Option<usize> {
        if self.rows.len() > FEW {
            return self.places.get(key).copied();
        }
        self.rows.iter().position(|row| row.key == *key)
    }
}

impl Row {
    /// When the item changed last: now, or as it is known if only replication has written.
    fn age(&self, shared: &Shared) -> Option<(IndexId, Vec<u8>)> {
        let model = bounded(shared, self.model.as_deref())?;
        self.after.item.as_ref()?;
        let same = same_content(self.before.item.as_ref(), self.after.item.as_ref());
        let known = same.then(|| index::known_age(&shared.store, &self.key, model.name()));
        let now = || index::age_entry(model.name(), shared.store.sequence() + 1);
        Some(known.flatten().unwrap_or_else(now))
    }

    fn touched(self, shared: &Shared) -> Touched {
        let is_live = self.after.item.is_some();
        let was_live = self.before.item.is_some();
        let told = if same_content(self.before.item.as_ref(), self.after.item.as_ref()) {
            None
        } else {
            entry(shared, self.before.item, self.after.item, self.origin)
        };
        Touched {
            model: self.model,
            was_live,
            is_live,
            bytes: self.weight_after.bytes - self.weight_before.bytes,
            told,
        }
    }
}

impl Weight {
    fn of(shared: &Shared, key: &ItemKey, model: Option<&str>, record: &Record) -> Weight {
        let is_bounded = record.item.is_some() && bounded(shared, model).is_some();
        let waits = record.change.is_some() && shared.queue.is_bounded();
        if !is_bounded && !waits {
            return Weight::default();
        }
        let value = index::value_bytes(record) as i64;
        let row = index::row_bytes_with(key, value as u64) as i64;
        Weight {
            bytes: if is_bounded { row } else { 0 },
            queued: match waits {
                true => Queued {
                    rows: 1,
                    bytes: value,
                },
                false => Queued::default(),
            },
        }
    }
}

/// The model, if it has a bound.
fn bounded<'s>(shared: &'s Shared, model: Option<&str>) -> Option<&'s Model> {
    let model = shared.schema.model(model?).ok()?;
    model.process().is_bounded().then_some(model)
}

fn add_to(sums: &mut BTreeMap<String, i64>, model: &str, change: i64) {
    if change == 0 {
        return;
    }
    match sums.get_mut(model) {
        Some(sum) => *sum += change,
        None => drop(sums.insert(model.to_owned(), change)),
    }
}

fn entry(
    shared: &Shared,
    before: Option<Map>,
    after: Option<Map>,
    origin: Origin,
) -> Option<Entry> {
    let item = after.as_ref().or(before.as_ref())?;
    let model = shared.schema.model_of(item)?;
    Some(Entry {
        sequence: 0,
        model: model.name().to_owned(),
        key: model.key_segments(item, &shared.context),
        origin,
        bytes: 64 + after.as_ref().map_or(0, item_bytes),
        item: after,
    })
}
