//! Waiting for something that another process does: by looking again, up to a bound.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before it counts as failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks until `look` finds something; panics with `what` after [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// Looks until `look` finds something; panics with `what` after `patience`.
#[track_caller]
pub fn within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < patience,
            "waited {patience:?} in vain: {what}"
        );
        thread::park_timeout(Duration::from_millis(20));
    }
}
