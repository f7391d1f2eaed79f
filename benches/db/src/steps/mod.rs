//! The steps, in the order in which they are run.

mod durable;
mod grouped;
mod life;
mod model;
mod read;
mod wear;
mod write;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::figures::Figures;
use crate::subjects::{self, Cache, Setup, Subject};

/// What to run a step with.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) engine: String,
    pub(crate) directory: PathBuf,
    pub(crate) rows: u32,
    pub(crate) is_quick: bool,
}

impl Task {
    fn open(&self, cache: Cache) -> Result<Box<dyn Subject>> {
        subjects::open(&self.engine, &self.setup(cache))
    }

    fn setup(&self, cache: Cache) -> Setup {
        Setup {
            directory: self.directory.clone(),
            cache,
            indexed: true,
            live_pct: None,
        }
    }

    /// A tenth of the calls in a quick run.
    fn calls(&self, calls: u32) -> u32 {
        if self.is_quick {
            (calls / 10).max(1)
        } else {
            calls
        }
    }
}

pub(crate) fn run(step: &str, task: &Task, figures: &mut Figures) -> Result<()> {
    match step {
        "fill" => life::fill(task, true, figures),
        "fill-plain" => life::fill(task, false, figures),
        "open" => life::open(task, "open_clean_ms", figures),
        "resident" => life::resident(task, figures),
        "memory" => life::memory(task, "memory_bytes", figures),
        "memory-plain" => life::memory(task, "memory_plain_bytes", figures),
        "read" => read::run(task, figures),
        "write" => write::run(task, figures),
        "durable" => durable::run(task, figures),
        "grouped" => grouped::run(task, figures),
        "crash" => life::crash(task),
        "open-killed" => life::open(task, "open_killed_ms", figures),
        "model-fill" => model::fill(task, figures),
        "model" => model::run(task, figures),
        "model-open" => model::open_again(task, figures),
        "wear" => wear::run(task, figures),
        "wear-dense" => wear::run_dense(task, figures),
        step => bail!("there is no step {step}"),
    }
}
