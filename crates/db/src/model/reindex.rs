//! The entries of rows that were written without them, or for other indexes: made anew at
//! opening, in bounded steps that a power cut does not undo.
//!
//! A note says for which indexes the rows have their entries, and how far that is true. The note
//! has an index entry of its own, which a salvage of a damaged log takes away like all others: so
//! rows that came out of one are gone through too.

use std::collections::BTreeSet;

use periwinkle_core::schema::{Model, Schema};
use periwinkle_core::value::Name;
use periwinkle_core::value::binary::{decode_varint, encode_varint};

use super::error::DbError;
use super::index::{self, DECLARED_FIRST, Declared, Entries};
use super::keys;
use super::shared::{STEP, decode};
use crate::engine::{Batch, CommitError, Durability, IndexId, IndexRange, Order, RowRef, Store};

/// The index that the note is in, alone.
const NOTE_INDEX: IndexId = IndexId(18);
const NOTE: &str = "indexes";
const NOTE_VERSION: u8 = 2;

/// What [`complete`] did and left to do.
#[derive(Clone, Debug, Default)]
pub(super) struct Completed {
    /// The indexes of the schema, with their numbers in this database.
    pub(super) declared: Vec<Declared>,
    /// Rows that got other entries.
    pub(super) rows: u64,
    /// There is no row yet: the note belongs into the frame of the first one, see [`note`].
    pub(super) note_due: bool,
}

/// For which indexes rows have their entries, and which rows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    declared: Vec<Declared>,
    /// The models with a bound, whose items have their age.
    bounded: String,
    /// Up to this engine key; `None` for all rows.
    through: Option<Vec<u8>>,
}

/// Gives every row the index entries that it should have.
///
/// On a full disk, and where only reading is allowed, the entries are made in memory only, and
/// again at the next opening.
pub(super) fn complete(store: &Store, schema: &Schema) -> Result<Completed, DbError> {
    let found = read(store)?;
    let known = found.as_ref().map_or(&[][..], |note| &note.declared);
    let mut completed = Completed {
        declared: numbered(schema, known),
        ..Completed::default()
    };
    let ids = |declared: &[Declared]| -> BTreeSet<IndexId> {
        declared.iter().map(|index| index.id).collect()
    };
    let is_same = ids(known) == ids(&completed.declared);
    let bounded = bounded(schema);
    let found = found.filter(|note| is_same && note.bounded == bounded);
    let through = match found {
        Some(Note { through: None, .. }) => return Ok(completed),
        Some(Note { through, .. }) => through.unwrap_or_default(),
        None => Vec::new(),
    };
    if store.keys(&keys::items(), Order::Forward, 1).is_empty() {
        completed.note_due = true;
    } else {
        completed.rows = go_through(store, schema, &completed.declared, through)?;
    }
    Ok(completed)
}

/// Gives the rows behind `through` their entries, and answers how many had others.
fn go_through(
    store: &Store,
    schema: &Schema,
    declared: &[Declared],
    through: Vec<u8>,
) -> Result<u64, DbError> {
    let (mut through, mut changed) = (through, 0);
    loop {
        let range = keys::items().after(&through, Order::Forward);
        let rows = store.some_rows(&range, Order::Forward, STEP)?;
        let mut batch = Batch::new();
        for row in rows.iter() {
            changed += u64::from(index_row(store, schema, declared, row, &mut batch)?);
        }
        let whole = !rows.goes_on(STEP);
        if let Some(last) = rows.last() {
            through = last.key.to_vec();
        }
        write(&mut batch, schema, declared, (!whole).then_some(&through));
        match store.commit(&batch, Durability::Relaxed) {
            Err(CommitError::DiskFull { .. } | CommitError::ReadOnly) => {
                store.index_in_memory(&batch);
            }
            done => drop(done?),
        }
        if whole {
            return Ok(changed);
        }
    }
}

