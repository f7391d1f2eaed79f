//! The embedded database of Periwinkle: an append-only checksummed log under a model layer.
//!
//! Synchronous and runtime-free. [`engine`] keeps bytes; [`model`] above it knows items, and is
//! what programs use: [`Database`].

pub mod engine;
pub mod model;

pub use model::{
    Beyond, Change, ChangeKind, ChangeStream, Committed, Count, Database, DbError, DbOpenError,
    Dropped, Environment, Event, Export, ExportForm, Expression, Find, ImportOptions, Imported,
    IndexKeyError, Mark, Next, OnConflict, Options, Origin, Page, ParkedModel, Proposed,
    QueueBounds, Refusal, Room, Rows, Shelf, ShelfBatch, Since, Stats, Trace, Transacted,
    Transaction, Write, describe_key,
};
