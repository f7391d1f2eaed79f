//! Figures of the database for status pages.

use std::collections::BTreeMap;

use periwinkle_core::sync::store::Backlog;

use crate::engine;

/// Figures of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Those of the engine. Its rows include the database's own.
    pub engine: engine::Stats,
    /// Rows of each model that has any. Items whose time is over count until they are purged.
    pub rows: BTreeMap<String, u64>,
    /// Bytes of the rows of each model with a bound.
    pub bytes: BTreeMap<String, u64>,
    /// Models that have more than their bounds admit, since these were lowered.
    pub beyond: BTreeMap<String, Beyond>,
    /// What waits to be sent to the cloud.
    pub queue: Backlog,
    /// What each model has dropped at a bound, its own or the queue's, since the database was made.
    pub dropped: BTreeMap<String, Dropped>,
}

/// Rows that were dropped because their model was full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// All of them.
    pub rows: u64,
    /// Those that the cloud had not heard of.
    pub unsent: u64,
}

/// By how much a model exceeds its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Rows too many.
    pub rows: u64,
    /// Bytes too many.
    pub bytes: u64,
}
