//! What can go wrong, one enum per operation.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Damage to something that was on the disk for certain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged at byte {offset}: {what}")]
pub struct Damage {
    /// The file, by its name in the database directory.
    pub file: String,
    /// Where in the file the damage begins.
    pub offset: u64,
    /// What was found there.
    pub what: String,
}

/// Why a database directory could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Another process has the database open.
    #[error(
        "the database in {} is in use by {}; stop it first",
        directory.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The database directory.
        directory: PathBuf,
        /// The holder, as it wrote itself into the lock file.
        pid: Option<u32>,
    },
    /// The directory cannot be used.
    #[error("cannot use the database directory {}: {source}", directory.display())]
    Io {
        /// The database directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The lock file in the directory cannot be used.
    #[error("cannot use the lock file {}: {source}", file.display())]
    LockFile {
        /// The lock file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a database did not open. Nothing was changed on the disk, except by
/// [`Io`](OpenError::Io) in the middle of cutting a tail, which the next opening repeats.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Something that was durable is damaged. The files are untouched.
    #[error(
        "{0}. Nothing was changed; `periwinkle db salvage` saves what is intact, or restore a backup"
    )]
    Damaged(Damage),
    /// The files come from a newer version of the program. They are untouched.
    #[error(
        "{file} was written by a newer version ({what}); nothing was changed; use that version"
    )]
    Newer {
        /// The file that is too new.
        file: String,
        /// What is not known here.
        what: String,
    },
    /// The disk failed or is full.
    #[error("cannot {operation} {file}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a read got nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The value on the disk is not the one that was written.
    #[error(transparent)]
    Damaged(Damage),
    /// The disk did not deliver.
    #[error("cannot read {file} at byte {offset}: {source}")]
    Io {
        /// The file, by its name in the database directory.
        file: String,
        /// Where the value lies.
        offset: u64,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// More values are not in memory than may be read on this thread. None was read.
    #[error(
        "{missing} values are on the disk and not in memory, and {missing_max} may be read here; \
         ask on a thread that may wait for the disk"
    )]
    Waits {
        /// How many would have to be read.
        missing: usize,
        /// How many might be.
        missing_max: usize,
    },
}

/// Why a commit was refused. Nothing of it is visible, in memory or on the disk.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The transaction is larger than the log takes.
    #[error("the transaction has {bytes} bytes, the limit is {bytes_max}; split it")]
    TooLarge {
        /// Its size in the log.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A key, or an index key, is longer than the directory takes.
    #[error("a key has {bytes} bytes, the limit is {bytes_max}")]
    KeyTooLong {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A row is in more indexes than the directory takes.
    #[error("a row has {entries} index entries, the limit is {entries_max}")]
    TooManyIndexEntries {
        /// How many it has.
        entries: usize,
        /// The limit.
        entries_max: usize,
    },
    /// There is no room on the disk. Reads go on; writes go on when there is room again.
    #[error(
        "the disk is full: no room to reserve {bytes} bytes; free some space, or delete rows ({source})"
    )]
    DiskFull {
        /// What was to be reserved at least.
        bytes: u64,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// An earlier write or sync failed: nothing can be written until the database is reopened.
    #[error(transparent)]
    Failed(#[from] StoreFailure),
    /// The database was opened for reading only.
    #[error("the database was opened for reading only")]
    ReadOnly,
    /// The database was closed.
    #[error("the database is closed")]
    Closed,
}

/// The disk refused a write or a sync: what was not durable by then may be lost, and the store
/// takes no more writes until it is reopened through recovery.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "cannot {operation} {file}: {source}; nothing more is written until the database is reopened"
)]
pub struct StoreFailure {
    /// What was tried.
    pub operation: &'static str,
    /// On which file.
    pub file: String,
    /// What the system said.
    pub source: Arc<io::Error>,
}

/// Why a commit that was visible did not become durable.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DurabilityError {
    /// The disk failed before the commit was on it. Whether it is there shows at reopening.
    #[error(transparent)]
    Failed(#[from] StoreFailure),
    /// The store was reopened before the commit was on the disk. Whether it is there shows in
    /// what the store holds now.
    #[error("the database was reopened before the change was on the disk")]
    Reopened,
}
