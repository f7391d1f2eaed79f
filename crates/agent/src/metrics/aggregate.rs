//! A minute of samples as one row.

use std::time::Duration;

use periwinkle_core::time::{Now, UnixMillis};
use periwinkle_core::value::{Map, Number, Value};

use super::sample::wall;
use super::{Hundredths, Sample};

/// Sums samples up in rows of one period each.
///
/// Periods begin at whole minutes (or whatever the period is) of trusted wall time. While there is
/// none, and while a clock that was set back shows times which have their row already, periods are
/// counted on the monotonic clock, and rows carry the time of their first sample: so that two rows
/// do not share a time, whatever the clock does. A clock set back by less than a period only makes
/// the open row longer.
#[derive(Debug)]
pub struct Aggregate {
    period_ms: i64,
    keep: Option<Duration>,
    open: Option<Open>,
    /// Trusted time of the sample before.
    previous: Option<UnixMillis>,
    /// The newest period of wall time that has a row.
    newest: Option<UnixMillis>,
}

#[derive(Debug)]
struct Open {
    window: Window,
    row: Row,
    cpu: Spread,
    load: Spread,
    memory: Spread,
    temperature: Spread,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    Wall { start: UnixMillis },
    Mono { index: u128 },
}

impl Aggregate {
    /// Rows of `period` each (at least a millisecond), worth keeping for `keep`; `None` is for
    /// ever.
    pub fn new(period: Duration, keep: Option<Duration>) -> Aggregate {
        Aggregate {
            period_ms: i64::try_from(period.as_millis()).unwrap_or(i64::MAX).max(1),
            keep,
            open: None,
            previous: None,
            newest: None,
        }
    }

    /// Takes the sample of `now`. Gives the row of the period before if this begins another.
    pub fn add(&mut self, sample: &Sample, now: Now) -> Option<Row> {
        let goes_on = self
            .open
            .as_ref()
            .is_some_and(|open| self.holds(open.window, now));
        let finished = if goes_on { None } else { self.finish() };
        self.opened(now).take(sample);
        self.previous = now.trusted_wall();
        finished
    }

    /// The open row, as far as it goes: for a stop. Gives nothing if there was no sample.
    pub fn finish(&mut self) -> Option<Row> {
        self.open.take().map(Open::close)
    }

    fn holds(&self, window: Window, now: Now) -> bool {
        match (window, now.trusted_wall()) {
            (Window::Wall { start }, Some(wall)) => {
                let since = wall.0.saturating_sub(start.0);
                (-self.period_ms..self.period_ms).contains(&since)
            }
            (Window::Wall { .. }, None) => false,
            (Window::Mono { .. }, _) => self.window(now) == window,
        }
    }

    fn window(&self, now: Now) -> Window {
        let start = now.trusted_wall().map(|wall| self.start_of(wall));
        match start.filter(|start| self.newest.is_none_or(|newest| *start > newest)) {
            Some(start) => Window::Wall { start },
            None => Window::Mono {
                index: now.mono.since_start().as_millis() / self.period_ms.unsigned_abs() as u128,
            },
        }
    }

    fn start_of(&self, wall: UnixMillis) -> UnixMillis {
        UnixMillis(
            wall.0
                .div_euclid(self.period_ms)
                .saturating_mul(self.period_ms),
        )
    }

    fn opened(&mut self, now: Now) -> &mut Open {
        if self.open.is_none() {
            self.open = Some(self.begin(now));
        }
        self.open.as_mut().expect("opened just above")
    }

    fn begin(&mut self, now: Now) -> Open {
        let window = self.window(now);
        let first = wall(now);
        let at = match window {
            Window::Wall { start } => {
                self.newest = Some(start);
                if self.was_running(first) {
                    start
                } else {
                    first
                }
            }
            Window::Mono { .. } => first,
        };
        Open {
            window,
            row: Row {
                at,
                trusted: now.trusted_wall().is_some(),
                expires: now.trusted_wall().and(self.keep).map(|keep| at.plus(keep)),
                ..Row::default()
            },
            cpu: Spread::default(),
            load: Spread::default(),
            memory: Spread::default(),
            temperature: Spread::default(),
        }
    }

    /// Whether samples reach back to the begin of the period that `wall` lies in.
    fn was_running(&self, wall: UnixMillis) -> bool {
        self.previous
            .is_some_and(|previous| wall.0.saturating_sub(previous.0) <= self.period_ms)
    }
}

