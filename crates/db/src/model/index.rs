//! What the model layer finds without reading rows: the queue of replication, from index entries
//! in the frames of the writes, and how many rows each model has, counted from keys.

use std::collections::BTreeMap;

use periwinkle_core::limits::{DB_KEY_BYTES_MAX, DB_SCAN_ROWS};
use periwinkle_core::schema::Schema;
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::sync::store::{Backlog, Dirty};
use periwinkle_core::value::{Map, Name, order};

use super::keys;
use crate::engine::{IndexId, IndexPosition, IndexRange, KeyRange, Order, Store};

/// Rows that can be sent, in the order of the frames that wrote them.
const SENDABLE: IndexId = IndexId(0);
/// Rows that wait, and cannot be sent.
const PARKED: IndexId = IndexId(16);
/// Rows that are only the news of a removal.
const NEWS: IndexId = IndexId(17);

/// Items of models with a bound, by model and age.
const OLDEST: IndexId = IndexId(19);

/// Most index keys are made without growing.
const KEY_BYTES_USUAL: usize = 64;

/// The first index of a schema.
pub(super) const DECLARED_FIRST: u16 = 32;

/// An index that the schema declares, beside the primary one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) id: IndexId,
    pub(super) name: String,
    /// The attributes that make its keys.
    pub(super) hash: Name,
    pub(super) sort: Option<Name>,
}

impl Declared {
    /// The key under which an item stands in the index; `None` when it is not in it.
    pub(super) fn key_of(&self, item: &Map) -> Option<Vec<u8>> {
        let mut key = Vec::with_capacity(KEY_BYTES_USUAL);
        let mut there = order::append_first(item.get(&self.hash)?, &mut key);
        if let Some(sort) = &self.sort {
            there &= order::append_last(item.get(sort)?, &mut key);
        }
        (there && key.len() <= DB_KEY_BYTES_MAX).then_some(key)
    }

    /// Whether it holds the same rows under the same keys.
    pub(super) fn is_like(&self, other: &Declared) -> bool {
        (&self.hash, &self.sort) == (&other.hash, &other.sort)
    }
}

/// The index entries of a row.
pub(super) type Entries = Vec<(IndexId, Vec<u8>)>;

/// The index entries that the row of a record has.
pub(super) fn entries_of(record: &Record, declared: &[Declared]) -> Entries {
    let mut entries = Entries::with_capacity(declared.len() + 2);
    if record.change.is_some() {
        let parked = record.parked().is_some();
        entries.push((if parked { PARKED } else { SENDABLE }, Vec::new()));
    }
    match &record.item {
        None => entries.push((NEWS, Vec::new())),
        Some(item) => entries.extend(
            declared
                .iter()
                .filter_map(|index| Some((index.id, index.key_of(item)?))),
        ),
    }
    entries
}

/// The index entry of an item that changed last at this point in the order of commits.
pub(super) fn age_entry(model: &str, age: u64) -> (IndexId, Vec<u8>) {
    let mut key = ages_of(model);
    key.extend_from_slice(&age.to_be_bytes());
    (OLDEST, key)
}

/// The index entry that says how old a row is, as it is in the database.
pub(super) fn known_age(store: &Store, key: &ItemKey, model: &str) -> Option<(IndexId, Vec<u8>)> {
    let entries = store.index_entries_of(&keys::item(key)).into_iter();
    let mut ages = entries.filter(|(index, _)| *index == OLDEST);
    let age = ages.find(|(_, age)| age.starts_with(&ages_of(model)));
    age.map(|(index, age)| (index, age.into()))
}

/// In which order rows give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// The rows of a model that has a bound, by the age of their last change.
    Age,
    /// The rows of all models that wait for the cloud.
    Queue,
}

/// The next rows in line.
pub(super) fn line(
    store: &Store,
    line: Line,
    model: &str,
    after: Option<&IndexPosition>,
    limit: usize,
) -> Vec<IndexPosition> {
    let (index, all) = match line {
        Line::Age => (OLDEST, IndexRange::new(KeyRange::prefix(&ages_of(model)))),
        Line::Queue => (SENDABLE, IndexRange::all()),
    };
    let range = match after {
        Some(after) => all.after(after.clone(), Order::Forward),
        None => all,
    };
    let rows = store.index_rows(index, &range, Order::Forward, limit);
    steps::add(rows.len());
    rows.into_iter().map(|row| row.position).collect()
}

/// Bytes that are free in a line's bound when a row goes.
pub(super) fn bytes_in(line: Line, key: &ItemKey, record: &Record) -> u64 {
    match line {
        Line::Age => row_bytes(key, record),
        Line::Queue => value_bytes(record),
    }
}

fn ages_of(model: &str) -> Vec<u8> {
    [model.as_bytes(), &[0]].concat()
}

/// Bytes of a row in the database.
pub(super) fn row_bytes(key: &ItemKey, record: &Record) -> u64 {
    row_bytes_with(key, value_bytes(record))
}

