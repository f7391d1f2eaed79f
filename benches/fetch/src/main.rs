//! One step of one client: `fetchbench CLIENT STEP URL COUNT [FILE]`.
//!
//! Prints figures, one a line: a name and a number. `cargo xtask bench fetch` starts the server, runs
//! the steps of all clients in turn and makes tables of them; each step is a process of its own, so
//! that memory and processor time are those of one client.

mod figures;
mod process;
mod signing;
mod steps;
mod subjects;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use figures::Figures;
use steps::Task;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [client, step, url, count, more @ ..] = &words[..] else {
        bail!("usage: fetchbench CLIENT STEP URL COUNT [FILE]");
    };
    let task = Task {
        client: client.clone(),
        url: url.clone(),
        count: count.parse().context("COUNT is no number")?,
        file: more.first().map(PathBuf::from),
    };
    let mut figures = Figures::default();
    steps::run(step, &task, &mut figures)?;
    figures.print();
    Ok(())
}
