//! Waiting for durability, without a runtime.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::task::{Context, Poll, Waker};

use super::error::{DurabilityError, StoreFailure};
use super::options::Durability;

/// A commit that was made visible.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its place in the order of all commits.
    pub sequence: u64,
    /// Tells when it is on the disk.
    pub ticket: Ticket,
}

/// Tells when a commit is on the disk. May be kept, cloned and asked at any time, also after the
/// store is closed or reopened.
#[derive(Clone, Debug)]
pub struct Ticket {
    era: Arc<Era>,
    sequence: u64,
    durability: Durability,
}

impl Ticket {
    /// Whether the commit is on the disk. Once true, always true.
    pub fn is_durable(&self) -> bool {
        self.era.durable() >= self.sequence
    }

    /// Completes when the commit is on the disk, or when it is certain that this is not known.
    /// Dropping the future changes nothing but that nobody waits.
    pub fn durable(&self) -> Durable {
        Durable {
            ticket: self.clone(),
            waiter: None,
        }
    }

    /// Blocks the thread until the commit is on the disk. If the commit is immediate, and nobody
    /// else writes at this moment, the thread writes and syncs itself what waits for the disk,
    /// that of others too, and calls the listeners: so it is spared the ways to another thread
    /// and back.
    pub fn wait(&self) -> Result<(), DurabilityError> {
        self.ask(|store| store.flush_through(&self.era, self.sequence));
        let mut waiters = self.era.waiters();
        loop {
            if let Some(outcome) = self.outcome(&waiters) {
                return outcome;
            }
            waiters = self
                .era
                .changed
                .wait(waiters)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn ask(&self, how: impl FnOnce(&dyn OnDemand)) {
        if self.durability == Durability::Immediate && !self.is_durable() {
            self.era.access.ask(how);
        }
    }

    fn outcome(&self, waiters: &Waiters) -> Option<Result<(), DurabilityError>> {
        if self.is_durable() {
            return Some(Ok(()));
        }
        waiters.end.clone().map(Err)
    }
}

/// The future of [`Ticket::durable`].
#[derive(Debug)]
pub struct Durable {
    ticket: Ticket,
    waiter: Option<u64>,
}

impl Future for Durable {
    type Output = Result<(), DurabilityError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut waiters = this.ticket.era.waiters();
        if let Some(outcome) = this.ticket.outcome(&waiters) {
            return Poll::Ready(outcome);
        }
        let is_first = this.waiter.is_none();
        let id = *this.waiter.get_or_insert_with(|| waiters.new_id());
        let waker = context.waker().clone();
        waiters.wakers.insert((this.ticket.sequence, id), waker);
        // The lock of the store comes before that of the waiters.
        drop(waiters);
        if is_first {
            let Ticket { era, sequence, .. } = &this.ticket;
            this.ticket.ask(|store| store.ask(era, *sequence));
        }
        Poll::Pending
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        if let Some(id) = self.waiter {
            let key = (self.ticket.sequence, id);
            self.ticket.era.waiters().wakers.remove(&key);
        }
    }
}

/// The life of an engine from opening to failure or close. Tickets belong to one, so that a
/// sequence that is given anew after a failure does not answer for the old one.
#[derive(Debug)]
pub(crate) struct Era {
    durable: AtomicU64,
    waiters: Mutex<Waiters>,
    changed: Condvar,
    access: Arc<Access>,
}

#[derive(Debug, Default)]
struct Waiters {
    wakers: BTreeMap<(u64, u64), Waker>,
    last_id: u64,
    /// Why nothing more becomes durable.
    end: Option<DurabilityError>,
}

impl Waiters {
    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

impl Era {
    pub(crate) fn new(durable: u64, access: Arc<Access>) -> Arc<Era> {
        Arc::new(Era {
            durable: AtomicU64::new(durable),
            waiters: Mutex::default(),
            changed: Condvar::new(),
            access,
        })
    }

    pub(crate) fn ticket(self: &Arc<Era>, sequence: u64, durability: Durability) -> Ticket {
        Ticket {
            era: Arc::clone(self),
            sequence,
            durability,
        }
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Everything up to `durable` is on the disk: wakes those who wait for it.
    pub(crate) fn advance(&self, durable: u64) {
        let mut waiters = self.waiters();
        self.durable.store(durable, Ordering::Release);
        let later = waiters.wakers.split_off(&(durable + 1, 0));
        let woken = std::mem::replace(&mut waiters.wakers, later);
        drop(waiters);
        self.wake(woken);
    }

    /// Writing has failed: wakes all.
    pub(crate) fn fail(&self, failure: &StoreFailure) {
        self.end(DurabilityError::Failed(failure.clone()));
    }

    /// The store was reopened over this era: wakes all.
    pub(crate) fn abandon(&self) {
        self.end(DurabilityError::Reopened);
    }

    fn end(&self, end: DurabilityError) {
        let mut waiters = self.waiters();
        waiters.end.get_or_insert(end);
        let woken = std::mem::take(&mut waiters.wakers);
        drop(waiters);
        self.wake(woken);
    }

    fn wake(&self, woken: BTreeMap<(u64, u64), Waker>) {
        self.changed.notify_all();
        for waker in woken.into_values() {
            // One that panics must not keep the others asleep.
            if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
                tracing::error!(target: "db", "a task that waits for durability has panicked");
            }
        }
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        // A panic cannot leave the map half changed.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store as its tickets see it. Neither call does anything for a commit that a flush has taken
/// already, or of another era.
pub(crate) trait OnDemand: Send + Sync {
    /// Flushes on this thread, or leaves word for who does.
    fn flush_through(&self, era: &Arc<Era>, sequence: u64);

    /// Leaves word for the storage thread.
    fn ask(&self, era: &Arc<Era>, sequence: u64);
}

/// The way of the tickets to their store. They outlive it: it closes the way when it goes, and no
/// ticket holds a part of the store from then on.
#[derive(Debug, Default)]
pub(crate) struct Access {
    store: RwLock<Option<Weak<dyn OnDemand>>>,
}

impl Access {
    pub(crate) fn grant(&self, store: Weak<dyn OnDemand>) {
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = Some(store);
    }

    /// Waits for those who are on the way.
    pub(crate) fn revoke(&self) {
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn ask(&self, how: impl FnOnce(&dyn OnDemand)) {
        // It is set in one step.
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = store.as_ref().and_then(Weak::upgrade) {
            how(&*store);
        }
    }
}
