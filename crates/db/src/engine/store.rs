//! The engine for many threads: one short lock, one storage thread, group commit.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use periwinkle_core::limits::{DB_COMPACT_CREDIT_BYTES_MAX, DB_KEY_FILES_AT_CLOSE_MAX};

use super::backup::Snapshot;
use super::batch::Batch;
use super::compact::Compact;
use super::error::{CommitError, OpenError, ReadError, StoreFailure};
use super::flush::{Flush, is_full};
use super::index::{IndexId, IndexStats};
use super::key_job::KeyFile;
use super::listen::{DurableEvent, Listeners, Subscription};
use super::machine::{Engine, Refusal};
use super::options::{Durability, Options};
use super::range::{IndexRange, KeyRange, Order};
use super::read::{Entry, IndexedEntry, IndexedRow, Lookup, finish_all};
use super::recover::OpenReport;
use super::reserve::Reserve;
use super::segments::io_error;
use super::stats::Stats;
use super::storage::Storage;
use super::ticket::{Committed, Era, Ticket};
use super::tx::Tx;

/// An open database of bytes. Clones share it; the last one to be dropped closes it.
///
/// Reads and commits run on the caller's thread under a short lock. A read waits for the disk
/// only when its value is not in memory. A commit waits only while
/// [`Options::unsynced_bytes_max`] bytes wait for the disk already, or while a new segment is
/// being reserved; both are rare and end with the disk's next answer. Everything that writes is
/// done by one thread of the store, and one sync serves all commits that wait for it.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

impl Store {
    /// Opens the database in `storage`, or makes one, and starts its thread.
    pub fn open(
        storage: Arc<dyn Storage>,
        options: Options,
    ) -> Result<(Store, OpenReport), OpenError> {
        Store::open_with(Engine::open, storage, options)
    }

    /// Opens the database in `storage` for reading: commits are refused, and no byte of the files
    /// is changed.
    pub fn open_read_only(
        storage: Arc<dyn Storage>,
        options: Options,
    ) -> Result<(Store, OpenReport), OpenError> {
        Store::open_with(Engine::open_read_only, storage, options)
    }

