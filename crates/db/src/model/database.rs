//! The database as programs use it: items by model, in properties.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use periwinkle_core::ids::UlidSource;
use periwinkle_core::schema::{self, Hidden, Model, PropertyError, Schema, Writing};
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::time::Now;
use periwinkle_core::value::{Map, Value};

use super::edit::Edit;
use super::error::{DbError, DbOpenError};
use super::feed::{ChangeStream, Feed, Origin, Since};
use super::index::{Index, RowFacts};
use super::keys;
use super::options::{Environment, Options};
use super::rows::DroppedRows;
use super::stats::Stats;
use crate::engine::{
    self, Durability, DurableEvent, OpenReport, Order, Storage, Store, Subscription, Ticket,
};
use periwinkle_core::limits::DB_SCAN_ROWS;

/// An open database. Clones share it.
///
/// Calls take and give properties as the schema names them. A write is visible to all when its
/// call returns, and safe from a power cut when its [`Ticket`] says so. No call waits for the disk,
/// but for a value that is not in memory and for a disk that has fallen far behind.
#[derive(Clone)]
pub struct Database {
    pub(super) shared: Arc<Shared>,
    durability: Option<Durability>,
    pub(super) hidden: Hidden,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("sequence", &self.sequence())
            .finish_non_exhaustive()
    }
}

/// A write that is visible.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The item after the write; before it, if the write removed the item.
    pub item: Map,
    /// The commit's place in the order of all commits.
    pub sequence: u64,
    /// Tells when the write is on the disk.
    pub ticket: Ticket,
}

impl Database {
    /// Opens the database in `storage`, or makes one.
    ///
    /// # Errors
    /// The files are damaged or of a newer version, and nothing was changed; or a context value
    /// that the keys need is missing.
    pub fn open(
        storage: Arc<dyn Storage>,
        schema: Schema,
        options: Options,
        environment: Arc<dyn Environment>,
    ) -> Result<(Database, OpenReport), DbOpenError> {
        check_context(&schema, &options.context)?;
        let (store, report) = Store::open(storage, options.engine)?;
        let schema = Arc::new(schema);
        let feed = Arc::new(Feed::new(Arc::clone(&schema), store.durable_sequence()));
        let state = read_state(&store, &schema)?;
        let listener = Arc::clone(&feed);
        let subscription = store.on_durable(move |event| match event {
            DurableEvent::Advanced(sequence) => listener.advance(sequence),
            // What was not durable shows at the reopening; until then there is nothing to tell.
            DurableEvent::Failed(_) => {}
        });
        feed.advance(store.durable_sequence());
        let shared = Shared {
            store,
            schema,
            context: options.context,
            environment,
            state: Mutex::new(state),
            feed,
            _subscription: subscription,
        };
        let database = Database {
            shared: Arc::new(shared),
            durability: None,
            hidden: Hidden::Omit,
        };
        Ok((database, report))
    }

    /// The same database, whose writes have this durability instead of their model's.
    pub fn durability(&self, durability: Durability) -> Database {
        Database {
            durability: Some(durability),
            ..self.clone()
        }
    }

    /// The same database, whose answers have or lack hidden fields.
    pub fn hidden(&self, hidden: Hidden) -> Database {
        Database {
            hidden,
            ..self.clone()
        }
    }

    /// The schema.
    pub fn schema(&self) -> &Schema {
        &self.shared.schema
    }

    /// The values that every item gets and that no caller gives.
    pub fn context(&self) -> &Map {
        &self.shared.context
    }

    /// Makes an item.
    ///
    /// # Errors
    /// The properties do not fit the model, or there is such an item.
    pub fn create(&self, model: &str, properties: &Map) -> Result<Committed, DbError> {
        let model = self.writable(model)?;
        self.write(model, |writer| {
            let item = writer.new_item(properties)?;
            let (key, record) = writer.row_of(&item)?;
            if writer.sees(&record) {
                return Err(self.exists(model, &item));
            }
            writer.put(&key, &record, Some(item.clone()))?;
            Ok(item)
        })
    }

    /// The item with this key, if there is one.
    ///
    /// # Errors
    /// The properties do not name an item of the model.
    pub fn get(&self, model: &str, properties: &Map) -> Result<Option<Map>, DbError> {
        let model = self.shared.schema.model(model)?;
        let key = model.key(properties, &self.shared.context)?;
        let record = self.shared.record(&key)?;
        let now = self.shared.environment.now();
        Ok(self
            .shared
            .visible(model, &record, now)
            .map(|item| model.properties(item, self.hidden)))
    }

