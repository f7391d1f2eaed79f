//! What one look at `/proc` and `/sys` yields: totals since boot, as the kernel counts them.

use periwinkle_core::time::Mono;

use super::Hundredths;

/// One look at the device. Rates and percents need two; see [`Sample::between`](super::Sample).
///
/// Filled in place again and again, so that measuring allocates nothing in the long run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// When the look was taken; set by the caller, who has the clock.
    pub taken: Mono,
    /// Time of all processor cores together.
    pub processor: Option<Ticks>,
    /// Time of each core that is online; empty when unknown.
    pub cores: Vec<Core>,
    /// Load averages.
    pub load: Option<Load>,
    /// Main memory and swap.
    pub memory: Option<Memory>,
    /// The file system that is watched.
    pub space: Option<Space>,
    /// Traffic of all physical disks together.
    pub disk: Option<DiskTotals>,
    /// Network interfaces without loopback; empty when there are none or they are unknown.
    pub interfaces: Vec<Interface>,
    /// The hottest sensor, in degrees Celsius.
    pub temperature_c: Option<Hundredths>,
    /// Whole seconds since the device started.
    pub uptime_s: Option<u64>,
    /// The agent's own share.
    pub process: Process,
}

/// Processor time since boot in the kernel's clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    /// Not idle and not waiting for input or output.
    pub busy: u64,
    /// All time.
    pub total: u64,
}

/// One processor core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// The kernel's number of it; numbers of cores that are offline are left out.
    pub id: u32,
    /// Its time since boot.
    pub ticks: Ticks,
}

/// Load averages: tasks that run or wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Over one minute.
    pub one: Hundredths,
    /// Over five minutes.
    pub five: Hundredths,
    /// Over fifteen minutes.
    pub fifteen: Hundredths,
}

/// Main memory and swap, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What the kernel manages.
    pub total: u64,
    /// What programs could still get without swapping.
    pub available: u64,
    /// Size of all swap areas.
    pub swap_total: u64,
    /// Unused part of them.
    pub swap_free: u64,
}

/// A file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its size.
    pub total: u64,
    /// What files and metadata take, root's reserve counted as free.
    pub used: u64,
}

/// Bytes that passed the physical disks since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskTotals {
    /// Read from the disks.
    pub read_bytes: u64,
    /// Written to the disks.
    pub written_bytes: u64,
}

/// One network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's name of it, such as `eth0`.
    pub name: String,
    /// Bytes received since it came up.
    pub rx_bytes: u64,
    /// Bytes sent since it came up.
    pub tx_bytes: u64,
    /// Whether hardware stands behind it. What passes a bridge, tunnel or container interface
    /// passes a physical one too and must not be counted twice.
    pub physical: bool,
}

/// The agent's own process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// Processor time used so far, in the kernel's clock ticks.
    pub ticks: Option<u64>,
}
