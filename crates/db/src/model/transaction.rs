//! Writes that are there together or not at all, and reads of one moment.

use periwinkle_core::limits::{BATCH_GET_BYTES_MAX, BATCH_GET_ITEMS_MAX, TRANSACTION_WRITES_MAX};
use periwinkle_core::schema::{self, Model};

use periwinkle_core::value::Map;
use periwinkle_core::value::attribute::item_bytes;
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::database::{Committed, Database};
use super::edit::Edit;
use super::error::DbError;
use super::find::{Find, Look, Page, Place, Query, Row, Source, Visited};
use super::keys;
use super::shared::{Shared, State};
use super::write::{Terms, Verb, Write};
use super::writer::{FrameOf, Writer};
use crate::engine::{self, Durability, Order, Step, Ticket};

/// Several writes that are visible.
#[derive(Clone, Debug)]
pub struct Transacted<T> {
    /// What came of it.
    pub value: T,
    /// The commit's place in the order of all commits; all its writes share it.
    pub sequence: u64,
    /// Tells when all of it is on the disk.
    pub ticket: Ticket,
}

impl Database {
    /// Does one write, with its condition and its changes.
    ///
    /// # Errors
    /// As the plain call of the same name; the condition does not hold, and the error carries the
    /// item; or an expression does not fit.
    pub fn write(&self, write: &Write) -> Result<Committed, DbError> {
        let model = self.shared.model(&write.model)?;
        self.write_one(model, |writer| writer.run(write))
    }

    /// Does several writes in one frame: all of them are there, or none. Answers the items, in
    /// order; those removed as they were.
    ///
    /// Each write sees what those before it did. In the cloud, what is one frame here arrives item
    /// by item.
    ///
    /// # Errors
    /// `InTransaction`, with the first write that cannot be done.
    pub fn write_all(&self, writes: &[Write]) -> Result<Transacted<Vec<Map>>, DbError> {
        let of = writes.len();
        self.transaction(|tx| {
            let run = |(at, write)| {
                tx.write(write).map_err(|source| DbError::InTransaction {
                    at,
                    of,
                    source: Box::new(source),
                })
            };
            writes.iter().enumerate().map(run).collect()
        })
    }

    /// Reads and writes in one frame: what the closure writes is there as a whole, or, when it
    /// gives an error, not at all. Its reads see its own writes.
    ///
    /// All other writers wait for its end. It must use the transaction only: the database itself
    /// refuses its writes (`Reentrant`).
    ///
    /// ```
    /// # use periwinkle_core::value::{Map, Value};
    /// # use periwinkle_db::{Database, DbError, Transacted};
    /// fn swap(db: &Database) -> Result<Transacted<()>, DbError> {
    ///     db.transaction(|tx| {
    ///         let (a, b) = (Map::from([("name", "a")]), Map::from([("name", "b")]));
    ///         let area = |room: Option<Map>| room.and_then(|mut room| room.remove("area"));
    ///         let (of_a, of_b) = (area(tx.get("Room", &a)?), area(tx.get("Room", &b)?));
    ///         for (mut room, area) in [(a, of_b), (b, of_a)] {
    ///             room.insert("area", area.unwrap_or(Value::Null));
    ///             tx.update("Room", &room)?;
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// That of the closure; or the frame cannot be committed.
    pub fn transaction<T, E: From<DbError>>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<Transacted<T>, E> {
        let shared = &*self.shared;
        let mut state = shared.write_lock()?;
        let mut tx = Transaction {
            db: self,
            writer: self.writer(&mut state),
            writes: 0,
            durability: Durability::Lazy,
        };
        let value = {
            let _guest = shared.reentry.enter();
            work(&mut tx)?
        };
        let durability = self.durability.unwrap_or(tx.durability);
        let edit = tx.writer.edit;
        let committed = shared.commit(&mut state, edit, durability)?;
        Ok(Transacted {
            value,
            sequence: committed.sequence,
            ticket: committed.ticket,
        })
    }

