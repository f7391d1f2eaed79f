//! Reads the device. The root folder is an argument, so that tests read trees of their own.

use std::path::{Path, PathBuf};

use periwinkle_core::limits::{METRICS_CORES_MAX, METRICS_INTERFACES_MAX, METRICS_NAMES_MAX};

use super::parse::{self, Processor};
use super::sensors::Sensors;
use super::source::{Buffer, Source};
use super::{DiskTotals, Interface, Process, Reading, Space};

/// Open files and buffers for reading one device again and again.
///
/// A reading takes 17 system calls, two more for each sensor and, on a device that stays as it is,
/// no allocation. It may block for as long as a sensor or file system takes to answer, so async
/// code reads on a thread of its own.
pub struct Readers {
    stat: Source,
    loadavg: Source,
    meminfo: Source,
    diskstats: Source,
    net_dev: Source,
    uptime: Source,
    self_stat: Source,
    self_status: Source,
    sensors: Sensors,
    networks: Hardware,
    disks: Hardware,
    space: PathBuf,
    buffer: Buffer,
}

impl Readers {
    /// Readers of the device whose `proc` and `sys` lie under `root` (`/` outside tests), and of
    /// the file system that holds `space`. Opens nothing yet.
    pub fn new(root: &Path, space: &Path) -> Readers {
        let proc = |name: &str| Source::new(root.join("proc").join(name));
        Readers {
            stat: proc("stat"),
            loadavg: proc("loadavg"),
            meminfo: proc("meminfo"),
            diskstats: proc("diskstats"),
            net_dev: proc("net/dev"),
            uptime: proc("uptime"),
            self_stat: proc("self/stat"),
            self_status: proc("self/status"),
            sensors: Sensors::new(root),
            networks: Hardware::new(root.join("sys/class/net")),
            disks: Hardware::new(root.join("sys/block")),
            space: space.to_path_buf(),
            buffer: Buffer::new(),
        }
    }

    /// Replaces everything in `into` but the time it was taken. What cannot be read is absent.
    pub fn read(&mut self, into: &mut Reading) {
        self.read_processor(into);
        self.read_interfaces(into);
        let buffer = &mut self.buffer;
        into.load = value(&mut self.loadavg, buffer, parse::parse_loadavg);
        into.memory = value(&mut self.meminfo, buffer, parse::parse_meminfo);
        into.uptime_s = value(&mut self.uptime, buffer, parse::parse_uptime);
        into.process = Process {
            rss_bytes: value(&mut self.self_status, buffer, parse::parse_status_rss),
            ticks: value(&mut self.self_stat, buffer, parse::parse_self_stat),
        };
        into.temperature_c = self.sensors.hottest(buffer);
        into.disk = self.read_disks();
        into.space = read_space(&self.space);
    }

    fn read_processor(&mut self, into: &mut Reading) {
        into.processor = None;
        into.cores.clear();
        let Some(text) = self.stat.read(&mut self.buffer) else {
            return;
        };
        for line in parse::parse_stat(&text) {
            match line {
                Processor::All(ticks) => into.processor = Some(ticks),
                Processor::Core(core) if into.cores.len() < METRICS_CORES_MAX => {
                    into.cores.push(core);
                }
                Processor::Core(_) => {}
            }
        }
    }

    fn read_interfaces(&mut self, into: &mut Reading) {
        let mut count = 0;
        if let Some(text) = self.net_dev.read(&mut self.buffer) {
            for (name, rx, tx) in parse::parse_net_dev(&text).take(METRICS_INTERFACES_MAX) {
                let interface = slot(&mut into.interfaces, count);
                interface.name.clear();
                interface.name.push_str(name);
                interface.rx_bytes = rx;
                interface.tx_bytes = tx;
                // A modem on a serial line shows as ppp0 and has no device of its own.
                interface.physical = name.starts_with("ppp") || self.networks.is_behind(name);
                count += 1;
            }
        }
        into.interfaces.truncate(count);
    }

    /// Only whole physical disks count: what partitions, loops and mappings move, they move too.
    fn read_disks(&mut self) -> Option<DiskTotals> {
        let text = self.diskstats.read(&mut self.buffer)?;
        let mut sum: Option<DiskTotals> = None;
        for (name, totals) in parse::parse_diskstats(&text) {
            if self.disks.is_behind(name) {
                let sum = sum.get_or_insert_default();
                sum.read_bytes = sum.read_bytes.saturating_add(totals.read_bytes);
                sum.written_bytes = sum.written_bytes.saturating_add(totals.written_bytes);
            }
        }
        sum
    }
}

fn value<T>(source: &mut Source, buffer: &mut Buffer, parse: fn(&str) -> Option<T>) -> Option<T> {
    parse(&source.read(buffer)?)
}

/// The entry at `index`, old ones kept for the memory of their names.
fn slot(interfaces: &mut Vec<Interface>, index: usize) -> &mut Interface {
    if interfaces.len() <= index {
        interfaces.push(Interface::default());
    }
    &mut interfaces[index]
}

fn read_space(path: &Path) -> Option<Space> {
    let stat = rustix::fs::statvfs(path).ok()?;
    let total = stat.f_blocks.checked_mul(stat.f_frsize)?;
    let free = stat.f_bfree.checked_mul(stat.f_frsize)?;
    Some(Space {
        total,
        used: total.saturating_sub(free),
    })
}

/// Tells interfaces and disks with hardware behind them from virtual ones: `/sys` gives them a
/// `device` entry. The answer is remembered, as it does not change for a name in use.
struct Hardware {
    class: PathBuf,
    known: Vec<(String, bool)>,
}

impl Hardware {
    fn new(class: PathBuf) -> Hardware {
        Hardware {
            class,
            known: Vec::new(),
        }
    }

    fn is_behind(&mut self, name: &str) -> bool {
        if let Some((_, answer)) = self.known.iter().find(|(known, _)| known == name) {
            return *answer;
        }
        // The kernel writes the slash of `cciss/c0d0` as an exclamation mark in /sys.
        let folder = self.class.join(name.replace('/', "!"));
        let answer = folder.join("device").exists();
        // Names come and go with containers.
        if self.known.len() >= METRICS_NAMES_MAX {
            self.known.clear();
        }
        self.known.push((name.to_owned(), answer));
        answer
    }
}

#[cfg(test)]
#[path = "readers_tests.rs"]
mod tests;
