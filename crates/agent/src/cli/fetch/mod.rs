//! `periwinkle fetch`: any request of HTTP by hand, in the manner of HTTPie; streams of events,
//! WebSockets, and calls of AWS.

mod args;
mod aws;
mod bar;
mod bench;
mod client;
mod download;
mod exchange;
mod listen;
mod plan;
mod request;
mod show;
mod words;

pub(in crate::cli) use args::Fetch;

use plan::Plan;
use request::Prepared;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::control;
use super::failure::Failure;
use super::inputs::Inputs;
use super::log;

/// Does what was typed after `fetch`.
pub(in crate::cli) fn run(inputs: &Inputs, options: &Fetch) -> Result<(), Failure> {
    check_place(options)?;
    let config = inputs.load()?.config;
    log::install(&config.log);
    let fetch = client::client(&config, options)?;
    let runtime = control::runtime()?;
    let result = runtime.block_on(async {
        match options.aws {
            true => aws::run(options, &config, &fetch).await,
            false => {
                let begun = Instant::now();
                let plan = plan(options).await?;
                let read = begun.elapsed();
                let prepared = Prepared::new(fetch, options, plan, read)?;
                prepared.run(options).await
            }
        }
    });
    // Standard input may be waited for in a thread that nobody can stop.
    runtime.shutdown_background();
    result
}

/// What was passed on cannot be gone on with.
fn check_place(options: &Fetch) -> Result<(), Failure> {
    match &options.output {
        Some(path) if options.resume && path.as_os_str() == "-" => Err(Failure::usage(
            "--resume needs a file to go on with: --output - is standard output",
        )),
        Some(path) if options.show.is_some() && path.as_os_str() != "-" => Err(Failure::usage(
            "--show chooses what is printed, and --output FILE prints nothing",
        )),
        _ => Ok(()),
    }
}

/// The plan; the files that give values may be pipes that nobody writes to.
async fn plan(options: &Fetch) -> Result<Plan, Failure> {
    let within = request::timeout(options)?;
    let read = options.clone();
    let reading = spawn_blocking(move || Plan::new(&read));
    let read = match within {
        None => reading.await,
        Some(within) => timeout(within, reading).await.map_err(|_| {
            Failure::input(format!(
                "the files of the items were not read within {within:?}"
            ))
        })?,
    };
    read.expect("reading does not panic")
}

impl Prepared {
    async fn run(self, options: &Fetch) -> Result<(), Failure> {
        match (options.bench, &options.output) {
            (Some(requests), _) => bench::run(requests, options.clients, self).await,
            (_, Some(path)) if path.as_os_str() != "-" => download::run(options, &self, path).await,
            _ if options.sse => listen::events(&self).await,
            _ if options.ws => listen::socket(&self).await,
            _ => exchange::run(options, &self).await,
        }
    }
}