    fn open_with(
        open: OpenEngine,
        storage: Arc<dyn Storage>,
        options: Options,
    ) -> Result<(Store, OpenReport), OpenError> {
        let (engine, report) = open(Arc::clone(&storage), &options)?;
        let shared = Arc::new(Shared {
            open,
            storage,
            state: Mutex::new(State {
                era: Era::new(engine.durable_sequence()),
                engine,
                sync_wanted: false,
                relaxed_since: None,
                compaction_credit: 0,
                working: false,
                closing: false,
                key_files_at_close: 0,
            }),
            options,
            work: Condvar::new(),
            progress: Condvar::new(),
            listeners: Listeners::default(),
        });
        let thread = std::thread::Builder::new()
            .name("periwinkle-db".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.run()
            })
            .map_err(io_error("start", "the storage thread"))?;
        let thread = Mutex::new(Some(thread));
        let handle = Arc::new(Handle { shared, thread });
        Ok((Store { handle }, report))
    }

    /// The row of `key`, as committed, durable or not.
    pub fn get(&self, key: &[u8]) -> Result<Option<Entry>, ReadError> {
        let lookup = self.lock().engine.lookup(key);
        lookup.map(|lookup| self.finish(lookup)).transpose()
    }

    /// Up to `limit` rows of a range, all as of one moment.
    pub fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        let lookups = self.lock().engine.range(range, order, limit);
        self.finish_all(lookups)
    }

    /// Up to `limit` keys of a range, all as of one moment. Never waits for the disk.
    pub fn keys(&self, range: &KeyRange, order: Order, limit: usize) -> Vec<Box<[u8]>> {
        self.lock().engine.keys(range, order, limit)
    }

    /// Up to `limit` rows of a range of an index, all as of one moment.
    pub fn scan_index(
        &self,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<IndexedEntry>, ReadError> {
        let hits = self.lock().engine.index_range(index, range, order, limit);
        let (index_keys, lookups): (Vec<_>, Vec<_>) = hits.into_iter().unzip();
        let entries = index_keys.into_iter().zip(self.finish_all(lookups)?);
        Ok(entries
            .map(|(index_key, entry)| IndexedEntry { index_key, entry })
            .collect())
    }

    /// Up to `limit` rows of a range of an index, all as of one moment, without their values.
    /// Never waits for the disk.
    pub fn index_rows(
        &self,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        limit: usize,
    ) -> Vec<IndexedRow> {
        self.lock().engine.index_rows(index, range, order, limit)
    }

    /// The index entries of a row, in no order.
    pub fn index_entries_of(&self, key: &[u8]) -> Vec<(IndexId, Box<[u8]>)> {
        self.lock().engine.index_entries_of(key)
    }

    /// Does what the [`Batch::index`] entries of a batch say until the next opening, and nothing
    /// on the disk: for when that is full. A row that is moved or written takes its entries along.
    pub fn index_in_memory(&self, batch: &Batch) {
        self.lock().engine.index_in_memory(batch);
    }

    /// Figures of an index.
    pub fn index_stats(&self, index: IndexId) -> IndexStats {
        self.lock().engine.index_stats(index)
    }

    /// The indexes that have an entry.
    pub fn indexes(&self) -> Vec<IndexId> {
        self.lock().engine.indexes()
    }

    /// Commits a batch: visible when this returns, durable when the ticket says so.
    pub fn commit(&self, batch: &Batch, durability: Durability) -> Result<Committed, CommitError> {
        self.commit_made(durability, |_| Ok(((), batch)))
            .map(|((), committed)| committed)
    }

    /// Reads and writes under the lock: what `work` read still holds when its writes are
    /// committed. Its error, or a refused commit, leaves everything as it was.
    ///
    /// `work` runs again from the start when the commit had to wait for the disk, so it must not
    /// have effects of its own; and it must not call this store but through its argument.
    pub fn with_tx<R, E: From<CommitError>>(
        &self,
        durability: Durability,
        mut work: impl FnMut(&mut Tx<'_>) -> Result<R, E>,
    ) -> Result<(R, Committed), E> {
        self.commit_made(durability, |engine| {
            let mut tx = Tx::new(engine);
            let made = work(&mut tx)?;
            Ok((made, tx.into_batch()))
        })
    }

    /// Asks for a sync of everything committed so far.
    pub fn flush(&self) -> Ticket {
        let mut state = self.lock();
        state.sync_wanted = true;
        self.shared().work.notify_one();
        state.era.ticket(state.engine.sequence())
    }

    /// The sequence of the last commit.
    pub fn sequence(&self) -> u64 {
        self.lock().engine.sequence()
    }

    /// The sequence up to which everything is on the disk.
    pub fn durable_sequence(&self) -> u64 {
        self.lock().engine.durable_sequence()
    }

    /// Calls `listener` on the storage thread, without a lock held, whenever more has become
    /// durable, in order and before the tickets are served; and once when writing has failed.
    /// It must not block, nor take a lock that somebody holds around a commit. Dropping the subscription ends it.
    pub fn on_durable(
        &self,
        listener: impl Fn(DurableEvent) + Send + Sync + 'static,
    ) -> Subscription {
        self.shared().listeners.add(Arc::new(listener))
    }

    /// What is durable at this moment, for a copy or a look at every byte of it.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().engine.snapshot()
    }

    /// Figures of this moment.
    pub fn stats(&self) -> Stats {
        self.lock().engine.stats()
    }

    /// Why compaction has stopped, if it has: the oldest segment could not be read. Nothing is
    /// lost by that; the log only grows.
    pub fn compaction_fault(&self) -> Option<ReadError> {
        self.lock().engine.compaction_fault().cloned()
    }

    /// The error that ended writing, if one did; [`reopen`](Store::reopen) is the way on.
    pub fn failure(&self) -> Option<StoreFailure> {
        self.lock().engine.failure().cloned()
    }

    /// Throws away what is in memory and opens the log again, through recovery, in place: all
    /// clones go on with what is on the disk. Blocks reads and commits meanwhile. Commits that
    /// were not durable may be gone; their tickets fail.
    ///
    /// When it fails, everything stays as it was.
    pub fn reopen(&self) -> Result<OpenReport, OpenError> {
        let shared = self.shared();
        let mut state = self.lock();
        while state.working {
            state = shared.wait_for_progress(state);
        }
        let failure = state.engine.failure();
        let was_full = failure.is_some_and(|failure| is_full(&failure.source));
        let (mut engine, report) = (shared.open)(Arc::clone(&shared.storage), &shared.options)?;
        if was_full {
            engine.end_segment();
        }
        state.era.abandon();
        state.era = Era::new(engine.durable_sequence());
        state.engine = engine;
        state.relaxed_since = None;
        shared.progress.notify_all();
        Ok(report)
    }

    /// Flushes everything, marks the log as closed in order, and ends the thread. Commits are
    /// refused from now on; reads go on.
    pub fn close(&self) -> Result<(), StoreFailure> {
        self.handle.close();
        self.failure().map_or(Ok(()), Err)
    }

    fn commit_made<R, E: From<CommitError>, B: AsRef<Batch>>(
        &self,
        durability: Durability,
        mut make: impl FnMut(&mut Engine) -> Result<(R, B), E>,
    ) -> Result<(R, Committed), E> {
        let mut state = self.lock();
        loop {
            if state.closing {
                return Err(CommitError::Closed.into());
            }
            let (made, batch) = make(&mut state.engine)?;
            match state.engine.commit(batch.as_ref()) {
                Ok(sequence) => {
                    let ticket = state.era.ticket(sequence);
                    self.schedule(&mut state, durability);
                    return Ok((made, Committed { sequence, ticket }));
                }
                Err(refusal) => state = self.wait_out(state, refusal)?,
            }
        }
    }

    /// Tells the storage thread what the commit expects of it.
    fn schedule(&self, state: &mut State, durability: Durability) {
        let wake = match durability {
            Durability::Immediate => !std::mem::replace(&mut state.sync_wanted, true),
            Durability::Relaxed if state.relaxed_since.is_none() => {
                state.relaxed_since = Some(Instant::now());
                true
            }
            Durability::Relaxed => {
                state.engine.unsynced_bytes() >= self.shared().options.flush_bytes
            }
        };
        if wake {
            self.shared().work.notify_one();
        }
    }

    /// Waits until the reason of a refusal may be gone.
    fn wait_out<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        refusal: Refusal,
    ) -> Result<MutexGuard<'a, State>, CommitError> {
        let shared = self.shared();
        match refusal {
            Refusal::Error(error) => Err(error),
            Refusal::Busy => {
                state.sync_wanted = true;
                shared.work.notify_one();
                Ok(shared.wait_for_progress(state))
            }
            Refusal::NoRoom(room) => {
                shared.work.notify_one();
                let era = Arc::clone(&state.era);
                while state.waits_for_the_disk(&era) && !state.engine.room_was_tried(room) {
                    state = shared.wait_for_progress(state);
                }
                // Asking again before a segment is gone would take away the room of what frees it.
                while state.waits_for_the_disk(&era) && state.engine.room_may_come(room) {
                    if state.engine.unsynced_bytes() > 0 {
                        state.sync_wanted = true;
                        shared.work.notify_one();
                    }
                    state = shared.wait_for_progress(state);
                }
                state.engine.full(room).map_or(Ok(state), Err)
            }
        }
    }

    /// Reads what is missing without the lock, and keeps it under one.
    fn finish_all(&self, lookups: Vec<Lookup>) -> Result<Vec<Entry>, ReadError> {
        let (entries, read) = finish_all(lookups)?;
        if !read.is_empty() {
            let mut state = self.lock();
            for (at, unread) in &read {
                state.engine.remember(unread, &entries[*at]);
            }
        }
        Ok(entries)
    }

    fn finish(&self, lookup: Lookup) -> Result<Entry, ReadError> {
        match lookup {
            Lookup::Ready(entry) => Ok(entry),
            Lookup::Unread(unread) => {
                let entry = unread.read()?;
                self.lock().engine.remember(&unread, &entry);
                Ok(entry)
            }
        }
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared().lock()
    }
}

