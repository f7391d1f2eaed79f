//! Who does the work of a store: its own thread, the storage thread, and threads that wait for a
//! sync.
//!
//! One thread at a time has the turn: it runs a job of the engine and tells how that ended, so
//! that listeners hear all in order. The storage thread takes every kind of job; a thread that
//! blocks on the ticket of an immediate commit takes the flush that it waits for, if the turn is
//! free and nothing else is due, and is spared the ways to another thread and back.
//!
//! So a commit asks for no sync yet: a storage thread that was woken for it would be faster than
//! the one who is about to wait. The ticket asks, when somebody waits for it or polls it. Who
//! asks and does not flush himself leaves word, `sync_wanted`. The word is not lost, for it is
//! left and read under the lock: the storage thread looks at it before it sleeps and is woken if
//! it sleeps while the turn is free; who gives up a turn wakes it for what was left meanwhile.
//!
//! For tickets that are kept and not asked, the storage thread watches: it flushes an immediate
//! commit [`Options::sync_grace`] after it was made. The first such commit wakes it for that; while
//! others follow it looks once in each such time, and so is woken for none of them. When there
//! were none since it last looked, it sleeps until the next thing is due, if anything is.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use periwinkle_core::limits::{DB_COMPACT_CREDIT_BYTES_MAX, DB_KEY_FILES_AT_CLOSE_MAX};

use super::compact::Compact;
use super::error::OpenError;
use super::flush::{Flush, Flushed};
use super::key_job::KeyFile;
use super::listen::{DurableEvent, Listeners};
use super::machine::Engine;
use super::options::{Durability, Options};
use super::recover::OpenReport;
use super::reserve::Reserve;
use super::storage::Storage;
use super::ticket::{Access, Era, OnDemand};

/// How the engine is opened, the first time and again.
pub(crate) type OpenEngine =
    fn(Arc<dyn Storage>, &Options) -> Result<(Engine, OpenReport), OpenError>;

/// What the clones of a store and its threads share.
pub(crate) struct Shared {
    pub(crate) open: OpenEngine,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) options: Options,
    state: Mutex<State>,
    /// There may be something to do for the storage thread.
    work: Condvar,
    /// Who has the turn has done something.
    pub(crate) progress: Condvar,
    pub(crate) listeners: Listeners,
    /// The way of the tickets to here.
    pub(crate) access: Arc<Access>,
}

pub(crate) struct State {
    pub(crate) engine: Engine,
    pub(crate) era: Arc<Era>,
    /// Somebody waits for a sync of what no flush has taken yet.
    sync_wanted: bool,
    /// The sequence up to which flushes have taken all, the one under way too.
    taken: u64,
    /// By when there must be a flush for the commits that none has taken, and the most urgent of
    /// these.
    due: Option<(Instant, Durability)>,
    /// Bytes that compaction may read before the next flush that somebody waits for: it gets
    /// twice what others wrote, so that it keeps up with any stream of writes.
    compaction_credit: u64,
    /// Bytes that compaction had moved when the last flush took all.
    moved: u64,
    /// A job of this engine runs.
    pub(crate) working: bool,
    /// The thread that runs a job or tells how it ended.
    turn: Option<ThreadId>,
    /// The storage thread is awake, or will be before [`Options::sync_grace`] is over.
    watching: bool,
    /// There was an immediate commit since it last went to sleep.
    watched: bool,
    pub(crate) closing: bool,
    /// Key files that were made since the closing began.
    key_files_at_close: usize,
}

impl State {
    fn new(engine: Engine, access: &Arc<Access>) -> State {
        State {
            era: Era::new(engine.durable_sequence(), Arc::clone(access)),
            taken: engine.durable_sequence(),
            engine,
            sync_wanted: false,
            due: None,
            compaction_credit: 0,
            moved: 0,
            working: false,
            turn: None,
            watching: true,
            watched: false,
            closing: false,
            key_files_at_close: 0,
        }
    }

    /// Goes on with another engine.
    pub(crate) fn replace_engine(&mut self, engine: Engine, access: &Arc<Access>) {
        self.era.abandon();
        self.era = Era::new(engine.durable_sequence(), Arc::clone(access));
        self.taken = engine.durable_sequence();
        self.engine = engine;
        self.moved = 0;
        self.due = None;
    }

