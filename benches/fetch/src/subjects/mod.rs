//! The clients.

mod bare;
mod curl;
mod periwinkle;

use std::path::Path;

use anyhow::{Result, bail};
use tokio::runtime::Runtime;

use crate::steps::Done;

/// What every client can be asked for.
pub(crate) trait Subject {
    /// So many requests for a small page, with at most so many on their way at a time; connections
    /// are kept.
    fn small(&self, url: &str, count: u32, in_flight: u32) -> Result<Done>;

    /// Reads a large body and keeps none of it.
    fn download(&self, url: &str) -> Result<Done>;

    /// Sends a file.
    fn upload(&self, url: &str, file: &Path) -> Result<Done>;
}

pub(crate) fn subject(name: &str) -> Result<Box<dyn Subject>> {
    Ok(match name {
        "periwinkle" => Box::new(periwinkle::Periwinkle),
        "hyper-util" => Box::new(bare::BareHyper),
        "curl" => Box::new(curl::Curl),
        other => bail!("there is no client {other}"),
    })
}

/// One thread, as the agent has by default.
fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}
