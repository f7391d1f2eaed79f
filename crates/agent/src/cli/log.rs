//! The log of the binary, on standard error.

use std::io::{self, IsTerminal};

use periwinkle_core::config::{Log, LogFormat, LogLevel};
use tracing_subscriber::filter::LevelFilter;

/// Installs the log for the rest of the process.
pub(super) fn install(log: &Log) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(level(log.level))
        .with_writer(io::stderr)
        // Otherwise a line that cannot be written, to a file on a full disk for one, is complained
        // of on standard error, and that panics where standard error is that file.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    // A maker's program that called this as a library may have its own; it keeps it.
    let _ = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