/// What the clones of a store share; dropping it closes the store.
struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        self.shared.progress.notify_all();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = thread.take() else {
            return;
        };
        // A listener that holds the last clone runs on the very thread that would be waited for.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!(target: "db", "the storage thread has panicked");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

/// How the engine is opened, the first time and again.
type OpenEngine = fn(Arc<dyn Storage>, &Options) -> Result<(Engine, OpenReport), OpenError>;

struct Shared {
    open: OpenEngine,
    storage: Arc<dyn Storage>,
    options: Options,
    state: Mutex<State>,
    /// There may be something to do for the storage thread.
    work: Condvar,
    /// The storage thread has done something.
    progress: Condvar,
    listeners: Listeners,
}

struct State {
    engine: Engine,
    era: Arc<Era>,
    /// Somebody waits for a sync.
    sync_wanted: bool,
    /// When the oldest relaxed commit that waits was made.
    relaxed_since: Option<Instant>,
    /// Bytes that compaction may read before the next flush that somebody waits for: it gets
    /// twice what others wrote, so that it keeps up with any stream of writes.
    compaction_credit: u64,
    /// The storage thread runs a job of this engine.
    working: bool,
    closing: bool,
    /// Key files that were made since the closing began.
    key_files_at_close: usize,
}

impl State {
    fn waits_for_the_disk(&self, era: &Arc<Era>) -> bool {
        !self.closing && self.engine.failure().is_none() && Arc::ptr_eq(&self.era, era)
    }
}

