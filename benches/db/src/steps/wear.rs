//! What steady random updates write to the disk, cleaning up included.

use anyhow::Result;

use super::Task;
use crate::figures::Figures;
use crate::fixture::{Random, Row};
use crate::process;
use crate::subjects::{Cache, Safety, Subject};

/// Changes between two syncs.
const SYNC_EVERY: u32 = 256;

/// Every row is changed twice before it counts, so that cleaning up has found its pace.
pub(super) fn run(task: &Task, figures: &mut Figures) -> Result<()> {
    let subject = task.open(Cache::Usual)?;
    let mut random = Random::new(6);
    update(task, &*subject, 2 * task.rows, &mut random)?;
    let before = process::written_bytes()?;
    let device_before = process::device_bytes(&task.directory)?;
    let changes = 2 * task.rows;
    update(task, &*subject, changes, &mut random)?;
    let written = process::written_bytes()? - before;
    let device = process::device_bytes(&task.directory)? - device_before;
    let on_disk = process::disk_bytes(&task.directory)?;
    let row = Row::new(0, 0);
    let row_bytes = row.key.len() + row.index.len() + row.value.len();
    let live = u64::from(task.rows) * row_bytes as u64;
    figures.add("wear_bytes", written as f64 / f64::from(changes));
    figures.add("wear_device_bytes", device as f64 / f64::from(changes));
    figures.add("wear_live_pct", 100.0 * live as f64 / on_disk as f64);
    subject.close()
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
