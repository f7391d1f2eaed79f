//! `--output`: the answer in a file.

use std::fs;
use std::path::Path;

use tokio::sync::watch;

use super::args::Fetch as Options;
use super::bar::watched;
use super::request::Prepared;
use super::words::{failure, verdict};
use crate::cli::failure::Failure;
use crate::fetch::Progress;

/// Downloads to the file, which appears when it is whole.
pub(super) async fn run(
    options: &Options,
    prepared: &Prepared,
    path: &Path,
) -> Result<(), Failure> {
    if options.resume && prepared.plan.has_header("range") {
        let words = "--resume goes on with a whole file, and Range asks for a part of one";
        return Err(Failure::usage(words));
    }
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let words = format!("{} is a folder; name a file in it", path.display());
            Err(Failure::input(words))
        }
        Ok(found) if !found.is_file() => pass_on(options, prepared, path).await,
        _ => download(options, prepared, path).await,
    }
}

async fn download(options: &Options, prepared: &Prepared, path: &Path) -> Result<(), Failure> {
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

/// Devices and pipes take what comes: a file in their place would be the end of them.
async fn pass_on(options: &Options, prepared: &Prepared, path: &Path) -> Result<(), Failure> {
    if options.resume {
        let words = format!("{} is no file that could be resumed", path.display());
        return Err(Failure::usage(words));
    }
    let answer = prepared.request()?.send().await;
    let answer = answer.map_err(|error| failure(&error))?;
    verdict(answer.url().authority(), answer.status())?;
    let saved = answer.save(path).await;
    saved.map(drop).map_err(|error| failure(&error))
}
