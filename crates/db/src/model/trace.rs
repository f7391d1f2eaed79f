//! What a row of an import would touch, as far as rows of other calls can touch it, too: so that
//! one who imports a file in many calls knows beforehand which of its rows exclude each other.

use periwinkle_core::schema::{Model, Overflow};
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::value::Map;

use super::error::DbError;
use super::index;
use super::keys;
use super::rows::full;
use super::writer::Writer;

/// Stands for a key or a value: equal for equal ones, and for others almost never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark(pub [u8; 16]);

/// What one row would touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its position among the rows of the call.
    pub row: usize,
    /// The model.
    pub model: String,
    /// The key.
    pub key: Mark,
    /// The item that the key names: the key of another one may be written alike.
    pub item: Mark,
    /// Whether there is such an item now.
    pub is_there: bool,
    /// Its unique values: the field, and the value.
    pub claims: Vec<(String, Mark)>,
    /// The unique values that the item of now has and the new one has not.
    pub freed: Vec<Mark>,
    /// How many bytes the row has, and how many it has now, if the model has a bound.
    pub bytes: (u64, u64),
}

/// How much more a model takes that refuses at its bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Rows; `None` for any number.
    pub rows: Option<u64>,
    /// Bytes of rows; `None` for any number.
    pub bytes: Option<u64>,
    /// What is said of the row for which there is no room.
    pub refusal: String,
}

impl Writer<'_> {
    /// What a new item would touch.
    pub(super) fn trace(&self, row: usize, model: &Model, item: &Map) -> Result<Trace, DbError> {
        let key = &model
            .key_of(item)
            .expect("an item of a model carries its key");
        let now = self.shared.record(key)?;
        let seen = self.current(model, &now);
        let claims = model.claims(item)?;
        let held = seen.map(|item| model.claims(item).unwrap_or_default());
        let freed = held.unwrap_or_default().into_iter();
        let freed = freed.filter(|claim| !claims.contains(claim));
        let bytes = match model.process().is_bounded() {
            true => self.bytes(model, key, &now, item),
            false => (0, 0),
        };
        let segments = model.key_segments(item, self.context);
        Ok(Trace {
            row,
            model: model.name().to_owned(),
            key: mark([keys::item(key).as_slice()]),
            item: mark(
                [model.name()]
                    .into_iter()
                    .chain(segments.iter().map(String::as_str))
                    .map(str::as_bytes),
            ),
            is_there: seen.is_some(),
            claims: claims
                .iter()
                .map(|claim| (claim.field.to_owned(), mark_of(&claim.key)))
                .collect(),
            freed: freed.map(|claim| mark_of(&claim.key)).collect(),
            bytes,
        })
    }

    /// Bytes of the row with the item, and of now. One that a purge would remove is room already.
    fn bytes(&self, model: &Model, key: &ItemKey, now: &Record, item: &Map) -> (u64, u64) {
        let bytes = |record: &Record| match &record.item {
            Some(_) => index::row_bytes(key, record),
            None => 0,
        };
        let after = self.written(model, now, Some(item.clone()));
        let after = bytes(after.as_ref().unwrap_or(now));
        match self.is_purgeable(model, now) {
            true => (after, 0),
            false => (after, bytes(now)),
        }
    }

    /// How much more the model takes, if it refuses at its bound: what a purge would remove gives
    /// way before it does.
    pub(super) fn room(&self, model: &Model) -> Result<Option<Room>, DbError> {
        let (process, counts) = (model.process(), &self.state.counts);
        if !process.is_bounded() || process.overflow != Overflow::Refuse {
            return Ok(None);
        }
        let (name, over) = (model.name(), self.purgeable(model)?);
        let left = |max: Option<u64>, has: u64, over: u64| {
            max.map(|max| max.saturating_sub(has.saturating_sub(over)))
        };
        Ok(Some(Room {
            rows: left(process.rows_max, counts.of(name), over.0),
            bytes: left(process.bytes_max, counts.bytes_of(name), over.1),
            refusal: full(model, super::rows::MAKE_ROOM).to_string(),
        }))
    }
}

fn mark_of(key: &ItemKey) -> Mark {
    mark([keys::item(key).as_slice()])
}

/// FNV-1a over the parts, each with its length in front.
fn mark<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Mark {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash = BASIS;
    for part in parts {
        let length = (part.len() as u64).to_le_bytes();
        for byte in length.iter().chain(part) {
            hash = (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }
    Mark(hash.to_be_bytes())
}
