//! Single durable inserts, a few at a time in turn with as many raw appends of the same bytes.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Task;
use crate::figures::{Figures, median_micros};
use crate::fixture::Row;
use crate::floor::Floor;
use crate::process;
use crate::subjects::{Cache, Safety, Subject};

const INSERTS: u32 = 400;
const TURN: u32 = 20;

pub(super) fn run(task: &Task, figures: &mut Figures) -> Result<()> {
    let subject = task.open(Cache::Usual)?;
    let inserts = task.calls(INSERTS).next_multiple_of(TURN);
    let mut next = 10 * task.rows;
    let mut row = || {
        next += 1;
        Row::new(next, 0)
    };
    subject.write(&[row()], Safety::Durable)?;
    let frame_bytes = frame_bytes(&*subject, &row())?;
    let mut floor = Floor::make(&task.directory, frame_bytes)?;
    let (mut raw, mut own) = (Vec::new(), Vec::new());
    let (mut written, mut device) = (0, 0);
    for _ in 0..inserts / TURN {
        floor.prepare(TURN as usize)?;
        for _ in 0..TURN {
            raw.push(timed(|| floor.append())?);
        }
        let before = process::written_bytes()?;
        let device_before = process::device_bytes(&task.directory)?;
        for _ in 0..TURN {
            let row = row();
            own.push(timed(|| subject.write(&[row], Safety::Durable))?);
        }
        written += process::written_bytes()? - before;
        device += process::device_bytes(&task.directory)? - device_before;
    }
    let (raw, own) = (median_micros(&mut raw), median_micros(&mut own));
    figures.add("durable_us", own);
    figures.add("floor_us", raw);
    figures.add("durable_of_floor", own / raw);
    figures.add("frame_bytes", frame_bytes as f64);
    let bytes = written as f64 / f64::from(inserts);
    figures.add("durable_bytes", bytes);
    if subject.flushed().is_some() {
        let bar = 4096.0 + frame_bytes as f64;
        figures.add("durable_flush_of_bar", bytes / bar);
    }
    figures.add("durable_device_bytes", device as f64 / f64::from(inserts));
    drop(floor);
    subject.close()
}

/// Bytes that a single insert adds to the log; for engines that do not tell, those of the row.
fn frame_bytes(subject: &dyn Subject, row: &Row) -> Result<usize> {
    let before = subject.flushed().unwrap_or_default();
    subject.write(std::slice::from_ref(row), Safety::Durable)?;
    let after = subject.flushed().unwrap_or_default();
    let row_bytes = row.key.len() + row.index.len() + row.value.len();
    Ok(match after.bytes - before.bytes {
        0 => row_bytes,
        bytes => bytes as usize,
    })
}

fn timed(call: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begun = Instant::now();
    call()?;
    Ok(begun.elapsed())
}
