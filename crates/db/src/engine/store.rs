//! The engine for many threads: one short lock, one storage thread, group commit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::backup::Snapshot;
use super::batch::Batch;
use super::error::{CommitError, OpenError, ReadError, StoreFailure};
use super::flush::is_full;
use super::index::{IndexId, IndexStats};
use super::listen::{DurableEvent, Subscription};
use super::machine::{Engine, Refusal};
use super::options::{Durability, Options};
use super::range::{IndexRange, KeyRange, Order};
use super::read::{Entry, IndexedEntry, IndexedRow, Lookup};
use super::recover::OpenReport;
use super::rows::{IndexedRows, Rows, Step, UnreadRows};
use super::segments::io_error;
use super::stats::Stats;
use super::storage::Storage;
use super::ticket::{Committed, OnDemand, Ticket};
use super::tx::Tx;
use super::work::{OpenEngine, Shared, State};

/// An open database of bytes. Clones share it; the last one to be dropped closes it.
///
/// Reads and commits run on the caller's thread under a short lock. A read waits for the disk
/// only when its value is not in memory. A commit waits only while
/// [`Options::unsynced_bytes_max`] bytes wait for the disk already, or while a new segment is
/// being reserved; both are rare and end with the disk's next answer. What writes is done by one
/// thread of the store, or by one that blocks in [`Ticket::wait`] and would only wait for it, and
/// one sync serves all commits that wait for it.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
    /// How many values its scans may still read from the disk.
    reads_left: Option<Arc<AtomicUsize>>,
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
        let shared = Arc::new(Shared::new(open, engine, storage, options));
        let thread = std::thread::Builder::new()
            .name("periwinkle-db".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.run()
            })
            .map_err(io_error("start", "the storage thread"))?;
        let store: Arc<dyn OnDemand> = shared.clone();
        shared.access.grant(Arc::downgrade(&store));
        let thread = Mutex::new(Some(thread));
        let handle = Arc::new(Handle { shared, thread });
        let store = Store {
            handle,
            reads_left: None,
        };
        Ok((store, report))
    }

    /// The same store for a thread that should not wait: its scans, all together, read at most so
    /// many values from the disk. One that would read more reads none and fails with
    /// [`ReadError::Waits`].
    pub fn reading_at_most(&self, values: usize) -> Store {
        Store {
            handle: Arc::clone(&self.handle),
            reads_left: Some(Arc::new(AtomicUsize::new(values))),
        }
    }

    /// The row of `key`, as committed, durable or not.
    pub fn get(&self, key: &[u8]) -> Result<Option<Entry>, ReadError> {
        let lookup = self.lock().engine.lookup(key);
        lookup.map(|lookup| self.finish(lookup)).transpose()
    }

    /// Up to `limit` rows of a range, all as of one moment.
    pub fn rows(&self, range: &KeyRange, order: Order, limit: usize) -> Result<Rows, ReadError> {
        self.some_rows(range, order, Step::rows(limit))
    }

    /// The rows of a range up to a bound of their number and of their bytes, all as of one moment.
    pub fn some_rows(&self, range: &KeyRange, order: Order, step: Step) -> Result<Rows, ReadError> {
        let found = self.lock().engine.find_rows(range, order, step);
        self.finish_rows(found)
    }

    /// The same, each row to be kept for itself.
    pub fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        Ok(self.rows(range, order, limit)?.to_entries())
    }

    /// Up to `limit` keys of a range, all as of one moment. Never waits for the disk.
    pub fn keys(&self, range: &KeyRange, order: Order, limit: usize) -> Vec<Box<[u8]>> {
        self.lock().engine.keys(range, order, limit)
    }

    /// Up to `limit` rows of a range of an index, all as of one moment.
    pub fn rows_by_index(
        &self,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        limit: usize,
    ) -> Result<IndexedRows, ReadError> {
        self.some_rows_by_index(index, range, order, Step::rows(limit))
    }

    /// The rows of a range of an index up to a bound of their number and of their bytes, all as of
    /// one moment.
    pub fn some_rows_by_index(
        &self,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        step: Step,
    ) -> Result<IndexedRows, ReadError> {
        let mut state = self.lock();
        let engine = &mut state.engine;
        let (index_keys, found) = engine.find_rows_by_index(index, range, order, step, &|_| false);
        drop(state);
        let rows = self.finish_rows(found)?;
        Ok(IndexedRows { index_keys, rows })
    }

    /// The same, each row to be kept for itself.
    pub fn scan_index(
        &self,
        index: IndexId,
        range: &IndexRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<IndexedEntry>, ReadError> {
        let rows = self.rows_by_index(index, range, order, limit)?;
        Ok(rows.into_entries())
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
    /// Others wait meanwhile, also for a value that is not in memory and that `work` reads.
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

    /// Wants everything committed so far on the disk, as an immediate commit does.
    pub fn flush(&self) -> Ticket {
        let mut state = self.lock();
        self.shared().committed(&mut state, Durability::Immediate);
        let sequence = state.engine.sequence();
        state.era.ticket(sequence, Durability::Immediate)
    }

    /// The sequence of the last commit.
    pub fn sequence(&self) -> u64 {
        self.lock().engine.sequence()
    }

    /// The sequence up to which everything is on the disk.
    pub fn durable_sequence(&self) -> u64 {
        self.lock().engine.durable_sequence()
    }

    /// Calls `listener`, without a lock held, whenever more has become durable, in order and
    /// before the tickets are served; and once when writing has failed. It runs on the storage
    /// thread or on one that blocks in [`Ticket::wait`], one call at a time. It must not block, nor
    /// take a lock that somebody holds around a commit or such a wait. If it panics, the others
    /// are told all the same. Dropping the subscription ends it.
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
        state.replace_engine(engine, &shared.access);
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
                    let ticket = state.era.ticket(sequence, durability);
                    self.shared().committed(&mut state, durability);
                    return Ok((made, Committed { sequence, ticket }));
                }
                Err(refusal) => state = self.wait_out(state, refusal)?,
            }
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
                shared.want_sync(&mut state);
                Ok(shared.wait_for_progress(state))
            }
            Refusal::NoRoom(room) => {
                shared.wake(&mut state);
                let era = Arc::clone(&state.era);
                while state.waits_for_the_disk(&era) && !state.engine.room_was_tried(room) {
                    state = shared.wait_for_progress(state);
                }
                // Asking again before a segment is gone would take away the room of what frees it.
                while state.waits_for_the_disk(&era) && state.engine.room_may_come(room) {
                    if state.engine.unsynced_bytes() > 0 {
                        shared.want_sync(&mut state);
                    }
                    state = shared.wait_for_progress(state);
                }
                state.engine.full(room).map_or(Ok(state), Err)
            }
        }
    }

    /// Reads what is missing without the lock, and keeps it under one.
    fn finish_rows(&self, found: UnreadRows) -> Result<Rows, ReadError> {
        if found.missing.is_empty() {
            return Ok(found.rows);
        }
        self.spend_reads(found.missing.len())?;
        let (rows, read) = found.read()?;
        self.lock().engine.remember_rows(&rows, &read);
        Ok(rows)
    }

    fn spend_reads(&self, missing: usize) -> Result<(), ReadError> {
        let Some(left) = &self.reads_left else {
            return Ok(());
        };
        let less = |left: usize| left.checked_sub(missing);
        let spent = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        spent.map(drop).map_err(|missing_max| ReadError::Waits {
            missing,
            missing_max,
        })
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
        self.shared.begin_to_close();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = thread.take() else {
            return;
        };
        // A listener that holds the last clone runs on the very thread that would be waited for.
        if !self.shared.has_turn() && thread.join().is_err() {
            tracing::error!(target: "db", "the storage thread has panicked");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
        if !self.shared.has_turn() {
            // The files are let go of here, and not by who still asks for a sync.
            self.shared.access.revoke();
        }
    }
}
