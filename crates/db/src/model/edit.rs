//! One frame in the making: rows to write, and what they mean for queue, counts and streams.

use std::collections::BTreeMap;

use periwinkle_core::schema::item_bytes;
use periwinkle_core::sync::record::{ItemKey, Record, same_content};
use periwinkle_core::value::Map;

use super::catch_up;
use super::feed::{Entry, Origin};
use super::index;
use super::keys;
use super::rows::DroppedRows;
use super::shared::Shared;
use crate::engine::Batch;

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
        if after.item.is_none() {
            self.batch.lead_out();
        }
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

    /// The writes as they go to the log, and what they mean.
    pub(super) fn seal(self, shared: &Shared) -> (Batch, Vec<Touched>) {
        let mut batch = self.batch;
        let mut touched = Vec::with_capacity(self.rows.len());
        let mut value = Vec::new();
        for row in self.rows {
            if row.before == row.after {
                continue;
            }
            let key = keys::item(&row.key);
            value.clear();
            if row.after.is_empty() {
                batch.delete(&key);
            } else {
                row.after.encode(&mut value);
                let entries = index::entries_of(&row.after);
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
