//! What can go wrong with items, in the words that REST and command line show.

use std::sync::Arc;

use periwinkle_core::expr::{ExpressionError, Place, UpdateError};
use periwinkle_core::schema::{ApplyError, Model, PropertyError};
use periwinkle_core::sync::record::{ItemKey, RecordError};
use periwinkle_core::value::Map;
use periwinkle_core::value::typed::TypedError;

use super::written::ParkedModel;
use crate::engine::{self, CommitError, Damage, ReadError, StoreFailure};

/// Why a call on items did nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// Model or properties are not those of the schema.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// There is such an item already.
    #[error(
        "there is a {model} with this key already{}; update it, or use another key",
        within(.key)
    )]
    Exists {
        /// The model.
        model: String,
        /// The values of the key, as in a path.
        key: String,
    },
    /// The texts of the key make that of another item.
    #[error(
        "the key of this {model}{} is written like that of another item, {owner}: a value has in it what \
         separates the parts of the key; use another one",
        within(.key)
    )]
    KeyTaken {
        /// The model.
        model: String,
        /// The values of the key, as in a path.
        key: String,
        /// The item that has the key: its model, and the values of its key.
        owner: String,
    },
    /// There is no such item.
    #[error(
        "there is no {model} with this key{}; list the model to see what there is",
        within(.key)
    )]
    NotFound {
        /// The model.
        model: String,
        /// The values of the key, as in a path.
        key: String,
    },
    /// A thing of the program's type and an item do not fit together.
    #[error("{model}: {source}")]
    Typed {
        /// The model.
        model: String,
        /// The path of the field.
        field: String,
        /// What does not fit.
        source: TypedError,
    },
    /// DynamoDB would refuse the item for the key that it has in an index.
    #[error(transparent)]
    IndexKey(Box<IndexKeyError>),
    /// The item is too large to be stored.
    #[error("the {model} has {bytes} bytes; the most is {bytes_max}: shorten it or split it")]
    TooLarge {
        /// The model.
        model: String,
        /// Its size, as DynamoDB counts.
        bytes: usize,
        /// The limit of the model.
        bytes_max: usize,
    },
    /// Only the cloud writes this model.
    #[error("{model} is synced down: it can be changed in the cloud only")]
    ReadOnlyModel {
        /// The model.
        model: String,
    },
    /// The model is left alone.
    #[error("{0}")]
    Parked(ParkedModel),
    /// The model has as many rows as its schema admits, or the disk has no room.
    #[error("{what} is full: {reason}")]
    Full {
        /// The model, or the disk.
        what: String,
        /// The bound, and what helps.
        reason: String,
    },
    /// The token of a page does not belong to this call.
    #[error("the token does not belong to this query; start again without \"next\"")]
    BadToken,
    /// The condition of a write does not hold.
    #[error("the condition does not hold of this {model}{}; nothing was written", within(.key))]
    ConditionFailed {
        /// The model.
        model: String,
        /// The values of the key, as in a path.
        key: String,
        /// The item as it is, as far as the caller may see it; `None` when there is none.
        item: Option<Box<Map>>,
    },
    /// An update expression does not fit what the item holds.
    #[error("this {model} cannot be updated: {source}")]
    Update {
        /// The model.
        model: String,
        /// What does not fit.
        source: UpdateError,
    },
    /// Another item has this value of a field that is unique.
    #[error("there is another {model} with this {field}; use another one")]
    NotUnique {
        /// The model.
        model: String,
        /// The field.
        field: String,
    },
    /// What stands in the way of a write is an item that nobody sees: it has expired by a clock that
    /// is not trusted yet, and such a clock removes nothing.
    #[error(
        "{0}: it is hidden, because it has expired by a clock that nothing has confirmed yet; it goes \
         when the time is known, or when it is removed by its key"
    )]
    Hidden(Box<DbError>),
    /// A check of the maker's refused the write.
    #[error("{model} refuses this: {reason}")]
    Refused {
        /// The model.
        model: String,
        /// The field at fault.
        field: Option<String>,
        /// The words of the check.
        reason: String,
    },
    /// One write of several cannot be done, and so none was.
    #[error("write {} of {of}: {source}", .at + 1)]
    InTransaction {
        /// Which one, from 0.
        at: usize,
        /// How many there were.
        of: usize,
        /// What is wrong with it.
        source: Box<DbError>,
    },
    /// A transaction or a check wrote to the database itself, which waits for its end.
    #[error(
        "the database was called from within a transaction or a check; use what that was given"
    )]
    Reentrant,
    /// An expression cannot be read.
    #[error("the {role} is wrong at {source}")]
    Expression {
        /// What it was to be: filter, condition, update or projection.
        role: &'static str,
        /// Where and why.
        source: Box<ExpressionError>,
    },
    /// An expression names what the model does not have, or what only the database sets.
    #[error("the {role} is wrong at column {}: {source}", .at.column)]
    Misnamed {
        /// What it was to be: filter, condition, update or projection.
        role: &'static str,
        /// Where the name stands.
        at: Place,
        /// What is wrong with it, and what there is.
        source: Box<PropertyError>,
    },
    /// The call asks for something that makes no sense.
    #[error("{reason}")]
    BadQuery {
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// What lies on the disk is not what was written.
    #[error(
        "the database is damaged: {0}; stop the agent, then `periwinkle db salvage` saves what is \
         intact, or restore a backup"
    )]
    Corrupt(Damage),
    /// A row cannot be understood.
    #[error("the row \"{key}\" cannot be read: {source}")]
    Record {
        /// The key of the item.
        key: ItemKey,
        /// What is wrong with its bytes.
        source: RecordError,
    },
    /// The disk refused.
    #[error("the disk failed: {0}")]
    Disk(Arc<str>),
    /// Too many values are on the disk and not in memory for a call of
    /// [`Database::inline`](super::Database::inline); none of them was read by it. Repeat the call
    /// without it, on a thread that may wait for the disk.
    #[error("{0}")]
    Waits(Arc<str>),
    /// The database was opened for reading only.
    #[error("the database is open for reading only")]
    ReadOnly,
    /// The database was closed.
    #[error("the database is closed; the agent is stopping")]
    Closed,
}