    pub(crate) fn waits_for_the_disk(&self, era: &Arc<Era>) -> bool {
        !self.closing && self.engine.failure().is_none() && Arc::ptr_eq(&self.era, era)
    }

    /// What waits for the disk, for whoever has the turn.
    fn take_flush(&mut self) -> Option<Flush> {
        self.sync_wanted = false;
        self.due = None;
        let flush = self.engine.take_flush()?;
        self.taken = flush.through();
        self.moved = self.engine.bytes_moved();
        Some(flush)
    }

    /// Whether compaction may go ahead of a flush that is due. What it moves waits for that flush in
    /// memory: not more than what others committed, or than the bytes that start a flush.
    fn may_compact_first(&self, options: &Options) -> bool {
        let moved = (self.engine.bytes_moved() - self.moved) as usize;
        let committed = self.engine.unsynced_bytes().saturating_sub(moved);
        self.compaction_credit >= options.compact_step_bytes
            && moved < committed.max(options.flush_bytes)
    }

    /// Whether a thread that waits may flush: nothing else is under way or due, which the storage
    /// thread would do and must come to.
    fn may_lead(&self) -> bool {
        self.turn.is_none() && !self.closing && !self.engine.has_work()
    }

    /// Bytes of relaxed commits, or somebody's waiting, or the time that passed ask for a flush.
    fn is_flush_due(&self, options: &Options) -> bool {
        self.sync_wanted
            || self.closing
            || self.engine.compaction_wants_flush()
            || self.until_flush() == Some(Duration::ZERO)
            || self.engine.unsynced_bytes() >= options.flush_bytes
    }

    /// How long the oldest commits may still wait.
    fn until_flush(&self) -> Option<Duration> {
        let (due, _) = self.due?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// There is a commit of this kind that no flush has taken. Tells whether none was as urgent.
    fn owe_flush(&mut self, durability: Durability, options: &Options) -> bool {
        if self.due.is_some_and(|(_, most)| most <= durability) {
            return false;
        }
        let wait = match durability {
            Durability::Immediate => options.sync_grace,
            Durability::Relaxed => options.flush_interval,
            Durability::Lazy => options.lazy_interval,
        };
        let due = Instant::now() + wait;
        let due = self.due.map_or(due, |(earlier, _)| earlier.min(due));
        self.due = Some((due, durability));
        true
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
    pub(crate) fn new(
        open: OpenEngine,
        engine: Engine,
        storage: Arc<dyn Storage>,
        options: Options,
    ) -> Shared {
        let access = Arc::default();
        Shared {
            open,
            storage,
            options,
            state: Mutex::new(State::new(engine, &access)),
            work: Condvar::new(),
            progress: Condvar::new(),
            listeners: Listeners::default(),
            access,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // The engine changes nothing before the last call that could panic; a panic in the
        // closure of `with_tx` happens before the commit.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait_for_progress<'a>(
        &self,
        state: MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
        self.progress
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this thread runs a job or a listener.
    pub(crate) fn has_turn(&self) -> bool {
        self.lock().turn == Some(std::thread::current().id())
    }

    /// Takes note of a commit.
    pub(crate) fn committed(&self, state: &mut State, durability: Durability) {
        state.watched |= durability == Durability::Immediate;
        let is_most_urgent = state.owe_flush(durability, &self.options);
        if is_most_urgent && !state.watching {
            self.wake(state);
        } else if state.engine.unsynced_bytes() >= self.options.flush_bytes {
            self.want_sync(state);
        }
    }

    /// Leaves word that somebody waits for a sync.
    pub(crate) fn want_sync(&self, state: &mut State) {
        if !std::mem::replace(&mut state.sync_wanted, true) {
            self.wake(state);
        }
    }

    /// Wakes the storage thread, unless somebody has the turn, who will.
    pub(crate) fn wake(&self, state: &mut State) {
        if state.turn.is_none() {
            state.watching = true;
            self.work.notify_one();
        }
    }

    /// Ends the storage thread when all is done.
    pub(crate) fn begin_to_close(&self) {
        let mut state = self.lock();
        state.closing = true;
        self.wake(&mut state);
        drop(state);
        self.progress.notify_all();
    }

    /// The storage thread. It outlives a panic, which is a failure for all who wait and all who
    /// come later; a second one before the store was opened again ends it.
    pub(crate) fn run(&self) {
        while catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            let had_failed = self.lock().engine.failure().is_some();
            drop(self.after_panic());
            if had_failed {
                return;
            }
        }
    }

    /// Does what there is to do until the store is closed.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            state = match self.next_job(&mut state) {
                Job::Flush(flush) => self.in_turn(state, |state| self.flush(state, flush)),
                Job::Reserve(reserve) => self.in_turn(state, |state| self.reserve(state, reserve)),
                Job::Compact(step) => self.in_turn(state, |state| self.compact(state, step)),
                Job::KeyFile(file) => self.in_turn(state, |state| self.make_key_file(state, file)),
                Job::Wait(limit) => self.sleep(state, limit),
                Job::Stop => return,
            }
        }
    }