/// What the storage thread does next.
enum Job {
    Flush(Flush),
    Reserve(Reserve),
    Compact(Compact),
    KeyFile(KeyFile),
    /// Wait for work, at most this long.
    Wait(Option<Duration>),
    Stop,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The engine changes nothing before the last call that could panic; a panic in the
        // closure of `with_tx` happens before the commit.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_progress<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.progress
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The storage thread.
    fn run(&self) {
        let mut state = self.lock();
        loop {
            match self.next_job(&mut state) {
                Job::Flush(flush) => state = self.flush(state, flush),
                Job::Reserve(reserve) => state = self.reserve(state, reserve),
                Job::Compact(step) => state = self.compact(state, step),
                Job::KeyFile(file) => state = self.make_key_file(state, file),
                Job::Wait(limit) => state = self.wait_for_work(state, limit),
                Job::Stop => return,
            }
        }
    }

    /// Those who wait for a sync come before the room that is reserved ahead.
    fn next_job(&self, state: &mut State) -> Job {
        let until_relaxed = state
            .relaxed_since
            .map(|since| self.options.flush_interval.saturating_sub(since.elapsed()));
        let due = state.sync_wanted
            || state.closing
            || state.engine.compaction_wants_flush()
            || until_relaxed == Some(Duration::ZERO)
            || state.engine.unsynced_bytes() >= self.options.flush_bytes;
        if due && !state.closing && state.compaction_credit >= self.options.compact_step_bytes {
            state.compaction_credit -= self.options.compact_step_bytes;
            if let Some(step) = state.engine.take_compaction() {
                return Job::Compact(step);
            }
        }
        if due {
            state.sync_wanted = false;
            state.relaxed_since = None;
            if let Some(flush) = state.engine.take_flush() {
                return Job::Flush(flush);
            }
        }
        if state.closing {
            if state.key_files_at_close < DB_KEY_FILES_AT_CLOSE_MAX
                && let Some(file) = state.engine.take_key_file()
            {
                state.key_files_at_close += 1;
                return Job::KeyFile(file);
            }
            state.engine.close();
            return state.engine.take_flush().map_or(Job::Stop, Job::Flush);
        }
        if let Some(reserve) = state.engine.take_reserve() {
            return Job::Reserve(reserve);
        }
        if state.engine.unsynced_bytes() < self.options.flush_bytes
            && let Some(step) = state.engine.take_compaction()
        {
            return Job::Compact(step);
        }
        if state.engine.unsynced_bytes() < self.options.flush_bytes
            && let Some(file) = state.engine.take_key_file()
        {
            return Job::KeyFile(file);
        }
        if state.engine.compaction_wants_flush() {
            return state
                .engine
                .take_flush()
                .map_or(Job::Wait(None), Job::Flush);
        }
        // Compaction may have asked for room.
        match state.engine.take_reserve() {
            Some(reserve) => Job::Reserve(reserve),
            None => Job::Wait(until_relaxed.filter(|_| !due)),
        }
    }

