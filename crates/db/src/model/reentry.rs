//! Foreign code that runs while the write lock is held: the closure of a transaction, a check.
//!
//! What it calls on the database itself would wait for ever, so that it is told instead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

use super::error::DbError;

/// Which thread runs foreign code under the lock, if one does.
#[derive(Default)]
pub(super) struct Reentry {
    is_running: AtomicBool,
    thread: Mutex<Option<ThreadId>>,
}

impl Reentry {
    /// Foreign code runs on this thread until the guard is dropped.
    pub(super) fn enter(&self) -> Guest<'_> {
        let outer = self.swap(Some(thread::current().id()));
        self.is_running.store(true, Ordering::Release);
        Guest {
            reentry: self,
            outer,
        }
    }

    /// Refuses the lock to foreign code of this thread, which holds it.
    pub(super) fn check(&self) -> Result<(), DbError> {
        if !self.is_running.load(Ordering::Acquire) {
            return Ok(());
        }
        let holder = *self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if holder == Some(thread::current().id()) {
            return Err(DbError::Reentrant);
        }
        Ok(())
    }

    fn swap(&self, thread: Option<ThreadId>) -> Option<ThreadId> {
        let mut holder = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut holder, thread)
    }
}

/// While it lives, foreign code runs under the lock.
pub(super) struct Guest<'a> {
    reentry: &'a Reentry,
    /// A check within a transaction: the transaction's code goes on behind it.
    outer: Option<ThreadId>,
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        let is_running = self.outer.is_some();
        self.reentry.swap(self.outer);
        self.reentry.is_running.store(is_running, Ordering::Release);
    }
}