/// A key behind what it is of. That of a model's one item has no parts to be told.
fn within(key: &str) -> String {
    match key {
        "" => String::new(),
        key => format!(" ({key})"),
    }
}

/// Why a value cannot be the key of an index.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{model}.{field} cannot be the {part} key of the index \"{index}\": it {found}; {expected}"
)]
pub struct IndexKeyError {
    /// The model.
    pub model: String,
    /// The field, or the attribute if no field is stored there.
    pub field: String,
    /// The index.
    pub index: String,
    /// Which part of the key.
    pub part: &'static str,
    /// What is wrong.
    pub found: String,
    /// What is expected.
    pub expected: String,
}

impl DbError {
    /// A stable name of the kind of error, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            DbError::Property(error) => error.kind(),
            DbError::Exists { .. } | DbError::KeyTaken { .. } => "exists",
            DbError::NotFound { .. } => "not_found",
            DbError::Typed { .. } => "wrong_type",
            DbError::IndexKey(_) => "bad_key",
            DbError::TooLarge { .. } => "too_large",
            DbError::ReadOnlyModel { .. } => "read_only_model",
            DbError::Parked(_) => "parked_model",
            DbError::Full { .. } => "full",
            DbError::BadToken => "bad_token",
            DbError::ConditionFailed { .. } => "condition_failed",
            DbError::Update { .. } => "update_failed",
            DbError::NotUnique { .. } => "not_unique",
            DbError::Refused { .. } => "refused",
            DbError::InTransaction { source, .. } | DbError::Hidden(source) => source.kind(),
            DbError::Reentrant => "reentrant",
            DbError::Expression { .. } => "bad_expression",
            DbError::Misnamed { source, .. } => source.kind(),
            DbError::BadQuery { .. } => "bad_query",
            DbError::Corrupt(_) | DbError::Record { .. } => "corrupt",
            DbError::Disk(_) => "disk",
            DbError::Waits(_) => "waits",
            DbError::ReadOnly => "read_only",
            DbError::Closed => "closed",
        }
    }

    /// What is wrong, without the write that it is wrong with and why nobody sees it.
    pub fn cause(&self) -> &DbError {
        match self {
            DbError::InTransaction { source, .. } | DbError::Hidden(source) => source.cause(),
            error => error,
        }
    }

    /// The field that the error is about.
    pub fn field(&self) -> Option<&str> {
        match self {
            DbError::Property(error) => error.field(),
            DbError::Typed { field, .. } => Some(field)
                .filter(|field| !field.is_empty())
                .map(String::as_str),
            DbError::Expression { role, .. } => Some(role),
            DbError::Misnamed { source, .. } => source.field(),
            DbError::NotUnique { field, .. } => Some(field),
            DbError::IndexKey(error) => Some(&error.field),
            DbError::Refused { field, .. } => field.as_deref(),
            DbError::InTransaction { source, .. } | DbError::Hidden(source) => source.field(),
            _ => None,
        }
    }
}

