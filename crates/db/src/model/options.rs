//! What the opener of a database decides and lends.

use periwinkle_core::time::Now;
use periwinkle_core::value::Map;

use crate::engine;

/// How a database is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Values that every item gets and that no caller gives, such as `deviceId`.
    pub context: Map,
    /// Sizes and times of the engine.
    pub engine: engine::Options,
    /// How much may wait for the cloud.
    pub queue: QueueBounds,
}

/// How much may wait for the cloud, of all models. At a bound the `overflow` of the model that
/// writes decides; removals always pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueBounds {
    /// Rows.
    pub rows_max: Option<u64>,
    /// Their bytes in the database.
    pub bytes_max: Option<u64>,
}

impl QueueBounds {
    /// Whether rows or bytes are bounded.
    pub(super) fn is_bounded(self) -> bool {
        self.rows_max.is_some() || self.bytes_max.is_some()
    }
}

/// What the database cannot have of its own: the time and random bits.
pub trait Environment: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Now;

    /// Fills the slice with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}
