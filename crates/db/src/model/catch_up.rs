//! Change streams that go on from before the changes in memory: the latest state of each item, in
//! the order of their last writes.
//!
//! Removals since then are a gap. The engine forgets a key when it is deleted; that it was there
//! stands in the log alone, which would have to be read whole, and goes with its segment.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Weak;

use periwinkle_core::limits::{CHANGES_CAUGHT_UP_BYTES_MAX, CHANGES_CAUGHT_UP_MAX};
use periwinkle_core::schema::Hidden;

use super::edit::Touched;
use super::error::DbError;
use super::feed::{Change, ChangeKind, Origin};
use super::keys;
use super::shared::{STEP, Shared, decode};
use crate::engine::{Batch, Order};

/// A stream that has to look at the rows first.
pub(super) struct Behind {
    shared: Weak<Shared>,
    /// The sequence that the listener has seen.
    since: u64,
}

impl Behind {
    pub(super) fn new(shared: Weak<Shared>, since: u64) -> Behind {
        Behind { shared, since }
    }

    /// The changes up to the sequence `durable`, as far as rows tell them; `None` when they do not:
    /// an item of these models was removed meanwhile and `removals` matter, or there are too many.
    pub(super) fn changes(
        self,
        durable: u64,
        models: &[String],
        removals: bool,
    ) -> Option<VecDeque<Change>> {
        let shared = self.shared.upgrade()?;
        match changes(&shared, self.since, durable, models, removals) {
            Ok(changes) => changes,
            Err(error) => {
                tracing::warn!(target: "db", "a change stream begins with a gap: {error}");
                None
            }
        }
    }
}

fn changes(
    shared: &Shared,
    since: u64,
    durable: u64,
    models: &[String],
    removals: bool,
) -> Result<Option<VecDeque<Change>>, DbError> {
    for model in shared.schema.models() {
        let is_told = models.is_empty() || models.iter().any(|name| name == model.name());
        let is_wanted = removals && is_told;
        if is_wanted && removed_at(shared, model.name())? > since {
            return Ok(None);
        }
    }
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut range = keys::items();
    loop {
        let rows = shared.store.some_rows(&range, Order::Forward, STEP)?;
        for entry in rows
            .iter()
            .filter(|row| (since + 1..=durable).contains(&row.sequence))
        {
            let Some(key) = keys::parse_item(entry.key) else {
                continue;
            };
            let record = decode(&key, entry.value)?;
            let Some(item) = &record.item else {
                continue;
            };
            let Some(model) = shared.schema.model_of(item) else {
                continue;
            };
            if !models.is_empty() && !models.iter().any(|name| name == model.name()) {
                continue;
            }
            bytes += entry.value.len();
            found.push(Change {
                sequence: entry.sequence,
                model: model.name().to_owned(),
                key: model.key_segments(item, &shared.context),
                kind: ChangeKind::Put,
                origin: Origin::Unknown,
                item: Some(model.properties(item, Hidden::Omit)),
            });
            if found.len() > CHANGES_CAUGHT_UP_MAX || bytes > CHANGES_CAUGHT_UP_BYTES_MAX {
                return Ok(None);
            }
        }
        match rows.last() {
            Some(last) if rows.goes_on(STEP) => {
                range = range.after(last.key, Order::Forward);
            }
            _ => break,
        }
    }
    found.sort_by_key(|change| change.sequence);
    Ok(Some(found.into()))
}

/// Notes in a frame of which models it removes items: the sequence of the note's row tells when
/// that happened last.
pub(super) fn note_removals(batch: &mut Batch, touched: &[Touched]) {
    let removals = touched.iter().filter(|row| row.was_live && !row.is_live);
    let models: BTreeSet<&str> = removals.filter_map(|row| row.model.as_deref()).collect();
    for model in models {
        batch.put(&note(model), &[]);
    }
}

/// The sequence of the last frame that removed an item of a model.
fn removed_at(shared: &Shared, model: &str) -> Result<u64, DbError> {
    let note = shared.store.get(&note(model))?;
    Ok(note.map_or(0, |row| row.sequence))
}

fn note(model: &str) -> Vec<u8> {
    keys::note(&format!("removed:{model}"))
}
