//! Items above the engine: models, keys, queries, the outbox of replication and change streams.
//!
//! ```
//! use periwinkle_core::schema::Schema;
//! use periwinkle_core::time::{Mono, Now, UnixMillis};
//! use periwinkle_core::value::Map;
//! use periwinkle_db::engine::FileStorage;
//! use periwinkle_db::{Database, Environment, Options};
//! use std::sync::Arc;
//!
//! struct Still;
//! impl Environment for Still {
//!     fn now(&self) -> Now {
//!         Now { mono: Mono::ZERO, wall: Some(UnixMillis(0)), trusted: false }
//!     }
//!     fn fill(&self, bytes: &mut [u8]) {
//!         bytes.fill(7);
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let scratch = tempfile::tempdir()?;
//! let schema = Schema::parse("{
//!     version: '1.0.0',
//!     indexes: { primary: { hash: 'pk', sort: 'sk' } },
//!     models: { Room: {
//!         pk: { type: 'string', value: 'home#' },
//!         sk: { type: 'string', value: 'Room#${name}' },
//!         name: { type: 'string', required: true },
//!         area: { type: 'number' },
//!     } },
//! }")?;
//! let storage = Arc::new(FileStorage::open(scratch.path().join("db"))?);
//! let (db, _report) = Database::open(storage, schema, Options::default(), Arc::new(Still))?;
//!
//! let made = db.create("Room", &Map::from([("name", "kitchen")]))?;
//! made.ticket.wait()?; // on the disk
//! let room = db.get("Room", &Map::from([("name", "kitchen")]))?;
//! assert_eq!(room, Some(made.item));
//! # db.close()?;
//! # Ok(())
//! # }
//! ```

mod by_index;
mod catch_up;
mod checks;
mod database;
mod edit;
mod error;
mod expiry;
mod export;
mod expression;
mod feed;
mod find;
mod full;
mod import;
mod index;
mod index_keys;
mod keys;
mod migrate;
mod oldest;
mod options;
mod reentry;
mod reindex;
mod replicate;
mod rows;
mod shared;
mod shelf;
mod stats;
mod strangers;
mod token;
mod trace;
mod transaction;
pub mod transfer;
mod typed;
mod unique;
mod window;
mod write;
mod writer;
mod written;

pub use checks::{Proposed, Refusal};
pub use database::{Committed, Database};
pub use error::{DbError, DbOpenError, IndexKeyError};
pub use export::{Export, ExportForm};
pub use expression::Expression;
pub use feed::{Change, ChangeKind, ChangeStream, Event, Next, Origin, Since};
pub use find::{Count, Find, Page};
pub use import::{ImportOptions, Imported, OnConflict};
pub use keys::describe_key;
pub use options::{Environment, Options, QueueBounds};
pub use shelf::{Shelf, ShelfBatch};
pub use stats::{Beyond, Dropped, Stats};
pub use trace::{Mark, Room, Trace};
pub use transaction::{Transacted, Transaction};
pub use typed::Rows;
pub use write::Write;
pub use written::ParkedModel;
