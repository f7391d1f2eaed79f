//! The engine without threads: commits and reads in memory, disk work as jobs to run elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use periwinkle_core::limits::{DB_INDEX_ENTRIES_MAX, DB_KEY_BYTES_MAX, DB_TRANSACTION_BYTES_MAX};

use super::batch::{Batch, Write};
use super::compact::Compaction;
use super::directory::{Directory, Found, Place};
use super::error::{CommitError, OpenError, ReadError, StoreFailure};
use super::flush::{Flush, Flushed, is_full};
use super::frame::{FRAME_HEADER_BYTES, Frame, FrameKind};
use super::index::{IndexId, IndexStats};
use super::key::Key;
use super::log::{Log, RoomWanted};
use super::options::Options;
use super::range::{IndexPosition, IndexRange, KeyRange, Order};
use super::read::{Entry, IndexedEntry, IndexedRow, Lookup, Unread};
use super::recover::{self, OpenReport, Opened};
use super::reserve::{Claim, Reserve, Reserved};
use super::rows::{IndexedRows, Missing, Rows, Step, UnreadRows};
use super::stats::Stats;
use super::storage::Storage;

/// The deterministic heart of the database: an ordered map of byte keys to byte values over a log.
///
/// A commit is visible to reads at once and durable when the flush that carries it has ended:
///
/// 1. [`commit`](Engine::commit) appends one frame to the tail in memory;
/// 2. [`take_flush`](Engine::take_flush) hands out what waits for the disk;
/// 3. [`Flush::run`] writes and syncs it, wherever and whenever the caller likes;
/// 4. [`flushed`](Engine::flushed) moves [`durable_sequence`](Engine::durable_sequence) on.
///
/// [`take_reserve`](Engine::take_reserve) and [`reserved`](Engine::reserved) do the same for the
/// room that later commits need, [`take_compaction`](Engine::take_compaction) and
/// [`compacted`](Engine::compacted) for giving room back, [`take_key_file`](Engine::take_key_file)
/// and [`key_file_made`](Engine::key_file_made) for opening faster. [`Store`](super::Store) drives all this with one thread.
pub struct Engine {
    pub(super) log: Log,
    pub(super) directory: Directory,
    pub(super) sequence: u64,
    pub(super) durable: u64,
    unsynced_bytes_max: usize,
    pub(super) live_percent_min: u64,
    pub(super) compact_step_bytes: u64,
    pub(super) compaction: Compaction,
    pub(super) state: State,
    /// The last frame is that of an orderly close.
    pub(super) closed_cleanly: bool,
    reserve_attempts: u64,
    full: Option<Full>,
    pub(super) counters: Counters,
}

#[derive(Clone)]
pub(super) enum State {
    Open,
    ReadOnly,
    Closed,
    Failed(StoreFailure),
}

/// The last reservation found no room for this many bytes.
struct Full {
    bytes: u64,
    claim: Claim,
    source: Arc<std::io::Error>,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) bytes_written: u64,
    pub(crate) syncs: u64,
    pub(crate) cut_tails: u64,
    pub(crate) bytes_committed: u64,
    pub(crate) bytes_moved: u64,
    pub(crate) segments_freed: u64,
    pub(crate) key_files: u64,
    pub(crate) key_files_failed: u64,
    pub(crate) bytes_key_files: u64,
}

/// Why [`Engine::commit`] did nothing.
#[derive(Debug)]
pub enum Refusal {
    /// Too much waits for the disk. Try again after a flush.
    Busy,
    /// The frame needs a segment that is not reserved yet. Run the job of
    /// [`Engine::take_reserve`], then ask [`Engine::full`] and try again.
    NoRoom(Room),
    /// Trying again as it is will not help.
    Error(CommitError),
}

/// What a refused commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    bytes: u64,
    claim: Claim,
    attempt: u64,
    freed: u64,
}

impl Engine {
    /// Opens the log in `storage`, or starts one. See `docs/formats/log.md` for the opening rule.
    pub fn open(
        storage: Arc<dyn Storage>,
        options: &Options,
    ) -> Result<(Engine, OpenReport), OpenError> {
        let opened = recover::open(storage, options)?;
        Ok(Engine::begin(opened, options, State::Open))
    }

    /// Opens the log in `storage` for reading: commits are refused, and no byte of the files is
    /// changed. The tail of a power cut is passed over.
    pub fn open_read_only(
        storage: Arc<dyn Storage>,
        options: &Options,
    ) -> Result<(Engine, OpenReport), OpenError> {
        let opened = recover::open_read_only(storage, options)?;
        Ok(Engine::begin(opened, options, State::ReadOnly))
    }