    fn compact<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        step: Compact,
    ) -> MutexGuard<'a, State> {
        state.working = true;
        drop(state);
        let done = step.run();
        let mut state = self.lock();
        state.working = false;
        state.engine.compacted(done);
        if let Some(fault) = state.engine.compaction_fault() {
            tracing::error!(target: "db", %fault, "compaction has stopped: the log only grows");
        }
        if state.engine.failure().is_some() {
            return self.announce(state);
        }
        if state.engine.unsynced_bytes() > 0 {
            state.relaxed_since.get_or_insert_with(Instant::now);
        }
        self.progress.notify_all();
        state
    }

    fn make_key_file<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        file: KeyFile,
    ) -> MutexGuard<'a, State> {
        state.working = true;
        drop(state);
        let made = file.run();
        let mut state = self.lock();
        state.working = false;
        state.engine.key_file_made(made);
        self.progress.notify_all();
        state
    }

    fn flush<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        flush: Flush,
    ) -> MutexGuard<'a, State> {
        state.working = true;
        drop(state);
        let done = flush.run();
        let mut state = self.lock();
        state.working = false;
        let credit = state.compaction_credit + 2 * done.bytes_written;
        state.compaction_credit = credit.min(DB_COMPACT_CREDIT_BYTES_MAX);
        state.engine.flushed(done);
        self.announce(state)
    }

    fn reserve<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        reserve: Reserve,
    ) -> MutexGuard<'a, State> {
        state.working = true;
        drop(state);
        let done = reserve.run();
        let mut state = self.lock();
        state.working = false;
        state.engine.reserved(done);
        if state.engine.failure().is_some() {
            return self.announce(state);
        }
        self.progress.notify_all();
        state
    }

    /// Tells everybody how far it is durable, or that writing has failed.
    fn announce<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let era = Arc::clone(&state.era);
        let durable = state.engine.durable_sequence();
        let failure = state.engine.failure().cloned();
        drop(state);
        self.progress.notify_all();
        match failure {
            None => {
                self.listeners.tell(&DurableEvent::Advanced(durable));
                era.advance(durable);
            }
            Some(failure) => {
                tracing::error!(target: "db", %failure, "writing has stopped");
                self.listeners.tell(&DurableEvent::Failed(failure.clone()));
                era.fail(&failure);
            }
        }
        self.lock()
    }

    fn wait_for_work<'a>(
        &self,
        state: MutexGuard<'a, State>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match limit {
            None => self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                let waited = self.work.wait_timeout(state, limit);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}