/// The indexes of the schema. One that is known keeps its number, also under another name; a new
/// one gets a number that none of the known ones has, so that no entry of theirs is taken for its
/// own.
fn numbered(schema: &Schema, known: &[Declared]) -> Vec<Declared> {
    let mut declared: Vec<Declared> = Vec::new();
    for index in schema.indexes().iter().skip(1) {
        let mut new = Declared {
            id: IndexId(0),
            name: index.name.clone(),
            hash: (&index.hash).into(),
            sort: index.sort.as_ref().map(Name::from),
        };
        let same = known
            .iter()
            .chain(&declared)
            .find(|other| other.is_like(&new));
        let is_free = |id: &IndexId| !known.iter().chain(&declared).any(|other| other.id == *id);
        let id = match same {
            Some(same) => Some(same.id),
            None => (DECLARED_FIRST..).map(IndexId).find(is_free),
        };
        new.id = id.expect("a schema has few indexes");
        declared.push(new);
    }
    declared
}

/// Adds the note that all rows have their entries.
pub(super) fn note(batch: &mut Batch, schema: &Schema, declared: &[Declared]) {
    write(batch, schema, declared, None);
}

/// The names of the models with a bound, in order.
fn bounded(schema: &Schema) -> String {
    let bounded = schema.models().iter().filter(|m| m.process().is_bounded());
    let mut names: Vec<&str> = bounded.map(Model::name).collect();
    names.sort_unstable();
    names.join(",")
}

/// Writes the entries of a row if they are not what they should be.
fn index_row(
    store: &Store,
    schema: &Schema,
    declared: &[Declared],
    row: RowRef<'_>,
    batch: &mut Batch,
) -> Result<bool, DbError> {
    let Some(key) = keys::parse_item(row.key) else {
        return Ok(false);
    };
    let record = decode(&key, row.value)?;
    let mut wanted = index::entries_of(&record, declared);
    let model = schema.model_of_key(&key);
    if let Some(model) = model.filter(|model| model.process().is_bounded())
        && record.item.is_some()
    {
        let known = index::known_age(store, &key, model.name());
        wanted.push(known.unwrap_or_else(|| index::age_entry(model.name(), row.sequence)));
    }
    let found = store.index_entries_of(row.key).into_iter();
    let mut found: Entries = found.map(|(index, key)| (index, key.into())).collect();
    wanted.sort();
    wanted.dedup();
    found.sort();
    if wanted == found {
        return Ok(false);
    }
    batch.index(row.key, &index::borrowed(&wanted));
    Ok(true)
}

fn read(store: &Store) -> Result<Option<Note>, DbError> {
    let note = store.scan_index(NOTE_INDEX, &IndexRange::all(), Order::Forward, 1)?;
    Ok(note.first().and_then(|note| parse(&note.entry.value)))
}

fn write(batch: &mut Batch, schema: &Schema, declared: &[Declared], through: Option<&Vec<u8>>) {
    let mut value = vec![NOTE_VERSION, u8::from(through.is_none())];
    if let Some(key) = through {
        write_bytes(&mut value, key);
    }
    write_bytes(&mut value, bounded(schema).as_bytes());
    for index in declared {
        encode_varint(u64::from(index.id.0), &mut value);
        write_bytes(&mut value, index.name.as_bytes());
        write_bytes(&mut value, index.hash.as_bytes());
        write_bytes(
            &mut value,
            index.sort.as_deref().unwrap_or_default().as_bytes(),
        );
    }
    batch.put_indexed(&keys::note(NOTE), &value, &[(NOTE_INDEX, b"")]);
}

fn parse(bytes: &[u8]) -> Option<Note> {
    let mut rest = bytes.strip_prefix(&[NOTE_VERSION])?;
    let through = match rest.split_off_first()? {
        1 => None,
        _ => Some(read_bytes(&mut rest)?.to_vec()),
    };
    let bounded = String::from_utf8(read_bytes(&mut rest)?.to_vec()).ok()?;
    let mut declared = Vec::new();
    while !rest.is_empty() {
        let (id, used) = decode_varint(rest)?;
        rest = &rest[used..];
        let mut text = || String::from_utf8(read_bytes(&mut rest)?.to_vec()).ok();
        declared.push(Declared {
            id: IndexId(u16::try_from(id).ok()?),
            name: text()?,
            hash: text()?.into(),
            sort: text().map(|sort| (!sort.is_empty()).then(|| sort.into()))?,
        });
    }
    Some(Note {
        declared,
        bounded,
        through,
    })
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn read_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, used) = decode_varint(rest)?;
    let (bytes, behind) = rest[used..].split_at_checked(usize::try_from(length).ok()?)?;
    *rest = behind;
    Some(bytes)
}
