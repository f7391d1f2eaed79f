//! Texts of `/proc` and `/sys` as values. A line that does not read as documented is skipped; a
//! value that cannot be told is `None`. Source: proc(5) and the kernel's own documentation.

use super::{Core, DiskTotals, Hundredths, Load, Memory, Ticks};

/// The unit of `/proc/diskstats`, whatever the disk's own block size.
const SECTOR_BYTES: u64 = 512;

/// A processor line of `/proc/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// All cores together.
    All(Ticks),
    /// One of them.
    Core(Core),
}

/// The processor lines of `/proc/stat`. They stand first, so nothing behind them is looked at.
pub fn parse_stat(text: &str) -> impl Iterator<Item = Processor> {
    text.lines()
        .map_while(|line| line.strip_prefix("cpu"))
        .filter_map(processor_line)
}

fn processor_line(line: &str) -> Option<Processor> {
    let (id, times) = line.split_once(' ')?;
    let ticks = ticks(times)?;
    if id.is_empty() {
        return Some(Processor::All(ticks));
    }
    let id = id.parse().ok()?;
    Some(Processor::Core(Core { id, ticks }))
}

/// user nice system idle iowait irq softirq steal; old kernels end after idle. Time of guests
/// follows and is contained in user and nice.
fn ticks(times: &str) -> Option<Ticks> {
    let mut total: u64 = 0;
    let mut idle: u64 = 0;
    let mut fields = 0;
    for (n, field) in times.split_ascii_whitespace().take(8).enumerate() {
        let time: u64 = field.parse().ok()?;
        total = total.checked_add(time)?;
        if n == 3 || n == 4 {
            idle += time;
        }
        fields = n + 1;
    }
    (fields >= 4).then_some(Ticks {
        busy: total - idle,
        total,
    })
}

/// `/proc/loadavg`.
pub fn parse_loadavg(text: &str) -> Option<Load> {
    let mut fields = text.split_ascii_whitespace().map(not_negative);
    Some(Load {
        one: fields.next()??,
        five: fields.next()??,
        fifteen: fields.next()??,
    })
}

fn not_negative(field: &str) -> Option<Hundredths> {
    Hundredths::from_f64(field.parse().ok()?).filter(|value| value.0 >= 0)
}

/// `/proc/meminfo`. Kernels before 3.14 do not tell what is available; what is free or cached
/// stands in for it.
pub fn parse_meminfo(text: &str) -> Option<Memory> {
    let mut total = None;
    let mut available = None;
    let mut free = None;
    let mut cached: u64 = 0;
    let mut swap_total = 0;
    let mut swap_free = 0;
    for (name, bytes) in text.lines().filter_map(kibibytes_line) {
        match name {
            "MemTotal" => total = Some(bytes),
            "MemAvailable" => available = Some(bytes),
            "MemFree" => free = Some(bytes),
            "Buffers" | "Cached" => cached = cached.saturating_add(bytes),
            "SwapTotal" => swap_total = bytes,
            "SwapFree" => swap_free = bytes,
            _ => {}
        }
    }
    let total = total?;
    let available = available.or_else(|| free.map(|free| free.saturating_add(cached)))?;
    Some(Memory {
        total,
        available: available.min(total),
        swap_total,
        swap_free: swap_free.min(swap_total),
    })
}

/// Resident memory in bytes from `/proc/self/status`, which unlike `statm` does not count in pages
/// of a size that the file does not tell.
pub fn parse_status_rss(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(kibibytes_line);
    lines.find_map(|(name, bytes)| (name == "VmRSS").then_some(bytes))
}

/// `Name:   123 kB` as name and bytes.
fn kibibytes_line(line: &str) -> Option<(&str, u64)> {
    let (name, rest) = line.split_once(':')?;
    let number = rest.trim().strip_suffix(" kB")?;
    let kibibytes: u64 = number.parse().ok()?;
    Some((name, kibibytes.checked_mul(1024)?))
}

/// The disks and partitions of `/proc/diskstats` with their traffic since boot.
pub fn parse_diskstats(text: &str) -> impl Iterator<Item = (&str, DiskTotals)> {
    text.lines().filter_map(disk_line)
}

