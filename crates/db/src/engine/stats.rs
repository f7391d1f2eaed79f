//! Figures for status pages and tests.

/// Figures of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Keys that are there.
    pub rows: u64,
    /// Entries of all indexes.
    pub index_entries: u64,
    /// Bytes of their keys and values.
    pub bytes_live: u64,
    /// Bytes of all segments on the disk, reserved ones and the reserve included.
    pub bytes_total: u64,
    /// Bytes of values in memory, with what keeping them costs.
    pub bytes_cached: u64,
    /// Bytes that wait for the disk.
    pub bytes_unsynced: u64,
    /// Segments, the spare one included.
    pub segments: u64,
    /// The sequence of the last commit.
    pub sequence: u64,
    /// The sequence up to which everything is on the disk.
    pub durable_sequence: u64,
    /// Bytes written to the disk since opening.
    pub bytes_written: u64,
    /// Times that the disk was asked to sync since opening.
    pub syncs: u64,
    /// Tails of power cuts that lie aside in the database directory.
    pub cut_tails: u64,
    /// Bytes of the log that compaction could free at most.
    pub bytes_garbage: u64,
    /// Bytes of the frames of commits since opening.
    pub bytes_committed: u64,
    /// Bytes of the frames of compaction since opening.
    pub bytes_moved: u64,
    /// Segments that compaction has removed since opening.
    pub segments_freed: u64,
    /// Room was asked for and not found; what needs it is refused. Known anew when it is asked for
    /// the next time.
    pub disk_full: bool,
    /// Compaction met a segment that it could not read: the log only grows.
    pub compaction_stopped: bool,
    /// Key files made since opening.
    pub key_files_made: u64,
    /// Key files that could not be made; the next opening is slower for it.
    pub key_files_failed: u64,
    /// Bytes of the key files made since opening.
    pub bytes_key_files: u64,
}

impl Stats {
    /// Write amplification in hundredths: bytes written to the disk for each byte that commits
    /// made, compaction and headers included. `None` before anything was committed.
    pub fn write_amplification_pct(&self) -> Option<u64> {
        (self.bytes_written * 100).checked_div(self.bytes_committed)
    }
}
