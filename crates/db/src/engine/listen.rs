//! Those who want to hear how far the log is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::error::StoreFailure;

/// What a listener hears.
#[derive(Clone, Debug)]
pub enum DurableEvent {
    /// Everything up to this sequence is on the disk.
    Advanced(u64),
    /// Writing has failed; nothing more becomes durable until the store is reopened.
    Failed(StoreFailure),
}

pub(crate) type Listener = Arc<dyn Fn(DurableEvent) + Send + Sync>;

/// A place in the list of listeners. Dropping it gives the place up; a call that is under way at
/// that moment still ends.
#[must_use = "dropping the subscription ends it"]
pub struct Subscription {
    id: u64,
    list: Weak<Mutex<List>>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(list) = self.list.upgrade() {
            lock(&list).listeners.retain(|(id, _)| *id != self.id);
        }
    }
}

#[derive(Default)]
pub(crate) struct Listeners {
    list: Arc<Mutex<List>>,
}

#[derive(Default)]
struct List {
    listeners: Vec<(u64, Listener)>,
    last_id: u64,
}

impl Listeners {
    pub(crate) fn add(&self, listener: Listener) -> Subscription {
        let mut list = lock(&self.list);
        list.last_id += 1;
        let id = list.last_id;
        list.listeners.push((id, listener));
        Subscription {
            id,
            list: Arc::downgrade(&self.list),
        }
    }

    /// Calls all. The list is not locked meanwhile: a listener may subscribe or unsubscribe. One
    /// that panics must not end the storage thread, nor unwind who waits for a ticket.
    pub(crate) fn tell(&self, event: &DurableEvent) {
        let listeners = lock(&self.list).listeners.clone();
        for (_, listener) in listeners {
            if catch_unwind(AssertUnwindSafe(|| listener(event.clone()))).is_err() {
                tracing::error!(target: "db", "a listener for durability has panicked");
            }
        }
    }
}

fn lock(list: &Mutex<List>) -> MutexGuard<'_, List> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
