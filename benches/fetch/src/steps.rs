//! The steps: small requests, one large body each way, and signatures.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::figures::Figures;
use crate::process::Used;
use crate::signing;
use crate::subjects::{Subject, subject};

/// What a step is told.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) client: String,
    pub(crate) url: String,
    /// Requests, or signatures; of no meaning for large bodies.
    pub(crate) count: u32,
    /// What is sent up.
    pub(crate) file: Option<PathBuf>,
}

pub(crate) fn run(step: &str, task: &Task, figures: &mut Figures) -> Result<()> {
    match step {
        "small-1" => small(task, 1, figures),
        "small-64" => small(task, 64, figures),
        "download" => large(task, "download", figures, |subject| {
            subject.download(&task.url)
        }),
        "upload" => {
            let file = task.file.as_deref().context("no file to send")?;
            large(task, "upload", figures, |subject| {
                subject.upload(&task.url, file)
            })
        }
        "sign" => signing::run(task, figures),
        other => bail!("there is no step {other}"),
    }
}

/// What a client did in a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// Bytes of bodies.
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
    pub(crate) used: Used,
    /// By how much the peak of memory grew from a small body to the large one.
    pub(crate) growth_bytes: Option<u64>,
}

/// Times something, and takes what was used up from the difference of two looks.
pub(crate) fn timed(
    look: impl Fn() -> Result<Used>,
    work: impl FnOnce() -> Result<u64>,
) -> Result<Done> {
    let before = look()?;
    let begun = Instant::now();
    let bytes = work()?;
    let time = begun.elapsed();
    let after = look()?;
    Ok(Done {
        bytes,
        time,
        used: Used {
            cpu: after.cpu - before.cpu,
            peak_bytes: after.peak_bytes,
        },
        growth_bytes: Some(after.peak_bytes.saturating_sub(before.peak_bytes)),
    })
}

fn small(task: &Task, in_flight: u32, figures: &mut Figures) -> Result<()> {
    let done = subject(&task.client)?.small(&task.url, task.count, in_flight)?;
    let count = f64::from(task.count);
    let name = |what: &str| format!("small_{in_flight}_{what}");
    figures.add(name("per_s"), count / done.time.as_secs_f64());
    figures.add(name("cpu_us"), done.used.cpu.as_secs_f64() * 1e6 / count);
    figures.add(name("peak_mib"), mib(done.used.peak_bytes));
    Ok(())
}

fn large(
    task: &Task,
    what: &str,
    figures: &mut Figures,
    transfer: impl FnOnce(&dyn Subject) -> Result<Done>,
) -> Result<()> {
    let done = transfer(subject(&task.client)?.as_ref())?;
    let gb = done.bytes as f64 / 1e9;
    figures.add(
        format!("{what}_mb_per_s"),
        gb * 1000.0 / done.time.as_secs_f64(),
    );
    figures.add(
        format!("{what}_cpu_s_per_gb"),
        done.used.cpu.as_secs_f64() / gb,
    );
    figures.add(format!("{what}_peak_mib"), mib(done.used.peak_bytes));
    if let Some(growth) = done.growth_bytes {
        figures.add(format!("{what}_growth_kib"), growth as f64 / 1024.0);
    }
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
