//! `--output`: the answer in a file.

use std::path::Path;

use tokio::sync::watch;

use super::args::Fetch as Options;
use super::bar::watched;
use super::request::Prepared;
use super::words::failure;
use crate::cli::failure::Failure;
use crate::fetch::Progress;

/// Downloads to the file, which appears when it is whole.
pub(super) async fn run(
    options: &Options,
    prepared: &Prepared,
    path: &Path,
) -> Result<(), Failure> {
    let (sender, receiver) = watch::channel(Progress::default());
    let download = prepared.request()?.download(path).progress(sender);
    let download = match options.resume {
        true => download,
        false => download.restart(),
    };
    let download = match (options.retries, options.resume) {
        (None, true) => download,
        (retries, _) => download.attempts(retries.unwrap_or(0).saturating_add(1)),
    };
    let done = watched("received", receiver, download.run()).await;
    done.map(drop).map_err(|error| failure(&error))
}
