//! The database as programs use it: items by model, in properties.

use std::fmt;
use std::sync::{Arc, Mutex};

use periwinkle_core::limits::DB_SCAN_INLINE_MISSES_MAX;
use periwinkle_core::schema::{Hidden, Schema};
use periwinkle_core::sync::config::ModelRule;
use periwinkle_core::value::{Map, Value};

use super::checks::Checks;
use super::error::{DbError, DbOpenError};
use super::feed::{ChangeStream, Feed, Since};
use super::index;
use super::migrate;
use super::options::{Environment, Options};
use super::reentry::Reentry;
use super::shared::{Shared, read_state};
use super::stats::Stats;
use super::write::Terms;
use super::written::{self, ParkedModel};
use crate::engine::{self, Durability, DurableEvent, OpenReport, Storage, Store, Ticket};

/// An open database. Clones share it.
///
/// Calls take and give properties as the schema names them. A write is visible to all when its
/// call returns, and safe from a power cut when its [`Ticket`] says so. No call waits for the disk,
/// but for a value that is not in memory and for a disk that has fallen far behind.
#[derive(Clone)]
pub struct Database {
    pub(super) shared: Arc<Shared>,
    context: Arc<Map>,
    pub(super) durability: Option<Durability>,
    pub(super) hidden: Hidden,
    is_inline: bool,
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

/// For reading and writing, or for reading alone.
type OpenStore =
    fn(Arc<dyn Storage>, engine::Options) -> Result<(Store, OpenReport), engine::OpenError>;

impl Database {
    /// Opens the database in `storage`, or makes one.
    ///
    /// # Errors
    /// The files are damaged or of a newer version, and nothing was changed; or a context value
    /// that the keys need is missing; or the disk failed while items were brought into the form of
    /// the schema, which goes on at the next opening. If there is no room for that, the models whose
    /// items wait for it are [parked](Database::parked_models).
    pub fn open(
        storage: Arc<dyn Storage>,
        schema: Schema,
        options: Options,
        environment: Arc<dyn Environment>,
    ) -> Result<(Database, OpenReport), DbOpenError> {
        Database::open_as(Store::open, storage, schema, options, environment)
    }

    /// Opens the database in `storage` for reading: writes are refused, and no byte of the files is
    /// changed. With [`FileStorage::open_read_only`](engine::FileStorage::open_read_only) it may lie
    /// on read-only media.
    ///
    /// # Errors
    /// As [`open`](Database::open); and there is no database.
    pub fn open_read_only(
        storage: Arc<dyn Storage>,
        schema: Schema,
        options: Options,
        environment: Arc<dyn Environment>,
    ) -> Result<(Database, OpenReport), DbOpenError> {
        Database::open_as(Store::open_read_only, storage, schema, options, environment)
    }

