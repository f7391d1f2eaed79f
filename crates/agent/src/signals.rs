//! What the system tells a process: the request to stop, and that a file may not grow.

use std::{fs, io};

use rustix::process::Signal as Number;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{Error, Result};

/// The signals that ask for an orderly stop.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal is gone; nothing if whoever started us has that ignored, as `nohup` does.
    hang_up: Option<Signal>,
}

impl Signals {
    /// Handles them from now on, and a file-size limit, too.
    pub(crate) fn listen() -> Result<Signals> {
        let listen = || {
            outlive_file_size_limit()?;
            Ok(Signals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hang_up: match is_ignored(Number::HUP) {
                    true => None,
                    false => Some(signal(SignalKind::hangup())?),
                },
            })
        };
        listen().map_err(|source| Error::System {
            what: "listening for signals",
            source,
        })
    }

    /// Waits until one of them arrives.
    pub(crate) async fn received(mut self) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = received(self.hang_up.as_mut()) => "SIGHUP",
        };
        tracing::info!("{name}: stopping");
    }
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether the process was started with this signal ignored.
fn is_ignored(number: Number) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number.as_raw() - 1) & 1 == 1)
}

/// The same for a process that has no runtime yet: for all that it does, from now to its end.
pub(crate) fn outlive_file_size_limit_without_runtime() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    outlive_file_size_limit()
}

/// Handles SIGXFSZ by doing nothing. Unhandled it ends the process; handled, the write that went
/// beyond the limit gets an error, which the database treats as a full disk.
///
/// A handler of tokio's stays for the life of the process, whoever listens to it.
fn outlive_file_size_limit() -> io::Result<()> {
    signal(SignalKind::from_raw(Number::XFSZ.as_raw())).map(drop)
}