    /// Changes the given properties of an item; null removes one.
    ///
    /// # Errors
    /// The properties do not fit the model, or there is no such item.
    pub fn update(&self, model: &str, changes: &Map) -> Result<Committed, DbError> {
        let model = self.writable(model)?;
        let key = model.key(changes, &self.shared.context)?;
        self.write(model, |writer| {
            let record = writer.record(&key)?;
            let Some(current) = writer.current(&record) else {
                return Err(self.not_found(model, changes));
            };
            let item = writer.changed_item(&current, changes)?;
            writer.put(&key, &record, Some(item.clone()))?;
            Ok(item)
        })
    }

    /// Changes the given properties of an item, or makes it if there is none.
    ///
    /// # Errors
    /// The properties do not fit the model.
    pub fn upsert(&self, model: &str, properties: &Map) -> Result<Committed, DbError> {
        let model = self.writable(model)?;
        self.write(model, |writer| {
            // A generated key cannot name an item that is there.
            let named = model.key(properties, &self.shared.context).ok();
            let known = named.map(|key| writer.record(&key)).transpose()?;
            let current = known.as_ref().and_then(|record| writer.current(record));
            let item = match current {
                Some(current) => writer.changed_item(&current, properties)?,
                None => writer.new_item(properties)?,
            };
            let (key, record) = writer.row_of(&item)?;
            writer.put(&key, &record, Some(item.clone()))?;
            Ok(item)
        })
    }

    /// Removes an item, and answers what it was.
    ///
    /// # Errors
    /// The properties do not name an item of the model, or there is none.
    pub fn remove(&self, model: &str, properties: &Map) -> Result<Committed, DbError> {
        let model = self.writable(model)?;
        let key = model.key(properties, &self.shared.context)?;
        self.write(model, |writer| {
            let record = writer.record(&key)?;
            let Some(current) = writer.current(&record) else {
                return Err(self.not_found(model, properties));
            };
            writer.put(&key, &record, None)?;
            Ok(current)
        })
    }

    /// The properties that name an item, from the segments of a path.
    ///
    /// # Errors
    /// The model wants other segments.
    pub fn key_from_segments(&self, model: &str, segments: &[&str]) -> Result<Map, DbError> {
        let model = self.shared.schema.model(model)?;
        Ok(model.key_from_segments(segments, &self.shared.context)?)
    }

    /// The value that a text in a URL or on a command line means for a property.
    ///
    /// # Errors
    /// There is no such property, or the text is no value of its type.
    pub fn value_from_text(&self, model: &str, name: &str, text: &str) -> Result<Value, DbError> {
        let model = self.shared.schema.model(model)?;
        Ok(model.value_from_text(name, text)?)
    }

    /// The segments of a path that name an item with these properties.
    ///
    /// # Errors
    /// There is no such model.
    pub fn segments(&self, model: &str, properties: &Map) -> Result<Vec<String>, DbError> {
        let model = self.shared.schema.model(model)?;
        Ok(model.property_segments(properties, &self.shared.context))
    }

    /// The changes of items, each after it is durable.
    pub fn changes(&self, since: Since) -> ChangeStream {
        self.shared.feed.stream(since)
    }

    /// Asks for a sync of everything committed so far.
    pub fn flush(&self) -> Ticket {
        self.shared.store.flush()
    }

    /// The sequence of the last commit.
    pub fn sequence(&self) -> u64 {
        self.shared.store.sequence()
    }

    /// The sequence up to which everything is on the disk.
    pub fn durable_sequence(&self) -> u64 {
        self.shared.store.durable_sequence()
    }

    /// Figures of this moment.
    pub fn stats(&self) -> Stats {
        let state = self.shared.lock();
        Stats {
            engine: self.shared.store.stats(),
            rows: state.index.rows_by_model(),
            queue: state.index.backlog(),
            dropped: state.dropped.by_model(),
        }
    }

    /// The error that ended writing, if one did; [`reopen`](Database::reopen) is the way on.
    pub fn failure(&self) -> Option<engine::StoreFailure> {
        self.shared.store.failure()
    }

