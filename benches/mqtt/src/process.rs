//! What the system knows of this process.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Processor time of all threads so far.
pub(crate) fn cpu_time() -> Result<Duration> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Duration::try_from(used)?)
}

/// The most memory that was resident at one time.
pub(crate) fn peak_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let word = line.and_then(|line| line.split_whitespace().next());
    Ok(word.context("the system does not tell VmHWM")?.parse()?)
}
