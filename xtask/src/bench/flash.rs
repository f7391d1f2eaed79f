//! What an idle agent writes to the flash.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::agent::Agent;
use crate::size;

const BAR_MB_PER_DAY: f64 = 10.0;
/// What a start writes once is not what a day is made of.
const SETTLING: Duration = Duration::from_secs(30);
const MINUTES_PER_DAY: f64 = 24.0 * 60.0;

/// On defaults, for so many minutes.
pub(super) fn run(minutes: u64) -> Result<()> {
    ensure!(minutes > 0, "a measurement takes a minute at least");
    let agent = Agent::start(&size::FULL.make()?, "flash", None)?;
    thread::sleep(SETTLING);
    let begun = written_bytes(&agent)?;
    let mut last = begun;
    println!("\nbytes written by an idle agent, minute by minute");
    for minute in 1..=minutes {
        thread::sleep(Duration::from_secs(60));
        let now = written_bytes(&agent)?;
        println!("  {minute:>4} {:>9}", now - last);
        last = now;
    }
    let per_day = (last - begun) as f64 / minutes as f64 * MINUTES_PER_DAY / 1e6;
    println!(
        "idle agent on defaults: {per_day:.1} MB a day by {minutes} minutes of write_bytes in /proc/PID/io \
         (bar {BAR_MB_PER_DAY:.0})"
    );
    Ok(())
}

/// Pages that the process made dirty, in bytes.
fn written_bytes(agent: &Agent) -> Result<u64> {
    agent.told("io", "write_bytes:")
}
