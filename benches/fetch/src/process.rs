//! What the system knows of this process and of a program that it runs.

use std::fs;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// What a client has used up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    /// The most resident memory at one moment, code included.
    pub(crate) peak_bytes: u64,
}

/// This process so far.
pub(crate) fn own() -> Result<Used> {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Used {
        cpu: Duration::try_from(cpu)?,
        peak_bytes: peak_bytes("self")?,
    })
}

/// Runs a program to its end, in success.
pub(crate) fn of_program(command: &mut Command) -> Result<Used> {
    let before = children_cpu()?;
    let mut child = command.spawn().context("the program is not there")?;
    let peak_bytes = watch(&mut child)?;
    let status = child.wait()?;
    ensure!(status.success(), "the program ended with {status}");
    Ok(Used {
        cpu: children_cpu()? - before,
        peak_bytes,
    })
}

/// Looks at the peak until the program has ended; the kernel forgets it then.
fn watch(child: &mut Child) -> Result<u64> {
    let id = child.id().to_string();
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        // It may end between the two looks.
        peak = peak_bytes(&id).unwrap_or(peak);
        thread::sleep(Duration::from_millis(10));
    }
    Ok(peak)
}

fn peak_bytes(process: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let word = line.and_then(|line| line.split_whitespace().next());
    let kib: u64 = word.context("the system tells no peak")?.parse()?;
    Ok(kib * 1024)
}

/// Processor time of programs that this one has run and waited for.
fn children_cpu() -> Result<Duration> {
    /// Of `/proc/self/stat` behind the name, which may hold spaces: user and system time of children.
    const FIELDS: std::ops::Range<usize> = 13..15;
    const TICKS_PER_S: u64 = 100;
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("the system tells no times")?;
    let mut ticks = 0;
    for field in fields
        .split_whitespace()
        .skip(FIELDS.start)
        .take(FIELDS.len())
    {
        ticks += field.parse::<u64>()?;
    }
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_S))
}
