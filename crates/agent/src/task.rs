//! Small things that every maker's program uses.

use std::future::Future;

use crate::Result;

/// Runs `task` beside everything else; an error it ends with goes to the log.
///
/// Must be called from within the runtime. The task goes on until it ends or the runtime does.
pub fn spawn(task: impl Future<Output = Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        match task.await {
            Ok(()) => {}
            // A client that leaves is everyday life.
            Err(crate::Error::ClientGone) => tracing::debug!("a task ended: the client is gone"),
            Err(error) => tracing::warn!("a task failed: {error}"),
        }
    });
}

/// The wall time, for showing: RFC 3339 in UTC, such as `2026-11-22T10:21:53.667Z`.
pub fn now() -> String {
    crate::net::clock::system_time().iso()
}