/// The same, with a value of so many bytes.
pub(super) fn row_bytes_with(key: &ItemKey, value_bytes: u64) -> u64 {
    keys::item(key).len() as u64 + value_bytes
}

/// Bytes of its value, as the queue counts.
pub(super) fn value_bytes(record: &Record) -> u64 {
    steps::add(1);
    let mut value = Vec::new();
    record.encode(&mut value);
    value.len() as u64
}

/// The same, as the engine wants them.
pub(super) fn borrowed(entries: &Entries) -> Vec<(IndexId, &[u8])> {
    let entries = entries.iter();
    entries.map(|(index, key)| (*index, &key[..])).collect()
}

/// The next rows that can be sent.
pub(super) fn dirty(store: &Store, after: Option<&Dirty>, limit: usize) -> Vec<Dirty> {
    let range = range_after(after.map(|after| (after.sequence, &after.key)));
    let rows = store.index_rows(SENDABLE, &range, Order::Forward, limit);
    let positions = rows.into_iter().map(|row| row.position);
    positions
        .filter_map(|IndexPosition { sequence, key, .. }| {
            let key = keys::parse_item(&key)?;
            Some(Dirty { sequence, key })
        })
        .collect()
}

/// The next rows that cannot be sent.
pub(super) fn parked(store: &Store, after: Option<&ItemKey>, limit: usize) -> Vec<ItemKey> {
    let range = range_after(after.map(|after| (0, after)));
    let rows = store.index_rows(PARKED, &range, Order::Forward, limit);
    rows.iter()
        .filter_map(|row| keys::parse_item(&row.position.key))
        .collect()
}

/// How much waits. The caller sees to it that nobody writes meanwhile.
pub(super) fn backlog(store: &Store) -> Backlog {
    let (sendable, parked) = (store.index_stats(SENDABLE), store.index_stats(PARKED));
    Backlog {
        rows: sendable.entries + parked.entries,
        bytes: sendable.value_bytes + parked.value_bytes,
    }
}

fn range_after(after: Option<(u64, &ItemKey)>) -> IndexRange {
    let all = IndexRange::all();
    let Some((sequence, key)) = after else {
        return all;
    };
    let position = IndexPosition {
        index_key: Vec::new(),
        sequence,
        key: keys::item(key),
    };
    all.after(position, Order::Forward)
}

/// How many rows and records were looked at to find room. Only tests ask.
#[cfg(not(test))]
pub(super) mod steps {
    pub(in crate::model) fn add(_: usize) {}
}

/// How many rows and records were looked at to find room, on this thread.
#[cfg(test)]
pub(super) mod steps {
    use std::cell::Cell;

    thread_local!(static STEPS: Cell<usize> = const { Cell::new(0) });

    pub(in crate::model) fn add(steps: usize) {
        STEPS.set(STEPS.get() + steps);
    }

    /// Those of `work`.
    pub(in crate::model) fn of(work: impl FnOnce()) -> usize {
        STEPS.set(0);
        work();
        STEPS.get()
    }
}

/// How many items each model has, and how many bytes those with a bound.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    rows: BTreeMap<String, u64>,
    bytes: BTreeMap<String, u64>,
}

impl Counts {
    /// Counts the keys of a database.
    pub(super) fn read(store: &Store, schema: &Schema) -> Counts {
        let mut counts = Counts::default();
        let mut range = keys::items();
        loop {
            let found = store.keys(&range, Order::Forward, DB_SCAN_ROWS);
            for key in &found {
                counts.note(schema, key, false, true);
            }
            match found.last() {
                Some(last) if found.len() == DB_SCAN_ROWS => {
                    range = range.after(last, Order::Forward);
                }
                _ => break,
            }
        }
        for news in store.index_rows(NEWS, &IndexRange::all(), Order::Forward, usize::MAX) {
            counts.note(schema, &news.position.key, true, false);
        }
        for row in store.index_rows(OLDEST, &IndexRange::all(), Order::Forward, usize::MAX) {
            let bytes = row.position.key.len() as u64 + row.value_bytes;
            let name = row.position.index_key.split(|byte| *byte == 0).next();
            let name = String::from_utf8_lossy(name.unwrap_or_default());
            counts.weigh(&name, bytes as i64);
        }
        counts
    }

    /// The rows of a model with a bound have so many bytes more.
    pub(super) fn weigh(&mut self, model: &str, change: i64) {
        let bytes = self.bytes.entry(model.to_owned()).or_default();
        *bytes = bytes.saturating_add_signed(change);
    }

    pub(super) fn bytes_of(&self, model: &str) -> u64 {
        self.bytes.get(model).copied().unwrap_or(0)
    }

    pub(super) fn bytes_by_model(&self) -> BTreeMap<String, u64> {
        self.bytes.clone()
    }