    fn open_as(
        open: OpenStore,
        storage: Arc<dyn Storage>,
        schema: Schema,
        options: Options,
        environment: Arc<dyn Environment>,
    ) -> Result<(Database, OpenReport), DbOpenError> {
        check_context(&schema, &options.context)?;
        let (store, mut report) = open(storage, options.engine)?;
        let schema = Arc::new(schema);
        let feed = Arc::new(Feed::new(Arc::clone(&schema), store.durable_sequence()));
        let (state, indexed) = read_state(&store, &schema)?;
        report.rows_indexed = indexed.rows;
        let listener = Arc::clone(&feed);
        let subscription = store.on_durable(move |event| match event {
            DurableEvent::Advanced(sequence) => listener.advance(sequence),
            // What was not durable shows at the reopening; until then there is nothing to tell.
            DurableEvent::Failed(_) => {}
        });
        feed.advance(store.durable_sequence());
        let mut shared = Shared {
            store,
            parked: written::parked(&schema, &state.written),
            schema,
            declared: indexed.declared,
            context: options.context,
            queue: options.queue,
            environment,
            state: Mutex::new(state),
            reentry: Reentry::default(),
            checks: Checks::default(),
            feed,
            _subscription: subscription,
        };
        match migrate::complete(&shared) {
            Ok(_) => {}
            Err(DbError::ReadOnly) => return Err(DbOpenError::OldForm),
            Err(DbError::Full { .. }) => match migrate::unfinished(&shared)? {
                Some(models) => shared.parked.extend(models),
                None => {
                    let version = shared.schema.version().to_owned();
                    return Err(DbOpenError::NoRoom { version });
                }
            },
            Err(other) => return Err(other.into()),
        }
        let database = Database {
            context: Arc::new(shared.context.clone()),
            shared: Arc::new(shared),
            durability: None,
            hidden: Hidden::Omit,
            is_inline: false,
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

    /// The same database for a thread that should not wait, such as that of an async runtime: a
    /// call of `find` or `count` reads at most [`DB_SCAN_INLINE_MISSES_MAX`] values from the disk.
    /// One that would read more fails with [`DbError::Waits`].
    pub fn inline(&self) -> Database {
        Database {
            is_inline: true,
            ..self.clone()
        }
    }

    /// The store for the scans of one call.
    pub(super) fn store_to_scan(&self) -> Store {
        match self.is_inline {
            true => self.shared.store.reading_at_most(DB_SCAN_INLINE_MISSES_MAX),
            false => self.shared.store.clone(),
        }
    }

    /// The schema.
    pub fn schema(&self) -> &Schema {
        &self.shared.schema
    }

    /// The same database, whose calls also have these values: every item that is made gets them,
    /// and keys are made of them.
    ///
    /// # Errors
    /// One of them differs from a value that the database was opened with, such as `deviceId`.
    pub fn context_with(&self, values: &Map) -> Result<Database, DbError> {
        let own = &self.shared.context;
        let differs =
            |(name, value): &(&str, &Value)| own.get(name).is_some_and(|own| own != *value);
        if let Some((name, _)) = values.iter().find(differs) {
            return Err(DbError::BadQuery {
                reason: format!("{name} belongs to this device and cannot be given anew"),
            });
        }
        let mut context = Map::clone(&self.context);
        context.extend(values.iter().map(|(name, value)| (name, value.clone())));
        Ok(Database {
            context: Arc::new(context),
            ..self.clone()
        })
    }

    /// The models that are left alone: a newer major version of the schema has written to them, or
    /// there was no room to bring their items into the form of this one. Their items are neither
    /// shown nor changed nor sent.
    pub fn parked_models(&self) -> &[ParkedModel] {
        &self.shared.parked
    }

    /// What replication must know of the models that are synced and not parked.
    pub fn sync_rules(&self) -> Vec<ModelRule> {
        let mut rules = self.shared.schema.sync_rules(&self.shared.context);
        let parked = &self.shared.parked;
        rules.retain(|rule| !parked.iter().any(|parked| parked.model == rule.name));
        rules
    }

    /// The values that every item gets and that no caller gives.
    pub fn context(&self) -> &Map {
        &self.context
    }

    /// Makes an item.
    ///
    /// # Errors
    /// The properties do not fit the model, or there is such an item.
    pub fn create(&self, model: &str, properties: &Map) -> Result<Committed, DbError> {
        let model = self.shared.writable(model)?;
        self.write_one(model, |writer| {
            writer.create(model, properties, &Terms::default())
        })
    }

    /// The item with this key, if there is one.
    ///
    /// # Errors
    /// The properties do not name an item of the model.
    pub fn get(&self, model: &str, properties: &Map) -> Result<Option<Map>, DbError> {
        let model = self.shared.model(model)?;
        let (context, hidden) = (&self.context, self.hidden);
        self.shared.properties(model, properties, context, hidden)
    }

    /// As [`get`](Database::get), where there has to be such an item.
    ///
    /// # Errors
    /// As `get`; `NotFound` if there is none.
    pub fn require(&self, model: &str, properties: &Map) -> Result<Map, DbError> {
        let item = self.get(model, properties)?;
        let model = self.shared.model(model)?;
        item.ok_or_else(|| DbError::not_found(model, properties, &self.context))
    }

    /// Changes the given properties of an item; null removes one.
    ///
    /// # Errors
    /// The properties do not fit the model, or there is no such item.
    pub fn update(&self, model: &str, changes: &Map) -> Result<Committed, DbError> {
        let model = self.shared.writable(model)?;
        self.write_one(model, |writer| {
            writer.update(model, changes, &Terms::default())
        })
    }

    /// Changes the given properties of an item, or makes it if there is none.
    ///
    /// # Errors
    /// The properties do not fit the model.
    pub fn upsert(&self, model: &str, properties: &Map) -> Result<Committed, DbError> {
        let model = self.shared.writable(model)?;
        self.write_one(model, |writer| {
            writer.upsert(model, properties, &Terms::default())
        })
    }

    /// Removes an item, and answers what it was.
    ///
    /// # Errors
    /// The properties do not name an item of the model, or there is none.
    pub fn remove(&self, model: &str, properties: &Map) -> Result<Committed, DbError> {
        let model = self.shared.writable(model)?;
        self.write_one(model, |writer| {
            writer.remove(model, properties, &Terms::default())
        })
    }

    /// The properties that name an item, from the segments of a path.
    ///
    /// # Errors
    /// The model wants other segments.
    pub fn key_from_segments(&self, model: &str, segments: &[&str]) -> Result<Map, DbError> {
        let model = self.shared.schema.model(model)?;
        Ok(model.key_from_segments(segments, &self.context)?)
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
        Ok(model.property_segments(properties, &self.context))
    }

    /// The changes of items, each after it is durable.
    pub fn changes(&self, since: Since) -> ChangeStream {
        self.shared.feed.stream(since, Arc::downgrade(&self.shared))
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

    /// What is durable at this moment: for a backup while others write, or to look at every byte.
    ///
    /// ```no_run
    /// use periwinkle_core::value::Map;
    /// use periwinkle_db::engine::FileStorage;
    /// use periwinkle_db::{Database, Find};
    ///
    /// fn copy(db: &Database) -> Result<(), Box<dyn std::error::Error>> {
    ///     let made = db.create("Room", &Map::from([("name", "kitchen")]))?;
    ///     made.ticket.wait()?; // on the disk
    ///     let rooms = db.find("Room", &Map::new(), &Find::new().filter("begins_with(name, 'k')"))?;
    ///     assert_eq!(rooms.items.len(), 1);
    ///
    ///     // A copy as of now, while others write.
    ///     let snapshot = db.snapshot();
    ///     snapshot.copy_to(&FileStorage::open("/mnt/usb/monday/db")?)?;
    ///     Ok(())
    /// }
    /// ```
    pub fn snapshot(&self) -> engine::Snapshot {
        self.shared.store.snapshot()
    }

    /// Figures of this moment.
    pub fn stats(&self) -> Stats {
        let state = self.shared.lock();
        Stats {
            engine: self.shared.store.stats(),
            rows: state.counts.by_model(),
            bytes: state.counts.bytes_by_model(),
            beyond: self.beyond(&state),
            queue: index::backlog(&self.shared.store),
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
        let mut report = shared.store.reopen()?;
        let (read, indexed) = read_state(&shared.store, &shared.schema)?;
        *state = read;
        report.rows_indexed = indexed.rows;
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
