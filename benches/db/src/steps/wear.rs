//! What steady random updates write to the disk, cleaning up included.

use std::path::Path;

use anyhow::Result;

use super::{Task, life};
use crate::figures::Figures;
use crate::fixture::{INDEX_BYTES, KEY_BYTES, Random, Row, VALUE_BYTES};
use crate::process;
use crate::subjects::{Cache, Safety, Setup, Subject};

/// Changes between two syncs.
const SYNC_EVERY: u32 = 256;
/// Of a log that is kept dense, in percent.
const DENSE_LIVE_PCT: u64 = 70;
const ROW_BYTES: usize = KEY_BYTES + INDEX_BYTES + VALUE_BYTES;

/// As the engine comes, on what the steps before have left.
pub(super) fn run(task: &Task, figures: &mut Figures) -> Result<()> {
    let subject = task.open(Cache::Usual)?;
    measure(task, &*subject, &task.directory, "wear", figures)?;
    subject.close()
}

/// With more of the log live than the engine would see to by itself, on new rows.
pub(super) fn run_dense(task: &Task, figures: &mut Figures) -> Result<()> {
    let setup = Setup {
        directory: task.directory.with_extension("dense"),
        live_pct: Some(DENSE_LIVE_PCT),
        ..task.setup(Cache::Usual)
    };
    let subject = life::open_new(task, &setup)?;
    life::write_all(task, &*subject)?;
    measure(task, &*subject, &setup.directory, "wear_dense", figures)?;
    subject.close()
}

/// Every row is changed twice before it counts, so that cleaning up has found its pace.
fn measure(
    task: &Task,
    subject: &dyn Subject,
    directory: &Path,
    name: &str,
    figures: &mut Figures,
) -> Result<()> {
    let mut random = Random::new(6);
    update(task, subject, 2 * task.rows, &mut random)?;
    let before = process::written_bytes()?;
    let device_before = process::device_bytes(directory)?;
    let changes = 2 * task.rows;
    update(task, subject, changes, &mut random)?;
    let written = (process::written_bytes()? - before) as f64 / f64::from(changes);
    let device = process::device_bytes(directory)? - device_before;
    let on_disk = process::disk_bytes(directory)? as f64;
    let live = f64::from(task.rows) * ROW_BYTES as f64;
    figures.add(&format!("{name}_bytes"), written);
    figures.add(
        &format!("{name}_device_bytes"),
        device as f64 / f64::from(changes),
    );
    figures.add(&format!("{name}_amplification"), written / ROW_BYTES as f64);
    figures.add(&format!("{name}_live_pct"), 100.0 * live / on_disk);
    if let Some(live_pct) = subject.live_pct() {
        figures.add(&format!("{name}_log_live_pct"), live_pct);
    }
    Ok(())
}

fn update(task: &Task, subject: &dyn Subject, changes: u32, random: &mut Random) -> Result<()> {
    for change in 1..=changes {
        let row = Row::new(random.below(task.rows), random.next() as u32);
        subject.write(&[row], Safety::Relaxed)?;
        if change % SYNC_EVERY == 0 {
            subject.sync()?;
        }
    }
    subject.sync()
}