impl DbError {
    pub(super) fn not_found(model: &Model, properties: &Map, context: &Map) -> DbError {
        DbError::NotFound {
            model: model.name().to_owned(),
            key: model.property_segments(properties, context).join("/"),
        }
    }

    pub(super) fn of_apply(model: &Model, error: ApplyError) -> DbError {
        match error {
            ApplyError::Property(error) => error.into(),
            ApplyError::Update(source) => DbError::Update {
                model: model.name().to_owned(),
                source,
            },
            other => DbError::BadQuery {
                reason: other.to_string(),
            },
        }
    }
}

impl From<CommitError> for DbError {
    fn from(error: CommitError) -> DbError {
        match error {
            CommitError::TooLarge { bytes, bytes_max } => DbError::TooLarge {
                model: "write".to_owned(),
                bytes,
                bytes_max,
            },
            CommitError::DiskFull { bytes, source } => DbError::Full {
                what: "the disk".to_owned(),
                reason: format!(
                    "no room to reserve {bytes} bytes; free some space, or delete rows ({source})"
                ),
            },
            CommitError::ReadOnly => DbError::ReadOnly,
            CommitError::Closed => DbError::Closed,
            other => DbError::Disk(other.to_string().into()),
        }
    }
}

impl From<ReadError> for DbError {
    fn from(error: ReadError) -> DbError {
        match error {
            ReadError::Damaged(damage) => DbError::Corrupt(damage),
            waits @ ReadError::Waits { .. } => DbError::Waits(waits.to_string().into()),
            other => DbError::Disk(other.to_string().into()),
        }
    }
}

impl From<StoreFailure> for DbError {
    fn from(error: StoreFailure) -> DbError {
        DbError::Disk(error.to_string().into())
    }
}

/// Why a database did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbOpenError {
    /// The engine did not open.
    #[error(transparent)]
    Engine(#[from] engine::OpenError),
    /// A row cannot be read, or was written by a newer version.
    #[error(transparent)]
    Row(#[from] DbError),
    /// It was opened for reading only, and its items have the form of an older schema.
    #[error(
        "the items have the form of an older schema and reading alone cannot change them; open the \
         database for writing once: start the agent"
    )]
    OldForm,
    /// The disk is full, and its items have the form of an older schema. What was changed is kept,
    /// and the next opening goes on with the rest.
    #[error(
        "the disk is full, and items have yet to be brought into the form of schema version \
         {version}; what is done is kept: free some space and start again, or start with the schema \
         of before and remove items"
    )]
    NoRoom {
        /// The version of the schema.
        version: String,
    },
    /// A value that the schema's keys are made of is missing or cannot be part of a key.
    #[error("\"{name}\" is {found}; {expected}")]
    Context {
        /// The name of the value.
        name: String,
        /// What was given.
        found: String,
        /// What is expected.
        expected: String,
    },
}
