//! Process start to the first answered `/api/v1/status`.

use anyhow::Result;

use super::agent::Agent;
use super::{listed, median};
use crate::size;

const ROUNDS: usize = 15;
const BAR_MS: f64 = 50.0;

pub(super) fn run() -> Result<()> {
    let binary = size::FULL.make()?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(
            Agent::start(&binary, "start", None)?
                .until_answer
                .as_secs_f64()
                * 1000.0,
        );
    }
    println!("\nstart, full agent, empty database, {ROUNDS} rounds");
    println!(
        "  median {:.1} ms (bar {BAR_MS:.0} ms with 100,000 items)",
        median(&times)
    );
    println!("  raw    {}", listed(&times, 1));
    Ok(())
}