    /// Leaves the room that is still reserved: a write to it found the disk full, as under a limit
    /// on the size of files. Commits need another segment, and are refused when there is none.
    pub fn end_segment(&mut self) {
        self.log.end_segment();
    }

    fn begin(opened: Opened, options: &Options, state: State) -> (Engine, OpenReport) {
        let engine = Engine {
            log: opened.log,
            directory: opened.directory,
            sequence: opened.report.sequence,
            durable: opened.report.sequence,
            unsynced_bytes_max: options.unsynced_bytes_max,
            live_percent_min: options.live_percent_min.clamp(1, 99),
            compact_step_bytes: options.compact_step_bytes,
            compaction: Compaction::default(),
            state,
            closed_cleanly: opened.report.clean,
            reserve_attempts: 0,
            full: None,
            counters: opened.counters,
        };
        (engine, opened.report)
    }

    /// Makes a batch visible and gives it the next sequence. An empty batch changes nothing and
    /// gets the sequence of the last commit.
    pub fn commit(&mut self, batch: &Batch) -> Result<u64, Refusal> {
        self.check_writable().map_err(Refusal::Error)?;
        if batch.is_empty() {
            return Ok(self.sequence);
        }
        check_sizes(batch).map_err(Refusal::Error)?;
        self.check_backlog(batch)?;
        let sequence = self.sequence + 1;
        let (segment, payload_at) = self.append(sequence, batch)?;
        self.sequence = sequence;
        self.closed_cleanly = false;
        self.apply(batch, segment, payload_at);
        Ok(sequence)
    }

    /// The row of `key`, from memory or as a read to be done.
    pub fn lookup(&mut self, key: &[u8]) -> Option<Lookup> {
        let found = self.directory.get(key)?;
        Some(self.resolve(key.into(), found))
    }

