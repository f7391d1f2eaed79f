//! What people look at: percents and rates, made of two readings.

use std::time::Duration;

use periwinkle_core::time::{Now, UnixMillis};
use serde::Serialize;

use super::{Core, Hundredths, Interface, Reading, Ticks};

/// The device at one moment, rates over the time since the sample before.
///
/// What the device does not have or tell is `None`. Serialised it is one element of `samples` in
/// `GET /api/v1/metrics` and the data of the `metrics` event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Wall time, trusted or not, in milliseconds since 1970; without one, time since the start.
    pub at_ms: i64,
    /// Processor time in use, all cores together, in percent of all cores.
    pub cpu_pct: Option<Hundredths>,
    /// Load average over one minute.
    pub load1: Option<Hundredths>,
    /// Memory that programs cannot get without swapping.
    pub mem_used_bytes: Option<u64>,
    /// Memory that the kernel manages.
    pub mem_total_bytes: Option<u64>,
    /// Swap in use.
    pub swap_used_bytes: Option<u64>,
    /// Size of all swap areas.
    pub swap_total_bytes: Option<u64>,
    /// Space in use on the file system that is watched.
    pub disk_used_bytes: Option<u64>,
    /// Size of that file system.
    pub disk_total_bytes: Option<u64>,
    /// Read from all physical disks, in bytes per second.
    pub disk_read_bps: Option<u64>,
    /// Written to all physical disks, in bytes per second.
    pub disk_write_bps: Option<u64>,
    /// Received from the network, in bytes per second, loopback excluded.
    pub net_rx_bps: Option<u64>,
    /// Sent to the network, in bytes per second, loopback excluded.
    pub net_tx_bps: Option<u64>,
    /// The hottest sensor, in degrees Celsius.
    pub temp_c: Option<Hundredths>,
    /// Whole seconds since the device started.
    pub uptime_s: Option<u64>,
    /// The agent's resident memory.
    pub process_rss_bytes: Option<u64>,
    /// The agent's processor time, in percent of one core.
    pub process_cpu_pct: Option<Hundredths>,
    /// Each core that is online, in percent; as many as `METRICS_CORES_MAX`.
    pub cores: Box<[Hundredths]>,
    /// Bytes received since the sample before, exactly.
    #[serde(skip)]
    pub net_rx_bytes: Option<u64>,
    /// Bytes sent since the sample before, exactly.
    #[serde(skip)]
    pub net_tx_bytes: Option<u64>,
}

impl Sample {
    /// The sample of `current`, which was taken after `previous`, at `now`.
    pub fn between(previous: &Reading, current: &Reading, now: Now) -> Sample {
        let span = current.taken.since(previous.taken);
        let (net_rx_bytes, net_tx_bytes) = traffic(&previous.interfaces, &current.interfaces);
        let disk = previous.disk.zip(current.disk);
        let read = disk.and_then(|(old, new)| new.read_bytes.checked_sub(old.read_bytes));
        let written = disk.and_then(|(old, new)| new.written_bytes.checked_sub(old.written_bytes));
        let memory = current.memory;
        Sample {
            at_ms: wall(now).0,
            cpu_pct: busy(previous.processor, current.processor),
            load1: current.load.map(|load| load.one),
            mem_used_bytes: memory.map(|memory| memory.total.saturating_sub(memory.available)),
            mem_total_bytes: memory.map(|memory| memory.total),
            swap_used_bytes: memory
                .map(|memory| memory.swap_total.saturating_sub(memory.swap_free)),
            swap_total_bytes: memory.map(|memory| memory.swap_total),
            disk_used_bytes: current.space.map(|space| space.used),
            disk_total_bytes: current.space.map(|space| space.total),
            disk_read_bps: per_second(read, span),
            disk_write_bps: per_second(written, span),
            net_rx_bps: per_second(net_rx_bytes, span),
            net_tx_bps: per_second(net_tx_bytes, span),
            temp_c: current.temperature_c,
            uptime_s: current.uptime_s,
            process_rss_bytes: current.process.rss_bytes,
            process_cpu_pct: process_cpu(previous, current),
            cores: cores(&previous.cores, &current.cores),
            net_rx_bytes,
            net_tx_bytes,
        }
    }
}

/// The best time there is: wall time, trusted or not, otherwise time since the start.
pub(super) fn wall(now: Now) -> UnixMillis {
    now.wall
        .unwrap_or_else(|| UnixMillis(0).plus(now.mono.since_start()))
}

fn busy(previous: Option<Ticks>, current: Option<Ticks>) -> Option<Hundredths> {
    let (previous, current) = previous.zip(current)?;
    let total = current.total.saturating_sub(previous.total);
    // Some kernels let idle time go back a little, which would make more busy time than time.
    let busy = current.busy.saturating_sub(previous.busy).min(total);
    Hundredths::percent(busy, total)
}

