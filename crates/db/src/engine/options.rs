//! What the opener decides.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use periwinkle_core::limits;

/// Sizes and times of one engine. The defaults are those of the product.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of a log segment.
    pub segment_bytes: u64,
    /// The smallest segment that is reserved when there is no room for a whole one.
    pub segment_bytes_min: u64,
    /// Bytes of values that the cache may hold.
    pub cache_bytes: usize,
    /// Bytes that may wait for the disk before commits wait too.
    pub unsynced_bytes_max: usize,
    /// Bytes of relaxed commits that start a flush before its time.
    pub flush_bytes: usize,
    /// Share of the log, in percent from 1 to 99, that is still needed at least: below it the log
    /// is compacted. More takes less room on the disk and writes more.
    pub live_percent_min: u64,
    /// Bytes that one step of compaction reads and writes, unless one transaction is larger.
    pub compact_step_bytes: u64,
    /// How long a relaxed commit may wait for its flush.
    pub flush_interval: Duration,
    /// How long a lazy commit may wait for its flush.
    pub lazy_interval: Duration,
    /// How long an immediate commit may wait for its flush while nobody asks its ticket.
    pub sync_grace: Duration,
    /// Mixed into every checksum of a new log, so that nobody who stores values can forge a
    /// frame inside one. Drawn at random by default; a simulation sets it.
    pub salt: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: limits::DB_SEGMENT_BYTES,
            segment_bytes_min: limits::DB_SEGMENT_BYTES_MIN,
            cache_bytes: limits::DB_CACHE_BYTES,
            unsynced_bytes_max: limits::DB_UNSYNCED_BYTES_MAX,
            flush_bytes: limits::DB_FLUSH_BYTES,
            live_percent_min: limits::DB_LIVE_PERCENT_MIN,
            compact_step_bytes: limits::DB_COMPACT_STEP_BYTES,
            flush_interval: Duration::from_millis(limits::DB_FLUSH_INTERVAL_MILLIS),
            lazy_interval: limits::DB_LAZY_INTERVAL,
            sync_grace: limits::DB_SYNC_GRACE,
            salt: RandomState::new().hash_one("periwinkle log"),
        }
    }
}

/// When a commit reaches the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// As soon as the disk can, together with all others who wait: from the moment on when
    /// somebody waits for the ticket or polls it, and otherwise after [`Options::sync_grace`].
    #[default]
    Immediate,
    /// Within [`Options::flush_interval`].
    Relaxed,
    /// With the next flush that somebody else needs, or within [`Options::lazy_interval`]. What
    /// may be lost in a power cut wears the flash least so: each flush writes a block at least.
    Lazy,
}
