//! Measurements. Nothing here is a test: figures of one machine in one minute, compared only with
//! each other.

mod agent;
mod database;
mod fetch;
mod flash;
mod instructions;
mod memory;
mod mqtt;
mod server;
mod start;
mod table;
mod turns;
mod web;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::command::{cargo, show};
use crate::paths;

#[derive(Subcommand)]
pub(crate) enum What {
    /// Requests per second beside a raw epoll responder and nginx
    Web,
    /// User instructions per request, under callgrind
    Instructions,
    /// From the start of the process to the first answer
    Start {
        /// Rows in the database
        #[arg(long, default_value_t = 0)]
        rows: u32,
    },
    /// Resident memory of an idle agent
    Memory,
    /// The database beside redb, SQLite and fjall
    Db(database::What),
    /// The HTTP client beside curl and bare hyper-util
    Fetch(fetch::What),
    /// The MQTT client beside rumqttc and libmosquitto
    Mqtt(mqtt::What),
    /// Bytes that an idle agent writes to the flash
    Flash {
        /// How long to look
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// The first four, and the sizes
    All,
}

pub(crate) fn run(what: What) -> Result<()> {
    match what {
        What::Web => web::run(),
        What::Instructions => instructions::run(),
        What::Start { rows } => start::run(rows),
        What::Memory => memory::run(),
        What::Db(what) => database::run(&what),
        What::Fetch(what) => fetch::run(&what),
        What::Mqtt(what) => mqtt::run(&what),
        What::Flash { minutes } => flash::run(minutes),
        What::All => {
            web::run()?;
            instructions::run()?;
            start::run(0)?;
            memory::run()?;
            crate::size::run()
        }
    }
}

/// Builds the program of a workspace below `benches`, as the agent is shipped.
fn build(name: &str, features: &[&str]) -> Result<PathBuf> {
    let target = paths::built(&format!("benches-{name}"), "");
    show(
        cargo(&["build", "--profile", "dist", "--locked", "--manifest-path"])
            .arg(paths::root().join(format!("benches/{name}/Cargo.toml")))
            .arg("--target-dir")
            .arg(&target)
            .args(features),
    )?;
    Ok(target.join(format!("dist/{name}bench")))
}

/// The middle one, or the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

fn listed(values: &[f64], digits: usize) -> String {
    values
        .iter()
        .map(|value| format!("{value:.digits$}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