impl Open {
    fn take(&mut self, sample: &Sample) {
        let hundredths = |value: Option<Hundredths>| value.map(|value| i64::from(value.0));
        self.cpu.take(hundredths(sample.cpu_pct));
        self.load.take(hundredths(sample.load1));
        self.temperature.take(hundredths(sample.temp_c));
        self.memory.take(
            sample
                .mem_used_bytes
                .and_then(|bytes| i64::try_from(bytes).ok()),
        );

        let row = &mut self.row;
        row.samples += 1;
        add(&mut row.net_rx_bytes, sample.net_rx_bytes);
        add(&mut row.net_tx_bytes, sample.net_tx_bytes);
        row.mem_total = sample.mem_total_bytes.or(row.mem_total);
        row.disk_used = sample.disk_used_bytes.or(row.disk_used);
        row.disk_total = sample.disk_total_bytes.or(row.disk_total);
        row.uptime_s = sample.uptime_s.or(row.uptime_s);
    }

    fn close(self) -> Row {
        let hundredths = |value: i64| Hundredths(i32::try_from(value).unwrap_or(i32::MAX));
        Row {
            cpu: self.cpu.summary(hundredths),
            load1: self.load.summary(hundredths),
            mem_used: self.memory.summary(i64::unsigned_abs),
            temp: self.temperature.summary(hundredths),
            ..self.row
        }
    }
}

fn add(sum: &mut Option<u64>, bytes: Option<u64>) {
    if let Some(bytes) = bytes {
        *sum = Some(sum.unwrap_or(0).saturating_add(bytes));
    }
}

#[derive(Debug, Default)]
struct Spread {
    count: i64,
    sum: i64,
    min: i64,
    max: i64,
}

impl Spread {
    fn take(&mut self, value: Option<i64>) {
        let Some(value) = value else { return };
        self.min = if self.count == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = if self.count == 0 {
            value
        } else {
            self.max.max(value)
        };
        self.sum = self.sum.saturating_add(value);
        self.count += 1;
    }

    fn summary<T>(&self, of: impl Fn(i64) -> T) -> Option<Summary<T>> {
        let average = self.sum.checked_div(self.count)?;
        Some(Summary {
            min: of(self.min),
            avg: of(average),
            max: of(self.max),
        })
    }
}

/// How a quantity went during a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary<T> {
    /// The lowest sample.
    pub min: T,
    /// The mean of the samples that had it, rounded toward zero.
    pub avg: T,
    /// The highest sample.
    pub max: T,
}

/// One period of the device: an item of the model `Metric`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// When the period began.
    pub at: UnixMillis,
    /// Whether `at` was confirmed by a server or the system's time sync.
    pub trusted: bool,
    /// When the row may go; `None` for ever, and always when time is not trusted,
    /// since nothing expires by such time.
    pub expires: Option<UnixMillis>,
    /// How many samples are in it.
    pub samples: u32,
    /// Processor time in use, in percent.
    pub cpu: Option<Summary<Hundredths>>,
    /// Load average over one minute.
    pub load1: Option<Summary<Hundredths>>,
    /// Memory in use, in bytes.
    pub mem_used: Option<Summary<u64>>,
    /// Memory there is, in bytes, at the end of the period.
    pub mem_total: Option<u64>,
    /// Space in use on the file system that is watched, at the end of the period.
    pub disk_used: Option<u64>,
    /// Size of that file system.
    pub disk_total: Option<u64>,
    /// Bytes received during the period.
    pub net_rx_bytes: Option<u64>,
    /// Bytes sent during the period.
    pub net_tx_bytes: Option<u64>,
    /// The hottest sensor, in degrees Celsius.
    pub temp: Option<Summary<Hundredths>>,
    /// Whole seconds since the device started, at the end of the period.
    pub uptime_s: Option<u64>,
}

impl Row {
    /// The month of `at` as `YYYY-MM`, by which the rows are partitioned.
    pub fn month(&self) -> String {
        let mut text = self.at.iso();
        let day = text.rfind('-').expect("a date in ISO form has a day");
        text.truncate(day);
        text
    }

    /// The properties of the item. What the device did not tell is left out.
    pub fn properties(&self) -> Map {
        let decimal = |value: Hundredths| Value::from(Number::from(value));
        [
            ("month", Some(self.month().into())),
            ("at", Some(self.at.iso().into())),
            ("cpu_avg", self.cpu.map(|cpu| decimal(cpu.avg))),
            ("cpu_max", self.cpu.map(|cpu| decimal(cpu.max))),
            ("load1", self.load1.map(|load| decimal(load.avg))),
            (
                "mem_used_avg",
                self.mem_used.map(|memory| memory.avg.into()),
            ),
            ("mem_total", self.mem_total.map(Value::from)),
            ("disk_used", self.disk_used.map(Value::from)),
            ("disk_total", self.disk_total.map(Value::from)),
            ("net_rx_bytes", self.net_rx_bytes.map(Value::from)),
            ("net_tx_bytes", self.net_tx_bytes.map(Value::from)),
            (
                "temp_max",
                self.temp.map(|temperature| decimal(temperature.max)),
            ),
            ("samples", Some(self.samples.into())),
            ("uptime_s", self.uptime_s.map(Value::from)),
            ("expires", self.expires.map(|at| at.iso().into())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
mod tests;