    /// The items with these keys, all as of one moment; `None` for those that are not there.
    ///
    /// # Errors
    /// There are too many, or they are too large together; or the properties do not name an item of their model.
    pub fn get_all(&self, keys: &[(&str, &Map)]) -> Result<Vec<Option<Map>>, DbError> {
        bounded("items of one get", keys.len(), BATCH_GET_ITEMS_MAX)?;
        let _nobody_writes = self.shared.write_lock()?;
        let mut bytes = 0;
        let get = |(model, key): &(&str, &Map)| {
            let item = self.get(model, key)?;
            bytes += item.as_ref().map_or(0, item_bytes);
            bounded("bytes of one get", bytes, BATCH_GET_BYTES_MAX)?;
            Ok(item)
        };
        keys.iter().map(get).collect()
    }

    /// Commits what one write makes.
    pub(super) fn write_one(
        &self,
        model: &Model,
        work: impl FnOnce(&mut Writer<'_>) -> Result<Map, DbError>,
    ) -> Result<Committed, DbError> {
        let shared = &*self.shared;
        let mut state = shared.write_lock()?;
        let mut writer = self.writer(&mut state);
        let item = work(&mut writer)?;
        let edit = writer.edit;
        let durability = self.durability.unwrap_or(durability_of(model));
        let committed = shared.commit(&mut state, edit, durability)?;
        Ok(Committed {
            item,
            sequence: committed.sequence,
            ticket: committed.ticket,
        })
    }

    pub(super) fn writer<'a>(&'a self, state: &'a mut State) -> Writer<'a> {
        Writer {
            shared: &self.shared,
            context: self.context(),
            hidden: self.hidden,
            now: self.shared.environment.now(),
            state,
            edit: Edit::default(),
            frame: FrameOf::One,
        }
    }
}

/// A transaction in the making: the same calls as those of [`Database`], which take effect
/// together when it ends.
///
/// A write that fails leaves the transaction as it was; the closure may go on.
pub struct Transaction<'a> {
    db: &'a Database,
    writer: Writer<'a>,
    writes: usize,
    durability: Durability,
}

impl<'a> Transaction<'a> {
    /// The item with this key, if there is one.
    ///
    /// # Errors
    /// The properties do not name an item of the model.
    pub fn get(&self, model: &str, properties: &Map) -> Result<Option<Map>, DbError> {
        let writer = &self.writer;
        let model = writer.shared.model(model)?;
        let record = writer.record(&model.key(properties, writer.context)?)?;
        let item = writer.seen(model, properties, &record);
        Ok(item.map(|item| model.properties(item, writer.hidden)))
    }

    /// A page of the items of a model that have the given properties, as [`Database::find`].
    ///
    /// # Errors
    /// As there.
    pub fn find(&self, model: &str, properties: &Map, find: &Find) -> Result<Page, DbError> {
        let query = Query::new(self.db, model, properties, find)?;
        if let Some(mut rows) = query.by_index(Some(&self.writer.edit))? {
            return query.page(&mut rows, find);
        }
        let mut rows = Overlaid {
            shared: self.writer.shared,
            edit: &self.writer.edit,
            range: query.rest()?,
            order: query.order,
        };
        query.page(&mut rows, find)
    }

    /// Makes an item, and answers it.
    ///
    /// # Errors
    /// As [`Database::create`]; or the transaction has too many writes.
    pub fn create(&mut self, model: &str, properties: &Map) -> Result<Map, DbError> {
        let model = self.next_write(model)?;
        self.writer.create(model, properties, &Terms::default())
    }

    /// Changes the given properties of an item, and answers it; null removes one.
    ///
    /// # Errors
    /// As [`Database::update`]; or the transaction has too many writes.
    pub fn update(&mut self, model: &str, changes: &Map) -> Result<Map, DbError> {
        let model = self.next_write(model)?;
        self.writer.update(model, changes, &Terms::default())
    }