    /// Opens the files again after the disk failed: writes that were not durable may be gone, and
    /// every change stream gets a gap. Blocks all calls meanwhile.
    ///
    /// # Errors
    /// As [`open`](Database::open); then everything stays as it was.
    pub fn reopen(&self) -> Result<OpenReport, DbOpenError> {
        let shared = &self.shared;
        let mut state = shared.lock();
        let report = shared.store.reopen()?;
        *state = read_state(&shared.store, &shared.schema)?;
        shared.feed.restart(shared.store.durable_sequence());
        Ok(report)
    }

    /// Flushes everything and closes the files in order. Writes are refused from now on, and change
    /// streams end.
    ///
    /// # Errors
    /// The disk failed; the last writes may not be on it.
    pub fn close(&self) -> Result<(), DbError> {
        let closed = self.shared.store.close();
        self.shared.feed.close();
        Ok(closed?)
    }

    fn writable(&self, model: &str) -> Result<&Model, DbError> {
        let model = self.shared.schema.model(model)?;
        let direction = model.direction();
        if direction.is_down() && !direction.is_up() {
            return Err(DbError::ReadOnlyModel {
                model: model.name().to_owned(),
            });
        }
        Ok(model)
    }

    fn write(
        &self,
        model: &Model,
        work: impl FnOnce(&mut Writer<'_>) -> Result<Map, DbError>,
    ) -> Result<Committed, DbError> {
        let shared = &*self.shared;
        let mut state = shared.lock();
        let mut writer = Writer {
            shared,
            model,
            now: shared.environment.now(),
            state: &mut state,
            edit: Edit::default(),
        };
        let item = work(&mut writer)?;
        let edit = writer.edit;
        let durability = self.durability.unwrap_or(match model.process().durability {
            schema::Durability::Immediate => Durability::Immediate,
            schema::Durability::Relaxed => Durability::Relaxed,
        });
        let committed = shared.commit(&mut state, edit, durability)?;
        Ok(Committed {
            item: model.properties(&item, self.hidden),
            sequence: committed.sequence,
            ticket: committed.ticket,
        })
    }

    fn exists(&self, model: &Model, item: &Map) -> DbError {
        DbError::Exists {
            model: model.name().to_owned(),
            key: model.key_segments(item, &self.shared.context).join(", "),
        }
    }

    fn not_found(&self, model: &Model, properties: &Map) -> DbError {
        let key = model.property_segments(properties, &self.shared.context);
        DbError::NotFound {
            model: model.name().to_owned(),
            key: key.join(", "),
        }
    }
}

/// What all clones share.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) schema: Arc<Schema>,
    pub(super) context: Map,
    pub(super) environment: Arc<dyn Environment>,
    /// Held by whoever writes, from reading to committing. Never taken on the storage thread.
    state: Mutex<State>,
    feed: Arc<Feed>,
    _subscription: Subscription,
}

/// What writers share.
pub(super) struct State {
    pub(super) index: Index,
    pub(super) ulids: UlidSource,
    pub(super) dropped: DroppedRows,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Index and counts change only after a commit, in calls that cannot panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record of `key`, as committed; an empty one if there is none.
    pub(super) fn record(&self, key: &ItemKey) -> Result<Record, DbError> {
        match self.store.get(&keys::item(key))? {
            Some(entry) => decode(key, &entry.value),
            None => Ok(Record::default()),
        }
    }

    /// The item that programs see: not when it is expired.
    pub(super) fn visible<'r>(
        &self,
        model: &Model,
        record: &'r Record,
        now: Now,
    ) -> Option<&'r Map> {
        let item = record.item.as_ref()?;
        match (model.expires(item), now.wall) {
            (Some(expires), Some(wall)) if expires <= wall => None,
            _ => Some(item),
        }
    }

    /// Commits a frame; then queue, counts and streams know of it.
    pub(super) fn commit(
        &self,
        state: &mut State,
        edit: Edit,
        durability: Durability,
    ) -> Result<engine::Committed, DbError> {
        let committed = self.store.commit(&edit.batch, durability)?;
        let mut told = Vec::new();
        for touched in edit.touched {
            let sequence = committed.sequence;
            state.index.set(&touched.key, touched.facts, sequence);
            if let Some(model) = &touched.model {
                let (was, is) = (touched.was_live, touched.facts.live);
                state.index.count(model, was, is);
            }
            if let Some(mut entry) = touched.told {
                entry.sequence = sequence;
                told.push(entry);
            }
        }
        if let Some(dropped) = edit.dropped {
            state.dropped = dropped;
        }
        self.feed.push(told);
        Ok(committed)
    }
}

