//! What became of a request on its connection, and how much of it has left.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::send_queue;

/// How a connection that was kept from an earlier request ended, where no byte of the answer to
/// this one had come: most likely the server had closed it before the request arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Nothing of the request went out.
    Unsent,
    /// Something of it did: the server may have acted on it.
    Sent,
}

/// What became of a request on its connection; shared with whoever judges how that ended.
#[derive(Debug)]
pub struct Standing {
    state: AtomicU8,
    /// Bytes that were written since the connection was made.
    written: AtomicU64,
    /// Whether some wait to be written.
    waits: AtomicBool,
    /// The addresses here and there.
    ends: Option<(SocketAddr, SocketAddr)>,
}

impl Standing {
    /// Nothing was written or came since the request began.
    const QUIET: u8 = 0;
    /// Bytes were written.
    const ASKED: u8 = 1;
    /// Bytes were to be written, and none could be.
    const UNASKED: u8 = 2;
    /// Bytes came.
    const ANSWERED: u8 = 3;

    pub(super) const fn new(ends: Option<(SocketAddr, SocketAddr)>) -> Standing {
        Standing {
            state: AtomicU8::new(Standing::QUIET),
            written: AtomicU64::new(0),
            waits: AtomicBool::new(false),
            ends,
        }
    }

    /// A request begins.
    pub fn begin(&self) {
        self.state.store(Standing::QUIET, Ordering::Relaxed);
    }

    /// What it means that the connection ended; `None` when an answer had begun.
    pub fn stale(&self) -> Option<Stale> {
        match self.state.load(Ordering::Relaxed) {
            Standing::ANSWERED => None,
            Standing::ASKED => Some(Stale::Sent),
            _ => Some(Stale::Unsent),
        }
    }

    pub(super) fn note_read(&self) {
        self.state.store(Standing::ANSWERED, Ordering::Relaxed);
    }

    pub(super) fn note_write(&self, bytes: usize) {
        if bytes > 0 {
            // Only the connection's own task writes.
            let written = self.written.load(Ordering::Relaxed) + bytes as u64;
            self.written.store(written, Ordering::Relaxed);
            self.leave_quiet(Standing::ASKED);
        }
    }

    pub(super) fn note_failed_write(&self) {
        self.leave_quiet(Standing::UNASKED);
    }

    pub(super) fn note_wait(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    fn leave_quiet(&self, state: u8) {
        if self.state.load(Ordering::Relaxed) == Standing::QUIET {
            self.state.store(state, Ordering::Relaxed);
        }
    }
}

/// The connection that a request has taken, for whoever waits until its body has left.
#[derive(Debug, Default)]
pub struct Way(Mutex<Option<Taken>>);

#[derive(Clone, Debug)]
struct Taken {
    standing: Arc<Standing>,
    /// What had been written before the request.
    before: u64,
}

/// How much of a request has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departed {
    /// The bytes that the other end has acknowledged, its head and the like included; where the
    /// system does not tell that, those that the system has taken.
    pub bytes: u64,
    /// Whether none of those that were handed over are still here.
    pub all: bool,
}

impl Way {
    pub(super) fn take(&self, standing: &Arc<Standing>) {
        *self.lock() = Some(Taken {
            before: standing.written.load(Ordering::Relaxed),
            standing: standing.clone(),
        });
    }

    /// What has left; `None` while there is no connection.
    pub async fn departed(&self) -> Option<Departed> {
        let Taken { standing, before } = self.lock().clone()?;
        let written = standing.written.load(Ordering::Relaxed) - before;
        let waits = standing.waits.load(Ordering::Relaxed);
        let queued = match standing.ends {
            Some((here, there)) => send_queue::bytes(here, there).await,
            None => None,
        };
        let queued = queued.unwrap_or(0);
        Some(Departed {
            bytes: written.saturating_sub(queued),
            all: !waits && queued == 0,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Taken>> {
        self.0.lock().expect("no holder of the way panics")
    }
}
