//! One frame in the making: rows to write, and what they mean for queue, counts and streams.

use periwinkle_core::schema::item_bytes;
use periwinkle_core::sync::record::{ItemKey, Record, same_content};
use periwinkle_core::value::Map;

use super::feed::{Entry, Origin};
use super::index;
use super::keys;
use super::rows::DroppedRows;
use super::shared::Shared;
use crate::engine::Batch;

/// The writes of one frame.
#[derive(Default)]
pub(super) struct Edit {
    pub(super) batch: Batch,
    pub(super) touched: Vec<Touched>,
    /// What models have dropped, if the frame drops more.
    pub(super) dropped: Option<DroppedRows>,
}

/// A row that the frame writes.
pub(super) struct Touched {
    pub(super) key: ItemKey,
    pub(super) model: Option<String>,
    pub(super) was_live: bool,
    pub(super) is_live: bool,
    /// What streams tell of it; `None` when programs see no difference.
    pub(super) told: Option<Entry>,
}

impl Edit {
    /// Replaces the row of `key`. An empty record is a row to remove.
    pub(super) fn put(
        &mut self,
        shared: &Shared,
        key: &ItemKey,
        before: &Record,
        after: &Record,
        origin: Origin,
    ) {
        let bytes = keys::item(key);
        if after.item.is_none() {
            self.batch.lead_out();
        }
        if after.is_empty() {
            self.batch.delete(&bytes);
        } else {
            let mut value = Vec::new();
            after.encode(&mut value);
            let entries = index::entries_of(after);
            self.batch
                .put_indexed(&bytes, &value, &index::borrowed(&entries));
        }
        let model = shared.schema.model_of_key(key);
        let told = if same_content(before.item.as_ref(), after.item.as_ref()) {
            None
        } else {
            entry(shared, before.item.as_ref(), after.item.as_ref(), origin)
        };
        self.touched.push(Touched {
            key: key.clone(),
            model: model.map(|model| model.name().to_owned()),
            was_live: before.item.is_some(),
            is_live: after.item.is_some(),
            told,
        });
    }

    /// Keys that the frame writes already.
    pub(super) fn holds(&self, key: &ItemKey) -> bool {
        self.touched.iter().any(|touched| touched.key == *key)
    }

    /// Rows of a model that the frame adds and removes.
    pub(super) fn balance(&self, model: &str) -> (u64, u64) {
        let of_model = self
            .touched
            .iter()
            .filter(|touched| touched.model.as_deref() == Some(model));
        of_model.fold((0, 0), |(added, removed), touched| {
            match (touched.was_live, touched.is_live) {
                (false, true) => (added + 1, removed),
                (true, false) => (added, removed + 1),
                _ => (added, removed),
            }
        })
    }
}

fn entry(
    shared: &Shared,
    before: Option<&Map>,
    after: Option<&Map>,
    origin: Origin,
) -> Option<Entry> {
    let item = after.or(before)?;
    let model = shared.schema.model_of(item)?;
    Some(Entry {
        sequence: 0,
        model: model.name().to_owned(),
        key: model.key_segments(item, &shared.context),
        origin,
        bytes: 64 + after.map_or(0, item_bytes),
        item: after.cloned(),
    })
}
