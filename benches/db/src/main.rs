//! One step of one engine: `dbbench ENGINE STEP DIRECTORY ROWS [quick]`.
//!
//! Prints figures, one a line: a name and a number. `cargo xtask bench db` runs the steps of all
//! engines in turn and makes tables of them; each step is a process of its own, so that memory and
//! bytes written are those of one engine.

mod figures;
mod fixture;
mod floor;
mod process;
mod steps;
mod subjects;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use figures::Figures;
use steps::Task;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [engine, step, directory, rows, more @ ..] = &words[..] else {
        bail!("usage: dbbench ENGINE STEP DIRECTORY ROWS [quick]");
    };
    let task = Task {
        engine: engine.clone(),
        directory: PathBuf::from(directory),
        rows: rows.parse().context("ROWS is no number")?,
        is_quick: more.iter().any(|word| word == "quick"),
    };
    let mut figures = Figures::default();
    steps::run(step, &task, &mut figures)?;
    figures.print();
    Ok(())
}
