//! Filling, opening, being killed.

use std::fs;
use std::time::Instant;

use anyhow::Result;

use super::Task;
use crate::figures::{Figures, micros, millis};
use crate::fixture::{Random, Row, key};
use crate::process;
use crate::subjects::{self, Cache, Safety, Setup, Subject};

/// Rows of a transaction while filling.
const ROWS_AT_ONCE: u32 = 1000;
/// Changes before the kill; the last half of them may be lost.
const CRASH_CHANGES: u32 = 20_000;

/// A new database with all rows, indexed or not.
pub(super) fn fill(task: &Task, indexed: bool, figures: &mut Figures) -> Result<()> {
    let setup = Setup {
        indexed,
        ..task.setup(Cache::Usual)
    };
    let subject = open_new(task, &setup)?;
    let begun = Instant::now();
    write_all(task, &*subject)?;
    let per_row = micros(begun.elapsed()) / f64::from(task.rows);
    subject.close()?;
    if indexed {
        figures.add("fill_us", per_row);
        figures.add("disk_mib", mib(process::disk_bytes(&task.directory)?));
    }
    Ok(())
}

/// One without a row.
pub(super) fn open_new(task: &Task, setup: &Setup) -> Result<Box<dyn Subject>> {
    if setup.directory.exists() {
        fs::remove_dir_all(&setup.directory)?;
    }
    fs::create_dir_all(&setup.directory)?;
    subjects::open(&task.engine, setup)
}

/// All rows, synced.
pub(super) fn write_all(task: &Task, subject: &dyn Subject) -> Result<()> {
    for first in (0..task.rows).step_by(ROWS_AT_ONCE as usize) {
        let last = (first + ROWS_AT_ONCE).min(task.rows);
        let rows: Vec<Row> = (first..last).map(|number| Row::new(number, 0)).collect();
        subject.write(&rows, Safety::Relaxed)?;
    }
    subject.sync()
}

/// From nothing to the first row.
pub(super) fn open(task: &Task, name: &str, figures: &mut Figures) -> Result<()> {
    let begun = Instant::now();
    let subject = task.open(Cache::Usual)?;
    subject.reader()?.get(&key(0))?;
    figures.add(name, millis(begun.elapsed()));
    subject.close()
}

/// What an open database holds in memory, as it comes: at first, and once rows were read.
pub(super) fn resident(task: &Task, figures: &mut Figures) -> Result<()> {
    let before = process::memory_bytes()?;
    let subject = task.open(Cache::Usual)?;
    figures.add("resident_open_mib", mib_since(before)?);
    let mut reader = subject.reader()?;
    let mut random = Random::new(1);
    for _ in 0..task.rows {
        reader.get(&key(random.below(task.rows)))?;
    }
    figures.add("resident_read_mib", mib_since(before)?);
    drop(reader);
    subject.close()
}

fn mib_since(before: u64) -> Result<f64> {
    Ok(mib(process::memory_bytes()?.saturating_sub(before)))
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What an open database holds in memory with no value in its cache.
pub(super) fn memory(task: &Task, name: &str, figures: &mut Figures) -> Result<()> {
    let before = process::memory_bytes()?;
    let subject = task.open(Cache::None)?;
    let bytes = process::memory_bytes()?.saturating_sub(before);
    figures.add(name, bytes as f64);
    subject.close()
}

/// Changes rows and dies in the middle.
pub(super) fn crash(task: &Task) -> Result<()> {
    let subject = task.open(Cache::Usual)?;
    let mut random = Random::new(2);
    let changes = task.calls(CRASH_CHANGES);
    for change in 0..changes {
        let row = Row::new(random.below(task.rows), change + 1);
        subject.write(&[row], Safety::Relaxed)?;
        if change == changes / 2 {
            subject.sync()?;
        }
    }
    process::kill_self()
}