/// major minor NAME reads merged SECTORS ms writes merged SECTORS ...
fn disk_line(line: &str) -> Option<(&str, DiskTotals)> {
    let mut fields = line.split_ascii_whitespace();
    let name = fields.nth(2)?;
    let read: u64 = fields.nth(2)?.parse().ok()?;
    let written: u64 = fields.nth(3)?.parse().ok()?;
    let totals = DiskTotals {
        read_bytes: read.checked_mul(SECTOR_BYTES)?,
        written_bytes: written.checked_mul(SECTOR_BYTES)?,
    };
    Some((name, totals))
}

/// The interfaces of `/proc/net/dev` without loopback: name, bytes received, bytes sent.
pub fn parse_net_dev(text: &str) -> impl Iterator<Item = (&str, u64, u64)> {
    text.lines()
        .filter_map(interface_line)
        .filter(|(name, ..)| *name != "lo")
}

fn interface_line(line: &str) -> Option<(&str, u64, u64)> {
    // An alias is called `eth0:1`, so the last colon ends the name. No space need follow it.
    let (name, counters) = line.rsplit_once(':')?;
    let mut counters = counters.split_ascii_whitespace();
    let received = counters.next()?.parse().ok()?;
    let sent = counters.nth(7)?.parse().ok()?;
    Some((name.trim(), received, sent))
}

/// Whole seconds of `/proc/uptime`.
pub fn parse_uptime(text: &str) -> Option<u64> {
    let first = text.split_ascii_whitespace().next()?;
    let whole = first.split('.').next()?;
    whole.parse().ok()
}

/// A sensor of `/sys` in thousandths of a degree Celsius. Sensors that are switched off or not
/// connected tell temperatures that no device survives; those are not temperatures.
pub fn parse_temperature(text: &str) -> Option<Hundredths> {
    let thousandths: i32 = text.trim().parse().ok()?;
    (-80_000..=250_000)
        .contains(&thousandths)
        .then_some(Hundredths(thousandths / 10))
}

