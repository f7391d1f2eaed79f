//! Process start to the first answered `/api/v1/status`.

use std::path::Path;

use anyhow::Result;

use super::agent::{Agent, fresh_folder};
use super::{database, listed, median};
use crate::size;

const ROUNDS: usize = 15;
const BAR_MS: f64 = 50.0;

/// With so many rows in the database, after a clean stop each time.
pub(super) fn run(rows: u32) -> Result<()> {
    let binary = size::FULL.make()?;
    let folder = fresh_folder("start")?;
    let more = if rows > 0 {
        let schema = database::fill(&folder.join("state/db"), rows)?;
        format!("\n[db]\nschema = \"{}\"\n", schema.display())
    } else {
        String::new()
    };
    let first = timed(&folder, &more, &binary)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(timed(&folder, &more, &binary)?);
    }
    println!(
        "\nstart after a clean stop, full agent, {rows} rows in the database, {ROUNDS} rounds"
    );
    println!("  first  {first:.1} ms");
    println!(
        "  median {:.1} ms (bar {BAR_MS:.0} ms with 100,000 rows)",
        median(&times)
    );
    println!("  raw    {}", listed(&times, 1));
    Ok(())
}

/// Starts the agent and stops it; milliseconds until it answered.
fn timed(folder: &Path, more: &str, binary: &Path) -> Result<f64> {
    let agent = Agent::start_in(folder, more, binary, None)?;
    let until_answer = agent.until_answer;
    agent.stop()?;
    Ok(until_answer.as_secs_f64() * 1000.0)
}