/// One write in the making.
pub(super) struct Writer<'a> {
    pub(super) shared: &'a Shared,
    pub(super) model: &'a Model,
    pub(super) now: Now,
    pub(super) state: &'a mut State,
    pub(super) edit: Edit,
}

impl Writer<'_> {
    pub(super) fn new_item(&mut self, properties: &Map) -> Result<Map, PropertyError> {
        let model = self.model;
        self.with_writing(|writing| model.create(properties, writing))
    }

    fn changed_item(&mut self, current: &Map, changes: &Map) -> Result<Map, PropertyError> {
        let model = self.model;
        self.with_writing(|writing| model.update(current, changes, writing))
    }

    fn with_writing<T>(&mut self, action: impl FnOnce(&mut Writing<'_>) -> T) -> T {
        let environment = &self.shared.environment;
        let mut entropy = |bytes: &mut [u8]| environment.fill(bytes);
        action(&mut Writing {
            context: &self.shared.context,
            wall: self.now.wall,
            ulids: &mut self.state.ulids,
            entropy: &mut entropy,
        })
    }

    fn record(&self, key: &ItemKey) -> Result<Record, DbError> {
        self.shared.record(key)
    }

    pub(super) fn row_of(&self, item: &Map) -> Result<(ItemKey, Record), DbError> {
        let key = self
            .model
            .key_of(item)
            .expect("an item of a model carries its key");
        let record = self.record(&key)?;
        Ok((key, record))
    }

    fn sees(&self, record: &Record) -> bool {
        self.shared.visible(self.model, record, self.now).is_some()
    }

    fn current(&self, record: &Record) -> Option<Map> {
        self.shared.visible(self.model, record, self.now).cloned()
    }

    /// Writes the item of a row, and with it what the cloud has to learn.
    pub(super) fn put(
        &mut self,
        key: &ItemKey,
        before: &Record,
        item: Option<Map>,
    ) -> Result<(), DbError> {
        let mut after = before.clone();
        if self.model.direction().is_up() {
            if !after.write(item) {
                return Ok(());
            }
            after.stamp(self.now.trusted_wall());
        } else {
            after.write_unsynced(item);
            if after == *before {
                return Ok(());
            }
        }
        if after.item.is_some() {
            self.check_size(&after)?;
        }
        self.edit
            .put(self.shared, key, before, &after, Origin::Local);
        if before.item.is_none() && after.item.is_some() {
            self.make_room()?;
        }
        Ok(())
    }
}

pub(super) fn decode(key: &ItemKey, bytes: &[u8]) -> Result<Record, DbError> {
    Record::decode(bytes).map_err(|source| DbError::Record {
        key: key.clone(),
        source,
    })
}

/// Reads all rows once: what waits for the cloud, and how many rows each model has.
fn read_state(store: &Store, schema: &Schema) -> Result<State, DbError> {
    let mut index = Index::default();
    let mut range = keys::items();
    loop {
        let rows = store.scan(&range, Order::Forward, DB_SCAN_ROWS)?;
        for entry in &rows {
            let Some(key) = keys::parse_item(&entry.key) else {
                continue;
            };
            let record = decode(&key, &entry.value)?;
            let facts = RowFacts::of(&record, entry.value.len());
            if let Some(model) = schema.model_of_key(&key) {
                index.count(model.name(), false, facts.live);
            }
            index.set(&key, facts, entry.sequence);
        }
        match rows.last() {
            Some(last) if rows.len() == DB_SCAN_ROWS => {
                range = range.after(&last.key, Order::Forward);
            }
            _ => break,
        }
    }
    Ok(State {
        index,
        ulids: UlidSource::default(),
        dropped: DroppedRows::read(store)?,
    })
}

/// A synced key begins with the device: its name must not run into the next part.
fn check_context(schema: &Schema, context: &Map) -> Result<(), DbOpenError> {
    if !schema.is_synced() {
        return Ok(());
    }
    let expected = "a synced model needs the name of the device: a text without \"#\"";
    let found = match context.get("deviceId") {
        None => "missing".to_owned(),
        Some(value) => match value.as_str() {
            Some(name) if !name.is_empty() && !name.contains(['#', '\0']) => return Ok(()),
            _ => value.to_json(),
        },
    };
    Err(DbOpenError::Context {
        name: "deviceId".to_owned(),
        found,
        expected: expected.to_owned(),
    })
}