/// Processor ticks of the process, in user and kernel mode, from `/proc/self/stat`.
pub fn parse_self_stat(text: &str) -> Option<u64> {
    // The name of the program stands in parentheses and may hold spaces and parentheses.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    user.checked_add(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_lines_end_where_other_lines_begin() {
        let text = "cpu  10 0 5 80 5 0 0 0 0 0\ncpu1 1 2 3 4\nintr 5 6\ncpu2 1 2 3 4\n";
        let lines: Vec<_> = parse_stat(text).collect();
        let all = Ticks {
            busy: 15,
            total: 100,
        };
        let one = Ticks { busy: 6, total: 10 };
        assert_eq!(
            lines,
            [
                Processor::All(all),
                Processor::Core(Core { id: 1, ticks: one }),
            ]
        );
    }

    #[test]
    fn time_of_guests_is_not_counted_twice() {
        let mut lines = parse_stat("cpu  1 1 1 1 1 1 1 1 50 50\n");
        let all = Ticks { busy: 6, total: 8 };
        assert_eq!(lines.next(), Some(Processor::All(all)));
    }

    #[test]
    fn a_malformed_processor_line_is_skipped() {
        for line in [
            "cpu",
            "cpu ",
            "cpu0 1 2 3",
            "cpu0 1 2 x 4",
            "cpu0 1 2 -3 4",
            "cpux 1 2 3 4",
            "cpu0 18446744073709551615 18446744073709551615 1 1",
        ] {
            assert_eq!(parse_stat(line).count(), 0, "{line}");
            assert_eq!(
                parse_stat(&format!("{line}\ncpu1 1 2 3 4")).count(),
                1,
                "{line}"
            );
        }
    }

    #[test]
    fn load_has_three_averages_or_none() {
        let load = parse_loadavg("0.45 12.5 3 2/110 9318\n").unwrap();
        assert_eq!(load.one, Hundredths(45));
        assert_eq!(load.five, Hundredths(1250));
        assert_eq!(load.fifteen, Hundredths(300));
        for text in ["", "0.1 0.2", "a b c", "NaN 1 1", "-1 1 1", "inf 1 1"] {
            assert_eq!(parse_loadavg(text), None, "{text}");
        }
    }

    #[test]
    fn memory_without_available_counts_free_and_cached() {
        let old = "MemTotal: 100 kB\nMemFree: 20 kB\nBuffers: 5 kB\nCached: 15 kB\n";
        let memory = parse_meminfo(old).unwrap();
        assert_eq!((memory.total, memory.available), (102_400, 40_960));
        assert_eq!((memory.swap_total, memory.swap_free), (0, 0));
    }

    #[test]
    fn memory_that_cannot_be_told_is_absent() {
        for text in [
            "",
            "MemTotal: 100 kB\n",
            "MemAvailable: 100 kB\n",
            "MemTotal: x kB\nMemAvailable: 1 kB\n",
            "MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB\n",
        ] {
            assert_eq!(parse_meminfo(text), None, "{text}");
        }
    }

    #[test]
    fn more_free_than_there_is_counts_as_all_free() {
        let text = "MemTotal: 1 kB\nMemAvailable: 2 kB\nSwapTotal: 1 kB\nSwapFree: 2 kB\n";
        let memory = parse_meminfo(text).unwrap();
        assert_eq!((memory.available, memory.swap_free), (1024, 1024));
    }

    #[test]
    fn disk_traffic_is_counted_in_sectors_of_512_bytes() {
        let text =
            " 254  0 vda 48111 20872 10 118502 5569 30618 20 30410 1 49312 157920\nvdb 1 2\n";
        let disks: Vec<_> = parse_diskstats(text).collect();
        let totals = DiskTotals {
            read_bytes: 5_120,
            written_bytes: 10_240,
        };
        assert_eq!(disks, [("vda", totals)]);
    }

    #[test]
    fn interfaces_come_without_loopback_and_headers() {
        let text = "Inter-|   Receive    |  Transmit\n face |bytes packets|bytes packets\n\
            \u{20}   lo: 9 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0\n\
            \u{20} eth0:123 1 2 3 4 5 6 7 456 8 9 0 0 0 0 0\n\
            eth0:1: 1 1 2 3 4 5 6 7 2 8 9 0 0 0 0 0\n\
            bad0: 1 2 3\n";
        let interfaces: Vec<_> = parse_net_dev(text).collect();
        assert_eq!(interfaces, [("eth0", 123, 456), ("eth0:1", 1, 2)]);
    }

    #[test]
    fn uptime_is_rounded_down() {
        assert_eq!(parse_uptime("793.97 1224.29\n"), Some(793));
        assert_eq!(parse_uptime("5"), Some(5));
        for text in ["", "x", "-1.0 2", ".5"] {
            assert_eq!(parse_uptime(text), None, "{text}");
        }
    }

    #[test]
    fn only_survivable_temperatures_count() {
        assert_eq!(parse_temperature("48312\n"), Some(Hundredths(4831)));
        assert_eq!(parse_temperature("-12500\n"), Some(Hundredths(-1250)));
        assert_eq!(parse_temperature("250000"), Some(Hundredths(25_000)));
        for text in ["-273200", "250001", "-80001", "", "hot", "4.5"] {
            assert_eq!(parse_temperature(text), None, "{text}");
        }
    }

    #[test]
    fn a_program_name_may_hold_spaces_and_parentheses() {
        let text = "9 (a) b (c)) R 1 1 1 0 -1 0 0 0 0 0 20 7 0 0 20 0 1 0 79347 0 0";
        assert_eq!(parse_self_stat(text), Some(27));
        for text in ["", "9 (a) R 1 2 3", "9 a R 1 1 1 0 -1 0 0 0 0 0 20 7"] {
            assert_eq!(parse_self_stat(text), None, "{text}");
        }
    }

    #[test]
    fn resident_memory_is_told_in_kibibytes() {
        let text = "Name:\tperiwinkle\nVmPeak:\t   9 kB\nVmRSS:\t   8192 kB\n";
        assert_eq!(parse_status_rss(text), Some(8 * 1024 * 1024));
        assert_eq!(parse_status_rss("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn no_cut_of_a_text_makes_a_parser_panic() {
        let texts = [
            include_str!("fixtures/pc/proc/stat"),
            include_str!("fixtures/pc/proc/meminfo"),
            include_str!("fixtures/pc/proc/net/dev"),
            include_str!("fixtures/pc/proc/diskstats"),
            include_str!("fixtures/pc/proc/self/stat"),
            include_str!("fixtures/pi/proc/net/dev"),
            include_str!("fixtures/malformed/proc/net/dev"),
        ];
        for text in texts {
            for end in 0..=text.len() {
                let Some(cut) = text.get(..end) else { continue };
                parse_stat(cut).for_each(drop);
                parse_net_dev(cut).for_each(drop);
                parse_diskstats(cut).for_each(drop);
                let _ = (parse_loadavg(cut), parse_meminfo(cut), parse_uptime(cut));
                let _ = (parse_status_rss(cut), parse_temperature(cut));
                let _ = parse_self_stat(cut);
            }
        }
    }
}
