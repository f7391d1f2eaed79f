//! The engine: an ordered map of byte keys to byte values over an append-only checksummed log.
//!
//! What was reported durable is there after any power cut; a batch is there whole or not at all;
//! a torn write, a full disk or a flipped bit is recognised and reported.
//!
//! ```
//! use periwinkle_db::engine::{Batch, Durability, FileStorage, Options, Store};
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let scratch = tempfile::tempdir()?;
//! # let directory = scratch.path().join("db");
//! let storage = Arc::new(FileStorage::open(directory)?);
//! let (store, _report) = Store::open(storage, Options::default())?;
//! let committed = store.commit(Batch::new().put(b"key", b"value"), Durability::Immediate)?;
//! committed.ticket.wait()?;
//! assert_eq!(&*store.get(b"key")?.unwrap().value, b"value");
//! store.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Store`]: for programs; many threads, one storage thread, group commit.
//! - [`Engine`]: its deterministic heart, driven by hand in simulations.
//! - [`Storage`]: the disk under both; [`FileStorage`] is the real one.
//!
//! The format of the log is in `docs/formats/log.md`.

mod ahead;
mod backup;
mod batch;
mod cache;
mod compact;
mod crc32c;
mod directory;
mod error;
mod file_storage;
mod flush;
mod frame;
mod front;
mod given_up;
mod head;
mod index;
mod inspect;
mod key;
mod key_file;
mod key_job;
mod key_merge;
mod keyed;
mod listen;
mod load;
mod log;
mod machine;
mod made;
mod moves;
mod options;
mod owner;
mod range;
mod read;
mod recover;
mod reserve;
mod rows;
mod run;
mod salvage;
mod scan;
mod segments;
mod slab;
mod stats;
mod storage;
mod store;
mod tails;
mod ticket;
mod tree;
mod tx;
mod work;

pub use backup::{Snapshot, SnapshotFile};
pub use batch::Batch;
pub use compact::{Compact, Compacted};
pub use error::{
    CommitError, Damage, DurabilityError, OpenError, ReadError, StorageError, StoreFailure,
};
pub use file_storage::FileStorage;
pub use flush::{Flush, Flushed};
pub use frame::LOG_VERSION;
pub use index::{IndexId, IndexStats};
pub use inspect::{DamagedKey, Inspection, Verification, verify};
pub use key::Key;
pub use key_job::{KeyFile, KeyFileMade};
pub use listen::{DurableEvent, Subscription};
pub use machine::{Engine, Refusal, Room};
pub use made::{make_directory, sync_entry};
pub use options::{Durability, Options};
pub use owner::give_to_owner_of;
pub use range::{IndexPosition, IndexRange, KeyRange, Order};
pub use read::{Entry, IndexedEntry, IndexedRow, Lookup, Unread};
pub use recover::{CutTail, OpenReport};
pub use reserve::{Reserve, Reserved};
pub use rows::{IndexedRows, RowRef, Rows, Step};
pub use salvage::{SalvageError, Salvaged, salvage};
pub use stats::Stats;
pub use storage::{Storage, StorageFile};
pub use store::Store;
pub use ticket::{Committed, Durable, Ticket};
pub use tx::Tx;
