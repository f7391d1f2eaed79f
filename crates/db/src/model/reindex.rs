//! The entries of rows that were written without them, or under other rules: made anew at
//! opening, in bounded steps that a power cut does not undo.
//!
//! A note says under which rules the rows have their entries, and how far that is true. The note
//! has an index entry of its own, which a salvage of a damaged log takes away like all others: so
//! rows that came out of one are gone through too.

use periwinkle_core::limits::DB_SCAN_ROWS;
use periwinkle_core::schema::Schema;
use periwinkle_core::value::binary::{decode_varint, encode_varint};

use super::error::DbError;
use super::index::{self, Entries};
use super::keys;
use super::shared::decode;
use crate::engine::{Batch, CommitError, Durability, Entry, IndexId, IndexRange, Order, Store};

/// The index that the note is in, alone.
const NOTE_INDEX: IndexId = IndexId(18);
const NOTE: &str = "indexes";
const NOTE_VERSION: u8 = 2;

/// How far the rows have their entries.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    /// All have.
    Whole,
    /// Those up to this engine key.
    Through(Vec<u8>),
}

/// What [`complete`] did and left to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Completed {
    /// Rows that got other entries.
    pub(super) rows: u64,
    /// There is no row yet: the note belongs into the frame of the first one, see [`note`].
    pub(super) note_due: bool,
}

/// Gives every row the index entries that it should have.
///
/// On a full disk, and where only reading is allowed, the entries are made in memory only, and
/// again at the next opening.
pub(super) fn complete(store: &Store, schema: &Schema) -> Result<Completed, DbError> {
    let rules = rules_of(schema);
    let mut through = match read(store, &rules)? {
        Some(Progress::Whole) => return Ok(Completed::default()),
        Some(Progress::Through(key)) => key,
        None if store.keys(&keys::items(), Order::Forward, 1).is_empty() => {
            return Ok(Completed {
                note_due: true,
                ..Completed::default()
            });
        }
        None => Vec::new(),
    };
    let mut completed = Completed::default();
    loop {
        let range = keys::items().after(&through, Order::Forward);
        let rows = store.scan(&range, Order::Forward, DB_SCAN_ROWS)?;
        let mut batch = Batch::new();
        for entry in &rows {
            completed.rows += u64::from(index_row(store, schema, entry, &mut batch)?);
        }
        let whole = rows.len() < DB_SCAN_ROWS;
        if let Some(last) = rows.last() {
            through = last.key.to_vec();
        }
        let progress = if whole {
            Progress::Whole
        } else {
            Progress::Through(through.clone())
        };
        write(&mut batch, &rules, &progress);
        match store.commit(&batch, Durability::Relaxed) {
            Err(CommitError::DiskFull { .. } | CommitError::ReadOnly) => {
                store.index_in_memory(&batch);
            }
            done => drop(done?),
        }
        if whole {
            return Ok(completed);
        }
    }
}

/// Adds the note that all rows have their entries.
pub(super) fn note(batch: &mut Batch, schema: &Schema) {
    write(batch, &rules_of(schema), &Progress::Whole);
}

/// What entries depend on: which models have a bound.
fn rules_of(schema: &Schema) -> String {
    let bounded = schema.models().iter().filter(|m| m.process().is_bounded());
    let mut names: Vec<&str> = bounded.map(|model| model.name()).collect();
    names.sort_unstable();
    names.join(",")
}

/// Writes the entries of a row if they are not what they should be.
fn index_row(
    store: &Store,
    schema: &Schema,
    entry: &Entry,
    batch: &mut Batch,
) -> Result<bool, DbError> {
    let Some(key) = keys::parse_item(&entry.key) else {
        return Ok(false);
    };
    let record = decode(&key, &entry.value)?;
    let mut wanted = index::entries_of(&record);
    let model = schema.model_of_key(&key);
    if let Some(model) = model.filter(|model| model.process().is_bounded())
        && record.item.is_some()
    {
        let known = index::known_age(store, &key, model.name());
        wanted.push(known.unwrap_or_else(|| index::age_entry(model.name(), entry.sequence)));
    }
    let found = store.index_entries_of(&entry.key).into_iter();
    let mut found: Entries = found.map(|(index, key)| (index, key.into())).collect();
    wanted.sort();
    found.sort();
    if wanted == found {
        return Ok(false);
    }
    batch.index(&entry.key, &index::borrowed(&wanted));
    Ok(true)
}

fn read(store: &Store, rules: &str) -> Result<Option<Progress>, DbError> {
    let note = store.scan_index(NOTE_INDEX, &IndexRange::all(), Order::Forward, 1)?;
    Ok(note
        .first()
        .and_then(|note| parse(&note.entry.value, rules)))
}

fn write(batch: &mut Batch, rules: &str, progress: &Progress) {
    let mut value = vec![NOTE_VERSION];
    encode_varint(rules.len() as u64, &mut value);
    value.extend_from_slice(rules.as_bytes());
    match progress {
        Progress::Whole => value.push(1),
        Progress::Through(key) => {
            value.push(0);
            encode_varint(key.len() as u64, &mut value);
            value.extend_from_slice(key);
        }
    }
    batch.put_indexed(&keys::note(NOTE), &value, &[(NOTE_INDEX, b"")]);
}

/// How far the rows have the entries of these rules.
fn parse(bytes: &[u8], rules: &str) -> Option<Progress> {
    let rest = bytes.strip_prefix(&[NOTE_VERSION])?;
    let (length, used) = decode_varint(rest)?;
    let rest = rest[used..].strip_prefix(rules.as_bytes())?;
    if length != rules.len() as u64 {
        return None;
    }
    match rest.split_first()? {
        (1, []) => Some(Progress::Whole),
        (0, rest) => {
            let (length, used) = decode_varint(rest)?;
            let key = &rest[used..];
            (key.len() as u64 == length).then(|| Progress::Through(key.to_vec()))
        }
        _ => None,
    }
}
