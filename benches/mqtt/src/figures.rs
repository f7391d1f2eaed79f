//! What a step has measured.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::process;

/// Names with their numbers, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<(String, f64)>);

impl Figures {
    pub(crate) fn add(&mut self, name: &str, number: f64) {
        self.0.push((name.to_owned(), number));
    }

    pub(crate) fn print(&self) {
        for (name, number) in &self.0 {
            println!("{name} {number}");
        }
    }

    /// Rate and processor time of so many messages since the clock was started.
    pub(crate) fn add_messages(&mut self, count: u32, clock: &Clock) -> Result<()> {
        let (wall, cpu) = clock.elapsed()?;
        self.add("per_s", f64::from(count) / wall.as_secs_f64());
        self.add("cpu_us", micros(cpu) / f64::from(count));
        self.add("peak_kib", process::peak_kib()? as f64);
        Ok(())
    }

    /// The middle and the worst but one percent of the times, in microseconds.
    pub(crate) fn add_times(&mut self, times: &mut [Duration]) {
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100).copied();
        self.add("p50_us", at(50).map_or(0.0, micros));
        self.add("p99_us", at(99).map_or(0.0, micros));
    }
}

/// Wall clock and processor time together.
pub(crate) struct Clock {
    wall: Instant,
    cpu: Duration,
}

impl Clock {
    pub(crate) fn start() -> Result<Clock> {
        Ok(Clock {
            cpu: process::cpu_time()?,
            wall: Instant::now(),
        })
    }

    pub(crate) fn elapsed(&self) -> Result<(Duration, Duration)> {
        Ok((self.wall.elapsed(), process::cpu_time()? - self.cpu))
    }
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