    /// The row of `key`; reads the disk when the value is not in memory.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Entry>, ReadError> {
        let Some(lookup) = self.lookup(key) else {
            return Ok(None);
        };
        self.finish(lookup).map(Some)
    }

    /// Whether `key` is there.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.directory.contains(key)
    }

    /// Up to `limit` rows of a range; reads the disk for values that are not in memory.
    pub fn rows(
        &mut self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Rows, ReadError> {
        let found = self.find_rows(range, order, Step::rows(limit));
        self.finish_rows(found)
    }

    /// The same, each row to be kept for itself.
    pub fn scan(
        &mut self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        Ok(self.rows(range, order, limit)?.to_entries())
    }

    /// The rows of a range, all as of now; some values may still have to be read.
    pub(super) fn find_rows(&mut self, range: &KeyRange, order: Order, step: Step) -> UnreadRows {
        let Engine { directory, log, .. } = self;
        let found = directory.range(range, order, step, |place| log.pending(place));
        self.unread_rows(found)
    }

    /// Up to `limit` keys of a range.
    pub fn keys(&self, range: &KeyRange, order: Order, limit: usize) -> Vec<Box<[u8]>> {
        self.directory.keys(range, order, limit)
    }

    /// Up to `limit` rows of a range of an index; reads the disk for values that are not in
    /// memory.
    pub fn rows_by_index(
        &mut self,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        limit: usize,
    ) -> Result<IndexedRows, ReadError> {
        self.rows_by_index_without(index, range, order, limit, &|_| false)
    }

    /// The same without the rows that are `hidden`.
    pub(super) fn rows_by_index_without(
        &mut self,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        limit: usize,
        hidden: &dyn Fn(&[u8]) -> bool,
    ) -> Result<IndexedRows, ReadError> {
        let step = Step::rows(limit);
        let (index_keys, found) = self.find_rows_by_index(index, range, order, step, hidden);
        let rows = self.finish_rows(found)?;
        Ok(IndexedRows { index_keys, rows })
    }

    /// Up to `limit` rows of a range of an index, each to be kept for itself.
    pub fn scan_index(
        &mut self,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<IndexedEntry>, ReadError> {
        let rows = self.rows_by_index(index, range, order, limit)?;
        Ok(rows.into_entries())
    }

    /// The index keys and the rows of a range of an index, all as of now; some values may still
    /// have to be read.
    pub(super) fn find_rows_by_index(
        &mut self,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        step: Step,
        hidden: &dyn Fn(&[u8]) -> bool,
    ) -> (Vec<Box<[u8]>>, UnreadRows) {
        let Engine { directory, log, .. } = self;
        let hits = directory.index_range(index, range, order, step.rows, hidden);
        let hits = hits.into_iter().map(|hit| (hit.index_key, hit.row));
        let (mut index_keys, ids): (Vec<_>, Vec<_>) = hits.unzip();
        let found = directory.gather(&ids, step.bytes, |place| log.pending(place));
        index_keys.truncate(found.0.len());
        (index_keys, self.unread_rows(found))
    }

    /// Up to `limit` rows of a range of an index, without a look at their values.
    pub fn index_rows(
        &mut self,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        limit: usize,
    ) -> Vec<IndexedRow> {
        let hits = self
            .directory
            .index_range(index, range, order, limit, &|_| false);
        let found = hits.into_iter().map(|hit| {
            let (key, row) = self.directory.row(hit.row);
            IndexedRow {
                position: IndexPosition {
                    index_key: hit.index_key.into(),
                    sequence: row.sequence,
                    key: key.to_vec(),
                },
                value_bytes: u64::from(row.length),
            }
        });
        found.collect()
    }

    /// The index entries of a row, in no order.
    pub fn index_entries_of(&self, key: &[u8]) -> Vec<(IndexId, Box<[u8]>)> {
        let entries = self.directory.entries_of(key);
        entries.map(|(index, key)| (index, key.into())).collect()
    }

    /// Does what the [`Batch::index`] entries of a batch say until the next opening, and nothing
    /// on the disk.
    pub fn index_in_memory(&mut self, batch: &Batch) {
        for op in batch.ops().iter().filter(|op| op.write == Write::Index) {
            let key = &batch.payload()[op.key.clone()];
            self.directory.set_entries(key, batch.entries(op));
        }
    }

    /// Figures of an index.
    pub fn index_stats(&self, index: IndexId) -> IndexStats {
        self.directory.index_stats(index)
    }

    /// The indexes that have an entry.
    pub fn indexes(&self) -> Vec<IndexId> {
        self.directory.indexes()
    }

    /// Keeps a value that the caller read from the disk in the cache.
    pub fn remember(&mut self, read: &Unread, entry: &Entry) {
        let value = || Arc::clone(&entry.value);
        self.directory.remember(&entry.key, read.place, value);
    }

    /// Keeps values that were read from the disk in the cache.
    pub(super) fn remember_rows(&mut self, rows: &Rows, read: &[Missing]) {
        for (at, place) in read {
            let value = || rows.shared_value(*at);
            self.directory.remember(rows.key(*at), *place, value);
        }
    }

    /// What has to be written and synced: everything committed so far. `None` while the last
    /// flush is under way, or when nothing waits.
    pub fn take_flush(&mut self) -> Option<Flush> {
        match self.state {
            State::Failed(_) => None,
            State::Open | State::Closed => self.log.take_flush(self.sequence),
            State::ReadOnly => None,
        }
    }

    /// Takes note of how the flush ended. After an error nothing is written any more.
    pub fn flushed(&mut self, done: Flushed) {
        self.counters.bytes_written += done.bytes_written;
        self.counters.syncs += done.syncs;
        match done.result {
            Ok(through) => {
                self.durable = through;
                self.compaction.blocked = false;
                self.log.flushed();
            }
            Err(failure) => self.state = State::Failed(failure),
        }
    }

    /// A segment that should be reserved now.
    pub fn take_reserve(&mut self) -> Option<Reserve> {
        match self.state {
            State::Open => self.log.take_reserve(),
            State::ReadOnly | State::Closed | State::Failed(_) => None,
        }
    }

    /// Takes note of how the reservation ended. A full disk refuses the commits that need the
    /// room; any other error is treated like one of a write.
    pub fn reserved(&mut self, done: Reserved) {
        self.counters.bytes_written += done.bytes_written;
        self.counters.syncs += done.syncs;
        self.reserve_attempts += 1;
        self.full = None;
        match done.result {
            Ok(spare) => self.log.reserved(Ok(spare), done.reserve, done.free),
            Err(error) => {
                self.log.reserved(Err(()), done.reserve, done.free);
                self.compaction.blocked |= done.claim == Claim::Move;
                let source = Arc::new(error);
                if is_full(&source) {
                    let bytes = done.bytes_min;
                    let claim = done.claim;
                    self.full = Some(Full {
                        bytes,
                        claim,
                        source,
                    });
                } else {
                    self.state = State::Failed(StoreFailure {
                        operation: "reserve",
                        file: done.file,
                        source,
                    });
                }
            }
        }
    }

    /// Whether an attempt to reserve the room that a commit wants has ended since it was refused.
    pub fn room_was_tried(&self, room: Room) -> bool {
        self.reserve_attempts > room.attempt
    }

    /// Whether a commit should try again once compaction has come further, though the room it
    /// wants was tried for and not found: one that makes room, and any when garbage makes up for
    /// what is missing of the reserve and for a segment.
    pub fn room_may_come(&self, room: Room) -> bool {
        let enough = match room.claim {
            Claim::Release => true,
            Claim::Write | Claim::Move => self.garbage_makes_room(),
        };
        enough && self.full(room).is_some() && self.compaction_goes_on()
    }

    /// The error for a commit whose room was tried for and not found, unless there is more by now.
    pub fn full(&self, room: Room) -> Option<CommitError> {
        let full = self.full.as_ref()?;
        if self.counters.segments_freed != room.freed {
            return None;
        }
        if full.claim != room.claim || full.bytes > room.bytes {
            return None;
        }
        Some(CommitError::DiskFull {
            bytes: room.bytes.max(self.log.segment_bytes_min()),
            source: Arc::clone(&full.source),
        })
    }

    /// Whether there is a job other than a flush.
    pub(super) fn has_work(&self) -> bool {
        matches!(self.state, State::Open)
            && (self.log.wants_room() || self.wants_key_file() || self.wants_to_compact())
    }

    /// Takes no more commits and appends the frame of an orderly close, which says that all
    /// before it was synced. Call it when nothing waits for the disk; then flush once more.
    pub fn close(&mut self) {
        if !matches!(self.state, State::Open) || self.durable != self.sequence {
            return;
        }
        self.state = State::Closed;
        if self.closed_cleanly {
            return;
        }
        self.sequence += 1;
        self.closed_cleanly = true;
        self.log.append_close(Frame {
            kind: FrameKind::Close,
            sequence: self.sequence,
            synced: self.durable,
            crc: 0,
            payload: &[],
        });
    }

    /// The sequence of the last commit.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The sequence up to which everything is on the disk.
    pub fn durable_sequence(&self) -> u64 {
        self.durable
    }

    /// Bytes that wait for the disk.
    pub fn unsynced_bytes(&self) -> usize {
        self.log.pending_bytes()
    }

    /// Bytes that compaction has moved since the opening.
    pub(super) fn bytes_moved(&self) -> u64 {
        self.counters.bytes_moved
    }

    /// The error that ended writing, if one did.
    pub fn failure(&self) -> Option<&StoreFailure> {
        match &self.state {
            State::Failed(failure) => Some(failure),
            State::Open | State::ReadOnly | State::Closed => None,
        }
    }

    /// Figures of this moment.
    pub fn stats(&self) -> Stats {
        Stats {
            rows: self.directory.len() as u64,
            index_entries: self.directory.index_entries() as u64,
            bytes_live: self.directory.live_bytes(),
            bytes_total: self.log.total_bytes(),
            bytes_cached: self.directory.cache_bytes() as u64,
            bytes_unsynced: self.log.pending_bytes() as u64,
            segments: self.log.segments() as u64,
            sequence: self.sequence,
            durable_sequence: self.durable,
            bytes_written: self.counters.bytes_written,
            syncs: self.counters.syncs,
            cut_tails: self.counters.cut_tails,
            bytes_garbage: self.garbage_bytes(),
            bytes_committed: self.counters.bytes_committed,
            bytes_moved: self.counters.bytes_moved,
            segments_freed: self.counters.segments_freed,
            disk_full: self.full.is_some(),
            compaction_stopped: self.compaction_fault().is_some(),
            key_files_made: self.counters.key_files,
            key_files_failed: self.counters.key_files_failed,
            bytes_key_files: self.counters.bytes_key_files,
        }
    }

    fn check_writable(&self) -> Result<(), CommitError> {
        match &self.state {
            State::Open => Ok(()),
            State::ReadOnly => Err(CommitError::ReadOnly),
            State::Closed => Err(CommitError::Closed),
            State::Failed(failure) => Err(CommitError::Failed(failure.clone())),
        }
    }

    /// One transaction may exceed the bound when nothing else waits: it must pass some time.
    fn check_backlog(&self, batch: &Batch) -> Result<(), Refusal> {
        let pending = self.log.pending_bytes();
        if pending > 0 && pending + batch.bytes() > self.unsynced_bytes_max {
            return Err(Refusal::Busy);
        }
        Ok(())
    }

    fn append(&mut self, sequence: u64, batch: &Batch) -> Result<(u32, u32), Refusal> {
        let frame = Frame {
            kind: FrameKind::Batch,
            sequence,
            synced: self.durable,
            crc: 0,
            payload: batch.payload(),
        };
        let bytes = frame.bytes() as u64;
        let place = match self.log.append(frame, Claim::Write, 0) {
            Err(_) if self.releases(batch) => {
                let rest = self.moving_bytes_max().min(self.log.reserve_for_moves());
                self.log.append(frame, Claim::Release, rest)
            }
            tried => tried,
        };
        let place = place.map_err(|wanted| {
            self.log.want(wanted);
            let RoomWanted { bytes, claim, .. } = wanted;
            Refusal::NoRoom(Room {
                bytes,
                claim,
                attempt: self.reserve_attempts,
                freed: self.counters.segments_freed,
            })
        })?;
        self.counters.bytes_committed += bytes;
        Ok(place)
    }

    /// Whether the batch brings at most half of the bytes that it takes away, or is said to lead
    /// out and brings hardly more: such writes may use the reserve, up to what compaction needs
    /// of it.
    fn releases(&mut self, batch: &Batch) -> bool {
        let (mut brings, mut takes) = (0, 0);
        for op in batch.ops() {
            brings += op.entries.len() as u64;
        }
        for (key, value) in batch.iter() {
            brings += value.map_or(0, <[u8]>::len) as u64;
            let old = self.directory.get(key);
            let old = old.map_or(0, |found| key.len() as u64 + u64::from(found.place.length));
            takes += old;
        }
        let hardly_more = batch
            .lead_out_bytes()
            .is_some_and(|more| brings <= takes + more);
        takes > 0 && (brings * 2 <= takes || hardly_more)
    }

    fn apply(&mut self, batch: &Batch, segment: u32, payload_at: u32) {
        let payload = batch.payload();
        for op in batch.ops() {
            let key = &payload[op.key.clone()];
            let entries = batch.entries(op);
            match op.write.clone() {
                Write::Put(value) => {
                    let place = Place {
                        segment,
                        offset: payload_at + value.start as u32,
                        length: value.len() as u32,
                        sequence: self.sequence,
                    };
                    let cached = Arc::from(&payload[value]);
                    self.directory.put(key, place, cached, entries);
                }
                Write::Delete => self.directory.delete(key),
                Write::Index => self.directory.set_entries(key, entries),
            }
        }
    }

    /// From the cache, from what waits for the disk, or a read to be done.
    fn resolve(&self, key: Key, found: Found) -> Lookup {
        let place = found.place;
        let pending = || self.log.pending(place).map(Arc::from);
        match found.cached.or_else(pending) {
            Some(value) => Lookup::Ready(Entry {
                key,
                value,
                sequence: place.sequence,
            }),
            None => Lookup::Unread(Unread {
                key,
                place,
                file: self.log.file(place.segment),
            }),
        }
    }

    /// With the files in which the values lie that are missing.
    fn unread_rows(&self, (rows, missing): (Rows, Vec<Missing>)) -> UnreadRows {
        let mut files = BTreeMap::new();
        for (_, place) in &missing {
            let file = || self.log.file(place.segment);
            files.entry(place.segment).or_insert_with(file);
        }
        UnreadRows {
            rows,
            missing,
            files,
        }
    }

    fn finish_rows(&mut self, found: UnreadRows) -> Result<Rows, ReadError> {
        let (rows, read) = found.read()?;
        self.remember_rows(&rows, &read);
        Ok(rows)
    }

    fn finish(&mut self, lookup: Lookup) -> Result<Entry, ReadError> {
        match lookup {
            Lookup::Ready(entry) => Ok(entry),
            Lookup::Unread(unread) => {
                let entry = unread.read()?;
                self.remember(&unread, &entry);
                Ok(entry)
            }
        }
    }
}

fn check_sizes(batch: &Batch) -> Result<(), CommitError> {
    let bytes = batch.bytes() + FRAME_HEADER_BYTES;
    if bytes > DB_TRANSACTION_BYTES_MAX {
        return Err(CommitError::TooLarge {
            bytes,
            bytes_max: DB_TRANSACTION_BYTES_MAX,
        });
    }
    for op in batch.ops() {
        let entries = batch.entries(op).iter().map(|(_, key)| key.len());
        let (count, longest) = entries.fold((0, op.key.len()), |(count, longest), length| {
            (count + 1, longest.max(length))
        });
        if longest > DB_KEY_BYTES_MAX {
            return Err(CommitError::KeyTooLong {
                bytes: longest,
                bytes_max: DB_KEY_BYTES_MAX,
            });
        }
        if count > DB_INDEX_ENTRIES_MAX {
            return Err(CommitError::TooManyIndexEntries {
                entries: count,
                entries_max: DB_INDEX_ENTRIES_MAX,
            });
        }
    }
    Ok(())
}
