//! Reads of one thread, of random rows.

use anyhow::Result;

use super::Task;
use crate::figures::Figures;
use crate::fixture::{Random, index, key};
use crate::subjects::Cache;

const GETS: u32 = 300_000;
const SCANS: u32 = 5_000;
const SCAN_ROWS: usize = 100;

pub(super) fn run(task: &Task, figures: &mut Figures) -> Result<()> {
    cached(task, figures)?;
    uncached(task, figures)
}

/// Everything is in the engine's own cache, if it has one.
fn cached(task: &Task, figures: &mut Figures) -> Result<()> {
    let subject = task.open(Cache::All)?;
    let mut reader = subject.reader()?;
    let rows = task.rows;
    for number in 0..rows {
        reader.get(&key(number))?;
        reader.find(&index(number))?;
    }
    let mut random = Random::new(3);
    let mut sum = 0;
    figures.time_calls("get_cached_us", task.calls(GETS), |_| {
        sum += reader.get(&key(random.below(rows)))? & 1;
        Ok(())
    })?;
    figures.time_calls("find_us", task.calls(GETS), |_| {
        sum += reader.find(&index(random.below(rows)))? & 1;
        Ok(())
    })?;
    figures.time_calls("find_page_us", task.calls(SCANS), |_| {
        sum += reader.page(&index(random.below(rows)), SCAN_ROWS)? & 1;
        Ok(())
    })?;
    figures.time_calls("scan_us", task.calls(SCANS), |_| {
        sum += reader.scan(&key(random.below(rows)), SCAN_ROWS)? & 1;
        Ok(())
    })?;
    // The sum is printed so that nothing of the reading can be left out.
    figures.add("sum", sum as f64);
    drop(reader);
    subject.close()
}

/// Values come from the system's page cache, where the files are after the reads before this.
fn uncached(task: &Task, figures: &mut Figures) -> Result<()> {
    let subject = task.open(Cache::None)?;
    let mut reader = subject.reader()?;
    let rows = task.rows;
    let mut random = Random::new(4);
    for _ in 0..rows {
        reader.get(&key(random.below(rows)))?;
    }
    figures.time_calls("get_uncached_us", task.calls(GETS), |_| {
        reader.get(&key(random.below(rows))).map(drop)
    })?;
    figures.time_calls("scan_uncached_us", task.calls(SCANS), |_| {
        reader.scan(&key(random.below(rows)), SCAN_ROWS).map(drop)
    })?;
    drop(reader);
    subject.close()
}