    /// Changes the given properties of an item, or makes it, and answers it.
    ///
    /// # Errors
    /// As [`Database::upsert`]; or the transaction has too many writes.
    pub fn upsert(&mut self, model: &str, properties: &Map) -> Result<Map, DbError> {
        let model = self.next_write(model)?;
        self.writer.upsert(model, properties, &Terms::default())
    }

    /// Removes an item, and answers what it was.
    ///
    /// # Errors
    /// As [`Database::remove`]; or the transaction has too many writes.
    pub fn remove(&mut self, model: &str, properties: &Map) -> Result<Map, DbError> {
        let model = self.next_write(model)?;
        self.writer.remove(model, properties, &Terms::default())
    }

    /// Does one write, with its condition and its changes, and answers the item.
    ///
    /// # Errors
    /// As [`Database::write`]; or the transaction has too many writes.
    pub fn write(&mut self, write: &Write) -> Result<Map, DbError> {
        if write.verb != Verb::Check {
            self.next_write(&write.model)?;
        }
        self.writer.run(write)
    }

    /// Counts a write, and notes how it has to be kept.
    fn next_write(&mut self, model: &str) -> Result<&'a Model, DbError> {
        let writes = self.writes + 1;
        bounded("writes of one transaction", writes, TRANSACTION_WRITES_MAX)?;
        self.writes = writes;
        let model = self.writer.writable(model)?;
        self.durability = self.durability.min(durability_of(model));
        Ok(model)
    }
}

fn bounded(what: &str, count: usize, max: usize) -> Result<(), DbError> {
    if count <= max {
        return Ok(());
    }
    Err(DbError::BadQuery {
        reason: format!("{what}: {count}, but at most {max} are possible; split them"),
    })
}

fn durability_of(model: &Model) -> Durability {
    match model.process().durability {
        schema::Durability::Immediate => Durability::Immediate,
        schema::Durability::Relaxed => Durability::Relaxed,
        schema::Durability::Lazy => Durability::Lazy,
    }
}

/// The rows of the store as a transaction leaves them so far, by primary key.
struct Overlaid<'a> {
    shared: &'a Shared,
    edit: &'a Edit,
    range: engine::KeyRange,
    order: Order,
}

impl Source for Overlaid<'_> {
    fn visit(&mut self, step: Step, look: Look<'_>) -> Result<Visited, DbError> {
        let stored = self.shared.store.some_rows(&self.range, self.order, step)?;
        // Behind the last one that was read there may be others, unless it was the end.
        let horizon = stored.last().filter(|_| stored.goes_on(step));
        let mut rows: BTreeMap<Cow<'_, [u8]>, Row<'_>> = BTreeMap::new();
        for row in stored.iter() {
            rows.insert(row.key.into(), Row::Stored(row));
        }
        for row in self.edit.rows() {
            let place = keys::item(&row.key);
            let is_seen = horizon.is_none_or(|last| match self.order {
                Order::Forward => place[..] <= *last.key,
                Order::Reverse => place[..] >= *last.key,
            });
            if is_seen && self.range.contains(&place) {
                match row.after.is_empty() {
                    true => rows.remove(&place[..]),
                    false => rows.insert(place.into(), Row::Written(&row.after)),
                };
            }
        }
        let mut rows: Vec<_> = rows.into_iter().collect();
        if self.order == Order::Reverse {
            rows.reverse();
        }
        let behind = match rows.get(step.rows - 1) {
            Some((last, _)) => Some(&**last),
            // The transaction may hide all that was read.
            None => horizon.map(|last| last.key),
        };
        let goes_on = behind.is_some();
        if let Some(last) = behind {
            self.range = self.range.clone().after(last, self.order);
        }
        rows.truncate(step.rows);
        for (place, row) in &rows {
            if !look(Place::Key(place), *row)? {
                break;
            }
        }
        Ok(Visited {
            rows: rows.len(),
            goes_on,
        })
    }
}
