//! Resident memory of an idle agent.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::agent::Agent;
use super::{listed, median};
use crate::size;

const ROUNDS: usize = 5;
/// Long enough for the first samples and whatever starts late.
const IDLE: Duration = Duration::from_secs(5);

pub(super) fn run() -> Result<()> {
    let builds = [(size::FULL, 12.0), (size::WEB, 4.0)];
    let binaries = builds.map(|(build, bar)| (build.name, build.make(), bar));
    println!(
        "\nresident memory after {} s idle, before any login, {ROUNDS} rounds",
        IDLE.as_secs()
    );
    for (name, binary, bar_mib) in binaries {
        let binary = binary?;
        let mut resident = Vec::new();
        for _ in 0..ROUNDS {
            let agent = Agent::start(&binary, "memory", None)?;
            thread::sleep(IDLE);
            resident.push(agent.told("status", "VmRSS:")? as f64 / 1024.0);
        }
        println!(
            "  {name:9} median {:.2} MiB (bar {bar_mib:.0})  raw {}",
            median(&resident),
            listed(&resident, 2)
        );
    }
    Ok(())
}