    fn note(&mut self, schema: &Schema, key: &[u8], was_live: bool, is_live: bool) {
        let key = keys::parse_item(key);
        if let Some(model) = key.and_then(|key| schema.model_of_key(&key)) {
            self.count(model.name(), was_live, is_live);
        }
    }

    /// One item of a model came or went.
    pub(super) fn count(&mut self, model: &str, was_live: bool, is_live: bool) {
        if was_live == is_live {
            return;
        }
        if !self.rows.contains_key(model) {
            self.rows.insert(model.to_owned(), 0);
        }
        if let Some(rows) = self.rows.get_mut(model) {
            *rows = if is_live {
                *rows + 1
            } else {
                rows.saturating_sub(1)
            };
        }
    }

    pub(super) fn of(&self, model: &str) -> u64 {
        self.rows.get(model).copied().unwrap_or(0)
    }

    pub(super) fn by_model(&self) -> BTreeMap<String, u64> {
        self.rows.clone()
    }
}

#[cfg(test)]
mod tests {
    use periwinkle_core::sync::record::{ParkKind, Parked};
    use periwinkle_core::value::Map;
    use std::sync::Arc;

    use super::*;
    use crate::engine::{Batch, Durability, FileStorage, Options};

    fn key(name: &str) -> ItemKey {
        ItemKey::new("p", name)
    }

    fn waiting() -> Record {
        let mut record = Record::clean(Map::from([("on", false)]));
        record.write(Some(Map::from([("on", true)])));
        record
    }

    fn parked_one() -> Record {
        let mut record = waiting();
        let change = record.change.as_mut().unwrap();
        change.parked = Some(Parked::new(ParkKind::Refused, "no"));
        record
    }

    fn clean() -> Record {
        Record::clean(Map::from([("on", true)]))
    }

    fn open(scratch: &tempfile::TempDir) -> Store {
        let storage = Arc::new(FileStorage::open(scratch.path()).unwrap());
        Store::open(storage, Options::default()).unwrap().0
    }

    /// Writes a row, and answers how many bytes it has.
    fn set(store: &Store, name: &str, record: &Record) -> u64 {
        let mut value = Vec::new();
        record.encode(&mut value);
        let mut batch = Batch::new();
        let entries = entries_of(record, &[]);
        batch.put_indexed(&keys::item(&key(name)), &value, &borrowed(&entries));
        store.commit(&batch, Durability::Relaxed).unwrap();
        value.len() as u64
    }

    fn names(dirty: &[Dirty]) -> Vec<&str> {
        dirty.iter().map(|dirty| dirty.key.sk.as_str()).collect()
    }

    #[test]
    fn the_queue_is_in_the_order_of_the_last_writes() {
        let scratch = tempfile::tempdir().unwrap();
        let store = open(&scratch);
        set(&store, "a", &waiting());
        let mut bytes = set(&store, "b", &waiting());
        bytes += set(&store, "c", &parked_one());
        bytes += set(&store, "a", &waiting());
        assert_eq!(names(&dirty(&store, None, 10)), ["b", "a"]);
        let first = dirty(&store, None, 1).remove(0);
        assert_eq!(names(&dirty(&store, Some(&first), 10)), ["a"]);
        assert_eq!(parked(&store, None, 10), [key("c")]);
        assert_eq!(parked(&store, Some(&key("c")), 10), []);
        assert_eq!(backlog(&store), Backlog { rows: 3, bytes });
    }

    #[test]
    fn a_row_that_is_clean_or_gone_waits_no_longer() {
        let scratch = tempfile::tempdir().unwrap();
        let store = open(&scratch);
        set(&store, "a", &waiting());
        set(&store, "b", &parked_one());
        set(&store, "a", &clean());
        let mut batch = Batch::new();
        batch.delete(&keys::item(&key("b")));
        store.commit(&batch, Durability::Relaxed).unwrap();
        assert_eq!(backlog(&store), Backlog::default());
        assert_eq!(dirty(&store, None, 10), []);
        assert_eq!(parked(&store, None, 10), []);
    }

    #[test]
    fn rows_are_counted_by_model() {
        let mut counts = Counts::default();
        counts.count("A", false, true);
        counts.count("A", false, true);
        counts.count("A", true, true);
        counts.count("A", true, false);
        assert_eq!((counts.of("A"), counts.of("B")), (1, 0));
    }

    #[test]
    fn the_news_of_a_removal_are_no_item() {
        let schema = "{
            version: '1.0.0',
            indexes: { primary: { hash: 'pk', sort: 'sk' } },
            models: { Room: {
                pk: { type: 'string', value: 'p' },
                sk: { type: 'string', value: '${name}' },
                name: { type: 'string', required: true },
            } },
        }";
        let schema = Schema::parse(schema).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let store = open(&scratch);
        set(&store, "a", &clean());
        let mut gone = clean();
        gone.write(None);
        set(&store, "b", &gone);
        assert_eq!(Counts::read(&store, &schema).of("Room"), 1);
        assert_eq!(names(&dirty(&store, None, 10)), ["b"]);
    }
}