    /// Runs a job as the one who has the turn. The lock is held when the turn ends and until the
    /// next look at what there is to do.
    fn in_turn<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        job: impl FnOnce(MutexGuard<'a, State>) -> MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
        state.turn = Some(std::thread::current().id());
        let mut state = job(state);
        state.turn = None;
        state
    }

    /// Those who wait for a sync come before the room that is reserved ahead.
    fn next_job(&self, state: &mut State) -> Job {
        if state.turn.is_some() {
            return self.rest(state);
        }
        let due = state.is_flush_due(&self.options);
        if due && !state.closing && state.may_compact_first(&self.options) {
            state.compaction_credit -= self.options.compact_step_bytes;
            if let Some(step) = state.engine.take_compaction() {
                return Job::Compact(step);
            }
        }
        if due && let Some(flush) = state.take_flush() {
            return Job::Flush(flush);
        }
        match state.closing {
            true => next_at_close(state),
            false => self.next_unasked(state),
        }
    }

    /// What nobody waits for.
    fn next_unasked(&self, state: &mut State) -> Job {
        if let Some(reserve) = state.engine.take_reserve() {
            return Job::Reserve(reserve);
        }
        if state.engine.unsynced_bytes() < self.options.flush_bytes {
            if let Some(step) = state.engine.take_compaction() {
                return Job::Compact(step);
            }
            if let Some(file) = state.engine.take_key_file() {
                return Job::KeyFile(file);
            }
        }
        if state.engine.compaction_wants_flush()
            && let Some(flush) = state.take_flush()
        {
            return Job::Flush(flush);
        }
        // Compaction may have asked for room.
        match state.engine.take_reserve() {
            Some(reserve) => Job::Reserve(reserve),
            None => self.rest(state),
        }
    }

    /// How long the storage thread may sleep. While somebody else has the turn, nothing needs a
    /// look that does not wake it.
    fn rest(&self, state: &mut State) -> Job {
        let grace = self.options.sync_grace;
        let look = std::mem::take(&mut state.watched).then_some(grace);
        let due = state.until_flush().filter(|_| state.turn.is_none());
        let limit = look.into_iter().chain(due).min();
        state.watching = limit.is_some_and(|limit| limit <= grace);
        Job::Wait(limit)
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
        state.engine.compacted(done);
        state.working = false;
        if let Some(fault) = state.engine.compaction_fault() {
            tracing::error!(target: "db", %fault, "compaction has stopped: the log only grows");
        }
        if state.engine.failure().is_some() {
            return self.announce(state);
        }
        if state.engine.unsynced_bytes() > 0 {
            state.owe_flush(Durability::Relaxed, &self.options);
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

    /// Sleeps until there is work.
    fn sleep<'a>(
        &self,
        state: MutexGuard<'a, State>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        let mut state = match limit {
            None => self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                let waited = self.work.wait_timeout(state, limit);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.watching = true;
        state
    }
}

/// The last jobs of a store. The key files that are missing, some of them, then the closing frame.
fn next_at_close(state: &mut State) -> Job {
    if state.key_files_at_close < DB_KEY_FILES_AT_CLOSE_MAX
        && let Some(file) = state.engine.take_key_file()
    {
        state.key_files_at_close += 1;
        return Job::KeyFile(file);
    }
    state.engine.close();
    state.engine.take_flush().map_or(Job::Stop, Job::Flush)
}

impl OnDemand for Shared {
    fn flush_through(&self, era: &Arc<Era>, sequence: u64) {
        let mut state = self.lock();
        if !state.is_untaken(era, sequence) {
            return;
        }
        if !state.may_lead() {
            return self.want_sync(&mut state);
        }
        if let Some(flush) = state.take_flush() {
            self.lead(state, flush);
        }
    }