/// A core that was offline a moment ago has been idle.
fn cores(previous: &[Core], current: &[Core]) -> Box<[Hundredths]> {
    let percent = |core: &Core| {
        let before = previous.iter().find(|before| before.id == core.id);
        busy(before.map(|before| before.ticks), Some(core.ticks)).unwrap_or_default()
    };
    current.iter().map(percent).collect()
}

/// Set against the ticks of all cores, which are of the same length: nothing needs to be known of
/// how long that is.
fn process_cpu(previous: &Reading, current: &Reading) -> Option<Hundredths> {
    let used = current
        .process
        .ticks?
        .checked_sub(previous.process.ticks?)?;
    let all = current
        .processor?
        .total
        .checked_sub(previous.processor?.total)?;
    let cores = u64::try_from(current.cores.len()).ok()?;
    Hundredths::percent(used.checked_mul(cores)?, all)
}

fn per_second(bytes: Option<u64>, span: Duration) -> Option<u64> {
    let rate = u128::from(bytes?)
        .checked_mul(1_000_000)?
        .checked_div(span.as_micros())?;
    u64::try_from(rate).ok()
}

/// Bytes received and sent between two readings. Interfaces without hardware count only where
/// there are no others, as in a container.
fn traffic(previous: &[Interface], current: &[Interface]) -> (Option<u64>, Option<u64>) {
    if current.is_empty() {
        return (None, None);
    }
    let any_physical = current.iter().any(|interface| interface.physical);
    let mut received: u64 = 0;
    let mut sent: u64 = 0;
    for new in current {
        let counts = new.physical || !any_physical;
        // What an interface counted before it was first seen may be old.
        let Some(old) = previous.iter().find(|old| counts && old.name == new.name) else {
            continue;
        };
        received = received.saturating_add(advance(old.rx_bytes, new.rx_bytes));
        sent = sent.saturating_add(advance(old.tx_bytes, new.tx_bytes));
    }
    (Some(received), Some(sent))
}

/// How far a counter went. Drivers that count in 32 bits begin anew at 4 GiB; a counter that went
/// back otherwise was reset, and what it shows was counted since.
fn advance(old: u64, new: u64) -> u64 {
    const WRAP: u64 = 1 << 32;
    if new >= old {
        return new - old;
    }
    let wrapped = old < WRAP && old - new > WRAP / 2;
    if wrapped { new + WRAP - old } else { new }
}

#[cfg(test)]
mod tests {
    use periwinkle_core::time::Mono;

    use super::super::{DiskTotals, Load, Memory, Process, Space};
    use super::*;

    fn ticks(busy: u64, total: u64) -> Ticks {
        Ticks { busy, total }
    }

    fn interface(name: &str, physical: bool, rx_bytes: u64, tx_bytes: u64) -> Interface {
        Interface {
            name: name.to_owned(),
            rx_bytes,
            tx_bytes,
            physical,
        }
    }

    fn reading(taken_ms: u64) -> Reading {
        Reading {
            taken: Mono::from_start(Duration::from_millis(taken_ms)),
            ..Reading::default()
        }
    }

    fn now() -> Now {
        Now {
            mono: Mono::from_start(Duration::from_secs(7)),
            wall: Some(UnixMillis(1_795_342_913_667)),
            trusted: false,
        }
    }

    /// Bytes received in one second between two states of the interfaces.
    fn received(previous: &[Interface], current: &[Interface]) -> Option<u64> {
        traffic(previous, current).0
    }

    #[test]
    fn a_sample_holds_what_two_readings_tell() {
        let previous = Reading {
            processor: Some(ticks(100, 1_000)),
            cores: vec![
                Core {
                    id: 0,
                    ticks: ticks(50, 500),
                },
                Core {
                    id: 1,
                    ticks: ticks(50, 500),
                },
            ],
            disk: Some(DiskTotals {
                read_bytes: 0,
                written_bytes: 512,
            }),
            interfaces: vec![interface("eth0", true, 1_000, 2_000)],
            process: Process {
                rss_bytes: None,
                ticks: Some(3),
            },
            ..reading(1_000)
        };
        let current = Reading {
            processor: Some(ticks(150, 1_200)),
            cores: vec![
                Core {
                    id: 0,
                    ticks: ticks(60, 600),
                },
                Core {
                    id: 1,
                    ticks: ticks(90, 600),
                },
            ],
            load: Some(Load {
                one: Hundredths(45),
                five: Hundredths(50),
                fifteen: Hundredths(60),
            }),
            memory: Some(Memory {
                total: 1_000,
                available: 400,
                swap_total: 200,
                swap_free: 50,
            }),
            space: Some(Space {
                total: 9_000,
                used: 5_000,
            }),
            disk: Some(DiskTotals {
                read_bytes: 1_024,
                written_bytes: 2_560,
            }),
            interfaces: vec![interface("eth0", true, 3_000, 2_500)],
            temperature_c: Some(Hundredths(4_831)),
            uptime_s: Some(793),
            process: Process {
                rss_bytes: Some(8_192),
                ticks: Some(13),
            },
            ..reading(3_000)
        };
        let sample = Sample::between(&previous, &current, now());
        assert_eq!(
            serde_json::to_string(&sample).unwrap(),
            concat!(
                r#"{"at_ms":1795342913667,"cpu_pct":25.0,"load1":0.45,"mem_used_bytes":600,"#,
                r#""mem_total_bytes":1000,"swap_used_bytes":150,"swap_total_bytes":200,"#,
                r#""disk_used_bytes":5000,"disk_total_bytes":9000,"disk_read_bps":512,"#,
                r#""disk_write_bps":1024,"net_rx_bps":1000,"net_tx_bps":250,"temp_c":48.31,"#,
                r#""uptime_s":793,"process_rss_bytes":8192,"process_cpu_pct":10.0,"#,
                r#""cores":[10.0,40.0]}"#,
            )
        );
        assert_eq!(
            (sample.net_rx_bytes, sample.net_tx_bytes),
            (Some(2_000), Some(500))
        );
    }

