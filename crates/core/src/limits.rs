//! Every bound of the product, in one file, with its unit in its name.
//!
//! A bound that a configuration key may move is the default of that key.

// Database engine (periwinkle-db, engine/).

/// Bytes of one log segment, header included; reserved on disk before it is used.
pub const DB_SEGMENT_BYTES: u64 = 4 << 20;
/// The smallest segment that is reserved when the disk is nearly full.
pub const DB_SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Bytes of one transaction as it lies in the log; a larger one is refused.
pub const DB_TRANSACTION_BYTES_MAX: usize = 16 << 20;
/// Bytes of one key of the engine.
pub const DB_KEY_BYTES_MAX: usize = 4096;
/// Bytes of values kept in memory beside the directory.
pub const DB_CACHE_BYTES: usize = 16_000_000;
/// Bytes that may wait for the disk; a commit beyond it waits until the disk has caught up.
pub const DB_UNSYNCED_BYTES_MAX: usize = 8 << 20;
/// Bytes of relaxed commits that start a flush before its time.
pub const DB_FLUSH_BYTES: usize = 1 << 20;
/// How long a relaxed commit may wait for its flush.
pub const DB_FLUSH_INTERVAL_MILLIS: u64 = 5_000;
/// How many cut tails are kept aside; older ones are removed.
pub const DB_CUT_TAILS_KEPT_MAX: usize = 8;