    fn ask(&self, era: &Arc<Era>, sequence: u64) {
        let mut state = self.lock();
        if state.is_untaken(era, sequence) {
            self.want_sync(&mut state);
        }
    }
}

impl State {
    /// Whether a commit of this era is one that no flush has taken.
    fn is_untaken(&self, era: &Arc<Era>, sequence: u64) -> bool {
        sequence > self.taken && Arc::ptr_eq(&self.era, era)
    }
}

impl Shared {
    /// Flushes on the thread of one who waits for it.
    fn lead<'a>(&'a self, mut state: MutexGuard<'a, State>, flush: Flush) {
        state.turn = Some(std::thread::current().id());
        let led = catch_unwind(AssertUnwindSafe(|| self.flush(state, flush)));
        let (mut state, panic) = match led {
            Ok(state) => (state, None),
            Err(panic) => (self.after_panic(), Some(panic)),
        };
        state.turn = None;
        let unwatched = state.due.is_some() && !state.watching;
        if state.sync_wanted || state.closing || unwatched || state.engine.has_work() {
            self.wake(&mut state);
        }
        drop(state);
        if let Some(panic) = panic {
            // Who waits for the turn to end.
            self.progress.notify_all();
            resume_unwind(panic);
        }
    }

    /// What is on the disk is not known when the thread that worked on it has panicked: nothing
    /// is written any more until the store is opened again.
    fn after_panic(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if state.turn == Some(std::thread::current().id()) {
            state.turn = None;
            state.working = false;
        }
        if state.engine.failure().is_none() {
            state.engine.flushed(Flushed::panicked());
        }
        self.announce(state)
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Batch;
    use super::super::file_storage::FileStorage;
    use super::*;

    fn shared(scratch: &tempfile::TempDir) -> Shared {
        let storage = Arc::new(FileStorage::open(scratch.path()).unwrap());
        let options = Options {
            sync_grace: Duration::from_secs(3600),
            flush_interval: Duration::from_secs(7200),
            lazy_interval: Duration::from_secs(10800),
            ..Options::default()
        };
        let (engine, _) = Engine::open(Arc::clone(&storage) as _, &options).unwrap();
        Shared::new(Engine::open, engine, storage, options)
    }

    /// What the storage thread does now, and for how long it may sleep then.
    fn look(shared: &Shared) -> Option<Duration> {
        match shared.next_job(&mut shared.lock()) {
            Job::Wait(limit) => limit,
            _ => panic!("there is nothing to do"),
        }
    }

    fn commit(shared: &Shared, durability: Durability) -> (Arc<Era>, u64) {
        let mut state = shared.lock();
        let sequence = state.engine.commit(Batch::new().put(b"key", b"")).unwrap();
        shared.committed(&mut state, durability);
        (Arc::clone(&state.era), sequence)
    }

    #[test]
    fn while_somebody_writes_and_waits_the_storage_thread_looks_now_and_then_and_later_not_at_all()
    {
        let scratch = tempfile::tempdir().unwrap();
        let shared = shared(&scratch);
        let grace = shared.options.sync_grace;
        assert_eq!(look(&shared), None, "an idle store sleeps");
        assert!(!shared.lock().watching);
        for _ in 0..3 {
            let (era, sequence) = commit(&shared, Durability::Immediate);
            assert!(shared.lock().watching, "it was woken, or is awake by then");
            shared.flush_through(&era, sequence);
            assert_eq!(shared.lock().engine.durable_sequence(), sequence);
            assert_eq!(look(&shared), Some(grace));
        }
        assert_eq!(look(&shared), None);
        assert!(!shared.lock().watching);
    }

    #[test]
    fn the_most_urgent_commit_decides_when_there_is_a_flush() {
        let scratch = tempfile::tempdir().unwrap();
        let shared = shared(&scratch);
        let Options {
            sync_grace,
            flush_interval,
            lazy_interval,
            ..
        } = shared.options.clone();
        let steps = [
            (Durability::Lazy, flush_interval, lazy_interval),
            (Durability::Relaxed, sync_grace, flush_interval),
            (Durability::Lazy, sync_grace, flush_interval),
            (Durability::Immediate, Duration::ZERO, sync_grace),
            (Durability::Relaxed, Duration::ZERO, sync_grace),
        ];
        for (durability, above, at_most) in steps {
            look(&shared);
            commit(&shared, durability);
            let sleep = look(&shared).expect("there is something to flush");
            assert!(
                above < sleep && sleep <= at_most,
                "{durability:?}: {sleep:?}"
            );
        }
        let flush = shared.lock().take_flush().expect("five commits wait");
        drop(shared.in_turn(shared.lock(), |state| shared.flush(state, flush)));
        assert_eq!(look(&shared), None, "all of them went with one flush");
    }

    #[test]
    fn a_commit_during_the_turn_of_another_is_not_forgotten_at_its_end() {
        let scratch = tempfile::tempdir().unwrap();
        for durability in [Durability::Immediate, Durability::Relaxed, Durability::Lazy] {
            let shared = shared(&scratch);
            commit(&shared, Durability::Immediate);
            look(&shared);
            let flush = shared.lock().take_flush().unwrap();
            shared.lock().turn = Some(std::thread::current().id());
            assert_eq!(look(&shared), None, "who has the turn will wake it");
            commit(&shared, durability);
            assert!(!shared.lock().watching);
            shared.lead(shared.lock(), flush);
            assert!(shared.lock().watching);
            assert!(look(&shared) > Some(Duration::ZERO));
        }
    }

    /// Room ahead, and everything on the disk.
    fn settle(state: &mut State) {
        while let Some(reserve) = state.engine.take_reserve() {
            state.engine.reserved(reserve.run());
        }
        if let Some(flush) = state.take_flush() {
            state.engine.flushed(flush.run());
        }
    }

    #[test]
    fn compaction_goes_ahead_of_who_waits_for_a_sync_only_as_far_as_others_wrote() {
        const STEP_BYTES: u64 = 8 << 10;
        let scratch = tempfile::tempdir().unwrap();
        let storage = Arc::new(FileStorage::open(scratch.path()).unwrap());
        let options = Options {
            segment_bytes: 256 << 10,
            compact_step_bytes: STEP_BYTES,
            flush_bytes: 2 * STEP_BYTES as usize,
            ..Options::default()
        };
        let (engine, _) = Engine::open(Arc::clone(&storage) as _, &options).unwrap();
        let shared = Shared::new(Engine::open, engine, storage, options);
        let mut state = shared.lock();
        // Half of the rows are written again and again: every segment has some that stay.
        for number in (0..400).chain((0..1000).map(|number| 2 * number % 400)) {
            let mut batch = Batch::new();
            batch.put(&u32::to_be_bytes(number), &[7; 1000]);
            settle(&mut state);
            state.engine.commit(&batch).unwrap();
        }
        settle(&mut state);
        for committed in [0, 40_000] {
            state.compaction_credit = DB_COMPACT_CREDIT_BYTES_MAX;
            state.sync_wanted = true;
            let mut batch = Batch::new();
            batch.put(b"key", &vec![7; committed]);
            state.engine.commit(&batch).unwrap();
            let before = state.engine.bytes_moved();
            let flush = loop {
                match shared.next_job(&mut state) {
                    Job::Compact(step) => state.engine.compacted(step.run()),
                    Job::Flush(flush) => break flush,
                    _ => panic!("there is enough to compact"),
                }
            };
            let moved = state.engine.bytes_moved() - before;
            let enough = (committed as u64).max(2 * STEP_BYTES);
            let and_a_step = enough..enough + STEP_BYTES + 2000;
            assert!(and_a_step.contains(&moved), "{moved} beside {committed}");
            state.engine.flushed(flush.run());
            settle(&mut state);
        }
    }
}
