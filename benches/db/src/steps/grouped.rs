//! Many writers, each of which waits until its row is on the disk.
//!
//! An engine that does not group writers gets what its users would write: one thread that commits
//! all rows which wait as one transaction.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use super::Task;
use crate::figures::Figures;
use crate::fixture::Row;
use crate::process;
use crate::subjects::{Cache, Safety, Subject};

/// Writers, and how many rows each of them writes.
const CROWDS: [(u32, u32); 2] = [(32, 40), (256, 10)];
const STACK_BYTES: usize = 128 << 10;

pub(super) fn run(task: &Task, figures: &mut Figures) -> Result<()> {
    let subject = task.open(Cache::Usual)?;
    let next = AtomicU32::new(20 * task.rows);
    for (writers, each) in CROWDS {
        let each = if task.is_quick { 2 } else { each };
        let before = process::written_bytes()?;
        let flushed_before = subject.flushed();
        let begun = Instant::now();
        if subject.groups_writers() {
            together(writers, |_| {
                for _ in 0..each {
                    subject.write(&[row(&next)], Safety::Durable)?;
                }
                Ok(())
            })?;
        } else {
            through_one(&*subject, writers, each, &next)?;
        }
        let rows = f64::from(writers * each);
        figures.add(
            &format!("grouped_{writers}_per_s"),
            rows / begun.elapsed().as_secs_f64(),
        );
        let written = (process::written_bytes()? - before) as f64;
        figures.add(&format!("grouped_{writers}_bytes"), written / rows);
        if let (Some(before), Some(after)) = (flushed_before, subject.flushed()) {
            let syncs = (after.syncs - before.syncs) as f64;
            let frames = (after.bytes - before.bytes) as f64 / syncs;
            figures.add(&format!("grouped_{writers}_flush_bytes"), written / syncs);
            figures.add(
                &format!("grouped_{writers}_flush_of_bar"),
                written / syncs / (4096.0 + frames),
            );
        }
    }
    subject.close()
}

fn row(next: &AtomicU32) -> Row {
    Row::new(next.fetch_add(1, Ordering::Relaxed), 0)
}

/// Runs `work` on so many threads and waits for all.
fn together(threads: u32, work: impl Fn(u32) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let work = &work;
        let spawn = |number| {
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, move || work(number))
        };
        let started: Vec<_> = (0..threads).map(spawn).collect::<Result<_, _>>()?;
        let mut ends = started.into_iter().map(thread::ScopedJoinHandle::join);
        ends.try_for_each(|end| end.map_err(|_| anyhow!("a writer has panicked"))?)
    })
}

/// A row that waits, and where to say that it is on the disk.
type Waiting = (Row, SyncSender<()>);

fn through_one(subject: &dyn Subject, writers: u32, each: u32, next: &AtomicU32) -> Result<()> {
    let (sender, receiver) = mpsc::channel::<Waiting>();
    thread::scope(|scope| {
        let committing = scope.spawn(move || commit_all(subject, &receiver));
        let sender = std::sync::Mutex::new(sender);
        let mine = || -> Result<Sender<Waiting>> {
            let sender = sender
                .lock()
                .map_err(|_| anyhow!("a writer has panicked"))?;
            Ok(sender.clone())
        };
        let wrote = together(writers, |_| {
            let sender = mine()?;
            let (done, is_done) = mpsc::sync_channel(1);
            for _ in 0..each {
                sender.send((row(next), done.clone()))?;
                is_done.recv().context("the committing thread has ended")?;
            }
            Ok(())
        });
        drop(sender);
        let committed = committing.join();
        committed.map_err(|_| anyhow!("the committing thread has panicked"))??;
        wrote
    })
}

fn commit_all(subject: &dyn Subject, waiting: &Receiver<Waiting>) -> Result<()> {
    while let Ok(first) = waiting.recv() {
        let (rows, done): (Vec<Row>, Vec<_>) =
            std::iter::once(first).chain(waiting.try_iter()).unzip();
        subject.write(&rows, Safety::Durable)?;
        for done in done {
            done.send(()).context("a writer has gone")?;
        }
    }
    Ok(())
}
