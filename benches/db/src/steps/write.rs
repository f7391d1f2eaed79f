//! Relaxed writes of one thread: transactions of one row each.

use anyhow::Result;

use super::Task;
use crate::figures::{Figures, micros};
use crate::fixture::{Random, Row};
use crate::process;
use crate::subjects::{Cache, Safety};

const INSERTS: u32 = 20_000;
const UPDATES: u32 = 20_000;

pub(super) fn run(task: &Task, figures: &mut Figures) -> Result<()> {
    let subject = task.open(Cache::Usual)?;
    let rows: Vec<Row> = (0..task.calls(INSERTS))
        .map(|number| Row::new(task.rows + number, 0))
        .collect();
    let cpu = process::cpu_time()?;
    figures.time_calls("insert_us", rows.len() as u32, |at| {
        subject.write(std::slice::from_ref(&rows[at as usize]), Safety::Relaxed)
    })?;
    subject.sync()?;
    // What other threads do for it afterwards counts here.
    let cpu = process::cpu_time()?.saturating_sub(cpu);
    figures.add("insert_cpu_us", micros(cpu) / rows.len() as f64);
    let mut random = Random::new(5);
    let updates: Vec<Row> = (0..task.calls(UPDATES))
        .map(|version| Row::new(random.below(task.rows), version + 1))
        .collect();
    figures.time_calls("update_us", updates.len() as u32, |at| {
        subject.write(std::slice::from_ref(&updates[at as usize]), Safety::Relaxed)
    })?;
    subject.sync()?;
    subject.close()
}
