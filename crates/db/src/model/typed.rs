//! A model whose items are things of a type of the program's own.

use std::fmt;
use std::marker::PhantomData;

use periwinkle_core::value::typed::{self, TypedError};
use periwinkle_core::value::{Map, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::database::{Committed, Database};
use super::error::DbError;
use super::find::{Find, Page};
use super::transaction::Transacted;
use super::write::Write;

/// The items of a model as things of type `T`, which serde reads and writes: the fields of the
/// type are the properties of the model, as far as it wants them.
///
/// Keys and searches take anything that serde writes as a map: a struct, a [`Map`], or `&()` for
/// nothing. See [`typed`] for how numbers, enums and bytes travel.
///
/// ```
/// use periwinkle_core::value::Map;
/// use periwinkle_db::{Database, DbError, Find};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Room {
///     name: String,
///     area: i64,
///     note: Option<String>,
/// }
///
/// fn rooms(db: &Database) -> Result<(), DbError> {
///     let rooms = db.rows::<Room>("Room")?;
///     let attic = Room { name: "attic".to_owned(), area: 20, note: None };
///     rooms.create(&attic)?;
///     let key = Map::from([("name", "attic")]);
///     assert_eq!(rooms.get(&key)?, Some(attic));
///     let large = rooms.find(&(), &Find::new().filter("area >= 20"))?;
///     assert_eq!(large.items.len(), 1);
///     Ok(())
/// }
/// # use periwinkle_core::{schema::Schema, time::{Mono, Now, UnixMillis}};
/// # struct Still;
/// # impl periwinkle_db::Environment for Still {
/// #     fn now(&self) -> Now {
/// #         Now { mono: Mono::ZERO, wall: Some(UnixMillis(0)), trusted: false }
/// #     }
/// #     fn fill(&self, bytes: &mut [u8]) { bytes.fill(7) }
/// # }
/// # let scratch = tempfile::tempdir().unwrap();
/// # let schema = Schema::parse("{ version: '1.0.0', indexes: { primary: { hash: 'pk', sort: 'sk' } },
/// #     models: { Room: { pk: { type: 'string', value: 'home#' },
/// #         sk: { type: 'string', value: 'Room#${name}' }, name: { type: 'string', required: true },
/// #         area: { type: 'number' }, note: { type: 'string' } } } }").unwrap();
/// # let storage = periwinkle_db::engine::FileStorage::open(scratch.path().join("db")).unwrap();
/// # let (db, _) = Database::open(std::sync::Arc::new(storage), schema, Default::default(), std::sync::Arc::new(Still)).unwrap();
/// # rooms(&db).unwrap();
/// ```
pub struct Rows<T> {
    db: Database,
    model: String,
    things: PhantomData<fn(T) -> T>,
}

impl Database {
    /// A model as things of a type of the program's own.
    ///
    /// # Errors
    /// There is no such model.
    pub fn rows<T>(&self, model: &str) -> Result<Rows<T>, DbError> {
        self.shared.schema.model(model)?;
        Ok(Rows {
            db: self.clone(),
            model: model.to_owned(),
            things: PhantomData,
        })
    }
}

impl<T: DeserializeOwned> Rows<T> {
    /// The thing with this key, if there is one.
    ///
    /// # Errors
    /// The key does not name an item of the model; or the item does not fit the type.
    pub fn get(&self, key: &impl Serialize) -> Result<Option<T>, DbError> {
        let item = self.db.get(&self.model, &self.properties(key)?)?;
        item.map(|item| self.thing(item)).transpose()
    }

    /// A page of the things that have these properties, as [`Database::find`].
    ///
    /// # Errors
    /// As there; or an item does not fit the type.
    pub fn find(&self, properties: &impl Serialize, find: &Find) -> Result<Page<T>, DbError> {
        let page = self
            .db
            .find(&self.model, &self.properties(properties)?, find)?;
        let items = page.items.into_iter().map(|item| self.thing(item));
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next: page.next,
        })
    }

    /// Makes an item of a thing, and answers it with what the schema adds. What is `None` counts
    /// as not given, so that it gets its default or is generated.
    ///
    /// # Errors
    /// The thing does not fit the model; or there is such an item.
    pub fn create(&self, thing: &T) -> Result<Transacted<T>, DbError>
    where
        T: Serialize,
    {
        let given = self.given(thing)?;
        self.kept(self.db.create(&self.model, &given)?)
    }

    /// Makes an item of a thing, or changes it to be like the thing: what is `None` goes.
    ///
    /// # Errors
    /// The thing does not fit the model.
    pub fn upsert(&self, thing: &T) -> Result<Transacted<T>, DbError>
    where
        T: Serialize,
    {
        let write = Write::upsert(self.model.as_str(), self.properties(thing)?);
        self.kept(self.db.write(&write)?)
    }

    /// Changes the given properties of an item: those of its key, and what becomes different.
    ///
    /// # Errors
    /// The changes do not fit the model; or there is no such item.
    pub fn update(&self, changes: &impl Serialize) -> Result<Transacted<T>, DbError> {
        let changes = self.properties(changes)?;
        self.kept(self.db.update(&self.model, &changes)?)
    }

    /// Removes an item, and answers what it was.
    ///
    /// # Errors
    /// The key does not name an item of the model; or there is none.
    pub fn remove(&self, key: &impl Serialize) -> Result<Transacted<T>, DbError> {
        let key = self.properties(key)?;
        self.kept(self.db.remove(&self.model, &key)?)
    }

    fn kept(&self, committed: Committed) -> Result<Transacted<T>, DbError> {
        Ok(Transacted {
            value: self.thing(committed.item)?,
            sequence: committed.sequence,
            ticket: committed.ticket,
        })
    }

    fn given(&self, thing: &T) -> Result<Map, DbError>
    where
        T: Serialize,
    {
        let mut properties = self.properties(thing)?;
        properties.retain(|_, value| !value.is_null());
        Ok(properties)
    }

    fn properties(&self, thing: &impl Serialize) -> Result<Map, DbError> {
        match typed::to_value(thing) {
            Ok(Value::Map(properties)) => Ok(properties),
            Ok(Value::Null) => Ok(Map::new()),
            Ok(_) => typed::to_map(thing).map_err(|source| self.unfit(source)),
            Err(source) => Err(self.unfit(source)),
        }
    }

    fn thing(&self, item: Map) -> Result<T, DbError> {
        typed::from_map(item).map_err(|source| self.unfit(source))
    }

    fn unfit(&self, source: TypedError) -> DbError {
        DbError::Typed {
            model: self.model.clone(),
            field: source.field(),
            source,
        }
    }
}

impl<T> Clone for Rows<T> {
    fn clone(&self) -> Rows<T> {
        Rows {
            db: self.db.clone(),
            model: self.model.clone(),
            things: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rows").field(&self.model).finish()
    }
}
