//! What the system knows of this process and of its disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Bytes that this process, all its threads, has caused to be written to a disk: pages that became
/// dirty, less those that were given up before they were written. What a file system writes for its
/// own ends is not in it.
pub(crate) fn written_bytes() -> Result<u64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let written = number_after(&io, "write_bytes:")?;
    Ok(written - number_after(&io, "cancelled_write_bytes:")?.min(written))
}

/// Resident memory that holds no file: heap and stacks.
pub(crate) fn memory_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    Ok(number_after(&status, "RssAnon:")? * 1024)
}

/// Bytes that everybody has written to the disk under `directory`, the file system included.
pub(crate) fn device_bytes(directory: &Path) -> Result<u64> {
    const SECTOR_BYTES: u64 = 512;
    const SECTORS_WRITTEN: usize = 6;
    let device = fs::metadata(directory)?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat"))?;
    let sectors = stat.split_whitespace().nth(SECTORS_WRITTEN);
    let sectors = sectors.context("the disk has no figures")?;
    Ok(sectors.parse::<u64>()? * SECTOR_BYTES)
}

/// What the files of a directory take on the disk.
pub(crate) fn disk_bytes(directory: &Path) -> Result<u64> {
    const BLOCK_BYTES: u64 = 512;
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            about.blocks() * BLOCK_BYTES
        };
    }
    Ok(bytes)
}

/// As a power cut does to a program, and no handler runs.
pub(crate) fn kill_self() -> Result<()> {
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::KILL)?;
    Ok(())
}

fn number_after(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|line| line.split_whitespace().next());
    let word = word.with_context(|| format!("the system does not tell {name}"))?;
    Ok(word.parse()?)
}

/// Processor time of all threads of this process so far.
pub(crate) fn cpu_time() -> Result<Duration> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Duration::try_from(used)?)
}
