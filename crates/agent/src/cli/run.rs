//! `periwinkle run`: the agent in this process.

use std::io::{self, IsTerminal};

use periwinkle_core::limits::{BLOCKING_THREADS_MAX, THREADS_END_WAIT_MAX};
use tokio::runtime::{Builder, Runtime};

use super::failure::Failure;
use super::inputs::Inputs;
use super::log;
use crate::Agent;
use crate::agent::SetupCodeTo;

/// Runs until the agent is asked to stop.
pub(super) fn run(inputs: &Inputs) -> Result<(), Failure> {
    let config = inputs.load()?.config;
    log::install(&config.log);
    let runtime = runtime(config.runtime.threads)
        .map_err(|error| Failure::internal(format!("threads cannot be started: {error}")))?;
    let result = runtime.block_on(async { builder(inputs).build().await?.run().await });
    // A blocking call that hangs must not hold the process up after its orderly stop.
    runtime.shutdown_timeout(THREADS_END_WAIT_MAX);
    Ok(result?)
}

fn builder(inputs: &Inputs) -> crate::Builder {
    let mut builder = Agent::builder()
        .environment(inputs.environment.clone())
        .overrides(inputs.overrides.clone())
        .setup_code_to(match io::stderr().is_terminal() {
            true => SetupCodeTo::Terminal,
            false => SetupCodeTo::File,
        });
    if let Some((name, text)) = &inputs.file {
        builder = builder.config_text(name, text);
    }
    if let Some(profile) = &inputs.profile {
        builder = builder.profile(profile);
    }
    builder
}

fn runtime(threads: u32) -> io::Result<Runtime> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        threads => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads as usize);
            builder
        }
    };
    builder
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()
}
