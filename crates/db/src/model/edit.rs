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
        let model = match self.place(&key) {
            Some(place) => {
                let row = &mut self.rows[place];
                row.after = after;
                row.origin = origin;
                row.model.as_deref()
            }
            None => self.add(shared, key, before, after, origin),
        };
        if let (Some(model), true) = (model, change != 0) {
            let model = model.to_owned();
            *self.balance.entry(model).or_default() += change;
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
    pub(super) fn weight(&self, shared: &Shared, model: &str) -> i64 {
        let rows = self.rows.iter();
        let own = rows.filter(|row| row.model.as_deref() == Some(model));
        own.map(|row| {
            let (before, after) = row.bytes(shared);
            after as i64 - before as i64
        })
        .sum()
    }

    /// How many rows and bytes more wait for the cloud when the frame is committed.
    pub(super) fn queued(&self) -> (i64, i64) {
        let waits = |record: &Record| match &record.change {
            Some(_) => (1, index::value_bytes(record) as i64),
            None => (0, 0),
        };
        self.rows.iter().fold((0, 0), |(rows, bytes), row| {
            let (was, is) = (waits(&row.before), waits(&row.after));
            (rows + is.0 - was.0, bytes + is.1 - was.1)
        })
    }

    /// The writes as they go to the log, and what they mean.
    pub(super) fn seal(self, shared: &Shared) -> (Batch, Vec<Touched>) {
        let mut batch = self.batch;
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

    fn add(
        &mut self,
        shared: &Shared,
        key: ItemKey,
        before: Record,
        after: Record,
        origin: Origin,
    ) -> Option<&str> {
        let model = shared.schema.model_of_key(&key);
        self.rows.push(Row {
            model: model.map(|model| model.name().to_owned()),
            key,
            before,
            after,
            origin,
        });
        let place = self.rows.len() - 1;
        if place == FEW {
            let rows = self.rows.iter().enumerate();
            self.places = rows.map(|(at, row)| (row.key.clone(), at)).collect();
        } else if place > FEW {
            self.places.insert(self.rows[place].key.clone(), place);
        }
        self.rows[place].model.as_deref()
    }

    fn place(&self, key: &ItemKey) -> Option<usize> {
        if self.rows.len() > FEW {
            return self.places.get(key).copied();
        }
        self.rows.iter().position(|row| row.key == *key)
    }
}

impl Row {
    /// The model, if it has a bound.
    fn bounded<'s>(&self, shared: &'s Shared) -> Option<&'s Model> {
        let model = shared.schema.model(self.model.as_deref()?).ok()?;
        model.process().is_bounded().then_some(model)
    }

    /// When the item changed last: now, or as it is known if only replication has written.
    fn age(&self, shared: &Shared) -> Option<(IndexId, Vec<u8>)> {
        let model = self.bounded(shared)?;
        self.after.item.as_ref()?;
        let same = same_content(self.before.item.as_ref(), self.after.item.as_ref());
        let known = same.then(|| index::known_age(&shared.store, &self.key, model.name()));
        let now = || index::age_entry(model.name(), shared.store.sequence() + 1);
        Some(known.flatten().unwrap_or_else(now))
    }

    /// Bytes of the row before and after, for models with a bound. The news of a removal belong
    /// to the queue.
    fn bytes(&self, shared: &Shared) -> (u64, u64) {
        if self.bounded(shared).is_none() {
            return (0, 0);
        }
        let bytes = |record: &Record| match &record.item {
            Some(_) => index::row_bytes(&self.key, record),
            None => 0,
        };
        (bytes(&self.before), bytes(&self.after))
    }

    fn touched(self, shared: &Shared) -> Touched {
        let is_live = self.after.item.is_some();
        let was_live = self.before.item.is_some();
        let (bytes_before, bytes_after) = self.bytes(shared);
        let told = if same_content(self.before.item.as_ref(), self.after.item.as_ref()) {
            None
        } else {
            entry(shared, self.before.item, self.after.item, self.origin)
        };
        Touched {
            model: self.model,
            was_live,
            is_live,
            bytes: bytes_after as i64 - bytes_before as i64,
            told,
        }
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
