//! What a step has measured.

use std::time::{Duration, Instant};

use anyhow::Result;

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

    /// Microseconds per call, of `calls` calls in a row.
    pub(crate) fn time_calls(
        &mut self,
        name: &str,
        calls: u32,
        mut call: impl FnMut(u32) -> Result<()>,
    ) -> Result<()> {
        let begun = Instant::now();
        for number in 0..calls {
            call(number)?;
        }
        self.add(name, micros(begun.elapsed()) / f64::from(calls));
        Ok(())
    }
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The middle one of the times, in microseconds.
pub(crate) fn median_micros(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().map_or(0.0, micros)
}