    #[test]
    fn readings_that_tell_nothing_make_an_empty_sample() {
        let sample = Sample::between(&reading(0), &reading(1_000), now());
        let empty = Sample {
            at_ms: 1_795_342_913_667,
            ..Sample::default()
        };
        assert_eq!(sample, empty);
    }

    #[test]
    fn without_a_wall_clock_a_sample_counts_from_the_start() {
        let now = Now {
            wall: None,
            ..now()
        };
        assert_eq!(Sample::between(&reading(0), &reading(0), now).at_ms, 7_000);
    }

    #[test]
    fn no_time_between_readings_makes_no_rate() {
        let mut previous = reading(1_000);
        previous.interfaces = vec![interface("eth0", true, 1, 1)];
        let sample = Sample::between(&previous, &previous.clone(), now());
        assert_eq!(sample.net_rx_bps, None);
        assert_eq!(sample.net_rx_bytes, Some(0));
    }

    #[test]
    fn idle_time_that_goes_back_makes_at_most_all_busy() {
        let all = busy(Some(ticks(10, 100)), Some(ticks(70, 150)));
        assert_eq!(all, Some(Hundredths(10_000)));
        assert_eq!(
            busy(Some(ticks(10, 100)), Some(ticks(9, 200))),
            Some(Hundredths(0))
        );
        assert_eq!(busy(Some(ticks(10, 100)), Some(ticks(5, 50))), None);
    }

    #[test]
    fn cores_are_matched_by_number_when_some_go_offline() {
        let core = |id, busy, total| Core {
            id,
            ticks: ticks(busy, total),
        };
        let before = [core(0, 0, 0), core(1, 0, 0), core(2, 0, 0)];
        let after = [core(0, 1, 10), core(2, 5, 10), core(3, 900, 1_000)];
        let percents = [Hundredths(1_000), Hundredths(5_000), Hundredths(0)];
        assert_eq!(*cores(&before, &after), percents);
    }

    #[test]
    fn a_counter_of_32_bits_wraps_without_losing_bytes() {
        let near_the_end = (1 << 32) - 100;
        assert_eq!(advance(near_the_end, 50), 150);
        assert_eq!(advance(u64::from(u32::MAX), 0), 1);
    }

    #[test]
    fn a_counter_that_was_reset_counts_from_zero() {
        assert_eq!(advance(1_000, 40), 40);
        assert_eq!(advance(1 << 40, 7), 7);
        assert_eq!(advance(1 << 31, 0), 0);
    }

    #[test]
    fn an_interface_seen_first_has_moved_nothing_yet() {
        let before = [interface("eth0", true, 10, 0)];
        let after = [
            interface("usb0", true, 5_000, 0),
            interface("eth0", true, 17, 0),
        ];
        assert_eq!(received(&before, &after), Some(7));
    }

    #[test]
    fn a_bridge_is_not_counted_beside_its_physical_interface() {
        let before = [interface("br0", false, 0, 0), interface("eth0", true, 0, 0)];
        let after = [
            interface("br0", false, 90, 0),
            interface("eth0", true, 100, 0),
        ];
        assert_eq!(received(&before, &after), Some(100));
    }

    #[test]
    fn without_any_physical_interface_all_are_counted() {
        let before = [
            interface("eth0", false, 0, 0),
            interface("eth1", false, 0, 0),
        ];
        let after = [
            interface("eth0", false, 1, 0),
            interface("eth1", false, 2, 0),
        ];
        assert_eq!(received(&before, &after), Some(3));
        assert_eq!(received(&before, &[]), None);
    }
}
